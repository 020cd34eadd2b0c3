# shellcheck shell=bash
#
# What a benchmark needs besides its own SQL: to run it, to time it, and to
# set two ways of doing the same thing side by side. A machine's absolute
# times mean little to anybody else, so what is printed and held to a floor is
# the ratio of two medians, measured alternately in one run on one server.
#
# A benchmark is a file test/bench/NAME.sh, run by `test/bench/run NAME`, which
# starts the server, creates an empty database with dbops and
# pg_stat_statements in it, and sets PGHOST, PGUSER, PGDATABASE. It looks so:
#
#     # Why this comparison is the one that matters.
#     . "$(dirname "$0")/lib.sh"
#
#     rows=$(scaled 5000000)
#     psql_run "CREATE TABLE t AS SELECT g AS id FROM generate_series(1, $rows) g"
#     compare "counting $rows rows" 5 \
#         'the old way' 'SELECT sum(1) FROM t' \
#         'the new way' 'SELECT count(*) FROM t' \
#         1.05
#
# Of the two, A is what people do today and B is dbops; the ratio says how many
# times faster B is, and the last argument is the least that it must be.
#
#     psql_run SQL...             run statements; rows come unaligned, bare
#     time_ms SQL [UNTIMED_SQL]   milliseconds of SQL, UNTIMED_SQL run before
#     median NUMBER...            their median
#     percentile P FILE           of the numbers in a file, which are in order
#     ratio A B                   A / B with two decimals
#     scaled N                    N, or a twentieth of it in a quick run
#     compare NAME ROUNDS A_LABEL A_SQL B_LABEL B_SQL [FLOOR]
#     hold NAME RATIO FLOOR       a floor check of your own; prints ok or not ok
#     beside NAME SECONDS FILE SQL [WHOLE]    the latencies of an application that
#                                 runs the pgbench script FILE, while SQL runs, or
#                                 with WHOLE so many seconds from SQL's beginning,
#                                 also when it ends before; '' as SQL: alone
#     account_transactions ROWS   such a script, on the table accounts with so many rows
#     restart_with LIBRARIES      restart the server, these preloaded; none: as before
#
# Before each timing, compare runs the SQL in $before_each, untimed: put back
# there what the statement changed. Notices of the statements are not shown.

set -euo pipefail

if [ -z "${DBOPS_BENCH:-}" ]; then
	echo 'benchmarks are run by test/bench/run' >&2
	exit 1
fi

before_each=''

# Run statements, each in its own transaction.
psql_run() {
	local sql
	for sql in "$@"; do
		psql -X -q -A -t -v ON_ERROR_STOP=1 <<<"$sql"
	done
}

# Print how long a statement took as psql saw it, over a local socket and with
# its rows thrown away: the wire costs about 0.05 ms.
time_ms() {
	psql -X -q -A -t -v ON_ERROR_STOP=1 <<-SQL | awk '$1 == "Time:" { ms += $2 } END { printf "%.3f\n", ms }'
		SET client_min_messages = warning;
		\o /dev/null
		${2:-}
		;
		\timing on
		$1
		;
	SQL
}

