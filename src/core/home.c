/*
 * home.c
 *		Which database holds what is the whole cluster's.
 *
 * Figures and alerts of the cluster are kept in one database, so that each is
 * there once: the one that dbops.home_database names, or else the oldest that
 * has dbops, and has it not turned off. The launcher alone knows which have it, and says so here; until
 * then, and where dbops is not preloaded, there is no home.
 *
 * Which one it was is kept over a clean restart: what was told of the cluster's
 * alerts stands there, when the server is started straight into another home.
 */
#include "core/home.h"

typedef struct Home
{
	Oid			database;		/* InvalidOid: not known, or there is none */
	Oid			former;			/* before the server was started; InvalidOid likewise */
} Home;

static Home *home = NULL;		/* NULL: not preloaded */
static LWLock *home_lock = NULL;

static void restore(void *piece);
static Size keep(void *piece);
static bool is_sound(void *piece, Size size, TimestampTz stopped);

static DbopsKeptMemory kept = {
	.file_name = "dbops.home", .version = 1, .size = sizeof(Home), .keep = keep, .is_sound = is_sound
};

/* Ask for the shared memory. */
void
dbops_home_init(void)
{
	dbops_shared_request("dbops home", sizeof(Home), restore, (void **) &home, &home_lock);
}

/* In the postmaster. */
static void
restore(void *piece)
{
	Home	   *found = piece;

	(void) dbops_memory_restore(&kept, piece);
	*found = (Home) {.former = found->database};
}

static Size
keep(void *piece)
{
	return sizeof(Home);
}

static bool
is_sound(void *piece, Size size, TimestampTz stopped)
{
	return size == sizeof(Home);
}

/* Which database was home before the server was started, as far as is known; for the launcher. */
Oid
dbops_home_former(void)
{
	return home->former;
}

/* Say which database it is; InvalidOid: not known yet, or there is none. */
Oid
dbops_home_database(void)
{
	Oid			database;

	if (home == NULL)
		return InvalidOid;
	LWLockAcquire(home_lock, LW_SHARED);
	database = home->database;
	LWLockRelease(home_lock);
	return database;
}

/* Take note which it is, for the launcher. A new one has everything to do at once. */
void
dbops_home_note(Oid database)
{
	if (database == dbops_home_database())
		return;
	LWLockAcquire(home_lock, LW_EXCLUSIVE);
	home->database = database;
	LWLockRelease(home_lock);
	if (OidIsValid(database))
		dbops_upkeep_request(database, NULL);
}
