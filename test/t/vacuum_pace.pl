# How fast the vacuums of jobs go, and for whom they stop: the vacuum of a policy
# gives way to who waits for its table, that after the batches of a backfill too,
# and the latter leaves time to sessions that wait for their commit. What a vacuum
# had to wait for is not learnt as its pace. TAP, because it takes sessions that
# wait, and a standby that is not there, for which a commit waits for certain.
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
    wal_level = replica
    max_wal_senders = 1
    autovacuum = off
    deadlock_timeout = 50ms
    dbops.progress_interval = 0
    CONF
$node->start;

sub ask
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

# The clock is in a year in which the background finds nothing due.
ask(<<~'SQL');
    CREATE EXTENSION dbops;
    CREATE TABLE t (id integer PRIMARY KEY, name text, filler char(200)) WITH (autovacuum_freeze_max_age = 100000);
    INSERT INTO t SELECT i, 'x', 'wide' FROM generate_series(1, 8000) i;
    CREATE TABLE small (id integer PRIMARY KEY) WITH (autovacuum_freeze_max_age = 100000);
    INSERT INTO small SELECT generate_series(1, 1000);
    VACUUM ANALYZE t, small;
    CREATE FUNCTION age_of(rel regclass, xids bigint) RETURNS void LANGUAGE sql AS
        $$ UPDATE pg_class SET relfrozenxid = ((4294967296 + txid_current() - xids) % 4294967296)::text::xid WHERE oid = rel $$;
    SQL
my $runner = $node->background_psql('postgres', on_error_stop => 0);
my $now = 2303769600;

# Submit what is due, an hour after the last time; returns the job.
sub submit
{
	my ($table, $age, $window) = @_;

	$now += 3600;
	$window = defined $window ? "'$window'" : 'NULL';
	$runner->query_safe("SET dbops.test_now = $now; SET dbops.max_xmin_age = -1");
	$runner->query_safe("SELECT dbops.set_vacuum_policy('$table', analyze_every => NULL, time_window => $window, time_zone => 'UTC')");
	ask("SELECT age_of('$table', $age)");
	$now += 3600;
	$runner->query_safe("SET dbops.test_now = $now; SELECT FROM dbops.run_maintenance()");
	return ask("SELECT max(id) FROM dbops.job WHERE kind = 'vacuum'");
}

# Begin to run it, until its vacuum waits so.
sub run
{
	my ($job, $event) = @_;

	$runner->query_until(qr/begun/, "\\echo begun\nCALL dbops.run_job($job);\n\\echo ended\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE 'CALL dbops.run_job($job)%' AND wait_event = '$event'")
	  or die 'it does not come to a vacuum';
	return;
}

sub last_note
{
	my ($table) = @_;
	return ask("SELECT outcome || ': ' || message FROM dbops.maintenance_report('2000-01-01') WHERE kind = 'vacuum' AND object = 'public.$table' ORDER BY last_at DESC LIMIT 1");
}

# A vacuum that sleeps at every page.
sub slow_policy
{
	my ($delay, $limit) = @_;

	ask("ALTER SYSTEM SET autovacuum_vacuum_cost_delay = $delay");
	ask("ALTER SYSTEM SET autovacuum_vacuum_cost_limit = $limit");
	$node->reload;
	$runner->query_safe('SELECT 1');
	$node->poll_query_until('postgres', "SELECT current_setting('autovacuum_vacuum_cost_limit') = '$limit'") or die;
	return;
}

# ---- the vacuum of a policy ----

slow_policy(100, 1);
my $job = submit('t', 85000);
run($job, 'VacuumDelay');
is(ask(q{SET statement_timeout = '60 s'; SET application_name = 'the deployer'; BEGIN; ALTER TABLE t ADD added integer\; SET application_name = 'done'; COMMIT; SELECT 'added'}), 'added',
	'who waits for its table gets it');
