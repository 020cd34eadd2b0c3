/*
 * disk_watch.c
 *		What the file systems say, asked by a process that may hang.
 *
 * A file system that does not answer, such as that of a dead NFS server, keeps
 * who asks it from ever going on, and no signal helps. So the launcher asks
 * none: at each tick it starts a process that does, lives for a moment, and
 * leaves the answers in shared memory. One that hangs is left alone. The next
 * one passes over the file system at which it hangs and asks the others; when
 * some hang at the same time no more are started, and what is not known for a
 * minute is not known any more.
 *
 * The launcher and the schedulers take what is said here. All others ask for
 * themselves, but for what is known to hang.
 */
#include "core/server.h"

#include "access/xlog_internal.h"
#include "catalog/pg_tablespace_d.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "storage/fd.h"
#include "storage/ipc.h"

#define EVERY			10000L	/* ms between two looks */
#define MOST_ASKERS		3		/* at the same time */
#define MOST_PLACES		256		/* that are looked at */
#define ANSWERS_WITHIN	3.0		/* s */
#define FRESH_FOR		60.0	/* s, of an answer */
#define FIRST_ANSWER	1000L	/* ms that one who may wait does so for the first answer */
#define WAIT_STEP		20L		/* ms */
#define MOST_FILES		100000	/* of WAL that are counted */

/* Where the cluster keeps something on its own. */
typedef struct Place
{
	bool		used;			/* else the entry is free */
	Oid			tablespace;		/* InvalidOid: WAL */
	int			asker;			/* pid; 0: nobody asks now */
	TimestampTz asked_at;
	TimestampTz answered_at;	/* 0: never */
	Disk		answer;			/* without names */
	int			files;			/* of WAL's: how many there are */
	int			waiting;		/* and of them to be archived */
} Place;

/* Guarded by watch_lock. */
typedef struct Watch
{
	int			askers;
	Place		places[MOST_PLACES];
} Watch;

static Watch *watch = NULL;		/* NULL: not preloaded */
static LWLock *watch_lock = NULL;
static bool leaves_it = false;	/* this process does not ask */
static bool may_wait = false;	/* but may wait for the first answer */

PGDLLEXPORT void dbops_disk_watch_main(Datum arg);

static void start_asker(void *arg);
static void leave(int code, Datum arg);
static void ask_tablespaces(void);
static void ask(Oid tablespace, const char *path);
static Place *begin_asking(Oid tablespace);
static void forget_dropped(TimestampTz before);
static Place *find(Oid tablespace, bool create);
static const Place *find_hanging(const Place *place, TimestampTz now);
static bool hangs(const Place *place, TimestampTz now);
static double seconds(TimestampTz since, TimestampTz until);
static bool read_place(Oid tablespace, Place *copy, TimestampTz *silent_since);
static void await_first(Oid tablespace);

static const DbopsTick looking = {.name = "disks", .every = EVERY, .run = start_asker};

/* Ask for the shared memory, and to be called. */
void
dbops_disk_watch_init(void)
{
	dbops_shared_request("dbops disks", sizeof(Watch), NULL, (void **) &watch, &watch_lock);
	dbops_tick_register(&looking);
}

/* Have this process ask no file system itself from now on. */
void
dbops_disk_watch_leave_it(bool wait)
{
	leaves_it = true;
	may_wait = wait;
}

/* Start one that asks; where there is no room for a process, the next tick tries again. */
static void
start_asker(void *arg)
{
	BackgroundWorker worker = {
		.bgw_flags = BGWORKER_SHMEM_ACCESS,
		.bgw_start_time = BgWorkerStart_ConsistentState,
		.bgw_restart_time = BGW_NEVER_RESTART,
		.bgw_library_name = "dbops",
		.bgw_function_name = "dbops_disk_watch_main",
		.bgw_name = "dbops disks",
		.bgw_type = "dbops disks"
	};
	int			askers;

	LWLockAcquire(watch_lock, LW_SHARED);
	askers = watch->askers;
	LWLockRelease(watch_lock);
	if (askers < MOST_ASKERS)
		(void) RegisterDynamicBackgroundWorker(&worker, NULL);
}

