# What is known of rebuilds comes through pg_dump and pg_restore, where the same
# tables have other OIDs: history and policies by name, and nothing that is about
# files of the old database. A policy whose role is gone there is left out. TAP,
# because it takes the client programs.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    fsync = off
    autovacuum = off
    shared_preload_libraries = 'dbops'
    CONF
$node->start;

sub ask
{
	my ($database, $sql) = @_;
	return $node->safe_psql($database, $sql);
}

ask('postgres', $_) for 'CREATE ROLE passing', 'CREATE ROLE leaving', 'CREATE DATABASE app', 'CREATE DATABASE copy';
ask('app', <<~'SQL');
    CREATE EXTENSION dbops;
    SELECT dbops.grant_access(r, 'operator') FROM unnest('{passing,leaving}'::regrole[]) r;
    CREATE TABLE "it's" (id int PRIMARY KEY, v int);
    INSERT INTO "it's" SELECT g, g FROM generate_series(1, 100000) g;
    CREATE INDEX "an ""index""" ON "it's" (v);
    DELETE FROM "it's" WHERE id % 10 <> 0;
    CREATE TABLE gone (id int);
    CREATE TABLE orphan (id int);
    ALTER TABLE orphan OWNER TO leaving;
    SELECT FROM dbops.set_reindex_policy('"it''s"', min_percent => 40, unique_indexes => 'no', schedule => '@yearly');
    SELECT FROM dbops.set_reindex_policy('gone', schedule => '@yearly');
    SET ROLE passing;
    SELECT FROM dbops.set_reindex_policy(min_bytes => 12345, schedule => '@yearly');
    SET ROLE leaving;
    SELECT FROM dbops.set_reindex_policy('orphan', schedule => '@yearly');
    SQL
ask('app', 'VACUUM "it\'s"');
ask('app', q{SELECT dbops.start_reindex('"an ""index"""') AS job \gset
	CALL dbops.wait_job(:job)});

# A rebuild that was begun, and a best that was seen, are about files and processes.
ask('app', q{INSERT INTO dbops.reindex_begun (job_id, index_oid, table_oid, index_name, table_name, begun_at, bytes, shape, invalid)
	VALUES (0, 1, 1, 'public.x', 'public.y', now(), 0, '', '{}')});
is(ask('app', 'SELECT count(*) FROM dbops.index_best'), '1', 'how small it is at its best is known');
ask('app', 'DROP TABLE gone; REASSIGN OWNED BY leaving TO CURRENT_ROLE; DROP OWNED BY leaving; DROP ROLE leaving');
is(ask('app', q{SELECT count(*) FROM dbops.policy WHERE kind = 'reindex'}), '4', 'a policy stays until somebody looks');

my $history = 'SELECT index_name, table_name, rebuilt_at, duration, bytes_before, bytes_after, density_before, density_after FROM dbops.reindex_history()';
my $policies = q{SELECT coalesce(p.relation::regclass::text, 'database') || ' of ' || p.owner::regrole, p.schedule, p.spec
	FROM dbops.policy p WHERE kind = 'reindex' ORDER BY 1};
my $dump = $node->basedir . '/app.dump';
my @at = ('-h', $node->host, '-p', $node->port);

$node->command_ok([ 'pg_dump', '-Fc', '-f', $dump, @at, 'app' ], 'it is dumped');
my $old = ask('app', q{SELECT '"it''s"'::regclass::oid});
$node->command_ok([ 'pg_restore', '-d', 'copy', @at, $dump ], 'it is restored');

isnt(ask('copy', q{SELECT '"it''s"'::regclass::oid}), $old, 'the table has another OID');
is(ask('copy', $history), ask('app', $history), 'the history is the same');
like(ask('copy', $policies), qr/^"it's" of \w+\|\@yearly\|.*"unique_indexes": "no"/m, 'the policy is of the table that has its name');
like(ask('copy', $policies), qr/^database of passing\|\@yearly\|.*12345/m, 'and that of the database is of its role');
is(ask('copy', q{SELECT count(*) FROM dbops.policy WHERE kind = 'reindex'}), '2', 'those whose table or role is gone are left out');
is(ask('copy', 'SELECT count(*) FROM dbops.reindex_begun'), '0', 'what was begun there was begun there');
is(ask('copy', 'SELECT count(*) FROM dbops.index_best'), '0', 'and another file may become as small');

# It lives on: the same index is rebuilt, and known to be the same.
ask('copy', 'SELECT dbops.adopt_database()');
ask('copy', q{SELECT dbops.start_reindex('"an ""index"""') AS job \gset
	CALL dbops.wait_job(:job)});
is(ask('copy', 'SELECT count(*), count(DISTINCT index_name), count(DISTINCT rebuilt_at) FROM dbops.reindex_history()'), '2|1|2', 'its next rebuild joins the history');
is(ask('copy', 'SELECT count(DISTINCT job_id) FROM dbops.reindex_history()'), '2', 'and is of another job than that of the old database');
$node->stop;
done_testing();
