# Changes in steps are killed at each of their statements, before it and behind it,
# and in the middle of a concurrent build: the same call again completes each, and
# nothing half done is left. So do the processes in the background by themselves,
# for a call whose session is gone and for what they were given. A prepared
# transaction holds up a build. TAP, because servers crash.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use StoppedCall;
use Test::More;
use Time::HiRes qw(usleep);

my $node = start_server(<<~'CONF');
    max_prepared_transactions = 4
    deadlock_timeout = 10ms
    dbops.progress_interval = 0
    CONF

prepare_stops($node);

# The calls: what each is made on, and what is there when it is done.
my $table = q{
	DROP TABLE IF EXISTS t, r CASCADE;
	CREATE TABLE r (id int PRIMARY KEY);
	INSERT INTO r SELECT generate_series(0, 9);
	CREATE TABLE t (id int PRIMARY KEY, a int, b text);
	INSERT INTO t SELECT g, g % 10, 'b' || g FROM generate_series(1, 2000) g};
my $index = 'CREATE INDEX t_a ON t (a)';
my $attribute = q{SELECT %s FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = '%s'};
my $constraint = q{SELECT count(*) = 1 FROM pg_constraint WHERE conrelid = 't'::regclass AND contype = '%s' AND convalidated};
my @calls = (
	['create_index', $table, "dbops.create_index('$index')", q{SELECT to_regclass('t_a') IS NOT NULL}],
	['drop_index', "$table; $index", q{dbops.drop_index('t_a')}, q{SELECT to_regclass('t_a') IS NULL}],
	['set_not_null', $table, q{dbops.set_not_null('t', 'a')}, sprintf($attribute, 'attnotnull', 'a')],
	['set_not_null with fill', "$table; UPDATE t SET a = NULL WHERE id > 1000", q{dbops.set_not_null('t', 'a', fill => '7')},
		sprintf($attribute, q{attnotnull AND (SELECT count(*) = 1100 FROM t WHERE a = 7)}, 'a')],
	['add_column', $table, q{dbops.add_column('t', 'made', 'double precision', 'random()', not_null => true, with_index => true)},
		sprintf($attribute, q{attnotnull AND (SELECT count(*) = 2 FROM pg_index WHERE indrelid = 't'::regclass)}, 'made')],
	['add_check_constraint', $table, q{dbops.add_check_constraint('t', 'a < 10')}, sprintf($constraint, 'c')],
	['add_foreign_key', $table, q{dbops.add_foreign_key('t', '{a}', 'r')}, sprintf($constraint, 'f')],
	['add_unique', $table, q{dbops.add_unique('t', '{b}')}, sprintf($constraint, 'u')],
	['drop_column', $table, q{dbops.drop_column('t', 'b')}, q{SELECT count(*) = 2 FROM pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped}]);

# What must not be left.
my $left = q{
	SELECT coalesce(string_agg(what, ', '), 'nothing') FROM (
		SELECT 'index ' || indexrelid::regclass FROM pg_index WHERE NOT indisvalid
		UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE NOT convalidated AND connamespace = 'public'::regnamespace
		UNION ALL SELECT 'constraint ' || conname FROM pg_constraint WHERE conname ~ 'dbops' AND connamespace = 'public'::regnamespace
		UNION ALL SELECT 'trigger ' || tgname FROM pg_trigger WHERE tgname ~ '^dbops'
		UNION ALL SELECT 'column ' || attname FROM pg_attribute WHERE attrelid = 't'::regclass AND attname ~ '^dbops'
		UNION ALL SELECT 'job ' || id FROM dbops.job WHERE finished_at IS NULL) _ (what)};

sub is_complete
{
	my ($goal, $name) = @_;

	is(ask("$goal; $left"), "t\nnothing", "$name: it is complete, and nothing is left");
	return;
}

# Kill a call at the statement of a number; false: it has come to its end.
sub is_killed
{
	my ($setup, $call, $at) = @_;

	my $session = begin_call("$setup; DELETE FROM dbops.job", $call, $at);
	my $stopped = has_stopped();

	crash_server($node, stopped()) if $stopped;
	eval { $session->quit };
	return $stopped;
}

# Jobs go on by themselves when the server is back.
sub wait_for_jobs
{
	for (1 .. 1200)
	{
		return if ask('SELECT count(*) FROM dbops.job WHERE finished_at IS NULL') eq '0';
		usleep(50_000);
	}
	die 'a job does not end';
}

# By the same call, and in the background, in turn.
for my $each (@calls)
{
	my ($name, $setup, $call, $goal) = @$each;
	my $at = 0;

	while (is_killed($setup, "CALL $call", ++$at))
	{
		$at % 2 ? ask("CALL $call") : wait_for_jobs();
		is_complete($goal, "$name, killed at $at");
	}
	cmp_ok($at, '>', 1, "$name was killed");
	is_complete($goal, "$name, not killed");
}

# The processes in the background are killed themselves.
for my $each (@calls[0, 1])
{
	my ($name, $setup, $call, $goal) = @$each;
	my $at = 0;
	(my $start = "SELECT $call") =~ s/dbops\./dbops.start_/;

	while (is_killed($setup, $start, ++$at))
	{
		wait_for_jobs();
		is_complete($goal, "start_$name, killed at $at");
	}
	cmp_ok($at, '>', 1, "start_$name was killed");
	is_complete($goal, "start_$name, not killed");
}

# In the middle of a build: an invalid index is left.
for my $each (grep { $_->[0] =~ /^(create_index|drop_index|add_unique)$/ } @calls)
{
	my ($name, $setup, $call, $goal) = @$each;

	my $session = begin_call("$setup; DELETE FROM dbops.job; BEGIN; LOCK TABLE t IN ROW EXCLUSIVE MODE; PREPARE TRANSACTION 'in the way'", "CALL $call", 0);
	for (1 .. 1200)
	{
		last if ask('SELECT count(*) FROM pg_index WHERE NOT indisvalid') ne '0';
		usleep(50_000);
	}
	crash_server($node, ask(q{SELECT pid FROM pg_stat_activity WHERE query LIKE 'CALL dbops.%' AND state = 'active'}));
	eval { $session->quit };
	ask(q{COMMIT PREPARED 'in the way'});
	ask("CALL $call");
	is_complete($goal, "$name, killed in the middle");
}
done_testing();
