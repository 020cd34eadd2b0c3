/*
 * statements.c
 *		The figures of pg_stat_statements.
 *
 * Its function is called directly, without texts and without SPI: what is
 * found in the extension is what is called, whatever the search_path. That it
 * is missing, not preloaded or out of date is an answer, not an error.
 */
#include "observe/observe.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/guc.h"
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

static void call_function(void *arg);
static bool find_columns(TupleDesc desc, Columns *columns);
static AttrNumber find_column(TupleDesc desc, const char *name, Oid type);
static void add_row(Statements *statements, TupleTableSlot *slot,
					const Columns *columns);
static bool tracks_nothing(void);

/* Sum up the statements of the cluster, as far as they are recorded. */
void
dbops_statements_read(Statements *statements)
{
	Extension	extension = dbops_extension_find("pg_stat_statements");
	Call		call = {.statements = statements};
	ErrorData  *error;

	if (!OidIsValid(extension.oid))
	{
		statements->state = STATEMENTS_MISSING;
		return;
	}
	call.function = dbops_extension_function(extension.oid, "pg_stat_statements", 1);
	if (!OidIsValid(call.function))
		statements->state = STATEMENTS_TOO_OLD;
	else if (object_aclcheck(ProcedureRelationId, call.function,
							 GetUserId(), ACL_EXECUTE) != ACLCHECK_OK)
		statements->state = STATEMENTS_DENIED;
	else if (!dbops_attempt(call_function, &call, &error))
	{
		if (error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			ReThrowError(error);
		statements->state = STATEMENTS_NOT_LOADED;
	}
	else if (statements->state == STATEMENTS_READ && tracks_nothing())
		statements->state = STATEMENTS_OFF;
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

/* Statements are recorded only if they are tracked and have an identity. */
static bool
tracks_nothing(void)
{
	const char *track = GetConfigOption("pg_stat_statements.track", true, false);
	const char *query_id = GetConfigOption("compute_query_id", true, false);

	return (track != NULL && strcmp(track, "none") == 0) ||
		(query_id != NULL && strcmp(query_id, "off") == 0);
}
