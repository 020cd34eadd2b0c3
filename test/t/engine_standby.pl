# Jobs on a standby: nothing runs and reports answer, until it is promoted; then
# what was left queued runs, what was running on the old primary is judged, and
# nothing of that happened before. TAP, because it takes two servers.
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
    log_min_messages = debug1
    CONF
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE mark (what text);
	CREATE PROCEDURE in_two() LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO mark VALUES ('half'); COMMIT;
		PERFORM pg_sleep(600);
	END $$});

my $standby = PostgreSQL::Test::Cluster->new('standby');
$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;

sub look
{
	my ($node, $id, $column) = @_;

	return $node->safe_psql('postgres', "SELECT $column FROM dbops.jobs() WHERE id = $id");
}

sub wait_for
{
	my ($node, $id, $condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition FROM dbops.jobs() WHERE id = $id"), $what)
	  or diag($node->safe_psql('postgres', "SELECT dbops.job_status($id)"));
	return;
}

sub enqueue
{
	my ($arguments) = @_;

	return $primary->safe_psql('postgres', "SELECT dbops.enqueue($arguments)");
}

sub catch_up
{
	$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
	return;
}

# Jobs in every state: ended, running, and left in the queue.
my $done = enqueue(q{'SELECT 1'});
wait_for($primary, $done, q{state = 'succeeded'}, 'a job runs on the primary');
my $atomic = enqueue(q{'INSERT INTO mark SELECT ''atomic'' FROM pg_sleep(CASE WHEN EXISTS (SELECT FROM mark WHERE what = ''go'') THEN 0 ELSE 600 END)'});
my $unknown = enqueue(q{'CALL in_two()'});
wait_for($primary, $_, q{state = 'running'}, 'another does') for $atomic, $unknown;
$primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM mark}) or die 'it has not committed';
$primary->safe_psql('postgres', q{ALTER SYSTEM SET dbops.max_workers = 2});
$primary->reload;
$primary->poll_query_until('postgres', 'SHOW dbops.max_workers', '2') or die 'the setting stays';
my $queued = enqueue(q{'INSERT INTO mark VALUES (''queued'')'});
my $later = enqueue(q{'INSERT INTO mark VALUES (''later'')', run_after => now() + interval '2 s'});
catch_up();

# ---- on the standby

is($standby->safe_psql('postgres', q{SELECT string_agg(backend_type, ' ') FROM pg_stat_activity WHERE backend_type LIKE 'dbops%' AND backend_type <> 'dbops reader'}),
	'dbops launcher', 'on a standby there is the launcher, and who only reads');
is(look($standby, $done, 'state'), 'succeeded', 'jobs() answers there');
is(look($standby, $queued, 'state'), 'queued', 'also about jobs that wait');
like(look($standby, $queued, 'waiting'), qr/standby|recovery/, 'and says why they wait');
is(look($standby, $atomic, 'state'), 'running', 'and about those that run on the primary');
is($standby->safe_psql('postgres', "SELECT dbops.job_status($queued) ->> 'state'"), 'queued', 'job_status answers');
my ($stdout, $stderr);
for my $call (q{SELECT dbops.enqueue('SELECT 1')}, "SELECT dbops.cancel_job($queued)", "SELECT dbops.pause_job($queued)", "CALL dbops.run_job($queued)")
{
	isnt($standby->psql('postgres', $call, stderr => \$stderr), 0, "$call is refused");
	like($stderr, qr/cannot execute .* (in a read-only transaction|during recovery)/, 'by the server\'s error');
}
is($standby->psql('postgres', "CALL dbops.wait_job($done)", stdout => \$stdout), 0, 'wait_job answers for a job that has ended');
isnt($standby->psql('postgres', "CALL dbops.wait_job($queued, timeout => '100 ms')", stderr => \$stderr), 0, 'and waits for others');
like($stderr, qr/job $queued is still queued/, 'until its time is over');

# A restart and a reload change nothing of that.
$standby->restart;
$standby->safe_psql('postgres', 'SELECT pg_reload_conf()');
$primary->poll_query_until('postgres', "SELECT run_after < clock_timestamp() FROM dbops.job WHERE id = $later") or die 'it does not become due';
is($standby->safe_psql('postgres', q{SELECT string_agg(backend_type, ' ') FROM pg_stat_activity WHERE backend_type LIKE 'dbops%' AND backend_type <> 'dbops reader'}),
	'dbops launcher', 'although jobs are due nobody else comes');
unlike(slurp_file($standby->logfile), qr/dbops scheduler/, 'and nobody has come');

# ---- promotion

catch_up();
$primary->stop('immediate');
is(look($standby, $later, 'state'), 'queued', 'as long as it is a standby nothing runs');
$standby->promote;
wait_for($standby, $queued, q{state = 'succeeded'}, 'after promotion what was queued runs');
wait_for($standby, $later, q{state = 'succeeded'}, 'and what has become due');
wait_for($standby, $unknown, q{state = 'blocked' AND message LIKE 'outcome unknown%'}, 'of what had committed something nobody knows');
ok( $standby->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'dbops job $atomic'"),
	'what was undone with the old primary runs again');
is(look($standby, $atomic, 'attempts'), 1, 'which counts as no attempt');
is($standby->safe_psql('postgres', q{SELECT string_agg(what, ' ' ORDER BY what) FROM mark}), 'half later queued', 'each has done its work once');
$standby->safe_psql('postgres', "SELECT dbops.cancel_job($atomic)");
wait_for($standby, $atomic, q{state = 'cancelled'}, 'and can be cancelled');
$standby->stop;
done_testing();
