# What a standby knows of its lag by the beat of the primary, when its upstream is
# a standby that is cut off; who counts as a standby; and one that lagged and is
# gone. TAP, because it takes three servers.
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
    dbops.collector = off
    dbops.heartbeat = '100ms'
    wal_receiver_status_interval = '1s'
    CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops');
$primary->poll_query_until('postgres', 'SELECT every_ms = 100 FROM dbops.primary_beat') or die 'the beat is not noted';
$primary->backup('backup');

sub standby_of
{
	my ($name, $upstream) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init_from_backup($primary, 'backup');
	$node->enable_streaming($upstream);
	$node->start;
	$node->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'read_ok')::boolean}) or die "$name may not be read from";
	return $node;
}

# One column of a check's row, so many seconds from now.
sub judged
{
	my ($node, $check, $column, $later) = @_;

	$later //= 0;
	return $node->safe_psql(
		'postgres', qq{
		SET dbops.health_max_age = 0;
		SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + $later)::text, false) IS NULL \\g /dev/null
		SELECT $column FROM dbops.health_checks() WHERE check_name = '$check'});
}

my $standby = standby_of('standby', $primary);
my $cascade = standby_of('cascade', $standby);
ok($cascade->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'primary_beats')::boolean}), 'a standby knows that its primary beats');

# its upstream is alive, and has nothing more to send
$standby->append_conf('postgresql.conf', "primary_conninfo = 'host=/nonexistent'");
$standby->reload;
$standby->poll_query_until('postgres', q{SELECT NOT (dbops.node_status()->>'read_ok')::boolean}) or die 'it still receives';
ok($cascade->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'lag_s')::numeric > 3}), 'a standby whose upstream is cut off is late');
is( $cascade->safe_psql('postgres', q{
	SELECT s->'receiving', s->'lag_bytes', s->'read_ok', dbops.node_status('1 hour')->'read_ok', (SELECT lag > '3 s' FROM dbops.replication_status())
	  FROM dbops.node_status('2 s') s}),
	'true|0|false|true|t', 'though it receives, and lacks nothing of what it was sent');
like(judged($cascade, 'replication.lag', 'message'), qr/^this standby is .* behind: nothing comes from the primary, not even its beat$/, 'which is told');
$cascade->append_conf('postgresql.conf', 'dbops.heartbeat = 0');
$cascade->reload;
ok($cascade->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'read_ok')::boolean}), 'where the primary does not beat, nothing is missed');
$cascade->stop;

# it is back: it catches up, and is not late any more
$standby->enable_streaming($primary);
$standby->reload;
ok($standby->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'lag_s')::numeric < 1}), 'connected again, it has caught up');

# nor is it where the primary is idle and does not beat, whatever its own setting says
$primary->append_conf('postgresql.conf', 'dbops.heartbeat = 0');
$primary->restart;
ok($standby->poll_query_until('postgres', q{SELECT NOT (dbops.node_status()->>'primary_beats')::boolean}), 'a standby knows that its primary beats no more');
ok( $standby->poll_query_until('postgres', q{
	SELECT (s->>'lag_s')::numeric = 0 AND (s->>'read_ok')::boolean AND clock_timestamp() - pg_last_xact_replay_timestamp() > interval '6 s' FROM dbops.node_status() s}),
	'then it is not late for that nothing comes');
is($standby->safe_psql('postgres', 'SHOW dbops.heartbeat'), '100ms', 'though it would beat itself');
$primary->append_conf('postgresql.conf', q{dbops.heartbeat = '100ms'});
$primary->restart;
ok($standby->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'primary_beats')::boolean}), 'until it beats again');

