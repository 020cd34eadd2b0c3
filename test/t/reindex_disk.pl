# A rebuild for which there is no room is refused before it begins: an index in a
# tablespace on a small file system, WAL that a slot would be lost by. TAP, because that is mounted, in a namespace
# of the test's own; where the system does not allow that the test is skipped.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use OwnMounts;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $small = mount_small(PostgreSQL::Test::Utils::tempdir() . '/small');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    dbops.min_free_disk = 0
    wal_level = replica
    max_slot_wal_keep_size = 1MB
    CONF
$node->start;

sub ask
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

ask('CREATE EXTENSION dbops');
ask("CREATE TABLESPACE small LOCATION '$small'");
ask(q{CREATE TABLE t (id int, v text);
	  INSERT INTO t SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 50000) g;
	  CREATE INDEX t_v ON t (v) TABLESPACE small});

my $job = ask(q{SELECT dbops.start_reindex('t_v')});
$node->poll_query_until('postgres', "SELECT state = 'blocked' FROM dbops.jobs() WHERE id = $job") or die 'the job is not blocked';
like(ask("SELECT message FROM dbops.jobs() WHERE id = $job"),
	qr/^index public\.t_v is not rebuilt: tablespace small has \S+ \w+ free, and the new index, its sorting and its WAL may need \S+ \w+ \(hint: /,
	'a rebuild that has no room is refused, with the figures');
is(ask('SELECT count(*) FROM dbops.reindex_begun'), '0', 'it has not begun');
is(ask(q{SELECT count(*) FROM pg_index WHERE indrelid = 't'::regclass}), '1', 'and nothing is left');

# A policy leaves it out, and says so; what there is room for is rebuilt.
ask('DELETE FROM t WHERE id % 50 <> 0');
ask(q{INSERT INTO t SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 1000) g});

# the background may just have a snapshot that sees what was deleted
for my $try (1 .. 100)
{
	ask('VACUUM ANALYZE t');
	last if ask(q{SELECT n_dead_tup = 0 FROM pg_stat_user_tables WHERE relname = 't'}) eq 't';
	usleep(100_000);
}
ask("SELECT dbops.cancel_job($job)");
$job = ask(q{SELECT dbops.start_reindex('t_v')});
is(ask("CALL dbops.wait_job($job)"), 'succeeded', 'when there is room for the new one it is rebuilt');

# Once the room is there, resume_job goes on.
ask(q{INSERT INTO t SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 50000) g});
$job = ask(q{SELECT dbops.start_reindex('t_v')});
$node->poll_query_until('postgres', "SELECT state = 'blocked' FROM dbops.jobs() WHERE id = $job") or die 'the job is not blocked';
ask('ALTER INDEX t_v SET TABLESPACE pg_default');
ask("SELECT dbops.resume_job($job)");
is(ask("CALL dbops.wait_job($job)"), 'succeeded', 'a job that is resumed looks again');

# Nor is one begun whose WAL would take a slot beyond what is kept for it.
ask(q{INSERT INTO t SELECT g, repeat(md5(g::text), 4) FROM generate_series(1, 60000) g});
ask(q{SELECT pg_create_physical_replication_slot('kept', true)});
$job = ask(q{SELECT dbops.start_reindex('t_v')});
$node->poll_query_until('postgres', "SELECT state = 'blocked' FROM dbops.jobs() WHERE id = $job") or die 'the job is not blocked';
like(ask("SELECT message FROM dbops.jobs() WHERE id = $job"),
	qr/^index public\.t_v is not rebuilt: replication slot kept would be lost: it is kept for \d+ \w+ more of WAL, and the rebuild may write \d+ \w+/,
	'a rebuild that would cost a slot is refused');
ask(q{SELECT pg_drop_replication_slot('kept')});
ask("SELECT dbops.resume_job($job)");
is(ask("CALL dbops.wait_job($job)"), 'succeeded', 'without the slot it goes on');
$node->stop;
done_testing();
