/*
 * collector.c
 *		Samples, tick after tick, and whether they still come.
 *
 * The launcher takes one of the cluster and of each database that is used, on a
 * standby as well. sample_server() does the same now. A clock that jumps against
 * the one that only counts on begins a new epoch: what lies between two samples
 * is not what the times say.
 */
#include "observe/metric.h"

#include <time.h>

#include "miscadmin.h"
#include "pgstat.h"
#include "portability/instr_time.h"
#include "utils/guc.h"

#define CLOCK_JUMP		5.0		/* s that the clock may gain or lose between two samples */
#define SET_BACK		1.0		/* s by which a clock is set back, and not late */
#define KEEPS_SET_BACK	(3600 * USECS_PER_SEC)	/* for so long that is shown */
#define STALE_AFTER		(STALE_TICKS * TICK)	/* ms */
#define WHOLE_RING		3600.0	/* s */

PG_FUNCTION_INFO_V1(dbops_sample_server);

/* What the processes that sample have in common. */
typedef struct Collector
{
	int64		samples;
	TimestampTz epoch;			/* of a jump of the clock; 0: there was none */
	TimestampTz at;				/* of the last sample, by either clock */
	instr_time	counted;
	TimestampTz ticked;			/* of the last that the launcher took; 0: none */
	TimestampTz set_back_at;	/* 0: it never was */
	double		set_back;		/* s, the most in the hour before */
	double		launcher;		/* ms of processor time, of every launcher there was */
} Collector;

static Collector *shared_collector = NULL;	/* or NULL */
static LWLock *shared_collector_lock = NULL;
static Collector own_collector;

static void tick(void *arg);
static double processor_ms(void);
static void begin_sample(Sample *sample);
static double set_back_by(const Collector *collector, TimestampTz at, instr_time counted);
static void note_set_back(Collector *collector, TimestampTz at, double seconds);
static bool was_set_back(const Collector *collector, TimestampTz at);
static bool has_jumped(const Collector *collector, TimestampTz at, instr_time counted);
static TimestampTz last_tick(void);
static void add_own_cost(double *values, const Collector *own);

static const DbopsTick sampling = {.name = "sampling", .every = TICK, .run = tick};

/* Ask for the shared memory, and to be called. */
void
dbops_collector_init(void)
{
	dbops_shared_request("dbops collector", sizeof(Collector), NULL,
						 (void **) &shared_collector, &shared_collector_lock);
	dbops_collect_databases_init();
	dbops_collect_slots_init();
	dbops_ring_init();
	dbops_tick_register(&sampling);
}

static void
tick(void *arg)
{
	static double noted = 0;
	double		used = processor_ms();

	if (!dbops_collector)
		return;
	LWLockAcquire(shared_collector_lock, LW_EXCLUSIVE);
	shared_collector->launcher += used - noted;
	LWLockRelease(shared_collector_lock);
	noted = used;
	dbops_collector_sample();
	LWLockAcquire(shared_collector_lock, LW_EXCLUSIVE);
	shared_collector->ticked = dbops_clock_now();
	LWLockRelease(shared_collector_lock);
}

/* Of this process, whatever it was for. */
static double
processor_ms(void)
{
	struct timespec used;

	if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used) != 0)
		return 0;
	return used.tv_sec * 1000.0 + used.tv_nsec / 1000000.0;
}

/* sample_server() → void */
Datum
dbops_sample_server(PG_FUNCTION_ARGS)
{
	dbops_collector_sample();
	PG_RETURN_VOID();
}

/*
 * Take a sample of everything. What the server counts is read as it stands,
 * whatever the caller's transaction has seen of it, and each figure alone: a
 * snapshot of all that is counted would grow with the number of tables.
 */
void
dbops_collector_sample(void)
{
	int			nest_level = NewGUCNestLevel();
	Sample		sample;

	dbops_set_nested("stats_fetch_consistency", "none");
	pgstat_clear_snapshot();
	begin_sample(&sample);
	dbops_collect_databases(&sample);
	dbops_collect_cluster(&sample);
	if (dbops_ring_put(InvalidOid, &sample))
		dbops_waits_sample(sample.at, sample.cadence);
	AtEOXact_GUC(true, nest_level);
}

