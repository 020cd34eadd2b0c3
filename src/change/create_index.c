/*
 * create_index.c
 *		An index that is built while others write: create_index().
 *
 * What is asked for is held against what is there before anything is done: the
 * same index is left as it is, and one that does the same is pointed out.
 */
#include "change/online_index.h"

#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

/* A call on its way through the look at the table. */
typedef struct Call
{
	OnlinePlan	plan;
	bool		starts;			/* a job, of another process */
	char	   *text;
	bool		allow_duplicate;
	IndexStmt  *statement;
	IndexDefinition *definition;
	char	   *name;			/* of the index */
	bool		there;			/* it is, and is valid */
} Call;

PG_FUNCTION_INFO_V1(dbops_create_index);
PG_FUNCTION_INFO_V1(dbops_start_create_index);

static void take_arguments(FunctionCallInfo fcinfo, Call *call);
static void plan_call(Call *call);
static Oid	find_table(const IndexStmt *statement);
static void refuse_catalog(Oid table);
static void refuse_temporary(const Call *call, Oid table);
static void look(void *arg);
static void read_definition(Call *call);
static void choose_name(Call *call);
static void check_named(Call *call);
static void refuse_name(const Call *call, Oid index);
static void refuse_duplicate(const Call *call);

/* create_index(definition text, allow_duplicate boolean, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_create_index(PG_FUNCTION_ARGS)
{
	Call		call = {0};

	dbops_online_begin(fcinfo, &call.plan, "create_index");
	take_arguments(fcinfo, &call);
	plan_call(&call);
	dbops_online_call(&call.plan);
	PG_RETURN_VOID();
}

/* start_create_index(the same) → bigint */
Datum
dbops_start_create_index(PG_FUNCTION_ARGS)
{
	Call		call = {.starts = true};

	dbops_online_begin_start(fcinfo, &call.plan, "create_index");
	take_arguments(fcinfo, &call);
	plan_call(&call);
	return dbops_online_start(fcinfo, &call.plan);
}

static void
take_arguments(FunctionCallInfo fcinfo, Call *call)
{
	dbops_require_argument(fcinfo, 0, "definition");
	dbops_require_argument(fcinfo, 1, "allow_duplicate");
	call->text = text_to_cstring(PG_GETARG_TEXT_PP(0));
	call->allow_duplicate = PG_GETARG_BOOL(1);
}

/* Rights come first: who has none shall not learn about the table. */
static void
plan_call(Call *call)
{
	Oid			table;

	call->statement = dbops_online_index_parse(call->text);
	table = find_table(call->statement);
	refuse_catalog(table);
	dbops_online_take_table(&call->plan, table);
	refuse_temporary(call, table);
	dbops_look(look, call);
}

static Oid
find_table(const IndexStmt *statement)
{
	Oid			table = RangeVarGetRelid(statement->relation, NoLock, true);

	if (!OidIsValid(table))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation %s of the definition does not exist",
						quote_qualified_identifier(statement->relation->schemaname, statement->relation->relname)),
				 errhint("Name the table with its schema, or one that the search_path of the call finds.")));
	return table;
}

static void
refuse_catalog(Oid table)
{
	if (IsCatalogRelationOid(table) || IsToastNamespace(get_rel_namespace(table)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("\"%s\" is a system catalog", get_rel_name(table)),
				 errhint("Give a definition of an index on a table of your own.")));
}

static void
refuse_temporary(const Call *call, Oid table)
{
	if (get_rel_persistence(table) != RELPERSISTENCE_TEMP)
		return;
	if (call->starts || isOtherTempNamespace(get_rel_namespace(table)))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a temporary table of one session, which no other process can read", get_rel_name(table)),
				 errhint("CALL dbops.create_index() in that session.")));
}

/* Look at the table and at what it has, and give the locks back. */
static void
look(void *arg)
{
	Call	   *call = arg;

	read_definition(call);
	choose_name(call);
	call->plan.name = call->plan.key = dbops_online_index_full_name(call->definition->schema, call->name);
	check_named(call);
	if (!call->there && !call->allow_duplicate)
		refuse_duplicate(call);
	dbops_online_index_plan(&call->plan, call->definition, call->name);
	if (!call->there && !call->allow_duplicate && call->definition->relkind != RELKIND_PARTITIONED_TABLE)
		dbops_online_index_refuse_twins(&call->plan, call->definition);
}

static void
read_definition(Call *call)
{
	Oid			table = call->plan.table;
	ListCell   *cell;

	dbops_online_index_lock_table(table);
	if (get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE)
	{
		if (!call->statement->relation->inh)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("an index ON ONLY a partitioned table stays invalid"),
					 errhint("Leave ONLY out: the index is built on each partition, one after the other, and attached.")));
		foreach(cell, find_all_inheritors(table, NoLock, NULL))
			dbops_online_index_lock_table(lfirst_oid(cell));
	}
	call->definition = dbops_online_index_read(table, call->statement, call->text, false);
}

/* The one given; else that of an index which does the same, or the one that the server would choose. */
static void
choose_name(Call *call)
{
	if (call->statement->idxname != NULL)
		call->name = call->statement->idxname;
	else if (call->allow_duplicate)
		call->name = dbops_online_index_choose_name(call->definition, InvalidOid, NIL);
	else
		call->name = dbops_online_index_usual_name(call->definition);
}

/* What has the name is the index that is asked for, or what a build of it has left. */
static void
check_named(Call *call)
{
	Oid			index = get_relname_relid(call->name, call->definition->schema);

	if (!OidIsValid(index))
		return;
	if (!dbops_online_index_is_same(call->definition, index, call->statement->idxname != NULL))
		refuse_name(call, index);
	call->there = dbops_online_index_is_whole(index);
}

static void
refuse_name(const Call *call, Oid index)
{
	char		relkind = get_rel_relkind(index);
	bool		is_index = (relkind == RELKIND_INDEX || relkind == RELKIND_PARTITIONED_INDEX);

	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_TABLE),
			 errmsg("%s exists already, and is not what is asked for", call->plan.name),
			 is_index ? errdetail("It is: %s", pg_get_indexdef_string(index)) : errdetail("It is not an index."),
			 is_index ? errhint("Give another name, or make room first: CALL dbops.drop_index(%s);", quote_literal_cstr(call->plan.name)) :
			 errhint("Give another name.")));
}

static void
refuse_duplicate(const Call *call)
{
	List	   *same = dbops_online_index_same_ones(call->definition, true);

	/* It may be the one itself, which a process in the background has made valid in this moment. */
	same = list_delete_oid(same, get_relname_relid(call->name, call->definition->schema));
	if (same == NIL)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_OBJECT),
			 errmsg("index %s does the same already", dbops_quote_relation(linitial_oid(same))),
			 errdetail("It is: %s", pg_get_indexdef_string(linitial_oid(same))),
			 errhint("Use that one, or build another all the same with allow_duplicate => true.")));
}
