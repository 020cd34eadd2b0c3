# Changes of columns that are killed at one of their statements: a table whose rows
# say what was written to them, by which name ever, and what the catalog says of it.
package StoppedColumn;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use Test::More;

use CrashingServer;
use StoppedCall;

our @EXPORT = qw(start_columns changes catalog is_killed complete take_back wrong);

my $node;

sub start_columns
{
	my ($settings) = @_;

	$node = start_server("fsync = off\n$settings\n");
	prepare_stops($node);
	ask(q{
		CREATE SEQUENCE written;
		CREATE TABLE r (id int PRIMARY KEY);
		INSERT INTO r SELECT generate_series(1, 5000);

		-- Write to rows by all names that stand for what was written now, and note it in them.
		CREATE FUNCTION write() RETURNS void LANGUAGE plpgsql AS $$
		DECLARE
			names text;
			v int;
		BEGIN
			FOR names IN SELECT n FROM unnest('{a,b,full_name,"first, last"}'::text[]) n
				WHERE (SELECT bool_and(a.attname IS NOT NULL) FROM unnest(string_to_array(n, ', ')) c
						LEFT JOIN pg_attribute a ON a.attrelid = 't'::regclass AND a.attname = c AND NOT a.attisdropped)
					AND (n IN ('a', 'full_name') OR EXISTS (SELECT FROM pg_trigger WHERE tgrelid = 't'::regclass AND tgname ~ '^zz_dbops')
						OR NOT EXISTS (SELECT FROM pg_attribute WHERE attrelid = 't'::regclass AND attname IN ('a', 'full_name') AND NOT attisdropped))
			LOOP
				v := nextval('written');
				EXECUTE format('UPDATE t SET (%s, wrote) = ROW (%s, %s) WHERE id = %s', names, value(names, v), v, v % 1000);
				v := nextval('written');
				EXECUTE format('INSERT INTO t (%s, wrote) VALUES (%s, %s)', names, value(names, v), v);
			END LOOP;
		END $$;
		CREATE FUNCTION value(names text, v int) RETURNS text LANGUAGE sql AS $$
			SELECT CASE names WHEN 'full_name' THEN format('%L', format('a%s b%s', v, v))
				WHEN 'first, last' THEN format('%L, %L', 'a' || v, 'b' || v) ELSE v::text END $$;
	});
	return $node;
}

# The changes, and the calls that end them well.
sub changes
{
	my $setup = q{DROP TABLE IF EXISTS t; TRUNCATE dbops.column_change RESTART IDENTITY; ALTER SEQUENCE written RESTART};
	my $numbers = qq{$setup;
		CREATE TABLE t (id bigserial PRIMARY KEY, a serial UNIQUE CHECK (a > 0) REFERENCES r, wrote int);
		CREATE INDEX t_a ON t (a, wrote);
		COMMENT ON COLUMN t.a IS 'the number';
		INSERT INTO t (a, wrote) SELECT nextval('written'), currval('written') FROM generate_series(1, 1000)};
	my $names = qq{$setup;
		CREATE TABLE t (id bigserial PRIMARY KEY, full_name text, first text, last text, wrote int);
		INSERT INTO t (full_name, wrote) SELECT format('a%s b%s', g, g), g FROM generate_series(1, 1000) g;
		SELECT setval('written', 1000)};

	return (
		{ name => 'rename_column', setup => $numbers, call => q{CALL dbops.rename_column('t', 'a', 'b')}, finish => 'CALL dbops.finish_change(1)' },
		{ name => 'change_type', setup => $numbers, call => q{CALL dbops.change_type('t', 'a', 'bigint')}, finish => 'CALL dbops.finish_change(1)' },
		{ name => 'sync_columns', setup => $names,
			call => q{CALL dbops.sync_columns('t', 'first = split_part(full_name, '' '', 1), last = split_part(full_name, '' '', 2)', 'full_name = first || '' '' || last')},
			finish => 'CALL dbops.finish_change(1, drop_old_columns => true)' });
}

