# shellcheck shell=bash
#
# What a ledger costs: a folder of small migrations, such as a project has after
# some years, is applied to an empty database. By plain psql in one session,
# each file in a transaction with a row in a table of versions, which is the
# least that any tool does; by doc/examples/migrate, which hands each text over
# to the server, where it is divided, watched and kept; and by dbmate, one
# compiled program with a connection that it keeps, where npm can fetch it. Then
# once more, when nothing is to be done: that is what each deployment begins with.
#
# The floor: dbops takes at most 2.5 times as long as plain psql. dbmate is no
# measure, since it does less: it neither watches nor compares nor can prove.
. "$(dirname "$0")/lib.sh"

migrate=$(cd "$(dirname "$0")/../.." && pwd)/doc/examples/migrate
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
declare -A times=()

# Four kinds of them in turn, as they come in an application.
migration() {
	local table=t$((($1 - 1) / 4))

	case $(($1 % 4)) in
	1) up="CREATE TABLE $table (id bigint PRIMARY KEY, name text NOT NULL, created_at timestamptz NOT NULL DEFAULT now());
CREATE INDEX ${table}_name ON $table (name);" down="DROP TABLE $table;" ;;
	2) up="ALTER TABLE $table ADD COLUMN email text;
COMMENT ON COLUMN $table.email IS 'where to write to';" down="ALTER TABLE $table DROP COLUMN email;" ;;
	3) up="INSERT INTO $table SELECT i, 'name ' || i FROM generate_series(1, 10) i;" down="DELETE FROM $table;" ;;
	0) up="ALTER TABLE $table ADD CONSTRAINT ${table}_email CHECK (email LIKE '%@%');
CREATE VIEW ${table}_names AS SELECT id, name FROM $table;" down="DROP VIEW ${table}_names; ALTER TABLE $table DROP CONSTRAINT ${table}_email;" ;;
	esac
}

write_folders() {
	local i version up down

	mkdir "$work/files" "$work/dbmate"
	echo 'CREATE TABLE schema_migrations (version text PRIMARY KEY);' >"$work/plain.sql"
	for ((i = 1; i <= $1; i++)); do
		migration "$i"
		version=$(printf '%05d' "$i")
		echo "$up" >"$work/files/${version}_m.sql"
		echo "$down" >"$work/files/${version}_m.rollback.sql"
		printf '%s\n' '-- migrate:up' "$up" '-- migrate:down' "$down" >"$work/dbmate/${version}_m.sql"
		printf '%s\n' 'BEGIN;' "\\i $work/files/${version}_m.sql" "INSERT INTO schema_migrations VALUES ('$version');" 'COMMIT;' >>"$work/plain.sql"
	done
}

# Print the path of dbmate; nothing where it cannot be had.
fetch_dbmate() {
	command -v npm >/dev/null || return 0
	timeout 120 npm install --silent --no-audit --no-fund --prefix "$work/npm" dbmate >/dev/null 2>&1 || return 0
	find "$work/npm/node_modules/@dbmate" -path '*/bin/dbmate' 2>/dev/null | head -n 1
}

plain_psql() { psql -X -q -v ON_ERROR_STOP=1 -d "$1" -f "$work/plain.sql"; }
dbops() { PGDATABASE=$1 PGOPTIONS='-c client_min_messages=warning' "$migrate" apply "$work/files"; }
dbmate() { "$dbmate" --no-dump-schema --migrations-dir "$work/dbmate" --url "postgres://$PGUSER@/$1?host=$PGHOST&sslmode=disable" up; }

# Time a way to deploy, in ms, as a shell sees it.
measure() {
	local way=$1 begin

	begin=$(date +%s%N)
	"$way" "bench_$way" >/dev/null
	times[$way $2]+=" $((($(date +%s%N) - begin) / 1000000))"
}

new_database() {
	psql_run "SET client_min_messages = warning; DROP DATABASE IF EXISTS $1" "CREATE DATABASE $1" CHECKPOINT
	PGDATABASE=$1 psql_run 'CREATE EXTENSION dbops'
}

# Of what a way took, first or again.
took() {
	# shellcheck disable=SC2086 # several numbers
	median ${times[$1 $2]}
}

report() {
	# shellcheck disable=SC2086 # several numbers
	report_side "$1, $2" ${times[$1 $2]}
}

n=$(scaled 1000)
write_folders "$n"
dbmate=$(fetch_dbmate)
ways=(plain_psql dbops)
[ -z "$dbmate" ] || ways+=(dbmate)
for _ in 1 2 3; do
	for way in "${ways[@]}"; do
		new_database "bench_$way"
		measure "$way" first
		[ "$way" = plain_psql ] || measure "$way" again
	done
done

echo "$n migrations"
for way in "${ways[@]}"; do
	report "$way" first
	[ "$way" = plain_psql ] || report "$way" again
done
hold "$n migrations against plain psql" "$(ratio "$(took plain_psql first)" "$(took dbops first)")" 0.4
if [ -n "$dbmate" ]; then
	echo "  $(ratio "$(took dbmate first)" "$(took dbops first)") times as fast as dbmate, and $(ratio "$(took dbmate again)" "$(took dbops again)") times where nothing is to be done"
else
	echo '  npm does not offer dbmate here: not compared'
fi
for way in "${ways[@]}"; do
	psql_run "DROP DATABASE bench_$way"
done
