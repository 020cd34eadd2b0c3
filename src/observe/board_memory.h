/*
 * board_memory.h
 *		Where what was found is kept: sheets of bytes in shared memory.
 */
#ifndef DBOPS_BOARD_MEMORY_H
#define DBOPS_BOARD_MEMORY_H

#include "core/core.h"

/* What is remembered of every finding. */
typedef struct BoardNote
{
	TimestampTz since;			/* it has been of this severity */
	uint32		key;			/* hash of the finding's key */
	uint16		text_bytes;		/* of its texts, among those that follow the notes */
	uint8		check;			/* its number */
	uint8		severity;
} BoardNote;

/*
 * A sheet as it is put, or as far as it is still there: the notes, then their
 * texts in the order of the notes.
 */
typedef struct BoardBytes
{
	TimestampTz judged_at;
	uint64		settings;		/* mark of what users had changed of its checks */
	int			n_notes;
	int			needed;			/* bytes, without which it cannot be served */
	int			whole;			/* bytes, when it was put */
	int			n;				/* bytes that are there */
	char	   *bytes;			/* of a reader or writer; in shared memory NULL */
} BoardBytes;

extern void dbops_board_memory_init(void);
extern void dbops_board_memory_put(Oid database, DbopsCheckReach reach, const BoardBytes *sheet);
extern bool dbops_board_memory_get(Oid database, DbopsCheckReach reach, bool texts, BoardBytes *sheet);

#endif							/* DBOPS_BOARD_MEMORY_H */
