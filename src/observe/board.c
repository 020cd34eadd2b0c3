/*
 * board.c
 *		What was found when it was last looked at, for whoever asks next.
 *
 * The launcher judges what can be read from memory and a scheduler what needs
 * the catalogs of its database; both put their findings here, so that a report
 * need not judge again, and everybody is told the same and since when. Findings
 * of one database and one reach are a sheet, which is replaced as a whole. The
 * cluster's are those of database 0.
 *
 * Sheets and rows are limited: the sheet that was judged longest ago gives way
 * as a whole, so that one that is there is complete. Texts are cut to what a
 * row holds.
 *
 * The lock is held for comparing and copying only. A row is found by a hash of
 * its database and key in an array of its own, which stays in the cache.
 */
#include "observe/board.h"
#include "observe/shared_text.h"

#include "common/hashfn.h"

#define BOARD_SHEETS	512
#define BOARD_ROWS		2048
#define CHECK_BYTES		DBOPS_CHECK_NAME_BYTES
#define OBJECT_BYTES	DBOPS_OBJECT_BYTES
#define TEXT_BYTES		384
#define DATA_BYTES		320

typedef struct Sheet
{
	bool		used;
	Oid			database;
	DbopsCheckReach reach;
	TimestampTz judged_at;
	uint32		turn;			/* how many times it was judged */
} Sheet;

typedef struct Row
{
	int			sheet;			/* -1: free */
	uint32		turn;			/* of the sheet, in which it was put */
	DbopsSeverity severity;
	TimestampTz since;
	TimestampTz muted_until;
	bool		has_object;
	bool		has_remedy;
	char		check_name[CHECK_BYTES];
	char		object[OBJECT_BYTES];
	char		message[TEXT_BYTES];
	char		remedy[TEXT_BYTES];
	uint32		data_bytes;		/* 0: none, or too many */
	char		data[DATA_BYTES];
} Row;

typedef struct Board
{
	Sheet		sheets[BOARD_SHEETS];
	uint64		hashes[BOARD_ROWS]; /* 0: the row is free */
	Row			rows[BOARD_ROWS];
} Board;

static Board *board = NULL;		/* or NULL */
static LWLock *board_lock = NULL;

static void forget(Oid database);
static int	find_sheet(Oid database, DbopsCheckReach reach);
static int	begin_sheet(Oid database, DbopsCheckReach reach);
static void clear_sheet(int sheet);
static void put_finding(int sheet, const DbopsFinding *finding, TimestampTz now);
static int	take_row(int sheet);
static int	find_row(uint64 hash);
static int	find_oldest_sheet(int but);
static void drop_stale(int sheet);
static void free_row(int row);
static uint64 hash_key(Oid database, const char *key);
static void fill_row(Row *row, const DbopsFinding *finding, TimestampTz now);
static BoardFinding *read_row(const Row *row);
static int	by_severity_and_key(const ListCell *a, const ListCell *b);

/* Ask for the shared memory. */
void
dbops_board_init(void)
{
	dbops_shared_request("dbops board", sizeof(Board), NULL,
						 (void **) &board, &board_lock);
	dbops_forget_register(forget);
}

/* What stands there of a database that is gone, or has dbops no more. */
static void
forget(Oid database)
{
	if (board == NULL)
		return;
	LWLockAcquire(board_lock, LW_EXCLUSIVE);
	for (int i = 0; i < BOARD_SHEETS; i++)
		if (board->sheets[i].used && board->sheets[i].database == database)
			clear_sheet(i);
	LWLockRelease(board_lock);
}

/* Replace what stands there of a database and a reach. */
void
dbops_board_put(Oid database, DbopsCheckReach reach, const List *findings)
{
	TimestampTz now = dbops_clock_now();
	ListCell   *cell;
	int			sheet;

	if (board == NULL)
		return;
	LWLockAcquire(board_lock, LW_EXCLUSIVE);
	sheet = begin_sheet(database, reach);
	board->sheets[sheet].judged_at = now;
	foreach(cell, findings)
		put_finding(sheet, lfirst(cell), now);
	drop_stale(sheet);
	LWLockRelease(board_lock);
}

/* Find the sheet, or take the one that was judged longest ago; the lock is held. */
static int
begin_sheet(Oid database, DbopsCheckReach reach)
{
	int			sheet = find_sheet(database, reach);

	if (sheet < 0)
	{
		for (sheet = 0; sheet < BOARD_SHEETS && board->sheets[sheet].used; sheet++)
			;
		if (sheet == BOARD_SHEETS)
		{
			sheet = find_oldest_sheet(-1);
			clear_sheet(sheet);
		}
		board->sheets[sheet] = (Sheet) {.used = true, .database = database, .reach = reach};
	}
	board->sheets[sheet].turn++;
	return sheet;
}

static int
find_sheet(Oid database, DbopsCheckReach reach)
{
	for (int i = 0; i < BOARD_SHEETS; i++)
		if (board->sheets[i].used && board->sheets[i].database == database &&
			board->sheets[i].reach == reach)
			return i;
	return -1;
}

/* Which sheet was judged longest ago, but for one? -1: there is no other. */
static int
find_oldest_sheet(int but)
{
	int			oldest = -1;

	for (int i = 0; i < BOARD_SHEETS; i++)
		if (board->sheets[i].used && i != but &&
			(oldest < 0 || board->sheets[i].judged_at < board->sheets[oldest].judged_at))
			oldest = i;
	return oldest;
}

