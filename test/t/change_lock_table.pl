# Changes of a table with many partitions where the server's table of locks is small:
# what it never has room for is refused first, and what it has none for now is waited
# for. TAP, because it takes a server of such a size.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('small');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    max_connections = 20
    max_wal_senders = 0
    max_worker_processes = 8
    max_locks_per_transaction = 10
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

sub lock_table
{
	return $node->safe_psql('postgres', q{SELECT message FROM dbops.health_checks() WHERE check_name = 'locks.table_used'}) =~ /(\d+) of (\d+)/;
}

# The server's processes of its own, which the room grows with, are more on newer ones.
my ($used, $room) = lock_table();
my $parts = int($room / 3);
$node->safe_psql(
	'postgres', q{
	CREATE TABLE parted (id int, a int CHECK (a > 0), b int) PARTITION BY RANGE (id);
	CREATE TABLE other (id int, b int) PARTITION BY RANGE (id)});
for my $part (1 .. $parts)
{
	$node->safe_psql('postgres', "CREATE TABLE parted_$part PARTITION OF parted FOR VALUES FROM ($part) TO ($part + 1)");
	$node->safe_psql('postgres', "CREATE TABLE other_$part PARTITION OF other FOR VALUES FROM ($part) TO ($part + 1)");
}
$node->safe_psql('postgres', "INSERT INTO parted SELECT g, g, g FROM generate_series(1, $parts) g");
$node->safe_psql('postgres', "INSERT INTO other SELECT g, g FROM generate_series(1, $parts) g");
($used) = lock_table();
my ($others, $needed) = ($parts - 9, 2 * $parts + 2);

# ---- a change that could not be ended

my ($result, $out, $err) = $node->psql('postgres', q{CALL dbops.rename_column('parted', 'a', 'aa')});
like($err, qr/rename_column of public\.parted\.a needs about \d+ locks at once, and the server has room for $room\n.*HINT:  Raise max_locks_per_transaction \(now 10\), and restart the server\./s,
	'what could not be finished is not begun');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_attribute WHERE attname = 'aa'}), '0', 'and has left nothing');
like(
	($node->psql('postgres', q{CALL dbops.set_not_null('other', 'b', dry_run => true)}))[2],
	qr/Locks .* and $others others below so, about $needed locks at once\./,
	'a dry run tells how many locks a step has at once');

# ---- others have locks enough that there is no room for it now

my $holder = $node->background_psql('postgres');
$holder->query_safe('BEGIN; SELECT count(pg_advisory_xact_lock(i)) FROM generate_series(1, ' . ($room - $used - $parts - 50) . ') i');
($result, $out, $err) = $node->psql('postgres', q{CALL dbops.set_not_null('other', 'b', max_wait => '1s')});
like($err, qr/ERROR:  set_not_null of public\.other\.b has met a lock of another session.*Other sessions have \d+ locks, about $needed more are needed at once, and the server has room for $room/s,
	'a step for which there is no room gives up when its time is over');
is($node->safe_psql('postgres', 'SELECT count(*) FROM parted'), $parts, 'while the statements of others find room');
$holder->query_safe('COMMIT');
$node->safe_psql('postgres', q{CALL dbops.set_not_null('other', 'b')});
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_attribute WHERE attname = 'b' AND attnotnull}), $parts + 1, 'and is done when there is');
unlike(slurp_file($node->logfile), qr/out of shared memory/, 'the table of locks was never full');

done_testing();
