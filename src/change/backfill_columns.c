/*
 * backfill_columns.c
 *		The columns that a backfill reads and assigns, as they were when it was
 *		submitted.
 *
 * Its texts name them, and some were written for their types. A column may be
 * renamed, dropped or given another type meanwhile, often without harm, since
 * each batch is analyzed anew; so nothing is refused for that alone. But where
 * the server then rejects a batch, it says so in terms of texts that the user
 * has never seen: here is found out what has been changed.
 */
#include "change/change.h"

#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "utils/builtins.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define COLUMN_NUMBERS 3		/* that stand for one in a document: attnum, type, typmod */

/* A column that the texts name. */
typedef struct UsedColumn
{
	const char *name;
	AttrNumber	attnum;			/* of the table named by the caller */
	Oid			type;
	int32		typmod;
} UsedColumn;

/* A walk through a query for the columns of its target. */
typedef struct ColumnWalk
{
	Relation	rel;
	int			level;			/* of subselects */
	List	   *columns;		/* UsedColumn */
} ColumnWalk;

static bool note_columns(Node *node, void *context);
static void note_column(ColumnWalk *walk, AttrNumber attnum);
static bool may_come_of_columns(const ErrorData *error);
static void explain_missing(const BackfillChange *change, const BackfillLeaf *leaf,
							const UsedColumn *column, const ErrorData *error);
static void explain_type(const BackfillLeaf *leaf, const UsedColumn *column,
						 Form_pg_attribute now, const ErrorData *error);

/* Note the columns of its target that an UPDATE reads or assigns. */
List *
dbops_backfill_columns(Query *query, Relation rel)
{
	ColumnWalk	walk = {.rel = rel};
	ListCell   *cell;

	foreach(cell, query->targetList)
		note_column(&walk, lfirst_node(TargetEntry, cell)->resno);
	note_columns((Node *) query->targetList, &walk);
	note_columns(query->jointree->quals, &walk);
	return walk.columns;
}

static bool
note_columns(Node *node, void *context)
{
	ColumnWalk *walk = context;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		Var		   *var = (Var *) node;

		if (var->varno != 1 || var->varlevelsup != walk->level || var->varattno < 0)
			return false;
		if (var->varattno > 0)
			note_column(walk, var->varattno);
		for (int i = 1; var->varattno == 0 && i <= RelationGetNumberOfAttributes(walk->rel); i++)
			note_column(walk, i);
		return false;
	}
	if (IsA(node, Query))
	{
		walk->level++;
		query_tree_walker((Query *) node, note_columns, walk, 0);
		walk->level--;
		return false;
	}
	return expression_tree_walker(node, note_columns, context);
}

static void
note_column(ColumnWalk *walk, AttrNumber attnum)
{
	Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(walk->rel), attnum - 1);
	UsedColumn *column;
	ListCell   *cell;

	foreach(cell, walk->columns)
		if (((UsedColumn *) lfirst(cell))->attnum == attnum)
			return;
	if (attribute->attisdropped)
		return;
	column = palloc(sizeof(UsedColumn));
	column->name = pstrdup(NameStr(attribute->attname));
	column->attnum = attnum;
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	walk->columns = lappend(walk->columns, column);
}

/* Write them as members of the object that is open. */
void
dbops_backfill_put_columns(DbopsJson *json, const BackfillChange *change)
{
	ListCell   *cell;

	dbops_json_array(json, "columns");
	foreach(cell, change->used)
		dbops_json_text(json, NULL, ((UsedColumn *) lfirst(cell))->name);
	dbops_json_array_end(json);
	dbops_json_array(json, "column_types");
	foreach(cell, change->used)
	{
		const UsedColumn *column = lfirst(cell);

		dbops_json_integer(json, NULL, column->attnum);
		dbops_json_integer(json, NULL, column->type);
		dbops_json_integer(json, NULL, column->typmod);
	}
	dbops_json_array_end(json);
}

/* Read them back. */
List *
dbops_backfill_take_columns(const Jsonb *document)
{
	List	   *columns = NIL;
	int64	   *numbers;
	int			n = dbops_jsonb_integers(document, "column_types", &numbers);
	ListCell   *cell;

	foreach(cell, dbops_jsonb_texts(document, "columns"))
	{
		UsedColumn *column = palloc(sizeof(UsedColumn));

		if (n < COLUMN_NUMBERS)
			break;
		column->name = lfirst(cell);
		column->attnum = (AttrNumber) numbers[0];
		column->type = (Oid) numbers[1];
		column->typmod = (int32) numbers[2];
		columns = lappend(columns, column);
		numbers += COLUMN_NUMBERS;
		n -= COLUMN_NUMBERS;
	}
	return columns;
}

/* Raise what is behind the error of a batch, if a column is not what it was. */
void
dbops_backfill_explain_columns(const BackfillChange *change, const BackfillLeaf *leaf,
							   const ErrorData *error)
{
	ListCell   *cell;

	if (!may_come_of_columns(error))
		return;
	foreach(cell, change->used)
	{
		const UsedColumn *column = lfirst(cell);
		HeapTuple	tuple = SearchSysCacheAttName(leaf->relid, column->name);

		if (!HeapTupleIsValid(tuple))
			explain_missing(change, leaf, column, error);
		explain_type(leaf, column, (Form_pg_attribute) GETSTRUCT(tuple), error);
		ReleaseSysCache(tuple);
	}
}

static bool
may_come_of_columns(const ErrorData *error)
{
	return ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_SYNTAX_ERROR_OR_ACCESS_RULE_VIOLATION &&
		error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE;
}

#define CALL_AGAIN \
	"Cancel the job, if it is one, and call again with clauses that fit the table and match only rows that are still to be changed."

/* It has another name now, or is gone. */
static void
explain_missing(const BackfillChange *change, const BackfillLeaf *leaf,
				const UsedColumn *column, const ErrorData *error)
{
	HeapTuple	tuple = SearchSysCache2(ATTNUM, ObjectIdGetDatum(change->relid), Int16GetDatum(column->attnum));
	bool		renamed = HeapTupleIsValid(tuple) && !((Form_pg_attribute) GETSTRUCT(tuple))->attisdropped;

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 renamed ? errmsg("column \"%s\" of table %s has been renamed to \"%s\" during the backfill",
							  column->name, leaf->name, NameStr(((Form_pg_attribute) GETSTRUCT(tuple))->attname)) :
			 errmsg("column \"%s\" of table %s has been dropped during the backfill", column->name, leaf->name),
			 errdetail("A batch failed with: %s.", error->message),
			 errhint(CALL_AGAIN)));
}

static void
explain_type(const BackfillLeaf *leaf, const UsedColumn *column,
			 Form_pg_attribute now, const ErrorData *error)
{
	if (now->atttypid == column->type && now->atttypmod == column->typmod)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the type of column \"%s\" of table %s has been changed from %s to %s during the backfill",
					column->name, leaf->name, format_type_with_typemod(column->type, column->typmod),
					format_type_with_typemod(now->atttypid, now->atttypmod)),
			 errdetail("A batch failed with: %s.", error->message),
			 errhint(CALL_AGAIN)));
}
