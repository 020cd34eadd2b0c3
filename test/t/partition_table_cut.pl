# partition_table and drain_default that are cut off at each of their steps, in each
# of the ways in which a session ends: what is left takes rows of every time or is
# told of, no row is lost, and the same call goes on from there. TAP, because
# sessions are cancelled, clients go away and a server dies.
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

my $node = start_server("client_connection_check_interval = '50ms'\n");

# One day for all that is made here: noon of 15 June 2041, a time in which the server's processes do not live.
my $now = 'to_timestamp(2254910400)';
$ENV{PGOPTIONS} = '-c dbops.test_now=2254910400 -c dbops.max_xmin_age=-1';

# The step that a call is to stop at, and for how long: while its row is there. A
# rehearsal is told from what it rehearses by a sequence, which it does not undo.
ask(q{
	CREATE TABLE stop (step text);
	CREATE SEQUENCE proofs;
	CREATE FUNCTION is_at(at_end boolean) RETURNS text LANGUAGE sql AS $$
		SELECT CASE
			WHEN NOT at_end AND tg.is_alter AND NOT EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
				WHERE l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND c.relname ~ '^t_') THEN 'validate'
			WHEN NOT at_end THEN NULL
			WHEN tg.what ~ 'dbops_copy' THEN 'rehearse'
			WHEN EXISTS (SELECT FROM pg_class WHERE relname ~ '^t_.*_before' AND relispartition) THEN
				CASE WHEN tg.what ~ '_p?20' AND NOT tg.is_alter THEN 'ahead' WHEN tg.is_alter THEN 'swap' END
			WHEN EXISTS (SELECT FROM pg_constraint WHERE conname = 'dbops_before_next_partition' AND NOT convalidated) AND tg.is_alter
				AND EXISTS (SELECT FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
				WHERE l.pid = pg_backend_pid() AND l.mode = 'AccessExclusiveLock' AND c.relname ~ '^t_') THEN
				CASE WHEN nextval('proofs') > 1 THEN 'add' END
			WHEN tg.is_alter AND tg.what ~ '^public.d_' AND (SELECT count(*) = 4 FROM pg_inherits WHERE 'public.' || inhparent::regclass = tg.what) THEN 'drain'
		END FROM (SELECT current_setting('test.tag') = 'ALTER TABLE' AS is_alter, current_setting('test.what') AS what) tg
	$$;
	CREATE FUNCTION wait() RETURNS event_trigger LANGUAGE plpgsql AS $$
	DECLARE
		at_end boolean := tg_event = 'ddl_command_end';
		is_at text;
	BEGIN
		PERFORM set_config('test.tag', tg_tag, true), set_config('test.what', '', true);
		IF at_end THEN
			PERFORM set_config('test.what', string_agg(object_identity, ' '), true) FROM pg_event_trigger_ddl_commands();
		END IF;
		is_at := public.is_at(at_end);
		WHILE EXISTS (SELECT FROM public.stop WHERE step = is_at) LOOP
			PERFORM pg_advisory_xact_lock_shared(1), pg_sleep(0.01);
		END LOOP;
	END $$;
	ALTER FUNCTION is_at SET search_path = public;
	CREATE EVENT TRIGGER wait_begin ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION wait();
	CREATE EVENT TRIGGER wait_end ON ddl_command_end WHEN TAG IN ('ALTER TABLE', 'CREATE TABLE') EXECUTE FUNCTION wait()});

