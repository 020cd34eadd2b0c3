/*
 * ring.c
 *		The samples of the last hour, in memory.
 *
 * One ring is the cluster's, the others are those of the databases that were
 * active last. All stand in one piece of shared memory of about 6 MB, under one
 * lock, held for copying. A clock that was set back makes the samples that it
 * has not reached again worthless: they go, so that a ring is always in order.
 * A sample that comes sooner than a tick after the one before keeps its place
 * only until the next, so that however often somebody samples, an hour is there.
 *
 * A clean restart of the server keeps them (ring_restart.c).
 *
 * Who asks how it is now is told nothing by a sample that is stale: that is no
 * answer, though the hour before it stays for history.
 *
 * A session has a ring of its own when dbops is not preloaded, and when a test
 * has set the session's time: what it samples then is nobody else's business.
 */
#include "observe/ring.h"

#include "utils/memutils.h"

#define SUPPLY_KEEPS	(1800 * USECS_PER_SEC)	/* for so long a supplied figure is shown */
#define KEEPS_COUNTS	(180 * USECS_PER_SEC)	/* for so long counts of statements tell what happens */
#define LEAST_APART		0.9		/* of the cadence, between two samples that both stay */
#define KEEPS_RING		(60 * USECS_PER_SEC)	/* for so long a database keeps its ring from others */

static Ring *shared_ring = NULL;	/* or NULL */
static LWLock *shared_ring_lock = NULL;
static Ring *own_ring = NULL;

static Ring *lock_ring(LWLockMode mode);
static void unlock_ring(void);
static Track *find_track(Ring *ring, Oid database);
static Track *take_track(Ring *ring, Oid database, TimestampTz at);
static bool has_room(const Ring *ring);
static double *values_at(Ring *ring, const Track *track, int place);
static int	place_back(const Track *track, int back);
static bool is_current(const Track *track);
static void forget_future(Track *track, TimestampTz now);
static void forget_newest(Track *track);
static bool is_passing(const Track *track, TimestampTz at);
static void write_sample(Ring *ring, Track *track, const Sample *sample);
static void fill_in_supplied(const Track *track, int n_metrics, TimestampTz now, double *values);
static void copy_sample(Ring *ring, const Track *track, int back, Sample *sample);
static TimestampTz counted_at(const Track *track, const Sample *sample);
static void compare(Ring *ring, const Track *track, double seconds, SampleWindow *window);
static bool is_counted(Oid database, int position);
static int	counts_back(const Track *track, int back, double seconds);
static void compare_figure(Ring *ring, const Track *track, int position, int back, SampleWindow *window);

/* Ask for the shared memory. */
void
dbops_ring_init(void)
{
	dbops_shared_request("dbops samples", sizeof(Ring), dbops_ring_prepare,
						 (void **) &shared_ring, &shared_ring_lock);
}

/* Whether what this process samples and reads is its own. */
bool
dbops_ring_is_own(void)
{
	return shared_ring == NULL ||
		(dbops_test_now > 0 && !dbops_test_clock && !AmBackgroundWorkerProcess());
}

/* Which databases have samples. */
int
dbops_ring_databases(Oid *databases)
{
	Ring	   *ring = lock_ring(LW_SHARED);
	int			n = 0;

	for (int i = 1; i <= RING_DATABASES; i++)
		if (OidIsValid(ring->tracks[i].database))
			databases[n++] = ring->tracks[i].database;
	unlock_ring();
	return n;
}

/* Whether a database has a ring; one that is active gets one if there is room. */
bool
dbops_ring_take(Oid database, TimestampTz at, bool active)
{
	Ring	   *ring = lock_ring(LW_EXCLUSIVE);
	Track	   *track = find_track(ring, database);

	if (track == NULL && active)
		track = take_track(ring, database, at);
	if (track != NULL && active)
		track->active = at;
	unlock_ring();
	return track != NULL;
}

