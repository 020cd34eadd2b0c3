/*
 * partition_drop.c
 *		Get rid of a partition, in several steps.
 *
 *		noted		a row of dbops.partition_drop says what is to go
 *		detached	concurrently where there is no default partition, and else
 *					with the locks of partition_lock.c
 *		gone		the table is dropped, or kept elsewhere, and so is the row
 *
 * Between these the process may die; the next one reads from the catalog how
 * far it has come. A concurrent detach that was cut off, ours or anybody's, is
 * pending: nobody sees the partition any more, and it is finished when all are
 * gone who may have. What was noted stays noted when the job fails, so that the
 * table is not forgotten when it has been detached and not dropped.
 *
 * A detached table that something depends on stays, and the log says so.
 */
#include "maintain/hold.h"
#include "maintain/partition.h"

#include "core/sql.h"

#include "access/xact.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

#define LONGEST_WAIT	600000L	/* ms of tries before the job says that it has failed */

/* What is on its way out. */
typedef struct Hand
{
	Oid			partition;
	const char *name;			/* when it was noted */
	int64		rows;
	int64		bytes;
	const char *kind;			/* of the policy */
} Hand;

static bool find_hand(Oid parent, Hand *hand);
static void take_hand(HeapTuple row, TupleDesc desc, void *arg);
static bool met_something(PartitionDrop *drop, const Hand *hand, DbopsStep *step);
static void wait_or_fail(PartitionDrop *drop, DbopsStep *step, const char *what, const char *why);
static void detach(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step);
static bool may_run_outside(const PartitionDrop *drop, const PartitionSet *set);
static void have_detached(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step);
static void run_outside(void *arg);
static void detach_here(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step);
static void finish_detach(PartitionDrop *drop, const PartitionSet *set, bool ours, DbopsStep *step);
static const char *older_snapshot(void);
static void take_text(HeapTuple row, TupleDesc desc, void *arg);
static void remove_table(PartitionDrop *drop, const PartitionSet *set, const Hand *hand, DbopsStep *step);
static void note_kept(const PartitionDrop *drop, const Hand *hand, ErrorData *error);
static bool lock_tree(Oid relid, const char **why);
static void drop_or_keep(void *arg);
static void call_keep(void *arg);
static void drop_table(void *arg);
static void forget(const Hand *hand);
static void note(const PartitionDrop *drop, const Hand *hand, const char *action, const char *outcome, const char *message);
static const char *find_dependent(Oid partition);
static const char *find_reference(const PartitionSet *set, const Partition *partition);
static void take_reference(HeapTuple row, TupleDesc desc, void *arg);
static void look_for_rows(void *arg);
static void ask(void *arg);

/* ---- what is in hand ---- */

/* Is one of the set's partitions on its way out? */
bool
dbops_partition_drop_in_hand(const PartitionSet *set)
{
	Hand		hand;

	return set->pending != NULL || find_hand(set->parent, &hand);
}

static bool
find_hand(Oid parent, Hand *hand)
{
	DbopsParam	param = dbops_param_oid(parent);

	return dbops_store_each("SELECT partition, name, row_count, bytes, kind FROM dbops.partition_drop WHERE parent = $1"
							" ORDER BY began_at, partition LIMIT 1",
							1, &param, take_hand, hand) == 1;
}

static void
take_hand(HeapTuple row, TupleDesc desc, void *arg)
{
	Hand	   *hand = arg;

	hand->partition = dbops_row_oid(row, desc, 1);
	hand->name = dbops_row_text(row, desc, 2);
	hand->rows = dbops_row_int8(row, desc, 3);
	hand->bytes = dbops_row_int8(row, desc, 4);
	hand->kind = dbops_row_text(row, desc, 5);
}

/* Note what is to go; from now on it is seen to. */
void
dbops_partition_drop_begin(PartitionDrop *drop, const PartitionSet *set, const Partition *partition)
{
	DbopsParam	params[] = {
		dbops_param_oid(partition->relid),
		dbops_param_oid(set->parent),
		dbops_param_text(partition->name),
		dbops_param_int8(partition->rows),
		dbops_param_int8(partition->bytes),
		dbops_param_text(drop->kind),
		dbops_param_time(dbops_clock_now())
	};

	dbops_store_each("INSERT INTO dbops.partition_drop (partition, parent, name, row_count, bytes, kind, began_at)"
					 " VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (partition) DO NOTHING",
					 lengthof(params), params, NULL, NULL);
}

