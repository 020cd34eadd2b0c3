/*
 * partition_job.c
 *		The job that looks after a partitioned table.
 *
 *		create	one partition in each step, in a transaction of its own
 *		drop	what is half done first, and then one after the other
 *
 * So what cannot be dropped never keeps anything from being made. A step plans
 * anew from the catalog, and the job remembers only what it has left out.
 *
 * A run that would drop much more than one before it is refused until it is
 * confirmed, since a clock that has jumped looks like a table that has aged: at
 * first it is remembered what is shown, and then the job fails. What is
 * confirmed is what was shown, and not what has come since.
 */
#include "maintain/cutoff.h"
#include "maintain/hold.h"
#include "maintain/partition.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

typedef struct PartitionWork
{
	DbopsJob   *job;
	PartitionDrop drop;
	TimestampTz waits_since;	/* 0: it does not wait */
	int			made;
} PartitionWork;

static void *begin(DbopsJob *job);
static void create_step(DbopsJob *job, void *state, DbopsStep *step);
static const PartitionGap *next_gap(const DbopsJob *job, const PartitionPlan *plan);
static void end_creation(PartitionWork *work, const Policy *policy, const PartitionPlan *plan, DbopsStep *step);
static bool is_anything_to_drop(const Policy *policy, const PartitionPlan *plan);
static bool default_is_in_the_way(PartitionWork *work, const PartitionPlan *plan, const PartitionGap *gap, DbopsStep *step);
static bool is_single(const DbopsJob *job);
static void leave_out(PartitionWork *work, const PartitionPlan *plan, const PartitionGap *gap, DbopsStep *step, const char *why);
static Jsonb *create_position(const PartitionSet *set, int64 from, bool single);
static void keep_trying(PartitionWork *work, DbopsStep *step, const char *what, const char *why);
static void drop_step(DbopsJob *job, void *state, DbopsStep *step);
static void judge_holds(const Policy *policy);
static void go_on(PartitionWork *work, const PartitionPlan *plan, DbopsStep *step);
static const Partition *next_expired(const DbopsJob *job, const PartitionPlan *plan);
static void begin_drop(PartitionWork *work, const PartitionPlan *plan, const Partition *partition, DbopsStep *step);
static int64 judged_until(const DbopsJob *job);
static bool is_refused(PartitionWork *work, const Policy *policy, const PartitionPlan *plan, const Partition *partition, DbopsStep *step);
static char *describe_refusal(const PartitionPlan *plan, const char *why);
static Jsonb *drop_position(const DbopsJob *job, int64 judged, Oid partition);
static void note_for(const PartitionWork *work, const char *object, const char *action, const char *outcome, const char *message);
static Jsonb *result(DbopsJob *job, void *state);
static const char *abandon(const DbopsJob *job, long patience);
static const char *idle(const Policy *policy);
static void plan_for(void *arg);

enum
{
	PHASE_CREATE,
	PHASE_DROP,
	PHASE_END
};

static const DbopsPhase phases[] = {
	[PHASE_CREATE] = {.name = "create",.class = DBOPS_CLASS_PLAIN,.step = create_step},
	[PHASE_DROP] = {.name = "drop",.class = DBOPS_CLASS_CONCURRENT_DDL,.step = drop_step}
};

static const DbopsJobKind job_kind = {
	.name = PARTITION_KIND,
	.unit = "partitions",
	.phases = phases,
	.n_phases = lengthof(phases),
	.open = begin,
	.result = result,
	.abandon = abandon,
	.passing = true,
	.asked_again = true
};

static const PolicyKind policy_kind = {
	.name = PARTITION_KIND,
	.set_call = "set_partitioning",
	.job_kind = PARTITION_KIND,
	.class = DBOPS_CLASS_PLAIN,
	.idle = idle
};

void
dbops_partition_init(void)
{
	dbops_job_kind_register(&job_kind);
	dbops_policy_kind_register(&policy_kind);
	dbops_partition_check_init();
	dbops_partition_left_init();
}

static void *
begin(DbopsJob *job)
{
	PartitionWork *work = palloc0(sizeof(PartitionWork));

	work->job = job;
	work->drop.job = job;
	work->drop.kind = PARTITION_KIND;
	work->drop.memory = CurrentMemoryContext;
	return work;
}

/* ---- to make what is missing ---- */

