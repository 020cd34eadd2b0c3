/*
 * backfill_target.c
 *		Which tables a backfill changes, and why it may not.
 *
 * A backfill walks blocks, so it works on the tables that hold the rows: the
 * partitions of a partitioned table, a table and its inheritance children.
 * Everything that would make it wrong is refused here, before the first
 * batch: rows that it would not see (row security, foreign partitions),
 * storage that has no block order, and code of another owner that would run
 * with the caller's rights.
 */
#include "change/change.h"

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/catalog.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/trigger.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"

/* The tables of a request, looked up without keeping their locks. */
typedef struct LookUp
{
	const BackfillRequest *request;
	List	   *leaves;
} LookUp;

/* The tables of a request in the making. */
typedef struct Locking
{
	const BackfillRequest *request;
	List	   *tables;			/* OIDs, those that hold no rows too */
} Locking;

static void look_up(void *arg);
static List *lock_tables(const BackfillRequest *request);
static void lock(void *arg);
static void refuse_locked(Oid relid);
static void refuse_blocked(HeapTuple row, TupleDesc desc, void *arg);
static void require_right(const BackfillRequest *request, Oid relid);
static void check_kind(Relation rel);
static void check_root(Relation rel);
static void check_leaf(const BackfillRequest *request, Relation rel);
static void check_rules(Relation rel);
static void check_row_security(Relation rel);
static void check_deferred_triggers(const BackfillRequest *request, Relation rel);
static int	compare_leaves(const ListCell *a, const ListCell *b);
static void describe_leaf(Relation rel, int batch_size, BackfillLeaf *leaf);
static BlockNumber blocks_for_rows(Relation rel, BlockNumber blocks, int rows);

/*
 * Find the tables whose rows are to be changed. Takes ROW EXCLUSIVE locks
 * until the end of the transaction, as UPDATE would.
 */
List *
dbops_backfill_leaves(const BackfillRequest *request)
{
	List	   *leaves = NIL;
	ListCell   *cell;

	foreach(cell, lock_tables(request))
	{
		Relation	rel = relation_open(lfirst_oid(cell), NoLock);

		if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		{
			BackfillLeaf *leaf = palloc(sizeof(BackfillLeaf));

			check_leaf(request, rel);
			describe_leaf(rel, request->batch_size, leaf);
			leaves = lappend(leaves, leaf);
		}
		relation_close(rel, NoLock);
	}
	list_sort(leaves, compare_leaves);
	return leaves;
}

/* Lock the table and those below it, or say who keeps us from it. */
static List *
lock_tables(const BackfillRequest *request)
{
	Locking		locking = {.request = request};
	ErrorData  *error;

	/* Who has no right to the table shall not wait for it, nor hold others up. */
	if (get_rel_relkind(request->relid) != '\0')
		require_right(request, request->relid);
	dbops_set_local("lock_timeout",
					psprintf("%ld", request->patience > 0 ? request->patience : BACKFILL_TABLE_PATIENCE));
	if (!dbops_attempt(lock, &locking, &error))
	{
		if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
			refuse_locked(request->relid);
		ReThrowError(error);
	}
	return locking.tables;
}

static void
lock(void *arg)
{
	Locking    *locking = arg;
	Oid			relid = locking->request->relid;
	Relation	root = try_relation_open(relid, RowExclusiveLock);

	if (root == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid),
				 errhint("It may have been dropped just now.")));
	check_kind(root);
	require_right(locking->request, relid);
	if (root->rd_rel->relkind == RELKIND_PARTITIONED_TABLE)
		check_root(root);
	relation_close(root, NoLock);
	locking->tables = find_all_inheritors(relid, RowExclusiveLock, NULL);
}

/* A lock could not be had: name who holds or wants one that conflicts, unless that has ended since. */
static void
refuse_locked(Oid relid)
{
	List	   *tables = find_all_inheritors(relid, NoLock, NULL);
	Datum	   *oids = palloc(sizeof(Datum) * list_length(tables));
	DbopsParam	param = {.type = OIDARRAYOID};
	ListCell   *cell;

	foreach(cell, tables)
		oids[foreach_current_index(cell)] = ObjectIdGetDatum(lfirst_oid(cell));
	param.value = PointerGetDatum(construct_array(oids, list_length(tables), OIDOID,
												  sizeof(Oid), true, TYPALIGN_INT));
	(void) dbops_query_each("SELECT relation, pid FROM pg_locks WHERE relation = ANY ($1)"
							" AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
							" AND mode IN ('ShareLock', 'ShareRowExclusiveLock', 'ExclusiveLock', 'AccessExclusiveLock')"
							" AND pid IS DISTINCT FROM pg_backend_pid() ORDER BY granted DESC, pid LIMIT 1",
							1, &param, refuse_blocked, NULL);
}

