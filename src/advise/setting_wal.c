/*
 * setting_wal.c
 *		WAL and checkpoints, judged by the checkpoints that there were and by the WAL
 *		that is written.
 *
 * The server counts one kind of checkpoint before its time, whether there was no
 * room for more WAL or somebody asked for one, as a backup, a shutdown and CHECKPOINT
 * do. With so much WAL in an hour there cannot have been more of the first kind than
 * times that the room was filled; by the room that there is now, too, whatever it was
 * when they came: so a value that has been raised is not raised again for what it has
 * mended.
 */
#include "advise/setting_review.h"

#include "utils/timestamp.h"

#define LEAST		3			/* checkpoints, to tell a share */
#define MOST_WAL	(64 * GB)

static SettingVerdict judge_buffers(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_target(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_timeout(const char *setting, const SettingFacts *facts);
static double timeout_wanted(const SettingFacts *facts);
static SettingVerdict judge_max(const char *setting, const SettingFacts *facts);
static double enough(double now, double timed, const SettingFacts *facts);
static double in_busiest_hour(const SettingFacts *facts);
static double forced(double max_size, const SettingFacts *facts);
static double room(double max_size, const SettingFacts *facts);
static void count(const SettingFacts *facts, double *timed, double *requested);
static SettingVerdict prefer_max(DbopsSeverity severity, const char *setting, double wanted, const SettingFacts *facts, const char *why);
static SettingVerdict judge_min(const char *setting, const SettingFacts *facts);
static bool is_watched(const SettingFacts *facts);
static double wal_rate(const SettingFacts *facts);

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
	double		now = dbops_setting_figure(facts, setting);
	double		per_hour = is_watched(facts) ? facts->history.wal_buffers_full / facts->history.time * SECS_PER_HOUR :
		facts->wal_buffers_full / Max(facts->wal_time, SECS_PER_HOUR) * SECS_PER_HOUR;
	const char *seen = psprintf("%.0f times an hour a session had to write WAL for want of room", per_hour);

	if (now >= 16 * MB)
		return dbops_setting_agree(psprintf("there is room for a segment; %s", seen));
	if (per_hour < 10)
		return dbops_setting_agree(psprintf("it is less than a segment, and enough: %s", seen));
	return dbops_setting_prefer(DBOPS_INFO, setting, 16 * MB, seen);
}

static SettingVerdict
judge_target(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now >= 0.85 && now <= 0.95)
		return dbops_setting_agree("the writes of a checkpoint are spread over almost all of the time until the next");
	return dbops_setting_prefer(DBOPS_INFO, setting, 0.9,
								now > 0.95 ? "a checkpoint that is late comes into the next one" : "the writes of a checkpoint come in a burst");
}

/* Fewer checkpoints write fewer whole pages; a crash takes longer to recover from. */
static SettingVerdict
judge_timeout(const char *setting, const SettingFacts *facts)
{
	double		minutes = dbops_setting_figure(facts, setting) / 60000;

	if (minutes >= 10 && minutes <= 30)
		return dbops_setting_agree("checkpoints are rare enough, and recovery from a crash short enough");
	if (minutes < 10 && wal_rate(facts) < MB / 10)
		return dbops_setting_agree(psprintf("checkpoints cost little, since %s of WAL a second are written", dbops_figure_bytes(wal_rate(facts))));
	return dbops_setting_prefer(minutes < 2 ? DBOPS_WARNING : DBOPS_INFO, setting, 15 * 60000.0,
								minutes < 10 ? "after each checkpoint every page is written to WAL whole once: fewer checkpoints, less WAL" :
								"recovery from a crash may take as long");
}

/* s, when what is said of it has been followed. */
static double
timeout_wanted(const SettingFacts *facts)
{
	if (judge_timeout("checkpoint_timeout", facts).severity != DBOPS_OK)
		return 15 * SECS_PER_MINUTE;
	return dbops_setting_figure(facts, "checkpoint_timeout") / 1000;
}

/* ---- max_wal_size ---- */

