# Alerts while nobody looks: the launcher raises them, who listens in either
# database hears of them once, also after a restart and a crash, a function that
# hangs or fails keeps nothing waiting, a standby tells its log, and goes on after
# its promotion. TAP, because it takes restarts and two servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $fsync = 'settings.unsafe:fsync';
my $pages = 'settings.unsafe:full_page_writes';

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    max_prepared_transactions = 2
    restart_after_crash = on
    dbops.home_database = 'postgres'
    CONF
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops');
$primary->safe_psql('postgres', 'CREATE DATABASE other');
$primary->safe_psql('other', 'CREATE EXTENSION dbops');

# How often something happened to an alert, as the home database has it.
sub count_told
{
	my ($node, $key, $event) = @_;

	return $node->safe_psql('postgres', qq{SELECT count(*) FROM dbops.alert_history() WHERE alert_key = '$key' AND event = '$event' AND told});
}

# Wait until the launcher has judged what an alert is about after now, twice.
sub await_looks
{
	my ($node, $key) = @_;
	my $now = $node->safe_psql('postgres', 'SELECT clock_timestamp()');

	$key //= $fsync;
	$node->poll_query_until('postgres', qq{SELECT EXISTS (SELECT FROM dbops.alerts(false) WHERE alert_key = '$key' AND looked_at > '$now'::timestamptz + interval '8 s')})
	  or die 'the launcher does not look';
	return;
}

sub lines_of_log
{
	my ($node, $pattern, $from) = @_;
	my $log = slurp_file($node->logfile, $from // 0);

	return scalar(() = $log =~ /$pattern/g);
}

# Raise an alert in a database, at the server's own time.
sub raise
{
	my ($node, $database, $check, $severity) = @_;

	return $node->safe_psql($database, qq{SELECT dbops.evaluate_alerts(ARRAY[ROW('$check', '$severity', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding])});
}

# ---- without any session

ok($primary->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM dbops.alert_history() WHERE alert_key = '$fsync' AND told)"),
	'the launcher raises an alert, and a scheduler writes it down');
is(lines_of_log($primary, qr/LOG:.*dbops alert firing \(warning\), $fsync: /), 1, 'the log has a line');
is($primary->safe_psql('other', "SELECT state, whole_cluster FROM dbops.alerts() WHERE alert_key = '$fsync'"), 'firing|t', 'it is shown in every database');
is($primary->safe_psql('other', "SELECT count(*) FROM dbops.alert_history() WHERE alert_key = '$fsync'"), '0', 'but belongs to one');

# the launcher, which can read no catalog, gives a tablespace the key that sessions see
$primary->safe_psql(
	'postgres', q{
	SET allow_in_place_tablespaces = on;
	CREATE TABLESPACE regress_fast LOCATION ''});
my $disk = 'disk.free:tablespace regress_fast';
is($primary->safe_psql('postgres', "SELECT count(*) FROM dbops.health_checks() WHERE key = '$disk'"), '1', 'a session sees a tablespace');
$primary->safe_psql('postgres', q{SELECT dbops.set_check('disk.free', warning => 99.9999, guard => 1e18)});
ok($primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM dbops.alerts() WHERE alert_key = '$disk' AND state = 'firing'"),
	'and the launcher raises an alert about it under the same name');
$primary->safe_psql('postgres', q{SELECT dbops.reset_check('disk.free')});
ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM dbops.alerts() WHERE alert_key = '$disk'"),
	'which ends when its threshold is what it was');
$primary->safe_psql('postgres', 'DROP TABLESPACE regress_fast');

# ---- a restart and a crash tell nothing again

my $deadlocks = 'database.deadlocks';
my $slow = 'statements.slow_calls';
$primary->safe_psql(
	'postgres', qq{
	INSERT INTO dbops.alert (alert_key, whole_cluster, check_name, message, state, severity, told, objects, looked_at, since, fired_at, told_at)
	SELECT name, false, name, 'as before', 'firing', 'warning', 'warning', 0, now(), now(), now(), now() FROM unnest(ARRAY['$deadlocks', '$slow']) name});
