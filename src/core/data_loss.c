/*
 * data_loss.c
 *		What must not go with DROP EXTENSION by mistake.
 *
 * Some tables of dbops hold what is nowhere else: which migrations were
 * applied, what was audited, which backups are proven. Areas register theirs,
 * and as long as one of them has a row, nothing can take it away: neither DROP
 * EXTENSION nor anything whose CASCADE reaches the extension. Where the server
 * reports that a table is about to go, all of that comes by.
 *
 * The server tells a session only if the library is loaded there. Where it is
 * not preloaded, the event trigger dbops_keep_data sees to that.
 */
#include "core/core.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/dependency.h"
#include "catalog/objectaccess.h"
#include "catalog/pg_class.h"
#include "commands/extension.h"
#include "nodes/pg_list.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef struct KeptTable
{
	const char *name;			/* in schema dbops */
	const char *what;			/* it holds, for messages */
} KeptTable;

PG_FUNCTION_INFO_V1(dbops_keep_data);

static object_access_hook_type previous_hook = NULL;
static List *kept_tables = NIL;

static void object_access(ObjectAccessType access, Oid classid, Oid object, int subobject, void *arg);
static const KeptTable *find_kept(Oid relid);
static bool is_ours(Oid relid);
static bool has_rows(Oid relid);

/* Watch what is dropped; called when the library is loaded. */
void
dbops_data_loss_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = object_access;
}

/* Keep a table of dbops, which holds what; called when the library is loaded. */
void
dbops_data_loss_register(const char *table, const char *what)
{
	MemoryContext caller = MemoryContextSwitchTo(TopMemoryContext);
	KeptTable  *kept = palloc(sizeof(KeptTable));

	kept->name = table;
	kept->what = what;
	kept_tables = lappend(kept_tables, kept);
	MemoryContextSwitchTo(caller);
}

/* keep_data() → event_trigger: the library is loaded by now, and that is all. */
Datum
dbops_keep_data(PG_FUNCTION_ARGS)
{
	PG_RETURN_NULL();
}

static void
object_access(ObjectAccessType access, Oid classid, Oid object, int subobject, void *arg)
{
	const KeptTable *kept;

	if (previous_hook != NULL)
		previous_hook(access, classid, object, subobject, arg);
	if (access != OAT_DROP || classid != RelationRelationId || subobject != 0 ||
		dbops_allow_data_loss || creating_extension)
		return;

	kept = find_kept(object);
	if (kept != NULL && is_ours(object) && has_rows(object))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("extension dbops cannot be dropped, because %s would be lost", kept->what),
				 errdetail("Table dbops.%s has rows.", kept->name),
				 errhint("If you have no more use for it, SET dbops.allow_data_loss = on and drop the extension again.")));
}

/* Which of the registered tables has this one's name; NULL: none. */
static const KeptTable *
find_kept(Oid relid)
{
	const char *name = get_rel_name(relid);
	ListCell   *cell;

	foreach(cell, kept_tables)
	{
		const KeptTable *kept = lfirst(cell);

		if (name != NULL && strcmp(kept->name, name) == 0)
			return kept;
	}
	return NULL;
}

/* Does it belong to the extension? It does until it is gone. */
static bool
is_ours(Oid relid)
{
	Oid			extension = get_extension_oid("dbops", true);

	return OidIsValid(extension) &&
		getExtensionOfObject(RelationRelationId, relid) == extension;
}

/* Look without an index: those have gone already. Who drops has locked it. */
static bool
has_rows(Oid relid)
{
	Relation	table = table_open(relid, NoLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TupleTableSlot *slot = table_slot_create(table, NULL);
	TableScanDesc scan = table_beginscan(table, snapshot, 0, NULL);
	bool		found = table_scan_getnextslot(scan, ForwardScanDirection, slot);

	table_endscan(scan);
	ExecDropSingleTupleTableSlot(slot);
	UnregisterSnapshot(snapshot);
	table_close(table, NoLock);
	return found;
}
