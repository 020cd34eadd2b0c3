/*
 * twin_store.c
 *		Changes of columns as dbops.column_change keeps them.
 *
 * OIDs do not survive a dump, so a row has the names too, and says in which
 * database it was begun. One that came with a dump from another database is not
 * acted on: the call that has begun it, made again, takes it over. Its trigger,
 * which came along, goes on all the same, since applications of the copy may use
 * the old and the new columns as well.
 */
#include "change/twin.h"

#include "core/rule.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define LIVE " state IN ('expanding', 'ready')"

/* Which columns the new ones are now: one that was dropped and added again is another one, and empty. */
#define NEW_COLUMNS \
	"ARRAY(SELECT attnum FROM pg_attribute WHERE attrelid = relid AND attname = ANY (new_columns) AND NOT attisdropped ORDER BY attnum)"

#define SELECT_CHANGE \
	"SELECT id, home = $1, relid, table_name, call, column_name, attnum::int4, new_name, new_type," \
	" old_columns, new_columns, set_clause, reverse_set, document, state, created_by, attnums::text[] FROM dbops.column_change "

/* A trigger's document on its way through the callbacks. */
typedef struct DocumentLook
{
	Oid			relid;
	const char *column;
	Jsonb	   *document;
} DocumentLook;

static TwinChange *find(const char *sql, int nparams, const DbopsParam *params);
static void take_change(HeapTuple row, TupleDesc desc, void *arg);
static void look_for_document(void *arg);
static void take_document(HeapTuple row, TupleDesc desc, void *arg);
static void lock_store(void);
static void refuse_second(const TwinChange *change);
static void take_second(HeapTuple row, TupleDesc desc, void *arg);
static void renew_owners(const TwinChange *change);
static void take_over(const TwinChange *change);
static char *identify(const TwinChange *change);

/* The change of a column that a call has begun and that has not ended; or NULL. */
TwinChange *
dbops_twin_find(Oid relid, const char *call, const char *column)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_sync_home()),
		dbops_param_oid(relid),
		dbops_param_text(dbops_quote_relation(relid)),
		dbops_param_text(call),
		dbops_param_text(column)
	};

	return find(SELECT_CHANGE "WHERE" LIVE " AND CASE WHEN home = $1 THEN relid = $2 ELSE table_name = $3 END"
				" AND call = $4 AND column_name = $5 ORDER BY home = $1 DESC LIMIT 1",
				lengthof(params), params);
}

/* Has such a call been finished, and is its new column still there? */
bool
dbops_twin_is_finished(Oid relid, const char *call, const char *column, const char *new_name)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_sync_home()),
		dbops_param_oid(relid),
		dbops_param_text(call),
		dbops_param_text(column),
		dbops_param_text(new_name)
	};

	return dbops_store_each("SELECT FROM dbops.column_change WHERE home = $1 AND relid = $2 AND call = $3 AND column_name = $4 AND new_name = $5"
							" AND state = 'finished' AND attnums = " NEW_COLUMNS " LIMIT 1", lengthof(params), params, NULL, NULL) > 0;
}

TwinChange *
dbops_twin_by_id(int64 id)
{
	DbopsParam	params[] = {dbops_param_text(dbops_backfill_sync_home()), dbops_param_int8(id)};
	TwinChange *change = find(SELECT_CHANGE "WHERE id = $2", lengthof(params), params);

	if (change == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no change " INT64_FORMAT, id),
				 errhint("dbops.unfinished_changes() lists those that can be finished or aborted.")));
	return change;
}

static TwinChange *
find(const char *sql, int nparams, const DbopsParam *params)
{
	TwinChange *change = NULL;

	dbops_store_each(sql, nparams, params, take_change, &change);
	return change;
}

