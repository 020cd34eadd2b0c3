/*
 * collect_databases.c
 *		The counters of every database, and what they are together.
 *
 * The server keeps counters for each database and none for the cluster. Their
 * plain sum would fall when one database is dropped or its statistics are
 * reset; so it is remembered how far each was read, and only what came since is
 * added. That memory is shared, under a lock that is held while they are read:
 * it is as good in the launcher as in a session that samples.
 *
 * A database where nobody is changes little: when there are more than can be
 * read in a tick, those are read in turn.
 */
#include "observe/metric.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "storage/lmgr.h"
#include "utils/memutils.h"
#include "utils/snapmgr.h"

#define KNOWN_DATABASES	4096	/* those beyond are not counted */
#define READ_IN_TURN	128		/* databases where nobody is, a tick */
#define LOOK_AROUND		(60 * USECS_PER_SEC)	/* between two looks at pg_database */

/* How far a database was read. */
typedef struct Known
{
	Oid			oid;			/* InvalidOid: relations that all databases share */
	bool		read;			/* at least once */
	bool		ring;			/* it had one when it was read last */
	TimestampTz reset;
	int64		counters[N_COUNTED];
	int64		read_time;		/* us, of its blocks */
} Known;

typedef struct Databases
{
	TimestampTz looked_around;	/* 0: never */
	int			turn;			/* who is next of those where nobody is */
	int			n;
	int64		sums[N_COUNTED];
	int64		read_time;		/* us, likewise */
	Known		known[KNOWN_DATABASES]; /* ordered by OID */
} Databases;

/* The clients in a database. */
typedef struct Presence
{
	Oid			database;
	int			total;
	int			active;
	int			idle_in_transaction;
	int			waiting;
} Presence;

static Databases *shared_databases = NULL;	/* or NULL */
static LWLock *shared_databases_lock = NULL;
static Databases *own_databases = NULL;

static Databases *lock_databases(void);
static void look_around(Databases *databases, TimestampTz now);
static List *list_databases(void);
static void learn(Databases *databases, Oid oid);
static void forget_gone(Databases *databases, const List *oids);
static Presence *count_presences(int *n);
static void count_client(Presence *presence, const PgBackendStatus *status, bool waits);
static int	by_database(const void *a, const void *b);
static bool is_in_turn(const Databases *databases, int number, int n);
static bool read_database(Databases *databases, Known *known, bool *used);
static void read_counters(const PgStat_StatDBEntry *entry, int64 *counters);
static void describe(const Known *known, const Presence *presence, const Sample *cluster, Sample *sample);

/* Ask for the shared memory. */
void
dbops_collect_databases_init(void)
{
	dbops_shared_request("dbops databases", sizeof(Databases), NULL,
						 (void **) &shared_databases, &shared_databases_lock);
}

/* Read the databases: their sums go into the cluster's sample, and a sample of each that has a ring there. */
void
dbops_collect_databases(Sample *cluster)
{
	int			n_presences;
	Presence   *presences = count_presences(&n_presences);
	Databases  *databases = lock_databases();
	int			n_turn;
	int			n_unsampled = 0;

	look_around(databases, cluster->at);
	for (int i = 0; i < n_presences; i++)
		learn(databases, presences[i].database);
	n_turn = Min(databases->n, READ_IN_TURN);
	for (int i = 0; i < databases->n; i++)
	{
		Known	   *known = &databases->known[i];
		Presence   *presence = bsearch(&known->oid, presences, n_presences, sizeof(Presence), by_database);
		bool		used = (presence != NULL);
		Sample		sample;

		if (!used && known->read && !known->ring && !is_in_turn(databases, i, n_turn))
			continue;
		if (!read_database(databases, known, &used) || !OidIsValid(known->oid))
			continue;
		known->ring = dbops_ring_take(known->oid, cluster->at, used);
		n_unsampled += (!known->ring && presence != NULL);
		if (!known->ring)
			continue;
		describe(known, presence, cluster, &sample);
		(void) dbops_ring_put(known->oid, &sample);
	}
	if (databases->n > 0)
		databases->turn = (databases->turn + n_turn) % databases->n;
	for (int i = 0; i < N_COUNTED; i++)
		cluster->values[CM_TRANSACTIONS_COMMITTED + i] = databases->sums[i];
	cluster->values[CM_DATABASES_UNSAMPLED] = n_unsampled;
	cluster->values[CM_IO_READS] = cluster->values[CM_BLOCKS_READ];
	cluster->values[CM_IO_READ_TIME] = databases->read_time / 1000.0;
	if (databases == shared_databases)
		LWLockRelease(shared_databases_lock);
}

