# What others do to a table while finish_change() or abort_change() waits for its
# lock, after all looks: no value is lost that was accepted, of two that end the
# same change one says that it has not, and nothing is left behind. TAP, because
# the calls have to be met in that wait.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nautovacuum = off\n");
$node->start;
sql('CREATE EXTENSION dbops');

# A value that cannot be converted is written between the look and the swap.
sql(q{CREATE TABLE converted (id int PRIMARY KEY, v text); INSERT INTO converted VALUES (1, '5');
	CALL dbops.change_type('converted', 'v', 'int', 'v::int')});
{
	my $holder = hold('converted');
	my $finish = call('CALL dbops.finish_change(' . change() . ')');
	waits('finish_change', q{EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'converted'::regclass AND tgnargs = 3)});
	$holder->query(q{UPDATE converted SET v = 'abc'});
	like($holder->{stderr}, qr/ERROR:  invalid input syntax for type integer: "abc"/, 'who writes what cannot be converted, when all rows have been looked at, is told');
	$holder->{stderr} = '';
	$holder->query('ROLLBACK');
	$holder->quit;
	is(error_of($finish), '', 'the change is finished');
	is(sql('SELECT v FROM converted'), '5', 'with what was accepted');
}

# A call that ends without having finished the change leaves nothing strict, and
# what is written then is found by the same call: one that gives up, one that is
# cancelled, and one that is paused and resumed, which looks again.
sql(q{CREATE TABLE lenient (id int PRIMARY KEY, v text); INSERT INTO lenient VALUES (1, '5');
	CALL dbops.change_type('lenient', 'v', 'int', 'v::int')});
{
	my $id = change();
	my $look_finds = qr/ERROR:  table public\.lenient has rows whose v could not be converted to integer|ERROR:  invalid input syntax for type integer: "abc"/;
	my $holder = hold('lenient');
	my $finish = call("CALL dbops.finish_change($id, max_wait => '100 milliseconds')");
	like(told($finish), qr/ERROR:  finish_change of public\.lenient\.v has met a lock of another session, again and again/, 'a call gives up');
	is(strict_trigger('lenient'), 't', 'when the trigger may be strict');
	like(write_of('lenient', 'abc'), qr/^WARNING:  a row of table "lenient" was written as it is/, 'and is not strict any more, as long as the session may go on');
	$finish->quit;
	my ($code, $out, $error) = $node->psql('postgres', "CALL dbops.finish_change($id)");
	like($error, $look_finds, 'the same call looks again');
	is(write_of('lenient', '6'), '', 'what was written is set right');

	$finish = call("CALL dbops.finish_change($id)");
	waits('finish_change', 'true');
	like(write_of('lenient', 'abc'), qr/^ERROR:  invalid input syntax for type integer: "abc"/, 'while the same call is at work the trigger is strict');
	sql(q{SELECT dbops.cancel_job(id) FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'finish_change'});
	like(told($finish), qr/ERROR:  canceling statement due to user request/, 'it is cancelled');
	like(write_of('lenient', 'abc'), qr/^WARNING:  a row of table "lenient" was written as it is/, 'and then it is not strict any more');
	$finish->quit;
	($code, $out, $error) = $node->psql('postgres', "CALL dbops.finish_change($id)");
	like($error, $look_finds, 'the same call looks again');
	is(write_of('lenient', '7'), '', 'what was written is set right');

	$finish = call("CALL dbops.finish_change($id)");
	waits('finish_change', 'true');
	sql(q{SELECT dbops.pause_job(id) FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'finish_change'});
	like(told($finish), qr/is paused/, 'it is paused');
	like(write_of('lenient', 'abc'), qr/^WARNING:  a row of table "lenient" was written as it is/, 'and then it is not strict any more');
	$finish->quit;
	my $job = sql(q{SELECT id FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'finish_change'});
	$holder->query_safe('COMMIT');
	sql("SELECT dbops.resume_job($job)");
	$node->psql('postgres', "CALL dbops.wait_job($job)");
	is(sql("SELECT state FROM dbops.job WHERE id = $job"), 'failed', 'a job that is resumed looks again');
	is(sql('SELECT v FROM lenient'), 'abc', 'and keeps what was written');
	is(write_of('lenient', '8'), '', 'what was written is set right');

	$holder->query_safe('BEGIN; SELECT FROM lenient; SELECT pg_sleep(1.1)');
	$finish = call("CALL dbops.finish_change($id)");
	waits('finish_change', 'true');
	sql(q{SELECT dbops.pause_job(id) FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'finish_change'});
	like(error_of($finish), qr/is paused/, 'it is paused once more');
	is(write_of('lenient', '9'), '', 'something that can be converted is written');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$job = sql(q{SELECT id FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'finish_change'});
	sql("SELECT dbops.resume_job($job)");
	$node->psql('postgres', "CALL dbops.wait_job($job)");
	is(sql("SELECT state FROM dbops.job WHERE id = $job"), 'succeeded', 'the job that is resumed finishes the change');
	is(sql('SELECT pg_typeof(v), v FROM lenient'), 'integer|9', 'with what was written');
}

