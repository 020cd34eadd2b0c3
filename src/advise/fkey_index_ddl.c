/*
 * fkey_index_ddl.c
 *		The statements that give a foreign key its index.
 *
 * They run as printed, one a line, each in a transaction of its own, and block
 * no writer of an ordinary table:
 *
 *	- an index that would serve but is invalid, as a failed CREATE INDEX
 *	  CONCURRENTLY leaves it, is rebuilt;
 *	- an ordinary table gets CREATE INDEX CONCURRENTLY;
 *	- a partitioned table, for which the server has no such command, gets an
 *	  empty index ON ONLY itself, each leaf its own index CONCURRENTLY, and
 *	  the leaves' indexes are attached from the bottom up. What exists with the
 *	  same definition is taken, so a script that broke off is continued.
 *
 * Names follow the server's own pattern and are unique in their schema and
 * among all that one report advises. Never IF NOT EXISTS: an invalid index of
 * that name would satisfy it.
 */
#include "advise/advise.h"

#include "catalog/partition.h"
#include "commands/defrem.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

typedef struct NameKey
{
	Oid			schema;
	NameData	name;
} NameKey;

typedef struct AdvisedName
{
	NameKey		key;
	bool		taken;
	int			next;			/* number to try where this is the first choice */
} AdvisedName;

typedef struct Script
{
	StringInfoData text;
	HTAB	   *names;			/* AdvisedName */
	const char *constraint;
} Script;

static bool write_table(Script *script, DbopsTableNode *table);
static bool write_partition(Script *script, DbopsTableNode *node,
							const char *parent_index, Oid parent_oid);
static bool write_children(Script *script, DbopsTableNode *node,
						   const char *index_name, Oid index);
static DbopsIndex *find_attachable(DbopsTableNode *node, const DbopsIndex *design,
								   bool is_root, Oid parent_oid);
static Oid	index_parent(Oid index);
static void write_create(Script *script, const char *how, const char *index_name,
						 const char *on, const DbopsTableNode *node, const char *keys);
static void advise_new(Script *script, DbopsTableNode *node, const DbopsIndex *design);
static void write_repair(Script *script, const DbopsTableNode *node,
						 DbopsIndex *index, const char *index_name);
static char *choose_name(HTAB *names, const DbopsTableNode *node);
static char *join_columns(const DbopsFkeyLookup *lookup);
static bool take_name(HTAB *names, Oid schema, const char *name);
static AdvisedName *find_name(HTAB *names, Oid schema, const char *name);

