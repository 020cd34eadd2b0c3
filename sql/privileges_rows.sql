-- A right on all tables of the database, as pg_write_all_data is one, is none to
-- say what dbops runs, and as whom.

CREATE ROLE regress_rows_writer;
GRANT pg_write_all_data TO regress_rows_writer;
CREATE ROLE regress_rows_reader;
GRANT pg_read_all_data TO regress_rows_reader;
CREATE ROLE regress_rows_owner_like;
SELECT format('GRANT %I TO regress_rows_owner_like', current_user) AS grant_it \gset

-- Every table with a role in it is guarded, and each guard works in any mode of replication.
SELECT c.relname, t.tgenabled, a.attname IS NOT NULL AS names_a_role
  FROM pg_trigger t
  JOIN pg_class c ON c.oid = t.tgrelid
  LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'owner'
 WHERE t.tgname = 'keep_rows' ORDER BY 1;
SELECT c.relname AS unguarded
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'dbops'::regnamespace AND c.relkind = 'r' AND a.atttypid = 'regrole'::regtype
   AND NOT EXISTS (SELECT FROM pg_trigger t WHERE t.tgrelid = c.oid AND t.tgname = 'keep_rows');

SET ROLE regress_rows_writer;
INSERT INTO dbops.alert_function (one, function_name, owner, path, function_owner, timeout, set_at)
	VALUES (true, 'public.f', current_user::regrole, '', 10, 1000, now());
UPDATE dbops.job SET owner = 10;
DELETE FROM dbops.schedule;
UPDATE dbops.instance SET timeline = 1;
INSERT INTO dbops.function_access VALUES ('enqueue', 'monitor');
RESET ROLE;
SET session_replication_role = replica;
SET ROLE regress_rows_writer;
DELETE FROM dbops.policy;
RESET ROLE;
RESET session_replication_role;

-- Nor is a right to read them one to see what others run, which pg_stat_statements does not show either.
BEGIN;
INSERT INTO dbops.statement_text VALUES (4711, 0, 'SELECT secret');
SELECT count(*) AS texts FROM dbops.statement_text WHERE query_id = 4711;
SET LOCAL ROLE regress_rows_reader;
SELECT count(*) AS texts FROM dbops.statement_text;
RESET ROLE;
ROLLBACK;

-- The owner may, and who has its rights.
:grant_it;
SET ROLE regress_rows_owner_like;
DELETE FROM dbops.hold WHERE false;
RESET ROLE;

SELECT dbops.keep_rows();

DROP ROLE regress_rows_reader, regress_rows_writer, regress_rows_owner_like;
