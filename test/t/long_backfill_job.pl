# A backfill in the background whose process, or whole server, is killed a
# hundred times at random instants: it goes on by itself from its last step, and
# every row is changed exactly once. TAP, because processes and servers die.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $rounds = 100;
my $rows = 60000;

# Commits of steps do not wait for the disk: a crash takes what the WAL writer
# has not written yet, the cursor with the rows.
my $lost = 30;

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
	CREATE TABLE change (id integer NOT NULL);
	CREATE FUNCTION note_change() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO change VALUES (NEW.id); RETURN NULL; END';
	CREATE TRIGGER note_change AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION note_change();
	ANALYZE t;
	CHECKPOINT});
my $job = $node->safe_psql('postgres', q{
	SELECT dbops.start_backfill('t', 'place = ''p'' || id, changed = changed + 1', 'place IS NULL',
		batch_size => 8, pause => '16ms')});

my ($done, $went_back, $differed, $killed) = (0, 0, 0, 0);
for my $round (1 .. $rounds)
{
	my $goal = look($done);

	# One step more than before is on its way to the disk; then some time.
	$node->poll_query_until('postgres',
		"SELECT done > $goal FROM dbops.job_cursor WHERE job_id = $job")
	  or die "round $round: the job did not go on: " . status();
	usleep(int(rand(60_000)));
	$done = $node->safe_psql('postgres', "SELECT done FROM dbops.job_cursor WHERE job_id = $job");
	last if $done eq '';
	if ($round % 5 < 3) { kill_runner() }
	elsif ($round % 5 == 3) { kill_server() }
	else { $node->stop('immediate'); $node->start }
	$killed++;
}
look($done);
is($killed, $rounds, "killed $rounds times in the middle");
is($went_back, 0, 'the cursor never goes back: no block is walked again');
is($differed, 0, 'and agrees with the rows each time');
cmp_ok($node->safe_psql('postgres', "SELECT attempts FROM dbops.jobs() WHERE id = $job"), '<=', 1, 'an attempt that a server took with it does not count');

# What is tuned holds from the next step on.
$node->safe_psql('postgres', qq{SELECT dbops.tune_job($job, settings => '{"batch_size": 5000, "pause": 0}')});
$node->poll_query_until('postgres', "SELECT state = 'succeeded' FROM dbops.jobs() WHERE id = $job", 't')
  or die 'the job did not end: ' . status();
like(status(), qr/"left": 0, "rows": $rows, .*"reason": null, .*"verified": true/, 'it ends by itself, with the proof');
is($node->safe_psql('postgres', 'SELECT count(*), min(changed), max(changed) FROM t WHERE place = \'p\' || id'),
	"$rows|1|1", 'every row is changed exactly once');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM change'),
	"$rows|$rows", 'and every change was noted once');
$node->stop;
done_testing();

# See that the cursor stands where it stood, and says what the rows say.
sub look
{
	my ($before) = @_;
	my $seen;

	$seen = $node->safe_psql('postgres', qq{
		SELECT done, row_count, (SELECT count(*) FROM t WHERE place IS NOT NULL), (SELECT count(*) FROM change)
		  FROM dbops.job_cursor WHERE job_id = $job});
	my ($now, $counted, $changed, $noted) = $seen eq '' ? (0, 0, 0, 0) : split /\|/, $seen;
	if ($now < $before - $lost)
	{
		$went_back++;
		diag("the cursor went from $before back to $now");
	}
	if ($counted != $changed || $counted != $noted)
	{
		$differed++;
		diag("the cursor says $counted rows, the table $changed, the trigger $noted");
	}
	return $now;
}

sub status
{
	return $node->safe_psql('postgres', "SELECT dbops.job_status($job)");
}

# The server takes all sessions down with it and recovers by itself.
sub kill_runner
{
	my $pid = '';

	for (1 .. 1000)
	{
		$pid = $node->safe_psql('postgres',
			"SELECT pid FROM pg_stat_activity WHERE application_name = 'dbops job $job'");
		last if $pid ne '';
		usleep(10_000);
	}
	crash_server($node, $pid);
}

# Its processes notice that it is gone, and the next one waits for them.
sub kill_server
{
	$node->kill9;
	for (1 .. 100)
	{
		return if $node->start(fail_ok => 1);
		$node->{_pid} = undef;
		usleep(50_000);
	}
	die 'the server did not start again';
}
