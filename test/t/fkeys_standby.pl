# find_unindexed_fkeys on a standby: the same rows as on the primary, deletes
# seen apart, which only the primary counts. A TAP test, because it needs two
# servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "autovacuum = off\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE p (k int PRIMARY KEY);
	CREATE TABLE bare (a int REFERENCES p, fill text);
	CREATE TABLE served (a int REFERENCES p);
	CREATE INDEX ON served (a);
	CREATE TABLE tree (id int NOT NULL, a int REFERENCES p) PARTITION BY RANGE (id);
	CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
	INSERT INTO p VALUES (1);
	INSERT INTO bare SELECT 1, repeat('-', 100) FROM generate_series(1, 10000);
});

$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;

my $report = 'SELECT * FROM dbops.find_unindexed_fkeys()';
my $expected = $primary->safe_psql('postgres', $report);
like($expected, qr/^bare\|a\|CREATE INDEX CONCURRENTLY bare_a_idx ON public\.bare \(a\);\|/m,
	'the primary reports');
is($standby->safe_psql('postgres', $report), $expected, 'the standby reports the same');

# What is committed on the primary is judged on the standby, locked there or not.
$primary->safe_psql('postgres', 'CREATE INDEX ON bare (a)');
my $locker = $primary->background_psql('postgres');
$locker->query_safe('BEGIN; LOCK TABLE tree, p IN ACCESS EXCLUSIVE MODE; SELECT pg_switch_wal()');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is($standby->safe_psql('postgres', "SET lock_timeout = '5s'; SELECT constraint_name FROM dbops.find_unindexed_fkeys()"),
	'tree_a_fkey', 'an exclusive lock that was replayed hides and delays nothing');
$locker->query_safe('COMMIT');
$locker->quit;

done_testing();
