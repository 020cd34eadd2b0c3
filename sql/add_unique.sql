-- add_unique(): its plan, what it completes, what it refuses and for whom it works.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA adu;
SET search_path = adu, public;
CREATE VIEW state AS
    SELECT c.relname, x.relname AS index_name, i.indisvalid AS valid, k.contype AS kind, pg_get_constraintdef(k.oid) AS definition,
           x.relispartition AS attached
      FROM pg_class c JOIN pg_index i ON i.indrelid = c.oid JOIN pg_class x ON x.oid = i.indexrelid
      LEFT JOIN pg_constraint k ON k.conindid = x.oid AND k.conrelid = c.oid
     WHERE c.relnamespace = 'adu'::regnamespace;

CREATE TABLE users (id int, email text, name text, born date, born_at point);
INSERT INTO users SELECT i, 'u' || i, CASE WHEN i % 2 = 0 THEN 'Doe' END, now() FROM generate_series(1, 1000) i;

CALL dbops.add_unique('users', '{email}', dry_run => true);
CALL dbops.add_unique('users', '{id}', primary_key => true, dry_run => true);
SELECT count(*) FROM state;
CALL dbops.add_unique('users', '{email}');
CALL dbops.add_unique('users', '{id}', primary_key => true);
CALL dbops.add_unique('users', '{name,id}', 'Name "once"');
TABLE state ORDER BY 2;
SELECT attname FROM pg_attribute WHERE attrelid = 'users'::regclass AND attnum > 0 AND attnotnull;
SELECT conname FROM pg_constraint WHERE conrelid = 'users'::regclass AND contype = 'c';

-- the same again does nothing, whatever its name
SET client_min_messages = notice;
CALL dbops.add_unique('users', '{email}');
CALL dbops.add_unique('users', '{id}', primary_key => true);
CALL dbops.add_unique('users', '{name,id}');
CALL dbops.add_unique('users', '{name,id}', 'Name "once"');
SET client_min_messages = warning;

-- duplicates end it, and nothing is changed; NULL is none
CALL dbops.add_unique('users', '{name}');
CALL dbops.add_unique('users', '{born,name}');
SELECT count(*) FROM state;
UPDATE users SET name = 'N' || id WHERE name IS NOT NULL;
CALL dbops.add_unique('users', '{name}');
SELECT index_name, valid, definition FROM state WHERE index_name = 'users_name_key';

-- what was cut off is completed: an invalid index, one that is no constraint's yet, a column that is NOT NULL already
CREATE TABLE cut (a int, b int, c int);
INSERT INTO cut VALUES (1, 1, 1), (1, 2, 2);
CREATE UNIQUE INDEX CONCURRENTLY cut_a_key ON cut (a);
UPDATE cut SET a = b;
CREATE UNIQUE INDEX cut_b_key ON cut (b);
ALTER TABLE cut ALTER c SET NOT NULL;
CREATE UNIQUE INDEX cut_pkey ON cut (c);
SELECT index_name, valid, definition FROM state WHERE relname = 'cut' ORDER BY 1;
CALL dbops.add_unique('cut', '{a}');
CALL dbops.add_unique('cut', '{b}', dry_run => true);
CALL dbops.add_unique('cut', '{b}');
CALL dbops.add_unique('cut', '{c}', primary_key => true);
SELECT index_name, valid, definition FROM state WHERE relname = 'cut' ORDER BY 1;
-- what only has its name gets out of the way of another
CREATE TABLE named (a int, b int);
CREATE INDEX named_a_key ON named (b);
CALL dbops.add_unique('named', '{a}');
SELECT index_name, definition FROM state WHERE relname = 'named' ORDER BY 1;
-- so does an index on the same columns that a constraint cannot be made of
CREATE TABLE sorted (a int, b text, c text, d text);
CREATE UNIQUE INDEX sorted_a_key ON sorted (a DESC);
CREATE UNIQUE INDEX sorted_b_key ON sorted (b text_pattern_ops);
CREATE UNIQUE INDEX sorted_c_key ON sorted (c COLLATE "POSIX");
CREATE UNIQUE INDEX sorted_d_key ON sorted (d NULLS FIRST);
CALL dbops.add_unique('sorted', '{a}');
CALL dbops.add_unique('sorted', '{b}');
CALL dbops.add_unique('sorted', '{c}');
CALL dbops.add_unique('sorted', '{d}', 'sorted_d_key');
CALL dbops.add_unique('sorted', '{d}');
SELECT index_name, definition FROM state WHERE relname = 'sorted' ORDER BY 1;

