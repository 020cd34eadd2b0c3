/*
 * find_unindexed_fkeys.c
 *		Foreign keys whose lookup no index serves, and the DDL that helps.
 *
 * One row for each constraint that a user declared. A partitioned table is
 * judged by its leaves, where the rows are. Tables of extensions and other
 * sessions' temporary tables are left out.
 *
 * Only catalogs are read, as of now, and files are looked at for their size:
 * no table is opened or locked, so an ALTER TABLE elsewhere neither delays the
 * report nor hides a table from it. What is dropped while the report is made
 * is left out.
 *
 * Memory: a few dozen bytes for each foreign key, the rows of the result, and
 * what one table's indexes need, which is freed before the next table.
 */
#include "advise/advise.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/transam.h"
#include "catalog/dependency.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

typedef struct Row
{
	DbopsSeverity severity;
	int64		bytes;
	const char *name;			/* of table and constraint */
	HeapTuple	tuple;
} Row;

typedef struct Report
{
	TupleDesc	desc;
	MemoryContext context;		/* lives as long as the report */
	MemoryContext per_table;
	MemoryContext per_fkey;
	DbopsIndexReader *reader;
	List	   *extension_tables;	/* and other relations of extensions */
	HTAB	   *names;			/* of advised indexes */
	HTAB	   *advice;			/* LeafAdvice */
	List	   *rows;
} Report;

/* What is advised for a partition on behalf of the tables above it. */
typedef struct LeafAdvice
{
	Oid			leaf;
	List	   *indexes;		/* DbopsIndex */
} LeafAdvice;

PG_FUNCTION_INFO_V1(dbops_find_unindexed_fkeys);

static void begin_report(Report *report, TupleDesc desc);
static List *extension_relations(void);
static void judge_table(Report *report, List *fkeys, int from, int to);
static DbopsTableNode *load_tree(Report *report, Oid table, bool partitioned);
static void recall_advice(Report *report, DbopsTableNode *leaf);
static void remember_advice(Report *report, const DbopsFkeyOutcome *outcome);
static void judge_fkey(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree);
static bool is_reported(const Report *report, const DbopsFkey *fkey);
static void judge_node(const DbopsFkey *fkey, DbopsTableNode *node, DbopsFkeyOutcome *outcome);
static bool name_nodes(DbopsTableNode *node);
static void add_row(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree,
					DbopsFkeyOutcome *outcome);
static int	compare_rows(const ListCell *a, const ListCell *b);

/* find_unindexed_fkeys() → setof record */
Datum
dbops_find_unindexed_fkeys(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Report		report;
	List	   *fkeys;
	ListCell   *cell;
	int			next;

	InitMaterializedSRF(fcinfo, 0);
	begin_report(&report, rsinfo->setDesc);
	fkeys = dbops_fkey_collect();

	for (int first = 0; first < list_length(fkeys); first = next)
	{
		Oid			table = ((DbopsFkey *) list_nth(fkeys, first))->table;

		for (next = first + 1; next < list_length(fkeys); next++)
			if (((DbopsFkey *) list_nth(fkeys, next))->table != table)
				break;
		CHECK_FOR_INTERRUPTS();
		judge_table(&report, fkeys, first, next);
	}

	dbops_index_reader_end(report.reader);
	list_sort(report.rows, compare_rows);
	foreach(cell, report.rows)
		tuplestore_puttuple(rsinfo->setResult, ((Row *) lfirst(cell))->tuple);
	return (Datum) 0;
}

