-- What reviews print to be run: a remedy is SQL, one statement a line, or a sentence
-- and no statement. Something is found by most rules here, in a schema whose name
-- has all that a name can have to make two of one; nothing is run.
\set VERBOSITY terse
CREATE SCHEMA "review_it's
\all""; DROP";
SET search_path = "review_it's
\all""; DROP";

-- what is found
CREATE ROLE regress_review_app;
DO $$ BEGIN EXECUTE format('GRANT USAGE, CREATE ON SCHEMA %I TO regress_review_app, PUBLIC', current_schema); END $$;
CREATE TABLE "Parent's
""one""" (id serial PRIMARY KEY, big bigint UNIQUE, a int NOT NULL, b int, UNIQUE (a, b));
CREATE TABLE child (id int PRIMARY KEY, plain int REFERENCES "Parent's
""one""", required int NOT NULL REFERENCES "Parent's
""one""" ON DELETE SET NULL, typed bigint REFERENCES "Parent's
""one""", twice int REFERENCES "Parent's
""one""" ON DELETE CASCADE, FOREIGN KEY (twice) REFERENCES "Parent's
""one""" ON DELETE CASCADE);
ALTER TABLE child ADD CONSTRAINT "positive's" CHECK (plain > 0) NOT VALID;
CREATE TABLE without_key (at timestamp, clock timestamp DEFAULT now(), code char(3), price money, opened timetz, amount float8, document json, limited varchar(10), flag boolean);
CREATE VIEW of_without_key AS SELECT at, code FROM without_key;
CREATE TABLE anything (id int PRIMARY KEY, status text, b text, "user" int, c123456789012345678901234567890123456789012345678901234567890 int);
CREATE TABLE "order" (id bigint PRIMARY KEY, tags text[], "mixed Case" int);
CREATE INDEX ON "order" (tags);
CREATE TABLE "user_sessions" (id int PRIMARY KEY, deleted_at timestamptz, is_deleted boolean, deleted int);
CREATE TABLE "snake_case's" (id int PRIMARY KEY);
CREATE TABLE "camelCase" (id int PRIMARY KEY);
CREATE TABLE small (id int2 PRIMARY KEY GENERATED ALWAYS AS IDENTITY);
CREATE SEQUENCE narrow AS int;
CREATE TABLE narrowed (id bigint PRIMARY KEY DEFAULT nextval('narrow'));
ALTER SEQUENCE narrow OWNED BY narrowed.id;
CREATE SEQUENCE ends MAXVALUE 1000;
SELECT setval('small_id_seq', 32000), setval('ends', 990);
CREATE UNLOGGED TABLE crash (id int PRIMARY KEY);
CREATE RULE redirect AS ON INSERT TO crash DO ALSO NOTHING;
CREATE TABLE heir (more int) INHERITS (crash);
CREATE TABLE ended (at date, n int) PARTITION BY RANGE (at);
CREATE TABLE ended_1 PARTITION OF ended FOR VALUES FROM ('2020-01-01') TO ('2020-02-01');
CREATE TABLE ended_rest PARTITION OF ended DEFAULT;
CREATE TABLE no_partition (at date) PARTITION BY RANGE (at);
INSERT INTO ended VALUES ('2026-03-01', 1);
CREATE TABLE many (id int PRIMARY KEY, g int, half int, at timestamptz NOT NULL DEFAULT now()) WITH (autovacuum_enabled = off);
INSERT INTO many SELECT g, g % 2, nullif(g % 3, 0) FROM generate_series(1, 100000) g;
CREATE INDEX ON many (g);
CREATE INDEX many_twice ON many (g);
CREATE INDEX many_invalid ON many (half);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'many_invalid'::regclass;
CREATE TABLE assigned (id int PRIMARY KEY);
INSERT INTO assigned SELECT g * 21000000 FROM generate_series(1, 100) g;
ANALYZE many, assigned, ended_rest;
CREATE TABLE large (id int PRIMARY KEY, at timestamptz NOT NULL);
UPDATE pg_class SET relpages = 13107200 WHERE oid = 'large'::regclass;
CREATE COLLATION german (provider = icu, locale = 'de');
CREATE TABLE words (g text COLLATE german PRIMARY KEY);
CREATE TABLE words_parted (g text COLLATE german) PARTITION BY RANGE (g);
CREATE TABLE words_parted_1 PARTITION OF words_parted FOR VALUES FROM ('a') TO ('m');
UPDATE pg_collation SET collversion = '0.1' WHERE oid = 'german'::regcollation;
CREATE FUNCTION who() RETURNS text LANGUAGE plpgsql STABLE AS 'BEGIN RETURN current_setting(''app.user''); END';
CREATE FUNCTION "define's
it"(a int, b text) RETURNS int LANGUAGE plpgsql SECURITY DEFINER AS 'BEGIN RETURN 1; END';
DO $$ BEGIN EXECUTE format('CREATE FUNCTION on_writable() RETURNS int LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, %I AS ''BEGIN RETURN 1; END''', current_schema); END $$;
CREATE AGGREGATE ordered(text ORDER BY text) (SFUNC = array_append, STYPE = text[], INITCOND = '{}');
CREATE TRIGGER disabled AFTER UPDATE ON child FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE child DISABLE TRIGGER disabled;
CREATE TABLE closed (id int PRIMARY KEY);
ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
CREATE TABLE opened (id int PRIMARY KEY);
CREATE POLICY "mine's" ON opened USING (id > 0);
CREATE TABLE secured (id int PRIMARY KEY, owner text);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY anybody ON secured USING (true);
CREATE POLICY asks ON secured FOR SELECT USING (owner = who());
CREATE VIEW past AS SELECT * FROM secured;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM secured;
DO $$ BEGIN EXECUTE format('GRANT SELECT ON past, kept, secured, child TO regress_review_app'); END $$;

