/*
 * blockers.c
 *		Who one would wait for, before one waits.
 *
 * A change of a table that has to wait for its lock makes everybody wait who
 * comes after it, readers too. So one looks first: at who holds a lock that
 * conflicts with the one that is wanted, and at who waits for such a lock already
 * and would be served before. A lock on a partitioned table is one on all of its
 * partitions, for nearly every change.
 */
#include "change/change.h"

#include "core/report.h"
#include "core/server.h"

#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/lock.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

/* As LOCK TABLE spells them, by their number. */
static const char *const mode_names[] = {
	[AccessShareLock] = "ACCESS SHARE",
	[RowShareLock] = "ROW SHARE",
	[RowExclusiveLock] = "ROW EXCLUSIVE",
	[ShareUpdateExclusiveLock] = "SHARE UPDATE EXCLUSIVE",
	[ShareLock] = "SHARE",
	[ShareRowExclusiveLock] = "SHARE ROW EXCLUSIVE",
	[ExclusiveLock] = "EXCLUSIVE",
	[AccessExclusiveLock] = "ACCESS EXCLUSIVE"
};

/* What is put together of each of them. */
typedef struct Look
{
	ReportRow	row;
	const List *activities;
	bool		texts;			/* the caller may see statements */
} Look;

PG_FUNCTION_INFO_V1(dbops_blockers);

static LOCKMODE take_mode(const char *name);
static List *table_and_children(Oid relid);
static List *conflicting(LOCKMODE mode);
static void put_blocker(HeapTuple row, TupleDesc desc, void *arg);
static void put_lock(Look *look, HeapTuple row, TupleDesc desc);
static const char *spell_mode(const char *name);
static void put_session(Look *look, const Activity *activity);
static void put_prepared(Look *look, HeapTuple row, TupleDesc desc);

/* blockers(table_name regclass, lock_mode text) → setof record */
Datum
dbops_blockers(PG_FUNCTION_ARGS)
{
	LOCKMODE	mode = take_mode(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	Look		look = {.texts = dbops_report_shows_texts()};
	DbopsParam	params[] = {
		dbops_param_oids(table_and_children(PG_GETARG_OID(0))),
		dbops_param_texts(conflicting(mode)),
		dbops_param_int4(MyProcPid),
		dbops_param_oid(MyDatabaseId)
	};

	InitMaterializedSRF(fcinfo, 0);
	dbops_report_begin(&look.row, (ReturnSetInfo *) fcinfo->resultinfo);
	look.activities = dbops_activity_read();
	dbops_store_each("WITH held AS MATERIALIZED (SELECT * FROM pg_lock_status())"
					 " SELECT DISTINCT l.relation, coalesce(a.leader_pid, l.pid), l.mode, l.granted,"
					 " coalesce(p.prepared, a.xact_start), l.waitstart, p.gid, p.ownerid"
					 " FROM held l LEFT JOIN pg_stat_get_activity(NULL) a USING (pid)"
					 /* One that is prepared has no process, and a lock on its own number. */
					 " LEFT JOIN held n ON l.pid IS NULL AND n.pid IS NULL AND n.locktype = 'transactionid' AND n.granted"
					 " AND n.virtualtransaction = l.virtualtransaction"
					 " LEFT JOIN pg_prepared_xact() p ON p.transaction = n.transactionid"
					 " WHERE l.locktype = 'relation' AND l.database = $4 AND l.relation = ANY ($1) AND l.mode = ANY ($2)"
					 " AND coalesce(a.leader_pid, l.pid) IS DISTINCT FROM $3"
					 " ORDER BY 4 DESC, 5, 2, 1, 3",
					 lengthof(params), params, put_blocker, &look);
	return (Datum) 0;
}

/* As LOCK TABLE takes it, or as pg_locks shows it. */
static LOCKMODE
take_mode(const char *name)
{
	for (LOCKMODE mode = AccessShareLock; mode <= AccessExclusiveLock; mode++)
		if (pg_strcasecmp(name, mode_names[mode]) == 0 ||
			pg_strcasecmp(name, GetLockmodeName(DEFAULT_LOCKMETHOD, mode)) == 0)
			return mode;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("there is no lock mode \"%s\"", name),
			 errhint("Give one that LOCK TABLE knows, such as ACCESS EXCLUSIVE, which most forms of ALTER TABLE take, or SHARE UPDATE EXCLUSIVE.")));
	return NoLock;				/* keep the compiler quiet */
}

