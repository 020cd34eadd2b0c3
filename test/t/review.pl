# Reviews of what only a configuration file can say: settings that take a restart,
# each wrong and then right, and the lines of pg_hba.conf. TAP, because it takes
# servers with files of their own; without dbops preloaded, on a standby, and
# while somebody has locked a catalog.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $settings = "shared_buffers wal_buffers checkpoint_completion_target checkpoint_timeout max_wal_size min_wal_size max_connections superuser_reserved_connections "
  . "log_checkpoints log_connections log_disconnections log_autovacuum_min_duration autovacuum autovacuum_max_workers autovacuum_naptime autovacuum_vacuum_threshold "
  . "autovacuum_vacuum_scale_factor autovacuum_analyze_threshold autovacuum_analyze_scale_factor wal_level max_wal_senders wal_keep_size hot_standby";

my $node = PostgreSQL::Test::Cluster->new('review');
$node->init;
$node->append_conf('postgresql.conf', <<'CONF');
shared_buffers = 1MB
wal_buffers = 32kB
checkpoint_completion_target = 0.5
checkpoint_timeout = 30s
max_wal_size = 64MB
min_wal_size = 32MB
max_connections = 2
superuser_reserved_connections = 0
log_checkpoints = off
log_connections = off
log_disconnections = off
log_autovacuum_min_duration = -1
autovacuum = off
autovacuum_max_workers = 1
autovacuum_naptime = 1h
autovacuum_vacuum_threshold = 100000
autovacuum_vacuum_scale_factor = 0.9
autovacuum_analyze_threshold = 100000
autovacuum_analyze_scale_factor = 0.9
wal_level = minimal
max_wal_senders = 0
wal_keep_size = 10GB
hot_standby = off
password_encryption = md5
listen_addresses = '0.0.0.0'
CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# ---- every setting wrong
my $second = $node->background_psql('postgres');
$node->safe_psql('postgres', "CREATE TABLE filler AS SELECT repeat('x', 1000) AS t FROM generate_series(1, 5000); SELECT pg_stat_force_next_flush()");
my $found = join(' ', split(/\n/, $node->safe_psql('postgres',
	"SELECT object FROM dbops.review_settings() WHERE object = ANY (string_to_array('$settings', ' ')) AND severity <> 'ok' AND severity <> 'unknown' AND remedy LIKE 'ALTER SYSTEM SET ' || object || ' = %' AND recommended <> current ORDER BY object")));
is($found, join(' ', sort split(/ /, $settings)), 'each setting that is wrong is found, with the line that puts it right');
is($node->safe_psql('postgres', "SELECT object, severity FROM dbops.review_settings() WHERE object IN ('autovacuum', 'wal_level', 'max_connections') ORDER BY 1"),
	"autovacuum|critical\nmax_connections|warning\nwal_level|warning", 'the gravest as such');
is($node->safe_psql('postgres', "SELECT check_name, object FROM dbops.review_privileges('{settings.%}') ORDER BY 1"),
	"settings.password_encryption|password_encryption\nsettings.ssl|ssl", 'so is a server that listens to others and does not encrypt');
