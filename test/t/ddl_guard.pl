# dbops.require_migration where it is set for the whole cluster: databases without
# dbops, the server's log, prepared statements of clients, jobs, and a session that
# loads dbops by itself. TAP, because the other tests' server is not set so.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
fsync = off
autovacuum = off
shared_preload_libraries = 'dbops'
dbops.require_migration = on
dbops.ddl_guard = enforce
dbops.guard_min_size = 0
CONF
$node->start;

my $refused = qr/CREATE TABLE is refused by dbops\.require_migration/;

# Where dbops is not, nothing is asked, whatever a schema is called.
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE SCHEMA dbops; CREATE TABLE t AS SELECT 1 AS id; TRUNCATE t; DROP TABLE t');
$node->safe_psql('postgres', 'CREATE TABLE t AS SELECT 1 AS id; CREATE EXTENSION dbops');
my ($code, $out, $err) = $node->psql('postgres', 'CREATE TABLE refused (id int)');
like($err, $refused, 'a client is refused where dbops is');
($code, $out, $err) = $node->psql('postgres', 'DROP DATABASE other');
is($code, 0, 'a database is no schema');

# Statements that a client has prepared.
for my $mode ('extended', 'prepared')
{
	$node->pgbench("-n -t 1 -M $mode", 2, [], [$refused], "a statement of the $mode protocol is refused",
		{ "ddl_guard_$mode" => 'CREATE TABLE refused (id int);' });
}

# In the log stands who, and why, also of what was undone; a password does not.
my $log = -s $node->logfile;
$node->safe_psql('postgres', q{SET log_statement = 'none'; SET dbops.break_glass = 'fire'; BEGIN; CREATE TABLE undone (id int); ROLLBACK;
	CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w; CREATE USER MAPPING FOR PUBLIC SERVER s OPTIONS (password 'hidden');
	DO $$ BEGIN CREATE USER MAPPING FOR CURRENT_USER SERVER s OPTIONS (password 'hidden'); END $$});
my $said = substr(slurp_file($node->logfile), $log);
like($said, qr/LOG:  dbops\.break_glass: role "[^"]+", logged in as "[^"]+", runs CREATE TABLE in no migration: fire/, 'it is in the log');
like($said, qr/runs CREATE USER MAPPING in no migration: fire/, 'each statement is');
unlike($said, qr/hidden/, 'and no password');
is($node->safe_psql('postgres', q{SELECT count(*) FROM dbops.break_glass_uses()}), '4', 'what is done is in the table');

# A command of somebody's is his own in a job too.
$node->safe_psql('postgres', q{SELECT dbops.enqueue('CREATE TABLE by_job (id int)')});
ok($node->poll_query_until('postgres', q{SELECT state = 'failed' AND message LIKE '%dbops.require_migration%' FROM dbops.jobs()}),
	'a job is refused');

# Not preloaded, it holds where a session loads it.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
($code, $out, $err) = $node->psql('postgres', "LOAD 'dbops'; CREATE TABLE refused (id int)");
like($err, $refused, 'a session that has loaded dbops is refused');
$node->append_conf('postgresql.conf', "session_preload_libraries = 'dbops'");
$node->reload;
($code, $out, $err) = $node->psql('postgres', 'CREATE TABLE refused (id int)');
like($err, $refused, 'and one that loads it when it begins');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_class WHERE relname IN ('refused', 'undone', 'by_job')}), '0', 'nothing was made');

done_testing();
