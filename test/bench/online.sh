# What an application feels while its table is changed: the latency of short
# transactions beside each call that does without downtime, and beside the plain
# statement that it takes the place of.
#
# Both are measured for the same seconds from their beginning, also those in which
# they are done already: what a statement that keeps everybody out costs them is
# then in the number of transactions too.
#
# There are two ways to be kept out. A statement that reads or writes the whole
# table under its lock keeps everybody out for its length: few are at work when it
# comes, and they wait for its end, which shows in the longest latency. A small
# table is done with in no time either way, so that the floor, that none is longer
# beside a call than beside the plain statement, is held at full size only. A
# statement that needs its lock for a moment keeps everybody out as long as it waits
# for it, that is to the end of a report that reads the table: three seconds here. A
# call waits in the queue for a fifth of a second at most, so that there the floor is
# five times as long, at every size.
. "$(dirname "$0")/lib.sh"

seconds=$([ "$DBOPS_BENCH" = quick ] && echo 5 || echo 10)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

make_accounts() {
	account_transactions "$rows" >"$folder/transaction.sql"
	psql_run 'SET client_min_messages = warning; DROP TABLE IF EXISTS accounts, branches CASCADE' \
		"CREATE TABLE branches (id int PRIMARY KEY)" \
		"INSERT INTO branches SELECT generate_series(1, 100)" \
		"CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, branch int, number int, twin int, filler text)" \
		"INSERT INTO accounts (id, branch, number, filler) SELECT i, i % 100 + 1, i, repeat('x', 80) FROM generate_series(1, $rows) i" \
		"CREATE INDEX accounts_branch ON accounts (branch)" \
		"VACUUM ANALYZE accounts" "CHECKPOINT"
}

# Read the table in a transaction for so long. Returns when it does.
begin_report() {
	psql -X -q -c "BEGIN; SELECT count(*) FROM accounts WHERE id < 10; SELECT pg_sleep($1)" >/dev/null &
	until [ "$(psql_run "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep'")" -gt 0 ]; do
		sleep 0.05
	done
}

# Measure the application on a new table, beside a statement and so many seconds of a
# report. First, untimed, comes the last argument, and the statement's :change is the
# change that this has begun.
during() {
	local name=$1 sql=$2 report=${3:-} first=${4:-}

	make_accounts
	if [ -n "$first" ]; then
		psql_run "SET client_min_messages = warning; $first"
		sql=${sql/:change/$(psql_run 'SELECT max(id) FROM dbops.column_change')}
	fi
	[ -z "$report" ] || begin_report "$report"
	beside "$name" "$seconds" "$folder/transaction.sql" "$sql" whole
	wait
}

# The plain statement, then the call, with what during() takes.
against() {
	local plain=$1 name=$2 call=$3 report=${4:-} first=${5:-} longest floor=1

	during "$plain" "$plain" "$report"
	longest=$(percentile 100 "$folder/latencies")
	during "$name" "$call" "$report" "$first"
	[ -z "$report" ] || floor=5
	[ "$DBOPS_BENCH$report" = quick ] ||
		hold "longest beside \"$plain\", against $name" "$(ratio "$longest" "$(percentile 100 "$folder/latencies")")" "$floor"
}

rows=$(scaled 3000000)
echo "latency of 4 clients on $rows rows, over $seconds s from the beginning of each"
during 'alone' ''
against 'CREATE INDEX ON accounts (number)' create_index \
	"CALL dbops.create_index('CREATE INDEX accounts_number ON accounts (number)')"
against 'ALTER TABLE accounts ALTER number SET NOT NULL' set_not_null \
	"CALL dbops.set_not_null('accounts', 'number')"
against 'ALTER TABLE accounts ADD CHECK (number > 0)' add_check_constraint \
	"CALL dbops.add_check_constraint('accounts', 'number > 0')"
against 'ALTER TABLE accounts ADD FOREIGN KEY (branch) REFERENCES branches' add_foreign_key \
	"CALL dbops.add_foreign_key('accounts', '{branch}', 'branches')"
against 'ALTER TABLE accounts ADD UNIQUE (number)' add_unique \
	"CALL dbops.add_unique('accounts', '{number}')"
against 'ALTER TABLE accounts ADD made timestamptz NOT NULL DEFAULT clock_timestamp()' add_column \
	"CALL dbops.add_column('accounts', 'made', 'timestamptz', 'clock_timestamp()', not_null => true)"
against 'ALTER TABLE accounts ALTER number TYPE bigint' change_type \
	"CALL dbops.change_type('accounts', 'number', 'bigint')"
against 'UPDATE accounts SET twin = number' sync_columns \
	"CALL dbops.sync_columns('accounts', 'twin = number')"

rows=$(scaled 200000)
report=4
rename="CALL dbops.rename_column('accounts', 'branch', 'office')"
echo "beside a report of $report s on $rows rows too"
during 'alone, beside the report' '' "$report"
against 'ALTER TABLE accounts RENAME branch TO office' rename_column \
	"$rename" "$report"
against 'ALTER TABLE accounts RENAME branch TO office' finish_change \
	"CALL dbops.finish_change(:change)" "$report" "$rename"
against 'ALTER TABLE accounts DROP filler' abort_change \
	"CALL dbops.abort_change(:change)" "$report" "$rename"
against 'ALTER TABLE accounts DROP filler' drop_column \
	"CALL dbops.drop_column('accounts', 'filler')" "$report"
against 'DROP INDEX accounts_branch' drop_index \
	"CALL dbops.drop_index('accounts_branch')" "$report"
