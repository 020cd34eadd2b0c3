/*
 * measure.c
 *		Measuring a database a slice at a time: its files, then whose they are.
 *
 * First every file is looked at, as pg_database_size() does, but remembering
 * how much each relation's files hold. Then one pass over pg_class finds the
 * tables that the largest files belong to, and sums up the reads of indexes.
 * No relation is opened or locked, so no ALTER TABLE is waited for; what comes
 * and goes meanwhile is caught by the next measurement.
 *
 * A measurement outlives transactions, in a memory context of its own. It may
 * hold a directory open between slices.
 */
#include "observe/observe.h"

#include <dirent.h>
#include <math.h>
#include <sys/stat.h>

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "catalog/pg_tablespace.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "storage/bufmgr.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/pgstat_internal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define N_CANDIDATES	256		/* relations whose tables are ranked */
#define FILES_AT_ONCE	64		/* between two looks at the clock */
#define BLOCKS_AT_ONCE	32

/* Which relation's files: numbers are unique in a tablespace only. */
typedef struct FileKey
{
	Oid			tablespace;
	Oid			number;
} FileKey;

typedef struct FileTotal
{
	FileKey		key;
	int64		bytes;			/* of all segments and forks */
} FileTotal;

struct Measurement
{
	MemoryContext context;
	double		took;			/* ms, in all slices */

	List	   *tablespaces;	/* oids, the directories yet to be read */
	Oid			tablespace;		/* whose directory is open */
	DIR		   *directory;
	char		path[MAXPGPATH];
	int64		bytes;
	HTAB	   *files;			/* of FileTotal, the empty ones left out */

	int64		least;			/* bytes of the last candidate; -1: files first */
	BlockNumber next_block;		/* of pg_class */
	List	   *candidates;		/* oids of tables */
	int64		index_fetched;
	int64		index_hit;
};

typedef struct Deadline
{
	instr_time	start;
	double		budget;			/* ms */
} Deadline;

static List *list_tablespaces(void);
static double elapsed(const Deadline *deadline);
static bool measure_files(Measurement *measurement, const Deadline *deadline);
static bool open_next_directory(Measurement *measurement);
static void close_directory(Measurement *measurement);
static bool measure_next_file(Measurement *measurement);
static void add_file(Measurement *measurement, const char *name, int64 bytes);
static int64 least_candidate(HTAB *files);
static int	by_size(const void *a, const void *b);
static bool measure_relations(Measurement *measurement, const Deadline *deadline);
static void scan_blocks(Measurement *measurement, Relation catalog,
						Snapshot snapshot, BlockNumber n);
static void take_relation(Measurement *measurement, Form_pg_class form);
static void add_index_blocks(Measurement *measurement, Oid index);
static Oid	owning_table(Oid relid, char relkind, const char *name);
static Oid	owner_of_toast(Oid relid, const char *name);
static void rank_tables(Measurement *measurement, Sizes *sizes);
static int64 table_bytes(Measurement *measurement, Oid relid);
static int64 indexes_bytes(Measurement *measurement, Oid relid);
static int64 relation_bytes(Measurement *measurement, Oid relid, Oid *toast);
static int64 file_bytes(Measurement *measurement, Form_pg_class form);

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
	Deadline	deadline = {.budget = budget};
	bool		done;

	INSTR_TIME_SET_CURRENT(deadline.start);
	done = measure_files(measurement, &deadline) &&
		measure_relations(measurement, &deadline);
	if (done)
		rank_tables(measurement, sizes);
	measurement->took += elapsed(&deadline);
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

static double
elapsed(const Deadline *deadline)
{
	instr_time	now;

	INSTR_TIME_SET_CURRENT(now);
	INSTR_TIME_SUBTRACT(now, deadline->start);
	return INSTR_TIME_GET_MILLISEC(now);
}

