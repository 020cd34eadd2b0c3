/*
 * backfill_keyset.c
 *		Walk tables in the order of a key, each row once.
 *
 * A batch takes the next keys that one snapshot sees behind the cursor, leaves
 * out those that have a note (backfill_visit.c), and changes the rows from key
 * to key. The cursor moves in the batch's own transaction, so that a crash
 * takes both or none. Nothing is left out because others lock it: the batch
 * gets smaller and is tried again from the cursor; otherwise its size follows
 * the time that batches take and the harm that they do, as that of a walk in
 * block order does (pace.c). What must not be missed and
 * not be done twice meanwhile is argued in backfill_guard.c.
 *
 * Rows that changed their key before their turn are changed by their notes, as
 * these come, each of them locked before its note is used up. The walk is done
 * when all cursors have come to their bounds and no such note is left.
 *
 * A batch that fails because of what is in a row is made smaller until it is
 * that row. To be set aside the row is locked, so that its key stays, and tried
 * once more; then the cursor goes past it, or its note is used up, in the
 * transaction that records it.
 */
#include "change/change.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define LONGEST_WAIT 1000L		/* ms between two tries for rows that others lock */
#define FIRST_SHARE 8			/* the first batch is this part of what was asked for */

/* The conditions that a statement sets to a key, as numbers of its variants. */
#define FROM_NEXT 0				/* behind the cursor */
#define FROM_HERE 1				/* from it on */
#define TO_BEFORE 0				/* up to the key, without it */
#define TO_HERE 1				/* with it */

/* A table in work. */
struct BackfillKeyTable
{
	BackfillLeaf *leaf;
	BackfillKey *key;
	BackfillBatcher *batcher;	/* for its way to do an attempt */
	char	   *alias;
	DbopsStatement *look[2];	/* by FROM */
	DbopsStatement *update[2][2];	/* by FROM and TO */
	DbopsStatement *lock;		/* one row */
	List	   *planned;		/* those of them whose plan was looked at in this attempt */
};

/* A batch on its way through the callbacks. */
typedef struct KeyBatch
{
	BackfillRun *run;
	BackfillKeyTable *table;
	MemoryContext memory;
	BackfillPass pass;
	BackfillKeyPace *pace;
	int			size;			/* rows that it may have */
	DbopsBatch figures;		/* of the last attempt */
	Datum	   *from;			/* the cursor */
	Datum	   *to;				/* where the batch ends */
	int			seen;			/* keys between the two */
	List	   *keys;			/* all of these (Datum *), if the table has notes */
	bool		has_notes;
	List	   *notes;			/* BackfillNote *: in the place of keys */
	char	   *reached;		/* the end of the batch, as people read it */
	bool		moved_in;		/* a row to come by its note was met by the batch */
	Datum	   *row;			/* the key of the only row; NULL: there may be more, or none */
	ItemPointerData tid;		/* where that row is; invalid: nowhere */
	bool		aside;			/* it was set aside */
	uint64		rows;
} KeyBatch;

static void begin_batch(KeyBatch *batch, BackfillKeyPace *pace);
static bool do_notes(BackfillRun *run, DbopsStep *step);
static Oid	find_noted_table(BackfillRun *run);
static void change_noted(void *arg);
static bool take_note(const BackfillNote *note, void *arg);
static void change_noted_row(KeyBatch *batch, const BackfillNote *note);
static bool lock_row(KeyBatch *batch, const Datum *key);
static void take_place(HeapTuple row, TupleDesc desc, void *arg);
static void use_up(const KeyBatch *batch, const BackfillNote *note, const Datum *key);
static bool do_next_batch(BackfillRun *run, DbopsStep *step);
static void do_batch(KeyBatch *batch, DbopsStep *step);
static void change_range(void *arg);
static void look_ahead(KeyBatch *batch);
static void take_key(HeapTuple row, TupleDesc desc, void *arg);
static void change_pieces(KeyBatch *batch);
static void change(KeyBatch *batch, const Datum *from, int from_variant,
				   const Datum *to, int to_variant);
