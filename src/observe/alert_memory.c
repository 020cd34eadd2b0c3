/*
 * alert_memory.c
 *		The alerts that there are.
 *
 * The launcher judges and cannot write; a scheduler writes. Between them stands
 * this memory: every alert that is not simply ok, and beside them the news that
 * a database has yet to write down and tell (alert_news.c). A table in each
 * database has what outlives the server (alert_loaded.c). On a standby nobody
 * loads or stores; what is told there goes to the log, and after a promotion the
 * table is loaded and what it does not have yet is told.
 *
 * When there is no room an alert that is over gives way, and none that is not:
 * it would be told anew. A new one has no place then (alert_place.c).
 *
 * A session has a memory of its own where dbops is not preloaded, and when it
 * has set a time that the server's own processes do not follow.
 */
#include "observe/alert_memory.h"
#include "observe/shared_text.h"

#include "common/hashfn.h"
#include "mb/pg_wchar.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"

static AlertMemory *shared_memory = NULL;	/* or NULL */
static LWLock *shared_lock = NULL;
static AlertMemory *own_memory = NULL;

static void prepare(void *place);
static int	find(uint64 hash);
static uint64 hash_key(Oid database, const char *key);
static void take_entry(const AlertEntry *stored);

/* Ask for the shared memory. */
void
dbops_alert_memory_init(void)
{
	dbops_shared_request("dbops alerts", sizeof(AlertMemory), prepare,
						 (void **) &shared_memory, &shared_lock);
}

/* Called anew after a crash, which is a start like any other. */
static void
prepare(void *place)
{
	AlertMemory *memory = place;

	memory->began = GetCurrentTimestamp();
	memory->next_number = 1;
}

/* Does this session have a memory of its own? */
bool
dbops_alert_memory_is_own(void)
{
	return shared_memory == NULL ||
		(dbops_test_now > 0 && !dbops_test_clock && !AmBackgroundWorkerProcess());
}

/* The memory that this process uses. */
AlertMemory *
dbops_alert_memory(void)
{
	if (!dbops_alert_memory_is_own())
		return shared_memory;
	if (own_memory == NULL)
	{
		own_memory = MemoryContextAllocZero(TopMemoryContext, sizeof(AlertMemory));
		own_memory->began = PgStartTime;
		own_memory->next_number = 1;
	}
	return own_memory;
}

/* Has this process one already? A session does not make its own to find that it is empty. */
bool
dbops_alert_memory_is_there(void)
{
	return !dbops_alert_memory_is_own() || own_memory != NULL;
}

/* Begin anew with what the table says, which a rollback may have changed. */
void
dbops_alert_memory_forget_own(void)
{
	if (own_memory != NULL)
		pfree(own_memory);
	own_memory = NULL;
}

void
dbops_alert_memory_lock(LWLockMode mode)
{
	if (!dbops_alert_memory_is_own())
		LWLockAcquire(shared_lock, mode);
}

void
dbops_alert_memory_unlock(void)
{
	if (!dbops_alert_memory_is_own())
		LWLockRelease(shared_lock);
}

/* ---- alerts, with the lock held ---- */

uint32
dbops_alert_memory_next_turn(void)
{
	return ++dbops_alert_memory()->turn;
}

AlertEntry *
dbops_alert_memory_find(Oid database, const char *key)
{
	int			i = find(hash_key(database, key));

	return (i < 0) ? NULL : &dbops_alert_memory()->entries[i];
}

static int
find(uint64 hash)
{
	const AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] == hash)
			return i;
	return -1;
}

/* Never 0, which marks what is free. */
static uint64
hash_key(Oid database, const char *key)
{
	return hash_bytes_extended((const unsigned char *) key, strlen(key), database) | 1;
}

/* Find the alert about something, or make one that is ok and says what was found; NULL: there is no place for it. */
AlertEntry *
dbops_alert_memory_take(Oid database, const AlertSubject *subject)
{
	AlertMemory *alerts = dbops_alert_memory();
	uint64		hash = hash_key(database, subject->key);
	int			i = find(hash);

	if (i >= 0)
		return &alerts->entries[i];
	i = dbops_alert_place(database);
	if (i < 0)
	{
		dbops_alert_place_refuse(database, hash);
		return NULL;
	}
	dbops_alert_place_give(hash);
	alerts->hashes[i] = hash;
	alerts->owners[i] = database;
	alerts->entries[i] = (AlertEntry) {.database = database};
	dbops_alert_entry_describe(&alerts->entries[i], subject);
	return &alerts->entries[i];
}

/* Has all that will happen to it been stored? */
bool
dbops_alert_entry_is_over(const AlertEntry *entry)
{
	return !dbops_alert_entry_lives(entry) && entry->version == entry->stored;
}

