-- Who is named by schema_drift() for what a command changes along: nobody else than
-- who gave it, also where somebody had changed the same table before. Plain SQL.
\set SHOW_CONTEXT never
\set VERBOSITY terse
SET client_min_messages = error;
CREATE ROLE regress_who_maria SUPERUSER;
CREATE ROLE regress_who_bob SUPERUSER;
CREATE ROLE regress_who_owner;
SELECT dbops.accept_drift('a test begins') >= 0 AS accepted;
CREATE SCHEMA who;
CREATE SCHEMA who_too;
SET search_path = who;
CREATE FUNCTION changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE FUNCTION heard() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE TABLE p (a int, b int, c int) PARTITION BY RANGE (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES FROM (0) TO (10);
CREATE TABLE p2 (a int, b int, c int, CHECK (b > 5));
CREATE INDEX ON p2 (b);
CREATE TRIGGER t BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION changed();
CREATE TABLE parent (a int, b int);
CREATE TABLE child () INHERITS (parent);
CREATE TABLE t (id serial PRIMARY KEY, b int CHECK (b > 0), i int GENERATED ALWAYS AS IDENTITY, g int GENERATED ALWAYS AS (b + 1) STORED);
CREATE INDEX t_b ON t (b);
CREATE VIEW v AS SELECT id, b AS x FROM t;
CREATE POLICY b ON t USING (b > 0);
CREATE STATISTICS s ON b, g FROM t;
CREATE TABLE refers (t int REFERENCES t);
CREATE TABLE owned (a serial);
ALTER TABLE owned OWNER TO regress_who_owner;
CREATE TABLE who_too.a (x int);
CREATE FUNCTION who_too.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE VIEW v_too AS SELECT x FROM who_too.a;
CREATE TYPE mood AS ENUM ('sad');
CREATE FUNCTION of_mood(mood, mood[]) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION f(int) RETURNS boolean IMMUTABLE LANGUAGE sql AS 'SELECT true';
CREATE TABLE moods (a mood, b mood[], CONSTRAINT checked CHECK (who.f(1)));
CREATE VIEW v_f AS SELECT f(id) FROM t;
CREATE PUBLICATION regress_who FOR TABLE owned;
CREATE EVENT TRIGGER regress_who ON sql_drop EXECUTE FUNCTION heard();
SELECT dbops.accept_drift('a test has its tables') > 0 AS accepted;
-- somebody has been here before
SET ROLE regress_who_maria;
ALTER TABLE p1 SET (fillfactor = 90);
ALTER TABLE p1 RESET (fillfactor);
COMMENT ON TABLE t IS 'of maria';
COMMENT ON TABLE t IS NULL;
COMMENT ON VIEW v IS 'of maria';
COMMENT ON VIEW v IS NULL;
COMMENT ON TABLE owned IS 'of maria';
COMMENT ON TABLE owned IS NULL;
RESET ROLE;
RESET search_path;

-- Who is named when Bob has done this, which is then undone?
CREATE FUNCTION pg_temp.bob(command text, OUT done text, OUT differences boolean, OUT others text) LANGUAGE plpgsql AS $$
BEGIN
  done := command;
  BEGIN
    SET LOCAL ROLE regress_who_bob;
    EXECUTE command;
    RESET ROLE;
    SELECT count(*) > 0, string_agg(concat_ws(' ', change, kind, object, 'by', role_name), ', ' ORDER BY change, kind, object) FILTER (WHERE role_name IS DISTINCT FROM 'regress_who_bob')
      INTO differences, others FROM dbops.schema_drift();
    RAISE 'undo';
  EXCEPTION WHEN raise_exception THEN
  END;
END $$;
SELECT b.* FROM unnest(ARRAY[
  'ALTER TABLE who.p ADD COLUMN d int',
  'ALTER TABLE who.p RENAME b TO z',
  'ALTER TABLE who.p DROP COLUMN b',
  'ALTER TABLE who.p ADD CONSTRAINT positive CHECK (b > 0)',
  'ALTER TABLE who.p ADD PRIMARY KEY (a)',
  'ALTER TABLE who.p ADD FOREIGN KEY (c) REFERENCES who.t',
  'CREATE INDEX ON who.p (b)',
  'CREATE TRIGGER u BEFORE INSERT ON who.p FOR EACH ROW EXECUTE FUNCTION who.changed()',
  'ALTER TRIGGER t ON who.p RENAME TO u',
  'ALTER TABLE who.p DISABLE TRIGGER t',
  'ALTER TABLE who.p ATTACH PARTITION who.p2 FOR VALUES FROM (10) TO (20)',
  'ALTER TABLE who.p DETACH PARTITION who.p1',
  'ALTER TABLE who.parent ADD COLUMN c int',
  'ALTER TABLE who.parent RENAME b TO c',
  'ALTER TABLE who.t RENAME b TO z',
  'ALTER TABLE who.t RENAME TO u',
  'ALTER TABLE who.t SET SCHEMA who_too',
  'ALTER TABLE who.t OWNER TO regress_who_owner',
  'ALTER TABLE who.t ALTER i DROP IDENTITY',
  'ALTER INDEX who.t_pkey RENAME TO key',
  'ALTER SCHEMA who_too RENAME TO who_three',
  'ALTER TYPE who.mood RENAME TO humour',
  'ALTER TYPE who.mood SET SCHEMA who_too',
  'ALTER FUNCTION who.f RENAME TO g',
  'ALTER FUNCTION who.f SET SCHEMA who_too',
  'CREATE TYPE who.span AS RANGE (subtype = int)',
  'ALTER PUBLICATION regress_who ADD TABLE who.refers',
  'ALTER PUBLICATION regress_who DROP TABLE who.owned',
  'ALTER PUBLICATION regress_who SET TABLE who.refers',
  'REASSIGN OWNED BY regress_who_owner TO regress_who_bob',
  'ALTER DEFAULT PRIVILEGES IN SCHEMA who GRANT SELECT ON TABLES TO regress_who_owner',
  'ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO regress_who_owner',
  'CREATE EVENT TRIGGER regress_who_too ON sql_drop EXECUTE FUNCTION who.heard()',
  'ALTER EVENT TRIGGER regress_who RENAME TO regress_who_too',
  'DROP EVENT TRIGGER regress_who',
  'DROP TABLE who.moods; CREATE TABLE who.moods (a int, c int)',
  'ALTER TABLE who.moods RENAME TO moods_old; CREATE TABLE who.moods (a int, c int)'
]) c, pg_temp.bob(c) b;

-- What nobody is known to have done is nobody's, whoever has changed the table otherwise.
SET ROLE regress_who_maria;
COMMENT ON TABLE who.t IS 'of maria';
RESET ROLE;
SET dbops.record_ddl = off;
ALTER TABLE who.t ADD COLUMN unrecorded int;
RESET dbops.record_ddl;
SELECT object, role_name, left(remark, 37) AS remark FROM dbops.schema_drift();

-- What is temporary is not in the record, nor what is part of it.
SELECT coalesce(max(transaction_id), 0) AS last FROM dbops.ddl_history() \gset
CREATE TEMP TABLE tt (a int);
CREATE TEMP VIEW tv AS SELECT * FROM tt;
CREATE TRIGGER x BEFORE INSERT ON tt FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger();
ALTER TABLE tt RENAME a TO b;
DROP TABLE tt CASCADE;
CREATE FUNCTION pg_temp.f() RETURNS int LANGUAGE sql AS 'SELECT 1';
GRANT EXECUTE ON FUNCTION pg_temp.f() TO PUBLIC;
SELECT command, objects FROM dbops.ddl_history() WHERE transaction_id > :last;

DROP PUBLICATION regress_who;
DROP EVENT TRIGGER regress_who;
DROP SCHEMA who, who_too CASCADE;
SELECT dbops.accept_drift('a test ends') >= 0 AS accepted;
DROP ROLE regress_who_maria, regress_who_bob, regress_who_owner;
