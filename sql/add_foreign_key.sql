-- add_foreign_key(): its plan, what it completes, what it refuses and for whom it works.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA afk;
SET search_path = afk, public;
CREATE VIEW state AS
    SELECT c.relname, k.conname, k.convalidated AS valid, pg_get_constraintdef(k.oid) AS definition
      FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'f'
     WHERE c.relnamespace = 'afk'::regnamespace AND (k.conparentid = 0 OR c.relispartition);
CREATE VIEW indexes AS
    SELECT c.relname, x.relname AS index_name, i.indisvalid AS valid
      FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid WHERE c.relnamespace = 'afk'::regnamespace;

CREATE TABLE customers (id int PRIMARY KEY, region int, code text, UNIQUE (region, code));
CREATE TABLE orders (id int, customer_id bigint, other_id int, region int, code text);
INSERT INTO customers SELECT i, i % 7, 'c' || i FROM generate_series(1, 1000) i;
INSERT INTO orders SELECT i, i, nullif(i % 10, 0), i % 7, 'c' || i FROM generate_series(1, 1000) i;

CALL dbops.add_foreign_key('orders', '{customer_id}', 'customers', on_delete => 'CASCADE', dry_run => true);
SELECT count(*) FROM state;
CALL dbops.add_foreign_key('orders', '{customer_id}', 'customers', on_delete => 'CASCADE');
CALL dbops.add_foreign_key('orders', '{other_id}', 'customers', '{id}', 'Other "one"', 'set null', 'set default', false);
CALL dbops.add_foreign_key('orders', '{code,region}', 'customers', '{code,region}', on_update => 'cascade');
TABLE state ORDER BY conname;
SELECT index_name, valid FROM indexes WHERE relname = 'orders' ORDER BY 1;

-- the same again does nothing, whatever its name; an index that begins with the columns does
SET client_min_messages = notice;
CALL dbops.add_foreign_key('orders', '{customer_id}', 'customers', on_delete => 'cascade');
CALL dbops.add_foreign_key('orders', '{other_id}', 'customers', NULL, 'Other "one"', 'set null', 'set default', false);
CALL dbops.add_foreign_key('orders', '{other_id}', 'customers', NULL, NULL, 'set null', 'set default', false);
SET client_min_messages = warning;
CREATE TABLE served (a int, b int, c int);
CREATE INDEX served_all ON served (b, a, c);
CREATE INDEX served_some ON served (c) WHERE c > 0;
CREATE TABLE pairs (x int, y int, PRIMARY KEY (x, y));
CALL dbops.add_foreign_key('served', '{a,b}', 'pairs', dry_run => true);
CALL dbops.add_foreign_key('served', '{c}', 'customers', dry_run => true);

-- what was cut off is completed: an index that is invalid, one that is there, a constraint that is NOT VALID
CREATE TABLE cut (a int, b int);
INSERT INTO cut VALUES (1, 1), (1, 2);
CREATE INDEX cut_a_idx ON cut (a);
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'cut_a_idx'::regclass;
CREATE INDEX cut_b_idx ON cut (b);
ALTER TABLE cut ADD CONSTRAINT by_hand FOREIGN KEY (b) REFERENCES customers NOT VALID;
CALL dbops.add_foreign_key('cut', '{a}', 'customers');
CALL dbops.add_foreign_key('cut', '{b}', 'customers', dry_run => true);
CALL dbops.add_foreign_key('cut', '{b}', 'customers');
SELECT * FROM state WHERE relname = 'cut' ORDER BY 2;
SELECT * FROM indexes WHERE relname = 'cut' ORDER BY 2;

