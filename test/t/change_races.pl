# What others do to a table while a change of it waits is noticed when the change
# has its locks: it ends with an error, instead of doing its step to something else,
# or reading all rows while nobody else may. TAP, because an isolation test takes
# what sleeps between two tries for what works.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nautovacuum = off\n");
$node->start;

sub sql
{
	my ($query) = @_;

	return $node->safe_psql('postgres', $query);
}

sub await
{
	my ($what, $condition) = @_;

	$node->poll_query_until('postgres', $condition) or die "did not come: $what";
	return;
}

# Make a call while a transaction, older than a second, is in its way; let that do
# something else before it ends. Returns what the call ends with.
sub interfere
{
	my ($call, $held, $interference) = @_;
	my $holder = $node->background_psql('postgres');
	my $last = sql('SELECT coalesce(max(id), 0) FROM dbops.job');

	$holder->query_safe(q{SET application_name = 'holder'});
	$holder->query_safe("BEGIN; $held");
	$holder->query_safe('SELECT pg_sleep(1.1)');
	my $changer = $node->background_psql('postgres', on_error_stop => 0);
	$changer->query_until(qr/go/, "\\echo go\nCALL $call;\n");
	await("$call waits", qq{SELECT count(*) = 1 FROM dbops.jobs() WHERE id > $last AND kind = 'change' AND state = 'running'
		AND waiting LIKE 'for a lock of another session: Process%holder%'});
	$holder->query_safe($interference);
	$holder->query_safe('COMMIT');
	$holder->quit;
	await("$call ends", qq{SELECT count(*) = 1 FROM dbops.job WHERE id > $last AND finished_at IS NOT NULL});
	$changer->quit;
	return sql("SELECT concat_ws(': ', state, message) FROM dbops.job WHERE id > $last");
}

sql(q{
	CREATE EXTENSION dbops;
	CREATE FOREIGN DATA WRAPPER w;
	CREATE SERVER s FOREIGN DATA WRAPPER w;

	CREATE TABLE f (id int, k int) PARTITION BY LIST (k);
	CREATE TABLE f_1 PARTITION OF f FOR VALUES IN (1);
	CREATE FOREIGN TABLE f_2 PARTITION OF f FOR VALUES IN (2) SERVER s;
	CREATE TABLE f_3 (id int, k int);

	CREATE TABLE p (id int, k int) PARTITION BY LIST (k);
	CREATE TABLE p_1 PARTITION OF p FOR VALUES IN (1);
	CREATE TABLE p_2 PARTITION OF p FOR VALUES IN (2);
	CREATE TABLE p_3 (id int, k int);
	CREATE TABLE r (id int PRIMARY KEY);

	CREATE TABLE n (id int NOT NULL, k int);
	CREATE TABLE x (a int, b int);
	INSERT INTO x SELECT g, g FROM generate_series(1, 10) g;
	CREATE TABLE t (id int PRIMARY KEY, a int, b int);
	INSERT INTO t VALUES (1, 1, 1);
	CREATE TABLE old (id int PRIMARY KEY, a int, b int);
	INSERT INTO old VALUES (1, 1, 1)});

# The index of a whole with a foreign partition would be built on what has come, or on what has lost its own.
for my $case ([ 'ALTER TABLE f ATTACH PARTITION f_3 FOR VALUES IN (3)', 'a partition that has come' ], [ 'DROP INDEX f_1_id_idx', 'an index that has gone' ])
{
	my ($interference, $what) = @$case;

	like(interfere(q{dbops.create_index('CREATE INDEX f_i ON f (id)')}, 'LOCK TABLE ONLY f IN ROW EXCLUSIVE MODE', $interference),
		qr/^failed: table public\.f has got or lost a partition meanwhile, or one of them its index$/, "$what is not indexed under a lock that writers wait for");
	is(sql(q{SELECT to_regclass('f_i') IS NULL}), 't', 'there is no index');
	sql('ALTER TABLE f DETACH PARTITION f_3') if $interference =~ /ATTACH/;
}
sql(q{CALL dbops.create_index('CREATE INDEX f_i ON f (id)')});
is(sql(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'f_i'::regclass}), 't', 'the same call again completes it');

