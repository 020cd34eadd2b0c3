/*
 * retention_spec.c
 *		What a retention policy asks for: arguments, document, structure.
 *
 * The document is shown to users by policies(), so that its members are the
 * arguments, but for those that it leaves out: condition, the filter as it was
 * understood, and columns.
 */
#include "maintain/retention.h"

#include "access/htup_details.h"
#include "catalog/pg_type.h"
#include "pgtime.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* An int4 epoch can only be in seconds. */
#define SECONDS 1

typedef struct UnitName
{
	const char *name;
	int64		in_second;
} UnitName;

static const UnitName units[] = {
	{"seconds", SECONDS},
	{"milliseconds", 1000},
	{"microseconds", 1000000}
};

static void take_column(RetentionSpec *spec, const char *unit);
static void settle_unit(RetentionSpec *spec, const char *unit);
static int64 unit_of(const char *name);
static void check_keep(const Interval *keep);
static char *interval_text(const Interval *interval);
static void settle(RetentionSpec *spec, const char *path);
static void check_names(const RetentionSpec *spec);

/* Take the arguments, which are at these places: column_name, keep, filter, archive_to, epoch_unit. */
RetentionSpec *
dbops_retention_read(FunctionCallInfo fcinfo, const int *places, Oid relid, const char *zone)
{
	RetentionSpec *spec = palloc0(sizeof(RetentionSpec));
	RetentionNames names = {.own.relid = relid};
	bool		override;
	Oid			archive;

	dbops_require_argument(fcinfo, places[0], "column_name");
	dbops_require_argument(fcinfo, places[1], "keep");
	spec->relid = relid;
	spec->zone = zone;
	spec->column = pstrdup(NameStr(*PG_GETARG_NAME(places[0])));
	spec->keep = PG_GETARG_INTERVAL_P(places[1]);
	settle(spec, dbops_query_submission_path());
	take_column(spec, dbops_text_argument(fcinfo, places[4]));
	check_keep(spec->keep);
	spec->filter = dbops_text_argument(fcinfo, places[2]);
	if (spec->filter != NULL)
		spec->condition = dbops_retention_filter_condition(relid, spec->filter, &names);
	names.own.columns = bms_add_member(names.own.columns, get_attnum(relid, spec->column));
	spec->names = dbops_retention_names_put(&names);
	if (spec->clock.unit != 0)
		dbops_retention_check_epoch(spec, !PG_ARGISNULL(places[4]));
	if (!PG_ARGISNULL(places[3]))
	{
		if (get_rel_name(PG_GETARG_OID(places[3])) == NULL)
			ereport(ERROR,
					(errcode(ERRCODE_UNDEFINED_TABLE),
					 errmsg("table with OID %u does not exist", PG_GETARG_OID(places[3]))));
		spec->archive = dbops_quote_relation(PG_GETARG_OID(places[3]));
		(void) dbops_retention_archive_columns(spec, relid, &archive, &override);
	}
	return spec;
}

/* The same from a policy. */
RetentionSpec *
dbops_retention_spec(const Policy *policy)
{
	RetentionSpec *spec = palloc0(sizeof(RetentionSpec));
	const char *unit = dbops_jsonb_text(policy->spec, "epoch_unit");

	spec->relid = policy->relation;
	spec->zone = policy->time_zone;
	spec->column = dbops_jsonb_text(policy->spec, "column_name");
	spec->keep = DatumGetIntervalP(DirectFunctionCall3(interval_in, CStringGetDatum(dbops_jsonb_text(policy->spec, "keep")),
													   ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1)));
	spec->filter = dbops_jsonb_text(policy->spec, "filter");
	spec->condition = dbops_jsonb_text(policy->spec, "condition");
	spec->archive = dbops_jsonb_text(policy->spec, "archive_to");
	spec->names = dbops_jsonb_document(policy->spec, "names");
	settle(spec, policy->path);
	take_column(spec, unit);
	check_names(spec);
	return spec;
}

/* Refuse names that others have got since. */
static void
check_names(const RetentionSpec *spec)
{
	DbopsParam	params[] = {dbops_param_jsonb(spec->names), dbops_param_oid(spec->relid)};
	Datum		name;

	if (spec->names != NULL &&
		dbops_store_value("SELECT " RETENTION_RENAMED("$1", "$2"), lengthof(params), params, TEXTOID, &name))
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("%s, which the retention policy of table %s names, is not what it was when the policy was set",
						TextDatumGetCString(name), spec->table),
				 errhint("See what is meant, and call dbops.set_retention again.")));
}

/*
 * Have a statement about the rows mean the same whoever runs it: with the
 * search_path of who has set the policy, in its time zone. Within a nested level
 * of settings.
 */
void
dbops_retention_pin_settings(const RetentionSpec *spec)
{
	dbops_set_nested("search_path", spec->path);
	dbops_meaning_pin(spec->zone);
}

/* Fill in what follows from the table. */
static void
settle(RetentionSpec *spec, const char *path)
{
	spec->table = dbops_quote_relation(spec->relid);
	spec->owner = dbops_relation_owner(spec->relid);
	spec->path = dbops_query_safe_path(path);
	spec->clock.zone = dbops_zone_require(spec->zone);
	spec->clock.grid_zone = spec->clock.zone;
}

