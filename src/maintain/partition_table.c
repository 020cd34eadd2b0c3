/*
 * partition_table.c
 *		CALL partition_table(): a plain table becomes the first partition of a new
 *		partitioned table that takes its name. No row is copied.
 *
 * What it is about is read here, and the steps of partition_turn.h are taken in
 * their order. A session's lock keeps other calls and other DDL from the table
 * meanwhile. A call that was cut off after the swap is gone on with.
 */
#include "maintain/partition_turn.h"

#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_partition_table);

static PartitionTurn take_turn(FunctionCallInfo fcinfo);
static bool is_turned(const PartitionTurn *turn);
static void require_plain(const PartitionTurn *turn);
static const char *kind_of(Oid relid);
static void require_unchanged(const PartitionTurn *turn);
static void take_column(PartitionTurn *turn, const char *column);
static void look(PartitionTurn *turn);
static void show(PartitionTurn *turn);
static void turn_table(PartitionTurn *turn);
static bool hold(PartitionTurn *turn);
static void let_go(const PartitionTurn *turn);

/* partition_table(table_name regclass, column_name name, every interval, dry_run boolean) */
Datum
dbops_partition_table(PG_FUNCTION_ARGS)
{
	PartitionTurn turn;
	bool		dry_run;

	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "column_name");
	dbops_require_argument(fcinfo, 2, "every");
	dry_run = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	dbops_procedure_begin(fcinfo, "partition_table");
	if (!dry_run)
		PreventCommandIfReadOnly("CALL dbops.partition_table()");
	turn = take_turn(fcinfo);
	if (!turn.turned)
		dry_run ? show(&turn) : turn_table(&turn);
	if (!dry_run)
		dbops_partition_turn_make_ahead(&turn);
	else if (turn.turned)
		dbops_partition_turn_show_ahead(&turn);
	dbops_procedure_end();
	PG_RETURN_VOID();
}

/* ---- what it is about ---- */

static PartitionTurn
take_turn(FunctionCallInfo fcinfo)
{
	PartitionTurn turn = {.table = PG_GETARG_OID(0),.every = *PG_GETARG_INTERVAL_P(2)};
	char	   *relname = get_rel_name(turn.table);

	if (relname == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("table with OID %u does not exist", turn.table)));
	dbops_require_table_owner(turn.table);
	turn.owner = dbops_relation_owner(turn.table);
	turn.relname = relname;
	turn.schema = get_namespace_name(get_rel_namespace(turn.table));
	turn.name = dbops_quote_qualified(turn.schema, turn.relname);
	take_column(&turn, NameStr(*PG_GETARG_NAME(1)));
	turn.turned = is_turned(&turn);
	if (!turn.turned)
		require_plain(&turn);
	dbops_partition_check_every(&turn.every, turn.set.clock.type);
	return turn;
}

/* Has a call that was cut off come past the swap? Its first partition begins with the beginning. */
static bool
is_turned(const PartitionTurn *turn)
{
	const PartitionSet *set;

	if (get_rel_relkind(turn->table) != RELKIND_PARTITIONED_TABLE || dbops_partition_set_defect(turn->table) != NULL)
		return false;
	set = dbops_partition_set_read(turn->table, session_timezone, 0);
	return strcmp(set->column, turn->column) == 0 && set->default_partition == NULL && set->partitions != NIL &&
		((Partition *) linitial(set->partitions))->lower == PARTITION_BEGINNING;
}

static void
require_plain(const PartitionTurn *turn)
{
	if (get_rel_relkind(turn->table) == RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table %s is partitioned already", turn->name),
				 errhint("SELECT dbops.set_partitioning(%s) has partitions made ahead.", quote_literal_cstr(turn->name))));
	if (get_rel_relkind(turn->table) != RELKIND_RELATION || get_rel_relispartition(turn->table) ||
		get_rel_persistence(turn->table) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a plain table of its own", turn->name),
				 errdetail("It is %s.", kind_of(turn->table)),
				 errhint("Name a table that holds the rows, and is neither temporary nor a partition.")));
}

/* What else it is. */
static const char *
kind_of(Oid relid)
{
	switch (get_rel_relkind(relid))
	{
		case RELKIND_VIEW:
			return "a view";
		case RELKIND_MATVIEW:
			return "a materialized view";
		case RELKIND_FOREIGN_TABLE:
			return "a foreign table";
		case RELKIND_SEQUENCE:
			return "a sequence";
		case RELKIND_RELATION:
			return get_rel_relispartition(relid) ? "a partition" : "a temporary table";
		default:
			return "no table";
	}
}

/* Nobody has changed it before it was held. */
static void
require_unchanged(const PartitionTurn *turn)
{
	require_plain(turn);
	if (get_relname_relid(turn->relname, get_namespace_oid(turn->schema, true)) != turn->table ||
		dbops_relation_owner(turn->table) != turn->owner)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s was renamed, or given to another owner, meanwhile", turn->name),
				 errhint("CALL again.")));
}

static void
take_column(PartitionTurn *turn, const char *column)
{
	PartitionClock *clock = &turn->set.clock;

	turn->attnum = get_attnum(turn->table, column);
	turn->column = pstrdup(column);
	if (turn->attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table %s has no column %s", turn->name, dbops_quote_name(column))));
	clock->type = get_atttype(turn->table, turn->attnum);
	clock->zone = clock->grid_zone = session_timezone;
	if (!dbops_partition_type_is_time(clock->type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column %s of table %s is of type %s, which says no time",
						dbops_quote_name(column), turn->name, format_type_be(clock->type)),
				 errhint("The key must be a timestamptz, a timestamp, a date, or an integer or bigint that counts since 1970.")));
}

/* See how it will be done. */
static void
look(PartitionTurn *turn)
{
	dbops_partition_turn_refuse(turn);
	dbops_partition_turn_bound(turn);
}

/* ---- what is done ---- */

static void
show(PartitionTurn *turn)
{
	ListCell   *cell;

	look(turn);
	ereport(NOTICE, (errmsg("%s", dbops_partition_turn_proof_sql(turn))));
	ereport(NOTICE, (errmsg("%s", dbops_partition_turn_validate_sql(turn))));
	foreach(cell, dbops_partition_turn_commands(turn))
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(cell))));
}

/* Nothing that could be refused is left for the time after the first change. */
static void
turn_table(PartitionTurn *turn)
{
	dbops_partition_turn_try(turn, hold);
	require_unchanged(turn);
	dbops_partition_turn_try(turn, dbops_partition_turn_remove_proof);
	look(turn);
	dbops_partition_turn_try(turn, dbops_partition_turn_rehearse);
	dbops_partition_turn_try(turn, dbops_partition_turn_add_proof);
	dbops_partition_turn_try(turn, dbops_partition_turn_validate_proof);
	dbops_partition_turn_try(turn, dbops_partition_turn_swap);
	let_go(turn);
}

/* Keep others from it who would change it; an error at the top gives that back. */
static bool
hold(PartitionTurn *turn)
{
	LockRelId	id = {.relId = turn->table,.dbId = MyDatabaseId};

	if (!dbops_partition_lock(&turn->table, 1, ShareUpdateExclusiveLock, &turn->why))
		return false;
	LockRelationIdForSession(&id, ShareUpdateExclusiveLock);
	return true;
}

static void
let_go(const PartitionTurn *turn)
{
	LockRelId	id = {.relId = turn->table,.dbId = MyDatabaseId};

	UnlockRelationIdForSession(&id, ShareUpdateExclusiveLock);
}