static void
take_change(HeapTuple row, TupleDesc desc, void *arg)
{
	TwinChange *change = palloc(sizeof(TwinChange));

	*change = (TwinChange)
	{
		.id = dbops_row_int8(row, desc, 1),
		.here = dbops_row_bool(row, desc, 2),
		.relid = dbops_row_oid(row, desc, 3),
		.table = dbops_row_text(row, desc, 4),
		.call = dbops_row_text(row, desc, 5),
		.column = dbops_row_text(row, desc, 6),
		.attnum = dbops_row_int4(row, desc, 7),
		.new_name = dbops_row_text(row, desc, 8),
		.type = dbops_row_text(row, desc, 9),
		.old_columns = dbops_row_texts(row, desc, 10),
		.new_columns = dbops_row_texts(row, desc, 11),
		.set_clause = dbops_row_text(row, desc, 12),
		.reverse_set = dbops_row_text(row, desc, 13),
		.document = dbops_row_jsonb(row, desc, 14),
		.state = dbops_row_text(row, desc, 15),
		.created_by = dbops_row_text(row, desc, 16),
		.attnums = dbops_row_texts(row, desc, 17)
	};
	*(TwinChange **) arg = change;
}

/* Is the column of the new name the one that the change has made? Where a dump has brought it, its number was another one. */
bool
dbops_twin_has_made(const TwinChange *change, Oid relid)
{
	AttrNumber	attnum = get_attnum(relid, change->new_name);

	if (attnum == InvalidAttrNumber || change->attnums == NIL)
		return false;
	return !change->here || dbops_texts_have(change->attnums, psprintf("%d", attnum));
}

/* ---- for the trigger ---- */

/*
 * What the trigger of a table does, found as of now, whatever the transaction
 * has seen first; NULL where no change that has not ended says so.
 */
Jsonb *
dbops_twin_document(Oid relid, const char *column)
{
	DocumentLook look = {.relid = relid,.column = column};

	dbops_run_as_extension(look_for_document, &look);
	return look.document;
}

static void
look_for_document(void *arg)
{
	DocumentLook *look = arg;
	DbopsParam	params[] = {
		dbops_param_oid(look->relid),
		dbops_param_text(look->column),
		dbops_param_text(dbops_backfill_sync_home())
	};

	dbops_query_latest(DBOPS_FAMILY "SELECT document FROM dbops.column_change WHERE" LIVE " AND column_name = $2"
					   " AND CASE WHEN home = $3 THEN relid IN (SELECT relid FROM family)"
					   " ELSE table_name IN (SELECT format('%I.%I', n.nspname, c.relname) FROM family f"
					   " JOIN pg_class c ON c.oid = f.relid JOIN pg_namespace n ON n.oid = c.relnamespace) END"
					   " ORDER BY home = $3 DESC LIMIT 1",
					   lengthof(params), params, take_document, look);
}

static void
take_document(HeapTuple row, TupleDesc desc, void *arg)
{
	((DocumentLook *) arg)->document = dbops_row_jsonb(row, desc, 1);
}

/* ---- to begin one ---- */

/*
 * Store a change, unless it is there, or take one over that came with a dump. A
 * column that another change is about is refused.
 */
void
dbops_twin_store(TwinChange *change, bool dry_run)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_sync_home()),
		dbops_param_oid(change->relid),
		dbops_param_text(change->table),
		dbops_param_text(change->call),
		dbops_param_text(change->column),
		dbops_param_text(change->new_name),
		dbops_param_text(change->type),
		dbops_param_texts(change->old_columns),
		dbops_param_texts(change->new_columns),
		dbops_param_text(change->set_clause),
		dbops_param_text(change->reverse_set),
		dbops_param_jsonb(change->document),
		dbops_param_time(dbops_clock_now()),
		dbops_param_text(GetUserNameFromId(GetUserId(), false)),
		dbops_param_int4(get_attnum(change->relid, change->column))
	};
	Datum		id;

	if (!dry_run)
		lock_store();
	refuse_second(change);
	if (dry_run)
		return;
	if (change->id != 0 && !change->here)
		take_over(change);
	else if (change->id != 0)
		renew_owners(change);
	else if (dbops_store_value("INSERT INTO dbops.column_change (home, relid, table_name, call, column_name, new_name, new_type, old_columns,"
						 " new_columns, set_clause, reverse_set, document, created_at, created_by, attnum)"
						 " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15) RETURNING id",
						 lengthof(params), params, INT8OID, &id))
		change->id = DatumGetInt64(id);
	ereport(NOTICE,
			(errmsg("a change of table %s begins or goes on, which finish_change() or abort_change() ends", change->table),
			 change->new_name != NULL ?
			 errdetail("Statements that sessions have prepared, and that return all columns (SELECT *, RETURNING *), fail from the first step on (cached plan must not change result type), until they are prepared anew.") : 0,
			 errhint("CALL dbops.finish_change(" INT64_FORMAT "); when applications use only the new columns, or CALL dbops.abort_change(" INT64_FORMAT ");",
					 change->id, change->id)));
}

