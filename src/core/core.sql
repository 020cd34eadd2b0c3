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
       CASE WHEN EXISTS (SELECT FROM pg_class c, LATERAL aclexplode(c.relacl) g
                          WHERE c.oid = 'dbops.function_access'::regclass AND g.grantee = x.grantee)
            THEN (ARRAY['monitor', 'operator', 'admin'])[max(array_position(ARRAY['monitor', 'operator', 'admin'], a.level))]
       END
  FROM pg_proc p
  JOIN dbops.function_access a ON a.function_name = p.proname
 CROSS JOIN LATERAL aclexplode(p.proacl) x
 WHERE p.pronamespace = 'dbops'::regnamespace
   AND x.grantee <> p.proowner
   AND x.privilege_type = 'EXECUTE'
 GROUP BY x.grantee
 ORDER BY x.grantee::regrole::text
$$;
COMMENT ON FUNCTION dbops.access_list() IS
    'Lists the roles that may use dbops, each with its level: monitor, operator or admin; null of a role that has no level, but may call single functions, which GRANT gave it.';
REVOKE ALL ON FUNCTION dbops.access_list() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('grant_access', 'admin'),
    ('revoke_access', 'admin'),
    ('access_list', 'admin');

-- So that the library is loaded, and refuses what would be lost, also where it is not preloaded.
CREATE FUNCTION dbops.keep_data() RETURNS event_trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_keep_data';
COMMENT ON FUNCTION dbops.keep_data() IS
    'Serves the event trigger dbops_keep_data: what would take dbops away with data that is nowhere else, such as the ledger of migrations, is refused (55000) unless dbops.allow_data_loss is on.';
REVOKE ALL ON FUNCTION dbops.keep_data() FROM PUBLIC;
CREATE EVENT TRIGGER dbops_keep_data ON ddl_command_start
    WHEN TAG IN ('DROP EXTENSION', 'DROP OWNED')
    EXECUTE FUNCTION dbops.keep_data();
COMMENT ON EVENT TRIGGER dbops_keep_data IS 'Keeps data of dbops from being dropped by mistake; see the setting dbops.allow_data_loss.';

-- Some rows say what is run, and as whom. A right on all tables of the database,
-- such as that of pg_write_all_data, is none to write these.
CREATE FUNCTION dbops.keep_rows() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_keep_rows';
COMMENT ON FUNCTION dbops.keep_rows() IS
    'Serves the triggers keep_rows: rows that say what is run, and as whom, are written by the functions of dbops alone, or by their owner (else 42501).';
REVOKE ALL ON FUNCTION dbops.keep_rows() FROM PUBLIC;

-- Jobs. Whatever is read or written here goes through the functions of dbops,
-- which check who asks; nobody else has rights on these tables.

CREATE TABLE dbops.job (
    id           bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind         text NOT NULL,
    name         text,
    schedule     text,
    owner        regrole NOT NULL,
    submitter    regrole NOT NULL,
    command      text,
    spec         jsonb,
    path         text NOT NULL,
    class        integer NOT NULL,
    atomic       boolean NOT NULL,
    idempotent   boolean NOT NULL,
    priority     integer NOT NULL,
    run_after    timestamptz NOT NULL,
    time_window  text,
    time_zone    text,
    timeout      bigint NOT NULL,
    lock_timeout bigint NOT NULL,
    max_attempts integer NOT NULL,
    backoff      bigint NOT NULL,
    dedupe_key   text,
    state        text NOT NULL DEFAULT 'queued'
        CHECK (state IN ('queued', 'running', 'paused', 'blocked', 'succeeded', 'failed', 'cancelled')),
    attempts     integer NOT NULL DEFAULT 0,
    crashes      integer NOT NULL DEFAULT 0,
    crash_steps  bigint NOT NULL DEFAULT 0,
    runner_pid   integer,
    runner_start timestamptz,
    submitted_at timestamptz NOT NULL,
    started_at   timestamptz,
    finished_at  timestamptz,
    sqlstate     text,
    message      text,
    result       jsonb,
    ending       jsonb,
    CHECK ((finished_at IS NOT NULL) = (state IN ('succeeded', 'failed', 'cancelled')))
) WITH (fillfactor = 70);
COMMENT ON TABLE dbops.job IS
    'Jobs, one row each, from submission until their history is pruned. timeout, lock_timeout and backoff in milliseconds, 0 for none; '
    'runner_pid and runner_start name the process that works on a running job; crash_steps: the steps that it had done at its last crash; '
    'ending: how a job ends (state, sqlstate, message) as soon as what it has left on a table can be removed, and how often that was tried.';
