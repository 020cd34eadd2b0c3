# shellcheck shell=bash
#
# What it costs an application when partitions are made ahead and old ones are
# dropped: 30 of each, of a table with 400 daily partitions, by pg_partman's
# run_maintenance and by dbops' run_partitioning. Beside it, two clients read and
# insert single rows, and somebody reads a report in transactions of a second.
#
# The time that it takes is not what matters: pg_partman does all in one
# transaction, and nobody reads or writes from its first lock to its commit, nor
# while that waits for the report. dbops takes a transaction for each partition,
# and waits for the report without anybody waiting behind it. So the floor is of
# the longest wait of the application.
. "$(dirname "$0")/lib.sh"

rows=$(scaled 1000)
rounds=3
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

cat >"$folder/transaction.sql" <<-SQL
	\set n random(1, $rows)
	BEGIN;
	SELECT count(*) FROM visits WHERE at > now() - interval '1 hour' AND n = :n;
	INSERT INTO visits VALUES (now(), :n, 'new');
	COMMIT;
SQL
cat >"$folder/report.sql" <<-SQL
	BEGIN;
	SELECT count(*) FROM visits WHERE at > now() - interval '3 days';
	\sleep 1 s
	COMMIT;
	\sleep 500 ms
SQL

# Partitions of the last 399 days and of today, with names as pg_partman gives them.
make_visits() {
	psql_run "SET client_min_messages = warning; DROP TABLE IF EXISTS visits" \
		"CREATE TABLE visits (at timestamptz NOT NULL, n int, note text) PARTITION BY RANGE (at)" \
		"CREATE INDEX ON visits (at)" \
		"DO \$\$ DECLARE d date; BEGIN FOR d IN SELECT current_date - i FROM generate_series(0, 399) i LOOP
		 EXECUTE format('CREATE TABLE %I PARTITION OF visits FOR VALUES FROM (%L) TO (%L)', 'visits_p' || to_char(d, 'YYYY_MM_DD'), d, d + 1);
		 COMMIT; END LOOP; END \$\$" \
		"INSERT INTO visits SELECT current_date - d + g * interval '10 s', g, 'old' FROM generate_series(0, 399) d, generate_series(1, $rows) g" \
		"VACUUM ANALYZE visits" "CHECKPOINT"
}

prepare_partman() {
	psql_run "SET client_min_messages = warning; DELETE FROM partman.part_config WHERE parent_table = 'public.visits'" \
		"SELECT partman.create_parent('public.visits', 'at', 'native', 'daily', p_premake => 1, p_start_partition => current_date::text, p_jobmon => false)" \
		"DROP TABLE IF EXISTS visits_default" \
		"UPDATE partman.part_config SET premake = 30, retention = '369 days', retention_keep_table = false,
		 infinite_time_partitions = true WHERE parent_table = 'public.visits'" >/dev/null
}

by_partman() {
	psql_run "SELECT partman.run_maintenance('public.visits', p_analyze => false)" >/dev/null
}

prepare_dbops() {
	psql_run "SELECT dbops.set_partitioning('visits', runway => '30 days', keep => '369 days', schedule => '@yearly')" >/dev/null
}

by_dbops() {
	psql_run "SET client_min_messages = warning; CALL dbops.run_partitioning('visits')"
}

there() {
	psql_run "SELECT count(*) FILTER (WHERE c.relname > 'visits_p' || to_char(current_date, 'YYYY_MM_DD')) || ' made, ' ||
		400 - count(*) FILTER (WHERE c.relname <= 'visits_p' || to_char(current_date, 'YYYY_MM_DD')) || ' dropped'
		FROM pg_inherits JOIN pg_class c ON c.oid = inhrelid WHERE inhparent = 'visits'::regclass AND c.relname <> 'visits_default'"
}

# Do it in a way, the application beside it. Adds to $longest what it had to wait.
measure() {
	local name=$1 prepare=$2 way=$3 begin end before after application report

	make_visits
	"$prepare"
	rm -f "$folder"/log*
	pgbench -n -M prepared -c 2 -j 1 -T 600 -R 60 -f "$folder/transaction.sql" -l --log-prefix="$folder/log" >/dev/null 2>&1 &
	application=$!
	pgbench -n -c 1 -T 600 -f "$folder/report.sql" >/dev/null 2>&1 &
	report=$!
	sleep 2
	before=$(psql_run 'SELECT pg_current_wal_insert_lsn()')
	begin=$(date +%s%N)
	"$way"
	end=$(date +%s%N)
	after=$(psql_run 'SELECT pg_current_wal_insert_lsn()')
	sleep 2 # what has waited is told of when it is done, and pgbench writes it later
	kill "$application" "$report"
	wait "$application" "$report" 2>/dev/null || true
	# The last line may be cut off. Each tells how late its transaction began, which is not part of what it took.
	sed '$d' "$folder"/log* | awk -v b="$begin" -v e="$end" \
		'{ at = $5 * 1e9 + $6 * 1000 } at >= b && at - ($3 - $7) * 1000 <= e { print ($3 - $7) / 1000 }' | sort -g >"$folder/latencies"
	waits+=("$(percentile 100 "$folder/latencies")")
	printf '  %-28s %8d ms   %6s kB of WAL   p50 %7s ms   p99 %8s ms   longest %8s ms   %6d transactions   %s\n' "$name" \
		$(((end - begin) / 1000000)) "$(psql_run "SELECT round(pg_wal_lsn_diff('$after', '$before') / 1024)")" \
		"$(percentile 50 "$folder/latencies")" "$(percentile 99 "$folder/latencies")" \
		"${waits[-1]}" "$(wc -l <"$folder/latencies")" "$(there)"
}

measure_all() {
	local name=$1 round
	waits=()
	for ((round = 0; round < rounds; round++)); do
		measure "$@"
	done
	longest=$(median "${waits[@]}")
}

printf '30 partitions are made and 30 dropped, of 400 with %s rows each\n' "$rows"
measure_all 'dbops.run_partitioning()' prepare_dbops by_dbops
ours=$longest
psql_run "SELECT dbops.remove_partitioning('visits')" >/dev/null
if [ -n "$(psql_run "SELECT 1 FROM pg_available_extensions WHERE name = 'pg_partman'")" ]; then
	psql_run 'CREATE SCHEMA partman' 'CREATE EXTENSION pg_partman SCHEMA partman'
	measure_all "pg_partman's run_maintenance" prepare_partman by_partman
	hold 'the longest wait of the application, median of '"$rounds"', pg_partman against dbops' "$(ratio "$longest" "$ours")" 2
fi