/*
 * Add a sample. One of the same time gives its place to it, and so does one that
 * came early. Returns whether none did.
 */
bool
dbops_ring_put(Oid database, const Sample *sample)
{
	Ring	   *ring = lock_ring(LW_EXCLUSIVE);
	Track	   *track = find_track(ring, database);
	bool		replaces = false;

	if (track != NULL)
	{
		forget_future(track, sample->at);
		replaces = is_passing(track, sample->at);
		if (replaces)
			forget_newest(track);
		write_sample(ring, track, sample);
	}
	unlock_ring();
	return !replaces;
}

/* Copy the samples after a time, the oldest first, no more than there is room for. Returns how many. */
int
dbops_ring_read(Oid database, TimestampTz after, Sample *samples, int most)
{
	Ring	   *ring = lock_ring(LW_SHARED);
	const Track *track = find_track(ring, database);
	int			n = 0;

	for (int back = (track == NULL) ? 0 : track->n; back > 0 && n < most; back--)
		if (track->marks[place_back(track, back)].at > after)
			copy_sample(ring, track, back, &samples[n++]);
	unlock_ring();
	return n;
}

/* Copy the newest sample; false: there is none, or it is stale. */
bool
dbops_ring_newest(Oid database, Sample *sample)
{
	Ring	   *ring = lock_ring(LW_SHARED);
	const Track *track = find_track(ring, database);
	bool		found = (track != NULL && is_current(track));

	if (found)
		copy_sample(ring, track, 1, sample);
	unlock_ring();
	return found;
}

/* When was the newest sample taken? */
TimestampTz
dbops_ring_last(Oid database)
{
	Ring	   *ring = lock_ring(LW_SHARED);
	const Track *track = find_track(ring, database);
	TimestampTz last = (track == NULL || track->n == 0) ? 0 : track->marks[place_back(track, 1)].at;

	unlock_ring();
	return last;
}

/* Put a figure that the next samples are to show; a database that has no ring has no use for it. */
void
dbops_metric_supply(Oid database, int position, double value, TimestampTz at)
{
	Ring	   *ring = lock_ring(LW_EXCLUSIVE);
	Track	   *track = find_track(ring, database);

	Assert(position >= 0 && position < dbops_metric_count(database));
	if (track != NULL)
		track->supplies[position] = (Supply) {.value = value, .at = at};
	unlock_ring();
}

/*
 * Compare the newest sample with the one that is so much older, or with the
 * oldest that can be compared with it. False: there is nothing to compare with,
 * and only what newest says is known, if there is any that is not stale.
 */
bool
dbops_ring_window(Oid database, double seconds, SampleWindow *window)
{
	Ring	   *ring = lock_ring(LW_SHARED);
	const Track *track = find_track(ring, database);

	window->seconds = 0;
	window->reset = false;
	window->whole = false;
	window->crowded = (track == NULL && !has_room(ring));
	window->n = 0;
	window->newest.at = 0;
	for (int i = 0; i < N_MOST_METRICS; i++)
	{
		window->delta[i] = NAN;
		window->took[i] = 0;
	}
	if (track != NULL && is_current(track))
		compare(ring, track, seconds, window);
	unlock_ring();
	return window->seconds > 0;
}

/* How much of a counter there was in a second; NaN if it is not known. */
double
dbops_ring_per_second(const SampleWindow *window, int position)
{
	return (window->took[position] > 0) ? window->delta[position] / window->took[position] : NAN;
}

static Ring *
lock_ring(LWLockMode mode)
{
	if (!dbops_ring_is_own())
	{
		LWLockAcquire(shared_ring_lock, mode);
		return shared_ring;
	}
	if (own_ring == NULL)
		own_ring = MemoryContextAllocZero(TopMemoryContext, sizeof(Ring));
	return own_ring;
}

static void
unlock_ring(void)
{
	if (!dbops_ring_is_own())
		LWLockRelease(shared_ring_lock);
}