/* ---- who asks ---- */

/* Ask every file system that holds something of the cluster, but for those that hang. */
void
dbops_disk_watch_main(Datum arg)
{
	TimestampTz began = GetCurrentTimestamp();

	BackgroundWorkerUnblockSignals();
	LWLockAcquire(watch_lock, LW_EXCLUSIVE);
	watch->askers++;
	LWLockRelease(watch_lock);
	before_shmem_exit(leave, (Datum) 0);

	ask(InvalidOid, XLOGDIR);
	ask(DEFAULTTABLESPACE_OID, "base");
	ask(GLOBALTABLESPACE_OID, "global");
	ask_tablespaces();
	forget_dropped(began);
}

/* Ended in the middle of a question, it hangs no more. */
static void
leave(int code, Datum arg)
{
	LWLockAcquire(watch_lock, LW_EXCLUSIVE);
	watch->askers--;
	for (int i = 0; i < MOST_PLACES; i++)
		if (watch->places[i].asker == MyProcPid)
			watch->places[i].asker = 0;
	LWLockRelease(watch_lock);
}

static void
ask_tablespaces(void)
{
	DIR		   *links = AllocateDir("pg_tblspc");
	struct dirent *entry;

	while ((entry = ReadDir(links, "pg_tblspc")) != NULL)
	{
		Oid			tablespace = (Oid) strtoul(entry->d_name, NULL, 10);

		if (OidIsValid(tablespace))
			ask(tablespace, psprintf("pg_tblspc/%s", entry->d_name));
	}
	FreeDir(links);
}

/* Ask one, which may take for ever, and leave what it says. */
static void
ask(Oid tablespace, const char *path)
{
	Place	   *place = begin_asking(tablespace);
	Disk		answer = {0};
	int			files = 0;
	int			waiting = 0;

	if (place == NULL)
		return;
	dbops_disk_ask(path, &answer);
	if (!OidIsValid(tablespace))
	{
		files = dbops_wal_files(MOST_FILES);
		waiting = dbops_archive_on() ? dbops_archive_waiting(MOST_FILES) : 0;
	}
	LWLockAcquire(watch_lock, LW_EXCLUSIVE);
	place->asker = 0;
	place->answered_at = GetCurrentTimestamp();
	place->answer = answer;
	place->files = files;
	place->waiting = waiting;
	LWLockRelease(watch_lock);
}

/* NULL: somebody asks it, or what is on the same device, in vain; or there is no room. */
static Place *
begin_asking(Oid tablespace)
{
	TimestampTz now = GetCurrentTimestamp();
	Place	   *place;

	LWLockAcquire(watch_lock, LW_EXCLUSIVE);
	place = find(tablespace, true);
	if (place != NULL && (place->asker != 0 || find_hanging(place, now) != NULL))
		place = NULL;
	if (place != NULL)
	{
		place->asker = MyProcPid;
		place->asked_at = now;
	}
	LWLockRelease(watch_lock);
	return place;
}

/* Tablespaces that were not met this time are gone. */
static void
forget_dropped(TimestampTz before)
{
	LWLockAcquire(watch_lock, LW_EXCLUSIVE);
	for (int i = 0; i < MOST_PLACES; i++)
	{
		Place	   *place = &watch->places[i];

		if (place->used && place->asker == 0 && place->asked_at < before && find_hanging(place, before) == NULL)
			place->used = false;
	}
	LWLockRelease(watch_lock);
}

/* ---- what is known; the lock is held ---- */

