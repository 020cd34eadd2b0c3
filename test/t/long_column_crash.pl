# rename_column, change_type and sync_columns, killed at each of their statements
# while rows are written by the old and by the new name: the same call again, or the
# command that unfinished_changes() names, completes each, no write is lost, and the
# catalog is as after a call that nobody has killed. And each may be taken back
# instead. Without processes in the background, which would complete them before
# anybody looks. TAP, because servers crash.
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
	my $before = catalog($change->{setup});
	my $goal = catalog($change->{setup}, $change->{call});
	my $at = 0;

	while (is_killed($change->{setup}, $change->{call}, ++$at))
	{
		my $name = "$change->{name}, killed at $at";

		if ($at % 3 == 0)
		{
			take_back($name);
			is(catalog(), $before, "$name: nothing is left when it is taken back");
			next;
		}
		complete($name, $change->{call}, $at);
		is(catalog(), $goal, "$name: all is there, and nothing else");
		is(wrong(), 0, "$name: no write is lost");
	}
	cmp_ok($at, '>', 10, "$change->{name} was killed");
	is(catalog(), $goal, "$change->{name}, not killed");
	is(wrong(), 0, "$change->{name}, not killed: no write is lost");
}
done_testing();