# nor is it late where dbops is switched off on a primary that is idle, or taken away from it
my $idle = q{clock_timestamp() - pg_last_xact_replay_timestamp() > interval '6 s'};
my $fine = "$idle AND " . q{(s->>'lag_s')::numeric = 0 AND (s->>'read_ok')::boolean AND NOT (s->>'primary_beats')::boolean};
my $says = sub { return $standby->poll_query_until('postgres', "SELECT $_[0] FROM dbops.node_status() s") };
$primary->append_conf('postgresql.conf', 'dbops.enabled = off');
$primary->reload;
ok($primary->poll_query_until('postgres', 'SELECT every_ms = 0 FROM dbops.primary_beat'), 'dbops that is switched off notes that it beats no more');
ok($says->($fine), 'of which the standby knows');
$primary->append_conf('postgresql.conf', 'dbops.enabled = on');
$primary->reload;
ok($says->(q{(s->>'primary_beats')::boolean}), 'until it is on again');
$primary->append_conf('postgresql.conf', q{shared_preload_libraries = ''});
$primary->restart;
$says->($idle) or die 'it still beats';
$primary->safe_psql('postgres', 'CHECKPOINT');
ok($says->($fine), 'nor where dbops was taken away, once it is seen to go on without a beat');
is($primary->safe_psql('postgres', 'SELECT every_ms FROM dbops.primary_beat'), '100', 'though what it noted still stands');
$primary->append_conf('postgresql.conf', q{shared_preload_libraries = 'dbops'});
$primary->restart;
ok($says->(q{(s->>'primary_beats')::boolean}), 'until it beats again');

# whether it may be written to is the server's to say, not the role's that asks
$primary->safe_psql('postgres', q{CREATE ROLE router LOGIN IN ROLE pg_monitor; ALTER ROLE router SET default_transaction_read_only = on});
my $write_ok = sub { return $primary->psql('postgres', q{SELECT dbops.node_status()->'write_ok'}, extra_params => [ '-U', 'router' ]) };
is(($write_ok->())[1], 'true', 'a role that only reads sees a primary that may be written to');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET default_transaction_read_only = on});
$primary->reload;
ok($primary->poll_query_until('postgres', q{SELECT NOT (dbops.node_status()->>'write_ok')::boolean}), 'unless all transactions are read-only');
$primary->safe_psql('postgres', q{SET default_transaction_read_only = off; ALTER SYSTEM RESET default_transaction_read_only});
$primary->reload;
$primary->poll_query_until('postgres', q{SELECT (dbops.node_status()->>'write_ok')::boolean}) or die 'it stays read-only';

# what only receives is no standby, whatever it has flushed
$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('receiver')});
my $receiver = IPC::Run::start([ 'pg_receivewal', '--slot', 'receiver', '-D', $primary->backup_dir, '-d', $primary->connstr('postgres') ], '>' => \my $out, '2>' => \my $err);
$primary->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_replication WHERE state = 'streaming'}) or die "nobody receives: $err";
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
$primary->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_replication WHERE flush_lsn IS NOT NULL}) or die 'nothing is flushed';
$primary->safe_psql('postgres', q{CREATE TABLE t AS SELECT repeat('x', 1000) FROM generate_series(1, 100)});
is($primary->safe_psql('postgres', q{SELECT dbops.system_health_check(true)->'health'->'standbys'}), '1', 'who only receives is no standby');
ok( $primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.replication_status() WHERE kind = 'receiver' AND lag IS NULL AND lag_bytes > 0}),
	'it has bytes to receive, and no lag in applying them');
ok($primary->poll_query_until('postgres', q{SELECT (h->'health'->>'replication_lag_bytes')::bigint < 65536 FROM dbops.system_health_check(true) h}), 'nor do they count as any standby\'s');
$receiver->signal('TERM');
$receiver->finish;
$primary->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots}) or die 'it still receives';
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('receiver')});

# one that goes without having lagged is none to wait for; one that lagged is
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) or die 'replay goes on';
$primary->safe_psql('postgres', 'CREATE TABLE not_replayed (i int)');
$primary->wait_for_catchup($standby, 'flush', $primary->lsn('flush'));
# since when is known from the next beat on; the time is the server's, as the background looks, too
$primary->safe_psql('postgres', q{SELECT dbops.set_check('replication.lag', warning => 5, critical => 6)});
my $lags = '';
for my $try (1 .. 300)
{
	$lags = judged($primary, 'replication.lag', 'severity');
	last if $lags eq 'critical';
	usleep(100_000);
}
is($lags, 'critical', 'a standby that does not replay lags');
$standby->stop('immediate');
$primary->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_replication}) or die 'it is still there';
like(judged($primary, 'replication.lag', q{concat_ws(' ', severity, message)}), qr/^unknown a standby that was .* behind is gone; it was last seen \d+ s ago$/, 'gone, it has not caught up for that');
is(judged($primary, 'replication.lag', 'severity', 3800), 'ok', 'after an hour it is forgotten');
$primary->stop;

done_testing();
