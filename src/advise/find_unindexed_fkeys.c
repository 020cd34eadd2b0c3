/*
 * find_unindexed_fkeys.c
 *		Foreign keys whose lookup no index serves, and the DDL that helps.
 *
 * One row for each constraint that a user declared. A partitioned table is
 * judged by its leaves, where the rows are. Tables of extensions and other sessions' temporary tables are left out.
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
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/*
 * What a lookup without an index costs is the reading of the whole table. Below
 * small_bytes the planner would read it anyway. Up to info_bytes it takes
 * milliseconds; from critical_bytes on, seconds for each referenced row.
 */
static const int64 small_bytes = 64 * BLCKSZ;
static const int64 warning_bytes = INT64CONST(10) * 1024 * 1024;
static const int64 critical_bytes = INT64CONST(1024) * 1024 * 1024;

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

/* A foreign key's verdict over all leaves of its table. */
typedef struct Outcome
{
	DbopsVerdict worst;
	List	   *leaves;			/* not covered: DbopsTableNode */
	int			nleaves;
	int64		bytes;			/* of the leaves that are not covered */
	bool		vanished;
} Outcome;

PG_FUNCTION_INFO_V1(dbops_find_unindexed_fkeys);

static void begin_report(Report *report, TupleDesc desc);
static List *extension_relations(void);
static void judge_table(Report *report, List *fkeys, int from, int to);
static DbopsTableNode *load_tree(Report *report, Oid table, bool partitioned);
static void recall_advice(Report *report, DbopsTableNode *leaf);
static void remember_advice(Report *report, const Outcome *outcome);
static void judge_fkey(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree);
static bool is_reported(const Report *report, const DbopsFkey *fkey);
static void judge_node(const DbopsFkey *fkey, DbopsTableNode *node, Outcome *outcome);
static bool name_nodes(DbopsTableNode *node);
static void add_row(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree,
					Outcome *outcome);
static char *advise(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree,
					const Outcome *outcome, StringInfo reason);
static const char *served_by_advice(const Outcome *outcome);
static bool is_in_progress(const Outcome *outcome);
static DbopsSeverity grade(const DbopsFkey *fkey, const Outcome *outcome, StringInfo reason);
static bool action_writes(char action);
static int64 deleted_rows(Oid table);
static char *list_columns(const DbopsFkeyLookup *lookup);
static Datum partition_array(const Outcome *outcome);
static const char *coverage_name(DbopsCoverage coverage);
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
			leaf->indexes = lappend(leaf->indexes, advised);
		foreach(other, leaf->indexes)
			if (((DbopsIndex *) lfirst(other))->oid == advised->oid)
				((DbopsIndex *) lfirst(other))->advised_for = advised->advised_for;
	}
}

/* Keep what is advised for partitions, which may have foreign keys of their own. */
static void
remember_advice(Report *report, const Outcome *outcome)
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
	Outcome		outcome = {.worst = {.coverage = DBOPS_COVERED}};

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
judge_node(const DbopsFkey *fkey, DbopsTableNode *node, Outcome *outcome)
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
add_row(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree, Outcome *outcome)
{
	Datum		values[10];
	bool		nulls[10] = {0};
	StringInfoData reason;
	char	   *ddl;
	Row		   *row;
	DbopsSeverity severity;

	initStringInfo(&reason);
	if (tree->partitioned)
		appendStringInfo(&reason, "%d of %d partitions: ",
						 list_length(outcome->leaves), outcome->nleaves);
	appendStringInfoString(&reason, dbops_fkey_obstacle(&outcome->worst));
	ddl = advise(report, fkey, tree, outcome, &reason);
	severity = grade(fkey, outcome, &reason);

	values[0] = ObjectIdGetDatum(fkey->table);
	values[1] = CStringGetTextDatum(list_columns(tree->lookup));
	nulls[2] = (ddl == NULL);
	values[2] = (ddl == NULL) ? (Datum) 0 : CStringGetTextDatum(ddl);
	values[3] = NameGetDatum(&fkey->name);
	values[4] = ObjectIdGetDatum(fkey->referenced);
	values[5] = CStringGetTextDatum(coverage_name(outcome->worst.coverage));
	values[6] = CStringGetTextDatum(dbops_severity_name(severity));
	values[7] = Int64GetDatum(outcome->bytes);
	values[8] = CStringGetTextDatum(reason.data);
	nulls[9] = !tree->partitioned;
	values[9] = tree->partitioned ? partition_array(outcome) : (Datum) 0;

	MemoryContextSwitchTo(report->context);
	row = palloc(sizeof(Row));
	row->severity = severity;
	row->bytes = outcome->bytes;
	row->name = psprintf("%s.%s %s", tree->schema_name, tree->name, NameStr(fkey->name));
	row->tuple = heap_form_tuple(report->desc, values, nulls);
	report->rows = lappend(report->rows, row);
	MemoryContextSwitchTo(report->per_fkey);
}

/*
 * Give the statements that help, once for all foreign keys that they help.
 * Where there are none, NULL, and the reason says why.
 */
