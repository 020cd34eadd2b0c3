/*
 * drop_column.c
 *		drop_column(): drop a column after a look at who names it.
 *
 * The drop is a moment; what it breaks is found out later. So everything that
 * names the column is told before: what the server would refuse to do without is
 * refused with what to do about it, what goes with the column is listed, and so
 * are functions and statements whose text may name it. CASCADE is never used.
 *
 * A column that is not there has been dropped, or never was: the catalog keeps no
 * names of dropped ones. A call that is repeated must find its work done, so that
 * is told and no error, as with DROP COLUMN IF EXISTS.
 */
#include "change/drop_column.h"

#include "access/attnum.h"
#include "catalog/dependency.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

#define CLOSE_NAMES	3			/* letters in which names may differ that are taken for the same, misspelt */

/* Columns on the way to the one that was meant. */
typedef struct Guess
{
	const char *wanted;
	const char *closest;		/* or NULL */
	int			distance;
} Guess;

PG_FUNCTION_INFO_V1(dbops_drop_column);

static void check(const ColumnDrop *drop, const OnlinePlan *plan);
static void refuse_foreign_owner(const ColumnDrop *drop);
static void refuse_kind_of_table(const ColumnDrop *drop);
static void refuse_system_column(const ColumnDrop *drop);
static void refuse_inherited(const ColumnDrop *drop);
static void refuse_partition_key(const ColumnDrop *drop);
static void refuse_primary_key(const ColumnDrop *drop);
static void refuse_replica_identity(const ColumnDrop *drop);
static void refuse_while_backfilled(const ColumnDrop *drop);
static void refuse_while_changed(const OnlinePlan *plan);
static void refuse_twin(const ColumnDrop *drop);
static char *ask(const ColumnDrop *drop, const char *sql);
static void tell_missing(const ColumnDrop *drop);
static void compare_name(HeapTuple row, TupleDesc desc, void *arg);
static void add_step(OnlinePlan *plan, const ColumnDrop *drop);

/* drop_column(table_name regclass, column_name name, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_drop_column(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};
	ColumnDrop	drop = {0};

	dbops_online_begin(fcinfo, &plan, "drop_column");
	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "column_name");
	drop.table = PG_GETARG_OID(0);
	dbops_online_take_table(&plan, drop.table);
	drop.table_name = dbops_quote_relation(drop.table);
	drop.column = pstrdup(NameStr(*PG_GETARG_NAME(1)));
	drop.name = dbops_quote_name(drop.column);
	plan.name = psprintf("%s.%s", drop.table_name, drop.name);
	plan.key = drop.column;

	refuse_foreign_owner(&drop);
	refuse_kind_of_table(&drop);
	if (get_attnum(drop.table, drop.column) == InvalidAttrNumber)
		tell_missing(&drop);
	else
	{
		check(&drop, &plan);
		dbops_drop_column_tell_lost(&drop);
		dbops_drop_column_tell_mentions(&drop);
	}
	add_step(&plan, &drop);
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

/* Refuse what cannot be, before anything is told. */
static void
check(const ColumnDrop *drop, const OnlinePlan *plan)
{
	refuse_system_column(drop);
	refuse_inherited(drop);
	refuse_partition_key(drop);
	refuse_while_backfilled(drop);
	refuse_twin(drop);
	refuse_while_changed(plan);
	refuse_primary_key(drop);
	refuse_replica_identity(drop);
	dbops_drop_column_refuse_dependents(drop);
	dbops_drop_column_refuse_row_functions(drop->table, drop->column,
										   "Drop those objects, or CREATE OR REPLACE the functions with bodies that do without the column, and REINDEX where an index calls them.");
}

/* The columns of a materialized view are its query's, and those of a typed table its type's. */
static void
refuse_kind_of_table(const ColumnDrop *drop)
{
	HeapTuple	class = SearchSysCache1(RELOID, ObjectIdGetDatum(drop->table));
	Oid			type = ((Form_pg_class) GETSTRUCT(class))->reloftype;

	ReleaseSysCache(class);
	if (get_rel_relkind(drop->table) == RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("%s is a materialized view", drop->table_name),
				 errhint("Create it anew from a query without the column.")));
	if (OidIsValid(type))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("the columns of %s are those of type %s", drop->table_name, format_type_be_qualified(type)),
				 errhint("ALTER TABLE %s NOT OF; first, or ALTER TYPE %s DROP ATTRIBUTE %s CASCADE; for all of its tables.",
						 drop->table_name, format_type_be_qualified(type), drop->name)));
}

