/*
 * growth.h
 *		How much a database grows in a day.
 */
#ifndef DBOPS_GROWTH_H
#define DBOPS_GROWTH_H

#include "observe/observe.h"

extern void dbops_growth_init(void);
extern void dbops_growth_ask(void *arg);

/* In bytes; NaN: not known, or not yet. */
extern double dbops_growth_per_day(Oid database);

#endif							/* DBOPS_GROWTH_H */
