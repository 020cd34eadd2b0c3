/*
 * partition_table.c
 *		CALL partition_table(): a plain table becomes the first partition of a new
 *		partitioned table that takes its name. No row is copied.
 *
 *		prove	a constraint says that all rows are before the first boundary that
 *				is not reached yet, and it is validated while everybody works
 *		swap	under a lock of a moment: the table is renamed, a partitioned table
 *				takes its name and what it has, and it is attached, without a scan
 *		ahead	partitions are made behind it
 *
 * Each of them finds what an earlier call has done, so a call that was cut off
 * is made again. What cannot follow to the new table is refused before
 * anything is done, all of it in one message: a key that does not contain the
 * column, references from elsewhere, views, which would go on to read the first
 * partition alone.
 */
#include "maintain/partition.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "tcop/utility.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define TABLE_PROOF		"dbops_before_next_partition"
#define LONGEST_WAIT	600000L	/* ms of tries */
#define HEADROOM		(USECS_PER_HOUR)	/* before the first boundary that may be used */

PG_FUNCTION_INFO_V1(dbops_partition_table);

typedef struct Turn
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
	const char *why;			/* a lock was not to be had; or NULL */
	TimestampTz waits_since;
} Turn;

static Turn take_turn(FunctionCallInfo fcinfo);
static void take_column(Turn *turn, const char *column);
static void refuse_obstacles(const Turn *turn);
static void take_obstacle(HeapTuple row, TupleDesc desc, void *arg);
static void find_boundary(Turn *turn);
static int64 highest_value(const Turn *turn);
static void ask_highest(void *arg);
static const char *first_name(const Turn *turn);
static void show(const Turn *turn);
static char *proof_sql(const Turn *turn);
static List *swap_commands(const Turn *turn);
static void take_commands(HeapTuple row, TupleDesc desc, void *arg);
static void prove(Turn *turn);
static bool proof_state(const Turn *turn, bool *validated);
static void try_until_done(Turn *turn, bool (*attempt) (Turn *turn));
static bool add_proof(Turn *turn);
static bool validate_proof(Turn *turn);
static bool swap(Turn *turn);
static void swap_as_owner(void *arg);
static void run_all(void *arg);
static void make_ahead(const Turn *turn);

/* partition_table(table_name regclass, column_name name, every interval, dry_run boolean) */
Datum
dbops_partition_table(PG_FUNCTION_ARGS)
{
	Turn		turn;
	bool		dry_run;

	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "column_name");
	dbops_require_argument(fcinfo, 2, "every");
	dry_run = !PG_ARGISNULL(3) && PG_GETARG_BOOL(3);
	dbops_procedure_begin(fcinfo, "partition_table");
	if (!dry_run)
		PreventCommandIfReadOnly("CALL dbops.partition_table()");
	turn = take_turn(fcinfo);
	refuse_obstacles(&turn);
	find_boundary(&turn);
	turn.first = first_name(&turn);
	if (dry_run)
		show(&turn);
	else
	{
		prove(&turn);
		try_until_done(&turn, swap);
		make_ahead(&turn);
	}
	dbops_procedure_end();
	PG_RETURN_VOID();
}

/* ---- what it is about ---- */

static Turn
take_turn(FunctionCallInfo fcinfo)
{
	Turn		turn = {.table = PG_GETARG_OID(0),.every = *PG_GETARG_INTERVAL_P(2)};
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
	if (get_rel_relkind(turn.table) != RELKIND_RELATION || get_rel_relispartition(turn.table) ||
		get_rel_persistence(turn.table) == RELPERSISTENCE_TEMP)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is not a plain table of its own", turn.name)));
	take_column(&turn, NameStr(*PG_GETARG_NAME(1)));
	dbops_partition_check_every(&turn.every, turn.set.clock.type);
	return turn;
}

static void
take_column(Turn *turn, const char *column)
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

