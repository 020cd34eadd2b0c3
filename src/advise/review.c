/*
 * review.c
 *		review(), review_schema(), review_privileges(), rule_list().
 *
 * What the rules find is a finding like that of a health check, and is muted in
 * the same way. One that is muted is still shown by the review that found it,
 * with muted_until in its data; review(), which is a list of what there is to do,
 * leaves it out and says how many there are.
 */
#include "advise/review.h"
#include "advise/setting_review.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

PG_FUNCTION_INFO_V1(dbops_review_schema);
PG_FUNCTION_INFO_V1(dbops_review_privileges);
PG_FUNCTION_INFO_V1(dbops_review);
PG_FUNCTION_INFO_V1(dbops_rule_list);

static int	put_what_counts(ReturnSetInfo *result, const List *findings, bool with_muted);
static void put_muted(ReturnSetInfo *result, int n_muted);
static void put_rule(ReturnSetInfo *result, const DbopsRule *rule, const char *review);

/* Register all rules. */
void
dbops_review_init(void)
{
	dbops_rule_register(&dbops_access_rules);
	dbops_rule_register(&dbops_bloat_rules);
	dbops_rule_register(&dbops_collation_rules);
	dbops_rule_register(&dbops_column_rules);
	dbops_rule_register(&dbops_exposure_rules);
	dbops_rule_register(&dbops_function_rules);
	dbops_rule_register(&dbops_grant_rules);
	dbops_rule_register(&dbops_growth_rules);
	dbops_rule_register(&dbops_key_rules);
	dbops_rule_register(&dbops_name_rules);
	dbops_rule_register(&dbops_number_rules);
	dbops_rule_register(&dbops_partition_rules);
	dbops_rule_register(&dbops_policy_rules);
	dbops_rule_register(&dbops_reference_rules);
	dbops_rule_register(&dbops_role_rules);
	dbops_rule_register(&dbops_setting_rules);
	dbops_rule_register(&dbops_table_rules);
	dbops_rule_register(&dbops_type_rules);
	dbops_rule_register(&dbops_unneeded_rules);
}

/* review_schema(rules text[]) → setof finding */
Datum
dbops_review_schema(PG_FUNCTION_ARGS)
{
	return dbops_review_answer(fcinfo, "schema", dbops_finding_put);
}

/* review_privileges(rules text[]) → setof finding */
Datum
dbops_review_privileges(PG_FUNCTION_ARGS)
{
	return dbops_review_answer(fcinfo, "privileges", dbops_finding_put);
}

/* Answer a call with what the rules find that its first argument asks for. */
Datum
dbops_review_answer(FunctionCallInfo fcinfo, const char *review, DbopsFindingPut put)
{
	List	   *patterns = dbops_review_patterns(fcinfo, review);
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_review_run(review, patterns))
		put((ReturnSetInfo *) fcinfo->resultinfo, lfirst(cell));
	return (Datum) 0;
}

/* ---- review() ---- */

/* review(muted boolean) → setof finding: all that is to be done, the gravest first */
Datum
dbops_review(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *result = (ReturnSetInfo *) fcinfo->resultinfo;
	bool		with_muted = !PG_ARGISNULL(0) && PG_GETARG_BOOL(0);
	int			n_muted;

	InitMaterializedSRF(fcinfo, 0);
	n_muted = put_what_counts(result, dbops_review_run(NULL, NIL), with_muted);
	if (n_muted > 0)
		put_muted(result, n_muted);
	return (Datum) 0;
}

/* Put what is not as it should be; returns how many were left out. */
static int
put_what_counts(ReturnSetInfo *result, const List *findings, bool with_muted)
{
	int			n_muted = 0;
	ListCell   *cell;

	foreach(cell, findings)
	{
		const DbopsFinding *finding = lfirst(cell);

		if (finding->severity == DBOPS_OK)
			continue;
		if (finding->muted_until != 0 && !with_muted)
			n_muted++;
		else
			dbops_finding_put(result, finding);
	}
	return n_muted;
}

/* What is left out is not forgotten. */
static void
put_muted(ReturnSetInfo *result, int n_muted)
{
	DbopsFinding finding = {
		.check_name = "review.muted",
		.severity = DBOPS_INFO,
		.message = psprintf(ngettext("%d finding is muted and left out", "%d findings are muted and left out", n_muted), n_muted),
		.remedy = "SELECT * FROM dbops.muted_findings();\nSELECT * FROM dbops.review(muted => true);",
		.key = "review.muted"
	};

	dbops_finding_put(result, &finding);
}

/* ---- rule_list() ---- */

/* rule_list() → every rule of every review */
Datum
dbops_rule_list(PG_FUNCTION_ARGS)
{
	const DbopsRule *rule;
	const char *review;

	InitMaterializedSRF(fcinfo, 0);
	for (int i = 0; (rule = dbops_rule_at(i, &review)) != NULL; i++)
		put_rule((ReturnSetInfo *) fcinfo->resultinfo, rule, review);
	return (Datum) 0;
}

static void
put_rule(ReturnSetInfo *result, const DbopsRule *rule, const char *review)
{
	Datum		values[6];
	bool		nulls[6] = {0};

	values[0] = CStringGetTextDatum(rule->name);
	values[1] = CStringGetTextDatum(review);
	values[2] = CStringGetTextDatum(dbops_severity_name(rule->severity));
	values[3] = BoolGetDatum(!rule->off);
	values[4] = CStringGetTextDatum(rule->about);
	values[5] = CStringGetTextDatum(rule->source);
	tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}
