/*
 * find_missing_indexes.c
 *		Large tables that are read mostly from end to end, and who does it.
 *
 * These are candidates. Whether an index would help depends on how many rows a
 * statement wants, which nobody counts; so what is given are the statements that
 * name the table, and the columns that they compare and no index begins with,
 * never a statement that would make one.
 *
 * Which tables these are stands in table_scans.c. A statement may name one by the
 * table that it is a child of, or name a partition of it.
 */
#include "advise/table_reads.h"

#include "advise/index_advice.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "core/server.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#define N_COLUMNS			12
#define MOST_STATEMENTS		5	/* of a table, those that take most time */
#define MOST_CANDIDATES		5	/* columns */

typedef struct Report
{
	ReturnSetInfo *rsinfo;
	bool		texts;			/* the caller may see statements, and by which queryid to find them */
	const char *blind;			/* why statements are not known, as a clause; or NULL */
	DbopsIndexReader *reader;
} Report;

PG_FUNCTION_INFO_V1(dbops_find_missing_indexes);

static void require(bool condition, const char *what);
static List *name_tables(const List *tables);
static void take_name(HeapTuple row, TupleDesc desc, void *arg);
static void put_table(const Report *report, const TableScans *scans, const NamedTable *named);
static int64 bytes_of(const TableScans *scans);
static List *candidate_columns(const Report *report, Oid table, const NamedTable *named);
static bool leads_an_index(List *indexes, AttrNumber column);
static Jsonb *describe_statements(const Report *report, const NamedTable *named);
static const char *reason(const Report *report, const NamedTable *named, const List *columns);

/* find_missing_indexes(time_window, min_rows, row_limit) → setof record */
Datum
dbops_find_missing_indexes(PG_FUNCTION_ARGS)
{
	Report		report = {
		.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo,
		.texts = has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS)
	};
	int64		window;
	List	   *tables;
	List	   *named;
	ListCell   *cell;
	ListCell   *name;

	dbops_require_argument(fcinfo, 0, "time_window");
	dbops_require_argument(fcinfo, 1, "min_rows");
	dbops_require_argument(fcinfo, 2, "row_limit");
	window = dbops_interval_ms(PG_GETARG_INTERVAL_P(0));
	require(window > 0, "time_window must be positive");
	require(PG_GETARG_INT64(1) >= 0, "min_rows must not be negative");
	require(PG_GETARG_INT32(2) >= 1, "row_limit must be at least 1");
	InitMaterializedSRF(fcinfo, 0);
	tables = list_truncate(dbops_tables_scanned(PG_GETARG_INT64(1), dbops_clock_now() - window * 1000), PG_GETARG_INT32(2));
	named = name_tables(tables);
	report.blind = (named == NIL) ? NULL : dbops_table_statements(named);
	report.reader = dbops_index_reader_begin();
	forboth(cell, tables, name, named)
		put_table(&report, lfirst(cell), lfirst(name));
	dbops_index_reader_end(report.reader);
	return (Datum) 0;
}

static void
require(bool condition, const char *what)
{
	if (!condition)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s", what),
				 errhint("Type for example SELECT * FROM dbops.find_missing_indexes('7 days', 10000, 20);")));
}

static List *
name_tables(const List *tables)
{
	List	   *named = NIL;
	List	   *parts = NIL;
	List	   *numbers = NIL;
	DbopsParam	params[2];
	ListCell   *cell;
	ListCell   *part;

	foreach(cell, tables)
	{
		foreach(part, ((const TableScans *) lfirst(cell))->parts)
		{
			parts = lappend_oid(parts, ((const TableReads *) lfirst(part))->table);
			numbers = lappend_oid(numbers, list_length(named));
		}
		named = lappend(named, palloc0(sizeof(NamedTable)));
	}
	params[0] = dbops_param_oids(numbers);
	params[1] = dbops_param_oids(parts);
	dbops_query_each("WITH RECURSIVE up (number, table_oid) AS (SELECT * FROM unnest($1, $2)"
					 " UNION SELECT up.number, h.inhparent FROM up JOIN pg_inherits h ON h.inhrelid = up.table_oid)"
					 " SELECT up.number, n.nspname::text, c.relname::text"
					 " FROM up JOIN pg_class c ON c.oid = up.table_oid JOIN pg_namespace n ON n.oid = c.relnamespace",
					 lengthof(params), params, take_name, named);
	return named;
}

