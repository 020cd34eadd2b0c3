/*
 * reindex_rebuild.c
 *		The rebuild of one index: what was begun, and what has come of it.
 *
 * REINDEX INDEX CONCURRENTLY commits on its way and gives the index a new OID;
 * the name stays. So what is there is written down before: the index, its table,
 * how it is defined, and which invalid indexes the table has already. By that,
 * whoever asks later can tell from the catalogs whether it is done, and which
 * invalid indexes are its work (leftover.c).
 *
 *		t_x valid, the old OID			not done, whatever else is there
 *		t_x valid, another OID			done
 *		no t_x							somebody has dropped it
 */
#include "maintain/reindex.h"

#include "core/server.h"

#include <math.h>

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"

static DbopsParam decimal(double number);
static void take_begun(HeapTuple row, TupleDesc desc, void *arg);

/* Write down that a job is about to rebuild an index, and what is there now. */
void
dbops_reindex_begin(int64 job, const ReindexIndex *index, const ReindexVerdict *verdict)
{
	DbopsParam	params[] = {
		dbops_param_int8(job),
		dbops_param_oid(index->oid),
		dbops_param_oid(index->table),
		dbops_param_text(index->name),
		dbops_param_text(index->table_name),
		dbops_param_time(dbops_clock_now()),
		dbops_param_int8(index->bytes),
		decimal(verdict->bloat.density),
		decimal(verdict->measured ? verdict->bloat.base.percent : NAN)
	};

	dbops_store_each("INSERT INTO dbops.reindex_begun (job_id, index_oid, table_oid, index_name, table_name, begun_at, bytes, density,"
					 " percent, shape, invalid)"
					 " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, " LEFTOVER_SHAPE ","
					 " ARRAY(SELECT o.indexrelid FROM pg_index o WHERE o.indrelid = $3 AND NOT o.indisvalid AND o.indexrelid <> $2)"
					 " FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indexrelid = $2"
					 " ON CONFLICT (job_id, index_oid) DO UPDATE SET begun_at = excluded.begun_at, ended = false, leftover = NULL",
					 lengthof(params), params, NULL, NULL);
}

static DbopsParam
decimal(double number)
{
	return (DbopsParam) {.type = FLOAT8OID,.value = Float8GetDatum(number),.isnull = isnan(number)};
}

/* What a job has begun last; NULL: nothing. */
ReindexBegun *
dbops_reindex_begun(int64 job)
{
	DbopsParam	params[] = {dbops_param_int8(job)};
	ReindexBegun *begun = NULL;

	dbops_store_each("SELECT job_id, index_oid, table_oid, index_name, table_name, begun_at, bytes, density, percent"
					 " FROM dbops.reindex_begun WHERE job_id = $1 AND NOT ended ORDER BY begun_at DESC LIMIT 1",
					 lengthof(params), params, take_begun, &begun);
	return begun;
}

static void
take_begun(HeapTuple row, TupleDesc desc, void *arg)
{
	ReindexBegun *begun = palloc(sizeof(ReindexBegun));
	bool		isnull;
	Datum		density = heap_getattr(row, 8, desc, &isnull);

	*begun = (ReindexBegun) {
		.job = dbops_row_int8(row, desc, 1),
		.index = dbops_row_oid(row, desc, 2),
		.table = dbops_row_oid(row, desc, 3),
		.name = dbops_row_text(row, desc, 4),
		.table_name = dbops_row_text(row, desc, 5),
		.at = dbops_row_time(row, desc, 6),
		.bytes = dbops_row_int8(row, desc, 7),
		.density = isnull ? NAN : DatumGetFloat8(density)
	};
	density = heap_getattr(row, 9, desc, &isnull);
	begun->percent = isnull ? NAN : DatumGetFloat8(density);
	*(ReindexBegun **) arg = begun;
}

/*
 * What a job has begun has ended. What is left of it is written down, so that
 * nothing which another session leaves later is taken for it.
 */
void
dbops_reindex_end(int64 job)
{
	DbopsParam	params[] = {dbops_param_int8(job)};

	dbops_store_each("UPDATE dbops.reindex_begun b SET leftover = (SELECT i.indexrelid FROM pg_index i"
					 " JOIN pg_class c ON c.oid = i.indexrelid WHERE " LEFTOVER_IS_OF " LIMIT 1), ended = true"
					 " WHERE job_id = $1 AND NOT ended",
					 lengthof(params), params, NULL, NULL);
	dbops_reindex_forget_ended();
}

/* Forget those of which nothing is left any more. */
void
dbops_reindex_forget_ended(void)
{
	dbops_store_each("DELETE FROM dbops.reindex_begun b WHERE ended AND NOT EXISTS (SELECT FROM pg_index i"
					 " WHERE i.indexrelid = b.leftover AND i.indrelid = b.table_oid AND NOT i.indisvalid)",
					 0, NULL, NULL, NULL);
}

/* Judge by the catalogs what has come of it. */
ReindexOutcome
dbops_reindex_outcome(const ReindexBegun *begun)
{
	Oid			index = dbops_reindex_find(begun->table, begun->name);

	if (!OidIsValid(index))
		return REINDEX_GONE;
	return (index != begun->index && get_index_isvalid(index)) ? REINDEX_DONE : REINDEX_NOT_DONE;
}

char *
dbops_reindex_sql(const ReindexBegun *begun)
{
	return psprintf("REINDEX INDEX CONCURRENTLY %s", begun->name);
}

/*
 * Call back outside, where nothing can be caught in a subtransaction; returns
 * what it failed with, in that memory, or NULL. A cancel is not a failure to go
 * on from, and is thrown. Settings are as they were before. In a deadlock it
 * gives way: the transaction that it waits for has more to lose.
 */
ErrorData *
dbops_reindex_try(DbopsCallback work, void *arg, MemoryContext memory)
{
	MemoryContext passing = CurrentMemoryContext;
	ErrorData  *volatile error = NULL;

	dbops_job_setting_put("log_lock_waits", "off");
	dbops_blocker_watch_giving_way();
	PG_TRY();
	{
		work(arg);
		dbops_blocker_unwatch();
		dbops_job_settings_restore();
	}
	PG_CATCH();
	{
		dbops_blocker_unwatch();
		if (geterrcode() == ERRCODE_QUERY_CANCELED || ERRCODE_TO_CATEGORY(geterrcode()) == ERRCODE_OPERATOR_INTERVENTION)
			PG_RE_THROW();
		error = dbops_procedure_begin_anew(memory);
		dbops_job_settings_restore();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(passing);
	return error;
}
