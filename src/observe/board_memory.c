/*
 * board_memory.c
 *		Sheets of findings in shared memory, for thousands of databases.
 *
 * A sheet is a chain of cells, as long as what is written on it. When there are
 * no more cells others give way, those first that were judged longest ago: of
 * databases that nobody uses the texts of what is ok, then all texts, then the
 * notes too. The sheets of the cluster, of the home database and of databases in
 * use come last of all. So since when a finding is as it is stays known for all
 * databases, and what is served from memory stays served where somebody asks.
 *
 * About 5.6 MB, under one lock, held for copying. A sheet has one writer at a
 * time: the launcher, or the scheduler of its database.
 */
#include "observe/board_memory.h"

#include "observe/metric.h"

#define MOST_SHEETS		4352	/* of as many databases as the launcher looks after, and of those in use */
#define CELL_BYTES		128
#define N_CELLS			40960
#define NO_CELL			(-1)

typedef struct Sheet
{
	BoardBytes	is;
	int			first;			/* cell */
} Sheet;

typedef struct Board
{
	uint64		keys[MOST_SHEETS];	/* of databases and reaches; 0: free */
	Sheet		sheets[MOST_SHEETS];	/* beside them */
	int			unused;			/* the first of the free cells */
	int			n_unused;
	int			next[N_CELLS];	/* of a sheet, or of the free ones */
	char		cells[N_CELLS][CELL_BYTES];
} Board;

/* Whose sheets go last, in order. */
typedef struct Favoured
{
	int			n;
	Oid			databases[RING_DATABASES + 2];
} Favoured;

static Board *board = NULL;		/* or NULL */
static LWLock *board_lock = NULL;

static void prepare(void *piece);
static void forget(Oid database);
static uint64 key_of(Oid database, DbopsCheckReach reach);
static int	find_sheet(uint64 key);
static int	take_sheet(uint64 key, const Favoured *favoured);
static void clear_sheet(int sheet);
static void shorten(int sheet, int bytes);
static int	cells_of(int bytes);
static bool make_room(int cells, int but, const Favoured *favoured);
static int	find_victim(int but, const Favoured *favoured);
static int	rank_of(int sheet, const Favoured *favoured);
static void list_favoured(Favoured *favoured);
static int	compare_oids(const void *a, const void *b);
static void write_cells(int sheet, const BoardBytes *from);
static void read_cells(const Sheet *sheet, int bytes, char *to);

/* Ask for the shared memory. */
void
dbops_board_memory_init(void)
{
	dbops_shared_request("dbops board", sizeof(Board), prepare,
						 (void **) &board, &board_lock);
	dbops_forget_register(forget);
}

/* All cells are free. */
static void
prepare(void *piece)
{
	Board	   *fresh = piece;

	for (int i = 0; i < N_CELLS; i++)
		fresh->next[i] = (i + 1 < N_CELLS) ? i + 1 : NO_CELL;
	fresh->n_unused = N_CELLS;
}

/* What stands there of a database that is gone, or has dbops no more. */
static void
forget(Oid database)
{
	if (board == NULL)
		return;
	LWLockAcquire(board_lock, LW_EXCLUSIVE);
	for (DbopsCheckReach reach = DBOPS_REACH_CATALOG; reach <= DBOPS_REACH_CLUSTER; reach++)
	{
		int			sheet = find_sheet(key_of(database, reach));

		if (sheet >= 0)
			clear_sheet(sheet);
	}
	LWLockRelease(board_lock);
}

/* Replace what stands there; if others cannot give way for all of it, as much as can be. */
void
dbops_board_memory_put(Oid database, DbopsCheckReach reach, const BoardBytes *bytes)
{
	BoardBytes	put = *bytes;
	Favoured	favoured;
	int			sheet;

	if (board == NULL)
		return;
	list_favoured(&favoured);
	LWLockAcquire(board_lock, LW_EXCLUSIVE);
	sheet = take_sheet(key_of(database, reach), &favoured);
	shorten(sheet, 0);
	if (!make_room(cells_of(put.n), sheet, &favoured))
		put.n = Min(put.n, board->n_unused * CELL_BYTES);
	if (put.n < put.n_notes * (int) sizeof(BoardNote))
		clear_sheet(sheet);
	else
		write_cells(sheet, &put);
	LWLockRelease(board_lock);
}

/* Copy what stands there, its texts only if they are wanted; false: nothing does. */
bool
dbops_board_memory_get(Oid database, DbopsCheckReach reach, bool texts, BoardBytes *copy)
{
	int			room = 0;
	char	   *bytes = NULL;

	for (;;)
	{
		int			sheet;
		bool		fits;

		if (board == NULL)
			return false;
		LWLockAcquire(board_lock, LW_SHARED);
		sheet = find_sheet(key_of(database, reach));
		if (sheet >= 0)
		{
			*copy = board->sheets[sheet].is;
			if (!texts)
				copy->n = copy->n_notes * sizeof(BoardNote);
			fits = (copy->n <= room);
			if (fits)
				read_cells(&board->sheets[sheet], copy->n, bytes);
		}
		LWLockRelease(board_lock);
		if (sheet < 0)
			return false;
		copy->bytes = bytes;
		if (fits)
			return true;
		/* Nothing is allocated under the lock; it may have grown by the next look. */
		room = copy->n;
		bytes = palloc(room);
	}
}

