/*
 * backfill_visit.c
 *		Which rows a backfill by key has visited.
 *
 * A row has been visited if its key is not above the cursor of its table, or is
 * above the bound or below the first key, which no row had when the backfill
 * began; otherwise its turn is still to come. A note about a key overrules
 * this: "visited" for a row that came or was moved to where the cursor still
 * has to pass, "to come" for one that changed its key before its turn, which is
 * then changed by its note and not by the pass.
 *
 * The cursor is one row a table, written by the backfill with each batch in the
 * batch's transaction. Notes are written in the transactions that change keys,
 * by the guard trigger, and in batches. Both are read and notes are written
 * below the level of SQL: it has to be cheap, sessions have no rights on the
 * tables, and what counts is the latest state whatever the isolation level of
 * the writer is. Who writes about a key holds the lock of the row that has it
 * or had it, so that notes need no locks of their own; to find one gone that
 * was to be deleted is no error.
 */
#include "change/change.h"

#include "access/genam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xact.h"
#include "catalog/indexing.h"
#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

enum
{
	PASS_JOB = 1,
	PASS_TABLE,
	PASS_COLUMNS,
	PASS_CURSOR,
	PASS_CURSOR_VISITED,
	PASS_BOUND
};

enum
{
	NOTE_JOB = 1,
	NOTE_TABLE,
	NOTE_KEY,
	NOTE_TO_COME,
	NOTE_COLUMNS = NOTE_TO_COME
};

/* A table of dbops that is open, with one of its indexes. */
typedef struct Store
{
	Relation	rel;
	Oid			index;
} Store;

static Store open_store(const char *table, const char *index, LOCKMODE mode);
static void take_pass(HeapTuple row, TupleDesc desc, BackfillPass *pass);
static BackfillVisit find_note(const Store *store, int64 job, Oid relid, bytea *key,
							   Snapshot snapshot, ItemPointer tid);
static void write_note(const Store *store, int64 job, Oid relid, bytea *key, bool to_come);
static void delete_tuple(Relation rel, ItemPointer tid);
static SysScanDesc scan_notes(const Store *store, int64 job, Oid relid, Snapshot snapshot);

/* ---- the pass ---- */

/* Read how far the pass is; false if the table has none. */
bool
dbops_backfill_pass_read(int64 job, Oid relid, Snapshot snapshot, BackfillPass *pass)
{
	Store		store = open_store("backfill_pass", "backfill_pass_pkey", AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&keys[0], PASS_JOB, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job));
	ScanKeyInit(&keys[1], PASS_TABLE, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(store.rel, store.index, true, snapshot, lengthof(keys), keys);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
		take_pass(row, RelationGetDescr(store.rel), pass);
	systable_endscan(scan);
	table_close(store.rel, NoLock);
	return HeapTupleIsValid(row);
}

/*
 * The same as it is now; a table that has come below another one since the pass
 * began has the key of that, and no rows to be visited. False if the job is none
 * any more.
 */
bool
dbops_backfill_pass_of(int64 job, Oid relid, Oid root, BackfillPass *pass)
{
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	bool		own = dbops_backfill_pass_read(job, relid, latest, pass);
	bool		found = own || dbops_backfill_pass_read(job, root, latest, pass);

	UnregisterSnapshot(latest);
	if (!own)
		pass->cursor = NULL;
	for (int i = 0; found && !own && i < pass->columns; i++)
	{
		char	   *name = get_attname(root, pass->attnums[i], true);

		pass->attnums[i] = (name != NULL) ? get_attnum(relid, name) : InvalidAttrNumber;
	}
	return found;
}

static void
take_pass(HeapTuple row, TupleDesc desc, BackfillPass *pass)
{
	bool		isnull;
	int2vector *columns = (int2vector *) DatumGetPointer(heap_getattr(row, PASS_COLUMNS, desc, &isnull));
	Datum		cursor = heap_getattr(row, PASS_CURSOR, desc, &isnull);
	Datum		bound;

	*pass = (BackfillPass) {0};
	pass->columns = columns->dim1;
	memcpy(pass->attnums, columns->values, columns->dim1 * sizeof(AttrNumber));
	if (isnull)
		return;
	bound = heap_getattr(row, PASS_BOUND, desc, &isnull);
	pass->cursor = DatumGetByteaPCopy(cursor);
	pass->bound = DatumGetByteaPCopy(bound);
	pass->cursor_visited = DatumGetBool(heap_getattr(row, PASS_CURSOR_VISITED, desc, &isnull));
}

