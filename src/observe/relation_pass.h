/*
 * relation_pass.h
 *		One pass over the relations of the database, for all checks of tables.
 */
#ifndef DBOPS_RELATION_PASS_H
#define DBOPS_RELATION_PASS_H

#include "observe/checks.h"

/* What is noted of tables. */
typedef enum RelationAspect
{
	ASPECT_XID_AGE,				/* percent of the age that forces vacuum; figure: ids */
	ASPECT_MULTIXACT_AGE,		/* likewise */
	ASPECT_DEAD,				/* percent of rows; guard: dead rows */
	ASPECT_OVERDUE,				/* times the threshold of autovacuum; guard: rows; figure: 1: they are inserted, not dead */
	ASPECT_ANALYZE_OVERDUE,		/* likewise */
	ASPECT_NEVER_ANALYZED,		/* rows */
	ASPECT_PARENT_NEVER_ANALYZED,	/* rows below it */
	ASPECT_NO_AUTOVACUUM,		/* rows */
	ASPECT_NOT_HOT,				/* percent of updates; guard: updates */
	ASPECT_UNLOGGED,			/* bytes */
	ASPECT_ORPHANED,			/* 1 */
	N_ASPECTS
} RelationAspect;

typedef struct RelationPass
{
	ErrorData  *error;			/* NULL: it was made */
	Notables	aspects[N_ASPECTS];
} RelationPass;

extern const void *dbops_relation_pass(const DbopsCheckScope *scope);

#endif							/* DBOPS_RELATION_PASS_H */
