# Health while somebody has locked a catalog against everything, each of them in
# turn, as LOCK, VACUUM FULL and REINDEX do: it answers at once, with unknown for
# what cannot be looked at, and the rest stands. In a server that has preloaded
# dbops, and in one that has not. TAP, because it takes sessions that hold locks,
# and two servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(time);

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    fsync = off
    autovacuum = off
    dbops.enabled = off
    dbops.health_max_age = 0
    CONF
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE EXTENSION pg_stat_statements;
	CREATE TABLE parted (at timestamptz NOT NULL) PARTITION BY RANGE (at);
	SELECT dbops.set_partitioning('parted', '1 day');
	CREATE TABLE kept (at timestamptz NOT NULL);
	SELECT dbops.set_retention('kept', 'at', '30 days', confirm => true);
	SELECT dbops.set_check('temp.rate', warning => 1)});

my @read_by_checks = qw(pg_cast pg_constraint pg_depend pg_extension pg_inherits pg_language pg_operator pg_partitioned_table
  pg_publication pg_rewrite pg_sequence pg_statistic pg_subscription pg_tablespace pg_trigger);

# In a session that has asked before: who has just connected needs the catalogs for itself.
sub hold_each
{
	my ($kind) = @_;
	my $all = q{SELECT count(DISTINCT check_name) || ' ' || count(*) FILTER (WHERE severity = 'unknown') FROM dbops.health_checks()};
	my $document = q{SELECT dbops.system_health_check() ->> 'status' IN ('healthy', 'warning', 'critical')};
	my $public = q{SELECT dbops.health_public() ->> 'status' IN ('healthy', 'warning', 'critical')};
	my @catalogs = split /\n/, $node->safe_psql('postgres', q{SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'pg_catalog'::regnamespace ORDER BY 1});
	my $holder = $node->background_psql('postgres');
	my $asker = $node->background_psql('postgres', on_error_stop => 0);

	$asker->query_safe($_) for ("SET statement_timeout = '20s'", $all, $document, $public);
	my ($checks) = split / /, $asker->query_safe($all);
	for my $catalog (@catalogs)
	{
		my $start = time;

		$holder->query_safe('BEGIN');
		$holder->query_safe("LOCK TABLE pg_catalog.$catalog IN ACCESS EXCLUSIVE MODE");
		my ($said, $unknown) = split / /, $asker->query($all);
		my ($t1) = time - $start;
		my $answers = $asker->query($document) . $asker->query($public);
		note sprintf("%s %s: %.1f s %.1f s, %s unknown", $kind, $catalog, $t1, time - $start, $unknown // '?');
		is(($said // '') . " $answers", "$checks tt", "$kind: health answers while $catalog is locked") or diag $asker->{stderr};
		$asker->{stderr} = '';
		ask_anew($kind, $catalog, $checks) if grep { $_ eq $catalog } @read_by_checks;
		$holder->query_safe('ROLLBACK');
	}
	$_->quit for ($holder, $asker);
	return;
}

# In a session that has just connected, where that gets so far as to call a function that looks at nothing.
sub ask_anew
{
	my ($kind, $catalog, $checks) = @_;
	my $connected = sub {
		my ($sql, $seconds) = @_;
		my $late = 0;
		my ($code, $out) = $node->psql('postgres', $sql, timeout => $seconds, timed_out => \$late);

		return ($late || $code) ? '' : $out;
	};

	return unless $connected->(q{SET statement_timeout = '1s'; SELECT check_name FROM dbops.check_list()}, 3);
	my $start = time;
	my %names = map { $_ => 1 } split /\n/, $connected->(q{SET statement_timeout = '20s'; SELECT check_name FROM dbops.health_checks()}, 30);
	note sprintf("%s %s anew: %.1f s", $kind, $catalog, time - $start);
	is(scalar(keys %names), $checks, "$kind: and who has just connected, while $catalog is locked");
	like($connected->(q{SET statement_timeout = '20s'; SELECT dbops.system_health_check()}, 30), qr/"status": "\w+"/, "$kind: with the document, while $catalog is locked");
	return;
}

hold_each('preloaded');
$node->append_conf('postgresql.conf', "shared_preload_libraries = ''");
$node->restart;
hold_each('not preloaded');

$node->stop;
done_testing();
