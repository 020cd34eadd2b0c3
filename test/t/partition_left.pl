# A run that is left while a large default partition is proven to have no rows of
# the days to come leaves nothing behind that refuses them, and the health check
# knows what was left all the same. TAP and no isolation test, because a run that
# waits as it should waits for no lock, and because its process is ended.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = start_server("timezone = 'UTC'\n");
my $other = $node->background_psql('postgres', on_error_stop => 0);
my $constraint = q{FROM pg_constraint WHERE conrelid = 'visits_rest'::regclass AND conname = 'dbops_no_rows_of_that_time'};
my $job = q{FROM dbops.job WHERE name = 'public.visits' AND finished_at IS NULL};
my $health = q{SELECT severity, object FROM dbops.health_checks() WHERE check_name = 'partitions.left_constraint'};

ask(q{
	BEGIN;	-- all of it is of one day
	CREATE TABLE visits (at timestamptz, filler text) PARTITION BY RANGE (at);
	SELECT format('CREATE TABLE visits_new PARTITION OF visits FOR VALUES FROM (%L) TO (%L)', t, t + interval '3 days')
	  FROM date_trunc('day', now(), 'UTC') t \gexec
	CREATE TABLE visits_rest PARTITION OF visits DEFAULT;
	ALTER TABLE visits_rest ALTER filler SET STORAGE PLAIN;
	INSERT INTO visits SELECT '1990-01-01', repeat('x', 4000) FROM generate_series(1, 2500);
	SELECT dbops.set_partitioning('visits', '1 day', '10 days', time_zone => 'UTC', schedule => '@every 3650 days');
	COMMIT});

sub await
{
	my ($sql, $what) = @_;

	ok($node->poll_query_until('postgres', $sql), $what) or diag(ask("SELECT state, message $job"));
}

# A run that has proven it, and cannot go on because somebody has the table locked.
sub start_run
{
	$other->query_safe('BEGIN; LOCK TABLE ONLY visits IN SHARE UPDATE EXCLUSIVE MODE');
	my $run = IPC::Run::start(['psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL dbops.run_partitioning('visits')"],
		'<', \undef, '>', \my $out, '2>', \my $err);
	await("SELECT EXISTS (SELECT $constraint AND convalidated)", 'the default partition refuses rows of the days to come');
	is(ask($health), 'ok|', 'which is no matter while a run is at work');
	return $run;
}

sub takes_rows
{
	my ($when) = @_;

	is(ask("SELECT count(*) $constraint"), '0', "$when: the constraint is gone");
	is(ask(q{BEGIN; INSERT INTO visits VALUES (date_trunc('day', now(), 'UTC') + interval '4 days') RETURNING tableoid::regclass; ROLLBACK}),
		'visits_rest', "$when: rows of the days to come are taken");
	is(ask($health), 'ok|', "$when: nothing was left behind");
}

# It is paused.
my $run = start_run();
ask("SELECT dbops.pause_job(id) $job");
await("SELECT state = 'paused' $job", 'the run is paused');
takes_rows('paused');
$run->finish;
$other->query_safe('COMMIT');
ask("SELECT dbops.cancel_job(id) $job");

# It is paused while somebody has the default partition locked.
$run = start_run();
$other->query_safe('LOCK TABLE visits_rest IN SHARE UPDATE EXCLUSIVE MODE');
ask("SELECT dbops.pause_job(id) $job");
await("SELECT waiting ~ '^to remove constraint dbops_no_rows_of_that_time' FROM dbops.jobs() WHERE name = 'public.visits' AND state = 'running'",
	'the run says what it has to do before it is paused');
$other->query_safe('COMMIT');
await("SELECT state = 'paused' $job", 'then it is paused');
takes_rows('paused later');
$run->finish;
ask("SELECT dbops.cancel_job(id) $job");

# Its process is ended.
$run = start_run();
ask("SELECT pg_terminate_backend(runner_pid) $job");
$run->finish;
await("SELECT NOT EXISTS (SELECT $constraint)", 'the process is ended: the constraint goes');
takes_rows('ended');
$other->query_safe('COMMIT');
ask("SELECT dbops.cancel_job(id) $job");

# One that nobody is at work on, and a run that is not kept from its work.
ask('ALTER TABLE visits_rest ADD CONSTRAINT dbops_no_rows_of_that_time CHECK (at IS NOT NULL)');
is(ask($health), 'critical|public.visits_rest', 'one that was left behind is reported');
ask('ALTER TABLE visits_rest DROP CONSTRAINT dbops_no_rows_of_that_time');
ask("CALL dbops.run_partitioning('visits')");
cmp_ok(ask("SELECT count(*) FROM pg_inherits WHERE inhparent = 'visits'::regclass"), '>', 5, 'the partitions are made');
is(ask("SELECT count(*) $constraint"), '0', 'and no constraint is left');

$other->quit;
$node->stop;
done_testing();