/* Do one step's work on what is in hand. */
void
dbops_partition_drop_step(PartitionDrop *drop, const PartitionSet *set, DbopsStep *step)
{
	Hand		hand = {0};
	bool		ours = find_hand(set->parent, &hand);
	Partition  *partition = ours ? dbops_partition_find(set, hand.partition) : NULL;

	if (met_something(drop, &hand, step))
		return;
	if (set->pending != NULL)
		finish_detach(drop, set, ours && set->pending == partition, step);
	else if (partition != NULL)
		detach(drop, set, partition, step);
	else if (get_rel_name(hand.partition) == NULL || get_rel_relispartition(hand.partition))
	{
		note(drop, &hand, "drop partition", "skipped", "another session has dropped it or attached it elsewhere");
		forget(&hand);
	}
	else
		remove_table(drop, set, &hand, step);
}

/* See to what the statement outside has met; true: the step is over. */
static bool
met_something(PartitionDrop *drop, const Hand *hand, DbopsStep *step)
{
	ErrorData  *met = drop->met;

	drop->met = NULL;
	if (met == NULL)
		return false;
	if (dbops_partition_met_lock(met))
	{
		wait_or_fail(drop, step, hand->name, "for a lock that another session had");
		return true;
	}
	if (met->sqlerrcode == ERRCODE_OBJECT_IN_USE)
		return false;			/* somebody else is detaching; the catalog tells */
	ReThrowError(met);
	return true;
}

