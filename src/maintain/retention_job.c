/*
 * retention_job.c
 *		The job that deletes what is older than it is to be kept.
 *
 *		begin		the cutoff is fixed, and whether so much may go
 *		partitions	those go that hold nothing younger, as a whole
 *		rows		the old rows of the tables that are left, in batches
 *		end			what was done, what is left, and why
 *
 * A run that would remove more than is usual is refused until it is confirmed:
 * at first it is remembered what is shown, and then the job is blocked. What is
 * confirmed is what was shown, a number of rows before a time, and not what has
 * come since.
 */
#include "maintain/retention.h"

#include "access/relation.h"
#include "access/transam.h"
#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "core/server.h"
#include "storage/procarray.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

#define LONGEST_WAIT	60000L	/* ms, for tables that refer to this one to be done first */
#define WAIT			1000L
#define VACUUM_SHARE	0.1		/* of the rows, after which the table is vacuumed */
#define VACUUM_ROWS		10000.0	/* fewer are not worth it */
#define VACUUM_TIME		600000	/* ms between two vacuums on the way, each of which reads all indexes */

enum
{
	PHASE_BEGIN,
	PHASE_PARTITIONS,
	PHASE_ROWS,
	PHASE_END,
	PHASES
};

typedef struct RetentionRun
{
	DbopsJob   *job;
	MemoryContext memory;
	Jsonb	   *asked;			/* the policy's spec, as of the run's beginning */
	RetentionWalk walk;
	PartitionDrop drop;
	List	   *left_out;		/* OIDs of partitions that do not go as a whole */
	long		waited;			/* ms, for other policies */
	TransactionId last_xid;		/* of the last batch */
	TimestampTz vacuumed;		/* when the table was, or the run began; 0: not yet */
	Oid			taken_leaf;		/* that another process was at, with this storage and so far */
	Oid			taken_storage;
	int64		taken_at;
	bool		taken_by_blocks;

	/* What the position keeps. */
	int64		cutoff;
	TimestampTz began;
	double		expected;		/* rows */
	double		most;			/* rows that may go in all */
	int64		rows;
	int64		partitions;
	int64		left;			/* ranges with rows that others have locked */
	int64		rest;			/* old rows that there are at the end */
	int64		kept;			/* besides, for holds or references */
	bool		exact;			/* they were counted */
	Oid			next_leaf;		/* those before it are done */
	int64		since_vacuum;	/* rows */
	double		work;			/* ms of batches */
	const char *stopped;		/* why it ends before all is done; or NULL */
} RetentionRun;

static void *open_job(DbopsJob *job);
static void begin_step(DbopsJob *job, void *state, DbopsStep *step);
static void partitions_step(DbopsJob *job, void *state, DbopsStep *step);
static void rows_step(DbopsJob *job, void *state, DbopsStep *step);
static void end_step(DbopsJob *job, void *state, DbopsStep *step);
static Jsonb *result(DbopsJob *job, void *state);
static Jsonb *remains(const DbopsJob *job);

static const DbopsPhase phases[PHASES] = {
	[PHASE_BEGIN] = {.name = "begin",.class = DBOPS_CLASS_PLAIN,.timed = true,.step = begin_step},
	[PHASE_PARTITIONS] = {.name = "partitions",.class = DBOPS_CLASS_CONCURRENT_DDL,.step = partitions_step},
	[PHASE_ROWS] = {.name = "rows",.class = DBOPS_CLASS_BATCHES,.timed = true,.step = rows_step},
	[PHASE_END] = {.name = "end",.class = DBOPS_CLASS_PLAIN,.timed = true,.step = end_step}
};

static const DbopsJobKind job_kind = {
	.name = RETENTION_KIND,
	.unit = "rows",
	.phases = phases,
	.n_phases = PHASES,
	.open = open_job,
	.result = result,
	.remains = remains
};

static const PolicyKind policy_kind = {
	.name = RETENTION_KIND,
	.set_call = "set_retention",
	.job_kind = RETENTION_KIND,
	.class = DBOPS_CLASS_PLAIN
};

