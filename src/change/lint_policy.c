/*
 * lint_policy.c
 *		Rules of row level security: whom it hides rows from, or shows them to.
 *
 * Where it is on and no policy permits anything, everybody but the owner sees a
 * table without rows; no error tells them.
 */
#include "change/lint.h"

#include "catalog/pg_type.h"

enum
{
	MISSING,
	FORCED,
	DISABLED,
	CHANGED
};

static const DbopsRule rules[] = {
	[MISSING] = {
		.name = "policy.missing", .severity = DBOPS_CRITICAL,
		.about = "row level security that is turned on without a policy: all but the owner see no rows",
		.source = "PostgreSQL: row security policies"
	},
	[FORCED] = {
		.name = "policy.forced", .severity = DBOPS_WARNING,
		.about = "row level security that is forced upon the owner too, whose code and jobs see fewer rows from then on",
		.source = "PostgreSQL: ALTER TABLE, FORCE ROW LEVEL SECURITY"
	},
	[DISABLED] = {
		.name = "policy.disabled", .severity = DBOPS_WARNING,
		.about = "row level security that is turned off: whoever may read the table sees all rows",
		.source = "PostgreSQL: ALTER TABLE, DISABLE ROW LEVEL SECURITY"
	},
	[CHANGED] = {
		.name = "policy.changed", .severity = DBOPS_WARNING,
		.about = "policies that are altered, dropped or made to restrict: code that runs sees other rows",
		.source = "pg-schema-diff: AUTHZ_UPDATE"
	}
};

const DbopsRuleSet dbops_lint_policy_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_drop(Lint *lint, const DropStmt *statement);
static void report_changed(Lint *lint, LintTable *table, const char *policy, const char *why);
static void report_missing(Lint *lint, LintTable *table);
static void judge_secured(Lint *lint, LintTable *table);
static bool has_policy(const LintTable *table);
static bool is_secured(const LintTable *table);

/* Judge what a statement does to policies. */
void
dbops_lint_judge_policies(Lint *lint, Node *statement)
{
	const CreatePolicyStmt *create = (const CreatePolicyStmt *) statement;
	const AlterPolicyStmt *alter = (const AlterPolicyStmt *) statement;

	switch (nodeTag(statement))
	{
		case T_CreatePolicyStmt:
			if (!create->permissive)
				report_changed(lint, dbops_lint_find(lint, create->table), create->policy_name, "it hides rows that code which runs sees now");
			break;
		case T_AlterPolicyStmt:
			report_changed(lint, dbops_lint_find(lint, alter->table), alter->policy_name, "code that runs sees other rows from the commit on");
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_POLICY)
				judge_drop(lint, (DropStmt *) statement);
			break;
		default:
			dbops_lint_each_command(lint, statement, judge_command);
	}
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_ForceRowSecurity)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[FORCED], .weight = LINT_BREAK, .table = table,
			.why = "its owner sees and writes only what policies permit from now on, which migrations, jobs and foreign keys' actions run as",
			.safer = "See that a policy permits the owner what it does."
		});
	else if (command->subtype == AT_DisableRowSecurity && is_secured(table))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DISABLED], .weight = LINT_BREAK, .table = table,
			.why = "whoever may read the table sees all of its rows from now on",
			.safer = "First REVOKE what is not meant for everybody who may read it."
		});
	else if (command->subtype == AT_EnableRowSecurity && list_length(lint->text->statements) == 1 && !has_policy(table))
	{
		report_missing(lint, table);
		table->told_policy = true;
	}
}

/* Where the text goes on, its policies may follow. */
static void
report_missing(Lint *lint, LintTable *table)
{
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[MISSING], .weight = LINT_BREAK, .table = table,
		.why = table->policy_in > 0 ? "the policy follows in another transaction: until then all but the owner see no rows" :
		"no policy permits anything: all but the owner see no rows",
		.safer = "First CREATE POLICY, in the same transaction."
	});
}

static void
judge_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		List	   *name = lfirst_node(List, cell);

		report_changed(lint, dbops_lint_find_list(lint, list_truncate(list_copy(name), list_length(name) - 1)), strVal(llast(name)),
					   "code that runs sees other rows from the commit on; none, if no other policy permits any");
	}
}

/* Where row security is off, policies do nothing. */
static void
report_changed(Lint *lint, LintTable *table, const char *policy, const char *why)
{
	if (table != NULL && is_secured(table))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[CHANGED], .weight = LINT_BREAK, .table = table, .part = policy,
			.why = why,
			.safer = "Make the new policy in the transaction that takes the old one away, and try it as a role that it is for."
		});
}

/* ---- at the end of the text ---- */

/* Judge what has been secured, when it is known which policies the text makes. */
void
dbops_lint_judge_policies_at_end(Lint *lint)
{
	dbops_lint_each_table(lint, judge_secured);
}

static void
judge_secured(Lint *lint, LintTable *table)
{
	if (table->gone || table->secured == NULL || table->told_policy ||
		(table->policy_in > 0 && table->policy_in <= table->secured_in) || has_policy(table))
		return;
	lint->statement = table->secured;
	report_missing(lint, table);
	lint->statement = NULL;
}

/* One that permits, and that the text leaves. */
static bool
has_policy(const LintTable *table)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_texts(table->gone_parts)};
	Datum		found;

	return OidIsValid(table->relid) &&
		dbops_query_value("SELECT true FROM pg_policy WHERE polrelid = $1 AND polpermissive AND 'policy ' || polname <> ALL ($2) LIMIT 1",
						  lengthof(params), params, BOOLOID, &found);
}

static bool
is_secured(const LintTable *table)
{
	DbopsParam	relid = dbops_param_oid(table->relid);
	Datum		found;

	return table->secured != NULL ||
		(OidIsValid(table->relid) &&
		 dbops_query_value("SELECT true FROM pg_class WHERE oid = $1 AND relrowsecurity", 1, &relid, BOOLOID, &found));
}
