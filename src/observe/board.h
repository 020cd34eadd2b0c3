/*
 * board.h
 *		What was found when it was last looked at, for whoever asks next.
 */
#ifndef DBOPS_BOARD_H
#define DBOPS_BOARD_H

#include "observe/observe.h"

/* What stands there of a database and a reach. */
typedef struct BoardSheet
{
	TimestampTz judged_at;		/* 0: nothing that serves */
	uint64		settings;		/* mark of what users had changed of the checks: dbops_check_mark() */
	bool		whole;			/* what is ok has its texts too */
	List	   *findings;		/* of DbopsFinding *, in the reader's memory, the gravest first */
} BoardSheet;

extern void dbops_board_init(void);
extern void dbops_board_put(Oid database, DbopsCheckReach reach, uint64 settings, const List *findings);
extern void dbops_board_read(Oid database, DbopsCheckReach reach, BoardSheet *sheet);

/* Since when a finding has had its severity; 0: it is not on the board. */
extern TimestampTz dbops_board_since(Oid database, const DbopsFinding *finding);

#endif							/* DBOPS_BOARD_H */
