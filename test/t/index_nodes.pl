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
$primary->append_conf('postgresql.conf', "autovacuum = off\nmax_parallel_workers_per_gather = 0\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (a int, b int);
	INSERT INTO t SELECT g, g FROM generate_series(1, 100) g;
	CREATE INDEX t_a ON t (a);
	CREATE INDEX t_b ON t (b);
	CREATE TABLE large AS SELECT g AS a FROM generate_series(1, 12000) g;
	ANALYZE large;
	DO $$ BEGIN FOR i IN 1 .. 100 LOOP PERFORM FROM t; END LOOP; FOR i IN 1 .. 5 LOOP PERFORM FROM large; END LOOP; END $$;
	SELECT pg_stat_force_next_flush();
});
$primary->safe_psql('postgres', 'SELECT dbops.note_table_reads()');

# What is said of an index at some time, in seconds since 1970.
sub verdict_at
{
	my ($node, $index, $now) = @_;
	return $node->safe_psql('postgres', qq{
		SET dbops.test_now = $now;
		SELECT safe_to_drop, reason FROM dbops.find_unused_indexes() WHERE index_name = '$index'::regclass;
	});
}

# The same some days from now.
sub verdict
{
	my ($node, $index, $later) = @_;
	return verdict_at($node, $index, time + $later * $days);
}

# Bring to the primary what a standby has counted, as if at some time.
sub carry_over
{
	my ($standby, $now) = @_;
	my $usage = $standby->safe_psql('postgres', "SET dbops.test_now = $now; SELECT dbops.export_index_usage()");
	return $primary->safe_psql('postgres', "SET dbops.test_now = $now; SELECT dbops.import_index_usage('" . $standby->name . "', '$usage')");
}

sub set_on_primary
{
	my ($setting, $value) = @_;
	$primary->append_conf('postgresql.conf', "$setting = '$value'\n");
	$primary->reload;
	$primary->poll_query_until('postgres', "SELECT coalesce(current_setting('$setting', true), '') = '$value'");
}

like(verdict($primary, 't_a', 0), qr/^unknown\|it has been observed for/, 'a young index is not judged');
like(verdict($primary, 't_a', 40), qr/^yes\|/, 'an old one is');

# The moment at which it is just old enough, while what is scanned from then on is not.
my $old_enough = $primary->safe_psql('postgres', q{
	SELECT ceil(extract(epoch FROM observed_since))::bigint + 30 * 24 * 60 * 60 FROM dbops.index_usage('t') WHERE index_name = 't_b'::regclass});
like(verdict_at($primary, 't_b', $old_enough), qr/^yes\|/, 'both can go, as far as the primary knows');

# A standby, connected, that nobody knows of, and whose name a transaction that
# has looked around before does not see.
$primary->backup('base');
my $looking = $primary->background_psql('postgres');
$looking->query_safe('BEGIN; SELECT count(*) FROM pg_stat_activity');
my $standby = PostgreSQL::Test::Cluster->new('replica_1');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
like($looking->query_safe(q{SELECT safe_to_drop, reason FROM dbops.find_unused_indexes() WHERE index_name = 't_a'::regclass}),
	qr/^unknown\|a standby has connected whose name this transaction does not see/, 'a standby that has just connected is missed');
$looking->quit;
like(verdict($primary, 't_a', 40), qr/^unknown\|what standby replica_1 scans is not known/, 'its standby is missed');
like(verdict($standby, 't_a', 40), qr/^unknown\|this is a standby/, 'the standby itself calls nothing safe');

# It scans an index that the primary does not.
$standby->poll_query_until('postgres', "SELECT extract(epoch FROM clock_timestamp()) > $old_enough - 30 * 24 * 60 * 60 + 1");
$standby->safe_psql('postgres', q{
	SET enable_seqscan = off;
	SELECT count(*) FROM t WHERE b = 3;
	DO $$ BEGIN FOR i IN 1 .. 12 LOOP PERFORM FROM large; END LOOP; END $$;
	SELECT pg_stat_force_next_flush()});