/* Checkpoints are to come when it is time, and not when the room is filled. */
static SettingVerdict
judge_max(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		for_room = forced(now, facts);
	double		timed;
	double		requested;
	const char *seen;

	count(facts, &timed, &requested);
	seen = psprintf("of %s, %.0f came when it was time and %.0f before, at most %.0f of these for want of room",
					dbops_figure_count(timed + requested, "checkpoint", "checkpoints"), timed, requested, for_room);
	if (for_room + timed >= LEAST && for_room > timed && now < MOST_WAL)
		return prefer_max(DBOPS_WARNING, setting, enough(now, timed, facts), facts, seen);
	if (for_room + timed >= LEAST || now >= GB)
		return dbops_setting_agree(seen);
	return prefer_max(DBOPS_INFO, setting, 4 * GB, facts, psprintf("%s, which is too few to tell; less than 1 GB is seldom enough", seen));
}

/* No less than the guides', and so much that by what was seen most would have come in time, in the busiest hour too. */
static double
enough(double now, double timed, const SettingFacts *facts)
{
	double		wanted = Max(4 * GB, ceil(Max(now, in_busiest_hour(facts)) / GB) * GB);

	while (wanted < MOST_WAL && forced(wanted, facts) > timed)
		wanted += GB;
	return Min(wanted, MOST_WAL);
}

/* What holds the WAL between two checkpoints then. */
static double
in_busiest_hour(const SettingFacts *facts)
{
	double		most = 0;
	ListCell   *cell;

	foreach(cell, facts->history.hours)
		most = Max(most, ((const SettingHour *) lfirst(cell))->wal);
	return most / SECS_PER_HOUR * timeout_wanted(facts) * (1 + dbops_setting_figure(facts, "checkpoint_completion_target"));
}

/* How many checkpoints there can have been at most for want of room, with so much of it. */
static double
forced(double max_size, const SettingFacts *facts)
{
	double		all = 0;
	ListCell   *cell;

	if (!is_watched(facts))
		return Min(facts->checkpoints_requested, floor(facts->wal_counted / room(max_size, facts)));
	foreach(cell, facts->history.hours)
	{
		const SettingHour *hour = lfirst(cell);

		all += Min(hour->requested, floor(hour->wal / room(max_size, facts)));
	}
	return all;
}

/* As the server reckons, WAL of a checkpoint and of what is still being written of the one before. */
static double
room(double max_size, const SettingFacts *facts)
{
	return max_size / (1 + dbops_setting_figure(facts, "checkpoint_completion_target"));
}

static void
count(const SettingFacts *facts, double *timed, double *requested)
{
	ListCell   *cell;

	*timed = is_watched(facts) ? 0 : facts->checkpoints_timed;
	*requested = is_watched(facts) ? 0 : facts->checkpoints_requested;
	if (!is_watched(facts))
		return;
	foreach(cell, facts->history.hours)
	{
		const SettingHour *hour = lfirst(cell);

		*timed += hour->timed;
		*requested += hour->requested;
	}
}

/* More than half of what is free is not for WAL. */
static SettingVerdict
prefer_max(DbopsSeverity severity, const char *setting, double wanted, const SettingFacts *facts, const char *why)
{
	SettingVerdict verdict = dbops_setting_prefer(severity, setting, wanted, why);

	if (isnan(facts->wal_room) || wanted - dbops_setting_figure(facts, setting) <= facts->wal_room / 2)
		return verdict;
	verdict.why = psprintf("%s; where WAL is, only %s are free", why, dbops_figure_bytes(facts->wal_room));
	verdict.instead = "Give WAL a larger disk first, or make room on this one.";
	return verdict;
}

/* ---- min_wal_size ---- */

static SettingVerdict
judge_min(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		rate = wal_rate(facts);

	if (now >= GB)
		return dbops_setting_agree("files of WAL are kept to be used again");
	if (rate * timeout_wanted(facts) < now)
		return dbops_setting_agree(psprintf("it holds what is written between two checkpoints, at %s of WAL a second", dbops_figure_bytes(rate)));
	return dbops_setting_prefer(DBOPS_INFO, setting, GB, "files of WAL are removed in quiet times, and made anew when it is busy");
}

/* ---- what was seen ---- */

/* Have samples been taken for long enough to go by them, and not by what was counted since nobody knows when? */
static bool
is_watched(const SettingFacts *facts)
{
	return facts->history.time >= SECS_PER_HOUR * 0.9;
}

/* Bytes a second; where that is of less than an hour, infinitely many. */
static double
wal_rate(const SettingFacts *facts)
{
	if (is_watched(facts))
		return facts->history.wal / facts->history.time;
	return facts->wal_time < SECS_PER_HOUR ? INFINITY : facts->wal_counted / facts->wal_time;
}
