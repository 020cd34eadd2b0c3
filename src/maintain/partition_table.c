/*
 * partition_table.c
 *		CALL partition_table(): a plain table becomes the first partition of a new
 *		partitioned table that takes its name. No row is copied.
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
 * The constraint must refuse nothing that the application inserts. So the
 * boundary is beyond all rows and so far ahead that it is not reached meanwhile,
 * validation is given up before it is, and whatever ends the call takes the
 * constraint away in a transaction of its own. Where the server has died, or the
 * session was terminated, it stays; the next call removes it before all else.
 *
 * A session's lock keeps other calls and other DDL from the table meanwhile.
 */
#include "maintain/partition.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "storage/latch.h"
#include "storage/lmgr.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/timeout.h"

#define LONGEST_WAIT	600000L	/* ms of tries */
#define REMOVAL_WAIT	10000L	/* ms of tries when the call has failed */
#define FARTHEST		(100 * 365 * USECS_PER_DAY) /* that a row may be ahead */
#define SCAN_PER_SECOND	(32 * 1024 * 1024)	/* bytes, with caution */

PG_FUNCTION_INFO_V1(dbops_partition_table);

/* An attempt on its way. */
typedef struct Attempt
{
	PartitionTurn *turn;
	bool		(*make) (PartitionTurn *turn);	/* false: a lock was not to be had */
	TimestampTz began;
	bool		done;
} Attempt;

/* Commands on their way, as the owner of the table. */
typedef struct Commands
{
	Oid			role;
	const List *commands;
} Commands;

static PartitionTurn take_turn(FunctionCallInfo fcinfo);
static void require_plain(const PartitionTurn *turn);
static void take_column(PartitionTurn *turn, const char *column);
static void look(PartitionTurn *turn);
static void find_boundary(PartitionTurn *turn);
static int64 headroom(const PartitionTurn *turn);
static int64 highest_value(const PartitionTurn *turn);
static void ask_highest(void *arg);
static const char *first_name(const PartitionTurn *turn);
static void show(const PartitionTurn *turn);
static char *validate_sql(const PartitionTurn *turn);
static void turn_table(PartitionTurn *turn);
static void try_until_done(PartitionTurn *turn, bool (*make) (PartitionTurn *turn));
static void guard(PartitionTurn *turn, DbopsCallback callback, Attempt *attempt);
static void attempt_once(void *arg);
static void wait_once(void *arg);
static void take_proof_away(PartitionTurn *turn);
static bool hold(PartitionTurn *turn);
static void let_go(const PartitionTurn *turn);
static bool rehearse(PartitionTurn *turn);
static bool proof_state(const PartitionTurn *turn);
static bool remove_proof(PartitionTurn *turn);
static bool add_proof(PartitionTurn *turn);
static bool validate_proof(PartitionTurn *turn);
static void arm(const PartitionTurn *turn);
static void give_up(void);
static bool swap(PartitionTurn *turn);
static void take_along(const PartitionTurn *turn);
static bool run_commands(PartitionTurn *turn, DbopsCallback run, const List *commands);
static void run_as_owner(void *arg);
static void run_and_undo(void *arg);
static void run_all(void *arg);
static void make_ahead(PartitionTurn *turn);
static void make_one(PartitionTurn *turn, const PartitionSet *set, const PartitionGap *gap);

static TimeoutId overtaken = MAX_TIMEOUTS;	/* until it is registered */

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
	if (dry_run)
	{
		look(&turn);
		show(&turn);
	}
	else
	{
		turn_table(&turn);
		make_ahead(&turn);
	}
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
	require_plain(&turn);
	take_column(&turn, NameStr(*PG_GETARG_NAME(1)));
	dbops_partition_check_every(&turn.every, turn.set.clock.type);
	return turn;
}

static void
require_plain(const PartitionTurn *turn)
{
	if (get_rel_relkind(turn->table) != RELKIND_RELATION || get_rel_relispartition(turn->table) ||
		get_rel_persistence(turn->table) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a plain table of its own", turn->name)));
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
	dbops_partition_refuse_turn(turn);
	find_boundary(turn);
	turn->first = first_name(turn);
}

/* ---- where it ends ---- */

/* The first boundary that neither time nor those who insert reach while it is proven. */
static void
find_boundary(PartitionTurn *turn)
{
	int64		highest = highest_value(turn);
	int64		now = dbops_partition_position_at(&turn->set.clock, dbops_clock_now());

	if (highest > now + FARTHEST)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has rows whose %s is infinite or more than 100 years ahead", turn->name, dbops_quote_name(turn->column)),
				 errdetail("All rows until then would be in its first partition."),
				 errhint("See SELECT * FROM %s ORDER BY %s DESC LIMIT 10, and change or delete them.",
						 turn->name, dbops_quote_name(turn->column))));
	turn->grid = dbops_partition_grid(&turn->set, &turn->every);
	turn->boundary = dbops_partition_next(&turn->grid, Max(now, highest) + headroom(turn));
}

/* A day, and twice as long as the proof may take. */
static int64
headroom(const PartitionTurn *turn)
{
	return USECS_PER_DAY + 2 * (dbops_relation_bytes(turn->table) / SCAN_PER_SECOND) * USECS_PER_SEC;
}

