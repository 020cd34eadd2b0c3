/*
 * review_collations.c
 *		Rules about indexes: those in an order that the machine no longer has, and
 *		those that cannot do what they are for.
 *
 * After an upgrade of the operating system a collation may sort otherwise than
 * when an index was built: rows are not found, and duplicates get in. Whatever is
 * in that order is named, each with its REINDEX, which for an exclusion constraint
 * locks the table. An index that compares bytes, as with text_pattern_ops, or hashes
 * them, has no such order.
 */
#include "advise/review.h"

/* The comparisons for smaller or larger that index i makes in its condition or an expression, and their collations. */
#define COMPARISONS \
	"(SELECT (m.word[2])::oid AS collation_oid FROM regexp_matches(concat(i.indpred::text, i.indexprs::text), '\\{OPEXPR :opno (\\d+) [^{}]*:inputcollid (\\d+) ', 'g') m (word) " \
	"WHERE EXISTS (SELECT FROM pg_amop o WHERE o.amopopr = (m.word[1])::oid AND o.amopmethod = 403 AND o.amopstrategy <> 3))"

/* The collations that have changed; only those are asked for that something of a user's may be in. */
#define CHANGED \
	"changed (oid, was, is_now) AS MATERIALIZED (" \
	"SELECT c.oid, c.collversion, pg_collation_actual_version(c.oid) FROM pg_collation c WHERE c.collversion IS NOT NULL " \
	"AND c.oid IN (SELECT unnest(i.indcollation::oid[]) FROM pg_index i UNION SELECT unnest(p.partcollation::oid[]) FROM pg_partitioned_table p UNION SELECT r.rngcollation FROM pg_range r " \
	"UNION SELECT x.collation_oid FROM pg_index i CROSS JOIN LATERAL " COMPARISONS " x WHERE i.indpred IS NOT NULL OR i.indexprs IS NOT NULL) " \
	"AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid) " \
	"UNION ALL SELECT 100, d.datcollversion, pg_database_collation_actual_version(d.oid) FROM pg_database d WHERE d.datname = current_database() " \
	"AND d.datcollversion IS NOT NULL AND d.datcollversion IS DISTINCT FROM pg_database_collation_actual_version(d.oid))"

/*
 * The collations in whose order index i is: those of its columns, of ranges in
 * them, and of what its condition or an expression compares. A hash is of the sort
 * key where texts that differ may be equal.
 */
#define ORDERED_BY \
	"(SELECT u.coll AS oid, false AS compares FROM unnest(i.indcollation::oid[], i.indclass::oid[]) u (coll, class) JOIN pg_opclass o ON o.oid = u.class AND o.opcname NOT LIKE '%pattern_ops' " \
	"JOIN pg_collation c ON c.oid = u.coll WHERE m.amname <> 'hash' OR NOT c.collisdeterministic " \
	"UNION ALL SELECT r.rngcollation, false FROM pg_attribute a JOIN pg_range r ON a.atttypid IN (r.rngtypid, r.rngmultitypid) WHERE a.attrelid = i.indexrelid AND m.amname <> 'hash' " \
	"UNION ALL SELECT x.collation_oid, true FROM " COMPARISONS " x WHERE i.indpred IS NOT NULL OR i.indexprs IS NOT NULL)"

