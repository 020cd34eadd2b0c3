/*
 * review_settings.c
 *		review_settings(): the server's settings against the machine and the work.
 *
 * Every setting that the guides give a figure for is judged, and said to be right
 * where it is. What is recommended is no more than that: each says why.
 */
#include "advise/setting_review.h"

#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_review_settings);

static void put(ReturnSetInfo *result, const DbopsFinding *finding);
static Datum text_or_null(const char *text, bool *isnull);

static const DbopsRule rules[] = {
	{
		.name = "settings.memory",
		.severity = DBOPS_INFO,
		.about = "shares of memory, against what the server may use",
		.source = "guides 001 and 003, pgtune",
		.judge = dbops_setting_judge_memory
	},
	{
		.name = "settings.wal",
		.severity = DBOPS_INFO,
		.about = "WAL and checkpoints, by the checkpoints that there were",
		.source = "guides 001 and 003, pgtune",
		.judge = dbops_setting_judge_wal
	},
	{
		.name = "settings.planner",
		.severity = DBOPS_INFO,
		.about = "costs and statistics, by the disk",
		.source = "guides 001 and 003, pgtune",
		.judge = dbops_setting_judge_planner
	},
	{
		.name = "settings.connections",
		.severity = DBOPS_INFO,
		.about = "how many sessions may be, were, and can work",
		.source = "guides 001 and 002",
		.judge = dbops_setting_judge_connections
	},
	{
		.name = "settings.timeouts",
		.severity = DBOPS_INFO,
		.about = "what ends by itself, and what never does",
		.source = "the advisor of RDS, PostgreSQL's manual",
		.judge = dbops_setting_judge_timeouts
	},
	{
		.name = "settings.logging",
		.severity = DBOPS_INFO,
		.about = "what the log tells afterwards",
		.source = "guide 001, pgBadger",
		.judge = dbops_setting_judge_logging
	},
	{
		.name = "settings.autovacuum",
		.severity = DBOPS_INFO,
		.about = "autovacuum, by the largest table",
		.source = "guide 001, postgres-checkup",
		.judge = dbops_setting_judge_autovacuum
	},
	{
		.name = "settings.replication",
		.severity = DBOPS_INFO,
		.about = "replication, by the standbys and slots that there are",
		.source = "guide 001",
		.judge = dbops_setting_judge_replication
	},
	{
		.name = "settings.awaits_restart",
		.severity = DBOPS_WARNING,
		.about = "settings that were changed and wait for a restart",
		.source = "check_pgactivity, pgmonitor",
		.judge = dbops_setting_judge_pending
	},
	{
		.name = "settings.not_reloaded",
		.severity = DBOPS_WARNING,
		.about = "settings that were changed in their file, which was never read again",
		.source = "PostgreSQL's manual",
		.judge = dbops_setting_judge_unread
	}
};

const DbopsRuleSet dbops_setting_rules = {.review = "settings", .rules = rules, .n_rules = lengthof(rules)};

/* review_settings(rules text[]) → setof record: a finding, with what is, what should be and who says so */
Datum
dbops_review_settings(PG_FUNCTION_ARGS)
{
	return dbops_review_answer(fcinfo, "settings", put);
}

static void
put(ReturnSetInfo *result, const DbopsFinding *finding)
{
	Datum		values[10];
	bool		nulls[10] = {0};

	values[0] = CStringGetTextDatum(finding->check_name);
	values[1] = CStringGetTextDatum(dbops_severity_name(finding->severity));
	values[2] = text_or_null(finding->object, &nulls[2]);
	values[3] = text_or_null(finding->message, &nulls[3]);
	values[4] = text_or_null(finding->remedy, &nulls[4]);
	values[5] = CStringGetTextDatum(finding->key);
	values[6] = JsonbPGetDatum(finding->data);
	values[7] = text_or_null(dbops_jsonb_text(finding->data, "current"), &nulls[7]);
	values[8] = text_or_null(dbops_jsonb_text(finding->data, "recommended"), &nulls[8]);
	values[9] = text_or_null(dbops_jsonb_text(finding->data, "figure_source"), &nulls[9]);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = (text == NULL);
	return *isnull ? (Datum) 0 : CStringGetTextDatum(text);
}
