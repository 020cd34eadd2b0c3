/*
 * add_unique.c
 *		CALL add_unique(): a unique or primary key, without keeping readers or
 *		writers of the table out while its index is built.
 *
 * A look says whether there are duplicates, before a build that would end with
 * them. The index is built concurrently, and becomes the constraint's in a
 * moment. A primary key has its columns made NOT NULL before.
 *
 * For a partitioned table there is no such way to make an index the constraint's.
 * So each of its tables that hold rows gets the constraint in this way; the
 * statement for the whole finds these and takes them over.
 */
#include "change/constraint.h"
#include "change/online_index.h"

#include "catalog/pg_class.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

enum
{
	ARG_TABLE,
	ARG_COLUMNS,
	ARG_NAME,
	ARG_PRIMARY
};

typedef struct UniqueRequest
{
	OnlineColumns *columns;
	const char *name;			/* given, or NULL */
	bool		primary;
} UniqueRequest;

PG_FUNCTION_INFO_V1(dbops_add_unique);

static void plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo);
static void check_types(Oid table, const OnlineColumns *columns);
static void check_other_primary(Oid table, const char *name);
static void check_same_primary(Oid table, const OnlineColumns *columns);
static void check_partition_keys(Oid table, const OnlineColumns *columns);
static char *name_it(const void *request, Oid table, const char *given, const List *taken);
static List *usable_indexes(const UniqueRequest *request, Oid table);
static void add_not_null(OnlinePlan *plan, const UniqueRequest *request);
static void add_look(OnlinePlan *plan, const UniqueRequest *request, const OnlinePart *part);
static void add_steps(OnlinePlan *plan, const UniqueRequest *request, const OnlinePart *part);
static char *index_valid(const OnlinePart *part);
static char *is_not_null(const UniqueRequest *request, Oid table);
static char *look(Oid table, const OnlineColumns *columns);
static const char *kind_of(const UniqueRequest *request);

/* CALL add_unique(table_name, columns, constraint_name, primary_key, lock_timeout, max_wait, dry_run) */
Datum
dbops_add_unique(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "add_unique");
	plan_steps(&plan, fcinfo);
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo)
{
	UniqueRequest request = {0};
	List	   *parts;
	ListCell   *cell;
	char	   *name;

	dbops_require_argument(fcinfo, ARG_TABLE, "table_name");
	dbops_require_argument(fcinfo, ARG_PRIMARY, "primary_key");
	dbops_online_take_for_rows(plan, PG_GETARG_OID(ARG_TABLE));
	request.columns = dbops_online_columns(fcinfo, ARG_COLUMNS, "columns", plan->table);
	request.primary = PG_GETARG_BOOL(ARG_PRIMARY);
	if (!PG_ARGISNULL(ARG_NAME))
		request.name = pstrdup(NameStr(*PG_GETARG_NAME(ARG_NAME)));
	plan->columns = dbops_online_same_columns(request.columns, plan->table);
	check_types(plan->table, request.columns);
	check_partition_keys(plan->table, request.columns);
	if (!request.primary)
		check_same_primary(plan->table, request.columns);
	name = name_it(&request, plan->table, request.name, NIL);
	parts = dbops_online_parts(plan, name, name_it, &request);
	foreach(cell, parts)
		add_look(plan, &request, lfirst(cell));
	if (request.primary)
		add_not_null(plan, &request);
	foreach(cell, parts)
		add_steps(plan, &request, lfirst(cell));
	dbops_online_add_whole(plan, name, psprintf("%s (%s)", kind_of(&request), request.columns->list), parts);
	if (get_rel_relkind(plan->table) == RELKIND_PARTITIONED_TABLE)
		dbops_online_require_create(plan, llast(plan->steps), get_rel_namespace(plan->table));
}

