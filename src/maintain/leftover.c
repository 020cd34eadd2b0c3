/*
 * leftover.c
 *		Invalid indexes that builds have left which were cut off, anybody's.
 *
 * Each still costs every insert. Those that a rebuild of ours has left are
 * proven by what was written down when it was begun (reindex_rebuild.c): the old
 * index itself under another name, or one of the same definition that was not
 * there then. Others are only shown, with the command that removes them. One
 * that somebody is still building, or dropping, is locked by that session.
 *
 * A partitioned index that is invalid has no file and costs nothing: it waits
 * for indexes of its partitions, and is none of these.
 */
#include "maintain/reindex.h"

#include "catalog/pg_type.h"
#include "utils/guc.h"

PG_FUNCTION_INFO_V1(dbops_leftover_indexes);

/* Somebody builds or drops index i. */
#define IS_AT_WORK \
	"(EXISTS (SELECT FROM pg_stat_get_progress_info('CREATE INDEX') p" \
	" WHERE p.datid = (SELECT oid FROM pg_database WHERE datname = current_database()) AND p.param7::oid = i.indexrelid)" \
	" OR EXISTS (SELECT FROM pg_locks l WHERE l.locktype = 'relation' AND l.relation = i.indexrelid AND l.granted" \
	" AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())" \
	" AND l.mode NOT IN ('AccessShareLock', 'RowShareLock', 'RowExclusiveLock')))"

#define LEFTOVER_COLUMNS \
	" i.indexrelid, i.indrelid, quote_ident(n.nspname) || '.' || quote_ident(c.relname)," \
	" quote_ident(tn.nspname) || '.' || quote_ident(t.relname), "

#define LEFTOVER_TABLES \
	" FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid AND c.relkind = 'i' JOIN pg_class t ON t.oid = i.indrelid" \
	" JOIN pg_namespace n ON n.oid = c.relnamespace JOIN pg_namespace tn ON tn.oid = t.relnamespace "

static void take_leftover(HeapTuple row, TupleDesc desc, void *arg);
static Leftover *first(List *leftovers);

/* What a rebuild of a job has left; NULL: nothing. */
Leftover *
dbops_leftover_of_job(int64 job)
{
	DbopsParam	params[] = {dbops_param_int8(job)};
	List	   *found = NIL;

	dbops_store_each("SELECT" LEFTOVER_COLUMNS "b.job_id" LEFTOVER_TABLES
					 "JOIN dbops.reindex_begun b ON " LEFTOVER_IS_OF " WHERE b.job_id = $1 ORDER BY i.indexrelid",
					 lengthof(params), params, take_leftover, &found);
	return first(found);
}

/* What jobs have left that have ended, on tables that a role may maintain. List of Leftover *. */
List *
dbops_leftovers_of_ended_jobs(Oid role)
{
	DbopsParam	params[] = {dbops_param_oid(role)};
	List	   *found = NIL;

	dbops_store_each("SELECT" LEFTOVER_COLUMNS "b.job_id" LEFTOVER_TABLES
					 "JOIN dbops.reindex_begun b ON " LEFTOVER_IS_OF
					 " WHERE pg_has_role($1, t.relowner, 'USAGE')"
					 " AND NOT EXISTS (SELECT FROM dbops.job j WHERE j.id = b.job_id AND j.finished_at IS NULL)"
					 " ORDER BY i.indexrelid",
					 lengthof(params), params, take_leftover, &found);
	return found;
}

/* An index that is invalid; NULL: there is none, or it is valid. */
Leftover *
dbops_leftover_find(Oid index)
{
	DbopsParam	params[] = {dbops_param_oid(index)};
	List	   *found = NIL;

	dbops_query_each("SELECT" LEFTOVER_COLUMNS "0::bigint" LEFTOVER_TABLES "WHERE i.indexrelid = $1 AND NOT i.indisvalid",
					 lengthof(params), params, take_leftover, &found);
	return first(found);
}

static void
take_leftover(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **found = arg;
	Leftover   *leftover = palloc(sizeof(Leftover));

	leftover->index = dbops_row_oid(row, desc, 1);
	leftover->table = dbops_row_oid(row, desc, 2);
	leftover->name = dbops_row_text(row, desc, 3);
	leftover->table_name = dbops_row_text(row, desc, 4);
	leftover->job = dbops_row_int8(row, desc, 5);
	*found = lappend(*found, leftover);
}

static Leftover *
first(List *leftovers)
{
	return (leftovers == NIL) ? NULL : linitial(leftovers);
}

/* Does somebody build it, or drop it? */
bool
dbops_leftover_is_at_work(Oid index)
{
	DbopsParam	params[] = {dbops_param_oid(index)};
	Datum		at_work;

	return dbops_store_value("SELECT " IS_AT_WORK " FROM pg_index i WHERE i.indexrelid = $1",
							 lengthof(params), params, BOOLOID, &at_work) && DatumGetBool(at_work);
}

/* leftover_indexes() → every invalid index that has a file, and how to remove it */
Datum
dbops_leftover_indexes(PG_FUNCTION_ARGS)
{
	int			nest_level = dbops_begin_bounded_wait(1000);

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_report((ReturnSetInfo *) fcinfo->resultinfo,
					   "SELECT index_oid::regclass, table_oid::regclass, bytes, origin, at_work, job_id,"
					   " CASE WHEN at_work THEN 'wait: a session is at work on it'"
					   " WHEN partition THEN 'DROP INDEX of the partitioned index that it belongs to, or REINDEX INDEX CONCURRENTLY ' || name"
					   " ELSE 'DROP INDEX CONCURRENTLY ' || name END"
					   " FROM (SELECT i.indexrelid AS index_oid, i.indrelid AS table_oid,"
					   " c.relpages::bigint * current_setting('block_size')::bigint AS bytes,"
					   " quote_ident(n.nspname) || '.' || quote_ident(c.relname) AS name,"
					   " CASE WHEN c.relname ~ '_ccnew[0-9]*$' THEN 'REINDEX CONCURRENTLY, cut off: the index that was to be the new one'"
					   " WHEN c.relname ~ '_ccold[0-9]*$' THEN 'REINDEX CONCURRENTLY, cut off: the old index'"
					   " WHEN NOT i.indislive THEN 'DROP INDEX CONCURRENTLY, cut off'"
					   " ELSE 'CREATE INDEX CONCURRENTLY, cut off or failed' END AS origin,"
					   " " IS_AT_WORK " AS at_work,"
					   " c.relispartition AS partition,"
					   " (SELECT max(b.job_id) FROM dbops.reindex_begun b WHERE " LEFTOVER_IS_OF ") AS job_id"
					   LEFTOVER_TABLES
					   "WHERE NOT i.indisvalid AND c.relpersistence <> 't') l ORDER BY table_oid::regclass::text, name",
					   0, NULL);
	AtEOXact_GUC(false, nest_level);
	return (Datum) 0;
}
