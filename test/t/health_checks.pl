# Checks of health that need a server of their own: settings that wait for a
# restart or cannot be read, standbys that are missing or told to pause, sessions
# from elsewhere, catalogs that somebody has locked, and a server in which
# nothing is sampled. TAP, because servers are configured and started anew.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1, extra => ['--data-checksums']);
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    dbops.expected_standbys = 'standby, other'
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# What a check says, its findings one a line.
sub look
{
	my ($server, $check, $columns) = @_;

	$columns //= 'severity';
	return $server->safe_psql('postgres', qq{SET statement_timeout = '20s'; SELECT $columns FROM dbops.health_checks() WHERE check_name = '$check' ORDER BY key});
}

is(look($node, 'checksums.off'), 'ok', 'pages have checksums');
is(look($node, 'checksums.failures'), 'ok', 'none of which failed');

# what waits for a restart is no error of the files
is(look($node, 'settings.pending_restart'), 'ok', 'no setting waits for a restart');
$node->append_conf('postgresql.conf', 'max_connections = 123');
$node->reload;
$node->poll_query_until('postgres', q{SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'}) or die 'nothing waits';
is(look($node, 'settings.pending_restart', 'severity, message'), 'warning|1 setting waits for a restart: max_connections', 'one that does is named');
is(look($node, 'settings.file_errors'), 'ok', 'and is no error of the file');
$node->append_conf('postgresql.conf', "work_mem = 'much'");
is(look($node, 'settings.file_errors'), 'warning', 'what cannot be applied is');
like(look($node, 'settings.file_errors', 'object'), qr/^line \d+ of postgresql\.conf$/, 'and where it stands is told');
$node->append_conf('postgresql.conf', "work_mem = '4MB'");
$node->append_conf('pg_hba.conf', 'local all all nonsense');
is(look($node, 'settings.access_errors'), 'warning', 'a line of pg_hba.conf that cannot be read is found');

# standbys that are expected
is(look($node, 'replication.missing', 'severity, message'), 'critical|not connected: standby, other', 'standbys that are missing are named');
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
system_or_bail('sed', '-i', '/nonsense/d', $_->data_dir . '/pg_hba.conf') for $node, $standby;
system_or_bail('sed', '-i', '/much/d', $_->data_dir . '/postgresql.conf') for $node, $standby;
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is(look($node, 'replication.missing', 'message'), 'not connected: other', 'one that is connected is not');

# replay that was told to pause
is(look($standby, 'replication.paused'), 'ok', 'replay goes on');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
is(look($standby, 'replication.paused', 'severity, remedy'), 'warning|SELECT pg_wal_replay_resume();', 'replay that was told to pause is found');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM dbops.health_checks() WHERE message LIKE 'could not be judged%'}),
	'0', 'every check can be judged on a standby');
is($standby->safe_psql('postgres', q{SELECT count(DISTINCT check_name) >= 60 FROM dbops.health_checks()}), 't', 'all of them are');
$standby->stop;

# nobody waits for who has locked a catalog
for my $case (
	[ 'pg_constraint', 'constraints.not_valid' ],
	[ 'pg_sequence', 'sequences.exhaustion' ],
	[ 'pg_subscription', 'subscriptions.down' ])
{
	my ($catalog, $check) = @$case;
	my $holder = $node->background_psql('postgres');

	$holder->query_safe('BEGIN');
	$holder->query_safe("LOCK TABLE $catalog IN ACCESS EXCLUSIVE MODE");
	like(look($node, $check, 'severity, message'), qr/^unknown\|could not be judged: $catalog is locked/, "$check does not wait for $catalog");
	$holder->query_safe('COMMIT');
	$holder->quit;
}

# nor for who alters a sequence, and others are still read
$node->safe_psql('postgres', q{CREATE SEQUENCE held MAXVALUE 100; CREATE SEQUENCE ended MAXVALUE 100; SELECT setval('ended', 99)});
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN');
$holder->query_safe('ALTER SEQUENCE held RESTART');
is(look($node, 'sequences.exhaustion', 'object'), 'public.ended', 'a sequence that is being altered keeps no other from being judged');
$holder->query_safe('ROLLBACK');
$holder->quit;

# nothing is sampled in a server that did not preload dbops: one reason for all
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
like(look($node, 'collector.samples', 'severity, message'), qr/^unknown\|nothing is sampled.*not preloaded/, 'that nothing is sampled is said');
is(look($node, 'database.deadlocks', 'message'), 'no samples yet', 'and is the reason of what is told from samples');
is($node->safe_psql('postgres', q{SELECT count(*) FROM dbops.health_checks() WHERE message LIKE 'could not be judged%'}),
	'0', 'all others can be judged');

$node->stop;
done_testing();