/* Those that the code of an extension reads. */
static void
refuse_foreign_owner(const ColumnDrop *drop)
{
	Oid			extension = getExtensionOfObject(RelationRelationId, drop->table);

	if (OidIsValid(extension))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("table %s belongs to extension %s, which needs its columns", drop->table_name, quote_identifier(get_extension_name(extension))),
				 errhint("Its tables change with ALTER EXTENSION %s UPDATE;", quote_identifier(get_extension_name(extension)))));
}

static void
refuse_system_column(const ColumnDrop *drop)
{
	if (get_attnum(drop->table, drop->column) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column %s is a system column, which each table has", drop->name),
				 errhint("Give a column of your own.")));
}

static void
refuse_inherited(const ColumnDrop *drop)
{
	const char *parent = ask(drop, "WITH RECURSIVE up (relid) AS (SELECT $1 UNION SELECT h.inhparent FROM up"
							 " JOIN pg_inherits h ON h.inhrelid = up.relid"
							 " JOIN pg_attribute a ON a.attrelid = h.inhparent AND a.attname = $2 AND NOT a.attisdropped)"
							 " SELECT a.attrelid::regclass::text FROM up JOIN pg_attribute a ON a.attrelid = up.relid AND a.attname = $2"
							 " WHERE up.relid <> $1 AND a.attinhcount = 0 ORDER BY 1 LIMIT 1");

	if (parent != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column %s of %s is inherited", drop->name, drop->table_name),
				 errhint("Drop it where it comes from: CALL dbops.drop_column(%s, %s);",
						 dbops_quote_text(parent), dbops_quote_text(drop->column))));
}

/* The server has the columns of a partition key be a part of the table that cannot go alone. */
static void
refuse_partition_key(const ColumnDrop *drop)
{
	const char *table = ask(drop, COLUMN_AND_BELOW " SELECT own.relid::regclass::text FROM own JOIN pg_depend d"
							" ON d.classid = 'pg_class'::regclass AND d.objid = own.relid AND d.objsubid = own.attnum"
							" AND d.refclassid = 'pg_class'::regclass AND d.refobjid = own.relid AND d.refobjsubid = 0 AND d.deptype = 'i'"
							" ORDER BY own.relid <> $1, 1 LIMIT 1");

	if (table != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("column %s is part of the partition key of %s", drop->name, table),
				 errhint("A partition key cannot be changed: create a table that is partitioned by another one, and move the rows.")));
}

static void
refuse_primary_key(const ColumnDrop *drop)
{
	const char *key = ask(drop, COLUMN_AND_BELOW " SELECT quote_ident(k.conname) FROM own JOIN pg_constraint k"
						  " ON k.conrelid = own.relid AND k.contype = 'p' AND own.attnum = ANY (k.conkey)"
						  " ORDER BY own.relid <> $1, 1 LIMIT 1");

	if (key != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("column %s is part of the primary key of %s", drop->name, drop->table_name),
				 errhint("If other columns tell the rows apart, drop that first: ALTER TABLE %s DROP CONSTRAINT %s;", drop->table_name, key)));
}

/* Without it rows that are published could be neither updated nor deleted. */
static void
refuse_replica_identity(const ColumnDrop *drop)
{
	const char *table = ask(drop, COLUMN_AND_BELOW " SELECT c.oid::regclass::text FROM own JOIN pg_class c ON c.oid = own.relid AND c.relreplident = 'i'"
							" JOIN pg_index i ON i.indrelid = c.oid AND i.indisreplident AND own.attnum = ANY (i.indkey)"
							" ORDER BY own.relid <> $1, 1 LIMIT 1");

	if (table != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DEPENDENT_OBJECTS_STILL_EXIST),
				 errmsg("column %s is part of the replica identity of %s", drop->name, table),
				 errhint("Subscribers find its rows by that. Give it another one first: ALTER TABLE %s REPLICA IDENTITY DEFAULT;", table)));
}

static void
refuse_while_backfilled(const ColumnDrop *drop)
{
	DbopsParam	params[] = {dbops_param_oid(drop->table), dbops_param_text(drop->column)};
	const char *job = dbops_store_text("SELECT j.id::text FROM dbops.job j WHERE j.finished_at IS NULL AND j.kind = 'backfill'"
									   " AND j.spec ->> 'relid' = $1::text AND j.spec -> 'columns' ? $2 ORDER BY j.id LIMIT 1",
									   lengthof(params), params);

	if (job != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("job %s, a backfill of %s, uses column %s", job, drop->table_name, drop->name),
				 errhint("Wait for it: CALL dbops.wait_job(%s); or cancel it: SELECT dbops.cancel_job(%s);", job, job)));
}