/* What has no order has no unique index. */
static void
check_types(Oid table, const OnlineColumns *columns)
{
	for (int i = 0; i < columns->n; i++)
	{
		Oid			type = get_atttype(table, columns->numbers[i]);

		if (!OidIsValid(lookup_type_cache(type, TYPECACHE_BTREE_OPFAMILY)->btree_opf))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_OBJECT),
					 errmsg("column \"%s\" of type %s cannot be part of a unique key",
							(char *) list_nth(columns->names, i), format_type_be(type)),
					 errdetail("The type has no order for a B-tree."),
					 errhint("Name columns of types that have one.")));
	}
}

/* A table has one primary key. */
static void
check_other_primary(Oid table, const char *name)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_text(name)};
	char	   *other = dbops_query_text("SELECT conname::text FROM pg_constraint WHERE conrelid = $1 AND contype = 'p' AND conname <> $2",
										 lengthof(params), params);

	if (other != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("table \"%s\" has another primary key, \"%s\"", get_rel_name(table), other),
				 errhint("Leave primary_key out for a unique key beside it.")));
}

/* What is unique as the primary key would have a second index, for nothing. */
static void
check_same_primary(Oid table, const OnlineColumns *columns)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_online_numbers(columns)};
	char	   *primary = dbops_query_text("SELECT p.conname::text FROM pg_constraint p WHERE p.conrelid = $1 AND p.contype = 'p' AND NOT p.condeferrable"
										   " AND p.conkey @> $2 AND p.conkey <@ $2"
										   " AND NOT EXISTS (SELECT FROM pg_constraint u WHERE u.conrelid = $1 AND u.contype = 'u' AND u.conkey = $2)",
										   lengthof(params), params);

	if (primary != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_OBJECT),
				 errmsg("the primary key \"%s\" of table \"%s\" keeps (%s) unique already", primary, get_rel_name(table), columns->list),
				 errhint("Foreign keys can refer to it, and ON CONFLICT can name it.")));
}

/* Partitions can only keep apart what their key does. */
static void
check_partition_keys(Oid table, const OnlineColumns *columns)
{
	DbopsParam	params[] = {dbops_param_oid(table), dbops_param_texts(columns->names)};
	char	   *parent = dbops_query_text("SELECT p.partrelid::regclass::text FROM pg_partition_tree($1) t"
										  " JOIN pg_partitioned_table p ON p.partrelid = t.relid"
										  " WHERE EXISTS (SELECT FROM unnest(p.partattrs::int2[]) k(number)"
										  " LEFT JOIN pg_attribute a ON a.attrelid = p.partrelid AND a.attnum = k.number"
										  " WHERE k.number = 0 OR NOT a.attname::text = ANY ($2)) ORDER BY t.level LIMIT 1",
										  lengthof(params), params);

	if (parent != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a unique key has to have all columns of the partition key of table \"%s\"", parent),
				 errdetail("Each partition keeps its own rows apart, and no index spans them."),
				 errhint("Name the columns of the partition key too, or CALL this for each partition.")));
}

/* Name it in a table or a partition: what is there and the same keeps its name. */
static char *
name_it(const void *argument, Oid table, const char *given, const List *taken)
{
	const UniqueRequest *request = argument;
	OnlineColumns *columns = dbops_online_columns_of(table, request->columns->names);
	DbopsParam	params[] = {
		dbops_param_oid(table),
		dbops_online_numbers(columns),
		dbops_param_text(request->primary ? "p" : "u")
	};
	OnlineNaming naming = {
		.table = table,
		.given = given,
		.same = dbops_online_names("SELECT conname::text FROM pg_constraint WHERE conrelid = $1 AND conkey = $2"
								   " AND contype::text = $3 AND NOT condeferrable"
								   " AND EXISTS (SELECT FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
								   " WHERE i.indexrelid = conindid AND m.amname = 'btree' AND i.indisvalid AND NOT i.indnullsnotdistinct)"
								   " ORDER BY 1", lengthof(params), params),
		.usable = usable_indexes(request, table),
		.is_constraint = true,
		.is_relation = true,
		.taken = taken,
		.columns = request->primary ? NULL : columns->joined,
		.label = request->primary ? "pkey" : "key"
	};

	return dbops_online_name(&naming);
}