static RetentionSpec *take_spec(RetentionRun *run, Policy **policy);
static bool waits_for_others(RetentionRun *run, const Policy *policy, DbopsStep *step);
static void require_room(const RetentionSpec *spec, double bytes);
static int64 cutoff_of(const RetentionRun *run, const RetentionSpec *spec, const RetentionMemory *memory);
static const char *judge(const RetentionSpec *spec, const RetentionMemory *memory, int64 cutoff,
						 const RetentionEstimate *estimate);
static void refuse(RetentionRun *run, const Policy *policy, const RetentionSpec *spec, RetentionMemory *memory,
				   const RetentionEstimate *estimate, const char *why, DbopsStep *step);
static bool is_in_hand(const Policy *policy, const RetentionSpec *spec);
static void drop_partition(RetentionRun *run, PartitionSet *set, DbopsStep *step);
static void leave_out(RetentionRun *run, Oid partition);
static const Partition *next_partition(const RetentionRun *run, const PartitionSet *set);
static bool keep_partition(Oid table, void *arg);
static void archive_as_owner(void *arg);
static bool enter_next(RetentionRun *run, const RetentionSpec *spec);
static void choose(const RetentionRun *run, const RetentionSpec *spec, RetentionLeaf *leaf);
static bool walk_again(RetentionRun *run, const RetentionSpec *spec);
static void leave_leaf(RetentionRun *run);
static bool is_over(RetentionRun *run);
static void ask_for_vacuum(RetentionRun *run, DbopsStep *step, bool at_end);
static bool vacuum_helps(const RetentionRun *run);
static void save(RetentionRun *run, DbopsStep *step);
static void take_over(RetentionRun *run, const Jsonb *position);
static void note(const RetentionRun *run, const char *object, const char *action, const char *outcome,
				 const char *message, int64 rows);
static char *message(const RetentionRun *run);

void
dbops_retention_init(void)
{
	dbops_job_kind_register(&job_kind);
	dbops_policy_kind_register(&policy_kind);
	dbops_retention_check_init();
}

static void *
open_job(DbopsJob *job)
{
	RetentionRun *run = palloc0(sizeof(RetentionRun));

	run->job = job;
	run->memory = CurrentMemoryContext;
	run->walk.memory = CurrentMemoryContext;
	run->walk.limits.yield = dbops_backfill_yield;
	run->drop.job = job;
	run->drop.kind = RETENTION_KIND;
	run->drop.memory = CurrentMemoryContext;
	run->drop.keep = keep_partition;
	run->drop.arg = run;
	if (job->position != NULL)
		take_over(run, job->position);
	return run;
}

/* What is asked for; a run ends where that has changed. */
static RetentionSpec *
take_spec(RetentionRun *run, Policy **policy)
{
	*policy = dbops_policy_of_job(run->job);
	if (run->asked == NULL)
	{
		MemoryContext before = MemoryContextSwitchTo(run->memory);

		run->asked = DatumGetJsonbPCopy(JsonbPGetDatum((*policy)->spec));
		MemoryContextSwitchTo(before);
	}
	else if (VARSIZE(run->asked) != VARSIZE((*policy)->spec) ||
			 memcmp(run->asked, (*policy)->spec, VARSIZE(run->asked)) != 0)
		run->stopped = "the policy was set again";
	return dbops_retention_spec(*policy);
}

/* ---- to begin ---- */

/* Fix the cutoff, unless so much is not to go before somebody has seen it. */
static void
begin_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy;
	RetentionSpec *spec = take_spec(run, &policy);
	RetentionMemory *memory = dbops_retention_memory(policy->memory);
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	const char *why;

	dbops_retention_check_table(spec->relid, "retention policy");
	if (waits_for_others(run, policy, step))
		return;
	run->cutoff = cutoff_of(run, spec, memory);
	dbops_retention_estimate_all(spec, run->cutoff, memory->confirmed, &estimate);
	why = judge(spec, memory, run->cutoff, &estimate);
	if (why != NULL)
	{
		refuse(run, policy, spec, memory, &estimate, why, step);
		return;
	}
	require_room(spec, estimate.bytes);
	run->most = estimate.rows * dbops_max_retention_percent / 100.0;
	if (memory->confirmed != RETENTION_NONE)
	{
		run->most += memory->confirmed_rows;
		memory->confirmed_rows = Min(memory->confirmed_rows, dbops_retention_countable(spec, &estimate));
	}
	dbops_retention_allow(memory, run->cutoff);
	memory->last_run = dbops_clock_now();
	memory->backlog_rows = estimate.expired;
	memory->backlog_bytes = estimate.bytes;
	memory->oldest = estimate.oldest;
	dbops_policy_remember(policy->id, dbops_retention_memory_put(memory));
	run->began = GetCurrentTimestamp();
	run->expected = estimate.expired;
	step->finished = true;
	step->goto_phase = dbops_retention_by_partition(spec) || is_in_hand(policy, spec) ? PHASE_PARTITIONS : PHASE_ROWS;
	save(run, step);
}

