# A change that waits for its lock keeps nobody else waiting: behind a transaction
# that is older than a second it does not queue, so that others read and write on;
# it says whom it waits for, gives up when max_wait is over, and is done when that
# transaction has ended. TAP, because an isolation test takes what sleeps between
# two tries for what works.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id int PRIMARY KEY, v int, w int, x int);
	INSERT INTO t SELECT g, g, g, g FROM generate_series(1, 100) g;
	CREATE TABLE p (id int, v int) PARTITION BY LIST (id);
	CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
	CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
	INSERT INTO p VALUES (1, 1), (2, 2)});

sub sql
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

# A transaction that has read a table, and is older than a second.
sub hold
{
	my ($table) = @_;
	my $holder = $node->background_psql('postgres');

	$holder->query_safe(q{SET application_name = 'holder'});
	$holder->query_safe("BEGIN; SELECT count(*) FROM $table, pg_sleep(1.1)");
	return $holder;
}

# A call, in a session of its own, that waits for the holder by now.
sub waiting_call
{
	my ($call) = @_;
	my $changer = $node->background_psql('postgres', on_error_stop => 0);

	$changer->query_until(qr/go/, "\\echo go\n$call;\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND waiting LIKE 'for a lock of another session: Process%holder%'})
	  or die 'it does not wait';
	return $changer;
}

# Others read and write, and each statement would fail that waits.
sub go_on
{
	my ($table) = @_;
	my $failed = 0;

	for (1 .. 40)
	{
		$failed++ if $node->psql('postgres', "SET lock_timeout = '1ms'; SELECT count(*) FROM $table; UPDATE $table SET v = v + 1; SELECT pg_sleep(0.02)") != 0;
	}
	return $failed;
}

# What is changed, the table that somebody has read, and what is there at the end.
my @changes = (
	[q{dbops.add_check_constraint('t', 'v > 0', 't_v')}, 't', q{SELECT convalidated FROM pg_constraint WHERE conname = 't_v'}],
	[q{dbops.set_not_null('t', 'v')}, 't', q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'v'}],
	[q{dbops.add_column('t', 'y', 'int', '1', not_null => true)}, 't', q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'y'}],
	[q{dbops.drop_column('t', 'x')}, 't', q{SELECT count(*) = 0 FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'x'}],
	[q{dbops.add_check_constraint('p', 'v > 0', 'p_v')}, 'p2', q{SELECT bool_and(convalidated) FROM pg_constraint WHERE conname = 'p_v'}]);

for my $change (@changes)
{
	my ($call, $table, $goal) = @$change;
	my $holder = hold($table);
	my ($code, $out, $error) = $node->psql('postgres', "CALL $call;" =~ s/\);$/, max_wait => '300ms');/r, on_error_stop => 0);
	like($error, qr/waits for a lock of another session, with none of its own.*\(holder\) holds it/s, "$call says whom it waits for");
	like($error, qr/ERROR:  .* has met a lock of another session, again and again/, 'and gives up');
	my $changer = waiting_call("CALL $call");
	is(go_on($table), 0, 'nobody waits behind it');
	$holder->query_safe('COMMIT');
	$holder->quit;
	ok($node->poll_query_until('postgres', $goal), 'it is done when the transaction has ended');
	$changer->quit;
}

