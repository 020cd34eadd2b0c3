/*
 * lint_world.c
 *		Relations as a text finds them, statement by statement.
 *
 * The catalog says what is there before the text; what earlier statements of the
 * text make, drop or rename is laid over it. A relation is known by the schema
 * and the name that it has at this place of the text. No lock is taken: whoever
 * alters a relation meanwhile makes no more than a finding wrong.
 */
#include "change/lint.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/varlena.h"

/* No table has more, by any name: what a text has beyond is not kept, and not looked through each time. */
#define MOST_COLUMNS	(2 * MaxHeapAttributeNumber)

/* Tables that a text names at first. */
#define USUAL_TABLES	64

/* The key comes first in a LintTable. */
typedef struct WorldKey
{
	char		schema[NAMEDATALEN];
	char		name[NAMEDATALEN];
} WorldKey;

/* A schema that the text makes, renames or drops. The key comes first. */
typedef struct Schema
{
	char		name[NAMEDATALEN];
	Oid			oid;			/* of the catalog's that has the name now; InvalidOid: none */
	bool		is_new;			/* made by the text */
} Schema;

static LintTable *find_in(Lint *lint, const char *schema, const char *name);
static LintTable *enter(Lint *lint, const char *schema, const char *name);
static void make_unknown(LintTable *table);
static void clear(LintTable *table);
static WorldKey world_key(const char *schema, const char *name);
static const char *schema_of_new(const Lint *lint, const RangeVar *name);
static bool is_temporary(const RangeVar *name);
static bool column_of_catalog(const LintTable *table, const char *name, LintColumn *column);
static LintColumn *known_column(const LintTable *table, const char *name);
static Oid	schema_of_catalog(const Lint *lint, const char *name);
static List *tables_in(Lint *lint, const char *schema);
static const Schema *known_schema(const Lint *lint, const char *name);
static void note_schema(Lint *lint, const char *name, Oid oid, bool is_new);

/* Find the relation of a name; NULL: there is none at this place of the text. */
LintTable *
dbops_lint_find(Lint *lint, const RangeVar *name)
{
	ListCell   *cell;

	if (name == NULL)
		return NULL;
	if (name->schemaname != NULL)
		return find_in(lint, name->schemaname, name->relname);
	foreach(cell, dbops_lint_schemas_of_path())
	{
		LintTable  *table = find_in(lint, lfirst(cell), name->relname);

		if (table != NULL)
			return table;
	}
	return NULL;
}

/* The same of a name in parts, as DROP has it. */
LintTable *
dbops_lint_find_list(Lint *lint, List *name)
{
	return list_length(name) > 3 ? NULL : dbops_lint_find(lint, makeRangeVarFromNameList(name));
}

/* The relation of the catalog, by the name that it has there. */
LintTable *
dbops_lint_find_oid(Lint *lint, Oid relid)
{
	char	   *name = OidIsValid(relid) ? get_rel_name(relid) : NULL;
	char	   *schema = name != NULL ? get_namespace_name(get_rel_namespace(relid)) : NULL;

	return schema == NULL ? NULL : find_in(lint, schema, name);
}

/* Has the text dropped what the catalog has by this name? */
bool
dbops_lint_is_dropped(const Lint *lint, Oid relid)
{
	char	   *name = get_rel_name(relid);
	char	   *schema = name != NULL ? get_namespace_name(get_rel_namespace(relid)) : NULL;
	WorldKey	key;
	const LintTable *table;

	if (schema == NULL)
		return true;
	key = world_key(schema, name);
	table = hash_search(lint->world, &key, HASH_FIND, NULL);
	return table != NULL && table->gone && !table->renamed;
}

/* What the text has made of it comes before what the catalog has. */
static LintTable *
find_in(Lint *lint, const char *schema, const char *name)
{
	WorldKey	key = world_key(schema, name);
	LintTable  *table = hash_search(lint->world, &key, HASH_FIND, NULL);
	Oid			namespace;
	Oid			relid;

	if (table != NULL && !table->unknown)
		return table->gone ? NULL : table;
	namespace = schema_of_catalog(lint, key.schema);
	relid = OidIsValid(namespace) ? get_relname_relid(key.name, namespace) : InvalidOid;
	if (!OidIsValid(relid))
		return NULL;
	table = enter(lint, schema, name);
	table->relid = relid;
	table->kind = get_rel_relkind(relid);
	table->is_new = (get_rel_persistence(relid) == RELPERSISTENCE_TEMP);
	return table;
}

static LintTable *
enter(Lint *lint, const char *schema, const char *name)
{
	WorldKey	key = world_key(schema, name);
	bool		found;
	LintTable  *table = hash_search(lint->world, &key, HASH_ENTER, &found);
	int			kept_at;

	if (!found)
		make_unknown(table);
	dbops_lint_keep_table(lint, table);
	kept_at = table->kept_at;
	clear(table);
	table->kept_at = kept_at;
	return table;
}

