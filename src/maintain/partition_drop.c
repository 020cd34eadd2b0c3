/*
 * partition_drop.c
 *		Get rid of a partition, in several steps.
 *
 *		noted		a row of dbops.partition_drop says what is to go, see partition_hand.c
 *		detached	concurrently where there is no default partition, and else
 *					with the locks of partition_lock.c
 *		gone		the table is dropped, or kept elsewhere, and so is the row
 *
 * Between these the process may die; the next one reads from the catalog how
 * far it has come. A concurrent detach that was cut off, ours or anybody's, is
 * pending: nobody sees the partition any more, and it is finished when all are
 * gone who may have. What was noted stays noted when the job fails, so that the
 * table is not forgotten when it has been detached and not dropped. But what
 * the policy would keep today is neither detached nor dropped any more.
 *
 * What cannot be detached or dropped stays, the log says why, and the next one
 * is tried: whoever can keep one partition must not keep all that follow. Only
 * what fails to be archived first ends the run, for that is the policy's matter.
 */
#include "maintain/hold.h"
#include "maintain/partition.h"

#include "core/sql.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/guc.h"
#include "utils/inval.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define IMPATIENT		2000	/* ms of tries, before who has a snapshot is waited for longer */
#define FINALIZE_WAIT	"5000"	/* ms, for each */

static bool met_something(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step);
static void wait_or_fail(PartitionDrop *drop, DbopsStep *step, const char *what, const char *why);
static const char *taken_over(const PartitionHand *hand);
static int64 reach_of(const PartitionSet *set, const Partition *partition);
static bool are_named(const PartitionSet *set, const Partition *partition, const char **why);
static bool is_still(const PartitionSet *set, const PartitionHand *hand);
static void leave(PartitionDrop *drop, const PartitionHand *hand, const char *why);
static void detach(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step);
static bool may_run_outside(const PartitionDrop *drop, const PartitionSet *set);
static void have_detached(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step);
static void name_for_outside(PartitionDrop *drop, const PartitionSet *set, const Partition *partition);
static void run_outside(void *arg);
static void run_statement(void *arg);
static void lock_for_session(const PartitionNamed *named);
static void unlock_for_session(const PartitionNamed *named);
static void detach_here(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step);
static void run_detach(void *arg);
static void run_ddl(void *arg);
static PartitionLimit limit_of(const Partition *partition);
static void finish_detach(PartitionDrop *drop, const PartitionSet *set, DbopsStep *step);
static bool is_noted(const PartitionSet *set, Oid partition);
static const char *older_snapshot(PartitionDrop *drop, Oid pending);
static void run_finalize(void *arg);
static void run_sql(void *arg);
static void remove_table(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step);
static bool lock_tree(Oid relid, const char **why);
static void drop_or_keep(void *arg);
static void lock_referenced(void *arg);
static void call_keep(void *arg);
static void drop_table(void *arg);
static void note(const PartitionDrop *drop, const PartitionHand *hand, const char *action, const char *outcome, const char *message);

/* ---- one step ---- */

/* Is there anything to go on with? */
bool
dbops_partition_drop_in_hand(const PartitionSet *set, int64 policy)
{
	PartitionHand hand;

	return set->pending != NULL || dbops_partition_hand_find(policy, &hand);
}

/* What was only noted. */
const Partition *
dbops_partition_drop_noted(const PartitionSet *set, int64 policy)
{
	PartitionHand hand;

	if (set->pending != NULL || !dbops_partition_hand_find(policy, &hand))
		return NULL;
	return dbops_partition_find(set, hand.partition);
}

/* Note what is to go. */
void
dbops_partition_drop_begin(PartitionDrop *drop, const PartitionSet *set, const Partition *partition)
{
	Partition	measured = *partition;

	dbops_partition_measure(&measured);
	dbops_partition_hand_put(drop->policy, drop->kind, set->parent, &measured);
}

