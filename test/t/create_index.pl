# A build or a drop of an index that is cut off in any of its phases is ended by
# another process, or by the same call again, and nothing is left: the process is
# killed where a transaction holds it up. Whom it waits for is told. TAP, because
# servers crash.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use InTheWay;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_server("deadlock_timeout = 10ms\n");
stand_in_the_way_of($node);

my $definition = q{'CREATE INDEX i ON public.t (public.held_up(v))'};
my $partitioned = q{'CREATE INDEX pi ON public.p (v)'};

hold_up_expressions();
ask(q{
	CREATE TABLE t (v int);
	INSERT INTO t VALUES (1);
	CREATE TABLE p (v int) PARTITION BY LIST (v);
	CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
	CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2)});

sub indexes
{
	my ($tables) = @_;

	return ask(qq{SELECT coalesce(string_agg(relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ', ' ORDER BY relname), '')
		FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid IN ($tables)});
}

sub start_build
{
	return ask("SELECT dbops.start_create_index($definition)");
}

sub start_tree
{
	return ask("SELECT dbops.start_create_index($partitioned)");
}

# The job waits, by short tries, for a lock of another session.
sub trying
{
	my ($job) = @_;

	await('it tries', "SELECT waiting LIKE '%for a lock of another session%' FROM dbops.jobs() WHERE id = $job");
	return at_work($job, 'trying', 'true');
}