/* Refuse what could not follow to the new table, all at once. */
static void
refuse_obstacles(const Turn *turn)
{
	DbopsParam	params[] = {dbops_param_oid(turn->table), dbops_param_int4(turn->attnum)};
	StringInfoData all;

	initStringInfo(&all);
	dbops_query_each("SELECT format('%s %s lacks column %s: ALTER TABLE %s DROP CONSTRAINT %I, ADD %s (%s, %I)',"
					 "  CASE contype WHEN 'p' THEN 'primary key' ELSE 'unique constraint' END, quote_ident(conname), quote_ident(a.attname),"
					 "  c.conrelid::regclass, conname, CASE contype WHEN 'p' THEN 'PRIMARY KEY' ELSE 'UNIQUE' END,"
					 "  (SELECT string_agg(quote_ident(k.attname), ', ' ORDER BY o) FROM unnest(conkey) WITH ORDINALITY u(n, o)"
					 "   JOIN pg_attribute k ON k.attrelid = c.conrelid AND k.attnum = u.n), a.attname)"
					 " FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = $2"
					 " WHERE c.conrelid = $1 AND contype IN ('p', 'u') AND NOT $2::int2 = ANY (conkey)"
					 " UNION ALL SELECT format('unique index %s lacks the column: DROP INDEX %s', i.indexrelid::regclass, i.indexrelid::regclass)"
					 " FROM pg_index i WHERE indrelid = $1 AND indisunique AND NOT $2::int2 = ANY (indkey)"
					 "  AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid)"
					 " UNION ALL SELECT format('exclusion constraint %I', conname) FROM pg_constraint WHERE conrelid = $1 AND contype = 'x'"
					 " UNION ALL SELECT format('index %s is not valid', indexrelid::regclass) FROM pg_index WHERE indrelid = $1 AND NOT indisvalid"
					 " UNION ALL SELECT format('foreign key %I of table %s references it: ALTER TABLE %s DROP CONSTRAINT %I', conname, conrelid::regclass, conrelid::regclass, conname)"
					 " FROM pg_constraint WHERE confrelid = $1 AND contype = 'f' AND conparentid = 0"
					 " UNION ALL SELECT DISTINCT format('view %s depends on it: drop it, and make it again afterwards', r.ev_class::regclass)"
					 " FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid"
					 " WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND r.ev_class <> $1"
					 " UNION ALL SELECT format('trigger %I: drop it, and make it again afterwards', tgname) FROM pg_trigger WHERE tgrelid = $1 AND NOT tgisinternal"
					 " UNION ALL SELECT format('rule %I', rulename) FROM pg_rewrite WHERE ev_class = $1"
					 " UNION ALL SELECT format('policy %I: drop it, and make it again afterwards', polname) FROM pg_policy WHERE polrelid = $1"
					 " UNION ALL SELECT format('it is in publication %I: take it out, and put it in again afterwards', pubname)"
					 " FROM pg_publication_rel r JOIN pg_publication p ON p.oid = r.prpubid WHERE prrelid = $1"
					 " UNION ALL SELECT 'it inherits, or is inherited from' FROM pg_inherits WHERE inhrelid = $1 OR inhparent = $1"
					 " UNION ALL SELECT 'it is a table of a type' FROM pg_class WHERE oid = $1 AND reloftype <> 0"
					 " UNION ALL SELECT format('column %I can be null: rows without a time have no partition', attname) FROM pg_attribute WHERE attrelid = $1 AND attnum = $2 AND NOT attnotnull",
					 lengthof(params), params, take_obstacle, &all);
	if (all.len > 0)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s cannot become a partition as it is", turn->name),
				 errdetail_internal("%s", pnstrdup(all.data, all.len - 1)),
				 errhint("Change that first, and CALL again; dry_run => true changes nothing.")));
}

static void
take_obstacle(HeapTuple row, TupleDesc desc, void *arg)
{
	appendStringInfo(arg, "%s\n", dbops_row_text(row, desc, 1));
}

/* ---- where it ends ---- */

