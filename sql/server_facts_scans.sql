-- Which statements read, rewrite or index a whole table under their lock, and
-- when the server proves that it need not. dbops reads it from the server's own
-- lines at DEBUG1 (their texts are here) and cross-checks with the file of the
-- table; that a column with a stable default costs nothing, and a proof by CHECK
-- saves the scan of SET NOT NULL, is what its advice rests on.
SET client_min_messages = warning;
-- at that level the server also says that it calls them
ALTER EVENT TRIGGER dbops_log_ddl DISABLE;
ALTER EVENT TRIGGER dbops_log_drop DISABLE;
CREATE TABLE facts_scan (id integer, b integer, e integer);
INSERT INTO facts_scan VALUES (1, 1, 1);
CREATE TABLE facts_target (id integer PRIMARY KEY);
INSERT INTO facts_target VALUES (1);
CREATE DOMAIN facts_positive AS integer CHECK (value > 0);
CREATE DOMAIN facts_plain AS integer;
CREATE SEQUENCE facts_numbers;
-- does a command give the table a new file?
CREATE FUNCTION facts_rewrites(command text) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    before oid := pg_relation_filenode('facts_scan');
BEGIN
    EXECUTE command;
    RETURN before <> pg_relation_filenode('facts_scan');
END $$;

-- columns that come without a rewrite, and those with
SELECT definition, facts_rewrites('ALTER TABLE facts_scan ADD COLUMN ' || definition) AS rewrites
  FROM (VALUES ('c1 integer'), ('c2 integer DEFAULT 7'), ('c3 timestamptz DEFAULT now()'),
               ('c4 integer NOT NULL DEFAULT length(''abc'')'), ('c5 facts_plain'),
               ('c6 timestamptz DEFAULT clock_timestamp()'), ('c7 uuid DEFAULT gen_random_uuid()'),
               ('c8 double precision DEFAULT random()'), ('c9 bigint DEFAULT nextval(''facts_numbers'')'),
               ('d1 integer GENERATED ALWAYS AS (id + 1) STORED'), ('d2 integer GENERATED ALWAYS AS IDENTITY'),
               ('d3 serial'), ('d4 facts_positive')) AS v(definition);
-- all rows get the same moment from now(), that of the statement
SELECT count(DISTINCT c3) = 1 AS one_moment FROM facts_scan;
-- a virtual column costs nothing, and there are none before 18
DO $$ BEGIN
    IF facts_rewrites('ALTER TABLE facts_scan ADD COLUMN d5 integer GENERATED ALWAYS AS (id + 1) VIRTUAL') THEN
        RAISE EXCEPTION 'a virtual column rewrites';
    END IF;
    IF current_setting('server_version_num')::integer < 180000 THEN RAISE EXCEPTION 'there is one before 18'; END IF;
EXCEPTION WHEN syntax_error THEN
    IF current_setting('server_version_num')::integer >= 180000 THEN RAISE; END IF;
END $$;
-- types
SELECT change, facts_rewrites('ALTER TABLE facts_scan ALTER COLUMN ' || change) AS rewrites
  FROM (VALUES ('b TYPE bigint'), ('b TYPE bigint'), ('e TYPE text'), ('e TYPE varchar'), ('e TYPE varchar(9)'), ('e TYPE varchar(12)'),
               ('c3 TYPE timestamp')) AS v(change);
SET timezone = 'UTC';
SELECT facts_rewrites('ALTER TABLE facts_scan ALTER COLUMN c3 TYPE timestamptz') AS rewrites_in_utc;
RESET timezone;
DROP TABLE facts_scan;
CREATE TABLE facts_scan (id integer, b integer, e integer);
INSERT INTO facts_scan VALUES (1, 1, 1);

-- SET NOT NULL: reads the table, but not where valid checks prove it; OR is no proof,
-- nor is a check that is not valid yet
SET client_min_messages = debug1;
ALTER TABLE facts_scan ALTER COLUMN b SET NOT NULL;
ALTER TABLE facts_scan ALTER COLUMN b DROP NOT NULL;
ALTER TABLE facts_scan ADD CONSTRAINT either CHECK (b IS NOT NULL OR e IS NOT NULL);
ALTER TABLE facts_scan ALTER COLUMN b SET NOT NULL;
ALTER TABLE facts_scan ALTER COLUMN b DROP NOT NULL;
ALTER TABLE facts_scan ADD CONSTRAINT more CHECK (b IS NOT NULL AND b > 0) NOT VALID;
ALTER TABLE facts_scan ALTER COLUMN b SET NOT NULL;
ALTER TABLE facts_scan ALTER COLUMN b DROP NOT NULL;
ALTER TABLE facts_scan VALIDATE CONSTRAINT more;
ALTER TABLE facts_scan ALTER COLUMN b SET NOT NULL;

-- foreign keys, indexes, rewrites
ALTER TABLE facts_scan ADD CONSTRAINT facts_fk FOREIGN KEY (id) REFERENCES facts_target;
ALTER TABLE facts_scan DROP CONSTRAINT facts_fk;
ALTER TABLE facts_scan ADD CONSTRAINT facts_fk FOREIGN KEY (id) REFERENCES facts_target NOT VALID;
ALTER TABLE facts_scan VALIDATE CONSTRAINT facts_fk;
CREATE INDEX facts_index ON facts_scan (id);
ALTER TABLE facts_scan ALTER COLUMN e TYPE bigint;

-- a partition is read unless a check implies its bounds
RESET client_min_messages;
CREATE TABLE facts_parts (id integer NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE facts_part_1 (id integer NOT NULL);
CREATE TABLE facts_part_2 (id integer NOT NULL, CHECK (id >= 10 AND id < 20));
SET client_min_messages = debug1;
ALTER TABLE facts_parts ATTACH PARTITION facts_part_1 FOR VALUES FROM (0) TO (10);
ALTER TABLE facts_parts ATTACH PARTITION facts_part_2 FOR VALUES FROM (10) TO (20);
RESET client_min_messages;

SET client_min_messages = warning;
DROP TABLE facts_parts, facts_scan, facts_target;
DROP FUNCTION facts_rewrites;
DROP DOMAIN facts_positive, facts_plain;
DROP SEQUENCE facts_numbers;
ALTER EVENT TRIGGER dbops_log_ddl ENABLE ALWAYS;
ALTER EVENT TRIGGER dbops_log_drop ENABLE ALWAYS;
