/*
 * index_shape.c
 *		An index as its catalog rows describe it.
 *
 * Indexes are read from pg_index and pg_opclass and never opened: opening one
 * locks it and its table, and leaves an entry in the session's relation cache
 * for each of perhaps a hundred thousand. Expressions and predicates are
 * simplified as the server does before it plans with them, so that they
 * compare equal to what the planner would see.
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
#include "nodes/nodeFuncs.h"
#include "optimizer/optimizer.h"
#include "pgstat.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static DbopsIndex *read_index(HeapTuple tuple, TupleDesc desc);
static void read_keys(DbopsIndex *index, HeapTuple tuple, TupleDesc desc);
static Node *read_nodes(HeapTuple tuple, TupleDesc desc, AttrNumber attnum);

/* List the table's indexes, except those that are being dropped. */
List *
dbops_index_load(Oid table)
{
	List	   *indexes = NIL;
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(table));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		if (((Form_pg_index) GETSTRUCT(tuple))->indislive)
			indexes = lappend(indexes, read_index(tuple, RelationGetDescr(catalog)));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return indexes;
}

static DbopsIndex *
read_index(HeapTuple tuple, TupleDesc desc)
{
	Form_pg_index form = (Form_pg_index) GETSTRUCT(tuple);
	DbopsIndex *index = palloc0(sizeof(DbopsIndex));

	index->oid = form->indexrelid;
	index->ncolumns = form->indnatts;
	index->nkeys = form->indnkeyatts;
	index->valid = form->indisvalid;
	index->unique = form->indisunique;
	index->exclusion = form->indisexclusion;
	read_keys(index, tuple, desc);
	index->expressions = (List *) read_nodes(tuple, desc, Anum_pg_index_indexprs);
	index->predicate = make_ands_implicit((Expr *)
										  canonicalize_qual((Expr *) read_nodes(tuple, desc, Anum_pg_index_indpred),
															false));
	fix_opfuncids((Node *) index->predicate);
	return index;
}

/* Fill in the columns and, by way of the operator classes, the method. */
static void
read_keys(DbopsIndex *index, HeapTuple tuple, TupleDesc desc)
{
	bool		isnull;
	int2vector *columns = &((Form_pg_index) GETSTRUCT(tuple))->indkey;
	oidvector  *collations = (oidvector *)
		DatumGetPointer(heap_getattr(tuple, Anum_pg_index_indcollation, desc, &isnull));
	oidvector  *opclasses = (oidvector *)
		DatumGetPointer(heap_getattr(tuple, Anum_pg_index_indclass, desc, &isnull));

	for (int i = 0; i < index->ncolumns; i++)
		index->columns[i] = columns->values[i];

	for (int i = 0; i < index->nkeys; i++)
	{
		HeapTuple	opclass = SearchSysCache1(CLAOID, ObjectIdGetDatum(opclasses->values[i]));

		index->collations[i] = collations->values[i];
		if (!HeapTupleIsValid(opclass))
			continue;			/* dropped meanwhile; no operator is in family 0 */
		index->method = ((Form_pg_opclass) GETSTRUCT(opclass))->opcmethod;
		index->opfamilies[i] = ((Form_pg_opclass) GETSTRUCT(opclass))->opcfamily;
		ReleaseSysCache(opclass);
	}
}

/* Read a stored expression or list of them, as the planner would see it. */
static Node *
read_nodes(HeapTuple tuple, TupleDesc desc, AttrNumber attnum)
{
	bool		isnull;
	Datum		stored = heap_getattr(tuple, attnum, desc, &isnull);
	Node	   *node;

	if (isnull)
		return NULL;
	node = eval_const_expressions(NULL, stringToNode(TextDatumGetCString(stored)));
	fix_opfuncids(node);
	return node;
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
