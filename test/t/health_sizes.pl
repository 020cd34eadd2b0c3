# The size of a database that takes longer to measure than a call may, asked
# for by sessions that make one call each; and what is measured, held against
# what the server and the file system say. TAP, because it takes many sessions
# and files.
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
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# One figure, in a session of its own, so many seconds after a fixed time.
sub health
{
	my ($later, $figure) = @_;

	return $node->safe_psql(
		'postgres', qq{
		SET dbops.test_now = @{[1_800_000_000 + $later]};
		SELECT $figure FROM dbops.system_health_check() h});
}

# nobody's files, many enough for several of the shortest slices
my $directory = $node->data_dir . '/' . $node->safe_psql('postgres', q{
	SELECT 'base/' || oid FROM pg_database WHERE datname = current_database()});
for my $i (1 .. 60_000)
{
	open my $file, '>', "$directory/dbops_test_$i" or die "cannot create a file: $!";
	close $file;
}
my $age = q{h->'freshness'->>'size_age_s'};
my $tries = 0;
$tries++ until health(0, $age) eq '0.00' || $tries == 20;
is(health(1, $age), '1.00', 'a first measurement is finished');

# each session begins anew, and gets more time than the one before
for my $try (1 .. 20)
{
	$age = health(130, q{h->'freshness'->>'size_age_s'});
	last if $age eq '0.00';
}
is($age, '0.00', 'sessions that make a single call finish the next one');

$node->stop;
done_testing();
