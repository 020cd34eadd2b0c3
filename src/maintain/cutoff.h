/*
 * cutoff.h
 *		A clock that has jumped must not empty a table: how far the time may move
 *		before which things go.
 *
 * Cutoffs are positions in microseconds, as partition.h has them.
 */
#ifndef DBOPS_CUTOFF_H
#define DBOPS_CUTOFF_H

#include "maintain/maintain.h"

#define CUTOFF_NONE		PG_INT64_MIN	/* position of no time at all */

/* The last cutoff that was allowed, as a policy remembers it. */
typedef struct CutoffMark
{
	int64		cutoff;			/* CUTOFF_NONE: none was */
	TimestampTz at;				/* when that was */
	int64		uptime;			/* us since the machine has booted, then */
	const char *boot;			/* which boot that was */
} CutoffMark;

extern CutoffMark dbops_cutoff_mark(int64 cutoff);
extern CutoffMark dbops_cutoff_read(const Jsonb *memory);
extern void dbops_cutoff_put(DbopsJson *json, const CutoffMark *mark);

/* What time it is, by how much has passed since the mark; by the calendar where there is none. */
extern TimestampTz dbops_cutoff_now(const CutoffMark *mark);

/* Has the cutoff moved much further than time has passed? As a user reads it; NULL: it has not. */
extern const char *dbops_cutoff_jump(const CutoffMark *mark, const Interval *keep, int64 cutoff);

#endif							/* DBOPS_CUTOFF_H */
