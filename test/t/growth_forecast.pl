# growth_forecast() where there is nothing to forecast from, in a database that
# is not the home of the cluster's history, on a standby and where dbops is not
# preloaded. TAP, because it takes two servers and what is preloaded is decided
# when one starts. The past is written by the test, and the clock is the test's.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    dbops.collector = off
    dbops.heartbeat = 0
    CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops');
$primary->safe_psql('postgres', 'CREATE DATABASE other');
$primary->safe_psql('other', 'CREATE EXTENSION dbops');

# What is said at noon of 2031-04-02.
sub forecast
{
	my ($node, $what, $database) = @_;

	return $node->safe_psql($database // 'postgres',
		"SET dbops.test_now = 1932897600; SET timezone = 'UTC';\nSELECT $what FROM dbops.growth_forecast() g");
}

my $keys = q{(SELECT string_agg(k, ' ' ORDER BY k COLLATE "C") FROM jsonb_object_keys(g) k)};
my $known = 'current disks forecast growth multixact_ids ranges recommendations sequences tables timestamp transaction_ids';
my $advice = q{g->'recommendations'->>0};
my $likely = q{(g#>>'{disks,0,days_until_full,likely}')::numeric};

# a history without a day
is(forecast($primary, $keys), $known, 'all members are there before there is any history');
is(forecast($primary, q{g->'forecast'}), '{"30days": null, "90days": null, "180days": null, "365days": null}', 'and no size is made up');
is(forecast($primary, q{g#>>'{current,size}' = pg_size_pretty(pg_database_size(current_database()))}), 't', 'what is now is known');
is(forecast($primary, $advice), 'Too little is known to plan by: ask again when there are 7 days of history.', 'the advice is to wait');
is(forecast($primary, q{g#>>'{disks,0,unknown}'}), '7 days with figures are needed, there are 1', 'a disk says what it lacks');
is(forecast($primary, q{g#>'{disks,0,days_until_full}'}), '{"low": null, "high": null, "likely": null}', 'and has no day');

# the cluster's history has one home
$primary->poll_query_until('other', q{SELECT dbops.growth_forecast()->'recommendations'->>0 = 'The disks are judged in the home database, postgres.'})
  or diag(forecast($primary, $advice, 'other'));
is(forecast($primary, $advice, 'other'), 'The disks are judged in the home database, postgres.', 'another database says where the disks are judged');

# ninety days in which the database doubled, and a disk of another server that is
# five times as full gained a hundredth of what is free here
$primary->safe_psql(
	'postgres', q{
	CREATE TABLE dbops.metric_1d_2031 PARTITION OF dbops.metric_1d FOR VALUES FROM ('2031-01-01 00:00+00') TO ('2032-01-01 00:00+00');
	INSERT INTO dbops.metric_1d (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)
	SELECT timestamptz '2031-04-02 00:00+00' - i * interval '1 day', false, 8640, 10000, 1, 86400, false, '{}', '{}', '{}',
	       array_fill(NULL::float8, '{22}') || pg_database_size(current_database()) * (1 - i / 182.0)::float8, '{}'
	  FROM generate_series(1, 91) i;
	CREATE TABLE IF NOT EXISTS dbops.disk_1h_203102 PARTITION OF dbops.disk_1h FOR VALUES FROM ('2031-02-01 00:00+00') TO ('2031-03-01 00:00+00');
	CREATE TABLE IF NOT EXISTS dbops.disk_1h_203103 PARTITION OF dbops.disk_1h FOR VALUES FROM ('2031-03-01 00:00+00') TO ('2031-04-01 00:00+00');
	CREATE TABLE IF NOT EXISTS dbops.disk_1h_203104 PARTITION OF dbops.disk_1h FOR VALUES FROM ('2031-04-01 00:00+00') TO ('2031-05-01 00:00+00');
	INSERT INTO dbops.disk_1h (at, disk, total_bytes, used_bytes, free_bytes)
	SELECT timestamptz '2031-04-02 10:00+00' - i * interval '6 hours', d->>'name', 0, (d->>'used_bytes')::int8 + (5 - i / 400.0) * (d->>'free_bytes')::int8, 0
	  FROM generate_series(0, 160) i, LATERAL (SELECT dbops.growth_forecast()#>'{disks,0}' AS d OFFSET 0) _});

# the same as a check, which judges in the home database only
sub check
{
	my ($database) = @_;

	return $primary->safe_psql($database,
		"SET dbops.test_now = 1932897600; SELECT string_agg(DISTINCT message, E'\\n') FROM dbops.health_checks() WHERE check_name = 'capacity.days_until_full'");
}
like(check('postgres'), qr/: full in \d+ days at the earliest, in \d+ likely/, 'the home database has a check of it');
is(check('other'), 'the disks are judged in the home database', 'which another leaves to that');

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));

is(forecast($standby, $keys), $known, 'a standby forecasts');
for my $node ($primary, $standby)
{
	is( forecast($node, q{(g#>>'{ranges,90days,bytes}')::numeric / pg_database_size(current_database()) BETWEEN 1.4 AND 1.6}),
		't', 'the database grows as it did, on the ' . $node->name);
}
is(forecast($standby, "$likely BETWEEN 80 AND 120"), 't', "its own disk fills at the rate of the primary's")
  or diag(forecast($standby, q{g->'disks'}));
like(forecast($standby, $advice), qr/^Plan more capacity by 2031-0[4-7]-\d\d: a disk may be full in \d+ days\.$/, 'by which it advises');
like(forecast($primary, $advice), qr/^Plan more capacity by 2031-04-02: a disk may be full in 0 days\.$/, "the primary's is fuller than it can be");

# what was kept is told without preloading too; what was not says how to have it
$standby->stop;
$primary->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$primary->restart;
is(forecast($primary, $keys), $known, 'without being preloaded all members are there');
is(forecast($primary, q{jsonb_typeof(g#>'{forecast,365days}')}), 'string', 'and the past that was kept counts');
is( forecast($primary, $advice, 'other'),
	'Nothing is known to plan by: history is kept when dbops is in shared_preload_libraries. Ask again after 7 days of it.',
	'where nothing was kept the advice is to preload');

$primary->stop;
done_testing();
