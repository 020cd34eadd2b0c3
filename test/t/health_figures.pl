# The figures of health, held against those of the server and of df: free room,
# deadlocks, hit ratios, slow statements, and whether those are recorded at all.
# TAP, because it takes sessions in parallel, a restart and the machine's df.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    fsync = off
    autovacuum = off
    deadlock_timeout = 10ms
    dbops.health_max_age = 0
    CONF
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE EXTENSION pg_stat_statements;
	CREATE TABLE t AS SELECT i, repeat('x', 500) AS filler FROM generate_series(1, 20000) i;
	CREATE INDEX ON t (i)});

sub health
{
	my ($figure, @options) = @_;

	return $node->safe_psql('postgres', qq{SELECT $figure FROM dbops.system_health_check(true) h}, @options);
}

sub severity
{
	my ($check) = @_;

	return health(qq{jsonb_path_query_first(h, '\$.checks[*] ? (\@.check_name == "$check")')->>'severity'});
}

# The same of what is told from samples: one that knows no deadlock and no
# block, and another ten minutes later, in a memory of the session's own.
sub severity_between
{
	my ($check, $work) = @_;
	my $session = $node->background_psql('postgres');
	my $sample = sub { return "SET dbops.test_now = $_[0]; SELECT pg_stat_force_next_flush(), dbops.sample_server()" };

	$session->query_safe($sample->(1900000000));
	$work->();
	$session->query_safe($sample->(1900000600));
	my $severity = $session->query_safe(qq{SELECT severity FROM dbops.health_checks() WHERE check_name = '$check'});
	$session->quit;
	return $severity;
}

# room, as df tells it; others may write meanwhile
sub df
{
	my ($column) = @_;
	my ($out) = run_command([ 'df', '-B1', "--output=$column", $node->data_dir . '/pg_wal' ]);

	return (split /\s+/, $out)[-1];
}

for my $pair ([ 'used', 'used_bytes' ], [ 'avail', 'free_bytes' ])
{
	my ($column, $key) = @$pair;
	my $tolerance = 32 * 1024 * 1024;
	my ($before, $bytes, $after) = (df($column), health(qq{h->'storage'->'wal'->>'$key'}), df($column));

	cmp_ok($bytes, '>=', ($before < $after ? $before : $after) - $tolerance, "WAL's $key are not less than df tells");
	cmp_ok($bytes, '<=', ($before > $after ? $before : $after) + $tolerance, "WAL's $key are not more than df tells");
}
is( health(q{(h->'storage'->'wal'->>'free_percent')::numeric =
		round(100 * (h->'storage'->'wal'->>'free_bytes')::numeric /
			((h->'storage'->'wal'->>'free_bytes')::numeric + (h->'storage'->'wal'->>'used_bytes')::numeric), 2)}),
	't', 'percent are of what is used or free');

# a deadlock
is(health(q{h->'health'->>'deadlocks'}), '0', 'no deadlock is none');
is(severity_between('database.deadlocks', sub { }), 'ok', 'which is ok');
sub deadlock
{
	my ($n) = @_;
	my @sessions = map { $node->background_psql('postgres', on_error_stop => 0) } 1 .. 2;

	$_->query_safe('BEGIN') for @sessions;
	$sessions[$_]->query_safe("SELECT pg_advisory_xact_lock($_)") for 0 .. 1;
	$sessions[0]->query_until(qr/go/, "\\echo go\nSELECT pg_advisory_xact_lock(1);\n");
	$sessions[1]->query_until(qr/go/, "\\echo go\nSELECT pg_advisory_xact_lock(0);\nCOMMIT;\n");
	$sessions[0]->query('COMMIT');
	eval { $_->quit } for @sessions;
	$node->poll_query_until('postgres', qq{SELECT deadlocks = $n FROM pg_stat_database WHERE datname = 'postgres'}) or die 'there was no deadlock';
	return;
}
deadlock(1);
is(health(q{h->'health'->>'deadlocks'}), '1', 'a deadlock is counted');
is(severity_between('database.deadlocks', sub { deadlock($_) for 2 .. 6 }), 'ok', 'five in an hour are not too many');
is(severity_between('database.deadlocks', sub { deadlock($_) for 7 .. 12 }), 'warning', 'six are');

