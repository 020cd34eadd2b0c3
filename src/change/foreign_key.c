/*
 * foreign_key.c
 *		The arguments of add_foreign_key, and whether they can be a foreign key.
 *
 * The server would say most of this only when the constraint is added, after the
 * index has been built. What it asks for is: a unique key of the referenced
 * table with just these columns, and for each pair of columns an operator of that
 * key's index, or a cast without words of the one to the other's type.
 */
#include "change/foreign_key.h"

#include "access/htup_details.h"
#include "access/stratnum.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/pg_collation.h"
#include "catalog/pg_operator.h"
#include "catalog/pg_type.h"
#include "parser/parse_coerce.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rls.h"
#include "utils/syscache.h"

enum
{
	ARG_TABLE,
	ARG_COLUMNS,
	ARG_REFERENCED,
	ARG_REFERENCED_COLUMNS,
	ARG_NAME,
	ARG_ON_DELETE,
	ARG_ON_UPDATE,
	ARG_CREATE_INDEX
};

static const char *const names[] = {
	[ARG_TABLE] = "table_name",
	[ARG_COLUMNS] = "columns",
	[ARG_REFERENCED] = "referenced_table",
	[ARG_ON_DELETE] = "on_delete",
	[ARG_ON_UPDATE] = "on_update",
	[ARG_CREATE_INDEX] = "create_index"
};

static const ForeignKeyAction actions[] = {
	{"NO ACTION", FKCONSTR_ACTION_NOACTION},
	{"RESTRICT", FKCONSTR_ACTION_RESTRICT},
	{"CASCADE", FKCONSTR_ACTION_CASCADE},
	{"SET NULL", FKCONSTR_ACTION_SETNULL},
	{"SET DEFAULT", FKCONSTR_ACTION_SETDEFAULT}
};

/* The unique key that is referred to. */
typedef struct UniqueKey
{
	Oid			index;			/* InvalidOid: there is none */
	List	   *columns;		/* names, in the index's order */
	List	   *classes;		/* OIDs of their operator classes */
} UniqueKey;

static const ForeignKeyAction *take_action(FunctionCallInfo fcinfo, int argument);
static void check_referenced(const ForeignKey *key);
static void check_persistence(const ForeignKey *key);
static void check_rights(ForeignKey *key);
static void check_schema(const ForeignKey *key, Oid owner);
static UniqueKey find_key(const ForeignKey *key);
static void take_key(HeapTuple row, TupleDesc desc, void *arg);
static void take_class(const UniqueKey *unique, ForeignKey *key, int place);
static char *collate(const ForeignKey *key, int place);
static Oid	attribute_collation(Oid table, AttrNumber number);
static char *find_operator(Oid class, Oid type);
static void check_generated(const ForeignKey *key);
static void refuse_no_key(const ForeignKey *key);

/* Read the arguments, and refuse what cannot be a foreign key. */
void
dbops_foreign_key_read(OnlinePlan *plan, FunctionCallInfo fcinfo, ForeignKey *key)
{
	UniqueKey	unique;

	for (int i = 0; i < lengthof(names); i++)
		if (names[i] != NULL)
			dbops_require_argument(fcinfo, i, names[i]);
	key->table = PG_GETARG_OID(ARG_TABLE);
	key->referenced = PG_GETARG_OID(ARG_REFERENCED);
	key->on_delete = take_action(fcinfo, ARG_ON_DELETE);
	key->on_update = take_action(fcinfo, ARG_ON_UPDATE);
	key->create_index = PG_GETARG_BOOL(ARG_CREATE_INDEX);
	if (!PG_ARGISNULL(ARG_NAME))
		key->name = pstrdup(NameStr(*PG_GETARG_NAME(ARG_NAME)));
	dbops_online_take_for_rows(plan, key->table);
	key->columns = dbops_online_columns(fcinfo, ARG_COLUMNS, "columns", key->table);
	check_referenced(key);
	if (!PG_ARGISNULL(ARG_REFERENCED_COLUMNS))
		key->referenced_columns = dbops_online_columns(fcinfo, ARG_REFERENCED_COLUMNS, "referenced_columns", key->referenced);
	unique = find_key(key);
	if (key->referenced_columns == NULL)
		key->referenced_columns = dbops_online_columns_of(key->referenced, unique.columns);
	check_rights(key);
	check_generated(key);
	for (int i = 0; i < key->columns->n; i++)
		take_class(&unique, key, i);
}

static const ForeignKeyAction *
take_action(FunctionCallInfo fcinfo, int argument)
{
	char	   *name = dbops_text_argument(fcinfo, argument);

	for (int i = 0; i < lengthof(actions); i++)
		if (pg_strcasecmp(actions[i].name, name) == 0)
			return &actions[i];
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unknown %s \"%s\" of a foreign key", names[argument], name),
			 errhint("It is no action, restrict, cascade, set null or set default.")));
	return NULL;				/* keep the compiler quiet */
}