/* Let tables go first whose rows refer to this one's, but not for long: rows that are referred to stay. */
static bool
waits_for_others(RetentionRun *run, const Policy *policy, DbopsStep *step)
{
	const char *waiting = (run->waited < LONGEST_WAIT) ? dbops_retention_waits_for(policy) : NULL;

	if (waiting == NULL || run->job->foreground)
		return false;
	step->waiting = waiting;
	step->pause = WAIT;
	run->waited += WAIT;
	return true;
}

/* Refuse to begin where the archive's disk has no room for what would go there. */
static void
require_room(const RetentionSpec *spec, double bytes)
{
	Disks		disks = {0};
	DbopsParam	param = dbops_param_text(spec->archive);
	Datum		tablespace;
	ListCell   *cell;

	if (spec->archive == NULL ||
		!dbops_query_value("SELECT t.spcname::text FROM pg_class c, pg_database d, pg_tablespace t WHERE c.oid = to_regclass($1)"
						   " AND d.datname = current_database() AND t.oid = coalesce(nullif(c.reltablespace, 0), d.dattablespace)",
						   1, &param, TEXTOID, &tablespace))
		return;
	dbops_disks_read(&disks);
	foreach(cell, disks.list)
	{
		const Disk *disk = lfirst(cell);

		if (disk->tablespace == NULL || disk->total == 0 || disk->free >= bytes ||
			strcmp(disk->tablespace, TextDatumGetCString(tablespace)) != 0)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("archive table %s would get about %s, and %s has %s free", spec->archive,
						dbops_figure_bytes(bytes), disk->name, dbops_figure_bytes(disk->free)),
				 errhint("Make room there, or move the archive to another tablespace.")));
	}
}

/* What was confirmed is deleted, and nothing that has come since; what was shown is refused as it was. */
static int64
cutoff_of(const RetentionRun *run, const RetentionSpec *spec, const RetentionMemory *memory)
{
	int64		cutoff = dbops_partition_cutoff(&spec->clock, dbops_clock_now(), spec->keep);

	if (run->job->position != NULL && memory->shown != RETENTION_NONE)
		return Min(cutoff, memory->shown);
	if (dbops_jsonb_boolean(run->job->spec, "confirm") && memory->confirmed != RETENTION_NONE)
		cutoff = Min(cutoff, memory->confirmed);
	return cutoff;
}

/* Why a run must be confirmed first, as a user reads it; NULL: it need not be. */
static const char *
judge(const RetentionSpec *spec, const RetentionMemory *memory, int64 cutoff, const RetentionEstimate *estimate)
{
	const char *why = dbops_cutoff_jump(&memory->allowed, spec->keep, cutoff);

	if (why == NULL && dbops_retention_unconfirmed(memory, estimate) * 100.0 > estimate->rows * dbops_max_retention_percent)
		why = psprintf("that is more than dbops.max_retention_percent (%d) allows at once", dbops_max_retention_percent);
	if (why == NULL)
		why = dbops_retention_too_many(spec, cutoff, memory->confirmed);
	if (why == NULL)
		return NULL;
	return psprintf("%s of table %s, before %s, would be removed: %s", dbops_retention_share(estimate), spec->table,
					dbops_partition_literal(&spec->clock, cutoff), why);
}