$primary->restart;
await_looks($primary);
is(count_told($primary, $fsync, 'firing'), '1', 'it does not fire again after a restart');
is($primary->safe_psql('postgres', "SELECT state FROM dbops.alerts() WHERE alert_key = '$fsync'"), 'firing', 'and goes on');
$primary->stop('immediate');
$primary->start;
await_looks($primary);
is(count_told($primary, $fsync, 'firing'), '1', 'nor after a crash');
is(lines_of_log($primary, qr/dbops alert firing \(warning\), $fsync: /), 1, 'nor is the log told again');

# what the last hour brought is not over because of that, and what is counted is not unknown before it can be
await_looks($primary, $_) for $deadlocks, $deadlocks, $slow;
is($primary->safe_psql('postgres', "SELECT string_agg(state || ' ' || severity || ' ' || message, ', ') FROM dbops.alerts() WHERE alert_key IN ('$deadlocks', '$slow')"),
	'firing warning as before, firing warning as before', 'an alert about the last hour outlives a start, since that hour is not known after it');
is($primary->safe_psql('postgres', "SELECT count(*) FROM dbops.alert_history() WHERE alert_key IN ('$deadlocks', '$slow')"), '0', 'and nobody is told anything of it');

# ---- the home database is known only later

$primary->append_conf('postgresql.conf', "dbops.home_database = 'nowhere'");
$primary->restart;
raise($primary, 'postgres', 'regress.homeless', 'warning');
$primary->append_conf('postgresql.conf', "dbops.home_database = 'postgres'");
$primary->reload;
await_looks($primary);
await_looks($primary);
is(count_told($primary, 'regress.homeless', 'firing'), '1', 'what is told before a database turns out to be home is told once');

# another home keeps the cluster's alerts from then on
for my $home ('other', 'postgres')
{
	my ($former) = grep { $_ ne $home } 'other', 'postgres';

	$primary->append_conf('postgresql.conf', "dbops.home_database = '$home'");
	$primary->reload;
	ok($primary->poll_query_until($home, "SELECT count(*) = 1 FROM dbops.alert WHERE alert_key = '$fsync' AND whole_cluster"), "the new home, $home, writes down what fires");
	$primary->safe_psql($former, "SELECT dbops.unsilence_alerts(dbops.silence_alerts('regress.nothing', 'so that it is looked after', now() + interval '1 hour'))");
	ok($primary->poll_query_until($former, 'SELECT count(*) = 0 FROM dbops.alert WHERE whole_cluster'), 'and the former one has it no more');
	$primary->restart;
	await_looks($primary);
	is(lines_of_log($primary, qr/dbops alert firing \(warning\), $fsync: /), 1, 'so that a restart tells nothing again');
}

# nor does a restart straight into another home, which takes over what the former one has told
for my $home ('other', 'postgres')
{
	$primary->append_conf('postgresql.conf', "dbops.home_database = '$home'");
	$primary->restart;
	ok($primary->poll_query_until($home, "SELECT count(*) = 1 FROM dbops.alert WHERE alert_key = '$fsync' AND whole_cluster"), "started with another home, $home, it goes on there");
	await_looks($primary);
	is(lines_of_log($primary, qr/dbops alert firing \(warning\), $fsync: /), 1, 'and nothing is told again');
}

# ---- transactions that stay open, are rolled back or prepared

sub raising
{
	my ($check) = @_;

	return "SELECT dbops.evaluate_alerts(ARRAY[ROW('$check', 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding])";
}

# Wait until something has been told.
sub is_told
{
	my ($node, $key) = @_;

	return $node->poll_query_until('postgres', "SELECT count(*) = 1 FROM dbops.alert_history() WHERE alert_key = '$key' AND event = 'firing' AND told");
}

