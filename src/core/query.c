/*
 * query.c
 *		SPI in one place.
 *
 * The extension's own queries read with search_path pinned, so that nobody's
 * look-alike operator or function is ever called, and pass every value as a
 * parameter. Statements that carry a user's expression are prepared and run
 * with the search_path of whoever submitted them; their text must qualify
 * everything that is ours.
 *
 * A procedure that commits holds one non-atomic connection from
 * dbops_procedure_begin to dbops_procedure_end; everything else opens a
 * connection for one query.
 */
#include "core/rule.h"

#include "access/xact.h"
#include "catalog/namespace.h"
#include "executor/spi.h"
#include "miscadmin.h"
#include "nodes/plannodes.h"
#include "parser/parser.h"
#include "utils/datum.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/plancache.h"
#include "utils/resowner.h"
#include "utils/snapmgr.h"

/* Lives as long as its procedure, and is freed with it also after an error. */
struct DbopsStatement
{
	SPIPlanPtr	plan;			/* saved: survives the end of a transaction */
	MemoryContextCallback forget;
};

typedef struct ValueResult
{
	Oid			type;			/* what the caller takes the value for */
	Datum	   *value;			/* where it goes */
	bool		found;			/* a row came and its value was not null */
} ValueResult;

/* Memory of the procedure that is running, across its transactions and connections. */
static MemoryContext procedure_context = NULL;

/* A query on dbops' own tables, on its way through dbops_store_each. */
typedef struct StoreQuery
{
	const char *sql;
	bool		kept;			/* its plan, for the session */
	int			nparams;
	const DbopsParam *params;
	DbopsRowCallback each;
	void	   *arg;
	MemoryContext caller;
	uint64		rows;
} StoreQuery;

/* A command of ours that changes something. */
typedef struct Change
{
	const char *sql;
	uint64		rows;
} Change;

/* A query whose plan is kept for the session. */
typedef struct KeptPlan
{
	const char *sql;			/* a constant */
	SPIPlanPtr	plan;
} KeptPlan;

static List *kept_plans = NIL;

static uint64 run_under(Snapshot snapshot, const StoreQuery *query);
static uint64 run_pinned(const StoreQuery *query);
static void set_nested_for_ours(void);
static uint64 run(const StoreQuery *query, bool read_only);
static SPIPlanPtr kept_plan(const StoreQuery *query, Oid *types);
static void open_procedure(void);
static bool push_snapshot(void);
static uint64 run_on_store(bool kept, const char *sql, int nparams, const DbopsParam *params,
						   DbopsRowCallback each, void *arg);
static void run_store_query(void *arg);
static void run_change(void *arg);
static void put_row(HeapTuple row, TupleDesc desc, void *arg);
static void forget_plan(void *arg);
static void take_value(HeapTuple row, TupleDesc desc, void *arg);
static void each_row(DbopsRowCallback each, void *arg, MemoryContext caller);
static void check_result(int result, const char *what);

/*
 * Run a query of ours, read-only and with the search_path pinned, and call
 * back for each row. Returns the number of rows.
 */
uint64
dbops_query_each(const char *sql, int nparams, const DbopsParam *params,
				 DbopsRowCallback each, void *arg)
{
	StoreQuery	query = {
		.sql = sql,.nparams = nparams,.params = params,
		.each = each,.arg = arg,.caller = CurrentMemoryContext
	};

	return run_under(GetTransactionSnapshot(), &query);
}

/* The same for a constant, of which each of many objects is asked: its plan is kept for the session. */
uint64
dbops_query_each_kept(const char *sql, int nparams, const DbopsParam *params,
					  DbopsRowCallback each, void *arg)
{
	StoreQuery	query = {
		.sql = sql,.kept = true,.nparams = nparams,.params = params,
		.each = each,.arg = arg,.caller = CurrentMemoryContext
	};

	return run_under(GetTransactionSnapshot(), &query);
}

/*
 * The same under the active snapshot, so that several queries see one moment.
 * The text must be a constant: its plan is kept for the session, for any values.
 */
uint64
dbops_query_seen(const char *sql, int nparams, const DbopsParam *params,
				 DbopsRowCallback each, void *arg)
{
	StoreQuery	query = {
		.sql = sql,.kept = true,.nparams = nparams,.params = params,
		.each = each,.arg = arg,.caller = CurrentMemoryContext
	};

	return run_pinned(&query);
}

