/*
 * slow_queries.c
 *		slow_queries(): the statements that take most, by what one asks for.
 *
 * Without a time the figures are those of pg_stat_statements as they stand; with
 * one they are what happened since, out of the history and what was seen after
 * its last row. Many calls that each return few rows, by many statements that
 * differ in nothing but a value, show as one statement with few rows a call.
 */
#include "observe/report.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "observe/metric.h"
#include "observe/statement.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_slow_queries);

typedef enum Order
{
	BY_MEAN, BY_TOTAL, BY_SHARE, BY_CALLS, BY_CACHE, BY_TEMP, BY_WAL, N_ORDERS
} Order;

static const char *const orders[N_ORDERS] = {"mean", "total", "share", "calls", "cache", "temp", "wal"};

/* What is shown. */
typedef struct Report
{
	Order		order;
	TimestampTz since;			/* 0: as pg_stat_statements has it */
	bool		texts;
	int			n;
	Statement  *statements;
	TimestampTz began;			/* of figures that do not say themselves */
	double		total_time;		/* ms, of all statements */
} Report;

static Order take_order(FunctionCallInfo fcinfo, int argument);
static TimestampTz take_since(FunctionCallInfo fcinfo, int argument);
static void require_history(void);
static void read_as_they_stand(Report *report);
static void read_since(Report *report);
static int	merge_equal(Statement *statements, int n);
static void find_texts(Report *report, int n);
static int	by_order(const void *a, const void *b, void *arg);
static double weight(const Statement *statement, Order order);
static void put_statement(ReportRow *row, const Report *report, const Statement *statement);

/* slow_queries(row_limit, order_by, since) → statements, those with most of it first */
Datum
dbops_slow_queries(PG_FUNCTION_ARGS)
{
	int			limit = dbops_report_limit(fcinfo, 0);
	Report		report = {.order = take_order(fcinfo, 1),.since = take_since(fcinfo, 2)};
	ReportRow	row;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	report.texts = dbops_report_shows_texts();
	if (report.since == 0)
		read_as_they_stand(&report);
	else
		read_since(&report);
	for (int i = 0; i < report.n; i++)
		report.total_time += report.statements[i].figures[SF_TIME];
	qsort_arg(report.statements, report.n, sizeof(Statement), by_order, &report);
	limit = Min(limit, report.n);
	if (report.since != 0 && report.texts)
		find_texts(&report, limit);
	for (int i = 0; i < limit; i++)
		put_statement(&row, &report, &report.statements[i]);
	return (Datum) 0;
}

static Order
take_order(FunctionCallInfo fcinfo, int argument)
{
	const char *name;

	dbops_require_argument(fcinfo, argument, "order_by");
	name = dbops_text_argument(fcinfo, argument);
	for (int i = 0; i < N_ORDERS; i++)
		if (strcmp(name, orders[i]) == 0)
			return i;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("order_by must not be \"%s\"", name),
			 errhint("Say mean, total, share, calls, cache, temp or wal.")));
}

/* Null is 0. */
static TimestampTz
take_since(FunctionCallInfo fcinfo, int argument)
{
	TimestampTz since;

	if (PG_ARGISNULL(argument))
		return 0;
	since = PG_GETARG_TIMESTAMPTZ(argument);
	if (TIMESTAMP_NOT_FINITE(since) || since >= dbops_clock_now())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("since must be in the past"),
				 errhint("Say for example now() - interval '1 hour', or NULL for all that pg_stat_statements has.")));
	require_history();
	return since;
}

/* The history is in one database of a primary. */
static void
require_history(void)
{
	Oid			home = dbops_home_database();

	if (dbops_ring_is_own() && dbops_test_now > 0)
		return;
	if (RecoveryInProgress())
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a standby keeps no history of its statements"),
				 errhint("Leave since out to see all that it has recorded.")));
	if (!OidIsValid(home))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("no history of statements is kept"),
				 errhint("Add dbops to shared_preload_libraries and restart the server, or leave since out.")));
	if (home != MyDatabaseId)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("the history of statements is in another database"),
				 errhint("Connect to database %s, or leave since out.", dbops_database_name(home))));
}

static void
read_as_they_stand(Report *report)
{
	StatementLook look;

	dbops_statements_require(&look, report->texts);
	report->n = look.n;
	report->statements = look.statements;
	report->began = look.reset;
}

