/*
 * vacuum_candidates.c
 *		vacuum_candidates(): what should be vacuumed or analyzed, and why.
 *
 * Each table is judged by the policy that is nearest to it; one without any, or
 * one that the role of the policy of all tables may not maintain, as the
 * defaults would, but nobody knows then since when it is over a threshold.
 */
#include "maintain/vacuum.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/tuplestore.h"

PG_FUNCTION_INFO_V1(dbops_vacuum_candidates);

static void report(ReturnSetInfo *rsinfo, const Policy *policy, Oid not_of);
static void put(ReturnSetInfo *rsinfo, const VacuumCandidate *candidate, const Policy *policy);
static Datum time_or_null(TimestampTz time, bool *isnull);

/* vacuum_candidates() → the tables that need it, those that are due first within each policy */
Datum
dbops_vacuum_candidates(PG_FUNCTION_ARGS)
{
	ReturnSetInfo *rsinfo = (ReturnSetInfo *) fcinfo->resultinfo;
	Policy	   *rest = dbops_policy_find(VACUUM_POLICY, InvalidOid);
	ListCell   *cell;

	InitMaterializedSRF(fcinfo, 0);
	foreach(cell, dbops_policy_list(VACUUM_POLICY))
	{
		const Policy *policy = lfirst(cell);

		if (OidIsValid(policy->relation) && OidIsValid(dbops_relation_owner(policy->relation)))
			report(rsinfo, policy, InvalidOid);
	}
	if (rest != NULL)
		report(rsinfo, rest, InvalidOid);
	report(rsinfo, dbops_vacuum_policy_default(), rest != NULL ? rest->owner : InvalidOid);
	return (Datum) 0;
}

/* not_of: what this role may maintain is left out; or InvalidOid. */
static void
report(ReturnSetInfo *rsinfo, const Policy *policy, Oid not_of)
{
	VacuumLook	look = dbops_vacuum_look(policy, InvalidOid);
	ListCell   *cell;

	foreach(cell, look.candidates)
	{
		const VacuumCandidate *candidate = lfirst(cell);

		if (!OidIsValid(not_of) || !dbops_may_maintain(candidate->figures->relid, not_of))
			put(rsinfo, candidate, policy);
	}
}

static void
put(ReturnSetInfo *rsinfo, const VacuumCandidate *candidate, const Policy *policy)
{
	const VacuumFigures *figures = candidate->figures;
	bool		known = (policy->id != 0);
	bool		nulls[10] = {0};
	Datum		values[10] = {
		ObjectIdGetDatum(figures->relid),
		CStringGetTextDatum(dbops_vacuum_statement(candidate)),
		CStringGetTextDatum(candidate->reason),
		time_or_null(known ? candidate->since : 0, &nulls[3]),
		BoolGetDatum(!candidate->waits),
		Int64GetDatum(figures->dead + figures->toast_dead),
		Int64GetDatum(figures->parent ? figures->leaf_changed : figures->changed),
		time_or_null(figures->vacuumed, &nulls[7]),
		time_or_null(figures->analyzed, &nulls[8]),
		CStringGetTextDatum(known ? dbops_policy_object(policy->relation) : "")
	};

	nulls[9] = !known;
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
time_or_null(TimestampTz time, bool *isnull)
{
	*isnull = (time == 0);
	return TimestampTzGetDatum(time);
}
