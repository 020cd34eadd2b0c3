# Reviews of settings where it takes servers of their own: each setting wrong, and
# right after its remedy, which is run as it is printed and after which the server
# starts, standbys beside it go on, and nothing is said again. And what the
# configuration files say that is not in force.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $settings = "shared_buffers effective_cache_size work_mem maintenance_work_mem wal_buffers checkpoint_completion_target checkpoint_timeout max_wal_size min_wal_size default_statistics_target random_page_cost "
  . "max_connections superuser_reserved_connections idle_in_transaction_session_timeout log_min_duration_statement log_checkpoints log_connections log_disconnections log_lock_waits "
  . "log_autovacuum_min_duration autovacuum autovacuum_max_workers autovacuum_naptime autovacuum_vacuum_threshold autovacuum_vacuum_scale_factor autovacuum_analyze_threshold "
  . "autovacuum_analyze_scale_factor wal_level max_wal_senders hot_standby";

my $node = PostgreSQL::Test::Cluster->new('review_settings');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_buffers = 1MB
effective_cache_size = 8MB
work_mem = 1TB
maintenance_work_mem = 1MB
wal_buffers = 32kB
checkpoint_completion_target = 0.5
checkpoint_timeout = 30s
max_wal_size = 64MB
min_wal_size = 32MB
default_statistics_target = 10
random_page_cost = 0.5
max_connections = 2
superuser_reserved_connections = 0
idle_in_transaction_session_timeout = 0
log_min_duration_statement = 0
log_checkpoints = off
log_connections = off
log_disconnections = off
log_lock_waits = off
log_autovacuum_min_duration = -1
autovacuum = off
track_counts = off
autovacuum_max_workers = 1
autovacuum_naptime = 1h
autovacuum_vacuum_threshold = 1234567
autovacuum_vacuum_scale_factor = 0.9
autovacuum_analyze_threshold = 100000
autovacuum_analyze_scale_factor = 0.9
wal_level = minimal
max_wal_senders = 0
wal_keep_size = 10GB
hot_standby = off
CONF
$node->start;

# In one session, where there is room for no other: who has gone takes a while to leave.
sub ask
{
	my ($where, $sql) = @_;
	return $where->can('query_safe') ? $where->query_safe($sql) : $where->safe_psql('postgres', $sql);
}

# What is wrong of some settings; where the machine tells no memory, that is unknown, and not well.
sub wrong
{
	my ($server, $which) = @_;
	return join(' ', split(/\n/, ask($server,
		"SELECT object FROM dbops.review_settings() WHERE object = ANY (string_to_array('$which', ' ')) AND severity <> 'ok' AND (severity = 'unknown' OR recommended <> current) ORDER BY object")));
}

sub remedies
{
	my ($server, $condition) = @_;
	return ask($server, "SELECT remedy FROM dbops.review_settings() WHERE $condition AND remedy LIKE 'ALTER SYSTEM%'");
}

# ---- every setting wrong
my $only = $node->background_psql('postgres');
$only->query_safe('CREATE EXTENSION dbops');
my $second = $node->background_psql('postgres');
$only->query_safe("CREATE TABLE filler AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 5000)");
$only->query_safe('SELECT pg_stat_force_next_flush()');
is(wrong($only, $settings), join(' ', sort split(/ /, $settings)), 'each setting that is wrong is found');
is($only->query_safe("SELECT object, severity FROM dbops.review_settings() WHERE object IN ('autovacuum', 'wal_level', 'max_connections') ORDER BY 1"),
	"autovacuum|critical\nmax_connections|warning\nwal_level|warning", 'the gravest as such');
is($only->query_safe("SELECT current FROM dbops.review_settings() WHERE object = 'autovacuum_vacuum_threshold'"), '1234567', 'a large number as it is');
is($only->query_safe("SELECT count(*) FROM dbops.review_settings() WHERE severity = 'ok' AND object = 'wal_keep_size' AND message LIKE '%has not been watched for a week%'"), '1',
	'WAL that is kept is kept, until it is known that nobody comes back for it');

