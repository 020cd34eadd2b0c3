/*
 * setting_advice.c
 *		What the review says of one setting: what it is, what it should be, why, and
 *		the lines that make it so.
 *
 * Each remedy can be followed alone, in any order with the others, and the server
 * starts afterwards: what needs another setting first brings that along. Its lines
 * are statements of their own, since ALTER SYSTEM runs in no transaction.
 */
#include "advise/setting_review.h"

#include "utils/builtins.h"

static const char *why(const char *setting, const SettingVerdict *verdict);
static const char *remedy_for(const char *setting, const SettingFacts *facts, const SettingVerdict *verdict);
static const char *assignments(const char *setting, const SettingVerdict *verdict);
static const char *line(const char *setting, const char *value);
static const char *guides(const SettingAdvice *advice);

/* Judge each of some settings, those that are as they should be too. */
void
dbops_setting_advise(DbopsReview *review, const SettingAdvice *advice, int n)
{
	const SettingFacts *facts = dbops_setting_facts(review);

	for (int i = 0; i < n; i++)
	{
		const char *setting = advice[i].setting;
		SettingVerdict verdict = advice[i].judge(setting, facts);
		const char *remedy = NULL;

		if (verdict.recommended != NULL)
		{
			dbops_setting_mind_standbys(setting, facts, &verdict);
			remedy = remedy_for(setting, facts, &verdict);
			verdict.why = why(setting, &verdict);
		}
		dbops_setting_report(review, setting, dbops_setting_shown(facts, setting), guides(&advice[i]), advice[i].source, remedy, &verdict);
	}
}

/* What is done with a remedy besides running it. */
static const char *
why(const char *setting, const SettingVerdict *verdict)
{
	if (verdict->instead == NULL && dbops_setting_needs_restart(setting))
		return psprintf("%s; the server has to be restarted for it", verdict->why);
	return verdict->why;
}

static const char *
remedy_for(const char *setting, const SettingFacts *facts, const SettingVerdict *verdict)
{
	bool		restart = dbops_setting_needs_restart(setting);

	if (dbops_setting_is_of_command_line(setting))
		return psprintf("It was given when the server was started, which counts more than the files: give %s = %s there, and restart the server.",
						setting, quote_literal_cstr(verdict->recommended));
	if (verdict->instead != NULL)
		return verdict->instead;
	if (dbops_setting_is(facts, "allow_alter_system", "off"))
		return psprintf("This server is configured from outside, since allow_alter_system is off: set %s there, and %s the server.",
						assignments(setting, verdict), restart ? "restart" : "reload");
	return psprintf("%s%s%s", verdict->first == NULL ? "" : psprintf("%s\n", line(verdict->first, verdict->first_value)),
					line(setting, verdict->recommended), restart ? "" : "\nSELECT pg_reload_conf();");
}

/* As the configuration file has them, in the order that is needed. */
static const char *
assignments(const char *setting, const SettingVerdict *verdict)
{
	return psprintf("%s%s = %s", verdict->first == NULL ? "" : psprintf("%s = %s and ", verdict->first, quote_literal_cstr(verdict->first_value)),
					setting, quote_literal_cstr(verdict->recommended));
}

static const char *
line(const char *setting, const char *value)
{
	return psprintf("ALTER SYSTEM SET %s = %s;", setting, quote_literal_cstr(value));
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
	return (SettingVerdict) {.severity = DBOPS_OK,.why = why};
}

SettingVerdict
dbops_setting_unknown(const char *why)
{
	return (SettingVerdict) {.severity = DBOPS_UNKNOWN,.why = why};
}

/* A number should be another one. */
SettingVerdict
dbops_setting_prefer(DbopsSeverity severity, const char *setting, double figure, const char *why)
{
	return (SettingVerdict) {.severity = severity,.recommended = dbops_setting_write(setting, figure),.why = why};
}

SettingVerdict
dbops_setting_prefer_text(DbopsSeverity severity, const char *value, const char *why)
{
	return (SettingVerdict) {.severity = severity,.recommended = value,.why = why};
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
