/*
 * backfill_quarantine.c
 *		Find the rows because of which a batch fails, name them, and set them
 *		aside if that is asked for.
 *
 * A batch that fails because of what is in a row is done in pieces, each in a
 * subtransaction: the piece that fails is halved, by blocks and then by line
 * pointers, until it is one row; the pieces that succeed are kept. A piece
 * fails at its first bad row, so what a row costs is about the rows before it
 * and a few tries. After a bad row the next piece is as long as the way from
 * the last one was, so that rows that are all bad cost one try each.
 *
 * What is found is recorded in the transaction of the batch, together with the
 * good rows and the job's cursor. Where the backfill is to stop, or too many
 * rows fail, that step ends before the bad row, and the next one raises the
 * error: what was changed before the row stays changed.
 *
 * Each record says in which pass the row failed last. A sweep tries the rows
 * again that are still to be changed, so after it the records of earlier
 * passes are of rows that have been repaired or deleted, or could be changed
 * by then; they are removed.
 */
#include "change/change.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_type.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "storage/itemptr.h"
#include "utils/builtins.h"
#include "utils/jsonb.h"
#include "utils/timestamp.h"

PG_FUNCTION_INFO_V1(dbops_backfill_errors);

/* A step ends after so many pieces were kept, or so much time. */
#define STEP_PIECES 32
#define STEP_TIME 250			/* ms */

/* Tries of a place that fails although no row is seen there: it may just have moved. */
#define EMPTY_TRIES 2

/* Characters of a key value that are recorded, and of all of them in a message. */
#define KEY_VALUE_LENGTH 200
#define KEY_TEXT_LENGTH 300

/* A range that failed, while it is done in pieces. */
typedef struct Search
{
	BackfillRun *run;
	BackfillBatcher *batcher;
	const BackfillLeaf *leaf;
	bool		update;			/* or count */
	uint64		at;				/* place where the next piece begins */
	uint64		end;
	uint64		fails;			/* end of a piece from here on that failed or was cut off; 0: none is known */
	uint64		after_bad;		/* place behind the last bad row */
	uint64		gap;			/* places of a piece where nothing is known */
	int			pieces;			/* kept */
	TimestampTz began;
	uint64		rows;			/* changed */
	BackfillCounts counts;
} Search;

/* A row that fails, on its way to being described. */
typedef struct BadRow
{
	const BackfillLeaf *leaf;
	const ItemPointerData *tid;
	bool		found;
	Jsonb	   *key;			/* or NULL */
	char	   *condition;		/* that says the same in SQL; or NULL */
} BadRow;

/* What reads the columns of a key, of alias t. */
typedef struct KeyTexts
{
	StringInfoData document;
	StringInfoData condition;
} KeyTexts;

static BackfillOutcome search(Search *search, uint64 from, uint64 to);
static BackfillOutcome try_piece(Search *search, uint64 to);
static uint64 piece_end(const Search *search);
static bool is_step_over(const Search *search);
static BackfillOutcome take_bad_row(Search *search);
static bool is_set_aside(const Search *search);
static void place_tid(uint64 place, ItemPointer tid);
static void describe(BadRow *row);
static void describe_as_owner(void *arg);
static void read_key(void *arg);
static char *key_query(const BackfillLeaf *leaf);
static void add_key_column(HeapTuple row, TupleDesc desc, void *arg);
static void take_key(HeapTuple row, TupleDesc desc, void *arg);
static void record(BackfillRun *run, const BadRow *row, const ErrorData *error);
static void judge(BackfillRun *run, const BadRow *row, const ErrorData *error);
static char *name_row(const BadRow *row);
static char *tid_text(const ItemPointerData *tid);
static ErrorData *copy_error(const ErrorData *error);
static int64 number_recorded(const BackfillRun *run);
static void require_own(int64 job);

/*
 * Does the error lie in a row? Errors that lie in others, in the server, in
 * missing rights or in the statement do not; what is left are those of data
 * and constraints, and those that code of the table's owner raises.
 */
