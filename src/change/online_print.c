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
#include "core/server.h"
#include "core/sql.h"

#include "lib/stringinfo.h"
#include "utils/lsyscache.h"

#define MOST_LOCKS	10			/* that are told one by one */

static void print_step(const OnlinePlan *plan, int number, const OnlineStep *step);
static bool has_short_step(const OnlinePlan *plan);
static void print_standbys(void);
static const char *manner(const OnlinePlan *plan, const OnlineStep *step);
static const char *statements(const OnlineStep *step);
static char *locks(const OnlineStep *step);
static void add_lock(StringInfo text, Oid relid, LOCKMODE mode);

void
dbops_online_print(const OnlinePlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->steps)
		print_step(plan, foreach_current_index(cell) + 1, lfirst(cell));
	if (has_short_step(plan))
		print_standbys();
}

static bool
has_short_step(const OnlinePlan *plan)
{
	ListCell   *cell;

	foreach(cell, plan->steps)
		if (((const OnlineStep *) lfirst(cell))->kind == ONLINE_SHORT && !dbops_online_is_reached(lfirst(cell)))
			return true;
	return false;
}

/* Locks that keep readers out are replayed, and there nobody looks first. */
static void
print_standbys(void)
{
	int			n = 0;
	ListCell   *cell;

	foreach(cell, dbops_standbys_read(dbops_written()))
		n += ((const Standby *) lfirst(cell))->applies && !((const Standby *) lfirst(cell))->logical;
	if (n > 0)
		ereport(INFO,
				(errmsg_plural("%d standby replays the locks", "%d standbys replay the locks", n, n),
				 errdetail("A query there that uses the table holds up all replay, until it ends or is cancelled for max_standby_streaming_delay of that server, and those that come after it wait. "
						   "Nobody looks for it first.")));
}

static void
print_step(const OnlinePlan *plan, int number, const OnlineStep *step)
{
	char	   *taken = locks(step);

	ereport(INFO,
			(errmsg("step %d of %d%s: %s", number, list_length(plan->steps),
					dbops_online_is_reached(step) ? ", nothing left to be done" : "", statements(step)),
			 errdetail_internal("%s%s%s%s", manner(plan, step), taken,
								step->why != NULL ? " " : "", step->why != NULL ? step->why : "")));
}

/* All that it runs: its own statements, and what belongs to them. */
static const char *
statements(const OnlineStep *step)
{
	return step->then == NULL ? step->sql : psprintf("%s; %s", step->sql, step->then);
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
	StringInfoData found;
	List	   *parsed;
	List	   *targets;
	ListCell   *cell;
	int			all;

	initStringInfo(&found);
	if (step->kind == ONLINE_BACKFILL)
		return found.data;
	parsed = dbops_sql_parse(statements(step), RAW_PARSE_DEFAULT);
	targets = dbops_online_targets(parsed, AccessShareLock);
	foreach(cell, targets)
	{
		const MigrationTarget *target = lfirst(cell);

		if (foreach_current_index(cell) < MOST_LOCKS)
			add_lock(&found, target->relid, target->mode);
	}
	if (list_length(targets) > MOST_LOCKS)
		appendStringInfo(&found, " and %d others below so", list_length(targets) - MOST_LOCKS);
	if (OidIsValid(step->referred))
		add_lock(&found, step->referred, RowShareLock);
	if (step->kind == ONLINE_SHORT && (all = dbops_online_locks(parsed)) > ONLINE_FEW_LOCKS)
		appendStringInfo(&found, ", about %d locks at once", all);
	if (found.len > 0)
		appendStringInfoChar(&found, '.');
	return found.data;
}

static void
add_lock(StringInfo text, Oid relid, LOCKMODE mode)
{
	appendStringInfo(text, "%s%s in %s mode", text->len == 0 ? " Locks " : ", ", dbops_quote_relation(relid), dbops_lock_mode_name(mode));
}
