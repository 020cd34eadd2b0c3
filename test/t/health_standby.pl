# Health on a primary and its standby: lag that is none, lag that is some, a
# standby that is cut off, what slots retain and an archiver that fails. TAP,
# because it takes two servers. Nothing works in the background, which would look
# and write besides: what is known of the past is what the test has looked at.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use IO::Socket::INET;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    autovacuum = off
    dbops.enabled = off
    max_slot_wal_keep_size = 512MB
    CONF
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE EXTENSION pg_stat_statements;
	CREATE TABLE t AS SELECT i FROM generate_series(1, 1000) i});

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

# One figure of a server, so many seconds from now.
sub health
{
	my ($node, $figure, $later) = @_;

	$later //= 0;
	return $node->safe_psql(
		'postgres', qq{
		SET dbops.health_max_age = 0;
		SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + $later)::text, false) IS NULL \\g /dev/null
		SELECT $figure FROM dbops.system_health_check(true) h});
}

sub severity
{
	my ($node, $check, $later) = @_;

	return health($node, qq{(SELECT c->>'severity' FROM jsonb_array_elements(h->'checks') c WHERE c->>'check_name' = '$check')}, $later);
}

# everything is known on a standby
is(health($standby, q{h->'server'->>'role'}), 'standby', 'a standby says that it is one');
is(health($primary, q{h->'server'->>'role'}), 'primary', 'and a primary, too');
is( health($standby, q{(h->>'database_size_mb')::numeric = round(pg_database_size(current_database()) / 1024.0 / 1024.0, 2)}),
	't', 'a standby measures its size');
is(health($standby, q{jsonb_typeof(h->'slow_queries')}), 'number', 'a standby counts its slow statements');
is( health($standby, q{(SELECT count(*) FROM jsonb_array_elements(h->'checks') c WHERE c->>'message' LIKE 'could not be judged%')}),
	'0', 'every check can be judged on a standby');
is( $standby->safe_psql('postgres', q{SELECT count(*) > 15 FROM dbops.health_checks()}),
	't', 'the checks can be listed on a standby');

# an idle primary has no lag, however long it idles
for my $node ($primary, $standby)
{
	my $name = $node->name;

	# to look may itself write WAL, for what it finds to be cleaned up
	my $lag;
	for my $try (1 .. 100)
	{
		$lag = health($node, q{concat_ws(' ', h->'health'->>'replication_lag_bytes', h->'health'->>'replication_lag_s')}, 7200);
		last if $lag eq '0 0.00';
		usleep(100_000);
	}
	is($lag, '0 0.00', "no lag on an idle $name, however long it idles");
	is(severity($node, 'replication.lag', 7200), 'ok', "which is ok on the $name");
}
is(health($primary, q{h->'health'->>'standbys'}), '1', 'the standby is counted');
is(health($primary, q{h->>'active_connections'}), '1', 'its sender is no active session');

# a standby that receives and does not replay; for how long is known from when
# it was last seen with nothing to replay
my $pause_and_write = sub {
	my ($table) = @_;

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
	$standby->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) or die 'replay goes on';
	$primary->safe_psql('postgres', qq{CREATE TABLE $table AS SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i});
	my $written = $primary->lsn('flush');
	$standby->poll_query_until('postgres', qq{SELECT pg_last_wal_receive_lsn() >= '$written'}) or die 'WAL does not arrive';
	return $written;
};
my $resume = sub {
	my ($written) = @_;

	$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
	$primary->wait_for_catchup($standby, 'replay', $written);
	return;
};

# Look until the standby has nothing to replay.
my $see_it_caught_up = sub {
	my ($later) = @_;

	for my $try (1 .. 100)
	{
		last if health($standby, q{h->'health'->>'replication_lag_bytes'}, $later) eq '0';
		usleep(100_000);
	}
	return;
};
my $lag_of_standby = sub { return health($standby, q{h->'health'->'replication_lag_s'}, @_) };

$standby->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements'");
$standby->restart;
my $written = $pause_and_write->('first_wide');
is(severity($standby, 'replication.lag', 60), 'unknown', 'a lag of unknown time is not ok');
is($lag_of_standby->(60), 'null', 'and no seconds are made up');
$resume->($written);
$standby->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, dbops'");
$standby->restart;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$see_it_caught_up->(0);
$written = $pause_and_write->('wide');
is(severity($standby, 'replication.lag', 40), 'warning', 'a standby that does not replay lags');
is(severity($standby, 'replication.lag', 100), 'critical', 'critically so after a minute');
is(severity($standby, 'replication.lag_bytes', 100), 'ok', 'by few bytes, though');
cmp_ok(health($standby, q{h->'health'->>'replication_lag_bytes'}), '>', 16 * 1024 * 1024, 'by that many bytes');
cmp_ok($lag_of_standby->(7200), '>', 3600, 'and seconds');
cmp_ok(health($primary, q{h->'health'->>'replication_lag_bytes'}), '>', 16 * 1024 * 1024, 'its primary knows the bytes');
$resume->($written);
is(severity($standby, 'replication.lag', 60), 'ok', 'when it has replayed, it does not lag');
$see_it_caught_up->(7200);
$written = $pause_and_write->('after_a_pause');
cmp_ok($lag_of_standby->(7200), '<', 3600, 'the hours in which its primary idled are no lag');
$resume->($written);

