# What lint_sql() tells of who is around: old transactions, a vacuum against wraparound,
# and standbys. A TAP test, because it takes other sessions, autovacuum and a standby.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "autovacuum = off\nautovacuum_naptime = 1s\nfsync = off\nfull_page_writes = on\n");
$primary->start;
$primary->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (a int PRIMARY KEY);
	INSERT INTO t SELECT generate_series(1, 100);
	CREATE TABLE p (a int) PARTITION BY LIST (a);
	CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
	CREATE TABLE frozen (a int, fill text) WITH (autovacuum_freeze_max_age = 100000, autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, fillfactor = 10);
	INSERT INTO frozen SELECT g, repeat('x', 700) FROM generate_series(1, 1000) g});

# What a rule says of a text, a minute from now.
sub said
{
	my ($rule, $text) = @_;

	return $primary->safe_psql('postgres', qq{SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 60)::text, false) = ''}
		. qq{; SELECT relation || ': ' || why FROM dbops.lint_sql('$text') WHERE rule = '$rule'}) =~ s/^f\n?//r;
}

is(said('transaction.lock_taken', 'ALTER TABLE p ADD b int'), '', 'nobody is in the way');
my $old = $primary->background_psql('postgres');
$old->query_safe('BEGIN; SELECT FROM p1');
like(said('transaction.lock_taken', 'ALTER TABLE p ADD b int'),
	qr/^public\.p: the transaction of process \d+, open for \d+ s, has a lock on it: .* behind the statement$/, 'who reads a partition is in the way of the whole');
is(said('transaction.lock_taken', 'ALTER TABLE ONLY t ADD b int'), '', 'and not of another table');
is(said('transaction.lock_taken', 'CREATE INDEX ON p1 (a)'), '', 'nor of who leaves readers alone');
is($primary->safe_psql('postgres', q{SELECT rule FROM dbops.lint_sql('ALTER TABLE p ADD b int') WHERE rule = 'transaction.lock_taken'}), '', 'a young transaction is none');
$old->query_safe('COMMIT');
$old->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM p1');
like(said('transaction.lock_taken', 'CREATE INDEX CONCURRENTLY ON t (a)'),
	qr/^public\.t: session \d+ .* open for \d+ s, and the index is not done before/, 'an index that is built concurrently waits for whatever snapshot');
$old->query_safe('COMMIT');
$old->quit;

# Autovacuum gives way to nobody where it prevents wraparound.
$primary->safe_psql('postgres', 'DO $$BEGIN FOR i IN 1..101000 LOOP PERFORM txid_current(); COMMIT; END LOOP; END$$');
$primary->append_conf('postgresql.conf', "autovacuum = on\n");
$primary->reload;
ok($primary->poll_query_until('postgres',
	q{SELECT count(*) > 0 FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE a.query LIKE '%frozen (to prevent wraparound)' AND l.relation = 'frozen'::regclass}), 'autovacuum is at work');
like($primary->safe_psql('postgres', q{SELECT why FROM dbops.lint_sql('ALTER TABLE frozen ADD b int') WHERE rule = 'transaction.lock_taken'}),
	qr/^the vacuum against wraparound of process \d+, /, 'a vacuum against wraparound is in the way from its beginning');
$primary->append_conf('postgresql.conf', "autovacuum = off\n");
$primary->reload;

# Standbys replay what is locked.
is(said('transaction.lock_replayed', 'ALTER TABLE t ADD b int'), '', 'there is no standby');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
like(said('transaction.lock_replayed', 'ALTER TABLE t ADD b int; ALTER TABLE t ADD c int'), qr/^public\.t: standby standby replays it: [^\n]+$/, 'a standby is, once for a text');
is(said('transaction.lock_replayed', 'CREATE INDEX ON t (a)'), '', 'a weaker lock is not replayed');
$standby->stop;
$primary->stop;
done_testing();
