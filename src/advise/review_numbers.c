/*
 * review_numbers.c
 *		Rules about numbers that run out: integer keys and sequences.
 *
 * What counts is the type of the column that a number goes into: a sequence of
 * bigint says nothing of how many an integer column can hold.
 */
#include "advise/review.h"
#include "advise/review_sql.h"
#include "core/sequences.h"

#include "catalog/pg_type.h"

#define HALF		50.0		/* percent used: time enough to widen a column in steps */
#define MOSTLY		80.0		/* percent used: it must be done now */
#define NEARLY		75.0		/* percent of a sequence, as the health check has it */
#define ALMOST		90.0		/* likewise */

/* What widens columns, in the order in which they are given; null: the column is gone. */
#define WIDENING \
	"SELECT CASE WHEN c.oid IS NULL THEN NULL WHEN narrow.columns IS NOT NULL THEN format('Widen what references it first, as it cannot hold larger keys: %s; then this column and its sequence.', narrow.columns) " \
	"ELSE " CHANGE_TYPE("format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint;', c.oid::regclass, a.attname)") " END" \
	" FROM unnest($1, $2) WITH ORDINALITY u (relid, attnum, n) LEFT JOIN (pg_class c JOIN pg_attribute a ON a.attrelid = c.oid) ON c.oid = u.relid AND a.attnum = u.attnum" \
	" CROSS JOIN LATERAL (SELECT string_agg(format('%s.%I', k.conrelid::regclass, b.attname), ', ' ORDER BY k.conrelid::regclass::text, b.attname) AS columns FROM pg_constraint k" \
	" JOIN pg_attribute b ON b.attrelid = k.conrelid AND b.attnum = k.conkey[array_position(k.confkey, u.attnum)]" \
	" WHERE k.contype = 'f' AND k.conparentid = 0 AND k.confrelid = u.relid AND u.attnum = ANY (k.confkey) AND b.atttypid IN (21, 23)) narrow ORDER BY u.n"

static void judge_columns(DbopsReview *review);
static void judge_sequences(DbopsReview *review);
static List *ask_widenings(const List *sequences);
static void take_widening(HeapTuple row, TupleDesc desc, void *arg);
static const char *widen(const Sequence *sequence, const char *column);
static void report_column(DbopsReview *review, const Sequence *sequence, const char *widening);
static void report_sequence(DbopsReview *review, const Sequence *sequence, const char *widening);
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
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s percent of what %s can hold is used, by the highest value that ANALYZE has seen%s" REWRITES "', round(100.0 * m.most / r.most), a.atttypid::regtype, CASE WHEN o.in_order THEN '' ELSE ', which matters only if they are given in order' END),"
		" " CHANGE_TYPE("format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint;', c.oid::regclass, a.attname)") ", CASE WHEN NOT o.in_order THEN 'info' WHEN m.most > 0.8 * r.most THEN 'critical' END"
		" FROM pg_index i JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = a.attnum AND NOT s.stainherit"
		" CROSS JOIN LATERAL (SELECT max(b.value) AS most, min(b.value) AS least, count(*) FILTER (WHERE b.value > 0.5 * CASE a.atttypid WHEN 21 THEN 32767 ELSE 2147483647 END) AS high FROM unnest(CASE WHEN a.atttypid IN (21, 23) THEN (CASE 2 WHEN s.stakind1 THEN s.stavalues1::text WHEN s.stakind2 THEN s.stavalues2::text"
		" WHEN s.stakind3 THEN s.stavalues3::text WHEN s.stakind4 THEN s.stavalues4::text WHEN s.stakind5 THEN s.stavalues5::text END)::int8[] END) b (value)) m"
		" CROSS JOIN LATERAL (SELECT CASE a.atttypid WHEN 21 THEN 32767 ELSE 2147483647 END AS most) r"
		" CROSS JOIN LATERAL (SELECT m.least >= 0 AND m.high > 1 AND (a.atttypid = 21 OR c.reltuples >= 100000) AS in_order) o"
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
		" FROM pg_sequence s JOIN pg_class q ON q.oid = s.seqrelid JOIN (SELECT DISTINCT ON (x.sequence) x.sequence, x.relid, x.attnum FROM ("
		"SELECT d.objid, d.refobjid, d.refobjsubid FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i')"
		" UNION SELECT d.refobjid, e.adrelid, e.adnum FROM pg_depend d JOIN pg_attrdef e ON e.oid = d.objid WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass"
		") x (sequence, relid, attnum) JOIN pg_sequence y ON y.seqrelid = x.sequence JOIN pg_attribute b ON b.attrelid = x.relid AND b.attnum = x.attnum AND b.atttypid = 20 ORDER BY x.sequence, x.relid, x.attnum) f ON f.sequence = s.seqrelid"
		" JOIN pg_attribute a ON a.attrelid = f.relid AND a.attnum = f.attnum"
		" WHERE s.seqtypid IN (21, 23) AND s.seqmax = CASE s.seqtypid WHEN 21 THEN 32767 ELSE 2147483647 END AND s.seqincrement > 0 AND NOT s.seqcycle AND " IS_USERS("q")
	},
	{
		.name = "keys.integer",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "smallint and integer primary keys that a sequence fills, however far it has come",
		.source = "PostgreSQL's wiki, pghero",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('%s as a key that grows" REWRITES ", and later it takes longer', a.atttypid::regtype),"
		" " CHANGE_TYPE("format('ALTER TABLE %s ALTER COLUMN %I TYPE bigint;', c.oid::regclass, a.attname)")
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
	List	   *sequences = dbops_sequences_read(HALF, NULL);
	List	   *widenings = ask_widenings(sequences);
	ListCell   *cell;
	ListCell   *widening;

	forboth(cell, sequences, widening, widenings)
		if (!((const Sequence *) lfirst(cell))->cycles && is_narrow(lfirst(cell)))
			report_column(review, lfirst(cell), lfirst(widening));
}

