-- vacuum_every: what a backfill leaves dead is vacuumed on the way, so that the
-- table does not double. Sizes are bounds, and autovacuum is off in these tests.
\set VERBOSITY terse
CREATE TABLE backfill_room (id integer PRIMARY KEY, name text, place text);
INSERT INTO backfill_room SELECT i, repeat('x', 60) FROM generate_series(1, 40000) i;
CREATE TABLE backfill_room_never (LIKE backfill_room INCLUDING ALL);
INSERT INTO backfill_room_never TABLE backfill_room;
VACUUM ANALYZE backfill_room, backfill_room_never;
SELECT pg_relation_size('backfill_room') AS before \gset

-- without it the table doubles, with it hardly more than the share is added
CALL dbops.batched_backfill('backfill_room_never', 'name = repeat(''y'', 60)', batch_size => 1000);
CALL dbops.batched_backfill('backfill_room', 'name = repeat(''y'', 60)', batch_size => 1000, vacuum_every => 0.1);
SELECT pg_relation_size('backfill_room_never') > 1.95 * :before AS doubled,
       pg_relation_size('backfill_room') < 1.25 * :before AS bounded,
       pg_relation_size('backfill_room') >= :before AS never_truncated,
       pg_stat_get_vacuum_count('backfill_room'::regclass) BETWEEN 5 AND 11 AS vacuumed,
       pg_stat_get_vacuum_count('backfill_room_never'::regclass) AS never;
SELECT count(*) FROM backfill_room WHERE name = repeat('y', 60);

-- where nothing is changed nothing is vacuumed, nor where it is too little to matter
CALL dbops.batched_backfill('backfill_room', 'name = repeat(''y'', 60)', vacuum_every => 0.01);
CALL dbops.batched_backfill('backfill_room_never', 'place = ''x''', 'id <= 100', vacuum_every => 0.01);
SELECT pg_stat_get_vacuum_count('backfill_room'::regclass) BETWEEN 5 AND 11 AS vacuumed,
       pg_stat_get_vacuum_count('backfill_room_never'::regclass) AS never;

-- as a job, which keeps the share
BEGIN;
SELECT dbops.start_backfill('backfill_room', 'name = repeat(''z'', 60)', batch_size => 1000, vacuum_every => 0.25) AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
SELECT spec -> 'vacuum_every' AS vacuum_every FROM dbops.job WHERE id = :job;
SELECT pg_stat_get_vacuum_count('backfill_room'::regclass) AS vacuumed \gset
SET client_min_messages = warning;
CALL dbops.run_job(:job);
RESET client_min_messages;
SELECT pg_stat_get_vacuum_count('backfill_room'::regclass) - :vacuumed BETWEEN 2 AND 4 AS vacuumed;
SELECT count(*) FROM backfill_room WHERE name = repeat('z', 60);

-- in the order of a key, and by two processes
VACUUM FULL backfill_room;
ANALYZE backfill_room;
SELECT pg_relation_size('backfill_room') AS before, pg_stat_get_vacuum_count('backfill_room'::regclass) AS vacuumed \gset
SET client_min_messages = warning;
CALL dbops.batched_backfill('backfill_room', 'name = reverse(name)', batch_size => 1000, method => 'keyset', vacuum_every => 0.1);
SELECT pg_relation_size('backfill_room') < 1.3 * :before AS bounded,
       pg_stat_get_vacuum_count('backfill_room'::regclass) - :vacuumed BETWEEN 5 AND 11 AS vacuumed;
VACUUM FULL backfill_room;
ANALYZE backfill_room;
SELECT pg_stat_get_vacuum_count('backfill_room'::regclass) AS vacuumed \gset
CALL dbops.batched_backfill('backfill_room', 'name = repeat(''v'', 60)', batch_size => 1000, workers => 2, vacuum_every => 0.1);
RESET client_min_messages;
SELECT pg_relation_size('backfill_room') < 1.6 * :before AS bounded,
       pg_stat_get_vacuum_count('backfill_room'::regclass) - :vacuumed BETWEEN 3 AND 11 AS vacuumed;
SELECT count(*) FROM backfill_room WHERE name = repeat('v', 60);

-- each partition for itself
CREATE TABLE backfill_parts (id integer, name text) PARTITION BY RANGE (id);
CREATE TABLE backfill_parts_1 PARTITION OF backfill_parts FOR VALUES FROM (1) TO (20001);
CREATE TABLE backfill_parts_2 PARTITION OF backfill_parts FOR VALUES FROM (20001) TO (40001);
INSERT INTO backfill_parts SELECT i, repeat('x', 200) FROM generate_series(1, 40000) i;
VACUUM ANALYZE backfill_parts;
SELECT pg_relation_size('backfill_parts_1') AS before \gset
CALL dbops.batched_backfill('backfill_parts', 'name = repeat(''y'', 200)', batch_size => 1000, vacuum_every => 0.2);
SELECT relid, pg_relation_size(relid) < 1.5 * :before AS bounded, pg_stat_get_vacuum_count(relid) BETWEEN 4 AND 6 AS vacuumed
  FROM pg_partition_tree('backfill_parts') WHERE isleaf ORDER BY 1;

-- A limit of the session that the vacuum does not meet is a warning, and the
-- rest is done. It sleeps longer at its second page than it may take.
SET statement_timeout = '1s';
SET vacuum_cost_limit = 1;
SET vacuum_cost_delay = 100;
CALL dbops.batched_backfill('backfill_parts_1', 'name = ''z''', vacuum_every => 1);
RESET vacuum_cost_delay;
RESET vacuum_cost_limit;
RESET statement_timeout;
SELECT count(*) FROM backfill_parts_1 WHERE name = 'z';

-- what it may be
CALL dbops.batched_backfill('backfill_room', 'place = ''x''', vacuum_every => 0);
CALL dbops.batched_backfill('backfill_room', 'place = ''x''', vacuum_every => 1.1);
CALL dbops.batched_backfill('backfill_room', 'place = ''x''', vacuum_every => 'NaN');

DROP TABLE backfill_room, backfill_room_never, backfill_parts;
