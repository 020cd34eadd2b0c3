/*
 * primary.h
 *		Functions that can do their work on a primary only.
 */
#ifndef DBOPS_PRIMARY_H
#define DBOPS_PRIMARY_H

#include "core/core.h"

extern void dbops_require_primary(FunctionCallInfo fcinfo);

#endif							/* DBOPS_PRIMARY_H */
