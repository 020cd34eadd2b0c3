/*
 * retention_names.c
 *		What the names in a condition were when it was taken.
 *
 * A condition is kept as text. Tables and columns are renamed, and others get
 * their names: that is how a column changes its type, or a table is swapped. Rows
 * of which nobody has said so would be deleted, or would no longer be held. So it
 * is kept with a condition which tables and columns it means, by their numbers,
 * and whose rights it was to be evaluated with; RETENTION_RENAMED compares.
 *
 * Views follow what they read by themselves. What a function reads is not seen.
 */
#include "maintain/retention.h"

#include "access/sysattr.h"
#include "miscadmin.h"
#include "nodes/nodeFuncs.h"
#include "parser/parsetree.h"
#include "utils/lsyscache.h"

static bool note_others(Node *node, void *context);
static Bitmapset *user_columns(const Bitmapset *selected);
static void put_numbers(DbopsJson *json, const RetentionNamed *named);

/* Add what a query names whose first table is the one whose rows are meant. */
void
dbops_retention_note_names(Query *query, RetentionNames *names)
{
	RangeTblEntry *own = rt_fetch(1, query->rtable);

	names->own.relid = own->relid;
	names->own.columns = bms_join(names->own.columns, user_columns(rte_selected_columns(query, own)));
	(void) query_tree_walker(query, note_others, names, 0);
}

/* The tables of subselects, wherever they stand. */
static bool
note_others(Node *node, void *context)
{
	RetentionNames *names = context;
	ListCell   *cell;

	if (node == NULL)
		return false;
	if (!IsA(node, Query))
		return expression_tree_walker(node, note_others, context);
	foreach(cell, ((Query *) node)->rtable)
	{
		RangeTblEntry *table = lfirst(cell);
		RetentionNamed *named;

		if (table->rtekind != RTE_RELATION)
			continue;
		named = palloc(sizeof(RetentionNamed));
		named->relid = table->relid;
		named->columns = user_columns(rte_selected_columns((Query *) node, table));
		names->others = lappend(names->others, named);
	}
	return query_tree_walker((Query *) node, note_others, context, 0);
}

static Bitmapset *
user_columns(const Bitmapset *selected)
{
	Bitmapset  *columns = NULL;
	int			member = -FirstLowInvalidHeapAttributeNumber;

	while ((member = bms_next_member(selected, member)) >= 0)
		columns = bms_add_member(columns, member + FirstLowInvalidHeapAttributeNumber);
	return columns;
}

/* As it is kept. The owner's name is for a copy, where numbers are others. */
Jsonb *
dbops_retention_names_put(const RetentionNames *names)
{
	Oid			owner = dbops_relation_owner(names->own.relid);
	DbopsJson	json = {0};
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_integer(&json, "table", names->own.relid);
	dbops_json_integer(&json, "owner", owner);
	dbops_json_text(&json, "owner_name", GetUserNameFromId(owner, false));
	put_numbers(&json, &names->own);
	dbops_json_array(&json, "others");
	foreach(cell, names->others)
	{
		const RetentionNamed *other = lfirst(cell);

		dbops_json_object(&json, NULL);
		dbops_json_integer(&json, "table", other->relid);
		dbops_json_text(&json, "name", dbops_quote_relation(other->relid));
		put_numbers(&json, other);
		dbops_json_object_end(&json);
	}
	dbops_json_array_end(&json);
	return dbops_json_finish(&json);
}

static void
put_numbers(DbopsJson *json, const RetentionNamed *named)
{
	int			number = -1;

	dbops_json_object(json, "numbers");
	while ((number = bms_next_member(named->columns, number)) >= 0)
		dbops_json_integer(json, get_attname(named->relid, number, false), number);
	dbops_json_object_end(json);
}