static void
check_referenced(const ForeignKey *key)
{
	char		relkind = get_rel_relkind(key->referenced);

	if (relkind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", key->referenced),
				 errhint("Give its name, such as 'public.customers'.")));
	if (relkind != RELKIND_RELATION && relkind != RELKIND_PARTITIONED_TABLE)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("referenced relation \"%s\" is not a table", get_rel_name(key->referenced)),
				 errhint("Refer to a table that holds the rows and has a unique key.")));
	if (IsCatalogRelationOid(key->referenced))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("\"%s\" is a system catalog", get_rel_name(key->referenced)),
				 errhint("Refer to a table of your own.")));
	check_persistence(key);
	dbops_online_lock_for_plan(key->referenced);
}

/* Rows that last may not refer to such as do not. */
static void
check_persistence(const ForeignKey *key)
{
	char		mine = get_rel_persistence(key->table);
	char		other = get_rel_persistence(key->referenced);

	if (mine == other || (mine == RELPERSISTENCE_UNLOGGED && other == RELPERSISTENCE_PERMANENT))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_TABLE_DEFINITION),
			 errmsg("table \"%s\" cannot refer to table \"%s\", whose rows are not kept as its own are",
					get_rel_name(key->table), get_rel_name(key->referenced)),
			 errhint("Rows of a permanent table refer to a permanent one, those of a temporary table to a temporary one.")));
}

/* The constraint is added with the rights of the table's owner. */
static void
check_rights(ForeignKey *key)
{
	Oid			owner = dbops_relation_owner(key->table);

	check_schema(key, owner);
	key->can_look = pg_class_aclcheck(key->referenced, owner, ACL_SELECT) == ACLCHECK_OK &&
		check_enable_rls(key->referenced, owner, true) != RLS_ENABLED;
	if (pg_class_aclcheck(key->referenced, owner, ACL_REFERENCES) == ACLCHECK_OK)
		return;
	for (int i = 0; i < key->referenced_columns->n; i++)
		if (pg_attribute_aclcheck(key->referenced, key->referenced_columns->numbers[i], owner, ACL_REFERENCES) != ACLCHECK_OK)
			ereport(ERROR,
					(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
					 errmsg("the owner of table \"%s\" may not refer to table \"%s\"",
							get_rel_name(key->table), get_rel_name(key->referenced)),
					 errhint("GRANT REFERENCES ON %s TO %s;", dbops_quote_relation(key->referenced),
							 quote_identifier(GetUserNameFromId(owner, false)))));
}

static void
check_schema(const ForeignKey *key, Oid owner)
{
	if (!dbops_online_may(owner, get_rel_namespace(key->referenced), "USAGE"))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("the owner of table \"%s\" may not use the schema of table \"%s\"",
						get_rel_name(key->table), get_rel_name(key->referenced)),
				 errhint("GRANT USAGE ON SCHEMA %s TO %s;",
						 dbops_quote_name(get_namespace_name(get_rel_namespace(key->referenced))),
						 quote_identifier(GetUserNameFromId(owner, false)))));
}

/* The unique key with these columns, in any order; without columns, the primary key. */
static UniqueKey
find_key(const ForeignKey *key)
{
	UniqueKey	unique = {0};
	DbopsParam	params[] = {
		dbops_param_oid(key->referenced),
		key->referenced_columns != NULL ? dbops_online_numbers(key->referenced_columns) :
		(DbopsParam) {.type = INT2ARRAYOID,.isnull = true}
	};

	dbops_query_each("SELECT i.indexrelid,"
					 " (SELECT array_agg(a.attname::text ORDER BY k.place) FROM unnest(i.indkey::int2[]) WITH ORDINALITY k(number, place)"
					 " JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number WHERE k.place <= i.indnkeyatts),"
					 " (SELECT array_agg(o::text) FROM unnest(i.indclass::oid[]) o)"
					 " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_am m ON m.oid = c.relam"
					 " WHERE i.indrelid = $1 AND i.indisunique AND i.indimmediate AND i.indisvalid AND m.amname = 'btree'"
					 " AND i.indpred IS NULL AND i.indexprs IS NULL"
					 " AND CASE WHEN $2 IS NULL THEN i.indisprimary ELSE i.indnkeyatts = cardinality($2)"
					 " AND (i.indkey::int2[])[0:i.indnkeyatts - 1] @> $2 END ORDER BY i.indisprimary DESC, i.indexrelid LIMIT 1",
					 lengthof(params), params, take_key, &unique);
	if (!OidIsValid(unique.index))
		refuse_no_key(key);
	if (list_length(unique.columns) != key->columns->n)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("the foreign key has %d columns and the key that it refers to has %d",
						key->columns->n, list_length(unique.columns)),
				 errhint("Give as many columns as referenced_columns, which are those of the primary key if left out.")));
	return unique;
}

static void
take_key(HeapTuple row, TupleDesc desc, void *arg)
{
	UniqueKey  *unique = arg;

	unique->index = dbops_row_oid(row, desc, 1);
	unique->columns = dbops_row_texts(row, desc, 2);
	unique->classes = dbops_row_texts(row, desc, 3);
}

