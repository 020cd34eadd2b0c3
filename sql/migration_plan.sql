-- check_migration() at depth plan: lint's findings, locks and for how long, an estimate, what the schema review would find anew,
-- and the questions of a reviewer. At depth execute the review is compared. What is guessed is masked, as it follows sizes and the ledger.
\set VERBOSITY terse
SET track_counts = off;                         -- no table is busy, however new the server is
CREATE SCHEMA regress_plan;
SET search_path = regress_plan;
CREATE TABLE users (id integer PRIMARY KEY, name varchar(10) NOT NULL, email text);
INSERT INTO users SELECT i, 'n' || i, 'e' || i FROM generate_series(1, 20) i;
CREATE TABLE orders (user_id integer REFERENCES users ON DELETE CASCADE, note text);
INSERT INTO orders VALUES (1);
ALTER TABLE users ADD CONSTRAINT short CHECK (length(name) < 9) NOT VALID;
ANALYZE users;
CREATE FUNCTION plan(up text, down text DEFAULT NULL, OUT direction text, OUT step integer, OUT line integer, OUT state text, OUT flags text[], OUT message text)
    RETURNS SETOF record LANGUAGE sql
    AS 'SELECT direction, step, line, state, flags, regexp_replace(message, ''; depth =>.*'', '''') FROM dbops.check_migration(up, down, depth => ''plan'')';

-- findings stand behind their statement, also of several in one line
SELECT direction, step, line, state, flags, left(message, 60) AS message FROM plan(E'ALTER TABLE users ALTER id TYPE bigint; CREATE INDEX ON users (email);\nSELECT 1;\nALTER TABLE users DROP COLUMN email')
    WHERE state IN ('planned', 'finding');
SELECT objects - 'size_bytes' AS objects, objects ? 'size_bytes' AS has_size, notices FROM dbops.check_migration('DROP TABLE orders', depth => 'plan') WHERE state = 'finding';
-- a table that the text makes is nothing to find, nor a type that is stored alike; dbops limits how long locks are waited for
SELECT state, message FROM plan('CREATE TABLE own (a integer PRIMARY KEY); CREATE INDEX ON own (a); ALTER TABLE own ALTER a TYPE bigint; ALTER TABLE users ALTER name TYPE varchar(20)')
    WHERE state IN ('finding', 'finding added', 'finding removed');
-- what is muted is counted
SELECT dbops.mute_finding('column.dropped:regress_plan.users.email', 'nobody reads it', now() + interval '1 day');
SELECT state, message FROM plan('ALTER TABLE users DROP COLUMN email') WHERE step IS NULL AND state <> 'checklist';
SELECT dbops.unmute_finding('column.dropped:regress_plan.users.email');

-- estimates: what works on rows has one, with its basis; what does not, or is not known without a plan, has none
SELECT step, command, effect, row_count, wal_bytes > 0 AS writes, duration > '0' AS takes,
       regexp_replace(array_to_string(notices, '; '), '[0-9]+', 'N', 'g') AS notices
  FROM dbops.check_migration('ALTER TABLE users ALTER id TYPE bigint; ALTER TABLE users ALTER name TYPE varchar(20); CREATE INDEX ON users (email);
ALTER TABLE users VALIDATE CONSTRAINT short; UPDATE users SET email = ''x''; UPDATE users SET email = ''x'' WHERE id = 1; ALTER TABLE users ALTER email SET NOT NULL;
ALTER TABLE users ADD COLUMN a integer DEFAULT 1; ALTER TABLE orders ALTER note SET DEFAULT ''x''', depth => 'plan') WHERE step IS NOT NULL;
-- in steps each has its own transaction
SELECT step, flags, regexp_replace(array_to_string(notices, '; '), '[0-9]+', 'N', 'g') AS notices
  FROM dbops.check_migration('CREATE INDEX CONCURRENTLY i ON users (email); ALTER TABLE users ADD a integer; ALTER TABLE users ALTER id TYPE bigint', depth => 'plan') WHERE step IS NOT NULL;
-- limits that it would miss
SELECT step, flags FROM dbops.check_migration('ALTER TABLE users ADD a integer; ALTER TABLE users ALTER id TYPE bigint', NULL, 'plan',
    max_duration => '1 ms', max_blocked => '1 ms') WHERE step IS NOT NULL;

