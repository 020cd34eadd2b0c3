/*
 * twin_look.c
 *		Rows whose new columns are not what the old ones yield, before those go.
 *
 * They came past the trigger, or what it computes of them fails. Values are
 * computed as the trigger does: with the search_path and the settings of the call
 * that has begun the change, and assigned, not cast, since a cast cuts what is too
 * long. They are compared by their stored bytes, which every type has.
 */
#include "change/twin.h"

#include "core/sql.h"

#include "nodes/parsenodes.h"
#include "parser/parse_coerce.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define UPDATE	"UPDATE t SET "

static char *differs(const TwinChange *change, const Jsonb *direction);
static List *assignments(const Jsonb *direction);
static char *value_of(const char *set_list, const List *targets, int number);
static char *assigned(const TwinColumn *column, const char *value);
static Oid	checking_function(Oid type);

/* The look for them, as far as it is the same for all changes. among: SQL that is true of those that count; or NULL. */
OnlineStep
dbops_twin_look(const TwinChange *change, const char *among)
{
	const Jsonb *forward = dbops_jsonb_document(change->document, "forward");
	const Jsonb *reverse = dbops_jsonb_document(change->document, "reverse");
	char	   *condition = differs(change, forward);

	/* What has come back from the new columns need not be what would go forward. */
	if (reverse != NULL)
		condition = psprintf("%s AND %s", condition, differs(change, reverse));
	if (among != NULL)
		condition = psprintf("%s AND %s", among, condition);
	return (OnlineStep) {
		.sql = psprintf("SELECT FROM %s AS %s WHERE %s LIMIT 1", change->table, dbops_jsonb_text(forward, "alias"), condition),
		.path = dbops_jsonb_text(forward, "path"),
		.settings = dbops_jsonb_document(forward, "settings")
	};
}

/* SQL: some column that a direction assigns has not the value that it would get. */
static char *
differs(const TwinChange *change, const Jsonb *direction)
{
	const char *alias = dbops_jsonb_text(direction, "alias");
	const char *set_list = dbops_jsonb_text(direction, "set_list");
	List	   *targets = assignments(direction);
	StringInfoData columns;
	StringInfoData values;
	ListCell   *cell;

	initStringInfo(&columns);
	initStringInfo(&values);
	foreach(cell, targets)
	{
		const TwinColumn *column = dbops_twin_column(change->relid, lfirst_node(ResTarget, cell)->name);
		const char *separator = columns.len > 0 ? ", " : "";

		appendStringInfo(&columns, "%s%s.%s", separator, alias, quote_identifier(column->name));
		appendStringInfo(&values, "%s%s", separator,
						 assigned(column, value_of(set_list, targets, foreach_current_index(cell))));
	}
	return psprintf("pg_catalog.record_image_ne(ROW(%s), ROW(%s))", columns.data, values.data);
}

/* The assignments of a direction (ResTarget *), as dbops has written them. */
static List *
assignments(const Jsonb *direction)
{
	int			nest_level = NewGUCNestLevel();
	List	   *parsed;

	dbops_meaning_use(NULL);
	parsed = dbops_sql_parse(psprintf(UPDATE "%s", dbops_jsonb_text(direction, "set_list")), RAW_PARSE_DEFAULT);
	AtEOXact_GUC(false, nest_level);
	return castNode(UpdateStmt, linitial_node(RawStmt, parsed)->stmt)->targetList;
}

/* The text of a value: from behind its column up to the next one. */
static char *
value_of(const char *set_list, const List *targets, int number)
{
	const ResTarget *target = list_nth_node(ResTarget, targets, number);
	int			from = target->location - strlen(UPDATE) + strlen(quote_identifier(target->name)) + strlen(" = ");
	int			to = strlen(set_list);

	if (number + 1 < list_length(targets))
		to = list_nth_node(ResTarget, targets, number + 1)->location - strlen(UPDATE) - strlen(", ");
	return pnstrdup(set_list + from, to - from);
}

/* SQL: what a column gets when a value is assigned to it, or the error that this is. */
static char *
assigned(const TwinColumn *column, const char *value)
{
	const char *type = dbops_twin_type_name(column->type, column->typmod);
	int32		typmod = column->typmod;
	Oid			base = getBaseTypeAndTypmod(column->type, &typmod);
	Oid			function = (typmod >= 0) ? checking_function(base) : InvalidOid;

	if (!OidIsValid(function))
		return psprintf("CAST((%s) AS %s)", value, type);
	return psprintf("CAST(%s(CAST((%s) AS %s), %d, false) AS %s)",
					quote_qualified_identifier(get_namespace_name(get_func_namespace(function)), get_func_name(function)),
					value, dbops_twin_type_name(base, -1), typmod, type);
}

/* The function that refuses values which are too long for a type, where a cast cuts them. */
static Oid
checking_function(Oid type)
{
	Oid			function;

	if (find_typmod_coercion_function(type, &function) != COERCION_PATH_FUNC || get_func_nargs(function) != 3)
		return InvalidOid;
	return function;
}
