# shellcheck shell=bash
#
# What history costs in room, tier by tier: a day of the cluster and a day of a
# database, and all that is kept, once of figures that all move and once of
# which most stand still, as they do. A row is as large on any machine, so that this
# is measured over some hours of samples in a memory of the session's own and
# told for a day. Beside the minutes stands the same as one row a figure.
. "$(dirname "$0")/lib.sh"

minutes=$(scaled 1440)

# Samples of some hours from a time on, in seconds, of which one figure in so many moves.
samples() {
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
				PERFORM set_config('dbops.test_now', ($1 + i * 10)::text, false);
				PERFORM dbops.put_sample((SELECT jsonb_object_agg(name, CASE WHEN n % $2 = 0 THEN i * 1000 + random() * 1000 ELSE 7 END::numeric)
										    FROM unnest(names) WITH ORDINALITY _ (name, n)),
										 of_cluster => of_cluster);
				IF i % 300 = 299 THEN
					PERFORM dbops.roll_up_metrics(true);
				END IF;
			END LOOP;
			PERFORM set_config('dbops.test_now', ($1 + $minutes * 60 + 20)::text, false);
			PERFORM dbops.roll_up_metrics(true);
		END LOOP;
	END
	\$\$"
}

# Of a row with its pointer, its header and its entry in the index: tier, cluster, since.
row_bytes() {
	psql_run "
		SELECT round(avg(4 + 24 + 32 + 28 + pg_column_size(mins) + pg_column_size(avgs) + pg_column_size(maxs)
						 + pg_column_size(lasts) + pg_column_size(deltas)))
		  FROM dbops.metric_$1 WHERE cluster = $2 AND at >= to_timestamp($3) AND at < to_timestamp($3 + 86400)"
}

# In MB: rows, bytes.
megabytes() {
	awk -v n="$1" -v b="$2" 'BEGIN { printf "%.2f", n * b / 1024 / 1024 }'
}

# A day of each tier, and what is kept of them: since, what moves.
tell() {
	local cluster tier rows days bytes kept sum=0

	echo "  $2"
	for cluster in true false; do
		for tier in '1m 1440 7' '5m 288 30' '1h 24 400'; do
			read -r tier rows days <<<"$tier"
			bytes=$(row_bytes "$tier" $cluster "$1")
			kept=$(megabytes $((rows * days)) "$bytes")
			sum=$(awk -v a="$sum" -v b="$kept" 'BEGIN { print a + b }')
			printf '    %-44s %5d B a row, %6.2f MB a day, %6.2f MB in %d days\n' \
				"$tier, $([ $cluster = true ] && echo 'of the cluster' || echo 'of a database')" \
				"$bytes" "$(megabytes "$rows" "$bytes")" "$kept" "$days"
		done
	done
	printf '    %-44s %42.1f MB\n' 'kept in the home database' "$sum"
}

as_rows_bytes() {
	psql_run "
		CREATE TABLE one_a_figure (at timestamptz, metric int, value float8);
		INSERT INTO one_a_figure SELECT at, position, value FROM dbops.metric_1m, unnest(deltas || lasts) WITH ORDINALITY u (value, position)
		 WHERE cluster = $1 AND value IS NOT NULL AND at >= to_timestamp(1900022400) AND at < to_timestamp(1900108800);
		SELECT round(pg_table_size('one_a_figure') / count(DISTINCT at)::numeric) FROM one_a_figure;
		DROP TABLE one_a_figure" | tail -1
}

samples 1900022400 1
samples 1900281600 4
tell 1900022400 'every figure moves'
tell 1900281600 'one figure in four moves'
for cluster in true false; do
	hold "one row a figure against arrays, cluster = $cluster" \
		"$(ratio "$(as_rows_bytes $cluster)" "$(row_bytes 1m $cluster 1900022400)")" 2
done