-- partitions; duplicates of the last one are found before the first one's index is built, or NULL is forbidden
CREATE TABLE part (id int, day int, v int) PARTITION BY RANGE (day);
CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM (0) TO (10);
CREATE TABLE part_2 PARTITION OF part FOR VALUES FROM (10) TO (100) PARTITION BY RANGE (id);
CREATE TABLE part_3 (v int, day int, id int);
ALTER TABLE part_2 ATTACH PARTITION part_3 DEFAULT;
INSERT INTO part SELECT i, i, i FROM generate_series(1, 99) i;
INSERT INTO part VALUES (99, 99, 100);
CALL dbops.add_unique('part', '{day,id}', primary_key => true);
SELECT count(*) FROM state WHERE relname LIKE 'part%';
SELECT bool_or(attnotnull) FROM pg_attribute WHERE attrelid = 'part'::regclass AND attnum > 0;
DELETE FROM part WHERE v = 100;
CALL dbops.add_unique('part', '{v,day}');
CALL dbops.add_unique('part', '{day,id}', primary_key => true, dry_run => true);
CALL dbops.add_unique('part', '{day,id}', primary_key => true);
SELECT * FROM state WHERE relname LIKE 'part%' ORDER BY 1;
SET client_min_messages = notice;
CALL dbops.add_unique('part', '{day,id}', primary_key => true);
SET client_min_messages = warning;
-- half of the steps done
CREATE TABLE half (id int, v int) PARTITION BY LIST (id);
CREATE TABLE half_1 PARTITION OF half FOR VALUES IN (1);
CREATE TABLE half_2 PARTITION OF half FOR VALUES IN (2);
ALTER TABLE half_1 ADD UNIQUE (id, v);
CREATE UNIQUE INDEX half_2_id_v_key ON half_2 (id, v);
CALL dbops.add_unique('half', '{id,v}');
SELECT relname, index_name, valid, kind, attached FROM state WHERE relname LIKE 'half%' ORDER BY 1;

-- nothing to do it in yet; names that differ only behind the 63rd byte
CREATE TABLE empty (id int, k int) PARTITION BY LIST (k);
CREATE TABLE empty_1 PARTITION OF empty FOR VALUES IN (1) PARTITION BY LIST (id);
CALL dbops.add_unique('empty', '{id,k}');
CREATE TABLE measurements_of_the_warehouse_department (id int, k int) PARTITION BY LIST (k);
SELECT format('CREATE TABLE measurements_of_the_warehouse_department_temperatures_%s PARTITION OF measurements_of_the_warehouse_department FOR VALUES IN (%s)', i, i)
  FROM generate_series(1, 3) i \gexec
CALL dbops.add_unique('measurements_of_the_warehouse_department', '{id,k}');
SELECT relname, index_name, valid, attached FROM state WHERE relname LIKE 'empty%' OR relname LIKE 'meas%' ORDER BY 1, 2;

-- of the parent alone, as others begin it, is not all of it
CREATE TABLE alone (id int) PARTITION BY LIST (id);
CREATE TABLE alone_1 PARTITION OF alone FOR VALUES IN (1);
ALTER TABLE ONLY alone ADD UNIQUE (id);
CREATE INDEX alone_id_idx ON ONLY alone (id);
CALL dbops.add_unique('alone', '{id}');
CALL dbops.add_foreign_key('alone', '{id}', 'users');
SELECT relname, index_name, valid, kind, attached FROM state WHERE relname LIKE 'alone%' ORDER BY 1, 2;

-- names as they come
CREATE TABLE "Odd ""T'" ("Col ""C'" int, "äääääääääääääääääääääääääääääää" int);
CALL dbops.add_unique('"Odd ""T''"', ARRAY['Col "C''', 'äääääääääääääääääääääääääääääää'], primary_key => true);
SELECT index_name, definition FROM state WHERE relname LIKE 'Odd%';

