# Gates on a primary and its standby: lag of a standby that does not replay,
# what only receives, who keeps vacuum from removing rows, an archiver that
# fails; and a cluster that stays paused over restarts and crashes. TAP, because
# it takes two servers and their ends.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    archive_mode = on
    archive_command = 'true'
    max_prepared_transactions = 5
    CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE DATABASE elsewhere');

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "hot_standby_feedback = on\nwal_receiver_status_interval = 1s\n");
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

# A gate of a server, so many seconds from now, as closed|detail.
sub gate
{
	my ($node, $setting, $later, $set) = @_;

	$later //= 0;
	$set //= '';
	return $node->safe_psql(
		'postgres', qq{
		$set;
		SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + $later)::text, false) IS NULL \\g /dev/null
		SELECT closed, detail FROM dbops.gates() WHERE setting = 'dbops.$setting'});
}

# Look until a gate is as expected, and say how it is then.
sub gate_until
{
	my ($expected, @gate) = @_;
	my $found;

	for my $try (1 .. 100)
	{
		$found = gate(@gate);
		last if $found =~ $expected;
		usleep(100_000);
	}
	return $found;
}

# Look, when the server has moved, so that since when it has is known later.
sub mark
{
	usleep(1_100_000);
	gate($primary, 'max_xmin_age');
	return;
}

# a standby that has replayed all is behind in nothing, however long nothing happens
like(gate_until(qr/^f\|.* 0 bytes/, $primary, 'max_replica_lag', 7200), qr/^f\|standby "standby" is 0 bytes and 0 s behind$/, 'an idle standby does not lag');
like(gate_until(qr/^f/, $primary, 'max_replica_lag_bytes', 0, 'SET dbops.max_replica_lag_bytes = 0'), qr/^f/, 'in bytes neither');

# what only receives WAL is no standby
$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('receiver')});
my $receiver = IPC::Run::start([ 'pg_receivewal', '--slot', 'receiver', '-D', $primary->backup_dir, '-d', $primary->connstr('postgres') ], '>' => \my $out, '2>' => \my $err);
$primary->poll_query_until('postgres', q{SELECT count(*) = 2 FROM pg_stat_replication}) or die "nobody receives: $err";
$primary->safe_psql('postgres', 'SELECT pg_switch_wal()');
$primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_replication WHERE application_name <> 'standby' AND flush_lsn IS NOT NULL}) or die 'nothing is flushed';
$primary->safe_psql('postgres', 'CREATE TABLE t (i int); INSERT INTO t VALUES (1)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
like(gate_until(qr/^f/, $primary, 'max_replica_lag_bytes', 0, 'SET dbops.max_replica_lag_bytes = 0'), qr/^f\|standby "standby"/, 'what only receives does not count');
$receiver->signal('TERM');
$receiver->finish;
$primary->poll_query_until('postgres', q{SELECT NOT active FROM pg_replication_slots}) or die 'it still receives';
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('receiver')});

# a standby that does not replay
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_pause()');
$standby->poll_query_until('postgres', q{SELECT pg_get_wal_replay_pause_state() = 'paused'}) or die 'replay goes on';
$primary->safe_psql('postgres', q{CREATE TABLE wide AS SELECT i, repeat('x', 1000) FROM generate_series(1, 20000) i});
mark();
like(gate($primary, 'max_replica_lag_bytes'), qr/^f/, '20 MB are not too much');
like(gate($primary, 'max_replica_lag_bytes', 0, q{SET dbops.max_replica_lag_bytes = '10MB'}), qr/^t\|standby "standby" is 2\d MB and \d+ s behind$/, 'unless the setting says so');
like(gate($primary, 'max_replica_lag_bytes', 0, q{SET dbops.max_replica_lag_bytes = -1}), qr/^f/, 'which can be switched off');
like(gate($primary, 'max_replica_lag'), qr/^f/, 'a standby that has just begun to lag is not late');
like(gate($primary, 'max_replica_lag', 65), qr/^t\|standby "standby" is 2\d MB and \d+ s behind$/, 'after a minute it is');
like(gate($primary, 'max_replica_lag', 65, q{SET dbops.max_replica_lag = '2min'}), qr/^f/, 'unless the setting says so');
like(gate($primary, 'max_replica_lag', 7200), qr/^t.* (2\.0 h|1\d\d min) behind$/, 'and it becomes later');
like(gate($primary, 'max_replica_lag'), qr/^f/, 'when the clock is set back, what it said is forgotten');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM dbops.gates()}), '6', 'gates can be listed on a standby');
$standby->safe_psql('postgres', 'SELECT pg_wal_replay_resume()');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
like(gate_until(qr/^f/, $primary, 'max_replica_lag', 7200), qr/^f/, 'one that has caught up is not late');