static void
begin_report(Report *report, TupleDesc desc)
{
	HASHCTL		control = {
		.keysize = sizeof(Oid),
		.entrysize = sizeof(LeafAdvice),
		.hcxt = CurrentMemoryContext
	};

	memset(report, 0, sizeof(Report));
	report->desc = desc;
	report->context = CurrentMemoryContext;
	report->per_table = AllocSetContextCreate(CurrentMemoryContext, "dbops foreign keys of a table",
											  ALLOCSET_DEFAULT_SIZES);
	report->per_fkey = AllocSetContextCreate(CurrentMemoryContext, "dbops foreign key",
											 ALLOCSET_DEFAULT_SIZES);
	report->reader = dbops_index_reader_begin();
	report->extension_tables = extension_relations();
	report->names = dbops_names_create();
	report->advice = hash_create("advice for partitions", 64, &control,
								 HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

/* List the relations that belong to extensions. */
static List *
extension_relations(void)
{
	List	   *relations = NIL;
	Relation	catalog = table_open(DependRelationId, AccessShareLock);
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(ExtensionRelationId));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(tuple = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(tuple);

		if (form->classid == RelationRelationId && form->deptype == DEPENDENCY_EXTENSION)
			relations = lappend_oid(relations, form->objid);
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return relations;
}

/* Judge the foreign keys of one table, which are those from .. to - 1. */
static void
judge_table(Report *report, List *fkeys, int from, int to)
{
	DbopsFkey  *first = list_nth(fkeys, from);
	DbopsTableNode *tree;

	MemoryContextSwitchTo(report->per_table);
	tree = load_tree(report, first->table, first->partitioned);
	for (int i = from; i < to; i++)
	{
		CHECK_FOR_INTERRUPTS();
		MemoryContextSwitchTo(report->per_fkey);
		judge_fkey(report, list_nth(fkeys, i), tree);
		MemoryContextReset(report->per_fkey);
	}
	MemoryContextSwitchTo(report->context);
	MemoryContextReset(report->per_table);
}

/* Load a table, the partitions below it and the indexes of all of them. */
static DbopsTableNode *
load_tree(Report *report, Oid table, bool partitioned)
{
	DbopsTableNode *node = palloc0(sizeof(DbopsTableNode));
	ListCell   *cell;

	check_stack_depth();
	node->oid = table;
	node->partitioned = partitioned;
	node->indexes = dbops_index_read(report->reader, table);
	if (!partitioned)
	{
		recall_advice(report, node);
		return node;
	}

	foreach(cell, find_inheritance_children(table, NoLock))
	{
		Oid			child = lfirst_oid(cell);
		char		kind = get_rel_relkind(child);

		CHECK_FOR_INTERRUPTS();
		if (kind == RELKIND_RELATION || kind == RELKIND_PARTITIONED_TABLE)
			node->children = lappend(node->children,
									 load_tree(report, child, kind == RELKIND_PARTITIONED_TABLE));
	}
	return node;
}

/* Add to a partition's indexes what was advised for it through its parents. */
static void
recall_advice(Report *report, DbopsTableNode *leaf)
{
	LeafAdvice *advice = hash_search(report->advice, &leaf->oid, HASH_FIND, NULL);
	ListCell   *cell;

	if (advice == NULL)
		return;
	foreach(cell, advice->indexes)
	{
		DbopsIndex *advised = lfirst(cell);
		ListCell   *other;

		if (!OidIsValid(advised->oid))
		{
			leaf->indexes = lappend(leaf->indexes, advised);
			continue;
		}
		foreach(other, leaf->indexes)
			if (((DbopsIndex *) lfirst(other))->oid == advised->oid)
				((DbopsIndex *) lfirst(other))->advised_for = advised->advised_for;
	}
}

/* Keep what is advised for partitions, which may have foreign keys of their own. */
static void
remember_advice(Report *report, const DbopsFkeyOutcome *outcome)
{
	MemoryContext caller = MemoryContextSwitchTo(report->context);
	ListCell   *cell;

	foreach(cell, outcome->leaves)
	{
		DbopsTableNode *leaf = lfirst(cell);
		ListCell   *other;
		bool		found;
		LeafAdvice *advice = hash_search(report->advice, &leaf->oid, HASH_ENTER, &found);

		advice->indexes = NIL;
		foreach(other, leaf->indexes)
		{
			DbopsIndex *index = lfirst(other);
			DbopsIndex *copy;

			if (index->advised_for == NULL)
				continue;
			copy = palloc(sizeof(DbopsIndex));
			*copy = *index;
			copy->expressions = copyObject(index->expressions);
			copy->predicate = copyObject(index->predicate);
			advice->indexes = lappend(advice->indexes, copy);
		}
	}
	MemoryContextSwitchTo(caller);
}

/* Judge one foreign key and report it unless it is covered or never used. */
static void
judge_fkey(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree)
{
	DbopsFkeyOutcome		outcome = {.worst = {.coverage = DBOPS_COVERED}};

	if (fkey->firing == DBOPS_FIRES_NEVER ||
		(!tree->partitioned && dbops_fkey_plainly_covered(fkey, tree->indexes)))
		return;
	judge_node(fkey, tree, &outcome);
	if (outcome.worst.coverage != DBOPS_COVERED && !outcome.vanished &&
		is_reported(report, fkey) && name_nodes(tree))
		add_row(report, fkey, tree, &outcome);
}

/*
 * Say whether the table is one to report on: it exists, is the users' and not
 * an extension's, is not another session's, and has rows of its own or in
 * partitions.
 */
static bool
is_reported(const Report *report, const DbopsFkey *fkey)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(fkey->table));
	Form_pg_class form;
	bool		reported;

	if (!HeapTupleIsValid(tuple))
		return false;
	form = (Form_pg_class) GETSTRUCT(tuple);
	reported = fkey->table >= FirstNormalObjectId &&
		fkey->partitioned == (form->relkind == RELKIND_PARTITIONED_TABLE) &&
		(form->relpersistence != RELPERSISTENCE_TEMP ||
		 !isOtherTempNamespace(form->relnamespace)) &&
		!list_member_oid(report->extension_tables, fkey->table);
	ReleaseSysCache(tuple);
	return reported;
}

