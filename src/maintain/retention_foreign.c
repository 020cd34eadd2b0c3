/*
 * retention_foreign.c
 *		Rows that tables of other roles refer to.
 *
 * To plan a statement runs functions that the owner of a table has chosen, those
 * of its indexes and statistics. So a table of another role is not named in a
 * statement that runs as the policy's owner: whoever may refer to a table would
 * have code of his run with the rights of its owner. As the server does, it is
 * asked as its own owner, row by row, after the rows that may go were locked:
 * nobody can begin to refer to these any more.
 *
 * Where such a table refers to rows that go along, that is not asked, and the
 * server refuses; but where one of its rows could be held, or has a policy of its
 * own, nothing goes along (retention_sql.c).
 */
#include "maintain/retention.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/datum.h"
#include "utils/lsyscache.h"

/* A row that may go. */
typedef struct Row
{
	Datum		place;
	Datum	   *values;			/* of the keys of all references, one after the other */
	bool	   *nulls;
	bool		kept;
} Row;

/* Rows on their way through the questions. */
typedef struct Asking
{
	List	   *references;		/* of RetentionReference * */
	List	   *rows;			/* of Row * */
	Oid		   *types;			/* of the keys */
} Asking;

/* A question to one table. */
typedef struct Question
{
	const RetentionReference *reference;
	const Asking *asking;
	int			from;			/* the first of its keys */
	bool		found;
} Question;

static List *asked_references(Oid relid, Oid role);
static void read_rows(Asking *asking, const RetentionLeaf *leaf, Datum places);
static const char *columns_of(const Asking *asking);
static void take_plan(struct PlannedStmt *plan, void *arg);
static void take_row(HeapTuple row, TupleDesc desc, void *arg);
static void ask_table(void *arg);
static bool has_null(const Row *row, int from, int count);
static void take_found(HeapTuple row, TupleDesc desc, void *arg);

/* Does the table that refers belong to another role than the one with whose rights rows are deleted? */
bool
dbops_retention_is_foreign(const RetentionReference *reference, Oid role)
{
	return dbops_relation_owner(reference->table) != role;
}

/* Can rows of it keep those that they refer to? */
bool
dbops_retention_foreign_keeps(const RetentionReference *reference, Oid first)
{
	if (!REFERENCE_GOES_ALONG(reference))
		return true;
	return dbops_hold_on_rows(reference->table) || dbops_retention_keeps_cascaded(reference, first) ||
		(reference->on_delete == FKCONSTR_ACTION_CASCADE && dbops_retention_must_lock(reference->table, first));
}

/* Is there a table to be asked for the rows of this one? */
bool
dbops_retention_asks_others(Oid relid, Oid role)
{
	return asked_references(relid, role) != NIL;
}

static List *
asked_references(Oid relid, Oid role)
{
	List	   *asked = NIL;
	ListCell   *cell;

	foreach(cell, dbops_retention_references(relid))
		if (dbops_retention_is_foreign(lfirst(cell), role) && dbops_retention_foreign_keeps(lfirst(cell), relid))
			asked = lappend(asked, lfirst(cell));
	return asked;
}

/* Of the rows at these places those that no row of another role's table refers to; how many that are. Runs as the owner. */
int
dbops_retention_ask_others(const RetentionLeaf *leaf, Oid role, Datum *places)
{
	Asking		asking = {.references = asked_references(leaf->relid, role)};
	Question	question = {.asking = &asking};
	ArrayBuildState *free = initArrayResult(TIDOID, CurrentMemoryContext, false);
	int			count = 0;
	ListCell   *cell;

	read_rows(&asking, leaf, *places);
	foreach(cell, asking.references)
	{
		question.reference = lfirst(cell);
		dbops_run_as(dbops_relation_owner(question.reference->table), ask_table, &question);
		question.from += question.reference->n_keys;
	}
	foreach(cell, asking.rows)
	{
		const Row  *row = lfirst(cell);

		if (row->kept)
			continue;
		free = accumArrayResult(free, row->place, false, TIDOID, CurrentMemoryContext);
		count++;
	}
	*places = makeArrayResult(free, CurrentMemoryContext);
	return count;
}

static void
read_rows(Asking *asking, const RetentionLeaf *leaf, Datum places)
{
	Oid			types[] = {TIDARRAYOID};
	DbopsScan	scan = {.relid = leaf->relid,.rows = 1000};
	DbopsStatement *statement = dbops_statement_prepare(psprintf("SELECT " RETENTION_ROW ".ctid%s FROM ONLY %s AS " RETENTION_ROW
																 " WHERE " RETENTION_ROW ".ctid OPERATOR(pg_catalog.=) ANY ($1)",
																 columns_of(asking), leaf->name),
														lengthof(types), types);

	dbops_scan_inspect(statement, &scan, take_plan, NULL);
	dbops_statement_run(statement, &places, false, take_row, asking);
	dbops_statement_free(statement);
}

static const char *
columns_of(const Asking *asking)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, asking->references)
		appendStringInfo(&text, ", %s", ((RetentionReference *) lfirst(cell))->keys);
	return text.data;
}

static void
take_plan(struct PlannedStmt *plan, void *arg)
{
}

static void
take_row(HeapTuple tuple, TupleDesc desc, void *arg)
{
	Asking	   *asking = arg;
	Row		   *row = palloc0(sizeof(Row));
	int			keys = desc->natts - 1;
	bool		isnull;

	row->place = datumCopy(heap_getattr(tuple, 1, desc, &isnull), false, sizeof(ItemPointerData));
	row->values = palloc(sizeof(Datum) * keys);
	row->nulls = palloc(sizeof(bool) * keys);
	if (asking->types == NULL)
		asking->types = palloc(sizeof(Oid) * keys);
	for (int i = 0; i < keys; i++)
	{
		Form_pg_attribute column = TupleDescAttr(desc, i + 1);

		asking->types[i] = column->atttypid;
		row->values[i] = heap_getattr(tuple, i + 2, desc, &row->nulls[i]);
		if (!row->nulls[i])
			row->values[i] = datumCopy(row->values[i], column->attbyval, column->attlen);
	}
	asking->rows = lappend(asking->rows, row);
}

/* Note the rows that rows of a table refer to. As the owner of that table. */
static void
ask_table(void *arg)
{
	Question   *question = arg;
	const RetentionReference *reference = question->reference;
	DbopsStatement *statement = NULL;
	ListCell   *cell;

	foreach(cell, question->asking->rows)
	{
		Row		   *row = lfirst(cell);

		if (row->kept || has_null(row, question->from, reference->n_keys))
			continue;
		if (statement == NULL)
			statement = dbops_statement_prepare(psprintf("SELECT true FROM %s%s AS " RETENTION_ROW " WHERE %s LIMIT 1",
														 get_rel_relkind(reference->table) == RELKIND_RELATION ? "ONLY " : "",
														 dbops_quote_relation(reference->table), reference->match),
												reference->n_keys, question->asking->types + question->from);
		question->found = false;
		dbops_statement_run(statement, row->values + question->from, false, take_found, question);
		row->kept = question->found;
	}
	if (statement != NULL)
		dbops_statement_free(statement);
}

/* Nothing refers to a key that has a null. */
static bool
has_null(const Row *row, int from, int count)
{
	for (int i = from; i < from + count; i++)
		if (row->nulls[i])
			return true;
	return false;
}

static void
take_found(HeapTuple row, TupleDesc desc, void *arg)
{
	((Question *) arg)->found = true;
}