my $open = $primary->background_psql('postgres');
$open->query_safe("BEGIN; @{[raising('regress.open')]}; SAVEPOINT saved; @{[raising('regress.saved')]}; ROLLBACK TO saved");
ok(is_told($primary, $_), "what an open transaction has found is told: $_") for 'regress.open', 'regress.saved';
raise($primary, 'postgres', 'regress.meanwhile', 'warning');
ok(is_told($primary, 'regress.meanwhile'), 'and keeps nobody waiting');
$open->query_safe('ROLLBACK');
$open->query_safe("BEGIN; @{[raising('regress.prepared')]}; PREPARE TRANSACTION 'regress'");
ok(is_told($primary, 'regress.prepared'), 'as is what a prepared one has found');
$open->query_safe("ROLLBACK PREPARED 'regress'");
$open->query_safe("BEGIN READ ONLY; @{[raising('regress.read_only')]}; COMMIT");
ok(is_told($primary, 'regress.read_only'), 'or one that may only read');
await_looks($primary);
is(count_told($primary, $_, 'firing'), '1', "once: $_") for 'regress.open', 'regress.saved', 'regress.prepared';
$open->quit;
is(lines_of_log($primary, qr/lock timeout/), 0, 'nobody waited in vain');

# ---- a silence holds from its commit on, whoever judges next

$primary->append_conf('postgresql.conf', 'dbops.enabled = off');
$primary->reload;
$primary->poll_query_until('postgres', "SELECT NOT current_setting('dbops.enabled')::bool") or die 'dbops is not off';
my $told_before = count_told($primary, $pages, 'firing');
my $silence = $primary->safe_psql('postgres', "SELECT dbops.silence_alerts('$pages', 'the test works on it', now() + interval '1 hour')");
$primary->append_conf('postgresql.conf', "dbops.enabled = on\nfull_page_writes = off");
$primary->reload;
ok($primary->poll_query_until('postgres', "SELECT suppressed = 'silenced' FROM dbops.alerts() WHERE alert_key = '$pages'"), 'a silence that was made while dbops was off holds when it is on again');
$primary->safe_psql('postgres', "SELECT dbops.unsilence_alerts($silence)");
ok($primary->poll_query_until('postgres', "SELECT count(*) = $told_before + 1 FROM dbops.alert_history() WHERE alert_key = '$pages' AND event = 'firing' AND told"), 'and what fires still when it ends is told once');
is(lines_of_log($primary, qr/dbops alert firing \(warning\), $pages: /), $told_before + 1, 'likewise to the log');
$primary->append_conf('postgresql.conf', 'full_page_writes = on');
$primary->reload;
ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM dbops.alerts() WHERE alert_key = '$pages'"), 'until it ends');

# ---- dbops that is dropped and created anew, a database that is dropped

$primary->safe_psql('postgres', 'CREATE DATABASE anew');
$primary->safe_psql('anew', 'CREATE EXTENSION dbops');
sub fires_anew
{
	return $primary->poll_query_until('anew', "SELECT count(*) = 1 FROM dbops.alert_history() WHERE alert_key = 'regress.anew' AND event = 'firing' AND told");
}
raise($primary, 'anew', 'regress.anew', 'warning');
ok(fires_anew(), 'an alert fires');
$primary->safe_psql('anew', "SELECT dbops.silence_alerts('regress.%', 'the test works on it', now() + interval '1 hour')");
$primary->safe_psql('anew', 'SET dbops.allow_data_loss = on; DROP EXTENSION dbops; CREATE EXTENSION dbops');
is($primary->safe_psql('anew', "SELECT count(*) FROM dbops.alerts(false) WHERE alert_key = 'regress.anew'"), '0', 'where dbops is created anew, nothing is known of it');
raise($primary, 'anew', 'regress.anew', 'warning');
ok(fires_anew(), 'so that it fires again');
$primary->safe_psql('anew', 'BEGIN; SET LOCAL dbops.allow_data_loss = on; DROP EXTENSION dbops; CREATE EXTENSION dbops; COMMIT');
raise($primary, 'anew', 'regress.anew', 'warning');
ok(fires_anew(), 'likewise when that was one transaction');
$primary->safe_psql('postgres', 'DROP DATABASE anew');

