-- schema_snapshot() and schema_diff() see each thing that a text changes, and
-- nothing else, and nothing when a second text has taken it back. Plain SQL,
-- because the catalogs say all there is.
\set VERBOSITY terse
\pset format unaligned
\pset tuples_only on
SET client_min_messages = error;
CREATE ROLE regress_snapshot SUPERUSER;
CREATE ROLE "regress other";
SET ROLE regress_snapshot;

-- Lists what the first text changes; what the second one does not take back has another mark.
CREATE TEMP TABLE was AS SELECT dbops.schema_snapshot() AS snapshot;
CREATE FUNCTION pg_temp.there_and_back(up text, down text) RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    after jsonb;
BEGIN
    EXECUTE up;
    RETURN QUERY SELECT concat_ws(' ', change, kind, object, attribute, '[' || old_value || ']', '-> [' || new_value || ']')
        FROM dbops.schema_diff((SELECT snapshot FROM was), dbops.schema_snapshot());
    EXECUTE down;
    after := dbops.schema_snapshot();
    RETURN QUERY SELECT concat_ws(' ', 'NOT TAKEN BACK:', change, kind, object, attribute, '[' || old_value || ']', '-> [' || new_value || ']')
        FROM dbops.schema_diff((SELECT snapshot FROM was), after);
    UPDATE was SET snapshot = after;
END $$;
CREATE SCHEMA snap;
CREATE TABLE snap.t (a int, "B b" text DEFAULT 'x', c numeric);
CREATE TABLE snap."T.2" (id int);
CREATE TABLE snap.u2 (b text UNIQUE);
CREATE TABLE snap.g (a int, c int, b int GENERATED ALWAYS AS (a * 2 + 1) STORED);
ALTER TABLE snap.t ADD id int;
UPDATE was SET snapshot = dbops.schema_snapshot();

\echo -- schemas
SELECT pg_temp.there_and_back($$
    CREATE SCHEMA more; CREATE TABLE more.t (a int); COMMENT ON SCHEMA snap IS 'snap'; GRANT USAGE ON SCHEMA snap TO "regress other"$$, $$
    DROP SCHEMA more CASCADE; COMMENT ON SCHEMA snap IS NULL; REVOKE ALL ON SCHEMA snap FROM "regress other"$$);

\echo -- tables
SELECT pg_temp.there_and_back($$
    CREATE TABLE snap.u (a serial PRIMARY KEY, b text CHECK (b > '') REFERENCES snap.u2 (b));
    CREATE INDEX ON snap.u (b); CREATE STATISTICS snap.us ON a, b FROM snap.u; COMMENT ON COLUMN snap.u.b IS 'b'$$, $$
    DROP TABLE snap.u$$);
SELECT pg_temp.there_and_back($$
    ALTER TABLE snap.t OWNER TO "regress other"; ALTER TABLE snap.t SET UNLOGGED; ALTER TABLE snap.t SET (fillfactor = 70, toast.autovacuum_enabled = off); ALTER TABLE snap.t REPLICA IDENTITY FULL;
    ALTER TABLE snap.t ENABLE ROW LEVEL SECURITY; ALTER TABLE snap.t FORCE ROW LEVEL SECURITY; COMMENT ON TABLE snap.t IS 'It''s'; ALTER TABLE snap.t INHERIT snap."T.2"$$, $$
    ALTER TABLE snap.t OWNER TO regress_snapshot; ALTER TABLE snap.t SET LOGGED; ALTER TABLE snap.t RESET (fillfactor, toast.autovacuum_enabled); ALTER TABLE snap.t REPLICA IDENTITY DEFAULT;
    ALTER TABLE snap.t DISABLE ROW LEVEL SECURITY; ALTER TABLE snap.t NO FORCE ROW LEVEL SECURITY; COMMENT ON TABLE snap.t IS NULL; ALTER TABLE snap.t NO INHERIT snap."T.2"$$);
SELECT pg_temp.there_and_back($$
    GRANT SELECT, INSERT ON snap.t TO "regress other", PUBLIC; GRANT UPDATE ON snap.t TO "regress other" WITH GRANT OPTION; ALTER TABLE snap.g RENAME TO "T 3"$$, $$
    REVOKE ALL ON snap.t FROM "regress other", PUBLIC; ALTER TABLE snap."T 3" RENAME TO g$$);

