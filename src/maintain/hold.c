/*
 * hold.c
 *		Holds: rows that must stay, whatever a policy says.
 *
 * A hold is a predicate over the rows of a table; it holds for the table's
 * partitions too, and for rows that would go with rows that they refer to.
 * It covers the rows for which the predicate is true.
 *
 * A lock that only dbops takes orders holds and deletions: a step of retention
 * has it shared while it reads the holds and deletes, and place_hold has it
 * exclusively until its transaction ends. So when place_hold returns, the
 * deletion that was under way has ended, and none begins before the hold is
 * committed and seen.
 */
#include "maintain/retention.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_place_hold);
PG_FUNCTION_INFO_V1(dbops_release_hold);
PG_FUNCTION_INFO_V1(dbops_holds);

#define LOCK_WAIT	10000		/* ms, for steps that delete: each takes a part of a second */

static TimestampTz judged_at = 0;	/* 0: by the clock */

static TimestampTz time_of_holds(void);
static void end_judging(XactEvent event, void *arg);
static Oid	hold_table(void);
static List *tables_above(List *tables);
static List *conditions_on(List *tables, Oid role);
static List *tables_whose_holds_count(Oid relid);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static void take_condition(HeapTuple row, TupleDesc desc, void *arg);
static void check_table(Oid relid);
static void lock_holds(Oid relid);
static void lock_exclusively(void *arg);
static TimestampTz take_until(FunctionCallInfo fcinfo);
static void require_holder(int64 id);
static void take_relation(HeapTuple row, TupleDesc desc, void *arg);

/* ---- what retention asks ---- */

/* Have a hold be in force until then, whatever the clock says, for the rest of the transaction. */
void
dbops_hold_judge_at(TimestampTz now)
{
	static bool registered = false;

	if (!registered)
		RegisterXactCallback(end_judging, NULL);
	registered = true;
	judged_at = now;
}

static void
end_judging(XactEvent event, void *arg)
{
	if (event != XACT_EVENT_PRE_COMMIT && event != XACT_EVENT_PARALLEL_PRE_COMMIT)
		judged_at = 0;
}

static TimestampTz
time_of_holds(void)
{
	return (judged_at != 0) ? judged_at : dbops_clock_now();
}

/*
 * Keep holds from being placed on a table, or one above it, until the
 * transaction ends; false: one is being placed. beside: a table that it was a
 * partition of, or InvalidOid. wait: as long as lock_timeout lets it, for which
 * there is an error then.
 */
bool
dbops_hold_lock(Oid relid, Oid beside, bool wait)
{
	List	   *tables = tables_whose_holds_count(relid);
	ListCell   *cell;

	if (OidIsValid(beside))
		tables = list_concat_unique_oid(tables, tables_above(list_make1_oid(beside)));
	list_sort(tables, list_oid_cmp);
	foreach(cell, tables)
	{
		LOCKTAG		tag;

		SET_LOCKTAG_OBJECT(tag, MyDatabaseId, hold_table(), lfirst_oid(cell), 0);
		if (LockAcquire(&tag, ShareLock, false, !wait) == LOCKACQUIRE_NOT_AVAIL)
			return false;
	}
	return true;
}

static Oid
hold_table(void)
{
	return get_relname_relid("hold", get_namespace_oid("dbops", false));
}

/* Tables and those above them, whose rows their rows are too. */
static List *
tables_above(List *tables)
{
	DbopsParam	param = dbops_param_oids(tables);
	List	   *above = NIL;

	dbops_query_each("WITH RECURSIVE up (relid) AS (SELECT unnest($1) UNION"
					 " SELECT i.inhparent FROM up JOIN pg_inherits i ON i.inhrelid = up.relid) SELECT relid FROM up",
					 1, &param, take_table, &above);
	return above;
}

