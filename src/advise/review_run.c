/*
 * review_run.c
 *		How the rules of a review are run.
 *
 * Each rule is one look at the catalog and runs on its own: what it waits for in
 * vain, as a lock, or fails at makes it unknown, and the others go on. Its locks
 * are given back before the next.
 *
 * Which rules run, a user decides: by name for once, or with set_check() for
 * good; what is a matter of taste is off until then.
 */
#include "advise/review.h"

#include "catalog/pg_collation.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

#define LONGEST_WAIT	100		/* ms, for a lock */

/* What a user has said of a rule. */
typedef struct Choice
{
	const char *name;
	bool		enabled;
} Choice;

#define MEMBERS_OF_EXTENSIONS \
	"SELECT array(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'), " \
	"array(SELECT n.oid FROM pg_namespace n WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(toast_)?temp_'), " \
	"array(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')"

static void look_around(void *arg);
static void take_scope(HeapTuple row, TupleDesc desc, void *arg);
static DbopsParam oids_param(HeapTuple row, TupleDesc desc, int column);
static List *read_choices(void);
static void read_choices_bounded(void *arg);
static void take_choice(HeapTuple row, TupleDesc desc, void *arg);
static bool is_wanted(const DbopsRule *rule, const List *choices, const List *patterns);
static bool is_like(const char *name, const List *patterns);
static void run_rule(DbopsReview *review);
static void call_rule(void *arg);
static void call_bounded(void *arg);
static void take_finding(HeapTuple row, TupleDesc desc, void *arg);
static DbopsSeverity severity_of(const char *name, const DbopsRule *rule);
static void mark(DbopsReview *review, int from);
static Jsonb *describe(const DbopsFinding *finding, const DbopsRule *rule);

/* Run the rules of a review; returns a list of DbopsFinding *, the gravest first, then by key. */
List *
dbops_review_run(const char *review_name, const List *patterns)
{
	DbopsCheckScope here = {.database = MyDatabaseId, .connected = true};
	int			nest_level = NewGUCNestLevel();
	DbopsReview review = {0};
	List	   *choices;
	const DbopsRule *rule;
	const char *of;

	dbops_spell_names_as_keys();
	review.overrides = dbops_override_read(&here);
	dbops_look(look_around, &review);
	choices = read_choices();
	for (int i = 0; (rule = dbops_rule_at(i, &of)) != NULL; i++)
	{
		if (strcmp(of, review_name) != 0 || !is_wanted(rule, choices, patterns))
			continue;
		review.rule = rule;
		run_rule(&review);
	}
	AtEOXact_GUC(false, nest_level);
	list_sort(review.findings, dbops_review_gravest_first);
	return review.findings;
}

/* ---- what is reviewed ---- */

static void
look_around(void *arg)
{
	DbopsReview *review = arg;

	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	(void) dbops_query_each(MEMBERS_OF_EXTENSIONS, 0, NULL, take_scope, review);
	review->params[3] = dbops_param_time(dbops_clock_now());
}

static void
take_scope(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsReview *review = arg;

	for (int i = 0; i < 3; i++)
		review->params[i] = oids_param(row, desc, i + 1);
}

static DbopsParam
oids_param(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		oids = heap_getattr(row, column, desc, &isnull);

	return (DbopsParam) {.type = OIDARRAYOID, .value = PointerGetDatum(DatumGetArrayTypePCopy(oids))};
}

/* ---- which rules are run ---- */

/* What users have said of rules, as with set_check(). */
static List *
read_choices(void)
{
	List	   *choices = NIL;

	dbops_look(read_choices_bounded, &choices);
	return choices;
}

static void
read_choices_bounded(void *arg)
{
	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	(void) dbops_store_each("SELECT check_name, enabled FROM dbops.check_setting", 0, NULL, take_choice, arg);
}

static void
take_choice(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **choices = arg;
	Choice	   *choice = palloc(sizeof(Choice));

	choice->name = dbops_row_text(row, desc, 1);
	choice->enabled = dbops_row_bool(row, desc, 2);
	*choices = lappend(*choices, choice);
}

/* What is asked for by name runs, whatever was said of it before. */
static bool
is_wanted(const DbopsRule *rule, const List *choices, const List *patterns)
{
	ListCell   *cell;

	if (patterns != NIL)
		return is_like(rule->name, patterns);
	foreach(cell, choices)
	{
		const Choice *choice = lfirst(cell);

		if (strcmp(choice->name, rule->name) == 0)
			return choice->enabled;
	}
	return !rule->off;
}

