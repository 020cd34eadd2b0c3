/*
 * vacuum_figures.c
 *		What the server has counted of tables since they were vacuumed and analyzed.
 *
 * One query for all tables of a policy: catalogs and the cumulative statistics,
 * no lock on any of the tables. Where a table with a policy has partitions the
 * policy is theirs too, unless they have a nearer one.
 */
#include "maintain/vacuum.h"

#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/array.h"

static void take_figures(HeapTuple row, TupleDesc desc, void *arg);
static DbopsParam param_any_oid(Oid oid);
static void take_proof(HeapTuple row, TupleDesc desc, void *arg);

/* The figures of the tables in scope (of VacuumFigures *). */
List *
dbops_vacuum_figures(const VacuumScope *scope)
{
	DbopsParam	params[] = {
		param_any_oid(scope->relation),
		dbops_param_oids(scope->others),
		param_any_oid(scope->only)
	};
	List	   *all = NIL;

	dbops_query_each("WITH RECURSIVE mine(rel) AS (SELECT $1 UNION SELECT i.inhrelid FROM mine JOIN pg_inherits i ON i.inhparent = mine.rel),"
					 " others(rel) AS (SELECT o FROM unnest($2) o WHERE $1 = 0 OR o IN (SELECT rel FROM mine)"
					 " UNION SELECT i.inhrelid FROM others JOIN pg_inherits i ON i.inhparent = others.rel),"
					 " leaves(parent, rel) AS (SELECT i.inhparent, i.inhrelid FROM pg_inherits i JOIN pg_class p ON p.oid = i.inhparent AND p.relkind = 'p'"
					 " UNION ALL SELECT l.parent, i.inhrelid FROM leaves l JOIN pg_inherits i ON i.inhparent = l.rel),"
					 " parents AS (SELECT l.parent, sum(CASE WHEN c.reltuples >= 0 THEN c.reltuples::bigint ELSE pg_stat_get_live_tuples(c.oid) END)::bigint AS rows,"
					 " sum(pg_stat_get_mod_since_analyze(c.oid))::bigint AS changed,"
					 " sum(pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid) + pg_stat_get_tuples_deleted(c.oid))::bigint AS changes"
					 " FROM leaves l JOIN pg_class c ON c.oid = l.rel AND c.relkind = 'r' WHERE $3 IN (0, l.parent) GROUP BY l.parent)"
					 " SELECT c.oid, coalesce(t.oid, 0::oid), c.relkind = 'p', c.reltuples::bigint,"
					 " pg_stat_get_dead_tuples(c.oid), pg_stat_get_ins_since_vacuum(c.oid), pg_stat_get_mod_since_analyze(c.oid),"
					 " coalesce(pg_stat_get_dead_tuples(t.oid), 0), coalesce(pg_stat_get_ins_since_vacuum(t.oid), 0),"
					 " CASE WHEN c.relkind = 'p' THEN 0 ELSE age(c.relfrozenxid) END, CASE WHEN c.relkind = 'p' THEN 0 ELSE mxid_age(c.relminmxid) END,"
					 " coalesce(age(t.relfrozenxid), 0), coalesce(mxid_age(t.relminmxid), 0),"
					 " greatest(pg_stat_get_last_vacuum_time(c.oid), pg_stat_get_last_autovacuum_time(c.oid)),"
					 " greatest(pg_stat_get_last_analyze_time(c.oid), pg_stat_get_last_autoanalyze_time(c.oid)),"
					 " p.rows, p.changed, p.changes"
					 " FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid LEFT JOIN parents p ON p.parent = c.oid"
					 " WHERE c.relkind IN ('r', 'm', 'p') AND c.relpersistence <> 't' AND $3 IN (0, c.oid)"
					 " AND ($1 = 0 OR c.oid IN (SELECT rel FROM mine)) AND c.oid NOT IN (SELECT rel FROM others)",
					 lengthof(params), params, take_figures, &all);
	return all;
}

static void
take_figures(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	VacuumFigures *figures = palloc0(sizeof(VacuumFigures));

	figures->relid = dbops_row_oid(row, desc, 1);
	figures->toast = dbops_row_oid(row, desc, 2);
	figures->parent = dbops_row_bool(row, desc, 3);
	figures->rows = dbops_row_int8(row, desc, 4);
	figures->dead = dbops_row_int8(row, desc, 5);
	figures->inserted = dbops_row_int8(row, desc, 6);
	figures->changed = dbops_row_int8(row, desc, 7);
	figures->toast_dead = dbops_row_int8(row, desc, 8);
	figures->toast_inserted = dbops_row_int8(row, desc, 9);
	figures->xid_age = dbops_row_int4(row, desc, 10);
	figures->mxid_age = dbops_row_int4(row, desc, 11);
	figures->toast_xid_age = dbops_row_int4(row, desc, 12);
	figures->toast_mxid_age = dbops_row_int4(row, desc, 13);
	figures->vacuumed = dbops_row_time(row, desc, 14);
	figures->analyzed = dbops_row_time(row, desc, 15);
	figures->leaf_rows = dbops_row_int8(row, desc, 16);
	figures->leaf_changed = dbops_row_int8(row, desc, 17);
	figures->leaf_changes = dbops_row_int8(row, desc, 18);
	*all = lappend(*all, figures);
}

/* An OID that may be 0, which is not null here. */
static DbopsParam
param_any_oid(Oid oid)
{
	return (DbopsParam) {.type = OIDOID,.value = ObjectIdGetDatum(oid)};
}

/* Since when the server has counted at the earliest: a reset or a crash loses what it had. 0: not known. */
TimestampTz
dbops_vacuum_counted_since(void)
{
	DbopsParam	param = dbops_param_oid(MyDatabaseId);
	Datum		since;

	if (!dbops_query_value("SELECT greatest(pg_stat_get_db_stat_reset_time($1), pg_stat_get_bgwriter_stat_reset_time())",
						   1, &param, TIMESTAMPTZOID, &since))
		return 0;
	return DatumGetTimestampTz(since);
}

/* What has been counted of a table so far; false if it is gone. */
bool
dbops_vacuum_proof(Oid relid, VacuumProof *proof)
{
	DbopsParam	param = dbops_param_oid(relid);

	return dbops_query_each("SELECT pg_stat_get_vacuum_count(oid), pg_stat_get_analyze_count(oid), pg_stat_get_last_vacuum_time(oid),"
							" pg_stat_get_last_analyze_time(oid), relfrozenxid::text::bigint FROM pg_class WHERE oid = $1",
							1, &param, take_proof, proof) == 1;
}

static void
take_proof(HeapTuple row, TupleDesc desc, void *arg)
{
	VacuumProof *proof = arg;

	proof->vacuums = dbops_row_int8(row, desc, 1);
	proof->analyzes = dbops_row_int8(row, desc, 2);
	proof->vacuumed = dbops_row_time(row, desc, 3);
	proof->analyzed = dbops_row_time(row, desc, 4);
	proof->frozen = dbops_row_int8(row, desc, 5);
}
