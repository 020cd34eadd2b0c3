/*
 * setting_logging.c
 *		What the server's log tells afterwards.
 */
#include "advise/setting_review.h"

#include "utils/timestamp.h"

#define MANY_SESSIONS	10		/* that begin, a second */

static SettingVerdict judge_statements(const char *setting, const SettingFacts *facts);
static const char *logs_otherwise(const SettingFacts *facts);
static SettingVerdict judge_switch(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_sessions(const char *setting, const SettingFacts *facts);
static double sessions_rate(const SettingFacts *facts);
static SettingVerdict judge_autovacuum(const char *setting, const SettingFacts *facts);

static const SettingAdvice advice[] = {
	{"log_min_duration_statement", "1000", NULL, judge_statements, "guides 001 and 002, pgBadger"},
	{"log_checkpoints", "on", NULL, judge_switch, "guide 001, pgBadger"},
	{"log_connections", "on", NULL, judge_sessions, "guide 001, pgBadger"},
	{"log_disconnections", "on", NULL, judge_sessions, "guide 001, pgBadger"},
	{"log_lock_waits", "on", NULL, judge_switch, "guide 001, pganalyze"},
	{"log_autovacuum_min_duration", "0", NULL, judge_autovacuum, "guide 001, pgBadger; PostgreSQL's default"}
};

void
dbops_setting_judge_logging(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

static SettingVerdict
judge_statements(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now >= 100 && now <= 10000)
		return dbops_setting_agree("statements that took long are logged, with their values");
	if (now < 0 && logs_otherwise(facts) != NULL)
		return dbops_setting_agree(psprintf("not as the guide has it, since %s", logs_otherwise(facts)));
	return dbops_setting_prefer(now >= 0 && now < 100 ? DBOPS_WARNING : DBOPS_INFO, setting, 1000,
								now < 0 ? "which statement was slow when it was slow is logged nowhere" :
								now < 100 ? "the log fills with statements that took no time" : "statements that took seconds are logged nowhere");
}

/* What else tells of slow statements; NULL: nothing does. */
static const char *
logs_otherwise(const SettingFacts *facts)
{
	if (dbops_setting_figure(facts, "auto_explain.log_min_duration") >= 0)
		return "auto_explain logs the plans of slow statements";
	if (dbops_setting_figure(facts, "log_min_duration_sample") >= 0 && dbops_setting_figure(facts, "log_statement_sample_rate") > 0)
		return "log_min_duration_sample logs a part of them";
	if (dbops_setting_is(facts, "log_statement", "all") && dbops_setting_is_on(facts, "log_duration"))
		return "log_statement and log_duration log each statement, and how long it took";
	return NULL;
}

static SettingVerdict
judge_switch(const char *setting, const SettingFacts *facts)
{
	bool		locks = (strcmp(setting, "log_lock_waits") == 0);

	if (dbops_setting_is(facts, setting, "on"))
		return dbops_setting_agree(locks ? "who waited long for whom is logged" : "when checkpoints came, why and how long they took is logged");
	return dbops_setting_prefer_text(DBOPS_INFO, "on", locks ? "who waited for whom cannot be found out afterwards" :
									 "when checkpoints came, and why, cannot be found out afterwards");
}

/* Worth a line each, unless they come many a second. 18 has a list of what is logged of a connection. */
static SettingVerdict
judge_sessions(const char *setting, const SettingFacts *facts)
{
	double		rate = sessions_rate(facts);
	bool		on = dbops_setting_is_on(facts, setting);
	const char *begun = isnan(rate) ? "how many sessions begin has not been watched" : psprintf("%.1f sessions a second begin", rate);

	if (rate > MANY_SESSIONS)
		return on ? dbops_setting_prefer_text(DBOPS_INFO, "off", psprintf("%s: not as the guide has it, for the log would be of nothing else; use a pooler", begun)) :
			dbops_setting_agree(psprintf("%s: not as the guide has it, for the log would be of nothing else", begun));
	return on ? dbops_setting_agree(psprintf("%s, and who came and went is logged", begun)) :
		dbops_setting_prefer_text(DBOPS_INFO, "on", psprintf("%s, and who came and went is logged nowhere", begun));
}

/* That begin, a second; the first minutes say little. */
static double
sessions_rate(const SettingFacts *facts)
{
	return facts->history.time > 0 ? facts->history.sessions / Max(facts->history.time, SECS_PER_HOUR) : NAN;
}

/* The guide has each run logged; those of no time say nothing. */
static SettingVerdict
judge_autovacuum(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now >= 0 && now <= 60000)
		return dbops_setting_agree(now == 0 ? "each run of autovacuum is logged" : "runs of autovacuum that took long are logged; the guide has all of them, which small tables fill the log with");
	return dbops_setting_prefer(DBOPS_INFO, setting, 1000,
								now < 0 ? "what autovacuum did is logged nowhere" : "what autovacuum did is logged only of its longest runs; the guide has all of them, which small tables fill the log with");
}
