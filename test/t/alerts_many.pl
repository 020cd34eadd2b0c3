# Alerts of a server with many databases: each is judged within a minute, the home
# database is served first after a restart and hears of a check that is bad in many
# others once, and whoever operates one of them cannot silence all. TAP, because it
# takes a server with more than twenty databases.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    log_min_messages = debug1
    max_prepared_transactions = 1
    dbops.home_database = 'home'
    CONF
$node->start;
my @tenants = map { "tenant$_" } 1 .. 22;
$node->safe_psql('postgres', 'CREATE DATABASE tenant1');
$node->safe_psql('tenant1', 'CREATE EXTENSION dbops');
$node->safe_psql('postgres', "CREATE DATABASE $_ TEMPLATE tenant1") for @tenants[ 1 .. 21 ];
$node->safe_psql('postgres', 'CREATE DATABASE home');
$node->safe_psql('home', 'CREATE EXTENSION dbops');

sub raise
{
	my ($database, $check, $severity) = @_;

	$node->safe_psql($database, qq{SELECT dbops.evaluate_alerts(ARRAY[ROW('$check', '$severity', NULL, 'it is so in $database', NULL, NULL, NULL)::dbops.finding])});
	return;
}

# ---- each database in use has its turn: something that the launcher judges anew

my $deadlocks = 'database.deadlocks';
for my $database (@tenants)
{
	raise($database, $deadlocks, 'warning');
	$node->poll_query_until($database, "SELECT count(*) = 1 FROM dbops.alert_history() WHERE alert_key = '$deadlocks'") or die "nobody writes down what fires in $database";
}
# Who of the tenants is not judged after a time, though we keep all in use? (The launcher's ticks count, not the seconds that they take here.)
sub not_judged_since
{
	my ($from) = @_;
	my @unseen = @tenants;

	for my $try (1 .. 900)
	{
		@unseen = grep { $node->safe_psql($_, "SELECT looked_at > '$from' FROM dbops.alerts(false) WHERE alert_key = '$deadlocks'") ne 't' } @unseen;
		last if !@unseen;
		$node->safe_psql($_, 'SELECT 1') for @tenants;
	}
	return "@unseen";
}

# The launcher looks for new databases once a minute: only when all are known, the ticks of one turn are counted.
my $now = 'SELECT clock_timestamp(), samples FROM dbops.collector_status()';
my ($from, $before_turns) = split /\|/, $node->safe_psql('home', $now);
is(not_judged_since($from), '', 'all databases in use are judged');
($from, $before_turns) = split /\|/, $node->safe_psql('home', $now);
is(not_judged_since($from), '', 'again and again');
cmp_ok($node->safe_psql('home', "SELECT samples - $before_turns FROM dbops.collector_status()"), '<', @tenants / 2, 'within a few ticks');

# ---- who operates one database

$node->safe_psql('home', 'CREATE ROLE regress_operator');
$node->safe_psql($_, q{SELECT dbops.grant_access('regress_operator', 'operator')}) for 'home', 'tenant1';
my $begin = q{SET ROLE regress_operator; SELECT dbops.begin_maintenance_mode('mine', now() + interval '1 hour')};
my ($result, $out, $err) = $node->psql('tenant1', "\\set VERBOSITY verbose\n$begin");
like($err, qr/42501: maintenance mode silences the alerts of all databases\n.*"home".*\n.*Connect to database home/, 'an operator of one database does not begin maintenance mode for all');
($result, $out, $err) = $node->psql('tenant1', 'SET ROLE regress_operator; SELECT dbops.end_maintenance_mode()');
like($err, qr/maintenance mode silences/, 'nor does that role end it');
$node->safe_psql('home', $begin);
is($node->safe_psql('tenant1', q{SELECT dbops.node_status()->'maintenance'->>'reason'}), 'mine', 'in the home database it does');
is($node->safe_psql('tenant1', 'SELECT dbops.end_maintenance_mode()'), 't', 'and who administers any of them ends it');

