/*
 * nagios.c
 *		nagios(): one check as the line that plugins of Nagios and its heirs print.
 *
 * The first word is the state, which the caller turns into an exit code; behind
 * the bar stand the values of all objects with their thresholds, in the form
 * that graphs are drawn from. What was found about further objects follows, a
 * line each.
 */
#include "observe/verdict.h"

#include "lib/stringinfo.h"
#include "utils/builtins.h"

#define MOST_OBJECTS	50		/* of a check that are told, the gravest first */

PG_FUNCTION_INFO_V1(dbops_nagios);

static List *findings_of(const DbopsCheck *check);
static bool makes_state(const DbopsFinding *finding);
static const char *state_of(DbopsSeverity severity);
static void put_line(StringInfo text, const DbopsFinding *finding, const char *name);
static void put_figures(StringInfo text, const DbopsFinding *finding);
static void put_limit(StringInfo text, const DbopsFinding *finding, const char *key);
static const char *sign_of(const char *unit);
static bool number_of(const Jsonb *data, const char *key, char **number);

/* nagios(check_name text) → text */
Datum
dbops_nagios(PG_FUNCTION_ARGS)
{
	char	   *check_name = dbops_text_argument(fcinfo, 0);
	List	   *findings;
	const DbopsFinding *gravest;
	StringInfoData text;
	StringInfoData figures;

	findings = findings_of(check_name == NULL ? NULL : dbops_check_require(check_name));
	if (findings == NIL)
		PG_RETURN_TEXT_P(cstring_to_text(check_name == NULL ? "OK - no check has found anything" :
										 psprintf("OK - %s is switched off or muted", check_name)));
	initStringInfo(&text);
	initStringInfo(&figures);
	for (int i = 0; i < Min(list_length(findings), MOST_OBJECTS); i++)
		put_figures(&figures, list_nth(findings, i));
	gravest = linitial(findings);
	put_line(&text, gravest, gravest->check_name);
	appendStringInfo(&text, "%s%s", figures.len > 0 ? " |" : "", figures.data);
	for (int i = 1; i < Min(list_length(findings), MOST_OBJECTS); i++)
	{
		const DbopsFinding *finding = list_nth(findings, i);

		appendStringInfoChar(&text, '\n');
		put_line(&text, finding, finding->key);
	}
	PG_RETURN_TEXT_P(cstring_to_text_with_len(text.data, text.len));
}

/* Of one check all, of all checks those that make the state, unless muted. */
static List *
findings_of(const DbopsCheck *check)
{
	List	   *findings = NIL;
	Verdict		verdict;
	ListCell   *cell;

	if (check == NULL)
		dbops_verdict_reach(&verdict, VERDICT_SERVED);
	foreach(cell, check == NULL ? verdict.findings : dbops_verdict_of_check(check))
	{
		const DbopsFinding *finding = lfirst(cell);

		if (finding->muted_until <= dbops_clock_now() && (check != NULL || makes_state(finding)))
			findings = lappend(findings, (void *) finding);
	}
	return findings;
}

/* What is advice does not, nor what need not be known: as in system_health_check(). */
static bool
makes_state(const DbopsFinding *finding)
{
	if (finding->severity == DBOPS_OK || finding->severity == DBOPS_INFO)
		return false;
	if (finding->check == NULL)
		return true;
	return !finding->check->advice && (finding->severity != DBOPS_UNKNOWN || finding->check->required);
}

static const char *
state_of(DbopsSeverity severity)
{
	switch (severity)
	{
		case DBOPS_CRITICAL:
			return "CRITICAL";
		case DBOPS_WARNING:
			return "WARNING";
		case DBOPS_UNKNOWN:
			return "UNKNOWN";
		default:
			return "OK";
	}
}

/* A bar would begin figures, and a line is a line, whatever an object is called. */
static void
put_line(StringInfo text, const DbopsFinding *finding, const char *name)
{
	int			start = text->len;

	appendStringInfo(text, "%s - %s: %s", state_of(finding->severity), name, finding->message);
	for (char *c = text->data + start; *c != '\0'; c++)
		if (*c == '|')
			*c = '_';
		else if (*c == '\n' || *c == '\r')
			*c = ' ';
}

/* 'label'=value[unit];warning;critical; a quote in a label is doubled, an equals sign may not stand there. */
static void
put_figures(StringInfo text, const DbopsFinding *finding)
{
	char	   *value;

	if (finding->check == NULL || !number_of(finding->data, "value", &value))
		return;
	appendStringInfoString(text, " '");
	for (const char *c = finding->key; *c != '\0'; c++)
	{
		if (*c == '\'')
			appendStringInfoString(text, "''");
		else
			appendStringInfoChar(text, (*c == '=' || *c == '|' || *c == '\n' || *c == '\r') ? '_' : *c);
	}
	appendStringInfo(text, "'=%s%s;", value, sign_of(finding->check->threshold.unit));
	put_limit(text, finding, "warning");
	appendStringInfoChar(text, ';');
	put_limit(text, finding, "critical");
}

/* A limit alone means that what is above is bad; with a colon, what is below. */
static void
put_limit(StringInfo text, const DbopsFinding *finding, const char *key)
{
	char	   *limit;

	if (number_of(finding->data, key, &limit))
		appendStringInfo(text, "%s%s", limit, finding->check->threshold.below ? ":" : "");
}

static const char *
sign_of(const char *unit)
{
	if (unit == NULL)
		return "";
	return strcmp(unit, "percent") == 0 ? "%" : strcmp(unit, "s") == 0 ? "s" : strcmp(unit, "bytes") == 0 ? "B" : "";
}

static bool
number_of(const Jsonb *data, const char *key, char **number)
{
	JsonbValue	value;

	if (data == NULL ||
		getKeyJsonValueFromContainer((JsonbContainer *) &data->root, key, strlen(key), &value) == NULL ||
		value.type != jbvNumeric)
		return false;
	*number = DatumGetCString(DirectFunctionCall1(numeric_out, NumericGetDatum(value.val.numeric)));
	return true;
}
