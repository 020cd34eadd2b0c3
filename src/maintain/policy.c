/*
 * policy.c
 *		Policies as they are defined.
 *
 * A policy belongs to the role that its jobs run as: the owner of its relation
 * when it was set or, for the whole database, who set it. It is known by its
 * relation's OID and so survives renaming; when the relation is dropped it goes
 * too, with the next look of whoever submits what is due. When the relation
 * gets another owner nothing is done any more until the policy is set again,
 * for what one role may ask for can be more than another one should.
 *
 * Waits for who changes the same policy are short: a step of a job that is kept
 * from remembering what it has learnt is tried again as a whole.
 */
#include "maintain/policy.h"

#include "catalog/catalog.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "pgtime.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#define LOCK_WAIT		5000	/* ms, for who changes the same policy */
#define MAX_KINDS		16

#define POLICY_COLUMNS \
	" id, kind, relation, name, owner, spec, memory, schedule, time_zone, time_window, path, next_run, last_job, broken" \
	" FROM dbops.policy"

static const PolicyKind *kinds[MAX_KINDS];
static int	n_kinds = 0;

static void store(Policy *policy, TimestampTz next_run);
static void take_stored(HeapTuple row, TupleDesc desc, void *arg);
static void require_rights(const Policy *policy);
static const char *set_call(const char *kind);
static Policy *first(List *policies);
static void take_policy(HeapTuple row, TupleDesc desc, void *arg);

/* ---- kinds ---- */

/* Add a kind; called when the library is loaded. */
void
dbops_policy_kind_register(const PolicyKind *kind)
{
	if (n_kinds == MAX_KINDS)
		elog(ERROR, "too many kinds of policies");
	kinds[n_kinds++] = kind;
}

/* Find a kind by name; NULL if this library does not know it. */
const PolicyKind *
dbops_policy_kind_find(const char *name)
{
	for (int i = 0; i < n_kinds; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}

/* ---- defining ---- */

/* Take the relation that an argument names, which may be gone; null is the whole database, 0 what a look-up gives that found nothing. */
Oid
dbops_policy_relation_argument(FunctionCallInfo fcinfo, int number)
{
	if (PG_ARGISNULL(number))
		return InvalidOid;
	if (!OidIsValid(PG_GETARG_OID(number)))
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_TABLE),
				 errmsg("relation with OID 0 does not exist"),
				 errhint("Give a table, or null for the whole database.")));
	return PG_GETARG_OID(number);
}

/* Begin a policy of a relation, or refuse what nobody could look after. */
Policy *
dbops_policy_new(const char *kind, Oid relation)
{
	Policy	   *policy = palloc0(sizeof(Policy));

	policy->kind = kind;
	policy->relation = relation;
	policy->owner = GetUserId();
	if (OidIsValid(relation))
	{
		policy->owner = dbops_relation_owner(relation);
		if (!OidIsValid(policy->owner))
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("relation with OID %u does not exist", relation)));
		dbops_require_table_owner(relation);
		if (get_rel_persistence(relation) == RELPERSISTENCE_TEMP)
			ereport(ERROR,
					(errcode(ERRCODE_WRONG_OBJECT_TYPE),
					 errmsg("table \"%s\" is temporary: no other session can look after it", get_rel_name(relation))));
	}
	policy->name = dbops_policy_object(relation);
	return policy;
}

/* Take when it is looked after; what cannot be read is refused. */
void
dbops_policy_take_times(Policy *policy, const char *schedule, const char *time_window, const char *time_zone)
{
	Recurrence	recurrence;

	if (schedule != NULL)
		policy->schedule = schedule;
	policy->time_window = time_window;
	policy->time_zone = pg_get_timezone_name(time_zone == NULL ? session_timezone : dbops_zone_require(time_zone));
	policy->path = dbops_query_submission_path();
	recurrence = dbops_recurrence(policy->schedule, policy->time_window, policy->time_zone);
	policy->next_run = dbops_recurrence_next(&recurrence, dbops_clock_now());
}

/* Store it in the place of the earlier one. */
void
dbops_policy_set(Policy *policy)
{
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	Policy	   *earlier = dbops_policy_find(policy->kind, policy->relation);

	if (earlier != NULL)
		require_rights(earlier);
	store(policy, policy->next_run);
	if (earlier != NULL && dbops_policy_cancel_jobs(policy, false) > 0)
		store(policy, dbops_clock_now());
	AtEOXact_GUC(false, nest_level);
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
}

