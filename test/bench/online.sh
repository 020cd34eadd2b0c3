# What an application feels while its table is changed: the latency of short
# transactions beside each call that does without downtime, and beside the plain
# statement that it takes the place of.
#
# What the application did after the change was done does not count, so that beside
# a statement that keeps it out for its whole length it hardly gets anything done.
#
# What a statement that keeps everybody out does to them shows in the longest
# latency: few are at work when it comes, and they wait for its end. The floor: none
# is longer beside a call than beside the plain statement. It is held on large tables
# only, since a small one is done with in no time either way.
. "$(dirname "$0")/lib.sh"

seconds=$([ "$DBOPS_BENCH" = quick ] && echo 5 || echo 10)
rows=$(scaled 3000000)
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

account_transactions "$rows" >"$folder/transaction.sql"

make_accounts() {
	psql_run "DROP TABLE IF EXISTS accounts, branches" \
		"CREATE TABLE branches (id int PRIMARY KEY)" \
		"INSERT INTO branches SELECT generate_series(1, 100)" \
		"CREATE TABLE accounts (id bigint PRIMARY KEY, balance bigint NOT NULL DEFAULT 0, branch int, number int, filler text)" \
		"INSERT INTO accounts (id, branch, number, filler) SELECT i, i % 100 + 1, i, repeat('x', 80) FROM generate_series(1, $rows) i" \
		"CREATE INDEX accounts_branch ON accounts (branch)" \
		"VACUUM ANALYZE accounts" "CHECKPOINT"
}

# Measure the application on a new table.
during() {
	make_accounts
	beside "$1" "$seconds" "$folder/transaction.sql" "$2"
}

# The plain statement, then the call.
against() {
	local plain

	during "$1" "$1"
	plain=$(percentile 100 "$folder/latencies")
	during "$2" "$3"
	[ "$DBOPS_BENCH" = quick ] || hold "longest beside \"$1\", against $2" "$(ratio "$plain" "$(percentile 100 "$folder/latencies")")" 1
}

echo "latency of 4 clients on $rows rows, at most $seconds s each"
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