/* Refuse a column that any change is about. */
void
dbops_twin_check_alone(Oid relid, const char *column)
{
	TwinChange	nothing = {
		.relid = relid,
		.table = dbops_quote_relation(relid),
		.old_columns = list_make1(unconstify(char *, column))
	};

	refuse_second(&nothing);
}

/* Two calls at a time must not both find that there is none. */
static void
lock_store(void)
{
	dbops_store_each("SELECT pg_advisory_xact_lock(hashtextextended('dbops.column_change', 0))", 0, NULL, NULL, NULL);
}

static void
refuse_second(const TwinChange *change)
{
	DbopsParam	params[] = {
		dbops_param_text(dbops_backfill_sync_home()),
		dbops_param_oid(change->relid),
		dbops_param_int8(change->id),
		dbops_param_texts(list_concat_copy(change->old_columns, change->new_columns))
	};

	dbops_store_each("SELECT id, call, c.name FROM dbops.column_change, unnest(old_columns || new_columns) c (name) WHERE" LIVE
					 " AND home = $1 AND relid = $2 AND id <> $3 AND c.name = ANY ($4) ORDER BY id LIMIT 1",
					 lengthof(params), params, take_second, unconstify(TwinChange *, change));
}

static void
take_second(HeapTuple row, TupleDesc desc, void *arg)
{
	int64		id = dbops_row_int8(row, desc, 1);

	ereport(ERROR,
			(errcode(ERRCODE_OBJECT_IN_USE),
			 errmsg("column \"%s\" of table %s is in a change already, by %s",
					dbops_row_text(row, desc, 3), ((TwinChange *) arg)->table, dbops_row_text(row, desc, 2)),
			 errhint("End that first: CALL dbops.finish_change(" INT64_FORMAT "); or CALL dbops.abort_change(" INT64_FORMAT ");", id, id)));
}

/* The table has been given to another role since: what its trigger has not done is done again. */
static void
renew_owners(const TwinChange *change)
{
	DbopsParam	params[] = {dbops_param_int8(change->id), dbops_param_jsonb(change->document)};

	dbops_store_each("UPDATE dbops.column_change SET document = $2, state = 'expanding'"
					 " WHERE id = $1 AND document -> 'owners' <> $2 -> 'owners'",
					 lengthof(params), params, NULL, NULL);
}

/* From now on it is this database's, and all of it is looked through again. */
static void
take_over(const TwinChange *change)
{
	DbopsParam	params[] = {
		dbops_param_int8(change->id),
		dbops_param_text(dbops_backfill_sync_home()),
		dbops_param_oid(change->relid),
		dbops_param_jsonb(change->document),
		dbops_param_int4(get_attnum(change->relid, change->column))
	};

	dbops_store_each("UPDATE dbops.column_change SET home = $2, relid = $3, document = $4, attnum = $5, state = 'expanding',"
					 " attnums = CASE WHEN attnums IS NOT NULL THEN ARRAY(SELECT attnum FROM pg_attribute"
					 " WHERE attrelid = $3 AND attname = ANY (new_columns) AND NOT attisdropped ORDER BY attnum) END WHERE id = $1",
					 lengthof(params), params, NULL, NULL);
}

