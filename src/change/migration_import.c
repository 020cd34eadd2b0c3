/*
 * migration_import.c
 *		import_migrations: the ledger of another tool, taken over as it stands.
 *
 * The tool's table is only read, with the caller's rights, and may be read again:
 * what the ledger has already stays as it is. Nothing in reading it can call
 * another's code: it must be a table, whose columns are of the server's own
 * types, and row security is not applied but refused.
 *
 * What each tool writes is in migration_tool.c.
 */
#include "change/migration.h"

#include "access/htup_details.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/tuplestore.h"

#define REFUSED_KINDS	"restrict_nonsystem_relation_kind"	/* minor versions of 2024 brought it */
#define TABLE_PATIENCE	"10s"	/* that a lock on the tool's table is waited for */

PG_FUNCTION_INFO_V1(dbops_import_migrations);
PG_FUNCTION_INFO_V1(dbops_import_migrations_table);

/* An import, from where it is read to what becomes of each row. */
typedef struct Import
{
	const MigrationTool *tool;	/* NULL: any other, whose columns are these */
	const char *version_column;
	const char *applied_at_column;	/* or NULL */
	const char *origin;			/* the tool, or the table */
	const char *project;
	Oid			relid;
	const char *table;			/* quoted as in SQL */
	List	   *rows;			/* of ForeignMigration *, in the order of application */
	List	   *known;			/* of Migration *, that the ledger has */
	ReturnSetInfo *rsinfo;
} Import;

static Oid	find_table(const MigrationTool *tool);
static char *elsewhere(const char *table);
static void add_schema(HeapTuple row, TupleDesc desc, void *arg);
static void import(Import *import);
static void read_table(Import *import);
static void require_plain_table(Oid relid);
static char *make_query(const Import *import);
static void take_row(HeapTuple row, TupleDesc desc, void *arg);
static char *version_of(const char *name);
static void refuse_same_version(const Import *import);
static int	by_version(const ListCell *a, const ListCell *b);
static int	by_time(const ListCell *a, const ListCell *b);
static void import_row(Import *import, const ForeignMigration *row);
static void store(const Import *import, const ForeignMigration *row);
static void keep_checksum(const Import *import, const ForeignMigration *row);
static void put_outcome(const Import *import, const ForeignMigration *row,
						const char *state, const char *outcome);
static void tell_what_is_unknown(const MigrationTool *tool, const char *project);

/* import_migrations(tool text, project text) → rows, one a migration of that tool */
Datum
dbops_import_migrations(PG_FUNCTION_ARGS)
{
	Import		asked = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};

	dbops_require_argument(fcinfo, 0, "tool");
	asked.tool = dbops_migration_tool_find(text_to_cstring(PG_GETARG_TEXT_PP(0)));
	asked.origin = asked.tool->name;
	asked.project = dbops_migration_version_argument(fcinfo, 1, "project");
	InitMaterializedSRF(fcinfo, 0);
	asked.relid = find_table(asked.tool);
	import(&asked);
	tell_what_is_unknown(asked.tool, asked.project);
	return (Datum) 0;
}

/*
 * import_migrations(from_table regclass, version_column name, applied_at_column name, project text)
 *		→ rows, one a migration of that table
 */
Datum
dbops_import_migrations_table(PG_FUNCTION_ARGS)
{
	Import		asked = {.rsinfo = (ReturnSetInfo *) fcinfo->resultinfo};

	dbops_require_argument(fcinfo, 0, "from_table");
	dbops_require_argument(fcinfo, 1, "version_column");
	asked.relid = PG_GETARG_OID(0);
	asked.version_column = NameStr(*PG_GETARG_NAME(1));
	asked.applied_at_column = PG_ARGISNULL(2) ? NULL : NameStr(*PG_GETARG_NAME(2));
	asked.project = dbops_migration_version_argument(fcinfo, 3, "project");
	InitMaterializedSRF(fcinfo, 0);
	import(&asked);
	return (Datum) 0;
}

/* ---- where to read ---- */

/* Find the tool's table as the caller's search_path has it, or where the tool always has it. */
static Oid
find_table(const MigrationTool *tool)
{
	Oid			relid = (tool->schema == NULL) ? RelnameGetRelid(tool->table) :
		get_relname_relid(tool->table, get_namespace_oid(tool->schema, true));
	char	   *others;

	if (OidIsValid(relid))
		return relid;
	others = elsewhere(tool->table);
	ereport(ERROR,
			(errcode(ERRCODE_UNDEFINED_TABLE),
			 errmsg("there is no table \"%s\" in the search_path, in which %s keeps what it has applied",
					tool->table, tool->name),
			 others != NULL ? errhint("SET search_path to the schema that has it; such tables are in: %s.", others) :
			 errhint("A table of another name is read with import_migrations(from_table, version_column, applied_at_column).")));
	return InvalidOid;			/* keep the compiler quiet */
}

