# Signals, switches and ends of servers while jobs run: whatever ends, jobs that
# were undone with it run again, jobs of which nobody knows are left to a human,
# and no process stays behind. TAP, because processes and servers die.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    CONF
$node->start;

$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE mark (what text);
	CREATE PROCEDURE in_two() LANGUAGE plpgsql AS $$
	BEGIN
		INSERT INTO mark VALUES ('half'); COMMIT;
		PERFORM pg_sleep(600);
	END $$});

sub sql
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

sub enqueue
{
	my ($command, $more) = @_;

	return sql("SELECT dbops.enqueue(\$\$$command\$\$" . ($more ? ", $more" : '') . ')');
}

sub wait_for
{
	my ($id, $condition, $what) = @_;

	ok($node->poll_query_until('postgres', "SELECT $condition FROM dbops.jobs() WHERE id = $id"), $what)
	  or diag(sql("SELECT dbops.job_status($id)"));
	return;
}

sub look
{
	my ($id, $column) = @_;

	return sql("SELECT $column FROM dbops.jobs() WHERE id = $id");
}

sub set
{
	my ($setting, $value) = @_;

	sql("ALTER SYSTEM SET $setting = $value");
	$node->reload;
	return;
}

# The process of a running job, once it has got to its work.
sub runner_of
{
	my ($id) = @_;

	$node->poll_query_until('postgres',
		"SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'dbops job $id' AND wait_event = 'PgSleep'")
	  or die "job $id does not get to its work";
	return sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'dbops job $id'");
}

sub launcher
{
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'dbops launcher'})
	  or die 'there is no launcher';
	return sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'dbops launcher'});
}

sub wait_until_gone
{
	my (@pids) = @_;

	for my $try (1 .. 1800)
	{
		return 1 unless grep { kill 0, $_ } @pids;
		usleep(100_000);
	}
	return 0;
}

# A job that sleeps until it is told to go on: what it does is undone with it.
my $sleeper = q{INSERT INTO mark VALUES ('%s'); SELECT pg_sleep(CASE WHEN EXISTS (SELECT FROM mark WHERE what = 'go') THEN 0 ELSE 600 END)};
my $once = sub { return sprintf $sleeper, shift };

# ---- dbops.enabled

my $job = enqueue($once->('switched'), q{backoff => '100 ms'});
my $two = enqueue('CALL in_two()');
my $pid = runner_of($job);
my $pid_two = runner_of($two);
set('dbops.enabled', 'off');
ok(wait_until_gone($pid, $pid_two), 'switching dbops off ends what runs');
is(look($job, 'waiting'), 'dbops.enabled is off', 'and the job says so');
my $submitted = enqueue('SELECT 1');
is(look($submitted, 'waiting'), 'dbops.enabled is off', 'one submitted meanwhile, too');
ok( $node->poll_query_until('postgres', q{SELECT string_agg(backend_type, ' ') FROM pg_stat_activity WHERE backend_type LIKE 'dbops%'}, 'dbops launcher'),
	'nothing of dbops works');
sql(q{INSERT INTO mark VALUES ('go')});
set('dbops.enabled', 'on');
wait_for($_, q{state = 'succeeded'}, 'what was undone runs again when dbops is switched on') for $job, $submitted;
is(look($job, 'attempts'), 1, 'which counts as no attempt');
is(sql(q{SELECT count(*) FROM mark WHERE what = 'switched'}), 1, 'and its work is there once');
wait_for($two, q{state = 'blocked' AND message LIKE 'outcome unknown%'}, 'what had committed something is left to a human');
sql("TRUNCATE mark; SELECT dbops.cancel_job($two)");

# for one database
$job = enqueue($once->('here'), q{backoff => '100 ms'});
$pid = runner_of($job);
sql('ALTER DATABASE postgres SET dbops.enabled = off');
ok(wait_until_gone($pid), 'switching off one database ends what runs there');
wait_for($job, q{state = 'queued' AND waiting = 'dbops.enabled is off'}, 'and the job says so');
sql('CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION dbops');
set('dbops.max_workers', 1);
$node->safe_psql('other', q{SELECT dbops.enqueue('SELECT 1'); CALL dbops.wait_job(1)});
is($node->safe_psql('other', 'SELECT state FROM dbops.jobs()'), 'succeeded', 'others get the workers that it had');
sql(q{SET dbops.enabled = on; INSERT INTO mark VALUES ('go'); ALTER DATABASE postgres RESET dbops.enabled});
wait_for($job, q{state = 'succeeded'}, 'it goes on when its database is switched on');
sql('TRUNCATE mark');

# ---- dbops.max_workers

$job = enqueue('SELECT pg_sleep(600)');
runner_of($job);
my $waits = enqueue('SELECT 1');
wait_for($waits, q{waiting LIKE 'for one of 1 workers%'}, 'a job waits for a worker');
set('dbops.max_workers', 3);
wait_for($waits, q{state = 'succeeded'}, 'and starts when there may be more');
sql("SELECT dbops.cancel_job($job)");
wait_for($job, q{state = 'cancelled'}, 'a job is cancelled');

# ---- signals

$job = enqueue($once->('cancelled'), q{backoff => '100 ms', max_attempts => 2});
sql('SELECT pg_cancel_backend(' . runner_of($job) . ')');
wait_for($job, q{state = 'failed' AND attempts = 1 AND message = 'canceling statement due to user request'},
	'pg_cancel_backend ends a command for good');

