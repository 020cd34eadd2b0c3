-- A receipt is made with settings that its user may not change and of messages
-- that he may not see, and leaves neither to him.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_receipts_operator;
SELECT dbops.grant_access('regress_receipts_operator', 'operator');
CREATE SCHEMA receipts AUTHORIZATION regress_receipts_operator;

SET ROLE regress_receipts_operator;
SET search_path = receipts;
SET log_min_messages = debug1;
SET dbops.watched_log_level = 10;
CREATE TABLE mine (id integer);
SELECT effect, locks, objects FROM dbops.apply_migration('V1', 'ALTER TABLE mine ADD COLUMN r float DEFAULT random()', project => 'mine') WHERE step = 1;
SHOW log_min_messages;

-- not even from inside
SELECT notices FROM dbops.apply_migration('V2', 'DO $$ BEGIN PERFORM set_config(''log_min_messages'', ''debug5'', false); END $$', project => 'mine');
SELECT notices FROM dbops.apply_migration('V2', 'SET deadlock_timeout = 1', project => 'mine');
SHOW log_min_messages;

-- look-alikes first in the path are not called when a receipt is written
CREATE FUNCTION receipts.format_type(oid, integer) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike'; END $$;
SET search_path = receipts, pg_catalog;
SELECT effect, objects FROM dbops.apply_migration('V3', 'CREATE FUNCTION f(integer) RETURNS integer LANGUAGE sql AS ''SELECT 1''; DROP FUNCTION f', project => 'mine') WHERE step IS NOT NULL;
RESET search_path;
RESET ROLE;

DELETE FROM dbops.migration WHERE project = 'mine';
DROP SCHEMA receipts CASCADE;
DROP OWNED BY regress_receipts_operator;
DROP ROLE regress_receipts_operator;
