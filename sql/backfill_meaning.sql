-- What the clauses mean is decided once, with the caller's search_path, and
-- stays: default and named arguments, casts of the assignment, the moment,
-- names that exist in several schemas, expressions that are never reached.
\set VERBOSITY terse
\set SHOW_CONTEXT never
CREATE SCHEMA backfill_other;
CREATE TABLE backfill_meaning (id integer, name varchar(10), src point, num numeric(6,2), t text, ts timestamptz, i interval, d jsonb, n integer DEFAULT 0);
INSERT INTO backfill_meaning (id, name, src) SELECT g, 'Name ' || g, point(g % 10, 1) FROM generate_series(1, 100) g;

-- arguments that are left to their defaults, and named ones
CALL dbops.batched_backfill('backfill_meaning', 'i = make_interval(days => 1)', 'i IS NULL');
CALL dbops.batched_backfill('backfill_meaning', 'd = jsonb_path_query_first(''{"a": 1}'', ''$.a'')', 'd IS NULL');
SELECT DISTINCT i, d FROM backfill_meaning;
CREATE FUNCTION backfill_args(a integer, b text DEFAULT 'x') RETURNS text LANGUAGE plpgsql STABLE AS
    $$ BEGIN RETURN a || b; END $$;
CALL dbops.batched_backfill('backfill_meaning', 't = backfill_args(1)', 't IS NULL');
CALL dbops.batched_backfill('backfill_meaning', 't = backfill_args(b => ''y'', a => id)', 't = ''1x''');
SELECT t FROM backfill_meaning WHERE id = 7;

-- the moment is fixed wherever it stands; a branch that is not taken is not evaluated
CALL dbops.batched_backfill('backfill_meaning', 'ts = CASE WHEN id > 0 THEN coalesce(ts, now()) END', 'ts IS NULL', batch_size => 10);
SELECT count(DISTINCT ts), count(ts) FROM backfill_meaning;
CALL dbops.batched_backfill('backfill_meaning', 't = CASE WHEN current_setting(''no.such'', true) IS NULL THEN ''none'' ELSE current_setting(''no.such'') END');
CALL dbops.batched_backfill('backfill_meaning', 't = CASE WHEN id < 0 THEN current_setting(''no.such'') ELSE ''none'' END || id');
CALL dbops.batched_backfill('backfill_meaning', 'n = (SELECT start_value FROM pg_sequence_parameters(''backfill_seq''::regclass))');
CREATE SEQUENCE backfill_seq START 5;
CALL dbops.batched_backfill('backfill_meaning', 'n = (SELECT start_value FROM pg_sequence_parameters(''backfill_seq''::regclass))');
CALL dbops.batched_backfill('backfill_meaning', 'n = (SELECT r.a FROM jsonb_to_record(''{"a": 6}'') AS r(a int))');
SELECT DISTINCT n FROM backfill_meaning;

-- casts that only an assignment makes: too long is an error, and a NULL is seen
CALL dbops.batched_backfill('backfill_meaning', 'name = ''too long for the column''');
CALL dbops.batched_backfill('backfill_meaning', 'num = id / 3.0');
CALL dbops.batched_backfill('backfill_meaning', 'num = id / 3.0');
CREATE FUNCTION backfill_far(point) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN CASE WHEN $1[0] > 5 THEN 'far' END; END $$;
CREATE CAST (point AS text) WITH FUNCTION backfill_far(point) AS ASSIGNMENT;
UPDATE backfill_meaning SET t = NULL, n = 0;
CALL dbops.batched_backfill('backfill_meaning', 't = src, n = n + 1', 't IS NULL', batch_size => 10);
SELECT t, n, count(*) FROM backfill_meaning GROUP BY t, n ORDER BY t;
DROP CAST (point AS text);

