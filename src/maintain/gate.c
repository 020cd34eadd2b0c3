/*
 * gate.c
 *		Gates: conditions of the server under which jobs wait, and gates().
 *
 * A gate measures one figure and is closed when that is beyond its setting.
 * Jobs ask between any two steps, so each process keeps what it has measured
 * for a second, or for a hundred times as long as measuring took. Nothing here
 * waits for a heavyweight lock. A figure that is not known closes no gate.
 */
#include "maintain/maintain.h"

#include <math.h>

#include "core/server.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/memutils.h"

#define REUSE_LEAST		1000.0	/* ms */
#define REUSE_FACTOR	100.0	/* times what measuring took */
#define MANY_FILES		100000	/* that wait to be archived; not counted further */

PG_FUNCTION_INFO_V1(dbops_gates);

/* What a gate has measured. */
typedef struct Reading
{
	double		value;			/* in the unit of its limit; NaN: not known */
	bool		harmless;		/* whatever the setting says */
	const char *measured;		/* the figure as people read it; or NULL */
	const char *sentence;		/* with whom or what it is of */
} Reading;

typedef struct Gate
{
	const char *name;
	const char *setting;
	const int  *limit;
	const char *unit;			/* that its setting does not show */
	bool		heavy;			/* see dbops_gate_closed */
	bool		lower;			/* closed below its limit, and off with 0; else above, and off with -1 */
	void		(*measure) (Reading *reading);
} Gate;

/* The last reading of a gate. */
typedef struct Kept
{
	MemoryContext context;		/* NULL: there is none */
	Reading		reading;
	instr_time	at;
	double		took;			/* ms */
} Kept;

static void measure_lag(Reading *reading);
static void measure_lag_bytes(Reading *reading);
static void measure_horizon(Reading *reading);
static void measure_disks(Reading *reading);
static void measure_archive(Reading *reading);

static const Gate gates[] = {
	{"replica_lag", "dbops.max_replica_lag", &dbops_max_replica_lag, "", false, false, measure_lag},
	{"replica_lag", "dbops.max_replica_lag_bytes", &dbops_max_replica_lag_bytes, "", false, false, measure_lag_bytes},
	{"xmin_age", "dbops.max_xmin_age", &dbops_max_xmin_age, "", true, false, measure_horizon},
	{"free_disk", "dbops.min_free_disk", &dbops_min_free_disk, " percent", false, true, measure_disks},
	{"archive_backlog", "dbops.max_archive_backlog", &dbops_max_archive_backlog, " files", false, false, measure_archive}
};

static Kept kept[lengthof(gates)];

static bool is_off(const Gate *gate);
static bool is_closed(const Gate *gate, const Reading *reading);
static const char *threshold(const Gate *gate);
static const Reading *look(int index);
static bool is_fresh(const Kept *last);
static double elapsed(instr_time since);
static void measure_again(int index);
static double standby_lag(const Standby *standby);
static void describe_lag(const Standby *standby, double lag, Reading *reading);
static double disk_percent(const Disk *disk);
static void put_gate(ReturnSetInfo *result, int index);
static void put_pause(ReturnSetInfo *result);

/*
 * Name a gate that is closed, with its figures, as a user reads it; NULL: none
 * is. heavy: also those that only matter to who leaves dead rows or waits for
 * old snapshots. Needs a transaction.
 */
char *
dbops_gate_closed(bool heavy)
{
	for (int i = 0; i < lengthof(gates); i++)
	{
		const Gate *gate = &gates[i];
		const Reading *reading;

		if (is_off(gate) || (gate->heavy && !heavy))
			continue;
		reading = look(i);
		if (is_closed(gate, reading))
			return psprintf("%s: %s, %s than %s (%s)", gate->name, reading->sentence,
							gate->lower ? "less" : "more", gate->setting, threshold(gate));
	}
	return NULL;
}

static bool
is_off(const Gate *gate)
{
	return *gate->limit < (gate->lower ? 1 : 0);
}

