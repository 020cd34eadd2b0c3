# Statements of a migration that commit on their way are cut off in the middle, and
# the migration goes on from what they have left. Each is held up by a prepared
# transaction, which outlives the crash. TAP, because servers crash.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_server(<<~'CONF');
    max_prepared_transactions = 4
    deadlock_timeout = 10ms
    CONF

sub await
{
	my ($what, $condition) = @_;

	for (1 .. 1200)
	{
		return 1 if ask("SELECT coalesce(($condition), false)") eq 't';
		usleep(50_000);
	}
	die "did not come: $what";
}

# The process of the job, when it waits for the transaction that holds it up.
sub held_up
{
	my ($job, $not) = @_;
	my $runner = "FROM pg_stat_activity a JOIN dbops.job j ON j.runner_pid = a.pid AND j.id = $job AND a.pid <> $not";

	await("job $job is held up", "SELECT wait_event_type = 'Lock' $runner");
	return ask("SELECT pid $runner");
}

sub ended
{
	my ($job) = @_;

	await("job $job has ended", "SELECT finished_at IS NOT NULL FROM dbops.job WHERE id = $job");
	return ask("SELECT j.state || ' ' || m.state FROM dbops.job j JOIN dbops.migration m ON m.job_id = j.id WHERE j.id = $job");
}

sub apply
{
	my ($version, $sql) = @_;

	return ask("SELECT job_id FROM dbops.apply_migration('$version', '$sql')");
}

sub indexes
{
	return ask(q{SELECT string_agg(relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY relname)
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid IN ('t'::regclass, to_regclass('p1'))});
}

sub hold_up
{
	my ($table) = @_;

	ask("BEGIN; LOCK TABLE $table IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'in the way'");
}

ask('CREATE TABLE t (id int, v int); INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
	 CREATE TABLE p (id int) PARTITION BY LIST (id); CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1)');

# What it does, the table, what is there when it is cut off, and when it is done.
my @statements = (
	['CREATE INDEX CONCURRENTLY t_v ON t (v)', 't', 't_v invalid', 't_v'],
	['CREATE INDEX CONCURRENTLY IF NOT EXISTS t_id ON t (id)', 't', 't_id invalid, t_v', 't_id, t_v'],
	['REINDEX INDEX CONCURRENTLY t_v', 't', 't_id, t_v, t_v_ccnew invalid', 't_id, t_v'],
	['REINDEX TABLE CONCURRENTLY t', 't', 't_id, t_id_ccnew invalid, t_v, t_v_ccnew invalid', 't_id, t_v'],
	['DROP INDEX CONCURRENTLY t_id', 't', 't_id invalid, t_v', 't_v']);

my $version = 0;
for my $statement (@statements)
{
	my ($sql, $table, $during, $after) = @$statement;

	$version++;
	hold_up($table);
	my $job = apply($version, $sql);
	my $pid = held_up($job, 0);
	is(indexes(), $during, "$sql is in the middle");
	kill 'KILL', $pid;
	held_up($job, $pid);
	ask(q{COMMIT PREPARED 'in the way'});
	is(ended($job), 'succeeded applied', 'a process takes over and ends it');
	is(indexes(), $after, 'and nothing is left');
}

# A partition that is half detached is detached.
hold_up('p');
my $job = apply('detach', 'ALTER TABLE p DETACH PARTITION p1 CONCURRENTLY');
my $pid = held_up($job, 0);
is(ask(q{SELECT inhdetachpending FROM pg_inherits WHERE inhparent = 'p'::regclass}), 't', 'a partition is half detached');
kill 'KILL', $pid;
await('another process', "SELECT runner_pid <> $pid FROM dbops.job WHERE id = $job");
ask(q{COMMIT PREPARED 'in the way'});
is(ended($job), 'succeeded applied', 'a process takes over and ends it');
is(ask(q{SELECT count(*) FROM pg_inherits WHERE inhparent = 'p'::regclass}), '0', 'the partition is detached');

# A build that is cancelled leaves the migration failed, and says what stays.
hold_up('t');
$job = apply('cancelled', 'CREATE INDEX CONCURRENTLY t_id ON t (id); INSERT INTO t VALUES (101, 101)');
held_up($job, 0);
ask("SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled failed', 'a build is cancelled');
is(ask(q{SELECT details ->> 'leftover' FROM dbops.migration_event WHERE event = 'fail' ORDER BY id DESC LIMIT 1}),
	'DROP INDEX CONCURRENTLY IF EXISTS public.t_id', 'the log says what is left');
is(indexes(), 't_id invalid, t_v', 'that is left');
ask(q{COMMIT PREPARED 'in the way'});
is(ended(apply('cancelled', 'CREATE INDEX CONCURRENTLY t_id ON t (id); INSERT INTO t VALUES (101, 101)')),
	'succeeded applied', 'applied again, it goes on');
is(indexes(), 't_id, t_v', 'the index is built anew');

# One whose text is mended meanwhile does not leave what the old text had begun.
hold_up('t');
$job = apply('mended', 'CREATE INDEX CONCURRENTLY t_wrong ON t (v, id)');
held_up($job, 0);
ask("SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled failed', 'a build of the wrong index is cancelled');
ask(q{COMMIT PREPARED 'in the way'});
is(ended(apply('mended', 'CREATE INDEX t_right ON t (id, v)')), 'succeeded applied', 'the mended text is applied');
is(indexes(), 't_id, t_right, t_v', 'the wrong index is gone');

# A deployer who has a table locked and a build of that table: neither dies of a deadlock.
ask(q{BEGIN; SELECT dbops.apply_migration('1', 'ALTER TABLE t ADD a int', project => 'other'); PREPARE TRANSACTION 'deployer'});
$job = apply('waits', 'CREATE INDEX CONCURRENTLY t_a ON t (v)');
await('the job says what it waits for', "SELECT waiting LIKE 'for a lock of another session: %' FROM dbops.jobs() WHERE id = $job");
my ($code, $out, $err) = $node->psql('postgres', q{SELECT dbops.apply_migration('later', 'SELECT 1')}, on_error_stop => 1);
like($err, qr/job $job works on migration "waits".*CALL dbops.wait_job\($job\)/s, 'a later version is told to wait');
($code, $out, $err) = $node->psql('postgres', q{SELECT dbops.apply_migration('2', 'SELECT 1', project => 'other', max_wait => '10 ms')});
like($err, qr/another session works on project "other"/, 'so is a second deployer');
ask(q{COMMIT PREPARED 'deployer'});
is(ended($job), 'succeeded applied', 'the build begins when the table is free');

# It does not wait for ever.
ask(q{BEGIN; LOCK TABLE t; PREPARE TRANSACTION 'in the way'});
$job = ask(q{SELECT job_id FROM dbops.apply_migration('given_up', 'CREATE INDEX CONCURRENTLY t_b ON t (v)', max_wait => '100 ms')});
is(ended($job), 'failed failed', 'a job gives up when max_wait is over');
is(ask("SELECT sqlstate || ' ' || message FROM dbops.job WHERE id = $job"),
	'55P03 statement 1, CREATE INDEX, of migration "given_up" has met a lock of another session, again and again: canceling statement due to lock timeout',
	'and says why');
ask(q{ROLLBACK PREPARED 'in the way'});
is(ended(apply('given_up', 'CREATE INDEX CONCURRENTLY t_b ON t (v)')), 'succeeded applied', 'applied again, it is done');
done_testing();
