# shellcheck shell=bash
#
# What work in the background costs: how soon a job starts, what each run
# writes, what the engine costs while nothing is to be done, and whether a
# server that preloads dbops is any slower for its clients. Beside it stands
# pg_cron, where it is installed: a scheduler in the server as well, whose
# finest grain is a minute up to version 1.4. It runs its jobs in background
# workers here, as dbops does, so that no connection is counted against it.
#
# DBOPS_BENCH_IDLE sets for how many seconds the idle processes are watched.
. "$(dirname "$0")/lib.sh"

idle=${DBOPS_BENCH_IDLE:-$([ "$DBOPS_BENCH" = quick ] && echo 10 || echo 60)}
jobs=$(scaled 400)
rounds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 7)
seconds=$([ "$DBOPS_BENCH" = quick ] && echo 2 || echo 10)
peer=$([ -e "$(pg_config --sharedir)/extension/pg_cron.control" ] && echo pg_cron || true)

line() {
	printf '  %-40s %s\n' "$1" "$2"
}

# The CPU time that a process has used so far, in milliseconds.
cpu_ms() {
	awk -v tick="$(getconf CLK_TCK)" '{ sub(/^.*\) /, ""); printf "%.0f\n", ($12 + $13) * 1000 / tick }' "/proc/$1/stat"
}

pid_of() {
	psql_run "SELECT pid FROM pg_stat_activity WHERE backend_type = '$1'"
}

# Print p50 and p99 of the milliseconds that a query returns.
percentiles() {
	psql_run "SELECT format('p50 %s ms, p99 %s ms (%s runs)', round(percentile_cont(0.5) WITHIN GROUP (ORDER BY ms)::numeric, 1),
		round(percentile_cont(0.99) WITHIN GROUP (ORDER BY ms)::numeric, 1), count(*)) FROM ($1) _ (ms)"
}

wal_at() {
	psql_run 'SELECT pg_current_wal_insert_lsn()'
}

# Print what each of $1 runs wrote into the tables $4 from position $2 to $3:
# versions of rows, as the WAL tells, and all WAL of the time.
written() {
	psql_run "SELECT format('%s row versions, %s bytes of WAL', round(count(*) / $1.0, 2), round(pg_wal_lsn_diff('$3', '$2') / $1))
		  FROM pg_get_wal_records_info('$2', '$3') r, pg_class c
		 WHERE c.oid IN ($4) AND r.resource_manager LIKE 'Heap%' AND r.record_type ~ 'INSERT|UPDATE'
		   AND r.block_ref ~ format('/%s([ ;]|\$)', c.relfilenode)"
}

# --- one job at a time -------------------------------------------------------

one_off_jobs() {
	local i from to

	psql_run 'CREATE TABLE begun (job int, submitted timestamptz, began timestamptz)'
	from=$(wal_at)
	for ((i = 0; i < jobs; i++)); do
		printf "SELECT dbops.enqueue(format('INSERT INTO begun VALUES (%d, %%L, clock_timestamp())', clock_timestamp())) \\g /dev/null\nSELECT pg_sleep(0.03) \\g /dev/null\n" "$i"
	done | psql -X -q -o /dev/null
	psql_run "DO \$\$ BEGIN WHILE (SELECT count(*) < $jobs FROM begun) LOOP COMMIT; PERFORM pg_sleep(0.05); END LOOP; END \$\$"
	to=$(wal_at)
	line 'enqueue() to the first statement' "$(percentiles 'SELECT extract(epoch FROM began - submitted) * 1000 FROM begun')"
	line 'written for each, its INSERT included' "$(written "$jobs" "$from" "$to" "'dbops.job'::regclass")"
}

# --- again and again ---------------------------------------------------------

recurring_jobs() {
	local from to runs

	psql_run "SELECT dbops.schedule('bench', '@every 1 second', 'SELECT 1')" >/dev/null
	sleep 2
	from=$(wal_at)
	runs=$(psql_run "SELECT count(*) FROM dbops.job WHERE schedule = 'bench'")
	sleep "$(scaled 60)"
	psql_run "SELECT dbops.unschedule('bench')" >/dev/null
	sleep 1
	to=$(wal_at)
	runs=$(($(psql_run "SELECT count(*) FROM dbops.job WHERE schedule = 'bench'") - runs))
	line 'due to begun, every second' "$(percentiles "SELECT extract(epoch FROM started_at - run_after) * 1000 FROM dbops.job WHERE schedule = 'bench'")"
	line 'written for each run' "$(written "$runs" "$from" "$to" "'dbops.job'::regclass, 'dbops.schedule'::regclass")"
}

