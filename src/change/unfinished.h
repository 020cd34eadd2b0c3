/*
 * unfinished.h
 *		What unfinished_changes() is made of: what was begun and not ended.
 */
#ifndef DBOPS_UNFINISHED_H
#define DBOPS_UNFINISHED_H

#include "change/change.h"

#include "core/report.h"

/* One of them. */
typedef struct Unfinished
{
	const char *kind;
	const char *object;			/* quoted */
	Oid			table;			/* InvalidOid: none */
	const char *detail;
	TimestampTz since;			/* it has stood so; 0: not known */
	const char *command;		/* that finishes it; NULL: none can be said */
} Unfinished;

/* When a row of a catalog was written, for a parameter that says whether that is known. */
#define UNFINISHED_SINCE(alias, known) \
	"CASE WHEN " known " THEN pg_xact_commit_timestamp(" alias ".xmin) END"

/* Keys of the jobs that begin, finish or abort a change t of dbops.column_change. */
#define UNFINISHED_COLUMN_KEYS(t) \
	"format('dbops %s %s %s', " t ".call, " t ".relid, " t ".column_name)," \
	" format('dbops finish_change %s %s', " t ".relid, " t ".column_name), format('dbops abort_change %s %s', " t ".relid, " t ".column_name)"

extern void dbops_unfinished_put(ReportRow *row, const Unfinished *unfinished);
extern DbopsParam dbops_unfinished_times_known(void);
extern const char *dbops_unfinished_definition(const char *function, Oid object, Oid table);

/* unfinished_job.c */
extern void dbops_unfinished_jobs(ReportRow *row);
extern void dbops_unfinished_triggers(ReportRow *row);

/* unfinished_call.c */
extern char *dbops_unfinished_backfill_call(Oid table, const Jsonb *spec, bool background);
extern char *dbops_unfinished_migration_call(const Jsonb *spec);

/* unfinished_column.c */
extern void dbops_unfinished_columns(ReportRow *row);

/* unfinished_index.c */
extern void dbops_unfinished_indexes(ReportRow *row);

/* unfinished_table.c */
extern void dbops_unfinished_constraints(ReportRow *row);
extern void dbops_unfinished_detaches(ReportRow *row);

#endif							/* DBOPS_UNFINISHED_H */