/* Do one step's work on what is in hand. */
void
dbops_partition_drop_step(PartitionDrop *drop, const PartitionSet *set, DbopsStep *step)
{
	PartitionHand hand = {0};
	bool		noted = dbops_partition_hand_find(drop->policy, &hand);
	const Partition *there = noted ? dbops_partition_find(set, hand.partition) : NULL;
	bool		attached = (there != NULL);
	const char *taken = (noted && !attached) ? taken_over(&hand) : NULL;

	drop->left = InvalidOid;
	if (attached)
		hand.upper = reach_of(set, there);
	if (attached && hand.begun && set->pending == NULL)
		dbops_partition_hand_set_begun(hand.partition, false);
	if (met_something(drop, set, noted ? &hand : NULL, step))
		return;
	if (set->pending != NULL)
		finish_detach(drop, set, step);
	else if (taken != NULL)
		leave(drop, &hand, taken);
	else if (hand.upper > drop->cutoff)
		leave(drop, &hand, attached ? "the policy keeps it now" : "it is detached and stays as a table: the policy keeps it now");
	else if (attached)
		detach(drop, set, &hand, step);
	else
		remove_table(drop, set, &hand, step);
}

/* Why what is detached is not ours to drop any more; NULL: it is. */
static const char *
taken_over(const PartitionHand *hand)
{
	if (get_rel_name(hand->partition) == NULL || get_rel_relispartition(hand->partition))
		return "another session has dropped it or attached it elsewhere";
	if (!hand->begun)
		return "another session has detached it, and it stays as a table";
	if (strcmp(hand->name, dbops_quote_relation(hand->partition)) != 0)
		return "another session has renamed it since it was detached, and it stays as a table";
	return NULL;
}

/* Up to where it has rows; it may have been attached anew since it was noted, with other bounds. */
static int64
reach_of(const PartitionSet *set, const Partition *partition)
{
	return (partition == set->default_partition) ? PARTITION_END : partition->upper;
}

/* Now that it is locked: is it still what the step has judged? Who had the lock may have attached it anew. */
static bool
is_still(const PartitionSet *set, const PartitionHand *hand)
{
	const PartitionSet *now = dbops_partition_set_read(set->parent, set->clock.zone, set->clock.unit);
	const Partition *there = dbops_partition_find(now, hand->partition);

	return there != NULL && reach_of(now, there) == hand->upper;
}

/* Now that they are locked: will a statement that names them reach them? */
static bool
are_named(const PartitionSet *set, const Partition *partition, const char **why)
{
	return dbops_partition_is_named(set->parent, set->schema, set->relname, why) &&
		dbops_partition_is_named(partition->relid, partition->schema, partition->relname, why);
}

/* It does not go. */
static void
leave(PartitionDrop *drop, const PartitionHand *hand, const char *why)
{
	note(drop, hand, "drop partition", "skipped", why);
	dbops_partition_hand_forget(hand->partition);
	drop->waits_since = 0;
	drop->left = hand->partition;
}

/* See to what the statement outside has met; true: the step is over. */
static bool
met_something(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step)
{
	ErrorData  *met = drop->met;

	drop->met = NULL;
	if (met == NULL || hand == NULL)
		return false;
	if (dbops_partition_met_lock(met))
	{
		wait_or_fail(drop, step, hand->name, "for a lock that another session had");
		return true;
	}
	if (met->sqlerrcode == ERRCODE_OBJECT_IN_USE || set->pending != NULL)
		return false;			/* somebody else is detaching, or we have begun; the catalog tells */
	leave(drop, hand, met->message);
	return true;
}

static void
wait_or_fail(PartitionDrop *drop, DbopsStep *step, const char *what, const char *why)
{
	if (dbops_partition_waited_long(&drop->waits_since))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("partition %s could not be detached and dropped: waited %s", what, why),
				 errhint("It goes on where it was with the next run. See dbops.blocking_sessions().")));
	dbops_partition_wait(step, why);
}

