/*
 * retention_target.c
 *		The tables whose old rows are deleted, and why they may not be.
 */
#include "maintain/retention.h"

#include <math.h>

#include "access/relation.h"
#include "access/tableam.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/optimizer.h"
#include "storage/bufmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/rls.h"
#include "utils/syscache.h"

/* Where nothing is known of a table's rows. */
#define ANY_ROW_BYTES 100.0

/* An index is looked for. */
typedef struct Finding
{
	const RetentionSpec *spec;
	Relation	rel;
	RetentionLeaf *leaf;
} Finding;

static void check_kind(Relation rel, const char *what);
static void check_rows(Relation rel);
static List *rest_of_partitions(const RetentionSpec *spec, int64 cutoff);
static double order_of(const RetentionSpec *spec, Oid relid);
static Oid	root_of(Oid relid);
static bool is_valid_index(Oid relid);
static void find_index(void *arg);
static bool serves(const RetentionSpec *spec, Relation rel, Relation index);
static List *meant_rows(const RetentionSpec *spec, Relation rel);

/* Refuse what is no table whose rows somebody may delete; what: a policy or a hold. */
void
dbops_retention_check_table(Oid relid, const char *what)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);

	if (rel == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", relid)));
	check_kind(rel, what);
	check_rows(rel);
	if (strcmp(what, "hold") != 0)
		CheckCmdReplicaIdentity(rel, CMD_DELETE);
	relation_close(rel, NoLock);
}

static void
check_kind(Relation rel, const char *what)
{
	char		kind = rel->rd_rel->relkind;

	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", RelationGetRelationName(rel)),
				 errdetail_relkind_not_supported(kind),
				 errhint("Name the table that holds the rows.")));
	if (rel->rd_rel->relpersistence == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" is temporary", RelationGetRelationName(rel)),
				 errhint("Its rows end with its session.")));
	if (IsSystemRelation(rel) || RelationGetNamespace(rel) == get_namespace_oid("dbops", false))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("there is no %s for table \"%s\", which belongs to the server or to dbops", what, RelationGetRelationName(rel))));
}

/* Refuse a table for which DELETE means something else, or not all rows. */
static void
check_rows(Relation rel)
{
	if (rel->rd_rules != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has rules", RelationGetRelationName(rel)),
				 errhint("Replace the rules by triggers first.")));
	if (check_enable_rls(RelationGetRelid(rel), rel->rd_rel->relowner, true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security would hide rows of table \"%s\" from its owner, with whose rights rows are deleted",
						RelationGetRelationName(rel)),
				 errhint("ALTER TABLE ... NO FORCE ROW LEVEL SECURITY, or give the owner BYPASSRLS.")));
}

/* Refuse a policy where one above or below looks after the same rows. */
void
dbops_retention_check_fights(Oid relid)
{
	List	   *tree = list_delete_oid(find_all_inheritors(relid, NoLock, NULL), relid);
	ListCell   *cell;

	if (get_rel_relispartition(relid))
		tree = list_concat(tree, get_partition_ancestors(relid));
	foreach(cell, tree)
		if (dbops_policy_find(RETENTION_KIND, lfirst_oid(cell)) != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("table %s has a retention policy, for rows that are also those of table %s",
							dbops_quote_relation(lfirst_oid(cell)), dbops_quote_relation(relid)),
					 errhint("Keep one of them: SELECT dbops.remove_retention(%s);",
							 quote_literal_cstr(dbops_quote_relation(lfirst_oid(cell))))));
	foreach(cell, list_append_unique_oid(tree, relid))
	{
		Policy	   *policy = dbops_policy_find(PARTITION_KIND, lfirst_oid(cell));

		if (policy != NULL && dbops_jsonb_text(policy->spec, "keep") != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("table %s has a partitioning policy that drops partitions", dbops_quote_relation(lfirst_oid(cell))),
					 errhint("Set that without keep first: dbops.set_partitioning.")));
	}
}

/* Are both partitions of one table, or does one have the other's rows? */
bool
dbops_retention_is_same_tree(Oid one, Oid other)
{
	return root_of(one) == root_of(other) || dbops_retention_is_part(one, other) || dbops_retention_is_part(other, one);
}