static void
refuse_blocked(HeapTuple row, TupleDesc desc, void *arg)
{
	int			pid = dbops_row_int4(row, desc, 2);

	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("table \"%s\" is locked by another session", get_rel_name(dbops_row_oid(row, desc, 1))),
			 pid != 0 ? errdetail("Process %d has a lock on it, or waits for one, under which no rows can be changed.", pid) :
			 errdetail("A prepared transaction has a lock on it under which no rows can be changed."),
			 pid != 0 ? errhint("Try again when its transaction has ended, or end it: SELECT pg_terminate_backend(%d);", pid) :
			 errhint("COMMIT PREPARED or ROLLBACK PREPARED it, as pg_prepared_xacts names it, and try again.")));
}

/* In an order that stays the same when tables come and go. */
static int
compare_leaves(const ListCell *a, const ListCell *b)
{
	return oid_cmp(&((BackfillLeaf *) lfirst(a))->relid, &((BackfillLeaf *) lfirst(b))->relid);
}

/* The same, and give the locks back at once. */
List *
dbops_backfill_look_up(const BackfillRequest *request)
{
	LookUp		look = {.request = request};

	dbops_look(look_up, &look);
	return look.leaves;
}

static void
look_up(void *arg)
{
	LookUp	   *look = arg;

	look->leaves = dbops_backfill_leaves(look->request);
}

/*
 * Refuse tables whose rows a call could not change, whatever of them, before
 * anything else is done to them. Nobody is kept from writing.
 */
void
dbops_backfill_check_tables(Oid relid)
{
	BackfillRequest request = {.relid = relid,.login = GetUserId()};
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, AccessShareLock, NULL))
	{
		Relation	rel = relation_open(lfirst_oid(cell), NoLock);

		if (rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
			check_leaf(&request, rel);
		else if (RelationGetRelid(rel) == relid)
			check_root(rel);
		relation_close(rel, NoLock);
	}
}

/* Describe a table anew after it has been rewritten; it may be gone: no blocks. */
void
dbops_backfill_look_again(BackfillLeaf *leaf, const BackfillRequest *request)
{
	Relation	rel = try_relation_open(leaf->relid, AccessShareLock);

	leaf->blocks = 0;
	if (rel == NULL)
		return;
	check_leaf(request, rel);
	describe_leaf(rel, request->batch_size, leaf);
	relation_close(rel, NoLock);
}

/* Refuse what has come to a table, which is locked, since it was looked at. */
void
dbops_backfill_check_still(const BackfillLeaf *leaf)
{
	Relation	rel = relation_open(leaf->relid, NoLock);

	check_rules(rel);
	check_row_security(rel);
	relation_close(rel, NoLock);
}

/*
 * Refuse a table that is not the caller's to change. A job has no caller: its
 * submitter was asked, and it may change the tables of the same owners.
 */
static void
require_right(const BackfillRequest *request, Oid relid)
{
	if (request->owners == NIL)
		dbops_require_table_owner(relid);
	else if (!list_member_oid(request->owners, dbops_relation_owner(relid)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("table \"%s\" belongs to a role whose tables the backfill was not submitted for",
						get_rel_name(relid)),
				 errdetail("Its owner was changed, or it became a partition, after the backfill was submitted."),
				 errhint("Cancel the job, and submit the backfill again as a member of that role.")));
}

/* Refuse what is not a table of the user's. */
static void
check_kind(Relation rel)
{
	if (rel->rd_rel->relkind == RELKIND_FOREIGN_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("cannot backfill foreign table \"%s\"",
						RelationGetRelationName(rel)),
				 errhint("Run the backfill on the server that holds its rows.")));
	if (rel->rd_rel->relkind != RELKIND_RELATION &&
		rel->rd_rel->relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(rel->rd_rel->relkind),
				 errhint("Name the table that holds the rows.")));
	if (IsSystemRelation(rel))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("cannot backfill system catalog \"%s\"",
						RelationGetRelationName(rel))));
}

/* Refuse a partitioned table at which something stands that its partitions do not have. */
static void
check_root(Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;

	check_rules(rel);
	check_row_security(rel);
	if (triggers != NULL &&
		(triggers->trig_update_before_statement || triggers->trig_update_after_statement))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot backfill partitioned table \"%s\" because it has a trigger that fires once a statement",
						RelationGetRelationName(rel)),
				 errdetail("Rows are changed in the partitions, where that trigger does not fire."),
				 errhint("Disable the trigger for the time of the backfill, or backfill the partitions one by one.")));
}

