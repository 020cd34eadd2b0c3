/*
 * migration_plan.h
 *		What a migration would do, as its texts, the catalog and sizes tell.
 */
#ifndef DBOPS_MIGRATION_PLAN_H
#define DBOPS_MIGRATION_PLAN_H

#include "change/lint.h"
#include "change/migration.h"

/* ---- migration_estimate.c: what a statement takes ---- */

/* What is not known is negative. */
typedef struct MigrationEstimate
{
	double		duration;		/* ms */
	int64		bytes;			/* that are written */
	int64		rows;
	const char *basis;			/* what it rests on; or NULL */
} MigrationEstimate;

extern MigrationEstimate dbops_migration_estimate(const Node *statement, const char *effect, const List *targets);
extern double dbops_migration_written(const char *effect, const List *targets);
extern char *dbops_migration_size(double bytes);

/* ---- migration_check.c ---- */

extern char *dbops_migration_target_name(Oid relid);

/* ---- migration_plan.c: check_migration() at depth plan ---- */

extern void dbops_migration_plan(MigrationTrial *trial);

/* ---- migration_review.c: findings of the schema review that come and go ---- */

typedef struct MigrationReview
{
	List	   *findings;		/* of DbopsFinding * */
	double		duration;		/* ms that it took */
	const char *error;			/* why there is none; or NULL */
} MigrationReview;

extern MigrationReview *dbops_migration_review_take(void);
extern void dbops_migration_review_compare(ReturnSetInfo *rsinfo, const MigrationReview *before, const MigrationReview *after);
extern void dbops_migration_review_put(ReturnSetInfo *rsinfo, const DbopsFinding *finding, const char *state);

/* ---- migration_review_plan.c: the same, as lint has followed the texts ---- */

extern List *dbops_migration_review_foresee(ReturnSetInfo *rsinfo, Lint *lint, List **notices);

/* ---- migration_checklist.c: what a reviewer asks ---- */

extern void dbops_migration_checklist_put(const MigrationTrial *trial, Lint *lint, const List *findings, const List *rules);

#endif							/* DBOPS_MIGRATION_PLAN_H */
