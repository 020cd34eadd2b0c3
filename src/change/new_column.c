/*
 * new_column.c
 *		The arguments of add_column, and what of the column is there already.
 *
 * A type and a default come as text. Both are read by the server's parser, with
 * the search_path of the call, before anything is done. A column of that name
 * that is another is refused; one that is the same is what an earlier call, or
 * somebody else, has left to be completed.
 */
#include "change/new_column.h"

#include "core/sql.h"

#include "access/htup_details.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "nodes/nodeFuncs.h"
#include "parser/parse_type.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/typcache.h"

enum
{
	ARG_TABLE,
	ARG_COLUMN,
	ARG_TYPE,
	ARG_DEFAULT,
	ARG_NOT_NULL,
	ARG_INDEX
};

static const char *const names[] = {
	[ARG_TABLE] = "table_name",
	[ARG_COLUMN] = "column_name",
	[ARG_TYPE] = "type",
	[ARG_NOT_NULL] = "not_null",
	[ARG_INDEX] = "with_index"
};

/* Words that CREATE TABLE takes for types. */
static const struct
{
	const char *word;
	const char *type;
}			serials[] = {
	{"smallserial", "smallint"}, {"serial2", "smallint"},
	{"serial", "integer"}, {"serial4", "integer"},
	{"bigserial", "bigint"}, {"serial8", "bigint"}
};

/* A type on its way from text to what it is. */
typedef struct TypeSearch
{
	NewColumn  *column;
	const TypeName *parsed;
	char	   *path;			/* the caller's */
} TypeSearch;

static void check_table(Oid table);
static void check_name(const NewColumn *column);
static void take_type(NewColumn *column, const char *text);
static void hint_type(void *arg);
static void refuse_serial(const TypeName *parsed);
static void understand_type(void *arg);
static void check_type(const NewColumn *column);
static void take_default(NewColumn *column, const char *text);
static void look_at_column(NewColumn *column);
static void try_value(void *arg);
static void try_value_as_owner(void *arg);
static bool takes_number(Node *node, void *arg);
static void refuse_in_children(const NewColumn *column);
static void refuse_another(const NewColumn *column, Form_pg_attribute attribute);
static bool has_same_default(const NewColumn *column, AttrNumber number);

/* Read the arguments, and refuse what cannot be such a column. */
void
dbops_new_column_read(OnlinePlan *plan, FunctionCallInfo fcinfo, NewColumn *column)
{
	for (int i = 0; i < lengthof(names); i++)
		if (names[i] != NULL)
			dbops_require_argument(fcinfo, i, names[i]);
	column->table = PG_GETARG_OID(ARG_TABLE);
	column->name = pstrdup(NameStr(*PG_GETARG_NAME(ARG_COLUMN)));
	column->not_null = PG_GETARG_BOOL(ARG_NOT_NULL);
	column->with_index = PG_GETARG_BOOL(ARG_INDEX);
	dbops_online_take_for_rows(plan, column->table);
	check_table(column->table);
	check_name(column);
	take_type(column, dbops_text_argument(fcinfo, ARG_TYPE));
	take_default(column, dbops_text_argument(fcinfo, ARG_DEFAULT));
	look_at_column(column);
	if (column->value != NULL && column->value->is_volatile && !column->has_value && !plan->dry_run)
		dbops_look(try_value, column);
}

/* Some tables have the columns of something else. */
static void
check_table(Oid table)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	bool		typed = OidIsValid(((Form_pg_class) GETSTRUCT(tuple))->reloftype);

	ReleaseSysCache(tuple);
	if (get_rel_relispartition(table))
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is a partition and has the columns of its parent", get_rel_name(table)),
				 errhint("CALL this for the partitioned table.")));
	if (typed)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("table \"%s\" has the columns of a type", get_rel_name(table)),
				 errhint("ALTER TYPE ... ADD ATTRIBUTE ... CASCADE adds one to the type and its tables.")));
}

