# A backfill that covers what is written meanwhile: a storm of writers against it
# leaves no row behind; its process is killed, or it is cancelled, in each of its
# phases, and no trigger outlives the job; whose lock cannot be had keeps the job
# and is told what to do. TAP, because processes die and many sessions write.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    max_prepared_transactions = 2
    dbops.progress_interval = 0
    dbops.backfill_lock_timeout = 20
    CONF
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id bigint PRIMARY KEY, name text, place text) WITH (fillfactor = 70);
	CREATE SEQUENCE next START 100001;
	INSERT INTO t SELECT i, 'n' || i FROM generate_series(1, 10000) i;
	ANALYZE t});

# ---- a storm of writers ----

my $storm = $node->basedir . '/storm.sql';
append_to_file($storm, q{
\set id random(1, 10000)
\set what random(1, 5)
\if :what = 1
INSERT INTO t VALUES (nextval('next'), 'new');
\elif :what = 2
DELETE FROM t WHERE id = :id;
\elif :what = 3
UPDATE t SET name = repeat('moved ', 50), place = NULL WHERE id = :id;
\elif :what = 4
UPDATE t SET id = nextval('next'), place = NULL WHERE id = :id;
\else
BEGIN;
INSERT INTO t VALUES (nextval('next'), 'new') ON CONFLICT (id) DO NOTHING;
UPDATE t SET place = NULL, name = 'again' WHERE id = :id;
COMMIT;
\endif
});
my $bench = IPC::Run::start(['pgbench', '-n', '-c', '3', '-T', '120', '-f', $storm, '-h', $node->host, '-p', $node->port, 'postgres'],
	'>', '/dev/null', '2>', \my $bench_errors);
$node->poll_query_until('postgres', 'SELECT last_value > 100100 FROM next') or die 'the writers do not write';
my ($stdout, $stderr);
is($node->psql('postgres', q{CALL dbops.batched_backfill('t', 'place = ''at '' || name', 'place IS NULL', batch_size => 500, pause => '2 ms', sync => true)},
	stdout => \$stdout, stderr => \$stderr), 0, 'a backfill ends under a storm of writers') or diag($stderr);
like($stderr, qr/none left.*A trigger has made right what was written from/s, 'with the proof');
$bench->signal('INT');
eval { $bench->finish };
is($node->safe_psql('postgres', q{SELECT r #>> '{left}', (r #>> '{proof,tables}') FROM dbops.jobs() j, LATERAL (SELECT dbops.job_status(j.id) -> 'result') x (r)}),
	'0|1', 'the proof is in its result');
# Rows that were written after the trigger was dropped are the application's.
is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE place IS NULL AND id <= 10000 AND name LIKE 'n%'}), 0,
	'every row from before has its value');
no_trigger('the trigger');

# The same while the triggers stand: a count of its own finds none.
$node->safe_psql('postgres', q{UPDATE t SET place = NULL});
my $job = start(q{pause => '1 hour'});
reach($job, 'walk');
$bench = IPC::Run::start(['pgbench', '-n', '-c', '3', '-t', '300', '-f', $storm, '-h', $node->host, '-p', $node->port, 'postgres'],
	'>', '/dev/null', '2>', \$bench_errors);
$bench->finish;
tune($job);
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
await($job, 'paused');
like(status($job), qr/trigger dbops_sync_$job stays on table public.t until the job ends/, 'a paused job says that its trigger stays');
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT 1 FROM t LIMIT 1');
$node->safe_psql('postgres', "SELECT dbops.resume_job($job)");
$node->poll_query_until('postgres', "SELECT waiting LIKE 'for a lock on table public.t%' FROM dbops.jobs() WHERE id = $job") or die status($job);
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE place IS NULL'), 0,
	'after the proof no row is left, whatever was written');
$holder->query_safe('COMMIT');
await($job, 'succeeded');
no_trigger('the one that had to wait for a reader');

# ---- killed in each phase ----

for my $phase (qw(prepare walk verify sweep finish))
{
	my ($blocker, $pid);

	$job = stop_in($phase, \$blocker);
	tune($job);
	$pid = $node->safe_psql('postgres', "SELECT pid FROM pg_stat_activity WHERE application_name = 'dbops job $job'");
	crash_server($node, $pid);
	eval { $blocker->quit };
	await($job, 'succeeded');
	is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE place IS DISTINCT FROM 'at ' || name}), 0, "$phase: nothing is lost");
	no_trigger($phase);
}

