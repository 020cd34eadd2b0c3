# Reviews of what only a configuration file can say: who may come in, and the lines of
# pg_hba.conf. TAP, because it takes servers with files of their own; on a standby, and
# while somebody has locked a catalog.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('review');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', "password_encryption = md5\nlisten_addresses = '0.0.0.0'\nmax_connections = 50");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');

# ---- a server that listens to others
is($node->safe_psql('postgres', "SELECT check_name, object FROM dbops.review_privileges('{settings.%}') ORDER BY 1"),
	"settings.password_encryption|password_encryption\nsettings.ssl|ssl", 'one that listens to others and does not encrypt is found');
$node->safe_psql('postgres', $_) for map { split /(?<=;) / } $node->safe_psql('postgres', "SELECT remedy FROM dbops.review_privileges('{settings.password_encryption}')");
$node->safe_psql('postgres', "ALTER SYSTEM SET listen_addresses = ''");
$node->restart;
is($node->safe_psql('postgres', "SELECT check_name, object FROM dbops.review_privileges('{settings.%}')"), '', 'and nothing of one that is mended');

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

$node->safe_psql('postgres', "CREATE ROLE by_peer LOGIN; CREATE ROLE insider LOGIN PASSWORD 'x'");
write_hba(<<'HBA');
# host all all all trust
local all all peer
host all insider 10.0.0.0/8 scram-sha-256
hostssl all insider 0.0.0.0/0 scram-sha-256
hostssl all all 10.0.0.0/8 cert
host all all 0.0.0.0/0 reject
HBA
is(hba(), '', 'lines that let in who can prove who he is are well, and so is a comment');
is($node->safe_psql('postgres', "SELECT check_name FROM dbops.review_privileges('{roles.no_password}') WHERE object = 'by_peer'"), '', 'nor is a password missed that nobody asks for');
write_hba(<<'HBA');
local all all trust
host all all 127.0.0.1/32 trust
host all all 10.1.0.0/16 trust
host all all 10.2.0.0/16 password
hostssl all all 10.3.0.0/16 password
host all all 10.4.0.0/16 md5
host all all 10.5.0.0/16 ident
host all all 0.0.0.0/0 scram-sha-256
HBA
$node->safe_psql('postgres', 'CREATE ROLE open_door LOGIN');
is(hba(), <<'FOUND' =~ s/\n\z//r, 'the others are found, those that are open to other machines as the gravest');
hba.cleartext|critical|host all all 10.2.0.0 255.255.0.0 password
hba.cleartext|info|hostssl all all 10.3.0.0 255.255.0.0 password
hba.md5|info|host all all 10.4.0.0 255.255.0.0 md5
hba.trust|critical|host all all 10.1.0.0 255.255.0.0 trust
hba.trust|warning|host all all 10.5.0.0 255.255.0.0 ident
hba.trust|warning|host all all 127.0.0.1 255.255.255.255 trust
hba.trust|warning|local all all trust
hba.unencrypted|warning|host all all 0.0.0.0 0.0.0.0 scram-sha-256
roles.no_password|critical|open_door
FOUND

# what is reached decides, whoever is meant by it, and however its addresses are written
write_hba(<<'HBA');
host all all 127.0.0.1/0 trust
host all all 10.0.0.0/8 trust
HBA
is(hba(), <<'FOUND' =~ s/\n\z//r, 'a mask that lets all in is not of this machine, and what comes behind it is never reached');
hba.trust|critical|host all all 127.0.0.1 0.0.0.0 trust
hba.unencrypted|warning|host all all 127.0.0.1 0.0.0.0 trust
roles.no_password|critical|open_door
FOUND
write_hba(<<'HBA');
local replication all trust
host replication all 10.0.0.0/8 trust
host all postgres 10.2.0.0/16 scram-sha-256
host all all 10.2.0.0/16 reject
host all all 10.2.3.0/24 trust
hostssl all all 10.3.0.0/16 trust clientcert=verify-full
hostssl all all 10.4.0.0/16 ldap ldapserver=ldap.example ldapprefix="x" ldapsuffix="y"
hostnossl all all all reject
host all all 0.0.0.0/0 scram-sha-256
HBA
is(hba(), <<'FOUND' =~ s/\n\z//r, 'what an earlier line turns away is not told of, nor what a certificate or encryption goes with');
hba.trust|critical|host replication all 10.0.0.0 255.0.0.0 trust
hba.trust|warning|local replication all trust
FOUND
is($node->safe_psql('postgres', "SELECT severity FROM dbops.review_privileges('{roles.no_password}') WHERE object = 'open_door'"), 'info', 'a role without a password is not let in as what it is not');
write_hba(<<'HBA');
host all +club 10.4.0.0/16 trust
host all all 10.5.0.0/16 radius radiusservers="127.0.0.1" radiussecrets="secret"
host all all 10.5.0.0/16 pam
host all all 10.6.0.0/16 pam
host all all 10.6.0.0/16 pam
host all all 0.0.0.0/1 md5
host all all 128.0.0.0/1 md5
host all all fd00::/8 md5
host all all ::/0 md5
HBA
$node->safe_psql('postgres', 'CREATE ROLE club; CREATE ROLE members IN ROLE club; GRANT members TO open_door');
is(hba(), <<'FOUND' =~ s/\n\z//r, 'a group is, and half of all addresses is as good as all; a line that stands twice is told once');
hba.cleartext|critical|host all all 10.5.0.0 255.255.0.0 radius
hba.cleartext|critical|host all all 10.6.0.0 255.255.0.0 pam
hba.md5|info|host all all 0.0.0.0 128.0.0.0 md5
hba.md5|info|host all all 128.0.0.0 128.0.0.0 md5
hba.md5|info|host all all :: :: md5
hba.md5|info|host all all fd00:: ff00:: md5
hba.trust|critical|host all +club 10.4.0.0 255.255.0.0 trust
hba.unencrypted|warning|host all all 0.0.0.0 128.0.0.0 md5
hba.unencrypted|warning|host all all 128.0.0.0 128.0.0.0 md5
hba.unencrypted|warning|host all all :: :: md5
roles.no_password|critical|open_door
FOUND
if ($node->pg_version >= 16)
{
	write_hba("host all /^open_ 10.4.0.0/16 trust\n");
	is(hba(), "hba.trust|critical|host all /^open_ 10.4.0.0 255.255.0.0 trust\nroles.no_password|critical|open_door", 'a regular expression means whom it is like');
}
write_hba("local all all peer\nhost all all 10.0.0.0/8 no_such_method\n");
is($node->safe_psql('postgres', "SELECT object, message ~ 'no_such_method.*: the server goes on by what it has read before' FROM dbops.review_privileges('{settings.access_errors}')"),
	'line 2 of pg_hba.conf|t', 'a line that cannot be read keeps all of the file from counting');
is($node->safe_psql('postgres', "SELECT string_agg(key, ',') FROM dbops.health_checks() WHERE check_name = 'settings.access_errors' AND severity <> 'ok'"),
	$node->safe_psql('postgres', "SELECT string_agg(key, ',') FROM dbops.review_privileges('{settings.access_errors}')"), 'under the key that the health check has');
write_hba($kept);

# ---- who copies the cluster now is right to be able to
$node->safe_psql('postgres', "CREATE ROLE copier REPLICATION LOGIN PASSWORD 'x'");
is($node->safe_psql('postgres', "SELECT object FROM dbops.review_privileges('{roles.replication}')"), 'copier', 'a role that may copy the cluster, and does not');
my $copier = $node->background_psql('postgres', replication => 'database', extra_params => [ '-U', 'copier' ]);
is($node->safe_psql('postgres', "SELECT object FROM dbops.review_privileges('{roles.replication}')"), '', 'and one that does');
$copier->quit;

# ---- a catalog that somebody has locked: what needs it is unknown, at once, and the rest is told
my $locker = $node->background_psql('postgres');
$locker->query_safe('CREATE TABLE keyless (a int); BEGIN; LOCK TABLE pg_policy');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT severity, message FROM dbops.review_schema('{rls.no_policy}')"),
	'unknown|could not be judged: canceling statement due to lock timeout (SQLSTATE 55P03)', 'what cannot be read is unknown');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT object FROM dbops.review() WHERE check_name = 'tables.no_primary_key' AND object LIKE '%keyless'"),
	'public.keyless', 'and nothing else is lost');
# a mute of that is not one of what the rule finds
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT key FROM dbops.review_schema('{rls.no_policy}')"), 'rls.no_policy:(unknown)', 'under a key of its own');
$locker->query_safe('ROLLBACK; BEGIN; LOCK TABLE pg_depend');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT count(*) > 30, count(*) FILTER (WHERE message LIKE 'could not be judged%') FROM dbops.review_settings()"),
	't|0', 'what needs nothing of it is judged, whoever has locked it');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT string_agg(DISTINCT split_part(check_name, '.', 1), ' ') FROM dbops.review_privileges() WHERE message LIKE 'could not be judged%'"),
	'privileges', 'what needs it is unknown');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT count(*) > 30 FROM dbops.review() WHERE message LIKE 'could not be judged%'"), 't', 'of all reviews');