/* The same, and those whose rows would go or change with its rows. */
static List *
tables_whose_holds_count(Oid relid)
{
	List	   *tables = list_make1_oid(relid);

	for (int i = 0; i < list_length(tables); i++)
	{
		Oid			table = list_nth_oid(tables, i);
		ListCell   *cell;

		if (get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE)
			tables = list_concat_unique_oid(tables, find_all_inheritors(table, NoLock, NULL));
		foreach(cell, dbops_retention_references(table))
			if (REFERENCE_GOES_ALONG((RetentionReference *) lfirst(cell)))
				tables = list_append_unique_oid(tables, ((RetentionReference *) lfirst(cell))->table);
	}
	return tables_above(tables);
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}

/* Of a hold on one of the tables $1, at the time $2, whose predicate is to be evaluated with the rights of role $3. */
#define IN_FORCE		"relation::oid = ANY ($1) AND released_at IS NULL AND (until IS NULL OR until > $2)"
#define OWNER			"(SELECT relowner FROM pg_class WHERE oid = relation::oid)"
#define PLACED_FOR		"CASE WHEN (names ->> 'table')::oid = relation::oid THEN (names ->> 'owner')::oid" \
	" ELSE (SELECT oid FROM pg_roles WHERE rolname = names ->> 'owner_name') END"
#define RENAMED			RETENTION_RENAMED("names", "relation::oid")

/* Why it counts for all rows, as a user reads it; else null. */
#define UNASKED			"CASE WHEN " OWNER " <> $3 THEN format('its predicate is not evaluated with the rights of role %I," \
	" since that table belongs to %I', pg_get_userbyid($3), pg_get_userbyid(" OWNER "))" \
	" WHEN " OWNER " IS DISTINCT FROM " PLACED_FOR " THEN format('the table has another owner than when it was placed;" \
	" %I may place it anew', pg_get_userbyid(" OWNER "))" \
	" ELSE " RENAMED " || ', which its predicate names, is not what it was when it was placed' END"

/*
 * The conditions of the holds on the rows of a table, of char *, as they stand
 * now. role: with whose rights they are to be evaluated. What another role has
 * written, for a table of its own or for this one before it was taken away from
 * that role, must not run with these, so that all rows count as held by that; and
 * by one whose names others have got.
 */
List *
dbops_hold_conditions(Oid relid, Oid beside, Oid role)
{
	List	   *tables = list_make1_oid(relid);

	if (OidIsValid(beside))
		tables = lappend_oid(tables, beside);
	return conditions_on(tables_above(tables), role);
}

/* Those of the holds that were placed on the table itself. */
List *
dbops_hold_conditions_alone(Oid relid, Oid role)
{
	return conditions_on(list_make1_oid(relid), role);
}

static List *
conditions_on(List *tables, Oid role)
{
	DbopsParam	params[] = {dbops_param_oids(tables), dbops_param_time(time_of_holds()), dbops_param_oid(role)};
	List	   *conditions = NIL;

	dbops_store_each("SELECT CASE WHEN " UNASKED " IS NULL THEN condition ELSE 'true' END"
					 " FROM dbops.hold WHERE " IN_FORCE " ORDER BY id",
					 lengthof(params), params, take_condition, &conditions);
	return conditions;
}

static void
take_condition(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **conditions = arg;

	*conditions = lappend(*conditions, dbops_row_text(row, desc, 1));
}

/* Which holds that bear on its rows count for all rows of their table, and why, of char * as a user reads it. */
List *
dbops_hold_unasked(Oid relid, Oid role)
{
	DbopsParam	params[] = {
		dbops_param_oids(tables_whose_holds_count(relid)),
		dbops_param_time(time_of_holds()),
		dbops_param_oid(role)
	};
	List	   *unasked = NIL;

	dbops_store_each("SELECT format('hold %s counts for all rows of table %s: %s', id, (SELECT format('%I.%I', n.nspname, r.relname)"
					 " FROM pg_class r JOIN pg_namespace n ON n.oid = r.relnamespace WHERE r.oid = relation::oid), why)"
					 " FROM (SELECT *, " UNASKED " AS why FROM dbops.hold WHERE " IN_FORCE ") h WHERE why IS NOT NULL ORDER BY id",
					 lengthof(params), params, take_condition, &unasked);
	return unasked;
}

