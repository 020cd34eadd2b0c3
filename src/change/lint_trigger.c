/*
 * lint_trigger.c
 *		Rules of triggers of tables that are in use.
 *
 * Their locks are short and keep writers out, or everybody, until they are had.
 * What lasts is what no trigger has looked at: rows that are written while one is
 * off, also while it is one that keeps a foreign key.
 */
#include "change/lint.h"

#include "catalog/pg_type.h"
#include "utils/guc.h"

enum
{
	CREATED,
	DROPPED,
	ENABLED,
	DISABLED,
	FOREIGN_KEYS_OFF
};

#define SHORTLY "SET lock_timeout = '200ms'; -- and try again when it is over, as dbops.apply_migration() does by itself"

static const DbopsRule rules[] = {
	[CREATED] = {
		.name = "trigger.created", .severity = DBOPS_WARNING,
		.about = "CREATE TRIGGER: nobody writes to the table while it waits for its lock, and each writer runs it from then on",
		.source = "postgres-language-server: avoidCreateTrigger"
	},
	[DROPPED] = {
		.name = "trigger.dropped", .severity = DBOPS_WARNING,
		.about = "DROP TRIGGER: nobody reads or writes the table while it waits for its lock",
		.source = "postgres-language-server: banDropTrigger"
	},
	[ENABLED] = {
		.name = "trigger.enabled", .severity = DBOPS_INFO,
		.about = "ENABLE TRIGGER: rows that were written before it was on have not been looked at",
		.source = "postgres-language-server: avoidEnableDisableTrigger"
	},
	[DISABLED] = {
		.name = "trigger.disabled", .severity = DBOPS_WARNING,
		.about = "DISABLE TRIGGER: rows that are written meanwhile are not looked at",
		.source = "postgres-language-server: avoidEnableDisableTrigger"
	},
	[FOREIGN_KEYS_OFF] = {
		.name = "trigger.foreign_keys_off", .severity = DBOPS_CRITICAL,
		.about = "triggers that are turned off together with those that keep foreign keys",
		.source = "PostgreSQL: ALTER TABLE, DISABLE TRIGGER"
	}
};

const DbopsRuleSet dbops_lint_trigger_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_create(Lint *lint, const CreateTrigStmt *statement);
static void judge_drop(Lint *lint, const DropStmt *statement);
static void judge_setting(Lint *lint, const VariableSetStmt *statement);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_disabled(Lint *lint, LintTable *table, const char *trigger);
static bool keeps_foreign_key(const LintTable *table, const char *trigger);

/* Judge what a statement does to triggers. */
void
dbops_lint_judge_triggers(Lint *lint, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CreateTrigStmt:
			judge_create(lint, (CreateTrigStmt *) statement);
			break;
		case T_DropStmt:
			if (((DropStmt *) statement)->removeType == OBJECT_TRIGGER)
				judge_drop(lint, (DropStmt *) statement);
			break;
		case T_VariableSetStmt:
			judge_setting(lint, (VariableSetStmt *) statement);
			break;
		default:
			dbops_lint_each_command(lint, statement, judge_command);
	}
}

static void
judge_create(Lint *lint, const CreateTrigStmt *statement)
{
	LintTable  *table = dbops_lint_find(lint, statement->relation);

	if (table != NULL)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[CREATED], .weight = LINT_LOCK, .table = table, .part = statement->trigname,
			.why = "nobody writes to the table from the moment it waits for its lock, and each writer runs it from then on",
			.safer = SHORTLY
		});
}

static void
judge_drop(Lint *lint, const DropStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->objects)
	{
		List	   *name = lfirst_node(List, cell);
		LintTable  *table = dbops_lint_find_list(lint, list_truncate(list_copy(name), list_length(name) - 1));

		if (table != NULL)
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[DROPPED], .weight = LINT_LOCK, .table = table, .part = strVal(llast(name)),
				.why = "nobody reads or writes the table from the moment it waits for its lock",
				.safer = SHORTLY
			});
	}
}

/* A session that takes itself for a replica's fires none. */
static void
judge_setting(Lint *lint, const VariableSetStmt *statement)
{
	if (statement->name == NULL || strcmp(statement->name, "session_replication_role") != 0 || statement->kind != VAR_SET_VALUE ||
		pg_strcasecmp(ExtractSetVariableArgs(unconstify(VariableSetStmt *, statement)), "replica") != 0)
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[FOREIGN_KEYS_OFF], .part = "session_replication_role",
		.why = "no trigger of any table fires in this session, so that nothing keeps foreign keys",
		.safer = "Turn off the one that is in the way, by its name."
	});
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	switch (command->subtype)
	{
		case AT_EnableTrig:
		case AT_EnableAlwaysTrig:
		case AT_EnableReplicaTrig:
		case AT_EnableTrigAll:
		case AT_EnableTrigUser:
			dbops_lint_report(lint, (LintFinding) {
				.rule = &rules[ENABLED], .weight = LINT_LOCK, .table = table, .part = command->name,
				.why = "nobody writes to the table while it waits for its lock, and rows that were written before have not been looked at",
				.safer = SHORTLY
			});
			break;
		case AT_DisableTrig:
		case AT_DisableTrigAll:
		case AT_DisableTrigUser:
			judge_disabled(lint, table, command->subtype == AT_DisableTrigUser ? "" : command->name);
			break;
		default:
			break;
	}
}

/* Without a name it is all; "" is those of users. */
static void
judge_disabled(Lint *lint, LintTable *table, const char *trigger)
{
	const char *part = (trigger == NULL || *trigger == '\0') ? NULL : trigger;

	if (keeps_foreign_key(table, trigger))
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[FOREIGN_KEYS_OFF], .weight = LINT_BREAK, .table = table, .part = part,
			.why = "it turns off what keeps foreign keys: rows that are written meanwhile are never checked, also not when it is on again",
			.safer = psprintf("ALTER TABLE %s DISABLE TRIGGER USER;", dbops_lint_label(table))
		});
	else
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DISABLED], .weight = LINT_BREAK, .table = table, .part = part,
			.why = "rows that are written while it is off, by whomever, are not looked at, also not when it is on again",
			.safer = "Turn it on again in the same transaction."
		});
}

static bool
keeps_foreign_key(const LintTable *table, const char *trigger)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_text(trigger)};
	Datum		found;

	return (trigger == NULL || *trigger != '\0') && OidIsValid(table->relid) &&
		dbops_query_value("SELECT true FROM pg_trigger WHERE tgrelid = $1 AND tgisinternal AND ($2 IS NULL OR tgname = $2) LIMIT 1",
						  lengthof(params), params, BOOLOID, &found);
}
