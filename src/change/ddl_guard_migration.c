/*
 * ddl_guard_migration.c
 *		dbops.require_migration: the schema changes by migrations only.
 *
 * What apply_migration and rollback_migration run passes, and so does all that
 * dbops does of its own. In an emergency somebody who may set dbops.break_glass
 * says why, and passes; each statement is then written into the server's log,
 * and into a table in the transaction that it is part of. What is undone is only
 * in the log.
 */
#include "change/ddl_guard.h"

#include "change/migration_watch.h"

#include "catalog/pg_authid.h"
#include "funcapi.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(dbops_break_glass_uses);

static bool is_reason(const char *text);
static void refuse(const GuardedStatement *guarded);
static void write_log(const GuardedStatement *guarded);
static void write_down(const GuardedStatement *guarded);

/* Refuse a change of the schema that is in no migration; true: it is to be written down when it is done. */
bool
dbops_guard_require_migration(const GuardedStatement *guarded)
{
	if (dbops_watched != NULL)
		return false;
	if (!is_reason(dbops_break_glass))
		refuse(guarded);
	write_log(guarded);
	/* The server refuses this where the transaction has written anything. */
	if (IsA(guarded->node, DropStmt) && ((DropStmt *) guarded->node)->concurrent)
		return true;
	write_down(guarded);
	return false;
}

/* Write it down when it is done. */
void
dbops_guard_note_done(const GuardedStatement *guarded)
{
	write_down(guarded);
}

static bool
is_reason(const char *text)
{
	return text[strspn(text, " \t\r\n")] != '\0';
}

static void
refuse(const GuardedStatement *guarded)
{
	ereport(ERROR,
			(errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED),
			 errmsg("%s is refused by dbops.require_migration, as it is in no migration", guarded->command),
			 errhint("Put it into one: SELECT * FROM dbops.apply_migration('version', 'statements');\n"
					 "In an emergency, who may set it: SET dbops.break_glass = 'why'; which is written down.")));
}

/* ---- what is written down ---- */

/* A statement that may hold a password stands nowhere in it: the context has it too, where a function or DO runs it. */
static void
write_log(const GuardedStatement *guarded)
{
	bool		secret = dbops_guard_has_secrets(guarded->node);

	ereport(LOG_SERVER_ONLY,
			(errmsg("dbops.break_glass: role \"%s\", logged in as \"%s\", runs %s in no migration: %s",
					GetUserNameFromId(GetUserId(), false), dbops_migration_owner_login(),
					guarded->command, dbops_break_glass),
			 errhidestmt(secret), errhidecontext(secret)));
}

static void
write_down(const GuardedStatement *guarded)
{
	MigrationOwner user = dbops_migration_owner_current();
	DbopsParam	params[] = {
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(user.name),
		dbops_param_oid(user.role),
		dbops_param_int8(user.cluster),
		dbops_param_text(dbops_migration_owner_login()),
		dbops_param_text(application_name),
		dbops_param_text(guarded->command),
		dbops_param_text(dbops_guard_source(guarded)),
		dbops_param_text(dbops_break_glass)
	};

	dbops_store_each_kept("INSERT INTO dbops.break_glass_use (at, role_name, role_oid, cluster, session_role,"
						  " application_name, client_address, command, statement, reason)"
						  " VALUES ($1, $2, $3, $4, $5, $6, inet_client_addr(), $7, $8, $9)",
						  lengthof(params), params, NULL, NULL);
}

/* break_glass_uses(since, until) → rows; texts only for who may read those of all */
Datum
dbops_break_glass_uses(PG_FUNCTION_ARGS)
{
	DbopsParam	params[] = {
		dbops_param_time(PG_ARGISNULL(0) ? DT_NOBEGIN : PG_GETARG_TIMESTAMPTZ(0)),
		dbops_param_time(PG_ARGISNULL(1) ? DT_NOEND : PG_GETARG_TIMESTAMPTZ(1)),
		dbops_param_bool(has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS))
	};

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT at, role_name, session_role, application_name, client_address, command,"
					   " CASE WHEN $3 THEN statement END, reason"
					   " FROM dbops.break_glass_use WHERE at >= $1 AND at < $2 ORDER BY at, statement",
					   lengthof(params), params);
	return (Datum) 0;
}
