# Health among sessions that hold and wait for locks, that idle in transactions
# and that are many. TAP, because it takes sessions that wait for one another.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    fsync = off
    autovacuum = off
    max_connections = 100
    CONF
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE EXTENSION pg_stat_statements;
	CREATE TABLE locked AS SELECT i FROM generate_series(1, 100000) i;
	CREATE INDEX ON locked (i);
	CHECKPOINT});
my $bytes = $node->safe_psql('postgres', q{SELECT pg_total_relation_size('locked')});

# Ask for one figure, so many seconds from now; waiting is an error.
sub health
{
	my ($figure, $later) = @_;

	$later //= 0;
	return $node->safe_psql(
		'postgres', qq{
		SET statement_timeout = '20s';
		SET lock_timeout = '5s';
		SET dbops.health_max_age = 0;
		SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + $later)::text, false) IS NULL \\g /dev/null
		SELECT $figure FROM dbops.system_health_check(true) h});
}

# A check's severity, so many seconds from now.
sub severity
{
	my ($check, $later) = @_;

	return health(qq{(SELECT c->>'severity' FROM jsonb_array_elements(h->'checks') c WHERE c->>'check_name' = '$check')}, $later);
}

is(health(q{h->'connections'->>'idle_in_transaction'}), '0', 'nobody idles in a transaction');

# an idle transaction that holds nothing
my $idle = $node->background_psql('postgres');
$idle->query_safe('BEGIN');
$idle->query_safe('SELECT 1');
is(health(q{h->'connections'->>'idle_in_transaction'}), '1', 'an idle transaction is counted');
is(severity('connections.idle_in_transaction', 4000), 'ok', 'an idle transaction that holds nothing harms nobody');
$idle->query_safe('SELECT count(*) FROM pg_class');
is(severity('connections.idle_in_transaction', 20), 'ok', 'one that holds a lock may, for a while');
is(severity('connections.idle_in_transaction', 400), 'warning', 'then it is a warning');
is(severity('connections.idle_in_transaction', 4000), 'critical', 'and then critical');
is(health(q{h->>'status'}, 4000), 'critical', 'and so is the status');
my $idle_pid = $idle->query_safe('SELECT pg_backend_pid()');
like(
	health(q{jsonb_path_query_first(h, '$.checks[*] ? (@.check_name == "connections.idle_in_transaction").remedy')}, 4000),
	qr/pg_terminate_backend\($idle_pid\)/,
	'the remedy names the process');
$idle->query_safe('COMMIT');

# a table that somebody has locked against everything
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe('LOCK TABLE locked IN ACCESS EXCLUSIVE MODE');
is( health(q{jsonb_path_query_first(h, '$.storage.largest_tables[*] ? (@.name == "public.locked").bytes')}),
	$bytes, 'a locked table is measured without waiting');
is( $node->safe_psql('postgres', q{SET lock_timeout = '5s'; SELECT count(*) > 15 FROM dbops.health_checks()}),
	't', 'the checks do not wait either');