static void
wait_or_fail(PartitionDrop *drop, DbopsStep *step, const char *what, const char *why)
{
	TimestampTz now = GetCurrentTimestamp();

	if (drop->waits_since == 0)
		drop->waits_since = now;
	if (TimestampDifferenceExceeds(drop->waits_since, now, LONGEST_WAIT))
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

static void
detach(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step)
{
	const char *obstacle = dbops_partition_obstacle(set, partition);

	if (obstacle != NULL)
	{
		Hand		hand;

		(void) find_hand(set->parent, &hand);
		note(drop, &hand, "drop partition", "skipped", obstacle);
		forget(&hand);
	}
	else if (may_run_outside(drop, set))
		have_detached(drop, set, partition, step);
	else
		detach_here(drop, set, partition, step);
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

	if (!dbops_partition_lock(relations, lengthof(relations), ShareUpdateExclusiveLock, &why))
	{
		wait_or_fail(drop, step, partition->name, why);
		return;
	}
	drop->statement = MemoryContextStrdup(drop->memory,
										  psprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY", set->name, partition->name));
	step->outside = run_outside;
	step->outside_arg = drop;
	step->outside_what = psprintf("detaching of partition %s", partition->name);
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
		RawStmt    *raw = linitial_node(RawStmt, dbops_sql_parse(drop->statement, RAW_PARSE_DEFAULT));
		QueryCompletion completion;

		dbops_job_setting_put("lock_timeout", psprintf("%d", PARTITION_LOCK_WAIT));
		InitializeQueryCompletion(&completion);
		dbops_sql_run(raw, drop->statement, true, None_Receiver, &completion);
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
detach_here(PartitionDrop *drop, const PartitionSet *set, const Partition *partition, DbopsStep *step)
{
	Oid			relations[] = {
		set->parent,
		set->default_partition != NULL ? set->default_partition->relid : InvalidOid,
		partition->relid
	};
	const char *why;

	if (!dbops_partition_lock(relations, lengthof(relations), AccessExclusiveLock, &why) ||
		!dbops_partition_ddl(drop->job->owner,
							 psprintf("ALTER TABLE %s DETACH PARTITION %s", set->name, partition->name), &why))
		wait_or_fail(drop, step, partition->name, why);
}

/* Finish what is pending, when nobody is left who may see it as a partition. */
static void
finish_detach(PartitionDrop *drop, const PartitionSet *set, bool ours, DbopsStep *step)
{
	Oid			parent = set->parent;
	Oid			partition = set->pending->relid;
	Hand		hand = {.name = set->pending->name,.rows = -1,.bytes = -1};
	const char *why = older_snapshot();

	if (why != NULL ||
		!dbops_partition_lock(&parent, 1, ShareUpdateExclusiveLock, &why) ||
		!dbops_partition_lock(&partition, 1, AccessExclusiveLock, &why) ||
		!dbops_partition_ddl(drop->job->owner,
							 psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE", set->name, set->pending->name), &why))
		wait_or_fail(drop, step, set->pending->name, why);
	else if (!ours)
		note(drop, &hand, "finish detach", "done", "somebody's concurrent detach was cut off; the table stays");
}

/* Who has a snapshot for long, for which the server would wait; NULL: nobody. */
static const char *
older_snapshot(void)
{
	const char *who = NULL;

	dbops_store_each("SELECT format('for the transaction of process %s, which began at %s and may see the partition',"
					 " a.pid, a.xact_start::timestamptz(0))"
					 " FROM pg_stat_get_activity(NULL) a"
					 " WHERE a.datid = (SELECT oid FROM pg_database WHERE datname = current_database())"
					 " AND a.backend_xmin IS NOT NULL AND a.pid <> pg_backend_pid() AND a.backend_type <> 'autovacuum worker'"
					 " AND a.xact_start < clock_timestamp() - interval '1 second'"
					 " ORDER BY a.xact_start LIMIT 1",
					 0, NULL, take_text, &who);
	return who;
}

static void
take_text(HeapTuple row, TupleDesc desc, void *arg)
{
	*(const char **) arg = dbops_row_text(row, desc, 1);
}

/* ---- to drop ---- */

/* What happens to the detached table. */
typedef struct Removal
{
	const PartitionDrop *drop;
	Oid			table;
	Oid			parent;			/* that it was a partition of */
	bool		held;			/* rows of it are */
	bool		kept;
} Removal;

static void
remove_table(PartitionDrop *drop, const PartitionSet *set, const Hand *hand, DbopsStep *step)
{
	Removal		removal = {.drop = drop,.table = hand->partition,.parent = set->parent};
	ErrorData  *error;
	const char *why;

	if (!lock_tree(hand->partition, &why))
	{
		wait_or_fail(drop, step, hand->name, why);
		return;
	}
	if (!dbops_hold_lock(hand->partition, set->parent, false))
	{
		wait_or_fail(drop, step, hand->name, "for a hold that is being placed");
		return;
	}
	drop->waits_since = 0;
	if (!dbops_attempt(drop_or_keep, &removal, &error))
		note_kept(drop, hand, error);
	else if (removal.held)
		note(drop, hand, "drop partition", "skipped",
			 "it is detached and stays as a table: a hold was placed on rows of it meanwhile");
	else
	{
		note(drop, hand, removal.kept ? "archive partition" : "drop partition", "done", NULL);
		drop->dropped++;
	}
	forget(hand);
}

/* A detached table that something depends on stays. */
static void
note_kept(const PartitionDrop *drop, const Hand *hand, ErrorData *error)
{
	if (error->sqlerrcode != ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST)
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
		call_keep(removal);
	if (!removal->kept)
		dbops_run_as(removal->drop->job->owner, drop_table, removal);
}

static void
call_keep(void *arg)
{
	Removal    *removal = arg;

	removal->kept = removal->drop->keep(removal->table, removal->drop->arg);
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
forget(const Hand *hand)
{
	DbopsParam	param = dbops_param_oid(hand->partition);

	dbops_store_each("DELETE FROM dbops.partition_drop WHERE partition = $1", 1, &param, NULL, NULL);
}

static void
note(const PartitionDrop *drop, const Hand *hand, const char *action, const char *outcome, const char *message)
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

/* ---- why not ---- */

/* Say why a partition cannot be dropped; NULL: it can. */
const char *
dbops_partition_obstacle(const PartitionSet *set, const Partition *partition)
{
	const char *obstacle;

	if (partition->relkind == RELKIND_FOREIGN_TABLE)
		return "it is a foreign table, whose rows are elsewhere";
	if (dbops_hold_any(partition->relid, InvalidOid))
		return "a hold is on rows of it";
	obstacle = find_dependent(partition->relid);
	return (obstacle != NULL) ? obstacle : find_reference(set, partition);
}

/* What DROP TABLE would refuse to leave behind; NULL: nothing. */
static const char *
find_dependent(Oid partition)
{
	DbopsParam	param = dbops_param_oid(partition);
	const char *dependent = NULL;

	dbops_query_each("SELECT coalesce('view ' || r.ev_class::regclass, pg_describe_object(d.classid, d.objid, d.objsubid))"
					 " || ' depends on it'"
					 " FROM pg_depend d"
					 " LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " LEFT JOIN pg_constraint c ON d.classid = 'pg_constraint'::regclass AND c.oid = d.objid"
					 " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.deptype = 'n'"
					 " AND (c.oid IS NULL OR c.conparentid = 0 AND c.conrelid <> $1)"
					 " AND NOT EXISTS (SELECT FROM pg_attrdef a WHERE d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid AND a.adrelid = $1)"
					 " ORDER BY 1 LIMIT 1",
					 1, &param, take_text, &dependent);
	return dependent;
}

/* A foreign key that points at the parent. */
typedef struct Reference
{
	const char *name;
	const char *sql;			/* is there a row that it keeps? */
	Oid			role;			/* that asks */
	bool		found;
} Reference;

/* Which foreign key has rows that reference the partition's; NULL: none, or that is left to the server. */
static const char *
find_reference(const PartitionSet *set, const Partition *partition)
{
	DbopsParam	param = dbops_param_oid(partition->relid);
	List	   *references = NIL;
	Oid			owner = dbops_relation_owner(set->parent);
	Oid			role = dbops_acts_for(owner) ? owner : GetUserId();
	ListCell   *cell;

	dbops_query_each("SELECT format('%I of table %s', r.conname, c.conrelid::regclass),"
					 " format('SELECT true FROM %I.%I f JOIN %I.%I p ON %s WHERE f.tableoid <> %s LIMIT 1',"
					 "  fn.nspname, ft.relname, pn.nspname, pt.relname,"
					 "  (SELECT string_agg(format('f.%I = p.%I', fa.attname, pa.attname), ' AND ' ORDER BY k.n)"
					 "   FROM unnest(c.conkey, c.confkey) WITH ORDINALITY k(f, p, n)"
					 "   JOIN pg_attribute fa ON fa.attrelid = c.conrelid AND fa.attnum = k.f"
					 "   JOIN pg_attribute pa ON pa.attrelid = c.confrelid AND pa.attnum = k.p), c.confrelid)"
					 " FROM pg_constraint c JOIN pg_constraint r ON r.oid = c.conparentid"
					 " JOIN pg_class ft ON ft.oid = c.conrelid JOIN pg_namespace fn ON fn.oid = ft.relnamespace"
					 " JOIN pg_class pt ON pt.oid = c.confrelid JOIN pg_namespace pn ON pn.oid = pt.relnamespace"
					 " WHERE c.contype = 'f' AND c.confrelid = $1 AND NOT ft.relispartition"
					 " ORDER BY 1",
					 1, &param, take_reference, &references);
	foreach(cell, references)
	{
		Reference  *reference = lfirst(cell);
		ErrorData  *error;

		reference->role = role;
		if (dbops_attempt(look_for_rows, reference, &error) && reference->found)
			return psprintf("foreign key %s has rows that reference it", reference->name);
	}
	return NULL;
}

static void
take_reference(HeapTuple row, TupleDesc desc, void *arg)
{
	Reference  *reference = palloc0(sizeof(Reference));

	reference->name = dbops_row_text(row, desc, 1);
	reference->sql = dbops_row_text(row, desc, 2);
	*(List **) arg = lappend(*(List **) arg, reference);
}

/* What the role may not read it is not told, and the server's own check comes with the detach. */
static void
look_for_rows(void *arg)
{
	dbops_run_as(((Reference *) arg)->role, ask, arg);
}

static void
ask(void *arg)
{
	Reference  *reference = arg;
	Datum		found;

	reference->found = dbops_query_value(reference->sql, 0, NULL, BOOLOID, &found);
}
