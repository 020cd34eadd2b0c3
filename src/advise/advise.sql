
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
    'Of a partitioned index the sum of its partitions; of another kind than btree only size and density. '
    'Waits for no lock: method says why nothing was measured, such as skipped: locked. What is no index is refused (42809).';
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
    'Lists the btrees of this database of which a rebuild would win at least min_percent and min_bytes, those that win most bytes first, with the columns of index_bloat(); those that could not be measured come last, with the reason as their method. '
    'Each costs a sample of 300 pages, indexes smaller than min_bytes none. Remembers the best of each index, on a primary in a transaction that may write. Waits for no lock.';
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
    'rules: patterns of LIKE for the names of rules; null is all that are on, by default or by set_check(rule, enabled => true). One that no rule is like is refused (42704). '
    'severity: info, warning, critical; unknown where a rule could not be judged, as when a catalog is locked. object, message: what, and why. remedy: SQL that runs as printed, or a sentence. '
    'key: for mute_finding(), the same whatever the search_path; what is muted is shown with muted_until in data, beside what the rule is about and its source. '
    'Reads catalogs and statistics only; extensions'' objects and temporary tables are left out. Waits no longer than 100 ms for a lock.';
REVOKE ALL ON FUNCTION dbops.review_schema(text[]) FROM PUBLIC;

CREATE FUNCTION dbops.review_settings(
    rules text[] DEFAULT NULL,
    OUT check_name text, OUT severity text, OUT object text, OUT message text, OUT remedy text, OUT key text, OUT data jsonb,
    OUT current text, OUT recommended text, OUT source text) RETURNS SETOF record
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review_settings';
COMMENT ON FUNCTION dbops.review_settings(text[]) IS
    'Judges the server''s settings against the memory and cores that the server may use, limits of containers counted, and against what it has counted of the work: each that the guides have a figure for, '
    'those that wait for a restart, those whose file was never read again, and the size of a connection pool. A row for each, the gravest first; severity ok: it is as it should be. '
    'object: the setting. message: why, with the figures. remedy: the ALTER SYSTEM line; null where nothing is to be done. current, recommended: as a configuration file writes them; recommended is current where that is right. '
    'source: of the figure; data has the guides'' own. rules: patterns of LIKE for names of rules, as of rule_list() (42704 if none is like one). '
    'current is the server''s, unless the caller''s role or database has one of its own. Waits no longer than 100 ms for a lock.';
REVOKE ALL ON FUNCTION dbops.review_settings(text[]) FROM PUBLIC;

CREATE FUNCTION dbops.review_privileges(rules text[] DEFAULT NULL) RETURNS SETOF dbops.finding
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review_privileges';
COMMENT ON FUNCTION dbops.review_privileges(text[]) IS
    'Audits who may do what: superusers and roles above row level security, logins without a password or with one of md5, passwords that end within 30 days, roles that are gone and still own objects, '
    'what everybody or others may create, read and write, default privileges, and the lines of pg_hba.conf that trust, as the file is now. Of this database, and of the roles of the cluster. '
    'rules, severity, object, message, remedy, key: as of review_schema(). Nothing of a password is shown. Rights that nobody uses are not looked for.';
REVOKE ALL ON FUNCTION dbops.review_privileges(text[]) FROM PUBLIC;

CREATE FUNCTION dbops.review(muted boolean DEFAULT false) RETURNS SETOF dbops.finding
    LANGUAGE c VOLATILE
    AS 'MODULE_PATHNAME', 'dbops_review';
COMMENT ON FUNCTION dbops.review(boolean) IS
    'All that review_schema(), review_settings() and review_privileges() find that is not as it should be, the gravest first. What mute_finding(key, reason, until) has muted is left out, and the last row says how much that is; '
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
