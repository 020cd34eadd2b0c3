/*
 * online_index_tree.c
 *		The steps that build an index on a partitioned table.
 *
 * A partitioned table's index cannot be built concurrently as a whole. So it is
 * created on the partitioned tables alone, not valid yet, from when on partitions
 * that come have theirs from the server. Then each partition's is built while
 * others write, or one that is there already is taken, and attached; with the last
 * one the index becomes valid.
 *
 * A foreign table has no indexes, and keeps an index that others are attached to
 * from ever being valid. With one among the partitions the server is asked for the
 * whole index at the end, when it finds all that it would have to build.
 */
#include "change/online_index.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"

typedef struct Tree
{
	OnlinePlan *plan;
	bool		attach;			/* one by one */
	List	   *taken;			/* names of indexes to come, full ones */
	StringInfoData still;		/* SQL: the tables are those of now, and have their indexes */
} Tree;

static bool has_foreign_table(Oid table);
static void refuse_unique(const IndexDefinition *definition);
static void plan_level(Tree *tree, const IndexDefinition *definition, const char *name, const char *unless);
static void check_partition_key(const IndexDefinition *definition);
static bool has_key(const IndexDefinition *definition, AttrNumber attribute);
static Oid	last_table(const List *tables);
static void plan_partition(Tree *tree, const IndexDefinition *parent, const char *parent_name, Oid table, bool last);
static char *choose(const Tree *tree, const IndexDefinition *definition, Oid parent);
static Oid	attached_one(const IndexDefinition *definition, Oid parent);
static char *gone(const IndexDefinition *parent, Oid table);
static char *attached(const IndexDefinition *parent, const char *parent_name, Oid table);
static void add_only(Tree *tree, const IndexDefinition *definition, const char *name, const char *unless);
static void add_attach(Tree *tree, const IndexDefinition *parent, const char *parent_name,
					   const IndexDefinition *definition, const char *name, bool last);
static void add_whole(Tree *tree, const IndexDefinition *definition, const char *name);
static void add_proof(Tree *tree, const IndexDefinition *definition, const char *name);

/* Plan an index of this name on a partitioned table, all of whose partitions are locked. */
void
dbops_online_index_plan_tree(OnlinePlan *plan, const IndexDefinition *definition, const char *name)
{
	Tree		tree = {
		.plan = plan,
		.attach = !has_foreign_table(definition->table)
	};

	initStringInfo(&tree.still);
	appendStringInfoString(&tree.still, dbops_online_same_leaves(definition->table));

	if (!tree.attach && definition->statement->unique)
		refuse_unique(definition);
	plan_level(&tree, definition, name, NULL);
	if (tree.attach)
		add_proof(&tree, definition, name);
	else
		add_whole(&tree, definition, name);
}

static bool
has_foreign_table(Oid table)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, NoLock, NULL))
		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_FOREIGN_TABLE)
			return true;
	return false;
}

static void
refuse_unique(const IndexDefinition *definition)
{
	ereport(ERROR,
			(errcode(ERRCODE_WRONG_OBJECT_TYPE),
			 errmsg("table \"%s\" cannot have a unique index: some of its partitions are foreign tables", definition->relname),
			 errhint("Create unique indexes on the partitions that are tables, or detach the foreign ones.")));
}

/* A partitioned table, and all below it. */
static void
plan_level(Tree *tree, const IndexDefinition *definition, const char *name, const char *unless)
{
	List	   *partitions = find_inheritance_children(definition->table, NoLock);
	Oid			last = last_table(partitions);
	ListCell   *cell;

	if (definition->statement->unique)
		check_partition_key(definition);
	tree->taken = lappend(tree->taken, dbops_online_index_full_name(definition->schema, name));
	if (tree->attach)
		add_only(tree, definition, name, unless);
	foreach(cell, partitions)
		if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_FOREIGN_TABLE)
			plan_partition(tree, definition, name, lfirst_oid(cell), lfirst_oid(cell) == last);
}

static Oid
last_table(const List *tables)
{
	Oid			last = InvalidOid;
	ListCell   *cell;

	foreach(cell, tables)
		if (get_rel_relkind(lfirst_oid(cell)) != RELKIND_FOREIGN_TABLE)
			last = lfirst_oid(cell);
	return last;
}

/* Rows of different partitions are not held against each other. */
static void
check_partition_key(const IndexDefinition *definition)
{
	Relation	table = RelationIdGetRelation(definition->table);
	PartitionKey key = RelationGetPartitionKey(table);

	for (int i = 0; i < key->partnatts; i++)
		if (!has_key(definition, key->partattrs[i]))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("a unique index on partitioned table \"%s\" must have all columns of its partition key", definition->relname),
					 key->partattrs[i] != 0 ?
					 errdetail("It lacks column \"%s\".", get_attname(definition->table, key->partattrs[i], false)) :
					 errdetail("The partition key has an expression."),
					 errhint("Add what it lacks to the columns, or create unique indexes on the partitions.")));
	RelationClose(table);
}

static bool
has_key(const IndexDefinition *definition, AttrNumber attribute)
{
	for (int i = 0; i < definition->n_keys; i++)
		if (attribute != 0 && definition->columns[i].attribute == attribute)
			return true;
	return false;
}

