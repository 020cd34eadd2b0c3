# What a deployer is told who has to wait: for another one who works on the same
# project, and for a session that has locked a table. TAP, because what is told
# names processes, and because who waits is queued for no lock, by which other
# kinds of tests would see that.
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
    CONF
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops; CREATE TABLE first_table (id integer); CREATE TABLE second_table (id integer)');

my $one = $node->background_psql('postgres');
my $two = $node->background_psql('postgres', on_error_stop => 0);
my $pid = $one->query_safe(q{SET application_name = 'the first'; SELECT pg_backend_pid()});
$two->query_safe(q{SET application_name = 'the second'});

# Let the second deployer begin; returns when it naps and has no lock on the tables.
sub begin_second
{
	my ($call) = @_;

	$two->query_until(qr/begun/, "\\echo begun\n$call;\n\\echo ended\n");
	$node->poll_query_until(
		'postgres', q{
		SELECT count(*) = 1 FROM pg_stat_activity a
		 WHERE application_name = 'the second' AND wait_event_type = 'Extension'
		   AND NOT EXISTS (SELECT FROM pg_locks l WHERE l.pid = a.pid AND l.relation::regclass::text LIKE '%_table')})
	  or die 'the second deployer does not wait';
	return;
}

# What it was told since, when it has ended.
sub end_second
{
	my $out = $two->query_until(qr/ended/, '');
	my $told = $two->{stderr};

	$two->{stderr} = '';
	return ($out, $told);
}

# Another one works on the project.
$one->query_safe(q{BEGIN; SELECT dbops.apply_migration('001', 'CREATE TABLE made (id integer)')});
begin_second(q{SELECT state FROM dbops.apply_migration('001', 'CREATE TABLE made (id integer)')});
$one->query_safe('COMMIT');
my ($out, $told) = end_second();
like($out, qr/already applied/, 'who has waited finds the migration applied');
like($told, qr/NOTICE:  migration "001" waits for another session that works on project "default"/, 'that it waits is told');
like($told, qr/DETAIL:  Process $pid \(the first\) holds it, in a transaction since [-+: 0-9]+, idle in transaction: SELECT dbops\.apply_migration/,
	'and for whom, since when and what that does');

# It gives up.
$one->query_safe(q{BEGIN; SELECT dbops.apply_migration('002', 'SELECT 1')});
my ($result, $stdout, $stderr) = $node->psql('postgres', q{SELECT dbops.apply_migration('003', 'SELECT 1', max_wait => '100 ms')});
isnt($result, 0, 'who does not want to wait longer is refused');
like($stderr, qr/ERROR:  another session works on project "default"\nDETAIL:  Process $pid .*\nHINT:  Call again/, 'and told for whom');

# A cancel ends the wait.
begin_second(q{SELECT state FROM dbops.apply_migration('003', 'SELECT 1')});
$node->safe_psql('postgres', q{SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE application_name = 'the second'});
($out, $told) = end_second();
like($told, qr/canceling statement due to user request/, 'the wait can be cancelled');
$one->query_safe('COMMIT');

# A table is locked.
$one->query_safe('BEGIN; SELECT * FROM second_table');
begin_second(q{SELECT state FROM dbops.apply_migration('004', 'ALTER TABLE first_table ADD a integer; ALTER TABLE second_table ADD a integer', lock_timeout => '50 ms')});
is($node->safe_psql('postgres', q{SET lock_timeout = '60 s'; SELECT count(*) FROM first_table}), 0, 'others get at what the migration had locked');
$one->query_safe('COMMIT');
($out, $told) = end_second();
like($out, qr/applied/, 'it is applied when the table is free');
like($told, qr/NOTICE:  migration "004" has given back its locks and will try again: canceling statement due to lock timeout/, 'that it waits is told');
like($told, qr/DETAIL:  Process $pid \(the first\) holds it, in a transaction since .*, idle in transaction: SELECT \* FROM second_table/, 'and for whom');
is(() = $told =~ /NOTICE/g, 1, 'once');

# It gives up, and nothing stays.
$one->query_safe('BEGIN; SELECT * FROM second_table');
($result, $stdout, $stderr) = $node->psql('postgres',
	q{SELECT dbops.apply_migration('005', 'ALTER TABLE first_table ADD b integer; ALTER TABLE second_table ADD b integer', lock_timeout => '50 ms', max_wait => '200 ms')});
isnt($result, 0, 'it gives up after max_wait');
like($stderr, qr/ERROR:  migration "005" has met a lock of another session each time it was tried: canceling statement due to lock timeout\nDETAIL:  Process $pid .*\nHINT:  Call again/, 'and says why');
like($stderr, qr/CONTEXT:  .*statement 2, line 1, of migration "005"/s, 'and where');
$one->query_safe('COMMIT');
is($node->safe_psql('postgres', q{SELECT count(*) FROM dbops.migration WHERE version = '005'}), 0, 'nothing is in the ledger');

# A row is locked.
$node->safe_psql('postgres', 'INSERT INTO first_table VALUES (1)');
$one->query_safe('BEGIN; UPDATE first_table SET id = 2');
begin_second(q{SELECT state FROM dbops.apply_migration('005', 'UPDATE first_table SET id = 3', lock_timeout => '50 ms')});
$one->query_safe('COMMIT');
($out, $told) = end_second();
like($out, qr/applied/, 'a row that is locked is waited for');
like($told, qr/DETAIL:  Process $pid .* UPDATE first_table/, 'and who has it is told');

$one->quit;
$two->quit;
$node->stop;
done_testing();
