/*
 * twin_column.c
 *		A column that is to be changed, as the catalog has it.
 */
#include "change/twin.h"

#include "change/constraint.h"

#include "access/htup_details.h"
#include "catalog/partition.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_inherits.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static List *look_up_family(const TwinColumn *column);
static TwinColumn *column_of(List *columns, Oid relid);
static bool is_same_text(const char *one, const char *other);
static TwinColumn *describe(Oid relid, Form_pg_attribute attribute);
static void take_rest(HeapTuple row, TupleDesc desc, void *arg);

/* Describe it; refuse one that is not there, or is the system's. */
TwinColumn *
dbops_twin_column(Oid relid, const char *name)
{
	HeapTuple	tuple = SearchSysCacheAttName(relid, name);
	TwinColumn *column;

	if (!HeapTupleIsValid(tuple))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("column \"%s\" of table %s does not exist", name, dbops_quote_relation(relid)),
				 errhint("\\d %s in psql lists its columns.", dbops_quote_relation(relid))));
	if (((Form_pg_attribute) GETSTRUCT(tuple))->attnum < 0)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("\"%s\" is a system column", name),
				 errhint("Name a column of the table's own.")));
	column = describe(relid, (Form_pg_attribute) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);
	return column;
}

/* The column in its table and in all partitions of that, each behind what it is a partition of; looked up once. */
List *
dbops_twin_columns(const TwinColumn *column)
{
	if (column->family == NIL)
		unconstify(TwinColumn *, column)->family = look_up_family(column);
	return column->family;
}

static List *
look_up_family(const TwinColumn *column)
{
	List	   *columns = list_make1(unconstify(TwinColumn *, column));
	ListCell   *cell;

	foreach(cell, find_all_inheritors(column->relid, NoLock, NULL))
		if (lfirst_oid(cell) != column->relid)
			columns = lappend(columns, dbops_twin_column(lfirst_oid(cell), column->name));
	for (int i = list_length(columns) - 1; i > 0; i--)
	{
		TwinColumn *each = list_nth(columns, i);
		const TwinColumn *parent = column_of(columns, get_partition_parent(each->relid, true));

		each->not_null = each->not_null && !parent->not_null;
		each->same_default = is_same_text(each->default_value, parent->default_value);
	}
	return columns;
}

static TwinColumn *
column_of(List *columns, Oid relid)
{
	ListCell   *cell;

	foreach(cell, columns)
		if (((TwinColumn *) lfirst(cell))->relid == relid)
			return lfirst(cell);
	return linitial(columns);
}

static bool
is_same_text(const char *one, const char *other)
{
	return one == other || (one != NULL && other != NULL && strcmp(one, other) == 0);
}

static TwinColumn *
describe(Oid relid, Form_pg_attribute attribute)
{
	TwinColumn *column = palloc0(sizeof(TwinColumn));
	DbopsParam	params[] = {dbops_param_oid(relid), dbops_param_int4(attribute->attnum)};

	column->relid = relid;
	column->schema = get_namespace_name(get_rel_namespace(relid));
	column->relname = get_rel_name(relid);
	column->table = dbops_quote_relation(relid);
	column->name = pstrdup(NameStr(attribute->attname));
	column->attnum = attribute->attnum;
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	column->collation = attribute->attcollation;
	column->not_null = attribute->attnotnull;
	dbops_query_each_kept("SELECT (SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = $1 AND adnum = $2),"
						  " (SELECT array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY c.oid) FROM pg_depend d JOIN pg_class c ON c.oid = d.objid"
						  " JOIN pg_namespace n ON n.oid = c.relnamespace WHERE d.classid = 'pg_class'::regclass AND c.relkind = 'S'"
						  " AND d.refclassid = 'pg_class'::regclass AND d.refobjid = $1 AND d.refobjsubid = $2 AND d.deptype = 'a')",
						  lengthof(params), params, take_rest, column);
	return column;
}

static void
take_rest(HeapTuple row, TupleDesc desc, void *arg)
{
	TwinColumn *column = arg;

	column->default_value = dbops_row_text(row, desc, 1);
	column->sequences = dbops_row_texts(row, desc, 2);
}

/* Refuse a name for a new column that is taken, unless this change has made it, perhaps in the database that a dump came from. */
void
dbops_twin_check_free(const TwinColumn *column, const char *name, const TwinChange *known)
{
	AttrNumber	attnum = get_attnum(column->relid, name);

	if (name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("the name of a column cannot be empty"),
				 errhint("Give the name that column \"%s\" is to have.", column->name)));
	if (attnum == InvalidAttrNumber)
		dbops_online_require_room(column->relid);
	if (attnum == InvalidAttrNumber || (known != NULL && attnum > 0 && dbops_twin_has_made(known, column->relid)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_DUPLICATE_COLUMN),
			 errmsg("column \"%s\" of table %s already exists", name, column->table),
			 attnum < 0 ? errhint("Every table has a system column of that name: give another one.") :
			 errhint("Give another name, or drop that column first with CALL dbops.drop_column().")));
}

/* Say so where the new column will not stand where the old one does: it is the last one, and the server knows no other place. */
void
dbops_twin_tell_place(const TwinColumn *column, const TwinChange *known)
{
	DbopsParam	params[] = {dbops_param_oid(column->relid), dbops_param_int4(column->attnum)};

	if (known != NULL ||
		dbops_query_each("SELECT FROM pg_attribute WHERE attrelid = $1 AND attnum > $2 AND NOT attisdropped LIMIT 1",
						 lengthof(params), params, NULL, NULL) == 0)
		return;
	ereport(NOTICE,
			(errmsg("the new column is the last one of table %s, also when it has taken the place of \"%s\"", column->table, column->name),
			 errhint("Statements that name no columns (SELECT *, INSERT without a list, COPY) find one more from the first step on, and another order at the end: have them name their columns first.")));
}
