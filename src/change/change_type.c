/*
 * change_type.c
 *		CALL dbops.change_type(): another type for a column, without a rewrite of
 *		the table under a lock.
 *
 * A column of the new type is filled beside the old one, which applications go on
 * to use, and takes its place in the end. Where the server needs to look at no row
 * the type is changed plainly: then a twin would only cost.
 */
#include "change/constraint.h"
#include "change/drop_column.h"
#include "change/twin.h"

#include "core/sql.h"

#include "access/table.h"
#include "catalog/pg_type.h"
#include "commands/tablecmds.h"
#include "nodes/nodeFuncs.h"
#include "nodes/parsenodes.h"
#include "optimizer/clauses.h"
#include "parser/parse_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

PG_FUNCTION_INFO_V1(dbops_change_type);

static void plan_change(OnlinePlan *plan, const char *name, const char *type, const char *using);
static TwinType read_type(const char *text);
static bool is_one_type(const List *parsed);
static char *type_text(const TwinType *type);
static void check_same_change(const TwinChange *known, const TwinChange *change);
static void add_plain(OnlinePlan *plan, const TwinColumn *column, const TwinType *type);
static void plan_twin(OnlinePlan *plan, const TwinColumn *column, const TwinType *type, const TwinConversion *conversion);
static void tell_left_out(const TwinColumn *column, const char *using);
static void tell_plain(const TwinColumn *column);
static bool is_of_type(const TwinColumn *column, const TwinType *type);

/* change_type(table_name regclass, column_name name, new_type text, using_expression text, lock_timeout interval, max_wait interval, dry_run boolean) */
Datum
dbops_change_type(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};

	dbops_online_begin(fcinfo, &plan, "change_type");
	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_require_argument(fcinfo, 1, "column_name");
	dbops_require_argument(fcinfo, 2, "new_type");
	dbops_online_take_table(&plan, PG_GETARG_OID(0));
	dbops_twin_check_table(&plan);
	plan_change(&plan, pstrdup(NameStr(*PG_GETARG_NAME(1))), dbops_text_argument(fcinfo, 2), dbops_text_argument(fcinfo, 3));
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

static void
plan_change(OnlinePlan *plan, const char *name, const char *type_name, const char *using)
{
	const TwinColumn *column = dbops_twin_column(plan->table, name);
	TwinType	type = read_type(type_name);
	TwinConversion conversion;

	dbops_twin_name_plan(plan, name);
	if (is_of_type(column, &type))
	{
		tell_left_out(column, using);
		add_plain(plan, column, &type);
		return;
	}
	dbops_twin_check_column(column, true);
	conversion = dbops_twin_convert(column, &type, using);
	type.may_fail = conversion.may_fail;
	if (conversion.plain && dbops_twin_find(plan->table, plan->call, name) == NULL)
	{
		dbops_twin_check_alone(plan->table, name);
		tell_plain(column);
		add_plain(plan, column, &type);
		return;
	}
	dbops_twin_check_triggers(plan->table, name);
	dbops_twin_check_type(type.type);
	plan_twin(plan, column, &type, &conversion);
}

/* Read what would stand behind the name of a column, and must be a type and perhaps a collation. */
static TwinType
read_type(const char *text)
{
	bool		is_empty = (text[strspn(text, " \t\r\n")] == '\0');
	List	   *parsed = is_empty ? NIL : dbops_sql_parse(psprintf("CREATE TABLE t (c %s)", text), RAW_PARSE_DEFAULT);
	TwinType	type = {0};
	ColumnDef  *definition;

	if (is_empty || !is_one_type(parsed))
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("new_type must be exactly one type"),
				 errhint("Give what would stand behind TYPE in ALTER TABLE, such as 'bigint' or 'text COLLATE \"C\"'.")));
	definition = linitial_node(ColumnDef, linitial_node(CreateStmt, list_make1(linitial_node(RawStmt, parsed)->stmt))->tableElts);
	typenameTypeIdAndMod(NULL, definition->typeName, &type.type, &type.typmod);
	type.collation = GetColumnDefCollation(NULL, definition, type.type);
	if (get_typtype(type.type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("no column can have pseudo-type %s", format_type_be(type.type)),
				 errhint("Give a type that can be stored.")));
	return type;
}

static bool
is_one_type(const List *parsed)
{
	const RawStmt *raw = linitial_node(RawStmt, parsed);
	const CreateStmt *create = (const CreateStmt *) raw->stmt;
	const ColumnDef *definition;

	if (list_length(parsed) != 1 || raw->stmt_len != 0 || !IsA(create, CreateStmt) || list_length(create->tableElts) != 1 ||
		create->inhRelations != NIL || create->options != NIL || create->partspec != NULL ||
		create->accessMethod != NULL || create->tablespacename != NULL || create->oncommit != ONCOMMIT_NOOP)
		return false;
	definition = linitial(create->tableElts);
	return IsA(definition, ColumnDef) && definition->constraints == NIL && definition->compression == NULL &&
		!definition->typeName->setof;
}

