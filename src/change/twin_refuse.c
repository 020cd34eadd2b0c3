/*
 * twin_refuse.c
 *		What keeps a column from being changed by a twin: told before anything is
 *		done.
 *
 * What depends on the column would go with it or keep it from being dropped in
 * the end; what has a copy made of it (indexes, constraints) does not. What is
 * left is found by its dependency, whatever it is, and refused by name.
 */
#include "change/twin.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

/* An attribute that rules a column out. */
typedef struct Obstacle
{
	bool		is_so;
	const char *message;		/* with the column's name */
	const char *hint;
} Obstacle;

static char *later_triggers(Oid relid, const char *name);
static void check_attribute(const TwinColumn *column);
static bool is_typed(Oid relid);
static void refuse_first(const TwinColumn *column, const Obstacle *obstacles, int n);
static void check_index_keys(const TwinColumn *column, bool copied);
static void check_partition_keys(const TwinColumn *column);
static void check_dependents(const TwinColumn *column);
static void each_dependent(const TwinColumn *column, DbopsRowCallback refuse);
static void refuse_use(HeapTuple row, TupleDesc desc, void *arg);
static void refuse_dependent(HeapTuple row, TupleDesc desc, void *arg);

/* The owners of a table and its partitions, whose rows are changed with their rights; the caller must be a member of each. */
List *
dbops_twin_owners(Oid relid)
{
	BackfillRequest request = {.relid = relid,.login = GetUserId()};
	List	   *owners = NIL;
	ListCell   *cell;

	foreach(cell, dbops_backfill_leaves(&request))
		owners = list_append_unique_oid(owners, ((BackfillLeaf *) lfirst(cell))->owner);
	return list_append_unique_oid(owners, dbops_relation_owner(relid));
}

/* The table itself. */
void
dbops_twin_check_table(OnlinePlan *plan)
{
	char		relkind = get_rel_relkind(plan->table);

	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(plan->table)),
				 errhint("%s works on ordinary and on partitioned tables.", plan->call)));
	if (isAnyTempNamespace(get_rel_namespace(plan->table)))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a temporary table", get_rel_name(plan->table)),
				 errhint("Use ALTER TABLE: nobody else uses a temporary table.")));
	if (relkind == RELKIND_RELATION && list_length(find_all_inheritors(plan->table, NoLock, NULL)) > 1)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table \"%s\" has inheritance children", get_rel_name(plan->table)),
				 errhint("Partition it instead, or change it by ALTER TABLE in a quiet moment.")));
}

/* Our trigger is to see what others have made of a row: refuse one that comes behind it, of the table or a partition. */
void
dbops_twin_check_triggers(Oid relid, const char *column)
{
	const char *name = dbops_twin_trigger_name(column);
	char	   *other = dbops_query_text(psprintf("SELECT format('%%I of table %%s', tgname, tgrelid::regclass) FROM %s ORDER BY tgrelid, tgname LIMIT 1",
												   later_triggers(relid, name)), 0, NULL);

	if (other != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("trigger %s would fire behind %s, which is to see what others make of a row", other, quote_identifier(name)),
				 errdetail("Triggers of the same kind fire in the order of their names."),
				 errhint("Give it a name that sorts before: ALTER TRIGGER ... ON ... RENAME TO ...;")));
}

/* SQL: there is none. */
char *
dbops_twin_is_last_trigger(Oid relid, const char *column)
{
	return psprintf("NOT EXISTS (SELECT FROM %s)", later_triggers(relid, dbops_twin_trigger_name(column)));
}

/* SQL: those that may change a row behind ours. Those of other changes do not touch the same columns. */
static char *
later_triggers(Oid relid, const char *name)
{
	return psprintf("(SELECT t.tgname, t.tgrelid FROM pg_trigger t"
					" WHERE (t.tgrelid = %u OR t.tgrelid IN (SELECT p.relid FROM pg_partition_tree(%u) p))"
					" AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype & %d = %d AND t.tgtype & %d <> 0"
					" AND t.tgname > %s::name AND t.tgfoid <> 'dbops.change_sync'::regproc) _",
					relid, relid, TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE, TRIGGER_TYPE_ROW | TRIGGER_TYPE_BEFORE,
					TRIGGER_TYPE_INSERT | TRIGGER_TYPE_UPDATE, quote_literal_cstr(name));
}

/* The column, in all partitions. copied: its indexes are. */
void
dbops_twin_check_column(const TwinColumn *column, bool copied)
{
	ListCell   *cell;

	check_attribute(column);
	dbops_twin_check_key(column, copied);
	foreach(cell, dbops_twin_columns(column))
		check_dependents(lfirst(cell));
}

static void
check_attribute(const TwinColumn *column)
{
	HeapTuple	tuple = SearchSysCacheAttName(column->relid, column->name);
	Form_pg_attribute attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	const Obstacle obstacles[] = {
		{attribute->attinhcount > 0, "column \"%s\" is inherited", "Make the call for the table that it is inherited from."},
		{is_typed(column->relid), "column \"%s\" is of a typed table", "ALTER TABLE ... NOT OF first."},
		{attribute->attidentity != '\0', "column \"%s\" is an identity column", "Change it by ALTER TABLE, or turn it into a column with a sequence as its default first: ALTER TABLE ... DROP IDENTITY."},
		{attribute->attgenerated != '\0', "column \"%s\" is generated", "Add a new generated column and drop this one."},
	};

	ReleaseSysCache(tuple);
	refuse_first(column, obstacles, lengthof(obstacles));
}

