-- Checks of the catalogs, each provoked: what is broken, switched off or near
-- its end is found by name, with a remedy that can be run; what is not is ok.
-- Names that must be quoted are used, since a remedy is SQL.
\set VERBOSITY terse
CREATE SCHEMA "Check ""s";
SET search_path = "Check ""s";
CREATE FUNCTION pg_temp.findings(like_name text) RETURNS TABLE (check_name text, severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.check_name, f.severity, f.object, f.message, f.remedy FROM dbops.health_checks() f WHERE f.check_name LIKE like_name ORDER BY f.key $$;

-- a constraint that existing rows need not fulfil; a trigger that does not fire, and a foreign key's
CREATE TABLE "T" (id int PRIMARY KEY, parent int);
CREATE TABLE child (id int, parent int REFERENCES "T");
ALTER TABLE "T" ADD CONSTRAINT "Positive" CHECK (id > 0) NOT VALID;
CREATE FUNCTION nothing() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER quiet BEFORE INSERT ON "T" FOR EACH ROW EXECUTE FUNCTION nothing();
SELECT * FROM pg_temp.findings('constraints.%');
SELECT * FROM pg_temp.findings('triggers.%');
ALTER TABLE "T" DISABLE TRIGGER quiet;
SELECT * FROM pg_temp.findings('triggers.%');
ALTER TABLE child DISABLE TRIGGER ALL;
SELECT severity, object, message, regexp_replace(remedy, '_[ac]_\d+', '_N', 'g') AS remedy FROM pg_temp.findings('triggers.%');
ALTER TABLE child ENABLE TRIGGER ALL;
ALTER TABLE "T" ENABLE TRIGGER quiet;
ALTER TABLE "T" VALIDATE CONSTRAINT "Positive";
SELECT severity FROM pg_temp.findings('constraints.%') UNION ALL SELECT severity FROM pg_temp.findings('triggers.%');

-- of a partitioned table only the constraint that was declared counts
CREATE TABLE parts (id int) PARTITION BY RANGE (id);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES FROM (0) TO (10);
CREATE TABLE parts_2 PARTITION OF parts FOR VALUES FROM (10) TO (20);
ALTER TABLE parts ADD CONSTRAINT small CHECK (id < 100) NOT VALID;
SELECT object FROM pg_temp.findings('constraints.%');

-- an index that was not built to its end, and one that lacks a partition's
INSERT INTO child SELECT NULL, NULL FROM generate_series(1, 2);
INSERT INTO child VALUES (1), (1);
\set ON_ERROR_STOP 0
CREATE UNIQUE INDEX CONCURRENTLY "Child id" ON child (id);
CREATE INDEX parts_id ON ONLY parts (id);
SELECT * FROM pg_temp.findings('indexes.%');
DROP INDEX "Child id";
DROP INDEX parts_id;
DROP TABLE parts;

-- sequences: the column's type counts, which way they run, and those without end do not
CREATE TABLE numbered (small smallserial, normal serial, large bigserial);
CREATE SEQUENCE alone MAXVALUE 1000;
CREATE TABLE uses_alone (id int2 DEFAULT nextval('alone'));
CREATE SEQUENCE downward INCREMENT -1 MINVALUE -100 MAXVALUE -1;
CREATE SEQUENCE round_and_round MAXVALUE 10 CYCLE;
CREATE SEQUENCE for_int AS bigint;
CREATE TABLE uses_int (id int DEFAULT nextval('for_int'));
SELECT severity, message <> '' AS said FROM pg_temp.findings('sequences.%');
SELECT setval('numbered_small_seq', 25000), setval('numbered_large_seq', 2147483000), setval('alone', 950), setval('downward', -80),
       setval('round_and_round', 9), setval('for_int', 2147483000);
SELECT severity, object, message, remedy FROM pg_temp.findings('sequences.%') ORDER BY 2;

-- who may not use them sees the same, and one that is being altered is not waited for
CREATE ROLE regress_monitor IN ROLE pg_monitor;
SET ROLE regress_monitor;
SELECT count(*) FROM dbops.health_checks() WHERE check_name = 'sequences.exhaustion' AND severity IN ('warning', 'critical');
RESET ROLE;
DROP ROLE regress_monitor;
SELECT setval('numbered_small_seq', 1), setval('alone', 1), setval('downward', -1), setval('for_int', 1) \g /dev/null
SELECT severity FROM pg_temp.findings('sequences.%');

-- no more than ten by name, the others as a number
SELECT format('CREATE TABLE many_%s (id int CONSTRAINT c CHECK (id > 0) NO INHERIT)', g) FROM generate_series(1, 13) g \gexec
SELECT format('ALTER TABLE many_%s ADD CONSTRAINT later CHECK (id < 100) NOT VALID', g) FROM generate_series(1, 13) g \gexec
SELECT count(*) AS findings, count(object) AS by_name, max(message) FILTER (WHERE object IS NULL) AS others,
       min((data->>'value')::int) AS value
  FROM dbops.health_checks() WHERE check_name = 'constraints.not_valid';

-- a change of the threshold changes what is found
SELECT dbops.set_check('constraints.not_valid', warning => 20);
SELECT severity, message FROM pg_temp.findings('constraints.%') LIMIT 1;
SELECT dbops.reset_check('constraints.not_valid');

-- what the server has is newer than what is installed
CREATE EXTENSION pg_stat_statements VERSION '1.8';
SELECT severity, object, regexp_replace(message, 'has .*', 'has ...') AS message, remedy FROM pg_temp.findings('extensions.%');
DROP EXTENSION pg_stat_statements;

-- roles and databases with limits
CREATE ROLE "Regress limited" CONNECTION LIMIT 5;
SELECT severity, message FROM pg_temp.findings('connections.role_limit');
DROP ROLE "Regress limited";
ALTER DATABASE :"DBNAME" CONNECTION LIMIT 1;
SELECT severity, message, replace(remedy, quote_ident(current_database()), 'this') AS remedy FROM pg_temp.findings('connections.database_limit');
ALTER DATABASE :"DBNAME" CONNECTION LIMIT -1;

-- a key is the same however a session spells names
CREATE SEQUENCE "Check ""s".near_end MAXVALUE 100;
SELECT setval('"Check ""s".near_end', 99);
SET quote_all_identifiers = on;
SELECT key FROM dbops.health_checks() WHERE key LIKE '%near_end%';
SET dbops.health_max_age = 0;
SELECT line LIKE '%Check ""s".near_end%' AS same FROM regexp_split_to_table(dbops.nagios('sequences.exhaustion'), E'\n') line WHERE line LIKE '%near_end%';
SHOW quote_all_identifiers;
RESET quote_all_identifiers;
RESET dbops.health_max_age;

DROP SCHEMA "Check ""s" CASCADE;
