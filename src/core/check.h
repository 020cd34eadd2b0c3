/*
 * check.h
 *		A run of the health checks, for the files that look, judge, report and explain.
 *
 * What others need of checks is in core.h.
 */
#ifndef DBOPS_CHECK_H
#define DBOPS_CHECK_H

#include "core/core.h"

#define MAX_CHECK_SETS	24

struct DbopsCheckRun
{
	DbopsCheckScope scope;
	DbopsCheckReach reach;		/* of the checks that are wanted, where only one is */
	const DbopsCheck *wanted;	/* the only one; or NULL */
	const void *facts[MAX_CHECK_SETS];	/* what each set has seen */
	ErrorData  *errors[MAX_CHECK_SETS]; /* why it could not look; or NULL */
	const DbopsOverrides *of_database;
	const DbopsOverrides *of_cluster;	/* what the home database says */
	const DbopsCheck *check;	/* the one that is running */
	const DbopsThreshold *threshold;	/* in force for it */
	const void *check_facts;	/* its set's */
	ErrorData  *look_error;		/* likewise */
	List	   *findings;		/* of DbopsFinding * */
};

/* ---- check.c: the registry ---- */

extern const DbopsCheckSet *dbops_check_set_at(int number);
extern const DbopsCheckSet *dbops_check_set_of(const DbopsCheck *check);

/* ---- check_run.c ---- */

extern const DbopsOverrides *dbops_check_overrides(const DbopsCheckRun *run, const DbopsCheck *check);

/* ---- check_report.c ---- */

extern void dbops_check_report_failed(DbopsCheckRun *run, const ErrorData *error);
extern void dbops_check_report_disabled(DbopsCheckRun *run);
extern void dbops_check_put_figure(DbopsJson *json, const char *key, double figure);

#endif							/* DBOPS_CHECK_H */