static void
refuse_while_changed(const OnlinePlan *plan)
{
	DbopsParam	params[] = {dbops_param_oid(plan->table), dbops_param_text(plan->name), dbops_param_text(plan->call)};
	const char *job = dbops_store_text("SELECT j.id::text FROM dbops.job j WHERE j.finished_at IS NULL AND j.kind = 'change'"
									   " AND j.spec ->> 'table' = $1::text AND j.spec ->> 'name' = $2 AND j.spec ->> 'call' <> $3"
									   " ORDER BY j.id LIMIT 1",
									   lengthof(params), params);

	if (job != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("job %s changes %s", job, plan->name),
				 errhint("Wait for it: CALL dbops.wait_job(%s); or cancel it: SELECT dbops.cancel_job(%s);", job, job)));
}

/* One half of a change goes with the end of that. */
static void
refuse_twin(const ColumnDrop *drop)
{
	DbopsParam	params[] = {
		dbops_param_oid(drop->table), dbops_param_text(drop->column), dbops_param_text(dbops_backfill_sync_home())
	};
	const char *id = dbops_store_text(COLUMN_AND_BELOW " SELECT t.id::text FROM own JOIN dbops.column_change t ON t.relid = own.relid"
									  " WHERE t.home = $3 AND t.state IN ('expanding', 'ready') AND $2 = ANY (t.old_columns || t.new_columns)"
									  " ORDER BY t.id LIMIT 1",
									  lengthof(params), params);

	if (id != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_IN_USE),
				 errmsg("column %s of %s is in change %s", drop->name, drop->table_name, id),
				 errhint("End that first: CALL dbops.finish_change(%s); or CALL dbops.abort_change(%s);", id, id)));
}

/* Ask the catalog something of the table, $1, and the column, $2: a text, or NULL. */
static char *
ask(const ColumnDrop *drop, const char *sql)
{
	DbopsParam	params[] = {dbops_param_oid(drop->table), dbops_param_text(drop->column)};

	return dbops_query_text(sql, lengthof(params), params);
}

/* ---- when there is none ---- */

static void
tell_missing(const ColumnDrop *drop)
{
	DbopsParam	param = dbops_param_oid(drop->table);
	Guess		guess = {.wanted = drop->column,.distance = CLOSE_NAMES + 1};

	dbops_query_each("SELECT attname::text FROM pg_attribute WHERE attrelid = $1 AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
					 1, &param, compare_name, &guess);
	ereport(NOTICE,
			(errmsg("%s has no column %s: it was dropped already, or never was", drop->table_name, drop->name),
			 guess.closest != NULL ? errhint("If you mean column %s, that stays.", dbops_quote_name(guess.closest)) : 0));
}

static void
compare_name(HeapTuple row, TupleDesc desc, void *arg)
{
	Guess	   *guess = arg;
	char	   *name = dbops_row_text(row, desc, 1);
	int			distance = varstr_levenshtein_less_equal(name, strlen(name), guess->wanted, strlen(guess->wanted),
														 1, 1, 1, guess->distance - 1, true);

	if (distance >= guess->distance || distance > (int) strlen(guess->wanted) / 2)
		return;
	guess->closest = name;
	guess->distance = distance;
}

/* ---- the plan ---- */

static void
add_step(OnlinePlan *plan, const ColumnDrop *drop)
{
	const char *referenced = ask(drop, COLUMN_AND_BELOW " SELECT string_agg(DISTINCT k.confrelid::regclass::text, ', ') FROM own"
								 " JOIN pg_constraint k ON k.conrelid = own.relid AND k.contype = 'f' AND own.attnum = ANY (k.conkey)");

	dbops_online_add(plan, (OnlineStep) {
					 .kind = ONLINE_SHORT,
					 .sql = psprintf("ALTER TABLE %s DROP COLUMN %s%s", drop->table_name, drop->name,
									 dbops_drop_column_renew_indexes(drop->table, drop->column)),
					 .reached = psprintf("NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = %u AND attname = %s AND NOT attisdropped)",
										 drop->table, quote_literal_cstr(drop->column)),
					 .still = psprintf("%s AND NOT EXISTS (SELECT FROM dbops.column_change WHERE relid = %u AND home = %s AND state IN ('expanding', 'ready')"
									   " AND %s = ANY (old_columns || new_columns))", dbops_drop_column_still(drop), drop->table,
									   quote_literal_cstr(dbops_backfill_sync_home()), quote_literal_cstr(drop->column)),
					 .asks_ours = true,
					 .message = psprintf("column %s of %s is another, is in a change, or has other things that depend on it, than when it was looked at",
										 drop->name, drop->table_name),
					 .why = referenced == NULL ? "Its values stay in the rows until these are written again." :
					 psprintf("Its values stay in the rows until these are written again. A foreign key goes with it, so that %s is locked as well.", referenced)
					 });
}
