-- What a filter or a hold means stays what it was: under other settings, when names go to others, when the table gets another owner.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET client_min_messages = warning;
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
SET dbops.max_retention_percent = 100;	-- tables are small
\set now '''2030-08-01 00:00 UTC''::timestamptz'

-- Settings of the session that runs it: strings, numbers and money are read and written as when it was set.
CREATE TABLE regress_doc (id integer, at timestamptz, v text, x float8, b bytea);
INSERT INTO regress_doc SELECT i, :now - i * interval '1 day', CASE WHEN i % 2 = 0 THEN '1234' ELSE 'dddd' END, 0.1::float8 + 0.2, '\xff' FROM generate_series(1, 400) i;
SELECT dbops.place_hold('regress_doc', 'v ~ ''^\d+$'' AND id % 4 = 0', 'case 1') AS hold \gset
SELECT dbops.set_retention('regress_doc', 'at', '390 days', filter => 'v ~ ''^\d+$'' AND x::text = ''0.30000000000000004'' AND b::text = ''\xff''');
SET standard_conforming_strings = off;
SET escape_string_warning = off;
SET extra_float_digits = 0;
SET bytea_output = 'escape';
SET DateStyle = 'German';
CALL dbops.run_retention('regress_doc');
SELECT id, v FROM regress_doc WHERE id > 390 ORDER BY 1;
RESET standard_conforming_strings;
RESET extra_float_digits;
RESET bytea_output;
RESET DateStyle;
RESET escape_string_warning;
DROP TABLE regress_doc;
-- also of a partition that would go as a whole
CREATE TABLE regress_doc (at timestamptz NOT NULL, v text) PARTITION BY RANGE (at);
CREATE TABLE regress_doc_1 PARTITION OF regress_doc FOR VALUES FROM ('2029-01-01') TO ('2029-02-01');
CREATE TABLE regress_doc_2 PARTITION OF regress_doc FOR VALUES FROM ('2030-07-01') TO ('2030-10-01');
INSERT INTO regress_doc VALUES ('2029-01-05', '1234');
SELECT dbops.place_hold('regress_doc', 'v ~ ''^\d+$''', 'case 2') > 0 AS placed;
SELECT dbops.set_partitioning('regress_doc', every => '3 months', keep => '1 year', confirm => true) IS NOT NULL AS set;
SET standard_conforming_strings = off;
CALL dbops.run_partitioning('regress_doc', confirm => true);
RESET standard_conforming_strings;
SELECT * FROM regress_doc;
DROP TABLE regress_doc;

-- A hold must not depend on the time zone by way of a view either.
CREATE TABLE regress_doc (id integer, at timestamptz);
CREATE TABLE regress_case (doc integer, opened timestamptz, status text);
CREATE VIEW regress_opened AS SELECT doc FROM regress_case WHERE opened::date = '2030-03-02';
CREATE VIEW regress_legal AS SELECT doc, status FROM regress_case;
SELECT dbops.place_hold('regress_doc', 'id IN (SELECT doc FROM regress_opened)', 'case 3');
-- A column of another table that it reads, which another one gets the name of: all rows count as held, and the plan says so.
INSERT INTO regress_doc SELECT i, :now - i * interval '1 day' FROM generate_series(1, 400) i;
INSERT INTO regress_case SELECT i, :now, CASE WHEN i > 395 THEN 'legal' END FROM generate_series(391, 400) i;
SELECT dbops.place_hold('regress_doc', 'id IN (SELECT doc FROM regress_case WHERE status = ''legal'')', 'case 4') AS hold \gset
SELECT dbops.place_hold('regress_doc', 'id IN (SELECT doc FROM regress_legal WHERE status = ''legal'')', 'case 5') AS view_hold \gset
SELECT dbops.set_retention('regress_doc', 'at', '390 days');
BEGIN;
ALTER TABLE regress_case RENAME status TO status_was;
ALTER TABLE regress_case ADD status text;
SELECT object, row_count, replace(risk, :'hold', 'N') AS risk FROM dbops.retention_plan('regress_doc');
ROLLBACK;
-- the same when the table is swapped
ALTER TABLE regress_case RENAME TO regress_case_was;
CREATE TABLE regress_case (LIKE regress_case_was);
CALL dbops.run_retention('regress_doc');
SELECT count(*) FROM regress_doc WHERE id > 390;
-- a view follows by itself
SELECT dbops.release_hold(:hold);
ALTER TABLE regress_case_was RENAME status TO status_was;
CALL dbops.run_retention('regress_doc');
SELECT count(*) FROM regress_doc WHERE id > 390;
-- a filter is refused
SELECT dbops.release_hold(:view_hold);
SELECT dbops.set_retention('regress_doc', 'at', '390 days', filter => 'id NOT IN (SELECT doc FROM regress_case_was WHERE status_was = ''legal'')');
ALTER TABLE regress_case_was RENAME status_was TO status;
ALTER TABLE regress_case_was ADD status_was text;
CALL dbops.run_retention('regress_doc');
DROP VIEW regress_opened, regress_legal;
DROP TABLE regress_doc, regress_case, regress_case_was;

-- The table gets another owner: what the one before has written does not run with the rights of the new one, and all rows count as held.
CREATE ROLE regress_meaning;
CREATE SCHEMA regress_meaning AUTHORIZATION regress_meaning;
SELECT dbops.grant_access('regress_meaning', 'operator');
SET ROLE regress_meaning;
CREATE TABLE regress_meaning.doc (id integer, at timestamptz);
CREATE TABLE regress_meaning.ran (who text);
CREATE FUNCTION regress_meaning.note() RETURNS boolean LANGUAGE plpgsql VOLATILE AS $$BEGIN INSERT INTO regress_meaning.ran VALUES (current_user); RETURN false; END$$;
CREATE FUNCTION regress_meaning.look(integer) RETURNS boolean LANGUAGE plpgsql STABLE AS $$BEGIN RETURN regress_meaning.note(); END$$;
INSERT INTO regress_meaning.doc SELECT i, :now - i * interval '1 day' FROM generate_series(1, 400) i;
SELECT dbops.place_hold('regress_meaning.doc', 'regress_meaning.look(id)', 'case 6') AS hold \gset
RESET ROLE;
SELECT current_user AS me \gset
ALTER TABLE regress_meaning.doc OWNER TO :"me";
SELECT dbops.set_retention('regress_meaning.doc', 'at', '390 days');
SELECT object, row_count, replace(replace(risk, :'hold', 'N'), :'me', 'me') AS risk FROM dbops.retention_plan('regress_meaning.doc');
CALL dbops.run_retention('regress_meaning.doc');
SELECT count(*) FROM regress_meaning.doc WHERE id > 390;
SELECT * FROM regress_meaning.ran;
SELECT dbops.release_hold(:hold);
CALL dbops.run_retention('regress_meaning.doc');
SELECT count(*) FROM regress_meaning.doc WHERE id > 390;
DROP SCHEMA regress_meaning CASCADE;
SELECT dbops.revoke_access('regress_meaning');
DROP ROLE regress_meaning;
SELECT count(*) >= 0 FROM dbops.run_maintenance();
