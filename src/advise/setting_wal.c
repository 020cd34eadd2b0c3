/*
 * setting_wal.c
 *		WAL and checkpoints, judged by the checkpoints that there were and by the WAL
 *		that is written.
 */
#include "advise/setting_review.h"

#define LEAST_TIME	3600		/* s that WAL was counted for, to tell a rate */
#define LEAST		3			/* checkpoints, to tell a share */

static SettingVerdict judge_buffers(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_target(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_timeout(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_max(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_min(const char *setting, const SettingFacts *facts);
static double whole_gb(double bytes);

static const SettingAdvice advice[] = {
	{"wal_buffers", "16MB", "16MB", judge_buffers, "PostgreSQL's manual, pgtune"},
	{"checkpoint_completion_target", "0.9", "0.9", judge_target, "PostgreSQL's manual"},
	{"checkpoint_timeout", "15min", NULL, judge_timeout, "guide 001, pgtune"},
	{"max_wal_size", "4GB", "4GB", judge_max, "PostgreSQL's manual: checkpoints come when it is time"},
	{"min_wal_size", "1GB", "1GB", judge_min, "guides 001 and 003, pgtune"}
};

void
dbops_setting_judge_wal(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

/* By itself it is a 32nd of shared_buffers, up to a segment; the server has worked that out. */
static SettingVerdict
judge_buffers(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		per_hour = facts->wal_buffers_full / Max(facts->wal_time, LEAST_TIME) * 3600;

	if (now == -1)
		now = Min(dbops_setting_figure("shared_buffers") / 32, 16 * MB);
	if (now >= 16 * MB)
		return dbops_setting_agree(psprintf("there is room for a segment; %.0f times an hour a session had to write WAL for want of room", per_hour));
	if (per_hour < 10)
		return dbops_setting_agree(psprintf("it is less than a segment, and enough: %.0f times an hour a session had to write WAL for want of room", per_hour));
	return dbops_setting_prefer(DBOPS_INFO, setting, 16 * MB,
								psprintf("%.0f times an hour a session had to write WAL for want of room", per_hour));
}

static SettingVerdict
judge_target(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= 0.85 && now <= 0.95)
		return dbops_setting_agree("the writes of a checkpoint are spread over almost all of the time until the next");
	return dbops_setting_prefer(DBOPS_INFO, setting, 0.9,
								now > 0.95 ? "a checkpoint that is late comes into the next one" : "the writes of a checkpoint come in a burst");
}

/* Fewer checkpoints write fewer whole pages; a crash takes longer to recover from. */
static SettingVerdict
judge_timeout(const char *setting, const SettingFacts *facts)
{
	double		minutes = dbops_setting_figure(setting) / 60000;

	if (minutes >= 10 && minutes <= 30)
		return dbops_setting_agree("checkpoints are rare enough, and recovery from a crash short enough");
	if (minutes < 10 && facts->wal_time >= LEAST_TIME && facts->wal_rate < MB / 10)
		return dbops_setting_agree(psprintf("checkpoints cost little, since %s of WAL a second are written", dbops_figure_bytes(facts->wal_rate)));
	return dbops_setting_prefer(minutes < 2 ? DBOPS_WARNING : DBOPS_INFO, setting, 15 * 60000.0,
								minutes < 10 ? "after each checkpoint every page is written to WAL whole once: fewer checkpoints, less WAL" :
								"recovery from a crash may take as long");
}

/* What is written between two checkpoints, nearly twice, must fit. */
static SettingVerdict
judge_max(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		all = facts->checkpoints_timed + facts->checkpoints_requested;
	double		needed = facts->wal_rate * dbops_setting_figure("checkpoint_timeout") / 1000 * 2;
	double		wanted = Max(4 * GB, whole_gb(Max(needed, now * 2)));

	if (all >= LEAST && facts->checkpoints_requested > all / 2 && now < 64 * GB)
		return dbops_setting_prefer(DBOPS_WARNING, setting, wanted,
									psprintf("%.0f of %.0f checkpoints came before it was time, for want of room or because somebody asked", facts->checkpoints_requested, all));
	if (facts->wal_time < LEAST_TIME)
		return now >= GB ? dbops_setting_agree("how much WAL is written has not been counted for an hour yet; it is no less than 1 GB") :
			dbops_setting_prefer(DBOPS_INFO, setting, 4 * GB, "how much WAL is written has not been counted for an hour yet; less than 1 GB is seldom enough");
	if (needed <= now)
		return dbops_setting_agree(psprintf("%s of WAL a second need %s, and %.0f of %.0f checkpoints came when it was time",
											dbops_figure_bytes(facts->wal_rate), dbops_figure_bytes(needed), facts->checkpoints_timed, all));
	return dbops_setting_prefer(DBOPS_INFO, setting, Max(4 * GB, whole_gb(needed)),
								psprintf("%s of WAL a second need %s between checkpoints", dbops_figure_bytes(facts->wal_rate), dbops_figure_bytes(needed)));
}

static SettingVerdict
judge_min(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= GB)
		return dbops_setting_agree("files of WAL are kept to be used again");
	if (facts->wal_time >= LEAST_TIME && facts->wal_rate * dbops_setting_figure("checkpoint_timeout") / 1000 < now)
		return dbops_setting_agree(psprintf("it holds what is written between two checkpoints, at %s of WAL a second", dbops_figure_bytes(facts->wal_rate)));
	return dbops_setting_prefer(DBOPS_INFO, setting, GB, "files of WAL are removed in quiet times, and made anew when it is busy");
}

static double
whole_gb(double bytes)
{
	return ceil(bytes / GB) * GB;
}