static void begin_anew_if_moved_in(KeyBatch *batch);
static bool look_at_moved(const BackfillNote *note, void *arg);
static BackfillOutcome try_batch(KeyBatch *batch, DbopsCallback work);
static BackfillOutcome try_locked(KeyBatch *batch, DbopsCallback work);
static void change_nothing(void *arg);
static BackfillOutcome attempt(KeyBatch *batch, DbopsCallback work);
static bool settle(const KeyBatch *batch, DbopsStep *step, BackfillOutcome outcome);
static void follow(const KeyBatch *batch);
static void wait_for_rows(BackfillRun *run, DbopsStep *step);
static void forget_table(BackfillRun *run);
static void enter(BackfillRun *run, BackfillLeaf *leaf, const BackfillPass *pass);
static void leave(BackfillRun *run);
static BackfillLeaf *find_leaf(BackfillRun *run, Oid relid);
static void keep_text(BackfillRun *run, char **place, const char *text);
static bool is_planned(const BackfillKeyTable *table, const DbopsStatement *statement);
static void plan(BackfillKeyTable *table, DbopsStatement **statement, const char *sql, bool limited);
static char *range_condition(const BackfillKeyTable *table, int from, int to);
static Datum *range_values(const BackfillKeyTable *table, const Datum *from, const Datum *to, int limit);
static char *prefix(const BackfillKeyTable *table);

/* Do a batch, or what keeps it from being done; true when nothing is left to do. */
bool
dbops_backfill_keyset_step(BackfillRun *run, DbopsStep *step)
{
	MemoryContext memory = AllocSetContextCreate(run->memory, "dbops batch by key", ALLOCSET_DEFAULT_SIZES);
	bool		done = false;

	MemoryContextSwitchTo(memory);
	if (run->keys.notes_done || !do_notes(run, step))
	{
		run->keys.notes_done = false;
		done = !do_next_batch(run, step) && !run->keys.notes_left;
	}
	run->progress.keys = NULL;
	run->progress.leaf = NULL;
	MemoryContextSwitchTo(run->memory);
	if (step->waiting != NULL)
		step->waiting = pstrdup(step->waiting);
	MemoryContextDelete(memory);
	if (done)
		leave(run);
	return done;
}

/* How many rows the batch may have. */
static void
begin_batch(KeyBatch *batch, BackfillKeyPace *pace)
{
	int			most = batch->run->request.batch_size;

	if (pace->pace.size == 0)
		dbops_pace_begin(&pace->pace, most / FIRST_SHARE);
	dbops_pace_bound(&pace->pace, most);
	batch->pace = pace;
	batch->size = dbops_pace_size(&pace->pace);
	if (pace->piece > 0)
		batch->size = Min(batch->size, pace->piece);
}

/* ---- rows that changed their key before their turn ---- */

/*
 * Change a batch of them, of one table; false if there are none. Afterwards it
 * is the turn of the pass, so that neither waits for the other to end.
 */
static bool
do_notes(BackfillRun *run, DbopsStep *step)
{
	KeyBatch	batch = {.run = run,.memory = CurrentMemoryContext};
	Oid			relid = find_noted_table(run);
	BackfillLeaf *leaf;

	run->keys.notes_left = OidIsValid(relid);
	if (!run->keys.notes_left)
		return false;
	run->keys.notes_done = true;

	leaf = find_leaf(run, relid);
	if (leaf == NULL || !dbops_backfill_pass_of(run->job->id, relid, run->request.relid, &batch.pass))
	{
		dbops_backfill_notes_forget(run->job->id, relid);
		return true;
	}
	enter(run, leaf, &batch.pass);
	batch.table = run->keys.table;
	begin_batch(&batch, &run->keys.notes);
	if (settle(&batch, step, try_batch(&batch, change_noted)))
	{
		if (run->keys.table != NULL && batch.aside)
			use_up(&batch, linitial(batch.notes), batch.row);
		dbops_backfill_progress_batch(&run->progress, batch.rows);
		dbops_pace_pause(&run->walk.pace, &run->request.limits, step, &batch.figures);
	}
	return true;
}

static Oid
find_noted_table(BackfillRun *run)
{
	KeyBatch	batch = {.run = run};
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());

	dbops_backfill_note_each(run->job->id, InvalidOid, latest, take_note, &batch);
	UnregisterSnapshot(latest);
	return (batch.notes == NIL) ? InvalidOid : ((BackfillNote *) linitial(batch.notes))->relid;
}

