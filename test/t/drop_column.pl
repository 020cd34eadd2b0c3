# What drop_column() has looked at is looked at once more when it has its lock: a
# column that has got the name meanwhile stays, and so does one on which something
# depends by then that nobody was told. TAP, since the call waits between two tries.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nautovacuum = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# Have the call wait behind a transaction, which then does something; returns what the call says.
sub drop_while
{
	my ($table, $meanwhile) = @_;
	my $holder = $node->background_psql('postgres');
	my $dropper = $node->background_psql('postgres', on_error_stop => 0);
	my $said;

	$node->safe_psql('postgres', "CREATE TABLE $table (id int PRIMARY KEY, v int, z text, k int); INSERT INTO $table VALUES (1, 1, 'keep', 3)");
	$holder->query_safe("BEGIN; SELECT count(*) FROM $table");
	$dropper->query_until(qr/go/, "\\echo go\nCALL dbops.drop_column('$table', 'v');\n");
	$node->poll_query_until('postgres', "SELECT count(*) = 1 FROM dbops.jobs() WHERE kind = 'change' AND state = 'running' AND name = 'public.$table.v' AND waiting IS NOT NULL")
	  or die 'it does not wait';
	$holder->query_safe("$meanwhile; COMMIT");
	$holder->quit;
	$dropper->query('SELECT 1');
	$said = $dropper->{stderr};
	$dropper->quit;
	return $said;
}

like(drop_while('renamed', 'ALTER TABLE renamed DROP COLUMN v; ALTER TABLE renamed RENAME z TO v'),
	qr/ERROR:  column v of public.renamed is another/, 'another column has the name');
is($node->safe_psql('postgres', 'SELECT v FROM renamed'), 'keep', 'and stays');

like(drop_while('keyed', 'ALTER TABLE keyed ADD UNIQUE (k, v)'),
	qr/ERROR:  column v of public.keyed is another, is in a change, or has other things that depend on it/, 'a key has come that is made of it');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_constraint WHERE conrelid = 'keyed'::regclass AND contype = 'u'}), '1', 'and stays');

unlike(drop_while('untouched', 'INSERT INTO untouched VALUES (2, 2)'), qr/ERROR/, 'rows that come are no reason');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_attribute WHERE attrelid = 'untouched'::regclass AND attname = 'v'}), '0', 'and it is dropped');

$node->stop;
done_testing();
