-- Which changes may meet a row twice. Each refusal names its reason; each
-- change that is accepted is checked for having been applied once.
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE TABLE backfill_accounts (
    id      integer,
    balance numeric(12,2),
    active  boolean NOT NULL DEFAULT true,
    status  varchar(10) NOT NULL DEFAULT 'new',
    uuid    uuid,
    note    text,
    doubled numeric GENERATED ALWAYS AS (balance * 2) STORED
);
INSERT INTO backfill_accounts (id, balance) SELECT i, 100 FROM generate_series(1, 3000) i;
DELETE FROM backfill_accounts WHERE id % 3 = 0;

-- refused: it would be applied again to a row that has moved
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 1.1', 'active');
CALL dbops.batched_backfill('backfill_accounts', 'balance = doubled');
CALL dbops.batched_backfill('backfill_accounts', 'note = backfill_accounts::text');
CALL dbops.batched_backfill('backfill_accounts', 'balance = (SELECT max(b.balance) + 1 FROM backfill_accounts b)');
CREATE VIEW backfill_accounts_view AS SELECT id, balance FROM backfill_accounts;
CALL dbops.batched_backfill('backfill_accounts', 'balance = (SELECT max(b.balance) + 1 FROM backfill_accounts_view b)');
-- refused: another value each time
CALL dbops.batched_backfill('backfill_accounts', 'uuid = gen_random_uuid()');
CALL dbops.batched_backfill('backfill_accounts', 'note = ''x''', 'random() < 0.5');
CALL dbops.batched_backfill('backfill_accounts', 'note = ctid::text');
-- refused: the condition is not ended by the assignment
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance + 1', 'status = ''new''');
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance + 1, status = ''old''', 'status LIKE ''n%'' OR active');
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance + 1, note = NULL', 'note IS NULL OR active');
CALL dbops.batched_backfill('backfill_accounts', 'uuid = gen_random_uuid(), balance = balance + 1', 'uuid IS NULL');
SELECT DISTINCT balance FROM backfill_accounts;
-- refused: a later batch would see what an earlier one has changed, in other rows
CALL dbops.batched_backfill('backfill_accounts', 'active = false', 'active AND id > (SELECT avg(b.id) FROM backfill_accounts b WHERE b.active)');
CALL dbops.batched_backfill('backfill_accounts', 'active = false', 'EXISTS (SELECT FROM backfill_accounts b WHERE b.balance = backfill_accounts.balance AND NOT b.active)');
CALL dbops.batched_backfill('backfill_accounts', 'note = (SELECT max(b.note) FROM backfill_accounts b)', 'note IS NULL');
CREATE TABLE backfill_heir () INHERITS (backfill_accounts);
CALL dbops.batched_backfill('backfill_heir', 'balance = (SELECT max(b.balance) + 1 FROM backfill_accounts b)');
CALL dbops.batched_backfill('backfill_heir', 'note = ''x''', 'note IS NULL AND EXISTS (SELECT FROM backfill_accounts b WHERE b.note IS NULL)');
DROP TABLE backfill_heir;
-- a subselect that reads other columns of the same table is no harm
CALL dbops.batched_backfill('backfill_accounts', 'status = (SELECT count(*) FROM backfill_accounts b WHERE b.balance > 0)', 'id < 10');
UPDATE backfill_accounts SET status = 'new';
-- refused: other rows each time, hidden in a view or a sample; and locks
CREATE VIEW backfill_dice AS SELECT id, random() AS r FROM backfill_accounts;
CALL dbops.batched_backfill('backfill_accounts', 'note = (SELECT d.r FROM backfill_dice d WHERE d.id = backfill_accounts.id)');
CALL dbops.batched_backfill('backfill_accounts', 'note = (SELECT count(*) FROM pg_class TABLESAMPLE BERNOULLI (50))');
CALL dbops.batched_backfill('backfill_accounts', 'note = (SELECT c.relname FROM pg_class c LIMIT 1 FOR UPDATE)');

-- accepted: whatever is assigned ends IS NULL
CALL dbops.batched_backfill('backfill_accounts', 'uuid = gen_random_uuid()', 'uuid IS NULL');
SELECT count(DISTINCT uuid) FROM backfill_accounts;
CALL dbops.batched_backfill('backfill_accounts', 'uuid = NULL', 'uuid IS NOT NULL');
CALL dbops.batched_backfill('backfill_accounts', 'uuid = coalesce(uuid, gen_random_uuid())', 'uuid IS NULL');
SELECT count(DISTINCT uuid) FROM backfill_accounts;
-- with a NULL among the values, no row is changed twice
CALL dbops.batched_backfill('backfill_accounts',
    'note = NULLIF(id, 1)::text, balance = balance + 1', 'note IS NULL', batch_size => 100);
