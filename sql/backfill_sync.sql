-- What the trigger of a backfill with sync does to rows as they are written: all
-- ways to write, names and columns of all kinds, partitions, the settings and
-- rights that hold; and what is refused. The trigger is put by hand with the
-- argument that a job gives it, so that nothing else changes the rows.
SET client_min_messages = warning;
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 5001;

CREATE FUNCTION regress_cover(target regclass, set_clause text, where_clause text DEFAULT NULL) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    number bigint := dbops.start_backfill(target, set_clause, where_clause, sync => true);
    what jsonb;
BEGIN
    PERFORM dbops.pause_job(number);
    SELECT jsonb_build_object('change', spec -> 'change', 'owners', spec -> 'owners', 'home', c.system_identifier || '/' || d.oid) INTO what
      FROM dbops.job, pg_control_system() c, pg_database d WHERE id = number AND d.datname = current_database();
    PERFORM dbops.cancel_job(number);
    INSERT INTO dbops.backfill_trigger VALUES (target, number, what);
    EXECUTE format('CREATE TRIGGER regress_sync BEFORE INSERT OR UPDATE ON %s FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync(%L)',
                   target, what);
    EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER regress_sync', target);
END $$;

-- All ways to write
CREATE TABLE regress_sync (id integer PRIMARY KEY, name text, place text);
SELECT regress_cover('regress_sync', 'place = ''at '' || name', 'place IS NULL');
INSERT INTO regress_sync VALUES (1, 'one', NULL), (2, 'two', 'elsewhere'), (3, NULL, NULL);
COPY regress_sync (id, name) FROM stdin;
4	four
5	five
\.
INSERT INTO regress_sync VALUES (1, 'uno') ON CONFLICT (id) DO UPDATE SET place = NULL, name = excluded.name;
UPDATE regress_sync SET place = NULL WHERE id = 2;
UPDATE regress_sync SET name = 'tre' WHERE id = 3;
MERGE INTO regress_sync s USING (VALUES (5), (6)) v (id) ON s.id = v.id
    WHEN MATCHED THEN UPDATE SET place = NULL, name = 'cinque'
    WHEN NOT MATCHED THEN INSERT VALUES (v.id, 'sei');
SET session_replication_role = replica;
INSERT INTO regress_sync VALUES (7, 'seven');
RESET session_replication_role;
SELECT * FROM regress_sync ORDER BY id;

-- The table changes while a session goes on to use the trigger.
ALTER TABLE regress_sync ADD added integer DEFAULT 1;
INSERT INTO regress_sync VALUES (8, 'eight') RETURNING *;
ALTER TABLE regress_sync ALTER name TYPE varchar(20);
INSERT INTO regress_sync VALUES (9, 'nine') RETURNING *;
ALTER TABLE regress_sync RENAME TO regress_synced;
INSERT INTO regress_synced VALUES (10, 'ten') RETURNING *;
ALTER TABLE regress_synced RENAME COLUMN name TO called;
INSERT INTO regress_synced VALUES (11, 'eleven') RETURNING *;
INSERT INTO regress_synced VALUES (12, 'twelve') RETURNING *;
ALTER TABLE regress_synced RENAME COLUMN called TO name;
INSERT INTO regress_synced VALUES (13, 'thirteen') RETURNING *;
DROP TABLE regress_synced;

