# shellcheck shell=bash
#
# What guarding DDL costs those who are guarded. All that a client runs passes the
# hook, so pgbench is measured with everything off and with everything on: it runs
# no DDL, and BEGIN and COMMIT are looked at each time. Then DDL itself, ten
# thousand statements that do nothing but write a row of the catalog, one
# transaction each: the cheapest DDL that there is shows the most of what is
# added. On a small table that is to find out that it is small, on a large one all
# rules are held against each statement.
. "$(dirname "$0")/lib.sh"

statements=$(scaled 10000)
rounds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 7)
seconds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 15)

all_on='-c dbops.ddl_guard=warn -c dbops.ddl_lock_timeout=1000 -c dbops.require_migration=on'

tps() {
	PGOPTIONS=$2 pgbench -n -c 2 -T "$seconds" -b "$1" bench 2>/dev/null | sed -n 's/^tps = \([0-9.]*\).*/\1/p'
}

throughput() {
	local script=$1 round
	local -a off=() on=()

	for ((round = 0; round < rounds; round++)); do
		if ((round % 2 == 0)); then
			off+=("$(tps "$script" '')")
			on+=("$(tps "$script" "$all_on")")
		else
			on+=("$(tps "$script" "$all_on")")
			off+=("$(tps "$script" '')")
		fi
	done
	printf '  %-40s %s and %s tps\n' "pgbench $script, off and on" "$(median "${off[@]}")" "$(median "${on[@]}")"
	hold "pgbench $script with everything on" "$(ratio "$(median "${on[@]}")" "$(median "${off[@]}")")" 0.98
}

# So many statements on a table, with a setting.
ddl() {
	printf "SET synchronous_commit = off; SET lock_timeout = '1s'; SET %s; %s" "$2" "
		DO \$\$
		BEGIN
			FOR i IN 1 .. $statements LOOP
				EXECUTE 'ALTER TABLE $1 ALTER b SET DEFAULT ' || i;
				COMMIT;
			END LOOP;
		END
		\$\$"
}

pgbench -i -q -s 10 bench >/dev/null 2>&1
throughput select-only
throughput tpcb-like
psql_run 'CREATE TABLE small (id int, b int)' \
	'CREATE TABLE large (id int, b int, wide text)' \
	"ALTER TABLE large ALTER wide SET STORAGE PLAIN" \
	"INSERT INTO large SELECT g, g, repeat('x', 7000) FROM generate_series(1, 16000) g" \
	'VACUUM ANALYZE large'
nothing='dbops.ddl_guard = off'
compare "$statements statements with dbops.ddl_lock_timeout" "$rounds" \
	'off' "$(ddl small "$nothing")" \
	'500 ms' "$(ddl small 'dbops.ddl_lock_timeout = 500')" \
	0.8
compare "$statements statements on a small table" "$rounds" \
	'off' "$(ddl small "$nothing")" \
	'warn' "$(ddl small 'dbops.ddl_guard = warn')" \
	0.5
compare "$statements statements on a large table" "$rounds" \
	'off' "$(ddl large "$nothing")" \
	'warn' "$(ddl large 'dbops.ddl_guard = warn')" \
	0.1