/* The table is locked, so that the snapshot sees its rows whatever was done to it before. */
static void
change_noted(void *arg)
{
	KeyBatch   *batch = arg;
	BackfillRun *run = batch->run;
	ListCell   *cell;

	MemoryContextSwitchTo(batch->memory);
	batch->notes = NIL;
	run->progress.leaf = batch->table->leaf;
	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_backfill_note_each(run->job->id, batch->table->leaf->relid, GetActiveSnapshot(), take_note, batch);
	foreach(cell, batch->notes)
		change_noted_row(batch, lfirst(cell));
	PopActiveSnapshot();
}

/* Take as many as a batch may have. */
static bool
take_note(const BackfillNote *note, void *arg)
{
	KeyBatch   *batch = arg;
	BackfillNote *copy = palloc(sizeof(BackfillNote));

	*copy = *note;
	batch->notes = lappend(batch->notes, copy);
	return list_length(batch->notes) < batch->size;
}

/* Lock the row, so that its key stays, change it, and use its note up. */
static void
change_noted_row(KeyBatch *batch, const BackfillNote *note)
{
	BackfillKeyTable *table = batch->table;
	Datum	   *key = dbops_backfill_key_unpack(table->key, note->key);

	batch->run->progress.keys = psprintf("key (%s)", dbops_backfill_key_text(table->key, key));
	if (list_length(batch->notes) == 1)
		batch->row = key;
	if (!lock_row(batch, key))
	{
		dbops_backfill_note_delete(note);	/* its row is gone, or has another note */
		return;
	}
	change(batch, key, FROM_HERE, key, TO_HERE);
	use_up(batch, note, key);
}

/* Lock the row that has a key until the transaction ends, and note where it is; false if there is none. */
static bool
lock_row(KeyBatch *batch, const Datum *key)
{
	BackfillKeyTable *table = batch->table;

	if (!is_planned(table, table->lock))
		plan(table, &table->lock,
			 psprintf("SELECT %s.ctid FROM ONLY %s AS %s WHERE %s FOR NO KEY UPDATE",
					  table->alias, table->leaf->name, table->alias, range_condition(table, FROM_HERE, TO_HERE)),
			 false);
	ItemPointerSetInvalid(&batch->tid);
	(void) dbops_statement_run(table->lock, range_values(table, key, key, 0), false, take_place, batch);
	return ItemPointerIsValid(&batch->tid);
}

static void
take_place(HeapTuple row, TupleDesc desc, void *arg)
{
	KeyBatch   *batch = arg;
	bool		isnull;

	batch->tid = *(ItemPointer) DatumGetPointer(heap_getattr(row, 1, desc, &isnull));
}

/* A row has been visited by its note; the pass is to know where it would meet the row. */
static void
use_up(const KeyBatch *batch, const BackfillNote *note, const Datum *key)
{
	BackfillVisit visit = dbops_backfill_pass_visit(&batch->pass, batch->table->key, key);

	dbops_backfill_note_set(batch->run->job->id, note->relid, note->key,
							visit == TO_COME ? VISITED : NOT_NOTED);
}

/* ---- the pass ---- */

/* Do a batch of the first table that the pass is not through with; false if it is through with all. */
static bool
do_next_batch(BackfillRun *run, DbopsStep *step)
{
	KeyBatch	batch = {.run = run,.memory = CurrentMemoryContext};
	BackfillKeyWalk *walk = &run->keys;

	for (; walk->next < list_length(run->leaves); walk->next++)
	{
		BackfillLeaf *leaf = list_nth(run->leaves, walk->next);

		if (!dbops_backfill_pass_of(run->job->id, leaf->relid, run->request.relid, &batch.pass) ||
			dbops_backfill_pass_done(&batch.pass))
			continue;
		enter(run, leaf, &batch.pass);
		batch.table = walk->table;
		begin_batch(&batch, &walk->pass);
		do_batch(&batch, step);
		return true;
	}
	return false;
}

