/*
 * backfill_came.c
 *		Tell of tables that came below the one that a backfill by key visits,
 *		after it had taken the bounds of its passes.
 *
 * Such a table has no pass of its own. What is inserted into it is as it was
 * inserted, like every row that comes meanwhile, and rows that move to it from
 * another partition are followed by their notes. But one that was attached may
 * have brought rows, and nobody can know whether those have been changed
 * before; so they are left alone, and the end says so. A table that is empty
 * has brought none.
 */
#include "change/change.h"

#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"

#define MOST_NAMES 5			/* of tables, in a text */

static List *tables_with_pass(int64 job);
static void take_table(HeapTuple row, TupleDesc desc, void *arg);
static bool has_come(Oid relid, List *known);
static char *say(List *relids, bool partitions);
static char *names(List *relids);

/* Say which tables have come, and what holds for their rows; NULL: none have. */
char *
dbops_backfill_came(const BackfillRun *run)
{
	List	   *known = tables_with_pass(run->job->id);
	List	   *came = NIL;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(run->request.relid, NoLock, NULL))
		if (has_come(lfirst_oid(cell), known))
			came = lappend_oid(came, lfirst_oid(cell));
	if (came == NIL)
		return NULL;
	return say(came, get_rel_relkind(run->request.relid) == RELKIND_PARTITIONED_TABLE);
}

static List *
tables_with_pass(int64 job)
{
	DbopsParam	param = dbops_param_int8(job);
	List	   *tables = NIL;

	dbops_store_each("SELECT relid FROM dbops.backfill_pass WHERE job_id = $1", 1, &param, take_table, &tables);
	return tables;
}

static void
take_table(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **tables = arg;

	*tables = lappend_oid(*tables, dbops_row_oid(row, desc, 1));
}

/* Its size is looked at without a lock, for which the end would have to wait. */
static bool
has_come(Oid relid, List *known)
{
	return !list_member_oid(known, relid) && get_rel_relkind(relid) == RELKIND_RELATION &&
		dbops_relation_bytes(relid) > 0;
}

/* What holds for their rows, in a sentence. */
static char *
say(List *relids, bool partitions)
{
	bool		one = (list_length(relids) == 1);

	return psprintf("%s %s came as %s meanwhile: rows that %s brought are unchanged.",
					one ? "Table" : "Tables", names(relids),
					partitions ? (one ? "a partition" : "partitions") : (one ? "a child" : "children"),
					one ? "it" : "they");
}

static char *
names(List *relids)
{
	StringInfoData list;
	ListCell   *cell;

	initStringInfo(&list);
	foreach(cell, relids)
	{
		if (foreach_current_index(cell) == MOST_NAMES)
			break;
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", dbops_backfill_table_name(lfirst_oid(cell)));
	}
	if (list_length(relids) > MOST_NAMES)
		appendStringInfo(&list, " and %d more", list_length(relids) - MOST_NAMES);
	return list.data;
}
