/*
 * review_partitions.c
 *		Rules about partitions: missing ahead, rows in the default one.
 *
 * Bounds are read from the catalog's trees, as the server reads them. Only tables
 * that are partitioned by range of one date or time column are judged for what
 * lies ahead; a partition that is partitioned itself, within a range of time, ends
 * with that. A table into which nothing has gone since the server began to count
 * may be an archive, and that it ended is less grave.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

#include "catalog/pg_type.h"
#include "nodes/parsenodes.h"
#include "nodes/primnodes.h"
#include "utils/builtins.h"
#include "utils/date.h"

#define LONGEST_AHEAD	(30 * USECS_PER_DAY)	/* that a partition is asked for before its time */

/* What one partition is for; without an end, DT_NOBEGIN or DT_NOEND. */
typedef struct Span
{
	TimestampTz begin;
	TimestampTz end;
} Span;

/* How far the partitions of one table reach. */
typedef struct Reach
{
	char	   *parent;			/* NULL: none yet */
	bool		has_default;
	bool		in_use;			/* rows were inserted */
	char	   *policy;			/* what its policy of partitioning says; NULL: it has none */
	List	   *spans;			/* of Span * */
	TimestampTz end;			/* up to which they follow each other, from now on or before */
	TimestampTz begin;			/* of the one that ends then */
	bool		gap;			/* others come later */
} Reach;

/* Tables, and partitions that are partitioned themselves, of which there are no partitions. */
#define EMPTY \
	"SELECT c.oid::regclass::text FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid " \
	"WHERE NOT EXISTS (SELECT FROM pg_inherits h WHERE h.inhparent = c.oid) AND " IS_USERS("c")

static void judge_ahead(DbopsReview *review);
static void take_empty(HeapTuple row, TupleDesc desc, void *arg);
static void take_partition(HeapTuple row, TupleDesc desc, void *arg);
static void take_bounds(Reach *reach, const PartitionBoundSpec *bound);
static TimestampTz bound_time(const List *bound);
static void follow(Reach *reach, TimestampTz now);
static int	by_begin(const ListCell *a, const ListCell *b);
static void report_reach(DbopsReview *review);
static const char *say_reach(const Reach *reach, bool over);
static bool is_far(const Reach *reach, TimestampTz now);
static DbopsSeverity severity_of(const Reach *reach, bool over);
static const char *say_time(TimestampTz time);

static const DbopsRule rules[] = {
	{
		.name = "partitions.ahead",
		.severity = DBOPS_WARNING,
		.about = "partitioned tables without partitions, or whose partitions end before another one's time, or 30 days, have passed",
		.source = "check_postgres, pg_partman, guide 001's checklist",
		.judge = judge_ahead,
		.as_owner = true
	},
	{
		.name = "partitions.default_filled",
		.severity = DBOPS_WARNING,
		.about = "default partitions that hold rows",
		.source = "pg_partman's check_default()",
		.sql = "SELECT d.oid::regclass::text, CASE WHEN p.partstrat = 'r' THEN 'it holds rows that no partition was there for, and keeps one from being made for them'"
		" ELSE 'it holds rows of values that no partition is for' END,"
		" CASE WHEN p.partstrat = 'r' AND p.partnatts = 1 AND EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = p.partrelid AND a.attnum = p.partattrs[0] AND a.atttypid IN " TYPES_OF_TIME ")"
		" THEN format('CALL dbops.drain_default(%L);', p.partrelid::regclass::text)"
		" WHEN p.partstrat = 'r' THEN 'Detach it, create partitions for what it holds, and insert its rows through the table.'"
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
	dbops_review_ask(review, EMPTY, take_empty);
	dbops_review_ask(review,
					 "SELECT c.oid::regclass::text, p.partdefid <> 0, k.relpartbound::text, pg_stat_get_tuples_inserted(k.oid) > 0,"
					 " (SELECT coalesce('; its policy says: ' || y.note, '; its policy has made none') FROM dbops.policy y WHERE y.relation = c.oid AND y.kind = 'partitioning')"
					 " FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN pg_inherits h ON h.inhparent = c.oid JOIN pg_class k ON k.oid = h.inhrelid"
					 " JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = p.partattrs[0]"
					 " WHERE p.partstrat = 'r' AND p.partnatts = 1 AND a.atttypid IN " TYPES_OF_TIME
					 " AND NOT (c.relispartition AND EXISTS (SELECT FROM pg_partition_ancestors(c.oid) u JOIN pg_partitioned_table q ON q.partrelid = u.relid AND q.partstrat = 'r'"
					 " JOIN pg_attribute b ON b.attrelid = q.partrelid AND b.attnum = q.partattrs[0] AND b.atttypid IN " TYPES_OF_TIME " WHERE u.relid <> c.oid))"
					 " AND " IS_USERS("c") " ORDER BY c.oid",
					 take_partition);
	report_reach(review);
}

/* A table that takes no row at all. */
static void
take_empty(HeapTuple row, TupleDesc desc, void *arg)
{
	dbops_review_report(arg, (DbopsFinding)
						{
							.severity = DBOPS_CRITICAL,
							.object = dbops_row_text(row, desc, 1),
							.message = "it has no partition, so that every row is refused",
							.remedy = "Create its partitions; of one that is ranged by time, dbops.set_partitioning(parent, every) makes them ahead."
						});
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
		*reach = (Reach) {.parent = parent, .has_default = dbops_row_bool(row, desc, 2), .policy = dbops_row_text(row, desc, 5)};
	}
	reach->in_use |= dbops_row_bool(row, desc, 4);
	if (bound != NULL)
		take_bounds(reach, castNode(PartitionBoundSpec, stringToNode(bound)));
}

