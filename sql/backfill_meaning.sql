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

DROP TABLE backfill_meaning, backfill_list;
DROP SEQUENCE backfill_seq;
DROP FUNCTION backfill_args(integer, text), backfill_far(point);
SET client_min_messages = warning;
DROP SCHEMA backfill_other CASCADE;
