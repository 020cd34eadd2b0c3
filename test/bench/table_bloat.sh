# shellcheck shell=bash
#
# How true a sample of 300 pages of a table is, and what it reads, beside
# pgstattuple, which reads every page. The truth is what VACUUM FULL does give
# back; what pgstattuple counts as free or dead is not that, as a page has a rest
# where no row fits, and an aim that the fillfactor sets, and so stands beside it.
# The shapes are those on which estimates go wrong: rows of many lengths, a part
# purged, values out of line.
#
# The floors are on what is foretold: one percentage point at no more than 2 percent
# of the reads, for a table over 1 GB; the shapes are smaller, and only the error is
# held to it there.
#
# All tables of a database are looked at as tools do it today, those of 1 MB or
# more by pgstattuple_approx, which reads what VACUUM has not marked.
. "$(dirname "$0")/lib.sh"

rows=$(scaled 1000000)
large_rows=$(scaled 24000000)
relations=$(scaled 100000)

psql_run 'CREATE EXTENSION pgstattuple'

reads() {
	psql_run "SELECT heap_blks_read + heap_blks_hit FROM pg_statio_all_tables WHERE relid = '$1'::regclass"
}

# The reads of one statement on a table.
reads_of() {
	local before
	before=$(reads "$1")
	psql_run "$2" >/dev/null
	echo $(($(reads "$1") - before))
}

# The file of a part of the table t: its own, or that of its TOAST table.
file_of() {
	psql_run "SELECT CASE '$1' WHEN 'table' THEN oid ELSE reltoastrelid END::regclass FROM pg_class WHERE oid = 't'::regclass"
}

# Print a shape's figures; t is rewritten. Leaves error and share in $error and $share.
measure() {
	local shape=$1 part=${2:-table} file line percent counted size won our_reads their_reads

	file=$(file_of "$part")
	line=$(psql_run "SELECT bloat_percent, low_percent, high_percent FROM dbops.table_bloat('t') WHERE part = '$part'")
	percent=${line%%|*}
	our_reads=$(reads_of "$file" "SELECT * FROM dbops.table_bloat('t')")
	their_reads=$(reads_of "$file" "SELECT * FROM pgstattuple('$file')")
	counted=$(psql_run "SELECT round((free_percent + dead_tuple_percent)::numeric, 2) FROM pgstattuple('$file')")
	size=$(psql_run "SELECT pg_relation_size('$file')")
	psql_run 'VACUUM FULL t'
	won=$(psql_run "SELECT round(100 - 100.0 * pg_relation_size('$(file_of "$part")') / $size, 2)")
	error=$(awk -v a="$percent" -v b="$won" 'BEGIN { d = a - b; printf "%.2f", d < 0 ? -d : d }')
	share=$(awk -v a="$our_reads" -v b="$their_reads" 'BEGIN { printf "%.2f", 100 * a / b }')
	printf '  %-16s %8s (%s to %s) %8s %8s %9d %9d %7s\n' \
		"$shape" "$percent" "$(cut -d'|' -f2 <<<"$line")" "$(cut -d'|' -f3 <<<"$line")" "$won" "$counted" "$our_reads" "$their_reads" "$share"
	worst=$(awk -v a="$error" -v b="$worst" 'BEGIN { print (a > b) ? a : b }')
}

head_line() {
	printf '%s\n  %-16s %8s %-18s %8s %8s %9s %9s %7s\n' "$1" shape percent '(95 % interval)' 'VAC FULL' counted reads theirs '%'
}

inverse() {
	awk -v a="$1" 'BEGIN { printf "%.2f\n", (a > 0.001) ? 1 / a : 1000 }'
}

# Fill the table with so many rows of such a text.
fill() {
	psql_run 'SET client_min_messages = warning; DROP TABLE IF EXISTS t' "CREATE UNLOGGED TABLE t (id bigint, v text, n int) ${3:-}" \
		"ALTER TABLE t ALTER v SET STORAGE ${4:-extended}" \
		"INSERT INTO t SELECT g, $2, 0 FROM generate_series(1, $1) g"
}

