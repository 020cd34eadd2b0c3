/*
 * statement_memory.h
 *		The memory of statements, for who compares and who keeps it across a restart.
 */
#ifndef DBOPS_STATEMENT_MEMORY_H
#define DBOPS_STATEMENT_MEMORY_H

#include "observe/statement.h"

#define MOST_DATABASES	4096	/* whose totals are kept; those that did nothing longest give way */

typedef struct Kept
{
	StatementKey key;
	TimestampTz since;			/* of its figures; 0: not told, or it is gone */
	double		last[N_STATEMENT_FIGURES];
	double		pending[N_STATEMENT_FIGURES];	/* added, and not in the history yet */
} Kept;

typedef struct Totals
{
	Oid			database;		/* InvalidOid: of the cluster, or free */
	TimestampTz active;
	double		calls;
	double		time;			/* ms */
	double		slow;			/* calls of statements that were slow on the average of a look */
} Totals;

/* Raise the version of what is kept when this, or what is in it, changes. */
typedef struct Memory
{
	volatile bool changing;		/* by who has the lock; else it is sound */
	bool		saved;			/* pg_stat_statements was told to keep its figures when this was kept */
	TimestampTz at;				/* of the last look; 0: there was none */
	TimestampTz reset;			/* as it was told then */
	bool		partial;		/* there were more than are kept */
	TimestampTz pending_since;	/* 0: nothing is pending */
	Totals		cluster;
	Totals		databases[MOST_DATABASES];
	int			n;
	Kept		kept[MOST_STATEMENTS];	/* ordered by key */
} Memory;

/* ---- statement_restart.c ---- */

extern void dbops_statement_memory_prepare(void *place);

#endif							/* DBOPS_STATEMENT_MEMORY_H */