# ---- who listens

my %listener;
my %heard;

sub listen_again
{
	$_->quit for values %listener;
	%listener = map { $_ => $primary->background_psql($_, on_error_stop => 0) } 'postgres', 'other';
	$_->query_safe('LISTEN dbops_alert') for values %listener;
	%heard = (postgres => '', other => '');
	return;
}
listen_again();

# Listen until a database has heard of something.
sub hears
{
	my ($database, $pattern) = @_;

	for my $try (1 .. 60)
	{
		$heard{$database} .= $listener{$database}->query('SELECT 1');
		return 1 if $heard{$database} =~ $pattern;
		usleep(500_000);
	}
	diag("$database heard: $heard{$database}");
	return 0;
}

raise($primary, 'other', 'regress.other', 'critical');
ok(hears('other', qr/"dbops_alert".*"key": "regress.other".*"level": "critical"/), 'who listens in the database concerned hears of its alert');
ok(hears('postgres', qr/"dbops_alert".*"key": "regress.other".*"level": "critical".*"database": "other"/), 'and so does who listens in the home database');
is(count_told($primary, 'regress.other', 'firing'), '0', 'which does not write it down');
raise($primary, 'postgres', 'regress.home', 'warning');
ok(hears('postgres', qr/"key": "regress.home"/), 'an alert of the home database is heard there');
raise($primary, 'other', 'regress.other', 'ok');
ok(hears($_, qr/"key": "regress.other".*"level": "ok"/), "that it is over is heard in $_") for 'other', 'postgres';
unlike($heard{other}, qr/regress.home/, 'and nowhere else');

# the cluster's are heard in the home database
$primary->append_conf('postgresql.conf', 'full_page_writes = off');
$primary->reload;
ok(hears('postgres', qr/"key": "$pages".*"level": "warning"/), 'one of the cluster is heard in the home database');
$primary->append_conf('postgresql.conf', 'full_page_writes = on');
$primary->reload;
ok(hears('postgres', qr/"key": "$pages".*"level": "ok"/), 'and that it is over');
unlike($heard{other}, qr/$pages/, 'once');

# who listens has no rights: it can be told less, or nothing, but the event can be looked up
$primary->append_conf('postgresql.conf', 'dbops.alert_notify = brief');
$primary->restart;
listen_again();
raise($primary, 'postgres', 'regress.brief', 'warning');
ok(hears('postgres', qr/"dbops_alert" with payload "(\{"id": (\d+), "level": "warning", "details": \[\], "message": "[^"]*alert_history\(\)", "database": "postgres", "timestamp": "[^"]*"\})"/),
	'a brief notification says what to look up');
is($primary->safe_psql('postgres', "SELECT alert_key FROM dbops.alert_history() WHERE id = $2"), 'regress.brief', 'and where it is') if $heard{postgres} =~ /"id": ()(\d+), "level": "warning", "details"/;
unlike($heard{postgres}, qr/regress\.brief/, 'and no more');
$primary->append_conf('postgresql.conf', 'dbops.alert_notify = off');
$primary->restart;
listen_again();
raise($primary, 'postgres', 'regress.unheard', 'warning');
ok(is_told($primary, 'regress.unheard'), 'with none, it is written down');
hears('postgres', qr/^/);
unlike($heard{postgres}, qr/dbops_alert/, 'and not heard');
$primary->append_conf('postgresql.conf', 'dbops.alert_notify = full');
$primary->restart;
listen_again();

# ---- a function that hangs, one that fails

