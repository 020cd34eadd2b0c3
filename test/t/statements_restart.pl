# What is known of statements across a restart: pg_stat_statements keeps its
# figures, and so must what they are compared with and what has not come to the
# history yet, whatever becomes of either. TAP, because it takes restarts.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1);
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'pg_stat_statements, dbops'
    autovacuum = off
    CONF
$node->start;
$node->safe_psql('postgres', q{
	CREATE EXTENSION dbops;
	CREATE EXTENSION pg_stat_statements;
	CREATE TABLE counted (id int)});
my $kept = $node->data_dir . '/pg_stat/dbops.statements';

sub run_statement
{
	my ($times) = @_;

	$node->safe_psql('postgres', 'SELECT id FROM counted;' x $times);
	return;
}

# Its calls, as the history has them and what has not come there yet.
sub calls
{
	wait_for_home();
	return $node->safe_psql('postgres', q{
		SELECT dbops.sample_statements();
		SELECT coalesce(sum(calls), 0) FROM dbops.slow_queries(NULL, 'calls', now() - interval '1 hour') WHERE query = 'SELECT id FROM counted'});
}

sub wait_for_home
{
	$node->poll_query_until('postgres', q{SELECT count(*) >= 0 FROM dbops.slow_queries(1, 'mean', now() - interval '1 hour')})
	  or die 'there is no home database';
	return;
}

sub calls_are
{
	my ($expected, $name) = @_;

	is(calls(), "\n$expected", $name);
	return;
}

# what was seen and not written, and what nobody has seen
run_statement(30);
calls_are(30, 'the first look counts what happened since the server was started');
run_statement(20);
$node->restart;
run_statement(3);
calls_are(53, 'a restart loses nothing');
ok(!-e $kept, 'what was kept is removed when it has been read');

# figures that are reset between two looks are those of since then
$node->safe_psql('postgres', 'SELECT pg_stat_statements_reset()');
run_statement(7);
$node->restart;
calls_are(60, 'nor does one after a reset');

# figures that the server does not keep begin anew, though there are more of them than before
$node->append_conf('postgresql.conf', "pg_stat_statements.save = off\n");
$node->restart;
run_statement(100);
calls_are(160, 'figures that were not kept are not missed');
$node->append_conf('postgresql.conf', "pg_stat_statements.save = on\n");
$node->restart;
calls_are(160, 'nor made up');
run_statement(1);
calls_are(161, 'and they go on');

# a file of former times is not taken for what was compared last
$node->stop;
my $figures = $node->data_dir . '/pg_stat/pg_stat_statements.stat';
my $of_former_times = slurp_file($figures);
$node->start;
run_statement(1);
calls_are(162, 'a start');
$node->append_conf('postgresql.conf', "pg_stat_statements.save = off\n");
$node->restart;
$node->append_conf('postgresql.conf', "pg_stat_statements.save = on\n");
$node->stop;
open my $old, '>:raw', $figures or die "cannot write $figures: $!";
print $old $of_former_times;
close $old;
$node->start;
calls_are(162, 'figures of who knows when are nothing that has happened');
run_statement(2);
calls_are(164, 'what happens then is');

# what is not sound is not used
for my $damage (
	[ 'is torn', sub { substr($_[0], 0, -100) } ],
	[ 'has grown', sub { $_[0] . 'x' } ],
	[ 'is damaged', sub { substr($_[0], 100, 1) ^= 'x'; $_[0] } ],
	[ 'is of another version', sub { substr($_[0], 8, 1) ^= 'x'; $_[0] } ],
	[ 'is empty', sub { '' } ])
{
	my ($name, $spoil) = @$damage;

	my $before = calls() =~ s/\n//r;
	$node->stop;
	my $content = $spoil->(slurp_file($kept));
	open my $file, '>:raw', $kept or die "cannot write $kept: $!";
	print $file $content;
	close $file;
	my $offset = -s $node->logfile;
	$node->start;
	ok($node->log_contains(qr/LOG:  dbops cannot use "pg_stat\/dbops.statements" and goes on as if it were not there/, $offset), "a file that $name is not used");
	my $after = calls() =~ s/\n//r;
	cmp_ok($after, '<=', $before, 'and nothing is made up');
	run_statement(1);
	calls_are($after + 1, 'but what happens then is counted');
}

# a crash loses both, and what happens then counts
my $before = calls() =~ s/\n//r;
$node->safe_psql('postgres', q{SELECT pg_stat_statements_reset()});
run_statement(4);
calls_are($before + 4, 'looked at');
$node->append_conf('postgresql.conf', "restart_after_crash = on\n");
$node->reload;
my $offset = -s $node->logfile;
kill 'KILL', $node->safe_psql('postgres', q{SELECT pid FROM pg_stat_activity WHERE backend_type = 'checkpointer'});
$node->wait_for_log(qr/database system is ready to accept connections/, $offset);
$node->poll_query_until('postgres', 'SELECT true') or die 'it does not come back';
run_statement(9);
wait_for_home();
my $after = calls() =~ s/\n//r;
cmp_ok($after, '>=', 9, 'what happens after a crash counts');
cmp_ok($after, '<=', $before + 13, 'and nothing is made up');
run_statement(1);
calls_are($after + 1, 'nor later');

# a base backup has none of it
$node->backup('backup');
ok(!-e $node->backup_dir . '/backup/pg_stat/dbops.statements', 'a base backup has no such file');

# what a transaction wrote that is rolled back is not lost
$node->stop;
done_testing();
