/*
 * lint_alias.c
 *		The names that other linters have for rules.
 *
 * Whoever comes from one of them has its names in comments and in their head.
 * One name may stand for several rules here, and several for one.
 */
#include "change/lint.h"

/* squawk's are words, eugene's a letter and a number. */
static const DbopsRuleAlias aliases[] = {
	/* squawk */
	{"adding-field-with-default", "column.volatile_default"},
	{"adding-field-with-default", "column.generated"},
	{"adding-required-field", "column.not_null_without_default"},
	{"adding-not-nullable-field", "column.set_not_null"},
	{"ban-drop-not-null", "column.drop_not_null"},
	{"adding-foreign-key-constraint", "constraint.foreign_key_checked"},
	{"constraint-missing-not-valid", "constraint.check_checked"},
	{"constraint-missing-not-valid", "constraint.foreign_key_checked"},
	{"require-separate-constraint-validation", "constraint.validated_at_once"},
	{"disallowed-unique-constraint", "constraint.index_built"},
	{"adding-serial-primary-key-field", "column.numbered"},
	{"adding-serial-primary-key-field", "constraint.index_built"},
	{"require-concurrent-index-creation", "index.not_concurrently"},
	{"require-concurrent-index-deletion", "index.dropped_not_concurrently"},
	{"require-concurrent-reindex", "index.rebuilt_not_concurrently"},
	{"ban-concurrent-index-creation-in-transaction", "transaction.cannot_be_in_one"},
	{"transaction-nesting", "transaction.nested"},
	{"ban-uncommitted-transaction", "transaction.not_committed"},
	{"require-timeout-settings", "transaction.no_lock_timeout"},
	{"changing-column-type", "column.type_changed"},
	{"renaming-column", "column.renamed"},
	{"renaming-table", "table.renamed"},
	{"ban-drop-table", "table.dropped"},
	{"ban-drop-column", "column.dropped"},
	{"ban-drop-database", "schema.dropped"},
	{"ban-truncate-cascade", "rows.truncated"},
	{"adding-field-with-default", "column.default_unknown"},
	{"prefer-bigint-over-int", "column.small_key"},
	{"prefer-bigint-over-smallint", "column.small_key"},
	{"prefer-identity", "column.serial"},
	{"prefer-repack", "table.vacuumed_full"},
	{"prefer-robust-stmts", "statement.not_repeatable"},
	{"prefer-text-field", "column.varchar"},
	{"prefer-timestamp-tz", "column.timestamp"},
	{"prefer-timestamptz", "column.timestamp"},
	{"ban-char-field", "column.char"},
	{"ban-duplicate-column-assignments", "rows.assigned_twice"},
	{"require-lock-timeout", "transaction.no_lock_timeout"},
	{"require-statement-timeout", "transaction.no_statement_timeout"},
	{"require-timeout-settings", "transaction.no_statement_timeout"},
	{"require-table-schema", "name.unqualified"},
	{"identifier-too-long", "name.cut"},
	{"identifier-too-long", "name.clash"},
	/* eugene */
	{"E1", "constraint.check_checked"},
	{"E1", "constraint.foreign_key_checked"},
	{"E2", "column.set_not_null"},
	{"E4", "transaction.work_behind_lock"},
	{"E5", "column.type_changed"},
	{"E6", "index.not_concurrently"},
	{"E7", "constraint.index_built"},
	{"E8", "constraint.exclusion"},
	{"E9", "transaction.no_lock_timeout"},
	{"E10", "column.type_changed"},
	{"E11", "column.generated"},
	{"E11", "column.numbered"},
	{"E15", "constraint.foreign_key_unindexed"},
	{"W14", "constraint.key_of_nullable"},
	{"E3", "column.json"},
	{"W12", "table.altered_again"},
	{"W13", "type.enum"},
	/* postgres-language-server, where it has no name of squawk's in other letters */
	{"addSerialColumn", "column.numbered"},
	{"avoidAddingExclusionConstraint", "constraint.exclusion"},
	{"avoidCreateTrigger", "trigger.created"},
	{"avoidEnableDisableTrigger", "trigger.enabled"},
	{"avoidEnableDisableTrigger", "trigger.disabled"},
	{"avoidWideLockWindow", "transaction.many_tables"},
	{"banDeleteWithoutWhere", "rows.all_changed"},
	{"banUpdateWithoutWhere", "rows.all_changed"},
	{"banDropSchema", "schema.dropped"},
	{"banDropTrigger", "trigger.dropped"},
	{"banNotValidValidateSameTransaction", "constraint.validated_at_once"},
	{"banTruncate", "rows.truncated"},
	{"banVacuumFull", "table.vacuumed_full"},
	{"lockTimeoutWarning", "transaction.no_lock_timeout"},
	{"multipleAlterTable", "table.altered_again"},
	{"preferBigInt", "column.small_key"},
	{"preferJsonb", "column.json"},
	{"requireConcurrentRefreshMatview", "view.refreshed"},
	{"requireIdleInTransactionTimeout", "transaction.no_idle_timeout"},
	{"requireStatementTimeout", "transaction.no_statement_timeout"},
	{"runningStatementWhileHoldingAccessExclusive", "transaction.work_behind_lock"},
	/* strong_migrations */
	{"add_check_constraint", "constraint.check_checked"},
	{"add_column_default", "column.volatile_default"},
	{"add_column_generated_stored", "column.generated"},
	{"add_column_auto_incrementing", "column.numbered"},
	{"add_exclusion_constraint", "constraint.exclusion"},
	{"add_foreign_key", "constraint.foreign_key_checked"},
	{"add_index", "index.not_concurrently"},
	{"add_index_columns", "index.wide"},
	{"add_unique_constraint", "constraint.index_built"},
	{"change_column", "column.type_changed"},
	{"change_column_null", "column.set_not_null"},
	{"remove_column", "column.dropped"},
	{"remove_index", "index.dropped_not_concurrently"},
	{"rename_column", "column.renamed"},
	{"rename_table", "table.renamed"},
	{"validate_check_constraint", "constraint.validated_at_once"},
	{"validate_foreign_key", "constraint.validated_at_once"}
};

/* Have them understood wherever a rule is named; the rules must be registered already. */
void
dbops_lint_alias_init(void)
{
	dbops_rule_register_aliases(aliases, lengthof(aliases));
}