/* Schemas that have a table of this name; NULL: none. */
static char *
elsewhere(const char *table)
{
	DbopsParam	param = dbops_param_text(table);
	StringInfoData schemas;

	initStringInfo(&schemas);
	dbops_query_each("SELECT relnamespace FROM pg_class WHERE relname::text = $1 AND relkind IN ('r', 'p') ORDER BY relnamespace::regnamespace::text",
					 1, &param, add_schema, &schemas);
	return schemas.len > 0 ? schemas.data : NULL;
}

static void
add_schema(HeapTuple row, TupleDesc desc, void *arg)
{
	StringInfo	schemas = arg;

	appendStringInfo(schemas, "%s%s", schemas->len > 0 ? ", " : "",
					 quote_identifier(get_namespace_name(dbops_row_oid(row, desc, 1))));
}

static void
import(Import *import)
{
	ListCell   *cell;

	dbops_migration_begin(import->project, NULL, MIGRATION_PATIENCE);
	read_table(import);
	import->known = dbops_migration_list(import->project);
	foreach(cell, import->rows)
		import_row(import, lfirst(cell));
}

/* ---- what the tool has written ---- */

/*
 * Read it with the caller's rights. The table is locked before it is looked at,
 * so that it is still what it was when it is read; should its schema be renamed
 * all the same, the server refuses a view.
 */
static void
read_table(Import *import)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("row_security", "off");
	dbops_set_nested("lock_timeout", TABLE_PATIENCE);
	if (find_setting(REFUSED_KINDS) != NULL)
		dbops_set_nested(REFUSED_KINDS, "view, foreign-table");
	LockRelationOid(import->relid, AccessShareLock);
	require_plain_table(import->relid);
	import->table = quote_qualified_identifier(get_namespace_name(get_rel_namespace(import->relid)),
											   get_rel_name(import->relid));
	if (import->tool == NULL)
		import->origin = get_rel_name(import->relid);
	dbops_query_each(make_query(import), 0, NULL, take_row, import);
	AtEOXact_GUC(false, nest_level);
	refuse_same_version(import);
	if (import->tool == NULL)
		list_sort(import->rows, by_time);
}

/* Refuse what would call somebody's code, or read elsewhere, when it is read. */
static void
require_plain_table(Oid relid)
{
	char		kind = get_rel_relkind(relid);

	if (kind == '\0')
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid)));
	if (kind != RELKIND_RELATION && kind != RELKIND_PARTITIONED_TABLE && kind != RELKIND_MATVIEW)
		ereport(ERROR,
				(errcode(ERRCODE_WRONG_OBJECT_TYPE),
				 errmsg("\"%s\" is not a table", get_rel_name(relid)),
				 errhint("Migrations are read from tables and materialized views: CREATE TABLE ... AS SELECT, and import from that.")));
}

static char *
make_query(const Import *import)
{
	if (import->tool != NULL)
		return dbops_migration_tool_query(import->tool, import->relid, import->table);
	return dbops_migration_table_query(import->relid, import->table,
									   import->version_column, import->applied_at_column);
}

static void
take_row(HeapTuple row, TupleDesc desc, void *arg)
{
	Import	   *import = arg;
	ForeignMigration *migration = palloc0(sizeof(ForeignMigration));
	char	   *name = dbops_row_text(row, desc, 1);
	bool		isnull;
	Datum		checksum = heap_getattr(row, 5, desc, &isnull);

	if (name == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
				 errmsg("%s has a row without a version", import->table)));
	migration->version = version_of(name);
	migration->name = dbops_row_text(row, desc, 2);
	migration->state = dbops_row_text(row, desc, 3);
	migration->applied_at = dbops_row_time(row, desc, 4);
	migration->checksum = isnull ? NULL : DatumGetByteaPCopy(checksum);
	migration->repeatable = dbops_row_bool(row, desc, 6);
	import->rows = lappend(import->rows, migration);
}

