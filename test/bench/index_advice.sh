# shellcheck shell=bash
#
# Which indexes can go, in a database of many tables, as one with a schema for
# each tenant has: 100,000 relations, three indexes a table. Every tenth table has
# one that another begins with, every tenth two that are the same. The usual
# queries ask whether the counter is zero and whether the columns are alike; ours
# ask besides what each node has counted since when, what foreign keys and
# constraints need, and whether operators, order and predicates are alike. That
# is more work; the floors say that it does not cost more than it is worth.
#
# A new session asks, as a monitor does: so the caches are as it finds them. The
# server may give a query several processes and a function only one; what is held
# to a floor is the work, both on one core.
. "$(dirname "$0")/lib.sh"

tables=$(scaled 25000)

usual_unused="
	SELECT s.schemaname, s.relname, s.indexrelname, s.idx_scan,
	       pg_size_pretty(pg_relation_size(s.indexrelid)) AS size
	  FROM pg_stat_user_indexes s
	  JOIN pg_index i ON i.indexrelid = s.indexrelid
	 WHERE s.idx_scan = 0 AND NOT i.indisunique AND i.indisvalid
	   AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = s.indexrelid)
	 ORDER BY pg_relation_size(s.indexrelid) DESC"
usual_duplicates="
	SELECT a.indrelid::regclass AS table_name, a.indexrelid::regclass AS index_name, b.indexrelid::regclass AS covered_by,
	       pg_size_pretty(pg_relation_size(a.indexrelid)) AS size
	  FROM pg_index a
	  JOIN pg_index b ON b.indrelid = a.indrelid AND b.indexrelid <> a.indexrelid
	  JOIN pg_class c ON c.oid = a.indexrelid
	  JOIN pg_class d ON d.oid = b.indexrelid AND d.relam = c.relam
	  JOIN pg_namespace n ON n.oid = c.relnamespace
	 WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
	   AND (b.indkey::text || ' ') LIKE (a.indkey::text || ' %')
	   AND NOT a.indisunique AND coalesce(pg_get_expr(a.indpred, a.indrelid), '') = coalesce(pg_get_expr(b.indpred, b.indrelid), '')
	   AND coalesce(pg_get_expr(a.indexprs, a.indrelid), '') = coalesce(pg_get_expr(b.indexprs, b.indrelid), '')
	 ORDER BY pg_relation_size(a.indexrelid) DESC"
our_unused='SELECT * FROM dbops.find_unused_indexes()'
our_duplicates='SELECT * FROM dbops.find_duplicate_indexes()'

psql_run "
	SET synchronous_commit = off;
	DO \$\$
	BEGIN
		FOR i IN 1 .. $tables LOOP
			EXECUTE format('CREATE TABLE t_%s (id bigint PRIMARY KEY, tenant int, status int, created timestamptz)', i);
			EXECUTE format('CREATE INDEX ON t_%s (tenant)', i);
			EXECUTE format('CREATE INDEX ON t_%s (%s)', i,
				CASE i % 10 WHEN 0 THEN 'tenant, status' WHEN 1 THEN 'tenant' WHEN 2 THEN 'status DESC' ELSE 'status' END);
			IF i % 500 = 0 THEN
				COMMIT;
			END IF;
		END LOOP;
	END
	\$\$" 'VACUUM ANALYZE pg_class, pg_index, pg_attribute, pg_constraint, pg_depend' 'CHECKPOINT'

before_each='SET max_parallel_workers_per_gather = 0'
compare "indexes that nobody scans, of $((3 * tables))" 5 \
	'the usual query' "$usual_unused" \
	'find_unused_indexes()' "$our_unused" \
	"$([ "$DBOPS_BENCH" = quick ] && echo 0.8 || echo 1)"
compare "indexes whose work another one does, of $((3 * tables))" 5 \
	'the usual query' "$usual_duplicates" \
	'find_duplicate_indexes()' "$our_duplicates" \
	"$([ "$DBOPS_BENCH" = quick ] && echo 0.4 || echo 0.6)"

# Wrong answers: each tenth table has one that goes, and no other has.
listed=$(psql_run "SELECT count(*) || ' of ' || 2 * $tables / 10 FROM dbops.find_duplicate_indexes() WHERE table_name::text ~ '^t_[0-9]*[01]\$'")
others=$(psql_run "SELECT count(*) FROM dbops.find_duplicate_indexes() WHERE table_name::text ~ '^t_[0-9]*[2-9]\$'")
printf 'duplicates found\n  %-40s %s, and %s that are none\n' 'find_duplicate_indexes()' "$listed" "$others"
hold 'all duplicates and no others' "$([[ $listed == "$((2 * tables / 10)) of "* && $others == 0 ]] && echo 1 || echo 0)" 1

# What the other reports take, for those who run them all.
for report in 'index_usage()' 'find_invalid_indexes()' 'find_missing_indexes()' 'export_index_usage()'; do
	printf '  %-40s %12s ms\n' "$report" "$(time_ms "SELECT * FROM dbops.$report")"
done