/* ---- to detach ---- */

/* Can it be done without anybody waiting for us? */
bool
dbops_partition_drops_concurrently(const PartitionSet *set)
{
	return set->default_partition == NULL;
}

/* Under the lock of holds: none comes between the look for them and a detach that is done here. */
static void
detach(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step)
{
	const Partition *partition = dbops_partition_find(set, hand->partition);
	const char *obstacle;

	if (!dbops_hold_lock(partition->relid, InvalidOid, false))
	{
		wait_or_fail(drop, step, partition->name, "for a hold that is being placed");
		return;
	}
	obstacle = dbops_partition_obstacle(set, partition);
	if (obstacle != NULL)
		leave(drop, hand, obstacle);
	else if (may_run_outside(drop, set))
		have_detached(drop, set, partition, step);
	else
		detach_here(drop, set, hand, step);
}

/*
 * A statement outside runs with the rights of the session. Where that is not
 * the owner's nor somebody's who has asked for it, its names are the owner's to
 * choose and the rights are not.
 */
static bool
may_run_outside(const PartitionDrop *drop, const PartitionSet *set)
{
	return dbops_partition_drops_concurrently(set) &&
		(drop->job->foreground || GetUserId() == drop->job->owner);
}

static void
have_detached(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step)
{
	Oid			relations[] = {set->parent, partition->relid};
	const char *why;

	if (!dbops_partition_lock(relations, lengthof(relations), ShareUpdateExclusiveLock, &why) ||
		!dbops_partition_lock_referenced(list_make1_oid(partition->relid), ShareRowExclusiveLock, &why) ||
		!are_named(set, partition, &why))
	{
		wait_or_fail(drop, step, partition->name, why);
		return;
	}
	dbops_partition_hand_set_begun(partition->relid, true);
	name_for_outside(drop, set, partition);
	drop->limit = limit_of(partition);
	if (drop->limit.message != NULL)
		drop->limit.message = MemoryContextStrdup(drop->memory, drop->limit.message);
	step->outside = run_outside;
	step->outside_arg = drop;
	step->outside_what = psprintf("detaching of partition %s", partition->name);
}

static void
name_for_outside(PartitionDrop *drop, const PartitionSet *set, const Partition *partition)
{
	MemoryContext passing = MemoryContextSwitchTo(drop->memory);

	drop->statement = psprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", set->name, partition->name);
	drop->named[0] = (PartitionNamed) {set->parent, pstrdup(set->schema), pstrdup(set->relname)};
	drop->named[1] = (PartitionNamed) {partition->relid, pstrdup(partition->schema), pstrdup(partition->relname)};
	MemoryContextSwitchTo(passing);
}

/*
 * It waits for whoever reads the parent, with no lock that keeps anybody out;
 * when that takes long it is left pending, and finished by a later step.
 */
static void
run_outside(void *arg)
{
	PartitionDrop *drop = arg;
	MemoryContext passing = MemoryContextSwitchTo(drop->memory);

	PG_TRY();
	{
		dbops_job_setting_put("lock_timeout", psprintf("%d", PARTITION_LOCK_WAIT));
		for (int i = 0; i < lengthof(drop->named); i++)
			lock_for_session(&drop->named[i]);
		dbops_partition_within(&drop->limit, run_statement, drop);
		for (int i = 0; i < lengthof(drop->named); i++)
			unlock_for_session(&drop->named[i]);
		dbops_job_settings_restore();
	}
	PG_CATCH();
	{
		int			code = geterrcode();

		if (code == ERRCODE_QUERY_CANCELED || ERRCODE_TO_CATEGORY(code) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		drop->met = dbops_procedure_begin_anew(drop->memory);
		dbops_job_settings_restore();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(passing);
}

static void
run_statement(void *arg)
{
	const char *sql = ((PartitionDrop *) arg)->statement;
	RawStmt    *raw = linitial_node(RawStmt, dbops_sql_parse(sql, RAW_PARSE_DEFAULT));

	(void) dbops_sql_run_own(raw, sql, true);
}

/* Keep its name with it until the statement has found it by that; an error gives the lock back. */
static void
lock_for_session(const PartitionNamed *named)
{
	LockRelId	id = {.relId = named->relid,.dbId = MyDatabaseId};
	const char *why;

	LockRelationIdForSession(&id, ShareUpdateExclusiveLock);
	AcceptInvalidationMessages();
	if (!dbops_partition_is_named(named->relid, named->schema, named->relname, &why))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("another session has renamed or dropped table %s", dbops_quote_qualified(named->schema, named->relname))));
}

