/*
 * verdict.h
 *		What all checks together say of the server, for reports that sum it up.
 */
#ifndef DBOPS_VERDICT_H
#define DBOPS_VERDICT_H

#include "observe/metric.h"

/* What is asked for. */
typedef enum VerdictDepth
{
	VERDICT_SERVED,				/* what needs catalogs as it was judged last, without words for what is ok */
	VERDICT_IN_FULL,			/* with them */
	VERDICT_ANEW				/* all of it judged now, whatever that costs */
} VerdictDepth;

typedef struct Verdict
{
	DbopsCheckRun *run;
	const Health *health;		/* the figures that were judged */
	CollectorState collector;
	const char *status;			/* in the word that applications know */
	List	   *findings;		/* of DbopsFinding *, the gravest first */
	TimestampTz judged_at;		/* those that need catalogs */
	DbopsSeverity worst;		/* of the findings that count */
	int			muted;			/* findings */
	List	   *reasons;		/* of char *: why the status is not healthy */
} Verdict;

extern void dbops_verdict_reach(Verdict *verdict, VerdictDepth depth);
extern List *dbops_verdict_of_check(const DbopsCheck *check);
extern TimestampTz dbops_verdict_since(const DbopsFinding *finding);

/* Whether samples come, in a word: ok, starting, stale, off or none. */
extern const char *dbops_collector_word(const CollectorState *state);

#endif							/* DBOPS_VERDICT_H */
