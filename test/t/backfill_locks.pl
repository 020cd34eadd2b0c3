# A backfill among sessions that hold locks for longer than it waits, and among
# those that cancel it, rewrite its table or drop a part of it. TAP, because it
# takes several sessions whose order is made certain by looking at what they
# wait for.
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
    dbops.progress_interval = 0
    dbops.backfill_lock_timeout = '50ms'
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# A fresh table of 10,000 rows in about 64 blocks.
sub fill_table
{
	$node->safe_psql(
		'postgres', q{
		DROP TABLE IF EXISTS t;
		CREATE TABLE t (id integer PRIMARY KEY, name text, place text);
		INSERT INTO t SELECT i, 'name ' || i FROM generate_series(1, 10000) i;
		ANALYZE t});
	return;
}

# What a CALL printed, and how many rows are not yet filled.
sub backfill
{
	my ($arguments, %options) = @_;
	my ($stdout, $stderr);

	my $status = $node->psql(
		'postgres', ($options{before} // '') . "CALL dbops.batched_backfill('t', $arguments)",
		stdout => \$stdout, stderr => \$stderr);
	return ($status, $stderr);
}

sub unfilled
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM t WHERE place IS NULL');
}

my $fill = q{'place = name', 'place IS NULL', batch_size => 1000};

# A row stays locked: all others are filled, and the message says why one is left.
fill_table();
my $app = $node->background_psql('postgres');
$app->query_safe('BEGIN; UPDATE t SET name = name WHERE id = 5000');
my ($status, $message) = backfill($fill);
is($status, 0, 'a locked row does not fail the backfill');
like($message, qr/WARNING:  backfill of t: \d+ rows changed, \d+ rows? left/, 'what is left is counted');
like($message, qr/locked by other transactions/, 'the reason is given');
my $left = unfilled();
ok($left >= 1 && $left <= 200, "only the rows of the locked block are left ($left)");
$app->query_safe('COMMIT');
($status, $message) = backfill($fill);
like($message, qr/rows? changed, none left/, 'the same call goes on');
is(unfilled(), 0, 'and fills the rest');

# The lock is released while the backfill comes back to it.
fill_table();
$app->query_safe('BEGIN; UPDATE t SET name = name WHERE id = 5000');
my $dba = $node->background_psql('postgres', on_error_stop => 0);
$dba->query_until(qr/go/, "\\echo go\nCALL dbops.batched_backfill('t', $fill);\n\\echo done\n");
$node->poll_query_until('postgres', 'SELECT count(*) >= 9000 FROM t WHERE place IS NOT NULL')
  or die 'the backfill did not pass the locked row';
$app->query_safe('COMMIT');
$dba->query_until(qr/done/, '');
is(unfilled(), 0, 'a row that is released is filled in the same call');

# A deadlock: the backfill holds one row and wants another. The application
# must not be the one that fails, however long the backfill was told to wait.
fill_table();
$app->query_safe('BEGIN; UPDATE t SET name = name WHERE id = 120');
$dba->query_until(qr/go/, "SET dbops.backfill_lock_timeout = '60s';\n\\echo go\nCALL dbops.batched_backfill('t', $fill);\n\\echo done\n");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted})
  or die 'the backfill did not wait';
my $result = eval { $app->query_safe('UPDATE t SET name = name WHERE id = 1; COMMIT'); 1 };
ok($result, 'the application is not the victim of a deadlock');
$dba->query_until(qr/done/, '');
is(unfilled(), 0, 'and the backfill ends its work');

# The table is locked: wait, say so, go on.
fill_table();
$app->query_safe('BEGIN; LOCK TABLE t');
$dba->query_until(qr/go/, "SET dbops.backfill_lock_timeout = '50ms';\n\\echo go\nCALL dbops.batched_backfill('t', $fill);\n\\echo done\n");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM pg_locks WHERE NOT granted})
  or die 'the backfill did not wait';
$app->query_safe('COMMIT');
$dba->query_until(qr/done/, '');
is(unfilled(), 0, 'a table that is released is filled');

# Cancel: what is committed stays, and the message says how to go on.
fill_table();
my $cancelled = $node->background_psql('postgres', on_error_stop => 0);
$cancelled->query_until(qr/go/, "\\echo go\nCALL dbops.batched_backfill('t', 'place = name', 'place IS NULL', batch_size => 500, pause => '1 hour');\n\\echo done\n");
$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM t WHERE place IS NOT NULL')
  or die 'the backfill did not begin';
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE 'CALL%'});
$cancelled->query_until(qr/done/, '');
like($cancelled->{stderr}, qr/canceling statement due to user request/, 'a cancel ends the pause at once');
like($cancelled->{stderr}, qr/DETAIL:  \d+ rows in \d+ batch(es)? committed before, which stay changed/, 'it says what stays');
like($cancelled->{stderr}, qr/HINT:  CALL again with the same arguments to go on/, 'and how to go on');
my $done = 10000 - unfilled();
ok($done > 0 && $done < 10000, "some rows are committed ($done)");
$cancelled->{stderr} = '';
($status, $message) = backfill($fill);
is(unfilled(), 0, 'the next call fills the rest');

