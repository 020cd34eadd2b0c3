/*
 * review_partitions.c
 *		Rules about partitions: missing ahead, rows in the default one.
 *
 * Bounds are read from the catalog's trees, as the server reads them. Only tables
 * that are partitioned by range of one date or time column are judged for what
 * lies ahead; a partition that is partitioned itself, within a range of time, ends
 * with that.
 */
#include "advise/review.h"

#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/date.h"

/* How far the partitions of one table reach. */
typedef struct Reach
{
	char	   *parent;			/* NULL: none yet */
	bool		has_default;
	bool		endless;		/* the last one has no end */
	TimestampTz end;			/* of the last one; 0: none */
	TimestampTz begin;			/* of the last one */
} Reach;

static void judge_ahead(DbopsReview *review);
static void take_partition(HeapTuple row, TupleDesc desc, void *arg);
static void take_bounds(Reach *reach, const PartitionBoundSpec *bound);
static bool bound_time(const List *bound, TimestampTz *time);
static void report_reach(DbopsReview *review);
static const char *say_time(TimestampTz time);

static const DbopsRule rules[] = {
	{
		.name = "partitions.ahead",
		.severity = DBOPS_WARNING,
		.about = "partitioned tables whose partitions end before another one's time has passed",
		.source = "check_postgres, pg_partman, guide 001's checklist",
		.judge = judge_ahead
	},
	{
		.name = "partitions.default_filled",
		.severity = DBOPS_WARNING,
		.about = "default partitions that hold rows",
		.source = "pg_partman's check_default()",
		.sql = "SELECT d.oid::regclass::text, CASE WHEN p.partstrat = 'r' THEN 'it holds rows that no partition was there for, and keeps one from being made for them'"
		" ELSE 'it holds rows of values that no partition is for' END,"
		" CASE WHEN p.partstrat = 'r' THEN format('CALL dbops.drain_default(%L);', p.partrelid::regclass::text)"
		" ELSE format('Make partitions of %s for the values that are frequent in it, if they are to have their own.', p.partrelid::regclass) END,"
		" CASE WHEN p.partstrat <> 'r' THEN 'info' END"
		" FROM pg_partitioned_table p JOIN pg_class d ON d.oid = p.partdefid WHERE (d.reltuples > 0 OR pg_stat_get_live_tuples(d.oid) > 0) AND " IS_USERS("d")
	}
};

const DbopsRuleSet dbops_partition_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};

/* All partitions of all such tables in one look, table after table. */
static void
judge_ahead(DbopsReview *review)
{
	Reach		reach = {0};

	review->state = &reach;
	dbops_review_ask(review,
					 "SELECT c.oid::regclass::text, p.partdefid <> 0, k.relpartbound::text"
					 " FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN pg_inherits h ON h.inhparent = c.oid JOIN pg_class k ON k.oid = h.inhrelid"
					 " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]"
					 " WHERE p.partstrat = 'r' AND p.partnatts = 1 AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)"
					 " AND NOT EXISTS (SELECT FROM pg_inherits u JOIN pg_partitioned_table q ON q.partrelid = u.inhparent AND q.partstrat = 'r' WHERE u.inhrelid = c.oid)"
					 " AND " IS_USERS("c") " ORDER BY c.oid",
					 take_partition);
	report_reach(review);
}

static void
take_partition(HeapTuple row, TupleDesc desc, void *arg)
{
	DbopsReview *review = arg;
	Reach	   *reach = review->state;
	char	   *parent = dbops_row_text(row, desc, 1);
	char	   *bound = dbops_row_text(row, desc, 3);

	CHECK_FOR_INTERRUPTS();
	if (reach->parent == NULL || strcmp(reach->parent, parent) != 0)
	{
		report_reach(review);
		*reach = (Reach) {.parent = parent, .has_default = dbops_row_bool(row, desc, 2)};
	}
	if (bound != NULL)
		take_bounds(reach, castNode(PartitionBoundSpec, stringToNode(bound)));
}

static void
take_bounds(Reach *reach, const PartitionBoundSpec *bound)
{
	TimestampTz begin;
	TimestampTz end;

	if (bound->is_default)
		return;
	if (!bound_time(bound->upperdatums, &end))
		reach->endless = true;
	else if (reach->end == 0 || end > reach->end)
	{
		reach->end = end;
		reach->begin = bound_time(bound->lowerdatums, &begin) ? begin : end;
	}
}

/* The time that a bound of one column is; false: it is none, as MAXVALUE and infinity. */
static bool
bound_time(const List *bound, TimestampTz *time)
{
	const PartitionRangeDatum *datum = linitial(bound);
	const Const *value;

	if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
		return false;
	value = castNode(Const, datum->value);
	if (value->consttype == DATEOID)
		*time = DatumGetTimestamp(DirectFunctionCall1(date_timestamp, value->constvalue));
	else
		*time = DatumGetTimestampTz(value->constvalue);
	return !TIMESTAMP_NOT_FINITE(*time);
}

/* Say so if the last partition is that of now, or over. */
static void
report_reach(DbopsReview *review)
{
	const Reach *reach = review->state;
	TimestampTz now = dbops_clock_now();
	bool		over = reach->end <= now;

	if (reach->parent == NULL || reach->endless || reach->end == 0 || reach->end - now > reach->end - reach->begin)
		return;
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = (over && !reach->has_default) ? DBOPS_CRITICAL : DBOPS_WARNING,
							.object = reach->parent,
							.message = !over ? psprintf("its last partition ends at %s, and none comes after it", say_time(reach->end)) :
								reach->has_default ? psprintf("its last partition ended at %s: rows go to the default partition", say_time(reach->end)) :
								psprintf("its last partition ended at %s: rows of now are refused", say_time(reach->end)),
							.remedy = psprintf("SELECT dbops.set_partitioning(%s); CALL dbops.run_partitioning(%s);",
											   quote_literal_cstr(reach->parent), quote_literal_cstr(reach->parent))
						});
}

/* The same for every session: in UTC. */
static const char *
say_time(TimestampTz time)
{
	struct pg_tm tm;
	fsec_t		fraction;

	if (timestamp2tm(time, NULL, &tm, &fraction, NULL, NULL) != 0)
		return "an unknown time";
	return psprintf("%04d-%02d-%02d %02d:%02d UTC", tm.tm_year, tm.tm_mon, tm.tm_mday, tm.tm_hour, tm.tm_min);
}
