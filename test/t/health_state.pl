# What health, node_status() and the settings of checks do beyond one session: a
# dump and its restore, a restart, a standby and its promotion, a collector that
# stops, locks that somebody holds, and a role without pg_monitor. TAP, because it
# takes several servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time usleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    autovacuum = off
    CONF
$primary->start;
$primary->safe_psql('postgres', q{CREATE EXTENSION dbops; CREATE EXTENSION pg_stat_statements; CREATE TABLE users (id int)});

sub status
{
	my ($node, $path, $arguments) = @_;
	return $node->safe_psql('postgres', 'SELECT n' . $path . ' FROM dbops.node_status(' . ($arguments // '') . ') n');
}

sub wait_for
{
	my ($node, $query, $expected, $name) = @_;
	ok($node->poll_query_until('postgres', $query, $expected), $name);
	return;
}

# what was changed and muted goes with a dump, and is in force where it is restored
$primary->safe_psql('postgres', q{
	SELECT dbops.set_check('connections.active', warning => 0);
	SELECT dbops.mute_finding('replication.slots', 'they are being moved', now() + interval '1 day')});
my $severity = q{SELECT severity FROM dbops.health_checks() WHERE check_name = 'connections.active'};
my $dump = $primary->backup_dir . '/checks.sql';
mkdir $primary->backup_dir;
$primary->command_ok([ 'pg_dump', '-f', $dump, $primary->connstr('postgres') ], 'a database with settings is dumped');
my $other = PostgreSQL::Test::Cluster->new('other');
$other->init;
$other->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, dbops'\n");
$other->start;
$other->safe_psql('postgres', 'CREATE DATABASE restored');
$other->command_ok([ 'psql', '-X', '-q', '-v', 'ON_ERROR_STOP=1', '-f', $dump, $other->connstr('restored') ], 'and restored');
is($other->safe_psql('restored', $severity), 'warning', 'what was changed is in force where it is restored');
is($other->safe_psql('restored', 'SELECT key FROM dbops.muted_findings()'), 'replication.slots', 'what was muted is');
is($other->safe_psql('restored', 'SELECT count(*) FROM dbops.check_setting'), '1', 'and nothing but what was changed was dumped');
$other->stop;

# a restart forgets nothing
$primary->safe_psql('postgres', q{SELECT dbops.begin_maintenance_mode('new memory', now() + interval '1 hour')});
$primary->restart;
is($primary->safe_psql('postgres', $severity), 'warning', 'what was changed holds across a restart');
is(status($primary, q{->'maintenance'->>'reason'}), 'new memory', 'so does maintenance mode');
$primary->append_conf('postgresql.conf', "restart_after_crash = on\n");
$primary->safe_psql('postgres', q{SELECT dbops.end_maintenance_mode(); SELECT dbops.reset_check('connections.active')});

# a standby knows of its own lag, of settings made on its primary, and has a maintenance mode of its own
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is(status($primary, q{->>'role'}), 'primary', 'a primary says so');
is(status($standby, q{->>'role'}), 'standby', 'and a standby');
wait_for($standby, q{SELECT n->>'read_ok' FROM dbops.node_status('10 s') n}, 'true', 'a standby that has replayed all may be read');
is(status($standby, q{->>'write_ok'}), 'false', 'and not written to');
is(status($standby, q{->>'timeline'}), '1', 'it knows its timeline');
$primary->safe_psql('postgres', q{SELECT dbops.set_check('connections.active', warning => 0)});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
wait_for($standby, $severity, 'warning', 'a standby obeys what is set on its primary');
$standby->safe_psql('postgres', q{SELECT dbops.begin_maintenance_mode('being rebuilt', now() + interval '1 hour')});
is(status($standby, q{->'maintenance'->>'reason'}), 'being rebuilt', 'a standby has a maintenance mode');
is(status($primary, q{->>'maintenance'}), '', 'which is not its primary\'s');
$standby->safe_psql('postgres', q{SELECT dbops.end_maintenance_mode()});

# one that does not replay is behind, in bytes and then in time
$standby->safe_psql('postgres', 'SELECT dbops.node_status()');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$primary->safe_psql('postgres', q{CREATE TABLE wide AS SELECT i, repeat('x', 1000) FROM generate_series(1, 5000) i});
my $written = $primary->lsn('flush');
$standby->poll_query_until('postgres', qq{SELECT pg_last_wal_receive_lsn() >= '$written'}) or die 'WAL does not arrive';
is(status($standby, q{->>'replay_paused'}), 'true', 'that it does not replay is said');
cmp_ok(status($standby, q{->>'lag_bytes'}), '>', 1_000_000, 'it is behind in bytes');
is(status($standby, q{->>'read_ok'}, q{'1 day', 1000}), 'false', 'too far for who bears less');
wait_for($standby, q{SELECT n->>'read_ok' FROM dbops.node_status('2 s') n}, 'false', 'and after two seconds too long for who bears those');
is(status($standby, q{->>'read_ok'}, q{'1 day'}), 'true', 'but not for who bears a day');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
wait_for($standby, q{SELECT n->>'read_ok' FROM dbops.node_status('5 s', 1000000) n}, 'true', 'it catches up');

# nobody waits for locks, of users or on the tables of dbops
my $calls = q{
	SET statement_timeout = '5s';
	SELECT dbops.system_health_check() IS NOT NULL, dbops.health_public() IS NOT NULL, dbops.node_status() IS NOT NULL;
	SELECT count(*) > 0 FROM dbops.health_checks()};
my $locker = $primary->background_psql('postgres');
$locker->query_safe('BEGIN');
$locker->query_safe("LOCK TABLE $_ IN ACCESS EXCLUSIVE MODE")
  for qw(users wide dbops.check_setting dbops.muted_finding dbops.job dbops.policy dbops.schedule);
my $start = time;
is($primary->safe_psql('postgres', $calls), "t|t|t\nt", 'health answers while others hold locks on users\' tables and those of dbops');
cmp_ok(time - $start, '<', 5, 'at once');
is($primary->safe_psql('postgres', $severity), 'warning', 'and knows what was changed');
$locker->query_safe('ROLLBACK');
$locker->quit;

# who has been given nothing but the one call sees the same status
$primary->safe_psql('postgres', q{
	CREATE ROLE anonymous LOGIN;
	GRANT USAGE ON SCHEMA dbops TO anonymous;
	GRANT EXECUTE ON FUNCTION dbops.health_public() TO anonymous});
is($primary->safe_psql('postgres', q{SELECT dbops.health_public()->>'status'}, extra_params => [ '-U', 'anonymous' ]),
	$primary->safe_psql('postgres', q{SELECT dbops.health_public()->>'status'}),
	'a role without pg_monitor is told the status');

# a collector that stops is stale, and that is a warning
$primary->safe_psql('postgres', q{SELECT dbops.set_check('connections.active', warning => 'infinity')});
wait_for($primary, q{SELECT dbops.system_health_check()->'freshness'->>'collector'}, 'ok', 'samples come');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET dbops.collector = off; SELECT pg_reload_conf()});
wait_for($primary, q{SELECT dbops.system_health_check()->'freshness'->>'collector'}, 'off', 'a collector that is turned off is off');
$primary->safe_psql('postgres', q{ALTER SYSTEM RESET dbops.collector; SELECT pg_reload_conf()});
my $launcher = $primary->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE '%dbops launcher%'});
kill 'STOP', $launcher;
ok( $primary->poll_query_until('postgres', q{SELECT dbops.system_health_check()->'freshness'->>'collector'}, 'stale'),
	'one that has stopped is stale');
like($primary->safe_psql('postgres', q{SELECT h->>'status' || ' ' || (h->'verdict'->>'reasons') FROM dbops.system_health_check() h}),
	qr/^(warning|critical) .*"collector"/, 'which is at least a warning');
kill 'CONT', $launcher;
wait_for($primary, q{SELECT dbops.system_health_check()->'freshness'->>'collector'}, 'ok', 'when it goes on, so do samples');

# promoted, a standby is the primary, on the next timeline
$standby->promote;
wait_for($standby, q{SELECT n->>'role' FROM dbops.node_status() n}, 'primary', 'a standby that was promoted says so');
wait_for($standby, q{SELECT n->>'timeline' FROM dbops.node_status() n}, '2', 'and its timeline');
is(status($standby, q{->>'write_ok'}), 'true', 'it may be written to');

$standby->stop;
$primary->stop;
done_testing();