# ---- the same check in many databases

my $listener = $node->background_psql('home', on_error_stop => 0);
$listener->query_safe('LISTEN dbops_alert');
my $heard = '';

sub hears
{
	my ($pattern, $times) = @_;

	for my $try (1 .. 240)
	{
		$heard .= $listener->query('SELECT 1');
		return 1 if (() = $heard =~ /$pattern/g) >= ($times // 1);
		usleep(250_000);
	}
	diag("heard: $heard");
	return 0;
}

# Has home heard of each alert of a check as often that it is over as that it fires?
sub all_are_over
{
	my ($check) = @_;
	my ($fired, $ended);

	for my $try (1 .. 240)
	{
		$heard .= $listener->query('SELECT 1');
		$fired = () = $heard =~ /"key": "$check",.*"event": "firing"/g;
		$ended = () = $heard =~ /"key": "$check",.*"event": "resolved"/g;
		return 1 if $fired > 0 && $fired == $ended;
		usleep(250_000);
	}
	diag("$fired fired and $ended ended");
	return 0;
}

my $key = 'regress.tenants';
raise($_, $key, 'warning') for @tenants[ 0 .. 19 ];
ok(hears(qr/"key": "$key".*"level": "warning"/, 20), 'of twenty databases home hears one by one');
unlike($heard, qr/"alerts.databases:$key"/, 'and not of all');
raise($tenants[20], $key, 'warning');
ok(hears(qr/"key": "alerts.databases:$key".*"level": "warning".*"message": "$key in 21 databases is warning"/), 'one more, and it is one alert');
is(scalar(() = $heard =~ /"key": "$key",.*"level": "warning"/g), 20, 'the last is not heard by itself');
ok(hears(qr/"key": "$key",.*"level": "ok"/, 20), 'and those that were are over');
like($heard, qr/"key": "alerts.databases:$key".*"details": \["21 databases, such as tenant1: it is so in tenant1; [^"]*", "tenant1: it is so in tenant1", /, 'it names them');
raise($tenants[21], $key, 'critical');
ok(hears(qr/"key": "alerts.databases:$key".*"event": "worse".*"level": "critical"/), 'it is as grave as the gravest');
is($node->safe_psql($_, "SELECT string_agg(event || ' ' || severity || ' ' || told, ', ') FROM dbops.alert_history() WHERE check_name = '$key'"),
	$_ eq 'tenant22' ? 'firing critical true' : 'firing warning true', "each has its own in its database: $_") for @tenants[ 0, 20, 21 ];
is($node->safe_psql('home', "SELECT string_agg(alert_key || ' ' || event, ', ' ORDER BY id) FROM dbops.alert_history() WHERE alert_key ~ '$key'"),
	"alerts.databases:$key firing, alerts.databases:$key worse", 'home writes down the one alert');
raise($_, $key, 'ok') for @tenants;
ok(hears(qr/"key": "alerts.databases:$key".*"level": "ok"/), 'when it fires in few, that is over');
ok(all_are_over($key), 'and nothing is left of which home heard that it fires');

# ---- home wants to hear nothing of the one alert

my $other = 'regress.silenced';
my $silence = $node->safe_psql('home', "SELECT dbops.silence_alerts('alerts.databases:%', 'single ones are wanted', now() + interval '1 hour')");
raise($_, $other, 'warning') for @tenants[ 0 .. 21 ];
ok(hears(qr/"key": "$other",.*"level": "warning"/, 22), 'while that is silenced, home hears of each database by itself');
unlike($heard, qr/"key": "$other",.*"level": "ok"/, 'and of none that it is over');
$node->safe_psql('home', "SELECT dbops.unsilence_alerts($silence)");
ok(hears(qr/"key": "alerts.databases:$other".*"level": "warning".*"message": "$other in 22 databases is warning"/), 'then it is one alert');
ok(hears(qr/"key": "$other",.*"level": "ok"/, 22), 'and the single ones are over');
raise($_, $other, 'ok') for @tenants[ 0 .. 20 ];
ok(hears(qr/"key": "alerts.databases:$other".*"event": "resolved".*"details": \["\d+ (goes on by itself|go on by themselves): /), 'which ends when few are left');
ok(hears(qr/"key": "$other",.*"event": "firing".*"database": "tenant22"/, 2), 'of which home hears one by one again');
raise($tenants[21], $other, 'ok');
ok(all_are_over($other), 'and also that they are over');

# ---- a restart

raise($_, $key, 'warning') for @tenants;
ok(hears(qr/"key": "alerts.databases:$key".*"level": "warning".*"message": "$key in/, 2), 'it fires again');
$listener->quit;
for my $database (@tenants)
{
	$node->poll_query_until($database, "SELECT count(*) = 2 FROM dbops.alert_history() WHERE alert_key = '$key' AND event = 'firing'") or die "nobody writes down what fires in $database";
}
my $home = $node->safe_psql('home', q{SELECT oid FROM pg_database WHERE datname = 'home'});
$node->stop;
my $before = -s $node->logfile;
$node->start;
$node->wait_for_log(qr/starting background worker process "dbops scheduler of database \d+"/, $before);
my @served;
$node->wait_for_log(qr/starting background worker process "dbops scheduler of database $home"/, $before);
@served = slurp_file($node->logfile, $before) =~ /starting background worker process "dbops scheduler of database (\d+)"/g;
my ($place) = grep { $served[$_] eq $home } 0 .. $#served;
cmp_ok($place, '<', 2, 'after a restart the home database is one of the two that are served first') or diag(join ', ', @served);
for my $database (@tenants)
{
	$node->poll_query_until($database, "SELECT count(*) = 1 FROM dbops.alerts() WHERE alert_key = '$key' AND state = 'firing'") or die "the alerts of $database are not known";
}
my $then = $node->safe_psql('home', 'SELECT clock_timestamp()');
ok($node->poll_query_until('home', "SELECT looked_at > '$then' FROM dbops.alerts() WHERE alert_key = 'alerts.databases:$key'"), 'and the one alert goes on');
is($node->safe_psql('home', "SELECT count(*) FROM dbops.alert_history() WHERE object = '$key' AND event = 'firing'"), '2', 'without being told again');

# ---- more than there is room to tell, while what was told first is being written down

my $many = q{SELECT count(*) FROM (SELECT dbops.evaluate_alerts(array_agg(ROW('regress.many' || i, 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding)) FROM generate_series(1, 600) i) e};
$node->safe_psql('tenant1', "$many; $many;");
ok($node->poll_query_until('tenant1', q{SELECT count(*) >= 256 FROM dbops.alert_history() WHERE check_name ~ '^regress.many'}), 'as many as there is room for are told');
is($node->safe_psql('tenant1', q{SELECT count(*) - count(DISTINCT alert_key) FROM dbops.alert_history() WHERE check_name ~ '^regress.many'}), '0', 'and none of them twice');

# ---- a database that loses dbops counts until that is committed

sub await_message
{
	my ($pattern, $since) = @_;

	return $node->poll_query_until('home', "SELECT message ~ '$pattern' AND looked_at > '$since' FROM dbops.alerts() WHERE alert_key = 'alerts.databases:$key'");
}

await_message('22 databases', $then) or die 'not all of them fire';
$node->safe_psql('tenant22', q{BEGIN; DROP EXTENSION dbops; PREPARE TRANSACTION 'drop'});
my $prepared = $node->safe_psql('home', 'SELECT clock_timestamp()');
ok(await_message('22 databases', $prepared), 'one in which it is only prepared to drop the extension still fires');
$node->safe_psql('tenant22', q{COMMIT PREPARED 'drop'});
ok(await_message('21 databases', $prepared), 'until that is committed');

is($node->safe_psql('postgres', 'SELECT 1'), '1', 'the server is well');
$node->stop;
done_testing();