$runner->query_until(qr/ended/, '');
like(last_note('t'), qr/^skipped: it gave way to process \d+ \(the deployer\), which waited for the table \(its oldest transaction id/, 'and the log says who that was');
is(ask("SELECT state || ': ' || message FROM dbops.job WHERE id = $job"), 'succeeded: 0 vacuumed, 0 analyzed, 1 skipped, 0 failed; see dbops.maintenance_report()',
	'the job goes on');
is($runner->query_safe('SHOW vacuum_cost_delay'), '0', 'the settings of its session are as they were');

$job = submit('t', 97000);
run($job, 'VacuumDelay');
my ($code, $out, $err) = $node->psql('postgres', q{SET lock_timeout = '1 s'; ALTER TABLE t ADD more integer});
like($err, qr/canceling statement due to lock timeout/, 'a freeze that cannot wait goes on');
ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL dbops.run_job($job)%'");
$runner->query_until(qr/ended/, '');
$runner->{stderr} = '';
is(ask("SELECT state FROM dbops.job WHERE id = $job"), 'paused', 'a cancel is none to go on from');
is($runner->query_safe('SHOW vacuum_cost_delay'), '0', 'and leaves the settings as they were');
ask("SELECT dbops.cancel_job($job)");

# ---- its pace ----

# The vacuum waits for who has a page of the index in use.
slow_policy(2, 200);
ask('DELETE FROM small WHERE id % 2 = 0');
my $reader = $node->background_psql('postgres');
$reader->query_safe(q{SET enable_seqscan = off; SET enable_bitmapscan = off; BEGIN; DECLARE c CURSOR FOR SELECT id FROM small WHERE id > 0; FETCH c});
$job = submit('small', 85000);
run($job, 'BufferPin');
ask('SELECT pg_sleep(1.1)');
$reader->query_safe('COMMIT');
$runner->query_until(qr/ended/, '');
my $paces = q{SELECT %s FROM dbops.policy, CAST(memory -> 'paces' -> (relation::oid || ' freeze') AS jsonb) AS own WHERE kind = 'vacuum' AND relation = '%s'::regclass};
like(last_note('small'), qr/^done: /, 'a vacuum that had to wait is done');
is(ask(sprintf($paces, q{(own ->> 'ms')::numeric / (own ->> 'pages')::numeric <= 3.1, memory -> 'paces' ? '0 freeze'}, 'small')), 't|f',
	'how long it has waited is not how long its pages take, nor those of all tables');
$reader->quit;

# One that takes its time learns, and the next one is measured by that.
slow_policy(100, 40);
ask('UPDATE t SET filler = name');
ask('CHECKPOINT');	# a page that is not dirty yet costs more
$job = submit('t', 85000, '00:00-23:00');
$runner->query_safe("CALL dbops.run_job($job)");
like(last_note('t'), qr/^done: /, 'a slow vacuum is done');
like(ask(sprintf($paces, q{own}, 't')), qr/"ms": \d{4,5}, "pages": \d{3,4}\}/, 'and its pace is learnt');
$job = submit('t', 85000, '00:00-23:00');
$now += 82799.99 - $now % 86400;	# a moment before the window closes
$runner->query_safe("SET dbops.test_now = $now");
ask('UPDATE t SET filler = name');
$runner->query_safe("CALL dbops.run_job($job)");
like(last_note('t'), qr/^skipped: it would take about [\d.]+ \w+ \(\d+ pages, at the pace of its last time\), and the window 00:00-23:00 closes in \d+ \w+/,
	'by which the next one does not fit the window any more');
ask("SELECT dbops.remove_vacuum_policy('t'), dbops.remove_vacuum_policy('small')");
$runner->quit;

# ---- the vacuum after the batches of a backfill ----

sub start
{
	my ($set, $where, $every) = @_;
	return ask("SELECT dbops.start_backfill('t', '$set', '$where', batch_size => 1000, vacuum_every => $every)");
}

sub ended
{
	my ($id) = @_;
	return ask("CALL dbops.wait_job($id, '100 s')");
}

# Settings of new sessions.
sub session_costs
{
	my ($delay, $limit) = @_;
	ask("ALTER DATABASE postgres SET vacuum_cost_delay = $delay; ALTER DATABASE postgres SET vacuum_cost_limit = $limit");
	return;
}

sub in_vacuum
{
	my ($id) = @_;
	return "SELECT coalesce((SELECT j.waiting = 'vacuum of table t' AND a.wait_event = 'VacuumDelay' FROM dbops.jobs() j, pg_stat_activity a"
	  . " WHERE j.id = $id AND a.pid IN (SELECT pid FROM pg_stat_progress_vacuum)), false)";
}