static void
do_batch(KeyBatch *batch, DbopsStep *step)
{
	BackfillRun *run = batch->run;
	BackfillKeyTable *table = batch->table;
	BackfillLeaf *leaf = table->leaf;
	double		share;

	batch->from = dbops_backfill_key_unpack(table->key, batch->pass.cursor);
	if (!settle(batch, step, try_batch(batch, change_range)))
		return;
	if (run->keys.table == NULL)
		return;					/* it is gone */

	dbops_backfill_pass_move(run->job->id, leaf->relid, dbops_backfill_key_pack(table->key, batch->to));
	keep_text(run, &run->keys.reached, batch->reached);
	dbops_backfill_progress_batch(&run->progress, batch->rows);
	dbops_pace_pause(&run->walk.pace, &run->request.limits, step, &batch->figures);
	share = (double) batch->seen / leaf->batch_rows;
	dbops_backfill_ask_for_vacuum(run, step, leaf,
								  (BlockNumber) ceil(leaf->batch_blocks * (double) batch->rows / leaf->batch_rows));
	run->progress.blocks_done = Min(run->progress.blocks_done + (uint64) ceil(share * leaf->batch_blocks),
									run->progress.blocks);
	dbops_backfill_progress_report(&run->progress);
}

/* Change what one snapshot sees of the next keys. The table is locked already. */
static void
change_range(void *arg)
{
	KeyBatch   *batch = arg;
	BackfillKeyTable *table = batch->table;
	int			from = batch->pass.cursor_visited ? FROM_NEXT : FROM_HERE;

	MemoryContextSwitchTo(batch->memory);
	batch->run->progress.leaf = table->leaf;
	batch->run->progress.keys = psprintf("keys %s (%s)", from == FROM_NEXT ? "after" : "from",
										 dbops_backfill_key_text(table->key, batch->from));
	PushActiveSnapshot(GetTransactionSnapshot());
	batch->has_notes = dbops_backfill_note_any(batch->run->job->id, table->leaf->relid, GetActiveSnapshot());
	look_ahead(batch);
	batch->reached = psprintf("%s up to (%s)", table->leaf->name,
							  dbops_backfill_key_text(table->key, batch->to));
	if (batch->size == 1 && batch->seen == 1)
		batch->row = batch->to;
	if (batch->row != NULL)
		batch->run->progress.keys = psprintf("key (%s)", dbops_backfill_key_text(table->key, batch->to));
	if (batch->has_notes)
		change_pieces(batch);
	else if (batch->seen > 0)
		change(batch, batch->from, from, batch->to, TO_HERE);
	begin_anew_if_moved_in(batch);
	PopActiveSnapshot();
}

/* Find where the batch ends: at so many keys, or at the bound. */
static void
look_ahead(KeyBatch *batch)
{
	BackfillKeyTable *table = batch->table;
	int			from = batch->pass.cursor_visited ? FROM_NEXT : FROM_HERE;
	Datum	   *bound = dbops_backfill_key_unpack(table->key, batch->pass.bound);

	plan(table, &table->look[from],
		 psprintf("SELECT %s FROM ONLY %s AS %s WHERE %s ORDER BY %s LIMIT $%d",
				  dbops_backfill_key_names(table->key), table->leaf->name, table->alias,
				  range_condition(table, from, TO_HERE),
				  dbops_backfill_key_order(table->key, prefix(table), BTLessStrategyNumber),
				  2 * table->key->columns + 1),
		 true);
	batch->to = NULL;
	dbops_statement_run(table->look[from], range_values(table, batch->from, bound, batch->size),
						true, take_key, batch);
	if (batch->to == NULL)
		batch->to = bound;
}

static void
take_key(HeapTuple row, TupleDesc desc, void *arg)
{
	KeyBatch   *batch = arg;
	bool		is_last = (++batch->seen == batch->size);
	const BackfillKey *key = batch->table->key;
	Datum		values[INDEX_MAX_KEYS] = {0};
	Datum	   *copy;
	bool		isnull;

	if (!is_last && !batch->has_notes)
		return;
	for (int i = 0; i < key->columns; i++)
		values[i] = heap_getattr(row, i + 1, desc, &isnull);
	copy = dbops_backfill_key_unpack(key, dbops_backfill_key_pack(key, values));
	if (is_last)
		batch->to = copy;
	if (batch->has_notes)
		batch->keys = lappend(batch->keys, copy);
}

/* Change the rows between those that have a note. */
static void
change_pieces(KeyBatch *batch)
{
	const Datum *from = batch->from;
	const Datum *last = NULL;	/* without a note, since from */
	int			variant = batch->pass.cursor_visited ? FROM_NEXT : FROM_HERE;
	Oid			relid = batch->table->leaf->relid;
	ListCell   *cell;

	foreach(cell, batch->keys)
	{
		const Datum *key = lfirst(cell);
		bytea	   *packed = dbops_backfill_key_pack(batch->table->key, key);

		if (dbops_backfill_note_find(batch->run->job->id, relid, packed, GetActiveSnapshot()) == NOT_NOTED)
		{
			last = key;
			continue;
		}
		if (last != NULL)
			change(batch, from, variant, key, TO_BEFORE);
		from = key;
		variant = FROM_NEXT;
		last = NULL;
	}
	if (last != NULL)
		change(batch, from, variant, last, TO_HERE);
}

