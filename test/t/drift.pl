# What migrations have left, and who has changed it since, is known in a copy that
# pg_dump has made, on a standby, and where dbops is not preloaded. TAP, because it
# takes the client programs and other servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "fsync = off\nshared_preload_libraries = 'dbops'\n");
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach 'app', 'copy', 'loud';
$node->safe_psql('app', <<~'SQL');
    CREATE EXTENSION dbops;
    CREATE ROLE maria SUPERUSER;
    SELECT state FROM dbops.apply_migration('1', 'CREATE TABLE orders (id int PRIMARY KEY, total int); CREATE TABLE other (id int)');
    SET ROLE maria;
    CREATE INDEX by_hand ON orders (total);
    DROP TABLE other;
    SQL

my $drift = "SELECT change, object, role_name, statement FROM dbops.schema_drift() ORDER BY object";
my $expected = "added|public.by_hand|maria|CREATE INDEX by_hand ON orders (total);\nremoved|public.other|maria|DROP TABLE other;";
my $found = $node->safe_psql('app', $drift);
$expected =~ s/;$//mg;
$found =~ s/;$//mg;
is($found, $expected, 'what is not as migrations have left it');

# A standby.
$node->backup('copy');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'copy', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby);
is($standby->safe_psql('app', $drift), $found, 'the same on a standby');
$standby->stop;

# A copy; what restores it is written down unless that is turned off.
my $dump = "$PostgreSQL::Test::Utils::tmp_check/app.dump";
$node->command_ok([ 'pg_dump', '-d', $node->connstr('app'), '-Fc', '-f', $dump ], 'dumped');
{
	local $ENV{PGOPTIONS} = '-c dbops.record_ddl=off';
	$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('copy'), $dump ], 'restored');
}
is($node->safe_psql('copy', $drift), $found, 'the same in a copy');
is($node->safe_psql('copy', 'SELECT count(*) FROM dbops.ddl_log'), $node->safe_psql('app', 'SELECT count(*) FROM dbops.ddl_log'), 'with the record');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', $node->connstr('loud'), $dump ], 'restored, and written down');
is($node->safe_psql('loud', "SELECT count(*) > 0 FROM dbops.ddl_history('public.orders') WHERE command = 'CREATE TABLE'"), 't', 'that did it');

# The first migration of a copy begins with what is there, by its own numbers; later ones hide nothing.
$node->safe_psql('copy', "SELECT dbops.apply_migration('2', 'ALTER TABLE orders ADD b int')");
is($node->safe_psql('copy', $drift), '', 'a copy begins anew');
$node->safe_psql('copy', 'CREATE TABLE late (id int)');
$node->safe_psql('copy', "SELECT dbops.apply_migration('3', 'ALTER TABLE orders ADD c int')");
is($node->safe_psql('copy', 'SELECT object FROM dbops.schema_drift()'), 'public.late', 'and goes on');

# Nothing of this needs preloading, but the text of a session's first command.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''\n");
$node->restart;
$node->safe_psql('app', 'CREATE TABLE first (id int)');
is($node->safe_psql('app', "SELECT role_name IS NOT NULL, statement IS NULL FROM dbops.ddl_history('public.first')"), 't|t', 'written down without its text');
$node->safe_psql('app', 'SELECT count(*) FROM dbops.schema_drift(); CREATE TABLE second (id int)');
like($node->safe_psql('app', "SELECT statement FROM dbops.ddl_history('public.second')"), qr/^CREATE TABLE second/, 'and with it');

$node->stop;
done_testing();
