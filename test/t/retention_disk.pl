# A run whose archive has no room for what would go there is refused before it
# begins. TAP, because the archive is on a small file system, which is mounted in
# a namespace of the test's own.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;
use OwnMounts;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $small = mount_small(PostgreSQL::Test::Utils::tempdir() . '/small');

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    dbops.min_free_disk = 0
    CONF
$node->start;
$node->safe_psql('postgres', qq{
	CREATE EXTENSION dbops;
	CREATE TABLESPACE small LOCATION '$small'});
$node->safe_psql('postgres', q{
	CREATE TABLE t (id integer, at timestamptz, v text);
	ALTER TABLE t ALTER v SET STORAGE PLAIN;
	INSERT INTO t SELECT i, now() - i * interval '1 minute', repeat('x', 1900) FROM generate_series(1, 12000) i;
	ANALYZE t;
	CREATE TABLE archive (LIKE t) TABLESPACE small;
	SELECT dbops.set_retention('t', 'at', '1 hour', archive_to => 'archive', schedule => '@every 3650 days', confirm => true)});

my (undef, undef, $error) = $node->psql('postgres', q{CALL dbops.run_retention('t')});
like($error, qr/^psql:\S+ ERROR:  archive table public\.archive would get about 2\d MB, and tablespace small has 1\d MB free$/m,
	'what has no room is refused, with the figures');
is($node->safe_psql('postgres', 'SELECT (SELECT count(*) FROM t), (SELECT count(*) FROM archive)'), '12000|0', 'nothing has begun');

# Nor in the background, where it is for a human to make room.
$node->safe_psql('postgres', 'UPDATE dbops.policy SET next_run = now()');
$node->safe_psql('postgres', 'SELECT count(*) FROM dbops.run_maintenance()');
ok($node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE state = 'blocked' AND message ~ 'has 1\d MB free'}),
	'a job waits until there is room');
my $job = $node->safe_psql('postgres', q{SELECT id FROM dbops.jobs() WHERE state = 'blocked'});
$node->safe_psql('postgres', 'ALTER TABLE archive SET TABLESPACE pg_default');
$node->safe_psql('postgres', "SELECT dbops.resume_job($job)");
is($node->safe_psql('postgres', "CALL dbops.wait_job($job)"), 'succeeded', 'and goes on when there is');
is($node->safe_psql('postgres', 'SELECT count(*), count(DISTINCT id) FROM (SELECT id FROM t UNION ALL SELECT id FROM archive) r'), '12000|12000', 'no row is lost');
$node->stop;
done_testing();