SELECT balance, count(*), count(note) FROM backfill_accounts GROUP BY balance ORDER BY balance;

-- a row that gets no value in that column gets those in the others
CREATE TABLE backfill_pair (id integer, a text, b integer);
INSERT INTO backfill_pair SELECT i FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_pair', 'a = NULLIF(id % 2, 0)::text, b = id', 'a IS NULL', batch_size => 10);
SELECT count(a), count(b) FROM backfill_pair;
DROP TABLE backfill_pair;

-- accepted: proved by the server's theorem prover
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, active = false', 'active', batch_size => 100);
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, active = true', 'NOT active', batch_size => 100);
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, status = ''old''', 'status = ''new''', batch_size => 100);
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, status = ''done''', 'status IN (''new'', ''old'')', batch_size => 100);
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, id = 0', 'id > 0', batch_size => 100);
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, note = NULL', 'note IS NOT NULL', batch_size => 100);
SELECT balance, count(*) FROM backfill_accounts GROUP BY balance ORDER BY balance;

-- accepted: the same values again, and rows that have them are left alone by
-- their stored bytes, not by an equality that is coarser
CALL dbops.batched_backfill('backfill_accounts', 'note = ''a'' || id');
CREATE TABLE backfill_bytes (id integer, num numeric, doc json, flt float8);
INSERT INTO backfill_bytes SELECT i, 1.0, '{}', 0 FROM generate_series(1, 100) i;
CALL dbops.batched_backfill('backfill_bytes', 'num = 1.00, doc = ''{ }'', flt = ''-0''');
SELECT DISTINCT num::text, doc::text, flt::text FROM backfill_bytes;

-- a trigger may change rows on the way; that is refused where it would have
-- a row changed twice, and only there
CREATE FUNCTION backfill_touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.note := 'touched ' || NEW.id || coalesce(OLD.note, ''); RETURN NEW; END $$;
CREATE TRIGGER touch BEFORE UPDATE ON backfill_accounts FOR EACH ROW EXECUTE FUNCTION backfill_touch();
UPDATE backfill_accounts SET active = true, balance = 1, note = 'x';
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, active = false', 'active', batch_size => 100);
SELECT DISTINCT balance FROM backfill_accounts;
CALL dbops.batched_backfill('backfill_accounts', 'status = right(id::text, 3)');
CALL dbops.batched_backfill('backfill_accounts', 'status = left(note, 3)');
-- what it reads
CALL dbops.batched_backfill('backfill_accounts', 'status = length(note)');
-- what ends the condition
CREATE OR REPLACE FUNCTION backfill_touch() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.active := true; RETURN NEW; END $$;
UPDATE backfill_accounts SET note = 'y';
CALL dbops.batched_backfill('backfill_accounts', 'balance = balance * 2, active = false', 'active');
-- with an expression that reads nothing the same value is assigned again, and the trigger wins
\set VERBOSITY sqlstate
CALL dbops.batched_backfill('backfill_accounts', 'active = false', 'active');
\set VERBOSITY default
SELECT DISTINCT balance, active FROM backfill_accounts;
-- a partition may have a trigger of its own
CREATE TABLE backfill_parts (id integer, balance integer, done boolean NOT NULL DEFAULT false) PARTITION BY LIST (id);
CREATE TABLE backfill_parts_1 PARTITION OF backfill_parts FOR VALUES IN (1);
CREATE FUNCTION backfill_undo() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.done := false; RETURN NEW; END $$;
CREATE TRIGGER undo BEFORE UPDATE ON backfill_parts_1 FOR EACH ROW EXECUTE FUNCTION backfill_undo();
INSERT INTO backfill_parts VALUES (1, 100);
CALL dbops.batched_backfill('backfill_parts', 'balance = balance + 1, done = true', 'NOT done');
SELECT balance FROM backfill_parts;

DROP TABLE backfill_accounts, backfill_bytes, backfill_parts CASCADE;
DROP FUNCTION backfill_touch(), backfill_undo();