/* Write it; with the same times it keeps a run that is due and has not been submitted yet. */
static void
store(Policy *policy, TimestampTz next_run)
{
	DbopsParam	params[] = {
		dbops_param_text(policy->kind),
		dbops_param_oid(policy->relation),
		dbops_param_text(policy->name),
		dbops_param_oid(policy->owner),
		dbops_param_jsonb(policy->spec),
		dbops_param_jsonb(policy->memory),
		dbops_param_text(policy->schedule),
		dbops_param_text(policy->time_zone),
		dbops_param_text(policy->time_window),
		dbops_param_text(policy->path),
		dbops_param_time(next_run)
	};

	dbops_store_each("INSERT INTO dbops.policy AS p (kind, relation, name, owner, spec, memory, schedule, time_zone, time_window, path, next_run)"
					 " VALUES ($1, $2, $3, $4, coalesce($5, '{}'), $6, $7, $8, $9, $10, $11)"
					 " ON CONFLICT (kind, coalesce(relation, 0::oid::regclass)) DO UPDATE"
					 " SET name = $3, owner = $4, spec = coalesce($5, '{}'), memory = $6, schedule = $7, time_zone = $8,"
					 " time_window = $9, path = $10, note = NULL, broken = false,"
					 " next_run = CASE WHEN NOT p.broken AND (p.schedule, p.time_zone) = ($7, $8) AND p.time_window IS NOT DISTINCT FROM $9"
					 " THEN least(p.next_run, $11) ELSE $11 END"
					 " RETURNING id, next_run",
					 lengthof(params), params, take_stored, policy);
}

static void
take_stored(HeapTuple row, TupleDesc desc, void *arg)
{
	Policy	   *policy = arg;

	policy->id = dbops_row_int8(row, desc, 1);
	policy->next_run = dbops_row_time(row, desc, 2);
}

/* Remove it, and cancel its jobs. */
void
dbops_policy_remove(const char *kind, Oid relation)
{
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);
	Policy	   *policy = dbops_policy_require(kind, relation);
	DbopsParam	param = dbops_param_int8(policy->id);

	require_rights(policy);
	dbops_store_each("DELETE FROM dbops.policy WHERE id = $1", 1, &param, NULL, NULL);
	(void) dbops_policy_cancel_jobs(policy, true);
	AtEOXact_GUC(false, nest_level);
	dbops_at_commit(dbops_engine_wake_at_commit, NULL);
}

/* Refuse who acts neither for the policy's role nor for the relation's owner of today. */
static void
require_rights(const Policy *policy)
{
	const char *role = GetUserNameFromId(policy->owner, true);
	Oid			owner = dbops_relation_owner(policy->relation);

	if (dbops_acts_for(policy->owner) || (OidIsValid(owner) && dbops_acts_for(owner)))
		return;
	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("the %s policy of %s belongs to role \"%s\"", policy->kind, policy->name,
					role != NULL ? role : psprintf("%u", policy->owner)),
			 errhint("Only members of that role and admins of dbops may change it.")));
}

/* Remember for its next job. */
void
dbops_policy_remember(int64 id, Jsonb *memory)
{
	DbopsParam	params[] = {dbops_param_int8(id), dbops_param_jsonb(memory)};
	int			nest_level = dbops_begin_bounded_wait(LOCK_WAIT);

	dbops_store_each("UPDATE dbops.policy SET memory = $2 WHERE id = $1", lengthof(params), params, NULL, NULL);
	AtEOXact_GUC(false, nest_level);
}

/* ---- relations ---- */

/* What people call a relation. */
const char *
dbops_policy_object(Oid relation)
{
	if (!OidIsValid(relation))
		return "all tables";
	if (get_rel_name(relation) == NULL)
		return psprintf("relation with OID %u", relation);
	return dbops_quote_relation(relation);
}

/* Why nothing can be done about a policy as its relation and role are; NULL: something can. */
const char *
dbops_policy_refusal(const Policy *policy)
{
	Oid			owner;

	if (!OidIsValid(policy->relation))
		return NULL;
	owner = dbops_relation_owner(policy->relation);
	if (!OidIsValid(owner))
		return psprintf("%s does not exist any more", policy->name);
	if (owner != policy->owner)
		return psprintf("%s has another owner than when its policy was set: call dbops.%s again",
						dbops_policy_object(policy->relation), set_call(policy->kind));
	return NULL;
}