$primary->safe_psql(
	'postgres', q{
	CREATE TABLE told (alert jsonb);
	CREATE FUNCTION hang(alert jsonb) RETURNS void LANGUAGE sql AS 'SELECT pg_sleep(600)';
	CREATE FUNCTION fail(alert jsonb) RETURNS void LANGUAGE plpgsql AS $$ BEGIN RAISE 'nobody answers' USING ERRCODE = 'raise_exception'; END $$;
	CREATE FUNCTION tell(alert jsonb) RETURNS void LANGUAGE sql AS 'INSERT INTO told VALUES (alert)';
	SELECT dbops.set_alert_function('hang(jsonb)', '1 second')});
raise($primary, 'postgres', 'regress.hang', 'warning');
ok($primary->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.jobs() WHERE name = 'alert function' AND message LIKE 'timed out%'}),
	'a function that hangs is given up');
ok(hears('postgres', qr/"key": "regress.hang"/), 'while everybody else was told');
$primary->safe_psql('postgres', q{SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE finished_at IS NULL; SELECT dbops.set_alert_function('fail(jsonb)')});
raise($primary, 'postgres', 'regress.fail', 'warning');
ok($primary->poll_query_until('postgres', q{SELECT count(*) > 0 FROM dbops.jobs() WHERE name = 'alert function' AND message LIKE '%nobody answers%'}),
	'one that fails says so');
$primary->safe_psql('postgres', q{SELECT dbops.set_alert_function('tell(jsonb)')});
raise($primary, 'other', 'regress.tell', 'warning');
ok($primary->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM told WHERE alert->>'key' = 'regress.tell' AND alert->>'level' = 'warning')}),
	'one that works is told, in the home database also of others');

# of a database of another encoding, or none, nobody gets bytes that are nothing
$primary->safe_psql('postgres', q{CREATE DATABASE latin TEMPLATE template0 ENCODING 'LATIN1' LOCALE 'C'; CREATE DATABASE bytes TEMPLATE template0 ENCODING 'SQL_ASCII' LOCALE 'C'});
for my $database ('latin', 'bytes')
{
	$primary->safe_psql($database, 'CREATE EXTENSION dbops');
	$primary->safe_psql($database, qq{SET client_encoding = SQL_ASCII; SELECT dbops.evaluate_alerts(ARRAY[ROW(E'regress.\\xf6', 'warning', E'o\\xf6', E'it is \\xf6', NULL, NULL, jsonb_build_object('unit', E'\\xf6'))::dbops.finding])});
	ok($primary->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM told WHERE alert->>'database' = '$database')"), "the home database's function is told of $database");
}
is($primary->safe_psql('postgres', q{SELECT string_agg(convert_to(concat_ws(' ', alert->>'check_name', alert->>'object', alert->>'unit', alert->'details'->>0), 'UTF8')::text, ' ' ORDER BY alert->>'database' DESC) FROM told WHERE alert->>'key' LIKE 'regress._:o%'}),
	join(' ', map { '\\x' . unpack('H*', $_) } "regress.\xc3\xb6 o\xc3\xb6 \xc3\xb6 it is \xc3\xb6", 'regress.? o? ? it is ?'), 'what can be converted is, and the rest is question marks');
$primary->safe_psql('postgres', q{SELECT dbops.remove_alert_function(); DROP FUNCTION tell(jsonb)});
$_->quit for values %listener;

# ---- who delivers is killed between writing and committing

my $failures = qr/(PANIC|TRAP|could not do its|was terminated by signal)/;
is(lines_of_log($primary, $failures), 0, 'nothing has failed so far');
my $before_kill = count_told($primary, $pages, 'firing');
my $locker = $primary->background_psql('postgres', on_error_stop => 0);
$locker->query_safe('BEGIN; LOCK TABLE dbops.alert_history IN EXCLUSIVE MODE');
$primary->append_conf('postgresql.conf', 'full_page_writes = off');
$primary->reload;
my $delivering;
for my $try (1 .. 600)
{
	$delivering = $primary->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'dbops scheduler' AND datname = 'postgres' AND wait_event_type = 'Lock'});
	last if $delivering ne '';
	usleep(100_000);
}
is($primary->safe_psql('postgres', "SELECT count(*) FROM pg_locks WHERE pid = $delivering AND relation = 'dbops.alert'::regclass AND mode = 'RowExclusiveLock'"), '1', 'a scheduler has written an alert and waits to write its event');
kill 'KILL', $delivering;
$locker->quit;
ok($primary->poll_query_until('postgres', "SELECT count(*) > $before_kill FROM dbops.alert_history() WHERE alert_key = '$pages' AND event = 'firing' AND told"),
	'when it is killed then, the alert is told all the same');
