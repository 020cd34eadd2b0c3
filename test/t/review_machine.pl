# Settings against machines that this one is not: of little memory, of as much as the
# guide's, and of which nothing is known. TAP, because what the kernel tells of memory
# is a file of the test's own in place of /proc/meminfo.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use OwnMounts;

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $told = PostgreSQL::Test::Utils::tempdir() . '/meminfo';
append_to_file($told, "MemTotal: 1 kB\n");
plan skip_all => 'the kernel lets nothing be put over /proc/meminfo' if system('mount', '--bind', $told, '/proc/meminfo') != 0;

my $node = PostgreSQL::Test::Cluster->new('review_machine');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# What is said of memory on a machine of so much, with so much data.
sub judged
{
	my ($memory, $data) = @_;

	open my $file, '>', $told or die $!;
	print $file $memory;
	close $file;
	return $node->safe_psql('postgres', "SET dbops.test_now = 2000000000; SELECT dbops.put_sample('{\"databases.bytes\": $data}', of_cluster => true), dbops.put_sample('{\"size\": 8000000}'); SET dbops.test_now = 2000000001;"
		  . " SELECT string_agg(object || ' ' || severity || ' ' || current || ' ' || recommended, E'\\n' ORDER BY object) FROM dbops.review_settings('{settings.memory}')") =~ s/^\|\n//r;
}

is(judged("MemTotal: 409600 kB\n", 1e9), <<'SAID' =~ s/\n\z//r, 'with little memory each part is small, and nothing is recommended that is');
effective_cache_size info 4GB 300MB
maintenance_work_mem warning 64MB 25MB
shared_buffers ok 128MB 128MB
work_mem ok 4MB 4MB
SAID
SKIP:
{
	my $large = judged("MemTotal: 33554432 kB\n", 1e12);

	skip 'a container has a limit of less', 4 unless $large =~ /shared_buffers \w+ 128MB 8GB/;
	is($large, <<'SAID' =~ s/\n\z//r, 'on a machine of 32 GB they are the guide\'s, those of statements by how many sessions there may be');
effective_cache_size info 4GB 24GB
maintenance_work_mem info 64MB 2GB
shared_buffers warning 128MB 8GB
work_mem ok 4MB 4MB
SAID
	$node->safe_psql('postgres', "ALTER SYSTEM SET maintenance_work_mem = '8GB'");
	$node->safe_psql('postgres', "ALTER SYSTEM SET work_mem = '1GB'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('work_mem') = '1GB'") or die 'work_mem stays';
	is(judged("MemTotal: 33554432 kB\n", 1e6), <<'SAID' =~ s/\n\z//r, 'what does not fit is too much, and little data needs no buffers');
effective_cache_size info 4GB 24GB
maintenance_work_mem warning 8GB 2GB
shared_buffers ok 128MB 128MB
work_mem warning 1GB 81MB
SAID
	$node->safe_psql('postgres', "ALTER SYSTEM SET autovacuum_work_mem = '64MB'");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('autovacuum_work_mem') = '64MB'") or die 'autovacuum_work_mem stays';
	like(judged("MemTotal: 33554432 kB\n", 1e6), qr/^maintenance_work_mem ok 8GB 8GB$/m, 'what only one at a time takes may be more');
	$node->safe_psql('postgres', "ALTER SYSTEM RESET maintenance_work_mem");
	$node->safe_psql('postgres', "ALTER SYSTEM RESET work_mem");
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('work_mem') = '4MB'") or die 'work_mem stays';
	is(judged("Mem: many\n", 1e12), <<'SAID' =~ s/\n\z//r, 'of which nothing is known, that is said');
effective_cache_size unknown 4GB 4GB
maintenance_work_mem unknown 64MB 64MB
shared_buffers unknown 128MB 128MB
work_mem unknown 4MB 4MB
SAID
}
$node->stop;

done_testing();
