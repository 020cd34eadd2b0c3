-- dbops.ddl_guard of statements that name no large table, and yet work on one, take
-- something from it, or lock it.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE SCHEMA gda;
CREATE SCHEMA gda_small;
CREATE ROLE regress_guard_along;
SET search_path = gda;
SET lock_timeout = '10s';
CREATE DOMAIN positive AS int;
CREATE TYPE kind AS (a int, b int);
CREATE TYPE label AS ENUM ('a');
CREATE TABLE large (id int PRIMARY KEY, p positive, l label);
CREATE TABLE large_made OF kind;
CREATE FUNCTION twice(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 * 2';
CREATE OPERATOR FAMILY mine USING btree;
CREATE OPERATOR CLASS mine FOR TYPE int USING btree FAMILY mine AS OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 =, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
INSERT INTO large SELECT g, g FROM generate_series(1, 300000) g;
INSERT INTO large_made SELECT g, g FROM generate_series(1, 300000) g;
CREATE INDEX large_mine ON large (p mine);
CREATE TABLE gda_small.refers (id int REFERENCES large);
CREATE TABLE gda_small.parted (a int) PARTITION BY LIST (a);
CREATE TABLE large_part PARTITION OF gda_small.parted FOR VALUES IN (1);
INSERT INTO large_part SELECT 1 FROM generate_series(1, 300000);
CREATE TABLE large_owned AS SELECT g FROM generate_series(1, 300000) g;
CREATE INDEX large_twice ON large (twice(id));
ALTER TABLE large_owned OWNER TO regress_guard_along;
CREATE TABLE small (p positive, l label);
SELECT pg_stat_force_next_flush();
SET dbops.guard_min_size = '8MB';

SET dbops.ddl_guard = 'enforce';
-- rewritten, or locked, with all others
VACUUM FULL;
REINDEX SCHEMA gda;
ALTER TABLE ALL IN TABLESPACE pg_default OWNED BY regress_guard_along SET TABLESPACE pg_global;
BEGIN;
REASSIGN OWNED BY regress_guard_along TO CURRENT_USER;
ROLLBACK;
-- read, or written anew
ALTER DOMAIN positive ADD CHECK (value > 0);
ALTER DOMAIN positive SET NOT NULL;
ALTER TYPE kind ALTER ATTRIBUTE a TYPE bigint CASCADE;
ALTER TABLE gda_small.refers ALTER id TYPE bigint;
-- lost
DROP DOMAIN positive CASCADE;
DROP TYPE label CASCADE;
ALTER TYPE kind DROP ATTRIBUTE a CASCADE;
DROP SCHEMA gda_small CASCADE;
DROP FUNCTION twice(int) CASCADE;
DROP OWNED BY regress_guard_along;
-- locked, or without its index
BEGIN;
DROP TABLE gda_small.refers;
DROP OPERATOR FAMILY mine USING btree CASCADE;
ROLLBACK;

-- near misses
BEGIN;
ALTER DOMAIN positive ADD CHECK (value > 0) NOT VALID;
ALTER TYPE label ADD VALUE 'b';
CREATE DOMAIN other AS int;
ALTER TABLE small ADD COLUMN o other;
DROP DOMAIN other CASCADE;
ALTER TABLE gda_small.refers ADD COLUMN x int;
DROP TABLE small CASCADE;
ROLLBACK;
DROP DOMAIN positive;

RESET dbops.ddl_guard;
RESET dbops.guard_min_size;
DROP OWNED BY regress_guard_along;
DROP SCHEMA gda, gda_small CASCADE;
DROP ROLE regress_guard_along;
