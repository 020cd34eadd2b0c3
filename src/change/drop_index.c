/*
 * drop_index.c
 *		An index that is dropped while others use its table: drop_index().
 *
 * What needs the index is looked for first, so that nothing is begun that the
 * server would refuse in the middle, and nothing is lost that nobody thinks of.
 */
#include "change/online_index.h"

#include "access/htup_details.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#define LONGEST_LOOK	1000		/* ms, for who has the index locked */

typedef struct Call
{
	OnlinePlan	plan;
	bool		starts;			/* a job, of another process */
	Oid			index;
} Call;

PG_FUNCTION_INFO_V1(dbops_drop_index);
PG_FUNCTION_INFO_V1(dbops_start_drop_index);

static bool plan_call(FunctionCallInfo fcinfo, Call *call);
static Oid	look_up(text *name);
static void check_kind(const Call *call);
static void check_needs(const Call *call);
static void refuse_constraint(HeapTuple row, TupleDesc desc, void *arg);
static void refuse_attached(Oid index);
static void check_marks(const Call *call);
static void check_marks_of(const Call *call, Oid index);
static void plan_steps(Call *call);

/* drop_index(index_name text, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_drop_index(PG_FUNCTION_ARGS)
{
	Call		call = {0};

	dbops_online_begin(fcinfo, &call.plan, "drop_index");
	if (plan_call(fcinfo, &call))
		dbops_online_call(&call.plan);
	else
		dbops_procedure_end();
	PG_RETURN_VOID();
}

/* start_drop_index(the same) → bigint */
Datum
dbops_start_drop_index(PG_FUNCTION_ARGS)
{
	Call		call = {.starts = true};

	dbops_online_begin_start(fcinfo, &call.plan, "drop_index");
	if (!plan_call(fcinfo, &call))
		PG_RETURN_NULL();
	return dbops_online_start(fcinfo, &call.plan);
}

/* False: it is not there. */
static bool
plan_call(FunctionCallInfo fcinfo, Call *call)
{
	char	   *name;

	dbops_require_argument(fcinfo, 0, "index_name");
	name = text_to_cstring(PG_GETARG_TEXT_PP(0));
	call->index = look_up(PG_GETARG_TEXT_PP(0));
	if (!OidIsValid(call->index))
	{
		ereport(NOTICE,
				(errmsg("there is no index %s: nothing is left to be done", name)));
		return false;
	}
	check_kind(call);
	dbops_online_take_table(&call->plan, IndexGetRelation(call->index, false));
	call->plan.name = call->plan.key = dbops_online_index_full_name(get_rel_namespace(call->index), get_rel_name(call->index));
	check_needs(call);
	check_marks(call);
	dbops_online_index_refuse_busy(&call->plan, call->index);
	plan_steps(call);
	return true;
}

/* It stays while it is looked at: a job that was cut off, and goes on, may be dropping it. */
static Oid
look_up(text *name)
{
	int			nest_level = dbops_begin_bounded_wait(LONGEST_LOOK);
	Oid			index = RangeVarGetRelid(makeRangeVarFromNameList(textToQualifiedNameList(name)), AccessShareLock, true);

	AtEOXact_GUC(false, nest_level);
	return index;
}

static void
check_kind(const Call *call)
{
	char		relkind = get_rel_relkind(call->index);

	if (relkind != RELKIND_INDEX && relkind != RELKIND_PARTITIONED_INDEX)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not an index", dbops_quote_relation(call->index)),
				 errhint("Give the name of an index, such as 'public.orders_state_idx'.")));
	if (IsCatalogRelationOid(call->index) || IsToastNamespace(get_rel_namespace(call->index)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("%s is an index of a system catalog", dbops_quote_relation(call->index)),
				 errhint("Give the name of an index on a table of your own.")));
	if (get_rel_persistence(call->index) == RELPERSISTENCE_TEMP &&
		(call->starts || isOtherTempNamespace(get_rel_namespace(call->index))))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is an index on a temporary table of one session", get_rel_name(call->index)),
				 errhint("CALL dbops.drop_index() in that session.")));
}

