-- What retention refuses, at once and with what to do: bad input, and runs that would remove too much.
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;	-- the processes of the server live in another time
\set now '''2030-08-01 00:00 UTC''::timestamptz'
CREATE TABLE regress_rows (id integer, at timestamptz, big bigint, small integer, note text, "a'b""c" date);

-- columns and times
SELECT dbops.set_retention('regress_rows', 'note', '1 day');
SELECT dbops.set_retention('regress_rows', 'none', '1 day');
SELECT dbops.set_retention('regress_rows', 'ctid', '1 day');
SELECT dbops.set_retention('regress_rows', 'big', '1 day');
SELECT dbops.set_retention('regress_rows', 'big', '1 day', epoch_unit => 'days');
SELECT dbops.set_retention('regress_rows', 'small', '1 day', epoch_unit => 'milliseconds');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', epoch_unit => 'seconds');
SELECT dbops.set_retention('regress_rows', 'at', '0');
SELECT dbops.set_retention('regress_rows', 'at', '-1 day');
SELECT dbops.set_retention('regress_rows', 'at', '1 month -40 days');
SELECT dbops.set_retention('regress_rows', 'at', NULL);
SELECT dbops.set_retention(NULL, 'at', '1 day');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', time_zone => 'Moon/Crater');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', time_window => 'at night');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', schedule => 'now and then');

-- integers that count something else, seen by blocks and by an index; and where there is nothing yet
CREATE TABLE regress_serial (id integer, big bigint, "per%cent" bigint, kind text) WITH (fillfactor = 10);
SELECT dbops.set_retention('regress_serial', 'id', '1 day');
SELECT dbops.set_retention('regress_serial', 'id', '1 day', epoch_unit => 'seconds') > :now AS set;
INSERT INTO regress_serial SELECT i, extract(epoch FROM :now) * 1000 + i, -i, CASE WHEN i < 9 THEN 'old' END FROM generate_series(1, 1000) i;
SELECT dbops.set_retention('regress_serial', 'id', '1 day');
SELECT dbops.set_retention('regress_serial', 'id', '1 day', epoch_unit => 'seconds');
SELECT method FROM dbops.retention_plan('regress_serial', 'big', '1 day', epoch_unit => 'seconds');
SELECT dbops.set_retention('regress_serial', 'big', '1 day', epoch_unit => 'microseconds');
SELECT dbops.set_retention('regress_serial', 'per%cent', '1 day', epoch_unit => 'milliseconds');
SELECT dbops.set_retention('regress_serial', 'big', '1 day', epoch_unit => 'milliseconds') > :now AS set;
CREATE INDEX ON regress_serial ("per%cent");
CREATE INDEX ON regress_serial (big);
SELECT dbops.set_retention('regress_serial', 'per%cent', '1 day', epoch_unit => 'milliseconds');
SELECT dbops.set_retention('regress_serial', 'big', '1 day', epoch_unit => 'seconds');
SELECT dbops.set_retention('regress_serial', 'big', '1 day', epoch_unit => 'milliseconds') > :now AS set;
-- one that stands for never, and rows that the filter leaves out, are no reason
INSERT INTO regress_serial VALUES (1, 9223372036854775807, 9223372036854775807, 'never'), (2, 0, 0, 'zero'), (3, NULL, NULL, NULL);
SELECT dbops.set_retention('regress_serial', 'big', '1 day', epoch_unit => 'milliseconds') > :now AS set;
SELECT dbops.set_retention('regress_serial', 'big', '1 day', epoch_unit => 'milliseconds', filter => 'kind = ''none''') > :now AS set;
-- the times are in the middle of the table, where only ANALYZE has seen them
TRUNCATE regress_serial;
DROP INDEX regress_serial_big_idx, "regress_serial_per%cent_idx";
INSERT INTO regress_serial SELECT CASE WHEN i BETWEEN 1000 AND 1400 THEN extract(epoch FROM :now) ELSE i END FROM generate_series(1, 2000) i;
SELECT dbops.set_retention('regress_serial', 'id', '1 day');
ANALYZE regress_serial;
SELECT dbops.set_retention('regress_serial', 'id', '1 day') > :now AS set;
DROP TABLE regress_serial;