-- rows that refer to nothing: neither an index nor the constraint comes; one that holds for new rows already stays
CREATE TABLE lost (id int, customer_id int);
INSERT INTO lost VALUES (1, 1), (2, -2), (3, NULL);
CALL dbops.add_foreign_key('lost', '{customer_id}', 'customers');
SELECT * FROM state WHERE relname = 'lost';
SELECT * FROM indexes WHERE relname = 'lost';
ALTER TABLE lost ADD CONSTRAINT lost_customer_id_fkey FOREIGN KEY (customer_id) REFERENCES customers NOT VALID;
CALL dbops.add_foreign_key('lost', '{customer_id}', 'customers');
DELETE FROM lost WHERE id = 2;
CALL dbops.add_foreign_key('lost', '{customer_id}', 'customers');
SELECT * FROM state WHERE relname = 'lost';

-- partitions that refer and that are referred to
CREATE TABLE part (id int, customer_id int) PARTITION BY RANGE (id);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id);
CREATE TABLE part_3 (customer_id int, id int);
ALTER TABLE part_2 ATTACH PARTITION part_3 DEFAULT;
INSERT INTO part SELECT i, i FROM generate_series(1, 98) i;
INSERT INTO part VALUES (99, -1);
CALL dbops.add_foreign_key('part', '{customer_id}', 'customers');
SELECT * FROM indexes WHERE relname LIKE 'part%' ORDER BY 1;
UPDATE part SET customer_id = id WHERE id = 99;
CALL dbops.add_foreign_key('part', '{customer_id}', 'customers', dry_run => true);
CALL dbops.add_foreign_key('part', '{customer_id}', 'customers');
SELECT relname, valid, definition FROM state WHERE relname LIKE 'part%' ORDER BY 1, 2;
SELECT * FROM indexes WHERE relname LIKE 'part%' ORDER BY 1;
SELECT count(*) FROM pg_constraint WHERE contype = 'f' AND conrelid = 'part_3'::regclass;
SET client_min_messages = notice;
CALL dbops.add_foreign_key('part', '{customer_id}', 'customers');
SET client_min_messages = warning;
ALTER TABLE part ADD PRIMARY KEY (id);
CALL dbops.add_foreign_key('cut', '{a}', 'part');
INSERT INTO cut VALUES (1000, 1);
SELECT conname, valid, definition FROM state WHERE relname = 'cut' AND conname NOT LIKE '%b%' ORDER BY 1;
CREATE TABLE empty (id int, customer_id int) PARTITION BY LIST (id);
CALL dbops.add_foreign_key('empty', '{customer_id}', 'customers');
SELECT * FROM indexes WHERE relname = 'empty';
SELECT relname, conname, convalidated FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid WHERE conrelid = 'empty'::regclass AND contype = 'f';

-- names as they come, and itself
CREATE TABLE "Odd ""T'" ("Id ""C'" int PRIMARY KEY, "Up ""C'" int);
CALL dbops.add_foreign_key('"Odd ""T''"', ARRAY['Up "C'''], '"Odd ""T''"', dry_run => true);
CALL dbops.add_foreign_key('"Odd ""T''"', ARRAY['Up "C''']::name[], '"Odd ""T''"');
SELECT * FROM state WHERE relname LIKE 'Odd%';

-- columns of different collations and domains
CREATE DOMAIN word AS text;
CREATE TABLE codes (code text COLLATE "C" PRIMARY KEY);
CREATE TABLE coded (code word COLLATE "POSIX");
INSERT INTO codes VALUES ('a');
INSERT INTO coded VALUES ('a');
CALL dbops.add_foreign_key('coded', '{code}', 'codes');
INSERT INTO coded VALUES ('b');
SELECT * FROM state WHERE relname = 'coded';

