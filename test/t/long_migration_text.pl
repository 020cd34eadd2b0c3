# A text of 50 MB is applied: as many statements, as lines of data, and as one
# statement. Its statements are parsed one at a time, so it takes no more memory
# than a few copies of the text. TAP, because it is too much for each run.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $bytes = 50_000_000;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "autovacuum = off\nfsync = off\nmax_wal_size = 4GB");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (a int, b text);
	CREATE TABLE memory (bytes bigint)});

# What the session has when the last statement runs.
my $measure = 'INSERT INTO memory SELECT sum(total_bytes) FROM pg_backend_memory_contexts';
my %texts = (
	statements => qq{(SELECT string_agg(format('INSERT INTO t VALUES (%s, %L);', i, repeat('x', 1000)), E'\\n') FROM generate_series(1, $bytes / 1000) i)},
	lines => qq{'COPY t FROM stdin;' || (SELECT string_agg(E'\\n' || i || E'\\t' || repeat('x', 1000), '') FROM generate_series(1, $bytes / 1000) i) || E'\\n\\\\.\\n'},
	one => qq{'INSERT INTO t VALUES (1, ''' || repeat('x', $bytes) || ''');'});
my %rows = (statements => $bytes / 1000, lines => $bytes / 1000, one => 1);

foreach my $what (sort keys %texts)
{
	$node->safe_psql('postgres', 'TRUNCATE t, memory');
	$node->safe_psql('postgres',
		"CREATE TABLE text_$what AS SELECT $texts{$what} || '$measure' AS sql");
	is($node->safe_psql('postgres',
			"SELECT state FROM dbops.apply_migration('$what', (SELECT sql FROM text_$what)) WHERE step IS NULL"),
		'applied', "50 MB as $what");
	is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), $rows{$what}, "rows of 50 MB as $what");
	cmp_ok($node->safe_psql('postgres', 'SELECT bytes FROM memory'), '<', 6 * $bytes, "memory of 50 MB as $what");
}

# All of it is read before anything runs, also its end; and compared.
like(($node->psql('postgres', q{
		SELECT * FROM dbops.apply_migration('mistake', (SELECT sql || '; SELECT FROM WHERE' FROM text_statements))}))[2],
	qr/syntax error at or near "WHERE".*line 50000 of up_sql/s, 'a mistake at the end is found first');
is($node->safe_psql('postgres', q{
		SELECT state FROM dbops.apply_migration('statements', (SELECT sql || ' -- again' FROM text_statements))}),
	'cosmetic', 'the same text again');
like(($node->psql('postgres', q{
		SELECT * FROM dbops.apply_migration('statements', (SELECT sql || '; SELECT 1' FROM text_statements))}))[2],
	qr/applied with another text.*ends, up_sql has "SELECT" in line 50000/s, 'a difference at its end');

done_testing();
