/*
 * vacuum.c
 *		Vacuum or analyze a table between two transactions of a procedure.
 *
 * What a long piece of work leaves dead is made room for its own next rows:
 * the table then keeps its length, so that block numbers keep their meaning.
 * Nothing is waited for: a table that somebody has locked, such as autovacuum,
 * is left alone. Nor are others made to wait: the server cancels autovacuum for
 * who waits for its table, and so we cancel ourselves. VACUUM asks for the rights
 * of the current user and takes the costs of the session; functions of indexes
 * run as the table's owner.
 *
 * What fails is a warning and not the end of the work, but for a cancel.
 * VACUUM refuses to stand inside anything, so that no subtransaction can catch
 * its error: the transaction is ended as for a client, and another one begun.
 */
#include "core/core.h"

#include "commands/vacuum.h"
#include "core/batch.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "storage/proc.h"
#include "utils/backend_status.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static void vacuum_outside(void *arg);
static void execute(const DbopsVacuum *vacuum);
static VacuumStmt *make_statement(const DbopsVacuum *vacuum);
static DefElem *make_option(const char *name, bool on);
static char *name_of(int pid);
static void explain_way(DbopsVacuum *vacuum, int waiter, const char *name);
static bool must_end(TimestampTz began);

/* Vacuum a table. Needs an open procedure whose work is committed. */
void
dbops_vacuum(Oid relid)
{
	DbopsVacuum vacuum = {.relid = relid,.vacuum = true,.keep_length = true};

	dbops_clock_restart_timeouts();
	dbops_procedure_outside(vacuum_outside, &vacuum);
	if (vacuum.error != NULL)
		ereport(WARNING,
				(errcode(vacuum.error->sqlerrcode),
				 errmsg("table \"%s\" could not be vacuumed: %s",
						get_rel_name(relid), vacuum.error->message),
				 errdetail("The work goes on; the room of its dead rows is not used again until the table is vacuumed.")));
}

static void
vacuum_outside(void *arg)
{
	dbops_vacuum_at_top(arg);
}

/* The same where no connection is open; what fails is left in it. */
void
dbops_vacuum_at_top(DbopsVacuum *vacuum)
{
	MemoryContext context = CurrentMemoryContext;
	TimestampTz began = GetCurrentTimestamp();
	char	   *name;
	int			waiter;

	if (!vacuum->stays)
		dbops_polite_keep_begin(vacuum->relid);
	PG_TRY();
	{
		execute(vacuum);
		if (!vacuum->stays)
			(void) dbops_polite_keep_end();
	}
	PG_CATCH();
	{
		waiter = vacuum->stays ? 0 : dbops_polite_keep_end();
		if (waiter == 0 && must_end(began))
			PG_RE_THROW();
		MemoryContextSwitchTo(context);
		name = (waiter != 0) ? name_of(waiter) : NULL;	/* while it waits: our locks are still there */
		vacuum->error = dbops_procedure_begin_anew(context);
		if (waiter != 0)
			explain_way(vacuum, waiter, name);
	}
	PG_END_TRY();
}

/* VACUUM takes a snapshot of its own; functions of indexes want one. */
static void
execute(const DbopsVacuum *vacuum)
{
	if (!vacuum->vacuum)
		PushActiveSnapshot(GetTransactionSnapshot());
	ExecVacuum(make_parsestate(NULL), make_statement(vacuum), true);
	if (!vacuum->vacuum)
		PopActiveSnapshot();
}

/* A table that has gone by then is none to be vacuumed. */
static VacuumStmt *
make_statement(const DbopsVacuum *vacuum)
{
	VacuumStmt *statement = makeNode(VacuumStmt);

	statement->is_vacuumcmd = vacuum->vacuum;
	statement->options = list_make1(make_option("skip_locked", true));
	if (vacuum->keep_length)
		statement->options = lappend(statement->options, make_option("truncate", false));
	if (vacuum->freeze)
		statement->options = lappend(statement->options, make_option("freeze", true));
	if (vacuum->vacuum && vacuum->analyze)
		statement->options = lappend(statement->options, make_option("analyze", true));
	statement->rels = list_make1(makeVacuumRelation(NULL, vacuum->relid, NIL));
	return statement;
}

static DefElem *
make_option(const char *name, bool on)
{
	return makeDefElem(pstrdup(name), (Node *) makeBoolean(on), -1);
}

/* The application_name of a session, without a look into any catalog; NULL: it has none. */
static char *
name_of(int pid)
{
	pgstat_clear_backend_activity_snapshot();
	for (int i = 1; i <= pgstat_fetch_stat_numbackends(); i++)
	{
		PgBackendStatus *status = &pgstat_get_local_beentry_by_index(i)->backendStatus;

		if (status->st_procpid == pid && status->st_appname[0] != '\0')
			return pstrdup(status->st_appname);
	}
	return NULL;
}

/* Say for whom it was cut off. */
static void
explain_way(DbopsVacuum *vacuum, int waiter, const char *name)
{
	vacuum->gave_way = true;
	vacuum->error->message = psprintf("it gave way to process %d (%s), which waited for the table",
									  waiter, name != NULL ? name : "no application_name");
}

/* Somebody asks for the end, and not only the session's statement_timeout for that of the vacuum. */
static bool
must_end(TimestampTz began)
{
	int			code = geterrcode();

	if (code == ERRCODE_QUERY_CANCELED)
		return StatementTimeout <= 0 ||
			!TimestampDifferenceExceeds(began, GetCurrentTimestamp(), StatementTimeout);
	return ERRCODE_TO_CATEGORY(code) == ERRCODE_OPERATOR_INTERVENTION;
}
