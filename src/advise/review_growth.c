/*
 * review_growth.c
 *		Rules about tables that grow: without an end, without partitions, with rows
 *		that are deleted and stay.
 *
 * A table is taken to grow for ever where the server has counted many rows that
 * were inserted and none that was deleted, and the history of sizes has seen it
 * grow time and again: a table that was loaded once does not grow. Where there is no
 * week of such history yet, the counters alone say so, and the finding that more is
 * not known; after a reset of the statistics nothing is said until enough has been
 * counted again. What others reference are things, not events.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

/* A partitioned table is the sum of its leaves. */
#define TREES \
	"tree (root, oid) AS (SELECT c.oid, c.oid FROM pg_class c WHERE " IS_TABLE("c") \
	" UNION ALL SELECT t.root, h.inhrelid FROM tree t JOIN pg_inherits h ON h.inhparent = t.oid JOIN pg_class k ON k.oid = h.inhrelid AND k.relispartition), " \
	"sums AS (SELECT t.root, sum(pg_stat_get_tuples_inserted(t.oid)) AS inserted, sum(pg_stat_get_tuples_deleted(t.oid)) AS deleted, " \
	"sum(greatest(k.reltuples, pg_stat_get_live_tuples(t.oid), 0)) AS live, sum(" BYTES("k") ") AS bytes " \
	"FROM tree t JOIN pg_class k ON k.oid = t.oid AND k.relkind = 'r' GROUP BY t.root)"

/* On how many days the leaves of a tree were found larger than before, where that is known of a week. */
#define GROWTHS \
	"growths (root, days) AS (SELECT g.root, count(DISTINCT g.at) FILTER (WHERE g.grown) FROM (SELECT t.root, r.at, r.bytes > lag(r.bytes) OVER (PARTITION BY r.relid ORDER BY r.at) AS grown " \
	"FROM dbops.relation_1d r JOIN tree t ON t.oid = r.relid) g GROUP BY g.root HAVING min(g.at) < $4 - interval '7 days')"

#define LEAST_GROWTHS	"3"

static const DbopsRule rules[] = {
	{
		.name = "retention.undefined",
		.severity = DBOPS_INFO,
		.about = "tables of 100,000 rows or more that grow time and again, of which nothing is deleted, without a policy of retention or partitioning",
		.source = "guide 001's checklist",
		.sql = "WITH RECURSIVE " TREES ", " GROWTHS " SELECT s.root::regclass::text, format(CASE WHEN g.days IS NULL THEN 'of its %s rows none has been deleted since the server began to count, and nothing says how long they are kept; whether it grows time and again is not known yet'"
		" ELSE 'of its %s rows none has been deleted since the server began to count, though it grew on %s days, and nothing says how long they are kept' END, s.live::int8, g.days),"
		" format('Decide how long its rows are kept, by %I or another time; dbops.retention_plan() says what that would remove, and dbops.set_retention() has it done.', a.attname),"
		" CASE WHEN s.bytes >= 10737418240 AND g.days IS NOT NULL THEN 'warning' END"
		" FROM sums s LEFT JOIN growths g ON g.root = s.root CROSS JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = s.root AND a.attnum > 0 AND NOT a.attisdropped"
		" AND a.atttypid IN " TYPES_OF_TIME " AND " WORDS("a.attname") " !~ '(^|_)(updated|deleted|expires|expiry|birth|due)'"
		" ORDER BY NOT a.atthasdef, NOT a.attnotnull, a.attnum LIMIT 1) a"
		" WHERE coalesce(g.days >= " LEAST_GROWTHS ", true) AND s.live >= 100000 AND s.deleted = 0 AND s.inserted >= greatest(1000, s.live / 100)"
		" AND NOT EXISTS (SELECT FROM pg_constraint k WHERE k.confrelid = s.root AND k.contype = 'f' AND k.conrelid <> s.root)"
		" AND NOT EXISTS (SELECT FROM dbops.policy p WHERE p.relation = s.root AND (p.kind = 'retention' OR p.kind = 'partitioning' AND p.spec->>'keep' IS NOT NULL))",
		.as_owner = true
	},
	{
		.name = "tables.large_unpartitioned",
		.severity = DBOPS_INFO,
		.about = "tables of 100 GB or more in one piece",
		.source = "guide 001's checklist",
		.sql = "SELECT c.oid::regclass::text, format('it has %s in one piece: old rows can only be deleted one by one, and VACUUM goes over all of it', pg_size_pretty(" BYTES("c") ")),"
		" CASE WHEN t.attname IS NULL THEN 'Partition it by what old rows are told by.'"
		" ELSE format('Partition it, by %I if old rows are told by that: dbops.partition_table() makes the table as it is the first partition.', t.attname) END"
		" FROM pg_class c LEFT JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull"
		" AND a.atttypid IN " TYPES_OF_TIME " ORDER BY NOT a.atthasdef, a.attnum LIMIT 1) t ON true"
		" WHERE c.relkind = 'r' AND " BYTES("c") " >= 107374182400 AND " IS_TABLE("c")
	},
	{
		.name = "soft_delete.transient",
		.severity = DBOPS_WARNING,
		.about = "soft delete on tables of sessions, tokens, caches or logs, by their names",
		.source = "guide 004",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'what is deleted from sessions, tokens, caches or logs need not be restored, and stays for ever',"
		" 'If the column marks rows as deleted: have the application delete them, then delete those that are marked, and drop the column when nothing names it any more.'"
		" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid CROSS JOIN LATERAL (SELECT CASE y.typtype WHEN 'd' THEN y.typbasetype ELSE y.oid END AS base FROM pg_type y WHERE y.oid = a.atttypid) t"
		" WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND " IS_TABLE("c")
		" AND NOT (t.base IN " TYPES_OF_TIME " AND (a.attnotnull OR a.atthasdef))"
		" AND " WORDS("a.attname") " IN ('deleted_at', 'deleted_on', 'is_deleted', 'deleted')"
		" AND " WORDS("c.relname") " ~ '(^|_)(sessions?|tokens?|caches?|cached|logs?|nonces?|otps?)$'"
	},
	{
		.name = "audit.missing",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "tables of which changes are written nowhere: no trigger fires after both an UPDATE and a DELETE",
		.source = "guide 001's checklist",
		.sql = "SELECT c.oid::regclass::text, 'who changed or deleted a row of it, and when, is written nowhere',"
		" 'Give it a trigger after INSERT, UPDATE and DELETE whose function writes a history.'"
		" FROM pg_class c WHERE " IS_TABLE("c") " AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype::int & 24 = 24 AND t.tgtype::int & 66 = 0)"
	}
};

const DbopsRuleSet dbops_growth_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
