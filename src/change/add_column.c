/*
 * add_column.c
 *		CALL add_column(): a new column, with what it is to have, in one call.
 *
 * A default that is the same for all rows is only noted in the catalog, and so is
 * NOT NULL beside it. One that differs from row to row would have the whole table
 * rewritten while nobody can read it; so the column comes without, gets the
 * default for rows that are written from then on, and those that were there are
 * changed in short transactions.
 */
#include "change/new_column.h"

#include "catalog/pg_constraint.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/typcache.h"

PG_FUNCTION_INFO_V1(dbops_add_column);

#define FILL_PREFIX	"dbops_fill_"	/* unfinished_table.c knows it too */

static bool must_fill(const NewColumn *column);
static void add_at_once(OnlinePlan *plan, const NewColumn *column);
static void add_and_fill(OnlinePlan *plan, const NewColumn *column);
static bool is_filled_first(const NewColumn *column);
static void add_fill(OnlinePlan *plan, const NewColumn *column);
static bool is_marked(const NewColumn *column);
static bool has_mark(const NewColumn *column);
static const char *mark_name(const NewColumn *column);
static void add_unmarking(OnlinePlan *plan, const NewColumn *column);
static char *is_filled(const NewColumn *column);
static void refuse_rows(OnlinePlan *plan, const NewColumn *column);
static void add_refusal(OnlinePlan *plan, const NewColumn *column, int sqlerrcode, const char *message, const char *hint);
static char *has_default(const NewColumn *column);
static char *such_a_column(const NewColumn *column);
static char *has_come(const NewColumn *column);

/*
 * CALL add_column(table_name, column_name, type, default_value, not_null, with_index,
 *		lock_timeout, max_wait, dry_run)
 */
Datum
dbops_add_column(PG_FUNCTION_ARGS)
{
	OnlinePlan	plan = {0};
	NewColumn	column = {0};

	dbops_online_begin(fcinfo, &plan, "add_column");
	dbops_new_column_read(&plan, fcinfo, &column);
	plan.name = psprintf("%s.%s", dbops_quote_relation(column.table), dbops_quote_name(column.name));
	plan.key = psprintf("%u.%s", column.table, column.name);
	refuse_rows(&plan, &column);
	if (must_fill(&column))
		add_and_fill(&plan, &column);
	else
		add_at_once(&plan, &column);
	if (column.with_index)
		dbops_online_add_index(&plan, column.table, list_make1(unconstify(char *, column.name)), NULL);
	dbops_online_call(&plan);
	PG_RETURN_VOID();
}

/*
 * Does one statement not do? A column that is there is what such a statement
 * makes, or else is to be completed.
 */
static bool
must_fill(const NewColumn *column)
{
	if (column->value != NULL && column->value->is_volatile)
		return true;
	return column->exists && !(column->has_value && (column->has_not_null || !column->not_null));
}

/* Rows that are there get NULL if nothing else is asked for, and new ones what a domain says. */
static void
add_at_once(OnlinePlan *plan, const NewColumn *column)
{
	char	   *table = dbops_quote_relation(column->table);
	const char *name = quote_identifier(column->name);
	bool		gives_null = (column->value == NULL && get_typtype(column->type) == TYPTYPE_DOMAIN);

	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s ADD COLUMN %s %s%s%s%s", table, name, column->type_sql,
						column->value != NULL ? psprintf(" DEFAULT %s", column->value->sql) : gives_null ? " DEFAULT NULL" : "",
						column->not_null ? " NOT NULL" : "",
						gives_null ? psprintf("; ALTER TABLE %s ALTER COLUMN %s DROP DEFAULT", table, name) : ""),
		.reached = psprintf("EXISTS (%s%s%s)", such_a_column(column),
							column->value != NULL ? " AND atthasdef" : "", column->not_null ? " AND attnotnull" : ""),
		.still = dbops_online_column_nowhere(column->table, column->name),
		.message = has_come(column),
		.why = "Only the catalog is changed, whatever the size of the table."
	});
}

/* The default is set in the transaction that adds the column, so that nobody writes a row without. */
static void
add_and_fill(OnlinePlan *plan, const NewColumn *column)
{
	char	   *table = dbops_quote_relation(column->table);
	const char *name = quote_identifier(column->name);

	if (is_filled_first(column))
		add_fill(plan, column);
	if (column->value != NULL)
		dbops_online_add(plan, (OnlineStep) {
			.kind = ONLINE_SHORT,
			.sql = psprintf("ALTER TABLE %s ADD COLUMN IF NOT EXISTS %s %s%s; ALTER TABLE %s ALTER COLUMN %s SET DEFAULT %s%s",
							table, name, column->type_sql, get_typtype(column->type) == TYPTYPE_DOMAIN ? " DEFAULT NULL" : "",
							table, name, column->value->sql,
							is_marked(column) && !has_mark(column) ? psprintf("; ALTER TABLE %s ADD CONSTRAINT %s CHECK ((%s IS NULL) IS NOT NULL) NOT VALID",
														 table, mark_name(column), name) : ""),
			.reached = has_default(column),
			.still = psprintf("(EXISTS (%s) OR %s)", such_a_column(column), dbops_online_column_nowhere(column->table, column->name)),
			.message = has_come(column),
			.why = "Rows that are written from now on get the default; those that are there stay as they are."
		});
	if (!is_filled_first(column))
		add_fill(plan, column);
}

