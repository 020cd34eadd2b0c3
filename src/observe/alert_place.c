/*
 * alert_place.c
 *		Which alerts get a place in memory, and which have had none.
 *
 * An alert that is not over keeps its place, since it would be told anew when it
 * came back. So a new one may find none; then nobody is told of it, and that is
 * said: those that were turned away lately are counted, each once. No database
 * takes all places, and some are left to the cluster's alerts, of which one says
 * that others had none.
 *
 * The lock of the memory is held, but where something else is said.
 */
#include "observe/alert_memory.h"

#define LATELY			(2 * ALERT_INTERVAL_ELSEWHERE)	/* s, in which each database is looked at */

/* How the places are taken. */
typedef struct Places
{
	int			first_free;		/* -1: none is */
	int			n_free;
	int			of_cluster;
	int			of_one;			/* the database that asks */
} Places;

static Places count_places(Oid database);
static int	give_way(Oid database, bool own_only);
static bool may_give_way(int i, Oid database, bool own_only);
static AlertUnplaced *find_unplaced(uint64 hash);
static bool is_lately(const AlertUnplaced *unplaced);

/* Choose a place for an alert of a database, or of the cluster; -1: there is none. */
int
dbops_alert_place(Oid database)
{
	AlertMemory *alerts = dbops_alert_memory();
	Places		places = count_places(database);
	bool		own_only = OidIsValid(database) && places.of_one >= ALERTS_OF_ONE;
	int			kept = OidIsValid(database) ? Max(0, ALERTS_OF_CLUSTER - places.of_cluster) : 0;
	int			i;

	if (places.n_free > kept && !own_only)
		return places.first_free;
	if (alerts->full == alerts->turn)
		return -1;
	i = give_way(database, own_only);
	if (i < 0)
		alerts->full = alerts->turn;
	return i;
}

static Places
count_places(Oid database)
{
	const AlertMemory *alerts = dbops_alert_memory();
	Places		places = {.first_free = -1};

	for (int i = ALERTS - 1; i >= 0; i--)
		if (alerts->hashes[i] == 0)
		{
			places.first_free = i;
			places.n_free++;
		}
		else if (!OidIsValid(alerts->owners[i]))
			places.of_cluster++;
		else if (alerts->owners[i] == database)
			places.of_one++;
	return places;
}

/* Find the one that was judged longest ago of those that are over; -1: none is. */
static int
give_way(Oid database, bool own_only)
{
	const AlertMemory *alerts = dbops_alert_memory();
	int			least = -1;

	for (int i = 0; i < ALERTS; i++)
		if (may_give_way(i, database, own_only) &&
			(least < 0 || alerts->entries[i].alert.at < alerts->entries[least].alert.at))
			least = i;
	return least;
}

/* What is the cluster's stays the cluster's. */
static bool
may_give_way(int i, Oid database, bool own_only)
{
	const AlertMemory *alerts = dbops_alert_memory();

	if (alerts->hashes[i] == 0 ||
		(OidIsValid(database) && !OidIsValid(alerts->owners[i])) ||
		(own_only && alerts->owners[i] != database))
		return false;
	return dbops_alert_entry_is_over(&alerts->entries[i]);
}

/* ---- those that had none ---- */

/* Remember one, if need be in the place of the one that was turned away longest ago. */
void
dbops_alert_place_refuse(Oid database, uint64 hash)
{
	AlertMemory *alerts = dbops_alert_memory();
	AlertUnplaced *unplaced = find_unplaced(hash);

	if (unplaced == NULL)
	{
		unplaced = &alerts->unplaced[0];
		for (int i = 1; i < UNPLACED && unplaced->hash != 0; i++)
			if (alerts->unplaced[i].hash == 0 || alerts->unplaced[i].at < unplaced->at)
				unplaced = &alerts->unplaced[i];
	}
	*unplaced = (AlertUnplaced) {.hash = hash, .database = database, .at = dbops_clock_now()};
}

/* It has one now. */
void
dbops_alert_place_give(uint64 hash)
{
	AlertUnplaced *unplaced = find_unplaced(hash);

	if (unplaced != NULL)
		unplaced->hash = 0;
}

static AlertUnplaced *
find_unplaced(uint64 hash)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < UNPLACED; i++)
		if (alerts->unplaced[i].hash == hash)
			return &alerts->unplaced[i];
	return NULL;
}

/* Count those that lately had none, and their databases. The lock is not held. */
int
dbops_alert_unplaced(int *databases)
{
	List	   *seen = NIL;
	int			n = 0;

	*databases = 0;
	if (!dbops_alert_memory_is_there())
		return 0;
	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < UNPLACED; i++)
	{
		const AlertUnplaced *unplaced = &dbops_alert_memory()->unplaced[i];

		if (!is_lately(unplaced))
			continue;
		n++;
		if (OidIsValid(unplaced->database))
			seen = list_append_unique_oid(seen, unplaced->database);
	}
	dbops_alert_memory_unlock();
	*databases = list_length(seen);
	return n;
}

static bool
is_lately(const AlertUnplaced *unplaced)
{
	return unplaced->hash != 0 &&
		dbops_clock_now() - unplaced->at < LATELY * USECS_PER_SEC;
}
