-- lint_sql() of published tables that lose what tells their rows apart, against what the server does; and of partitions that are half detached.
SET client_min_messages = error;                -- of wal_level, which is not logical, there is a warning
SET track_counts = off;                         -- no table is busy, however new the server is
CREATE SCHEMA lnk;
CREATE SCHEMA lnk_all;
SET search_path = lnk;
SET lock_timeout = '1s';
CREATE TABLE pub (id int PRIMARY KEY, k int NOT NULL, v int, CONSTRAINT pub_k UNIQUE (k));
CREATE TABLE bare (id int PRIMARY KEY);
CREATE TABLE inserted (id int PRIMARY KEY);
CREATE TABLE indexed (id int PRIMARY KEY, k int NOT NULL);
CREATE UNIQUE INDEX indexed_k ON indexed (k);
ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_k;
CREATE TABLE whole (id int PRIMARY KEY);
ALTER TABLE whole REPLICA IDENTITY FULL;
CREATE TABLE lnk_all.t (id int PRIMARY KEY);
CREATE TABLE parted (id int PRIMARY KEY, v int) PARTITION BY LIST (id);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES IN (1);
INSERT INTO pub VALUES (1, 1, 1);
INSERT INTO bare VALUES (1);
INSERT INTO inserted VALUES (1);
INSERT INTO indexed VALUES (1, 1);
INSERT INTO whole VALUES (1);
INSERT INTO lnk_all.t VALUES (1);
INSERT INTO parted VALUES (1, 1);
CREATE PUBLICATION lint_key FOR TABLE pub, indexed, whole, parted;
CREATE PUBLICATION lint_key_all FOR TABLES IN SCHEMA lnk_all;
CREATE PUBLICATION lint_key_inserts FOR TABLE inserted WITH (publish = 'insert');

-- Does the server update it when the text has been run? All is undone.
CREATE FUNCTION updates(text text, relation regclass) RETURNS text LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE text;
    EXECUTE 'UPDATE ' || relation || ' SET (id) = ROW(id)';
    RAISE EXCEPTION USING errcode = 'ZZ000';
EXCEPTION WHEN SQLSTATE 'ZZ000' THEN
    RETURN 'updates';
WHEN OTHERS THEN
    RETURN regexp_replace(SQLERRM, ' because.*', '');
END $$;
SELECT text, l.line, l.relation, updates(text, table_name::regclass) FROM (VALUES
    ('ALTER TABLE pub DROP CONSTRAINT pub_pkey', 'pub'),
    ('ALTER TABLE pub DROP CONSTRAINT pub_k', 'pub'),
    ('ALTER TABLE pub DROP COLUMN v', 'pub'),
    ('ALTER TABLE pub REPLICA IDENTITY NOTHING', 'pub'),
    (E'ALTER TABLE pub REPLICA IDENTITY USING INDEX pub_k;\nALTER TABLE pub DROP CONSTRAINT pub_pkey', 'pub'),
    (E'ALTER TABLE pub DROP CONSTRAINT pub_pkey;\nALTER TABLE pub ADD PRIMARY KEY (k)', 'pub'),
    ('ALTER TABLE pub DROP CONSTRAINT pub_pkey, ADD PRIMARY KEY (k)', 'pub'),
    (E'ALTER TABLE pub DROP CONSTRAINT pub_pkey;\nALTER TABLE pub REPLICA IDENTITY FULL', 'pub'),
    ('ALTER TABLE bare DROP CONSTRAINT bare_pkey', 'bare'),
    ('ALTER TABLE inserted DROP CONSTRAINT inserted_pkey', 'inserted'),
    ('DROP INDEX indexed_k', 'indexed'),
    ('ALTER TABLE indexed DROP COLUMN k', 'indexed'),
    ('ALTER TABLE indexed DROP CONSTRAINT indexed_pkey', 'indexed'),
    (E'ALTER TABLE indexed REPLICA IDENTITY DEFAULT;\nDROP INDEX indexed_k', 'indexed'),
    (E'ALTER TABLE indexed DROP CONSTRAINT indexed_pkey;\nALTER TABLE indexed REPLICA IDENTITY DEFAULT', 'indexed'),
    ('ALTER TABLE whole DROP CONSTRAINT whole_pkey', 'whole'),
    ('ALTER TABLE whole REPLICA IDENTITY DEFAULT', 'whole'),
    ('ALTER TABLE lnk_all.t DROP CONSTRAINT t_pkey', 'lnk_all.t'),
    ('ALTER TABLE parted DROP CONSTRAINT parted_pkey', 'parted')) c (text, table_name)
  LEFT JOIN LATERAL dbops.lint_sql(text) l ON l.rule = 'table.published_without_key';
-- a column of the key, with which that goes
SELECT relation, severity, why, safer_sql FROM dbops.lint_sql('ALTER TABLE pub DROP COLUMN id') WHERE rule = 'table.published_without_key';
SELECT count(*) FROM dbops.lint_sql('ALTER TABLE pub DROP CONSTRAINT pub_pkey; DROP TABLE pub') WHERE rule = 'table.published_without_key';
DROP PUBLICATION lint_key, lint_key_all, lint_key_inserts;

-- a partition that is half detached hinders the next, unless the text finishes it; what is advised can be run
CREATE TABLE leaving (id int) PARTITION BY LIST (id);
CREATE TABLE lnk_all."Leaving 1" PARTITION OF leaving FOR VALUES IN (1);
CREATE TABLE leaving_2 PARTITION OF leaving FOR VALUES IN (2);
INSERT INTO leaving VALUES (1), (2);
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'lnk_all."Leaving 1"'::regclass;
SELECT line, relation, safer_sql FROM dbops.lint_sql('ALTER TABLE leaving DETACH PARTITION leaving_2 CONCURRENTLY') WHERE rule = 'partition.detach_pending';
SELECT line, relation, safer_sql FROM dbops.lint_sql(E'ALTER TABLE leaving DETACH PARTITION lnk_all."Leaving 1" FINALIZE;\nALTER TABLE leaving DETACH PARTITION leaving_2 CONCURRENTLY') WHERE rule = 'partition.detach_pending';
SELECT safer_sql FROM dbops.lint_sql('ALTER TABLE leaving DETACH PARTITION leaving_2 CONCURRENTLY') WHERE rule = 'partition.detach_pending' \gexec
SELECT line, relation, safer_sql FROM dbops.lint_sql('ALTER TABLE leaving DETACH PARTITION leaving_2 CONCURRENTLY') WHERE rule = 'partition.detach_pending';
DROP SCHEMA lnk, lnk_all CASCADE;
