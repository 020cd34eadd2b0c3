# The functions of the server that dbops asks instead of keeping tables of its
# own: lock levels, proofs, volatility, coercion. An extension can call what the
# server's program exports, so that is looked up there; and a hook for its
# messages must be there, too. TAP, because SQL does not see a program's symbols.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Utils;
use Test::More;

my ($bindir, $refused) = run_command([ 'pg_config', '--bindir' ]);
my ($symbols, $error) = eval { run_command([ 'nm', '-D', '--defined-only', "$bindir/postgres" ]) };
plan skip_all => 'nm cannot read the symbols of this server' unless ($symbols // '') =~ / T /;

my %exported = map { $_ => 1 } $symbols =~ /^[0-9a-f]+ [TBDR] (\w+)/mg;
for my $symbol (
	qw(AlterTableGetLockLevel cookDefault contain_volatile_functions_after_planning
	coerce_to_target_type expression_planner DomainHasConstraints
	TimestampTimestampTzRequiresRewrite predicate_implied_by
	PartConstraintImpliedByRelConstraint raw_parser LockHasWaiters
	GetBlockerStatusData pgWalUsage enable_timeout_after
	emit_log_hook ProcessUtility_hook DeadlockTimeout))
{
	ok($exported{$symbol}, "the server exports $symbol");
}
done_testing();