\echo -- columns
SELECT pg_temp.there_and_back($$
    ALTER TABLE snap.t ADD d int; ALTER TABLE snap.t RENAME c TO c2; ALTER TABLE snap.t ALTER c2 TYPE numeric(10, 2), ALTER a SET NOT NULL, ALTER a ADD GENERATED ALWAYS AS IDENTITY;
    ALTER TABLE snap.t ALTER "B b" TYPE text COLLATE "C", ALTER "B b" SET DEFAULT 'y', ALTER id SET DEFAULT 1, ALTER id SET NOT NULL; ALTER TABLE snap.g ALTER b DROP EXPRESSION$$, $$
    ALTER TABLE snap.t DROP d; ALTER TABLE snap.t ALTER c2 TYPE numeric, ALTER a DROP IDENTITY, ALTER a DROP NOT NULL; ALTER TABLE snap.t RENAME c2 TO c;
    ALTER TABLE snap.t ALTER "B b" TYPE text, ALTER "B b" SET DEFAULT 'x', ALTER id DROP DEFAULT, ALTER id DROP NOT NULL; ALTER TABLE snap.g DROP b; ALTER TABLE snap.g ADD b int GENERATED ALWAYS AS (a * 2 + 1) STORED$$);
SELECT pg_temp.there_and_back($$
    ALTER TABLE snap.t ALTER "B b" SET STORAGE external, ALTER "B b" SET COMPRESSION pglz, ALTER a SET STATISTICS 500, ALTER a SET (n_distinct = 5), ALTER c TYPE int;
    COMMENT ON COLUMN snap.t."B b" IS 'b'; GRANT UPDATE ("B b") ON snap.t TO "regress other"$$, $$
    ALTER TABLE snap.t ALTER "B b" SET STORAGE extended, ALTER "B b" SET COMPRESSION default, ALTER a SET STATISTICS -1, ALTER a RESET (n_distinct), ALTER c TYPE numeric;
    COMMENT ON COLUMN snap.t."B b" IS NULL; REVOKE ALL ("B b") ON snap.t FROM "regress other"$$);
-- a column that is dropped and added again is the last one
SELECT pg_temp.there_and_back('ALTER TABLE snap.t DROP a, ADD e int', 'ALTER TABLE snap.t DROP e, ADD a int');

\echo -- constraints
ALTER TABLE snap.t ADD CONSTRAINT ck CHECK ("B b" <> '' AND a > 0 AND tableoid <> 0) NOT VALID, ADD CONSTRAINT f FOREIGN KEY ("B b") REFERENCES snap.u2 (b) ON DELETE CASCADE NOT VALID,
    ADD CONSTRAINT ex EXCLUDE USING gist (int4range(a, id) WITH &&) WHERE (a < id);
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'constraint' -> name FROM was, unnest('{snap.t.ck, snap.t.f, snap.t.ex, snap.u2.u2_b_key}'::text[]) name;
SELECT pg_temp.there_and_back($$ALTER TABLE snap.t VALIDATE CONSTRAINT ck, VALIDATE CONSTRAINT f; ALTER TABLE snap.t ALTER CONSTRAINT f DEFERRABLE INITIALLY DEFERRED; COMMENT ON CONSTRAINT ck ON snap.t IS 'ck'$$,
    $$ALTER TABLE snap.t DROP CONSTRAINT ck, DROP CONSTRAINT f; ALTER TABLE snap.t ADD CONSTRAINT ck CHECK ("B b" <> '' AND a > 0 AND tableoid <> 0) NOT VALID,
      ADD CONSTRAINT f FOREIGN KEY ("B b") REFERENCES snap.u2 (b) ON DELETE CASCADE NOT VALID$$);