static char *
advise(Report *report, const DbopsFkey *fkey, DbopsTableNode *tree,
	   const Outcome *outcome, StringInfo reason)
{
	const char *other = served_by_advice(outcome);
	char	   *ddl;

	if (other != NULL)
	{
		appendStringInfo(reason, "; the index advised for constraint %s serves this one too",
						 dbops_quote_name(other));
		return NULL;
	}
	if (is_in_progress(outcome))
		return NULL;
	ddl = dbops_fkey_index_ddl(fkey, tree, report->names);
	if (ddl == NULL)
		appendStringInfoString(reason, "; no index can serve it: give the column the referenced column's type");
	else if (tree->partitioned)
		remember_advice(report, outcome);
	return ddl;
}

/* Name the constraint whose advice serves all that is not covered here. */
static const char *
served_by_advice(const Outcome *outcome)
{
	const char *constraint = NULL;
	ListCell   *cell;

	foreach(cell, outcome->leaves)
	{
		DbopsTableNode *leaf = lfirst(cell);
		const DbopsIndex *index = dbops_fkey_served_by_advice(leaf->lookup, leaf->indexes);

		if (index == NULL)
			return NULL;
		constraint = index->advised_for;
	}
	return constraint;
}

/* Say whether somebody is building an index that would serve. */
static bool
is_in_progress(const Outcome *outcome)
{
	ListCell   *cell;

	foreach(cell, outcome->leaves)
	{
		const DbopsIndex *index = ((DbopsTableNode *) lfirst(cell))->verdict.repairable;

		if (index != NULL && dbops_index_in_progress(index->oid))
			return true;
	}
	return false;
}

/*
 * Grade a finding by the bytes that each lookup reads. Deletes that have been
 * seen in the referenced table make a warning critical; an action that writes
 * to the table makes information a warning, but nothing critical on its own.
 */
static DbopsSeverity
grade(const DbopsFkey *fkey, const Outcome *outcome, StringInfo reason)
{
	int64		deleted;

	if (fkey->firing == DBOPS_FIRES_IN_REPLICATION)
		appendStringInfoString(reason, "; its triggers fire only where replicated changes are applied");
	if (outcome->worst.coverage == DBOPS_COVERAGE_UNKNOWN)
		return DBOPS_UNKNOWN;
	if (outcome->bytes < small_bytes || fkey->firing != DBOPS_FIRES)
		return DBOPS_INFO;
	if (outcome->bytes < warning_bytes)
	{
		if (!action_writes(fkey->on_delete) && !action_writes(fkey->on_update))
			return DBOPS_INFO;
		appendStringInfoString(reason, "; its action writes to the rows it finds");
		return DBOPS_WARNING;
	}
	if (outcome->worst.coverage == DBOPS_PARTIAL)
		return DBOPS_WARNING;
	if (outcome->bytes >= critical_bytes)
		return DBOPS_CRITICAL;

	deleted = deleted_rows(fkey->referenced);
	if (deleted == 0)
		return DBOPS_WARNING;
	appendStringInfo(reason, "; deletes seen in the referenced table: " INT64_FORMAT,
					 deleted);
	return DBOPS_CRITICAL;
}

static bool
action_writes(char action)
{
	return action == FKCONSTR_ACTION_CASCADE ||
		action == FKCONSTR_ACTION_SETNULL ||
		action == FKCONSTR_ACTION_SETDEFAULT;
}

/* Count the deletes that the statistics of a table and its partitions know. */
static int64
deleted_rows(Oid table)
{
	int64		deleted = 0;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, NoLock, NULL))
	{
		PgStat_StatTabEntry *statistics = pgstat_fetch_stat_tabentry(lfirst_oid(cell));

		if (statistics != NULL)
			deleted += statistics->tuples_deleted;
	}
	return deleted;
}

static char *
list_columns(const DbopsFkeyLookup *lookup)
{
	StringInfoData list;

	initStringInfo(&list);
	for (int i = 0; i < lookup->ncolumns; i++)
		appendStringInfo(&list, "%s%s", i > 0 ? ", " : "",
						 dbops_quote_name(lookup->columns[i].name));
	return list.data;
}

/* Name the leaves that are not covered. */
static Datum
partition_array(const Outcome *outcome)
{
	Datum	   *oids = palloc(sizeof(Datum) * list_length(outcome->leaves));
	ListCell   *cell;

	foreach(cell, outcome->leaves)
		oids[foreach_current_index(cell)] =
			ObjectIdGetDatum(((DbopsTableNode *) lfirst(cell))->oid);
	return PointerGetDatum(construct_array(oids, list_length(outcome->leaves), REGCLASSOID,
										   sizeof(Oid), true, TYPALIGN_INT));
}

static const char *
coverage_name(DbopsCoverage coverage)
{
	switch (coverage)
	{
		case DBOPS_UNCOVERED:
			return "uncovered";
		case DBOPS_PARTIAL:
			return "partial";
		case DBOPS_COVERAGE_UNKNOWN:
			return "unknown";
		case DBOPS_COVERED:
			break;
	}
	elog(ERROR, "unexpected coverage %d", (int) coverage);
	return NULL;				/* keep the compiler quiet */
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
