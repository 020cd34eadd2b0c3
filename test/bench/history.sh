# shellcheck shell=bash
#
# What history costs in room: a day of the home database and a day of another
# one, of figures that all move. A row is as large on any machine, so that this
# is measured over some hours of samples in a memory of the session's own and
# told for a day. Beside it stands the same as one row a figure.
. "$(dirname "$0")/lib.sh"

minutes=$(scaled 1440)

psql_run "
	SET dbops.test_now = 1900000000;
	DO \$\$
	DECLARE
		names text[];
		of_cluster boolean;
	BEGIN
		FOREACH of_cluster IN ARRAY ARRAY[true, false] LOOP
			SELECT array_agg(name) INTO names FROM dbops.metrics() WHERE (database IS NULL) = of_cluster;
			FOR i IN 0 .. $minutes * 6 LOOP
				PERFORM set_config('dbops.test_now', (1900022400 + i * 10)::text, false);
				PERFORM dbops.put_sample((SELECT jsonb_object_agg(name, (i * 1000 + random() * 1000)::numeric) FROM unnest(names) name),
										 of_cluster => of_cluster);
				IF i % 300 = 299 THEN
					PERFORM dbops.roll_up_metrics(true);
				END IF;
			END LOOP;
			PERFORM set_config('dbops.test_now', (1900022400 + $minutes * 60 + 20)::text, false);
			PERFORM dbops.roll_up_metrics(true);
		END LOOP;
	END
	\$\$"

row_bytes() {
	psql_run "SELECT round(avg(pg_column_size(m.*)) + 4 + 24) FROM dbops.metric_1m m WHERE cluster = $1 AND at > '2030-01-01'"
}

as_rows_bytes() {
	psql_run "
		CREATE TABLE one_a_figure (at timestamptz, metric int, value float8);
		INSERT INTO one_a_figure SELECT at, position, value FROM dbops.metric_1m, unnest(deltas || lasts) WITH ORDINALITY u (value, position)
		 WHERE cluster = $1 AND value IS NOT NULL AND at > '2030-01-01';
		SELECT round(pg_table_size('one_a_figure') / count(DISTINCT at)::numeric) FROM one_a_figure;
		DROP TABLE one_a_figure" | tail -1
}

for cluster in true false; do
	bytes=$(row_bytes $cluster)
	rows=$(as_rows_bytes $cluster)
	printf '  %-56s %9.2f MB\n' "minutes of a day, $([ $cluster = true ] && echo 'of the cluster' || echo 'of a database')" \
		"$(awk -v b="$bytes" 'BEGIN { print b * 1440 / 1024 / 1024 }')"
	hold "one row a figure against arrays, cluster = $cluster" "$(ratio "$rows" "$bytes")" 2
done
