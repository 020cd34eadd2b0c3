/*
 * primary_beat.c
 *		Does the primary beat, and how often?
 *
 * A standby to which nothing comes is late if its primary beats (dbops.heartbeat),
 * and up to date if that is idle. Its own setting says nothing of the primary's,
 * where dbops may not even be preloaded. So once a minute the home database's
 * scheduler notes in a table how often the launcher beats, and the reader of each
 * standby reads that. It is known again after a restart, however little comes then.
 *
 * What the note says counts for the commits that come soon after it. One that is
 * older than those that are replayed was made before dbops was taken away.
 */
#include "observe/replication.h"

#include <math.h>

#include "access/xlogrecovery.h"
#include "storage/lwlock.h"

#define OLD			(5 * SECS_PER_MINUTE * USECS_PER_SEC)	/* behind the last commit, of a note that counts no more */
#define PATIENCE	(30 * USECS_PER_SEC)	/* that a reader has to come */

/* What was read on this standby. */
typedef struct PrimaryBeat
{
	TimestampTz began;			/* the server was started */
	bool		read;
	int			every;			/* ms; 0: it does not beat */
	TimestampTz noted_at;		/* by the primary's clock */
} PrimaryBeat;

static PrimaryBeat *shared_beat = NULL;	/* or NULL */
static LWLock *shared_beat_lock = NULL;

static void prepare(void *place);
static void write_note(void *unused);
static void read_note(void *unused);
static void take_note(HeapTuple row, TupleDesc desc, void *arg);

static const DbopsUpkeep noting = {.name = "heartbeat",.every = 60000,.run = write_note,.read = read_note};

/* Ask for the shared memory, and to be called. */
void
dbops_primary_beat_init(void)
{
	dbops_shared_request("dbops primary beat", sizeof(PrimaryBeat), prepare,
						 (void **) &shared_beat, &shared_beat_lock);
	dbops_upkeep_register(&noting);
}

static void
prepare(void *place)
{
	((PrimaryBeat *) place)->began = GetCurrentTimestamp();
}

/* On the primary, in the home database. */
static void
write_note(void *unused)
{
	DbopsParam	params[] = {
		dbops_param_int4(dbops_heartbeat),
		dbops_param_time(GetCurrentTimestamp())
	};

	dbops_store_each("INSERT INTO dbops.primary_beat (every_ms, noted_at) VALUES ($1, $2)"
					 " ON CONFLICT (one) DO UPDATE SET every_ms = $1, noted_at = $2",
					 lengthof(params), params, NULL, NULL);
}

/* On a standby. Where there is no note, nobody beats that has dbops. */
static void
read_note(void *unused)
{
	PrimaryBeat beat = {0};

	dbops_store_each("SELECT every_ms, noted_at FROM dbops.primary_beat", 0, NULL, take_note, &beat);
	LWLockAcquire(shared_beat_lock, LW_EXCLUSIVE);
	shared_beat->read = true;
	shared_beat->every = beat.every;
	shared_beat->noted_at = beat.noted_at;
	LWLockRelease(shared_beat_lock);
}

static void
take_note(HeapTuple row, TupleDesc desc, void *arg)
{
	PrimaryBeat *beat = arg;

	beat->every = dbops_row_int4(row, desc, 1);
	beat->noted_at = dbops_row_time(row, desc, 2);
}

/* How far apart the primary's beats are, in seconds; 0: there are none; NaN: nobody has read that yet. */
double
dbops_primary_beat(void)
{
	PrimaryBeat beat;

	if (shared_beat == NULL || !dbops_enabled)
		return 0;
	LWLockAcquire(shared_beat_lock, LW_SHARED);
	beat = *shared_beat;
	LWLockRelease(shared_beat_lock);
	if (!beat.read)
		return (GetCurrentTimestamp() - beat.began > PATIENCE) ? 0 : NAN;
	return (GetLatestXTime() - beat.noted_at > OLD) ? 0 : beat.every / 1000.0;
}
