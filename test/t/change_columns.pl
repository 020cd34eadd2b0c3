# rename_column and change_type while several sessions insert and update, by the
# old and by the new name: at the end every row has what was written to it last,
# in both columns; each is finished under that load, without an error for anybody.
# Then a server that is killed again and again in the middle of the call, which
# completes when it is made again. TAP, because it takes pgbench and crashes.
use strict;
use warnings FATAL => 'all';

use FindBin;
use lib $FindBin::RealBin;

use CrashingServer;
use IPC::Run;
use PostgreSQL::Test::Utils;
use Test::More;
use Time::HiRes qw(usleep);

my $rows = 5000;
my $clients = 4;

my $node = start_server("fsync = off\ndbops.progress_interval = 0\n");
$node->safe_psql(
	'postgres', qq{
	CREATE ROLE keeper LOGIN;
	SELECT dbops.grant_access('keeper', 'operator');
	GRANT ALL ON SCHEMA public TO keeper;
	SET ROLE keeper;
	CREATE TABLE t (id bigserial PRIMARY KEY, name text NOT NULL CHECK (length(name) < 50), amount integer NOT NULL, last integer NOT NULL);
	CREATE INDEX t_name ON t (name);
	CREATE INDEX t_amount ON t (amount);
	INSERT INTO t (name, amount, last) SELECT 'v0', 0, 0 FROM generate_series(1, $rows) i});

# Each write says in last what it has written, so that one that is lost shows.
my $old = writer('old', 'name = \'v\' || :x', 'name, amount', '\'v\' || :x, :x');
my $new = writer('new', 'full_name = \'v\' || :x', 'full_name, amount', '\'v\' || :x, :x');
my $amount = writer('amount', 'amount = :x, full_name = \'v\' || :x', 'full_name, amount', '\'v\' || :x, :x');

# ---- rename ----

my $old_storm = storm($old);
my $call = call(q{CALL dbops.rename_column('t', 'name', 'full_name')});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM pg_trigger WHERE tgname = 'zz_dbops_name'})
  or die 'no trigger';
my $new_storm = storm($new);
is(finish_call($call), '', 'a column is renamed under load');
usleep(1_000_000);
end_storm($old_storm, 'the old version of the application');
is(wrong(q{full_name IS DISTINCT FROM name OR name <> 'v' || last}), 0,
	'no write is lost, in either direction');
my $id = $node->safe_psql('postgres', q{SELECT id FROM dbops.column_change WHERE state = 'ready'});
is(finish_call(call("CALL dbops.finish_change($id)")), '', 'it is finished under load');
end_storm($new_storm, 'the new version');
is(wrong(q{full_name <> 'v' || last}), 0, 'and again none is lost');
is(leftovers(), 0, 'nothing is left');

# ---- another type ----

$node->safe_psql('postgres', 'UPDATE t SET amount = last');
my $storm = storm($amount);
is(finish_call(call(q{CALL dbops.change_type('t', 'amount', 'bigint')})), '', 'a column gets another type under load');
is(wrong(q{dbops_new_amount IS DISTINCT FROM amount OR amount <> last}), 0, 'no write is lost');
$id = $node->safe_psql('postgres', q{SELECT id FROM dbops.column_change WHERE state = 'ready'});
is(finish_call(call("CALL dbops.finish_change($id)")), '', 'it is finished under load');
end_storm($storm, 'the application');
is(wrong(q{amount <> last}), 0, 'and again none is lost');
is( $node->safe_psql('postgres', q{SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 't'::regclass AND attname = 'amount'}),
	'bigint', 'it has the type');
is(leftovers(), 0, 'nothing is left');

# ---- taken back while it is prepared ----

my $lock = $node->background_psql('postgres');
$lock->query_safe(q{BEGIN; LOCK TABLE t IN ACCESS SHARE MODE});
$call = call(q{CALL dbops.rename_column('t', 'full_name', 'nobody', max_wait => '5 min')});
$node->poll_query_until('postgres', q{SELECT count(*) = 1 FROM dbops.column_change WHERE state = 'expanding'})
  or die 'not begun';
$id = $node->safe_psql('postgres', q{SELECT id FROM dbops.column_change WHERE state = 'expanding'});
is(finish_call(call("CALL dbops.abort_change($id)")), '', 'a change is taken back while it waits for its first lock');
isnt(finish_call($call), '', 'who has begun it is told');
$lock->query_safe('COMMIT');
$lock->quit;
is(leftovers(), 0, 'nothing is left');

# ---- killed, again and again ----

