-- Who may backfill, and with whose rights the rows are changed.
\set VERBOSITY terse
CREATE ROLE regress_backfill_owner;
CREATE ROLE regress_backfill_member IN ROLE regress_backfill_owner;
CREATE ROLE regress_backfill_other;
CREATE ROLE regress_backfill_nobody;
CREATE ROLE regress_backfill_monitor IN ROLE pg_monitor;
SELECT dbops.grant_access('regress_backfill_owner', 'operator');
SELECT dbops.grant_access('regress_backfill_other', 'operator');
GRANT ALL ON SCHEMA public TO regress_backfill_owner;

SET ROLE regress_backfill_owner;
CREATE TABLE backfill_owned (id integer, place text, changed_by text);
INSERT INTO backfill_owned SELECT i FROM generate_series(1, 100) i;
CREATE FUNCTION backfill_stamp() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.changed_by := current_user; RETURN NEW; END $$;
CREATE TRIGGER stamp BEFORE UPDATE ON backfill_owned FOR EACH ROW EXECUTE FUNCTION backfill_stamp();
GRANT ALL ON backfill_owned TO regress_backfill_other;
CALL dbops.batched_backfill('backfill_owned', 'place = ''own''');
RESET ROLE;

-- a role with nothing, a monitor, somebody who may change rows but does not own the table
SET ROLE regress_backfill_nobody;
CALL dbops.batched_backfill('backfill_owned', 'place = ''x''');
SET ROLE regress_backfill_monitor;
CALL dbops.batched_backfill('backfill_owned', 'place = ''x''');
SET ROLE regress_backfill_other;
CALL dbops.batched_backfill('backfill_owned', 'place = ''x''');
RESET ROLE;

-- a member, and a superuser: the rows are changed with the owner's rights
SET ROLE regress_backfill_member;
CALL dbops.batched_backfill('backfill_owned', 'place = ''member''');
RESET ROLE;
SELECT DISTINCT place, changed_by FROM backfill_owned;
CALL dbops.batched_backfill('backfill_owned', 'place = current_user');
SELECT DISTINCT place, changed_by FROM backfill_owned;
SELECT current_user = session_user AS myself_again;

-- a subselect on what the owner may not read
CREATE TABLE backfill_secret AS SELECT 'secret' AS word;
CALL dbops.batched_backfill('backfill_owned', 'place = (SELECT word FROM backfill_secret)');

-- refused when it is submitted, with who lacks what; a view reads with its own owner's rights
\set VERBOSITY default
SELECT dbops.start_backfill('backfill_owned', 'place = ''x''', 'EXISTS (SELECT FROM backfill_secret s WHERE s.word = place)');
GRANT SELECT (word) ON backfill_secret TO regress_backfill_owner;
ALTER TABLE backfill_secret ADD COLUMN other text;
SELECT dbops.start_backfill('backfill_owned', 'place = (SELECT other FROM backfill_secret)');
SELECT dbops.cancel_job(dbops.start_backfill('backfill_owned', 'place = (SELECT word FROM backfill_secret)'));
REVOKE SELECT (word) ON backfill_secret FROM regress_backfill_owner;
CREATE VIEW backfill_shown AS SELECT word FROM backfill_secret;
SELECT dbops.start_backfill('backfill_owned', 'place = (SELECT word FROM backfill_shown)');
GRANT SELECT ON backfill_shown TO regress_backfill_owner;
SELECT dbops.cancel_job(dbops.start_backfill('backfill_owned', 'place = (SELECT word FROM backfill_shown)'));
ALTER VIEW backfill_shown SET (security_invoker = true);
SELECT dbops.start_backfill('backfill_owned', 'place = (SELECT word FROM backfill_shown)');
CREATE FUNCTION backfill_private(integer) RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$;
REVOKE ALL ON FUNCTION backfill_private(integer) FROM PUBLIC;
SELECT dbops.start_backfill('backfill_owned', 'place = backfill_private(id)');
DROP VIEW backfill_shown;
DROP FUNCTION backfill_private(integer);
\set VERBOSITY terse

-- rows that fail are shown to those who may act on the job, and to no others
CREATE TABLE backfill_own_bad (id integer PRIMARY KEY, place integer);
INSERT INTO backfill_own_bad VALUES (0), (1);
ALTER TABLE backfill_own_bad OWNER TO regress_backfill_owner;
SET client_min_messages = error;
SET ROLE regress_backfill_owner;
CALL dbops.batched_backfill('backfill_own_bad', 'place = 1 / id', on_error => 'quarantine');
RESET ROLE;
RESET client_min_messages;
SELECT id AS job FROM dbops.job WHERE name = 'backfill_own_bad' \gset
SELECT set_config('regress.job', :'job', false) IS NOT NULL AS set;
SET ROLE regress_backfill_owner;
SELECT key, message FROM dbops.backfill_errors(:job);
SELECT count(*) FROM dbops.backfill_error;
SET ROLE regress_backfill_other;
DO $$ BEGIN
    PERFORM dbops.backfill_errors(current_setting('regress.job')::bigint);
EXCEPTION WHEN insufficient_privilege THEN
    RAISE INFO '%', replace(SQLERRM, current_setting('regress.job'), 'N');
END $$;
SET ROLE regress_backfill_monitor;
SELECT dbops.backfill_errors(:job);
RESET ROLE;
DELETE FROM dbops.job WHERE id = :job;
DROP TABLE backfill_own_bad;

-- a partition of another owner
CREATE TABLE backfill_mixed (id integer, place text) PARTITION BY LIST (id);
CREATE TABLE backfill_mixed_1 PARTITION OF backfill_mixed FOR VALUES IN (1);
ALTER TABLE backfill_mixed OWNER TO regress_backfill_owner;
ALTER TABLE backfill_mixed_1 OWNER TO regress_backfill_other;
INSERT INTO backfill_mixed VALUES (1);
SET ROLE regress_backfill_owner;
CALL dbops.batched_backfill('backfill_mixed', 'place = ''x''');
RESET ROLE;

-- row security: the owner sees all rows, unless it is forced on the owner
ALTER TABLE backfill_owned ENABLE ROW LEVEL SECURITY;
CREATE POLICY few ON backfill_owned USING (id <= 10);
SET ROLE regress_backfill_owner;
CALL dbops.batched_backfill('backfill_owned', 'place = ''all''');
RESET ROLE;
SELECT count(*) FROM backfill_owned WHERE place = 'all';
ALTER TABLE backfill_owned FORCE ROW LEVEL SECURITY;
SET ROLE regress_backfill_owner;
CALL dbops.batched_backfill('backfill_owned', 'place = ''some''');
RESET ROLE;
CALL dbops.batched_backfill('backfill_owned', 'place = ''some''');
ALTER TABLE backfill_owned DISABLE ROW LEVEL SECURITY;

DROP TABLE backfill_owned, backfill_secret, backfill_mixed;
DROP FUNCTION backfill_stamp();
SELECT dbops.revoke_access('regress_backfill_owner');
SELECT dbops.revoke_access('regress_backfill_other');
REVOKE ALL ON SCHEMA public FROM regress_backfill_owner;
DROP ROLE regress_backfill_owner, regress_backfill_member, regress_backfill_other,
    regress_backfill_nobody, regress_backfill_monitor;
