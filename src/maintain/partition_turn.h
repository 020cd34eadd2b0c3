/*
 * partition_turn.h
 *		How a plain table becomes the first partition of a partitioned table that
 *		takes its name; what the files of CALL partition_table() share.
 *
 *		rehearse	all of it is done with an empty copy in the table's place, and
 *					rolled back, so that what the server refuses is known first
 *		prove		a constraint says that all rows are before the first boundary,
 *					and it is validated while everybody works
 *		swap		under a lock of a moment: the table is renamed, a partitioned
 *					table takes its name and what it has, and it is attached, without
 *					a scan
 *		ahead		partitions are made behind it
 *
 * A step tells by false that a lock was not to be had, and why; it is tried
 * again then, with nothing locked in between but the session's lock.
 */
#ifndef DBOPS_PARTITION_TURN_H
#define DBOPS_PARTITION_TURN_H

#include "maintain/partition.h"

typedef struct PartitionTurn
{
	Oid			table;
	Oid			owner;
	const char *schema;
	const char *relname;
	const char *name;			/* as SQL writes it */
	const char *column;
	AttrNumber	attnum;
	Interval	every;
	PartitionSet set;			/* clock and grid, as of a set without partitions */
	PartitionGrid grid;
	int64		boundary;		/* up to which it is the first partition */
	const char *first;			/* its new name, without the schema */
	bool		turned;			/* it is partitioned; partitions behind it may be missing */
	const char *why;			/* a lock was not to be had; or NULL */
} PartitionTurn;

typedef bool (*PartitionTurnStep) (PartitionTurn *turn);

/* ---- partition_turn_refuse.c: what must be changed first ---- */

extern void dbops_partition_turn_refuse(const PartitionTurn *turn); /* 55000, all obstacles at once */

/* ---- partition_turn_boundary.c: where the first partition ends, and its name ---- */

extern void dbops_partition_turn_bound(PartitionTurn *turn);

/* ---- partition_turn_follow.c: what follows to the new table ---- */

extern List *dbops_partition_turn_commands(const PartitionTurn *turn);
extern List *dbops_partition_turn_rehearsal(const PartitionTurn *turn);

/* ---- partition_turn_try.c: steps, and what is left of one that fails ---- */

extern void dbops_partition_turn_try(PartitionTurn *turn, PartitionTurnStep step);

/* The same of what leaves nothing behind. */
extern void dbops_partition_turn_repeat(PartitionTurn *turn, bool (*step) (void *arg), void *arg);

/* ---- partition_turn_prove.c: that all rows are before the boundary ---- */

extern char *dbops_partition_turn_proof_sql(const PartitionTurn *turn);
extern char *dbops_partition_turn_validate_sql(const PartitionTurn *turn);
extern bool dbops_partition_turn_add_proof(PartitionTurn *turn);
extern bool dbops_partition_turn_validate_proof(PartitionTurn *turn);
extern bool dbops_partition_turn_remove_proof(PartitionTurn *turn);

/* ---- partition_turn_swap.c: what is done under the lock of a moment ---- */

extern bool dbops_partition_turn_rehearse(PartitionTurn *turn);
extern bool dbops_partition_turn_swap(PartitionTurn *turn);

/* ---- partition_turn_ahead.c: the partitions behind it, and what is said in the end ---- */

extern void dbops_partition_turn_make_ahead(PartitionTurn *turn);
extern void dbops_partition_turn_show_ahead(const PartitionTurn *turn);

#endif							/* DBOPS_PARTITION_TURN_H */
