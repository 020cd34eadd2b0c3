# Servers of tests that kill their processes: they come back by themselves, and
# whoever asks meanwhile waits until they have.
package CrashingServer;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Time::HiRes qw(usleep);

our @EXPORT = qw(start_server ask crash_server);

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
# test would die of. One that is cut off may say that its statement failed.
sub ask
{
	my ($sql) = @_;

	for (1 .. 600)
	{
		my ($code, $out, $error);
		eval { $code = $node->psql('postgres', $sql, stdout => \$out, stderr => \$error) };
		return $out if defined $code && $code == 0;
		die "failed: $sql\n$error" if defined $code && $code == 3 && $error !~ /server closed the connection/;
		usleep(100_000);
	}
	die "no answer: $sql";
}

# Kill a process of a server with restart_after_crash; returns when all others have
# ended with it and the server is back, as its log says. Who asked before the
# postmaster has noticed would be answered, and cut off later.
sub crash_server
{
	my ($server, $pid) = @_;
	my $written = -s $server->logfile;

	kill('KILL', $pid) == 1 or die "there is no process $pid";
	for (1 .. 18_000)
	{
		return if slurp_file($server->logfile, $written) =~ /database system is ready to accept connections/;
		usleep(10_000);
	}
	die 'the server did not come back';
}

1;
