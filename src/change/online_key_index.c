/*
 * online_key_index.c
 *		An index on columns of a table that another call comes with.
 *
 * It is one as create_index() builds it: what is there and is the same serves,
 * and so does any that begins with these columns.
 */
#include "change/constraint.h"
#include "change/online_index.h"

#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"

static bool is_served(Oid table, List *columns, const char *but);

/* Add the steps to an index on columns, which may be yet to come, of a table, which may be partitioned. */
void
dbops_online_add_index(OnlinePlan *plan, Oid table, List *columns, const char *why)
{
	IndexDefinition *definition = dbops_online_key_index(table, columns, false);
	char	   *name = dbops_online_index_usual_name(definition);

	definition->why = why;
	if (!is_served(table, columns, name))
		dbops_online_index_plan(plan, definition, name);
}

IndexDefinition *
dbops_online_key_index(Oid table, List *columns, bool unique)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	appendStringInfo(&text, "CREATE %sINDEX ON %s", unique ? "UNIQUE " : "", dbops_quote_relation(table));
	foreach(cell, columns)
		appendStringInfo(&text, "%s%s", foreach_current_index(cell) == 0 ? " (" : ", ", quote_identifier(lfirst(cell)));
	appendStringInfoChar(&text, ')');
	return dbops_online_index_read(table, dbops_online_index_parse(text.data), text.data, true);
}

/* Is there another index, for all rows, that begins with these columns in any order? */
static bool
is_served(Oid table, List *columns, const char *but)
{
	DbopsParam	params[] = {
		dbops_param_oid(table),
		dbops_param_texts(columns),
		dbops_param_text(but)
	};

	return dbops_query_each("SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
							" WHERE i.indrelid = $1 AND c.relname <> $3 AND i.indisvalid AND i.indpred IS NULL"
							" AND (m.amname = 'btree' OR m.amname = 'hash' AND cardinality($2) = 1)"
							" AND i.indnkeyatts >= cardinality($2)"
							" AND (SELECT array_agg(a.attname::text) FROM unnest((i.indkey::int2[])[0:cardinality($2) - 1]) k(number)"
							" JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number) @> $2 LIMIT 1",
							lengthof(params), params, NULL, NULL) > 0;
}
