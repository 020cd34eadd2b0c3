/*
 * online_again.c
 *		A call as psql runs it, to be made once more.
 *
 * What fails or is cut off goes on with the same call. It is put together from
 * what the call was given, so that it can be printed where whoever reads it was
 * not the one who made it: tables are named with their schema, arguments that
 * have their default are left out, and so is dry_run. What is asked for, however
 * patiently, is the same without the other two that each call ends with.
 */
#include "change/online.h"

#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "lib/stringinfo.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"
#include "utils/timestamp.h"

static char *list(FunctionCallInfo fcinfo, HeapTuple function, int n);
static List *defaults_of(HeapTuple function);
static char *default_of(const List *defaults, int from_the_end);
static char *argument(FunctionCallInfo fcinfo, int number, Oid type);
static char *spell(Datum value, bool isnull, Oid type);

char *
dbops_online_again(FunctionCallInfo fcinfo)
{
	HeapTuple	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	Form_pg_proc form = (Form_pg_proc) GETSTRUCT(function);
	char	   *call = psprintf("%s dbops.%s(%s);", form->prokind == PROKIND_PROCEDURE ? "CALL" : "SELECT", NameStr(form->proname),
								list(fcinfo, function, PG_NARGS() - 1));

	ReleaseSysCache(function);
	return call;
}

/* What two calls have in common that ask for the same. */
char *
dbops_online_asked(FunctionCallInfo fcinfo)
{
	HeapTuple	function = SearchSysCache1(PROCOID, ObjectIdGetDatum(fcinfo->flinfo->fn_oid));
	char	   *arguments = list(fcinfo, function, PG_NARGS() - ONLINE_COMMON_ARGUMENTS);

	ReleaseSysCache(function);
	return arguments;
}

/* Its first n arguments. */
static char *
list(FunctionCallInfo fcinfo, HeapTuple function, int n)
{
	List	   *defaults = defaults_of(function);
	StringInfoData arguments;
	Oid		   *types;
	char	  **names;
	char	   *modes;

	(void) get_func_arg_info(function, &types, &names, &modes);
	initStringInfo(&arguments);
	for (int i = 0; i < n; i++)
	{
		char	   *value = argument(fcinfo, i, types[i]);
		char	   *usual = default_of(defaults, PG_NARGS() - i);

		if (usual == NULL || strcmp(value, usual) != 0)
			appendStringInfo(&arguments, "%s%s%s%s", i > 0 ? ", " : "", usual != NULL ? names[i] : "", usual != NULL ? " => " : "", value);
	}
	return arguments.data;
}

static List *
defaults_of(HeapTuple function)
{
	bool		isnull;
	Datum		texts = SysCacheGetAttr(PROCOID, function, Anum_pg_proc_proargdefaults, &isnull);

	return isnull ? NIL : castNode(List, stringToNode(TextDatumGetCString(texts)));
}

/* Of the last argument but so many; NULL: it has none. */
static char *
default_of(const List *defaults, int from_the_end)
{
	int			n = list_length(defaults);
	const Const *value;

	if (from_the_end > n)
		return NULL;
	value = list_nth_node(Const, defaults, n - from_the_end);
	return spell(value->constvalue, value->constisnull, value->consttype);
}

static char *
argument(FunctionCallInfo fcinfo, int number, Oid type)
{
	return spell(PG_GETARG_DATUM(number), PG_ARGISNULL(number), type);
}

static char *
spell(Datum value, bool isnull, Oid type)
{
	Oid			output;
	bool		varlena;

	if (isnull)
		return "NULL";
	if (type == BOOLOID)
		return DatumGetBool(value) ? "true" : "false";
	if (type == REGCLASSOID && get_rel_name(DatumGetObjectId(value)) != NULL)
		return dbops_quote_text(dbops_quote_relation(DatumGetObjectId(value)));
	if (type == INTERVALOID)
		return dbops_quote_text(dbops_interval_text(DatumGetIntervalP(value)));
	getTypeOutputInfo(type, &output, &varlena);
	return dbops_quote_text(OidOutputFunctionCall(output, value));
}
