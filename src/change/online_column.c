/*
 * online_column.c
 *		Tables and columns as arguments of calls that make rows obey a rule.
 */
#include "change/constraint.h"
#include "change/online_index.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "storage/proc.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/array.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"

static void bound_waits(const OnlinePlan *plan);
static void check_owners(Oid table);
static List *take_names(FunctionCallInfo fcinfo, int argument, const char *name);
static void check_names(List *names, const char *argument);

/* Take a table whose rows applications write. */
void
dbops_online_take_for_rows(OnlinePlan *plan, Oid table)
{
	bound_waits(plan);
	dbops_online_take_table(plan, table);
	if (get_rel_relkind(table) == RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a materialized view", get_rel_name(table)),
				 errhint("Change the query that it is made of, or the tables that it reads.")));
	dbops_online_lock_for_plan(table);
	check_owners(table);
}

/* Its owner, whose rights the steps have, is to be allowed all of it. */
static void
check_owners(Oid table)
{
	Oid			owner = dbops_relation_owner(table);
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, NoLock, NULL))
	{
		Oid			other = dbops_relation_owner(lfirst_oid(cell));

		if (!has_privs_of_role(owner, other))
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("table %s, which is below table %s, belongs to another role, \"%s\"",
							dbops_quote_relation(lfirst_oid(cell)), dbops_quote_relation(table), GetUserNameFromId(other, false)),
					 errdetail("The change is made with the rights of role \"%s\".", GetUserNameFromId(owner, false)),
					 errhint("Give both the same owner first: ALTER TABLE %s OWNER TO %s;", dbops_quote_relation(lfirst_oid(cell)),
							 quote_identifier(GetUserNameFromId(owner, false)))));
	}
}

/* See that what tables are like can be read: nobody is changing them just now. */
void
dbops_online_lock_for_plan(Oid table)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, NoLock, NULL))
		dbops_online_index_lock_table(lfirst_oid(cell));
}

/* The plan reads what tables are like; that waits for no longer than one of its steps would. */
static void
bound_waits(const OnlinePlan *plan)
{
	long		most = Max(plan->max_wait, 1);

	if (LockTimeout == 0 || LockTimeout > most)
		dbops_set_local("lock_timeout", psprintf("%ld", Min(most, INT_MAX)));
}

/* Add a look for rows that do not fit, which has to see all of them. */
void
dbops_online_add_refusal(OnlinePlan *plan, OnlineStep step)
{
	if (!dbops_online_is_reached(&step) &&
		check_enable_rls(plan->table, dbops_relation_owner(plan->table), true) == RLS_ENABLED)
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("row-level security would hide rows of table \"%s\" that do not fit", get_rel_name(plan->table)),
				 errdetail("Row-level security of the table is forced on its owner, with whose rights it is read."),
				 errhint("ALTER TABLE %s NO FORCE ROW LEVEL SECURITY for the time of the call, or give the owner BYPASSRLS.",
						 dbops_quote_relation(plan->table))));
	dbops_online_add(plan, step);
}

/* Take an argument of type name[]: columns of a table, at least one. */
OnlineColumns *
dbops_online_columns(FunctionCallInfo fcinfo, int argument, const char *name, Oid table)
{
	return dbops_online_columns_of(table, take_names(fcinfo, argument, name));
}

static List *
take_names(FunctionCallInfo fcinfo, int argument, const char *name)
{
	List	   *names = NIL;
	Datum	   *elements;
	bool	   *nulls;
	int			n;

	dbops_require_argument(fcinfo, argument, name);
	deconstruct_array(PG_GETARG_ARRAYTYPE_P(argument), NAMEOID, NAMEDATALEN, false, TYPALIGN_CHAR,
					  &elements, &nulls, &n);
	for (int i = 0; i < n; i++)
	{
		if (nulls[i])
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not hold null", name)));
		names = lappend(names, pstrdup(NameStr(*DatumGetName(elements[i]))));
	}
	check_names(names, name);
	return names;
}

static void
check_names(List *names, const char *argument)
{
	ListCell   *cell;

	if (names == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must name at least one column", argument),
				 errhint("Such as '{customer_id}'.")));
	if (list_length(names) > INDEX_MAX_KEYS)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("%s must not name more than %d columns", argument, INDEX_MAX_KEYS)));
	foreach(cell, names)
		for (int i = 0; i < foreach_current_index(cell); i++)
			if (strcmp(lfirst(cell), list_nth(names, i)) == 0)
				ereport(ERROR,
						(errcode(ERRCODE_DUPLICATE_COLUMN),
						 errmsg("%s names column \"%s\" twice", argument, (char *) lfirst(cell))));
}