/* A sample of this time, in which nothing is known yet but what this costs. */
static void
begin_sample(Sample *sample)
{
	bool		own = dbops_ring_is_own();
	Collector  *collector = own ? &own_collector : shared_collector;
	instr_time	counted;

	INSTR_TIME_SET_CURRENT(counted);
	sample->at = dbops_clock_now();
	sample->cadence = TICK;
	for (int i = 0; i < N_MOST_METRICS; i++)
		sample->values[i] = NAN;

	if (!own)
		LWLockAcquire(shared_collector_lock, LW_EXCLUSIVE);
	if (has_jumped(collector, sample->at, counted))
		collector->epoch = sample->at;
	note_set_back(collector, sample->at, set_back_by(collector, sample->at, counted));
	collector->at = sample->at;
	collector->counted = counted;
	collector->samples++;
	sample->epoch = Max(PgStartTime, collector->epoch);
	add_own_cost(sample->values, own ? collector : NULL);
	sample->values[CM_CLOCK_SET_BACK] = was_set_back(collector, sample->at) ? collector->set_back : 0;
	if (!own)
		LWLockRelease(shared_collector_lock);
}

/* The time that a test sets does not run. */
static bool
has_jumped(const Collector *collector, TimestampTz at, instr_time counted)
{
	double		passed = (at - collector->at) / (double) USECS_PER_SEC;

	if (collector->at == 0 || dbops_test_now > 0)
		return false;
	INSTR_TIME_SUBTRACT(counted, collector->counted);
	return fabs(passed - INSTR_TIME_GET_DOUBLE(counted)) > CLOCK_JUMP;
}

/* By how many seconds was the clock set back since the last sample? */
static double
set_back_by(const Collector *collector, TimestampTz at, instr_time counted)
{
	double		passed = (at - collector->at) / (double) USECS_PER_SEC;

	if (collector->at == 0)
		return 0;
	INSTR_TIME_SUBTRACT(counted, collector->counted);
	return (dbops_test_now > 0 ? 0 : INSTR_TIME_GET_DOUBLE(counted)) - passed;
}

static void
note_set_back(Collector *collector, TimestampTz at, double seconds)
{
	if (seconds < SET_BACK)
		return;
	collector->set_back = was_set_back(collector, at) ? Max(seconds, collector->set_back) : seconds;
	collector->set_back_at = at;
}

static bool
was_set_back(const Collector *collector, TimestampTz at)
{
	return collector->set_back_at != 0 && at - collector->set_back_at < KEEPS_SET_BACK;
}

/* What the launcher costs; a session that samples for itself knows only how often it did. */
static void
add_own_cost(double *values, const Collector *own)
{
	DbopsTickCost cost;

	dbops_tick_cost(&cost);
	values[CM_COLLECTOR_TIME] = (own == NULL) ? cost.ms : NAN;
	values[CM_COLLECTOR_TICKS] = (own == NULL) ? cost.rounds : own->samples;
	values[CM_LAUNCHER_TIME] = (own == NULL) ? shared_collector->launcher : NAN;
}

/* Say whether samples come by themselves, when the last one did, and what they cost. */
void
dbops_collector_state(CollectorState *state)
{
	DbopsTickCost cost;
	SampleWindow window;
	TimestampTz ticked;

	dbops_tick_cost(&cost);
	(void) dbops_ring_window(InvalidOid, WHOLE_RING, &window);
	ticked = last_tick();
	state->preloaded = (shared_collector != NULL);
	state->last = dbops_ring_last(InvalidOid);
	state->age = (ticked == 0) ? NAN : (dbops_clock_now() - ticked) / (double) USECS_PER_SEC;
	state->stale = (ticked == 0 || state->age * 1000 > STALE_AFTER);
	state->tick_ms = window.delta[CM_COLLECTOR_TIME] / window.delta[CM_COLLECTOR_TICKS];
	state->samples = dbops_ring_is_own() ? own_collector.samples : shared_collector->samples;
	state->overruns = cost.overruns;
	state->failures = cost.failures;
}

/* When the launcher last took a sample, whatever others take; of what is a session's own, that last took one. */
static TimestampTz
last_tick(void)
{
	TimestampTz at;

	if (dbops_ring_is_own())
		return dbops_ring_last(InvalidOid);
	LWLockAcquire(shared_collector_lock, LW_SHARED);
	at = shared_collector->ticked;
	LWLockRelease(shared_collector_lock);
	return at;
}
