
CREATE FUNCTION dbops.find_unindexed_fkeys(
    OUT table_name regclass,
    OUT columns text,
    OUT create_index text,
    OUT constraint_name name,
    OUT referenced_table regclass,
    OUT coverage text,
    OUT severity text,
    OUT bytes bigint,
    OUT reason text,
    OUT partitions regclass[]
) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_find_unindexed_fkeys';
COMMENT ON FUNCTION dbops.find_unindexed_fkeys() IS
    'Lists the foreign keys whose lookup by the referential-integrity triggers no index serves, the worst first; those that are served, never enforced or disabled are not listed. '
    'columns: as SQL writes them. create_index: the statements that help, one a line, to be run one by one outside a transaction block; '
    'null where the reason names another row''s that helps this one too, or says why no index can. '
    'coverage: uncovered, partial (an index is used but reads more than it needs) or unknown (cannot be judged). '
    'bytes: what a lookup reads, that is the size of the table or of those partitions that lack an index; partitions: these. '
    'severity: info, warning from 10 MB (or from 64 blocks if ON DELETE or ON UPDATE writes to the table), critical from 1 GB (or from 10 MB if rows of the referenced table have been deleted); '
    'partial is at most a warning. Raises no errors of its own; waits for no lock.';
REVOKE ALL ON FUNCTION dbops.find_unindexed_fkeys() FROM PUBLIC;
INSERT INTO dbops.function_access VALUES ('find_unindexed_fkeys', 'monitor');

CREATE FUNCTION dbops.index_bloat(
    index_name regclass,
    sample_blocks integer DEFAULT 300,
    exact boolean DEFAULT false,
    OUT index_name regclass,
    OUT size_bytes bigint,
    OUT bloat_percent numeric,
    OUT low_percent numeric,
    OUT high_percent numeric,
    OUT wasted_bytes bigint,
    OUT pages_read bigint,
    OUT method text,
    OUT rebuilt_bytes bigint,
    OUT density_percent numeric,
    OUT fillfactor integer,
    OUT over_steady_percent numeric,
    OUT over_best_percent numeric,
    OUT deleted_pages bigint,
    OUT half_dead_pages bigint,
    OUT killable_percent numeric,
    OUT damaged_pages bigint,
    OUT note text
) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_index_bloat';
COMMENT ON FUNCTION dbops.index_bloat(regclass, integer, boolean) IS
    'Measures how much smaller a btree would be after a rebuild, from a random page of each of sample_blocks parts of its file (1 to 10000); the parts are halved, and once more, while the interval is wider than 1 point to each side. A smaller index is read whole. '
    'bloat_percent: of the file, with its 95 percent interval; wasted_bytes: what a rebuild would win; rebuilt_bytes: what it would leave. Deleted pages (which include those never written) and half-dead ones are part of it; '
    'killable_percent, items known to be dead, is not: they go without a rebuild. density_percent: of the leaves, as pgstatindex''s avg_leaf_density. '
    'over_steady_percent: the same against the density of 69 percent that rows in random order lead to; negative: it is denser. over_best_percent: against the fewest bytes for each row that find_bloated_indexes() or a rebuild has seen of this file; null: none yet. '
    'exact: every page is read, by pgstatindex where pgstattuple is installed. damaged_pages: could not be read or understood, the first of them in note, and are taken for average ones. '
    'Of a partitioned index the sum of its partitions; those that could not be measured count in size_bytes only, as note says. Of another kind than btree only size and density, and in note, for the sum as well, deleted pages (GiST, GIN), the pending list (GIN), overflow and unused pages (hash). '
    'Waits for no lock, and writes nothing: method says why nothing was measured, such as skipped: locked. What is no index is refused (42809, 42704).';
REVOKE ALL ON FUNCTION dbops.index_bloat(regclass, integer, boolean) FROM PUBLIC;