-- Names that need quotes, a dropped column, a generated one that is read, several assignments
CREATE TABLE "regress ""Sync""" (gone integer, "the ""name" text, long text GENERATED ALWAYS AS (upper("the ""name")) STORED, "pla ce" text, n integer);
ALTER TABLE "regress ""Sync""" DROP gone;
SELECT regress_cover('"regress ""Sync"""', '"pla ce" = long || ''\x''''!'', n = coalesce(n, 0) + 1', '"pla ce" IS NULL');
INSERT INTO "regress ""Sync""" ("the ""name") VALUES ('a'), ('b') RETURNING *;
UPDATE "regress ""Sync""" SET "pla ce" = NULL, "the ""name" = 'c' WHERE n = 1 RETURNING *;
DROP TABLE "regress ""Sync""";

-- Every row, compared by its image; a whole row is read
CREATE TABLE regress_sync (id integer, price numeric, line text);
SELECT regress_cover('regress_sync', 'line = round(price, 2)');
INSERT INTO regress_sync VALUES (1, 1.5, NULL), (2, 2.509, 'x') RETURNING *;
UPDATE regress_sync SET line = 'y' RETURNING *;
DROP TRIGGER regress_sync ON regress_sync;
SELECT regress_cover('regress_sync', 'line = left((regress_sync.*)::text, 5)', 'line IS NULL');
UPDATE regress_sync SET line = NULL RETURNING *;
DROP TABLE regress_sync;

-- Partitions: of another column order, attached and made later, detached
CREATE TABLE regress_sync (id integer, name text, place text) PARTITION BY RANGE (id);
CREATE TABLE regress_sync_1 PARTITION OF regress_sync FOR VALUES FROM (1) TO (10);
CREATE TABLE regress_sync_2 (place text, gone integer, name text, id integer);
ALTER TABLE regress_sync_2 DROP gone;
ALTER TABLE regress_sync ATTACH PARTITION regress_sync_2 FOR VALUES FROM (10) TO (20);
SELECT regress_cover('regress_sync', 'place = name', 'place IS NULL');
CREATE TABLE regress_sync_3 PARTITION OF regress_sync FOR VALUES FROM (20) TO (30);
CREATE TABLE regress_sync_4 (name text, place text, id integer);
ALTER TABLE regress_sync ATTACH PARTITION regress_sync_4 FOR VALUES FROM (30) TO (40);
INSERT INTO regress_sync SELECT i, 'n' || i FROM generate_series(5, 35, 10) i;
INSERT INTO regress_sync_2 (id, name) VALUES (16, 'direct');
UPDATE regress_sync SET id = id + 1, place = NULL WHERE id IN (5, 35);
UPDATE regress_sync SET id = id + 10, place = NULL WHERE id = 25;
SELECT tableoid::regclass, * FROM regress_sync ORDER BY id, name;
ALTER TABLE regress_sync DETACH PARTITION regress_sync_1;
INSERT INTO regress_sync_1 VALUES (7, 'alone') RETURNING *;
DROP TABLE regress_sync, regress_sync_1;

-- The search_path and the settings of the submission hold, and the moment of it.
CREATE SCHEMA regress_ours;
CREATE SCHEMA regress_theirs;
CREATE FUNCTION regress_ours.regress_word(at timestamptz) RETURNS text LANGUAGE plpgsql STABLE AS $$ BEGIN RETURN 'ours ' || regress_other(); END $$;
CREATE FUNCTION regress_ours.regress_other() RETURNS text LANGUAGE sql AS $$ SELECT 'and ours' $$;
CREATE FUNCTION regress_theirs.regress_word(at timestamptz) RETURNS text LANGUAGE sql AS $$ SELECT 'theirs' $$;
CREATE FUNCTION regress_theirs.regress_other() RETURNS text LANGUAGE sql AS $$ SELECT 'and theirs' $$;
CREATE TABLE regress_sync (at timestamptz, day date, word text, seen timestamptz, by name);
SET search_path = regress_ours, public;
SET TimeZone = 'Pacific/Kiritimati';
BEGIN;
SELECT regress_cover('regress_sync', 'day = at::date, word = regress_word(at), seen = now(), by = current_user', 'day IS NULL');
SELECT now() AS submitted \gset
COMMIT;
SET search_path = regress_theirs, public;
SET TimeZone = 'UTC';
INSERT INTO regress_sync VALUES ('2026-01-01 12:00+00') RETURNING day, word, seen = :'submitted' AS seen, by = session_user AS by;
SHOW TimeZone;
SHOW search_path;
RESET search_path;
RESET TimeZone;
-- a function that the expressions call is replaced
CREATE OR REPLACE FUNCTION regress_ours.regress_word(at timestamptz) RETURNS text LANGUAGE sql STABLE AS $$ SELECT 'new' $$;
INSERT INTO regress_sync VALUES ('2026-01-01 12:00+00') RETURNING word;
DROP FUNCTION regress_ours.regress_word(timestamptz);
INSERT INTO regress_sync VALUES ('2026-01-01 12:00+00') RETURNING word;
DROP TABLE regress_sync;

-- An expression that fails is the writer's to see.
CREATE TABLE regress_sync (n integer, part integer);
SELECT regress_cover('regress_sync', 'part = 100 / n', 'part IS NULL');
INSERT INTO regress_sync VALUES (3), (0);
INSERT INTO regress_sync VALUES (3) RETURNING *;

-- Refused: what cannot be known of a row that is not stored, and what contradicts itself
CALL dbops.batched_backfill('regress_sync', 'part = (SELECT max(n) FROM regress_sync)', 'part IS NULL', sync => true);
CALL dbops.batched_backfill('regress_sync', 'part = n', 'part IS NULL AND EXISTS (SELECT FROM regress_sync)', sync => true);
CALL dbops.batched_backfill('regress_sync', 'part = n', 'part IS NULL AND ctid > ''(0,0)''', sync => true);
CALL dbops.batched_backfill('regress_sync', 'part = n', sync => true, app_writes => true);
CREATE TRIGGER x AFTER DELETE ON regress_sync FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync('{}');
DELETE FROM regress_sync;
DROP TABLE regress_sync;

