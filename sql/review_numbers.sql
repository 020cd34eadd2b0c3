-- Rules about numbers that run out: what counts is the type of the column.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_numbers;
SET search_path = review_numbers;

-- a sequence of bigint that fills an integer is the common accident; one for a bigint has time
CREATE SEQUENCE wide_for_narrow AS bigint;
CREATE TABLE accident (id int PRIMARY KEY DEFAULT nextval('wide_for_narrow'));
CREATE TABLE "Serial" ("Id" serial PRIMARY KEY);
CREATE TABLE small (id int2 PRIMARY KEY GENERATED ALWAYS AS IDENTITY);
CREATE TABLE large (id bigint PRIMARY KEY GENERATED ALWAYS AS IDENTITY);
CREATE TABLE round_and_round (id int2 GENERATED ALWAYS AS IDENTITY (MAXVALUE 100 CYCLE));
CREATE TABLE young (id serial);
CREATE TABLE turns (id int GENERATED ALWAYS AS IDENTITY (CYCLE));
CREATE TABLE viewed (id serial PRIMARY KEY);
CREATE VIEW viewed_id AS SELECT id FROM viewed;
-- what references a key has to be wide before it
CREATE TABLE referenced (id serial PRIMARY KEY);
CREATE TABLE referring (r int REFERENCES referenced, wide bigint REFERENCES referenced);
SELECT setval('referenced_id_seq', 1900000000) \g /dev/null
CREATE TABLE large_narrow (id serial PRIMARY KEY);
UPDATE pg_class SET relpages = 131072 WHERE oid = 'large_narrow'::regclass;
SELECT setval('viewed_id_seq', 1900000000), setval('large_narrow_id_seq', 1900000000) \g /dev/null
SELECT setval('wide_for_narrow', 2100000000), setval('"Serial_Id_seq"', 1200000000), setval('small_id_seq', 20000),
       setval('large_id_seq', 2200000000), setval('round_and_round_id_seq', 99), setval('young_id_seq', 1000000000), setval('turns_id_seq', 2100000000) \g /dev/null
SELECT * FROM pg_temp.found('keys.integer_near_end');
SELECT regexp_split_to_table(remedy, E'\n') FROM pg_temp.found('keys.integer_near_end') WHERE remedy LIKE 'ALTER%' \gexec
SELECT object FROM pg_temp.found('keys.integer_near_end');
INSERT INTO "Serial" DEFAULT VALUES RETURNING "Id", pg_typeof("Id");
DROP VIEW viewed_id;
DROP TABLE viewed, large_narrow;
DROP TABLE referring, referenced, accident, "Serial", small, large, round_and_round, young, turns;

-- keys that the application gives out, by what ANALYZE has seen
CREATE TABLE assigned (id int PRIMARY KEY);
CREATE TABLE assigned_early (id int PRIMARY KEY);
CREATE TABLE assigned_wide (id bigint PRIMARY KEY);
INSERT INTO assigned SELECT g * 21000000 FROM generate_series(1, 100) g;
INSERT INTO assigned_early SELECT g * 1000000 FROM generate_series(1, 100) g;
INSERT INTO assigned_wide SELECT g * 21000000::bigint FROM generate_series(1, 100) g;
SELECT object FROM pg_temp.found('keys.integer_assigned');
ANALYZE assigned, assigned_early, assigned_wide;
-- few rows are codes rather than numbers in order, and so are hashes, however many
CREATE TABLE assigned_hash (id int PRIMARY KEY);
INSERT INTO assigned_hash SELECT hashint4(g) FROM generate_series(1, 1000) g;
ANALYZE assigned_hash;
SELECT severity, object FROM pg_temp.found('keys.integer_assigned');
UPDATE pg_class SET reltuples = 100000 WHERE oid IN ('assigned'::regclass, 'assigned_hash'::regclass);
SELECT severity, object FROM pg_temp.found('keys.integer_assigned');
DROP TABLE assigned_hash;
SELECT * FROM pg_temp.found('keys.integer_assigned');
SELECT remedy FROM pg_temp.found('keys.integer_assigned') \gexec
ANALYZE assigned;
SELECT object FROM pg_temp.found('keys.integer_assigned');

-- sequences with an end of their own, up or down, under the key that the health check has
CREATE SEQUENCE review_alone MAXVALUE 1000;
CREATE SEQUENCE review_down INCREMENT -1 MINVALUE -100 MAXVALUE -1;
CREATE SEQUENCE review_cycle MAXVALUE 10 CYCLE;
CREATE SEQUENCE review_half MAXVALUE 1000;
CREATE TABLE review_bound (id int GENERATED ALWAYS AS IDENTITY (MAXVALUE 1000));
SELECT setval('review_bound_id_seq', 950) \g /dev/null
SELECT setval('review_alone', 950), setval('review_down', -80), setval('review_cycle', 9), setval('review_half', 500) \g /dev/null
SELECT * FROM pg_temp.found('sequences.exhaustion');
SELECT r.key, r.message = h.message AS same_message FROM dbops.review_schema('{sequences.exhaustion}') r LEFT JOIN dbops.health_checks() h USING (key) WHERE r.key LIKE '%review_numbers%' ORDER BY 1;
SELECT remedy FROM pg_temp.found('sequences.exhaustion') \gexec
SELECT object FROM pg_temp.found('sequences.exhaustion');

-- a bigint that its sequence cannot fill; and where both are the same, or the end was set
CREATE SEQUENCE narrow AS int;
CREATE SEQUENCE narrow_alone AS int;
CREATE TABLE narrowed (id bigint DEFAULT nextval('narrow'), unowned bigint DEFAULT nextval('narrow_alone'), fine bigserial, small serial);
ALTER SEQUENCE narrow OWNED BY narrowed.id;
CREATE SEQUENCE bounded AS int MAXVALUE 1000;
CREATE TABLE is_bounded (id bigint DEFAULT nextval('bounded'));
ALTER SEQUENCE bounded OWNED BY is_bounded.id;
CREATE SEQUENCE turning AS int CYCLE;
CREATE TABLE turned (id bigint DEFAULT nextval('turning'));
ALTER SEQUENCE turning OWNED BY turned.id;
SELECT * FROM pg_temp.found('sequences.narrow');
SELECT remedy FROM pg_temp.found('sequences.narrow') \gexec
SELECT object FROM pg_temp.found('sequences.narrow');

-- integer keys at all: only for who asks
CREATE TABLE narrow_key (id serial PRIMARY KEY);
CREATE TABLE wide_key (id bigserial PRIMARY KEY);
SELECT * FROM pg_temp.found('keys.integer');
SELECT count(*) FROM dbops.review_schema() WHERE check_name = 'keys.integer';

DROP SCHEMA review_numbers CASCADE;
