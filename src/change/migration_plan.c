/*
 * migration_plan.c
 *		check_migration() at depth plan: nothing is run.
 *
 * Each statement has a row with the locks that it takes, for how long others
 * have to wait for them, and what it will take, which is an estimate. Behind it
 * stand the findings of lint_sql() about it; then what the schema review would
 * find anew, and no more, and the questions of a reviewer with their answers.
 * All texts of a chain are followed as one: what the first makes, the second
 * finds. A down text is judged as it finds what its up text has left.
 */
#include "change/migration_plan.h"

#include "utils/builtins.h"

/* A plan on its way to rows. */
typedef struct Planning
{
	MigrationTrial *trial;
	Lint	   *lint;			/* of the up texts */
	List	   *findings;		/* of theirs that are not muted, of LintFinding * */
	int			found[DBOPS_CRITICAL + 1];	/* of each severity */
	int			muted;
	double		duration;		/* ms, of all up texts */
} Planning;

/* A text on its way to rows. */
typedef struct PlannedText
{
	const MigrationTried *tried;
	const MigrationText *text;
	const List *foreseen;		/* of Foreseen * */
	const char *direction;
	const Lint *lint;			/* that has judged it */
	List	   *findings;		/* of LintFinding *, by statements */
	const char **effects;		/* one a statement, as the catalog tells them; each may be NULL */
	MigrationEstimate *estimates;	/* likewise */
	double	   *held;			/* ms from a statement to the end of its transaction */
	int			next;			/* of the findings */
} PlannedText;

static void plan_up(Planning *planning, const MigrationTried *tried);
static void plan_down(Planning *planning, int number);
static Lint *begin_lint(void);
static void judge(Lint *lint, const char *sql);
static void put_text(Planning *planning, PlannedText *planned);
static void estimate_all(PlannedText *planned);
static bool has_work(const MigrationText *text, const MigrationStatement *statement, Node *tree, const LintStatement *judged);
static bool validates(const AlterTableStmt *statement);
static const LintStatement *judged_at(const LintText *text, int *number, size_t start);
static void put_statement(Planning *planning, const PlannedText *planned, int number);
static List *flags_of(const MigrationTrial *trial, const PlannedText *planned, int number);
static List *notices_of(const PlannedText *planned, int number);
static char *duration_text(double ms);
static int	by_statement(const ListCell *a, const ListCell *b);
static void put_findings(Planning *planning, PlannedText *planned, const MigrationStatement *statement);
static void put_finding(Planning *planning, const PlannedText *planned, const MigrationStatement *statement, const LintFinding *finding);
static Jsonb *describe(const LintFinding *finding);
static void put_summary(Planning *planning, List *notices);
static char *count_findings(const Planning *planning);

/* Put what is foreseen, and last a row that sums up. */
void
dbops_migration_plan(MigrationTrial *trial)
{
	Planning	planning = {.trial = trial,.lint = begin_lint()};
	List	   *notices = NIL;
	List	   *rules;

	for (int i = 0; i < trial->n_texts; i++)
	{
		plan_up(&planning, &trial->texts[i]);
		if (trial->texts[i].down != NULL)
			plan_down(&planning, i);
	}
	rules = dbops_migration_review_foresee(trial->rsinfo, planning.lint, &notices);
	dbops_migration_checklist_put(trial, planning.lint, planning.findings, rules);
	put_summary(&planning, notices);
}

static void
plan_up(Planning *planning, const MigrationTried *tried)
{
	PlannedText planned = {
		.tried = tried,.text = tried->up,.foreseen = tried->foreseen_up,.direction = "up",.lint = planning->lint
	};

	judge(planning->lint, tried->up->sql);
	put_text(planning, &planned);
}

/* Behind its up text, and not before that of the next one. */
static void
plan_down(Planning *planning, int number)
{
	const MigrationTried *tried = &planning->trial->texts[number];
	Lint	   *lint = begin_lint();
	PlannedText planned = {
		.tried = tried,.text = tried->down,.foreseen = tried->foreseen_down,.direction = "down",.lint = lint
	};

	for (int i = 0; i <= number; i++)
		judge(lint, planning->trial->texts[i].up->sql);
	judge(lint, tried->down->sql);
	put_text(planning, &planned);
}

static Lint *
begin_lint(void)
{
	Lint	   *lint = dbops_lint_begin();

	lint->is_migration = true;
	return lint;
}

static void
judge(Lint *lint, const char *sql)
{
	dbops_lint_read(lint, sql);
	dbops_lint_judge(lint);
}

static void
put_text(Planning *planning, PlannedText *planned)
{
	ListCell   *cell;

	estimate_all(planned);
	planned->findings = list_copy(planned->lint->findings);
	list_sort(planned->findings, by_statement);
	foreach(cell, planned->text->statements)
	{
		CHECK_FOR_INTERRUPTS();
		put_statement(planning, planned, foreach_current_index(cell));
		put_findings(planning, planned, lfirst(cell));
	}
	put_findings(planning, planned, NULL);
}