/* Remove the policies of relations that are gone, and say so in the log. */
void
dbops_policy_forget_dropped(bool own)
{
	List	   *gone = NIL;
	ListCell   *cell;

	dbops_store_each("SELECT" POLICY_COLUMNS " p WHERE relation IS NOT NULL"
					 " AND NOT EXISTS (SELECT FROM pg_class c WHERE c.oid = p.relation) FOR UPDATE SKIP LOCKED",
					 0, NULL, take_policy, &gone);
	foreach(cell, gone)
	{
		const Policy *policy = lfirst(cell);
		DbopsParam	param = dbops_param_int8(policy->id);
		MaintenanceNote note = {
			MAINTENANCE_NOTE,.kind = policy->kind,.object = policy->name,.action = "remove policy",
			.outcome = "done",.message = "the relation does not exist any more"
		};

		if (own && !dbops_acts_for(policy->owner))
			continue;
		dbops_store_each("DELETE FROM dbops.policy WHERE id = $1", 1, &param, NULL, NULL);
		dbops_maintenance_note(&note);
	}
}

/* ---- reading ---- */

/* Load a policy into the current memory; NULL if there is none. */
Policy *
dbops_policy_load(int64 id)
{
	DbopsParam	param = dbops_param_int8(id);
	List	   *found = NIL;

	dbops_store_each("SELECT" POLICY_COLUMNS " WHERE id = $1", 1, &param, take_policy, &found);
	return first(found);
}

/* Load one that is still due, and lock it; NULL if it is not, or somebody else has locked it. */
Policy *
dbops_policy_lock_due(int64 id, TimestampTz now)
{
	DbopsParam	params[] = {dbops_param_int8(id), dbops_param_time(now)};
	List	   *found = NIL;

	dbops_store_each("SELECT" POLICY_COLUMNS " WHERE id = $1 AND next_run <= $2 FOR UPDATE SKIP LOCKED",
					 lengthof(params), params, take_policy, &found);
	return first(found);
}

/* The policy of a relation; NULL if it has none of this kind. */
Policy *
dbops_policy_find(const char *kind, Oid relation)
{
	DbopsParam	params[] = {dbops_param_text(kind), {.type = OIDOID,.value = ObjectIdGetDatum(relation)}};
	List	   *found = NIL;

	dbops_store_each("SELECT" POLICY_COLUMNS " WHERE kind = $1 AND coalesce(relation, 0::oid::regclass) = $2::regclass",
					 lengthof(params), params, take_policy, &found);
	return first(found);
}

/* The same, or an error that says how to set one. */
Policy *
dbops_policy_require(const char *kind, Oid relation)
{
	Policy	   *policy = dbops_policy_find(kind, relation);

	if (policy == NULL)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_OBJECT),
				 errmsg("there is no %s policy of %s", kind, dbops_policy_object(relation)),
				 errhint("dbops.policies() shows what there is; dbops.%s sets one.", set_call(kind))));
	return policy;
}

static const char *
set_call(const char *kind)
{
	const PolicyKind *known = dbops_policy_kind_find(kind);

	return (known != NULL) ? known->set_call : psprintf("set_%s", kind);
}

static Policy *
first(List *policies)
{
	return (policies == NIL) ? NULL : linitial(policies);
}

/* All of a kind, in the order in which they were set. */
List *
dbops_policy_list(const char *kind)
{
	DbopsParam	param = dbops_param_text(kind);
	List	   *found = NIL;

	dbops_store_each("SELECT" POLICY_COLUMNS " WHERE kind = $1 ORDER BY id", 1, &param, take_policy, &found);
	return found;
}

static void
take_policy(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **policies = arg;
	Policy	   *policy = palloc0(sizeof(Policy));

	policy->id = dbops_row_int8(row, desc, 1);
	policy->kind = dbops_row_text(row, desc, 2);
	policy->relation = dbops_row_oid(row, desc, 3);
	policy->name = dbops_row_text(row, desc, 4);
	policy->owner = dbops_row_oid(row, desc, 5);
	policy->spec = dbops_row_jsonb(row, desc, 6);
	policy->memory = dbops_row_jsonb(row, desc, 7);
	policy->schedule = dbops_row_text(row, desc, 8);
	policy->time_zone = dbops_row_text(row, desc, 9);
	policy->time_window = dbops_row_text(row, desc, 10);
	policy->path = dbops_row_text(row, desc, 11);
	policy->next_run = dbops_row_time(row, desc, 12);
	policy->last_job = dbops_row_int8(row, desc, 13);
	policy->broken = dbops_row_bool(row, desc, 14);
	*policies = lappend(*policies, policy);
}
