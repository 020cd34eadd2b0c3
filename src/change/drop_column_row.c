/*
 * drop_column_row.c
 *		Functions of a whole row that read a column of it.
 *
 * To the server they depend on the table, not on its columns, and so does what
 * calls them. When the column is gone, an index or a CHECK that calls one has
 * every write fail, and a view or a policy each statement that comes to it. A row
 * has its columns read behind a dot; what selects them all reads those there are.
 */
#include "change/drop_column.h"

#include "lib/stringinfo.h"

/* Functions p of the rows of the tables that have the column, and what calls them, u. */
#define ROW_FUNCTIONS \
	" FROM own JOIN pg_type t ON t.typrelid = own.relid" \
	" JOIN pg_depend d ON d.refclassid = 'pg_type'::regclass AND d.refobjid = t.oid AND d.classid = 'pg_proc'::regclass" \
	" JOIN pg_proc p ON p.oid = d.objid AND p.prosqlbody IS NULL" \
	" JOIN pg_depend u ON u.refclassid = 'pg_proc'::regclass AND u.refobjid = p.oid AND u.classid <> 'pg_proc'::regclass"

/* As who reads it knows them: user, function, body. */
#define CALLS \
	COLUMN_AND_BELOW " SELECT DISTINCT pg_describe_object(coalesce(v.class, u.classid), coalesce(v.oid, u.objid), CASE WHEN v.oid IS NULL THEN u.objsubid ELSE 0 END) COLLATE \"C\"," \
	" p.oid::regprocedure::text COLLATE \"C\", p.prosrc" ROW_FUNCTIONS \
	" LEFT JOIN pg_rewrite w ON u.classid = 'pg_rewrite'::regclass AND w.oid = u.objid" \
	" LEFT JOIN LATERAL (SELECT 'pg_class'::regclass::oid, w.ev_class WHERE w.rulename = '_RETURN') v (class, oid) ON true" \
	" WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE u.classid = 'pg_class'::regclass AND h.inhrelid = u.objid) ORDER BY 1, 2"

typedef struct RowFunctions
{
	const char *column;
	StringInfoData calls;		/* a line for each call of one that reads it */
} RowFunctions;

static char *calls_of(Oid table, const char *column);
static void add_call(HeapTuple row, TupleDesc desc, void *arg);

/* Told long before the column goes; what_to_do is the hint. */
void
dbops_drop_column_tell_row_functions(Oid table, const char *column, const char *what_to_do)
{
	char	   *calls = calls_of(table, column);

	if (calls != NULL)
		ereport(WARNING,
				(errmsg("functions of rows of table %s seem to read column %s", dbops_quote_relation(table), dbops_quote_name(column)),
				 errdetail_internal("%s", calls),
				 errhint("%s", what_to_do)));
}

/* Refuse to have it go. */
void
dbops_drop_column_refuse_row_functions(Oid table, const char *column, const char *what_to_do)
{
	char	   *calls = calls_of(table, column);

	if (calls != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("functions of rows of table %s, which other objects call, seem to read column %s", dbops_quote_relation(table), dbops_quote_name(column)),
				 errdetail_internal("%s", calls),
				 errhint("%s", what_to_do)));
}

static char *
calls_of(Oid table, const char *column)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_text(column)};
	RowFunctions functions = {.column = column};

	initStringInfo(&functions.calls);
	dbops_query_each(CALLS, lengthof(params), params, add_call, &functions);
	return functions.calls.len > 0 ? functions.calls.data : NULL;
}

static void
add_call(HeapTuple row, TupleDesc desc, void *arg)
{
	RowFunctions *functions = arg;

	if (dbops_text_has_field(dbops_row_text(row, desc, 3), functions->column))
		appendStringInfo(&functions->calls, "%s%s calls %s", functions->calls.len > 0 ? "\n" : "", dbops_row_text(row, desc, 1), dbops_row_text(row, desc, 2));
}

/*
 * SQL to go behind that which drops it, or "". Sessions keep the expressions of
 * an index, with the body of a function as it was, until something of the index
 * itself is altered: the reset of a parameter that no index has does just that.
 */
char *
dbops_drop_column_renew_indexes(Oid table, const char *column)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_text(column)};

	return dbops_query_text(COLUMN_AND_BELOW " SELECT coalesce(string_agg(DISTINCT format('; ALTER INDEX IF EXISTS %s RESET (dbops_expressions)', i.oid::regclass), ''), '')"
							ROW_FUNCTIONS " JOIN pg_class i ON u.classid = 'pg_class'::regclass AND i.oid = u.objid AND i.relkind = 'i'"
							" WHERE NOT EXISTS (SELECT FROM pg_depend o JOIN own c ON c.relid = o.refobjid AND c.attnum = o.refobjsubid"
							" WHERE o.classid = 'pg_class'::regclass AND o.objid = i.oid AND o.refclassid = 'pg_class'::regclass)",
							lengthof(params), params);
}
