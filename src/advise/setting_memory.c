/*
 * setting_memory.c
 *		Memory: shared buffers, what the planner takes for cached, and what each
 *		statement may take.
 *
 * The guides' shares of memory are of what the server may use here; what was
 * counted of the work says where a share is more than is needed.
 */
#include "advise/setting_review.h"

#include "utils/timestamp.h"

#define LEAST_MAINTENANCE	(16 * MB)
#define MUCH_TEMPORARY		GB	/* a day */

static SettingVerdict judge_shared_buffers(const char *setting, const SettingFacts *facts);
static SettingVerdict prefer_shared_buffers(DbopsSeverity severity, const char *setting, const SettingFacts *facts, const char *why);
static SettingVerdict judge_cache(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_work(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_spilled(const char *setting, double wanted, const char *most, const SettingFacts *facts);
static SettingVerdict judge_maintenance(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_rebuilds(const char *setting, double wanted, const SettingFacts *facts);
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

/* ---- shared_buffers ---- */

/* A quarter, unless all data fits into less. */
static SettingVerdict
judge_shared_buffers(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		percent = 100 * now / facts->memory;
	const char *is;

	if (isnan(facts->memory))
		return unknown_memory();
	is = psprintf("it is %.0f percent of the %s that the server may use", percent, dbops_figure_bytes(facts->memory));
	if (percent > 40)
		return prefer_shared_buffers(DBOPS_WARNING, setting, facts, psprintf("%s, and leaves the rest too little", is));
	if (percent >= 15)
		return dbops_setting_agree(is);
	if (facts->data < now)
		return dbops_setting_agree(psprintf("%s, and holds all %s of all databases", is, dbops_figure_bytes(facts->data)));
	return prefer_shared_buffers(percent < 5 ? DBOPS_WARNING : DBOPS_INFO, setting, facts,
								 psprintf("%s, and all databases have %s", is, dbops_figure_bytes(facts->data)));
}

/* A server that is to start with huge pages only does not start with too few of them. */
static SettingVerdict
prefer_shared_buffers(DbopsSeverity severity, const char *setting, const SettingFacts *facts, const char *why)
{
	SettingVerdict verdict = dbops_setting_prefer(severity, setting, in_whole(facts->memory / 4), why);

	if (dbops_setting_is(facts, "huge_pages", "on") && dbops_setting_figure(facts, setting) < facts->memory / 4)
		verdict.instead = psprintf("First set vm.nr_hugepages on the machine to what postgres -C shared_memory_size_in_huge_pages -c shared_buffers=%s says, since huge_pages is on; then ALTER SYSTEM SET shared_buffers = '%s', and restart the server.",
								   verdict.recommended, verdict.recommended);
	return verdict;
}

/* ---- effective_cache_size ---- */

/* It takes no memory, and tells the planner how likely a page is cached. */
static SettingVerdict
judge_cache(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	const char *why;

	if (isnan(facts->memory))
		return unknown_memory();
	why = psprintf("it is %.0f percent of the %s that the server may use", 100 * now / facts->memory, dbops_figure_bytes(facts->memory));
	if (now >= 0.5 * facts->memory && now <= 0.9 * facts->memory)
		return dbops_setting_agree(why);
	return dbops_setting_prefer(DBOPS_INFO, setting, in_whole(facts->memory * 0.75),
								psprintf("%s: the planner takes %s for cached than there is room for", why, now > 0.9 * facts->memory ? "more" : "less"));
}

/* ---- work_mem ---- */

/* What all sessions could take at once must fit; what is spilled to disk says that it is too little. */
static SettingVerdict
judge_work(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		sessions = dbops_setting_connections_wanted(facts);
	double		most = now * dbops_setting_figure(facts, "hash_mem_multiplier") * sessions;
	double		room = facts->memory - dbops_setting_figure(facts, "shared_buffers");
	double		wanted = Max(4 * MB, in_whole(facts->memory / sessions / 4));
	const char *taken;

	if (isnan(facts->memory))
		return unknown_memory();
	taken = psprintf("%.0f sessions that take it once, and more for hashes, take %s, of %s beside shared_buffers", sessions, dbops_figure_bytes(most), dbops_figure_bytes(room));
	if (most > room && now > wanted)
		return dbops_setting_prefer(most > 4 * room ? DBOPS_WARNING : DBOPS_INFO, setting, wanted, taken);
	return judge_spilled(setting, wanted, taken, facts);
}

/* Not more than was seen: the average of a day, of days that have been watched only in part the least that it can be. */
static SettingVerdict
judge_spilled(const char *setting, double wanted, const char *taken, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		daily = facts->history.temporary / Max(1, facts->history.time / SECS_PER_DAY);
	const char *spilled = psprintf("%s a day were written to temporary files", dbops_figure_bytes(daily));

	if (now < wanted && facts->history.time == 0)
		return dbops_setting_unknown(psprintf("%s; there is memory for more, and whether it is needed is not known, as nobody has watched how much is written to temporary files", taken));
	if (now >= wanted || daily < MUCH_TEMPORARY)
		return dbops_setting_agree(facts->history.time == 0 ? taken : psprintf("%s; %s", taken, spilled));
	return dbops_setting_prefer(DBOPS_INFO, setting, wanted, psprintf("%s for want of it, and there is memory for more", spilled));
}

/* ---- maintenance_work_mem ---- */

/* Each autovacuum worker takes as much, unless it has a limit of its own. */
static SettingVerdict
judge_maintenance(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		takers = (dbops_setting_figure(facts, "autovacuum_work_mem") == -1) ? dbops_setting_workers_wanted(facts) + 1 : 1;
	double		wanted = Min(2 * GB, facts->memory / Max(16, 2 * takers));

	if (isnan(facts->memory))
		return unknown_memory();
	wanted = Max(LEAST_MAINTENANCE, in_whole(wanted));
	if (now * takers > facts->memory / 2 && now > wanted)
		return dbops_setting_prefer(DBOPS_WARNING, setting, wanted,
									psprintf(takers > 1 ? "%.0f that take it at a time, autovacuum's workers and one more, take %s of the %s that the server may use" :
											 "%.0f that takes it takes %s of the %s that the server may use",
											 takers, dbops_figure_bytes(now * takers), dbops_figure_bytes(facts->memory)));
	return judge_rebuilds(setting, wanted, facts);
}

static SettingVerdict
judge_rebuilds(const char *setting, double wanted, const SettingFacts *facts)
{
	if (dbops_setting_figure(facts, setting) >= wanted / 2)
		return dbops_setting_agree(psprintf("of the %s that the server may use, %s are right for it: a sixteenth, and less where several may take it", dbops_figure_bytes(facts->memory), dbops_figure_bytes(wanted)));
	return dbops_setting_prefer(DBOPS_INFO, setting, wanted,
								psprintf("VACUUM and CREATE INDEX have to go over tables more often than with a sixteenth of the %s that the server may use", dbops_figure_bytes(facts->memory)));
}

static SettingVerdict
unknown_memory(void)
{
	return dbops_setting_unknown("how much memory the server may use is not known here");
}

/* In whole MB, from 1 GB on in quarters of one, from 4 GB on in whole ones. */
static double
in_whole(double bytes)
{
	double		unit = (bytes >= 4 * GB) ? GB : (bytes >= GB) ? GB / 4 : MB;

	return floor(bytes / unit) * unit;
}
