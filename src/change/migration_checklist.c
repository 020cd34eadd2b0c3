/*
 * migration_checklist.c
 *		The questions that whoever reviews a migration asks, with their answers.
 *
 * Team guides have them as a list to be ticked: are the names right, and the
 * types; are there indexes; is nothing lost; does code that runs go on running;
 * who waits; may everybody read the rows; can it be taken back? What the
 * findings answer stands here as one row each; what only a person knows is left
 * to the person.
 */
#include "change/migration_plan.h"

#include "catalog/pg_class.h"

/* A question, and how a finding of lint is one of its. */
typedef struct Question
{
	const char *name;
	const char *fine;			/* the answer if there is no finding */
	const char *const *rules;	/* prefixes of names, ended by NULL; or NULL */
	bool		asks_weight;
	LintWeight	weights[2];
} Question;

static const char *const of_names[] = {"object.", "names.", "text.", NULL};
static const char *const of_types[] = {"types.", "constraint.foreign_key_types", NULL};
static const char *const of_indexes[] = {"index.", "indexes.", "constraint.foreign_key_unindexed", NULL};
static const char *const of_constraints[] = {"constraint.", "constraints.", "foreign_keys.", "tables.no_primary_key", NULL};
static const char *const of_loss[] = {"column.dropped", "rows.all_changed", "schema.dropped", NULL};
static const char *const of_code[] = {"column.dropped", "column.drop_not_null", "schema.dropped", "table.dropped", NULL};
static const char *const of_unseen[] = {"statement.unseen", "text.unjudged", "column.default_unknown", NULL};

static const Question questions[] = {
	{.name = "names", .fine = "all that it names is there", .rules = of_names},
	{.name = "data types", .fine = "nothing to be said", .rules = of_types},
	{.name = "indexes", .fine = "nothing to be said", .rules = of_indexes},
	{.name = "keys and constraints", .fine = "nothing to be said", .rules = of_constraints},
	{.name = "no data is lost", .fine = "none is", .rules = of_loss, .asks_weight = true, .weights = {LINT_LOSS, LINT_LOSS}},
	{.name = "code that runs goes on", .fine = "nothing that it may use is taken away", .rules = of_code, .asks_weight = true, .weights = {LINT_BREAK, LINT_BREAK}},
	{.name = "nobody waits for long", .fine = "no lock is held while rows are worked on", .asks_weight = true, .weights = {LINT_WORK, LINT_LOCK}},
	{.name = "all of it was seen", .fine = "yes", .rules = of_unseen}
};

static void answer(const MigrationTrial *trial, const Question *question, const List *findings, const List *rules);
static List *unknown(const Question *question, const List *findings, bool is_fine, DbopsSeverity *worst);
static bool concerns(const Question *question, const LintFinding *finding);
static bool is_named(const Question *question, const char *rule);
static void answer_security(const MigrationTrial *trial, Lint *lint);
static void answer_documentation(const MigrationTrial *trial, Lint *lint);
static List *new_tables(Lint *lint, bool (*wanted) (const LintTable *table));
static bool is_unsecured(const LintTable *table);
static bool is_undocumented(const LintTable *table);
static void answer_way_back(const MigrationTrial *trial);
static int	by_name(const ListCell *a, const ListCell *b);
static char *join(const List *texts);
static void put(const MigrationTrial *trial, const char *question, const char *grade, const char *answer);

/* Put the questions with their answers, of the up texts. */
void
dbops_migration_checklist_put(const MigrationTrial *trial, Lint *lint, const List *findings, const List *rules)
{
	for (int i = 0; i < lengthof(questions); i++)
		answer(trial, &questions[i], findings, rules);
	answer_security(trial, lint);
	answer_documentation(trial, lint);
	answer_way_back(trial);
}

/* The gravest finding grades it. */
static void
answer(const MigrationTrial *trial, const Question *question, const List *findings, const List *rules)
{
	DbopsSeverity worst = DBOPS_OK;
	List	   *found = NIL;
	ListCell   *cell;

	foreach(cell, findings)
	{
		const LintFinding *finding = lfirst(cell);

		if (!concerns(question, finding))
			continue;
		worst = Max(worst, finding->severity);
		found = lappend(found, psprintf("%s in line %d", finding->rule->name, finding->line));
	}
	foreach(cell, rules)
	{
		const DbopsFinding *finding = lfirst(cell);

		if (!is_named(question, finding->check_name))
			continue;
		worst = Max(worst, finding->severity);
		found = lappend(found, psprintf("%s of %s", finding->check_name, finding->object));
	}
	if (question->asks_weight)
		found = list_concat(found, unknown(question, findings, found == NIL, &worst));
	put(trial, question->name, dbops_severity_name(worst), found == NIL ? question->fine : join(found));
}

