# Retention in the background: it goes on where it was after its process, and
# after the server, was killed in the middle, and archives each row once; a run
# that is refused is blocked until somebody confirms it. TAP, because a server dies.
#
# Memory that is given back is overwritten, so that nothing goes on with it by luck.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

$ENV{MALLOC_PERTURB_} = 170;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    dbops.backfill_yield = off
    CONF
$node->start;

# A batch stands still at rows that are shut, so that it is known what is done.
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY, at timestamptz);
	CREATE INDEX ON t (at);
	INSERT INTO t SELECT i, now() - i * interval '1 minute' FROM generate_series(1, 20000) i;
	ANALYZE t;
	CREATE TABLE a (LIKE t);
	CREATE TABLE shut (id integer PRIMARY KEY);
	INSERT INTO shut VALUES (8000), (4000);
	CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		IF OLD.id IN (8000, 4000) THEN
			PERFORM pg_advisory_xact_lock(OLD.id);
			WHILE EXISTS (SELECT FROM shut WHERE id = OLD.id) LOOP
				PERFORM pg_sleep(0.01);
			END LOOP;
		END IF;
		RETURN OLD;
	END $$;
	CREATE TRIGGER gate BEFORE DELETE ON t FOR EACH ROW EXECUTE FUNCTION gate();
	ALTER DATABASE postgres SET deadlock_timeout = '600s';
	ALTER DATABASE postgres SET dbops.backfill_batch_time = '60s'});

# Too much at once.
$node->safe_psql('postgres', q{SELECT dbops.set_retention('t', 'at', '1 day', archive_to => 'a', schedule => '@every 1 second')});
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM dbops.jobs() WHERE state = 'blocked'}), 'a run that would remove too much is blocked');
is($node->safe_psql('postgres', 'SELECT count(*) FROM t'), 20000, 'and removes nothing');
like($node->safe_psql('postgres', q{SELECT stopped_because FROM dbops.retention_status()}),
	qr/^about 185\d\d|^185\d\d of 20000 rows \(93 %\)/, 'its figures are shown');

# Its process dies in the middle of a batch.
$node->safe_psql('postgres', q{SELECT dbops.set_retention('t', 'at', '1 day', archive_to => 'a', schedule => '@every 1 second', confirm => true)});
my $pid = in_batch(8000);
my $before = done();
ok($before > 0, 'some batches are done');
is($before + $node->safe_psql('postgres', 'SELECT count(*) FROM t'), 20000, 'what is gone is archived');
$node->safe_psql('postgres', 'DELETE FROM shut WHERE id = 8000');
crash_server($node, $pid);
ok(done() >= $before, 'what was committed stays');

# And the server, in another one; the index that it went by is gone then.
in_batch(4000);
$node->safe_psql('postgres', q{DELETE FROM shut; ALTER SYSTEM SET dbops.enabled = off});
$node->stop('immediate');
$node->start;
$node->safe_psql('postgres', q{DROP INDEX t_at_idx; ALTER SYSTEM RESET dbops.enabled});
$node->reload;
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM dbops.jobs() WHERE kind = 'retention' AND state = 'succeeded'}), 'the run goes on and ends');
is($node->safe_psql('postgres', q{SELECT count(*) FROM t WHERE at < now() - interval '1 day 2 hours'}), 0, 'nothing is old');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t UNION ALL SELECT id FROM a) r'),
	'20000|20000', 'and each row is in one place, once');
is($node->safe_psql('postgres', q{SELECT crashes > 0 FROM dbops.job WHERE kind = 'retention' AND state = 'succeeded' ORDER BY id LIMIT 1}), 't', 'by the same job');

# An index that is dropped while it is gone by: the rest goes by blocks, and the table is not read for every batch.
$node->safe_psql('postgres', q{
	CREATE TABLE u (id integer, at timestamptz);
	CREATE INDEX u_at ON u (at);
	INSERT INTO u SELECT i, now() - i * interval '1 minute' FROM generate_series(1, 20000) i;
	ANALYZE u;
	INSERT INTO shut VALUES (4000);
	CREATE TRIGGER gate BEFORE DELETE ON u FOR EACH ROW EXECUTE FUNCTION gate();
	SELECT dbops.set_retention('u', 'at', '1 day', schedule => '@every 1 second', confirm => true)});
in_batch(4000);
my $drop = IPC::Run::start([ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', 'DROP INDEX CONCURRENTLY u_at' ]);
$node->poll_query_until('postgres', q{SELECT NOT indisvalid FROM pg_index WHERE indexrelid = 'u_at'::regclass}) or die 'the index is not being dropped';
my $reads = $node->safe_psql('postgres', q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'u'});	# of ANALYZE and the like
$node->safe_psql('postgres', 'DELETE FROM shut');
ok($node->poll_query_until('postgres', q{SELECT count(*) > 0 FROM dbops.jobs() WHERE name = 'public.u' AND state = 'succeeded'}), 'the run ends');
$drop->finish;
$node->safe_psql('postgres', q{SELECT dbops.remove_retention('t'), dbops.remove_retention('u')});
$node->poll_query_until('postgres', q{SELECT count(*) = 0 FROM pg_stat_activity WHERE backend_type = 'dbops runner'}) or die 'its process stays';
is($node->safe_psql('postgres', q{SELECT seq_scan FROM pg_stat_user_tables WHERE relname = 'u'}), $reads, 'and never reads the table as a whole');
is($node->safe_psql('postgres', q{SELECT count(*) FROM u WHERE at < now() - interval '1 day 2 hours'}), 0, 'nothing is old');

# More rows of one value than a batch has are deleted by their places, all of them.
$node->safe_psql('postgres', q{
	CREATE TABLE same (at timestamptz);
	CREATE INDEX ON same (at);
	INSERT INTO same SELECT now() - j * interval '1 day' FROM generate_series(0, 29) j, generate_series(1, 1100);
	ANALYZE same;
	SELECT dbops.set_retention('same', 'at', '588 hours', schedule => '@every 3650 days');
	CALL dbops.run_retention('same')});
is($node->safe_psql('postgres', 'SELECT count(*) FROM same'), 27500, 'rows of one value go as a whole, in parts');
$node->stop;
done_testing();

# The process that stands at a row.
sub in_batch
{
	my ($row) = @_;
	my $at = "FROM pg_locks WHERE locktype = 'advisory' AND objid = $row AND granted";

	$node->poll_query_until('postgres', "SELECT count(*) = 1 $at") or die "no batch came to row $row";
	return $node->safe_psql('postgres', "SELECT pid $at");
}

sub done
{
	return $node->safe_psql('postgres', 'SELECT count(*) FROM a');
}