$locker->query_safe('ROLLBACK; BEGIN; LOCK TABLE dbops.check_setting');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT key, severity FROM dbops.review_schema() WHERE check_name = 'review.choices' OR object = 'public.keyless' AND check_name = 'tables.no_primary_key' ORDER BY 1"),
	"review.choices:(unknown)|unknown\ntables.no_primary_key:public.keyless|warning", 'where nobody knows which rules are on, those run that are by default');
$locker->query_safe('ROLLBACK; BEGIN; LOCK TABLE keyless');
is($node->safe_psql('postgres', "SET statement_timeout = '60s'; SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%'), count(*) FILTER (WHERE object = 'public.keyless') > 0 FROM dbops.review_schema('{%}')"),
	'0|t', 'a table that is locked is reviewed as any other');
$locker->query_safe('ROLLBACK');
$locker->quit;

# ---- what was dropped since a transaction began has no name any more
$locker = $node->background_psql('postgres');
$node->safe_psql('postgres', 'CREATE TABLE parent (id int PRIMARY KEY); CREATE TABLE gone (a timestamp, b int REFERENCES parent); CREATE SCHEMA gone_too; GRANT CREATE ON SCHEMA gone_too TO open_door; GRANT SELECT ON gone TO PUBLIC');
$locker->query_safe('BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SELECT count(*) FROM pg_class');
$node->safe_psql('postgres', 'DROP TABLE gone, parent; DROP SCHEMA gone_too');
is($locker->query_safe("SELECT object, message FROM dbops.review_schema('{tables.%,types.%,foreign_keys.action%}') WHERE object ~ '^[0-9]|gone|parent' OR message LIKE 'could not be judged%' UNION ALL"
	  . " SELECT object, message FROM dbops.review_privileges('{privileges.%}') WHERE object ~ '^[0-9]|gone' OR message LIKE 'could not be judged%'"),
	'', 'and is not found');
$locker->quit;

# ---- on a standby
$node->backup('base');
my $standby = PostgreSQL::Test::Cluster->new('review_standby');
$standby->init_from_backup($node, 'base', has_streaming => 1);
$standby->start;
$node->wait_for_catchup($standby, 'replay', $node->lsn('write'));
is($standby->safe_psql('postgres', "SELECT count(*) FILTER (WHERE message LIKE 'could not be judged%'), count(*) FILTER (WHERE object = 'public.keyless') > 0 FROM dbops.review()"),
	'0|t', 'a standby reviews as its primary does');
$standby->stop;
$node->stop;

done_testing();
