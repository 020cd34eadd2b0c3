# What is asked of a backfill that several processes share reaches all of them:
# interrupts, pauses, settings, commands that need the database; and what
# happens to the table meanwhile is noticed by all. TAP, because processes end,
# and because a server without dbops preloaded is one of the cases.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rows = 12000;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    dbops.progress_interval = 0
    dbops.max_workers = 3
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');
$node->safe_psql('postgres', q{CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS
	'BEGIN INSERT INTO change VALUES (NEW.id, pg_backend_pid()); RETURN NULL; END'});

# Ctrl-C ends all of them, and with them the job; the same call goes on.
create_table();
my $session = begin_call();
processes(3);
signal_session('pg_cancel_backend');
is(processes_now(), 0, 'when the call has ended no process is at work') if ends($session);
like(psql_error($session), qr/canceling statement due to user request/, 'the call was interrupted');
is(last_job(), 'cancelled|cancelled with the call that it was the work of', 'and with it the job');
partly();
is($node->safe_psql('postgres', q{SELECT result ->> 'rows' FROM dbops.job ORDER BY submitted_at DESC LIMIT 1}), done(), 'its result says how many rows all of them changed');
$node->safe_psql('postgres', q{CALL dbops.batched_backfill('t', 'place = ''p'' || id', 'place IS NULL', batch_size => 1000, workers => 3)});
all_once('the same call goes on');

# A session that is terminated leaves its job to the background.
create_table();
$session = begin_call();
processes(3);
signal_session('pg_terminate_backend');
ends($session);
ok($node->poll_query_until('postgres', q{SELECT state IN ('queued', 'running') FROM dbops.job ORDER BY submitted_at DESC LIMIT 1}),
	'a session that is terminated leaves its job behind');
hurry();
all_once('which goes on in the background');

# What a call says on the way counts no row twice when it goes on with the parts
# of helpers that are gone, and tells once of new storage.
create_table();
$session = begin_call(progress_interval => 5);
processes(3);
parts_are_begun();
set('dbops.enabled = off');
processes(1);
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM dbops.job_part WHERE job_id = (SELECT max(id) FROM dbops.job)
	AND row_count > 0 AND NOT finished AND worker IS DISTINCT FROM 0})
  or die 'the session does not go on with their parts';
set('dbops.enabled = on');
processes(3);
$node->safe_psql('postgres', 'VACUUM FULL t');
hurry();
ends($session);
all_once('a call whose helpers were gone for a while');
my @told = grep { defined } map { /backfill of t: (\d+) rows, ([\d.]+) %/ ? [ $1, $2 ] : undef } split /\n/, psql_error($session);
my @drops = grep { $told[$_][0] < $told[ $_ - 1 ][0] } 1 .. $#told;
ok(@told > 10, 'it was told how many rows are changed');
is("@drops", '', 'a number that never falls') or diag(join "\n", map { "@$_" } @told);
is(scalar(() = psql_error($session) =~ /table public.t was rewritten/g), 1, 'new storage is told of once');

# Pause and resume, in the background
create_table();
my $job = start();
processes(3);
is($node->safe_psql('postgres', "SELECT workers FROM dbops.jobs() WHERE id = $job"), '3', 'jobs() says how many work');
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
in_state('paused');
is(processes_now(), 0, 'a paused job has no process');
$node->safe_psql('postgres', "SELECT dbops.tune_job($job, settings => '{\"workers\": 1}'); SELECT dbops.resume_job($job)");
processes(1);
$node->safe_psql('postgres', "SELECT dbops.tune_job($job, settings => '{\"workers\": 3}')");
processes(3);
pass('more workers come while it runs');
$node->safe_psql('postgres', "SELECT dbops.tune_job($job, settings => '{\"workers\": 1}')");
processes(1);
pass('and go');
$node->safe_psql('postgres', "SELECT dbops.tune_job($job, settings => '{\"workers\": 3}')");
processes(3);

# Others' work comes first, where there is no process for it.
$node->safe_psql('postgres', q{SELECT dbops.enqueue('SELECT 1', 'short')});
ok($node->poll_query_until('postgres', q{SELECT state = 'succeeded' FROM dbops.jobs() WHERE name = 'short'}),
	'a helping process makes room for another job');

