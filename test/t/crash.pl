# Whose process took the server down: the job of a runner that died by itself is
# charged with the crash, and no other, and none when another process died first.
# TAP, because servers crash.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    restart_after_crash = on
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

sub pid_of
{
	my ($condition) = @_;

	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE $condition") or die "nobody is $condition";
	return $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE $condition");
}

sub runner_of
{
	my ($seconds) = @_;

	return pid_of("query = 'SELECT pg_sleep($seconds)' AND backend_type = 'dbops runner'");
}

# Kill a process, wait until both jobs have new ones, and say how often each has crashed.
sub crash
{
	my ($victim) = @_;
	my $old = join ', ', runner_of(600), runner_of(601);

	kill 'KILL', $victim;
	survive(sub {
		$node->poll_query_until('postgres', qq{
			SELECT count(*) = 2 FROM pg_stat_activity
			 WHERE backend_type = 'dbops runner' AND query LIKE 'SELECT pg_sleep%' AND pid NOT IN ($old)})
	}) or die 'the jobs did not come back';
	return crashes();
}

# A psql that finds no server leaves before it has read its query, which the
# test would die of.
sub survive
{
	my ($try) = @_;

	for (1 .. 600)
	{
		my $done = eval { $try->() };
		return $done if defined $done;
		usleep(100_000);
	}
	return;
}

sub crashes
{
	return $node->safe_psql('postgres', q{SELECT string_agg(crashes::text, ' ' ORDER BY id) FROM dbops.job});
}

$node->safe_psql('postgres', q{SELECT dbops.enqueue('SELECT pg_sleep(600)'), dbops.enqueue('SELECT pg_sleep(601)')});
runner_of(601);
is(crash(runner_of(600)), '1 0', 'the job whose process died is charged, the other is not');
is(crash(pid_of(q{backend_type = 'checkpointer'})), '1 0', 'none is when another process died');
is(crash(runner_of(601)), '1 1', 'each is charged with its own');

# An immediate shutdown is nobody's fault.
$node->stop('immediate');
$node->start;
runner_of(600);
is(crashes(), '1 1', 'an immediate shutdown is no crash of theirs');

# The second crash of a job lets it wait.
kill 'KILL', runner_of(600);
survive(sub {
	$node->poll_query_until('postgres', q{SELECT state = 'queued' AND crashes = 2 AND run_after > now() + interval '20 s' FROM dbops.job WHERE id = 1})
}) or die 'the second crash is not noticed';
like($node->safe_psql('postgres', 'SELECT message FROM dbops.jobs() WHERE id = 1'), qr/crashed the server; crash 2 of 3/,
	'the second crash lets the job wait, and it says why');

$node->stop;
done_testing();