# The trigger is disabled for a while, and a write comes past it.
for my $kind ('rename_column', 'change_type')
{
	sql(q{DROP TABLE IF EXISTS passed; CREATE TABLE passed (id int PRIMARY KEY, v text); INSERT INTO passed VALUES (1, '5')});
	sql($kind eq 'rename_column' ? q{CALL dbops.rename_column('passed', 'v', 'w')} : q{CALL dbops.change_type('passed', 'v', 'int', 'v::int')});
	my $id = change();
	my $holder = hold('passed', 'LOCK TABLE passed IN ROW SHARE MODE');
	my $finish = call("CALL dbops.finish_change($id)");
	waits('finish_change', 'true');
	# Its lock lets nobody else alter the table, but the holder itself.
	$holder->query_safe(q{ALTER TABLE passed DISABLE TRIGGER zz_dbops_v});
	$holder->query_safe(q{UPDATE passed SET v = '6'});
	$holder->query_safe(q{ALTER TABLE passed ENABLE ALWAYS TRIGGER zz_dbops_v});
	$holder->query_safe('COMMIT');
	$holder->quit;
	like(error_of($finish), qr/ERROR:  column v of table public\.passed, the table's triggers or partitions have been altered meanwhile/, "a trigger of $kind that was disabled for a while is noticed");
	is(sql('SELECT v FROM passed'), '6', 'what came past it is there');
	my ($code, $out, $error) = $node->psql('postgres', "CALL dbops.finish_change($id)");
	like($error, qr/ERROR:  table public\.passed has rows/, 'and the same call finds it');
	sql(q{UPDATE passed SET v = '7'});
	sql("CALL dbops.finish_change($id)");
	is(sql('SELECT (row_to_json(passed)::jsonb - \'id\')::text FROM passed'), $kind eq 'rename_column' ? '{"w": "7"}' : '{"v": 7}', 'when it is set right the change is finished');
}

# Another column gets the name of the one that is to go.
for my $end ('finish_change(%d)', 'finish_change(%d, drop_old_columns => true)')
{
	sql(q{DROP TABLE IF EXISTS swapped; CREATE TABLE swapped (id int PRIMARY KEY, v text, z text, w text); INSERT INTO swapped VALUES (1, 'a', 'precious')});
	sql($end =~ /drop_old/ ? q{CALL dbops.sync_columns('swapped', 'w = v')} : q{ALTER TABLE swapped DROP w; CALL dbops.rename_column('swapped', 'v', 'w')});
	my $holder = hold('swapped');
	my $finish = call('CALL dbops.' . sprintf($end, change()));
	waits('finish_change', 'true');
	$holder->query_safe('ALTER TABLE swapped RENAME v TO v_old');
	$holder->query_safe('ALTER TABLE swapped RENAME z TO v');
	$holder->query_safe('COMMIT');
	$holder->quit;
	like(error_of($finish), qr/ERROR:  .*(altered meanwhile|has got another name meanwhile)/, "a column that has got the name meanwhile is not taken for the old one by $end");
	is(sql('SELECT v FROM swapped'), 'precious', 'and stays');
}

# A partition with rows of its own is attached meanwhile.
sql(q{CREATE TABLE parts (id int, k int, v text, f text) PARTITION BY RANGE (k);
	CREATE TABLE part_1 PARTITION OF parts FOR VALUES FROM (0) TO (10); INSERT INTO parts VALUES (1, 1, 'a b');
	CALL dbops.sync_columns('parts', 'f = split_part(v, '' '', 1)');
	CREATE TABLE part_2 (LIKE parts); INSERT INTO part_2 VALUES (2, 15, 'c d', NULL)});
{
	my $holder = hold('parts');
	my $finish = call('CALL dbops.finish_change(' . change() . ', drop_old_columns => true)');
	waits('finish_change', q{EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'parts'::regclass AND tgnargs = 3)});
	$holder->query_safe('ALTER TABLE parts ATTACH PARTITION part_2 FOR VALUES FROM (10) TO (20)');
	$holder->query_safe('COMMIT');
	$holder->quit;
	like(error_of($finish), qr/ERROR:  change \d+ has been aborted, or the table's triggers, columns or partitions altered, meanwhile/, 'a partition that has come meanwhile is noticed');
	is(sql('SELECT v FROM parts WHERE id = 2'), 'c d', 'and keeps its values');
	my ($code, $out, $error) = $node->psql('postgres', 'CALL dbops.finish_change(' . change() . ', drop_old_columns => true)');
	like($error, qr/ERROR:  table public\.parts has rows whose new columns/, 'which the same call finds');
}

# Of a finish and an abort at once the second is told, whichever that is.
for my $first ('abort_change', 'finish_change')
{
	my ($second) = grep { $_ ne $first } ('abort_change', 'finish_change');
	my %arguments = (abort_change => '', finish_change => ', drop_old_columns => true');
	my %has = (abort_change => 'finished', finish_change => 'aborted');

	sql(q{DROP TABLE IF EXISTS both_end; CREATE TABLE both_end (id int PRIMARY KEY, name text, f text); INSERT INTO both_end VALUES (1, 'a b', NULL);
		CALL dbops.sync_columns('both_end', 'f = split_part(name, '' '', 1)')});
	my $id = change();
	my $holder = hold('both_end');
	# abort_change() ends the job of a finish that it finds, and so has to come before it.
	my $abort = call("CALL dbops.abort_change($id$arguments{abort_change})");
	waits('abort_change', 'true');
	my $finish = call("CALL dbops.finish_change($id$arguments{finish_change})");
	waits('finish_change', q{EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 'both_end'::regclass AND tgnargs = 3)});
	# The one that is to be second is stopped at the lock of its own row while the other ends.
	sql("SELECT dbops.pause_job(id) FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = '$second'");
	like(error_of($second eq 'abort_change' ? $abort : $finish), qr/is paused/, "$second is stopped");
	$holder->query_safe('COMMIT');
	$holder->quit;
	is(error_of($first eq 'abort_change' ? $abort : $finish), '', "$first is done");
	my $job = sql("SELECT id FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = '$second'");
	sql("SELECT dbops.resume_job($job)");
	my ($code, $out, $error) = $node->psql('postgres', "CALL dbops.wait_job($job)");
	is(sql("SELECT state FROM dbops.job WHERE id = $job"), 'failed', "$second, which comes second, is not");
	like(sql("SELECT message FROM dbops.job WHERE id = $job"), qr/^change $id has been $has{$second}/, 'and says why');
	is(sql(q{SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'both_end'::regclass AND attnum > 0 AND NOT attisdropped}),
		$first eq 'abort_change' ? 'id name f' : 'id f', 'the columns are as the first has left them');
}

