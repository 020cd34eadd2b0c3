# Migrations in steps without preloading: nothing begins by itself, and
# CALL run_job() does all of it in the session, which is afterwards as it was.
# TAP, because the other tests' server has dbops preloaded.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\nautovacuum = off");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE TABLE t AS SELECT 1 AS id, NULL::int AS v');

my $text = q{CREATE INDEX CONCURRENTLY t_id ON t (id);
SET search_path = nowhere, public;
CALL dbops.batched_backfill('t', 'v = id', 'v IS NULL');
DROP INDEX CONCURRENTLY missing};

my ($code, $out, $err) = $node->psql('postgres', "SELECT state, job_id FROM dbops.apply_migration('1', \$\$$text\$\$)");
is($out, 'submitted|1', 'a migration is submitted');
like($err, qr/job 1 will not begin by itself.*CALL dbops.run_job\(1\)/s, 'with a notice of who does it');

($code, $out, $err) = $node->psql('postgres', 'CALL dbops.run_job(1)');
like($err, qr/statement 4, line 4, DROP INDEX: index "missing" does not exist/, 'a statement fails');
is($node->safe_psql('postgres', q{SELECT concat_ws(' ', state, (SELECT count(*) FROM dbops.migration_step WHERE state = 'done')) FROM dbops.migration}),
	'failed 3', 'those before it are done');

$text =~ s/CONCURRENTLY missing/CONCURRENTLY IF EXISTS missing/;
$node->safe_psql('postgres', "SELECT dbops.apply_migration('1', \$\$$text\$\$)");
is($node->safe_psql('postgres', "SET lock_timeout = '7s'; CALL dbops.run_job(2); SHOW search_path; SHOW lock_timeout"),
	"\"\$user\", public\n7s", 'it goes on in a session, which is afterwards as it was');
is($node->safe_psql('postgres', q{SELECT concat_ws(' ', state, v, to_regclass('t_id')) FROM dbops.migration, t}), 'applied 1 t_id', 'and is applied');
done_testing();