/*
 * The same on what is there now, whatever the transaction saw first: names and
 * definitions that the server writes follow the catalog of now, too.
 */
uint64
dbops_query_latest(const char *sql, int nparams, const DbopsParam *params,
				   DbopsRowCallback each, void *arg)
{
	StoreQuery	query = {
		.sql = sql,.nparams = nparams,.params = params,
		.each = each,.arg = arg,.caller = CurrentMemoryContext
	};

	return run_under(GetLatestSnapshot(), &query);
}

static uint64
run_under(Snapshot snapshot, const StoreQuery *query)
{
	uint64		rows;

	PushActiveSnapshot(snapshot);
	rows = run_pinned(query);
	PopActiveSnapshot();

	return rows;
}

static uint64
run_pinned(const StoreQuery *query)
{
	int			nest_level = NewGUCNestLevel();
	uint64		rows;

	set_nested_for_ours();
	rows = run(query, true);
	AtEOXact_GUC(false, nest_level);

	return rows;
}

/* What our own queries run with; compiling them takes longer than they do, whatever the planner expects of catalogs. */
static void
set_nested_for_ours(void)
{
	dbops_set_nested("search_path", "pg_catalog, pg_temp");
	dbops_set_nested("jit", "off");
	if (!standard_conforming_strings)
		dbops_set_nested("standard_conforming_strings", "on");
}

/*
 * Run a query on dbops' own tables, which only the extension's owner has
 * rights on; nothing in it may call a user's code. It may change rows, and
 * sees what the transaction has done so far. Returns the number of rows.
 */
uint64
dbops_store_each(const char *sql, int nparams, const DbopsParam *params,
				 DbopsRowCallback each, void *arg)
{
	return run_on_store(false, sql, nparams, params, each, arg);
}

/*
 * The same for a constant whose plan is kept for the session: it must find its
 * rows by an index, however large a table becomes.
 */
uint64
dbops_store_each_kept(const char *sql, int nparams, const DbopsParam *params,
					  DbopsRowCallback each, void *arg)
{
	return run_on_store(true, sql, nparams, params, each, arg);
}

static uint64
run_on_store(bool kept, const char *sql, int nparams, const DbopsParam *params,
			 DbopsRowCallback each, void *arg)
{
	StoreQuery	query = {
		.sql = sql,.kept = kept,.nparams = nparams,.params = params,
		.each = each,.arg = arg,.caller = CurrentMemoryContext
	};

	dbops_run_as_extension(run_store_query, &query);
	return query.rows;
}

/* Read one value from them, as dbops_query_value does. */
bool
dbops_store_value(const char *sql, int nparams, const DbopsParam *params,
				  Oid type, Datum *value)
{
	ValueResult result = {.type = type,.value = value};

	dbops_store_each(sql, nparams, params, take_value, &result);
	return result.found;
}

/* The same with a plan that is kept, as by dbops_store_each_kept. */
bool
dbops_store_value_kept(const char *sql, int nparams, const DbopsParam *params,
					   Oid type, Datum *value)
{
	ValueResult result = {.type = type,.value = value};

	dbops_store_each_kept(sql, nparams, params, take_value, &result);
	return result.found;
}

/* Read one text from them, as dbops_query_text does. */
char *
dbops_store_text(const char *sql, int nparams, const DbopsParam *params)
{
	Datum		value;

	return dbops_store_value(sql, nparams, params, TEXTOID, &value) ? TextDatumGetCString(value) : NULL;
}

/* Return the rows of such a query as the result of a set-returning function. */
void
dbops_store_report(ReturnSetInfo *rsinfo, const char *sql,
				   int nparams, const DbopsParam *params)
{
	dbops_store_each(sql, nparams, params, put_row, rsinfo);
}

static void
put_row(HeapTuple row, TupleDesc desc, void *arg)
{
	ReturnSetInfo *rsinfo = arg;

	tuplestore_puttuple(rsinfo->setResult, row);
}

/* What a process of ours keeps account of takes no room in pg_stat_statements. */
static void
run_store_query(void *arg)
{
	StoreQuery *query = arg;
	bool		pushed = push_snapshot();

	set_nested_for_ours();
	if (AmBackgroundWorkerProcess())
		dbops_set_nested("compute_query_id", "off");
	query->rows = run(query, false);
	if (pushed)
		PopActiveSnapshot();
}

