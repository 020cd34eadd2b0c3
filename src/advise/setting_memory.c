/*
 * setting_memory.c
 *		Memory: shared buffers, what the planner takes for cached, and what each
 *		statement may take.
 *
 * The guides' shares of memory are of what the server may use here; what was
 * counted of the work says where a share is more than is needed.
 */
#include "advise/setting_review.h"

#define NOT_KNOWN	"how much memory the server may use is not known here"

static SettingVerdict judge_shared_buffers(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_cache(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_work(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_maintenance(const char *setting, const SettingFacts *facts);
static SettingVerdict unknown_memory(void);
static double in_whole(double bytes);

static const SettingAdvice advice[] = {
	{"shared_buffers", "8GB", "256MB", judge_shared_buffers, "PostgreSQL's manual: a quarter of memory; guide 001: 25% of RAM"},
	{"effective_cache_size", "24GB", "1GB", judge_cache, "guide 001: 75% of RAM"},
	{"work_mem", "64MB", "4MB", judge_work, "guide 001: RAM / max_connections / 4"},
	{"maintenance_work_mem", "2GB", "64MB", judge_maintenance, "pgtune: a sixteenth of memory"}
};

void
dbops_setting_judge_memory(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

/* A quarter, unless all data fits into less. */
static SettingVerdict
judge_shared_buffers(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		wanted = in_whole(facts->memory / 4);
	double		percent = 100 * now / facts->memory;

	if (isnan(facts->memory))
		return unknown_memory();
	if (now > 0.4 * facts->memory)
		return dbops_setting_prefer(DBOPS_WARNING, setting, wanted,
									psprintf("it takes %.0f percent of the %s that the server may use, and leaves the rest too little", percent, dbops_figure_bytes(facts->memory)));
	if (now >= 0.15 * facts->memory)
		return dbops_setting_agree(psprintf("it is %.0f percent of the %s that the server may use", percent, dbops_figure_bytes(facts->memory)));
	if (facts->data < now)
		return dbops_setting_agree(psprintf("it is %.0f percent of the %s that the server may use, and holds all %s of this database", percent, dbops_figure_bytes(facts->memory), dbops_figure_bytes(facts->data)));
	return dbops_setting_prefer(percent < 5 ? DBOPS_WARNING : DBOPS_INFO, setting, wanted,
								psprintf("it is %.0f percent of the %s that the server may use, and this database has %s", percent, dbops_figure_bytes(facts->memory), dbops_figure_bytes(facts->data)));
}

/* It takes no memory, and tells the planner how likely a page is cached. */
static SettingVerdict
judge_cache(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		percent = 100 * now / facts->memory;
	const char *why = psprintf("it is %.0f percent of the %s that the server may use", percent, dbops_figure_bytes(facts->memory));

	if (isnan(facts->memory))
		return unknown_memory();
	if (now >= 0.5 * facts->memory && now <= 0.9 * facts->memory)
		return dbops_setting_agree(why);
	return dbops_setting_prefer(DBOPS_INFO, setting, in_whole(facts->memory * 0.75),
								psprintf("%s: the planner takes %s for cached than there is room for", why, now > 0.9 * facts->memory ? "more" : "less"));
}

/* What all sessions could take at once must fit; what is spilled to disk says that it is too little. */
static SettingVerdict
judge_work(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		sessions = dbops_setting_figure("max_connections");
	double		most = now * dbops_setting_figure("hash_mem_multiplier") * sessions;
	double		room = facts->memory - dbops_setting_figure("shared_buffers");
	double		wanted = Max(4 * MB, in_whole(facts->memory / sessions / 4));

	if (isnan(facts->memory))
		return unknown_memory();
	if (most > room && now > wanted)
		return dbops_setting_prefer(most > 4 * room ? DBOPS_WARNING : DBOPS_INFO, setting, wanted,
									psprintf("%.0f sessions that take it once, and more for hashes, take %s, of %s beside shared_buffers", sessions, dbops_figure_bytes(most), dbops_figure_bytes(room)));
	if (facts->temporary == 0 || now >= wanted)
		return dbops_setting_agree(psprintf("%.0f sessions that take it once, and more for hashes, take %s, of %s beside shared_buffers; %s were written to temporary files",
											sessions, dbops_figure_bytes(most), dbops_figure_bytes(room), dbops_figure_bytes(facts->temporary)));
	return dbops_setting_prefer(DBOPS_INFO, setting, wanted,
								psprintf("statements of this database wrote %s to temporary files for want of it, and there is memory for more", dbops_figure_bytes(facts->temporary)));
}

/* Each autovacuum worker takes as much, unless it has a limit of its own. */
static SettingVerdict
judge_maintenance(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		workers = dbops_setting_figure("autovacuum_max_workers");
	bool		shared = dbops_setting_figure("autovacuum_work_mem") == -1;
	double		wanted = Min(2 * GB, Max(64 * MB, in_whole(facts->memory / 16)));

	if (isnan(facts->memory))
		return unknown_memory();
	if (shared && now * (workers + 1) > facts->memory / 2)
		return dbops_setting_prefer(DBOPS_WARNING, setting, wanted,
									psprintf("%.0f autovacuum workers and one more may take %s of %s", workers, dbops_figure_bytes(now * (workers + 1)), dbops_figure_bytes(facts->memory)));
	if (now >= wanted / 2)
		return dbops_setting_agree(psprintf("a sixteenth of the %s that the server may use is %s, and more than 2 GB is seldom used", dbops_figure_bytes(facts->memory), dbops_figure_bytes(wanted)));
	return dbops_setting_prefer(DBOPS_INFO, setting, wanted,
								psprintf("a sixteenth of the %s that the server may use makes VACUUM and CREATE INDEX go over less twice", dbops_figure_bytes(facts->memory)));
}

static SettingVerdict
unknown_memory(void)
{
	return (SettingVerdict) {.severity = DBOPS_UNKNOWN, .why = NOT_KNOWN};
}

/* In whole MB, from 1 GB on in quarters of one, from 4 GB on in whole ones. */
static double
in_whole(double bytes)
{
	double		unit = (bytes >= 4 * GB) ? GB : (bytes >= GB) ? GB / 4 : MB;

	return floor(bytes / unit) * unit;
}
