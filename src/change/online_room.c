/*
 * online_room.c
 *		Is there room in the server's table of locks for what a step locks at once?
 *
 * A statement about a partitioned table locks each partition, and of each what it
 * drops or renames. The table of locks is shared by all sessions: when it is full
 * their statements fail, not only the step's. So a step waits until there is room
 * for it, and a call that no server of this size has room for is refused first.
 */
#include "change/online.h"

#include "change/migration.h"
#include "core/server.h"
#include "core/sql.h"

#include "catalog/pg_inherits.h"
#include "nodes/parsenodes.h"

static int	locked_beside(Node *statement);
static int	locked_by_command(const AlterTableCmd *command, Oid table, int n_tables);
static int	locked_by_drop(Oid table, const char *column);

/* How many things statements lock at once, about: tables and indexes, and what goes with a column or is a part of a table. */
int
dbops_online_locks(List *statements)
{
	int			count = list_length(dbops_online_targets(statements, AccessShareLock));
	ListCell   *cell;

	foreach(cell, statements)
		count += locked_beside(lfirst_node(RawStmt, cell)->stmt);
	return count;
}

static int
locked_beside(Node *statement)
{
	List	   *targets = dbops_migration_targets(statement);
	Oid			table = targets == NIL ? InvalidOid : ((const MigrationTarget *) linitial(targets))->relid;
	int			count = 0;
	int			n_tables;
	ListCell   *cell;

	if (!OidIsValid(table) || !(IsA(statement, AlterTableStmt) || IsA(statement, DropStmt)))
		return 0;
	n_tables = list_length(find_all_inheritors(table, NoLock, NULL));
	if (IsA(statement, DropStmt))
		return ((const DropStmt *) statement)->removeType == OBJECT_TRIGGER ? n_tables : 0;
	foreach(cell, ((const AlterTableStmt *) statement)->cmds)
		count += locked_by_command(lfirst(cell), table, n_tables);
	return count;
}

static int
locked_by_command(const AlterTableCmd *command, Oid table, int n_tables)
{
	switch (command->subtype)
	{
		case AT_DropColumn:
			return locked_by_drop(table, command->name);
		case AT_DropConstraint:
			return n_tables;
		case AT_AddConstraint:
			return castNode(Constraint, command->def)->contype == CONSTR_FOREIGN ? 2 * n_tables : 0;	/* its triggers */
		default:
			return 0;
	}
}

/* Defaults, constraints with their triggers, and indexes. */
static int
locked_by_drop(Oid table, const char *column)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_text(column)};
	Datum		count;

	(void) dbops_query_value("WITH gone AS MATERIALIZED (SELECT d.classid, d.objid FROM (SELECT $1 UNION SELECT relid FROM pg_partition_tree($1)) t (relid)"
							 " JOIN pg_attribute a ON a.attrelid = t.relid AND a.attname = $2 AND NOT a.attisdropped"
							 " JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)"
							 " SELECT count(*)::int FROM (SELECT * FROM gone UNION SELECT d.classid, d.objid FROM gone g"
							 "  JOIN pg_depend d ON d.refclassid = g.classid AND d.refobjid = g.objid AND g.classid = 'pg_constraint'::regclass AND d.deptype = 'i') _",
							 lengthof(params), params, INT4OID, &count);
	return DatumGetInt32(count);
}

/* Refuse what there would be no room for if nobody else had a lock. */
void
dbops_online_check_locks(const OnlinePlan *plan, int needed)
{
	long		room;

	(void) dbops_lock_table_used(&room);
	if (needed <= Max(room, ONLINE_FEW_LOCKS))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_CONFIGURATION_LIMIT_EXCEEDED),
			 errmsg("%s of %s needs about %d locks at once, and the server has room for %ld", plan->call, plan->name, needed, room),
			 errdetail("When that is full, statements of all sessions fail."),
			 errhint("Raise max_locks_per_transaction (now %d), and restart the server.", max_locks_per_xact)));
}

/* As a lock that others hold: it is waited for. */
void
dbops_online_refuse_full(List *statements)
{
	int			needed = dbops_online_locks(statements);
	long		room;
	long		used = dbops_lock_table_used(&room);

	if (needed <= ONLINE_FEW_LOCKS || used + needed <= room)
		return;
	ereport(ERROR,
			(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
			 errmsg("there is no room for %d more locks", needed),
			 errdetail("Other sessions have %ld locks, about %d more are needed at once, and the server has room for %ld (max_locks_per_transaction).", used, needed, room)));
}

/* Of those of its steps that are to be done. */
void
dbops_online_check_all_locks(const OnlinePlan *plan)
{
	int			most = 0;
	ListCell   *cell;

	foreach(cell, plan->steps)
	{
		const OnlineStep *step = lfirst(cell);

		if (step->kind == ONLINE_SHORT)
			most = Max(most, dbops_online_locks(dbops_sql_parse(step->sql, RAW_PARSE_DEFAULT)));
	}
	dbops_online_check_locks(plan, most);
}
