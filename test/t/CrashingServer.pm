# A server for tests that kill its processes: it comes back by itself, and whoever
# asks it something meanwhile waits until it has.
package CrashingServer;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use Time::HiRes qw(usleep);

our @EXPORT = qw(start_server ask);

my $node;

# Start it, with settings besides those that crashes want.
sub start_server
{
	my ($settings) = @_;

	$node = PostgreSQL::Test::Cluster->new('main');
	$node->init;
	$node->append_conf('postgresql.conf', <<~"CONF" . ($settings // ''));
	    shared_preload_libraries = 'dbops'
	    autovacuum = off
	    restart_after_crash = on
	    CONF
	$node->start;
	$node->safe_psql('postgres', 'CREATE EXTENSION dbops');
	return $node;
}

# A psql that finds no server leaves before it has read its query, which the
# test would die of.
sub ask
{
	my ($sql) = @_;

	for (1 .. 600)
	{
		my ($code, $out);
		eval { $code = $node->psql('postgres', $sql, stdout => \$out) };
		return $out if defined $code && $code == 0;
		die "failed: $sql" if defined $code && $code == 3;
		usleep(100_000);
	}
	die "no answer: $sql";
}

1;
