# Where dbops works: in databases that have it and in no others, found without
# being told, at the COMMIT of CREATE EXTENSION and not before. Between two
# pieces of work one process is there, connected nowhere. TAP, because it takes
# a whole cluster of databases.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;

# Starts of processes are in the log at this level.
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    log_min_messages = debug1
    CONF
$node->start;

sub sql
{
	my ($query, $database) = @_;

	return $node->safe_psql($database // 'postgres', $query);
}

sub oid_of
{
	my ($database) = @_;

	return sql("SELECT oid FROM pg_database WHERE datname = '$database'");
}

# How many schedulers were started in a database, from a place in the log on.
sub schedulers
{
	my ($oid, $from) = @_;
	my $count = () = slurp_file($node->logfile, $from) =~ /starting background worker process "dbops scheduler of database $oid"/g;

	return $count;
}

# Wait until the log has a scheduler of a database.
sub wait_for_scheduler
{
	my ($oid, $from) = @_;

	for my $try (1 .. 1800)
	{
		return 1 if schedulers($oid, $from) > 0;
		$node->poll_query_until('postgres', 'SELECT pg_sleep(0.05) IS NOT NULL');
	}
	return 0;
}

# Wait until only the launcher is left.
sub wait_until_idle
{
	return $node->poll_query_until('postgres',
		q{SELECT string_agg(backend_type, ' ') = 'dbops launcher' FROM pg_stat_activity WHERE backend_type LIKE 'dbops%'});
}

# ---- many databases

my $begin = time;
my @names = map { "d$_" } 1 .. 100;
$node->psql('postgres', join "\n", map { "CREATE DATABASE $_ TEMPLATE template0 STRATEGY file_copy;" } @names);
note(sprintf '100 databases took %d s', time - $begin);
my %oid = map { split /\|/ } split /\n/, sql('SELECT datname, oid FROM pg_database');
sql('CREATE EXTENSION dbops', $_) for @names[0 .. 4];
my $log_at = -s $node->logfile;
$node->restart;
ok( (!grep { !wait_for_scheduler($oid{$_}, $log_at) } @names), 'each database is looked at');
ok(wait_until_idle(), 'then one process is left');
is(sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type LIKE 'dbops%' AND datid IS NOT NULL}),
	'0', 'which is connected nowhere');
is(sql(q{SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.backend_type LIKE 'dbops%'}), '0', 'and holds no lock');

# jobs in all of those that have dbops, at once
my %job = map { $_ => sql('SELECT dbops.enqueue($$ SELECT current_database() $$)', $_) } @names[0 .. 4];
for my $name (sort keys %job)
{
	sql("CALL dbops.wait_job($job{$name})", $name);
	is(sql("SELECT dbops.job_status($job{$name}) #>> '{result,rows,0,current_database}'", $name), $name, "a job runs in $name");
}
ok(wait_until_idle(), 'afterwards one process is left again');
$log_at = -s $node->logfile;
sql('SELECT 1', $_) for @names[0 .. 9];
is((grep { schedulers($oid{$_}, $log_at) } @names), 0, 'what is no work wakes nobody');

# ---- CREATE EXTENSION

my $session = $node->background_psql('d50');
$log_at = -s $node->logfile;
$session->query_safe('BEGIN; CREATE EXTENSION dbops');

# Others are served meanwhile, so that the launcher was awake.
my $witness = sub {
	my $id = sql('SELECT dbops.enqueue($$ SELECT 1 $$)', 'd1');
	sql("CALL dbops.wait_job($id)", 'd1');
	return;
};
$witness->();
is(schedulers($oid{d50}, $log_at), 0, 'CREATE EXTENSION wakes nobody before COMMIT');
$session->query_safe('ROLLBACK');
$witness->();
is(schedulers($oid{d50}, $log_at), 0, 'nor on ROLLBACK');
$session->query_safe('BEGIN; SAVEPOINT s; CREATE EXTENSION dbops; ROLLBACK TO s; COMMIT');
$witness->();
is(schedulers($oid{d50}, $log_at), 0, 'nor if a savepoint before it was rolled back');
$session->query_safe('BEGIN; SAVEPOINT s; CREATE EXTENSION dbops; RELEASE s; COMMIT');
ok(wait_for_scheduler($oid{d50}, $log_at), 'but at COMMIT');
is($session->query_safe(q{SELECT dbops.enqueue('SELECT 1')}), '1', 'a job is submitted there');
$session->query_safe('CALL dbops.wait_job(1)');
is($session->query_safe('SELECT state FROM dbops.jobs()'), 'succeeded', 'and runs');

# ---- DROP EXTENSION

sql(q{SELECT dbops.enqueue('SELECT 1', run_after => clock_timestamp() + interval '1 s')}, 'd50');
ok(wait_until_idle(), 'a job for later keeps no process');
$session->query_safe('DROP EXTENSION dbops');
$session->quit;
ok(wait_until_idle(), 'DROP EXTENSION ends the work there');
sql('SELECT pg_sleep(1.2)');
ok(wait_until_idle(), 'also what was to come');
$log_at = -s $node->logfile;
$witness->();
is(schedulers($oid{d50}, $log_at), 0, 'and nobody looks there again');
sql('CREATE EXTENSION dbops', 'd50');
ok(wait_for_scheduler($oid{d50}, $log_at), 'until it is created again');
my $again = sql(q{SELECT dbops.enqueue('SELECT 1')}, 'd50');
sql("CALL dbops.wait_job($again)", 'd50');
is(sql('SELECT state FROM dbops.jobs()', 'd50'), 'succeeded', 'and jobs run again');

# ---- databases that are left alone

sql('CREATE EXTENSION dbops', 'template1');
sql(q{SELECT dbops.enqueue('SELECT 1')}, 'template1');
$witness->();
is(schedulers($oid{template1}, 0), 0, 'nobody works in a template');
is(schedulers($oid{template0}, 0), 0, 'nor in one that nobody may connect to');
like(sql('SELECT waiting FROM dbops.jobs()', 'template1'), qr/template/, 'a job there says why it waits');
sql('DROP EXTENSION dbops', 'template1');
sql('ALTER DATABASE d60 ALLOW_CONNECTIONS false');
sql(q{UPDATE pg_database SET datconnlimit = -2 WHERE datname = 'd61'});
sql('ALTER DATABASE d62 IS_TEMPLATE true');
$log_at = -s $node->logfile;
$node->restart;
ok(wait_for_scheduler($oid{d99}, $log_at) && wait_until_idle(), 'after a restart the others are looked at');
is(schedulers($oid{d60}, $log_at), 0, 'but not one that nobody may connect to');
is(schedulers($oid{d61}, $log_at), 0, 'nor an invalid one');
is(schedulers($oid{d62}, $log_at), 0, 'nor a template');
my $log = slurp_file($node->logfile);
unlike($log, qr/FATAL:(?!.*(terminating|the database system is|administrator))/, 'nothing has failed');
$node->stop;
done_testing();
