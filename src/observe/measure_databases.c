/*
 * measure_databases.c
 *		What each database of the server holds, told from its directories.
 *
 * Whose the files of a database are, only its catalogs tell; how much they hold
 * can be seen from anywhere. So the home database looks at the directories of
 * all of them, those without dbops and the templates too, in short slices with
 * rests between them. Only a look at all of them is published: a sum of some
 * would be none.
 *
 * What is known is shown by samples, again and again, since a database gets a
 * place for its samples when somebody comes to it.
 */
#include "observe/size_history.h"

#include <sys/stat.h>

#include "catalog/pg_tablespace_d.h"
#include "common/relpath.h"
#include "observe/metric.h"
#include "storage/fd.h"
#include "utils/memutils.h"

#define MOST_DATABASES	4096	/* whose sizes are kept; the sum is of all */
#define MEASURE_EVERY	600.0	/* s */
#define SLICE			20.0	/* ms */
#define REST			20		/* ms, between two slices */
#define MOST_TIME		30000.0	/* ms: what takes longer is left */
#define FILES_AT_ONCE	64		/* between two looks at the clock */

typedef struct DatabaseSizes
{
	TimestampTz tried_at;		/* 0: not yet */
	TimestampTz measured_at;	/* likewise */
	int64		sum;			/* bytes */
	int			n;
	DatabaseSize all[MOST_DATABASES];
} DatabaseSizes;

/* A look at all directories. */
typedef struct Tour
{
	MeasureDeadline whole;
	MeasureDeadline slice;
	HTAB	   *databases;		/* of DatabaseSize */
	int			files;			/* since the last look at the clock */
} Tour;

static DatabaseSizes *shared_sizes = NULL;	/* or NULL */
static LWLock *shared_sizes_lock = NULL;
static DatabaseSizes *own_sizes = NULL;

static void keep_databases(void *arg);
static bool measure_all(Tour *tour);
static bool measure_tablespace(Tour *tour, Oid tablespace, const char *path);
static bool measure_database(Tour *tour, Oid database, const char *path);
static bool may_go_on(Tour *tour);
static void note_try(void);
static void publish(HTAB *databases);
static void supply(void);
static DatabaseSizes *lock_sizes(LWLockMode mode);
static void unlock_sizes(void);

static const DbopsUpkeep keeping_databases = {
	.name = "database_sizes",.every = 60000,.elsewhere = 0,.run = keep_databases
};

/* Ask for the shared memory, and to be called. */
void
dbops_database_sizes_init(void)
{
	dbops_shared_request("dbops database sizes", sizeof(DatabaseSizes), NULL,
						 (void **) &shared_sizes, &shared_sizes_lock);
	dbops_upkeep_register(&keeping_databases);
}

/* List what was measured; List of DatabaseSize *. */
List *
dbops_database_sizes_list(void)
{
	const DatabaseSizes *sizes = lock_sizes(LW_SHARED);
	List	   *list = NIL;

	for (int i = 0; i < sizes->n; i++)
	{
		DatabaseSize *size = palloc(sizeof(DatabaseSize));

		*size = sizes->all[i];
		list = lappend(list, size);
	}
	unlock_sizes();
	return list;
}

/* What a database holds; false: it was not there yet, or nothing was measured. */
bool
dbops_database_size_find(Oid database, DatabaseSize *size)
{
	const DatabaseSizes *sizes = lock_sizes(LW_SHARED);
	bool		found = false;

	for (int i = 0; i < sizes->n && !found; i++)
		if (sizes->all[i].database == database)
		{
			*size = sizes->all[i];
			found = true;
		}
	unlock_sizes();
	return found;
}