/* What the statements do that nobody has seen is not known. */
static List *
unknown(const Question *question, const List *findings, bool is_fine, DbopsSeverity *worst)
{
	List	   *unseen = NIL;
	ListCell   *cell;

	foreach(cell, findings)
	{
		const LintFinding *finding = lfirst(cell);

		if (strcmp(finding->rule->name, "statement.unseen") != 0 && strcmp(finding->rule->name, "text.unjudged") != 0)
			continue;
		if (is_fine && unseen == NIL)
			unseen = list_make1(psprintf("%s in what is seen", question->fine));
		*worst = Max(*worst, finding->severity);
		unseen = lappend(unseen, psprintf("not known of line %d", finding->line));
	}
	return unseen;
}

static bool
concerns(const Question *question, const LintFinding *finding)
{
	if (question->asks_weight && (finding->weight == question->weights[0] || finding->weight == question->weights[1]))
		return true;
	return is_named(question, finding->rule->name);
}

static bool
is_named(const Question *question, const char *rule)
{
	for (const char *const *prefix = question->rules; prefix != NULL && *prefix != NULL; prefix++)
		if (strncmp(rule, *prefix, strlen(*prefix)) == 0)
			return true;
	return false;
}

/* ---- of tables that the texts make ---- */

static void
answer_security(const MigrationTrial *trial, Lint *lint)
{
	List	   *tables = new_tables(lint, is_unsecured);

	put(trial, "row level security", tables == NIL ? "ok" : "info",
		tables == NIL ? "every new table has it" : psprintf("not enabled on %s", join(tables)));
}

static void
answer_documentation(const MigrationTrial *trial, Lint *lint)
{
	List	   *tables = new_tables(lint, is_undocumented);

	put(trial, "documentation", tables == NIL ? "ok" : "info",
		tables == NIL ? "every new table has a comment" : psprintf("no comment on %s", join(tables)));
}

static List *
new_tables(Lint *lint, bool (*wanted) (const LintTable *table))
{
	List	   *labels = NIL;
	HASH_SEQ_STATUS all;
	const LintTable *table;

	hash_seq_init(&all, lint->world);
	while ((table = hash_seq_search(&all)) != NULL)
		if (table->is_new && !table->gone && strcmp(table->schema, "pg_temp") != 0 && wanted(table) &&
			(table->kind == RELKIND_RELATION || table->kind == RELKIND_PARTITIONED_TABLE))
			labels = lappend(labels, dbops_lint_label(table));
	list_sort(labels, by_name);
	return labels;
}

static bool
is_unsecured(const LintTable *table)
{
	return table->secured == NULL;
}

static bool
is_undocumented(const LintTable *table)
{
	return !table->is_documented;
}

static int
by_name(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* ---- the way back ---- */

static void
answer_way_back(const MigrationTrial *trial)
{
	int			without = 0;

	for (int i = 0; i < trial->n_texts; i++)
		without += trial->texts[i].down == NULL;
	put(trial, "can be taken back", without == 0 ? "unknown" : "warning",
		without == 0 ? "by its down text, which depth => 'execute' proves" : "no down text was given");
}

/* ---- rows ---- */

static char *
join(const List *texts)
{
	StringInfoData joined;
	ListCell   *cell;

	initStringInfo(&joined);
	foreach(cell, texts)
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? ", " : "", (const char *) lfirst(cell));
	return joined.data;
}

static void
put(const MigrationTrial *trial, const char *question, const char *grade, const char *answer)
{
	MigrationReceipt row = {
		MIGRATION_RECEIPT,.direction = "up",.state = "checklist",
		.message = psprintf("%s: %s", question, answer)
	};

	row.flags = list_make1(unconstify(char *, grade));
	dbops_migration_receipt_put(trial->rsinfo, &row);
}
