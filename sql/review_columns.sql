-- Rules about what columns may hold.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_columns;
SET search_path = review_columns;

-- anything goes, but for the primary key; one NOT NULL, CHECK, key, foreign key or domain is enough, and so are two columns
CREATE TABLE anything (id int PRIMARY KEY, a text, b text);
CREATE TABLE two (id int PRIMARY KEY, a text);
CREATE TABLE has_not_null (id int PRIMARY KEY, a text NOT NULL, b text);
CREATE TABLE has_check (id int PRIMARY KEY, a text CHECK (a <> ''), b text);
CREATE TABLE has_unique (id int PRIMARY KEY, a text, b text UNIQUE);
CREATE TABLE has_index (id int PRIMARY KEY, a text, b text);
CREATE UNIQUE INDEX ON has_index (lower(a));
CREATE TABLE has_reference (id int PRIMARY KEY, a text, b int REFERENCES two);
CREATE DOMAIN word AS text CHECK (VALUE <> '');
CREATE TABLE has_domain (id int PRIMARY KEY, a word, b text);
SELECT * FROM pg_temp.found('tables.unconstrained');

-- words that name a state; statistics tell what is none
CREATE TYPE mood AS ENUM ('open', 'closed');
CREATE TABLE states (id int PRIMARY KEY, status text, "orderState" text, order_state varchar(20), checked_status text CHECK (checked_status IN ('a', 'b')),
    mood_status mood, status_text text, statutes text, upstate text, many_state text);
INSERT INTO states (id, status, order_state, many_state) SELECT g, 'open', 'closed', 'state ' || g FROM generate_series(1, 200) g;
CREATE TABLE addresses (id int PRIMARY KEY, city text, state text, status text);
SELECT object FROM pg_temp.found('columns.unchecked_state');
DROP TABLE addresses;
ANALYZE states;
SELECT * FROM pg_temp.found('columns.unchecked_state');

-- never null, of rows enough
CREATE TABLE full_ones (id int PRIMARY KEY, a int, b int, c int NOT NULL);
INSERT INTO full_ones SELECT g, g, nullif(g % 10, 0), g FROM generate_series(1, 1000) g;
CREATE TABLE few (id int PRIMARY KEY, a int);
INSERT INTO few SELECT g, g FROM generate_series(1, 100) g;
ANALYZE full_ones, few;
SELECT * FROM pg_temp.found('columns.never_null');
SELECT regexp_split_to_table(remedy, E'\n') FROM pg_temp.found('columns.never_null') \gexec
SELECT object FROM pg_temp.found('columns.never_null');

CREATE TABLE flags (a boolean, b boolean NOT NULL, c int);
SELECT * FROM pg_temp.found('columns.nullable_flag');
SELECT count(*) FROM dbops.review_schema() WHERE check_name IN ('columns.nullable_flag', 'columns.never_null');

-- a monitor is told the same, without rights on the tables
CREATE ROLE regress_review_monitor IN ROLE pg_monitor;
SET ROLE regress_review_monitor;
SELECT count(*) FROM dbops.review_schema('{columns.unchecked_state}') WHERE object LIKE 'review_columns%';
RESET ROLE;
DROP ROLE regress_review_monitor;
DROP SCHEMA review_columns CASCADE;
