/*
 * maintenance_mode.h
 *		Is somebody at work on the server, so that alerts would only disturb?
 *
 * For sessions, the launcher and standbys alike.
 */
#ifndef DBOPS_MAINTENANCE_MODE_H
#define DBOPS_MAINTENANCE_MODE_H

#include "observe/observe.h"

/* True while it lasts, with who began it, why and until when. mode may be NULL. */
extern bool dbops_maintenance_mode(DbopsNote *mode);

extern void dbops_maintenance_mode_init(void);
extern void dbops_maintenance_mode_put(DbopsJson *json, const char *key);

#endif							/* DBOPS_MAINTENANCE_MODE_H */