/* What it is again when a transaction is rolled back that was the first to name it: looked for in the catalog. */
static void
make_unknown(LintTable *table)
{
	clear(table);
	table->unknown = true;
	table->gone = true;
	table->renamed = true;
	table->kept_at = -1;
}

static void
clear(LintTable *table)
{
	memset((char *) table + sizeof(WorldKey), 0, sizeof(LintTable) - sizeof(WorldKey));
}

/* Names as long as the server cuts them. */
static WorldKey
world_key(const char *schema, const char *name)
{
	WorldKey	key;

	memset(&key, 0, sizeof(key));
	strlcpy(key.schema, schema, NAMEDATALEN);
	strlcpy(key.name, name, NAMEDATALEN);
	return key;
}

/* The names of the schemas that are searched (List of char *), whether they exist or the text makes them. */
List *
dbops_lint_schemas_of_path(void)
{
	char	   *path = pstrdup(namespace_search_path);
	List	   *names = NIL;
	List	   *schemas = NIL;
	ListCell   *cell;
	bool		has_catalog = false;

	(void) SplitIdentifierString(path, ',', &names);
	foreach(cell, names)
	{
		const char *name = lfirst(cell);

		if (strcmp(name, "$user") == 0)
			name = GetUserNameFromId(GetUserId(), false);
		has_catalog |= (strcmp(name, "pg_catalog") == 0);
		schemas = lappend(schemas, unconstify(char *, name));
	}
	if (!has_catalog)
		schemas = lcons("pg_catalog", schemas);
	return lcons("pg_temp", schemas);
}

/* ---- what the text makes ---- */

/* A relation that the text makes, in its schema or the first of the path. */
LintTable *
dbops_lint_make(Lint *lint, const RangeVar *name, char kind)
{
	LintTable  *table = enter(lint, schema_of_new(lint, name), name->relname);

	table->kind = kind;
	table->is_new = true;
	table->made = lint->statement;
	return table;
}

/* The relation in whose place one of the name would be made, and that the text has dropped; or NULL. */
LintTable *
dbops_lint_replaced(Lint *lint, const RangeVar *name)
{
	WorldKey	key = world_key(schema_of_new(lint, name), name->relname);
	LintTable  *table = hash_search(lint->world, &key, HASH_FIND, NULL);

	return (table != NULL && table->gone && !table->renamed && OidIsValid(table->relid)) ? table : NULL;
}

/* Judge each relation that the text has named, in any order. */
void
dbops_lint_each_table(Lint *lint, LintTableJudge judge)
{
	HASH_SEQ_STATUS status;
	LintTable  *table;

	hash_seq_init(&status, lint->world);
	while ((table = hash_seq_search(&status)) != NULL)
		judge(lint, table);
}

static const char *
schema_of_new(const Lint *lint, const RangeVar *name)
{
	ListCell   *cell;

	if (is_temporary(name))
		return "pg_temp";
	if (name->schemaname != NULL)
		return name->schemaname;
	foreach(cell, dbops_lint_schemas_of_path())
		if (strcmp(lfirst(cell), "pg_temp") != 0 && strcmp(lfirst(cell), "pg_catalog") != 0 &&
			dbops_lint_has_schema(lint, lfirst(cell)))
			return lfirst(cell);
	return "public";
}

static bool
is_temporary(const RangeVar *name)
{
	return name->relpersistence == RELPERSISTENCE_TEMP ||
		(name->schemaname != NULL && strcmp(name->schemaname, "pg_temp") == 0);
}

/* Give a relation another name; what is known of it goes along. */
LintTable *
dbops_lint_rename(Lint *lint, LintTable *table, const char *schema, const char *name)
{
	LintTable	before = *table;
	LintTable  *renamed;

	dbops_lint_keep_table(lint, table);
	table->gone = true;
	table->renamed = true;
	renamed = enter(lint, schema, name);
	memcpy((char *) renamed + sizeof(WorldKey), (char *) &before + sizeof(WorldKey), sizeof(LintTable) - sizeof(WorldKey));
	renamed->kept_at = lint->kept_until;
	return renamed;
}

/* Its name as findings have it. */
char *
dbops_lint_label(const LintTable *table)
{
	return dbops_quote_qualified(table->schema, table->name);
}

/* ---- columns ---- */

/* A column as it is at this place of the text; false: there is none, or nothing is known of it. */
bool
dbops_lint_column(const LintTable *table, const char *name, LintColumn *column)
{
	const LintColumn *known = known_column(table, name);

	if (known == NULL)
		return column_of_catalog(table, name, column);
	*column = *known;
	return !known->gone;
}

/* The column to note something of. */
LintColumn *
dbops_lint_column_of_text(Lint *lint, LintTable *table, const char *name)
{
	MemoryContext caller = MemoryContextSwitchTo(lint->memory);
	LintColumn *column = known_column(table, name);

	CHECK_FOR_INTERRUPTS();
	if (column == NULL)
	{
		column = palloc0(sizeof(LintColumn));
		(void) column_of_catalog(table, name, column);
		column->name = pstrdup(name);
		if (column->was_name != NULL)
			column->was_name = column->name;
		if (list_length(table->columns) < MOST_COLUMNS)
			table->columns = lappend(table->columns, column);
	}
	dbops_lint_keep(lint, column, sizeof(LintColumn));
	MemoryContextSwitchTo(caller);
	return column;
}

