-- Who may pause jobs, and who may see that they are paused.
\set VERBOSITY terse
CREATE ROLE regress_gates_nobody;
CREATE ROLE regress_gates_monitor;
CREATE ROLE regress_gates_operator;
CREATE ROLE regress_gates_admin;
SELECT dbops.grant_access('regress_gates_monitor', 'monitor');
SELECT dbops.grant_access('regress_gates_operator', 'operator');
SELECT dbops.grant_access('regress_gates_admin', 'admin');

SET ROLE regress_gates_nobody;
SELECT * FROM dbops.gates();
SELECT dbops.pause_jobs('no');
RESET ROLE;
GRANT USAGE ON SCHEMA dbops TO regress_gates_nobody;
SET ROLE regress_gates_nobody;
SELECT * FROM dbops.gates();
SELECT dbops.pause_jobs('no');
SELECT dbops.resume_jobs();
SELECT * FROM dbops.pause;
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_gates_nobody;

-- a monitor sees the gates as a superuser does, and pauses nothing
SELECT md5(string_agg(gate || closed, ',' ORDER BY gate, setting)) AS superuser FROM dbops.gates() \gset
SET ROLE regress_gates_monitor;
SELECT md5(string_agg(gate || closed, ',' ORDER BY gate, setting)) = :'superuser' AS same FROM dbops.gates();
SELECT dbops.pause_jobs('no');
SELECT dbops.pause_jobs('no', whole_cluster => true);
SELECT dbops.resume_jobs();
SELECT dbops.resume_jobs(true);
SELECT * FROM dbops.pause;

SET ROLE regress_gates_operator;
SELECT count(*) FROM dbops.gates();
SELECT dbops.pause_jobs('no');
SELECT dbops.resume_jobs();

-- an admin pauses, by name, and does so through the functions only
SET ROLE regress_gates_admin;
SELECT dbops.pause_jobs('maintenance');
SELECT * FROM dbops.pause;
DELETE FROM dbops.pause;
SET ROLE regress_gates_monitor;
SELECT detail LIKE 'paused by regress_gates_admin since %: maintenance' AS by_name FROM dbops.gates() WHERE gate = 'pause';
SET ROLE regress_gates_admin;
SELECT dbops.resume_jobs();
SELECT dbops.pause_jobs('maintenance', whole_cluster => true);
SET ROLE regress_gates_monitor;
SELECT detail LIKE 'all databases paused by regress_gates_admin since %: maintenance' AS by_name FROM dbops.gates() WHERE gate = 'pause';
SET ROLE regress_gates_admin;
SELECT dbops.resume_jobs(true);

-- gates are no user's to open
SET dbops.max_replica_lag = -1;
SET dbops.max_replica_lag_bytes = -1;
SET dbops.max_xmin_age = -1;
SET dbops.min_free_disk = 0;
SET dbops.max_archive_backlog = -1;
RESET ROLE;

-- look-alikes first in the path are not called
CREATE SCHEMA hostile;
CREATE FUNCTION hostile.caught() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
CREATE FUNCTION hostile.pg_prepared_xact() RETURNS TABLE (gid text, prepared timestamptz)
    LANGUAGE sql AS 'SELECT ''x'', now() WHERE hostile.caught()';
CREATE TABLE hostile.pause (paused_by text);
BEGIN;
CREATE TABLE hostile.held (id int);
PREPARE TRANSACTION 'regress_gates';
SET search_path = hostile, pg_catalog;
SELECT dbops.pause_jobs('pinned');
SELECT count(*) FROM dbops.gates();
SELECT dbops.resume_jobs();
RESET search_path;
ROLLBACK PREPARED 'regress_gates';
DROP TABLE hostile.pause;
DROP SCHEMA hostile CASCADE;

SELECT dbops.revoke_access('regress_gates_monitor');
SELECT dbops.revoke_access('regress_gates_operator');
SELECT dbops.revoke_access('regress_gates_admin');
DROP ROLE regress_gates_nobody, regress_gates_monitor, regress_gates_operator, regress_gates_admin;
