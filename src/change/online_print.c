/*
 * online_print.c
 *		A plan as a user reads it: its steps in their order, the locks that each
 *		takes, and for how long, and what of it is there already.
 *
 * Nothing is run and no lock is taken. Locks are told from the statements as the
 * server judges them; what an earlier step is to create is not there to be locked.
 */
#include "change/online.h"

#include "change/migration.h"
#include "core/sql.h"

#include "lib/stringinfo.h"
#include "utils/lsyscache.h"

#define MOST_LOCKS	10			/* that are told one by one */

static void print_step(const OnlinePlan *plan, int number, const OnlineStep *step);
static const char *manner(const OnlinePlan *plan, const OnlineStep *step);
static char *locks(const OnlineStep *step);
static void add_lock(StringInfo text, Oid relid, LOCKMODE mode);

void
dbops_online_print(const OnlinePlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->steps)
		print_step(plan, foreach_current_index(cell) + 1, lfirst(cell));
}

static void
print_step(const OnlinePlan *plan, int number, const OnlineStep *step)
{
	char	   *taken = locks(step);

	ereport(INFO,
			(errmsg("step %d of %d%s: %s%s%s", number, list_length(plan->steps),
					dbops_online_is_reached(step) ? ", nothing left to be done" : "", step->sql,
					step->then != NULL ? "; " : "", step->then != NULL ? step->then : ""),
			 errdetail_internal("%s%s%s%s", manner(plan, step), taken,
								step->why != NULL ? " " : "", step->why != NULL ? step->why : "")));
}

/* How it goes about it. */
static const char *
manner(const OnlinePlan *plan, const OnlineStep *step)
{
	switch (step->kind)
	{
		case ONLINE_SHORT:
			return psprintf("A moment in one transaction, whose locks are not waited for longer than %ld ms at a time.", plan->lock_timeout);
		case ONLINE_SCAN:
			return "Reads the table in one transaction, beside readers and writers.";
		case ONLINE_REFUSE:
			return "Looks for rows that do not fit, before anything is changed.";
		case ONLINE_ALONE:
			return "Runs beside readers and writers, and waits for transactions that began before it.";
		case ONLINE_BACKFILL:
			return "Changes rows in short transactions, at a pace that leaves others alone.";
	}
	return "";
}

/* What it locks, as far as that is there. */
static char *
locks(const OnlineStep *step)
{
	StringInfoData text;
	List	   *targets;
	ListCell   *cell;

	initStringInfo(&text);
	if (step->kind == ONLINE_BACKFILL)
		return text.data;
	targets = dbops_online_targets(dbops_sql_parse(step->sql, RAW_PARSE_DEFAULT), AccessShareLock);
	foreach(cell, targets)
	{
		const MigrationTarget *target = lfirst(cell);

		if (foreach_current_index(cell) < MOST_LOCKS)
			add_lock(&text, target->relid, target->mode);
	}
	if (list_length(targets) > MOST_LOCKS)
		appendStringInfo(&text, " and %d others below so", list_length(targets) - MOST_LOCKS);
	if (OidIsValid(step->referred))
		add_lock(&text, step->referred, RowShareLock);
	if (text.len > 0)
		appendStringInfoChar(&text, '.');
	return text.data;
}

static void
add_lock(StringInfo text, Oid relid, LOCKMODE mode)
{
	appendStringInfo(text, "%s%s in %s mode", text->len == 0 ? " Locks " : ", ", dbops_quote_relation(relid), dbops_lock_mode_name(mode));
}
