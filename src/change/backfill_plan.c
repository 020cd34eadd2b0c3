/*
 * backfill_plan.c
 *		backfill_plan(): what a backfill would do, before it does it.
 *
 * It is refused as the call is, by the same code, and changes nothing: the look
 * happens in a subtransaction that is rolled back, so that its locks are given
 * back at once. It waits for a lock as long as a batch does, and then names who
 * has it: a report must not stand in a queue that others stand behind. Its cost is bounded whatever the size of the table:
 * see backfill_sample.c. Where a figure is an estimate, the note says of what.
 */
#include "change/change.h"

#include <math.h>

#include "core/server.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_backfill_plan);

/*
 * Seconds that things take where dbops has not measured a backfill here: on
 * one core of ordinary hardware without standbys. What is real lies between a
 * half and five times of that.
 */
#define ROW_TIME 2.5e-6
#define ENTRY_TIME 1.5e-6
#define WAL_TIME (1 / (400 * MB))
#define FASTER 0.5
#define SLOWER 5

/* Blocks from which nothing can be said about how far the figures may be off. */
#define FEW_BLOCKS 30

/* Rows that a past backfill must have changed for its rate to tell something. */
#define TELLING_ROWS 10000

#define PAST_RATES(condition) \
	"SELECT pg_catalog.count(*), pg_catalog.min(r.rate)::bigint, pg_catalog.max(r.rate)::bigint FROM (" \
	"SELECT (result ->> 'rows')::float8 / EXTRACT(epoch FROM finished_at - started_at) + 1 AS rate FROM dbops.job" \
	" WHERE kind = 'backfill' AND state = 'succeeded' AND finished_at > started_at AND $1 IS NOT NULL" \
	" AND (result ->> 'rows')::bigint >= $2 " condition " ORDER BY finished_at DESC LIMIT 10) r"

/* A plan that is being made. */
typedef struct BackfillPlan
{
	FunctionCallInfo fcinfo;
	ReturnSetInfo *rsinfo;
	BackfillRun *run;
	List	   *samples;
	BackfillForecast forecast;
	const char *unknown;		/* why nothing is known of the rows; or NULL */
} BackfillPlan;

/* How fast backfills were. */
typedef struct PastRates
{
	double		slowest;		/* rows a second */
	double		fastest;
	int64		backfills;
	bool		same_table;
} PastRates;

static void look(void *arg);
static void take_samples(void *arg);
static void put_figure(const BackfillPlan *plan, const char *item, const char *value,
					   double number, const char *note);
static void put_tables(const BackfillPlan *plan);
static void put_rows(const BackfillPlan *plan);
static void put_failing(const BackfillPlan *plan);
static const char *failure(const BackfillPlan *plan);
static const char *unlooked_reason(const BackfillPlan *plan);
static void put_method(const BackfillPlan *plan);
static const char *key_columns(const BackfillRun *run);
static void put_hot(const BackfillPlan *plan);
static void put_wal(const BackfillPlan *plan);
static void put_growth(const BackfillPlan *plan);
static void put_disk(const BackfillPlan *plan);
static const Disk *disk_of(const Disks *disks, const char *tablespace);
static void put_duration(const BackfillPlan *plan);
static void read_past(const BackfillPlan *plan, PastRates *rates);
static void take_rates(HeapTuple row, TupleDesc desc, void *arg);
static void put_meanwhile(const BackfillPlan *plan);
static const char *percent(double part, double whole);
static const char *names(List *strings);

/* backfill_plan(the arguments of start_backfill) → setof (item, value, number, note) */
Datum
dbops_backfill_plan(PG_FUNCTION_ARGS)
{
	BackfillPlan plan = {.fcinfo = fcinfo,.run = palloc0(sizeof(BackfillRun))};

	InitMaterializedSRF(fcinfo, 0);
	plan.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	plan.run->memory = CurrentMemoryContext;
	dbops_look(look, &plan);
	return (Datum) 0;
}

