-- A backfill that several processes share: what is refused, that all of them
-- take part and each row is changed once, and as whom they do it. Who works is
-- recorded by triggers; where the session has to wait for a helping process, a
-- trigger waits for what that has committed.

-- The pace is told as a notice, which is never the same.
SET client_min_messages = warning;

CREATE TABLE regress_workers (id integer PRIMARY KEY, place text, changed integer NOT NULL DEFAULT 0, by_pid integer, by_role text);
INSERT INTO regress_workers (id) SELECT generate_series(1, 20000);
ANALYZE regress_workers;
CREATE TABLE regress_workers_seen (pid integer);

-- More than there can be; in a call the session is one of them.
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => 0);
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => 5);
SELECT dbops.start_backfill('regress_workers', 'place = ''p''', workers => 4);
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => 2, method => 'keyset');
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => NULL);
BEGIN;
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => 2);
ROLLBACK;

-- The session waits in its first batch until another process has committed one.
CREATE FUNCTION regress_workers_note() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.changed := OLD.changed + 1;
    NEW.by_pid := pg_backend_pid();
    NEW.by_role := current_user;
    RETURN NEW;
END $$;
CREATE TRIGGER note BEFORE UPDATE ON regress_workers FOR EACH ROW EXECUTE FUNCTION regress_workers_note();
CREATE FUNCTION regress_workers_wait() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO regress_workers_seen SELECT pg_backend_pid()
     WHERE NOT EXISTS (SELECT FROM regress_workers_seen WHERE pid = pg_backend_pid());
    FOR i IN 1 .. 1000 LOOP
        EXIT WHEN current_setting('regress.session', true) IS DISTINCT FROM pg_backend_pid()::text
               OR EXISTS (SELECT FROM regress_workers_seen WHERE pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01);
    END LOOP;
    RETURN NULL;
END $$;
CREATE TRIGGER wait AFTER UPDATE ON regress_workers FOR EACH STATEMENT EXECUTE FUNCTION regress_workers_wait();
SELECT set_config('regress.session', pg_backend_pid()::text, false) IS NOT NULL AS set;
CALL dbops.batched_backfill('regress_workers', 'place = ''p'' || id', 'place IS NULL', batch_size => 200, workers => 2);
SELECT count(*), count(DISTINCT by_pid) AS processes, bool_or(by_pid = pg_backend_pid()) AS session_too,
       min(changed) AS least, max(changed) AS most, count(*) FILTER (WHERE place = 'p' || id) AS right
  FROM regress_workers;
SELECT state, result - '{batches,proof,meanwhile}'::text[] AS result, (SELECT count(*) FROM dbops.job_part) AS parts
  FROM dbops.job ORDER BY submitted_at DESC LIMIT 1;

-- What a value that never comes about leaves is told as with one.
SET client_min_messages = error;
UPDATE regress_workers SET place = NULL;
CALL dbops.batched_backfill('regress_workers', 'place = nullif(id, 7)::text', 'place IS NULL', batch_size => 200, workers => 2);
SET client_min_messages = warning;
SELECT result - '{batches,proof,meanwhile}'::text[] AS result FROM dbops.job ORDER BY submitted_at DESC LIMIT 1;
SELECT count(*) FROM regress_workers WHERE place IS NULL;

-- An error of one of them is that of the call, whoever meets it.
ALTER TABLE regress_workers ADD CHECK (place <> 'q19999');
\set VERBOSITY sqlstate
CALL dbops.batched_backfill('regress_workers', 'place = ''q'' || id', 'place NOT LIKE ''q%''', batch_size => 200, workers => 2);
\set VERBOSITY default
SELECT state, sqlstate, regexp_replace(message, '\d+,\d+', 'b,n') AS message FROM dbops.job ORDER BY submitted_at DESC LIMIT 1;
DROP TABLE regress_workers;

-- Many tables in one part, and one that is much larger than the others
CREATE TABLE regress_workers (id integer, place text, changed integer NOT NULL DEFAULT 0) PARTITION BY RANGE (id);
SELECT format('CREATE TABLE regress_workers_%s PARTITION OF regress_workers FOR VALUES FROM (%s) TO (%s)', i, 10 * i, 10 * (i + 1)) FROM generate_series(0, 59) i
\gexec
CREATE TABLE regress_workers_large PARTITION OF regress_workers FOR VALUES FROM (600) TO (20000);
INSERT INTO regress_workers (id) SELECT generate_series(0, 9999);
CREATE TRIGGER note BEFORE UPDATE ON regress_workers_large FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
CALL dbops.batched_backfill('regress_workers', 'place = id, changed = 1', batch_size => 500, workers => 3);
SELECT count(*), count(*) FILTER (WHERE place = id::text AND changed = 1) AS right FROM regress_workers;
SELECT result - '{batches,proof,meanwhile}'::text[] AS result FROM dbops.job ORDER BY submitted_at DESC LIMIT 1;

-- An empty table, and one without anything to do
TRUNCATE regress_workers;
CALL dbops.batched_backfill('regress_workers', 'place = id', workers => 2);