static Databases *
lock_databases(void)
{
	if (!dbops_ring_is_own())
	{
		LWLockAcquire(shared_databases_lock, LW_EXCLUSIVE);
		return shared_databases;
	}
	if (own_databases == NULL)
		own_databases = MemoryContextAllocZero(TopMemoryContext, sizeof(Databases));
	return own_databases;
}

/* ---- which databases there are ---- */

/* Look into pg_database now and then. If somebody has locked it, who is there is known all the same. */
static void
look_around(Databases *databases, TimestampTz now)
{
	List	   *oids;
	ListCell   *cell;

	if (databases->looked_around != 0 && databases->looked_around <= now &&
		databases->looked_around > now - LOOK_AROUND)
		return;
	databases->looked_around = now;
	learn(databases, InvalidOid);
	if (!ConditionalLockRelationOid(DatabaseRelationId, AccessShareLock))
		return;
	oids = list_databases();
	list_sort(oids, list_oid_cmp);
	UnlockRelationOid(DatabaseRelationId, AccessShareLock);
	forget_gone(databases, oids);
	foreach(cell, oids)
		learn(databases, lfirst_oid(cell));
}

static List *
list_databases(void)
{
	List	   *oids = NIL;
	Relation	rel = table_open(DatabaseRelationId, NoLock);
	Snapshot	snapshot = RegisterSnapshot(GetLatestSnapshot());
	TableScanDesc scan = table_beginscan(rel, snapshot, 0, NULL);
	HeapTuple	tuple;

	while (HeapTupleIsValid(tuple = heap_getnext(scan, ForwardScanDirection)))
		oids = lappend_oid(oids, ((Form_pg_database) GETSTRUCT(tuple))->oid);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	table_close(rel, NoLock);
	return oids;
}

/* Add a database unless it is known. They stand in order, and mostly come in order too. */
static void
learn(Databases *databases, Oid oid)
{
	int			low = 0;
	int			high = databases->n;

	while (low < high)
	{
		int			middle = (low + high) / 2;

		if (databases->known[middle].oid < oid)
			low = middle + 1;
		else
			high = middle;
	}
	if ((low < databases->n && databases->known[low].oid == oid) || databases->n == KNOWN_DATABASES)
		return;
	memmove(&databases->known[low + 1], &databases->known[low], sizeof(Known) * (databases->n - low));
	databases->known[low] = (Known) {.oid = oid};
	databases->n++;
}

/* What databases that were dropped have done stays in the sums. The list is in order as they are. */
static void
forget_gone(Databases *databases, const List *oids)
{
	int			kept = 0;
	int			next = 0;

	for (int i = 0; i < databases->n; i++)
	{
		Oid			oid = databases->known[i].oid;

		while (next < list_length(oids) && list_nth_oid(oids, next) < oid)
			next++;
		if (!OidIsValid(oid) || (next < list_length(oids) && list_nth_oid(oids, next) == oid))
			databases->known[kept++] = databases->known[i];
	}
	databases->n = kept;
}

/* ---- who is there ---- */

/* Count the clients of each database that has any, ordered by its OID. */
static Presence *
count_presences(int *n)
{
	int			n_processes;
	Process    *processes = dbops_processes_read(&n_processes);
	int			n_sessions = pgstat_fetch_stat_numbackends();
	Presence   *presences = palloc(sizeof(Presence) * (n_sessions + 1));

	*n = 0;
	for (int i = 1; i <= n_sessions; i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;
		Process    *process;
		int			place = 0;

		if (status->st_backendType != B_BACKEND || !OidIsValid(status->st_databaseid))
			continue;
		while (place < *n && presences[place].database != status->st_databaseid)
			place++;
		if (place == *n)
			presences[(*n)++] = (Presence) {.database = status->st_databaseid};
		process = dbops_process_find(processes, n_processes, status->st_procpid);
		count_client(&presences[place], status, process != NULL && process->waits);
	}
	qsort(presences, *n, sizeof(Presence), by_database);
	return presences;
}

static void
count_client(Presence *presence, const PgBackendStatus *status, bool waits)
{
	presence->total++;
	if (status->st_state == STATE_RUNNING)
		presence->active++;
	else if (status->st_state == STATE_IDLEINTRANSACTION ||
			 status->st_state == STATE_IDLEINTRANSACTION_ABORTED)
		presence->idle_in_transaction++;
	if (waits)
		presence->waiting++;
}

