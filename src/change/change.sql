CREATE PROCEDURE dbops.batched_backfill(
    table_name   regclass,
    set_clause   text,
    where_clause text     DEFAULT NULL,
    batch_size   integer  DEFAULT 10000,
    pause        interval DEFAULT '0',
    verify       boolean  DEFAULT true,
    workers      integer  DEFAULT 1,
    method       text     DEFAULT 'auto',
    sync         boolean  DEFAULT false,
    app_writes   boolean  DEFAULT false,
    on_error     text     DEFAULT 'stop',
    vacuum_every  double precision DEFAULT NULL,
    max_wal_per_s bigint   DEFAULT NULL)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_batched_backfill';
COMMENT ON PROCEDURE dbops.batched_backfill IS
    'Changes the rows of a large table in short transactions, with a commit for each batch. '
    'table_name: an ordinary table, a partitioned table or a table with inheritance children, owned by the caller or a role that the caller is a member of. '
    'set_clause: what would stand behind SET. where_clause: what would stand behind WHERE; null means every row. '
    'batch_size: rows a transaction at most; fewer where it would take longer than dbops.backfill_batch_time or others wait. max_wal_per_s: bytes of WAL a second, at least 1 MB; null: any. pause: time to wait after each batch that changed rows, at most 1 hour. '
    'verify: end with a proof that no row is left, sweeping again what other sessions moved. '
    'workers: processes that share the table; this session is one, the others run in the background (55000 where dbops is not preloaded), at most dbops.max_workers of them (22023). '
    'sync: a trigger, dbops_sync_<job id>, makes rows right as others write them, from before the walk until the proof; refused for subselects (0A000). '
    'app_writes: the application does; waits first, at most an hour, for transactions that began before. '
    'vacuum_every: share of each table, 0.01 to 1, after which it is vacuumed on the way as VACUUM (TRUNCATE off, SKIP_LOCKED) would; null: never. '
    'on_error: stop at a row that fails, which is named while what was changed before stays; or quarantine: set such rows aside, up to dbops.backfill_max_errors, for backfill_errors. '
    'While a job with the same clauses for the same table has not ended, the call goes on with that, or is refused while it runs elsewhere (55000). '
    'Reports progress about once a second as notices, and at the end how many rows are left and why. '
    'method: blocks; keyset, which visits each row once in the order of a unique key (42P10 if there is none), as a job that goes on from its last batch when the same call is made again; auto, which is blocks where a row may be met twice and keyset otherwise. '
    'A change that could be applied twice to a row is refused in block order (0A000), as are tables that cannot be walked (42809, 0A000, 42501), '
    'clauses that are not exactly one set list or one expression (42601), and calls inside a transaction block (2D000).';
REVOKE ALL ON PROCEDURE dbops.batched_backfill FROM PUBLIC;

