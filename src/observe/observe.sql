
-- Observe: looks at the server and changes nothing.

CREATE FUNCTION dbops.system_health_check(verbose boolean DEFAULT false) RETURNS jsonb
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_system_health_check';
COMMENT ON FUNCTION dbops.system_health_check(boolean) IS
    'Says how the server is. timestamp: ISO 8601. status: critical or warning when a check is, or healthy; verdict names the reasons. A check that must be known and is not, and '
    'samples that come no more, are warnings; what is advice, muted or turned off does not count. database_size_mb: in 1024² bytes. active_connections: client sessions in state active, '
    'of all databases. slow_queries: statements of the server with a mean over dbops.slow_query_time in pg_stat_statements. cache_hit_ratio: percent, of this database since its '
    'statistics'' reset. Nested: connections (max: what ordinary roles may open; pool_utilization: percent of it), performance (ms, percent), health (s, bytes, ids), storage (bytes), server, freshness (s), summary '
    '(findings by severity) and checks, those that are not ok unless verbose. What is not known is null and has a check that says why. Waits for no '
    'lock on a table and works on a standby. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.system_health_check(boolean) FROM PUBLIC;

CREATE TABLE dbops.primary_beat (
    one      boolean PRIMARY KEY DEFAULT true CHECK (one),
    every_ms integer NOT NULL,
    noted_at timestamptz NOT NULL
);
COMMENT ON TABLE dbops.primary_beat IS
    'In the home database, how often the server beats (dbops.heartbeat; 0: it does not), for its standbys, which tell by that whether nothing comes or nothing happens. Noted once a minute, and when it changes or dbops is switched off. Not dumped: it is this server''s.';
REVOKE ALL ON TABLE dbops.primary_beat FROM PUBLIC;

CREATE FUNCTION dbops.health_checks() RETURNS SETOF dbops.finding
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_health_checks';
COMMENT ON FUNCTION dbops.health_checks() IS
    'Lists every check of the server''s health, the gravest first, then by name. data: the value that was judged and its thresholds, if it has any. '
    'A check that could not be judged is unknown and says why. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.health_checks() FROM PUBLIC;

CREATE FUNCTION dbops.health_public() RETURNS jsonb
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_health_public';
COMMENT ON FUNCTION dbops.health_public() IS
    'The status and the timestamp of system_health_check(), and nothing else: for load balancers and roles that nobody has logged in as. The same whoever asks. '
    'GRANT EXECUTE on it, and USAGE on schema dbops, to such a role. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.health_public() FROM PUBLIC;

CREATE FUNCTION dbops.node_status(max_lag interval DEFAULT '30 seconds', max_lag_bytes bigint DEFAULT NULL) RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_node_status';
COMMENT ON FUNCTION dbops.node_status(interval, bigint) IS
    'For routers: role (primary, standby), timeline, read_ok, write_ok, lag_s and lag_bytes of what is yet to be replayed, the bounds that were given, started, maintenance '
    '(null, or reason, begun_by, since, until), and on a standby receiving, replay_paused and primary_beats (null: not known yet). read_ok: a primary, or a standby that is known to be behind by no more than max_lag and '
    'max_lag_bytes (null: any number). lag_s is null when it is not known; where the beat of the primary does not come any more, or no sign of life where that has none, it is the time since. Maintenance mode changes neither. Errors: a bound that is negative, or over a day (22023); no max_lag (22004).';
REVOKE ALL ON FUNCTION dbops.node_status(interval, bigint) FROM PUBLIC;

-- Settings of checks. What is shipped is compiled in; here is only what somebody changed.

CREATE TABLE dbops.check_setting (
    check_name  text PRIMARY KEY,
    enabled     boolean NOT NULL DEFAULT true,
    warning     double precision CHECK (warning >= 0 AND warning <> 'NaN'),
    critical    double precision CHECK (critical >= 0 AND critical <> 'NaN'),
    guard       double precision CHECK (guard >= 0 AND guard <> 'NaN'),
    duration    integer CHECK (duration BETWEEN 0 AND 604800),
    keep_firing integer CHECK (keep_firing BETWEEN 0 AND 604800),
    clear       double precision CHECK (clear BETWEEN 0 AND 100),
    set_by      text,
    set_at      timestamptz
);
COMMENT ON TABLE dbops.check_setting IS
    'What was changed of checks, as set_check() does; null is what dbops ships. warning, critical and guard in their units, infinity for never, of a guard for none; duration and keep_firing '
    'in seconds; clear in percent of the threshold. Rows of checks of the whole cluster count in the home database.';
REVOKE ALL ON TABLE dbops.check_setting FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.check_setting', '');

CREATE TABLE dbops.muted_finding (
    key      text PRIMARY KEY,
    until    timestamptz NOT NULL CHECK (until <> 'infinity'),
    reason   text NOT NULL CHECK (reason <> ''),
    muted_by text NOT NULL,
    muted_at timestamptz NOT NULL
);
COMMENT ON TABLE dbops.muted_finding IS 'Findings that do not count until a time, as mute_finding() says. key: of a finding, or the name of a check for all of its findings.';
REVOKE ALL ON TABLE dbops.muted_finding FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.muted_finding', '');

CREATE FUNCTION dbops.publish_overrides() RETURNS trigger
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_publish_overrides';
COMMENT ON FUNCTION dbops.publish_overrides() IS
    'Serves the triggers of dbops.check_setting and dbops.muted_finding: what they hold is known to all processes when it is committed.';
REVOKE ALL ON FUNCTION dbops.publish_overrides() FROM PUBLIC;
CREATE TRIGGER publish_overrides AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dbops.check_setting
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.publish_overrides();
ALTER TABLE dbops.check_setting ENABLE ALWAYS TRIGGER publish_overrides;
CREATE TRIGGER publish_overrides AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON dbops.muted_finding
    FOR EACH STATEMENT EXECUTE FUNCTION dbops.publish_overrides();
ALTER TABLE dbops.muted_finding ENABLE ALWAYS TRIGGER publish_overrides;

CREATE FUNCTION dbops.set_check(
    check_name  text,
    warning     double precision DEFAULT NULL,
    critical    double precision DEFAULT NULL,
    guard       double precision DEFAULT NULL,
    duration    interval DEFAULT NULL,
    keep_firing interval DEFAULT NULL,
    clear       double precision DEFAULT NULL,
    enabled     boolean DEFAULT NULL
) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_set_check';
COMMENT ON FUNCTION dbops.set_check(text, double precision, double precision, double precision, interval, interval, double precision, boolean) IS
    'Changes from where on a check is bad. warning, critical: in the check''s unit, infinity for never. guard: the second, absolute figure that must be beyond this too, infinity for none; '
    'check_list() says whether it holds back all that the check finds or only what is critical. '
    'duration: for how long before an alert fires. keep_firing: for how long an alert stays afterwards. clear: percent of the threshold that the value must be back by before an alert ends. '
    'enabled: false turns the check off; a rule of a review (rule_list()) can be turned on or off, and nothing else; a name of squawk''s or eugene''s means all rules that it stands for. null leaves what stands; reset_check() goes back to what is shipped. Counts from its commit on; of checks of the whole cluster, in the home database. '
    'Errors: no such check (42704); NaN, a negative figure, more than 100 percent, a warning beyond critical, a threshold or guard that the check does not have, nothing to set (22023); not the home database (55000).';
