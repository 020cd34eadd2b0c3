/*
 * collect_server.c
 *		The server's role, and what it counts of its own doings, as figures.
 *
 * What logical decoding has spilled is counted for each slot, and a slot that is
 * dropped takes its count along. So it is remembered how far each was read, and
 * only what came since is added: the memory is shared, under a lock that is held
 * while they are read. What is not known stays NaN.
 */
#include "observe/metric.h"

#include <sys/stat.h>

#include "access/xlog.h"
#include "access/xlogrecovery.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "replication/slot.h"
#include "storage/proc.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define KNOWN_SLOTS		256		/* those beyond are not counted */
#define STATEMENT_TEXTS	PG_STAT_TMP_DIR "/pgss_query_texts.stat"

/* How far a slot was read. */
typedef struct KnownSlot
{
	NameData	name;
	TimestampTz reset;
	int64		spilled;		/* bytes */
} KnownSlot;

typedef struct KnownSlots
{
	int64		sum;
	int			n;
	KnownSlot	known[KNOWN_SLOTS];
} KnownSlots;

static KnownSlots *shared_slots = NULL; /* or NULL */
static LWLock *shared_slots_lock = NULL;
static KnownSlots own_slots;

static void collect_role(double *values);
static void collect_locks(double *values);
static void collect_caches(Sample *sample);
static void collect_reads(Sample *sample);
static void collect_texts(double *values);
static double spilled_by_slots(void);
static int	list_logical_slots(NameData *names);
static int64 read_slot(KnownSlots *slots, const NameData *name, KnownSlot *read);

/* Ask for the shared memory. */
void
dbops_collect_slots_init(void)
{
	dbops_shared_request("dbops slots", sizeof(KnownSlots), NULL,
						 (void **) &shared_slots, &shared_slots_lock);
}

/* Fill in what is the server's own. */
void
dbops_collect_server(Sample *sample)
{
	collect_role(sample->values);
	collect_locks(sample->values);
	collect_caches(sample);
	collect_reads(sample);
	collect_texts(sample->values);
	sample->values[CM_SLOTS_SPILLED] = spilled_by_slots();
}

static void
collect_role(double *values)
{
	bool		standby = RecoveryInProgress();
	TimeLineID	timeline;

	if (standby)
		(void) GetXLogReplayRecPtr(&timeline);
	else
		timeline = GetWALInsertionTimeLine();
	values[CM_STANDBY] = standby;
	values[CM_TIMELINE] = timeline;
}

static void
collect_locks(double *values)
{
	int			full = 0;

	for (uint32 i = 0; i < ProcGlobal->allProcCount; i++)
	{
		PGPROC	   *proc = GetPGProcByNumber(i);

		full += (proc->pid != 0 && fast_path_is_full(proc));
	}
	values[CM_FAST_PATH_FULL] = full;
}

/* Ids of multixacts lead to their members: a page of either kind costs the same. */
static void
collect_caches(Sample *sample)
{
	const PgStat_SLRUStats *all = pgstat_fetch_slru();
	const PgStat_SLRUStats *parents = &all[pgstat_get_slru_index(SLRU_SUBTRANSACTIONS)];
	const PgStat_SLRUStats *offsets = &all[pgstat_get_slru_index(SLRU_MULTIXACT_OFFSETS)];
	const PgStat_SLRUStats *members = &all[pgstat_get_slru_index(SLRU_MULTIXACT_MEMBERS)];
	double	   *values = sample->values;

	values[CM_SUBTRANSACTIONS_HIT] = parents->blocks_hit;
	values[CM_SUBTRANSACTIONS_READ] = parents->blocks_read;
	values[CM_MULTIXACTS_HIT] = offsets->blocks_hit + members->blocks_hit;
	values[CM_MULTIXACTS_READ] = offsets->blocks_read + members->blocks_read;
	sample->epoch = Max(sample->epoch, Max(parents->stat_reset_timestamp,
										   Max(offsets->stat_reset_timestamp, members->stat_reset_timestamp)));
}

/* Where the server does not tell it, the sums of its databases stay. Without their time, reads tell nothing. */
static void
collect_reads(Sample *sample)
{
	const char *timing = GetConfigOptionResetString("track_io_timing");
	double	   *values = sample->values;
	TimestampTz reset;

	if (strcmp(timing, "on") != 0)
		values[CM_IO_READS] = values[CM_IO_READ_TIME] = NAN;
	else if (stat_session_reads(&values[CM_IO_READS], &values[CM_IO_READ_TIME], &reset))
		sample->epoch = Max(sample->epoch, reset);
}

static void
collect_texts(double *values)
{
	struct stat status;

	if (stat(STATEMENT_TEXTS, &status) == 0)
		values[CM_STATEMENT_TEXTS] = status.st_size;
}

/* ---- slots ---- */

/* Add what came since, and forget the slots that are gone. */
static double
spilled_by_slots(void)
{
	bool		own = dbops_ring_is_own();
	KnownSlots *slots = own ? &own_slots : shared_slots;
	NameData   *names = palloc(sizeof(NameData) * KNOWN_SLOTS);
	KnownSlot  *seen = palloc(sizeof(KnownSlot) * KNOWN_SLOTS);
	int			n = list_logical_slots(names);
	int64		sum;

	if (!own)
		LWLockAcquire(shared_slots_lock, LW_EXCLUSIVE);
	for (int i = 0; i < n; i++)
		slots->sum += read_slot(slots, &names[i], &seen[i]);
	memcpy(slots->known, seen, sizeof(KnownSlot) * n);
	slots->n = n;
	sum = slots->sum;
	if (!own)
		LWLockRelease(shared_slots_lock);
	return sum;
}

/* The names of those that decode; returns how many there are. */
static int
list_logical_slots(NameData *names)
{
	int			n = 0;

	LWLockAcquire(ReplicationSlotControlLock, LW_SHARED);
	for (int i = 0; i < max_replication_slots && n < KNOWN_SLOTS; i++)
	{
		ReplicationSlot *slot = &ReplicationSlotCtl->replication_slots[i];

		if (slot->in_use && SlotIsLogical(slot))
			names[n++] = slot->data.name;
	}
	LWLockRelease(ReplicationSlotControlLock);
	return n;
}

/* Read how much a slot has spilled; returns how much of it is new: all, of a new slot and after a reset. */
static int64
read_slot(KnownSlots *slots, const NameData *name, KnownSlot *read)
{
	PgStat_StatReplSlotEntry *entry = pgstat_fetch_replslot(*name);

	*read = (KnownSlot) {.name = *name};
	if (entry != NULL)
	{
		read->reset = entry->stat_reset_timestamp;
		read->spilled = entry->spill_bytes;
	}
	for (int i = 0; i < slots->n; i++)
	{
		const KnownSlot *known = &slots->known[i];

		if (strcmp(NameStr(known->name), NameStr(*name)) == 0 &&
			known->reset == read->reset && known->spilled <= read->spilled)
			return read->spilled - known->spilled;
	}
	return read->spilled;
}