/* The first boundary behind all rows and the next hour. */
static void
find_boundary(Turn *turn)
{
	int64		highest = highest_value(turn);
	int64		now;

	turn->grid = dbops_partition_grid(&turn->set, &turn->every);
	now = dbops_partition_position_at(&turn->set.clock, dbops_clock_now()) + HEADROOM;
	turn->boundary = dbops_partition_next(&turn->grid, Max(now, highest));
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
highest_value(const Turn *turn)
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
first_name(const Turn *turn)
{
	const char *name = psprintf("%.*s_before", NAMEDATALEN - 12, turn->relname);
	const char *unused = name;

	for (int i = 1; OidIsValid(get_relname_relid(unused, get_rel_namespace(turn->table))); i++)
		unused = psprintf("%s_%d", name, i);
	return unused;
}

/* ---- what is done ---- */

static void
show(const Turn *turn)
{
	ListCell   *cell;

	ereport(NOTICE, (errmsg("%s", proof_sql(turn))));
	ereport(NOTICE, (errmsg("ALTER TABLE %s VALIDATE CONSTRAINT " TABLE_PROOF, turn->name)));
	foreach(cell, swap_commands(turn))
		ereport(NOTICE, (errmsg("%s", (char *) lfirst(cell))));
}

static char *
proof_sql(const Turn *turn)
{
	return psprintf("ALTER TABLE %s ADD CONSTRAINT " TABLE_PROOF " CHECK (%s < %s) NOT VALID",
					turn->name, dbops_quote_name(turn->column),
					dbops_partition_literal(&turn->set.clock, turn->boundary));
}

/*
 * All of the swap. Indexes and constraints of the new table are made on it
 * alone, so that those of the old one are taken over when it is attached.
 */
static List *
swap_commands(const Turn *turn)
{
	const char *first = dbops_quote_qualified(turn->schema, turn->first);
	DbopsParam	params[] = {dbops_param_oid(turn->table), dbops_param_text(turn->name), dbops_param_text(first)};
	List	   *commands = list_make2(psprintf("ALTER TABLE %s RENAME TO %s", turn->name, dbops_quote_name(turn->first)),
									  psprintf("CREATE TABLE %s (LIKE %s INCLUDING DEFAULTS INCLUDING GENERATED INCLUDING CONSTRAINTS"
											   " INCLUDING STORAGE INCLUDING COMPRESSION INCLUDING COMMENTS INCLUDING STATISTICS) PARTITION BY RANGE (%s)",
											   turn->name, first, dbops_quote_name(turn->column)));

	commands = lappend(commands, psprintf("ALTER TABLE %s DROP CONSTRAINT " TABLE_PROOF, turn->name));
	dbops_query_each("SELECT c FROM ("
					 " SELECT 1 AS n, format('ALTER TABLE %s ADD %s', $2, pg_get_constraintdef(oid)) AS c FROM pg_constraint"
					 "  WHERE conrelid = $1 AND contype IN ('p', 'u', 'f')"
					 " UNION ALL SELECT 2, format('CREATE %sINDEX ON ONLY %s %s', CASE WHEN indisunique THEN 'UNIQUE ' ELSE '' END, $2,"
					 "  substring(pg_get_indexdef(indexrelid) FROM position(' USING ' IN pg_get_indexdef(indexrelid)) + 1))"
					 "  FROM pg_index i WHERE indrelid = $1 AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = i.indexrelid AND conrelid = $1)"
					 " UNION ALL SELECT 3, format('ALTER TABLE %s ALTER %I DROP IDENTITY', $3, attname) FROM pg_attribute"
					 "  WHERE attrelid = $1 AND attnum > 0 AND attidentity <> '' AND NOT attisdropped"
					 " UNION ALL SELECT 4, format('ALTER TABLE %s ALTER %I ADD GENERATED %s AS IDENTITY (START WITH %s INCREMENT BY %s)', $2, attname,"
					 "  CASE attidentity WHEN 'a' THEN 'ALWAYS' ELSE 'BY DEFAULT' END,"
					 "  coalesce(pg_sequence_last_value(s.seqrelid) + s.seqincrement, s.seqstart), s.seqincrement)"
					 "  FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum"
					 "  AND d.classid = 'pg_class'::regclass AND d.deptype = 'i' JOIN pg_sequence s ON s.seqrelid = d.objid"
					 "  WHERE attrelid = $1 AND attidentity <> ''"
					 " UNION ALL SELECT 5, format('ALTER SEQUENCE %s OWNED BY %s.%I', d.objid::regclass, $2, attname)"
					 "  FROM pg_attribute a JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = a.attnum"
					 "  AND d.classid = 'pg_class'::regclass AND d.deptype = 'a' JOIN pg_class s ON s.oid = d.objid AND s.relkind = 'S' WHERE attrelid = $1"
					 " UNION ALL SELECT 6, format('GRANT %s ON TABLE %s TO %s%s', string_agg(x.privilege_type, ', ' ORDER BY x.privilege_type), $2,"
					 "  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
					 "  FROM pg_class l, aclexplode(l.relacl) x WHERE l.oid = $1 AND x.grantee <> l.relowner GROUP BY x.grantee, x.is_grantable"
					 " UNION ALL SELECT 7, format('GRANT %s (%I) ON TABLE %s TO %s%s', x.privilege_type, t.attname, $2,"
					 "  CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END, CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' ELSE '' END)"
					 "  FROM pg_class l JOIN pg_attribute t ON t.attrelid = l.oid AND t.attnum > 0 AND NOT t.attisdropped, aclexplode(t.attacl) x WHERE l.oid = $1 AND x.grantee <> l.relowner"
					 " UNION ALL SELECT 8, format('COMMENT ON TABLE %s IS %L', $2, obj_description($1, 'pg_class')) WHERE obj_description($1, 'pg_class') IS NOT NULL"
					 " UNION ALL SELECT 9, format('ALTER TABLE %s REPLICA IDENTITY %s', $2, CASE relreplident WHEN 'f' THEN 'FULL' ELSE 'NOTHING' END)"
					 "  FROM pg_class WHERE oid = $1 AND relreplident IN ('f', 'n')"
					 ") commands ORDER BY n, c",
					 lengthof(params), params, take_commands, &commands);
	commands = lappend(commands, psprintf("ALTER TABLE %s ATTACH PARTITION %s FOR VALUES FROM (MINVALUE) TO (%s)",
										  turn->name, first, dbops_partition_literal(&turn->set.clock, turn->boundary)));
	return lappend(commands, psprintf("ALTER TABLE %s DROP CONSTRAINT " TABLE_PROOF, first));
}

static void
take_commands(HeapTuple row, TupleDesc desc, void *arg)
{
	*(List **) arg = lappend(*(List **) arg, dbops_row_text(row, desc, 1));
}

/* ---- to prove ---- */

/* Say that all rows are before the boundary, and have that checked while everybody works. */
static void
prove(Turn *turn)
{
	bool		validated;

	try_until_done(turn, add_proof);
	if (proof_state(turn, &validated) && !validated)
		try_until_done(turn, validate_proof);
}

static bool
proof_state(const Turn *turn, bool *validated)
{
	DbopsParam	param = dbops_param_oid(turn->table);
	Datum		value;
	bool		exists = dbops_query_value("SELECT convalidated FROM pg_constraint WHERE conrelid = $1 AND conname = '" TABLE_PROOF "'",
										   1, &param, BOOLOID, &value);

	*validated = exists && DatumGetBool(value);
	return exists;
}

/* One attempt after the other, with nothing locked in between. */
static void
try_until_done(Turn *turn, bool (*attempt) (Turn *turn))
{
	TimestampTz began = GetCurrentTimestamp();

	while (!attempt(turn))
	{
		DbopsStep	step = {0};

		if (TimestampDifferenceExceeds(began, GetCurrentTimestamp(), LONGEST_WAIT))
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("table %s could not be locked: waited %s", turn->name, turn->why),
					 errhint("CALL again when the other session has ended.")));
		dbops_procedure_commit();
		dbops_partition_wait(&step, turn->why);
		dbops_clock_pause(step.pause);
	}
	dbops_procedure_commit();
}

