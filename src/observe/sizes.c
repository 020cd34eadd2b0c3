/*
 * sizes.c
 *		The size of the database and of its largest tables, from a cache.
 *
 * To measure takes a look at every file of the database, so a measurement is
 * kept while it is fresh. Preloaded, dbops keeps those of 256 databases in shared
 * memory: who uses none gives way to others. Of all databases the home database
 * knows how much they hold (measure_databases.c), which is what one is given that
 * has no other yet. Not preloaded, each session keeps its own.
 *
 * Where a scheduler measures, sessions do not: one that finds the figure old asks
 * for the next, and is given the last, whose age is always told.
 *
 * Elsewhere one session measures at a time, a slice with each call, while it and
 * the others are given the last measurement. Only when there is none yet, or an
 * old one, does a call take longer: twice as long as the one before, so that
 * sessions that make a single call finish one day.
 *
 * The lock protects every entry; it is held for copying one and never while
 * measuring. A session that ends or idles while it measures leaves a claim that
 * lapses, and what it had measured is lost.
 */
#include "observe/observe.h"

#include <math.h>

#include "miscadmin.h"
#include "observe/metric.h"
#include "storage/lwlock.h"
#include "storage/procarray.h"

#define N_ENTRIES		256		/* databases */
#define OVERDUE_FACTOR	2		/* this times dbops.health_max_age is too old */
#define VERY_OLD_FACTOR	10		/* and this is as good as none */
#define KEPT_SERVES		1200.0	/* s: two rounds of who measures in the background */
#define ASK_AGAIN		60.0	/* s */
#define CLAIM_LAPSE		10.0	/* s without a slice */
#define SLICE			20.0	/* ms */
#define FIRST_SLICE		2000.0	/* ms, when there is nothing worth showing */

typedef struct Entry
{
	Oid			database;		/* InvalidOid: free */
	Sizes		sizes;
	int			measured_by;	/* pid; 0: nobody measures */
	TimestampTz claimed_at;		/* when that session last went on */
	double		slice;			/* ms that it was given */
	double		overdue_slice;	/* the longest while the figure was overdue */
	TimestampTz asked_at;		/* that the scheduler measures */
} Entry;

static Entry *entries = NULL;	/* N_ENTRIES in shared memory; or NULL */
static LWLock *entries_lock = NULL;
static Entry own_entry;			/* when there are none */

static Measurement *measurement = NULL; /* this session's, unfinished */
static TimestampTz measurement_began;

static List *take_newer(List *sizes, Oid database, const Sizes *measured);
static int	by_bytes(const ListCell *a, const ListCell *b);
static bool serves(const Sizes *sizes);
static bool has_total(Sizes *sizes);
static bool is_older(const Sizes *sizes, int factor);
static double seconds_since(TimestampTz time);
static void ask_for_next(void);
static void measure(Sizes *sizes);
static void measure_and_publish(double budget, Sizes *sizes);
static bool measure_slice(double budget, Sizes *sizes);
static void begin_measurement(void);
static void end_measurement(void);
static bool claim(Sizes *sizes, double *budget);
static bool may_claim(const Entry *entry);
static double next_slice(Entry *entry, bool total);
static void give_up_claim(void);
static Entry *lock_entry(LWLockMode mode);
static void unlock_entry(void);
static Entry *find_entry(const Oid *favoured, int n_favoured);
static bool is_listed(Oid database, const Oid *list, int n);

/* Ask for the shared memory. */
void
dbops_sizes_init(void)
{
	dbops_shared_request("dbops sizes", sizeof(Entry) * N_ENTRIES, NULL,
						 (void **) &entries, &entries_lock);
}

/* Give the last measurement, having the next made if it is due. */
void
dbops_sizes_read(Sizes *sizes)
{
	Entry	   *entry = lock_entry(LW_SHARED);

	if (entry != NULL)
		*sizes = entry->sizes;
	unlock_entry();
	if (dbops_health_is_fresh(sizes->measured_at, sizes->took))
		return;
	if (!serves(sizes))
		measure(sizes);
	if (sizes->measured_at == 0)
		(void) has_total(sizes);
	if (serves(sizes) && !dbops_health_is_fresh(sizes->measured_at, sizes->took))
		ask_for_next();
}

/* Is it to be served although it is not new? */
static bool
serves(const Sizes *sizes)
{
	return sizes->kept && dbops_health_is_kept(sizes->measured_at, KEPT_SERVES);
}

