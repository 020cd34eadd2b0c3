--
-- find_unindexed_fkeys with what PostgreSQL 18 brought: foreign keys that are
-- not enforced, and temporal ones. Older servers have another expected output,
-- which ends here.
--
SELECT current_setting('server_version_num')::int < 180000 AS is_older \gset
\if :is_older
\quit
\endif
SET client_min_messages = warning;
CREATE EXTENSION btree_gist;
CREATE SCHEMA fk18;
SET search_path = fk18, public;

CREATE TABLE p (k int PRIMARY KEY);
CREATE TABLE f (a int, b int,
    CONSTRAINT enforced FOREIGN KEY (a) REFERENCES p,
    CONSTRAINT not_enforced FOREIGN KEY (b) REFERENCES p NOT ENFORCED);
SELECT constraint_name, create_index FROM dbops.find_unindexed_fkeys();
ALTER TABLE f ALTER CONSTRAINT not_enforced ENFORCED, ALTER CONSTRAINT enforced NOT ENFORCED;
SELECT constraint_name, create_index FROM dbops.find_unindexed_fkeys();
DROP TABLE f;

-- The lookup searches the period by overlap: gist can, btree cannot.
CREATE TABLE tp (k int, during daterange, PRIMARY KEY (k, during WITHOUT OVERLAPS));
CREATE TABLE none (a int, during daterange, FOREIGN KEY (a, PERIOD during) REFERENCES tp);
CREATE TABLE btree (a int, during daterange, FOREIGN KEY (a, PERIOD during) REFERENCES tp);
CREATE INDEX ON btree (a, during);
CREATE TABLE gist (a int, during daterange, FOREIGN KEY (a, PERIOD during) REFERENCES tp);
CREATE INDEX ON gist USING gist (a, during);
CREATE TABLE gist_one (a int, during daterange, FOREIGN KEY (a, PERIOD during) REFERENCES tp);
CREATE INDEX ON gist_one USING gist (during);
SELECT table_name, coverage, create_index, reason FROM dbops.find_unindexed_fkeys() ORDER BY table_name::text;

-- the planner agrees
SET enable_seqscan = off;
SET plan_cache_mode = force_generic_plan;
PREPARE on_gist (int, daterange) AS SELECT 1 FROM ONLY gist x WHERE $1 OPERATOR(pg_catalog.=) a AND $2 OPERATOR(pg_catalog.&&) during FOR KEY SHARE OF x;
PREPARE on_btree (int, daterange) AS SELECT 1 FROM ONLY btree x WHERE $1 OPERATOR(pg_catalog.=) a AND $2 OPERATOR(pg_catalog.&&) during FOR KEY SHARE OF x;
EXPLAIN (COSTS off) EXECUTE on_gist (NULL, NULL);
EXPLAIN (COSTS off) EXECUTE on_btree (NULL, NULL);
DEALLOCATE ALL;

SELECT create_index FROM dbops.find_unindexed_fkeys() ORDER BY table_name::text \gexec
SELECT table_name, coverage, create_index FROM dbops.find_unindexed_fkeys();

-- Temporal and partitioned.
CREATE TABLE tree (a int, during daterange, FOREIGN KEY (a, PERIOD during) REFERENCES tp) PARTITION BY RANGE (a);
CREATE TABLE tree_1 PARTITION OF tree FOR VALUES FROM (0) TO (10);
SELECT create_index FROM dbops.find_unindexed_fkeys();
SELECT regexp_split_to_table(create_index, E'\n') FROM dbops.find_unindexed_fkeys() \gexec
SELECT table_name, coverage, create_index FROM dbops.find_unindexed_fkeys();

DROP SCHEMA fk18 CASCADE;
DROP EXTENSION btree_gist;
