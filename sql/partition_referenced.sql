--
-- A partition that foreign keys refer to stays where the server would keep
-- others out for too long while it looks through them. Regression tests, since
-- all of it is seen in one session. What takes long is the key's own operator,
-- which who looks before does not use. The time is the test's own.
--
SET client_min_messages = warning;
SET timezone = 'UTC';
CREATE SCHEMA regress_partrefer;
SET search_path = regress_partrefer;
CREATE FUNCTION report(OUT object text, OUT outcome text, OUT message text) RETURNS SETOF record LANGUAGE sql AS
$$SELECT object, outcome, message FROM dbops.maintenance_report() WHERE kind = 'partitioning' AND object LIKE 'regress_partrefer.%old' ORDER BY 1, 2$$;

CREATE FUNCTION slow_equal(int, int) RETURNS boolean LANGUAGE sql AS 'SELECT $1 - $2 = 0 FROM pg_sleep(0.1)';
CREATE OPERATOR === (LEFTARG = int, RIGHTARG = int, FUNCTION = slow_equal);
CREATE OPERATOR CLASS slow FOR TYPE int USING btree AS
    OPERATOR 1 <, OPERATOR 2 <=, OPERATOR 3 ===, OPERATOR 4 >=, OPERATOR 5 >, FUNCTION 1 btint4cmp(int, int);
SET enable_indexscan = off;
SET enable_indexonlyscan = off;
SET enable_bitmapscan = off;

SELECT set_config('dbops.test_now', extract(epoch FROM timestamptz '2061-03-01')::text, false) IS NULL AS set;
CREATE FUNCTION make(name text) RETURNS void LANGUAGE plpgsql AS $$
BEGIN
    EXECUTE format('CREATE TABLE %1$I (at date, id int) PARTITION BY RANGE (at);
        CREATE TABLE %1$s_old PARTITION OF %1$I FOR VALUES FROM (''2060-03-01'') TO (''2060-04-01'');
        CREATE TABLE %1$s_new PARTITION OF %1$I FOR VALUES FROM (''2061-03-01'') TO (''2061-04-01'');
        CREATE UNIQUE INDEX ON %1$I (id slow, at);
        INSERT INTO %1$I SELECT ''2060-03-02'', i FROM generate_series(1, 10) i;
        INSERT INTO %1$I VALUES (''2061-03-02'', 100);
        CREATE TABLE of_%1$s (id int, at date);
        INSERT INTO of_%1$s VALUES (100, ''2061-03-02'');
        ALTER TABLE of_%1$s ADD CONSTRAINT its_%1$s FOREIGN KEY (id, at) REFERENCES %1$I (id, at);
        SET session_replication_role = replica;	-- a row whose id is compared with all of that day
        INSERT INTO of_%1$s VALUES (0, ''2060-03-02'');
        RESET session_replication_role', name);
    PERFORM dbops.set_partitioning(name::regclass, '1 month', keep => '6 months', schedule => '@yearly', confirm => true);
END $$;

-- at once
SELECT make('alone');
SELECT action, object, statement, lock_mode, note FROM dbops.partition_plan('alone') WHERE object LIKE '%old';
SET dbops.max_detach_time = '300ms';
CALL dbops.run_partitioning('alone');
SELECT * FROM report();
SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass('alone_old');
-- beside a default partition
SELECT make('beside');
CREATE TABLE beside_rest PARTITION OF beside DEFAULT;
SELECT object, lock_mode, note FROM dbops.partition_plan('beside') WHERE object LIKE '%old';
CALL dbops.run_partitioning('beside');
SELECT * FROM report();
SELECT inhdetachpending FROM pg_inherits WHERE inhrelid = to_regclass('beside_old');
-- who looks before finds that it would take long
SET dbops.max_detach_time = '1ms';
INSERT INTO of_beside SELECT NULL, '2060-03-02' FROM generate_series(1, 50000);
SELECT action, object, lock_mode, note FROM dbops.partition_plan('beside') WHERE object LIKE '%old';
-- at a quiet time
DELETE FROM of_beside WHERE id = 0;
SET dbops.max_detach_time = 0;
SELECT action, object, note FROM dbops.partition_plan('beside') WHERE object LIKE '%old';
CALL dbops.run_partitioning('beside');
SELECT to_regclass('beside_old') IS NULL AS dropped;

SET client_min_messages = error;
DROP SCHEMA regress_partrefer CASCADE;
SELECT count(*) >= 0 AS ok FROM dbops.run_maintenance();
RESET dbops.test_now;
