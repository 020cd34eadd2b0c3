/*
 * alert_memory.c
 *		The alerts that there are, and what is to be told of them.
 *
 * The launcher judges and cannot write; a scheduler writes. Between them stands
 * this memory: every alert that is not simply ok, and the news that a database
 * has yet to write down and tell. A table in each database has what outlives
 * the server: it is loaded before the launcher judges anything of that
 * database, so that nothing fires again. On a standby nobody loads or stores;
 * what is told there goes to the log, and after a promotion the table is loaded
 * and what it does not have yet is told.
 *
 * When there is no room an alert that is over gives way, then the one that was
 * judged longest ago. News that do not fit are not lost for good: their alert is
 * again as if it had not been told of them, so that the next look tells it.
 *
 * A session has a memory of its own where dbops is not preloaded, and when it
 * has set a time that the server's own processes do not follow.
 */
#include "observe/alert.h"
#include "observe/shared_text.h"

#include "access/xlog.h"
#include "common/hashfn.h"
#include "miscadmin.h"
#include "postmaster/bgworker.h"
#include "utils/memutils.h"

#define ALERTS			1024
#define NEWS			256
#define LOADED			512		/* databases; then the first is loaded again */

typedef struct AlertMemory
{
	TimestampTz began;			/* the server was started or promoted */
	uint32		turn;
	uint64		next_number;	/* of news */
	int			n_loaded;
	int			next_loaded;	/* to give way when there are LOADED */
	Oid			loaded[LOADED]; /* InvalidOid: the cluster's are */
	uint64		hashes[ALERTS]; /* 0: the entry is free */
	AlertEntry	entries[ALERTS];
	AlertNews	news[NEWS];
} AlertMemory;

static AlertMemory *shared_memory = NULL;	/* or NULL */
static LWLock *shared_lock = NULL;
static AlertMemory *own_memory = NULL;

static void prepare(void *place);
static AlertMemory *memory(void);
static int	find(uint64 hash);
static uint64 hash_key(Oid database, const char *key);
static int	give_way(void);
static bool is_over(const AlertEntry *entry);
static AlertNews *free_news(void);
static void take_back(const AlertNews *news);
static void forget_loaded(Oid database);
static int	pack(char *place, const List *details);
static bool concerns(Oid database, bool home, Oid entry_database);
static void take_news(const AlertNews *taken, bool own, bool home);
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

static AlertMemory *
memory(void)
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

/* ---- since when ---- */

/* When the server was started, or promoted. */
TimestampTz
dbops_alert_memory_began(void)
{
	return memory()->began;
}

/* The server has been promoted: what the tables say is to be loaded. */
void
dbops_alert_memory_begin_anew(TimestampTz now)
{
	dbops_alert_memory_lock(LW_EXCLUSIVE);
	memory()->began = now;
	memory()->n_loaded = 0;
	dbops_alert_memory_unlock();
}

/* Is what the table of a database said about its own, or the cluster's, here? */
bool
dbops_alert_memory_is_loaded(Oid database)
{
	const AlertMemory *alerts = memory();
	bool		found = false;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < alerts->n_loaded; i++)
		found |= (alerts->loaded[i] == database);
	dbops_alert_memory_unlock();
	return found;
}

/* The lock is held, as in all that follow up to the next heading. */
void
dbops_alert_memory_set_loaded(Oid database)
{
	AlertMemory *alerts = memory();

	forget_loaded(database);
	if (alerts->n_loaded < LOADED)
		alerts->loaded[alerts->n_loaded++] = database;
	else
		alerts->loaded[alerts->next_loaded++ % LOADED] = database;
}

static void
forget_loaded(Oid database)
{
	AlertMemory *alerts = memory();

	for (int i = 0; i < alerts->n_loaded; i++)
		if (alerts->loaded[i] == database)
		{
			alerts->loaded[i] = alerts->loaded[--alerts->n_loaded];
			return;
		}
}

/* ---- alerts, with the lock held ---- */

uint32
dbops_alert_memory_next_turn(void)
{
	return ++memory()->turn;
}