# Where it is killed; how it is brought there, which returns job and process; what
# is there then, and at the end.
my @cases = (
	['before it begins', '', 'i', sub {
		hold_up('LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
		my $job = start_build();
		return ($job, trying($job));
	}],
	['waiting for writers before build', 'i invalid', 'i', sub {
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		my $job = start_build();
		return ($job, in_phase($job, 'waiting for writers before build'));
	}],
	['building index', 'i invalid', 'i', sub {
		keep_row(1);
		my $job = start_build();
		return ($job, in_phase($job, 'building index: scanning table'));
	}],
	['waiting for writers before validation', 'i invalid', 'i', sub {
		my $keeper = keep_row(1);
		my $job = start_build();
		in_phase($job, 'building index: scanning table');
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		let_go($keeper);
		return ($job, in_phase($job, 'waiting for writers before validation'));
	}],
	['waiting for old snapshots', 'i invalid', 'i', sub {
		hold_up('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1');
		my $job = start_build();
		return ($job, in_phase($job, 'waiting for old snapshots'));
	}],
	['when it removes what it has left', 'i invalid', 'i', sub {
		my $keeper = keep_row(1);
		my $job = start_build();
		in_phase($job, 'building index: scanning table');
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		keep_row(-1);
		let_go($keeper);
		return ($job, at_work($job, 'cleaning', "a.wait_event = 'virtualxid' AND p.pid IS NULL"));
	}],
	['before it is dropped', 'i', '', sub {
		ask("CALL dbops.create_index($definition)");
		hold_up('LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
		my $job = ask(q{SELECT dbops.start_drop_index('i')});
		return ($job, trying($job));
	}],
	['while it is dropped', 'i invalid', '', sub {
		ask("CALL dbops.create_index($definition)");
		hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
		my $job = ask(q{SELECT dbops.start_drop_index('i')});
		my $pid = at_work($job, 'dropping', "a.wait_event = 'virtualxid'");
		like(ask("SELECT waiting FROM dbops.jobs() WHERE id = $job"),
			qr/^DROP INDEX CONCURRENTLY public.i, waiting: for process \d+ \(in the way\)$/, 'for whom a drop waits is told');
		return ($job, $pid);
	}],
	['before the whole', '', 'p1_v_idx, p2_v_idx, pi', sub {
		hold_up('LOCK TABLE p IN ROW EXCLUSIVE MODE');
		my $job = start_tree();
		return ($job, trying($job));
	}],
	['between partitions', 'p1_v_idx, p2_v_idx invalid, pi invalid', 'p1_v_idx, p2_v_idx, pi', sub {
		hold_up('LOCK TABLE p2 IN ROW EXCLUSIVE MODE');
		my $job = start_tree();
		return ($job, in_phase($job, 'waiting for writers before build'));
	}],
	['before one is attached', 'p1_v_idx, p2_v_idx, pi invalid', 'p1_v_idx, p2_v_idx, pi', sub {
		my $holder = hold_up('LOCK TABLE p2 IN ROW EXCLUSIVE MODE');
		my $job = start_tree();
		in_phase($job, 'waiting for writers before build');
		# Who reads the partition now keeps its index.
		hold_up('SELECT count(*) FROM p2');
		let_go($holder);
		return ($job, trying($job));
	}],
);

for my $case (@cases)
{
	my ($where, $during, $end, $reach) = @$case;
	my $tables = ($during . $end) =~ /v_idx/ ? "'p'::regclass, 'p1'::regclass, 'p2'::regclass" : "'t'::regclass";
	my ($job, $pid) = $reach->();

	is(indexes($tables), $during, "$where: it is in the middle");
	like(ask("SELECT waiting FROM dbops.jobs() WHERE id = $job"),
		qr/^CREATE INDEX CONCURRENTLY IF NOT EXISTS \w+ ON public.*, $where: for process \d+ \(in the way\)$/, 'for whom it waits is told')
		if $where =~ /^waiting/;
	kill 'KILL', $pid;
	is(ended($job), 'succeeded', 'a process takes over and ends it');
	let_go();
	is(indexes($tables), $end, 'and nothing else is left');
	ask("DROP INDEX IF EXISTS i, pi");
}

# The session of a CALL is killed, or its statement cancelled: the same call again.
for my $signal ('pg_terminate_backend', 'pg_cancel_backend')
{
	hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
	my $caller = $node->background_psql('postgres', on_error_stop => 0);
	$caller->query_until(qr/called/, "\\echo called\nCALL dbops.create_index($definition);\n");
	await('it is built', q{SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for writers before build'});
	ask("SELECT $signal(pid) FROM pg_stat_progress_create_index");
	await('it is over', 'SELECT count(*) = 0 FROM pg_stat_progress_create_index') if $signal eq 'pg_cancel_backend';
	let_go();
	eval { $caller->quit };
	ask("CALL dbops.create_index($definition)");
	is(indexes("'t'::regclass"), 'i', "after $signal the same call completes it");
	ask('DROP INDEX i');
}

# The same build is asked for twice, and another one is in the way.
hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
my $job = start_build();
in_phase($job, 'waiting for writers before build');
is(start_build(), $job, 'who asks for the same gets the same job');
ask("SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled', 'it is cancelled');
is(indexes("'t'::regclass"), 'i invalid', 'it leaves an index');
let_go();
is(ended(start_build()), 'succeeded', 'the same call again');
is(indexes("'t'::regclass"), 'i', 'and nothing is left');
ask('DROP INDEX i');

hold_up('LOCK TABLE t IN ROW EXCLUSIVE MODE');
my $other = session();
$other->query_until(qr/called/, "\\echo called\nCREATE INDEX CONCURRENTLY i ON t (held_up(v));\n");
await('it is being built', q{SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for writers before build'});
for my $call ("CALL dbops.create_index($definition)", q{CALL dbops.drop_index('i')})
{
	my ($code, $out, $err) = $node->psql('postgres', "\\set VERBOSITY verbose\n$call");
	like($err, qr/55006: index public.i is being built by process \d+ \(in the way\)/, "$call is refused while another session builds it");
}
let_go();

# Whom a call will wait for is said before it does.
my $old = hold_up('SET TRANSACTION ISOLATION LEVEL REPEATABLE READ; SELECT 1');
usleep(5_500_000);
my $caller = $node->background_psql('postgres', on_error_stop => 0);
$caller->query_until(qr/called/, "\\echo called\nCALL dbops.create_index('CREATE INDEX j ON public.t (v)');\n");
await('it waits', q{SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for old snapshots'});
let_go($old);
$caller->query('SELECT 1');
like($caller->{stderr}, qr/create_index of public.j waits for transactions that began before it, such as one of \d+ s.*in the way/s, 'whom a call waits for is said');
$caller->quit;
done_testing();
