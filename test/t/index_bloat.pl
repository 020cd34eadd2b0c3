# Bloat of indexes in states that take more than a session or a healthy file:
# locked by somebody, half built, another session's, damaged, on a standby, and
# beside pgstatindex. TAP, because of the sessions, the files and the standby.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1, extra => ['--data-checksums']);
$primary->append_conf('postgresql.conf', "autovacuum = off\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id int, k text);
	INSERT INTO t SELECT g, md5(g::text) FROM generate_series(1, 20000) g;
	CREATE INDEX t_id ON t (id);
	CREATE INDEX t_k ON t (k);
	DELETE FROM t WHERE id % 2 = 0;
	VACUUM (INDEX_CLEANUP on) t;
	CREATE UNLOGGED TABLE u (id int PRIMARY KEY);
	INSERT INTO u SELECT generate_series(1, 10000)});

# One or more columns of the report on an index; waiting is an error.
sub bloat
{
	my ($node, $columns, @arguments) = @_;
	my $arguments = join ', ', map { "'$_'" } shift @arguments;

	return $node->safe_psql('postgres',
		"SET lock_timeout = '5s'; SELECT $columns FROM dbops.index_bloat(" . join(', ', $arguments, @arguments) . ')');
}

# Locked by somebody.
my $locker = $primary->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE');
is(bloat($primary, q{size_bytes > 300000, bloat_percent IS NULL, pages_read, method}, 't_id'),
	't|t|0|skipped: locked', 'a locked table is not waited for');
is( $primary->safe_psql('postgres', q{SET lock_timeout = '5s';
		SELECT index_name, bloat_percent IS NULL, method FROM dbops.find_bloated_indexes(min_bytes => 300000)}),
	"t_k|t|skipped: locked\nt_id|t|skipped: locked", 'and is told');
is(bloat($primary, 'method, note', 't_id', 'exact => true'), 'skipped: locked|', 'nor is it with exact');
$locker->query_safe('ROLLBACK');
$locker->query_safe('BEGIN; LOCK TABLE dbops.index_best IN SHARE ROW EXCLUSIVE MODE');
is( $primary->safe_psql('postgres', q{SET lock_timeout = '5s';
		SELECT index_name, bloat_percent BETWEEN 45 AND 55 FROM dbops.find_bloated_indexes(min_bytes => 100000)}),
	"t_k|t\nt_id|t", 'two that remember at a time do not wait for each other');
$locker->query_safe('ROLLBACK');

# Half built: the build waits for a transaction, and is not looked at.
$locker->query_safe('BEGIN; INSERT INTO t VALUES (0, $$x$$)');
my $builder = $primary->background_psql('postgres');
$builder->query_until(qr/go/, "\\echo go\nCREATE INDEX CONCURRENTLY t_building ON t (k, id);\n");
$primary->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_index WHERE indexrelid = to_regclass('t_building') AND NOT indisready})
  or die 'the build does not begin';
is(bloat($primary, 'pages_read, method', 't_building'),
	'0|skipped: its build has not ended, or it is being dropped', 'an index that is being built is not read');
$locker->query_safe('COMMIT');
$builder->query_safe('SELECT 1');
is(bloat($primary, 'bloat_percent, method', 't_building'), '0.00|census', 'when it is built it is');

# Being rebuilt: the old one is there until the new one is, which waits for a transaction.
$locker->query_safe('BEGIN; INSERT INTO t VALUES (-1, $$x$$)');
$builder->query_until(qr/go/, "\\echo go\nREINDEX INDEX CONCURRENTLY t_building;\n");
$primary->poll_query_until('postgres',
	q{SELECT count(*) = 1 FROM pg_index WHERE indexrelid = to_regclass('t_building_ccnew') AND NOT indisready})
  or die 'the rebuild does not begin';
is(bloat($primary, 'method', $_->[0]), $_->[1], "while an index is rebuilt, $_->[0]")
  for ['t_building', 'census'], ['t_building_ccnew', 'skipped: its build has not ended, or it is being dropped'];
$locker->query_safe('COMMIT');
$builder->query_safe('SELECT 1');
is(bloat($primary, 'method', 't_building'), 'census', 'and then');
$builder->quit;