static LintColumn *
known_column(const LintTable *table, const char *name)
{
	ListCell   *cell;

	foreach(cell, table->columns)
		if (strcmp(((LintColumn *) lfirst(cell))->name, name) == 0)
			return lfirst(cell);
	return NULL;
}

static bool
column_of_catalog(const LintTable *table, const char *name, LintColumn *column)
{
	HeapTuple	tuple = OidIsValid(table->relid) ? SearchSysCacheAttName(table->relid, name) : NULL;
	Form_pg_attribute attribute;

	memset(column, 0, sizeof(LintColumn));
	if (!HeapTupleIsValid(tuple))
		return false;
	attribute = (Form_pg_attribute) GETSTRUCT(tuple);
	column->name = name;
	column->was_name = name;
	column->not_null = attribute->attnotnull && not_null_is_valid(table->relid, attribute->attnum);
	column->type = attribute->atttypid;
	column->typmod = attribute->atttypmod;
	ReleaseSysCache(tuple);
	return true;
}

/* ---- schemas ---- */

/* Is there a schema of that name at this place of the text? */
bool
dbops_lint_has_schema(const Lint *lint, const char *name)
{
	return dbops_lint_makes_schema(lint, name) || OidIsValid(schema_of_catalog(lint, name));
}

/* Is it one that the text makes? */
bool
dbops_lint_makes_schema(const Lint *lint, const char *name)
{
	const Schema *known = known_schema(lint, name);

	return known != NULL && known->is_new;
}

/* The schema that has the name at this place of the text, and was there before; or InvalidOid. */
static Oid
schema_of_catalog(const Lint *lint, const char *name)
{
	const Schema *known = known_schema(lint, name);
	char		key[NAMEDATALEN];

	strlcpy(key, name, NAMEDATALEN);
	return (known == NULL) ? LookupNamespaceNoError(key) : known->oid;
}

static const Schema *
known_schema(const Lint *lint, const char *name)
{
	char		key[NAMEDATALEN];

	strlcpy(key, name, NAMEDATALEN);
	return (lint->schemas == NULL) ? NULL : hash_search(lint->schemas, key, HASH_FIND, NULL);
}

/* Give a schema another name; what is in it goes along. */
void
dbops_lint_rename_schema(Lint *lint, const char *old, const char *new)
{
	Oid			oid = schema_of_catalog(lint, old);
	bool		is_new = dbops_lint_makes_schema(lint, old);
	ListCell   *cell;

	foreach(cell, tables_in(lint, old))
		(void) dbops_lint_rename(lint, lfirst(cell), new, pstrdup(((LintTable *) lfirst(cell))->name));
	note_schema(lint, old, InvalidOid, false);
	note_schema(lint, new, oid, is_new);
}

/* Note that the text drops a schema, and all that is in it. */
void
dbops_lint_drop_schema(Lint *lint, const char *name)
{
	ListCell   *cell;

	foreach(cell, tables_in(lint, name))
	{
		dbops_lint_keep_table(lint, lfirst(cell));
		((LintTable *) lfirst(cell))->gone = true;
	}
	note_schema(lint, name, InvalidOid, false);
}

/* Those that the text has named, also when they are gone: they hide what the catalog has (List of LintTable *). */
static List *
tables_in(Lint *lint, const char *schema)
{
	List	   *tables = NIL;
	HASH_SEQ_STATUS status;
	LintTable  *table;

	hash_seq_init(&status, lint->world);
	while ((table = hash_seq_search(&status)) != NULL)
		if (!table->unknown && strncmp(table->schema, schema, NAMEDATALEN - 1) == 0)
			tables = lappend(tables, table);
	return tables;
}

static void
note_schema(Lint *lint, const char *name, Oid oid, bool is_new)
{
	HASHCTL		control = {
		.keysize = NAMEDATALEN,
		.entrysize = sizeof(Schema),
		.hcxt = lint->memory
	};
	Oid			oid_before = schema_of_catalog(lint, name);
	char		key[NAMEDATALEN];
	Schema	   *schema;
	bool		found;

	if (lint->schemas == NULL)
		lint->schemas = hash_create("dbops lint schemas", 16, &control, HASH_ELEM | HASH_STRINGS | HASH_CONTEXT);
	strlcpy(key, name, NAMEDATALEN);
	schema = hash_search(lint->schemas, key, HASH_ENTER, &found);
	if (!found)
	{
		schema->oid = oid_before;
		schema->is_new = false;
	}
	dbops_lint_keep(lint, schema, sizeof(Schema));
	schema->oid = oid;
	schema->is_new = is_new;
}

/* Note that the text makes a schema. */
void
dbops_lint_note_schema(Lint *lint, const char *name)
{
	note_schema(lint, name, schema_of_catalog(lint, name), true);
}