/* Remember what is shown, and be blocked in the next step. */
static void
refuse(RetentionRun *run, const Policy *policy, const RetentionSpec *spec, RetentionMemory *memory,
	   const RetentionEstimate *estimate, const char *why, DbopsStep *step)
{
	DbopsJson	json = {0};

	if (run->job->position != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s", why),
				 errhint("If that is right, CALL dbops.run_retention(%s, confirm => true).", quote_literal_cstr(spec->table))));
	memory->shown = run->cutoff;
	memory->shown_rows = dbops_retention_countable(spec, estimate);
	memory->last_run = dbops_clock_now();
	memory->stopped = why;
	dbops_policy_remember(policy->id, dbops_retention_memory_put(memory));
	note(run, spec->table, "delete rows", "blocked", why, -1);
	dbops_json_object(&json, NULL);
	dbops_json_boolean(&json, "shown", true);
	step->position = dbops_json_finish(&json);
}

/* Has an earlier run left partitions half done, when they were to go as a whole? */
static bool
is_in_hand(const Policy *policy, const RetentionSpec *spec)
{
	PartitionHand hand;

	return dbops_partition_hand_find(policy->id, &hand) && dbops_partition_set_defect(spec->relid) == NULL;
}

/* ---- whole partitions ---- */

static void
partitions_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy;
	RetentionSpec *spec = take_spec(run, &policy);
	PartitionSet *set = dbops_partition_set_read(spec->relid, spec->clock.zone, spec->clock.unit);
	int			dropped = run->drop.dropped;

	run->drop.policy = policy->id;
	run->drop.cutoff = dbops_retention_by_partition(spec) ? run->cutoff : PARTITION_BEGINNING;
	if (run->stopped == NULL && dbops_partition_drop_in_hand(set, policy->id))
	{
		dbops_partition_drop_step(&run->drop, set, step);
		run->partitions += run->drop.dropped - dropped;
		if (OidIsValid(run->drop.left))
			leave_out(run, run->drop.left);
	}
	else if (is_over(run) || next_partition(run, set) == NULL)
		step->finished = true;
	else
		drop_partition(run, set, step);
	save(run, step);
}

/* The oldest that was not left out. */
static const Partition *
next_partition(const RetentionRun *run, const PartitionSet *set)
{
	ListCell   *cell;

	foreach(cell, dbops_partition_expired(set, run->drop.cutoff))
		if (!list_member_oid(run->left_out, ((Partition *) lfirst(cell))->relid))
			return lfirst(cell);
	return NULL;
}

/* Begin with a partition, unless something keeps it: then its rows are looked at one by one. */
static void
drop_partition(RetentionRun *run, PartitionSet *set, DbopsStep *step)
{
	const Partition *partition = next_partition(run, set);
	const char *obstacle;

	if (!dbops_hold_lock(partition->relid, InvalidOid, false))
	{
		dbops_partition_wait(step, psprintf("for a hold that is being placed on %s", partition->name));
		return;
	}
	obstacle = dbops_partition_obstacle(set, partition);
	if (obstacle == NULL)
	{
		dbops_partition_drop_begin(&run->drop, set, partition);
		return;
	}
	note(run, partition->name, "drop partition", "skipped", obstacle, -1);
	leave_out(run, partition->relid);
}

static void
leave_out(RetentionRun *run, Oid partition)
{
	MemoryContext before = MemoryContextSwitchTo(run->memory);

	run->left_out = lappend_oid(run->left_out, partition);
	MemoryContextSwitchTo(before);
}

/* A table on its way to an archive. */
typedef struct Archiving
{
	const RetentionSpec *spec;
	Oid			table;
} Archiving;

/* A partition that is detached is archived before it goes. */
static bool
keep_partition(Oid table, void *arg)
{
	RetentionRun *run = arg;
	Policy	   *policy;
	RetentionSpec *spec = take_spec(run, &policy);
	Archiving	archiving = {.spec = spec,.table = table};

	if (spec->archive != NULL)
		dbops_run_as(spec->owner, archive_as_owner, &archiving);
	return false;
}

