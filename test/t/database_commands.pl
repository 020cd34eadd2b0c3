# Commands that need a database to themselves succeed while jobs run in it, as a
# session's first command too; for who has no right to them, or where they
# cannot run, the jobs notice nothing; and where they fail, the jobs go on. TAP,
# because it takes databases, tablespaces and several sessions.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    max_prepared_transactions = 2
    CONF
$node->start;

my $place = PostgreSQL::Test::Utils::tempdir;
$node->safe_psql('postgres', $_) for (
	'CREATE ROLE owner LOGIN', 'CREATE ROLE maker LOGIN CREATEDB', 'CREATE ROLE nobody LOGIN',
	'CREATE DATABASE app OWNER owner', "CREATE TABLESPACE elsewhere LOCATION '$place'",
	'CREATE EXTENSION dbops');
$node->safe_psql('app', 'CREATE EXTENSION dbops');

# The process that runs the long job of a database; waits for it.
sub runner
{
	my ($database) = @_;
	my $of = qq{FROM pg_stat_activity WHERE datname = '$database' AND query = 'SELECT pg_sleep(600)' AND state = 'active'};

	$node->poll_query_until('postgres', "SELECT count(*) = 1 $of") or die "no job runs in $database";
	return $node->safe_psql('postgres', "SELECT pid $of");
}

sub start_job
{
	my ($database) = @_;

	$node->safe_psql($database, q{SELECT dbops.enqueue('SELECT pg_sleep(600)')});
	return runner($database);
}

# Each psql is a session of its own, so this is its first command.
sub succeeds
{
	my ($command, $database) = @_;
	my ($stdout, $stderr);

	is($node->psql($database // 'postgres', $command, stdout => \$stdout, stderr => \$stderr), 0, "$command succeeds")
	  or diag($stderr);
	return;
}

my $pid = start_job('app');

# What leaves the database in place lets the job go on afterwards.
for my $command (
	'CREATE DATABASE copy TEMPLATE app',
	'ALTER DATABASE app SET TABLESPACE elsewhere',
	'ALTER DATABASE app SET TABLESPACE pg_default')
{
	succeeds($command);
	my $next = runner('app');
	isnt($next, $pid, 'the job made way and goes on');
	$pid = $next;
}
succeeds('ALTER DATABASE app RENAME TO renamed');
runner('renamed');
succeeds('BEGIN; ALTER DATABASE renamed RENAME TO again; ROLLBACK');
runner('renamed');
succeeds('ALTER DATABASE renamed RENAME TO app');
$pid = runner('app');
succeeds('ALTER EXTENSION dbops UPDATE', 'app');
isnt(runner('app'), $pid, 'the job goes on after ALTER EXTENSION');
is($node->safe_psql('app', q{SELECT count(*) FROM dbops.jobs() WHERE state = 'running'}), '1', 'it is the same job');
is($node->safe_psql('app', q{SELECT crashes FROM dbops.job}), '0', 'which has not crashed');
$pid = runner('app');

# Who has no right to a command does not disturb the jobs.
my @refused = (
	[ 'nobody', 'DROP DATABASE app', qr/must be owner of database app/ ],
	[ 'maker', 'CREATE DATABASE mine TEMPLATE app', qr/permission denied to copy database "app"/ ],
	[ 'owner', 'CREATE DATABASE mine TEMPLATE app', qr/permission denied to create database/ ],
	[ 'owner', 'ALTER DATABASE app RENAME TO mine', qr/permission denied to rename database/ ],
	[ 'maker', 'ALTER DATABASE app RENAME TO mine', qr/must be owner of database app/ ],
	[ 'nobody', 'ALTER DATABASE app SET TABLESPACE elsewhere', qr/must be owner of database app/ ],
	[ 'owner', 'ALTER DATABASE app SET TABLESPACE elsewhere', qr/permission denied for tablespace elsewhere/ ],
	[ 'owner', 'DROP EXTENSION dbops', qr/must be owner of extension dbops/, 'app' ],
	[ 'owner', 'ALTER EXTENSION dbops UPDATE', qr/must be owner of extension dbops/, 'app' ],
	# nor does who asks for what cannot be done
	[ 'postgres', 'BEGIN; DROP DATABASE app', qr/cannot run inside a transaction block/ ],
	[ 'postgres', 'BEGIN; CREATE DATABASE mine TEMPLATE app', qr/cannot run inside a transaction block/ ],
	[ 'postgres', q{DO $$ BEGIN EXECUTE 'DROP DATABASE app'; END $$}, qr/cannot be executed from a function/ ],
	[ 'postgres', 'SET default_transaction_read_only = on; DROP DATABASE app', qr/read-only transaction/ ],
	[ 'postgres', 'DROP DATABASE app', qr/cannot drop the currently open database/, 'app' ],
	[ 'postgres', 'CREATE DATABASE copy TEMPLATE app', qr/database "copy" already exists/ ],
	[ 'postgres', 'CREATE DATABASE mine TEMPLATE app OWNER missing', qr/role "missing" does not exist/ ],
	[ 'postgres', 'ALTER DATABASE app RENAME TO copy', qr/database "copy" already exists/ ],
	[ 'postgres', 'ALTER DATABASE app SET TABLESPACE missing', qr/tablespace "missing" does not exist/ ],
	[ 'postgres', 'DROP DATABASE missing', qr/database "missing" does not exist/ ],
	[ 'postgres', 'CREATE DATABASE mine TEMPLATE missing', qr/template database "missing" does not exist/ ]);
my $superuser = $node->safe_psql('postgres', 'SELECT current_user');
for my $case (@refused)
{
	my ($role, $command, $message, $database) = @$case;
	my ($stdout, $stderr);

	$role = $superuser if $role eq 'postgres';
	isnt($node->psql($database // 'postgres', $command, stdout => \$stdout, stderr => \$stderr, extra_params => [ '-U', $role ]),
		0, "$command is refused to $role");
	like($stderr, $message, 'for the server\'s reason');
}
succeeds('DROP DATABASE IF EXISTS missing');
is(runner('app'), $pid, 'the job has noticed none of it');

# A command that fails in the end: others are in the database too.
my $other = $node->background_psql('app');
my ($stdout, $stderr);
isnt($node->psql('postgres', 'CREATE DATABASE mine TEMPLATE app', stderr => \$stderr), 0, 'a copy fails while others are connected');
like($stderr, qr/There is 1 other session using the database/, 'and dbops is not one of them');
isnt(runner('app'), $pid, 'the job goes on');
$other->quit;

# A job may run such a command, for another database and for its own.
$node->safe_psql('postgres', q{SELECT dbops.enqueue('ALTER DATABASE app RENAME TO app2')});
runner('app2');
for my $command ('ALTER DATABASE app2 RENAME TO app', 'ALTER EXTENSION dbops UPDATE')
{
	is($node->safe_psql('postgres', qq{
		SELECT dbops.enqueue('$command') AS job \\gset
		CALL dbops.wait_job(:job, '30s')}), 'succeeded', "$command succeeds as a job");
}
runner('app');

# What was prepared is looked at when it is committed.
$node->safe_psql('app', q{BEGIN; SELECT dbops.enqueue('SELECT 7 AS seven', name => 'prepared'); PREPARE TRANSACTION 'p'});
sleep 1;
$node->safe_psql('app', q{COMMIT PREPARED 'p'});
ok( $node->poll_query_until('app', q{SELECT state = 'succeeded' FROM dbops.jobs() WHERE name = 'prepared'}),
	'a job that was prepared runs when that is committed');

# The end: of the extension, and of databases.
succeeds('DROP EXTENSION dbops', 'app');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_stat_activity WHERE datname = 'app'}), '0', 'nobody is left there');
$node->safe_psql('app', 'CREATE EXTENSION dbops');
start_job('app');
succeeds('DROP DATABASE app');
$node->safe_psql('postgres', 'CREATE DATABASE app');
$node->safe_psql('app', 'CREATE EXTENSION dbops');
start_job('app');
succeeds('DROP DATABASE app WITH (FORCE)');
succeeds('DROP DATABASE copy');

