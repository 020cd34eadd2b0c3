/*
 * shared.c
 *		Shared memory, for whoever asked while the server was starting.
 *
 * Each request gets one piece and one lock. When dbops is not preloaded there
 * is none, and the pointers stay NULL: what uses them does without.
 */
#include "core/core.h"

#include "miscadmin.h"
#include "storage/ipc.h"
#include "storage/lwlock.h"
#include "storage/shmem.h"

#define MAX_PIECES		64
#define TRANCHE_NAME	"dbops"

typedef struct Piece
{
	const char *name;
	Size		size;
	DbopsCallback prepare;		/* fills the new, zeroed piece; or NULL */
	void	  **place;			/* where the requester finds it */
	LWLock	  **lock;
} Piece;

static Piece pieces[MAX_PIECES];
static int	n_pieces = 0;

static shmem_request_hook_type previous_request_hook = NULL;
static shmem_startup_hook_type previous_startup_hook = NULL;

static void install_hooks(void);
static void request_pieces(void);
static void attach_pieces(void);
static void attach_piece(Piece *piece, LWLock *lock);

/*
 * Ask for a piece of shared memory and a lock; called when the library is
 * loaded. place and lock are set before the first client connects.
 */
void
dbops_shared_request(const char *name, Size size, DbopsCallback prepare,
					 void **place, LWLock **lock)
{
	if (!process_shared_preload_libraries_in_progress)
		return;
	if (n_pieces == MAX_PIECES)
		elog(ERROR, "too many requests for shared memory");
	if (n_pieces == 0)
		install_hooks();
	pieces[n_pieces++] = (Piece)
	{
		.name = name, .size = size, .prepare = prepare,
		.place = place, .lock = lock
	};
}

static void
install_hooks(void)
{
	previous_request_hook = shmem_request_hook;
	shmem_request_hook = request_pieces;
	previous_startup_hook = shmem_startup_hook;
	shmem_startup_hook = attach_pieces;
}

static void
request_pieces(void)
{
	if (previous_request_hook != NULL)
		previous_request_hook();
	for (int i = 0; i < n_pieces; i++)
		RequestAddinShmemSpace(MAXALIGN(pieces[i].size));
	RequestNamedLWLockTranche(TRANCHE_NAME, n_pieces);
}

/*
 * Runs in the postmaster, and again after a crash of a backend. Ours come before
 * those of other libraries, whichever was loaded first: what these keep in files
 * across a restart, and remove when they read it, can still be seen.
 */
static void
attach_pieces(void)
{
	LWLockPadded *locks = GetNamedLWLockTranche(TRANCHE_NAME);

	LWLockAcquire(AddinShmemInitLock, LW_EXCLUSIVE);
	for (int i = 0; i < n_pieces; i++)
		attach_piece(&pieces[i], &locks[i].lock);
	LWLockRelease(AddinShmemInitLock);
	if (previous_startup_hook != NULL)
		previous_startup_hook();
}

static void
attach_piece(Piece *piece, LWLock *lock)
{
	bool		found;

	*piece->place = ShmemInitStruct(piece->name, piece->size, &found);
	*piece->lock = lock;
	if (found)
		return;
	memset(*piece->place, 0, piece->size);
	if (piece->prepare != NULL)
		piece->prepare(*piece->place);
}