-- names that exist in several schemas, whichever comes first on the path
CREATE FUNCTION backfill_other.lower(varchar) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'other' $$;
CREATE FUNCTION backfill_other.lower(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT 'other' $$;
CREATE FUNCTION backfill_other.less(integer, integer) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT true $$;
CREATE OPERATOR backfill_other.< (LEFTARG = integer, RIGHTARG = integer, FUNCTION = backfill_other.less);
UPDATE backfill_meaning SET t = NULL;
SET search_path = backfill_other, public, pg_catalog;
CALL dbops.batched_backfill('backfill_meaning', 't = pg_catalog.lower(name)', 't IS NULL AND id OPERATOR(pg_catalog.<) 3');
SELECT t, count(*) FROM backfill_meaning GROUP BY t ORDER BY t;
CALL dbops.batched_backfill('backfill_meaning', 't = lower(name)', 't IS NULL AND id < 3');
SELECT t, count(*) FROM backfill_meaning GROUP BY t ORDER BY t;
-- what has no qualified spelling: NULLIF, IS DISTINCT FROM, simple CASE
CREATE TYPE backfill_other.mood AS ENUM ('sad', 'happy');
CREATE FUNCTION backfill_other.same(backfill_other.mood, backfill_other.mood) RETURNS boolean LANGUAGE sql IMMUTABLE AS $$ SELECT true $$;
CREATE OPERATOR backfill_other.= (LEFTARG = backfill_other.mood, RIGHTARG = backfill_other.mood, FUNCTION = backfill_other.same);
CALL dbops.batched_backfill('backfill_meaning', 't = CASE ''sad''::mood WHEN ''happy'' THEN ''same'' ELSE ''not the same'' END');
SELECT DISTINCT t FROM backfill_meaning;
RESET search_path;

-- the plan is that of a batch, whatever the session asks of plans
CREATE INDEX backfill_meaning_null ON backfill_meaning (id) WHERE num IS NULL;
UPDATE backfill_meaning SET num = NULL;
SET plan_cache_mode = force_custom_plan;
SET enable_tidscan = off;
CALL dbops.batched_backfill('backfill_meaning', 'num = 1', 'num IS NULL');
RESET plan_cache_mode;
RESET enable_tidscan;
SELECT pg_stat_force_next_flush();
SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'backfill_meaning_null';
-- with other tables in the predicate
CREATE TABLE backfill_list AS SELECT g AS id FROM generate_series(1, 100, 2) g;
CREATE INDEX ON backfill_list (id);
CALL dbops.batched_backfill('backfill_meaning', 'num = 2', 'id IN (SELECT l.id FROM backfill_list l)');
CALL dbops.batched_backfill('backfill_meaning', 'num = 3', 'NOT EXISTS (SELECT FROM backfill_list l WHERE l.id = backfill_meaning.id)');
SELECT num, count(*) FROM backfill_meaning GROUP BY num ORDER BY num;

-- a whole row is one of the named table's, also in a table below it
CREATE TABLE backfill_rows (a integer, b text, h text) PARTITION BY RANGE (a);
CREATE TABLE backfill_rows_1 (h text, b text, a integer);
ALTER TABLE backfill_rows ATTACH PARTITION backfill_rows_1 FOR VALUES FROM (1) TO (10);
INSERT INTO backfill_rows SELECT g, 'x' || g FROM generate_series(1, 9) g;
CALL dbops.batched_backfill('backfill_rows', 'h = backfill_rows::text', 'h IS NULL');
SELECT count(*) FILTER (WHERE h = row(a, b, NULL::text)::text) FROM backfill_rows;
CREATE TABLE backfill_parent (a integer, h jsonb);
CREATE TABLE backfill_child (c integer) INHERITS (backfill_parent);
INSERT INTO backfill_child VALUES (2, NULL, 5);
CALL dbops.batched_backfill('backfill_parent', 'h = to_jsonb(backfill_parent)', 'h IS NULL');
SELECT h FROM backfill_parent;

-- what is one value in a statement is one in all batches, wherever it stands
ALTER TABLE backfill_meaning ADD COLUMN at timestamptz, ADD COLUMN who text;
SET backfill.tenant = 'one';
CALL dbops.batched_backfill('backfill_meaning',
    $$ at = coalesce(CASE WHEN id < 0 THEN '2000-01-01'::timestamptz END, transaction_timestamp()),
       who = coalesce(nullif(id, id)::text, current_setting('backfill.tenant', true)) $$, 'at IS NULL', batch_size => 10);
RESET backfill.tenant;
SELECT count(DISTINCT at), min(who), max(who) FROM backfill_meaning;
CREATE VIEW backfill_moment AS SELECT now() AS n;
CALL dbops.batched_backfill('backfill_meaning', 'at = (SELECT n FROM backfill_moment)');

-- an element may be read, not assigned
ALTER TABLE backfill_meaning ADD COLUMN tags text[] DEFAULT '{first,second}', ADD COLUMN first_tag text;
CALL dbops.batched_backfill('backfill_meaning', 'first_tag = tags[1]', 'first_tag IS NULL');
CALL dbops.batched_backfill('backfill_meaning', 'tags[1] = first_tag');
SELECT DISTINCT first_tag FROM backfill_meaning;

DROP VIEW backfill_moment;
DROP TABLE backfill_rows, backfill_parent, backfill_child;
DROP TABLE backfill_meaning, backfill_list;
DROP SEQUENCE backfill_seq;
DROP FUNCTION backfill_args(integer, text), backfill_far(point);
SET client_min_messages = warning;
DROP SCHEMA backfill_other CASCADE;
