/*
 * check_override.h
 *		Where what users changed of checks is kept: in tables, and in shared memory.
 *
 * What others need of it is in core.h.
 */
#ifndef DBOPS_CHECK_OVERRIDE_H
#define DBOPS_CHECK_OVERRIDE_H

#include "core/server.h"

#define DBOPS_MOST_MUTES	256 /* of a database, at the same time */

/* ---- check_override_pool.c: in shared memory ---- */

extern void dbops_override_pool_init(void);
extern uint64 dbops_override_pool_generation(void);
extern bool dbops_override_recall(const DbopsCheckScope *scope, DbopsOverrides *overrides);
extern void dbops_override_copy(Oid database, DbopsOverrides *overrides);
extern void dbops_override_publish(const DbopsOverrides *overrides, uint64 seen);
extern void dbops_override_publish_at_commit(void *overrides);

/* ---- check_override_table.c: in the tables of this database ---- */

extern bool dbops_override_read_tables(DbopsOverrides *overrides);

/* ---- check_override_use.c ---- */

extern uint64 dbops_override_hash(const char *key);

#endif							/* DBOPS_CHECK_OVERRIDE_H */