/* SPI wants a snapshot below its own, which no portal gives a process of ours. */
static bool
push_snapshot(void)
{
	if (ActiveSnapshotSet())
		return false;
	PushActiveSnapshot(GetTransactionSnapshot());
	return true;
}

static uint64
run(const StoreQuery *query, bool read_only)
{
	Oid		   *types = palloc(sizeof(Oid) * (query->nparams + 1));
	Datum	   *values = palloc(sizeof(Datum) * (query->nparams + 1));
	char	   *nulls = palloc(query->nparams + 1);
	uint64		rows;

	for (int i = 0; i < query->nparams; i++)
	{
		types[i] = query->params[i].type;
		values[i] = query->params[i].value;
		nulls[i] = query->params[i].isnull ? 'n' : ' ';
	}
	SPI_connect();
	if (query->kept)
		check_result(SPI_execute_plan(kept_plan(query, types), values, nulls, read_only, 0), query->sql);
	else
		check_result(SPI_execute_with_args(query->sql, query->nparams, types, values, nulls,
										   read_only, 0), query->sql);
	rows = SPI_processed;
	each_row(query->each, query->arg, query->caller);
	SPI_finish();
	return rows;
}

/* The plan of a constant text, which is known by its address. */
static SPIPlanPtr
kept_plan(const StoreQuery *query, Oid *types)
{
	MemoryContext caller;
	SPIPlanPtr	plan;
	KeptPlan   *kept;
	ListCell   *cell;

	foreach(cell, kept_plans)
	{
		kept = lfirst(cell);
		if (kept->sql == query->sql)
			return kept->plan;
	}
	plan = SPI_prepare_cursor(query->sql, query->nparams, types, CURSOR_OPT_GENERIC_PLAN);
	if (plan == NULL)
		check_result(SPI_result, query->sql);
	SPI_keepplan(plan);
	caller = MemoryContextSwitchTo(TopMemoryContext);
	kept = palloc(sizeof(KeptPlan));
	*kept = (KeptPlan) {.sql = query->sql, .plan = plan};
	kept_plans = lappend(kept_plans, kept);
	MemoryContextSwitchTo(caller);
	return plan;
}

/*
 * Write the search_path of whoever submits a statement as names: what it means
 * now, for the current user, and will mean when another role runs it.
 */
char *
dbops_query_submission_path(void)
{
	StringInfoData path;
	ListCell   *cell;

	initStringInfo(&path);
	foreach(cell, fetch_search_path(false))
	{
		Oid			schema = lfirst_oid(cell);

		/* The name of a temporary schema is another's in another session. */
		appendStringInfo(&path, "%s%s", path.len > 0 ? ", " : "",
						 isTempNamespace(schema) ? "pg_temp" :
						 quote_identifier(get_namespace_name(schema)));
	}
	return path.data;
}

/*
 * The same for statements that dbops has written out of it: the server's own
 * objects come first and temporary ones last, so that nothing which the text
 * leaves unqualified can be taken for another thing.
 */
char *
dbops_query_safe_path(const char *submission_path)
{
	return psprintf("pg_catalog%s%s, pg_temp",
					submission_path[0] != '\0' ? ", " : "", submission_path);
}

/* Run a command of ours, one that changes something and returns no rows. */
void
dbops_query_command(const char *sql)
{
	(void) dbops_query_change(sql);
}

/* The same for one that changes rows; returns how many. */
uint64
dbops_query_change(const char *sql)
{
	Change		change = {.sql = sql};

	dbops_as_own(run_change, &change);
	return change.rows;
}

static void
run_change(void *arg)
{
	Change	   *change = arg;
	int			nest_level = NewGUCNestLevel();
	bool		pushed = push_snapshot();

	set_nested_for_ours();
	SPI_connect();
	check_result(SPI_execute(change->sql, false, 0), change->sql);
	change->rows = SPI_processed;
	SPI_finish();
	if (pushed)
		PopActiveSnapshot();
	AtEOXact_GUC(false, nest_level);
}

/*
 * Read one value: the first column of the only row of a query of ours. False
 * when there is no row or the value is null.
 */
bool
dbops_query_value(const char *sql, int nparams, const DbopsParam *params,
				  Oid type, Datum *value)
{
	ValueResult result = {.type = type, .value = value};

	dbops_query_each(sql, nparams, params, take_value, &result);
	return result.found;
}

/* Read one text; NULL when there is no row or the value is null. */
char *
dbops_query_text(const char *sql, int nparams, const DbopsParam *params)
{
	Datum		value;

	return dbops_query_value(sql, nparams, params, TEXTOID, &value) ? TextDatumGetCString(value) : NULL;
}

