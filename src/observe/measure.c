/*
 * measure.c
 *		Measuring a database a slice at a time: its files.
 *
 * First every file is looked at, as pg_database_size() does, but remembering
 * how much each relation's files hold; measure_tables.c then finds out whose
 * they are. No relation is opened or locked, so no ALTER TABLE is waited for;
 * what comes and goes meanwhile is caught by the next measurement.
 *
 * A measurement outlives transactions, in a memory context of its own. It may
 * hold a directory open between slices.
 */
#include "observe/observe.h"

#include <dirent.h>
#include <sys/stat.h>

#include "catalog/pg_tablespace_d.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/fd.h"
#include "utils/hsearch.h"
#include "utils/memutils.h"

#define FILES_AT_ONCE	64		/* between two looks at the clock */

static List *list_tablespaces(void);
static bool measure_files(Measurement *measurement, const MeasureDeadline *deadline);
static bool open_next_directory(Measurement *measurement);
static void close_directory(Measurement *measurement);
static bool measure_next_file(Measurement *measurement);
static void add_file(Measurement *measurement, const char *name, int64 bytes);
static int64 least_candidate(HTAB *files, int wanted);
static int	by_size(const void *a, const void *b);

/* Begin a measurement of the current database. */
Measurement *
dbops_measure_begin(void)
{
	MemoryContext context = AllocSetContextCreate(TopMemoryContext,
												  "dbops measurement",
												  ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(context);
	Measurement *measurement = palloc0(sizeof(Measurement));
	HASHCTL		options = {
		.keysize = sizeof(FileKey),
		.entrysize = sizeof(FileTotal),
		.hcxt = context
	};

	measurement->context = context;
	measurement->tablespaces = list_tablespaces();
	measurement->files = hash_create("dbops files", 1024, &options,
									 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	options.keysize = sizeof(Oid);
	options.entrysize = sizeof(MeasuredTable);
	measurement->candidates = hash_create("dbops measured tables", 1024, &options,
										  HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	measurement->wanted = N_MEASURED;
	measurement->least = -1;
	MemoryContextSwitchTo(caller);
	return measurement;
}

/*
 * Go on for about so many milliseconds; true, with the result, when all is
 * measured.
 */
bool
dbops_measure_continue(Measurement *measurement, double budget, Sizes *sizes)
{
	MeasureDeadline	deadline = {.budget = budget};
	bool		done;

	INSTR_TIME_SET_CURRENT(deadline.start);
	done = measure_files(measurement, &deadline) &&
		dbops_measure_relations(measurement, &deadline) &&
		dbops_measure_tables(measurement, &deadline);
	if (done)
		dbops_measure_rank(measurement, sizes);
	measurement->took += dbops_measure_elapsed(&deadline);
	if (!done)
		return false;

	sizes->took = measurement->took;
	sizes->database = measurement->bytes;
	sizes->index_fetched = measurement->index_fetched;
	sizes->index_hit = measurement->index_hit;
	return true;
}

/* Release all that a measurement holds, finished or not. */
void
dbops_measure_abandon(Measurement *measurement)
{
	close_directory(measurement);
	MemoryContextDelete(measurement->context);
}

/* List every tablespace in which the database may have a directory. */
static List *
list_tablespaces(void)
{
	List	   *oids = list_make1_oid(DEFAULTTABLESPACE_OID);
	DIR		   *links = AllocateDir("pg_tblspc");
	struct dirent *entry;

	while ((entry = ReadDir(links, "pg_tblspc")) != NULL)
	{
		Oid			oid = (Oid) strtoul(entry->d_name, NULL, 10);

		if (OidIsValid(oid))
			oids = lappend_oid(oids, oid);
	}
	FreeDir(links);
	return oids;
}

/* How many milliseconds a slice has taken so far. */
double
dbops_measure_elapsed(const MeasureDeadline *deadline)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, deadline->start);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* Look at files until none is left; false if the time is up before. */
static bool
measure_files(Measurement *measurement, const MeasureDeadline *deadline)
{
	while (measurement->least < 0)
	{
		if (measurement->directory == NULL && !open_next_directory(measurement))
		{
			measurement->least = least_candidate(measurement->files, measurement->wanted);
			break;
		}
		for (int i = 0; i < FILES_AT_ONCE && measurement->directory != NULL; i++)
			if (!measure_next_file(measurement))
				close_directory(measurement);

		CHECK_FOR_INTERRUPTS();
		if (dbops_measure_elapsed(deadline) >= deadline->budget)
			return false;
	}
	return true;
}

/* Open the database's directory in the next tablespace that has one. */
static bool
open_next_directory(Measurement *measurement)
{
	while (measurement->tablespaces != NIL)
	{
		Disk		disk = {0};

		measurement->tablespace = linitial_oid(measurement->tablespaces);
		measurement->tablespaces = list_delete_first(measurement->tablespaces);
		if (measurement->tablespace == DEFAULTTABLESPACE_OID)
			snprintf(measurement->path, MAXPGPATH, "base/%u", MyDatabaseId);
		else
			snprintf(measurement->path, MAXPGPATH, "pg_tblspc/%u/%s/%u",
					 measurement->tablespace, TABLESPACE_VERSION_DIRECTORY,
					 MyDatabaseId);

		if (dbops_disk_watched(measurement->tablespace, &disk) && disk.silent != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_IO_ERROR),
					 errmsg("tablespace %u is not measured: %s", measurement->tablespace, disk.silent),
					 errhint("See on the server what became of its mount.")));
		/* Not AllocateDir(): that would close it with the transaction. */
		measurement->directory = opendir(measurement->path);
		if (measurement->directory != NULL)
		{
			ReserveExternalFD();
			return true;
		}
		if (errno != ENOENT)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not open directory \"%s\": %m", measurement->path)));
	}
	return false;
}