static void
plan_partition(Tree *tree, const IndexDefinition *parent, const char *parent_name, Oid table, bool last)
{
	IndexDefinition *definition;
	char	   *name;
	char	   *unless;

	check_stack_depth();
	definition = dbops_online_index_read_for(parent, table);
	name = choose(tree, definition, get_relname_relid(parent_name, parent->schema));
	unless = psprintf("%s OR %s", gone(parent, table), attached(parent, parent_name, table));
	if (definition->relkind == RELKIND_PARTITIONED_TABLE)
		plan_level(tree, definition, name, unless);
	else
	{
		tree->taken = lappend(tree->taken, dbops_online_index_full_name(definition->schema, name));
		appendStringInfo(&tree->still, " AND %s",
						 dbops_online_index_valid(table, get_namespace_name(definition->schema), name));
		dbops_online_index_plan_build(tree->plan, definition, name, unless);
	}
	if (tree->attach)
		add_attach(tree, parent, parent_name, definition, name, last);
}

/* The index of a partition: one that is attached, or could be, before one that is to be built. */
static char *
choose(const Tree *tree, const IndexDefinition *definition, Oid parent)
{
	Oid			index = attached_one(definition, parent);
	char	   *name;
	ListCell   *cell;

	if (OidIsValid(index))
		return get_rel_name(index);
	name = dbops_online_index_choose_name(definition, parent, tree->taken);
	index = get_relname_relid(name, definition->schema);
	if (OidIsValid(index) && dbops_online_index_is_whole(index))
		return name;
	foreach(cell, dbops_online_index_same_ones(definition, true))
		if (!get_rel_relispartition(lfirst_oid(cell)))
			return get_rel_name(lfirst_oid(cell));
	return name;
}

static Oid
attached_one(const IndexDefinition *definition, Oid parent)
{
	ListCell   *cell;

	if (OidIsValid(parent))
		foreach(cell, dbops_online_index_same_ones(definition, false))
			if (get_rel_relispartition(lfirst_oid(cell)) && get_partition_parent(lfirst_oid(cell), true) == parent)
				return lfirst_oid(cell);
	return InvalidOid;
}

/* SQL: it is no partition any more. */
static char *
gone(const IndexDefinition *parent, Oid table)
{
	return psprintf("NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = %u AND inhparent = %u)", table, parent->table);
}

/* SQL: it has an index that is a part of the parent's. */
static char *
attached(const IndexDefinition *parent, const char *parent_name, Oid table)
{
	return psprintf("EXISTS (SELECT FROM pg_inherits h JOIN pg_index i ON i.indexrelid = h.inhrelid"
					" WHERE h.inhparent = to_regclass(%s) AND i.indrelid = %u)",
					quote_literal_cstr(dbops_online_index_full_name(parent->schema, parent_name)), table);
}

static void
add_only(Tree *tree, const IndexDefinition *definition, const char *name, const char *unless)
{
	dbops_online_add(tree->plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = dbops_online_index_statement(definition, "ONLY", name),
		.reached = dbops_online_either(psprintf("to_regclass(%s) IS NOT NULL",
												quote_literal_cstr(dbops_online_index_full_name(definition->schema, name))), unless),
		.why = "It is not valid before all partitions have theirs; those that come from now on get it from the server."
	});
	dbops_online_require_create(tree->plan, llast(tree->plan->steps), definition->schema);
}

/* With the last one the server looks whether the whole is valid, also where that one is attached already. */
static void
add_attach(Tree *tree, const IndexDefinition *parent, const char *parent_name,
		   const IndexDefinition *definition, const char *name, bool last)
{
	const char *valid = last ? dbops_online_index_valid(parent->table, get_namespace_name(parent->schema), parent_name) : "true";

	dbops_online_add(tree->plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER INDEX %s ATTACH PARTITION %s",
						dbops_online_index_full_name(parent->schema, parent_name),
						dbops_online_index_full_name(definition->schema, name)),
		.reached = psprintf("%s OR %s AND %s", gone(parent, definition->table),
							attached(parent, parent_name, definition->table), valid),
		.why = "Locks both indexes in ACCESS EXCLUSIVE mode, for a moment in which nobody reads the partition."
	});
}

static void
add_whole(Tree *tree, const IndexDefinition *definition, const char *name)
{
	dbops_online_add(tree->plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = dbops_online_index_statement(definition, "", name),
		.reached = dbops_online_index_valid(definition->table, get_namespace_name(definition->schema), name),
		.still = tree->still.data,
		.message = psprintf("table %s has got or lost a partition meanwhile, or one of them its index", dbops_quote_relation(definition->table)),
		.why = "Some partitions are foreign tables, which have no indexes; it takes over those of the others, and builds none."
	});
	dbops_online_require_create(tree->plan, llast(tree->plan->steps), definition->schema);
}

/* Something that nobody has foreseen must not pass for success. */
static void
add_proof(Tree *tree, const IndexDefinition *definition, const char *name)
{
	const char *index = dbops_online_index_full_name(definition->schema, name);

	dbops_online_add(tree->plan, (OnlineStep)
	{
		.kind = ONLINE_REFUSE,
		.sql = psprintf("SELECT FROM pg_catalog.pg_index WHERE indexrelid = pg_catalog.to_regclass(%s) AND NOT indisvalid",
						quote_literal_cstr(index)),
		.reached = dbops_online_index_valid(definition->table, get_namespace_name(definition->schema), name),
		.why = "With the last partition's it has become valid.",
		.sqlerrcode = ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
		.message = psprintf("index %s is not valid yet: a partition has come meanwhile without one", index),
		.hint = "Make the same call again."
	});
}
