/*
 * partition_ask.c
 *		What rows there are, asked as the table's owner: what a question reads,
 *		and what it runs on its way, is his.
 */
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

/* A question on its way. */
typedef struct Question
{
	const char *sql;
	Oid			type;
	Datum	   *value;
	bool		found;
} Question;

static void ask(void *arg);

/* Read one value, as dbops_query_value does, as a role. */
bool
dbops_partition_ask(Oid role, const char *sql, Oid type, Datum *value)
{
	Question	question = {.sql = sql,.type = type,.value = value};

	dbops_run_as(role, ask, &question);
	return question.found;
}

static void
ask(void *arg)
{
	Question   *question = arg;

	question->found = dbops_query_value(question->sql, 0, NULL, question->type, question->value);
}

/* Has a table of the set, such as the default partition, rows between two positions? */
bool
dbops_partition_has_rows(const PartitionSet *set, Oid relid, Oid owner, int64 lower, int64 upper)
{
	const char *column = dbops_quote_name(set->column);
	Datum		yes;

	return dbops_partition_ask(owner,
							   psprintf("SELECT true FROM %s WHERE %s >= %s AND %s < %s LIMIT 1",
										dbops_quote_qualified(get_namespace_name(get_rel_namespace(relid)), get_rel_name(relid)),
										column, dbops_partition_literal(&set->clock, lower),
										column, dbops_partition_literal(&set->clock, upper)),
							   BOOLOID, &yes);
}

/* Where the rows of the default partition begin that are between two positions. */
int64
dbops_partition_first_row(const PartitionSet *set, Oid owner, int64 lower, int64 upper)
{
	const char *column = dbops_quote_name(set->column);
	StringInfoData sql;
	Datum		first;

	initStringInfo(&sql);
	appendStringInfo(&sql, "SELECT min(%s) FROM %s WHERE %s < %s", column, set->default_partition->name,
					 column, dbops_partition_literal(&set->clock, upper));
	if (lower != PARTITION_BEGINNING)
		appendStringInfo(&sql, " AND %s >= %s", column, dbops_partition_literal(&set->clock, lower));
	return dbops_partition_ask(owner, sql.data, set->clock.type, &first) ?
		dbops_partition_position(&set->clock, first) : PARTITION_END;
}
