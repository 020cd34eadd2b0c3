# shellcheck shell=bash
#
# What watching costs. A sample is to stay below a millisecond, whatever the server
# holds: here many tables, many databases and many sessions. It is measured hot,
# again and again in a session with a clock of its own. Beside it stands what a tick
# of the launcher took, which is all that it does every ten seconds, alerts included,
# as it comes, after ten seconds in which the processor has done other things: by the
# clock, so that it is more where others want the processor. And whether
# clients are slower for it: pgbench with everything on against everything off, in
# one run on one server, which stays up while the settings change.
. "$(dirname "$0")/lib.sh"

tables=$(scaled 20000)
databases=$(scaled 400)
sessions='80 500'
ticks=$([ "$DBOPS_BENCH" = quick ] && echo 1 || echo 6)
rounds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 9)
seconds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 20)

# The mean cost of a sample in milliseconds, of so many.
sample_ms() {
	local samples=$1

	psql_run "
		SET dbops.test_now = 1900000000;
		DO \$\$
		DECLARE
			began timestamptz;
		BEGIN
			FOR i IN 1 .. $samples + 10 LOOP
				IF i = 11 THEN
					began := clock_timestamp();
				END IF;
				PERFORM set_config('dbops.test_now', (1900000000 + i * 10)::text, false);
				PERFORM dbops.sample_server();
			END LOOP;
			PERFORM set_config('bench.ms', round((extract(epoch FROM clock_timestamp() - began) * 1000 / $samples)::numeric, 3)::text, false);
		END
		\$\$;
		SELECT current_setting('bench.ms')" | tail -n 1
}

# The mean cost of the launcher's next ticks in milliseconds.
tick_ms() {
	local cost="SELECT string_agg(value::text, ' ' ORDER BY name DESC) FROM dbops.metrics() WHERE name IN ('collector.ticks', 'collector.time')"
	local before

	sleep 11
	before=$(psql_run "$cost")
	sleep $((ticks * 10 + 1))
	awk -v before="$before" -v after="$(psql_run "$cost")" 'BEGIN { split(before, b); split(after, a)
		printf "%.3f\n", (a[1] - b[1]) / (a[2] - b[2]) }'
}

# Print the median of some such means, which is held to a millisecond, and the cost of a tick.
sample_cost() {
	local name=$1 round ms tick
	local -a all=()

	for ((round = 0; round < 5; round++)); do
		all+=("$(sample_ms 200)")
	done
	ms=$(median "${all[@]}")
	tick=$(tick_ms)
	printf '  %-40s %12.3f ms, a tick %.3f ms\n' "$name" "$ms" "$tick"
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
	local i n=$1
	local -a pids=()

	for ((i = 0; i < n; i++)); do
		psql -X -q -c 'SELECT pg_sleep(600)' >/dev/null 2>&1 &
		pids+=($!)
	done
	sleep 2
	sample_cost "$n sessions"
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

psql_run 'ALTER SYSTEM SET max_connections = 600'
restart_with ''
echo 'the cost of a sample'
sample_cost 'an empty server'
many_tables
sample_cost "$tables tables"
for n in $sessions; do
	with_sessions "$n"
done
many_databases
sample_cost "$databases databases"
echo 'throughput of clients'
throughput
psql_run 'ALTER SYSTEM RESET max_connections'
restart_with ''