static void
look(void *arg)
{
	BackfillPlan *plan = arg;
	double		pending;

	plan->run->request.foreseen = true;
	plan->run->request.patience = dbops_polite_lock_wait();
	dbops_set_local("lock_timeout", psprintf("%ld", plan->run->request.patience));
	dbops_backfill_prepare(plan->fcinfo, plan->run, true);
	dbops_query_inside(take_samples, plan);
	dbops_backfill_forecast(plan->run, plan->samples, &plan->forecast);
	if (plan->forecast.looked == 0 && !plan->forecast.complete)
		plan->unknown = unlooked_reason(plan);
	pending = (plan->unknown != NULL) ? NAN : plan->forecast.pending;

	put_tables(plan);
	put_rows(plan);
	put_failing(plan);
	put_method(plan);
	put_hot(plan);
	put_wal(plan);
	put_growth(plan);
	put_disk(plan);
	put_duration(plan);
	dbops_backfill_report_effects(plan->run, pending, plan->rsinfo);
	put_meanwhile(plan);
	dbops_backfill_report_warnings(plan->run, pending, plan->rsinfo);
}

static void
take_samples(void *arg)
{
	BackfillPlan *plan = arg;

	plan->samples = dbops_backfill_sample(plan->run);
}

/* Add a figure that comes from the sample; where no block could be looked at it is null. */
static void
put_figure(const BackfillPlan *plan, const char *item, const char *value,
		   double number, const char *note)
{
	if (plan->unknown != NULL)
		dbops_backfill_plan_put(plan->rsinfo, item, NULL, NAN, plan->unknown);
	else
		dbops_backfill_plan_put(plan->rsinfo, item, value, number, note);
}

/* Add a row to the report; a value that is not known is null, and its number NaN. */
void
dbops_backfill_plan_put(ReturnSetInfo *rsinfo, const char *item, const char *value,
						double number, const char *note)
{
	Datum		values[] = {
		CStringGetTextDatum(item),
		value == NULL ? (Datum) 0 : CStringGetTextDatum(value),
		Float8GetDatum(fabs(number) < 1000 ? rint(number * 10) / 10 : rint(number)),
		note == NULL ? (Datum) 0 : CStringGetTextDatum(note)
	};
	bool		nulls[] = {false, value == NULL, isnan(number), note == NULL};

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static void
put_tables(const BackfillPlan *plan)
{
	const BackfillRun *run = plan->run;
	double		blocks = dbops_backfill_blocks(run->leaves);
	int			n = list_length(run->leaves);

	dbops_backfill_plan_put(plan->rsinfo, "tables", psprintf("%d", n), n,
							n == 1 ? ((BackfillLeaf *) linitial(run->leaves))->name :
							psprintf("partitions or children of %s that hold rows", run->progress.table));
	dbops_backfill_plan_put(plan->rsinfo, "blocks", psprintf("%.0f", blocks), blocks,
							psprintf("of %d bytes", BLCKSZ));
	dbops_backfill_plan_put(plan->rsinfo, "size", dbops_figure_bytes(blocks * BLCKSZ), blocks * BLCKSZ,
							psprintf("without its %d %s of %s", plan->forecast.indexes,
									 plan->forecast.indexes == 1 ? "index" : "indexes",
									 dbops_figure_bytes(plan->forecast.index_bytes)));
}

static void
put_rows(const BackfillPlan *plan)
{
	const BackfillForecast *forecast = &plan->forecast;
	double		blocks = dbops_backfill_blocks(plan->run->leaves);
	double		error = 1.96 * sqrt(forecast->variance);
	const char *note;

	if (forecast->looked >= blocks)
		note = "counted in all blocks";
	else if (!forecast->complete && forecast->pending == 0)
		note = "none were found";
	else if (forecast->looked < FEW_BLOCKS)
		note = psprintf("a guess from only %.0f blocks, since the clauses take long to evaluate", forecast->looked);
	else if (forecast->pending == 0)
		note = psprintf("none in %.0f blocks drawn at random: at most about %s of the blocks have some",
						forecast->looked, percent(3, Max(forecast->looked, 3)));
	else
		note = psprintf("from %.0f blocks drawn at random: between %.0f and %.0f in 19 of 20 cases",
						forecast->looked, Max(forecast->pending - error, 0), forecast->pending + error);
	if (!forecast->complete)
		note = psprintf("%s; %s", note, unlooked_reason(plan));
	put_figure(plan, "rows", psprintf("%.0f", forecast->rows), forecast->rows,
			   forecast->looked >= blocks ? "counted in all blocks" : "from the same blocks");
	put_figure(plan, "rows to change", psprintf("%.0f", forecast->pending), forecast->pending, note);
	if (forecast->unfilled > 0)
		dbops_backfill_plan_put(plan->rsinfo, "warning",
								psprintf("%.0f rows would get NULL in column %s and stay as they are", forecast->unfilled,
										 quote_identifier(plan->run->change->null_column)), forecast->unfilled,
								"where_clause asks for that; give an expression that is never NULL");
}

/* Warn of rows that end a backfill, or are set aside. */
static void
put_failing(const BackfillPlan *plan)
{
	const BackfillRequest *request = &plan->run->request;
	const BackfillForecast *forecast = &plan->forecast;
	bool		counted = forecast->looked >= dbops_backfill_blocks(plan->run->leaves);
	const char *what = "the first ends the backfill; on_error => 'quarantine' sets them aside";

	if (forecast->failing == 0)
		return;
	if (request->quarantine)
		what = (forecast->failing <= request->max_errors) ? "they are set aside" :
			psprintf("more than dbops.backfill_max_errors (%d), which ends the backfill", request->max_errors);
	dbops_backfill_plan_put(plan->rsinfo, "warning",
							psprintf("%s%s would fail", counted ? "" : "about ",
									 dbops_backfill_rows((uint64) rint(forecast->failing))),
							forecast->failing,
							psprintf("%s; one says: %s", what, failure(plan)));
}

/* What one of those says. */
static const char *
failure(const BackfillPlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->samples)
	{
		const BackfillSample *sample = lfirst(cell);

		if (sample->failure != NULL)
			return sample->failure;
	}
	return "";
}