-- filters
CREATE FUNCTION regress_effect(integer) RETURNS boolean LANGUAGE sql AS 'SELECT true';
CREATE VIEW regress_random AS SELECT random() AS r;
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'id');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'id = 1; DROP TABLE regress_rows');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'regress_effect(id)');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'random() < 0.5');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'id IN (SELECT r FROM regress_random)');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'id = (SELECT max(id) FROM regress_rows FOR UPDATE)');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'id IN (SELECT id FROM regress_rows r FOR UPDATE)');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'regress_rows IS NULL');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', filter => 'nothing = 1');
SELECT dbops.place_hold('regress_rows', 'id = 1 OR random() < 1', 'volatile') > 0 AS placed;
SELECT dbops.place_hold('regress_rows', 'tableoid = ''regress_rows''::regclass', 'system') > 0 AS placed;
SELECT dbops.place_hold('regress_rows', 'id = 1', NULL) > 0 AS placed;
SELECT dbops.place_hold('regress_rows', 'id = 1', 'over', until => '2030-07-31 UTC') > 0 AS placed;
SELECT dbops.release_hold(987654321);

-- tables
CREATE VIEW regress_view AS SELECT * FROM regress_rows;
CREATE TEMP TABLE regress_temp (at timestamptz);
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_wrapper;
CREATE FOREIGN TABLE regress_foreign (at timestamptz) SERVER regress_server;
CREATE TABLE regress_ruled (at timestamptz);
CREATE RULE never AS ON DELETE TO regress_ruled DO INSTEAD NOTHING;
CREATE TABLE regress_secured (at timestamptz);
ALTER TABLE regress_secured ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE ROLE regress_retention_owner;
ALTER TABLE regress_secured OWNER TO regress_retention_owner;
SELECT dbops.set_retention('regress_view', 'at', '1 day');
SELECT dbops.set_retention('regress_temp', 'at', '1 day');
SELECT dbops.set_retention('regress_foreign', 'at', '1 day');
SELECT dbops.set_retention('pg_database', 'datname', '1 day');
SELECT dbops.set_retention('dbops.job', 'finished_at', '1 day');
SELECT dbops.set_retention('regress_ruled', 'at', '1 day');
SELECT dbops.set_retention('regress_secured', 'at', '1 day');
SELECT dbops.place_hold('regress_view', 'true', 'no table') > 0 AS placed;

-- archives
CREATE TABLE regress_less (id integer);
CREATE TABLE regress_archive (LIKE regress_rows);
CREATE TABLE regress_other (LIKE regress_rows);
ALTER TABLE regress_other ALTER note TYPE varchar(10);
CREATE TABLE regress_more (LIKE regress_rows, needed integer NOT NULL);
CREATE UNLOGGED TABLE regress_unlogged (LIKE regress_rows);
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_less');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_other');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_more');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_unlogged');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_rows');
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_view');
CREATE TABLE regress_mixed (LIKE regress_rows) PARTITION BY RANGE (at);
CREATE UNLOGGED TABLE regress_mixed_1 PARTITION OF regress_mixed DEFAULT;
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_mixed');
DROP TABLE regress_mixed_1;
CREATE FOREIGN TABLE regress_mixed_1 PARTITION OF regress_mixed DEFAULT SERVER regress_server;
SELECT dbops.set_retention('regress_rows', 'at', '1 day', archive_to => 'regress_mixed');
DROP TABLE regress_mixed;