# statements: some that are slow, and one more than may be
sub run_slow
{
	my (@columns) = @_;
	my @running = map {
		my ($out, $err) = ('', '');
		my $list = join ', ', 'pg_sleep(1.01)', (1) x $_;
		IPC::Run::start([ 'psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "SELECT $list" ], '>' => \$out, '2>' => \$err);
	} @columns;

	$_->finish for @running;
	return;
}

# The status as far as a check brings it about: the machine itself, or another
# check, may be in a worse state.
sub status_is
{
	my ($expected, $check, $name) = @_;

	return is(health(qq{CASE WHEN h->'verdict'->'reasons' ? '$check' THEN CASE h->>'status' WHEN 'critical' THEN 'warning' ELSE h->>'status' END
		WHEN h->'verdict'->'reasons' = '[]' THEN h->>'status' WHEN h->>'status' = 'healthy' THEN 'not that of the reasons' ELSE 'healthy' END}), $expected, $name);
}

$node->safe_psql('postgres', $_) for ('CREATE DATABASE bare', 'CREATE DATABASE counting');
$node->safe_psql($_, 'CREATE EXTENSION dbops') for qw(bare counting);
$node->safe_psql('counting', 'CREATE EXTENSION pg_stat_statements');
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset(); SELECT pg_stat_reset()');
$node->safe_psql('postgres', 'SELECT count(filler) FROM t') for 1 .. 3;
$node->safe_psql('postgres', q{SELECT pg_sleep(0.3), 'short'});
run_slow(1 .. 5);
is(health(q{h->>'slow_queries'}), '5', 'slow statements are counted, others not');
is(severity('statements.slow'), 'ok', 'five are not too many');
status_is('healthy', 'statements.slow', 'and the status says so');
run_slow(6);
is(health(q{h->>'slow_queries'}), '6', 'one more is counted');
is(severity('statements.slow'), 'warning', 'and is too many');
status_is('warning', 'statements.slow', 'and the status says the same as the check');
run_slow(7 .. 11);
is(health(q{h->>'slow_queries'}), '11', 'more are counted');
$node->safe_psql('postgres', q{SELECT dbops.set_check('statements.slow', warning => 11)});
status_is('healthy', 'statements.slow', 'as many as somebody allows are not too many for the status either');
$node->safe_psql('postgres', q{SELECT dbops.set_check('statements.slow', warning => 10)});
status_is('warning', 'statements.slow', 'and one more is');
$node->safe_psql('postgres', q{SELECT dbops.reset_check('statements.slow')});
is( health(q{(h->'performance'->>'avg_query_time_ms')::numeric =
		(SELECT round((sum(total_exec_time) / sum(calls))::numeric, 2) FROM pg_stat_statements)}),
	't', 'the average is over all calls');

# from which time on they are slow is a setting, and they are the server's: every database tells the same, and one alert is for all
my $untracked = q{SET pg_stat_statements.track = 'none';};
sub slow_in
{
	my ($database) = @_;

	return $node->safe_psql($database, "$untracked SELECT severity, message FROM dbops.health_checks() WHERE check_name = 'statements.slow'");
}
$node->safe_psql('postgres', "$untracked SELECT dbops.sample_statements()");
is(slow_in($_), 'warning|11 statements take more than 1 s on average', "they are known in database $_") for qw(postgres bare counting);
my (undef, undef, $refused) = $node->psql('bare', 'SELECT * FROM dbops.slow_queries()');
like($refused, qr/HINT:  Connect to database postgres, or type CREATE EXTENSION pg_stat_statements; here\./, 'which ones they are is said elsewhere');
$node->safe_psql('counting', "$untracked SELECT dbops.evaluate_alerts()");
is($node->safe_psql('counting', q{SELECT count(*) FROM dbops.alert WHERE alert_key = 'statements.slow'}), '0', 'no database has an alert of its own about them');
ok($node->poll_query_until('postgres', q{SELECT whole_cluster FROM dbops.alerts() WHERE alert_key = 'statements.slow'}), 'the server has');
$node->safe_psql('postgres', q{ALTER SYSTEM SET dbops.slow_query_time = '900 ms'; SELECT pg_reload_conf()});
$node->poll_query_until('postgres', q{SELECT current_setting('dbops.slow_query_time') = '900ms'}) or die 'the setting is not obeyed';
like(slow_in('postgres'), qr/^warning\|1[1-9] statements take more than 900 ms on average$/, 'a shorter time is in milliseconds');
$node->safe_psql('postgres', q{ALTER SYSTEM SET dbops.slow_query_time = '1500 ms'; SELECT pg_reload_conf()});
$node->poll_query_until('postgres', q{SELECT current_setting('dbops.slow_query_time') = '1500ms'}) or die 'the setting is not obeyed';
is(health(q{h->>'slow_queries'}), '0', 'with a longer time none is slow');
is(slow_in('postgres'), 'ok|0 statements take more than 1.5 s on average', 'and the check says how long that is');
$node->safe_psql('postgres', q{ALTER SYSTEM RESET dbops.slow_query_time; SELECT pg_reload_conf()});
$node->poll_query_until('postgres', q{SELECT current_setting('dbops.slow_query_time') = '1s'}) or die 'the setting is not obeyed';

# whether they are recorded is what the server is told, not this role
$node->safe_psql(
	'postgres', q{
	CREATE ROLE monitor LOGIN;
	SELECT dbops.grant_access('monitor', 'monitor');
	ALTER ROLE monitor SET pg_stat_statements.track = 'none'});
my @as_monitor = (extra_params => [ '-U', 'monitor' ]);
is(health(q{h->>'slow_queries'}, @as_monitor), '11', 'a role that is left out of the statistics still sees them');
$node->safe_psql(
	'postgres', q{
	ALTER ROLE monitor SET pg_stat_statements.track = 'top';
	ALTER SYSTEM SET pg_stat_statements.track = 'none';
	ALTER SYSTEM SET shared_buffers = '1MB'});
$node->restart;
is(severity('statements.slow'), 'unknown', 'a server that is told to track nothing proves nothing');
is(health(q{h->'slow_queries'}), 'null', 'and no figure is made up');
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
is(health(q{h->'slow_queries'}, @as_monitor), 'null', 'nor for a role that is left in');

# hit ratios: the restart has left little memory, and nothing in it
$node->safe_psql('postgres', 'SELECT pg_stat_reset()');
my $read = sub {
	$node->safe_psql('postgres', 'SELECT count(*), count(filler) FROM t') for 1 .. 30;
};
is(severity_between('cache.hit_ratio', $read), 'warning', 'a low hit ratio is a warning');
$node->safe_psql('postgres', 'SET enable_seqscan = off; SET enable_bitmapscan = off; SELECT count(i) FROM t WHERE i < 5000; SELECT i FROM t WHERE i = 1; SELECT i FROM t WHERE i = 1');
my $hit_ratio = q{SELECT blks_hit < 0.9 * (blks_hit + blks_read) FROM pg_stat_database WHERE datname = 'postgres'};
is($node->safe_psql('postgres', $hit_ratio), 't', 'most blocks had to be read');
is(severity('cache.hit_ratio'), 'warning', 'which is a warning, whether samples tell it or the statistics since their reset');
status_is('warning', 'cache.hit_ratio', 'and the status says so');
is( $node->safe_psql(
		'postgres', q{
		SET dbops.health_max_age = 0;
		SELECT h->'performance'->>'index_hit_ratio',
		       round(100.0 * sum(idx_blks_hit) / sum(idx_blks_hit + idx_blks_read), 2),
		       sum(idx_blks_hit) > 0
		  FROM dbops.system_health_check() h, pg_statio_user_indexes GROUP BY h}) =~ s/^([\d.]+)\|\1\|t$/same/r,
	'same', 'the hit ratio of indexes is that of the statistics');

$node->stop;
done_testing();