CREATE FUNCTION dbops.find_bloated_indexes(
    min_percent numeric DEFAULT 20,
    row_limit integer DEFAULT 100,
    min_bytes bigint DEFAULT 1048576,
    OUT index_name regclass,
    OUT size_bytes bigint,
    OUT bloat_percent numeric,
    OUT low_percent numeric,
    OUT high_percent numeric,
    OUT wasted_bytes bigint,
    OUT pages_read bigint,
    OUT method text,
    OUT rebuilt_bytes bigint,
    OUT density_percent numeric,
    OUT fillfactor integer,
    OUT over_steady_percent numeric,
    OUT over_best_percent numeric,
    OUT deleted_pages bigint,
    OUT half_dead_pages bigint,
    OUT killable_percent numeric,
    OUT damaged_pages bigint,
    OUT note text
) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_find_bloated_indexes';
COMMENT ON FUNCTION dbops.find_bloated_indexes(numeric, integer, bigint) IS
    'Lists the btrees of this database, those of its catalog and those that all databases share included, of which a rebuild would win at least min_percent and min_bytes, those that win most bytes first, with the columns of index_bloat(); those that could not be measured come last, with the reason as their method. '
    'Each costs a sample of 300 pages, indexes smaller than min_bytes none. Remembers the best of each index, on a primary in a transaction that may write. Waits for no lock. Arguments out of range are refused (22023).';
REVOKE ALL ON FUNCTION dbops.find_bloated_indexes(numeric, integer, bigint) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('index_bloat', 'monitor'),
    ('find_bloated_indexes', 'monitor');

-- Reviews.

CREATE FUNCTION dbops.review_schema(rules text[] DEFAULT NULL) RETURNS SETOF dbops.finding
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review_schema';
COMMENT ON FUNCTION dbops.review_schema(text[]) IS
    'Reviews the tables, columns, keys, policies, views, functions, partitions and sequences that users made, by rules, and lists what is not as it should be, the gravest first. '
    'rules: patterns of LIKE for the names of rules; null or {} is all that are on, by default or by set_check(rule, enabled => true). One that no rule is like is refused (42704), so are a null (22004) and one that ends in a backslash (22025). '
    'severity: info, warning, critical; unknown where a rule could not be judged, as when a catalog is locked. object, message: what, and why. '
    'remedy: a sentence, or SQL that runs as printed, one statement a line, each to be run by itself and outside a transaction block, as psql does. '
    'key: for mute_finding(), the same whatever the search_path, with (unknown) for what could not be judged; what is muted is shown with muted_until in data, beside what the rule is about and its source. '
    'Line breaks in names are written as escapes. Reads catalogs and statistics only; temporary tables are left out, and so are extensions'' objects, but for sequences that come to their end. '
    'Waits no longer than 100 ms for a lock, and a second in all.';
REVOKE ALL ON FUNCTION dbops.review_schema(text[]) FROM PUBLIC;