# A call whose work is a job says that the extension was dropped, and how far it came.
$node->safe_psql('postgres', 'CREATE DATABASE dropper');
$node->safe_psql('dropper', q{
	CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
	INSERT INTO t SELECT generate_series(1, 20000)});
for my $case (
	[ q{'n = 1', 'n = 0', workers => 2}, 'CREATE EXTENSION dbops; then the same call does the rest.' ],
	[ q{'n = n + 1', method => 'keyset'}, 'Find out which rows have been changed before you call again' ])
{
	my ($arguments, $hint) = @$case;

	$node->safe_psql('dropper', 'CREATE EXTENSION dbops; UPDATE t SET n = 0');
	my $call = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('dropper'), '-c', 'SET client_min_messages = warning', '-c',
			"CALL dbops.batched_backfill('t', $arguments, batch_size => 50, pause => '50 ms')" ], '>', \my $out, '2>', \my $err);
	$node->poll_query_until('dropper', 'SELECT count(*) > 200 FROM t WHERE n = 1') or die 'it does not begin';
	$node->safe_psql('dropper', 'DROP EXTENSION dbops CASCADE');
	$call->finish;
	like($err, qr/^ERROR:  extension dbops has been dropped while job \d+ was running\nDETAIL:  At least \d+ rows have been changed and committed\.\nHINT:  \Q$hint\E[^\n]*\n$/,
		"DROP EXTENSION during a call: $arguments");
	my ($rows) = $err =~ /At least (\d+) rows/;
	cmp_ok($rows, '>', 0, 'the call says how many rows it has changed');
	cmp_ok($rows, '<=', $node->safe_psql('dropper', 'SELECT count(*) FROM t WHERE n = 1'), 'and no more than it has');
}

# Templates, and databases that take no connections, are left alone.
$node->safe_psql('postgres', 'CREATE DATABASE model IS_TEMPLATE true');
$node->safe_psql('model', q{CREATE EXTENSION dbops; SELECT dbops.enqueue('SELECT 1')});
$node->safe_psql('template1', q{CREATE EXTENSION dbops});
sleep 1;
is($node->safe_psql('model', q{SELECT state FROM dbops.jobs()}), 'queued', 'no job of a template runs');
succeeds('CREATE DATABASE from_default');
succeeds('CREATE DATABASE from_model TEMPLATE model');
is($node->safe_psql('from_model', q{SELECT severity FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine'}),
	'critical', 'what is made from a template is a copy');
is($node->safe_psql('from_default', q{
	SELECT dbops.adopt_database();
	SELECT dbops.enqueue('SELECT 1') AS job \gset
	CALL dbops.wait_job(:job, '30s')}), "\nsucceeded", 'until it is adopted');
$node->safe_psql('from_default', q{SELECT dbops.enqueue('SELECT 1', run_after => now() + '2 s')});
$node->safe_psql('postgres', 'ALTER DATABASE from_default ALLOW_CONNECTIONS false');
$node->restart;
sleep 3;
unlike(slurp_file($node->logfile), qr/FATAL:  .*(does not exist|not currently accepting connections)/,
	'no process was started where there was nothing for it');

$node->stop;
done_testing();
