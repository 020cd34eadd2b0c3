/*
 * index_siblings.c
 *		Indexes by the same columns of other partitions of a table.
 *
 * An index that was made on a partition, or on a child by inheritance, by itself
 * belongs to no index of the parent. What is done with one partition today is
 * done with the next one tomorrow: so where one of such indexes is used, all are
 * wanted, and that of the parent itself, which the next child is made like. They
 * are known by their method and the names of their columns, which may have
 * different numbers. Expressions are not compared, so that rather an index too
 * many stays. No relation is opened or locked.
 */
#include "advise/index_advice.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_index.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define LARGEST_KEY		256		/* bytes of what siblings have in common */
#define FAMILY_KEY		"%u"	/* of a table some part of which has one */

static void note_family(HTAB *siblings, Oid family);
static bool is_used_in(HTAB *siblings, const IndexEntry *entry, Oid family);
static Oid	family_of(const IndexEntry *entry);
static bool sibling_key(const IndexEntry *entry, Oid parent, char *key);
static char *column_names(Oid table, Form_pg_index index);

/* List what is used of partitions and children since a time. */
HTAB *
dbops_index_siblings(const IndexNodes *nodes, const List *entries, TimestampTz since)
{
	HASHCTL		control = {.keysize = LARGEST_KEY,.entrysize = LARGEST_KEY,.hcxt = CurrentMemoryContext};
	HTAB	   *siblings = hash_create("used indexes of partitions", 256, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	ListCell   *cell;

	foreach(cell, entries)
	{
		IndexEntry *entry = lfirst(cell);
		char		key[LARGEST_KEY];
		IndexCounters counters = {0};

		CHECK_FOR_INTERRUPTS();
		if (OidIsValid(entry->table_parent))
			counters = dbops_index_counters(nodes, entry);
		if (!dbops_index_was_used(&counters, since) || !sibling_key(entry, family_of(entry), key))
			continue;
		(void) hash_search(siblings, key, HASH_ENTER, NULL);
		note_family(siblings, family_of(entry));
	}
	return siblings;
}

/* So that nothing is looked up for indexes of all the other tables. */
static void
note_family(HTAB *siblings, Oid family)
{
	char		key[LARGEST_KEY] = {0};

	snprintf(key, LARGEST_KEY, FAMILY_KEY, family);
	(void) hash_search(siblings, key, HASH_ENTER, NULL);
}

/* Whether an index is one of these, or has one among them, or one of a child of its table is. */
bool
dbops_index_has_sibling(HTAB *siblings, const IndexEntry *entry)
{
	return (OidIsValid(entry->table_parent) && is_used_in(siblings, entry, family_of(entry))) ||
		is_used_in(siblings, entry, entry->table);
}

static bool
is_used_in(HTAB *siblings, const IndexEntry *entry, Oid family)
{
	char		key[LARGEST_KEY] = {0};

	snprintf(key, LARGEST_KEY, FAMILY_KEY, family);
	return hash_search(siblings, key, HASH_FIND, NULL) != NULL &&
		sibling_key(entry, family, key) && hash_search(siblings, key, HASH_FIND, NULL) != NULL;
}

/* The table that its table is a part of, however many levels above. */
static Oid
family_of(const IndexEntry *entry)
{
	List	   *ancestors = get_rel_relispartition(entry->table) ? get_partition_ancestors(entry->table) : NIL;

	return (ancestors != NIL) ? llast_oid(ancestors) : entry->table_parent;
}

/* What siblings, the parts of one table, have in common. */
static bool
sibling_key(const IndexEntry *entry, Oid parent, char *key)
{
	HeapTuple	index = SearchSysCache1(INDEXRELID, ObjectIdGetDatum(entry->oid));

	if (!HeapTupleIsValid(index))
		return false;
	memset(key, 0, LARGEST_KEY);
	snprintf(key, LARGEST_KEY, "%u %u %s", parent, entry->method,
			 column_names(entry->table, (Form_pg_index) GETSTRUCT(index)));
	ReleaseSysCache(index);
	return true;
}

static char *
column_names(Oid table, Form_pg_index index)
{
	StringInfoData names;

	initStringInfo(&names);
	for (int i = 0; i < index->indnatts; i++)
	{
		const char *name = index->indkey.values[i] == 0 ? NULL : get_attname(table, index->indkey.values[i], true);

		appendStringInfo(&names, "%s, ", name == NULL ? "()" : dbops_quote_name(name));
	}
	return names.data;
}