static int
by_database(const void *a, const void *b)
{
	Oid			left = *(const Oid *) a;
	Oid			right = *(const Oid *) b;

	return (left > right) - (left < right);
}

/* ---- what they have counted ---- */

/* Whether a database is one of the next so many, from the one whose turn it is. */
static bool
is_in_turn(const Databases *databases, int number, int n)
{
	return (number - databases->turn + databases->n) % databases->n < n;
}

/*
 * Read the counters of one and add to the sums what is new; that is all of it
 * after a reset. used is set if somebody has connected since it was read. False:
 * the server has counted nothing there.
 */
static bool
read_database(Databases *databases, Known *known, bool *used)
{
	PgStat_StatDBEntry *entry = pgstat_fetch_stat_dbentry(known->oid);
	int64		counters[N_COUNTED];
	bool		reset;

	if (entry == NULL)
		return false;
	read_counters(entry, counters);
	reset = (known->reset != entry->stat_reset_timestamp);
	for (int i = 0; i < N_COUNTED; i++)
		databases->sums[i] += (reset || counters[i] < known->counters[i]) ?
			counters[i] : counters[i] - known->counters[i];
	databases->read_time += stat_database_read_time(entry);
	if (!reset && stat_database_read_time(entry) >= known->read_time)
		databases->read_time -= known->read_time;
	if (known->read && !reset &&
		counters[DM_SESSIONS_OPENED - FIRST_COUNTED] > known->counters[DM_SESSIONS_OPENED - FIRST_COUNTED])
		*used = true;
	memcpy(known->counters, counters, sizeof(counters));
	known->read_time = stat_database_read_time(entry);
	known->reset = entry->stat_reset_timestamp;
	known->read = true;
	return true;
}

static void
read_counters(const PgStat_StatDBEntry *entry, int64 *counters)
{
	int64		all[] = {
		stat_database_counter(entry, xact_commit),
		stat_database_counter(entry, xact_rollback),
		stat_database_counter(entry, blocks_fetched) - stat_database_counter(entry, blocks_hit),
		stat_database_counter(entry, blocks_hit),
		stat_database_counter(entry, tuples_returned),
		stat_database_counter(entry, tuples_fetched),
		stat_database_counter(entry, tuples_inserted),
		stat_database_counter(entry, tuples_updated),
		stat_database_counter(entry, tuples_deleted),
		stat_database_counter(entry, deadlocks),
		stat_database_conflicts(entry),
		stat_database_counter(entry, temp_files),
		stat_database_counter(entry, temp_bytes),
		stat_database_counter(entry, sessions),
		stat_database_counter(entry, sessions_abandoned),
		stat_database_counter(entry, sessions_fatal),
		stat_database_counter(entry, sessions_killed),
		stat_database_counter(entry, checksum_failures)
	};

	StaticAssertStmt(lengthof(all) == N_COUNTED, "a counter of databases is missing");
	StaticAssertStmt(CM_CHECKSUM_FAILURES - CM_TRANSACTIONS_COMMITTED == N_COUNTED - 1,
					 "the cluster's sums are not those of its databases");
	memcpy(counters, all, sizeof(all));
}

/* Without data checksums, that none was wrong is not known. */
static void
describe(const Known *known, const Presence *presence, const Sample *cluster, Sample *sample)
{
	static const Presence nobody = {0};

	if (presence == NULL)
		presence = &nobody;
	sample->at = cluster->at;
	sample->cadence = cluster->cadence;
	sample->epoch = Max(cluster->epoch, known->reset);
	for (int i = 0; i < N_MOST_METRICS; i++)
		sample->values[i] = NAN;
	sample->values[DM_CONNECTIONS_TOTAL] = presence->total;
	sample->values[DM_CONNECTIONS_ACTIVE] = presence->active;
	sample->values[DM_CONNECTIONS_IDLE_IN_TRANSACTION] = presence->idle_in_transaction;
	sample->values[DM_CONNECTIONS_WAITING] = presence->waiting;
	for (int i = 0; i < N_COUNTED; i++)
		sample->values[FIRST_COUNTED + i] = known->counters[i];
	if (!DataChecksumsEnabled())
		sample->values[DM_CHECKSUM_FAILURES] = NAN;
}