static void
archive_as_owner(void *arg)
{
	const Archiving *archiving = arg;
	bool		override;
	Oid			archive;
	char	   *columns = dbops_retention_archive_columns(archiving->spec, archiving->table, &archive, &override);

	dbops_set_nested("search_path", archiving->spec->path);
	dbops_set_nested("row_security", "off");	/* what is hidden would not be copied, nor counted */
	dbops_batch_check_at_once();
	dbops_retention_copy(psprintf("INSERT INTO %s (%s)%s SELECT %s FROM %s", dbops_quote_relation(archive), columns,
								  override ? " OVERRIDING SYSTEM VALUE" : "", columns, dbops_quote_relation(archiving->table)),
						 dbops_quote_relation(archiving->table), archiving->spec->archive);
}

/* ---- rows ---- */

static void
rows_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy;
	RetentionSpec *spec = take_spec(run, &policy);
	DbopsBatch	batch = {0};

	if (is_over(run) || (run->walk.leaf == NULL && !enter_next(run, spec)))
		step->finished = true;
	else if (!dbops_retention_walk_step(spec, &run->walk, run->cutoff, step, &batch))
	{
		run->rows += batch.rows;
		run->walk.deleted += batch.rows;
		run->since_vacuum += batch.rows;
		run->work += batch.ms;
		ask_for_vacuum(run, step, false);
		run->last_xid = GetTopTransactionIdIfAny();
	}
	else if (!walk_again(run, spec))
	{
		ask_for_vacuum(run, step, true);
		run->left += run->walk.left;
		leave_leaf(run);
	}
	step->done = run->rows;
	step->total = Max(run->expected, run->rows);
	step->rows = run->rows;
	save(run, step);
}

/* Begin with the next table, in the order of OIDs; false: there is none. */
static bool
enter_next(RetentionRun *run, const RetentionSpec *spec)
{
	MemoryContext before = MemoryContextSwitchTo(run->memory);
	ListCell   *cell;

	foreach(cell, dbops_retention_leaves(spec, run->cutoff))
	{
		RetentionLeaf *leaf = lfirst(cell);

		if (leaf->relid < run->next_leaf)
			continue;
		if (leaf->relid != run->taken_leaf)
			choose(run, spec, leaf);
		else if (run->taken_by_blocks)
			leaf->index = InvalidOid;
		run->walk.leaf = leaf;
		run->walk.statements = dbops_retention_statements(run->memory);
		run->walk.taken_over = (leaf->relid == run->taken_leaf && leaf->filenode == run->taken_storage);
		run->walk.at = run->walk.taken_over ? run->taken_at : 0;
		run->next_leaf = leaf->relid;
		break;
	}
	MemoryContextSwitchTo(before);
	return run->walk.leaf != NULL;
}

/* By key or by block; who takes a table over goes on as it was begun. A table alone was looked at to begin with. */
static void
choose(const RetentionRun *run, const RetentionSpec *spec, RetentionLeaf *leaf)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	bool		alone = (leaf->relid == spec->relid && !has_subclass(leaf->relid));

	if (!OidIsValid(leaf->index))
		return;
	if (!alone)
		dbops_retention_estimate(spec, leaf, dbops_retention_expired(spec, leaf->relid, InvalidOid), run->cutoff,
								 RETENTION_NONE, &estimate);
	dbops_retention_choose(leaf, alone ? run->expected : estimate.expired);
}

/* Where that takes rows that could not go before; but not more in all than may go. */
static bool
walk_again(RetentionRun *run, const RetentionSpec *spec)
{
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	const RetentionLeaf *leaf = run->walk.leaf;

	if (!dbops_retention_walk_frees_rows(&run->walk))
		return false;
	dbops_retention_estimate(spec, leaf, dbops_retention_expired(spec, leaf->relid, InvalidOid), run->cutoff,
							 RETENTION_NONE, &estimate);
	if (estimate.expired < 1 || run->rows + estimate.expired > run->most)
		return false;
	dbops_retention_walk_again(&run->walk);
	return true;
}

static void
leave_leaf(RetentionRun *run)
{
	RetentionWalk left = {.memory = run->memory,.limits = run->walk.limits};

	dbops_retention_statements_free(run->walk.statements);
	run->next_leaf = run->walk.leaf->relid + 1;
	run->since_vacuum = 0;
	run->taken_leaf = InvalidOid;
	run->walk = left;
}