$job = enqueue($once->('terminated'), q{backoff => '100 ms'});
$two = enqueue('CALL in_two()');
my $three = enqueue('CALL in_two()', q{idempotent => true, backoff => '100 ms'});
my $four = enqueue($once->('cancelled'));
sql("SELECT pg_terminate_backend($_)") for runner_of($job), runner_of($two), runner_of($three);
wait_for($job, q{state = 'running' AND attempts = 2}, 'what is undone when its process is terminated is tried again');
wait_for($two, q{state = 'blocked' AND message LIKE 'outcome unknown%'}, 'what has committed something is left to a human');
wait_for($three, q{state = 'running' AND attempts = 2}, 'unless that does no harm');
sql("SELECT dbops.resume_job($two)");
sql("SELECT dbops.cancel_job($_)") for $job, $two, $three, $four;
wait_for($_, q{state = 'cancelled'}, 'it can be cancelled') for $job, $two, $three, $four;

$job = enqueue($once->('launcher'));
$pid = runner_of($job);
my $launcher = launcher();
sql("SELECT pg_terminate_backend($launcher)");
ok(wait_until_gone($launcher), 'the launcher ends when it is told to');
isnt(launcher(), $launcher, 'and comes back');
is(runner_of($job), $pid, 'what runs notices nothing');
$waits = enqueue('SELECT 1');
wait_for($waits, q{state = 'succeeded'}, 'what is submitted runs');
sql("SELECT dbops.cancel_job($job)");

# a session that ends in the middle of a job in the foreground
sql('ALTER SYSTEM SET dbops.max_workers = 0');
$node->reload;
$job = enqueue($once->('foreground'), q{run_after => 'infinity', backoff => '100 ms'});
my $session = $node->background_psql('postgres', on_error_stop => 0);
$pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/go/, "\\echo go\nCALL dbops.run_job($job);\n");
$node->poll_query_until('postgres', "SELECT wait_event = 'PgSleep' FROM pg_stat_activity WHERE pid = $pid") or die 'it does not run';
sql("SELECT pg_terminate_backend($pid)");
wait_for($job, q{state = 'queued'}, 'a job whose session ends is queued again');
eval { $session->quit };
set('dbops.max_workers', 3);
runner_of($job);
sql("SELECT dbops.cancel_job($job)");
wait_for($job, q{state = 'cancelled'}, 'and is cancelled while it runs');
sql('TRUNCATE mark');

# ---- ends of the server

for my $how ('fast shutdown', 'immediate shutdown', 'kill -9 of a session', 'kill -9 of a runner', 'kill -9 of the launcher', 'kill -9 of the postmaster')
{
	my $atomic = enqueue($once->($how), q{backoff => '100 ms'});
	my $twice = enqueue('CALL in_two()', q{idempotent => true});
	my $unknown = enqueue('CALL in_two()');
	my $victim = runner_of($atomic);

	runner_of($_) for $twice, $unknown;
	my @all = split /\n/, sql(q{SELECT pid FROM pg_stat_activity WHERE backend_type LIKE 'dbops%'});
	my $crash = 0;
	if ($how =~ /^(\w+) shutdown/)
	{
		$node->stop($1);
	}
	elsif ($how =~ /postmaster/)
	{
		$node->kill9;
	}
	else
	{
		$crash = 1;
		my $session = $node->background_psql('postgres', on_error_stop => 0);
		$victim = $session->query_safe('SELECT pg_backend_pid()') if $how =~ /session/;
		$victim = launcher() if $how =~ /launcher/;
		crash_server($node, $victim);
		eval { $session->quit };
	}
	ok(wait_until_gone(@all), "$how: every process of dbops ends");
	$node->start unless $crash;
	runner_of($atomic);

	# a scheduler that is not told yet to end may have seen a process that was: that is an attempt
	like(look($atomic, q{state || ' ' || attempts}), $how eq 'fast shutdown' ? qr/^running [12]$/ : qr/^running 1$/, "$how: what was undone runs again");
	runner_of($twice);
	pass("$how: what may be run twice does, too");
	wait_for($unknown, q{state = 'blocked' AND message LIKE 'outcome unknown%'}, "$how: of which nobody knows is left to a human");
	is(sql(qq{SELECT count(*) FROM mark WHERE what = '$how'}), 0, "$how: nothing of the first attempt is there");
	sql("SELECT dbops.cancel_job($_)") for $atomic, $twice, $unknown;
	wait_for($_, q{state = 'cancelled'}, "$how: it can be cancelled") for $atomic, $twice;
}

# ---- smart shutdown

$job = enqueue('SELECT pg_sleep(600)');
$pid = runner_of($job);
$node->stop('smart');
ok(wait_until_gone($pid), 'a smart shutdown does not wait for jobs');
$node->start;
runner_of($job);
sql("SELECT dbops.cancel_job($job)");
wait_for($job, q{state = 'cancelled'}, 'which go on afterwards');
ok( $node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type LIKE 'dbops%'}),
	'nothing but the launcher is left');
is(sql(q{SELECT count(*) FROM dbops.job WHERE finished_at IS NULL}), 0, 'no job is left behind');
$node->stop;
unlike(slurp_file($node->logfile), qr/PANIC|TRAP|segfault|signal 11/, 'nothing has crashed by itself');
done_testing();