/* Look at files until none is left; false if the time is up before. */
static bool
measure_files(Measurement *measurement, const Deadline *deadline)
{
	while (measurement->least < 0)
	{
		if (measurement->directory == NULL && !open_next_directory(measurement))
		{
			measurement->least = least_candidate(measurement->files);
			break;
		}
		for (int i = 0; i < FILES_AT_ONCE && measurement->directory != NULL; i++)
			if (!measure_next_file(measurement))
				close_directory(measurement);

		CHECK_FOR_INTERRUPTS();
		if (elapsed(deadline) >= deadline->budget)
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
		measurement->tablespace = linitial_oid(measurement->tablespaces);
		measurement->tablespaces = list_delete_first(measurement->tablespaces);
		if (measurement->tablespace == DEFAULTTABLESPACE_OID)
			snprintf(measurement->path, MAXPGPATH, "base/%u", MyDatabaseId);
		else
			snprintf(measurement->path, MAXPGPATH, "pg_tblspc/%u/%s/%u",
					 measurement->tablespace, TABLESPACE_VERSION_DIRECTORY,
					 MyDatabaseId);

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
least_candidate(HTAB *files)
{
	long		n = hash_get_num_entries(files);
	int64	   *all;
	int64		least;
	HASH_SEQ_STATUS scan;
	FileTotal   *file;
	long		i = 0;

	if (n <= N_CANDIDATES)
		return 0;
	all = MemoryContextAllocHuge(CurrentMemoryContext, sizeof(int64) * n);
	hash_seq_init(&scan, files);
	while ((file = hash_seq_search(&scan)) != NULL)
		all[i++] = file->bytes;
	qsort(all, n, sizeof(int64), by_size);
	least = all[N_CANDIDATES - 1];
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

/* Go through pg_class; false if the time is up before its end. */
static bool
measure_relations(Measurement *measurement, const Deadline *deadline)
{
	Relation	catalog;
	Snapshot	snapshot;
	BlockNumber end;

	if (!ConditionalLockRelationOid(RelationRelationId, AccessShareLock))
		return false;
	catalog = table_open(RelationRelationId, NoLock);
	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationRelationId));
	end = RelationGetNumberOfBlocks(catalog);
	while (measurement->next_block < end && elapsed(deadline) < deadline->budget)
	{
		CHECK_FOR_INTERRUPTS();
		scan_blocks(measurement, catalog, snapshot,
					Min(BLOCKS_AT_ONCE, end - measurement->next_block));
	}
	UnregisterSnapshot(snapshot);
	table_close(catalog, AccessShareLock);
	return measurement->next_block >= end;
}

static void
scan_blocks(Measurement *measurement, Relation catalog, Snapshot snapshot,
			BlockNumber n)
{
	TableScanDesc scan = table_beginscan_strat(catalog, snapshot, 0, NULL,
											   true, false);
	HeapTuple	row;

	heap_setscanlimits(scan, measurement->next_block, n);
	while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL)
		take_relation(measurement, (Form_pg_class) GETSTRUCT(row));
	table_endscan(scan);
	measurement->next_block += n;
}

/* Users' relations: count what indexes read, keep tables with large files. */
static void
take_relation(Measurement *measurement, Form_pg_class form)
{
	MemoryContext caller;
	int64		bytes;
	Oid			table;

	if (form->oid < FirstNormalObjectId || form->relpersistence == RELPERSISTENCE_TEMP)
		return;
	if (form->relkind == RELKIND_INDEX && !IsToastNamespace(form->relnamespace))
		add_index_blocks(measurement, form->oid);

	bytes = file_bytes(measurement, form);
	if (bytes == 0 || bytes < measurement->least)
		return;
	/* Thousands of tables may be of just that size: a few will do. */
	if (bytes == measurement->least &&
		list_length(measurement->candidates) >= N_CANDIDATES * 2)
		return;
	table = owning_table(form->oid, form->relkind, NameStr(form->relname));
	if (!OidIsValid(table))
		return;
	caller = MemoryContextSwitchTo(measurement->context);
	measurement->candidates = list_append_unique_oid(measurement->candidates, table);
	MemoryContextSwitchTo(caller);
}

/*
 * Add how often an index's blocks were read and found. Looked up where the
 * statistics are kept: fetched in the usual way, those of every index would
 * stay in this session's memory.
 */