/* Judge the leaves from this node on; the worst one decides. */
static void
judge_node(const DbopsFkey *fkey, DbopsTableNode *node, DbopsFkeyOutcome *outcome)
{
	ListCell   *cell;

	CHECK_FOR_INTERRUPTS();
	node->lookup = dbops_fkey_lookup(fkey, node->oid);
	if (node->lookup == NULL)
	{
		outcome->vanished = true;
		return;
	}
	foreach(cell, node->children)
		judge_node(fkey, lfirst(cell), outcome);
	if (node->partitioned)
		return;

	node->verdict = dbops_fkey_judge(node->lookup, node->indexes);
	outcome->nleaves++;
	if (node->verdict.coverage == DBOPS_COVERED)
		return;
	outcome->leaves = lappend(outcome->leaves, node);
	outcome->bytes += dbops_relation_bytes(node->oid);
	if (node->verdict.coverage > outcome->worst.coverage)
		outcome->worst = node->verdict;
}

/* Look the names up that the report prints; false if something has vanished. */
static bool
name_nodes(DbopsTableNode *node)
{
	ListCell   *cell;

	node->schema = get_rel_namespace(node->oid);
	node->schema_name = get_namespace_name_or_temp(node->schema);
	node->name = get_rel_name(node->oid);
	if (node->schema_name == NULL || node->name == NULL)
		return false;
	foreach(cell, node->children)
		if (!name_nodes(lfirst(cell)))
			return false;
	return true;
}

/* Build the row of a foreign key and keep it for the result. */
static void
add_row(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree, DbopsFkeyOutcome *outcome)
{
	DbopsSeverity severity;
	HeapTuple	tuple = dbops_fkey_row(fkey, tree, outcome, report->names, report->desc, &severity);
	Row		   *row;

	if (tree->partitioned)
		remember_advice(report, outcome);

	MemoryContextSwitchTo(report->context);
	row = palloc(sizeof(Row));
	row->severity = severity;
	row->bytes = outcome->bytes;
	row->name = psprintf("%s.%s %s", tree->schema_name, tree->name, NameStr(fkey->name));
	row->tuple = heap_copytuple(tuple);
	report->rows = lappend(report->rows, row);
	MemoryContextSwitchTo(report->per_fkey);
}

/* Sort rows by severity, then by size, then by name. */
static int
compare_rows(const ListCell *a, const ListCell *b)
{
	const Row  *x = lfirst(a);
	const Row  *y = lfirst(b);

	if (x->severity != y->severity)
		return x->severity > y->severity ? -1 : 1;
	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return strcmp(x->name, y->name);
}