AlertEntry *
dbops_alert_memory_find(Oid database, const char *key)
{
	int			i = find(hash_key(database, key));

	return (i < 0) ? NULL : &memory()->entries[i];
}

static int
find(uint64 hash)
{
	const AlertMemory *alerts = memory();

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

/* Find the alert about something, or make one that is ok and says what was found. */
AlertEntry *
dbops_alert_memory_take(Oid database, const AlertSubject *subject)
{
	AlertMemory *alerts = memory();
	uint64		hash = hash_key(database, subject->key);
	int			i = find(hash);

	if (i < 0)
	{
		i = find(0);
		if (i < 0)
			i = give_way();
		alerts->hashes[i] = hash;
		alerts->entries[i] = (AlertEntry) {.database = database};
		dbops_alert_entry_describe(&alerts->entries[i], subject);
	}
	return &alerts->entries[i];
}

/* Choose the entry that is missed least. */
static int
give_way(void)
{
	AlertMemory *alerts = memory();
	int			least = 0;

	for (int i = 1; i < ALERTS; i++)
	{
		const AlertEntry *a = &alerts->entries[i];
		const AlertEntry *b = &alerts->entries[least];

		if (is_over(a) != is_over(b) ? is_over(a) : a->alert.at < b->alert.at)
			least = i;
	}
	return least;
}

static bool
is_over(const AlertEntry *entry)
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
	AlertMemory *alerts = memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0)
			each(&alerts->entries[i], arg);
}

/* Forget what has become as if it never was. */
void
dbops_alert_memory_sweep(void)
{
	AlertMemory *alerts = memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && alerts->entries[i].alert.state == ALERT_OK &&
			is_over(&alerts->entries[i]))
			alerts->hashes[i] = 0;
}

/*
 * Have what happened to an alert written down and told. Which database is home
 * may not be known yet, or change until then, so that home is asked in any case.
 */
void
dbops_alert_memory_announce(const AlertEntry *entry, const AlertStep *step, const List *details,
							TimestampTz now)
{
	AlertMemory *alerts = memory();
	AlertNews  *news = free_news();

	news->number = alerts->next_number++;
	news->at = now;
	news->step = *step;
	news->entry = *entry;
	news->for_own = true;
	news->for_home = OidIsValid(entry->database) && !dbops_alert_memory_is_own();
	news->detail_bytes = pack(news->details, details);
}

/* A free place, if need be by losing the oldest. */
static AlertNews *
free_news(void)
{
	AlertMemory *alerts = memory();
	AlertNews  *oldest = &alerts->news[0];

	for (int i = 0; i < NEWS; i++)
	{
		if (alerts->news[i].number == 0)
			return &alerts->news[i];
		if (alerts->news[i].number < oldest->number)
			oldest = &alerts->news[i];
	}
	if (oldest->for_own)
		take_back(oldest);
	return oldest;
}

/* What is not delivered has not been told: have the next look at its alert tell the difference. */
static void
take_back(const AlertNews *news)
{
	AlertEntry *entry = dbops_alert_memory_find(news->entry.database, dbops_alert_key(&news->entry));

	if (entry == NULL || !news->step.tell || news->step.event == ALERT_REPEATS)
		return;
	entry->alert.told = news->step.before;
	entry->version++;
}

/* Write texts one after the other, each with its end, as many as there is room for. */
static int
pack(char *place, const List *details)
{
	int			used = 0;
	ListCell   *cell;

	foreach(cell, details)
	{
		int			left = Min(ALERT_DETAIL_BYTES - used, ALERT_TEXT_BYTES);

		if (left < 2)
			break;
		dbops_shared_text_put(place + used, lfirst(cell), left);
		used += strlen(place + used) + 1;
	}
	return used;
}

/* ---- for who writes and tells ---- */

