/*
 * statement_look.c
 *		A look at all figures of pg_stat_statements.
 *
 * Its functions are called directly, as what is found in the extension, with
 * the rights of the extension's owner: who may see a report sees all of it, and
 * texts are asked for only where they are to be shown, since that reads a file.
 */
#include "observe/statement.h"

#include "catalog/pg_type.h"
#include "executor/executor.h"
#include "miscadmin.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

/* What the result has, in the order of what is taken; the last three may be missing. */
static const struct
{
	const char *name;
	Oid			type;
}			columns[] = {
	{"userid", OIDOID}, {"dbid", OIDOID}, {"queryid", INT8OID}, {"calls", INT8OID},
	{"total_exec_time", FLOAT8OID}, {"rows", INT8OID}, {"shared_blks_hit", INT8OID},
	{"shared_blks_read", INT8OID}, {"temp_blks_read", INT8OID}, {"temp_blks_written", INT8OID},
	{"wal_bytes", NUMERICOID}, {"query", TEXTOID}, {"toplevel", BOOLOID}, {"stats_since", TIMESTAMPTZOID}
};

#define N_COLUMNS	((int) lengthof(columns))
#define N_NEEDED	12			/* the others came later */

typedef struct Call
{
	Oid			function;		/* pg_stat_statements(showtext) */
	Oid			info;			/* pg_stat_statements_info(); or InvalidOid */
	bool		texts;
	StatementLook *look;
	AttrNumber	places[N_COLUMNS];
	StatementsState state;
} Call;

static void refuse(void);
static StatementsState find_functions(Call *call);
static void look_as_extension(void *arg);
static void look_around(void *arg);
static void read_info(Call *call);
static void find_places(Call *call, TupleDesc desc);
static void take_statement(Call *call, TupleTableSlot *slot);
static double number_at(TupleTableSlot *slot, const Call *call, int column);

/* Look at them, if they are installed here, loaded and not too old. */
StatementsState
dbops_statements_look(StatementLook *look, bool texts)
{
	Call		call = {.texts = texts, .look = look};
	instr_time	start;
	instr_time	took;

	memset(look, 0, sizeof(StatementLook));
	look->at = dbops_clock_now();
	look->evictions = NAN;
	INSTR_TIME_SET_CURRENT(start);
	call.state = find_functions(&call);
	if (call.state == STATEMENTS_READ)
		dbops_run_as_extension(look_as_extension, &call);
	if (call.state == STATEMENTS_READ)
		qsort(look->statements, look->n, sizeof(Statement), dbops_statement_compare);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, start);
	look->took = INSTR_TIME_GET_MILLISEC(took);
	return call.state;
}

/* The same, or say what is missing. */
void
dbops_statements_require(StatementLook *look, bool texts)
{
	if (dbops_statements_look(look, texts) == STATEMENTS_READ)
		return;
	if (dbops_extension_find("pg_stat_statements").hidden)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_extension is locked"),
				 errhint("Look again later.")));
	refuse();
}

/* The home database may see them. */
static void
refuse(void)
{
	Oid			home = dbops_home_database();
	Statements	kept;
	bool		elsewhere = OidIsValid(home) && home != MyDatabaseId && dbops_statements_kept(&kept);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
			 errmsg("the server records no statements that this database could see"),
			 elsewhere ?
			 errhint("Connect to database %s, or type CREATE EXTENSION pg_stat_statements; here.", dbops_database_name(home)) :
			 errhint("Add pg_stat_statements to shared_preload_libraries, restart the server, and type"
					 " CREATE EXTENSION pg_stat_statements; or ALTER EXTENSION pg_stat_statements UPDATE; if it is there.")));
}

static StatementsState
find_functions(Call *call)
{
	DbopsExtension extension = dbops_extension_find("pg_stat_statements");

	if (!OidIsValid(extension.oid))
		return STATEMENTS_MISSING;
	call->function = dbops_extension_function(extension.oid, "pg_stat_statements", 1);
	call->info = dbops_extension_function(extension.oid, "pg_stat_statements_info", 0);
	return OidIsValid(call->function) ? STATEMENTS_READ : STATEMENTS_TOO_OLD;
}

static void
look_as_extension(void *arg)
{
	Call	   *call = arg;
	ErrorData  *error;

	if (!dbops_attempt(look_around, call, &error))
	{
		if (error->sqlerrcode != ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE)
			ReThrowError(error);
		call->state = STATEMENTS_NOT_LOADED;
	}
	else if (call->places[N_NEEDED - 1] == InvalidAttrNumber)
		call->state = STATEMENTS_TOO_OLD;
}

