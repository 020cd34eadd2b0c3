/*
 * review_run.c
 *		How the rules of a review are run.
 *
 * Each rule is one look at the catalog and runs on its own: what it waits for in
 * vain, as a lock, or fails at makes it unknown, and the others go on. Its locks
 * are given back before the next. Who has locked a catalog that every rule needs
 * is not waited for by each of them.
 */
#include "advise/review.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"
#include "utils/guc.h"

#define LONGEST_WAIT	100		/* ms, for a lock */
#define WAITS			10		/* in vain; afterwards no lock is waited for */

/* What is looked at, on its way through dbops_attempt and dbops_look. */
typedef struct Look
{
	DbopsReview *review;
	DbopsCallback callback;
	void	   *arg;
} Look;

/* A query of a rule, on its way to the extension's owner. */
typedef struct Question
{
	DbopsReview *review;
	const char *sql;
	DbopsRowCallback each;
} Question;

#define MEMBERS_OF_EXTENSIONS \
	"SELECT array(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_class'::regclass AND d.deptype = 'e'), " \
	"array(SELECT n.oid FROM pg_namespace n WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') AND n.nspname !~ '^pg_(toast_)?temp_'), " \
	"array(SELECT d.objid FROM pg_depend d WHERE d.refclassid = 'pg_extension'::regclass AND d.classid = 'pg_proc'::regclass AND d.deptype = 'e')"

static bool is_of(const char *review_of_rule, const char *review_name);
static bool has_query(const DbopsRule *rule);
static void look_around(DbopsReview *review);
static void find_scope(void *arg);
static void take_scope(HeapTuple row, TupleDesc desc, void *arg);
static DbopsParam oids_param(HeapTuple row, TupleDesc desc, int column);
static void look(void *arg);
static void look_bounded(void *arg);
static void run_rule(DbopsReview *review);
static void judge(void *arg);
static void ask(void *arg);
static bool asks_for_scope(const char *sql);
static void take_finding(HeapTuple row, TupleDesc desc, void *arg);
static DbopsSeverity severity_of(const char *name, const DbopsRule *rule);
static const char *key_of(const DbopsFinding *finding);
static Jsonb *describe(const DbopsFinding *finding, const DbopsRule *rule);
static int	gravest_first(const ListCell *a, const ListCell *b);

/*
 * Run the rules of a review, or of all (NULL), that are on or are like one of the
 * patterns, unless these are NIL; returns a list of DbopsFinding *, the gravest
 * first, then by key.
 */
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
	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	review.overrides = dbops_override_read(&here);
	look_around(&review);
	choices = (patterns == NIL) ? dbops_review_choices(&review) : NIL;
	for (int i = 0; (rule = dbops_rule_at(i, &of)) != NULL; i++)
	{
		if (!is_of(of, review_name) || !has_query(rule) || !dbops_review_is_wanted(rule, choices, patterns))
			continue;
		review.rule = rule;
		run_rule(&review);
	}
	AtEOXact_GUC(false, nest_level);
	list_sort(review.findings, gravest_first);
	return review.findings;
}

static bool
is_of(const char *review_of_rule, const char *review_name)
{
	return review_name == NULL || strcmp(review_of_rule, review_name) == 0;
}

/* Rules of lint_sql() judge statements, and have nothing to say of the database. */
static bool
has_query(const DbopsRule *rule)
{
	return rule->sql != NULL || rule->judge != NULL;
}

/* ---- what is reviewed ---- */

/* Find what the queries of rules refer to; where that cannot be seen, those that need it are unknown. */
static void
look_around(DbopsReview *review)
{
	for (int i = 0; i < REVIEW_PARAMS - 1; i++)
		review->params[i] = dbops_param_oids(NIL);
	review->params[REVIEW_PARAMS - 1] = dbops_param_time(dbops_clock_now());
	(void) dbops_review_try(review, find_scope, review, &review->unseen);
}

static void
find_scope(void *arg)
{
	(void) dbops_query_latest(MEMBERS_OF_EXTENSIONS, 0, NULL, take_scope, arg);
}

static void
take_scope(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsReview *review = arg;

	for (int i = 0; i < REVIEW_PARAMS - 1; i++)
		review->params[i] = oids_param(row, desc, i + 1);
}