/* NULL: the database has none. */
static Track *
find_track(Ring *ring, Oid database)
{
	if (!OidIsValid(database))
		return &ring->tracks[0];
	for (int i = 1; i <= RING_DATABASES; i++)
		if (ring->tracks[i].database == database)
			return &ring->tracks[i];
	return NULL;
}

/* Take a free one, or that of the database that was active least recently; NULL: all of them are. */
static Track *
take_track(Ring *ring, Oid database, TimestampTz at)
{
	Track	   *chosen = NULL;

	for (int i = 1; i <= RING_DATABASES; i++)
	{
		Track	   *track = &ring->tracks[i];

		if (chosen == NULL || !OidIsValid(track->database) ||
			(OidIsValid(chosen->database) && track->active < chosen->active))
			chosen = track;
	}
	if (OidIsValid(chosen->database) && chosen->active > at - KEEPS_RING && chosen->active <= at)
		return NULL;
	memset(chosen, 0, sizeof(Track));
	chosen->database = database;
	return chosen;
}

static bool
has_room(const Ring *ring)
{
	for (int i = 1; i <= RING_DATABASES; i++)
		if (!OidIsValid(ring->tracks[i].database))
			return true;
	return false;
}

static double *
values_at(Ring *ring, const Track *track, int place)
{
	int			number = track - ring->tracks;

	return (number == 0) ? ring->cluster[place] : ring->databases[number - 1][place];
}

/* The place of a sample; the newest is 1 back. */
static int
place_back(const Track *track, int back)
{
	return (track->next - back + RING_TICKS) % RING_TICKS;
}

/* Does the newest sample tell of now? */
static bool
is_current(const Track *track)
{
	const Mark *newest = &track->marks[place_back(track, 1)];

	return track->n > 0 && track->current &&
		dbops_clock_now() - newest->at <= (TimestampTz) STALE_TICKS * newest->cadence * (USECS_PER_SEC / 1000);
}

static void
forget_future(Track *track, TimestampTz now)
{
	while (track->n > 0 && track->marks[place_back(track, 1)].at > now)
		forget_newest(track);
}

static void
forget_newest(Track *track)
{
	track->next = place_back(track, 1);
	track->n--;
}

/*
 * Is the newest sample to give way to one of a time? It is if it came early,
 * while the time for which it stands goes on. Once a roll-up may have seen it,
 * it stays: what was counted up to it must not be counted again.
 */
static bool
is_passing(const Track *track, TimestampTz at)
{
	const Mark *newest = &track->marks[place_back(track, 1)];
	const Mark *before = &track->marks[place_back(track, 2)];
	TimestampTz cadence = Min(newest->cadence, before->cadence) * (USECS_PER_SEC / 1000);

	if (track->n > 0 && newest->at == at)
		return true;
	return track->n > 1 &&
		newest->at - before->at < cadence * LEAST_APART && at - newest->at < 2 * cadence &&
		newest->at >= dbops_bucket_begin(at - HISTORY_GRACE + USECS_PER_SEC, dbops_history_tiers[0].seconds);
}

static void
write_sample(Ring *ring, Track *track, const Sample *sample)
{
	int			n_metrics = dbops_metric_count(track->database);
	double	   *values = values_at(ring, track, track->next);

	track->marks[track->next] = (Mark)
	{
		.at = sample->at, .counted = counted_at(track, sample), .epoch = sample->epoch, .cadence = sample->cadence
	};
	memcpy(values, sample->values, sizeof(double) * n_metrics);
	fill_in_supplied(track, n_metrics, sample->at, values);
	track->next = (track->next + 1) % RING_TICKS;
	track->n = Min(track->n + 1, RING_TICKS);
	track->current = true;
}

static void
fill_in_supplied(const Track *track, int n_metrics, TimestampTz now, double *values)
{
	for (int i = 0; i < n_metrics; i++)
	{
		const Supply *supply = &track->supplies[i];

		if (isnan(values[i]) && supply->at != 0 && supply->at >= now - SUPPLY_KEEPS)
			values[i] = supply->value;
	}
}