/* Columns of a table that are there. */
OnlineColumns *
dbops_online_columns_of(Oid table, List *names)
{
	OnlineColumns *columns = palloc0(sizeof(OnlineColumns));
	StringInfoData list;
	StringInfoData joined;
	ListCell   *cell;

	initStringInfo(&list);
	initStringInfo(&joined);
	columns->names = names;
	columns->numbers = palloc(list_length(names) * sizeof(AttrNumber));
	foreach(cell, names)
	{
		columns->numbers[columns->n++] = dbops_online_column_number(table, lfirst(cell));
		appendStringInfo(&list, "%s%s", list.len > 0 ? ", " : "", quote_identifier(lfirst(cell)));
		appendStringInfo(&joined, "%s%s", joined.len > 0 ? "_" : "", (char *) lfirst(cell));
	}
	columns->list = list.data;
	columns->joined = joined.data;
	return columns;
}

/* The number of a column that is there and is the user's. */
AttrNumber
dbops_online_column_number(Oid table, const char *column)
{
	AttrNumber	number = get_attnum(table, column);

	if (number == InvalidAttrNumber)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table \"%s\" does not exist", column, get_rel_name(table)),
				 errhint("Give its name as the catalog has it, without quotes: capitals count.")));
	if (number < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("column \"%s\" of table \"%s\" is a system column", column, get_rel_name(table)),
				 errhint("Name a column of your own.")));
	return number;
}

/* SQL for still: neither the table nor one below it has such a column. */
char *
dbops_online_column_nowhere(Oid table, const char *column)
{
	return psprintf("NOT EXISTS (" ONLINE_TREE " SELECT FROM tree JOIN pg_attribute a ON a.attrelid = tree.oid"
					" WHERE a.attname = %s AND NOT a.attisdropped)",
					table, quote_literal_cstr(column));
}

/* The tables that hold the rows of a partitioned table, or the table itself; foreign ones are refused. */
List *
dbops_online_leaves(Oid table)
{
	List	   *leaves = NIL;
	ListCell   *cell;

	if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
		return list_make1_oid(table);
	foreach(cell, find_all_inheritors(table, NoLock, NULL))
	{
		char		relkind = get_rel_relkind(lfirst_oid(cell));

		if (relkind == RELKIND_FOREIGN_TABLE)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("partition \"%s\" of table \"%s\" is a foreign table",
							get_rel_name(lfirst_oid(cell)), get_rel_name(table)),
					 errdetail("Nothing here can keep its rows to a key."),
					 errhint("Detach it, or CALL this for the other partitions one by one.")));
		if (relkind == RELKIND_RELATION)
			leaves = lappend_oid(leaves, lfirst_oid(cell));
	}
	return leaves;
}

/* Their numbers as pg_constraint and pg_index have them. */
DbopsParam
dbops_online_numbers(const OnlineColumns *columns)
{
	Datum	   *values = palloc(columns->n * sizeof(Datum));

	for (int i = 0; i < columns->n; i++)
		values[i] = Int16GetDatum(columns->numbers[i]);
	return dbops_param_array(values, columns->n, INT2OID);
}

/* Refuse a table whose partition is half detached: it is neither in it nor out, gets no column any more, and has its rows still. */
void
dbops_online_refuse_detaching(Oid table)
{
	DbopsParam	param = dbops_param_oid(table);
	char	   *finalize = dbops_query_text("SELECT format('ALTER TABLE %s DETACH PARTITION %s FINALIZE;', i.inhparent::regclass, i.inhrelid::regclass)"
											" FROM pg_inherits i WHERE i.inhdetachpending AND i.inhparent IN (SELECT $1 UNION SELECT relid FROM pg_partition_tree($1)) LIMIT 1",
											1, &param);

	if (finalize != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("a partition of table %s is half detached", dbops_quote_relation(table)),
				 errhint("Have that done first: %s", finalize)));
}

/* Refuse one more column where the table, or one below it, has as many as there can be; those that were dropped count. */
void
dbops_online_require_room(Oid table)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_int4(MaxHeapAttributeNumber)};
	char	   *full = dbops_query_text("SELECT c.oid::regclass::text FROM pg_class c WHERE c.relnatts >= $2 AND"
										" (c.oid = $1 OR c.oid IN (SELECT relid FROM pg_partition_tree($1)) OR c.oid IN (SELECT inhrelid FROM pg_inherits WHERE inhparent = $1)) LIMIT 1",
										lengthof(params), params);

	if (full != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_TOO_MANY_COLUMNS),
				 errmsg("table %s has %d columns, which is as many as there can be", full, MaxHeapAttributeNumber),
				 errdetail("Columns that were dropped count."),
				 errhint("Move its rows to a new table, which has only those that are there, or put some columns into another one.")));
}