/* Refuse a table whose rows cannot be changed block by block. */
static void
check_leaf(const BackfillRequest *request, Relation rel)
{
	check_kind(rel);
	require_right(request, RelationGetRelid(rel));

	if (RELATION_IS_OTHER_TEMP(rel))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot backfill temporary table \"%s\" of another session",
						RelationGetRelationName(rel))));
	if (rel->rd_tableam->scan_set_tidrange == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot backfill table \"%s\" block by block",
						RelationGetRelationName(rel)),
				 errdetail("Its table access method does not support scans of a range of blocks.")));
	check_rules(rel);
	check_row_security(rel);
	if (!request->foreseen)
		CheckCmdReplicaIdentity(rel, CMD_UPDATE);	/* of a published table without one the server refuses each row */
	check_deferred_triggers(request, rel);
}

/* Refuse a table for which UPDATE means something else. */
static void
check_rules(Relation rel)
{
	if (rel->rd_rules != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("cannot backfill table \"%s\" because it has rules",
						RelationGetRelationName(rel)),
				 errhint("Drop or replace the rules of the table first.")));
}

/* Refuse a table whose policies would hide rows even from its owner. */
static void
check_row_security(Relation rel)
{
	if (check_enable_rls(RelationGetRelid(rel), rel->rd_rel->relowner,
						 true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security would hide rows of table \"%s\" from the backfill",
						RelationGetRelationName(rel)),
				 errdetail("Row-level security of the table is forced on its owner, with whose rights rows are changed."),
				 errhint("ALTER TABLE ... NO FORCE ROW LEVEL SECURITY for the time of the backfill, or give the owner BYPASSRLS.")));
}

/*
 * A deferred trigger fires at commit. Where the session is not the owner's it
 * would fire with the session's rights, so the server refuses to queue it.
 */
static void
check_deferred_triggers(const BackfillRequest *request, Relation rel)
{
	TriggerDesc *triggers = rel->trigdesc;
	bool		own = (rel->rd_rel->relowner == request->login);

	if (triggers == NULL ||
		(own && (!OidIsValid(request->helper_login) || rel->rd_rel->relowner == request->helper_login)))
		return;

	for (int i = 0; i < triggers->numtriggers; i++)
	{
		Trigger    *trigger = &triggers->triggers[i];

		if (trigger->tgdeferrable && TRIGGER_FOR_UPDATE(trigger->tgtype) &&
			trigger->tgenabled != TRIGGER_DISABLED)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("cannot backfill table \"%s\" of another owner because it has a deferrable trigger",
							RelationGetRelationName(rel)),
					 errdetail("Trigger \"%s\" could run at commit, when the owner's rights are no longer in force.",
							   trigger->tgname),
					 own ? errhint("CALL with workers => 1: background processes cannot log in as the owner of the table.") :
					 errhint("SET ROLE to the owner of the table and CALL again, or have dbops.start_backfill() do it as that role.")));
	}
}

static void
describe_leaf(Relation rel, int batch_size, BackfillLeaf *leaf)
{
	leaf->relid = RelationGetRelid(rel);
	leaf->owner = rel->rd_rel->relowner;
	leaf->schema = RelationGetNamespace(rel);
	leaf->relname = pstrdup(RelationGetRelationName(rel));
	leaf->batch_rows = batch_size;
	leaf->name = quote_qualified_identifier(get_namespace_name(RelationGetNamespace(rel)),
											RelationGetRelationName(rel));
	leaf->blocks = RelationGetNumberOfBlocks(rel);
	leaf->batch_blocks = blocks_for_rows(rel, leaf->blocks, batch_size);
	leaf->filenode = rel->rd_rel->relfilenode;
	leaf->has_before_trigger = (rel->trigdesc != NULL &&
								rel->trigdesc->trig_update_before_row);
}

/*
 * Turn a number of rows into blocks, by the density that the server
 * estimates. The estimate may be stale: the walk begins with small batches
 * and shrinks one that turns out to change more rows.
 */
static BlockNumber
blocks_for_rows(Relation rel, BlockNumber blocks, int rows)
{
	BlockNumber pages;
	double		tuples;
	double		all_visible;

	if (blocks == 0)
		return 1;
	table_relation_estimate_size(rel, NULL, &pages, &tuples, &all_visible);
	if (tuples < pages)
		return Min(blocks, (BlockNumber) rows);	/* less than a row a block: rather old statistics */
	return (BlockNumber) Min(Max(rows * (pages / tuples), 1), blocks);
}