/* A look at statements may come late, and is shown by all samples until the next. */
static TimestampTz
counted_at(const Track *track, const Sample *sample)
{
	int			position = OidIsValid(track->database) ? DM_STATEMENT_CALLS : CM_STATEMENT_CALLS;

	return isnan(sample->values[position]) && track->supplies[position].at != 0 ?
		track->supplies[position].at : sample->at;
}

static void
copy_sample(Ring *ring, const Track *track, int back, Sample *sample)
{
	int			place = place_back(track, back);
	const Mark *mark = &track->marks[place];
	int			n_metrics = dbops_metric_count(track->database);

	sample->at = mark->at;
	sample->epoch = mark->epoch;
	sample->cadence = mark->cadence;
	memcpy(sample->values, values_at(ring, track, place), sizeof(double) * n_metrics);
	for (int i = n_metrics; i < N_MOST_METRICS; i++)
		sample->values[i] = NAN;
}

/* A sample may come a little late: half a tick more than was asked for is let pass. */
static void
compare(Ring *ring, const Track *track, double seconds, SampleWindow *window)
{
	Sample	   *newest = &window->newest;
	TimestampTz since;
	int			back = 1;

	copy_sample(ring, track, 1, newest);
	since = newest->at - (TimestampTz) ((seconds + newest->cadence / 2000.0) * USECS_PER_SEC);
	for (int i = 2; i <= track->n && track->marks[place_back(track, i)].at >= since; i++)
	{
		window->reset = (track->marks[place_back(track, i)].epoch != newest->epoch);
		if (window->reset)
			break;
		back = i;
	}
	window->n = back;
	window->seconds = (newest->at - track->marks[place_back(track, back)].at) / (double) USECS_PER_SEC;
	window->whole = (window->seconds >= seconds - 2 * newest->cadence / 1000.0);
	if (window->seconds <= 0)
		return;
	for (int i = 0; i < dbops_metric_count(track->database); i++)
		compare_figure(ring, track, i, is_counted(track->database, i) ? counts_back(track, back, seconds) : back, window);
}

/* Is it a figure of statements, which come from a look of their own, once a minute or later? */
static bool
is_counted(Oid database, int position)
{
	return OidIsValid(database) ?
		(position >= DM_STATEMENT_CALLS && position <= DM_STATEMENT_SLOW_CALLS) :
		(position >= CM_STATEMENT_CALLS && position <= CM_STATEMENT_SLOW_CALLS);
}

/* How far back a look at statements is that was so much earlier than the newest. 1: that is of no use any more. */
static int
counts_back(const Track *track, int back, double seconds)
{
	const Mark *newest = &track->marks[place_back(track, 1)];
	TimestampTz since = newest->counted - (TimestampTz) ((seconds - newest->cadence / 2000.0) * USECS_PER_SEC);

	if (newest->counted < newest->at - KEEPS_COUNTS)
		return 1;
	for (; back < track->n && track->marks[place_back(track, back)].counted > since; back++)
		if (track->marks[place_back(track, back + 1)].epoch != newest->epoch)
			break;
	return back;
}

/* From the oldest sample that knows it; what no other knows is not known. */
static void
compare_figure(Ring *ring, const Track *track, int position, int back, SampleWindow *window)
{
	const Mark *newest = &track->marks[place_back(track, 1)];
	const Mark *old;

	while (back > 1 && isnan(values_at(ring, track, place_back(track, back))[position]))
		back--;
	old = &track->marks[place_back(track, back)];
	window->took[position] = (is_counted(track->database, position) ?
							  newest->counted - old->counted : newest->at - old->at) / (double) USECS_PER_SEC;
	if (window->took[position] > 0)
		window->delta[position] = window->newest.values[position] -
			values_at(ring, track, place_back(track, back))[position];
}