# a session that keeps rows; the standby's feedback follows a moment later
like(gate_until(qr/^f/, $primary, 'max_xmin_age', 4000), qr/^f/, 'a standby without snapshots keeps nothing');
my $reader = $primary->background_psql('postgres');
my $pid = $reader->query('SELECT pg_backend_pid()');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->query_safe('SELECT 1');
like(gate($primary, 'max_xmin_age'), qr/^f/, 'a young snapshot is no harm');
like(gate($primary, 'max_xmin_age', 4000), qr/^t\|session $pid of role "\w+", application "[^"]+", idle in transaction has kept vacuum from removing rows for 67 min$/, 'an old one is named');
like(gate($primary, 'max_xmin_age', 4000, q{BEGIN; LOCK TABLE pg_authid IN ACCESS EXCLUSIVE MODE}), qr/^t\|session $pid/, 'also when its role cannot be looked up');
is( $primary->safe_psql('postgres', q{
		SET client_min_messages = warning;
		SET statement_timeout = '60s';
		SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + 4000)::text, false) \g /dev/null
		CREATE TABLE visit (at date) PARTITION BY RANGE (at);
		SELECT dbops.set_partitioning('visit', '1 month') \g /dev/null
		CALL dbops.run_partitioning('visit');
		SELECT count(*) > 1 FROM pg_inherits WHERE inhparent = 'visit'::regclass}),
	't', 'work that leaves no dead rows and waits for no snapshot is not held up by it');
$reader->query_safe('COMMIT');
like(gate_until(qr/^f/, $primary, 'max_xmin_age', 4000), qr/^f/, 'and forgotten');
$reader->quit;

# in another database only who has a transaction id does
$reader = $primary->background_psql('elsewhere');
$reader->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$reader->query_safe('SELECT 1');
like(gate_until(qr/^f/, $primary, 'max_xmin_age', 4000), qr/^f/, 'a snapshot in another database keeps nothing here');
$reader->query_safe('CREATE TABLE t (i int)');
like(gate($primary, 'max_xmin_age', 4000), qr/^t\|session/, 'a transaction that writes there does');
$reader->query_safe('COMMIT');
$reader->quit;

# a standby that sends feedback, without a slot and with one
sub standby_keeps
{
	my ($expected, $feedback, $name) = @_;
	my $snapshot = $standby->background_psql('postgres');

	$snapshot->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
	$snapshot->query_safe('SELECT count(*) FROM t');
	$primary->safe_psql('postgres', 'INSERT INTO t VALUES (1)') for 1 .. 3;
	$primary->poll_query_until('postgres', $feedback) or die 'there is no feedback';
	mark();
	like(gate_until(qr/^t/, $primary, 'max_xmin_age', 4000), $expected, $name);
	$snapshot->query_safe('COMMIT');
	$snapshot->quit;
	return;
}
standby_keeps(qr/^t\|standby "standby" has kept vacuum/, q{SELECT backend_xmin IS NOT NULL FROM pg_stat_replication}, 'a standby that sends feedback is named');
$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('of_standby')});
$standby->append_conf('postgresql.conf', 'primary_slot_name = of_standby');
$standby->reload;
$primary->poll_query_until('postgres', q{SELECT active FROM pg_replication_slots}) or die 'the slot is not used';
standby_keeps(qr/^t\|replication slot "of_standby" of standby "standby" has kept vacuum/, q{SELECT xmin IS NOT NULL FROM pg_replication_slots}, 'with its slot if it has one');

