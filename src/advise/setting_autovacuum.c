/*
 * setting_autovacuum.c
 *		Autovacuum, judged by how large the largest table is.
 */
#include "advise/setting_review.h"

#define LARGE_TABLE		1e7		/* rows */
#define HUGE_TABLE		1e8

static SettingVerdict judge_on(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_workers(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_naptime(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_threshold(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_vacuum_factor(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_analyze_factor(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_factor(const char *setting, double wanted, const SettingFacts *facts, const char *what);

static const SettingAdvice advice[] = {
	{"autovacuum", "on", NULL, judge_on, "guide 001, PostgreSQL's manual"},
	{"autovacuum_max_workers", "4", NULL, judge_workers, "guide 001, PostgreSQL's manual"},
	{"autovacuum_naptime", "30s", NULL, judge_naptime, "guide 001, PostgreSQL's manual"},
	{"autovacuum_vacuum_threshold", "50", NULL, judge_threshold, "guide 001, PostgreSQL's default"},
	{"autovacuum_vacuum_scale_factor", "0.1", NULL, judge_vacuum_factor, "guide 001; postgres-checkup"},
	{"autovacuum_analyze_threshold", "50", NULL, judge_threshold, "guide 001, PostgreSQL's default"},
	{"autovacuum_analyze_scale_factor", "0.05", NULL, judge_analyze_factor, "guide 001; postgres-checkup"}
};

void
dbops_setting_judge_autovacuum(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

static SettingVerdict
judge_on(const char *setting, const SettingFacts *facts)
{
	if (dbops_setting_is(setting, "on"))
		return dbops_setting_agree("dead rows go and statistics are renewed without anybody");
	return dbops_setting_prefer_text(DBOPS_CRITICAL, "on", "dead rows stay, statistics grow old, and ids run out until the server forces it at the worst of times");
}

/* More workers share one limit of cost: they do not do more by themselves. */
static SettingVerdict
judge_workers(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= 3 && now <= Max(8, facts->cpus))
		return dbops_setting_agree("several tables are vacuumed at a time; the guide's 4 share the same limit of cost, so that one more does no more");
	return dbops_setting_prefer(DBOPS_INFO, setting, now < 3 ? 3 : Max(4, floor(facts->cpus / 2)),
								now < 3 ? "one large table keeps the others from being vacuumed" :
								psprintf("%.0f workers share one limit of cost and %g cores: each of them is slow", now, facts->cpus));
}

static SettingVerdict
judge_naptime(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= 5000 && now <= 60000)
		return dbops_setting_agree("each database is looked at at least once a minute; the guide's 30s find a busy table half a minute sooner");
	return dbops_setting_prefer(DBOPS_INFO, setting, now < 5000 ? 5000 : 60000,
								now < 5000 ? "looking costs more than is found" : "a busy table collects dead rows until it is looked at");
}

static SettingVerdict
judge_threshold(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= 0 && now <= 1000)
		return dbops_setting_agree("it only counts for small tables");
	return dbops_setting_prefer(DBOPS_INFO, setting, 50, "small tables are never looked after");
}

/* A share of a large table is many rows. */
static SettingVerdict
judge_vacuum_factor(const char *setting, const SettingFacts *facts)
{
	double		wanted = facts->largest_rows >= HUGE_TABLE ? 0.02 : facts->largest_rows >= LARGE_TABLE ? 0.05 : 0.1;

	return judge_factor(setting, wanted, facts, "dead rows before it is vacuumed");
}

static SettingVerdict
judge_analyze_factor(const char *setting, const SettingFacts *facts)
{
	double		wanted = facts->largest_rows >= HUGE_TABLE ? 0.01 : facts->largest_rows >= LARGE_TABLE ? 0.02 : 0.05;

	return judge_factor(setting, wanted, facts, "changed rows before its statistics are renewed");
}

static SettingVerdict
judge_factor(const char *setting, double wanted, const SettingFacts *facts, const char *what)
{
	double		now = dbops_setting_figure(setting);
	const char *why = psprintf("the largest table has %.0f rows, and takes %.0f %s", Max(0, facts->largest_rows), Max(0, facts->largest_rows) * now, what);

	return (now <= wanted) ? dbops_setting_agree(why) : dbops_setting_prefer(DBOPS_INFO, setting, wanted, why);
}