SELECT pg_temp.there_and_back($$
    ALTER TABLE snap.u2 RENAME CONSTRAINT u2_b_key TO k; ALTER TABLE snap.t ADD CONSTRAINT u UNIQUE (id) INCLUDE (c); ALTER TABLE snap.t DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK (a > 1) NO INHERIT;
    ALTER TABLE snap.t DROP CONSTRAINT f, ADD CONSTRAINT f FOREIGN KEY ("B b") REFERENCES snap.u2 (b) MATCH FULL ON UPDATE RESTRICT ON DELETE SET NULL ("B b") NOT VALID$$, $$
    ALTER TABLE snap.u2 RENAME CONSTRAINT k TO u2_b_key; ALTER TABLE snap.t DROP CONSTRAINT u; ALTER TABLE snap.t DROP CONSTRAINT ck, ADD CONSTRAINT ck CHECK ("B b" <> '' AND a > 0 AND tableoid <> 0) NOT VALID;
    ALTER TABLE snap.t DROP CONSTRAINT f, ADD CONSTRAINT f FOREIGN KEY ("B b") REFERENCES snap.u2 (b) ON DELETE CASCADE NOT VALID$$);

\echo -- indexes
CREATE INDEX i ON snap.t (lower("B b") COLLATE "C" DESC, a NULLS FIRST, (a + id), "B b" text_pattern_ops) INCLUDE (c) WHERE a > 0;
CREATE UNIQUE INDEX iu ON snap.t (a) NULLS NOT DISTINCT;
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'index' -> name FROM was, unnest('{snap.i, snap.iu, snap.ex, snap.u2_b_key}'::text[]) name;
SELECT pg_temp.there_and_back($$ALTER INDEX snap.i SET (fillfactor = 50); ALTER INDEX snap.i ALTER COLUMN 1 SET STATISTICS 500; COMMENT ON INDEX snap.i IS 'i'; ALTER TABLE snap.t CLUSTER ON iu$$,
    $$ALTER INDEX snap.i RESET (fillfactor); ALTER INDEX snap.i ALTER COLUMN 1 SET STATISTICS -1; COMMENT ON INDEX snap.i IS NULL; ALTER TABLE snap.t SET WITHOUT CLUSTER$$);
SELECT pg_temp.there_and_back('DROP INDEX snap.i; CREATE INDEX i ON snap.t (lower("B b"), a) WHERE a > 1; CREATE INDEX i2 ON snap.t (a); UPDATE pg_index SET indisvalid = false WHERE indexrelid = ''snap.iu''::regclass',
    'UPDATE pg_index SET indisvalid = true WHERE indexrelid = ''snap.iu''::regclass; DROP INDEX snap.i, snap.i2; CREATE INDEX i ON snap.t (lower("B b") COLLATE "C" DESC, a NULLS FIRST, (a + id), "B b" text_pattern_ops) INCLUDE (c) WHERE a > 0');

\echo -- partitions
CREATE TABLE snap.p (a int, b text) PARTITION BY RANGE ((a + 1), b COLLATE "C");
CREATE TABLE snap.p1 PARTITION OF snap.p FOR VALUES FROM (1, MINVALUE) TO (10, 'x');
CREATE INDEX ON snap.p (a);
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'table' -> 'snap.p' -> 'partition_key', snapshot -> 'table' -> 'snap.p1' ->> 'partition_bound', snapshot -> 'index' -> 'snap.p1_a_idx' FROM was;
SELECT pg_temp.there_and_back('ALTER TABLE snap.p DETACH PARTITION snap.p1; CREATE TABLE snap.p2 PARTITION OF snap.p DEFAULT',
    $$DROP TABLE snap.p2; ALTER TABLE snap.p ATTACH PARTITION snap.p1 FOR VALUES FROM (1, MINVALUE) TO (10, 'x')$$);

\echo -- statistics, sequences
CREATE STATISTICS snap.st ON a, lower("B b") FROM snap.t;
CREATE SEQUENCE snap.s;
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'statistics' -> 'snap.st' FROM was;
SELECT pg_temp.there_and_back($$
    ALTER STATISTICS snap.st SET STATISTICS 500; ALTER SEQUENCE snap.s AS int START 5 INCREMENT 2 MINVALUE 3 MAXVALUE 100 CACHE 10 CYCLE RESTART 5 OWNED BY snap.t.a;
    COMMENT ON SEQUENCE snap.s IS 's'; GRANT USAGE ON SEQUENCE snap.s TO PUBLIC; REVOKE UPDATE ON SEQUENCE snap.s FROM regress_snapshot$$, $$
    ALTER STATISTICS snap.st SET STATISTICS -1; ALTER SEQUENCE snap.s AS bigint START 1 INCREMENT 1 NO MINVALUE NO MAXVALUE CACHE 1 NO CYCLE RESTART 1 OWNED BY NONE;
    COMMENT ON SEQUENCE snap.s IS NULL; REVOKE ALL ON SEQUENCE snap.s FROM PUBLIC; GRANT UPDATE ON SEQUENCE snap.s TO regress_snapshot; SELECT nextval('snap.s')$$);