/* Take what this database holds from the measurement of all databases, where that serves. */
static bool
has_total(Sizes *sizes)
{
	DatabaseSize total;

	if (!dbops_database_size_find(MyDatabaseId, &total) || !dbops_health_is_kept(total.measured_at, KEPT_SERVES))
		return false;
	*sizes = (Sizes) {.measured_at = total.measured_at,.kept = true,.database = total.bytes,.n_largest = -1};
	return true;
}

/* List what is known of any database, the largest first; List of DatabaseSize *. */
List *
dbops_sizes_list(void)
{
	Entry	   *copy = &own_entry;
	int			n = 1;
	List	   *sizes = dbops_database_sizes_list();

	if (entries != NULL)
	{
		n = N_ENTRIES;
		copy = palloc(sizeof(Entry) * n);
		LWLockAcquire(entries_lock, LW_SHARED);
		memcpy(copy, entries, sizeof(Entry) * n);
		LWLockRelease(entries_lock);
	}
	for (int i = 0; i < n; i++)
		if (copy[i].sizes.measured_at != 0)
			sizes = take_newer(sizes, (entries != NULL) ? copy[i].database : MyDatabaseId, &copy[i].sizes);
	list_sort(sizes, by_bytes);
	return sizes;
}

/* A database may have been measured by itself since. */
static List *
take_newer(List *sizes, Oid database, const Sizes *measured)
{
	DatabaseSize *known = NULL;
	ListCell   *cell;

	foreach(cell, sizes)
		if (((DatabaseSize *) lfirst(cell))->database == database)
			known = lfirst(cell);
	if (known == NULL)
	{
		known = palloc0(sizeof(DatabaseSize));
		sizes = lappend(sizes, known);
	}
	if (measured->measured_at > known->measured_at)
		*known = (DatabaseSize) {.database = database,.bytes = measured->database,.measured_at = measured->measured_at};
	return sizes;
}

static int
by_bytes(const ListCell *a, const ListCell *b)
{
	const DatabaseSize *left = lfirst(a);
	const DatabaseSize *right = lfirst(b);

	if (left->bytes != right->bytes)
		return left->bytes < right->bytes ? 1 : -1;
	return (left->database > right->database) - (left->database < right->database);
}

/*
 * Whether a measurement is older than it may be, so many times over. A clock
 * that was set back makes it worthless too.
 */
static bool
is_older(const Sizes *sizes, int factor)
{
	double		age = seconds_since(sizes->measured_at);

	return sizes->measured_at == 0 || age < 0 ||
		age >= (double) dbops_health_max_age * factor;
}

static double
seconds_since(TimestampTz time)
{
	return (dbops_clock_now() - time) / (double) USECS_PER_SEC;
}

/* Have the scheduler measure, unless it was asked lately. */
static void
ask_for_next(void)
{
	Entry	   *entry = lock_entry(LW_EXCLUSIVE);
	double		since = seconds_since(entry->asked_at);
	bool		ask = (since < 0 || since >= ASK_AGAIN);

	if (ask)
		entry->asked_at = dbops_clock_now();
	unlock_entry();
	if (ask)
		dbops_upkeep_request(MyDatabaseId, "sizes");
}

/* Go on measuring, unless another session does. */
static void
measure(Sizes *sizes)
{
	double		budget = INFINITY;

	if (dbops_health_max_age == 0)
		end_measurement();
	else if (!claim(sizes, &budget))
		return;
	measure_and_publish(budget, sizes);
}

/* Measure for a while; what fails leaves no claim. */
static void
measure_and_publish(double budget, Sizes *sizes)
{
	PG_TRY();
	{
		if (measure_slice(budget, sizes))
			dbops_sizes_publish(sizes);
	}
	PG_CATCH();
	{
		end_measurement();
		give_up_claim();
		PG_RE_THROW();
	}
	PG_END_TRY();
}

/* Measure for a while; true when the measurement is complete. */
static bool
measure_slice(double budget, Sizes *sizes)
{
	double		age = seconds_since(measurement_began);

	/* What was seen long ago does not belong with what is seen now. */
	if (age < 0 || age >= (double) dbops_health_max_age * VERY_OLD_FACTOR)
		end_measurement();
	if (measurement == NULL)
		begin_measurement();
	if (!dbops_measure_continue(measurement, budget, sizes))
		return false;
	end_measurement();
	sizes->measured_at = dbops_clock_now();
	return true;
}

static void
begin_measurement(void)
{
	measurement = dbops_measure_begin();
	measurement_began = dbops_clock_now();
}

static void
end_measurement(void)
{
	if (measurement != NULL)
		dbops_measure_abandon(measurement);
	measurement = NULL;
}

