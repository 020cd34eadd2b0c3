/*
 * online_part.c
 *		A constraint, of a table or of each that holds rows of a partitioned one.
 *
 * A look finds rows that are in the way before anything is changed. Up to the end
 * rows may be written that are, which the last step of each table finds.
 *
 * A partitioned table gets some constraints only under a lock that others wait
 * for while all rows are read. So each of its tables that hold rows gets its own,
 * as an ordinary table does; the statement for the whole takes these over.
 */
#include "change/constraint.h"
#include "change/online_index.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* Name the plan by its constraint. */
void
dbops_online_take_name(OnlinePlan *plan, const char *name)
{
	plan->name = psprintf("%s.%s", dbops_quote_relation(plan->table), dbops_quote_name(name));
	plan->key = psprintf("%u.%s", plan->table, name);
}

/*
 * List the tables that hold the rows of the plan's, itself unless it is
 * partitioned, each with the name of its constraint; that of the whole is name.
 */
List *
dbops_online_parts(OnlinePlan *plan, const char *name, OnlineNamer name_it, const void *request)
{
	List	   *parts = NIL;
	List	   *taken = NIL;
	ListCell   *cell;

	dbops_online_take_name(plan, name);
	taken = lappend(taken, dbops_online_index_full_name(get_rel_namespace(plan->table), name));
	foreach(cell, dbops_online_leaves(plan->table))
	{
		Oid			table = lfirst_oid(cell);
		bool		is_whole = (table == plan->table);
		OnlinePart *part = palloc(sizeof(OnlinePart));

		*part = (OnlinePart) {
			.table = table,
			.name = is_whole ? name : name_it(request, table, NULL, taken),
			.unless = is_whole ? NULL : dbops_online_constraint_valid(plan->table, name)
		};
		parts = lappend(parts, part);
		taken = lappend(taken, dbops_online_index_full_name(get_rel_namespace(table), part->name));
	}
	return parts;
}

/* Before anything is done: end it with an error where the query finds rows. Its hint is what to do with those. */
void
dbops_online_add_look(OnlinePlan *plan, OnlineStep look)
{
	look.kind = ONLINE_REFUSE;
	look.hint = psprintf("%s: %s;", look.hint, look.sql);
	look.sql = psprintf("%s LIMIT 1", look.sql);
	dbops_online_add(plan, look);
}

/* A constraint that is added and then proven; rows: what would not fit, as a user reads it. */
void
dbops_online_add_proven(OnlinePlan *plan, const OnlinePart *part, const char *definition, const char *rows)
{
	char	   *table = dbops_quote_relation(part->table);
	const char *name = quote_identifier(part->name);

	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s NOT VALID", table, name, definition),
		.reached = dbops_online_part_there(part),
		.why = "Holds for what is written from now on."
	});
	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SCAN,
		.sql = psprintf("ALTER TABLE %s VALIDATE CONSTRAINT %s", table, name),
		.reached = dbops_online_either(dbops_online_constraint_valid(part->table, part->name), part->unless),
		.why = "Proves it of the rows that were there.",
		.referred = part->referred,
		.hint = psprintf("The constraint holds for what is written from now on. Correct the %s and make the same CALL again, or give it up: ALTER TABLE %s DROP CONSTRAINT %s;",
						 rows, table, dbops_quote_name(part->name))
	});
}

/* SQL for reached: there, proven or not. */
char *
dbops_online_part_there(const OnlinePart *part)
{
	return dbops_online_either(dbops_online_constraint_there(part->table, part->name), part->unless);
}

/* Behind the steps of all parts: the constraint of a partitioned table. */
void
dbops_online_add_whole(OnlinePlan *plan, const char *name, const char *definition, const List *parts)
{
	StringInfoData still;
	ListCell   *cell;

	if (get_rel_relkind(plan->table) != RELKIND_PARTITIONED_TABLE)
		return;
	initStringInfo(&still);
	appendStringInfoString(&still, dbops_online_same_leaves(plan->table));
	foreach(cell, parts)
	{
		const OnlinePart *part = lfirst(cell);

		appendStringInfo(&still, " AND %s", dbops_online_constraint_valid(part->table, part->name));
	}
	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s",
						dbops_quote_relation(plan->table), quote_identifier(name), definition),
		.reached = dbops_online_constraint_valid(plan->table, name),
		.still = still.data,
		.message = psprintf("table %s has got or lost a partition meanwhile, or one of them its constraint", dbops_quote_relation(plan->table)),
		.why = "Takes those of the partitions over, and reads no row."
	});
}
