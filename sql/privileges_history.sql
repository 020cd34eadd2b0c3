-- Who may see history, who may write it, and that nobody reaches its tables,
-- the partitions that are made later included.
\set VERBOSITY terse
CREATE ROLE regress_nobody;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_operator;
CREATE ROLE regress_admin;
SELECT dbops.grant_access('regress_operator', 'operator');
SELECT dbops.grant_access('regress_admin', 'admin');
ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO PUBLIC;

-- a role with nothing
GRANT USAGE ON SCHEMA dbops TO regress_nobody;
SET ROLE regress_nobody;
SELECT * FROM dbops.metric_history('size');
SELECT * FROM dbops.wait_history();
SELECT dbops.roll_up_metrics();
SELECT dbops.prune_history();
SELECT dbops.put_sample('{}');
SELECT * FROM dbops.metric_1m;
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_nobody;

-- monitors and operators read, and see no table
SET ROLE regress_monitor;
SELECT count(*) FROM dbops.metric_history('size', '1990-01-01', '1990-01-02');
SELECT count(*) FROM dbops.wait_history('1990-01-01', '1990-01-02');
SELECT dbops.roll_up_metrics();
SELECT dbops.prune_history();
SELECT * FROM dbops.wait_1m;
SELECT * FROM dbops.history_progress;
SET ROLE regress_operator;
SELECT dbops.roll_up_metrics();
RESET ROLE;

-- admins may have it written at once, with partitions that are not theirs, but may not set the time for samples of their own
BEGIN;
SET LOCAL dbops.test_now = 2000000000;
SELECT dbops.put_sample('{"size": 1}');
SET LOCAL dbops.test_now = 2000000100;
SET ROLE regress_admin;
SELECT dbops.roll_up_metrics(false) > 0 AS written;
SELECT dbops.prune_history();
SELECT count(*) FROM dbops.metric_history('size', '2033-01-01', '2034-01-01', '1 h');
RESET ROLE;
SELECT relname, relowner::regrole = (SELECT nspowner FROM pg_namespace WHERE nspname = 'dbops')::regrole AS of_dbops,
       has_table_privilege('regress_nobody', oid, 'SELECT') AS seen_by_nobody, has_table_privilege('regress_admin', oid, 'SELECT') AS seen_by_admins
  FROM pg_class WHERE relname ~ '^metric_.*_2033' AND relkind = 'r' ORDER BY 1;
ROLLBACK;
SET ROLE regress_admin;
SELECT dbops.put_sample('{}');
RESET ROLE;

-- look-alikes, first in the path
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.caught() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
CREATE FUNCTION hostile.before(timestamptz, timestamptz) RETURNS boolean LANGUAGE sql AS 'SELECT hostile.caught()';
CREATE OPERATOR hostile.< (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.before);
CREATE OPERATOR hostile.>= (LEFTARG = timestamptz, RIGHTARG = timestamptz, FUNCTION = hostile.before);
CREATE FUNCTION hostile.jsonb_to_recordset(jsonb) RETURNS SETOF record LANGUAGE sql AS 'SELECT 1 WHERE hostile.caught()';
CREATE FUNCTION hostile.substr(text, int) RETURNS text LANGUAGE sql AS 'SELECT $1 WHERE hostile.caught()';
SET search_path = hostile, pg_catalog;
BEGIN;
SET LOCAL dbops.test_now = 2000000000;
SELECT dbops.put_sample('{"size": 1}');
SET LOCAL dbops.test_now = 2000000100;
SELECT dbops.roll_up_metrics(false) OPERATOR(pg_catalog.>) 0 AS written;
SELECT dbops.prune_history();
SELECT count(*) FROM dbops.metric_history('size', '2033-01-01', '2034-01-01', '1 h');
SELECT count(*) FROM dbops.wait_history('2032-01-01', '2033-01-01');
ROLLBACK;
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA hostile CASCADE;
ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM PUBLIC;
SELECT dbops.revoke_access('regress_operator');
SELECT dbops.revoke_access('regress_admin');
DROP ROLE regress_nobody, regress_monitor, regress_operator, regress_admin;