/* Constraints that it keeps, foreign keys that refer to it, and the index that it is a part of. */
static void
check_needs(const Call *call)
{
	DbopsParam	param = dbops_param_oid(call->index);

	dbops_query_each("SELECT k.conname::text, contype = 'f', k.conrelid, conindid, u.conname::text, u.conrelid FROM pg_constraint k, LATERAL"
					 " (WITH RECURSIVE up AS (SELECT k.conparentid, k.conname, k.conrelid UNION ALL SELECT p.conparentid, p.conname, p.conrelid"
					 " FROM up JOIN pg_constraint p ON p.oid = up.conparentid) SELECT * FROM up WHERE conparentid = 0 LIMIT 1) u"
					 " WHERE conindid IN (SELECT $1 UNION SELECT relid FROM pg_partition_tree($1))"
					 " ORDER BY contype = 'f', conindid <> $1, k.conname LIMIT 1",
					 1, &param, refuse_constraint, NULL);
	if (get_rel_relispartition(call->index))
		refuse_attached(call->index);
}

static void
refuse_constraint(HeapTuple row, TupleDesc desc, void *arg)
{
	const char *name = dbops_row_text(row, desc, 1);
	bool		refers = dbops_row_bool(row, desc, 2);
	const char *table = dbops_quote_relation(dbops_row_oid(row, desc, 3));
	const char *index = dbops_quote_relation(dbops_row_oid(row, desc, 4));

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg(refers ? "foreign key \"%s\" of table %s relies on index %s" : "constraint \"%s\" of table %s is kept by index %s",
					name, table, index),
			 errhint("If that is no longer wanted: ALTER TABLE %s DROP CONSTRAINT %s;", dbops_quote_relation(dbops_row_oid(row, desc, 6)),
					 quote_identifier(dbops_row_text(row, desc, 5)))));
}

static void
refuse_attached(Oid index)
{
	Oid			parent = get_partition_parent(index, false);

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("index %s is attached to %s", dbops_quote_relation(index), dbops_quote_relation(parent)),
			 errhint("It goes with that one: CALL dbops.drop_index(%s);", quote_literal_cstr(dbops_quote_relation(parent)))));
}

/* What else is lost with it, and with those of partitions. */
static void
check_marks(const Call *call)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(call->index, NoLock, NULL))
		check_marks_of(call, lfirst_oid(cell));
}

static void
check_marks_of(const Call *call, Oid index)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(index));
	const char *name = dbops_quote_relation(index);
	const char *table;
	FormData_pg_index form;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for index %u", index);
	form = *(Form_pg_index) GETSTRUCT(tuple);
	ReleaseSysCache(tuple);
	table = dbops_quote_relation(form.indrelid);
	if (form.indisreplident)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index %s is the replica identity of its table", name),
				 errdetail("Without one, rows that are published can be neither updated nor deleted."),
				 errhint("Give the table another first: ALTER TABLE %s REPLICA IDENTITY DEFAULT;", table)));
	if (form.indisclustered)
		ereport(NOTICE,
				(errmsg("index %s is the one that table %s was clustered on", name, table)));
	if (form.indisunique && index == call->index)
		ereport(NOTICE,
				(errmsg("index %s is unique: without it, only another one can keep equal rows out", name)));
}

static void
plan_steps(Call *call)
{
	bool		concurrent = get_rel_relkind(call->index) == RELKIND_INDEX &&
		get_rel_persistence(call->index) != RELPERSISTENCE_TEMP;
	const char *name = quote_literal_cstr(call->plan.name);

	dbops_online_add(&call->plan, (OnlineStep)
	{
		.kind = concurrent ? ONLINE_ALONE : ONLINE_SHORT,
		.sql = psprintf("DROP INDEX %s%s", concurrent ? "CONCURRENTLY " : "", call->plan.name),
		.index = call->index,
		.reached = psprintf("NOT EXISTS (SELECT FROM pg_index WHERE indexrelid = %u)", call->index),
		.still = psprintf("to_regclass(%s) = %u", name, call->index),
		.message = psprintf("index %s has got another name meanwhile", call->plan.name),
		.why = concurrent ? NULL : "The server drops it in no other way: in that moment nobody reads or writes the table or any of its partitions."
	});
}
