/*
 * lint.c
 *		lint_sql(): what is dangerous in a text, said before it is run.
 *
 * Each statement is judged in a subtransaction that is undone, so that a rule
 * that fails, or waits for a lock in vain, makes one statement unknown and no
 * more. Locks that analysis takes are given back with it.
 */
#include "change/lint.h"

#include "catalog/namespace.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(dbops_lint_sql);

#define LONGEST_WAIT	100		/* ms, for the first lock that is not to be had */
#define SHORTEST_WAIT	"1"		/* ms, for those behind it */

enum
{
	TEXT_PSQL,
	TEXT_SYNTAX,
	TEXT_UNJUDGED
};

static const DbopsRule text_rules[] = {
	[TEXT_PSQL] = {
		.name = "text.psql", .severity = DBOPS_WARNING,
		.about = "commands of psql's, which the server does not know",
		.source = "the server's scanner"
	},
	[TEXT_SYNTAX] = {
		.name = "text.syntax", .severity = DBOPS_CRITICAL,
		.about = "what the server's scanner or parser cannot read",
		.source = "the server's scanner and parser"
	},
	[TEXT_UNJUDGED] = {
		.name = "text.unjudged", .severity = DBOPS_UNKNOWN,
		.about = "statements that could not be judged, as of a table that is locked",
		.source = "dbops"
	}
};

const DbopsRuleSet dbops_lint_text_rules = {.review = "lint", .rules = text_rules, .n_rules = lengthof(text_rules)};

static const DbopsRuleSet *const rule_sets[] = {
	&dbops_lint_text_rules,
	&dbops_lint_column_rules,
	&dbops_lint_null_rules,
	&dbops_lint_constraint_rules,
	&dbops_lint_index_rules,
	&dbops_lint_transaction_rules,
	&dbops_lint_object_rules,
	&dbops_lint_rewrite_rules,
	&dbops_lint_partition_rules,
	&dbops_lint_detach_rules,
	&dbops_lint_reference_rules,
	&dbops_lint_depend_rules,
	&dbops_lint_enum_rules,
	&dbops_lint_row_rules,
	&dbops_lint_trigger_rules,
	&dbops_lint_function_rules,
	&dbops_lint_replacement_rules,
	&dbops_lint_privilege_rules,
	&dbops_lint_policy_rules,
	&dbops_lint_extension_rules,
	&dbops_lint_publication_rules,
	&dbops_lint_recreate_rules,
	&dbops_lint_repeat_rules,
	&dbops_lint_setting_rules,
	&dbops_lint_type_rules,
	&dbops_lint_name_rules,
	&dbops_lint_habit_rules,
	&dbops_lint_unseen_rules,
	&dbops_lint_along_rules,
	&dbops_lint_wait_rules,
	&dbops_lint_room_rules
};

static const LintJudge judges[] = {
	dbops_lint_judge_columns,
	dbops_lint_judge_nulls,
	dbops_lint_judge_constraints,
	dbops_lint_judge_indexes,
	dbops_lint_judge_objects,
	dbops_lint_judge_rewrites,
	dbops_lint_judge_partitions,
	dbops_lint_judge_detachments,
	dbops_lint_judge_references,
	dbops_lint_judge_dependents,
	dbops_lint_judge_enums,
	dbops_lint_judge_rows,
	dbops_lint_judge_triggers,
	dbops_lint_judge_functions,
	dbops_lint_judge_replacements,
	dbops_lint_judge_privileges,
	dbops_lint_judge_policies,
	dbops_lint_judge_extensions,
	dbops_lint_judge_publications,
	dbops_lint_judge_recreations,
	dbops_lint_judge_types,
	dbops_lint_judge_names,
	dbops_lint_judge_habits,
	dbops_lint_judge_unseen,
	dbops_lint_judge_along,
	dbops_lint_judge_transaction,	/* from here on they ask what the others have found */
	dbops_lint_judge_repetitions,
	dbops_lint_judge_settings,
	dbops_lint_judge_room
};

/* A statement on its way to the rules. */
typedef struct Judging
{
	Lint	   *lint;
	Node	   *tree;
} Judging;