static void
check_name(const NewColumn *column)
{
	if (column->name[0] == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_NAME),
				 errmsg("column_name must not be empty")));
	if (get_attnum(column->table, column->name) < 0)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("column name \"%s\" is that of a system column", column->name),
				 errhint("Give another name.")));
}

/* Take a text that is one type and nothing else. */
static void
take_type(NewColumn *column, const char *text)
{
	TypeSearch	search = {.column = column,.path = dbops_query_submission_path()};
	ErrorContextCallback context = {.previous = error_context_stack,.callback = hint_type};

	error_context_stack = &context;
	search.parsed = linitial_node(TypeName, dbops_sql_parse(text, RAW_PARSE_TYPE_NAME));
	error_context_stack = context.previous;
	refuse_serial(search.parsed);
	dbops_run_as(dbops_relation_owner(column->table), understand_type, &search);
	check_type(column);
}

static void
hint_type(void *arg)
{
	errhint("Give a type alone, such as numeric(10,2): default_value, not_null and with_index are arguments of their own.");
}

static void
refuse_serial(const TypeName *parsed)
{
	const char *word = list_length(parsed->names) == 1 ? strVal(linitial(parsed->names)) : "";

	for (int i = 0; i < lengthof(serials); i++)
		if (strcmp(word, serials[i].word) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("%s is not a type", word),
					 errhint("CREATE SEQUENCE, and give type => '%s' with default_value => 'nextval(''...'')'.", serials[i].type)));
}

/* What it is called is written out for every search_path that has pg_catalog first. */
static void
understand_type(void *arg)
{
	TypeSearch *search = arg;
	NewColumn  *column = search->column;

	dbops_set_nested("search_path", search->path);
	typenameTypeIdAndMod(NULL, search->parsed, &column->type, &column->typmod);
	if (search->parsed->setof || get_typtype(column->type) == TYPTYPE_PSEUDO)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
				 errmsg("a column cannot be of type %s%s", search->parsed->setof ? "setof " : "", format_type_be(column->type)),
				 errhint("Give one type that values are stored with, such as numeric(10,2).")));
	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	column->type_sql = format_type_with_typemod(column->type, column->typmod);
}

static void
check_type(const NewColumn *column)
{
	if (column->with_index && !OidIsValid(lookup_type_cache(column->type, TYPECACHE_BTREE_OPFAMILY)->btree_opf))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("a column of type %s cannot have a B-tree index", format_type_be(column->type)),
				 errhint("Leave with_index out, and have dbops.create_index() build one of another kind.")));
}

/* A default that is NULL is none. */
static void
take_default(NewColumn *column, const char *text)
{
	if (text != NULL)
		column->value = dbops_online_default(column->table, column->name, column->type, column->typmod, text);
	else if (get_typdefault(column->type) != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("type %s has a default of its own", format_type_be(column->type)),
				 errhint("Give it as default_value; or NULL, which the rows that are there get, while new ones get that of the type.")));
	if (column->value != NULL && column->value->is_null)
		column->value = NULL;
}

/* ---- what is there ---- */

static void
look_at_column(NewColumn *column)
{
	HeapTuple	tuple = SearchSysCacheAttName(column->table, column->name);
	Form_pg_attribute attribute;
	Datum		is_not_null;

	if (!HeapTupleIsValid(tuple))
	{
		refuse_in_children(column);
		dbops_online_require_room(column->table);
		dbops_online_tell_published(column->table, column->name);
		return;
	}
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	refuse_another(column, attribute);
	column->exists = true;
	column->has_not_null = dbops_query_value(psprintf("SELECT %s", dbops_online_is_not_null(column->table, column->name)),
											 0, NULL, BOOLOID, &is_not_null) && DatumGetBool(is_not_null);
	column->has_value = column->value == NULL || (attribute->atthasdef && has_same_default(column, attribute->attnum));
	ReleaseSysCache(tuple);
}