# statement_timeout covers a batch, neither the call nor its pauses.
fill_table();
($status, $message) = backfill(q{'place = name', 'place IS NULL', batch_size => 5000, pause => '1s'},
	before => q{SET statement_timeout = '900ms'; });
is($status, 0, 'a call, and its pauses, may take longer than statement_timeout') or diag($message);
is(unfilled(), 0, 'and fills all rows');
SKIP:
{
	skip 'transaction_timeout came with 17', 2 if $node->safe_psql('postgres', 'SHOW server_version_num') < 170000;
	fill_table();
	($status, $message) = backfill(q{'place = name', 'place IS NULL', batch_size => 5000, pause => '1s'},
		before => q{SET transaction_timeout = '900ms'; });
	is($status, 0, 'the same for transaction_timeout') or diag($message);
	is(unfilled(), 0, 'and fills all rows');
}

# Another table takes the name of the one that is walked: it must not be changed.
fill_table();
$node->safe_psql('postgres', 'CREATE TABLE other (LIKE t); INSERT INTO other SELECT * FROM t');
$dba->query_until(qr/go/, "\\echo go\nCALL dbops.batched_backfill('t', 'place = name', 'place IS NULL', batch_size => 1000, pause => '300ms');\n\\echo done\n");
$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM t WHERE place IS NOT NULL')
  or die 'the backfill did not begin';
$node->safe_psql('postgres', 'BEGIN; ALTER TABLE t RENAME TO former; ALTER TABLE other RENAME TO t; COMMIT');
$dba->query_until(qr/done/, '');
is(unfilled(), 10000, 'a table that takes the name meanwhile is left alone');
like($dba->{stderr}, qr/has been renamed during the backfill/, 'and the error says what has happened');
$dba->{stderr} = '';
$node->safe_psql('postgres', 'DROP TABLE former');

# All rows are locked: that is noticed soon, whatever the size of the table.
fill_table();
$app->query_safe('BEGIN; SELECT count(*) FROM (SELECT FROM t FOR UPDATE) x');
($status, $message) = backfill(q{'place = name', 'place IS NULL', batch_size => 10, verify => false});
like($message, qr/leaving out rows of table public.t that other sessions have locked/, 'a notice says that rows are left out');
like($message, qr/WARNING:  backfill of t: 0 rows changed, rows that other transactions lock left out/, 'and a warning that they stay');
$app->query_safe('COMMIT');

# VACUUM FULL between two batches: block numbers mean other rows now.
fill_table();
$node->safe_psql('postgres', 'DELETE FROM t WHERE id % 2 = 0');
$dba->query_until(qr/go/, "\\echo go\nCALL dbops.batched_backfill('t', 'place = name', 'place IS NULL', batch_size => 1000, pause => '300ms', verify => false);\n\\echo done\n");
$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM t WHERE place IS NOT NULL')
  or die 'the backfill did not begin';
$node->safe_psql('postgres', 'VACUUM FULL t');
$dba->query_until(qr/done/, '');
is(unfilled(), 0, 'a table that is rewritten meanwhile is filled');
like($dba->{stderr}, qr/was rewritten, beginning again/, 'and the walk says that it begins again');

# A partition that is dropped, and one that comes, between two batches.
$node->safe_psql('postgres', q{
	DROP TABLE t;
	CREATE TABLE t (id integer, name text, place text) PARTITION BY RANGE (id);
	CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (5000);
	CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (5000) TO (10000);
	INSERT INTO t SELECT i, 'name ' || i FROM generate_series(1, 9999) i;
	ANALYZE t});
$dba->query_until(qr/go/, "\\echo go\nCALL dbops.batched_backfill('t', 'place = name', 'place IS NULL', batch_size => 1000, pause => '300ms');\n\\echo done\n");
$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM t WHERE place IS NOT NULL')
  or die 'the backfill did not begin';
$node->safe_psql('postgres', q{
	DROP TABLE t2;
	CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (10000) TO (20000);
	INSERT INTO t SELECT i, 'name ' || i FROM generate_series(10000, 10999) i});
$dba->query_until(qr/done/, '');
is(unfilled(), 0, 'partitions that go and come meanwhile are no error');

