# What is known of unused indexes when a server has standbys, loses its
# statistics or is promoted. A TAP test, because it needs two servers, a reset
# and a crash. The clock is set ahead in the session that asks.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $days = 24 * 60 * 60;
my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "autovacuum = off\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (a int, b int);
	INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
	CREATE INDEX t_a ON t (a);
	CREATE INDEX t_b ON t (b);
	SELECT count(*) FROM t;
	SELECT pg_stat_force_next_flush();
});

# What is said of an index some days from now.
sub verdict
{
	my ($node, $index, $later) = @_;
	my $now = time + $later * $days;
	return $node->safe_psql('postgres', qq{
		SET dbops.test_now = $now;
		SELECT safe_to_drop, reason FROM dbops.find_unused_indexes() WHERE index_name = '$index'::regclass;
	});
}

sub expect_standbys
{
	my ($names) = @_;
	$primary->append_conf('postgresql.conf', "dbops.expected_standbys = '$names'\n");
	$primary->reload;
	$primary->poll_query_until('postgres', "SELECT coalesce(current_setting('dbops.expected_standbys', true), '') = '$names'");
}

like(verdict($primary, 't_a', 0), qr/^unknown\|it has been observed for/, 'a young index is not judged');
like(verdict($primary, 't_a', 40), qr/^yes\|/, 'an old one is');

# A standby, connected, that nobody knows of.
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('replica_1');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
like(verdict($primary, 't_a', 40), qr/^unknown\|what standby replica_1 scans is not known/, 'its standby is missed');
like(verdict($standby, 't_a', 40), qr/^unknown\|this is a standby/, 'the standby itself calls nothing safe');

# It scans an index that the primary does not.
$standby->safe_psql('postgres', q{SET enable_seqscan = off; SELECT count(*) FROM t WHERE b = 3; SELECT pg_stat_force_next_flush()});
my $usage = $standby->safe_psql('postgres', 'SELECT dbops.export_index_usage()');
my ($ret, $out, $err) = $standby->psql('postgres', "SELECT dbops.import_index_usage('x', '$usage')");
like($err, qr/ERROR:  a standby keeps no figures of other nodes\nHINT:  Call it on the primary/, 'a standby imports nothing');
is($primary->safe_psql('postgres', "SELECT dbops.import_index_usage('replica_1', '$usage')"), '1', 'its usage is imported');
is(verdict($primary, 't_b', 5), '', 'what it scans is used');
my $later = time + 40 * $days;
$primary->safe_psql('postgres', "UPDATE dbops.index_usage_node SET taken_at = to_timestamp($later)");
like(verdict($primary, 't_a', 40), qr/^yes\|/, 'what it does not scan is not');
expect_standbys('replica_1, replica_2');
like(verdict($primary, 't_a', 40), qr/^unknown\|what standby replica_2 scans is not known/, 'one that is expected is missed too');
expect_standbys('');

# A promoted server has not seen what its primary did: counting begins anew,
# whatever its statistics and files are. Its timeline's file is made as old.
$standby->promote;
$standby->safe_psql('postgres', 'CHECKPOINT');
is($standby->safe_psql('postgres', q{
	SELECT (dbops.export_index_usage() ->> 'observed_since')::timestamptz > pg_postmaster_start_time()
	   AND (dbops.export_index_usage() ->> 'observed_since')::timestamptz >
	       (SELECT stats_reset FROM pg_stat_archiver)}), 't', 'a promoted server begins anew');
$standby->stop('fast');
$primary->safe_psql('postgres', "SELECT dbops.forget_index_usage('replica_1')");

# Statistics that are reset, of one table or of all; a crash loses them.
my $since = q{SELECT dbops.export_index_usage() ->> 'observed_since'};
my $reset = $primary->safe_psql('postgres', q{SELECT now(); SELECT pg_stat_reset_single_table_counters('t_a'::regclass)});
is($primary->safe_psql('postgres', "SELECT ($since)::timestamptz >= '" . (split /\n/, $reset)[0] . "'"), 't',
	'the reset of one index is told');
$reset = $primary->safe_psql('postgres', 'SELECT now()');
$primary->safe_psql('postgres', 'SELECT pg_stat_reset()');
is($primary->safe_psql('postgres', "SELECT ($since)::timestamptz >= '$reset'"), 't', 'the reset of all is told');
$primary->restart;
is($primary->safe_psql('postgres', "SELECT ($since)::timestamptz < pg_postmaster_start_time()"), 't', 'a clean restart loses nothing');
$primary->stop('immediate');
$primary->start;
is($primary->safe_psql('postgres', "SELECT ($since)::timestamptz >= pg_postmaster_start_time()"), 't', 'after a crash counting begins anew');
$primary->safe_psql('postgres', "SELECT pg_stat_reset_shared('bgwriter')");
is($primary->safe_psql('postgres', "SELECT ($since)::timestamptz < (SELECT stats_reset FROM pg_stat_bgwriter)"), 't',
	'the reset of other statistics does not matter');

done_testing();
