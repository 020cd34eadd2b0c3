--
-- What cannot be looked after, and what is said about it: a hint must not send
-- anybody to a call that would refuse him as well. Regression tests, since all
-- of it is seen in one session.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA regress_partref;
SET search_path = regress_partref;
CREATE TABLE plain (at date NOT NULL);
CREATE VIEW seen AS SELECT * FROM plain;
CREATE SEQUENCE numbers;
CREATE TABLE parted (at date) PARTITION BY RANGE (at);
CREATE TABLE parted_2053 PARTITION OF parted FOR VALUES FROM ('2053-01-01') TO ('2054-01-01');
CREATE FOREIGN DATA WRAPPER regress_partref;
CREATE SERVER regress_partref FOREIGN DATA WRAPPER regress_partref;
CREATE FOREIGN TABLE elsewhere (at date) SERVER regress_partref;
SELECT dbops.set_partitioning('plain');
SELECT dbops.set_partitioning('seen');
SELECT dbops.set_partitioning('numbers');
SELECT dbops.set_partitioning('elsewhere');
SELECT dbops.set_partitioning('parted_2053');
CALL dbops.partition_table('seen', 'at', '1 month');
CALL dbops.partition_table('numbers', 'last_value', '1 month');
CALL dbops.partition_table('elsewhere', 'at', '1 month');
CALL dbops.partition_table('parted_2053', 'at', '1 month');

-- times that the server does not know
SELECT dbops.set_partitioning('parted', '1 year', runway => '300000 years');
SELECT dbops.set_partitioning('parted', '1 year', keep => '300000 years');
SELECT dbops.set_partitioning('parted', '1 year', keep => '1100 years');
SELECT dbops.set_partitioning('parted', '1 year', keep => '1000 years') IS NOT NULL AS set;
SELECT dbops.remove_partitioning('parted');
SELECT count(*) FROM dbops.maintenance_report('infinity');
SELECT count(*) >= 0 AS all_of_it FROM dbops.maintenance_report('-infinity');

-- what the server does not rebuild concurrently
SELECT dbops.set_reindex_policy('pg_class');

SET client_min_messages = error;
DROP SCHEMA regress_partref CASCADE;
DROP FOREIGN DATA WRAPPER regress_partref CASCADE;
