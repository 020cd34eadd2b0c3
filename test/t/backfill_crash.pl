# A backfill and the end of its server: killed between and in the middle of
# batches it loses nothing that is committed for good, does nothing twice, and
# the same call goes on. On a standby it is refused. TAP, because a server dies.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    dbops.progress_interval = 0
    CONF
$node->start;

# Each update of a row is counted in the row itself, so that a row that was
# changed twice shows.
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY, place text, changed integer NOT NULL DEFAULT 0);
	INSERT INTO t SELECT i FROM generate_series(1, 50000) i;
	ANALYZE t});

my $call = q{CALL dbops.batched_backfill('t', 'place = ''p'' || id, changed = changed + 1',
	'place IS NULL', batch_size => 500, pause => '20ms')};

for my $round (1 .. 4)
{
	my $victim = $node->background_psql('postgres', on_error_stop => 0);
	my $goal = 3000 * $round;
	my $pid = $victim->query_safe('SELECT pg_backend_pid()');

	$victim->query_until(qr/go/, "\\echo go\n$call;\n");
	$node->poll_query_until('postgres', "SELECT count(*) >= $goal FROM t WHERE place IS NOT NULL")
	  or die 'the backfill did not get on';

	# A backend that is killed takes the others down; the server recovers by itself.
	if ($round % 2)
	{
		crash_server($node, $pid);
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	eval { $victim->quit };

	my ($filled, $twice) = split /\|/, $node->safe_psql('postgres',
		'SELECT count(*) FILTER (WHERE place IS NOT NULL), count(*) FILTER (WHERE changed > 1) FROM t');
	ok($filled > 0 && $filled < 50000, "round $round: it was killed in the middle ($filled rows)");
	is($twice, 0, "round $round: no row is changed twice");
}

my ($stdout, $stderr);
is($node->psql('postgres', $call, stdout => \$stdout, stderr => \$stderr), 0, 'the same call goes on');
like($stderr, qr/none left/, 'and ends with the proof');
is($node->safe_psql('postgres', 'SELECT count(*), min(changed), max(changed) FROM t'),
	'50000|1|1', 'every row is changed exactly once');

# What the call has reported as done survives a crash right after it, although
# its batches did not wait for the disk one by one.
$node->safe_psql('postgres', 'UPDATE t SET place = NULL; CHECKPOINT');
is($node->psql('postgres', $call), 0, 'a call ends');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE place IS NULL'), 0,
	'and what it reported is durable');

# A session that is terminated in the middle of a batch takes nobody with it: its
# clock goes on while it ends.
$node->safe_psql('postgres', q{
	UPDATE t SET place = NULL;
	CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		'BEGIN PERFORM pg_sleep(0.001); RETURN $1; END'});
my $checkpointer = $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});
for (1 .. 25)
{
	my $session = IPC::Run::start(
		[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', q{CALL dbops.batched_backfill('t', 'changed = slow(id)', 'place IS NULL AND changed <> slow(id)', verify => false)} ],
		'>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', q{SELECT count(pg_terminate_backend(pid)) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event = 'PgSleep'})
	  or die 'the backfill does not work';
	$session->finish;
}
is($node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'}),
	$checkpointer, 'sessions that are terminated in the middle of a batch take nobody with them');

# Killed while it looks for the bad rows in what has failed, when others are
# recorded already. Row 1500, bad too, is looked at for the second time then, and
# the job stands still there; a sequence remembers that through the crash.
$node->append_conf('postgresql.conf', "deadlock_timeout = '100s'\ndbops.backfill_batch_time = '60s'\n");
$node->restart;
$node->safe_psql(
	'postgres', q{
	CREATE SEQUENCE look;
	CREATE FUNCTION divide(id integer, divisor integer) RETURNS text LANGUAGE plpgsql IMMUTABLE AS $$
	BEGIN
	    IF id = 1500 AND nextval('look') = 2 THEN
	        PERFORM pg_sleep(60);
	    END IF;
	    RETURN 100 / divisor;
	END $$;
	CREATE TABLE bad (id integer PRIMARY KEY, divisor integer NOT NULL, place text, changed integer NOT NULL DEFAULT 0);
	INSERT INTO bad SELECT i, CASE WHEN i % 100 = 0 THEN 0 ELSE 5 END FROM generate_series(1, 3000) i;
	ANALYZE bad});
for my $method ('blocks', 'keyset')
{
	my $runner = q{FROM pg_stat_activity WHERE backend_type = 'dbops runner' AND wait_event = 'PgSleep'};

	$node->safe_psql('postgres', q{UPDATE bad SET place = NULL, changed = 0; ALTER SEQUENCE look RESTART; VACUUM FULL bad});
	my $job = $node->safe_psql('postgres', qq{
		SELECT dbops.start_backfill('bad', 'place = divide(id, divisor), changed = changed + 1', 'place IS NULL',
			batch_size => 300, method => '$method', on_error => 'quarantine')});
	$node->poll_query_until('postgres', "SELECT count(*) = 1 $runner") or die 'the job does not look for the bad row';
	my $recorded = $node->safe_psql('postgres', "SELECT count(*) FROM dbops.backfill_errors($job)");
	crash_server($node, $node->safe_psql('postgres', "SELECT pid $runner"));
	ok($recorded > 0 && $recorded < 30, "by $method: it was killed between bad rows ($recorded recorded)");
	is($node->safe_psql('postgres', "SELECT count(*) >= $recorded, count(*) = count(DISTINCT key) FROM dbops.backfill_errors($job)"),
		't|t', "by $method: what was recorded stays so, once");

	# Without waiting for its next attempt, unless it has ended.
	$node->psql('postgres', "UPDATE dbops.job SET run_after = now() WHERE id = $job AND state = 'queued'; SELECT dbops.tune_job($job)");
	$node->poll_query_until('postgres', "SELECT state = 'succeeded' FROM dbops.jobs() WHERE id = $job")
	  or die 'the job did not end: ' . $node->safe_psql('postgres', "SELECT dbops.job_status($job)");
	is($node->safe_psql('postgres', qq{
		SELECT count(*), count(DISTINCT key), bool_and((key ->> 'id')::integer % 100 = 0) FROM dbops.backfill_errors($job)}),
		'30|30|t', "by $method: it goes on by itself, and each bad row is recorded once");
	is($node->safe_psql('postgres', 'SELECT divisor, count(*), min(changed), max(changed) FROM bad GROUP BY divisor ORDER BY divisor'),
		"0|30|0|0\n5|2970|1|1", "by $method: and each good row is changed once");
}

# A standby
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
isnt($standby->psql('postgres', $call, stderr => \$stderr), 0, 'refused on a standby');
like($stderr, qr/cannot execute CALL dbops.batched_backfill\(\) in a read-only transaction|cannot execute CALL dbops.batched_backfill\(\) during recovery/,
	'with the reason');
$standby->stop;
$node->stop;
done_testing();