/* The partitions of a table, on all levels, on which holds were placed, as OIDs. */
List *
dbops_hold_partitions(Oid relid)
{
	List	   *partitions = NIL;

	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
	{
		DbopsParam	params[] = {
			dbops_param_oids(list_delete_oid(find_all_inheritors(relid, NoLock, NULL), relid)),
			dbops_param_time(time_of_holds())
		};

		dbops_store_each("SELECT DISTINCT relation::oid FROM dbops.hold WHERE " IN_FORCE " ORDER BY 1",
						 lengthof(params), params, take_table, &partitions);
	}
	return partitions;
}

/* How many holds there are on a table and those above it. */
int
dbops_hold_count(Oid relid)
{
	return list_length(dbops_hold_conditions(relid, InvalidOid, InvalidOid));
}

/* Is there a hold on rows of a table, wherever it was placed? */
bool
dbops_hold_on_rows(Oid relid)
{
	return dbops_hold_count(relid) > 0 || dbops_hold_partitions(relid) != NIL;
}

/* A look for rows that are held. */
typedef struct HeldLook
{
	const char *sql;
	bool		found;
} HeldLook;

static void look_for_held(void *arg);

/* Is there a hold on rows of a table, or one below it? Looks as its owner. */
bool
dbops_hold_any(Oid relid, Oid beside)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
	{
		Oid			leaf = lfirst_oid(cell);
		ListCell   *hold;

		if (get_rel_relkind(leaf) != RELKIND_RELATION)
			continue;
		foreach(hold, dbops_hold_conditions(leaf, beside, dbops_relation_owner(relid)))
		{
			HeldLook	held = {0};

			held.sql = psprintf("SELECT true FROM ONLY %s AS " RETENTION_ROW " WHERE %s LIMIT 1",
								dbops_quote_relation(leaf), (char *) lfirst(hold));
			dbops_run_as(dbops_relation_owner(relid), look_for_held, &held);
			if (held.found)
				return true;
		}
	}
	return false;
}

static void
look_for_held(void *arg)
{
	HeldLook   *held = arg;
	Datum		found;

	dbops_meaning_pin("UTC");
	dbops_set_nested("row_security", "off");
	held->found = dbops_query_value(held->sql, 0, NULL, BOOLOID, &found);
}

/* ---- placing ---- */

/* place_hold(table_name regclass, predicate text, reason text, until timestamptz) → bigint */
Datum
dbops_place_hold(PG_FUNCTION_ARGS)
{
	Oid			relid;
	RetentionNames names = {0};
	char	   *predicate;
	char	   *condition;
	TimestampTz until;
	Datum		id;

	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "predicate");
	dbops_require_argument(fcinfo, 2, "reason");
	relid = PG_GETARG_OID(0);
	predicate = text_to_cstring(PG_GETARG_TEXT_PP(1));
	until = take_until(fcinfo);
	check_table(relid);

	lock_holds(relid);
	condition = dbops_retention_hold_condition(relid, predicate, &names);
	(void) dbops_store_value("INSERT INTO dbops.hold (relation, name, predicate, condition, reason, placed_by, placed_at, until, names)"
							 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) RETURNING id",
							 9, (DbopsParam[])
							 {
								 dbops_param_oid(relid), dbops_param_text(dbops_quote_relation(relid)),
									 dbops_param_text(predicate),
									 dbops_param_text(condition),
									 dbops_param_text(dbops_text_argument(fcinfo, 2)),
									 dbops_param_text(GetUserNameFromId(GetUserId(), false)),
									 dbops_param_time(dbops_clock_now()), dbops_param_time(until),
									 dbops_param_jsonb(dbops_retention_names_put(&names))
							 },
							 INT8OID, &id);
	return id;
}

