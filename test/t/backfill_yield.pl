# While other sessions wait for their commits to be flushed a backfill works in
# short batches and leaves them time. TAP, because it takes sessions that
# commit all the time, of which commit_delay makes certain that one waits.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = on
    commit_delay = 100000
    commit_siblings = 0
    autovacuum = off
    CONF
$node->start;

# A block has one row, which takes 1 ms, where a batch may take 250 ms, and writes enough WAL to count.
$node->safe_psql(
	'postgres', q{
	SET synchronous_commit = off;
	CREATE EXTENSION dbops;
	CREATE TABLE counter (id integer PRIMARY KEY, n integer NOT NULL) WITH (fillfactor = 20);
	INSERT INTO counter SELECT i, 0 FROM generate_series(0, 9) i;
	CREATE FUNCTION slow(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE AS
		'BEGIN PERFORM pg_sleep(0.001); RETURN $1; END';
	CREATE TABLE t (id integer PRIMARY KEY, n integer, wide text);
	ALTER TABLE t ALTER wide SET STORAGE PLAIN;
	INSERT INTO t SELECT i, NULL, repeat('x', 7500) FROM generate_series(1, 800) i;
	ANALYZE t});

# Commit in six sessions until told to stop.
my $script = $node->basedir . '/commits.sql';
append_to_file($script, "UPDATE counter SET n = n + 1 WHERE id = :client_id;\n");
my $commits = IPC::Run::start(
	[ 'pgbench', '-n', '-c', 6, '-T', 600, '-f', $script, '-h', $node->host, '-p', $node->port, '-U', $ENV{USER} // 'postgres', 'postgres' ],
	'>', \my $out, '2>', \my $err);
$node->poll_query_until('postgres', q{SELECT count(*) > 1 FROM pg_stat_activity WHERE query LIKE 'UPDATE counter%' AND wait_event = 'WALWrite'})
  or die 'nobody waits for a commit';

# The rows of the largest batch, when the column has been filled with a number.
sub largest
{
	my ($number, $settings) = @_;

	$node->safe_psql('postgres', "$settings CALL dbops.batched_backfill('t', 'n = slow(id - id + $number)', 'n IS NULL OR n < $number')");
	is($node->safe_psql('postgres', 'SELECT count(*), min(n) FROM t'), "800|$number", "all rows are done ($number)");
	return $node->safe_psql('postgres', 'SELECT max(rows) FROM (SELECT count(*) FROM t GROUP BY xmin::text) b (rows)');
}

cmp_ok(largest(1, ''), '<=', 24, 'batches are short while others commit');
cmp_ok(largest(2, 'SET dbops.backfill_yield = off;'), '>', 24, 'unless that is not wanted');

# In the background as it was when it was submitted, or tuned since.
sub job_largest
{
	my ($number, $settings, $tune) = @_;
	my ($job) = $node->safe_psql('postgres', qq{
		$settings
		BEGIN;
		SELECT id FROM (SELECT dbops.start_backfill('t', 'n = slow(id - id + $number)', 'n < $number')) j (id) \\gset
		SELECT dbops.tune_job(:id, settings => '$tune');
		COMMIT;
		CALL dbops.wait_job(:id)}) =~ /succeeded/;

	ok($job, "a job has done it ($number)");
	return $node->safe_psql('postgres', 'SELECT max(rows) FROM (SELECT count(*) FROM t GROUP BY xmin::text) b (rows)');
}
cmp_ok(job_largest(3, 'SET dbops.backfill_yield = off;', '{}'), '>', 24, 'a job was submitted so');
cmp_ok(job_largest(4, '', '{"yield": false}'), '>', 24, 'or tuned');

# It says why, where it is a job.
my $job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'n = slow(id - id + 5)', 'n < 5')});
ok( $node->poll_query_until(
		'postgres',
		qq{SELECT s ->> 'state' = 'succeeded' OR s ->> 'waiting' LIKE 'so that other sessions%' FROM dbops.job_status($job) s}),
	'it says that it leaves time');
isnt($node->safe_psql('postgres', qq{SELECT s ->> 'state' FROM dbops.job_status($job) s}), 'succeeded', 'while it works');

# When nobody commits any more it goes on at full speed.
$commits->signal('TERM');
$commits->finish;
$node->safe_psql('postgres', "CALL dbops.wait_job($job)");
cmp_ok(largest(6, ''), '>', 24, 'batches are long when nobody commits');

$node->stop;
done_testing();