# So is a key of the whole.
for my $case ([ q{dbops.add_unique('p', '{id,k}')}, 'ALTER TABLE p_1 DROP CONSTRAINT p_1_id_k_key' ],
	[ q{dbops.add_unique('p', '{id,k}')}, 'ALTER TABLE p DETACH PARTITION p_2' ],
	[ q{dbops.add_foreign_key('p', '{id}', 'r', create_index => false)}, 'ALTER TABLE p_1 DROP CONSTRAINT p_1_id_fkey' ],
	[ q{dbops.add_foreign_key('p', '{id}', 'r', create_index => false)}, 'ALTER TABLE p ATTACH PARTITION p_3 FOR VALUES IN (3)' ])
{
	my ($call, $interference) = @$case;

	like(interfere($call, 'LOCK TABLE ONLY p IN ACCESS SHARE MODE', $interference),
		qr/^failed: table public\.p has got or lost a partition meanwhile, or one of them its constraint$/, "$interference is noticed")
	  if $call =~ /unique/;
	like(interfere($call, 'LOCK TABLE ONLY p IN ROW EXCLUSIVE MODE', $interference),
		qr/^failed: table public\.p has got or lost a partition meanwhile, or one of them its constraint$/, "$interference is noticed")
	  if $call =~ /foreign/;
	sql("CALL $call");
	is(sql(q{SELECT bool_and(convalidated) FROM pg_constraint WHERE conrelid = 'p'::regclass}), 't', 'and the same call again completes it');
	sql('ALTER TABLE p DROP CONSTRAINT p_id_k_key') if $call =~ /unique/;
	sql('ALTER TABLE p DROP CONSTRAINT p_id_fkey') if $call =~ /foreign/;
}

# A primary key would have all rows read for NULL.
like(interfere(q{dbops.add_unique('n', '{id}', primary_key => true)}, 'SELECT count(*) FROM n', 'ALTER TABLE n ALTER id DROP NOT NULL'),
	qr/^failed: a column of the key of table public\.n has got rid of NOT NULL meanwhile$/, 'a column that may be NULL again is noticed');
sql(q{CALL dbops.add_unique('n', '{id}', primary_key => true)});
is(sql(q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 'n'::regclass AND attname = 'id'}), 't', 'and the same call again proves it itself');

# An index of that name that is another one.
like(interfere(q{dbops.create_index('CREATE UNIQUE INDEX x_a ON x (a)')}, 'LOCK TABLE x IN SHARE UPDATE EXCLUSIVE MODE', 'CREATE INDEX x_a ON x (b)'),
	qr/^failed: CREATE UNIQUE INDEX .*: something else has got that name meanwhile$/, 'another index of the name is not taken for the one that is asked for');
like(interfere(q{dbops.add_unique('x', '{b}')}, 'LOCK TABLE x IN SHARE UPDATE EXCLUSIVE MODE', 'CREATE INDEX x_b_key ON x (a)'),
	qr/^failed: CREATE UNIQUE INDEX .*: something else has got that name meanwhile$/, 'nor for that of a key');