/* ---- sheets; the lock is held ---- */

/* Never 0. */
static uint64
key_of(Oid database, DbopsCheckReach reach)
{
	return ((uint64) database << 8) | (reach + 1);
}

static int
find_sheet(uint64 key)
{
	for (int i = 0; i < MOST_SHEETS; i++)
		if (board->keys[i] == key)
			return i;
	return -1;
}

/* Find it, or take a free one, or the one that is to give way. */
static int
take_sheet(uint64 key, const Favoured *favoured)
{
	int			sheet = find_sheet(key);

	if (sheet >= 0)
		return sheet;
	sheet = find_sheet(0);
	if (sheet < 0)
	{
		sheet = find_victim(-1, favoured);
		clear_sheet(sheet);
	}
	board->keys[sheet] = key;
	board->sheets[sheet] = (Sheet) {.first = NO_CELL};
	return sheet;
}

static void
clear_sheet(int sheet)
{
	shorten(sheet, 0);
	board->keys[sheet] = 0;
}

/* Leave so many bytes of it. */
static void
shorten(int sheet, int bytes)
{
	int		   *link = &board->sheets[sheet].first;
	int			left = cells_of(board->sheets[sheet].is.n);

	for (int i = 0; i < cells_of(bytes); i++, left--)
		link = &board->next[*link];
	for (; left > 0; left--)
	{
		int			cell = *link;

		*link = board->next[cell];
		board->next[cell] = board->unused;
		board->unused = cell;
		board->n_unused++;
	}
	board->sheets[sheet].is.n = bytes;
}

static int
cells_of(int bytes)
{
	return (bytes + CELL_BYTES - 1) / CELL_BYTES;
}

/* Have other sheets give way until there are so many cells. */
static bool
make_room(int cells, int but, const Favoured *favoured)
{
	while (board->n_unused < cells)
	{
		int			victim = find_victim(but, favoured);
		const BoardBytes *is;

		if (victim < 0)
			return false;
		is = &board->sheets[victim].is;
		if (is->n > is->needed)
			shorten(victim, is->needed);
		else if (is->n > is->n_notes * (int) sizeof(BoardNote))
			shorten(victim, is->n_notes * sizeof(BoardNote));
		else
			clear_sheet(victim);
	}
	return true;
}

/* Which sheet is to give way? -1: there is no other. */
static int
find_victim(int but, const Favoured *favoured)
{
	int			victim = -1;
	int			least = 0;

	for (int i = 0; i < MOST_SHEETS; i++)
	{
		int			rank;

		if (board->keys[i] == 0 || i == but)
			continue;
		rank = rank_of(i, favoured);
		if (victim >= 0 && (rank > least ||
							(rank == least && board->sheets[i].is.judged_at >= board->sheets[victim].is.judged_at)))
			continue;
		victim = i;
		least = rank;
	}
	return victim;
}

/* The more can be done without, the lower. */
static int
rank_of(int sheet, const Favoured *favoured)
{
	const BoardBytes *is = &board->sheets[sheet].is;
	Oid			database = board->keys[sheet] >> 8;
	int			rank = (is->n > is->needed) ? 0 : (is->n > is->n_notes * (int) sizeof(BoardNote)) ? 1 : 2;

	return bsearch(&database, favoured->databases, favoured->n, sizeof(Oid), compare_oids) != NULL ? rank + 3 : rank;
}

/* The cluster's are those of database 0. */
static void
list_favoured(Favoured *favoured)
{
	favoured->n = dbops_ring_databases(favoured->databases);
	favoured->databases[favoured->n++] = dbops_home_database();
	favoured->databases[favoured->n++] = InvalidOid;
	qsort(favoured->databases, favoured->n, sizeof(Oid), compare_oids);
}

static int
compare_oids(const void *a, const void *b)
{
	Oid			left = *(const Oid *) a;
	Oid			right = *(const Oid *) b;

	return (left > right) - (left < right);
}

/* ---- cells; the lock is held, and there are as many as are needed ---- */

static void
write_cells(int sheet, const BoardBytes *from)
{
	int		   *link = &board->sheets[sheet].first;

	for (int done = 0; done < from->n; done += CELL_BYTES)
	{
		int			cell = board->unused;

		board->unused = board->next[cell];
		board->n_unused--;
		memcpy(board->cells[cell], from->bytes + done, Min(CELL_BYTES, from->n - done));
		*link = cell;
		link = &board->next[cell];
	}
	*link = NO_CELL;
	board->sheets[sheet].is = *from;
	board->sheets[sheet].is.bytes = NULL;
}

static void
read_cells(const Sheet *sheet, int bytes, char *to)
{
	int			cell = sheet->first;

	for (int done = 0; done < bytes; done += CELL_BYTES)
	{
		memcpy(to + done, board->cells[cell], Min(CELL_BYTES, bytes - done));
		cell = board->next[cell];
	}
}
