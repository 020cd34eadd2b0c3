-- Backfills in the order of a key: which keys serve, what is refused, and that
-- each row is changed once. What happens while others write is tested in
-- test/specs/backfill_exact.spec, crashes in test/t/backfill_exact.pl.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;

-- auto goes by a key where a row must not be met twice, and by blocks otherwise
CREATE TABLE regress_key (id integer PRIMARY KEY, balance numeric NOT NULL DEFAULT 100, note text);
INSERT INTO regress_key SELECT i FROM generate_series(1, 500) i;
CALL dbops.batched_backfill('regress_key', 'balance = balance * 1.1', batch_size => 7);
CALL dbops.batched_backfill('regress_key', 'note = ''x''', batch_size => 100);
SELECT balance, count(*) FROM regress_key GROUP BY balance;
SELECT spec ->> 'method' AS method, state, result - 'batches' AS result FROM dbops.job WHERE name = 'regress_key' ORDER BY id;
-- nothing of it stays
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'regress_key'::regclass;
SELECT count(*) FROM dbops.backfill_pass;
SELECT count(*) FROM dbops.backfill_note;

-- what is volatile, and a predicate that is
CALL dbops.batched_backfill('regress_key', 'note = random()::text', batch_size => 50);
SELECT count(DISTINCT note) > 490 AS all_differ FROM regress_key;
CREATE SEQUENCE regress_key_seq;
CALL dbops.batched_backfill('regress_key', 'balance = nextval(''regress_key_seq'')', 'random() < 2', batch_size => 50);
SELECT count(DISTINCT balance), min(balance), max(balance) FROM regress_key;
-- a part of the rows, and none
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1000', 'id % 5 = 0', batch_size => 33);
SELECT count(*) FROM regress_key WHERE balance > 1000;
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1', 'id < 0');
TRUNCATE regress_key;
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1');

-- refused: what one visit does not make right either, and arguments that do not go together
CALL dbops.batched_backfill('regress_key', 'balance = (SELECT max(k.balance) + 1 FROM regress_key k)', method => 'keyset');
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1', method => 'blocks');
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1', method => 'keyset', workers => 2);
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1', method => 'key');

-- which indexes are keys
CREATE TABLE regress_kinds (a integer, b integer NOT NULL, c text NOT NULL, n integer NOT NULL DEFAULT 0,
                            twice integer NOT NULL GENERATED ALWAYS AS (n * 2) STORED);
INSERT INTO regress_kinds SELECT i, i, 'c' || i FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
CREATE UNIQUE INDEX regress_nullable ON regress_kinds (a);
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_nullable;
CREATE UNIQUE INDEX regress_partial ON regress_kinds (b) WHERE b > 0;
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_partial;
CREATE UNIQUE INDEX regress_expression ON regress_kinds ((b + 1));
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_expression;
ALTER TABLE regress_kinds ADD CONSTRAINT regress_deferrable UNIQUE (b) DEFERRABLE;
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
ALTER TABLE regress_kinds DROP CONSTRAINT regress_deferrable;
CREATE UNIQUE INDEX regress_opclass ON regress_kinds (c text_pattern_ops);
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_opclass;
CREATE UNIQUE INDEX regress_collation ON regress_kinds (c COLLATE "C");
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_collation;
CREATE UNIQUE INDEX regress_mixed ON regress_kinds (b, c DESC);
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_mixed;
CREATE UNIQUE INDEX regress_assigned ON regress_kinds (b);
CALL dbops.batched_backfill('regress_kinds', 'b = b + 1000', method => 'keyset');
CREATE UNIQUE INDEX regress_generated ON regress_kinds (twice, c);
DROP INDEX regress_assigned;
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset');
DROP INDEX regress_generated;
SELECT max(n) FROM regress_kinds;
-- descending, included columns, and the narrowest of several
CREATE UNIQUE INDEX regress_descending ON regress_kinds (c DESC, b DESC) INCLUDE (n);
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset', batch_size => 9);
CREATE UNIQUE INDEX regress_narrow ON regress_kinds (b);
CALL dbops.batched_backfill('regress_kinds', 'n = n + 1', method => 'keyset', batch_size => 9);
SELECT n, count(*) FROM regress_kinds GROUP BY n;

