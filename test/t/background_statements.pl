# What dbops does in the background is not what applications do: it takes no room
# in pg_stat_statements, which has room for some thousand statements in all
# databases. TAP, because it takes a server of its own, on which nobody else works.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    autovacuum = off
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION pg_stat_statements; CREATE EXTENSION dbops');
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('other', 'CREATE EXTENSION dbops');

# A job's statement is an application's.
my $job = $node->safe_psql('other', q{SELECT dbops.enqueue('SELECT 4711')});
$node->safe_psql('other', "CALL dbops.wait_job($job, '60s')");

# What this test asks for says so.
for my $database ('postgres', 'other')
{
	$node->poll_query_until($database, q{SELECT /* asked */ count(*) > 0 FROM dbops.relation_1d}) or die 'the background does nothing';
}
is( $node->safe_psql('postgres', q{
	SELECT /* asked */ d.datname, s.query
	  FROM pg_stat_statements s JOIN pg_database d ON d.oid = s.dbid
	 WHERE s.toplevel AND s.query !~ 'asked|CREATE (EXTENSION|DATABASE)|dbops\.(enqueue|wait_job)' ORDER BY 1, 2}),
	'other|SELECT $1', 'nothing but the statement of the job is recorded');
is( $node->safe_psql('postgres', q{SELECT /* asked */ severity FROM dbops.health_checks() WHERE check_name = 'statements.slow'}),
	'ok', 'statements are counted all the same');

done_testing();