worst=0
head_line "eight shapes of tables of $rows rows and fewer"

fill "$rows" 'md5(g::text)'
measure fresh

fill "$rows" 'md5(g::text)'
psql_run 'DELETE FROM t WHERE random() < 0.7' 'VACUUM t'
measure 'random deletes'

fill "$rows" 'md5(g::text)'
psql_run "DELETE FROM t WHERE id < $rows * 0.4" 'VACUUM t'
measure 'range purge'

fill "$rows" 'md5(g::text)'
psql_run "DELETE FROM t WHERE id < $rows / 2 AND random() < 0.9"
measure 'not vacuumed'

fill "$rows" 'md5(g::text)'
psql_run 'UPDATE t SET n = 1 WHERE random() < 0.8' 'VACUUM t'
measure updated

fill "$((rows / 5))" "repeat('-', (random() * random() * 1900)::int)"
psql_run 'DELETE FROM t WHERE random() < 0.5' 'VACUUM t'
measure 'many lengths'

fill "$((rows / 5))" "repeat('-', 300 + (random() * 200)::int)" 'WITH (fillfactor = 60)'
psql_run 'UPDATE t SET n = 1' 'DELETE FROM t WHERE random() < 0.3' 'VACUUM t'
measure fillfactor

fill "$((rows / 20))" "repeat(md5(g::text), 80 + g % 40)" '' external
psql_run 'DELETE FROM t WHERE random() < 0.6' 'VACUUM t'
measure 'out of line' TOAST

hold "error of a sample, at most 2.5 percentage points ($worst)" "$(inverse "$worst")" 0.4

# Some GB: a part of it purged, a part thinned out, the rest as it was filled.
worst=0
fill "$large_rows" "repeat('-', 40 + (g % 60)::int)"
psql_run "DELETE FROM t WHERE id < $large_rows / 4 OR (id < $large_rows / 2 AND random() < 0.6)" 'VACUUM t'
size=$(psql_run "SELECT pg_relation_size('t') > 1073741824")
compare "a table of $(psql_run "SELECT pg_size_pretty(pg_relation_size('t'))")" 3 'pgstattuple()' "SELECT * FROM pgstattuple('t')" \
	'table_bloat()' "SELECT * FROM dbops.table_bloat('t')"
head_line 'its figures'
measure large
hold "error over 1 GB, at most 1 percentage point ($error)" "$(inverse "$error")" 1
[ "$size" = f ] || hold "reads over 1 GB, at most 2 percent ($share)" "$(awk -v s="$share" 'BEGIN { print 2 / s }')" 1
psql_run 'DROP TABLE t'

# Many, of which each hundredth is large enough to be looked at.
psql_run "
	SET synchronous_commit = off;
	DO \$\$
	BEGIN
		FOR i IN 1 .. $relations LOOP
			EXECUTE format('CREATE TABLE bench_%s (id int, v int)', i);
			IF i % 100 = 0 THEN
				EXECUTE format('INSERT INTO bench_%s SELECT g, g FROM generate_series(1, 80000) g', i);
				EXECUTE format('DELETE FROM bench_%s WHERE id %% 3 > 0', i);
			END IF;
			IF i % 500 = 0 THEN
				COMMIT;
			END IF;
		END LOOP;
	END
	\$\$"
compare "the bloated ones of $relations tables" 3 \
	'pgstattuple_approx() of each over 1 MB' "SELECT c.oid::regclass, s.* FROM pg_class c, pgstattuple_approx(c.oid) s
		WHERE c.relkind = 'r' AND pg_relation_size(c.oid) >= 1048576 AND s.dead_tuple_percent + s.approx_free_percent >= 20" \
	'find_bloated_tables()' 'SELECT * FROM dbops.find_bloated_tables()'