# Another table that has got the name, and another column.
for my $call (q{dbops.set_not_null('t', 'a')}, q{dbops.add_column('t', 'c', 'int', '7', not_null => true)}, q{dbops.add_check_constraint('t', 'a > 0')})
{
	like(interfere($call, 'SELECT count(*) FROM t', 'ALTER TABLE t RENAME TO new; ALTER TABLE old RENAME TO t'),
		qr/^failed: table public\.t has got its name meanwhile, and is not the one that was to be changed$/, "$call does nothing to another table");
	is(sql(q{SELECT count(*) FROM pg_attribute WHERE attrelid IN ('t'::regclass, 'new'::regclass) AND attnum > 0 AND NOT attisdropped AND (attname = 'c' OR attname = 'a' AND attnotnull)}), 0, 'nor to the one');
	is(sql(q{SELECT count(*) FROM pg_constraint WHERE conrelid IN ('t'::regclass, 'new'::regclass) AND contype = 'c'}), 0, 'and leaves nothing');
	sql('ALTER TABLE t RENAME TO old; ALTER TABLE new RENAME TO t');
}
for my $call (q{dbops.set_not_null('t', 'a')}, q{dbops.add_unique('t', '{a}')}, q{dbops.add_foreign_key('t', '{a}', 'r', create_index => false)})
{
	sql('INSERT INTO r VALUES (1) ON CONFLICT DO NOTHING');
	like(interfere($call, 'SELECT count(*) FROM t' . ($call =~ /foreign/ ? '; LOCK TABLE t IN ROW EXCLUSIVE MODE' : ''), 'ALTER TABLE t RENAME a TO z; ALTER TABLE t RENAME b TO a'),
		qr/^failed: a column of table public\.t that was to be changed has got another name meanwhile, or has been dropped$/, "$call does nothing to another column");
	is(sql(q{SELECT count(*) FROM pg_constraint WHERE conrelid = 't'::regclass AND conkey <> '{1}'}), 0, 'and leaves no constraint');
	sql('ALTER TABLE t RENAME a TO b; ALTER TABLE t RENAME z TO a');
}

# Who asks for an index that is just being built is not told that it is left by somebody.
{
	my $writer = $node->background_psql('postgres');
	my $builder = $node->background_psql('postgres', on_error_stop => 0);

	$writer->query_safe('BEGIN; UPDATE x SET a = a WHERE a = 1');
	$builder->query_until(qr/go/, "\\echo go\nCALL dbops.create_index('CREATE INDEX x_ab ON x (a, b)');\n");
	await('it is built', q{SELECT count(*) = 1 FROM pg_stat_progress_create_index WHERE phase = 'waiting for writers before build'});
	my ($code, $out, $error) = $node->psql('postgres', q{CALL dbops.create_index('CREATE INDEX x_ab ON x (a, b)', max_wait => '100ms')});
	like($error, qr/is at work on this already/, 'who asks for an index that is being built waits for it');
	unlike($error, qr/left by a build/, 'which has not been left by another build');
	$writer->query_safe('COMMIT');
	$_->quit for $writer, $builder;
	is(sql(q{SELECT indisvalid FROM pg_index WHERE indexrelid = 'x_ab'::regclass}), 't', 'and is there');
}
# Two calls for the same index by different names, made when there was none: one is
# built, and the other one is told. A third one asks for something else.
{
	my $holder = $node->background_psql('postgres');
	my %callers;

	sql('CREATE TABLE twins (a int, b int)');
	$holder->query_safe('BEGIN; LOCK TABLE twins IN SHARE UPDATE EXCLUSIVE MODE; SELECT pg_sleep(1.1)');
	for my $definition ('one ON twins (a)', 'other ON twins (a)', 'another ON twins (a, b)')
	{
		my $caller = $callers{$definition} = $node->background_psql('postgres', on_error_stop => 0);

		$caller->query_until(qr/go/, "\\echo go\nCALL dbops.create_index('CREATE INDEX $definition');\n");
	}
	await('all three wait', q{SELECT count(*) = 3 FROM dbops.jobs() WHERE name LIKE 'public.%other' OR name = 'public.one'});
	await('all three wait', q{SELECT count(*) = 3 FROM dbops.jobs() WHERE (name LIKE 'public.%other' OR name = 'public.one') AND state = 'running' AND waiting IS NOT NULL});
	$holder->query_safe('COMMIT');
	$holder->quit;
	await('all three end', q{SELECT count(*) = 3 FROM dbops.job WHERE (name LIKE 'public.%other' OR name = 'public.one') AND finished_at IS NOT NULL});
	$_->quit for values %callers;
	is(sql(q{SELECT string_agg(concat_ws(': ', state, message), ', ' ORDER BY state, name) FROM dbops.job WHERE name IN ('public.one', 'public.other')}),
		'failed: table public.twins has got an index that does the same meanwhile, succeeded', 'of two calls at once for the same index one builds it');
	is(sql(q{SELECT count(*) FROM pg_index WHERE indrelid = 'twins'::regclass AND indisvalid}), '2', 'and nothing is left of the other; what asks for something else is built');
}

$node->stop;
done_testing();
