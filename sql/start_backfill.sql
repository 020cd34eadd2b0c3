-- A backfill as a job: what is refused when it is submitted, what the job keeps,
-- who may submit it, and what comes of it. A job that must not begin is paused in
-- the transaction that submits it.

-- Messages name ids: begin with one that no other test changes.
ALTER SEQUENCE dbops.job_id_seq RESTART WITH 3001;

CREATE TABLE regress_start (id integer PRIMARY KEY, place text, day date, seen timestamptz);
INSERT INTO regress_start (id) SELECT generate_series(1, 5000);
ANALYZE regress_start;

-- It runs in the background, and its result says what came of it.
SELECT dbops.start_backfill('regress_start', 'place = ''p'' || id', 'place IS NULL', batch_size => 500) AS job \gset
CALL dbops.wait_job(:job);
SELECT s ->> 'kind' AS kind, s ->> 'name' AS name, s #> '{result,rows}' AS rows, s #> '{result,left}' AS left,
       s #>> '{result,reason}' AS reason, (s #> '{result,batches}')::int >= 10 AS batches
  FROM dbops.job_status(:job) s;
SELECT count(*) FROM regress_start WHERE place = 'p' || id;

-- In the foreground the pace is told as a notice, which is never the same.
SET client_min_messages = warning;

-- Its moment is that of the submission, and so are the settings that values depend on.
SET TimeZone = 'Pacific/Kiritimati';
BEGIN;
SELECT dbops.start_backfill('regress_start', 'seen = now(), day = timestamptz ''2026-01-01 12:00+00''', 'id <= 10') AS job \gset
SELECT dbops.pause_job(:job);
SELECT now() AS submitted \gset
COMMIT;
RESET TimeZone;
UPDATE regress_start SET seen = '2026-01-01 12:00+00' WHERE id = 11;
BEGIN;
SELECT dbops.start_backfill('regress_start', 'place = E''back\\slash'', day = seen::date', 'id = 11') AS other \gset
SELECT dbops.pause_job(:other);
COMMIT;
CALL dbops.run_job(:job);
SET TimeZone = 'Pacific/Kiritimati';
CALL dbops.run_job(:other);
RESET TimeZone;
SELECT DISTINCT seen = :'submitted' AS submitted, day FROM regress_start WHERE id <= 10;
SELECT place, day FROM regress_start WHERE id = 11;

-- The same clauses for the same table are one job while it lives; others are not.
BEGIN;
SELECT dbops.start_backfill('regress_start', 'place = ''x''') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SET client_min_messages = notice;
SELECT dbops.start_backfill('regress_start', 'place = ''x''', batch_size => 7) = :job AS same;
SET client_min_messages = warning;
SELECT dbops.start_backfill('regress_start', 'place = ''x''', sync => true);
SELECT dbops.start_backfill('regress_start', 'place = ''x''', on_error => 'quarantine');
CALL dbops.batched_backfill('regress_start', 'place = ''x''', method => 'keyset');
BEGIN;
SELECT dbops.start_backfill('regress_start', 'place = ''x''', 'id = 1') = :job AS same;
ROLLBACK;

-- What it keeps
SELECT spec - 'relid' - 'owners' - 'change' AS spec, spec #> '{change,set_list}' AS set_list,
       spec #> '{change,settings,TimeZone}' AS zone
  FROM dbops.job WHERE id = :job;

-- What can be tuned, also by its own settings
SELECT dbops.tune_job(:job, settings => '{"batch_size": 0}');
SELECT dbops.tune_job(:job, settings => '{"batch_size": "many"}');
SELECT dbops.tune_job(:job, settings => '{"pause": "2 hours"}');
SELECT dbops.tune_job(:job, settings => '{"pause": -1}');
SELECT dbops.tune_job(:job, settings => '{"verify": false}');
SELECT dbops.tune_job(:job, settings => '{"batch_size": 100000, "pause": "1 ms"}');
CALL dbops.run_job(:job);
SELECT r - 'proof' - 'meanwhile' AS result, (r -> 'proof') - 'lsn' - 'at' AS proof
  FROM dbops.job_status(:job) s, LATERAL (SELECT s -> 'result') r (r);

-- Rows that are left, with the reason
UPDATE regress_start SET place = NULL WHERE id < 10;
SELECT dbops.start_backfill('regress_start', 'place = nullif(id, 7)::text', 'place IS NULL') AS job \gset
CALL dbops.wait_job(:job);
SELECT s -> 'state' AS state, (s -> 'result') - 'batches' AS result FROM dbops.job_status(:job) s;
SELECT dbops.start_backfill('regress_start', 'place = ''y''', verify => false) AS job \gset
CALL dbops.wait_job(:job);
SELECT s -> 'state' AS state, (s -> 'result') - 'batches' AS result FROM dbops.job_status(:job) s;