/* The table is gone, and with it all that was to be done. */
void
dbops_twin_forget(const TwinChange *change)
{
	DbopsParam	param = dbops_param_int8(change->id);

	if (!dbops_is_admin() && !dbops_acts_for(get_role_oid(change->created_by, true)))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("change " INT64_FORMAT " was begun by role \"%s\"", change->id, change->created_by),
				 errhint("SET ROLE to that role, if you may, or have an admin abort it.")));
	dbops_store_each("UPDATE dbops.column_change SET state = 'aborted' WHERE id = $1 AND" LIVE, 1, &param, NULL, NULL);
	dbops_trigger_revoke();
	ereport(NOTICE,
			(errmsg("table %s of change " INT64_FORMAT " is gone: nothing is left to be done", change->table, change->id)));
}

/* ---- for the steps of a plan: SQL for whoever owns dbops ---- */

/* Is it in this state? */
char *
dbops_twin_is_in_state(const TwinChange *change, const char *state)
{
	return psprintf("EXISTS (SELECT FROM dbops.column_change WHERE %s AND state = %s AND (state <> 'ready' OR attnums = " NEW_COLUMNS "))",
					identify(change), quote_literal_cstr(state));
}

/* Are its new columns those that it has made, or that were filled? */
char *
dbops_twin_has_columns(const TwinChange *change)
{
	return psprintf("EXISTS (SELECT FROM dbops.column_change WHERE %s AND" LIVE " AND attnums = " NEW_COLUMNS ")", identify(change));
}

/* Note which columns it has made; their rows are yet to be filled. */
char *
dbops_twin_note_columns(const TwinChange *change)
{
	return psprintf("UPDATE dbops.column_change SET attnums = " NEW_COLUMNS ", state = 'expanding' WHERE %s AND" LIVE, identify(change));
}

/* Has it been begun, and not ended? */
char *
dbops_twin_is_open(const TwinChange *change)
{
	return psprintf("EXISTS (SELECT FROM dbops.column_change WHERE %s AND" LIVE ")", identify(change));
}

/* Has this one ended, whether or not the column is in another one? */
char *
dbops_twin_is_over(const TwinChange *change)
{
	return psprintf("NOT EXISTS (SELECT FROM dbops.column_change WHERE id = " INT64_FORMAT " AND" LIVE ")", change->id);
}

/* Note which triggers were in force when its rows were looked at, $1. */
char *
dbops_twin_note_mark(const TwinChange *change)
{
	return psprintf("UPDATE dbops.column_change SET trigger_mark = $1 WHERE id = " INT64_FORMAT, change->id);
}

/* Have these triggers been in force ever since? */
char *
dbops_twin_has_mark(const TwinChange *change)
{
	return psprintf("EXISTS (SELECT FROM dbops.column_change WHERE id = " INT64_FORMAT " AND trigger_mark = %s)",
					change->id, dbops_twin_mark(change));
}

/* Has this one ended so? */
char *
dbops_twin_has_ended(const TwinChange *change, const char *state)
{
	return psprintf("EXISTS (SELECT FROM dbops.column_change WHERE id = " INT64_FORMAT " AND state = %s)", change->id, quote_literal_cstr(state));
}

/* End this one. */
char *
dbops_twin_set_over(const TwinChange *change, const char *state)
{
	return psprintf("UPDATE dbops.column_change SET state = %s WHERE id = " INT64_FORMAT " AND" LIVE, quote_literal_cstr(state), change->id);
}

char *
dbops_twin_set_state(const TwinChange *change, const char *state)
{
	return psprintf("UPDATE dbops.column_change SET state = %s%s WHERE %s AND" LIVE, quote_literal_cstr(state),
					strcmp(state, "ready") == 0 ? ", attnums = " NEW_COLUMNS : "", identify(change));
}

/* The row of a change that has not ended; the same text on any server. */
static char *
identify(const TwinChange *change)
{
	return psprintf("relid = %s::regclass AND column_name = %s",
					quote_literal_cstr(change->table), quote_literal_cstr(change->column));
}
