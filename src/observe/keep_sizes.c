/*
 * keep_sizes.c
 *		Measuring each database now and then, though nobody asks.
 *
 * The upkeep goes through a database's files in short slices with rests between
 * them, so that a large one is measured without being felt; between two slices
 * it holds neither a snapshot nor a lock. What it finds is what sessions are
 * given, what samples show, and once a day the history of tables.
 */
#include "observe/growth.h"
#include "observe/size_history.h"

#include "access/xlog.h"

#define SLICE		20.0		/* ms */
#define REST		20			/* ms, between two slices */
#define MOST_TIME	120.0		/* s: what cannot be measured by then is left */

PG_FUNCTION_INFO_V1(dbops_measure_sizes);

static void measure_and_keep(Measurement *measurement, bool history);
static bool measure_in_slices(Measurement *measurement, Sizes *sizes);

static const DbopsUpkeep keeping_sizes = {
	.name = "sizes",.every = 600000,.elsewhere = 600000,.run = dbops_sizes_keep
};
static const DbopsUpkeep keeping_disks = {
	.name = "disks",.every = 3600000,.elsewhere = 0,.run = dbops_disks_keep
};

/* Register what is done in the background. */
void
dbops_size_history_init(void)
{
	dbops_upkeep_register(&keeping_sizes);
	dbops_upkeep_register(&keeping_disks);
	dbops_database_sizes_init();
}

/* measure_sizes() → void */
Datum
dbops_measure_sizes(PG_FUNCTION_ARGS)
{
	dbops_sizes_keep(NULL);
	dbops_database_sizes_measure();
	if (!RecoveryInProgress())
	{
		dbops_disks_keep(NULL);
		dbops_growth_ask(NULL);
	}
	PG_RETURN_VOID();
}

/* Measure the database, and once a day write down what its tables hold. */
void
dbops_sizes_keep(void *arg)
{
	bool		history = !RecoveryInProgress() && dbops_relation_history_is_due(dbops_clock_now());
	Measurement *measurement = dbops_measure_begin();

	PG_TRY();
	{
		measure_and_keep(measurement, history);
	}
	PG_FINALLY();
	{
		dbops_measure_abandon(measurement);
	}
	PG_END_TRY();
}

static void
measure_and_keep(Measurement *measurement, bool history)
{
	Sizes		sizes = {0};

	if (history)
		dbops_relation_history_prepare(measurement);
	if (!measure_in_slices(measurement, &sizes))
		return;
	sizes.measured_at = dbops_clock_now();
	dbops_sizes_publish(&sizes);
	if (history)
		dbops_relation_history_note(measurement, &sizes);
}

/* False: it has taken too long, as when somebody has locked the catalog. */
static bool
measure_in_slices(Measurement *measurement, Sizes *sizes)
{
	MeasureDeadline deadline = {.budget = MOST_TIME * 1000};

	INSTR_TIME_SET_CURRENT(deadline.start);
	while (!dbops_measure_continue(measurement, SLICE, sizes))
	{
		if (dbops_measure_elapsed(&deadline) >= deadline.budget)
			return false;
		dbops_clock_wait(REST);
	}
	return true;
}
