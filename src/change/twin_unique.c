/*
 * twin_unique.c
 *		Are values that differ the same in another type, where an index says that
 *		there must be no two?
 *
 * The copies of unique indexes are built by finish_change(): as long as both
 * columns are in use they would fail writes that the old one takes, such as what
 * ON CONFLICT does with a value that another session inserts at the same time. So
 * that nobody learns only then that the copy cannot be, the rows are looked
 * through when the new column is filled, and once more before the build.
 */
#include "change/twin.h"

#include "utils/builtins.h"

static void add_look(OnlinePlan *plan, const TwinClone *clone, const TwinChange *change, const char *reached);

void
dbops_twin_add_unique_looks(OnlinePlan *plan, const TwinColumn *column, const TwinChange *change, const char *reached)
{
	ListCell   *cell;

	foreach(cell, dbops_twin_clones(column, change->new_name))
	{
		const TwinClone *clone = lfirst(cell);

		if (clone->unique && !clone->whole)
			add_look(plan, clone, change, reached);
	}
}

static void
add_look(OnlinePlan *plan, const TwinClone *clone, const TwinChange *change, const char *reached)
{
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_REFUSE,
		.asks_ours = true,
		.sql = psprintf("SELECT FROM ONLY %s WHERE %s GROUP BY %s HAVING pg_catalog.count(*) > 1 LIMIT 1",
						clone->column->table, clone->condition, clone->keys),
		.reached = reached,
		.why = psprintf("Values of which %s has each once must not be the same in the new type.", quote_identifier(clone->name)),
		.message = psprintf("values of column %s of table %s that differ are the same in type %s, where %s allows no two",
							quote_identifier(change->column), clone->column->table, change->type, quote_identifier(clone->name)),
		.sqlerrcode = ERRCODE_UNIQUE_VIOLATION,
		.hint = TWIN_DUPLICATES_HINT
	});
}

/* Values that no two rows have may become the same: those that are written while the copy is there, and before the old one goes. */
void
dbops_twin_tell_merged(const TwinColumn *column, const List *clones, const char *type)
{
	ListCell   *cell;

	foreach(cell, clones)
	{
		const TwinClone *clone = lfirst(cell);

		if (clone->unique && !clone->whole)
			ereport(WARNING,
					(errmsg("from when finish_change() builds a copy of %s of table %s until the change ends, that copy refuses values that are the same in type %s",
							quote_identifier(clone->name), column->table, type),
					 errdetail("It stays in force where finish_change() gives up, until that or abort_change() is called again.")));
	}
}

/* The copy of a constraint that is checked at the end of a transaction becomes one in the swap; as an index alone it is checked at once. */
void
dbops_twin_tell_deferrable(const TwinColumn *column, const List *clones)
{
	ListCell   *cell;

	foreach(cell, clones)
	{
		const TwinClone *clone = lfirst(cell);

		if (clone->deferrable)
			ereport(WARNING,
					(errmsg("from when finish_change() builds a copy of %s of table %s, which is deferrable, until the change ends, that copy is checked at once",
							quote_identifier(clone->name), column->table),
					 errdetail("A statement, or a transaction, in which two rows have the same values for a while fails then."),
					 errhint("Have them not rely on that when you finish the change, or drop the constraint for that time.")));
	}
}
