/*
 * table_reads.h
 *		How tables are read, and by which statements.
 */
#ifndef DBOPS_TABLE_READS_H
#define DBOPS_TABLE_READS_H

#include "advise/advise.h"

/* ---- table_reads.c: how tables were read in a time ---- */

#define ANY_ROWS	(-1)		/* that a table must have: those that nobody has counted are meant, too */

typedef struct TableReads
{
	Oid			table;
	Oid			root;			/* the partitioned table that it is a part of; or InvalidOid */
	const char *name;			/* without the schema */
	const char *schema;
	double		rows;			/* that it has, as last estimated */
	int64		scans;			/* sequential ones */
	int64		rows_read;		/* by these */
	int64		rows_by_index;	/* entries of indexes that were read, each a row */
	TimestampTz since;			/* when these began to be counted; 0: not known */
} TableReads;

extern void dbops_table_reads_init(void);
extern List *dbops_table_reads(int64 min_rows, TimestampTz since);

/* ---- table_scans.c: tables that are read mostly from end to end ---- */

typedef struct TableScans
{
	Oid			table;			/* partitioned or not */
	List	   *parts;			/* of TableReads *: its partitions, or itself */
	double		rows;
	int64		scans;			/* sequential ones, of all parts */
	int64		most_scans;		/* of one part */
	int64		rows_read;		/* by these */
	double		rows_ahead;		/* that these would have read had all gone to the end */
	int64		rows_by_index;
	TimestampTz since;			/* the earliest of the parts'; 0: not known */
} TableScans;

extern List *dbops_tables_scanned(int64 min_rows, TimestampTz since);

/* ---- table_statements.c: the statements that read them ---- */

typedef struct TableStatement
{
	int64		id;
	int64		calls;
	double		time;			/* ms, of all of them */
	const char *text;
	List	   *columns;		/* of char *: that it compares, and that may be the table's */
} TableStatement;

/* How a statement may call a table. */
typedef struct TableName
{
	const char *schema;
	const char *name;
} TableName;

/* Which statements name a table. */
typedef struct NamedTable
{
	List	   *names;			/* of TableName * */
	List	   *statements;		/* of TableStatement *, those that take most time first */
} NamedTable;

/* Fill in the statements; why not, as a clause, or NULL. */
extern const char *dbops_table_statements(List *tables);

#endif							/* DBOPS_TABLE_READS_H */
