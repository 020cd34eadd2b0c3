-- Which indexes are built again when a column gets a type that is stored alike: lint_sql() and check_migration() against what the server does.
SET client_min_messages = warning;
SET track_counts = off;                         -- no table is busy, however new the server is
SET timezone = 'UTC';                           -- timestamp and timestamptz are stored alike
CREATE SCHEMA lnu;
SET search_path = lnu, public;
CREATE DOMAIN number AS int;
CREATE DOMAIN list AS int[];
CREATE TYPE mood AS ENUM ('calm');
CREATE DOMAIN temper AS mood;
CREATE TABLE t (id int PRIMARY KEY, ts timestamp, bare timestamp, o oid, v varchar(10), net cidr, numbers int[], m mood, c text COLLATE "C", d text, lone int, e oid, part timestamp, f varchar(10));
INSERT INTO t SELECT g, now(), now(), g, 'x', '10.0.0.1', ARRAY[g], 'calm', 'x', 'x', g, g, now(), 'x' FROM generate_series(1, 100) g;
CREATE INDEX t_ts ON t (id, ts);
CREATE INDEX t_o ON t (o);
CREATE INDEX t_v ON t (v);
CREATE INDEX t_v_pattern ON t (v varchar_pattern_ops);
CREATE INDEX t_net ON t (net);
CREATE INDEX t_numbers ON t USING gin (numbers);
CREATE INDEX t_m ON t (m);
CREATE INDEX t_c ON t (c);
CREATE INDEX t_d ON t (d COLLATE "C");          -- a collation of its own
CREATE INDEX t_included ON t (lone) INCLUDE (bare);
CREATE INDEX t_part ON t (lone) WHERE part IS NOT NULL;
CREATE INDEX t_f ON t (lower(f));
ALTER TABLE t ADD CONSTRAINT t_e EXCLUDE (e WITH =);
CREATE TABLE p (id int, ts timestamp) PARTITION BY RANGE (id);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (100);
CREATE TABLE p2 PARTITION OF p FOR VALUES FROM (100) TO (200);
INSERT INTO p SELECT g, now() FROM generate_series(1, 199) g;
CREATE INDEX p_ts ON p (ts);
CREATE TABLE broken (id int, v varchar(10));
INSERT INTO broken VALUES (1, 'x');
CREATE INDEX broken_v ON broken (v);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken_v'::regclass;

-- The indexes that have other files by what a statement does, which is undone.
CREATE FUNCTION built(statement text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := (SELECT jsonb_object_agg(oid::regclass::text, pg_relation_filenode(oid)) FROM pg_class WHERE relnamespace = 'lnu'::regnamespace AND relkind = 'i');
    built text;
BEGIN
    EXECUTE statement;
    SELECT string_agg(oid::regclass::text, ' ' ORDER BY relname) INTO built FROM pg_class
        WHERE relnamespace = 'lnu'::regnamespace AND relkind = 'i' AND pg_relation_filenode(oid) <> (before->>oid::regclass::text)::oid;
    RAISE EXCEPTION USING errcode = 'ZZ000', message = coalesce(built, '');
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    RETURN nullif(SQLERRM, '');
END $$;
SELECT statement, built(statement), regexp_replace(l.why, 'values stay as they are stored, but (.*) built again.*', '\1') AS lint, m.effect, m.duration > '0' AS takes
  FROM unnest(ARRAY[
    'ALTER TABLE t ALTER ts TYPE timestamptz', 'ALTER TABLE t ALTER bare TYPE timestamptz', 'ALTER TABLE t ALTER part TYPE timestamptz',
    'ALTER TABLE t ALTER o TYPE int', 'ALTER TABLE t ALTER o TYPE regclass', 'ALTER TABLE t ALTER id TYPE number', 'ALTER TABLE t ALTER id TYPE oid',
    'ALTER TABLE t ALTER v TYPE varchar(20)', 'ALTER TABLE t ALTER v TYPE text', 'ALTER TABLE t ALTER f TYPE varchar(20)', 'ALTER TABLE t ALTER net TYPE inet',
    'ALTER TABLE t ALTER numbers TYPE list', 'ALTER TABLE t ALTER m TYPE temper',
    'ALTER TABLE t ALTER c TYPE text', 'ALTER TABLE t ALTER c TYPE text COLLATE "C"', 'ALTER TABLE t ALTER d TYPE text COLLATE "POSIX"',
    'ALTER TABLE t ALTER e TYPE int', 'ALTER TABLE t ALTER e TYPE regclass', 'ALTER TABLE p ALTER ts TYPE timestamptz', 'ALTER TABLE broken ALTER v TYPE text',
    'ALTER TABLE t ALTER v TYPE text, ALTER o TYPE int']) WITH ORDINALITY s (statement, place)
  LEFT JOIN LATERAL dbops.lint_sql(statement) l ON l.rule = 'column.type_changed'
  LEFT JOIN LATERAL dbops.check_migration(statement, depth => 'plan') m ON m.step = 1 ORDER BY place;
SELECT severity, relation, safer_sql FROM dbops.lint_sql('ALTER TABLE t ALTER ts TYPE timestamptz') WHERE rule = 'column.type_changed';
-- in another time zone the values change, and so they do by other expressions
SET timezone = 'Europe/Berlin';
SELECT rule, why FROM dbops.lint_sql('ALTER TABLE t ALTER bare TYPE timestamptz') WHERE rule = 'column.type_changed';
SELECT effect FROM dbops.check_migration('ALTER TABLE t ALTER bare TYPE timestamptz', depth => 'plan') WHERE step = 1;
SET timezone = 'UTC';
-- an index that the text has dropped by then is not built
SELECT line, rule FROM dbops.lint_sql(E'DROP INDEX CONCURRENTLY t_o;\nALTER TABLE t ALTER o TYPE int;\nALTER TABLE t DROP CONSTRAINT t_e;\nALTER TABLE t ALTER e TYPE int') WHERE rule = 'column.type_changed';
-- the guard has the same rules
SET dbops.guard_min_size = '1kB';
SET dbops.ddl_guard = enforce;
SET lock_timeout = '1s';
ALTER TABLE t ALTER ts TYPE timestamptz;
ALTER TABLE t ALTER bare TYPE timestamptz;
RESET dbops.ddl_guard;
DROP SCHEMA lnu CASCADE;
