# The ledger of migrations comes through pg_dump and pg_restore as it was, its
# log only grows there too, and its numbers go on. TAP, because it takes the
# client programs, and a server where dbops is not preloaded: there, too, the
# extension is not dropped with its ledger by mistake.
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
    INSERT INTO dbops.migration (project, version, state, owner, up_sql, requires, environments, repeatable, origin, applied_at)
    VALUES ('default', 'V1', 'applied', 'app', 'SELECT 1', '{}', '{}', false, 'dbops', '2026-01-01 00:00Z'),
           ('default', 'V2', 'applied', 'app', 'SELECT 2', '{V1}', '{}', false, 'dbops', '2026-01-02 00:00Z');
    INSERT INTO dbops.migration_step (project, version, direction, step, line, command, state)
    VALUES ('default', 'V1', 'up', 1, 1, 'SELECT', 'done');
    INSERT INTO dbops.migration_event (at, project, version, event, role_name, session_role, application_name)
    VALUES ('2026-01-01 00:00Z', 'default', 'V1', 'apply', 'app', 'app', 'test'),
           ('2026-01-02 00:00Z', 'default', 'V2', 'apply', 'app', 'app', 'test');
    SQL

sub ledger
{
	my ($database) = @_;

	return $node->safe_psql($database, <<~'SQL');
        SELECT m FROM dbops.migration m ORDER BY position;
        SELECT s FROM dbops.migration_step s ORDER BY version, step;
        SELECT e FROM dbops.migration_event e ORDER BY id;
        SQL
}

sub refused
{
	my ($database, $sql, $expected, $name) = @_;

	my ($status, $out, $err) = $node->psql($database, $sql);
	isnt($status, 0, "$name: refused");
	like($err, $expected, "$name: says why");
	return;
}

# What is restored is what was dumped, and lives on.
sub is_restored
{
	my ($database, $name) = @_;

	is(ledger($database), ledger('app'), "$name: the ledger is the same");
	refused($database, 'DELETE FROM dbops.migration_event', qr/DELETE is refused/, "$name: to delete from the log");
	refused($database, "SET session_replication_role = replica; TRUNCATE dbops.migration_event",
		qr/TRUNCATE is refused/, "$name: to empty the log as a replica");
	is($node->safe_psql($database, <<~'SQL'), '3', "$name: numbers go on");
        INSERT INTO dbops.migration_event (at, project, version, event, role_name, session_role, application_name)
        VALUES (now(), 'default', 'V3', 'apply', 'app', 'app', 'test') RETURNING id;
        SQL
	return;
}

my @at = ('-h', $node->host, '-p', $node->port);
my $dump = $node->basedir . '/app.dump';
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, @at, 'app' ], 'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', @at, $dump ], 'and restored');
is_restored('restored', 'pg_restore');

# a restore over what is there has to say that it means it
command_fails_like([ 'pg_restore', '--exit-on-error', '--clean', '-d', 'restored', @at, $dump ],
	qr/extension dbops cannot be dropped/, 'a restore does not replace a ledger by itself');
{
	local $ENV{PGOPTIONS} = '-c dbops.allow_data_loss=on';
	$node->command_ok([ 'pg_restore', '--exit-on-error', '--clean', '-d', 'restored', @at, $dump ],
		'it does where that is allowed');
}
is_restored('restored', 'pg_restore --clean');

# dbops is loaded in no session before it is dropped
refused('app', 'DROP EXTENSION dbops', qr/extension dbops cannot be dropped.*allow_data_loss/s, 'not preloaded, to drop the extension');
$node->safe_psql('app', 'SET dbops.allow_data_loss = on; DROP EXTENSION dbops');
is($node->safe_psql('app', 'SELECT count(*) FROM pg_extension'), '1', 'it is dropped where that is allowed');

$node->stop;
done_testing();
