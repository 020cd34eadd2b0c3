/*
 * at_once.h
 *		Reads of catalogs that wait for nobody, for who asks them in SQL.
 */
#ifndef DBOPS_AT_ONCE_H
#define DBOPS_AT_ONCE_H

#include "core/server.h"

/* Lock catalogs and their indexes until the end of the subtransaction; an error rather than to wait. */
extern void dbops_catalogs_require(int n, const Oid *catalogs);

#endif							/* DBOPS_AT_ONCE_H */