/* Why a table is not in the figures. */
static const char *
unlooked_reason(const BackfillPlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->samples)
	{
		const BackfillSample *sample = lfirst(cell);

		if (sample->error != NULL)
			return psprintf("not known of table %s: %s", sample->leaf->name, sample->error);
	}
	return "the time for looking was over before all tables were";
}

static void
put_method(const BackfillPlan *plan)
{
	const BackfillRequest *request = &plan->run->request;
	const BackfillForecast *forecast = &plan->forecast;
	const char *note = "in the order of blocks, by one process";

	if (request->method == BACKFILL_KEYSET)
		note = psprintf("in the order of %s, by one process, each row once", key_columns(plan->run));
	else if (request->workers > 1)
		note = psprintf("in the order of blocks, by %d processes", request->workers);
	dbops_backfill_plan_put(plan->rsinfo, "method", dbops_backfill_method_name(request->method),
							request->workers, note);
	put_figure(plan, "batches", psprintf("%.0f", forecast->batches), forecast->batches,
			   psprintf("of about %.0f rows, and some more at the beginning, a transaction each",
						forecast->pending / Max(forecast->batches, 1)));
}

/* The key of the first table; others have one of the same columns. */
static const char *
key_columns(const BackfillRun *run)
{
	const BackfillLeaf *leaf = linitial(run->leaves);
	BackfillKey *key = dbops_backfill_key_require(leaf->relid, run->request.relid, run->change->assigned);
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < key->columns; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "", key->column[i].name);
	return list.data;
}

