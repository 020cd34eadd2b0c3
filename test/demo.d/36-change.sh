# shellcheck shell=bash
#
# A scene in shell, because two things happen at once: a column is added to the
# application's table, filled, made NOT NULL and indexed by one call, while the
# application goes on.

# shellcheck source=test/demo.d/load.sh disable=SC2154 # demo's
. "$scenes/load.sh"

prepare_load token
begin_load alone 4
end_load
show <<'SQL'
\echo '== Change a table while it is in use'
\echo
\echo '   A column is added to 1,000,000 accounts, filled with a value of its own for each row,'
\echo '   made NOT NULL and indexed, while the application changes accounts 300 times a second.'
\echo '   This is what will be done:'
\echo
CALL dbops.add_column('pgbench_accounts', 'token', 'uuid', 'gen_random_uuid()', not_null => true, with_index => true, dry_run => true);

SQL
begin_load meanwhile 20
show <<'SQL'
CALL dbops.add_column('pgbench_accounts', 'token', 'uuid', 'gen_random_uuid()', not_null => true, with_index => true);

\echo '   The same call again:'
\echo
CALL dbops.add_column('pgbench_accounts', 'token', 'uuid', 'gen_random_uuid()', not_null => true, with_index => true);

SELECT * FROM dbops.unfinished_changes();

SQL
end=$(date +%s)
end_load

felt
latencies alone "$(date +%s)" 'alone'
latencies meanwhile "$end" 'while the column is added'
