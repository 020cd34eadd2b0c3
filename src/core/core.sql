\echo Use "CREATE EXTENSION dbops" to load this file. \quit

-- A schema that exists already makes the installation fail: nothing that
-- somebody else has put there can become a part of dbops.
CREATE SCHEMA dbops;
COMMENT ON SCHEMA dbops IS 'dbops: the operations runbook of this database';

CREATE TYPE dbops.finding AS (
    check_name text,
    severity   text,
    object     text,
    message    text,
    remedy     text,
    key        text,
    data       jsonb
);
COMMENT ON TYPE dbops.finding IS
    'One result of a check, a lint rule or a review. severity: ok, unknown (could not be judged), info, warning, critical. '
    'object: what it is about, quoted as in SQL. remedy: SQL to run, or a sentence. key: its stable identity, for muting. data: the figures.';

-- Which level of access a function belongs to; each area lists its functions
-- beside their declarations. A function that is not listed is granted to nobody.
CREATE TABLE dbops.function_access (
    function_name name PRIMARY KEY,
    level         text NOT NULL CHECK (level IN ('monitor', 'operator', 'admin'))
);
COMMENT ON TABLE dbops.function_access IS 'The level of access that each function of dbops belongs to.';
REVOKE ALL ON TABLE dbops.function_access FROM PUBLIC;

CREATE FUNCTION dbops.grant_access(role_name regrole, level text) RETURNS void
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_grant_access';
COMMENT ON FUNCTION dbops.grant_access(regrole, text) IS
    'Lets a role use dbops. level: monitor (all reports), operator (also actions, on tables that the role owns or whose owner it is a member of), '
    'admin (also settings of checks, backups, fleet, others'' jobs). A level includes those before it, and the last call counts. Only the owner of dbops may grant.';
REVOKE ALL ON FUNCTION dbops.grant_access(regrole, text) FROM PUBLIC;

CREATE FUNCTION dbops.revoke_access(role_name regrole) RETURNS void
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_revoke_access';
COMMENT ON FUNCTION dbops.revoke_access(regrole) IS
    'Takes from a role all that grant_access gave it. Only the owner of dbops may revoke.';
REVOKE ALL ON FUNCTION dbops.revoke_access(regrole) FROM PUBLIC;

CREATE FUNCTION dbops.access_list(OUT role_name regrole, OUT level text) RETURNS SETOF record
    LANGUAGE sql STABLE
    SET search_path = pg_catalog, pg_temp
AS $$
SELECT x.grantee::regrole,
       (ARRAY['monitor', 'operator', 'admin'])[max(array_position(ARRAY['monitor', 'operator', 'admin'], a.level))]
  FROM pg_proc p
  JOIN dbops.function_access a ON a.function_name = p.proname
 CROSS JOIN LATERAL aclexplode(p.proacl) x
 WHERE p.pronamespace = 'dbops'::regnamespace
   AND x.grantee <> p.proowner
   AND x.privilege_type = 'EXECUTE'
 GROUP BY x.grantee
 ORDER BY x.grantee::regrole::text
$$;
COMMENT ON FUNCTION dbops.access_list() IS 'Lists the roles that may use dbops, each with its level: monitor, operator or admin.';
REVOKE ALL ON FUNCTION dbops.access_list() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('grant_access', 'admin'),
    ('revoke_access', 'admin'),
    ('access_list', 'admin');
