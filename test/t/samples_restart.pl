# What becomes of the samples of the last hour when the server is restarted: they
# stay, but tell nothing of now; what was counted before and after is told with a
# mark, and nothing is made up. After a crash there are none. Time is set, and
# sessions sample. TAP, because it takes restarts.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    fsync = off
    timezone = 'UTC'
    dbops.enabled = off
    dbops.collector = off
    dbops.heartbeat = 0
    dbops.test_clock = on
    dbops.test_now = 1893456000
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');
my $kept = $node->data_dir . '/pg_stat/dbops.samples';

# In a session whose time is so many seconds after the beginning of 2030.
sub at
{
	my ($seconds, $sql) = @_;

	return $node->safe_psql('postgres', 'SET dbops.test_now = ' . (1893456000 + $seconds) . "; $sql");
}

# Samples of a time, ten seconds apart, in each of which 1,000 rows are inserted.
sub sample
{
	my ($from, $to) = @_;

	for (my $i = $from; $i < $to; $i += 10)
	{
		at($i, 'INSERT INTO counted SELECT generate_series(1, 1000); SELECT pg_stat_force_next_flush(); SELECT dbops.sample_server()');
	}
	return;
}

my $seen = q{SELECT count(*), min(at), max(at) FROM dbops.metric_history('tuples.inserted', '2030-01-01 00:00', '2030-01-01 01:00', '10 s') WHERE tier = 'ring'};

$node->safe_psql('postgres', 'CREATE TABLE counted (i int)');
sample(3, 123);
my $before = at(123, $seen);
is($before, '12|2030-01-01 00:00:00+00|2030-01-01 00:01:50+00', 'samples are there');
is(at(123, 'SELECT count(*) > 0 FROM dbops.metrics()'), 't', 'and tell of now');

# a restart of two minutes
$node->stop;
ok(-e $kept, 'they are kept');
$node->start;
ok(!-e $kept, 'until they have been read');
is(at(123, $seen), $before, 'a restart loses none of them');
is(at(123, 'SELECT count(*) FROM dbops.metrics()'), '0', 'but of now they say nothing');
is(at(123, 'SELECT stale, samples FROM dbops.collector_status()'), 't|0', 'nor that the launcher samples');
sample(243, 253);
is(at(243, q{SELECT value > 0, per_second FROM dbops.metrics() WHERE name = 'tuples.inserted' AND database IS NOT NULL}), 't|', 'one sample after it tells how it is, and no rate over the gap');
sample(253, 363);
is(at(353, q{SELECT per_second BETWEEN 99 AND 120 FROM dbops.metrics() WHERE name = 'tuples.inserted' AND database IS NOT NULL}), 't', 'two tell a rate');

# both go into history, with the mark where they meet; what was counted is neither lost nor made up
cmp_ok(at(380, 'SELECT dbops.roll_up_metrics(true)'), '>', 0, 'what was sampled before it is written after it');
is( at(380, q{
	SELECT to_char(at, 'MI'), n, round(coverage::numeric, 2), reset, round(delta::numeric, -3)
	  FROM dbops.metric_history('tuples.inserted', '2030-01-01 00:00', '2030-01-01 00:06', '1 min', false)}),
	"00|6|1.00|f|5000\n01|6|0.88|f|6000\n04|6|1.00|t|6000\n05|6|0.88|f|6000",
	'with a mark, a gap, and each row counted once');

# after a crash the server has lost what it counted, and this goes with it
$node->stop('immediate');
ok(!-e $kept, 'at an immediate stop none are kept');
my $crashed = -s $node->logfile;
$node->start;
unlike(slurp_file($node->logfile, $crashed), qr/cannot use/, 'and none are missed');
is(at(380, $seen =~ s/count\(\*\), min\(at\), max\(at\)/count(*)/r), '0', 'a crash loses them');
is(at(380, q{SELECT count(*) FROM dbops.metric_history('tuples.inserted', '2030-01-01 00:00', '2030-01-01 00:06', '1 min', false)}), '4', 'but not what was written');
sample(403, 423);

# what is not sound is not used
$node->stop;
my $content = slurp_file($kept);
open my $file, '>:raw', $kept or die "cannot write $kept: $!";
print $file substr($content, 0, -100);
close $file;
my $from = -s $node->logfile;
$node->start;
like(slurp_file($node->logfile, $from), qr/cannot use ".*dbops\.samples"/, 'a file that is torn is said to be of no use');
is(at(430, $seen =~ s/count\(\*\), min\(at\), max\(at\)/count(*)/r), '0', 'and is not used');
sample(433, 453);
is(at(443, q{SELECT count(*) > 0 FROM dbops.metrics()}), 't', 'samples begin anew');

$node->stop;
done_testing();