/* Begin the pass of a table; one without rows, or that is partitioned, has no bounds. */
void
dbops_backfill_pass_begin(int64 job, Oid relid, const BackfillKey *key,
						  const bytea *first, const bytea *last)
{
	AttrNumber	attnums[INDEX_MAX_KEYS];
	DbopsParam	params[] = {
		dbops_param_int8(job),
		dbops_param_oid(relid),
		{.type = INT2VECTOROID},
		{.type = BYTEAOID,.value = PointerGetDatum(first),.isnull = first == NULL},
		{.type = BYTEAOID,.value = PointerGetDatum(last),.isnull = last == NULL}
	};

	for (int i = 0; i < key->columns; i++)
		attnums[i] = key->column[i].attnum;
	params[2].value = PointerGetDatum(buildint2vector(attnums, key->columns));
	dbops_store_each("INSERT INTO dbops.backfill_pass (job_id, relid, key_columns, cursor, cursor_visited, bound)"
					 " VALUES ($1, $2, $3, $4, false, $5)",
					 lengthof(params), params, NULL, NULL);
}

/* Note that the pass has come to this key, which is visited. */
void
dbops_backfill_pass_move(int64 job, Oid relid, bytea *cursor)
{
	DbopsParam	params[] = {
		dbops_param_int8(job),
		dbops_param_oid(relid),
		{.type = BYTEAOID,.value = PointerGetDatum(cursor)}
	};

	dbops_store_each("UPDATE dbops.backfill_pass SET cursor = $3, cursor_visited = true"
					 " WHERE job_id = $1 AND relid = $2",
					 lengthof(params), params, NULL, NULL);
}

/* What the place of a key says, without notes. */
BackfillVisit
dbops_backfill_pass_visit(const BackfillPass *pass, const BackfillKey *key, const Datum *values)
{
	int			order;

	if (pass->cursor == NULL)
		return VISITED;
	order = dbops_backfill_key_compare(key, values, dbops_backfill_key_unpack(key, pass->cursor));
	if (order < 0 || (order == 0 && pass->cursor_visited))
		return VISITED;
	order = dbops_backfill_key_compare(key, values, dbops_backfill_key_unpack(key, pass->bound));
	return (order <= 0) ? TO_COME : VISITED;
}

/* Has it passed all keys of the table? */
bool
dbops_backfill_pass_done(const BackfillPass *pass)
{
	return pass->cursor == NULL ||
		(pass->cursor_visited && VARSIZE(pass->cursor) == VARSIZE(pass->bound) &&
		 memcmp(pass->cursor, pass->bound, VARSIZE(pass->bound)) == 0);
}

/* ---- notes ---- */

/* What a note says about a key; NOT_NOTED: there is none. */
BackfillVisit
dbops_backfill_note_find(int64 job, Oid relid, bytea *key, Snapshot snapshot)
{
	Store		store = open_store("backfill_note", "backfill_note_pkey", AccessShareLock);
	ItemPointerData tid;
	BackfillVisit visit = find_note(&store, job, relid, key, snapshot, &tid);

	table_close(store.rel, NoLock);
	return visit;
}

/* Let the note about a key be this one; NOT_NOTED: none. */
void
dbops_backfill_note_set(int64 job, Oid relid, bytea *key, BackfillVisit visit)
{
	Store		store = open_store("backfill_note", "backfill_note_pkey", RowExclusiveLock);
	Snapshot	latest = RegisterSnapshot(GetLatestSnapshot());
	ItemPointerData tid;
	BackfillVisit noted = find_note(&store, job, relid, key, latest, &tid);

	/* A key that is stored out of line is deleted under a snapshot. */
	if (noted != visit)
	{
		if (noted != NOT_NOTED)
			delete_tuple(store.rel, &tid);
		if (visit != NOT_NOTED)
			write_note(&store, job, relid, key, visit == TO_COME);
		CommandCounterIncrement();
	}
	UnregisterSnapshot(latest);
	table_close(store.rel, NoLock);
}

/* Has the table any notes? */
bool
dbops_backfill_note_any(int64 job, Oid relid, Snapshot snapshot)
{
	Store		store = open_store("backfill_note", "backfill_note_pkey", AccessShareLock);
	SysScanDesc scan = scan_notes(&store, job, relid, snapshot);
	bool		any = HeapTupleIsValid(systable_getnext(scan));

	systable_endscan(scan);
	table_close(store.rel, NoLock);
	return any;
}

/*
 * Call back for rows whose turn is still to come by a note, all of the table
 * that comes first, or those of a table, until the callback has enough.
 */