/* Change the rows of a range that the active snapshot sees. */
static void
change(KeyBatch *batch, const Datum *from, int from_variant, const Datum *to, int to_variant)
{
	BackfillKeyTable *table = batch->table;
	const BackfillChange *what = batch->run->change;
	DbopsStatement **update = &table->update[from_variant][to_variant];

	if (!is_planned(table, *update))
		plan(table, update,
			 psprintf("UPDATE ONLY %s AS %s SET %s WHERE %s AND (%s) AND (%s)",
					  table->leaf->name, what->alias, what->set_list,
					  range_condition(table, from_variant, to_variant), what->matches, what->pending),
			 false);
	dbops_backfill_guard_own(batch->run->job->id);
	PG_TRY();
	{
		batch->rows += dbops_statement_change_seen(*update, range_values(table, from, to, 0));
	}
	PG_FINALLY();
	{
		dbops_backfill_guard_own(0);
	}
	PG_END_TRY();
}

/*
 * Undo the batch if it may have met a row that has a note which its snapshot
 * did not see: one that was locked, and was moved to another key of the range.
 */
static void
begin_anew_if_moved_in(KeyBatch *batch)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());

	dbops_backfill_note_each(batch->run->job->id, batch->table->leaf->relid, latest, look_at_moved, batch);
	UnregisterSnapshot(latest);
	if (batch->moved_in)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("the key of a row was changed while the batch was waiting for it")));
}

static bool
look_at_moved(const BackfillNote *note, void *arg)
{
	KeyBatch   *batch = arg;
	const BackfillKey *key = batch->table->key;
	Datum	   *values;

	if (!XidInMVCCSnapshot(note->written_by, GetActiveSnapshot()))
		return true;
	values = dbops_backfill_key_unpack(key, note->key);
	batch->moved_in = (dbops_backfill_key_compare(key, values, batch->from) >= 0 &&
					   dbops_backfill_key_compare(key, values, batch->to) <= 0);
	return !batch->moved_in;
}

/* ---- others ---- */

/*
 * Do a batch; if it is one row, which fails, set it aside, or stop with the row
 * named, as the backfill was asked to. Where it stops nothing of the step stays,
 * so that the row is not recorded.
 */
static BackfillOutcome
try_batch(KeyBatch *batch, DbopsCallback work)
{
	BackfillRun *run = batch->run;
	BackfillOutcome outcome = attempt(batch, work);

	if (outcome == BATCH_FAILED && batch->row != NULL)
		outcome = try_locked(batch, work);
	if (!batch->aside)
		return outcome;

	if (!dbops_backfill_set_aside(run, batch->table->leaf, &batch->tid,
								  dbops_backfill_failure(batch->table->batcher)))
		elog(ERROR, "a row that is locked is not there");
	dbops_backfill_stop(run);
	return BATCH_DONE;
}

/*
 * Try the row that fails once more with it locked, since what failed may have
 * been another one by now; and see that it is not the statement that fails.
 */
static BackfillOutcome
try_locked(KeyBatch *batch, DbopsCallback work)
{
	Datum	   *key = batch->row;
	BackfillOutcome outcome = attempt(batch, change_nothing);

	if (outcome == BATCH_FAILED)
		ReThrowError(dbops_backfill_failure(batch->table->batcher));
	if (outcome != BATCH_DONE)
		return outcome;

	batch->row = NULL;
	outcome = attempt(batch, work);
	batch->aside = (outcome == BATCH_FAILED && batch->row != NULL && ItemPointerIsValid(&batch->tid) &&
					dbops_backfill_key_compare(batch->table->key, batch->row, key) == 0);
	return outcome;
}

/* Lock the row that fails, and change what is between its key and itself. */
static void
change_nothing(void *arg)
{
	KeyBatch   *batch = arg;

	MemoryContextSwitchTo(batch->memory);
	PushActiveSnapshot(GetTransactionSnapshot());
	(void) lock_row(batch, batch->row);
	change(batch, batch->row, FROM_NEXT, batch->row, TO_HERE);
	PopActiveSnapshot();
}

