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
 * It is brought up to date when the beat is changed or dbops is switched off, and
 * read anew when the beat is first missed.
 *
 * What the note says counts for the commits that come soon after it. One that is
 * older than those that are replayed was made before dbops was taken away. So it
 * was where the primary goes on without a beat: WAL comes, such as that of a
 * checkpoint, long after the last commit and with none in it. From an upstream that
 * is cut off there comes none, and what is being caught up with does not stand still.
 */
#include "observe/replication.h"

#include <math.h>

#include "access/xlog.h"
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

	/* What was replayed last; the times are this server's. */
	TimestampTz commit;			/* by the primary's clock */
	TimestampTz since;			/* that was first seen */
	XLogRecPtr	replayed;
	TimestampTz moved_at;		/* that changed */
	bool		asked;			/* for the note, as no commit came any more */
	bool		goes_on;		/* WAL came when a beat was missed, and then no more */
} PrimaryBeat;

static PrimaryBeat *shared_beat = NULL;	/* or NULL */
static LWLock *shared_beat_lock = NULL;

static void prepare(void *place);
static void write_note(void *unused);
static void read_note(void *unused);
static void take_note(HeapTuple row, TupleDesc desc, void *arg);
static void watch(void *unused);
static bool follow(PrimaryBeat *beat, TimestampTz commit, XLogRecPtr replayed, TimestampTz now);

static const DbopsUpkeep noting = {.name = "heartbeat",.every = 60000,.run = write_note,.read = read_note,.parting = true};
static const DbopsTick watching = {.name = "watch of the beat",.every_setting = &dbops_heartbeat,.run = watch};

/* Ask for the shared memory, and to be called. */
void
dbops_primary_beat_init(void)
{
	dbops_shared_request("dbops primary beat", sizeof(PrimaryBeat), prepare,
						 (void **) &shared_beat, &shared_beat_lock);
	dbops_upkeep_register(&noting);
	dbops_tick_register(&watching);
}

static void
prepare(void *place)
{
	PrimaryBeat *beat = place;

	beat->began = beat->since = beat->moved_at = GetCurrentTimestamp();
}

/* On the primary, in the home database. */
static void
write_note(void *unused)
{
	DbopsParam	params[] = {
		dbops_param_int4(dbops_enabled ? dbops_heartbeat : 0),
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

/* On a standby: see whether the primary goes on, and have the note read when the beat is missed. */
static void
watch(void *unused)
{
	XLogRecPtr	replayed;
	bool		ask;

	if (!RecoveryInProgress())
		return;
	replayed = GetXLogReplayRecPtr(NULL);	/* before the last commit in it */
	LWLockAcquire(shared_beat_lock, LW_EXCLUSIVE);
	ask = follow(shared_beat, GetLatestXTime(), replayed, GetCurrentTimestamp());
	LWLockRelease(shared_beat_lock);
	if (ask && OidIsValid(dbops_home_database()))
		dbops_upkeep_request(dbops_home_database(), noting.name);
}

/* Should the note be read, as what it announces does not come? */
static bool
follow(PrimaryBeat *beat, TimestampTz commit, XLogRecPtr replayed, TimestampTz now)
{
	TimestampTz patience = BEAT_MISSED(beat->every / 1000.0) * USECS_PER_SEC;
	bool		missed = now - beat->since > patience;
	bool		ask;

	if (commit != beat->commit)
	{
		beat->commit = commit;
		beat->since = now;
		beat->replayed = replayed;
		beat->moved_at = now;
		beat->asked = beat->goes_on = false;
		return false;
	}
	if (replayed != beat->replayed)
	{
		beat->replayed = replayed;
		beat->moved_at = now;
	}
	ask = missed && !beat->asked;
	beat->asked |= missed;
	beat->goes_on |= beat->moved_at - beat->since > patience && now - beat->moved_at > patience;
	return ask;
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
	return (beat.goes_on || GetLatestXTime() - beat.noted_at > OLD) ? 0 : beat.every / 1000.0;
}