-- bad input
CREATE TABLE keyless (id int, code text, at timestamptz, UNIQUE (code) DEFERRABLE);
CREATE UNIQUE INDEX ON keyless (id) WHERE id > 0;
CREATE UNLOGGED TABLE loose (id int PRIMARY KEY);
CREATE TABLE made (id int, g int GENERATED ALWAYS AS (id + 1) STORED);
CALL dbops.add_foreign_key(NULL, '{id}', 'customers');
CALL dbops.add_foreign_key('lost', NULL, 'customers');
CALL dbops.add_foreign_key('lost', '{id}', NULL);
CALL dbops.add_foreign_key('lost', '{}', 'customers');
CALL dbops.add_foreign_key('lost', '{no_such_column}', 'customers');
CALL dbops.add_foreign_key('lost', '{id}', 'customers', '{no_such_column}');
CALL dbops.add_foreign_key('lost', '{id}', 'customers', '{region}');
CALL dbops.add_foreign_key('lost', '{id}', 'customers', '{region,code}');
CALL dbops.add_foreign_key('lost', '{id,customer_id}', 'customers');
CALL dbops.add_foreign_key('lost', '{id}', 'keyless');
CALL dbops.add_foreign_key('lost', '{id}', 'keyless', '{id}');
CALL dbops.add_foreign_key('orders', '{code}', 'keyless', '{code}');
CALL dbops.add_foreign_key('orders', '{code}', 'customers');
CALL dbops.add_foreign_key('keyless', '{at}', 'customers');
CALL dbops.add_foreign_key('lost', '{id}', 'loose');
CALL dbops.add_foreign_key('lost', '{id}', 'state');
CALL dbops.add_foreign_key('state', '{relname}', 'customers');
CALL dbops.add_foreign_key('lost', '{id}', 'pg_catalog.pg_class', '{oid}');
CALL dbops.add_foreign_key('lost', '{id}', 1::regclass);
CALL dbops.add_foreign_key('lost', '{id}', 'customers', on_delete => 'set nil');
CALL dbops.add_foreign_key('lost', '{id}', 'customers', on_update => '');
CALL dbops.add_foreign_key('lost', '{id}', 'customers', constraint_name => 'lost_customer_id_fkey');
CALL dbops.add_foreign_key('lost', '{customer_id}', 'customers', constraint_name => 'lost_customer_id_fkey', on_delete => 'cascade');
CALL dbops.add_foreign_key('made', '{g}', 'customers', on_delete => 'set null');
CALL dbops.add_foreign_key('made', '{g}', 'customers', on_delete => 'cascade');
BEGIN;
CALL dbops.add_foreign_key('lost', '{id}', 'customers');
ROLLBACK;

-- for members of the owner, who have been given the call; the owner needs a right on the other table
CREATE ROLE regress_afk_owner;
CREATE ROLE regress_afk_member IN ROLE regress_afk_owner;
CREATE ROLE regress_afk_stranger;
GRANT USAGE, CREATE ON SCHEMA afk TO regress_afk_owner;
GRANT USAGE ON SCHEMA afk TO regress_afk_stranger;
CREATE SCHEMA afk_apart;
CREATE TABLE afk_apart.codes (id int PRIMARY KEY);
CREATE TABLE owned (v int);
INSERT INTO owned VALUES (1);
ALTER TABLE owned OWNER TO regress_afk_owner;
SET ROLE regress_afk_member;
CALL dbops.add_foreign_key('owned', '{v}', 'customers');
RESET ROLE;
SELECT dbops.grant_access('regress_afk_member', 'operator');
SELECT dbops.grant_access('regress_afk_stranger', 'operator');
SET ROLE regress_afk_stranger;
CALL dbops.add_foreign_key('owned', '{v}', 'customers');
SET ROLE regress_afk_member;
CALL dbops.add_foreign_key('owned', '{v}', 'customers');
RESET ROLE;
SELECT 'afk_apart.codes'::regclass::oid AS codes \gset
SET ROLE regress_afk_member;
CALL dbops.add_foreign_key('owned', '{v}', :codes);
RESET ROLE;
GRANT REFERENCES ON customers TO regress_afk_owner;
SET ROLE regress_afk_member;
CALL dbops.add_foreign_key('owned', '{v}', 'customers', dry_run => true);
CALL dbops.add_foreign_key('owned', '{v}', 'customers');
RESET ROLE;
SELECT * FROM state WHERE relname = 'owned';

SELECT dbops.revoke_access('regress_afk_member');
SELECT dbops.revoke_access('regress_afk_stranger');
DROP SCHEMA afk, afk_apart CASCADE;
DROP ROLE regress_afk_member, regress_afk_stranger, regress_afk_owner;