static void
clear_sheet(int sheet)
{
	for (int i = 0; i < BOARD_ROWS; i++)
		if (board->hashes[i] != 0 && board->rows[i].sheet == sheet)
			free_row(i);
	board->sheets[sheet].used = false;
}

/* Write one finding into its row; since is kept while the severity is the same. */
static void
put_finding(int sheet, const DbopsFinding *finding, TimestampTz now)
{
	uint64		hash = hash_key(board->sheets[sheet].database, finding->key);
	int			row = find_row(hash);

	if (row < 0)
	{
		row = take_row(sheet);
		if (row < 0)
			return;
		board->hashes[row] = hash;
		memset(&board->rows[row], 0, sizeof(Row));
	}
	board->rows[row].sheet = sheet;
	board->rows[row].turn = board->sheets[sheet].turn;
	fill_row(&board->rows[row], finding, now);
}

/* Find a free row, if need be by clearing the oldest other sheet. -1: this one has all there are. */
static int
take_row(int sheet)
{
	int			oldest;

	for (;;)
	{
		int			row = find_row(0);

		if (row >= 0)
			return row;
		oldest = find_oldest_sheet(sheet);
		if (oldest < 0)
			return -1;
		clear_sheet(oldest);
	}
}

static int
find_row(uint64 hash)
{
	for (int i = 0; i < BOARD_ROWS; i++)
		if (board->hashes[i] == hash)
			return i;
	return -1;
}

/* Remove what the last judgement did not find any more. */
static void
drop_stale(int sheet)
{
	for (int i = 0; i < BOARD_ROWS; i++)
		if (board->hashes[i] != 0 && board->rows[i].sheet == sheet &&
			board->rows[i].turn != board->sheets[sheet].turn)
			free_row(i);
}

static void
free_row(int row)
{
	board->hashes[row] = 0;
	board->rows[row].sheet = -1;
}

/* Never 0, which marks a free row. */
static uint64
hash_key(Oid database, const char *key)
{
	return hash_bytes_extended((const unsigned char *) key, strlen(key), database) | 1;
}

static void
fill_row(Row *row, const DbopsFinding *finding, TimestampTz now)
{
	if (row->since == 0 || row->severity != finding->severity)
		row->since = now;
	row->severity = finding->severity;
	row->muted_until = finding->muted_until;
	row->has_object = (finding->object != NULL);
	row->has_remedy = (finding->remedy != NULL);
	dbops_shared_text_put(row->check_name, finding->check_name, CHECK_BYTES);
	dbops_shared_text_put(row->object, row->has_object ? dbops_text_fit(finding->object, OBJECT_BYTES) : NULL, OBJECT_BYTES);
	dbops_shared_text_put(row->message, finding->message, TEXT_BYTES);
	dbops_shared_text_put(row->remedy, finding->remedy, TEXT_BYTES);
	row->data_bytes = (finding->data == NULL) ? 0 : VARSIZE(finding->data);
	if (row->data_bytes > DATA_BYTES)
		row->data_bytes = 0;
	if (row->data_bytes > 0)
		memcpy(row->data, finding->data, row->data_bytes);
}

/* Give what stands there of a database and a reach. */
List *
dbops_board_read(Oid database, DbopsCheckReach reach, TimestampTz *judged_at)
{
	List	   *findings = NIL;
	int			sheet;

	*judged_at = 0;
	if (board == NULL)
		return NIL;
	LWLockAcquire(board_lock, LW_SHARED);
	sheet = find_sheet(database, reach);
	if (sheet >= 0)
	{
		*judged_at = board->sheets[sheet].judged_at;
		for (int i = 0; i < BOARD_ROWS; i++)
			if (board->hashes[i] != 0 && board->rows[i].sheet == sheet)
				findings = lappend(findings, read_row(&board->rows[i]));
	}
	LWLockRelease(board_lock);
	list_sort(findings, by_severity_and_key);
	return findings;
}

static BoardFinding *
read_row(const Row *row)
{
	BoardFinding *read = palloc0(sizeof(BoardFinding));

	read->since = row->since;
	read->finding.since = row->since;
	read->finding.muted_until = row->muted_until;
	read->finding.severity = row->severity;
	read->finding.check_name = dbops_shared_text_get(row->check_name);
	read->finding.check = dbops_check_find(row->check_name);
	read->finding.object = row->has_object ? dbops_shared_text_get(row->object) : NULL;
	read->finding.message = dbops_shared_text_get(row->message);
	read->finding.remedy = row->has_remedy ? dbops_shared_text_get(row->remedy) : NULL;
	read->finding.key = row->has_object ?
		psprintf("%s:%s", row->check_name, read->finding.object) : read->finding.check_name;
	if (row->data_bytes > 0)
		read->finding.data = memcpy(palloc(row->data_bytes), row->data, row->data_bytes);
	return read;
}

static int
by_severity_and_key(const ListCell *a, const ListCell *b)
{
	const BoardFinding *left = lfirst(a);
	const BoardFinding *right = lfirst(b);

	if (left->finding.severity != right->finding.severity)
		return (left->finding.severity > right->finding.severity) ? -1 : 1;
	return strcmp(left->finding.key, right->finding.key);
}

TimestampTz
dbops_board_since(Oid database, const char *key)
{
	TimestampTz since = 0;
	int			row;

	if (board == NULL)
		return 0;
	LWLockAcquire(board_lock, LW_SHARED);
	row = find_row(hash_key(database, key));
	if (row >= 0)
		since = board->rows[row].since;
	LWLockRelease(board_lock);
	return since;
}