bool
dbops_backfill_is_of_row(int sqlerrcode)
{
	switch (ERRCODE_TO_CATEGORY(sqlerrcode))
	{
		case ERRCODE_CONNECTION_EXCEPTION:
		case ERRCODE_FEATURE_NOT_SUPPORTED:
		case ERRCODE_INVALID_CURSOR_STATE:
		case ERRCODE_INVALID_TRANSACTION_STATE:
		case ERRCODE_INVALID_SQL_STATEMENT_NAME:
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
		case ERRCODE_INVALID_TRANSACTION_TERMINATION:
		case ERRCODE_SAVEPOINT_EXCEPTION:
		case ERRCODE_INVALID_CATALOG_NAME:
		case ERRCODE_INVALID_SCHEMA_NAME:
		case ERRCODE_TRANSACTION_ROLLBACK:
		case ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION:
		case ERRCODE_INSUFFICIENT_RESOURCES:
		case ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE:
		case ERRCODE_OPERATOR_INTERVENTION:
		case ERRCODE_SYSTEM_ERROR:
		case MAKE_SQLSTATE('7', '2', '0', '0', '0'):	/* snapshot too old, up to 16 */
		case ERRCODE_CONFIG_FILE_ERROR:
		case ERRCODE_FDW_ERROR:
		case ERRCODE_INTERNAL_ERROR:
			return false;
		default:
			return sqlerrcode != ERRCODE_STATEMENT_TOO_COMPLEX;
	}
}

/*
 * Change the rows from one place to another, of which a batch has failed, as
 * far as a step can. What is done ends before *to, perhaps within a block. If
 * the backfill is to stop, its failure stands in the run afterwards, and the
 * next step is to raise it.
 */
BackfillOutcome
dbops_backfill_update_pieces(BackfillRun *run, BackfillBatcher *batcher, const BackfillLeaf *leaf,
							 uint64 from, uint64 *to, uint64 *rows)
{
	Search		pieces = {.run = run,.batcher = batcher,.leaf = leaf,.update = true};
	const BackfillLeaf *range = run->progress.leaf;
	BackfillOutcome outcome;

	run->progress.leaf = NULL;	/* errors are not to say yet what is committed */
	outcome = search(&pieces, from, *to);
	run->progress.leaf = range;
	*to = pieces.at;
	*rows = pieces.rows;
	return (pieces.at > from) ? BATCH_DONE : outcome;	/* who goes on there meets what is in the way */
}

/* Count the rows of such blocks, all or none; those that fail are still to be changed. */
BackfillOutcome
dbops_backfill_count_pieces(BackfillRun *run, BackfillBatcher *batcher, const BackfillLeaf *leaf,
							BlockNumber from, BlockNumber to, BackfillCounts *counts)
{
	Search		pieces = {.run = run,.batcher = batcher,.leaf = leaf};
	BackfillOutcome outcome = search(&pieces, BACKFILL_PLACE(from), BACKFILL_PLACE(to));

	*counts = pieces.counts;
	return outcome;
}

/* Go from one place to another piece by piece. */
static BackfillOutcome
search(Search *search, uint64 from, uint64 to)
{
	BackfillOutcome outcome = BATCH_DONE;

	search->at = from;
	search->end = to;
	search->fails = search->end;
	search->after_bad = search->at;
	search->began = GetCurrentTimestamp();

	while (outcome == BATCH_DONE && search->at < search->end && !is_step_over(search))
	{
		uint64		next = piece_end(search);

		outcome = try_piece(search, next);
		if ((outcome == BATCH_FAILED || outcome == BATCH_TOO_LONG) && next - search->at > 1)
		{
			search->fails = next;
			search->gap = (next - search->at) / 2;
			outcome = BATCH_DONE;
			continue;
		}
		if (outcome == BATCH_FAILED)
			outcome = take_bad_row(search);
		if (outcome == BATCH_DONE && search->run->failure == NULL)
			search->at = next;
	}
	return outcome;
}