static void
unlock_for_session(const PartitionNamed *named)
{
	LockRelId	id = {.relId = named->relid,.dbId = MyDatabaseId};

	UnlockRelationIdForSession(&id, ShareUpdateExclusiveLock);
}

/* For how long a detach may look for rows that refer to the partition. */
static PartitionLimit
limit_of(const Partition *partition)
{
	PartitionLimit limit = {.sqlerrcode = ERRCODE_CONFIGURATION_LIMIT_EXCEEDED};

	limit.message = dbops_partition_too_long(dbops_partition_references(partition));
	limit.ms = (limit.message != NULL) ? dbops_max_detach_time : 0;
	return limit;
}

/* A detach in the step's own transaction. */
typedef struct Detaching
{
	const char *sql;
	Oid			role;
	PartitionLimit limit;
	bool		done;			/* else it met a lock, see why */
	const char *why;
	bool		patient;		/* with who has a snapshot */
} Detaching;

static void
detach_here(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step)
{
	const Partition *partition = dbops_partition_find(set, hand->partition);
	Oid			relations[] = {
		set->parent,
		set->default_partition != NULL ? set->default_partition->relid : InvalidOid,
		partition->relid
	};
	Detaching	detaching = {.role = drop->job->owner,.limit = limit_of(partition)};
	ErrorData  *error;

	detaching.sql = psprintf("ALTER TABLE %s DETACH PARTITION %s", set->name, partition->name);
	if (!dbops_partition_lock_referenced(list_make1_oid(partition->relid), ShareRowExclusiveLock, &detaching.why) ||
		!dbops_partition_lock(relations, lengthof(relations), AccessExclusiveLock, &detaching.why) ||
		!are_named(set, partition, &detaching.why))
		wait_or_fail(drop, step, partition->name, detaching.why);
	else if (!is_still(set, hand))
		wait_or_fail(drop, step, partition->name, "to look again at its bounds");
	else if (!dbops_attempt(run_detach, &detaching, &error))
		leave(drop, hand, error->message);
	else if (!detaching.done)
		wait_or_fail(drop, step, partition->name, detaching.why);
	else
		dbops_partition_hand_set_begun(partition->relid, true);
}

static void
run_detach(void *arg)
{
	dbops_partition_within(&((Detaching *) arg)->limit, run_ddl, arg);
}

static void
run_ddl(void *arg)
{
	Detaching  *detaching = arg;

	detaching->done = dbops_partition_ddl(detaching->role, detaching->sql, &detaching->why);
}