REVOKE ALL ON TABLE dbops.job FROM PUBLIC;
-- Jobs belong to their server. What is dumped names some, and after a restore no other one may have their ids.
SELECT pg_extension_config_dump('dbops.job_id_seq', '');

-- No column that changes while a job lives is indexed, so that those updates are HOT.
CREATE INDEX job_live ON dbops.job (id) WHERE finished_at IS NULL;
CREATE UNIQUE INDEX job_dedupe ON dbops.job (owner, dedupe_key) WHERE finished_at IS NULL AND dedupe_key IS NOT NULL;

CREATE TABLE dbops.job_cursor (
    job_id     bigint PRIMARY KEY,
    phase      integer NOT NULL,
    position   jsonb,
    done       bigint NOT NULL DEFAULT 0,
    total      bigint NOT NULL DEFAULT 0,
    row_count  bigint NOT NULL DEFAULT 0,
    steps      bigint NOT NULL DEFAULT 0,
    began_at   timestamptz NOT NULL,
    began_done bigint NOT NULL DEFAULT 0,
    moved_at   timestamptz NOT NULL
) WITH (fillfactor = 20);
COMMENT ON TABLE dbops.job_cursor IS
    'Where a job of several steps goes on, written by its runner in the transaction of each step. done and total in the unit of its kind; '
    'began_at and began_done: when the present process or phase began, and with what done.';
REVOKE ALL ON TABLE dbops.job_cursor FROM PUBLIC;

CREATE TABLE dbops.job_part (
    job_id      bigint,
    part        integer,
    phase       integer NOT NULL,
    worker      integer,
    position    jsonb NOT NULL,
    done        bigint NOT NULL DEFAULT 0,
    total       bigint NOT NULL,
    row_count   bigint NOT NULL DEFAULT 0,
    steps       bigint NOT NULL DEFAULT 0,
    crashes     integer NOT NULL DEFAULT 0,
    crash_steps bigint NOT NULL DEFAULT 0,
    finished    boolean NOT NULL DEFAULT false,
    error       jsonb,
    PRIMARY KEY (job_id, part)
) WITH (fillfactor = 20);
COMMENT ON TABLE dbops.job_part IS
    'The parts of a job''s phase that several processes share, each with a cursor of its own, written in the transaction of each step; they are deleted when the phase ends. '
    'worker: the process that works on it, 0 for the job''s own, null for none. error: what ended the work of a helping process.';
REVOKE ALL ON TABLE dbops.job_part FROM PUBLIC;

CREATE TABLE dbops.job_request (
    job_id       bigint PRIMARY KEY,
    cancel       boolean NOT NULL DEFAULT false,
    pause        boolean NOT NULL DEFAULT false,
    priority     integer,
    timeout      bigint,
    lock_timeout bigint,
    max_attempts integer,
    settings     jsonb,
    requested_by regrole NOT NULL,
    requested_at timestamptz NOT NULL
);
COMMENT ON TABLE dbops.job_request IS 'What is asked of a job; its runner reads it between steps without a lock and never writes it. What is not null replaces the value in dbops.job; settings are those of the job''s kind.';
REVOKE ALL ON TABLE dbops.job_request FROM PUBLIC;

-- How small indexes were at their best. Not dumped: a restored index is another file.
CREATE TABLE dbops.index_best (
    index_name regclass PRIMARY KEY,
    file       oid NOT NULL,
    row_bytes  double precision NOT NULL,
    size_bytes bigint NOT NULL,
    seen_at    timestamptz NOT NULL
);
COMMENT ON TABLE dbops.index_best IS
    'The fewest bytes for each row that was seen of an index since it was last rebuilt. file: the number of its file, another one after a rebuild.';
REVOKE ALL ON TABLE dbops.index_best FROM PUBLIC;