# The table itself is dropped.
$dba->{stderr} = '';
$dba->query_until(qr/go/, "\\echo go\nCALL dbops.batched_backfill('t', 'place = ''again''', 'place <> ''again''', batch_size => 1000, pause => '300ms');\n\\echo done\n");
$node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM t WHERE place = 'again'})
  or die 'the backfill did not begin';
$node->safe_psql('postgres', 'DROP TABLE t');
$dba->query_until(qr/done/, '');
like($dba->{stderr}, qr/table t has been dropped during the backfill/, 'a table that is dropped ends it');

# Another session's temporary table holds rows in that session's memory.
$app->query_safe('CREATE TEMP TABLE elsewhere (id integer)');
my $elsewhere = $node->safe_psql('postgres', q{SELECT oid FROM pg_class WHERE relname = 'elsewhere'});
$node->psql('postgres', "CALL dbops.batched_backfill($elsewhere, 'id = 1')", stderr => \$message);
like($message, qr/cannot backfill temporary table "elsewhere" of another session/, 'a temporary table of another session is refused');

# Progress is reported as often as the setting says.
fill_table();
($status, $message) = backfill(q{'place = name', 'place IS NULL', batch_size => 500, pause => '10ms'},
	before => q{SET dbops.progress_interval = '1ms'; });
like($message, qr/backfill of t: \d+ rows, \d+\.\d %, \d+ rows\/s, about \d+ s left/, 'rows, percent, rate and time left');
like($message, qr/backfill of t: 10000 rows changed, none left/, 'the sum at the end');

$_->quit for $app, $dba, $cancelled;
# What would make UPDATE mean something else, and comes while a backfill runs, ends it.
for my $case (
	[ 'CREATE RULE r AS ON UPDATE TO t DO INSTEAD NOTHING', 'has rules' ],
	[ 'CREATE RULE r AS ON UPDATE TO t DO ALSO NOTIFY x', 'has rules' ],
	[ 'ALTER TABLE t OWNER TO regress_backfill; ALTER TABLE t ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', 'owner of table' ])
{
	my ($ddl, $reason) = @$case;

	fill_table();
	my $walker = IPC::Run::start(
		[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
			q{CALL dbops.batched_backfill('t', 'place = name', 'place IS NULL', batch_size => 100, pause => '100ms')} ],
		'>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM t WHERE place IS NOT NULL') or die 'it does not begin';
	$node->safe_psql('postgres', "DO \$\$ BEGIN CREATE ROLE regress_backfill; EXCEPTION WHEN duplicate_object THEN END \$\$; $ddl");
	$walker->finish;
	like($err, qr/$reason/, "ends: $ddl");
	ok(unfilled() > 0, 'and nothing is done after it');
}
$node->safe_psql('postgres', 'DROP TABLE t; DROP ROLE regress_backfill');

# So does a change of a column that makes the clauses not fit, in the words of the
# user, not of the statement. Another one does no harm.
for my $case (
	[ 'ALTER TABLE t ALTER place TYPE varchar(200)',
		'the type of column "place" of table public.t has been changed from text to character varying\(200\) during the backfill' ],
	[ 'ALTER TABLE t RENAME place TO location', 'column "place" of table public.t has been renamed to "location" during the backfill' ],
	[ 'ALTER TABLE t RENAME name TO title', 'column "name" of table public.t has been renamed to "title" during the backfill' ],
	[ 'ALTER TABLE t DROP name', 'column "name" of table public.t has been dropped during the backfill' ],
	[ 'ALTER TABLE t ADD other integer; ALTER TABLE t ALTER name TYPE varchar(200)', '0 rows' ])
{
	my ($ddl, $reason) = @$case;

	fill_table();
	my $walker = IPC::Run::start(
		[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', q{SET client_min_messages = warning}, '-c',
			q{CALL dbops.batched_backfill('t', 'place = name', 'place IS DISTINCT FROM name', batch_size => 600, pause => '200ms')} ],
		'>', \my $out, '2>', \my $err);
	$node->poll_query_until('postgres', 'SELECT count(*) > 0 FROM t WHERE place IS NOT NULL') or die 'it does not begin';
	$node->safe_psql('postgres', $ddl);
	$walker->finish;
	if ($reason eq '0 rows')
	{
		is($err, '', "goes on: $ddl");
		next;
	}
	like($err, qr/ERROR:  $reason\nDETAIL:  A batch failed with: .*\.\nHINT:  Cancel the job, if it is one, and call again/, "ends: $ddl");
}
$node->safe_psql('postgres', 'DROP TABLE t');

# Backfills of one table at once move each other's rows, and all of them end.
$node->safe_psql('postgres', q{
	CREATE TABLE t (id integer, a integer, b integer, changed_a integer DEFAULT 0, changed_b integer DEFAULT 0);
	INSERT INTO t SELECT i FROM generate_series(1, 50000) i});
