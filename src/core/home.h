/*
 * home.h
 *		Which database was home before the server was started.
 *
 * Which one is, everybody may ask (core.h).
 */
#ifndef DBOPS_HOME_H
#define DBOPS_HOME_H

#include "core/core.h"

extern Oid	dbops_home_former(void);

#endif							/* DBOPS_HOME_H */