await_looks($primary);
is(count_told($primary, $pages, 'firing'), $before_kill + 1, 'once');
my $after_kill = -s $primary->logfile;
$primary->append_conf('postgresql.conf', 'full_page_writes = on');
$primary->reload;
ok($primary->poll_query_until('postgres', "SELECT count(*) = 0 FROM dbops.alerts() WHERE alert_key = '$pages'"), 'until it ends');

# ---- a standby

$primary->backup('backup');
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'full_page_writes = off');
$standby->start;
$standby->wait_for_log(qr/dbops alert firing \(warning\), $pages: /);
pass('a standby tells its log');
is($standby->safe_psql('postgres', "SELECT string_agg(alert_key || ' ' || state, ', ' ORDER BY alert_key) FROM dbops.alerts() WHERE alert_key LIKE 'settings.unsafe:%'"),
	"$fsync firing, $pages firing", 'and shows its alerts');
is(count_told($standby, $pages, 'firing'), count_told($primary, $pages, 'firing'), 'but writes nothing down');
my $before = count_told($primary, $pages, 'firing');

raise($primary, 'postgres', 'regress.late', 'warning');
ok(is_told($primary, 'regress.late'), 'what fires on the primary meanwhile');
$primary->wait_for_catchup($standby);
is($standby->safe_psql('postgres', raising('regress.standby')), '1', 'and what is found in a session of the standby');
is($standby->safe_psql('postgres', "SELECT count(*) FROM dbops.alert_history() WHERE alert_key = 'regress.standby'"), '0', 'which writes nothing');
$primary->stop;
$standby->promote;
ok($standby->poll_query_until('postgres', "SELECT count(*) > $before FROM dbops.alert_history() WHERE alert_key = '$pages' AND event = 'firing' AND told"),
	'when it is promoted, what only its log was told is told');
await_looks($standby);
is(count_told($standby, $fsync, 'firing'), '1', 'what the old primary has told is not told again');
is($standby->safe_psql('postgres', "SELECT state FROM dbops.alerts() WHERE alert_key = '$_'"), 'firing', "what fired there goes on: $_") for 'regress.hang', 'regress.late';
is(count_told($standby, 'regress.late', 'firing'), '1', 'and is not told again');
raise($standby, 'postgres', 'regress.late', 'ok');
ok($standby->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.alert_history() WHERE alert_key = 'regress.late' AND event = 'resolved' AND told}), 'that it ends is told by the new primary');

# ---- more alerts than are told at once

my $many = q{SELECT dbops.evaluate_alerts(ARRAY(SELECT ROW('regress.many' || i, 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding FROM generate_series(1, 600) i))};
for my $try (1 .. 120)
{
	last if $standby->safe_psql('postgres', $many) eq '0';
	usleep(500_000);
}
ok($standby->poll_query_until('postgres', q{SELECT count(DISTINCT alert_key) = 600 FROM dbops.alert_history() WHERE alert_key LIKE 'regress.many%' AND told}), 'all of many alerts are told');
$standby->restart;
await_looks($standby);
is($standby->safe_psql('postgres', $many), '0', 'and none again after a restart');

is(lines_of_log($primary, $failures, $after_kill), 0, 'nothing else has failed');
is(lines_of_log($standby, $failures), 0, 'nor on the standby');

done_testing();
