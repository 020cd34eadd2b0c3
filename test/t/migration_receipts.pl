# What a migration is watched by does not come into the server's log: neither
# the messages at debug1 that it is told by, nor those of parallel workers, nor
# waits that are shorter than deadlock_timeout. And what would have come there,
# does. TAP, because the log is looked at.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    fsync = off
    autovacuum = off
    log_lock_waits = off
    log_statement = none
    log_min_messages = warning
    CONF
$node->start;
$node->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE t (id integer PRIMARY KEY);
	INSERT INTO t SELECT generate_series(1, 20000);
	CREATE FUNCTION speak(integer) RETURNS integer LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS $$
	BEGIN
		IF $1 % 1000 = 0 THEN
			RAISE DEBUG 'debug of a worker';
			RAISE NOTICE 'notice of a worker';
			RAISE LOG 'line of a worker';
		END IF;
		RETURN $1;
	END $$});

my $applied = 0;

# Apply a migration, and return what that has added to the log.
sub log_of
{
	my ($text, %options) = @_;
	my $offset = -s $node->logfile;

	$applied++;
	$node->safe_psql('postgres',
		($options{set} // '') . ";SELECT FROM dbops.apply_migration('V$applied', \$text\$ $text \$text\$)");
	return slurp_file($node->logfile, $offset);
}

my $change = q{
	DO $$ BEGIN RAISE DEBUG 'a debug'; RAISE NOTICE 'a notice'; RAISE WARNING 'a warning'; RAISE LOG 'a line'; END $$;
	ALTER TABLE t ADD COLUMN r float DEFAULT random()};
my $log = log_of($change);
unlike($log, qr/(DEBUG|NOTICE): /, 'what is below the level of the log stays out');
like($log, qr/WARNING:  a warning/, 'and what is not, does not');
like($log, qr/LOG:  a line/, 'nor what is for the log');

$change =~ s/COLUMN r/COLUMN r2/;
$log = log_of($change, set => 'SET log_min_messages = error');
unlike($log, qr/(DEBUG|NOTICE|WARNING): /, 'the level of the session holds');
$change =~ s/COLUMN r2/COLUMN r3/;
$log = log_of($change, set => 'SET log_min_messages = debug1');
like($log, qr/DEBUG:  rewriting table "t"/, 'who asks for the messages has them');
like($log, qr/DEBUG:  a debug/, 'also those of functions');

my $parallel = q{SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; SET min_parallel_table_scan_size = 0;
	DO $$ DECLARE n bigint; BEGIN SELECT count(*) INTO n FROM t WHERE speak(id) > 0; END $$};
$log = log_of($parallel);
like($log, qr/line of a worker/, 'workers write to the log');
unlike($log, qr/(DEBUG|NOTICE): /, 'but not what the session would not');

# a wait of another session's lock; longer than a watch looks, shorter than deadlock_timeout
my $holder = $node->background_psql('postgres', on_error_stop => 1);
sub log_of_wait
{
	my ($settings) = @_;
	my $offset = -s $node->logfile;

	$applied++;
	$holder->query_safe('BEGIN; SELECT FROM t LIMIT 1');
	my $waiter = $node->background_psql('postgres', on_error_stop => 1);
	$waiter->query_until(
		qr/begun/,
		"\\echo begun\n$settings; SELECT 'waited ' || (waited > '40 ms') FROM dbops.apply_migration('V$applied', "
		  . "'ALTER TABLE t ADD COLUMN c$applied integer', lock_timeout => '1 minute') WHERE step = 1;\n\\echo done\n");
	$node->poll_query_until('postgres',
		q{SELECT count(*) = 1 FROM pg_locks WHERE NOT granted AND now() - waitstart > '50 ms'}) or die 'nobody waits';
	$holder->query_safe('COMMIT');
	$waiter->{timeout}->start(60);
	$waiter->{run}->pump until $waiter->{stdout} =~ /done/ || $waiter->{timeout}->is_expired;
	like($waiter->{stdout}, qr/waited true/, 'the wait is in the receipt');
	$waiter->quit;
	return slurp_file($node->logfile, $offset);
}
unlike(log_of_wait('SET log_lock_waits = off'), qr/still waiting|acquired/, 'waits are logged only where that is on');
unlike(log_of_wait("SET log_lock_waits = on; SET deadlock_timeout = '1 h'"),
	qr/still waiting|acquired/, 'and when they are as long as was asked for');
like(log_of_wait("SET log_lock_waits = on; SET deadlock_timeout = '20 ms'"), qr/acquired AccessExclusiveLock/, 'those that are come there');
$holder->quit;

$node->stop;
done_testing();
