/*
 * setting_connections.c
 *		How many sessions there may be, how many there were, and how many can work.
 */
#include "advise/setting_review.h"

static SettingVerdict judge_most(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_reserved(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_idle(const char *setting, const SettingFacts *facts);
static void report_pool(DbopsReview *review);
static const char *seen_sessions(const SettingFacts *facts);
static double pool_size(const SettingFacts *facts);

static const SettingAdvice advice[] = {
	{"max_connections", "200", NULL, judge_most, "guide 001; PostgreSQL's wiki"},
	{"superuser_reserved_connections", "3", NULL, judge_reserved, "guide 001, PostgreSQL's default"},
	{"idle_in_transaction_session_timeout", NULL, NULL, judge_idle, "the advisor of RDS"}
};

void
dbops_setting_judge_connections(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
	report_pool(review);
}

/* Enough for the peak; what is beyond that makes room for a storm. */
static SettingVerdict
judge_most(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	const char *seen = psprintf("%s, of at most %.0f; %.0f can work at a time by cores and disks",
								seen_sessions(facts), now, pool_size(facts));

	if (facts->peak > 0.85 * now)
		return dbops_setting_prefer(DBOPS_WARNING, setting, ceil(facts->peak * 1.5 / 50) * 50,
									psprintf("%s: put a pooler in front, or allow more", seen));
	if (now > 500 && facts->peak_is_history && facts->peak < now / 4)
		return dbops_setting_prefer(DBOPS_INFO, setting, Max(200, ceil(facts->peak * 2 / 50) * 50),
									psprintf("%s: fewer leave each statement more memory", seen));
	return dbops_setting_agree(seen);
}

static SettingVerdict
judge_reserved(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= 3)
		return dbops_setting_agree("who has to end what fills all connections can get in");
	return dbops_setting_prefer(DBOPS_WARNING, setting, 3, "when all connections are taken, nobody can get in to end one");
}

static SettingVerdict
judge_idle(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now > 0)
		return dbops_setting_agree("a client that has gone quiet in a transaction does not keep its locks for ever");
	return dbops_setting_prefer(DBOPS_INFO, setting, 30 * 60000.0, "a client that has gone quiet in a transaction keeps its locks, and dead rows, for ever");
}

/* The size of an application's pool is no setting of the server, and stands beside what was seen. */
static void
report_pool(DbopsReview *review)
{
	const SettingFacts *facts = dbops_setting_facts(review);
	double		size = pool_size(facts);
	SettingVerdict verdict = {.severity = facts->peak > 4 * size ? DBOPS_INFO : DBOPS_OK};

	if (isnan(size))
		verdict = (SettingVerdict) {.severity = DBOPS_UNKNOWN, .why = "how many cores the server may use is not known here"};
	else
	{
		verdict.recommended = psprintf("%.0f", size);
		verdict.why = psprintf("%g cores, twice, and %s make %.0f sessions that can work at a time, all pools together; %s",
							   facts->cpus, dbops_figure_count(facts->disks, "spindle", "spindles"), size, seen_sessions(facts));
	}
	dbops_setting_report(review, "connection pool", psprintf("%.0f", facts->peak), "002: (core_count * 2) + effective_spindle_count",
						 "guide 002, PostgreSQL's wiki",
						 verdict.severity == DBOPS_OK ? NULL : "Give the pools of all applications together that many connections, and let the others wait there.", &verdict);
}

/* The peak, as far back as it is known. */
static const char *
seen_sessions(const SettingFacts *facts)
{
	const char *sessions = dbops_figure_count(facts->peak, "session", "sessions");

	return facts->peak_is_history ? psprintf("at the peak there were %s", sessions) : psprintf("right now there are %s", sessions);
}

/* Cores, twice, and spindles: a disk each. */
static double
pool_size(const SettingFacts *facts)
{
	return floor(facts->cpus * 2) + facts->disks;
}
