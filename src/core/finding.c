/*
 * finding.c
 *		The row that health checks, lint rules and reviews have in common.
 *
 * One shape for all of them lets a user UNION them, mute by key, and read a
 * report without learning its columns.
 */
#include "core/core.h"

#include "utils/builtins.h"

static Datum text_or_null(const char *value, bool *isnull);

/* Name a severity as reports spell it. */
const char *
dbops_severity_name(DbopsSeverity severity)
{
	switch (severity)
	{
		case DBOPS_OK:
			return "ok";
		case DBOPS_UNKNOWN:
			return "unknown";
		case DBOPS_INFO:
			return "info";
		case DBOPS_WARNING:
			return "warning";
		case DBOPS_CRITICAL:
			return "critical";
	}
	elog(ERROR, "unrecognized severity %d", (int) severity);
	return NULL;				/* keep the compiler quiet */
}

/* The key of what a check finds, of an object or of none: it fits wherever findings are remembered. */
const char *
dbops_finding_key(const char *check_name, const char *object)
{
	const char *name = dbops_text_fit(check_name, DBOPS_CHECK_NAME_BYTES);

	return (object == NULL) ? name : psprintf("%s:%s", name, dbops_text_fit(object, DBOPS_OBJECT_BYTES));
}

/* Append a finding to the result of a function that returns SETOF dbops.finding. */
void
dbops_finding_put(ReturnSetInfo *rsinfo, const DbopsFinding *finding)
{
	Datum		values[7];
	bool		nulls[7];

	values[0] = text_or_null(finding->check_name, &nulls[0]);
	values[1] = text_or_null(dbops_severity_name(finding->severity), &nulls[1]);
	values[2] = text_or_null(finding->object, &nulls[2]);
	values[3] = text_or_null(finding->message, &nulls[3]);
	values[4] = text_or_null(finding->remedy, &nulls[4]);
	values[5] = text_or_null(finding->key, &nulls[5]);
	nulls[6] = (finding->data == NULL);
	values[6] = nulls[6] ? (Datum) 0 : JsonbPGetDatum(finding->data);

	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
text_or_null(const char *value, bool *isnull)
{
	*isnull = (value == NULL);
	return *isnull ? (Datum) 0 : CStringGetTextDatum(value);
}
