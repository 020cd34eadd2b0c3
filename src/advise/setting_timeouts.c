/*
 * setting_timeouts.c
 *		What ends by itself: transactions that nobody goes on with, statements, waits.
 *
 * A limit of statements for the whole server ends its own dumps and rebuilds too:
 * it belongs to the roles of applications, and how long it is, they know.
 */
#include "advise/setting_review.h"

#define OWN \
	"SELECT count(*)::text FROM pg_db_role_setting s WHERE EXISTS (SELECT FROM unnest(s.setconfig) c WHERE starts_with(c, $1 || '='))"

static SettingVerdict judge_idle(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_session(const char *setting, const SettingFacts *facts);
static SettingVerdict judge_limit(const char *setting, const SettingFacts *facts);
static SettingVerdict for_roles(const char *setting, const SettingFacts *facts, const char *why, const char *whose);
static SettingVerdict judge_keepalive(const char *setting, const SettingFacts *facts);

static const SettingAdvice advice[] = {
	{"idle_in_transaction_session_timeout", NULL, NULL, judge_idle, "the advisor of RDS"},
	{"idle_session_timeout", NULL, NULL, judge_session, "PostgreSQL's manual"},
	{"statement_timeout", NULL, NULL, judge_limit, "PostgreSQL's manual"},
	{"lock_timeout", NULL, NULL, judge_limit, "PostgreSQL's manual"},
	{"tcp_keepalives_idle", NULL, NULL, judge_keepalive, "PostgreSQL's manual"}
};

void
dbops_setting_judge_timeouts(DbopsReview *review)
{
	dbops_setting_advise(review, advice, lengthof(advice));
}

static SettingVerdict
judge_idle(const char *setting, const SettingFacts *facts)
{
	if (dbops_setting_figure(facts, setting) > 0)
		return dbops_setting_agree("a client that has gone quiet in a transaction does not keep its locks for ever");
	return dbops_setting_prefer(DBOPS_INFO, setting, 30 * 60000.0, "a client that has gone quiet in a transaction keeps its locks, and dead rows, for ever");
}

static SettingVerdict
judge_session(const char *setting, const SettingFacts *facts)
{
	if (dbops_setting_figure(facts, setting) == 0)
		return dbops_setting_agree("sessions without a transaction hold nothing, and those of a pool are meant to stay");
	return for_roles(setting, facts, "it ends the sessions of pools too, which find out with their next statement", "people");
}

static SettingVerdict
judge_limit(const char *setting, const SettingFacts *facts)
{
	DbopsParam	name = dbops_param_text(setting);
	const char *own = psprintf("%s roles or databases have a limit of their own", dbops_store_text(OWN, 1, &name));

	if (dbops_setting_figure(facts, setting) == 0)
		return dbops_setting_agree(psprintf("the server sets no limit, which would end its own dumps and index builds too; %s, as roles of applications should, by ALTER ROLE", own));
	return for_roles(setting, facts, psprintf("it ends dumps, index builds and migrations too; %s", own), "applications");
}

/* Nobody's limit is taken away before those who need it have theirs. */
static SettingVerdict
for_roles(const char *setting, const SettingFacts *facts, const char *why, const char *whose)
{
	SettingVerdict verdict = dbops_setting_prefer(DBOPS_INFO, setting, 0, why);

	verdict.instead = psprintf("Give it to the roles of %s, by ALTER ROLE ... SET %s = '%s', and then take it from the server, by ALTER SYSTEM SET %s = 0.",
							   whose, setting, dbops_setting_shown(facts, setting), setting);
	return verdict;
}

/* 0 is the kernel's own. */
static SettingVerdict
judge_keepalive(const char *setting, const SettingFacts *facts)
{
	double		now = dbops_setting_figure(facts, setting);

	if (now <= 0)
		return dbops_setting_agree("a client whose machine is gone is asked after as long as the kernel says, which is two hours on Linux unless it was changed; less is worth it where firewalls forget connections");
	if (now <= 2 * 3600000.0)
		return dbops_setting_agree("a client whose machine is gone is asked after in time");
	return dbops_setting_prefer(DBOPS_INFO, setting, 0, "the session of a client whose machine is gone stays for longer than the kernel would keep it");
}