static bool
is_like(const char *name, const List *patterns)
{
	ListCell   *cell;

	foreach(cell, patterns)
		if (dbops_review_is_like(name, lfirst(cell)))
			return true;
	return false;
}

/* Is a rule's name like a pattern of LIKE? */
bool
dbops_review_is_like(const char *name, const char *pattern)
{
	return DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID, CStringGetTextDatum(name),
												CStringGetTextDatum(pattern)));
}

/* ---- running one ---- */

/* Run a rule; if it fails, that is its finding. */
static void
run_rule(DbopsReview *review)
{
	int			before = list_length(review->findings);
	ErrorData  *error;

	CHECK_FOR_INTERRUPTS();
	review->state = NULL;
	if (!dbops_attempt(call_rule, review, &error))
	{
		review->findings = list_truncate(review->findings, before);
		dbops_review_report(review, (DbopsFinding)
							{
								.severity = DBOPS_UNKNOWN,
								.message = psprintf("could not be judged: %s (SQLSTATE %s)", error->message,
													unpack_sql_state(error->sqlerrcode)),
								.remedy = error->hint != NULL ? error->hint : "Look again; if it stays so, see the server's log."
							});
	}
	mark(review, before);
}

static void
call_rule(void *arg)
{
	dbops_look(call_bounded, arg);
}

static void
call_bounded(void *arg)
{
	DbopsReview *review = arg;
	const DbopsRule *rule = review->rule;

	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	if (rule->judge != NULL)
		rule->judge(review);
	else
		dbops_review_ask(review, rule->sql, rule->take != NULL ? rule->take : take_finding);
}

void
dbops_review_ask(DbopsReview *review, const char *sql, DbopsRowCallback each)
{
	(void) (review->rule->as_owner ? dbops_store_each : dbops_query_each)
		(sql, REVIEW_PARAMS, review->params, each, review);
}

/* Take a row as most queries give it. */
static void
take_finding(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsReview *review = arg;

	CHECK_FOR_INTERRUPTS();
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = severity_of(desc->natts > 3 ? dbops_row_text(row, desc, 4) : NULL, review->rule),
							.object = dbops_row_text(row, desc, 1),
							.message = dbops_row_text(row, desc, 2),
							.remedy = dbops_row_text(row, desc, 3)
						});
}

/* Read a severity; NULL is the rule's. */
static DbopsSeverity
severity_of(const char *name, const DbopsRule *rule)
{
	if (name == NULL)
		return rule->severity;
	for (int severity = DBOPS_OK; severity <= DBOPS_CRITICAL; severity++)
		if (strcmp(dbops_severity_name(severity), name) == 0)
			return severity;
	elog(ERROR, "unrecognized severity \"%s\"", name);
	return DBOPS_UNKNOWN;		/* keep the compiler quiet */
}

void
dbops_review_report(DbopsReview *review, DbopsFinding finding)
{
	DbopsFinding *kept = palloc(sizeof(DbopsFinding));

	finding.check_name = review->rule->name;
	finding.key = dbops_finding_key(finding.check_name, finding.object);
	*kept = finding;
	review->findings = lappend(review->findings, kept);
}

/* ---- what is said of each ---- */

/* Say of the findings of a rule, from the given one on, which are muted and where the rule comes from, beside what it says itself. */
static void
mark(DbopsReview *review, int from)
{
	for (int i = from; i < list_length(review->findings); i++)
	{
		DbopsFinding *finding = list_nth(review->findings, i);

		finding->muted_until = dbops_override_muted_until(review->overrides, finding->check_name, finding->key);
		finding->data = describe(finding, review->rule);
	}
}

static Jsonb *
describe(const DbopsFinding *finding, const DbopsRule *rule)
{
	DbopsJson	json = {0};
	Jsonb	   *said;

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "about", rule->about);
	dbops_json_text(&json, "source", rule->source);
	if (finding->muted_until != 0)
		dbops_json_time(&json, "muted_until", finding->muted_until);
	said = dbops_json_finish(&json);
	return (finding->data == NULL) ? said :
		DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(finding->data), JsonbPGetDatum(said)));
}

/* How reports are sorted: the gravest first, then by key. */
int
dbops_review_gravest_first(const ListCell *a, const ListCell *b)
{
	const DbopsFinding *left = lfirst(a);
	const DbopsFinding *right = lfirst(b);

	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}
