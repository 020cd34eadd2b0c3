# The way back from a migration, as before_migration() sees it: WAL that is
# archived, is not, or goes to pg_receivewal; backups that are young, old, or of
# another past; and a restore point that recovery does reach. TAP, because it
# takes backups, an archive and servers that recover from them.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init(allows_streaming => 1, has_archiving => 1);
$node->append_conf('postgresql.conf', <<~'CONF');
    shared_preload_libraries = 'dbops'
    autovacuum = off
    log_timezone = 'Asia/Kolkata'
    CONF
$node->start;
$node->safe_psql('postgres', q{CREATE EXTENSION dbops; CREATE TABLE t (i int)});

# An item, so many seconds from now, as severity|message.
sub item
{
	my ($server, $name, $arguments, $later) = @_;

	$arguments //= '';
	$later //= 0;
	return $server->safe_psql(
		'postgres', qq{
		SELECT set_config('dbops.test_now', (extract(epoch FROM clock_timestamp()) + $later)::text, false) IS NULL \\g /dev/null
		SELECT severity, message FROM dbops.before_migration($arguments) WHERE check_name = '$name'});
}

# an archive and no backup
like(item($node, 'archive'), qr/^ok\|WAL is archived up to the restore point, file [0-9A-F]{24}$/, 'WAL up to the restore point is archived');
is(item($node, 'backup'), 'critical|no backup is recorded', 'but there is no backup');
like(item($node, 'protected'), qr/^critical\|not protected: no backup is recorded/, 'so nothing is protected');

# a backup, seen in the zone of the log
$node->backup('first');
like(item($node, 'backup'), qr/^ok\|the newest backup, ".+", ended \d+ s ago$/, 'a backup is recorded as it was made');
like(item($node, 'backup.proof'), qr/^unknown\|nothing records that it was ever restored$/, 'that it can be restored is not known');
like(item($node, 'protected'), qr/^ok\|protected/, 'which is protection');
like(item($node, 'backup', '', 23 * 3600), qr/^ok\|.* ended 23\.\d h ago$/, 'it lasts for a day');
like(item($node, 'backup', '', 25 * 3600), qr/^critical\|.* ended 25\.\d h ago, more than 24\.0 h$/, 'and no longer');
like(item($node, 'protected', '', 25 * 3600), qr/^critical\|not protected: the newest backup, ".+", ended 25/, 'the answer says so');
like(item($node, 'backup', q{max_backup_age => '3 days'}, 25 * 3600), qr/^ok\|/, 'unless an older one will do');

# a file of it that says less, or is of a time when the log had another zone
my ($file) = glob($node->data_dir . '/pg_wal/*.backup');
my $text = slurp_file($file);
$node->append_conf('postgresql.conf', q{log_timezone = 'America/Los_Angeles'});
$node->reload;
$node->poll_query_until('postgres', 'SHOW log_timezone', 'America/Los_Angeles') or die 'the zone stays';
like(item($node, 'backup'), qr/^ok\|.* ended \d+ s ago$/, 'a backup is not younger than its file');
unlink $file;
append_to_file($file, substr($text, 0, 60));
is(item($node, 'backup'), 'critical|no backup is recorded', 'a file that is cut short counts for nothing');
unlink $file;
append_to_file($file, $text);

# recovery does get there
my $point = $node->safe_psql(
	'postgres', q{
	INSERT INTO t VALUES (1);
	SELECT data->>'name' FROM dbops.before_migration('V002') WHERE check_name = 'restore_point'});
like($point, qr/^V002_\d{8}T\d{6}Z$/, 'the restore point has a name');
$node->safe_psql('postgres', 'DROP TABLE t; SELECT pg_switch_wal()');
my $restored = PostgreSQL::Test::Cluster->new('restored');
$restored->init_from_backup($node, 'first', has_restoring => 1, standby => 0);
$restored->append_conf('postgresql.conf', "recovery_target_name = '$point'\nrecovery_target_action = 'promote'\narchive_mode = off\n");
$restored->start;
$restored->poll_query_until('postgres', 'SELECT NOT pg_is_in_recovery()') or die 'it does not come up';
is($restored->safe_psql('postgres', 'SELECT i FROM t'), '1', 'and recovery stops there, before the change');

