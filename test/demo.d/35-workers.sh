# shellcheck shell=bash
#
# A scene in shell, because two things happen at once: the application goes on
# while two workers fill a column of its table, and what it felt is shown
# beside what it feels alone.

# shellcheck source=test/demo.d/load.sh disable=SC2154 # demo's
. "$scenes/load.sh"

prepare_load region
begin_load alone 4
end_load
show <<'SQL'
\echo '== Workers'
\echo
\echo '   A column of 1,000,000 accounts is filled by two processes at once, each in its own'
\echo '   blocks, while the application changes accounts 300 times a second.'
\echo
ALTER TABLE pgbench_accounts ADD COLUMN region text;

SQL
begin_load meanwhile 8
show <<'SQL'
CALL dbops.batched_backfill('pgbench_accounts', 'region = ''region '' || bid', 'region IS NULL', workers => 2);

SQL
end=$(date +%s)
end_load

felt
latencies alone "$(date +%s)" 'alone'
latencies meanwhile "$end" 'while two workers fill the column'