my $usage = $standby->safe_psql('postgres', 'SELECT dbops.export_index_usage()');
my ($ret, $out, $err) = $standby->psql('postgres', "SELECT dbops.import_index_usage('x', '$usage')");
like($err, qr/ERROR:  a standby keeps no figures of other nodes\nHINT:  Call it on the primary/, 'a standby imports nothing');
like(verdict_at($primary, 't_b', $old_enough), qr/^unknown\|/, 'what the standby scans cannot go while that is not known');
is(carry_over($standby, $old_enough), '1', 'its usage is imported');
is(verdict_at($primary, 't_b', $old_enough), 'no|it is needed: scans of node replica_1', 'nor when it is');
is($primary->safe_psql('postgres', q{SELECT scans, status FROM dbops.index_usage('t') WHERE index_name = 't_b'::regclass}), '1|used',
	'its scans are added to those of the primary');
carry_over($standby, time + 40 * $days);
like(verdict($primary, 't_a', 40), qr/^yes\|/, 'what it does not scan can go');
set_on_primary('dbops.expected_standbys', 'replica_1, replica_3');
like(verdict($primary, 't_a', 40), qr/^unknown\|what standby replica_3 scans is not known/, 'one that is expected is missed too');
set_on_primary('dbops.expected_standbys', '');

# A standby of the standby: only that one knows of it.
my $cascaded = PostgreSQL::Test::Cluster->new('replica_2');
$cascaded->init_from_backup($primary, 'base');
$cascaded->enable_streaming($standby);
$cascaded->start;
$standby->wait_for_catchup($cascaded, 'replay', $standby->lsn('replay'));
carry_over($standby, time + 40 * $days);
like(verdict($primary, 't_a', 40), qr/^unknown\|what standby replica_2 scans is not known/, 'one that a standby feeds is missed');
carry_over($cascaded, time + 40 * $days);
like(verdict($primary, 't_a', 40), qr/^yes\|/, 'until it has told');
$cascaded->stop('fast');

# A session that counts in a server that does not.
set_on_primary('track_counts', 'off');
is($primary->safe_psql('postgres', q{
	SET track_counts = on;
	SELECT DISTINCT reason FROM dbops.find_unused_indexes() WHERE table_name = 't'::regclass AND safe_to_drop = 'unknown'}),
	'track_counts is off, so that nothing is counted', 'what the server does not count is not known');
set_on_primary('track_counts', 'on');

# One that is away for a minute, without a slot.
is($primary->safe_psql('postgres', 'SET dbops.test_now = ' . (time + 40 * $days) . '; SELECT dbops.note_standbys()'), '1', 'who is connected is noted');
is($primary->safe_psql('postgres', q{SELECT dbops.forget_index_usage(n) FROM unnest(ARRAY['replica_1', 'replica_2']) n}), "t\nt", 'the standbys are forgotten');
$primary->safe_psql('postgres', 'SET dbops.test_now = ' . (time + 40 * $days) . '; SELECT dbops.note_standbys()');

# Neither are the counters of a standby those that its primary has written down.
my $read = 'SET dbops.test_now = ' . (time + 8 * $days) . q{; SELECT scans FROM dbops.find_missing_indexes() WHERE table_name = 'large'::regclass};
is($standby->safe_psql('postgres', $read), '12', 'a standby counts its own reads');

# A promoted server has not seen what its primary did: counting begins anew,
# whatever its statistics and files are. Its timeline's file is made as old.
$standby->promote;
$standby->safe_psql('postgres', 'CHECKPOINT');
is($standby->safe_psql('postgres', q{
	SELECT (dbops.export_index_usage() ->> 'observed_since')::timestamptz > pg_postmaster_start_time()
	   AND (dbops.export_index_usage() ->> 'observed_since')::timestamptz >
	       (SELECT stats_reset FROM pg_stat_archiver)}), 't', 'a promoted server begins anew');
is($standby->safe_psql('postgres', $read), '12', 'and has read what it has when it is promoted');
is($standby->safe_psql('postgres', q{SELECT observed_since < (dbops.export_index_usage() ->> 'observed_since')::timestamptz FROM dbops.find_missing_indexes() WHERE table_name = 'large'::regclass}), 't',
	'since before that');
$standby->stop('fast');
like(verdict($primary, 't_a', 40), qr/^unknown\|what standby replica_1 scans is not known, which was connected/, 'a standby that is away is missed');
$primary->safe_psql('postgres', "SELECT dbops.forget_index_usage('replica_1')");
like(verdict($primary, 't_a', 40), qr/^yes\|/, 'until it is forgotten');

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
