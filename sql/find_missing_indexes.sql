-- find_missing_indexes: tables that are read from end to end, which of them are
-- listed, since when, and the statements that name them.
CREATE EXTENSION pg_stat_statements;
CREATE SCHEMA miss;
SET search_path = miss, public;
SET max_parallel_workers_per_gather = 0;
SET pg_stat_statements.track = 'all';
CREATE TABLE events (id int PRIMARY KEY, kind int, place text, at timestamptz);
INSERT INTO events SELECT g, g % 100, 'p' || g % 7, now() FROM generate_series(1, 12000) g;
CREATE TABLE "Odd ""T" (id int, "Col" int);
INSERT INTO "Odd ""T" SELECT g, g FROM generate_series(1, 12000) g;
CREATE TABLE few (id int, kind int);
INSERT INTO few SELECT g, g FROM generate_series(1, 12000) g;
CREATE TABLE small (id int, kind int);
INSERT INTO small SELECT g, g FROM generate_series(1, 500) g;
CREATE TABLE served (id int PRIMARY KEY, kind int);
INSERT INTO served SELECT g, g FROM generate_series(1, 12000) g;
CREATE TABLE peeked (id int, kind int);
INSERT INTO peeked SELECT g, g FROM generate_series(1, 12000) g;
CREATE TABLE viewed (id int, kind int);
INSERT INTO viewed SELECT g, g FROM generate_series(1, 12000) g;
CREATE VIEW seen AS SELECT * FROM viewed;
-- a partitioned table, of which only the sum is large; a child by inheritance
CREATE TABLE parted (id int, kind int, name text) PARTITION BY RANGE (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (6000);
CREATE TABLE parted_2 PARTITION OF parted FOR VALUES FROM (6000) TO (20000) PARTITION BY RANGE (id);
CREATE TABLE parted_2a PARTITION OF parted_2 FOR VALUES FROM (6000) TO (20000);
INSERT INTO parted SELECT g, g % 9, 'n' || g FROM generate_series(1, 12000) g;
CREATE TABLE heir_of (id int, state int);
CREATE TABLE heir () INHERITS (heir_of);
INSERT INTO heir SELECT g, g % 9 FROM generate_series(1, 12000) g;
ANALYZE;
-- never analyzed
CREATE TABLE unknown (id int, kind int);
INSERT INTO unknown SELECT g, g FROM generate_series(1, 12000) g;
CREATE PROCEDURE repeat_it(n int, statement text) LANGUAGE plpgsql
    AS $$ BEGIN FOR i IN 1 .. n LOOP EXECUTE statement; END LOOP; END $$;
CREATE VIEW found AS
    SELECT table_name, scans >= 12 AS scans, rows_per_scan, scan_percent,
           (SELECT array_agg(x ORDER BY x) FROM unnest(candidate_columns) x) AS candidate_columns, reason
      FROM dbops.find_missing_indexes() JOIN pg_class c ON c.oid = table_name
     WHERE relnamespace = 'miss'::regnamespace ORDER BY relname COLLATE "C";
SELECT count(*) FROM found;

CALL repeat_it(12, 'SELECT count(*) FROM events e WHERE e.kind = 3 AND place IN (''p1'', ''p2'')');
CALL repeat_it(12, 'UPDATE miss.events SET at = now() WHERE at < ''2000-01-01'' AND id + 1 = 0');
CALL repeat_it(12, 'SELECT "Col" FROM "Odd ""T" x WHERE 5 >= x."Col" AND abs(x.id) = 7');
CALL repeat_it(9, 'SELECT count(*) FROM few WHERE kind = 1');
CALL repeat_it(12, 'SELECT count(*) FROM small WHERE kind = 1');
CALL repeat_it(12, 'SELECT kind FROM served WHERE kind = 1');
SET enable_seqscan = off;
CALL repeat_it(20, 'SELECT count(kind) FROM served WHERE id > 0');
RESET enable_seqscan;
CALL repeat_it(12, 'SELECT id FROM peeked LIMIT 5');
CALL repeat_it(12, 'SELECT count(*) FROM seen WHERE kind = 1');
CALL repeat_it(12, 'SELECT count(*) FROM parted WHERE kind = 3');
CALL repeat_it(1, $$SELECT count(*) FROM parted_2a WHERE name = 'x'$$);
CALL repeat_it(12, 'SELECT count(*) FROM heir_of WHERE state = 3');
CALL repeat_it(12, 'SELECT count(*) FROM unknown WHERE kind = 3');
SELECT pg_stat_force_next_flush();
SELECT * FROM found;

-- the statements, for who may see them
SELECT jsonb_array_length(statements), s ->> 'query' AS query, (s ->> 'calls')::int >= 12 AS calls, (s ->> 'total_ms')::numeric > 0 AS time, s ? 'queryid' AS id
  FROM dbops.find_missing_indexes(), jsonb_array_elements(statements) s WHERE table_name = '"Odd ""T"'::regclass;
CREATE ROLE regress_missing;
SELECT dbops.grant_access('regress_missing', 'monitor');
SELECT '"Odd ""T"'::regclass::oid AS odd \gset
SET ROLE regress_missing;
SELECT s ? 'query' AS query, s ? 'queryid' AS id FROM dbops.find_missing_indexes(), jsonb_array_elements(statements) s WHERE table_name = :odd;
SELECT dbops.note_table_reads();
SELECT * FROM dbops.table_reads;
RESET ROLE;

-- a column that an index begins with is no candidate
CREATE INDEX events_kind ON events (kind);
CREATE INDEX events_at ON events (at) WHERE kind = 1;
SELECT candidate_columns FROM found WHERE table_name = 'events'::regclass;

-- of a column whose table is said, only that table
CREATE TABLE joined (id int, kind int);
SELECT count(*) FROM parted p JOIN joined j ON j.kind = p.kind WHERE j.id = 5;
SELECT count(*) FROM parted p, miss.joined WHERE miss.joined.id > 5 AND EXISTS (SELECT FROM joined i WHERE i.id = p.kind);
SELECT candidate_columns FROM found WHERE table_name = 'parted'::regclass;
SELECT count(*) FROM joined JOIN parted p USING (kind) WHERE p.id = 5;
SELECT candidate_columns FROM found WHERE table_name = 'parted'::regclass;

-- in a time: what was read before it does not count
SELECT dbops.note_table_reads() > 0 AS noted;
SELECT extract(epoch FROM now() + interval '8 days')::int AS later \gset
SET dbops.test_now = :later;
SELECT count(*) FROM found;
SELECT count(*) > 0 AS found FROM dbops.find_missing_indexes('9 days') WHERE table_name = 'events'::regclass;
CALL repeat_it(12, 'SELECT count(*) FROM few WHERE kind = 1');
SELECT pg_stat_force_next_flush();
SELECT table_name, rows_per_scan FROM found;
SELECT scans, observed_since = (SELECT max(at) FROM dbops.table_reads) AS since FROM dbops.find_missing_indexes() WHERE table_name = 'few'::regclass;
-- an index that is dropped takes along what it has found, and no scan
UPDATE dbops.table_reads SET rows_by_index = 1000 WHERE table_oid = 'few'::regclass;
SELECT scans, rows_by_index FROM dbops.find_missing_indexes() WHERE table_name = 'few'::regclass;
-- counters that were reset since then all count
UPDATE dbops.table_reads SET scans = 1000 WHERE table_oid = 'few'::regclass;
SELECT scans, observed_since < (SELECT max(at) FROM dbops.table_reads) AS since FROM dbops.find_missing_indexes() WHERE table_name = 'few'::regclass;
-- what is old is forgotten
SELECT extract(epoch FROM now() + interval '60 days')::int AS later \gset
SET dbops.test_now = :later;
SELECT dbops.note_table_reads() > 0 AS noted;
SELECT count(DISTINCT at) FROM dbops.table_reads WHERE table_oid = 'few'::regclass;
RESET dbops.test_now;
DELETE FROM dbops.table_reads;

-- bad input; where statements are not recorded
SELECT dbops.find_missing_indexes('0');
SELECT dbops.find_missing_indexes(NULL);
SELECT dbops.find_missing_indexes(min_rows => -1);
SELECT dbops.find_missing_indexes(row_limit => 0);
SELECT count(*) FROM dbops.find_missing_indexes(min_rows => 9223372036854775807);
SELECT count(*) FROM dbops.find_missing_indexes(row_limit => 1);
SET client_min_messages = warning;
BEGIN;
DROP EXTENSION pg_stat_statements;
SELECT reason, statements, candidate_columns FROM dbops.find_missing_indexes() WHERE table_name = 'few'::regclass;
ROLLBACK;

RESET search_path;
DROP SCHEMA miss CASCADE;
DROP EXTENSION pg_stat_statements;
SELECT dbops.revoke_access('regress_missing');
DROP ROLE regress_missing;
