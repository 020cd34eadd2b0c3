/*
 * setting_connections.c
 *		How many sessions there may be, how many there were, and how many can work.
 */
#include "advise/setting_review.h"

#define ENOUGH_HOURS	(7 * 24)	/* of history, to call a peak the peak */
#define LEAST_RESERVED	3

static SettingVerdict judge_most(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_reserved(const char *setting, const SettingFacts *facts);
static double reserved(const SettingFacts *facts);
static void report_pool(DbopsReview *review);
static double peak(const SettingFacts *facts);
static const char *seen_sessions(const SettingFacts *facts);
static const char *how_long(double hours);
static double pool_size(const SettingFacts *facts);

static const SettingAdvice advice[] = {
	{"max_connections", "200", NULL, judge_most, "guide 001; PostgreSQL's wiki"},
	{"superuser_reserved_connections", "3", NULL, judge_reserved, "guide 001, PostgreSQL's default"}
};

void
dbops_setting_judge_connections(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
	report_pool(review);
}

/* Enough for the peak; what is beyond that makes room for a storm. A standby has no less than its primary. */
static SettingVerdict
judge_most(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		least = Max(dbops_setting_least_here(setting), reserved(facts) + 10);
	double		size = pool_size(facts);
	const char *seen = psprintf("%s, of at most %.0f%s", seen_sessions(facts), now,
								isnan(size) ? "" : psprintf("; %.0f can work at a time by cores and disks", size));

	if (peak(facts) > 0.85 * now)
		return dbops_setting_prefer(DBOPS_WARNING, setting, Max(least, ceil(peak(facts) * 1.5 / 50) * 50),
									psprintf("%s: put a pooler in front, or allow more", seen));
	if (now > 500 && facts->history.peak_hours >= ENOUGH_HOURS && peak(facts) < now / 4 && now > least)
		return dbops_setting_prefer(DBOPS_INFO, setting, Max(least, Max(200, ceil(peak(facts) * 2 / 50) * 50)),
									psprintf("%s: fewer leave each statement more memory", seen));
	return dbops_setting_agree(seen);
}

/* How many sessions there may be when what is said of them has been followed. */
double
dbops_setting_connections_wanted(const SettingFacts *facts)
{
	SettingVerdict verdict = judge_most("max_connections", facts);

	return verdict.recommended == NULL ? dbops_setting_figure(facts, "max_connections") : strtod(verdict.recommended, NULL);
}

/* Does not start with as many connections as are reserved. */
static SettingVerdict
judge_reserved(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	SettingVerdict verdict;

	if (now >= LEAST_RESERVED)
		return dbops_setting_agree("who has to end what fills all connections can get in");
	verdict = dbops_setting_prefer(DBOPS_WARNING, setting, LEAST_RESERVED, "when all connections are taken, nobody can get in to end one");
	if (dbops_setting_figure(facts, "max_connections") <= reserved(facts) - now + LEAST_RESERVED)
	{
		verdict.first = "max_connections";
		verdict.first_value = dbops_setting_write(verdict.first, dbops_setting_connections_wanted(facts));
	}
	return verdict;
}

/* For superusers, and from 16 on for a role. */
static double
reserved(const SettingFacts *facts)
{
	double		others = dbops_setting_figure(facts, "reserved_connections");

	return dbops_setting_figure(facts, "superuser_reserved_connections") + (isnan(others) ? 0 : others);
}

/* The size of an application's pool is no setting of the server, and stands beside what was seen. */
static void
report_pool(DbopsReview *review)
{
	const SettingFacts *facts = dbops_setting_facts(review);
	double		size = pool_size(facts);
	SettingVerdict verdict = {.severity = peak(facts) > 4 * size ? DBOPS_INFO : DBOPS_OK};

	if (isnan(size))
		verdict = dbops_setting_unknown("how many cores the server may use is not known here");
	else
	{
		verdict.recommended = psprintf("%.0f", size);
		verdict.why = psprintf("%g cores, twice, and %s make %.0f sessions that can work at a time, all pools together; %s",
							   facts->cpus, dbops_figure_count(facts->disks, "spindle", "spindles"), size, seen_sessions(facts));
	}
	dbops_setting_report(review, "connection pool", psprintf("%.0f", peak(facts)), "002: (core_count * 2) + effective_spindle_count",
						 "guide 002, PostgreSQL's wiki",
						 verdict.severity == DBOPS_INFO ? "Give the pools of all applications together that many connections, and let the others wait there." : NULL, &verdict);
}

/* The most sessions that are known of; where nothing is, those of now. */
static double
peak(const SettingFacts *facts)
{
	return fmax(facts->history.peak, facts->connected);
}

static const char *
seen_sessions(const SettingFacts *facts)
{
	const SettingHistory *history = &facts->history;

	if (isnan(history->peak) || history->peak < facts->connected)
		return psprintf("right now there %s %s", facts->connected == 1 ? "is" : "are", dbops_figure_count(facts->connected, "session", "sessions"));
	return psprintf("at the peak of the last %s, within an hour from %s on, there %s %s", how_long(history->peak_hours), history->peak_at,
					history->peak == 1 ? "was" : "were", dbops_figure_count(history->peak, "session", "sessions"));
}

static const char *
how_long(double hours)
{
	if (hours <= 1)
		return "hour";
	return hours < 48 ? psprintf("%.0f hours", hours) : psprintf("%.0f days", floor(hours / 24));
}

/* Cores, twice, and spindles: a disk each. */
static double
pool_size(const SettingFacts *facts)
{
	return floor(facts->cpus * 2) + facts->disks;
}
