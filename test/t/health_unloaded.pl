# Health where neither dbops nor pg_stat_statements is preloaded, and of a
# database that is measured by one session while others ask. TAP, because what
# is preloaded is decided when a server starts.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE EXTENSION pg_stat_statements');

sub check
{
	my ($column, $check) = @_;

	return $node->safe_psql('postgres', qq{SELECT $column FROM dbops.health_checks() WHERE check_name = '$check'});
}

# installed, but not preloaded
is( $node->safe_psql('postgres', q{SELECT dbops.system_health_check()->'slow_queries'}),
	'null', 'statements that are not recorded are not counted as none');
is(check('severity', 'statements.slow'), 'unknown', 'they are unknown');
like(check('remedy', 'statements.slow'), qr/shared_preload_libraries/, 'with the remedy');
is( $node->safe_psql('postgres', q{BEGIN READ ONLY; SELECT dbops.system_health_check()->'performance'->'avg_query_time_ms'; COMMIT}),
	'null', 'in a read-only transaction as well');
is( $node->safe_psql('postgres', q{BEGIN; SELECT dbops.system_health_check() IS NOT NULL; SELECT 1 / 1; COMMIT}),
	"t\n1", 'what was caught does not spoil the transaction');

# without shared memory each session measures for itself
is( $node->safe_psql('postgres', q{
	SELECT (h->>'database_size_mb')::numeric = round(pg_database_size(current_database()) / 1024.0 / 1024.0, 2)
	  FROM dbops.system_health_check() h}),
	't', 'the size is measured without being preloaded');
is( $node->safe_psql('postgres', q{
	SET dbops.test_now = 1800000000;
	SELECT dbops.system_health_check() IS NULL \g /dev/null
	CREATE TABLE t AS SELECT i FROM generate_series(1, 10000) i;
	SET dbops.test_now = 1800000000.5;
	SELECT h->'freshness'->>'size_age_s' FROM dbops.system_health_check() h}),
	'0.50', 'and kept in the session');

# a query that is cancelled is cancelled: nothing makes that an unknown check
$node->safe_psql('postgres', q{
	DO $$ BEGIN FOR i IN 1 .. 3000 LOOP EXECUTE format('CREATE TABLE many_%s (i int PRIMARY KEY)', i); IF i % 500 = 0 THEN COMMIT; END IF; END LOOP; END $$});
my ($code, $out, $err) = $node->psql('postgres', q{
	SELECT dbops.system_health_check() IS NULL;
	SET dbops.health_max_age = 0;
	SET statement_timeout = '2ms';
	SELECT dbops.system_health_check() IS NULL});
isnt($code, 0, 'a cancelled query fails');
like($err, qr/canceling statement due to statement timeout/, 'for that reason');

# preloaded, what one session measured serves the others; the background, which
# measures too, is off
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, dbops'\ndbops.enabled = off\n");
$node->restart;
is(check('severity', 'statements.slow'), 'ok', 'preloaded, they are counted');
my $clock = q{SET dbops.test_now = 1800000000};
$node->safe_psql('postgres', qq{$clock; SELECT dbops.system_health_check()});
my $before = $node->safe_psql('postgres', qq{$clock; SELECT dbops.system_health_check()->>'database_size_mb'});
$node->safe_psql('postgres', 'DROP TABLE t');
is( $node->safe_psql('postgres', qq{$clock; SELECT dbops.system_health_check()->>'database_size_mb'}),
	$before, 'a session is given what another has measured');
is( $node->safe_psql('postgres', q{SET dbops.health_max_age = 0; SELECT dbops.system_health_check()->>'database_size_mb' < $$} . $before . q{$$}),
	't', 'unless it asks for a new measurement');

# a database that takes the place of another
for my $i (1 .. 3)
{
	$node->safe_psql('postgres', 'CREATE DATABASE other');
	$node->safe_psql('other', 'CREATE EXTENSION dbops');
	is( $node->safe_psql('other', q{
		SELECT (h->>'database_size_mb')::numeric = round(pg_database_size(current_database()) / 1024.0 / 1024.0, 2)
		  FROM dbops.system_health_check() h}),
		't', 'every database has its own size');
	$node->safe_psql('postgres', 'DROP DATABASE other');
}

# after the crash of a backend shared memory is new
my $victim = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
$node->append_conf('postgresql.conf', "restart_after_crash = on\n");
$node->reload;
crash_server($node, $pid);
is( $node->safe_psql('postgres', q{SELECT (h->'freshness'->>'size_age_s')::numeric < 1 FROM dbops.system_health_check() h}),
	't', 'it is measured anew after a crash');
eval { $victim->quit };

$node->stop;
done_testing();
