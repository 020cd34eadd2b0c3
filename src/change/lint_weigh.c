/*
 * lint_weigh.c
 *		How grave a finding is here: what a relation weighs.
 *
 * A rewrite of a table with three rows is no danger, and none of one that the
 * text itself has made; the same of a terabyte keeps an application out for
 * hours. Sizes are those of the files, also of all partitions and children, but
 * where a statement does not reach these.
 * Traffic is what the statistics have counted of scans, of rows that were fetched
 * by an index and of rows that were written, since they were last reset, or since
 * the cluster was made where they do not say: so it is at least that much.
 */
#include "change/lint.h"

#include "access/xlog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "pgstat.h"
#include "utils/lsyscache.h"
#include "utils/timestamp.h"

#define SMALL_BYTES		(8 * 1024 * 1024L)
#define LARGE_BYTES		(1024 * 1024 * 1024L)
#define BUSY_TRAFFIC	1.0		/* a second */

static DbopsSeverity severity_of_work(const LintTable *table, LintSize size, DbopsSeverity worst);
static LintSize size_of(int64 bytes);
static bool adds_here_only(const AlterTableCmd *command);
static double traffic_of(Oid relid);
static double seconds_counted(void);

/*
 * Make of the severity that a rule has at its worst the one that it has here;
 * false: there is nothing to be said.
 */
bool
dbops_lint_weigh(LintTable *table, LintWeight weight, bool only, DbopsSeverity *severity)
{
	LintSize	size;

	if (weight == LINT_ALWAYS || table == NULL)
		return true;
	if (table->is_new)
		return false;
	dbops_lint_look(table);
	size = size_of(only ? table->own_bytes : table->bytes);
	switch (weight)
	{
		case LINT_WORK:
			if (size == LINT_EMPTY || table->emptied)
				return false;
			*severity = severity_of_work(table, size, *severity);
			break;
		case LINT_LOCK:
			if (!table->busy)
				*severity = Min(*severity, size <= LINT_SMALL ? DBOPS_INFO : DBOPS_WARNING);
			break;
		case LINT_LOSS:
			if (size == LINT_EMPTY)
				*severity = DBOPS_INFO;
			break;
		case LINT_BREAK:
		case LINT_ALWAYS:
			break;
	}
	return true;
}

static DbopsSeverity
severity_of_work(const LintTable *table, LintSize size, DbopsSeverity worst)
{
	if (size == LINT_SMALL)
		return Min(worst, table->busy ? DBOPS_WARNING : DBOPS_INFO);
	if (size == LINT_MEDIUM && !table->busy)
		return Min(worst, DBOPS_WARNING);
	return worst;
}

/* Look up what a relation weighs, once. */
void
dbops_lint_look(LintTable *table)
{
	ListCell   *cell;

	if (table->weighed || !OidIsValid(table->relid))
		return;
	table->weighed = true;
	table->own_bytes = dbops_relation_bytes(table->relid);
	foreach(cell, find_all_inheritors(table->relid, NoLock, NULL))
	{
		table->bytes += dbops_relation_bytes(lfirst_oid(cell));
		table->traffic += traffic_of(lfirst_oid(cell));
	}
	table->busy = table->traffic >= BUSY_TRAFFIC;
}

static LintSize
size_of(int64 bytes)
{
	return bytes == 0 ? LINT_EMPTY :
		bytes < SMALL_BYTES ? LINT_SMALL :
		bytes < LARGE_BYTES ? LINT_MEDIUM : LINT_LARGE;
}

/* Does a statement reach no partition or child of what it names, as it says ONLY or NO INHERIT? */
bool
dbops_lint_is_only(Node *statement)
{
	ListCell   *cell;

	switch (nodeTag(statement))
	{
		case T_AlterTableStmt:
			if (!((AlterTableStmt *) statement)->relation->inh)
				return true;
			foreach(cell, ((AlterTableStmt *) statement)->cmds)
				if (!adds_here_only(lfirst_node(AlterTableCmd, cell)))
					return false;
			return true;
		case T_IndexStmt:
			return !((IndexStmt *) statement)->relation->inh;
		case T_UpdateStmt:
			return !((UpdateStmt *) statement)->relation->inh;
		case T_DeleteStmt:
			return !((DeleteStmt *) statement)->relation->inh;
		case T_MergeStmt:
			return !((MergeStmt *) statement)->relation->inh;
		case T_TruncateStmt:
			foreach(cell, ((TruncateStmt *) statement)->relations)
				if (lfirst_node(RangeVar, cell)->inh)
					return false;
			return true;
		default:
			return false;
	}
}

static bool
adds_here_only(const AlterTableCmd *command)
{
	return command->subtype == AT_AddConstraint && IsA(command->def, Constraint) && ((Constraint *) command->def)->is_no_inherit;
}

static double
traffic_of(Oid relid)
{
	PgStat_StatTabEntry *counted = pgstat_fetch_stat_tabentry(relid);

	if (counted == NULL)
		return 0;
	return (counted->numscans + counted->tuples_fetched + counted->tuples_inserted +
			counted->tuples_updated + counted->tuples_deleted) / seconds_counted();
}

static double
seconds_counted(void)
{
	PgStat_StatDBEntry *database = pgstat_fetch_stat_dbentry(MyDatabaseId);
	pg_time_t	since = (pg_time_t) (GetSystemIdentifier() >> 32);

	if (database != NULL && database->stat_reset_timestamp != 0)
		since = Max(since, timestamptz_to_time_t(database->stat_reset_timestamp));
	return Max(1.0, difftime(timestamptz_to_time_t(GetCurrentTimestamp()), since));
}