-- A pause that has begun ends when it is tuned
CREATE TABLE regress_tuned AS SELECT 0 AS a FROM generate_series(1, 1000);
SELECT dbops.start_backfill('regress_tuned', 'a = 1', batch_size => 10, pause => '1 h') AS job \gset
SELECT set_config('regress.job', :'job', false) = :'job' AS set;
DO $$ BEGIN FOR i IN 1..1000 LOOP EXIT WHEN (SELECT waiting FROM dbops.jobs() WHERE id = current_setting('regress.job')::bigint) = 'for its pause of 3600 s'; PERFORM pg_sleep(0.01); END LOOP; END $$;
-- A call that needs no job does not do the same beside it.
\set VERBOSITY terse
CALL dbops.batched_backfill('regress_tuned', 'a = 1', batch_size => 10, pause => '1 h');
SELECT count(*) < 1000 AS left_to_the_job FROM regress_tuned WHERE a = 1;
SELECT dbops.tune_job(:job, settings => '{"pause": 0, "batch_size": 10000}');
CALL dbops.wait_job(:job);
-- One that has not begun, or is paused, it goes on with, or is refused with another meaning.
BEGIN;
SELECT dbops.start_backfill('regress_tuned', 'a = 2') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
CALL dbops.batched_backfill('regress_tuned', 'a = 2', verify => false);
SET client_min_messages = notice;
CALL dbops.batched_backfill('regress_tuned', 'a = 2', batch_size => 100);
SET client_min_messages = warning;
\set VERBOSITY default
SELECT state, message FROM dbops.jobs() WHERE id = :job;
SELECT count(*) AS changed FROM regress_tuned WHERE a = 2;
DROP TABLE regress_tuned;

-- Refused at once, as the call refuses it
SELECT dbops.start_backfill(NULL, 'place = ''x''');
SELECT dbops.start_backfill('regress_start', 'id = -id');
SELECT dbops.start_backfill('regress_start', 'place = ''x''; DROP TABLE regress_start');
SELECT dbops.start_backfill('regress_start', 'nowhere = 1');
SELECT dbops.start_backfill('regress_start', 'place = ''x''', batch_size => 0);
SELECT dbops.start_backfill('regress_start', 'place = ''x''', pause => '-1 s');
SELECT dbops.start_backfill('pg_class', 'relname = ''x''');
CREATE TEMP TABLE regress_start_temp (place text);
SELECT dbops.start_backfill('regress_start_temp', 'place = ''x''');
BEGIN READ ONLY;
SELECT dbops.start_backfill('regress_start', 'place = ''x''');
ROLLBACK;

-- Whose it is: the table's owner, whatever member of it submits it
CREATE ROLE regress_start_owner LOGIN;
CREATE ROLE regress_start_member LOGIN IN ROLE regress_start_owner;
CREATE ROLE regress_start_other LOGIN;
SELECT dbops.grant_access('regress_start_member', 'operator');
SELECT dbops.grant_access('regress_start_other', 'operator');
ALTER TABLE regress_start OWNER TO regress_start_owner;
ALTER TABLE regress_start ADD changed_by text;
SET ROLE regress_start_other;
SELECT dbops.start_backfill('regress_start', 'place = ''z''');
SET ROLE regress_start_member;
SELECT dbops.start_backfill('regress_start', 'changed_by = current_user') AS job \gset
RESET ROLE;
CALL dbops.wait_job(:job);
SELECT owner FROM dbops.jobs() WHERE id = :job;

-- What a trigger sees is the owner, in the background as in the foreground.
CREATE FUNCTION regress_start_who() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.changed_by := current_user || ' ' || pg_has_role(session_user, 'pg_monitor', 'member'); RETURN NEW; END $$;
CREATE TRIGGER who BEFORE UPDATE OF place ON regress_start FOR EACH ROW EXECUTE FUNCTION regress_start_who();
SET ROLE regress_start_member;
SELECT dbops.start_backfill('regress_start', 'place = ''by trigger''', 'place = ''y''') AS job \gset
RESET ROLE;
CALL dbops.wait_job(:job);
SELECT dbops.job_status(:job) #> '{result,left}' AS left;
SELECT place, changed_by, count(*) FROM regress_start GROUP BY 1, 2;

-- A table that has become another's meanwhile is left alone.
BEGIN;
SELECT dbops.start_backfill('regress_start', 'place = ''stolen''') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
ALTER TABLE regress_start OWNER TO regress_start_other;
SELECT dbops.resume_job(:job);
CALL dbops.wait_job(:job);
SELECT s -> 'state' AS state, s -> 'sqlstate' AS sqlstate, s -> 'message' AS message FROM dbops.job_status(:job) s;
SELECT count(*) FROM regress_start WHERE place = 'stolen';
SELECT dbops.cancel_job(:job);

DROP TABLE regress_start;
DROP FUNCTION regress_start_who();
SELECT dbops.revoke_access('regress_start_member');
SELECT dbops.revoke_access('regress_start_other');
DROP ROLE regress_start_member, regress_start_owner, regress_start_other;