/* Find the column, which must say when. */
static void
take_column(RetentionSpec *spec, const char *unit)
{
	AttrNumber	attnum = get_attnum(spec->relid, spec->column);

	if (attnum <= 0)
		ereport(ERROR,
				(errcode(ERRCODE_UNDEFINED_COLUMN),
				 errmsg("table %s has no column \"%s\"", spec->table, spec->column),
				 errhint("If it was renamed, call dbops.set_retention again.")));
	spec->clock.type = getBaseType(get_atttype(spec->relid, attnum));
	if (!dbops_partition_type_is_time(spec->clock.type))
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("column \"%s\" of table %s is of type %s, which does not say when", spec->column, spec->table,
						format_type_be(get_atttype(spec->relid, attnum))),
				 errhint("Name a column of type timestamptz, timestamp or date, or an integer or bigint that counts from 1970.")));
	settle_unit(spec, unit);
}

static void
settle_unit(RetentionSpec *spec, const char *unit)
{
	if (spec->clock.type != INT4OID && spec->clock.type != INT8OID)
	{
		if (unit != NULL)
			ereport(ERROR,
					(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					 errmsg("epoch_unit is for columns that are integers, and \"%s\" is none", spec->column)));
		return;
	}
	if (unit == NULL && spec->clock.type == INT8OID)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("epoch_unit of column \"%s\" is missing", spec->column),
				 errdetail("A bigint can count seconds, milliseconds or microseconds since 1970."),
				 errhint("Add epoch_unit => 'seconds', 'milliseconds' or 'microseconds'.")));
	spec->clock.unit = (unit == NULL) ? SECONDS : unit_of(unit);
	if (spec->clock.type == INT4OID && spec->clock.unit != SECONDS)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("an integer can only count seconds since 1970"),
				 errhint("Leave epoch_unit out.")));
}

static int64
unit_of(const char *name)
{
	for (int i = 0; i < lengthof(units); i++)
		if (strcmp(name, units[i].name) == 0)
			return units[i].in_second;
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("epoch_unit cannot be \"%s\"", name),
			 errhint("Give one of: seconds, milliseconds, microseconds.")));
}

/* NULL: no unit that a column may have. */
const char *
dbops_retention_unit_name(int64 in_second)
{
	for (int i = 0; i < lengthof(units); i++)
		if (units[i].in_second == in_second)
			return units[i].name;
	return NULL;
}

/* Refuse what would reach into the present or the future, whichever months it is counted in. */
static void
check_keep(const Interval *keep)
{
	if (dbops_interval_ms(keep) <= 0 || keep->month < 0 || keep->day < 0 || keep->time < 0)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("keep must be longer than nothing, in each of its parts"),
				 errdetail("With %s rows would be deleted that are not old.", interval_text(keep)),
				 errhint("Give for how long rows are kept, such as '90 days' or '1 year'.")));
}

static char *
interval_text(const Interval *interval)
{
	int			nest_level = NewGUCNestLevel();
	char	   *text;

	dbops_set_nested("IntervalStyle", "postgres");
	text = DatumGetCString(DirectFunctionCall1(interval_out, IntervalPGetDatum(interval)));
	AtEOXact_GUC(false, nest_level);
	return text;
}

/* As the policy keeps it. */
Jsonb *
dbops_retention_put(const RetentionSpec *spec)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "column_name", spec->column);
	dbops_json_text(&json, "keep", interval_text(spec->keep));
	dbops_json_text(&json, "filter", spec->filter);
	dbops_json_text(&json, "condition", spec->condition);
	if (spec->names != NULL)
		dbops_json_document(&json, "names", spec->names);
	dbops_json_text(&json, "archive_to", spec->archive);
	dbops_json_text(&json, "epoch_unit", dbops_retention_unit_name(spec->clock.unit));
	return dbops_json_finish(&json);
}

/* Are the same rows meant by two policies, but for how old they are? */
bool
dbops_retention_same_rows(const Jsonb *a, const Jsonb *b)
{
	static const char *const members[] = {"column_name", "condition", "epoch_unit"};

	for (int i = 0; i < lengthof(members); i++)
	{
		const char *one = dbops_jsonb_text(a, members[i]);
		const char *other = dbops_jsonb_text(b, members[i]);

		if ((one == NULL) != (other == NULL) || (one != NULL && strcmp(one, other) != 0))
			return false;
	}
	return true;
}

/* Do whole partitions go? Not where some of their rows are to stay. */
bool
dbops_retention_by_partition(const RetentionSpec *spec)
{
	PartitionSet *set;

	if (spec->condition != NULL || get_rel_relkind(spec->relid) != RELKIND_PARTITIONED_TABLE ||
		dbops_partition_set_defect(spec->relid) != NULL)
		return false;
	set = dbops_partition_set_read(spec->relid, spec->clock.zone, spec->clock.unit);
	return strcmp(set->column, spec->column) == 0;
}
