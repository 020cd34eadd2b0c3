# What stands in memory of the checks of many databases: nobody who asks has to
# judge the catalogs of his database himself, since when a finding is as it is
# stays known, and who changes a check sees what follows from it at once. Where
# more databases are in use than there is room for samples, that is told, and what
# is counted goes on. TAP, because it takes more databases than one test may leave
# behind, a scheduler and a session in each.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $most = 66;
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    max_connections = 100
    fsync = off
    autovacuum = off
    dbops.heartbeat = 0
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE EXTENSION pg_stat_statements; CREATE DATABASE pattern');
$node->safe_psql('pattern', 'CREATE EXTENSION dbops; CREATE SEQUENCE near_end MAXVALUE 100; SELECT setval(\'near_end\', 60)');
my @databases = map { "tenant_$_" } 1 .. $most;
for my $database (@databases)
{
	$node->safe_psql('postgres', "CREATE DATABASE $database TEMPLATE pattern STRATEGY file_copy");
	$node->safe_psql($database, 'SELECT dbops.adopt_database()');
}

# Whether what needs catalogs was judged before this session began; ages are rounded.
my $served = q{SELECT clock_timestamp() - make_interval(secs => (h->'freshness'->>'checks_age_s')::float8) < a.backend_start - interval '20 ms'
	FROM dbops.system_health_check() h, pg_stat_activity a WHERE a.pid = pg_backend_pid()};
my $since = q{SELECT count(*) FILTER (WHERE f.data->>'since' IS NULL) FROM dbops.health_checks() f JOIN dbops.check_list() l USING (check_name)
	WHERE l.reach = 'catalog' };

for my $database ('postgres', @databases)
{
	$node->poll_query_until($database, $served) or die "nobody has judged $database";
}
is(join(' ', grep { $node->safe_psql($_, $served) ne 't' } 'postgres', @databases), '', 'what needs catalogs is served from memory in all databases');
is(join(' ', grep { $node->safe_psql($_, $since) ne '0' } 'postgres', @databases), '', 'and it is known since when it is so');
like($node->safe_psql('tenant_1', q{SELECT dbops.nagios('sequences.exhaustion')}), qr/^OK - sequences\.exhaustion: .*'sequences\.exhaustion'=59\.60%;75;90$/, 'one check is told in full');

# what the sizes of all come to is that of all, and each is listed
$node->safe_psql('postgres', 'SELECT dbops.measure_sizes()');
$node->poll_query_until('postgres', q{SELECT abs(value - (SELECT sum(pg_database_size(oid)) FROM pg_database)) < 0.05 * value FROM dbops.metrics() WHERE name = 'databases.bytes'})
  or die 'the databases were not measured';
is($node->safe_psql('postgres', q{SELECT count(*) FROM pg_database d LEFT JOIN dbops.disk_usage() u ON u.kind = 'database' AND u.name = d.datname WHERE u.name IS NULL}), '0', 'disk_usage() lists them all');

# who changes a check sees it at once, in every session, and its alert need not wait for the next round
my $severity = q{SELECT coalesce((SELECT c->>'severity' FROM jsonb_array_elements(dbops.system_health_check()->'checks') c WHERE c->>'check_name' = 'sequences.exhaustion'), 'ok')};
my $state = q{SELECT coalesce((SELECT state FROM dbops.alerts() WHERE check_name = 'sequences.exhaustion'), 'none')};
is($node->safe_psql('tenant_2', $severity), 'ok', 'a sequence is not near its end by the shipped threshold');
$node->safe_psql('tenant_2', q{SELECT dbops.set_check('sequences.exhaustion', warning => 50, critical => 70, duration => '0 s')});
is($node->safe_psql('tenant_2', $severity), 'warning', 'by another it is');
like($node->safe_psql('tenant_2', q{SELECT dbops.nagios('sequences.exhaustion')}), qr/^WARNING - .*=59\.60%;50;70$/, 'also for one check alone');
is($node->safe_psql('tenant_3', $severity), 'ok', 'but not in another database');
ok($node->poll_query_until('tenant_2', $state, 'firing'), 'the alert is raised');
ok($node->poll_query_until('tenant_2', $served), 'and what was judged by the new threshold is served');
is($node->safe_psql('tenant_2', $severity), 'warning', 'as it is');
$node->safe_psql('tenant_2', q{SELECT dbops.reset_check('sequences.exhaustion')});
is($node->safe_psql('tenant_2', $severity), 'ok', 'with the shipped threshold it is ok again');
ok($node->poll_query_until('tenant_2', $state, 'none'), 'and the alert ends');

# of many sequences, by the size of their catalog, a session is told what was found in the background
my $near_end = q{SELECT severity FROM dbops.health_checks() WHERE check_name = 'sequences.exhaustion'};
$node->safe_psql('tenant_4', q{DO $$ BEGIN FOR i IN 1 .. 1500 LOOP UPDATE pg_sequence SET seqcache = seqcache; END LOOP; END $$; SELECT setval('near_end', 95)});
is($node->safe_psql('tenant_4', $near_end), 'ok', 'the pages of many sequences are not read by each session');
is($node->safe_psql('tenant_4', "SET dbops.health_max_age = 0; $near_end"), 'critical', 'unless it asks for what is so now');

# more databases in use than there is room for samples
my %sessions = map { $_ => $node->background_psql($_) } @databases;
ok($node->poll_query_until('postgres', q{SELECT severity || ' ' || (message ~ '^\d+ databases? (is|are) in use beside the 64') FROM dbops.health_checks() WHERE check_name = 'collector.databases'}, 'warning true'),
	'that of some databases in use no samples are kept is told');
my $has_samples = q{SELECT count(*) > 0 FROM dbops.metrics() WHERE database = current_database()};
my @crowded = grep { $sessions{$_}->query_safe($has_samples) eq 'f' } @databases;
cmp_ok(scalar(@crowded), '>=', 2, 'there are no samples of more than 64');
my $reason = q{SELECT severity || ': ' || message FROM dbops.health_checks() WHERE check_name = 'database.deadlocks'};
is(join(' ', grep { $sessions{$_}->query_safe($reason) ne 'unknown: 64 other databases are in use, and samples of more are not kept' } @crowded), '', 'each of the others says so itself');

# statements of all of them are counted, and no count ever falls
my %crowded = map { $_ => 1 } @crowded;
my ($sampled) = grep { !$crowded{$_} } @databases;
my $last = 0;
for my $look (1 .. 3)
{
	$sessions{$sampled}->query_safe('SELECT 1') for 1 .. 20;
	$sessions{$_}->query_safe('SELECT 1') for @databases;
	$node->safe_psql('postgres', 'SELECT dbops.sample_statements(), dbops.sample_server()');
	my $calls = $sessions{$sampled}->query_safe(q{SELECT value FROM dbops.metrics() WHERE database = current_database() AND name = 'statements.calls'});
	cmp_ok($calls, '>=', $last + 20, "no statement is lost from the count at look $look");
	$last = $calls;
}
$_->quit for values %sessions;

$node->stop;
done_testing();
