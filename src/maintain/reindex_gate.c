/*
 * reindex_gate.c
 *		Whether the rebuild of an index can be begun now.
 *
 * A concurrent rebuild that is cut off has worked in vain and leaves an invalid
 * index behind, so what can be known before is asked before: whether there is
 * room for the new index, for sorting and for the WAL of it, whether a slot
 * would be lost, whether the window is long enough, and whether somebody has the
 * table, or a snapshot, whom the rebuild would have to wait for. The gates that
 * hold for all jobs are the engine's.
 *
 * Nothing here waits for a lock, but for the short time in which autovacuum
 * gives way, where that is asked for.
 */
#include "maintain/reindex.h"

#include <math.h>

#include "core/server.h"

#include "catalog/pg_type.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/fd.h"
#include "storage/lmgr.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define ROOM_FACTOR		1.3		/* of what is expected to be needed */
#define OLD_TRANSACTION (5 * SECS_PER_MINUTE)	/* is likely to outlast what a rebuild waits */
#define MOST_TABLESPACES 64

/* Bytes that are needed, by file system. */
typedef struct Need
{
	const Disk *disk;
	double		bytes;
} Need;

static const char *window_obstacle(const ReindexVerdict *verdict, const char *window, const char *zone);
static const char *disk_obstacle(const ReindexIndex *index, double bytes);
static void add_need(List **needs, const Disks *disks, const char *tablespace, double bytes);
static const Disk *find_disk(const Disks *disks, const char *tablespace);
static const char *spill_tablespace(void);
static const char *tablespace_name(Oid tablespace);
static const char *slot_obstacle(const ReindexIndex *index, double bytes);
static const char *snapshot_obstacle(void);
static const char *prepared_obstacle(Oid table);
static void wait_for_table(void *arg);

/* Why a rebuild cannot be begun now; NULL: it can. What passes by itself is asked last. */
const char *
dbops_reindex_obstacle(const ReindexIndex *index, const ReindexVerdict *verdict,
					   const char *window, const char *zone, bool *passes)
{
	double		bytes = verdict->measured ? verdict->bloat.rebuilt_bytes : index->bytes;
	const char *reason;

	*passes = false;
	if ((reason = window_obstacle(verdict, window, zone)) != NULL ||
		(reason = disk_obstacle(index, bytes)) != NULL ||
		(reason = slot_obstacle(index, bytes)) != NULL)
		return reason;
	*passes = true;
	if ((reason = snapshot_obstacle()) != NULL)
		return reason;
	return prepared_obstacle(index->table);
}

/* Does it end before the window does? Who has it done outside of the window has decided that. */
static const char *
window_obstacle(const ReindexVerdict *verdict, const char *window, const char *zone)
{
	WindowTimes times;

	dbops_window_times(window, zone, &times);
	if (verdict->duration / 1000.0 <= times.left)
		return NULL;
	return psprintf("it would take about %s, and the window %s closes in %s",
					dbops_figure_duration(verdict->duration / 1000.0), window, dbops_figure_duration(times.left));
}

/* Is there room for the new index beside the old one, for its sorting, and for its WAL? */
static const char *
disk_obstacle(const ReindexIndex *index, double bytes)
{
	Disks		disks = {0};
	List	   *needs = NIL;
	ListCell   *cell;

	dbops_disks_read(&disks);
	add_need(&needs, &disks, tablespace_name(index->tablespace), bytes);
	if (bytes > maintenance_work_mem * 1024.0)
		add_need(&needs, &disks, spill_tablespace(), bytes);
	if (index->logged)
		add_need(&needs, &disks, NULL, bytes);
	foreach(cell, needs)
	{
		const Need *need = lfirst(cell);

		if (need->bytes * ROOM_FACTOR > need->disk->free)
			return psprintf("%s has %s free, and the new index, its sorting and its WAL may need %s",
							need->disk->name, dbops_figure_bytes(need->disk->free),
							dbops_figure_bytes(need->bytes * ROOM_FACTOR));
	}
	return NULL;
}

/* Add to what is needed of the file system of a tablespace, or of WAL (NULL). One that does not tell is not judged. */
static void
add_need(List **needs, const Disks *disks, const char *tablespace, double bytes)
{
	const Disk *disk = find_disk(disks, tablespace);
	Need	   *need;
	ListCell   *cell;

	if (disk == NULL || disk->total == 0)
		return;
	foreach(cell, *needs)
	{
		need = lfirst(cell);
		if (need->disk->device == disk->device)
		{
			need->bytes += bytes;
			return;
		}
	}
	need = palloc(sizeof(Need));
	*need = (Need) {disk, bytes};
	*needs = lappend(*needs, need);
}

