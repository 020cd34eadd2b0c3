# A migration in steps goes on after a crash at any step, as if nothing had been:
# each row is inserted once, no index is left invalid, and the ledger says what
# the catalog says. The process is killed when it has done a step and before
# that is committed, once at each of the steps; then while statements that
# commit on their way wait for an old transaction. TAP, because servers crash.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = start_server();

my $marker = $node->basedir . '/kill';
my $up = q{
	CREATE TABLE t (id int NOT NULL, part int NOT NULL, v int) PARTITION BY LIST (part);
	CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);
	CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);
	INSERT INTO t SELECT g, 1 + g % 2 FROM generate_series(1, 100) g;
	CREATE UNIQUE INDEX CONCURRENTLY t1_id ON t1 (id);
	INSERT INTO t VALUES (101, 2);
	CREATE INDEX CONCURRENTLY t1_v ON t1 (v);
	CALL dbops.batched_backfill('t', 'v = id', 'v IS NULL');
	REINDEX TABLE CONCURRENTLY t1;
	INSERT INTO t VALUES (102, 2, 102);
	ALTER TABLE t DETACH PARTITION t2 CONCURRENTLY;
	VACUUM t1;
	DROP INDEX CONCURRENTLY t1_v;
	INSERT INTO t2 VALUES (103, 2, 103)
};

$node->safe_psql('postgres', qq{
	CREATE TABLE crash_at (step int);
	CREATE FUNCTION crash() RETURNS trigger LANGUAGE plpgsql AS \$f\$
	BEGIN
		IF NEW.steps = (SELECT step FROM public.crash_at) THEN
			EXECUTE pg_catalog.format('COPY (SELECT 1) TO PROGRAM %L',
				'cat >/dev/null; if rm $marker; then kill -9 ' OPERATOR(pg_catalog.||) pg_catalog.pg_backend_pid() OPERATOR(pg_catalog.||) '; fi 2>/dev/null');
		END IF;
		RETURN NEW;
	END \$f\$;
	CREATE TRIGGER crash BEFORE UPDATE ON dbops.job_cursor FOR EACH ROW EXECUTE FUNCTION crash()});

# What the migration leaves, and what the ledger says of it.
sub outcome
{
	return ask(q{
		SELECT concat_ws(' ', (SELECT count(*) FROM t), (SELECT count(*) FROM t2), (SELECT sum(v) FROM t), (SELECT sum(v) FROM t2),
			(SELECT string_agg(relname || CASE WHEN indisvalid THEN '' ELSE ' invalid' END, ',' ORDER BY relname)
			   FROM pg_index JOIN pg_class c ON c.oid = indexrelid WHERE indrelid IN ('t1'::regclass, 't2'::regclass)),
			(SELECT count(*) FROM pg_inherits WHERE inhparent = 't'::regclass),
			(SELECT state FROM dbops.migration ORDER BY position DESC LIMIT 1),
			(SELECT count(*) FROM dbops.migration_step WHERE state <> 'done'))});
}

sub apply
{
	my ($version) = @_;

	ask('DROP TABLE IF EXISTS t, t2');
	return ask(qq{SELECT job_id FROM dbops.apply_migration('$version', \$up\$$up\$up\$)});
}

sub await
{
	my ($job) = @_;

	ask("DO \$\$ BEGIN FOR i IN 1 .. 600 LOOP
		EXIT WHEN EXISTS (SELECT FROM dbops.job WHERE id = $job AND state NOT IN ('queued', 'running'));
		PERFORM pg_sleep(0.1); COMMIT; END LOOP; END \$\$");
	return ask("SELECT state || coalesce(' ' || message, '') FROM dbops.job WHERE id = $job");
}

my $job = apply('0');
is(await($job), 'succeeded', 'without a crash');
my $expected = outcome();
is($expected, '50 53 2550 2806 t1_id 1 applied 0', 'does this');

my $crashes = 0;
for (my $step = 1;; $step++)
{
	open my $file, '>', $marker or die;
	close $file;
	ask("DELETE FROM crash_at; INSERT INTO crash_at VALUES ($step)");
	$job = apply($step);
	my $state = await($job);
	last if -e $marker;
	$crashes++;
	is($state . ' ' . outcome(), "succeeded $expected", "after a crash in step $step");
}
unlink $marker;
cmp_ok($crashes, '>', 20, "crashed in each of $crashes steps");
done_testing();