static void
take_name(HeapTuple row, TupleDesc desc, void *arg)
{
	NamedTable *named = list_nth(arg, dbops_row_oid(row, desc, 1));
	TableName  *name = palloc(sizeof(TableName));

	name->schema = dbops_row_text(row, desc, 2);
	name->name = dbops_row_text(row, desc, 3);
	named->names = lappend(named->names, name);
}

static void
put_table(const Report *report, const TableScans *scans, const NamedTable *named)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	List	   *columns = candidate_columns(report, scans->table, named);
	Jsonb	   *statements = describe_statements(report, named);

	values[0] = ObjectIdGetDatum(scans->table);
	values[1] = Int64GetDatum((int64) scans->rows);
	values[2] = Int64GetDatum(bytes_of(scans));
	values[3] = Int64GetDatum(scans->scans);
	values[4] = Int64GetDatum(scans->rows_read);
	values[5] = Int64GetDatum(scans->rows_read / scans->scans);
	values[6] = Int64GetDatum(scans->rows_by_index);
	values[7] = NumericGetDatum(int64_div_fast_to_numeric((int64) rint(dbops_figure_percent(scans->rows_read, (double) scans->rows_read + scans->rows_by_index) * 100), 2));
	values[8] = TimestampTzGetDatum(scans->since);
	nulls[8] = (scans->since == 0);
	nulls[9] = (columns == NIL);
	values[9] = nulls[9] ? (Datum) 0 : dbops_param_texts(columns).value;
	nulls[10] = (statements == NULL);
	values[10] = nulls[10] ? (Datum) 0 : JsonbPGetDatum(statements);
	values[11] = CStringGetTextDatum(reason(report, named, columns));
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc, values, nulls);
}

static int64
bytes_of(const TableScans *scans)
{
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, scans->parts)
		bytes += dbops_relation_bytes(((const TableReads *) lfirst(cell))->table);
	return bytes;
}

/* The columns that statements compare and no valid index begins with, by the time of the statements. */
static List *
candidate_columns(const Report *report, Oid table, const NamedTable *named)
{
	List	   *indexes = dbops_index_read(report->reader, table);
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, named->statements)
	{
		ListCell   *name;

		foreach(name, ((TableStatement *) lfirst(cell))->columns)
		{
			AttrNumber	column = get_attnum(table, lfirst(name));

			if (column > 0 && !leads_an_index(indexes, column) && !dbops_texts_have(columns, lfirst(name)) &&
				list_length(columns) < MOST_CANDIDATES)
				columns = lappend(columns, lfirst(name));
		}
	}
	return columns;
}

static bool
leads_an_index(List *indexes, AttrNumber column)
{
	ListCell   *cell;

	foreach(cell, indexes)
	{
		const DbopsIndex *index = lfirst(cell);

		if (index->valid && index->columns[0] == column && index->predicate == NIL)
			return true;
	}
	return false;
}

/* As an array; NULL: none is known. Only who may see texts does. */
static Jsonb *
describe_statements(const Report *report, const NamedTable *named)
{
	DbopsJson	json = {0};
	int			n = 0;
	ListCell   *cell;

	if (named->statements == NIL)
		return NULL;
	dbops_json_array(&json, NULL);
	foreach(cell, named->statements)
	{
		const TableStatement *statement = lfirst(cell);

		if (n++ == MOST_STATEMENTS)
			break;
		dbops_json_object(&json, NULL);
		if (report->texts)
			dbops_json_integer(&json, "queryid", statement->id);
		dbops_json_integer(&json, "calls", statement->calls);
		dbops_json_decimal(&json, "total_ms", statement->time);
		if (report->texts)
			dbops_json_text(&json, "query", statement->text);
		dbops_json_object_end(&json);
	}
	dbops_json_array_end(&json);
	return JsonbValueToJsonb(json.value);
}

static const char *
reason(const Report *report, const NamedTable *named, const List *columns)
{
	if (report->blind != NULL)
		return psprintf("candidate; which statements read it is not known: %s", report->blind);
	if (named->statements == NIL)
		return "candidate; no recorded statement names it: a view or a function may read it";
	if (columns == NIL)
		return "candidate; its statements compare no column that is without an index: they may want all rows";
	return "candidate; see with EXPLAIN whether an index by such a column would be used";
}