/* Do what is from here to a place. */
static BackfillOutcome
try_piece(Search *search, uint64 to)
{
	ItemPointerData bounds[2];
	int			most_ms = (to - search->at > 1) ? dbops_pace_most_ms(&search->run->request.limits) : 0;
	uint64		rows = 0;
	BackfillCounts counts = {0};
	BackfillOutcome outcome;

	place_tid(search->at, &bounds[0]);
	place_tid(to, &bounds[1]);
	outcome = search->update ?
		dbops_backfill_update_tids(search->batcher, bounds, most_ms, &rows) :
		dbops_backfill_count_tids(search->batcher, bounds, &counts);
	if (outcome != BATCH_DONE)
		return outcome;

	search->pieces++;
	if (search->fails <= search->at)
		search->gap *= 2;
	search->rows += rows;
	search->counts.pending += counts.pending;
	search->counts.matching += counts.matching;
	return outcome;
}

/*
 * Where the next piece ends: half way through what is known to fail, at the
 * beginning of a block if there is one; or as far as the last bad row was from
 * the one before, or half as far as the last piece that failed would have gone,
 * and then twice as far each time.
 */
static uint64
piece_end(const Search *search)
{
	uint64		to;

	if (search->fails <= search->at)
		to = Min(search->at + Max(search->gap, 1), search->end);
	else
		to = search->at + (search->fails - search->at + 1) / 2;
	if (to - to % BACKFILL_BLOCK_PLACES > search->at)
		to -= to % BACKFILL_BLOCK_PLACES;
	return to;
}

/* Is it time to commit? */
static bool
is_step_over(const Search *search)
{
	if (search->run->failure != NULL)
		return true;
	return search->update &&
		(search->pieces >= STEP_PIECES ||
		 (search->pieces > 0 &&
		  TimestampDifferenceExceeds(search->began, GetCurrentTimestamp(), STEP_TIME)));
}

/*
 * One place fails: set its row aside, or find that the search ends here. Where
 * no row is seen, it may just have moved, or the statement fails without one.
 */
static BackfillOutcome
take_bad_row(Search *search)
{
	BackfillOutcome outcome = BATCH_FAILED;

	for (int i = 0; i < EMPTY_TRIES; i++)
	{
		if (is_set_aside(search))
		{
			search->counts.pending++;
			search->counts.matching++;
			search->gap = Max(search->at - search->after_bad, 1);
			search->after_bad = search->at + 1;
			search->fails = 0;
			return BATCH_DONE;
		}
		outcome = try_piece(search, search->at + 1);
		if (outcome != BATCH_FAILED)
			return outcome;
	}
	ReThrowError(dbops_backfill_failure(search->batcher));
	return outcome;				/* keep compiler quiet */
}

/* A count only wants to know of rows that end the backfill. */
static bool
is_set_aside(const Search *search)
{
	ItemPointerData tid;

	if (!search->update && search->run->request.quarantine)
		return true;
	place_tid(search->at, &tid);
	return dbops_backfill_set_aside(search->run, search->leaf, &tid,
									dbops_backfill_failure(search->batcher));
}

/* The row, or the boundary, at a place. */
static void
place_tid(uint64 place, ItemPointer tid)
{
	ItemPointerSet(tid, (BlockNumber) (place / BACKFILL_BLOCK_PLACES),
				   (OffsetNumber) (place % BACKFILL_BLOCK_PLACES));
}

/*
 * Deal with a row that fails, as the backfill was asked to: record it, and go
 * on or have the next step stop. False if there is no such row any more.
 */
