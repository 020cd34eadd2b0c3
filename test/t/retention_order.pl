# The policy of a table waits for those of the tables whose rows refer to its
# own, so that its rows can go in the same turn. TAP, because two jobs of the
# background are to be at work at the same time.
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
    deadlock_timeout = 600s
    dbops.backfill_batch_time = 60s
    CONF
$node->start;

# A batch of the child stands still at its end until the row is gone.
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE parent (id integer PRIMARY KEY, at timestamptz);
	CREATE TABLE child (id integer REFERENCES parent, at timestamptz);
	CREATE INDEX ON child (id);
	INSERT INTO parent SELECT i, now() - i * interval '1 day' FROM generate_series(1, 100) i;
	INSERT INTO child SELECT id, at FROM parent;
	CREATE TABLE shut (id integer);
	INSERT INTO shut VALUES (1);
	CREATE FUNCTION gate() RETURNS trigger LANGUAGE plpgsql AS $$
	BEGIN
		PERFORM pg_advisory_xact_lock(1);
		WHILE EXISTS (SELECT FROM shut) LOOP
			PERFORM pg_sleep(0.01);
		END LOOP;
		RETURN NULL;
	END $$;
	CREATE TRIGGER gate AFTER DELETE ON child FOR EACH STATEMENT EXECUTE FUNCTION gate()});

sub due
{
	my ($table) = @_;
	$node->safe_psql('postgres', "SELECT dbops.set_retention('$table', 'at', '90 days', schedule => '\@every 3650 days')");
	$node->safe_psql('postgres', "UPDATE dbops.policy SET next_run = now() WHERE relation = '$table'::regclass");
	$node->safe_psql('postgres', 'SELECT count(*) FROM dbops.run_maintenance()');
}

due('child');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND granted}),
	'the policy of the table that refers is at work');
due('parent');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE waiting ~ 'for job \d+, which deletes old rows of public.child that refer to this table'}),
	'the other one waits for it, and says so');
is($node->safe_psql('postgres', 'SELECT count(*) FROM parent'), 100, 'and has removed nothing');
$node->safe_psql('postgres', 'DELETE FROM shut');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 2 FROM dbops.jobs() WHERE state = 'succeeded'}), 'both end');
is($node->safe_psql('postgres', q{SELECT count(*), count(*) FILTER (WHERE at < now() - interval '90 days 1 hour') FROM parent}), '89|0', 'and no row was kept because of one that has gone');
$node->stop;
done_testing();
