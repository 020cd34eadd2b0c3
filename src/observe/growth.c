/*
 * growth.c
 *		How much each database grows in a day, from its history.
 *
 * To ask the history takes a query, so an upkeep does that once an hour and
 * keeps the answer in shared memory, where reports find it at no cost. What is
 * not known, as before there is a day of history, is not known. A session that
 * asks where dbops is not preloaded, or whose time a test has set, keeps the
 * answer to itself.
 */
#include "observe/growth.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "observe/metric.h"

#define MAX_DATABASES	512		/* the one asked longest ago gives way */
#define STALE			(2 * SECS_PER_DAY)

typedef struct Growth
{
	Oid			database;		/* InvalidOid: free */
	double		bytes;			/* per day */
	TimestampTz at;
} Growth;

static Growth *growths = NULL;	/* NULL: not preloaded */
static LWLock *growths_lock = NULL;
static Growth own_growth;

/* The slope of a week of hours; of less than a day it says nothing. */
#define GROWTH_QUERY \
	"SELECT regr_slope(h.last, extract(epoch FROM h.at)::float8) * 86400" \
	"  FROM dbops.metric_history('size', $1 - interval '7 days', $1, '1 hour', false) h" \
	" WHERE h.last IS NOT NULL HAVING max(h.at) - min(h.at) >= interval '23 hours'"

static bool is_of(const Growth *growth, Oid database);
static void note(Growth growth);
static Growth *find_place(Oid database);

static const DbopsUpkeep upkeep = {
	.name = "growth",
	.every = 3600000,
	.elsewhere = 3600000,
	.run = dbops_growth_ask
};

/* Ask for the shared memory, and to be called. */
void
dbops_growth_init(void)
{
	dbops_shared_request("dbops growth", sizeof(Growth) * MAX_DATABASES, NULL,
						 (void **) &growths, &growths_lock);
	dbops_upkeep_register(&upkeep);
}

double
dbops_growth_per_day(Oid database)
{
	double		bytes = NAN;

	if (dbops_ring_is_own())
		return is_of(&own_growth, database) ? own_growth.bytes : NAN;
	LWLockAcquire(growths_lock, LW_SHARED);
	for (int i = 0; i < MAX_DATABASES; i++)
		if (is_of(&growths[i], database))
			bytes = growths[i].bytes;
	LWLockRelease(growths_lock);
	return bytes;
}

/* And is it of these days? */
static bool
is_of(const Growth *growth, Oid database)
{
	double		age = dbops_health_age(growth->at);

	return growth->database == database && OidIsValid(database) && age >= 0 && age < STALE;
}

/* Ask the history of this database. */
void
dbops_growth_ask(void *arg)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());
	Datum		bytes;

	if (dbops_store_value(GROWTH_QUERY, 1, &now, FLOAT8OID, &bytes))
		note((Growth) {.database = MyDatabaseId,.bytes = DatumGetFloat8(bytes),.at = dbops_clock_now()});
}

static void
note(Growth growth)
{
	if (dbops_ring_is_own())
	{
		own_growth = growth;
		return;
	}
	LWLockAcquire(growths_lock, LW_EXCLUSIVE);
	*find_place(growth.database) = growth;
	LWLockRelease(growths_lock);
}

static Growth *
find_place(Oid database)
{
	Growth	   *place = &growths[0];

	for (int i = 0; i < MAX_DATABASES && place->database != database; i++)
		if (growths[i].database == database || growths[i].at < place->at)
			place = &growths[i];
	return place;
}
