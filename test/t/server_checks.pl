# Checks of what befalls a server: crashes, a start without a shutdown, a role that
# it should not have, a promotion, settings that change, another program installed
# under it; and those of pg_cron, where that is installed. TAP, because it takes
# servers that crash and are promoted.
use strict;
use warnings FATAL => 'all';

use CrashingServer;
use File::Basename qw(dirname);
use File::Copy qw(copy);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

sub wanted { return "SELECT severity, regexp_replace(message, '[0-9.]+ (s|min)\\M', 'N s') FROM dbops.health_checks() WHERE check_name = '$_[0]'" }

sub directory
{
	my ($out) = run_command([ 'pg_config', "--$_[0]" ]);
	return $out;
}

my $has_cron = -e directory('sharedir') . '/extension/pg_cron.control';
my $node = start_server("allow_system_table_mods = off\ndbops.heartbeat = 0\n");

# ---- crashes
is($node->safe_psql('postgres', wanted('server.crashes')), 'ok|the server has not crashed in the last hour', 'a server that was started is well');
my $victim = $node->background_psql('postgres');
my $pid = $victim->query_safe('SELECT pg_backend_pid()');
crash_server($node, $pid);
eval { $victim->quit };
is(ask(wanted('server.crashes')), 'warning|a process crashed N s ago, which ended all sessions', 'a crash of a process is told');
like(ask(wanted('memory.kills')), qr/^(ok|unknown)\|/, 'though the kernel has killed nobody');
is(ask("SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 3700)::text, false) \\g /dev/null\n" . wanted('server.crashes')),
	'ok|the server has not crashed in the last hour', 'after an hour it is the past');
$node->stop('immediate');
$node->start;
is($node->safe_psql('postgres', wanted('server.crashes')), 'warning|the server was started N s ago, and was not shut down before', 'so is a crash of the whole server');
$node->restart;
is($node->safe_psql('postgres', wanted('server.crashes')), 'ok|the server has not crashed in the last hour', 'a server that was shut down is well again');

# ---- its role
sub expect_role
{
	my ($server, $role) = @_;

	$server->safe_psql('postgres', "ALTER SYSTEM SET dbops.expected_role = '$role'");
	$server->reload;
	$server->poll_query_until('postgres', "SELECT current_setting('dbops.expected_role') = '$role'") or die "dbops.expected_role stays";
	return;
}

is($node->safe_psql('postgres', wanted('server.role')), 'ok|the server is a primary; dbops.expected_role expects neither', 'any role will do');
expect_role($node, 'standby');
is($node->safe_psql('postgres', wanted('server.role')), 'critical|the server is a primary, which it should not be', 'unless another is expected');
expect_role($node, 'primary');
is($node->safe_psql('postgres', wanted('server.role')), 'ok|the server is a primary, as it should be', 'than it has');

# ---- its settings: what changes is told by name, when the launcher looks, which a new one does at once
$node->poll_query_until('postgres', "SELECT severity <> 'unknown' FROM dbops.health_checks() WHERE check_name = 'settings.changed'") or die 'nobody follows them';
like($node->safe_psql('postgres', wanted('settings.changed')), qr/^ok\|/, 'no setting has changed since the start');
$node->safe_psql('postgres', $_) for "ALTER SYSTEM SET primary_conninfo = 'password=secret'", "ALTER SYSTEM SET work_mem = '5MB'", 'ALTER DATABASE postgres SET random_page_cost = 2', 'SELECT pg_reload_conf()';
$node->poll_query_until('postgres', "SELECT current_setting('work_mem') = '5MB'") or die 'it is not read';
$node->poll_query_until('postgres',
	q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'dbops launcher'}) or die 'it stays';
$node->poll_query_until('postgres', "SELECT severity = 'warning' FROM dbops.health_checks() WHERE check_name = 'settings.changed'") or die 'nobody has noticed';
like($node->safe_psql('postgres', wanted('settings.changed')), qr/^warning\|changed in the last day: .*primary_conninfo, work_mem$/, 'those that have changed are named');
is($node->safe_psql('postgres', q{SELECT count(*) FROM dbops.health_checks() WHERE message LIKE '%secret%'}), '0', 'and not what they are');

# ---- a standby and its promotion
$node->safe_psql('postgres', q{
	ALTER SYSTEM RESET ALL;
	CREATE TABLE dead (id int)});