static void
close_directory(Measurement *measurement)
{
	if (measurement->directory == NULL)
		return;
	closedir(measurement->directory);
	ReleaseExternalFD();
	measurement->directory = NULL;
}

/* Look at the next file of the open directory; false at its end. */
static bool
measure_next_file(Measurement *measurement)
{
	struct dirent *entry;
	struct stat status;

	errno = 0;
	entry = readdir(measurement->directory);
	if (entry == NULL)
	{
		if (errno != 0)
			ereport(ERROR,
					(errcode_for_file_access(),
					 errmsg("could not read directory \"%s\": %m", measurement->path)));
		return false;
	}
	if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
		return true;

	if (fstatat(dirfd(measurement->directory), entry->d_name, &status, 0) == 0)
		add_file(measurement, entry->d_name, status.st_size);
	else if (errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s/%s\": %m",
						measurement->path, entry->d_name)));
	return true;
}

/* Names are NUMBER, NUMBER.SEGMENT or NUMBER_FORK; all else is nobody's. */
static void
add_file(Measurement *measurement, const char *name, int64 bytes)
{
	FileKey		key = {.tablespace = measurement->tablespace};
	FileTotal   *file;
	bool		found;

	measurement->bytes += bytes;
	key.number = (Oid) strtoul(name, NULL, 10);
	if (!OidIsValid(key.number) || bytes == 0)
		return;
	file = hash_search(measurement->files, &key, HASH_ENTER, &found);
	file->bytes = found ? file->bytes + bytes : bytes;
}

/* How much the last relation holds that is large enough to be a candidate. */
static int64
least_candidate(HTAB *files, int wanted)
{
	long		n = hash_get_num_entries(files);
	int64	   *all;
	int64		least;
	HASH_SEQ_STATUS scan;
	FileTotal   *file;
	long		i = 0;

	if (n <= wanted)
		return 0;
	all = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * n);
	hash_seq_init(&scan, files);
	while ((file = hash_seq_search(&scan)) != NULL)
		all[i++] = file->bytes;
	qsort(all, n, sizeof(int64), by_size);
	least = all[wanted - 1];
	pfree(all);
	return least;
}

static int
by_size(const void *a, const void *b)
{
	int64		left = *(const int64 *) a;
	int64		right = *(const int64 *) b;

	return (left < right) - (left > right);
}