/*
 * A column that was there, with a default set and without NOT NULL, is what one
 * statement makes: so the default comes last, and tells that rows have it.
 */
static bool
is_filled_first(const NewColumn *column)
{
	return column->value != NULL && !column->value->is_volatile && !column->not_null;
}

static void
add_fill(OnlinePlan *plan, const NewColumn *column)
{
	OnlineNotNull what = {
		.table = column->table,
		.column = column->name,
		.is_row = type_is_rowtype(column->type),
		.fill = column->value != NULL ? column->value->sql : NULL,
		.sync = is_filled_first(column) || column->not_null
	};

	if (column->not_null)
		dbops_online_add_not_null(plan, &what);
	else
		dbops_online_add_fill(plan, &what, is_filled(column), "Gives the rows that were there the default.");
	if (is_marked(column))
		add_unmarking(plan, column);
}

/*
 * What has NULL when the rows have been filled was written so, and is not to be
 * filled again. So a constraint that is always true says that they are not yet;
 * it is in the catalog, which is dumped and outlives the history of jobs.
 */
static bool
is_marked(const NewColumn *column)
{
	return column->value != NULL && !column->not_null && !is_filled_first(column);
}

static bool
has_mark(const NewColumn *column)
{
	return OidIsValid(get_relation_constraint_oid(column->table, dbops_online_own_name(FILL_PREFIX, column->name), true));
}

static const char *
mark_name(const NewColumn *column)
{
	return quote_identifier(dbops_online_own_name(FILL_PREFIX, column->name));
}

static void
add_unmarking(OnlinePlan *plan, const NewColumn *column)
{
	dbops_online_add(plan, (OnlineStep) {
		.kind = ONLINE_SHORT,
		.sql = psprintf("ALTER TABLE %s DROP CONSTRAINT IF EXISTS %s", dbops_quote_relation(column->table), mark_name(column)),
		.reached = is_filled(column),
		.why = "It said that rows are yet to be filled, and holds for any."
	});
}

/* SQL for reached: the default is there, and nothing says that rows are yet to have it. */
static char *
is_filled(const NewColumn *column)
{
	return psprintf("%s AND NOT %s", has_default(column),
					dbops_online_constraint_there(column->table, dbops_online_own_name(FILL_PREFIX, column->name)));
}

/* Some columns can only come to a table without rows. */
static void
refuse_rows(OnlinePlan *plan, const NewColumn *column)
{
	if (DomainHasConstraints(column->type))
		add_refusal(plan, column, ERRCODE_FEATURE_NOT_SUPPORTED,
					psprintf("a column of type %s, a domain with conditions, would have table \"%s\" rewritten while nobody can read it",
							 column->type_sql, get_rel_name(column->table)),
					psprintf("Give type => %s, and then CALL dbops.add_check_constraint() with the conditions.",
							 quote_literal_cstr(format_type_be(getBaseType(column->type)))));
	else if (column->not_null && column->value == NULL && !(column->exists && !column->has_not_null))
		add_refusal(plan, column, ERRCODE_NOT_NULL_VIOLATION,
					psprintf("table \"%s\" has rows, which would have NULL in column \"%s\"",
							 get_rel_name(column->table), column->name),
					"Give a default_value that is not NULL; it can be dropped afterwards. Or leave not_null out, and CALL dbops.set_not_null() with fill.");
}

static void
add_refusal(OnlinePlan *plan, const NewColumn *column, int sqlerrcode, const char *message, const char *hint)
{
	dbops_online_add_refusal(plan, (OnlineStep) {
		.kind = ONLINE_REFUSE,
		.sql = psprintf("SELECT FROM %s LIMIT 1", dbops_quote_relation(column->table)),
		.reached = psprintf("EXISTS (%s)", such_a_column(column)),
		.why = "Such a column can only come to a table without rows.",
		.message = message,
		.sqlerrcode = sqlerrcode,
		.hint = hint
	});
}

static char *
has_default(const NewColumn *column)
{
	return psprintf("EXISTS (%s AND atthasdef)", such_a_column(column));
}

/* SQL: the column, where it is there and not another. */
static char *
such_a_column(const NewColumn *column)
{
	return psprintf("SELECT FROM pg_attribute WHERE attrelid = %u AND attname = %s AND NOT attisdropped"
					" AND atttypid = %u AND atttypmod = %d AND attgenerated = '' AND attidentity = ''",
					column->table, quote_literal_cstr(column->name), column->type, column->typmod);
}

static char *
has_come(const NewColumn *column)
{
	return psprintf("a column \"%s\" has come to table %s, or to one below it, meanwhile",
					column->name, dbops_quote_relation(column->table));
}