-- A call with it leaves no trigger, and somebody else's of that name is not taken for it.
CREATE TABLE regress_sync (id integer, place text);
CREATE TABLE regress_sync_child () INHERITS (regress_sync);
INSERT INTO regress_sync SELECT generate_series(1, 500);
INSERT INTO regress_sync_child SELECT generate_series(501, 1000);
CALL dbops.batched_backfill('regress_sync', 'place = id', 'place IS NULL', sync => true);
SELECT count(place) FROM regress_sync;
SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'dbops%';
SELECT r ->> 'meanwhile' ~ '^No row was left at WAL position [0-9A-F]+/[0-9A-F]+. A trigger has made right what was written from [0-9A-F]+/[0-9A-F]+ until the end.$' AS meanwhile,
       (r #>> '{proof,covered_since,lsn}')::pg_lsn < (r #>> '{proof,lsn}')::pg_lsn AS since,
       (r #>> '{proof,covered_since,xid}')::bigint > 0 AS xid, r #> '{proof,tables}' AS tables, r #>> '{proof,query}' AS query
  FROM dbops.jobs() j, LATERAL (SELECT dbops.job_status(j.id) -> 'result') x (r)
 WHERE j.name = 'regress_sync' AND j.state = 'succeeded';
-- Without the count nothing is claimed that only the count makes sure of.
CALL dbops.batched_backfill('regress_sync', 'place = ''at '' || id', sync => true, verify => false);
SELECT regexp_replace(dbops.job_status(id) #>> '{result,meanwhile}', '[0-9A-F]+/[0-9A-F]+', '...') AS meanwhile
  FROM dbops.jobs() WHERE name = 'regress_sync' AND state = 'succeeded' ORDER BY id DESC LIMIT 1;
SELECT setval('dbops.job_id_seq', 6000);
CREATE FUNCTION regress_own() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NEW; END $$;
CREATE TRIGGER dbops_sync_6001 BEFORE INSERT ON regress_sync FOR EACH ROW EXECUTE FUNCTION regress_own();
UPDATE regress_sync SET place = NULL;
CALL dbops.batched_backfill('regress_sync', 'place = id', 'place IS NULL', sync => true);
SELECT tgname, tgrelid::regclass FROM pg_trigger WHERE tgname LIKE 'dbops%';
SELECT state, message FROM dbops.jobs() WHERE id = 6001;
DROP TABLE regress_sync, regress_sync_child;

-- With whose rights: the writer may only insert, and the owner has no part in the writer's session.
CREATE ROLE regress_sync_owner;
CREATE ROLE regress_sync_writer;
SELECT dbops.grant_access('regress_sync_owner', 'operator');
GRANT CREATE ON SCHEMA public TO regress_sync_owner;
SET ROLE regress_sync_owner;
CREATE TABLE regress_sync (id integer, secret text, by name);
GRANT INSERT ON regress_sync TO regress_sync_writer;
CREATE TABLE regress_secret AS SELECT 'secret' AS word;
CREATE FUNCTION regress_secret(id integer) RETURNS text LANGUAGE sql STABLE AS $$ SELECT word FROM public.regress_secret $$;
REVOKE ALL ON FUNCTION regress_secret(integer) FROM PUBLIC;
CREATE FUNCTION regress_who() RETURNS name LANGUAGE plpgsql VOLATILE AS $$ BEGIN RETURN current_user; END $$;
CREATE TRIGGER own BEFORE INSERT ON regress_sync FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync('{}');
RESET ROLE;
GRANT EXECUTE ON FUNCTION regress_cover TO regress_sync_owner;
ALTER FUNCTION regress_cover SECURITY DEFINER;
SELECT regress_cover('regress_sync', 'secret = regress_secret(id), by = regress_who()', 'secret IS NULL');
SET ROLE regress_sync_writer;
SELECT regress_secret(1);
INSERT INTO regress_sync VALUES (1);
SELECT current_user;
RESET ROLE;
SELECT * FROM regress_sync;

-- code of the owner's that would use the writer's session
SET ROLE regress_sync_owner;
CREATE OR REPLACE FUNCTION regress_who() RETURNS name LANGUAGE plpgsql AS $$ BEGIN SET ROLE NONE; RETURN current_user; END $$;
RESET ROLE;
SET SESSION AUTHORIZATION regress_sync_writer;
INSERT INTO regress_sync VALUES (2);
RESET SESSION AUTHORIZATION;
SET ROLE regress_sync_owner;
CREATE OR REPLACE FUNCTION regress_who() RETURNS name LANGUAGE plpgsql AS $$ BEGIN PERFORM set_config('search_path', 'regress_theirs', false); RETURN current_user; END $$;
RESET ROLE;
INSERT INTO regress_sync VALUES (3);
SHOW search_path;

-- a table that has been given to another role is left alone: the code is the former owner's
ALTER TABLE regress_sync OWNER TO CURRENT_USER;
INSERT INTO regress_sync VALUES (4);
SELECT * FROM regress_sync ORDER BY id;
DROP TABLE regress_sync, regress_secret;
DROP FUNCTION regress_secret(integer), regress_who();

-- Who owns a partitioned table may execute the function. A trigger that no backfill has made does nothing.
CREATE TABLE sync_theirs (id integer, name text);
GRANT SELECT, INSERT, TRIGGER ON sync_theirs TO regress_sync_owner;
SET ROLE regress_sync_owner;
CREATE TABLE sync_own (id integer, name text) PARTITION BY RANGE (id);
CREATE TABLE sync_own_1 PARTITION OF sync_own DEFAULT;
RESET ROLE;
SELECT regress_cover('sync_own', 'name = current_user', 'name IS NULL');
GRANT EXECUTE ON FUNCTION dbops.backfill_sync() TO regress_sync_owner;
SELECT convert_from(tgargs, 'UTF8') AS argument, jsonb_set(convert_from(tgargs, 'UTF8')::jsonb, '{owners}', to_jsonb(ARRAY[(SELECT relowner::bigint FROM pg_class WHERE relname = 'sync_theirs')])) AS theirs
  FROM (SELECT tgrelid, trim(trailing '\000'::bytea FROM tgargs) AS tgargs FROM pg_trigger) t WHERE tgrelid = 'sync_own'::regclass \gset
SET ROLE regress_sync_owner;
INSERT INTO sync_own VALUES (1) RETURNING name;
CREATE TRIGGER forged BEFORE INSERT ON sync_theirs FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync(:'argument');
CREATE TRIGGER forged_too BEFORE INSERT ON sync_theirs FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync(:'theirs');
INSERT INTO sync_theirs VALUES (1) RETURNING name;
INSERT INTO sync_theirs VALUES (2) RETURNING name;
CREATE OR REPLACE TRIGGER forged BEFORE INSERT ON sync_theirs FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync();
INSERT INTO sync_theirs VALUES (3);
RESET ROLE;
DROP TABLE sync_theirs, sync_own;
REVOKE EXECUTE ON FUNCTION dbops.backfill_sync() FROM regress_sync_owner;

-- An assigned column that gets another type does not fail the application's writes.
CREATE TABLE sync_retyped (a integer, b text);
SELECT regress_cover('sync_retyped', 'b = a', 'b IS DISTINCT FROM a::text');
INSERT INTO sync_retyped VALUES (1) RETURNING b;
ALTER TABLE sync_retyped ALTER b TYPE varchar(5);
INSERT INTO sync_retyped VALUES (2) RETURNING b;
DROP TABLE sync_retyped;

DROP SCHEMA regress_ours, regress_theirs CASCADE;
DROP FUNCTION regress_cover, regress_own();
SELECT dbops.revoke_access('regress_sync_owner');
REVOKE CREATE ON SCHEMA public FROM regress_sync_owner;
DROP ROLE regress_sync_owner, regress_sync_writer;

-- A trigger that a dump has brought from another database does nothing, says so,
-- and makes room for the job that has its number here.
SET client_min_messages = notice;
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 91001;
CREATE TABLE sync_stray (a integer, b integer);
CREATE TRIGGER dbops_sync_91001 BEFORE INSERT OR UPDATE ON sync_stray
    FOR EACH ROW EXECUTE FUNCTION dbops.backfill_sync('{"home": "1/1", "owners": []}');
INSERT INTO sync_stray VALUES (1), (2);
INSERT INTO sync_stray VALUES (3);
SELECT * FROM sync_stray ORDER BY a;
SET client_min_messages = warning;
CALL dbops.batched_backfill('sync_stray', 'b = a', 'b IS DISTINCT FROM a', sync => true);
SELECT * FROM sync_stray ORDER BY a;
SELECT bool_or(id = 91001) AS number, (SELECT count(*) FROM pg_trigger WHERE tgrelid = 'sync_stray'::regclass) AS triggers FROM dbops.job;
DROP TABLE sync_stray;
DELETE FROM dbops.job WHERE id = 91001;
