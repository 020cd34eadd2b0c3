/*
 * checks_sequences.c
 *		Sequences that come to their end, or to that of the column they are for.
 */
#include "observe/checks.h"
#include "observe/forecast.h"

#include "utils/lsyscache.h"

static const void *look(const DbopsCheckScope *scope);
static void judge_exhaustion(const void *facts, DbopsCheckRun *run);
static const DbopsFinding *about_sequence(const Notable *notable);
static const char *remedy_for(const Sequence *sequence);

static const DbopsCheck checks[] = {
	{
		.name = "sequences.exhaustion",
		.about = "numbers that a sequence has given out, of those that it or its column can hold",
		.judge = judge_exhaustion,
		.threshold = {
			.unit = "percent", .warning = 75, .critical = 90, .source = "pgmonitor, pghero"
		}
	}
};

const DbopsCheckSet dbops_sequence_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

/* The check looks for itself: which sequences are worth a name, the threshold says. */
static const void *
look(const DbopsCheckScope *scope)
{
	return NULL;
}

/* Those that begin anew are left out: they have no end. */
static void
judge_exhaustion(const void *facts, DbopsCheckRun *run)
{
	const DbopsThreshold *threshold = dbops_check_threshold(run);
	Notables	notables = {0};
	SequenceTotals totals;
	List	   *sequences = dbops_sequences_read(Min(threshold->warning, threshold->critical), &totals);
	ListCell   *cell;

	foreach(cell, sequences)
	{
		const Sequence *sequence = lfirst(cell);

		if (!sequence->cycles)
			dbops_notables_add(&notables, (Notable)
							   {
								   .object = sequence->oid,
								   .value = sequence->used,
								   .guard = NAN,
								   .of = sequence
							   });
	}
	if (notables.n == 0)
		dbops_notables_add(&notables, (Notable) {.value = totals.most_used,.guard = NAN});
	dbops_notables_report(run, &notables, about_sequence,
						  totals.n == 0 ? "there are no sequences" :
						  psprintf("of %d sequences none comes to its end%s", totals.n,
								   totals.skipped == 0 ? "" : psprintf("; %d were being altered", totals.skipped)));
}

static const DbopsFinding *
about_sequence(const Notable *notable)
{
	const Sequence *sequence = notable->of;
	DbopsFinding *finding;

	if (sequence == NULL)
		return NULL;
	finding = palloc0(sizeof(DbopsFinding));
	finding->object = sequence->name;
	finding->message = psprintf("it is at " INT64_FORMAT "; " INT64_FORMAT " is the last that it or its column can hold",
								sequence->last, sequence->bound);
	finding->remedy = remedy_for(sequence);
	return finding;
}

/*
 * What ends with its type has a larger one, and so has the column unless it is a
 * bigint already; what somebody has set an end to can do without.
 */
static const char *
remedy_for(const Sequence *sequence)
{
	int64		bound = sequence->ascends ? sequence->bound : -(sequence->bound + 1);

	if (bound != PG_INT16_MAX && bound != PG_INT32_MAX)
		return psprintf("ALTER SEQUENCE %s NO %s;", sequence->name, sequence->ascends ? "MAXVALUE" : "MINVALUE");
	if (sequence->column == NULL || strcmp(sequence->type, "bigint") == 0)
		return psprintf("ALTER SEQUENCE %s AS bigint;", sequence->name);
	return psprintf("Make column %s a bigint, without locking its table for long, and ALTER SEQUENCE %s AS bigint;",
					sequence->column, sequence->name);
}