/* Is the run to end before all is done? */
static bool
is_over(RetentionRun *run)
{
	int64		most = dbops_jsonb_integer(run->job->spec, "max_duration");

	if (run->stopped == NULL && most > 0 && TimestampDifferenceExceeds(run->began, GetCurrentTimestamp(), (int) most))
		run->stopped = "max_duration is over";
	if (run->stopped == NULL && run->rows > run->most)
		run->stopped = "more rows have become old meanwhile than may go unconfirmed";
	return run->stopped != NULL;
}

/* Have the table vacuumed after many rows, if that can remove them: at its end, and on the way of a long run. */
static void
ask_for_vacuum(RetentionRun *run, DbopsStep *step, bool at_end)
{
	TimestampTz now = GetCurrentTimestamp();

	if (run->vacuumed == 0)
		run->vacuumed = now;
	if (run->since_vacuum < Max(run->walk.leaf->rows * VACUUM_SHARE, VACUUM_ROWS) ||
		(!at_end && !TimestampDifferenceExceeds(run->vacuumed, now, VACUUM_TIME)) || !vacuum_helps(run))
		return;
	step->vacuum = run->walk.leaf->relid;
	run->since_vacuum = 0;
	run->vacuumed = now;
}

/* Is nobody left who may see what the last batch has deleted? */
static bool
vacuum_helps(const RetentionRun *run)
{
	Relation	rel = try_relation_open(run->walk.leaf->relid, AccessShareLock);
	bool		helps;

	if (rel == NULL)
		return false;
	helps = !TransactionIdIsValid(run->last_xid) ||
		TransactionIdPrecedes(run->last_xid, GetOldestNonRemovableTransactionId(rel));
	relation_close(rel, NoLock);
	return helps;
}

/* ---- the end ---- */

static void
end_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy = dbops_policy_of_job(job);
	RetentionSpec *spec = dbops_retention_spec(policy);
	RetentionMemory *memory = dbops_retention_memory(policy->memory);
	RetentionEstimate rest = {.oldest = RETENTION_NONE,.exact = true};

	dbops_retention_estimate_all(spec, run->cutoff, RETENTION_NONE, &rest);
	memory->backlog_rows = rest.expired;
	memory->backlog_bytes = rest.bytes;
	memory->oldest = rest.oldest;
	memory->stopped = run->stopped;
	if (run->work > 0)
		memory->rate = run->rows / (run->work / 1000);
	if (run->stopped == NULL)
	{
		memory->last_success = dbops_clock_now();
		memory->confirmed = RETENTION_NONE;
		memory->confirmed_rows = 0;
	}
	else
		memory->confirmed_rows = Max(memory->confirmed_rows - run->rows, 0);
	if (memory->n_left == RETENTION_BACKLOGS)
		memmove(memory->left, memory->left + 1, sizeof(int64) * --memory->n_left);
	memory->left[memory->n_left++] = (int64) rest.expired;
	run->rest = (int64) rest.expired;
	run->kept = (int64) rest.kept;
	run->exact = rest.exact;
	dbops_policy_remember(policy->id, dbops_retention_memory_put(memory));
	note(run, spec->table, spec->archive != NULL ? "archive rows" : "delete rows", "done", message(run), run->rows);
	step->done = run->rows;
	step->total = run->rows;
	step->rows = run->rows;
	step->finished = true;
	save(run, step);
}

static Jsonb *
result(DbopsJob *job, void *state)
{
	const RetentionRun *run = state;
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rows", run->rows);
	dbops_json_integer(&json, "partitions", run->partitions);
	dbops_json_integer(&json, "left", run->rest);
	dbops_json_integer(&json, "kept", run->kept);
	dbops_json_text(&json, "stopped", run->stopped);
	dbops_json_text(&json, "message", message(run));
	return dbops_json_finish(&json);
}

static char *
message(const RetentionRun *run)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, INT64_FORMAT " rows deleted", run->rows);
	if (run->partitions > 0)
		appendStringInfo(&text, ", " INT64_FORMAT " partitions dropped", run->partitions);
	if (run->kept > 0)
		appendStringInfo(&text, ", %s" INT64_FORMAT " kept because a hold is on them or other rows refer to them",
						 run->exact ? "" : "about ", run->kept);
	if (run->rest > 0)
		appendStringInfo(&text, ", %s" INT64_FORMAT " left", run->exact ? "" : "about ", run->rest);
	if (run->left > 0)
		appendStringInfoString(&text, ", some because others have locked them");
	if (run->stopped != NULL)
		appendStringInfo(&text, "; ended early: %s", run->stopped);
	return text.data;
}

