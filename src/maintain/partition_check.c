/*
 * partition_check.c
 *		Health: do rows of the days to come have a partition, and has the default
 *		partition taken any?
 *
 * Only tables with a policy are judged; each of them alone, so that one that
 * cannot be read does not hide the others.
 */
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

#define CRITICAL_RUNWAY		(2 * USECS_PER_DAY)

/* All tables that are looked after. */
typedef struct Facts
{
	bool		locked;			/* dbops.policy is, by somebody else: nothing is known */
	List	   *tables;			/* of Judged * */
} Facts;

/* A table that is looked after. */
typedef struct Judged
{
	const Policy *policy;
	PartitionPlan *plan;
	const char *failure;		/* why it could not be read; or NULL */
	const char *stopped;		/* why nothing is done about it; or NULL */
	bool		default_has_rows;
	const char *stays;			/* of these, whatever is done; NULL: it is not known */
	bool		default_is_unknown; /* somebody has locked it */
} Judged;

static const void *look(const DbopsCheckScope *scope);
static bool is_any_policy(bool *locked);
static const List *tables_of(const void *facts);
static void read_plan(void *arg);
static void look_into_default(void *arg);
static void judge_runway(const void *facts, DbopsCheckRun *run);
static void report_runway(const Judged *judged, DbopsCheckRun *run);
static void add_stop(DbopsFinding *finding, const Judged *judged);
static char *days(int64 us);
static void judge_default(const void *facts, DbopsCheckRun *run);
static void report_default(const Judged *judged, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{.name = "partitions.runway", .judge = judge_runway},
	{.name = "partitions.default", .judge = judge_default}
};

static const DbopsCheckSet check_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

void
dbops_partition_check_init(void)
{
	dbops_check_register(&check_set);
}

/* Look at all tables with a policy. Where there is none, that must cost next to nothing. */
static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));
	ListCell   *cell;

	if (!is_any_policy(&facts->locked))
		return facts;
	foreach(cell, dbops_policy_list(PARTITION_KIND))
	{
		Judged	   *judged = palloc0(sizeof(Judged));
		ErrorData  *error;

		judged->policy = lfirst(cell);
		if (!dbops_attempt(read_plan, judged, &error))
			judged->failure = error->message;
		else if (judged->plan->set->default_partition != NULL && !dbops_attempt(look_into_default, judged, &error))
			judged->default_is_unknown = true;
		facts->tables = lappend(facts->tables, judged);
	}
	return facts;
}

static bool
is_any_policy(bool *locked)
{
	Oid			table = get_relname_relid("policy", get_namespace_oid("dbops", false));
	DbopsParam	param = dbops_param_text(PARTITION_KIND);

	*locked = !ConditionalLockRelationOid(table, AccessShareLock);
	return !*locked && dbops_store_each_kept("SELECT FROM dbops.policy WHERE kind = $1 LIMIT 1", 1, &param, NULL, NULL) > 0;
}

static void
read_plan(void *arg)
{
	Judged	   *judged = arg;

	judged->plan = dbops_partition_plan_of(judged->policy);
	judged->stopped = dbops_policy_stopped(judged->policy);
}

/* Pages are what can be seen without anybody's rights and without a lock. */
static void
look_into_default(void *arg)
{
	Judged	   *judged = arg;

	judged->default_has_rows = dbops_relation_bytes(judged->plan->set->default_partition->relid) > 0;
	if (judged->default_has_rows)
		judged->stays = dbops_partition_rest_said(judged->plan);
}

static const List *
tables_of(const void *facts)
{
	if (((const Facts *) facts)->locked)
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("dbops.policy is locked"),
				 errhint("Look again later.")));
	return ((const Facts *) facts)->tables;
}

/* ---- runway ---- */

static void
judge_runway(const void *facts, DbopsCheckRun *run)
{
	const List *all = tables_of(facts);
	ListCell   *cell;

	if (all == NIL)
		dbops_check_report(run, (DbopsFinding) {.message = "no partitioned table is looked after"});
	foreach(cell, all)
		report_runway(lfirst(cell), run);
}