/* A question to the table. */
typedef struct Highest
{
	const char *sql;
	Oid			type;
	Datum		value;
	bool		found;
} Highest;

static int64
highest_value(const PartitionTurn *turn)
{
	PartitionClock *clock = unconstify(PartitionClock *, &turn->set.clock);
	Highest		highest = {
		.sql = psprintf("SELECT max(%s) FROM ONLY %s", dbops_quote_name(turn->column), turn->name),
		.type = clock->type
	};
	bool		epoch = (clock->type == INT4OID || clock->type == INT8OID);

	dbops_run_as(turn->owner, ask_highest, &highest);
	if (epoch)
		clock->unit = !highest.found ? 0 :
			dbops_epoch_unit_of(clock->type == INT4OID ? DatumGetInt32(highest.value) : DatumGetInt64(highest.value));
	if (epoch && clock->unit == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the values of column %s of table %s do not look like times since 1970",
						dbops_quote_name(turn->column), turn->name)));
	return highest.found ? dbops_partition_position(clock, highest.value) : PARTITION_BEGINNING;
}

static void
ask_highest(void *arg)
{
	Highest    *highest = arg;

	highest->found = dbops_query_value(highest->sql, 0, NULL, highest->type, &highest->value);
}

static const char *
first_name(const PartitionTurn *turn)
{
	const char *name = psprintf("%.*s_before", NAMEDATALEN - 12, turn->relname);
	const char *unused = name;

	for (int i = 1; OidIsValid(get_relname_relid(unused, get_rel_namespace(turn->table))); i++)
		unused = psprintf("%s_%d", name, i);
	return unused;
}

/* ---- what is done ---- */

static void
show(const PartitionTurn *turn)
{
	ListCell   *cell;

	ereport(NOTICE, (errmsg("%s", dbops_partition_proof_sql(turn))));
	ereport(NOTICE, (errmsg("%s", validate_sql(turn))));
	foreach(cell, dbops_partition_turn_commands(turn))
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(cell))));
}

static char *
validate_sql(const PartitionTurn *turn)
{
	return psprintf("ALTER TABLE %s VALIDATE CONSTRAINT " PARTITION_TABLE_PROOF, turn->name);
}

/* Nothing that could be refused is left for the time after the first change. */
static void
turn_table(PartitionTurn *turn)
{
	try_until_done(turn, hold);
	require_plain(turn);
	try_until_done(turn, remove_proof);
	look(turn);
	try_until_done(turn, rehearse);
	try_until_done(turn, add_proof);
	try_until_done(turn, validate_proof);
	try_until_done(turn, swap);
	let_go(turn);
}

/* ---- attempts, and what is left of one that fails ---- */

/* One attempt after the other, with nothing locked in between but the session's lock. */
static void
try_until_done(PartitionTurn *turn, bool (*make) (PartitionTurn *turn))
{
	Attempt		attempt = {.turn = turn,.make = make,.began = GetCurrentTimestamp()};

	for (;;)
	{
		guard(turn, attempt_once, &attempt);
		dbops_procedure_commit();
		if (attempt.done)
			return;
		guard(turn, wait_once, &attempt);
	}
}

/* Call back; when that fails or is cancelled, take the constraint away first. */
static void
guard(PartitionTurn *turn, DbopsCallback callback, Attempt *attempt)
{
	ErrorData  *error;

	if (dbops_attempt_until_cancelled(callback, attempt, &error))
		return;
	dbops_procedure_commit();
	take_proof_away(turn);
	ReThrowError(error);
}

static void
attempt_once(void *arg)
{
	Attempt    *attempt = arg;

	attempt->done = attempt->make(attempt->turn);
}

static void
wait_once(void *arg)
{
	Attempt    *attempt = arg;
	DbopsStep	step = {0};

	if (TimestampDifferenceExceeds(attempt->began, GetCurrentTimestamp(), LONGEST_WAIT))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("table %s could not be locked: waited %s", attempt->turn->name, attempt->turn->why),
				 errhint("CALL again when the other session has ended.")));
	dbops_partition_wait(&step, attempt->turn->why);
	dbops_clock_pause(step.pause);
}