# Fewer than asked for: it goes on with those, until more are to be had.
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
in_state('paused');
set('dbops.max_workers = 1');
$node->safe_psql('postgres', "SELECT dbops.resume_job($job)");
processes(1);
my $before = done();
ok($node->poll_query_until('postgres', "SELECT count(*) > $before FROM t WHERE place IS NOT NULL"), 'one worker is enough');
is(processes_now(), 1, 'where no more are to be had');
set('dbops.max_workers = 3');
processes(3);
pass('the others come when there is room');

# To interrupt one of them interrupts the job.
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dbops job % worker 2'});
in_state('paused');
like($node->safe_psql('postgres', "SELECT message FROM dbops.jobs() WHERE id = $job"), qr/^canceling statement due to user request; resume_job/, 'one that is interrupted pauses the job');
is(processes_now(), 0, 'of all processes');

# Nothing runs while dbops is off.
$node->safe_psql('postgres', "SELECT dbops.resume_job($job)");
processes(3);
set('dbops.enabled = off');
processes(0);
pass('and none stays while dbops is off');
set('dbops.enabled = on');
processes(3);
$node->safe_psql('postgres', "SELECT dbops.cancel_job($job)");
in_state('cancelled');
is(processes_now(), 0, 'cancel_job ends all');

# New storage under the parts: the table is walked anew, once, and no row is missed without a proof.
create_table();
$job = start('verify => false');
processes(3);
$node->safe_psql('postgres', 'VACUUM FULL t');
hurry();
all_once('a table that is rewritten is walked anew');
create_table();
$job = start('verify => false');
processes(3);
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
in_state('paused');
$node->safe_psql('postgres', 'VACUUM FULL t');
$node->safe_psql('postgres', "SELECT dbops.resume_job($job)");
hurry();
all_once('also by processes that take over');

# A partition that comes while others are shared
create_table(1);
$job = start('verify => false');
processes(3);
$node->safe_psql('postgres', q{CREATE TABLE t_new PARTITION OF t FOR VALUES FROM (100001) TO (200000);
	INSERT INTO t (id) SELECT generate_series(100001, 100100)});
hurry();
all_once('a partition that comes meanwhile is walked too', 100);
$node->safe_psql('postgres', 'DROP TABLE t; TRUNCATE change');
create_table(1);
$job = start('verify => false');
processes(3);
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
in_state('paused');
$node->safe_psql('postgres', q{CREATE TABLE t_new PARTITION OF t FOR VALUES FROM (100001) TO (200000);
	INSERT INTO t (id) SELECT generate_series(100001, 100100); SELECT dbops.resume_job(} . $job . ')');
hurry();
all_once('also by processes that take over', 100);

# The database can be dropped.
$node->safe_psql('postgres', 'CREATE DATABASE app TEMPLATE postgres');
$node->safe_psql('app', 'SELECT dbops.adopt_database()');
create_table(0, 'app');
$node->safe_psql('app', q{SELECT dbops.start_backfill('t', 'place = ''p'' || id', 'place IS NULL', batch_size => 10, pause => '40 ms', workers => 3)});
processes(3);
is($node->psql('postgres', 'DROP DATABASE app'), 0, 'a database is dropped while several processes work there');
is(processes_now(), 0, 'and none is left');

# Without preloading
create_table();
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
my ($code, $out, $err) = $node->psql('postgres', q{CALL dbops.batched_backfill('t', 'place = ''x''', workers => 2)});
like($err, qr/a backfill has several workers only where dbops is preloaded.*HINT:  Add dbops to shared_preload_libraries/s, 'a call needs processes');
$job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'place = ''p'' || id', 'place IS NULL', batch_size => 1000, workers => 3)});
$node->safe_psql('postgres', "CALL dbops.run_job($job)");
all_once('a job is done by the session alone');
$node->stop;
done_testing();

