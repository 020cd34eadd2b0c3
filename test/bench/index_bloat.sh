# shellcheck shell=bash
#
# How true a sample of 300 pages is, and what it reads, beside pgstatindex,
# which reads every page. The shapes are those on which other estimates fail:
# density alone takes a purged index for a dense one, averages of a few pages
# side by side miss where the rows were, and statistics know nothing of merged
# duplicates.
#
# The truth is 1 - needed / actual pages with the pages that pgstatindex counts
# (index_bloat with exact); beside it stands what REINDEX does win. The floor is
# one percentage point at no more than 2 percent of the reads, for an index over
# 1 GB; the eight shapes are smaller, and only the error is held to it there.
# Reads are those that the server counts for the index.
. "$(dirname "$0")/lib.sh"

rows=$(scaled 1000000)
large_rows=$(scaled 8000000)

psql_run 'CREATE EXTENSION pgstattuple'

reads() {
	psql_run "SELECT idx_blks_read + idx_blks_hit FROM pg_statio_all_indexes WHERE indexrelid = '$1'::regclass"
}

# The reads of one statement on an index.
reads_of() {
	local before
	before=$(reads "$1")
	psql_run "$2" >/dev/null
	echo $(($(reads "$1") - before))
}

# Print a shape's figures; the index is rebuilt. Leaves error and share in $error and $share.
measure() {
	local shape=$1 index=$2 line sampled truth won our_reads their_reads

	line=$(psql_run "SELECT bloat_percent, low_percent, high_percent FROM dbops.index_bloat('$index')")
	sampled=${line%%|*}
	our_reads=$(reads_of "$index" "SELECT * FROM dbops.index_bloat('$index')")
	their_reads=$(reads_of "$index" "SELECT * FROM pgstatindex('$index')")
	truth=$(psql_run "SELECT bloat_percent FROM dbops.index_bloat('$index', exact => true)")
	won=$(psql_run "CREATE TEMP TABLE before AS SELECT pg_relation_size('$index') AS size; REINDEX INDEX $index;
		SELECT round(100 - 100.0 * pg_relation_size('$index') / size, 2) FROM before" | tail -1)
	error=$(awk -v a="$sampled" -v b="$truth" 'BEGIN { d = a - b; printf "%.2f", d < 0 ? -d : d }')
	share=$(awk -v a="$our_reads" -v b="$their_reads" 'BEGIN { printf "%.2f", 100 * a / b }')
	printf '  %-16s %8s (%s to %s) %8s %8s %9d %9d %7s\n' \
		"$shape" "$sampled" "$(cut -d'|' -f2 <<<"$line")" "$(cut -d'|' -f3 <<<"$line")" "$truth" "$won" "$our_reads" "$their_reads" "$share"
	worst=$(awk -v a="$error" -v b="$worst" 'BEGIN { print (a > b) ? a : b }')
	worst_of_won=$(awk -v a="$sampled" -v b="$won" -v w="$worst_of_won" 'BEGIN { d = a - b; d = d < 0 ? -d : d; print (d > w) ? d : w }')
}

head_line() {
	printf '%s\n  %-16s %8s %-18s %8s %8s %9s %9s %7s\n' "$1" shape percent '(95 % interval)' truth REINDEX reads theirs '%'
}

inverse() {
	awk -v a="$1" 'BEGIN { printf "%.2f\n", (a > 0.001) ? 1 / a : 1000 }'
}

psql_run 'CREATE UNLOGGED TABLE t (id bigint, k text, wide text, d int)' 'ALTER TABLE t ALTER wide SET STORAGE plain'

# Fill the table with so many rows and index them by an expression.
fill() {
	psql_run "SET client_min_messages = warning; DROP INDEX IF EXISTS t_i" "TRUNCATE t" "$2" "${3:-}" "CREATE INDEX t_i ON t ($1)"
}

plain="INSERT INTO t SELECT g, md5(g::text), NULL, g % 1000 FROM generate_series(1, $rows) g"
worst=0
worst_of_won=0
head_line "eight shapes of indexes on $rows rows and fewer"

fill id "$plain"
measure fresh t_i

fill d "$plain"
psql_run 'DELETE FROM t WHERE random() < 0.4' 'VACUUM (INDEX_CLEANUP on) t'
measure deduplicated t_i

fill k "$plain"
psql_run 'DELETE FROM t WHERE random() < 0.7' 'VACUUM (INDEX_CLEANUP on) t'
measure 'random deletes' t_i

fill id "$plain"
psql_run "DELETE FROM t WHERE id < $rows * 0.4" 'VACUUM (INDEX_CLEANUP on) t'
measure 'range purge' t_i

fill id "$plain"
psql_run "DELETE FROM t WHERE id < $rows / 2 AND random() < 0.9" 'VACUUM (INDEX_CLEANUP on) t'
measure bimodal t_i

psql_run 'DROP INDEX t_i' 'TRUNCATE t' 'CREATE INDEX t_i ON t (k)' "$plain"
measure 'random inserts' t_i

fill wide "INSERT INTO t SELECT g, NULL, repeat(md5(g::text), 20 + g % 20), 0 FROM generate_series(1, $rows / 20) g"
psql_run 'DELETE FROM t WHERE random() < 0.5' 'VACUUM (INDEX_CLEANUP on) t'
measure 'wide keys' t_i

fill id "$plain"
psql_run "DELETE FROM t WHERE id % 5000 > 250" 'VACUUM (INDEX_CLEANUP on) t'
measure 'mostly deleted' t_i

hold "error of a sample, at most 1.5 percentage points ($worst)" "$(inverse "$worst")" 0.67
hold "what REINDEX wins is foretold, to 4 percentage points ($worst_of_won)" "$(inverse "$worst_of_won")" 0.25

# Over 1 GB: a part of it purged, a part thinned out, the rest as it was built.
worst=0
worst_of_won=0
fill k "INSERT INTO t SELECT g, lpad(g::text, 120, '0'), NULL, 0 FROM generate_series(1, $large_rows) g"
psql_run "DELETE FROM t WHERE id < $large_rows / 4 OR (id < $large_rows / 2 AND random() < 0.6)" 'VACUUM (INDEX_CLEANUP on) t'
head_line "an index of $(psql_run "SELECT pg_size_pretty(pg_relation_size('t_i'))")"
size=$(psql_run "SELECT pg_relation_size('t_i') > 1073741824")
compare 'time of that' 3 'pgstatindex()' "SELECT * FROM pgstatindex('t_i')" \
	'index_bloat()' "SELECT * FROM dbops.index_bloat('t_i')"
measure large t_i
hold "error over 1 GB, at most 1 percentage point ($error)" "$(inverse "$error")" 1
[ "$size" = f ] || hold "reads over 1 GB, at most 2 percent ($share)" "$(awk -v s="$share" 'BEGIN { print 2 / s }')" 1
