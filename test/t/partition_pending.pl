# A concurrent detach is cut off by a transaction that reads the table, on a server
# where queries that take longer than a second run all the time: it is finished
# all the same, since those that have begun later cannot see the partition. TAP,
# because it takes several sessions that go on while a run waits.
use strict;
use warnings FATAL => 'all';

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE f (at timestamptz) PARTITION BY RANGE (at);
	SELECT format('CREATE TABLE f_%s PARTITION OF f FOR VALUES FROM (%L) TO (%L)', i, d - i * interval '1 day', d - (i - 1) * interval '1 day')
	  FROM generate_series(0, 10) i, date_trunc('day', now(), 'UTC') d \gexec
	SELECT dbops.set_partitioning('f', '1 day', '1 day', keep => '9 days', time_zone => 'UTC', schedule => '@yearly', confirm => true)});

# Three sessions, of which one always has a snapshot that is older than a second.
my $script = $node->basedir . '/busy.sql';
append_to_file($script, "SELECT pg_sleep(1.6);\n");
local $ENV{PGHOST} = $node->host;
local $ENV{PGPORT} = $node->port;
my $busy = start [ 'pgbench', '-n', '-c', 3, '-R', 2, '-T', 300, '-f', $script, 'postgres' ], '>&', \my $busy_out;

my $reader = $node->background_psql('postgres');
$reader->query_safe('BEGIN; SELECT count(*) FROM f');
my $run = start [ 'psql', '-XAtqc', "CALL dbops.run_partitioning('f')", 'postgres' ], '>&', \my $run_out;
ok($node->poll_query_until('postgres', 'SELECT count(*) = 1 FROM pg_inherits WHERE inhdetachpending'), 'a detach is pending');
$reader->query_safe('COMMIT');
$reader->quit;
$node->poll_query_until('postgres', "SELECT count(*) = 0 FROM pg_inherits WHERE inhdetachpending AND clock_timestamp() < timestamptz '"
	  . $node->safe_psql('postgres', "SELECT clock_timestamp() + interval '1 minute'") . "'");
is($node->safe_psql('postgres', "SELECT count(*) FROM pg_inherits WHERE inhdetachpending"), 0, 'it is finished');
$node->safe_psql('postgres', "SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE kind = 'partitioning' AND state NOT IN ('succeeded', 'failed', 'cancelled')")
  if $node->safe_psql('postgres', 'SELECT count(*) FROM pg_inherits WHERE inhdetachpending');
$run->finish;
is($node->safe_psql('postgres', "SELECT to_regclass('f_10')"), '', 'and dropped');
is($run_out, '', 'without an error');

$busy->signal('INT');
$busy->finish;
$node->stop('fast');
done_testing();
