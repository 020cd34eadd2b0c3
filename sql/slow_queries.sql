-- slow_queries(): statements by what they take, as they stand and since a time,
-- over an eviction, a reset and the end of an hour. Time is the test's: looks
-- are then compared in this session alone, whatever the background does.
\set VERBOSITY terse
SET timezone = 'UTC';

-- without pg_stat_statements it says what to type
SELECT * FROM dbops.slow_queries();
CREATE EXTENSION pg_stat_statements;

CREATE TABLE slow_items (id int PRIMARY KEY, owner int);
INSERT INTO slow_items SELECT i, i % 10 FROM generate_series(1, 1000) i;
CREATE FUNCTION pg_temp.read_one_by_one(times int) RETURNS void LANGUAGE plpgsql AS $$
DECLARE
    found int;
BEGIN
    FOR i IN 1 .. times LOOP
        EXECUTE format('SELECT owner FROM slow_items WHERE id = %s', i) INTO found;
    END LOOP;
END
$$;
SET pg_stat_statements.track = 'all';

-- a first look, then what happens counts: a loop over single rows shows as many calls with one row each
SET dbops.test_now = 1800000000;
SELECT pg_temp.read_one_by_one(7);
SELECT dbops.sample_statements();
SELECT pg_temp.read_one_by_one(50);
SELECT count(*) FROM (SELECT id FROM slow_items) all_at_once;
SET dbops.test_now = 1800000060;
SELECT dbops.sample_statements();
SELECT calls, row_count, rows_per_call, toplevel, counted_since, query
  FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query LIKE 'SELECT owner FROM slow_items%';
SELECT calls, row_count FROM dbops.slow_queries(NULL, 'calls') WHERE query LIKE 'SELECT owner FROM slow_items%';

-- one that was evicted and comes back loses nothing that was seen
SELECT query_id FROM dbops.slow_queries(NULL, 'calls') WHERE query LIKE 'SELECT owner FROM slow_items%' \gset
SELECT pg_stat_statements_reset(0, 0, :query_id) IS NOT NULL AS evicted;
SELECT pg_temp.read_one_by_one(20);
SET dbops.test_now = 1800000120;
SELECT dbops.sample_statements();
SELECT calls, row_count FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query_id = :query_id;
-- also when it was gone for a look
SELECT pg_stat_statements_reset(0, 0, :query_id) IS NOT NULL AS evicted;
SET dbops.test_now = 1800000180;
SELECT dbops.sample_statements();
SELECT pg_temp.read_one_by_one(5);
SET dbops.test_now = 1800000240;
SELECT dbops.sample_statements();
SELECT calls, row_count FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query_id = :query_id;

-- somebody resets all of them: what they have since is what was added, though it is more than before
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT pg_temp.read_one_by_one(30);
SET dbops.test_now = 1800000300;
SELECT dbops.sample_statements();
SELECT calls, row_count FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query_id = :query_id;

-- the hour ends: it is written, under the hour in which it was; the next begins anew
SELECT count(*) FROM dbops.statement_1h WHERE at >= '2027-01-15' AND query_id = :query_id;
SET dbops.test_now = 1800003600;
BEGIN;
LOCK TABLE dbops.history_progress IN SHARE UPDATE EXCLUSIVE MODE;
SELECT dbops.sample_statements();
COMMIT;
SELECT at, calls, row_count FROM dbops.statement_1h WHERE at >= '2027-01-15' AND query_id = :query_id;
SELECT s.tableoid::regclass AS day, deptype FROM dbops.statement_1h s JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = s.tableoid
   AND d.refclassid = 'pg_extension'::regclass WHERE at >= '2027-01-15' AND query_id = :query_id;
SELECT pg_temp.read_one_by_one(3);
SET dbops.test_now = 1800003660;
SELECT dbops.sample_statements();
SELECT calls, counted_since FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query_id = :query_id;
SELECT calls, counted_since FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 09:00:30Z') WHERE query_id = :query_id;
-- ten minutes later it is added to the hour's row, also when who wrote it first was rolled back, and its text is kept though it was evicted
SET dbops.test_now = 1800004300;
BEGIN;
SELECT dbops.sample_statements();
ROLLBACK;
SELECT dbops.sample_statements();
SELECT at, calls FROM dbops.statement_1h WHERE at >= '2027-01-15' AND query_id = :query_id ORDER BY at;
SELECT pg_stat_statements_reset(0, 0, :query_id) IS NOT NULL AS evicted;
SELECT calls, query FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query_id = :query_id;

-- a clock that was set back does not count anything twice
SET dbops.test_now = 1800003000;
SELECT dbops.sample_statements();
SET dbops.test_now = 1800004360;
SELECT dbops.sample_statements();
SELECT calls FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 08:00Z') WHERE query_id = :query_id;