/* The same for a constant whose plan is kept, as by dbops_query_each_kept. */
char *
dbops_query_text_kept(const char *sql, int nparams, const DbopsParam *params)
{
	Datum		value;
	ValueResult result = {.type = TEXTOID,.value = &value};

	dbops_query_each_kept(sql, nparams, params, take_value, &result);
	return result.found ? TextDatumGetCString(value) : NULL;
}

/* Copy the first column into the caller's memory. */
static void
take_value(HeapTuple row, TupleDesc desc, void *arg)
{
	ValueResult *result = arg;
	Datum		value;
	bool		isnull;

	if (SPI_gettypeid(desc, 1) != result->type)
		elog(ERROR, "query returns type %u where type %u is expected",
			 SPI_gettypeid(desc, 1), result->type);

	value = SPI_getbinval(row, desc, 1, &isnull);
	result->found = !isnull;
	if (!isnull)
		*result->value = datumCopy(value,
								   TupleDescAttr(desc, 0)->attbyval,
								   TupleDescAttr(desc, 0)->attlen);
}

/*
 * Begin a procedure that will commit.
 *
 * It must stand at top level: inside a transaction block, a function or
 * another procedure the caller's work would be committed with ours.
 */
void
dbops_procedure_begin(FunctionCallInfo fcinfo, const char *name)
{
	CallContext *call = (CallContext *) fcinfo->context;

	if (call == NULL || !IsA(call, CallContext) || call->atomic ||
		SPI_inside_nonatomic_context())
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_TRANSACTION_TERMINATION),
				 errmsg("%s cannot run inside a transaction block, a function, a DO block or another procedure",
						name),
				 errdetail("It commits its own transactions."),
				 errhint("CALL it as a statement of its own, with autocommit on.")));

	open_procedure();
}

/*
 * The same for a process of ours, which is in a transaction and has no caller.
 * It sets PortalContext, where the connection's memory is, first.
 */
void
dbops_procedure_begin_process(void)
{
	open_procedure();
}

/* Work in memory of the procedure's own: that of the connection would go with it. */
static void
open_procedure(void)
{
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	procedure_context = AllocSetContextCreate(PortalContext, "dbops procedure", ALLOCSET_DEFAULT_SIZES);
	MemoryContextSwitchTo(procedure_context);
}

/*
 * Leave the procedure's connection for as long as the callback takes, for what
 * refuses to stand inside anything. It may end transactions, and is in one when
 * it returns. The procedure's memory and statements stay, also if it CALLs
 * another procedure of ours.
 */
void
dbops_procedure_outside(DbopsCallback callback, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext procedure = procedure_context;

	SPI_finish();
	MemoryContextSwitchTo(context);
	callback(arg);
	procedure_context = procedure;
	MemoryContextSwitchTo(PortalContext);
	SPI_connect_ext(SPI_OPT_NONATOMIC);
	MemoryContextSwitchTo(context);
}

/*
 * Take away the error that was caught outside, where nothing can be caught in a
 * subtransaction, and have a new transaction. Returns it, in this memory.
 */
ErrorData *
dbops_procedure_begin_anew(MemoryContext context)
{
	ErrorData  *error;

	HOLD_INTERRUPTS();
	MemoryContextSwitchTo(context);
	error = CopyErrorData();
	FlushErrorState();
	AbortOutOfAnyTransaction();
	RESUME_INTERRUPTS();
	StartTransactionCommand();
	MemoryContextSwitchTo(context);
	return error;
}

/* Commit what the procedure has done so far and begin a new transaction; standbys are waited for without locks. */
void
dbops_procedure_commit(void)
{
	bool		waits = dbops_durable_put_off();

	SPI_commit();
	if (waits)
		dbops_durable_await();
}

void
dbops_procedure_end(void)
{
	SPI_finish();
	MemoryContextDelete(procedure_context);
	procedure_context = NULL;
}

/*
 * Call back with a connection in which statements can be prepared, for a
 * function, which does not commit. A procedure's statement may call such a
 * function: what is the procedure's comes back also after an error.
 */
