# Policies of all kinds, holds, schedules, jobs and what the log says of them come
# through pg_upgrade as they were; nothing runs in the new server before it is
# adopted, and then what was due runs there once, and what was done is not done
# again. From there pg_dump takes to another database what belongs to the tables
# and roles that there are. TAP, because it takes two servers and the client
# programs; long, because pg_upgrade is.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub new_server
{
	my ($name) = @_;
	my $node = PostgreSQL::Test::Cluster->new($name);

	$node->init;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nfsync = off\nautovacuum = off\n");
	return $node;
}

# Every row of every table of dbops, and where its sequences stand.
sub contents
{
	my ($of, $database, @tables) = @_;
	my $filter = @tables ? 'c.relname IN (' . join(', ', map { "'$_'" } @tables) . ')' : "c.relkind IN ('r', 'S')";

	return $of->safe_psql($database, $of->safe_psql($database, <<~"SQL"));
        SELECT string_agg(format(\$\$ SELECT '%1\$s: ' || t::text FROM (SELECT %2\$s FROM dbops.%1\$I) t ORDER BY 1; \$\$,
                                 c.relname, CASE c.relkind WHEN 'S' THEN 'last_value, is_called' ELSE '*' END), '' ORDER BY c.relname)
          FROM pg_class c WHERE c.relnamespace = 'dbops'::regnamespace AND $filter
        SQL
}

