# The collector on a server of its own: that it samples by itself, goes on when
# the launcher was ended, and is called stale when it does not; on a standby, and
# after its promotion. The heartbeat: that lag in time is known while nobody
# writes. TAP, because it takes two servers, and one that does not preload dbops.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    dbops.test_clock = on
    dbops.heartbeat = '100ms'
    CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE TABLE t (i int)');

my $later = q{SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + 60)::text, false) \g /dev/null};

sub status
{
	my ($node, $what, $before) = @_;

	return $node->safe_psql('postgres', ($before // '') . "\nSELECT $what FROM dbops.collector_status()");
}

sub metric
{
	my ($node, $name) = @_;

	return $node->safe_psql('postgres', "SELECT dbops.sample_server() \\g /dev/null\nSELECT value FROM dbops.metrics() WHERE name = '$name' AND database IS NULL");
}

# whether a metric comes to be as it should
sub comes
{
	my ($node, $name, $is_right) = @_;

	foreach (1 .. 600)
	{
		my $value = metric($node, $name);
		return 1 if $value ne '' && $is_right->($value);
		usleep(100_000);
	}
	return 0;
}

sub set_up
{
	my ($node, $setting, $value) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting = '$value'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$setting') = '$value'") or die "$setting stays";
	return;
}

sub launcher
{
	my ($node) = @_;

	return $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'dbops launcher'});
}

# Kill the launcher as nobody should: the server begins anew.
sub kill_launcher
{
	my ($node) = @_;
	my $pid = launcher($node);

	kill 'KILL', $pid;
	for my $try (1 .. 600)
	{
		my ($rc, $out) = $node->psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'dbops launcher'});
		return if $rc == 0 && $out ne '' && $out ne $pid;
		usleep(100_000);
	}
	die 'it does not come back';
}

# What health says of the collector in a minute.
sub health_later
{
	my ($node) = @_;

	return $node->safe_psql('postgres', qq{SET dbops.health_max_age = 0;
		$later
		SELECT h->'freshness'->>'collector', h->>'status' IN ('warning', 'critical') FROM dbops.system_health_check() h});
}

