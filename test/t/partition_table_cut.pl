# partition_table that is cancelled, terminated or killed while its constraint is
# on the application's table: the constraint is taken away by whoever is left to
# do that, and rows of every time can be inserted. TAP, because sessions are
# cancelled and a server dies.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = start_server();
my $gate;

# Validation waits at its beginning for as long as the gate is shut.
ask(q{
	CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF EXISTS (SELECT FROM pg_locks WHERE pid = pg_backend_pid() AND mode = 'AccessExclusiveLock'
			AND relation IN (SELECT oid FROM pg_class WHERE relname ~ '^t_')) THEN RETURN; END IF;
		WHILE NOT pg_try_advisory_xact_lock_shared(1) LOOP PERFORM pg_sleep(0.01); END LOOP;
	END $$;
	CREATE EVENT TRIGGER wait ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION wait()});

sub shut
{
	$gate = $node->background_psql('postgres', on_error_stop => 0);
	$gate->query_safe('SELECT pg_advisory_lock(1)');
}

# A CALL that has come to its validation.
sub start_call
{
	my ($table) = @_;
	my %call = (err => '', out => '', table => $table);

	ask("CREATE TABLE $table (at timestamptz NOT NULL); INSERT INTO $table VALUES (now())");
	shut();
	$call{run} = IPC::Run::start(['psql', '-XAtq', '-v', 'VERBOSITY=terse', '-d', $node->connstr('postgres'),
		'-c', "SET application_name = '$table'", '-c', "CALL dbops.partition_table('$table', 'at', '1 day')"],
		'<', \undef, '>', \$call{out}, '2>', \$call{err});
	wait_for("SELECT EXISTS (SELECT FROM pg_constraint WHERE conrelid = '$table'::regclass AND conname = 'dbops_before_next_partition')",
		"$table: the constraint is there");
	return \%call;
}

sub wait_for
{
	my ($sql, $what) = @_;

	for (1 .. 1800)
	{
		return pass($what) if ask($sql) eq 't';
		usleep(20_000);
	}
	fail($what);
}

sub stop
{
	my ($call, $how) = @_;

	ask("SELECT $how(pid) FROM pg_stat_activity WHERE application_name = '$call->{table}'");
}

sub finish
{
	my ($call) = @_;

	eval { $call->{run}->finish };
	eval { $gate->quit };
}

sub proofs
{
	my ($table) = @_;

	return ask("SELECT count(*) FROM pg_constraint WHERE conrelid = '$table'::regclass AND conname = 'dbops_before_next_partition'");
}

sub takes_all_rows
{
	my ($table, $when) = @_;

	is(ask("INSERT INTO $table VALUES ('2100-01-01') RETURNING 'inserted'; DELETE FROM $table WHERE at = '2100-01-01'"),
		'inserted', "$when: the table takes rows of every time");
}

# meanwhile it takes rows of today and tomorrow; then it is cancelled
my $call = start_call('t_cancelled');
is(ask(q{INSERT INTO t_cancelled VALUES (now() + interval '1 day') RETURNING 'inserted'}), 'inserted', 'rows of tomorrow are taken meanwhile');
stop($call, 'pg_cancel_backend');
finish($call);
like($call->{err}, qr/ERROR:  canceling statement due to user request/, 'the call says that it was cancelled');
is(proofs('t_cancelled'), '0', 'cancelled: the constraint is gone');
takes_all_rows('t_cancelled', 'cancelled');

# somebody reads the table: it cannot be taken away at once, and who will not wait is told what to do
$call = start_call('t_read');
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM t_read');
stop($call, 'pg_cancel_backend');
for (1 .. 600)
{
	last unless $call->{run}->pumpable && ask(q{SELECT count(*) FROM pg_stat_activity WHERE application_name = 't_read'});
	usleep(100_000);
	stop($call, 'pg_cancel_backend');
}
finish($call);
like($call->{err}, qr/WARNING:  constraint dbops_before_next_partition is left on table public.t_read and refuses rows from '.*' on/, 'a constraint that is left is named');
is(proofs('t_read'), '1', 'and there');
$reader->query_safe('COMMIT');
$reader->quit;
ask(q{CALL dbops.partition_table('t_read', 'at', '1 day')});
is(proofs('t_read') . proofs('t_read_before'), '00', 'the next call takes it away');

# terminated: nobody is left to take it away but the next call
$call = start_call('t_terminated');
stop($call, 'pg_terminate_backend');
finish($call);
is(proofs('t_terminated'), '1', 'terminated: the constraint is left');
ask(q{CALL dbops.partition_table('t_terminated', 'at', '1 day')});
is(proofs('t_terminated') . proofs('t_terminated_before'), '00', 'terminated: the next call removes it');

# killed, which takes the server down
$call = start_call('t_killed');
my $pid = ask(q{SELECT pid FROM pg_stat_activity WHERE application_name = 't_killed'});
kill 'KILL', $pid;
usleep(300_000);
finish($call);
is(proofs('t_killed'), '1', 'killed: the constraint is left');
ask(q{ALTER TABLE t_killed ALTER at DROP NOT NULL});
is($node->psql('postgres', q{CALL dbops.partition_table('t_killed', 'at', '1 day')}), 3, 'killed: a call that is refused');
is(proofs('t_killed'), '0', 'killed: removes it all the same');
takes_all_rows('t_killed', 'killed');

$node->stop;
done_testing();
