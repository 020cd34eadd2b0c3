# Partitions that are dropped and the end of the server: killed in each phase of
# a detach, the engine goes on by itself and leaves a clean catalog. TAP, because
# a server dies.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = start_server("max_prepared_transactions = 2\ntimezone = 'UTC'\n");

# Each table has a partition of today and one that is too old.
sub make_table
{
	my ($name) = @_;

	$node->safe_psql('postgres', qq{
		BEGIN;	-- all of it is of one day
		CREATE TABLE $name (at timestamptz, v int) PARTITION BY RANGE (at);
		SELECT format('CREATE TABLE ${name}_%s PARTITION OF $name FOR VALUES FROM (%L) TO (%L)', n, d, d + interval '1 day')
		  FROM (VALUES ('old', date_trunc('day', now(), 'UTC') - interval '30 days'), ('new', date_trunc('day', now(), 'UTC'))) v (n, d) \\gexec
		INSERT INTO $name SELECT now() - i * interval '30 days', i FROM generate_series(0, 1) i;
		COMMIT});
}

sub look_after
{
	my ($name) = @_;

	ask(qq{SELECT dbops.set_partitioning('$name', '1 day', '3 days', keep => '10 days', time_zone => 'UTC', schedule => '\@every 1 second')});
}

# Kill the process that works on the job, which takes the server down with it.
sub kill_runner
{
	my ($holder) = @_;
	my $runner = q{FROM dbops.job WHERE kind = 'partitioning' AND state = 'running'};

	wait_for("SELECT count(runner_pid) = 1 $runner", 'a runner is at work');
	crash_server($node, ask("SELECT runner_pid $runner"));
	eval { $holder->quit };
}

sub wait_for
{
	my ($sql, $what) = @_;

	for (1 .. 1200)
	{
		return pass($what) if ask($sql) eq 't';
		usleep(100_000);
	}
	fail($what);
	diag(ask('SELECT state, attempts, message FROM dbops.job ORDER BY id DESC LIMIT 3'));
}

sub is_clean
{
	my ($name, $when) = @_;

	wait_for(qq{SELECT to_regclass('${name}_old') IS NULL AND NOT EXISTS (SELECT FROM dbops.partition_drop)}, "$when: the partition is gone");
	is(ask(qq{SELECT count(*) FILTER (WHERE inhdetachpending), count(*) >= 4 FROM pg_inherits WHERE inhparent = '$name'::regclass}),
		'0|t', "$when: nothing is half detached, and new ones are there");
	is(ask("SELECT count(*) FROM $name"), '1', "$when: the other rows are there");
	ask("SELECT dbops.remove_partitioning('$name')");
}

# it is noted what is to go, and nothing is detached
make_table('noted');
my $holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; LOCK TABLE noted_old IN SHARE UPDATE EXCLUSIVE MODE');
look_after('noted');
wait_for(q{SELECT EXISTS (SELECT FROM dbops.partition_drop)}, 'it is noted');
is(ask(q{SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = 'noted_old'::regclass}), 'f', 'and still attached');
kill_runner($holder);
is_clean('noted', 'killed before the detach');

# the detach is pending: somebody may still see the partition
make_table('pending');
$holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; SELECT count(*) FROM pending');
look_after('pending');
wait_for(q{SELECT coalesce(bool_or(inhdetachpending), false) FROM pg_inherits}, 'the detach is pending');
is(ask('SELECT count(*) FROM pending'), '1', 'nobody who comes sees the partition any more');
is($holder->query_safe('SELECT count(*) FROM pending'), '1', 'nor does a new statement of who was there, and it is not kept waiting');
kill_runner($holder);
is_clean('pending', 'killed while it is pending');

# it is detached, and not dropped yet
make_table('detached');
ask(q{SELECT dbops.set_partitioning('detached', '1 day', keep => '10 days', time_zone => 'UTC', schedule => '@every 3650 days');
	BEGIN;
	INSERT INTO dbops.partition_drop (partition, parent, name, policy, kind, upper_end, begun, row_count, bytes, began_at)
	  SELECT 'detached_old'::regclass, 'detached'::regclass, 'public.detached_old', max(id), 'partitioning', 0, true, 1, 0, now() FROM dbops.policy;
	ALTER TABLE detached DETACH PARTITION detached_old;
	COMMIT});
$holder = $node->background_psql('postgres', on_error_stop => 0);
$holder->query_safe('BEGIN; SELECT count(*) FROM detached_old');
look_after('detached');
wait_for(q{SELECT EXISTS (SELECT FROM dbops.job WHERE kind = 'partitioning' AND state = 'running' AND name = 'public.detached')
	FROM (SELECT pg_sleep(0.3)) s}, 'the drop is tried');
kill_runner($holder);
is_clean('detached', 'killed before the drop');

$node->stop;
done_testing();
