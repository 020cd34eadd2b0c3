/*
 * retention_epoch.c
 *		Does an integer column count time at all?
 *
 * The numbers of a serial column pass for seconds of January 1970, and all of
 * its rows would be old. So one value is looked for that is a time which
 * somebody may have written, in the unit that the column is said to count:
 * after 1990, and not a century ahead. Others beside it are let pass, as they
 * may stand for never.
 *
 * The newest entries of an index tell; else the server's statistics may, and if
 * not some blocks at both ends of the table.
 */
#include "maintain/retention.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "catalog/pg_type.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

/* Positions: 1990-01-01, and how far ahead of now. */
#define FIRST_TIME	(-3652 * USECS_PER_DAY)
#define AHEAD		(36525 * USECS_PER_DAY)
#define LOOK_BLOCKS		16		/* at each end */
#define LOOK_ENTRIES	1000	/* of an index, at each side of the bound */

/* A look for values of the column. */
typedef struct EpochLook
{
	const RetentionSpec *spec;
	const RetentionLeaf *leaf;
	int64		most;			/* the last value that may be a time */
	int64		newest;			/* of those up to it */
	int64		beyond;			/* the first of the others */
	bool		any;			/* there is one up to it */
	bool		any_beyond;
} EpochLook;

static int64 most_of(const PartitionClock *clock);
static bool found_time(const EpochLook *look);
static void look_at_tree(void *arg);
static void look_at_leaf(EpochLook *look);
static bool has_index(const EpochLook *look);
static void take_value(EpochLook *look, int64 value);
static void look_at_statistics(EpochLook *look);
static void take_slot(EpochLook *look, HeapTuple tuple, int kind);
static void look_as_owner(void *arg);
static void look_by_index(EpochLook *look);
static char *one_of_entries(const EpochLook *look, const char *which, const char *compared, const char *order);
static void look_at_blocks(EpochLook *look, BlockNumber from, BlockNumber to);
static void ask(EpochLook *look, const char *sql);
static void take_values(HeapTuple row, TupleDesc desc, void *arg);
static void refuse_empty(const RetentionSpec *spec);
static void refuse(const EpochLook *look);
static char *detail(const EpochLook *look);

/* Refuse an integer column that counts something else; given: its unit was, so that an empty table will do. */
void
dbops_retention_check_epoch(const RetentionSpec *spec, bool given)
{
	EpochLook	look = {.spec = spec,.most = most_of(&spec->clock)};

	dbops_query_inside(look_at_tree, &look);
	if (found_time(&look))
		return;
	if (look.any || look.any_beyond)
		refuse(&look);
	if (!given)
		refuse_empty(spec);
}

static int64
most_of(const PartitionClock *clock)
{
	if (clock->type == INT4OID)
		return PG_INT32_MAX;
	return dbops_retention_raw(clock, dbops_partition_value(clock, dbops_clock_now() + AHEAD));
}

static bool
found_time(const EpochLook *look)
{
	const PartitionClock *clock = &look->spec->clock;

	return look->any && dbops_partition_position(clock, dbops_retention_datum(clock, look->newest)) >= FIRST_TIME;
}

static void
look_at_tree(void *arg)
{
	EpochLook  *look = arg;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(look->spec->relid, NoLock, NULL))
	{
		CHECK_FOR_INTERRUPTS();
		look->leaf = (get_rel_relkind(lfirst_oid(cell)) == RELKIND_RELATION) ?
			dbops_retention_leaf(look->spec, lfirst_oid(cell)) : NULL;
		if (look->leaf == NULL || look->leaf->blocks == 0)
			continue;
		look_at_leaf(look);
		if (found_time(look))
			return;
	}
}

/* The statistics are of all rows. */
static void
look_at_leaf(EpochLook *look)
{
	if (!has_index(look) && look->spec->condition == NULL)
		look_at_statistics(look);
	if (!found_time(look))
		dbops_run_as(look->spec->owner, look_as_owner, look);
}

static bool
has_index(const EpochLook *look)
{
	return OidIsValid(look->leaf->index) && !look->leaf->partial;
}

static void
take_value(EpochLook *look, int64 value)
{
	if (value > look->most)
	{
		look->beyond = look->any_beyond ? Min(look->beyond, value) : value;
		look->any_beyond = true;
		return;
	}
	look->newest = look->any ? Max(look->newest, value) : value;
	look->any = true;
}

static void
look_at_statistics(EpochLook *look)
{
	HeapTuple	tuple = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(look->leaf->relid),
										Int16GetDatum(get_attnum(look->leaf->relid, look->spec->column)), BoolGetDatum(false));

	if (!HeapTupleIsValid(tuple))
		return;
	take_slot(look, tuple, STATISTIC_KIND_MCV);
	take_slot(look, tuple, STATISTIC_KIND_HISTOGRAM);
	ReleaseSysCache(tuple);
}

static void
take_slot(EpochLook *look, HeapTuple tuple, int kind)
{
	AttStatsSlot slot;

	if (!get_attstatsslot(&slot, tuple, kind, InvalidOid, ATTSTATSSLOT_VALUES))
		return;
	for (int i = 0; i < slot.nvalues; i++)
		take_value(look, dbops_retention_raw(&look->spec->clock, slot.values[i]));
	free_attstatsslot(&slot);
}