/* NULL: it is not known, or there is no room. */
static Place *
find(Oid tablespace, bool create)
{
	Place	   *unused = NULL;

	for (int i = 0; i < MOST_PLACES; i++)
	{
		Place	   *place = &watch->places[i];

		if (place->used && place->tablespace == tablespace)
			return place;
		if (!place->used && unused == NULL)
			unused = place;
	}
	if (!create || unused == NULL)
		return NULL;
	*unused = (Place) {.used = true, .tablespace = tablespace};
	return unused;
}

/* The place at which one hangs who has asked it, or another one on its device; NULL: nobody does. */
static const Place *
find_hanging(const Place *place, TimestampTz now)
{
	if (hangs(place, now))
		return place;
	for (int i = 0; i < MOST_PLACES; i++)
	{
		const Place *other = &watch->places[i];

		if (other->used && place->answer.total > 0 && other->answer.total > 0 &&
			other->answer.device == place->answer.device && hangs(other, now))
			return other;
	}
	return NULL;
}

static bool
hangs(const Place *place, TimestampTz now)
{
	return place->asker != 0 && seconds(place->asked_at, now) > ANSWERS_WITHIN;
}

static double
seconds(TimestampTz since, TimestampTz until)
{
	return (until - since) / (double) USECS_PER_SEC;
}

/* ---- for others ---- */

/*
 * Say what is known of a place, if this process is not to ask it: in disk are
 * its figures, or why there are none. False: it is to ask.
 */
bool
dbops_disk_watched(Oid tablespace, Disk *disk)
{
	TimestampTz now = GetCurrentTimestamp();
	TimestampTz silent_since;
	Place		place;
	bool		known;

	if (watch == NULL)
		return false;
	known = read_place(tablespace, &place, &silent_since);
	if (silent_since == 0 && !leaves_it)
		return false;
	if (!known && may_wait && silent_since == 0)
	{
		await_first(tablespace);
		known = read_place(tablespace, &place, &silent_since);
	}
	if (silent_since != 0)
		disk->silent = psprintf("its file system has not answered for %s", dbops_figure_duration(seconds(silent_since, now)));
	else if (!known)
		disk->silent = "its file system has not been asked yet";
	else if (seconds(place.answered_at, now) > FRESH_FOR)
		disk->silent = psprintf("its file system was last asked %s ago, and since then there was no process to ask it",
								dbops_figure_duration(seconds(place.answered_at, now)));
	else
		*disk = place.answer;
	return true;
}

/* Say what files there are of WAL, if this process is not to look: -1 where it is not known. False: it is to look. */
bool
dbops_disk_watched_wal(int *files, int *waiting)
{
	Place		place;
	TimestampTz silent_since;
	bool		known;

	if (watch == NULL || !leaves_it)
		return false;
	known = read_place(InvalidOid, &place, &silent_since) && silent_since == 0 &&
		seconds(place.answered_at, GetCurrentTimestamp()) <= FRESH_FOR;
	*files = known ? place.files : -1;
	*waiting = known ? place.waiting : -1;
	return true;
}

/* Copy a place that has answered; false: it never did. silent_since: 0 where nobody hangs at it. */
static bool
read_place(Oid tablespace, Place *copy, TimestampTz *silent_since)
{
	const Place *place;
	const Place *hanging = NULL;
	bool		known;

	LWLockAcquire(watch_lock, LW_SHARED);
	place = find(tablespace, false);
	known = (place != NULL && place->answered_at != 0);
	if (place != NULL)
		hanging = find_hanging(place, GetCurrentTimestamp());
	*silent_since = (hanging != NULL) ? hanging->asked_at : 0;
	if (known)
		*copy = *place;
	LWLockRelease(watch_lock);
	return known;
}

/* The launcher has just started, and so has who asks. */
static void
await_first(Oid tablespace)
{
	Place		place;
	TimestampTz silent_since;

	for (long waited = 0; waited < FIRST_ANSWER; waited += WAIT_STEP)
	{
		if (read_place(tablespace, &place, &silent_since) || silent_since != 0)
			return;
		dbops_clock_wait(WAIT_STEP);
	}
	may_wait = false;
}
