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
#include "core/server.h"
#include "datatype/timestamp.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

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
	int64		default_bytes;	/* 0: it has no rows */
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
static const char *say_runway(const char *object, int64 wanted, int64 ahead);
static void add_stop(DbopsFinding *finding, const Judged *judged);
static char *days(int64 us);
static void judge_default(const void *facts, DbopsCheckRun *run);
static void report_default(const Judged *judged, DbopsCheckRun *run);

static const DbopsCheck checks[] = {
	{
		.name = "partitions.default",
		.about = "bytes of rows that a default partition has taken, which keep partitions of their time from being made",
		.judge = judge_default,
		.threshold = {
			.unit = "bytes", .warning = 0, .critical = DBOPS_NO_THRESHOLD, .source = "pg_partman's check_default()"
		}
	},
	{
		.name = "partitions.runway",
		.about = "how far partitions reach ahead, of how far they are to",
		.judge = judge_runway,
		.threshold = {
			.unit = "percent", .below = true, .warning = 50, .critical = 25,
			.guard = 2 * SECS_PER_DAY, .guard_unit = "s", .guards_critical = true,
			.source = "dbops: half of what the policy says; two days to see to it"
		}
	}
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

	judged->default_bytes = dbops_relation_bytes(judged->plan->set->default_partition->relid);
	if (judged->default_bytes > 0)
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
	int64		wanted;		/* from now */
	int64		ahead;		/* likewise */

	if (judged->failure != NULL)
	{
		dbops_check_report_unknown(run, object, psprintf("the partitions cannot be judged: %s", judged->failure), call);
		return;
	}
	wanted = judged->plan->until - judged->plan->now;
	ahead = dbops_partition_covered_until(judged->plan);
	if (wanted <= 0 || ahead == PARTITION_END)
		dbops_check_weigh(run, 100, NAN, &finding);
	else
	{
		ahead -= judged->plan->now;
		dbops_check_weigh(run, Max(0, dbops_figure_percent(ahead, wanted)), ahead / (double) USECS_PER_SEC, &finding);
	}
	finding.message = say_runway(object, wanted, ahead);
	if (judged->stopped != NULL)
		add_stop(&finding, judged);
	dbops_check_report(run, finding);
}

static const char *
say_runway(const char *object, int64 wanted, int64 ahead)
{
	if (wanted <= 0)
		return psprintf("no rows of times to come belong into %s", object);
	if (ahead == PARTITION_END)
		return psprintf("partitions of %s reach for ever", object);
	return psprintf("partitions of %s reach ahead %s of %s", object, days(ahead), days(wanted));
}

/* However far they reach, that is a warning; who sets the policy again knows with which figures. */
static void
add_stop(DbopsFinding *finding, const Judged *judged)
{
	finding->message = psprintf("%s; the policy has stopped: %s", finding->message, judged->stopped);
	finding->severity = Max(finding->severity, DBOPS_WARNING);
	finding->remedy = psprintf((dbops_policy_refusal(judged->policy) != NULL) ?
							   "SELECT dbops.set_partitioning(%s);" : "CALL dbops.run_partitioning(%s)", quote_literal_cstr(finding->object));
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
	const char *parent = quote_literal_cstr(judged->plan->set->name);
	DbopsFinding finding = {.object = object};

	if (judged->default_is_unknown)
	{
		dbops_check_report_unknown(run, object, psprintf("default partition %s cannot be looked at", object), "Look again later.");
		return;
	}
	if (judged->stays != NULL)
	{
		finding.message = psprintf("default partition %s has rows that no partition is made for: %s", object, judged->stays);
		finding.remedy = psprintf("Change or delete these rows, or set a longer keep or runway, and CALL dbops.drain_default(%s).", parent);
	}
	else if (judged->default_bytes > 0)
	{
		finding.message = psprintf("default partition %s has taken rows, which keep partitions of their time from being made", object);
		finding.remedy = psprintf("CALL dbops.drain_default(%s)", parent);
	}
	else
		finding.message = psprintf("default partition %s is empty", object);
	dbops_check_report_value(run, judged->default_bytes, NAN, finding);
}
