# Changes on a primary whose commits wait until a standby has applied them: who reads
# there keeps a call waiting, and nobody out of the table. TAP, because it takes two
# servers.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $primary = PostgreSQL::Test::Cluster->new('primary');
$primary->init(allows_streaming => 1);
$primary->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    CONF
$primary->start;
$primary->safe_psql(
	'postgres', q{
	CREATE EXTENSION dbops;
	CREATE TABLE read_there (id int PRIMARY KEY, a text, b int);
	INSERT INTO read_there SELECT g, 'x', g FROM generate_series(1, 1000) g});

my $standby = PostgreSQL::Test::Cluster->new('standby');
$primary->backup('backup');
$standby->init_from_backup($primary, 'backup', has_streaming => 1);
$standby->append_conf('postgresql.conf', 'max_standby_streaming_delay = -1');
$standby->start;
$primary->append_conf('postgresql.conf', <<~'CONF');
    synchronous_standby_names = '*'
    synchronous_commit = remote_apply
    CONF
$primary->reload;

$primary->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_replication WHERE state = 'streaming' AND replay_lsn IS NOT NULL)})
  or die 'the standby does not come';
like(
	($primary->psql('postgres', q{CALL dbops.rename_column('read_there', 'b', 'bb', dry_run => true)}))[2],
	qr/INFO:  1 standby replays the locks\n/,
	'a dry run tells that standbys have the locks too');

# While somebody reads a table there: what the session of a call has locked of it, and how the call ends.
sub held_meanwhile
{
	my ($call, $table) = @_;
	my $reader = $standby->background_psql('postgres');
	my ($said, $failed) = ('', '');

	$reader->query_safe("BEGIN; SELECT count(*) FROM $table");
	my $psql = IPC::Run::start(
		[ 'psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-d', $primary->connstr('postgres') . ' application_name=call', '-c', $call ],
		'<', \undef, '>', \$said, '2>', \$failed, IPC::Run::timeout($PostgreSQL::Test::Utils::timeout_default));
	$standby->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type = 'startup' AND wait_event_type = 'Lock')})
	  or die "replay does not wait: $failed";
	$primary->poll_query_until('postgres', q{SELECT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'call' AND wait_event = 'SyncRep')})
	  or die "the call does not wait: $failed";
	my $held = $primary->safe_psql(
		'postgres', qq{SELECT coalesce(string_agg(mode, ', '), 'nothing') FROM pg_locks l JOIN pg_stat_activity a USING (pid)
		WHERE a.application_name = 'call' AND l.relation = '$table'::regclass});
	$reader->quit;
	$psql->finish;
	is($psql->full_result(0), 0, "$call ends when nobody reads there any more") or diag($failed);
	return $held;
}

is(held_meanwhile(q{CALL dbops.set_not_null('read_there', 'a')}, 'read_there'), 'nothing', 'and has the table locked for nobody meanwhile');
is($primary->safe_psql('postgres', q{SELECT attnotnull FROM pg_attribute WHERE attrelid = 'read_there'::regclass AND attname = 'a'}), 't', 'it is done');
is(held_meanwhile(q{CALL dbops.rename_column('read_there', 'b', 'bb')}, 'read_there'), 'nothing', 'nor does one that takes several steps');

# a commit that others wait for as well is as durable as the session asks for
is($standby->safe_psql('postgres', 'SELECT count(*) FROM read_there WHERE bb = b'), '1000', 'the standby has all of it at its end');

done_testing();
