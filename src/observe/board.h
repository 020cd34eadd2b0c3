/*
 * board.h
 *		What was found when it was last looked at, for whoever asks next.
 */
#ifndef DBOPS_BOARD_H
#define DBOPS_BOARD_H

#include "observe/observe.h"

/* A finding that stands on the board. */
typedef struct BoardFinding
{
	DbopsFinding finding;		/* in the reader's memory; data only if it is short */
	TimestampTz since;			/* it has been of this severity */
} BoardFinding;

extern void dbops_board_init(void);
extern void dbops_board_put(Oid database, DbopsCheckReach reach, const List *findings);

/* Of BoardFinding *, the gravest first; *judged_at is 0 where nothing stands. */
extern List *dbops_board_read(Oid database, DbopsCheckReach reach, TimestampTz *judged_at);

/* Since when a finding has had its severity; 0: it is not on the board. */
extern TimestampTz dbops_board_since(Oid database, const char *key);

#endif							/* DBOPS_BOARD_H */