void
dbops_query_inside(DbopsCallback callback, void *arg)
{
	MemoryContext outer = procedure_context;
	MemoryContext caller = CurrentMemoryContext;

	PG_TRY();
	{
		SPI_connect();
		procedure_context = CurrentMemoryContext;
		MemoryContextSwitchTo(caller);
		callback(arg);
		SPI_finish();
	}
	PG_FINALLY();
	{
		procedure_context = outer;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
}

/*
 * Prepare a statement that is planned once, for any parameter values, and
 * lasts until it is freed or the procedure ends. Needs an open procedure, or
 * dbops_query_inside, and leaves the memory of that connection, which the server
 * has made current: what the caller makes next is not to go with it.
 */
DbopsStatement *
dbops_statement_prepare(const char *sql, int nparams, const Oid *types)
{
	MemoryContext caller = CurrentMemoryContext;
	DbopsStatement *statement = MemoryContextAllocZero(procedure_context,
													   sizeof(DbopsStatement));
	SPIPlanPtr	plan = SPI_prepare_cursor(sql, nparams, unconstify(Oid *, types),
										  CURSOR_OPT_GENERIC_PLAN);

	if (plan == NULL)
		check_result(SPI_result, sql);
	statement->forget.func = forget_plan;
	statement->forget.arg = statement;
	MemoryContextRegisterResetCallback(procedure_context, &statement->forget);
	SPI_keepplan(plan);
	statement->plan = plan;
	MemoryContextSwitchTo(caller);
	return statement;
}

static void
forget_plan(void *arg)
{
	DbopsStatement *statement = arg;

	if (statement->plan != NULL)
		SPI_freeplan(statement->plan);
	statement->plan = NULL;
}

/*
 * Plan the statement if that has not been done, and show its plan; NULL if a
 * rule has made nothing, several statements or a command of it.
 */
void
dbops_statement_inspect(DbopsStatement *statement, DbopsPlanCallback look, void *arg)
{
	CachedPlan *cached = SPI_plan_get_cached_plan(statement->plan);
	PlannedStmt *plan = NULL;

	if (list_length(cached->stmt_list) == 1)
		plan = linitial_node(PlannedStmt, cached->stmt_list);
	look(plan != NULL && plan->utilityStmt == NULL ? plan : NULL, arg);
	ReleaseCachedPlan(cached, CurrentResourceOwner);
}

/*
 * Run a statement and call back for each row that it returns. One that only
 * reads runs under the active snapshot. Returns the number of rows that were
 * changed, or read.
 */
uint64
dbops_statement_run(DbopsStatement *statement, const Datum *values, bool read_only,
					DbopsRowCallback each, void *arg)
{
	MemoryContext caller = CurrentMemoryContext;
	bool		pushed = push_snapshot();
	uint64		rows;

	check_result(SPI_execute_plan(statement->plan, unconstify(Datum *, values),
								  NULL, read_only, 0), "statement");
	rows = SPI_processed;
	each_row(each, arg, caller);
	MemoryContextSwitchTo(caller);
	if (pushed)
		PopActiveSnapshot();
	return rows;
}

/*
 * Run a statement that changes rows on what the active snapshot sees, rather
 * than on what is there now. Returns the number of rows.
 */
uint64
dbops_statement_change_seen(DbopsStatement *statement, const Datum *values)
{
	MemoryContext caller = CurrentMemoryContext;

	check_result(SPI_execute_snapshot(statement->plan, unconstify(Datum *, values), NULL,
									  GetActiveSnapshot(), InvalidSnapshot, false, true, 0),
				 "statement");
	if (SPI_tuptable != NULL)
		SPI_freetuptable(SPI_tuptable);
	MemoryContextSwitchTo(caller);
	return SPI_processed;
}

/* Free the statement's plan; the rest goes with the procedure. */
void
dbops_statement_free(DbopsStatement *statement)
{
	forget_plan(statement);
}

/* Call back for each row of the last result and release it. */
static void
each_row(DbopsRowCallback each, void *arg, MemoryContext caller)
{
	SPITupleTable *table = SPI_tuptable;
	uint64		rows = (table == NULL) ? 0 : table->numvals;
	MemoryContext spi = MemoryContextSwitchTo(caller);

	for (uint64 i = 0; each != NULL && i < rows; i++)
	{
		CHECK_FOR_INTERRUPTS();
		each(table->vals[i], table->tupdesc, arg);
	}
	MemoryContextSwitchTo(spi);
	if (table != NULL)
		SPI_freetuptable(table);
}

static void
check_result(int result, const char *what)
{
	if (result < 0)
		elog(ERROR, "%s: %s", SPI_result_code_string(result), what);
}