CREATE FUNCTION dbops.review_settings(
    rules text[] DEFAULT NULL,
    OUT check_name text, OUT severity text, OUT object text, OUT message text, OUT remedy text, OUT key text, OUT data jsonb,
    OUT current text, OUT recommended text, OUT source text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review_settings';
COMMENT ON FUNCTION dbops.review_settings(text[]) IS
    'Judges the server''s settings against the memory and cores that the server may use, limits of containers counted, and against what was seen of the work: each that the guides have a figure for, timeouts, '
    'those that wait for a restart, those whose file was never read again or cannot be, and the size of a connection pool. A row for each, the gravest first; severity ok: it is as it should be; unknown: it cannot be told from here. '
    'object: the setting. message: why, with the figures, and whether the server has to be restarted. remedy: the ALTER SYSTEM line, after it what makes it count, and before it what the server would not start without: '
    'statements one a line, to be run one by one outside a transaction block, in any order of rows; or a sentence, where a line alone would stop a standby or change nothing; null where nothing is to be done. '
    'current, recommended: as a configuration file writes them; recommended is current where that is right, and takes what is recommended of other settings for done. Of the connection pool, current is the peak that was seen, and recommended the formula''s. '
    'source: of the figure; data has the guides'' own. rules: as of review_schema(). '
    'current is the server''s, whatever the caller''s session, role or database has of its own. What was seen is of seven days of samples, sessions of thirty, in the home database; of the last hour in others and on a standby; of nothing without preloading. '
    'Waits no longer than 100 ms for a lock.';
REVOKE ALL ON FUNCTION dbops.review_settings(text[]) FROM PUBLIC;

CREATE FUNCTION dbops.review_privileges(rules text[] DEFAULT NULL) RETURNS SETOF dbops.finding
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review_privileges';
COMMENT ON FUNCTION dbops.review_privileges(text[]) IS
    'Audits who may do what: superusers and roles above row level security, logins without a password or with one of md5, passwords that have ended or end within 30 days, roles that are gone and still own objects, '
    'what everybody or others may create, read, write and set, also of the server''s own, default privileges, and the lines of pg_hba.conf that trust, as the file is now, but for those that are never reached. Of this database, and of the roles of the cluster. '
    'rules, severity, object, message, remedy, key: as of review_schema(). Nothing of a password is shown; of a line of pg_hba.conf its databases, roles, addresses and method, and not its options. Rights that nobody uses are not looked for.';
REVOKE ALL ON FUNCTION dbops.review_privileges(text[]) FROM PUBLIC;

CREATE FUNCTION dbops.review(muted boolean DEFAULT false) RETURNS SETOF dbops.finding
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review';
COMMENT ON FUNCTION dbops.review(boolean) IS
    'All that review_schema(), review_settings() and review_privileges() find by the rules that are on and that is not as it should be, the gravest first. What mute_finding(key, reason, until) has muted is left out, and the last row says how much that is; '
    'muted: true shows it too, with muted_until in data. dbops.muted_findings() lists the mutes.';
REVOKE ALL ON FUNCTION dbops.review(boolean) FROM PUBLIC;

CREATE FUNCTION dbops.rule_list(
    OUT rule_name text, OUT review text, OUT severity text, OUT on_by_default boolean, OUT about text, OUT source text) RETURNS SETOF record
    LANGUAGE c STRICT STABLE PARALLEL SAFE
    AS 'MODULE_PATHNAME', 'dbops_rule_list';
COMMENT ON FUNCTION dbops.rule_list() IS
    'Lists the rules of all reviews: what each finds, how grave that is unless something makes it worse or better, whether it runs without being asked for, and where it comes from. '
    'set_check(rule_name, enabled => true or false) decides otherwise; mute_finding(rule_name, reason, until) mutes all that it finds.';
REVOKE ALL ON FUNCTION dbops.rule_list() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('review', 'monitor'),
    ('review_schema', 'monitor'),
    ('review_settings', 'monitor'),
    ('review_privileges', 'monitor'),
    ('rule_list', 'monitor');
-- What other nodes have counted. Not dumped: the indexes of a restored database are others.
CREATE TABLE dbops.index_usage_node (
    node           text PRIMARY KEY,
    observed_since timestamptz NOT NULL CHECK (isfinite(observed_since)),
    taken_at       timestamptz NOT NULL CHECK (isfinite(taken_at)),
    downstream     text[] NOT NULL CHECK (array_position(downstream, NULL) IS NULL),
    imported_by    text NOT NULL,
    imported_at    timestamptz NOT NULL,
    CHECK (observed_since <= taken_at)
);
COMMENT ON TABLE dbops.index_usage_node IS
    'The other nodes whose scans of indexes were imported: since when they have counted, when that was taken, and which standbys they feed.';
REVOKE ALL ON TABLE dbops.index_usage_node FROM PUBLIC;

CREATE TABLE dbops.index_usage_imported (
    node           text,
    index_oid      oid,
    scans          bigint NOT NULL CHECK (scans BETWEEN 0 AND 9007199254740992),
    tuples_read    bigint NOT NULL CHECK (tuples_read BETWEEN 0 AND 9007199254740992),
    tuples_fetched bigint NOT NULL CHECK (tuples_fetched BETWEEN 0 AND 9007199254740992),
    last_scan      timestamptz CHECK (isfinite(last_scan)),
    PRIMARY KEY (node, index_oid)
);
COMMENT ON TABLE dbops.index_usage_imported IS 'How often each index was scanned on other nodes; those that were not have no row.';
REVOKE ALL ON TABLE dbops.index_usage_imported FROM PUBLIC;

CREATE TABLE dbops.index_usage_standby (
    name    text PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE dbops.index_usage_standby IS 'The standbys that were connected within 7 days, and when they were last seen. Not dumped: a restored database has others.';
REVOKE ALL ON TABLE dbops.index_usage_standby FROM PUBLIC;

CREATE FUNCTION dbops.find_invalid_indexes(
    OUT index_name regclass,
    OUT table_name regclass,
    OUT state text,
    OUT same_as regclass,
    OUT size_bytes bigint,
    OUT scans bigint,
    OUT last_scan timestamptz,
    OUT observed_since timestamptz,
    OUT nodes text[],
    OUT backs text,
    OUT safe_to_drop text,
    OUT reason text,
    OUT statement text
) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_find_invalid_indexes';
COMMENT ON FUNCTION dbops.find_invalid_indexes() IS
    'Lists the indexes that serve no query, the largest first: those of TOAST tables too, no temporary ones and none of extensions. '
    'state: in progress (a session works on it: no orphan), left by a build, left by a rebuild (same_as is valid and the same), left by a drop, or incomplete (a partitioned index, of which the reason names a partition that lacks one). '
    'size_bytes, scans, observed_since, nodes and backs as in find_unused_indexes(). safe_to_drop: yes, no or unknown, with the reason; statement: drops it, to be run outside a transaction block, and is given only where that is safe. '
    'Raises no errors of its own; waits for no lock.';
REVOKE ALL ON FUNCTION dbops.find_invalid_indexes() FROM PUBLIC;

CREATE FUNCTION dbops.find_duplicate_indexes(
    OUT index_name regclass,
    OUT table_name regclass,
    OUT kind text,
    OUT replaced_by regclass,
    OUT size_bytes bigint,
    OUT scans bigint,
    OUT last_scan timestamptz,
    OUT observed_since timestamptz,
    OUT nodes text[],
    OUT backs text,
    OUT safe_to_drop text,
    OUT reason text,
    OUT statement text
) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_find_duplicate_indexes';
COMMENT ON FUNCTION dbops.find_duplicate_indexes() IS
    'Lists the indexes whose work another index of the same table does as well (replaced_by), the largest first. '
    'kind: same, reversed (the same read backward), beside unique (the same, which keeps rows unique too), covered (the other one has the same keys, and includes more columns) or prefix (a btree that the other one begins with). '
    'Operator classes and their options, collations, directions, expressions, predicates, included columns and what is enforced are compared; of a pair that one is listed on which less depends, or else the younger. '
    'The other columns are as in find_unused_indexes(). Whether it is safe does not depend on scans, unless the other one is more than three times as large: then only if nobody has scanned this one in 30 days in which all nodes have counted; nor is one that is used while both are empty, or the other one goes with a partitioned index (unknown). Raises no errors of its own; waits for no lock.';
REVOKE ALL ON FUNCTION dbops.find_duplicate_indexes() FROM PUBLIC;

CREATE FUNCTION dbops.index_usage(
    table_name regclass DEFAULT NULL,
    OUT index_name regclass,
    OUT table_name regclass,
    OUT scans bigint,
    OUT tuples_read bigint,
    OUT tuples_fetched bigint,
    OUT size_bytes bigint,
    OUT status text,
    OUT last_scan timestamptz,
    OUT observed_since timestamptz,
    OUT nodes text[],
    OUT backs text
) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_index_usage';
COMMENT ON FUNCTION dbops.index_usage(regclass) IS
    'Says how much the indexes of a table are used, or all (null) of users'' tables, the most used first; of a partitioned index the sum of its partitions. '
    'scans, tuples_read (entries of the index), tuples_fetched (rows of the table): of all nodes, since they began to count. '
    'status: used, unused, or needed (no scan, but it keeps what backs says, or a foreign key finds its rows by it and by no other). last_scan: from PostgreSQL 16 on. observed_since: all nodes have counted and the file was there. size_bytes is null of another session''s temporary table. '
    'What is no table is refused (42809, 42P01). Waits for no lock.';
REVOKE ALL ON FUNCTION dbops.index_usage(regclass) FROM PUBLIC;

CREATE FUNCTION dbops.find_unused_indexes(
    min_bytes bigint DEFAULT 0,
    unused_for interval DEFAULT '30 days',
    OUT index_name regclass,
    OUT table_name regclass,
    OUT size_bytes bigint,
    OUT scans bigint,
    OUT last_scan timestamptz,
    OUT observed_since timestamptz,
    OUT nodes text[],
    OUT backs text,
    OUT safe_to_drop text,
    OUT reason text,
    OUT statement text
) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_find_unused_indexes';
COMMENT ON FUNCTION dbops.find_unused_indexes(bigint, interval) IS
    'Lists the indexes of at least min_bytes that nobody has scanned on this server or, from PostgreSQL 16 on, not for unused_for, the largest first. Unique and exclusion indexes work without being scanned and are not listed; partitions'' indexes count with the partitioned one. '
    'scans and last_scan: of all nodes; nodes: this server, and those of import_index_usage(). observed_since: from then on, until the oldest import was taken, a scan would have been counted on all of them: statistics were reset or lost, the server promoted, or the file made then (of a partitioned index the oldest file that is younger than itself). '
    'backs: what needs the index, such as a foreign key that finds its rows by no other, or another node that scans it. '
    'safe_to_drop: yes only if all nodes have counted for unused_for and were imported within 7 days, every standby is among them (connected now or within 7 days, with a slot, in dbops.expected_standbys, or fed by one that was imported), '
    'and somebody has read the table: by an index, or by more sequential scans in that time, where dbops has noted them, than builds of its indexes and a dump each night make; else no or unknown, with the reason. '
    'unknown, too: where partitions came within unused_for, as others may have gone with their counters; and where track_counts is off for the server, a database, a role or a function. What sessions that switch it off themselves have scanned nobody knows. '
    'statement: drops it, to be run outside a transaction block; given only where that is safe. That of a partitioned index locks the table and all partitions, so set lock_timeout first. Negative arguments are refused (22023). Waits for no lock.';
REVOKE ALL ON FUNCTION dbops.find_unused_indexes(bigint, interval) FROM PUBLIC;

CREATE FUNCTION dbops.export_index_usage() RETURNS jsonb
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_export_index_usage';
COMMENT ON FUNCTION dbops.export_index_usage() IS
    'Gives what this node has counted of the scans of its indexes, and the names of the standbys that it feeds, for import_index_usage() on the primary. Works on standbys. Errors: 55000 where track_counts is off for the server, this database, a role or a function, as its silence would be taken for indexes that nobody uses.';
REVOKE ALL ON FUNCTION dbops.export_index_usage() FROM PUBLIC;

CREATE FUNCTION dbops.import_index_usage(node text, usage jsonb) RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_import_index_usage';
COMMENT ON FUNCTION dbops.import_index_usage(text, jsonb) IS
    'Takes over what export_index_usage() gave on another node, in place of what was known of it, and returns how many indexes of this database that tells of. '
    'node: a standby''s application_name, or the name of the slot of one that is not connected. '
    'The indexes of a physical replica are known by their OIDs, those of a logical one by their names. '
    'Refused: another document, one of another database or from the future, and the node "this server" (22023); on a standby (25006).';
REVOKE ALL ON FUNCTION dbops.import_index_usage(text, jsonb) FROM PUBLIC;

CREATE FUNCTION dbops.forget_index_usage(node text) RETURNS boolean
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_forget_index_usage';
COMMENT ON FUNCTION dbops.forget_index_usage(text) IS
    'Forgets what was imported of a node that is no more, and that it was connected as a standby, and returns whether anything was known of it. Refused on a standby (25006).';
REVOKE ALL ON FUNCTION dbops.forget_index_usage(text) FROM PUBLIC;

CREATE FUNCTION dbops.note_standbys() RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_note_standbys';
COMMENT ON FUNCTION dbops.note_standbys() IS
    'Writes down which standbys are connected, for find_unused_indexes(), and returns how many. Where dbops is preloaded that is done every 10 minutes. Fails on a standby (25006).';
REVOKE ALL ON FUNCTION dbops.note_standbys() FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('find_invalid_indexes', 'monitor'),
    ('find_duplicate_indexes', 'monitor'),
    ('index_usage', 'monitor'),
    ('find_unused_indexes', 'monitor'),
    ('export_index_usage', 'monitor'),
    ('import_index_usage', 'operator'),
    ('forget_index_usage', 'operator'),
    ('note_standbys', 'operator');

CREATE FUNCTION dbops.table_bloat(
    table_name regclass,
    sample_blocks integer DEFAULT 300,
    OUT table_name regclass,
    OUT part text,
    OUT size_bytes bigint,
    OUT bloat_percent numeric,
    OUT low_percent numeric,
    OUT high_percent numeric,
    OUT wasted_bytes bigint,
    OUT vacuum_returns_bytes bigint,
    OUT rewrite_only_bytes bigint,
    OUT dead_bytes bigint,
    OUT held_bytes bigint,
    OUT free_bytes bigint,
    OUT live_rows bigint,
    OUT dead_rows bigint,
    OUT all_visible_percent numeric,
    OUT pages_read bigint,
    OUT damaged_pages bigint,
    OUT method text,
    OUT note text
) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_table_bloat';
COMMENT ON FUNCTION dbops.table_bloat(regclass, integer) IS
    'Measures how much smaller a table would be after a rewrite (VACUUM FULL, pg_repack), and its TOAST table in a second row if that has anything, from a random page of each of sample_blocks parts of the file (1 to 10000); the parts are halved, and once more, while the interval is wider than 1 point to each side. A smaller file is read whole. Statistics are not needed. '
    'bloat_percent: of the file, with its 95 percent interval; wasted_bytes: what a rewrite gives back to the disk, of which VACUUM gives back vacuum_returns_bytes (empty pages at the end, if they are many) and only a rewrite rewrite_only_bytes. '
    'dead_bytes: dead rows, which VACUUM makes free for new rows; held_bytes: such that some transaction may still see, which nothing frees before it ends; free_bytes: free for new rows already. dead_rows: of both. all_visible_percent: pages in the visibility map. '
    'damaged_pages could not be read or understood, the first of them in note, and are taken for average ones. What values of dropped columns still take, here and in TOAST, is not measured; note says that there are such columns. Of a partitioned table the sum of its partitions; those that could not be measured count in size_bytes only, as note says. '
    'Beside the sample it reads up to 1057 pages at the end, as long as they are empty, and the visibility map, 32 MB of it for a table of 1 TB. '
    'Waits for no lock, and writes nothing, no hints on rows either: method says why nothing was measured, such as skipped: locked. What is no table is refused (42809, 42P01).';
REVOKE ALL ON FUNCTION dbops.table_bloat(regclass, integer) FROM PUBLIC;

CREATE FUNCTION dbops.find_bloated_tables(
    min_percent numeric DEFAULT 20,
    row_limit integer DEFAULT 100,
    min_bytes bigint DEFAULT 1048576,
    OUT table_name regclass,
    OUT part text,
    OUT size_bytes bigint,
    OUT bloat_percent numeric,
    OUT low_percent numeric,
    OUT high_percent numeric,
    OUT wasted_bytes bigint,
    OUT vacuum_returns_bytes bigint,
    OUT rewrite_only_bytes bigint,
    OUT dead_bytes bigint,
    OUT held_bytes bigint,
    OUT free_bytes bigint,
    OUT live_rows bigint,
    OUT dead_rows bigint,
    OUT all_visible_percent numeric,
    OUT pages_read bigint,
    OUT damaged_pages bigint,
    OUT method text,
    OUT note text
) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_find_bloated_tables';
COMMENT ON FUNCTION dbops.find_bloated_tables(numeric, integer, bigint) IS
    'Lists the tables and TOAST tables of this database, those of its catalog and those that all databases share included, of which a rewrite would win at least min_percent and min_bytes, those that win most bytes first, with the columns of table_bloat(); those that could not be measured come last, with the reason as their method. '
    'Each costs a sample of 300 pages, tables smaller than min_bytes none. Waits for no lock. Arguments out of range are refused (22023).';
REVOKE ALL ON FUNCTION dbops.find_bloated_tables(numeric, integer, bigint) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('table_bloat', 'monitor'),
    ('find_bloated_tables', 'monitor');

-- How large tables were read by then. Not dumped: a restored database counts anew.
CREATE TABLE dbops.table_reads (
    table_oid     oid,
    at            timestamptz,
    scans         bigint NOT NULL,
    rows_read     bigint NOT NULL,
    rows_by_index bigint NOT NULL,
    PRIMARY KEY (table_oid, at)
);
CREATE INDEX table_reads_at ON dbops.table_reads (at);
COMMENT ON TABLE dbops.table_reads IS
    'The server''s counters of tables of at least 10,000 rows and partitions of at least 1,000, once a day for 31 days: sequential scans, rows that they read, rows that indexes found.';
REVOKE ALL ON TABLE dbops.table_reads FROM PUBLIC;

CREATE FUNCTION dbops.note_table_reads() RETURNS bigint
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_note_table_reads';
COMMENT ON FUNCTION dbops.note_table_reads() IS
    'Writes down how tables of at least 10,000 rows, and partitions of at least 1,000, have been read by now, for find_missing_indexes(), and returns how many there are. Where dbops is preloaded that is done once a day. Fails on a standby (25006).';
REVOKE ALL ON FUNCTION dbops.note_table_reads() FROM PUBLIC;

CREATE FUNCTION dbops.find_missing_indexes(
    time_window interval DEFAULT '7 days',
    min_rows bigint DEFAULT 10000,
    row_limit integer DEFAULT 100,
    OUT table_name regclass,
    OUT row_estimate bigint,
    OUT size_bytes bigint,
    OUT scans bigint,
    OUT rows_read bigint,
    OUT rows_per_scan bigint,
    OUT rows_by_index bigint,
    OUT scan_percent numeric,
    OUT observed_since timestamptz,
    OUT candidate_columns text[],
    OUT statements jsonb,
    OUT reason text
) RETURNS SETOF record
    LANGUAGE c STABLE
    AS 'MODULE_PATHNAME', 'dbops_find_missing_indexes';
COMMENT ON FUNCTION dbops.find_missing_indexes(interval, bigint, integer) IS
    'Lists the tables of at least min_rows rows, by the last ANALYZE or, where there was none, as counted, that were read mostly from end to end, those with most rows read first: candidates for an index, and no DDL, since nobody counts how many of the rows were wanted. '
    'Listed are tables with 10 sequential scans or more, which read at least a tenth of the rows each, and more rows than indexes found (rows_by_index). scan_percent: of the rows that were read. A partitioned table is the sum of its partitions. '
    'observed_since: the counters that were written down time_window ago or before; without such, since they were last reset. '
    'candidate_columns: compared by statements of pg_stat_statements that name the table, a table that it is a child of or, if it is partitioned, a part of it, and no index begins with them; '
    'statements: of these the five that took most time, with their queryid and text for members of pg_read_all_stats. '
    'Arguments out of range are refused (22023). Waits for no lock.';
REVOKE ALL ON FUNCTION dbops.find_missing_indexes(interval, bigint, integer) FROM PUBLIC;

INSERT INTO dbops.function_access VALUES
    ('note_table_reads', 'operator'),
    ('find_missing_indexes', 'monitor');