static bool
is_closed(const Gate *gate, const Reading *reading)
{
	if (is_off(gate) || isnan(reading->value) || reading->harmless)
		return false;
	return gate->lower ? reading->value < *gate->limit : reading->value > *gate->limit;
}

/* The limit as its setting shows it. */
static const char *
threshold(const Gate *gate)
{
	if (is_off(gate))
		return "off";
	return psprintf("%s%s", GetConfigOptionByName(gate->setting, NULL, false), gate->unit);
}

/* ---- readings ---- */

/* Read a gate's figure, as it was a moment ago if that is known. */
static const Reading *
look(int index)
{
	if (!is_fresh(&kept[index]))
		measure_again(index);
	return &kept[index].reading;
}

static bool
is_fresh(const Kept *last)
{
	return last->context != NULL &&
		elapsed(last->at) < Max(REUSE_LEAST, REUSE_FACTOR * last->took);
}

/* Milliseconds since. */
static double
elapsed(instr_time since)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, since);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* One that fails leaves no reading behind. */
static void
measure_again(int index)
{
	Kept	   *last = &kept[index];
	MemoryContext context = AllocSetContextCreate(CurrentMemoryContext, "dbops gate",
												  ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Reading		reading = {.value = NAN};

	if (last->context != NULL)
		MemoryContextDelete(last->context);
	last->context = NULL;
	INSTR_TIME_SET_CURRENT(last->at);
	gates[index].measure(&reading);
	last->took = elapsed(last->at);
	MemoryContextSwitchTo(caller);
	MemoryContextSetParent(context, TopMemoryContext);
	last->context = context;
	last->reading = reading;
}

/* ---- what is measured ---- */

/* The standby that is furthest behind in time. */
static void
measure_lag(Reading *reading)
{
	const Standby *last = NULL;
	double		lag = -1;
	ListCell   *cell;

	dbops_past_mark();
	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const Standby *standby = lfirst(cell);

		if (standby->applies && standby_lag(standby) > lag)
		{
			last = standby;
			lag = standby_lag(standby);
		}
	}
	describe_lag(last, lag, reading);
	if (last != NULL)
	{
		reading->value = lag;
		reading->measured = dbops_figure_duration(lag);
	}
}

/* And in bytes. */
static void
measure_lag_bytes(Reading *reading)
{
	const Standby *last = NULL;
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(dbops_written()))
	{
		const Standby *standby = lfirst(cell);

		if (standby->applies && (last == NULL || standby->lag_bytes > last->lag_bytes))
			last = standby;
	}
	describe_lag(last, last == NULL ? NAN : standby_lag(last), reading);
	if (last != NULL)
	{
		reading->value = last->lag_bytes / MB;
		reading->measured = dbops_figure_bytes(last->lag_bytes);
	}
}

/*
 * For how long it has not applied what was there, in seconds. What its sender
 * has measured stands still when the standby does. A logical one is not behind
 * merely because nothing of what it subscribes to has changed.
 */
static double
standby_lag(const Standby *standby)
{
	double		measured = isnan(standby->lag) ? 0 : standby->lag;

	if (standby->lag_bytes == 0 || standby->logical)
		return measured;
	return Max(measured, dbops_past_since_written(standby->reached));
}

static void
describe_lag(const Standby *standby, double lag, Reading *reading)
{
	const char *name;

	if (standby == NULL)
	{
		reading->sentence = "nothing replicates from this server";
		return;
	}
	pgstat_clear_backend_activity_snapshot();
	name = dbops_standby_name(standby->pid);
	reading->sentence = psprintf("%s \"%s\" is %s and %s behind",
								 standby->logical ? "subscriber" : "standby", name == NULL ? "" : name,
								 dbops_figure_bytes(standby->lag_bytes), dbops_figure_duration(lag));
}