\echo -- views, rules, triggers, policies
CREATE VIEW snap.v WITH (security_barrier) AS SELECT 1 AS a;
CREATE MATERIALIZED VIEW snap.m AS SELECT 1 AS a;
CREATE RULE r AS ON INSERT TO snap."T.2" DO ALSO NOTIFY x;
CREATE FUNCTION snap.tf() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER tr BEFORE INSERT OR UPDATE OF a, "B b" ON snap.t FOR EACH ROW WHEN (NEW.a > 0) EXECUTE FUNCTION snap.tf('x', 'it''s');
CREATE TRIGGER tr2 AFTER UPDATE ON snap.t REFERENCING OLD TABLE AS was NEW TABLE AS "is" FOR EACH STATEMENT EXECUTE FUNCTION snap.tf();
CREATE TRIGGER tr3 AFTER UPDATE ON snap.t FOR EACH ROW WHEN (OLD.* IS DISTINCT FROM NEW.* AND OLD.a < NEW.a) EXECUTE FUNCTION snap.tf();
CREATE POLICY po ON snap.t FOR UPDATE TO "regress other" USING (a > 0) WITH CHECK (EXISTS (SELECT FROM snap.u2 WHERE u2.b = t."B b" AND t.a > 1));
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> kind FROM was, unnest('{view, materialized view, rule, trigger, policy}'::text[]) kind;
SELECT pg_temp.there_and_back('CREATE OR REPLACE VIEW snap.v AS SELECT 1 AS a, ''x''::text AS b; ALTER VIEW snap.v ALTER a SET DEFAULT 1; ALTER MATERIALIZED VIEW snap.m SET (fillfactor = 50)',
    'DROP VIEW snap.v; CREATE VIEW snap.v WITH (security_barrier) AS SELECT 1 AS a; ALTER MATERIALIZED VIEW snap.m RESET (fillfactor)');
SELECT pg_temp.there_and_back('DROP VIEW snap.v; DROP MATERIALIZED VIEW snap.m', 'CREATE VIEW snap.v WITH (security_barrier) AS SELECT 1 AS a; CREATE MATERIALIZED VIEW snap.m AS SELECT 1 AS a');
SELECT pg_temp.there_and_back('CREATE OR REPLACE RULE r AS ON INSERT TO snap."T.2" DO ALSO NOTIFY y; ALTER TABLE snap."T.2" DISABLE RULE r',
    'CREATE OR REPLACE RULE r AS ON INSERT TO snap."T.2" DO ALSO NOTIFY x; ALTER TABLE snap."T.2" ENABLE RULE r');
SELECT pg_temp.there_and_back('ALTER TABLE snap.t DISABLE TRIGGER tr, ENABLE ALWAYS TRIGGER tr2; ALTER TRIGGER tr3 ON snap.t RENAME TO tr4',
    'ALTER TABLE snap.t ENABLE TRIGGER tr, ENABLE TRIGGER tr2; ALTER TRIGGER tr4 ON snap.t RENAME TO tr3');
-- rights on what the server brings
SELECT pg_temp.there_and_back('GRANT EXECUTE ON FUNCTION pg_read_file(text) TO "regress other"; REVOKE EXECUTE ON FUNCTION lower(text) FROM PUBLIC; GRANT SELECT ON pg_authid TO "regress other"; REVOKE USAGE ON LANGUAGE plpgsql FROM PUBLIC',
    'REVOKE EXECUTE ON FUNCTION pg_read_file(text) FROM "regress other"; GRANT EXECUTE ON FUNCTION lower(text) TO PUBLIC; REVOKE SELECT ON pg_authid FROM "regress other"; GRANT USAGE ON LANGUAGE plpgsql TO PUBLIC');
