/*
 * migration_receipt.c
 *		Receipts of statements, as rows and as documents.
 *
 * A real run, a rollback and a trial answer with the same row, so that what a
 * trial has shown can be compared with what then happened. The ledger keeps
 * the same receipt as a document, with durations in milliseconds.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "nodes/pg_list.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/timestamp.h"

#define COLUMNS 19

/* A row being filled, from its first column on. */
typedef struct Row
{
	Datum		values[COLUMNS];
	bool		nulls[COLUMNS];
	int			filled;
} Row;

static int	rank(const char *effect);
static void put(Row *row, Datum value, bool isnull);
static void put_text(Row *row, const char *text);
static void put_number(Row *row, int number, int none);
static void put_amount(Row *row, int64 amount, int64 none);
static void put_time(Row *row, double ms);
static void put_document(Row *row, Jsonb *document);
static void put_texts(Row *row, List *texts);
static void add_text(DbopsJson *json, const char *key, const char *text);
static void add_amount(DbopsJson *json, const char *key, int64 amount, int64 none);
static void add_time(DbopsJson *json, const char *key, double ms);
static void add_document(DbopsJson *json, const char *key, Jsonb *document);

/* Append a receipt to the result of a function that returns SETOF dbops.migration_receipt. */
void
dbops_migration_receipt_put(ReturnSetInfo *rsinfo, const MigrationReceipt *receipt)
{
	Row			row = {.filled = 0};

	put_text(&row, receipt->version);
	put_text(&row, receipt->direction);
	put_number(&row, receipt->step, 0);
	put_number(&row, receipt->line, 0);
	put_text(&row, receipt->command);
	put_text(&row, receipt->state);
	put_text(&row, receipt->effect);
	put_document(&row, receipt->locks);
	put_document(&row, receipt->objects);
	put_amount(&row, receipt->rows, -1);
	put_amount(&row, receipt->wal, -1);
	put_time(&row, receipt->duration);
	put_time(&row, receipt->waited);
	put_number(&row, receipt->blocked_sessions, -1);
	put_time(&row, receipt->blocked_for);
	put_texts(&row, receipt->flags);
	put_texts(&row, receipt->notices);
	put_text(&row, receipt->message);
	put_amount(&row, receipt->job, 0);

	Assert(row.filled == COLUMNS);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, row.values, row.nulls);
}

/*
 * What the ledger keeps of a receipt: what was done and what it took. Which
 * statement that was is said by the ledger's own columns; what is not known is left out.
 */
Jsonb *
dbops_migration_receipt_document(const MigrationReceipt *receipt)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	add_text(&json, "effect", receipt->effect);
	add_document(&json, "locks", receipt->locks);
	add_document(&json, "objects", receipt->objects);
	add_amount(&json, "rows", receipt->rows, -1);
	add_amount(&json, "wal_bytes", receipt->wal, -1);
	add_time(&json, "duration_ms", receipt->duration);
	add_time(&json, "waited_ms", receipt->waited);
	add_amount(&json, "blocked_sessions", receipt->blocked_sessions, -1);
	add_time(&json, "blocked_for_ms", receipt->blocked_for);
	dbops_json_texts(&json, "flags", receipt->flags);
	dbops_json_texts(&json, "notices", receipt->notices);
	add_text(&json, "message", receipt->message);
	return dbops_json_finish(&json);
}

/* Add what a statement has done to the receipt of the whole. */
void
dbops_migration_receipt_add(MigrationReceipt *whole, const MigrationReceipt *one)
{
	if (rank(one->effect) > rank(whole->effect))
		whole->effect = one->effect;
	whole->rows = Max(whole->rows, 0) + Max(one->rows, 0);
	whole->wal = Max(whole->wal, 0) + Max(one->wal, 0);
	whole->duration = Max(whole->duration, 0) + Max(one->duration, 0);
	whole->waited = Max(whole->waited, 0) + Max(one->waited, 0);
	whole->blocked_sessions = Max(whole->blocked_sessions, one->blocked_sessions);
	whole->blocked_for = Max(whole->blocked_for, one->blocked_for);
}

/* How much an effect means to others. */
static int
rank(const char *effect)
{
	static const char *const effects[] = {"metadata", "rows", "scan", "index build", "rewrite"};

	for (int i = 0; effect != NULL && i < (int) lengthof(effects); i++)
		if (strcmp(effect, effects[i]) == 0)
			return i + 1;
	return 0;
}

static void
put_text(Row *row, const char *text)
{
	put(row, text == NULL ? (Datum) 0 : CStringGetTextDatum(text), text == NULL);
}

static void
put_number(Row *row, int number, int none)
{
	put(row, Int32GetDatum(number), number == none);
}

static void
put_amount(Row *row, int64 amount, int64 none)
{
	put(row, Int64GetDatum(amount), amount == none);
}

static void
put_time(Row *row, double ms)
{
	Interval   *interval = palloc0(sizeof(Interval));

	interval->time = (TimeOffset) (ms * 1000);
	put(row, IntervalPGetDatum(interval), ms < 0);
}

static void
put_document(Row *row, Jsonb *document)
{
	put(row, document == NULL ? (Datum) 0 : JsonbPGetDatum(document), document == NULL);
}

/* No texts at all are null. */
static void
put_texts(Row *row, List *texts)
{
	int			n = list_length(texts);
	Datum	   *elements = palloc(sizeof(Datum) * Max(n, 1));

	for (int i = 0; i < n; i++)
		elements[i] = CStringGetTextDatum(list_nth(texts, i));
	put(row, PointerGetDatum(construct_array(elements, n, TEXTOID, -1, false, TYPALIGN_INT)), n == 0);
}

static void
put(Row *row, Datum value, bool isnull)
{
	row->values[row->filled] = value;
	row->nulls[row->filled] = isnull;
	row->filled++;
}

static void
add_text(DbopsJson *json, const char *key, const char *text)
{
	if (text != NULL)
		dbops_json_text(json, key, text);
}

static void
add_amount(DbopsJson *json, const char *key, int64 amount, int64 none)
{
	if (amount != none)
		dbops_json_integer(json, key, amount);
}

static void
add_time(DbopsJson *json, const char *key, double ms)
{
	if (ms >= 0)
		dbops_json_decimal(json, key, ms);
}

static void
add_document(DbopsJson *json, const char *key, Jsonb *document)
{
	if (document != NULL)
		dbops_json_document(json, key, document);
}