/* Then nothing is to be done, also where a change to it is finished: it must not be done twice. */
static bool
is_of_type(const TwinColumn *column, const TwinType *type)
{
	return type->type == column->type && type->typmod == column->typmod && type->collation == column->collation;
}

/* The type changes nothing that is stored: a moment's work. */
static void
add_plain(OnlinePlan *plan, const TwinColumn *column, const TwinType *type)
{
	dbops_online_add(plan, (OnlineStep)
	{
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE %s", column->table, quote_identifier(column->name), type_text(type)),
		.reached = psprintf("EXISTS (SELECT FROM pg_attribute WHERE attrelid = %u AND attname = %s AND atttypid = %u AND atttypmod = %d AND attcollation = %u)",
							column->relid, quote_literal_cstr(column->name), type->type, type->typmod, type->collation),
		.still = dbops_twin_is_unaltered(column),
		.message = psprintf("column %s of table %s has been altered meanwhile, or something has come that depends on it",
							quote_identifier(column->name), column->table),
		.why = "What is stored stays as it is, and no index is built."
	});
}

/* It is no error: a call that is made again finds its work done. */
static void
tell_left_out(const TwinColumn *column, const char *using)
{
	if (using != NULL)
		ereport(NOTICE,
				(errmsg("column \"%s\" of table %s has that type already: using_expression is not applied", column->name, column->table),
				 errhint("To have its values changed, CALL dbops.batched_backfill().")));
}

static void
tell_plain(const TwinColumn *column)
{
	ereport(NOTICE,
			(errmsg("column \"%s\" of table %s gets its type in one short step, since the server needs to look at no row for it",
					column->name, column->table)));
}

static char *
type_text(const TwinType *type)
{
	char	   *text = dbops_twin_type_name(type->type, type->typmod);

	if (OidIsValid(type->collation) && type->collation != get_typcollation(type->type))
		text = psprintf("%s COLLATE %s", text, dbops_twin_collation(type->collation));
	return text;
}

static void
plan_twin(OnlinePlan *plan, const TwinColumn *column, const TwinType *type, const TwinConversion *conversion)
{
	TwinChange *known = dbops_twin_find(plan->table, plan->call, column->name);
	TwinChange	change = {
		.relid = plan->table,
		.table = column->table,
		.call = plan->call,
		.column = column->name,
		.new_name = dbops_twin_column_name(column->name),
		.type = type_text(type),
		/* Also where it is not read: it is what the change is about. */
		.old_columns = dbops_texts_have(conversion->reads, column->name) ? conversion->reads :
		lappend(list_copy(conversion->reads), unconstify(char *, column->name)),
		.set_clause = conversion->expression
	};
	List	   *clones = dbops_twin_clones(column, change.new_name);

	change.new_columns = list_make1(unconstify(char *, change.new_name));
	check_same_change(known, &change);
	dbops_twin_check_old(known);
	if (known != NULL)
	{
		change.id = known->id;
		change.here = known->here;
	}
	change.adopts = dbops_twin_is_to_adopt(column, change.new_name, type, known);
	if (!change.adopts)
		dbops_twin_check_free(column, change.new_name, known);
	dbops_twin_check_clones(clones);
	dbops_twin_check_fit(clones, type);
	dbops_twin_check_default(column, type);
	dbops_twin_refuse_generated(plan->table, conversion->reads);
	dbops_twin_put_copy(&change, conversion->expression, false, dbops_twin_owners(plan->table));
	dbops_twin_check_shared(&change);
	dbops_twin_store(&change, plan->dry_run);
	dbops_twin_tell_place(column, known);
	plan->columns = dbops_online_same_columns(dbops_online_columns_of(plan->table, list_make1(unconstify(char *, column->name))), plan->table);
	if (known == NULL)
	{
		dbops_twin_tell_deferrable(column, clones);
		if (type->may_fail || conversion->expression != NULL)
			dbops_twin_tell_merged(column, clones, change.type);
		dbops_online_tell_published(plan->table, change.new_name);
		dbops_online_tell_fired(plan->table, change.new_name);
		dbops_drop_column_tell_row_functions(plan->table, column->name,
											 "From finish_change() on they find another type there: see that they take it. An index whose expression yields other values then is to be built anew.");
	}
	dbops_twin_expand(plan, column, &change, type,
					  psprintf("%s = %s", quote_identifier(change.new_name),
							   conversion->expression != NULL ? conversion->expression : quote_identifier(column->name)));
}

static void
check_same_change(const TwinChange *known, const TwinChange *change)
{
	if (known == NULL ||
		(strcmp(known->type, change->type) == 0 &&
		 (known->set_clause == NULL) == (change->set_clause == NULL) &&
		 (known->set_clause == NULL || strcmp(known->set_clause, change->set_clause) == 0)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("column \"%s\" of table %s is being changed to %s already", known->column, known->table, known->type),
			 known->set_clause != NULL ? errdetail("Its values are %s.", known->set_clause) : 0,
			 errhint("Give the same arguments to go on with it, or end it first: CALL dbops.abort_change(" INT64_FORMAT ");", known->id)));
}
