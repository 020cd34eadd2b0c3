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
};

/* What there is to say by default, or what the patterns of an SQL argument ask for. */
extern List *dbops_review_run(const char *review, const List *patterns);

extern bool dbops_review_is_like(const char *name, const char *pattern);
extern int	dbops_review_gravest_first(const ListCell *a, const ListCell *b);

/* Called by a rule for each thing that it has found; check_name and key follow from it. */
extern void dbops_review_report(DbopsReview *review, DbopsFinding finding);

/* Ask a rule's query with the parameters above. */
extern void dbops_review_ask(DbopsReview *review, const char *sql, DbopsRowCallback each);

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

/* ---- the rules of privileges ---- */

extern const DbopsRuleSet dbops_role_rules;
extern const DbopsRuleSet dbops_grant_rules;
extern const DbopsRuleSet dbops_access_rules;

/* ---- review.c ---- */

extern void dbops_review_init(void);
extern List *dbops_review_patterns(FunctionCallInfo fcinfo, const char *review);

#endif							/* DBOPS_REVIEW_H */
