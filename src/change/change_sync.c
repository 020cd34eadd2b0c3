/*
 * change_sync.c
 *		dbops.change_sync(): the trigger that keeps the old and the new columns of
 *		a change equal, whichever of them an application writes.
 *
 * Forward is from the old columns to the new ones, reverse the way back. A row
 * that is inserted goes forward, unless a new column has been given a value: who
 * wrote that does not know the old columns. A row that is updated goes forward if
 * something was changed that forward reads, and else back if something was that
 * reverse reads. Between a column and its other name it also counts which of them
 * the statement has set: what another trigger made of the old one must not go over
 * what an application wrote to the new one. What goes back is only what forward would not yield anyway: so
 * the backfill, which does just what forward does, never goes back, and what
 * reverse would lose is kept where nothing has changed.
 *
 * Values are compared by their stored bytes, which every type has. An expression
 * that fails on a row leaves it as it was written: the application must not get
 * an error that its own write would not give. finish_change() looks for such rows,
 * and has the trigger raise the error from then on, by its other arguments, as long
 * as it is at work; see online_hold.c.
 *
 * What the trigger does stands in dbops.column_change; a session reads that once.
 */
#include "change/twin.h"

#include "access/sysattr.h"
#include "commands/trigger.h"
#include "utils/builtins.h"
#include "utils/datum.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(dbops_change_sync);

enum
{
	FORWARD,
	REVERSE,
	DIRECTIONS
};

/* What a trigger does, for the session; never removed, as triggers are few. */
typedef struct SyncEntry
{
	Oid			trigger;		/* key */
	Oid			owner;			/* of the table, when this was read */
	bool		settled;		/* it may run as that one; else it is read again, since the change may be made so */
	const char *argument[DIRECTIONS];	/* as backfill_sync_row.c reads it; NULL: not that way */
	List	   *reads[DIRECTIONS];	/* char *: columns */
	List	   *new_columns;	/* char *: that forward assigns */
	bool		copies;			/* either way, so that nothing is lost */
	bool		warned;
} SyncEntry;

/* A statement's use of a trigger. */
typedef struct SyncUse
{
	SyncEntry  *entry;			/* NULL: the trigger does nothing */
	BackfillSync *sync[DIRECTIONS]; /* NULL: not needed by any row yet */
} SyncUse;

/* A row on its way through an attempt. */
typedef struct SyncRow
{
	BackfillSync *sync;
	const TriggerData *data;
	HeapTuple	row;
} SyncRow;

static HTAB *entries = NULL;

static SyncEntry *find_entry(const TriggerData *data);
static void read_document(SyncEntry *entry, const Jsonb *document, Oid owner);
static char *argument(const Jsonb *document, const char *direction, Oid owner);
static void put_owners(DbopsJson *json, const Jsonb *document, Oid owner);
static List *copy_texts(List *texts);
static int	direction_of(const SyncEntry *entry, const TriggerData *data);
static bool has_set(const TriggerData *data, List *columns);
static bool has_changed(const TriggerData *data, List *columns);
static bool has_value(const TriggerData *data, List *columns);
static HeapTuple apply(SyncUse *use, int direction, const TriggerData *data, MemoryContext memory);
static void apply_row(void *arg);
static bool is_strict(const Trigger *trigger);
static void tell_unknown(SyncEntry *entry, const TriggerData *data);
static void tell_failure(SyncEntry *entry, const TriggerData *data, const ErrorData *error);

/* change_sync() → trigger */
Datum
dbops_change_sync(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	SyncUse    *use = fcinfo->flinfo->fn_extra;
	HeapTuple	row;
	int			direction;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_FOR_ROW(data->tg_event) ||
		!TRIGGER_FIRED_BEFORE(data->tg_event) || TRIGGER_FIRED_BY_DELETE(data->tg_event) ||
		data->tg_trigger->tgnargs < 1)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("dbops.change_sync() is for the triggers that a change of columns makes")));

	row = TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
	if (use == NULL)
	{
		use = MemoryContextAllocZero(fcinfo->flinfo->fn_mcxt, sizeof(SyncUse));
		use->entry = find_entry(data);
		fcinfo->flinfo->fn_extra = use;
	}
	direction = (use->entry == NULL) ? DIRECTIONS : direction_of(use->entry, data);
	if (direction != DIRECTIONS)
		row = apply(use, direction, data, fcinfo->flinfo->fn_mcxt);
	return PointerGetDatum(row);
}

