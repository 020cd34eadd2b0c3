/*
 * schema_expression.c
 *		Stored expressions as SQL, without a lock on their table.
 *
 * The server's own pg_get_expr() opens the table, to look its columns' names
 * up: that waits for whoever is changing the table, and fills the cache with
 * the description of every table that has a default. The names of the few
 * columns that an expression mentions are enough, and the catalog has them.
 * So they are handed to the server's deparser as those of a list of values.
 *
 * A subquery in an expression is another matter: the deparser takes ACCESS
 * SHARE on the tables that it reads. So does, on its type, the field of a
 * composite value.
 */
#include "change/schema.h"

#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "nodes/plannodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/ruleutils.h"

/* The columns of the table that an expression mentions. */
typedef struct Mention
{
	Oid			table;
	int			level;			/* of queries around, where the walk is */
	List	   *numbers;		/* attribute numbers in the table */
	List	   *names;			/* of String */
} Mention;

static List *columns_context(Node *tree, Oid table, bool old_and_new);
static RangeTblEntry *entry_of(const char *name, List *columns);
static bool renumber_columns(Node *node, void *arg);
static void renumber(Var *variable, Mention *mention);

/*
 * Write the expressions of a stored tree, which is one or a list of them. Their
 * columns are those of the table, or of its old and its new row, or of nothing
 * if it is 0.
 */
List *
dbops_schema_expressions(const char *tree, Oid table, bool old_and_new)
{
	Node	   *node = stringToNode(tree);
	List	   *nodes = IsA(node, List) ? (List *) node : list_make1(node);
	bool		has_columns = OidIsValid(table) && !IsA(node, PartitionBoundSpec);
	List	   *context = has_columns ? columns_context(node, table, old_and_new) : NIL;
	List	   *texts = NIL;
	ListCell   *cell;

	foreach(cell, nodes)
		texts = lappend(texts, deparse_expression(lfirst(cell), context, old_and_new, false));
	return texts;
}

/* Have the deparser know the columns; the tree's numbers of them are changed to fit. */
static List *
columns_context(Node *tree, Oid table, bool old_and_new)
{
	Mention		mention = {.table = table};
	PlannedStmt *plan = makeNode(PlannedStmt);
	const char *name = get_rel_name(table);
	List	   *names = NIL;
	ListCell   *cell;

	renumber_columns(tree, &mention);
	names = old_and_new ? list_make2("old", "new") : list_make1(unconstify(char *, name != NULL ? name : "?"));
	foreach(cell, names)
		plan->rtable = lappend(plan->rtable, entry_of(lfirst(cell), mention.names));
	return deparse_context_for_plan_tree(plan, names);
}

static RangeTblEntry *
entry_of(const char *name, List *columns)
{
	RangeTblEntry *entry = makeNode(RangeTblEntry);

	entry->rtekind = RTE_VALUES;
	entry->eref = makeAlias(name, columns);
	return entry;
}

static bool
renumber_columns(Node *node, void *arg)
{
	Mention    *mention = arg;
	bool		ended;

	if (node == NULL)
		return false;
	if (IsA(node, Var))
	{
		renumber((Var *) node, mention);
		return false;
	}
	if (!IsA(node, Query))
		return expression_tree_walker(node, renumber_columns, mention);
	mention->level++;
	ended = query_tree_walker((Query *) node, renumber_columns, mention, 0);
	mention->level--;
	return ended;
}

/* Give a column the number of its name in the list; the whole row keeps its 0. */
static void
renumber(Var *variable, Mention *mention)
{
	AttrNumber	number = variable->varattno;
	int			place = 1;
	ListCell   *cell;

	if (variable->varlevelsup != mention->level || number == InvalidAttrNumber)
		return;
	foreach(cell, mention->numbers)
	{
		if (lfirst_int(cell) == number)
			break;
		place++;
	}
	if (cell == NULL)
	{
		char	   *name = get_attname(mention->table, number, true);

		mention->numbers = lappend_int(mention->numbers, number);
		mention->names = lappend(mention->names, makeString(name != NULL ? name : pstrdup("?")));
	}
	variable->varattno = place;
	variable->varattnosyn = place;
}
