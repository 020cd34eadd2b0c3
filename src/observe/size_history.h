/*
 * size_history.h
 *		What the server held on past days: tables, databases, disks.
 */
#ifndef DBOPS_SIZE_HISTORY_H
#define DBOPS_SIZE_HISTORY_H

#include "observe/observe.h"

#define TRACKED_FROM	(1024 * 1024)	/* bytes of a relation whose table has a history */

extern void dbops_size_history_init(void);

/* measure_databases.c: what each database of the server holds */
extern void dbops_database_sizes_init(void);
extern void dbops_database_sizes_measure(void);

/* keep_sizes.c */
extern void dbops_sizes_keep(void *arg);

/* relation_history.c */
extern bool dbops_relation_history_is_due(TimestampTz now);
extern void dbops_relation_history_prepare(Measurement *measurement);
extern void dbops_relation_history_note(const Measurement *measurement, const Sizes *sizes);

/* disk_history.c */
extern void dbops_disks_keep(void *arg);

#endif							/* DBOPS_SIZE_HISTORY_H */
