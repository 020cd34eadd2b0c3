/*
 * check_objects.c
 *		What checks say of many objects: the worst by name, and how many more.
 *
 * A database may have a hundred thousand tables, and all of them may be bad. Of
 * each kind the worst ten get a finding of their own, which can be muted and
 * is an alert; the others are one finding with their count. No lock is waited
 * for: a check that would have to is unknown for this time.
 */
#include "observe/checks.h"

#include "access/table.h"
#include "catalog/pg_class.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* What a question was answered with. */
typedef struct Answer
{
	const CatalogQuestion *question;
	int			nparams;
	const DbopsParam *params;
	List	   *findings;		/* of DbopsFinding * */
	int64		count;
} Answer;

static void ask(void *arg);
static void take_object(HeapTuple row, TupleDesc desc, void *arg);
static void report_rest(DbopsCheckRun *run, int64 count, double value, double guard);
static int	bring_bad_to_front(const DbopsThreshold *threshold, Notables *notables);
static int	highest_first(const void *a, const void *b);
static double highest(const Notables *notables);
static bool is_bad(const DbopsThreshold *threshold, const Notable *notable);

/* ---- by a question to the catalogs ---- */

/* Ask, and report each object that the answer names; the value is how many there are. */
void
dbops_check_ask(DbopsCheckRun *run, const CatalogQuestion *question,
				int nparams, const DbopsParam *params)
{
	Answer		answer = {.question = question, .nparams = nparams, .params = params};
	ListCell   *cell;

	dbops_look(ask, &answer);
	if (!is_bad(dbops_check_threshold(run), &(Notable) {.value = answer.count}))
	{
		dbops_check_report_value(run, answer.count, NAN, (DbopsFinding)
								 {
									 .message = answer.count == 0 ? question->none :
										 psprintf(INT64_FORMAT " found, no more than are allowed", answer.count)
								 });
		return;
	}
	foreach(cell, answer.findings)
		dbops_check_report_value(run, answer.count, NAN, *(DbopsFinding *) lfirst(cell));
	report_rest(run, answer.count - list_length(answer.findings), answer.count, NAN);
}

static void
ask(void *arg)
{
	Answer	   *answer = arg;
	const CatalogQuestion *question = answer->question;

	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	dbops_catalogs_require(question->n_catalogs, question->catalogs);
	(void) (question->as_owner ? dbops_store_each : dbops_query_each)
		(question->sql, answer->nparams, answer->params, take_object, answer);
}

static void
take_object(HeapTuple row, TupleDesc desc, void *arg)
{
	Answer	   *answer = arg;
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));

	finding->object = dbops_row_text(row, desc, 1);
	finding->message = dbops_row_text(row, desc, 2);
	finding->remedy = dbops_row_text(row, desc, 3);
	answer->count = dbops_row_int8(row, desc, 4);
	answer->findings = lappend(answer->findings, finding);
}

static void
report_rest(DbopsCheckRun *run, int64 count, double value, double guard)
{
	if (count > 0)
		dbops_check_report_value(run, value, guard, (DbopsFinding)
								 {
									 .message = psprintf("so it is with " INT64_FORMAT " more", count),
									 .remedy = "Look again when those that are named are put right; the worst come first."
								 });
}

/* ---- by figures ---- */

/* Keep one. */
void
dbops_notables_add(Notables *notables, Notable notable)
{
	if (notables->n == notables->room)
	{
		notables->room = Max(64, 2 * notables->room);
		notables->all = (notables->all == NULL) ?
			palloc(sizeof(Notable) * notables->room) :
			repalloc_huge(notables->all, sizeof(Notable) * notables->room);
	}
	notables->all[notables->n++] = notable;
}

/*
 * Report those that are beyond a threshold, the worst first; if none is, that,
 * with the worst value, which its guard has let pass.
 */
void
dbops_notables_report(DbopsCheckRun *run, Notables *notables,
					  NotableCallback describe, const char *none)
{
	int			bad = bring_bad_to_front(dbops_check_threshold(run), notables);
	int			reported = 0;
	double		value = 0;

	for (int i = 0; i < bad && reported < N_WORST; i++)
	{
		const Notable *notable = &notables->all[i];
		const DbopsFinding *finding = describe(notable);

		if (finding == NULL)
			continue;
		dbops_check_report_value(run, notable->value, notable->guard, *finding);
		value = notable->value;
		reported++;
	}
	if (reported == 0)
		dbops_check_report_value(run, bad > 0 ? 0 : highest(notables), 0, (DbopsFinding)
								 {
									 .message = none
								 });
	else if (reported == N_WORST)
		report_rest(run, bad - reported, value, NAN);
}

/* Have those that are beyond a threshold stand first, the worst before the others; how many there are. */
static int
bring_bad_to_front(const DbopsThreshold *threshold, Notables *notables)
{
	int			bad = 0;

	for (int i = 0; i < notables->n; i++)
	{
		Notable		notable = notables->all[i];

		if (!is_bad(threshold, &notable))
			continue;
		notables->all[i] = notables->all[bad];
		notables->all[bad++] = notable;
	}
	if (bad > 0)
		qsort(notables->all, bad, sizeof(Notable), highest_first);
	return bad;
}

static int
highest_first(const void *a, const void *b)
{
	double		left = ((const Notable *) a)->value;
	double		right = ((const Notable *) b)->value;

	return (left < right) - (left > right);
}

static double
highest(const Notables *notables)
{
	double		most = (notables->n == 0) ? 0 : notables->all[0].value;

	for (int i = 1; i < notables->n; i++)
		most = Max(most, notables->all[i].value);
	return most;
}

static bool
is_bad(const DbopsThreshold *threshold, const Notable *notable)
{
	return dbops_threshold_severity(threshold, notable->value, notable->guard) >= DBOPS_WARNING;
}