# Nor does that of an owner who may not see what others do.
sql(q{CREATE ROLE owner LOGIN; SELECT dbops.grant_access('owner', 'operator');
	CREATE TABLE o (id int PRIMARY KEY, v int); INSERT INTO o VALUES (1, 1); ALTER TABLE o OWNER TO owner});
{
	my $holder = hold('o');
	my $changer = $node->background_psql('postgres', on_error_stop => 0, extra_params => [ '-U', 'owner' ]);
	$changer->query_until(qr/go/, "\\echo go\nCALL dbops.add_check_constraint('o', 'v > 0', 'o_v');\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND waiting LIKE 'for a lock of another session: %'})
	  or die 'it does not wait';
	is(go_on('o'), 0, 'nobody waits behind an owner who may not see since when others are at work');
	$holder->query_safe('COMMIT');
	$holder->quit;
	ok($node->poll_query_until('postgres', q{SELECT convalidated FROM pg_constraint WHERE conname = 'o_v'}), 'whose change is done afterwards');
	$changer->quit;
}

# The same call waits for the one that is at work, but not for ever for one that waits itself.
sql(q{CREATE FUNCTION slow(v int) RETURNS boolean IMMUTABLE LANGUAGE plpgsql AS
	$$DECLARE until timestamptz := clock_timestamp() + interval '40 ms'; BEGIN LOOP EXIT WHEN clock_timestamp() > until; END LOOP; RETURN true; END$$});
{
	my $call = q{CALL dbops.add_check_constraint('t', 'slow(v)', 't_slow'};
	my $holder = hold('t');
	my $changer = $node->background_psql('postgres', on_error_stop => 0);
	$changer->query_until(qr/go/, "\\echo go\n$call);\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND waiting LIKE 'for a lock of another session: %'})
	  or die 'it does not wait';
	my ($code, $out, $error) = $node->psql('postgres', "$call, max_wait => '1 s')");
	like($error, qr/ERROR:  job \d+, which is at work on this already, has not got on for 1 s\nDETAIL:  It waits for a lock of another session: Process \d+ .*holder/, 'who waits for one that waits is told so');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_stat_activity WHERE query LIKE '%t_slow%' AND wait_event_type IS NULL AND pid <> pg_backend_pid()
		AND EXISTS (SELECT FROM pg_constraint WHERE conname = 't_slow')}) or die 'it does not read the table';
	($code, $out, $error) = $node->psql('postgres', "$call, max_wait => '1 s')");
	is($code, 0, 'who waits for one that reads for longer has it done') or diag($error);
	like($error, qr/job \d+ is at work on this already; waiting for it/, 'by the other');
	is(sql(q{SELECT convalidated FROM pg_constraint WHERE conname = 't_slow'}), 't', 'it is done');
	$changer->quit;
}

# Rows that are to be filled first: a writer of another row is waited for no longer either.
{
	sql('CREATE TABLE sparse (id int PRIMARY KEY, v int); INSERT INTO sparse SELECT g, nullif(g, 7) FROM generate_series(1, 100) g');
	my $writer = $node->background_psql('postgres');
	$writer->query_safe(q{BEGIN; UPDATE sparse SET v = v WHERE id = 5});
	my ($code, $out, $error) = $node->psql('postgres', q{CALL dbops.set_not_null('sparse', 'v', fill => '0', max_wait => '1 s')});
	like($error, qr/ERROR:  table public\.sparse has been locked by other sessions for [12] s\n.*SELECT \* FROM dbops\.blockers\('public\.sparse', 'SHARE ROW EXCLUSIVE'\);/s,
		'a fill gives up after max_wait, and says how to see who is there');
	$writer->query_safe('COMMIT');
	$writer->quit;
	is(($node->psql('postgres', q{CALL dbops.set_not_null('sparse', 'v', fill => '0')}))[0], 0, 'and is done when they have gone');
}

# Nor does it wait longer, or in silence, for what it must not run beside: here the build of an index on another table.
{
	sql('CREATE TABLE busy (a int); CREATE TABLE calm (a int NOT NULL)');
	my $holder = $node->background_psql('postgres');
	$holder->query_safe(q{BEGIN; INSERT INTO busy VALUES (1)});
	my $job = sql(q{SELECT dbops.start_create_index('CREATE INDEX ON busy (a)')});
	$node->poll_query_until('postgres', "SELECT waiting LIKE '%waiting for writers before build%' FROM dbops.jobs() WHERE id = $job") or die 'it is not built';
	my ($code, $out, $error) = $node->psql('postgres', q{CALL dbops.add_check_constraint('calm', 'a > 0', max_wait => '1 s')});
	like($error, qr/NOTICE:  waiting: for job $job, because one of the two would wait for the other's snapshots/, 'a call says for which job it waits');
	like($error, qr/ERROR:  job \d+ has waited for 1 s for job $job, .*\nHINT:  .*dbops\.jobs\(\) WHERE id = $job;/, 'and for no longer than it was told');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->poll_query_until('postgres', "SELECT state = 'succeeded' FROM dbops.job WHERE id = $job") or die 'it is not built';
	sql(q{CALL dbops.add_check_constraint('calm', 'a > 0')});
	is(sql(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 'calm'::regclass AND convalidated AND contype = 'c'}), 1, 'the same call is done afterwards');
}

# What is proven when it is planned, and not any more when it has its lock, is not set: that would read all rows while nobody else may.
{
	my $holder = hold('t');
	sql(q{ALTER TABLE p ADD CONSTRAINT proof CHECK (v IS NOT NULL)});
	$holder->query_safe(q{COMMIT; BEGIN; SELECT count(*) FROM p, pg_sleep(1.1)});
	my $changer = waiting_call("CALL dbops.set_not_null('p', 'v')");
	$holder->query_safe('ALTER TABLE p DROP CONSTRAINT proof');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->poll_query_until('postgres', q{SELECT state = 'failed' FROM dbops.job WHERE name = 'public.p.v' ORDER BY id DESC LIMIT 1}) or die 'it does not end';
	$changer->quit;
	like(sql(q{SELECT message FROM dbops.job WHERE name = 'public.p.v' ORDER BY id DESC LIMIT 1}),
		qr/^a constraint of table public\.p, which was to prove that no row has NULL in column "v", has been dropped meanwhile/, 'a proof that has gone is noticed under the lock');
	is(sql(q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 'p'::regclass AND attname = 'v'}), 'f', 'and nothing is set');
	sql(q{CALL dbops.set_not_null('p', 'v')});
	is(sql(q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 'p'::regclass AND attname = 'v'}), 't', 'the same call again proves it itself');
}

