# The ledger of migrations comes through pg_dump and pg_restore as it was, its
# log only grows there too, and its numbers go on. TAP, because it takes the
# client programs, another cluster, and a server where dbops is not preloaded:
# there, too, the extension is not dropped with its ledger by mistake.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE EXTENSION dbops');
$node->safe_psql('app', <<~'SQL');
    INSERT INTO dbops.migration (project, version, state, owner, owner_oid, cluster, up_sql, requires, environments, repeatable, origin, applied_at)
    VALUES ('default', 'V1', 'applied', 'app', 0, 0, 'SELECT 1', '{}', '{}', false, 'dbops', '2026-01-01 00:00Z'),
           ('default', 'V2', 'applied', 'app', 0, 0, 'SELECT 2', '{V1}', '{}', false, 'dbops', '2026-01-02 00:00Z');
    INSERT INTO dbops.migration_step (project, version, direction, step, line, command, state)
    VALUES ('default', 'V1', 'up', 1, 1, 'SELECT', 'done');
    INSERT INTO dbops.migration_event (at, project, version, event, role_name, role_oid, cluster, session_role, application_name)
    VALUES ('2026-01-01 00:00Z', 'default', 'V1', 'apply', 'app', 0, 0, 'app', 'test'),
           ('2026-01-02 00:00Z', 'default', 'V2', 'apply', 'app', 0, 0, 'app', 'test');
    SQL

$node->safe_psql('app', <<~'SQL');
    CREATE ROLE deployer;
    CREATE ROLE other;
    SELECT dbops.grant_access(r, 'operator') FROM unnest('{deployer,other}'::regrole[]) r;
    SET ROLE deployer;
    SELECT state FROM dbops.apply_migration('V1', 'SELECT 1', 'SELECT 2', project => 'mine', reason => 'to begin with');
    SQL

sub ledger
{
	my ($server, $database) = @_;

	return $server->safe_psql($database, <<~'SQL');
        SELECT m FROM dbops.migration m ORDER BY position;
        SELECT s FROM dbops.migration_step s ORDER BY version, step;
        SELECT e FROM dbops.migration_event e ORDER BY id;
        SQL
}

sub refused
{
	my ($server, $database, $sql, $expected, $name) = @_;

	my ($status, $out, $err) = $server->psql($database, $sql);
	isnt($status, 0, "$name: refused");
	like($err, $expected, "$name: says why");
	return;
}

# What is restored is what was dumped, and lives on.
sub is_restored
{
	my ($server, $database, $name) = @_;

	is(ledger($server, $database), ledger($node, 'app'), "$name: the ledger is the same");
	is($server->safe_psql($database, <<~'SQL'), 'applied', "$name: it is whose it was");
        SET ROLE deployer; SELECT state FROM dbops.apply_migration('V2', 'SELECT 2', 'SELECT 3', project => 'mine') WHERE step IS NULL;
        SQL
	refused($server, $database, "SET ROLE other; SELECT * FROM dbops.rollback_migration('V1', 'mine')", qr/belongs to role "deployer"/, "$name: nobody else's");
	refused($server, $database, 'DELETE FROM dbops.migration_event', qr/DELETE is refused/, "$name: to delete from the log");
	refused($server, $database, "SET session_replication_role = replica; TRUNCATE dbops.migration_event",
		qr/TRUNCATE is refused/, "$name: to empty the log as a replica");
	is($server->safe_psql($database, <<~'SQL'), '5', "$name: numbers go on");
        INSERT INTO dbops.migration_event (at, project, version, event, role_name, role_oid, cluster, session_role, application_name)
        VALUES (now(), 'default', 'V3', 'apply', 'app', 0, 0, 'app', 'test') RETURNING id;
        SQL
	return;
}

my @at = ('-h', $node->host, '-p', $node->port);
my $dump = $node->basedir . '/app.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, @at, 'app' ], 'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', @at, $dump ], 'and restored');
is_restored($node, 'restored', 'pg_restore');
$node->safe_psql('postgres', 'CREATE DATABASE in_parallel TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-j', '4', '-d', 'in_parallel', @at, $dump ], 'and restored by four at once');
is_restored($node, 'in_parallel', 'pg_restore -j');

# a restore over what is there has to say that it means it
command_fails_like([ 'pg_restore', '--exit-on-error', '--clean', '-d', 'restored', @at, $dump ],
	qr/extension dbops cannot be dropped/, 'a restore does not replace a ledger by itself');
{
	local $ENV{PGOPTIONS} = '-c dbops.allow_data_loss=on';
	$node->command_ok([ 'pg_restore', '--exit-on-error', '--clean', '-d', 'restored', @at, $dump ],
		'it does where that is allowed');
}
is_restored($node, 'restored', 'pg_restore --clean');

# in the same cluster a role is known whatever it is called; in another one by its name, be its OID somebody else's there
$node->safe_psql('postgres', 'ALTER ROLE deployer RENAME TO renamed; ALTER ROLE other RENAME TO deployer');
is($node->safe_psql('restored', "SET ROLE renamed; SELECT state FROM dbops.rollback_migration('V2', 'mine') WHERE step IS NULL"),
	'reverted', 'a role that was renamed rolls back what it has applied');
refused($node, 'restored', "SET ROLE deployer; SELECT * FROM dbops.rollback_migration('V1', 'mine')", qr/belongs to role "renamed"/, 'who has its name');
my $role = $node->safe_psql('postgres', "SELECT oid FROM pg_roles WHERE rolname = 'renamed'");
my $elsewhere = PostgreSQL::Test::Cluster->new('elsewhere');
$elsewhere->init;
$elsewhere->start;
$elsewhere->safe_psql('postgres', 'CREATE ROLE other');
$elsewhere->safe_psql('postgres', "SET allow_system_table_mods = on; UPDATE pg_authid SET oid = $role WHERE rolname = 'other'; CREATE ROLE deployer");
$elsewhere->safe_psql('postgres', 'CREATE DATABASE app TEMPLATE template0');
$elsewhere->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'app', '-h', $elsewhere->host, '-p', $elsewhere->port, $dump ], 'and restored elsewhere');
is_restored($elsewhere, 'app', 'elsewhere');
$elsewhere->stop;

# dbops is loaded in no session before it is dropped
refused($node, 'app', 'DROP EXTENSION dbops', qr/extension dbops cannot be dropped.*allow_data_loss/s, 'not preloaded, to drop the extension');
$node->safe_psql('app', 'SET dbops.allow_data_loss = on; DROP EXTENSION dbops');
is($node->safe_psql('app', 'SELECT count(*) FROM pg_extension'), '1', 'it is dropped where that is allowed');

$node->stop;
done_testing();