# Stop the launcher where it stands, while it holds no lock that others wait for.
sub freeze
{
	my ($node) = @_;
	my $pid = launcher($node);

	for my $try (1 .. 100)
	{
		kill 'STOP', $pid;
		last if $node->safe_psql('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = $pid AND wait_event_type = 'Extension'") eq 't';
		kill 'CONT', $pid;
		usleep(10_000);
	}
	return $pid;
}

sub next_xid
{
	my ($node) = @_;

	return $node->safe_psql('postgres', 'SELECT pg_snapshot_xmax(pg_current_snapshot())');
}

# whether there is half a second in which no transaction commits: a heart that
# beats leaves none, and what others write now and then is no heart
sub is_quiet_once
{
	my ($node) = @_;

	foreach (1 .. 40)
	{
		my $xid = next_xid($node);
		usleep(500_000);
		return 1 if next_xid($node) eq $xid;
	}
	return 0;
}

# it samples by itself
ok($primary->poll_query_until('postgres', 'SELECT samples >= 1 AND NOT stale FROM dbops.collector_status()'), 'samples come by themselves');
is(status($primary, 'preloaded, failures'), 't|0', 'and nothing fails');
cmp_ok(metric($primary, 'wal.bytes'), '>', 0, 'a sample says how far the WAL is');
is($primary->safe_psql('postgres', q{SELECT count(*) FROM dbops.metrics() WHERE name = 'connections.total' AND database = 'postgres'}),
	'1', 'a database that is used has samples');
is(status($primary, 'stale', $later), 't', 'after a minute without a sample it is stale');

# it can be switched off, and is stale then
set_up($primary, 'dbops.collector', 'off');
my $before = status($primary, 'samples');
$primary->restart;
usleep(500_000);
is(status($primary, 'samples, stale'), '0|t', 'switched off it takes no samples, which is stale');
is($primary->safe_psql('postgres', 'SELECT count(*) FROM dbops.metrics()'), '0', 'and shows none');
set_up($primary, 'dbops.collector', 'on');
$primary->restart;
ok($primary->poll_query_until('postgres', 'SELECT samples >= 1 FROM dbops.collector_status()'), 'switched on again it takes them');

# what the launcher costs, it tells: the mean of its ticks, whoever samples besides
$primary->safe_psql('postgres', 'SELECT dbops.sample_server() FROM generate_series(1, 200)');
ok($primary->poll_query_until('postgres', 'SELECT tick_ms > 0 FROM dbops.collector_status()'), 'it says what its ticks cost');
ok($primary->poll_query_until('postgres', q{SELECT value > 0 FROM dbops.metrics() WHERE name = 'launcher.time'}), 'and what the launcher costs in all');
# (a sample counts the ticks before the one that takes it)
is( $primary->safe_psql('postgres', q{
	SELECT c.overruns <= t.value + 1 AND c.samples >= 200 AND t.value < 200
	  FROM dbops.collector_status() c, dbops.metrics() t WHERE t.name = 'collector.ticks'}),
	't', 'which are not the samples that others take');

# what the launcher has sampled outlives it
$before = status($primary, 'samples');
my $pid = launcher($primary);
$primary->safe_psql('postgres', "SELECT pg_terminate_backend($pid)");
$primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_stat_activity WHERE pid = $pid") or die 'it stays';
cmp_ok(status($primary, 'samples'), '>=', $before, 'samples stay when the launcher has ended');
is(status($primary, 'stale', $later), 't', 'without it they become stale');
ok($primary->poll_query_until('postgres', "SELECT samples > $before AND NOT stale FROM dbops.collector_status()"), 'the next launcher goes on');
is( $primary->safe_psql('postgres', q{SELECT bool_and(per_second < 1000000) FROM dbops.metrics() WHERE kind = 'counter' AND database IS NULL AND per_second IS NOT NULL}),
	't', 'and no counter seems to have leapt');

# stopped where it stands, and killed: health says so, and it goes on
$pid = freeze($primary);
is(health_later($primary), 'stale|t', 'when the launcher is stopped health says stale, and is a warning at least');
my $shown = q{SELECT (SELECT count(*) > 0 FROM dbops.metrics()), dbops.openmetrics() ~ E'\ndbops_connections_active ', dbops.openmetrics() ~ E'\ndbops_database_'};
is($primary->safe_psql('postgres', $shown), 't|t|t', 'what was sampled a moment ago is how it is');
is($primary->safe_psql('postgres', "$later\n$shown"), 'f|f|f', 'a minute later it is not shown as if it were');
is( $primary->safe_psql('postgres', qq{$later
	SELECT dbops.sample_server() \\g /dev/null
	$shown;
	SELECT stale, last_sample > clock_timestamp() FROM dbops.collector_status();
	SELECT severity, (data->>'value')::float8 > 50 FROM dbops.health_checks() WHERE check_name = 'collector.samples'}),
	"t|t|t\nt|t\nwarning|t", 'who samples in its stead has figures, and does not hide that it is stopped');
kill 'CONT', $pid;
$before = status($primary, 'samples');
ok($primary->poll_query_until('postgres', "SELECT samples > $before FROM dbops.collector_status()"), 'let go on, it samples');
kill_launcher($primary);
ok($primary->poll_query_until('postgres', 'SELECT samples >= 1 AND NOT stale FROM dbops.collector_status()'), 'killed, it comes back with the server');
is(health_later($primary), 'stale|t', 'and is missed when it does not sample');

# a database whose catalog is locked keeps nobody waiting
my $locker = $primary->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK pg_database IN ACCESS EXCLUSIVE MODE');
$locker->query_safe('SELECT dbops.sample_server()');
pass('a sample is taken while pg_database is locked');
$locker->query_safe('ROLLBACK');
$locker->quit;

# it beats, and can be told not to
my $xid = next_xid($primary);
$primary->poll_query_until('postgres', "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint > $xid + 5") or die 'no heart beats';
pass('transactions are committed while nobody writes');
set_up($primary, 'dbops.heartbeat', '0');
ok(is_quiet_once($primary), 'without a heartbeat there are none');
set_up($primary, 'dbops.heartbeat', '100ms');

# a standby samples, and writes nothing
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
ok($standby->poll_query_until('postgres', 'SELECT samples >= 1 AND NOT stale FROM dbops.collector_status()'), 'a standby samples');
is(status($standby, 'failures'), '0', 'and nothing fails there');
ok(comes($standby, 'replication.lag', sub { $_[0] < 2 }), 'its lag is known while nobody writes but the heart beats');
ok(comes($primary, 'replication.standbys', sub { $_[0] == 1 }), 'its primary counts it');

# a standby that is stuck is late by the beats that it has not replayed
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) or die 'replay goes on';
ok(comes($primary, 'replication.lag', sub { $_[0] > 1.9 }), 'a primary tells how late a standby is that is stuck');
ok(comes($standby, 'replication.lag', sub { $_[0] > 1.9 }), 'and the standby tells it itself');
cmp_ok(metric($standby, 'replication.lag'), '<', 60, 'no more than it is');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