# ---- cancelled in each phase ----

for my $phase (qw(prepare walk verify sweep finish))
{
	my $blocker;

	$job = stop_in($phase, \$blocker);
	$node->safe_psql('postgres', "SELECT dbops.cancel_job($job)");
	$blocker->quit;
	await($job, 'cancelled');
	no_trigger("$phase, cancelled,");
}

$node->safe_psql('postgres', 'DROP TRIGGER IF EXISTS a_hold_up ON t');

# ---- a job that no process has, and a lock that cannot be had ----

$node->safe_psql('postgres', q{UPDATE t SET place = NULL});
$job = start(q{pause => '1 hour'});
reach($job, 'walk');
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
await($job, 'paused');
$holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT 1 FROM t LIMIT 1');
isnt($node->psql('postgres', "SELECT dbops.cancel_job($job)", stderr => \$stderr), 0, 'a job whose trigger cannot be dropped is not cancelled');
like($stderr, qr/cannot cancel job $job now\nDETAIL:  trigger dbops_sync_$job of table public.t could not be dropped because of the locks of session \d+\.\nHINT:/, 'and who is in the way is said');
is($node->safe_psql('postgres', "SELECT state FROM dbops.jobs() WHERE id = $job"), 'paused', 'it is as it was');
$holder->query_safe('COMMIT');
is($node->safe_psql('postgres', "SELECT dbops.cancel_job($job)"), 'cancelled', 'and is cancelled when it can be');
no_trigger('cancelled when paused,');

# a call that is interrupted while it walks, twice, the second time while it records the first
$node->safe_psql('postgres', q{UPDATE t SET place = NULL});
my $caller = $node->background_psql('postgres', on_error_stop => 0);
my $caller_pid = $caller->query_safe('SELECT pg_backend_pid()');
$caller->query_until(qr/go/, q{\echo go
CALL dbops.batched_backfill('t', 'place = ''at '' || name', 'place IS NULL', batch_size => 500, pause => '1 hour', sync => true);
});
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM t WHERE place IS NOT NULL}) or die 'the call does not walk';
my $locker = $node->background_psql('postgres');
$locker->query_safe(q{BEGIN; SELECT FROM dbops.job WHERE finished_at IS NULL FOR UPDATE});
for (1, 2)
{
	$node->safe_psql('postgres', "SELECT pg_cancel_backend($caller_pid)");
	$node->poll_query_until('postgres', "SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $caller_pid")
		or die 'the call does not wait to record its end';
}
$locker->query_safe('COMMIT');
$locker->quit;
$node->poll_query_until('postgres', q{SELECT state = 'cancelled' FROM dbops.jobs() ORDER BY id DESC LIMIT 1}) or die 'the call does not end';
no_trigger('a call that is interrupted');
eval { $caller->quit };

# a table that is gone
$node->safe_psql('postgres', q{CREATE TABLE gone AS SELECT i AS id, NULL::text AS place FROM generate_series(1, 1000) i});
$job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('gone', 'place = id', 'place IS NULL', batch_size => 10, pause => '1 hour', sync => true)});
reach($job, 'walk');
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
await($job, 'paused');
$node->safe_psql('postgres', 'DROP TABLE gone');
is($node->safe_psql('postgres', "SELECT dbops.cancel_job($job)"), 'cancelled', 'a dropped table is no obstacle');

# a row that cannot be changed: it fails, and takes its trigger along
$node->safe_psql('postgres', q{CREATE TABLE bad (n integer, part integer); INSERT INTO bad SELECT i, NULL FROM generate_series(-500, 500) i});
$job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('bad', 'part = 1 / n', 'part IS NULL', sync => true)});
await($job, 'failed');
no_trigger('of a job that fails');

# the trigger is disabled on the way: the end does not say that it covered anything
$node->safe_psql('postgres', q{UPDATE t SET place = NULL});
$job = start(q{pause => '1 hour'});
reach($job, 'walk');
$node->safe_psql('postgres', "SELECT dbops.pause_job($job)");
await($job, 'paused');
$node->safe_psql('postgres', "ALTER TABLE t DISABLE TRIGGER dbops_sync_$job; SELECT dbops.tune_job($job, settings => '{\"pause\": 0}'); SELECT dbops.resume_job($job)");
await($job, 'succeeded');
like(status($job), qr/The trigger of table public.t was dropped or disabled on the way/, 'a trigger that was disabled is told');

