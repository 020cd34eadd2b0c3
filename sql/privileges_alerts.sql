-- Who may see, silence and send alerts, and that nobody gains anything by the
-- function that is told of them.
CREATE ROLE regress_watcher;
CREATE ROLE regress_operator;
CREATE ROLE regress_admin LOGIN;
CREATE ROLE regress_stranger;
SELECT dbops.grant_access('regress_watcher', 'monitor');
SELECT dbops.grant_access('regress_operator', 'operator');
SELECT dbops.grant_access('regress_admin', 'admin');
GRANT CREATE ON SCHEMA public TO regress_admin, regress_stranger;

-- each level has its calls
SELECT r AS role_name, string_agg(f.proname, ' ' ORDER BY f.proname) FILTER (WHERE has_function_privilege(r, f.oid, 'EXECUTE')) AS may_call
  FROM unnest(ARRAY['regress_watcher', 'regress_operator', 'regress_admin', 'regress_stranger', 'pg_monitor']) r, pg_proc f
 WHERE f.pronamespace = 'dbops'::regnamespace AND f.proname ~ 'alert'
 GROUP BY r ORDER BY r;
-- and nobody the tables
SELECT relname, bool_or(has_table_privilege(r, c.oid, 'SELECT, INSERT, UPDATE, DELETE')) AS readable
  FROM unnest(ARRAY['regress_watcher', 'regress_operator', 'regress_admin', 'regress_stranger', 'pg_monitor']) r, pg_class c
 WHERE c.relnamespace = 'dbops'::regnamespace AND c.relkind = 'r' AND c.relname ~ '^alert' GROUP BY 1 ORDER BY 1;

-- what they may call works with their rights
SET ROLE regress_watcher;
SELECT count(*) >= 0 AS alerts FROM dbops.alerts(false);
SELECT count(*) >= 0 AS history FROM dbops.alert_history();
SELECT count(*) AS silences FROM dbops.alert_silences();
SELECT count(*) AS functions FROM dbops.alert_function();
SELECT dbops.silence_alerts('regress.%', 'mine', now() + interval '1 hour');
SET ROLE regress_operator;
SELECT dbops.silence_alerts('regress.%', 'mine', now() + interval '1 hour') IS NOT NULL AS silenced;
SELECT silenced_by, pattern FROM dbops.alert_silences();
SELECT dbops.unsilence_alerts(silence_id) FROM dbops.alert_silences();
SELECT dbops.set_alert_function('pg_catalog.jsonb_typeof(jsonb)');

-- a function is set by who may execute it, and called as that role
SET ROLE regress_stranger;
CREATE FUNCTION public.regress_told(alert jsonb) RETURNS text LANGUAGE sql AS 'SELECT NULL';
REVOKE EXECUTE ON FUNCTION public.regress_told(jsonb) FROM PUBLIC;
SET ROLE regress_admin;
SELECT dbops.set_alert_function('public.regress_told(jsonb)');
SET ROLE regress_stranger;
GRANT EXECUTE ON FUNCTION public.regress_told(jsonb) TO regress_admin;
-- of an owner who could replace it by what only the caller may do, it is not
SET ROLE regress_admin;
SELECT dbops.set_alert_function('public.regress_told(jsonb)', '5 seconds');
RESET ROLE;
\set VERBOSITY sqlstate
SELECT dbops.set_alert_function('public.regress_told(jsonb)', '5 seconds');
\set VERBOSITY default
SELECT count(*) AS functions FROM dbops.alert_function();
BEGIN;
GRANT regress_admin TO regress_stranger;
SET LOCAL ROLE regress_admin;
SELECT dbops.set_alert_function('public.regress_told(jsonb)');
SELECT problem FROM dbops.alert_function();
RESET ROLE;
REVOKE regress_admin FROM regress_stranger;
SELECT problem FROM dbops.alert_function();
SET LOCAL ROLE regress_admin;
SELECT dbops.call_alert_function('{}');
ROLLBACK;
ALTER FUNCTION public.regress_told(jsonb) OWNER TO regress_admin;
SET ROLE regress_admin;
SELECT dbops.set_alert_function('public.regress_told(jsonb)', '5 seconds');
SELECT function_name, owner, timeout, problem FROM dbops.alert_function();
RESET ROLE;
SET dbops.test_now = 1893456000;
BEGIN;
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.privileges', 'warning', 'it''s "quoted"', $$it's '); DROP TABLE x; --$$, NULL, NULL, NULL)::dbops.finding]);
SELECT kind, owner, submitter = current_user::regrole AS by_the_extension, timeout, state, command LIKE 'SELECT dbops.call_alert_function(%''::pg_catalog.jsonb)' AS calls_it FROM dbops.job WHERE name = 'alert function';
ROLLBACK;

-- only who has set it has it called
SELECT dbops.call_alert_function('{}');
SET ROLE regress_admin;
SELECT dbops.call_alert_function('{}');
RESET ROLE;
-- another's function of the same name is not called, neither by a job that waits nor by a new one
BEGIN;
ALTER FUNCTION public.regress_told(jsonb) RENAME TO regress_untold;
SELECT problem FROM dbops.alert_function();
CREATE FUNCTION public.regress_told(alert jsonb) RETURNS text LANGUAGE sql AS 'SELECT session_user || '' as '' || current_user';
SELECT problem FROM dbops.alert_function();
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.privileges', 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding]);
SELECT count(*) AS calls FROM dbops.job WHERE name = 'alert function';
SET ROLE regress_admin;
SELECT dbops.call_alert_function('{}');
ROLLBACK;

-- a role that is gone, or cannot log in any more, stops nothing but the call
UPDATE dbops.alert_function SET owner = 'regress_watcher';
BEGIN;
SELECT dbops.evaluate_alerts(ARRAY[ROW('regress.privileges', 'warning', NULL, 'it is so', NULL, NULL, NULL)::dbops.finding]);
SELECT event FROM dbops.alert_history() WHERE alert_key = 'regress.privileges';
ROLLBACK;
SELECT dbops.remove_alert_function(), dbops.remove_alert_function() AS again;
RESET dbops.test_now;

DROP FUNCTION public.regress_told(jsonb);
SELECT dbops.revoke_access(r::regrole) FROM unnest(ARRAY['regress_watcher', 'regress_operator', 'regress_admin']) r;
REVOKE CREATE ON SCHEMA public FROM regress_admin, regress_stranger;
DROP ROLE regress_watcher, regress_operator, regress_admin, regress_stranger;