/* Partitions and children of one that is there. */
static List *
table_and_children(Oid relid)
{
	if (get_rel_name(relid) == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("there is no table with OID %u", relid),
				 errhint("Give its name, such as 'public.orders'.")));
	return find_all_inheritors(relid, NoLock, NULL);
}

/* The modes that one of this mode waits for, as pg_locks shows them. */
static List *
conflicting(LOCKMODE mode)
{
	List	   *modes = NIL;

	for (LOCKMODE other = AccessShareLock; other <= AccessExclusiveLock; other++)
		if (DoLockModesConflict(mode, other))
			modes = lappend(modes, pstrdup(GetLockmodeName(DEFAULT_LOCKMETHOD, other)));
	return modes;
}

static void
put_blocker(HeapTuple row, TupleDesc desc, void *arg)
{
	Look	   *look = arg;
	const Activity *activity = dbops_activity_find(look->activities, dbops_row_int4(row, desc, 2));
	static const Activity nobody = {.type = "ended meanwhile"};

	put_lock(look, row, desc);
	if (dbops_row_text(row, desc, 7) != NULL)
		put_prepared(look, row, desc);
	else
		put_session(look, (activity == NULL) ? &nobody : activity);
	dbops_report_put(&look->row);
}

static void
put_lock(Look *look, HeapTuple row, TupleDesc desc)
{
	TimestampTz since = dbops_row_time(row, desc, 5);

	dbops_report_pid(&look->row, dbops_row_int4(row, desc, 2));
	dbops_report_text(&look->row, dbops_relation_name(dbops_row_oid(row, desc, 1)));
	dbops_report_text(&look->row, spell_mode(dbops_row_text(row, desc, 3)));
	dbops_report_boolean(&look->row, !dbops_row_bool(row, desc, 4));
	dbops_report_interval(&look->row, (since == 0) ? NAN : Max(0, dbops_clock_now() - since) / (double) USECS_PER_SEC);
}

static const char *
spell_mode(const char *name)
{
	return dbops_lock_mode_name(take_mode(name));
}

/* As LOCK TABLE spells it. */
const char *
dbops_lock_mode_name(LOCKMODE mode)
{
	return mode_names[mode];
}

static void
put_session(Look *look, const Activity *activity)
{
	bool		has_statement = activity->state != NULL && strcmp(activity->state, "active") == 0;

	dbops_report_text(&look->row, OidIsValid(activity->role) ? dbops_role_name(activity->role) : NULL);
	dbops_report_text(&look->row, activity->application);
	dbops_report_text(&look->row, activity->type);
	dbops_report_text(&look->row, activity->state);
	dbops_report_text(&look->row, activity->pid == 0 ? NULL : dbops_activity_remedy(activity, has_statement));
	dbops_report_text(&look->row, look->texts ? activity->query : NULL);
}

static void
put_prepared(Look *look, HeapTuple row, TupleDesc desc)
{
	dbops_report_text(&look->row, dbops_role_name(dbops_row_oid(row, desc, 8)));
	dbops_report_null(&look->row);
	dbops_report_text(&look->row, "prepared transaction");
	dbops_report_text(&look->row, "prepared");
	dbops_report_text(&look->row, psprintf("ROLLBACK PREPARED %s;", quote_literal_cstr(dbops_row_text(row, desc, 7))));
	dbops_report_null(&look->row);
}
