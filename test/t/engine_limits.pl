# What jobs meet when something runs short: processes, workers, roles that are
# dropped or may not log in, connection limits, locks and time. Each ends in a
# state that says why, and nothing spins, starves or stays behind. TAP, because
# it takes a server with tight settings and sessions that come and go.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    log_min_messages = debug1
    max_logical_replication_workers = 0
    max_worker_processes = 4
    max_parallel_workers = 3
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');
my $major = int($node->safe_psql('postgres', 'SHOW server_version_num') / 10000);
my $nologin_runs = $major >= 17;

sub sql
{
	my ($query, $database) = @_;

	return $node->safe_psql($database // 'postgres', $query);
}

# Submit a job; returns its id.
sub enqueue
{
	my ($arguments, %options) = @_;
	my $role = $options{role} ? "SET ROLE $options{role};" : '';

	return sql("$role SELECT dbops.enqueue($arguments)", $options{database});
}

# Wait until something holds of a job.
sub wait_for
{
	my ($id, $condition, $what, $database) = @_;

	ok( $node->poll_query_until($database // 'postgres', "SELECT $condition FROM dbops.jobs() WHERE id = $id"), $what)
	  or diag(sql("SELECT dbops.job_status($id)", $database));
	return;
}

sub look
{
	my ($id, $column) = @_;

	return sql("SELECT $column FROM dbops.jobs() WHERE id = $id");
}

sub set
{
	my ($setting, $value) = @_;

	sql("ALTER SYSTEM SET $setting = $value");
	$node->reload;
	return;
}

sub runners
{
	return sql(q{SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'dbops runner'});
}

sub count_in_log
{
	my ($pattern, $from) = @_;
	my $count = () = slurp_file($node->logfile, $from // 0) =~ /$pattern/g;

	return $count;
}

# ---- no process is to be had

# Parallel workers take what there is, each under a leader that sleeps, once no
# scheduler is at work.
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'dbops scheduler'})
  or die 'a scheduler does not end';
my $force = $major >= 16 ? 'debug_parallel_query' : 'force_parallel_mode';
sql('ALTER FUNCTION pg_sleep(float8) PARALLEL SAFE');
my @hogs;
for my $n (1 .. 3)
{
	my $hog = $node->background_psql('postgres', on_error_stop => 0);
	$hog->query_safe("SET $force = on");
	$hog->query_until(qr/go/, "\\echo go\nSELECT pg_sleep(600);\n");
	push @hogs, $hog;
}
$node->poll_query_until('postgres', q{SELECT count(*) = 3 FROM pg_stat_activity WHERE backend_type = 'parallel worker'})
  or die 'the processes are not taken';
my $log_at = -s $node->logfile;
my $hungry = enqueue(q{'SELECT 1', name => 'hungry'});
wait_for($hungry, q{waiting LIKE 'for a process: all 4 of max_worker_processes are in use'}, 'a job waits for a process and says so');
my $others = enqueue(q{'SELECT 2'});

# Time for two more tries: nothing shall be seen of them.
sql('SELECT pg_sleep(3.5)');
is(count_in_log(qr/dbops cannot start a background process/, $log_at), 1, 'the log says it once');
cmp_ok(count_in_log(qr/dbops scheduler/, $log_at), '<', 5, 'and nothing spins');
sql(q{SELECT count(pg_cancel_backend(pid)) FROM pg_stat_activity WHERE query = 'SELECT pg_sleep(600);' AND backend_type = 'client backend'});
wait_for($_, q{state = 'succeeded'}, 'it runs when processes are free') for $hungry, $others;
$_->quit for @hogs;

# ---- workers

set('dbops.max_workers', 1);
sql(q{CREATE TABLE ran (n serial, what text); GRANT ALL ON ran, ran_n_seq TO PUBLIC});

# priorities: those that wait start in their order
my $first = enqueue(q{'SELECT pg_sleep(600)', name => 'first'});
wait_for($first, q{state = 'running'}, 'one job runs');
sql(q{SELECT dbops.enqueue(format('INSERT INTO ran (what) VALUES (%L)', p), priority => p) FROM generate_series(1, 5) p});
sql(q{SELECT dbops.enqueue('INSERT INTO ran (what) VALUES (''early'')', priority => 5, run_after => now() - interval '1 day')});
my $tuned = enqueue(q{'INSERT INTO ran (what) VALUES (''tuned'')'});
sql("SELECT dbops.tune_job($tuned, priority => 9)");
is(look($tuned, 'waiting'), 'for one of 1 workers (dbops.max_workers), which are busy', 'the others wait for a worker');
sql("SELECT dbops.cancel_job($first)");
$node->poll_query_until('postgres', 'SELECT count(*) = 7 FROM ran') or die 'not all have run';
is(sql('SELECT string_agg(what, $$ $$ ORDER BY n) FROM ran'), 'tuned early 5 4 3 2 1', 'the highest priority goes first, then who has waited longest');

# more jobs than workers, in several databases: all run, and nobody starves; there are
# processes for their schedulers, since who finds none tries again much later
$node->append_conf('postgresql.conf', 'max_worker_processes = 8');
$node->restart;
sql("CREATE DATABASE $_") for qw(second third);
sql('CREATE EXTENSION dbops', $_) for qw(second third);
sql(q{TRUNCATE ran; SELECT dbops.enqueue('INSERT INTO ran (what) SELECT ''mass'' FROM pg_sleep(0.1)') FROM generate_series(1, 150)});
for my $database (qw(second third))
{
	my $id = enqueue(q{'SELECT 1'}, database => $database);
	wait_for($id, q{state = 'succeeded'}, "a job of database $database gets its turn", $database);
}
cmp_ok(sql('SELECT count(*) FROM ran'), '<', 150, 'while others are still queued elsewhere');
$node->poll_query_until('postgres', 'SELECT count(*) = 150 FROM ran') or die 'not all have run';
is(sql(q{SELECT count(*) FROM dbops.jobs(10000) WHERE command LIKE '%mass%' AND attempts <> 1}), '0', 'each has run once');

# one for each key, as long as it lives
my $unique = enqueue(q{'SELECT 1', dedupe_key => 'k', run_after => 'infinity'});
is(enqueue(q{'SELECT 1', dedupe_key => 'k'}), $unique, 'a second one with the same key is the first');
sql("SELECT dbops.cancel_job($unique)");
isnt(enqueue(q{'SELECT 1', dedupe_key => 'k'}), $unique, 'until that has ended');

# later
my ($soon, $waiting) = split /\|/, sql(q{
	BEGIN;
	SELECT dbops.enqueue('SELECT 1', run_after => clock_timestamp() + interval '1.5 s') AS soon \gset
	SELECT id, state || ' ' || waiting FROM dbops.jobs() WHERE id = :soon;
	COMMIT});
like($waiting, qr/^queued until 2/, 'a job waits until its time');
wait_for($soon, q{state = 'succeeded' AND started_at >= submitted_at + interval '1.4 s'}, 'and runs then');

# ---- errors and time

my $tries = enqueue(q{$$ DO 'BEGIN RAISE serialization_failure; END' $$, backoff => '100 ms', max_attempts => 3});
wait_for($tries, q{state = 'failed'}, 'a job that fails each time is given up');
is(look($tries, 'attempts'), 3, 'after that many attempts');
ok(sql("SELECT finished_at - submitted_at >= interval '0.27 s' FROM dbops.jobs() WHERE id = $tries"), 'with time between them');
my $slow = enqueue(q{'SELECT pg_sleep(600)', timeout => '200 ms', max_attempts => 1});
wait_for($slow, q{state = 'failed' AND message = 'timed out after 0.2 s'}, 'a timeout ends a job');
my $locker = $node->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK ran');
my $locked = enqueue(q{'INSERT INTO ran (what) VALUES (''locked'')', lock_timeout => '50 ms', backoff => '100 ms', max_attempts => 50});
wait_for($locked, q{attempts > 1}, 'a job that gets no lock tries again');
$locker->query_safe('COMMIT');
wait_for($locked, q{state = 'succeeded'}, 'and succeeds when it does');

# an error that only shows at COMMIT
sql('CREATE TABLE parent (i int PRIMARY KEY); CREATE TABLE child (i int REFERENCES parent DEFERRABLE INITIALLY DEFERRED)');
my $deferred = enqueue(q{'INSERT INTO child VALUES (1)'});
wait_for($deferred, q{state = 'failed' AND message LIKE '%violates foreign key constraint%'}, 'an error of the commit is the job\'s');
is(look($deferred, 'attempts'), 1, 'and not tried again');
$deferred = enqueue(q{'INSERT INTO child VALUES (1)', run_after => 'infinity'});
isnt($node->psql('postgres', "CALL dbops.run_job($deferred)"), 0, 'in the foreground it is also the caller\'s');
is(look($deferred, 'state'), 'failed', 'and recorded');

# a session that cancels and does not end its transaction
$locker->query_safe('BEGIN');
set('dbops.max_workers', 0);
my $undecided = enqueue(q{'SELECT 1', name => 'undecided'});
is($locker->query_safe("SELECT dbops.cancel_job($undecided)"), 'cancelled', 'a session cancels a job and sits on it');
my $behind = enqueue(q{'SELECT 1', name => 'behind'});
set('dbops.max_workers', 1);
wait_for($behind, q{state = 'succeeded'}, 'which holds up no other job');
is(look($undecided, 'state'), 'queued', 'and the job itself waits');
$locker->query_safe('ROLLBACK');
wait_for($undecided, q{state = 'succeeded'}, 'and runs when the session has thought better of it');
set('dbops.max_workers', 3);

# ---- roles

sql(q{CREATE ROLE regress_worker LOGIN; GRANT USAGE ON SCHEMA dbops TO regress_worker;
	SELECT dbops.grant_access('regress_worker', 'operator')});
my $later = sql(q{
	BEGIN;
	SET LOCAL ROLE regress_worker;
	SELECT dbops.enqueue('SELECT current_user');
	RESET ROLE;
	ALTER ROLE regress_worker NOLOGIN;
	COMMIT});
if ($nologin_runs)
{
	wait_for($later, q{state = 'succeeded'}, 'a role that may not log in runs its jobs');
}
else
{
	wait_for($later, q{state = 'blocked' AND message = 'role "regress_worker" cannot log in'}, 'a job is blocked when its role may not log in');
	sql('ALTER ROLE regress_worker LOGIN');
	sql("SELECT dbops.resume_job($later)");
	wait_for($later, q{state = 'succeeded'}, 'and goes on when it may and somebody says so');
}
sql('ALTER ROLE regress_worker LOGIN');

# limits of connections are for clients
sql('ALTER ROLE regress_worker CONNECTION LIMIT 0; ALTER DATABASE second CONNECTION LIMIT 0');
my $limited = enqueue(q{'SELECT 1'}, role => 'regress_worker');
wait_for($limited, q{state = 'succeeded'}, 'a role whose connections are used up runs its jobs');
$limited = enqueue(q{'SELECT 1'}, database => 'second');
wait_for($limited, q{state = 'succeeded'}, 'a database whose connections are used up, too', 'second');

# a role that may not connect to the database cannot log in: that is for a human
sql('REVOKE CONNECT ON DATABASE postgres FROM PUBLIC');
my $shut_out = enqueue(q{'SELECT 1', backoff => '100 ms', max_attempts => 2}, role => 'regress_worker');
wait_for($shut_out, q{state = 'blocked' AND message LIKE 'its process could not log in%'}, 'a role that may not connect blocks its job');
sql('GRANT CONNECT ON DATABASE postgres TO PUBLIC');
sql("SELECT dbops.resume_job($shut_out)");
wait_for($shut_out, q{state = 'succeeded'}, 'until that is mended');

# the time that a transaction may take, too; a session that begins takes some before its own
# settings count, so what may not fail is asked of one that is there
SKIP:
{
	skip 'transaction_timeout came with 17', 4 if $major < 17;
	local $ENV{PGOPTIONS} = '-c transaction_timeout=0';

	$locker->query_safe('SET transaction_timeout = 0');
	$log_at = -s $node->logfile;
	$locker->query_safe(q{ALTER SYSTEM SET transaction_timeout = '100ms'});
	$node->reload;
	my $long = $locker->query_safe(q{SELECT dbops.enqueue('SELECT pg_sleep(0.5)')});
	wait_for($long, q{state = 'succeeded'}, 'a job may take longer than transactions may');
	$locker->query_safe('BEGIN; LOCK dbops.job');
	$node->reload;				# so that one starts
	ok($node->poll_query_until('postgres', q{
		SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		 WHERE a.backend_type = 'dbops scheduler' AND NOT l.granted AND clock_timestamp() > l.waitstart + interval '0.3 s'}), 'and so may what a scheduler does');
	$locker->query_safe('ROLLBACK');
	$long = $locker->query_safe(q{SELECT dbops.enqueue('SELECT 1')});
	wait_for($long, q{state = 'succeeded'}, 'jobs go on');
	is(count_in_log(qr/\] FATAL:  terminating connection due to transaction timeout/, $log_at), 0, 'none of our processes was ended');
	$locker->query_safe('ALTER SYSTEM RESET transaction_timeout');
	$node->reload;
}
# sessions that begin from now on are to have none again, which one that has its own cannot tell
$node->poll_query_until('postgres', "SELECT coalesce(current_setting('transaction_timeout', true), '0') = '0'") or die 'transaction_timeout stays';

# dropped while its jobs are queued, and while one runs
$locker->query_safe('SELECT pg_advisory_lock(1)');
my $running = enqueue(q{'SELECT pg_advisory_lock(1)'}, role => 'regress_worker');
$later = enqueue(q{'SELECT 1', run_after => 'infinity'}, role => 'regress_worker');
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND NOT granted}) or die 'the job does not run';
sql(q{SELECT dbops.revoke_access('regress_worker'); REVOKE USAGE ON SCHEMA dbops FROM regress_worker; DROP ROLE regress_worker});
sql("UPDATE dbops.job SET run_after = now() WHERE id = $later; SELECT dbops.tune_job($later)");
$locker->query_safe('SELECT pg_advisory_unlock(1)');
wait_for($running, q{state IN ('succeeded', 'failed', 'blocked')}, 'a job whose role is dropped meanwhile ends');
wait_for($later, q{state = 'blocked' AND message LIKE 'role with OID % does not exist any more'}, 'one that was queued is blocked');
is(sql("SELECT dbops.job_status($later) ->> 'state'"), 'blocked', 'and is reported');
sql("SELECT dbops.cancel_job($later)");

# ---- what remains

my $kept = sql(q{SELECT count(*) FROM dbops.job WHERE finished_at IS NOT NULL});
cmp_ok($kept, '>', 150, 'history grows');
set('dbops.job_history_count', 10);
$node->restart;
ok( $node->poll_query_until('postgres', q{SELECT max(c) <= 10 FROM (SELECT count(*) AS c FROM dbops.job
	WHERE finished_at IS NOT NULL GROUP BY kind, state <> 'succeeded') _}), 'and is pruned to the count that is set');
is(runners(), 0, 'no runner is left');
is(sql(q{SELECT count(*) FROM dbops.job_request}), 0, 'no request is left');
$node->stop;
done_testing();
