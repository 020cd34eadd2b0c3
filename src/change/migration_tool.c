/*
 * migration_tool.c
 *		What other tools write down about the migrations that they have applied.
 *
 * Each tool is a query that reads its table as rows of version, name, state,
 * time, checksum and whether it is repeatable. Where a tool names a file, the
 * version is the one that the file's name begins with, so that the same folder
 * can be deployed by dbops afterwards.
 *
 * The columns must be of the server's own types: a cast of another type could
 * be somebody's function.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* What a column is read as. */
typedef enum ColumnKind
{
	COLUMN_TEXT,				/* a number too */
	COLUMN_TIME,
	COLUMN_NUMBER,
	COLUMN_TRUTH
} ColumnKind;

typedef struct ToolColumn
{
	const char *name;			/* NULL: there are no more */
	ColumnKind	kind;
} ToolColumn;

/*
 * How a tool's table is read; the query's only %s is the table. A table that
 * lacks one of the columns is another version's, which the next entry with the
 * same name may be for.
 */
typedef struct ToolTable
{
	MigrationTool tool;
	const ToolColumn *columns;
	const char *query;
} ToolTable;

static bool fits(const ToolTable *table, Oid relid);
static void require_columns(const ToolTable *table, Oid relid);
static void require_column(Oid relid, const char *column, ColumnKind kind);
static bool is_read_as(Oid type, ColumnKind kind);
static const char *kind_name(ColumnKind kind);

static const ToolColumn alembic_columns[] = {
	{"version_num", COLUMN_TEXT},
	{NULL}
};

static const ToolColumn drizzle_columns[] = {
	{"id", COLUMN_NUMBER},
	{"hash", COLUMN_TEXT},
	{"created_at", COLUMN_NUMBER},
	{NULL}
};

static const ToolColumn drizzle_named_columns[] = {
	{"id", COLUMN_NUMBER},
	{"hash", COLUMN_TEXT},
	{"created_at", COLUMN_NUMBER},
	{"name", COLUMN_TEXT},
	{NULL}
};

static const ToolColumn flyway_columns[] = {
	{"installed_rank", COLUMN_NUMBER},
	{"version", COLUMN_TEXT},
	{"description", COLUMN_TEXT},
	{"type", COLUMN_TEXT},
	{"script", COLUMN_TEXT},
	{"checksum", COLUMN_NUMBER},
	{"installed_on", COLUMN_TIME},
	{"success", COLUMN_TRUTH},
	{NULL}
};

static const ToolColumn prisma_columns[] = {
	{"checksum", COLUMN_TEXT},
	{"finished_at", COLUMN_TIME},
	{"migration_name", COLUMN_TEXT},
	{"rolled_back_at", COLUMN_TIME},
	{"started_at", COLUMN_TIME},
	{NULL}
};

/* A SHA-256 in hexadecimal digits; whatever else is there proves nothing. */
#define SHA256(column) "CASE WHEN " column "::text ~ '^[0-9a-f]{64}$' THEN decode(" column "::text, 'hex') END"

/* Files are numbered from 0000, in the order in which they are applied. */
#define DRIZZLE_NUMBER "lpad((row_number() OVER w - 1)::text, 4, '0')"
#define DRIZZLE(version) \
	"SELECT " version ", NULL::text, 'applied'::text, to_timestamp(created_at::numeric / 1000.0), " SHA256("hash") ", false" \
	" FROM %s WINDOW w AS (ORDER BY created_at, id) ORDER BY created_at, id"

static const ToolTable tables[] = {
	{
		.tool = {
			.name = "alembic",.table = "alembic_version",
			.unknown = "alembic records only the last revision of each branch"
		},
		.columns = alembic_columns,
		.query = "SELECT version_num::text, NULL::text, 'applied'::text, NULL::timestamptz, NULL::bytea, false"
		" FROM %s ORDER BY 1"
	},
	/* Since 1.0 it records what its files are called; before, only their order says which is which. */
	{
		.tool = {.name = "drizzle",.schema = "drizzle",.table = "__drizzle_migrations"},
		.columns = drizzle_named_columns,
		.query = DRIZZLE("coalesce(name::text, " DRIZZLE_NUMBER ")")
	},
	{
		.tool = {.name = "drizzle",.schema = "drizzle",.table = "__drizzle_migrations"},
		.columns = drizzle_columns,
		.query = DRIZZLE(DRIZZLE_NUMBER)
	},
	/* A version stands as its last success has left it; each undo and repair is a row of its own. */
	{
		.tool = {.name = "flyway",.table = "flyway_schema_history"},
		.columns = flyway_columns,
		.query = "SELECT coalesce('V' || substring(script, '(?:^|[/.])[A-Z]+?([0-9][^/]*?)__[^/]*$'), 'V' || version, regexp_replace(script, '^.*/|\\.[^./]*$', '', 'g')),"
		" description, CASE WHEN NOT success THEN 'failed' WHEN type ~ '^UNDO|^DELETE' THEN 'reverted'"
		" WHEN type ~ 'BASELINE' THEN 'baseline' ELSE 'applied' END,"
		" installed_on, CASE WHEN success THEN int4send(checksum) END, version IS NULL"
		" FROM (SELECT DISTINCT ON (coalesce(version::text, script::text))"
		" installed_rank::integer, version::text, description::text, type::text, script::text,"
		" checksum::integer, installed_on::timestamptz, success"
		" FROM %s WHERE type::text <> 'SCHEMA'"
		" ORDER BY coalesce(version::text, script::text), success DESC, installed_rank DESC) h ORDER BY installed_rank"
	},
	/* A migration that has failed and was then applied has two rows. */
	{
		.tool = {.name = "prisma",.table = "_prisma_migrations"},
		.columns = prisma_columns,
		.query = "SELECT name, NULL::text, state, coalesce(finished_at, started_at), checksum, false"
		" FROM (SELECT DISTINCT ON (migration_name::text) migration_name::text AS name,"
		" CASE WHEN rolled_back_at IS NOT NULL THEN 'reverted' WHEN finished_at IS NULL THEN 'failed' ELSE 'applied' END AS state,"
		" finished_at::timestamptz, started_at::timestamptz, " SHA256("checksum") " AS checksum"
		" FROM %s ORDER BY migration_name::text, rolled_back_at IS NULL DESC, finished_at IS NOT NULL DESC, started_at DESC) m"
		" ORDER BY coalesce(finished_at, started_at), name"
	}
};

