--
-- What a new partition is given of what the newest one has, and when: row
-- security comes when its rows are in, with its policies or with a word that
-- these are missing. Regression tests, since all of it is seen in one session.
-- The time is the test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
SET datestyle = 'ISO';
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2053-02-10 12:00+00')::text, false) IS NOT NULL AS set;
CREATE ROLE regress_like_owner;
CREATE ROLE regress_like_reader;
SELECT dbops.grant_access('regress_like_owner', 'operator');
CREATE SCHEMA regress_like AUTHORIZATION regress_like_owner;
SET search_path = regress_like;
SET ROLE regress_like_owner;
CREATE FUNCTION policies(t text) RETURNS TABLE (name name, kind text, roles name[], using_ text, check_ text) LANGUAGE sql AS
$$SELECT policyname, permissive || ' ' || cmd, roles, qual, with_check FROM pg_policies WHERE tablename = t ORDER BY policyname COLLATE "C"$$;
CREATE FUNCTION security(t text) RETURNS TABLE (name name, enabled boolean, forced boolean) LANGUAGE sql AS
$$SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class
   WHERE relname LIKE t || '\_2%' AND relkind = 'r' AND relnamespace = 'regress_like'::regnamespace ORDER BY relname COLLATE "C"$$;

-- rows of the default partition come into one that is as protected as the newest, whose columns its policies name
CREATE TABLE "Visits" (at date, "who" text, id int) PARTITION BY RANGE (at);
CREATE TABLE "Visits_2053_01" PARTITION OF "Visits" FOR VALUES FROM ('2053-01-01') TO ('2053-02-01');
CREATE TABLE "Visits_default" PARTITION OF "Visits" DEFAULT;
CREATE INDEX visits_id ON "Visits" (id);
CREATE TABLE staff (name text);
ALTER TABLE "Visits_2053_01" ALTER who SET STATISTICS 7, ALTER id SET (n_distinct = -0.5), CLUSTER ON "Visits_2053_01_id_idx",
  ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY own ON "Visits_2053_01" TO regress_like_reader, regress_like_owner USING (who = current_user);
CREATE POLICY "of staff" ON "Visits_2053_01" AS RESTRICTIVE FOR SELECT USING (EXISTS (SELECT FROM staff s WHERE s.name = "Visits_2053_01".who));
CREATE POLICY writes ON "Visits_2053_01" FOR INSERT WITH CHECK (who = 'nobody' AND id > 0);
INSERT INTO "Visits" VALUES ('2053-02-03', 'somebody', 1), ('2053-02-04', 'regress_like_owner', 2);
SET client_min_messages = notice;
CALL dbops.drain_default('"Visits"');
SET client_min_messages = warning;
SELECT * FROM security('Visits');
SELECT * FROM policies('Visits_2053_02');
SELECT tableoid::regclass, * FROM "Visits";
SELECT attname, nullif(attstattarget, -1) AS target, (SELECT string_agg(o, ' ') FROM unnest(attoptions) o WHERE o LIKE 'n%') AS options FROM pg_attribute WHERE attrelid = '"Visits_2053_02"'::regclass AND attname IN ('who', 'id') ORDER BY 1;
SELECT indexrelid::regclass FROM pg_index WHERE indrelid = '"Visits_2053_02"'::regclass AND indisclustered;
-- and so are those that are made ahead
SELECT dbops.set_partitioning('"Visits"', runway => '1 month') IS NOT NULL AS set;
CALL dbops.run_partitioning('"Visits"');
SELECT * FROM security('Visits');
SELECT name FROM policies('Visits_2053_03');
SELECT dbops.remove_partitioning('"Visits"');

-- where the columns are in another order a policy would speak of others
CREATE TABLE log (at date, gone int, v int) PARTITION BY RANGE (at);
CREATE TABLE log_2053_01 (gone2 int, v int, at date);
ALTER TABLE log_2053_01 DROP COLUMN gone2;
ALTER TABLE log DROP COLUMN gone;
ALTER TABLE log ATTACH PARTITION log_2053_01 FOR VALUES FROM ('2053-01-01') TO ('2053-02-01');
ALTER TABLE log_2053_01 ENABLE ROW LEVEL SECURITY;
CREATE POLICY low ON log_2053_01 USING (v < 10);
SELECT dbops.set_partitioning('log', runway => '10 days') IS NOT NULL AS set;
CALL dbops.run_partitioning('log');
SELECT * FROM security('log');
SELECT name FROM policies('log_2053_02');
SELECT object, outcome, message FROM dbops.maintenance_report() WHERE object LIKE 'regress_like.log\_%';
SELECT dbops.remove_partitioning('log');

RESET ROLE;
SET client_min_messages = error;
DROP SCHEMA regress_like CASCADE;
SELECT dbops.revoke_access('regress_like_owner');
DROP ROLE regress_like_owner, regress_like_reader;
RESET dbops.test_now;