sub quarantine
{
	my ($of, $database) = @_;

	return $of->safe_psql($database, q{SELECT severity FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine'});
}

my $old = new_server('old');
$old->start;
$old->safe_psql('postgres', 'CREATE DATABASE app');
$old->safe_psql('app', <<~'SQL');
    CREATE EXTENSION dbops;
    CREATE ROLE "the ""owner""" LOGIN;
    GRANT CREATE ON SCHEMA public TO "the ""owner""";
    SELECT dbops.grant_access('"the ""owner"""', 'operator');
    SET ROLE "the ""owner""";
    CREATE TABLE "the ""logs""" (id int PRIMARY KEY, at timestamptz);
    INSERT INTO "the ""logs""" SELECT i, now() - interval '100 days' FROM generate_series(1, 8) i;
    INSERT INTO "the ""logs""" SELECT i, now() FROM generate_series(9, 40) i;
    CREATE TABLE visits (id int, at timestamptz) PARTITION BY RANGE (at);
    SELECT format('CREATE TABLE visits_%s PARTITION OF visits FOR VALUES FROM (%L) TO (%L)', i, date_trunc('month', now()) + (i - 1) * interval '1 month',
                  date_trunc('month', now()) + i * interval '1 month') FROM generate_series(1, 2) i \gexec
    CREATE TABLE ran (what text);
    SQL

# done before: a job, what policies have done, an index that was rebuilt
$old->safe_psql('app', <<~'SQL');
    SET ROLE "the ""owner""";
    SELECT dbops.enqueue($$INSERT INTO ran VALUES ('before')$$) AS job \gset
    CALL dbops.wait_job(:job);
    SELECT dbops.set_retention('"the ""logs"""', 'at', '99 days', schedule => '@yearly');
    SELECT dbops.place_hold('"the ""logs"""', 'id % 2 = 0', 'dispute 1');
    SELECT dbops.release_hold(dbops.place_hold('"the ""logs"""', 'id = 1', 'dispute 2'), 'settled');
    CALL dbops.run_retention('"the ""logs"""', confirm => true);
    SELECT dbops.start_reindex('"the ""logs""_pkey"') AS job \gset
    CALL dbops.wait_job(:job);
    SQL
is($old->safe_psql('app', 'SELECT string_agg(id::text, \',\' ORDER BY id) FROM "the ""logs""" WHERE id <= 8'), '2,4,6,8', 'what is not held is gone before');

# and not any more: what is due, or waits, when the server is stopped
$old->safe_psql('app', 'ALTER SYSTEM SET dbops.enabled = off');
$old->reload;
$old->poll_query_until('app', "SELECT current_setting('dbops.enabled') = 'off'");
$old->safe_psql('app', <<~'SQL');
    SET ROLE "the ""owner""";
    SELECT dbops.set_partitioning('visits', schedule => '@every 1 second'),
           dbops.set_reindex_policy('"the ""logs"""', schedule => '@yearly', time_window => 'sun 01:00-05:00', time_zone => 'Europe/Berlin'),
           dbops.set_vacuum_policy(schedule => '@yearly'), dbops.set_vacuum_policy('visits', analyze_every => '1 day', schedule => '@yearly');
    SELECT dbops.set_retention('visits', 'at', '2 years', schedule => '@yearly');
    SELECT dbops.schedule('each year', '@yearly', $$INSERT INTO ran VALUES ('schedule')$$, time_zone => 'Europe/Berlin'),
           dbops.schedule('soon', '@every 1 second', $$INSERT INTO ran VALUES ('soon')$$);
    SELECT dbops.enqueue($$INSERT INTO ran VALUES ('after')$$);
    SQL
my $before = contents($old, 'app');
like($before, qr/^policy: /m, 'there are policies');
is($old->safe_psql('app', "SELECT string_agg(DISTINCT kind, ',' ORDER BY kind) FROM dbops.policy"), 'partitioning,reindex,retention,vacuum', 'of all kinds');
for my $table (qw(hold job maintenance_log reindex_history schedule))
{
	like($before, qr/^$table: /m, "there are rows of $table");
}
is($old->safe_psql('app', q{SELECT string_agg(DISTINCT state, ',' ORDER BY state) FROM dbops.job}), 'queued,succeeded', 'jobs that have ended and one that waits');
$old->stop;

# ---- pg_upgrade

my $new = new_server('new');
my $bindir = $old->config_data('--bindir');
chdir PostgreSQL::Test::Utils::tempdir or die $!;
command_ok(
	[
		'pg_upgrade', '--no-sync', '-d', $old->data_dir, '-D', $new->data_dir, '-b', $bindir, '-B', $bindir,
		'-s', $new->host, '-p', $old->port, '-P', $new->port
	],
	'the server is upgraded');

# A copy is watched, which would add to its history at once.
$new->append_conf('postgresql.conf', "dbops.enabled = off\n");
$new->start;
is(contents($new, 'app'), $before, 'every row and number of dbops is there as it was');
$new->append_conf('postgresql.conf', "dbops.enabled = on\n");
$new->reload;
$new->poll_query_until('app', "SELECT current_setting('dbops.enabled') = 'on'") or die 'it stays off';
is(quarantine($new, 'app'), 'critical', 'it is another server: it runs nothing');
is($new->safe_psql('app', q{SELECT relation::text FROM dbops.hold LIMIT 1}), '"the ""logs"""', 'rows are about the same tables');
my $waits = $new->safe_psql('app', q{SELECT id FROM dbops.job WHERE state = 'queued'});
$new->psql('app', "CALL dbops.wait_job($waits, '2 seconds')");
is($new->safe_psql('app', 'SELECT string_agg(what, \',\') FROM ran'), 'before', 'nothing has run');

$new->safe_psql('app', 'SELECT dbops.adopt_database()');
ok( $new->poll_query_until(
		'app',
		q{SELECT count(*) = 3 FROM unnest('{before,after,soon}'::text[]) w WHERE EXISTS (SELECT FROM ran WHERE what = w)}),
	'adopted, it runs what waits and what is due');
ok( $new->poll_query_until('app', q{SELECT count(*) > 2 FROM pg_inherits WHERE inhparent = 'visits'::regclass}),
	'policies too');
is($new->safe_psql('app', q{SELECT what, count(*) FROM ran WHERE what <> 'soon' GROUP BY what ORDER BY what}),
	"after|1\nbefore|1", 'once, and nothing again that was done');
is($new->safe_psql('app', q{SELECT count(*) FROM dbops.maintenance_log WHERE kind = 'retention' AND outcome = 'done'}),
	scalar(() = $before =~ /^maintenance_log: .*,retention,.*,done,/mg), 'retention is not done again before its time');
is($new->safe_psql('app', 'SELECT string_agg(id::text, \',\' ORDER BY id) FROM "the ""logs""" WHERE id <= 8'), '2,4,6,8', 'what is held is kept');
$new->safe_psql('app', 'SET ROLE "the ""owner"""; CALL dbops.run_retention(\'"the ""logs"""\')');
is($new->safe_psql('app', 'SELECT count(*) FROM "the ""logs""" WHERE id <= 8'), '4', 'and stays so when it is looked after');
$new->safe_psql('app', q{SET ROLE "the ""owner"""; SELECT dbops.set_vacuum_policy('ran', schedule => '@yearly')});
is($new->safe_psql('app', q{SELECT max(id) = (SELECT id FROM dbops.policy WHERE name = 'public.ran') FROM dbops.policy}), 't', 'numbers go on');

# ---- from there by pg_dump to a database beside it, and to a server where the role is another one

$new->safe_psql('app', q{SELECT dbops.unschedule('soon'), dbops.remove_partitioning('visits')});
$new->poll_query_until('app', 'SELECT NOT EXISTS (SELECT FROM dbops.job WHERE finished_at IS NULL)');
$new->safe_psql('app', <<~'SQL');
    CREATE TABLE gone (id int);
    SELECT dbops.set_vacuum_policy('gone', schedule => '@yearly');
    INSERT INTO dbops.policy (kind, relation, name, owner, spec, schedule, time_zone, path, next_run)
    SELECT 'vacuum', 99998, 'not there', 10, '{}', '@yearly', 'UTC', '', now();
    INSERT INTO dbops.hold (relation, name, predicate, condition, reason, placed_by, placed_at, names) VALUES (99998, 'not there', 'true', 'true', 'x', 'x', now(), '{}');
    SET dbops.enabled = off; DROP TABLE gone;
    SQL
my @dumped = qw(hold policy reindex_history schedule);
my $kept = join "\n", grep { !/not there|gone/ } split /\n/, contents($new, 'app', @dumped);
my $dump = PostgreSQL::Test::Utils::tempdir . '/app.dump';
my @at = ('-h', $new->host, '-p', $new->port);
$new->command_ok([ 'pg_dump', '-Fc', '-f', $dump, @at, 'app' ], 'it is dumped');
$new->safe_psql('postgres', 'CREATE DATABASE restored TEMPLATE template0');
$new->command_ok([ 'pg_restore', '--exit-on-error', '-d', 'restored', @at, $dump ], 'and restored');
is(contents($new, 'restored', @dumped), $kept, 'policies, holds, schedules and rebuilds are there, but for what is gone');
is(quarantine($new, 'restored'), 'critical', 'the copy runs nothing');
is($new->safe_psql('restored', 'SELECT count(*) FROM dbops.job'), '0', 'and has no jobs of the original');
$new->safe_psql('restored', 'SELECT dbops.adopt_database(); SET ROLE "the ""owner"""; CALL dbops.run_retention(\'"the ""logs"""\')');
is($new->safe_psql('restored', 'SELECT count(*) FROM "the ""logs""" WHERE id <= 8'), '4', 'holds hold there');

$new->stop;
done_testing();