# a backup of what was undone by that is of another past
my $before = (glob($node->data_dir . '/pg_wal/*.backup'))[0];
$node->backup('second');
my ($later) = grep { $_ ne $before } glob($node->data_dir . '/pg_wal/*.backup');
append_to_file($restored->data_dir . '/pg_wal/' . (split m{/}, $before)[-1], $text);
like(item($restored, 'backup'), qr/^ok\|/, 'a backup of before serves a server that was recovered');
unlink glob($restored->data_dir . '/pg_wal/*.backup');
append_to_file($restored->data_dir . '/pg_wal/' . (split m{/}, $later)[-1], slurp_file($later));
is(item($restored, 'backup'), 'critical|no backup is recorded', 'one of what came after does not');
$restored->stop;

# a standby
my $standby = PostgreSQL::Test::Cluster->new('standby');
$standby->init_from_backup($node, 'second', has_streaming => 1);
$standby->start;
is(item($standby, 'restore_point'), 'critical|this server is in recovery, where no restore point can be made', 'a standby has no restore points');
like(item($standby, 'protected'), qr/^critical\|not protected: this server is in recovery/, 'and no migrations');
my (undef, undef, $refusal) = $standby->psql('postgres', "SELECT dbops.baseline_migration('1')");
like($refusal, qr/cannot be worked on in a read-only transaction\nHINT:  This server is a standby; connect to its primary/, 'the ledger is not written there');
$standby->stop;

# an archiver that fails: the wait is bounded, and says what fails
$node->append_conf('postgresql.conf', q{archive_command = 'false'});
$node->reload;
$node->poll_query_until('postgres', 'SHOW archive_command', 'false') or die 'the command stays';
$node->safe_psql('postgres', 'CREATE TABLE t (i int); SELECT pg_switch_wal()');
$node->poll_query_until('postgres', 'SELECT last_failed_time > last_archived_time FROM pg_stat_archiver') or die 'it does not fail';
like(item($node, 'archive', q{max_wait => '100 ms'}), qr/^critical\|WAL up to the restore point was not archived within 0 s; the archiver failed last at [0-9A-F.]{24,}/, 'a wait in vain ends');
my (undef, $out, $err) = $node->psql('postgres', q{SELECT severity FROM dbops.before_migration(max_wait => '1100 ms') WHERE check_name = 'protected'});
is($out, 'critical', 'and nothing is protected');
like($err, qr/NOTICE:  waiting until WAL up to the restore point is archived, file [0-9A-F]{24}, for 1 s at most/, 'who waits is told for what');

# no archive, but who receives
$node->append_conf('postgresql.conf', q{archive_mode = off});
$node->restart;
like(item($node, 'archive'), qr/^critical\|WAL is neither archived nor received by others/, 'without an archive nothing is waited for');
$node->safe_psql('postgres', q{SELECT pg_create_physical_replication_slot('receiver')});
my $receiver = IPC::Run::start([ 'pg_receivewal', '--synchronous', '--slot', 'receiver', '-D', $node->archive_dir, '-d', $node->connstr('postgres') . ' application_name=keeper' ], '>' => \my $said, '2>' => \my $complained);
$node->poll_query_until('postgres', q{SELECT flush_lsn IS NOT NULL FROM pg_stat_replication}) or die "nobody receives: $complained";
is(item($node, 'archive'), 'ok|"keeper" has received WAL up to the restore point', 'pg_receivewal is an archive');
$receiver->signal('TERM');
$receiver->finish;

# a server that writes too little WAL
$node->append_conf('postgresql.conf', "wal_level = minimal\nmax_wal_senders = 0\n");
$node->safe_psql('postgres', q{SELECT pg_drop_replication_slot('receiver')});
$node->restart;
is(item($node, 'restore_point'), 'critical|no restore point can be made: wal_level is minimal', 'a restore point takes enough WAL');

done_testing();
