/*
 * backfill_guard.c
 *		Keep a backfill by key exact while applications write: a trigger that
 *		follows the keys which they insert and change.
 *
 * It is put on the table as dbops_exact_<job>, and dbops_exactkey_<job> for keys
 * that change, or on the partitioned table and so on every partition that ever
 * comes, in the same transaction that takes the bounds of the pass. Its locks wait for all earlier writers, so that
 * the bounds hold every row there is and no later row is unknown to it.
 *
 * Why each row is changed exactly once, in READ COMMITTED as above it:
 *
 * 1. A batch has one snapshot S. It changes the rows of its range of keys that
 *    S sees and that have no note in S; the cursor moves with its commit. What
 *    S does not see in the range was inserted, or got its key, by a transaction
 *    that had not committed, and such a transaction notes the key: as visited
 *    for an insert before the cursor, as still to come for a row moved before
 *    its turn. So nothing without a note comes to stand behind the cursor
 *    unvisited, and nothing with a note is met by the pass.
 * 2. A row that S sees and another session has locked is waited for. If its key
 *    was changed, either the new key is out of the range and the row is left to
 *    its note, or it is in the range and the row was changed by the batch as
 *    well as noted: so before it commits, a batch looks for notes of rows to
 *    come that S does not see and its range holds, and begins anew if there
 *    are any. If its key is the same, no note can have come and it is changed.
 * 3. Whether the old row of a key change had been visited is judged by the
 *    cursor as it is when the row is locked: the batch that visits a row locks
 *    it until the cursor has moved. So the cursor is read with the latest
 *    snapshot, also under REPEATABLE READ. That a later cursor may be seen at
 *    the end of the statement, when the trigger runs, does no harm: the pass
 *    cannot get past a row that somebody has locked, unless it does not match.
 * 4. A row that is to come by its note is locked before the note is used up, and
 *    found by its key; who changes the key again has the lock first or waits.
 * 5. The trigger runs AFTER, so that it sees what was really done: a row that
 *    ON CONFLICT or another trigger has kept from being inserted, or another
 *    key than the statement assigned. Notes go with the rows at a rollback to a
 *    savepoint. A note may outlive its row (DELETE, TRUNCATE); an insert of the
 *    same key does away with it.
 * 6. A row that moves to another partition is deleted there and inserted here.
 *    The deletion is marked as such in the tuple; its row's visit is kept for
 *    the insertion that follows it in the same command.
 *
 * Not followed: an AFTER trigger of the user's that changes, in a statement of
 * its own, the key of a row that the outer statement is changing too.
 */
#include "change/change.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "commands/trigger.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

PG_FUNCTION_INFO_V1(dbops_backfill_guard);

/* A call of the trigger. */
typedef struct Guarded
{
	int64		job;
	Oid			root;			/* the table that the backfill was asked for */
	Relation	rel;
	BackfillPass pass;
	BackfillKey *key;
} Guarded;

/* A row on its way from one partition to another. */
typedef struct Transit
{
	BackfillVisit visit;		/* NOT_NOTED: none is on its way */
	int64		job;
	int			depth;			/* of triggers */
	LocalTransactionId transaction;
	CommandId	command;		/* that moves it */
} Transit;

static Transit transit;

/* The job whose batch this process is doing; 0: none. */
static int64 own_job = 0;

static void read_arguments(const Trigger *trigger, Guarded *guarded);
static bool find_key(Guarded *guarded);
static void inserted(Guarded *guarded, HeapTuple row);
static void updated(Guarded *guarded, HeapTuple old, HeapTuple new);
static void deleted(Guarded *guarded, HeapTuple row);
static BackfillVisit leave_key(Guarded *guarded, HeapTuple row);
static void take_key(Guarded *guarded, HeapTuple row, BackfillVisit visit);
static BackfillVisit take_transit(const Guarded *guarded, HeapTuple row);
static bool is_own_batch(const Guarded *guarded);
static int	trigger_depth(void);
static void put_all(void *arg);
static void put_triggers(const BackfillRun *run, Oid relid);
static char *key_row(const BackfillKey *key, const char *alias);
static void begin_pass(BackfillRun *run, Oid relid, Oid owner);
static bool is_followed(const BackfillRun *run, Oid relid);
static void take_guarded(HeapTuple row, TupleDesc desc, void *arg);