static void
put_hot(const BackfillPlan *plan)
{
	const BackfillForecast *forecast = &plan->forecast;
	double		pending = Max(forecast->pending, 1);
	double		blocks = Max(dbops_backfill_blocks(plan->run->leaves), 1);
	const char *note;

	if (forecast->blocking != NIL)
		note = psprintf("an index has %s: each new version gets an entry in every index", names(forecast->blocking));
	else if (forecast->hot > 0.99 * forecast->pending)
		note = "no index has an assigned column, and pages have room for the new versions";
	else
		note = "no index has an assigned column, but pages have no room for more; a lower fillfactor, or vacuum_every, makes some";
	put_figure(plan, "row width",
			   psprintf("%.0f to %.0f bytes", forecast->old_bytes / pending, forecast->new_bytes / pending),
			   forecast->new_bytes / pending,
			   forecast->sizes_known ? "on average, before and after" :
			   "the new values could not be computed without changing something: taken to be as long as the old");
	put_figure(plan, "free space", percent(forecast->room, blocks * BLCKSZ), forecast->room,
			   "of the pages, in bytes");
	put_figure(plan, "HOT updates", percent(forecast->hot, pending),
			   100 * forecast->hot / pending, note);
}

static void
put_wal(const BackfillPlan *plan)
{
	const BackfillForecast *forecast = &plan->forecast;
	double		wal = forecast->records + forecast->images;

	put_figure(plan, "WAL", dbops_figure_bytes(wal), wal,
			   psprintf("%s of records and %s of full-page images, with checkpoints as often as max_wal_size asks for them",
						dbops_figure_bytes(forecast->records), dbops_figure_bytes(forecast->images)));
}

static void
put_growth(const BackfillPlan *plan)
{
	const BackfillForecast *forecast = &plan->forecast;

	put_figure(plan, "table growth", dbops_figure_bytes(forecast->growth), forecast->growth,
			   forecast->vacuums > 0 ? psprintf("with about %.0f vacuums on the way", forecast->vacuums) :
			   forecast->growth > 0 ? "new versions that pages have no room for; vacuum_every => 0.1 keeps most of it away" :
			   "new versions find room");
	put_figure(plan, "index growth", dbops_figure_bytes(forecast->index_growth), forecast->index_growth,
			   psprintf("%.0f new entries", forecast->entries));
}

/* What it needs of each disk; WAL counts as what checkpoints keep of it. */
static void
put_disk(const BackfillPlan *plan)
{
	const BackfillForecast *forecast = &plan->forecast;
	const BackfillLeaf *leaf = plan->run->leaves == NIL ? NULL : linitial(plan->run->leaves);
	Oid			tablespace = leaf == NULL ? InvalidOid : get_rel_tablespace(leaf->relid);
	const char *name = dbops_tablespace_name(OidIsValid(tablespace) ? tablespace : MyDatabaseTableSpace);
	double		needed = forecast->growth + forecast->index_growth;
	Disks		disks = {NIL};
	const Disk *disk;

	dbops_disks_read(&disks);
	disk = disk_of(&disks, name);
	if (disk == NULL || disk->total == 0)
		return;
	put_figure(plan, "disk",
			   psprintf("%s needed, %s free", dbops_figure_bytes(needed), dbops_figure_bytes(disk->free)),
			   disk->free - needed,
			   "bytes left for table and indexes; WAL that slots, standbys or the archive wait for comes on top");
	if (needed > disk->free)
		dbops_backfill_plan_put(plan->rsinfo, "warning", "the disk will be full", disk->free - needed,
								"vacuum_every => 0.1 bounds the growth");
}

static const Disk *
disk_of(const Disks *disks, const char *tablespace)
{
	ListCell   *cell;

	foreach(cell, disks->list)
	{
		const Disk *disk = lfirst(cell);

		if (tablespace != NULL && disk->tablespace != NULL && strcmp(disk->tablespace, tablespace) == 0)
			return disk;
	}
	return NULL;
}