# a slot whose standby has left
my $last = $standby->background_psql('postgres');
$last->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ');
$last->query_safe('SELECT count(*) FROM t');
$primary->safe_psql('postgres', 'INSERT INTO t VALUES (1)') for 1 .. 3;
$primary->poll_query_until('postgres', q{SELECT xmin IS NOT NULL FROM pg_replication_slots}) or die 'there is no feedback';
$standby->stop('immediate');
eval { $last->quit };
mark();
like(gate_until(qr/^t\|replication slot "of_standby" has/, $primary, 'max_xmin_age', 4000), qr/^t\|replication slot "of_standby" has kept vacuum/, 'a slot that nobody reads is named');
$primary->safe_psql('postgres', q{SELECT pg_drop_replication_slot('of_standby')});
like(gate_until(qr/^f/, $primary, 'max_xmin_age', 4000), qr/^f/, 'until it is dropped');
like(gate($primary, 'max_replica_lag'), qr/^f\|nothing replicates from this server$/, 'a standby that is gone does not lag');

# an archiver that fails
like(gate_until(qr/^f\|0 files/, $primary, 'max_archive_backlog'), qr/^f\|0 files of WAL wait/, 'WAL that is archived does not wait');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET archive_command = 'false'});
$primary->reload;
for my $segment (1 .. 4)
{
	$primary->safe_psql('postgres', 'INSERT INTO t VALUES (1); SELECT pg_switch_wal()');
}
like(gate_until(qr/^f\|4 files/, $primary, 'max_archive_backlog'), qr/^f\|4 files of WAL wait to be archived$/, 'what waits is counted');
like(gate($primary, 'max_archive_backlog', 0, 'SET dbops.max_archive_backlog = 3'), qr/^t\|4 files/, 'and too many close the gate');
like(gate($primary, 'max_archive_backlog', 0, 'SET dbops.max_archive_backlog = 4'), qr/^f/, 'as many as may do not');
like(gate($primary, 'max_archive_backlog', 0, 'SET dbops.max_archive_backlog = -1'), qr/^f/, 'nor any when it is off');

# jobs wait for it, say so, and go on when it opens
$primary->safe_psql('postgres', q{ALTER SYSTEM SET dbops.max_archive_backlog = 3});
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW dbops.max_archive_backlog', '3') or die 'the setting stays';

# the background knows what was so ten seconds ago
for my $try (1 .. 120)
{
	my $first = $primary->safe_psql('postgres', q{SELECT dbops.enqueue('SELECT 1')});

	usleep(500_000);
	last if $primary->safe_psql('postgres', qq{SELECT dbops.cancel_job(id) IS NOT NULL FROM dbops.jobs() WHERE id = $first AND waiting LIKE 'archive_backlog: %'}) eq 't';
}
my $job = $primary->safe_psql('postgres', q{SELECT dbops.enqueue('INSERT INTO t VALUES (77)')});
$primary->poll_query_until('postgres', qq{SELECT waiting LIKE 'archive_backlog: %' FROM dbops.jobs() WHERE id = $job}) or diag('it does not wait');
is( $primary->safe_psql('postgres', qq{SELECT state, waiting FROM dbops.jobs() WHERE id = $job}),
	'queued|archive_backlog: 4 files of WAL wait to be archived, more than dbops.max_archive_backlog (3 files)',
	'a job waits for a closed gate and names it');
$primary->safe_psql('postgres', q{ALTER SYSTEM RESET dbops.max_archive_backlog});
$primary->safe_psql('postgres', q{ALTER SYSTEM RESET archive_command});
$primary->reload;
$primary->poll_query_until('postgres', qq{SELECT state = 'succeeded' FROM dbops.jobs() WHERE id = $job}) or die 'the job does not go on';
is($primary->safe_psql('postgres', 'SELECT count(*) FROM t WHERE i = 77'), '1', 'and runs when it has opened');
like(gate_until(qr/^f/, $primary, 'max_archive_backlog', 0, 'SET dbops.max_archive_backlog = 0'), qr/^f/, 'when they are archived it opens');

