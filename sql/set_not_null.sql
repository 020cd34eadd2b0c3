-- set_not_null(): its plan, what it completes, what it refuses and for whom it works. Under load, killed and beside locks it is tested elsewhere.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA snn;
SET search_path = snn, public;
-- the columns with NOT NULL, and what is left of constraints
CREATE VIEW state AS
    SELECT c.relname, string_agg(a.attname, ', ' ORDER BY a.attname) FILTER (WHERE a.attnotnull) AS not_null,
           (SELECT string_agg(k.conname || CASE WHEN k.convalidated THEN '' ELSE ' (not valid)' END, ', ' ORDER BY k.conname)
              FROM pg_constraint k WHERE k.conrelid = c.oid AND k.contype = 'c') AS checks
      FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     WHERE c.relnamespace = 'snn'::regnamespace AND c.relkind IN ('r', 'p') GROUP BY c.oid, c.relname;

CREATE TABLE orders (id int, state text, first text, last text, parsed text, opened boolean);
INSERT INTO orders SELECT i, CASE WHEN i % 3 = 0 THEN NULL ELSE 'new' END, 'F' || i, 'L' || i FROM generate_series(1, 1000) i;

-- the plan is printed, and nothing done
CALL dbops.set_not_null('orders', 'state', dry_run => true);
CALL dbops.set_not_null('orders', 'state', 'lower(first) || '' '' || last', lock_timeout => '1 second', dry_run => true);
SELECT * FROM state WHERE relname = 'orders';
SELECT count(*) FROM orders WHERE state IS NULL;

-- without fill a row with NULL ends it, and nothing is changed
CALL dbops.set_not_null('orders', 'state');
SELECT * FROM state WHERE relname = 'orders';

-- with fill; the same again
CALL dbops.set_not_null('orders', 'state', 'lower(first) || '' '' || last');
SELECT * FROM state WHERE relname = 'orders';
SELECT state, count(*) FROM orders WHERE id IN (1, 2, 3) GROUP BY state ORDER BY 1;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'orders'::regclass;
SET client_min_messages = notice;
CALL dbops.set_not_null('orders', 'state', 'lower(first) || '' '' || last');
CALL dbops.set_not_null('orders', 'state');
SET client_min_messages = warning;
CALL dbops.set_not_null('orders', 'state', dry_run => true);

-- without rows to be filled no fill is needed; a fill that reads another table is no trigger's
CALL dbops.set_not_null('orders', 'first');
UPDATE orders SET last = NULL WHERE id < 10;
CREATE TABLE names AS SELECT 'Doe' AS name;
CALL dbops.set_not_null('orders', 'last', '(SELECT max(last) FROM orders)');
CALL dbops.set_not_null('orders', 'last', '(SELECT max(name) FROM names) || id', dry_run => true);
CALL dbops.set_not_null('orders', 'last', '(SELECT max(name) FROM names) || id');
SELECT count(*) FROM orders WHERE last = 'Doe' || id;
SELECT * FROM state WHERE relname = 'orders';

-- what was cut off is completed, wherever that was
CREATE TABLE cut (a int, b int, c int, d int, e int);
INSERT INTO cut SELECT i, i, i, i, i FROM generate_series(1, 100) i;
ALTER TABLE cut ADD CONSTRAINT dbops_not_null_a CHECK (a IS NOT NULL) NOT VALID;
ALTER TABLE cut ADD CONSTRAINT dbops_not_null_b CHECK (b IS NOT NULL);
ALTER TABLE cut ADD CONSTRAINT dbops_not_null_c CHECK (c IS NOT NULL), ALTER c SET NOT NULL;
UPDATE cut SET d = NULL WHERE d < 50;
ALTER TABLE cut ADD CONSTRAINT dbops_not_null_d CHECK (d IS NOT NULL) NOT VALID;
SELECT * FROM state WHERE relname = 'cut';
CALL dbops.set_not_null('cut', 'a', dry_run => true);
CALL dbops.set_not_null('cut', 'a');
CALL dbops.set_not_null('cut', 'b');
CALL dbops.set_not_null('cut', 'c');
CALL dbops.set_not_null('cut', 'd', 'e');
SELECT * FROM state WHERE relname = 'cut';
SELECT count(*) FROM cut WHERE d = e;

-- a row that was written with NULL before our constraint was there: it is taken away again
CREATE TABLE late (a int, b int);
INSERT INTO late VALUES (NULL, NULL), (1, 1);
ALTER TABLE late ADD CONSTRAINT dbops_not_null_a CHECK (a IS NOT NULL) NOT VALID;
CALL dbops.set_not_null('late', 'a');
SELECT * FROM state WHERE relname = 'late';

-- what is filled with NULL ends with an error
CALL dbops.set_not_null('late', 'a', 'NULL');
CALL dbops.set_not_null('late', 'a', 'nullif(1, 1)');
CALL dbops.set_not_null('late', 'a', 'b + 1');
SELECT * FROM state WHERE relname = 'late';
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'late'::regclass;
CALL dbops.set_not_null('late', 'a', 'coalesce(b, 0)');
SELECT * FROM state WHERE relname = 'late';

