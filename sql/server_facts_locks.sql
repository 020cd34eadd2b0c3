-- What the server locks, statement by statement. dbops tells users which tables
-- a change will block, adds its triggers and constraints in the order that
-- blocks least, and says what a rolled back attempt gives back: all that rests
-- on these levels, and on no table of them anywhere. A test, so that the day a
-- server takes another lock, it is seen here and not in production.
SET client_min_messages = warning;
CREATE TABLE facts_parent (id integer PRIMARY KEY);
CREATE TABLE facts_child (id integer, parent_id integer);
CREATE TABLE facts_measures (id integer) PARTITION BY RANGE (id);
CREATE TABLE facts_measures_1 (id integer);
CREATE FUNCTION facts_nothing() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE VIEW facts_locks AS
    SELECT c.relname,
           (array_agg(l.mode ORDER BY array_position(
               '{AccessShareLock,RowShareLock,RowExclusiveLock,ShareUpdateExclusiveLock,ShareLock,ShareRowExclusiveLock,ExclusiveLock,AccessExclusiveLock}'::text[],
               l.mode) DESC))[1] AS strongest
      FROM pg_locks l JOIN pg_class c ON c.oid = l.relation
     WHERE l.pid = pg_backend_pid() AND c.relname LIKE 'facts\_%' AND c.relkind IN ('r', 'p')
     GROUP BY 1 ORDER BY 1;

-- a partition is attached: the parent goes on working, the child does not
BEGIN;
ALTER TABLE facts_measures ATTACH PARTITION facts_measures_1 FOR VALUES FROM (0) TO (10);
SELECT * FROM facts_locks;
ROLLBACK;
-- a partition is created: the parent stops, other than with ATTACH
BEGIN;
CREATE TABLE facts_measures_2 PARTITION OF facts_measures FOR VALUES FROM (10) TO (20);
SELECT * FROM facts_locks;
ROLLBACK;

-- a foreign key: writers of both tables wait
BEGIN;
ALTER TABLE facts_child ADD CONSTRAINT facts_fk FOREIGN KEY (parent_id) REFERENCES facts_parent;
SELECT * FROM facts_locks;
ROLLBACK;
-- the same when the referencing table is new
BEGIN;
CREATE TABLE facts_new (parent_id integer REFERENCES facts_parent);
SELECT * FROM facts_locks;
ROLLBACK;
-- not valid first: the lock is the same, but without a scan under it
ALTER TABLE facts_child ADD CONSTRAINT facts_fk FOREIGN KEY (parent_id) REFERENCES facts_parent NOT VALID;
-- its validation lets both tables be written
BEGIN;
ALTER TABLE facts_child VALIDATE CONSTRAINT facts_fk;
SELECT * FROM facts_locks;
ROLLBACK;
-- to drop it stops the referenced table, reads too
BEGIN;
ALTER TABLE facts_child DROP CONSTRAINT facts_fk;
SELECT * FROM facts_locks;
ROLLBACK;
-- to drop the referencing table, too
BEGIN;
DROP TABLE facts_child;
SELECT strongest FROM facts_locks WHERE relname = 'facts_parent';
ROLLBACK;

-- a trigger is created beside readers, and waits for writers: from there on it sees all rows
BEGIN;
CREATE TRIGGER facts_trigger BEFORE UPDATE ON facts_child FOR EACH ROW EXECUTE FUNCTION facts_nothing();
SELECT * FROM facts_locks;
COMMIT;
-- and is dropped beside nobody
BEGIN;
DROP TRIGGER facts_trigger ON facts_child;
SELECT * FROM facts_locks;
ROLLBACK;

-- checks
BEGIN;
ALTER TABLE facts_child ADD CONSTRAINT facts_check CHECK (id > 0) NOT VALID;
SELECT strongest FROM facts_locks WHERE relname = 'facts_child';
COMMIT;
BEGIN;
ALTER TABLE facts_child VALIDATE CONSTRAINT facts_check;
SELECT strongest FROM facts_locks WHERE relname = 'facts_child';
ROLLBACK;

-- A lock that a statement took is given back when its savepoint is rolled back,
-- so an attempt can be repeated from a savepoint; what was locked before it is kept.
BEGIN;
LOCK TABLE facts_parent IN SHARE MODE;
SAVEPOINT attempt;
LOCK TABLE facts_child;
LOCK TABLE facts_parent;
SELECT * FROM facts_locks;
ROLLBACK TO attempt;
SELECT * FROM facts_locks;
ROLLBACK;

-- a foreign key that is not valid, on a partitioned table: from 18 on
CREATE FUNCTION facts_refused(command text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN EXECUTE command; RETURN false; EXCEPTION WHEN wrong_object_type OR feature_not_supported THEN RETURN true; END $$;
BEGIN;
SELECT facts_refused('ALTER TABLE facts_measures ADD FOREIGN KEY (id) REFERENCES facts_parent NOT VALID')
       = (current_setting('server_version_num')::integer < 180000) AS refused_before_18;
ROLLBACK;
-- an index of a partitioned table cannot be built concurrently
CREATE INDEX CONCURRENTLY ON facts_measures (id);

DROP VIEW facts_locks;
DROP TABLE facts_measures, facts_measures_1, facts_child, facts_parent;
DROP FUNCTION facts_nothing, facts_refused;
