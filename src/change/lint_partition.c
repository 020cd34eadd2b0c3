/*
 * lint_partition.c
 *		Rules of partitions that are made or attached.
 *
 * The server reads a table that is attached under ACCESS EXCLUSIVE, and the
 * default partition beside it, unless valid constraints prove that there is
 * nothing to be found. Its own prover is asked, of each part of the bound, and so
 * are the constraints that the text has validated by then. The server also
 * evaluates what is constant in a constraint; that is done here where all of it is
 * the server's own, and what has a function, an operator or a domain of a user's in
 * it, bound, key or constraint, proves nothing.
 */
#include "change/lint.h"
#include "change/unrun.h"
#include "compat.h"

#include "access/table.h"
#include "access/transam.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "commands/tablecmds.h"
#include "nodes/makefuncs.h"
#include "optimizer/optimizer.h"
#include "parser/parse_utilcmd.h"
#include "partitioning/partbounds.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/partcache.h"
#include "utils/rel.h"
#include "utils/ruleutils.h"
#include "utils/snapmgr.h"

enum
{
	ATTACHED,
	DEFAULT_READ
};

static const DbopsRule rules[] = {
	[ATTACHED] = {
		.name = "partition.attached_unproven", .severity = DBOPS_CRITICAL,
		.about = "ATTACH PARTITION that reads the table under ACCESS EXCLUSIVE, as no valid constraint proves its bound",
		.source = "PostgreSQL: ALTER TABLE, ATTACH PARTITION"
	},
	[DEFAULT_READ] = {
		.name = "partition.default_read", .severity = DBOPS_CRITICAL,
		.about = "new partitions beside a default one, which is read under ACCESS EXCLUSIVE for rows of theirs",
		.source = "PostgreSQL: ALTER TABLE, ATTACH PARTITION"
	}
};

const DbopsRuleSet dbops_lint_partition_rules = {.review = "lint", .rules = rules, .n_rules = lengthof(rules)};

/* A question to the prover. */
typedef struct Question
{
	const Lint *lint;
	const LintTable *parent;
	const LintTable *part;		/* that is attached; NULL: a new one */
	const LintTable *other;		/* the default partition beside it, or NULL */
	PartitionBoundSpec *bound;
	char	   *part_needs;		/* a CHECK that would prove it; NULL: it is proved, or not known */
	char	   *other_needs;
	bool		part_proven;
	bool		other_proven;
} Question;

static void judge_create(Lint *lint, const CreateStmt *statement);
static void judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command);
static void judge_new(Lint *lint, LintTable *parent, LintTable *part, PartitionBoundSpec *bound);
static LintTable *default_of(Lint *lint, const LintTable *parent);
static bool is_plain(const PartitionBoundSpec *bound);
static bool has_plain_values(const List *values);
static bool is_of_server(const TypeName *name);
static void ask_with_snapshot(void *arg);
static void ask(void *arg);
static bool is_key_of_server(PartitionKey key);
static bool is_proven(const Lint *lint, const LintTable *table, Oid relid, Relation parent, List *bound, char **needs);
static bool are_parts_proven(const Lint *lint, Relation rel, Relation parent, List *bound);
static bool is_implied(const Lint *lint, const LintTable *table, Relation rel, List *conditions);
static List *without_users(List *conditions);
static char *written(Relation rel, List *conditions);
static char *add_check(const LintTable *table, const char *needs);

/* Judge the partitions that a statement makes or attaches. */
void
dbops_lint_judge_partitions(Lint *lint, Node *statement)
{
	if (IsA(statement, CreateStmt))
		judge_create(lint, (CreateStmt *) statement);
	else
		dbops_lint_each_command(lint, statement, judge_command);
}

static void
judge_create(Lint *lint, const CreateStmt *statement)
{
	LintTable  *parent;

	if (statement->partbound != NULL && (parent = dbops_lint_find(lint, linitial(statement->inhRelations))) != NULL)
		judge_new(lint, parent, NULL, statement->partbound);
}

