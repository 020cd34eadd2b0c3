# finish_change and abort_change, killed at each of their statements while rows are
# written by the old and by the new name: the same call again, or the command that
# unfinished_changes() names, completes each, no write is lost, and the catalog is as
# after a call that nobody has killed. TAP, because servers crash.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use StoppedColumn;
use Test::More;

start_columns(q{shared_preload_libraries = ''});

for my $change (changes())
{
	for my $call ($change->{finish}, 'CALL dbops.abort_change(1)')
	{
		my $setup = "$change->{setup}; $change->{call}";
		my $goal = catalog($setup, $call);
		my $at = 0;
		my $name;

		while ($name = "$change->{name}, $call, killed at " . ++$at, is_killed($setup, $call, $at))
		{
			complete($name, $call, $at);
			is(catalog(), $goal, "$name: all is as if nobody had killed it");
			is(wrong(), 0, "$name: no write is lost");
		}
		cmp_ok($at, '>', 3, "$change->{name}, $call was killed");
		is(catalog(), $goal, "$change->{name}, $call, not killed");
	}
}
done_testing();
