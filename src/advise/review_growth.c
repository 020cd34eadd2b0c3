/*
 * review_growth.c
 *		Rules about tables that grow: without an end, without partitions, with rows
 *		that are deleted and stay.
 *
 * A table is taken to grow for ever where the server has counted many rows that
 * were inserted and none that was deleted; after a reset of the statistics that is
 * not judged until enough has been counted again.
 */
#include "advise/review.h"

/* A partitioned table is the sum of its leaves. */
#define TREES \
	"tree (root, oid) AS (SELECT c.oid, c.oid FROM pg_class c WHERE " IS_TABLE("c") \
	" UNION ALL SELECT t.root, h.inhrelid FROM tree t JOIN pg_inherits h ON h.inhparent = t.oid JOIN pg_class k ON k.oid = h.inhrelid AND k.relispartition), " \
	"sums AS (SELECT t.root, sum(pg_stat_get_tuples_inserted(t.oid)) AS inserted, sum(pg_stat_get_tuples_deleted(t.oid)) AS deleted, " \
	"sum(greatest(k.reltuples, pg_stat_get_live_tuples(t.oid), 0)) AS live, sum(k.relpages::int8) * current_setting('block_size')::int8 AS bytes " \
	"FROM tree t JOIN pg_class k ON k.oid = t.oid AND k.relkind = 'r' GROUP BY t.root)"

#define WORDS(name) \
	"lower(regexp_replace(" name ", '([a-z0-9])([A-Z])', '\\1_\\2', 'g'))"

static const DbopsRule rules[] = {
	{
		.name = "retention.undefined",
		.severity = DBOPS_INFO,
		.about = "tables of more than 100,000 rows that only grow, without a policy of retention or partitioning",
		.source = "guide 001's checklist",
		.sql = "WITH RECURSIVE " TREES " SELECT s.root::regclass::text, format('of its %s rows none has been deleted since the server began to count, and nothing says how long they are kept', s.live::int8),"
		" format('SELECT dbops.set_retention(%L, %L, interval ''1 year'');', s.root::regclass::text, a.attname),"
		" CASE WHEN s.bytes >= 10737418240 THEN 'warning' END"
		" FROM sums s CROSS JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = s.root AND a.attnum > 0 AND NOT a.attisdropped"
		" AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) AND " WORDS("a.attname") " !~ '(^|_)(updated|deleted|expires|expiry|birth|due)'"
		" ORDER BY NOT a.atthasdef, NOT a.attnotnull, a.attnum LIMIT 1) a"
		" WHERE s.live >= 100000 AND s.deleted = 0 AND s.inserted >= greatest(1000, s.live / 100)"
		" AND NOT EXISTS (SELECT FROM dbops.policy p WHERE p.relation = s.root AND (p.kind = 'retention' OR p.kind = 'partitioning' AND p.spec->>'keep' IS NOT NULL))",
		.as_owner = true
	},
	{
		.name = "tables.large_unpartitioned",
		.severity = DBOPS_INFO,
		.about = "tables of 100 GB or more in one piece",
		.source = "guide 001's checklist",
		.sql = "SELECT c.oid::regclass::text, format('it has %s in one piece: old rows can only be deleted one by one, and VACUUM goes over all of it', pg_size_pretty(c.relpages::int8 * current_setting('block_size')::int8)),"
		" CASE WHEN t.attname IS NULL THEN 'Partition it by what old rows are told by.'"
		" ELSE format('CALL dbops.partition_table(%L, %L, interval ''1 month'');', c.oid::regclass::text, t.attname) END"
		" FROM pg_class c LEFT JOIN LATERAL (SELECT a.attname FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull"
		" AND a.atttypid IN ('date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype) ORDER BY NOT a.atthasdef, a.attnum LIMIT 1) t ON true"
		" WHERE c.relkind = 'r' AND c.relpages::int8 * current_setting('block_size')::int8 >= 107374182400 AND " IS_TABLE("c")
	},
	{
		.name = "soft_delete.transient",
		.severity = DBOPS_WARNING,
		.about = "soft delete on tables of sessions, tokens, caches or logs, by their names",
		.source = "guide 004",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), 'what is deleted from sessions, tokens, caches or logs need not be restored, and stays for ever',"
		" CASE WHEN a.atttypid IN ('bool'::regtype, 'date'::regtype, 'timestamp'::regtype, 'timestamptz'::regtype)"
		" THEN format('DELETE FROM %1$s WHERE %2$s; ALTER TABLE %1$s DROP COLUMN %3$I;', c.oid::regclass,"
		" format(CASE WHEN a.atttypid = 'bool'::regtype THEN '%I' ELSE '%I IS NOT NULL' END, a.attname), a.attname)"
		" ELSE 'Delete the rows that are marked as deleted, and drop the column.' END"
		" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid WHERE a.attnum > 0 AND NOT a.attisdropped AND a.attinhcount = 0 AND " IS_TABLE("c")
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
		" 'CREATE TRIGGER ... AFTER INSERT OR UPDATE OR DELETE ON it, with a function that writes a history.'"
		" FROM pg_class c WHERE " IS_TABLE("c") " AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND NOT t.tgisinternal AND t.tgenabled <> 'D' AND t.tgtype::int & 24 = 24 AND t.tgtype::int & 66 = 0)"
	}
};

const DbopsRuleSet dbops_growth_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
