/*
 * migration_verify.c
 *		The query that must be true before a migration commits.
 *
 * It is what somebody would look at by hand: are the critical tables there, do
 * the counts agree? Everything but a plain yes is a no: an error, false, NULL,
 * or no row at all.
 */
#include "change/migration.h"

#include "core/sql.h"

#include "access/xact.h"
#include "catalog/pg_type.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/guc.h"

/* Takes the rows of the query. */
typedef struct Verdict
{
	DestReceiver receiver;
	int64		rows;
} Verdict;

static void check_query(Node *statement);
static void verify(const MigrationText *text, RawStmt *raw);
static void point_into_query(void *arg);
static void begin(DestReceiver *self, int operation, TupleDesc desc);
static bool take_row(TupleTableSlot *slot, DestReceiver *self);
static void end(DestReceiver *self);
static void fail(const char *why);

/* Run the query as the current user; throw unless every row of it is true. */
void
dbops_migration_verify(const char *verify_sql)
{
	MigrationText *text = dbops_migration_text_read("verify_sql", verify_sql);
	RawStmt    *raw;
	int			nest_level = NewGUCNestLevel();
	Oid			user;
	int			context;

	if (list_length(text->statements) != 1)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("verify_sql must be one query"),
				 errhint("Join the conditions with AND.")));
	raw = dbops_migration_statement_parse(text, linitial(text->statements));
	check_query(raw->stmt);

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(user, context | SECURITY_LOCAL_USERID_CHANGE);
	verify(text, raw);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, context);
}

static void
check_query(Node *statement)
{
	if (!IsA(statement, SelectStmt) || ((SelectStmt *) statement)->intoClause != NULL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("verify_sql must be a query"),
				 errhint("Give a SELECT that returns true.")));
}

static void
verify(const MigrationText *text, RawStmt *raw)
{
	Verdict		verdict = {
		.receiver = {
			.receiveSlot = take_row,.rStartup = begin,
			.rShutdown = end,.rDestroy = end,.mydest = DestNone
		}
	};
	ErrorContextCallback context = {
		.previous = error_context_stack,
		.callback = point_into_query,
		.arg = unconstify(MigrationText *, text)
	};
	QueryCompletion completion;

	error_context_stack = &context;
	dbops_sql_run(raw, dbops_migration_statement_sql(text, linitial(text->statements)), false,
				  &verdict.receiver, &completion);
	if (verdict.rows == 0)
		fail("It returns no row.");
	error_context_stack = context.previous;
}

static void
point_into_query(void *arg)
{
	const MigrationText *text = arg;
	const MigrationStatement *statement = linitial(text->statements);

	errcontext("line %d of verify_sql", dbops_migration_point(text->sql, statement->start));
}

static void
begin(DestReceiver *self, int operation, TupleDesc desc)
{
	if (desc->natts != 1 || TupleDescAttr(desc, 0)->atttypid != BOOLOID)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("verify_sql must return one column of type boolean"),
				 errhint("Compare: SELECT count(*) = 5 FROM ...")));
}

static bool
take_row(TupleTableSlot *slot, DestReceiver *self)
{
	Verdict    *verdict = (Verdict *) self;
	bool		isnull;
	Datum		value = slot_getattr(slot, 1, &isnull);

	verdict->rows++;
	if (isnull)
		fail(psprintf("Row " INT64_FORMAT " is null.", verdict->rows));
	if (!DatumGetBool(value))
		fail(psprintf("Row " INT64_FORMAT " is false.", verdict->rows));
	return true;
}

static void
end(DestReceiver *self)
{
}

static void
fail(const char *why)
{
	ereport(ERROR,
			(errcode(ERRCODE_RAISE_EXCEPTION),
			 errmsg("verify_sql does not hold"),
			 errdetail("%s", why),
			 errhint("Nothing of the migration stays. Look at what the query returns, then apply it again.")));
}
