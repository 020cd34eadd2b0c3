-- Rules about foreign keys: each with what it finds, what it must not take for
-- that, and its remedy, which is run as it is printed.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_references;
SET search_path = review_references;
CREATE TABLE parent (id int PRIMARY KEY, big bigint UNIQUE, name text UNIQUE, UNIQUE (id, big));

-- without an index, as the report of its own has it, and with one
CREATE TABLE plain (id int PRIMARY KEY, "P" int CONSTRAINT plain_fk REFERENCES parent ON DELETE RESTRICT);
CREATE TABLE served (id int PRIMARY KEY, p int REFERENCES parent ON DELETE RESTRICT);
CREATE INDEX ON served (p);
SELECT * FROM pg_temp.found('foreign_keys.unindexed');
SELECT remedy FROM pg_temp.found('foreign_keys.unindexed') \gexec
SELECT object FROM pg_temp.found('foreign_keys.unindexed');
DROP TABLE plain, served;

-- what becomes of the rows of a parent: not said, said, and as deferred as only NO ACTION can be
CREATE TABLE unstated (id int PRIMARY KEY, p int CONSTRAINT "Unstated" REFERENCES parent ON UPDATE CASCADE);
CREATE TABLE unstated_parted (id int, p int CONSTRAINT unstated_parted_fk REFERENCES parent) PARTITION BY RANGE (id);
CREATE TABLE unstated_parted_1 PARTITION OF unstated_parted FOR VALUES FROM (0) TO (10);
CREATE TABLE stated (a int REFERENCES parent ON DELETE CASCADE, b int REFERENCES parent ON DELETE SET NULL, c int REFERENCES parent ON DELETE RESTRICT,
    d int REFERENCES parent DEFERRABLE INITIALLY DEFERRED);
SELECT * FROM pg_temp.found('foreign_keys.action_unstated');
CREATE TABLE unstated_always (id int PRIMARY KEY, p int CONSTRAINT unstated_always_fk REFERENCES parent);
COMMENT ON CONSTRAINT unstated_always_fk ON unstated_always IS 'said';
SELECT object, remedy FROM pg_temp.found('foreign_keys.action_unstated') WHERE object LIKE '%always%';
DROP TABLE unstated_always;
SELECT regexp_split_to_table(remedy, E'\n') FROM pg_temp.found('foreign_keys.action_unstated') \gexec
SELECT object FROM pg_temp.found('foreign_keys.action_unstated');
SELECT pg_get_constraintdef(oid), convalidated FROM pg_constraint WHERE conname = 'Unstated';
DROP TABLE unstated, unstated_parted, stated;

-- that would set to null what must not be; the columns that it names count alone
CREATE TABLE required (id int PRIMARY KEY, p int NOT NULL CONSTRAINT required_fk REFERENCES parent ON DELETE SET NULL);
CREATE TABLE required_key (p int PRIMARY KEY CONSTRAINT required_key_fk REFERENCES parent ON DELETE SET NULL);
CREATE TABLE required_update (id int PRIMARY KEY, p int NOT NULL CONSTRAINT required_update_fk REFERENCES parent ON UPDATE SET NULL ON DELETE CASCADE);
CREATE TABLE required_both (id int PRIMARY KEY, p int NOT NULL, b bigint NOT NULL,
    CONSTRAINT required_both_fk FOREIGN KEY (p, b) REFERENCES parent (id, big) ON DELETE SET NULL (b) ON UPDATE SET NULL);
CREATE TABLE optional (id int NOT NULL, p int REFERENCES parent ON DELETE SET NULL, b bigint, FOREIGN KEY (id, b) REFERENCES parent (id, big) ON DELETE SET NULL (b));
SELECT * FROM pg_temp.found('foreign_keys.cannot_set_null');
DROP TABLE required, required_key, required_update, required_both, optional;

-- other types: narrower ones cannot reference all keys; a domain and varchar are no other ones
CREATE DOMAIN whole AS int;
CREATE DOMAIN positive AS int CHECK (value > 0);
CREATE TABLE typed_checked (p positive CONSTRAINT typed_domain REFERENCES parent (big));
CREATE TABLE typed (narrow int CONSTRAINT typed_narrow REFERENCES parent (big), wide bigint CONSTRAINT typed_wide REFERENCES parent (id),
    same int REFERENCES parent (id), of_domain whole REFERENCES parent (id), short varchar(10) REFERENCES parent (name));
CREATE TABLE typed_viewed (narrow int CONSTRAINT typed_viewed_fk REFERENCES parent (big));
CREATE VIEW typed_view AS SELECT narrow FROM typed_viewed;
SELECT * FROM pg_temp.found('foreign_keys.type_mismatch');
SELECT remedy FROM pg_temp.found('foreign_keys.type_mismatch') WHERE remedy LIKE 'ALTER%' \gexec
SELECT object FROM pg_temp.found('foreign_keys.type_mismatch');
DROP TABLE typed, typed_viewed CASCADE;

-- twice the same; other columns, or another table, are not
CREATE TABLE twice (a int, b int, c bigint, CONSTRAINT first_one FOREIGN KEY (a) REFERENCES parent (id), CONSTRAINT second_one FOREIGN KEY (a) REFERENCES parent (id),
    CONSTRAINT pair FOREIGN KEY (a, c) REFERENCES parent (id, big), CONSTRAINT pair_turned FOREIGN KEY (c, a) REFERENCES parent (big, id), FOREIGN KEY (b) REFERENCES parent (id));
CREATE TABLE twice_otherwise (a int CONSTRAINT kept REFERENCES parent ON DELETE CASCADE CONSTRAINT other REFERENCES parent ON DELETE RESTRICT);
-- the one that is kept must do all that the other one does
CREATE TABLE twice_full (a int, b int, CONSTRAINT simple FOREIGN KEY (a, b) REFERENCES parent (id, big), CONSTRAINT whole FOREIGN KEY (a, b) REFERENCES parent (id, big) MATCH FULL);
CREATE TABLE twice_later (a int CONSTRAINT later REFERENCES parent DEFERRABLE INITIALLY DEFERRED CONSTRAINT at_once REFERENCES parent);
CREATE TABLE twice_some (a int, b int, CONSTRAINT both_null FOREIGN KEY (a, b) REFERENCES parent (id, big) ON DELETE SET NULL,
    CONSTRAINT one_null FOREIGN KEY (a, b) REFERENCES parent (id, big) ON DELETE SET NULL (b));
CREATE TABLE twice_off (a int CONSTRAINT switched_off REFERENCES parent);
ALTER TABLE twice_off DISABLE TRIGGER ALL;
ALTER TABLE twice_off ADD CONSTRAINT works FOREIGN KEY (a) REFERENCES parent;
SELECT * FROM pg_temp.found('foreign_keys.duplicate');
SELECT remedy FROM pg_temp.found('foreign_keys.duplicate') WHERE remedy LIKE 'ALTER%' \gexec
SELECT object FROM pg_temp.found('foreign_keys.duplicate');

DROP SCHEMA review_references CASCADE;