# Another session's.
$locker->query_safe('CREATE TEMP TABLE other (id int PRIMARY KEY)');
is( $primary->safe_psql('postgres', q{
		SELECT method FROM pg_class c, dbops.index_bloat(c.oid) WHERE relname = 'other_pkey'}),
	'skipped: it is temporary, of another session', q{another session's temporary index is not read});
$locker->quit;

# Exact, by pgstatindex where the server has it.
SKIP:
{
	skip 'pgstattuple is not there', 2
	  if $primary->safe_psql('postgres', q{SELECT count(*) FROM pg_available_extensions WHERE name = 'pgstattuple'}) == 0;
	$primary->safe_psql('postgres', 'CREATE SCHEMA "a b"; CREATE EXTENSION pgstattuple SCHEMA "a b"');
	is( bloat($primary, q{method, pages_read > 110, abs(density_percent - (SELECT avg_leaf_density FROM "a b".pgstatindex('t_k'))) < 0.01},
			't_k', '30', 'exact => true'),
		'pgstatindex|t|t', 'exact asks pgstatindex');
	is( bloat($primary, q{abs(bloat_percent - (SELECT bloat_percent FROM dbops.index_bloat('t_k'))) <= 1}, 't_k', '30', 'exact => true'),
		't', 'and agrees with a census');
}

# On a standby, which writes nothing.
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
my $report = q{SELECT f.* FROM dbops.find_bloated_indexes(min_bytes => 100000) f};
my $expected = $primary->safe_psql('postgres', $report);
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is($standby->safe_psql('postgres', $report), $expected, 'a standby says the same');
is($standby->safe_psql('postgres', q{SELECT live_rows > 9999, bloat_percent BETWEEN 45 AND 55 FROM dbops.find_bloated_tables(min_bytes => 100000) WHERE table_name = 't'::regclass AND part = 'table'}), 't|t', 'of tables, too');
is(bloat($standby, 'method', 'u_pkey'), 'skipped: unlogged, so it is empty on a standby', 'but of an unlogged index nothing');
$standby->stop;

# Damaged pages: of one the checksum is wrong, of another only the content. Each
# is told, and the rest is measured.
my ($before) = bloat($primary, 'bloat_percent', 't_k');
my $file = $primary->data_dir . '/' . $primary->safe_psql('postgres', q{SELECT pg_relation_filepath('t_k')});

sub damage
{
	my ($block, $offset, $bytes) = @_;

	$primary->stop;
	open my $handle, '+<', $file or die "$file: $!";
	seek $handle, $block * 8192 + $offset, 0;
	print {$handle} $bytes;
	close $handle or die "$file: $!";
	$primary->start;
}

damage(5, 4000, 'garbage');
is(bloat($primary, 'method, damaged_pages', 't_k'), 'census|1', 'a page with a wrong checksum is told');
like(bloat($primary, 'note', 't_k'), qr/^block 5: invalid page in block 5 of relation/, 'and which one it is');
is(bloat($primary, "abs(bloat_percent - $before) < 1", 't_k'), 't', 'and the others are measured');
is(bloat($primary, 'damaged_pages', 't_k', '300', 'exact => true'), '1', 'exact tells it, too');
# another sample for each row, since the function is given the row's number
is( $primary->safe_psql('postgres', q{
		SELECT max(damaged_pages), min(bloat_percent) > 30 FROM generate_series(1, 100) g, dbops.index_bloat('t_k', 50 + 0 * g)}),
	'1|t', 'so does a sample, where it meets it, and counts it once');
damage(9, 0, 'X' x 8192);
is(bloat($primary, 'damaged_pages', 't_k'), '2', 'so is a page that is garbage');
$primary->stop;
command_ok([ 'pg_checksums', '--disable', '-D', $primary->data_dir ], 'without checksums');
$primary->start;
damage(12, 16, pack('S', 8000));
is(bloat($primary, 'damaged_pages', 't_k'), '2', 'a page whose end is misplaced is told, and that of which only a key is wrong no more');
damage(13, 24, "\xff" x 400);
is(bloat($primary, 'damaged_pages', 't_k'), '3', 'and one whose items lead out of the page');
damage(0, 24, 'X' x 40);
is( bloat($primary, 'bloat_percent IS NULL, method, note', 't_k'),
	't|not measured: damaged|block 0: its content is not that of such an index', 'without its first page nothing is known');
is( $primary->safe_psql('postgres', q{SELECT index_name, method FROM dbops.find_bloated_indexes(min_bytes => 100000)}),
	"t_id|census\nt_k|not measured: damaged", 'which is the last row of the list');

done_testing();
