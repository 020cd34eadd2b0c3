# Who writes history: schedulers, of the cluster in the home database and of
# each database in its own, on no standby, and again after promotion; whose
# lock others waited for; and what gives way when history is too large. The
# launcher does not sample here, and everybody obeys the clock that is set. TAP,
# because it takes databases, sessions that wait and two servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    fsync = off
    max_connections = 60
    compute_query_id = on
    dbops.test_clock = on
    dbops.collector = off
    dbops.heartbeat = 0
    dbops.test_now = 1893454800
    CONF
$primary->start;
$primary->safe_psql('postgres', "CREATE DATABASE $_") for ('first', 'app', 'other');
$primary->safe_psql($_, 'CREATE EXTENSION dbops') for ('other', 'app', 'first');

# Set the clock of all, in seconds after the beginning of 2030.
sub set_clock
{
	my ($node, $seconds) = @_;

	$node->safe_psql('postgres', 'ALTER SYSTEM SET dbops.test_now = ' . (1893456000 + $seconds));
	$node->reload;
}

# Sample every ten seconds from a time on, in a session of a database, for so many minutes.
sub sample
{
	my ($node, $database, $seconds, $minutes) = @_;

	$node->safe_psql(
		$database, qq{
		DO \$\$ BEGIN
			FOR i IN 0 .. $minutes * 6 LOOP
				PERFORM set_config('dbops.test_now', (1893456000 + $seconds + 10 * i)::text, false);
				PERFORM dbops.sample_server();
			END LOOP;
		END \$\$});
}

# What a database says of where the cluster's history is.
sub notice
{
	my ($node, $database) = @_;
	my $notice;

	$node->psql($database, q{SELECT FROM dbops.metric_history('wal.bytes')}, stderr => \$notice);
	return $notice;
}

sub notice_until
{
	my ($node, $database, $expected) = @_;
	my $notice = '';

	for my $try (1 .. 300)
	{
		$notice = notice($node, $database);
		last if $notice =~ $expected;
		usleep(100_000);
	}
	return $notice;
}

