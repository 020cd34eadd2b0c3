# What an application feels while a column is filled: the latency of short
# transactions on the same table, alone, during a backfill with one worker and
# with two, during the guides' loop, and during one UPDATE, which holds the lock
# of every row that it has changed until its end.
#
# The application runs for a fixed time, and what it began after the other was done
# does not count: a method that is done early is not praised for the quiet after it.
#
# The floor is that of the design: during a backfill the 99th percentile is at
# most twice what it is alone.
. "$(dirname "$0")/lib.sh"

seconds=$([ "$DBOPS_BENCH" = quick ] && echo 5 || echo 20)
rows=$(scaled 5000000)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

account_transactions "$rows" >"$folder/transaction.sql"

make_accounts() {
	psql_run "DROP TABLE IF EXISTS accounts" \
		"CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, filler text, state text)" \
		"INSERT INTO accounts (id, filler) SELECT i, repeat('x', 80) FROM generate_series(1, $rows) i" \
		"VACUUM ANALYZE accounts" "CHECKPOINT"
}

# Measure the application on a new table.
during() {
	make_accounts
	beside "$1" "$seconds" "$folder/transaction.sql" "$2"
}

fill="'accounts', 'state = ''new''', 'state IS NULL'"
loop="DO \$\$
	DECLARE
		changed integer;
	BEGIN
		LOOP
			UPDATE accounts SET state = 'new' WHERE id IN (SELECT id FROM accounts WHERE state IS NULL LIMIT 10000);
			GET DIAGNOSTICS changed = ROW_COUNT;
			EXIT WHEN changed = 0;
			COMMIT;
			PERFORM pg_sleep(0.1);
		END LOOP;
	END \$\$"

echo "latency of 4 clients on $rows rows, $seconds s each"
alone=() one=()
for _ in 1 2 3; do
	during 'alone' ''
	alone+=("$p99")
	during 'backfill, 1 worker' "CALL dbops.batched_backfill($fill)"
	one+=("$p99")
done
during 'backfill, 2 workers' "CALL dbops.batched_backfill($fill, workers => 2)"
during "the guides' loop" "$loop"
during 'one UPDATE' "UPDATE accounts SET state = 'new' WHERE state IS NULL"
hold 'p99 of an application alone, against during a backfill' \
	"$(ratio "$(median "${alone[@]}")" "$(median "${one[@]}")")" 0.5
