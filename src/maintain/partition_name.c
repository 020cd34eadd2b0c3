/*
 * partition_name.c
 *		Names for partitions that are made: as those that are there are named.
 *
 * Of the newest partitions it is looked what stands before the time, and how
 * the time is written: by hand as 2025_01, by pg_partman as p2025_01 or
 * p20250101. Where no such way is seen, or it would give two partitions one
 * name, the name is parent_pYYYYMMDD, with _HH24MI where days are divided.
 */
#include "maintain/partition.h"

#include "catalog/namespace.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define LOOKED_AT	3			/* partitions whose names must agree */

/* How times are written in names, as of to_char; what could be taken for another one comes first. */
static const char *const formats[] = {
	"YYYY_MM_DD_HH24MISS", "YYYY_MM_DD_HH24MI", "YYYYMMDD_HH24MISS", "YYYYMMDD_HH24MI", "YYYYMMDDHH24MI",
	"YYYY_MM_DD_HH24", "YYYYMMDD_HH24", "YYYYMMDDHH24", "YYYY_MM_DD", "YYYY-MM-DD", "YYYYMMDD",
	"YYYY\"m\"MM", "YYYY_MM", "YYYY-MM", "YYYYMM", "IYYY\"w\"IW", "IYYY_IW", "IYYY\"_w\"IW",
	"YYYY\"q\"Q", "YYYY\"_q\"Q", "YYYY\"Q\"Q", "YYYY"
};

/* What stands before the time, and how the time is written. */
typedef struct NamePattern
{
	const char *prefix;
	const char *format;
} NamePattern;

static NamePattern find_pattern(const PartitionPlan *plan);
static bool find_prefix(const PartitionSet *set, const Partition *partition, const char *format, bool numbered,
						NamePattern *pattern);
static const char *without_number(const char *name);
static bool is_named_so(const PartitionSet *set, const Partition *partition, const NamePattern *pattern);
static bool tells_apart(const PartitionPlan *plan, const NamePattern *pattern);
static NamePattern own_pattern(const PartitionPlan *plan);
static char *write_time(const PartitionSet *set, int64 position, const char *format);
static char *write_name(const PartitionSet *set, int64 position, const NamePattern *pattern);
static const char *unused_name(const PartitionPlan *plan, int64 position, const NamePattern *pattern);
static bool is_used(const PartitionPlan *plan, const char *name);
static char *join(const char *prefix, const char *suffix);

/* Name all that are missing. */
void
dbops_partition_name_all(const PartitionPlan *plan)
{
	NamePattern pattern = find_pattern(plan);
	ListCell   *cell;

	foreach(cell, plan->missing)
	{
		PartitionGap *gap = lfirst(cell);

		gap->relname = unused_name(plan, gap->lower, &pattern);
	}
}

static NamePattern
find_pattern(const PartitionPlan *plan)
{
	const PartitionSet *set = plan->set;
	int			count = list_length(set->partitions);

	for (int i = 0; i < 2 * lengthof(formats) && count > 0; i++)
	{
		NamePattern pattern;
		int			agree = 0;

		if (!find_prefix(set, llast(set->partitions), formats[i % lengthof(formats)], i >= lengthof(formats), &pattern))
			continue;
		for (int n = count - 1; n >= 0 && n >= count - LOOKED_AT; n--)
			if (is_named_so(set, list_nth(set->partitions, n), &pattern))
				agree++;
		if (agree == Min(count, LOOKED_AT) && tells_apart(plan, &pattern))
			return pattern;
	}
	return own_pattern(plan);
}

