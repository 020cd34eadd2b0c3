/*
 * command.c
 *		A user's SQL: what may be one job, and running it.
 *
 * A job is either one statement of any kind, run as a client's would be, or
 * several that share one transaction. Which of the two is told when it is
 * submitted (core/sql.c). What must outlive the transactions that a statement
 * begins and ends is in the caller's memory.
 */
#include "maintain/maintain.h"

#include "core/sql.h"

#include "access/htup_details.h"
#include "executor/tuptable.h"
#include "miscadmin.h"
#include "storage/proc.h"
#include "tcop/utility.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/json.h"
#include "utils/memutils.h"

#define RESULT_BYTES	(64 * 1024) /* of rows that are kept */

/* Takes the rows of a statement; the last statement's are kept. */
typedef struct RowKeeper
{
	DestReceiver receiver;
	MemoryContext context;		/* of the rows that are kept */
	TupleDesc	desc;			/* with the names of the columns, which slots may lack */
	List	   *rows;			/* of Jsonb * */
	bool		has_rows;		/* a statement returned rows, if only none */
	int64		count;			/* also of those that are not kept */
	Size		bytes;
} RowKeeper;

static void refuse_statement(Node *statement);
static bool may_commit(Node *statement);
static bool is_repeatable(Node *statement);
static void keep_startup(DestReceiver *self, int operation, TupleDesc desc);
static bool keep_row(TupleTableSlot *slot, DestReceiver *self);
static void keep_nothing(DestReceiver *self);
static void keep_document(RowKeeper *keeper, char *text);
static char *row_text(TupleTableSlot *slot, TupleDesc desc);
static Jsonb *result_document(const RowKeeper *keeper, const QueryCompletion *completion);

/* ---- at submission ---- */

/* Refuse a text that cannot be a job, and say what kind of job it is. */
CommandText
dbops_command_check(const char *sql)
{
	List	   *statements = dbops_sql_parse(sql, RAW_PARSE_DEFAULT);
	bool		alone = (list_length(statements) == 1);
	CommandText text = {.atomic = true,.class = DBOPS_CLASS_PLAIN};
	int			number = 0;
	ListCell   *cell;

	if (statements == NIL)
		ereport(ERROR,
				(errcode(ERRCODE_SYNTAX_ERROR),
				 errmsg("command is empty"),
				 errhint("Give one SQL statement, or several that can share one transaction.")));

	foreach(cell, statements)
	{
		Node	   *statement = lfirst_node(RawStmt, cell)->stmt;

		number++;
		refuse_statement(statement);
		if (!alone && dbops_sql_must_be_alone(statement))
			ereport(ERROR,
					(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
					 errmsg("statement %d of the command, %s, cannot share a transaction with others",
							number, CreateCommandName(statement)),
					 errhint("Submit it as a job of its own.")));
		if (alone && may_commit(statement))
			text.atomic = false;
		if (alone && is_repeatable(statement))
			text.repeatable = true;
		if (dbops_sql_is_concurrent(statement))
			text.class = DBOPS_CLASS_CONCURRENT_DDL;
	}
	return text;
}

/* Refuse what has no meaning in a job. */
static void
refuse_statement(Node *statement)
{
	if (IsA(statement, TransactionStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be part of a job", CreateCommandName(statement)),
				 errdetail("A job begins and ends its transaction itself."),
				 errhint("Leave BEGIN, COMMIT and the like out; several statements share one transaction.")));
	if (IsA(statement, CopyStmt) && ((CopyStmt *) statement)->filename == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("a job cannot COPY from or to a client"),
				 errhint("Name a file or a program of the server.")));
	if (IsA(statement, ListenStmt) || IsA(statement, UnlistenStmt))
		ereport(ERROR,
				(errcode(ERRCODE_FEATURE_NOT_SUPPORTED),
				 errmsg("%s cannot be part of a job", CreateCommandName(statement)),
				 errhint("LISTEN in the session that is to be notified.")));
}

/* May it commit on the way, when it is alone? */
static bool
may_commit(Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CallStmt:
		case T_DoStmt:
		case T_VacuumStmt:
		case T_ReindexStmt:
		case T_ClusterStmt:
			return true;
		default:
			return dbops_sql_must_be_alone(statement);
	}
}

