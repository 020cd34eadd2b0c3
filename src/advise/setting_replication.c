/*
 * setting_replication.c
 *		Replication, judged by the standbys and slots that there are, or were of late,
 *		or should be.
 *
 * A backup sends WAL as well, and is no standby; one that is away now is still one.
 */
#include "advise/setting_review.h"

#include "utils/timestamp.h"

#define LEAST_SENDERS	3
#define ENOUGH_TIME		(7 * SECS_PER_DAY * 0.9)	/* to say that there is no standby */

static SettingVerdict judge_level(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_senders(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_keep(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_hot(const char *setting, const SettingFacts *facts);
static double receivers(const SettingFacts *facts);
static double without_slot(const SettingFacts *facts);

static const SettingAdvice advice[] = {
	{"wal_level", "replica", NULL, judge_level, "guide 001, PostgreSQL's default"},
	{"max_wal_senders", "10", NULL, judge_senders, "guide 001, PostgreSQL's default"},
	{"wal_keep_size", "10GB", NULL, judge_keep, "guide 001; PostgreSQL's manual on slots"},
	{"hot_standby", "on", NULL, judge_hot, "guide 001, PostgreSQL's default"}
};

void
dbops_setting_judge_replication(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

static SettingVerdict
judge_level(const char *setting, const SettingFacts *facts)
{
	if (!dbops_setting_is(facts, setting, "minimal"))
		return dbops_setting_agree(dbops_setting_is(facts, setting, "logical") ? "it has what the guide's replica has, and logical decoding" :
								   "there can be standbys, and backups of the running server");
	return dbops_setting_prefer_text(DBOPS_WARNING, "replica", "there can be neither standbys nor backups of the running server");
}

/* With any, a server that writes too little WAL for them does not start. */
static SettingVerdict
judge_senders(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	const char *used = psprintf("%.0f are in use or will be", receivers(facts));
	SettingVerdict verdict;

	if (now >= receivers(facts) + 2 && now >= LEAST_SENDERS)
		return dbops_setting_agree(psprintf("%s, and one more backup finds room", used));
	verdict = dbops_setting_prefer(DBOPS_WARNING, setting, Max(Max(10, receivers(facts) * 2), dbops_setting_least_here(setting)),
								   psprintf("%s: the next backup or standby finds no room", used));
	if (dbops_setting_is(facts, "wal_level", "minimal"))
	{
		verdict.first = "wal_level";
		verdict.first_value = "replica";
	}
	return verdict;
}

/* A slot keeps what its standby needs, and no more. */
static SettingVerdict
judge_keep(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);
	double		rate = facts->history.time > 0 ? facts->history.wal / Max(facts->history.time, SECS_PER_HOUR) : facts->wal_counted / Max(facts->wal_time, SECS_PER_HOUR);
	double		hour = ceil(Max(rate * SECS_PER_HOUR, GB) / GB) * GB;
	const char *standbys = dbops_figure_count(without_slot(facts), "standby has", "standbys have");

	if (without_slot(facts) > 0)
		return now >= hour / 2 ? dbops_setting_agree(psprintf("%s no slot, and an hour of WAL is %s", standbys, dbops_figure_bytes(rate * SECS_PER_HOUR))) :
			dbops_setting_prefer(DBOPS_WARNING, setting, hour, psprintf("%s no slot: one that is away for an hour does not find the WAL that it needs", standbys));
	if (now <= GB)
		return dbops_setting_agree(facts->slots > 0 ? "not the guide's 10GB, since slots keep what standbys need, and no more" :
								   "not the guide's 10GB, since no standby without a slot is known of");
	if (facts->slots > 0)
		return dbops_setting_prefer(DBOPS_INFO, setting, 0, "slots keep what standbys need: this is kept from the disk besides");
	if (facts->history.time < ENOUGH_TIME)
		return dbops_setting_agree("no standby that needs it is known of, and it has not been watched for a week whether one comes back");
	return dbops_setting_prefer(DBOPS_INFO, setting, 0, "no standby has been seen for a week, and it is kept from the disk");
}

static SettingVerdict
judge_hot(const char *setting, const SettingFacts *facts)
{
	if (dbops_setting_is(facts, setting, "on"))
		return dbops_setting_agree("this server, as a standby, can be asked");
	return dbops_setting_prefer_text(DBOPS_INFO, "on", "this server, as a standby, could be neither asked nor watched");
}

/* Who is sent WAL, or is to be when it comes back. */
static double
receivers(const SettingFacts *facts)
{
	return Max(Max(facts->senders, facts->slots + facts->unslotted), Max(facts->history.standbys, facts->expected));
}

/* Standbys that find their WAL only as long as this setting keeps it. */
static double
without_slot(const SettingFacts *facts)
{
	return Max(facts->unslotted, Max(facts->history.standbys, facts->expected) - facts->slots);
}
