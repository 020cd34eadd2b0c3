/*
 * trigger_rights.c
 *		Who may execute the functions of the triggers that dbops puts on tables.
 *
 * The server makes the clones of a partitioned table's triggers, for a partition
 * that is created or attached, with the rights of who does that. So as long as
 * such a trigger is there, the owner of the table may execute its function, and
 * nobody else but the extension's owner. None of the functions obeys a trigger
 * that dbops has not made, so that this gives no power over other tables.
 *
 * Privileges of a function are one row of a catalog: whoever changes that locks
 * the function first, since two at once are an error of the server.
 */
#include "change/change.h"

#include "core/rule.h"

#include "catalog/pg_proc.h"
#include "miscadmin.h"
#include "parser/parse_func.h"
#include "storage/lmgr.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_grant_trigger_execute);
PG_FUNCTION_INFO_V1(dbops_revoke_trigger_execute);

static void take_back(void *arg);
static void take_unused(HeapTuple row, TupleDesc desc, void *arg);
static void lock(Oid function);

/* A role that may execute a function, and need not any more. */
typedef struct Unused
{
	Oid			function;
	char	   *role;
} Unused;

/* grant_trigger_execute(table_name regclass) → void: of the trigger of a change */
Datum
dbops_grant_trigger_execute(PG_FUNCTION_ARGS)
{
	dbops_trigger_grant(PG_GETARG_OID(0),
						LookupFuncName(list_make2(makeString("dbops"), makeString("change_sync")), 0, NULL, false));
	PG_RETURN_VOID();
}

/* Let the owner of a partitioned table execute the function of a trigger that is about to be made there. */
void
dbops_trigger_grant(Oid relid, Oid function)
{
	Oid			owner = dbops_relation_owner(relid);

	if (get_rel_relkind(relid) != RELKIND_PARTITIONED_TABLE)
		return;
	lock(function);
	if (object_aclcheck(ProcedureRelationId, function, owner, ACL_EXECUTE) != ACLCHECK_OK)
		dbops_query_command(psprintf("GRANT EXECUTE ON FUNCTION dbops.%s() TO %s",
									 quote_identifier(get_func_name(function)),
									 quote_identifier(GetUserNameFromId(owner, false))));
}

/* revoke_trigger_execute() → void */
Datum
dbops_revoke_trigger_execute(PG_FUNCTION_ARGS)
{
	dbops_trigger_revoke();
	PG_RETURN_VOID();
}

/* Take it back from all who own no partitioned table with such a trigger any more. */
void
dbops_trigger_revoke(void)
{
	dbops_run_as_extension(take_back, NULL);
}

#define UNUSED \
	"SELECT p.oid, pg_get_userbyid(x.grantee)::text FROM pg_proc p, aclexplode(p.proacl) x" \
	" WHERE p.pronamespace = 'dbops'::regnamespace AND p.prorettype = 'trigger'::regtype AND x.grantee NOT IN (0, p.proowner)" \
	" AND NOT EXISTS (SELECT FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid" \
	" WHERE t.tgfoid = p.oid AND c.relowner = x.grantee AND c.relkind = 'p')"

/* Found once more under the lock: somebody may have put a trigger up. */
static void
take_back(void *arg)
{
	List	   *unused = NIL;
	ListCell   *cell;

	dbops_query_latest(UNUSED, 0, NULL, take_unused, &unused);
	foreach(cell, unused)
		lock(((Unused *) lfirst(cell))->function);
	if (unused == NIL)
		return;
	unused = NIL;
	dbops_query_latest(UNUSED, 0, NULL, take_unused, &unused);
	foreach(cell, unused)
	{
		Unused	   *one = lfirst(cell);

		dbops_query_command(psprintf("REVOKE EXECUTE ON FUNCTION dbops.%s() FROM %s",
									 quote_identifier(get_func_name(one->function)), quote_identifier(one->role)));
	}
}

static void
take_unused(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **unused = arg;
	Unused	   *one = palloc(sizeof(Unused));

	one->function = dbops_row_oid(row, desc, 1);
	one->role = dbops_row_text(row, desc, 2);
	*unused = lappend(*unused, one);
}

static void
lock(Oid function)
{
	LockDatabaseObject(ProcedureRelationId, function, 0, ShareUpdateExclusiveLock);
}
