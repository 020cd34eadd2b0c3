# A backfill that several processes share, of which now one and now another is
# ended, killed, or goes down with the server, at random instants: it goes on by
# itself, every row is changed exactly once, and the figures are exact. TAP,
# because processes and servers die.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $rounds = 28;
my $rows = 40000;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    wal_writer_delay = 10ms
    dbops.progress_interval = 0
    CONF
$node->start;

# The row counts its changes, and a trigger notes each; both commit with it.
$node->safe_psql('postgres', qq{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY, place text, changed integer NOT NULL DEFAULT 0, filler text);
	ALTER TABLE t ALTER filler SET STORAGE PLAIN;
	INSERT INTO t (id, filler) SELECT i, repeat('x', 900) FROM generate_series(1, $rows) i;
	CREATE TABLE change (id integer NOT NULL, pid integer NOT NULL);
	CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO change VALUES (NEW.id, pg_backend_pid()); RETURN NULL; END';
	CREATE TRIGGER note_change AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note_change();
	ANALYZE t;
	CHECKPOINT});
my $job = $node->safe_psql('postgres', q{
	SELECT dbops.start_backfill('t', 'place = ''p'' || id, changed = changed + 1', 'place IS NULL',
		batch_size => 8, pause => '20ms', workers => 3)});

# Each time that its first process is ended counts as an attempt.
$node->safe_psql('postgres', "SELECT dbops.tune_job($job, max_attempts => 100)");

my ($differed, $ended) = (0, 0);
for my $round (1 .. $rounds)
{
	my @processes = processes();

	usleep(int(rand(50_000)));
	last if look() eq '';
	my $victim = $processes[rand @processes];
	if ($round % 7 < 2) { $node->psql('postgres', "SELECT pg_terminate_backend($victim)") }
	elsif ($round % 7 < 4) { terminate_first() }
	elsif ($round % 7 < 6) { crash_server($node, $victim) if kill 0, $victim }
	else { $node->stop('immediate'); $node->start }
	$ended++;
	look();
}
is($ended, $rounds, "ended $rounds times in the middle");
is($differed, 0, 'the figures agree with the rows each time');
cmp_ok($node->safe_psql('postgres', 'SELECT count(DISTINCT pid) FROM change'), '>', 3, 'several processes have worked on it');

$node->safe_psql('postgres', qq{SELECT dbops.tune_job($job, settings => '{"batch_size": 5000, "pause": 0}')});
wake();
$node->poll_query_until('postgres', "SELECT state = 'succeeded' FROM dbops.jobs() WHERE id = $job", 't')
  or die 'the job did not end: ' . status();
like(status(), qr/"left": 0, "rows": $rows,/, 'it ends by itself, with the proof');
is($node->safe_psql('postgres', q{SELECT count(*), min(changed), max(changed) FROM t WHERE place = 'p' || id}),
	"$rows|1|1", 'every row is changed exactly once');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM change'),
	"$rows|$rows", 'and every change was noted once');
is($node->safe_psql('postgres', 'SELECT count(*) FROM dbops.job_part'), '0', 'no part is left');

# A row that takes the server down: three times without a step of its part between
# them are enough, whatever the other processes have done meanwhile.
$node->safe_psql('postgres', q{
	DROP TABLE t, change;
	CREATE TABLE poison AS SELECT 1 AS i;
	CREATE TABLE t (id integer PRIMARY KEY, place text, filler text);
	INSERT INTO t (id, filler) SELECT i, repeat('x', 500) FROM generate_series(1, 6000) i;
	CREATE FUNCTION die() RETURNS trigger LANGUAGE plpgsql AS $$
	DECLARE
		before bigint := CASE WHEN NEW.id = 1 THEN (SELECT count(*) FROM t WHERE place IS NOT NULL) END;
	BEGIN
		IF NEW.id = 1 AND EXISTS (SELECT FROM poison) THEN
			FOR i IN 1 .. 20 LOOP
				EXIT WHEN (SELECT count(*) FROM t WHERE place IS NOT NULL) > before;
				PERFORM pg_sleep(0.01);
			END LOOP;
			PERFORM pg_sleep(0.1);	-- for the WAL of the others
			EXECUTE format('COPY (SELECT 1) TO PROGRAM %L', 'kill -9 ' || pg_backend_pid());
		END IF;
		RETURN NULL;
	END $$;
	CREATE TRIGGER die AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION die();
	ANALYZE t});
