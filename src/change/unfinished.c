/*
 * unfinished.c
 *		unfinished_changes(): what was begun and not ended.
 *
 * A change that is done in steps leaves something behind where it is cut off,
 * which costs or misleads until somebody finishes it: each row is one such
 * thing with the one command that does. What somebody works on now is not
 * listed, as far as that can be known.
 *
 * Everything comes from catalogs and from dbops' own tables, a query for each
 * kind, whatever the number of tables; none of these is opened or locked.
 */
#include "change/unfinished.h"

#include "access/commit_ts.h"
#include "access/xlog.h"
#include "storage/lmgr.h"

PG_FUNCTION_INFO_V1(dbops_unfinished_changes);

/* unfinished_changes() → setof record */
Datum
dbops_unfinished_changes(PG_FUNCTION_ARGS)
{
	ReportRow	row;

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&row, (ReturnSetInfo *) fcinfo->resultinfo);
	dbops_unfinished_jobs(&row);
	dbops_unfinished_triggers(&row);
	dbops_unfinished_columns(&row);
	dbops_unfinished_constraints(&row);
	dbops_unfinished_indexes(&row);
	dbops_unfinished_detaches(&row);
	return (Datum) 0;
}

void
dbops_unfinished_put(ReportRow *row, const Unfinished *unfinished)
{
	TimestampTz since = unfinished->since;

	CHECK_FOR_INTERRUPTS();
	dbops_report_text(row, unfinished->kind);
	dbops_report_text(row, unfinished->object);
	dbops_report_oid(row, unfinished->table);
	dbops_report_text(row, unfinished->detail);
	dbops_report_interval(row, (since == 0) ? NAN : Max(0, dbops_clock_now() - since) / (double) USECS_PER_SEC);
	dbops_report_text(row, unfinished->command);
	dbops_report_put(row);
}

/* Does the server note when transactions commit? A standby may have the setting without the times. */
DbopsParam
dbops_unfinished_times_known(void)
{
	return dbops_param_bool(track_commit_timestamp && !RecoveryInProgress());
}

/*
 * What a function of the server writes of an object; NULL: it is gone, or its
 * table is locked, which that function would open.
 */
const char *
dbops_unfinished_definition(const char *function, Oid object, Oid table)
{
	DbopsParam	param = dbops_param_oid(object);
	const char *definition;

	if (OidIsValid(table) && !ConditionalLockRelationOid(table, AccessShareLock))
		return NULL;
	definition = dbops_query_text(psprintf("SELECT %s($1)", function), 1, &param);
	if (OidIsValid(table))
		UnlockRelationOid(table, AccessShareLock);
	return definition;
}