# What the catalog says of the table, after statements if there are any.
sub catalog
{
	my @statements = @_;

	ask(join('; ', @statements, 'DELETE FROM dbops.job')) if @statements;
	return ask(q{
		SELECT string_agg(fact, E'\n' ORDER BY fact) FROM (
			SELECT concat_ws(' ', 'column', attname, format_type(atttypid, atttypmod), attnotnull, pg_get_expr(adbin, adrelid), col_description(attrelid, attnum))
			FROM pg_attribute LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum
			WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped
			UNION ALL SELECT concat_ws(' ', 'constraint', conname, pg_get_constraintdef(oid)) FROM pg_constraint WHERE conrelid = 't'::regclass
			UNION ALL SELECT concat_ws(' ', 'index', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index WHERE indrelid = 't'::regclass
			UNION ALL SELECT concat_ws(' ', 'trigger', pg_get_triggerdef(oid)) FROM pg_trigger WHERE tgrelid = 't'::regclass AND NOT tgisinternal
			UNION ALL SELECT concat_ws(' ', 'sequence', objid::regclass, refobjsubid > 0) FROM pg_depend
			WHERE refobjid = 't'::regclass AND classid = 'pg_class'::regclass AND deptype = 'a' AND objid IN (SELECT seqrelid FROM pg_sequence)
			UNION ALL SELECT concat_ws(' ', 'job', id) FROM dbops.job WHERE finished_at IS NULL
			UNION ALL SELECT concat_ws(' ', 'unfinished', kind, object) FROM dbops.unfinished_changes()
			UNION ALL SELECT concat_ws(' ', 'change', call, state) FROM dbops.column_change WHERE state <> 'aborted') _ (fact)});
}

# Make a call and kill it at the statement of a number; false: it has come to its
# end. Rows are written before, while it has stopped, and afterwards.
sub is_killed
{
	my ($setup, $call, $at) = @_;

	my $session = begin_call("$setup; DELETE FROM dbops.job; SELECT write()", $call, $at);
	if (!has_stopped())
	{
		$session->quit;
		return 0;
	}
	$node->psql('postgres', q{SET lock_timeout = '50ms'; SELECT write()});
	crash_server($node, stopped());
	eval { $session->quit };
	ask('SELECT write()');
	return 1;
}

# By the same call, or by the first command that unfinished_changes() names, in turn:
# that of the job, which completes an index too that is listed behind it.
sub complete
{
	my ($name, $call, $at) = @_;
	my $named = ask(q{SELECT command FROM dbops.unfinished_changes() WHERE table_name = 't'::regclass LIMIT 1});

	if ($at % 2 == 0)
	{
		isnt($named, '', "$name: a command is named");
		$call = $named;
	}
	ask("$call; SELECT write()");
	return;
}

sub take_back
{
	my ($name) = @_;
	my $id = ask('SELECT id FROM dbops.column_change');

	ask("CALL dbops.abort_change($id)") if $id ne '';
	ok(1, "$name: is taken back");
	return;
}

# How many rows do not have what was written to them last, by one of their names.
sub wrong
{
	return ask(q{
		SELECT count(*) FROM t, to_jsonb(t) row, jsonb_each_text(row) c
		WHERE CASE WHEN c.key IN ('a', 'b', 'dbops_new_a') THEN c.value IS DISTINCT FROM wrote::text
			WHEN c.key = 'full_name' THEN c.value IS DISTINCT FROM format('a%s b%s', wrote, wrote)
			WHEN c.key = 'first' AND NOT EXISTS (SELECT FROM dbops.column_change WHERE state = 'aborted') THEN c.value IS DISTINCT FROM 'a' || wrote
			WHEN c.key = 'last' AND NOT EXISTS (SELECT FROM dbops.column_change WHERE state = 'aborted') THEN c.value IS DISTINCT FROM 'b' || wrote END});
}

1;