/* Finish what is pending, when nobody is left who may see it as a partition. */
static void
finish_detach(PartitionDrop *drop, const PartitionSet *set, DbopsStep *step)
{
	Oid			parent = set->parent;
	Oid			partition = set->pending->relid;
	PartitionHand hand = {.name = set->pending->name,.rows = -1,.bytes = -1};
	const char *why = older_snapshot(drop, partition);
	Detaching	finishing = {
		.role = drop->job->owner,
		.sql = psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", set->name, set->pending->name),
		.patient = drop->waits_since != 0 && TimestampDifferenceExceeds(drop->waits_since, GetCurrentTimestamp(), IMPATIENT)
	};

	if (why != NULL ||
		!dbops_partition_lock(&parent, 1, ShareUpdateExclusiveLock, &why) ||
		!dbops_partition_lock_referenced(list_make1_oid(partition), ShareRowExclusiveLock, &why) ||
		!dbops_partition_lock(&partition, 1, AccessExclusiveLock, &why) ||
		!are_named(set, set->pending, &why) ||
		!dbops_partition_try(run_finalize, &finishing, &why))
		wait_or_fail(drop, step, set->pending->name, why);
	else if (!is_noted(set, partition))
		note(drop, &hand, "finish detach", "done", "somebody's concurrent detach was cut off; the table stays");
}

/* Will a policy go on with it, this one or another? */
static bool
is_noted(const PartitionSet *set, Oid partition)
{
	ListCell   *cell;

	foreach(cell, dbops_partition_hand_list(set->parent))
		if (((PartitionHand *) lfirst(cell))->partition == partition)
			return true;
	return false;
}

/*
 * The server waits for everybody who has an older snapshot, whatever he reads.
 * Who has one now began when the partition was pending already, and ends soon.
 */
static void
run_finalize(void *arg)
{
	Detaching  *finishing = arg;

	if (finishing->patient)
		dbops_set_nested("lock_timeout", FINALIZE_WAIT);
	dbops_run_as(finishing->role, run_sql, finishing);
}

static void
run_sql(void *arg)
{
	dbops_query_command(((Detaching *) arg)->sql);
}

/* Who has had a snapshot since before it was pending, as far as is known, and may see the partition; NULL: nobody. */
static const char *
older_snapshot(PartitionDrop *drop, Oid pending)
{
	DbopsParam	params[2];

	if (drop->pending != pending)
	{
		drop->pending = pending;
		drop->pending_since = GetCurrentTimestamp();
	}
	params[0] = dbops_param_oid(pending);
	params[1] = dbops_param_time(drop->pending_since);
	return dbops_store_text("SELECT format('for the transaction of process %s, which began at %s and may see the partition',"
					 " a.pid, a.xact_start::timestamptz(0))"
					 " FROM pg_stat_get_activity(NULL) a JOIN pg_inherits i ON i.inhrelid = $1 AND i.inhdetachpending"
					 " WHERE a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type <> 'autovacuum worker'"
					 " AND a.xact_start < clock_timestamp() - interval '1 second'"
					 " AND a.xact_start <= $2 AND age(a.backend_xmin) >= age(i.xmin)"
					 " ORDER BY a.xact_start LIMIT 1",
							lengthof(params), params);
}

/* ---- to drop ---- */

/* What happens to the detached table. */
typedef struct Removal
{
	const PartitionDrop *drop;
	Oid			table;
	Oid			parent;			/* that it was a partition of */
	bool		held;			/* rows of it are */
	const char *why;			/* a lock was not to be had; or NULL */
	bool		keeping;		/* an error is one of keep's */
	bool		kept;
} Removal;

static void note_kept(const PartitionDrop *drop, const Removal *removal, const PartitionHand *hand, ErrorData *error);