static void
create_step(DbopsJob *job, void *state, DbopsStep *step)
{
	PartitionWork *work = state;
	Policy	   *policy = dbops_policy_of_job(job);
	PartitionPlan *plan = dbops_partition_plan_of(policy);
	const PartitionGap *gap = next_gap(job, plan);
	const char *name;
	const char *why;
	PartitionAnswer answer;

	step->done = work->made;
	step->total = work->made + list_length(plan->missing);
	if (gap == NULL)
	{
		end_creation(work, policy, plan, step);
		return;
	}
	name = dbops_quote_qualified(dbops_partition_schema(plan->set), gap->relname);
	if (default_is_in_the_way(work, plan, gap, step))
		return;
	answer = dbops_partition_create(plan->set, gap, job->owner, &why);
	if (answer == PARTITION_WAITS)
		keep_trying(work, step, name, why);
	else if (answer == PARTITION_LEFT_OUT)
		leave_out(work, plan, gap, step, why);
	if (answer != PARTITION_MADE)
		return;
	work->waits_since = 0;
	step->done = ++work->made;
	note_for(work, name, "create partition", "done",
			 psprintf("from %s to %s%s%s", dbops_partition_literal(&plan->set->clock, gap->lower),
					  dbops_partition_literal(&plan->set->clock, gap->upper), why != NULL ? "; " : "", why != NULL ? why : ""));
}

/* The next that is missing and was not left out. */
static const PartitionGap *
next_gap(const DbopsJob *job, const PartitionPlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->missing)
	{
		const PartitionGap *gap = lfirst(cell);

		if (job->position == NULL || gap->lower >= dbops_jsonb_integer(job->position, "from"))
			return gap;
	}
	return NULL;
}

/* Remove what the default partition was given meanwhile, and go on to what is to be dropped. */
static void
end_creation(PartitionWork *work, const Policy *policy, const PartitionPlan *plan, DbopsStep *step)
{
	const Partition *other = plan->set->default_partition;
	const char *why;

	if (other != NULL && !dbops_partition_proof_remove(other->relid, work->job->owner, &why))
	{
		keep_trying(work, step, other->name, why);
		return;
	}
	work->waits_since = 0;
	step->finished = true;
	if (is_anything_to_drop(policy, plan))
		return;
	step->goto_phase = PHASE_END;
	if (plan->keep != NULL)
		dbops_policy_remember(policy->id, dbops_partition_allow(plan, policy->memory));
}

static bool
is_anything_to_drop(const Policy *policy, const PartitionPlan *plan)
{
	return plan->expired != NIL || dbops_partition_drop_in_hand(plan->set, policy->id);
}

/*
 * See that the default partition holds nothing of the new one's, so that it
 * need not be scanned under the lock; true: the step is over.
 */
static bool
default_is_in_the_way(PartitionWork *work, const PartitionPlan *plan, const PartitionGap *gap, DbopsStep *step)
{
	PartitionQuestion question = {
		.plan = plan,
		.gap = gap,
		.owner = work->job->owner,
		.single = is_single(work->job)
	};

	dbops_partition_ask_default(&question);
	if (question.answer == PARTITION_WAITS)
		keep_trying(work, step, plan->set->default_partition->name, question.why);
	else if (question.answer == PARTITION_MADE_LATER)
		step->position = create_position(plan->set, gap->lower, question.single);
	else if (question.answer == PARTITION_LEFT_OUT)
		leave_out(work, plan, gap, step, question.why);
	return question.answer != PARTITION_MAY_BE_MADE;
}

static bool
is_single(const DbopsJob *job)
{
	return job->position != NULL && dbops_jsonb_boolean(job->position, "single");
}

static void
leave_out(PartitionWork *work, const PartitionPlan *plan, const PartitionGap *gap, DbopsStep *step, const char *why)
{
	const PartitionSet *set = plan->set;

	note_for(work, dbops_quote_qualified(dbops_partition_schema(set), gap->relname), "create partition", "skipped", why);
	step->position = create_position(set, gap->upper, is_single(work->job));
}

static Jsonb *
create_position(const PartitionSet *set, int64 from, bool single)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "from", from);
	dbops_json_boolean(&json, "single", single);
	dbops_json_integer(&json, "default", set->default_partition->relid);
	return dbops_json_finish(&json);
}

static void
keep_trying(PartitionWork *work, DbopsStep *step, const char *what, const char *why)
{
	if (dbops_partition_waited_long(&work->waits_since))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("partition %s could not be made: waited %s", what, why),
				 errhint("It is tried again with the next run. See dbops.blocking_sessions().")));
	dbops_partition_wait(step, why);
}

