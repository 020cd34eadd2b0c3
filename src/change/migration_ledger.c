/*
 * migration_ledger.c
 *		The rows of the ledger.
 *
 * Migrations are written by whoever does the work, in the same transaction, and
 * say what the catalog says. Events are only ever added. Who writes has locked
 * the project (migration_project.c), or is the job that does a migration of it,
 * so that nobody else writes the same rows.
 */
#include "change/migration.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

#define COLUMNS(texts) \
	"SELECT project, version, name, state, owner, owner_oid, cluster, " texts ", requires, environments," \
	" repeatable, origin, position, applied_at, job_id FROM dbops.migration WHERE project = $1"

static void take_migration(HeapTuple row, TupleDesc desc, void *arg);
static Migration *read_migration(HeapTuple row, TupleDesc desc);
static DbopsParam param_checksum(const char *sql);
static DbopsParam param_role(Oid role);
static void add_to_list(HeapTuple row, TupleDesc desc, void *arg);

/* Read one migration; NULL if the ledger has no such row. */
Migration *
dbops_migration_load(const char *project, const char *version)
{
	DbopsParam	params[] = {dbops_param_text(project), dbops_param_text(version)};
	Migration  *migration = NULL;

	dbops_store_each_kept(COLUMNS("up_sql, down_sql, verify_sql") " AND version = $2",
						  lengthof(params), params, take_migration, &migration);
	return migration;
}

/* The same; refuses a version that the ledger has no row for. */
Migration *
dbops_migration_find(const char *project, const char *version)
{
	Migration  *migration = dbops_migration_load(project, version);

	if (migration == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("the ledger has no migration \"%s\" of project \"%s\"", version, project),
				 errhint("SELECT * FROM dbops.migration_status(%s) lists those that it has.", quote_literal_cstr(project))));
	return migration;
}

static void
take_migration(HeapTuple row, TupleDesc desc, void *arg)
{
	*(Migration **) arg = read_migration(row, desc);
}

/* List the migrations of a project (of Migration *) by position, without their texts. */
List *
dbops_migration_list(const char *project)
{
	DbopsParam	params[] = {dbops_param_text(project)};
	List	   *migrations = NIL;

	dbops_store_each(COLUMNS("NULL::text, NULL::text, NULL::text") " ORDER BY position",
					 lengthof(params), params, add_to_list, &migrations);
	return migrations;
}

static void
add_to_list(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **migrations = arg;

	*migrations = lappend(*migrations, read_migration(row, desc));
}

/* Pick a version out of such a list; NULL if it is not in it. */
const Migration *
dbops_migration_pick(const List *migrations, const char *version)
{
	ListCell   *cell;

	foreach(cell, migrations)
	{
		const Migration *migration = lfirst(cell);

		if (strcmp(migration->version, version) == 0)
			return migration;
	}
	return NULL;
}

static Migration *
read_migration(HeapTuple row, TupleDesc desc)
{
	Migration  *migration = palloc(sizeof(Migration));

	*migration = (Migration)
	{
		.project = dbops_row_text(row, desc, 1),
		.version = dbops_row_text(row, desc, 2),
		.name = dbops_row_text(row, desc, 3),
		.state = dbops_row_text(row, desc, 4),
		.owner = {
			.name = dbops_row_text(row, desc, 5),
			.role = dbops_row_oid(row, desc, 6),
			.cluster = dbops_row_int8(row, desc, 7)
		},
		.up_sql = dbops_row_text(row, desc, 8),
		.down_sql = dbops_row_text(row, desc, 9),
		.verify_sql = dbops_row_text(row, desc, 10),
		.requires = dbops_row_texts(row, desc, 11),
		.environments = dbops_row_texts(row, desc, 12),
		.repeatable = dbops_row_bool(row, desc, 13),
		.origin = dbops_row_text(row, desc, 14),
		.position = dbops_row_int8(row, desc, 15),
		.applied_at = dbops_row_time(row, desc, 16),
		.job = dbops_row_int8(row, desc, 17)
	};
	return migration;
}

/*
 * Write a migration's row, whether it is there already or not. Position 0: it
 * is the latest now; applied_at 0: it is so just now.
 */
