# A column of a large table is filled, three ways: by one UPDATE, which is the
# least work but one long transaction; by the loop of the operations guides,
# which looks for the next rows that are NULL with every batch and so passes
# again what it has done before; and by batched_backfill, with its proof at the
# end. The loop is run as it is written, with its pause of 0.1 s after each
# batch, and without.
#
# The floors are those of the design: no slower than 1.05 times one UPDATE, 5
# times faster than the loop at 5 million rows, and the same cost per row at
# ten times the size. A quick run is too small for the floor of the loop.
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
one_update="UPDATE users SET phone_number = '' WHERE phone_number IS NULL"
backfill="CALL dbops.batched_backfill('users', 'phone_number = ''''', 'phone_number IS NULL')"

rows=$(scaled 5000000)
before_each=$(make_users "$rows")
compare "backfill of $rows rows, against one UPDATE" 3 \
	'one UPDATE' "$one_update" 'batched_backfill' "$backfill" 0.95
compare "backfill of $rows rows, against the guides' loop" 1 \
	'the loop, as written' "$(guide_loop 'PERFORM pg_sleep(0.1);')" 'batched_backfill' "$backfill" \
	"$([ "$DBOPS_BENCH" = quick ] || echo 5)"
compare "backfill of $rows rows, against the guides' loop without its pause" 1 \
	'the loop, without pause' "$(guide_loop '')" 'batched_backfill' "$backfill"

small=$((rows / 10))
small_ms=()
large_ms=()
for _ in 1 2 3; do
	small_ms+=("$(time_ms "$backfill" "$(make_users "$small")")")
	large_ms+=("$(time_ms "$backfill" "$(make_users "$rows")")")
done
hold "cost per row at $small rows, against $rows rows" \
	"$(ratio "$(median "${small_ms[@]}")" "$(ratio "$(median "${large_ms[@]}")" 10)")" 0.9
