/*
 * setting_planner.c
 *		What the planner thinks of the disk, and how closely statistics look.
 */
#include "advise/setting_review.h"

static SettingVerdict judge_statistics(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_random(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_concurrency(const char *setting, const SettingFacts *facts);
static const char *disk(const SettingFacts *facts);

static const SettingAdvice advice[] = {
	{"default_statistics_target", "100", "100", judge_statistics, "guides 001 and 003, PostgreSQL's default"},
	{"random_page_cost", "1.1", "1.1", judge_random, "guides 001 and 003, pgtune: SSD"},
	{"effective_io_concurrency", "200", "200", judge_concurrency, "guides 001 and 003, pgtune: SSD"}
};

void
dbops_setting_judge_planner(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

static SettingVerdict
judge_statistics(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now >= 100 && now <= 1000)
		return dbops_setting_agree("it is enough for most columns; those that are not can have their own by ALTER TABLE ... SET STATISTICS");
	return dbops_setting_prefer(now < 30 ? DBOPS_WARNING : DBOPS_INFO, setting, 100,
								now < 100 ? "estimates are made from too few values" : "each plan reads that many values of each column");
}

/* A disk that rotates has to seek; any other finds a page as fast as the next one. */
static SettingVerdict
judge_random(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now < dbops_setting_figure(facts, "seq_page_cost"))
		return dbops_setting_prefer(DBOPS_WARNING, setting, dbops_setting_figure(facts, "seq_page_cost"), "a random page is taken for cheaper than one in sequence, which none is");
	if (facts->rotates == 0)
		return now <= 2 ? dbops_setting_agree(disk(facts)) :
			dbops_setting_prefer(DBOPS_INFO, setting, 1.1, psprintf("%s, and indexes are used less than they should", disk(facts)));
	if (now <= 4)
		return dbops_setting_agree(psprintf("%s; 1.1 is right for an SSD, 4 for a disk that rotates", disk(facts)));
	return dbops_setting_prefer(DBOPS_INFO, setting, facts->rotates == 1 ? 4 : 1.1, psprintf("%s, and no disk is so slow at seeking", disk(facts)));
}

/* From 18 on it counts reads in flight, of which 16 are plenty to begin with. */
static SettingVerdict
judge_concurrency(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		least = dbops_setting_figure(facts, "server_version_num") >= 180000 ? 16 : 100;

#ifndef USE_PREFETCH
	if (least > 16)
		return dbops_setting_agree("this platform reads nothing ahead, and refuses any other value");
#endif
	if (now >= least)
		return dbops_setting_agree(psprintf("%s; several reads at a time are asked for", disk(facts)));
	if (facts->rotates == 1)
		return dbops_setting_agree(psprintf("%s, and does one thing at a time if it does; 200 is right for an SSD", disk(facts)));
	return dbops_setting_prefer(DBOPS_INFO, setting, 200, psprintf("%s; an SSD serves many reads at a time, and bitmap scans ask for few", disk(facts)));
}

static const char *
disk(const SettingFacts *facts)
{
	return facts->rotates == 0 ? "the disk does not rotate" :
		facts->rotates == 1 ? "the kernel says that the disk rotates, as virtual ones say too" :
		"what the disk is like is not known here";
}
