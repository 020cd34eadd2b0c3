/*
 * review_collations.c
 *		Rules about indexes: those in an order that the machine no longer has, and
 *		those that cannot do what they are for.
 *
 * After an upgrade of the operating system a collation may sort otherwise than
 * when an index was built: rows are not found, and duplicates get in. Whatever is
 * in that order is named, each with its REINDEX. An index that compares bytes, as
 * with text_pattern_ops, or hashes, has no such order.
 */
#include "advise/review.h"

/* The collations that have changed; only those are asked for that something of a user's may be in. */
#define CHANGED \
	"changed (oid, was, is_now) AS MATERIALIZED (" \
	"SELECT c.oid, c.collversion, pg_collation_actual_version(c.oid) FROM pg_collation c WHERE c.collversion IS NOT NULL " \
	"AND c.oid IN (SELECT unnest(i.indcollation::oid[]) FROM pg_index i UNION SELECT unnest(p.partcollation::oid[]) FROM pg_partitioned_table p) " \
	"AND c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid) " \
	"UNION ALL SELECT 100, d.datcollversion, pg_database_collation_actual_version(d.oid) FROM pg_database d WHERE d.datname = current_database() " \
	"AND d.datcollversion IS NOT NULL AND d.datcollversion IS DISTINCT FROM pg_database_collation_actual_version(d.oid))"

static const DbopsRule rules[] = {
	{
		.name = "indexes.collation_version",
		.severity = DBOPS_CRITICAL,
		.about = "indexes in the order of a collation whose library has changed since",
		.source = "PostgreSQL's wiki, postgres_dba",
		.sql = "WITH " CHANGED " SELECT x.oid::regclass::text, format('it is in the order of %s of version %s, and the machine has %s now: rows may not be found, and duplicates may get in',"
		" CASE v.oid WHEN 100 THEN 'the database''s collation' ELSE v.oid::regcollation::text END, v.was, coalesce(v.is_now, 'none')),"
		" format('REINDEX INDEX CONCURRENTLY %s;', x.oid::regclass)"
		" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid AND x.relkind = 'i' JOIN pg_am m ON m.oid = x.relam AND m.amname <> 'hash'"
		" CROSS JOIN LATERAL (SELECT DISTINCT ON (v.oid) v.* FROM unnest(i.indcollation::oid[], i.indclass::oid[]) u (collation_oid, class) JOIN changed v ON v.oid = u.collation_oid"
		" JOIN pg_opclass o ON o.oid = u.class AND o.opcname NOT LIKE '%pattern_ops' ORDER BY v.oid LIMIT 1) v"
		" WHERE x.relnamespace = ANY ($2 || 'pg_catalog'::regnamespace::oid) AND x.relpersistence <> 't'"
	},
	{
		.name = "partitions.collation_version",
		.severity = DBOPS_CRITICAL,
		.about = "partitioned tables whose bounds are in the order of a collation whose library has changed since",
		.source = "PostgreSQL's manual",
		.sql = "WITH " CHANGED " SELECT c.oid::regclass::text, format('its partitions are bounded in the order of a collation of version %s, and the machine has %s now: rows may be in the wrong partition', v.was, coalesce(v.is_now, 'none')),"
		" 'Look for rows that are beyond the bounds of their partition, and move them: DELETE them and INSERT them into the table.'"
		" FROM pg_partitioned_table p JOIN pg_class c ON c.oid = p.partrelid JOIN changed v ON v.oid = ANY (p.partcollation::oid[]) WHERE p.partstrat = 'r' AND " IS_USERS("c")
	},
	{
		.name = "collations.version",
		.severity = DBOPS_WARNING,
		.about = "collations whose library has changed since",
		.source = "PostgreSQL's manual",
		.sql = "WITH " CHANGED " SELECT CASE v.oid WHEN 100 THEN format('database %I', current_database()) ELSE format('collation %s', v.oid::regcollation) END,"
		" format('it was of version %s and is of %s now', v.was, coalesce(v.is_now, 'none')),"
		" CASE v.oid WHEN 100 THEN format('ALTER DATABASE %I REFRESH COLLATION VERSION; after its indexes were built anew', current_database())"
		" ELSE format('ALTER COLLATION %s REFRESH VERSION; after its indexes were built anew', v.oid::regcollation) END FROM changed v"
	},
	{
		.name = "indexes.btree_of_many",
		.severity = DBOPS_INFO,
		.about = "btrees of arrays or jsonb, which find only whole values",
		.source = "pg-index-health",
		.sql = "SELECT x.oid::regclass::text, format('it finds rows by the whole of %I, and none by what is in it', a.attname),"
		" format('CREATE INDEX CONCURRENTLY ON %s USING gin (%I); and drop this one if nothing compares whole values', c.oid::regclass, a.attname)"
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
		" format('CREATE INDEX CONCURRENTLY ON %s (...) WHERE %I = ...; for the value that is rare, and drop this one', c.oid::regclass, a.attname)"
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
		" format('CREATE INDEX CONCURRENTLY ON %s (%I) WHERE %2$I IS NOT NULL; and drop this one', c.oid::regclass, a.attname)"
		" FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid JOIN pg_class c ON c.oid = i.indrelid JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = i.indkey[0]"
		" JOIN pg_statistic s ON s.starelid = c.oid AND s.staattnum = a.attnum AND NOT s.stainherit"
		" WHERE i.indnatts = 1 AND i.indpred IS NULL AND NOT i.indisunique AND s.stanullfrac >= 0.5 AND c.reltuples >= 10000 AND " IS_TABLE("c"),
		.as_owner = true
	}
};

const DbopsRuleSet dbops_collation_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
