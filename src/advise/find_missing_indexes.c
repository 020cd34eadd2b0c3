/*
 * find_missing_indexes.c
 *		Large tables that are read mostly from end to end, and who does it.
 *
 * These are candidates. Whether an index would help depends on how many rows a
 * statement wants, which nobody counts; so what is given are the statements that
 * name the table, and the columns that they compare and no index begins with,
 * never a statement that would make one.
 *
 * A table is listed if it has many rows, was read from end to end more than a few
 * times, these scans went on for a good part of it, and they have read more rows
 * than all indexes have found.
 */
#include "advise/table_reads.h"

#include "advise/index_advice.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_type.h"
#include "core/server.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/numeric.h"

#define N_COLUMNS			12
#define FEW_SCANS			10	/* as reports and dumps make them */
#define GOOD_PART			0.1 /* of the rows that a scan reads */
#define MOST_STATEMENTS		5	/* of a table, those that take most time */
#define MOST_CANDIDATES		5	/* columns */

typedef struct Report
{
	ReturnSetInfo *rsinfo;
	bool		texts;			/* the caller may see statements */
	const char *blind;			/* why statements are not known, as a clause; or NULL */
	DbopsIndexReader *reader;
} Report;

PG_FUNCTION_INFO_V1(dbops_find_missing_indexes);

static void require(bool condition, const char *what);
static List *read_mostly_by_scans(double min_rows, TimestampTz since);
static bool is_read_by_scans(const TableReads *reads);
static int	compare_reads(const ListCell *a, const ListCell *b);
static List *name_tables(const List *tables);
static void put_table(const Report *report, const TableReads *reads, const NamedTable *named);
static List *candidate_columns(const Report *report, const TableReads *reads, const NamedTable *named);
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
	tables = list_truncate(read_mostly_by_scans(PG_GETARG_INT64(1), dbops_clock_now() - window * 1000), PG_GETARG_INT32(2));
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

/* List them, those that read most rows first. */
static List *
read_mostly_by_scans(double min_rows, TimestampTz since)
{
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, dbops_table_reads(min_rows, since))
		if (is_read_by_scans(lfirst(cell)))
			found = lappend(found, lfirst(cell));
	list_sort(found, compare_reads);
	return found;
}

static bool
is_read_by_scans(const TableReads *reads)
{
	return reads->scans >= FEW_SCANS &&
		reads->rows_read / (double) reads->scans >= GOOD_PART * reads->rows &&
		reads->rows_read > reads->rows_by_index;
}

static int
compare_reads(const ListCell *a, const ListCell *b)
{
	const TableReads *one = lfirst(a);
	const TableReads *other = lfirst(b);

	if (one->rows_read != other->rows_read)
		return (one->rows_read > other->rows_read) ? -1 : 1;
	return (one->table < other->table) ? -1 : (one->table > other->table);
}

static List *
name_tables(const List *tables)
{
	List	   *named = NIL;
	ListCell   *cell;

	foreach(cell, tables)
	{
		const TableReads *reads = lfirst(cell);
		NamedTable *table = palloc0(sizeof(NamedTable));

		table->schema = reads->schema;
		table->name = reads->name;
		named = lappend(named, table);
	}
	return named;
}

static void
put_table(const Report *report, const TableReads *reads, const NamedTable *named)
{
	Datum		values[N_COLUMNS];
	bool		nulls[N_COLUMNS] = {false};
	List	   *columns = candidate_columns(report, reads, named);
	Jsonb	   *statements = describe_statements(report, named);

	values[0] = ObjectIdGetDatum(reads->table);
	values[1] = Int64GetDatum((int64) reads->rows);
	values[2] = Int64GetDatum(dbops_relation_bytes(reads->table));
	values[3] = Int64GetDatum(reads->scans);
	values[4] = Int64GetDatum(reads->rows_read);
	values[5] = Int64GetDatum(reads->rows_read / reads->scans);
	values[6] = Int64GetDatum(reads->rows_by_index);
	values[7] = NumericGetDatum(int64_div_fast_to_numeric((int64) rint(dbops_figure_percent(reads->rows_read, (double) reads->rows_read + reads->rows_by_index) * 100), 2));
	values[8] = TimestampTzGetDatum(reads->since);
	nulls[8] = (reads->since == 0);
	nulls[9] = (columns == NIL);
	values[9] = nulls[9] ? (Datum) 0 : dbops_param_texts(columns).value;
	nulls[10] = (statements == NULL);
	values[10] = nulls[10] ? (Datum) 0 : JsonbPGetDatum(statements);
	values[11] = CStringGetTextDatum(reason(report, named, columns));
	tuplestore_putvalues(report->rsinfo->setResult, report->rsinfo->setDesc, values, nulls);
}

/* The columns that statements compare and no valid index begins with, by the time of the statements. */
static List *
candidate_columns(const Report *report, const TableReads *reads, const NamedTable *named)
{
	List	   *indexes = dbops_index_read(report->reader, reads->table);
	List	   *columns = NIL;
	ListCell   *cell;

	foreach(cell, named->statements)
	{
		ListCell   *name;

		foreach(name, ((TableStatement *) lfirst(cell))->columns)
		{
			AttrNumber	column = get_attnum(reads->table, lfirst(name));

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
