# A deadlock storm: an application whose transactions update rows in the opposite
# order, and backfills of an ordinary owner over the same rows, by blocks with one
# worker and with two, and by key. Of hundreds of deadlocks the application loses
# none, however soon it looks for them, and no update is lost or made twice. TAP,
# because it takes pgbench and the server's log.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $rows = 2000;
my $clients = 16;
my $enough = 150;				# deadlocks
my $rounds = 3;					# of 2 s each, at most

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    log_statement = none
    dbops.progress_interval = 0
    CONF
$node->start;
$node->safe_psql(
	'postgres', qq{
	CREATE EXTENSION dbops;
	CREATE ROLE keeper LOGIN;
	SELECT dbops.grant_access('keeper', 'operator');
	CREATE TABLE t (id integer PRIMARY KEY, n integer NOT NULL, v integer NOT NULL) WITH (fillfactor = 50);
	INSERT INTO t SELECT i, 0, 0 FROM generate_series(1, $rows) i;
	ALTER TABLE t OWNER TO keeper;
	ANALYZE t});

# Each client has rows of its own, so that only the backfill can deadlock with it.
my $script = $node->basedir . '/storm.sql';
my $span = int($rows / $clients);
my $half = int($span / 2);
append_to_file($script, <<~"SQL");
    \\set low :client_id * $span + random(1, $half)
    \\set high :low + random(1, $half)
    BEGIN;
    UPDATE t SET n = n + 1 WHERE id = :high;
    \\sleep 5 ms
    UPDATE t SET n = n + 1 WHERE id = :low;
    COMMIT;
    SQL

storm('blocks, one worker', q{'v = NUMBER', verify => false});
storm('blocks, two workers', q{'v = NUMBER', verify => false, workers => 2});
storm('by key', q{'v = v + 1', method => 'keyset'});
unlike(slurp_file($node->logfile), qr/ERROR:  deadlock detected/, 'no session has been told of a deadlock');
$node->stop;
done_testing();

# Have both at work until they have met often, and count who has lost what.
sub storm
{
	my ($name, $arguments) = @_;
	my ($calls, $done, $lost) = (0, 0, 0);
	my $met = deadlocks();

	$node->safe_psql('postgres', 'UPDATE t SET n = 0, v = 0; VACUUM t');
	for my $round (1 .. $rounds)
	{
		my ($of_done, $of_lost) = round($round % 2 ? '100ms' : '1s', $arguments, \$calls);
		$done += $of_done;
		$lost += $of_lost;
		last if deadlocks() - $met >= $enough;
	}
	$met = deadlocks() - $met;
	note("$name: $calls backfills, $done transactions, $met deadlocks, of which the application lost $lost");
	cmp_ok($met, '>', 0, "$name: they met");
	is($lost, 0, "$name: the application has lost no transaction");
	is($node->safe_psql('postgres', 'SELECT sum(n) FROM t'), 2 * $done, "$name: none of its updates is lost");
	is($node->safe_psql('postgres', 'SELECT count(*), min(v), max(v) FROM t'), "$rows|$calls|$calls",
		"$name: the last of the backfills has changed each row; by key each of them has, once");
}

# One run of the application, with that deadlock_timeout, and backfills until it ends.
sub round
{
	my ($timeout, $arguments, $calls) = @_;
	my ($out, $err) = ('', '');

	local $ENV{PGOPTIONS} = "-c deadlock_timeout=$timeout";
	my $app = IPC::Run::start(
		[ 'pgbench', '-n', '-M', 'prepared', '-c', $clients, '-T', 2, '-f', $script, '-h', $node->host, '-p', $node->port, 'postgres' ],
		'>', \$out, '2>', \$err);
	delete $ENV{PGOPTIONS};
	while ($app->pumpable)
	{
		my $calls_of_psql = '';

		for (1 .. 5)
		{
			$$calls++;
			$calls_of_psql .= "CALL dbops.batched_backfill('t', " . $arguments =~ s/NUMBER/$$calls/r . ");\n";
		}
		$node->safe_psql('postgres', $calls_of_psql, extra_params => [ '-U', 'keeper' ]);
		$app->pump_nb;
	}
	$app->finish or die "pgbench failed: $err";
	unlike($err, qr/aborted/, 'no client was aborted');
	my ($done) = $out =~ /transactions actually processed: (\d+)/;
	my ($lost) = $out =~ /failed transactions: (\d+)/;
	return ($done, $lost);
}

sub deadlocks
{
	return $node->safe_psql('postgres', q{SELECT deadlocks FROM pg_stat_database WHERE datname = 'postgres'});
}