-- constraints that are there are asked as the server asks them
CREATE TABLE proven (a int, b int, c int, CHECK (a IS NOT NULL AND a > 0), CHECK (b IS NOT NULL OR c IS NOT NULL));
ALTER TABLE proven ADD CONSTRAINT later CHECK (c IS NOT NULL) NOT VALID;
CALL dbops.set_not_null('proven', 'a', dry_run => true);
CALL dbops.set_not_null('proven', 'b', dry_run => true);
CALL dbops.set_not_null('proven', 'c', dry_run => true);
CALL dbops.set_not_null('proven', 'a');
SELECT * FROM state WHERE relname = 'proven';

-- what a call has left that was cut off before it was proven so
CREATE TABLE behind (a int, c int, CHECK (a IS NOT NULL AND a > 0));
ALTER TABLE behind ADD CONSTRAINT dbops_not_null_a CHECK (a IS NOT NULL) NOT VALID;
CALL dbops.set_not_null('behind', 'a', dry_run => true);
CALL dbops.set_not_null('behind', 'a');
SELECT * FROM state WHERE relname = 'behind';
ALTER TABLE behind ADD CONSTRAINT dbops_not_null_c CHECK (c IS NOT NULL) NOT VALID;
ALTER TABLE behind RENAME c TO d;
SELECT command FROM dbops.unfinished_changes() WHERE command LIKE '%behind%';