static DbopsParam
oids_param(HeapTuple row, TupleDesc desc, int column)
{
	bool		isnull;
	Datum		oids = heap_getattr(row, column, desc, &isnull);

	return (DbopsParam) {.type = OIDARRAYOID, .value = PointerGetDatum(DatumGetArrayTypePCopy(oids))};
}

/* ---- looking, and not waiting long ---- */

/* Call back for something to be looked at; false if that failed. */
bool
dbops_review_try(DbopsReview *review, DbopsCallback callback, void *arg, ErrorData **error)
{
	Look		one = {.review = review, .callback = callback, .arg = arg};

	CHECK_FOR_INTERRUPTS();
	if (dbops_attempt(look, &one, error))
		return true;
	if ((*error)->sqlerrcode == ERRCODE_LOCK_NOT_AVAILABLE)
		review->waits++;
	return false;
}

static void
look(void *arg)
{
	dbops_look(look_bounded, arg);
}

static void
look_bounded(void *arg)
{
	const Look *one = arg;

	if (one->review->waits >= WAITS)
		(void) dbops_begin_bounded_wait(1);
	one->callback(one->arg);
}

/* ---- running a rule ---- */

/* Run a rule; if it fails, that is its finding. */
static void
run_rule(DbopsReview *review)
{
	int			before = list_length(review->findings);
	ErrorData  *error;

	review->state = NULL;
	if (!dbops_review_try(review, judge, review, &error))
	{
		review->findings = list_truncate(review->findings, before);
		dbops_review_report_failure(review, error);
	}
	dbops_review_mark(review, before);
}

/* Say that what the rule looks at could not be seen. */
void
dbops_review_report_failure(DbopsReview *review, const ErrorData *error)
{
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = DBOPS_UNKNOWN,
							.message = psprintf("could not be judged: %s (SQLSTATE %s)", error->message,
												unpack_sql_state(error->sqlerrcode)),
							.remedy = error->hint != NULL ? error->hint : "Look again; if it stays so, see the server's log."
						});
}

static void
judge(void *arg)
{
	DbopsReview *review = arg;
	const DbopsRule *rule = review->rule;

	if (rule->judge != NULL)
		rule->judge(review);
	else
		dbops_review_ask(review, rule->sql, rule->take != NULL ? rule->take : take_finding);
}

void
dbops_review_ask(DbopsReview *review, const char *sql, DbopsRowCallback each)
{
	Question	question = {.review = review, .sql = sql, .each = each};

	if (review->unseen != NULL && asks_for_scope(sql))
		ThrowErrorData(review->unseen);
	if (review->rule->as_owner)
		dbops_run_as_extension(ask, &question);
	else
		ask(&question);
}

static void
ask(void *arg)
{
	const Question *question = arg;

	(void) dbops_query_latest(question->sql, REVIEW_PARAMS, question->review->params, question->each, question->review);
}

/* Does a query refer to what was looked up for all of them? */
static bool
asks_for_scope(const char *sql)
{
	return strstr(sql, "$1") != NULL || strstr(sql, "$2") != NULL || strstr(sql, "$3") != NULL;
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
	finding.object = dbops_one_line_names(finding.object);
	finding.message = dbops_one_line_names(finding.message);
	finding.remedy = dbops_one_line_statements(finding.remedy);
	finding.key = key_of(&finding);
	*kept = finding;
	review->findings = lappend(review->findings, kept);
}

/* Whoever mutes that a rule could not be judged once does not mute what it finds. */
static const char *
key_of(const DbopsFinding *finding)
{
	if (finding->object == NULL && finding->severity == DBOPS_UNKNOWN)
		return psprintf("%s:(unknown)", finding->check_name);
	return dbops_finding_key(finding->check_name, finding->object);
}

/* ---- what is said of each ---- */

/* Say of the findings of a rule, from the given one on, which are muted and where the rule comes from, beside what it says itself. */
void
dbops_review_mark(DbopsReview *review, int from)
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
static int
gravest_first(const ListCell *a, const ListCell *b)
{
	const DbopsFinding *left = lfirst(a);
	const DbopsFinding *right = lfirst(b);

	if (left->severity != right->severity)
		return (left->severity > right->severity) ? -1 : 1;
	return strcmp(left->key, right->key);
}
