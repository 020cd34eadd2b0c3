# 64 readers while partitions are dropped, concurrently and with the locks that a
# default partition asks for, and while others are made, beside a transaction that
# has read the table and takes its time: nobody meets a deadlock, and no reader is
# kept waiting for longer than the bound. TAP, because it takes many sessions.
use strict;
use warnings FATAL => 'all';

use IPC::Run qw(start finish);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

# Who queues for a lock behind the slow transaction keeps readers waiting for as
# long as that takes, which is much longer than the bound. That is what dbops may
# keep them waiting, and as much again as a busy machine may.
my $bound = 1500;
my $slow = 3;
my $others = "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()";

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~"CONF");
    shared_preload_libraries = 'dbops'
    autovacuum = off
    max_connections = 100
    timezone = 'UTC'
    deadlock_timeout = ${bound}ms
    log_lock_waits = on
    log_statement = none
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;

sub ask
{
	return $node->safe_psql('postgres', $_[0]);
}

# Noon of today, so that the day ends for nothing that is made, dropped and counted here.
my $noon = int(time() / 86400) * 86400 + 43200;
my $clock = "SET dbops.test_now = $noon; SET dbops.max_xmin_age = -1";

# A table whose partitions one policy drops and another one makes.
sub make_table
{
	my ($name, $default) = @_;

	ask(qq{
		CREATE TABLE $name (at timestamptz, v int) PARTITION BY RANGE (at);
		SELECT format('CREATE TABLE ${name}_%s PARTITION OF $name FOR VALUES FROM (%L) TO (%L)', i, d - i * interval '1 day', d - (i - 1) * interval '1 day')
		  FROM generate_series(0, 40) i, date_trunc('day', to_timestamp($noon), 'UTC') d \\gexec
		INSERT INTO $name SELECT to_timestamp($noon) - i * interval '1 hour', i FROM generate_series(1, 959) i;
		CREATE INDEX ON $name (at)});
	ask("CREATE TABLE ${name}_rest PARTITION OF $name DEFAULT") if $default;
	ask("$clock; SELECT dbops.set_partitioning('$name', '1 day', '1 day', time_zone => 'UTC', schedule => '\@every 3650 days')");
	ask("$clock; SELECT dbops.set_retention('$name', 'at', '37 days', time_zone => 'UTC', schedule => '\@every 3650 days', confirm => true)");
}

sub start_readers
{
	my ($name) = @_;
	my $script = $node->basedir . "/read_$name.sql";

	append_to_file($script, "SELECT count(*), min(v) FROM $name WHERE at > now() - interval '200 hours';\n");
	local $ENV{PGOPTIONS} = "-c lock_timeout=$bound";
	return start [ 'pgbench', '-n', '-c', 64, '-j', 2, '-R', 600, '-T', 300, '-f', $script, 'postgres' ], '>&', \my $out;
}

# One that has read the table, again and again, and goes on for a while.
sub start_slow
{
	my ($name) = @_;
	my $script = $node->basedir . "/slow_$name.sql";

	append_to_file($script, "BEGIN;\nSELECT count(*) FROM $name;\n\\sleep $slow s\nCOMMIT;\n\\sleep 1 s\n");
	return start [ 'pgbench', '-n', '-c', 1, '-T', 300, '-f', $script, 'postgres' ], '>&', \my $slow_out;
}

# One that makes partitions, day by day, for as long as others are dropped.
sub start_maker
{
	my ($name, $days, $out) = @_;
	my $sql = "SET dbops.test_now = '%s';\nCALL dbops.run_partitioning('$name');\n";

	return start [ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', 'postgres' ],
		'<', \join('', map { sprintf $sql, $noon + $_ * 86400 } 1 .. $days), '>&', $out;
}

for my $default (0, 1)
{
	my $name = $default ? 'with_default' : 'without_default';
	my $made = '';

	make_table($name, $default);
	my $readers = start_readers($name);
	my $slow_reader = start_slow($name);
	$node->poll_query_until('postgres', $others, '65') or die 'not all are there';
	my $maker = start_maker($name, 8, \$made);
	is($node->psql('postgres', "$clock; CALL dbops.run_retention('$name')"), 0, "$name: old partitions are dropped");
	ok(finish($maker), "$name: others are made meanwhile") or diag($made);
	is(ask($others), '65', "$name: no reader failed, who would have left");
	$_->kill_kill for $readers, $slow_reader;
	is(ask("SELECT count(*) FROM pg_inherits WHERE inhparent = '$name'::regclass"), 41 - 3 + 9 + $default, "$name: what is kept and what was made is there");
}
is(ask('SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()'), '0', 'there was no deadlock');
my @log = split /\n/, slurp_file($node->logfile);
is(join("\n", grep { /deadlock detected/ } @log), '', 'nobody has met one and gone on');
is(join("\n", grep { /still waiting for \w+ on relation/ } @log), '', 'nobody has waited for a table for longer than the bound');

$node->stop;
done_testing();