/* How the column of each is widened, in one look; NULL where there is none. */
static List *
ask_widenings(const List *sequences)
{
	int			n = list_length(sequences);
	Datum	   *relids = palloc(sizeof(Datum) * Max(n, 1));
	Datum	   *attnums = palloc(sizeof(Datum) * Max(n, 1));
	List	   *widenings = NIL;
	DbopsParam	params[2];

	for (int i = 0; i < n; i++)
	{
		const Sequence *sequence = list_nth(sequences, i);

		relids[i] = ObjectIdGetDatum(sequence->relid);
		attnums[i] = Int16GetDatum(sequence->attnum);
	}
	params[0] = dbops_param_array(relids, n, OIDOID);
	params[1] = dbops_param_array(attnums, n, INT2OID);
	(void) dbops_query_each(WIDENING, lengthof(params), params, take_widening, &widenings);
	return widenings;
}

static void
take_widening(HeapTuple row, TupleDesc desc, void *arg)
{
	List	  **widenings = arg;

	CHECK_FOR_INTERRUPTS();
	*widenings = lappend(*widenings, dbops_row_text(row, desc, 1));
}

/* Statements that widen column and sequence; a sentence stands as it is. */
static const char *
widen(const Sequence *sequence, const char *column)
{
	if (column == NULL)
		return "The column is gone.";
	return strncmp(column, "ALTER ", 6) != 0 ? column : psprintf("%s\nALTER SEQUENCE %s AS bigint;", column, sequence->name);
}

static void
report_column(DbopsReview *review, const Sequence *sequence, const char *widening)
{
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = sequence->used >= MOSTLY ? DBOPS_CRITICAL : DBOPS_WARNING,
							.object = sequence->column,
							.message = psprintf("%.0f percent of what %s can hold is used: %s is at " INT64_FORMAT REWRITES,
												sequence->used, sequence->type, sequence->name, sequence->last),
							.remedy = widen(sequence, widening)
						});
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
	List	   *sequences = dbops_sequences_read(NEARLY, NULL);
	List	   *widenings = ask_widenings(sequences);
	ListCell   *cell;
	ListCell   *widening;

	forboth(cell, sequences, widening, widenings)
		if (!((const Sequence *) lfirst(cell))->cycles)
			report_sequence(review, lfirst(cell), lfirst(widening));
}

/* What its own end limits goes on to that of its column. */
static void
report_sequence(DbopsReview *review, const Sequence *sequence, const char *widening)
{
	dbops_review_report(review, (DbopsFinding)
						{
							.severity = sequence->used >= ALMOST ? DBOPS_CRITICAL : DBOPS_WARNING,
							.object = sequence->name,
							.message = psprintf("it is at " INT64_FORMAT "; " INT64_FORMAT " is the last that it or its column can hold",
												sequence->last, sequence->bound),
							.remedy = is_narrow(sequence) ? widen(sequence, widening) :
								psprintf("ALTER SEQUENCE %s AS %s NO %s;", sequence->name,
										 sequence->column != NULL ? sequence->type : "bigint", sequence->ascends ? "MAXVALUE" : "MINVALUE")
						});
}
