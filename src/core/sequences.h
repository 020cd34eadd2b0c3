/*
 * sequences.h
 *		How far sequences have come on the way to their end.
 *
 * The growth forecast, the check of their exhaustion and the review of the
 * schema read them here.
 */
#ifndef DBOPS_SEQUENCES_H
#define DBOPS_SEQUENCES_H

#include "core/server.h"

typedef struct Sequence
{
	Oid			oid;
	char	   *name;			/* quoted */
	char	   *column;			/* that has the least room, quoted; NULL: none is known */
	char	   *table;			/* the column's, quoted */
	char	   *column_name;	/* the column's own, quoted */
	Oid			relid;			/* the column's table; or InvalidOid */
	AttrNumber	attnum;			/* of the column */
	char	   *type;			/* of it, or of the sequence */
	bool		ascends;
	bool		cycles;			/* by itself, and so never ends */
	int64		increment;
	int64		start;			/* where its room begins */
	int64		bound;			/* the last value that it, or the column, can take */
	int64		last;			/* given out */
	double		used;			/* percent of the room */
} Sequence;

/* Of all of them, also of those that are not listed. */
typedef struct SequenceTotals
{
	int			n;
	int			skipped;		/* that somebody has locked */
	double		most_used;		/* percent, of those that end */
} SequenceTotals;

extern List *dbops_sequences_read(double least_used, SequenceTotals *totals);	/* of Sequence *, the fullest first */

#endif							/* DBOPS_SEQUENCES_H */
