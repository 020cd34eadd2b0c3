# host_figures() on machines and in containers that this one is not: copies of
# what kernels tell, of both versions of control groups. TAP, because it takes
# directories of its own.
use strict;
use warnings FATAL => 'all';

use File::Basename qw(dirname);
use File::Path qw(make_path);
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

my $gb = 1024**3;
my %machine = (
	'/proc/loadavg' => "3.25 2.00 1.00 2/300 4711\n",
	'/proc/meminfo' => "MemTotal:       67108864 kB\nMemFree:         1048576 kB\nMemAvailable:   33554432 kB\n",
	'/sys/devices/system/cpu/online' => "0-7,10\n",
	'/proc/pressure/cpu' => "some avg10=1.00 avg60=12.50 avg300=3.00 total=1\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n",
	'/proc/pressure/io' => "some avg10=1.00 avg60=2.25 avg300=3.00 total=1\nfull avg10=0.00 avg60=1.00 avg300=0.00 total=0\n",
	'/proc/pressure/memory' => "some avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
my $number = 0;

# Make such a machine; returns where it is.
sub machine
{
	my (%files) = @_;
	my $root = PostgreSQL::Test::Utils::tempdir() . '/host' . $number++;

	while (my ($name, $text) = each %files)
	{
		make_path(dirname("$root$name"));
		PostgreSQL::Test::Utils::append_to_file("$root$name", $text);
	}
	return $root;
}

# Of such a machine: cpus, memory_total and memory_available in GB, the rest in order.
sub figures
{
	my $root = machine(@_);

	return $node->safe_psql('postgres', qq{
		SELECT cpus, load, memory_total / $gb, memory_available / $gb, pressure_cpu, pressure_io, pressure_memory FROM dbops.host_figures('$root')});
}

# How many processes the kernel has killed there, and what was swapped in, in pages of 4 kB.
sub events
{
	my $root = machine(@_);

	return $node->safe_psql('postgres', "SELECT memory_kills, swapped_in / 4096 FROM dbops.host_figures('$root')");
}

my $unified = "31 23 0:28 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n";
my $v1 = "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n34 31 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n";

is(figures(%machine), '9|3.25|64|32|12.5|2.25|0', 'a machine without control groups');
is(figures(), $node->safe_psql('postgres', 'SELECT cpus FROM dbops.host_figures()') . '||||||', 'what is not told is not known')
  or diag('CPUs come from the system where the directory does not list them');

is( figures(
		%machine,
		'/proc/self/cgroup' => "0::/system.slice/postgresql.service\n",
		'/proc/self/mountinfo' => $unified,
		'/sys/fs/cgroup/system.slice/postgresql.service/cpu.max' => "max 100000\n",
		'/sys/fs/cgroup/system.slice/postgresql.service/memory.max' => "max\n",
		'/sys/fs/cgroup/system.slice/postgresql.service/cpu.pressure' => "some avg10=0.00 avg60=55.00 avg300=0.00 total=1\n"),
	'9|3.25|64|32|55|2.25|0',
	'a group without limits, which tells its own pressure');

is( figures(
		%machine,
		'/proc/self/cgroup' => "0::/pods/one/postgres\n",
		'/proc/self/mountinfo' => $unified,
		'/sys/fs/cgroup/pods/one/postgres/cpu.max' => "400000 100000\n",
		'/sys/fs/cgroup/pods/one/postgres/memory.max' => 8 * $gb . "\n",
		'/sys/fs/cgroup/pods/one/postgres/memory.current' => 6 * $gb . "\n",
		'/sys/fs/cgroup/pods/one/postgres/memory.stat' => 'anon ' . 2 * $gb . "\nfile " . 4 * $gb . "\ninactive_file " . 2 * $gb . "\nactive_file " . $gb . "\n",
		'/sys/fs/cgroup/pods/one/cpu.max' => "150000 100000\n",
		'/sys/fs/cgroup/pods/one/memory.max' => 16 * $gb . "\n",
		'/sys/fs/cgroup/pods/one/memory.current' => 15 * $gb . "\n",
		'/sys/fs/cgroup/pods/one/memory.stat' => "anon 0\ninactive_file 0\nactive_file 0\n"),
	'1.5|3.25|8|1|12.5|2.25|0',
	'the tightest limit counts, also that of a group above');

is( figures(
		%machine,
		'/proc/self/cgroup' => "0::/\n",
		'/proc/self/mountinfo' => "31 23 0:28 /../../one /sys/fs/cgroup ro - cgroup2 cgroup ro\n",
		'/sys/fs/cgroup/cpu.max' => "50000 100000\n",
		'/sys/fs/cgroup/memory.max' => 4 * $gb . "\n",
		'/sys/fs/cgroup/memory.current' => $gb . "\n",
		'/sys/fs/cgroup/memory.stat' => "anon 0\n"),
	'0.5|3.25|4|3|12.5|2.25|0',
	'a group that sees itself as the root');

is( figures(
		%machine,
		'/proc/self/cgroup' => "4:memory:/docker/abc\n3:cpu,cpuacct:/docker/abc\n1:name=systemd:/docker/abc\n0::/docker/abc\n",
		'/proc/self/mountinfo' => $v1 . "41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n",
		'/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_quota_us' => "-1\n",
		'/sys/fs/cgroup/cpu,cpuacct/docker/abc/cpu.cfs_period_us' => "100000\n",
		'/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_quota_us' => "250000\n",
		'/sys/fs/cgroup/cpu,cpuacct/docker/cpu.cfs_period_us' => "100000\n",
		'/sys/fs/cgroup/memory/docker/abc/memory.limit_in_bytes' => 2 * $gb . "\n",
		'/sys/fs/cgroup/memory/docker/abc/memory.usage_in_bytes' => 2 * $gb . "\n",
		'/sys/fs/cgroup/memory/docker/abc/memory.stat' => "cache 1\ninactive_file 7\nactive_file 7\ntotal_inactive_file " . $gb . "\ntotal_active_file 0\n",
		'/sys/fs/cgroup/memory/memory.limit_in_bytes' => "9223372036854771712\n"),
	'2.5|3.25|2|1|12.5|2.25|0',
	'version 1, with version 2 mounted beside it');

is( figures(
		%machine,
		'/proc/self/cgroup' => "3:memory:/docker/abc\n",
		'/proc/self/mountinfo' => "34 31 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
		'/sys/fs/cgroup/memory/memory.limit_in_bytes' => $gb . "\n"),
	'9|3.25|1|32|12.5|2.25|0',
	'version 1, where only its own part of the hierarchy is mounted')
  or diag('what is available is the machine\'s where its use is not told');

is(figures(%machine, '/proc/meminfo' => 'nonsense', '/proc/self/cgroup' => ":::\n\n0:", '/proc/self/mountinfo' => "- cgroup2\n\n"),
	'9|3.25|||12.5|2.25|0', 'nonsense tells nothing');

is( figures(
		%machine,
		'/proc/meminfo' => 'nonsense',
		'/proc/self/cgroup' => "3:memory:/docker/abc\n",
		'/proc/self/mountinfo' => "34 31 0:31 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory\n",
		'/sys/fs/cgroup/memory/memory.limit_in_bytes' => "9223372036854771712\n"),
	'9|3.25|||12.5|2.25|0',
	'a limit that is none does not tell what a machine has of which nothing else does');

my %events = (%machine, '/proc/vmstat' => "nr_free_pages 1\npswpin 256\npswpout 7\noom_kill 3\n");

is(events(%machine), '|', 'a kernel that does not tell of kills and swapping');
is(events(%events), '3|256', 'kills and swapping of the machine');
is( events(
		%events,
		'/proc/self/cgroup' => "0::/system.slice/postgresql.service\n",
		'/proc/self/mountinfo' => $unified,
		'/sys/fs/cgroup/system.slice/postgresql.service/memory.events' => "low 0\nhigh 0\nmax 9\noom 2\noom_kill 1\noom_group_kill 0\n"),
	'1|256',
	'a group tells of its own kills');
is( events(
		%events,
		'/proc/self/cgroup' => "3:memory:/docker/abc\n",
		'/proc/self/mountinfo' => $v1,
		'/sys/fs/cgroup/memory/docker/abc/memory.oom_control' => "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"),
	'2|256',
	'so does one of version 1');

done_testing();