/* backfill_guard() → trigger, with the arguments job id and table */
Datum
dbops_backfill_guard(PG_FUNCTION_ARGS)
{
	TriggerData *data = (TriggerData *) fcinfo->context;
	Guarded		guarded = {0};
	MemoryContext memory;
	MemoryContext before;

	if (!CALLED_AS_TRIGGER(fcinfo) || !TRIGGER_FIRED_AFTER(data->tg_event) ||
		!TRIGGER_FIRED_FOR_ROW(data->tg_event) || data->tg_trigger->tgnargs != 2)
		ereport(ERROR,
				(errcode(ERRCODE_E_R_I_E_TRIGGER_PROTOCOL_VIOLATED),
				 errmsg("backfill_guard serves only the triggers that a backfill creates")));
	if (TRIGGER_FIRED_BY_DELETE(data->tg_event) &&
		!HeapTupleHeaderIndicatesMovedPartitions(data->tg_trigtuple->t_data))
		return PointerGetDatum(NULL);

	memory = AllocSetContextCreate(CurrentMemoryContext, "dbops guard", ALLOCSET_SMALL_SIZES);
	before = MemoryContextSwitchTo(memory);
	read_arguments(data->tg_trigger, &guarded);
	guarded.rel = data->tg_relation;
	if (find_key(&guarded))
	{
		if (TRIGGER_FIRED_BY_INSERT(data->tg_event))
			inserted(&guarded, data->tg_trigtuple);
		else if (TRIGGER_FIRED_BY_UPDATE(data->tg_event))
			updated(&guarded, data->tg_trigtuple, data->tg_newtuple);
		else
			deleted(&guarded, data->tg_trigtuple);
	}
	MemoryContextSwitchTo(before);
	MemoryContextDelete(memory);
	return PointerGetDatum(NULL);
}

static void
read_arguments(const Trigger *trigger, Guarded *guarded)
{
	guarded->job = strtoll(trigger->tgargs[0], NULL, 10);
	guarded->root = (Oid) strtoul(trigger->tgargs[1], NULL, 10);
}

/*
 * Find out how far the pass of the table is, and its key; false if the job is
 * none any more, or cannot go on because a column of the key is gone or has
 * another type: then the trigger does nothing.
 */
static bool
find_key(Guarded *guarded)
{
	BackfillPass *pass = &guarded->pass;

	if (!dbops_backfill_pass_of(guarded->job, RelationGetRelid(guarded->rel), guarded->root, pass))
		return false;
	guarded->key = dbops_backfill_key_plain(RelationGetDescr(guarded->rel), pass->columns, pass->attnums);
	return guarded->key != NULL &&
		(pass->cursor == NULL || dbops_backfill_key_fits(guarded->key, pass->cursor));
}

static void
inserted(Guarded *guarded, HeapTuple row)
{
	BackfillVisit visit = take_transit(guarded, row);

	take_key(guarded, row, visit == NOT_NOTED ? VISITED : visit);
}

static void
updated(Guarded *guarded, HeapTuple old, HeapTuple new)
{
	BackfillVisit visit = leave_key(guarded, old);

	take_key(guarded, new, visit);
}

/* It is moved to another partition, by an insertion that comes next. */
static void
deleted(Guarded *guarded, HeapTuple row)
{
	transit = (Transit) {
		.visit = leave_key(guarded, row),
		.job = guarded->job,
		.depth = trigger_depth(),
		.transaction = proc_local_xid(MyProc),
		.command = HeapTupleHeaderGetCmax(row->t_data)
	};
}

