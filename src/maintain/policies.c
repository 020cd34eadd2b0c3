/*
 * policies.c
 *		policies(): all that recurs or should stay true, with its last result.
 *
 * Commands, and what was asked for, are shown to members of the role whose they
 * are and to who may read all statistics, as in jobs(). What has a relation is
 * shown by the name that the relation has today.
 */
#include "maintain/maintain.h"

#include "access/htup_details.h"
#include "catalog/pg_authid.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_policies);

typedef struct Shown
{
	Datum		values[14];
	bool		nulls[14];
	Oid			owner;
} Shown;

static void take_shown(HeapTuple row, TupleDesc desc, void *arg);
static bool is_open(Oid owner);

/* policies() → every policy, with its next run and its last result */
Datum
dbops_policies(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	List	   *all = NIL;
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	dbops_store_each("SELECT 'schedule'::text, s.name, s.owner, s.schedule, s.time_zone, s.time_window, s.active, s.next_run,"
					 " s.last_run, s.last_job, j.state, coalesce(s.note, j.message), s.skipped, s.command"
					 " FROM dbops.schedule s"
					 " LEFT JOIN dbops.job j ON j.id = s.last_job AND j.schedule = s.name"
					 " UNION ALL"
					 " SELECT p.kind, coalesce(quote_ident(n.nspname) || '.' || quote_ident(c.relname), p.name), p.owner, p.schedule,"
					 " p.time_zone, p.time_window, true, p.next_run, p.last_run, p.last_job, j.state, coalesce(p.note, j.message), p.skipped,"
					 " (SELECT string_agg(key || ' => ' || CASE jsonb_typeof(value) WHEN 'string' THEN quote_literal(value #>> '{}')"
					 " ELSE value::text END, ', ') FROM jsonb_each(p.spec)"
					 " WHERE value <> 'null' AND key NOT IN ('condition', 'names'))"
					 " FROM dbops.policy p"
					 " LEFT JOIN pg_class c ON c.oid = p.relation"
					 " LEFT JOIN pg_namespace n ON n.oid = c.relnamespace"
					 " LEFT JOIN dbops.job j ON j.id = p.last_job AND (j.spec ->> 'policy')::bigint = p.id"
					 " ORDER BY 1, 2",
					 0, NULL, take_shown, &all);
	foreach(cell, all)
	{
		Shown	   *shown = lfirst(cell);

		if (!is_open(shown->owner))
			shown->nulls[13] = true;
		tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, shown->values, shown->nulls);
	}
	return (Datum) 0;
}

static void
take_shown(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **all = arg;
	Shown	   *shown = palloc0(sizeof(Shown));

	heap_deform_tuple(heap_copytuple(row), desc, shown->values, shown->nulls);
	shown->owner = dbops_row_oid(row, desc, 3);
	*all = lappend(*all, shown);
}

/* May the caller see what is run for a role? */
static bool
is_open(Oid owner)
{
	return dbops_acts_for(owner) || has_privs_of_role(GetUserId(), ROLE_PG_READ_ALL_STATS);
}
