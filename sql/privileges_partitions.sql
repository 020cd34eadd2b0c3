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

DROP SCHEMA regress_partp CASCADE;
DELETE FROM dbops.policy WHERE kind = 'partitioning';
SELECT dbops.revoke_access('regress_part_owner'), dbops.revoke_access('regress_part_other');
DROP ROLE regress_part_owner, regress_part_other, regress_part_nobody;