/* Make a version of what another tool calls a migration: characters that it must not have become '_'. */
static char *
version_of(const char *name)
{
	char	   *version = pstrdup(name);

	for (char *c = version; *c != '\0'; c++)
		if (strchr("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-", *c) == NULL)
			*c = '_';
	dbops_version_check(version, "version");
	return version;
}

static void
refuse_same_version(const Import *import)
{
	List	   *sorted = list_copy(import->rows);

	list_sort(sorted, by_version);
	for (int i = 1; i < list_length(sorted); i++)
		if (by_version(list_nth_cell(sorted, i - 1), list_nth_cell(sorted, i)) == 0)
			ereport(ERROR,
					(errcode(ERRCODE_CARDINALITY_VIOLATION),
					 errmsg("%s has version \"%s\" more than once", import->table,
							((const ForeignMigration *) list_nth(sorted, i))->version),
					 errhint("CREATE TABLE ... AS SELECT what is applied, a row for each version, and import from that.")));
}

static int
by_version(const ListCell *a, const ListCell *b)
{
	return dbops_version_compare(((const ForeignMigration *) lfirst(a))->version,
								 ((const ForeignMigration *) lfirst(b))->version);
}

/* By time, and by version where that is the same; what is not known is the latest. */
static int
by_time(const ListCell *a, const ListCell *b)
{
	const ForeignMigration *left = lfirst(a);
	const ForeignMigration *right = lfirst(b);

	if (left->applied_at == right->applied_at)
		return by_version(a, b);
	if (left->applied_at == 0 || right->applied_at == 0)
		return (left->applied_at == 0) ? 1 : -1;
	return (left->applied_at < right->applied_at) ? -1 : 1;
}

/* ---- what becomes of it ---- */

/* Take one migration over, unless the ledger knows it, or it has never come to be. */
static void
import_row(Import *import, const ForeignMigration *row)
{
	const Migration *known = dbops_migration_pick(import->known, row->version);

	if (known != NULL)
		put_outcome(import, row, known->state, "already in the ledger");
	else if (strcmp(row->state, "failed") == 0)
		put_outcome(import, row, NULL, psprintf("not imported: it has failed in %s; settle that and import again", import->origin));
	else
	{
		store(import, row);
		put_outcome(import, row, row->state, "imported");
	}
}

static void
store(const Import *import, const ForeignMigration *row)
{
	Migration	migration = {
		.project = import->project,
		.version = row->version,
		.name = row->name,
		.state = row->state,
		.owner = dbops_migration_owner_current(),
		.repeatable = row->repeatable,
		.origin = import->origin,
		.applied_at = row->applied_at
	};
	DbopsJson	details = {0};

	dbops_migration_store(&migration);
	if (row->checksum != NULL)
		keep_checksum(import, row);
	dbops_json_object(&details, NULL);
	dbops_json_text(&details, "table", import->table);
	dbops_json_text(&details, "state", row->state);
	dbops_migration_note(import->project, row->version, "import", NULL, dbops_json_finish(&details));
}

/* By which a text that is given later can be told to be the one that was applied. */
static void
keep_checksum(const Import *import, const ForeignMigration *row)
{
	DbopsParam	params[] = {
		dbops_param_text(import->project),
		dbops_param_text(row->version),
		{.type = BYTEAOID,.value = PointerGetDatum(row->checksum)}
	};

	dbops_store_each("UPDATE dbops.migration SET checksum = $3 WHERE project = $1 AND version = $2",
					 lengthof(params), params, NULL, NULL);
}

static void
put_outcome(const Import *import, const ForeignMigration *row, const char *state, const char *outcome)
{
	Datum		values[] = {
		CStringGetTextDatum(row->version),
		(row->name == NULL) ? (Datum) 0 : CStringGetTextDatum(row->name),
		(state == NULL) ? (Datum) 0 : CStringGetTextDatum(state),
		TimestampTzGetDatum(row->applied_at),
		CStringGetTextDatum(outcome)
	};
	bool		nulls[] = {false, row->name == NULL, state == NULL, row->applied_at == 0, false};

	tuplestore_putvalues(import->rsinfo->setResult, import->rsinfo->setDesc, values, nulls);
}

/* Some tools do not record all that they have applied. */
static void
tell_what_is_unknown(const MigrationTool *tool, const char *project)
{
	if (tool->unknown != NULL)
		ereport(NOTICE,
				(errmsg("%s", tool->unknown),
				 errhint("Versions before them count as applied after SELECT dbops.baseline_migration(version, project => %s).",
						 quote_literal_cstr(project))));
}
