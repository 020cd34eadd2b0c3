-- add_column(): when only the catalog is changed and when rows are, what it completes, what it refuses and for whom it works.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA adc;
SET search_path = adc, public;
CREATE VIEW state AS
    SELECT c.relname, a.attname, format_type(a.atttypid, a.atttypmod) AS type, a.attnotnull AS not_null,
           pg_get_expr(d.adbin, d.adrelid) AS default_value,
           (SELECT string_agg(i.indexrelid::regclass::text || CASE WHEN i.indisvalid THEN '' ELSE ' (invalid)' END, ', ' ORDER BY 1)
              FROM pg_index i WHERE i.indrelid = c.oid AND a.attnum = i.indkey[0]) AS indexes,
           (SELECT count(*) FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 1 AND NOT a.attisdropped
      LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
     WHERE c.relnamespace = 'adc'::regnamespace AND c.relkind IN ('r', 'p');

CREATE TABLE orders (id int);
INSERT INTO orders SELECT generate_series(1, 1000);
SELECT pg_relation_filenode('orders') AS file \gset

-- a default that is the same for all rows, in the catalog only
CALL dbops.add_column('orders', 'state', 'varchar(10)', '''new''', true, true, dry_run => true);
SELECT count(*) FROM state WHERE relname = 'orders';
CALL dbops.add_column('orders', 'state', 'varchar(10)', '''new''', true, true);
CALL dbops.add_column('orders', 'note', 'text');
CALL dbops.add_column('orders', 'at', 'timestamptz', 'now()', true);
CALL dbops.add_column('orders', 'tags', 'text[]', 'array[''a'', ''b'']');
CALL dbops.add_column('orders', 'price', 'numeric(10, 2)', 'NULL');
CALL dbops.add_column('orders', 'ratio', 'double precision', '1 / 3::float8 -- a third');
SELECT attname, type, not_null, default_value, indexes, checks FROM state WHERE relname = 'orders' ORDER BY attname;
SELECT state, note, tags, price, count(*), count(DISTINCT at) FROM orders GROUP BY state, note, tags, price;

-- one that differs, without a rewrite
CALL dbops.add_column('orders', 'token', 'uuid', 'gen_random_uuid()', true, true, dry_run => true);
CALL dbops.add_column('orders', 'token', 'uuid', 'gen_random_uuid()', true, true);
CREATE SEQUENCE numbers;
CALL dbops.add_column('orders', 'number', 'bigint', 'nextval(''numbers'')', dry_run => true);
CALL dbops.add_column('orders', 'number', 'bigint', 'nextval(''numbers'')');
SELECT attname, type, not_null, default_value, indexes, checks FROM state WHERE attname IN ('token', 'number') ORDER BY attname;
SELECT count(DISTINCT token), count(DISTINCT number), min(number), max(number) FROM orders;
INSERT INTO orders (id) VALUES (0);
SELECT token IS NOT NULL AS has_token, number FROM orders WHERE id = 0;
SELECT pg_relation_filenode('orders') = :file AS not_rewritten;

-- the same again does nothing
SET client_min_messages = notice;
CALL dbops.add_column('orders', 'state', 'varchar(10)', '''new''', true, true);
CALL dbops.add_column('orders', 'note', 'text');
CALL dbops.add_column('orders', 'at', 'timestamptz', 'now()', true);
CALL dbops.add_column('orders', 'token', 'uuid', 'gen_random_uuid()', true, true);
SET client_min_messages = warning;

-- what was cut off, or made by hand, is completed
CREATE TABLE cut (id int, a uuid, b uuid DEFAULT gen_random_uuid(), c uuid DEFAULT gen_random_uuid(), d int, e int DEFAULT 3, f int);
INSERT INTO cut SELECT i, NULL, CASE WHEN i < 50 THEN gen_random_uuid() END FROM generate_series(1, 100) i;
ALTER TABLE cut ADD CONSTRAINT dbops_not_null_c CHECK (c IS NOT NULL) NOT VALID;
CALL dbops.add_column('cut', 'a', 'uuid', 'gen_random_uuid()', true);
CALL dbops.add_column('cut', 'b', 'uuid', 'gen_random_uuid()', true, true);
CALL dbops.add_column('cut', 'c', 'uuid', 'gen_random_uuid()', true);
CALL dbops.add_column('cut', 'd', 'int', '7', true, dry_run => true);
CALL dbops.add_column('cut', 'd', 'int', '7', true);
CALL dbops.add_column('cut', 'e', 'int', not_null => true, with_index => true);
CALL dbops.add_column('cut', 'f', 'int', '8', dry_run => true);
CALL dbops.add_column('cut', 'f', 'int', '8');
SELECT attname, type, not_null, default_value, indexes, checks FROM state WHERE relname = 'cut' ORDER BY attname;
SELECT count(*), count(DISTINCT a), count(DISTINCT b), count(DISTINCT c), min(d), max(d), count(f) FROM cut;

-- an index of the name that a build has left invalid is built anew
CREATE TABLE halves (id int);
INSERT INTO halves VALUES (1), (2);
ALTER TABLE halves ADD COLUMN v int DEFAULT 1;
CREATE INDEX halves_v_idx ON halves (v);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'halves_v_idx'::regclass;
CALL dbops.add_column('halves', 'v', 'int', '1', with_index => true);
SELECT attname, indexes FROM state WHERE relname = 'halves';

-- NOT NULL without a default takes an empty table
CALL dbops.add_column('orders', 'must', 'int', not_null => true);
CALL dbops.add_column('orders', 'must', 'int', 'nullif(1, 1)', not_null => true);
CREATE TABLE nothing (id int);
CALL dbops.add_column('nothing', 'must', 'int', not_null => true, dry_run => true);
CALL dbops.add_column('nothing', 'must', 'int', not_null => true);
SELECT attname, type, not_null FROM state WHERE relname = 'nothing';

-- a default that fails for a row is not set, as each INSERT would fail then
CREATE SEQUENCE apart;
REVOKE ALL ON SEQUENCE apart FROM PUBLIC;
CREATE ROLE regress_adc_without;
CREATE TABLE failing (id int);
INSERT INTO failing VALUES (1);
GRANT ALL ON SCHEMA adc TO regress_adc_without;
ALTER TABLE failing OWNER TO regress_adc_without;
CALL dbops.add_column('failing', 'a', 'bigint', 'nextval(''adc.apart'')', true);
CALL dbops.add_column('failing', 'b', 'int', '1 / (random() * 0)::int');
INSERT INTO failing VALUES (2);
SELECT attname FROM state WHERE relname = 'failing';
DROP TABLE failing;
REVOKE ALL ON SCHEMA adc FROM regress_adc_without;
DROP ROLE regress_adc_without;

-- domains
CREATE DOMAIN word AS text;
CREATE DOMAIN positive AS int CHECK (VALUE > 0);
CREATE DOMAIN one AS int DEFAULT 1;
CALL dbops.add_column('halves', 'w', 'word', 'md5(random()::text)', true);
CALL dbops.add_column('halves', 'p', 'positive');
CALL dbops.add_column('halves', 'o', 'one');
CALL dbops.add_column('halves', 'o', 'one', 'NULL');
CALL dbops.add_column('nothing', 'o', 'one', 'NULL', true);
INSERT INTO nothing (must) VALUES (1) RETURNING o;
DELETE FROM nothing;
CALL dbops.add_column('halves', 'o2', 'one', 'floor(random())::int + 2', true);
CALL dbops.add_column('nothing', 'p', 'positive', '1');
SELECT relname, attname, type, not_null FROM state WHERE attname IN ('w', 'p', 'o', 'o2') ORDER BY 1, 2;
SELECT count(DISTINCT w), count(o), min(o2), max(o2) FROM halves;

-- partitions, none too, and children
CREATE TABLE halves_key (v int PRIMARY KEY);
CREATE TABLE part (id int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id);
CREATE TABLE part_3 PARTITION OF part_2 DEFAULT;
INSERT INTO part SELECT generate_series(1, 50);
CALL dbops.add_column('part', 'token', 'uuid', 'gen_random_uuid()', true, true);
CALL dbops.add_column('part', 'state', 'text', '''new''', true, true);
SELECT relname, attname, not_null, default_value, indexes, checks FROM state WHERE relname LIKE 'part%' ORDER BY 1, 2;
SELECT count(DISTINCT token), count(state) FROM part;
CALL dbops.add_column('part_1', 'more', 'int');
CREATE TABLE without (id int) PARTITION BY RANGE (id);
CALL dbops.add_column('without', 'v', 'int', '1', true, true);
SELECT attname, not_null, default_value, indexes FROM state WHERE relname = 'without';
CALL dbops.add_unique('without', '{id,v}');
CALL dbops.add_foreign_key('without', '{v}', 'halves_key');
SELECT conname, convalidated FROM pg_constraint WHERE conrelid = 'without'::regclass AND contype IN ('u', 'f') ORDER BY 1;
CREATE TABLE parent (id int);
CREATE TABLE child (more int) INHERITS (parent);
INSERT INTO child VALUES (1, 1), (2, 2);
CALL dbops.add_column('parent', 'token', 'uuid', 'gen_random_uuid()', true);
SELECT count(DISTINCT token) FROM parent;

-- names as they come; types that only the call's search_path has
CREATE TYPE "Mood, ""so""" AS ENUM ('fine');
CREATE TABLE "Odd ""T'" (id int);
INSERT INTO "Odd ""T'" VALUES (1);
CALL dbops.add_column('"Odd ""T''"', 'Col "C''', '"Mood, ""so"""', '''fine''', true, true, dry_run => true);
CALL dbops.add_column('"Odd ""T''"', 'Col "C''', '"Mood, ""so"""', '''fine''', true, true);
CALL dbops.add_column('"Odd ""T''"', 'äääääääääääääääääääääääääääääää', 'float8', 'random()', true, true);
SELECT attname, type, not_null, default_value, indexes, checks FROM state WHERE relname LIKE 'Odd%' ORDER BY 1;

-- a column that is there and is another
CALL dbops.add_column('orders', 'state', 'text', '''new''');
CALL dbops.add_column('orders', 'state', 'varchar(20)', '''new''');
CALL dbops.add_column('orders', 'state', 'varchar(10)', '''old''');
CREATE TABLE made (id int, g int GENERATED ALWAYS AS (id + 1) STORED, i int GENERATED ALWAYS AS IDENTITY);
CALL dbops.add_column('made', 'g', 'int');
CALL dbops.add_column('made', 'i', 'int');
CALL dbops.add_column('made', 'xmin', 'int');

-- bad input
CALL dbops.add_column(NULL, 'v', 'int');
CALL dbops.add_column('orders', NULL, 'int');
CALL dbops.add_column('orders', '', 'int');
CALL dbops.add_column('orders', 'v', NULL);
CALL dbops.add_column('orders', 'v', 'int, w int');
CALL dbops.add_column('orders', 'v', 'int DEFAULT 1');
CALL dbops.add_column('orders', 'v', 'int; DROP TABLE orders');
CALL dbops.add_column('orders', 'v', 'no_such_type');
CALL dbops.add_column('orders', 'v', 'setof int');
CALL dbops.add_column('orders', 'v', 'anyelement');
CALL dbops.add_column('orders', 'v', 'bigserial');
CALL dbops.add_column('orders', 'v', 'point', with_index => true);
CALL dbops.add_column('orders', 'v', 'int', '1, 2');
CALL dbops.add_column('orders', 'v', 'int', '1; DROP TABLE orders');
CALL dbops.add_column('orders', 'v', 'int', '''x''');
CALL dbops.add_column('orders', 'v', 'int', 'true');
CALL dbops.add_column('orders', 'v', 'int', 'id + 1');
CALL dbops.add_column('orders', 'v', 'int', '(SELECT 1)');
CALL dbops.add_column('state', 'v', 'int');
CALL dbops.add_column('pg_catalog.pg_class', 'v', 'int');
DO $$BEGIN EXECUTE 'CREATE TABLE wide (' || (SELECT string_agg(format('c%s bool', n), ', ') FROM generate_series(1, 1600) n) || ')'; END$$;
ALTER TABLE wide DROP COLUMN c3;
CALL dbops.add_column('wide', 'v', 'int');
CALL dbops.change_type('wide', 'c1', 'int', 'c1::int');
DROP TABLE wide;
CALL dbops.add_column('orders', 'v', '');
CREATE TYPE pair AS (x int, y int);
CREATE TABLE typed OF pair;
CALL dbops.add_column('typed', 'v', 'int');
BEGIN;
CALL dbops.add_column('orders', 'v', 'int');
ROLLBACK;

-- for members of the owner, who have been given the call; a default is the owner's code
CREATE ROLE regress_adc_owner;
CREATE ROLE regress_adc_member IN ROLE regress_adc_owner;
CREATE ROLE regress_adc_stranger;
GRANT USAGE ON SCHEMA adc TO regress_adc_owner, regress_adc_stranger;
CREATE TABLE owned (id int);
INSERT INTO owned VALUES (1);
ALTER TABLE owned OWNER TO regress_adc_owner;
SET ROLE regress_adc_member;
CALL dbops.add_column('owned', 'v', 'int');
RESET ROLE;
SELECT dbops.grant_access('regress_adc_member', 'operator');
SELECT dbops.grant_access('regress_adc_stranger', 'operator');
SET ROLE regress_adc_stranger;
CALL dbops.add_column('owned', 'v', 'int');
SET ROLE regress_adc_member;
CALL dbops.add_column('owned', 'v', 'text', 'current_user || clock_timestamp()', true);
RESET ROLE;
CALL dbops.add_column('owned', 'w', 'text', 'current_user::text', true);
SELECT v LIKE 'regress_adc_owner%' AS v, w FROM owned;

SELECT dbops.revoke_access('regress_adc_member');
SELECT dbops.revoke_access('regress_adc_stranger');
-- NULL that is written afterwards stays.
CREATE TABLE written (id int PRIMARY KEY);
INSERT INTO written SELECT generate_series(1, 3);
CALL dbops.add_column('written', 'key', 'uuid', 'gen_random_uuid()');
UPDATE written SET key = NULL WHERE id = 1;
CALL dbops.add_column('written', 'key', 'uuid', 'gen_random_uuid()');
SELECT id, key IS NULL AS is_null FROM written ORDER BY id;

-- A column that was dropped is another than the one that comes in its place.
ALTER TABLE written DROP COLUMN key;
CALL dbops.add_column('written', 'key', 'uuid', 'gen_random_uuid()');
SELECT count(key) FROM written;
-- Also when something else is left to be done.
UPDATE written SET key = NULL WHERE id = 1;
CALL dbops.add_column('written', 'key', 'uuid', 'gen_random_uuid()', with_index => true);
SELECT count(key) FROM written;
-- A column that has the default is done, unless a constraint says that a call was cut off.
ALTER TABLE written ADD COLUMN made uuid;
ALTER TABLE written ALTER COLUMN made SET DEFAULT gen_random_uuid();
SET client_min_messages = notice;
CALL dbops.add_column('written', 'made', 'uuid', 'gen_random_uuid()');
SET client_min_messages = warning;
CREATE FUNCTION not_yet() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN RAISE 'not yet'; END$$;
CREATE TRIGGER not_yet BEFORE UPDATE ON written FOR EACH ROW EXECUTE FUNCTION not_yet();
\set VERBOSITY sqlstate
CALL dbops.add_column('written', 'half', 'uuid', 'gen_random_uuid()');
\set VERBOSITY default
DROP TRIGGER not_yet ON written;
SELECT count(half) FROM written;
SELECT conname, pg_get_constraintdef(oid) FROM pg_constraint WHERE conrelid = 'written'::regclass AND contype = 'c';
SELECT command FROM dbops.unfinished_changes() WHERE command LIKE '%half%' ORDER BY command COLLATE "C";
CALL dbops.add_column('written', 'half', 'uuid', 'gen_random_uuid()');
SELECT count(half) FROM written;
SELECT conname FROM pg_constraint WHERE conrelid = 'written'::regclass AND contype = 'c';
-- The default may have been dropped meanwhile.
ALTER TABLE written ADD CONSTRAINT dbops_fill_half CHECK ((half IS NULL) IS NOT NULL) NOT VALID, ALTER half DROP DEFAULT;
CALL dbops.add_column('written', 'half', 'uuid', 'gen_random_uuid()');
SELECT conname FROM pg_constraint WHERE conrelid = 'written'::regclass AND contype = 'c';

-- Where rows cannot be changed, or not be seen, nothing is begun.
CREATE ROLE regress_adc_other;
GRANT USAGE ON SCHEMA adc TO regress_adc_other;
CREATE TABLE deferring (id int);
INSERT INTO deferring VALUES (1);
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON deferring DEFERRABLE FOR EACH ROW EXECUTE FUNCTION not_yet();
ALTER TABLE deferring OWNER TO regress_adc_other;
CREATE TABLE hidden (id int);
INSERT INTO hidden VALUES (1);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO regress_adc_other;
CREATE TABLE ruled (id int) PARTITION BY LIST (id);
CREATE TABLE ruled_1 PARTITION OF ruled FOR VALUES IN (1);
CREATE RULE away AS ON UPDATE TO ruled_1 DO INSTEAD NOTHING;
CALL dbops.add_column('deferring', 'v', 'uuid', 'gen_random_uuid()', true);
CALL dbops.add_column('deferring', 'v', 'uuid', 'gen_random_uuid()', dry_run => true);
CALL dbops.add_column('hidden', 'v', 'uuid', 'gen_random_uuid()');
CALL dbops.add_column('hidden', 'v', 'int', not_null => true);
CALL dbops.add_column('hidden', 'v', 'positive');
CALL dbops.add_column('ruled', 'v', 'uuid', 'gen_random_uuid()');
CALL dbops.add_column('part', 'id', 'int', '1', true);
SELECT relname, attname, default_value FROM state WHERE relname IN ('deferring', 'hidden', 'ruled', 'ruled_1');
SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = 'part'::regclass AND adnum = 1;
CALL dbops.add_column('deferring', 'w', 'int', '1', true);
CALL dbops.add_column('hidden', 'w', 'int', '1', true);
SELECT relname, attname, default_value FROM state WHERE relname IN ('deferring', 'hidden') ORDER BY 1;

-- A child that has such a column would be taken over as it is.
CREATE TABLE elder (a int);
CREATE TABLE younger (a int, b int) INHERITS (elder);
CALL dbops.add_column('elder', 'b', 'int', '5', not_null => true);

DROP SCHEMA adc CASCADE;
DROP ROLE regress_adc_other, regress_adc_member, regress_adc_stranger, regress_adc_owner;