/*
 * Evaluate the default for a row, if there is one, and undo that: one that fails
 * would be noticed only when it is there, and then each INSERT fails. A number
 * of a sequence cannot be put back, so that only the right to take it is asked for.
 */
static void
try_value(void *arg)
{
	dbops_run_as(dbops_relation_owner(((NewColumn *) arg)->table), try_value_as_owner, arg);
}

static void
try_value_as_owner(void *arg)
{
	const NewColumn *column = arg;
	char	   *sql = psprintf("SELECT %s FROM %s LIMIT 1", column->value->sql, dbops_quote_relation(column->table));
	QueryCompletion completion;

	if (takes_number(column->value->tree, NULL))
		return;
	dbops_set_nested("search_path", dbops_query_safe_path(dbops_query_submission_path()));
	InitializeQueryCompletion(&completion);
	dbops_sql_run(linitial_node(RawStmt, dbops_sql_parse(sql, RAW_PARSE_DEFAULT)), sql, false, None_Receiver, &completion);
}

static bool
takes_number(Node *node, void *arg)
{
	Node	   *sequence;

	if (node == NULL)
		return false;
	if (!IsA(node, FuncExpr) || castNode(FuncExpr, node)->funcid != F_NEXTVAL)
		return expression_tree_walker(node, takes_number, arg);
	sequence = linitial(castNode(FuncExpr, node)->args);
	if (IsA(sequence, Const) && !castNode(Const, sequence)->constisnull)
	{
		Oid			relid = DatumGetObjectId(castNode(Const, sequence)->constvalue);

		if (pg_class_aclcheck(relid, GetUserId(), ACL_USAGE | ACL_UPDATE) != ACLCHECK_OK && get_rel_name(relid) != NULL)
			aclcheck_error(ACLCHECK_NO_PRIV, OBJECT_SEQUENCE, get_rel_name(relid));
	}
	return true;
}

/* The server would take a child's column over as it is, without the default and without a look for NULL. */
static void
refuse_in_children(const NewColumn *column)
{
	ListCell   *cell;

	foreach(cell, find_all_inheritors(column->table, NoLock, NULL))
	{
		Oid			child = lfirst_oid(cell);

		if (child == column->table || get_attnum(child, column->name) == InvalidAttrNumber)
			continue;
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("child table %s has a column \"%s\" already", dbops_quote_relation(child), column->name),
				 errhint("ALTER TABLE %s ADD COLUMN takes it over as it is; then make this CALL again, which does the rest.",
						 dbops_quote_relation(column->table))));
	}
}

static void
refuse_another(const NewColumn *column, Form_pg_attribute attribute)
{
	char	   *differs = NULL;

	if (attribute->attgenerated != '\0' || attribute->attidentity != '\0')
		differs = "It is generated.";
	else if (attribute->atttypid != column->type || attribute->atttypmod != column->typmod)
		differs = psprintf("It is of type %s.", format_type_with_typemod(attribute->atttypid, attribute->atttypmod));
	else if (column->value != NULL && attribute->atthasdef && !has_same_default(column, attribute->attnum))
		differs = "It has another default.";
	if (differs != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DUPLICATE_COLUMN),
				 errmsg("table \"%s\" has another column \"%s\"", get_rel_name(column->table), column->name),
				 errdetail_internal("%s", differs),
				 errhint("Give another name, or change that column: dbops.change_type(), ALTER TABLE ... ALTER COLUMN ... SET DEFAULT.")));
}

static bool
has_same_default(const NewColumn *column, AttrNumber number)
{
	DbopsParam	params[] = {dbops_param_oid(column->table), dbops_param_int4(number)};
	char	   *stored = dbops_query_text("SELECT adbin::text FROM pg_attrdef WHERE adrelid = $1 AND adnum = $2",
										  lengthof(params), params);

	return stored != NULL && dbops_online_is_stored_as(column->value, stored);
}
