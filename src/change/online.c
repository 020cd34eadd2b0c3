/*
 * online.c
 *		Put the plan of a change together that is done in steps, and have it done.
 *
 * Each call plans all that leads to its goal, without a look at how far an
 * earlier one came, and submits that as one job; a CALL then runs the job in its
 * own session. So the same call makes the same plan and goes on with the job
 * that does it, or finds that nothing is left to be done.
 */
#include "change/constraint.h"

#include "change/migration.h"
#include "core/sql.h"

#include "catalog/catalog.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static void take_arguments(FunctionCallInfo fcinfo, OnlinePlan *plan, const char *call);
static bool has_rows(char relkind);
static void refuse_foreign(Oid table);
static bool is_idle(const OnlinePlan *plan);

/* Begin a CALL: open the procedure, and read its last three arguments. */
void
dbops_online_begin(FunctionCallInfo fcinfo, OnlinePlan *plan, const char *call)
{
	dbops_procedure_begin(fcinfo, call);
	PreventCommandIfReadOnly(psprintf("CALL dbops.%s()", call));
	take_arguments(fcinfo, plan, call);
}

/* Begin a function that returns the id of a job. */
void
dbops_online_begin_start(FunctionCallInfo fcinfo, OnlinePlan *plan, const char *call)
{
	PreventCommandIfReadOnly(psprintf("dbops.start_%s()", call));
	take_arguments(fcinfo, plan, call);
}

static void
take_arguments(FunctionCallInfo fcinfo, OnlinePlan *plan, const char *call)
{
	int			first = PG_NARGS() - ONLINE_COMMON_ARGUMENTS;

	plan->call = call;
	plan->lock_timeout = dbops_migration_wait_argument(fcinfo, first, "lock_timeout", 1);
	plan->max_wait = dbops_migration_wait_argument(fcinfo, first + 1, "max_wait", 0);
	dbops_require_argument(fcinfo, first + 2, "dry_run");
	plan->dry_run = PG_GETARG_BOOL(first + 2);
	plan->again = dbops_online_again(fcinfo);
	plan->asked = dbops_online_asked(fcinfo);
}

/* Take the table that is to be changed, if the caller may and it can be. */
void
dbops_online_take_table(OnlinePlan *plan, Oid table)
{
	char		relkind = get_rel_relkind(table);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", table),
				 errhint("Give its name, such as 'public.orders'.")));
	if (!has_rows(relkind))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(table)),
				 errhint("%s works on ordinary and on partitioned tables.", plan->call)));
	refuse_foreign(table);
	dbops_require_table_owner(table);
	plan->table = table;
}

static bool
has_rows(char relkind)
{
	return relkind == RELKIND_RELATION || relkind == RELKIND_PARTITIONED_TABLE || relkind == RELKIND_MATVIEW;
}

/* The server's own tables, and those of dbops, whose code reads them. */
static void
refuse_foreign(Oid table)
{
	bool		is_own = (getExtensionOfObject(RelationRelationId, table) == get_extension_oid("dbops", false));

	if (IsCatalogRelationOid(table) || is_own)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg(is_own ? "%s is a table of dbops itself" : "%s is a system catalog", dbops_quote_relation(table)),
				 errhint("Give a table of your own.")));
}

void
dbops_online_add(OnlinePlan *plan, OnlineStep step)
{
	OnlineStep *copy = palloc(sizeof(OnlineStep));

	*copy = step;
	if (step.kind == ONLINE_BACKFILL)
		dbops_online_refuse_detaching(step.table);
	if (step.kind != ONLINE_BACKFILL && step.kind != ONLINE_REFUSE)
		copy->tables = dbops_online_tables_of(dbops_sql_parse(step.sql, RAW_PARSE_DEFAULT));
	plan->steps = lappend(plan->steps, copy);
}

