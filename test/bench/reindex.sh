# shellcheck shell=bash
#
# What the rebuild of a bloated index costs, and those who use its table
# meanwhile: dbops' job, the REINDEX INDEX CONCURRENTLY that it runs, by hand, and
# pg_repack's index mode, which builds a second index and swaps the two under an
# exclusive lock. Time, WAL, the latency of a pgbench that reads and changes single
# rows of the table, and the size afterwards.
#
# A job also has to be started, samples the index before and after and looks at
# disk, WAL and locks: some 0.2 s, whatever the size. As the rebuilds here take half
# a second themselves, the floor is low; in the end an index is rebuilt that takes
# many seconds, where it must not count. A quick run is too small for both floors.
. "$(dirname "$0")/lib.sh"

rows=$(scaled 4000000)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/transaction.sql" <<-SQL
	\set id 10 * random(1, $rows / 10)
	BEGIN;
	SELECT v FROM visits WHERE id = :id;
	UPDATE visits SET note = 'seen' WHERE id = :id;
	COMMIT;
SQL

# Nine rows of ten are gone, so nine tenths of the index are to be won.
make_visits() {
	psql_run "SET client_min_messages = warning; DROP TABLE IF EXISTS visits" \
		"CREATE TABLE visits (id bigint PRIMARY KEY, v bigint, note text) WITH (fillfactor = 80)" \
		"INSERT INTO visits SELECT i, i::bigint * 7919 % $rows, 'x' FROM generate_series(1, $rows) i" \
		"CREATE INDEX visits_v ON visits (v)" "DELETE FROM visits WHERE id % 10 <> 0" "VACUUM ANALYZE visits" "CHECKPOINT"
}

by_dbops() {
	psql -X -q -A -t <<-SQL >/dev/null
		SELECT dbops.start_reindex('visits_v') AS job \gset
		CALL dbops.wait_job(:job);
	SQL
}

by_hand() {
	psql_run 'REINDEX INDEX CONCURRENTLY visits_v'
}

by_pg_repack() {
	pg_repack -d "$PGDATABASE" --index visits_v >"$folder/repack" 2>&1 || { cat "$folder/repack"; exit 1; }
}

# Rebuild in a way, the application beside it. Leaves the milliseconds in $took.
measure() {
	local name=$1 way=$2 begin end before after work

	make_visits
	rm -f "$folder"/log*
	pgbench -n -M prepared -c 2 -j 1 -T 600 -f "$folder/transaction.sql" -l --log-prefix="$folder/log" >/dev/null 2>&1 &
	work=$!
	sleep 2
	before=$(psql_run 'SELECT pg_current_wal_insert_lsn()')
	begin=$(date +%s%N)
	"$way"
	end=$(date +%s%N)
	after=$(psql_run 'SELECT pg_current_wal_insert_lsn()')
	sleep 1 # what pgbench has not written yet is later than the end
	kill "$work"
	wait "$work" 2>/dev/null || true
	took=$(((end - begin) / 1000000))
	cat "$folder"/log* | awk -v b="$begin" -v e="$end" \
		'{ at = $5 * 1e9 + $6 * 1000 } at >= b && at <= e { print $3 / 1000 }' | sort -g >"$folder/latencies"
	printf '  %-28s %8d ms   %6s MB of WAL   p99 %7s ms   longest %8s ms   %7d transactions   %s after\n' "$name" "$took" \
		"$(psql_run "SELECT round(pg_wal_lsn_diff('$after', '$before') / 1048576)")" \
		"$(percentile 99 "$folder/latencies")" "$(percentile 100 "$folder/latencies")" "$(wc -l <"$folder/latencies")" \
		"$(psql_run "SELECT pg_size_pretty(pg_relation_size('visits_v'))")"
}

sleep_a_while() {
	sleep 5
}

printf 'an index of %s rows, nine tenths of which are gone\n' "$rows"
measure 'the application alone, 5 s' sleep_a_while
if command -v pg_repack >/dev/null; then
	psql_run 'CREATE EXTENSION pg_repack'
	measure 'pg_repack --index' by_pg_repack
fi
measure 'REINDEX CONCURRENTLY by hand' by_hand
hand=$took
measure 'dbops.start_reindex()' by_dbops
[ "$DBOPS_BENCH" = quick ] || hold 'a rebuild by a job, against the same by hand' "$(ratio "$hand" "$took")" 0.45

psql_run 'DROP TABLE visits' 'CREATE TABLE wide (k text)' \
	"INSERT INTO wide SELECT repeat(md5(i::text), 4) FROM generate_series(1, $(scaled 3000000)) i" \
	'CREATE INDEX wide_k ON wide (k)' 'VACUUM ANALYZE wide' 'CHECKPOINT'
compare 'a rebuild of a wide key' 2 \
	'REINDEX CONCURRENTLY by hand' 'REINDEX INDEX CONCURRENTLY wide_k' \
	'dbops.start_reindex()' "SELECT dbops.start_reindex('wide_k') AS job \\gset
		CALL dbops.wait_job(:job)" \
	"$([ "$DBOPS_BENCH" = quick ] || echo 0.9)"