static void
refuse_no_key(const ForeignKey *key)
{
	const char *table = get_rel_name(key->referenced);
	char	   *quoted = quote_literal_cstr(dbops_quote_relation(key->referenced));

	if (key->referenced_columns == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_FOREIGN_KEY),
				 errmsg("table \"%s\" has no primary key to refer to", table),
				 errhint("Give referenced_columns that have a unique key, or CALL dbops.add_unique(%s, '{...}', primary_key => true);",
						 quoted)));
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_FOREIGN_KEY),
			 errmsg("table \"%s\" has no unique key of just these columns: %s", table, key->referenced_columns->list),
			 errdetail("It has to be valid, for all rows, and not deferrable."),
			 errhint("CALL dbops.add_unique(%s, %s);", quoted,
					 quote_literal_cstr(psprintf("{%s}", key->referenced_columns->list)))));
}

/* Find what tells the columns of a place equal. */
static void
take_class(const UniqueKey *unique, ForeignKey *key, int place)
{
	const char *column = list_nth(key->columns->names, place);
	const char *referenced = list_nth(key->referenced_columns->names, place);
	Oid			type = get_atttype(key->table, key->columns->numbers[place]);
	char	   *operator = NULL;
	ListCell   *cell;

	foreach(cell, unique->columns)
		if (strcmp(lfirst(cell), referenced) == 0)
			operator = find_operator(atooid(list_nth(unique->classes, foreach_current_index(cell))), type);
	if (operator == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of type %s cannot refer to column \"%s\" of type %s", column, format_type_be(type), referenced,
						format_type_be(get_atttype(key->referenced, key->referenced_columns->numbers[place]))),
				 errdetail("No operator of the referenced key tells them equal."),
				 errhint("Give both columns the same type first.")));
	key->operators = lappend(key->operators, operator);
	key->collations = lappend(key->collations, collate(key, place));
}

/* Text is compared as in the referenced column, of which the comparison is to know where the other has another collation. */
static char *
collate(const ForeignKey *key, int place)
{
	Oid			mine = attribute_collation(key->table, key->columns->numbers[place]);
	Oid			other = attribute_collation(key->referenced, key->referenced_columns->numbers[place]);
	HeapTuple	tuple = (mine == other || !OidIsValid(mine)) ? NULL : SearchSysCache1(COLLOID, ObjectIdGetDatum(other));
	char	   *text;

	if (!HeapTupleIsValid(tuple))
		return "";
	text = psprintf(" COLLATE %s",
					quote_qualified_identifier(get_namespace_name(((Form_pg_collation) GETSTRUCT(tuple))->collnamespace),
											   NameStr(((Form_pg_collation) GETSTRUCT(tuple))->collname)));
	ReleaseSysCache(tuple);
	return text;
}

static Oid
attribute_collation(Oid table, AttrNumber number)
{
	Oid			type;
	int32		typmod;
	Oid			collation;

	get_atttypetypmodcoll(table, number, &type, &typmod, &collation);
	return collation;
}

/* The equality of a class's family between its type and another, or NULL. */
static char *
find_operator(Oid class, Oid type)
{
	Oid			own = get_opclass_input_type(class);
	Oid			family = get_opclass_family(class);
	Oid			operator = get_opfamily_member(family, own, getBaseType(type), BTEqualStrategyNumber);
	HeapTuple	tuple;
	char	   *name;

	if (!OidIsValid(operator) && can_coerce_type(1, &type, &own, COERCION_IMPLICIT))
		operator = get_opfamily_member(family, own, own, BTEqualStrategyNumber);
	tuple = SearchSysCache1(OPEROID, ObjectIdGetDatum(operator));
	if (!HeapTupleIsValid(tuple))
		return NULL;
	name = psprintf("%s.%s", quote_identifier(get_namespace_name(((Form_pg_operator) GETSTRUCT(tuple))->oprnamespace)),
					NameStr(((Form_pg_operator) GETSTRUCT(tuple))->oprname));
	ReleaseSysCache(tuple);
	return name;
}

/* A column that is made of others cannot be set. */
static void
check_generated(const ForeignKey *key)
{
	bool		sets = key->on_update->code == FKCONSTR_ACTION_SETNULL || key->on_update->code == FKCONSTR_ACTION_SETDEFAULT ||
		key->on_update->code == FKCONSTR_ACTION_CASCADE ||
		key->on_delete->code == FKCONSTR_ACTION_SETNULL || key->on_delete->code == FKCONSTR_ACTION_SETDEFAULT;

	for (int i = 0; sets && i < key->columns->n; i++)
	{
		HeapTuple	tuple = SearchSysCacheAttNum(key->table, key->columns->numbers[i]);
		bool		generated = ((Form_pg_attribute) GETSTRUCT(tuple))->attgenerated != '\0';

		ReleaseSysCache(tuple);
		if (generated)
			ereport(ERROR,
					(errcode(ERRCODE_GENERATED_ALWAYS),
					 errmsg("column \"%s\" of table \"%s\" is generated and cannot be set by a foreign key",
							(char *) list_nth(key->columns->names, i), get_rel_name(key->table)),
					 errhint("Give on_delete and on_update that change no row of it, such as no action.")));
	}
}