$node->safe_psql('postgres', q{INSERT INTO t (full_name, amount, last) SELECT 'v' || i, i, i FROM generate_series(1, 60000) i});
for my $name ('a' .. 'e')
{
	my $from = ($name eq 'a') ? 'full_name' : chr(ord($name) - 1);
	my $rename = "CALL dbops.rename_column('t', '$from', '$name')";

	killed($rename, 100 + 250 * (ord($name) - ord('a')));
	completed($rename);
	$id = ask(q{SELECT id FROM dbops.column_change WHERE state = 'ready'});
	ok($id ne '', "$name: the same call completes it");
	is(ask("SELECT count(*) FROM t WHERE $name IS DISTINCT FROM $from"), 0, "$name: with all rows");
	killed("CALL dbops.finish_change($id)", 10 + 20 * (ord($name) - ord('a')));
	completed("CALL dbops.finish_change($id)");
	is(leftovers(), 0, "$name: nothing is left");
	is( ask(q{SELECT string_agg(indexrelid::regclass::text, ', ' ORDER BY indexrelid::regclass::text) FROM pg_index WHERE indrelid = 't'::regclass AND indisvalid}),
		't_amount, t_name, t_pkey', "$name: with the same indexes");
}
$node->stop;
done_testing();

# A script of pgbench that updates and inserts; x is what it writes.
sub writer
{
	my ($name, $set, $columns, $values) = @_;
	my $script = $node->basedir . "/$name.sql";

	append_to_file($script, <<~"SQL");
	    \\set x random(1, 1000000000)
	    \\set id random(1, $rows)
	    UPDATE t SET $set, last = :x WHERE id = :id;
	    INSERT INTO t ($columns, last) VALUES ($values, :x);
	    SQL
	return $script;
}

sub storm
{
	my ($script) = @_;
	my %storm = (out => '', err => '');

	$storm{run} = IPC::Run::start(
		[ 'pgbench', '-n', '-c', $clients, '-R', 400, '-T', 120, '-f', $script,
			'-h', $node->host, '-p', $node->port, '-U', 'keeper', 'postgres' ],
		'>', \$storm{out}, '2>', \$storm{err});
	return \%storm;
}

# No client may have met an error. One that writes an old name while that is dropped would.
sub end_storm
{
	my ($storm, $who) = @_;

	$storm->{run}->pump_nb;
	unlike($storm->{err}, qr/ERROR|aborted/, "$who meets no error");
	ok($storm->{run}->pumpable, "$who was at work all the time");
	$storm->{run}->signal('TERM');
	$storm->{run}->finish;
}

sub call
{
	my ($sql) = @_;
	my %call = (err => '', out => '');

	$call{run} = IPC::Run::start(
		[ 'psql', '-XAtq', '-v', 'ON_ERROR_STOP=1', '-c', 'SET client_min_messages = error', '-c', $sql,
			'-h', $node->host, '-p', $node->port, '-U', 'keeper', 'postgres' ],
		'>', \$call{out}, '2>', \$call{err});
	return \%call;
}

sub finish_call
{
	my ($call) = @_;

	$call->{run}->finish;
	return $call->{err};
}

sub wrong
{
	my ($condition) = @_;

	return $node->safe_psql('postgres', "SELECT count(*) FROM t WHERE $condition");
}

# What a change must not leave behind.
sub leftovers
{
	return ask(q{SELECT (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'zz_dbops%')
		+ (SELECT count(*) FROM pg_class WHERE relname LIKE '%dbops_new%') + (SELECT count(*) FROM pg_constraint WHERE conname LIKE '%dbops%' AND connamespace = 'public'::regnamespace)
		+ (SELECT count(*) FROM pg_attribute WHERE attname LIKE 'dbops_new%' AND attrelid = 't'::regclass)
		+ (SELECT count(*) FROM pg_index WHERE NOT indisvalid)
		+ (SELECT count(*) FROM dbops.column_change WHERE state IN ('expanding', 'ready'))});
}

# Make a call and kill its process some ms later, if it is still at work.
sub killed
{
	my ($sql, $ms) = @_;
	my $call = call($sql);

	usleep($ms * 1000);
	my $pid = ask(q{SELECT pid FROM pg_stat_activity WHERE state = 'active' AND query LIKE 'CALL dbops.%' LIMIT 1});
	note("killed after $ms ms: " . ($pid ne '' ? $pid : 'was done already'));
	eval { crash_server($node, $pid) } if $pid ne '';
	note($@) if $@;
	$call->{run}->finish;
}

sub completed
{
	my ($sql) = @_;

	for (1 .. 20)
	{
		last if finish_call(call($sql)) eq '';
		usleep(200_000);
	}
}
