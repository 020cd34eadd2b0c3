/*
 * table_reads.h
 *		How tables are read, and by which statements.
 */
#ifndef DBOPS_TABLE_READS_H
#define DBOPS_TABLE_READS_H

#include "advise/advise.h"

/* ---- table_reads.c: how tables were read in a time ---- */

typedef struct TableReads
{
	Oid			table;
	const char *name;			/* without the schema */
	const char *schema;
	double		rows;			/* that it has, as last estimated */
	int64		scans;			/* sequential ones */
	int64		rows_read;		/* by these */
	int64		rows_by_index;	/* entries of indexes that were read, each a row */
	TimestampTz since;			/* when these began to be counted; 0: not known */
} TableReads;

extern void dbops_table_reads_init(void);
extern List *dbops_table_reads(double min_rows, TimestampTz since);

/* ---- table_statements.c: the statements that read them ---- */

typedef struct TableStatement
{
	int64		id;
	int64		calls;
	double		time;			/* ms, of all of them */
	const char *text;
	List	   *columns;		/* of char *: that it compares, of whichever table */
} TableStatement;

/* Which statements name a table. */
typedef struct NamedTable
{
	const char *schema;
	const char *name;
	List	   *statements;		/* of TableStatement *, those that take most time first */
} NamedTable;

/* Fill in the statements; why not, as a clause, or NULL. */
extern const char *dbops_table_statements(List *tables);

#endif							/* DBOPS_TABLE_READS_H */