/* The history, and what has not come there yet. */
static void
read_since(Report *report)
{
	TimestampTz pending_since;
	int			n_pending;
	Statement  *pending = dbops_statement_memory_pending(&n_pending, &pending_since);

	report->statements = dbops_statement_history_read(report->since, &report->n);
	report->statements = repalloc_huge(report->statements, sizeof(Statement) * (report->n + n_pending + 1));
	memcpy(&report->statements[report->n], pending, sizeof(Statement) * n_pending);
	report->n = merge_equal(report->statements, report->n + n_pending);
	report->began = pending_since;
}

/* Sum up those with the same key; returns how many are left. What is nobody's own counts, but comes last. */
static int
merge_equal(Statement *statements, int n)
{
	int			left = 0;

	qsort(statements, n, sizeof(Statement), dbops_statement_compare);
	for (int i = 0; i < n; i++)
	{
		Statement  *last = &statements[left - 1];

		if (left == 0 || dbops_statement_compare(last, &statements[i]) != 0)
		{
			statements[left++] = statements[i];
			continue;
		}
		for (int j = 0; j < N_STATEMENT_FIGURES; j++)
			last->figures[j] += statements[i].figures[j];
		if (last->since == 0 || (statements[i].since != 0 && statements[i].since < last->since))
			last->since = statements[i].since;
		if (last->text == NULL)
			last->text = statements[i].text;
	}
	return left;
}

/* What has no row in the history has no text there; nor is one that was cut off all of it. */
static void
find_texts(Report *report, int n)
{
	StatementLook look;
	bool		missing = false;

	for (int i = 0; i < n; i++)
		missing = missing || (report->statements[i].text == NULL && report->statements[i].key.id != 0);
	if (!missing || dbops_statements_look(&look, true) != STATEMENTS_READ)
		return;
	for (int i = 0; i < n; i++)
	{
		const Statement *now = dbops_statement_find(&look, &report->statements[i].key);

		if (report->statements[i].text == NULL && now != NULL)
			report->statements[i].text = now->text;
	}
}

static int
by_order(const void *a, const void *b, void *arg)
{
	const Report *report = arg;
	const Statement *left = a;
	const Statement *right = b;
	double		difference = weight(right, report->order) - weight(left, report->order);

	if ((left->key.id == 0) != (right->key.id == 0))
		return left->key.id == 0 ? 1 : -1;
	if (difference != 0)
		return difference > 0 ? 1 : -1;
	return dbops_statement_compare(left, right);
}

static double
weight(const Statement *statement, Order order)
{
	const double *figures = statement->figures;

	switch (order)
	{
		case BY_MEAN:
			return figures[SF_CALLS] > 0 ? figures[SF_TIME] / figures[SF_CALLS] : 0;
		case BY_CALLS:
			return figures[SF_CALLS];
		case BY_CACHE:
			return figures[SF_READ];
		case BY_TEMP:
			return figures[SF_TEMP];
		case BY_WAL:
			return figures[SF_WAL];
		default:
			return figures[SF_TIME];
	}
}

static void
put_statement(ReportRow *row, const Report *report, const Statement *statement)
{
	const double *figures = statement->figures;
	bool		rest = (statement->key.id == 0);

	if (rest)
		dbops_report_null(row);
	else
		dbops_report_bigint(row, statement->key.id);
	dbops_report_text(row, rest ? NULL : dbops_database_name(statement->key.database));
	dbops_report_text(row, rest ? NULL : dbops_role_name(statement->key.role));
	dbops_report_bigint(row, (int64) figures[SF_CALLS]);
	dbops_report_decimal(row, figures[SF_CALLS] > 0 ? figures[SF_TIME] / figures[SF_CALLS] : NAN);
	dbops_report_decimal(row, figures[SF_TIME]);
	dbops_report_decimal(row, dbops_figure_percent(figures[SF_TIME], report->total_time));
	dbops_report_bigint(row, (int64) figures[SF_ROWS]);
	dbops_report_decimal(row, figures[SF_CALLS] > 0 ? figures[SF_ROWS] / figures[SF_CALLS] : NAN);
	dbops_report_decimal(row, dbops_figure_percent(figures[SF_HIT], figures[SF_HIT] + figures[SF_READ]));
	dbops_report_bigint(row, (int64) figures[SF_READ] * BLCKSZ);
	dbops_report_bigint(row, (int64) figures[SF_TEMP] * BLCKSZ);
	dbops_report_bigint(row, (int64) figures[SF_WAL]);
	dbops_report_boolean(row, statement->key.toplevel != 0);
	dbops_report_time(row, statement->since != 0 ? statement->since : report->began);
	dbops_report_text(row, !report->texts ? NULL : rest ? "(all others)" : statement->text);
	dbops_report_put(row);
}
