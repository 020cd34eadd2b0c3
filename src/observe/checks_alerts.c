/*
 * checks_alerts.c
 *		Checks of the alerts themselves: whether there is room for all of them.
 */
#include "observe/alert.h"
#include "observe/checks.h"

/* Alerts that lately had no place. */
typedef struct Unplaced
{
	int			alerts;
	int			databases;
} Unplaced;

static const void *look(const DbopsCheckScope *scope);
static void judge_room(const void *facts, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "alerts.room",
		.about = "alerts of the last 20 minutes that nobody is told of since there are too many others",
		.judge = judge_room,
		.reach = DBOPS_REACH_CLUSTER,
		.threshold = {
			.unit = "count", .warning = 0, .critical = NO_THRESHOLD, .source = "the places that dbops has for alerts"
		}
	}
};

const DbopsCheckSet dbops_alert_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks),
	.reach = DBOPS_REACH_CLUSTER
};

static const void *
look(const DbopsCheckScope *scope)
{
	Unplaced   *unplaced = palloc0(sizeof(Unplaced));

	unplaced->alerts = dbops_alert_unplaced(&unplaced->databases);
	return unplaced;
}

static void
judge_room(const void *facts, DbopsCheckRun *run)
{
	const Unplaced *unplaced = facts;
	bool		none = (unplaced->alerts == 0);

	dbops_check_report_value(run, unplaced->alerts, NAN, (DbopsFinding)
							 {
								 .message = none ? "there is room for all alerts" :
									 psprintf("there is no room for %d %s of %d %s beside those that fire already: nobody is told of them",
											  unplaced->alerts, unplaced->alerts == 1 ? "alert" : "alerts",
											  unplaced->databases, unplaced->databases == 1 ? "database" : "databases"),
								 .remedy = none ? NULL :
									 "See what fires, SELECT check_name, count(*) FROM dbops.alerts(false) GROUP BY 1 ORDER BY 2 DESC; and turn off what nobody wants to hear of: SELECT dbops.set_check(check_name, enabled => false);"
							 });
}