static void
take_bounds(Reach *reach, const PartitionBoundSpec *bound)
{
	Span	   *span;

	if (bound->is_default)
		return;
	span = palloc(sizeof(Span));
	span->begin = bound_time(bound->lowerdatums);
	span->end = bound_time(bound->upperdatums);
	reach->spans = lappend(reach->spans, span);
}

/* The time that a bound of one column is; a day that no timestamp reaches is as far away as none. */
static TimestampTz
bound_time(const List *bound)
{
	const PartitionRangeDatum *datum = linitial(bound);
	const Const *value;
	int			overflow = 0;

	if (datum->kind != PARTITION_RANGE_DATUM_VALUE)
		return (datum->kind == PARTITION_RANGE_DATUM_MINVALUE) ? DT_NOBEGIN : DT_NOEND;
	value = castNode(Const, datum->value);
	if (value->consttype == DATEOID)
		return date2timestamp_opt_overflow(DatumGetDateADT(value->constvalue), &overflow);
	return DatumGetTimestampTz(value->constvalue);
}

/* Follow the partitions that lie before now, and then those that come without a gap. */
static void
follow(Reach *reach, TimestampTz now)
{
	ListCell   *cell;

	list_sort(reach->spans, by_begin);
	reach->begin = reach->end = DT_NOBEGIN;
	foreach(cell, reach->spans)
	{
		const Span *span = lfirst(cell);

		reach->gap = (span->begin > Max(reach->end, now));
		if (reach->gap)
			return;
		if (span->end > reach->end)
		{
			reach->begin = span->begin;
			reach->end = span->end;
		}
	}
}

static int
by_begin(const ListCell *a, const ListCell *b)
{
	TimestampTz left = ((const Span *) lfirst(a))->begin;
	TimestampTz right = ((const Span *) lfirst(b))->begin;

	return (left > right) - (left < right);
}

/* Say so if the last partition is that of now, or over. */
static void
report_reach(DbopsReview *review)
{
	Reach	   *reach = review->state;
	TimestampTz now = dbops_clock_now();
	bool		over;

	if (reach->spans == NIL)
		return;
	follow(reach, now);
	over = (reach->end <= now);
	if (is_far(reach, now))
		return;
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = severity_of(reach, over),
							.object = reach->parent,
							.message = psprintf("%s%s", say_reach(reach, over), (reach->policy == NULL) ? "" : reach->policy),
							.remedy = psprintf("%sCALL dbops.run_partitioning(%s);", (reach->policy != NULL) ? "" :
											   psprintf("SELECT dbops.set_partitioning(%s);\n", quote_literal_cstr(reach->parent)),
											   quote_literal_cstr(reach->parent))
						});
}

static const char *
say_reach(const Reach *reach, bool over)
{
	const char *what = reach->gap ? "the last partition before a gap" : "its last partition";

	if (!over)
		return psprintf("%s ends at %s, and none comes after it%s", what, say_time(reach->end), reach->gap ? " without one" : "");
	return psprintf("%s %s%s", (reach->end == DT_NOBEGIN) ? "all of its partitions begin later:" :
					psprintf("%s ended at %s:", what, say_time(reach->end)),
					reach->has_default ? "rows go to the default partition" : "rows of now are refused",
					(reach->has_default || reach->in_use) ? "" : ", though none have been inserted since the server began to count");
}

/* Does the last partition end later than another one is to be there? */
static bool
is_far(const Reach *reach, TimestampTz now)
{
	TimestampTz ahead = (reach->begin == DT_NOBEGIN) ? LONGEST_AHEAD : Min(reach->end - reach->begin, LONGEST_AHEAD);

	return reach->end == DT_NOEND || (reach->end > now && reach->end - now > ahead);
}

static DbopsSeverity
severity_of(const Reach *reach, bool over)
{
	return (over && !reach->has_default && reach->in_use) ? DBOPS_CRITICAL : DBOPS_WARNING;
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