/* Who keeps vacuum from removing rows; runners wait for each other otherwise. */
static void
measure_horizon(Reading *reading)
{
	HorizonHolder oldest;

	dbops_horizon_oldest(dbops_gate_ignores, &oldest);
	if (oldest.name == NULL)
	{
		reading->value = 0;
		reading->sentence = "nothing keeps vacuum from removing rows";
		return;
	}
	reading->value = oldest.age;
	reading->measured = dbops_figure_duration(oldest.age);
	reading->sentence = psprintf("%s has kept vacuum from removing rows for %s",
								 oldest.name, reading->measured);
}

/* Is this process one of those that do the work of dbops, or the caller's own? What they hold passes. */
bool
dbops_gate_ignores(int pid)
{
	bool		found = (pid == MyProcPid);
	const DatabaseEntry *database;

	if (found || dbops_engine == NULL)
		return found;
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	for (int i = 0; i < ENGINE_RUNNERS && !found; i++)
		found = dbops_engine->runners[i].state == RUNNER_RUNNING &&
			dbops_engine->runners[i].pid == pid;
	database = dbops_engine_database(MyDatabaseId, false);
	if (database != NULL && database->scheduler_pid == pid)
		found = true;
	LWLockRelease(dbops_engine_lock);
	return found;
}

/* The fullest disk, those apart that still have plenty. */
static void
measure_disks(Reading *reading)
{
	Disks		disks = {0};
	const Disk *fullest = NULL;
	ListCell   *cell;

	dbops_disks_read(&disks);
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (!isnan(dbops_disk_free_percent(disk)) &&
			(fullest == NULL || disk_percent(disk) < disk_percent(fullest)))
			fullest = disk;
	}
	if (fullest == NULL)
	{
		reading->sentence = "no file system tells how much is free";
		return;
	}
	reading->value = dbops_disk_free_percent(fullest);
	reading->harmless = (fullest->free >= PLENTY_FREE);
	reading->measured = psprintf("%.1f percent", reading->value);
	reading->sentence = psprintf("%s has %s (%s) free", fullest->name,
								 dbops_figure_bytes(fullest->free), reading->measured);
}

/* For their order: one that has plenty comes after any that has not. */
static double
disk_percent(const Disk *disk)
{
	return dbops_disk_free_percent(disk) + (disk->free >= PLENTY_FREE ? 100 : 0);
}

static void
measure_archive(Reading *reading)
{
	if (!dbops_archive_on())
	{
		reading->sentence = "WAL is not archived: archive_mode is off here";
		return;
	}
	reading->value = dbops_archive_waiting(MANY_FILES);
	reading->measured = psprintf("%.0f files", reading->value);
	reading->sentence = psprintf("%s of WAL wait to be archived", reading->measured);
}

/* ---- the report ---- */

/* gates() → TABLE (gate, closed, setting, threshold, measured, detail) */
Datum
dbops_gates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;

	InitMaterializedSRF(fcinfo, 0);
	put_pause(result);
	for (int i = 0; i < lengthof(gates); i++)
		put_gate(result, i);
	return (Datum) 0;
}

/* One gate as it stands now. */
static void
put_gate(ReturnSetInfo *result, int index)
{
	const Gate *gate = &gates[index];
	const Reading *reading = &kept[index].reading;
	Datum		values[6];
	bool		nulls[6] = {false};

	measure_again(index);
	values[0] = CStringGetTextDatum(gate->name);
	values[1] = BoolGetDatum(is_closed(gate, reading));
	values[2] = CStringGetTextDatum(gate->setting);
	values[3] = CStringGetTextDatum(threshold(gate));
	nulls[4] = (reading->measured == NULL);
	values[4] = nulls[4] ? (Datum) 0 : CStringGetTextDatum(reading->measured);
	values[5] = CStringGetTextDatum(reading->sentence);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static void
put_pause(ReturnSetInfo *result)
{
	const char *paused = dbops_gate_paused();
	Datum		values[6] = {0};
	bool		nulls[6] = {false, false, true, true, true, false};

	values[0] = CStringGetTextDatum("pause");
	values[1] = BoolGetDatum(paused != NULL);
	values[5] = CStringGetTextDatum(paused == NULL ? "not paused" : paused);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