# a home that is dropped: the next one goes on, with what memory has
like(notice_until($primary, 'other', qr/first/), qr/the cluster's history is in database "first"/, 'the oldest database is the home');
sample($primary, 'first', -1140, 4);
set_clock($primary, -840);
my $before = q{SELECT count(*) = 4 FROM dbops.metric_1m WHERE cluster AND at < '2030-01-01 00:00+00'};
ok($primary->poll_query_until('first', $before), 'it has the history of the cluster');
$primary->safe_psql('postgres', 'DROP DATABASE first');
ok($primary->poll_query_until('app', $before), 'when it is dropped the next one has that too, as far as memory goes');
is( $primary->safe_psql('app', q{SELECT sum(n) FROM dbops.metric_1m WHERE cluster AND at < '2030-01-01 00:00+00'}),
	'24', 'each sample once');

# the oldest database that has dbops is the home, whichever got it first
like(notice_until($primary, 'other', qr/app/), qr/the cluster's history is in database "app"/, 'another database says where the home is');
is(notice($primary, 'app'), '', 'the home needs not say it');

# schedulers write it, without anybody's call: the cluster's in one database only
my $written = 'SELECT count(*) >= 4 FROM dbops.metric_1m WHERE %s';
sample($primary, 'other', 60, 5);
sample($primary, 'app', 360, 5);
set_clock($primary, 700);
ok($primary->poll_query_until('app', sprintf($written, 'cluster')), 'the home has the history of the cluster');
ok($primary->poll_query_until('app', sprintf($written, 'NOT cluster')), 'and its own');
set_clock($primary, 1400);
ok($primary->poll_query_until('other', sprintf($written, 'NOT cluster')), 'another database has its own');
is($primary->safe_psql('other', 'SELECT count(*) FROM dbops.metric_1m WHERE cluster'), '0', 'and not that of the cluster');
is( $primary->safe_psql('app', q{
	SELECT n, coverage, tier, delta >= 0 FROM dbops.metric_history('wal.bytes', '2030-01-01 00:07+00', '2030-01-01 00:08+00', '1 min')}),
	'6|1|1m|t', 'a minute of it is whole');

# whose lock they waited for: not who waits in front of them, but who is at the root
$primary->safe_psql('app', 'CREATE TABLE t ()');
my $root = $primary->background_psql('app');
$root->query_safe('BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE');
my $pid = $root->query_safe('SELECT pg_backend_pid()');
my @waiting;
for my $mode ('ACCESS EXCLUSIVE', 'ACCESS SHARE')
{
	my $waiting = $primary->background_psql('app');

	$waiting->query_until(qr/waits/, "\\echo waits\nBEGIN; LOCK TABLE t IN $mode MODE;\n");
	push @waiting, $waiting;
	$primary->poll_query_until('app', 'SELECT count(*) = ' . @waiting . " FROM pg_locks WHERE relation = 't'::regclass AND NOT granted")
	  or die 'nobody waits';
}
sample($primary, 'app', 1440, 2);
my $asked = q{SELECT database, wait_type, wait, samples, seconds, blocker, blocker_state, blocker_role = current_user
	FROM dbops.wait_history('2030-01-01 00:24+00', '2030-01-01 00:26+00') WHERE wait_type = 'Lock'};
is($primary->safe_psql('app', "SET dbops.test_now = 1893457570; $asked"),
	"app|Lock|relation|12|120|$pid|idle in transaction|t\napp|Lock|relation|12|120|$pid|idle in transaction|t",
	'both waits are seen in memory, with the root blocker');
set_clock($primary, 1600);
ok($primary->poll_query_until('app', qq{SELECT count(*) = 4 FROM dbops.wait_1m WHERE blocker = $pid}), 'they are written down');
is($primary->safe_psql('app', "SET dbops.test_now = 1893457600; $asked"),
	"app|Lock|relation|12|120|$pid|idle in transaction|t\napp|Lock|relation|12|120|$pid|idle in transaction|t",
	'and are told from there');
$root->quit;
$_->quit for @waiting;

# more statements in a minute than are told apart, and then a wait for a lock: whom it waits for is told all the same
$primary->safe_psql('app', q{SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'app' AND pid <> pg_backend_pid() AND backend_type = 'client backend'});
my @busy;
for my $i (1 .. 40)
{
	my $statements = $primary->basedir . "/busy_$i.sql";

	append_to_file($statements, join('', map { "SELECT /* round $_ */ pg_sleep(600)" . ', 0' x ($i * 5 + $_) . ";\n" } 1 .. 5));
	push @busy, IPC::Run::start([ 'psql', '-XAtq', '-h', $primary->host, '-p', $primary->port, '-d', 'app', '-f', $statements ], '>', '/dev/null', '2>', '/dev/null');
}
for my $round (1 .. 5)
{
	my $asleep = qq{FROM pg_stat_activity WHERE query LIKE '%/* round $round */%' AND wait_event = 'PgSleep'};

	$primary->poll_query_until('app', "SELECT count(*) = 40 $asleep") or die 'not all sleep';
	$primary->safe_psql('app', 'SET dbops.test_now = ' . (1893457610 + 10 * $round) . '; SELECT dbops.sample_server()');
	$primary->safe_psql('app', "SELECT pg_cancel_backend(pid) $asleep");
}
$_->finish for @busy;
my $holder = $primary->background_psql('app');
$holder->query_safe('BEGIN; LOCK TABLE t');
my $holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
my $waits = $primary->background_psql('app');
$waits->query_until(qr/waits/, "\\echo waits\nBEGIN; LOCK TABLE t;\n");
$primary->poll_query_until('app', q{SELECT count(*) = 1 FROM pg_locks WHERE relation = 't'::regclass AND NOT granted}) or die 'nobody waits';
$primary->safe_psql('app', 'SET dbops.test_now = 1893457670; SELECT dbops.sample_server()');
my $minute = q{FROM dbops.wait_history('2030-01-01 00:27+00', '2030-01-01 00:28+00')};
is( $primary->safe_psql('app', "SET dbops.test_now = 1893457680; SELECT wait_type, wait, samples, blocker, blocker_state $minute WHERE wait_type IN ('Lock', 'other')"),
	"Lock|relation|1|$holder_pid|idle in transaction", 'it has the root blocker, and nothing is lost among others');
is( $primary->safe_psql('app', "SET dbops.test_now = 1893457680; SELECT sum(samples), count(query_id) BETWEEN 150 AND 191 $minute WHERE wait = 'PgSleep'"),
	'200|t', 'and all of the others are counted, the later ones without their statement');
$holder->quit;
$waits->quit;

# a storm on one row, in which most wait for their place in front of it
$primary->safe_psql('app', 'CREATE TABLE one (i int); INSERT INTO one VALUES (1)');
$holder = $primary->background_psql('app');
$holder->query_safe('BEGIN; UPDATE one SET i = 2');
$holder_pid = $holder->query_safe('SELECT pg_backend_pid()');
my $script = $primary->basedir . '/storm.sql';
append_to_file($script, "UPDATE one SET i = i + 1;\n");
my $storm = IPC::Run::start([ 'pgbench', '-n', '-c', 40, '-t', 1, '-f', $script, '-h', $primary->host, '-p', $primary->port, 'app' ],
	'>', \my $told, '2>', \my $complained);
$primary->poll_query_until('app', q{SELECT count(*) = 40 FROM pg_stat_activity WHERE wait_event_type = 'Lock'}) or die 'not all wait';
sample($primary, 'app', 1680, 1);
is( $primary->safe_psql('app', qq{
	SET dbops.test_now = 1893457790;
	SELECT sum(samples), bool_and(blocker = $holder_pid) FROM dbops.wait_history('2030-01-01 00:28+00', '2030-01-01 00:29+00') WHERE wait_type = 'Lock'}),
	'240|t', 'each of forty waits for the one that holds the row');
$holder->quit;
$storm->finish;

# another home
$primary->safe_psql('postgres', q{ALTER SYSTEM SET dbops.home_database = 'other'});
$primary->reload;
like(notice_until($primary, 'app', qr/database/), qr/is in database "other"/, 'a setting names another home');
sample($primary, 'app', 1800, 3);
set_clock($primary, 2100);
ok($primary->poll_query_until('other', 'SELECT count(*) >= 2 FROM dbops.metric_1m WHERE cluster'), 'the new home goes on');
my $aged = q{SELECT string_agg(coalesce(object, 'here'), ' ' ORDER BY object NULLS FIRST) FROM dbops.health_checks() WHERE check_name = 'history.age'};
is($primary->safe_psql('other', $aged), 'here cluster', 'where the history of the cluster is written, its age is judged');
is($primary->safe_psql('app', $aged), 'here', 'and nowhere else');

# a standby samples into memory and writes nothing
$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('flush'));
sample($standby, 'other', 2400, 3);
set_clock($standby, 2700);
my $on_standby = q{SELECT n, tier, minimum > 0 FROM dbops.metric_history('connections.total', '2030-01-01 00:41+00', '2030-01-01 00:42+00', '1 min', true)};
is($standby->safe_psql('other', $on_standby), '6|ring|t', 'a standby tells of its last hour');
is( $standby->safe_psql('other', q{SELECT tier FROM dbops.metric_history('connections.total', '2030-01-01 00:31+00', '2030-01-01 00:32+00', '1 min', true)}),
	'1m of the primary', 'and of what was replicated before');
for my $function ('roll_up_metrics', 'prune_history')
{
	my ($rc, $out, $err) = $standby->psql('other', "\\set VERBOSITY sqlstate\nSELECT dbops.$function()");
	like($err, qr/25006/, "$function() is refused there");
}

# once it is promoted, it writes
$standby->promote;
ok( $standby->poll_query_until('other', q{SELECT count(*) >= 2 FROM dbops.metric_1m WHERE cluster AND at >= '2030-01-01 00:40+00'}),
	'after promotion it writes what it has in memory');
$standby->stop;

# five days, the size of real ones; the oldest minutes give way, and nothing waits for who reads
for my $day (1 .. 5)
{
	sample($primary, 'other', $day * 86400, 2);
	$primary->safe_psql('other', 'SET dbops.test_now = ' . (1893456000 + $day * 86400 + 200) . '; SELECT dbops.roll_up_metrics(true)');
	$primary->safe_psql(
		'other', qq{
		INSERT INTO dbops.metric_1m (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)
		SELECT timestamptz '2030-01-01 01:00+00' + i * interval '1 min' + $day * interval '1 day', true, 6, 10000, 1, 60, false, r, r, r, r, r
		  FROM generate_series(1, 600) i, LATERAL (SELECT array_agg(random()) AS r FROM generate_series(1, 70 + i % 2)) a});
}
my $partitions = q{SELECT string_agg(right(relname, 4), ' ' ORDER BY relname) FROM pg_class WHERE relname ~ '^metric_1m_2030' AND relkind = 'r'};
is($primary->safe_psql('other', $partitions), '0101 0102 0103 0104 0105 0106', 'there is a partition for each day');
$primary->safe_psql('postgres', q{ALTER SYSTEM SET dbops.history_max_size = '5MB'});
$primary->safe_psql('postgres', 'ALTER SYSTEM SET dbops.enabled = off');
$primary->reload;
ok($primary->poll_query_until('other', q{SELECT severity = 'unknown' FROM dbops.health_checks() WHERE check_name = 'history.age'}), 'where dbops is switched off nobody is said to be late');
my $reader = $primary->background_psql('other');
$reader->query_safe('BEGIN; SELECT count(*) FROM dbops.metric_1m');
is($primary->safe_psql('other', q{SET statement_timeout = '10s'; SELECT dbops.prune_history()}), '0', 'what is read is not dropped, nor waited for, nor is anything in its stead');
$reader->quit;
cmp_ok($primary->safe_psql('other', 'SELECT dbops.prune_history()'), '>=', 2, 'then the oldest is dropped');
like($primary->safe_psql('other', $partitions), qr/^(?!0101 0102).*0105 0106$/, 'and the newest stays');
my $size = q{SELECT severity, (data->>'value')::float8 <= 100 FROM dbops.health_checks() WHERE check_name = 'history.size'};
like($primary->safe_psql('other', $size), qr/\|t$/, 'history keeps to its size');

# far larger than it may be: after minutes waits give way, then five minutes, then
# hours; days never do, nor do the newest two of each
sub cap
{
	my ($size) = @_;

	$primary->safe_psql('postgres', "ALTER SYSTEM SET dbops.history_max_size = '$size'");
	$primary->reload;
	$primary->poll_query_until('other', 'SHOW dbops.history_max_size', $size) or die 'the setting stays';
	$primary->safe_psql('other', 'SELECT dbops.prune_history()');
	return $primary->safe_psql('other', q{
		SELECT string_agg(name || ' ' || n, ', ' ORDER BY name)
		  FROM (SELECT split_part(relname, '_2', 1) AS name, count(*) AS n FROM pg_class WHERE relname ~ '^(metric|wait)_1?5?[mhd]_203' AND relkind = 'r' GROUP BY 1) c});
}
like(cap('1MB'), qr/metric_1m 2/, 'the newest minutes stay');
$primary->safe_psql('other', q{
	DO $$
	DECLARE
		tier record;
		part text;
		since timestamptz;
	BEGIN
		SET LOCAL TimeZone = 'UTC';
		FOR tier IN SELECT * FROM (VALUES ('wait_1m', '1 day'::interval, 'YYYYMMDD', '9 s'::interval), ('metric_5m', '1 day', 'YYYYMMDD', '5 min'),
										  ('metric_1h', '1 month', 'YYYYMM', '1 h'), ('metric_1d', '1 year', 'YYYY', '1 day')) t (name, period, suffix, step) LOOP
			FOR i IN 0 .. 4 LOOP
				since := timestamptz '2030-01-01' + i * tier.period;
				part := 'dbops.' || tier.name || '_' || to_char(since, tier.suffix);
				IF to_regclass(part) IS NULL THEN
					EXECUTE format('CREATE TABLE %s (LIKE dbops.%s)', part, tier.name);
					EXECUTE format('ALTER EXTENSION dbops ADD TABLE %s', part);
					EXECUTE format('ALTER TABLE dbops.%s ATTACH PARTITION %s FOR VALUES FROM (%L) TO (%L)', tier.name, part, since, since + tier.period);
				END IF;
				IF tier.name = 'wait_1m' THEN
					INSERT INTO dbops.wait_1m (at, wait_type, wait, samples, cadence)
					SELECT at, 'CPU', repeat('x', 50), 1, 10000 FROM generate_series(since, since + tier.period - interval '1 s', tier.step) at;
				ELSE
					EXECUTE format('INSERT INTO %s (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)
						SELECT at, true, 6, 10000, 1, 60, false, r, r, r, r, r
						  FROM generate_series($1, $2, $3) at, LATERAL (SELECT array_agg(random()) AS r FROM generate_series(1, 200 + extract(day FROM at)::int %% 2)) a
						ON CONFLICT DO NOTHING', part) USING since, since + tier.period - interval '1 s', tier.step;
				END IF;
			END LOOP;
		END LOOP;
	END $$});
my $all = $primary->safe_psql('other', q{SELECT round(sum(pg_total_relation_size(oid)) / 1048576) FROM pg_class WHERE relname ~ '^(metric|wait)_1?5?[mhd]_2' AND relkind = 'r'});
like(cap($all - 2 . 'MB'), qr/^metric_1d 5, metric_1h 5, metric_1m 2, metric_5m 5, wait_1m [34]$/, 'after minutes, waits give way');
like(cap($all - 6 . 'MB'), qr/^metric_1d 5, metric_1h 5, metric_1m 2, metric_5m [34], wait_1m 2$/, 'then five minutes');
is(cap('1MB'), 'metric_1d 5, metric_1h 2, metric_1m 2, metric_5m 2, wait_1m 2', 'then hours; days stay');
like($primary->safe_psql('other', q{SELECT severity FROM dbops.health_checks() WHERE check_name = 'history.size'}), qr/warning|info/, 'what cannot give way is told');

# no dump has it, and it goes with dbops
my ($dumped) = run_command([ 'pg_dump', '-h', $primary->host, '-p', $primary->port, '-U', $primary->safe_psql('postgres', 'SELECT current_user'), 'other' ]);
unlike($dumped, qr/metric_1m/, 'a dump has no history');
$primary->safe_psql('other', 'DROP EXTENSION dbops');
is($primary->safe_psql('other', q{SELECT count(*) FROM pg_class WHERE relname ~ '^(metric|wait)_'}), '0', 'it goes with dbops');

$primary->stop;
done_testing();
