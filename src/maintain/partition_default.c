/*
 * partition_default.c
 *		What a default partition says to one that is to be made.
 *
 * ATTACH scans it under a lock that keeps out everybody, unless it is proven to
 * have no rows of that time. A small one is just asked. A large one is asked
 * first and then given the constraint of partition_proof.c, which refuses rows
 * of the time until they have a partition. So the constraint never speaks of a
 * time of which it has rows, or of which rows are to be expected while it
 * stands: that of now, of the day before, and of as long as the proof may take.
 *
 * What the table's owner may not ask keeps one partition from being made, and
 * not the others.
 */
#include "maintain/partition.h"

#include "datatype/timestamp.h"
#include "utils/builtins.h"

#define LARGE			(8 * 1024 * 1024)	/* bytes; what is larger is not scanned under a lock */
#define ROWS_COME_LATE	USECS_PER_DAY		/* for so long */
#define ROWS_COME_EARLY	USECS_PER_HOUR		/* by so much */
#define SCAN_PER_SECOND	(32 * 1024 * 1024)	/* bytes, with caution */

static void answer(void *arg);
static void ask_large(PartitionQuestion *question, int64 bytes);
static bool is_near(const PartitionPlan *plan, const PartitionGap *gap, int64 bytes);
static void leave_near(PartitionQuestion *question, bool covered);
static PartitionGap span_from(const PartitionQuestion *question, int64 bytes);
static bool bound_by_rows(const PartitionQuestion *question, PartitionGap *span);
static void get_on(PartitionQuestion *question, const PartitionConstraint *constraint, const PartitionGap *span);
static void say(PartitionQuestion *question, PartitionAnswer said, const char *why);
static char *has_rows(const PartitionQuestion *question);
static char *drain_call(const PartitionSet *set);

/* Ask it; what the owner has no rights to ask leaves the partition out. */
void
dbops_partition_ask_default(PartitionQuestion *question)
{
	ErrorData  *error;

	if (question->plan->set->default_partition == NULL)
		say(question, PARTITION_MAY_BE_MADE, NULL);
	else if (dbops_attempt(answer, question, &error))
		return;
	else if (error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		ReThrowError(error);
	else
		say(question, PARTITION_LEFT_OUT,
			psprintf("the default partition cannot be asked for rows of its time: %s", error->message));
}

/* Say why the server has refused to attach one: the default partition has rows that its owner does not see. */
char *
dbops_partition_unseen_rows(const PartitionSet *set)
{
	return psprintf("the default partition has rows of its time, which the table's owner does not see: %s", drain_call(set));
}

static void
answer(void *arg)
{
	PartitionQuestion *question = arg;
	const PartitionSet *set = question->plan->set;
	Oid			other = set->default_partition->relid;
	int64		bytes = dbops_relation_bytes(other);

	if (bytes > LARGE)
		ask_large(question, bytes);
	else if (bytes > 0 && dbops_partition_has_rows(set, other, question->owner, question->gap->lower, question->gap->upper))
		say(question, PARTITION_LEFT_OUT, has_rows(question));
	else
		say(question, PARTITION_MAY_BE_MADE, NULL);
}

/* ---- a large one ---- */

static void
ask_large(PartitionQuestion *question, int64 bytes)
{
	const PartitionSet *set = question->plan->set;
	const PartitionGap *gap = question->gap;
	PartitionConstraint constraint = dbops_partition_proof_find(set->default_partition->relid);
	bool		covered = constraint.span.lower <= gap->lower && constraint.span.upper >= gap->upper;
	PartitionGap span = constraint.span;

	if (covered && constraint.validated)
		say(question, PARTITION_MAY_BE_MADE, NULL);
	else if (is_near(question->plan, gap, bytes))
		leave_near(question, constraint.exists);
	else if (constraint.exists && !covered)
		say(question, dbops_partition_proof_remove(set->default_partition->relid, question->owner, &question->why) ?
			PARTITION_MADE_LATER : PARTITION_WAITS, question->why);
	else
	{
		if (!constraint.exists)
			span = span_from(question, bytes);
		if (!constraint.exists && !bound_by_rows(question, &span))
			say(question, PARTITION_LEFT_OUT, has_rows(question));
		else
			get_on(question, &constraint, &span);
	}
}

/* Are rows of that time to be expected while it is being proven that there are none? */
static bool
is_near(const PartitionPlan *plan, const PartitionGap *gap, int64 bytes)
{
	int64		proof = bytes / SCAN_PER_SECOND * USECS_PER_SEC;

	return gap->lower < plan->now + ROWS_COME_EARLY + proof && gap->upper > plan->now - ROWS_COME_LATE;
}

/* Leave it out, with no constraint that time has overtaken. */
static void
leave_near(PartitionQuestion *question, bool constrained)
{
	const PartitionSet *set = question->plan->set;

	if (constrained && !dbops_partition_proof_remove(set->default_partition->relid, question->owner, &question->why))
		say(question, PARTITION_WAITS, question->why);
	else
		say(question, PARTITION_LEFT_OUT,
			psprintf("rows of its time come now, and the large default partition would refuse them"
					 " while it is proven to have none: %s", drain_call(set)));
}

/* This one with those that follow, up to one that is near, or alone where that has failed. */
static PartitionGap
span_from(const PartitionQuestion *question, int64 bytes)
{
	PartitionGap span = *question->gap;
	ListCell   *cell;

	foreach(cell, question->plan->missing)
	{
		const PartitionGap *gap = lfirst(cell);

		if (gap->lower < span.upper)
			continue;
		if (question->single || is_near(question->plan, gap, bytes))
			break;
		span.upper = gap->upper;
	}
	return span;
}

/* End the span before the first one of which there is a row; false: that is this one. */
static bool
bound_by_rows(const PartitionQuestion *question, PartitionGap *span)
{
	int64		first = dbops_partition_first_row(question->plan->set, question->owner, span->lower, span->upper);
	ListCell   *cell;

	if (first < question->gap->upper)
		return false;
	foreach(cell, question->plan->missing)
	{
		const PartitionGap *gap = lfirst(cell);

		if (gap->lower <= first && first < gap->upper)
			span->upper = gap->lower;
	}
	return true;
}

/* Get on with the proof; what the owner does not see the server has met. */
static void
get_on(PartitionQuestion *question, const PartitionConstraint *constraint, const PartitionGap *span)
{
	switch (dbops_partition_proof_step(question->plan->set, constraint, span, question->owner, &question->why))
	{
		case PARTITION_PROVEN:
			say(question, PARTITION_MAY_BE_MADE, NULL);
			break;
		case PARTITION_PROOF_GOES_ON:
			say(question, PARTITION_MADE_LATER, NULL);
			break;
		case PARTITION_PROOF_WAITS:
			say(question, PARTITION_WAITS, question->why);
			break;
		case PARTITION_DISPROVEN:
			if (question->single || span->upper <= question->gap->upper)
				say(question, PARTITION_LEFT_OUT, has_rows(question));
			else
				say(question, PARTITION_MADE_LATER, NULL);
			question->single = true;
			break;
	}
}

/* ---- what it says ---- */

static void
say(PartitionQuestion *question, PartitionAnswer said, const char *why)
{
	question->answer = said;
	question->why = why;
}

static char *
has_rows(const PartitionQuestion *question)
{
	return psprintf("the default partition has rows of its time: %s", drain_call(question->plan->set));
}

static char *
drain_call(const PartitionSet *set)
{
	return psprintf("CALL dbops.drain_default(%s)", quote_literal_cstr(set->name));
}
