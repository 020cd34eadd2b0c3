/*
 * setting_replication.c
 *		Replication, judged by the standbys and slots that there are.
 */
#include "advise/setting_review.h"

static SettingVerdict judge_level(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_senders(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_keep(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_hot(const char *setting, const SettingFacts *facts);

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
	if (!dbops_setting_is(setting, "minimal"))
		return dbops_setting_agree(dbops_setting_is(setting, "logical") ? "it has what the guide's replica has, and logical decoding" :
								   "there can be standbys, and backups of the running server");
	return dbops_setting_prefer_text(DBOPS_WARNING, "replica", "there can be neither standbys nor backups of the running server");
}

static SettingVerdict
judge_senders(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);

	if (now >= facts->standbys + 2 && now >= 3)
		return dbops_setting_agree(psprintf("%.0f are in use, and one more backup finds room", facts->standbys));
	return dbops_setting_prefer(DBOPS_WARNING, setting, Max(10, facts->standbys * 2), psprintf("%.0f are in use: the next backup or standby finds no room", facts->standbys));
}

/* A slot keeps what its standby needs, and no more. */
static SettingVerdict
judge_keep(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(setting);
	double		hour = ceil(Max(facts->wal_rate * 3600, GB) / GB) * GB;

	if (facts->standbys_without_slot > 0)
		return now >= hour ? dbops_setting_agree(psprintf("%.0f standbys have no slot, and an hour of WAL is %s", facts->standbys_without_slot, dbops_figure_bytes(facts->wal_rate * 3600))) :
			dbops_setting_prefer(DBOPS_WARNING, setting, hour, psprintf("%.0f standbys have no slot: one that is away for an hour does not find the WAL that it needs", facts->standbys_without_slot));
	if (now <= GB)
		return dbops_setting_agree(facts->slots > 0 ? "not the guide's 10GB, since slots keep what standbys need, and no more" :
								   "not the guide's 10GB, since there is no standby that needs it");
	return dbops_setting_prefer(DBOPS_INFO, setting, 0, facts->slots > 0 ? "slots keep what standbys need: this is kept from the disk besides" :
								"there is no standby that needs it, and it is kept from the disk");
}

static SettingVerdict
judge_hot(const char *setting, const SettingFacts *facts)
{
	if (dbops_setting_is(setting, "on"))
		return dbops_setting_agree("this server, as a standby, can be asked");
	return dbops_setting_prefer_text(DBOPS_INFO, "on", "this server, as a standby, could be neither asked nor watched");
}
