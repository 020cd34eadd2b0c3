# 64 readers while partitions are dropped, concurrently and with the locks that a
# default partition asks for: none of them meets a deadlock, and none waits for
# longer than the bound. TAP, because it takes many sessions.
use strict;
use warnings FATAL => 'all';

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# A reader that waits for a lock for so long gives up, and pgbench with it: what
# dbops may keep it waiting, and as much again as a busy machine may.
my $bound = 2000;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    max_connections = 100
    log_lock_waits = on
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

for my $default (0, 1)
{
	my $name = $default ? 'with_default' : 'without_default';
	$node->safe_psql('postgres', qq{
		CREATE TABLE $name (at timestamptz, v int) PARTITION BY RANGE (at);
		SELECT format('CREATE TABLE ${name}_%s PARTITION OF $name FOR VALUES FROM (%L) TO (%L)', i, d - i * interval '1 day', d - (i - 1) * interval '1 day')
		  FROM generate_series(0, 40) i, date_trunc('day', now(), 'UTC') d \\gexec
		INSERT INTO $name SELECT now() - i * interval '1 hour', i FROM generate_series(1, 900) i;
		CREATE INDEX ON $name (at)});
	$node->safe_psql('postgres', "CREATE TABLE ${name}_rest PARTITION OF $name DEFAULT") if $default;
	$node->safe_psql('postgres', "SELECT dbops.set_partitioning('$name', '1 day', '3 days', keep => '35 days', time_zone => 'UTC', confirm => true, schedule => '\@yearly')");

	my $script = $node->basedir . "/read_$name.sql";
	append_to_file($script, "SELECT count(*), min(v) FROM $name WHERE at > now() - interval '200 hours';\n");
	local $ENV{PGOPTIONS} = "-c lock_timeout=$bound";
	local $ENV{PGHOST} = $node->host;
	local $ENV{PGPORT} = $node->port;
	my ($out, $err) = ('', '');
	my $readers = start [ 'pgbench', '-n', '-c', 64, '-j', 2, '-T', 20, '-f', $script, 'postgres' ], '>', \$out, '2>', \$err;
	$node->poll_query_until('postgres', qq{SELECT count(*) > 60 FROM pg_stat_activity WHERE query LIKE 'SELECT count(*), min(v)%'});
	is($node->psql('postgres', "CALL dbops.run_partitioning('$name')"), 0, "$name: old partitions are dropped");
	is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT count(*), min(v)%'}), '64', "$name: while all read");
	ok(finish($readers), "$name: no reader failed") or diag($err);
	is($node->safe_psql('postgres', qq{SELECT count(*) FROM pg_inherits WHERE inhparent = '$name'::regclass}), 39 + $default, "$name: what is kept is there");
}
is($node->safe_psql('postgres', 'SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'there was no deadlock');

$node->stop;
done_testing();
