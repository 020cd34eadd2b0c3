# shellcheck shell=bash
#
# The application of scenes in which two things happen at once: pgbench, 4 clients,
# 300 short transactions a second, each of which changes a row of pgbench_accounts.
# Latencies count from the moment at which a transaction was due, so one that had to
# wait in a queue is not flattered.

# shellcheck disable=SC2154 # demo's
load=$demo/load

# Make room for its latencies, and put the table back as it was but for a column.
prepare_load() {
	as_server_user rm -rf "$load"
	as_server_user mkdir "$load"
	run psql -X -q -c 'SET client_min_messages = warning' -c "ALTER TABLE pgbench_accounts DROP COLUMN IF EXISTS $1" \
		-c 'VACUUM (FULL, ANALYZE) pgbench_accounts' -c 'CHECKPOINT'
}

# Begin the application for some seconds; its latencies go to a file of that name.
# shellcheck disable=SC2154 # demo's
begin_load() {
	run pgbench -n -b simple-update -c 4 -R 300 -T "$2" -l --log-prefix="$load/$1" "$database" >/dev/null 2>&1 &
	application=$!
}

# Wait for its end.
end_load() {
	wait "$application" || die 'the application failed'
}

# Print what the application felt until a moment, in seconds since 1970.
latencies() {
	as_server_user find "$load" -name "$1.*" -exec cat {} + | awk -v end="$2" '$5 < end { print $3 / 1000 }' | sort -g |
		awk -v name="$3" '
			{ v[NR] = $1 }
			END { printf "   %-34s %8d %10.2f %10.2f\n", name, NR, v[int((NR - 1) * 0.5) + 1], v[int((NR - 1) * 0.99) + 1] }'
}

# The heading of these lines.
felt() {
	printf '\n   What the application felt:\n\n   %-34s %8s %10s %10s\n' '' number 'p50, ms' 'p99, ms'
}
