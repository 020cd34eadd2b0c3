/*
 * statements.c
 *		The figures of pg_stat_statements.
 *
 * Its function is called directly, without texts and without SPI: what is
 * found in the extension is what is called, whatever the search_path. That it
 * is missing, not preloaded or out of date is an answer, not an error.
 *
 * With thousands of statements a call takes milliseconds, so its figures are
 * kept while they are fresh: they are the whole cluster's and the same for
 * everybody who may call it. What is kept is in shared memory when dbops is
 * preloaded; the lock is held for copying only. Where reading them is dear, the
 * home database's upkeep does it once a minute, and sessions do not.
 */
#include "observe/observe.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "portability/instr_time.h"
#include "utils/acl.h"
#include "utils/guc_tables.h"
#include "utils/tuplestore.h"

/* Where the result of pg_stat_statements() has what is needed. */
typedef struct Columns
{
	AttrNumber	calls;
	AttrNumber	total;
	AttrNumber	mean;
} Columns;

typedef struct Call
{
	Oid			function;
	Statements *statements;
} Call;

/* Whether the server is told to record statements; the worse come later. */
typedef enum Tracking
{
	TRACKING_ON,
	TRACKING_HIDDEN,			/* this session was given a value of its own */
	TRACKING_OFF
} Tracking;

#define DEAR			1.0		/* ms: more than a call of health may take */
#define KEPT_SERVES		120.0	/* s: two rounds of the upkeep */

static Statements *shared_figures = NULL;	/* or NULL */
static LWLock *shared_figures_lock = NULL;
static Statements own_figures;	/* when there are none */

static void refresh(void *arg);
static void read_tracked(Oid function, Statements *statements);
static bool recall(Statements *statements);
static void keep(const Statements *statements);
static void read_statements(Oid function, Statements *statements);
static void call_function(void *arg);
static bool find_columns(TupleDesc desc, Columns *columns);
static AttrNumber find_column(TupleDesc desc, const char *name, Oid type);
static void add_row(Statements *statements, TupleTableSlot *slot,
					const Columns *columns);
static Tracking find_tracking(void);
static Tracking find_setting_unlike(const char *name, const char *off);

static const DbopsUpkeep upkeep = {
	.name = "statements",
	.every = 60000,
	.run = refresh
};

/* Ask for the shared memory. */
void
dbops_statements_init(void)
{
	dbops_shared_request("dbops statements", sizeof(Statements), NULL,
						 (void **) &shared_figures, &shared_figures_lock);
	dbops_upkeep_register(&upkeep);
}

/* Read them before somebody waits for it. */
static void
refresh(void *arg)
{
	Statements	statements = {0};

	dbops_statements_read(&statements);
}

