/*
 * review_choice.c
 *		Which rules a review runs.
 *
 * A user decides: by name for once, or with set_check() for good; what is a
 * matter of taste is off until then.
 */
#include "advise/review.h"

#include "catalog/pg_collation.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/fmgrprotos.h"

/* What a user has said of a rule. */
typedef struct Choice
{
	const char *name;
	bool		enabled;
} Choice;

static void read_choices(void *arg);
static void take_choice(HeapTuple row, TupleDesc desc, void *arg);
static void check_pattern(const char *review, const char *pattern);
static bool ends_in_escape(const char *pattern);
static bool is_any_like(const char *review, const char *pattern);
static bool is_like_any(const char *name, const List *patterns);
static bool is_like(const char *name, const char *pattern);

/* What stands for the choices where they cannot be read. */
static const DbopsRule unread_choices = {
	.name = "review.choices",
	.about = "whether set_check() has turned rules on or off",
	.source = "dbops"
};

/* ---- for good ---- */

/* What users have said of rules, as with set_check(); where that cannot be read, the rules are run as they are shipped. */
List *
dbops_review_choices(DbopsReview *review)
{
	List	   *choices = NIL;
	ErrorData  *error;

	if (dbops_review_try(review, read_choices, &choices, &error))
		return choices;
	review->rule = &unread_choices;
	dbops_review_report_failure(review, error);
	dbops_review_mark(review, 0);
	return NIL;
}

static void
read_choices(void *arg)
{
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
bool
dbops_review_is_wanted(const DbopsRule *rule, const List *choices, const List *patterns)
{
	ListCell   *cell;

	if (patterns != NIL)
		return is_like_any(rule->name, patterns);
	foreach(cell, choices)
	{
		const Choice *choice = lfirst(cell);

		if (strcmp(choice->name, rule->name) == 0)
			return choice->enabled;
	}
	return !rule->off;
}

/* ---- for once ---- */

/* The patterns that are asked for; null or an empty array is none. One that no rule is like has been mistyped. */
List *
dbops_review_patterns(FunctionCallInfo fcinfo, const char *review)
{
	List	   *patterns;
	ListCell   *cell;

	if (PG_ARGISNULL(0))
		return NIL;
	patterns = dbops_texts(PG_GETARG_ARRAYTYPE_P(0));
	foreach(cell, patterns)
		check_pattern(review, lfirst(cell));
	return patterns;
}

static void
check_pattern(const char *review, const char *pattern)
{
	CHECK_FOR_INTERRUPTS();
	if (pattern == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("rules must not have a null in it"),
				 errhint("SELECT rule_name FROM dbops.rule_list() WHERE review = '%s'; lists them.", review)));
	if (ends_in_escape(pattern))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_ESCAPE_SEQUENCE),
				 errmsg("the pattern \"%s\" ends in a backslash", pattern),
				 errhint("SELECT rule_name FROM dbops.rule_list() WHERE review = '%s'; lists names, of which none has one.", review)));
	if (!is_any_like(review, pattern))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("no rule of the review of %s is like \"%s\"", review, pattern),
				 errhint("SELECT rule_name FROM dbops.rule_list() WHERE review = '%s'; lists them.", review)));
}

static bool
ends_in_escape(const char *pattern)
{
	int			backslashes = 0;

	for (const char *end = pattern + strlen(pattern); end > pattern && end[-1] == '\\'; end--)
		backslashes++;
	return backslashes % 2 == 1;
}

static bool
is_any_like(const char *review, const char *pattern)
{
	const DbopsRule *rule;
	const char *of;

	for (int i = 0; (rule = dbops_rule_at(i, &of)) != NULL; i++)
		if (strcmp(of, review) == 0 && is_like(rule->name, pattern))
			return true;
	return false;
}

static bool
is_like_any(const char *name, const List *patterns)
{
	ListCell   *cell;

	foreach(cell, patterns)
	{
		CHECK_FOR_INTERRUPTS();
		if (is_like(name, lfirst(cell)))
			return true;
	}
	return false;
}

/* Is a rule's name like a pattern of LIKE? */
static bool
is_like(const char *name, const char *pattern)
{
	text	   *name_text = cstring_to_text(name);
	text	   *pattern_text = cstring_to_text(pattern);
	bool		like = DatumGetBool(DirectFunctionCall2Coll(textlike, C_COLLATION_OID, PointerGetDatum(name_text),
															PointerGetDatum(pattern_text)));

	pfree(name_text);
	pfree(pattern_text);
	return like;
}