# NULL that is written when the rows have been filled, and before there is a constraint, is filled too:
# a row that has it could not be updated once the constraint is there.
sql(q{CREATE TABLE filled (id int PRIMARY KEY, v int, n int DEFAULT 0); INSERT INTO filled VALUES (1), (2);
	CREATE TABLE added (id int PRIMARY KEY, n int DEFAULT 0); INSERT INTO added VALUES (1), (2)});
for my $case ([ 'filled', 'v', q{dbops.set_not_null('filled', 'v', fill => '7')}, '' ],
	[ 'added', 'r', q{dbops.add_column('added', 'r', 'double precision', 'random()', not_null => true)},
		'ALTER TABLE added ADD COLUMN r double precision; ALTER TABLE added ALTER COLUMN r SET DEFAULT random()' ],
	[ 'added', 'c', q{dbops.add_column('added', 'c', 'int', '7')}, 'ALTER TABLE added ADD COLUMN c int' ])
{
	my ($table, $column, $call, $cut_off) = @$case;

	sql($cut_off) if $cut_off;
	my $holder = hold($table);
	my $changer = $node->background_psql('postgres', on_error_stop => 0);
	$changer->query_until(qr/go/, "\\echo go\nCALL $call;\n");
	$node->poll_query_until('postgres', qq{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND waiting LIKE 'for a lock of another session: Process%holder%'})
	  or die 'it does not wait for the constraint';
	sql("INSERT INTO $table (id, $column) VALUES (10, NULL), (11, NULL); UPDATE $table SET $column = NULL WHERE id = 2; UPDATE $table SET n = 1");
	is(sql("SELECT count(*) FROM $table WHERE $column IS NULL"), 0, "$call: what is written with NULL before the end is filled");
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM dbops.jobs() WHERE finished_at IS NULL}) or die 'it does not end';
	$changer->quit;
	is(sql('SELECT state FROM dbops.job ORDER BY id DESC LIMIT 1'), 'succeeded', 'it is done');
	is(sql("SELECT (SELECT count(*) FROM pg_trigger WHERE tgrelid = '$table'::regclass) || ' ' || (SELECT count(*) FROM $table WHERE $column IS NULL)"), '0 0',
		'no trigger is left, and no NULL');
	sql("TRUNCATE $table; INSERT INTO $table (id) SELECT 1 WHERE '$table' <> 'filled'");
}

# A column that has come meanwhile, to the table or one below it, would be taken over as it is.
sql(q{CREATE TABLE parent (id int); CREATE TABLE child (id int); ALTER TABLE child INHERIT parent; INSERT INTO child VALUES (1);
	CREATE TABLE other (id int); INSERT INTO other VALUES (1)});
