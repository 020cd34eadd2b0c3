--
-- drain_default: what takes long is done before the table is locked, and comes
-- out as ATTACH would have made it; what subscribers would lose is refused. An
-- event trigger tells of each statement whether the table was locked already.
-- Regression tests, since all of it is seen in one session. The time is the
-- test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2053-02-10 12:00+00')::text, false) IS NOT NULL AS set;
CREATE SCHEMA regress_drained;
SET search_path = regress_drained;
CREATE TABLE cust (id int, kind int, PRIMARY KEY (id, kind)) PARTITION BY LIST (kind);
CREATE TABLE cust_1 PARTITION OF cust FOR VALUES IN (1);
CREATE TABLE cust_2 PARTITION OF cust FOR VALUES IN (2);
INSERT INTO cust VALUES (7, 1), (7, 2);
CREATE TABLE "Visits" (id bigint, at timestamptz, "Who" int, kind int, v text, was text GENERATED ALWAYS AS (upper(v)) STORED,
  PRIMARY KEY (id, at), CONSTRAINT one UNIQUE (v, at) INCLUDE (id) DEFERRABLE INITIALLY DEFERRED, FOREIGN KEY ("Who", kind) REFERENCES cust) PARTITION BY RANGE (at);
CREATE INDEX "by ON ONLY" ON "Visits" (lower(v) text_pattern_ops DESC, "Who") INCLUDE (kind) WITH (fillfactor = 70) WHERE id > 0;
CREATE UNIQUE INDEX ON "Visits" (at, ("Who" + 1), id);
CREATE TABLE "Visits_2053_02" PARTITION OF "Visits" FOR VALUES FROM ('2053-02-01') TO ('2053-03-01');
CREATE TABLE "Visits_rest" PARTITION OF "Visits" DEFAULT;
INSERT INTO "Visits" SELECT i, '2053-01-10', 7, 1 + i % 2, 'x' || i FROM generate_series(1, 10) i;
CREATE TABLE told (id serial, tag text, what text, locked boolean);
CREATE FUNCTION tell() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  INSERT INTO regress_drained.told (tag, what, locked)
  SELECT TG_TAG, (SELECT count(*)::text FROM pg_index WHERE indrelid = to_regclass('regress_drained."Visits_2053_01"')),
    EXISTS (SELECT FROM pg_locks WHERE relation = 'regress_drained."Visits"'::regclass AND mode = 'AccessExclusiveLock' AND pid = pg_backend_pid());
END $$;
CREATE EVENT TRIGGER regress_drained ON ddl_command_end EXECUTE FUNCTION tell();
CALL dbops.drain_default('"Visits"');
DROP EVENT TRIGGER regress_drained;
SELECT tag, what AS indexes, locked FROM told ORDER BY id;
SELECT tableoid::regclass, count(*), count(was) FROM "Visits" GROUP BY 1;
-- nothing of it is there twice, and all is part of what the table has
CREATE FUNCTION has(t regclass) RETURNS TABLE (what text, part boolean) LANGUAGE sql AS
$$SELECT regexp_replace(pg_get_indexdef(indexrelid), '^CREATE (UNIQUE )?INDEX .* USING', 'INDEX \1USING'), EXISTS (SELECT FROM pg_inherits WHERE inhrelid = indexrelid) FROM pg_index WHERE indrelid = t
   UNION ALL SELECT pg_get_constraintdef(oid), conparentid <> 0 FROM pg_constraint WHERE conrelid = t AND contype IN ('p', 'u', 'f')$$;
SELECT * FROM has('"Visits_2053_01"') ORDER BY what COLLATE "C";
SELECT count(*) FROM (SELECT * FROM has('"Visits_2053_01"') EXCEPT ALL SELECT * FROM has('"Visits_2053_02"')) other;
SELECT count(*) FROM (SELECT * FROM has('"Visits_2053_02"') EXCEPT ALL SELECT * FROM has('"Visits_2053_01"')) other;

-- what the owner may not refer to any more is left to ATTACH
CREATE ROLE regress_drained_owner;
GRANT ALL ON SCHEMA regress_drained TO regress_drained_owner;
INSERT INTO "Visits" VALUES (11, '2052-12-10', 7, 1, 'y');
ALTER TABLE "Visits" OWNER TO regress_drained_owner;
ALTER TABLE "Visits_rest" OWNER TO regress_drained_owner;
CALL dbops.drain_default('"Visits"');
SELECT * FROM has('"Visits_2052_12"') WHERE what LIKE 'FOREIGN%';

-- subscribers would lose what is moved
INSERT INTO "Visits" VALUES (12, '2052-11-10', 7, 1, 'z');
SET client_min_messages = error;
CREATE PUBLICATION regress_drained FOR TABLE "Visits";
SET client_min_messages = warning;
CALL dbops.drain_default('"Visits"');
ALTER PUBLICATION regress_drained SET (publish = 'update');
CALL dbops.drain_default('"Visits"');
SELECT tableoid::regclass, id FROM "Visits" WHERE id > 10 ORDER BY id;
ALTER PUBLICATION regress_drained SET (publish = 'insert');
ALTER PUBLICATION regress_drained SET TABLES IN SCHEMA regress_drained;
CALL dbops.drain_default('"Visits"');
DROP PUBLICATION regress_drained;
CALL dbops.drain_default('"Visits"');

SET client_min_messages = error;
DROP SCHEMA regress_drained CASCADE;
DROP ROLE regress_drained_owner;
RESET dbops.test_now;