/* Measure them now. */
void
dbops_database_sizes_measure(void)
{
	Tour		tour = {.whole.budget = MOST_TIME,.slice.budget = SLICE};
	HASHCTL		options = {.keysize = sizeof(Oid),.entrysize = sizeof(DatabaseSize),.hcxt = CurrentMemoryContext};

	tour.databases = hash_create("dbops database sizes", 256, &options, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	INSTR_TIME_SET_CURRENT(tour.whole.start);
	INSTR_TIME_SET_CURRENT(tour.slice.start);
	note_try();
	if (measure_all(&tour))
		publish(tour.databases);
	hash_destroy(tour.databases);
	supply();
}

static void
keep_databases(void *arg)
{
	double		age = dbops_health_age(lock_sizes(LW_SHARED)->tried_at);

	unlock_sizes();
	if (!(age >= 0 && age < MEASURE_EVERY))
		dbops_database_sizes_measure();
	else
		supply();
}

/* False: it has taken too long, or a file system does not answer. */
static bool
measure_all(Tour *tour)
{
	DIR		   *links;
	struct dirent *link;
	bool		whole = measure_tablespace(tour, DEFAULTTABLESPACE_OID, "base");

	links = AllocateDir("pg_tblspc");
	while (whole && (link = ReadDir(links, "pg_tblspc")) != NULL)
	{
		Oid			tablespace = (Oid) strtoul(link->d_name, NULL, 10);

		if (OidIsValid(tablespace))
			whole = measure_tablespace(tour, tablespace, psprintf("pg_tblspc/%s/%s", link->d_name, TABLESPACE_VERSION_DIRECTORY));
	}
	FreeDir(links);
	return whole;
}

/* In a tablespace each database has a directory; it may be gone by now. */
static bool
measure_tablespace(Tour *tour, Oid tablespace, const char *path)
{
	Disk		disk = {0};
	DIR		   *directory;
	struct dirent *entry;
	bool		whole = true;

	if (dbops_disk_watched(tablespace, &disk) && disk.silent != NULL)
		return false;
	directory = AllocateDir(path);
	if (directory == NULL && errno == ENOENT)
		return true;
	while (whole && (entry = ReadDir(directory, path)) != NULL)
	{
		Oid			database = (Oid) strtoul(entry->d_name, NULL, 10);

		if (OidIsValid(database))
			whole = measure_database(tour, database, psprintf("%s/%s", path, entry->d_name));
	}
	FreeDir(directory);
	return whole;
}

static bool
measure_database(Tour *tour, Oid database, const char *path)
{
	DIR		   *directory = AllocateDir(path);
	struct dirent *entry;
	DatabaseSize *size;
	bool		found;
	bool		whole = true;

	if (directory == NULL && errno == ENOENT)
		return true;
	size = hash_search(tour->databases, &database, HASH_ENTER, &found);
	if (!found)
		size->bytes = 0;
	while (whole && (entry = ReadDir(directory, path)) != NULL)
	{
		struct stat status;

		if (fstatat(dirfd(directory), entry->d_name, &status, 0) == 0 && S_ISREG(status.st_mode))
			size->bytes += status.st_size;
		whole = may_go_on(tour);
	}
	FreeDir(directory);
	return whole;
}

/* Rest when a slice is over. */
static bool
may_go_on(Tour *tour)
{
	if (++tour->files % FILES_AT_ONCE != 0)
		return true;
	CHECK_FOR_INTERRUPTS();
	if (dbops_measure_elapsed(&tour->slice) >= tour->slice.budget)
	{
		dbops_clock_wait(REST);
		INSTR_TIME_SET_CURRENT(tour->slice.start);
	}
	return dbops_measure_elapsed(&tour->whole) < tour->whole.budget;
}

/* However it ends, the next one is later. */
static void
note_try(void)
{
	lock_sizes(LW_EXCLUSIVE)->tried_at = dbops_clock_now();
	unlock_sizes();
}

static void
publish(HTAB *databases)
{
	TimestampTz now = dbops_clock_now();
	DatabaseSizes *sizes = lock_sizes(LW_EXCLUSIVE);
	HASH_SEQ_STATUS scan;
	DatabaseSize *size;

	sizes->measured_at = now;
	sizes->sum = 0;
	sizes->n = 0;
	hash_seq_init(&scan, databases);
	while ((size = hash_seq_search(&scan)) != NULL)
	{
		sizes->sum += size->bytes;
		size->measured_at = now;
		if (sizes->n < MOST_DATABASES)
			sizes->all[sizes->n++] = *size;
	}
	unlock_sizes();
}

/* Have samples show them. */
static void
supply(void)
{
	const DatabaseSizes *sizes = lock_sizes(LW_SHARED);
	TimestampTz at = sizes->measured_at;
	double		sum = sizes->sum;
	ListCell   *cell;

	unlock_sizes();
	if (at == 0)
		return;
	dbops_metric_supply(InvalidOid, CM_DATABASES_BYTES, sum, at);
	foreach(cell, dbops_sizes_list())
	{
		const DatabaseSize *size = lfirst(cell);

		dbops_metric_supply(size->database, DM_SIZE, size->bytes, size->measured_at);
	}
}

/* A session whose time a test has set has its own. */
static DatabaseSizes *
lock_sizes(LWLockMode mode)
{
	if (shared_sizes != NULL && !dbops_ring_is_own())
	{
		LWLockAcquire(shared_sizes_lock, mode);
		return shared_sizes;
	}
	if (own_sizes == NULL)
		own_sizes = MemoryContextAllocZero(TopMemoryContext, sizeof(DatabaseSizes));
	return own_sizes;
}

static void
unlock_sizes(void)
{
	if (shared_sizes != NULL && !dbops_ring_is_own())
		LWLockRelease(shared_sizes_lock);
}