static void
remove_table(PartitionDrop *drop, const PartitionSet *set, const PartitionHand *hand, DbopsStep *step)
{
	Removal		removal = {.drop = drop,.table = hand->partition,.parent = set->parent};
	ErrorData  *error;
	const char *taken;
	const char *why;

	if (!lock_tree(hand->partition, &why))
	{
		wait_or_fail(drop, step, hand->name, why);
		return;
	}
	if (get_rel_relispartition(hand->partition))
	{
		wait_or_fail(drop, step, hand->name, "to look again, as another session has attached it");
		return;
	}
	taken = taken_over(hand);
	if (taken != NULL)
	{
		leave(drop, hand, taken);
		return;
	}
	if (!dbops_hold_lock(hand->partition, set->parent, false))
	{
		wait_or_fail(drop, step, hand->name, "for a hold that is being placed");
		return;
	}
	if (!dbops_attempt(drop_or_keep, &removal, &error))
	{
		if (!removal.keeping && dbops_partition_met_lock(error))
		{
			wait_or_fail(drop, step, hand->name, removal.why != NULL ? removal.why : "for a lock that another session had");
			return;
		}
		note_kept(drop, &removal, hand, error);
	}
	else if (removal.held)
		note(drop, hand, "drop partition", "skipped",
			 "it is detached and stays as a table: a hold was placed on rows of it meanwhile");
	else
	{
		note(drop, hand, removal.kept ? "archive partition" : "drop partition", "done", NULL);
		drop->dropped++;
	}
	drop->waits_since = 0;
	dbops_partition_hand_forget(hand->partition);
}

/* A detached table that cannot be dropped stays. */
static void
note_kept(const PartitionDrop *drop, const Removal *removal, const PartitionHand *hand, ErrorData *error)
{
	if (removal->keeping)
		ReThrowError(error);
	note(drop, hand, "drop partition", "skipped",
		 psprintf("it is detached and stays as a table: %s", error->detail != NULL ? error->detail : error->message));
}

/* Lock a detached table, and its own partitions. */
static bool
lock_tree(Oid relid, const char **why)
{
	List	   *tree = find_all_inheritors(relid, NoLock, NULL);
	Oid		   *relations = palloc(sizeof(Oid) * list_length(tree));
	int			count = 0;
	ListCell   *cell;

	foreach(cell, tree)
		relations[count++] = lfirst_oid(cell);
	return dbops_partition_lock(relations, count, AccessExclusiveLock, why);
}

static void
drop_or_keep(void *arg)
{
	Removal    *removal = arg;

	removal->held = dbops_hold_any(removal->table, removal->parent);
	if (removal->held)
		return;
	if (removal->drop->keep != NULL)
	{
		dbops_look(lock_referenced, removal);	/* before all rows are copied in vain */
		call_keep(removal);
	}
	if (!removal->kept)
	{
		int			nest_level = NewGUCNestLevel();

		lock_referenced(removal);
		dbops_set_nested("lock_timeout", psprintf("%d", PARTITION_LOCK_WAIT));
		dbops_run_as(removal->drop->job->owner, drop_table, removal);
		AtEOXact_GUC(false, nest_level);
	}
}

/* DROP TABLE keeps out everybody from what the table refers to, to remove the triggers there. */
static void
lock_referenced(void *arg)
{
	Removal    *removal = arg;

	removal->why = NULL;
	if (!dbops_partition_lock_referenced(find_all_inheritors(removal->table, NoLock, NULL), AccessExclusiveLock, &removal->why))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("waits %s", removal->why)));
}

static void
call_keep(void *arg)
{
	Removal    *removal = arg;

	removal->keeping = true;
	removal->kept = removal->drop->keep(removal->table, removal->drop->arg);
	removal->keeping = false;
	CommandCounterIncrement();
}

static void
drop_table(void *arg)
{
	Oid			table = ((Removal *) arg)->table;

	dbops_query_command(psprintf("DROP TABLE %s",
								 dbops_quote_qualified(get_namespace_name(get_rel_namespace(table)), get_rel_name(table))));
}

static void
note(const PartitionDrop *drop, const PartitionHand *hand, const char *action, const char *outcome, const char *message)
{
	bool		done = (strcmp(outcome, "done") == 0);
	MaintenanceNote said = {
		MAINTENANCE_NOTE,
		.kind = drop->kind,
		.object = hand->name,
		.action = action,
		.outcome = outcome,
		.message = message,
		.job = drop->job->id
	};

	if (done && hand->bytes >= 0)
	{
		said.rows = hand->rows;
		said.bytes_before = hand->bytes;
		said.bytes_after = 0;
	}
	dbops_maintenance_note(&said);
}
