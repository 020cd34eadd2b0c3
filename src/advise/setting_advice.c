/*
 * setting_advice.c
 *		What the review says of one setting: what it is, what it should be, why, and
 *		the line that makes it so.
 */
#include "advise/setting_review.h"

#include "utils/builtins.h"

static const char *remedy_for(const char *setting, const char *value);
static const char *guides(const SettingAdvice *advice);

/* Judge each of some settings, those that are as they should be too. */
void
dbops_setting_advise(DbopsReview *review, const SettingAdvice *advice, int n)
{
	const SettingFacts *facts = dbops_setting_facts(review);

	for (int i = 0; i < n; i++)
	{
		SettingVerdict verdict = advice[i].judge(advice[i].setting, facts);
		const char *current = dbops_setting_shown(advice[i].setting);
		const char *remedy = NULL;

		if (verdict.severity != DBOPS_OK && verdict.recommended != NULL)
			remedy = remedy_for(advice[i].setting, verdict.recommended);
		dbops_setting_report(review, advice[i].setting, current, guides(&advice[i]), advice[i].source, remedy, &verdict);
	}
}

static const char *
remedy_for(const char *setting, const char *value)
{
	return psprintf(dbops_setting_needs_restart(setting) ? "ALTER SYSTEM SET %s = %s; -- and restart the server" :
					"ALTER SYSTEM SET %s = %s; SELECT pg_reload_conf();",
					setting, quote_literal_cstr(value));
}

/* What the guides have. */
static const char *
guides(const SettingAdvice *advice)
{
	if (advice->guide_003 == NULL)
		return advice->guide_001 == NULL ? NULL : psprintf("001: %s", advice->guide_001);
	return psprintf("001: %s, 003: %s", advice->guide_001, advice->guide_003);
}

/* ---- verdicts ---- */

/* It is as it should be. */
SettingVerdict
dbops_setting_agree(const char *why)
{
	return (SettingVerdict) {.severity = DBOPS_OK, .why = why};
}

/* A number should be another one. */
SettingVerdict
dbops_setting_prefer(DbopsSeverity severity, const char *setting, double figure, const char *why)
{
	return (SettingVerdict) {.severity = severity, .recommended = dbops_setting_write(setting, figure), .why = why};
}

SettingVerdict
dbops_setting_prefer_text(DbopsSeverity severity, const char *value, const char *why)
{
	return (SettingVerdict) {.severity = severity, .recommended = value, .why = why};
}

/* Say it. */
void
dbops_setting_report(DbopsReview *review, const char *object, const char *current, const char *guide,
					 const char *source, const char *remedy, const SettingVerdict *verdict)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "current", current);
	dbops_json_text(&json, "recommended", verdict->recommended == NULL ? current : verdict->recommended);
	if (guide != NULL)
		dbops_json_text(&json, "guides", guide);
	dbops_json_text(&json, "figure_source", source);
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = verdict->severity,
							.object = object,
							.message = verdict->why,
							.remedy = remedy,
							.data = dbops_json_finish(&json)
						});
}