void
dbops_migration_store(const Migration *migration)
{
	DbopsParam	params[] = {
		dbops_param_text(migration->project),
		dbops_param_text(migration->version),
		dbops_param_text(migration->name),
		dbops_param_text(migration->state),
		dbops_param_text(migration->owner.name),
		dbops_param_text(migration->up_sql),
		dbops_param_text(migration->down_sql),
		dbops_param_text(migration->verify_sql),
		dbops_param_texts(migration->requires),
		dbops_param_texts(migration->environments),
		dbops_param_bool(migration->repeatable),
		dbops_param_text(migration->origin),
		param_checksum(migration->up_sql),
		dbops_param_int8(migration->position),
		dbops_param_time(migration->applied_at != 0 ? migration->applied_at : dbops_clock_now()),
		dbops_param_int8(migration->job),
		param_role(migration->owner.role),
		dbops_param_int8(migration->owner.cluster)
	};

	dbops_store_each_kept("INSERT INTO dbops.migration (project, version, name, state, owner, up_sql, down_sql, verify_sql,"
						  " requires, environments, repeatable, origin, checksum, position, applied_at, job_id, owner_oid, cluster)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13,"
						  " CASE $14 WHEN 0 THEN nextval('dbops.migration_position_seq') ELSE $14 END, $15, nullif($16, 0), $17, $18)"
						  " ON CONFLICT (project, version) DO UPDATE SET (name, state, owner, up_sql, down_sql, verify_sql,"
						  " requires, environments, repeatable, origin, checksum, position, applied_at, job_id, owner_oid, cluster)"
						  " = (EXCLUDED.name, EXCLUDED.state, EXCLUDED.owner, EXCLUDED.up_sql, EXCLUDED.down_sql, EXCLUDED.verify_sql,"
						  " EXCLUDED.requires, EXCLUDED.environments, EXCLUDED.repeatable, EXCLUDED.origin, EXCLUDED.checksum,"
						  " EXCLUDED.position, EXCLUDED.applied_at, EXCLUDED.job_id, EXCLUDED.owner_oid, EXCLUDED.cluster)",
						  lengthof(params), params, NULL, NULL);
}

/* Have it in another state; its texts stay as they are. */
void
dbops_migration_set_state(const char *project, const char *version, const char *state)
{
	DbopsParam	params[] = {dbops_param_text(project), dbops_param_text(version), dbops_param_text(state)};

	dbops_store_each_kept("UPDATE dbops.migration SET state = $3 WHERE project = $1 AND version = $2",
						  lengthof(params), params, NULL, NULL);
}

/* SHA-256 of a text as it is stored; null if it is not known. */
static DbopsParam
param_checksum(const char *sql)
{
	DbopsParam	param = {.type = BYTEAOID, .isnull = (sql == NULL)};

	if (sql != NULL)
		param.value = DirectFunctionCall1(sha256_bytea, CStringGetTextDatum(sql));
	return param;
}

static DbopsParam
param_role(Oid role)
{
	return (DbopsParam) {.type = OIDOID,.value = ObjectIdGetDatum(role)};
}

/* Add to the log what has happened to a migration, and who has done it. */
void
dbops_migration_note(const char *project, const char *version,
					 const char *event, const char *reason, const Jsonb *details)
{
	MigrationOwner user = dbops_migration_owner_current();
	DbopsParam	params[] = {
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(project),
		dbops_param_text(version),
		dbops_param_text(event),
		dbops_param_text(user.name),
		dbops_param_text(dbops_migration_owner_login()),
		dbops_param_text(application_name),
		dbops_param_text(reason),
		dbops_param_jsonb(details),
		param_role(user.role),
		dbops_param_int8(user.cluster)
	};

	dbops_store_each_kept("INSERT INTO dbops.migration_event (at, project, version, event, role_name, session_role,"
						  " application_name, client_address, reason, details, role_oid, cluster)"
						  " VALUES ($1, $2, $3, $4, $5, $6, $7, inet_client_addr(), $8, $9, $10, $11)",
						  lengthof(params), params, NULL, NULL);
}
