# Policies in the background: their jobs begin by themselves, as the owner of the
# table, also where that cannot log in; one whose process takes the server down
# goes on and says only what the counters show; a table that is dropped takes its
# policy with it; and they come through pg_dump and pg_restore, but for those whose
# table or role is gone. TAP, because it takes processes, their ends and the client
# programs.
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
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', <<~'SQL');
    CREATE EXTENSION dbops;
    CREATE ROLE owner NOLOGIN;
    GRANT CREATE ON SCHEMA public TO owner;
    SELECT dbops.grant_access('owner', 'operator');
    SQL

sub query { return $node->safe_psql('app', $_[0]) }

# Until the query says so.
sub is_soon
{
	my ($sql, $expected, $name) = @_;

	ok($node->poll_query_until('app', $sql, $expected), $name) or diag(query('SELECT object, action, outcome, message FROM dbops.maintenance_report() LIMIT 3'));
	return;
}

# by itself, as the owner
query(<<~'SQL');
    SET ROLE owner;
    CREATE TABLE visits AS SELECT generate_series(1, 1000) AS id;
    SELECT dbops.set_vacuum_policy('visits', schedule => '@every 1 second');
    SQL
is_soon("SELECT string_agg(object || ' ' || action || ' ' || outcome, ',') FROM dbops.maintenance_report()",
	'public.visits analyze done', 'the background analyzes it');
is_soon("SELECT DISTINCT owner || ' ' || state FROM dbops.jobs() WHERE kind = 'vacuum'", 'owner succeeded', 'as its owner');

# a process that takes the server down in the middle
query(<<~'SQL');
    SELECT dbops.remove_vacuum_policy('visits');
    SET ROLE owner;
    CREATE FUNCTION slow(int) RETURNS int IMMUTABLE LANGUAGE plpgsql SET lock_timeout = 0 AS $$
    BEGIN PERFORM pg_advisory_lock_shared(1), pg_advisory_unlock_shared(1); RETURN $1; END $$;
    CREATE TABLE events (id int);
    CREATE INDEX ON events (slow(id));
    INSERT INTO events SELECT generate_series(1, 100);
    SQL
my $gate = $node->background_psql('app', on_error_stop => 0);
$gate->query_safe('SELECT pg_advisory_lock(1)');
query(q{SET ROLE owner; SELECT dbops.set_vacuum_policy('events', schedule => '@every 1 second')});
is_soon("SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'advisory' AND backend_type = 'dbops runner'", '1', 'its runner is at work');
is(query("SELECT waiting FROM dbops.jobs() WHERE name = 'public.events' AND state = 'running'"),
	'analyze of public.events', 'jobs() says at what');
my $pid = query("SELECT pid FROM pg_stat_activity WHERE wait_event = 'advisory'");
crash_server($node, $pid);
eval { $gate->quit };
is_soon("SELECT count(*) FROM dbops.maintenance_report() WHERE object = 'public.events' AND action = 'analyze' AND outcome = 'done'",
	'1', 'it is begun again after the crash');
is(query("SELECT count(*) > 0 FROM pg_statistic WHERE starelid = 'events'::regclass"), 't', 'and done');
is_soon("SELECT crashes, state FROM dbops.job WHERE name = 'public.events'", '1|succeeded', 'by the same job');

# a table that is dropped
query('DROP TABLE events');
is_soon("SELECT count(*) FROM dbops.policies()", '0', 'its policy goes with it');
is(query("SELECT object || ' ' || action || ': ' || message FROM dbops.maintenance_report() WHERE action = 'remove policy'"),
	'public.events remove policy: the relation does not exist any more', 'and the log says so');

# a copy; nothing of it is looked after here
query('ALTER SYSTEM SET dbops.enabled = off');
query('SELECT pg_reload_conf()');
query(<<~'SQL');
    CREATE TABLE "the ""orders""" (id int);
    CREATE TABLE gone (id int);
    SELECT dbops.set_vacuum_policy('"the ""orders"""', time_window => '01:00-02:00', schedule => '@weekly'),
           dbops.set_vacuum_policy(analyze_every => '14 days', schedule => '@yearly');
    INSERT INTO dbops.policy (kind, relation, name, owner, spec, schedule, time_zone, path, next_run)
    SELECT 'vacuum', oid, 'gone', 99999, '{}'::jsonb, '@yearly', 'UTC', '', now() FROM pg_class WHERE relname = 'gone'
     UNION ALL SELECT 'vacuum', 99998, 'not there', 10, '{}', '@yearly', 'UTC', '', now();
    SQL
my $policies = 'SELECT name, relation, owner, schedule, time_window, spec FROM dbops.policy ORDER BY name';
my $dump = $node->basedir . '/app.dump';
my @at = ('-h', $node->host, '-p', $node->port);
$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, @at, 'app' ], 'it is dumped');
$node->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$node->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', @at, $dump ], 'and restored');
query("DELETE FROM dbops.policy WHERE name IN ('gone', 'not there')");
is($node->safe_psql('restored', $policies), query($policies), 'its policies are the same, but for what is gone');
is($node->safe_psql('restored', "SELECT relation = '\"the \"\"orders\"\"\"'::regclass FROM dbops.policy WHERE relation IS NOT NULL"),
	't', 'and of the table there');
is($node->safe_psql('restored', 'SELECT count(*) FROM dbops.maintenance_log'), '0', 'what was done in the original was not done there');
is($node->safe_psql('restored', q{SELECT dbops.set_vacuum_policy('gone') IS NOT NULL}), 't', 'numbers go on');

$node->stop;
done_testing();
