-- Tables that a statement locks, reads, writes anew or takes something from without
-- naming them: by a whole schema or database, a type, a key, an owner, a dependency.
-- What is said is held against what the server does, which is undone.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
SET track_counts = off;                         -- no table is busy, however new the server is
CREATE SCHEMA lna;
CREATE SCHEMA lna_other;
CREATE ROLE regress_lint_along;
SET search_path = lna;
SET lock_timeout = '10s';
CREATE DOMAIN inner_domain AS int;
CREATE DOMAIN outer_domain AS inner_domain;
CREATE TYPE pair AS (a int, b int);
CREATE TYPE made AS (a int, c varchar(10));
CREATE TABLE held (id int PRIMARY KEY, o outer_domain, p pair, x int, UNIQUE (x));
CREATE TABLE many (i inner_domain[]);
CREATE TABLE refers (id int REFERENCES held, x int);
CREATE INDEX ON refers (id);
CREATE TABLE of_made OF made;
CREATE TABLE lna_other.parted (a int) PARTITION BY LIST (a);
CREATE TABLE part PARTITION OF lna_other.parted FOR VALUES IN (1);
CREATE TABLE lna_other.part_too PARTITION OF lna_other.parted FOR VALUES IN (2);
CREATE TABLE lna_other.refers (id int CONSTRAINT there REFERENCES held);
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE TABLE uses (a int DEFAULT twice(1), b int CHECK (twice(b) > 0), g int GENERATED ALWAYS AS (twice(1)) STORED);
CREATE INDEX uses_b ON uses (twice(b));
CREATE VIEW seen AS SELECT twice(a) AS a FROM uses;
CREATE COLLATION sorted FROM "C";
CREATE TABLE sorts (a text COLLATE sorted, b text);
CREATE TABLE owned (a int);
ALTER TABLE owned OWNER TO regress_lint_along;
CREATE POLICY there ON uses USING (twice(b) > 1);
INSERT INTO held SELECT g, g, NULL, g FROM generate_series(1, 100) g;
INSERT INTO refers SELECT g, g FROM generate_series(1, 100) g;
INSERT INTO lna_other.refers SELECT g FROM generate_series(1, 100) g;
INSERT INTO of_made VALUES (1, 'a');
INSERT INTO lna_other.parted VALUES (1), (2);
INSERT INTO uses (b) VALUES (1);
INSERT INTO sorts VALUES ('a');
INSERT INTO owned VALUES (1);
INSERT INTO many VALUES (ARRAY[1]);
CREATE TABLE empty (o outer_domain);
CLUSTER held USING held_pkey;
CREATE TABLE days (a int) PARTITION BY LIST (a);
CREATE TABLE days_1 PARTITION OF days FOR VALUES IN (1);
CREATE TABLE days_2 PARTITION OF days FOR VALUES IN (2) PARTITION BY LIST (a);
CREATE TABLE days_2_2 PARTITION OF days_2 FOR VALUES IN (2);
CREATE TABLE days_rest PARTITION OF days DEFAULT;
INSERT INTO days VALUES (1), (2), (3);
CREATE INDEX days_a ON days (a);
CREATE TABLE day (a int);
INSERT INTO day VALUES (4);

