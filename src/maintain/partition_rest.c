/*
 * partition_rest.c
 *		What stays in the default partition when it is drained, and what is known
 *		of that later.
 *
 * No partition is made for rows without a time, from before 1700, older than
 * what is kept, or beyond the runway. Whoever drains looks for them as the table's owner, and
 * says in the maintenance log what is left. The health check, which reads
 * nobody's rows, believes that until a run has left a partition out since, for
 * rows of its time.
 */
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define EARLIEST	(-109572 * USECS_PER_DAY)	/* 1700-01-01; later than an integer of nanoseconds can say */

static char *rest_sql(const PartitionPlan *plan);
static char *part_sql(const char *condition, const char *what);
static DbopsParam names_of_missing(const PartitionPlan *plan);

/* Before this no partition is made: the zero of some clocks, and of others' calendars, is no time of a row. */
int64
dbops_partition_drained_from(const PartitionPlan *plan)
{
	return Max(plan->cutoff, EARLIEST);
}

/* Say in the log what stays. */
void
dbops_partition_rest_note(const PartitionPlan *plan, Oid owner, int64 job)
{
	Datum		rest;
	bool		any = dbops_partition_ask(owner, rest_sql(plan), TEXTOID, &rest);
	MaintenanceNote said = {
		MAINTENANCE_NOTE,
		.kind = PARTITION_KIND,
		.object = plan->set->default_partition->name,
		.action = PARTITION_DRAIN,
		.outcome = any ? "skipped" : "done",
		.message = any ? TextDatumGetCString(rest) : "no row stays that the table's owner sees",
		.job = job
	};

	dbops_maintenance_note(&said);
}

/* SQL of which rows there are that no partition is made for; null: none. */
static char *
rest_sql(const PartitionPlan *plan)
{
	const PartitionSet *set = plan->set;
	const char *column = dbops_quote_name(set->column);
	const char *early = (plan->cutoff >= EARLIEST) ? "older than what is kept" : "from before 1700";
	StringInfoData parts;

	initStringInfo(&parts);
	appendStringInfoString(&parts, part_sql(psprintf("%s IS NULL", column), "without a time"));
	appendStringInfo(&parts, ", %s", part_sql(psprintf("%s < %s", column, dbops_partition_literal(&set->clock, dbops_partition_drained_from(plan))),
											  early));
	appendStringInfo(&parts, ", %s", part_sql(psprintf("%s >= %s", column, dbops_partition_literal(&set->clock, plan->until)),
											  "beyond the runway"));
	return psprintf("SELECT nullif(concat_ws(', ', %s), '') FROM %s", parts.data, set->default_partition->name);
}

static char *
part_sql(const char *condition, const char *what)
{
	return psprintf("nullif(count(*) FILTER (WHERE %s), 0) || ' %s'", condition, what);
}

/* What stays as far as is known, as a user reads it; NULL: nobody has looked, or there may be other rows since. */
const char *
dbops_partition_rest_said(const PartitionPlan *plan)
{
	Oid			log = get_relname_relid("maintenance_log", get_namespace_oid("dbops", false));
	DbopsParam	params[] = {
		dbops_param_text(PARTITION_KIND),
		dbops_param_text(plan->set->default_partition->name),
		names_of_missing(plan)
	};

	if (!ConditionalLockRelationOid(log, AccessShareLock))
		return NULL;
	return dbops_store_text("SELECT said.message FROM (SELECT id, last_at, outcome, message FROM dbops.maintenance_log"
							"  WHERE kind = $1 AND object = $2 AND action = '" PARTITION_DRAIN "' ORDER BY id DESC LIMIT 1) said"
							" WHERE said.outcome = 'skipped' AND NOT EXISTS (SELECT FROM dbops.maintenance_log l"
							"  WHERE l.kind = $1 AND l.object = ANY ($3) AND l.action = 'create partition' AND l.outcome = 'skipped'"
							"  AND (l.last_at, l.id) > (said.last_at, said.id))",
							lengthof(params), params);
}

static DbopsParam
names_of_missing(const PartitionPlan *plan)
{
	List	   *names = NIL;
	ListCell   *cell;

	foreach(cell, plan->missing)
		names = lappend(names, dbops_quote_qualified(dbops_partition_schema(plan->set), ((PartitionGap *) lfirst(cell))->relname));
	return dbops_param_texts(names);
}