/* Find a tool by name. */
const MigrationTool *
dbops_migration_tool_find(const char *name)
{
	for (int i = 0; i < lengthof(tables); i++)
		if (strcmp(tables[i].tool.name, name) == 0)
			return &tables[i].tool;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized tool \"%s\"", name),
			 errhint("Tools are alembic, drizzle, flyway and prisma. The table of any other is read with import_migrations(from_table, version_column, applied_at_column).")));
	return NULL;				/* keep the compiler quiet */
}

/* The query that reads the tool's table, of this name as SQL has it. */
char *
dbops_migration_tool_query(const MigrationTool *tool, Oid relid, const char *name)
{
	const ToolTable *last = NULL;

	for (int i = 0; i < lengthof(tables); i++)
	{
		if (strcmp(tables[i].tool.name, tool->name) != 0)
			continue;
		last = &tables[i];
		if (fits(last, relid))
			break;
	}
	require_columns(last, relid);
	return psprintf(last->query, name);
}

/* Does the table have all columns of this kind of it? */
static bool
fits(const ToolTable *table, Oid relid)
{
	for (const ToolColumn *column = table->columns; column->name != NULL; column++)
		if (get_attnum(relid, column->name) == InvalidAttrNumber)
			return false;
	return true;
}

static void
require_columns(const ToolTable *table, Oid relid)
{
	for (const ToolColumn *column = table->columns; column->name != NULL; column++)
		require_column(relid, column->name, column->kind);
}

/* The query that reads any other table, whose rows are versions that are applied; applied_at may be NULL. */
char *
dbops_migration_table_query(Oid relid, const char *name, const char *version, const char *applied_at)
{
	char	   *time = pstrdup("NULL");

	require_column(relid, version, COLUMN_TEXT);
	if (applied_at != NULL)
	{
		require_column(relid, applied_at, COLUMN_TIME);
		time = pstrdup(quote_identifier(applied_at));
	}
	return psprintf("SELECT %s::text, NULL::text, 'applied'::text, %s::timestamptz, NULL::bytea, false FROM %s",
					quote_identifier(version), time, name);
}

static void
require_column(Oid relid, const char *column, ColumnKind kind)
{
	AttrNumber	number = get_attnum(relid, column);

	if (number <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table \"%s\" has no column \"%s\"", get_rel_name(relid), column)));
	if (!is_read_as(getBaseType(get_atttype(relid, number)), kind))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table \"%s\" has type %s, which is not read as %s", column,
						get_rel_name(relid), format_type_be(get_atttype(relid, number)), kind_name(kind)),
				 errhint("CREATE TABLE ... AS SELECT it with a cast, and import from that.")));
}

static bool
is_read_as(Oid type, ColumnKind kind)
{
	bool		number = (type == INT2OID || type == INT4OID || type == INT8OID || type == NUMERICOID);
	bool		text = (type == TEXTOID || type == VARCHAROID || type == BPCHAROID || type == NAMEOID);

	switch (kind)
	{
		case COLUMN_TEXT:
			return text || number || type == UUIDOID;
		case COLUMN_TIME:
			return text || type == TIMESTAMPTZOID || type == TIMESTAMPOID || type == DATEOID;
		case COLUMN_NUMBER:
			return number;
		case COLUMN_TRUTH:
			return type == BOOLOID;
	}
	return false;
}

static const char *
kind_name(ColumnKind kind)
{
	switch (kind)
	{
		case COLUMN_TEXT:
			return "a version";
		case COLUMN_TIME:
			return "a time";
		case COLUMN_NUMBER:
			return "a number";
		case COLUMN_TRUTH:
			return "true or false";
	}
	return NULL;
}
