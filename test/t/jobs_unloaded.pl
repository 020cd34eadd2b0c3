# Jobs on a server that does not preload dbops: nothing runs in the background,
# run_job does here and now, and it takes over what a session that died has left.
# TAP, because the server of the other tests preloads dbops.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', 'autovacuum = off');
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t AS SELECT i, NULL::integer AS v FROM generate_series(1, 1000) i;
	CREATE TABLE done (what text)});

my ($out, $err);

sub submit
{
	my ($call) = @_;
	$node->psql('postgres', "SELECT $call", stdout => \$out, stderr => \$err);
	return $out;
}

sub state_of
{
	my ($job) = @_;
	return $node->safe_psql('postgres', "SELECT state FROM dbops.jobs() WHERE id = $job");
}

# A session that has come to the work of the job.
my ($job, $pid);
sub begin_run
{
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	$pid = $session->query_safe('SELECT pg_backend_pid()');
	$session->query_until(qr/go/, "\\echo go\nCALL dbops.run_job($job);\n\\echo done\n");
	$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid")
	  or die 'the job does not run';
	return $session;
}

# submitting says who will run it
$job = submit(q{dbops.enqueue('INSERT INTO done VALUES (''a'')')});
like($err, qr/NOTICE/, 'a submission says that nothing runs it by itself');
is(state_of($job), 'queued', 'and nothing does');
like($node->safe_psql('postgres', "SELECT waiting FROM dbops.jobs() WHERE id = $job"),
	qr/shared_preload_libraries/, 'the job says what for it waits');
$node->safe_psql('postgres', "CALL dbops.run_job($job)");
is(state_of($job), 'succeeded', 'run_job runs it');
is($node->safe_psql('postgres', 'SELECT count(*) FROM done'), 1, 'once');

# work in steps too
$job = submit(q{dbops.start_backfill('t', 'v = i', 'v IS NULL')});
$node->safe_psql('postgres', "CALL dbops.run_job($job)");
is(state_of($job), 'succeeded', 'a backfill is run');
is($node->safe_psql('postgres', 'SELECT count(v) FROM t'), 1000, 'to its end');

# a session that dies leaves its job to the next one
for my $case (
	[ q{INSERT INTO done SELECT 'b' FROM pg_sleep(600)}, 'one transaction' ],
	[ q{DO $$ BEGIN PERFORM pg_sleep(600); END $$}, 'one that may have committed' ])
{
	my ($command, $kind) = @$case;
	$job = submit("dbops.enqueue(\$command\$$command\$command\$)");
	my $victim = begin_run();
	isnt($node->psql('postgres', "CALL dbops.run_job($job)", stderr => \$err), 0, "$kind: not run twice");
	like($err, qr/which is running/, 'with the reason');
	$node->safe_psql('postgres', "SELECT pg_terminate_backend($pid, 60000)");
	eval { $victim->quit };
	is(state_of($job), 'running', 'nobody has noticed that its session died');
	$victim = begin_run();
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
	$victim->query_until(qr/done/, '');
	like($victim->{stderr}, qr/canceling statement due to user request/, 'until the next run_job, which runs it');
	$victim->quit;
	is(state_of($job), 'failed', 'and records how it ended');
}
is($node->safe_psql('postgres', 'SELECT count(*) FROM done'), 1, 'nothing of it was committed');

# what needs the background says so
isnt($node->psql('postgres', q{SELECT dbops.pause_jobs('x', whole_cluster => true)}, stderr => \$err), 0,
	'the cluster cannot be paused');
like($err, qr/shared_preload_libraries/, 'with the reason');
$node->stop;
done_testing();