/* In transactions of its own; if that is not to be had, say how it is done. */
static void
take_proof_away(PartitionTurn *turn)
{
	Attempt		attempt = {.turn = turn,.make = remove_proof,.began = GetCurrentTimestamp()};
	ErrorData  *error;

	for (;;)
	{
		bool		failed = !dbops_attempt_until_cancelled(attempt_once, &attempt, &error);

		dbops_procedure_commit();
		if (attempt.done)
			return;
		if (failed || TimestampDifferenceExceeds(attempt.began, GetCurrentTimestamp(), REMOVAL_WAIT) ||
			!dbops_attempt_until_cancelled(wait_once, &attempt, &error))
			break;
	}
	ereport(WARNING,
			(errmsg("constraint " PARTITION_TABLE_PROOF " is left on table %s and refuses rows from %s on",
					turn->name, dbops_partition_literal(&turn->set.clock, turn->boundary)),
			 errhint("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF ", or CALL dbops.partition_table again.", turn->name)));
}

/* ---- to have the table ---- */

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

/* Do all of it, for a moment. */
static bool
rehearse(PartitionTurn *turn)
{
	return dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why) &&
		run_commands(turn, run_and_undo, dbops_partition_rehearsal_commands(turn));
}

/* ---- to prove ---- */

static bool
proof_state(const PartitionTurn *turn)
{
	DbopsParam	param = dbops_param_oid(turn->table);

	return dbops_query_each("SELECT FROM pg_constraint WHERE conrelid = $1 AND conname = '" PARTITION_TABLE_PROOF "'",
							1, &param, NULL, NULL) > 0;
}

static bool
remove_proof(PartitionTurn *turn)
{
	return !proof_state(turn) ||
		(dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why) &&
		 dbops_partition_ddl(turn->owner, psprintf("ALTER TABLE %s DROP CONSTRAINT " PARTITION_TABLE_PROOF, turn->name), &turn->why));
}

static bool
add_proof(PartitionTurn *turn)
{
	return dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why) &&
		dbops_partition_ddl(turn->owner, dbops_partition_proof_sql(turn), &turn->why);
}

/* Have it validated while everybody works, as long as rows of the boundary are not due. */
static bool
validate_proof(PartitionTurn *turn)
{
	volatile bool done = false;

	arm(turn);
	PG_TRY();
	{
		done = dbops_partition_lock(&turn->table, 1, ShareUpdateExclusiveLock, &turn->why) &&
			dbops_partition_ddl(turn->owner, validate_sql(turn), &turn->why);
		disable_timeout(overtaken, false);
	}
	PG_CATCH();
	{
		disable_timeout(overtaken, true);
		if (get_timeout_indicator(overtaken, true))
			ereport(ERROR,
					(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
					 errmsg("all rows of table %s could not be read before those of %s are due",
							turn->name, dbops_partition_literal(&turn->set.clock, turn->boundary)),
					 errhint("CALL again at a quieter time.")));
		PG_RE_THROW();
	}
	PG_END_TRY();
	return done;
}

/* Cancel it half a day before the boundary. */
static void
arm(const PartitionTurn *turn)
{
	int64		now = dbops_partition_position_at(&turn->set.clock, dbops_clock_now());
	int64		left = (turn->boundary - now - USECS_PER_DAY / 2) / 1000;

	if (overtaken == MAX_TIMEOUTS)
		overtaken = RegisterTimeout(USER_TIMEOUT, give_up);
	enable_timeout_after(overtaken, (int) Max(1, Min(left, PG_INT32_MAX)));
}

/* As a user would; runs in the handler of a signal. */
static void
give_up(void)
{
	InterruptPending = true;
	QueryCancelPending = true;
	SetLatch(MyLatch);
}

/* ---- to swap ---- */

/* The commands are read under the lock, so that nothing comes in between. */
static bool
swap(PartitionTurn *turn)
{
	if (!dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why))
		return false;
	dbops_partition_refuse_turn(turn);
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
	int			nest_level = NewGUCNestLevel();
	ErrorData  *error;
	bool		done;

	dbops_set_nested("lock_timeout", psprintf("%d", PARTITION_LOCK_WAIT));
	done = dbops_attempt(run, &all, &error);
	AtEOXact_GUC(false, nest_level);
	if (!done && !dbops_partition_met_lock(error))
		ReThrowError(error);
	turn->why = "for a lock that another session had";
	return done;
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

/* ---- ahead ---- */

/* Rows behind the boundary need partitions before it comes. */
static void
make_ahead(PartitionTurn *turn)
{
	Oid			parent = get_relname_relid(turn->relname, get_rel_namespace(turn->table));
	DbopsJson	json = {0};
	PartitionPlan *plan;
	ListCell   *cell;

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "every", psprintf("%d months %d days " INT64_FORMAT " microseconds",
											 turn->every.month, turn->every.day, turn->every.time));
	if (turn->set.clock.unit != 0)
		dbops_json_integer(&json, "unit", turn->set.clock.unit);
	plan = dbops_partition_plan_read(parent, dbops_json_finish(&json), pg_get_timezone_name(session_timezone));
	foreach(cell, plan->missing)
		make_one(turn, plan->set, lfirst(cell));
	ereport(NOTICE,
			(errmsg("table %s is partitioned, %s is its first partition, and %d more are there",
					turn->name, dbops_quote_qualified(turn->schema, turn->first), list_length(plan->missing)),
			 errhint("SELECT dbops.set_partitioning(%s, every => ...) has more made as time passes.", quote_literal_cstr(turn->name))));
}

static void
make_one(PartitionTurn *turn, const PartitionSet *set, const PartitionGap *gap)
{
	Attempt		attempt = {.turn = turn,.began = GetCurrentTimestamp()};

	for (;;)
	{
		attempt.done = dbops_partition_create(set, gap, turn->owner, &turn->why);
		dbops_procedure_commit();
		if (attempt.done)
			return;
		wait_once(&attempt);
	}
}