# the least that a slot may retain is not nothing
my $of_slot = q{jsonb_path_query_first(h, '$.checks[*] ? (@.check_name == "replication.slots").message')};
$primary->safe_psql('postgres', q{
	SELECT pg_create_physical_replication_slot('short', true);
	ALTER SYSTEM SET max_slot_wal_keep_size = 0; SELECT pg_reload_conf()});
$primary->poll_query_until('postgres', 'SHOW max_slot_wal_keep_size', '0') or die 'the setting stays';
is(severity($primary, 'replication.slots'), 'ok', 'a slot that retains little is ok where nothing is kept for it');
like(health($primary, $of_slot), qr/32 MB are allowed/, 'it may always retain a segment');
(my $of_disk = $of_slot) =~ s/replication\.slots/replication.slots_disk/;
like(health($primary, $of_disk), qr/no slot may retain WAL without a limit/, 'and a limit of nothing is a limit');
$primary->safe_psql('postgres', q{
	SELECT pg_drop_replication_slot('short');
	ALTER SYSTEM RESET max_slot_wal_keep_size; SELECT pg_reload_conf()});

# a slot that nobody reads
is(severity($primary, 'replication.slots'), 'ok', 'no slots are ok');
$primary->safe_psql('postgres', q{CHECKPOINT; SELECT pg_create_physical_replication_slot('unused', true)});
is(severity($primary, 'replication.slots'), 'ok', 'a new slot retains little');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET max_slot_wal_keep_size = '32MB'});
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW max_slot_wal_keep_size', '32MB');
$primary->safe_psql('postgres', q{CREATE TABLE wide2 AS SELECT i, repeat('x', 1000) FROM generate_series(1, 19000) i});
is(severity($primary, 'replication.slots'), 'warning', 'more than half of what it may is a warning');
like(
	health($primary, q{jsonb_path_query_first(h, '$.checks[*] ? (@.check_name == "replication.slots").remedy')}),
	qr/pg_drop_replication_slot\('unused'\)/,
	'the remedy names the slot');
$primary->safe_psql('postgres', q{INSERT INTO wide2 SELECT i, repeat('x', 1000) FROM generate_series(1, 80000) i});
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));	# which has no slot to keep WAL for it
$primary->safe_psql('postgres', 'CHECKPOINT');
is(severity($primary, 'replication.slots'), 'critical', 'a slot that was invalidated is critical');
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('unused')});

# a standby that is cut off has no lag that it could tell
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
$primary->stop;
$standby->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_wal_receiver}) or die 'it still receives';
is(severity($standby, 'replication.lag'), 'warning', 'a standby that receives nothing is not up to date for that');
is(health($standby, q{h->'health'->'replication_lag_s'}), 'null', 'and its lag is not known');

# nor while it tries to connect to who does not answer, which takes as long as that does
my $mute = IO::Socket::INET->new(Listen => 5, LocalAddr => '127.0.0.1', Timeout => 120) or die "nobody listens: $!";
$standby->append_conf('postgresql.conf', sprintf("primary_conninfo = 'host=127.0.0.1 port=%d'", $mute->sockport));
$standby->reload;
my $call = $mute->accept or die 'the standby does not call';
is(health($standby, q{h->'health'->'replication_lag_s'}), 'null', 'nor while it waits for an answer');
is($standby->safe_psql('postgres', q{SELECT n->>'receiving', n->>'read_ok' FROM dbops.node_status() n}), 'false|false', 'nor does it receive anything then');
$standby->enable_streaming($primary);
$standby->reload;
close $call;
close $mute;

# an archiver that fails, and one that has nothing to do
$primary->append_conf('postgresql.conf', "archive_mode = on\narchive_command = ''\narchive_library = ''\n");
$primary->start;
is(severity($primary, 'archiver.failing'), 'warning', 'an archiver that has no command is a warning');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET archive_command = 'false'});
$primary->reload;
$primary->safe_psql('postgres', 'CREATE TABLE more (i int); SELECT pg_switch_wal()');
$primary->poll_query_until('postgres', q{SELECT failed_count > 0 FROM pg_stat_archiver}) or die 'the archiver does not fail';
is(severity($primary, 'archiver.failing'), 'warning', 'an archiver that fails is a warning');
is(severity($primary, 'archiver.failing', 4000), 'critical', 'after an hour it is critical');

# the third failure is followed by a minute without an attempt
$primary->poll_query_until('postgres', q{SELECT failed_count >= 3 FROM pg_stat_archiver}) or die 'the archiver does not go on';
$primary->safe_psql('postgres', q{SELECT pg_stat_reset_shared('archiver')});
is(severity($primary, 'archiver.failing'), 'unknown', 'when its failures are forgotten, what waits says that success is not known');
$primary->restart;
$primary->poll_query_until('postgres', q{SELECT failed_count > 0 FROM pg_stat_archiver}) or die 'the archiver does not fail again';
is(severity($primary, 'archiver.failing', 1800), 'warning', 'it has failed for no longer than the server runs');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET archive_command = 'true'});
$primary->reload;
$primary->poll_query_until('postgres', q{SELECT last_archived_time > last_failed_time FROM pg_stat_archiver}) or die 'the archiver still fails';
is(severity($primary, 'archiver.failing', 7200), 'ok', 'one that works again is ok, even when idle');

$standby->promote;
is(health($standby, q{h->'server'->>'role'}), 'primary', 'a standby that was promoted says so');
is(health($standby, q{h->'health'->'replication_lag_s'}), 'null', 'and lags behind nobody');

done_testing();