# ---- each remedy alone leaves a server that starts, though it needs others
my $alone = remedies($only, "object IN ('max_wal_senders', 'superuser_reserved_connections')");
is($alone, "ALTER SYSTEM SET max_connections = '50';\nALTER SYSTEM SET superuser_reserved_connections = '3';\nALTER SYSTEM SET wal_level = 'replica';\nALTER SYSTEM SET max_wal_senders = '10';",
	'what needs another setting brings it along');
$only->query_safe($_) for split /\n/, $alone;
$_->quit for $second, $only;
$node->restart;

# ---- all of them, as psql runs a file of them
my $file = $node->basedir . '/remedies.sql';
append_to_file($file, remedies($node, 'true'));
$node->command_ok([ 'psql', '-X', '-v', 'ON_ERROR_STOP=1', '-d', $node->connstr('postgres'), '-f', $file ], 'the remedies run as they are printed');
$node->restart;
is(wrong($node, $settings) =~ s/\b(?:effective_cache_size|maintenance_work_mem|shared_buffers|work_mem)\b ?//gr, '', 'after which nothing is left to say of any');
is($node->safe_psql('postgres', "SELECT object, current, message FROM dbops.review_settings() WHERE severity NOT IN ('ok', 'unknown') AND object = ANY (string_to_array('$settings', ' '))"), '', 'nor of memory, where it is known');
is(remedies($node, 'true'), '', 'nor is there any other line to run');
is($node->safe_psql('postgres', "SHOW track_counts"), 'on', 'autovacuum has what it goes by');

# ---- what is given when the server is started
$node->stop;
system_or_bail('pg_ctl', '-D', $node->data_dir, '-l', $node->logfile, '-w', '-s', '-o', '-c autovacuum_naptime=1h', 'start');
$node->_update_pid(1);
is($node->safe_psql('postgres', "SELECT current, recommended, remedy LIKE 'It was given when the server was started%' FROM dbops.review_settings() WHERE object = 'autovacuum_naptime'"),
	'1h|1min|t', 'files do not change what the command line says, and no line pretends to');
$node->stop;
$node->start;

# ---- a server that is configured from outside
SKIP:
{
	skip 'before 17, ALTER SYSTEM is always allowed', 1 if $node->safe_psql('postgres', "SELECT count(*) FROM pg_settings WHERE name = 'allow_alter_system'") eq '0';
	$node->safe_psql('postgres', "ALTER SYSTEM SET autovacuum_naptime = '1h'");
	$node->append_conf('postgresql.conf', 'allow_alter_system = off');
	$node->restart;
	is($node->safe_psql('postgres', "SELECT remedy FROM dbops.review_settings() WHERE object = 'autovacuum_naptime'"),
		"This server is configured from outside, since allow_alter_system is off: set autovacuum_naptime = '1min' there, and reload the server.", 'no line is printed that would be refused');
	$node->append_conf('postgresql.conf', 'allow_alter_system = on');
	$node->restart;
	$node->safe_psql('postgres', "ALTER SYSTEM SET autovacuum_naptime = '1min'");
	$node->reload;
}

# ---- what a week of samples says: fewer connections, less WAL to keep; of a day it says nothing
$node->safe_psql('postgres', 'ALTER SYSTEM SET max_connections = 600');
$node->restart;

sub watched
{
	my ($hours) = @_;
	return $node->safe_psql('postgres', <<"SQL") =~ s/.*\n//sr;
DO \$\$ BEGIN
    FOR i IN 0 .. $hours LOOP
        PERFORM set_config('dbops.test_now', (2000000000 / 3600 * 3600 + i * 3600)::text, false);
        PERFORM dbops.put_sample('{"connections.total": 20, "replication.standbys": 0}', cadence => '1 hour', of_cluster => true);
    END LOOP;
    PERFORM set_config('dbops.test_now', (2000000000 / 3600 * 3600 + $hours * 3600 + 1)::text, false);
END \$\$;
SELECT string_agg(object || ' ' || severity || ' ' || recommended, ', ' ORDER BY object) FROM dbops.review_settings() WHERE object IN ('max_connections', 'wal_keep_size');
SQL
}
is(watched(24), 'max_connections ok 600, wal_keep_size ok 10GB', 'a day says too little to take something away');
is(watched(170), 'max_connections info 200, wal_keep_size info 0', 'a week says enough');

# ---- tables of other databases, which cannot be seen from here
$node->safe_psql('postgres', 'CREATE DATABASE other');
$node->safe_psql('postgres', "ALTER SYSTEM SET autovacuum_vacuum_scale_factor = 0.1");
$node->reload;
is($node->safe_psql('postgres', "SELECT severity FROM dbops.review_settings() WHERE object = 'autovacuum_vacuum_scale_factor'"), 'ok', 'small databases have no large tables');
my $sizes = "SET dbops.test_now = 2000000000; SELECT dbops.put_sample('{\"databases.bytes\": 2000000000000}', of_cluster => true), dbops.put_sample('{\"size\": 8000000}'); SET dbops.test_now = 2000000001;";
is($node->safe_psql('postgres', "$sizes SELECT string_agg(severity || ' ' || (message LIKE '%other databases%'), '' ORDER BY object) FROM dbops.review_settings() WHERE object = 'autovacuum_vacuum_scale_factor'") =~ s/.*\n//sr,
	'unknown true', 'of large ones it is not known');
is($node->safe_psql('postgres', "$sizes SELECT string_agg(severity, '' ORDER BY object) FROM dbops.review_settings() WHERE object = 'shared_buffers' AND message NOT LIKE 'it is __ percent%' AND severity <> 'unknown'") =~ s/.*\n//sr =~ s/ok//r,
	'', 'nor are buffers large enough that hold the data of this one');
$node->safe_psql('postgres', 'CREATE TABLE large (a int) WITH (autovacuum_vacuum_scale_factor = 0.01, autovacuum_analyze_scale_factor = 0.01); UPDATE pg_class SET reltuples = 2e8 WHERE relname = \'large\'');
is($node->safe_psql('postgres', "SELECT severity FROM dbops.review_settings() WHERE object LIKE 'autovacuum_%_scale_factor'"), "ok\nok", 'a table that has a factor of its own does not count');
$node->safe_psql('postgres', 'ALTER TABLE large RESET (autovacuum_vacuum_scale_factor)');
is($node->safe_psql('postgres', "SELECT severity, recommended FROM dbops.review_settings() WHERE object = 'autovacuum_vacuum_scale_factor'"), 'info|0.02', 'one that has none does');
$node->safe_psql('postgres', 'DROP TABLE large; DROP DATABASE other');

# ---- limits of time are for roles; what else tells of slow statements
sub set_all
{
	my ($last, $value, @others) = @_;
	$node->safe_psql('postgres', "ALTER SYSTEM SET $_") for @others, "$last = '$value'";
	$node->reload;
	$node->poll_query_until('postgres', "SELECT current_setting('$last') = '$value'") or die "$last stays";
	return;
}
set_all('statement_timeout', '1h', "tcp_keepalives_idle = 9000", "lock_timeout = '1min'", "idle_session_timeout = '1d'");
$node->safe_psql('postgres', "ALTER DATABASE postgres SET lock_timeout = 0; ALTER ROLE CURRENT_USER SET lock_timeout = '7s'");
is($node->safe_psql('postgres', "SELECT object, severity, current, recommended, substring(message FROM '. roles.*'), regexp_replace(remedy, E'\n', ' ') FROM dbops.review_settings('{settings.timeouts}') WHERE severity <> 'ok' ORDER BY 1"), <<'FOUND' =~ s/\n\z//r, 'limits that end what the server itself does');
idle_session_timeout|info|1d|0||Give it to the roles of people, by ALTER ROLE ... SET idle_session_timeout = '1d', and then take it from the server, by ALTER SYSTEM SET idle_session_timeout = 0.
lock_timeout|info|1min|0|2 roles or databases have a limit of their own|Give it to the roles of applications, by ALTER ROLE ... SET lock_timeout = '1min', and then take it from the server, by ALTER SYSTEM SET lock_timeout = 0.
statement_timeout|info|1h|0|0 roles or databases have a limit of their own|Give it to the roles of applications, by ALTER ROLE ... SET statement_timeout = '1h', and then take it from the server, by ALTER SYSTEM SET statement_timeout = 0.
tcp_keepalives_idle|info|150min|0||ALTER SYSTEM SET tcp_keepalives_idle = '0'; SELECT pg_reload_conf();
FOUND
$node->safe_psql('postgres', "ALTER DATABASE postgres RESET lock_timeout; ALTER ROLE CURRENT_USER RESET lock_timeout");
$node->safe_psql('postgres', "ALTER SYSTEM RESET $_") for 'statement_timeout', 'lock_timeout', 'idle_session_timeout', 'tcp_keepalives_idle';
my $slow = "SELECT severity, coalesce(substring(message FROM 'since (.*)'), '') FROM dbops.review_settings() WHERE object = 'log_min_duration_statement'";
$node->append_conf('postgresql.conf', "auto_explain.log_min_duration = '1s'");
set_all('log_min_duration_statement', '-1');
is($node->safe_psql('postgres', $slow), 'info|', 'slow statements are logged nowhere, though there is a word for who is not here');
is($node->safe_psql('postgres', "LOAD 'auto_explain'; $slow"), 'ok|auto_explain logs the plans of slow statements', 'but where it is');
set_all('log_min_duration_sample', '1s');
is($node->safe_psql('postgres', $slow), 'ok|log_min_duration_sample logs a part of them', 'nor a part of them');
set_all('log_statement', 'all', 'log_min_duration_sample = -1');
is($node->safe_psql('postgres', $slow), 'info|', 'all statements without how long they took tell nothing');
set_all('log_duration', 'on');
is($node->safe_psql('postgres', $slow), 'ok|log_statement and log_duration log each statement, and how long it took', 'with it they do');
$node->safe_psql('postgres', "ALTER SYSTEM RESET $_") for 'log_statement', 'log_duration', 'log_min_duration_sample';
set_all('log_min_duration_statement', '1s');

# ---- changed, and waiting
my $waiting = "SELECT check_name, object, current, recommended FROM dbops.review_settings('{settings.not_reloaded,settings.awaits_restart}')";
is($node->safe_psql('postgres', $waiting), '', 'nothing waits');
$node->safe_psql('postgres', 'ALTER SYSTEM SET max_locks_per_transaction = 77');
$node->reload;
$node->poll_query_until('postgres', "SELECT pending_restart FROM pg_settings WHERE name = 'max_locks_per_transaction'") or die 'nothing waits for a restart';
is($node->safe_psql('postgres', $waiting), 'settings.awaits_restart|max_locks_per_transaction|64|77', 'what waits for a restart is told');
$node->restart;
is($node->safe_psql('postgres', $waiting), '', 'until then');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_locks_per_transaction');
$node->reload;
is($node->safe_psql('postgres', $waiting), 'settings.awaits_restart|max_locks_per_transaction|77|the default', 'so is what was taken out of the files');
$node->restart;
# what was given when the server was started counts more than a file
$node->stop;
PostgreSQL::Test::Utils::system_or_bail('pg_ctl', '-w', '-D', $node->data_dir, '-l', $node->logfile, '-o', '-c max_locks_per_transaction=70', 'start');
$node->_update_pid(1);
$node->safe_psql('postgres', 'ALTER SYSTEM SET max_locks_per_transaction = 77');
$node->reload;
$node->poll_query_until('postgres', "SELECT pending_restart FROM pg_settings WHERE name = 'max_locks_per_transaction'") or die 'nothing waits for a restart';
is($node->safe_psql('postgres', "SELECT object, remedy FROM dbops.review_settings('{settings.awaits_restart}')"),
	'max_locks_per_transaction|Give the value of the files when the server is started, or take it out of the files.', 'for which no restart is asked');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET max_locks_per_transaction');
$node->stop;
$node->start;

$node->safe_psql('postgres', 'ALTER SYSTEM SET vacuum_cost_limit = 333');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('vacuum_cost_limit') = '333'") or die 'vacuum_cost_limit stays';
is($node->safe_psql('postgres', $waiting), '', 'what was read is in force');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET vacuum_cost_limit');
is($node->safe_psql('postgres', $waiting), 'settings.not_reloaded|vacuum_cost_limit|333|the default', 'what was taken out of the files, and is in force still, is told');
$node->reload;

# ---- what a session keeps as it began with it
my $older = $node->background_psql('postgres');
$older->query_safe('SELECT 1');
$node->safe_psql('postgres', 'ALTER SYSTEM SET log_disconnections = off');
like($node->safe_psql('postgres', $waiting), qr/^settings.not_reloaded\|log_disconnections\|on\|off$/, 'a change that was not read');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('log_disconnections') = 'off'") or die 'log_disconnections stays';
$older->query_until(qr/read/, "SELECT 'read' WHERE pg_sleep(0.1) IS NOT NULL AND pg_conf_load_time() > pg_postmaster_start_time();\n");
is($older->query_safe("SELECT count(*) FROM dbops.review_settings('{settings.not_reloaded}')"), '0', 'one that was read is told to nobody, not in older sessions either');
is($older->query_safe("SELECT current FROM dbops.review_settings() WHERE object = 'log_disconnections'"), 'off', 'which judge what is, not what they began with');
$older->quit;

# ---- names and texts
$node->append_conf('postgresql.conf', "Vacuum_Cost_Limit = 100\nVACUUM_COST_LIMIT = 200\nlog_line_prefix = '%t '");
$node->safe_psql('postgres', 'ALTER SYSTEM SET log_disconnections = on');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('log_line_prefix') = '%t '") or die 'log_line_prefix stays';
is($node->safe_psql('postgres', $waiting), '', 'a name in other capitals is the same, and its last line counts');
$node->append_conf('postgresql.conf', "log_line_prefix = '%T '");
is($node->safe_psql('postgres', $waiting), 'settings.not_reloaded|log_line_prefix|%t |%T ', 'a text in other capitals is another one');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('log_line_prefix') = '%T '") or die 'log_line_prefix stays';

# ---- files with errors
$node->append_conf('postgresql.conf', "vacuum_cost_page_miss = 7\nwork_mem = 'abc'\n");
$node->safe_psql('postgres', 'ALTER SYSTEM RESET work_mem');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('vacuum_cost_page_miss') = '7'") or die 'vacuum_cost_page_miss stays';
is($node->safe_psql('postgres', "SELECT object, recommended, message ~ '^line \\d+ of postgresql.conf has a value that it cannot have\$', remedy ~ '^Correct line \\d+ of postgresql.conf, and' FROM dbops.review_settings('{settings.not_reloaded}')"),
	'work_mem|a value that it can have|t|t', 'a value that cannot be is told as such');
$node->append_conf('postgresql.conf', "vacuum_cost_page_miss = 8\nno_such_thing = 1\n");
is($node->safe_psql('postgres', "SELECT regexp_replace(object, '\\d+', 'N'), regexp_replace(message, '\\d+', 'N', 'g'), regexp_replace(remedy, '\\d+', 'N') FROM dbops.review_settings('{settings.not_reloaded}') WHERE object <> 'work_mem' ORDER BY 1"),
	"line N of postgresql.conf|it cannot be understood, so that nothing of the files is taken over|Correct line N of postgresql.conf, and have the server read it, by SELECT pg_reload_conf();\n"
	  . "vacuum_cost_page_miss|line N of postgresql.conf says so, and line N of postgresql.conf keeps the server from taking it over|Correct line N of postgresql.conf first, and have the server read it, by SELECT pg_reload_conf();",
	'an error that keeps everything from being read is the reason');
$node->append_conf('postgresql.conf', "include 'no_such_file.conf'\n");
unlike($node->safe_psql('postgres', "SELECT recommended FROM dbops.review_settings('{settings.not_reloaded}')"), qr/the default/, 'nothing counts as taken out of files that cannot be read');
$node->stop;

# ---- with a standby beside it
my $primary = PostgreSQL::Test::Cluster->new('review_primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', "max_connections = 7\nmax_wal_senders = 3\nautovacuum_max_workers = 1");
$primary->start;
$primary->safe_psql('postgres', 'CREATE EXTENSION dbops');
$primary->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('review_standby');
$standby->init_from_backup($primary, 'base', has_streaming => 1);
$standby->start;
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
is($primary->safe_psql('postgres', "SELECT object, severity, recommended FROM dbops.review_settings() WHERE object = 'wal_keep_size'"),
	'wal_keep_size|warning|1GB', 'a standby without a slot needs WAL to be kept');

# more sessions than the settings are made for
my @sessions = map { $primary->background_psql('postgres') } 1 .. 6;
my $sentences = ask($sessions[0], "SELECT object, remedy FROM dbops.review_settings() WHERE object IN ('max_connections', 'max_wal_senders') AND severity <> 'ok' ORDER BY 1");
like($sentences, qr/^max_connections\|First on each standby, and then here: ALTER SYSTEM SET max_connections = '50', and restart it\..*/, 'what a standby must have first is said to be done there first');
my $lines = remedies($sessions[0], 'true');
unlike($lines, qr/max_connections/, 'and no line for it is to be run here at once');
$_->quit for @sessions;
$primary->safe_psql('postgres', $_) for split /\n/, $lines;
$primary->restart;
$primary->safe_psql('postgres', 'CREATE TABLE replayed (a int)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
is($standby->safe_psql('postgres', "SELECT to_regclass('replayed'), pg_get_wal_replay_pause_state()"), 'replayed|not paused', 'the standby goes on when all lines were run');
is($standby->safe_psql('postgres', "SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%'), count(*) > 30 FROM dbops.review_settings()"), '0|t', 'a standby reviews its own');

# as the sentence says
for my $server ($standby, $primary)
{
	$server->safe_psql('postgres', "ALTER SYSTEM SET max_connections = '50'");
	$server->restart;
}
$primary->safe_psql('postgres', 'CREATE TABLE replayed_too (a int)');
$primary->wait_for_catchup($standby, 'replay', $primary->lsn('write'));
is($standby->safe_psql('postgres', "SELECT to_regclass('replayed_too'), pg_get_wal_replay_pause_state()"), 'replayed_too|not paused', 'and when the sentence was followed');
is(remedies($primary, 'true'), '', 'after which there is nothing left to do');
$standby->stop;

# ---- a backup is no standby
$primary->safe_psql('postgres', 'ALTER SYSTEM SET wal_keep_size = 0');
$primary->restart;
my $target = $primary->basedir . '/slow';
my $backup = IPC::Run::start([ 'pg_basebackup', '-d', $primary->connstr('postgres'), '-D', $target, '--max-rate=32k', '--checkpoint=fast', '--no-sync', '-X', 'stream' ], '>', \my $out, '2>', \my $err);
$primary->poll_query_until('postgres', "SELECT count(*) = 1 FROM pg_stat_replication WHERE state = 'backup'") or die 'no backup is made';
is($primary->safe_psql('postgres', "SET dbops.test_now = 2000000000; SELECT severity FROM dbops.review_settings() WHERE object = 'wal_keep_size'"), 'ok', 'a backup does not need WAL to be kept');
$backup->kill_kill;
$backup->finish;
$primary->stop;

done_testing();
