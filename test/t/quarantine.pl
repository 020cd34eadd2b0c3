# A copy of a database, or of a server, has the jobs of its original and runs
# none of them until it is adopted: after a restore of pg_dump's, pg_upgrade, a
# start from a base backup, and a recovery to a target. A promotion is a failover,
# unless dbops.on_promotion says otherwise. TAP, because it takes several servers. (A copy by CREATE
# DATABASE is in sql/identity.sql.)
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1, has_archiving => 1);
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE EXTENSION dbops');

# What dbops changes has to be such that a publication of all tables lets it.
$node->safe_psql('app', 'SET client_min_messages = error; CREATE PUBLICATION everything FOR ALL TABLES');

sub quarantine
{
	my ($of, $database) = @_;

	return $of->safe_psql($database // 'app',
		q{SELECT severity || ': ' || message FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine'});
}

# Submit a job and say what has become of it after a while.
sub job_ends_as
{
	my ($of, $patience, $database) = @_;

	my $job = $of->safe_psql($database // 'app', q{SELECT dbops.enqueue('SELECT 1')});
	$of->psql($database // 'app', "CALL dbops.wait_job($job, '$patience')");
	return $of->safe_psql($database // 'app', "SELECT concat_ws(': ', state, waiting) FROM dbops.jobs() WHERE id = $job");
}

# No job runs, whoever looks is told why, and adopting ends it. Nobody who relies on alerts is left without.
sub is_quarantined
{
	my ($of, $reason, $name, $database) = @_;

	like(quarantine($of, $database), qr/^critical: no job runs here: .*$reason/, "$name: health says so");
	like(job_ends_as($of, '1s', $database), qr/^queued: quarantined: .*$reason.*; SELECT dbops\.adopt_database\(\)/,
		"$name: its jobs wait, and say for what");
	ok($of->poll_query_until($database // 'app', q{SELECT count(*) > 0 FROM dbops.alert_history() WHERE alert_key = 'jobs.quarantine' AND event = 'firing'}),
		"$name: it is an alert");
	$of->safe_psql($database // 'app', 'SELECT dbops.adopt_database()');
	is(quarantine($of, $database), 'ok: this is the database that dbops was set up in', "$name: it is adopted");
	is(job_ends_as($of, '30s', $database), 'succeeded', "$name: then jobs run");
	return;
}

sub timeline
{
	my ($of) = @_;

	return $of->safe_psql('app', 'SELECT timeline FROM dbops.instance');
}

is(quarantine($node), 'ok: this is the database that dbops was set up in', 'the original is itself');
is(job_ends_as($node, '30s'), 'succeeded', 'and runs jobs');

# pg_dump and pg_restore, into a database beside it and into another server. Between dbops and its rows, everything there
# has been looked after once, and is not to be for ten minutes.
my $dump = $node->basedir . '/app.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, '-h', $node->host, '-p', $node->port, 'app' ], 'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
my @restore = ('pg_restore', '--exit-on-error', '-d', 'restored', '-h', $node->host, '-p', $node->port, $dump);
$node->command_ok([ @restore, '--section=pre-data' ], 'and restored beside it');
$node->poll_query_until('restored', q{SELECT count(*) > 0 FROM dbops.history_progress WHERE tier = '1m'}) or die 'nobody looks after it';
$node->poll_query_until('restored', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE datname = 'restored' AND backend_type = 'dbops scheduler'})
  or die 'its scheduler does not leave';
$node->command_ok([ @restore, '--section=data', '--section=post-data' ], 'with its rows');
is($node->safe_psql('restored', 'SELECT count(*) FROM dbops.instance'), '2', 'both identities are there');
is_quarantined($node, qr/in another database \(OID \d+, and this one's is \d+\)/, 'pg_restore', 'restored');

my $elsewhere = PostgreSQL::Test::Cluster->new('elsewhere');
$elsewhere->init;
$elsewhere->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nfsync = off\n");
$elsewhere->start;
$elsewhere->safe_psql('postgres', 'CREATE DATABASE app TEMPLATE template0');
$elsewhere->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'app', '-h', $elsewhere->host, '-p', $elsewhere->port, $dump ],
	'restored on another server');
is_quarantined($elsewhere, qr/on another server \(system identifier \d+, and this one's is \d+\)/, 'another server');

# what is dumped again from there is about that server only
is($elsewhere->safe_psql('app', 'SELECT count(*) FROM dbops.instance'), '1', 'the original is forgotten there');
$elsewhere->stop;

# pg_upgrade, to the same version here
my $upgraded = PostgreSQL::Test::Cluster->new('upgraded');
$upgraded->init;
$upgraded->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nfsync = off\n");
my $bindir = $elsewhere->config_data('--bindir');
my $work = PostgreSQL::Test::Utils::tempdir;
chdir $work or die $!;
command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $elsewhere->data_dir, '-D', $upgraded->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $upgraded->host, '-p', $elsewhere->port, '-P', $upgraded->port
	],
	'the server is upgraded');
$upgraded->start;
is_quarantined($upgraded, qr/on another server/, 'pg_upgrade');
$upgraded->stop;

# Start from a base backup, with nothing to recover from but what is in it
$node->backup('alone');
my $alone = PostgreSQL::Test::Cluster->new('alone');
$alone->init_from_backup($node, 'alone');
$alone->append_conf('postgresql.conf', "archive_mode = off\n");
$alone->start;
is_quarantined($alone, qr/started from a base backup, begun at 20/, 'base backup');
$alone->restart;
is(job_ends_as($alone, '30s'), 'succeeded', 'base backup: a restart changes nothing');
is(job_ends_as($node, '30s'), 'succeeded', 'base backup: nor does it to the original');
$alone->stop;

# Recovery to a target, of each kind that tells something of its own
$node->backup('backup');
$node->safe_psql('app', q{SELECT pg_create_restore_point('here')});
my $lsn = $node->safe_psql('app', 'SELECT pg_current_wal_lsn()');
my $last = $node->safe_psql('app', 'CREATE TABLE later (); SELECT pg_walfile_name(pg_switch_wal())');
$node->poll_query_until('app', "SELECT last_archived_wal >= '$last' FROM pg_stat_archiver") or die 'it is not archived';
for my $target (
	[ 'point', "recovery_target_name = 'here'", qr/recovered to a target \(it left timeline 1: at restore point "here"\)/ ],
	[ 'lsn', "recovery_target_lsn = '$lsn'", qr/recovered to a target \(it left timeline 1: (before|after) LSN / ],
	[ 'consistent', "recovery_target = 'immediate'", qr/recovered to a target \(it left timeline 1: reached consistency\)/ ])
{
	my ($name, $setting, $reason) = @$target;
	my $copy = PostgreSQL::Test::Cluster->new($name);

	$copy->init_from_backup($node, 'backup', has_restoring => 1, standby => 0);
	$copy->append_conf('postgresql.conf', "$setting\nrecovery_target_action = promote\narchive_mode = off\n");
	$copy->start;
	$copy->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery did not end';
	if ($name eq 'point')
	{
		# a promotion after it does not make the copy the original
		$copy->backup('again');
		my $second = PostgreSQL::Test::Cluster->new('second');
		$second->init_from_backup($copy, 'again', has_streaming => 1);
		$second->append_conf('postgresql.conf', "recovery_target_name = ''\nrestore_command = ''\n");
		$second->start;
		$second->promote;
		$second->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'recovery did not end';
		is_quarantined($second, $reason, "$name, promoted later");
		$second->stop;
	}
	is_quarantined($copy, $reason, $name);
	is(timeline($copy), '2', "$name: the new timeline is recorded");
	$copy->restart;
	is(job_ends_as($copy, '30s'), 'succeeded', "$name: a restart changes nothing");
	$copy->stop;
}

# A standby, and its promotion
my $first = PostgreSQL::Test::Cluster->new('first');
my $careful = PostgreSQL::Test::Cluster->new('careful');
for my $standby ($first, $careful)
{
	$standby->init_from_backup($node, 'backup', has_streaming => 1);
	$standby->append_conf('postgresql.conf', "archive_mode = off\n");
}
$careful->append_conf('postgresql.conf', "dbops.on_promotion = quarantine\n");
$_->start for ($first, $careful);
$node->wait_for_catchup($_) for ($first, $careful);
is(quarantine($_), 'ok: this is the database that dbops was set up in', $_->name . ': a standby is no copy') for ($first, $careful);
$_->promote for ($first, $careful);

is(job_ends_as($first, '30s'), 'succeeded', 'after a promotion jobs go on');
ok($first->poll_query_until('app', q{SELECT timeline = 2 FROM dbops.instance}), 'and its timeline is recorded');
$first->append_conf('postgresql.conf', "dbops.on_promotion = quarantine\n");
$first->reload;
ok($first->poll_query_until('app', q{SELECT current_setting('dbops.on_promotion') = 'quarantine'}), 'what is set later');
is(quarantine($first), 'ok: this is the database that dbops was set up in', 'says nothing about that promotion');

is_quarantined($careful, qr/promoted from timeline 1 to 2, and dbops\.on_promotion is quarantine/, 'with quarantine');

$_->stop for ($first, $careful, $node);
done_testing();
