/*
 * ddl_guard_wait.c
 *		dbops.ddl_lock_timeout: DDL gives up rather than have everybody wait behind it.
 *
 * Who waits for a strong lock has all wait who come later. So for each such
 * statement lock_timeout is shorter than the session has it, and what the session
 * has comes back when it ends, also by an error. The session's own limit stays
 * where it is shorter; the DBA's cannot be made longer by anybody else.
 */
#include "change/ddl_guard.h"

#include "miscadmin.h"
#include "storage/proc.h"
#include "utils/guc.h"

static void wait_no_longer(DbopsCallback run, void *arg);
static void wait_no_longer_across(DbopsCallback run, void *arg);
static void give_back(int limit, int before);
static bool commits_inside(Node *statement);
static void explain(void *unused);

/* Run a statement, its waits bounded. */
void
dbops_guard_bound_waits(Node *statement, DbopsCallback run, void *arg)
{
	ErrorContextCallback context = {.previous = error_context_stack,.callback = explain};

	if (LockTimeout > 0 && LockTimeout <= dbops_ddl_lock_timeout)
	{
		run(arg);
		return;
	}
	error_context_stack = &context;
	if (commits_inside(statement))
		wait_no_longer_across(run, arg);
	else
		wait_no_longer(run, arg);
	error_context_stack = context.previous;
}

/* An error leaves it to the end of the (sub)transaction; what the statement itself sets for the session stays. */
static void
wait_no_longer(DbopsCallback run, void *arg)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("lock_timeout", psprintf("%d", dbops_ddl_lock_timeout));
	run(arg);
	AtEOXact_GUC(true, nest_level);
}

/* A nested setting would end with the first of several transactions, so the server's variable is set itself. */
static void
wait_no_longer_across(DbopsCallback run, void *arg)
{
	int			limit = dbops_ddl_lock_timeout;
	int			before = LockTimeout;

	PG_TRY();
	{
		LockTimeout = limit;
		run(arg);
	}
	PG_CATCH();
	{
		give_back(limit, before);
		PG_RE_THROW();
	}
	PG_END_TRY();
	give_back(limit, before);
}

/* Unless the statement itself has set another one. */
static void
give_back(int limit, int before)
{
	if (LockTimeout == limit)
		LockTimeout = before;
}

/* Of whole schemas and of partitioned tables these commit after each table. */
static bool
commits_inside(Node *statement)
{
	return IsA(statement, VacuumStmt) || IsA(statement, ReindexStmt) || IsA(statement, ClusterStmt);
}

/* Error context: say whose limit it was. */
static void
explain(void *unused)
{
	if (geterrcode() == ERRCODE_LOCK_NOT_AVAILABLE)
		errhint("dbops.ddl_lock_timeout lets DDL wait %d ms at most for a lock. Try again when who has it has ended: dbops.blockers() says who that is.",
				dbops_ddl_lock_timeout);
}