for my $case ([ 'parent', 'ALTER TABLE child ADD COLUMN c int', '5', qr/ERROR:  child table public\.child has a column "c" already/ ],
	[ 'other', 'ALTER TABLE other ADD COLUMN c text', '5', qr/ERROR:  table "other" has another column "c"/ ],
	[ 'other', 'ALTER TABLE other ADD COLUMN d text', 'floor(random())::int', qr/ERROR:  table "other" has another column "d"/ ])
{
	my ($table, $interference, $default, $again) = @$case;
	my ($column) = $interference =~ /COLUMN (\w)/;
	my $call = "CALL dbops.add_column('$table', '$column', 'int', '$default', not_null => true)";
	my $holder = hold($table);
	my $changer = $node->background_psql('postgres', on_error_stop => 0);
	$changer->query_until(qr/go/, "\\echo go\n$call;\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND waiting LIKE 'for a lock of another session: Process%holder%'})
	  or die 'it does not wait';
	$holder->query_safe($interference);
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM dbops.jobs() WHERE finished_at IS NULL}) or die 'it does not end';
	$changer->quit;
	like(sql('SELECT message FROM dbops.job ORDER BY id DESC LIMIT 1'), qr/^a column "$column" has come to table public\.$table, or to one below it, meanwhile/, "$interference is noticed");
	my ($code, $out, $error) = $node->psql('postgres', $call);
	like($error, $again, 'and is what the same call says');
}

# A privilege on a column that is given while another one is to take its place would go with it.
sql(q{CREATE ROLE reader; CREATE TABLE named (id int PRIMARY KEY, v int); INSERT INTO named VALUES (1, 1); CALL dbops.rename_column('named', 'v', 'w')});
{
	my $call = 'CALL dbops.finish_change(' . sql(q{SELECT max(id) FROM dbops.column_change}) . ')';
	my $holder = hold('named');
	my $changer = $node->background_psql('postgres', on_error_stop => 0);
	$changer->query_until(qr/go/, "\\echo go\n$call;\n");
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND waiting LIKE 'for a lock of another session: Process%holder%'})
	  or die 'it does not wait';
	sql(q{GRANT SELECT (v) ON named TO reader});
	$holder->query_safe('COMMIT');
	$holder->quit;
	$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM dbops.jobs() WHERE finished_at IS NULL}) or die 'it does not end';
	$changer->quit;
	like(sql('SELECT message FROM dbops.job ORDER BY id DESC LIMIT 1'), qr/^column v of table public\.named.* altered meanwhile/, 'a privilege that is given meanwhile is noticed');
	sql($call);
	is(sql(q{SELECT has_column_privilege('reader', 'named', 'w', 'select')}), 't', 'and carried over by the same call');
}

# What is planned for a column, and waits, is not done to another one that has got its name.
for my $call (q{rename_column('moved', 'v', 'w')}, q{change_type('moved', 'v', 'bigint', 'v + 1')}, q{add_check_constraint('moved', 'v > 0')})
{
	sql(q{DROP TABLE IF EXISTS moved; CREATE TABLE moved (id int PRIMARY KEY, v int, z int)});
	my $holder = hold('moved');
	my $changer = waiting_call("CALL dbops.$call");
	$holder->query_safe('ALTER TABLE moved RENAME v TO v_old');
	$holder->query_safe('ALTER TABLE moved RENAME z TO v');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$changer->query('SELECT 1');
	like($changer->{stderr}, qr/ERROR:  a column of table public\.moved that was to be changed has got another name meanwhile/, "$call does not go on with another column");
	$changer->quit;
}

# Filling waits for who writes the table, and says who that is.
{
	sql(q{DROP TABLE moved; CREATE TABLE moved (id int PRIMARY KEY, v int); INSERT INTO moved VALUES (1, 1), (2, NULL)});
	my $holder = $node->background_psql('postgres');
	$holder->query_safe(q{SET application_name = 'holder'});
	$holder->query_safe('BEGIN; UPDATE moved SET v = 2 WHERE id = 1');
	my $changer = $node->background_psql('postgres', on_error_stop => 0);
	$changer->query_until(qr/go/, "\\echo go\nCALL dbops.set_not_null('moved', 'v', '0');\n");
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND waiting LIKE 'for a lock on table public.moved %: Process % (holder)%'}), 'a call that fills says whom it waits for');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$changer->query('SELECT 1');
	like($changer->{stderr}, qr/NOTICE:  waiting for a lock on table public\.moved that another session holds\nDETAIL:  Process \d+ \(holder\)/, 'and tells the caller');
	$changer->quit;
	is(sql(q{SELECT sum(v) FROM moved}), 2, 'and goes on when that has ended');
}

