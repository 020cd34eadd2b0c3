/*
 * statement_history.c
 *		What statements did, hour by hour.
 *
 * Once a minute an upkeep of the home database looks at pg_stat_statements, and
 * every ten minutes adds what has happened to the row of each statement for the
 * hour. The statements that took most time have rows of their own, the others
 * share one, so that the history of a day has a size that can be told. What was
 * not written yet outlives a restart (statement_memory.c), but not a crash. The
 * text of a statement is kept beside its rows, since pg_stat_statements forgets
 * it with the statement.
 */
#include "observe/history.h"
#include "observe/statement.h"

#include "access/xlog.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_sample_statements);

#define WRITE_AFTER		(10 * 60 * USECS_PER_SEC)
#define ROWS_AN_HOUR	500		/* with a row of their own, each time that is written */

/* The columns of statements, as arrays. */
typedef struct Arrays
{
	int			n;
	Datum	   *roles;
	Datum	   *databases;
	Datum	   *ids;
	Datum	   *toplevels;
	Datum	   *figures[N_STATEMENT_FIGURES];
} Arrays;

/* Statements that are summed up from rows. */
typedef struct Sums
{
	int			n;
	int			room;
	Statement  *statements;
} Sums;

static void keep_statements(void *arg);
static void write_if_due(TimestampTz now);
static void write_pending(Statement *pending, int n, TimestampTz hour);
static int	by_time(const void *a, const void *b);
static int	fold_rest(Statement *pending, int n);
static void write_rows(const Statement *statements, int n, TimestampTz hour);
static Arrays make_arrays(const Statement *statements, int n);
static void prune_texts(TimestampTz hour);
static void take_sum(HeapTuple row, TupleDesc desc, void *arg);

static const DbopsUpkeep keeping_statements = {
	.name = "statements",.every = 60000,.elsewhere = 0,.run = keep_statements
};

/* Register what is done in the background. */
void
dbops_statement_history_init(void)
{
	dbops_statement_memory_init();
	dbops_upkeep_register(&keeping_statements);
}

/* sample_statements() → void */
Datum
dbops_sample_statements(PG_FUNCTION_ARGS)
{
	keep_statements(NULL);
	PG_RETURN_VOID();
}

/* Look, once what was seen before is written where it is time for that. */
static void
keep_statements(void *arg)
{
	StatementLook look;

	if (dbops_statements_look(&look, false) != STATEMENTS_READ)
		return;
	dbops_statements_note(&look);
	if (!RecoveryInProgress())
		write_if_due(look.at);
	dbops_statement_memory_add(&look);
}

/* What happened in an hour is written for that hour, at its end at the latest. */
static void
write_if_due(TimestampTz now)
{
	TimestampTz since = dbops_statement_memory_pending_since();
	Statement  *pending;
	int			n;

	if (since == 0 ||
		(now - since < WRITE_AFTER && now >= since && dbops_statement_hour(now) == dbops_statement_hour(since)))
		return;
	if (!dbops_history_begin_partition(HISTORY_STATEMENTS, since))
		return;
	pending = dbops_statement_memory_take_pending(&n);
	write_pending(pending, n, dbops_statement_hour(since));
	if (dbops_statement_hour(now) != dbops_statement_hour(since))
		prune_texts(dbops_statement_hour(now));
}

TimestampTz
dbops_statement_hour(TimestampTz time)
{
	return time - ((time % USECS_PER_HOUR) + USECS_PER_HOUR) % USECS_PER_HOUR;
}

static void
write_pending(Statement *pending, int n, TimestampTz hour)
{
	qsort(pending, n, sizeof(Statement), by_time);
	n = fold_rest(pending, n);
	write_rows(pending, n, hour);
	dbops_statement_text_keep(hour);
}

static int
by_time(const void *a, const void *b)
{
	double		left = ((const Statement *) a)->figures[SF_TIME];
	double		right = ((const Statement *) b)->figures[SF_TIME];

	return (left < right) - (left > right);
}

/* Sum those up that get no row of their own; returns how many there are then. */
static int
fold_rest(Statement *pending, int n)
{
	Statement  *rest = &pending[ROWS_AN_HOUR];

	if (n <= ROWS_AN_HOUR)
		return n;
	memset(&rest->key, 0, sizeof(StatementKey));
	for (int i = ROWS_AN_HOUR + 1; i < n; i++)
		for (int j = 0; j < N_STATEMENT_FIGURES; j++)
			rest->figures[j] += pending[i].figures[j];
	return ROWS_AN_HOUR + 1;
}

