-- What a backfill changes and what it reports, on tables large enough for
-- several batches. Durations stand in the notice's detail, which terse hides.
\set VERBOSITY terse
CREATE TABLE backfill_users (
    id      integer PRIMARY KEY,
    name    text NOT NULL,
    phone   varchar(20),
    country text
);
INSERT INTO backfill_users (id, name) SELECT i, 'user ' || i FROM generate_series(1, 20000) i;
CREATE INDEX ON backfill_users (phone);
ANALYZE backfill_users;

-- a column to fill, and the proof
CALL dbops.batched_backfill('backfill_users', 'phone = ''+'' || id', 'phone IS NULL');
SELECT count(*) FROM backfill_users WHERE phone IS DISTINCT FROM '+' || id;

-- the same call again finds nothing to do
CALL dbops.batched_backfill('backfill_users', 'phone = ''+'' || id', 'phone IS NULL');

-- every row, without a condition: rows that hold the value already stay as they are
SELECT count(DISTINCT xmin::text) > 2 AS several_transactions FROM backfill_users;
UPDATE backfill_users SET country = 'PT' WHERE id <= 5000;
CALL dbops.batched_backfill('backfill_users', 'country = ''PT''', batch_size => 1000);
CALL dbops.batched_backfill('backfill_users', 'country = ''PT''', batch_size => 1000);
SELECT country, count(*) FROM backfill_users GROUP BY country;

-- the index on the target was not read, although the predicate would like it
SELECT pg_stat_force_next_flush();
SELECT idx_scan FROM pg_stat_user_indexes WHERE indexrelname = 'backfill_users_phone_idx';

-- other statements on the table still get its indexes
SET enable_seqscan = off;
EXPLAIN (COSTS off) UPDATE backfill_users SET country = 'ES' WHERE phone = '+7';
RESET enable_seqscan;

-- several columns, DEFAULT, a subselect on another table
CREATE TABLE backfill_countries (code text PRIMARY KEY, name text);
INSERT INTO backfill_countries VALUES ('PT', 'Portugal');
ALTER TABLE backfill_users ALTER phone SET DEFAULT 'none';
CALL dbops.batched_backfill('backfill_users',
    'phone = DEFAULT, country = (SELECT c.name FROM backfill_countries c WHERE c.code = ''PT'')',
    'id % 2 = 0');
SELECT phone = 'none' AS none, country, count(*) FROM backfill_users GROUP BY 1, 2 ORDER BY 1, 2;

-- an expression that yields NULL ends, and says what is left; the others are filled
UPDATE backfill_users SET phone = NULL WHERE id <= 10;
CALL dbops.batched_backfill('backfill_users', 'phone = NULLIF(id, 7)::text', 'phone IS NULL');
SELECT id, phone FROM backfill_users WHERE phone IS NULL;
CALL dbops.batched_backfill('backfill_users', 'phone = NULL', 'phone IS NULL');

-- and where it is volatile, so that a NULL cannot be foreseen
CALL dbops.batched_backfill('backfill_users', 'phone = NULLIF(random() < 2, true)::text', 'phone IS NULL');

-- not verified when not asked for
CALL dbops.batched_backfill('backfill_users', 'phone = ''x''', 'id = 7', verify => false);

-- now() is one time for all batches, as in one statement
ALTER TABLE backfill_users ADD checked_at timestamptz;
CALL dbops.batched_backfill('backfill_users', 'checked_at = now()', batch_size => 1000);
SELECT count(DISTINCT checked_at), count(checked_at) FROM backfill_users;

-- the answer does not depend on how the session writes dates and numbers
SET DateStyle = 'SQL, DMY';
SET IntervalStyle = 'sql_standard';
SET extra_float_digits = -3;
ALTER TABLE backfill_users ADD ratio float8, ADD due timestamptz;
CALL dbops.batched_backfill('backfill_users', 'ratio = 0.1::float8 + 0.2, due = ''2026-02-01 03:04:05.678901+00''::timestamptz - interval ''1 day''');
RESET extra_float_digits;
RESET IntervalStyle;
RESET DateStyle;
SELECT DISTINCT ratio = 0.1::float8 + 0.2 AS exact, due = '2026-01-31 03:04:05.678901+00' AS exact FROM backfill_users;

-- isolation and durability of the session do not matter
SET default_transaction_isolation = 'serializable';
SET synchronous_commit = off;
CALL dbops.batched_backfill('backfill_users', 'country = ''FR''');
RESET default_transaction_isolation;
RESET synchronous_commit;
SHOW lock_timeout;
SHOW deadlock_timeout;
SELECT count(*) FROM backfill_users WHERE country = 'FR';

-- an error keeps what is committed, and says where it was
ALTER TABLE backfill_users ADD CONSTRAINT small CHECK (country <> 'id 15000');
CALL dbops.batched_backfill('backfill_users', 'country = ''id '' || id', batch_size => 4000);
SELECT count(*) BETWEEN 4000 AND 19999 AS some_committed FROM backfill_users WHERE country LIKE 'id %';

-- transactions are of the size asked for, whatever old statistics say; only the
-- first one after a stretch without rows may be larger
CREATE TABLE backfill_dense (id integer, wide text, place integer);
ALTER TABLE backfill_dense ALTER wide SET STORAGE PLAIN;
INSERT INTO backfill_dense SELECT i, repeat('x', 7000) FROM generate_series(1, 300) i;
VACUUM ANALYZE backfill_dense;
DELETE FROM backfill_dense;
VACUUM (TRUNCATE off) backfill_dense;
UPDATE pg_class SET reltuples = 300 WHERE oid = 'backfill_dense'::regclass;
INSERT INTO backfill_dense SELECT i FROM generate_series(1, 40000) i;
CALL dbops.batched_backfill('backfill_dense', 'place = id', 'id > 20000', batch_size => 1000);
SELECT max(rows) <= 4000 AS bounded, count(*) FILTER (WHERE rows > 1100) <= 1 AS once, count(*) < 40 AS not_too_small
  FROM (SELECT count(*) AS rows FROM backfill_dense WHERE place IS NOT NULL GROUP BY xmin::text) x;
DROP TABLE backfill_dense;

-- an empty table, and one that is all holes
TRUNCATE backfill_users;
CALL dbops.batched_backfill('backfill_users', 'country = ''IT''');
INSERT INTO backfill_users (id, name) SELECT i, 'user ' || i FROM generate_series(1, 20000) i;
DELETE FROM backfill_users WHERE id % 1000 <> 0;
ANALYZE backfill_users;
CALL dbops.batched_backfill('backfill_users', 'country = ''IT''');

DROP TABLE backfill_users, backfill_countries;
