# Which database is home, and what it says, where nothing can be written: a standby
# that judges the cluster's checks by the settings, mutes and silences of its home
# database; a home in which dbops is turned off. TAP, because it takes two servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    fsync = off
    full_page_writes = on
    wal_receiver_status_interval = '1s'
    CONF
$primary->start;

# the oldest database has no dbops, and home is the oldest that has it
$primary->safe_psql('postgres', "CREATE DATABASE $_") for 'home', 'later';
$primary->safe_psql($_, 'CREATE EXTENSION dbops') for 'home', 'later';
$primary->backup('backup');
$primary->safe_psql(
	'home', q{
	SELECT dbops.set_check('settings.unsafe', enabled => false);
	SELECT dbops.set_check('connections.active', warning => 0, critical => 1000, duration => '0 s')});

my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$standby->restart;

# One column of an alert of the cluster.
sub alert
{
	my ($node, $check, $column) = @_;

	return "SELECT coalesce(max($column), 'none') FROM dbops.alerts(false) WHERE check_name = '$check'";
}

# somebody is active: who asks
my $session = $standby->background_psql('home');
$session->query_until(qr/begun/, "\\echo begun\nSELECT pg_sleep(600);\n");
ok($standby->poll_query_until('home', alert($standby, 'connections.active', 'state'), 'firing'), 'a standby raises the alerts that were set');
like(slurp_file($standby->logfile), qr/dbops alert firing \(warning\), connections\.active: /, 'in its log');
unlike(slurp_file($standby->logfile), qr/dbops alert firing \(\w+\), settings\.unsafe/, 'and none that were turned off');
is($standby->safe_psql('home', alert($standby, 'settings.unsafe', 'state')), 'none', 'nor anywhere else');
for my $database ('home', 'later')
{
	like($standby->safe_psql($database, q{SELECT message FROM dbops.health_checks() WHERE check_name = 'settings.unsafe'}),
		qr/turned off/, "as whoever asks is told, in database $database");
}

# what can only be changed on the primary says so
for my $call (q{set_check('disk.free', warning => 30)}, q{reset_check('disk.free')}, q{mute_finding('disk.free', 'known', now() + interval '1 hour')},
	q{unmute_finding('disk.free')}, q{silence_alerts('disk.%', 'known', now() + interval '1 hour')}, 'unsilence_alerts(1)')
{
	my ($name) = $call =~ /^(\w+)/;
	my ($rc, $out, $err) = $standby->psql('home', "SELECT dbops.$call");
	like($err, qr/cannot execute dbops\.$name\(\) on a standby, which only reads.*HINT:  Call it on the primary/s, "$name is refused, and where to call it is told");
}

# a check of the cluster is decided about at home
my ($rc, $out, $err) = $primary->psql('later', q{SELECT dbops.reset_check('connections.active')});
is("$rc $out", '0 f', 'who resets a check elsewhere resets nothing');
like($err, qr/NOTICE:  check connections\.active is of the whole cluster, and database "home" decides about those/, 'and is told where that is done');
($rc, $out, $err) = $primary->psql('later', q{SELECT dbops.set_check('connections.active', warning => 7)});
like($err, qr/ERROR:  check connections\.active is of the whole cluster, and database "home" decides about those/, 'nor can it be set there');

# what is silenced on the primary is so here
$primary->safe_psql('home', q{SELECT dbops.silence_alerts('connections.%', 'known', now() + interval '1 hour')});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
ok($standby->poll_query_until('home', alert($standby, 'connections.active', 'suppressed'), 'silenced'), 'what the primary silences is silent on its standby');
is( $standby->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'dbops%' AND backend_type NOT IN ('dbops launcher', 'dbops reader')}),
	'0', 'nobody else works there');
unlike(slurp_file($standby->logfile), qr/ERROR:  (?!cannot execute dbops)|FATAL:  (?!terminating|the database system)|PANIC/, 'and nothing fails but what was refused');

# a standby goes on with it as a primary
$session->{run}->kill_kill;
$primary->stop;
$standby->promote;
ok($standby->poll_query_until('home', q{SELECT count(*) > 0 FROM dbops.history_progress WHERE cluster AND rolled_until > pg_postmaster_start_time()}),
	'promoted, it keeps the history of the cluster at home');
is($standby->safe_psql('home', alert($standby, 'settings.unsafe', 'state')), 'none', 'what is turned off stays so');

# a home in which dbops is turned off gives way
$standby->safe_psql('postgres', 'ALTER DATABASE home SET dbops.enabled = off');
$standby->safe_psql('home', 'SELECT dbops.silence_alerts(\'regress.nothing\', \'so that it is looked after\', now() + interval \'1 hour\')');
ok($standby->poll_query_until('later', q{SELECT count(*) = 1 FROM dbops.alert WHERE check_name = 'settings.unsafe' AND object = 'fsync' AND whole_cluster}),
	'another database is home when dbops is turned off there, and goes by its own settings');
$standby->safe_psql('postgres', 'ALTER DATABASE home RESET dbops.enabled');
$standby->safe_psql('home', 'SELECT dbops.silence_alerts(\'regress.more\', \'so that it is looked after\', now() + interval \'1 hour\')');
ok($standby->poll_query_until('home', q{SELECT count(*) = 1 FROM dbops.alert WHERE check_name = 'settings.unsafe' AND object = 'fsync' AND whole_cluster}),
	'until it is turned on again: it takes over what has happened');
$standby->stop;

done_testing();
