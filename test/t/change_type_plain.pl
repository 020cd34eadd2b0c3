# change_type() that needs to look at no row waits for its lock; who has the table
# meanwhile gives it an index, a constraint or another type. Then the server would
# write or read it all with everybody kept out: so the call ends instead, and made
# again it goes another way. TAP, because it takes sessions that meet.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use IPC::Run;
use Test::More;

my $node = start_server("fsync = off\ndbops.progress_interval = 0\n");
$node->safe_psql(
	'postgres', q{
	CREATE TABLE t (id int, v varchar(10)) PARTITION BY RANGE (id);
	CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);
	INSERT INTO t SELECT g, g FROM generate_series(0, 999) g});

meet('CREATE INDEX t1_lower ON t1 (lower(v))', 'an index of a partition');
$node->safe_psql('postgres', 'DROP INDEX t1_lower');
meet(q{ALTER TABLE t1 ADD CONSTRAINT ck CHECK (v <> 'bad')}, 'a constraint of a partition');
$node->safe_psql('postgres', 'ALTER TABLE t1 DROP CONSTRAINT ck');
meet('ALTER TABLE t ALTER v TYPE int USING v::int', 'another type');
$node->safe_psql('postgres', 'ALTER TABLE t ALTER v TYPE varchar(10)');
$node->safe_psql('postgres', q{CALL dbops.change_type('t', 'v', 'text')});
is($node->safe_psql('postgres', q{SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 't1'::regclass AND attname = 'v'}),
	'text', 'left alone, the call changes the type');

done_testing();

sub meet
{
	my ($statement, $what) = @_;
	my $other = $node->background_psql('postgres');
	my $before;
	my ($out, $err) = ('', '');

	# The call does not queue behind a transaction of that age, whose lock could else not grow.
	$other->query_safe('BEGIN; SELECT FROM t LIMIT 1; SELECT pg_sleep(2)');
	my $call = IPC::Run::start(
		[ 'psql', '-X', '-q', '-d', $node->connstr('postgres'), '-c', q{CALL dbops.change_type('t', 'v', 'text', max_wait => '1 min')} ],
		'<', \undef, '>', \$out, '2>', \$err, IPC::Run::timeout(120));
	$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.job WHERE kind = 'change' AND finished_at IS NULL})
	  or die 'no job';
	$other->query_safe($statement);
	$before = $other->query_safe(q{SELECT pg_relation_filenode('t1')});
	$other->query_safe('COMMIT');
	$other->quit;
	$call->finish;
	like($err, qr/ERROR:  column v of table public.t has been altered meanwhile/, "$what that comes while the call waits ends it");
	is(file(), $before, 'and nothing is written anew');
	return;
}

sub file
{
	return $node->safe_psql('postgres', q{SELECT pg_relation_filenode('t1')});
}