# and one more who waits for it
is(health(q{h->'health'->>'lock_waits'}), '0', 'nobody waits for a lock');
is(severity('locks.waiting', 100), 'ok', 'so that check is ok');
my $waiter = $node->background_psql('postgres');
$waiter->query_until(qr/go/, "\\echo go\nSELECT count(*) FROM locked;\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'})
  or die 'the waiter does not wait';
is(health(q{h->'health'->>'lock_waits'}), '1', 'a wait for a lock is counted');
is(health(q{h->'connections'->>'waiting'}), '1', 'and so is the session');
is(severity('locks.waiting'), 'ok', 'a short wait is ok');
is(severity('locks.waiting', 100), 'warning', 'a long one is a warning');
is( health(q{jsonb_path_query_first(h, '$.storage.largest_tables[*] ? (@.name == "public.locked").bytes')}),
	$bytes, 'health does not queue up behind the waiter');
$locker->query_safe('COMMIT');
$locker->quit;
$waiter->quit;

# a table that was renamed meanwhile, without commit
my $renamer = $node->background_psql('postgres');
$renamer->query_safe('BEGIN');
$renamer->query_safe('ALTER TABLE locked RENAME TO renamed');
$renamer->query_safe('ALTER TABLE renamed ADD COLUMN more int');
is( health(q{jsonb_path_query_first(h, '$.storage.largest_tables[*] ? (@.name == "public.locked").bytes')}),
	$bytes, 'an ALTER TABLE is not waited for');
$renamer->query_safe('ROLLBACK');
$renamer->quit;

# a transaction that keeps vacuum from removing rows
$idle->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$idle->query_safe('SELECT 1');
is(severity('transactions.oldest', 600), 'ok', 'a snapshot may be held for some time');
is(severity('transactions.oldest', 4000), 'warning', 'after an hour it is a warning');
is(severity('transactions.oldest', 90000), 'critical', 'after a day it is critical');
is(health(q{h->'health'->'oldest_transaction'->>'pid'}, 4000), $idle_pid, 'the oldest transaction is named');
$idle->query_safe('COMMIT');

# one that idles in its transaction cannot be cancelled, only ended
my $remedy = q{jsonb_path_query_first(h, '$.checks[*] ? (@.check_name == "transactions.oldest")')->>'remedy'};
$idle->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$idle->query_safe('SELECT 1');
is(health($remedy, 4000), "SELECT pg_terminate_backend($idle_pid);", 'the remedy ends a session that idles');
$idle->query_safe('COMMIT');
is(health($remedy, 4000), 'End the transaction in which this was asked.', 'and never the own one');

# VACUUM does not keep VACUUM from removing rows
$idle->query_safe('SET vacuum_cost_limit = 1');
$idle->query_safe('SET vacuum_cost_delay = 100');
$idle->query_until(qr/go/, "\\echo go\nVACUUM (FREEZE) locked;\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_progress_vacuum}) or die 'nothing is vacuumed';
is(health($remedy, 4000), 'End the transaction in which this was asked.', 'a VACUUM is not called the oldest transaction');
$node->safe_psql('postgres', "SELECT pg_terminate_backend($idle_pid)");
eval { $idle->quit };

# somebody has locked the catalogs of extensions
for my $catalog ('pg_extension', 'pg_depend')
{
	my $holder = $node->background_psql('postgres');
	$holder->query_safe('BEGIN');
	$holder->query_safe("LOCK TABLE $catalog IN ACCESS EXCLUSIVE MODE");
	is(severity('statements.slow'), 'unknown', "a lock on $catalog is not waited for");
	$holder->query_safe('COMMIT');
	$holder->quit;
}

# and the tables of dbops itself
my $altering = $node->background_psql('postgres');
$altering->query_safe('BEGIN');
$altering->query_safe("LOCK TABLE dbops.$_ IN ACCESS EXCLUSIVE MODE") for 'disk_1h', 'check_setting', 'muted_finding', 'metric_1m', 'relation_1d';
for my $call (q{dbops.nagios()}, q{dbops.nagios('disk.free')}, 'dbops.openmetrics()')
{
	is($node->safe_psql('postgres', "SET statement_timeout = '30s'; SELECT $call <> ''"), 't', "$call waits for no table of dbops");
}
for my $call (q{dbops.metric_history('deadlocks')}, 'dbops.largest_relations(3)')
{
	my ($code, undef, $refused) = $node->psql('postgres', "SET statement_timeout = '30s'; SELECT * FROM $call");
	like($refused, qr/lock timeout/, "$call gives up when it cannot read its history");
}
$altering->query_safe('COMMIT');
$altering->quit;

# many active sessions, by the rule that applications know
is(severity('connections.active'), 'ok', 'a few active sessions are ok');
my $script = $node->basedir . '/sleep.sql';
append_to_file($script, "SELECT pg_sleep(600);\n");
my ($out, $err) = ('', '');
my $pgbench = IPC::Run::start(
	[ 'pgbench', '-n', '-c', '51', '-t', '1', '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
	'>' => \$out, '2>' => \$err);
$node->poll_query_until('postgres', q{SELECT count(*) = 51 FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%' AND state = 'active'})
  or die 'the sessions did not start';
is(health(q{h->>'active_connections'}), '52', 'active sessions are counted, the own one too');
is(severity('connections.active'), 'warning', 'more than 50 of them are a warning');
is( health(q{CASE WHEN h->'summary'->>'critical' = '0' THEN h->>'status' ELSE 'warning' END}),
	'warning', 'and the status says so');
is( health(q{(h->'connections'->>'pool_utilization')::numeric = round(100 * 52 / 97.0, 2)}),
	't', 'utilization is that of the connections that anybody may open');
$node->safe_psql('postgres', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'});
$pgbench->finish;

# sessions that do not say whether they are active
$node->safe_psql('postgres', q{ALTER SYSTEM SET track_activities = off});
$node->reload;
$node->poll_query_until('postgres', q{SHOW track_activities}, 'off');
is(severity('connections.active'), 'unknown', 'sessions that are not tracked are no proof that few are active');
is(severity('transactions.oldest', 20), 'unknown', 'nor that no transaction is old');
is(health(q{h->'active_connections'}), 'null', 'nor are they none');

$node->stop;
done_testing();