-- with those of foreign keys
SELECT pg_temp.there_and_back('ALTER TABLE snap.t DISABLE TRIGGER ALL; ALTER TABLE snap.u2 DISABLE TRIGGER ALL', 'ALTER TABLE snap.t ENABLE TRIGGER ALL; ALTER TABLE snap.u2 ENABLE TRIGGER ALL');
SELECT pg_temp.there_and_back('DROP TRIGGER tr ON snap.t; CREATE CONSTRAINT TRIGGER tr AFTER DELETE ON snap.t DEFERRABLE FOR EACH ROW EXECUTE FUNCTION snap.tf()',
    $$DROP TRIGGER tr ON snap.t; CREATE TRIGGER tr BEFORE INSERT OR UPDATE OF a, "B b" ON snap.t FOR EACH ROW WHEN (NEW.a > 0) EXECUTE FUNCTION snap.tf('x', 'it''s')$$);
SELECT pg_temp.there_and_back('ALTER POLICY po ON snap.t TO PUBLIC USING (a > 1); CREATE POLICY po2 ON snap.t AS RESTRICTIVE', 'ALTER POLICY po ON snap.t TO "regress other" USING (a > 0); DROP POLICY po2 ON snap.t');

\echo -- functions
CREATE FUNCTION snap.f(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION snap.atomic(a int) RETURNS int LANGUAGE sql BEGIN ATOMIC; SELECT $1 + 1; END;
CREATE PROCEDURE snap.pr() LANGUAGE plpgsql AS 'BEGIN END';
CREATE AGGREGATE snap.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0');
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'function' -> 'snap.f(integer,text)', snapshot -> 'function' -> 'snap.atomic(integer)', snapshot -> 'function' -> 'snap.pr()', snapshot -> 'aggregate' FROM was;
SELECT pg_temp.there_and_back($$CREATE OR REPLACE FUNCTION snap.f(a int, b text DEFAULT 'y') RETURNS int LANGUAGE plpgsql STABLE STRICT SECURITY DEFINER PARALLEL SAFE LEAKPROOF COST 5
        SET search_path = snap, pg_temp AS 'BEGIN RETURN 2; END'$$,
    $$CREATE OR REPLACE FUNCTION snap.f(a int, b text DEFAULT 'x') RETURNS int LANGUAGE sql AS 'SELECT 1'$$);
SELECT pg_temp.there_and_back($$ALTER FUNCTION snap.f OWNER TO "regress other"; REVOKE EXECUTE ON FUNCTION snap.f FROM PUBLIC; COMMENT ON FUNCTION snap.f IS 'f'; CREATE FUNCTION snap.f(int) RETURNS int LANGUAGE sql AS 'SELECT 1'$$,
    $$DROP FUNCTION snap.f(int); GRANT EXECUTE ON FUNCTION snap.f TO PUBLIC; ALTER FUNCTION snap.f OWNER TO regress_snapshot; COMMENT ON FUNCTION snap.f IS NULL$$);
SELECT pg_temp.there_and_back($$CREATE OR REPLACE AGGREGATE snap.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '1', COMBINEFUNC = int4pl)$$,
    $$CREATE OR REPLACE AGGREGATE snap.total(int) (SFUNC = int4pl, STYPE = int, INITCOND = '0')$$);

\echo -- types
CREATE TYPE snap.e AS ENUM ('a', 'b');
CREATE DOMAIN snap.d AS numeric(5, 2) DEFAULT 1 CONSTRAINT positive CHECK (VALUE > 0);
CREATE TYPE snap.c AS (a int, "B" text);
CREATE TYPE snap.r AS RANGE (SUBTYPE = int);
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'type', snapshot -> 'constraint' -> 'snap.d.positive' FROM was;
SELECT pg_temp.there_and_back($$ALTER TYPE snap.e ADD VALUE 'c' BEFORE 'b'$$, $$DROP TYPE snap.e; CREATE TYPE snap.e AS ENUM ('a', 'b')$$);
SELECT pg_temp.there_and_back($$ALTER TYPE snap.e RENAME VALUE 'b' TO 'B'; COMMENT ON TYPE snap.e IS 'e'; GRANT USAGE ON TYPE snap.e TO "regress other"$$,
    $$ALTER TYPE snap.e RENAME VALUE 'B' TO 'b'; COMMENT ON TYPE snap.e IS NULL; REVOKE ALL ON TYPE snap.e FROM "regress other"$$);