/* Wait for what is being deleted or archived; that may be a whole partition. */
static void
lock_holds(Oid relid)
{
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	ErrorData  *error;

	if (!dbops_attempt(lock_exclusively, &relid, &error))
	{
		if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
			ReThrowError(error);
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("rows of table %s are being deleted or archived just now", dbops_quote_relation(relid)),
				 errhint("Pause that job, which dbops.jobs() shows, with dbops.pause_job, and place the hold then.")));
	}
	AtEOXact_GUC(false, nest_level);
}

static void
lock_exclusively(void *arg)
{
	LockDatabaseObject(hold_table(), *(Oid *) arg, 0, ExclusiveLock);
}

static TimestampTz
take_until(FunctionCallInfo fcinfo)
{
	TimestampTz until = PG_ARGISNULL(3) ? 0 : PG_GETARG_TIMESTAMPTZ(3);

	if (!PG_ARGISNULL(3) && until <= dbops_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("until has passed"),
				 errhint("Leave it out for a hold that lasts until dbops.release_hold.")));
	return until;
}

/* A hold is on rows that somebody may delete. */
static void
check_table(Oid relid)
{
	dbops_retention_check_table(relid, "hold");
	dbops_require_table_owner(relid);
}

/* release_hold(hold_id bigint, reason text) */
Datum
dbops_release_hold(PG_FUNCTION_ARGS)
{
	DbopsParam	params[4];

	dbops_require_argument(fcinfo, 0, "hold_id");
	require_holder(PG_GETARG_INT64(0));
	params[0] = dbops_param_int8(PG_GETARG_INT64(0));
	params[1] = dbops_param_time(dbops_clock_now());
	params[2] = dbops_param_text(GetUserNameFromId(GetUserId(), false));
	params[3] = dbops_param_text(dbops_text_argument(fcinfo, 1));
	if (dbops_store_each("UPDATE dbops.hold SET released_at = $2, released_by = $3, release_reason = $4"
						 " WHERE id = $1 AND released_at IS NULL",
						 lengthof(params), params, NULL, NULL) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("hold " INT64_FORMAT " has been released already", PG_GETARG_INT64(0))));
	PG_RETURN_VOID();
}

/* Refuse who is not the owner of the table, nor an admin. */
static void
require_holder(int64 id)
{
	DbopsParam	param = dbops_param_int8(id);
	Oid			relid = InvalidOid;
	Oid			owner;

	if (dbops_store_each("SELECT relation FROM dbops.hold WHERE id = $1", 1, &param, take_relation, &relid) == 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no hold " INT64_FORMAT, id),
				 errhint("dbops.holds() lists them.")));
	owner = dbops_relation_owner(relid);
	if (dbops_is_admin() || (OidIsValid(owner) && dbops_acts_for(owner)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("hold " INT64_FORMAT " is on a table of another role", id),
			 errhint("Only members of the table's owner and admins of dbops may release it.")));
}

static void
take_relation(HeapTuple row, TupleDesc desc, void *arg)
{
	*(Oid *) arg = dbops_row_oid(row, desc, 1);
}

/* holds() → every hold, those that are in force first */
Datum
dbops_holds(PG_FUNCTION_ARGS)
{
	DbopsParam	param = dbops_param_time(dbops_clock_now());

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT h.id, coalesce(quote_ident(n.nspname) || '.' || quote_ident(c.relname), h.name), h.predicate, h.reason,"
					   " h.released_at IS NULL AND (h.until IS NULL OR h.until > $1) AND c.oid IS NOT NULL,"
					   " h.placed_by, h.placed_at, h.until, h.released_by, h.released_at, h.release_reason"
					   " FROM dbops.hold h LEFT JOIN pg_class c ON c.oid = h.relation LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
					   " ORDER BY 5 DESC, h.id",
					   1, &param);
	return (Datum) 0;
}
