# A file system that does not answer, as that of a dead NFS server: whoever asks
# it hangs. The launcher samples and beats on, schedulers run jobs, alerts are
# judged, and of that disk it is said that nothing is known; once it answers
# again, all is as before. TAP, because a library between the server and the
# system makes it hang, which is compiled here; where there is no compiler the
# test is skipped.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $folder = PostgreSQL::Test::Utils::tempdir();
my $flag = "$folder/dead";

# What is below pg_tblspc is on a device of its own. There statvfs() hangs while the flag is there, and no signal is heard meanwhile.
append_to_file("$folder/hang.c", <<~'C');
	#define _GNU_SOURCE
	#include <dlfcn.h>
	#include <fcntl.h>
	#include <signal.h>
	#include <stdlib.h>
	#include <string.h>
	#include <sys/stat.h>
	#include <sys/statvfs.h>
	#include <unistd.h>
	static void hang(const char *path)
	{
		const char *flag = getenv("DBOPS_TEST_DEAD");
		const char *asked = getenv("DBOPS_TEST_ASKED");
		sigset_t all, old;
		if (flag == NULL || strncmp(path, "pg_tblspc/", 10) != 0 || access(flag, F_OK) != 0)
			return;
		sigfillset(&all);
		sigprocmask(SIG_SETMASK, &all, &old);
		close(open(asked, O_CREAT | O_WRONLY, 0600));
		while (access(flag, F_OK) == 0)
			usleep(10000);
		sigprocmask(SIG_SETMASK, &old, NULL);
	}
	int stat(const char *path, struct stat *status)
	{
		int (*real)(const char *, struct stat *) = dlsym(RTLD_NEXT, "stat");
		int result = real(path, status);
		if (strncmp(path, "pg_tblspc/", 10) == 0)
			status->st_dev ^= 1;
		return result;
	}
	int statvfs(const char *path, struct statvfs *room)
	{
		int (*real)(const char *, struct statvfs *) = dlsym(RTLD_NEXT, "statvfs");
		hang(path);
		return real(path, room);
	}
	int statvfs64(const char *path, struct statvfs64 *room)
	{
		int (*real)(const char *, struct statvfs64 *) = dlsym(RTLD_NEXT, "statvfs64");
		hang(path);
		return real(path, room);
	}
	C
plan skip_all => 'no library can be compiled here that makes a file system hang'
  if system("cc -shared -fPIC -o $folder/hang.so $folder/hang.c -ldl >/dev/null 2>&1") != 0;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    dbops.heartbeat = '100ms'
    CONF
$ENV{DBOPS_TEST_DEAD} = $flag;
$ENV{DBOPS_TEST_ASKED} = "$folder/asked";
{
	local $ENV{LD_PRELOAD} = "$folder/hang.so";
	$node->start;
}

sub ask
{
	my ($sql) = @_;
	return $node->safe_psql('postgres', $sql);
}

sub disk
{
	my ($key) = @_;
	return ask("SET dbops.health_max_age = 0; SELECT severity || ': ' || message FROM dbops.health_checks() WHERE key = 'disk.free:$key'");
}

mkdir "$folder/tablespace";
ask('CREATE EXTENSION dbops');
ask("CREATE TABLESPACE dead LOCATION '$folder/tablespace'");
my $free = q{SELECT value IS NOT NULL FROM dbops.metrics() WHERE name = 'disk.free'};
ok($node->poll_query_until('postgres', $free), 'the launcher knows how much is free');
like(disk('tablespace dead'), qr/ free, /, 'and so does a session');

# it dies; nobody but who asks it is stopped
append_to_file($flag, '');
for my $try (1 .. 600)
{
	last if -e "$folder/asked";
	usleep(100_000);
}
ok(-e "$folder/asked", 'somebody asks it, and hangs');
my $samples = ask('SELECT samples FROM dbops.collector_status()');
ok($node->poll_query_until('postgres', "SELECT samples >= $samples + 2 AND NOT stale FROM dbops.collector_status()"), 'the launcher samples on');
my $xid = ask('SELECT pg_snapshot_xmax(pg_current_snapshot())');
ok($node->poll_query_until('postgres', "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint > $xid + 5"), 'its heart beats');
is(ask(q{CALL dbops.wait_job(dbops.enqueue('SELECT 1'), '60 s')}), 'succeeded', 'schedulers and runners go on');
like(disk('tablespace dead'), qr/^unknown: its file system has not answered for /, 'a session says that it does not answer, and does not ask it');
like(disk('WAL'), qr/ free, /, 'of the others all is known');
is(ask($free), 'f', 'and which of them has least the launcher does not say');
ok($node->poll_query_until('postgres', q{SELECT max(asked) > 1 FROM (SELECT count(*) AS asked FROM dbops.health_checks() WHERE check_name LIKE 'disk.%' AND severity = 'unknown') c}),
	'nothing is said about all disks by what the others say');

# it answers again
unlink $flag;
ok($node->poll_query_until('postgres', $free), 'when it answers again all is known');
like(disk('tablespace dead'), qr/ free, /, 'to sessions as well');
$node->stop;

done_testing();
