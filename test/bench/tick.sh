# shellcheck shell=bash
#
# What watching costs. A sample, and with it all that the launcher does every ten
# seconds, is to stay below a millisecond, whatever the server holds: here many
# tables, many databases and many sessions. And whether clients are slower
# for it: pgbench with everything on against everything off, in one run on one
# server, which stays up while the settings change.
. "$(dirname "$0")/lib.sh"

tables=$(scaled 20000)
databases=$(scaled 400)
sessions=80
rounds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 9)
seconds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 20)

# The mean cost of a sample in milliseconds, of so many.
sample_ms() {
	local samples=$1 begin end

	psql_run "SELECT count(dbops.sample_server()) FROM generate_series(1, 10)" >/dev/null
	begin=$(date +%s%N)
	psql_run "SELECT count(dbops.sample_server()) FROM generate_series(1, $samples)" >/dev/null
	end=$(date +%s%N)
	awk -v ns=$((end - begin)) -v n="$samples" 'BEGIN { printf "%.3f\n", ns / n / 1e6 }'
}

# Print the median of some such means, and hold it to a millisecond.
sample_cost() {
	local name=$1 round ms
	local -a all=()

	for ((round = 0; round < 5; round++)); do
		all+=("$(sample_ms 200)")
	done
	ms=$(median "${all[@]}")
	printf '  %-40s %12.3f ms\n' "$name" "$ms"
	hold "a sample, $name: 1 ms to its cost" "$(ratio 1 "$ms")" 1
}

many_tables() {
	psql_run "
		SET synchronous_commit = off;
		DO \$\$
		BEGIN
			FOR i IN 1 .. $tables LOOP
				EXECUTE format('CREATE TABLE bench_%s (id int)', i);
				IF i % 500 = 0 THEN
					COMMIT;
				END IF;
			END LOOP;
		END
		\$\$"
}

many_databases() {
	local i

	for ((i = 1; i <= databases; i++)); do
		printf 'CREATE DATABASE bench_%d STRATEGY wal_log;\n' "$i"
	done | psql -X -q -d postgres
}

with_sessions() {
	local i
	local -a pids=()

	for ((i = 0; i < sessions; i++)); do
		psql -X -q -c 'SELECT pg_sleep(600)' >/dev/null 2>&1 &
		pids+=($!)
	done
	sleep 2
	sample_cost "$sessions sessions"
	psql_run "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600)'" >/dev/null
	wait "${pids[@]}" || true
}

# All that works in the background, on or off.
switch() {
	psql_run "ALTER SYSTEM SET dbops.enabled = $1" "SELECT pg_reload_conf()" >/dev/null
	sleep 1
}

tps() {
	pgbench -n -c 2 -T "$seconds" -b "$1" bench 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

throughput() {
	local round script state without with
	local -a order
	local -A off=() on=()

	pgbench -i -q -s 10 bench >/dev/null 2>&1
	for ((round = 0; round < rounds; round++)); do
		order=(off on)
		((round % 2 == 0)) || order=(on off)
		for state in "${order[@]}"; do
			switch "$state"
			for script in select-only tpcb-like; do
				if [ "$state" = off ]; then
					off[$script]+=" $(tps "$script")"
				else
					on[$script]+=" $(tps "$script")"
				fi
			done
		done
	done
	switch on
	for script in select-only tpcb-like; do
		# shellcheck disable=SC2086 # lists of numbers
		without=$(median ${off[$script]})
		# shellcheck disable=SC2086
		with=$(median ${on[$script]})
		printf '  %-40s %s and %s tps\n' "pgbench $script, off and on" "$without" "$with"
		hold "pgbench $script with everything on" "$(ratio "$with" "$without")" 0.99
	done
}

echo 'the cost of a sample'
sample_cost 'an empty server'
many_tables
sample_cost "$tables tables"
with_sessions
many_databases
sample_cost "$databases databases"
printf '  %-40s %s\n' 'every ten seconds, all that the launcher does' \
	"$(psql_run "SELECT format('%s ms, %s of %s samples over 1 ms', round(tick_ms::numeric, 3), overruns, samples) FROM dbops.collector_status()")"
echo 'throughput of clients'
throughput