static void
look_around(void *arg)
{
	Call	   *call = arg;
	LOCAL_FCINFO(fcinfo, 1);
	FmgrInfo	function;
	ExprContext *context = CreateStandaloneExprContext();
	ReturnSetInfo result = {
		.type = T_ReturnSetInfo,.econtext = context,
		.allowedModes = SFRM_Materialize,.returnMode = SFRM_ValuePerCall
	};
	TupleTableSlot *slot;

	if (OidIsValid(call->info))
		read_info(call);
	fmgr_info(call->function, &function);
	InitFunctionCallInfoData(*fcinfo, &function, 1, InvalidOid, NULL, (Node *) &result);
	fcinfo->args[0].value = BoolGetDatum(call->texts);
	fcinfo->args[0].isnull = false;
	(void) FunctionCallInvoke(fcinfo);
	if (result.returnMode != SFRM_Materialize || result.setResult == NULL)
		elog(ERROR, "pg_stat_statements returned no rows in the expected way");

	find_places(call, result.setDesc);
	call->look->statements = palloc_extended(sizeof(Statement) * (tuplestore_tuple_count(result.setResult) + 1),
											 MCXT_ALLOC_HUGE);
	slot = MakeSingleTupleTableSlot(result.setDesc, &TTSOpsMinimalTuple);
	while (call->places[N_NEEDED - 1] != InvalidAttrNumber &&
		   tuplestore_gettupleslot(result.setResult, true, false, slot))
		take_statement(call, slot);
	ExecDropSingleTupleTableSlot(slot);
	tuplestore_end(result.setResult);
	FreeExprContext(context, true);
}

/* When all figures were last reset, and how often statements had to go since. */
static void
read_info(Call *call)
{
	LOCAL_FCINFO(fcinfo, 0);
	FmgrInfo	info;
	HeapTupleHeader row;
	Datum		value;
	bool		isnull;

	fmgr_info(call->info, &info);
	InitFunctionCallInfoData(*fcinfo, &info, 0, InvalidOid, NULL, NULL);
	value = FunctionCallInvoke(fcinfo);
	if (fcinfo->isnull)
		return;
	row = DatumGetHeapTupleHeader(value);
	value = GetAttributeByName(row, "stats_reset", &isnull);
	call->look->reset = isnull ? 0 : DatumGetTimestampTz(value);
	value = GetAttributeByName(row, "dealloc", &isnull);
	call->look->evictions = isnull ? NAN : (double) DatumGetInt64(value);
}

/* Columns have moved from version to version; one that is needed and missing leaves none. */
static void
find_places(Call *call, TupleDesc desc)
{
	bool		complete = true;

	for (int i = 0; i < N_COLUMNS; i++)
	{
		call->places[i] = InvalidAttrNumber;
		for (int j = 0; j < desc->natts; j++)
			if (TupleDescAttr(desc, j)->atttypid == columns[i].type &&
				strcmp(NameStr(TupleDescAttr(desc, j)->attname), columns[i].name) == 0)
				call->places[i] = j + 1;
		complete = complete && (i >= N_NEEDED || call->places[i] != InvalidAttrNumber);
	}
	if (!complete)
		call->places[N_NEEDED - 1] = InvalidAttrNumber;
}

static void
take_statement(Call *call, TupleTableSlot *slot)
{
	Statement  *statement = &call->look->statements[call->look->n];
	bool		isnull[4];
	Datum		id = slot_getattr(slot, call->places[2], &isnull[0]);
	Datum		query = slot_getattr(slot, call->places[11], &isnull[1]);
	double	   *figures = statement->figures;

	if (isnull[0])
		return;
	memset(statement, 0, sizeof(Statement));
	statement->key.role = DatumGetObjectId(slot_getattr(slot, call->places[0], &isnull[2]));
	statement->key.database = DatumGetObjectId(slot_getattr(slot, call->places[1], &isnull[2]));
	statement->key.id = DatumGetInt64(id);
	statement->key.toplevel = call->places[12] == InvalidAttrNumber ||
		DatumGetBool(slot_getattr(slot, call->places[12], &isnull[2]));
	if (call->places[13] != InvalidAttrNumber)
		statement->since = DatumGetTimestampTz(slot_getattr(slot, call->places[13], &isnull[3]));
	statement->text = isnull[1] ? NULL : TextDatumGetCString(query);
	figures[SF_CALLS] = number_at(slot, call, 3);
	figures[SF_TIME] = number_at(slot, call, 4);
	figures[SF_ROWS] = number_at(slot, call, 5);
	figures[SF_HIT] = number_at(slot, call, 6);
	figures[SF_READ] = number_at(slot, call, 7);
	figures[SF_TEMP] = number_at(slot, call, 8) + number_at(slot, call, 9);
	figures[SF_WAL] = number_at(slot, call, 10);
	call->look->n++;
}

static double
number_at(TupleTableSlot *slot, const Call *call, int column)
{
	bool		isnull;
	Datum		value = slot_getattr(slot, call->places[column], &isnull);

	if (isnull)
		return 0;
	if (columns[column].type == INT8OID)
		return (double) DatumGetInt64(value);
	if (columns[column].type == FLOAT8OID)
		return DatumGetFloat8(value);
	return DatumGetFloat8(DirectFunctionCall1(numeric_float8, value));
}

/* By key, in any order that is one. */
int
dbops_statement_compare(const void *a, const void *b)
{
	return memcmp(&((const Statement *) a)->key, &((const Statement *) b)->key, sizeof(StatementKey));
}

/* Find one; NULL: it is not there. */
Statement *
dbops_statement_find(const StatementLook *look, const StatementKey *key)
{
	Statement	wanted = {.key = *key};

	return bsearch(&wanted, look->statements, look->n, sizeof(Statement), dbops_statement_compare);
}
