/*
 * fkey_row.c
 *		What the report says about one foreign key.
 *
 * How bad it is, why, and which statements help. Figures come from files and
 * from statistics that are there anyway; nothing is locked.
 */
#include "advise/advise.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "pgstat.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/*
 * What a lookup without an index costs is the reading of the whole table. Below
 * small_bytes the planner would read it anyway. Up to warning_bytes it takes
 * milliseconds; from critical_bytes on, seconds for each referenced row.
 */
static const int64 small_bytes = 64 * BLCKSZ;
static const int64 warning_bytes = INT64CONST(10) * 1024 * 1024;
static const int64 critical_bytes = INT64CONST(1024) * 1024 * 1024;

static char *advise(const DbopsFkey *fkey, DbopsTableNode *tree,
					const DbopsFkeyOutcome *outcome, HTAB *names, StringInfo reason);
static const char *served_by_advice(const DbopsFkeyOutcome *outcome);
static bool is_in_progress(const DbopsFkeyOutcome *outcome);
static DbopsSeverity grade(const DbopsFkey *fkey, const DbopsFkeyOutcome *outcome,
						   StringInfo reason);
static bool action_writes(char action);
static int64 deleted_rows(Oid table);
static char *list_columns(const DbopsFkeyLookup *lookup);
static Datum partition_array(const DbopsFkeyOutcome *outcome);
static const char *coverage_name(DbopsCoverage coverage);

/*
 * Form the row. The statements in it are noted in the tree and among the
 * names, so that later rows build on them.
 */
HeapTuple
dbops_fkey_row(const DbopsFkey *fkey, DbopsTableNode *tree, const DbopsFkeyOutcome *outcome,
			   HTAB *names, TupleDesc desc, DbopsSeverity *severity)
{
	Datum		values[10];
	bool		nulls[10] = {0};
	StringInfoData reason;
	char	   *ddl;

	initStringInfo(&reason);
	if (tree->partitioned)
		appendStringInfo(&reason, "%d of %d partitions: ",
						 list_length(outcome->leaves), outcome->nleaves);
	appendStringInfoString(&reason, dbops_fkey_obstacle(&outcome->worst));
	ddl = advise(fkey, tree, outcome, names, &reason);
	*severity = grade(fkey, outcome, &reason);

	values[0] = ObjectIdGetDatum(fkey->table);
	values[1] = CStringGetTextDatum(list_columns(tree->lookup));
	nulls[2] = (ddl == NULL);
	values[2] = (ddl == NULL) ? (Datum) 0 : CStringGetTextDatum(ddl);
	values[3] = NameGetDatum(&fkey->name);
	values[4] = ObjectIdGetDatum(fkey->referenced);
	values[5] = CStringGetTextDatum(coverage_name(outcome->worst.coverage));
	values[6] = CStringGetTextDatum(dbops_severity_name(*severity));
	values[7] = Int64GetDatum(outcome->bytes);
	values[8] = CStringGetTextDatum(reason.data);
	nulls[9] = !tree->partitioned;
	values[9] = tree->partitioned ? partition_array(outcome) : (Datum) 0;
	return heap_form_tuple(desc, values, nulls);
}

/*
 * Give the statements that help, once for all foreign keys that they help.
 * Where there are none, NULL, and the reason says why.
 */
static char *
advise(const DbopsFkey *fkey, DbopsTableNode *tree, const DbopsFkeyOutcome *outcome,
	   HTAB *names, StringInfo reason)
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
	ddl = dbops_fkey_index_ddl(fkey, tree, names);
	if (ddl == NULL)
		appendStringInfoString(reason, "; no index can serve it: give the column the referenced column's type");
	return ddl;
}

/* Name the constraint whose advice serves all that is not covered here. */
static const char *
served_by_advice(const DbopsFkeyOutcome *outcome)
{
	const char *constraint = NULL;
	ListCell   *cell;

	foreach(cell, outcome->leaves)
	{
		DbopsTableNode *leaf = lfirst(cell);
		const DbopsIndex *index;

		CHECK_FOR_INTERRUPTS();
		index = dbops_fkey_served_by_advice(leaf->lookup, leaf->indexes);
		if (index == NULL)
			return NULL;
		constraint = index->advised_for;
	}
	return constraint;
}

/* Say whether somebody is building an index that would serve. */
static bool
is_in_progress(const DbopsFkeyOutcome *outcome)
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
grade(const DbopsFkey *fkey, const DbopsFkeyOutcome *outcome, StringInfo reason)
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
	List	   *tables = get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE ?
		find_all_inheritors(table, NoLock, NULL) : list_make1_oid(table);
	ListCell   *cell;

	foreach(cell, tables)
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
partition_array(const DbopsFkeyOutcome *outcome)
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