$job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'place = ''p''', 'place IS NULL',
	batch_size => 20, pause => '50 ms', workers => 3)});
for (1 .. 600)
{
	comes_back();
	last if state() eq 'blocked';
	wake();
	usleep(20_000);
}
like(status(), qr/"state": "blocked"/, 'a part that crashes the server blocks the job');
like(status(), qr/"message": "its process has crashed the server 3 times"/, 'and says so');
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE place IS NOT NULL'), '>', 0, 'while others got on');
$node->safe_psql('postgres', qq{TRUNCATE poison;
	SELECT dbops.tune_job($job, settings => '{"pause": "100 ms"}'); SELECT dbops.resume_job($job)});

# Helping processes that are ended again and again, while nothing gets on.
processes();
my $lock = $node->background_psql('postgres');
$lock->query_safe('BEGIN; LOCK TABLE t IN SHARE MODE');
for (1 .. 600)
{
	last if state() eq 'queued';
	$node->psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'dbops job $job worker %'");
	usleep(50_000);
}
like(status(), qr/"message": "processes that helped with the job were terminated \d times"/, 'their deaths without progress end the attempt');
$lock->quit;
$node->safe_psql('postgres', qq{SELECT dbops.tune_job($job, settings => '{"pause": 0}')});
wake();
$node->poll_query_until('postgres', "SELECT state = 'succeeded' FROM dbops.jobs() WHERE id = $job", 't')
  or die 'the job did not end: ' . status();
is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE place = 'p'}), '6000', 'and the next one goes on');
$node->stop;
done_testing();

# Empty while the server is away
sub state
{
	my $state = '';

	eval { $node->psql('postgres', "SELECT state FROM dbops.job WHERE id = $job", stdout => \$state) };
	return $state;
}

# The processes at work, once there are at least two.
sub processes
{
	my @pids;

	for (1 .. 3000)
	{
		wake() if $_ % 5 == 0;
		@pids = split /\n/, $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'dbops job $job%' AND backend_type = 'dbops runner'");
		return @pids if @pids > 1;
		usleep(10_000);
	}
	die 'the job has no helping process: ' . status();
}

# One that was ended would go on only after a while.
sub wake
{
	eval { $node->psql('postgres', "UPDATE dbops.job SET run_after = now() WHERE id = $job AND state = 'queued'; SELECT dbops.tune_job($job)") };
}

sub terminate_first
{
	$node->psql('postgres', "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'dbops job $job'");
}

sub comes_back
{
	for (1 .. 500)
	{
		return if eval { $node->psql('postgres', 'SELECT true') == 0 };
		usleep(20_000);
	}
	die 'the server did not come back';
}

# See that the figures say what the rows say.
sub look
{
	my $seen = $node->safe_psql('postgres', qq{
		SELECT c.row_count + coalesce((SELECT sum(row_count) FROM dbops.job_part WHERE job_id = $job), 0),
		       (SELECT count(*) FROM t WHERE place IS NOT NULL), (SELECT count(*) FROM change)
		  FROM dbops.job_cursor c WHERE job_id = $job});
	return $seen if $seen eq '';
	my ($counted, $changed, $noted) = split /\|/, $seen;
	if ($counted != $changed || $counted != $noted)
	{
		$differed++;
		diag("the cursors say $counted rows, the table $changed, the trigger $noted");
	}
	return $seen;
}

sub status
{
	return $node->safe_psql('postgres', "SELECT dbops.job_status($job)");
}
