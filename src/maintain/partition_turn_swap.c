/*
 * partition_turn_swap.c
 *		What is done to the table under an AccessExclusiveLock of a moment: the
 *		swap, and its rehearsal, of which nothing is left.
 *
 * Nothing in it reads rows: the constraint that is proven spares ATTACH that.
 */
#include "maintain/partition_turn.h"

#include "utils/lsyscache.h"

/* Commands on their way, as the owner of the table. */
typedef struct Commands
{
	Oid			role;
	const List *commands;
} Commands;

static bool lock_all(PartitionTurn *turn);
static void take_along(const PartitionTurn *turn);
static bool run_commands(PartitionTurn *turn, DbopsCallback run, const List *commands);
static void run_as_owner(void *arg);
static void run_and_undo(void *arg);
static void run_all(void *arg);

/* The table last, since nobody can use it any more while others are waited for. */
static bool
lock_all(PartitionTurn *turn)
{
	return dbops_partition_lock_referenced(list_make1_oid(turn->table), ShareRowExclusiveLock, &turn->why) &&
		dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why);
}

/* Do all of it with an empty copy, for a moment. */
bool
dbops_partition_turn_rehearse(PartitionTurn *turn)
{
	return lock_all(turn) &&
		run_commands(turn, run_and_undo, dbops_partition_turn_rehearsal(turn));
}

/* The commands are read under the lock, so that nothing comes in between. */
bool
dbops_partition_turn_swap(PartitionTurn *turn)
{
	if (!lock_all(turn))
		return false;
	dbops_partition_turn_refuse(turn);
	if (!run_commands(turn, run_as_owner, dbops_partition_turn_commands(turn)))
		return false;
	take_along(turn);
	return true;
}

/* What is said about the table is said about all of its rows to come: policies and holds. */
static void
take_along(const PartitionTurn *turn)
{
	DbopsParam	params[] = {
		dbops_param_oid(turn->table),
		dbops_param_oid(get_relname_relid(turn->relname, get_rel_namespace(turn->table)))
	};

	dbops_store_each("UPDATE dbops.policy SET relation = $2 WHERE relation = $1", lengthof(params), params, NULL, NULL);
	dbops_store_each("UPDATE dbops.hold SET relation = $2 WHERE relation = $1", lengthof(params), params, NULL, NULL);
}

/* All or nothing; false: a lock was not to be had. */
static bool
run_commands(PartitionTurn *turn, DbopsCallback run, const List *commands)
{
	Commands	all = {.role = turn->owner,.commands = commands};

	return dbops_partition_try(run, &all, &turn->why);
}

static void
run_as_owner(void *arg)
{
	dbops_run_as(((Commands *) arg)->role, run_all, arg);
}

static void
run_and_undo(void *arg)
{
	dbops_look(run_as_owner, arg);
}

static void
run_all(void *arg)
{
	const ListCell *cell;

	foreach(cell, ((Commands *) arg)->commands)
		dbops_query_command(lfirst(cell));
}
