# Servers of tests that kill their processes: they come back by themselves, and
# whoever asks meanwhile waits until they have.
package CrashingServer;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use PostgreSQL::Test::Cluster;
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

# Kill a process of a server with restart_after_crash; returns when all others have
# ended with it and the server is back. Who asked before the postmaster has noticed
# would be answered, and cut off later.
sub crash_server
{
	my ($server, $pid) = @_;
	my $before = checkpointer($server);

	kill('KILL', $pid) == 1 or die "there is no process $pid";
	for (1 .. 1800)
	{
		my $now = checkpointer($server);

		return if $now ne '' && $now ne $before;
		usleep(100_000);
	}
	die 'the server did not come back';
}

# Its checkpointer, which is another one after a crash; empty while there is none.
sub checkpointer
{
	my ($server) = @_;
	my ($pid, $error);

	eval { $server->psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'}, stdout => \$pid, stderr => \$error) };
	return $pid // '';
}

1;
