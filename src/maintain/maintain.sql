CREATE FUNCTION dbops.enqueue(
    command      text,
    name         text        DEFAULT NULL,
    run_after    timestamptz DEFAULT NULL,
    timeout      interval    DEFAULT '1 hour',
    lock_timeout interval    DEFAULT NULL,
    max_attempts integer     DEFAULT 3,
    backoff      interval    DEFAULT '30 seconds',
    priority     integer     DEFAULT 0,
    dedupe_key   text        DEFAULT NULL,
    idempotent   boolean     DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_enqueue';
COMMENT ON FUNCTION dbops.enqueue(text, text, timestamptz, interval, interval, integer, interval, integer, text, boolean) IS
    'Has a command run in the background, as the caller; returns the id of the job. It begins when the transaction commits. '
    'command: one SQL statement of any kind (VACUUM, CREATE INDEX CONCURRENTLY, a CALL that commits), or several that share one transaction. '
    'run_after: not before; null is now. timeout: of the whole command. lock_timeout: of each wait for a lock. '
    'max_attempts, backoff: errors that may go away by themselves are tried again, after a time that doubles up to an hour. '
    'priority: the highest goes first. dedupe_key: while a job of the caller with the same key has not ended, its id is returned and nothing is added. '
    'idempotent: the command may be run again although it is not known how much of it was done; VACUUM, ANALYZE, CLUSTER and plain REINDEX always may. '
    'A command that cannot be a job is refused: syntax (42601), BEGIN or COMMIT or a statement that must be alone beside others (0A000), a role that cannot log in (28000, on 15 and 16).';
REVOKE ALL ON FUNCTION dbops.enqueue(text, text, timestamptz, interval, interval, integer, interval, integer, text, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.jobs(
    row_limit integer DEFAULT 1000,
    OUT id bigint, OUT kind text, OUT name text, OUT state text, OUT owner regrole, OUT waiting text,
    OUT percent numeric, OUT row_count bigint, OUT per_second numeric, OUT time_left interval,
    OUT message text, OUT attempts integer,
    OUT submitted_at timestamptz, OUT started_at timestamptz, OUT finished_at timestamptz,
    OUT schedule text, OUT command text, OUT workers integer) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_jobs';
COMMENT ON FUNCTION dbops.jobs(integer) IS
    'Lists the jobs of this database: those that have not ended, then the latest that have; at most row_limit. '
    'state: queued, running, paused, blocked (a human must act), succeeded, failed, cancelled. waiting: what for, with figures. '
    'percent, row_count, per_second (of the kind''s unit) and time_left: of jobs in steps. command: only shown to members of the owner and to pg_read_all_stats. '
    'workers: the processes that work on it now.';
REVOKE ALL ON FUNCTION dbops.jobs(integer) FROM PUBLIC;

CREATE FUNCTION dbops.job_status(job_id bigint) RETURNS jsonb
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_job_status';
COMMENT ON FUNCTION dbops.job_status(bigint) IS
    'Everything about a job as one document: state, waiting, progress, message, result (the command tag and the rows that were kept). Times in ISO 8601. An id that no job has is refused (42704).';
REVOKE ALL ON FUNCTION dbops.job_status(bigint) FROM PUBLIC;

CREATE PROCEDURE dbops.wait_job(job_id bigint, timeout interval DEFAULT NULL, INOUT state text DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_wait_job';
COMMENT ON PROCEDURE dbops.wait_job(bigint, interval, text) IS
    'Waits until a job is neither queued nor running, and returns its state. It commits first and holds no snapshot while it waits. '
    'timeout: how long at most; when that is over the call fails (57014) and the job goes on. It cannot be called inside a transaction block or a function (2D000).';
REVOKE ALL ON PROCEDURE dbops.wait_job(bigint, interval, text) FROM PUBLIC;

CREATE PROCEDURE dbops.run_job(job_id bigint)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_run_job';
COMMENT ON PROCEDURE dbops.run_job(bigint) IS
    'Runs a job that is queued, paused or blocked in this session, at once, by the same code as the background; gates, windows and run_after do not hold it up. '
    'Needs no preloading. A command must be run in a session of its own role (42501). An error is recorded with the job and raised. '
    'It cannot be called inside a transaction block or a function (2D000).';
REVOKE ALL ON PROCEDURE dbops.run_job(bigint) FROM PUBLIC;

CREATE FUNCTION dbops.cancel_job(job_id bigint) RETURNS text
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_cancel_job';
COMMENT ON FUNCTION dbops.cancel_job(bigint) IS
    'Cancels a job: at once if no process works on it, else its process is interrupted when this transaction commits. Returns cancelled or cancelling. '
    'What a job in steps has committed stays. One whose trigger cannot be dropped now, because others lock the table, is queued to end: its message says whose locks those are, and it is tried again by itself; if no process works on it, it is not cancelled (55P03). For members of the job''s role and admins (42501); a job that has ended is refused (55000).';
REVOKE ALL ON FUNCTION dbops.cancel_job(bigint) FROM PUBLIC;

CREATE FUNCTION dbops.pause_job(job_id bigint) RETURNS text
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_pause_job';
COMMENT ON FUNCTION dbops.pause_job(bigint) IS
    'Pauses a job until resume_job: a queued one at once, one in steps after the step it is in. Returns paused or pausing. A command that runs cannot be paused (55000).';
REVOKE ALL ON FUNCTION dbops.pause_job(bigint) FROM PUBLIC;

CREATE FUNCTION dbops.resume_job(job_id bigint) RETURNS text
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_resume_job';
COMMENT ON FUNCTION dbops.resume_job(bigint) IS
    'Lets a paused or blocked job go on, and its attempts begin anew. A command whose outcome is unknown is run again. Returns the state that the job is in. A job that has ended is refused (55000).';
REVOKE ALL ON FUNCTION dbops.resume_job(bigint) FROM PUBLIC;

CREATE FUNCTION dbops.tune_job(
    job_id       bigint,
    priority     integer  DEFAULT NULL,
    timeout      interval DEFAULT NULL,
    lock_timeout interval DEFAULT NULL,
    max_attempts integer  DEFAULT NULL,
    settings     jsonb    DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_tune_job';
COMMENT ON FUNCTION dbops.tune_job(bigint, integer, interval, interval, integer, jsonb) IS
    'Changes a job that has not ended, also while it runs; what is null stays as it is. settings: of the job''s kind, such as {"batch_size": 5000} of a backfill; they hold from the next step on. '
    'timeout and lock_timeout of a command that runs already stay as they are.';
REVOKE ALL ON FUNCTION dbops.tune_job(bigint, integer, interval, interval, integer, jsonb) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('enqueue', 'operator'),
    ('jobs', 'monitor'),
    ('job_status', 'monitor'),
    ('wait_job', 'monitor'),
    ('run_job', 'operator'),
    ('cancel_job', 'operator'),
    ('pause_job', 'operator'),
    ('resume_job', 'operator'),
    ('tune_job', 'operator');

-- Which database is this?

-- A restored row stands beside that of the new installation: no unique key.
-- Its name has pg_dump write it before the jobs, so that nobody runs them first.
CREATE TABLE dbops.instance (
    system_identifier bigint NOT NULL,
    database_oid      oid NOT NULL,
    timeline          bigint NOT NULL,
    adopted_at        timestamptz NOT NULL,
    adopted_by        text NOT NULL
);
COMMENT ON TABLE dbops.instance IS
    'The server and database that the jobs are meant for. Where a row is about another one no job runs, until adopt_database() is called.';
REVOKE ALL ON TABLE dbops.instance FROM PUBLIC;
-- A publication of all tables would refuse that it changes.
ALTER TABLE dbops.instance REPLICA IDENTITY FULL;
SELECT pg_extension_config_dump('dbops.instance', '');

CREATE FUNCTION dbops.adopt_database() RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_adopt_database';
COMMENT ON FUNCTION dbops.adopt_database() IS
    'Lets the jobs and schedules of this database run here, where it is a copy: made from a template, restored, upgraded by pg_upgrade, '
    'recovered to a target, or promoted while dbops.on_promotion is quarantine. No job runs in a copy before; health, alerts and history do, which only look.';
REVOKE ALL ON FUNCTION dbops.adopt_database() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('adopt_database', 'admin');

-- The database in which dbops is installed is the first that it is meant for.
SELECT dbops.adopt_database();

-- Gates, and pausing all jobs.

CREATE TABLE dbops.pause (
    one          boolean PRIMARY KEY DEFAULT true CHECK (one),
    paused_by    text NOT NULL,
    paused_at    timestamptz NOT NULL,
    paused_until timestamptz NOT NULL,
    reason       text NOT NULL
);
COMMENT ON TABLE dbops.pause IS 'Its only row says that the jobs of this database are paused, by whom and why. Not dumped: a copy is not paused.';
REVOKE ALL ON TABLE dbops.pause FROM PUBLIC;

CREATE FUNCTION dbops.pause_jobs(
    reason        text,
    until         timestamptz DEFAULT NULL,
    whole_cluster boolean     DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_pause_jobs';
COMMENT ON FUNCTION dbops.pause_jobs(text, timestamptz, boolean) IS
    'Lets no job start in this database or, with whole_cluster, in any; jobs of several steps wait at the end of their step, and a command that runs is '
    'not interrupted. Takes effect at COMMIT and holds across restarts, until the time given or until resume_jobs. reason: shown with the jobs that '
    'wait, at most 255 bytes. A second call replaces the first. The pause of the cluster is that of one server: it is neither replicated nor backed up. '
    'Errors: an empty reason or a time that has passed (22023), a reason that is too long (22001), whole_cluster without preloading (55000).';
REVOKE ALL ON FUNCTION dbops.pause_jobs(text, timestamptz, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.resume_jobs(whole_cluster boolean DEFAULT false) RETURNS boolean
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_resume_jobs';
COMMENT ON FUNCTION dbops.resume_jobs(boolean) IS
    'Ends what pause_jobs began, for this database or with whole_cluster for the cluster, at COMMIT; one does not end the other. Returns whether '
    'there was a pause. Errors: whole_cluster without preloading (55000).';
REVOKE ALL ON FUNCTION dbops.resume_jobs(boolean) FROM PUBLIC;

CREATE FUNCTION dbops.gates() RETURNS TABLE (gate text, closed boolean, setting text, threshold text, measured text, detail text)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_gates';
COMMENT ON FUNCTION dbops.gates() IS
    'Lists the gates, measured now: while one is closed, jobs wait before they start and between their steps. pause: see pause_jobs. replica_lag: the '
    'standby or subscriber that is furthest behind, in time and in bytes. xmin_age: who has kept vacuum from removing rows of this database for longest; only jobs that '
    'leave dead rows or wait for old snapshots heed it. free_disk: the fullest file system of WAL or a tablespace; closes none where 50 GB are free. '
    'archive_backlog: files of WAL that wait to be archived. What is not known is null and closes no gate. Works on a standby too, and waits for no lock on a table.';
REVOKE ALL ON FUNCTION dbops.gates() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('pause_jobs', 'admin'),
    ('resume_jobs', 'admin'),
    ('gates', 'monitor');

-- Schedules.

CREATE TABLE dbops.schedule (
    name         text PRIMARY KEY,
    owner        regrole NOT NULL,
    schedule     text NOT NULL,
    command      text NOT NULL,
    time_zone    text NOT NULL,
    overlap      text NOT NULL CHECK (overlap IN ('skip', 'queue_one', 'cancel_old')),
    missed       text NOT NULL CHECK (missed IN ('skip', 'once')),
    jitter       bigint NOT NULL,
    time_window  text,
    active       boolean NOT NULL,
    timeout      bigint NOT NULL,
    lock_timeout bigint NOT NULL,
    max_attempts integer NOT NULL,
    backoff      bigint NOT NULL,
    priority     integer NOT NULL,
    idempotent   boolean NOT NULL,
    path         text NOT NULL,
    atomic       boolean NOT NULL,
    class        integer NOT NULL,
    next_run     timestamptz,
    last_run     timestamptz,
    last_job     bigint,
    skipped      bigint NOT NULL DEFAULT 0,
    note         text,
    broken       boolean NOT NULL DEFAULT false,
    CHECK ((next_run IS NOT NULL) = active)
) WITH (fillfactor = 70);
COMMENT ON TABLE dbops.schedule IS
    'Schedules. jitter, timeout, lock_timeout and backoff in milliseconds, 0 for none. last_run: the time that was due, not when it began. '
    'note: why the last run did not become a job. broken: it cannot be submitted, and next_run is when that is tried again.';
REVOKE ALL ON TABLE dbops.schedule FROM PUBLIC;
-- A role that is gone would be dumped as a number, and be somebody else's elsewhere.
SELECT pg_extension_config_dump('dbops.schedule', 'WHERE owner::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)');

CREATE FUNCTION dbops.schedule(
    name         text,
    schedule     text,
    command      text,
    time_zone    text     DEFAULT NULL,
    overlap      text     DEFAULT 'skip',
    missed       text     DEFAULT 'once',
    jitter       interval DEFAULT '0',
    time_window  text     DEFAULT NULL,
    active       boolean  DEFAULT true,
    timeout      interval DEFAULT '1 hour',
    lock_timeout interval DEFAULT NULL,
    max_attempts integer  DEFAULT 3,
    backoff      interval DEFAULT '30 seconds',
    priority     integer  DEFAULT 0,
    idempotent   boolean  DEFAULT false) RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_schedule';
COMMENT ON FUNCTION dbops.schedule(text, text, text, text, text, text, interval, text, boolean, interval, interval, integer, interval, integer, boolean) IS
    'Has a command run again and again in the background, as the caller; returns when it runs next, null if it is not active. The same name again replaces the definition; another role''s name is refused (42501). '
    'schedule: five fields (minute, hour, day of month, month, day of week; names, ranges, steps, lists, L for the last day of the month; if neither day field begins with * either decides), '
    '@hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually, or @every and an interval of at least 1 second, counted from 1970-01-01 00:00 UTC. '
    'time_zone: null is the session''s. A local time that the clock leaves out runs once when it jumps, one that comes twice runs the first time; a schedule of every hour follows the time that passes. '
    'overlap: when the run before has not ended, skip, queue_one (one waits for it) or cancel_old. missed: what was not submitted within a minute, because the server or dbops was off, is run once for all, or skip. '
    'jitter: a run begins up to so much later. time_window: such as mon-fri 01:00-05:00; a run outside it waits until it opens. '
    'The others: see enqueue. A schedule that never comes, or cannot be read, is refused (22023), and so is a command as by enqueue.';
REVOKE ALL ON FUNCTION dbops.schedule(text, text, text, text, text, text, interval, text, boolean, interval, interval, integer, interval, integer, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.unschedule(name text, cancel_running boolean DEFAULT false) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_unschedule';
COMMENT ON FUNCTION dbops.unschedule(text, boolean) IS
    'Removes a schedule, and cancels its jobs that have not begun; with cancel_running also those that have. '
    'For members of its role and admins (42501). A name that no schedule has is refused (42704).';
REVOKE ALL ON FUNCTION dbops.unschedule(text, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.next_runs(
    name        text    DEFAULT NULL,
    n           integer DEFAULT 5,
    schedule    text    DEFAULT NULL,
    time_zone   text    DEFAULT NULL,
    time_window text    DEFAULT NULL) RETURNS SETOF timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_next_runs';
COMMENT ON FUNCTION dbops.next_runs(text, integer, text, text, text) IS
    'When a schedule runs the next n times, jitter aside: that of a name, or one that is given with its time_zone and time_window and need not exist. Nothing is changed. One that is not active is shown as if it were.';
REVOKE ALL ON FUNCTION dbops.next_runs(text, integer, text, text, text) FROM PUBLIC;

CREATE FUNCTION dbops.run_maintenance() RETURNS SETOF bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_run_maintenance';
COMMENT ON FUNCTION dbops.run_maintenance() IS
    'Submits every schedule and policy of this database that is due now and whose role the caller may act for, and returns the ids of the jobs. '
    'Where dbops is preloaded this happens by itself; without, call it from a scheduler of your own and CALL dbops.run_job for each id.';
REVOKE ALL ON FUNCTION dbops.run_maintenance() FROM PUBLIC;

CREATE FUNCTION dbops.policies(
    OUT kind text, OUT name text, OUT owner regrole, OUT schedule text, OUT time_zone text, OUT time_window text,
    OUT active boolean, OUT next_run timestamptz, OUT last_run timestamptz, OUT last_job bigint, OUT last_state text,
    OUT last_message text, OUT skipped bigint, OUT command text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_policies';
COMMENT ON FUNCTION dbops.policies() IS
    'Lists every policy of every kind in this database, with its next run and its last result. '
    'last_message: why the last run was left out, or why the policy cannot be run, or what its last job said. skipped: runs left out so far; after a long time only the last thousand are counted. '
    'name: of a schedule, or of the table that is looked after. command: what is run, or what was asked for; only shown to members of the owner, admins and pg_read_all_stats.';
REVOKE ALL ON FUNCTION dbops.policies() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('schedule', 'operator'),
    ('unschedule', 'operator'),
    ('next_runs', 'monitor'),
    ('run_maintenance', 'operator'),
    ('policies', 'monitor');

-- Policies, and the log of what was done about them.

CREATE SEQUENCE dbops.policy_id_seq;
CREATE TABLE dbops.policy (
    id          bigint PRIMARY KEY DEFAULT nextval('dbops.policy_id_seq'),
    kind        text NOT NULL,
    relation    regclass,
    name        text NOT NULL,
    owner       regrole NOT NULL,
    spec        jsonb NOT NULL,
    memory      jsonb,
    schedule    text NOT NULL,
    time_zone   text NOT NULL,
    time_window text,
    path        text NOT NULL,
    next_run    timestamptz NOT NULL,
    last_run    timestamptz,
    last_job    bigint,
    skipped     bigint NOT NULL DEFAULT 0,
    note        text,
    broken      boolean NOT NULL DEFAULT false
) WITH (fillfactor = 70);
CREATE UNIQUE INDEX policy_relation ON dbops.policy (kind, coalesce(relation, 0::oid::regclass));
COMMENT ON TABLE dbops.policy IS
    'Policies: what should stay true of a relation, or of the whole database where relation is null. memory: what their jobs have learnt for the next one. '
    'note: why the last run did not become a job. broken: it cannot be submitted, and next_run is when that is tried again.';
REVOKE ALL ON TABLE dbops.policy FROM PUBLIC;
-- A relation or role that is gone would be dumped as a number, and be another one elsewhere.
SELECT pg_extension_config_dump('dbops.policy_id_seq', '');
SELECT pg_extension_config_dump('dbops.policy',
    'WHERE owner::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)'
    ' AND (relation IS NULL OR relation::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_class))');

CREATE SEQUENCE dbops.maintenance_log_id_seq;
CREATE TABLE dbops.maintenance_log (
    id           bigint PRIMARY KEY DEFAULT nextval('dbops.maintenance_log_id_seq'),
    first_at     timestamptz NOT NULL,
    last_at      timestamptz NOT NULL,
    times        bigint NOT NULL DEFAULT 1,
    kind         text NOT NULL,
    object       text NOT NULL,
    action       text NOT NULL,
    outcome      text NOT NULL CHECK (outcome IN ('done', 'skipped', 'failed', 'blocked')),
    message      text,
    job_id       bigint,
    row_count    bigint,
    bytes_before bigint,
    bytes_after  bigint,
    duration     bigint
);
CREATE INDEX maintenance_log_last_at ON dbops.maintenance_log (last_at);
CREATE INDEX maintenance_log_object ON dbops.maintenance_log (object, kind, action, id);
COMMENT ON TABLE dbops.maintenance_log IS
    'What policies have done, won or left out, and why. duration in milliseconds. The same thing left out again is one row, whose times and last_at say how often.';
REVOKE ALL ON TABLE dbops.maintenance_log FROM PUBLIC;

CREATE FUNCTION dbops.maintenance_report(since timestamptz DEFAULT NULL) RETURNS TABLE (
    last_at      timestamptz,
    kind         text,
    object       text,
    action       text,
    outcome      text,
    times        bigint,
    row_count    bigint,
    bytes_before bigint,
    bytes_after  bigint,
    bytes_won    bigint,
    duration     interval,
    message      text,
    job_id       bigint)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_maintenance_report';
COMMENT ON FUNCTION dbops.maintenance_report(timestamptz) IS
    'What the policies of this database have done, won or left out since a time (null: in the last seven days), the latest first. '
    'kind: of the policy, as in policies(). outcome: done, skipped (message says why), failed or blocked (so did a job, with this message). '
    'times: how often the same was left out for the same reason; the figures are those of the last time. bytes_won: bytes_before less bytes_after. '
    'Kept for a year, up to some 100,000 rows.';
REVOKE ALL ON FUNCTION dbops.maintenance_report(timestamptz) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('maintenance_report', 'monitor');

-- Retention.

CREATE SEQUENCE dbops.hold_id_seq;
CREATE TABLE dbops.hold (
    id             bigint PRIMARY KEY DEFAULT nextval('dbops.hold_id_seq'),
    relation       regclass NOT NULL,
    name           text NOT NULL,
    predicate      text NOT NULL,
    condition      text NOT NULL,
    reason         text NOT NULL,
    placed_by      text NOT NULL,
    placed_at      timestamptz NOT NULL,
    until          timestamptz,
    released_by    text,
    released_at    timestamptz,
    release_reason text,
    names          jsonb NOT NULL
);
CREATE INDEX hold_relation ON dbops.hold (relation) WHERE released_at IS NULL;
COMMENT ON TABLE dbops.hold IS
    'Rows that retention leaves alone, while the hold is neither released nor over. condition: the predicate as it was understood, with every name qualified. names: what these names were, and who owned the table.';
REVOKE ALL ON TABLE dbops.hold FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.hold_id_seq', '');
-- A relation that is gone would be dumped as a number, and be another one elsewhere.
SELECT pg_extension_config_dump('dbops.hold', 'WHERE relation::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_class)');

CREATE FUNCTION dbops.set_retention(
    table_name  regclass,
    column_name name,
    keep        interval,
    filter      text     DEFAULT NULL,
    archive_to  regclass DEFAULT NULL,
    time_window text     DEFAULT NULL,
    time_zone   text     DEFAULT NULL,
    schedule    text     DEFAULT '@hourly',
    epoch_unit  text     DEFAULT NULL,
    confirm     boolean  DEFAULT false) RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_set_retention';
COMMENT ON FUNCTION dbops.set_retention(regclass, name, interval, text, regclass, text, text, text, text, boolean) IS
    'Has the rows of a table kept for so long, and no longer; returns when that is next looked after. Set again, it replaces the policy, and a notice says what was another thing. '
    'column_name: timestamptz, timestamp, date (a row goes when its day is past), integer (seconds since 1970) or bigint; nulls and infinite times stay. keep: months are those of the calendar in time_zone. '
    'filter: only rows for which it is true; one expression without effects. archive_to: a table with the same columns, which takes the rows in the statement that deletes them. '
    'time_window, time_zone, schedule: see schedule(). epoch_unit: of a bigint, seconds, milliseconds or microseconds; of an integer, seconds, which is to be said where the table has no rows yet. '
    'confirm: the first run may remove more than dbops.max_retention_percent of the rows or partitions, of those that are old now. '
    'Where the table is partitioned by range of the column alone and there is no filter, partitions go as a whole; else rows do, in batches, with the rights of the table''s owner. '
    'Refused are a column that does not say when (42804), a keep that is not longer than nothing, a bigint without epoch_unit, or an integer of which no value is a time in its unit (22023), a filter that is volatile (0A000), an archive that does not match (42804), '
    'a view, foreign or temporary table (42809), a catalog or a table of dbops (42501), a table above or below one that has a policy (22023), and a foreign key to the table that has no index (55000).';
REVOKE ALL ON FUNCTION dbops.set_retention(regclass, name, interval, text, regclass, text, text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.remove_retention(table_name regclass) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_remove_retention';
COMMENT ON FUNCTION dbops.remove_retention(regclass) IS
    'Has the rows of a table kept for ever again, and cancels the job of its policy. Holds stay. 42704 if there is no policy.';
REVOKE ALL ON FUNCTION dbops.remove_retention(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.retention_plan(
    table_name  regclass,
    column_name name     DEFAULT NULL,
    keep        interval DEFAULT NULL,
    filter      text     DEFAULT NULL,
    archive_to  regclass DEFAULT NULL,
    epoch_unit  text     DEFAULT NULL) RETURNS TABLE (step integer, method text, object text, row_count bigint, bytes bigint, duration interval, risk text, remedy text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_retention_plan';
COMMENT ON FUNCTION dbops.retention_plan(regclass, name, interval, text, regclass, text) IS
    'Says what a run of a retention policy would do now, and changes nothing: of the table''s policy or, with column_name and keep, of one that would be set. '
    'row_count and bytes are counted in a sample of blocks, or in all of a small table; duration by the last run, or else at 50,000 rows a second. '
    'risk: what else it means, or what keeps it from being done; remedy: SQL to run. For members of the table''s owner (42501).';
REVOKE ALL ON FUNCTION dbops.retention_plan(regclass, name, interval, text, regclass, text) FROM PUBLIC;

CREATE FUNCTION dbops.retention_status() RETURNS TABLE (
    table_name regclass, column_name text, keep interval, oldest timestamptz, backlog_rows bigint, backlog_bytes bigint,
    rows_per_second numeric, time_left interval, last_run timestamptz, last_success timestamptz, last_state text, stopped_because text, holds integer)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_retention_status';
COMMENT ON FUNCTION dbops.retention_status() IS
    'Lists the retention policies as their last runs have left them; no table is looked at. oldest, backlog_rows, backlog_bytes: of the rows that are old and not held, from a sample. '
    'rows_per_second: of the last run, while it worked. last_success: when all was done. stopped_because: why not, or what a human must do.';
REVOKE ALL ON FUNCTION dbops.retention_status() FROM PUBLIC;

CREATE PROCEDURE dbops.run_retention(table_name regclass, confirm boolean DEFAULT false, max_duration interval DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_run_retention';
COMMENT ON PROCEDURE dbops.run_retention(regclass, boolean, interval) IS
    'Looks after a table''s retention policy now, in this session, whatever its window. Needs no preloading. '
    'confirm: accepts what the last run that was refused has shown, or what there is now, and removes that and nothing that has come since. max_duration: it ends then, and the next run goes on. '
    'It cannot be called inside a transaction block or a function (2D000). 42704 if there is no policy, 55000 if it must be confirmed, 55006 if its job runs.';
REVOKE ALL ON PROCEDURE dbops.run_retention(regclass, boolean, interval) FROM PUBLIC;

CREATE FUNCTION dbops.place_hold(table_name regclass, predicate text, reason text, until timestamptz DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_place_hold';
COMMENT ON FUNCTION dbops.place_hold(regclass, text, text, timestamptz) IS
    'Keeps retention from deleting the rows of a table, and of its partitions, for which predicate is true, until release_hold or the time given; returns the hold''s id. '
    'It waits for the batch that is being deleted. When it has returned, retention deletes no such row any more: not before this transaction ends, and not after its COMMIT. '
    'A partition with such rows is not dropped; one that was detached already stays as a table. Rows that they refer to by a foreign key ON DELETE CASCADE stay too. '
    'It does not keep anybody else from deleting them. predicate: as filter of set_retention. For members of the table''s owner (42501).';
REVOKE ALL ON FUNCTION dbops.place_hold(regclass, text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION dbops.release_hold(hold_id bigint, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_release_hold';
COMMENT ON FUNCTION dbops.release_hold(bigint, text) IS
    'Ends a hold; it stays in holds(). For members of the table''s owner and admins (42501). 42704 if there is no such hold, 55000 if it has been released.';
REVOKE ALL ON FUNCTION dbops.release_hold(bigint, text) FROM PUBLIC;

CREATE FUNCTION dbops.holds() RETURNS TABLE (
    id bigint, table_name text, predicate text, reason text, in_force boolean, placed_by text, placed_at timestamptz, until timestamptz,
    released_by text, released_at timestamptz, release_reason text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_holds';
COMMENT ON FUNCTION dbops.holds() IS 'Lists all holds, those in force first, with who has placed and released them, and why.';
REVOKE ALL ON FUNCTION dbops.holds() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('set_retention', 'operator'),
    ('remove_retention', 'operator'),
    ('retention_plan', 'operator'),
    ('retention_status', 'monitor'),
    ('run_retention', 'operator'),
    ('place_hold', 'operator'),
    ('release_hold', 'operator'),
    ('holds', 'monitor');

-- Partitions.

CREATE TABLE dbops.partition_drop (
    partition oid PRIMARY KEY,
    parent    oid NOT NULL,
    name      text NOT NULL,
    policy    bigint NOT NULL REFERENCES dbops.policy ON DELETE CASCADE,
    kind      text NOT NULL,
    upper_end bigint NOT NULL,
    begun     boolean NOT NULL DEFAULT false,
    row_count bigint NOT NULL,
    bytes     bigint NOT NULL,
    began_at  timestamptz NOT NULL
);
CREATE INDEX partition_drop_policy ON dbops.partition_drop (policy);
COMMENT ON TABLE dbops.partition_drop IS
    'Partitions that are on their way out: to be detached, and then dropped. upper_end: where it ends, in microseconds since 2000. begun: a job has begun to detach it. '
    'Not dumped, since they have other OIDs elsewhere.';
REVOKE ALL ON TABLE dbops.partition_drop FROM PUBLIC;

CREATE FUNCTION dbops.set_partitioning(
    parent      regclass,
    every       interval DEFAULT NULL,
    runway      interval DEFAULT NULL,
    keep        interval DEFAULT NULL,
    time_window text     DEFAULT NULL,
    time_zone   text     DEFAULT NULL,
    schedule    text     DEFAULT '@hourly',
    confirm     boolean  DEFAULT false) RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_set_partitioning';
COMMENT ON FUNCTION dbops.set_partitioning(regclass, interval, interval, interval, text, text, text, boolean) IS
    'Has partitions of a table made ahead and, with keep, old ones dropped; returns when that is looked after next. What is there is adopted as it is: '
    'bounds, names, and what was given to the newest partition are followed. The table must be partitioned by range of one timestamptz, timestamp, date, or '
    'integer that counts since 1970 (42809, 42804). every: an interval that divides a year or a day, or of days (22023); null is that of the partitions. '
    'runway: how far ahead partitions reach; null is the larger of 14 days and 3 partitions. keep: partitions that end earlier than so long ago are dropped; null is none. '
    'time_zone: in which days and months begin; null is the session''s. time_window and schedule: see schedule(). '
    'confirm: drop also what is more than dbops.max_retention_percent of the partitions or rows at once, as partition_plan shows it. '
    'For owners of the table (42501), who must be able to make tables in its schema. Errors: partitions that are partitioned themselves (0A000), a retention policy of the same table with keep (55000).';
REVOKE ALL ON FUNCTION dbops.set_partitioning(regclass, interval, interval, interval, text, text, text, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.remove_partitioning(parent regclass) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_remove_partitioning';
COMMENT ON FUNCTION dbops.remove_partitioning(regclass) IS
    'Ends what set_partitioning began; the partitions stay as they are, one that a job has detached and not dropped yet stays as a table, which the maintenance log says, and jobs that are at work are cancelled. For members of its role and admins (42501). A table without such a policy is refused (42704).';
REVOKE ALL ON FUNCTION dbops.remove_partitioning(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.partition_plan(
    parent regclass,
    OUT step integer, OUT action text, OUT object text, OUT statement text, OUT lock_mode text,
    OUT row_count bigint, OUT bytes bigint, OUT note text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_partition_plan';
COMMENT ON FUNCTION dbops.partition_plan(regclass) IS
    'What the next run of set_partitioning would do, in order; of a table without a policy, what adopting it as it is would make. lock_mode: the strongest lock on the parent. '
    'row_count and bytes: estimated, of partitions that go. note: why something is kept, left out or waits for a confirmation. Errors as of set_partitioning.';
REVOKE ALL ON FUNCTION dbops.partition_plan(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.partition_status(
    OUT parent text, OUT column_name text, OUT every interval, OUT keep interval, OUT partitions integer,
    OUT oldest timestamptz, OUT newest timestamptz, OUT runway interval, OUT wanted interval, OUT missing integer, OUT expired integer,
    OUT default_partition text, OUT default_rows bigint, OUT half_detached text, OUT stopped_because text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_partition_status';
COMMENT ON FUNCTION dbops.partition_status() IS
    'Every table of set_partitioning: from when to when rows have a partition (null: without end), how far that reaches ahead and how far it should, what is missing and what is too old. '
    'default_rows: estimated. half_detached: a partition whose concurrent detach was cut off. stopped_because: why the last job failed, or why the table cannot be judged.';
REVOKE ALL ON FUNCTION dbops.partition_status() FROM PUBLIC;

CREATE PROCEDURE dbops.run_partitioning(parent regclass, confirm boolean DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_run_partitioning';
COMMENT ON PROCEDURE dbops.run_partitioning(regclass, boolean) IS
    'Looks after a table of set_partitioning now, in this session. First what is missing is made, one partition in each transaction; then what is half detached is finished, and what is too old is dropped. '
    'confirm: also what was refused as too much at once, as it was shown. For owners of the table (42501). Errors: no such policy (42704), more than dbops.max_retention_percent at once (55000), a job of it at work (55006).';
REVOKE ALL ON PROCEDURE dbops.run_partitioning(regclass, boolean) FROM PUBLIC;

CREATE PROCEDURE dbops.drain_default(parent regclass, max_lock interval DEFAULT '1 second')
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_drain_default';
COMMENT ON PROCEDURE dbops.drain_default(regclass, interval) IS
    'Moves the rows of the default partition into partitions of their own, which it makes: one partition in each transaction, with all of its rows, so that nobody misses a row meanwhile. '
    'The interval is that of set_partitioning, else that of the partitions. Rows without a time, older than keep or newer than the runway stay. '
    'So do those from before 1700. max_lock: how long readers and writers of the table may be locked out for each, as estimated from its size; while rows are copied they are not, '
    'but who changes one of these waits for a moment, and writers are locked out then until they are copied, if that is not longer. For owners of the table (42501). '
    'Errors: no default partition, or a lock that would last longer (55000); triggers and rules on DELETE, foreign keys that reference the table, publications (0A000).';
REVOKE ALL ON PROCEDURE dbops.drain_default(regclass, interval) FROM PUBLIC;

CREATE PROCEDURE dbops.partition_table(table_name regclass, column_name name, every interval, dry_run boolean DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_partition_table';
COMMENT ON PROCEDURE dbops.partition_table(regclass, name, interval, boolean) IS
    'Makes a plain table the first partition of a new partitioned table that takes its name, and makes partitions behind it. No row is copied: a constraint is validated first, while everybody works, '
    'and the swap takes a lock of a moment. column_name: a timestamptz, timestamp, date, or integer that counts since 1970 (42804), NOT NULL. every: see set_partitioning. dry_run: only shows the statements. '
    'The same call goes on with one that was cut off. For owners of the table (42501). What cannot follow is refused with what to change first (55000): a primary key or unique index without the column, foreign keys that reference the table, views, triggers, policies, publications.';
REVOKE ALL ON PROCEDURE dbops.partition_table(regclass, name, interval, boolean) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('drain_default', 'operator'),
    ('partition_table', 'operator'),
    ('set_partitioning', 'operator'),
    ('remove_partitioning', 'operator'),
    ('partition_plan', 'monitor'),
    ('partition_status', 'monitor'),
    ('run_partitioning', 'operator');

-- Reindexing.

-- By name: an index has another OID after each concurrent rebuild, and none yet when a dump restores this.
CREATE SEQUENCE dbops.reindex_history_id_seq;
CREATE TABLE dbops.reindex_history (
    id             bigint PRIMARY KEY DEFAULT nextval('dbops.reindex_history_id_seq'),
    index_name     text NOT NULL,
    table_name     text NOT NULL,
    job_id         bigint NOT NULL,
    rebuilt_at     timestamptz NOT NULL,
    duration       bigint NOT NULL,
    table_bytes    bigint NOT NULL,
    bytes_before   bigint NOT NULL,
    bytes_after    bigint NOT NULL,
    density_before double precision,
    density_after  double precision,
    percent_before double precision,
    row_count      double precision,
    returned_at    timestamptz
);
CREATE INDEX reindex_history_name ON dbops.reindex_history (index_name, id);
COMMENT ON TABLE dbops.reindex_history IS
    'What rebuilds of indexes have brought. duration in milliseconds, densities in percent of the leaves. row_count: that the index pointed to afterwards. '
    'returned_at: when it was found as bloated again, if that was within 14 days.';
REVOKE ALL ON TABLE dbops.reindex_history FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.reindex_history_id_seq', '');
SELECT pg_extension_config_dump('dbops.reindex_history', '');

-- Not dumped: it is about the OIDs of this database.
CREATE TABLE dbops.reindex_begun (
    job_id     bigint NOT NULL,
    index_oid  oid NOT NULL,
    table_oid  oid NOT NULL,
    index_name text NOT NULL,
    table_name text NOT NULL,
    begun_at   timestamptz NOT NULL,
    bytes      bigint NOT NULL,
    density    double precision,
    percent    double precision,
    shape      text NOT NULL,
    invalid    oid[] NOT NULL,
    ended      boolean NOT NULL DEFAULT false,
    leftover   oid,
    PRIMARY KEY (job_id, index_oid)
);
COMMENT ON TABLE dbops.reindex_begun IS
    'Rebuilds that were begun, as long as anything may be left of them: the index, how it is defined (shape), and which invalid indexes its table had before. leftover: what has been left when it ended.';
REVOKE ALL ON TABLE dbops.reindex_begun FROM PUBLIC;

CREATE FUNCTION dbops.set_reindex_policy(
    table_name     regclass DEFAULT NULL,
    min_percent    numeric  DEFAULT 30,
    min_bytes      bigint   DEFAULT 104857600,
    min_interval   interval DEFAULT '7 days',
    time_window    text     DEFAULT NULL,
    time_zone      text     DEFAULT NULL,
    schedule       text     DEFAULT '@daily',
    unique_indexes text     DEFAULT 'auto') RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_set_reindex_policy';
COMMENT ON FUNCTION dbops.set_reindex_policy(regclass, numeric, bigint, interval, text, text, text, text) IS
    'Has bloated btree indexes rebuilt by REINDEX INDEX CONCURRENTLY, one after the other, by jobs in the background; returns when that is looked at next. '
    'table_name: of which table, with its partitions and its TOAST table; null is the whole database, where only what the caller may maintain is touched. '
    'An index is rebuilt when a sample of its pages says that at least min_percent of it and min_bytes would be won, its last rebuild is min_interval ago, and '
    'disk, WAL, slots, transactions, locks and the time_window allow it; what keeps it from that is in maintenance_report(). '
    'unique_indexes: before PostgreSQL 19 an INSERT ... ON CONFLICT can fail while a unique index of its table is rebuilt; auto rebuilds such an index only where '
    'pg_stat_statements shows none, as far as it has kept them; yes; no. '
    'Errors: not the owner (42501), a view or an index (42809), figures out of range or a schedule that cannot be read (22023).';
REVOKE ALL ON FUNCTION dbops.set_reindex_policy(regclass, numeric, bigint, interval, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION dbops.remove_reindex_policy(table_name regclass DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_remove_reindex_policy';
COMMENT ON FUNCTION dbops.remove_reindex_policy(regclass) IS
    'Removes what set_reindex_policy has set, and cancels its job. There is none: 42704.';
REVOKE ALL ON FUNCTION dbops.remove_reindex_policy(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.reindex_candidates(
    table_name regclass DEFAULT NULL,
    OUT index_name regclass,
    OUT table_name regclass,
    OUT size_bytes bigint,
    OUT estimated_percent numeric,
    OUT bloat_percent numeric,
    OUT low_percent numeric,
    OUT high_percent numeric,
    OUT wasted_bytes bigint,
    OUT reason text,
    OUT obstacle text,
    OUT duration interval,
    OUT last_rebuild timestamptz,
    OUT command text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_reindex_candidates';
COMMENT ON FUNCTION dbops.reindex_candidates(regclass) IS
    'Lists the indexes of a table, its partitions and its TOAST table, or of the database, that there is a reason to rebuild, the largest first: those that the policy '
    'of their table would, or where there is none one of default figures, those whose collation has another version than when it was recorded, and those that were never deduplicated. '
    'estimated_percent: what the catalogs say would be won; bloat_percent, low_percent, high_percent, wasted_bytes: what a sample of pages says. '
    'obstacle: why it is not rebuilt now; null: nothing. duration: what the rebuild is expected to take. command: rebuilds it now.';
REVOKE ALL ON FUNCTION dbops.reindex_candidates(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.reindex_history() RETURNS TABLE (
    index_name     text,
    table_name     text,
    rebuilt_at     timestamptz,
    duration       interval,
    bytes_before   bigint,
    bytes_after    bigint,
    density_before numeric,
    density_after  numeric,
    percent_before numeric,
    returned_at    timestamptz,
    job_id         bigint)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_reindex_history';
COMMENT ON FUNCTION dbops.reindex_history() IS
    'Lists the rebuilds that dbops has done, the latest first; a hundred of each index are kept. density: how full the leaves of a btree are, in percent. percent_before: what was expected to be won. '
    'returned_at: when it was found as bloated again, if that was within 14 days.';
REVOKE ALL ON FUNCTION dbops.reindex_history() FROM PUBLIC;

CREATE FUNCTION dbops.start_reindex(index_name regclass) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_start_reindex';
COMMENT ON FUNCTION dbops.start_reindex(regclass) IS
    'Has an index rebuilt by REINDEX INDEX CONCURRENTLY, or the partitions of a partitioned one, by a job in the background as the owner of its table; returns the job. '
    'It waits for locks and old transactions, at most an hour before it begins and ten minutes at a time in between, and is blocked where there is no room. '
    'Errors: not the owner (42501), not an index (42809), one that cannot be rebuilt concurrently (0A000): of a catalog, of an exclusion constraint, temporary, or itself a leftover.';
REVOKE ALL ON FUNCTION dbops.start_reindex(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.leftover_indexes() RETURNS TABLE (
    index_name regclass,
    table_name regclass,
    size_bytes bigint,
    origin     text,
    at_work    boolean,
    job_id     bigint,
    remedy     text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_leftover_indexes';
COMMENT ON FUNCTION dbops.leftover_indexes() IS
    'Lists invalid indexes, which cost every insert and serve no query: what builds have left that were cut off, anybody''s. '
    'at_work: a session is building or dropping it. job_id: the job of dbops that is proven to have left it, and which removes it; null: not proven. remedy: the command that removes it.';
REVOKE ALL ON FUNCTION dbops.leftover_indexes() FROM PUBLIC;

CREATE FUNCTION dbops.drop_leftover_index(index_name regclass) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_drop_leftover_index';
COMMENT ON FUNCTION dbops.drop_leftover_index(regclass) IS
    'Has an invalid index dropped by DROP INDEX CONCURRENTLY, by a job in the background as the owner of its table; returns the job. '
    'Errors: not the owner (42501), not an index with a file (42809), a valid one or a part of a partitioned one (55000), one that a session is building or dropping (55006).';
REVOKE ALL ON FUNCTION dbops.drop_leftover_index(regclass) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('set_reindex_policy', 'operator'),
    ('remove_reindex_policy', 'operator'),
    ('reindex_candidates', 'monitor'),
    ('reindex_history', 'monitor'),
    ('start_reindex', 'operator'),
    ('leftover_indexes', 'monitor'),
    ('drop_leftover_index', 'operator');

-- Vacuum and analyze.

CREATE FUNCTION dbops.set_vacuum_policy(
    table_name    regclass DEFAULT NULL,
    analyze_every interval DEFAULT '7 days',
    freeze_ahead  boolean  DEFAULT true,
    time_window   text     DEFAULT NULL,
    time_zone     text     DEFAULT NULL,
    schedule      text     DEFAULT '@hourly') RETURNS timestamptz
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_set_vacuum_policy';
COMMENT ON FUNCTION dbops.set_vacuum_policy(regclass, interval, boolean, text, text, text) IS
    'Has a table with its partitions, or without table_name all tables that the caller may vacuum, vacuumed or analyzed where autovacuum does not: '
    'over twice its threshold for six hours, partitioned tables whose partitions changed by 10 percent since ANALYZE, tables never analyzed. Returns when they are looked at next. '
    'analyze_every: a table that changes at all is analyzed when its statistics get older, at least 1 hour; null: never for that reason. '
    'freeze_ahead: vacuum freezes what is older than 80 percent of autovacuum_freeze_max_age or its like for multixacts, so that autovacuum need not at a bad time. '
    'time_window: what would not be done before it closes is not begun, unless what is to be frozen cannot wait for another window. '
    'schedule, time_window, time_zone: as of schedule(). The same table again replaces its policy; the nearest policy counts. '
    'Errors: who does not own the table (42501), a relation that cannot be vacuumed (42809), times that cannot be read (22023).';
REVOKE ALL ON FUNCTION dbops.set_vacuum_policy(regclass, interval, boolean, text, text, text) FROM PUBLIC;

CREATE FUNCTION dbops.remove_vacuum_policy(table_name regclass DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_remove_vacuum_policy';
COMMENT ON FUNCTION dbops.remove_vacuum_policy(regclass) IS
    'Removes the policy that set_vacuum_policy made of a table or, without table_name, of all tables, and cancels its job. '
    'For the owner and admins (42501). 42704 if there is none.';
REVOKE ALL ON FUNCTION dbops.remove_vacuum_policy(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.vacuum_candidates() RETURNS TABLE (
    table_name   regclass,
    statement    text,
    reason       text,
    since        timestamptz,
    due          boolean,
    dead_rows    bigint,
    changed_rows bigint,
    last_vacuum  timestamptz,
    last_analyze timestamptz,
    policy       text)
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_vacuum_candidates';
COMMENT ON FUNCTION dbops.vacuum_candidates() IS
    'Lists the tables that should be vacuumed or analyzed, and why, whether there is a policy for them or not. since: over twice autovacuum''s threshold, as far as a policy has seen it. '
    'due: a policy acts on it, or would; false where it may still be autovacuum that does. dead_rows and changed_rows: since VACUUM and ANALYZE, by the server''s counters. '
    'policy: the one that looks after it. Locks none of the tables.';
REVOKE ALL ON FUNCTION dbops.vacuum_candidates() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('set_vacuum_policy', 'operator'),
    ('remove_vacuum_policy', 'operator'),
    ('vacuum_candidates', 'monitor');