static Oid
root_of(Oid relid)
{
	List	   *ancestors = get_rel_relispartition(relid) ? get_partition_ancestors(relid) : NIL;

	return (ancestors == NIL) ? relid : llast_oid(ancestors);
}

/* Are the rows of one table also those of another? */
bool
dbops_retention_is_part(Oid table, Oid relid)
{
	if (relid == table)
		return true;
	if (get_rel_relispartition(relid))
		return list_member_oid(get_partition_ancestors(relid), table);
	return get_rel_relkind(table) == RELKIND_RELATION && has_subclass(table) &&
		list_member_oid(find_all_inheritors(table, NoLock, NULL), relid);
}

/*
 * The tables whose rows are deleted one by one, as OIDs in their order; others:
 * those of them that belong to another role are wanted, whose rows stay.
 */
List *
dbops_retention_tables(const RetentionSpec *spec, int64 cutoff, bool others)
{
	List	   *relations = dbops_retention_by_partition(spec) ? rest_of_partitions(spec, cutoff) :
		find_all_inheritors(spec->relid, NoLock, NULL);
	List	   *tables = NIL;
	ListCell   *cell;

	list_sort(relations, list_oid_cmp);
	foreach(cell, relations)
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION &&
			others == (dbops_relation_owner(lfirst_oid(cell)) != spec->owner))
			tables = lappend_oid(tables, lfirst_oid(cell));
	return tables;
}

/* Why the rows of such a table stay, as a user reads it. */
const char *
dbops_retention_other_owner(const RetentionSpec *spec, Oid relid)
{
	return psprintf("rows of it stay: it belongs to role %s, and table %s to %s",
					quote_identifier(GetUserNameFromId(dbops_relation_owner(relid), true)), spec->table,
					quote_identifier(GetUserNameFromId(spec->owner, true)));
}

/* The first of the tables from this OID on that is there; NULL: there is none. */
RetentionLeaf *
dbops_retention_next_leaf(const RetentionSpec *spec, int64 cutoff, Oid from)
{
	RetentionLeaf *leaf = NULL;
	ListCell   *cell;

	foreach(cell, dbops_retention_tables(spec, cutoff, false))
		if (leaf == NULL && lfirst_oid(cell) >= from)
			leaf = dbops_retention_leaf(spec, lfirst_oid(cell));
	return leaf;
}

/* Of partitions that go as a whole: those that could not, and the default one. */
static List *
rest_of_partitions(const RetentionSpec *spec, int64 cutoff)
{
	PartitionSet *set = dbops_partition_set_read(spec->relid, spec->clock.zone, spec->clock.unit);
	List	   *relations = NIL;
	ListCell   *cell;

	if (set->default_partition != NULL)
		relations = find_all_inheritors(set->default_partition->relid, NoLock, NULL);
	foreach(cell, dbops_partition_expired(set, cutoff))
		relations = list_concat(relations, find_all_inheritors(((Partition *) lfirst(cell))->relid, NoLock, NULL));
	return relations;
}

/* Describe a table as it is now; NULL: it is gone. An index of another role's is not looked at. */
RetentionLeaf *
dbops_retention_leaf(const RetentionSpec *spec, Oid relid)
{
	Relation	rel = try_relation_open(relid, AccessShareLock);
	RetentionLeaf *leaf;
	BlockNumber pages;
	double		visible;

	if (rel == NULL)
		return NULL;
	leaf = palloc0(sizeof(RetentionLeaf));
	leaf->relid = relid;
	leaf->name = dbops_quote_relation(relid);
	leaf->filenode = rel->rd_rel->relfilenode;
	leaf->blocks = RelationGetNumberOfBlocks(rel);
	table_relation_estimate_size(rel, NULL, &pages, &leaf->rows, &visible);
	leaf->bytes = (leaf->rows >= 1) ? Max(dbops_relation_bytes(relid) / leaf->rows, 1) : ANY_ROW_BYTES;
	if (rel->rd_rel->relowner == spec->owner)
		dbops_run_as(spec->owner, find_index, &(Finding) {spec, rel, leaf});
	leaf->order = order_of(spec, relid);
	relation_close(rel, NoLock);
	return leaf;
}

/*
 * Take the way by which fewer pages are visited for so many rows. By key these
 * are as many as rows where the table is in another order, and each page is
 * written again and again; by block they are those of the table.
 */