-- the schema review: what comes, and what goes
SELECT state, flags, message FROM plan('CREATE TABLE bare (a integer); CREATE TABLE keyed (a integer PRIMARY KEY); CREATE TABLE later (a integer); ALTER TABLE later ADD PRIMARY KEY (a);
CREATE TABLE gone (a integer); DROP TABLE gone; CREATE TEMP TABLE t (a integer); CREATE TABLE likewise (LIKE users INCLUDING ALL);
ALTER TABLE orders ADD CONSTRAINT noted CHECK (note <> '''') NOT VALID') WHERE state LIKE 'finding _%' ORDER BY message;
SELECT state, regexp_replace(message, ': [^.]*$', '') AS message FROM plan('CREATE INDEX ON orders (user_id); ALTER TABLE orders ADD PRIMARY KEY (user_id, note); ALTER TABLE users VALIDATE CONSTRAINT short')
    WHERE state LIKE 'finding _%' ORDER BY message;
SELECT state, split_part(message, ': ', 1) AS rule FROM plan('DROP TABLE orders') WHERE state LIKE 'finding _%' ORDER BY rule;
SELECT state FROM plan('ALTER TABLE orders RENAME TO purchases; CREATE INDEX ON purchases (note)') WHERE state LIKE 'finding _%';
-- the same by the catalog
SET dbops.dry_run_max_hold = '1 min';
SELECT state, flags, split_part(message, ': ', 1) AS rule, objects->>'relation' AS relation FROM dbops.check_migration(
'CREATE TABLE bare (a integer); ALTER TABLE bare ENABLE ROW LEVEL SECURITY; CREATE INDEX ON orders (user_id); DO $$ BEGIN CREATE TABLE hidden (a integer); END $$; ALTER TABLE users VALIDATE CONSTRAINT short',
'DROP TABLE hidden', force => true) WHERE state LIKE 'finding %' ORDER BY 1, 3, 4;
RESET dbops.dry_run_max_hold;
SELECT count(*) FILTER (WHERE state LIKE 'finding%') AS findings FROM dbops.check_migration('SELECT 1', force => true);

-- the questions
-- Foreign keys without an index, that come so or lose it; and that say nothing of deletions.
CREATE TABLE keys_of (id int PRIMARY KEY);
CREATE TABLE keyed (id int PRIMARY KEY, a int CONSTRAINT keyed_a REFERENCES keys_of ON DELETE CASCADE, b int CONSTRAINT keyed_b REFERENCES keys_of ON DELETE CASCADE, c int, CONSTRAINT keyed_ba UNIQUE (b, a));
CREATE INDEX keyed_a_index ON keyed (a);
CREATE INDEX keyed_part ON keyed (a) WHERE a > 0;
SELECT state, message FROM plan('DROP INDEX keyed_a_index; ALTER TABLE keyed DROP CONSTRAINT keyed_ba;') WHERE state LIKE 'finding %';
SELECT state, message FROM plan('DROP INDEX keyed_a_index; CREATE INDEX ON keyed (a, c); ALTER TABLE keyed DROP CONSTRAINT keyed_ba, DROP CONSTRAINT keyed_b;') WHERE state LIKE 'finding %';
SELECT state, message FROM plan('DROP INDEX keyed_a_index; DROP TABLE keyed;') WHERE state LIKE 'finding %';
SELECT state, message FROM plan('ALTER TABLE keyed ADD FOREIGN KEY (a, c) REFERENCES keys_of (id, id) ON DELETE CASCADE; CREATE TABLE "New" (id int PRIMARY KEY REFERENCES keys_of, b int REFERENCES keys_of ON DELETE SET NULL, c int UNIQUE REFERENCES keys_of ON DELETE CASCADE)') WHERE state LIKE 'finding %';
SELECT state, message FROM plan('ALTER TABLE keyed ADD CONSTRAINT again FOREIGN KEY (a) REFERENCES keys_of ON DELETE CASCADE') WHERE state LIKE 'finding %';
DROP TABLE keyed, keys_of;

SELECT flags, message FROM plan('SELECT 1', 'SELECT 1') WHERE state = 'checklist';
SELECT flags, message FROM plan(E'CREATE TABLE bare (a integer);\nCREATE TABLE told (a integer PRIMARY KEY); COMMENT ON TABLE told IS ''x''; ALTER TABLE told ENABLE ROW LEVEL SECURITY;
ALTER TABLE users DROP COLUMN email;\nTRUNCATE orders;\nALTER TABLE users RENAME name TO title;\nDO $$ BEGIN END $$;\nCREATE INDEX ON users (id);\nDROP TABLE nosuch') WHERE state = 'checklist';

-- a chain is followed as one, and each down text as it finds what its up text has left
SELECT version, direction, state, message FROM dbops.check_migration(
ARRAY['CREATE TABLE made (a integer)', 'ALTER TABLE made ADD PRIMARY KEY (a)', 'DROP TABLE orders'],
ARRAY['DROP TABLE made', NULL, 'ALTER TABLE orders ADD x integer'], depth => 'plan') WHERE state LIKE 'finding%' AND message NOT LIKE 'tables.u%';
-- a read-only transaction, and one that sees nothing else
BEGIN READ ONLY;
SELECT state, message FROM plan('ALTER TABLE users DROP COLUMN email') WHERE state IN ('planned', 'finding');
ROLLBACK;
-- who may not review is told so
CREATE ROLE regress_plan_deployer;
GRANT USAGE ON SCHEMA dbops, regress_plan TO regress_plan_deployer;
GRANT EXECUTE ON FUNCTION dbops.check_migration(text, text, text, boolean, interval, interval, interval) TO regress_plan_deployer;
SET ROLE regress_plan_deployer;
SELECT state, notices FROM dbops.check_migration('DROP TABLE orders', depth => 'plan') WHERE step IS NULL AND state = 'planned';
SELECT state, notices[1] FROM dbops.check_migration('SELECT 1') WHERE step IS NULL;
RESET ROLE;
SET client_min_messages = warning;
DROP SCHEMA regress_plan CASCADE;
REVOKE ALL ON SCHEMA dbops FROM regress_plan_deployer;
REVOKE ALL ON FUNCTION dbops.check_migration(text, text, text, boolean, interval, interval, interval) FROM regress_plan_deployer;
DROP ROLE regress_plan_deployer;
