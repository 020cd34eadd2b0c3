/*
 * index_needs.c
 *		Who needs an index, whether it is scanned or not.
 *
 * It may keep a constraint, be what a foreign key refers to, tell rows apart for
 * replication, or be what CLUSTER goes by. It may also be the one by which a
 * foreign key finds its rows: no scan is counted until a referenced row goes,
 * and then the whole table would be read. One whose triggers are disabled may be enabled again.
 *
 * Indexes that have been called droppable are noted, so that two which could
 * stand in for each other are not both.
 */
#include "advise/index_advice.h"

#include "catalog/partition.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"

/* The foreign keys of a table. */
typedef struct TableFkeys
{
	Oid			table;
	List	   *fkeys;			/* of DbopsFkey * */
} TableFkeys;

struct IndexNeeds
{
	MemoryContext context;		/* of one question */
	DbopsIndexReader *reader;
	HTAB	   *fkeys;			/* TableFkeys */
	HTAB	   *dropped;		/* OIDs */
};

static List *fkeys_of(IndexNeeds *needs, Oid table);
static const char *served_by_leaf(IndexNeeds *needs, const IndexEntry *leaf, FkeyService service);
static List *remaining_indexes(IndexNeeds *needs, Oid table);
static bool is_served(const DbopsFkey *fkey, Oid table, List *indexes, const DbopsIndex *index, FkeyService service);

IndexNeeds *
dbops_index_needs_begin(void)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(TableFkeys),
		.hcxt = CurrentMemoryContext
	};
	HASHCTL		set = {.keysize = sizeof(Oid),.entrysize = sizeof(Oid),.hcxt = CurrentMemoryContext};
	IndexNeeds *needs = palloc0(sizeof(IndexNeeds));
	ListCell   *cell;

	needs->context = AllocSetContextCreate(CurrentMemoryContext, "dbops needs of an index", ALLOCSET_DEFAULT_SIZES);
	needs->reader = dbops_index_reader_begin();
	needs->fkeys = hash_create("foreign keys by table", 256, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	needs->dropped = hash_create("indexes that can be dropped", 256, &set, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
	foreach(cell, dbops_fkey_collect())
	{
		DbopsFkey  *fkey = lfirst(cell);
		bool		found;
		TableFkeys *table = hash_search(needs->fkeys, &fkey->table, HASH_ENTER, &found);

		if (!found)
			table->fkeys = NIL;
		table->fkeys = lappend(table->fkeys, fkey);
	}
	return needs;
}

void
dbops_index_needs_end(IndexNeeds *needs)
{
	dbops_index_reader_end(needs->reader);
	MemoryContextDelete(needs->context);
}

/* Say what the index keeps, as a phrase; NULL: nothing. */
const char *
dbops_index_enforces(const IndexEntry *entry)
{
	if (entry->constraint != NULL)
		return psprintf("constraint %s", entry->constraint);
	if (entry->part_constraint != NULL)
		return psprintf("constraint %s", entry->part_constraint);
	if (entry->referenced_by != NULL)
		return psprintf("foreign key %s refers to its columns", entry->referenced_by);
	if (entry->replica_identity)
		return "replica identity";
	if (entry->exclusion)
		return "an exclusion";
	if (entry->unique)
		return "uniqueness";
	if (entry->clustered)
		return "CLUSTER";
	return NULL;
}

/* Name a foreign key that finds its rows by the index; NULL: there is none. */
const char *
dbops_index_serves_fkey(IndexNeeds *needs, IndexEntry *entry, FkeyService service)
{
	const char *name = NULL;
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
	{
		MemoryContext caller = MemoryContextSwitchTo(needs->context);

		name = served_by_leaf(needs, lfirst(cell), service);
		MemoryContextSwitchTo(caller);
		if (name != NULL)
			break;
		MemoryContextReset(needs->context);
	}
	name = (name == NULL) ? NULL : pstrdup(name);
	MemoryContextReset(needs->context);
	return name;
}

static const char *
served_by_leaf(IndexNeeds *needs, const IndexEntry *leaf, FkeyService service)
{
	List	   *fkeys = fkeys_of(needs, leaf->table);
	List	   *indexes = (fkeys == NIL) ? NIL : remaining_indexes(needs, leaf->table);
	const DbopsIndex *index = dbops_index_find(indexes, leaf->oid);
	ListCell   *cell;

	if (index == NULL)
		return NULL;
	foreach(cell, fkeys)
	{
		const DbopsFkey *fkey = lfirst(cell);

		if (is_served(fkey, leaf->table, indexes, index, service))
			return dbops_quote_name(NameStr(fkey->name));
	}
	return NULL;
}

/* List the foreign keys of a table and of what it is a partition of. */
static List *
fkeys_of(IndexNeeds *needs, Oid table)
{
	TableFkeys *own = hash_search(needs->fkeys, &table, HASH_FIND, NULL);
	List	   *fkeys = (own == NULL) ? NIL : list_copy(own->fkeys);
	ListCell   *cell;

	if (hash_get_num_entries(needs->fkeys) == 0 || !get_rel_relispartition(table))
		return fkeys;
	foreach(cell, get_partition_ancestors(table))
	{
		TableFkeys *above = hash_search(needs->fkeys, &lfirst_oid(cell), HASH_FIND, NULL);

		if (above != NULL)
			fkeys = list_concat_copy(fkeys, above->fkeys);
	}
	return fkeys;
}

/* List the indexes of a table that nobody was told to drop. */
static List *
remaining_indexes(IndexNeeds *needs, Oid table)
{
	List	   *indexes = NIL;
	ListCell   *cell;

	foreach(cell, dbops_index_read(needs->reader, table))
		if (hash_search(needs->dropped, &((DbopsIndex *) lfirst(cell))->oid, HASH_FIND, NULL) == NULL)
			indexes = lappend(indexes, lfirst(cell));
	return indexes;
}

/* Whether a foreign key's lookup uses the index and, if that is asked, would read more if it were not there. */
static bool
is_served(const DbopsFkey *fkey, Oid table, List *indexes, const DbopsIndex *index, FkeyService service)
{
	DbopsFkeyLookup *lookup = dbops_fkey_lookup(fkey, table);
	List	   *others = list_delete_ptr(list_copy(indexes), unconstify(DbopsIndex *, index));
	DbopsIndex	itself = *index;

	if (lookup == NULL)
		return false;			/* something was dropped meanwhile */
	itself.valid = index->valid || service == WOULD_SERVE;
	return dbops_fkey_judge(lookup, list_make1(&itself)).coverage != DBOPS_UNCOVERED &&
		(service == SERVES || dbops_fkey_judge(lookup, others).coverage != DBOPS_COVERED);
}

/* From now on judge as if the index were gone. */
void
dbops_index_needs_drop(IndexNeeds *needs, IndexEntry *entry)
{
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
		(void) hash_search(needs->dropped, &((IndexEntry *) lfirst(cell))->oid, HASH_ENTER, NULL);
}
