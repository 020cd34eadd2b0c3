/*
 * health_document.h
 *		The parts of the document that system_health_check() returns.
 */
#ifndef DBOPS_HEALTH_DOCUMENT_H
#define DBOPS_HEALTH_DOCUMENT_H

#include "observe/verdict.h"

/* ---- health_performance.c ---- */

extern void dbops_health_put_performance(DbopsJson *json, const Health *health);
extern bool dbops_health_has_index_figures(const Health *health);
extern void dbops_health_put_host(DbopsJson *json);

/* ---- health_storage.c ---- */

extern void dbops_health_put_storage(DbopsJson *json, const Health *health);
extern void dbops_health_put_bytes(DbopsJson *json, const char *key, double bytes);

#endif							/* DBOPS_HEALTH_DOCUMENT_H */
