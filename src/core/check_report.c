/*
 * check_report.c
 *		What a check says: a finding as it stands, or a value held against the
 *		thresholds that are in force.
 */
#include "core/check.h"

static bool is_held_back(const DbopsThreshold *threshold, double guard);
static bool is_beyond(double value, double limit, bool below);
static Jsonb *describe(double value, double guard, const DbopsThreshold *threshold);

/* Called by a check for each thing that it has judged. Where there is no value, it tells by what one would be judged. */
void
dbops_check_report(DbopsCheckRun *run, DbopsFinding finding)
{
	DbopsFinding *kept = palloc(sizeof(DbopsFinding));

	finding.check = run->check;
	finding.check_name = run->check->name;
	finding.key = dbops_finding_key(finding.check_name, finding.object);
	if (finding.judged_by == NULL)
		finding.value = NAN;
	finding.judged_by = run->threshold;
	if (finding.data == NULL && !run->scope.bare)
		finding.data = describe(NAN, NAN, run->threshold);
	*kept = finding;
	run->findings = lappend(run->findings, kept);
}

/*
 * Called by a check that holds a value against the thresholds that are in force.
 * guard is the absolute figure beside it, NaN where there is none. The remedy is
 * left out where nothing is wrong.
 */
void
dbops_check_report_value(DbopsCheckRun *run, double value, double guard, DbopsFinding finding)
{
	dbops_check_weigh(run, value, guard, &finding);
	dbops_check_report(run, finding);
}

/* The same for a finding that is yet to be added to. */
void
dbops_check_weigh(const DbopsCheckRun *run, double value, double guard, DbopsFinding *finding)
{
	const DbopsThreshold *threshold = dbops_check_threshold(run);

	finding->severity = dbops_threshold_severity(threshold, value, guard);
	if (finding->severity == DBOPS_OK)
		finding->remedy = NULL;
	finding->value = value;
	finding->judged_by = threshold;
	if (!run->scope.bare)
		finding->data = describe(value, guard, threshold);
}

/* Called by a check that cannot tell, with the reason. */
void
dbops_check_report_unknown(DbopsCheckRun *run, const char *object, const char *message,
						   const char *remedy)
{
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_UNKNOWN,
						   .object = object,
						   .message = message,
						   .remedy = remedy
					   });
}

/* Called for a check that has failed. */
void
dbops_check_report_failed(DbopsCheckRun *run, const ErrorData *error)
{
	dbops_check_report_unknown(run, NULL,
							   psprintf("could not be judged: %s (SQLSTATE %s)", error->message,
										unpack_sql_state(error->sqlerrcode)),
							   error->hint != NULL ? error->hint : "Look again; if it stays so, see the server's log.");
}

/* Called for a check that is turned off, which is neither good nor bad. */
void
dbops_check_report_disabled(DbopsCheckRun *run)
{
	dbops_check_report(run, (DbopsFinding)
					   {
						   .severity = DBOPS_INFO,
						   .message = "is turned off",
						   .remedy = psprintf("SELECT dbops.set_check('%s', enabled => true);",
											  run->check->name)
					   });
}

/* The thresholds in force for the check that is running. */
const DbopsThreshold *
dbops_check_threshold(const DbopsCheckRun *run)
{
	return run->threshold;
}

/* How bad a value is. One that is not known is unknown. */
DbopsSeverity
dbops_threshold_severity(const DbopsThreshold *threshold, double value, double guard)
{
	bool		held_back = is_held_back(threshold, guard);

	if (isnan(value))
		return DBOPS_UNKNOWN;
	if (is_beyond(value, threshold->critical, threshold->below) && !held_back)
		return DBOPS_CRITICAL;
	if (is_beyond(value, threshold->warning, threshold->below) && !(held_back && !threshold->guards_critical))
		return DBOPS_WARNING;
	return DBOPS_OK;
}

/* Does the guard say that it is not so bad? */
static bool
is_held_back(const DbopsThreshold *threshold, double guard)
{
	return threshold->guard_unit != NULL && threshold->guard != DBOPS_NO_THRESHOLD && !isnan(guard) &&
		!is_beyond(guard, threshold->guard, threshold->below);
}

static bool
is_beyond(double value, double limit, bool below)
{
	if (limit == DBOPS_NO_THRESHOLD)
		return false;
	return below ? value < limit : value > limit;
}

/* The figures of a finding: value, unit, warning, critical, and the guard if there is one, with the figure that it looks at. */
static Jsonb *
describe(double value, double guard, const DbopsThreshold *threshold)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_check_put_figure(&json, "value", value);
	dbops_json_text(&json, "unit", threshold->unit);
	dbops_check_put_figure(&json, "warning", threshold->warning);
	dbops_check_put_figure(&json, "critical", threshold->critical);
	if (threshold->guard_unit != NULL)
	{
		dbops_check_put_figure(&json, "guard", threshold->guard);
		dbops_check_put_figure(&json, "guard_value", guard);
		dbops_json_text(&json, "guard_unit", threshold->guard_unit);
		dbops_json_text(&json, "guards", dbops_threshold_guards(threshold));
	}
	return dbops_json_finish(&json);
}

/* Which findings the guard of a check holds back. */
const char *
dbops_threshold_guards(const DbopsThreshold *threshold)
{
	return threshold->guards_critical ? "critical" : "all";
}

/* Put a figure. What has no such threshold does not mention it. */
void
dbops_check_put_figure(DbopsJson *json, const char *key, double figure)
{
	if (figure == DBOPS_NO_THRESHOLD)
		return;
	if (figure == floor(figure) && fabs(figure) < 1e15)
		dbops_json_integer(json, key, (int64) figure);
	else
		dbops_json_decimal(json, key, figure);
}