# pg_cron's jobs are due at the full minute; some, over some minutes.
peer_jobs() {
	local from to runs minutes

	minutes=$([ "$DBOPS_BENCH" = quick ] && echo 1 || echo 3)
	psql_run 'CREATE EXTENSION pg_cron'
	from=$(wal_at)
	psql_run "SELECT cron.schedule('bench' || i, '* * * * *', 'SELECT 1') FROM generate_series(1, 3) i" >/dev/null
	sleep $((5 + 60 * minutes))
	sleep 5
	to=$(wal_at)
	runs=$(psql_run "SELECT count(*) FROM cron.job_run_details WHERE status = 'succeeded'")
	line 'pg_cron: due to begun, every minute' "$(percentiles "SELECT extract(epoch FROM start_time - date_trunc('minute', start_time)) * 1000 FROM cron.job_run_details WHERE status = 'succeeded'")"
	((runs == 0)) || line 'pg_cron: written for each run' "$(written "$runs" "$from" "$to" "'cron.job_run_details'::regclass")"
	psql_run "SELECT cron.unschedule(jobid) FROM cron.job" >/dev/null
}

# --- nothing to do -----------------------------------------------------------

idle_cpu() {
	local label=$1 pid before

	pid=$(pid_of "$2")
	[ -n "$pid" ] || return 0
	sleep 2
	before=$(cpu_ms "$pid")
	sleep "$idle"
	line "$label, idle for $idle s" "$(($(cpu_ms "$pid") - before)) ms of CPU"
}

# --- clients -----------------------------------------------------------------

tps() {
	pgbench -n -c 2 -T "$seconds" "$@" bench 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

throughput() {
	local round script libraries
	local -a order
	local -A plain=() preloaded=()

	pgbench -i -q -s 10 bench >/dev/null 2>&1
	for ((round = 0; round < rounds; round++)); do
		order=('pg_stat_statements' 'pg_stat_statements, dbops')
		((round % 2 == 0)) || order=('pg_stat_statements, dbops' 'pg_stat_statements')
		for libraries in "${order[@]}"; do
			restart_with "$libraries"
			psql_run 'CHECKPOINT' 'SELECT sum(abalance) FROM pgbench_accounts' >/dev/null
			for script in select-only tpcb-like; do
				if [ "$libraries" = pg_stat_statements ]; then
					plain[$script]+=" $(tps -b "$script")"
				else
					preloaded[$script]+=" $(tps -b "$script")"
				fi
			done
		done
	done
	for script in select-only tpcb-like; do
		# shellcheck disable=SC2086 # lists of numbers
		local without=$(median ${plain[$script]}) with=$(median ${preloaded[$script]})

		line "pgbench $script, without and with" "$without and $with tps"
		hold "pgbench $script with dbops preloaded and idle" "$(ratio "$with" "$without")" 0.99
	done
}

psql_run 'CREATE EXTENSION pg_walinspect'
echo "jobs, one at a time ($jobs)"
one_off_jobs
echo 'jobs of a schedule'
recurring_jobs
echo 'an idle server'
idle_cpu 'the launcher of dbops' 'dbops launcher'
if [ -n "$peer" ]; then
	psql_run "ALTER SYSTEM SET cron.database_name = 'bench'" "ALTER SYSTEM SET cron.use_background_workers = on" 2>/dev/null || true
	restart_with 'pg_stat_statements, pg_cron'
	psql_run "ALTER SYSTEM SET cron.database_name = 'bench'" "ALTER SYSTEM SET cron.use_background_workers = on"
	restart_with 'pg_stat_statements, pg_cron'
	peer_jobs
	idle_cpu 'the launcher of pg_cron' 'pg_cron launcher'
	psql_run 'DROP EXTENSION pg_cron' 'ALTER SYSTEM RESET cron.database_name' 'ALTER SYSTEM RESET cron.use_background_workers'
else
	echo 'pg_cron is not installed: it is not measured beside'
fi
echo 'throughput of clients'
throughput
restart_with