$node->append_conf('postgresql.conf', "dbops.expected_standbys = 'nobody'\nwal_level = replica\nmax_wal_senders = 4\nhot_standby = on\n");
$node->restart;
my $keeper = $node->background_psql('postgres');
$keeper->query_safe('CREATE TEMP TABLE of_a_session (id int)');
$node->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'backup', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('flush'));
is($standby->safe_psql('postgres', wanted('server.crashes')), 'ok|the server has not crashed in the last hour', 'a server that was made from a backup has not crashed');
like($node->safe_psql('postgres', wanted('replication.missing')), qr/^critical\|not connected: nobody/, 'a primary misses whom it expects');
like($standby->safe_psql('postgres', wanted('replication.missing')), qr/^ok\|/, 'its standby, with the same settings, does not');
like($standby->safe_psql('postgres', wanted('tables.orphaned')), qr/^ok\|/, 'temporary tables of the primary are not orphaned on a standby');
is($standby->safe_psql('postgres', wanted($_)), 'unknown|a standby counts no rows of tables', "$_ is not known there")
  for 'vacuum.dead_rows', 'analyze.overdue', 'vacuum.overdue';
$standby->safe_psql('postgres', 'SELECT dbops.sample_server()');
$standby->promote;
$standby->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'it is not promoted';
$standby->safe_psql('postgres', 'SELECT dbops.sample_server()');
is($standby->safe_psql('postgres', wanted('server.promoted')), 'warning|this server was promoted: it was a standby, and goes on with timeline 2', 'a promotion is told');
expect_role($standby, 'primary');
like($standby->safe_psql('postgres', wanted('server.promoted')), qr/^ok\|/, 'unless it is expected');
$standby->stop;
$keeper->quit;

# ---- pg_cron
SKIP:
{
	skip 'pg_cron is not installed', 3 unless $has_cron;
	$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops, pg_cron'\ncron.database_name = 'postgres'\n");
	$node->restart;
	$node->safe_psql('postgres', 'CREATE EXTENSION pg_cron');
	my $job = $node->safe_psql('postgres', q{SELECT cron.schedule('0 0 1 1 *', 'SELECT 1')});
	like($node->safe_psql('postgres', wanted('cron.failed')), qr/^ok\|/, 'a job that has not run is well');
	$node->safe_psql('postgres', "INSERT INTO cron.job_run_details (jobid, runid, database, username, command, status, end_time) VALUES ($job, 1, 'postgres', 'x', '', 'failed', now())");
	like($node->safe_psql('postgres', wanted('cron.failed')), qr/^warning\|its last run failed/, 'one whose last run failed is not');
	my $locker = $node->background_psql('postgres');
	$locker->query_safe('BEGIN; LOCK TABLE cron.job_run_details');
	like($node->safe_psql('postgres', wanted('cron.failed')), qr/^unknown\|could not be judged: job_run_details is locked/, 'nobody waits for a lock on its table');
	$locker->query_safe('ROLLBACK');
	$locker->quit;
}
$node->stop;

# ---- its program: a copy, where everything else of the server is to be found from
my $root = PostgreSQL::Test::Utils::tempdir();
my ($bindir, $libdir, $sharedir) = map { directory($_) } qw(bindir pkglibdir sharedir);
my $program = "$root$bindir/postgres";
make_path("$root$bindir", dirname("$root$libdir"), dirname("$root$sharedir"));
symlink($libdir, "$root$libdir") or die "$libdir: $!";
symlink($sharedir, "$root$sharedir") or die "$sharedir: $!";
install();
system_or_bail('pg_ctl', '-D', $node->data_dir, '-l', $node->logfile, '-p', $program, '-s', '-w', 'start');

# As a package does, under another name first.
sub install
{
	copy("$bindir/postgres", "$program.new") or die "$program: $!";
	chmod(0755, "$program.new");
	rename("$program.new", $program) or die "$program: $!";
	return;
}

is($node->safe_psql('postgres', wanted('server.program')), 'ok|the program that runs is the one that is installed', 'a server runs what is installed');
install();
utime(1, 1, $program);
like($node->safe_psql('postgres', wanted('server.program')), qr/^warning\|PostgreSQL .* runs, and its program was replaced N s ago/, 'until that is replaced');
unlink($program);
like($node->safe_psql('postgres', wanted('server.program')), qr/^warning\|the program that runs was removed/, 'or removed');
system_or_bail('pg_ctl', '-D', $node->data_dir, '-m', 'fast', '-s', 'stop');

done_testing();
