/*
 * partition_turn_boundary.c
 *		Where the first partition ends, and what it is called.
 *
 * The constraint that proves it must refuse nothing that the application
 * inserts. So the boundary is beyond all rows, and so far ahead that it is not
 * reached while it is proven.
 */
#include "maintain/partition_turn.h"

#include "catalog/pg_type.h"
#include "datatype/timestamp.h"
#include "utils/lsyscache.h"

#define FARTHEST		(100 * 365 * USECS_PER_DAY) /* that a row may be ahead */
#define SCAN_PER_SECOND	(32 * 1024 * 1024)	/* bytes, with caution */

static int64 headroom(const PartitionTurn *turn);
static int64 highest_value(PartitionTurn *turn);
static void take_unit(PartitionTurn *turn, bool found, Datum value);
static const char *first_name(const PartitionTurn *turn);

/* Find the first boundary that neither time nor those who insert reach meanwhile, and a name that is free. */
void
dbops_partition_turn_bound(PartitionTurn *turn)
{
	int64		highest = highest_value(turn);
	int64		now = dbops_partition_position_at(&turn->set.clock, dbops_clock_now());

	if (highest > now + FARTHEST)
		ereport(ERROR,
				(errcode(ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE),
				 errmsg("table %s has rows whose %s is infinite or more than 100 years ahead", turn->name, dbops_quote_name(turn->column)),
				 errdetail("All rows until then would be in its first partition."),
				 errhint("See SELECT * FROM %s ORDER BY %s DESC LIMIT 10, and change or delete them.",
						 turn->name, dbops_quote_name(turn->column))));
	turn->grid = dbops_partition_grid(&turn->set, &turn->every);
	turn->boundary = dbops_partition_next(&turn->grid, Max(now, highest) + headroom(turn));
	turn->first = first_name(turn);
}

/* A day, and twice as long as the proof may take. */
static int64
headroom(const PartitionTurn *turn)
{
	return USECS_PER_DAY + 2 * (dbops_relation_bytes(turn->table) / SCAN_PER_SECOND) * USECS_PER_SEC;
}

static int64
highest_value(PartitionTurn *turn)
{
	PartitionClock *clock = &turn->set.clock;
	const char *sql = psprintf("SELECT max(%s) FROM ONLY %s", dbops_quote_name(turn->column), turn->name);
	Datum		highest;
	bool		found = dbops_partition_ask(turn->owner, sql, clock->type, &highest);

	if (clock->type == INT4OID || clock->type == INT8OID)
		take_unit(turn, found, highest);
	return found ? dbops_partition_position(clock, highest) : PARTITION_BEGINNING;
}

/* Take the unit of an integer epoch as its highest value looks. */
static void
take_unit(PartitionTurn *turn, bool found, Datum value)
{
	PartitionClock *clock = &turn->set.clock;

	if (found)
		clock->unit = dbops_epoch_unit_of(clock->type == INT4OID ? DatumGetInt32(value) : DatumGetInt64(value));
	if (clock->unit == 0)
		ereport(ERROR,
				(errcode(ERRCODE_DATATYPE_MISMATCH),
				 errmsg("the values of column %s of table %s do not look like times since 1970",
						dbops_quote_name(turn->column), turn->name)));
}

static const char *
first_name(const PartitionTurn *turn)
{
	const char *name = psprintf("%.*s_before", NAMEDATALEN - 12, turn->relname);
	const char *unused = name;

	for (int i = 1; OidIsValid(get_relname_relid(unused, get_rel_namespace(turn->table))); i++)
		unused = psprintf("%s_%d", name, i);
	return unused;
}
