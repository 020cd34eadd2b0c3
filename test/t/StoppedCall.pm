# Calls that stop at one of the statements that they execute, so that they can be
# killed, cancelled or paused there. Event triggers count the statements, before and
# behind each, and triggers where a change notes how far it is; the one of the number
# asked for sleeps, until it is let go. They count by locks, which survive what is undone, and take no
# xid, as DROP INDEX CONCURRENTLY wants it.
package StoppedCall;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Time::HiRes qw(usleep);

use CrashingServer;

our @EXPORT = qw(prepare_stops begin_call has_stopped stopped let_go);

my $node;

sub prepare_stops
{
	($node) = @_;

	ask(q{
		CREATE TABLE stop (at bigint, go boolean);
		INSERT INTO stop VALUES (0, false);
		CREATE FUNCTION stop() RETURNS void LANGUAGE plpgsql SET search_path = public AS $$
		DECLARE
			n int;
		BEGIN
			IF (SELECT at FROM stop) > 0 THEN
				SELECT count(*) + 1 INTO n FROM pg_locks WHERE locktype = 'advisory' AND classid = 77 AND pid = pg_backend_pid();
				PERFORM pg_advisory_lock(77, n);
				IF n = (SELECT at FROM stop) THEN
					PERFORM pg_advisory_lock(78, 1);
					WHILE NOT (SELECT go FROM stop) LOOP
						PERFORM pg_sleep(0.05);
					END LOOP;
					PERFORM pg_advisory_unlock(78, 1);
				END IF;
			END IF;
		END $$;
		CREATE FUNCTION stop_statement() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.stop(); END';
		CREATE FUNCTION stop_note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM public.stop(); RETURN NULL; END';
		CREATE EVENT TRIGGER before ON ddl_command_start EXECUTE FUNCTION stop_statement();
		CREATE EVENT TRIGGER behind ON ddl_command_end EXECUTE FUNCTION stop_statement();
		CREATE TRIGGER note BEFORE UPDATE ON dbops.column_change EXECUTE FUNCTION stop_note();
		CREATE TRIGGER note BEFORE UPDATE ON dbops.job_cursor EXECUTE FUNCTION stop_note()});
	return;
}

# Begin a call in a session of its own, behind other statements, to be stopped at the
# statement of a number; 0: at none.
sub begin_call
{
	my ($before, $call, $at) = @_;
	my $session = $node->background_psql('postgres', on_error_stop => 0);

	ask("$before; UPDATE stop SET at = $at, go = false");
	$session->query_until(qr/go/, "\\echo go\nSET client_min_messages = error;\n$call;\n");
	return $session;
}

# Has it stopped? Else it has come to its end. Nobody else will stop.
my $process;

sub has_stopped
{
	for (1 .. 3000)
	{
		my $state = ask(q{
			SELECT coalesce(CASE WHEN pid IS NOT NULL THEN pid::text
				WHEN NOT EXISTS (SELECT FROM dbops.job WHERE finished_at IS NULL) AND EXISTS (SELECT FROM dbops.job WHERE kind = 'change') THEN 'ended' END, '') AS state
			FROM (SELECT min(pid) FROM pg_locks WHERE locktype = 'advisory' AND classid = 78) _ (pid) \gset
			\echo :state
			UPDATE stop SET at = 0 WHERE :'state' <> ''});

		$process = $state;
		return $state ne 'ended' if $state ne '';
		usleep(10_000);
	}
	die 'the call neither stops nor ends';
}

# The process that has.
sub stopped
{
	return $process;
}

# Let it go on with that statement.
sub let_go
{
	ask('UPDATE stop SET go = true');
	return;
}

1;
