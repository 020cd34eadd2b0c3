/*
 * retention_partitions.c
 *		Partitions that hold nothing younger than the cutoff go as a whole, the
 *		oldest first.
 *
 * One that something keeps is left out, and its rows are looked at one by one.
 */
#include "maintain/retention_run.h"

/* A table on its way to an archive. */
typedef struct Archiving
{
	const RetentionSpec *spec;
	Oid			table;
} Archiving;

static const Partition *next_partition(const RetentionRun *run, const PartitionSet *set);
static void drop_partition(RetentionRun *run, const RetentionSpec *spec, PartitionSet *set, DbopsStep *step);
static void leave_out(RetentionRun *run, Oid partition);
static bool keep_partition(Oid table, void *arg);
static void archive_as_owner(void *arg);

void
dbops_retention_partitions_prepare(RetentionRun *run)
{
	run->drop.job = run->job;
	run->drop.kind = RETENTION_KIND;
	run->drop.memory = run->memory;
	run->drop.keep = keep_partition;
	run->drop.arg = run;
}

void
dbops_retention_partitions_step(DbopsJob *job, void *state, DbopsStep *step)
{
	RetentionRun *run = state;
	Policy	   *policy;
	RetentionSpec *spec = dbops_retention_take_spec(run, &policy);
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
	else if (dbops_retention_is_over(run) || next_partition(run, set) == NULL)
		step->finished = true;
	else
		drop_partition(run, spec, set, step);
	dbops_retention_position_save(run, step);
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
drop_partition(RetentionRun *run, const RetentionSpec *spec, PartitionSet *set, DbopsStep *step)
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
		dbops_retention_check_archive(spec, partition->relid);
		dbops_partition_drop_begin(&run->drop, set, partition);
		return;
	}
	dbops_retention_note(run, partition->name, "drop partition", "skipped", obstacle, -1);
	leave_out(run, partition->relid);
}

static void
leave_out(RetentionRun *run, Oid partition)
{
	MemoryContext before = MemoryContextSwitchTo(run->memory);

	run->left_out = lappend_oid(run->left_out, partition);
	MemoryContextSwitchTo(before);
}

/* A partition that is detached is archived before it goes. */
static bool
keep_partition(Oid table, void *arg)
{
	RetentionRun *run = arg;
	Policy	   *policy;
	RetentionSpec *spec = dbops_retention_take_spec(run, &policy);
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

	dbops_retention_pin_settings(archiving->spec);
	dbops_set_nested("row_security", "off");	/* what is hidden would not be copied, nor counted */
	dbops_batch_check_at_once();
	dbops_retention_copy(psprintf("INSERT INTO %s (%s)%s SELECT %s FROM %s", dbops_quote_relation(archive), columns,
								  override ? " OVERRIDING SYSTEM VALUE" : "", columns, dbops_quote_relation(archiving->table)),
						 dbops_quote_relation(archiving->table), archiving->spec->archive);
}
