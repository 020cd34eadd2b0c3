# doc/examples/migrate, the deployer made of bash and psql: the three layouts of
# folders, what it does with one that was changed, and its exit codes, by which a
# pipeline lives. TAP, because it is a program and works on files.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "shared_preload_libraries = 'dbops'\nautovacuum = off\nfsync = off\n");
$node->start;
$node->safe_psql('postgres', 'CREATE EXTENSION dbops');
$ENV{PGHOST} = $node->host;
$ENV{PGPORT} = $node->port;
$ENV{PGDATABASE} = 'postgres';
my $top = PostgreSQL::Test::Utils::tempdir;

# A folder of files, each a name and its text.
sub folder
{
	my ($name, @files) = @_;
	my $folder = "$top/$name";

	mkdir $folder;
	while (my ($file, $text) = splice @files, 0, 2)
	{
		mkdir "$folder/$1" if $file =~ m{^(.*)/};
		unlink "$folder/$file";
		append_to_file("$folder/$file", $text);
	}
	return $folder;
}

# Run it; its exit code, output and messages.
sub migrate
{
	my ($project, @arguments) = @_;
	my ($out, $err);

	local $ENV{MIGRATE_PROJECT} = $project;
	IPC::Run::run([ 'bash', 'doc/examples/migrate', @arguments ], '>', \$out, '2>', \$err);
	return ($? >> 8, $out, $err);
}

# A project as the ledger has it.
sub ledger
{
	my ($project) = @_;

	return $node->safe_psql('postgres', qq{SELECT string_agg(concat_ws(' ', version, name, state), ', ') FROM dbops.migration_status('$project')});
}

sub applies
{
	my ($project, $folder, $expected, $name) = @_;
	my ($code, $out, $err) = migrate($project, 'apply', $folder);

	is($code, 0, $name) or diag($out, $err);
	is(ledger($project), $expected, "$name: the ledger says so");
	return;
}

# a folder each
my $prisma = folder(
	'prisma',
	'20240116_phone/migration.sql' => qq{ALTER TABLE users ADD phone text;\nINSERT INTO users VALUES (1, 'it''s \\ "\$(false)" `false` :x \x{c3}\x{a9}');\n},
	'20240115_users/migration.sql' => "CREATE TABLE users (id int);\n",
	'20240115_users/rollback.sql' => "DROP TABLE users;\n",
	'20240116_phone/rollback.sql' => "DELETE FROM users;\nALTER TABLE users DROP phone;\n",
	'migration_lock.toml' => "provider = 'postgresql'\n");
my ($code, $out, $err) = migrate('prisma', 'status', $prisma);
is($code, 0, 'the status of a new folder');
like($out, qr/20240115_users .* pending .*\n.* 20240116_phone .* pending /, 'everything is pending, in order');
applies('prisma', $prisma, '20240115_users applied, 20240116_phone applied', 'folders of a migration and its rollback');
is($node->safe_psql('postgres', 'SELECT phone FROM users'), qq{it's \\ "\$(false)" `false` :x \x{c3}\x{a9}}, 'texts arrive as they are');

# once more, and back
($code, $out, $err) = migrate('prisma', 'apply', $prisma);
is($code, 0, 'applying again succeeds');
like($out, qr/already applied/, 'and says that nothing was to be done');
($code, $out, $err) = migrate('prisma', 'rollback', $prisma);
is($code, 0, 'the last one is rolled back');
is(ledger('prisma'), '20240115_users applied, 20240116_phone reverted', 'and no other');
($code, $out, $err) = migrate('prisma', 'rollback', $prisma, '20240115_users');
is(ledger('prisma'), '20240115_users reverted, 20240116_phone reverted', 'one is rolled back by its version');
is($node->safe_psql('postgres', q{SELECT to_regclass('users') IS NULL}), 't', 'and is gone');
applies('prisma', $prisma, '20240115_users applied, 20240116_phone applied', 'what was rolled back is applied again');

# numbered files, with and without a way back
my $flyway = folder(
	'flyway',
	'V10__last.sql' => 'CREATE TABLE v10 (i int)',
	'V002__second_of_them.sql' => 'CREATE TABLE v2 (i int)',
	'V001__first.sql' => 'CREATE TABLE v1 (i int)',
	'V002__second_of_them.rollback.sql' => 'DROP TABLE v2',
	'V001__first.rollback.sql' => 'DROP TABLE v1');
applies('flyway', $flyway, 'V001 first applied, V002 second_of_them applied, V10 last applied', 'files in the order of their numbers');
is($node->safe_psql('postgres', q{SELECT string_agg(version, ',' ORDER BY position) FROM dbops.migration WHERE project = 'flyway'}), 'V001,V002,V10', 'which was that of their application');
($code, $out, $err) = migrate('flyway', 'rollback', $flyway);
isnt($code, 0, 'what has no way back fails');
like($err, qr/ERROR:  migration "V10" of project "flyway" has no down text/, 'and says so');

applies('drizzle', folder('drizzle', '0001_b.sql' => 'CREATE TABLE d1 (i int)', '0000_a.sql' => 'CREATE TABLE d0 (i int)', '0000_a.rollback.sql' => 'DROP TABLE d0'),
	'0000 a applied, 0001 b applied', 'files that are numbered only');

applies('names', folder('names', 'V1_2__a__b_c.sql' => 'SELECT 1', '0003_d__e.sql' => 'SELECT 1', 'R__views.sql' => "SELECT 1\n-- dbops: repeatable => true"),
	'0003 d__e applied, R__views applied, V1_2 a__b_c applied', 'versions as the tools have them');

# a text that was changed stops it there
folder('flyway', 'V002__second_of_them.sql' => 'CREATE TABLE v2 (j int)', 'V11__never.sql' => 'CREATE TABLE v11 (i int)');
($code, $out, $err) = migrate('flyway', 'apply', $flyway);
isnt($code, 0, 'a changed text fails');
like($err, qr/ERROR:  migration "V002" of project "flyway" was applied with another text/, 'which is named');
is(ledger('flyway'), 'V001 first applied, V002 second_of_them applied, V10 last applied', 'and nothing after it is done');
folder('flyway', 'V002__second_of_them.sql' => "-- the second\nCREATE TABLE v2 (i int);\n", 'V11__never.sql' => 'CREATE TABLE v11 (i int); SELECT 1/0');
($code, $out, $err) = migrate('flyway', 'apply', $flyway);
isnt($code, 0, 'a text that fails fails');
like($err, qr/ERROR:  division by zero/, 'with its error');
like($out, qr/cosmetic/, 'a comment does not');
($code, $out, $err) = migrate('flyway', 'status', $flyway);
like($out, qr/ V11 .* pending /, 'what has failed is pending still');

# more arguments stand in the file
my $seeds = folder(
	'seeds',
	'0001_init.sql' => 'CREATE TABLE seeds (i int)',
	'0002_seed.sql' => "-- dbops: environments => '{dev}'\n-- dbops: repeatable => true\nINSERT INTO seeds VALUES (1)");
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET dbops.environment = 'production'});
applies('seeds', $seeds, '0001 init applied, 0002 seed skipped', 'seed data of another environment is skipped');
$node->safe_psql('postgres', q{ALTER DATABASE postgres SET dbops.environment = 'dev'});
applies('seeds', $seeds, '0001 init applied, 0002 seed applied', 'that of this one is not');