static const DbopsRule rules[] = {
	{
		.name = "indexes.collation_version",
		.severity = DBOPS_CRITICAL,
		.about = "indexes in the order of a collation whose library has changed since",
		.source = "PostgreSQL's wiki, postgres_dba",
		.sql = "WITH " CHANGED " SELECT x.oid::regclass::text, format('it %s of %s of version %s, and the machine has %s now: rows may not be found, and duplicates may get in%s',"
		" CASE WHEN v.compares THEN 'compares in the order' ELSE 'is in the order' END,"
		" CASE v.oid WHEN 100 THEN 'the database''s collation' ELSE v.oid::regcollation::text END, v.was, coalesce(v.is_now, 'none'),"
		" CASE WHEN l.locks THEN '; it can only be built anew while nobody changes its table' ELSE '' END),"
		" format(CASE WHEN l.locks THEN 'REINDEX INDEX %s;' ELSE 'REINDEX INDEX CONCURRENTLY %s;' END, x.oid::regclass)"
		" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_am m ON m.oid = x.relam"
		" CROSS JOIN LATERAL (SELECT v.*, o.compares FROM " ORDERED_BY " o JOIN changed v ON v.oid = o.oid ORDER BY o.compares, v.oid LIMIT 1) v"
		" CROSS JOIN LATERAL (SELECT i.indisexclusion OR x.relnamespace = 'pg_catalog'::regnamespace AS locks) l"
		" WHERE EXISTS (SELECT FROM changed) AND x.relnamespace = ANY ($2 || 'pg_catalog'::regnamespace::oid) AND x.relpersistence <> 't'"
	},
	{
		.name = "partitions.collation_version",
		.severity = DBOPS_CRITICAL,
		.about = "partitioned tables whose bounds are in the order of a collation whose library has changed since",
		.source = "PostgreSQL's manual",
		.sql = "WITH " CHANGED " SELECT c.oid::regclass::text, format('its partitions are bounded in the order of a collation of version %s, and the machine has %s now: rows may be in the wrong partition',"
		" string_agg(v.was, ' and ' ORDER BY v.oid), string_agg(coalesce(v.is_now, 'none'), ' and ' ORDER BY v.oid)),"
		" 'Look for rows that are beyond the bounds of their partition, and move them: delete them and insert them into the table.'"
		" FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN changed v ON v.oid = ANY (p.partcollation::oid[]) WHERE p.partstrat = 'r' AND " IS_USERS("c") " GROUP BY c.oid"
	},
	{
		.name = "collations.version",
		.severity = DBOPS_WARNING,
		.about = "collations whose library has changed since",
		.source = "PostgreSQL's manual",
		.sql = "WITH " CHANGED " SELECT CASE v.oid WHEN 100 THEN format('database %I', current_database()) ELSE format('collation %s', v.oid::regcollation) END,"
		" format('it was of version %s and is of %s now', v.was, coalesce(v.is_now, 'none')),"
		" format('Build the indexes anew that indexes.collation_version finds, and only then ALTER %s REFRESH%s VERSION, after which they are not found any more.',"
		" CASE v.oid WHEN 100 THEN format('DATABASE %I', current_database()) ELSE format('COLLATION %s', v.oid::regcollation) END, CASE v.oid WHEN 100 THEN ' COLLATION' ELSE '' END) FROM changed v"
	},
	{
		.name = "indexes.btree_of_many",
		.severity = DBOPS_INFO,
		.about = "btrees of arrays or jsonb, which find only whole values",
		.source = "pg-index-health",
		.sql = "SELECT x.oid::regclass::text, format('it finds rows by the whole of %I, and none by what is in it; beside one of gin it is needed only where whole values are compared', a.attname),"
		" CASE WHEN EXISTS (SELECT FROM pg_index g JOIN pg_class y ON y.oid = g.indexrelid AND y.relam = 2742 WHERE g.indrelid = c.oid AND a.attnum = ANY (g.indkey::int2[])) THEN 'There is one of gin: drop this one, unless statements compare whole values.'"
		" WHEN c.relkind = 'p' THEN 'Make one of gin on each partition, CONCURRENTLY, and then on the table.'"
		" ELSE format('CREATE INDEX CONCURRENTLY ON %s USING gin (%I);', c.oid::regclass, a.attname) END"
		" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" JOIN pg_type t ON t.oid = a.atttypid WHERE x.relam = 403 AND NOT i.indisunique AND i.indnkeyatts = 1 AND (a.atttypid = 'jsonb'::regtype OR t.typcategory = 'A') AND " IS_TABLE("c")
	},
	{
		.name = "indexes.few_values",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "indexes of one column that has fewer than four values",
		.source = "pg-index-health",
		.sql = "SELECT x.oid::regclass::text, format('%I has %s different values: the index seldom narrows a search', a.attname, s.stadistinct),"
		" 'Make one that has only the rows with the value that is rare, and then drop this one.'"
		" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = a.attnum AND NOT s.stainherit"
		" WHERE i.indnatts = 1 AND i.indpred IS NULL AND NOT i.indisunique AND s.stadistinct BETWEEN 1 AND 3 AND c.reltuples >= 10000 AND " IS_TABLE("c"),
		.as_owner = true
	},
	{
		.name = "indexes.mostly_null",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "indexes of a column that is null in at least half of the rows",
		.source = "pg-index-health, pg-extras",
		.sql = "SELECT x.oid::regclass::text, format('%I is null in %s percent of the rows', a.attname, round(100 * s.stanullfrac::numeric)),"
		" 'Make one that has only the rows in which it is not null, and then drop this one.'"
		" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = a.attnum AND NOT s.stainherit"
		" WHERE i.indnatts = 1 AND i.indpred IS NULL AND NOT i.indisunique AND s.stanullfrac >= 0.5 AND c.reltuples >= 10000 AND " IS_TABLE("c"),
		.as_owner = true
	}
};

const DbopsRuleSet dbops_collation_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