-- In the background; the number can be changed while it runs.
INSERT INTO regress_workers (id) SELECT generate_series(0, 9999);
BEGIN;
SELECT dbops.start_backfill('regress_workers', 'place = id', batch_size => 500, workers => 3) AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SELECT dbops.tune_job(:job, settings => '{"workers": 0}');
SELECT dbops.tune_job(:job, settings => '{"workers": 5}');
SELECT dbops.tune_job(:job, settings => '{"workers": "two"}');
SELECT dbops.tune_job(:job, settings => '{"workers": 2}');
SELECT dbops.resume_job(:job);
CALL dbops.wait_job(:job);
SELECT result - '{batches,proof,meanwhile}'::text[] AS result FROM dbops.job WHERE id = :job;
DROP TABLE regress_workers;

-- When the number is changed, what was done before stays done, and parts are small, whatever a batch has room for.
-- The session ends its turn with each batch.
CREATE TABLE regress_workers (id integer PRIMARY KEY, place text, fill text);
ALTER TABLE regress_workers ALTER fill SET STORAGE PLAIN;
INSERT INTO regress_workers (id, fill) SELECT i, repeat('x', 1900) FROM generate_series(1, 1000) i;
ANALYZE regress_workers;
BEGIN;
SELECT dbops.start_backfill('regress_workers', 'place = id', 'place IS NULL') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
CREATE FUNCTION regress_workers_pause() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF current_setting('regress.session', true) = pg_backend_pid()::text THEN
        PERFORM dbops.pause_job(current_setting('regress.job')::bigint);
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER pause AFTER UPDATE ON regress_workers FOR EACH STATEMENT EXECUTE FUNCTION regress_workers_pause();
SELECT set_config('regress.job', :'job', false) IS NOT NULL AS set;
CALL dbops.run_job(:job);
CALL dbops.run_job(:job);
CALL dbops.run_job(:job);
CALL dbops.run_job(:job);
SELECT percent AS before FROM dbops.jobs() WHERE id = :job \gset
SELECT dbops.tune_job(:job, settings => '{"workers": 2}');
CALL dbops.run_job(:job);
SELECT :before > 0 AS before, percent > :before AS further, state FROM dbops.jobs() WHERE id = :job;
SELECT count(*) > 3 AS parts, sum(total) = 250 AS whole FROM dbops.job_part WHERE job_id = :job;
DROP TRIGGER pause ON regress_workers;
CALL dbops.run_job(:job);
SELECT state, result - '{batches,proof,meanwhile}'::text[] AS result FROM dbops.job WHERE id = :job;
DROP TABLE regress_workers;
DROP FUNCTION regress_workers_pause();

-- As whom: the owner, who cannot log in, whatever member calls; in all processes.
CREATE ROLE regress_workers_owner NOLOGIN;
CREATE ROLE regress_workers_member LOGIN IN ROLE regress_workers_owner;
SELECT dbops.grant_access('regress_workers_member', 'operator');
CREATE TABLE regress_workers (id integer PRIMARY KEY, place text, changed integer NOT NULL DEFAULT 0, by_pid integer, by_role text);
INSERT INTO regress_workers (id) SELECT generate_series(1, 20000);
ANALYZE regress_workers;
TRUNCATE regress_workers_seen;
GRANT SELECT, INSERT ON regress_workers_seen TO regress_workers_owner;
CREATE TRIGGER note BEFORE UPDATE ON regress_workers FOR EACH ROW EXECUTE FUNCTION regress_workers_note();
CREATE TRIGGER wait AFTER UPDATE ON regress_workers FOR EACH STATEMENT EXECUTE FUNCTION regress_workers_wait();
ALTER TABLE regress_workers OWNER TO regress_workers_owner;
SET ROLE regress_workers_member;
CALL dbops.batched_backfill('regress_workers', 'place = current_user', 'place IS NULL', batch_size => 200, workers => 2);
RESET ROLE;
SELECT place, by_role, count(*), count(DISTINCT by_pid) AS processes, max(changed) AS most FROM regress_workers GROUP BY 1, 2;
SELECT owner = 'regress_workers_owner'::regrole AS owner, count(*) > 0 AS done FROM dbops.jobs() WHERE state = 'succeeded' GROUP BY 1 ORDER BY 1 DESC LIMIT 1;
DROP TABLE regress_workers;

-- A deferred trigger needs all of them to be logged in as the table's owner.
CREATE ROLE regress_workers_other LOGIN IN ROLE regress_workers_owner;
SELECT dbops.grant_access('regress_workers_other', 'operator');
GRANT CREATE ON SCHEMA public TO regress_workers_other, regress_workers_owner;
CREATE TABLE regress_workers (id integer, place text);
ALTER TABLE regress_workers OWNER TO regress_workers_owner;
CREATE TABLE regress_workers_child () INHERITS (regress_workers);
CREATE CONSTRAINT TRIGGER later AFTER UPDATE ON regress_workers_child DEFERRABLE FOR EACH ROW EXECUTE FUNCTION regress_workers_wait();
ALTER TABLE regress_workers_child OWNER TO regress_workers_other;
SET ROLE regress_workers_other;
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => 1);
CALL dbops.batched_backfill('regress_workers', 'place = ''p''', workers => 2);
RESET ROLE;

DROP TABLE regress_workers_child, regress_workers, regress_workers_seen;
DROP FUNCTION regress_workers_note(), regress_workers_wait();
REVOKE CREATE ON SCHEMA public FROM regress_workers_other, regress_workers_owner;
SELECT dbops.revoke_access('regress_workers_member');
SELECT dbops.revoke_access('regress_workers_other');
DROP ROLE regress_workers_member, regress_workers_other, regress_workers_owner;
