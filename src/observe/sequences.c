/*
 * sequences.c
 *		Where sequences are, once a day.
 *
 * The last values of those that have come some way are kept, for the growth
 * forecast.
 */
#include "observe/forecast.h"
#include "observe/history.h"

#define KEPT_FROM	0.1			/* percent used */
#define MOST_KEPT	1000		/* sequences, a day */

static void keep_sequences(void *arg);

static const DbopsUpkeep upkeep = {
	.name = "sequences",
	.every = SECS_PER_DAY * 1000L,
	.elsewhere = SECS_PER_DAY * 1000L,
	.run = keep_sequences
};

void
dbops_sequences_init(void)
{
	dbops_upkeep_register(&upkeep);
}

/* Once a day: keep where they are. */
static void
keep_sequences(void *arg)
{
	List	   *sequences = dbops_sequences_read(KEPT_FROM, NULL);
	TimestampTz now = dbops_clock_now();
	ListCell   *cell;
	int			kept = 0;

	if (!dbops_history_begin_partition(HISTORY_SEQUENCES, now))
		return;
	foreach(cell, sequences)
	{
		const Sequence *sequence = lfirst(cell);
		DbopsParam	params[] = {dbops_param_time(now), dbops_param_oid(sequence->oid), dbops_param_int8(sequence->last)};

		if (sequence->cycles || kept++ >= MOST_KEPT)
			continue;
		dbops_store_each("INSERT INTO dbops.sequence_1d (at, sequence, last_value) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
						 lengthof(params), params, NULL, NULL);
	}
}