# ---- the remedies, as they are printed
my $remedies = $node->safe_psql('postgres', "SELECT remedy FROM dbops.review_settings() WHERE remedy LIKE 'ALTER SYSTEM%' UNION ALL SELECT remedy FROM dbops.review_privileges('{settings.password_encryption}')");
$second->quit;
$node->safe_psql('postgres', $_) for grep { /\S/ } map { s/ --.*//r } map { split /(?<=;) / } split(/\n/, $remedies);
$node->safe_psql('postgres', "ALTER SYSTEM SET listen_addresses = ''");
$node->restart;
is($node->safe_psql('postgres', "SELECT object, current, message FROM dbops.review_settings() WHERE object = ANY (string_to_array('$settings', ' ')) AND severity <> 'ok'"), '', 'after which nothing is left to say of any');
is($node->safe_psql('postgres', "SELECT check_name, object FROM dbops.review_privileges('{settings.%}')"), '', 'nor of who listens');

# ---- changed, and waiting
is($node->safe_psql('postgres', "SELECT object FROM dbops.review_settings('{settings.not_reloaded,settings.awaits_restart}')"), '', 'nothing waits');
$node->safe_psql('postgres', 'ALTER SYSTEM SET max_connections = 77');
$node->reload;
$node->poll_query_until('postgres', "SELECT pending_restart FROM pg_settings WHERE name = 'max_connections'") or die 'nothing waits for a restart';
is($node->safe_psql('postgres', "SELECT check_name, current = '77', recommended FROM dbops.review_settings('{settings.not_reloaded,settings.awaits_restart}') WHERE object = 'max_connections'"),
	'settings.awaits_restart|f|77', 'what waits for a restart is told');
$node->safe_psql('postgres', 'ALTER SYSTEM SET max_connections = 50');
$node->reload;

$node->safe_psql('postgres', 'ALTER SYSTEM SET vacuum_cost_limit = 333');
$node->reload;
$node->poll_query_until('postgres', "SELECT current_setting('vacuum_cost_limit') = '333'") or die 'vacuum_cost_limit stays';
is($node->safe_psql('postgres', "SELECT object FROM dbops.review_settings('{settings.not_reloaded}')"), '', 'what was read is in force');
$node->safe_psql('postgres', 'ALTER SYSTEM RESET vacuum_cost_limit');
is($node->safe_psql('postgres', "SELECT object, current, recommended FROM dbops.review_settings('{settings.not_reloaded}')"),
	'vacuum_cost_limit|333|the default', 'what was taken out of the files, and is in force still, is told');

# ---- the lines of pg_hba.conf, which count from the next reading on
my $hba = $node->data_dir . '/pg_hba.conf';
my $kept = slurp_file($hba);

sub write_hba
{
	my ($lines) = @_;
	open my $file, '>', $hba or die $!;
	print $file $lines;
	close $file;
	return;
}

sub hba { return $node->safe_psql('postgres', "SELECT check_name, severity, object FROM dbops.review_privileges('{hba.%,roles.no_password}') WHERE check_name <> 'roles.no_password' OR severity = 'critical' AND object = 'open_door' ORDER BY key") }

write_hba(<<'HBA');
# host all all all trust
local all all peer
host all all 10.0.0.0/8 scram-sha-256
hostssl all all 0.0.0.0/0 scram-sha-256
hostssl all all 10.0.0.0/8 cert
host all all 0.0.0.0/0 reject
HBA
is(hba(), '', 'lines that let in who can prove who he is are well, and so is a comment');
write_hba(<<'HBA');
local all all trust
host all all 127.0.0.1/32 trust
host all all 10.1.0.0/16 trust
host all all 10.2.0.0/16 password
hostssl all all 10.3.0.0/16 password
host all all 10.4.0.0/16 md5
host all all 0.0.0.0/0 scram-sha-256
HBA
$node->safe_psql('postgres', 'CREATE ROLE open_door LOGIN');
is(hba(), <<'FOUND' =~ s/\n\z//r, 'the others are found, those that are open to other machines as the gravest');
hba.cleartext|critical|host all all 10.2.0.0 255.255.0.0 password
hba.cleartext|info|hostssl all all 10.3.0.0 255.255.0.0 password
hba.md5|info|host all all 10.4.0.0 255.255.0.0 md5
hba.trust|critical|host all all 10.1.0.0 255.255.0.0 trust
hba.trust|warning|host all all 127.0.0.1 255.255.255.255 trust
hba.trust|warning|local all all trust
hba.unencrypted|warning|host all all 0.0.0.0 0.0.0.0 scram-sha-256
roles.no_password|critical|open_door
FOUND
write_hba($kept);

# ---- a catalog that somebody has locked: what needs it is unknown, at once, and the rest is told
my $locker = $node->background_psql('postgres');
$locker->query_safe('CREATE TABLE keyless (a int); BEGIN; LOCK TABLE pg_policy');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT severity, message FROM dbops.review_schema('{rls.no_policy}')"),
	'unknown|could not be judged: canceling statement due to lock timeout (SQLSTATE 55P03)', 'what cannot be read is unknown');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT object FROM dbops.review() WHERE check_name = 'tables.no_primary_key' AND object LIKE '%keyless'"),
	'public.keyless', 'and nothing else is lost');
$locker->query_safe('ROLLBACK; BEGIN; LOCK TABLE keyless');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%'), count(*) FILTER (WHERE object = 'public.keyless') > 0 FROM dbops.review_schema('{%}')"),
	'0|t', 'a table that is locked is reviewed as any other');
$locker->query_safe('ROLLBACK');
$locker->quit;

# ---- on a standby
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('review_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
is($standby->safe_psql('postgres', "SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%'), count(*) FILTER (WHERE object = 'public.keyless') > 0 FROM dbops.review()"),
	'0|t', 'a standby reviews as its primary does');
is($node->safe_psql('postgres', "SELECT object, severity, recommended FROM dbops.review_settings() WHERE object = 'wal_keep_size'"),
	'wal_keep_size|warning|1GB', 'a standby without a slot needs WAL to be kept');
$standby->stop;
$node->stop;

done_testing();
