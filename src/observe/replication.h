/*
 * replication.h
 *		What is missed: the beat of the primary, or a standby that lagged.
 */
#ifndef DBOPS_REPLICATION_H
#define DBOPS_REPLICATION_H

#include "observe/observe.h"

/* Seconds after a beat from which the next is missed: it may be late, and one may be lost. */
#define GRACE			3.0		/* s that a sign of life may be late */
#define BEAT_MISSED(beat) (2 * (beat) + GRACE)

/* A standby that is not there any more. */
typedef struct GoneStandby
{
	TimestampTz at;				/* when it was last seen */
	double		lag;			/* s */
} GoneStandby;

extern double dbops_replication_silence(void);	/* s; NaN: before the first beat */
extern void dbops_primary_beat_init(void);
extern double dbops_primary_beat(void); /* s; 0: there is none; NaN: not known yet */
extern bool dbops_replication_misses(const Replication *replication, GoneStandby *gone);

#endif							/* DBOPS_REPLICATION_H */
