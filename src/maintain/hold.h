/*
 * hold.h
 *		Holds: rows that must stay, for whoever deletes rows or drops tables.
 */
#ifndef DBOPS_HOLD_H
#define DBOPS_HOLD_H

#include "core/core.h"

#include "nodes/pg_list.h"

/*
 * beside: a table that this one was a partition of, and whose holds are its own
 * too; or InvalidOid. The conditions are SQL over a row by the name RETENTION_ROW.
 */
extern void dbops_hold_judge_at(TimestampTz now);
extern bool dbops_hold_lock(Oid relid, Oid beside, bool wait);
extern List *dbops_hold_conditions(Oid relid, Oid beside, Oid role);
extern List *dbops_hold_partitions(Oid relid);
extern List *dbops_hold_conditions_alone(Oid relid, Oid role);
extern int	dbops_hold_count(Oid relid);
extern bool dbops_hold_on_rows(Oid relid);
extern bool dbops_hold_any(Oid relid, Oid beside);
extern List *dbops_hold_unasked(Oid relid, Oid role);

#endif							/* DBOPS_HOLD_H */
