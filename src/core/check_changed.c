/*
 * check_changed.c
 *		Whether findings that were judged before are held against what is in force now.
 *
 * Who sets a threshold wants to see what follows from it, not what followed from
 * the one before. A finding carries the thresholds that it was judged by.
 */
#include "core/check.h"

#include "utils/builtins.h"

#define ROUNDED		0.01		/* by as much a figure may differ from itself, */
#define ROUNDED_SHARE	1e-9	/* and this part of it */

static bool is_changed(const DbopsCheckRun *run, const DbopsFinding *finding);
static bool differs(const Jsonb *data, const char *key, double now);

/* Has somebody changed a check since one of these was found? */
bool
dbops_check_changed_since(const DbopsCheckRun *run, const List *findings)
{
	ListCell   *cell;

	foreach(cell, findings)
		if (is_changed(run, lfirst(cell)))
			return true;
	return false;
}

static bool
is_changed(const DbopsCheckRun *run, const DbopsFinding *finding)
{
	const DbopsCheck *check = dbops_check_find(finding->check_name);
	const DbopsCheckSetting *setting;
	DbopsThreshold threshold;

	if (check == NULL)
		return false;
	setting = dbops_override_of(dbops_check_overrides(run, check), check);
	if (dbops_check_is_disabled(finding))
		return setting == NULL || setting->enabled;
	if (finding->data == NULL)
		return false;
	threshold = dbops_override_threshold(dbops_check_overrides(run, check), check);
	return differs(finding->data, "warning", threshold.warning) ||
		differs(finding->data, "critical", threshold.critical) ||
		(threshold.guard_unit != NULL && differs(finding->data, "guard", threshold.guard));
}

/* Is it another figure than the data says? What is never reached is not there. */
static bool
differs(const Jsonb *data, const char *key, double now)
{
	JsonbValue	value;
	double		before;

	if (getKeyJsonValueFromContainer(unconstify(JsonbContainer *, &data->root), key, strlen(key), &value) == NULL ||
		value.type != jbvNumeric)
		return now != DBOPS_NO_THRESHOLD;
	before = DatumGetFloat8(DirectFunctionCall1(numeric_float8, NumericGetDatum(value.val.numeric)));
	return now == DBOPS_NO_THRESHOLD || fabs(before - now) > ROUNDED + ROUNDED_SHARE * fabs(now);
}
