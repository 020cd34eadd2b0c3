/*
 * add_foreign_key.c
 *		CALL add_foreign_key(): rows have to refer to something, without keeping
 *		readers or writers of either table out.
 *
 * A look says whether there are rows that refer to nothing. An index for the
 * lookups comes next, since each DELETE of a referenced row would read the whole
 * table without one. Then the constraint holds for what is written from then on,
 * and at last it is proven of what was there.
 *
 * A partitioned table gets such a constraint, up to 17, only with a look at all
 * rows under a lock that writers wait for. So each of its tables that hold rows
 * gets its own, proven; the statement for the whole takes these over.
 */
#include "change/foreign_key.h"

#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_add_foreign_key);

static void plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo);
static char *name_it(const void *request, Oid table, const char *given, const List *taken);
static void add_look(OnlinePlan *plan, const ForeignKey *key, const OnlinePart *part);
static char *look(const ForeignKey *key, Oid table);
static char *definition(const ForeignKey *key);

/*
 * CALL add_foreign_key(table_name, columns, referenced_table, referenced_columns,
 *		constraint_name, on_delete, on_update, create_index, lock_timeout, max_wait, dry_run)
 */
Datum
dbops_add_foreign_key(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "add_foreign_key");
	plan_steps(&plan, fcinfo);
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_steps(OnlinePlan *plan, FunctionCallInfo fcinfo)
{
	ForeignKey	key = {0};
	List	   *parts;
	ListCell   *cell;
	char	   *name;

	dbops_foreign_key_read(plan, fcinfo, &key);
	plan->columns = psprintf("%s AND %s", dbops_online_same_columns(key.columns, key.table),
							 dbops_online_same_columns(key.referenced_columns, key.referenced));
	name = name_it(&key, key.table, key.name, NIL);
	parts = dbops_online_parts(plan, name, name_it, &key);
	if (key.can_look)
		foreach(cell, parts)
			add_look(plan, &key, lfirst(cell));
	if (key.create_index)
		dbops_online_add_index(plan, key.table, key.columns->names,
							   "Finds the rows that refer to one which is deleted or gets another key.");
	foreach(cell, parts)
	{
		((OnlinePart *) lfirst(cell))->referred = key.referenced;
		dbops_online_add_proven(plan, lfirst(cell), definition(&key), "rows that refer to nothing");
	}
	dbops_online_add_whole(plan, name, definition(&key), parts);
}

/* Name it in a table or a partition, where its columns have other numbers. */
static char *
name_it(const void *request, Oid table, const char *given, const List *taken)
{
	const ForeignKey *key = request;
	OnlineColumns *columns = dbops_online_columns_of(table, key->columns->names);
	DbopsParam	params[] = {
		dbops_param_oid(table),
		dbops_online_numbers(columns),
		dbops_param_oid(key->referenced),
		dbops_online_numbers(key->referenced_columns),
		dbops_param_text(psprintf("%c%c", key->on_delete->code, key->on_update->code))
	};
	OnlineNaming naming = {
		.table = table,
		.given = given,
		.same = dbops_online_names("SELECT conname::text FROM pg_constraint WHERE conrelid = $1 AND contype = 'f' AND conkey = $2"
								   " AND confrelid = $3 AND confkey = $4 AND confdeltype::text || confupdtype::text = $5"
								   " AND confmatchtype = 's' AND NOT condeferrable AND confdelsetcols IS NULL"
								   " ORDER BY convalidated DESC, conname",
								   lengthof(params), params),
		.is_constraint = true,
		.columns = columns->joined,
		.label = "fkey"
	};

	return dbops_online_name(&naming);
}

static void
add_look(OnlinePlan *plan, const ForeignKey *key, const OnlinePart *part)
{
	dbops_online_add_look(plan, (OnlineStep) {
		.sql = look(key, part->table),
		.reached = dbops_online_part_there(part),
		.why = "A row that refers to nothing would be in the way.",
		.message = psprintf("some row of table \"%s\" refers to a row that table \"%s\" does not have",
							get_rel_name(part->table), get_rel_name(key->referenced)),
		.sqlerrcode = ERRCODE_FOREIGN_KEY_VIOLATION,
		.hint = "Correct or delete such rows first"
	});
}

/* A query of the rows that refer to nothing. */
static char *
look(const ForeignKey *key, Oid table)
{
	StringInfoData present;
	StringInfoData equal;
	ListCell   *mine;
	ListCell   *other;

	initStringInfo(&present);
	initStringInfo(&equal);
	forboth(mine, key->columns->names, other, key->referenced_columns->names)
	{
		const char *column = quote_identifier(lfirst(mine));

		appendStringInfo(&present, "%sr.%s IS NOT NULL", present.len > 0 ? " AND " : "", column);
		appendStringInfo(&equal, "%sk.%s OPERATOR(%s) r.%s%s", equal.len > 0 ? " AND " : "",
						 quote_identifier(lfirst(other)),
						 (char *) list_nth(key->operators, foreach_current_index(mine)), column,
						 (char *) list_nth(key->collations, foreach_current_index(mine)));
	}
	return psprintf("SELECT r.* FROM ONLY %s r WHERE %s AND NOT EXISTS (SELECT FROM %s%s k WHERE %s)",
					dbops_quote_relation(table), present.data,
					get_rel_relkind(key->referenced) == RELKIND_PARTITIONED_TABLE ? "" : "ONLY ",
					dbops_quote_relation(key->referenced), equal.data);
}

static char *
definition(const ForeignKey *key)
{
	return psprintf("FOREIGN KEY (%s) REFERENCES %s (%s)%s%s",
					key->columns->list, dbops_quote_relation(key->referenced), key->referenced_columns->list,
					key->on_delete->code == FKCONSTR_ACTION_NOACTION ? "" : psprintf(" ON DELETE %s", key->on_delete->name),
					key->on_update->code == FKCONSTR_ACTION_NOACTION ? "" : psprintf(" ON UPDATE %s", key->on_update->name));
}