/* ---- to drop what is too old ---- */

/* What is in hand goes first, but what was only noted has to be allowed as if it were not. */
static void
drop_step(DbopsJob *job, void *state, DbopsStep *step)
{
	PartitionWork *work = state;
	Policy	   *policy = dbops_policy_of_job(job);
	PartitionPlan *plan = dbops_partition_plan_of(policy);
	bool		in_hand = dbops_partition_drop_in_hand(plan->set, policy->id);
	const Partition *partition = in_hand ? dbops_partition_drop_noted(plan->set, policy->id) : next_expired(job, plan);

	if (plan->keep != NULL)
		dbops_partition_refuse_retention(plan->set->parent);
	judge_holds(policy);
	work->drop.policy = policy->id;
	work->drop.cutoff = plan->cutoff;
	step->done = work->drop.dropped;
	step->total = work->drop.dropped + list_length(plan->expired);
	if (in_hand && partition != NULL && partition->upper <= plan->cutoff && is_refused(work, policy, plan, partition, step))
		return;
	if (in_hand)
		go_on(work, plan, step);
	else if (partition == NULL)
		step->finished = true;
	else if (!is_refused(work, policy, plan, partition, step))
		begin_drop(work, plan, partition, step);
}

/* A clock that has jumped since a cutoff was allowed lets no hold end. */
static void
judge_holds(const Policy *policy)
{
	CutoffMark	allowed = {.cutoff = CUTOFF_NONE};

	if (policy->memory != NULL)
		allowed = dbops_cutoff_read(policy->memory);
	dbops_hold_judge_at(dbops_cutoff_now(&allowed));
}

/* Go on with what is in hand; what that leaves as it is is not begun again. */
static void
go_on(PartitionWork *work, const PartitionPlan *plan, DbopsStep *step)
{
	dbops_partition_drop_step(&work->drop, plan->set, step);
	if (OidIsValid(work->drop.left))
		step->position = drop_position(work->job, step->position != NULL ? plan->cutoff : judged_until(work->job), work->drop.left);
}

/* The oldest that was not left out. */
static const Partition *
next_expired(const DbopsJob *job, const PartitionPlan *plan)
{
	int64	   *left_out = NULL;
	int			count = (job->position == NULL) ? 0 : dbops_jsonb_integers(job->position, "left_out", &left_out);
	ListCell   *cell;

	foreach(cell, plan->expired)
	{
		const Partition *partition = lfirst(cell);
		bool		found = false;

		for (int i = 0; i < count; i++)
			found |= (left_out[i] == partition->relid);
		if (!found)
			return partition;
	}
	return NULL;
}

static void
begin_drop(PartitionWork *work, const PartitionPlan *plan, const Partition *partition, DbopsStep *step)
{
	const char *obstacle = dbops_partition_obstacle(plan->set, partition);

	if (obstacle == NULL)
	{
		dbops_partition_drop_begin(&work->drop, plan->set, partition);
		return;
	}
	note_for(work, partition->name, "drop partition", "skipped", obstacle);
	step->position = drop_position(work->job, step->position != NULL ? plan->cutoff : judged_until(work->job), partition->relid);
}

/* Up to which cutoff this job may drop; a policy that is set again meanwhile may have another one. */
static int64
judged_until(const DbopsJob *job)
{
	int64		until = (job->position != NULL) ? dbops_jsonb_integer(job->position, "judged") : 0;

	return until != 0 ? until : PARTITION_BEGINNING;
}

/*
 * Refuse to drop more than is usual before that is confirmed, once in a job for
 * each cutoff; true: the step is over.
 */
