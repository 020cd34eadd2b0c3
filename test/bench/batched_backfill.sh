# A column of a large table is filled, four ways: by one UPDATE, which is the
# least work but one long transaction; by the loop of the operations guides,
# which looks for the next rows that are NULL with every batch and so passes
# again what it has done before; and by batched_backfill with one worker and
# with two, the proof at the end included. The loop is run as it is written,
# with its pause of 0.1 s after each batch, and without. Beside the time stand
# the WAL that was written and the size of the table with its index afterwards.
#
# The floors are those of the design: one worker takes no longer than 1.05
# times one UPDATE, two workers on two processors are 1.3 times faster than
# that, the loop at 5 million rows takes 5 times as long as they do, and a row
# costs no more than 1.1 times as much at 10 million rows as at 1 million. One
# UPDATE is itself not 5 times as fast as the loop, and one worker hardly faster
# than that. A quick run is too small for the floors of two workers and of the
# loop.
. "$(dirname "$0")/lib.sh"

make_users() {
	echo "DROP TABLE IF EXISTS users;
		CREATE TABLE users (id bigint PRIMARY KEY, email text, created_at timestamptz, bio text, phone_number varchar(20));
		INSERT INTO users SELECT i, 'user' || i || '@example.org', now(), repeat('x', 60) FROM generate_series(1, $1) i;
		VACUUM ANALYZE users;
		CHECKPOINT"
}

# Rewritten from the guides' description; the argument is what follows a batch.
guide_loop() {
	echo "DO \$\$
	DECLARE
		changed integer;
	BEGIN
		LOOP
			UPDATE users SET phone_number = ''
			 WHERE id IN (SELECT id FROM users WHERE phone_number IS NULL LIMIT 10000);
			GET DIAGNOSTICS changed = ROW_COUNT;
			EXIT WHEN changed = 0;
			COMMIT;
			$1
		END LOOP;
	END \$\$"
}

declare -A statement=(
	['one UPDATE']="UPDATE users SET phone_number = '' WHERE phone_number IS NULL"
	['1 worker']="CALL dbops.batched_backfill('users', 'phone_number = ''''', 'phone_number IS NULL')"
	['2 workers']="CALL dbops.batched_backfill('users', 'phone_number = ''''', 'phone_number IS NULL', workers => 2)"
	["the guides' loop"]=$(guide_loop 'PERFORM pg_sleep(0.1);')
	["the guides' loop without its pause"]=$(guide_loop '')
)
declare -A times=() traffic=()

# Run one way on a new table, and keep what it took.
measure() {
	local way=$1 rows=$2 before ms

	psql_run "$(make_users "$rows")"
	before=$(psql_run 'SELECT pg_current_wal_lsn()')
	ms=$(time_ms "${statement[$way]}")
	times[$way $rows]+=" $ms"
	traffic[$way $rows]=$(psql_run "SELECT format('%s of WAL, table %s', pg_size_pretty(pg_wal_lsn_diff(pg_current_wal_lsn(), '$before')),
		pg_size_pretty(pg_total_relation_size('users')))")
	printf '  %-36s %9d rows %12.0f ms   %s\n' "$way" "$rows" "$ms" "${traffic[$way $rows]}"
}

# The median of what a way took.
took() {
	# shellcheck disable=SC2086 # several numbers
	median ${times[$1 $2]}
}

rows=$(scaled 10000000)
echo "backfill of $rows rows, by turns"
for _ in 1 2 3; do
	for way in 'one UPDATE' '1 worker' '2 workers'; do
		measure "$way" "$rows"
	done
done
hold "$rows rows, 1 worker against one UPDATE" "$(ratio "$(took 'one UPDATE' "$rows")" "$(took '1 worker' "$rows")")" 0.95
two=$(ratio "$(took 'one UPDATE' "$rows")" "$(took '2 workers' "$rows")")
if [ "$DBOPS_BENCH" = quick ] || [ "$(nproc)" -lt 2 ]; then
	echo "  2 workers are $two times as fast as one UPDATE"
else
	hold "$rows rows, 2 workers against one UPDATE" "$two" 1.3
fi

small=$((rows / 10))
echo "backfill of $small rows"
for _ in 1 2 3; do
	measure '1 worker' "$small"
done
hold "cost per row at $small rows, against $rows rows" \
	"$(ratio "$(took '1 worker' "$small")" "$(ratio "$(took '1 worker' "$rows")" 10)")" 0.91

rows=$((rows / 2))
echo "backfill of $rows rows, against the guides' loop"
for way in "the guides' loop" "the guides' loop without its pause" '1 worker' '2 workers'; do
	measure "$way" "$rows"
done
for workers in '1 worker' '2 workers'; do
	for way in "the guides' loop" "the guides' loop without its pause"; do
		times_as_fast=$(ratio "$(took "$way" "$rows")" "$(took "$workers" "$rows")")
		if [ "$DBOPS_BENCH" = quick ] || [ "$way$workers" != "the guides' loop2 workers" ]; then
			echo "  $workers: $times_as_fast times as fast as $way"
		else
			hold "$rows rows, $workers against $way" "$times_as_fast" 5
		fi
	done
done