static void
judge_command(Lint *lint, LintTable *table, const AlterTableCmd *command)
{
	PartitionCmd *partition = (PartitionCmd *) command->def;
	LintTable  *part;

	if (command->subtype == AT_AttachPartition && partition->bound != NULL && (part = dbops_lint_find(lint, partition->name)) != NULL)
		judge_new(lint, table, part, partition->bound);
}

static void
judge_new(Lint *lint, LintTable *parent, LintTable *part, PartitionBoundSpec *bound)
{
	LintTable  *other = default_of(lint, parent);
	Question	question = {.lint = lint,.parent = parent,.part = part,.other = other,.bound = bound};
	ErrorData  *error;

	if ((part == NULL || part->is_new) && other == NULL)
		return;
	if (OidIsValid(parent->relid) && get_rel_relkind(parent->relid) != RELKIND_PARTITIONED_TABLE)
		return;					/* the server refuses it */
	if (OidIsValid(parent->relid) && is_plain(bound))
		(void) dbops_attempt(ask_with_snapshot, &question, &error);
	if (part != NULL && !question.part_proven)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[ATTACHED], .weight = LINT_WORK, .table = part,
			.why = "all its rows are read under ACCESS EXCLUSIVE, as no valid constraint proves that they are within the bound",
			.safer = add_check(part, question.part_needs)
		});
	if (other != NULL && !question.other_proven)
		dbops_lint_report(lint, (LintFinding) {
			.rule = &rules[DEFAULT_READ], .weight = LINT_WORK, .table = other,
			.why = "the default partition is read under ACCESS EXCLUSIVE, as no valid constraint proves that it has no row of the new one",
			.safer = add_check(other, question.other_needs)
		});
}

/* The default partition, unless the text has detached it. */
static LintTable *
default_of(Lint *lint, const LintTable *parent)
{
	LintTable  *other = OidIsValid(parent->relid) ? dbops_lint_find_oid(lint, get_default_partition_oid(parent->relid)) : NULL;

	if (other != NULL && dbops_texts_have(parent->gone_parts, psprintf("partition %s", other->name)))
		return NULL;
	return other;
}

static bool
is_plain(const PartitionBoundSpec *bound)
{
	return has_plain_values(bound->listdatums) && has_plain_values(bound->lowerdatums) && has_plain_values(bound->upperdatums);
}

/* MINVALUE and MAXVALUE are names of columns to the parser. */
static bool
has_plain_values(const List *values)
{
	ListCell   *cell;

	foreach(cell, values)
	{
		Node	   *value = lfirst(cell);

		if (IsA(value, TypeCast) && is_of_server(((TypeCast *) value)->typeName))
			value = ((TypeCast *) value)->arg;
		if (!IsA(value, A_Const) && !IsA(value, ColumnRef))
			return false;
	}
	return true;
}

/* A type of the server's own, whose values nobody else makes. */
static bool
is_of_server(const TypeName *name)
{
	Oid			type;
	int32		typmod;

	return dbops_lint_type(name, &type, &typmod) && type < FirstNormalObjectId;
}

static void
ask_with_snapshot(void *arg)
{
	PushActiveSnapshot(GetTransactionSnapshot());
	ask(arg);
	PopActiveSnapshot();
}