-- what is said of each
CREATE TEMP TABLE cases (n serial, sql text);
INSERT INTO cases (sql) VALUES
    ('VACUUM (FULL false)'), ('VACUUM (FULL, ANALYZE)'), ('CLUSTER'), ('REINDEX SCHEMA lna'), ('REINDEX SCHEMA CONCURRENTLY lna'), ('REINDEX SYSTEM regression'),
    ('ALTER TABLE ALL IN TABLESPACE pg_default OWNED BY regress_lint_along SET TABLESPACE pg_global'), ('ALTER TABLE ALL IN TABLESPACE pg_default SET TABLESPACE pg_default'),
    ('ALTER DOMAIN inner_domain ADD CHECK (value > 0)'), ('ALTER DOMAIN inner_domain ADD CHECK (value > 0) NOT VALID'), ('ALTER DOMAIN outer_domain SET NOT NULL'), ('ALTER DOMAIN outer_domain DROP NOT NULL'),
    ('DROP DOMAIN inner_domain CASCADE'), ('DROP DOMAIN inner_domain'), ('DROP TYPE pair CASCADE'), ('DROP COLLATION sorted CASCADE'),
    ('ALTER TYPE made ALTER ATTRIBUTE a TYPE bigint CASCADE'), ('ALTER TYPE made ALTER ATTRIBUTE c TYPE text CASCADE'), ('ALTER TYPE made ALTER ATTRIBUTE a TYPE bigint'),
    ('ALTER TYPE made DROP ATTRIBUTE a CASCADE'), ('ALTER TYPE made ADD ATTRIBUTE z int CASCADE'), ('ALTER TYPE made RENAME ATTRIBUTE a TO z CASCADE'), ('ALTER TYPE made RENAME ATTRIBUTE a TO z'),
    ('ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint'), ('ALTER TYPE pair ADD ATTRIBUTE z int'),
    ('ALTER TABLE held ALTER id TYPE bigint'), ('ALTER TABLE held ALTER id TYPE oid'), ('ALTER TABLE held ALTER x TYPE bigint'), ('ALTER TABLE lna_other.refers ALTER id TYPE bigint'),
    ('ALTER TABLE held DROP COLUMN id CASCADE'), ('ALTER TABLE held DROP COLUMN x'), ('ALTER TABLE held DROP CONSTRAINT held_pkey CASCADE'), ('ALTER TABLE lna_other.refers DROP CONSTRAINT there'),
    ('DROP SCHEMA lna CASCADE'), ('DROP SCHEMA lna_other CASCADE'), ('DROP SCHEMA lna_other'),
    ('DROP TABLE refers'), ('DROP TABLE lna_other.parted'), ('DROP TABLE held CASCADE'),
    ('DROP FUNCTION twice(int) CASCADE'), ('DROP FUNCTION twice(int)'),
    ('DROP TABLE days_1'), ('DROP TABLE days_1, days_2'), ('DROP TABLE days_2_2'), ('DROP TABLE days_rest'), ('DROP TABLE days'), ('DROP INDEX days_a'), ('DROP INDEX CONCURRENTLY days_a'),
    ('CREATE TABLE days_4 PARTITION OF days FOR VALUES IN (4)'), ('ALTER TABLE days ATTACH PARTITION day FOR VALUES IN (4)'), ('ALTER TABLE days DETACH PARTITION days_1'),
    ('DROP OWNED BY regress_lint_along'), ('REASSIGN OWNED BY regress_lint_along TO CURRENT_USER');
SELECT c.n, c.sql, l.rule, l.severity, l.relation, l.why, l.safer_sql FROM cases c
 LEFT JOIN dbops.lint_sql(c.sql) l ON l.rule ~ 'along$|type.not_changeable|vacuumed_full|rebuilt_not|stored_anew|index.dropped_not|partitioned_conc'
   AND (l.relation ~ '^lna' OR c.sql !~ '^(VACUUM|REINDEX SYSTEM)') ORDER BY c.n, l.rule, l.relation;

-- of all tables, those that are large each by itself
SET dbops.guard_min_size = '8kB';
SELECT relation FROM dbops.lint_sql('VACUUM FULL') WHERE relation ~ '^lna' ORDER BY 1;
SELECT relation FROM dbops.lint_sql('REINDEX SCHEMA lna') WHERE rule = 'index.rebuilt_not_concurrently' ORDER BY 1;
RESET dbops.guard_min_size;
-- a user's are those that he may do it with
SELECT dbops.grant_access('regress_lint_along', 'operator');
SET ROLE regress_lint_along;
SELECT relation FROM dbops.lint_sql('VACUUM FULL') WHERE rule = 'table.vacuumed_full';
RESET ROLE;

-- The server locks all of them, and no other table.
CREATE FUNCTION locks(sql text) RETURNS text LANGUAGE plpgsql AS $$
DECLARE
    locked text;
BEGIN
    BEGIN
        EXECUTE sql;
        SELECT string_agg(DISTINCT c, ' ' ORDER BY c) INTO locked FROM (
            SELECT name FROM cases_tables WHERE relid IN (
                SELECT relation FROM pg_locks WHERE pid = pg_backend_pid() AND mode IN ('AccessExclusiveLock', 'ShareLock') AND locktype = 'relation')) t (c);
        RAISE EXCEPTION USING errcode = 'LN000';
    EXCEPTION
        WHEN sqlstate 'LN000' THEN RETURN locked;
        WHEN OTHERS THEN RETURN SQLSTATE;
    END;
END$$;
CREATE TEMP TABLE cases_tables AS SELECT oid AS relid, relnamespace::regnamespace || '.' || relname AS name FROM pg_class WHERE relnamespace IN ('lna'::regnamespace, 'lna_other'::regnamespace) AND relkind IN ('r', 'p');
SELECT c.sql, locks(c.sql) FROM cases c WHERE c.sql ~ '^(DROP|REASSIGN|ALTER (TYPE|DOMAIN))' ORDER BY c.n;
-- and check_migration() foresees them, where no name stands for all partitions
SELECT c.sql, locks(c.sql) AS locked, (SELECT string_agg(k, ' ' ORDER BY k) FROM dbops.check_migration(c.sql, depth => 'plan') m, jsonb_each_text(m.locks) l (k, mode)
    WHERE m.step = 1 AND mode = 'AccessExclusiveLock') AS foreseen FROM cases c WHERE c.sql ~ 'days' ORDER BY c.n;

DROP OWNED BY regress_lint_along;
DROP SCHEMA lna, lna_other CASCADE;
SELECT dbops.revoke_access('regress_lint_along');
DROP ROLE regress_lint_along;