/* Sum up the statements of the cluster, as far as they are recorded. */
void
dbops_statements_read(Statements *statements)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");
	Oid			function;

	if (extension.hidden)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_extension is locked"),
				 errhint("Look again later.")));
	if (!OidIsValid(extension.oid))
	{
		statements->state = STATEMENTS_MISSING;
		return;
	}
	function = dbops_extension_function(extension.oid, "pg_stat_statements", 1);
	if (!OidIsValid(function))
		statements->state = STATEMENTS_TOO_OLD;
	else if (object_aclcheck(ProcedureRelationId, function,
							 GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		statements->state = STATEMENTS_DENIED;
	else
		read_tracked(function, statements);
}

/*
 * Read what is there, unless the server tracks nothing. Where what it is told
 * is hidden, only that there is something proves that it does.
 */
static void
read_tracked(Oid function, Statements *statements)
{
	Tracking	tracking = find_tracking();

	if (tracking == TRACKING_OFF)
	{
		statements->state = STATEMENTS_OFF;
		return;
	}
	if (AmBackgroundWorkerProcess() || !recall(statements))
		read_statements(function, statements);
	if (tracking == TRACKING_HIDDEN && statements->state == STATEMENTS_READ &&
		statements->calls == 0)
		statements->state = STATEMENTS_NONE;
}

/* Give what was read before, if it is fresh. */
static bool
recall(Statements *statements)
{
	if (shared_figures == NULL)
		*statements = own_figures;
	else
	{
		LWLockAcquire(shared_figures_lock, LW_SHARED);
		*statements = *shared_figures;
		LWLockRelease(shared_figures_lock);
	}
	return dbops_health_serves(statements->read_at, statements->took, DEAR, statements->kept ? KEPT_SERVES : 0);
}

static void
keep(const Statements *statements)
{
	if (shared_figures == NULL)
		own_figures = *statements;
	else
	{
		LWLockAcquire(shared_figures_lock, LW_EXCLUSIVE);
		*shared_figures = *statements;
		LWLockRelease(shared_figures_lock);
	}
}

/* Read them now; that the library is not loaded is an answer. */
static void
read_statements(Oid function, Statements *statements)
{
	Call		call = {.function = function, .statements = statements};
	instr_time	start;
	instr_time	end;
	ErrorData  *error;

	memset(statements, 0, sizeof(Statements));
	INSTR_TIME_SET_CURRENT(start);
	if (!dbops_attempt(call_function, &call, &error))
	{
		if (error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			ReThrowError(error);
		statements->state = STATEMENTS_NOT_LOADED;
	}
	if (statements->state != STATEMENTS_READ)
		return;

	INSTR_TIME_SET_CURRENT(end);
	INSTR_TIME_SUBTRACT(end, start);
	statements->took = INSTR_TIME_GET_MILLISEC(end);
	statements->read_at = dbops_clock_now();
	statements->kept = AmBackgroundWorkerProcess();
	keep(statements);
}

/* Call pg_stat_statements(showtext => false) and go through its rows. */
static void
call_function(void *arg)
{
	Call	   *call = arg;
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	function;
	ExprContext *context = CreateStandaloneExprContext();
	ReturnSetInfo result = {
		.type = T_ReturnSetInfo,
		.econtext = context,
		.allowedModes = SFRM_Materialize,
		.returnMode = SFRM_ValuePerCall
	};
	TupleTableSlot *slot;
	Columns		columns;

	fmgr_info(call->function, &function);
	InitFunctionCallInfoData(*fcinfo, &function, 1, InvalidOid, NULL,
							 (Node *) &result);
	fcinfo->args[0].value = BoolGetDatum(false);
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);

	if (result.returnMode != SFRM_Materialize || result.setResult == NULL)
		elog(ERROR, "pg_stat_statements returned no rows in the expected way");
	if (find_columns(result.setDesc, &columns))
	{
		slot = MakeSingleTupleTableSlot(result.setDesc, &TTSOpsMinimalTuple);
		while (tuplestore_gettupleslot(result.setResult, true, false, slot))
			add_row(call->statements, slot, &columns);
		ExecDropSingleTupleTableSlot(slot);
	}
	else
		call->statements->state = STATEMENTS_TOO_OLD;

	tuplestore_end(result.setResult);
	FreeExprContext(context, true);
}

/* Columns have moved and been renamed from version to version. */
static bool
find_columns(TupleDesc desc, Columns *columns)
{
	columns->calls = find_column(desc, "calls", INT8OID);
	columns->total = find_column(desc, "total_exec_time", FLOAT8OID);
	columns->mean = find_column(desc, "mean_exec_time", FLOAT8OID);
	return columns->calls != InvalidAttrNumber &&
		columns->total != InvalidAttrNumber &&
		columns->mean != InvalidAttrNumber;
}

static AttrNumber
find_column(TupleDesc desc, const char *name, Oid type)
{
	for (int i = 0; i < desc->natts; i++)
	{
		Form_pg_attribute attribute = TupleDescAttr(desc, i);

		if (attribute->atttypid == type &&
			strcmp(NameStr(attribute->attname), name) == 0)
			return attribute->attnum;
	}
	return InvalidAttrNumber;
}

static void
add_row(Statements *statements, TupleTableSlot *slot, const Columns *columns)
{
	bool		isnull[3];
	int64		calls = DatumGetInt64(slot_getattr(slot, columns->calls, &isnull[0]));
	double		total = DatumGetFloat8(slot_getattr(slot, columns->total, &isnull[1]));
	double		mean = DatumGetFloat8(slot_getattr(slot, columns->mean, &isnull[2]));

	if (isnull[0] || isnull[1] || isnull[2])
		return;
	statements->calls += calls;
	statements->total_time += total;
	if (mean > SLOW_STATEMENT)
		statements->slow++;
}

/*
 * Statements are recorded only if they are tracked and have an identity. What
 * counts is what the server tells most sessions, not what this one's role or
 * user has set.
 */
static Tracking
find_tracking(void)
{
	Tracking	track = find_setting_unlike("pg_stat_statements.track", "none");
	Tracking	query_id = find_setting_unlike("compute_query_id", "off");

	return Max(track, query_id);
}

/* Whether the server's value of an enum is another than the given one. */
static Tracking
find_setting_unlike(const char *name, const char *off)
{
	struct config_generic *setting = find_setting(name);
	struct config_enum *choice = (struct config_enum *) setting;

	if (setting == NULL || setting->vartype != PGC_ENUM)
		return TRACKING_ON;
	if (setting->reset_source > PGC_S_ARGV)
		return TRACKING_HIDDEN;
	return strcmp(config_enum_lookup_by_value(choice, choice->reset_val), off) == 0 ?
		TRACKING_OFF : TRACKING_ON;
}