/* A step that would be refused at the end, after all builds, is refused before anything is done. */
void
dbops_online_require_create(const OnlinePlan *plan, const OnlineStep *step, Oid schema)
{
	Oid			owner = dbops_relation_owner(plan->table);

	if (dbops_online_is_reached(step) || dbops_online_may(owner, schema, "CREATE"))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the owner of table \"%s\" may not create an index in schema \"%s\"",
					get_rel_name(plan->table), get_namespace_name(schema)),
			 errdetail("The index of a partitioned table is made with the rights of its owner."),
			 errhint("GRANT CREATE ON SCHEMA %s TO %s;", dbops_quote_name(get_namespace_name(schema)),
					 quote_identifier(GetUserNameFromId(owner, false)))));
}

bool
dbops_online_may(Oid role, Oid schema, const char *privilege)
{
	DbopsParam	params[] = {dbops_param_oid(role), dbops_param_oid(schema), dbops_param_text(privilege)};
	Datum		may;

	return dbops_query_value("SELECT has_schema_privilege($1, $2, $3)", lengthof(params), params, BOOLOID, &may) && DatumGetBool(may);
}

/* Print the plan, or do it in this session. Ends the procedure. A plan without a step was done before. */
void
dbops_online_call(OnlinePlan *plan)
{
	if (plan->dry_run && plan->steps != NIL)
		dbops_online_print(plan);
	else if (!is_idle(plan))
	{
		dbops_online_check_all_locks(plan);
		dbops_job_have_done(dbops_online_submit(plan, true), dbops_online_terms(plan), plan->max_wait);
		return;
	}
	dbops_procedure_end();
}

/* Print the plan, or submit it: the id of its job, or null where nothing is to be done. */
Datum
dbops_online_start(FunctionCallInfo fcinfo, OnlinePlan *plan)
{
	if (plan->dry_run)
		dbops_online_print(plan);
	else if (!is_idle(plan))
	{
		dbops_online_check_all_locks(plan);
		PG_RETURN_INT64(dbops_online_submit(plan, false));
	}
	PG_RETURN_NULL();
}

/* Is nothing left to be done? Then say so. */
static bool
is_idle(const OnlinePlan *plan)
{
	if (!dbops_online_is_complete(plan))
		return false;
	ereport(NOTICE,
			(errmsg("%s of %s: nothing is left to be done", plan->call, plan->name)));
	return true;
}

/* ---- what tells that a step is reached ---- */

char *
dbops_online_constraint_valid(Oid table, const char *name)
{
	return psprintf("EXISTS (SELECT FROM pg_constraint WHERE conrelid = %u AND conname = %s AND convalidated)",
					table, quote_literal_cstr(name));
}

char *
dbops_online_constraint_there(Oid table, const char *name)
{
	return psprintf("EXISTS (SELECT FROM pg_constraint WHERE conrelid = %u AND conname = %s)",
					table, quote_literal_cstr(name));
}

/* Of an index that may not be there yet. */
char *
dbops_online_index_valid(Oid table, const char *schema, const char *name)
{
	return psprintf("EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
					" JOIN pg_namespace n ON n.oid = c.relnamespace"
					" WHERE i.indrelid = %u AND n.nspname = %s AND c.relname = %s AND i.indisvalid)",
					table, quote_literal_cstr(schema), quote_literal_cstr(name));
}

char *
dbops_online_either(const char *one, const char *other)
{
	return (other == NULL) ? pstrdup(one) : psprintf("(%s OR %s)", one, other);
}

/* SQL for still: the tables that hold the rows of a partitioned one are those of now. */
char *
dbops_online_same_leaves(Oid table)
{
	static const char query[] = "ARRAY(SELECT relid::oid FROM pg_partition_tree(%u) WHERE isleaf ORDER BY 1)";
	char	   *leaves = psprintf(query, table);

	return psprintf("%s = %s", leaves, quote_literal_cstr(dbops_query_text(psprintf("SELECT %s::text", leaves), 0, NULL)));
}
