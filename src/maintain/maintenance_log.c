/*
 * maintenance_log.c
 *		What was done about policies, won or left out, and why.
 *
 * A note commits with what it tells of. What is left out hour after hour for
 * the same reason is one row that counts, or it would bury the rest; two reasons
 * that differ only in their figures are the same.
 */
#include "maintain/policy.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define KEPT_AGE	(366 * 86400000.0)	/* ms that notes are kept */
#define KEPT_ROWS	100000

static bool count_again(const DbopsParam *params, int nparams);
static DbopsParam or_null(int64 number, int64 none);

/* Write a note down. */
void
dbops_maintenance_note(const MaintenanceNote *note)
{
	DbopsParam	params[] = {
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(note->kind),
		dbops_param_text(note->object),
		dbops_param_text(note->action),
		dbops_param_text(note->outcome),
		dbops_param_text(note->message),
		or_null(note->job, 0),
		or_null(note->rows, -1),
		or_null(note->bytes_before, -1),
		or_null(note->bytes_after, -1),
		or_null(note->duration, -1)
	};

	if (strcmp(note->outcome, "done") != 0 && count_again(params, lengthof(params)))
		return;
	dbops_store_each("INSERT INTO dbops.maintenance_log (first_at, last_at, kind, object, action, outcome, message, job_id,"
					 " row_count, bytes_before, bytes_after, duration)"
					 " VALUES ($1, $1, $2, $3, $4, $5, left($6, 1000), $7, $8, $9, $10, $11)",
					 lengthof(params), params, NULL, NULL);
}

/* Count in the latest note of the same action if that says the same; false if it does not, or is locked. */
static bool
count_again(const DbopsParam *params, int nparams)
{
	return dbops_store_each("UPDATE dbops.maintenance_log SET times = times + 1, last_at = $1, message = left($6, 1000), job_id = $7,"
							" row_count = $8, bytes_before = $9, bytes_after = $10, duration = $11"
							" WHERE id = (SELECT id FROM dbops.maintenance_log WHERE id ="
							" (SELECT max(id) FROM dbops.maintenance_log WHERE kind = $2 AND object = $3 AND action = $4)"
							" AND outcome = $5 AND regexp_replace(coalesce(message, ''), '\\d+(\\.\\d+)?', '0', 'g')"
							" = regexp_replace(left(coalesce($6, ''), 1000), '\\d+(\\.\\d+)?', '0', 'g')"
							" FOR UPDATE SKIP LOCKED)",
							nparams, params, NULL, NULL) > 0;
}

static DbopsParam
or_null(int64 number, int64 none)
{
	DbopsParam	param = dbops_param_int8(number);

	param.isnull = (number == none);
	return param;
}

/* Delete what is old, or beyond what is kept. */
void
dbops_maintenance_prune(void)
{
	DbopsParam	params[] = {
		dbops_param_time(TimestampTzPlusMilliseconds(dbops_clock_now(), -KEPT_AGE)),
		dbops_param_int4(KEPT_ROWS)
	};

	dbops_store_each("DELETE FROM dbops.maintenance_log WHERE last_at < greatest($1,"
					 " (SELECT last_at FROM dbops.maintenance_log ORDER BY last_at DESC OFFSET $2 - 1 LIMIT 1))",
					 lengthof(params), params, NULL, NULL);
}