-- partitions on two levels, with columns in another order; children that have more
CREATE TABLE part (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (100) PARTITION BY LIST (id);
CREATE TABLE part_3 (v int, gone int, id int);
ALTER TABLE part_3 DROP COLUMN gone;
ALTER TABLE part_2 ATTACH PARTITION part_3 DEFAULT;
INSERT INTO part SELECT i, nullif(i % 4, 0) FROM generate_series(1, 99) i;
CALL dbops.set_not_null('part', 'v');
CALL dbops.set_not_null('part', 'v', 'id');
SELECT * FROM state WHERE relname LIKE 'part%' ORDER BY 1;
CREATE TABLE parent (v int);
CREATE TABLE child (more int) INHERITS (parent);
INSERT INTO child VALUES (NULL, 4);
CALL dbops.set_not_null('parent', 'v', '7');
SELECT * FROM state WHERE relname IN ('parent', 'child') ORDER BY 1;
TABLE child;
-- a constraint that stays of a call for the table above, and one for a table below
CREATE TABLE above (v int);
CREATE TABLE below () INHERITS (above);
INSERT INTO below VALUES (1);
ALTER TABLE above ADD CONSTRAINT dbops_not_null_v CHECK (v IS NOT NULL) NOT VALID;
CALL dbops.set_not_null('below', 'v');
CALL dbops.set_not_null('above', 'v');
SELECT relname, attnotnull FROM pg_attribute a JOIN pg_class c ON c.oid = attrelid WHERE relname IN ('above', 'below') AND attname = 'v' ORDER BY 1;
CREATE TABLE above_2 (v int);
CREATE TABLE below_2 () INHERITS (above_2);
INSERT INTO below_2 VALUES (1);
ALTER TABLE below_2 ADD CONSTRAINT dbops_not_null_v CHECK (v IS NOT NULL) NOT VALID;
CALL dbops.set_not_null('above_2', 'v');
SELECT conrelid::regclass, conname FROM pg_constraint WHERE conname LIKE 'dbops%';
CALL dbops.set_not_null('above_2', 'v');

-- names as they come; a row of NULLs is none; domains and generated columns
CREATE TABLE "Odd ""T'" ("Col ""C'" int, "ääääääääääääääääääääääääääääääx" int, "ääääääääääääääääääääääääääääääy" int);
INSERT INTO "Odd ""T'" VALUES (NULL, NULL, NULL);
CALL dbops.set_not_null('"Odd ""T''"', 'Col "C''', '1');
CALL dbops.set_not_null('"Odd ""T''"', 'ääääääääääääääääääääääääääääääx', '2', dry_run => true);
CALL dbops.set_not_null('"Odd ""T''"', 'ääääääääääääääääääääääääääääääx', '2');
CALL dbops.set_not_null('"Odd ""T''"', 'ääääääääääääääääääääääääääääääy', '"Col ""C''" + 2');
TABLE "Odd ""T'";
SELECT * FROM state WHERE relname LIKE 'Odd%';
CREATE TYPE pair AS (x int, y int);
CREATE DOMAIN small AS int CHECK (VALUE < 100);
CREATE TABLE kinds (p pair, s small, g int GENERATED ALWAYS AS (s + 1) STORED);
INSERT INTO kinds VALUES (ROW(NULL, NULL), NULL), (NULL, 1);
CALL dbops.set_not_null('kinds', 'p', 'ROW(1, 2)');
CALL dbops.set_not_null('kinds', 's', '1000');
CALL dbops.set_not_null('kinds', 's', '10');
CALL dbops.set_not_null('kinds', 'g', '1');
CALL dbops.set_not_null('kinds', 'g');
SELECT * FROM kinds ORDER BY 1;
SELECT * FROM state WHERE relname = 'kinds';

-- bad input
CALL dbops.set_not_null(NULL, 'v');
CALL dbops.set_not_null('orders', NULL);
CALL dbops.set_not_null(1::regclass, 'v');
CALL dbops.set_not_null('orders', 'State');
CALL dbops.set_not_null('orders', 'ctid');
CALL dbops.set_not_null('orders', '........pg.dropped.1........');
CALL dbops.set_not_null('state', 'relname');
CREATE MATERIALIZED VIEW seen AS SELECT 1 AS v;
CALL dbops.set_not_null('seen', 'v');
CALL dbops.set_not_null('pg_catalog.pg_class', 'relname');
CALL dbops.set_not_null('orders', 'parsed', '1, 2');
CALL dbops.set_not_null('orders', 'parsed', '''x'' WHERE true');
CALL dbops.set_not_null('orders', 'parsed', '''x''; DROP TABLE orders');
CALL dbops.set_not_null('orders', 'parsed', '');
CALL dbops.set_not_null('orders', 'parsed', 'no_such_column');
CALL dbops.set_not_null('orders', 'parsed', 'count(*)');
CALL dbops.set_not_null('orders', 'opened', 'id');
CALL dbops.set_not_null('part', 'id', '1');
CALL dbops.set_not_null('orders', 'parsed', lock_timeout => '0');
CREATE TABLE taken (v int, w int, CONSTRAINT dbops_not_null_v CHECK (w > 0));
CALL dbops.set_not_null('taken', 'v');
BEGIN;
CALL dbops.set_not_null('orders', 'parsed', '1');
ROLLBACK;

-- for members of the owner, who have been given the call
CREATE ROLE regress_snn_owner;
CREATE ROLE regress_snn_member IN ROLE regress_snn_owner;
CREATE ROLE regress_snn_stranger;
GRANT USAGE ON SCHEMA snn TO regress_snn_owner, regress_snn_stranger;
CREATE TABLE owned (v text);
INSERT INTO owned VALUES (NULL);
ALTER TABLE owned OWNER TO regress_snn_owner;
SET ROLE regress_snn_member;
CALL dbops.set_not_null('owned', 'v', 'current_user::text');
RESET ROLE;
SELECT dbops.grant_access('regress_snn_member', 'operator');
SELECT dbops.grant_access('regress_snn_stranger', 'operator');
SET ROLE regress_snn_stranger;
CALL dbops.set_not_null('owned', 'v', 'current_user::text');
SET ROLE regress_snn_member;
CALL dbops.set_not_null('owned', 'v', 'lower(''X'')');
RESET ROLE;
-- what stands in a constraint is not evaluated for the proof
CREATE FUNCTION leave() RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$BEGIN RAISE WARNING 'evaluated as %', current_user; RETURN 1; END$$;
SET client_min_messages = error;
ALTER TABLE owned ADD w int, ADD CHECK (leave() > 0);
SET client_min_messages = warning;
CALL dbops.set_not_null('owned', 'w', '1', dry_run => true);
TABLE owned;
SELECT * FROM state WHERE relname = 'owned';

-- where rows cannot be changed, or not be seen, nothing is begun; what is proven needs neither
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TABLE deferring (v int, w int, CHECK (w IS NOT NULL));
INSERT INTO deferring VALUES (NULL, 1);
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON deferring DEFERRABLE FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE deferring OWNER TO regress_snn_owner;
CREATE TABLE hidden (v int, w int, CHECK (w IS NOT NULL));
INSERT INTO hidden VALUES (NULL, 1);
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY, OWNER TO regress_snn_owner;
CALL dbops.set_not_null('deferring', 'v', '1', dry_run => true);
CALL dbops.set_not_null('deferring', 'v', '1');
CALL dbops.set_not_null('hidden', 'v', '1');
CALL dbops.set_not_null('hidden', 'v');
SELECT * FROM state WHERE relname IN ('deferring', 'hidden') ORDER BY 1;
SELECT DISTINCT state FROM dbops.job WHERE name ~ '^snn\.(deferring|hidden)';
CALL dbops.set_not_null('deferring', 'w', '1');
CALL dbops.set_not_null('hidden', 'w');
SELECT * FROM state WHERE relname IN ('deferring', 'hidden') ORDER BY 1;

SELECT dbops.revoke_access('regress_snn_member');
SELECT dbops.revoke_access('regress_snn_stranger');
DROP SCHEMA snn CASCADE;
DROP ROLE regress_snn_member, regress_snn_stranger, regress_snn_owner;
