# Bloat of tables, and of indexes that are no btrees, of which pages are damaged, and
# of a table in a server that never truncates. TAP, because of the files and the
# setting, which takes a restart.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('bloat');
# checksums, which 18 has unless told otherwise, would find it all first
$node->init(extra => $node->pg_version >= 18 ? ['--no-data-checksums'] : []);
$node->append_conf('postgresql.conf', "autovacuum = off\n");
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE d AS SELECT g, repeat('x', 100) AS t FROM generate_series(1, 1000) g;
	CREATE TABLE sound AS SELECT * FROM d;
	CREATE TABLE i AS SELECT g, ARRAY[g] AS words, point(g, g) AS p FROM generate_series(1, 20000) g;
	CREATE INDEX i_gin ON i USING gin (words);
	CREATE INDEX i_gist ON i USING gist (p);
	CREATE INDEX i_hash ON i USING hash (g);
	CREATE INDEX i_spgist ON i USING spgist (p);
	CREATE TABLE tail AS SELECT generate_series(1, 10000) AS a;
	DELETE FROM tail WHERE a > 100});

# rewritten, so that no page at the end is empty: newer servers add several at a time
$node->safe_psql('postgres', "VACUUM FULL $_") for qw(d sound);

# Write into a block of a relation's file while the server is down.
sub damage
{
	my ($relation, $block, $offset, $bytes) = @_;
	my $file = $node->data_dir . '/' . $node->safe_psql('postgres', "SELECT pg_relation_filepath('$relation')");

	$node->stop;
	open my $handle, '+<', $file or die "$file: $!";
	seek $handle, $block * 8192 + $offset, 0;
	print {$handle} $bytes;
	close $handle or die "$file: $!";
	$node->start;
	return;
}

sub table_bloat { return $node->safe_psql('postgres', "SELECT damaged_pages, live_rows BETWEEN 980 AND 1020, note FROM dbops.table_bloat('$_[0]') WHERE part = 'table'") }

sub index_bloat { return $node->safe_psql('postgres', "SELECT damaged_pages, density_percent > 0, note FROM dbops.index_bloat('$_[0]')") }

# ---- a table
is(table_bloat('d'), '0|t|', 'a sound table');
# the first row of block 0, its pointer behind the page: what is there is neither read nor written
damage('d', 0, 24, pack('L', 32760 | 1 << 15 | 32 << 17));
is(table_bloat('d'), '1|t|block 0: its content is not that of a table', 'a pointer to a row that leads out of its page is told, and the page taken for an average one');
# the last row that was put on block 1 stands first: its xmax a MultiXactId that there is not
my $row = $node->safe_psql('postgres', q{SELECT max((ctid::text::point)[1]) FROM d WHERE ctid >= '(1,0)' AND ctid < '(2,0)'}) - 1;
my $pointer = unpack('L', substr(slurp_file($node->data_dir . '/' . $node->safe_psql('postgres', q{SELECT pg_relation_filepath('d')})), 8192 + 24 + 4 * $row, 4));
my $at = $pointer & 0x7fff;
damage('d', 1, $at + 4, pack('L', 4000000));
damage('d', 1, $at + 20, pack('S', 0x1000 | 0x0002));
like(table_bloat('d'), qr/^2\|t\|block 0: /, 'so is a row with a MultiXactId that was never handed out');
$node->safe_psql('postgres', $_) for 'CREATE TABLE e AS SELECT * FROM sound', 'VACUUM FULL e';
damage('e', 1, $at + 4, pack('L', 4000000));
damage('e', 1, $at + 20, pack('S', 0x1000 | 0x0002));
like(table_bloat('e'), qr/^1\|t\|block 1: MultiXactId 4000000 has not been created yet/, 'in its own words');
is( $node->safe_psql('postgres', q{SELECT table_name, damaged_pages FROM dbops.find_bloated_tables(0, 100000, 0) WHERE table_name IN ('d'::regclass, 'e'::regclass, 'sound'::regclass) AND part = 'table' ORDER BY table_name::text}),
	"d|2\ne|1\nsound|0", 'and no report ends with it');

# ---- indexes of other kinds
my $sound = join "\n", map { index_bloat("i_$_") } qw(gin gist hash spgist);
unlike($sound, qr/block|^[1-9]/m, 'sound indexes');
damage('i_gin', 0, 24, "\xff" x 40);
like(index_bloat('i_gin'), qr/^1\|t\|block 0: its content is not that of such an index; a gin index is unsupported: [^;]*$/, 'a list of what is pending that says nonsense is damage');
# the number of maps behind that of the pages that they are among
damage('i_hash', 0, 24 + 44, pack('L', 100000));
like(index_bloat('i_hash'), qr/^1\|t\|block 0: its content is not that of such an index; a hash index is unsupported: [^;]*$/, 'so is a hash index with more maps than pages');
damage('i_gist', 3, 12, pack('SSS', 24, 24, 24));
like(index_bloat('i_gist'), qr/^1\|t\|block 3: its content is not that of such an index/, 'so is a page that has no room, and the others say how full they are');
damage('i_spgist', 3, 8190, "\0\0");
like(index_bloat('i_spgist'), qr/^1\|t\|block 3: /, 'so is one that is not signed');

# ---- a server that never truncates
is($node->safe_psql('postgres', q{SELECT vacuum_returns_bytes > 0 FROM dbops.table_bloat('tail')}), 't', 'an empty end is what VACUUM gives back');
SKIP:
{
	skip 'old_snapshot_threshold is no more', 2 if $node->safe_psql('postgres', 'SHOW server_version_num') >= 170000;
	$node->append_conf('postgresql.conf', "old_snapshot_threshold = 1h\n");
	$node->restart;
	is($node->safe_psql('postgres', q{SELECT vacuum_returns_bytes, note FROM dbops.table_bloat('tail')}),
		'0|old_snapshot_threshold is set, so that VACUUM gives nothing back', 'unless old_snapshot_threshold is set');
	$node->safe_psql('postgres', 'VACUUM tail');
	is($node->safe_psql('postgres', q{SELECT pg_relation_size('tail') > 300000}), 't', 'as is seen');
}
$node->stop;

done_testing();
