-- The kinds of tables that a backfill walks: partitions whose columns stand in
-- another order, inheritance, names that need quotes, generated columns,
-- triggers, domains, temporary and unlogged tables.
\set VERBOSITY terse

-- partitions, two levels of them, one with dropped and reordered columns
CREATE TABLE backfill_visits (id integer, day integer, note text, place text) PARTITION BY RANGE (day);
CREATE TABLE backfill_visits_1 (gone integer, place text, note text, day integer, id integer);
ALTER TABLE backfill_visits_1 DROP COLUMN gone;
ALTER TABLE backfill_visits ATTACH PARTITION backfill_visits_1 FOR VALUES FROM (0) TO (100);
CREATE TABLE backfill_visits_2 PARTITION OF backfill_visits FOR VALUES FROM (100) TO (200) PARTITION BY HASH (id);
CREATE TABLE "Visits ""2"" a" PARTITION OF backfill_visits_2 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE "Visits '2' b" PARTITION OF backfill_visits_2 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
INSERT INTO backfill_visits SELECT i, i % 200, 'note ' || i FROM generate_series(1, 6000) i;
CALL dbops.batched_backfill('backfill_visits', 'place = backfill_visits.note || '' on '' || backfill_visits.day', 'place IS NULL');
SELECT count(*) FROM backfill_visits WHERE place IS DISTINCT FROM note || ' on ' || day;
CALL dbops.batched_backfill('"Visits ""2"" a"', 'place = ''leaf''');
SELECT tableoid::regclass, count(*) FROM backfill_visits WHERE place = 'leaf' GROUP BY 1;
CALL dbops.batched_backfill('backfill_visits', 'day = 0');
CALL dbops.batched_backfill('backfill_visits', 'note = place, place = tableoid::regclass::text', 'place LIKE ''note%''');
CALL dbops.batched_backfill('backfill_visits_2', 'id = 0');
CALL dbops.batched_backfill('backfill_visits', 'id = 0');
CALL dbops.batched_backfill('"Visits ""2"" a"', 'id = 0');
CALL dbops.batched_backfill('"Visits ""2"" a"', 'day = 150');
-- what stands at the partitioned table and not at its partitions
CREATE FUNCTION backfill_once() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RETURN NULL; END $$;
CREATE TRIGGER once AFTER UPDATE ON backfill_visits FOR EACH STATEMENT EXECUTE FUNCTION backfill_once();
CALL dbops.batched_backfill('backfill_visits', 'place = ''x''');
DROP TRIGGER once ON backfill_visits;
DROP FUNCTION backfill_once();
CREATE RULE nothing AS ON UPDATE TO backfill_visits DO INSTEAD NOTHING;
CALL dbops.batched_backfill('backfill_visits', 'place = ''x''');
DROP TABLE backfill_visits;

-- inheritance
CREATE TABLE backfill_parent (id integer, place text);
CREATE TABLE backfill_child (extra text) INHERITS (backfill_parent);
INSERT INTO backfill_parent SELECT i FROM generate_series(1, 100) i;
INSERT INTO backfill_child SELECT i FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_parent', 'place = id', 'place IS NULL');
SELECT tableoid::regclass, count(place) FROM backfill_parent GROUP BY 1 ORDER BY 1;
DROP TABLE backfill_parent CASCADE;

-- names with quotes, upper case and the words of our own statement
CREATE SCHEMA "Back ""fill""";
CREATE TABLE "Back ""fill"""."it's; --" ("a ""b"" c" integer, "it's; --" text, "ctid $1" text, "true" text);
INSERT INTO "Back ""fill"""."it's; --" SELECT i FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('"Back ""fill"""."it''s; --"',
    '"it''s; --" = "a ""b"" c", "ctid $1" = "it''s; --"."a ""b"" c" + 1, "true" = ''$2; -- ''',
    '"it''s; --" IS NULL');
SELECT * FROM "Back ""fill"""."it's; --" WHERE "a ""b"" c" = 42;
DROP SCHEMA "Back ""fill""" CASCADE;