/* The error of one that fails is kept beyond the step. */
static BackfillOutcome
attempt(KeyBatch *batch, DbopsCallback work)
{
	MemoryContext before = MemoryContextSwitchTo(batch->run->memory);
	BackfillOutcome outcome;

	batch->table->planned = NIL;	/* in the memory of the batch before */
	batch->seen = 0;
	batch->keys = NIL;
	batch->rows = 0;
	batch->figures.most_ms = dbops_pace_most_ms(&batch->run->request.limits);
	outcome = dbops_backfill_attempt(batch->table->batcher, work, batch, batch->size > 1, &batch->figures);
	batch->figures.rows = batch->rows;
	MemoryContextSwitchTo(before);
	return outcome;
}

/* Find out what comes after an attempt; true if it was done. */
static bool
settle(const KeyBatch *batch, DbopsStep *step, BackfillOutcome outcome)
{
	BackfillRun *run = batch->run;
	BackfillKeyWalk *walk = &run->keys;

	switch (outcome)
	{
		case BATCH_DONE:
			walk->waited = 0;
			follow(batch);
			return true;

		case BATCH_ROWS_LOCKED:
			if (batch->size == 1)
				wait_for_rows(run, step);
			dbops_pace_cut(&batch->pace->pace, batch->size / 2);
			return false;

		case BATCH_TOO_LONG:
			dbops_pace_cut(&batch->pace->pace, batch->size / 2);
			return false;

		case BATCH_TABLE_LOCKED:
			dbops_backfill_note_wait(run, walk->table->leaf, &walk->waited);
			step->pause = BACKFILL_TABLE_WAIT;
			step->waiting = psprintf("for a lock on table %s that another session holds",
									 walk->table->leaf->name);
			return false;

		case BATCH_REWRITTEN:
			elog(ERROR, "a walk by key keeps no block numbers");
			return false;		/* keep compiler quiet */

		case BATCH_GONE:
			forget_table(run);
			return true;

		case BATCH_FAILED:
			/* Get as far as the row that fails; if that is not the same by now, begin with it again. */
			if (batch->size == 1 && batch->row == NULL)
				ReThrowError(dbops_backfill_failure(walk->table->batcher));
			batch->pace->piece = Max(batch->size / 2, 1);
			return false;
	}
	return false;
}

/*
 * Find the size of the next batch. Behind a row that failed it doubles, up to
 * where it was: what small batches take says nothing about large ones.
 */
static void
follow(const KeyBatch *batch)
{
	BackfillKeyPace *pace = batch->pace;
	int			wanted = dbops_pace_size(&pace->pace);
	int			rows = Max(batch->seen, list_length(batch->notes));

	if (batch->aside)
		pace->piece = 1;
	else if (batch->size < wanted)
		pace->piece = (batch->size < wanted / 2) ? batch->size * 2 : 0;
	else
		dbops_pace_follow(&pace->pace, &batch->run->request.limits, rows,
								   batch->run->request.batch_size, &batch->figures);
}

/* Wait for rows that others lock, longer each time, up to the end of patience. */
static void
wait_for_rows(BackfillRun *run, DbopsStep *step)
{
	BackfillKeyWalk *walk = &run->keys;
	const char *table = walk->table->leaf->name;

	if (!dbops_backfill_is_patient(run, walk->waited))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("a row of table %s has been locked by other sessions for %ld s: %s",
						table, walk->waited / 1000, dbops_backfill_obstacle(walk->table->batcher)),
				 errhint("The backfill goes on with this row when it is run again. %s", dbops_backfill_who(table, "EXCLUSIVE"))));
	step->pause = Min(Max(walk->waited / 4, BACKFILL_TABLE_WAIT), LONGEST_WAIT);
	step->pause = (long) (step->pause * (0.5 + pg_prng_double(&pg_global_prng_state)));
	step->waiting = psprintf("for a row of table %s that another session has locked", table);
	walk->waited += step->pause + dbops_polite_lock_wait();
}

/* ---- tables ---- */

/* A table was dropped. */
static void
forget_table(BackfillRun *run)
{
	BackfillLeaf *leaf = run->keys.table->leaf;

	leave(run);
	run->leaves = list_delete_ptr(run->leaves, leaf);
	run->keys.next = 0;
}