-- what a remedy must be
CREATE FUNCTION pg_temp.is_sql(text) RETURNS boolean LANGUAGE sql RETURN $1 ~ '^[A-Z]{2,}\M';
-- without what is quoted, to see where statements end
CREATE FUNCTION pg_temp.bare(text) RETURNS text LANGUAGE sql
    RETURN regexp_replace($1, $re$\mE'([^'\\]|''|\\.)*'|'([^']|'')*'|"([^"]|"")*"|\$\$.*?\$\$$re$, 'q', 'g');
CREATE FUNCTION pg_temp.fault(line text) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    IF line IN ('BEGIN;', 'COMMIT;') THEN RETURN NULL; END IF;
    IF NOT pg_temp.is_sql(line) THEN RETURN 'a sentence'; END IF;
    IF pg_temp.bare(line) !~ '^[^;]*;$' THEN RETURN 'not one statement'; END IF;
    EXECUTE 'DO ' || quote_literal('BEGIN IF false THEN ' || line || E'\nEND IF; END');
    RETURN NULL;
EXCEPTION WHEN syntax_error THEN RETURN SQLERRM;
END $$;
CREATE TEMP TABLE found AS
SELECT check_name, object, remedy, key FROM dbops.review_schema('{%}') WHERE object ~ 'review_it'
UNION ALL SELECT check_name, object, remedy, key FROM dbops.review_privileges('{%}')
UNION ALL SELECT check_name, object, remedy, key FROM dbops.review_settings();

SELECT count(DISTINCT check_name) >= 55 AS enough FROM found WHERE check_name IN (SELECT rule_name FROM dbops.rule_list() WHERE review = 'schema');
SELECT check_name, fault, line FROM found CROSS JOIN LATERAL unnest(string_to_array(remedy, E'\n')) line CROSS JOIN LATERAL pg_temp.fault(line) fault
 WHERE pg_temp.is_sql(remedy) AND fault IS NOT NULL ORDER BY check_name, line;
-- a sentence is one line, and does not begin as if it were a statement
SELECT check_name, remedy FROM found WHERE NOT pg_temp.is_sql(remedy) AND (remedy ~ E'\n' OR remedy !~ '^[A-Z][a-z ]') ORDER BY check_name, remedy;
-- each finding can be muted by itself
SELECT key FROM found GROUP BY key HAVING count(*) > 1;
-- names are spelled alike everywhere
SELECT check_name, object FROM found WHERE object ~ E'[\n\r]';

SET client_min_messages = warning;
DO $$ BEGIN EXECUTE format('DROP SCHEMA %I CASCADE', current_schema); END $$;
DROP ROLE regress_review_app;