median() {
	printf '%s\n' "$@" | sort -g | awk '
		{ v[NR] = $1 }
		END { printf "%.3f\n", NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

ratio() {
	awk -v a="$1" -v b="$2" 'BEGIN { printf "%.2f\n", (b > 0 ? a / b : 0) }'
}

scaled() {
	if [ "$DBOPS_BENCH" = quick ]; then
		echo $(($1 / 20 > 0 ? $1 / 20 : 1))
	else
		echo "$1"
	fi
}

# Time A and B in turn, A B A B, so that whatever else the machine does falls
# on both, and print medians, range and ratio. The first round warms the caches
# and is not counted. Leaves the ratio in $compare_ratio.
compare() {
	local name=$1 rounds=$2 a_label=$3 a_sql=$4 b_label=$5 b_sql=$6 floor=${7:-}
	local round a b
	local -a as=() bs=()

	printf '%s\n' "$name"
	for ((round = 0; round <= rounds; round++)); do
		a=$(time_ms "$a_sql" "$before_each")
		b=$(time_ms "$b_sql" "$before_each")
		if ((round > 0 || rounds == 1)); then
			as+=("$a")
			bs+=("$b")
			((rounds > 1)) || break
		fi
	done
	report_side "$a_label" "${as[@]}"
	report_side "$b_label" "${bs[@]}"
	compare_ratio=$(ratio "$(median "${as[@]}")" "$(median "${bs[@]}")")
	printf '  %-40s %12s times as fast\n' '' "$compare_ratio"
	[ -z "$floor" ] || hold "$name" "$compare_ratio" "$floor"
}

report_side() {
	local label=$1 sorted
	shift
	mapfile -t sorted < <(printf '%s\n' "$@" | sort -g)
	printf '  %-40s %12.3f ms   (%.3f to %.3f, %d rounds)\n' \
		"$label" "$(median "$@")" "${sorted[0]}" "${sorted[-1]}" "$#"
}

# A percentile of the numbers of a file, which are in order.
percentile() {
	awk -v p="$1" '{ v[NR] = $1 } END { printf "%.2f\n", v[int((NR - 1) * p / 100) + 1] }' "$2"
}

# Say whether a ratio reaches its floor. The verdict goes to test/bench/run too,
# which sums them up and fails when one did not hold.
hold() {
	local verdict='ok'
	awk -v r="$2" -v f="$3" 'BEGIN { exit !(r >= f) }' || verdict='not ok'
	printf '%s - %s: ratio %s, at least %s\n\n' "$verdict" "$1" "$2" "$3"
	printf '%s\n' "$verdict" >>"$DBOPS_BENCH_VERDICTS"
}

# pgbench's built-in transaction, reduced to the table in work: read one account,
# change its balance.
account_transactions() {
	cat <<-SQL
		\set id random(1, $1)
		BEGIN;
		SELECT balance FROM accounts WHERE id = :id;
		UPDATE accounts SET balance = balance + 1 WHERE id = :id;
		COMMIT;
	SQL
}

# Run an application, which is four clients, beside a statement, or alone, and
# print the latencies of the transactions that it began from the statement's
# beginning on: until the statement's end, or for the whole time, which is at most
# so many seconds. The application has been at work a second when the statement
# comes, so that nothing is measured of how it connects and prepares. Leaves the
# 99th percentile in $p99. Beside the script, in its folder, are the files that
# this needs.
beside() {
	local name=$1 seconds=$2 script=$3 sql=$4 whole=${5:-} folder application work='' start end

	folder=$(dirname "$script")
	rm -f "$folder"/log* "$folder/end"
	pgbench -n -M prepared -c 4 -j 2 -T $((seconds + 2)) -f "$script" -l --log-prefix="$folder/log" >"$folder/out" 2>&1 &
	application=$!
	sleep 1
	start=$(date +%s.%N)
	if [ -n "$sql" ]; then
		(
			PGAPPNAME=beside psql -X -q -v ON_ERROR_STOP=1 -c 'SET client_min_messages = warning' -c "$sql" >/dev/null 2>"$folder/errors" ||
				touch "$folder/failed"
			date +%s.%N >"$folder/end"
		) &
		work=$!
	fi
	wait "$application" || { cat "$folder/out"; exit 1; }
	end=$(awk -v start="$start" -v seconds="$seconds" 'BEGIN { printf "%.6f", start + seconds }')
	if [ -n "$work" ]; then
		if [ -e "$folder/end" ]; then
			[ ! -e "$folder/failed" ] || { cat "$folder/errors"; exit 1; }
			[ -n "$whole" ] || end=$(printf '%s\n' "$end" "$(cat "$folder/end")" | sort -g | head -n 1)
		fi
		psql_run "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'beside'" >/dev/null
		psql_run "SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE finished_at IS NULL" >/dev/null
		wait "$work" || true
	fi
	rm -f "$folder/failed"
	cat "$folder"/log* | awk -v start="$start" -v end="$end" '
		NF >= 6 { begun = $5 - $3 / 1e6 + $6 / 1e6 }
		NF >= 6 && begun >= start && begun < end { print $3 / 1000 }' | sort -g >"$folder/latencies"
	p99=$(percentile 99 "$folder/latencies")
	((${#name} <= 24)) || { printf '  %s\n' "$name"; name=''; }
	printf '  %-24s p50 %8s ms   p99 %8s ms   longest %8s ms   %8d transactions\n' "$name" \
		"$(percentile 50 "$folder/latencies")" "$p99" "$(percentile 100 "$folder/latencies")" "$(wc -l <"$folder/latencies")"
}

# Restart the server with other libraries preloaded, and settings they need.
restart_with() {
	local -a as_server=()

	[ "$(id -u)" -ne 0 ] || as_server=(runuser -u postgres --)
	psql -X -q -d postgres -c "ALTER SYSTEM $([ -n "${1:-}" ] && echo "SET shared_preload_libraries = $1" || echo 'RESET shared_preload_libraries')"
	${as_server[@]+"${as_server[@]}"} pg_ctl -D "$DBOPS_BENCH_DIR/data" -l "$DBOPS_BENCH_DIR/server.log" -s -w -m fast restart </dev/null >/dev/null
}