static void
report_runway(const Judged *judged, DbopsCheckRun *run)
{
	const char *object = dbops_policy_object(judged->policy->relation);
	const char *call = psprintf("CALL dbops.run_partitioning(%s)", quote_literal_cstr(object));
	DbopsFinding finding = {.object = object,.remedy = call};
	int64		ahead;
	int64		wanted;

	if (judged->failure != NULL)
	{
		finding.severity = DBOPS_UNKNOWN;
		finding.message = psprintf("the partitions cannot be judged: %s", judged->failure);
		dbops_check_report(run, finding);
		return;
	}
	ahead = dbops_partition_covered_until(judged->plan);
	wanted = judged->plan->until;
	if (wanted <= judged->plan->now)
		finding.message = psprintf("no rows of times to come belong into %s", object);
	else if (ahead == PARTITION_END)
		finding.message = psprintf("partitions of %s reach for ever", object);
	else
		finding.message = psprintf("partitions of %s reach ahead %s of %s", object,
								   days(ahead - judged->plan->now), days(wanted - judged->plan->now));
	if (wanted <= judged->plan->now)
		finding.remedy = NULL;
	else if (ahead - judged->plan->now < Min(CRITICAL_RUNWAY, (wanted - judged->plan->now) / 4))
		finding.severity = DBOPS_CRITICAL;
	else if (ahead != PARTITION_END && ahead - judged->plan->now < (wanted - judged->plan->now) / 2)
		finding.severity = DBOPS_WARNING;
	else
		finding.remedy = NULL;
	if (judged->stopped != NULL)
		add_stop(&finding, judged);
	dbops_check_report(run, finding);
}

/* However far they reach, that is a warning; who sets the policy again knows with which figures. */
static void
add_stop(DbopsFinding *finding, const Judged *judged)
{
	finding->message = psprintf("%s; the policy has stopped: %s", finding->message, judged->stopped);
	finding->severity = Max(finding->severity, DBOPS_WARNING);
	finding->remedy = (dbops_policy_refusal(judged->policy) != NULL) ? NULL :
		psprintf("CALL dbops.run_partitioning(%s)", quote_literal_cstr(finding->object));
}

static char *
days(int64 us)
{
	return psprintf("%.1f days", us / (double) USECS_PER_DAY);
}

/* ---- default partition ---- */

static void
judge_default(const void *facts, DbopsCheckRun *run)
{
	const List *all = tables_of(facts);
	bool		any = false;
	ListCell   *cell;

	foreach(cell, all)
	{
		const Judged *judged = lfirst(cell);

		if (judged->failure != NULL || judged->plan->set->default_partition == NULL)
			continue;
		any = true;
		report_default(judged, run);
	}
	if (!any)
		dbops_check_report(run, (DbopsFinding) {.message = "no table that is looked after has a default partition"});
}

static void
report_default(const Judged *judged, DbopsCheckRun *run)
{
	const char *object = judged->plan->set->default_partition->name;
	DbopsFinding finding = {
		.object = object,
		.message = psprintf("default partition %s is empty", object)
	};

	if (judged->default_is_unknown)
	{
		finding.severity = DBOPS_UNKNOWN;
		finding.message = psprintf("default partition %s cannot be looked at", object);
	}
	else if (judged->stays != NULL)
	{
		finding.severity = DBOPS_WARNING;
		finding.message = psprintf("default partition %s has rows that no partition is made for: %s", object, judged->stays);
		finding.remedy = psprintf("Change or delete these rows, or set a longer keep or runway, and CALL dbops.drain_default(%s).",
								  quote_literal_cstr(judged->plan->set->name));
	}
	else if (judged->default_has_rows)
	{
		finding.severity = DBOPS_WARNING;
		finding.message = psprintf("default partition %s has taken rows, which keep partitions of their time from being made", object);
		finding.remedy = psprintf("CALL dbops.drain_default(%s)", quote_literal_cstr(judged->plan->set->name));
	}
	dbops_check_report(run, finding);
}
