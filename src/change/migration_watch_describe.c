/*
 * migration_watch_describe.c
 *		Put into words what was seen and heard of a statement that has ended.
 *
 * This looks objects up by their names, and so may fail where the statement did
 * not; then the receipt says so, and the statement stands.
 */
#include "change/migration_watch.h"

#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"

/* A watch that has ended, and where it is to be described. */
typedef struct Description
{
	Watch	   *watch;
	MigrationReceipt *receipt;
} Description;

static void try_to_describe(void *arg);
static bool writes_rows(const MigrationReceipt *receipt);
static Jsonb *describe_locks(Watch *watch);
static bool is_told(Watch *watch, const HeldLock *lock, const List *touched);
static const char *relation_name(Watch *watch, Oid relid);
static const char *strongest_mode(LOCKMASK modes);
static Jsonb *describe_objects(Watch *watch, const MigrationEffects *effects);

/* Put into words what was seen and heard. The statement does not fail where that does. */
void
dbops_watch_describe(Watch *watch, MigrationReceipt *receipt)
{
	Description description = {.watch = watch, .receipt = receipt};
	ErrorData  *error;

	receipt->notices = dbops_watch_notices(watch);
	if (!dbops_attempt(try_to_describe, &description, &error))
		receipt->notices = lappend(receipt->notices,
								   psprintf("WARNING: what the statement has done cannot be described: %s",
											error->message));
}

static void
try_to_describe(void *arg)
{
	Watch	   *watch = ((Description *) arg)->watch;
	MigrationReceipt *receipt = ((Description *) arg)->receipt;
	MigrationEffects effects = dbops_effects_find(&watch->told, watch->before,
												  watch->seen, &watch->events);

	if (watch->events.rows_written)
		effects.worst = Max(effects.worst, EFFECT_ROWS);
	if (watch->writes)
		effects.worst = Max(effects.worst, writes_rows(receipt) ? EFFECT_ROWS : EFFECT_METADATA);
	receipt->effect = dbops_effect_name(effects.worst);
	receipt->locks = describe_locks(watch);
	receipt->objects = describe_objects(watch, &effects);
}

/* CREATE TABLE AS and the like: what is written is in no table that was there before. */
static bool
writes_rows(const MigrationReceipt *receipt)
{
	return receipt->rows > 0 && receipt->command != NULL &&
		strcmp(receipt->command, "SELECT") != 0;
}

/* Tell the strongest mode held on each relation that the statement has locked or worked at. */
static Jsonb *
describe_locks(Watch *watch)
{
	List	   *touched = dbops_objects_touched(&watch->events);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	for (int i = 0; i < watch->seen->n; i++)
	{
		const HeldLock *lock = &watch->seen->locks[i];

		if (is_told(watch, lock, touched))
			dbops_json_text(&json, relation_name(watch, lock->relid),
							strongest_mode(lock->modes));
	}
	return dbops_json_finish(&json);
}

/*
 * Left out are relations that nobody else knows yet, and locks that no reader
 * or writer waits for where they are on something that is not used by name.
 */
static bool
is_told(Watch *watch, const HeldLock *lock, const List *touched)
{
	bool		weak = lock->modes < LOCKBIT_ON(ShareUpdateExclusiveLock);
	char		kind = get_rel_relkind(lock->relid);

	if ((lock->modes & ~dbops_locks_on(watch->before, lock->relid)) == 0 &&
		!list_member_oid(touched, lock->relid))
		return false;
	if (kind == '\0')
		return dbops_objects_dropped_relation(&watch->events, lock->relid) != NULL;
	if (IsToastNamespace(get_rel_namespace(lock->relid)) || dbops_relation_is_new(lock->relid))
		return false;
	return !weak || !(kind == RELKIND_INDEX || kind == RELKIND_PARTITIONED_INDEX ||
					  IsCatalogNamespace(get_rel_namespace(lock->relid)));
}

/* As it is called now, or, when it was dropped, as it was called then. */
static const char *
relation_name(Watch *watch, Oid relid)
{
	const char *dropped = dbops_objects_dropped_relation(&watch->events, relid);

	return dropped != NULL ? dropped : dbops_quote_relation(relid);
}

static const char *
strongest_mode(LOCKMASK modes)
{
	LOCKMODE	mode = MaxLockMode;

	while ((modes & LOCKBIT_ON(mode)) == 0)
		mode--;
	return GetLockmodeName(DEFAULT_LOCKMETHOD, mode);
}

static Jsonb *
describe_objects(Watch *watch, const MigrationEffects *effects)
{
	ObjectNames names = dbops_objects_name(&watch->events);
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_texts(&json, "created", names.created);
	dbops_json_texts(&json, "changed", watch->writes ? names.changed : NIL);
	dbops_json_texts(&json, "dropped", names.dropped);
	dbops_json_texts(&json, "scanned", dbops_names_sort(effects->scanned));
	dbops_json_texts(&json, "rewritten", dbops_names_sort(effects->rewritten));
	dbops_json_texts(&json, "indexed", dbops_names_sort(effects->indexed));
	dbops_json_texts(&json, "proved", dbops_names_sort(effects->proved));
	return dbops_json_finish(&json);
}