session_costs(100, 1);
$job = start(q{name = ''a''}, q{name <> ''a''}, 0.2);
$node->poll_query_until('postgres', in_vacuum($job)) or die 'it does not come to a vacuum';
my $done = ask(q{SELECT count(*) FROM t WHERE name = 'a'});
is(ask(q{SET statement_timeout = '60 s'; BEGIN; LOCK TABLE t IN SHARE MODE; SELECT 'locked'; COMMIT}), 'locked', 'who waits for the table gets it');
ok($node->poll_query_until('postgres', "SELECT count(*) > $done FROM t WHERE name = 'a'"), 'the backfill goes on');
ask("SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled', 'and can be cancelled');
like(slurp_file($node->logfile), qr/table "t" could not be vacuumed: it gave way to process \d+ /, 'and the log says why');

# Somebody waits for a commit: for a standby that is not there.
session_costs(0, 1);
ask(q{ALTER DATABASE postgres SET synchronous_commit = local});
ask(q{ALTER SYSTEM SET synchronous_standby_names = 'nobody'});
$node->reload;
my $waiter = $node->background_psql('postgres', on_error_stop => 0);
$waiter->query_safe('SET synchronous_commit = on');
$waiter->query_until(qr/begun/, "\\echo begun\nCREATE TABLE waiting ();\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'SyncRep'}) or die 'nobody waits for a commit';

$job = start(q{name = ''b''}, q{name <> ''b''}, 0.2);
ok( $node->poll_query_until('postgres', 'SELECT (' . in_vacuum($job) . ") OR (SELECT finished_at IS NOT NULL FROM dbops.job WHERE id = $job)"),
	'a vacuum is begun');
is(ask("SELECT state FROM dbops.job WHERE id = $job"), 'running', 'which leaves time to who waits for a commit');
ask("SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled', 'and can be cancelled in that');

# What the rows say that was set when their batch was done.
my $expression = q{name = ''c'' || current_setting(''vacuum_cost_delay'')};
session_costs(0, 200);
my $vacuums = q{SELECT pg_stat_get_vacuum_count('t'::regclass)};
my $before = ask($vacuums);
is(ended(start($expression, q{name !~ ''^c''}, 0.2)), 'succeeded', 'a backfill is done while somebody waits');
cmp_ok(ask($vacuums), '>', $before, 'and has the table vacuumed');
is(ask('SELECT DISTINCT name FROM t'), 'c0', 'its batches have the setting of the session');

$before = ask($vacuums);
my $other = $node->background_psql('postgres');
$other->query_safe('BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
$expression =~ s/c/d/;
is(ended(start($expression, q{name !~ ''^d''}, 0.2)), 'succeeded', 'so is one that somebody else keeps from vacuuming');
is(ask($vacuums), $before, 'which is not waited for');
is(ask('SELECT DISTINCT name FROM t'), 'd0', 'its batches have it, too');
$other->query_safe('COMMIT');
$other->quit;

# It is the session's in the foreground as well, after an error.
session_costs(0, 1);
my $console = $node->background_psql('postgres', on_error_stop => 0);
$console->query_safe(q{BEGIN; SELECT set_config('test.job', dbops.start_backfill('t', 'name = ''e''', 'name <> ''e''', batch_size => 1000, vacuum_every => 0.2)::text, false);
	SELECT dbops.pause_job(current_setting('test.job')::bigint); COMMIT});
$job = $console->query_safe(q{SELECT current_setting('test.job')});
$console->query_until(qr/begun/, "\\echo begun\nCALL dbops.run_job($job);\n\\echo ended\n");
$node->poll_query_until('postgres', in_vacuum($job)) or die 'it does not come to a vacuum';
ask("SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL dbops.run_job($job)%'");
$console->query_until(qr/ended/, '');
$console->{stderr} = '';
is($console->query_safe('SHOW vacuum_cost_delay'), '0', 'a cancel puts the setting back');
$console->quit;

ask(q{ALTER SYSTEM RESET synchronous_standby_names});
$node->reload;
$waiter->quit;
$node->stop;
done_testing();
