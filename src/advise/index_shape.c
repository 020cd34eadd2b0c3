/*
 * index_shape.c
 *		An index as its catalog rows describe it.
 *
 * Indexes are read from pg_index and pg_opclass and never opened: opening one
 * locks it and its table, and leaves an entry in the session's relation cache
 * for each of perhaps a hundred thousand. Expressions and predicates are
 * simplified like the lookup's clauses, so that they compare equal to these.
 */
#include "advise/advise.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/pg_am.h"
#include "catalog/pg_index.h"
#include "catalog/pg_opclass.h"
#include "commands/progress.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* How many indexes of other tables are passed over before a new search. */
#define READ_ON 16

struct DbopsIndexReader
{
	MemoryContext context;		/* of the scan */
	Relation	catalog;
	Relation	order;			/* its index by table */
	SysScanDesc scan;			/* or NULL */
	HeapTuple	current;		/* or NULL behind the last one */
	Oid			reached;		/* the table that was asked for last */
};

static void move_to(DbopsIndexReader *reader, Oid table);
static void advance(DbopsIndexReader *reader);
static Oid	current_table(DbopsIndexReader *reader);
static DbopsIndex *read_index(HeapTuple tuple, TupleDesc desc);
static void *vector_behind(void *vector);
static void read_keys(DbopsIndex *index, const oidvector *opclasses,
					  const oidvector *collations, const int2vector *options);
static Node *planner_form(HeapTuple tuple, TupleDesc desc, AttrNumber attnum);

/* Begin to read; tables are cheapest to ask for in the order of their OIDs. */
DbopsIndexReader *
dbops_index_reader_begin(void)
{
	DbopsIndexReader *reader = palloc0(sizeof(DbopsIndexReader));

	reader->context = CurrentMemoryContext;
	reader->catalog = table_open(IndexRelationId, AccessShareLock);
	reader->order = index_open(IndexIndrelidIndexId, AccessShareLock);
	return reader;
}

/* List a table's indexes, except those that are being dropped. */
List *
dbops_index_read(DbopsIndexReader *reader, Oid table)
{
	List	   *indexes = NIL;

	move_to(reader, table);
	for (; current_table(reader) == table; advance(reader))
		if (((Form_pg_index) GETSTRUCT(reader->current))->indislive)
			indexes = lappend(indexes, read_index(reader->current,
												  RelationGetDescr(reader->catalog)));
	return indexes;
}

void
dbops_index_reader_end(DbopsIndexReader *reader)
{
	if (reader->scan != NULL)
		systable_endscan_ordered(reader->scan);
	index_close(reader->order, AccessShareLock);
	table_close(reader->catalog, AccessShareLock);
	pfree(reader);
}

/*
 * Go to a table's first index, or to what follows where that would be: by
 * reading on if it is near, by a new search if it is not.
 */
static void
move_to(DbopsIndexReader *reader, Oid table)
{
	ScanKeyData key;
	MemoryContext caller;

	if (reader->scan != NULL && reader->reached < table)
	{
		for (int i = 0; i < READ_ON && current_table(reader) < table; i++)
			advance(reader);
		if (current_table(reader) >= table)
		{
			reader->reached = table;
			return;
		}
	}

	caller = MemoryContextSwitchTo(reader->context);
	if (reader->scan != NULL)
		systable_endscan_ordered(reader->scan);
	ScanKeyInit(&key, Anum_pg_index_indrelid, BTGreaterEqualStrategyNumber, F_OIDGE,
				ObjectIdGetDatum(table));
	reader->scan = systable_beginscan_ordered(reader->catalog, reader->order, NULL, 1, &key);
	reader->reached = table;
	MemoryContextSwitchTo(caller);
	advance(reader);
}

/* Read the next row; the scan keeps what it allocates from call to call. */
static void
advance(DbopsIndexReader *reader)
{
	MemoryContext caller = MemoryContextSwitchTo(reader->context);

	reader->current = systable_getnext_ordered(reader->scan, ForwardScanDirection);
	MemoryContextSwitchTo(caller);
}

/* Name the table of the current index; behind the last one, the last OID. */
static Oid
current_table(DbopsIndexReader *reader)
{
	return HeapTupleIsValid(reader->current) ?
		((Form_pg_index) GETSTRUCT(reader->current))->indrelid : OID_MAX;
}