CREATE FUNCTION dbops.start_backfill(
    table_name   regclass,
    set_clause   text,
    where_clause text     DEFAULT NULL,
    batch_size   integer  DEFAULT 10000,
    pause        interval DEFAULT '0',
    verify       boolean  DEFAULT true,
    workers      integer  DEFAULT 1,
    method       text     DEFAULT 'auto',
    sync         boolean  DEFAULT false,
    app_writes   boolean  DEFAULT false,
    on_error     text     DEFAULT 'stop',
    vacuum_every  double precision DEFAULT NULL,
    max_wal_per_s bigint   DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_start_backfill';
COMMENT ON FUNCTION dbops.start_backfill IS
    'Has the table changed in the background as batched_backfill does it, whose arguments and refusals it has; returns the id of the job. It begins when the transaction commits. '
    'Everything is understood and refused at once, with the rights and settings of the caller; now() is the time of this call. '
    'The job goes on by itself from its last batch when its process or the server has died; jobs() shows how far it is and what it waits for. '
    'tune_job changes batch_size, batch_time (ms), max_wal_per_s (0 or null: any), pause, workers and yield (true or false) while it runs. Its result says how many rows were changed, and how many are left and why. '
    'While a job with the same clauses for the same table has not ended, its id is returned and nothing is added. '
    'A temporary table is refused (0A000).';
REVOKE ALL ON FUNCTION dbops.start_backfill FROM PUBLIC;

CREATE TABLE dbops.backfill_error (
    job_id     bigint NOT NULL REFERENCES dbops.job ON DELETE CASCADE,
    relid      oid NOT NULL,
    identity   bytea NOT NULL,
    table_name text NOT NULL,
    row_ctid   tid NOT NULL,
    key        jsonb,
    sqlstate   text NOT NULL,
    message    text NOT NULL,
    detail     text,
    pass       integer NOT NULL,
    failed_at  timestamptz NOT NULL,
    PRIMARY KEY (job_id, relid, identity)
);
COMMENT ON TABLE dbops.backfill_error IS
    'Rows that a backfill could not change because they fail; deleted with the history of its job. identity: hash of the key, or else of the place, '
    'by which a row that fails again is known. pass: in which it failed last; 0 is the walk, the others are sweeps.';
REVOKE ALL ON TABLE dbops.backfill_error FROM PUBLIC;

CREATE FUNCTION dbops.backfill_errors(
    job_id         bigint,
    OUT table_name text,
    OUT row_ctid   tid,
    OUT key        jsonb,
    OUT sqlstate   text,
    OUT message    text,
    OUT detail     text,
    OUT failed_at  timestamptz) RETURNS SETOF record
    LANGUAGE c STRICT STABLE
    AS 'MODULE_PATHNAME', 'dbops_backfill_errors';
COMMENT ON FUNCTION dbops.backfill_errors(bigint) IS
    'The rows that a backfill has set aside because they fail, or the one that has stopped it. row_ctid: where the row was then. '
    'key: its primary key, or another unique key that is never null; null if the table has none. Long values are cut off after 200 characters. '
    'Only for members of the job''s role and admins (42501), and for backfills (42704). Pruned with the job.';
REVOKE ALL ON FUNCTION dbops.backfill_errors(bigint) FROM PUBLIC;

CREATE FUNCTION dbops.backfill_plan(
    table_name   regclass,
    set_clause   text,
    where_clause text     DEFAULT NULL,
    batch_size   integer  DEFAULT 10000,
    pause        interval DEFAULT '0',
    verify       boolean  DEFAULT true,
    workers      integer  DEFAULT 1,
    method       text     DEFAULT 'auto',
    sync         boolean  DEFAULT false,
    app_writes   boolean  DEFAULT false,
    on_error     text     DEFAULT 'stop',
    vacuum_every  double precision DEFAULT NULL,
    max_wal_per_s bigint   DEFAULT NULL,
    OUT item text, OUT value text, OUT number double precision, OUT note text)
    RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_backfill_plan';
COMMENT ON FUNCTION dbops.backfill_plan IS
    'Says what batched_backfill with the same arguments would do, and is refused as that is; changes nothing. '
    'Waits for locks no longer than dbops.backfill_lock_timeout (55P03, naming who has it). '
    'item: tables, blocks, size, rows, rows to change, method, batches, row width, free space, HOT updates, WAL, table growth, index growth, disk, duration, '
    'rows written meanwhile; and one row each for every trigger, foreign key, publication, slot and warning that there is. '
    'value: for people. number: the same in rows, bytes, percent or seconds (of duration the longest), or null. note: what the figure rests on. '
    'Looks at a few hundred blocks drawn at random, whatever the size of the table, and begins with no other one after 5 s; there the clauses are evaluated with the rights of the table''s owner, in a transaction that cannot write.';
REVOKE ALL ON FUNCTION dbops.backfill_plan FROM PUBLIC;

CREATE TABLE dbops.backfill_pass (
    job_id         bigint     NOT NULL,
    relid          oid        NOT NULL,
    key_columns    int2vector NOT NULL,
    cursor         bytea,
    cursor_visited boolean    NOT NULL,
    bound          bytea,
    PRIMARY KEY (job_id, relid)) WITH (fillfactor = 50);
COMMENT ON TABLE dbops.backfill_pass IS
    'How far a backfill by key has come in each table: the key up to which its rows have been visited, and the last one that is to be, as they are stored. Written by dbops.';
REVOKE ALL ON dbops.backfill_pass FROM PUBLIC;

CREATE TABLE dbops.backfill_note (
    job_id  bigint  NOT NULL,
    relid   oid     NOT NULL,
    key     bytea   NOT NULL,
    to_come boolean NOT NULL,
    PRIMARY KEY (job_id, relid, key));
CREATE INDEX backfill_note_to_come ON dbops.backfill_note (job_id, to_come);
COMMENT ON TABLE dbops.backfill_note IS
    'Rows that came, or changed their key, while a backfill by key was at work: whether their turn is still to come. Written by the trigger of the backfill.';
REVOKE ALL ON dbops.backfill_note FROM PUBLIC;

CREATE FUNCTION dbops.backfill_guard() RETURNS trigger
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_backfill_guard';
COMMENT ON FUNCTION dbops.backfill_guard IS
    'Serves the triggers dbops_exact_<job> and dbops_exactkey_<job>, which a backfill by key puts on a table for as long as it lasts, so that each row is changed once although applications insert rows and change keys. '
    'It does nothing when its job has ended. The owner of a partitioned table has EXECUTE meanwhile, which creating a partition takes.';
REVOKE ALL ON FUNCTION dbops.backfill_guard FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('backfill_errors', 'operator'),
    ('backfill_plan', 'operator'),
    ('batched_backfill', 'operator'),
    ('start_backfill', 'operator');

CREATE TABLE dbops.backfill_trigger (
    relid    oid    NOT NULL,
    job_id   bigint NOT NULL,
    argument text   NOT NULL,
    PRIMARY KEY (relid, job_id));
COMMENT ON TABLE dbops.backfill_trigger IS
    'The triggers of backfills with sync that are at work, and their arguments: backfill_sync() obeys no others, since those would be another''s code with the rights of the table''s owner. Written by dbops.';
REVOKE ALL ON dbops.backfill_trigger FROM PUBLIC;

CREATE FUNCTION dbops.backfill_sync() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_backfill_sync';
COMMENT ON FUNCTION dbops.backfill_sync() IS
    'The trigger that a backfill with sync puts on its table, dbops_sync_<job id>: it makes rows right as they are written, with the rights of the table''s owner, until the backfill has ended. '
    'The owner of a partitioned table has EXECUTE meanwhile, which creating a partition takes; a trigger that no backfill has made does nothing.';
REVOKE ALL ON FUNCTION dbops.backfill_sync() FROM PUBLIC;

-- Migrations: the ledger.

CREATE TABLE dbops.migration (
    project      text NOT NULL,
    version      text NOT NULL,
    name         text,
    state        text NOT NULL CHECK (state IN ('running', 'applied', 'failed', 'reverted', 'baseline', 'skipped')),
    owner        text NOT NULL,
    owner_oid    oid NOT NULL,
    cluster      bigint NOT NULL,
    up_sql       text,
    down_sql     text,
    verify_sql   text,
    requires     text[] NOT NULL,
    environments text[] NOT NULL,
    repeatable   boolean NOT NULL,
    origin       text NOT NULL,
    checksum     bytea,
    position     bigint NOT NULL GENERATED BY DEFAULT AS IDENTITY,
    applied_at   timestamptz NOT NULL,
    job_id       bigint,
    PRIMARY KEY (project, version)
);
COMMENT ON TABLE dbops.migration IS
    'Migrations as they stand. owner: the name that the role had which applied it, as which it is rolled back. owner_oid: which role that is in the cluster with the system identifier cluster; in another one, where a dump was restored, the name says who it is. checksum: SHA-256 of up_sql. origin: dbops, or the tool that it was imported from. '
    'environments: those that it is for; empty means all. position: the order in which they were applied. job_id: the job that does it, or did it last, where that is done in steps.';
REVOKE ALL ON TABLE dbops.migration FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.migration', '');
SELECT pg_extension_config_dump('dbops.migration_position_seq', '');

CREATE TABLE dbops.migration_step (
    project     text NOT NULL,
    version     text NOT NULL,
    direction   text NOT NULL CHECK (direction IN ('up', 'down')),
    step        integer NOT NULL,
    line        integer NOT NULL,
    command     text NOT NULL,
    state       text NOT NULL CHECK (state IN ('pending', 'running', 'done')),
    finished_at timestamptz,
    receipt     jsonb,
    PRIMARY KEY (project, version, direction, step)
);
-- No foreign key: pg_restore -j copies the tables of an extension in any order.
COMMENT ON TABLE dbops.migration_step IS
    'The statements of a migration as they were last run, with what each has done. In steps, those that are done stay done when a job ends. (project, version): of dbops.migration.';
REVOKE ALL ON TABLE dbops.migration_step FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.migration_step', '');

CREATE TABLE dbops.migration_event (
    id               bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    at               timestamptz NOT NULL,
    project          text NOT NULL,
    version          text NOT NULL,
    event            text NOT NULL CHECK (event IN ('apply', 'apply_again', 'start', 'fail', 'roll_back', 'skip', 'baseline', 'resolve', 'repair', 'import', 'take_over')),
    role_name        text NOT NULL,
    role_oid         oid NOT NULL,
    cluster          bigint NOT NULL,
    session_role     text NOT NULL,
    application_name text NOT NULL,
    client_address   inet,
    reason           text,
    details          jsonb
);
CREATE INDEX migration_event_version ON dbops.migration_event (project, version);
CREATE INDEX migration_event_take_over ON dbops.migration_event (project, id) WHERE event = 'take_over';
COMMENT ON TABLE dbops.migration_event IS
    'Everything that has happened to migrations, in the order of id. Nothing of it is ever changed or deleted. role_name: who did it, and was called so then; role_oid, cluster: as in dbops.migration.';
REVOKE ALL ON TABLE dbops.migration_event FROM PUBLIC;
CREATE FUNCTION dbops.keep_events() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_keep_events';
COMMENT ON FUNCTION dbops.keep_events() IS
    'Serves the triggers that refuse to change or delete what is in dbops.migration_event and dbops.break_glass_use (55000).';
REVOKE ALL ON FUNCTION dbops.keep_events() FROM PUBLIC;
CREATE TRIGGER keep_events BEFORE UPDATE OR DELETE OR TRUNCATE ON dbops.migration_event
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.keep_events();
ALTER TABLE dbops.migration_event ENABLE ALWAYS TRIGGER keep_events;
SELECT pg_extension_config_dump('dbops.migration_event', '');

CREATE TABLE dbops.break_glass_use (
    at               timestamptz NOT NULL,
    role_name        text NOT NULL,
    role_oid         oid NOT NULL,
    cluster          bigint NOT NULL,
    session_role     text NOT NULL,
    application_name text NOT NULL,
    client_address   inet,
    command          text NOT NULL,
    statement        text,
    reason           text NOT NULL
);
CREATE INDEX break_glass_use_at ON dbops.break_glass_use (at);
COMMENT ON TABLE dbops.break_glass_use IS
    'Changes of the schema that were made in no migration although dbops.require_migration was on, by who has set dbops.break_glass to the reason. Nothing of it is ever changed or deleted. statement: null where it may hold a password. role_oid, cluster: as in dbops.migration.';
REVOKE ALL ON TABLE dbops.break_glass_use FROM PUBLIC;
CREATE TRIGGER keep_events BEFORE UPDATE OR DELETE OR TRUNCATE ON dbops.break_glass_use
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.keep_events();
ALTER TABLE dbops.break_glass_use ENABLE ALWAYS TRIGGER keep_events;
SELECT pg_extension_config_dump('dbops.break_glass_use', '');
SELECT pg_extension_config_dump('dbops.migration_event_id_seq', '');

CREATE TYPE dbops.migration_receipt AS (
    version          text,
    direction        text,
    step             integer,
    line             integer,
    command          text,
    state            text,
    effect           text,
    locks            jsonb,
    objects          jsonb,
    row_count        bigint,
    wal_bytes        bigint,
    duration         interval,
    waited           interval,
    blocked_sessions integer,
    blocked_for      interval,
    flags            text[],
    notices          text[],
    message          text,
    job_id           bigint
);
COMMENT ON TYPE dbops.migration_receipt IS
    'What a statement of a migration has done, or would do. step: number of the statement in its text; null in the row that sums up. '
    'effect: the worst of metadata, rows, scan, index build and rewrite, as the server itself says; null where nothing was written. locks: the strongest mode held on each relation that the statement has locked or worked at, without those that its transaction has created. '
    'objects: what was created, changed and dropped, scanned, rewritten and indexed, and what was not scanned as existing constraints prove it (proved). waited: for locks. blocked_sessions, blocked_for: sessions that waited for this one''s locks when the statement ended, and how long the longest had waited by then.';

-- Migrations: apply.

CREATE FUNCTION dbops.apply_migration(
    version      text,
    up_sql       text,
    down_sql     text     DEFAULT NULL,
    name         text     DEFAULT NULL,
    project      text     DEFAULT 'default',
    requires     text[]   DEFAULT '{}',
    environments text[]   DEFAULT '{}',
    repeatable   boolean  DEFAULT false,
    verify_sql   text     DEFAULT NULL,
    lock_timeout interval DEFAULT '200 ms',
    max_wait     interval DEFAULT '2 minutes',
    reason       text     DEFAULT NULL) RETURNS SETOF dbops.migration_receipt
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_apply_migration';
COMMENT ON FUNCTION dbops.apply_migration IS
    'Runs the statements of a migration as the caller, in one transaction with its row in the ledger, and returns what each has done; the last row sums up. '
    'version: letters, digits, ''.'', ''_'' and ''-'', ordered by the numbers in it. up_sql: as psql would run it, with COPY data; read to its end before anything runs. down_sql: what undoes it. '
    'project: versions are apart in each; it belongs to the role that has begun it (42501). requires: versions that must be applied before (55000). '
    'environments: those that it is for, held against dbops.environment (55000 where that is not set); null or empty: all. repeatable: run again whenever its text changes. '
    'verify_sql: a query whose rows must all be true, or nothing is done. '
    'lock_timeout: how long it waits for a lock before it gives back those that it has and tries again, up to max_wait in all (55P03). reason: for the log. '
    'state of the last row: applied, already applied, cosmetic (applied already, with other comments or white space), skipped, or submitted: '
    'statements that must not be in a transaction block are done by the job job_id, and until that has ended nothing else is done in the project (55006). '
    'Another text for a version that is applied is refused (55000).';
REVOKE ALL ON FUNCTION dbops.apply_migration FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('apply_migration', 'operator');

-- Migrations: texts in steps.

-- Migrations: roll back, status, and what sets the ledger right.

CREATE FUNCTION dbops.rollback_migration(
    version      text     DEFAULT NULL,
    project      text     DEFAULT 'default',
    lock_timeout interval DEFAULT '200 ms',
    max_wait     interval DEFAULT '2 minutes',
    reason       text     DEFAULT NULL) RETURNS SETOF dbops.migration_receipt
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_rollback_migration';
COMMENT ON FUNCTION dbops.rollback_migration IS
    'Runs the down text that the ledger has of a migration, in one transaction with its row, and returns what each statement has done; the last row sums up. '
    'version: null is the one that was applied last in the project. lock_timeout, max_wait, reason: as in apply_migration. '
    'Only the role that has applied it rolls it back (42501). Refused while others are applied that came later or require it, and without a down text (55000). '
    'state of the last row: reverted, already reverted, or submitted: statements that must not be in a transaction block are done by the job job_id.';
REVOKE ALL ON FUNCTION dbops.rollback_migration FROM PUBLIC;

CREATE FUNCTION dbops.migration_status(
    project         text   DEFAULT NULL,
    versions        text[] DEFAULT NULL,
    OUT project     text,
    OUT version     text,
    OUT name        text,
    OUT state       text,
    OUT applied_at  timestamptz,
    OUT owner       text,
    OUT origin      text,
    OUT repeatable  boolean,
    OUT reversible  boolean,
    OUT job_id      bigint,
    OUT note        text,
    OUT remedy      text) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_migration_status';
COMMENT ON FUNCTION dbops.migration_status IS
    'Where projects stand, in the order of versions. project: null is all. versions: those that a deployer''s folder holds (then project null is default). '
    'state: as in the ledger (running, applied, failed, reverted, baseline, skipped), or of versions: pending, covered (by a baseline), missing (applied, but not among versions). '
    'note: out of order, how far a job is, and the like. remedy: what to do.';
REVOKE ALL ON FUNCTION dbops.migration_status FROM PUBLIC;

CREATE FUNCTION dbops.baseline_migration(
    version text,
    name    text DEFAULT NULL,
    project text DEFAULT 'default',
    reason  text DEFAULT NULL) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_baseline_migration';
COMMENT ON FUNCTION dbops.baseline_migration IS
    'Says that everything up to a version is there already: apply_migration runs none of those. Nothing is run. '
    'Refused where the version is in the ledger as something else (55000).';
REVOKE ALL ON FUNCTION dbops.baseline_migration FROM PUBLIC;

CREATE FUNCTION dbops.resolve_migration(
    version text,
    state   text,
    reason  text,
    project text DEFAULT 'default') RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_resolve_migration';
COMMENT ON FUNCTION dbops.resolve_migration IS
    'Has the ledger say that a migration is applied, or reverted, because somebody has seen to that by hand. Nothing is run. '
    'state: applied, also of a version that the ledger does not know; or reverted, after which it can be applied again. reason: what was done; it stays in the log. '
    'Refused while a job works on the migration (55006).';
REVOKE ALL ON FUNCTION dbops.resolve_migration FROM PUBLIC;

CREATE FUNCTION dbops.repair_checksums(
    versions    text[],
    up_sql      text[],
    project     text DEFAULT 'default',
    reason      text DEFAULT NULL,
    OUT version text,
    OUT outcome text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_repair_checksums';
COMMENT ON FUNCTION dbops.repair_checksums IS
    'Takes texts over into the ledger that differ from what was applied only in comments and white space; if one of them differs in more, none is taken over (55000). '
    'up_sql: the text of each of versions. outcome: identical, cosmetic (taken over), checksum fits (the text of an imported migration, taken over), or text not known (nothing to compare it with; left as it is).';
REVOKE ALL ON FUNCTION dbops.repair_checksums FROM PUBLIC;

CREATE FUNCTION dbops.import_migrations(
    tool           text,
    project        text DEFAULT 'default',
    OUT version    text,
    OUT name       text,
    OUT state      text,
    OUT applied_at timestamptz,
    OUT outcome    text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_import_migrations';
COMMENT ON FUNCTION dbops.import_migrations(text, text) IS
    'Takes over what another tool has applied, from its table, which is only read. tool: alembic, drizzle, flyway or prisma; its table is found by the search_path, drizzle''s in schema drizzle. '
    'What the ledger has already stays as it is, so it can be called again. state: in the ledger now. outcome: imported, already in the ledger, or why not. '
    'The table is read with the rights of the caller, without row security, and must be a table (42809).';
REVOKE ALL ON FUNCTION dbops.import_migrations(text, text) FROM PUBLIC;

CREATE FUNCTION dbops.import_migrations(
    from_table        regclass,
    version_column    name,
    applied_at_column name,
    project           text DEFAULT 'default',
    OUT version       text,
    OUT name          text,
    OUT state         text,
    OUT applied_at    timestamptz,
    OUT outcome       text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_import_migrations_table';
COMMENT ON FUNCTION dbops.import_migrations(regclass, name, name, text) IS
    'The same from any other tool''s table: each row is a version that is applied. applied_at_column: null if it has none.';
REVOKE ALL ON FUNCTION dbops.import_migrations(regclass, name, name, text) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('baseline_migration', 'operator'),
    ('import_migrations', 'operator'),
    ('migration_status', 'monitor'),
    ('repair_checksums', 'operator'),
    ('resolve_migration', 'operator'),
    ('rollback_migration', 'operator');

-- Migrations: proof before deployment.

CREATE FUNCTION dbops.check_migration(
    up_sql       text,
    down_sql     text DEFAULT NULL,
    depth        text     DEFAULT 'execute',
    force        boolean  DEFAULT false,
    max_duration interval DEFAULT '5 minutes',
    max_blocked  interval DEFAULT '30 seconds',
    lock_timeout interval DEFAULT '50 ms') RETURNS SETOF dbops.migration_receipt
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_check_migration';
COMMENT ON FUNCTION dbops.check_migration(text, text, text, boolean, interval, interval, interval) IS
    'Says what a migration will do, before it is deployed; one row a statement, and last one that sums up. '
    'depth execute: runs it as the caller in a subtransaction that is always rolled back, then the down text, and compares the schema with what it was. '
    'The last row''s state: proved, differs (a row for each difference before it), no down text, not provable in one transaction (a value of an enum that is used before a COMMIT), failed, locked, or stopped. '
    'It is refused (55000) where a table is larger than 100 MB or other sessions are at work on it, unless force; it waits lock_timeout for each lock, and ends when locks stronger than ROW EXCLUSIVE have been held for dbops.dry_run_max_hold. '
    'Nothing is left but values drawn from sequences, advisory locks of the session, and what functions did outside of the database; standbys have the locks and the WAL. '
    'CREATE INDEX CONCURRENTLY runs in its plain form, its locks are those of the form as written; what cannot be rolled back is not run. '
    'State finding added and finding removed: what the up texts add to the findings of review_schema(), find_unindexed_fkeys() among them, and take away; not compared (notices say so) where that would keep others waiting for a third of dbops.dry_run_max_hold or the caller may not call it. '
    'depth plan: runs nothing, and says what the texts, the catalog and sizes tell, of many texts as they follow each other. Beside each statement, its locks and for how long others wait for them (notices), and an estimate: duration, row_count and wal_bytes (bytes written), whose basis notices tell: sizes, and the rate of the ledger''s migrations that wrote 16 MB or more, else 100 MB/s read and 30 MB/s written; rows that fit a WHERE are not estimated. '
    'State finding: what lint_sql() says of the line: flags has the severity, notices what is safer, objects {rule, severity, relation, size_bytes, key}; what mute_finding() has muted is counted in the last row. State checklist: a reviewer''s question with its answer, flags ok or how grave. '
    'Rows of findings and answers have no step. '
    'flags: breaking (takes away what running code may use: drops, renames, narrower types, NOT NULL, revoked rights), slow (longer than max_duration), blocking (would keep others waiting for longer than max_blocked), outside of transactions.';
REVOKE ALL ON FUNCTION dbops.check_migration(text, text, text, boolean, interval, interval, interval) FROM PUBLIC;

CREATE FUNCTION dbops.check_migration(
    up_sql       text[],
    down_sql     text[] DEFAULT NULL,
    depth        text     DEFAULT 'execute',
    force        boolean  DEFAULT false,
    max_duration interval DEFAULT '5 minutes',
    max_blocked  interval DEFAULT '30 seconds',
    lock_timeout interval DEFAULT '50 ms') RETURNS SETOF dbops.migration_receipt
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_check_migration_chain';
COMMENT ON FUNCTION dbops.check_migration(text[], text[], text, boolean, interval, interval, interval) IS
    'The same for migrations that are to be applied one after the other: each is run in this order and stays until the end; its down text is run and proved right behind it, and rolled back. version: the number of the text, from 1.';
REVOKE ALL ON FUNCTION dbops.check_migration(text[], text[], text, boolean, interval, interval, interval) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('check_migration', 'operator');

-- Lint.

CREATE FUNCTION dbops.lint_sql(
    sql            text,
    in_transaction boolean DEFAULT NULL,
    OUT line        integer,
    OUT rule        text,
    OUT severity    text,
    OUT relation    text,
    OUT size_bytes  bigint,
    OUT why         text,
    OUT safer_sql   text,
    OUT key         text,
    OUT muted_until timestamptz) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_lint_sql';
COMMENT ON FUNCTION dbops.lint_sql(text, boolean) IS
    'Says what is dangerous in SQL that is to be run, as the text goes, and what is safer; runs nothing of it. '
    'Each statement is judged by the server''s parser, this database''s catalog and what the text has done by then: tables that it makes, empty ones, and what a valid constraint proves are no danger. '
    'in_transaction: the text is run in one transaction; null is as dbops.apply_migration() runs it, and as it says where it has BEGIN. '
    'line: of the text, from 1. severity: info, warning, critical; unknown where it could not be judged. Work on rows weighs by the table with its partitions: nothing where it is empty, info below 8 MB, warning below 1 GB, else as grave as the rule is; locks are info below 8 MB and warning above. Where the table has one scan, fetched or written row a second, work is one graver, and locks are as grave as the rule is. '
    'relation: the table, and a column, constraint or index of it behind a dot. size_bytes: of the table, null where that does not matter. safer_sql: SQL that can be run, or a sentence. '
    'key: for mute_finding(); muted_until: the finding is muted so long. What was looked at can be said in the text too, on a line before the statement: -- dbops: ignore rule, rule: why; or for all of it: -- dbops: ignore-file rule. The comments of squawk and eugene with their names of rules do as well. '
    'Rules: SELECT * FROM dbops.rule_list() WHERE review = ''lint''; set_check(rule_name, enabled => true) asks for one that is a matter of taste, and false turns one off. A statement that cannot be parsed and psql''s commands are findings, and the rest is judged. What runs inside of DO blocks and functions is not seen. Errors: 22004 where sql is null. It waits 100 ms at most for a lock.';
REVOKE ALL ON FUNCTION dbops.lint_sql(text, boolean) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('lint_sql', 'operator');

-- Changes in no migration.

CREATE FUNCTION dbops.break_glass_uses(
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    OUT at               timestamptz,
    OUT role_name        text,
    OUT session_role     text,
    OUT application_name text,
    OUT client_address   inet,
    OUT command          text,
    OUT statement        text,
    OUT reason           text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_break_glass_uses';
COMMENT ON FUNCTION dbops.break_glass_uses(timestamptz, timestamptz) IS
    'What was changed of the schema in no migration although dbops.require_migration was on, in the order of at: who, logged in as whom, from where, what and why. since, until: null is no limit. '
    'statement: only for members of pg_read_all_stats, and null where it may hold a password. What was undone with its transaction is in the server''s log only.';
REVOKE ALL ON FUNCTION dbops.break_glass_uses(timestamptz, timestamptz) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('break_glass_uses', 'monitor');

CREATE TABLE dbops.ddl_log (
    at               timestamptz NOT NULL,
    role_name        text NOT NULL,
    role_oid         oid NOT NULL,
    cluster          bigint NOT NULL,
    session_role     text NOT NULL,
    application_name text NOT NULL,
    client_address   inet,
    pid              integer NOT NULL,
    transaction_id   bigint NOT NULL,
    command          text NOT NULL,
    dropped          boolean NOT NULL,
    by_dbops         boolean NOT NULL,
    objects          text[] NOT NULL,
    wholes           text[] NOT NULL,
    statement        text
);
CREATE INDEX ddl_log_at ON dbops.ddl_log (at);
COMMENT ON TABLE dbops.ddl_log IS
    'Changes of the schema that were made in no migration, kept for dbops.ddl_log_age. objects: as schema_snapshot() names them; those that were dropped have a row of their own. wholes: those of them that changed with all their parts, as a table that was made, dropped, renamed or attached. by_dbops: dbops did it for a policy or a call. statement: null where it may hold a password, or is not known. role_oid, cluster: as in dbops.migration.';
REVOKE ALL ON TABLE dbops.ddl_log FROM PUBLIC;
CREATE TRIGGER keep_rows BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON dbops.ddl_log
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.keep_rows();
ALTER TABLE dbops.ddl_log ENABLE ALWAYS TRIGGER keep_rows;
SELECT pg_extension_config_dump('dbops.ddl_log', '');

CREATE FUNCTION dbops.log_ddl() RETURNS event_trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_log_ddl';
COMMENT ON FUNCTION dbops.log_ddl() IS
    'Serves the event triggers dbops_log_ddl and dbops_log_drop: what changes the schema in no migration is written down as dbops.record_ddl says; see ddl_history().';
REVOKE ALL ON FUNCTION dbops.log_ddl() FROM PUBLIC;
CREATE EVENT TRIGGER dbops_log_ddl ON ddl_command_end
    EXECUTE FUNCTION dbops.log_ddl();
ALTER EVENT TRIGGER dbops_log_ddl ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER dbops_log_ddl IS 'Writes down what is made and changed in no migration; see the setting dbops.record_ddl.';
CREATE EVENT TRIGGER dbops_log_drop ON sql_drop
    EXECUTE FUNCTION dbops.log_ddl();
ALTER EVENT TRIGGER dbops_log_drop ENABLE ALWAYS;
COMMENT ON EVENT TRIGGER dbops_log_drop IS 'Writes down what is dropped in no migration; see the setting dbops.record_ddl.';

CREATE FUNCTION dbops.ddl_history(
    object_name text DEFAULT NULL,
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    OUT at               timestamptz,
    OUT role_name        text,
    OUT session_role     text,
    OUT application_name text,
    OUT client_address   inet,
    OUT pid              integer,
    OUT transaction_id   bigint,
    OUT command          text,
    OUT dropped          boolean,
    OUT by_dbops         boolean,
    OUT objects          text[],
    OUT statement        text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_ddl_history';
COMMENT ON FUNCTION dbops.ddl_history(text, timestamptz, timestamptz) IS
    'Changes of the schema that were made in no migration, in the order of at: who, logged in as whom, from where, what. object_name: only of this object and what is part of it, named as schema_snapshot() does, such as shop.orders; null is all. since, until: null is no limit. '
    'What a command has dropped is a row of its own. by_dbops: dbops did it for a policy or a call. statement: only for members of pg_read_all_stats; null where it may hold a password, or the library was loaded by that statement only.';
REVOKE ALL ON FUNCTION dbops.ddl_history(text, timestamptz, timestamptz) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('ddl_history', 'monitor');

-- Migrations: snapshots of the schema.

CREATE FUNCTION dbops.schema_snapshot(schemas text[] DEFAULT NULL) RETURNS jsonb
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_schema_snapshot';
COMMENT ON FUNCTION dbops.schema_snapshot IS
    'What the schema of the database is: {kind: {object: {attribute: value}}}, names quoted as in SQL, attributes at their default left out. '
    'schemas: only these, and nothing that is in no schema (3F000 where one does not exist); without it all, but for those of the server, of dbops and what belongs to extensions. '
    'The same schema gives the same document; passwords and the like are never in it. It sees what the transaction has done. At most 256 MB (54000).';
REVOKE ALL ON FUNCTION dbops.schema_snapshot FROM PUBLIC;

CREATE FUNCTION dbops.schema_diff(
    a jsonb,
    b jsonb,
    OUT change    text,
    OUT kind      text,
    OUT object    text,
    OUT attribute text,
    OUT old_value text,
    OUT new_value text) RETURNS SETOF record
    LANGUAGE c IMMUTABLE
    AS 'MODULE_PATHNAME', 'dbops_schema_diff';
COMMENT ON FUNCTION dbops.schema_diff IS
    'What differs between two documents of schema_snapshot(), a before and b after: change is added, removed or changed, and of what has changed a row for each attribute. '
    'Parts of what was added or removed as a whole are not listed again. No rows: the schemas are the same. Snapshots of different schemas are refused (22023).';
REVOKE ALL ON FUNCTION dbops.schema_diff FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('schema_diff', 'monitor'),
    ('schema_snapshot', 'monitor');

-- Migrations: what is not as they have left it.

CREATE TABLE dbops.drift_part (
    number   oid PRIMARY KEY,
    document jsonb NOT NULL,
    object   text,
    at       timestamptz NOT NULL,
    project  text,
    version  text,
    taken    jsonb
);
COMMENT ON TABLE dbops.drift_part IS
    'The schema as migrations have left it, in parts of a document of schema_snapshot(): of a table, type or function with all that belongs to it, by its number in the catalog; number 0 has the kinds of which there are few. object: its name; null is number 0, or what belongs to an extension. at, project, version: the migration that has touched it last; null is before the first one. taken: of number 0, when an object was taken by itself since, by its kind and name.';
REVOKE ALL ON TABLE dbops.drift_part FROM PUBLIC;
CREATE TRIGGER keep_rows BEFORE INSERT OR UPDATE OR DELETE OR TRUNCATE ON dbops.drift_part
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.keep_rows();
ALTER TABLE dbops.drift_part ENABLE ALWAYS TRIGGER keep_rows;
SELECT pg_extension_config_dump('dbops.drift_part', '');

CREATE TABLE dbops.drift_state (
    at             timestamptz NOT NULL,
    cluster        bigint NOT NULL,
    database       oid NOT NULL,
    format         integer NOT NULL,
    missed         text,
    seen           pg_snapshot,
    transaction_id bigint NOT NULL
);
COMMENT ON TABLE dbops.drift_state IS
    'When all of dbops.drift_part was taken, of which database of which cluster, and in which format; seen, transaction_id: what was not visible then, and not of that transaction, was done later, though it may have begun before. With a row for each migration since whose changes could not be taken: missed says why.';
REVOKE ALL ON TABLE dbops.drift_state FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.drift_state', '');

CREATE FUNCTION dbops.schema_drift(
    project text DEFAULT NULL,
    OUT change           text,
    OUT kind             text,
    OUT object           text,
    OUT details          text,
    OUT last_project     text,
    OUT last_version     text,
    OUT changed_at       timestamptz,
    OUT role_name        text,
    OUT session_role     text,
    OUT application_name text,
    OUT client_address   inet,
    OUT command          text,
    OUT statement        text,
    OUT remark           text,
    OUT accept           text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_schema_drift';
COMMENT ON FUNCTION dbops.schema_drift(text) IS
    'What is not as migrations have left it: a row for each object that was added, removed or changed since, with who did it last, when, from where and how, as ddl_history() has it; remark says why that is not known. project: only what a migration of this project has touched last, and what none has; null is all. last_project, last_version: the migration that has touched it last. '
    'Parts of what was added or removed as a whole are not listed. accept: the statement that takes it as it is. statement: only for members of pg_read_all_stats. 55000 where no migration has ended with dbops.record_ddl on.';
REVOKE ALL ON FUNCTION dbops.schema_drift(text) FROM PUBLIC;

CREATE FUNCTION dbops.accept_drift(reason text, object_name text DEFAULT NULL) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_accept_drift';
COMMENT ON FUNCTION dbops.accept_drift(text, text) IS
    'Takes what schema_drift() lists as meant: of an object with all that belongs to its table, or, with null, of all. Returns how many objects that were. Who did it, and reason, are in ddl_history(). 42704: nothing of the object differs.';
REVOKE ALL ON FUNCTION dbops.accept_drift(text, text) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('accept_drift', 'admin'),
    ('schema_drift', 'monitor');

-- Migrations: is there a way back?

CREATE FUNCTION dbops.before_migration(name text DEFAULT NULL, max_backup_age interval DEFAULT '24 hours', max_wait interval DEFAULT '60 s')
    RETURNS SETOF dbops.finding
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_before_migration';
COMMENT ON FUNCTION dbops.before_migration(text, interval, interval) IS
    'Says whether a change of the schema could be undone by recovery, item by item; the last row, protected, is ok or critical and gives the reasons. '
    'restore_point: makes one, called name and the time in UTC (63 bytes; longer names lose their end). archive: ends the WAL file and waits, max_wait at most, until it is archived or pg_receivewal has it. '
    'backup: the newest that is recorded is no older than max_backup_age. backup.proof: when it was restored. The others are checks of health_checks(). '
    'Critical items are what protection lacks; what is unknown or a warning is shown, and does not. Errors: 22004 for a null max_backup_age or max_wait.';
REVOKE ALL ON FUNCTION dbops.before_migration(text, interval, interval) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('before_migration', 'operator');

-- Change without downtime: who is in the way, and what is not finished.

CREATE FUNCTION dbops.blockers(
    table_name regclass,
    lock_mode  text DEFAULT 'ACCESS EXCLUSIVE',
    OUT pid integer, OUT relation text, OUT held_mode text, OUT waits boolean, OUT age interval,
    OUT role_name text, OUT application_name text, OUT backend_type text, OUT state text, OUT remedy text, OUT query text) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_blockers';
COMMENT ON FUNCTION dbops.blockers(regclass, text) IS
    'Says who one would wait for with a lock of that mode on the table, its partitions and children included; no row: nobody. Takes no lock on it. '
    'lock_mode: as LOCK TABLE has it; ACCESS EXCLUSIVE is what most forms of ALTER TABLE take, SHARE UPDATE EXCLUSIVE what VACUUM, VALIDATE CONSTRAINT and concurrent builds take. '
    'Those that hold a conflicting lock come first, the oldest transaction before the others; waits: one that is in the queue for held_mode and would be served before. age: of its transaction. '
    'pid: null for a prepared transaction. remedy: what to type for it to let go, null: a process of the server; an autovacuum gives way by itself, unless it prevents wraparound. '
    'Parallel workers count with their leader, and the caller''s own session not at all. query: only shown to members of pg_read_all_stats. '
    'Errors: 22023 for another lock_mode, 42P01 for a table that is not there.';
REVOKE ALL ON FUNCTION dbops.blockers(regclass, text) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('blockers', 'monitor');

CREATE FUNCTION dbops.unfinished_changes(
    OUT kind text, OUT object text, OUT table_name regclass, OUT detail text, OUT age interval, OUT command text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_unfinished_changes';
COMMENT ON FUNCTION dbops.unfinished_changes() IS
    'Lists what changes of schema and data have left half done, each with the one command that finishes it, to be run outside a transaction block by a member of the owner. '
    'kind: backfill, migration or change (a job that is paused, blocked or failed, unless the same was asked for again since, or a change has left nothing; where dbops is not preloaded, also one that nobody works on); '
    'trigger left (of a backfill that is over); column change (of rename_column, change_type or sync_columns: ready, cut off, or brought by a dump, a copy or an upgrade); constraint not validated (CHECK, FOREIGN KEY and, from 18 on, NOT NULL; of domains too; detail is its definition); '
    'index invalid (see find_invalid_indexes(); what is being built, or a job has begun that has not ended, is not listed); index incomplete (of a partitioned table: partitions lack theirs); '
    'detach pending (a DETACH PARTITION CONCURRENTLY that was cut off). '
    'table_name: null where there is none. age: of jobs since they stopped, of others since their row was written, where track_commit_timestamp is on; null is not known. '
    'command: a call that repeats a failed job is made of what it was given and shown to members of its role and of pg_read_all_stats; '
    'null where a session has locked the table as builds do, for an incomplete index of a constraint, and on a standby for indexes, since its primary may be building them. On a standby commands are for the primary. '
    'Temporary tables are left out. Waits for no lock on a table.';
REVOKE ALL ON FUNCTION dbops.unfinished_changes() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('unfinished_changes', 'monitor');

CREATE PROCEDURE dbops.add_column(
    table_name    regclass,
    column_name   name,
    type          text,
    default_value text     DEFAULT NULL,
    not_null      boolean  DEFAULT false,
    with_index    boolean  DEFAULT false,
    lock_timeout  interval DEFAULT '200 milliseconds',
    max_wait      interval DEFAULT '10 minutes',
    dry_run       boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_add_column';
COMMENT ON PROCEDURE dbops.add_column IS
    'Adds a column to a table, or completes one that is there, without keeping anybody out for longer than a moment. '
    'table_name: an ordinary or a partitioned table, owned by the caller or a role that the caller is a member of. '
    'type: one type as CREATE TABLE has it, without COLLATE; no serial (0A000): give a default_value with nextval(). '
    'default_value: an expression; null: none. Where it is the same for all rows only the catalog is changed, with not_null too; one that is volatile, such as gen_random_uuid(), is set for new rows, and the others are changed in short transactions. '
    'A nullable column that has such a default already is taken to be filled, so that NULL which was written since stays, unless a constraint dbops_fill_<column>, which is always true, says that it is not: it stands while rows are changed. '
    'not_null: until its constraint is there a trigger gives rows that are written with NULL the default too, where it is volatile; without a default only for a table without rows (23502). with_index: also a B-tree index, built concurrently, with the name that the server would choose. '
    'lock_timeout: as long others may have to wait behind a lock of ours, at least 1 ms; it is tried again, and max_wait is how long a step waits for its locks in all, and a call for the same one that is at work elsewhere and does not get on. dry_run: only print the steps and their locks. '
    'The same call again completes what was cut off, and does nothing where nothing is left. '
    'Errors: 42701 for a column of that name with another type or default; 42601 for a type or default that is not exactly one; 42809 for a partition, a typed table and what is no table; '
    '0A000 for a domain with conditions, unless the table is empty, or with a default of its own and no default_value, and where rows are to be changed and batched_backfill() would refuse the table; 42P16 for a pseudo-type; 42501, also where row-level security is forced and rows are to be looked at or changed; 2D000 inside a transaction block; 55P03 when max_wait is over, or another session keeps the table from being read.';
REVOKE ALL ON PROCEDURE dbops.add_column FROM PUBLIC;

CREATE PROCEDURE dbops.set_not_null(
    table_name    regclass,
    column_name   name,
    fill          text     DEFAULT NULL,
    lock_timeout  interval DEFAULT '200 milliseconds',
    max_wait      interval DEFAULT '10 minutes',
    dry_run       boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_set_not_null';
COMMENT ON PROCEDURE dbops.set_not_null IS
    'Sets a column NOT NULL, in the table, its partitions and children: by a CHECK constraint, dbops_not_null_<column>, that is validated beside readers and writers and goes at the end; without it where valid constraints prove the same. '
    'fill: an expression, which may use other columns, for rows that have NULL; they are changed in short transactions, those that are written meanwhile by a trigger, until the constraint is there, unless it has a subselect. Null: a row with NULL is an error (23502), and nothing has been changed. '
    'lock_timeout: as long others may have to wait behind a lock of ours, at least 1 ms; it is tried again, and max_wait is how long a step waits for its locks in all, and a call for the same one that is at work elsewhere and does not get on. dry_run: only print the steps and their locks. '
    'The same call again completes what was cut off, and does nothing where nothing is left. '
    'Errors: 23502 also for a fill that is NULL; 23514 where rows have NULL at the end, and then the constraint is taken away again; 42703 for a column that is not there; 42601 for a fill that is not exactly one expression, 42804 for one of another type; '
    '428C9 for a fill of a generated column; 42710 where another constraint has the name of ours; 55000 where the constraint of the table above is on its way, or the table or column has been swapped for another of its name meanwhile; 42809 for what is no table; 0A000 where batched_backfill() would refuse the table; 42501, also where row-level security is forced; 2D000 inside a transaction block; 55P03 when max_wait is over, or another session keeps the table from being read.';
REVOKE ALL ON PROCEDURE dbops.set_not_null FROM PUBLIC;

CREATE PROCEDURE dbops.add_check_constraint(
    table_name      regclass,
    expression      text,
    constraint_name name     DEFAULT NULL,
    lock_timeout    interval DEFAULT '200 milliseconds',
    max_wait        interval DEFAULT '10 minutes',
    dry_run         boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_add_check_constraint';
COMMENT ON PROCEDURE dbops.add_check_constraint IS
    'Adds a CHECK constraint to a table, its partitions and children: NOT VALID in a moment, and then validated beside readers and writers. '
    'expression: what would stand behind CHECK. A row that does not fit is an error (23514) before anything is changed. '
    'constraint_name: null is the name that the server would choose, or that of a constraint that says the same. '
    'lock_timeout: as long others may have to wait behind a lock of ours, at least 1 ms; it is tried again, and max_wait is how long a step waits for its locks in all, and a call for the same one that is at work elsewhere and does not get on. dry_run: only print the steps and their locks. '
    'The same call again completes what was cut off, one that was added NOT VALID too, and does nothing where nothing is left. '
    'Errors: 42710 where something else has the name; 42601 for what is not exactly one expression, 42804 for one that is no condition, 42703 for columns that are not there; 23514 for rows that do not fit, which at the validation leaves the constraint NOT VALID; '
    '42809 for what is no table; 42501; 2D000 inside a transaction block; 55P03 when max_wait is over, or another session keeps the table from being read.';
REVOKE ALL ON PROCEDURE dbops.add_check_constraint FROM PUBLIC;

CREATE PROCEDURE dbops.add_foreign_key(
    table_name         regclass,
    columns            name[],
    referenced_table   regclass,
    referenced_columns name[]   DEFAULT NULL,
    constraint_name    name     DEFAULT NULL,
    on_delete          text     DEFAULT 'no action',
    on_update          text     DEFAULT 'no action',
    create_index       boolean  DEFAULT true,
    lock_timeout       interval DEFAULT '200 milliseconds',
    max_wait           interval DEFAULT '10 minutes',
    dry_run            boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_add_foreign_key';
COMMENT ON PROCEDURE dbops.add_foreign_key IS
    'Adds a foreign key: first an index on its columns where none for all rows begins with them, built concurrently; then the constraint NOT VALID, which locks both tables for a moment; then it is validated beside readers and writers. '
    'A partitioned table gets it for each of its tables that hold rows, and then as a whole. '
    'referenced_columns: null is the primary key. constraint_name: null is the name that the server would choose, or that of a constraint that is the same. on_delete, on_update: no action, restrict, cascade, set null or set default. create_index: false leaves the index out. '
    'A row that refers to nothing is an error (23503) before the constraint is added. '
    'lock_timeout: as long others may have to wait behind a lock of ours, at least 1 ms; it is tried again, and max_wait is how long a step waits for its locks in all, and a call for the same one that is at work elsewhere and does not get on. dry_run: only print the steps and their locks. '
    'The same call again completes what was cut off, one that was added NOT VALID too, and does nothing where nothing is left. '
    'Errors: 42830 where the referenced table has no such key, or columns and key differ in number; 42804 for types that nothing tells equal; 42710 where something else has the name; 42703 for columns that are not there; 428C9 for actions that would set a generated column; '
    '42P16 for tables that are not kept alike; 23503 at the validation, which leaves the constraint NOT VALID; 22023 for another action; 42809 for what is no table, or foreign partitions; 42501, also where the owner may not refer to the table; 2D000 inside a transaction block; 55P03 when max_wait is over.';
REVOKE ALL ON PROCEDURE dbops.add_foreign_key FROM PUBLIC;

CREATE PROCEDURE dbops.add_unique(
    table_name      regclass,
    columns         name[],
    constraint_name name     DEFAULT NULL,
    primary_key     boolean  DEFAULT false,
    lock_timeout    interval DEFAULT '200 milliseconds',
    max_wait        interval DEFAULT '10 minutes',
    dry_run         boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_add_unique';
COMMENT ON PROCEDURE dbops.add_unique IS
    'Adds a unique or primary key: its index is built concurrently, and becomes the constraint''s in a moment. A partitioned table gets it for each of its tables that hold rows, and then as a whole. '
    'Duplicates are an error (23505) before the index is built. primary_key: its columns are made NOT NULL first, as set_not_null does. '
    'constraint_name: also that of the index; null is the name that the server would choose, or that of a constraint that is the same. '
    'lock_timeout: as long others may have to wait behind a lock of ours, at least 1 ms; it is tried again, and max_wait is how long a step waits for its locks in all, and a call for the same one that is at work elsewhere and does not get on. dry_run: only print the steps and their locks. '
    'The same call again completes what was cut off, with an invalid index of that name built anew, and does nothing where nothing is left. '
    'Errors: 42710 where something else has the name; 42703 for columns that are not there; 42704 for a type without an order; 42P16 where there is another primary key; 23502 for NULL in a primary key; '
    '0A000 where columns of a partition key are missing; 42809 for what is no table, or foreign partitions; 42501, also where the owner of a partitioned table may not create in its schema; 2D000 inside a transaction block; 55P03 when max_wait is over, or another session keeps the table from being read.';
REVOKE ALL ON PROCEDURE dbops.add_unique FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('add_column', 'operator'),
    ('set_not_null', 'operator'),
    ('add_check_constraint', 'operator'),
    ('add_foreign_key', 'operator'),
    ('add_unique', 'operator');

-- Change without downtime: columns, by expand and contract.

CREATE TABLE dbops.column_change (
    id          bigint PRIMARY KEY GENERATED BY DEFAULT AS IDENTITY,
    home        text NOT NULL,
    relid       oid NOT NULL,
    table_name  text NOT NULL,
    call        text NOT NULL CHECK (call IN ('rename_column', 'change_type', 'sync_columns')),
    column_name text NOT NULL,
    attnum      smallint NOT NULL,
    new_name    text,
    new_type    text,
    old_columns text[] NOT NULL,
    new_columns text[] NOT NULL,
    set_clause  text,
    reverse_set text,
    document    jsonb NOT NULL,
    attnums     smallint[],
    trigger_mark text,
    state       text NOT NULL DEFAULT 'expanding' CHECK (state IN ('expanding', 'ready', 'finished', 'aborted')),
    created_at  timestamptz NOT NULL,
    created_by  text NOT NULL
);
CREATE INDEX column_change_table ON dbops.column_change (relid) WHERE state IN ('expanding', 'ready');
COMMENT ON TABLE dbops.column_change IS
    'Changes of columns that rename_column, change_type and sync_columns have begun. state: expanding until old and new columns are equal in all rows; then ready, until finish_change or abort_change. '
    'home: cluster and database that relid is of; a row that a dump has brought elsewhere is taken over when the call is made again. '
    'column_name: the old column; of sync_columns the first new one. attnum: of that, when the change was begun here. new_name: of the new column; of change_type the one that it has until the end. document: what the trigger does. attnums: the new columns, as they were when it was ready. trigger_mark: which triggers were in force when finish_change looked at all rows; it drops nothing when these are others.';
REVOKE ALL ON TABLE dbops.column_change FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.column_change', '');
SELECT pg_extension_config_dump('dbops.column_change_id_seq', '');

-- Owners of partitioned tables in a change may execute it, so that they can create partitions: it does what the change says, and only for the tables of that.
CREATE FUNCTION dbops.change_sync() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_change_sync';
COMMENT ON FUNCTION dbops.change_sync() IS
    'The trigger zz_dbops_<column> that keeps the old and the new columns of a change equal, until it is finished or aborted. It fires last, so that it sees what other triggers have made of a row, and always, so that it also holds for what a subscription applies. '
    'Its expressions run with the rights of the table''s owner. Where they fail on a row, that is written as it is, with a warning.';
REVOKE ALL ON FUNCTION dbops.change_sync() FROM PUBLIC;

CREATE FUNCTION dbops.grant_trigger_execute(table_name regclass) RETURNS void
    LANGUAGE c STRICT VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_grant_trigger_execute';
COMMENT ON FUNCTION dbops.grant_trigger_execute(regclass) IS
    'A step of a change: grants EXECUTE on the function of its trigger to the owner of a partitioned table, whom the server asks for it when a partition is created. For dbops itself.';
REVOKE ALL ON FUNCTION dbops.grant_trigger_execute(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.revoke_trigger_execute() RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_revoke_trigger_execute';
COMMENT ON FUNCTION dbops.revoke_trigger_execute() IS
    'A step of a change: takes EXECUTE on the functions of its triggers back from the owners whose partitioned tables have none any more. For dbops itself.';
REVOKE ALL ON FUNCTION dbops.revoke_trigger_execute() FROM PUBLIC;

CREATE PROCEDURE dbops.rename_column(
    table_name   regclass,
    column_name  name,
    new_name     name,
    lock_timeout interval DEFAULT '200 milliseconds',
    max_wait     interval DEFAULT '10 minutes',
    dry_run      boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_rename_column';
COMMENT ON PROCEDURE dbops.rename_column(regclass, name, name, interval, interval, boolean) IS
    'Gives a column a second name for as long as two versions of the application are in use: a new column of the same type, with copies of its indexes, constraints, statistics targets and privileges, and a trigger that keeps both equal, whichever is written. '
    'Of a partitioned table those of each partition are copied, one after the other, and put together. CALL finish_change() when nobody uses the old name any more, or abort_change(). Not carried by the new column until then: the default, which an INSERT still gets by the old one, also one that gives NULL to the new one: that does not tell who writes; and what is unique: the old column sees to that, and finish_change() builds the copies. So ON CONFLICT has to name the old column until then, or better the constraint (ON CONFLICT ON CONSTRAINT), whose name stays the same. '
    'The new column is the last one of the table, and stays that: a notice says so where the old one is not. What names no columns (SELECT *, INSERT without a list, COPY) finds one more from the first step on, and another order when the change is finished. '
    'Triggers of the table see a row before it is made equal: those whose functions name the old column, and not the new one, are told by a warning, since they neither check nor change what is written to that. '
    'What is dropped from the old column meanwhile is dropped from the new one by the same call, made again, or by finish_change(). '
    'lock_timeout: how long others may have to wait behind one of its locks. max_wait: for the locks of others, of each step. dry_run: prints the steps. The same call again goes on where the last one was cut off. '
    'Refused (0A000): columns of the primary key or of a partition key, generated, identity and inherited ones, those of a type that every value must be checked for, tables with children, and those with a BEFORE trigger FOR EACH ROW whose name sorts behind that of the change''s own; '
    '(2BP01) columns that views, rules, policies, functions, publications, statistics objects, triggers, generated columns or foreign keys of other tables depend on; '
    '55006: a column that is in a change already, or shares an index or a constraint with one that is; 42701: a name that is taken, 42602: an empty one; 42703: no such column; 23514: rows that do not fit a constraint which was never validated, and so cannot be written; 55000: the old column was renamed or replaced by hand.';
REVOKE ALL ON PROCEDURE dbops.rename_column(regclass, name, name, interval, interval, boolean) FROM PUBLIC;

CREATE PROCEDURE dbops.change_type(
    table_name       regclass,
    column_name      name,
    new_type         text,
    using_expression text     DEFAULT NULL,
    lock_timeout     interval DEFAULT '200 milliseconds',
    max_wait         interval DEFAULT '10 minutes',
    dry_run          boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_change_type';
COMMENT ON PROCEDURE dbops.change_type(regclass, name, text, text, interval, interval, boolean) IS
    'Prepares another type for a column: a new column of that type with what rename_column gives it, and a trigger that fills it as the old one is written. finish_change() then gives it the name of the old one and drops that, in a moment; abort_change() takes it away. As with rename_column it is the last one of the table. '
    'new_type: as in CREATE TABLE, with COLLATE if another is wanted. using_expression: as in ALTER TABLE ... TYPE ... USING; null: the assignment cast (42804 without one). It must not be volatile or have a subselect. '
    'Where the server needs to read no row for it, of the table and its partitions, the type is changed at once by one short ALTER TABLE. A column that has the type already stays as it is, whatever using_expression says. '
    'A value that cannot be converted ends the call, which goes on when it is made again; when it is written later, it is stored with a warning and finish_change() finds it. '
    'The other arguments, and what is refused: as in rename_column. 42P16: a constraint or index that the new type does not fit; 42804: a default that cannot be assigned to it; 23505: values that are unique, and the same in the new type; '
    '0A000: a using_expression that reads a generated column, arrays whose elements may be too long for the type.';
REVOKE ALL ON PROCEDURE dbops.change_type(regclass, name, text, text, interval, interval, boolean) FROM PUBLIC;

CREATE PROCEDURE dbops.sync_columns(
    table_name   regclass,
    set_clause   text,
    reverse_set  text     DEFAULT NULL,
    lock_timeout interval DEFAULT '200 milliseconds',
    max_wait     interval DEFAULT '10 minutes',
    dry_run      boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_sync_columns';
COMMENT ON PROCEDURE dbops.sync_columns(regclass, text, text, interval, interval, boolean) IS
    'Keeps columns filled from others of the same row by a trigger, and fills them in all rows that are there: to split a name into two, say. '
    'set_clause: what would stand behind SET; the columns that it assigns are the new ones. reverse_set: the way back, for what an application writes to the new columns; null: they are only filled. '
    'Where both are written, an UPDATE takes the old ones, an INSERT the new ones; one that has NULL in all new ones takes the old ones, with their defaults. What reverse_set would lose is kept in rows whose new columns stay as they are. '
    'Ended by finish_change(), which can drop the old columns, or abort_change(). Expressions run with the rights of the table''s owner; what is volatile, has a subselect, reads a generated column or what it assigns is refused (0A000), new columns with a default too where there is a way back. '
    'The other arguments as in rename_column.';
REVOKE ALL ON PROCEDURE dbops.sync_columns(regclass, text, text, interval, interval, boolean) FROM PUBLIC;

CREATE PROCEDURE dbops.finish_change(
    change_id        bigint,
    drop_old_columns boolean  DEFAULT false,
    lock_timeout     interval DEFAULT '200 milliseconds',
    max_wait         interval DEFAULT '10 minutes',
    dry_run          boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_finish_change';
COMMENT ON PROCEDURE dbops.finish_change(bigint, boolean, interval, interval, boolean) IS
    'Ends a change of rename_column, change_type or sync_columns that is ready (55000): in one short transaction the trigger and the old column go, and the new one gets its default, NOT NULL, sequences, privileges, and the names, comments and statistics targets of its indexes and constraints; an index that is the replica identity, or that CLUSTER follows, stays so. '
    'Looks for rows that could not be converted (22000, or the error of the conversion); from that look on such a value is an error for who writes it, until the call has refused or the change ends. Also looks for a trigger that fires behind that of the change (0A000), and for a default that cannot be assigned to the new type (42804). drop_old_columns: of sync_columns; it drops the columns that set_clause reads, unless rows have other values in the new ones than the change makes of them (22000). '
    'Copies of unique indexes and constraints are built last, while others read and write. From then until the end, which the locks of others may put off for max_wait, or to the next call, both the old and the new ones are in force: a write may fail with 23505 that the old column would take, with the name of a constraint that ends in _dbops_new '
    '(what a deferrable constraint would allow until the end of a transaction, ON CONFLICT with a value that another session inserts at the same time, and, of change_type, values that are the same in the new type). Where values are the same already, the call fails (23505) and leaves no such index. '
    'The other arguments as in rename_column.';
REVOKE ALL ON PROCEDURE dbops.finish_change(bigint, boolean, interval, interval, boolean) FROM PUBLIC;

CREATE PROCEDURE dbops.abort_change(
    change_id    bigint,
    lock_timeout interval DEFAULT '200 milliseconds',
    max_wait     interval DEFAULT '10 minutes',
    dry_run      boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_abort_change';
COMMENT ON PROCEDURE dbops.abort_change(bigint, interval, interval, boolean) IS
    'Takes a change of rename_column, change_type or sync_columns back, at any time before it is finished: cancels its job, drops the trigger and the column that the call has added, in one transaction. One that is finished stays so (55000). What was written to the new column stays in the old one, where there was a way back. '
    'The other arguments as in rename_column.';
REVOKE ALL ON PROCEDURE dbops.abort_change(bigint, interval, interval, boolean) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('abort_change', 'operator'),
    ('change_type', 'operator'),
    ('finish_change', 'operator'),
    ('grant_trigger_execute', 'admin'),
    ('revoke_trigger_execute', 'admin'),
    ('rename_column', 'operator'),
    ('sync_columns', 'operator');

-- Indexes that are built and dropped while others write.

CREATE PROCEDURE dbops.create_index(
    definition      text,
    allow_duplicate boolean  DEFAULT false,
    lock_timeout    interval DEFAULT '200 milliseconds',
    max_wait        interval DEFAULT '10 minutes',
    dry_run         boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_create_index';
COMMENT ON PROCEDURE dbops.create_index IS
    'Builds an index while others read and write: definition is one CREATE INDEX statement, read with the search_path of the call; CONCURRENTLY and IF NOT EXISTS make no difference. '
    'Of a partitioned table the index of each partition is built so, or one that is there is taken, and attached. An index of that name that is valid and the same is left as it is; an invalid one that a build has left which was cut off is dropped and built again. '
    'Without a name it gets the one that the server would choose, or is the index that does the same already. allow_duplicate: also if another valid index does the same. '
    'lock_timeout: how long others may have to wait behind a lock of ours. max_wait: how long a step tries to get its locks. dry_run: print the steps with their locks. The same call again goes on where an earlier one ended. '
    'Errors: 42601 for what is not one CREATE INDEX, 42P07 for a name that something else has, 42710 for a duplicate, 55006 for an index that another session is building, 0A000 for ONLY a partitioned table and for a unique index without its partition key, '
    '42809 for what is no table or materialized view, 42501 for a system catalog or a table of others, and where the owner of a partitioned table may not create in its schema.';
REVOKE ALL ON PROCEDURE dbops.create_index FROM PUBLIC;

CREATE FUNCTION dbops.start_create_index(
    definition      text,
    allow_duplicate boolean  DEFAULT false,
    lock_timeout    interval DEFAULT '200 milliseconds',
    max_wait        interval DEFAULT '10 minutes',
    dry_run         boolean  DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_start_create_index';
COMMENT ON FUNCTION dbops.start_create_index IS
    'Does what create_index() does in the background and returns the id of its job, or of the one that does it already; null where nothing is left to be done. job_status() says how far it is, and for whom it waits. '
    'Arguments and errors are those of create_index(); also 0A000 for a temporary table.';
REVOKE ALL ON FUNCTION dbops.start_create_index FROM PUBLIC;

CREATE PROCEDURE dbops.drop_index(
    index_name   text,
    lock_timeout interval DEFAULT '200 milliseconds',
    max_wait     interval DEFAULT '10 minutes',
    dry_run      boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_drop_index';
COMMENT ON PROCEDURE dbops.drop_index IS
    'Drops an index while others read and write; one of a partitioned table in a moment in which all its partitions are locked, which is got without making others wait. index_name: as in SQL, with its schema or by the search_path of the call; one that is not there is only told. '
    'lock_timeout: how long others may have to wait behind a lock of ours. max_wait: how long a step tries to get its locks. dry_run: print the steps with their locks. '
    'Errors: 2BP01 for an index that a constraint, a foreign key or a partitioned index needs, 55000 for a replica identity, 55006 for one that another session is building, 42809 for what is no index, 42501 for a system catalog or a table of others.';
REVOKE ALL ON PROCEDURE dbops.drop_index FROM PUBLIC;

CREATE FUNCTION dbops.start_drop_index(
    index_name   text,
    lock_timeout interval DEFAULT '200 milliseconds',
    max_wait     interval DEFAULT '10 minutes',
    dry_run      boolean  DEFAULT false) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_start_drop_index';
COMMENT ON FUNCTION dbops.start_drop_index IS
    'Does what drop_index() does in the background and returns the id of its job, or of the one that does it already; null where nothing is left to be done. job_status() says for whom it waits. '
    'Arguments and errors are those of drop_index(); also 0A000 for an index of a temporary table.';
REVOKE ALL ON FUNCTION dbops.start_drop_index FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('create_index', 'operator'),
    ('drop_index', 'operator'),
    ('start_create_index', 'operator'),
    ('start_drop_index', 'operator');

CREATE PROCEDURE dbops.drop_column(
    table_name   regclass,
    column_name  name,
    lock_timeout interval DEFAULT '200 milliseconds',
    max_wait     interval DEFAULT '10 minutes',
    dry_run      boolean  DEFAULT false)
    LANGUAGE c
    AS 'MODULE_PATHNAME', 'dbops_drop_column';
COMMENT ON PROCEDURE dbops.drop_column(regclass, name, interval, interval, boolean) IS
    'Drops a column in a short transaction, after a look at everything that names it; never with CASCADE. '
    'Told as notices, also by a dry run: the indexes, constraints, statistics and sequences that go with it, and what may name it: functions whose text has the names of table and column, policies of dbops, '
    'and, where pg_stat_statements is installed, statements that were run and that the caller may read. '
    'lock_timeout: how long others may have to wait behind the lock. max_wait: how long to try for it; then 55P03 says who has it. dry_run: prints the step with its locks, and does nothing. '
    'Refused while views (those on them are listed too), generated columns, policies, triggers, publications, functions with a body in SQL, foreign keys of other tables or defaults depend on it, '
    'and where it is part of the primary key or the replica identity (2BP01, with what to do first); for inherited columns and those of a partition key (42P16), system columns (0A000), '
    'typed tables and what is not a table (42809), and while a backfill or another change works on it, or it is half of a change of rename_column and the like (55006). '
    'A column that is not there was dropped already, or never was: that is told, and no error, so that the same call can be repeated.';
REVOKE ALL ON PROCEDURE dbops.drop_column(regclass, name, interval, interval, boolean) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('drop_column', 'operator');
