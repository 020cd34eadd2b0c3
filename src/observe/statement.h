/*
 * statement.h
 *		What statements took, now and in past hours.
 *
 * The figures of pg_stat_statements only ever grow, until they are reset or a
 * statement is evicted. What happened in a time is told from two looks at them;
 * nothing here resets them, since others look at them too.
 */
#ifndef DBOPS_STATEMENT_H
#define DBOPS_STATEMENT_H

#include "observe/observe.h"

typedef enum StatementFigure
{
	SF_CALLS,
	SF_TIME,					/* ms, of execution */
	SF_ROWS,
	SF_HIT,						/* shared blocks */
	SF_READ,
	SF_TEMP,					/* blocks, read and written */
	SF_WAL,						/* bytes */
	N_STATEMENT_FIGURES
} StatementFigure;

/* Without padding: it is compared as memory. */
typedef struct StatementKey
{
	Oid			role;
	Oid			database;
	int64		id;				/* 0: those that have no row of their own */
	int64		toplevel;		/* 1, or 0: run by another */
} StatementKey;

typedef struct Statement
{
	StatementKey key;
	double		figures[N_STATEMENT_FIGURES];
	TimestampTz since;			/* when its figures began; 0: not told */
	const char *text;			/* NULL: not asked for, or not known */
} Statement;

/* A look at all of them. */
typedef struct StatementLook
{
	TimestampTz at;				/* when it began */
	double		took;			/* ms */
	TimestampTz reset;			/* when the figures were last reset; 0: not told */
	double		evictions;		/* since then, to make room; NaN: not told */
	int			n;
	Statement  *statements;		/* ordered by key */
} StatementLook;

/* ---- statement_look.c ---- */

extern StatementsState dbops_statements_look(StatementLook *look, bool texts);
extern void dbops_statements_require(StatementLook *look, bool texts);
extern int	dbops_statement_compare(const void *a, const void *b);
extern Statement *dbops_statement_find(const StatementLook *look, const StatementKey *key);

/* ---- statements.c: their sums ---- */

extern void dbops_statements_note(const StatementLook *look);

/* ---- statement_memory.c: what happened since the last look ---- */

#define MOST_STATEMENTS	10000	/* that are told apart */

extern void dbops_statement_memory_init(void);
extern void dbops_statement_memory_add(const StatementLook *look);
extern TimestampTz dbops_statement_memory_pending_since(void);
extern Statement *dbops_statement_memory_pending(int *n, TimestampTz *since);
extern Statement *dbops_statement_memory_take_pending(int *n);

/* ---- statement_history.c ---- */

extern void dbops_statement_history_init(void);
extern Statement *dbops_statement_history_read(TimestampTz since, int *n);
extern TimestampTz dbops_statement_hour(TimestampTz time);

/* ---- statement_text.c ---- */

extern void dbops_statement_text_keep(TimestampTz hour);

#endif							/* DBOPS_STATEMENT_H */