SELECT pg_temp.there_and_back('ALTER DOMAIN snap.d SET DEFAULT 2; ALTER DOMAIN snap.d SET NOT NULL; ALTER DOMAIN snap.d DROP CONSTRAINT positive; ALTER DOMAIN snap.d ADD CONSTRAINT small CHECK (VALUE < 9) NOT VALID',
    'ALTER DOMAIN snap.d SET DEFAULT 1; ALTER DOMAIN snap.d DROP NOT NULL; ALTER DOMAIN snap.d DROP CONSTRAINT small; ALTER DOMAIN snap.d ADD CONSTRAINT positive CHECK (VALUE > 0)');
SELECT pg_temp.there_and_back('ALTER TYPE snap.c ADD ATTRIBUTE x int, ALTER ATTRIBUTE a TYPE bigint', 'ALTER TYPE snap.c DROP ATTRIBUTE x, ALTER ATTRIBUTE a TYPE int');
SELECT pg_temp.there_and_back('DROP TYPE snap.r; CREATE TYPE snap.r AS RANGE (SUBTYPE = text, COLLATION = "C"); CREATE TYPE snap.shell', 'DROP TYPE snap.r, snap.shell; CREATE TYPE snap.r AS RANGE (SUBTYPE = int)');

\echo -- operators, collations, conversions, text search
CREATE FUNCTION snap.same(snap.c, snap.c) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT pg_temp.there_and_back($$CREATE OPERATOR snap.=== (LEFTARG = snap.c, RIGHTARG = snap.c, FUNCTION = snap.same); CREATE OPERATOR CLASS snap.oc FOR TYPE snap.c USING hash AS OPERATOR 1 snap.===;
        CREATE COLLATION snap.co (LOCALE = 'C'); CREATE CONVERSION snap.cv FOR 'LATIN1' TO 'UTF8' FROM iso8859_1_to_utf8;
        CREATE TEXT SEARCH DICTIONARY snap.td (TEMPLATE = simple, STOPWORDS = english); CREATE TEXT SEARCH CONFIGURATION snap.tc (PARSER = "default");
        CREATE TEXT SEARCH TEMPLATE snap.tt (LEXIZE = dsimple_lexize); CREATE TEXT SEARCH PARSER snap.tp (START = prsd_start, GETTOKEN = prsd_nexttoken, END = prsd_end, LEXTYPES = prsd_lextype)$$,
    $$DROP OPERATOR CLASS snap.oc USING hash; DROP OPERATOR FAMILY snap.oc USING hash; DROP OPERATOR snap.=== (snap.c, snap.c); DROP COLLATION snap.co; DROP CONVERSION snap.cv;
        DROP TEXT SEARCH CONFIGURATION snap.tc; DROP TEXT SEARCH DICTIONARY snap.td; DROP TEXT SEARCH TEMPLATE snap.tt; DROP TEXT SEARCH PARSER snap.tp$$);
