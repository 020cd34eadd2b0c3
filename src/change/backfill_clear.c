/*
 * backfill_clear.c
 *		Find the triggers that a backfill has put on tables, and take them away.
 *
 * They are found by the job's number in their name, wherever they stand: the
 * tables may have been renamed, detached or dropped since.
 */
#include "change/change.h"

#include "core/server.h"

#include "catalog/pg_type.h"
#include "common/pg_prng.h"
#include "miscadmin.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* One of them. */
typedef struct OwnTrigger
{
	Oid			relid;
	char	   *name;
} OwnTrigger;

static List *triggers_of(int64 job);
static void take_trigger(HeapTuple row, TupleDesc desc, void *arg);
static char *holders(Oid relid);
static OwnTrigger *drop_all(int64 job);

/* The name of a job's trigger; what: sync or another word for its purpose. */
char *
dbops_backfill_trigger_name(const char *what, int64 job)
{
	return psprintf("dbops_%s_" INT64_FORMAT, what, job);
}

/* Drop them at the end of a run; false if that is to be tried again in the next step. */
bool
dbops_backfill_triggers_clear(BackfillRun *run, DbopsStep *step)
{
	OwnTrigger *left = drop_all(run->job->id);

	if (left == NULL)
		return true;
	dbops_backfill_await_table(run, step, left->relid);
	return false;
}

/*
 * Note that a step could not have a table's lock, and have it tried again; the
 * time is never the same, so as not to meet the same others again.
 */
void
dbops_backfill_await_table(BackfillRun *run, DbopsStep *step, Oid relid)
{
	char	   *table = dbops_backfill_table_name(relid);
	LOCKTAG		tag;
	char	   *holder;

	SET_LOCKTAG_RELATION(tag, MyDatabaseId, relid);
	holder = dbops_blocker(&tag, ShareRowExclusiveLock);
	if (!dbops_backfill_is_patient(run, run->table_waited))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s has been locked by other sessions for %ld s",
						table, run->table_waited / 1000),
				 holder != NULL ? errdetail_internal("%s", holder) : 0,
				 errhint("Make the same call again when they have left it. %s", dbops_backfill_who(table, "SHARE ROW EXCLUSIVE"))));
	if (run->table_waited == 0 && run->job->foreground)
		ereport(NOTICE,
				(errmsg("waiting for a lock on table %s that another session holds", table),
				 holder != NULL ? errdetail_internal("%s", holder) : 0));
	step->pause = (long) (BACKFILL_TABLE_WAIT * (0.5 + pg_prng_double(&pg_global_prng_state)));
	step->waiting = psprintf("for a lock on table %s that another session holds%s%s", table,
							 holder != NULL ? ": " : "", holder != NULL ? holder : "");
	run->table_waited += step->pause + dbops_polite_lock_wait();
}

/* Drop those of a job that ends without success; returns what could not be dropped, and why, or NULL. */
const char *
dbops_backfill_triggers_abandon(int64 job, long patience)
{
	OwnTrigger *left;
	long		waited = 0;

	for (;;)
	{
		left = drop_all(job);
		if (left == NULL || waited >= patience)
			break;
		dbops_clock_wait(BACKFILL_TABLE_WAIT);
		waited += BACKFILL_TABLE_WAIT + dbops_polite_lock_wait();
	}
	if (left == NULL)
		return NULL;
	return psprintf("trigger %s of table %s could not be dropped because of the locks of %s",
					left->name, dbops_backfill_table_name(left->relid), holders(left->relid));
}

/* Who has locked a table, or one below it. */
static char *
holders(Oid relid)
{
	DbopsParam	param = dbops_param_oid(relid);
	Datum		names;

	if (!dbops_query_value("WITH RECURSIVE tree (relid) AS (SELECT $1 UNION"
						   " SELECT i.inhrelid FROM tree JOIN pg_inherits i ON i.inhparent = tree.relid)"
						   " SELECT string_agg(coalesce('session ' || h.pid, 'a prepared transaction'), ', ')"
						   " FROM (SELECT DISTINCT l.pid FROM pg_locks l JOIN tree ON l.relation = tree.relid"
						   " WHERE l.locktype = 'relation' AND l.granted AND l.pid IS DISTINCT FROM pg_backend_pid()"
						   " AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())"
						   " ORDER BY l.pid LIMIT 3) h",
						   1, &param, TEXTOID, &names))
		return "others";
	return TextDatumGetCString(names);
}

/* Which trigger of a job stays while the job stands still; NULL: none. */
const char *
dbops_backfill_triggers_kept(int64 job)
{
	List	   *triggers = triggers_of(job);
	OwnTrigger *first;

	if (triggers == NIL)
		return NULL;
	first = linitial(triggers);
	return psprintf("trigger %s stays on table %s until the job ends", first->name, dbops_backfill_table_name(first->relid));
}

/* The triggers of a job (OwnTrigger *); clones are those of their parents. */
static List *
triggers_of(int64 job)
{
	DbopsParam	param = dbops_param_text(psprintf("^dbops_[a-z]+_" INT64_FORMAT "$", job));
	List	   *triggers = NIL;

	dbops_query_each("SELECT t.tgrelid, t.tgname::text FROM pg_trigger t"
					 " JOIN pg_proc p ON p.oid = t.tgfoid"
					 " JOIN pg_namespace n ON n.oid = p.pronamespace"
					 " WHERE t.tgname::text ~ $1 AND n.nspname = 'dbops' AND t.tgparentid = 0 AND NOT t.tgisinternal"
					 " ORDER BY t.tgrelid, t.tgname",
					 1, &param, take_trigger, &triggers);
	return triggers;
}

static void
take_trigger(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **triggers = arg;
	OwnTrigger *trigger = palloc(sizeof(OwnTrigger));

	trigger->relid = dbops_row_oid(row, desc, 1);
	trigger->name = dbops_row_text(row, desc, 2);
	*triggers = lappend(*triggers, trigger);
}

/* Drop as many of a job's as can be; returns one that could not, or NULL. */
static OwnTrigger *
drop_all(int64 job)
{
	List	   *triggers = triggers_of(job);
	OwnTrigger *left = NULL;
	ListCell   *cell;

	foreach(cell, triggers)
	{
		OwnTrigger *trigger = lfirst(cell);

		if (!dbops_backfill_trigger_drop(trigger->relid, trigger->name))
			left = trigger;
	}
	if (left == NULL)
	{
		dbops_backfill_sync_forget(job);
		dbops_trigger_revoke();
	}
	return left;
}

/* How messages name a table, which may be gone: then by its number. */
char *
dbops_backfill_table_name(Oid relid)
{
	return get_rel_name(relid) == NULL ? psprintf("%u", relid) : dbops_quote_relation(relid);
}
