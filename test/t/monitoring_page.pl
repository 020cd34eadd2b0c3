# doc/monitoring.md, typed by somebody who reads it from the top: each statement
# and each piece of shell in it runs on a fresh server, as does what the README
# says of monitoring. TAP, because it takes a server that nobody has prepared, with
# what the page supposes to be there: an anonymous role, a migration, a table of
# figures, a table with an index.
use strict;
use warnings FATAL => 'all';

use FindBin;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $top = "$FindBin::RealBin/../..";
my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'pg_stat_statements, dbops'\nautovacuum = off\n");
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION pg_stat_statements;
	CREATE EXTENSION dbops;
	CREATE ROLE anon;
	CREATE TABLE orders (id int PRIMARY KEY, customer int);
	CREATE INDEX orders_customer_idx ON orders (customer);
	CREATE TABLE orders_a_day AS SELECT now() - i * interval '1 day' AS day, 1000.0 - i AS orders FROM generate_series(1, 30) i;
	SELECT dbops.apply_migration('042', 'CREATE TABLE answers (answer int)', 'DROP TABLE answers')});
$node->poll_query_until('postgres', q{SELECT samples > 0 FROM dbops.collector_status()}) or die 'nobody samples';
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';

# What is meant to be typed: blocks that are indented, and statements in a line of
# text, with the number of the line.
sub pieces
{
	my ($file, $from, $to) = @_;
	my @lines = split /\n/, slurp_file("$top/$file");
	my (@pieces, $inside, $block);

	for my $i (0 .. $#lines)
	{
		$inside = $lines[$i] =~ /^\Q$from\E/ ? 1 : $lines[$i] =~ /^\Q$to\E/ ? 0 : $inside if $from;
		next if $from && !$inside;
		if ($lines[$i] =~ /^ {4}(.*)/)
		{
			push @pieces, $block = [ $i + 1, '' ] if !$block;
			$block->[1] .= "$1\n";
			next;
		}
		$block = undef;
		push @pieces, [ $i + 1, "$1;\n" ] while $lines[$i] =~ /`(SELECT [^`]*dbops\.[^`]*?);?`/g;
	}
	return @pieces;
}

# Type it; what psql or the shell objects to.
sub complaints
{
	my ($piece) = @_;
	my ($out, $err);

	if ($piece =~ /\bpsql -X/)
	{
		my $directory = PostgreSQL::Test::Utils::tempdir();

		$piece =~ s{/var/lib/node_exporter}{$directory}g;
		IPC::Run::run([ 'bash', '-c', $piece ], '>', \$out, '2>', \$err);
		return $err;
	}
	$piece =~ s/ …;/ LANGUAGE sql AS '';/g;
	$node->psql('postgres', $piece, stdout => \$out, stderr => \$err, on_error_stop => 0);
	return join "\n", grep { /ERROR|FATAL|invalid command/ } split /\n/, $err;
}

for my $page ([ 'doc/monitoring.md' ], [ 'README.md', '## Observe', '## Change' ])
{
	my $typed = 0;

	for my $piece (pieces(@$page))
	{
		my ($line, $text) = @$piece;

		next if $text =~ /^\{/;    # what a listener gets
		is(complaints($text), '', "$page->[0], line $line");
		$typed++;
	}
	cmp_ok($typed, '>', 5, "$page->[0] has something to type");
}

# what a listener gets has the members that the page shows
my ($payload) = slurp_file("$top/doc/monitoring.md") =~ /^ {4}(\{"level".*?\})$/ms;
my @shown = $payload =~ /"(\w+)": /g;
$node->safe_psql('postgres', q{SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.page', 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding])});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.alert_history() WHERE alert_key = 'regress.page'}) or die 'nothing is told';
is( $node->safe_psql('postgres', "SELECT payload ?& '{" . join(',', @shown) . "}' FROM dbops.alert_history() WHERE alert_key = 'regress.page'"),
	't', "a payload has @shown");

# the exit codes of the wrapper for Nagios
my ($wrapper) = slurp_file("$top/doc/monitoring.md") =~ /^( {4}line=.*?esac)$/ms;
for my $state ([ 'connections.used', 0 ], [ 'regress.nothing', 3 ])
{
	(my $script = $wrapper) =~ s/disk\.free/$state->[0]/;
	IPC::Run::run([ 'bash', '-c', $script ], '>', \my $out, '2>', \my $err);
	is($? >> 8, $state->[1], "the wrapper ends with $state->[1] for $state->[0]");
}

done_testing();
