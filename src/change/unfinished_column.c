/*
 * unfinished_column.c
 *		Changes of columns by expand and contract that nobody has ended.
 *
 * Each costs a second column, and a trigger for each row that is written, until
 * it is finished or aborted; only who knows the application can say when that may
 * be. One that is not ready was cut off, and goes on with the same call. Where a
 * job does that, or has failed to, that is listed instead. One that came here from
 * another database, or another server, is taken over by that call; of one whose
 * trigger only came along nothing else is known.
 */
#include "change/unfinished.h"

#include "utils/lsyscache.h"

/* A change, and whether its command has texts of who began it. */
typedef struct OpenChange
{
	Unfinished	unfinished;
	bool		has_texts;
} OpenChange;

static void put_changes(ReportRow *row);
static void take_change(HeapTuple row, TupleDesc desc, void *arg);
static char *detail_of(const char *call, bool here, bool ready, bool renamed, int64 id);
static void put_stray(HeapTuple row, TupleDesc desc, void *arg);
static char *call_again(const char *call, const char *table, const char *column, HeapTuple row, TupleDesc desc);

void
dbops_unfinished_columns(ReportRow *row)
{
	DbopsParam	params[] = {dbops_param_text(dbops_backfill_sync_home()), dbops_unfinished_times_known()};

	put_changes(row);
	dbops_store_each("SELECT t.tgrelid, s.name, t.tgname::text, " UNFINISHED_SINCE("t", "$2")
					 " FROM pg_trigger t CROSS JOIN LATERAL (SELECT convert_from(substring(t.tgargs FROM 1 FOR position('\\x00'::bytea IN t.tgargs) - 1), getdatabaseencoding())) s (name)"
					 " WHERE t.tgfoid = 'dbops.change_sync'::regproc AND t.tgparentid = 0"
					 " AND NOT EXISTS (SELECT FROM dbops.column_change c WHERE c.state IN ('expanding', 'ready') AND c.column_name = s.name"
					 " AND CASE WHEN c.home = $1 THEN c.relid = t.tgrelid ELSE to_regclass(c.table_name) = t.tgrelid END)"
					 " ORDER BY t.tgrelid::regclass::text, 2",
					 lengthof(params), params, put_stray, row);
}

/* Those that dbops.column_change has; of another database's those whose trigger is here. */
static void
put_changes(ReportRow *row)
{
	DbopsParam	param = dbops_param_text(dbops_backfill_sync_home());
	bool		texts = dbops_report_shows_texts();
	List	   *changes = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT c.id, h.relid, c.call, c.column_name, c.state, c.created_at, c.new_name, c.new_type, c.set_clause, c.reverse_set,"
					 " c.new_name IS NOT NULL AND (SELECT count(*) FROM pg_attribute a WHERE a.attrelid = h.relid"
					 " AND (a.attnum = c.attnum AND a.attname = c.column_name OR a.attname = c.new_name) AND NOT a.attisdropped) < 2, h.here"
					 " FROM dbops.column_change c CROSS JOIN LATERAL (SELECT c.home = $1, CASE WHEN c.home = $1 THEN c.relid ELSE to_regclass(c.table_name)::oid END) h (here, relid)"
					 " WHERE c.state IN ('expanding', 'ready') AND CASE WHEN h.here THEN"
					 " NOT EXISTS (SELECT FROM dbops.job j WHERE j.kind = 'change' AND j.dedupe_key IN (" UNFINISHED_COLUMN_KEYS("c") ")"
					 " AND (j.finished_at IS NULL OR j.state = 'failed' AND NOT EXISTS (SELECT FROM dbops.job l WHERE l.id > j.id"
					 " AND l.kind = j.kind AND l.dedupe_key = j.dedupe_key)))"
					 " ELSE EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = h.relid AND t.tgfoid = 'dbops.change_sync'::regproc) END"
					 " ORDER BY c.id",
					 1, &param, take_change, &changes);
	foreach(cell, changes)
	{
		OpenChange *change = lfirst(cell);

		if (change->has_texts && !texts && !dbops_acts_for(dbops_relation_owner(change->unfinished.table)))
			change->unfinished.command = NULL;
		dbops_unfinished_put(row, &change->unfinished);
	}
}

