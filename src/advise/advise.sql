
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
