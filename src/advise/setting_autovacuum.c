/*
 * setting_autovacuum.c
 *		Autovacuum, judged by how large the largest table is.
 *
 * The largest of this database: of the others, one only knows whether there is room
 * in them for one that is as large.
 */
#include "advise/setting_review.h"

#include "access/htup_details.h"

#define LARGE_TABLE		1e7		/* rows */
#define HUGE_TABLE		1e8
#define LEAST_ROW		(SizeofHeapTupleHeader + sizeof(ItemIdData))	/* bytes on a page */

static SettingVerdict judge_on(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_workers(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_naptime(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_threshold(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_vacuum_factor(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_analyze_factor(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_factor(const char *setting, const double *wanted, double rows, const SettingFacts *facts, const char *what);
static double others_may_have(const SettingFacts *facts);
static double wanted_for(double rows, const double *wanted);
static double taken(double factor, double rows, const SettingFacts *facts, bool vacuum);

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

/* It goes by what the server counts of changed rows. */
static SettingVerdict
judge_on(const char *setting, const SettingFacts *facts)
{
	bool		counts = dbops_setting_is_on(facts, "track_counts");
	SettingVerdict verdict;

	if (dbops_setting_is_on(facts, setting) && counts)
		return dbops_setting_agree("dead rows go and statistics are renewed without anybody");
	verdict = dbops_setting_prefer_text(DBOPS_CRITICAL, "on", psprintf("%s: dead rows stay, statistics grow old, and ids run out until the server forces it at the worst of times",
																	   counts ? "nothing vacuums by itself" : "track_counts is off, without which autovacuum finds no table"));
	if (!counts)
	{
		verdict.first = "track_counts";
		verdict.first_value = "on";
	}
	return verdict;
}

/* More workers share one limit of cost: they do not do more by themselves. */
static SettingVerdict
judge_workers(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		most = fmax(8, facts->cpus);

	if (now >= 3 && now <= most)
		return dbops_setting_agree("several tables are vacuumed at a time; the guide's 4 share the same limit of cost, so that one more does no more");
	if (now < 3)
		return dbops_setting_prefer(DBOPS_INFO, setting, 3, "one large table keeps the others from being vacuumed");
	return dbops_setting_prefer(DBOPS_INFO, setting, fmax(4, floor(facts->cpus / 2)),
								psprintf("%.0f workers share one limit of cost: each of them is slow", now));
}

/* How many there may be when what is said of them has been followed. */
double
dbops_setting_workers_wanted(const SettingFacts *facts)
{
	SettingVerdict verdict = judge_workers("autovacuum_max_workers", facts);

	return verdict.recommended == NULL ? dbops_setting_figure(facts, "autovacuum_max_workers") : strtod(verdict.recommended, NULL);
}

static SettingVerdict
judge_naptime(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now >= 5000 && now <= 60000)
		return dbops_setting_agree("each database is looked at at least once a minute; the guide's 30s find a busy table half a minute sooner");
	return dbops_setting_prefer(DBOPS_INFO, setting, now < 5000 ? 5000 : 60000,
								now < 5000 ? "looking costs more than is found" : "a busy table collects dead rows until it is looked at");
}

static SettingVerdict
judge_threshold(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now >= 0 && now <= 1000)
		return dbops_setting_agree("it only counts for small tables");
	return dbops_setting_prefer(DBOPS_INFO, setting, 50, "small tables are never looked after");
}

/* A share of a large table is many rows. */
static SettingVerdict
judge_vacuum_factor(const char *setting, const SettingFacts *facts)
{
	static const double wanted[] = {0.1, 0.05, 0.02};

	return judge_factor(setting, wanted, facts->most_rows_vacuum, facts, "dead rows before it is vacuumed");
}

static SettingVerdict
judge_analyze_factor(const char *setting, const SettingFacts *facts)
{
	static const double wanted[] = {0.05, 0.02, 0.01};

	return judge_factor(setting, wanted, facts->most_rows_analyze, facts, "changed rows before its statistics are renewed");
}

/* wanted is of any table, a large and a huge one. */
static SettingVerdict
judge_factor(const char *setting, const double *wanted, double rows, const SettingFacts *facts, const char *what)
{
	double		now = dbops_setting_figure(facts, setting);
	const char *why = psprintf("the largest table of this database that goes by it has %.0f rows, and takes %.0f %s",
							   rows, taken(now, rows, facts, strcmp(setting, "autovacuum_vacuum_scale_factor") == 0), what);

	if (now > wanted_for(rows, wanted))
		return dbops_setting_prefer(DBOPS_INFO, setting, wanted_for(rows, wanted), why);
	if (now > wanted_for(others_may_have(facts), wanted))
		return dbops_setting_unknown(psprintf("%s; how large tables of the other databases are is not seen from here: ask there, too", why));
	return dbops_setting_agree(why);
}

/* Rows in one table of another database: none takes less room. */
static double
others_may_have(const SettingFacts *facts)
{
	return fmax(0, facts->data - facts->data_here) / LEAST_ROW;
}

static double
wanted_for(double rows, const double *wanted)
{
	return wanted[rows >= HUGE_TABLE ? 2 : rows >= LARGE_TABLE ? 1 : 0];
}

/* From 18 on there is a most of dead rows. */
static double
taken(double factor, double rows, const SettingFacts *facts, bool vacuum)
{
	double		most = vacuum ? dbops_setting_figure(facts, "autovacuum_vacuum_max_threshold") : NAN;

	return (most >= 0) ? Min(most, rows * factor) : rows * factor;
}
