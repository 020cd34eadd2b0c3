# shellcheck shell=bash
#
# Health is asked for every few seconds, by everybody. The guides' function asks
# the file system about every file of the database each time and goes through all
# statements, so that it grows with both; ours judges more than sixty checks, and
# answers from what it keeps. Both are called in a session that has called them
# before, as a monitoring agent's has.
. "$(dirname "$0")/lib.sh"

tables=$(scaled 30000)
statements=$(scaled 5000)

psql_run "
	SET synchronous_commit = off;
	DO \$\$
	BEGIN
		FOR i IN 1 .. $tables LOOP
			EXECUTE format('CREATE TABLE bench_%s (id int PRIMARY KEY, filler int UNIQUE)', i);
			IF i % 500 = 0 THEN
				COMMIT;
			END IF;
		END LOOP;
	END
	\$\$" "
	SET pg_stat_statements.track = 'all';
	DO \$\$
	BEGIN
		FOR i IN 1 .. $statements LOOP
			EXECUTE format('SELECT FROM bench_%s', i);
			IF i % 500 = 0 THEN
				COMMIT;
			END IF;
		END LOOP;
	END
	\$\$" "
	CREATE FUNCTION guide_health() RETURNS json LANGUAGE plpgsql AS \$\$
	DECLARE
		bytes bigint := pg_database_size(current_database());
		active int;
		slow int;
		ratio numeric;
	BEGIN
		SELECT count(*) INTO active FROM pg_stat_activity WHERE state = 'active';
		SELECT count(*) INTO slow FROM pg_stat_statements WHERE mean_exec_time > 1000;
		SELECT round(100.0 * sum(blks_hit) / nullif(sum(blks_hit) + sum(blks_read), 0), 2) INTO ratio
		  FROM pg_stat_database WHERE datname = current_database();
		RETURN json_build_object(
			'timestamp', now(), 'database_size_mb', round(bytes / 1024.0 / 1024.0, 2),
			'active_connections', active, 'slow_queries', slow, 'cache_hit_ratio', ratio,
			'status', CASE WHEN active > 50 OR slow > 10 OR ratio < 95 THEN 'warning' ELSE 'healthy' END);
	END
	\$\$" "
	CHECKPOINT"

before_each='SELECT guide_health(); SELECT dbops.system_health_check()'
compare "health of a database with $((tables * 3)) relations and $statements statements" 9 \
	"the guides' function" 'SELECT guide_health()' \
	'system_health_check()' 'SELECT dbops.system_health_check()' \
	"$([ "$DBOPS_BENCH" = quick ] && echo 5 || echo 100)"

# A call in a session as a pool's, which asks for nothing else.
call=$(for _ in 1 2 3 4 5 6 7 8 9; do time_ms 'SELECT dbops.system_health_check()' 'SELECT dbops.system_health_check()'; done | sort -g | sed -n 5p)
printf '  %-40s %12.3f ms\n' 'a call' "$call"
hold 'a millisecond, by the time of a call' "$(ratio 1 "$call")" 1

# Not held to a floor: what a measurement costs the one call that makes it.
printf '  %-40s %12.3f ms\n\n' 'a call that measures everything anew' \
	"$(time_ms 'SELECT dbops.system_health_check()' 'SET dbops.health_max_age = 0')"
