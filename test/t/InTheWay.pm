# Sessions in the way of builds and drops of indexes, and the jobs that they hold
# up: so a process can be killed in each phase of its work.
package InTheWay;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Time::HiRes qw(usleep);

use CrashingServer;

our @EXPORT = qw(await session hold_up queue_up keep_row let_go at_work in_phase ended hold_up_expressions stand_in_the_way_of);

my $node;

# Say of which server; once.
sub stand_in_the_way_of
{
	($node) = @_;
	return;
}

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

# A transaction that has done something, and stays open; one that waits to do so;
# one that keeps whoever evaluates the index's expression for a row of that number,
# or has that fail, if it is negative.
my @sessions;

sub session
{
	push @sessions, $node->background_psql('postgres', on_error_stop => 0);
	$sessions[-1]->query_safe(q{SET application_name = 'in the way'});
	return $sessions[-1];
}

sub hold_up
{
	my ($sql) = @_;
	my $session = session();

	$session->query_safe("BEGIN; $sql");
	return $session;
}

sub queue_up
{
	my ($sql) = @_;

	session()->query_until(qr/queued/, "\\echo queued\nBEGIN; $sql;\n");
	await("it waits: $sql", q{SELECT count(*) = 1 FROM pg_stat_activity a JOIN pg_locks l ON l.pid = a.pid
		WHERE a.application_name = 'in the way' AND NOT l.granted});
}

sub keep_row
{
	my ($row) = @_;
	my $session = session();

	$session->query_safe("SELECT pg_advisory_lock($row)");
	return $session;
}

# Those whose server has crashed have gone already.
sub let_go
{
	my ($session) = @_;

	for my $one ($session // @sessions)
	{
		eval { $one->query_safe('COMMIT') };
		eval { $one->quit };
	}
	@sessions = $session ? grep { $_ != $session } @sessions : ();
}

# The process of a job, when a condition on its activity and progress holds.
sub at_work
{
	my ($job, $what, $condition) = @_;
	my $from = "FROM dbops.job j JOIN pg_stat_activity a ON a.pid = j.runner_pid
		LEFT JOIN pg_stat_progress_create_index p ON p.pid = a.pid WHERE j.id = $job";

	await("job $job is $what", "SELECT $condition $from");
	return ask("SELECT a.pid $from");
}

sub in_phase
{
	my ($job, $phase) = @_;

	return at_work($job, $phase, "p.phase = '$phase' AND a.wait_event_type = 'Lock'");
}

sub ended
{
	my ($job) = @_;

	await("job $job has ended", "SELECT finished_at IS NOT NULL FROM dbops.job WHERE id = $job");
	return ask("SELECT state FROM dbops.job WHERE id = $job");
}

# An index expression that waits for the locks above.
sub hold_up_expressions
{
	ask(q{CREATE FUNCTION held_up(v int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
		$$BEGIN
			PERFORM pg_advisory_xact_lock_shared(v);
			IF NOT pg_try_advisory_xact_lock_shared(-v) THEN RAISE 'refused'; END IF;
			RETURN v;
		END$$});
	return;
}

1;
