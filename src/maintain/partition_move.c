/*
 * partition_move.c
 *		Rows of the default partition on their way into a partition of their own.
 *
 * All of it is one transaction. The new table is made, filled, and given what
 * takes long, its indexes and foreign keys, before the parent and the default
 * partition are locked against everybody: then come the rows that have come
 * meanwhile, and ATTACH, which reads what is left of the default partition. Who
 * comes then has to wait at the parent: a statement that knows its partitions
 * already, and waits at the default one, would go on without the new one, and
 * with a snapshot that sees the rows gone.
 *
 * While rows are copied others read and insert. But who changes one of these
 * rows waits for us, and has locked the parent meanwhile, so that we would wait
 * for him in the end: the copying is given up within a batch then, and the next
 * try keeps writers out from the beginning, if the caller has allowed for that.
 */
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "storage/block.h"
#include "utils/lsyscache.h"

#define BATCH		4096		/* blocks that are copied between two looks for who waits */
#define LAST_TRIES	10			/* for the lock, when all is copied */

static void copy_rows(PartitionMove *move);
static BlockNumber most_blocks(Oid relid);
static void move_rows(PartitionMove *move, const char *blocks);
static void run_move(void *arg);
static void yield(PartitionMove *move);
static void make_keys(PartitionMove *move);
static void make_foreign_keys(PartitionMove *move);
static List *commands_of(const PartitionMove *move, const char *sql);
static void take_command(HeapTuple row, TupleDesc desc, void *arg);
static void run_as_owner(void *arg);
static void run_commands(void *arg);
static void lock_all(PartitionMove *move, int mode, int tries);
static void give_up(PartitionMove *move);

/* Commands on their way, as the table's owner. */
typedef struct Commands
{
	Oid			owner;
	const List *commands;
} Commands;

/* Make a partition of the rows; in a subtransaction, since what fails leaves nothing. */
void
dbops_partition_move(void *arg)
{
	PartitionMove *move = arg;
	PartitionMaking making = {.set = move->set,.gap = move->gap};

	move->rows = 0;
	move->copied = move->disturbed = false;
	lock_all(move, AccessExclusiveLock, 1);
	dbops_partition_unlock(move->set, AccessExclusiveLock);
	if (move->exclusive)
		lock_all(move, ShareRowExclusiveLock, 1);
	dbops_run_as(move->owner, dbops_partition_make_table, &making);
	copy_rows(move);
	make_keys(move);
	make_foreign_keys(move);
	move->copied = true;
	lock_all(move, AccessExclusiveLock, LAST_TRIES);
	move_rows(move, "");
	dbops_run_as(move->owner, dbops_partition_attach_table, &making);
	move->lacks = making.lacks;
}

/* ---- rows ---- */

static void
copy_rows(PartitionMove *move)
{
	BlockNumber blocks = most_blocks(move->set->default_partition->relid);

	for (BlockNumber block = 0; block < blocks; block += BATCH)
	{
		move_rows(move, psprintf(" AND ctid >= '(%u,0)' AND ctid < '(%u,0)'", block, block + BATCH));
		yield(move);
	}
}

/* Those of the largest, where it is partitioned itself: places in one are places in each. */
static BlockNumber
most_blocks(Oid relid)
{
	int64		most = 0;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(relid, NoLock, NULL))
		most = Max(most, dbops_relation_bytes(lfirst_oid(cell)));
	return most / BLCKSZ;
}

/* A statement on its way. */
typedef struct Statement
{
	const char *sql;
	int64		rows;
} Statement;

static void
move_rows(PartitionMove *move, const char *blocks)
{
	const PartitionSet *set = move->set;
	const char *column = dbops_quote_name(set->column);
	Statement	statement = {
		.sql = psprintf("WITH moved AS (DELETE FROM %s WHERE %s >= %s AND %s < %s%s RETURNING *)"
						" INSERT INTO %s (%s) OVERRIDING SYSTEM VALUE SELECT %s FROM moved",
						set->default_partition->name, column, dbops_partition_literal(&set->clock, move->gap->lower),
						column, dbops_partition_literal(&set->clock, move->gap->upper), blocks,
						dbops_quote_qualified(dbops_partition_schema(set), move->gap->relname),
						move->columns, move->columns)
	};

	dbops_run_as(move->owner, run_move, &statement);
	move->rows += statement.rows;
}

static void
run_move(void *arg)
{
	Statement  *statement = arg;

	statement->rows = dbops_query_change(statement->sql);
}