/*
 * Become the session that measures this database, and learn for how long;
 * false if another is. By then it may have finished: that is the newer
 * measurement.
 */
static bool
claim(Sizes *sizes, double *budget)
{
	Sizes		total;
	bool		has = has_total(&total);
	Entry	   *entry = lock_entry(LW_EXCLUSIVE);
	bool		mine = may_claim(entry) &&
		!dbops_health_is_fresh(entry->sizes.measured_at, entry->sizes.took);

	*sizes = entry->sizes;
	if (mine)
	{
		entry->measured_by = MyProcPid;
		entry->claimed_at = dbops_clock_now();
		entry->slice = *budget = next_slice(entry, has);
	}
	unlock_entry();
	return mine;
}

/* Whether nobody else measures: who claimed it has ended, or does not go on. */
static bool
may_claim(const Entry *entry)
{
	double		idle = seconds_since(entry->claimed_at);

	return entry->measured_by == 0 || entry->measured_by == MyProcPid ||
		idle < 0 || idle >= CLAIM_LAPSE + entry->slice / 1000 ||
		BackendPidGetProc(entry->measured_by) == NULL;
}

/* While the figure is overdue, each slice is twice as long as the last, unless the total is known. */
static double
next_slice(Entry *entry, bool total)
{
	double		slice = is_older(&entry->sizes, VERY_OLD_FACTOR) && !total ? FIRST_SLICE : SLICE;

	if (!total && is_older(&entry->sizes, OVERDUE_FACTOR))
	{
		slice = Max(slice, entry->overdue_slice * 2);
		entry->overdue_slice = slice;
	}
	return slice;
}

/* Have everybody in this database, and samples, see a measurement. */
void
dbops_sizes_publish(const Sizes *sizes)
{
	Entry	   *entry = lock_entry(LW_EXCLUSIVE);

	entry->sizes = *sizes;
	entry->measured_by = 0;
	entry->overdue_slice = 0;
	entry->sizes.kept = AmBackgroundWorkerProcess();
	unlock_entry();
	dbops_metric_supply(MyDatabaseId, DM_SIZE, sizes->database, sizes->measured_at);
	dbops_metric_supply(MyDatabaseId, DM_INDEX_FETCHED, sizes->index_fetched, sizes->measured_at);
	dbops_metric_supply(MyDatabaseId, DM_INDEX_HIT, sizes->index_hit, sizes->measured_at);
}

static void
give_up_claim(void)
{
	Entry	   *entry = lock_entry(LW_EXCLUSIVE);

	if (entry->measured_by == MyProcPid)
		entry->measured_by = 0;
	unlock_entry();
}

/*
 * Lock and find this database's entry. Locked exclusively there always is
 * one: that of the database measured longest ago, or not at all, is taken,
 * which makes room after databases were dropped; of those in use, and of the home
 * database, only when there are no others.
 */
static Entry *
lock_entry(LWLockMode mode)
{
	Oid			favoured[RING_DATABASES + 1];
	int			n = 0;
	Entry	   *entry;

	if (entries == NULL)
		return &own_entry;

	if (mode == LW_EXCLUSIVE)
	{
		n = dbops_ring_databases(favoured);
		favoured[n++] = dbops_home_database();
	}
	LWLockAcquire(entries_lock, mode);
	entry = find_entry(favoured, n);
	if (entry->database == MyDatabaseId)
		return entry;
	if (mode == LW_SHARED)
		return NULL;
	memset(entry, 0, sizeof(Entry));
	entry->database = MyDatabaseId;
	return entry;
}

static void
unlock_entry(void)
{
	if (entries != NULL)
		LWLockRelease(entries_lock);
}

/* Find this database's entry, or the one that it could have. */
static Entry *
find_entry(const Oid *favoured, int n_favoured)
{
	Entry	   *chosen = NULL;
	bool		chosen_stays = false;

	for (int i = 0; i < N_ENTRIES; i++)
	{
		Entry	   *entry = &entries[i];
		bool		stays;

		if (entry->database == MyDatabaseId)
			return entry;
		stays = OidIsValid(entry->database) && is_listed(entry->database, favoured, n_favoured);
		if (chosen != NULL && (stays != chosen_stays ? stays : entry->sizes.measured_at >= chosen->sizes.measured_at))
			continue;
		chosen = entry;
		chosen_stays = stays;
	}
	return chosen;
}

static bool
is_listed(Oid database, const Oid *list, int n)
{
	for (int i = 0; i < n; i++)
		if (list[i] == database)
			return true;
	return false;
}
