/*
 * retention.c
 *		set_retention(), remove_retention() and run_retention().
 */
#include "maintain/retention.h"

#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"

PG_FUNCTION_INFO_V1(dbops_set_retention);
PG_FUNCTION_INFO_V1(dbops_remove_retention);
PG_FUNCTION_INFO_V1(dbops_run_retention);

enum
{
	ARG_TABLE,
	ARG_COLUMN,
	ARG_KEEP,
	ARG_FILTER,
	ARG_ARCHIVE,
	ARG_WINDOW,
	ARG_ZONE,
	ARG_SCHEDULE,
	ARG_UNIT,
	ARG_CONFIRM
};

static void check_rows_can_go(const RetentionSpec *spec);
static Jsonb *memory_of(const RetentionSpec *spec, const Policy *before, const Jsonb *document, bool confirm);
static void tell_replaced(const RetentionSpec *spec, const Policy *before, const Jsonb *document);
static bool is_same(const char *one, const char *other);
static int64 cutoff_now(const RetentionSpec *spec);
static Jsonb *take_extra(FunctionCallInfo fcinfo);

/* set_retention(table_name, column_name, keep, filter, archive_to, time_window, time_zone, schedule, epoch_unit, confirm) → timestamptz */
Datum
dbops_set_retention(PG_FUNCTION_ARGS)
{
	Oid			relid;
	Policy	   *policy;
	Policy	   *before;
	RetentionSpec *spec;

	dbops_require_argument(fcinfo, ARG_TABLE, "table_name");
	dbops_require_argument(fcinfo, ARG_SCHEDULE, "schedule");
	relid = PG_GETARG_OID(ARG_TABLE);
	dbops_retention_check_table(relid, "retention policy");
	policy = dbops_policy_new(RETENTION_KIND, relid);
	dbops_policy_take_times(policy, dbops_text_argument(fcinfo, ARG_SCHEDULE), dbops_text_argument(fcinfo, ARG_WINDOW),
							dbops_text_argument(fcinfo, ARG_ZONE));
	spec = dbops_retention_read(fcinfo, (int[]) {ARG_COLUMN, ARG_KEEP, ARG_FILTER, ARG_ARCHIVE, ARG_UNIT}, relid, policy->time_zone);
	dbops_retention_check_fights(relid);
	check_rows_can_go(spec);
	before = dbops_policy_find(RETENTION_KIND, relid);
	policy->spec = dbops_retention_put(spec);
	policy->memory = memory_of(spec, before, policy->spec, !PG_ARGISNULL(ARG_CONFIRM) && PG_GETARG_BOOL(ARG_CONFIRM));
	dbops_policy_set(policy);
	dbops_partition_hand_judge_anew(policy->id);
	if (before != NULL)
		tell_replaced(spec, before, policy->spec);
	PG_RETURN_TIMESTAMPTZ(policy->next_run);
}

/* Refuse tables whose rows cannot be deleted one by one, where they would be. */
static void
check_rows_can_go(const RetentionSpec *spec)
{
	ListCell   *cell;

	dbops_retention_check_references(spec->relid);
	foreach(cell, dbops_retention_tables(spec, cutoff_now(spec), false))
	{
		dbops_retention_check_references(lfirst_oid(cell));
		if (!dbops_retention_by_partition(spec))
			dbops_retention_check_table(lfirst_oid(cell), "retention policy");
	}
}

static int64
cutoff_now(const RetentionSpec *spec)
{
	return dbops_partition_cutoff(&spec->clock, dbops_clock_now(), spec->keep);
}

/* What was learnt stays if the same rows are meant; what is confirmed is what there is now. */
static Jsonb *
memory_of(const RetentionSpec *spec, const Policy *before, const Jsonb *document, bool confirm)
{
	bool		same = (before != NULL && dbops_retention_same_rows(before->spec, document));
	RetentionMemory *memory = dbops_retention_memory(same ? before->memory : NULL);

	dbops_retention_forget_shown(memory);
	memory->settled = (before != NULL) ? dbops_retention_last_job(before, NULL) : 0;
	if (confirm)
		dbops_retention_confirm(memory, spec, cutoff_now(spec));
	return dbops_retention_memory_put(memory);
}

/* Say which rows the earlier policy was for, and where they went, if that is another thing now. */
static void
tell_replaced(const RetentionSpec *spec, const Policy *before, const Jsonb *document)
{
	static const char *const members[][2] = {	/* what is told, and what is compared */
		{"column_name", "column_name"}, {"keep", "keep"}, {"filter", "condition"}, {"archive_to", "archive_to"}, {"epoch_unit", "epoch_unit"}
	};
	StringInfoData text;

	initStringInfo(&text);
	for (int i = 0; i < lengthof(members); i++)
	{
		const char *was = dbops_jsonb_text(before->spec, members[i][0]);

		if (!is_same(dbops_jsonb_text(before->spec, members[i][1]), dbops_jsonb_text(document, members[i][1])))
			appendStringInfo(&text, "%s%s was %s", text.len > 0 ? "; " : "", members[i][0], was != NULL ? was : "not given");
	}
	if (text.len > 0)
		ereport(NOTICE,
				(errmsg("the retention policy of table %s is replaced: %s", spec->table, text.data)));
}

static bool
is_same(const char *one, const char *other)
{
	return (one == NULL || other == NULL) ? one == other : strcmp(one, other) == 0;
}

/* remove_retention(table_name regclass) */
Datum
dbops_remove_retention(PG_FUNCTION_ARGS)
{
	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_partition_hand_leave(RETENTION_KIND, PG_GETARG_OID(0));
	dbops_policy_remove(RETENTION_KIND, PG_GETARG_OID(0));
	PG_RETURN_VOID();
}

/* run_retention(table_name regclass, confirm boolean, max_duration interval) */
Datum
dbops_run_retention(PG_FUNCTION_ARGS)
{
	Policy	   *policy;
	int64		job;

	dbops_require_argument(fcinfo, 0, "table_name");
	dbops_procedure_begin(fcinfo, "run_retention");
	dbops_require_table_owner(PG_GETARG_OID(0));
	policy = dbops_policy_require(RETENTION_KIND, PG_GETARG_OID(0));
	if (!PG_ARGISNULL(1) && PG_GETARG_BOOL(1))
	{
		RetentionSpec *spec = dbops_retention_spec(policy);
		RetentionMemory *memory = dbops_retention_memory(policy->memory);

		dbops_retention_confirm(memory, spec, cutoff_now(spec));
		dbops_policy_remember(policy->id, dbops_retention_memory_put(memory));
	}
	job = dbops_policy_submit(policy, take_extra(fcinfo), true);
	dbops_job_run_here(job);
	PG_RETURN_VOID();
}

/* What the job is asked besides the policy. */
static Jsonb *
take_extra(FunctionCallInfo fcinfo)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_boolean(&json, "confirm", !PG_ARGISNULL(1) && PG_GETARG_BOOL(1));
	if (!PG_ARGISNULL(2))
	{
		int64		ms = dbops_interval_ms(PG_GETARG_INTERVAL_P(2));

		if (ms <= 0 || ms > PG_INT32_MAX)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("max_duration must be longer than nothing and at most 24 days")));
		dbops_json_integer(&json, "max_duration", ms);
	}
	return dbops_json_finish(&json);
}