# A column that comes into a change while its drop waits is not dropped.
{
	sql(q{DROP TABLE moved; CREATE TABLE moved (id int PRIMARY KEY, v int)});
	my $holder = hold('moved');
	my $changer = waiting_call("CALL dbops.drop_column('moved', 'v')");
	$node->psql('postgres', q{CALL dbops.rename_column('moved', 'v', 'w', max_wait => '300ms')});
	is(sql(q{SELECT count(*) FROM dbops.column_change WHERE relid = 'moved'::regclass AND state = 'expanding'}), 1, 'a change of the column begins');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$changer->query('SELECT 1');
	like($changer->{stderr}, qr/ERROR:  column v of public\.moved is another, is in a change, or/, 'which the drop notices');
	$changer->quit;
	is(sql(q{SELECT count(v) FROM moved}), 0, 'and the column is there');
}

# Nor is another index dropped that has got the name of the one that was meant: the call holds that to its name.
{
	sql(q{CREATE TABLE indexed (a int, b int); CREATE INDEX indexed_x ON indexed (a); CREATE INDEX indexed_good ON indexed (b)});
	my $holder = $node->background_psql('postgres', on_error_stop => 0);
	$holder->query_safe(q{SET application_name = 'holder'});
	$holder->query_safe('BEGIN; LOCK TABLE indexed IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(1.1)');
	my $changer = waiting_call("CALL dbops.drop_index('indexed_x')");
	$holder->query_safe('ALTER INDEX indexed_x RENAME TO indexed_old');
	$holder->query_safe('ALTER INDEX indexed_good RENAME TO indexed_x');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$changer->query('SELECT 1');
	like($changer->{stderr}, qr/ERROR:  index public\.indexed_x has got another name meanwhile/, 'drop_index does not go on with another index');
	$changer->quit;
	is(sql(q{SELECT count(*) FROM pg_index WHERE indrelid = 'indexed'::regclass}), 2, 'both are there');
}

# Who has read the table, and wants a lock that it would queue before, is no deadlock's victim.
{
	my $reader = $node->background_psql('postgres', on_error_stop => 0);
	my $changer = $node->background_psql('postgres', on_error_stop => 0);

	sql(q{CREATE TABLE read (a int NOT NULL, x int); INSERT INTO read VALUES (1)});
	$reader->query_safe('BEGIN; SELECT FROM read');
	$changer->query_until(qr/go/, "\\echo go\nCALL dbops.drop_column('read', 'x', lock_timeout => '10s');\n");
	$reader->query_safe('SELECT pg_sleep(0.4)');
	$reader->query('LOCK TABLE read IN SHARE ROW EXCLUSIVE MODE');
	unlike($reader->{stderr}, qr/deadlock/, 'a reader that locks the table while a call queues for it gets its lock');
	$reader->query('COMMIT');
	$reader->quit;
	ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_attribute WHERE attrelid = 'read'::regclass AND attname = 'x'}), 'and the call is done behind it');
	$changer->quit;
}

# A call whose job is paused has not done what it was for.
{
	my $holder = hold('other');
	my $changer = waiting_call("CALL dbops.add_column('other', 'p', 'int', '1')");
	sql(q{SELECT dbops.pause_job(id) FROM dbops.job WHERE state = 'running'});
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.job WHERE state = 'paused'}) or die 'it is not paused';
	$changer->query('SELECT 1');
	like($changer->{stderr}, qr/ERROR:  job \d+, which does this, is paused/, 'a call whose job is paused says so');
	my ($code, $out, $error) = $node->psql('postgres', q{CALL dbops.add_column('other', 'p', 'int', '1', max_wait => '300ms')});
	like($error, qr/ERROR:  .* has met a lock of another session, again and again/, 'the same call goes on with it as patiently as it was asked to itself');
	$holder->query_safe('COMMIT');
	$holder->quit;
	$changer->quit;
	sql(q{CALL dbops.add_column('other', 'p', 'int', '1')});
	is(sql(q{SELECT count(p) FROM other}), 1, 'and the same call goes on with it');
}

# Who breaks it off leaves nothing behind.
my $holder = hold('t');
my $changer = $node->background_psql('postgres', on_error_stop => 0);
$changer->query_until(qr/go/, "\\echo go\nSET application_name = 'changer';\nCALL dbops.add_unique('t', '{w}');\n");
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running'}) or die 'it does not begin';
sql(q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'changer'});
ok($node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM dbops.jobs() WHERE finished_at IS NULL}), 'a call that is cancelled ends its job');
$holder->query_safe('COMMIT');
sql(q{CALL dbops.add_unique('t', '{w}')});
is(sql(q{SELECT count(*) FROM pg_index WHERE NOT indisvalid}), 0, 'the same call again leaves nothing invalid');
is(sql(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = 'u'}), 1, 'and completes it');
$node->stop;
done_testing();
