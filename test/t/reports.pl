# The reports where one server is not enough or preloading matters: a primary and
# its standby, a prepared transaction that blocks, and a server that preloads
# nothing. TAP, because what is preloaded is decided when a server starts.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    autovacuum = off
    max_prepared_transactions = 4
    CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE EXTENSION pg_stat_statements');

# nothing is preloaded: what needs no memory works, the rest says what to do
is($primary->safe_psql('postgres', q{SELECT count(*) FROM dbops.connections()}), '1', 'connections need no preloading');
is($primary->safe_psql('postgres', q{SELECT count(*) FROM dbops.blocking_sessions()}), '0', 'nor do waits');
is($primary->safe_psql('postgres', q{SELECT count(*) > 0 FROM dbops.disk_usage()}), 't', 'nor disks');
is($primary->safe_psql('postgres', q{SELECT count(*) FROM dbops.largest_relations(3)}), '3', 'nor sizes');
is($primary->safe_psql('postgres', q{SELECT dbops.measure_sizes(), (SELECT count(*) > 0 FROM dbops.disk_usage() WHERE kind = 'database')}),
	'|t', 'which can be measured');
my ($code, $out, $err) = $primary->psql('postgres', q{SELECT * FROM dbops.slow_queries()});
like($err, qr/ERROR:  the server records no statements.*HINT:  Add pg_stat_statements to shared_preload_libraries/s, 'statements that are not recorded');
($code, $out, $err) = $primary->psql('postgres', q{SELECT * FROM dbops.slow_queries(5, 'mean', now() - interval '1 hour')});
like($err, qr/ERROR:  no history of statements is kept.*HINT:  Add dbops to shared_preload_libraries/s, 'nor their history');
is($primary->safe_psql('postgres', q{SELECT dbops.sample_statements()}), '', 'to look at none is no error');

$primary->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, dbops'\n");
$primary->restart;

# a prepared transaction has no process: it blocks under its name
$primary->safe_psql('postgres', q{
	CREATE TABLE t (id int PRIMARY KEY, v int);
	INSERT INTO t VALUES (1, 0);
	BEGIN;
	UPDATE t SET v = 1;
	PREPARE TRANSACTION 'it''s blocking'});
my $waiter = $primary->background_psql('postgres');
$waiter->query_until(qr/begun/, "\\echo begun\nUPDATE t SET v = 2;\n");
$primary->poll_query_until('postgres', q{SELECT count(*) = 2 FROM dbops.blocking_sessions()}) or die 'nobody waits';
is( $primary->safe_psql('postgres', q{
	SELECT depth, pid IS NULL, root_blocker, remedy, blocks, blocked_by, lock_type, relation, database_name, role_name = current_user, backend_type
	  FROM dbops.blocking_sessions()}),
	qq{0|t|prepared 'it''s blocking'|ROLLBACK PREPARED 'it''s blocking';|1||||postgres|t|prepared transaction\n}
	  . qq{1|f|prepared 'it''s blocking'|ROLLBACK PREPARED 'it''s blocking';|0|{0}|transactionid|public.t|postgres|t|client backend},
	'a prepared transaction blocks under its name');
$primary->safe_psql('postgres', $primary->safe_psql('postgres', 'SELECT DISTINCT remedy FROM dbops.blocking_sessions()'));
$primary->poll_query_until('postgres', q{SELECT v = 2 FROM t}) or die 'it still waits';
pass('its remedy lets the other go on');
$waiter->quit;

# a standby
$primary->backup('backup');
$primary->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('the_slot', true)});
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', "primary_slot_name = 'the_slot'\n");
$standby->start;
# it is behind for a moment whenever something is written
ok( $primary->poll_query_until('postgres', q{
	SELECT kind, name, pid IS NOT NULL, state, sync_state, replay_lsn IS NOT NULL, lag, lag_bytes, slot_name, slot_type, slot_state, retained_bytes >= 0
	  FROM dbops.replication_status()},
	'standby|standby|t|streaming|async|t|00:00:00|0|the_slot|physical|reserved|t'), 'a primary shows its standby with the slot, once');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
is( $standby->safe_psql('postgres', q{SELECT kind, state, slot_name, replay_lsn IS NOT NULL FROM dbops.replication_status()}),
	'upstream|streaming|the_slot|t', 'a standby shows where it receives from');
is($standby->safe_psql('postgres', q{SELECT count(*) > 0 FROM dbops.connections()}), 't', 'connections work on a standby');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM dbops.blocking_sessions()}), '0', 'waits, too');
is($standby->safe_psql('postgres', q{SELECT count(*) FROM dbops.largest_relations(3)}), '3', 'sizes, too');
is($standby->safe_psql('postgres', q{SELECT dbops.measure_sizes(), dbops.sample_statements()}), '|', 'both can be measured there, and nothing is written');
is($standby->safe_psql('postgres', q{SELECT count(*) > 0 FROM dbops.slow_queries()}), 't', 'it shows the statements that it has recorded');
($code, $out, $err) = $standby->psql('postgres', q{SELECT * FROM dbops.slow_queries(5, 'mean', now() - interval '1 hour')});
like($err, qr/ERROR:  a standby keeps no history of its statements.*HINT:  Leave since out/s, 'but no history');

# cut off, it says so; the slot is shown without a receiver
$primary->stop;
$standby->poll_query_until('postgres', q{SELECT state = 'disconnected' FROM dbops.replication_status()}) or die 'it still receives';
is($standby->safe_psql('postgres', q{SELECT kind, lag, lag_bytes FROM dbops.replication_status()}), 'upstream||', 'a standby that is cut off does not know its lag');
$standby->stop;
$primary->start;
is($primary->safe_psql('postgres', q{SELECT kind, name, state FROM dbops.replication_status()}), 'slot|the_slot|inactive', 'a slot that nobody reads');

# the background keeps the history, in the home database alone
$primary->safe_psql('postgres', 'CREATE DATABASE other');
$primary->safe_psql('other', 'CREATE EXTENSION dbops');
$primary->poll_query_until('postgres', q{SELECT count(*) > 0 FROM dbops.relation_1d WHERE relid = 0}) or die 'sizes are not measured';
$primary->poll_query_until('postgres', q{SELECT count(*) > 0 FROM dbops.disk_1h}) or die 'disks are not written down';
pass('the background measures sizes and disks');
($code, $out, $err) = $primary->psql('other', q{SELECT * FROM dbops.slow_queries(5, 'mean', now() - interval '1 hour')});
like($err, qr/ERROR:  the history of statements is in another database.*HINT:  Connect to database postgres/s, 'another database says where the history is');
$primary->stop;

done_testing();