/* ---- estimates ---- */

/* Locks are kept until the transaction ends, which is that of all statements unless they go in steps. */
static void
estimate_all(PlannedText *planned)
{
	int			n = list_length(planned->text->statements);
	int			judged = 0;
	double		left = 0;
	MemoryContext caller = CurrentMemoryContext;
	MemoryContext passing = AllocSetContextCreate(caller, "dbops statement", ALLOCSET_DEFAULT_SIZES);

	planned->effects = palloc0(sizeof(char *) * Max(n, 1));
	planned->estimates = palloc0(sizeof(MigrationEstimate) * Max(n, 1));
	planned->held = palloc0(sizeof(double) * Max(n, 1));
	for (int i = 0; i < n; i++)
	{
		const MigrationStatement *statement = list_nth(planned->text->statements, i);
		const Foreseen *foreseen = list_nth(planned->foreseen, i);
		const LintStatement *told = judged_at(planned->lint->text, &judged, statement->start);
		Node	   *tree;

		MemoryContextSwitchTo(passing);
		tree = dbops_migration_statement_parse(planned->text, statement)->stmt;
		MemoryContextSwitchTo(caller);
		planned->effects[i] = told != NULL && told->type_effect != NULL ? dbops_migration_effect(tree, told->type_effect) : foreseen->effect;
		planned->estimates[i] = (MigrationEstimate) {.duration = -1,.bytes = -1,.rows = -1};
		if (has_work(planned->text, statement, tree, told))
			planned->estimates[i] = dbops_migration_estimate(tree, planned->effects[i], foreseen->targets);
		MemoryContextReset(passing);
	}
	MemoryContextDelete(passing);
	for (int i = n - 1; i >= 0; i--)
	{
		left = (planned->text->in_steps ? 0 : left) + Max(planned->estimates[i].duration, 0);
		planned->held[i] = left;
	}
}

/* Of ALTER TABLE the rules of lint know by the catalog whether rows are worked on; a validation is none of their business. */
static bool
has_work(const MigrationText *text, const MigrationStatement *statement, Node *tree, const LintStatement *judged)
{
	return !IsA(tree, AlterTableStmt) || judged == NULL || !judged->is_judged || judged->works || validates((AlterTableStmt *) tree);
}

static bool
validates(const AlterTableStmt *statement)
{
	ListCell   *cell;

	foreach(cell, statement->cmds)
	{
		AlterTableType subtype = lfirst_node(AlterTableCmd, cell)->subtype;

		if (subtype == AT_ValidateConstraint || subtype == AT_AttachPartition)
			return true;
	}
	return false;
}

/* Both lists go as the text does. */
static const LintStatement *
judged_at(const LintText *text, int *number, size_t start)
{
	while (*number < list_length(text->statements))
	{
		const LintStatement *judged = list_nth(text->statements, *number);

		if (judged->start >= start)
			return judged->start == start ? judged : NULL;
		(*number)++;
	}
	return NULL;
}

/* ---- rows ---- */

static void
put_statement(Planning *planning, const PlannedText *planned, int number)
{
	const MigrationStatement *statement = list_nth(planned->text->statements, number);
	const Foreseen *foreseen = list_nth(planned->foreseen, number);
	const MigrationEstimate *estimate = &planned->estimates[number];
	MigrationReceipt row = {
		MIGRATION_RECEIPT,.version = planned->tried->label,.direction = planned->direction,
		.step = statement->number,.line = statement->line,.command = statement->command,
		.state = "planned",.effect = planned->effects[number],.locks = foreseen->locks
	};

	row.rows = estimate->rows;
	row.wal = estimate->bytes;
	row.duration = estimate->duration;
	row.flags = flags_of(planning->trial, planned, number);
	row.notices = notices_of(planned, number);
	dbops_migration_receipt_put(planning->trial->rsinfo, &row);
	if (strcmp(planned->direction, "up") == 0)
		planning->duration += Max(estimate->duration, 0);
}

static List *
flags_of(const MigrationTrial *trial, const PlannedText *planned, int number)
{
	const Foreseen *foreseen = list_nth(planned->foreseen, number);
	List	   *flags = NIL;

	if (foreseen->breaks && strcmp(planned->direction, "up") == 0)
		flags = lappend(flags, "breaking");
	if (foreseen->alone)
		flags = lappend(flags, "outside of transactions");
	if (planned->estimates[number].duration > trial->max_duration)
		flags = lappend(flags, "slow");
	if (foreseen->strongest > ShareUpdateExclusiveLock && planned->held[number] > trial->max_blocked)
		flags = lappend(flags, "blocking");
	return flags;
}

