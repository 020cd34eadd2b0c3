/*
 * growth.c
 *		How much each database grows in a day, from its history.
 *
 * To ask the history takes a query, so an upkeep does that once an hour and
 * keeps the answer in shared memory, where reports find it at no cost. What is
 * not known, as before there is a day of history, or without preloading, is not
 * known.
 */
#include "observe/growth.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"

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

/* The slope of a week of hours; of less than a day it says nothing. */
#define GROWTH_QUERY \
	"SELECT regr_slope(h.last, extract(epoch FROM h.at)::float8) * 86400" \
	"  FROM dbops.metric_history('size', $1 - interval '7 days', $1, '1 hour', false) h" \
	" WHERE h.last IS NOT NULL HAVING max(h.at) - min(h.at) >= interval '23 hours'"

static void ask_history(void *arg);
static void note(Oid database, double bytes);

static const DbopsUpkeep upkeep = {
	.name = "growth",
	.every = 3600000,
	.elsewhere = 3600000,
	.run = ask_history
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
	TimestampTz now = dbops_clock_now();
	double		bytes = NAN;

	if (growths == NULL)
		return NAN;
	LWLockAcquire(growths_lock, LW_SHARED);
	for (int i = 0; i < MAX_DATABASES; i++)
		if (growths[i].database == database && OidIsValid(database) &&
			now - growths[i].at < STALE * USECS_PER_SEC)
			bytes = growths[i].bytes;
	LWLockRelease(growths_lock);
	return bytes;
}

static void
ask_history(void *arg)
{
	DbopsParam	now = dbops_param_time(dbops_clock_now());
	Datum		bytes;

	if (dbops_store_value(GROWTH_QUERY, 1, &now, FLOAT8OID, &bytes))
		note(MyDatabaseId, DatumGetFloat8(bytes));
}

static void
note(Oid database, double bytes)
{
	Growth	   *place;

	if (growths == NULL)
		return;
	LWLockAcquire(growths_lock, LW_EXCLUSIVE);
	place = &growths[0];
	for (int i = 0; i < MAX_DATABASES && place->database != database; i++)
		if (growths[i].database == database || growths[i].at < place->at)
			place = &growths[i];
	*place = (Growth) {.database = database, .bytes = bytes, .at = dbops_clock_now()};
	LWLockRelease(growths_lock);
}
