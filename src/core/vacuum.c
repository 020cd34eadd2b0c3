/*
 * vacuum.c
 *		Vacuum or analyze a table between two transactions of a procedure.
 *
 * What a long piece of work leaves dead is made room for its own next rows:
 * the table then keeps its length, so that block numbers keep their meaning.
 * Nothing is waited for: a table that somebody has locked, such as autovacuum,
 * is left alone. VACUUM asks for the rights of the current user and takes the
 * costs of the session; functions of indexes run as the table's owner.
 *
 * What fails is a warning and not the end of the work, but for a cancel.
 * VACUUM refuses to stand inside anything, so that no subtransaction can catch
 * its error: the transaction is ended as for a client, and another one begun.
 */
#include "core/core.h"

#include "commands/vacuum.h"
#include "miscadmin.h"
#include "nodes/makefuncs.h"
#include "parser/parse_node.h"
#include "storage/proc.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

static void vacuum_outside(void *arg);
static VacuumStmt *make_statement(const DbopsVacuum *vacuum);
static DefElem *make_option(const char *name, bool on);
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
	VacuumStmt *statement = make_statement(vacuum);
	TimestampTz began = GetCurrentTimestamp();

	PG_TRY();
	{
		/* VACUUM takes its own; functions of indexes want one. */
		if (!vacuum->vacuum)
			PushActiveSnapshot(GetTransactionSnapshot());
		ExecVacuum(make_parsestate(NULL), statement, true);
		if (!vacuum->vacuum)
			PopActiveSnapshot();
	}
	PG_CATCH();
	{
		if (must_end(began))
			PG_RE_THROW();
		vacuum->error = dbops_procedure_begin_anew(context);
	}
	PG_END_TRY();
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
