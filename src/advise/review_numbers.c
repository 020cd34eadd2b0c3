/*
 * review_numbers.c
 *		Rules about numbers that run out: integer keys and sequences.
 *
 * What counts is the type of the column that a number goes into: a sequence of
 * bigint says nothing of how many an integer column can hold.
 */
#include "advise/review.h"
#include "core/sequences.h"

#define HALF		50.0		/* percent used: time enough to widen a column in steps */
#define MOSTLY		80.0		/* percent used: it must be done now */
#define NEARLY		75.0		/* percent of a sequence, as the health check has it */
#define ALMOST		90.0		/* likewise */

static void judge_columns(DbopsReview *review);
static void judge_sequences(DbopsReview *review);
static void report_sequence(DbopsReview *review, const Sequence *sequence);
static bool is_narrow(const Sequence *sequence);
static int64 most_of(const Sequence *sequence);

static const DbopsRule rules[] = {
	{
		.name = "keys.integer_near_end",
		.severity = DBOPS_WARNING,
		.about = "smallint and integer columns whose sequence has used half of what the column can hold",
		.source = "pghero, check_pgactivity, pgmonitor",
		.judge = judge_columns
	},
	{
		.name = "keys.integer_assigned",
		.severity = DBOPS_WARNING,
		.about = "smallint and integer primary keys without a sequence, of which statistics have seen a value beyond half of the range",
		.source = "pghero",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s percent of what %s can hold is used, by the highest value that ANALYZE has seen', round(100.0 * m.most / r.most), a.atttypid::regtype),"
		" format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint;', c.oid::regclass, a.attname), CASE WHEN m.most > 0.8 * r.most THEN 'critical' END"
		" FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = a.attnum AND NOT s.stainherit"
		" CROSS JOIN LATERAL (SELECT max(b.value) AS most FROM unnest(CASE 2 WHEN s.stakind1 THEN s.stavalues1::text::int8[] WHEN s.stakind2 THEN s.stavalues2::text::int8[]"
		" WHEN s.stakind3 THEN s.stavalues3::text::int8[] WHEN s.stakind4 THEN s.stavalues4::text::int8[] WHEN s.stakind5 THEN s.stavalues5::text::int8[] END) b (value)) m"
		" CROSS JOIN LATERAL (SELECT CASE a.atttypid WHEN 21 THEN 32767 ELSE 2147483647 END AS most) r"
		" WHERE i.indisprimary AND i.indnkeyatts = 1 AND a.atttypid IN (21, 23) AND m.most > 0.5 * r.most AND " IS_TABLE("c")
		" AND NOT EXISTS (SELECT FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' WHERE d.classid = 'pg_class'::regclass"
		" AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum)"
		" AND NOT EXISTS (SELECT FROM pg_attrdef e JOIN pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = e.oid AND d.refclassid = 'pg_class'::regclass"
		" JOIN pg_class q ON q.oid = d.refobjid AND q.relkind = 'S' WHERE e.adrelid = c.oid AND e.adnum = a.attnum)",
		.as_owner = true
	},
	{
		.name = "sequences.exhaustion",
		.severity = DBOPS_WARNING,
		.about = "sequences that come to their end, or to that of their column",
		.source = "pgmonitor, pghero",
		.judge = judge_sequences
	},
	{
		.name = "sequences.narrow",
		.severity = DBOPS_WARNING,
		.about = "sequences that end long before the bigint column that they fill",
		.source = "reports of home-assistant and Hangfire",
		.sql = "SELECT s.seqrelid::regclass::text, format('it is of %s and ends at %s, and its column %I of %s is a bigint', s.seqtypid::regtype, s.seqmax, a.attname, a.attrelid::regclass),"
		" format('ALTER SEQUENCE %s AS bigint;', s.seqrelid::regclass)"
		" FROM pg_sequence s JOIN pg_class q ON q.oid = s.seqrelid JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.seqrelid"
		" AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')"
		" JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
		" WHERE s.seqtypid IN (21, 23) AND s.seqmax = CASE s.seqtypid WHEN 21 THEN 32767 ELSE 2147483647 END AND s.seqincrement > 0 AND NOT s.seqcycle"
		" AND a.atttypid = 20 AND " IS_USERS("q")
	},
	{
		.name = "keys.integer",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "smallint and integer primary keys that a sequence fills, however far it has come",
		.source = "PostgreSQL's wiki, pghero",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s as a key that grows: to widen it later rewrites the table', a.atttypid::regtype),"
		" format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint;', c.oid::regclass, a.attname)"
		" FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" WHERE i.indisprimary AND i.indnkeyatts = 1 AND a.atttypid IN (21, 23) AND " IS_TABLE("c")
		" AND EXISTS (SELECT FROM pg_depend d JOIN pg_class q ON q.oid = d.objid AND q.relkind = 'S' WHERE d.classid = 'pg_class'::regclass"
		" AND d.refclassid = 'pg_class'::regclass AND d.refobjid = c.oid AND d.refobjsubid = a.attnum)"
	}
};

const DbopsRuleSet dbops_number_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};

/* Columns that end before a bigint would. */
static void
judge_columns(DbopsReview *review)
{
	ListCell   *cell;

	foreach(cell, dbops_sequences_read(HALF, NULL))
	{
		const Sequence *sequence = lfirst(cell);

		if (sequence->cycles || !is_narrow(sequence))
			continue;
		dbops_review_report(review, (DbopsFinding)
							{
								.severity = sequence->used >= MOSTLY ? DBOPS_CRITICAL : DBOPS_WARNING,
								.object = sequence->column,
								.message = psprintf("%.0f percent of what %s can hold is used: %s is at " INT64_FORMAT,
													sequence->used, sequence->type, sequence->name, sequence->last),
								.remedy = psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE bigint; ALTER SEQUENCE %s AS bigint;",
												   sequence->table, sequence->column_name, sequence->name)
							});
	}
}

/* Does it end with the type of its column? */
static bool
is_narrow(const Sequence *sequence)
{
	return sequence->column != NULL && strcmp(sequence->type, "bigint") != 0 && sequence->bound == most_of(sequence);
}

static int64
most_of(const Sequence *sequence)
{
	int64		most = strcmp(sequence->type, "smallint") == 0 ? PG_INT16_MAX : PG_INT32_MAX;

	return sequence->ascends ? most : -most - 1;
}

/* All that come to their end, as the health check finds them and under the same keys. */
static void
judge_sequences(DbopsReview *review)
{
	ListCell   *cell;

	foreach(cell, dbops_sequences_read(NEARLY, NULL))
		if (!((const Sequence *) lfirst(cell))->cycles)
			report_sequence(review, lfirst(cell));
}

static void
report_sequence(DbopsReview *review, const Sequence *sequence)
{
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = sequence->used >= ALMOST ? DBOPS_CRITICAL : DBOPS_WARNING,
							.object = sequence->name,
							.message = psprintf("it is at " INT64_FORMAT "; " INT64_FORMAT " is the last that it or its column can hold",
												sequence->last, sequence->bound),
							.remedy = is_narrow(sequence) ?
								psprintf("ALTER TABLE %s ALTER COLUMN %s TYPE bigint; ALTER SEQUENCE %s AS bigint;",
										 sequence->table, sequence->column_name, sequence->name) :
								psprintf("ALTER SEQUENCE %s AS bigint NO %s;", sequence->name, sequence->ascends ? "MAXVALUE" : "MINVALUE")
						});
}