/* What the trigger does; NULL where no change that has not ended says so. */
static SyncEntry *
find_entry(const TriggerData *data)
{
	HASHCTL		control = {.keysize = sizeof(Oid),.entrysize = sizeof(SyncEntry)};
	Oid			owner = data->tg_relation->rd_rel->relowner;
	SyncEntry  *entry;
	Jsonb	   *document;
	bool		found;

	if (entries == NULL)
		entries = hash_create("dbops changes", 16, &control, HASH_ELEM | HASH_BLOBS);
	entry = hash_search(entries, &data->tg_trigger->tgoid, HASH_ENTER, &found);
	if (!found)
		memset((char *) entry + sizeof(Oid), 0, sizeof(SyncEntry) - sizeof(Oid));
	if (entry->settled && entry->owner == owner)
		return entry;
	document = dbops_twin_document(RelationGetRelid(data->tg_relation), data->tg_trigger->tgargs[0]);
	if (document == NULL)
	{
		tell_unknown(entry, data);
		return NULL;
	}
	read_document(entry, document, owner);
	entry->owner = owner;
	entry->settled = dbops_twin_may_run_as(document, owner);
	return entry;
}

static void
read_document(SyncEntry *entry, const Jsonb *document, Oid owner)
{
	MemoryContext before = MemoryContextSwitchTo(TopMemoryContext);

	entry->argument[FORWARD] = argument(document, "forward", owner);
	entry->argument[REVERSE] = argument(document, "reverse", owner);
	entry->reads[FORWARD] = copy_texts(dbops_jsonb_texts(document, "forward_reads"));
	entry->reads[REVERSE] = copy_texts(dbops_jsonb_texts(document, "reverse_reads"));
	entry->copies = dbops_jsonb_boolean(document, "any_owner");
	entry->new_columns = copy_texts(dbops_jsonb_texts(document, "new_columns"));
	MemoryContextSwitchTo(before);
}

/* What is done in one direction, as the argument of a trigger that backfill_sync() serves. */
static char *
argument(const Jsonb *document, const char *direction, Oid owner)
{
	Jsonb	   *change = dbops_jsonb_document(document, direction);
	DbopsJson	json = {0};
	Jsonb	   *whole;

	if (change == NULL)
		return NULL;
	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "home", dbops_backfill_sync_home());
	dbops_json_document(&json, "change", change);
	put_owners(&json, document, owner);
	whole = dbops_json_finish(&json);
	return JsonbToCString(NULL, &whole->root, VARSIZE(whole));
}

/* As whom it may run: a copy of columns runs nobody's code; else as those for whom it was asked. */
static void
put_owners(DbopsJson *json, const Jsonb *document, Oid owner)
{
	int64	   *owners;
	int			n = dbops_jsonb_integers(document, "owners", &owners);

	dbops_json_array(json, "owners");
	if (dbops_jsonb_boolean(document, "any_owner"))
		dbops_json_integer(json, NULL, owner);
	for (int i = 0; i < n; i++)
		dbops_json_integer(json, NULL, owners[i]);
	dbops_json_array_end(json);
}

static List *
copy_texts(List *texts)
{
	List	   *copy = NIL;
	ListCell   *cell;

	foreach(cell, texts)
		copy = lappend(copy, pstrdup(lfirst(cell)));
	return copy;
}

/* Which way does a row go? DIRECTIONS: neither. */
static int
direction_of(const SyncEntry *entry, const TriggerData *data)
{
	bool		both = entry->argument[REVERSE] != NULL;

	if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
		return both && has_value(data, entry->new_columns) ? REVERSE : FORWARD;
	if (entry->copies && has_set(data, entry->reads[REVERSE]) && !has_set(data, entry->reads[FORWARD]) &&
		has_changed(data, entry->reads[REVERSE]))
		return REVERSE;
	if (has_changed(data, entry->reads[FORWARD]))
		return FORWARD;
	return both && has_changed(data, entry->reads[REVERSE]) ? REVERSE : DIRECTIONS;
}

