/*
 * setting_drift.h
 *		Which settings of the server are not what they were?
 */
#ifndef DBOPS_SETTING_DRIFT_H
#define DBOPS_SETTING_DRIFT_H

#include "observe/observe.h"

extern void dbops_setting_drift_init(void);
extern TimestampTz dbops_setting_drift_read(TimestampTz since, List **names);

#endif							/* DBOPS_SETTING_DRIFT_H */