/* How long others have to wait, and what the estimate rests on. */
static List *
notices_of(const PlannedText *planned, int number)
{
	const Foreseen *foreseen = list_nth(planned->foreseen, number);
	List	   *notices = NIL;
	ListCell   *cell;

	foreach(cell, foreseen->targets)
	{
		const MigrationTarget *target = lfirst(cell);

		if (target->mode > RowExclusiveLock)
			notices = lappend(notices, psprintf("%s on %s: %s", GetLockmodeName(DEFAULT_LOCKMETHOD, target->mode), dbops_migration_target_name(target->relid),
												planned->held[number] > 0 ? duration_text(planned->held[number]) : "for a moment"));
	}
	if (planned->estimates[number].basis != NULL)
		notices = lappend(notices, psprintf("estimate: %s", planned->estimates[number].basis));
	return notices;
}

static char *
duration_text(double ms)
{
	if (ms < 1000)
		return "for less than a second while it works";
	return psprintf("for about %s until the transaction ends", ms < 120 * 1000 ? psprintf("%.0f s", ms / 1000) : psprintf("%.0f minutes", ms / 60000));
}

/* Of one the gravest first; what is about the text comes before all of them. */
static int
by_statement(const ListCell *a, const ListCell *b)
{
	const LintFinding *left = lfirst(a);
	const LintFinding *right = lfirst(b);
	size_t		left_start = (left->statement == NULL) ? 0 : left->statement->start;
	size_t		right_start = (right->statement == NULL) ? 0 : right->statement->start;

	if (left_start != right_start)
		return (left_start < right_start) ? -1 : 1;
	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}

/* Put those of a statement that were not put yet; all that are left: NULL. */
static void
put_findings(Planning *planning, PlannedText *planned, const MigrationStatement *statement)
{
	while (planned->next < list_length(planned->findings))
	{
		const LintFinding *finding = list_nth(planned->findings, planned->next);

		if (statement != NULL && finding->statement != NULL && finding->statement->start > statement->start)
			break;
		planned->next++;
		if (finding->muted_until != 0)
			planning->muted++;
		else
			put_finding(planning, planned, statement, finding);
	}
}

static void
put_finding(Planning *planning, const PlannedText *planned, const MigrationStatement *statement, const LintFinding *finding)
{
	MigrationReceipt row = {
		MIGRATION_RECEIPT,.version = planned->tried->label,.direction = planned->direction,
		.line = finding->line,
		.command = statement != NULL ? statement->command : NULL,.state = "finding"
	};

	row.objects = describe(finding);
	row.flags = list_make1(unconstify(char *, dbops_severity_name(finding->severity)));
	row.message = psprintf("%s: %s%s%s", finding->rule->name, finding->object != NULL ? finding->object : "",
						   finding->object != NULL ? ": " : "", finding->why);
	if (finding->safer != NULL)
		row.notices = list_make1(unconstify(char *, finding->safer));
	dbops_migration_receipt_put(planning->trial->rsinfo, &row);
	if (strcmp(planned->direction, "up") != 0)
		return;
	planning->found[finding->severity]++;
	planning->findings = lappend(planning->findings, unconstify(LintFinding *, finding));
}

static Jsonb *
describe(const LintFinding *finding)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "rule", finding->rule->name);
	dbops_json_text(&json, "severity", dbops_severity_name(finding->severity));
	if (finding->object != NULL)
		dbops_json_text(&json, "relation", finding->object);
	if (finding->bytes >= 0)
		dbops_json_integer(&json, "size_bytes", finding->bytes);
	dbops_json_text(&json, "key", finding->key);
	return dbops_json_finish(&json);
}

static void
put_summary(Planning *planning, List *notices)
{
	MigrationReceipt summary = {
		MIGRATION_RECEIPT,.state = "planned",.notices = notices,
		.message = psprintf("nothing was run; %s; depth => 'execute' runs it, rolls it back and compares the schema", count_findings(planning))
	};

	if (planning->duration > 0)
		summary.duration = planning->duration;
	dbops_migration_receipt_put(planning->trial->rsinfo, &summary);
}

/* Of the up texts, the gravest first: lint: 1 critical, 2 info, 1 muted. */
static char *
count_findings(const Planning *planning)
{
	StringInfoData text;

	initStringInfo(&text);
	for (int severity = DBOPS_CRITICAL; severity > DBOPS_OK; severity--)
		if (planning->found[severity] > 0)
			appendStringInfo(&text, "%s%d %s", text.len > 0 ? ", " : "lint: ", planning->found[severity], dbops_severity_name(severity));
	if (planning->muted > 0)
		appendStringInfo(&text, "%s%d muted", text.len > 0 ? ", " : "lint: ", planning->muted);
	return text.len > 0 ? text.data : "lint finds nothing";
}
