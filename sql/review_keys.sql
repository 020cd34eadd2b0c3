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
-- an index of another order than the type's own is remade, and so is a large table no wider by itself
CREATE TABLE by_pattern (name text NOT NULL, b int);
CREATE UNIQUE INDEX by_pattern_name ON by_pattern (name text_pattern_ops);
CREATE TABLE large (a int, b int);
UPDATE pg_class SET relpages = 131072 WHERE oid = 'large'::regclass;
-- those are none: may be null, partial, of an expression, deferrable
CREATE TABLE not_quite (a int, b int NOT NULL, c int NOT NULL UNIQUE DEFERRABLE);
CREATE UNIQUE INDEX ON not_quite (a);
CREATE UNIQUE INDEX ON not_quite (b) WHERE b > 0;
CREATE UNIQUE INDEX ON not_quite ((b + 1));
-- a key of an expression tells rows apart too
CREATE TABLE spelled (name text NOT NULL);
CREATE UNIQUE INDEX spelled_name ON spelled (lower(name));
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
CREATE TABLE parent_plain (a int);
CREATE TABLE heir_plain (b int) INHERITS (parent_plain);
-- a column more is to be on the subscribers first
CREATE TABLE replicated (a int);
SET client_min_messages = error;
CREATE PUBLICATION review_replicated FOR TABLE replicated;
RESET client_min_messages;
SELECT * FROM pg_temp.found('tables.no_primary_key');
DROP PUBLICATION review_replicated;
DROP TABLE replicated;
SELECT remedy FROM pg_temp.found('tables.no_primary_key') WHERE remedy LIKE 'ALTER%' \gexec
SELECT object FROM pg_temp.found('tables.no_primary_key');

DROP SCHEMA partman CASCADE;
-- a template of something else
CREATE TABLE template_mail (a int);
SELECT object FROM pg_temp.found('tables.no_primary_key') WHERE object LIKE '%mail';

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
-- made anew, it would not be what it was
CREATE TABLE pairs_packed (id int PRIMARY KEY, a int NOT NULL, b int, CONSTRAINT pairs_packed_ab UNIQUE (a, b) WITH (fillfactor = 50));
CREATE TABLE pairs_named (id int PRIMARY KEY, a int NOT NULL, b int, CONSTRAINT pairs_named_ab UNIQUE (a, b));
COMMENT ON CONSTRAINT pairs_named_ab ON pairs_named IS 'named';
CREATE TABLE pairs_referenced (id int PRIMARY KEY, a int NOT NULL, b int, CONSTRAINT pairs_referenced_ab UNIQUE (a, b));
CREATE TABLE pairs_child (id int PRIMARY KEY, a int, b int, FOREIGN KEY (a, b) REFERENCES pairs_referenced (a, b));
SELECT * FROM pg_temp.found('constraints.nullable_unique');

-- constraints that were never validated, and triggers that do not fire
CREATE TABLE loose (id int PRIMARY KEY, a int);
ALTER TABLE loose ADD CONSTRAINT positive CHECK (a > 0) NOT VALID, ADD CONSTRAINT small CHECK (a < 1000);
CREATE DOMAIN even AS int;
ALTER DOMAIN even ADD CONSTRAINT even_only CHECK (VALUE % 2 = 0) NOT VALID;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER quiet BEFORE INSERT ON loose FOR EACH ROW EXECUTE FUNCTION nothing();
CREATE TRIGGER loud BEFORE INSERT ON loose FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE loose DISABLE TRIGGER quiet;
SELECT * FROM pg_temp.found('constraints.not_valid');
SELECT * FROM pg_temp.found('triggers.disabled');
SELECT remedy FROM pg_temp.found('constraints.not_valid') UNION ALL SELECT remedy FROM pg_temp.found('triggers.disabled') \gexec
SELECT object FROM pg_temp.found('constraints.not_valid') UNION ALL SELECT object FROM pg_temp.found('triggers.disabled');
-- a foreign key's is graver, is one by its name, and is not enabled with others; so it is on one partition alone
CREATE TABLE child (id int PRIMARY KEY, a int CONSTRAINT "Child's" REFERENCES loose);
CREATE TRIGGER quiet BEFORE INSERT ON child FOR EACH ROW EXECUTE FUNCTION nothing();
ALTER TABLE child DISABLE TRIGGER ALL;
ALTER TABLE loose DISABLE TRIGGER ALL;
CREATE TABLE child_parted (id int, a int CONSTRAINT parted_fk REFERENCES keyed) PARTITION BY RANGE (id);
CREATE TABLE child_parted_1 PARTITION OF child_parted FOR VALUES FROM (0) TO (10);
CREATE TABLE child_parted_2 PARTITION OF child_parted FOR VALUES FROM (10) TO (20);
ALTER TABLE child_parted_1 DISABLE TRIGGER ALL;
SELECT severity, object, message, regexp_replace(remedy, '_[ac]_\d+', '_N', 'g') AS remedy FROM pg_temp.found('triggers.disabled');
SELECT r.key FROM dbops.review_schema('{triggers.disabled}') r JOIN dbops.health_checks() h USING (key, message, remedy) WHERE r.key LIKE '%Child''s%';
\set ECHO none
SELECT regexp_split_to_table(remedy, E'\n') FROM pg_temp.found('triggers.disabled') WHERE severity = 'critical' \gexec
\set ECHO all
SELECT object FROM pg_temp.found('triggers.disabled');
-- nothing is known to be unenforced before 18
SELECT * FROM pg_temp.found('constraints.not_enforced');

DROP SCHEMA review_keys CASCADE;
