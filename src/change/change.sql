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
    'It does nothing when its job has ended.';
REVOKE ALL ON FUNCTION dbops.backfill_guard FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('backfill_errors', 'operator'),
    ('backfill_plan', 'operator'),
    ('batched_backfill', 'operator'),
    ('start_backfill', 'operator');

-- Nobody may execute it: a trigger with another argument would be another's code with the owner's rights.
CREATE FUNCTION dbops.backfill_sync() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_backfill_sync';
COMMENT ON FUNCTION dbops.backfill_sync() IS
    'The trigger that a backfill with sync puts on its table, dbops_sync_<job id>: it makes rows right as they are written, with the rights of the table''s owner, until the backfill has ended.';
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
    PRIMARY KEY (project, version, direction, step),
    FOREIGN KEY (project, version) REFERENCES dbops.migration ON DELETE CASCADE
);
COMMENT ON TABLE dbops.migration_step IS
    'The statements of a migration as they were last run, with what each has done. In steps, those that are done stay done when a job ends.';
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
    'Serves the trigger that refuses to change or delete what is in dbops.migration_event (55000).';
REVOKE ALL ON FUNCTION dbops.keep_events() FROM PUBLIC;
CREATE TRIGGER keep_events BEFORE UPDATE OR DELETE OR TRUNCATE ON dbops.migration_event
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.keep_events();
ALTER TABLE dbops.migration_event ENABLE ALWAYS TRIGGER keep_events;
SELECT pg_extension_config_dump('dbops.migration_event', '');
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
    'CREATE INDEX CONCURRENTLY runs in its plain form, its locks are those of the form as written; what cannot be rolled back is not run. depth plan: runs nothing, and says what the texts tell. '
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
