/*
 * alert_loaded.c
 *		Whose alerts are in memory as their table has them, and since when.
 *
 * Nothing is judged of a database before it is known what was told of it: then
 * its table has been loaded. That counts for one table: when dbops is created
 * anew, or another database becomes home, what is told is to be written down
 * there. A database that is gone, or has dbops no more, is forgotten.
 */
#include "observe/alert_memory.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"

static const AlertLoaded *find_loaded(Oid database);
static void forget_entries(Oid database);
static void store_again(AlertEntry *entry, void *unused);

/* When the server was started, or promoted. */
TimestampTz
dbops_alert_memory_began(void)
{
	return dbops_alert_memory()->began;
}

/* The server has been promoted: what the tables say is to be loaded. */
void
dbops_alert_memory_begin_anew(TimestampTz now)
{
	dbops_alert_memory_lock(LW_EXCLUSIVE);
	dbops_alert_memory()->began = now;
	dbops_alert_memory()->n_loaded = 0;
	dbops_alert_memory_unlock();
}

/* On a standby, is it known what the home database says is not to be told? */
bool
dbops_alert_home_is_read(void)
{
	bool		known;

	dbops_alert_memory_lock(LW_SHARED);
	known = dbops_alert_memory()->home_is_read;
	dbops_alert_memory_unlock();
	return known;
}

void
dbops_alert_note_home_read(void)
{
	dbops_alert_memory_lock(LW_EXCLUSIVE);
	dbops_alert_memory()->home_is_read = true;
	dbops_alert_memory_unlock();
}

/* Is it known what was told of a database's alerts, or of the cluster's? */
bool
dbops_alert_is_loaded(Oid database)
{
	bool		found;

	dbops_alert_memory_lock(LW_SHARED);
	found = (find_loaded(database) != NULL);
	dbops_alert_memory_unlock();
	return found;
}

/* A database is gone, or has dbops no more. Nothing here may fail. */
void
dbops_alert_forget(Oid database)
{
	if (dbops_alert_memory_is_own())
		return;
	dbops_alert_memory_lock(LW_EXCLUSIVE);
	forget_entries(database);
	dbops_alert_unload(database);
	dbops_alert_memory_unlock();
	dbops_alert_silence_forget(database);
}

/* ---- for this database's table ---- */

/* The table of this database that has its alerts. */
Oid
dbops_alert_table(void)
{
	return get_relname_relid("alert", get_namespace_oid("dbops", false));
}

/* Is what the table of this database says of its own alerts, or of the cluster's, here? */
bool
dbops_alert_is_loaded_here(Oid database)
{
	Oid			table = dbops_alert_table();
	const AlertLoaded *loaded;
	bool		same;

	dbops_alert_memory_lock(LW_SHARED);
	loaded = find_loaded(database);
	same = (loaded != NULL && loaded->keeper == MyDatabaseId && loaded->table == table);
	dbops_alert_memory_unlock();
	return same;
}

/*
 * What the table says is about to be loaded; false: somebody else has done so.
 * What is in memory from another one is not this database's, if that was of a
 * former installation; the cluster's alerts go on, and are all to be stored here.
 * The lock is held.
 */
bool
dbops_alert_set_loaded(Oid database, Oid table)
{
	AlertMemory *alerts = dbops_alert_memory();
	AlertLoaded here = {.database = database,.keeper = MyDatabaseId,.table = table};
	const AlertLoaded *before = find_loaded(database);

	if (before != NULL && before->keeper == here.keeper && before->table == table)
		return false;
	if (before != NULL && OidIsValid(database))
		forget_entries(database);
	else if (before != NULL)
		dbops_alert_memory_each(store_again, NULL);
	dbops_alert_unload(database);
	if (alerts->n_loaded < LOADED)
		alerts->loaded[alerts->n_loaded++] = here;
	else
		alerts->loaded[alerts->next_loaded++ % LOADED] = here;
	return true;
}

/* The lock is held, as in all that follow. NULL: nothing is loaded. */
static const AlertLoaded *
find_loaded(Oid database)
{
	const AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < alerts->n_loaded; i++)
		if (alerts->loaded[i].database == database)
			return &alerts->loaded[i];
	return NULL;
}

/* What was told of a database is not known any more. */
void
dbops_alert_unload(Oid database)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < alerts->n_loaded; i++)
		if (alerts->loaded[i].database == database)
		{
			alerts->loaded[i] = alerts->loaded[--alerts->n_loaded];
			return;
		}
}

static void
forget_entries(Oid database)
{
	AlertMemory *alerts = dbops_alert_memory();

	for (int i = 0; i < ALERTS; i++)
		if (alerts->hashes[i] != 0 && alerts->entries[i].database == database)
			alerts->hashes[i] = 0;
	dbops_alert_news_forget(database);
}

static void
store_again(AlertEntry *entry, void *unused)
{
	if (!OidIsValid(entry->database))
		entry->version++;
}