# A call that has come to a step, where it has the advisory lock.
sub start_call
{
	my ($call, $step, $settings) = @_;
	my %call = (err => '', out => '');

	ask("ALTER SEQUENCE proofs RESTART; DELETE FROM stop; INSERT INTO stop VALUES ('$step')");
	$call{run} = IPC::Run::start(['psql', '-XAtq', '-v', 'VERBOSITY=terse', '-d', $node->connstr('postgres'),
		'-c', "SET application_name = 'cut'", '-c', $settings // 'SELECT', '-c', $call],
		'<', \undef, '>', \$call{out}, '2>', \$call{err});
	for (1 .. 300)
	{
		$call{pid} = ask("SELECT pid FROM pg_locks WHERE locktype = 'advisory'");
		return \%call if $call{pid};
		usleep(20_000);
	}
	die "the call did not come to step $step: $call{err}";
}

# Ways in which it ends. Each returns when the server knows.
my %ends = (
	cancelled => sub { ask("SELECT pg_cancel_backend($_[0]{pid})") },
	timeout => sub { },
	terminated => sub { ask("SELECT pg_terminate_backend($_[0]{pid}, 10000)") },
	gone => sub { $_[0]{run}->kill_kill },
	killed => sub { kill 'KILL', $_[0]{pid} });

sub cut
{
	my ($call, $how) = @_;

	$ends{$how}->($call);
	eval { $call->{run}->finish };
	for (1 .. 1500)
	{
		last if ask("SELECT count(*) FROM pg_stat_activity WHERE pid = $call->{pid}") eq '0';
		usleep(20_000);
	}
	ask('DELETE FROM stop');
}

sub settings_of
{
	return $_[0] eq 'timeout' ? "SET statement_timeout = '4s'" : undef;
}

# Copies and constraints that are left, the kind of table, whether a constraint is told of, and its rows.
sub state_of
{
	my ($table) = @_;

	return ask(qq{SELECT concat_ws(' ', (SELECT count(*) FROM pg_class WHERE relname ~ 'dbops_copy'),
		(SELECT count(*) FROM pg_constraint WHERE conname = 'dbops_before_next_partition'),
		(SELECT relkind FROM pg_class WHERE oid = '$table'::regclass),
		(SELECT count(*) FROM dbops.health_checks() WHERE check_name = 'partitions.left_constraint' AND object = 'public.$table'),
		(SELECT count(*) FROM $table), (SELECT min(at)::date FROM $table))});
}

# How many partitions the table has, and whether one is missing.
sub is_complete
{
	my ($table, $when) = @_;
	my ($out, $err);

	is(ask("SELECT count(*) > 10 FROM pg_inherits WHERE inhparent = '$table'::regclass"), 't', "$when: it has partitions ahead");
	$node->psql('postgres', "CALL dbops.partition_table('$table', 'at', '1 day', dry_run => true)", stderr => \$err);
	is($err, '', "$when: and none is missing");
}

sub make_table
{
	my ($table) = @_;

	ask("CREATE TABLE $table (at timestamptz NOT NULL); INSERT INTO $table VALUES ('2020-01-01'), ($now)");
}

# What kind of table is left after each step.
my %left = (rehearse => 'r', add => 'r', validate => 'r', swap => 'r', ahead => 'p');

for my $how (sort keys %ends)
{
	for my $step (sort keys %left)
	{
		next if $how eq 'timeout' && $step !~ /validate|ahead/; # as a cancellation, and it takes its time
		my $table = "t_${how}_$step";
		my $stays = ($step =~ /validate|swap/ && $how =~ /terminated|gone|killed/) ? 1 : 0;
		my $sql = "CALL dbops.partition_table('$table', 'at', '1 day')";

		make_table($table);
		cut(start_call($sql, $step, settings_of($how)), $how);
		is(state_of($table), "0 $stays $left{$step} $stays 2 2020-01-01", "$how at $step: what is left");
		ask($sql);
		is(state_of($table), '0 0 p 0 2 2020-01-01', "$how at $step: the next call goes on");
		is_complete($table, "$how at $step");
		ask("DROP TABLE $table");
	}

	# the third of five partitions is attached and not committed
	my $table = "d_$how";
	my $rows = "SELECT count(*), count(*) FILTER (WHERE tableoid = 'rest_$how'::regclass), count(DISTINCT tableoid) FROM $table";
	my $sql = "CALL dbops.drain_default('$table')";

	ask(qq{CREATE TABLE $table (at timestamptz) PARTITION BY RANGE (at); CREATE TABLE rest_$how PARTITION OF $table DEFAULT;
		INSERT INTO $table SELECT $now - i * interval '1 day' FROM generate_series(1, 5) i, generate_series(1, 10);
		SELECT dbops.set_partitioning('$table', '1 day', schedule => '\@yearly')});
	cut(start_call($sql, 'drain', settings_of($how)), $how);
	# a crash may take the last commits, as those of any batch of a job
	like(ask($rows), $how eq 'killed' ? qr/^50\|(50\|1|40\|2|30\|3)$/ : qr/^50\|30\|3$/, "$how while drained: what was moved stays moved, and the rest where it was");
	ask($sql);
	is(ask($rows), '50|0|5', "$how while drained: the next call moves the rest");
}

# another session takes its time with the new table while partitions are made
make_table('t_met');
my $call = start_call("CALL dbops.partition_table('t_met', 'at', '1 day')", 'ahead');
my $other = IPC::Run::start(['psql', '-XAtq', '-d', $node->connstr('postgres'),
	'-c', 'BEGIN; LOCK TABLE t_met IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(0.5); COMMIT'], '<', \undef, '>', \my $other_out, '2>', \my $other_err);
$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_locks WHERE relation = 't_met'::regclass AND NOT granted") or die 'nobody waits';
ask('DELETE FROM stop');
$call->{run}->finish;
$other->finish;
is_complete('t_met', 'met by a lock');

# somebody reads the table: the constraint cannot be taken away at once, and who will not wait is told what to do
make_table('t_read');
$call = start_call("CALL dbops.partition_table('t_read', 'at', '1 day')", 'validate');
my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM t_read');
is(ask(qq{INSERT INTO t_read VALUES ($now + interval '1 day') RETURNING 'inserted'}), 'inserted', 'rows of tomorrow are taken meanwhile');
for (1 .. 600)
{
	last unless $call->{run}->pumpable && ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'cut'");
	usleep(100_000);
}
$call->{run}->finish;
like($call->{err}, qr/WARNING:  constraint dbops_before_next_partition is left on table public.t_read and refuses rows from '.*' on/, 'a constraint that is left is named');
like($call->{err}, qr/ERROR:  canceling statement due to user request/, 'and that the call was cancelled');
$reader->query_safe('COMMIT');
$reader->quit;
is(state_of('t_read'), '0 1 r 1 3 2020-01-01', 'it is there');

# a call that is refused takes it away all the same
ask('DELETE FROM stop; ALTER TABLE t_read ALTER at DROP NOT NULL');
is($node->psql('postgres', "CALL dbops.partition_table('t_read', 'at', '1 day')"), 3, 'a call that is refused');
is(state_of('t_read'), '0 0 r 0 3 2020-01-01', 'takes it away');
is(ask(q{INSERT INTO t_read VALUES ('2100-01-01') RETURNING 'inserted'}), 'inserted', 'and the table takes rows of every time');

$node->stop;
done_testing();
