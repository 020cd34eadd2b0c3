/*
 * relation_history.c
 *		What each table held, day by day.
 *
 * Tables of which some part has a megabyte are written down with the first
 * measurement of each day (UTC), if they have changed by more than a hundredth
 * or 8 MB since they were last: a database of many tables that rest costs
 * little, and the last row says what a table held ever since. With the first
 * measurement of a month all of them are, so that the months before can go. A
 * row without a relation marks each day that was measured, with the whole
 * database.
 *
 * Rows are written some hundreds at a time, each time in its own statement,
 * so that no statement is long.
 */
#include "observe/history.h"
#include "observe/size_history.h"

#include "catalog/pg_type.h"
#include "utils/syscache.h"

#define ROWS_AT_ONCE	1000

static TimestampTz day_of(TimestampTz time);
static void take_known(HeapTuple row, TupleDesc desc, void *arg);
static void write_rows(TimestampTz day, List *relids, List *bytes);
static DbopsParam bytes_param(const List *bytes);
static void forget(const List *relids);

/* Has the day begun without a measurement? */
bool
dbops_relation_history_is_due(TimestampTz now)
{
	DbopsParam	params[] = {dbops_param_time(day_of(now))};
	Datum		known;

	return !dbops_store_value("SELECT true FROM dbops.relation_1d WHERE relid = 0 AND at = $1",
							  lengthof(params), params, BOOLOID, &known);
}

/* Days begin at midnight in UTC. */
static TimestampTz
day_of(TimestampTz time)
{
	return time - ((time % USECS_PER_DAY) + USECS_PER_DAY) % USECS_PER_DAY;
}

/*
 * Have all tables measured that are large, or were when they were last written
 * down; those of them that are gone are forgotten.
 */
void
dbops_relation_history_prepare(Measurement *measurement)
{
	List	   *known = NIL;
	List	   *gone = NIL;
	ListCell   *cell;

	measurement->tracked = TRACKED_FROM;
	dbops_store_each("WITH RECURSIVE known AS ("
					 " (SELECT min(relid) AS relid FROM dbops.relation_1d WHERE relid > 0)"
					 " UNION ALL SELECT (SELECT min(r.relid) FROM dbops.relation_1d r WHERE r.relid > k.relid)"
					 " FROM known k WHERE k.relid IS NOT NULL)"
					 " SELECT relid FROM known WHERE relid IS NOT NULL",
					 0, NULL, take_known, &known);
	foreach(cell, known)
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(lfirst_oid(cell))))
			dbops_measure_add_table(measurement, lfirst_oid(cell));
		else
			gone = lappend_oid(gone, lfirst_oid(cell));
	}
	forget(gone);
}

static void
take_known(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **known = arg;

	*known = lappend_oid(*known, dbops_row_oid(row, desc, 1));
}

/* Write down what was measured, and mark the day. */
void
dbops_relation_history_note(const Measurement *measurement, const Sizes *sizes)
{
	TimestampTz day = day_of(sizes->measured_at);
	List	   *relids = NIL;
	List	   *bytes = NIL;

	if (!dbops_history_begin_partition(HISTORY_RELATIONS, day))
		return;
	for (int i = 0; i < measurement->n_tables; i++)
	{
		int64	   *size = palloc(sizeof(int64));

		*size = measurement->tables[i].bytes;
		relids = lappend_oid(relids, measurement->tables[i].relid);
		bytes = lappend(bytes, size);
		if (list_length(relids) == ROWS_AT_ONCE)
		{
			write_rows(day, relids, bytes);
			list_free(relids);
			list_free_deep(bytes);
			relids = bytes = NIL;
		}
	}
	write_rows(day, relids, bytes);
	write_rows(day, list_make1_oid(InvalidOid), list_make1(unconstify(int64 *, &sizes->database)));
}

/* The mark is written in any case. */
static void
write_rows(TimestampTz day, List *relids, List *bytes)
{
	DbopsParam	params[] = {
		dbops_param_time(day), dbops_param_oids(relids), bytes_param(bytes),
		dbops_param_int8(TRACKED_FROM)
	};

	dbops_store_each("INSERT INTO dbops.relation_1d (at, relid, bytes)"
					 " SELECT $1, m.relid, m.bytes FROM unnest($2, $3) m (relid, bytes)"
					 " LEFT JOIN LATERAL (SELECT r.bytes, r.at FROM dbops.relation_1d r WHERE r.relid = m.relid"
					 " ORDER BY r.at DESC LIMIT 1) last ON true"
					 " WHERE m.relid = 0 OR (m.bytes >= $4 AND (last.bytes IS NULL"
					 "  OR date_trunc('month', last.at, 'UTC') < date_trunc('month', $1, 'UTC')))"
					 " OR abs(m.bytes - last.bytes) > least(8388608, last.bytes / 100)"
					 " ON CONFLICT (relid, at) DO UPDATE SET bytes = excluded.bytes",
					 lengthof(params), params, NULL, NULL);
}

static DbopsParam
bytes_param(const List *bytes)
{
	Datum	   *values = palloc(sizeof(Datum) * (list_length(bytes) + 1));
	ListCell   *cell;

	foreach(cell, bytes)
		values[foreach_current_index(cell)] = Int64GetDatum(*(int64 *) lfirst(cell));
	return dbops_param_array(values, list_length(bytes), INT8OID);
}

/* Another table may get the number of one that is gone. */
static void
forget(const List *relids)
{
	DbopsParam	params[] = {dbops_param_oids(relids)};

	if (relids != NIL)
		dbops_store_each("DELETE FROM dbops.relation_1d WHERE relid = ANY ($1)", lengthof(params), params, NULL, NULL);
}
