-- Rules about names and comments, and about how tables are kept.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_names;
SET search_path = review_names;

-- words that SQL reserves; those that it only knows are free
CREATE TABLE "user" (id int, "order" int, status int, name text);
CREATE TABLE "User" (id int);
SELECT * FROM pg_temp.found('names.reserved');
-- names that may have been cut
CREATE TABLE n12345678901234567890123456789012345678901234567890123456789 (a int, c123456789012345678901234567890123456789012345678901234567890 int);
CREATE TABLE n1234567890123456789012345678901234567890123456789012345678 (a int);
SELECT * FROM pg_temp.found('names.long');
-- taste, for who asks
SELECT * FROM pg_temp.found('names.quoted');
CREATE TABLE snake_case (id int);
SELECT * FROM pg_temp.found('names.mixed');
DROP TABLE "User";
SELECT * FROM pg_temp.found('names.mixed');
SELECT count(*) FROM dbops.review_schema() WHERE check_name IN ('names.quoted', 'names.mixed', 'columns.undocumented');

-- comments, by schema and by table
DROP TABLE "user", n1234567890123456789012345678901234567890123456789012345678;
SELECT format('DROP TABLE %s', oid::regclass) FROM pg_class WHERE relnamespace = 'review_names'::regnamespace AND relkind = 'r' AND relname <> 'snake_case' \gexec
CREATE TABLE said (id int);
COMMENT ON TABLE said IS 'it is';
SELECT * FROM pg_temp.found('tables.undocumented');
COMMENT ON TABLE snake_case IS 'so it is';
SELECT object FROM pg_temp.found('tables.undocumented');
SELECT * FROM pg_temp.found('columns.undocumented');
COMMENT ON COLUMN said.id IS 'a number';
SELECT object FROM pg_temp.found('columns.undocumented');

-- autovacuum that is turned off, for the table or its long values, of rows enough
CREATE TABLE unvacuumed (id int) WITH (autovacuum_enabled = off);
CREATE TABLE unvacuumed_toast (id int, t text) WITH (toast.autovacuum_enabled = false);
CREATE TABLE unvacuumed_few (id int) WITH (autovacuum_enabled = off);
CREATE TABLE vacuumed (id int) WITH (autovacuum_enabled = on);
INSERT INTO unvacuumed SELECT generate_series(1, 10000);
INSERT INTO unvacuumed_toast SELECT generate_series(1, 10000);
INSERT INTO vacuumed SELECT generate_series(1, 10000);
ANALYZE unvacuumed, unvacuumed_toast, vacuumed;
SELECT * FROM pg_temp.found('tables.autovacuum_off');
SELECT remedy FROM pg_temp.found('tables.autovacuum_off') \gexec
SELECT object FROM pg_temp.found('tables.autovacuum_off');

CREATE UNLOGGED TABLE crash (id int);
SELECT * FROM pg_temp.found('tables.unlogged');
CREATE UNLOGGED TABLE crash_parent (id int PRIMARY KEY);
CREATE UNLOGGED TABLE crash_child (id int PRIMARY KEY REFERENCES crash_parent);
CREATE UNLOGGED TABLE crash_self (id int PRIMARY KEY, parent int REFERENCES crash_self);
SELECT object, remedy FROM pg_temp.found('tables.unlogged') WHERE object LIKE '%\_%\_%';
SELECT remedy FROM pg_temp.found('tables.unlogged') WHERE remedy LIKE 'ALTER%' ORDER BY object DESC \gexec
SELECT remedy FROM pg_temp.found('tables.unlogged') \gexec
SELECT object FROM pg_temp.found('tables.unlogged');

-- rules; a view is made of one
CREATE RULE "Redirect" AS ON INSERT TO crash DO ALSO NOTHING;
CREATE VIEW looks AS SELECT * FROM crash;
SELECT * FROM pg_temp.found('tables.rewrite_rules');

-- the old inheritance, and partitions, which are none
CREATE TABLE heir (more int) INHERITS (crash);
CREATE TABLE parted (id int) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
SELECT * FROM pg_temp.found('tables.inheritance');

-- columns that were dropped count
SELECT format('CREATE TABLE wide (%s)', string_agg('c' || g || ' int', ', ')) FROM generate_series(1, 1200) g \gexec
SELECT format('ALTER TABLE wide %s', string_agg('DROP COLUMN c' || g, ', ')) FROM generate_series(2, 1000) g \gexec
SELECT format('CREATE TABLE wide_yet (%s)', string_agg('c' || g || ' int', ', ')) FROM generate_series(1, 100) g \gexec
SELECT * FROM pg_temp.found('tables.column_limit');
SELECT * FROM pg_temp.found('tables.wide');

DROP SCHEMA review_names CASCADE;