# a cluster that is paused stays so, in every database
sub pause_of
{
	my ($node, $database) = @_;

	return $node->safe_psql($database // 'postgres', q{SELECT detail FROM dbops.gates() WHERE gate = 'pause'});
}
my $file = $primary->data_dir . '/pg_stat_tmp/dbops.paused';
$primary->safe_psql('elsewhere', 'CREATE EXTENSION dbops');
$primary->safe_psql('postgres', q{SELECT dbops.pause_jobs('moving', whole_cluster => true)});
my $paused = qr/^all databases paused by \w+ since .*: moving$/;
like(pause_of($primary, 'elsewhere'), $paused, 'a paused cluster is paused in every database');
$job = $primary->safe_psql('postgres', q{SELECT dbops.enqueue('INSERT INTO t VALUES (78)')});
usleep(500_000);
like($primary->safe_psql('postgres', qq{SELECT state || ' ' || waiting FROM dbops.jobs() WHERE id = $job}), qr/^queued all databases paused by \w+ since .*: moving$/, 'its jobs wait and say so');
$primary->restart;
like(pause_of($primary), $paused, 'after a restart too');
$primary->stop('immediate');
$primary->start;
like(pause_of($primary), $paused, 'and after a crash');
my $killed = $primary->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'walwriter'});
crash_server($primary, $killed);
like(pause_of($primary), $paused, 'and after that of one process');

# not its copies
$primary->backup('paused');
my $copy = PostgreSQL::Test::Cluster->new('copy');
$copy->init_from_backup($primary, 'paused');
$copy->append_conf('postgresql.conf', 'archive_mode = off');
$copy->start;
is(pause_of($copy), 'not paused', 'a copy of a paused server is not paused');
$copy->stop;

# a transaction that is never committed pauses nothing
is($primary->safe_psql('postgres', qq{SELECT state FROM dbops.jobs() WHERE id = $job}), 'queued', 'its jobs still wait');
$primary->safe_psql('elsewhere', 'SELECT dbops.resume_jobs(true)');
$primary->poll_query_until('postgres', qq{SELECT state = 'succeeded' FROM dbops.jobs() WHERE id = $job}) or die 'the job does not go on';
ok(!-e $file, 'nothing is left when it is resumed');
my $open = $primary->background_psql('postgres');
$open->query_safe('BEGIN');
$open->query_safe(q{SELECT dbops.pause_jobs('moving', whole_cluster => true)});
is(pause_of($primary), 'not paused', 'before its COMMIT nothing is paused');
$primary->stop('immediate');
eval { $open->quit };
$primary->start;
is(pause_of($primary), 'not paused', 'nor after a crash before it');

# a file that is damaged: not paused, and said so
for my $damage (
	[ 'cut off' => sub { truncate $file, 100 or die $! } ],
	[ 'changed' => sub { my $content = slurp_file($file); $content =~ s/moving/marking/; unlink $file; append_to_file($file, $content) } ],
	[ 'emptied' => sub { truncate $file, 0 or die $! } ])
{
	my ($name, $apply) = @$damage;
	my $offset = -s $primary->logfile;

	$primary->safe_psql('postgres', q{SELECT dbops.pause_jobs('moving', whole_cluster => true)});
	$primary->stop;
	$apply->();
	$primary->start;
	is(pause_of($primary), 'not paused', "a file that was $name pauses nothing");
	like(slurp_file($primary->logfile, $offset), qr/LOG:  dbops cannot read "pg_stat_tmp\/dbops.paused" and goes on as if it were not there/, 'which is logged');
}

# a file that cannot be written fails the call, not the COMMIT
SKIP:
{
	skip 'root may write anywhere', 1 if $> == 0;
	chmod 0500, $primary->data_dir . '/pg_stat_tmp';
	like(($primary->psql('postgres', q{SELECT dbops.pause_jobs('moving', whole_cluster => true)}))[2], qr/could not write file/, 'a pause that would not last is refused');
	chmod 0700, $primary->data_dir . '/pg_stat_tmp';
}

# without preloading
$primary->append_conf('postgresql.conf', q{shared_preload_libraries = ''});
$primary->restart;
my ($result, $stdout, $stderr) = $primary->psql('postgres', qq{\\set VERBOSITY verbose\nSELECT dbops.pause_jobs('moving', whole_cluster => true)});
like($stderr, qr/ERROR:  55000: .*HINT:  Add dbops to shared_preload_libraries and restart the server\./s, 'a cluster needs preloading');
$primary->safe_psql('postgres', q{SELECT dbops.pause_jobs('moving')});
like(pause_of($primary), qr/^paused by \w+ since .*: moving$/, 'a database does not');
is($primary->safe_psql('postgres', 'SELECT count(*) FROM dbops.gates()'), '6', 'nor do the gates');

$primary->stop;
done_testing();