# and when its launcher is stopped or killed
$pid = freeze($standby);
is(health_later($standby), 'stale|t', 'on a standby health says stale as well when the launcher is stopped');
kill 'CONT', $pid;
kill_launcher($standby);
ok($standby->poll_query_until('postgres', 'SELECT samples >= 1 AND NOT stale FROM dbops.collector_status()'), 'killed, it comes back there too');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

# promotion: it beats itself, and samples go on
$before = status($standby, 'samples');
$standby->promote;
$xid = next_xid($standby);
ok($standby->poll_query_until('postgres', "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint > $xid + 5"), 'a promoted standby beats');
ok($standby->poll_query_until('postgres', "SELECT samples > $before FROM dbops.collector_status()"), 'and samples as before');
is(metric($standby, 'replication.lag'), '', 'it lags behind nobody');
$standby->stop;

# in the words of Prometheus, as its own tool reads them
SKIP:
{
	# also of a database and a sequence whose names must be escaped
	$primary->safe_psql('postgres', qq{CREATE DATABASE "odd \\ ""name"""});
	$primary->safe_psql('postgres', qq{CREATE SEQUENCE "odd \\ ""name\nof a sequence" AS smallint START 32000});
	$primary->safe_psql('odd \\ "name"', 'CREATE EXTENSION dbops; SELECT dbops.sample_server()');
	my $text = $primary->safe_psql(
		'postgres', q{
		SELECT nextval(oid::regclass) FROM pg_class WHERE relkind = 'S' AND relname LIKE 'odd%' \g /dev/null
		SET dbops.health_max_age = 0;
		SELECT dbops.openmetrics()});
	like($text, qr/^dbops_database_connections\{datname="odd \\\\ \\"name\\""\} \d+$/m, 'the name of a database is escaped');
	like($text, qr/^dbops_check_status\{check="sequences.exhaustion",object="public\.U&\\"odd \\\\\\\\ \\"\\"name\\\\000Aof a sequence\\""\} 2$/m, 'and that of a sequence');

	skip 'promtool is not installed: the format is held against no tool of others', 1
	  if system('promtool --version >/dev/null 2>&1') != 0;
	my $file = PostgreSQL::Test::Utils::tempdir() . '/metrics';
	PostgreSQL::Test::Utils::append_to_file($file, "$text\n");
	is(system("promtool check metrics < $file >&2"), 0, 'promtool finds nothing to object to');
}

# not preloaded, a session samples for itself
$primary->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$primary->safe_psql('postgres', 'ALTER SYSTEM RESET ALL');
$primary->restart;
is(status($primary, 'preloaded, stale, samples'), 'f|t|0', 'without being preloaded nobody samples');
is($primary->safe_psql('postgres', q{SELECT count(*) > 50 FROM dbops.metrics() WHERE value IS NOT NULL}), 't', 'but figures are shown all the same');
is( $primary->safe_psql('postgres', q{SELECT dbops.sample_server() \g /dev/null
SELECT pg_sleep(0.2), dbops.sample_server() \g /dev/null
SELECT count(*) > 10 FROM dbops.metrics() WHERE per_second IS NOT NULL}),
	't', 'and rates by whoever samples twice');

done_testing();