# what cannot share a transaction is waited for, and its failure is one
my $steps = folder(
	'steps',
	'0001_init.sql' => 'CREATE TABLE steps (i int); INSERT INTO steps VALUES (1), (1)',
	'0002_index.sql' => 'CREATE INDEX CONCURRENTLY steps_i ON steps (i)',
	'0002_index.rollback.sql' => 'DROP INDEX CONCURRENTLY steps_i',
	'0003_note.sql' => q{COMMENT ON INDEX steps_i IS 'is there'});
applies('steps', $steps, '0001 init applied, 0002 index applied, 0003 note applied', 'an index that is built concurrently');
folder('steps', '0004_unique.sql' => 'CREATE UNIQUE INDEX CONCURRENTLY steps_u ON steps (i)');
($code, $out, $err) = migrate('steps', 'apply', $steps);
isnt($code, 0, 'a job that fails fails');
like($err, qr/^0004 is failed$/m, 'and is named');

# texts are handed over byte by byte
my $odd = qq{SELECT '\', \$migrate\$ \$migrate \$migrate\$, ':project' -- \\ \n\n};
applies('bytes', folder('bytes', '0001_a.sql' => $odd), '0001 a applied', 'texts with quotes of all kinds');
is($node->safe_psql('postgres', q{SELECT replace(up_sql, E'\n', '|') FROM dbops.migration WHERE project = 'bytes' AND version = '0001'}), $odd =~ s/\n/|/gr, 'texts arrive byte by byte');
($code, $out, $err) = migrate('odd', 'apply', folder('wide', '0001_a.sql' => "S\0E\0L\0"));
isnt($code, 0, 'a file in UTF-16 is refused');
like($err, qr/^0001_a.sql: a byte is 0$/m, 'and why');

# what is pending is proved, and left pending
my $proof = folder(
	'proof',
	'0001_a.sql' => 'CREATE TABLE proof (i int)',
	'0001_a.rollback.sql' => 'DROP TABLE proof',
	'0002_b.sql' => 'ALTER TABLE proof ADD j int',
	'0002_b.rollback.sql' => 'ALTER TABLE proof DROP j');
($code, $out, $err) = migrate('proof', 'check', $proof);
is($code, 0, 'a folder is checked') or diag($err);
like($out, qr/ 0001 +\|.* proved .*\n(?:.*\n)* 0002 +\|.* proved /, 'each migration is proved, after those before it');
is(ledger('proof'), '', 'and none is applied');
applies('proof', $proof, '0001 a applied, 0002 b applied', 'what was proved');
($code, $out, $err) = migrate('proof', 'check', $proof);
is("$code$out", '0', 'what is applied is not proved');
folder('proof', '0003_c.sql' => 'ALTER TABLE proof ADD k int, ADD l int', '0003_c.rollback.sql' => 'ALTER TABLE proof DROP k');
($code, $out, $err) = migrate('proof', 'check', $proof);
isnt($code, 0, 'a way back that forgets something fails');
like($out, qr/ 0003 +\|.* differs .*proof.*\bl\b/, 'what the way back forgets is named');

# folders that are none
for my $case (
	[ 'a name that a shell would read', folder('odd', '0001_$(touch x).sql' => 'SELECT 1'), qr/^"0001_\$\(touch x\)\.sql": a name has letters/ ],
	[ 'an empty folder', folder('empty'), qr/^there are no migrations in / ],
	[ 'a folder that is not there', "$top/nothing", qr/^migrate status FOLDER/ ])
{
	my ($name, $folder, $expected) = @$case;

	($code, $out, $err) = migrate('odd', 'apply', $folder);
	isnt($code, 0, "$name is refused");
	like($err, $expected, "$name: and why");
}
($code, $out, $err) = migrate('odd', 'frobnicate', $seeds);
isnt($code, 0, 'an unknown command is refused');
{
	local $ENV{PGPORT} = $node->port + 1;
	($code, $out, $err) = migrate('odd', 'apply', $seeds);
	isnt($code, 0, 'a server that is not there is no success');
}

done_testing();
