/*
 * ddl_guard_tell.c
 *		dbops.ddl_guard: warn of what is dangerous, or refuse what is critical.
 *
 * What could not be judged is said and let pass: this keeps people from mistakes
 * and is no lock on a door, for which there are privileges. Only where somebody
 * has locked what it is about, it is refused with enforce: it would wait for the
 * lock anyway, and can be judged when that is free.
 */
#include "change/ddl_guard.h"

#include "core/server.h"

#include "tcop/utility.h"

static void tell_unjudged(const GuardedStatement *guarded, const ErrorData *error);
static bool is_critical(const List *findings);
static void warn(const GuardedStatement *guarded, const LintFinding *finding);
static void refuse(const GuardedStatement *guarded, const List *findings);
static char *rules_of(const List *findings);
static char *all_of(const List *findings);
static char *instead_of(const List *findings);
static char *mutes_of(const List *findings);
static const char *describe(const LintFinding *finding);

/* Judge a statement, and say what is found; throws where that is to stop it. */
void
dbops_guard_tell(const GuardedStatement *guarded)
{
	ErrorData  *error = NULL;
	List	   *findings = dbops_guard_judge(guarded, &error);
	ListCell   *cell;

	if (error != NULL)
		tell_unjudged(guarded, error);
	if (dbops_ddl_guard == DBOPS_GUARD_ENFORCE && is_critical(findings))
		refuse(guarded, findings);
	foreach(cell, findings)
		warn(guarded, lfirst(cell));
}

static void
tell_unjudged(const GuardedStatement *guarded, const ErrorData *error)
{
	if (dbops_ddl_guard == DBOPS_GUARD_ENFORCE && error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("%s cannot be judged by dbops.ddl_guard, as somebody has locked what it is about", guarded->command),
				 errhint("Try again when that is free: dbops.blockers() says who has it.")));
	ereport(WARNING,
			(errcode(error->sqlerrcode),
			 errmsg("%s could not be judged before it is run: %s", guarded->command, error->message),
			 errdetail("It is let pass by dbops.ddl_guard.")));
}

static bool
is_critical(const List *findings)
{
	ListCell   *cell;

	foreach(cell, findings)
		if (((const LintFinding *) lfirst(cell))->severity == DBOPS_CRITICAL)
			return true;
	return false;
}

static void
warn(const GuardedStatement *guarded, const LintFinding *finding)
{
	ereport(WARNING,
			(errmsg("%s: %s by rule %s", guarded->command, dbops_severity_name(finding->severity), finding->rule->name),
			 errdetail_internal("%s", describe(finding)),
			 finding->safer != NULL ? errhint("Safer: %s", finding->safer) : 0));
}

static void
refuse(const GuardedStatement *guarded, const List *findings)
{
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("%s is refused by dbops.ddl_guard, as it is critical here: %s", guarded->command, rules_of(findings)),
			 errdetail_internal("%s", all_of(findings)),
			 errhint("Instead:\n%s\nTo let it pass, an admin may mute what was found, or a superuser name a role in dbops.guard_exempt_roles:\n%s",
					 instead_of(findings), mutes_of(findings))));
}

/* The names of those that are critical, each once. */
static char *
rules_of(const List *findings)
{
	StringInfoData text;
	List	   *told = NIL;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, findings)
	{
		const LintFinding *finding = lfirst(cell);

		if (finding->severity != DBOPS_CRITICAL || dbops_texts_have(told, finding->rule->name))
			continue;
		told = lappend(told, unconstify(char *, finding->rule->name));
		appendStringInfo(&text, "%s%s", text.len > 0 ? ", " : "", finding->rule->name);
	}
	return text.data;
}

static char *
all_of(const List *findings)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, findings)
	{
		const LintFinding *finding = lfirst(cell);

		appendStringInfo(&text, "%s%s: %s: %s", text.len > 0 ? "\n" : "",
						 dbops_severity_name(finding->severity), finding->rule->name, describe(finding));
	}
	return text.data;
}

/* The safer ways, each once. */
static char *
instead_of(const List *findings)
{
	StringInfoData text;
	List	   *told = NIL;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, findings)
	{
		const LintFinding *finding = lfirst(cell);

		if (finding->safer == NULL || dbops_texts_have(told, finding->safer))
			continue;
		told = lappend(told, unconstify(char *, finding->safer));
		appendStringInfo(&text, "%s%s", text.len > 0 ? "\n" : "", finding->safer);
	}
	return text.data;
}

/* For a time that is enough to run it. */
static char *
mutes_of(const List *findings)
{
	StringInfoData text;
	ListCell   *cell;

	initStringInfo(&text);
	foreach(cell, findings)
	{
		const LintFinding *finding = lfirst(cell);

		if (finding->severity == DBOPS_CRITICAL)
			appendStringInfo(&text, "%sSELECT dbops.mute_finding(%s, 'why', now() + interval '1 hour');",
							 text.len > 0 ? "\n" : "", dbops_quote_text(finding->key));
	}
	return text.data;
}

/* What it is about, how large that is, and why. */
static const char *
describe(const LintFinding *finding)
{
	if (finding->object == NULL)
		return finding->why;
	if (finding->bytes < 0)
		return psprintf("%s: %s", finding->object, finding->why);
	return psprintf("%s (%s): %s", finding->object, dbops_figure_bytes(finding->bytes), finding->why);
}
