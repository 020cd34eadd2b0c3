/*
 * checks_sequences.c
 *		Sequences that come to their end, or to that of the column they are for.
 *
 * How far one has come only its page says, and there may be a hundred thousand.
 * Where there are many, sessions are told what was found in the background.
 */
#include "observe/board.h"
#include "observe/checks.h"
#include "observe/forecast.h"

#include "access/table.h"
#include "catalog/pg_sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define MANY_BLOCKS		100		/* of pg_sequence: about ten thousand of them */
#define POSTED_SERVES	1200.0	/* s: two rounds of the schedulers */

static const void *look(const DbopsCheckScope *scope);
static void judge_exhaustion(const void *facts, DbopsCheckRun *run);
static bool report_posted(DbopsCheckRun *run);
static bool are_many(void);
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
	List	   *sequences;
	ListCell   *cell;

	if (!AmBackgroundWorkerProcess() && are_many() && report_posted(run))
		return;
	sequences = dbops_sequences_read(Min(threshold->warning, threshold->critical), &totals);
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

/* Report what was found in the background by the same settings; false: there is nothing that serves. */
static bool
report_posted(DbopsCheckRun *run)
{
	BoardSheet	sheet;
	int			n = 0;
	ListCell   *cell;

	dbops_board_read(MyDatabaseId, DBOPS_REACH_CATALOG, &sheet);
	if (!sheet.whole || sheet.settings != dbops_check_mark(run) || !dbops_health_is_kept(sheet.judged_at, POSTED_SERVES))
		return false;
	foreach(cell, sheet.findings)
	{
		const DbopsFinding *finding = lfirst(cell);

		if (finding->check != checks || finding->severity == DBOPS_UNKNOWN)
			continue;
		dbops_check_report(run, *finding);
		n++;
	}
	return n > 0;
}

/* By the size of their catalog; one that is locked is left to who reads it. */
static bool
are_many(void)
{
	Relation	catalog;
	bool		many;

	if (!ConditionalLockRelationOid(SequenceRelationId, AccessShareLock))
		return false;
	catalog = table_open(SequenceRelationId, NoLock);
	many = (RelationGetNumberOfBlocks(catalog) > MANY_BLOCKS);
	table_close(catalog, AccessShareLock);
	return many;
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
