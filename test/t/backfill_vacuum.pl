# A backfill in the background that is vacuuming on its way: it says so, can be
# cancelled, leaves a table alone that another session works on, and goes on
# after its server was killed in the middle. TAP, because a server dies.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    restart_after_crash = on
    dbops.progress_interval = 0
    CONF
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY, name text, changed integer NOT NULL DEFAULT 0, filler char(200));
	INSERT INTO t (id, name, filler) SELECT i, 'x', 'wide' FROM generate_series(1, 8000) i;
	VACUUM ANALYZE t});

# A vacuum that sleeps longer at every page than this test lasts.
slow(1);
my $job = start('a');
in_vacuum($job);
is($node->safe_psql('postgres', "SELECT waiting FROM dbops.jobs() WHERE id = $job"),
	'vacuum of table t', 'it says what it does');
ok(changed('a') > 0, 'what was changed before is committed');
$node->safe_psql('postgres', "SELECT dbops.cancel_job($job)");
is(ended($job), 'cancelled', 'it can be cancelled in a vacuum');

$job = start('b');
in_vacuum($job);
slow(0);	# for the process that goes on
crash_server($node, $node->safe_psql('postgres', 'SELECT pid FROM pg_stat_progress_vacuum'));
is(ended($job), 'succeeded', 'it goes on when its process was killed in a vacuum');
is(changed('b'), 8000, 'and changes all rows');
is($node->safe_psql('postgres', q{SELECT max(changed) FROM t}), 2, 'each once');

# Who works on the table keeps it; the backfill does without.
my $other = $node->background_psql('postgres');
my $vacuums = 'SELECT pg_stat_get_vacuum_count(\'t\'::regclass)';
my $before = $node->safe_psql('postgres', $vacuums);
$other->query_safe('BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE');
is(ended(start('c')), 'succeeded', 'a table that is locked is not waited for');
is($node->safe_psql('postgres', $vacuums), $before, 'nor vacuumed');
$other->query_safe('COMMIT');
$other->quit;
is(ended(start('d')), 'succeeded', 'the same when it is free');
cmp_ok($node->safe_psql('postgres', $vacuums), '>', $before, 'is vacuumed');

# Without preloading, the call does it in its own session.
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
$before = $node->safe_psql('postgres', $vacuums);
$node->safe_psql('postgres', q{CALL dbops.batched_backfill('t', 'name = ''e''', vacuum_every => 0.2)});
cmp_ok($node->safe_psql('postgres', $vacuums), '>', $before, 'a call needs no preloading to vacuum');
is(changed('e'), 8000, 'and changes all rows');
$node->stop;
done_testing();

# Let vacuums of new sessions hardly move, or as fast as they can.
sub slow
{
	my ($on) = @_;
	my $delay = $on ? 100 : 0;

	$node->safe_psql('postgres', "ALTER DATABASE postgres SET vacuum_cost_delay = $delay;
		ALTER DATABASE postgres SET vacuum_cost_limit = 1");
}

sub start
{
	my ($name) = @_;

	return $node->safe_psql('postgres',
		"SELECT dbops.start_backfill('t', 'name = ''$name'', changed = changed + 1', 'name <> ''$name''',
			batch_size => 500, vacuum_every => 0.2)");
}

sub in_vacuum
{
	my ($id) = @_;

	$node->poll_query_until('postgres',
		"SELECT EXISTS (SELECT FROM dbops.jobs() WHERE id = $id AND waiting LIKE 'vacuum%')
			AND EXISTS (SELECT FROM pg_stat_progress_vacuum)")
	  or die 'the job did not come to a vacuum';
}

sub ended
{
	my ($id) = @_;

	return $node->safe_psql('postgres', "CALL dbops.wait_job($id, '60 s')");
}

sub changed
{
	my ($name) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM t WHERE name = '$name'");
}