static bool
is_typed(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	bool		typed = HeapTupleIsValid(tuple) && OidIsValid(((Form_pg_class) GETSTRUCT(tuple))->reloftype);

	if (HeapTupleIsValid(tuple))
		ReleaseSysCache(tuple);
	return typed;
}

/* Refuse a type that has all rows read or written when a column of it is added. */
void
dbops_twin_check_type(Oid type)
{
	if (get_typtype(type) == TYPTYPE_DOMAIN && DomainHasConstraints(type))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a new column of domain \"%s\" cannot be added without a rewrite of the table", format_type_be(type)),
				 errdetail("The domain has a constraint, which the server checks for each row."),
				 errhint("Use the domain's base type, with the constraint as one of the table: dbops.add_check_constraint().")));
}

static void
refuse_first(const TwinColumn *column, const Obstacle *obstacles, int n)
{
	for (int i = 0; i < n; i++)
		if (obstacles[i].is_so)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg(obstacles[i].message, column->name),
					 errhint("%s", obstacles[i].hint)));
}

/* Refuse a column of a key. */
void
dbops_twin_check_key(const TwinColumn *column, bool copied)
{
	ListCell   *cell;

	foreach(cell, dbops_twin_columns(column))
		check_index_keys(lfirst(cell), copied);
	check_partition_keys(column);
}

/* A primary key and an exclusion constraint have no copy that could take their place in a moment. */
static void
check_index_keys(const TwinColumn *column, bool copied)
{
	DbopsParam	params[] = {dbops_param_oid(column->relid), dbops_param_int4(column->attnum), dbops_param_bool(copied)};
	char	   *what = dbops_query_text_kept("SELECT CASE WHEN i.indisprimary THEN 'the primary key' WHEN i.indisexclusion THEN 'exclusion constraint ' || c.relname"
											 " WHEN i.indisreplident THEN 'the replica identity' ELSE 'the index that the table is clustered on' END"
											 " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid"
											 " WHERE i.indrelid = $1 AND $2 = ANY (i.indkey::int2[]) AND (i.indisprimary OR i.indisexclusion OR (i.indisreplident OR i.indisclustered) AND NOT $3)"
											 " ORDER BY i.indisprimary DESC, c.relname LIMIT 1",
											 lengthof(params), params);

	if (what != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" is part of %s of table %s", column->name, what, column->table),
				 errhint("Have the table use another one first.")));
}

static void
check_partition_keys(const TwinColumn *column)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(column->relid, NoLock, NULL))
		if (dbops_backfill_is_partition_key(lfirst_oid(cell), column->name))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("column \"%s\" is part of the partition key of table %s", column->name, dbops_quote_relation(lfirst_oid(cell))),
					 errhint("Make a new table that is partitioned as it shall be, and move the rows there.")));
}

/*
 * Refuse what depends on the column and is not copied: all but its own default,
 * sequence, indexes and constraints, and the trigger of a change.
 */
static void
check_dependents(const TwinColumn *column)
{
	each_dependent(column, refuse_dependent);
}

/* Refuse to drop a new column that something uses by then, such as a view that was moved to it. */
void
dbops_twin_check_unused(const TwinColumn *column)
{
	each_dependent(column, refuse_use);
}

static void
each_dependent(const TwinColumn *column, DbopsRowCallback refuse)
{
	DbopsParam	params[] = {dbops_param_oid(column->relid), dbops_param_int4(column->attnum)};

	dbops_query_each_kept("SELECT coalesce(pg_describe_object('pg_rewrite'::regclass, r.oid, 0), pg_describe_object(d.classid, d.objid, d.objsubid))"
						  " FROM pg_depend d LEFT JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
						  " LEFT JOIN pg_attrdef a ON d.classid = 'pg_attrdef'::regclass AND a.oid = d.objid"
						  " LEFT JOIN pg_class c ON d.classid = 'pg_class'::regclass AND c.oid = d.objid"
						  " LEFT JOIN pg_constraint k ON d.classid = 'pg_constraint'::regclass AND k.oid = d.objid"
						  " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2"
						  " AND (a.oid IS NULL OR a.adrelid <> $1 OR a.adnum <> $2)"
						  " AND (c.oid IS NULL OR c.relkind NOT IN ('i', 'I', 'S'))"
						  " AND (k.oid IS NULL OR k.conrelid <> $1 OR k.contype NOT IN ('c', 'f', 'u', 'n') OR (k.confrelid = $1 AND $2 = ANY (k.confkey)))"
						  " ORDER BY 1 LIMIT 1",
						  lengthof(params), params, refuse, unconstify(TwinColumn *, column));
}

static void
refuse_dependent(HeapTuple row, TupleDesc desc, void *arg)
{
	const TwinColumn *column = arg;
	const char *what = dbops_row_text(row, desc, 1);

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("column \"%s\" of table %s cannot be changed because %s depends on it", column->name, column->table, what),
			 errhint("Drop that first, and make it anew for the new column.")));
}

static void
refuse_use(HeapTuple row, TupleDesc desc, void *arg)
{
	const TwinColumn *column = arg;

	ereport(ERROR,
			(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
			 errmsg("column \"%s\" of table %s, which is to go, is used by %s", column->name, column->table, dbops_row_text(row, desc, 1)),
			 errhint("Have that use the old column again first.")));
}