-- generated and identity columns, defaults, domains, types of its own
CREATE DOMAIN backfill_positive AS integer CHECK (VALUE > 0);
CREATE TYPE backfill_mood AS ENUM ('sad', 'happy');
CREATE TABLE backfill_kinds (
    id     integer GENERATED ALWAYS AS IDENTITY,
    n      integer,
    twice  integer GENERATED ALWAYS AS (n * 2) STORED,
    pos    backfill_positive,
    mood   backfill_mood,
    tags   text[],
    span   int4range,
    doc    jsonb
);
INSERT INTO backfill_kinds (n) SELECT i FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_kinds',
    'pos = n, mood = ''happy'', tags = ARRAY[n::text, twice::text], span = int4range(n, twice), doc = jsonb_build_object(''n'', n)');
SELECT * FROM backfill_kinds WHERE n = 7;
CALL dbops.batched_backfill('backfill_kinds', 'n = 5', 'n > 50');
SELECT DISTINCT twice FROM backfill_kinds WHERE n = 5;
CALL dbops.batched_backfill('backfill_kinds', 'mood = ''sad''', 'mood > ''sad''');
CALL dbops.batched_backfill('backfill_kinds', 'pos = -1');
CALL dbops.batched_backfill('backfill_kinds', 'twice = 1');
CALL dbops.batched_backfill('backfill_kinds', 'id = 1');
CALL dbops.batched_backfill('backfill_kinds', 'tags[1] = ''x''');
CALL dbops.batched_backfill('backfill_kinds', '(n, pos) = (SELECT 1, 2)');
CALL dbops.batched_backfill('backfill_kinds', '(n, pos) = (1, 2)');
DROP TABLE backfill_kinds;
DROP DOMAIN backfill_positive;
DROP TYPE backfill_mood;

-- triggers fire, once a row, and constraints hold; deferred ones as well
CREATE TABLE backfill_log (id integer);
CREATE TABLE backfill_target (id integer PRIMARY KEY, place integer);
CREATE TABLE backfill_places (id integer PRIMARY KEY);
INSERT INTO backfill_places VALUES (1);
ALTER TABLE backfill_target ADD FOREIGN KEY (place) REFERENCES backfill_places DEFERRABLE INITIALLY DEFERRED;
CREATE FUNCTION backfill_note() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO backfill_log VALUES (NEW.id); RETURN NULL; END $$;
CREATE TRIGGER note AFTER UPDATE ON backfill_target FOR EACH ROW EXECUTE FUNCTION backfill_note();
INSERT INTO backfill_target SELECT i FROM generate_series(1, 5000) i;
CALL dbops.batched_backfill('backfill_target', 'place = 1', 'place IS NULL', batch_size => 500);
SELECT count(*), count(DISTINCT id) FROM backfill_log;
CALL dbops.batched_backfill('backfill_target', 'place = 2', batch_size => 500);
SELECT DISTINCT place FROM backfill_target;
DROP TABLE backfill_target, backfill_places, backfill_log;
DROP FUNCTION backfill_note();

-- toasted values stay what they are
CREATE TABLE backfill_wide (id integer, doc text, copy text);
ALTER TABLE backfill_wide ALTER doc SET STORAGE EXTERNAL;
INSERT INTO backfill_wide SELECT i, repeat(i::text, 3000) FROM generate_series(1, 50) i;
CALL dbops.batched_backfill('backfill_wide', 'copy = doc');
CALL dbops.batched_backfill('backfill_wide', 'copy = doc');
SELECT count(*) FROM backfill_wide WHERE copy = doc;
DROP TABLE backfill_wide;

-- temporary and unlogged
CREATE TEMP TABLE backfill_temp AS SELECT i AS id, NULL::text AS place FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_temp', 'place = id', 'place IS NULL');
CREATE UNLOGGED TABLE backfill_unlogged AS SELECT i AS id, NULL::text AS place FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_unlogged', 'place = id', 'place IS NULL');
DROP TABLE backfill_temp, backfill_unlogged;