CREATE OPERATOR snap.=== (LEFTARG = snap.c, RIGHTARG = snap.c, FUNCTION = snap.same);
CREATE OPERATOR FAMILY snap.of USING hash;
CREATE TEXT SEARCH DICTIONARY snap.td (TEMPLATE = simple, STOPWORDS = english);
CREATE TEXT SEARCH CONFIGURATION snap.tc (PARSER = "default");
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT pg_temp.there_and_back('ALTER OPERATOR snap.=== (snap.c, snap.c) SET (RESTRICT = eqsel); ALTER OPERATOR FAMILY snap.of USING hash ADD OPERATOR 1 snap.=== (snap.c, snap.c);
        ALTER TEXT SEARCH DICTIONARY snap.td (StopWords = russian); ALTER TEXT SEARCH CONFIGURATION snap.tc ADD MAPPING FOR asciiword WITH snap.td, simple',
    'ALTER OPERATOR snap.=== (snap.c, snap.c) SET (RESTRICT = NONE); ALTER OPERATOR FAMILY snap.of USING hash DROP OPERATOR 1 (snap.c, snap.c);
        ALTER TEXT SEARCH DICTIONARY snap.td (StopWords = english); ALTER TEXT SEARCH CONFIGURATION snap.tc DROP MAPPING FOR asciiword');

\echo -- what is in no schema
CREATE FUNCTION snap.et() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END';
CREATE FUNCTION snap.cast(snap.c) RETURNS snap.e LANGUAGE sql IMMUTABLE AS 'SELECT NULL::snap.e';
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT pg_temp.there_and_back($$CREATE EVENT TRIGGER regress_snapshot ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION snap.et(); CREATE CAST (snap.c AS snap.e) WITH FUNCTION snap.cast;
        CREATE PUBLICATION regress_snapshot FOR TABLE snap.t (a, id) WHERE (a > 0) WITH (publish = 'insert'); CREATE FOREIGN DATA WRAPPER regress_wrapper OPTIONS (a 'b');
        CREATE ACCESS METHOD regress_heap TYPE TABLE HANDLER heap_tableam_handler$$,
    'DROP EVENT TRIGGER regress_snapshot; DROP CAST (snap.c AS snap.e); DROP PUBLICATION regress_snapshot; DROP FOREIGN DATA WRAPPER regress_wrapper; DROP ACCESS METHOD regress_heap');
CREATE EVENT TRIGGER regress_snapshot ON sql_drop WHEN TAG IN ('DROP TABLE') EXECUTE FUNCTION snap.et();
CREATE PUBLICATION regress_snapshot FOR TABLE snap.t (a, id) WHERE (a > 0) WITH (publish = 'insert');
CREATE FOREIGN DATA WRAPPER regress_wrapper;
CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_wrapper OPTIONS (host 'a', api_key 'hush');
CREATE USER MAPPING FOR "regress other" SERVER regress_server OPTIONS (user 'joe', password 'hush');
CREATE FOREIGN TABLE snap.ft (a int OPTIONS (x 'y')) SERVER regress_server OPTIONS (table_name 't');
UPDATE was SET snapshot = dbops.schema_snapshot();
SELECT snapshot -> 'event trigger' -> 'regress_snapshot', snapshot -> 'publication', snapshot -> 'publication table', snapshot -> 'server', snapshot -> 'user mapping', snapshot -> 'table' -> 'snap.ft' FROM was;
SELECT snapshot::text ~ 'hush' FROM was;
SELECT pg_temp.there_and_back($$ALTER EVENT TRIGGER regress_snapshot DISABLE; ALTER PUBLICATION regress_snapshot SET (publish = 'insert, delete', publish_via_partition_root = true); ALTER PUBLICATION regress_snapshot SET TABLE snap.t (a)$$,
    $$ALTER EVENT TRIGGER regress_snapshot ENABLE; ALTER PUBLICATION regress_snapshot SET TABLE snap.t (a, id) WHERE (a > 0); ALTER PUBLICATION regress_snapshot SET (publish = 'insert', publish_via_partition_root = false)$$);
SELECT pg_temp.there_and_back($$ALTER SERVER regress_server VERSION '2' OPTIONS (SET host 'b'); GRANT USAGE ON FOREIGN SERVER regress_server TO "regress other"; ALTER FOREIGN TABLE snap.ft OPTIONS (SET table_name 'u'), ALTER a OPTIONS (SET x 'z');
        DROP USER MAPPING FOR "regress other" SERVER regress_server; CREATE USER MAPPING FOR PUBLIC SERVER regress_server$$,
    $$DROP FOREIGN TABLE snap.ft; DROP SERVER regress_server CASCADE; CREATE SERVER regress_server FOREIGN DATA WRAPPER regress_wrapper OPTIONS (host 'a', api_key 'hush'); CREATE FOREIGN TABLE snap.ft (a int OPTIONS (x 'y')) SERVER regress_server OPTIONS (table_name 't');
        CREATE USER MAPPING FOR "regress other" SERVER regress_server OPTIONS (user 'joe', password 'hush')$$);
SELECT pg_temp.there_and_back('ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO "regress other"; ALTER DEFAULT PRIVILEGES IN SCHEMA snap GRANT USAGE ON SEQUENCES TO "regress other"; ALTER DEFAULT PRIVILEGES REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC',
    'ALTER DEFAULT PRIVILEGES REVOKE SELECT ON TABLES FROM "regress other"; ALTER DEFAULT PRIVILEGES IN SCHEMA snap REVOKE USAGE ON SEQUENCES FROM "regress other"; ALTER DEFAULT PRIVILEGES GRANT EXECUTE ON FUNCTIONS TO PUBLIC');
-- an extension as a whole, without what belongs to it
SELECT pg_temp.there_and_back('CREATE EXTENSION pg_trgm SCHEMA snap', 'DROP EXTENSION pg_trgm');

\echo -- some schemas only
CREATE SCHEMA "Other";
CREATE TABLE "Other".t (a snap.e, "x.y" int);
SELECT dbops.schema_snapshot('{Other}') - 'constraint';
SELECT * FROM dbops.schema_diff(dbops.schema_snapshot('{Other}'), dbops.schema_snapshot());
SELECT * FROM dbops.schema_diff(dbops.schema_snapshot('{Other}'), dbops.schema_snapshot('{Other, Other}'));
SELECT dbops.schema_snapshot('{none}');
SELECT dbops.schema_snapshot('{pg_catalog}');
SELECT dbops.schema_snapshot('{}');
SELECT dbops.schema_snapshot('{NULL}');

\echo -- of columns in another order those that moved are named, and no more
CREATE FUNCTION reordered(before text[], after text[]) RETURNS TABLE (old_value text, new_value text) LANGUAGE sql AS $$
  SELECT d.old_value, d.new_value FROM dbops.schema_diff(
    jsonb_build_object('format', 1, 'table', jsonb_build_object('t', jsonb_build_object('columns', before))),
    jsonb_build_object('format', 1, 'table', jsonb_build_object('t', jsonb_build_object('columns', after)))) d
$$;
SELECT * FROM reordered('{a,b,c,d}', '{b,c,d,a}');
SELECT * FROM reordered('{a,b,c,d}', '{d,a,b,c}');
SELECT * FROM reordered('{a,b,c,d,e,f}', '{a,e,c,b,d,f}');
SELECT * FROM reordered('{a,b,c}', '{c,b,a}');
SELECT * FROM reordered('{a,gone,b,c}', '{a,b,new,c}');
SELECT * FROM reordered('{}', '{a,b}');
DROP FUNCTION reordered;
\echo -- what is no snapshot
SELECT * FROM dbops.schema_diff('[]', dbops.schema_snapshot());
SELECT * FROM dbops.schema_diff(dbops.schema_snapshot(), '{"format": 9}');
SELECT * FROM dbops.schema_diff(dbops.schema_snapshot(), NULL);
SELECT * FROM dbops.schema_diff('{"format": 1, "table": {"a": {"columns": [null, {"x": [1]}, "b"]}, "b": 1, "c": null}, "view": 7}', '{"format": 1, "table": {"a": {"columns": ["b", null]}, "b": {}, "d": [[]]}, "index": []}');

\echo -- the settings of the session do not matter
SET quote_all_identifiers = on;
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = iso_8601;
SET search_path = snap;
CREATE TABLE snap.times (a timestamptz DEFAULT '2024-01-31 10:00+00', b interval DEFAULT '1 day 2 hours', c snap.d DEFAULT 1);
SELECT jsonb_path_query(dbops.schema_snapshot('{snap}'), '$.column.keyvalue() ? (@.key starts with "snap.times").value.default');
RESET quote_all_identifiers;
RESET DateStyle;
RESET IntervalStyle;
RESET search_path;

DROP EVENT TRIGGER regress_snapshot;
DROP PUBLICATION regress_snapshot;
DROP FOREIGN DATA WRAPPER regress_wrapper CASCADE;
DROP SCHEMA snap, "Other" CASCADE;
RESET ROLE;
DROP TABLE was;
DROP OWNED BY regress_snapshot CASCADE;
DROP ROLE regress_snapshot, "regress other";