static void
take_change(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **changes = arg;
	OpenChange *change = palloc(sizeof(OpenChange));
	int64		id = dbops_row_int8(row, desc, 1);
	Oid			relid = dbops_row_oid(row, desc, 2);
	const char *call = dbops_row_text(row, desc, 3);
	const char *column = dbops_row_text(row, desc, 4);
	bool		here = dbops_row_bool(row, desc, 12);
	bool		ready = strcmp(dbops_row_text(row, desc, 5), "ready") == 0;
	bool		there = get_rel_name(relid) != NULL;

	change->has_texts = there && !(ready && here);
	change->unfinished = (Unfinished) {
		.kind = "column change",
		.object = dbops_quote_name(column),
		.table = there ? relid : InvalidOid,
		.detail = there ? detail_of(call, here, ready, dbops_row_bool(row, desc, 11), id) : psprintf("%s, whose table is gone", call),
		.since = dbops_row_time(row, desc, 6),
		.command = !there ? psprintf("CALL dbops.abort_change(" INT64_FORMAT ");", id) :
		ready && here ? psprintf("CALL dbops.finish_change(" INT64_FORMAT ");", id) :
		call_again(call, dbops_quote_relation(relid), column, row, desc)
	};
	*changes = lappend(*changes, change);
}

static char *
detail_of(const char *call, bool here, bool ready, bool renamed, int64 id)
{
	const char *state = !ready ? "cut off" :
		renamed ? "of which a column has been renamed or dropped by hand, so that rows may differ" :
		"ready: finish it when applications use only the new columns";

	if (!here)
		return psprintf("%s, begun in another database, from which a dump, copy or upgrade has brought it: its trigger is at work, and the same call takes it over", call);
	return psprintf("%s, %s; or CALL dbops.abort_change(" INT64_FORMAT ");", call, state, id);
}

static void
put_stray(HeapTuple row, TupleDesc desc, void *arg)
{
	Oid			table = dbops_row_oid(row, desc, 1);

	dbops_unfinished_put(arg, &(Unfinished) {
						 .kind = "column change",
						 .object = dbops_quote_name(dbops_row_text(row, desc, 2)),
						 .table = table,
						 .detail = "begun elsewhere, of which a dump of tables has brought the columns and the trigger only, which does nothing; or make the call again that has begun it",
						 .since = dbops_row_time(row, desc, 4),
						 .command = psprintf("DROP TRIGGER %s ON %s;", dbops_quote_name(dbops_row_text(row, desc, 3)), dbops_quote_relation(table))
						 });
}

/* The call that has begun it. */
static char *
call_again(const char *call, const char *table, const char *column, HeapTuple row, TupleDesc desc)
{
	const char *type = dbops_row_text(row, desc, 8);
	const char *set_clause = dbops_row_text(row, desc, 9);
	const char *reverse_set = dbops_row_text(row, desc, 10);
	const char *first = (strcmp(call, "sync_columns") == 0) ? set_clause : column;
	const char *second = (type != NULL) ? type : dbops_row_text(row, desc, 7);
	const char *third = (type != NULL) ? set_clause : NULL;

	if (strcmp(call, "sync_columns") == 0)
		second = reverse_set;
	return psprintf("CALL dbops.%s(%s, %s%s%s%s%s);", call, dbops_quote_text(table), dbops_quote_text(first),
					second != NULL ? ", " : "", second != NULL ? dbops_quote_text(second) : "",
					third != NULL ? ", " : "", third != NULL ? dbops_quote_text(third) : "");
}