-- what may hold a password is not kept: of utility statements only their kind, of queries no strings,
-- also of one that was planned before its row was reset, which pg_stat_statements then has with its constants
PREPARE slow_secret AS SELECT 'TopSecret1' || owner, e'Top\'Secret2', $$TopSecret3$$ FROM slow_items WHERE id = $1;
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SET dbops.test_now = 1800010000;
SELECT dbops.sample_statements();
CREATE ROLE regress_slow_secret PASSWORD 'TopSecret4';
DO $$ BEGIN PERFORM 'TopSecret5'; END $$;
EXECUTE slow_secret(7);
DROP ROLE regress_slow_secret;
SELECT interval '1 day' > '1 hour' AS longer;
SET dbops.test_now = 1800010060;
SELECT dbops.sample_statements();
SELECT count(*) > 0 AS server_has_it FROM dbops.slow_queries(NULL, 'calls') WHERE query LIKE '%TopSecret%';
SET dbops.test_now = 1800010800;
SELECT dbops.sample_statements();
SELECT pg_stat_statements_reset() IS NOT NULL AS reset;
SELECT query FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 10:00Z')
 WHERE query ~ '^(CREATE ROLE|DROP ROLE|DO$|PREPARE slow_secret|SELECT interval)' ORDER BY query COLLATE "C";
SELECT count(*) FROM dbops.statement_text WHERE query LIKE '%TopSecret%';
DEALLOCATE slow_secret;

-- orders, limits and shares
SELECT order_by, (SELECT array_agg(w) = array_agg(w ORDER BY w DESC)
                    FROM (SELECT CASE order_by WHEN 'mean' THEN mean_ms WHEN 'calls' THEN calls WHEN 'cache' THEN read_bytes
                                               WHEN 'temp' THEN temp_bytes WHEN 'wal' THEN wal_bytes ELSE total_ms END AS w
                            FROM dbops.slow_queries(NULL, order_by)) q) AS in_order
  FROM unnest(ARRAY['mean', 'total', 'share', 'calls', 'cache', 'temp', 'wal']) order_by;
SELECT count(*) FROM dbops.slow_queries(2);
SELECT round(sum(share_percent)) BETWEEN 99 AND 101 AS all_of_it FROM dbops.slow_queries(NULL, 'share');

-- samples show how many statements ran
SELECT dbops.sample_server();
SELECT name, value >= 100 AS counted FROM dbops.metrics() WHERE name = 'statements.calls' AND database IS NULL;

-- of what happened in hours in which nobody looked, nobody says that it happened in the last
SELECT pg_temp.read_one_by_one(9);
SET dbops.test_now = 1800020000;
SELECT dbops.sample_statements();
SELECT count(*) AS of_hours_unseen FROM dbops.slow_queries(NULL, 'calls', '2027-01-15 13:00Z') WHERE query LIKE 'SELECT owner FROM slow_items%';
-- a look that comes late makes no more of what happened: 1000 in 100 s, though the sample before is ten seconds old
SELECT dbops.sample_server();
SELECT pg_temp.read_one_by_one(1000);
SET dbops.test_now = 1800020090;
SELECT dbops.sample_server();
SELECT per_second FROM dbops.metrics() WHERE name = 'statements.calls' AND database = current_database();
SET dbops.test_now = 1800020100;
SELECT dbops.sample_statements();
SELECT dbops.sample_server();
SELECT per_second BETWEEN 10 AND 10.5 AS ten FROM dbops.metrics() WHERE name = 'statements.calls' AND database = current_database();
-- and counts that are old tell nothing of now
SET dbops.test_now = 1800020300;
SELECT dbops.sample_server();
SELECT per_second FROM dbops.metrics() WHERE name = 'statements.calls' AND database = current_database();

-- bad input
SELECT * FROM dbops.slow_queries(0);
SELECT * FROM dbops.slow_queries(5, 'speed');
SELECT * FROM dbops.slow_queries(5, NULL);
SELECT * FROM dbops.slow_queries(5, 'mean', '2100-01-01');
SELECT * FROM dbops.slow_queries(5, 'mean', 'infinity');

-- a month later, when there are enough newer days, the day goes
BEGIN;
LOCK TABLE dbops.history_progress, dbops.statement_1h IN ACCESS EXCLUSIVE MODE;
DO $$ BEGIN
    FOR i IN 16 .. 45 LOOP
        EXECUTE format('CREATE TABLE dbops.statement_1h_%s PARTITION OF dbops.statement_1h FOR VALUES FROM (%L) TO (%L)',
                       to_char(date '2027-01-01' + i - 1, 'YYYYMMDD'), date '2027-01-01' + i - 1, date '2027-01-01' + i);
        EXECUTE format('ALTER EXTENSION dbops ADD TABLE dbops.statement_1h_%s', to_char(date '2027-01-01' + i - 1, 'YYYYMMDD'));
    END LOOP;
END $$;
SET dbops.test_now = 1802649600;
SELECT dbops.prune_history() > 0 AS pruned, to_regclass('dbops.statement_1h_20270115') IS NULL AS gone, to_regclass('dbops.statement_1h_20270116') IS NULL AS next_gone;
ROLLBACK;

ALTER EXTENSION dbops DROP TABLE dbops.statement_1h_20270115;
DROP TABLE dbops.statement_1h_20270115;
DELETE FROM dbops.statement_text;
DROP TABLE slow_items;
DROP EXTENSION pg_stat_statements;
