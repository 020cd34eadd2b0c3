# Old partitions go, and new ones are made, while somebody reads or changes a table
# that they refer to: others who come to that table are not queued behind the run.
# What somebody renames after it was detached is not dropped. TAP and no isolation
# test, because a run that waits as it should waits for no lock.
use strict;
use warnings FATAL => 'all';

use IPC::Run;
use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

use FindBin;
use lib $FindBin::RealBin;
use CrashingServer;

my $node = start_server();

# One day for all that is made and done here: noon of 15 June 2041, a time in which the server's processes do not live.
my $now = 'to_timestamp(2254910400)';
$ENV{PGOPTIONS} = '-c dbops.test_now=2254910400 -c dbops.max_xmin_age=-1';
my $slow = $node->background_psql('postgres');

ask('CREATE TABLE customers (id int PRIMARY KEY, seen int); INSERT INTO customers VALUES (1), (2)');

sub make_orders
{
	my ($name) = @_;

	ask(qq{CREATE TABLE $name (at timestamptz, customer int REFERENCES customers) PARTITION BY RANGE (at);
		SELECT format('CREATE TABLE ${name}_%s PARTITION OF $name FOR VALUES FROM (%L) TO (%L)', what, d, d + interval '1 day')
		  FROM date_trunc('day', $now, 'UTC') t, LATERAL (VALUES ('old', t - interval '60 days'), ('new', t)) p(what, d) \\gexec
		INSERT INTO $name SELECT date_trunc('day', $now, 'UTC') - i * interval '59 days 1 hour', 1 FROM generate_series(0, 1) i;
		SELECT dbops.set_partitioning('$name', '1 day', '3 days', keep => '10 days', time_zone => 'UTC', schedule => '\@yearly', confirm => true)});
}

# One who has done something with the customers for longer than a second, behind whom nobody is queued.
sub begin_slow
{
	$slow->query_safe("BEGIN; $_[0]");
	$node->poll_query_until('postgres', "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE state = 'idle in transaction' AND xact_start < clock_timestamp() - interval '1 second')")
		or die 'no slow transaction';
}

# A run that has come to where it waits, whether as it should or for a lock.
sub start_run
{
	my ($name, $when) = @_;
	my $run = IPC::Run::start(['psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', "CALL dbops.run_partitioning('$name')"],
		'<', \undef, '>', \my $out, '2>', \my $err);

	$node->poll_query_until('postgres', qq{SELECT $when AND EXISTS (SELECT FROM pg_stat_activity
		WHERE query ~ '^CALL dbops.run_partitioning' AND state = 'active' AND wait_event IN ('Extension', 'relation'))})
		or die "the run does not wait: $err";
	return $run;
}

sub is_free
{
	my ($sql, $what) = @_;

	is($node->psql('postgres', "SET lock_timeout = '2s'; $sql"), 0, $what);
}

my $detached = "NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = 'NAME_old'::regclass)";

make_orders('orders');
begin_slow('SELECT count(*) FROM customers');
my $run = start_run('orders', $detached =~ s/NAME/orders/r);
is_free('SELECT count(*) FROM customers WHERE id = 2', 'a partition is to be dropped: who reads what it refers to does not wait');
is(ask("SELECT count(*) FROM orders_old"), '1', 'it is not dropped yet');
$slow->query_safe('COMMIT');
ok($run->finish, 'the run goes on');
is(ask("SELECT to_regclass('orders_old') IS NULL, count(*) FROM pg_inherits WHERE inhparent = 'orders'::regclass"), 't|4', 'it is dropped, and others are made');

make_orders('changed');
begin_slow('UPDATE customers SET seen = 1 WHERE id = 1');
$run = start_run('changed', 'true');
is_free('UPDATE customers SET seen = 2 WHERE id = 2', 'a partition is to be made: who changes what it refers to does not wait');
$slow->query_safe('COMMIT');
ok($run->finish, 'the run goes on');
is(ask("SELECT to_regclass('changed_old') IS NULL, count(*) FROM pg_inherits WHERE inhparent = 'changed'::regclass"), 't|4', 'it is made');

make_orders('kept');
begin_slow('SELECT count(*) FROM customers');
$run = start_run('kept', $detached =~ s/NAME/kept/r);
my $rename = IPC::Run::start(['psql', '-XAtq', '-d', $node->connstr('postgres'), '-c', 'ALTER TABLE kept_old RENAME TO kept_for_a_case'],
	'<', \undef, '>', \my $rename_out, '2>', \my $rename_err);
ok($rename->finish, 'somebody renames it');
$slow->query_safe('COMMIT');
ok($run->finish, 'the run goes on');
is(ask('SELECT count(*) FROM kept_for_a_case'), '1', 'what was renamed is not dropped');
is(ask("SELECT message FROM dbops.maintenance_report() WHERE object = 'public.kept_old' AND outcome = 'skipped'"),
	'another session has renamed it since it was detached, and it stays as a table', 'and the report says so');

$slow->quit;
$node->stop;
done_testing();
