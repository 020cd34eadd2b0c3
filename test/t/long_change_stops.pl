# Changes in steps that are cancelled, or whose job is paused, at each of their
# statements: a call that is cancelled says so, and the same call again completes
# it; one whose job is paused stands still, and goes on when that is resumed. At the
# end all is as if nobody had stopped it. TAP, because it takes two sessions, and as
# many rounds as there are statements.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use StoppedCall;
use StoppedColumn;
use Test::More;
use Time::HiRes qw(usleep);

start_columns(q{shared_preload_libraries = 'dbops'});
my ($rename) = changes();
my $table = $rename->{setup};
my @calls = (
	['rename_column', $table, $rename->{call}],
	['finish_change', "$table; $rename->{call}", $rename->{finish}],
	['add_unique', $table, q{CALL dbops.add_unique('t', '{wrote}')}],
	['create_index', $table, q{CALL dbops.create_index('CREATE INDEX t_wrote ON t (wrote)')}],
	['drop_index', $table, q{CALL dbops.drop_index('t_a')}]);

for my $each (@calls)
{
	my ($name, $setup, $call) = @$each;
	my $goal = catalog($setup, $call);
	my $at = 0;

	while (is_stopped_by(\&cancel, $setup, $call, ++$at))
	{
		ask($call);
		is(catalog(), $goal, "$name, cancelled at $at: the same call completes it");
		is(wrong(), 0, "$name, cancelled at $at: all rows are right");
	}
	cmp_ok($at, '>', 1, "$name was cancelled");
	$at = 0;
	while (is_stopped_by(\&pause, $setup, $call, ++$at))
	{
		await_jobs();
		is(catalog(), $goal, "$name, paused at $at: it goes on");
		is(wrong(), 0, "$name, paused at $at: all rows are right");
	}
	cmp_ok($at, '>', 1, "$name was paused");
}
done_testing();

# Stop a call at the statement of a number by what is done then; false: it has come
# to its end.
sub is_stopped_by
{
	my ($stop, $setup, $call, $at) = @_;

	my $session = begin_call("$setup; DELETE FROM dbops.job", $call, $at);
	my $stopped = has_stopped();

	$stop->() if $stopped;
	eval { $session->quit };
	return $stopped;
}

sub cancel
{
	my $pid = stopped();

	ask("SELECT pg_cancel_backend($pid)");
	await(qq{SELECT count(*) FROM pg_stat_activity WHERE pid = $pid AND state = 'active'});
	return;
}

# The statement in work is let go on, by a sleep that ends. Its job stands still
# before the next one, unless it was the last.
sub pause
{
	my $job = ask(q{SELECT id FROM dbops.job WHERE finished_at IS NULL});
	my $pid = stopped();

	ask("SELECT dbops.pause_job($job)");
	let_go();
	await(qq{SELECT count(*) FROM dbops.job WHERE id = $job AND state = 'running'});
	ask("SELECT dbops.resume_job(id) FROM dbops.job WHERE id = $job AND state = 'paused'");
	return;
}

sub await_jobs
{
	await(q{SELECT count(*) FROM dbops.job WHERE finished_at IS NULL});
	return;
}

# Wait until there is none.
sub await
{
	my ($count) = @_;

	for (1 .. 1200)
	{
		return if ask($count) eq '0';
		usleep(50_000);
	}
	die "does not end: $count";
}
