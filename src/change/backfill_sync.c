/*
 * backfill_sync.c
 *		Cover the rows that other sessions write while a backfill walks: a
 *		trigger makes them right as they are written.
 *
 * To get its lock the trigger waits for every transaction that has written to
 * the table; so whoever writes after the lock was granted meets the trigger,
 * and what was written before stands in blocks that the walk, which begins when
 * the trigger is committed, will read. It is taken away after the proof.
 *
 * The trigger of a partitioned table reaches its partitions, those that come
 * later too; inheritance children have one each. Its argument holds all that
 * it has to know; backfill_sync_row.c is what it does. The owner of a table may
 * execute the function, to create partitions; so that a trigger that somebody has
 * made with it is told from ours, dbops.backfill_trigger has the arguments of ours.
 */
#include "change/change.h"

#include "core/rule.h"

#include "access/sysattr.h"
#include "access/transam.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define SYNC_EVENTS "BEFORE INSERT OR UPDATE"
#define SYNC_FUNCTION "backfill_sync"

/* A trigger's argument on its way through the callbacks. */
typedef struct KnownLook
{
	const char *argument;
	Oid			relid;
	bool		known;
} KnownLook;

static bool check_node(Node *node, void *context);
static void check_column(const Var *var);
static List *tables(const BackfillRun *run);
static char *argument(const BackfillRun *run);
static void take_covered(HeapTuple row, TupleDesc desc, void *arg);
static void note(const BackfillRun *run, Oid relid);
static void look_for_note(void *arg);

/* Refuse what a trigger cannot evaluate for a row that is not stored yet. */
void
dbops_backfill_sync_check(Query *query)
{
	check_node((Node *) query->targetList, NULL);
	check_node(query->jointree->quals, NULL);
}

static bool
check_node(Node *node, void *context)
{
	if (node == NULL)
		return false;
	if (IsA(node, SubLink))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger cannot evaluate a subselect for each row that is written"),
				 errhint("Have a function do the subselect. batched_backfill can also leave new rows to the application: app_writes => true.")));
	if (IsA(node, Var))
		check_column((Var *) node);
	return expression_tree_walker(node, check_node, context);
}

static void
check_column(const Var *var)
{
	if (var->varattno < 0 && var->varattno != TableOidAttributeNumber)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a trigger cannot read a system column of a row that is not stored yet"),
				 errhint("Leave it out. batched_backfill can also leave new rows to the application: app_writes => true.")));
}

/*
 * Put the trigger on the next table that has none, a table a step, so that no
 * lock is held while another is asked for; true when all have it.
 */
bool
dbops_backfill_sync_step(BackfillRun *run, DbopsStep *step)
{
	ListCell   *cell;

	foreach(cell, tables(run))
	{
		Oid			relid = lfirst_oid(cell);

		if (list_member_oid(run->synced, relid))
			continue;
		if (dbops_backfill_trigger_create(relid, dbops_backfill_trigger_name("sync", run->job->id),
										  SYNC_EVENTS, SYNC_FUNCTION, list_make1(argument(run))))
		{
			note(run, relid);
			run->synced = lappend_oid(run->synced, relid);
			run->table_waited = 0;
		}
		else
			dbops_backfill_await_table(run, step, relid);
		return false;
	}
	return true;
}

/* The tables that have a trigger of their own (OIDs). */
static List *
tables(const BackfillRun *run)
{
	Oid			relid = run->request.relid;

	if (get_rel_relkind(relid) == RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(relid);
	return find_all_inheritors(relid, NoLock, NULL);
}

/* What the trigger has to know, as a document; backfill_sync_row.c reads it. */
static char *
argument(const BackfillRun *run)
{
	DbopsJson	json = {0};
	Jsonb	   *document;
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "home", dbops_backfill_sync_home());
	dbops_backfill_put_change(&json, run->change);
	dbops_json_array(&json, "owners");
	foreach(cell, run->request.owners)
		dbops_json_integer(&json, NULL, lfirst_oid(cell));
	dbops_json_array_end(&json);
	document = dbops_json_finish(&json);
	return JsonbToCString(NULL, &document->root, VARSIZE(document));
}

/*
 * Which database a trigger was made in: one that came with a dump, or with a
 * copy of the server, is no running backfill's.
 */
char *
dbops_backfill_sync_home(void)
{
	return psprintf(UINT64_FORMAT "/%u", GetSystemIdentifier(), MyDatabaseId);
}

/* The first table that is not covered by its trigger, which somebody has dropped or disabled; or NULL. */
BackfillLeaf *
dbops_backfill_sync_gap(const BackfillRun *run)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_trigger_name("sync", run->job->id)),
		dbops_param_text(SYNC_FUNCTION),
		dbops_param_text(dbops_backfill_sync_home())
	};
	List	   *covered = NIL;
	ListCell   *cell;

	dbops_query_each("SELECT t.tgrelid FROM pg_trigger t"
					 " JOIN pg_proc p ON p.oid = t.tgfoid"
					 " JOIN pg_namespace n ON n.oid = p.pronamespace"
					 " WHERE t.tgname = $1 AND p.proname = $2 AND n.nspname = 'dbops' AND t.tgenabled = 'A'"
					 " AND position(convert_to($3, 'SQL_ASCII') IN t.tgargs) > 0",
					 lengthof(params), params, take_covered, &covered);
	foreach(cell, run->leaves)
		if (!list_member_oid(covered, ((BackfillLeaf *) lfirst(cell))->relid))
			return lfirst(cell);
	return NULL;
}

static void
take_covered(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **covered = arg;

	*covered = lappend_oid(*covered, dbops_row_oid(row, desc, 1));
}

/* ---- which triggers are ours ---- */

static void
note(const BackfillRun *run, Oid relid)
{
	DbopsParam	params[] = {
		dbops_param_oid(relid),
		dbops_param_int8(run->job->id),
		dbops_param_text(argument(run))
	};

	dbops_store_each("INSERT INTO dbops.backfill_trigger (relid, job_id, argument) VALUES ($1, $2, $3)"
					 " ON CONFLICT (relid, job_id) DO UPDATE SET argument = $3",
					 lengthof(params), params, NULL, NULL);
}

/* What is to be dropped with the triggers of a job. */
void
dbops_backfill_sync_forget(int64 job)
{
	DbopsParam	param = dbops_param_int8(job);

	dbops_store_each("DELETE FROM dbops.backfill_trigger WHERE job_id = $1", 1, &param, NULL, NULL);
}

/*
 * Has a backfill of a table, or of one above it, a trigger with this argument? As
 * of now, whatever the transaction has seen first.
 */
bool
dbops_backfill_sync_is_known(const char *argument, Oid relid)
{
	KnownLook	look = {.argument = argument,.relid = relid};

	dbops_run_as_extension(look_for_note, &look);
	return look.known;
}

static void
look_for_note(void *arg)
{
	KnownLook  *look = arg;
	DbopsParam	params[] = {dbops_param_oid(look->relid), dbops_param_text(look->argument)};

	look->known = dbops_query_latest(DBOPS_FAMILY "SELECT FROM dbops.backfill_trigger"
									 " WHERE relid IN (SELECT relid FROM family) AND argument = $2",
									 lengthof(params), params, NULL, NULL) > 0;
}