static bool
is_refused(PartitionWork *work, const Policy *policy, const PartitionPlan *plan, const Partition *partition, DbopsStep *step)
{
	Jsonb	   *position = work->job->position;
	DbopsJson	json = {0};
	const char *why;

	if (partition->upper <= judged_until(work->job) || dbops_partition_is_confirmed(plan, partition, policy->memory))
		return false;
	dbops_partition_set_measure(plan->set);
	why = dbops_partition_needs_confirmation(plan, policy->memory);
	if (why == NULL)
	{
		dbops_policy_remember(policy->id, dbops_partition_allow(plan, policy->memory));
		step->position = drop_position(work->job, plan->cutoff, InvalidOid);
		return false;
	}
	if (position != NULL && dbops_jsonb_boolean(position, "shown"))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", describe_refusal(plan, why)),
				 errhint("If that is right, CALL dbops.run_partitioning(%s, confirm => true).",
						 quote_literal_cstr(plan->set->name))));
	note_for(work, plan->set->name, "drop partitions", "blocked", describe_refusal(plan, why));
	dbops_policy_remember(policy->id, dbops_partition_show(plan, policy->memory));
	dbops_json_object(&json, NULL);
	dbops_json_boolean(&json, "shown", true);
	step->position = dbops_json_finish(&json);
	return true;
}

static char *
describe_refusal(const PartitionPlan *plan, const char *why)
{
	int64		rows = 0;
	int64		bytes = 0;
	bool		known = true;
	ListCell   *cell;

	foreach(cell, plan->expired)
	{
		const Partition *partition = lfirst(cell);

		rows += Max(partition->rows, 0);
		known &= (partition->rows >= 0);
		bytes += partition->bytes;
	}
	return psprintf("%d of %d partitions of table %s, with about " INT64_FORMAT " rows%s and " INT64_FORMAT " kB, end by %s"
					" and would be dropped: %s",
					list_length(plan->expired), list_length(plan->set->partitions), plan->set->name,
					rows, known ? "" : " (some were never analyzed)", bytes / 1024, dbops_partition_literal(&plan->set->clock, plan->cutoff), why);
}

/* What the phase remembers: up to where it was judged, and what it has left out, with one more. */
static Jsonb *
drop_position(const DbopsJob *job, int64 judged, Oid partition)
{
	int64	   *left_out = NULL;
	int			count = (job->position == NULL) ? 0 : dbops_jsonb_integers(job->position, "left_out", &left_out);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	if (judged != PARTITION_BEGINNING)
		dbops_json_integer(&json, "judged", judged);
	dbops_json_array(&json, "left_out");
	for (int i = 0; i < count; i++)
		dbops_json_integer(&json, NULL, left_out[i]);
	if (OidIsValid(partition))
		dbops_json_integer(&json, NULL, partition);
	dbops_json_array_end(&json);
	return dbops_json_finish(&json);
}

static void
note_for(const PartitionWork *work, const char *object, const char *action, const char *outcome, const char *message)
{
	MaintenanceNote note = {
		MAINTENANCE_NOTE,
		.kind = PARTITION_KIND,
		.object = object,
		.action = action,
		.outcome = outcome,
		.message = message,
		.job = work->job->id
	};

	dbops_maintenance_note(&note);
}

/* ---- the end ---- */

static Jsonb *
result(DbopsJob *job, void *state)
{
	const PartitionWork *work = state;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "made", work->made);
	dbops_json_integer(&json, "dropped", work->drop.dropped);
	dbops_json_text(&json, "message", psprintf("%d made, %d dropped", work->made, work->drop.dropped));
	return dbops_json_finish(&json);
}

/* Remove what the default partition was given: it would refuse rows that have no other place. */
static const char *
abandon(const DbopsJob *job, long patience)
{
	Oid			other = (job->position == NULL) ? InvalidOid : dbops_jsonb_integer(job->position, "default");
	const char *why;
	TimestampTz until = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), patience);

	if (!OidIsValid(other) || get_rel_name(other) == NULL)
		return NULL;
	while (!dbops_partition_proof_remove(other, job->owner, &why))
		if (GetCurrentTimestamp() >= until)
			return psprintf("constraint " PARTITION_PROOF_NAME " of table %s, which waits %s", dbops_quote_relation(other), why);
	return NULL;
}

/* A policy that is due, and what there is to do. */
typedef struct Idle
{
	const Policy *policy;
	PartitionPlan *plan;
} Idle;

/* Say why no job is needed; what is wrong with the table the job will say. */
static const char *
idle(const Policy *policy)
{
	Idle		question = {.policy = policy};
	const PartitionPlan *plan;
	ErrorData  *error;

	if (!dbops_attempt(plan_for, &question, &error))
		return NULL;
	plan = question.plan;
	if (plan->missing != NIL || is_anything_to_drop(policy, plan))
		return NULL;
	return "all partitions are there, and none is too old";
}

static void
plan_for(void *arg)
{
	Idle	   *question = arg;

	question->plan = dbops_partition_plan_of(question->policy);
}