static DbopsIndex *
read_index(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	DbopsIndex *index = palloc(sizeof(DbopsIndex));
	oidvector  *collations = vector_behind(&form->indkey);
	oidvector  *opclasses = vector_behind(collations);
	int2vector *options = vector_behind(opclasses);
	Expr	   *predicate;

	index->oid = form->indexrelid;
	index->advised_for = NULL;
	index->method = InvalidOid;
	index->ncolumns = form->indnatts;
	index->nkeys = form->indnkeyatts;
	index->valid = form->indisvalid;
	index->unique = form->indisunique;
	index->nulls_not_distinct = form->indnullsnotdistinct;
	index->immediate = form->indimmediate;
	index->exclusion = form->indisexclusion;
	memcpy(index->columns, form->indkey.values, sizeof(AttrNumber) * index->ncolumns);
	read_keys(index, opclasses, collations, options);
	index->expressions = (List *) planner_form(tuple, desc, Anum_pg_index_indexprs);
	predicate = (Expr *) planner_form(tuple, desc, Anum_pg_index_indpred);
	index->predicate = make_ands_implicit(canonicalize_qual(predicate, false));
	return index;
}

/*
 * Go from one vector of pg_index to the next. They stand side by side: never
 * null, aligned like integers and, being vectors, stored plain. Reading them by
 * number instead would walk the row each time, a sixth of the whole report.
 */
static void *
vector_behind(void *vector)
{
	return (char *) vector + INTALIGN(VARSIZE(vector));
}

/* Fill in what stands for each key and, by way of their classes, the method. */
static void
read_keys(DbopsIndex *index, const oidvector *opclasses, const oidvector *collations,
		  const int2vector *options)
{
	for (int i = 0; i < index->nkeys; i++)
	{
		HeapTuple	tuple = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclasses->values[i]));
		Form_pg_opclass opclass;

		index->collations[i] = collations->values[i];
		index->options[i] = options->values[i];
		index->opfamilies[i] = InvalidOid;
		index->types[i] = InvalidOid;
		if (!HeapTupleIsValid(tuple))
			continue;			/* dropped meanwhile; no operator is in family 0 */
		opclass = (Form_pg_opclass) GETSTRUCT(tuple);
		index->method = opclass->opcmethod;
		index->opfamilies[i] = opclass->opcfamily;
		index->types[i] = opclass->opcintype;
		ReleaseSysCache(tuple);
	}
}

/* Read a stored expression, or a list of them, as the planner would see it. */
static Node *
planner_form(HeapTuple tuple, TupleDesc desc, AttrNumber attnum)
{
	bool		isnull;
	Datum		stored;

	if (heap_attisnull(tuple, attnum, NULL))
		return NULL;
	stored = heap_getattr(tuple, attnum, desc, &isnull);
	return dbops_expression_simplify(stringToNode(TextDatumGetCString(stored)));
}

/* Find an index in such a list; NULL: it is not there. */
const DbopsIndex *
dbops_index_find(List *indexes, Oid index)
{
	ListCell   *cell;

	foreach(cell, indexes)
		if (((const DbopsIndex *) lfirst(cell))->oid == index)
			return lfirst(cell);
	return NULL;
}

/* Give the expression of a key that is not a column. */
Node *
dbops_index_expression(const DbopsIndex *index, int key)
{
	int			nth = 0;

	Assert(index->columns[key] == 0);
	for (int i = 0; i < key; i++)
		nth += (index->columns[i] == 0);
	return list_nth(index->expressions, nth);
}

/*
 * Say whether two indexes are so alike that one can be attached as the
 * partition of the other. Both are plain: no predicate, nothing enforced.
 */
bool
dbops_index_equal(const DbopsIndex *a, const DbopsIndex *b)
{
	return a->method == b->method &&
		a->nkeys == b->nkeys && a->ncolumns == b->ncolumns &&
		memcmp(a->columns, b->columns, sizeof(AttrNumber) * a->ncolumns) == 0 &&
		memcmp(a->opfamilies, b->opfamilies, sizeof(Oid) * a->nkeys) == 0 &&
		memcmp(a->collations, b->collations, sizeof(Oid) * a->nkeys) == 0 &&
		equal(a->expressions, b->expressions) &&
		a->predicate == NIL && b->predicate == NIL &&
		!a->unique && !b->unique && !a->exclusion && !b->exclusion;
}

/* Say whether some session is building the index at this moment. */
bool
dbops_index_in_progress(Oid index)
{
	int			nsessions = pgstat_fetch_stat_numbackends();

	for (int i = 1; i <= nsessions; i++)
	{
		PgBackendStatus *session = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (session->st_databaseid == MyDatabaseId &&
			session->st_progress_command == PROGRESS_COMMAND_CREATE_INDEX &&
			session->st_progress_param[PROGRESS_CREATEIDX_INDEX_OID] == (int64) index)
			return true;
	}
	return false;
}