/* Indexes that can become the constraint's, valid or not; a partitioned table's cannot. */
static List *
usable_indexes(const UniqueRequest *request, Oid table)
{
	List	   *names = NIL;
	ListCell   *cell;

	if (get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE)
		return NIL;
	foreach(cell, dbops_online_index_same_ones(dbops_online_key_index(table, request->columns->names, true), false))
		names = lappend(names, get_rel_name(lfirst_oid(cell)));
	return names;
}

static void
add_not_null(OnlinePlan *plan, const UniqueRequest *request)
{
	for (int i = 0; i < request->columns->n; i++)
	{
		OnlineNotNull what = {
			.table = plan->table,
			.column = list_nth(request->columns->names, i),
			.is_row = type_is_rowtype(get_atttype(plan->table, request->columns->numbers[i]))
		};

		dbops_online_add_not_null(plan, &what);
	}
}

/* Before anything is built: what forbids duplicates while it is, forbids them to the application too. */
static void
add_look(OnlinePlan *plan, const UniqueRequest *request, const OnlinePart *part)
{
	dbops_online_add_look(plan, (OnlineStep) {
		.sql = look(part->table, request->columns),
		.reached = index_valid(part),
		.why = "Duplicates would be in the way.",
		.message = psprintf("some rows of table \"%s\" have the same key (%s)", get_rel_name(part->table), request->columns->list),
		.sqlerrcode = ERRCODE_UNIQUE_VIOLATION,
		.hint = "Correct or delete all but one of each first"
	});
}

static void
add_steps(OnlinePlan *plan, const UniqueRequest *request, const OnlinePart *part)
{
	if (request->primary)
		check_other_primary(part->table, part->name);
	dbops_online_index_plan_build(plan, dbops_online_key_index(part->table, request->columns->names, true),
								  part->name, part->unless);
	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD CONSTRAINT %s %s USING INDEX %s", dbops_quote_relation(part->table),
						quote_identifier(part->name), kind_of(request), quote_identifier(part->name)),
		.reached = dbops_online_either(dbops_online_constraint_valid(part->table, part->name), part->unless),
		.still = request->primary ? is_not_null(request, part->table) : NULL,
		.message = psprintf("a column of the key of table %s has got rid of NOT NULL meanwhile", dbops_quote_relation(part->table)),
		.why = "The index becomes the constraint's."
	});
}

/* SQL for still: a primary key would have all rows read for a column that may be NULL. */
static char *
is_not_null(const UniqueRequest *request, Oid table)
{
	StringInfoData all;
	ListCell   *cell;

	initStringInfo(&all);
	foreach(cell, request->columns->names)
		appendStringInfo(&all, "%s%s", all.len > 0 ? " AND " : "", dbops_online_is_not_null(table, lfirst(cell)));
	return all.data;
}

static char *
index_valid(const OnlinePart *part)
{
	return dbops_online_either(dbops_online_index_valid(part->table, get_namespace_name(get_rel_namespace(part->table)), part->name),
							   part->unless);
}

/* A query of the keys that several rows have; NULL is never the same as another. */
static char *
look(Oid table, const OnlineColumns *columns)
{
	StringInfoData present;
	ListCell   *cell;

	initStringInfo(&present);
	foreach(cell, columns->names)
		appendStringInfo(&present, "%s%s IS NOT NULL", present.len > 0 ? " AND " : "", quote_identifier(lfirst(cell)));
	return psprintf("SELECT %s FROM ONLY %s WHERE %s GROUP BY %s HAVING count(*) > 1",
					columns->list, dbops_quote_relation(table), present.data, columns->list);
}

static const char *
kind_of(const UniqueRequest *request)
{
	return request->primary ? "PRIMARY KEY" : "UNIQUE";
}
