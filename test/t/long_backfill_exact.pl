# A storm of writers who insert and delete rows, change them and their keys and
# move them between partitions, in one statement and in several, while two
# backfills by key change all rows and the server is stopped at random instants.
# Every row that was there is changed exactly once, and no other. TAP, because
# servers die and pgbench is the storm.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use IPC::Run;
use Time::HiRes qw(usleep);

my $rows = 12000;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = on
    autovacuum_naptime = 1s
    restart_after_crash = on
    wal_writer_delay = 10ms
    dbops.progress_interval = 0
    CONF
$node->start;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION dbops;
	CREATE TABLE plain (id bigint PRIMARY KEY, n integer NOT NULL DEFAULT 0, born boolean NOT NULL DEFAULT false, other integer NOT NULL DEFAULT 0);
	INSERT INTO plain SELECT i * 1000 FROM generate_series(1, $rows) i;
	CREATE TABLE parts (id bigint, place integer, n integer NOT NULL DEFAULT 0, born boolean NOT NULL DEFAULT false, other integer NOT NULL DEFAULT 0,
		PRIMARY KEY (place, id)) PARTITION BY LIST (place);
	CREATE TABLE parts_0 PARTITION OF parts FOR VALUES IN (0);
	CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1);
	CREATE TABLE parts_2 (other integer NOT NULL DEFAULT 0, n integer NOT NULL DEFAULT 0, place integer NOT NULL, born boolean NOT NULL DEFAULT false, id bigint NOT NULL);
	ALTER TABLE parts ATTACH PARTITION parts_2 FOR VALUES IN (2);
	INSERT INTO parts SELECT i * 1000, i % 3 FROM generate_series(1, $rows) i;
	ANALYZE});

# What meets a key that is taken is undone as a savepoint is, and the storm goes on.
$node->safe_psql('postgres', q{
	CREATE FUNCTION storm(what integer, at bigint, upto bigint, in_place integer) RETURNS void LANGUAGE plpgsql AS $$
	BEGIN
		CASE
		WHEN what <= 2 THEN
			UPDATE plain SET id = upto WHERE id = (SELECT id FROM plain WHERE id >= at ORDER BY id LIMIT 1);
		WHEN what <= 4 THEN
			UPDATE parts SET id = upto, place = in_place WHERE (place, id) = (SELECT place, id FROM parts WHERE place = (in_place + what) % 3 AND id >= at ORDER BY id LIMIT 1);
		WHEN what <= 5 THEN
			UPDATE parts SET place = (place + 1) % 3 WHERE (place, id) = (SELECT place, id FROM parts WHERE place = in_place AND id >= at ORDER BY id LIMIT 1);
		WHEN what <= 6 THEN
			INSERT INTO plain (id, born) VALUES (upto, true) ON CONFLICT (id) DO UPDATE SET other = plain.other + 1;
			INSERT INTO parts (id, place, born) VALUES (upto, in_place, true) ON CONFLICT DO NOTHING;
		WHEN what <= 7 THEN
			UPDATE plain SET other = other + 1 WHERE id = (SELECT id FROM plain WHERE id >= at ORDER BY id LIMIT 1);
			UPDATE parts SET other = other + 1 WHERE place = in_place AND id = (SELECT id FROM parts WHERE place = in_place AND id >= at ORDER BY id LIMIT 1);
		WHEN what <= 8 THEN
			DELETE FROM plain WHERE id IN (SELECT id FROM plain WHERE id >= at AND born ORDER BY id LIMIT 1);
			DELETE FROM parts WHERE place = in_place AND id IN (SELECT id FROM parts WHERE place = in_place AND id >= at AND born ORDER BY id LIMIT 1);
		WHEN what <= 9 THEN
			UPDATE plain SET id = id + 1 WHERE id IN (SELECT id FROM plain WHERE id >= at ORDER BY id LIMIT 3);
			UPDATE plain SET id = upto WHERE id = (SELECT id FROM plain WHERE id >= at ORDER BY id LIMIT 1);
		WHEN what <= 10 THEN
			UPDATE plain SET id = upto WHERE id = (SELECT id FROM plain WHERE id >= at ORDER BY id LIMIT 1);
			UPDATE parts SET place = (place + 2) % 3, id = id + 1 WHERE place = in_place AND id IN (SELECT id FROM parts WHERE place = in_place AND id >= at ORDER BY id LIMIT 3);
		ELSE
			UPDATE plain SET id = id + in_place + 1 WHERE id BETWEEN at AND at + 20000;
			UPDATE parts SET id = id + in_place + 1 WHERE place = in_place AND id BETWEEN at AND at + 20000;
		END CASE;
	EXCEPTION WHEN unique_violation THEN NULL;
	END $$});
append_to_file($node->basedir . '/storm.sql', <<~"SQL");
    \\set top $rows * 1000
    \\set at random(1, :top)
    \\set upto random(1, :top + 2000000)
    \\set place random(0, 2)
    \\set what random(1, 11)
    \\if :what = 9
    BEGIN;
    SAVEPOINT a;
    SELECT storm(2, :at, :upto, :place);
    ROLLBACK TO a;
    SELECT storm(:what, :at, :upto, :place);
    COMMIT;
    \\elif :what = 10
    BEGIN ISOLATION LEVEL REPEATABLE READ;
    SELECT storm(:what, :at, :upto, :place);
    COMMIT;
    \\else
    SELECT storm(:what, :at, :upto, :place);
    \\endif
    SQL

my @jobs = map {
	$node->safe_psql('postgres', "SELECT dbops.start_backfill('$_', 'n = n + 1', batch_size => 300, pause => '40ms')")
} qw(plain parts);
$node->poll_query_until('postgres', 'SELECT count(DISTINCT job_id) = 2 FROM dbops.backfill_pass')
  or die 'the backfills did not begin';

for my $round (1 .. 3)
{
	my $storm = IPC::Run::start(
		[ 'pgbench', '-n', '-c', '4', '-T', '3', '--max-tries=20', '-f', $node->basedir . '/storm.sql',
			'-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \my $out, '2>', \my $err);

	if ($round < 3)
	{
		usleep(1_200_000 + int(rand(1_500_000)));
		$node->stop('immediate');
	}
	eval { $storm->finish };
	$node->start if $round < 3;
}
$node->safe_psql('postgres', "CALL dbops.wait_job($_, '1 minute', NULL)") for @jobs;

for my $table (qw(plain parts))
{
	is($node->safe_psql('postgres', "SELECT count(*), min(n), max(n) FROM $table WHERE NOT born"),
		"$rows|1|1", "every row of $table that was there is changed exactly once");
	is($node->safe_psql('postgres', "SELECT count(*) > 0, min(n), max(n) FROM $table WHERE born"),
		't|0|0', 'and none that came later');
}
cmp_ok($node->safe_psql('postgres', 'SELECT count(*) FROM plain WHERE NOT born AND id % 1000 > 0'), '>', 1000, 'many keys were changed');
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%'}), '0', 'no trigger stays');
is($node->safe_psql('postgres', 'SELECT count(*) FROM dbops.backfill_note'), '0', 'no note stays');
$node->stop;
done_testing();