/* Has a row been visited that gives its key up? What is noted about the key ends with it. */
static BackfillVisit
leave_key(Guarded *guarded, HeapTuple row)
{
	Oid			relid = RelationGetRelid(guarded->rel);
	Datum		values[INDEX_MAX_KEYS];
	Snapshot	latest;
	BackfillVisit visit;
	bytea	   *packed;

	if (!dbops_backfill_key_of_row(guarded->key, row, RelationGetDescr(guarded->rel), values))
		return VISITED;
	packed = dbops_backfill_key_pack(guarded->key, values);
	latest = RegisterSnapshot(GetLatestSnapshot());
	visit = dbops_backfill_note_find(guarded->job, relid, packed, latest);
	UnregisterSnapshot(latest);

	if (visit != NOT_NOTED)
		dbops_backfill_note_set(guarded->job, relid, packed, NOT_NOTED);
	else
		visit = dbops_backfill_pass_visit(&guarded->pass, guarded->key, values);
	return is_own_batch(guarded) ? VISITED : visit;
}

/*
 * A row has come to this key. That its turn is to come is noted wherever that
 * is, since the pass may get there first; that it was visited only where the
 * pass would take it for one that was not.
 */
static void
take_key(Guarded *guarded, HeapTuple row, BackfillVisit visit)
{
	Datum		values[INDEX_MAX_KEYS];

	if (!dbops_backfill_key_of_row(guarded->key, row, RelationGetDescr(guarded->rel), values))
		return;
	if (visit == VISITED &&
		dbops_backfill_pass_visit(&guarded->pass, guarded->key, values) == VISITED)
		visit = NOT_NOTED;
	dbops_backfill_note_set(guarded->job, RelationGetRelid(guarded->rel),
							dbops_backfill_key_pack(guarded->key, values), visit);
}

/* Is the insertion the other half of a move? NOT_NOTED: it is not. */
static BackfillVisit
take_transit(const Guarded *guarded, HeapTuple row)
{
	BackfillVisit visit = transit.visit;

	if (visit == NOT_NOTED || transit.job != guarded->job || transit.depth != trigger_depth() ||
		transit.transaction != proc_local_xid(MyProc) ||
		transit.command != HeapTupleHeaderGetCmin(row->t_data))
		return NOT_NOTED;
	transit.visit = NOT_NOTED;
	return visit;
}

/* Does a trigger of the user's change the key of a row that the batch has just changed? */
static bool
is_own_batch(const Guarded *guarded)
{
	return own_job == guarded->job && trigger_depth() == 1;
}

static int
trigger_depth(void)
{
	return DatumGetInt32(DirectFunctionCall1(pg_trigger_depth, (Datum) 0));
}

/* Say that what this process does now is a batch of the job; 0: it is none any more. */
void
dbops_backfill_guard_own(int64 job)
{
	own_job = job;
}

/* ---- putting it up ---- */

/*
 * Put the triggers on all tables and take the bounds of their passes, in this
 * transaction; false if others hold the locks: then nothing is done.
 */
bool
dbops_backfill_guard_put(BackfillRun *run)
{
	ErrorData  *error;

	if (dbops_attempt(put_all, run, &error))
		return true;
	if (!dbops_polite_gave_way(error->sqlerrcode))
		ReThrowError(error);
	return false;
}

static void
put_all(void *arg)
{
	BackfillRun *run = arg;
	bool		partitioned = (get_rel_relkind(run->request.relid) == RELKIND_PARTITIONED_TABLE);
	ListCell   *cell;

	/* Triggers of a partitioned table are those of its partitions too, also of later ones. */
	if (partitioned)
		put_triggers(run, run->request.relid);
	else
		foreach(cell, run->leaves)
			put_triggers(run, ((BackfillLeaf *) lfirst(cell))->relid);

	PushActiveSnapshot(GetTransactionSnapshot());
	if (partitioned)
		begin_pass(run, run->request.relid, InvalidOid);
	foreach(cell, run->leaves)
		begin_pass(run, ((BackfillLeaf *) lfirst(cell))->relid, ((BackfillLeaf *) lfirst(cell))->owner);
	PopActiveSnapshot();
}

