# What it costs to delete the older half of a table: by one DELETE, by the loop
# with LIMIT that people write, and by retention, in the table's order and out
# of it; what it writes to WAL, and the table's size after; how long a partition
# takes, however many rows it has; and what an application feels meanwhile that
# writes to the same table and reads what is new in it.
#
# What is deleted is vacuumed by all of them, since retention does so by itself.
. "$(dirname "$0")/lib.sh"

rows=$(scaled 4000000)
half="interval '1 minute' * $((rows / 2))"
seconds=$([ "$DBOPS_BENCH" = quick ] && echo 4 || echo 20)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

make_visits() {
	psql_run 'SET client_min_messages = warning; DROP TABLE IF EXISTS visits' \
		"CREATE TABLE visits (id bigint, at timestamptz NOT NULL, payload text) WITH (autovacuum_enabled = off)" \
		"INSERT INTO visits SELECT i, now() - ($rows - i) * interval '1 minute', repeat('x', 90) FROM generate_series(1, $rows) i ORDER BY $1" \
		"CREATE INDEX visits_at ON visits (at)" \
		"VACUUM (FREEZE, ANALYZE) visits" "CHECKPOINT"
}

loop="DO \$\$
	DECLARE
		gone integer;
	BEGIN
		LOOP
			DELETE FROM visits WHERE ctid IN (SELECT ctid FROM visits WHERE at < now() - $half ORDER BY at LIMIT 5000);
			GET DIAGNOSTICS gone = ROW_COUNT;
			EXIT WHEN gone = 0;
			COMMIT;
		END LOOP;
	END \$\$"

# Time a way of deleting; leaves the milliseconds in $ms.
delete_by() {
	local name=$1 order=$2 sql=$3 after=$4 before

	make_visits "$order"
	psql_run "SELECT dbops.set_retention('visits', 'at', $half, schedule => '@yearly', confirm => true)" >/dev/null
	before=$(psql_run "SELECT pg_current_wal_lsn()")
	ms=$(time_ms "$sql")
	[ -z "$after" ] || ms=$(awk -v a="$ms" -v b="$(time_ms "$after")" 'BEGIN { print a + b }')
	printf '  %-34s %9.0f ms  WAL %9s  size after %9s  %s rows left\n' "$name" "$ms" \
		"$(psql_run "SELECT pg_size_pretty(pg_current_wal_lsn() - '$before')")" \
		"$(psql_run "SELECT pg_size_pretty(pg_total_relation_size('visits'))")" "$(psql_run 'SELECT count(*) FROM visits')"
}

echo "half of $rows rows"
for order in i 'hashint8(i)'; do
	one=() ours=()
	for _ in 1 2 3; do
		delete_by "one DELETE, in order of $order" "$order" "DELETE FROM visits WHERE at < now() - $half" 'VACUUM visits'
		one+=("$ms")
		delete_by "retention, in order of $order" "$order" "CALL dbops.run_retention('visits')" ''
		ours+=("$ms")
	done
	# a run takes a fifth of a second besides, which a small table does not hide
	[ "$DBOPS_BENCH" = quick ] || hold "one DELETE / retention, in order of $order" "$(ratio "$(median "${one[@]}")" "$(median "${ours[@]}")")" 0.95
done
delete_by 'the loop with LIMIT 5000' i "$loop" 'VACUUM visits'

# Partitions: the time does not depend on how many rows they have.
drop_of() {
	psql_run 'SET client_min_messages = warning; DROP TABLE IF EXISTS events' \
		"CREATE TABLE events (at date NOT NULL, n integer) PARTITION BY RANGE (at)" \
		"CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2001-01-01') TO ('2002-01-01')" \
		"CREATE TABLE events_new PARTITION OF events FOR VALUES FROM ('2002-01-01') TO ('2100-01-01')" \
		"INSERT INTO events SELECT '2001-06-01', i FROM generate_series(1, $1) i" "VACUUM ANALYZE events_old" "CHECKPOINT"
	psql_run "SELECT dbops.set_retention('events', 'at', '1 year', schedule => '@yearly', confirm => true)" >/dev/null
	ms=$(time_ms "CALL dbops.run_retention('events')")
	printf '  %-34s %9.0f ms\n' "a partition of $1 rows" "$ms"
}

drop_of $((rows / 10))
few=$ms
drop_of "$rows"
hold 'a tenth of the rows / all, of a partition' "$(ratio "$few" "$ms")" 0.3

# What an application feels: the 99th percentile of its latency is at most twice what it is alone.
cat >"$folder/transaction.sql" <<-SQL
	BEGIN;
	INSERT INTO visits VALUES (0, now(), 'new');
	SELECT count(*) FROM (SELECT FROM visits WHERE at > now() - interval '1 minute' LIMIT 10) newest;
	COMMIT;
SQL

during() {
	make_visits i
	psql_run "SELECT dbops.set_retention('visits', 'at', $half, schedule => '@yearly', confirm => true)" >/dev/null
	beside "$1" "$seconds" "$folder/transaction.sql" "$2"
}

alone=() ours=()
for _ in 1 2 3; do
	during 'alone' ''
	alone+=("$p99")
	during 'retention' "CALL dbops.run_retention('visits')"
	ours+=("$p99")
done
during 'the loop with LIMIT 5000' "$loop"
during 'one DELETE' "DELETE FROM visits WHERE at < now() - $half"
# a small table is done before there are transactions enough
[ "$DBOPS_BENCH" = quick ] || hold 'p99 of an application alone, against during retention' \
	"$(ratio "$(median "${alone[@]}")" "$(median "${ours[@]}")")" 0.5
psql_run "DROP TABLE visits, events"
