--
-- Who may have partitions looked after, and as whom that is done: the owner of
-- the table, whoever asks. Regression tests.
--
SET client_min_messages = warning;
SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2053-01-10 12:00+00')::text, false) IS NOT NULL AS set;
CREATE ROLE regress_part_owner;
CREATE ROLE regress_part_other;
CREATE ROLE regress_part_nobody;
SELECT dbops.grant_access('regress_part_owner', 'operator'), dbops.grant_access('regress_part_other', 'operator');
CREATE SCHEMA regress_partp;
GRANT USAGE ON SCHEMA regress_partp TO PUBLIC;
CREATE TABLE regress_partp.t (at date) PARTITION BY RANGE (at);
CREATE TABLE regress_partp.t_2052 PARTITION OF regress_partp.t FOR VALUES FROM ('2052-12-01') TO ('2053-01-01');
ALTER TABLE regress_partp.t OWNER TO regress_part_owner;
ALTER TABLE regress_partp.t_2052 OWNER TO regress_part_owner;

-- not without access, nor of another role's table
SET ROLE regress_part_nobody;
SELECT dbops.set_partitioning('regress_partp.t', '1 month');
SELECT * FROM dbops.partition_plan('regress_partp.t');
SELECT * FROM dbops.partition_status();
SET ROLE regress_part_other;
SELECT dbops.set_partitioning('regress_partp.t', '1 month');
CALL dbops.drain_default('regress_partp.t');
CALL dbops.partition_table('regress_partp.t', 'at', '1 month');
-- the owner must be able to make tables there
SET ROLE regress_part_owner;
SELECT dbops.set_partitioning('regress_partp.t', '1 month');
RESET ROLE;
GRANT CREATE ON SCHEMA regress_partp TO regress_part_owner;
SET ROLE regress_part_owner;
SELECT dbops.set_partitioning('regress_partp.t', '1 month', '1 day', keep => '1 day') > '2053-01-10' AS set;
SET ROLE regress_part_other;
SELECT dbops.remove_partitioning('regress_partp.t');
CALL dbops.run_partitioning('regress_partp.t');
-- a superuser's call makes them the owner's
RESET ROLE;
CALL dbops.run_partitioning('regress_partp.t');
SELECT relname, relowner::regrole FROM pg_class WHERE relnamespace = 'regress_partp'::regnamespace AND relkind = 'r' ORDER BY 1;
-- with another owner the policy waits for being set again
ALTER TABLE regress_partp.t OWNER TO regress_part_other;
CALL dbops.run_partitioning('regress_partp.t');

-- What cannot be dropped is left alone, and the others go: what is another role's, and what the server refuses,
-- for which two event triggers stand here; with a default partition (d) and without (k).
CREATE FUNCTION regress_partp.make(t text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
  EXECUTE format('CREATE TABLE regress_partp.%I (at date PRIMARY KEY) PARTITION BY RANGE (at)', t);
  FOR i IN 1 .. 12 LOOP
    EXECUTE format('CREATE TABLE regress_partp.%I PARTITION OF regress_partp.%I FOR VALUES FROM (%L) TO (%L)',
      t || to_char(i, 'FM00'), t, make_date(2052, i, 1), make_date(2052, i, 1) + interval '1 month');
    EXECUTE format('ALTER TABLE regress_partp.%I OWNER TO regress_part_owner', t || to_char(i, 'FM00'));
  END LOOP;
  EXECUTE format('ALTER TABLE regress_partp.%I OWNER TO regress_part_owner', t);
  EXECUTE format('INSERT INTO regress_partp.%I SELECT make_date(2052, i, 1) FROM generate_series(1, 12) i', t);
END $$;
SELECT regress_partp.make('k'), regress_partp.make('d'), regress_partp.make('f');
ALTER TABLE regress_partp.k01 OWNER TO regress_part_other;
ALTER TABLE regress_partp.d01 OWNER TO regress_part_other;
CREATE TABLE regress_partp.d_rest PARTITION OF regress_partp.d DEFAULT;
ALTER TABLE regress_partp.d_rest OWNER TO regress_part_owner;
CREATE FUNCTION regress_partp.keep() RETURNS event_trigger SECURITY DEFINER LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM dbops.partition_drop WHERE name ~ '^regress_partp.[dk]02$') THEN RAISE 'not in February'; END IF;
END $$;
CREATE FUNCTION regress_partp.keep_dropped() RETURNS event_trigger LANGUAGE plpgsql AS $$
BEGIN
  IF EXISTS (SELECT FROM pg_event_trigger_dropped_objects() WHERE object_identity ~ '^regress_partp.[dk]03$') THEN RAISE 'not in March'; END IF;
END $$;
CREATE EVENT TRIGGER regress_partp_keep ON ddl_command_start WHEN TAG IN ('ALTER TABLE') EXECUTE FUNCTION regress_partp.keep();
CREATE EVENT TRIGGER regress_partp_keep_dropped ON sql_drop EXECUTE FUNCTION regress_partp.keep_dropped();
SET ROLE regress_part_owner;
SELECT dbops.set_partitioning('regress_partp.k', keep => '7 months', confirm => true) > '2053-01-10' AS set,
  dbops.set_partitioning('regress_partp.d', keep => '7 months', confirm => true) > '2053-01-10' AS set;
SELECT action, object, note FROM dbops.partition_plan('regress_partp.k') WHERE action ~ 'keep|drop';
CALL dbops.run_partitioning('regress_partp.k');
CALL dbops.run_partitioning('regress_partp.d');
RESET ROLE;
SELECT relname, relispartition FROM pg_class WHERE relname ~ '^[kd]0[1-6]$' AND relnamespace = 'regress_partp'::regnamespace ORDER BY 1;
SELECT object, action, outcome, message FROM dbops.maintenance_log
  WHERE object ~ '^regress_partp.[kd]' AND action = 'drop partition' ORDER BY object;
SELECT count(*) FROM dbops.partition_drop WHERE name LIKE 'regress_partp.%';
DROP EVENT TRIGGER regress_partp_keep, regress_partp_keep_dropped;
-- a schema of his lets the owner drop what is another role's there
ALTER SCHEMA regress_partp OWNER TO regress_part_owner;
CALL dbops.run_partitioning('regress_partp.k');
SELECT to_regclass('regress_partp.k01') IS NULL AS gone;
-- whether a foreign key keeps any is not to be seen where the owner may not read it, and the server would not detach them
GRANT REFERENCES ON regress_partp.f TO regress_part_other;
CREATE TABLE regress_partp.of_f (at date REFERENCES regress_partp.f, secret text);
ALTER TABLE regress_partp.of_f OWNER TO regress_part_other;
INSERT INTO regress_partp.of_f VALUES ('2052-02-01');
SELECT dbops.set_partitioning('regress_partp.f', keep => '10 months', confirm => true) > '2053-01-10' AS set;
CALL dbops.run_partitioning('regress_partp.f');
SELECT action, object, note FROM dbops.partition_plan('regress_partp.f') WHERE action ~ 'keep|drop';
GRANT SELECT (at) ON regress_partp.of_f TO regress_part_owner;
CALL dbops.run_partitioning('regress_partp.f');
SELECT action, object, note FROM dbops.partition_plan('regress_partp.f') WHERE action ~ 'keep|drop';

DROP SCHEMA regress_partp CASCADE;
DELETE FROM dbops.policy WHERE name LIKE 'regress_partp.%';
SELECT dbops.revoke_access('regress_part_owner'), dbops.revoke_access('regress_part_other');
DROP ROLE regress_part_owner, regress_part_other, regress_part_nobody;