-- bad input
CALL dbops.add_unique(NULL, '{v}');
CALL dbops.add_unique('users', NULL);
CALL dbops.add_unique('users', '{}');
CALL dbops.add_unique('users', '{NULL}');
CALL dbops.add_unique('users', '{born,born}');
CALL dbops.add_unique('users', '{no_such_column}');
CALL dbops.add_unique('users', '{ctid}');
CALL dbops.add_unique('users', '{born_at}');
CALL dbops.add_unique('users', '{born}', 'users_email_key');
CALL dbops.add_unique('users', '{born}', 'cut');
CALL dbops.add_unique('users', '{email}', primary_key => true);
CALL dbops.add_unique('named', '{b}', primary_key => NULL);
INSERT INTO named VALUES (1, NULL);
CALL dbops.add_unique('named', '{b}', primary_key => true);
CALL dbops.add_unique('state', '{relname}');
CALL dbops.add_unique('pg_catalog.pg_class', '{relname}');
CALL dbops.add_unique('dbops.job', '{id}');
CREATE TABLE keyed (a int, b int, PRIMARY KEY (a, b));
CALL dbops.add_unique('keyed', '{b,a}');
DROP TABLE keyed;
BEGIN;
CALL dbops.add_unique('users', '{born}');
ROLLBACK;

-- for members of the owner, who have been given the call
CREATE ROLE regress_adu_owner;
CREATE ROLE regress_adu_member IN ROLE regress_adu_owner;
CREATE ROLE regress_adu_stranger;
GRANT USAGE, CREATE ON SCHEMA adu TO regress_adu_owner;
GRANT USAGE ON SCHEMA adu TO regress_adu_stranger;
CREATE TABLE owned (v text);
ALTER TABLE owned OWNER TO regress_adu_owner;
SET ROLE regress_adu_member;
CALL dbops.add_unique('owned', '{v}');
RESET ROLE;
SELECT dbops.grant_access('regress_adu_member', 'operator');
SELECT dbops.grant_access('regress_adu_stranger', 'operator');
SET ROLE regress_adu_stranger;
CALL dbops.add_unique('owned', '{v}');
SET ROLE regress_adu_member;
CALL dbops.add_unique('owned', '{v}');
RESET ROLE;
SELECT index_name, definition FROM state WHERE relname = 'owned';

-- duplicates that only the build meets: its index, which would forbid them, is dropped
CREATE TABLE hidden (v int);
INSERT INTO hidden VALUES (1), (1);
ALTER TABLE hidden OWNER TO regress_adu_owner;
ALTER TABLE hidden ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CALL dbops.add_unique('hidden', '{v}');
SELECT count(*) FROM pg_index WHERE indrelid = 'hidden'::regclass;

-- all of a partitioned table is to be its owner's
CREATE TABLE mixed (id int, k int) PARTITION BY LIST (k);
CREATE TABLE mixed_1 PARTITION OF mixed FOR VALUES IN (1);
ALTER TABLE mixed OWNER TO regress_adu_owner;
CREATE TABLE mixed_2 PARTITION OF mixed FOR VALUES IN (2);
ALTER TABLE mixed_2 OWNER TO regress_adu_stranger;
ALTER TABLE mixed_1 OWNER TO regress_adu_owner;
CALL dbops.add_unique('mixed', '{id,k}');
SELECT count(*) FROM state WHERE relname LIKE 'mixed%';

-- what its owner may not create at the end is refused before anything is built
ALTER TABLE mixed_2 OWNER TO regress_adu_owner;
REVOKE CREATE ON SCHEMA adu FROM regress_adu_owner;
CALL dbops.add_unique('mixed', '{id,k}');
CALL dbops.add_unique('mixed', '{id,k}', dry_run => true);
CALL dbops.create_index('CREATE INDEX ON mixed (id)');
CALL dbops.add_column('mixed', 'c', 'int', '1', with_index => true);
SELECT count(*) FROM state WHERE relname LIKE 'mixed%';
GRANT CREATE ON SCHEMA adu TO regress_adu_owner;
CALL dbops.add_unique('mixed', '{id,k}');
REVOKE CREATE ON SCHEMA adu FROM regress_adu_owner;
CALL dbops.add_unique('mixed', '{id,k}');
CALL dbops.create_index('CREATE INDEX ON mixed (id)');
SELECT index_name, valid, definition, attached FROM state WHERE relname LIKE 'mixed%' ORDER BY 1;

SELECT dbops.revoke_access('regress_adu_member');
SELECT dbops.revoke_access('regress_adu_stranger');
DROP SCHEMA adu CASCADE;
DROP ROLE regress_adu_member, regress_adu_stranger, regress_adu_owner;