bool
dbops_backfill_set_aside(BackfillRun *run, const BackfillLeaf *leaf,
						 const ItemPointerData *tid, const ErrorData *error)
{
	MemoryContext passing = AllocSetContextCreate(CurrentMemoryContext, "dbops bad row", ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(passing);
	BadRow		row = {.leaf = leaf,.tid = tid};

	describe(&row);
	if (row.found && run->job->id != 0)
		record(run, &row, error);
	if (row.found)
		judge(run, &row, error);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(passing);
	return row.found;
}

/*
 * Read the key of a row as the table's owner, whose types' code may be called.
 * If that fails, the row is known by its place only.
 */
static void
describe(BadRow *row)
{
	ErrorData  *error;

	if (dbops_attempt(describe_as_owner, row, &error))
		return;
	row->found = true;
	row->key = NULL;
	row->condition = NULL;
}

static void
describe_as_owner(void *arg)
{
	BadRow	   *row = arg;

	dbops_run_as(row->leaf->owner, read_key, row);
}

static void
read_key(void *arg)
{
	BadRow	   *row = arg;
	DbopsParam	params[] = {{.type = TIDOID,.value = PointerGetDatum(row->tid)}};

	dbops_polite_bound_lock_waits();
	dbops_query_each(key_query(row->leaf), lengthof(params), params, take_key, row);
}

/*
 * Write the query for the key of a row: as a document, with long values cut
 * off, and as a condition.
 */
static char *
key_query(const BackfillLeaf *leaf)
{
	DbopsParam	relid = dbops_param_oid(leaf->relid);
	KeyTexts	texts = {0};

	initStringInfo(&texts.document);
	initStringInfo(&texts.condition);
	dbops_query_each("SELECT a.attname::text FROM pg_index i"
					 " CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY k (attnum, n)"
					 " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum"
					 " WHERE k.n <= i.indnkeyatts AND i.indexrelid = ("
					 " SELECT x.indexrelid FROM pg_index x"
					 " WHERE x.indrelid = $1 AND x.indisunique AND x.indisvalid AND x.indpred IS NULL AND x.indexprs IS NULL"
					 " AND NOT EXISTS (SELECT FROM pg_attribute n"
					 " WHERE n.attrelid = $1 AND n.attnum = ANY (x.indkey) AND NOT n.attnotnull)"
					 " ORDER BY x.indisprimary DESC, x.indnkeyatts, x.indexrelid LIMIT 1)"
					 " ORDER BY k.n",
					 1, &relid, add_key_column, &texts);
	if (texts.document.len == 0)
		return psprintf("SELECT NULL::jsonb, NULL::text FROM ONLY %s t WHERE t.ctid = $1", leaf->name);
	return psprintf("SELECT jsonb_build_object(%s), concat_ws(' AND ', %s) FROM ONLY %s t WHERE t.ctid = $1",
					texts.document.data, texts.condition.data, leaf->name);
}

static void
add_key_column(HeapTuple row, TupleDesc desc, void *arg)
{
	KeyTexts   *texts = arg;
	char	   *name = dbops_row_text(row, desc, 1);
	const char *column = quote_identifier(name);
	char	   *literal = quote_literal_cstr(name);
	const char *separator = texts->document.len > 0 ? ", " : "";

	appendStringInfo(&texts->document,
					 "%s%s, CASE WHEN length(t.%s::text) <= %d THEN to_jsonb(t.%s) ELSE to_jsonb(left(t.%s::text, %d)) END",
					 separator, literal, column, KEY_VALUE_LENGTH, column, column, KEY_VALUE_LENGTH);
	appendStringInfo(&texts->condition, "%sformat('%%I = %%L', %s, t.%s)", separator, literal, column);
}

static void
take_key(HeapTuple row, TupleDesc desc, void *arg)
{
	BadRow	   *bad = arg;

	bad->found = true;
	bad->key = dbops_row_jsonb(row, desc, 1);
	bad->condition = dbops_row_text(row, desc, 2);
}

/* Record a row, or anew if it is met again; by its key, or else by its place. */
static void
record(BackfillRun *run, const BadRow *row, const ErrorData *error)
{
	char	   *tid = tid_text(row->tid);
	DbopsParam	params[] = {
		dbops_param_int8(run->job->id),
		dbops_param_oid(row->leaf->relid),
		dbops_param_text(row->condition != NULL ? row->condition : tid),
		dbops_param_text(row->leaf->name),
		dbops_param_text(tid),
		dbops_param_jsonb(row->key),
		dbops_param_text(unpack_sql_state(error->sqlerrcode)),
		dbops_param_text(error->message),
		dbops_param_text(error->detail),
		dbops_param_int4(run->pass),
		dbops_param_time(dbops_clock_now())
	};

	dbops_store_each("INSERT INTO dbops.backfill_error AS e"
					 " (job_id, relid, identity, table_name, row_ctid, key, sqlstate, message, detail, pass, failed_at)"
					 " VALUES ($1, $2, sha256(textsend($3)), $4, $5::tid, $6, $7, left($8, 1000), left($9, 1000), $10, $11)"
					 " ON CONFLICT (job_id, relid, identity) DO UPDATE SET"
					 " row_ctid = excluded.row_ctid, sqlstate = excluded.sqlstate, message = excluded.message,"
					 " detail = excluded.detail, pass = excluded.pass, failed_at = excluded.failed_at",
					 lengthof(params), params, NULL, NULL);
}

/*
 * Is the backfill to go on behind this row? If not, the next step raises why. A
 * job has no context, but a message, which whoever monitors it may read: that
 * has the row's place, and not its key.
 */
static void
judge(BackfillRun *run, const BadRow *row, const ErrorData *error)
{
	MemoryContext caller;

	run->too_many = run->request.quarantine && number_recorded(run) > run->request.max_errors;
	if (run->request.quarantine && !run->too_many)
		return;
	caller = MemoryContextSwitchTo(run->memory);
	run->failure = copy_error(error);
	if (run->job->id != 0)
		run->failure->message = psprintf("row %s of table %s fails: %s",
										 tid_text(row->tid), row->leaf->name, error->message);
	if (run->row_hint != NULL)
		run->failure->hint = pstrdup(run->row_hint);
	run->failure->context = psprintf("%s%s%s", name_row(row),
									 error->context ? "\n" : "", error->context ? error->context : "");
	MemoryContextSwitchTo(caller);
}

/* Say which row it is, as the caller may type it. */
static char *
name_row(const BadRow *row)
{
	char	   *condition = "";

	if (row->condition != NULL)
	{
		int			length = pg_mbcliplen(row->condition, strlen(row->condition), KEY_TEXT_LENGTH);

		condition = psprintf(", where %.*s%s", length, row->condition,
							 row->condition[length] != '\0' ? "..." : "");
	}
	return psprintf("row %s of table %s%s", tid_text(row->tid), row->leaf->name, condition);
}

static char *
tid_text(const ItemPointerData *tid)
{
	return psprintf("(%u,%u)", ItemPointerGetBlockNumberNoCheck(tid),
					ItemPointerGetOffsetNumberNoCheck(tid));
}

/* Copy what a user sees of an error. */
static ErrorData *
copy_error(const ErrorData *error)
{
	ErrorData  *copy = palloc(sizeof(ErrorData));
	char	  **texts[] = {
		&copy->message, &copy->detail, &copy->detail_log, &copy->hint, &copy->schema_name,
		&copy->table_name, &copy->column_name, &copy->datatype_name, &copy->constraint_name,
		&copy->internalquery
	};

	*copy = *error;
	for (int i = 0; i < lengthof(texts); i++)
		if (*texts[i] != NULL)
			*texts[i] = pstrdup(*texts[i]);
	return copy;
}

/* Raise the error that the backfill is to stop with, if it is. */
void
dbops_backfill_stop(const BackfillRun *run)
{
	if (run->failure == NULL)
		return;
	if (run->too_many)
		ereport(ERROR,
				(errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
				 errmsg("more than %d rows of the backfill fail", run->request.max_errors),
				 errdetail("The last of them said: %s.", run->failure->message),
				 errhint("See dbops.backfill_errors(" INT64_FORMAT "), and correct the expression or the rows; dbops.backfill_max_errors is how many may fail.",
						 run->job->id)));
	ThrowErrorData(run->failure);
}

/*
 * Note how many rows stay set aside. Records of passes before this one are of
 * rows that the sweep did not find, or could change; unless it left some out.
 */
void
dbops_backfill_settle(BackfillRun *run, int pass)
{
	DbopsParam	params[] = {dbops_param_int8(run->job->id), dbops_param_int4(pass)};

	if (!run->request.quarantine)
		return;
	if (!run->rows_locked)
		dbops_store_each("DELETE FROM dbops.backfill_error WHERE job_id = $1 AND pass < $2",
						 lengthof(params), params, NULL, NULL);
	run->quarantined = number_recorded(run);
}

static int64
number_recorded(const BackfillRun *run)
{
	DbopsParam	job = dbops_param_int8(run->job->id);
	Datum		number;

	if (!dbops_store_value("SELECT count(*) FROM dbops.backfill_error WHERE job_id = $1",
						   1, &job, INT8OID, &number))
		return 0;
	return DatumGetInt64(number);
}

/* The row of a job that failed last, for those who may see its rows; NULL: none did. */
Jsonb *
dbops_backfill_last_error(int64 job)
{
	DbopsParam	param = dbops_param_int8(job);
	Datum		error;

	if (!dbops_store_value("SELECT jsonb_build_object('table', table_name, 'ctid', row_ctid::text, 'key', key,"
						   " 'sqlstate', sqlstate, 'message', message)"
						   " FROM dbops.backfill_error WHERE job_id = $1"
						   " ORDER BY failed_at DESC, row_ctid DESC LIMIT 1",
						   1, &param, JSONBOID, &error))
		return NULL;
	return DatumGetJsonbP(error);
}

/* Rows that are to be changed still, without those set aside. */
uint64
dbops_backfill_left(const BackfillRun *run)
{
	return run->pending - Min(run->pending, run->quarantined);
}

/* "3 rows set aside because they fail" */
char *
dbops_backfill_aside(const BackfillRun *run)
{
	return psprintf("%s set aside because %s", dbops_backfill_rows(run->quarantined),
					run->quarantined == 1 ? "it fails" : "they fail");
}

/* backfill_errors(job_id bigint) → the rows that fail, or have ended it */
Datum
dbops_backfill_errors(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	int64		job = PG_GETARG_INT64(0);
	DbopsParam	param = dbops_param_int8(job);

	InitMaterializedSRF(fcinfo, 0);
	require_own(job);
	dbops_store_report(rsinfo,
					   "SELECT table_name, row_ctid, key, sqlstate, message, detail, failed_at"
					   " FROM dbops.backfill_error WHERE job_id = $1 ORDER BY table_name, row_ctid",
					   1, &param);
	return (Datum) 0;
}

/* Refuse a job that is not a backfill, or not the caller's to see. */
static void
require_own(int64 job)
{
	DbopsParam	param = dbops_param_int8(job);
	Datum		owner;

	if (!dbops_store_value("SELECT owner::oid FROM dbops.job WHERE id = $1 AND kind = 'backfill'",
						   1, &param, OIDOID, &owner))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no backfill with job " INT64_FORMAT " in this database", job),
				 errhint("See dbops.jobs(); those that ended long ago are deleted (dbops.job_history_age, dbops.job_history_count).")));
	if (!dbops_acts_for(DatumGetObjectId(owner)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("job " INT64_FORMAT " belongs to role \"%s\"", job,
						GetUserNameFromId(DatumGetObjectId(owner), true)),
				 errhint("Only members of that role and admins of dbops may see its rows.")));
}