void
dbops_retention_choose(RetentionLeaf *leaf, double expired)
{
	double		by_key = expired * (1 - leaf->order) + leaf->blocks * expired / Max(leaf->rows, 1) * leaf->order;

	if (by_key > leaf->blocks)
		leaf->index = InvalidOid;
}

/* How far the table is in the order of the column, as the server has found; 0 where it has not looked. */
static double
order_of(const RetentionSpec *spec, Oid relid)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(relid),
										Int16GetDatum(get_attnum(relid, spec->column)), BoolGetDatum(false));
	AttStatsSlot slot;
	double		order = 0;

	if (!HeapTupleIsValid(tuple))
		return 0;
	if (get_attstatsslot(&slot, tuple, STATISTIC_KIND_CORRELATION, InvalidOid, ATTSTATSSLOT_NUMBERS))
	{
		order = fabs(slot.numbers[0]);
		free_attstatsslot(&slot);
	}
	ReleaseSysCache(tuple);
	return order * order;
}

/*
 * Is the index that it is read by still there? A rebuilt one is another one, and
 * is found; where there is none any more, the table is read by blocks. The names
 * are made in the current memory.
 */
bool
dbops_retention_keeps_index(const RetentionSpec *spec, RetentionLeaf *leaf)
{
	Relation	rel;

	if (!OidIsValid(leaf->index) || is_valid_index(leaf->index))
		return true;
	leaf->index = InvalidOid;
	rel = try_relation_open(leaf->relid, AccessShareLock);
	if (rel == NULL)
		return false;
	dbops_run_as(spec->owner, find_index, &(Finding) {spec, rel, leaf});
	relation_close(rel, NoLock);
	return false;
}

static bool
is_valid_index(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(relid));
	bool		valid = HeapTupleIsValid(tuple) && ((Form_pg_index) GETSTRUCT(tuple))->indisvalid;

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return valid;
}

/*
 * A btree index that begins with the column and has all rows that are meant; a
 * small one is better. As the owner: to compare conditions runs functions in them.
 */
static void
find_index(void *arg)
{
	Relation	rel = ((Finding *) arg)->rel;
	RetentionLeaf *leaf = ((Finding *) arg)->leaf;
	BlockNumber least = InvalidBlockNumber;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(rel))
	{
		Relation	index = try_relation_open(lfirst_oid(cell), AccessShareLock);

		if (index == NULL)
			continue;
		if (serves(((Finding *) arg)->spec, rel, index) && RelationGetNumberOfBlocks(index) < least)
		{
			least = RelationGetNumberOfBlocks(index);
			leaf->index = RelationGetRelid(index);
			leaf->index_name = dbops_quote_name(RelationGetRelationName(index));
			leaf->partial = RelationGetIndexPredicate(index) != NIL;
		}
		relation_close(index, NoLock);
	}
}

static bool
serves(const RetentionSpec *spec, Relation rel, Relation index)
{
	Form_pg_index form = index->rd_index;

	return index->rd_rel->relam == BTREE_AM_OID && form->indisvalid && form->indisready &&
		form->indkey.values[0] == get_attnum(RelationGetRelid(rel), spec->column) &&
		(index->rd_indoption[0] & INDOPTION_DESC) == 0 &&
		(RelationGetIndexPredicate(index) == NIL ||
		 predicate_implied_by(RelationGetIndexPredicate(index), meant_rows(spec, rel), false));
}

/* The condition of the rows that are meant, as the planner sees it. */
static List *
meant_rows(const RetentionSpec *spec, Relation rel)
{
	const char *column = quote_identifier(spec->column);
	int			nest_level = NewGUCNestLevel();
	Query	   *query;

	dbops_retention_pin_settings(spec);
	query = dbops_fragment_analyze(psprintf("SELECT FROM ONLY %s AS " RETENTION_ROW
											" WHERE " RETENTION_ROW ".%s OPERATOR(pg_catalog.<) " RETENTION_ROW ".%s AND (%s)",
											dbops_quote_relation(RelationGetRelid(rel)), column, column,
											spec->condition != NULL ? spec->condition : "true"));
	AtEOXact_GUC(false, nest_level);
	return make_ands_implicit((Expr *) eval_const_expressions(NULL, query->jointree->quals));
}