/* Copies of the news that a database has yet to take, the oldest first. */
List *
dbops_alert_memory_news(Oid database, bool home)
{
	AlertMemory *alerts = memory();
	AlertNews  *copies = palloc(sizeof(AlertNews) * NEWS);
	List	   *news = NIL;
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < NEWS; i++)
	{
		const AlertNews *one = &alerts->news[i];

		if (one->number != 0 &&
			((one->for_own && concerns(database, home, one->entry.database)) || (one->for_home && home)))
			copies[n++] = *one;
	}
	dbops_alert_memory_unlock();
	for (int i = 0; i < n; i++)
		news = lappend(news, &copies[i]);
	return news;
}

/* Does a database keep the alerts of another, or of the cluster? */
static bool
concerns(Oid database, bool home, Oid entry_database)
{
	return entry_database == database || (home && !OidIsValid(entry_database));
}

/* Copies of the alerts whose row in the table is not up to date. */
List *
dbops_alert_memory_unstored(Oid database, bool home)
{
	AlertMemory *alerts = memory();
	List	   *unstored = NIL;
	AlertEntry *copies = palloc_extended(sizeof(AlertEntry) * ALERTS, MCXT_ALLOC_HUGE);
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && concerns(database, home, alerts->entries[i].database) &&
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
	AlertMemory *alerts = memory();
	List	   *all = NIL;
	AlertEntry *copies = palloc_extended(sizeof(AlertEntry) * ALERTS, MCXT_ALLOC_HUGE);
	int			n = 0;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && concerns(database, true, alerts->entries[i].database))
			copies[n++] = alerts->entries[i];
	dbops_alert_memory_unlock();
	for (int i = 0; i < n; i++)
		all = lappend(all, &copies[i]);
	return all;
}

/* A database has taken news and stored alerts. Nothing here may fail. */
void
dbops_alert_memory_taken(const List *news, const List *stored, Oid database, bool home)
{
	ListCell   *cell;

	dbops_alert_memory_lock(LW_EXCLUSIVE);
	foreach(cell, news)
		take_news(lfirst(cell), concerns(database, home, ((const AlertNews *) lfirst(cell))->entry.database), home);
	foreach(cell, stored)
		take_entry(lfirst(cell));
	dbops_alert_memory_unlock();
}

/* Its own database has taken it, or home has heard of it, or both where they are the same. */
static void
take_news(const AlertNews *taken, bool own, bool home)
{
	AlertMemory *alerts = memory();

	for (int i = 0; i < NEWS; i++)
	{
		AlertNews  *news = &alerts->news[i];

		if (news->number != taken->number)
			continue;
		if (own)
			news->for_own = false;
		if (home)
			news->for_home = false;
		if (!news->for_own && !news->for_home)
			news->number = 0;
	}
}

/* What has changed since it was copied is yet to be stored. */
static void
take_entry(const AlertEntry *stored)
{
	AlertMemory *alerts = memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && alerts->entries[i].database == stored->database &&
			strcmp(alerts->entries[i].check_name, stored->check_name) == 0 &&
			strcmp(alerts->entries[i].object, stored->object) == 0 &&
			alerts->entries[i].has_object == stored->has_object)
			alerts->entries[i].stored = Max(alerts->entries[i].stored, stored->version);
}

/* The databases whose alerts are loaded: those that have dbops. */
List *
dbops_alert_memory_databases(void)
{
	const AlertMemory *alerts = memory();
	List	   *databases = NIL;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < alerts->n_loaded; i++)
		if (OidIsValid(alerts->loaded[i]))
			databases = lappend_oid(databases, alerts->loaded[i]);
	dbops_alert_memory_unlock();
	return databases;
}

/* The databases that have news to take. */
List *
dbops_alert_memory_waited_for(void)
{
	const AlertMemory *alerts = memory();
	Oid			home = dbops_home_database();
	List	   *databases = NIL;

	dbops_alert_memory_lock(LW_SHARED);
	for (int i = 0; i < NEWS; i++)
	{
		const AlertNews *news = &alerts->news[i];

		if (news->number == 0)
			continue;
		if (news->for_own)
			databases = list_append_unique_oid(databases, OidIsValid(news->entry.database) ?
											   news->entry.database : home);
		if (news->for_home)
			databases = list_append_unique_oid(databases, home);
	}
	dbops_alert_memory_unlock();
	return list_delete_oid(databases, InvalidOid);
}
