/*
 * migration_argument.c
 *		Arguments that the calls about migrations have in common.
 */
#include "change/migration.h"

#define LONGEST_WAIT	(24 * 3600 * 1000L) /* ms */

/* A version, or a project: neither null nor odd. */
const char *
dbops_migration_version_argument(FunctionCallInfo fcinfo, int number, const char *argument)
{
	const char *version;

	dbops_require_argument(fcinfo, number, argument);
	version = dbops_text_argument(fcinfo, number);
	dbops_version_check(version, argument);
	return version;
}

/* Several versions; null is an empty array. */
List *
dbops_migration_versions_argument(FunctionCallInfo fcinfo, int number, const char *argument)
{
	List	   *versions = PG_ARGISNULL(number) ? NIL : dbops_texts(PG_GETARG_ARRAYTYPE_P(number));
	ListCell   *cell;

	foreach(cell, versions)
	{
		if (lfirst(cell) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_NULL_VALUE_NOT_ALLOWED),
					 errmsg("%s must not have a null in it", argument)));
		dbops_version_check(lfirst(cell), argument);
	}
	return versions;
}

/* How long to wait, in ms. */
long
dbops_migration_wait_argument(FunctionCallInfo fcinfo, int number, const char *argument, long least)
{
	int64		ms;

	dbops_require_argument(fcinfo, number, argument);
	ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(number));
	if (ms < least || ms > LONGEST_WAIT)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("%s must be at least %ld ms and at most 1 day", argument, least)));
	return (long) ms;
}

/* A down text; a file that is blank is none. */
const char *
dbops_migration_down_text(const char *sql)
{
	if (sql == NULL || sql[strspn(sql, " \t\r\n\f\v")] == '\0')
		return NULL;
	return sql;
}