/* A range, by the rates of backfills that were done here, or by stated ones. */
static void
put_duration(const BackfillPlan *plan)
{
	const BackfillRequest *request = &plan->run->request;
	const BackfillForecast *forecast = &plan->forecast;
	double		wal = forecast->records + forecast->images;
	double		pauses = forecast->batches * request->limits.pause / 1000.0;
	double		least = request->limits.max_wal > 0 ? wal / request->limits.max_wal : 0;
	PastRates	rates = {0};
	double		computing;
	double		low;
	double		high;
	const char *note;

	read_past(plan, &rates);

	/* How long other clauses took to evaluate says nothing of these. */
	computing = rates.same_table ? 0 : forecast->compute;
	if (rates.backfills > 0)
	{
		low = Max(forecast->pending / rates.fastest, computing / request->workers);
		high = Max(forecast->pending / rates.slowest, computing);
		note = psprintf("%.0f to %.0f rows/s, as the last %s of %s", rates.slowest, rates.fastest,
						rates.backfills == 1 ? "backfill" : psprintf(INT64_FORMAT " backfills", rates.backfills),
						rates.same_table ? "this table" :
						"this database, and at least the time that the sample took");
	}
	else
	{
		double		work = forecast->pending * ROW_TIME + forecast->entries * ENTRY_TIME + wal * WAL_TIME + forecast->compute;

		low = FASTER * work / request->workers;
		high = SLOWER * work;
		note = "none has been done here: by what rows, index entries and WAL cost elsewhere, and the time that the sample took; triggers come on top";
	}
	low = Max(low, least) + pauses;
	high = Max(high, least) + pauses;
	put_figure(plan, "duration",
			   high < 1 ? "less than 1 s" :
			   psprintf("%s to %s", dbops_figure_duration(low), dbops_figure_duration(high)),
			   high, note);
}

/* Rates of backfills of this table; if there are none, of any. */
static void
read_past(const BackfillPlan *plan, PastRates *rates)
{
	DbopsParam	params[] = {
		dbops_param_text(psprintf("%u", plan->run->request.relid)),
		dbops_param_int8(TELLING_ROWS)
	};

	for (int i = 0; i < 2 && rates->backfills == 0; i++)
	{
		rates->same_table = (i == 0);
		dbops_store_each(i == 0 ? PAST_RATES("AND spec ->> 'relid' = $1") : PAST_RATES(""),
						 lengthof(params), params, take_rates, rates);
	}
}

static void
take_rates(HeapTuple row, TupleDesc desc, void *arg)
{
	PastRates  *rates = arg;

	rates->backfills = dbops_row_int8(row, desc, 1);
	rates->slowest = dbops_row_int8(row, desc, 2);
	rates->fastest = dbops_row_int8(row, desc, 3);
}

/* What becomes of rows that are written while it runs. */
static void
put_meanwhile(const BackfillPlan *plan)
{
	const BackfillRequest *request = &plan->run->request;

	if (request->method == BACKFILL_KEYSET || request->sync)
		dbops_backfill_plan_put(plan->rsinfo, "own trigger",
								request->method == BACKFILL_KEYSET ? "on inserts and changes of a key" :
								"on inserts and updates", NAN,
								"put on each table at the beginning, under a lock that nobody queues behind for long, and taken off at the end");
	if (request->sync)
		dbops_backfill_plan_put(plan->rsinfo, "rows written meanwhile", "a trigger makes them right", NAN,
								"from the moment that its lock was granted; it is dropped at the end");
	else if (request->app_writes)
		dbops_backfill_plan_put(plan->rsinfo, "rows written meanwhile", "the application makes them right", NAN,
								"all older transactions are waited for first");
	else
		dbops_backfill_plan_put(plan->rsinfo, "rows written meanwhile", "may be missing", NAN,
								request->method == BACKFILL_KEYSET ?
								"new rows with keys beyond the highest one at the beginning are left as they are" :
								"sync => true has a trigger make them right, app_writes => true says that the application does");
}

static const char *
percent(double part, double whole)
{
	return psprintf("%.0f %%", whole > 0 ? 100 * part / whole : 0);
}

static const char *
names(List *strings)
{
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, strings)
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(strVal(lfirst(cell))));
	return list.data;
}
