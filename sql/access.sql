-- Levels of access: who may be given them, what they open, and that nothing is
-- open to everybody. Plain SQL, because rights are what the catalog says.
\set VERBOSITY terse
CREATE ROLE regress_access_nobody;
CREATE ROLE regress_access_operator;

-- nothing is executable by everybody
SELECT p.oid::regprocedure AS open_to_public
  FROM pg_proc p
 WHERE p.pronamespace = 'dbops'::regnamespace
   AND (p.proacl IS NULL OR EXISTS (SELECT FROM aclexplode(p.proacl) x WHERE x.grantee = 0));
SELECT c.oid::regclass AS open_to_public
  FROM pg_class c
 WHERE c.relnamespace = 'dbops'::regnamespace
   AND EXISTS (SELECT FROM aclexplode(c.relacl) x WHERE x.grantee = 0);

-- every function belongs to a level, but for those of triggers, and is described
SELECT p.oid::regprocedure AS without_level
  FROM pg_proc p
 WHERE p.pronamespace = 'dbops'::regnamespace
   AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype)
   AND NOT EXISTS (SELECT FROM dbops.function_access a WHERE a.function_name = p.proname);
SELECT a.function_name AS without_function
  FROM dbops.function_access a
 WHERE NOT EXISTS (SELECT FROM pg_proc p
                    WHERE p.pronamespace = 'dbops'::regnamespace AND p.proname = a.function_name);
SELECT p.oid::regprocedure AS without_comment
  FROM pg_proc p
 WHERE p.pronamespace = 'dbops'::regnamespace
   AND obj_description(p.oid, 'pg_proc') IS NULL;

-- pg_monitor has the reports from the start
SELECT * FROM dbops.access_list();
SELECT bool_and(has_function_privilege('pg_monitor', p.oid, 'EXECUTE') = (a.level = 'monitor')) AS reports_only
  FROM pg_proc p
  JOIN dbops.function_access a ON a.function_name = p.proname
 WHERE p.pronamespace = 'dbops'::regnamespace;

-- granting, raising, revoking
SELECT dbops.grant_access('regress_access_operator', 'monitor');
SELECT * FROM dbops.access_list();
SELECT dbops.grant_access('regress_access_operator', 'operator');
SELECT * FROM dbops.access_list();
SELECT dbops.grant_access('regress_access_operator', 'monitor');
SELECT * FROM dbops.access_list();
SELECT dbops.revoke_access('regress_access_operator');
SELECT * FROM dbops.access_list();
SELECT has_schema_privilege('regress_access_operator', 'dbops', 'USAGE');

-- a single function is no level
GRANT EXECUTE ON FUNCTION dbops.health_public() TO regress_access_nobody;
SELECT * FROM dbops.access_list();
SELECT dbops.grant_access('regress_access_nobody', 'monitor');
SELECT * FROM dbops.access_list();
SELECT dbops.revoke_access('regress_access_nobody');

-- bad input
SELECT dbops.grant_access('regress_access_operator', 'owner');
SELECT dbops.grant_access('regress_access_nosuch', 'monitor');

-- only the owner of the extension grants, even when somebody may call the function
SELECT dbops.grant_access('regress_access_operator', 'admin');
SET ROLE regress_access_operator;
SELECT dbops.grant_access('regress_access_nobody', 'monitor');
SELECT dbops.revoke_access('pg_monitor');
SELECT count(*) > 0 AS lists FROM dbops.access_list();
RESET ROLE;
SET ROLE regress_access_nobody;
SELECT dbops.grant_access('regress_access_nobody', 'monitor');
SELECT * FROM dbops.function_access;
RESET ROLE;

SELECT dbops.revoke_access('regress_access_operator');
DROP ROLE regress_access_nobody, regress_access_operator;
