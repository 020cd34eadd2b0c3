/*
 * setting_standby.c
 *		Settings of which a standby must have no less than its primary.
 *
 * A standby that has less stops replaying when the primary has been restarted with
 * more, and does not start at all by itself: where there are standbys, more comes to
 * them first, and less comes to the primary first. What the primary has, the
 * control file of a standby tells.
 */
#include "advise/setting_review.h"

#include "access/xlog.h"
#include "catalog/pg_control.h"
#include "common/controldata_utils.h"
#include "miscadmin.h"
#include "storage/lwlock.h"
#include "utils/builtins.h"

static bool is_demanding(const char *setting);
static ControlFileData *read_control(void);

/* The least that this server must have of it to go on replaying; 0: it may have any. */
double
dbops_setting_least_here(const char *setting)
{
	ControlFileData *control = (RecoveryInProgress() && is_demanding(setting)) ? read_control() : NULL;

	if (control == NULL)
		return 0;
	return (strcmp(setting, "max_connections") == 0) ? control->MaxConnections : control->max_wal_senders;
}

/* Those of them that are judged. */
static bool
is_demanding(const char *setting)
{
	return strcmp(setting, "max_connections") == 0 || strcmp(setting, "max_wal_senders") == 0;
}

/* NULL: it is being written. */
static ControlFileData *
read_control(void)
{
	bool		is_whole;
	ControlFileData *control;

	LWLockAcquire(ControlFileLock, LW_SHARED);
	control = get_controlfile(DataDir, &is_whole);
	LWLockRelease(ControlFileLock);
	return is_whole ? control : NULL;
}

/* Say in which order it is changed, and give no line that would stop a standby. */
void
dbops_setting_mind_standbys(const char *setting, const SettingFacts *facts, SettingVerdict *verdict)
{
	const char *value = verdict->recommended;

	if (verdict->first != NULL && is_demanding(verdict->first))
	{
		setting = verdict->first;
		value = verdict->first_value;
	}
	if (!is_demanding(setting) || facts->senders + facts->slots + facts->expected + facts->history.standbys == 0)
		return;
	if (strtod(value, NULL) > dbops_setting_figure(facts, setting))
		verdict->instead = psprintf("First on each standby, and then here: ALTER SYSTEM SET %s = %s, and restart it. A standby that has less than its primary stops replaying.",
									setting, quote_literal_cstr(value));
	else
		verdict->why = psprintf("%s; here first, and on the standbys when this server was restarted", verdict->why);
}