my @together = map {
	IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c',
		"CALL dbops.batched_backfill('t', '$_ = id, changed_$_ = changed_$_ + 1', '$_ IS NULL', batch_size => 300)" ])
} qw(a b);
$_->finish for @together;
is($node->safe_psql('postgres', 'SELECT count(*), count(a), count(b), max(changed_a), max(changed_b) FROM t'),
	'50000|50000|50000|1|1', 'two backfills of one table at once leave no row, and change none twice');

# A job comes back by itself to rows that were locked.
fill_table();
$app = $node->background_psql('postgres');
$app->query_safe('BEGIN; UPDATE t SET name = name WHERE id = 5000');
my $job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'place = name', 'place IS NULL')});
$node->poll_query_until('postgres', "SELECT state = 'queued' AND attempts > 0 FROM dbops.jobs() WHERE id = $job")
  or die 'the attempt does not end';
like($node->safe_psql('postgres', "SELECT message FROM dbops.jobs() WHERE id = $job"),
	qr/^\d+ rows? left that other transactions lock/, 'a job that left locked rows out has not succeeded, and says why');
ok(unfilled() < 500, 'all rows but those of its block are filled');
$app->query_safe('COMMIT');
$app->quit;
$node->safe_psql('postgres', "CALL dbops.run_job($job)");
is($node->safe_psql('postgres', "SELECT state FROM dbops.jobs() WHERE id = $job"), 'succeeded', 'it goes on when they are free');
is(unfilled(), 0, 'and leaves none');

# A job that has come to its end and cannot drop its trigger says who is in the
# way, and ends by itself when that session has gone: as it would have.
fill_table();
$node->safe_psql('postgres', q{CREATE TABLE u AS SELECT id FROM t; ALTER TABLE u ADD part integer});
$app = $node->background_psql('postgres');
my $reader = $app->query_safe('BEGIN; SELECT pg_backend_pid() FROM t, u LIMIT 1');
my $cancelled_job = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('t', 'place = name', 'place IS NULL', sync => true, batch_size => 10, pause => '1 hour')});
my $failed = $node->safe_psql('postgres', q{SELECT dbops.start_backfill('u', 'part = 1 / (id - 5000)', sync => true)});
$node->poll_query_until('postgres', "SELECT row_count > 0 FROM dbops.jobs() WHERE id = $cancelled_job") or die 'it does not begin';
$node->safe_psql('postgres', "SELECT dbops.cancel_job($cancelled_job)");
$node->poll_query_until('postgres',
	"SELECT count(*) = 2 FROM dbops.job WHERE id IN ($cancelled_job, $failed) AND state = 'queued' AND ending IS NOT NULL")
  or die 'they do not come to their end';
my $waits = 'could not be dropped because of the locks of session ' . $reader . '; that is tried again by itself, and by cancel_job';
is($node->safe_psql('postgres', "SELECT message FROM dbops.jobs() WHERE id = $cancelled_job"),
	"trigger dbops_sync_$cancelled_job of table public.t $waits($cancelled_job), before the job ends: cancelled", 'a cancelled job says what it waits for');
like($node->safe_psql('postgres', "SELECT message FROM dbops.jobs() WHERE id = $failed"),
	qr/^trigger dbops_sync_$failed of table public.u \Q$waits\E\($failed\), before the job ends: failed, row \(.*\) of table public.u fails: division by zero$/,
	'a failed one, too, and why it fails');
($status, undef, $message) = $node->psql('postgres', "CALL dbops.run_job($cancelled_job)");
like($message, qr/cannot run job $cancelled_job, which is about to end as cancelled/, 'it is not run again');
($status, undef, $message) = $node->psql('postgres', "SELECT dbops.cancel_job($failed)");
like($message, qr/cannot cancel job $failed now\nDETAIL:  trigger dbops_sync_$failed of table public.u could not be dropped because of the locks of session $reader\.\n/,
	'cancel_job says who is in the way');
$node->safe_psql('postgres', 'DELETE FROM u WHERE id = 5000');	# begun anew, it would not fail
$app->query_safe('COMMIT');
$app->quit;
$node->safe_psql('postgres', "CALL dbops.wait_job($cancelled_job); CALL dbops.wait_job($failed)");
is($node->safe_psql('postgres', "SELECT state, message FROM dbops.jobs() WHERE id = $cancelled_job"), 'cancelled|cancelled', 'then it is cancelled');
like($node->safe_psql('postgres', "SELECT state, sqlstate, message FROM dbops.job WHERE id = $failed"),
	qr/^failed\|22012\|row \(.*\) of table public.u fails: division by zero$/, 'or has failed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%'}), 0, 'and no trigger is left');

$node->stop;
done_testing();
