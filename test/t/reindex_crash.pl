# A rebuild that is cut off in any of its phases is ended by another process, and
# nothing is left: the process is killed where a transaction holds it up. What a
# job leaves that does not go on is removed too. TAP, because servers crash.
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

sub indexes
{
	return ask(q{SELECT string_agg(relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY relname)
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 't'::regclass});
}

# A session that keeps a transaction open on the table, until it is told to end.
# It does what is asked for first; then a rebuild waits for it.
my $holder;

sub hold_up
{
	my ($sql) = @_;

	$holder = $node->background_psql('postgres');
	$holder->query_safe("SET application_name = 'in the way'; BEGIN; $sql");
}

sub let_go
{
	eval { $holder->query_safe('COMMIT') };
	eval { $holder->quit };
}

# The process of a job, when it is in a phase of the server's progress.
sub in_phase
{
	my ($job, $phase) = @_;
	my $from = "FROM pg_stat_progress_create_index p JOIN dbops.job j ON j.runner_pid = p.pid AND j.id = $job";

	await("job $job is $phase", "SELECT phase = '$phase' $from");
	return ask("SELECT pid $from");
}

sub ended
{
	my ($job) = @_;

	await("job $job has ended", "SELECT finished_at IS NOT NULL FROM dbops.job WHERE id = $job");
	return ask("SELECT state FROM dbops.job WHERE id = $job");
}

ask('CREATE TABLE t (id int, v int); CREATE INDEX t_v ON t (v); INSERT INTO t SELECT g, g FROM generate_series(1, 1000) g');

# Where it is killed, what holds it up there, and what is there then.
my @phases = (
	['waiting for writers before build', 'LOCK TABLE t IN ROW EXCLUSIVE MODE', 't_v, t_v_ccnew invalid'],
	['waiting for old snapshots', undef, 't_v, t_v_ccnew invalid'],
	['waiting for readers before marking dead', 'LOCK TABLE t IN ACCESS SHARE MODE', 't_v, t_v_ccold invalid'],
);

for my $case (@phases)
{
	my ($phase, $sql, $during) = @$case;

	# A snapshot alone is not waited for before the build, but before it is used.
	hold_up($sql // 'SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1');
	my $old = ask(q{SELECT 't_v'::regclass::oid});
	my $job = ask(q{SELECT dbops.start_reindex('t_v')});
	my $pid = in_phase($job, $phase);
	is(indexes(), $during, "$phase: it is in the middle");
	like(ask("SELECT waiting FROM dbops.jobs() WHERE id = $job"),
		qr/^REINDEX INDEX CONCURRENTLY public.t_v, $phase: for process \d+ \(in the way\)$/, 'for whom it waits is told');
	is(ask('SELECT at_work FROM dbops.leftover_indexes()'), 't', 'what is at work is no leftover yet');
	kill 'KILL', $pid;
	is(ended($job), 'succeeded', 'a process takes over and ends it');
	is(indexes(), 't_v', 'and nothing is left');
	isnt(ask(q{SELECT 't_v'::regclass::oid}), $old, 'the index is another one');
	is(ask('SELECT count(*) FROM dbops.reindex_begun'), '0', 'nothing is to be remembered');
	eval { $holder->quit };
}
is(ask('SELECT count(*) FROM dbops.reindex_history()'), '3', 'each is in the history once');

# One that is cancelled leaves what another job removes, which waits for the same.
hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
my $job = ask(q{SELECT dbops.start_reindex('t_v')});
in_phase($job, 'waiting for writers before build');
is(ask(q{SELECT sqlstate FROM dbops.jobs() j, LATERAL (SELECT NULL AS sqlstate) x WHERE j.id = } . $job), '', 'it runs');
my ($code, $out, $err) = $node->psql('postgres', q{SELECT dbops.drop_leftover_index('t_v_ccnew')}, on_error_stop => 1);
like($err, qr/index "t_v_ccnew" is being built or dropped by another session/, 'what is at work is not dropped');
ask("SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled', 'a rebuild is cancelled');
is(indexes(), 't_v, t_v_ccnew invalid', 'it leaves an index');
is(ask("SELECT job_id FROM dbops.leftover_indexes()"), $job, 'which is known to be its own');
is(ask(q{SELECT count(*) FROM dbops.jobs() WHERE kind = 'drop leftover index' AND finished_at IS NULL}), '1', 'a job is to remove it');
let_go();
await('it is removed', q{SELECT count(*) = 0 FROM pg_index WHERE NOT indisvalid});
is(indexes(), 't_v', 'and nothing is left');

# Leftovers of others are not touched, though they are of the same definition.
hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
($code, $out, $err) = $node->psql('postgres', q{SET lock_timeout = 100; REINDEX INDEX CONCURRENTLY t_v});
let_go();
is(indexes(), 't_v, t_v_ccnew invalid', 'a rebuild of another session has left an index');
is(ended(ask(q{SELECT dbops.start_reindex('t_v')})), 'succeeded', 'ours goes on beside it');
is(indexes(), 't_v, t_v_ccnew invalid', 'it is left alone');
is(ask('SELECT job_id IS NULL AND remedy = \'DROP INDEX CONCURRENTLY public.t_v_ccnew\' FROM dbops.leftover_indexes()'), 't', 'and shown');
is(ended(ask(q{SELECT dbops.drop_leftover_index('t_v_ccnew')})), 'succeeded', 'it is dropped when that is asked for');
is(indexes(), 't_v', 'and nothing is left');
done_testing();