void
dbops_backfill_note_each(int64 job, Oid relid, Snapshot snapshot,
						 BackfillNoteCallback each, void *arg)
{
	Store		store = open_store("backfill_note", "backfill_note_to_come", AccessShareLock);
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	row;
	bool		goes_on = true;

	ScanKeyInit(&keys[0], NOTE_JOB, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job));
	ScanKeyInit(&keys[1], NOTE_TO_COME, BTEqualStrategyNumber, F_BOOLEQ, BoolGetDatum(true));
	scan = systable_beginscan(store.rel, store.index, true, snapshot, lengthof(keys), keys);
	while (goes_on && HeapTupleIsValid(row = systable_getnext(scan)))
	{
		bool		isnull;
		TupleDesc	desc = RelationGetDescr(store.rel);
		BackfillNote note = {
			.relid = DatumGetObjectId(heap_getattr(row, NOTE_TABLE, desc, &isnull)),
			.tid = row->t_self,
			.written_by = HeapTupleHeaderGetXmin(row->t_data)
		};

		if (OidIsValid(relid) && note.relid != relid)
			continue;
		relid = note.relid;
		note.key = DatumGetByteaPCopy(heap_getattr(row, NOTE_KEY, desc, &isnull));
		goes_on = each(&note, arg);
	}
	systable_endscan(scan);
	table_close(store.rel, NoLock);
}

/* Delete just this note, about a row that is not there. */
void
dbops_backfill_note_delete(const BackfillNote *note)
{
	Store		store = open_store("backfill_note", "backfill_note_pkey", RowExclusiveLock);
	ItemPointerData tid = note->tid;

	delete_tuple(store.rel, &tid);
	CommandCounterIncrement();
	table_close(store.rel, NoLock);
}

/* Delete the notes about a table that is not one of the backfill's any more. */
void
dbops_backfill_notes_forget(int64 job, Oid relid)
{
	DbopsParam	params[] = {dbops_param_int8(job), dbops_param_oid(relid)};

	dbops_store_each("DELETE FROM dbops.backfill_note WHERE job_id = $1 AND relid = $2",
					 lengthof(params), params, NULL, NULL);
}

/* Delete so many of what is kept about a job; false if that was the rest. */
bool
dbops_backfill_visit_forget(int64 job, int rows)
{
	DbopsParam	params[] = {dbops_param_int8(job), dbops_param_int4(rows)};

	if (dbops_store_each("DELETE FROM dbops.backfill_note WHERE ctid IN"
						 " (SELECT ctid FROM dbops.backfill_note WHERE job_id = $1 LIMIT $2)",
						 lengthof(params), params, NULL, NULL) == (uint64) rows)
		return true;
	dbops_store_each("DELETE FROM dbops.backfill_pass WHERE job_id = $1", 1, params, NULL, NULL);
	return false;
}

/* ---- the tables ---- */

/* Open one; its lock is kept until the transaction ends. */
static Store
open_store(const char *table, const char *index, LOCKMODE mode)
{
	Oid			schema = get_namespace_oid("dbops", false);

	return (Store) {
		.rel = table_open(get_relname_relid(table, schema), mode),
		.index = get_relname_relid(index, schema)
	};
}

static BackfillVisit
find_note(const Store *store, int64 job, Oid relid, bytea *key, Snapshot snapshot, ItemPointer tid)
{
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	row;
	BackfillVisit visit = NOT_NOTED;

	ScanKeyInit(&keys[0], NOTE_JOB, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job));
	ScanKeyInit(&keys[1], NOTE_TABLE, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	ScanKeyInit(&keys[2], NOTE_KEY, BTEqualStrategyNumber, F_BYTEAEQ, PointerGetDatum(key));
	scan = systable_beginscan(store->rel, store->index, true, snapshot, lengthof(keys), keys);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		bool		isnull;
		Datum		to_come = heap_getattr(row, NOTE_TO_COME, RelationGetDescr(store->rel), &isnull);

		visit = DatumGetBool(to_come) ? TO_COME : VISITED;
		*tid = row->t_self;
	}
	systable_endscan(scan);
	return visit;
}

static SysScanDesc
scan_notes(const Store *store, int64 job, Oid relid, Snapshot snapshot)
{
	ScanKeyData keys[2];

	ScanKeyInit(&keys[0], NOTE_JOB, BTEqualStrategyNumber, F_INT8EQ, Int64GetDatum(job));
	ScanKeyInit(&keys[1], NOTE_TABLE, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	return systable_beginscan(store->rel, store->index, true, snapshot, lengthof(keys), keys);
}

static void
write_note(const Store *store, int64 job, Oid relid, bytea *key, bool to_come)
{
	Datum		values[NOTE_COLUMNS] = {
		Int64GetDatum(job), ObjectIdGetDatum(relid), PointerGetDatum(key), BoolGetDatum(to_come)
	};
	bool		nulls[NOTE_COLUMNS] = {false};

	CatalogTupleInsert(store->rel, heap_form_tuple(RelationGetDescr(store->rel), values, nulls));
}

/* Delete a note, unless somebody has done so. */
static void
delete_tuple(Relation rel, ItemPointer tid)
{
	TM_FailureData failure;

	(void) table_tuple_delete(rel, tid, GetCurrentCommandId(true), InvalidSnapshot,
							  InvalidSnapshot, true, &failure, false);
}
