/*
 * review.h
 *		What the reviews share: how rules are run and what they are run on.
 */
#ifndef DBOPS_REVIEW_H
#define DBOPS_REVIEW_H

#include "core/rule.h"

/* ---- review_run.c: runs the rules ---- */

/*
 * What the queries of rules may refer to. $1: relations of extensions; $2: the
 * schemas that are reviewed; $3: functions of extensions; $4: the time.
 */
#define REVIEW_PARAMS	4

/* Relations that a user made: no temporary ones, and none of an extension. */
#define IS_USERS(alias) \
	alias ".relnamespace = ANY ($2) AND " alias ".oid <> ALL ($1) AND " alias ".relpersistence <> 't'"

/* Those of them that hold rows and stand for themselves: a partition is judged with its root. */
#define IS_TABLE(alias) \
	alias ".relkind IN ('r', 'p') AND NOT " alias ".relispartition AND " IS_USERS(alias)

struct DbopsReview
{
	const DbopsRule *rule;		/* the one that is running */
	DbopsParam	params[REVIEW_PARAMS];
	List	   *findings;		/* of DbopsFinding * */
	const DbopsOverrides *overrides;
	void	   *state;			/* of the rule that is running */
	const void *shared;			/* that several rules judge by; NULL: it has not been looked up yet */
	ErrorData  *unseen;			/* why $1 to $3 are not known; NULL: they are */
	int			waits;			/* for locks, in vain */
};

extern List *dbops_review_run(const char *review, const List *patterns);

/* Look at something, with bounded waits; its locks are given back. */
extern bool dbops_review_try(DbopsReview *review, DbopsCallback callback, void *arg, ErrorData **error);
extern void dbops_review_report_failure(DbopsReview *review, const ErrorData *error);
extern void dbops_review_mark(DbopsReview *review, int from);

/* Called by a rule for each thing that it has found; check_name and key follow from it. */
extern void dbops_review_report(DbopsReview *review, DbopsFinding finding);

/* Ask a rule's query with the parameters above. */
extern void dbops_review_ask(DbopsReview *review, const char *sql, DbopsRowCallback each);

/* ---- review_choice.c: which rules are run ---- */

extern List *dbops_review_patterns(FunctionCallInfo fcinfo, const char *review);
extern List *dbops_review_choices(DbopsReview *review);
extern bool dbops_review_is_wanted(const DbopsRule *rule, const List *choices, const List *patterns);

/* ---- one_line.c: line breaks in what is printed ---- */

extern const char *dbops_one_line_names(const char *text);
extern const char *dbops_one_line_statements(const char *sql);

/* ---- the rules of a schema ---- */

extern const DbopsRuleSet dbops_key_rules;
extern const DbopsRuleSet dbops_reference_rules;
extern const DbopsRuleSet dbops_number_rules;
extern const DbopsRuleSet dbops_type_rules;
extern const DbopsRuleSet dbops_column_rules;
extern const DbopsRuleSet dbops_policy_rules;
extern const DbopsRuleSet dbops_exposure_rules;
extern const DbopsRuleSet dbops_function_rules;
extern const DbopsRuleSet dbops_partition_rules;
extern const DbopsRuleSet dbops_growth_rules;
extern const DbopsRuleSet dbops_name_rules;
extern const DbopsRuleSet dbops_collation_rules;
extern const DbopsRuleSet dbops_table_rules;
extern const DbopsRuleSet dbops_unneeded_rules;
extern const DbopsRuleSet dbops_bloat_rules;

/* ---- the rules of privileges ---- */

extern const DbopsRuleSet dbops_role_rules;
extern const DbopsRuleSet dbops_grant_rules;
extern const DbopsRuleSet dbops_access_rules;

/* ---- review.c ---- */

typedef void (*DbopsFindingPut) (ReturnSetInfo *result, const DbopsFinding *finding);

extern void dbops_review_init(void);
extern Datum dbops_review_answer(FunctionCallInfo fcinfo, const char *review, DbopsFindingPut put);

#endif							/* DBOPS_REVIEW_H */