sub create_table
{
	my ($partitioned, $database) = @_;

	$node->safe_psql($database // 'postgres', 'DROP TABLE IF EXISTS t, change; CREATE TABLE change (id integer NOT NULL, pid integer NOT NULL)');
	$node->safe_psql($database // 'postgres', 'CREATE TABLE t (id integer NOT NULL, place text, filler text NOT NULL DEFAULT repeat(\'x\', 500))'
		. ($partitioned ? ' PARTITION BY RANGE (id); CREATE TABLE t_1 PARTITION OF t FOR VALUES FROM (1) TO (6000); CREATE TABLE t_2 PARTITION OF t FOR VALUES FROM (6000) TO (100001)' : ''));
	$node->safe_psql($database // 'postgres', qq{INSERT INTO t (id) SELECT generate_series(1, $rows); ANALYZE t;
		CREATE TRIGGER note_change AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note_change()});
}

# A call that takes long enough for whatever is done to it, in a session of its own.
sub begin_call
{
	my (%settings) = @_;
	my %session = (out => '', err => PostgreSQL::Test::Utils::tempdir() . '/err');

	local $ENV{PGOPTIONS} = join ' ', map { "-c dbops.$_=$settings{$_}" } keys %settings;

	$session{run} = IPC::Run::start(
		['psql', '-XAtq', '-d', $node->connstr('postgres') . ' application_name=caller', '-c',
			q{CALL dbops.batched_backfill('t', 'place = ''p'' || id', 'place IS NULL', batch_size => 10, pause => '40 ms', workers => 3)}],
		'>', \$session{out}, '2>', $session{err}, IPC::Run::timeout(60));
	return \%session;
}

sub ends { my ($session) = @_; eval { $session->{run}->finish }; return 1; }

sub psql_error { return slurp_file($_[0]{err}); }

sub signal_session
{
	$node->safe_psql('postgres', "SELECT $_[0](pid) FROM pg_stat_activity WHERE application_name = 'caller'");
}

# Wait until each helper has done something of its part.
sub parts_are_begun
{
	$node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM dbops.job_part WHERE job_id = (SELECT max(id) FROM dbops.job)
		AND worker > 0 AND row_count > 50})
	  or die 'the helpers do nothing';
}

sub start
{
	my ($more) = @_;

	return $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'place = ''p'' || id', 'place IS NULL',
		batch_size => 10, pause => '40 ms', workers => 3} . ($more ? ", $more" : '') . ')');
}

# Wait until so many processes work, the session of a call among them, and all have done something.
sub processes
{
	my ($wanted) = @_;

	for (1 .. 2000)
	{
		return if processes_now() == $wanted;
		usleep(10_000);
	}
	die "$wanted processes were expected: " . $node->safe_psql('postgres', 'SELECT jsonb_agg(to_jsonb(j)) FROM dbops.jobs() j WHERE finished_at IS NULL');
}

sub processes_now
{
	return $node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity
		WHERE backend_type = 'dbops runner' OR application_name = 'caller'});
}

sub in_state
{
	my ($state) = @_;

	$node->poll_query_until('postgres', "SELECT state = '$state' FROM dbops.jobs() WHERE id = $job")
	  or die "the job is not $state";
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'dbops runner'})
	  or die 'processes stay';
}

sub last_job { return $node->safe_psql('postgres', 'SELECT state, message FROM dbops.job ORDER BY submitted_at DESC LIMIT 1'); }

sub done { return $node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE place IS NOT NULL'); }

sub set
{
	my ($setting) = @_;

	$node->safe_psql('postgres', "ALTER SYSTEM SET $setting");
	$node->reload;
}

# Have the last job end soon.
sub hurry
{
	$node->safe_psql('postgres', q{UPDATE dbops.job SET run_after = now() WHERE state = 'queued';
		SELECT dbops.tune_job(id, settings => '{"batch_size": 1000, "pause": 0}') FROM dbops.job WHERE finished_at IS NULL});
	$node->poll_query_until('postgres', 'SELECT finished_at IS NOT NULL FROM dbops.job ORDER BY submitted_at DESC LIMIT 1')
	  or die 'the job does not end';
}

sub partly
{
	my $done = done();

	ok($done > 0 && $done < $rows, "it was in the middle ($done rows)");
}

sub all_once
{
	my ($what, $more) = @_;
	my $all = $rows + ($more // 0);

	is($node->safe_psql('postgres', q{SELECT (SELECT count(*) FROM t WHERE place = 'p' || id), count(*), count(DISTINCT id) FROM change}),
		"$all|$all|$all", $what);
}
