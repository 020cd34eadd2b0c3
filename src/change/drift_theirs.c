/*
 * drift_theirs.c
 *		Which differences are somebody else's than a migration's.
 *
 * What a migration did is not in the record of DDL, and what others did is, by
 * the names of the objects. A table is one thing with all that belongs to it: who
 * has renamed a column of it has changed its constraints, too. So all that differs
 * of a table, type or function is theirs where the record names any of it, but not
 * of a table that the migration is known to have locked.
 */
#include "change/drift.h"

/* On its way through the callback. */
typedef struct Theirs
{
	const Drift *drift;
	List	   *differences;	/* of SchemaDifference * */
} Theirs;

static void take_their(HeapTuple row, TupleDesc desc, void *arg);

/* List what others are known to have done since the state was taken; locked: names of tables that are none of theirs. */
List *
dbops_drift_theirs(const Drift *drift, List *locked)
{
	Theirs		theirs = {.drift = drift};
	List	   *kinds = NIL;
	List	   *objects = NIL;
	List	   *wholes = NIL;
	DbopsParam	params[5];
	ListCell   *cell;

	foreach(cell, drift->differences)
	{
		const SchemaDifference *difference = lfirst(cell);

		kinds = lappend(kinds, unconstify(char *, difference->kind));
		objects = lappend(objects, unconstify(char *, difference->object));
		wholes = lappend(wholes, unconstify(char *, dbops_drift_whole_of(drift, difference)));
	}
	params[0] = dbops_param_texts(kinds);
	params[1] = dbops_param_texts(objects);
	params[2] = dbops_param_texts(wholes);
	params[3] = dbops_param_texts(list_concat_copy(objects, wholes));
	params[4] = dbops_param_texts(locked);
	dbops_store_each("WITH part AS MATERIALIZED (SELECT k.key AS kind, o AS object, p.at"
					 "  FROM dbops.drift_part p, jsonb_each(p.document) k, jsonb_object_keys(k.value) o WHERE o = ANY ($4)),"
					 " s AS MATERIALIZED " DRIFT_STATE ","
					 " logged AS MATERIALIZED (SELECT o AS object, max(l.at) AS at, bool_or(" DRIFT_IS_LATER ") AS is_later FROM s, dbops.ddl_log l, unnest(l.objects) o"
					 "  WHERE o = ANY ($4) AND l.command <> 'accept_drift' GROUP BY o),"
					 " logged_whole AS MATERIALIZED (SELECT o AS object, max(l.at) AS at, bool_or(" DRIFT_IS_LATER ") AS is_later FROM s, dbops.ddl_log l, unnest(l.wholes) o"
					 "  WHERE o = ANY ($4) GROUP BY o),"
					 " d AS (SELECT d.n, d.whole, greatest(l.at, b.at) >= g.since OR (g.since = s.at AND (l.is_later OR b.is_later)) AS named"
					 "  FROM s, unnest($1, $2, $3) WITH ORDINALITY AS d (kind, object, whole, n)"
					 "  LEFT JOIN part p ON p.kind = d.kind AND p.object = d.object"
					 "  LEFT JOIN part w ON w.kind IN ('table', 'view', 'materialized view', 'type') AND w.object = d.whole"
					 "  LEFT JOIN logged l ON l.object = d.object LEFT JOIN logged_whole b ON b.object = d.whole"
					 "  LEFT JOIN dbops.drift_part f ON f.number = 0, LATERAL (SELECT greatest("
					 "  coalesce((f.taken ->> (d.kind || ' ' || d.object))::timestamptz, p.at, w.at), s.at) AS since) g)"
					 " SELECT DISTINCT (n - 1)::int FROM d WHERE whole <> ALL (coalesce($5, '{}'))"
					 " AND whole IN (SELECT whole FROM d WHERE named) ORDER BY 1",
					 lengthof(params), params, take_their, &theirs);
	return theirs.differences;
}

static void
take_their(HeapTuple row, TupleDesc desc, void *arg)
{
	Theirs	   *theirs = arg;

	theirs->differences = lappend(theirs->differences, list_nth(theirs->drift->differences, dbops_row_int4(row, desc, 1)));
}