static void
add_index_blocks(Measurement *measurement, Oid index)
{
	PgStat_HashKey key = {PGSTAT_KIND_RELATION, MyDatabaseId, index};
	PgStatShared_HashEntry *entry = dshash_find(pgStatLocal.shared_hash, &key, false);

	if (entry == NULL)
		return;
	if (!entry->dropped)
	{
		PgStatShared_Relation *shared = dsa_get_address(pgStatLocal.dsa, entry->body);

		LWLockAcquire(&shared->header.lock, LW_SHARED);
		measurement->index_fetched += shared->stats.blocks_fetched;
		measurement->index_hit += shared->stats.blocks_hit;
		LWLockRelease(&shared->header.lock);
	}
	dshash_release_lock(pgStatLocal.shared_hash, entry);
}

/* The table that a relation belongs to, itself perhaps; or InvalidOid. */
static Oid
owning_table(Oid relid, char relkind, const char *name)
{
	Oid			table;

	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
			return relid;
		case RELKIND_TOASTVALUE:
			return owner_of_toast(relid, name);
		case RELKIND_INDEX:
			table = IndexGetRelation(relid, true);
			if (get_rel_relkind(table) == RELKIND_TOASTVALUE)
				return owner_of_toast(table, get_rel_name(table));
			return table;
		default:
			return InvalidOid;
	}
}

/* A TOAST table's name says whose it is; that table must say so too. */
static Oid
owner_of_toast(Oid relid, const char *name)
{
	Oid			table = InvalidOid;
	HeapTuple	row;

	if (name == NULL || sscanf(name, "pg_toast_%u", &table) != 1)
		return InvalidOid;
	row = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (!HeapTupleIsValid(row))
		return InvalidOid;
	if (((Form_pg_class) GETSTRUCT(row))->reltoastrelid != relid)
		table = InvalidOid;
	ReleaseSysCache(row);
	return table;
}

/* Rank the candidates by all that they hold. */
static void
rank_tables(Measurement *measurement, Sizes *sizes)
{
	ListCell   *cell;

	sizes->n_largest = 0;
	foreach(cell, measurement->candidates)
	{
		Oid			relid = lfirst_oid(cell);
		int64		bytes = table_bytes(measurement, relid);
		int			place = Min(sizes->n_largest, N_LARGEST - 1);

		if (sizes->n_largest == N_LARGEST && sizes->largest[place].bytes >= bytes)
			continue;
		sizes->n_largest = place + 1;
		for (; place > 0 && sizes->largest[place - 1].bytes < bytes; place--)
			sizes->largest[place] = sizes->largest[place - 1];
		sizes->largest[place].relid = relid;
		sizes->largest[place].bytes = bytes;
	}
}

/* Sum up a table, its indexes, its TOAST table and that one's index. */
static int64
table_bytes(Measurement *measurement, Oid relid)
{
	Oid			toast;
	int64		bytes = relation_bytes(measurement, relid, &toast) +
		indexes_bytes(measurement, relid);

	if (OidIsValid(toast))
		bytes += relation_bytes(measurement, toast, NULL) +
			indexes_bytes(measurement, toast);
	return bytes;
}

static int64
indexes_bytes(Measurement *measurement, Oid relid)
{
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	int64		bytes = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
		bytes += relation_bytes(measurement,
								((Form_pg_index) GETSTRUCT(row))->indexrelid, NULL);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return bytes;
}

static int64
relation_bytes(Measurement *measurement, Oid relid, Oid *toast)
{
	HeapTuple	row = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int64		bytes = 0;

	if (toast != NULL)
		*toast = InvalidOid;
	if (!HeapTupleIsValid(row))
		return 0;
	bytes = file_bytes(measurement, (Form_pg_class) GETSTRUCT(row));
	if (toast != NULL)
		*toast = ((Form_pg_class) GETSTRUCT(row))->reltoastrelid;
	ReleaseSysCache(row);
	return bytes;
}

static int64
file_bytes(Measurement *measurement, Form_pg_class form)
{
	FileKey		key = {
		.tablespace = OidIsValid(form->reltablespace) ? form->reltablespace : MyDatabaseTableSpace,
		.number = form->relfilenode
	};
	FileTotal   *file = hash_search(measurement->files, &key, HASH_FIND, NULL);

	return (file == NULL) ? 0 : file->bytes;
}
