# A backfill by key that is interrupted, waits for a row, and loses its process
# or its server: it goes on behind the last key that is done, and every row is
# changed exactly once. TAP, because sessions, processes and servers end.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    wal_writer_delay = 10ms
    dbops.progress_interval = 0
    dbops.backfill_lock_timeout = 20ms
    CONF
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0, born boolean NOT NULL DEFAULT false);
	INSERT INTO t SELECT i * 10 FROM generate_series(1, 6000) i});

sub counts
{
	return $node->safe_psql('postgres',
		'SELECT string_agg(format(\'%s:%s:%s\', born, n, count), \' \' ORDER BY born, n)'
		  . ' FROM (SELECT born, n, count(*) FROM t GROUP BY born, n) c');
}

sub state { return $node->safe_psql('postgres', 'SELECT state FROM dbops.job ORDER BY id DESC LIMIT 1') }

# Ctrl-C pauses it, and the same call goes on
my $call = q{CALL dbops.batched_backfill('t', 'n = n + 1', batch_size => 100, pause => '20ms')};
my $session = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $session->query_safe('SELECT pg_backend_pid()');
$session->query_until(qr/go/, "\\echo go\n$call;\n");
$node->poll_query_until('postgres', 'SELECT count(*) > 1000 FROM t WHERE n = 1') or die 'the call did not get on';
$node->safe_psql('postgres', "SELECT pg_cancel_backend($pid)");
$node->poll_query_until('postgres', q{SELECT state = 'paused' FROM dbops.job}) or die 'the job is ' . state();
eval { $session->quit };
like($node->safe_psql('postgres', 'SELECT message FROM dbops.job'),
	qr/the same call, or resume_job, lets it go on; trigger dbops_exact_\d+ stays on table public\.t/,
	'an interrupted call is a job that is paused, and says so');
$node->safe_psql('postgres', q{
	INSERT INTO t SELECT i * 10 + 1, 0, true FROM generate_series(1, 6000, 100) i;
	UPDATE t SET id = -id WHERE id IN (10, 59990);
	UPDATE t SET id = 55555 WHERE id = 20});
is($node->psql('postgres', $call), 0, 'the same call goes on');
is(counts(), 'f:1:6000 t:0:60', 'every row is changed once, and none that came later');
is($node->safe_psql('postgres', 'SELECT count(*) FROM dbops.job'), '1', 'in the same job');

# A row that another session has locked is waited for, and said to be
$session = $node->background_psql('postgres');
$session->query_safe('BEGIN; SELECT FROM t WHERE id = 3000 FOR UPDATE');
my $job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'n = n + 1', batch_size => 100)});
ok($node->poll_query_until('postgres',
		"SELECT coalesce(waiting = 'for a row of table public.t that another session has locked', false) FROM dbops.jobs() WHERE id = $job"),
	'it says that it waits for a row');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id < 3000 AND n < 1 + (NOT born)::integer'), '0',
	'all rows before that one are done');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE id >= 3000 AND n > (NOT born)::integer'), '0',
	'and none behind it');
$session->query_safe('UPDATE t SET id = 3005 WHERE id = 3000; COMMIT');
$session->quit;
$node->safe_psql('postgres', "CALL dbops.wait_job($job, '1 minute', NULL)");
is(counts(), 'f:2:6000 t:1:60', 'then it goes on');

# A row that fails is named, and those before it are done
$node->safe_psql('postgres', q{
	CREATE TABLE bad (id integer, part text, n integer NOT NULL DEFAULT 1, PRIMARY KEY (id, part));
	INSERT INTO bad SELECT i, 'p' || i, i - 60 FROM generate_series(1, 100) i});
my ($stdout, $stderr);
$node->psql('postgres', q{CALL dbops.batched_backfill('bad', 'n = 100 / n + n', batch_size => 50)}, stderr => \$stderr);
like($stderr, qr/division by zero.*backfill of table public\.bad, key \(60, p60\); 59 rows in \d+ batches committed before/s,
	'the row that fails is named');
$node->safe_psql('postgres', 'SELECT dbops.cancel_job(max(id)) FROM dbops.job');

# Its process or the server is killed, between and in the middle of batches
$job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'n = n + 1', batch_size => 20, pause => '10ms')});
for my $round (1 .. 4)
{
	my $goal = 700 * $round;

	$node->poll_query_until('postgres', "SELECT coalesce((SELECT row_count > $goal FROM dbops.job_cursor WHERE job_id = $job), false)")
	  or die 'the job did not get on, it is ' . state();
	usleep(int(rand(30_000)));
	if ($round % 2)
	{
		crash_server($node, $node->safe_psql('postgres', "SELECT runner_pid FROM dbops.job WHERE id = $job"));
	}
	else
	{
		$node->stop('immediate');
		$node->start;
	}
	like(counts(), qr/^f:2:\d+ f:3:\d+ t:1:\d+ t:2:\d+$/, "round $round: it was killed in the middle");
	$node->safe_psql('postgres', "UPDATE t SET id = id - 1 WHERE id % 10 = 0 AND id / 10 % 4 = $round - 1");
}
$node->safe_psql('postgres', "CALL dbops.wait_job($job, '1 minute', NULL)");
is(counts(), 'f:3:6000 t:2:60', 'every row is changed exactly once');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%'}), '0', 'no trigger stays');

$node->stop;
done_testing();