-- several columns of several types, and every name in need of quotes
CREATE TYPE regress_mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN regress_code AS varchar(10) CHECK (VALUE <> '');
CREATE TABLE "regress ""Quoted""" ("a ""b" timestamptz, mood regress_mood, "Code" regress_code, num numeric, "n'" integer NOT NULL DEFAULT 0,
    PRIMARY KEY ("a ""b", mood, "Code", num));
INSERT INTO "regress ""Quoted""" SELECT '2026-01-01'::timestamptz + (i % 7) * interval '1 day', (enum_range(NULL::regress_mood))[i % 3 + 1], 'c' || i % 11, i / 10.0
  FROM generate_series(1, 400) i;
CALL dbops.batched_backfill('"regress ""Quoted"""', '"n''" = "n''" + 1', batch_size => 13);
SELECT "n'", count(*) FROM "regress ""Quoted""" GROUP BY 1;

-- collations that order otherwise, and that take different texts for the same
CREATE COLLATION regress_nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
CREATE TABLE regress_text (name text COLLATE regress_nocase PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO regress_text SELECT chr(65 + i % 26) || chr(97 + i / 26) || 'ä' FROM generate_series(0, 259) i;
CALL dbops.batched_backfill('regress_text', 'n = n + 1', batch_size => 10);
SELECT n, count(*) FROM regress_text GROUP BY n;

-- partitions: only an index of the partitioned table is a key
CREATE TABLE regress_parts (id integer NOT NULL, place integer NOT NULL, n integer NOT NULL DEFAULT 0) PARTITION BY LIST (place);
CREATE TABLE regress_parts_1 PARTITION OF regress_parts FOR VALUES IN (1);
CREATE TABLE regress_parts_2 (n integer NOT NULL DEFAULT 0, gone text, place integer NOT NULL, id integer NOT NULL);
ALTER TABLE regress_parts_2 DROP COLUMN gone;
ALTER TABLE regress_parts ATTACH PARTITION regress_parts_2 FOR VALUES IN (2);
INSERT INTO regress_parts SELECT i, i % 2 + 1 FROM generate_series(1, 200) i;
ALTER TABLE regress_parts_1 ADD PRIMARY KEY (id);
ALTER TABLE regress_parts_2 ADD PRIMARY KEY (id);
CALL dbops.batched_backfill('regress_parts', 'n = n + 1', method => 'keyset');
CALL dbops.batched_backfill('regress_parts', 'n = n + 1');
CREATE UNIQUE INDEX regress_parts_key ON regress_parts (id, place);
CALL dbops.batched_backfill('regress_parts', 'n = n + 1', batch_size => 30);
CALL dbops.batched_backfill('regress_parts_1', 'n = n + 1', batch_size => 30);
SELECT tableoid::regclass, n, count(*) FROM regress_parts GROUP BY 1, 2 ORDER BY 1, 2;
-- inheritance children have keys of their own
CREATE TABLE regress_heir (PRIMARY KEY (id)) INHERITS (regress_key);
INSERT INTO regress_key SELECT i, 0 FROM generate_series(1, 50) i;
INSERT INTO regress_heir SELECT i, 0 FROM generate_series(1, 50) i;
CALL dbops.batched_backfill('regress_key', 'balance = balance + 1', batch_size => 8);
SELECT balance, count(*) FROM regress_key GROUP BY balance;

-- a trigger that changes the key of what the batch changes: the row is not met again
CREATE FUNCTION regress_shift() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN NEW.id = NEW.id + 1000000; RETURN NEW; END $$;
CREATE TABLE regress_shifted (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO regress_shifted SELECT i * 10 FROM generate_series(1, 100) i UNION ALL VALUES (5000000);
CREATE TRIGGER shift BEFORE UPDATE ON regress_shifted FOR EACH ROW EXECUTE FUNCTION regress_shift();
CALL dbops.batched_backfill('regress_shifted', 'n = n + 1', batch_size => 10);
SELECT n, count(*) FROM regress_shifted GROUP BY n;

-- an error stops before the row that fails, and the same call goes on behind what is done
CREATE TABLE regress_bad (id integer PRIMARY KEY, v text, n integer NOT NULL DEFAULT 0);
INSERT INTO regress_bad SELECT i, i FROM generate_series(1, 100) i;
UPDATE regress_bad SET v = 'bad' WHERE id = 60;
CALL dbops.batched_backfill('regress_bad', 'n = n + v::integer / v::integer', batch_size => 10);
SELECT state, regexp_replace(message, '\d{2,}', 'N', 'g') AS message FROM dbops.job WHERE name = 'regress_bad';
SELECT n, count(*), min(id), max(id) FROM regress_bad GROUP BY n ORDER BY n;
-- also where the table gets new storage meanwhile, or the key another name
CLUSTER regress_bad USING regress_bad_pkey;
VACUUM FULL regress_bad;
ALTER TABLE regress_bad RENAME id TO "i d";
UPDATE regress_bad SET v = '60' WHERE "i d" = 60;
CALL dbops.batched_backfill('regress_bad', 'n = n + v::integer / v::integer', batch_size => 10);
SELECT n, count(*) FROM regress_bad GROUP BY n;
SELECT state, result ->> 'rows' AS rows FROM dbops.job WHERE name = 'regress_bad';
-- one that is given up leaves no trigger
UPDATE regress_bad SET v = 'bad' WHERE "i d" = 60;
\set VERBOSITY sqlstate
CALL dbops.batched_backfill('regress_bad', 'n = n + v::integer', batch_size => 10);
\set VERBOSITY default
SELECT dbops.cancel_job(id) FROM dbops.job WHERE name = 'regress_bad' AND finished_at IS NULL;
SELECT state, message, result - 'batches' AS result FROM dbops.job WHERE name = 'regress_bad' ORDER BY id DESC LIMIT 1;
SELECT count(*) FROM pg_trigger WHERE tgrelid = 'regress_bad'::regclass;
SELECT count(*) FROM dbops.backfill_pass;

-- a temporary table; and sync, which a change that must not be made twice does not allow
CREATE TEMP TABLE regress_temp (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
INSERT INTO regress_temp SELECT generate_series(1, 30);
CALL dbops.batched_backfill('regress_temp', 'n = n + 1', batch_size => 8);
SELECT n, count(*) FROM regress_temp GROUP BY n;
CALL dbops.batched_backfill('regress_temp', 'n = n + 1', method => 'keyset', sync => true);
CALL dbops.batched_backfill('regress_temp', 'n = id', method => 'keyset', sync => true);
SELECT count(*) FROM regress_temp WHERE n = id;
DROP TABLE regress_temp;

-- nobody else can use the trigger's function
CREATE TABLE regress_other (id integer PRIMARY KEY);
CREATE TRIGGER other AFTER INSERT ON regress_other FOR EACH ROW EXECUTE FUNCTION dbops.backfill_guard();
INSERT INTO regress_other VALUES (1);
DROP TRIGGER other ON regress_other;
-- and one that was left behind, as a dump would restore it, does nothing
CREATE TRIGGER other AFTER INSERT ON regress_other FOR EACH ROW EXECUTE FUNCTION dbops.backfill_guard(17, 0);
INSERT INTO regress_other VALUES (1);

-- by a role that owns the table and little else, for one that may only act for it
CREATE ROLE regress_key_owner;
CREATE ROLE regress_key_member IN ROLE regress_key_owner;
SELECT dbops.grant_access('regress_key_member', 'operator');
CREATE TABLE regress_owned (id integer PRIMARY KEY, n integer NOT NULL DEFAULT 0);
ALTER TABLE regress_owned OWNER TO regress_key_owner;
INSERT INTO regress_owned SELECT generate_series(1, 100);
SET ROLE regress_key_member;
CALL dbops.batched_backfill('regress_owned', 'n = n + 1', batch_size => 10);
RESET ROLE;
SELECT n, count(*) FROM regress_owned GROUP BY n;
SELECT dbops.revoke_access('regress_key_member');

DROP TABLE regress_owned;
DROP ROLE regress_key_member, regress_key_owner;
-- a table that is dropped before its job begins
CREATE TABLE regress_dropped (id integer PRIMARY KEY, n integer);
SELECT dbops.start_backfill('regress_dropped', 'n = n + 1') AS dropped \gset
SELECT dbops.pause_job(:dropped);
DROP TABLE regress_dropped;
CALL dbops.run_job(:dropped);
DROP TABLE regress_heir, regress_key, regress_kinds, "regress ""Quoted""", regress_text, regress_parts, regress_shifted, regress_bad, regress_other;
DROP COLLATION regress_nocase;
DROP TYPE regress_mood;
DROP DOMAIN regress_code;
DROP SEQUENCE regress_key_seq;
DROP FUNCTION regress_shift;
DELETE FROM dbops.job;
