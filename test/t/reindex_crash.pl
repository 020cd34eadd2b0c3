# A rebuild that is cut off in any of its phases is ended by another process, and
# nothing is left: the process is killed where a transaction holds it up. What a
# job leaves that does not go on is removed too. TAP, because servers crash.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use InTheWay;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server(<<~'CONF');
    max_prepared_transactions = 4
    deadlock_timeout = 10ms
    CONF
stand_in_the_way_of($node);

sub indexes
{
	return ask(q{SELECT string_agg(relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY relname)
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid = 't'::regclass});
}

sub start_job
{
	return ask(q{SELECT dbops.start_reindex('t_v')});
}

hold_up_expressions();
ask(q{
	CREATE TABLE t (v int);
	INSERT INTO t VALUES (1);
	CREATE INDEX t_v ON t (held_up(v))});

# Where it is killed; how it is brought there, which returns job and process;
# what is there then, and whether it is written down.
my @cases = (
	['before it begins', 't_v', 0, sub {
		hold_up('LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
		my $job = start_job();
		await('it waits for the table',
			"SELECT waiting LIKE 'to rebuild an index: another session has locked its table%' FROM dbops.jobs() WHERE id = $job");
		return ($job, at_work($job, 'at the gate', 'true'));
	}],
	['when it is written down', 't_v', 0, sub {
		hold_up('LOCK TABLE dbops.reindex_begun IN SHARE MODE');
		my $job = start_job();
		return ($job, at_work($job, 'writing', "a.wait_event_type = 'Lock'"));
	}],
	['when it is written down, and not begun', 't_v', 1, sub {
		my $holder = hold_up('LOCK TABLE dbops.reindex_begun IN SHARE MODE');
		my $job = start_job();
		at_work($job, 'writing', "a.wait_event_type = 'Lock'");
		# Who waits has the table the moment that this is written.
		queue_up('LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
		let_go($holder);
		await('it waits for the table', "SELECT waiting LIKE '%has locked its table%' FROM dbops.jobs() WHERE id = $job");
		return ($job, at_work($job, 'at the gate', 'true'));
	}],
	['waiting for writers before build', 't_v, t_v_ccnew invalid', 1, sub {
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		my $job = start_job();
		return ($job, in_phase($job, 'waiting for writers before build'));
	}],
	['building index', 't_v, t_v_ccnew invalid', 1, sub {
		keep_row(1);
		my $job = start_job();
		return ($job, in_phase($job, 'building index: scanning table'));
	}],
	['waiting for writers before validation', 't_v, t_v_ccnew invalid', 1, sub {
		my $keeper = keep_row(1);
		my $job = start_job();
		in_phase($job, 'building index: scanning table');
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		let_go($keeper);
		return ($job, in_phase($job, 'waiting for writers before validation'));
	}],
	['validating', 't_v, t_v_ccnew invalid', 1, sub {
		# A row that came during the build is not in the index, and is added.
		my $keeper = keep_row(1);
		my $job = start_job();
		in_phase($job, 'building index: scanning table');
		ask('INSERT INTO t VALUES (2)');
		keep_row(2);
		let_go($keeper);
		return ($job, in_phase($job, 'index validation: scanning table'));
	}],
	['waiting for old snapshots', 't_v, t_v_ccnew invalid', 1, sub {
		# A snapshot alone is not waited for before the build, but before it is used.
		hold_up('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1');
		my $job = start_job();
		return ($job, in_phase($job, 'waiting for old snapshots'));
	}],
	['waiting for readers before marking dead', 't_v, t_v_ccold invalid', 1, sub {
		hold_up('LOCK TABLE t IN ACCESS SHARE MODE');
		my $job = start_job();
		return ($job, in_phase($job, 'waiting for readers before marking dead'));
	}],
	['waiting for readers before dropping', 't_v, t_v_ccold invalid', 1, sub {
		my $reader = hold_up('LOCK TABLE t IN ACCESS SHARE MODE');
		my $job = start_job();
		in_phase($job, 'waiting for readers before marking dead');
		hold_up('LOCK TABLE t IN ACCESS SHARE MODE');
		let_go($reader);
		return ($job, in_phase($job, 'waiting for readers before dropping'));
	}],
	['when it removes what it has left', 't_v, t_v_ccnew invalid', 1, sub {
		return clean_up();
	}],
	['when it drops what it has left', 't_v, t_v_ccnew invalid', 1, sub {
		my ($job, $pid, $holder) = clean_up();
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		let_go($holder);
		await('it is dead', q{SELECT NOT bool_and(indislive) FROM pg_index WHERE indrelid = 't'::regclass});
		return ($job, $pid);
	}],
	['when it notes what came of it', 't_v', 1, sub {
		hold_up('LOCK TABLE dbops.reindex_history IN SHARE MODE');
		my $job = start_job();
		return ($job, at_work($job, 'noting', "a.wait_event = 'relation' AND p.pid IS NULL"));
	}],
);

# A rebuild that fails; what it has left is removed, which waits.
sub clean_up
{
	my $keeper = keep_row(1);
	my $job = start_job();

	in_phase($job, 'building index: scanning table');
	my $holder = hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
	keep_row(-1);
	let_go($keeper);
	return ($job, at_work($job, 'cleaning', "a.wait_event = 'virtualxid' AND p.pid IS NULL"), $holder);
}

for my $case (@cases)
{
	my ($where, $during, $written, $reach) = @$case;
	my $old = ask(q{SELECT 't_v'::regclass::oid});
	my ($job, $pid) = $reach->();

	is(indexes(), $during, "$where: it is in the middle");
	is(ask('SELECT count(*) FROM dbops.reindex_begun WHERE NOT ended'), $written, 'written down: ' . ($written ? 'yes' : 'no'));
	if ($where =~ /^waiting/)
	{
		like(ask("SELECT waiting FROM dbops.jobs() WHERE id = $job"),
			qr/^REINDEX INDEX CONCURRENTLY public.t_v, $where: for process \d+ \(in the way\)$/, 'for whom it waits is told');
		is(ask('SELECT at_work FROM dbops.leftover_indexes()'), 't', 'what is at work is no leftover yet');
	}
	kill 'KILL', $pid;
	is(ended($job), 'succeeded', 'a process takes over and ends it');
	let_go();
	is(indexes(), 't_v', 'and nothing is left');
	isnt(ask(q{SELECT 't_v'::regclass::oid}), $old, 'the index is another one');
	is(ask('SELECT count(*) FROM dbops.reindex_begun'), '0', 'nothing is to be remembered');
	is(ask("SELECT string_agg(action || ' ' || object || ' ' || outcome, ', ') FROM dbops.maintenance_log WHERE job_id = $job"),
		'reindex public.t_v done', 'it is told once');
	is(ask("SELECT count(*) FROM dbops.reindex_history() WHERE job_id = $job"), '1', 'it is in the history once');
}

# One that is cancelled leaves what another job removes, which waits for the same.
hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
my $job = ask(q{SELECT dbops.start_reindex('t_v')});
in_phase($job, 'waiting for writers before build');
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
