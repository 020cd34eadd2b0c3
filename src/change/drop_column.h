/*
 * drop_column.h
 *		A column that is to be dropped, and what names it.
 */
#ifndef DBOPS_DROP_COLUMN_H
#define DBOPS_DROP_COLUMN_H

#include "change/online.h"

typedef struct ColumnDrop
{
	Oid			table;
	const char *table_name;		/* qualified and quoted */
	const char *column;			/* as the catalog has it */
	const char *name;			/* quoted */
} ColumnDrop;

/* The column, and those of partitions and children that go with it; $1 is the table, $2 the column. */
#define COLUMN_AND_BELOW \
	"WITH RECURSIVE own (relid, attnum) AS (SELECT a.attrelid, a.attnum::integer FROM pg_attribute a" \
	" WHERE a.attrelid = $1 AND a.attname = $2 AND NOT a.attisdropped" \
	" UNION SELECT a.attrelid, a.attnum::integer FROM own JOIN pg_inherits h ON h.inhparent = own.relid" \
	" JOIN pg_attribute a ON a.attrelid = h.inhrelid AND a.attname = $2 AND NOT a.attisdropped" \
	" AND a.attinhcount = 1 AND NOT a.attislocal)"

/* ---- drop_column_depend.c: what the server knows to depend on it ---- */

extern void dbops_drop_column_refuse_dependents(const ColumnDrop *drop);
extern void dbops_drop_column_tell_lost(const ColumnDrop *drop);

/* ---- drop_column_mention.c: texts that may name it ---- */

extern void dbops_drop_column_tell_mentions(const ColumnDrop *drop);
extern bool dbops_text_has_field(const char *text, const char *column);

/* ---- drop_column_row.c: functions of a whole row that read it ---- */

extern void dbops_drop_column_tell_row_functions(Oid table, const char *column, const char *what_to_do);
extern void dbops_drop_column_refuse_row_functions(Oid table, const char *column, const char *what_to_do);
extern char *dbops_drop_column_renew_indexes(Oid table, const char *column);

/* ---- drop_column_still.c: is it still the one that was looked at? ---- */

extern char *dbops_drop_column_still(const ColumnDrop *drop);

#endif							/* DBOPS_DROP_COLUMN_H */
