-- add_check_constraint(): its plan, what it completes, what it refuses and for whom it works.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA acc;
SET search_path = acc, public;
CREATE VIEW state AS
    SELECT c.relname, k.conname, k.convalidated AS valid, pg_get_constraintdef(k.oid) AS definition
      FROM pg_class c JOIN pg_constraint k ON k.conrelid = c.oid AND k.contype = 'c' WHERE c.relnamespace = 'acc'::regnamespace;

CREATE TABLE orders (id int, price numeric, paid numeric);
INSERT INTO orders SELECT i, i, i - 1 FROM generate_series(1, 1000) i;

CALL dbops.add_check_constraint('orders', 'price > 0', dry_run => true);
SELECT count(*) FROM state;
CALL dbops.add_check_constraint('orders', 'price > 0');
CALL dbops.add_check_constraint('orders', 'paid <= price -- as far as is known', 'Paid "more"');
CALL dbops.add_check_constraint('orders', 'id > 0 AND price < 10000');
TABLE state ORDER BY conname;

-- the same again does nothing, whatever its name; another gets the next name
SET client_min_messages = notice;
CALL dbops.add_check_constraint('orders', '(price > 0)');
CALL dbops.add_check_constraint('orders', 'orders.paid <= orders.price');
CALL dbops.add_check_constraint('orders', 'paid <= price', 'Paid "more"');
SET client_min_messages = warning;
CALL dbops.add_check_constraint('orders', 'price < 5000');
CALL dbops.add_check_constraint('orders', 'price < 5000');
SELECT conname, valid FROM state ORDER BY conname;

-- what is NOT VALID is validated
CREATE TABLE cut (v int);
INSERT INTO cut VALUES (1), (2);
ALTER TABLE cut ADD CONSTRAINT by_hand CHECK (v > 0) NOT VALID;
CALL dbops.add_check_constraint('cut', 'v > 0', dry_run => true);
CALL dbops.add_check_constraint('cut', 'v > 0');
SELECT * FROM state WHERE relname = 'cut';

-- rows that do not fit: nothing is changed; a constraint that holds for new rows already stays
CALL dbops.add_check_constraint('cut', 'v > 1');
ALTER TABLE cut ADD CONSTRAINT cut_v_check CHECK (v > 1) NOT VALID;
CALL dbops.add_check_constraint('cut', 'v > 1');
SELECT * FROM state WHERE relname = 'cut' ORDER BY conname;
DELETE FROM cut WHERE v = 1;
CALL dbops.add_check_constraint('cut', 'v > 1');
SELECT * FROM state WHERE relname = 'cut' ORDER BY conname;

-- partitions and children; names and types as they come
CREATE TABLE part (id int, v int) PARTITION BY RANGE (id);
CREATE TABLE part_1 (v int, id int);
ALTER TABLE part ATTACH PARTITION part_1 FOR VALUES FROM (0) TO (100);
INSERT INTO part SELECT i, i FROM generate_series(1, 99) i;
CALL dbops.add_check_constraint('part', 'v > 50');
CALL dbops.add_check_constraint('part', 'v < 100');
CREATE TABLE parent (v int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (0);
CALL dbops.add_check_constraint('parent', 'v > 0');
CALL dbops.add_check_constraint('parent', 'v >= 0');
-- a name that another one below has is not chosen, nor taken; the same one is merged with it
ALTER TABLE child ADD CONSTRAINT parent_v_check1 CHECK (v < 1000), ADD CONSTRAINT theirs CHECK (v < 500), ADD CONSTRAINT same CHECK (v < 100);
CALL dbops.add_check_constraint('parent', 'v < 2000');
CALL dbops.add_check_constraint('parent', 'v < 200', 'theirs');
CALL dbops.add_check_constraint('parent', 'v < 100', 'same');
SELECT relname, conname, definition FROM state WHERE relname IN ('parent', 'child') ORDER BY 1, 2;
CREATE TYPE mood AS ENUM ('fine', 'bad');
CREATE FUNCTION is_fine(m mood) RETURNS boolean IMMUTABLE LANGUAGE sql RETURN m = 'fine';
CREATE TABLE "Odd ""T'" ("Col ""C'" mood);
INSERT INTO "Odd ""T'" VALUES ('fine'), (NULL);
CALL dbops.add_check_constraint('"Odd ""T''"', 'is_fine("Col ""C''")', dry_run => true);
CALL dbops.add_check_constraint('"Odd ""T''"', 'is_fine("Col ""C''")');
CALL dbops.add_check_constraint('"Odd ""T''"', 'is_fine("Col ""C''")');
SELECT * FROM state WHERE relname NOT IN ('orders', 'cut') ORDER BY 1, 2;

-- bad input
CALL dbops.add_check_constraint(NULL, 'true');
CALL dbops.add_check_constraint('orders', NULL);
CALL dbops.add_check_constraint('orders', 'price > 1', 'Paid "more"');
CALL dbops.add_check_constraint('orders', 'price > 1', '');
CALL dbops.add_check_constraint('orders', 'price > 1, paid > 1');
CALL dbops.add_check_constraint('orders', 'price > 1) NOT VALID; DROP TABLE orders; --');
CALL dbops.add_check_constraint('orders', 'prize > 1');
CALL dbops.add_check_constraint('orders', 'price');
CALL dbops.add_check_constraint('orders', 'price > (SELECT 1)');
CALL dbops.add_check_constraint('orders', 'max(price) > 1');
CALL dbops.add_check_constraint('orders', 'cmin = 0');
CALL dbops.add_check_constraint('state', 'valid');
CALL dbops.add_check_constraint('pg_catalog.pg_class', 'true');
BEGIN;
CALL dbops.add_check_constraint('orders', 'price > 1');
ROLLBACK;

-- for members of the owner, who have been given the call
CREATE ROLE regress_acc_owner;
CREATE ROLE regress_acc_member IN ROLE regress_acc_owner;
CREATE ROLE regress_acc_stranger;
GRANT USAGE ON SCHEMA acc TO regress_acc_owner, regress_acc_stranger;
CREATE TABLE owned (v text);
INSERT INTO owned VALUES ('regress_acc_owner');
ALTER TABLE owned OWNER TO regress_acc_owner;
SET ROLE regress_acc_member;
CALL dbops.add_check_constraint('owned', 'v = current_user');
RESET ROLE;
SELECT dbops.grant_access('regress_acc_member', 'operator');
SELECT dbops.grant_access('regress_acc_stranger', 'operator');
SET ROLE regress_acc_stranger;
CALL dbops.add_check_constraint('owned', 'v = current_user');
SET ROLE regress_acc_member;
CALL dbops.add_check_constraint('owned', 'v = current_user');
RESET ROLE;
SELECT conname, valid FROM state WHERE relname = 'owned';

SELECT dbops.revoke_access('regress_acc_member');
SELECT dbops.revoke_access('regress_acc_stranger');
DROP SCHEMA acc CASCADE;
DROP ROLE regress_acc_member, regress_acc_stranger, regress_acc_owner;
