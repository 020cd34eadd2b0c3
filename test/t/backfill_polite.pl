# A backfill and an application that updates the same rows in the opposite
# order: hundreds of deadlocks, of which the application must not notice any;
# gates that hold for a CALL; and statement_timeout. TAP, because it takes
# pgbench, a server log and sessions whose order is made certain.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    dbops.progress_interval = 0
    CONF
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL, v integer) WITH (fillfactor = 50);
	INSERT INTO t SELECT i, 0, 0 FROM generate_series(1, 2000) i;
	ANALYZE t});

sub value
{
	return $node->safe_psql('postgres', $_[0]);
}

# Each client has rows of its own, so that only the backfill can deadlock with it.
my $script = $node->basedir . '/storm.sql';
append_to_file($script, <<~'SQL');
    \set low :client_id * 500 + random(1, 250)
    \set high :low + random(1, 250)
    BEGIN;
    UPDATE t SET n = n + 1 WHERE id = :high;
    \sleep 1 ms
    UPDATE t SET n = n + 1 WHERE id = :low;
    COMMIT;
    SQL
for my $timeout ('1s', '100ms')
{
	my ($out, $err) = ('', '');
	local $ENV{PGOPTIONS} = "-c deadlock_timeout=$timeout";
	my $before = value(q{SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'});
	my $sum = value('SELECT sum(n) FROM t');
	my $app = IPC::Run::start([ 'pgbench', '-n', '-M', 'prepared', '-c', '4', '-T', '4', '-f', $script, '-h', $node->host, '-p', $node->port, '-U', $ENV{USER} // 'postgres', 'postgres' ],
		'>' => \$out, '2>' => \$err);
	delete $ENV{PGOPTIONS};
	my $calls = 0;
	while ($app->pumpable)
	{
		$node->safe_psql('postgres', join("\n", map { "CALL dbops.batched_backfill('t', 'v = $_', verify => false);" } $calls + 1 .. $calls + 20));
		$calls += 20;
		$app->pump_nb;
	}
	$app->finish;
	my ($done) = $out =~ /transactions actually processed: (\d+)/;
	value('SELECT pg_stat_clear_snapshot()');
	my $deadlocks = value(q{SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'}) - $before;
	note("deadlock_timeout $timeout: $done transactions, $calls backfills, $deadlocks deadlocks of which the application lost none");
	unlike($err, qr/aborted|deadlock/, "the application is never the victim ($timeout)");
	is(value('SELECT sum(n) FROM t') - $sum, 2 * $done, 'and no update is lost');
	cmp_ok($deadlocks, '>', 0, 'though they met');
	value('VACUUM t');
}
unlike(slurp_file($node->logfile), qr/ERROR:  deadlock detected/, 'nor does the log say so');

# A gate holds for a CALL: it says so once, waits, and goes on by itself.
my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
my $dba = $node->background_psql('postgres', on_error_stop => 0);
$dba->query_until(qr/go/, "SET dbops.max_xmin_age = 0;\n\\echo go\nCALL dbops.batched_backfill('t', 'v = -1');\n\\echo done\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL%' AND wait_event_type = 'Extension'})
  or die 'the backfill does not wait';
isnt(value('SELECT count(*) FROM t WHERE v = -1'), '2000', 'it waits');
$holder->query_safe('COMMIT');
$dba->query_until(qr/done/, '');
is(value('SELECT count(*) FROM t WHERE v = -1'), '2000', 'it goes on by itself');
is(() = $dba->{stderr} =~ /NOTICE:  waiting: .*max_xmin_age/g, 1, 'it has said once what it waited for');
$dba->{stderr} = '';

# What lasts is said again, with new figures, and is not counted as work.
for my $more ('', q{, on_error => 'quarantine'})
{
	my $caller = $node->background_psql('postgres', on_error_stop => 0);
	my $told = 0;

	$holder->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t');
	$caller->query_until(qr/go/, "SET dbops.max_xmin_age = 0;\nSET dbops.progress_interval = 10;\n\\echo go\nCALL dbops.batched_backfill('t', 'v = -2', 'v = -1'$more);\n\\echo done\n");
	for (1 .. 1000)
	{
		$caller->{run}->pump_nb;
		$told = () = $caller->{stderr} =~ /NOTICE:  waiting: .*max_xmin_age/g;
		last if $told == 3;
		usleep(10_000);
	}
	$holder->query_safe('COMMIT');
	$caller->query_until(qr/done/, '');
	is($told, 3, "a gate that stays closed is told of again$more");
	my ($worked, $waited) = $caller->{stderr} =~ /batch\w*, ([\d.]+) s, \d+ rows\/s\.(?: Closed gates were waited for (\d+) s\.)?/;
	cmp_ok($worked, '<', $waited // 1, "the wait is no work$more") or diag($caller->{stderr});
	$caller->quit;
	value(q{UPDATE t SET v = -1});
}

# statement_timeout: batches that take too long are made smaller.
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		'BEGIN PERFORM pg_sleep(0.001); RETURN $1; END'});
$node->safe_psql('postgres', 'DELETE FROM t WHERE id > 1000');
my ($out, $err);
is($node->psql('postgres', q{SET statement_timeout = '1s'; CALL dbops.batched_backfill('t', 'v = slow(id)', 'v = -1', verify => false)}, stderr => \$err), 0, 'a batch that takes too long is made smaller')
  or diag($err);
is(value('SELECT count(*) FROM t WHERE v = id'), '1000', 'and all is done');
is($node->psql('postgres', q{SET statement_timeout = 50; CALL dbops.batched_backfill('t', 'n = slow(id + 7)', verify => false)}, stderr => \$err), 0, 'a block too')
  or diag($err);
is(value('SELECT count(*) FROM t WHERE n = id + 7'), '1000', 'and all of it is done');
$node->safe_psql(
	'postgres', q{
	CREATE FUNCTION stuck(integer, integer) RETURNS integer LANGUAGE plpgsql AS
		'BEGIN PERFORM pg_sleep(60) WHERE $1 = 6; RETURN $2; END'});
isnt($node->psql('postgres', q{SET statement_timeout = 100; CALL dbops.batched_backfill('t', 'v = stuck(id, -3)', 'v <> -3', verify => false)}, stderr => \$err), 0, 'up to a row');
like($err, qr/statement timeout/, 'whose error it is then');

# By a key too, and down to the one row that takes too long.
$node->safe_psql('postgres', 'UPDATE t SET n = 0');
is($node->psql('postgres', q{SET statement_timeout = '1s'; CALL dbops.batched_backfill('t', 'n = slow(n + 1)')}, stderr => \$err), 0, 'a batch by key that takes too long is made smaller')
  or diag($err);
is(value(q{SELECT count(*) || ' ' || min(n) || ' ' || max(n) FROM t}), '1000 1 1', 'and all is done once');
is(value(q{SELECT spec ->> 'method' FROM dbops.job ORDER BY id DESC LIMIT 1}), 'keyset', 'by key');
$node->safe_psql('postgres', 'DELETE FROM t WHERE id > 8');
isnt($node->psql('postgres', q{SET statement_timeout = 500; CALL dbops.batched_backfill('t', 'n = stuck(id, n + 1)', batch_size => 32)}, stderr => \$err), 0, 'up to a row');
like($err, qr/statement timeout/, 'whose error it is then');
is(value(q{SELECT string_agg(id::text, ' ' ORDER BY id) FROM t WHERE n = 2}), '1 2 3 4 5', 'and those before it are changed');

$holder->quit;
$dba->quit;
done_testing();