# The call that has begun it is made again while it is taken back.
sql(q{CREATE TABLE again (id int PRIMARY KEY, v text); INSERT INTO again VALUES (1, 'a');
	CALL dbops.rename_column('again', 'v', 'w'); ALTER TABLE again DISABLE TRIGGER zz_dbops_v});
{
	my $holder = hold('again', 'LOCK TABLE again IN ROW EXCLUSIVE MODE');
	my $abort = call('CALL dbops.abort_change(' . change() . ')');
	waits('abort_change', 'true');
	my $rename = call(q{CALL dbops.rename_column('again', 'v', 'w')});
	waits('rename_column', 'true');
	sql(q{SELECT dbops.pause_job(id) FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'rename_column'});
	like(error_of($rename), qr/is paused/, 'the call made again is stopped');
	$holder->query_safe('COMMIT');
	$holder->quit;
	is(error_of($abort), '', 'the change is taken back');
	my $job = sql(q{SELECT id FROM dbops.job WHERE finished_at IS NULL AND spec ->> 'call' = 'rename_column'});
	sql("SELECT dbops.resume_job($job)");
	$node->psql('postgres', "CALL dbops.wait_job($job)");
	like(sql("SELECT state || ': ' || message FROM dbops.job WHERE id = $job"), qr/^failed: the change of column "v" of table public\.again has been ended meanwhile/, 'the call made again finds it ended');
	is(sql(q{SELECT (SELECT string_agg(attname, ' ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'again'::regclass AND attnum > 0 AND NOT attisdropped)
		|| ', ' || (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'again'::regclass)}), 'id v, 0', 'and leaves nothing behind');
}

# The proof that no row has NULL is dropped meanwhile: no look at all rows under the lock.
sql(q{CREATE TABLE proven (id int PRIMARY KEY, v text NOT NULL); INSERT INTO proven VALUES (1, 'a'); CALL dbops.rename_column('proven', 'v', 'w')});
{
	my $holder = hold('proven');
	my $finish = call('CALL dbops.finish_change(' . change() . ')');
	waits('finish_change', 'true');
	$holder->query_safe('ALTER TABLE proven DROP CONSTRAINT dbops_not_null_w');
	$holder->query_safe('COMMIT');
	$holder->quit;
	like(error_of($finish), qr/ERROR:  column v of table public\.proven.* altered meanwhile/, 'a proof that has gone is noticed');
	sql('CALL dbops.finish_change(' . change() . ')');
	is(sql(q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 'proven'::regclass AND attname = 'w'}), 't', 'and put back by the same call');
}
$node->stop;
done_testing();

sub sql
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

# The change that was begun last.
sub change
{
	return sql('SELECT max(id) FROM dbops.column_change');
}

# A transaction that has a table in use, and is so old that nobody queues behind it:
# what it does there next would be a deadlock.
sub hold
{
	my ($table, $lock) = @_;
	my $holder = $node->background_psql('postgres', on_error_stop => 0);

	$lock //= "SELECT FROM $table";
	$holder->query_safe(q{SET application_name = 'holder'});
	$holder->query_safe("BEGIN; $lock; SELECT pg_sleep(1.1)");
	return $holder;
}

sub call
{
	my ($sql) = @_;
	my $caller = $node->background_psql('postgres', on_error_stop => 0);

	$caller->query_until(qr/go/, "\\echo go\nSET client_min_messages = error;\n$sql;\n");
	return $caller;
}

# Wait until a call's job waits for the holder, and a condition holds.
sub waits
{
	my ($call, $condition) = @_;

	$node->poll_query_until('postgres', qq{SELECT count(*) = 1 AND ($condition) FROM dbops.jobs() j JOIN dbops.job i USING (id)
		WHERE i.spec ->> 'call' = '$call' AND j.state = 'running' AND j.waiting LIKE 'for a lock of another session: Process%holder%'})
	  or die "$call does not wait";
}

# May the trigger of a change be strict?
sub strict_trigger
{
	my ($table) = @_;

	return sql("SELECT bool_and(tgnargs = 3) FROM pg_trigger WHERE tgrelid = '$table'::regclass");
}

# What the writer of a value is told, each by a session of its own.
sub write_of
{
	my ($table, $value) = @_;
	my ($code, $out, $error) = $node->psql('postgres', "UPDATE $table SET v = '$value'");

	$error =~ s/^psql:<stdin>:\d+: //;
	return $error;
}

# What a call has ended with.
sub error_of
{
	my ($caller) = @_;
	my $error = told($caller);

	$caller->quit;
	return $error;
}

# The same, of a session that stays.
sub told
{
	my ($caller) = @_;

	$caller->query('SELECT 1');
	return $caller->{stderr};
}
