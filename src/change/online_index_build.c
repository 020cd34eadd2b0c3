/*
 * online_index_build.c
 *		The steps that build an index of a definition and a name.
 *
 * Of a partitioned table online_index_tree.c plans them, else it is one. What a
 * build has left that was cut off makes room.
 */
#include "change/online_index.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

static char *built(const IndexDefinition *definition, const char *name);
static char *is_it(const IndexDefinition *definition);
static char *columns_of(const IndexDefinition *definition);
static char *keys_of(const IndexDefinition *definition);
static void check_room(const OnlinePlan *plan, Oid index);

void
dbops_online_index_plan(OnlinePlan *plan, const IndexDefinition *definition, const char *name)
{
	if (definition->relkind == RELKIND_PARTITIONED_TABLE)
		dbops_online_index_plan_tree(plan, definition, name);
	else if (get_rel_persistence(definition->table) == RELPERSISTENCE_TEMP)
		dbops_online_add(plan, (OnlineStep)
		{
			.kind = ONLINE_SHORT,
			.sql = dbops_online_index_statement(definition, "", name),
			.reached = dbops_online_index_valid(definition->table, get_namespace_name(definition->schema), name),
			.why = "Nobody else can use a temporary table."
		});
	else
		dbops_online_index_plan_build(plan, definition, name, NULL);
}

/*
 * Build it while others write. IF NOT EXISTS: the step first drops what a build
 * has left that was cut off. unless: SQL that says that nothing is to be done, or
 * NULL.
 */
void
dbops_online_index_plan_build(OnlinePlan *plan, const IndexDefinition *definition, const char *name, const char *unless)
{
	check_room(plan, get_relname_relid(name, definition->schema));
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_ALONE,
		.sql = dbops_online_index_statement(definition, "CONCURRENTLY IF NOT EXISTS", name),
		.reached = dbops_online_either(built(definition, name), unless),
		.why = definition->why != NULL ? definition->why : "What a build of it has left that was cut off is dropped before.",
		.hint = definition->statement->unique ? "Correct or delete rows that have the same key, and make the same CALL again." : NULL
	});
}

/* SQL for reached: one of that name is valid, and not another that has come meanwhile. */
static char *
built(const IndexDefinition *definition, const char *name)
{
	return psprintf("EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
					" JOIN pg_namespace n ON n.oid = c.relnamespace"
					" WHERE n.nspname = %s AND c.relname = %s AND %s)",
					quote_literal_cstr(get_namespace_name(definition->schema)), quote_literal_cstr(name), is_it(definition));
}

/* SQL: index i, whose relation is c, is valid and what is asked for, as far as names and numbers tell. */
static char *
is_it(const IndexDefinition *definition)
{
	const IndexStmt *statement = definition->statement;

	return psprintf("i.indrelid = %u AND i.indisvalid"
					" AND c.relam = %u AND i.indisunique = %s AND i.indnullsnotdistinct = %s AND (i.indpred IS NULL) = %s"
					" AND i.indnkeyatts = %d AND ARRAY(SELECT a.attname::text FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)"
					" LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number ORDER BY k.place) = %s%s",
					definition->table,
					definition->method, statement->unique ? "true" : "false", statement->nulls_not_distinct ? "true" : "false",
					definition->predicate == NIL ? "true" : "false",
					definition->n_keys, columns_of(definition), keys_of(definition));
}

/*
 * Look once more before the build, which is the last step, for one that does the
 * same under another name: two calls at a time both find none when they are made,
 * and then build one after the other. Those of now differ in what is_it() does not tell.
 */
void
dbops_online_index_refuse_twins(OnlinePlan *plan, const IndexDefinition *definition)
{
	OnlineStep *build = llast(plan->steps);
	const char *them = psprintf("FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE %s", is_it(definition));
	const char *known = dbops_query_text(psprintf("SELECT string_agg(i.indexrelid::text, ', ' ORDER BY i.indexrelid) %s", them), 0, NULL);

	if (build->kind != ONLINE_ALONE)
		return;
	build->still = psprintf("NOT EXISTS (SELECT %s AND i.indexrelid NOT IN (%s))", them, known != NULL ? known : "0");
	build->message = psprintf("table %s has got an index that does the same meanwhile", dbops_quote_relation(definition->table));
}

/* Their names, as an array; NULL for expressions. */
static char *
columns_of(const IndexDefinition *definition)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < definition->n_columns; i++)
	{
		const IndexColumn *column = &definition->columns[i];
		const char *name = column->expression != NULL ? NULL :
			column->attribute != InvalidAttrNumber ? get_attname(definition->table, column->attribute, false) : column->element->name;

		appendStringInfo(&names, "%s%s", i > 0 ? ", " : "", name != NULL ? quote_literal_cstr(name) : "NULL");
	}
	return psprintf("ARRAY[%s]::text[]", names.data);
}

/* That they are sorted so; nothing is known yet of a column that is to come. */
static char *
keys_of(const IndexDefinition *definition)
{
	StringInfoData keys;

	initStringInfo(&keys);
	for (int i = 0; i < definition->n_keys; i++)
		if (OidIsValid(definition->columns[i].opclass))
			appendStringInfo(&keys, " AND i.indclass[%d] = %u AND i.indcollation[%d] = %u AND i.indoption[%d] = %d",
							 i, definition->columns[i].opclass, i, definition->columns[i].collation, i, definition->columns[i].option);
	return keys.data;
}

/* What is in its place can be dropped, if it does not serve. */
static void
check_room(const OnlinePlan *plan, Oid index)
{
	if (!OidIsValid(index) || dbops_online_index_is_whole(index))
		return;
	dbops_online_index_refuse_busy(plan, index);
	if (get_rel_relispartition(index))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("index %s is attached to a partitioned index, and is not valid", dbops_quote_relation(index)),
				 errhint("REINDEX INDEX CONCURRENTLY %s; then make the same call again.", dbops_quote_relation(index))));
	if (!dbops_online_is_live(plan))
		ereport(NOTICE,
			(errmsg("index %s is invalid, as a build or a drop of it has not come to its end: it is dropped and built again", dbops_quote_relation(index))));
}