static void
look_as_owner(void *arg)
{
	EpochLook  *look = arg;
	BlockNumber blocks = look->leaf->blocks;

	dbops_retention_pin_settings(look->spec);
	dbops_set_nested("row_security", "off");
	dbops_set_nested("enable_tidscan", "on");
	if (has_index(look))
		look_by_index(look);
	else
	{
		look_at_blocks(look, blocks - Min(blocks, LOOK_BLOCKS), blocks);
		look_at_blocks(look, 0, Min(blocks, LOOK_BLOCKS));
	}
}

/* The newest entries up to the last one that may be a time, and the first beyond. */
static void
look_by_index(EpochLook *look)
{
	dbops_set_nested("enable_indexscan", "on");
	dbops_set_nested("enable_seqscan", "off");
	dbops_set_nested("enable_bitmapscan", "off");
	dbops_set_nested("enable_sort", "off");
	ask(look, psprintf("SELECT %s, %s", one_of_entries(look, "max", "<=", " DESC"), one_of_entries(look, "min", ">", "")));
}

static char *
one_of_entries(const EpochLook *look, const char *which, const char *compared, const char *order)
{
	const char *column = psprintf(RETENTION_ROW ".%s", quote_identifier(look->spec->column));

	return psprintf("(SELECT pg_catalog.%s(%s)::bigint FROM (SELECT " RETENTION_ROW ".* FROM ONLY %s AS " RETENTION_ROW
					" WHERE %s OPERATOR(pg_catalog.%s) $1 ORDER BY %s%s LIMIT %d) AS " RETENTION_ROW " WHERE %s)",
					which, column, look->leaf->name, column, compared, column, order, LOOK_ENTRIES,
					dbops_retention_meant(look->spec));
}

static void
look_at_blocks(EpochLook *look, BlockNumber from, BlockNumber to)
{
	const char *column = psprintf(RETENTION_ROW ".%s", quote_identifier(look->spec->column));

	ask(look, psprintf("SELECT pg_catalog.max(%s) FILTER (WHERE %s OPERATOR(pg_catalog.<=) $1)::bigint,"
					   " pg_catalog.min(%s) FILTER (WHERE %s OPERATOR(pg_catalog.>) $1)::bigint FROM ONLY %s AS " RETENTION_ROW
					   " WHERE " RETENTION_ROW ".ctid OPERATOR(pg_catalog.>=) '(%u,0)'::pg_catalog.tid"
					   " AND " RETENTION_ROW ".ctid OPERATOR(pg_catalog.<) '(%u,0)'::pg_catalog.tid AND %s",
					   column, column, column, column, look->leaf->name, from, to, dbops_retention_meant(look->spec)));
}

static void
ask(EpochLook *look, const char *sql)
{
	Oid			types[] = {INT8OID};
	Datum		values[] = {Int64GetDatum(look->most)};
	DbopsStatement *statement = dbops_statement_prepare(sql, lengthof(types), types);

	PushActiveSnapshot(GetTransactionSnapshot());
	dbops_statement_run(statement, values, true, take_values, look);
	PopActiveSnapshot();
	dbops_statement_free(statement);
}

static void
take_values(HeapTuple row, TupleDesc desc, void *arg)
{
	for (int i = 1; i <= 2; i++)
	{
		bool		isnull;
		Datum		value = heap_getattr(row, i, desc, &isnull);

		if (!isnull)
			take_value(arg, DatumGetInt64(value));
	}
}

static void
refuse_empty(const RetentionSpec *spec)
{
	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" of table %s has no value yet that shows that it counts seconds since 1970", spec->column, spec->table),
			 errhint("If it does, add epoch_unit => 'seconds'.")));
}

static void
refuse(const EpochLook *look)
{
	const RetentionSpec *spec = look->spec;
	const char *likely = dbops_retention_unit_name(dbops_epoch_unit_of(look->any ? look->newest : look->beyond));

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("column \"%s\" of table %s does not count %s since 1970", spec->column, spec->table,
					dbops_retention_unit_name(spec->clock.unit)),
			 errdetail("%s", detail(look)),
			 (likely != NULL && spec->clock.type == INT8OID) ?
			 errhint("If it counts %s, add epoch_unit => '%s'.", likely, likely) :
			 errhint("Name a column that says when: one of type timestamptz, timestamp or date, or an integer that counts from 1970.")));
}

static char *
detail(const EpochLook *look)
{
	const PartitionClock *clock = &look->spec->clock;
	int64		newest = dbops_partition_position(clock, dbops_retention_datum(clock, look->newest));

	if (!look->any)
		return psprintf("Its values, such as " INT64_FORMAT ", would be more than a century ahead.", look->beyond);
	if (newest == PARTITION_BEGINNING)
		return psprintf("The newest value that was found is " INT64_FORMAT ".", look->newest);
	return psprintf("The newest value that was found, " INT64_FORMAT ", would be %s.", look->newest, timestamptz_to_str(newest));
}