static void
ask(void *arg)
{
	Question   *question = arg;
	Relation	parent = table_open(question->parent->relid, AccessShareLock);
	PartitionBoundSpec *bound;
	List	   *own;
	List	   *all;

	if (!is_key_of_server(RelationGetPartitionKey(parent)))
	{
		table_close(parent, NoLock);
		return;
	}
	bound = transformPartitionBound(make_parsestate(NULL), parent, copyObject(question->bound));
	own = get_qual_from_partbound(parent, bound);
	all = list_concat_copy(own, RelationGetPartitionQual(parent));
	if (question->part != NULL && OidIsValid(question->part->relid))
		question->part_proven = is_proven(question->lint, question->part, question->part->relid, parent,
										  dbops_lint_fold((Node *) make_ands_explicit(all)),
										  &question->part_needs);
	if (question->other != NULL && OidIsValid(question->other->relid))
		question->other_proven = is_proven(question->lint, question->other, question->other->relid, parent, get_proposed_default_constraint(own), &question->other_needs);
	table_close(parent, NoLock);
}

/* Its types say how a value is read, its functions how two are compared. */
static bool
is_key_of_server(PartitionKey key)
{
	for (int i = 0; i < key->partnatts; i++)
		if (key->parttypid[i] >= FirstNormalObjectId || key->partopfamily[i] >= FirstNormalObjectId ||
			key->partsupfunc[i].fn_oid >= FirstNormalObjectId)
			return false;
	return !dbops_runs_users((Node *) key->partexprs);
}

/* A partitioned table is as good as all of its partitions. */
static bool
is_proven(const Lint *lint, const LintTable *table, Oid relid, Relation parent, List *bound, char **needs)
{
	Relation	rel = table_open(relid, AccessShareLock);
	List	   *conditions = map_partition_varattnos(bound, 1, rel, parent);
	bool		proven = is_implied(lint, table, rel, conditions) ||
		(rel->rd_rel->relkind == RELKIND_PARTITIONED_TABLE && are_parts_proven(lint, rel, parent, bound));

	if (!proven && needs != NULL)
		*needs = written(rel, conditions);
	table_close(rel, NoLock);
	return proven;
}

static bool
are_parts_proven(const Lint *lint, Relation rel, Relation parent, List *bound)
{
	ListCell   *cell;

	foreach(cell, find_inheritance_children(RelationGetRelid(rel), NoLock))
		if (!is_proven(lint, NULL, lfirst_oid(cell), parent, bound, NULL))
			return false;
	return true;
}

/* Each condition, by constraints of the catalog or of the text. */
static bool
is_implied(const Lint *lint, const LintTable *table, Relation rel, List *conditions)
{
	List	   *known = without_users(dbops_lint_conditions(lint, table, rel));
	ListCell   *cell;

	foreach(cell, conditions)
	{
		if (known == NIL || dbops_runs_users(lfirst(cell)) || !predicate_implied_by(list_make1(lfirst(cell)), known, true))
			return false;
	}
	return true;
}

/* Those of conditions that the prover may evaluate. */
static List *
without_users(List *conditions)
{
	List	   *plain = NIL;
	ListCell   *cell;

	foreach(cell, conditions)
		if (!dbops_runs_users(lfirst(cell)))
			plain = lappend(plain, lfirst(cell));
	return plain;
}

/* As any session reads it, whatever its settings. */
static char *
written(Relation rel, List *conditions)
{
	int			nest_level = NewGUCNestLevel();
	char	   *condition;

	dbops_set_nested("DateStyle", "ISO");
	dbops_set_nested("IntervalStyle", "postgres");
	dbops_set_nested("search_path", "pg_catalog");
	condition = deparse_expression((Node *) make_ands_explicit(conditions),
								   deparse_context_for(RelationGetRelationName(rel), RelationGetRelid(rel)), false, false);
	AtEOXact_GUC(false, nest_level);
	return condition;
}

static char *
add_check(const LintTable *table, const char *needs)
{
	if (needs == NULL)
		return "Add a CHECK that says the same as the bound, NOT VALID, validate it, and do this in a transaction behind it.";
	return psprintf("%s, %s, %s); -- and drop it when this is done", dbops_lint_call("add_check_constraint", table), dbops_quote_text(needs),
					dbops_quote_text(psprintf("%.*s_bound", (int) dbops_text_clip(table->name, NAMEDATALEN - 7), table->name)));
}