/* What a job that does not succeed has done. */
static Jsonb *
remains(const DbopsJob *job)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "rows", dbops_jsonb_integer(job->position, "rows"));
	dbops_json_integer(&json, "partitions", dbops_jsonb_integer(job->position, "partitions"));
	return dbops_json_finish(&json);
}

/* ---- what the job keeps ---- */

static void
save(RetentionRun *run, DbopsStep *step)
{
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "cutoff", run->cutoff);
	dbops_json_integer(&json, "began", run->began);
	dbops_json_decimal(&json, "expected", run->expected);
	dbops_json_decimal(&json, "most", run->most);
	dbops_json_integer(&json, "rows", run->rows);
	dbops_json_integer(&json, "partitions", run->partitions);
	dbops_json_integer(&json, "left", run->left);
	dbops_json_integer(&json, "rest", run->rest);
	dbops_json_integer(&json, "kept", run->kept);
	dbops_json_boolean(&json, "exact", run->exact);
	dbops_json_integer(&json, "since_vacuum", run->since_vacuum);
	dbops_json_decimal(&json, "work", run->work);
	dbops_json_text(&json, "stopped", run->stopped);
	dbops_json_integer(&json, "next_leaf", run->next_leaf);
	dbops_json_integer(&json, "storage", run->walk.leaf != NULL ? run->walk.leaf->filenode : InvalidOid);
	dbops_json_integer(&json, "at", run->walk.at);
	dbops_json_boolean(&json, "by_blocks", run->walk.leaf != NULL && !OidIsValid(run->walk.leaf->index));
	dbops_json_array(&json, "left_out");
	foreach(cell, run->left_out)
		dbops_json_integer(&json, NULL, lfirst_oid(cell));
	dbops_json_array_end(&json);
	step->position = dbops_json_finish(&json);
}

static void
take_over(RetentionRun *run, const Jsonb *position)
{
	int64	   *left_out;
	int			n = dbops_jsonb_integers(position, "left_out", &left_out);

	run->cutoff = dbops_jsonb_integer(position, "cutoff");
	run->began = dbops_jsonb_integer(position, "began");
	run->expected = dbops_jsonb_decimal(position, "expected");
	run->most = dbops_jsonb_decimal(position, "most");
	run->rows = dbops_jsonb_integer(position, "rows");
	run->partitions = dbops_jsonb_integer(position, "partitions");
	run->left = dbops_jsonb_integer(position, "left");
	run->rest = dbops_jsonb_integer(position, "rest");
	run->kept = dbops_jsonb_integer(position, "kept");
	run->exact = dbops_jsonb_boolean(position, "exact");
	run->since_vacuum = dbops_jsonb_integer(position, "since_vacuum");
	run->work = dbops_jsonb_decimal(position, "work");
	run->stopped = dbops_jsonb_text(position, "stopped");
	run->next_leaf = dbops_jsonb_integer(position, "next_leaf");
	run->taken_leaf = run->next_leaf;
	run->taken_storage = dbops_jsonb_integer(position, "storage");
	run->taken_at = dbops_jsonb_integer(position, "at");
	run->taken_by_blocks = dbops_jsonb_boolean(position, "by_blocks");
	for (int i = 0; i < n; i++)
		run->left_out = lappend_oid(run->left_out, left_out[i]);
}

static void
note(const RetentionRun *run, const char *object, const char *action, const char *outcome,
	 const char *message, int64 rows)
{
	MaintenanceNote said = {
		MAINTENANCE_NOTE,
		.kind = RETENTION_KIND,
		.object = object,
		.action = action,
		.outcome = outcome,
		.message = message,
		.job = run->job->id
	};

	said.rows = rows;
	if (strcmp(outcome, "done") == 0)
		said.duration = (int64) run->work;
	dbops_maintenance_note(&said);
}