/* Take what stands before the time if the name ends with it; numbered: with a number behind, as unused_name adds. */
static bool
find_prefix(const PartitionSet *set, const Partition *partition, const char *format, bool numbered, NamePattern *pattern)
{
	char	   *time;
	const char *name;
	int			before;

	if (partition->lower == PARTITION_BEGINNING)
		return false;
	time = write_time(set, partition->lower, format);
	name = numbered ? without_number(partition->relname) : partition->relname;
	before = strlen(name) - strlen(time);
	if (before <= 0 || strcmp(name + before, time) != 0 ||
		(name[before - 1] >= '0' && name[before - 1] <= '9'))
		return false;
	pattern->prefix = pnstrdup(name, before);
	pattern->format = format;
	return true;
}

static const char *
without_number(const char *name)
{
	const char *last = strrchr(name, '_');

	if (last == NULL || last[1] == '\0' || last[strspn(last + 1, "0123456789") + 1] != '\0')
		return name;
	return pnstrdup(name, last - name);
}

static bool
is_named_so(const PartitionSet *set, const Partition *partition, const NamePattern *pattern)
{
	NamePattern own;

	return partition->lower == PARTITION_BEGINNING ||
		(find_prefix(set, partition, pattern->format, false, &own) && strcmp(own.prefix, pattern->prefix) == 0) ||
		(find_prefix(set, partition, pattern->format, true, &own) && strcmp(own.prefix, pattern->prefix) == 0);
}

/* Does it name those that follow each other each in another way, now and later? */
static bool
tells_apart(const PartitionPlan *plan, const NamePattern *pattern)
{
	int64		position;
	const char *before;

	if (plan->missing == NIL)
		return true;
	position = ((PartitionGap *) linitial(plan->missing))->lower;
	before = write_name(plan->set, position, pattern);
	for (int i = 0; i < Max(list_length(plan->missing), LOOKED_AT); i++)
	{
		const char *name;

		position = dbops_partition_next(&plan->grid, position);
		name = write_name(plan->set, position, pattern);
		if (strcmp(before, name) == 0)
			return false;
		before = name;
	}
	return true;
}

static NamePattern
own_pattern(const PartitionPlan *plan)
{
	NamePattern pattern = {
		.prefix = plan->set->relname,
		.format = (plan->grid.every.time != 0) ? "\"_p\"YYYYMMDD_HH24MI" : "\"_p\"YYYYMMDD"
	};

	return pattern;
}

static char *
write_time(const PartitionSet *set, int64 position, const char *format)
{
	return TextDatumGetCString(DirectFunctionCall2(timestamp_to_char,
												   TimestampGetDatum(dbops_partition_local(&set->clock, position)),
												   CStringGetTextDatum(format)));
}

static char *
write_name(const PartitionSet *set, int64 position, const NamePattern *pattern)
{
	return join(pattern->prefix, write_time(set, position, pattern->format));
}

/* Add a number to a name that something else has. */
static const char *
unused_name(const PartitionPlan *plan, int64 position, const NamePattern *pattern)
{
	const char *time = write_time(plan->set, position, pattern->format);
	const char *unused = join(pattern->prefix, time);

	for (int i = 1; is_used(plan, unused); i++)
		unused = join(pattern->prefix, psprintf("%s_%d", time, i));
	return unused;
}

/* A table takes the name of its row type as well. */
static bool
is_used(const PartitionPlan *plan, const char *name)
{
	Oid			schema = get_namespace_oid(dbops_partition_schema(plan->set), false);
	ListCell   *cell;

	foreach(cell, plan->missing)
	{
		const char *other = ((PartitionGap *) lfirst(cell))->relname;

		if (other != NULL && strcmp(other, name) == 0)
			return true;
	}
	return OidIsValid(get_relname_relid(name, schema)) ||
		SearchSysCacheExists2(TYPENAMENSP, CStringGetDatum(name), ObjectIdGetDatum(schema));
}

/* What is too long is cut before the suffix, at the end of a character. */
static char *
join(const char *prefix, const char *suffix)
{
	int			room = NAMEDATALEN - 1 - strlen(suffix);
	int			kept = pg_mbcliplen(prefix, strlen(prefix), Max(room, 0));

	return psprintf("%.*s%s", kept, prefix, suffix);
}