static void judge_text(Lint *lint);
static HTAB *make_world(void);
static void report_problems(Lint *lint);
static bool judge_statement(Lint *lint);
static bool judge_parsed(Lint *lint);
static bool judge_tree(Lint *lint, Node *tree);
static void judge_by_rules(Lint *lint, Node *tree);
static bool judge_elements(Lint *lint, Node *tree);
static void judge_all(void *arg);
static void follow(void *arg);
static void judge_end(Lint *lint);
static void judge_rest(void *arg);
static void report_unjudged(Lint *lint, const ErrorData *error);
static char *object_of(const LintFinding *finding);
static bool is_ignored(const Lint *lint, const DbopsRule *rule);
static bool is_named(const List *names, const DbopsRule *rule);
static int	in_order(const ListCell *a, const ListCell *b);
static void put(ReturnSetInfo *rsinfo, const LintFinding *finding);

/* Have reviews' registry know the rules. */
void
dbops_lint_init(void)
{
	for (int i = 0; i < lengthof(rule_sets); i++)
		dbops_rule_register(rule_sets[i]);
	dbops_lint_alias_init();
}

/* lint_sql(sql, in_transaction) → findings */
Datum
dbops_lint_sql(PG_FUNCTION_ARGS)
{
	Lint	   *lint = dbops_lint_begin();
	ListCell   *cell;

	dbops_require_argument(fcinfo, 0, "sql");
	dbops_lint_read(lint, text_to_cstring(PG_GETARG_TEXT_PP(0)));
	if (!PG_ARGISNULL(1))
		lint->in_transaction = PG_GETARG_BOOL(1);
	dbops_lint_judge(lint);
	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, lint->findings)
		put((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	return (Datum) 0;
}

/* Begin to judge texts, each behind the one before it, in the current memory. */
Lint *
dbops_lint_begin(void)
{
	Lint	   *lint = palloc0(sizeof(Lint));

	lint->memory = CurrentMemoryContext;
	lint->world = make_world();
	return lint;
}

/* Read the text that is to be judged next, which must stay; it is run as dbops runs it. */
void
dbops_lint_read(Lint *lint, const char *sql)
{
	lint->text = dbops_lint_text_read(sql);
	lint->statement = NULL;
	lint->in_transaction = !lint->text->has_brackets && !lint->text->in_steps;
	lint->in_block = false;
	lint->transaction++;
	lint->findings = NIL;
	dbops_lint_forget_kept(lint);
	dbops_lint_limits_begin(lint);
	lint->told_timeout = DBOPS_OK;
	lint->told_replayed = DBOPS_OK;
	lint->holders = NULL;
}

/* Judge it; the findings stand in lint, as the text goes. */
void
dbops_lint_judge(Lint *lint)
{
	DbopsCheckScope here = {.database = MyDatabaseId, .connected = true};
	const DbopsOverrides *overrides;
	ListCell   *cell;

	judge_text(lint);
	overrides = dbops_override_read(&here);
	list_sort(lint->findings, in_order);
	foreach(cell, lint->findings)
	{
		LintFinding *finding = lfirst(cell);

		finding->muted_until = dbops_override_muted_until(overrides, finding->rule->name, finding->key);
	}
}

static void
judge_text(Lint *lint)
{
	int			nest_level = NewGUCNestLevel();
	ListCell   *cell;

	dbops_set_nested("client_min_messages", "error");
	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	report_problems(lint);
	foreach(cell, lint->text->statements)
	{
		LintStatement *statement = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		lint->statement = statement;
		lint->worked_on = NULL;
		lint->type_effect = NULL;
		statement->is_judged = judge_statement(lint);
		statement->type_effect = lint->type_effect;
		statement->works = lint->worked_on != NULL;
	}
	lint->statement = NULL;
	lint->only = false;
	judge_end(lint);
	AtEOXact_GUC(false, nest_level);
}

/* Begin to judge a statement for itself, which is all of its text, and is about to be run. */
void
dbops_lint_begin_alone(Lint *lint)
{
	lint->world = make_world();
	lint->transaction = 1;
	lint->is_running = true;
	dbops_lint_begin_statement(lint);
}

/* Judge it, with what it makes inside and what its end shows; an error is the caller's. */
void
dbops_lint_judge_alone(Lint *lint, Node *tree)
{
	judge_by_rules(lint, tree);
	dbops_lint_follow(lint, tree);
	(void) judge_elements(lint, tree);
	lint->only = false;
	judge_rest(lint);
}

static void
judge_by_rules(Lint *lint, Node *tree)
{
	lint->only = dbops_lint_is_only(tree);
	for (int i = 0; i < lengthof(judges); i++)
		judges[i] (lint, tree);
}

static HTAB *
make_world(void)
{
	HASHCTL		control = {
		.keysize = 2 * NAMEDATALEN,
		.entrysize = sizeof(LintTable),
		.hcxt = CurrentMemoryContext
	};

	return hash_create("dbops lint relations", 64, &control, HASH_ELEM | HASH_BLOBS | HASH_CONTEXT);
}

static void
report_problems(Lint *lint)
{
	ListCell   *cell;

	foreach(cell, lint->text->problems)
	{
		const LintProblem *problem = lfirst(cell);

		dbops_lint_report(lint, (LintFinding) {
			.rule = &text_rules[problem->is_end ? TEXT_SYNTAX : TEXT_PSQL], .line = problem->line, .why = problem->what, .safer = problem->remedy
		});
	}
}

/* False: it could not be judged. */
static bool
judge_statement(Lint *lint)
{
	if (lint->statement->error == NULL)
		return judge_parsed(lint);
	dbops_lint_report(lint, (LintFinding) {
		.rule = &text_rules[TEXT_SYNTAX], .line = lint->statement->error_line, .why = lint->statement->error,
		.safer = "Mend it; the other statements are judged as if it were not there."
	});
	return false;
}

/* Its trees are not kept; what is noted lasts. What it sets must outlive the attempts. */
static bool
judge_parsed(Lint *lint)
{
	MemoryContext trees = AllocSetContextCreate(lint->memory, "dbops lint statement", ALLOCSET_DEFAULT_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(trees);
	Node	   *tree = dbops_lint_parse(lint->text, lint->statement);
	bool		judged;

	judged = judge_tree(lint, tree);
	judged &= judge_elements(lint, tree);
	dbops_lint_follow_setting(lint, tree);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(trees);
	return judged;
}

static bool
judge_tree(Lint *lint, Node *tree)
{
	Judging		judging = {.lint = lint,.tree = tree};
	ErrorData  *error;
	bool		judged = dbops_attempt(judge_all, &judging, &error) && dbops_attempt(follow, &judging, &error);

	if (!judged)
		report_unjudged(lint, error);
	return judged;
}

/* What a CREATE SCHEMA makes in the schema, where names are looked up first meanwhile. */
static bool
judge_elements(Lint *lint, Node *tree)
{
	const char *schema;
	List	   *elements = dbops_lint_schema_elements(tree, &schema);
	int			nest_level;
	bool		judged = true;
	ListCell   *cell;

	if (elements == NIL)
		return true;
	nest_level = NewGUCNestLevel();
	dbops_set_nested("search_path", psprintf("%s, %s", dbops_quote_name(schema), namespace_search_path));
	foreach(cell, elements)
		judged &= judge_tree(lint, lfirst(cell));
	AtEOXact_GUC(false, nest_level);
	return judged;
}

static void
judge_all(void *arg)
{
	const Judging *judging = arg;

	dbops_lint_begin_statement(judging->lint);
	judge_by_rules(judging->lint, judging->tree);
}

static void
follow(void *arg)
{
	const Judging *judging = arg;

	dbops_lint_follow(judging->lint, judging->tree);
}

/* What only the end of the text shows. */
static void
judge_end(Lint *lint)
{
	ErrorData  *error;

	dbops_lint_judge_end(lint);
	if (!dbops_attempt(judge_rest, lint, &error))
		report_unjudged(lint, error);
}

static void
judge_rest(void *arg)
{
	dbops_lint_judge_policies_at_end(arg);
	dbops_lint_judge_keys_at_end(arg);
}

/* Whoever has waited in vain once does not wait again: many statements may be about what one holds. */
static void
report_unjudged(Lint *lint, const ErrorData *error)
{
	if (error->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		dbops_set_nested("lock_timeout", SHORTEST_WAIT);
	dbops_lint_report(lint, (LintFinding) {
		.rule = &text_rules[TEXT_UNJUDGED],
		.why = psprintf("could not be judged: %s (SQLSTATE %s)", error->message, unpack_sql_state(error->sqlerrcode)),
		.safer = error->hint != NULL ? error->hint : "Look again."
	});
}

/* Judge each command of an ALTER TABLE whose table is there. */
void
dbops_lint_each_command(Lint *lint, Node *statement, LintCommandJudge judge)
{
	const AlterTableStmt *alter = (const AlterTableStmt *) statement;
	LintTable  *table;
	ListCell   *cell;

	if (!IsA(statement, AlterTableStmt) || alter->objtype == OBJECT_TYPE || (table = dbops_lint_find(lint, alter->relation)) == NULL)
		return;
	foreach(cell, alter->cmds)
	{
		CHECK_FOR_INTERRUPTS();
		judge(lint, table, lfirst_node(AlterTableCmd, cell));
	}
}

/* ---- findings ---- */

/* Take down what a rule has found, unless it is harmless here or was looked at by who wrote the text. */
void
dbops_lint_report(Lint *lint, LintFinding finding)
{
	MemoryContext caller;
	LintFinding *kept;

	if (lint->statement != NULL && lint->statement->text != lint->text)
		return;					/* it was found when that text was judged */
	finding.severity = finding.rule->severity;
	if (!dbops_lint_weigh(finding.table, finding.weight, lint->only, &finding.severity))
		return;
	if (finding.weight == LINT_WORK)
		lint->worked_on = finding.table;
	if (is_ignored(lint, finding.rule) || !dbops_lint_wants(lint, finding.rule))
		return;
	caller = MemoryContextSwitchTo(lint->memory);
	kept = palloc(sizeof(LintFinding));
	*kept = finding;
	if (finding.line == 0 && lint->statement != NULL)
		kept->line = lint->statement->line;
	kept->statement = lint->statement;
	kept->object = object_of(&finding);
	kept->key = dbops_finding_key(finding.rule->name, kept->object);
	kept->bytes = (finding.table != NULL && finding.table->weighed) ?
		(lint->only ? finding.table->own_bytes : finding.table->bytes) : -1;
	kept->why = pstrdup(finding.why);
	kept->safer = (finding.safer == NULL) ? NULL : pstrdup(finding.safer);
	lint->findings = lappend(lint->findings, kept);
	MemoryContextSwitchTo(caller);
}

static char *
object_of(const LintFinding *finding)
{
	if (finding->table == NULL)
		return (finding->part == NULL) ? NULL : pstrdup(finding->part);
	if (finding->part == NULL)
		return dbops_lint_label(finding->table);
	return psprintf("%s.%s", dbops_lint_label(finding->table), dbops_quote_name(finding->part));
}

/* Does a comment say that it was looked at? */
static bool
is_ignored(const Lint *lint, const DbopsRule *rule)
{
	return is_named(lint->text->ignored, rule) ||
		(lint->statement != NULL && is_named(lint->statement->ignored, rule));
}

static bool
is_named(const List *names, const DbopsRule *rule)
{
	ListCell   *cell;

	foreach(cell, names)
		if (strcmp(lfirst(cell), "*") == 0 || strcmp(lfirst(cell), rule->name) == 0 ||
			dbops_rule_is_alias(rule->name, lfirst(cell)))
			return true;
	return false;
}

/* As the text goes; on one line the gravest first. */
static int
in_order(const ListCell *a, const ListCell *b)
{
	const LintFinding *left = lfirst(a);
	const LintFinding *right = lfirst(b);

	if (left->line != right->line)
		return (left->line < right->line) ? -1 : 1;
	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}

static void
put(ReturnSetInfo *rsinfo, const LintFinding *finding)
{
	Datum		values[9] = {0};
	bool		nulls[9] = {0};

	values[0] = Int32GetDatum(finding->line);
	values[1] = CStringGetTextDatum(finding->rule->name);
	values[2] = CStringGetTextDatum(dbops_severity_name(finding->severity));
	nulls[3] = finding->object == NULL;
	values[3] = nulls[3] ? (Datum) 0 : CStringGetTextDatum(finding->object);
	nulls[4] = finding->bytes < 0;
	values[4] = Int64GetDatum(finding->bytes);
	values[5] = CStringGetTextDatum(finding->why);
	nulls[6] = finding->safer == NULL;
	values[6] = nulls[6] ? (Datum) 0 : CStringGetTextDatum(finding->safer);
	values[7] = CStringGetTextDatum(finding->key);
	nulls[8] = finding->muted_until == 0;
	values[8] = TimestampTzGetDatum(finding->muted_until);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}