/* Begin a report's set of names. */
HTAB *
dbops_names_create(void)
{
	HASHCTL		control = {
		.keysize = sizeof(NameKey),
		.entrysize = sizeof(AdvisedName),
		.hcxt = CurrentMemoryContext
	};

	return hash_create("names of advised indexes", 64, &control,
					   HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/*
 * Write the statements, and mark in the tree which indexes they create or
 * repair. NULL if no index can serve this foreign key.
 */
char *
dbops_fkey_index_ddl(const DbopsFkey *fkey, DbopsTableNode *root, HTAB *names)
{
	Script		script = {.names = names, .constraint = NameStr(fkey->name)};
	bool		written;

	initStringInfo(&script.text);
	written = root->partitioned ?
		write_partition(&script, root, NULL, InvalidOid) :
		write_table(&script, root);
	if (!written)
		return NULL;

	/* The last line ends with a semicolon and nothing more. */
	script.text.data[script.text.len - 1] = '\0';
	return script.text.data;
}

/* Write the statement for a table that is not partitioned. */
static bool
write_table(Script *script, DbopsTableNode *table)
{
	DbopsIndex	design;
	StringInfoData keys;

	if (table->verdict.repairable != NULL)
	{
		char	   *name = get_rel_name(table->verdict.repairable->oid);

		if (name == NULL)
			return false;		/* dropped meanwhile */
		write_repair(script, table, table->verdict.repairable, name);
		return true;
	}
	initStringInfo(&keys);
	if (!dbops_fkey_index_design(table->lookup, &design, &keys))
		return false;
	write_create(script, "CREATE INDEX CONCURRENTLY", choose_name(script->names, table),
				 "ON", table, keys.data);
	advise_new(script, table, &design);
	return true;
}

/*
 * Write the statements for a node of a partition tree and what is below it,
 * up to attaching its index to the one above, if there is a table above.
 */
static bool
write_partition(Script *script, DbopsTableNode *node,
				const char *parent_index, Oid parent_oid)
{
	DbopsIndex	design;
	DbopsIndex *existing;
	StringInfoData keys;
	char	   *name;
	bool		attach = (parent_index != NULL);

	check_stack_depth();
	CHECK_FOR_INTERRUPTS();
	initStringInfo(&keys);
	if (!dbops_fkey_index_design(node->lookup, &design, &keys))
		return false;

	existing = find_attachable(node, &design, parent_index == NULL, parent_oid);
	name = (existing == NULL) ? choose_name(script->names, node) : get_rel_name(existing->oid);
	if (name == NULL)
		return false;			/* dropped meanwhile */
	if (existing == NULL)
		write_create(script,
					 node->partitioned ? "CREATE INDEX" : "CREATE INDEX CONCURRENTLY", name,
					 node->partitioned ? "ON ONLY" : "ON", node, keys.data);
	else if (!node->partitioned && !existing->valid)
		write_repair(script, node, existing, name);
	else if (attach && OidIsValid(parent_oid) && index_parent(existing->oid) == parent_oid)
		attach = false;

	name = dbops_quote_qualified(node->schema_name, name);
	if (node->partitioned &&
		!write_children(script, node, name, existing == NULL ? InvalidOid : existing->oid))
		return false;
	if (!node->partitioned && existing == NULL)
		advise_new(script, node, &design);
	if (attach)
		appendStringInfo(&script->text, "ALTER INDEX %s ATTACH PARTITION %s;\n",
						 parent_index, name);
	return true;
}

static bool
write_children(Script *script, DbopsTableNode *node, const char *index_name, Oid index)
{
	ListCell   *cell;

	foreach(cell, node->children)
		if (!write_partition(script, lfirst(cell), index_name, index))
			return false;
	return true;
}

/*
 * Find an index like the design that is attached to the given one or can be:
 * best one that is attached already, then a valid one. The root's may be
 * attached to whatever it is.
 */
static DbopsIndex *
find_attachable(DbopsTableNode *node, const DbopsIndex *design, bool is_root, Oid parent_oid)
{
	DbopsIndex *found = NULL;
	ListCell   *cell;

	foreach(cell, node->indexes)
	{
		DbopsIndex *index = lfirst(cell);
		Oid			parent;

		if (!OidIsValid(index->oid) || !dbops_index_equal(index, design))
			continue;
		parent = index_parent(index->oid);
		if (OidIsValid(parent) && parent == parent_oid)
			return index;
		if ((is_root || !OidIsValid(parent)) &&
			(found == NULL || (index->valid && !found->valid)))
			found = index;
	}
	return found;
}

/* Find the index that an index is attached to. */
static Oid
index_parent(Oid index)
{
	return get_rel_relispartition(index) ?
		get_partition_parent(index, false) : InvalidOid;
}

static void
write_create(Script *script, const char *how, const char *index_name,
			 const char *on, const DbopsTableNode *node, const char *keys)
{
	appendStringInfo(&script->text, "%s %s %s %s %s;\n", how,
					 dbops_quote_name(index_name), on,
					 dbops_quote_qualified(node->schema_name, node->name), keys);
}

/* Keep the new index among the node's, for other foreign keys to see. */
static void
advise_new(Script *script, DbopsTableNode *node, const DbopsIndex *design)
{
	MemoryContext caller = MemoryContextSwitchTo(GetMemoryChunkContext(node));
	DbopsIndex *advised = palloc(sizeof(DbopsIndex));

	*advised = *design;
	advised->expressions = copyObject(design->expressions);
	advised->advised_for = script->constraint;
	node->indexes = lappend(node->indexes, advised);
	MemoryContextSwitchTo(caller);
}

static void
write_repair(Script *script, const DbopsTableNode *node, DbopsIndex *index,
			 const char *index_name)
{
	appendStringInfo(&script->text, "REINDEX INDEX CONCURRENTLY %s;\n",
					 dbops_quote_qualified(node->schema_name, index_name));
	index->advised_for = script->constraint;
}

/*
 * Choose a name for a new index that is free in the table's schema. Long names
 * are cut, often to the same one; each goes on counting where the last ended.
 */
static char *
choose_name(HTAB *names, const DbopsTableNode *node)
{
	char	   *columns = join_columns(node->lookup);
	char	   *name = makeObjectName(node->name, columns, "idx");
	int		   *next = &find_name(names, node->schema, name)->next;

	for (;;)
	{
		CHECK_FOR_INTERRUPTS();
		if (*next > 0)
			name = makeObjectName(node->name, columns, psprintf("idx%d", *next));
		(*next)++;
		if (take_name(names, node->schema, name))
			return name;
	}
}

/* Join the columns' names as far as a name can be long. */
static char *
join_columns(const DbopsFkeyLookup *lookup)
{
	StringInfoData joined;

	initStringInfo(&joined);
	for (int i = 0; i < lookup->ncolumns && joined.len < NAMEDATALEN; i++)
		appendStringInfo(&joined, "%s%s", i > 0 ? "_" : "", lookup->columns[i].name);
	return joined.data;
}

/* Take a name unless a relation or an earlier piece of advice has it. */
static bool
take_name(HTAB *names, Oid schema, const char *name)
{
	AdvisedName *advised = find_name(names, schema, name);

	if (advised->taken || OidIsValid(get_relname_relid(name, schema)))
		return false;
	advised->taken = true;
	return true;
}

/* Find what is noted about a name, or begin to note it. */
static AdvisedName *
find_name(HTAB *names, Oid schema, const char *name)
{
	NameKey		key;
	AdvisedName *advised;
	bool		found;

	memset(&key, 0, sizeof(key));
	key.schema = schema;
	strlcpy(NameStr(key.name), name, NAMEDATALEN);
	advised = hash_search(names, &key, HASH_ENTER, &found);
	if (!found)
	{
		advised->taken = false;
		advised->next = 0;
	}
	return advised;
}