static const Disk *
find_disk(const Disks *disks, const char *tablespace)
{
	ListCell   *cell;

	foreach(cell, disks->list)
	{
		const Disk *disk = lfirst(cell);

		if (tablespace == NULL ? disk->tablespace == NULL :
			disk->tablespace != NULL && strcmp(disk->tablespace, tablespace) == 0)
			return disk;
	}
	return NULL;
}

/* Where temporary files go first; they are spread over several if there are. */
static const char *
spill_tablespace(void)
{
	Oid			tablespaces[MOST_TABLESPACES];
	int			n;

	PrepareTempTablespaces();
	n = GetTempTablespaces(tablespaces, MOST_TABLESPACES);
	return tablespace_name((n > 0 && OidIsValid(tablespaces[0])) ? tablespaces[0] : MyDatabaseTableSpace);
}

static const char *
tablespace_name(Oid tablespace)
{
	const char *name = dbops_tablespace_name(tablespace);

	return (name != NULL) ? name : "";
}

/* Would its WAL take a slot beyond what the server keeps for it? */
static const char *
slot_obstacle(const ReindexIndex *index, double bytes)
{
	DbopsParam	params[] = {dbops_param_int8((int64) (bytes * ROOM_FACTOR))};
	Datum		found;

	if (!index->logged ||
		!dbops_query_value("SELECT format('replication slot %s would be lost: it is kept for %s more of WAL, and the rebuild may write %s',"
						   " quote_ident(slot_name), pg_size_pretty(greatest(safe_wal_size, 0)), pg_size_pretty($1))"
						   " FROM pg_replication_slots WHERE safe_wal_size < $1 ORDER BY safe_wal_size LIMIT 1",
						   lengthof(params), params, TEXTOID, &found))
		return NULL;
	return TextDatumGetCString(found);
}

/* Is there a transaction that it would probably wait for in vain? Slots, standbys and what is prepared elsewhere it does not wait for. */
static const char *
snapshot_obstacle(void)
{
	HorizonHolder oldest;

	dbops_horizon_oldest_session(dbops_gate_ignores, &oldest);
	if (oldest.name == NULL || oldest.age < OLD_TRANSACTION)
		return NULL;
	return psprintf("it would wait for %s, whose snapshot or transaction is %s old",
					oldest.name, dbops_figure_duration(oldest.age));
}

/* Has a prepared transaction the table, if only to read it? It may stay for ever, and the old index is not dropped before. */
static const char *
prepared_obstacle(Oid table)
{
	DbopsParam	params[] = {dbops_param_oid(table)};
	Datum		found;

	if (!dbops_query_value("SELECT format('the prepared transaction %L has its table, since %s', p.gid, p.prepared::timestamptz(0))"
						   " FROM pg_locks l JOIN pg_locks x ON x.virtualtransaction = l.virtualtransaction AND x.pid IS NULL AND x.locktype = 'transactionid'"
						   " JOIN pg_prepared_xacts p ON p.transaction = x.transactionid"
						   " WHERE l.pid IS NULL AND l.locktype = 'relation' AND l.relation = $1"
						   " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database()) LIMIT 1",
						   lengthof(params), params, TEXTOID, &found))
		return NULL;
	return TextDatumGetCString(found);
}

/* Who has the table so that no rebuild can begin; NULL: nobody. waits: as long as autovacuum needs to give way. */
const char *
dbops_reindex_lock_obstacle(Oid table, bool waits)
{
	ErrorData  *error;
	LOCKTAG		tag;
	char	   *blocker;
	int			nest_level = dbops_begin_bounded_wait(waits ? DeadlockTimeout + 1000 : 1);
	bool		free = dbops_attempt(wait_for_table, &table, &error);

	AtEOXact_GUC(false, nest_level);
	if (free)
		return NULL;
	if (error->sqlerrcode != ERRCODE_LOCK_NOT_AVAILABLE)
		ReThrowError(error);
	SET_LOCKTAG_RELATION(tag, MyDatabaseId, table);
	blocker = dbops_blocker(&tag, ShareUpdateExclusiveLock);
	return psprintf("another session has locked its table%s%s", blocker != NULL ? ": " : "", blocker != NULL ? blocker : "");
}

/* The lock goes with the transaction; it keeps nobody from reading or writing, nor does who waits for it. */
static void
wait_for_table(void *arg)
{
	LockRelationOid(*(Oid *) arg, ShareUpdateExclusiveLock);
}
