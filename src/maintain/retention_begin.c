/*
 * retention_begin.c
 *		Fix the cutoff of a run, and see whether so much may go.
 *
 * A run that would remove more than is usual is refused until it is confirmed:
 * at first it is remembered what is shown, and then the job is blocked. What is
 * confirmed is what was shown, a number of rows before a time, and not what has
 * come since.
 */
#include "maintain/retention_run.h"

#include "catalog/pg_type.h"
#include "core/server.h"
#include "utils/builtins.h"

#define LONGEST_WAIT	60000L	/* ms, for tables that refer to this one to be done first */
#define WAIT			1000L

static bool waits_for_others(RetentionRun *run, const Policy *policy, DbopsStep *step);
static void require_room(const RetentionSpec *spec, double bytes);
static int64 cutoff_of(const RetentionRun *run, const RetentionSpec *spec, const RetentionMemory *memory);
static const char *judge(const RetentionSpec *spec, const RetentionMemory *memory, int64 cutoff,
						 const RetentionEstimate *estimate, const List *cascades);
static void refuse(RetentionRun *run, const Policy *policy, const RetentionSpec *spec, RetentionMemory *memory,
				   const RetentionEstimate *estimate, const char *why, DbopsStep *step);
static void note_unasked(const RetentionRun *run, const RetentionSpec *spec);
static void note_others(const RetentionRun *run, const RetentionSpec *spec);
static bool is_in_hand(const Policy *policy, const RetentionSpec *spec);

/* Fix the cutoff, unless so much is not to go before somebody has seen it. */
void
dbops_retention_begin_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy;
	RetentionSpec *spec = dbops_retention_take_spec(run, &policy);
	RetentionMemory *memory = dbops_retention_memory(policy->memory);
	RetentionEstimate estimate = {.oldest = RETENTION_NONE,.exact = true};
	List	   *cascades = NIL;
	const char *why;

	dbops_retention_check_table(spec->relid, "retention policy");
	dbops_retention_check_references(spec->relid);
	if (waits_for_others(run, policy, step))
		return;
	run->cutoff = cutoff_of(run, spec, memory);
	dbops_retention_estimate_all(spec, run->cutoff, memory->confirmed, &estimate);
	if (estimate.expired > 0)
		cascades = dbops_retention_cascades(spec, run->cutoff);
	why = judge(spec, memory, run->cutoff, &estimate, cascades);
	if (why != NULL)
	{
		dbops_retention_remember_along(&memory->shown_along, cascades);
		refuse(run, policy, spec, memory, &estimate, why, step);
		return;
	}
	require_room(spec, estimate.bytes);
	run->most = estimate.rows * dbops_max_retention_percent / 100.0;
	if (memory->confirmed != RETENTION_NONE)
	{
		run->most += memory->confirmed_rows;
		memory->confirmed_rows = Min(memory->confirmed_rows, dbops_retention_countable(spec, &estimate));
		dbops_retention_limit_along(memory->confirmed_along, cascades);
	}
	dbops_retention_allow(memory, run->cutoff);
	memory->last_run = dbops_clock_now();
	memory->backlog_rows = estimate.expired;
	memory->backlog_bytes = estimate.bytes;
	memory->oldest = estimate.oldest;
	dbops_policy_remember(policy->id, dbops_retention_memory_put(memory));
	note_unasked(run, spec);
	note_others(run, spec);
	run->began = GetCurrentTimestamp();
	run->expected = estimate.expired;
	step->finished = true;
	step->goto_phase = dbops_retention_by_partition(spec) || is_in_hand(policy, spec) ? PHASE_PARTITIONS : PHASE_ROWS;
	dbops_retention_position_save(run, step);
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
judge(const RetentionSpec *spec, const RetentionMemory *memory, int64 cutoff,
	  const RetentionEstimate *estimate, const List *cascades)
{
	const char *why = dbops_cutoff_jump(&memory->allowed, spec->keep, cutoff);

	if (why == NULL && dbops_retention_unconfirmed(memory, estimate) * 100.0 > estimate->rows * dbops_max_retention_percent)
		why = psprintf("that is more than dbops.max_retention_percent (%d) allows at once", dbops_max_retention_percent);
	if (why == NULL)
		why = dbops_retention_too_many(spec, cutoff, memory->confirmed);
	if (why == NULL)
		why = dbops_retention_too_many_along(memory, cascades);
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
	dbops_retention_note(run, spec->table, "delete rows", "blocked", why, -1);
	dbops_json_object(&json, NULL);
	dbops_json_boolean(&json, "shown", true);
	step->position = dbops_json_finish(&json);
}

/* Say which holds keep more rows than those that they are on. */
static void
note_unasked(const RetentionRun *run, const RetentionSpec *spec)
{
	ListCell   *cell;

	foreach(cell, dbops_hold_unasked(spec->relid, spec->owner))
		dbops_retention_note(run, spec->table, "delete rows", "skipped", lfirst(cell), -1);
}

/* Say which partitions are left out. */
static void
note_others(const RetentionRun *run, const RetentionSpec *spec)
{
	ListCell   *cell;

	foreach(cell, dbops_retention_tables(spec, run->cutoff, true))
		dbops_retention_note(run, dbops_quote_relation(lfirst_oid(cell)), "delete rows", "skipped",
							 dbops_retention_other_owner(spec, lfirst_oid(cell)), -1);
}

/* Has an earlier run left partitions half done, when they were to go as a whole? */
static bool
is_in_hand(const Policy *policy, const RetentionSpec *spec)
{
	PartitionHand hand;

	return dbops_partition_hand_find(policy->id, &hand) && dbops_partition_set_defect(spec->relid) == NULL;
}
