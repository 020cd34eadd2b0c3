/*
 * lint_detach.c
 *		Rules of partitions that are detached.
 *
 * A plain DETACH PARTITION keeps everybody out of the whole partitioned table from
 * when it begins to wait. CONCURRENTLY keeps nobody out, but takes two transactions:
 * one that was cut short leaves the partition half detached, to be finished by hand.
 */
#include "change/lint.h"

#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

enum
{
	DETACHED,
	PENDING
};

static const DbopsRule rules[] = {
	[DETACHED] = {
		.name = "partition.detached", .severity = DBOPS_CRITICAL,
		.about = "DETACH PARTITION without CONCURRENTLY: nobody reads or writes the whole partitioned table while it waits for its lock",
		.source = "PostgreSQL: ALTER TABLE, DETACH PARTITION"
	},
	[PENDING] = {
		.name = "partition.detach_pending", .severity = DBOPS_CRITICAL,
		.about = "partitioned tables with a partition that is half detached, which has the server refuse the next",
		.source = "PostgreSQL: ALTER TABLE, DETACH PARTITION"
	}
};

const DbopsRuleSet dbops_lint_detach_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_detach(Lint *lint, LintTable *table, const PartitionCmd *partition);
static bool has_default(const LintTable *table);
static void judge_pending(Lint *lint, LintTable *table, const LintTable *part, bool concurrent);

/* Judge the partitions that a statement detaches. */
void
dbops_lint_judge_detachments(Lint *lint, Node *statement)
{
	dbops_lint_each_command(lint, statement, judge_command);
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	if (command->subtype == AT_DetachPartition && table->kind == RELKIND_PARTITIONED_TABLE)
		judge_detach(lint, table, castNode(PartitionCmd, command->def));
}

static void
judge_detach(Lint *lint, LintTable *table, const PartitionCmd *partition)
{
	LintTable  *part = dbops_lint_find(lint, partition->name);

	if (part == NULL)
		return;
	if (!partition->concurrent)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DETACHED], .weight = LINT_LOCK, .table = table, .part = part->name,
			.why = "it waits for ACCESS EXCLUSIVE on the whole partitioned table, and all who come to that wait behind it",
			.safer = has_default(table) ?
			"The server refuses CONCURRENTLY beside a default partition: SET lock_timeout = '200ms' and try again when it is over, as dbops.apply_migration() does by itself." :
			psprintf("ALTER TABLE %s DETACH PARTITION %s CONCURRENTLY;", dbops_lint_label(table), dbops_lint_label(part))
		});
	judge_pending(lint, table, part, partition->concurrent);
}

static bool
has_default(const LintTable *table)
{
	Oid			other = OidIsValid(table->relid) ? get_default_partition_oid(table->relid) : InvalidOid;

	return OidIsValid(other) && !dbops_texts_have(table->gone_parts, psprintf("partition %s", get_rel_name(other)));
}

/* One that the text finishes before is not pending any more. */
static void
judge_pending(Lint *lint, LintTable *table, const LintTable *part, bool concurrent)
{
	DbopsParam	params[] = {dbops_param_oid(table->relid), dbops_param_oid(part->relid), dbops_param_bool(concurrent)};
	Datum		pending;
	char	   *name;

	if (!OidIsValid(table->relid) ||
		!dbops_query_value("SELECT i.inhrelid FROM pg_inherits i"
						   " WHERE i.inhparent = $1 AND i.inhdetachpending AND (i.inhrelid = $2 OR $3)", lengthof(params), params, OIDOID, &pending) ||
		(name = get_rel_name(DatumGetObjectId(pending))) == NULL || dbops_texts_have(table->gone_parts, psprintf("partition %s", name)))
		return;
	dbops_lint_report(lint, (LintFinding) {
		.rule = &rules[PENDING], .table = table, .part = name,
		.why = "it is half detached already, by a DETACH PARTITION ... CONCURRENTLY that was cut short: the statement fails",
		.safer = psprintf("ALTER TABLE %s DETACH PARTITION %s FINALIZE;", dbops_lint_label(table),
						  DatumGetObjectId(pending) == part->relid ? dbops_lint_label(part) : dbops_quote_relation(DatumGetObjectId(pending)))
	});
}