-- two policies for the same rows
CREATE TABLE regress_whole (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE regress_part PARTITION OF regress_whole FOR VALUES FROM ('2030-01-01') TO ('2031-01-01');
SELECT dbops.set_retention('regress_whole', 'at', '1 year');
SELECT dbops.set_retention('regress_part', 'at', '1 year');
SELECT dbops.remove_retention('regress_whole');
SELECT dbops.set_retention('regress_part', 'at', '1 year');
SELECT dbops.set_retention('regress_whole', 'at', '1 year');

-- A policy that replaces one says what that was about; a script that is run again says nothing.
SELECT dbops.set_retention('regress_rows', 'at', '1 year', filter => 'id > 1') IS NOT NULL AS set;
SELECT dbops.set_retention('regress_rows', 'at', '12 months', filter => '  id>1', schedule => '@daily') IS NOT NULL AS set;
SELECT dbops.set_retention('regress_rows', 'at', '12 months', filter => 'id > 2', archive_to => 'regress_archive') IS NOT NULL AS set;
SELECT dbops.set_retention('regress_rows', 'big', '1 day', epoch_unit => 'seconds') IS NOT NULL AS set;
SELECT dbops.set_retention('regress_rows', 'big', '1 day', epoch_unit => 'milliseconds') IS NOT NULL AS set;
SELECT dbops.set_retention('regress_rows', 'big', '1 day', epoch_unit => 'milliseconds') IS NOT NULL AS set;
SELECT dbops.remove_retention('regress_rows');

-- A name with quotes, a column that is renamed, and a policy that has none
INSERT INTO regress_rows ("a'b""c") SELECT '2030-08-01'::date - i FROM generate_series(0, 9) i;
SELECT dbops.set_retention('regress_rows', 'a''b"c', '8 days');
CALL dbops.run_retention('regress_rows');
SELECT count(*) FROM regress_rows;
ALTER TABLE regress_rows RENAME "a'b""c" TO day;
CALL dbops.run_retention('regress_rows');
CALL dbops.run_retention('regress_ruled');
CALL dbops.run_retention('regress_rows', max_duration => '0');
DO $$ BEGIN CALL dbops.run_retention('regress_rows'); END $$;

-- Too much at once: blocked until confirmed, and what is confirmed is what was shown.
TRUNCATE regress_rows;
INSERT INTO regress_rows (id, at) SELECT i, :now - i * interval '1 day' FROM generate_series(1, 100) i;
SELECT dbops.set_retention('regress_rows', 'at', '60 days');
SELECT method, row_count, risk, remedy FROM dbops.retention_plan('regress_rows');
CALL dbops.run_retention('regress_rows');
SELECT count(*) FROM regress_rows;
SELECT stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_rows'::regclass;
SELECT action, outcome FROM dbops.maintenance_report(:now) WHERE object LIKE '%regress_rows' AND message LIKE '40 of%';
SET dbops.test_now = 1911945600;	-- two days later
CALL dbops.run_retention('regress_rows', confirm => true);
SELECT count(*), max(id) FROM regress_rows;
-- A clock that has jumped, by days that the machine has not been up for; it is a small share that would go.
SET dbops.max_retention_percent = 50;
\set VERBOSITY sqlstate
CALL dbops.run_retention('regress_rows');
SELECT count(*), max(id) FROM regress_rows;
SELECT regexp_replace(stopped_because, '\d+ s have', 'N s have') FROM dbops.retention_status() WHERE table_name = 'regress_rows'::regclass;
-- less than a day of it passes
SET dbops.test_now = 1911858000;
CALL dbops.run_retention('regress_rows');
SELECT count(*), max(id) FROM regress_rows;
-- and a shorter time to keep, which set_retention can confirm
SELECT dbops.set_retention('regress_rows', 'at', '50 days');
CALL dbops.run_retention('regress_rows');
\set VERBOSITY default
SELECT dbops.set_retention('regress_rows', 'at', '50 days', confirm => true);
CALL dbops.run_retention('regress_rows');
SELECT count(*), max(id) FROM regress_rows;
-- another filter is another policy: what was confirmed is not confirmed for it
RESET dbops.max_retention_percent;
INSERT INTO regress_rows (id, at) SELECT i, :now - i * interval '1 day' FROM generate_series(51, 100) i;
SELECT dbops.set_retention('regress_rows', 'at', '50 days', filter => 'id > 0');
CALL dbops.run_retention('regress_rows');
SELECT count(*) FROM regress_rows;
SELECT object, action, outcome, times FROM dbops.maintenance_report(:now - interval '1 day') WHERE outcome = 'blocked' AND object LIKE '%regress_rows' ORDER BY 1, 2, 4;

-- A run that was allowed and has failed has confirmed nothing, and what is confirmed is as many rows as were shown.
CREATE TABLE regress_deleted (id integer, deleted_at timestamptz);
CREATE INDEX ON regress_deleted (deleted_at);
INSERT INTO regress_deleted SELECT i, CASE WHEN i <= 10 THEN :now - interval '60 days' END FROM generate_series(1, 1000) i;
SELECT dbops.set_retention('regress_deleted', 'deleted_at', '30 days');
CREATE FUNCTION regress_fail() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE 'not now'; END $$;
CREATE TRIGGER fail BEFORE DELETE ON regress_deleted EXECUTE FUNCTION regress_fail();
CALL dbops.run_retention('regress_deleted');
DROP TRIGGER fail ON regress_deleted;
UPDATE regress_deleted SET deleted_at = :now - interval '31 days';
CALL dbops.run_retention('regress_deleted');
SELECT count(*) FROM regress_deleted;
TRUNCATE regress_deleted;
INSERT INTO regress_deleted SELECT i, CASE WHEN i <= 400 THEN :now - interval '60 days' END FROM generate_series(1, 1000) i;
SELECT dbops.set_retention('regress_deleted', 'deleted_at', '30 days');
CALL dbops.run_retention('regress_deleted');
UPDATE regress_deleted SET deleted_at = :now - interval '31 days' WHERE deleted_at IS NULL;
CALL dbops.run_retention('regress_deleted', confirm => true);
SELECT count(*) FROM regress_deleted;
-- as with set_retention, whatever time goes by until the policy is due
UPDATE regress_deleted SET deleted_at = NULL WHERE id > 400;
SELECT dbops.set_retention('regress_deleted', 'deleted_at', '30 days', confirm => true);
UPDATE regress_deleted SET deleted_at = :now - interval '31 days' WHERE deleted_at IS NULL;
CALL dbops.run_retention('regress_deleted');
SELECT method, risk FROM dbops.retention_plan('regress_deleted') WHERE method LIKE '%confirm%';
UPDATE regress_deleted SET deleted_at = NULL WHERE id > 400;
CALL dbops.run_retention('regress_deleted');
SELECT count(*) FROM regress_deleted;

-- What was refused is not what it stops for any more when the policy was set again, or its job is under way again.
INSERT INTO regress_deleted SELECT i, :now - interval '2 years' FROM generate_series(2001, 3000) i;
SET dbops.test_now = 1911865200;	-- two hours later
SELECT count(*) > 0 AS submitted FROM dbops.run_maintenance();
SELECT max(id) AS job FROM dbops.job WHERE kind = 'retention' AND name = 'public.regress_deleted' \gset
CALL dbops.run_job(:job);
SELECT last_state, stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_deleted'::regclass;
SELECT dbops.resume_job(:job);
SELECT last_state, stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_deleted'::regclass;
CALL dbops.run_job(:job);
SELECT dbops.set_retention('regress_deleted', 'deleted_at', '30 days', confirm => true) IS NOT NULL AS set;
SELECT last_state, stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_deleted'::regclass;
CALL dbops.run_retention('regress_deleted');
SELECT last_state, stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_deleted'::regclass;
SET dbops.test_now = 1911858000;

-- Nor do more rows go in a run than may, where they become old while it deletes.
CREATE TABLE regress_growing (id integer, at timestamptz);
INSERT INTO regress_growing SELECT i, (CASE WHEN i <= 5000 THEN :now - interval '60 days' ELSE :now END) + i * interval '1 second' FROM generate_series(1, 50000) i;
CREATE INDEX ON regress_growing (at);
ANALYZE regress_growing;
CREATE FUNCTION regress_grow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
  UPDATE regress_growing SET at = at - interval '40 days' WHERE id > 5000 AND at > '2030-07-31 UTC'; RETURN NULL; END $$;
CREATE TRIGGER grow AFTER DELETE ON regress_growing EXECUTE FUNCTION regress_grow();
SET dbops.backfill_batch_time = '60s';	-- on a busy machine too the trigger is not cut off
SELECT dbops.set_retention('regress_growing', 'at', '30 days');
CALL dbops.run_retention('regress_growing');
SELECT count(*) > 20000 AS stopped FROM regress_growing;
SELECT stopped_because FROM dbops.retention_status() WHERE table_name = 'regress_growing'::regclass;

-- What every run would fail with is said before: a child that is published and has no replica identity, and one
-- that a foreign key without an index refers to.
CREATE TABLE regress_top (id integer PRIMARY KEY, at timestamptz);
CREATE TABLE regress_child (PRIMARY KEY (id)) INHERITS (regress_top);
CREATE TABLE regress_published () INHERITS (regress_top);
CREATE TABLE regress_refers (child integer REFERENCES regress_child);
SET client_min_messages = error;	-- that wal_level is too low to publish
CREATE PUBLICATION regress_publication FOR TABLE ONLY regress_published;
RESET client_min_messages;
SELECT dbops.set_retention('regress_top', 'at', '30 days');
CREATE INDEX regress_refers_child ON regress_refers (child);
SELECT dbops.set_retention('regress_top', 'at', '30 days');
SELECT method, object, risk FROM dbops.retention_plan('regress_top', 'at', '30 days');
ALTER TABLE regress_published REPLICA IDENTITY FULL;
SELECT dbops.set_retention('regress_top', 'at', '30 days') > :now AS set;
DROP INDEX regress_refers_child;
SELECT method, object, risk, remedy FROM dbops.retention_plan('regress_top');
CALL dbops.run_retention('regress_top');
-- partitions that go as a whole need none
CREATE TABLE regress_parts (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE regress_parts_1 PARTITION OF regress_parts FOR VALUES FROM ('2030-01-01 UTC') TO ('2030-02-01 UTC');
CREATE TABLE regress_parts_2 PARTITION OF regress_parts FOR VALUES FROM ('2030-07-01 UTC') TO ('2030-09-01 UTC');
SET client_min_messages = error;
ALTER PUBLICATION regress_publication SET TABLE regress_parts;
RESET client_min_messages;
SELECT dbops.set_retention('regress_parts', 'at', '30 days') > :now AS set;
SELECT method, object, risk FROM dbops.retention_plan('regress_parts');
SELECT dbops.set_retention('regress_parts', 'at', '30 days', filter => 'at IS NOT NULL');
DROP PUBLICATION regress_publication;
DROP TABLE regress_refers, regress_child, regress_published, regress_top, regress_parts;

DROP VIEW regress_view, regress_random;
DROP FOREIGN TABLE regress_foreign;
DROP SERVER regress_server;
DROP FOREIGN DATA WRAPPER regress_wrapper;
DROP TABLE regress_rows, regress_temp, regress_ruled, regress_secured, regress_less, regress_archive, regress_other, regress_more, regress_unlogged, regress_whole, regress_deleted, regress_growing;
DROP FUNCTION regress_effect(integer), regress_fail(), regress_grow();
DROP ROLE regress_retention_owner;
SELECT count(*) >= 0 FROM dbops.run_maintenance();