/* Two: for rows that come, also from another partition, and for keys that change. */
static void
put_triggers(const BackfillRun *run, Oid relid)
{
	Oid			root = run->request.relid;
	BackfillKey *key = dbops_backfill_key_require(relid, root, run->change->assigned);
	const char *coming = (get_rel_relkind(root) == RELKIND_PARTITIONED_TABLE) ?
		"AFTER INSERT OR DELETE" : "AFTER INSERT";
	List	   *args = list_make2(psprintf(INT64_FORMAT, run->job->id), psprintf("%u", root));

	if (!dbops_backfill_trigger_create(relid, dbops_backfill_trigger_name("exact", run->job->id),
									   coming, "backfill_guard", args) ||
		!dbops_backfill_trigger_create_when(relid, dbops_backfill_trigger_name("exactkey", run->job->id),
											"AFTER UPDATE",
											psprintf("pg_catalog.record_image_ne(%s, %s)",
													 key_row(key, "OLD"), key_row(key, "NEW")),
											"backfill_guard", args))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("could not obtain lock on relation \"%s\"", get_rel_name(relid))));
}

static char *
key_row(const BackfillKey *key, const char *alias)
{
	StringInfoData row;

	initStringInfo(&row);
	for (int i = 0; i < key->columns; i++)
		appendStringInfo(&row, "%s%s.%s", i > 0 ? ", " : "ROW(", alias, key->column[i].name);
	appendStringInfoChar(&row, ')');
	return row.data;
}

/* Take the bounds of a table, which nobody can write to now; a partitioned one has none. */
static void
begin_pass(BackfillRun *run, Oid relid, Oid owner)
{
	BackfillKey *key = dbops_backfill_key_require(relid, run->request.relid, run->change->assigned);
	bytea	   *first = NULL;
	bytea	   *last = NULL;

	if (OidIsValid(owner))
		dbops_backfill_key_ends(key, relid, owner, &first, &last);
	dbops_backfill_pass_begin(run->job->id, relid, key, first, last);
}

/* ---- that it stood ---- */

/* The first table whose triggers somebody has dropped or disabled; or NULL. */
BackfillLeaf *
dbops_backfill_guard_gap(const BackfillRun *run)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_trigger_name("exact", run->job->id)),
		dbops_param_text(dbops_backfill_trigger_name("exactkey", run->job->id))
	};
	List	   *guarded = NIL;
	ListCell   *cell;

	dbops_query_each("SELECT t.tgrelid FROM pg_trigger t"
					 " JOIN pg_proc p ON p.oid = t.tgfoid"
					 " JOIN pg_namespace n ON n.oid = p.pronamespace"
					 " WHERE t.tgname IN ($1, $2) AND p.proname = 'backfill_guard' AND n.nspname = 'dbops' AND t.tgenabled = 'A'"
					 " GROUP BY t.tgrelid HAVING count(*) = 2",
					 lengthof(params), params, take_guarded, &guarded);
	foreach(cell, run->leaves)
	{
		Oid			relid = ((BackfillLeaf *) lfirst(cell))->relid;

		if (!list_member_oid(guarded, relid) && is_followed(run, relid))
			return lfirst(cell);
	}
	return NULL;
}

/* A partition that came meanwhile has got the triggers, since rows move to it; an inheritance child has none. */
static bool
is_followed(const BackfillRun *run, Oid relid)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	BackfillPass pass;
	bool		own = dbops_backfill_pass_read(run->job->id, relid, latest, &pass);

	UnregisterSnapshot(latest);
	return own || get_rel_relkind(run->request.relid) == RELKIND_PARTITIONED_TABLE;
}

static void
take_guarded(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **guarded = arg;

	*guarded = lappend_oid(*guarded, dbops_row_oid(row, desc, 1));
}