/* Is it as good as done once when it is done again, however far it came before? */
static bool
is_repeatable(Node *statement)
{
	return IsA(statement, VacuumStmt) || IsA(statement, ClusterStmt) || IsA(statement, CheckPointStmt) ||
		(IsA(statement, ReindexStmt) && !dbops_sql_is_concurrent(statement));
}

/* ---- when it is run ---- */

/*
 * Run a command in the current transaction, which it may end, and be in a
 * transaction afterwards. Returns what it returned. committed is set, also
 * before an error, when something of it may have been committed on the way.
 */
Jsonb *
dbops_command_run(const char *sql, bool *committed)
{
	MemoryContext context = CurrentMemoryContext;
	LocalTransactionId begun_in = proc_local_xid(MyProc);
	List	   *statements = dbops_sql_parse(sql, RAW_PARSE_DEFAULT);
	bool		alone = (list_length(statements) == 1);
	RowKeeper	keeper = {
		.receiver = {
			.receiveSlot = keep_row,.rStartup = keep_startup,
			.rShutdown = keep_nothing,.rDestroy = keep_nothing,.mydest = DestNone
		},
		.context = context
	};
	QueryCompletion completion;
	ListCell   *cell;

	InitializeQueryCompletion(&completion);
	PG_TRY();
	{
		foreach(cell, statements)
			dbops_sql_run(lfirst_node(RawStmt, cell), sql, alone, &keeper.receiver, &completion);
	}
	PG_FINALLY();
	{
		*committed = (proc_local_xid(MyProc) != begun_in);
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	return result_document(&keeper, &completion);
}

/* Each statement that returns rows begins anew: the last one's are kept. */
static void
keep_startup(DestReceiver *self, int operation, TupleDesc desc)
{
	RowKeeper  *keeper = (RowKeeper *) self;

	keeper->desc = BlessTupleDesc(desc);
	keeper->has_rows = true;
	keeper->rows = NIL;
	keeper->count = 0;
	keeper->bytes = 0;
}

static bool
keep_row(TupleTableSlot *slot, DestReceiver *self)
{
	RowKeeper  *keeper = (RowKeeper *) self;
	MemoryContext before;

	keeper->count++;
	if (list_length(keeper->rows) >= dbops_job_result_rows || keeper->bytes > RESULT_BYTES)
		return true;

	before = MemoryContextSwitchTo(keeper->context);
	keep_document(keeper, row_text(slot, keeper->desc));
	MemoryContextSwitchTo(before);
	return true;
}

/*
 * Keep a row, unless it is too large or has characters that jsonb cannot hold:
 * what a job has done must not fail because of what is kept of it.
 */
static void
keep_document(RowKeeper *keeper, char *text)
{
	keeper->bytes += strlen(text);
	if (keeper->bytes <= RESULT_BYTES && strstr(text, "\\u0000") == NULL)
		keeper->rows = lappend(keeper->rows,
							   DatumGetJsonbP(DirectFunctionCall1(jsonb_in, CStringGetDatum(text))));
	pfree(text);
}

static void
keep_nothing(DestReceiver *self)
{
}

/* Write a row as JSON, by the server's own rules. */
static char *
row_text(TupleTableSlot *slot, TupleDesc desc)
{
	HeapTuple	tuple = ExecFetchSlotHeapTuple(slot, false, NULL);

	return TextDatumGetCString(DirectFunctionCall1(row_to_json, heap_copy_tuple_as_datum(tuple, desc)));
}

/* What the job keeps: the command tag, and rows if it returned any. */
static Jsonb *
result_document(const RowKeeper *keeper, const QueryCompletion *completion)
{
	DbopsJson	json = {0};
	char		tag[COMPLETION_TAG_BUFSIZE] = "";
	ListCell   *cell;

	if (completion->commandTag != CMDTAG_UNKNOWN)
		write_completion_tag(tag, completion);
	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "command", tag);
	if (keeper->has_rows)
	{
		dbops_json_integer(&json, "row_count", keeper->count);
		dbops_json_array(&json, "rows");
		foreach(cell, keeper->rows)
			dbops_json_document(&json, NULL, lfirst(cell));
		dbops_json_array_end(&json);
	}
	return dbops_json_finish(&json);
}