/* Is there anything left to happen to it? */
bool
dbops_alert_entry_lives(const AlertEntry *entry)
{
	return entry->alert.told != DBOPS_OK || entry->alert.unknown_since != 0 ||
		(entry->alert.state != ALERT_OK && entry->alert.state != ALERT_RESOLVED);
}

/* Have an alert say what was found. */
void
dbops_alert_entry_describe(AlertEntry *entry, const AlertSubject *subject)
{
	entry->objects = subject->objects;
	entry->encoding = GetDatabaseEncoding();
	entry->has_object = (subject->object != NULL);
	dbops_shared_text_put(entry->check_name, subject->check_name, ALERT_CHECK_BYTES);
	dbops_shared_text_put(entry->object, subject->object, ALERT_OBJECT_BYTES);
	dbops_shared_text_put(entry->message, subject->message, ALERT_TEXT_BYTES);
	dbops_shared_text_put(entry->remedy, subject->remedy, ALERT_TEXT_BYTES);
	dbops_shared_text_put(entry->unit, subject->unit, ALERT_UNIT_BYTES);
}

void
dbops_alert_memory_each(void (*each) (AlertEntry *entry, void *arg), void *arg)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0)
			each(&alerts->entries[i], arg);
}

/* Forget what has become as if it never was. */
void
dbops_alert_memory_sweep(void)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && alerts->entries[i].alert.state == ALERT_OK &&
			dbops_alert_entry_is_over(&alerts->entries[i]))
			alerts->hashes[i] = 0;
}

/* ---- for who writes ---- */

/* Does a database keep the alerts of another, or of the cluster? */
bool
dbops_alert_concerns(Oid database, bool home, Oid entry_database)
{
	return entry_database == database || (home && !OidIsValid(entry_database));
}

/* Copies of the alerts whose row in the table is not up to date. */
List *
dbops_alert_memory_unstored(Oid database, bool home)
{
	AlertMemory *alerts = dbops_alert_memory();
	List	   *unstored = NIL;
	AlertEntry *copies = palloc_extended(sizeof(AlertEntry) * ALERTS, MCXT_ALLOC_HUGE);
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && dbops_alert_concerns(database, home, alerts->entries[i].database) &&
			alerts->entries[i].version != alerts->entries[i].stored)
			copies[n++] = alerts->entries[i];
	dbops_alert_memory_unlock();
	for (int i = 0; i < n; i++)
		unstored = lappend(unstored, &copies[i]);
	return unstored;
}

/* Copies of all alerts of a database and of the cluster. */
List *
dbops_alert_memory_copy(Oid database)
{
	AlertMemory *alerts = dbops_alert_memory();
	List	   *all = NIL;
	AlertEntry *copies = palloc_extended(sizeof(AlertEntry) * ALERTS, MCXT_ALLOC_HUGE);
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && dbops_alert_concerns(database, true, alerts->entries[i].database))
			copies[n++] = alerts->entries[i];
	dbops_alert_memory_unlock();
	for (int i = 0; i < n; i++)
		all = lappend(all, &copies[i]);
	return all;
}

/* Copies of what databases other than this one have been told that it fires. */
List *
dbops_alert_memory_told_elsewhere(void)
{
	AlertMemory *alerts = dbops_alert_memory();
	List	   *told = NIL;
	AlertEntry *copies = palloc_extended(sizeof(AlertEntry) * ALERTS, MCXT_ALLOC_HUGE);
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && OidIsValid(alerts->owners[i]) && alerts->owners[i] != MyDatabaseId &&
			alerts->entries[i].alert.told != DBOPS_OK)
			copies[n++] = alerts->entries[i];
	dbops_alert_memory_unlock();
	for (int i = 0; i < n; i++)
		told = lappend(told, &copies[i]);
	return told;
}

/* Alerts (AlertEntry *) have been stored. Nothing here may fail. */
void
dbops_alert_memory_stored(const List *stored)
{
	ListCell   *cell;

	dbops_alert_memory_lock(LW_EXCLUSIVE);
	foreach(cell, stored)
		take_entry(lfirst(cell));
	dbops_alert_memory_unlock();
}

/* What has changed since it was copied is yet to be stored. */
static void
take_entry(const AlertEntry *stored)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && alerts->entries[i].database == stored->database &&
			strcmp(alerts->entries[i].check_name, stored->check_name) == 0 &&
			strcmp(alerts->entries[i].object, stored->object) == 0 &&
			alerts->entries[i].has_object == stored->has_object)
			alerts->entries[i].stored = Max(alerts->entries[i].stored, stored->version);
}