/* Does anybody wait for us, or for who waits? Where writers are kept out nobody waits for rows. */
static void
yield(PartitionMove *move)
{
	Datum		waits;

	if (move->exclusive ||
		!dbops_store_value("SELECT true FROM pg_locks WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid)) LIMIT 1",
						   0, NULL, BOOLOID, &waits))
		return;
	move->disturbed = true;
	move->why = "for a session that changes rows which are moved";
	give_up(move);
}

/* ---- indexes and keys ---- */

/*
 * As the parent has them, so that ATTACH takes them over. An index in a
 * tablespace of its own is left to ATTACH.
 */
static void
make_keys(PartitionMove *move)
{
	Commands	all = {.owner = move->owner};

	all.commands = commands_of(move, "SELECT format('ALTER TABLE %s ADD %s', $2, pg_get_constraintdef(k.oid)) FROM pg_constraint k"
							   " JOIN pg_class x ON x.oid = k.conindid"
							   " WHERE k.conrelid = $1 AND k.contype IN ('p', 'u', 'x') AND x.reltablespace = 0"
							   " UNION ALL SELECT format('CREATE %sINDEX ON %s %s', u.word, $2, substr(pg_get_indexdef(x.oid),"
							   "  length(format('CREATE %sINDEX %I ON ONLY %I.%I ', u.word, x.relname, n.nspname, t.relname)) + 1))"
							   " FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class t ON t.oid = i.indrelid"
							   " JOIN pg_namespace n ON n.oid = t.relnamespace"
							   " CROSS JOIN LATERAL (SELECT CASE WHEN i.indisunique THEN 'UNIQUE ' ELSE '' END AS word) u"
							   " WHERE i.indrelid = $1 AND x.reltablespace = 0"
							   " AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = x.oid AND conrelid = $1)");
	dbops_run_as(move->owner, run_commands, &all);
}

/*
 * What they refer to is locked for it, as ATTACH does. Where the owner may not
 * make them any more they are left to ATTACH, which asks for no rights.
 */
static void
make_foreign_keys(PartitionMove *move)
{
	Commands	all = {.owner = move->owner};
	ErrorData  *error;

	if (!dbops_partition_lock_referenced(list_make1_oid(move->set->parent), ShareRowExclusiveLock, &move->why))
		give_up(move);
	all.commands = commands_of(move, "SELECT format('ALTER TABLE %s ADD CONSTRAINT %I %s', $2, k.conname, pg_get_constraintdef(k.oid))"
							   " FROM pg_constraint k LEFT JOIN pg_constraint up ON up.oid = k.conparentid"
							   " WHERE k.conrelid = $1 AND k.contype = 'f' AND k.convalidated AND up.conrelid IS DISTINCT FROM $1");
	if (!dbops_attempt(run_as_owner, &all, &error) && error->sqlerrcode != ERRCODE_INSUFFICIENT_PRIVILEGE)
		ReThrowError(error);
}

/* $1 is the parent, $2 the new table's name. */
static List *
commands_of(const PartitionMove *move, const char *sql)
{
	DbopsParam	params[] = {
		dbops_param_oid(move->set->parent),
		dbops_param_text(dbops_quote_qualified(dbops_partition_schema(move->set), move->gap->relname))
	};
	List	   *commands = NIL;

	dbops_query_each(sql, lengthof(params), params, take_command, &commands);
	return commands;
}

static void
take_command(HeapTuple row, TupleDesc desc, void *arg)
{
	*(List **) arg = lappend(*(List **) arg, dbops_row_text(row, desc, 1));
}

static void
run_as_owner(void *arg)
{
	dbops_run_as(((Commands *) arg)->owner, run_commands, arg);
}

static void
run_commands(void *arg)
{
	const ListCell *cell;

	foreach(cell, ((Commands *) arg)->commands)
		dbops_query_command(lfirst(cell));
}

/* ---- locks ---- */

/* Lock the parent and the default partition, which must be what they were when the step began. */
static void
lock_all(PartitionMove *move, int mode, int tries)
{
	const PartitionSet *set = move->set;
	const Partition *other = set->default_partition;
	Oid			relations[] = {set->parent, other->relid};

	for (int i = 0; !dbops_partition_lock(relations, lengthof(relations), mode, &move->why); i++)
	{
		yield(move);
		if (i + 1 >= tries)
			give_up(move);
	}
	if (!dbops_partition_is_named(set->parent, set->schema, set->relname, &move->why) ||
		!dbops_partition_is_named(other->relid, other->schema, other->relname, &move->why))
		give_up(move);
}

static void
give_up(PartitionMove *move)
{
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("waits %s", move->why)));
}
