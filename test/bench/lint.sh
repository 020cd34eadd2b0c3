# shellcheck shell=bash
#
# How many statements a second lint_sql() judges, beside squawk, which reads the same
# text and knows no database. lint_sql() looks up what each statement touches, so it is
# not to be the faster one, but fast enough that nobody waits for it before a deployment.
# The text is what migrations are made of, over many tables of many columns, each with rows.
# Both are whole processes, from the file to the findings, in turn. squawk is taken from
# npm, into a directory of its own; without either the figures of lint_sql() stand alone.
. "$(dirname "$0")/lib.sh"

tables=$(scaled 400)
rounds=$([ "$DBOPS_BENCH" = quick ] && echo 3 || echo 9)
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
text=$dir/text.sql
squawk=$dir/node_modules/.bin/squawk

make_tables() {
	psql_run "
		SET client_min_messages = warning;
		DO \$\$
		BEGIN
			FOR i IN 1 .. $tables LOOP
				EXECUTE format('CREATE TABLE bench_%s (id bigint PRIMARY KEY, a int, b text, c timestamptz, d numeric, parent bigint)', i);
				EXECUTE format('INSERT INTO bench_%s SELECT g, g, g, now(), g, g FROM generate_series(1, 100) g', i);
			END LOOP;
		END
		\$\$" 'ANALYZE'
}

# Ten statements of each table, as they stand in migrations.
write_text() {
	local i

	for ((i = 1; i <= tables; i++)); do
		cat <<-SQL
			CREATE TABLE bench_new_$i (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, parent_id bigint NOT NULL, state text DEFAULT 'new');
			ALTER TABLE bench_new_$i ADD CONSTRAINT parent FOREIGN KEY (parent_id) REFERENCES bench_$i (id);
			CREATE INDEX ON bench_new_$i (parent_id);
			ALTER TABLE bench_$i ADD COLUMN note text DEFAULT 'none' NOT NULL;
			ALTER TABLE bench_$i ALTER COLUMN a TYPE bigint;
			ALTER TABLE bench_$i ADD CONSTRAINT positive CHECK (d > 0);
			CREATE INDEX bench_${i}_b ON bench_$i (b, c);
			ALTER TABLE bench_$i ALTER COLUMN b SET NOT NULL;
			UPDATE bench_$i SET note = 'old' WHERE c < now();
			ALTER TABLE bench_$i RENAME COLUMN d TO amount;
		SQL
	done >"$text"
}

# The milliseconds of a command by the clock, its output thrown away; findings are no failure.
clock_ms() {
	local began=$EPOCHREALTIME

	"$@" >/dev/null 2>&1 || true
	awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { printf "%.3f\n", (b - a) * 1000 }'
}

lint_sql() {
	psql -X -q -A -t <<<"\\set text \`cat $text\`
		SELECT * FROM dbops.lint_sql(:'text')"
}

run_squawk() {
	"$squawk" --reporter=Json "$text"
}

# Is it there, or can it be had?
has_squawk() {
	command -v npm >/dev/null || { echo '  no npm here: without squawk'; return 1; }
	npm install --silent --no-audit --no-fund --prefix "$dir" squawk-cli >/dev/null 2>&1 || true
	"$squawk" --version >/dev/null 2>&1 || { echo '  squawk could not be had from npm: without it'; return 1; }
}

report_speed() {
	printf '  %-40s %12.0f statements a second\n' "$1" "$(ratio $((tables * 10 * 1000)) "$2")"
}

make_tables
write_text
echo "judging $((tables * 10)) statements"
with_squawk=no
! has_squawk || with_squawk=yes
ours=()
theirs=()
for ((round = 0; round <= rounds; round++)); do
	ms=$(clock_ms lint_sql)
	[ "$round" -eq 0 ] || ours+=("$ms")
	[ "$with_squawk" = yes ] || continue
	ms=$(clock_ms run_squawk)
	[ "$round" -eq 0 ] || theirs+=("$ms")
done
findings=$(lint_sql | wc -l)
report_side 'lint_sql()' "${ours[@]}"
report_speed 'lint_sql()' "$(median "${ours[@]}")"
hold "lint_sql() finds something in $((tables * 10)) statements" "$(ratio "$findings" "$tables")" 1
if [ "$with_squawk" = yes ]; then
	report_side "$("$squawk" --version)" "${theirs[@]}"
	report_speed squawk "$(median "${theirs[@]}")"
	times=$(ratio "$(median "${theirs[@]}")" "$(median "${ours[@]}")")
	printf '  %-40s %12s times as fast as squawk\n' 'lint_sql()' "$times"
	hold 'lint_sql(), with the catalog, to squawk, without' "$times" 0.1
fi