static void
enter(BackfillRun *run, BackfillLeaf *leaf, const BackfillPass *pass)
{
	MemoryContext before;
	BackfillKeyTable *table;

	if (run->keys.table != NULL && run->keys.table->leaf == leaf)
		return;
	leave(run);
	before = MemoryContextSwitchTo(run->memory);
	table = palloc0(sizeof(BackfillKeyTable));
	table->leaf = leaf;
	table->alias = run->change->alias;
	table->key = dbops_backfill_key_over(leaf->relid, pass->columns, pass->attnums);
	if (table->key == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has lost the unique index that the backfill goes by", leaf->name),
				 errhint("Create a unique index on the same columns, and let the job go on by resume_job.")));
	table->batcher = dbops_backfill_batcher(run->change, leaf);
	keep_text(run, &run->keys.key, dbops_backfill_key_names(table->key));
	run->keys.table = table;
	MemoryContextSwitchTo(before);
}

static void
leave(BackfillRun *run)
{
	BackfillKeyTable *table = run->keys.table;
	DbopsStatement *statements[] = {
		table ? table->lock : NULL,
		table ? table->look[0] : NULL, table ? table->look[1] : NULL,
		table ? table->update[0][0] : NULL, table ? table->update[0][1] : NULL,
		table ? table->update[1][0] : NULL, table ? table->update[1][1] : NULL
	};

	if (table == NULL)
		return;
	for (int i = 0; i < lengthof(statements); i++)
		if (statements[i] != NULL)
			dbops_statement_free(statements[i]);
	dbops_backfill_batcher_free(table->batcher);
	pfree(table->key);
	pfree(table);
	run->keys.table = NULL;
}

/* Find a table, which may have come as a partition since they were looked up. */
static BackfillLeaf *
find_leaf(BackfillRun *run, Oid relid)
{
	for (int look = 0; look < 2; look++)
	{
		MemoryContext before;
		ListCell   *cell;

		foreach(cell, run->leaves)
			if (((BackfillLeaf *) lfirst(cell))->relid == relid)
				return lfirst(cell);
		leave(run);
		before = MemoryContextSwitchTo(run->memory);
		run->leaves = dbops_backfill_look_up(&run->request);
		MemoryContextSwitchTo(before);
		run->keys.next = 0;
	}
	return NULL;
}

/* Keep a text in the place of the one before. */
static void
keep_text(BackfillRun *run, char **place, const char *text)
{
	if (*place != NULL)
		pfree(*place);
	*place = MemoryContextStrdup(run->memory, text);
}

/* ---- statements ---- */

/* Is the plan of a statement known to be good? It is looked at once in an attempt. */
static bool
is_planned(const BackfillKeyTable *table, const DbopsStatement *statement)
{
	return statement != NULL && list_member_ptr(table->planned, statement);
}

static void
plan(BackfillKeyTable *table, DbopsStatement **statement, const char *sql, bool limited)
{
	Oid			types[2 * INDEX_MAX_KEYS + 1];
	int			n = table->key->columns;

	for (int i = 0; i < n; i++)
		types[i] = types[n + i] = table->key->column[i].type;
	types[2 * n] = INT8OID;
	dbops_backfill_plan_by_key(statement, sql, 2 * n + limited, types, table->leaf, table->key->index);
	table->planned = lappend(table->planned, *statement);
}

static char *
range_condition(const BackfillKeyTable *table, int from, int to)
{
	int			n = table->key->columns;

	return psprintf("%s AND %s",
					dbops_backfill_key_condition(table->key, prefix(table),
												 from == FROM_NEXT ? BTGreaterStrategyNumber : BTGreaterEqualStrategyNumber, 1),
					dbops_backfill_key_condition(table->key, prefix(table),
												 to == TO_BEFORE ? BTLessStrategyNumber : BTLessEqualStrategyNumber, n + 1));
}

static Datum *
range_values(const BackfillKeyTable *table, const Datum *from, const Datum *to, int limit)
{
	int			n = table->key->columns;
	Datum	   *values = palloc(sizeof(Datum) * (2 * n + 1));

	memcpy(values, from, n * sizeof(Datum));
	memcpy(values + n, to, n * sizeof(Datum));
	values[2 * n] = Int64GetDatum(limit);
	return values;
}

static char *
prefix(const BackfillKeyTable *table)
{
	return psprintf("%s.", table->alias);
}