/* Does the statement set one of these columns? */
static bool
has_set(const TriggerData *data, List *columns)
{
	ListCell   *cell;

	foreach(cell, columns)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(data->tg_relation), lfirst(cell));

		if (attnum > 0 && bms_is_member(attnum - FirstLowInvalidHeapAttributeNumber, data->tg_updatedcols))
			return true;
	}
	return false;
}

/* Has an update changed one of these columns? One that is gone has not. */
static bool
has_changed(const TriggerData *data, List *columns)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	ListCell   *cell;

	foreach(cell, columns)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(data->tg_relation), lfirst(cell));
		Form_pg_attribute attribute;
		Datum		values[2];
		bool		nulls[2];

		if (attnum <= 0)
			continue;
		attribute = TupleDescAttr(desc, attnum - 1);
		values[0] = heap_getattr(data->tg_trigtuple, attnum, desc, &nulls[0]);
		values[1] = heap_getattr(data->tg_newtuple, attnum, desc, &nulls[1]);
		if (nulls[0] != nulls[1] ||
			(!nulls[0] && !datum_image_eq(values[0], values[1], attribute->attbyval, attribute->attlen)))
			return true;
	}
	return false;
}

/* Has a row that is inserted a value in one of these columns? */
static bool
has_value(const TriggerData *data, List *columns)
{
	TupleDesc	desc = RelationGetDescr(data->tg_relation);
	ListCell   *cell;

	foreach(cell, columns)
	{
		AttrNumber	attnum = get_attnum(RelationGetRelid(data->tg_relation), lfirst(cell));

		if (attnum > 0 && !heap_attisnull(data->tg_trigtuple, attnum, desc))
			return true;
	}
	return false;
}

/* Do it; the row is as it was written where its values make that fail. */
static HeapTuple
apply(SyncUse *use, int direction, const TriggerData *data, MemoryContext memory)
{
	SyncRow		row = {.data = data};
	ErrorData  *error;

	if (use->sync[direction] == NULL)
		use->sync[direction] = dbops_backfill_sync_begin(data, direction, use->entry->argument[direction], true, memory);
	row.sync = use->sync[direction];
	if (!dbops_backfill_sync_may_fail(row.sync))
	{
		apply_row(&row);
		return row.row;
	}
	if (dbops_attempt(apply_row, &row, &error))
		return row.row;
	if (is_strict(data->tg_trigger) ||
		(!dbops_backfill_is_of_row(error->sqlerrcode) &&
		 ERRCODE_TO_CATEGORY(error->sqlerrcode) != ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION))
		ReThrowError(error);
	tell_failure(use->entry, data, error);
	return TRIGGER_FIRED_BY_UPDATE(data->tg_event) ? data->tg_newtuple : data->tg_trigtuple;
}

static void
apply_row(void *arg)
{
	SyncRow    *row = arg;

	row->row = dbops_backfill_sync_row(row->sync, row->data);
}

/* Has finish_change() looked, and is it at work? Its arguments are the column, that it may be strict, and the change. */
static bool
is_strict(const Trigger *trigger)
{
	return trigger->tgnargs == 3 && dbops_online_is_held(strtoll(trigger->tgargs[2], NULL, 10));
}

/* The writer is told once a session: a dump of single tables has brought the trigger here. */
static void
tell_unknown(SyncEntry *entry, const TriggerData *data)
{
	if (!entry->warned)
		ereport(WARNING,
				(errmsg("trigger \"%s\" of table \"%s\" does nothing, because the change that it serves is not in dbops.column_change",
						data->tg_trigger->tgname, RelationGetRelationName(data->tg_relation)),
				 errdetail("What is written to one of the columns of that change does not come to the others."),
				 errhint("Make the call that has begun it again, or drop the trigger with the statement that dbops.unfinished_changes() has for it.")));
	entry->warned = true;
}

/* The writer is told once a session. */
static void
tell_failure(SyncEntry *entry, const TriggerData *data, const ErrorData *error)
{
	if (!entry->warned)
		ereport(WARNING,
				(errmsg("a row of table \"%s\" was written as it is, since what trigger \"%s\" computes of it fails",
						RelationGetRelationName(data->tg_relation), data->tg_trigger->tgname),
				 errdetail_internal("%s", error->message)));
	entry->warned = true;
}