/* One that an earlier call has left may be of another boundary. */
static bool
add_proof(Turn *turn)
{
	bool		validated;

	if (!dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why))
		return false;
	if (proof_state(turn, &validated) &&
		!dbops_partition_ddl(turn->owner, psprintf("ALTER TABLE %s DROP CONSTRAINT " TABLE_PROOF, turn->name), &turn->why))
		return false;
	return dbops_partition_ddl(turn->owner, proof_sql(turn), &turn->why);
}

static bool
validate_proof(Turn *turn)
{
	return dbops_partition_lock(&turn->table, 1, ShareUpdateExclusiveLock, &turn->why) &&
		dbops_partition_ddl(turn->owner, psprintf("ALTER TABLE %s VALIDATE CONSTRAINT " TABLE_PROOF, turn->name), &turn->why);
}

/* ---- to swap ---- */

/* The commands are read under the lock, so that nothing comes in between. */
static bool
swap(Turn *turn)
{
	int			nest_level;
	ErrorData  *error;
	bool		done;

	if (!dbops_partition_lock(&turn->table, 1, AccessExclusiveLock, &turn->why))
		return false;
	refuse_obstacles(turn);
	nest_level = NewGUCNestLevel();
	dbops_set_nested("lock_timeout", psprintf("%d", PARTITION_LOCK_WAIT));
	done = dbops_attempt(swap_as_owner, turn, &error);
	AtEOXact_GUC(false, nest_level);
	if (!done && !dbops_partition_met_lock(error))
		ReThrowError(error);
	turn->why = "for a lock that another session had";
	return done;
}

static void
swap_as_owner(void *arg)
{
	dbops_run_as(((Turn *) arg)->owner, run_all, arg);
}

static void
run_all(void *arg)
{
	ListCell   *cell;

	foreach(cell, swap_commands(arg))
		dbops_query_command(lfirst(cell));
}

/* ---- ahead ---- */

/* Rows behind the boundary need partitions before it comes. */
static void
make_ahead(const Turn *turn)
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
	{
		const char *why;

		while (!dbops_partition_create(plan->set, lfirst(cell), turn->owner, &why))
			dbops_clock_pause(PARTITION_LOCK_WAIT);
		dbops_procedure_commit();
	}
	ereport(NOTICE,
			(errmsg("table %s is partitioned, %s is its first partition, and %d more are there",
					turn->name, dbops_quote_qualified(turn->schema, turn->first), list_length(plan->missing)),
			 errhint("SELECT dbops.set_partitioning(%s, every => ...) has more made as time passes.", quote_literal_cstr(turn->name))));
}
