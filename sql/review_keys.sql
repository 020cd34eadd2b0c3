-- Rules about keys: each with what it finds, what it must not take for that, and
-- its remedy, which is run as it is printed and leaves nothing to find.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_keys;
SET search_path = review_keys;

-- no primary key: a unique key that could be it, one that a constraint has, a numbered column, a name that is taken
CREATE TABLE "No ""key" (a int, b int);
CREATE TABLE taken (id int, b int);
CREATE TABLE numbered (n int GENERATED ALWAYS AS IDENTITY, b int);
CREATE TABLE indexed (a int NOT NULL, b int);
CREATE UNIQUE INDEX indexed_a ON indexed (a);
CREATE TABLE constrained (a int NOT NULL UNIQUE, b int);
CREATE TABLE descending (a int NOT NULL, b int);
CREATE UNIQUE INDEX descending_a ON descending (a DESC);
-- those are none: may be null, partial, of an expression, deferrable
CREATE TABLE not_quite (a int, b int NOT NULL, c int NOT NULL UNIQUE DEFERRABLE);
CREATE UNIQUE INDEX ON not_quite (a);
CREATE UNIQUE INDEX ON not_quite (b) WHERE b > 0;
CREATE UNIQUE INDEX ON not_quite ((b + 1));
-- partitions are judged with their root, and temporary tables and those with a key not at all
CREATE TABLE parted (a int, b int) PARTITION BY RANGE (a);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
CREATE TABLE keyed (a int PRIMARY KEY);
CREATE TABLE parted_keyed (a int PRIMARY KEY) PARTITION BY RANGE (a);
CREATE TABLE parted_keyed_1 PARTITION OF parted_keyed FOR VALUES FROM (0) TO (10);
CREATE TEMP TABLE review_temporary (a int);
CREATE SCHEMA partman;
CREATE TABLE partman.template_review_x (a int);
CREATE TABLE partman.review_x (a int);
SELECT * FROM pg_temp.found('tables.no_primary_key');
SELECT remedy FROM pg_temp.found('tables.no_primary_key') WHERE remedy LIKE 'ALTER%' \gexec
SELECT object FROM pg_temp.found('tables.no_primary_key');

DROP SCHEMA partman CASCADE;

-- no replica identity: only where updates or deletes are published, also by schema and through partitions
CREATE TABLE published (a int);
CREATE TABLE published_keyed (a int PRIMARY KEY);
CREATE TABLE published_full (a int);
ALTER TABLE published_full REPLICA IDENTITY FULL;
CREATE TABLE published_index (a int NOT NULL UNIQUE);
ALTER TABLE published_index REPLICA IDENTITY USING INDEX published_index_a_key;
CREATE TABLE published_deferrable (a int PRIMARY KEY DEFERRABLE);
CREATE TABLE inserted_only (a int);
CREATE UNLOGGED TABLE unlogged (a int);
SET client_min_messages = error;
CREATE PUBLICATION review_pub FOR TABLE published, published_keyed, published_full, published_index, published_deferrable, parted;
CREATE PUBLICATION review_inserts FOR TABLE inserted_only WITH (publish = 'insert');
RESET client_min_messages;
SELECT * FROM pg_temp.found('tables.no_replica_identity');
INSERT INTO published VALUES (1);
UPDATE published SET a = 2;
SELECT remedy FROM pg_temp.found('tables.no_replica_identity') \gexec
UPDATE published SET a = 2;
SELECT object FROM pg_temp.found('tables.no_replica_identity');
DROP PUBLICATION review_pub, review_inserts;
SET client_min_messages = error;
CREATE PUBLICATION review_schema_pub FOR TABLES IN SCHEMA review_keys;
RESET client_min_messages;
SELECT object FROM pg_temp.found('tables.no_replica_identity') WHERE object LIKE '%inserted_only';
DROP PUBLICATION review_schema_pub;

-- unique keys of several columns with a null among them; one of one column may be meant so
CREATE TABLE pairs (id int PRIMARY KEY, a int NOT NULL, b int, CONSTRAINT pairs_ab UNIQUE (a, b));
CREATE TABLE pairs_index (id int PRIMARY KEY, a int NOT NULL, b int);
CREATE UNIQUE INDEX pairs_index_ab ON pairs_index (a, b);
CREATE TABLE pairs_fine (id int PRIMARY KEY, a int NOT NULL, b int, c int UNIQUE, UNIQUE NULLS NOT DISTINCT (a, b), UNIQUE (id, a));
CREATE UNIQUE INDEX ON pairs_fine (a, b) WHERE b IS NOT NULL;
SELECT * FROM pg_temp.found('constraints.nullable_unique');
SELECT remedy FROM pg_temp.found('constraints.nullable_unique') WHERE remedy LIKE 'ALTER%' \gexec
SELECT object FROM pg_temp.found('constraints.nullable_unique');

-- constraints that were never validated, and triggers that do not fire
CREATE TABLE loose (id int PRIMARY KEY, a int);
ALTER TABLE loose ADD CONSTRAINT positive CHECK (a > 0) NOT VALID, ADD CONSTRAINT small CHECK (a < 1000);
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER quiet BEFORE INSERT ON loose FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER loud BEFORE INSERT ON loose FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE loose DISABLE TRIGGER quiet;
SELECT * FROM pg_temp.found('constraints.not_valid');
SELECT * FROM pg_temp.found('triggers.disabled');
SELECT remedy FROM pg_temp.found('constraints.not_valid') UNION ALL SELECT remedy FROM pg_temp.found('triggers.disabled') \gexec
SELECT object FROM pg_temp.found('constraints.not_valid') UNION ALL SELECT object FROM pg_temp.found('triggers.disabled');
-- a foreign key's is graver
CREATE TABLE child (id int PRIMARY KEY, a int REFERENCES loose);
ALTER TABLE child DISABLE TRIGGER ALL;
SELECT DISTINCT severity, message, remedy FROM pg_temp.found('triggers.disabled');
-- nothing is known to be unenforced before 18
SELECT * FROM pg_temp.found('constraints.not_enforced');

DROP SCHEMA review_keys CASCADE;