static void
write_rows(const Statement *statements, int n, TimestampTz hour)
{
	Arrays		arrays = make_arrays(statements, n);
	DbopsParam	params[5 + N_STATEMENT_FIGURES] = {
		dbops_param_time(hour),
		dbops_param_array(arrays.roles, n, OIDOID),
		dbops_param_array(arrays.databases, n, OIDOID),
		dbops_param_array(arrays.ids, n, INT8OID),
		dbops_param_array(arrays.toplevels, n, BOOLOID)
	};

	for (int i = 0; i < N_STATEMENT_FIGURES; i++)
		params[5 + i] = dbops_param_array(arrays.figures[i], n, FLOAT8OID);
	dbops_store_each("INSERT INTO dbops.statement_1h AS s (at, role_id, database_id, query_id, toplevel,"
					 " calls, ms, row_count, blocks_hit, blocks_read, temp_blocks, wal_bytes)"
					 " SELECT $1, * FROM unnest($2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)"
					 " ON CONFLICT (at, database_id, role_id, query_id, toplevel) DO UPDATE SET"
					 " calls = s.calls + excluded.calls, ms = s.ms + excluded.ms, row_count = s.row_count + excluded.row_count,"
					 " blocks_hit = s.blocks_hit + excluded.blocks_hit, blocks_read = s.blocks_read + excluded.blocks_read,"
					 " temp_blocks = s.temp_blocks + excluded.temp_blocks, wal_bytes = s.wal_bytes + excluded.wal_bytes",
					 lengthof(params), params, NULL, NULL);
}

static Arrays
make_arrays(const Statement *statements, int n)
{
	Arrays		arrays = {
		.n = n,
		.roles = palloc(sizeof(Datum) * (n + 1)),
		.databases = palloc(sizeof(Datum) * (n + 1)),
		.ids = palloc(sizeof(Datum) * (n + 1)),
		.toplevels = palloc(sizeof(Datum) * (n + 1))
	};

	for (int j = 0; j < N_STATEMENT_FIGURES; j++)
		arrays.figures[j] = palloc(sizeof(Datum) * (n + 1));
	for (int i = 0; i < n; i++)
	{
		arrays.roles[i] = ObjectIdGetDatum(statements[i].key.role);
		arrays.databases[i] = ObjectIdGetDatum(statements[i].key.database);
		arrays.ids[i] = Int64GetDatum(statements[i].key.id);
		arrays.toplevels[i] = BoolGetDatum(statements[i].key.toplevel != 0);
		for (int j = 0; j < N_STATEMENT_FIGURES; j++)
			arrays.figures[j][i] = Float8GetDatum(statements[i].figures[j]);
	}
	return arrays;
}

/* Once a day the texts go that are nobody's any more, since partitions were dropped. */
static void
prune_texts(TimestampTz hour)
{
	if (hour % USECS_PER_DAY == 0)
		dbops_store_each("DELETE FROM dbops.statement_text t WHERE NOT EXISTS (SELECT FROM dbops.statement_1h s"
						 " WHERE s.query_id = t.query_id AND s.database_id = t.database_id)", 0, NULL, NULL, NULL);
}

/* Sum up what happened since the beginning of an hour, as far as it is written. Unordered. */
Statement *
dbops_statement_history_read(TimestampTz since, int *n)
{
	DbopsParam	params[] = {dbops_param_time(dbops_statement_hour(since)), dbops_param_time(dbops_clock_now())};
	Sums		sums = {.room = 64};

	sums.statements = palloc(sizeof(Statement) * sums.room);
	dbops_store_each("SELECT s.role_id, s.database_id, s.query_id, s.toplevel, s.calls, s.ms, s.row_count,"
					 " s.blocks_hit, s.blocks_read, s.temp_blocks, s.wal_bytes, s.since, t.query"
					 " FROM (SELECT role_id, database_id, query_id, toplevel, sum(calls) AS calls, sum(ms) AS ms,"
					 " sum(row_count) AS row_count, sum(blocks_hit) AS blocks_hit, sum(blocks_read) AS blocks_read,"
					 " sum(temp_blocks) AS temp_blocks, sum(wal_bytes) AS wal_bytes, min(at) AS since"
					 " FROM dbops.statement_1h WHERE at >= $1 AND at <= $2 GROUP BY 1, 2, 3, 4) s"
					 " LEFT JOIN dbops.statement_text t ON t.query_id = s.query_id AND t.database_id = s.database_id",
					 lengthof(params), params, take_sum, &sums);
	*n = sums.n;
	return sums.statements;
}

static void
take_sum(HeapTuple row, TupleDesc desc, void *arg)
{
	Sums	   *sums = arg;
	Statement  *statement;

	if (sums->n == sums->room)
	{
		sums->room *= 2;
		sums->statements = repalloc_huge(sums->statements, sizeof(Statement) * sums->room);
	}
	statement = &sums->statements[sums->n++];
	memset(statement, 0, sizeof(Statement));
	statement->key.role = dbops_row_oid(row, desc, 1);
	statement->key.database = dbops_row_oid(row, desc, 2);
	statement->key.id = dbops_row_int8(row, desc, 3);
	statement->key.toplevel = dbops_row_bool(row, desc, 4);
	for (int i = 0; i < N_STATEMENT_FIGURES; i++)
		statement->figures[i] = dbops_row_float8(row, desc, 5 + i);
	statement->since = dbops_row_time(row, desc, 12);
	statement->text = dbops_row_text(row, desc, 13);
}