# ---- the application covers: what was prepared before is waited for ----

$node->safe_psql('postgres', q{BEGIN; INSERT INTO t VALUES (nextval('next'), 'prepared'); PREPARE TRANSACTION 'before'});
$job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'place = ''at '' || name', 'place IS NULL', app_writes => true, verify => false)});
$node->poll_query_until('postgres', "SELECT waiting LIKE 'for transactions that began before the backfill: 1 (a prepared one)' FROM dbops.jobs() WHERE id = $job") or die status($job);
$node->safe_psql('postgres', q{COMMIT PREPARED 'before'});
await($job, 'succeeded');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE place IS NULL'), 0, 'what it had written is changed');
$node->stop;
done_testing();

# Submit a backfill with a trigger.
sub start
{
	my ($arguments) = @_;

	return $node->safe_psql('postgres', qq{
		SELECT dbops.start_backfill('t', 'place = ''at '' || name', 'place IS NULL', batch_size => 500, sync => true, $arguments)});
}

# Start one and have it stand still in a phase, by a lock of another session.
sub stop_in
{
	my ($phase, $blocker) = @_;
	my %lock = (
		prepare => 'LOCK TABLE t IN ROW EXCLUSIVE MODE',	# the trigger cannot be put
		finish => 'SELECT 1 FROM t LIMIT 1');			# nor be dropped

	$node->safe_psql('postgres', q{
		DROP TRIGGER IF EXISTS a_hold_up ON t;
		UPDATE t SET place = NULL;
		CREATE OR REPLACE FUNCTION phase() RETURNS text LANGUAGE sql STABLE AS $$
			SELECT dbops.job_status(max(id)) #>> '{progress,phase}' FROM dbops.job $$});
	$$blocker = $node->background_psql('postgres');
	$$blocker->query_safe('BEGIN; ' . ($lock{$phase} // 'SELECT pg_advisory_xact_lock(7)'));
	sweep_a_row() if $phase eq 'sweep';
	$job = $phase eq 'verify' ? start_slow_count() : start($phase eq 'walk' ? q{pause => '1 hour'} : q{pause => '0'});
	reach($job, $phase);
	return $job;
}

# A trigger has a row left out by the walk, and holds the sweep up.
sub sweep_a_row
{
	my $id = $node->safe_psql('postgres', 'SELECT min(id) FROM t');

	$node->safe_psql('postgres', qq{
		CREATE OR REPLACE FUNCTION hold_up() RETURNS trigger LANGUAGE plpgsql AS \$\$
		BEGIN
			IF phase() = 'walk' THEN
				RETURN NULL;
			END IF;
			PERFORM pg_advisory_xact_lock_shared(7);
			RETURN NEW;
		END \$\$;
		CREATE TRIGGER a_hold_up BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.id = $id) EXECUTE FUNCTION hold_up()});
}

# A function holds the count up.
sub start_slow_count
{
	$node->safe_psql('postgres', q{
		CREATE OR REPLACE FUNCTION slow(name text, id bigint) RETURNS text LANGUAGE plpgsql STABLE AS $$
		BEGIN
			IF id % 100 = 0 AND phase() = 'verify' THEN
				PERFORM pg_advisory_xact_lock_shared(7);
			END IF;
			RETURN name;
		END $$});
	return $node->safe_psql('postgres', q{
		SELECT dbops.start_backfill('t', 'place = ''at '' || slow(name, id)', sync => true)});
}

# Wait until a job is in a phase.
sub reach
{
	my ($number, $phase) = @_;
	my $there = $phase eq 'prepare' ? q{s ->> 'waiting' LIKE 'for a lock%'} : qq{s #>> '{progress,phase}' = '$phase'};

	$node->poll_query_until('postgres', "SELECT $there FROM dbops.job_status($number) s") or die "$phase: " . status($number);
}

# What comes after the present pause has none.
sub tune
{
	my ($number) = @_;

	$node->safe_psql('postgres', qq{SELECT dbops.tune_job($number, settings => '{"pause": 0, "batch_size": 5000}')});
}

sub await
{
	my ($number, $state) = @_;

	$node->poll_query_until('postgres', "SELECT state = '$state' FROM dbops.jobs() WHERE id = $number") or die status($number);
}

sub no_trigger
{
	my ($what) = @_;

	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%'}), 0, "$what leaves no trigger");
}

sub status
{
	my ($number) = @_;

	return $node->safe_psql('postgres', "SELECT dbops.job_status($number)");
}