REVOKE ALL ON FUNCTION dbops.set_check(text, double precision, double precision, double precision, interval, interval, double precision, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.reset_check(check_name text) RETURNS boolean
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_reset_check';
COMMENT ON FUNCTION dbops.reset_check(text) IS 'Goes back to what dbops ships for a check or rule; false: nothing had been changed. Errors: no such check (42704).';
REVOKE ALL ON FUNCTION dbops.reset_check(text) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('set_check', 'admin'),
    ('reset_check', 'admin');

-- Findings that are known and not to count.

CREATE FUNCTION dbops.mute_finding(key text, reason text, until timestamptz) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_mute_finding';
COMMENT ON FUNCTION dbops.mute_finding(text, text, timestamptz) IS
    'Has a finding change no status and raise no alert until a time; it is still shown. key: as health_checks() or a review gives it, or the name of a check or rule for all that it finds, also later; review() leaves it out. For the name of a rule one of squawk''s or eugene''s may stand. '
    'A finding that evaluate_alerts() was given can be muted likewise, once it has been found in this database. reason: at most 255 bytes. until: at most 366 days ahead. A second call replaces the first. Counts from its commit on, in this database; of checks of the whole cluster, for alerts, in the home database. '
    'Errors: no such check or rule (42704); no reason, no end, an end that has passed or is too far ahead, an empty key (22023); no key (22004); a reason that is too long (22001); 256 others are muted in this database (53400).';
REVOKE ALL ON FUNCTION dbops.mute_finding(text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION dbops.unmute_finding(key text) RETURNS boolean
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_unmute_finding';
COMMENT ON FUNCTION dbops.unmute_finding(text) IS 'Ends what mute_finding() began, and says whether the finding was muted. Errors: no key (22004, 22023).';
REVOKE ALL ON FUNCTION dbops.unmute_finding(text) FROM PUBLIC;

CREATE FUNCTION dbops.muted_findings(OUT key text, OUT reason text, OUT until timestamptz, OUT muted_by text, OUT muted_at timestamptz) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_muted_findings';
COMMENT ON FUNCTION dbops.muted_findings() IS 'Lists what is muted in this database, by key.';
REVOKE ALL ON FUNCTION dbops.muted_findings() FROM PUBLIC;

-- Work on the server.

CREATE FUNCTION dbops.begin_maintenance_mode(reason text, until timestamptz) RETURNS void
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_begin_maintenance_mode';
COMMENT ON FUNCTION dbops.begin_maintenance_mode(text, timestamptz) IS
    'Says that work is being done on this server: health and node_status() show it, and no alert is raised. From COMMIT until the time given, across restarts; '
    'a second call replaces the first. Works on a standby, of which it is the own. reason: at most 255 bytes. '
    'Errors: no reason, no end, an end that has passed or is more than 31 days ahead (22023); a reason that is too long (22001); PREPARE TRANSACTION afterwards (0A000); '
    'an operator in another database than the one that holds what is the server''s (42501); not preloaded (55000).';
REVOKE ALL ON FUNCTION dbops.begin_maintenance_mode(text, timestamptz) FROM PUBLIC;

CREATE FUNCTION dbops.end_maintenance_mode() RETURNS boolean
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_end_maintenance_mode';
COMMENT ON FUNCTION dbops.end_maintenance_mode() IS 'Ends what begin_maintenance_mode() began, at COMMIT, and says whether it was still on. Errors: as of begin_maintenance_mode() an operator elsewhere (42501); not preloaded (55000).';
REVOKE ALL ON FUNCTION dbops.end_maintenance_mode() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('mute_finding', 'operator'),
    ('unmute_finding', 'operator'),
    ('muted_findings', 'monitor'),
    ('begin_maintenance_mode', 'operator'),
    ('end_maintenance_mode', 'operator');

INSERT INTO dbops.function_access VALUES
    ('system_health_check', 'monitor'),
    ('health_checks', 'monitor'),
    ('health_public', 'monitor'),
    ('node_status', 'monitor');

-- Checks: what there is to judge.

CREATE FUNCTION dbops.check_list() RETURNS TABLE (check_name text, about text, reach text, advice boolean, unit text, bad_if text,
                                                  warning float8, critical float8, guard float8, guard_unit text, guards text, source text)
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'dbops_check_list';
COMMENT ON FUNCTION dbops.check_list() IS
    'Lists every check with the thresholds that dbops ships. about: what the value is. reach: what must be read to judge it: catalog (of this database), '
    'database or cluster (memory). advice: what it finds changes no status. bad_if: the value is bad above or below its thresholds. guard: a second, absolute '
    'figure, in guard_unit, that must be beyond this too; guards: all, or critical: without it a finding is a warning only. source: the tools or guides that the thresholds come from. What is null it has not. Errors: none.';
REVOKE ALL ON FUNCTION dbops.check_list() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('check_list', 'monitor');

-- Observe: forecasts.

CREATE FUNCTION dbops.forecast_series(times timestamptz[], series float8[], horizons int[] DEFAULT '{30,90,180,365}',
    OUT horizon int, OUT forecast float8, OUT low float8, OUT high float8, OUT extrapolated boolean, OUT per_day float8,
    OUT model text, OUT confidence text, OUT days int) RETURNS SETOF record
    LANGUAGE c IMMUTABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'dbops_forecast_series';
COMMENT ON FUNCTION dbops.forecast_series(timestamptz[], float8[], int[]) IS
    'Says where figures are going, a row for each horizon (days after the last figure, 1 to 3650). times and series are pairs, in any order; a null or NaN is '
    'left out, and the median of a day (UTC) counts. Steps that happened once are taken out, a changed rate counts since it changed, what recurs is kept. '
    'low and high: what came lay between them in 80 to 92 of 100 random series of 14 to 180 days, 30 and 90 days ahead; less often where what recurs was not seen to recur yet. extrapolated: further ahead than four times the past. per_day: growth. model: '
    'unknown (fewer than seven days; nothing else is told), flat, steady, recent (the rate has changed), cycle (recurring steps). confidence: low below '
    '14 days, medium below 30, else high. Errors: arrays of different lengths, an infinite time or value, one beyond 1e100, a horizon out of range.';
REVOKE ALL ON FUNCTION dbops.forecast_series(timestamptz[], float8[], int[]) FROM PUBLIC;

CREATE TABLE dbops.sequence_1d (
    sequence   oid NOT NULL,
    at         timestamptz NOT NULL,
    last_value bigint NOT NULL,
    PRIMARY KEY (sequence, at)
) PARTITION BY RANGE (at);
COMMENT ON TABLE dbops.sequence_1d IS
    'Where sequences were each day, those of which a thousandth is used, for 400 days, in partitions of months. History: a dump leaves it out.';
REVOKE ALL ON TABLE dbops.sequence_1d FROM PUBLIC;

CREATE FUNCTION dbops.growth_forecast(horizons int[] DEFAULT '{30,90,180,365}', lookback interval DEFAULT '90 days') RETURNS jsonb
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_growth_forecast';
COMMENT ON FUNCTION dbops.growth_forecast(int[], interval) IS
    'Says how large this database will be and what that fills. horizons: days ahead, 1 to 3650; lookback: of history, 7 to 3650 days. '
    'current: size, utilization of the disk of its tablespace. forecast: for each horizon, as 30days, the size as text. ranges: the same in bytes with a range, and whether it is '
    'extrapolated (further ahead than four times the past). growth: of the database; disks, tables (the ten that grew most), transaction_ids, multixact_ids and sequences (those used most; '
    'bound: where the sequence or the type of its column ends): each with its past in days, its rate a day, the model (flat, steady, recent: the rate has changed, cycle: recurring steps), '
    'steps that were taken out, and unknown, which says what is missing below seven days; then all that is forecast is null. days_until_full and the like: '
    'low (at the earliest), likely, high; null: never, or not in looks_ahead_days. Of ranges see forecast_series(). Disks and ids are known in '
    'the home database. recommendations: sentences. Errors: a horizon or lookback out of range.';
REVOKE ALL ON FUNCTION dbops.growth_forecast(int[], interval) FROM PUBLIC;

-- Observe: what a migration did to those who work.

CREATE FUNCTION dbops.after_migration(version text, project text DEFAULT 'default',
    OUT figure text, OUT unit text, OUT before double precision, OUT after double precision, OUT change_percent double precision,
    OUT severity text, OUT message text, OUT remedy text, OUT minutes_before int, OUT minutes_after int) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_after_migration';
COMMENT ON FUNCTION dbops.after_migration(text, text) IS
    'Compares the hour after a migration was applied, or what there is of it yet, with the hour before: mean time of statements, slow statements, the largest replication lag, '
    'deadlocks, rollbacks and waiting sessions, of this database but for the lag. severity: warning if it became worse (statement time by a quarter and 1 ms, slow statements by half and 5 a minute, '
    'lag by half and 10 s, any deadlock more, rollbacks by half and 1 in 100 commits, waiting sessions by half and 1; ratios also by more than minutes differ among themselves), unknown if '
    'there is no history of an hour. minutes_before, minutes_after: that were compared. History knows minutes of 7 days and five of them of 30. '
    'Errors: the ledger does not have it (42704), it is not applied (55000).';
REVOKE ALL ON FUNCTION dbops.after_migration(text, text) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('after_migration', 'monitor'),
    ('forecast_series', 'monitor'),
    ('growth_forecast', 'monitor');

-- The collector: what the launcher samples.

CREATE FUNCTION dbops.metrics(OUT name text, OUT database text, OUT kind text, OUT unit text,
                              OUT value double precision, OUT per_second double precision, OUT about text)
    RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_metrics';
COMMENT ON FUNCTION dbops.metrics() IS
    'Lists every figure that is sampled, as of the newest sample: of the whole cluster (database is null) and of this database. kind: gauge or counter. '
    'unit: bytes, s, ms, percent, ids, or empty for a number of things. value: null where it is not known. per_second: what a counter gained over the '
    'last minute, null where it was reset or is not known for so long. Where nobody samples, because dbops is not preloaded, a sample is taken at once. '
    'Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.metrics() FROM PUBLIC;

CREATE FUNCTION dbops.sample_server() RETURNS void
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_sample_server';
COMMENT ON FUNCTION dbops.sample_server() IS
    'Takes a sample of the cluster and of the databases in use now, as the launcher does every ten seconds. One that comes sooner than nine seconds after '
    'the sample before gives way to the next, so that the memory always spans an hour. Where dbops is not preloaded, and in a '
    'session that has set dbops.test_now in a server without dbops.test_clock, it goes into the session''s own memory. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.sample_server() FROM PUBLIC;

CREATE FUNCTION dbops.collector_status(OUT preloaded boolean, OUT stale boolean, OUT last_sample timestamptz, OUT tick_ms double precision,
                                       OUT samples bigint, OUT overruns bigint, OUT failures bigint)
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_collector_status';
COMMENT ON FUNCTION dbops.collector_status() IS
    'Says whether samples come and what they cost. stale: the launcher has taken none for 30 s; then figures of now are not shown. last_sample: whoever took it, null if there never was one. tick_ms: what the launcher '
    'spends at a tick, every ten seconds, on sampling and on all else that is due then, mean of the last hour; beats of its heart in between are not counted. '
    'samples: taken by anybody since the server was started. overruns: ticks of the launcher since then that took longer than 1 ms. failures: things that '
    'failed, which the log tells. Errors: none.';
REVOKE ALL ON FUNCTION dbops.collector_status() FROM PUBLIC;

CREATE FUNCTION dbops.host_figures(directory text DEFAULT NULL, OUT cpus double precision, OUT load double precision,
                                   OUT memory_total double precision, OUT memory_available double precision,
                                   OUT pressure_cpu double precision, OUT pressure_io double precision, OUT pressure_memory double precision,
                                   OUT memory_kills double precision, OUT swapped_in double precision)
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_host_figures';
COMMENT ON FUNCTION dbops.host_figures(text) IS
    'Says what the machine, or the container that the server is in, gives it. cpus: that it may use, a quota counted. load: average of a minute, of the '
    'machine. memory_total, memory_available (bytes): of the tightest limit, files in the page cache counted as available. pressure_*: percent of the last '
    'minute in which something waited for it. memory_kills: processes that the kernel has killed for want of memory, of the server''s control group or else of the '
    'machine. swapped_in (bytes): what the machine has read back from its swap space. What the kernel does not tell is null. directory: where a copy of /proc and /sys lies, to be read instead. '
    'Errors: 42501 when a directory is given by one who may not read files of the server.';
REVOKE ALL ON FUNCTION dbops.host_figures(text) FROM PUBLIC;

CREATE FUNCTION dbops.openmetrics(strict boolean DEFAULT false) RETURNS text
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_openmetrics';
COMMENT ON FUNCTION dbops.openmetrics(boolean) IS
    'Gives what is sampled, and the state of every check, in the text format of Prometheus (text/plain; version=0.0.4), or strict in that of OpenMetrics (application/openmetrics-text; version=1.0.0). dbops_*: of the cluster; dbops_database_*: of each of the 64 '
    'databases that were used last; seconds, bytes and ratios. dbops_check_status: 0 ok, 1 warning, 2 critical, 3 unknown, at most 200 of them and '
    'muted ones not; what needs the catalogs as it was judged last. What is not known is left out. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.openmetrics(boolean) FROM PUBLIC;

CREATE FUNCTION dbops.nagios(check_name text DEFAULT NULL) RETURNS text
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_nagios';
COMMENT ON FUNCTION dbops.nagios(text) IS
    'Gives one check, or with null all that make the state of the server (no advice, and what is unknown only where it must be known), as plugins of Nagios print it: OK, WARNING, CRITICAL or UNKNOWN, what was found, and behind a bar '
    'value;warning;critical of up to 50 objects; further findings follow, a line each. Only what is asked for is judged, and what needs the catalogs is told as it was judged last, ten minutes ago at most; with dbops.health_max_age = 0 it is judged now. Muted findings are left out. Errors: 42704 for a check that '
    'there is not.';
REVOKE ALL ON FUNCTION dbops.nagios(text) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('collector_status', 'monitor'),
    ('host_figures', 'monitor'),
    ('metrics', 'monitor'),
    ('nagios', 'monitor'),
    ('openmetrics', 'monitor'),
    ('sample_server', 'admin');

-- Reports: what one would otherwise ask the server's views for.

CREATE FUNCTION dbops.connections(
    OUT pid integer, OUT database_name text, OUT role_name text, OUT application_name text, OUT client_addr text, OUT encrypted boolean,
    OUT state text, OUT state_age interval, OUT transaction_age interval, OUT connected_at timestamptz,
    OUT wait_type text, OUT wait text, OUT blocked_by integer[], OUT workers integer, OUT query_id bigint, OUT query text) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_connections';
COMMENT ON FUNCTION dbops.connections() IS
    'Lists the sessions of clients in all databases, the longest transactions first. state: as in pg_stat_activity. state_age, transaction_age: since when. '
    'client_addr: null is a local socket. blocked_by: the processes whose locks it waits for, 0 is a prepared transaction. workers: parallel processes that work for it. '
    'query: the latest statement, only shown to members of pg_read_all_stats. Count them by state: SELECT state, count(*) FROM dbops.connections() GROUP BY 1. '
    'Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.connections() FROM PUBLIC;

CREATE FUNCTION dbops.blocking_sessions(
    OUT tree text, OUT depth integer, OUT pid integer, OUT root_blocker text, OUT root_idle_since timestamptz, OUT remedy text,
    OUT blocks integer, OUT blocked_by integer[], OUT circle boolean, OUT path text,
    OUT waited interval, OUT lock_type text, OUT lock_mode text, OUT relation text, OUT object text,
    OUT database_name text, OUT role_name text, OUT application_name text, OUT backend_type text,
    OUT state text, OUT state_since timestamptz, OUT transaction_since timestamptz, OUT workers integer, OUT query text) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_blocking_sessions';
COMMENT ON FUNCTION dbops.blocking_sessions() IS
    'Shows who waits for a lock and for whom, as a tree: a row for each session or prepared transaction that waits or keeps another waiting, those with most waiting for them first; no row: nobody waits. '
    'tree: the process, or the name of the prepared transaction, indented. root_blocker: whom all of its branch wait for; root_idle_since: since when that one idles in its transaction. '
    'remedy: what to type for them to go on: it cancels the root blocker''s statement, ends its session if there is no statement to cancel, or rolls the prepared transaction back (in its database); null: a process of the server. '
    'blocks: how many wait for it, through others too. blocked_by: those that hold a conflicting lock, or else are ahead in the queue; 0 is a prepared transaction. '
    'circle: it waits for itself through others, which the server ends after deadlock_timeout. waited: since when it waits. '
    'relation: whose lock or row is waited for; of another database its oid. Parallel workers count with their leader. query: only shown to members of pg_read_all_stats. '
    'Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.blocking_sessions() FROM PUBLIC;

CREATE FUNCTION dbops.replication_status(
    OUT kind text, OUT name text, OUT pid integer, OUT client_addr text, OUT state text, OUT sync_state text,
    OUT sent_lsn pg_lsn, OUT write_lsn pg_lsn, OUT flush_lsn pg_lsn, OUT replay_lsn pg_lsn, OUT lag interval, OUT lag_bytes bigint,
    OUT slot_name text, OUT slot_type text, OUT slot_state text, OUT database_name text,
    OUT retained_bytes bigint, OUT safe_bytes bigint, OUT heard_at timestamptz) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_replication_status';
COMMENT ON FUNCTION dbops.replication_status() IS
    'Lists who receives WAL from this server, the replication slots, and on a standby first where it receives from. '
    'kind: upstream, standby, subscriber (of a logical slot), receiver (applies nothing, as pg_receivewal), backup, or slot (that nobody receives from). '
    'state: as in pg_stat_replication; of an upstream disconnected when nothing is received; of a slot inactive. '
    'lag: how old the WAL is that is still to be applied there, 0 when there is none; at least so much where the server has not measured it; of an upstream also since its primary''s beat came no more; null: not known, or of a receiver. lag_bytes: how much that is. '
    'slot_state: reserved, extended, unreserved or lost. retained_bytes: of WAL kept for the slot. safe_bytes: that can be written before the slot may be lost; null: no limit. '
    'heard_at: when the other side last answered. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.replication_status() FROM PUBLIC;

CREATE FUNCTION dbops.disk_usage(
    OUT kind text, OUT name text, OUT bytes bigint, OUT total_bytes bigint, OUT used_bytes bigint, OUT free_bytes bigint,
    OUT free_percent numeric, OUT same_disk_as text, OUT measured_at timestamptz, OUT growth_bytes_per_day bigint) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_disk_usage';
COMMENT ON FUNCTION dbops.disk_usage() IS
    'Lists the disks of WAL and of the tablespaces, then what databases take. kind: WAL, tablespace or database. bytes: that WAL or the database takes; of a database as of measured_at. '
    'total_bytes, used_bytes, free_bytes: of the file system; free is what the server can still use. free_percent: of what is used or free. '
    'same_disk_as: the first of those that share a disk. Databases are there when something has measured them: this one always is, and all of them where dbops is preloaded, as of at most ten minutes ago; on a standby those that somebody has asked about. growth_bytes_per_day: of what is used of a disk (told in the home database), or of a database with dbops, over the last week; null: less than a day is known. No path is shown. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.disk_usage() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('connections', 'monitor'),
    ('blocking_sessions', 'monitor'),
    ('replication_status', 'monitor'),
    ('disk_usage', 'monitor');


-- Alerts: what is wrong, who is told, and what was.

CREATE TABLE dbops.alert (
    alert_key      text NOT NULL,
    whole_cluster  boolean NOT NULL,
    check_name     text NOT NULL,
    object         text,
    message        text NOT NULL,
    remedy         text,
    unit           text,
    state          text NOT NULL CHECK (state IN ('ok', 'pending', 'firing', 'resolving', 'resolved')),
    severity       text NOT NULL,
    told           text NOT NULL,
    value          double precision,
    objects        integer NOT NULL,
    looked_at      timestamptz,
    since          timestamptz,
    critical_since timestamptz,
    better_since   timestamptz,
    unknown_since  timestamptz,
    fired_at       timestamptz,
    resolved_at    timestamptz,
    told_at        timestamptz,
    suppressed     text,
    PRIMARY KEY (alert_key, whole_cluster)
);
COMMENT ON TABLE dbops.alert IS
    'The alerts of this database, and in the home database those of the cluster, as of their last event, so that a restart tells nothing again. '
    'told: the severity that listeners were told last, ok when they were told that it is over. Not dumped: they are this server''s.';
REVOKE ALL ON TABLE dbops.alert FROM PUBLIC;

CREATE TABLE dbops.alert_history (
    id          bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY,
    happened_at timestamptz NOT NULL,
    event       text NOT NULL,
    alert_key   text NOT NULL,
    check_name  text NOT NULL,
    object      text,
    severity    text NOT NULL,
    before      text NOT NULL,
    value       double precision,
    unit        text,
    message     text NOT NULL,
    suppressed  text,
    since       timestamptz,
    payload     jsonb
);
COMMENT ON TABLE dbops.alert_history IS
    'What happened to alerts, for 400 days and at most 10,000 events. payload: what listeners were told; null when nobody was. Not dumped: it is this server''s.';
REVOKE ALL ON TABLE dbops.alert_history FROM PUBLIC;

CREATE TABLE dbops.alert_silence (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pattern     text NOT NULL,
    reason      text NOT NULL,
    until       timestamptz NOT NULL,
    silenced_by text NOT NULL,
    silenced_at timestamptz NOT NULL
);
COMMENT ON TABLE dbops.alert_silence IS 'Alerts that nobody wants to hear of for a time. pattern: of their keys, as of LIKE.';
REVOKE ALL ON TABLE dbops.alert_silence FROM PUBLIC;
SELECT pg_extension_config_dump('dbops.alert_silence_id_seq', '');
SELECT pg_extension_config_dump('dbops.alert_silence', '');

CREATE TABLE dbops.alert_function (
    one            boolean PRIMARY KEY DEFAULT true CHECK (one),
    function_name  text NOT NULL,
    function_owner regrole NOT NULL,
    owner          regrole NOT NULL,
    path           text NOT NULL,
    timeout        bigint NOT NULL,
    set_at         timestamptz NOT NULL
);
COMMENT ON TABLE dbops.alert_function IS
    'The function that is told of alerts, as a job of owner with search_path path. function_name is qualified and quoted; function_owner: whose it was when it was set; timeout in milliseconds.';
REVOKE ALL ON TABLE dbops.alert_function FROM PUBLIC;
-- A role that is gone would be dumped as a number, and be somebody else's elsewhere.
SELECT pg_extension_config_dump('dbops.alert_function', 'WHERE owner::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles) AND function_owner::pg_catalog.oid IN (SELECT oid FROM pg_catalog.pg_roles)');

CREATE FUNCTION dbops.alerts(
    active boolean DEFAULT true,
    OUT alert_key text, OUT state text, OUT severity text, OUT message text, OUT remedy text, OUT suppressed text,
    OUT since timestamptz, OUT fired_at timestamptz, OUT told_at timestamptz, OUT resolved_at timestamptz,
    OUT value double precision, OUT unit text, OUT objects integer, OUT check_name text, OUT object text,
    OUT whole_cluster boolean, OUT looked_at timestamptz) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_alerts';
COMMENT ON FUNCTION dbops.alerts(boolean) IS
    'Lists the alerts of this database and of the whole cluster, the gravest first. active: only those that fire (state firing, or resolving while they stay for a while); '
    'false: also pending (not for long enough yet) and resolved ones. severity: what it fires with; unknown when its check has not been able to tell for three intervals. '
    'suppressed: why nobody is told: silenced, muted, maintenance, just started. told_at: when listeners were last told. objects: how many it is about; more than 20 of one check are one alert, with object *. '
    'Where dbops is not preloaded, as of the last evaluate_alerts(). Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.alerts(boolean) FROM PUBLIC;

CREATE FUNCTION dbops.alert_history(
    since timestamptz DEFAULT NULL, until timestamptz DEFAULT NULL,
    OUT id bigint, OUT happened_at timestamptz, OUT event text, OUT alert_key text, OUT severity text, OUT before text,
    OUT message text, OUT value double precision, OUT unit text, OUT condition_since timestamptz, OUT suppressed text,
    OUT told boolean, OUT check_name text, OUT object text, OUT payload jsonb) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_alert_history';
COMMENT ON FUNCTION dbops.alert_history(timestamptz, timestamptz) IS
    'Lists what happened to the alerts of this database, in the home database also to the cluster''s, the latest first. event: firing, worse, better, unknown, repeated, resolved. '
    'since, until: when; until not included. told: whether listeners were told, with payload; else suppressed says why not. Kept for 400 days, at most 10,000 events. '
    'Listeners get the payload by NOTIFY dbops_alert, as far as dbops.alert_notify says (full, brief, off). The server lets any role that can connect listen to it, and send one: who acts on a notification should look its id up here, '
    'or with id 0 in the database that it names. A since that is not before until is refused (22023).';
REVOKE ALL ON FUNCTION dbops.alert_history(timestamptz, timestamptz) FROM PUBLIC;

CREATE FUNCTION dbops.silence_alerts(pattern text, reason text, until timestamptz) RETURNS bigint
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_silence_alerts';
COMMENT ON FUNCTION dbops.silence_alerts(text, text, timestamptz) IS
    'Has nobody told of alerts whose key matches a pattern, as of LIKE: ''disk.free:%'', ''replication.%'', ''%''. Returns the silence''s id, for unsilence_alerts. They go on being judged and shown; '
    'what still fires when the silence ends is told then, and that an alert ended is told to whoever was told of it. Those of the home database are also about the alerts of the cluster. '
    'Without a reason or an end, or with an end that has passed or is more than 366 days ahead, it is refused (22023), and so is a 33rd one of a database (53400).';
REVOKE ALL ON FUNCTION dbops.silence_alerts(text, text, timestamptz) FROM PUBLIC;

CREATE FUNCTION dbops.unsilence_alerts(silence_id bigint) RETURNS boolean
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_unsilence_alerts';
COMMENT ON FUNCTION dbops.unsilence_alerts(bigint) IS 'Ends a silence. Returns whether it was there and not over.';
REVOKE ALL ON FUNCTION dbops.unsilence_alerts(bigint) FROM PUBLIC;

CREATE FUNCTION dbops.alert_silences(
    OUT silence_id bigint, OUT pattern text, OUT reason text, OUT until timestamptz, OUT silenced_by text,
    OUT silenced_at timestamptz) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_alert_silences';
COMMENT ON FUNCTION dbops.alert_silences() IS 'Lists the silences that are not over, the one that ends first at the top.';
REVOKE ALL ON FUNCTION dbops.alert_silences() FROM PUBLIC;

CREATE FUNCTION dbops.set_alert_function(function_name regprocedure, timeout interval DEFAULT '30 seconds') RETURNS void
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_set_alert_function';
COMMENT ON FUNCTION dbops.set_alert_function(regprocedure, interval) IS
    'Has a function of one jsonb argument called for each event of an alert, with what NOTIFY dbops_alert carries in full, whatever dbops.alert_notify says. It is called in a job of the role that calls this, in a session of that role; so that nobody gains rights by it, the function''s owner must have all rights of that role: be it, a member of it, or a superuser. '
    'timeout: after which a call is given up; it is tried again as any job is, and shown by jobs(). While 50 calls wait, no more are added, and the log says so. There is one function for each database; the home database''s is also told of the alerts of others. '
    'When it has been dropped or renamed, or is another role''s, it is not called, and the log and alert_function() say so. '
    'Refused: a function of other arguments or that returns a set (42P13), one that the caller may not execute, or whose owner has not the rights of the caller (42501), a role that cannot log in (28000, on 15 and 16).';
REVOKE ALL ON FUNCTION dbops.set_alert_function(regprocedure, interval) FROM PUBLIC;

CREATE FUNCTION dbops.remove_alert_function() RETURNS boolean
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_remove_alert_function';
COMMENT ON FUNCTION dbops.remove_alert_function() IS 'Has no function told of alerts any more. Returns whether there was one.';
REVOKE ALL ON FUNCTION dbops.remove_alert_function() FROM PUBLIC;

CREATE FUNCTION dbops.alert_function(
    OUT function_name text, OUT owner regrole, OUT timeout interval, OUT set_at timestamptz, OUT problem text) RETURNS SETOF record
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_alert_function';
COMMENT ON FUNCTION dbops.alert_function() IS 'Shows the function that is told of alerts, and whose jobs call it; no row when there is none. problem: why it is not called; null when it is.';
REVOKE ALL ON FUNCTION dbops.alert_function() FROM PUBLIC;

CREATE FUNCTION dbops.call_alert_function(alert jsonb) RETURNS void
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_call_alert_function';
COMMENT ON FUNCTION dbops.call_alert_function(jsonb) IS
    'Calls the alert function, as the jobs do that are made for it; whoever has set it can so try it out. '
    'A call that has waited for more than an hour is not made, nor one that has for more than a minute where the alert has ended meanwhile: the log says so. That an alert has ended is told however late. '
    'Refused: for others, or when none is set (55000), and when the function is gone or another role''s than it was (42883). Errors: also those of the function.';
REVOKE ALL ON FUNCTION dbops.call_alert_function(jsonb) FROM PUBLIC;

CREATE FUNCTION dbops.evaluate_alerts(findings dbops.finding[] DEFAULT NULL) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_evaluate_alerts';
COMMENT ON FUNCTION dbops.evaluate_alerts(dbops.finding[]) IS
    'Judges all checks now and advances their alerts; returns the number of events. Preloaded, this happens by itself; where dbops is not preloaded, a schedule can call it. '
    'Preloaded, what is found counts at once, and the background writes it down and tells it within ten seconds, whatever becomes of the transaction: also one that stays open, is prepared or rolled back. '
    'Where there is no background, it is told when the transaction commits; while another such transaction is open the call waits, after 10 s in vain (55P03). Where dbops is not preloaded, what is rolled back was never found. '
    'findings: advance the alerts of these instead, so that what is found elsewhere raises alerts too. Their data may say value, unit, below, warning, critical, clear (percent), duration and keep_firing (s), required, settling, and partial: only a part was seen of the time that is judged, which can raise an alert but end none. '
    'A finding without a check_name or of an unknown severity is refused (22023).';
REVOKE ALL ON FUNCTION dbops.evaluate_alerts(dbops.finding[]) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('alerts', 'monitor'),
    ('alert_history', 'monitor'),
    ('silence_alerts', 'operator'),
    ('unsilence_alerts', 'operator'),
    ('alert_silences', 'monitor'),
    ('set_alert_function', 'admin'),
    ('remove_alert_function', 'admin'),
    ('alert_function', 'monitor'),
    ('call_alert_function', 'admin'),
    ('evaluate_alerts', 'admin');


-- History: what is kept of the samples. Not in dumps: it is of this server.

CREATE TABLE dbops.metric_1m (
    at       timestamptz NOT NULL,
    cluster  boolean NOT NULL,
    n        integer NOT NULL,
    cadence  integer NOT NULL,
    coverage real NOT NULL,
    span     real NOT NULL,
    reset    boolean NOT NULL,
    mins     real[] NOT NULL,
    avgs     real[] NOT NULL,
    maxs     real[] NOT NULL,
    lasts    real[] NOT NULL,
    deltas   real[] NOT NULL,
    PRIMARY KEY (at, cluster)
) PARTITION BY RANGE (at);
ALTER TABLE dbops.metric_1m
    ALTER mins SET STORAGE MAIN, ALTER avgs SET STORAGE MAIN, ALTER maxs SET STORAGE MAIN,
    ALTER lasts SET STORAGE MAIN, ALTER deltas SET STORAGE MAIN;
COMMENT ON TABLE dbops.metric_1m IS
    'Minutes of 7 days, in partitions of days. at: when one begins; cluster: figures of the whole cluster, written in the home database, else of this database; n: samples; cadence: ms that '
    'were meant to be between them; coverage: the part of the time that they stand for, 0 to 1; span: s over which deltas run; reset: a counter began anew. The arrays have a metric at its '
    'position, the first at 1, and null where it is not known: mins, avgs, maxs and lasts of gauges, deltas of counters. Of a gauge that stood still only lasts says how.';
REVOKE ALL ON TABLE dbops.metric_1m FROM PUBLIC;

CREATE TABLE dbops.metric_5m (LIKE dbops.metric_1m INCLUDING INDEXES INCLUDING STORAGE) PARTITION BY RANGE (at);
COMMENT ON TABLE dbops.metric_5m IS '5 minutes of 30 days, in partitions of days; otherwise as dbops.metric_1m.';
REVOKE ALL ON TABLE dbops.metric_5m FROM PUBLIC;

CREATE TABLE dbops.metric_1h (LIKE dbops.metric_1m INCLUDING INDEXES INCLUDING STORAGE) PARTITION BY RANGE (at);
COMMENT ON TABLE dbops.metric_1h IS 'Hours of 400 days, in partitions of months; otherwise as dbops.metric_1m.';
REVOKE ALL ON TABLE dbops.metric_1h FROM PUBLIC;

CREATE TABLE dbops.metric_1d (LIKE dbops.metric_1m INCLUDING INDEXES INCLUDING STORAGE) PARTITION BY RANGE (at);
ALTER TABLE dbops.metric_1d ALTER lasts TYPE double precision[], ALTER deltas TYPE double precision[];
COMMENT ON TABLE dbops.metric_1d IS 'Days (UTC), kept for ever, in partitions of years; otherwise as dbops.metric_1m.';
REVOKE ALL ON TABLE dbops.metric_1d FROM PUBLIC;

CREATE TABLE dbops.history_progress (
    tier         text NOT NULL,
    cluster      boolean NOT NULL,
    rolled_until timestamptz NOT NULL,
    PRIMARY KEY (tier, cluster)
);
COMMENT ON TABLE dbops.history_progress IS 'How far each tier of history has been rolled up, and as tier ''begun'' since when there is any. Who writes history locks this table.';
REVOKE ALL ON TABLE dbops.history_progress FROM PUBLIC;
INSERT INTO dbops.history_progress VALUES ('begun', false, now());

CREATE FUNCTION dbops.metric_history(
    metric     text,
    since      timestamptz DEFAULT NULL,
    until      timestamptz DEFAULT NULL,
    step       interval DEFAULT NULL,
    of_cluster boolean DEFAULT NULL,
    OUT at timestamptz, OUT n integer, OUT coverage double precision, OUT reset boolean, OUT tier text,
    OUT minimum double precision, OUT average double precision, OUT maximum double precision, OUT last double precision,
    OUT delta double precision, OUT per_second double precision
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_metric_history';
COMMENT ON FUNCTION dbops.metric_history(text, timestamptz, timestamptz, interval, boolean) IS
    'Says how a metric has been, a row for each step in which there were samples. metric: as in metrics(). since: an hour before until; until: now; step: chosen to give up to 800 rows '
    '(a month has 30 days). of_cluster: null means this database''s metric if it has one of that name, else the cluster''s. at: when the step begins, in UTC. n: samples. coverage: the part of it that '
    'samples stand for, 0 to 1. reset: a counter began anew within it, and there was at least as much as it says. tier: the coarsest that the row is from (ring, 1m, 5m, 1h, 1d); where finer ones are gone, '
    'rows are farther apart than the step. On a standby, ring is its own hour, and what has been replicated is another server''s: 1m of the primary. minimum, average, maximum, last: of a gauge, in its unit. delta, per_second: of a counter. Null where it is not known. The cluster''s history is in the '
    'home database; elsewhere only the last hour is shown. Errors: no such metric (42704); since not before until, an infinite time, a step under a second, more than 100,000 rows (22023).';
REVOKE ALL ON FUNCTION dbops.metric_history(text, timestamptz, timestamptz, interval, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.roll_up_metrics(of_cluster boolean DEFAULT NULL) RETURNS integer
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_roll_up_metrics';
COMMENT ON FUNCTION dbops.roll_up_metrics(boolean) IS
    'Writes what is over into history now, as a scheduler does every minute in the home database and every ten minutes elsewhere. of_cluster: the cluster''s figures too; null means in the home database. '
    'Returns how many rows were written; 0 also when somebody else is at it. Errors: on a standby (25006).';
REVOKE ALL ON FUNCTION dbops.roll_up_metrics(boolean) FROM PUBLIC;

CREATE FUNCTION dbops.prune_history() RETURNS integer
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_prune_history';
COMMENT ON FUNCTION dbops.prune_history() IS
    'Drops partitions of history that are too old, and the oldest while all of it takes more than dbops.history_max_size, as a scheduler does every ten minutes in the home database and every hour '
    'elsewhere. One that somebody reads stays until the next time. Returns how many went. Errors: on a standby (25006).';
REVOKE ALL ON FUNCTION dbops.prune_history() FROM PUBLIC;

CREATE FUNCTION dbops.put_sample(figures jsonb, epoch timestamptz DEFAULT '2000-01-01 00:00+00', cadence interval DEFAULT '10 s', of_cluster boolean DEFAULT false) RETURNS void
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_put_sample';
COMMENT ON FUNCTION dbops.put_sample(jsonb, timestamptz, interval, boolean) IS
    'Puts a sample of figures that one knows into the memory of the session, for tests. figures: numbers by metric. epoch: changes with a restart. Errors: the session has no memory of its own, '
    'since it has not set dbops.test_now (55000); no such metric, no number, no cadence (22023).';
REVOKE ALL ON FUNCTION dbops.put_sample(jsonb, timestamptz, interval, boolean) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('metric_history', 'monitor'),
    ('roll_up_metrics', 'admin'),
    ('prune_history', 'admin'),
    ('put_sample', 'admin');

-- Sizes of the past. The tables of history are not dumped: they are about this server.

CREATE TABLE dbops.relation_1d (
    relid oid         NOT NULL,
    at    timestamptz NOT NULL,
    bytes bigint      NOT NULL,
    PRIMARY KEY (relid, at)
) PARTITION BY RANGE (at);
COMMENT ON TABLE dbops.relation_1d IS
    'What tables of 1 MB and more held on a day (UTC), with indexes and TOAST, in partitions of months, for 400 days; only written when it has changed by more than 1 % or 8 MB, and once a month. relid 0: the whole database, each day that was measured.';
REVOKE ALL ON TABLE dbops.relation_1d FROM PUBLIC;

CREATE TABLE dbops.disk_1h (
    at          timestamptz NOT NULL,
    disk        text        NOT NULL,
    total_bytes bigint      NOT NULL,
    used_bytes  bigint      NOT NULL,
    free_bytes  bigint      NOT NULL,
    PRIMARY KEY (at, disk)
) PARTITION BY RANGE (at);
COMMENT ON TABLE dbops.disk_1h IS
    'How full each device was, every hour of 400 days, in partitions of months; in the home database. disk: as in disk_usage(), the first of those that share it. free_bytes: that the server can use.';
REVOKE ALL ON TABLE dbops.disk_1h FROM PUBLIC;

CREATE FUNCTION dbops.measure_sizes() RETURNS void
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_measure_sizes';
COMMENT ON FUNCTION dbops.measure_sizes() IS
    'Measures this database, all databases and the disks now, as the background does every ten minutes and every hour, and writes the history of tables and disks; in slices of 20 ms with rests between them. '
    'A standby writes nothing. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.measure_sizes() FROM PUBLIC;

CREATE FUNCTION dbops.largest_relations(
    row_limit integer DEFAULT 20,
    OUT relation text, OUT bytes bigint, OUT table_bytes bigint, OUT index_bytes bigint, OUT toast_bytes bigint, OUT row_estimate bigint,
    OUT growth_bytes bigint, OUT growth_bytes_per_day bigint, OUT since timestamptz) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_largest_relations';
COMMENT ON FUNCTION dbops.largest_relations(integer) IS
    'Lists the largest tables of this database, as their files are now; no table is locked. row_limit: at least 1 (22023), null is all but those whose files hold nothing. bytes: with indexes and TOAST. '
    'row_estimate: of the last VACUUM or ANALYZE; null: never. growth_bytes: since the time since, which is at most 30 days ago, growth_bytes_per_day its mean; '
    'null: the table has been known for less than a day, or is smaller than 1 MB. Errors: pg_class is locked (55P03).';
REVOKE ALL ON FUNCTION dbops.largest_relations(integer) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('measure_sizes', 'admin'),
    ('largest_relations', 'monitor');

-- Statements. Their history is not dumped: role, database and query ids are this server's.

CREATE TABLE dbops.statement_1h (
    at          timestamptz NOT NULL,
    database_id oid         NOT NULL,
    role_id     oid         NOT NULL,
    query_id    bigint      NOT NULL,
    toplevel    boolean     NOT NULL,
    calls       float8      NOT NULL,
    ms          float8      NOT NULL,
    row_count   float8      NOT NULL,
    blocks_hit  float8      NOT NULL,
    blocks_read float8      NOT NULL,
    temp_blocks float8      NOT NULL,
    wal_bytes   float8      NOT NULL,
    PRIMARY KEY (at, database_id, role_id, query_id, toplevel)
) PARTITION BY RANGE (at);
COMMENT ON TABLE dbops.statement_1h IS
    'What statements did in an hour, out of pg_stat_statements, for 30 days, in partitions of days; in the home database. The 500 that took most time have rows of their own, the others share the one with query_id 0.';
REVOKE ALL ON TABLE dbops.statement_1h FROM PUBLIC;

CREATE TABLE dbops.statement_text (
    query_id    bigint NOT NULL,
    database_id oid    NOT NULL,
    query       text   NOT NULL,
    PRIMARY KEY (query_id, database_id)
);
COMMENT ON TABLE dbops.statement_text IS
    'The texts of the queries in statement_1h as pg_stat_statements has them, up to 4000 characters, with ''...'' for each string that it has left in. Of other statements, which may hold passwords, only the kind, for example ALTER ROLE. A text has no day of its own: it is deleted once no row of statement_1h refers to it.';
REVOKE ALL ON TABLE dbops.statement_text FROM PUBLIC;
-- Who may read all data may not see what others run: without a policy only the owner reads it, for the functions.
ALTER TABLE dbops.statement_text ENABLE ROW LEVEL SECURITY;
CREATE INDEX ON dbops.statement_1h (query_id, database_id);

CREATE FUNCTION dbops.sample_statements() RETURNS void
    LANGUAGE c STRICT VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_sample_statements';
COMMENT ON FUNCTION dbops.sample_statements() IS
    'Looks at pg_stat_statements now, as the background does once a minute in the home database, and writes what has happened to the history when ten minutes or the hour are over. '
    'A session that has set dbops.test_now in a server without dbops.test_clock compares with its own last look. Does nothing where pg_stat_statements is not there. Errors: only that of a cancelled query.';
REVOKE ALL ON FUNCTION dbops.sample_statements() FROM PUBLIC;

CREATE FUNCTION dbops.slow_queries(
    row_limit integer     DEFAULT 20,
    order_by  text        DEFAULT 'mean',
    since     timestamptz DEFAULT NULL,
    OUT query_id bigint, OUT database_name text, OUT role_name text, OUT calls bigint, OUT mean_ms numeric, OUT total_ms numeric, OUT share_percent numeric,
    OUT row_count bigint, OUT rows_per_call numeric, OUT cache_hit_percent numeric, OUT read_bytes bigint, OUT temp_bytes bigint, OUT wal_bytes bigint,
    OUT toplevel boolean, OUT counted_since timestamptz, OUT query text) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_slow_queries';
COMMENT ON FUNCTION dbops.slow_queries(integer, text, timestamptz) IS
    'Lists the statements of all databases that take most. row_limit: at least 1, null is all. order_by: mean (time of a call), total, share (of the time of all), calls, cache (blocks that were not in it), temp, wal. '
    'since: what happened since the beginning of that hour, from dbops'' own history (30 days; only in the home database; figures are up to a minute old; a restart loses nothing that pg_stat_statements keeps, a crash what happened in up to ten minutes before it; what happened while nobody looked for more than an hour is left out); null: all that pg_stat_statements has, since counted_since. '
    'Nothing resets pg_stat_statements. rows_per_call near 1 with very many calls is what a loop over single rows looks like. The last row without a query_id sums up the statements of the history that have no row of their own. '
    'query: only shown to members of pg_read_all_stats. Errors: an argument that makes no sense (22023, 22004); pg_stat_statements is not there, or since where no history is kept (55000).';
REVOKE ALL ON FUNCTION dbops.slow_queries(integer, text, timestamptz) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('sample_statements', 'admin'),
    ('slow_queries', 'monitor');


-- History of waits: what sessions waited for, and who was in the way. Not in dumps.

CREATE TABLE dbops.wait_1m (
    at               timestamptz NOT NULL,
    database         text,
    wait_type        text NOT NULL,
    wait             text,
    query_id         bigint,
    samples          integer NOT NULL,
    cadence          integer NOT NULL,
    blocker          integer,
    blocker_state    text,
    blocker_role     text,
    blocker_query_id bigint
) PARTITION BY RANGE (at);
CREATE INDEX wait_1m_at ON dbops.wait_1m USING brin (at);
COMMENT ON TABLE dbops.wait_1m IS
    'What sessions that ran a statement waited for, in minutes of 7 days, in partitions of days. samples: how often it was seen; cadence: ms between two looks. blocker: the process at the root of a wait '
    'for a lock, 0 of a prepared transaction. In the home database of all databases, else of this one.';
REVOKE ALL ON TABLE dbops.wait_1m FROM PUBLIC;
ALTER TABLE dbops.wait_1m REPLICA IDENTITY FULL;

CREATE FUNCTION dbops.wait_history(
    since timestamptz DEFAULT NULL,
    until timestamptz DEFAULT NULL,
    OUT database text, OUT wait_type text, OUT wait text, OUT query_id bigint,
    OUT samples bigint, OUT seconds double precision, OUT percent double precision,
    OUT blocker integer, OUT blocker_state text, OUT blocker_role text, OUT blocker_query_id bigint,
    OUT first_at timestamptz, OUT last_at timestamptz
) RETURNS SETOF record
    LANGUAGE c VOLATILE PARALLEL UNSAFE
    AS 'MODULE_PATHNAME', 'dbops_wait_history';
COMMENT ON FUNCTION dbops.wait_history(timestamptz, timestamptz) IS
    'Says what sessions that ran a statement waited for, the longest in all first. since: a day before until; until: now. wait_type, wait: as in pg_stat_activity; CPU is no wait. query_id: as in '
    'pg_stat_statements, which has the text; null where compute_query_id is off. samples: how often a session was seen so, at ticks of ten seconds; seconds: what that stands for; percent: of all seconds. '
    'blocker: the process that all before it waited for, 0 is a prepared transaction; blocker_state: active, idle in transaction, prepared, other. Of 32 locks a tick at most it is known. A minute tells 191 kinds apart by statement, then others without it, and at 255 counts the rest as one. '
    'first_at, last_at: the minutes in which it was seen. In the home database of all databases, elsewhere of that one. Errors: since not before until, an infinite time (22023).';
REVOKE ALL ON FUNCTION dbops.wait_history(timestamptz, timestamptz) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('wait_history', 'monitor');
