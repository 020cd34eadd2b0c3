-- Each rule of lint_sql() with a text that it has something to say of, and one beside
-- it of which it has not. A rule without such a case is one that nobody has seen.
SET client_min_messages = warning;
SET track_counts = off;                         -- no table is busy, however new the server is
CREATE SCHEMA lnr;
SET search_path = lnr, public;
CREATE TABLE big (id int NOT NULL, a int, b int, c varchar(10), d int, CONSTRAINT d_there CHECK (d IS NOT NULL));
INSERT INTO big SELECT g, g, g, 'x', g FROM generate_series(1, 100) g;
CREATE INDEX big_a ON big (a);
CREATE UNIQUE INDEX big_id ON big (id);
CREATE TABLE other (id int PRIMARY KEY, big_id bigint, k int);
CREATE TABLE parent (a int);
CREATE TABLE child () INHERITS (parent);
INSERT INTO child VALUES (1);
CREATE DOMAIN plain AS int;
CREATE DOMAIN inside AS int;
CREATE DOMAIN deeper AS inside;
CREATE TYPE around AS (i deeper);
CREATE TABLE arrays (i inside[]);
CREATE DOMAIN apart AS int;
CREATE DOMAIN further AS apart;
CREATE TABLE columns (i apart, j further, k inside);
CREATE TYPE pair AS (a int, b int);
CREATE TYPE shape AS (a int, b int);
CREATE TABLE typed OF shape;
CREATE TABLE holds (p plain, c pair, k int);
INSERT INTO columns VALUES (1, 1, 1);
INSERT INTO typed VALUES (1, 1);
INSERT INTO holds VALUES (1, NULL, 1);
INSERT INTO other VALUES (1, 1, 1);
CREATE TABLE parted (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
INSERT INTO parted VALUES (1, 1);
CREATE TABLE parted_rest PARTITION OF parted DEFAULT;
INSERT INTO parted VALUES (1, 100);
CREATE TABLE waiting (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE leaving (id int) PARTITION BY LIST (id);
CREATE TABLE leaving_1 PARTITION OF leaving FOR VALUES IN (1);
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'leaving_1'::regclass;
CREATE TYPE mood AS ENUM ('calm', 'angry');
CREATE TABLE moody (id int PRIMARY KEY, m mood);
CREATE DOMAIN small AS int CHECK (value < 1000);
CREATE VIEW seen AS SELECT id, a FROM big;
CREATE MATERIALIZED VIEW kept AS SELECT id FROM big;
CREATE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE FUNCTION unused(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2';
CREATE INDEX big_twice ON big (twice(a));
CREATE FUNCTION changes() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION fires() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';
CREATE TRIGGER fire BEFORE INSERT ON big FOR EACH ROW EXECUTE FUNCTION fires();
CREATE TABLE refers (big_id int REFERENCES other);
INSERT INTO refers VALUES (1);
CREATE TABLE secured (a int);
ALTER TABLE secured ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_of_it ON secured USING (true);
CREATE FUNCTION overloaded(int) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE FUNCTION overloaded(text) RETURNS int LANGUAGE sql AS 'SELECT 1';
CREATE EXTENSION pg_trgm VERSION '1.3';
CREATE SCHEMA lnr_open;
CREATE SCHEMA lnr_empty;
GRANT CREATE ON SCHEMA lnr_open TO PUBLIC;
CREATE ROLE regress_lint_rules;
GRANT SELECT ON other TO regress_lint_rules;
CREATE TABLE owned (a int);
INSERT INTO owned VALUES (1);
ALTER TABLE owned OWNER TO regress_lint_rules;
CREATE TABLE held (a int);
INSERT INTO held VALUES (1);
BEGIN;
SELECT FROM held;
PREPARE TRANSACTION 'lint_rules holder';
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 3600)::text, false) IS NOT NULL AS later;
CREATE TABLE endless (a int);
INSERT INTO endless VALUES (1);
UPDATE pg_class SET reltuples = 1e15 WHERE oid = 'endless'::regclass;
RESET client_min_messages;

CREATE TEMP TABLE cases (rule text, fires text, misses text, in_transaction boolean DEFAULT false);
INSERT INTO cases VALUES
    -- what cannot be read
    ('text.psql', E'\\d big', 'SELECT 1'),
    ('text.unjudged', 'DROP FUNCTION overloaded', 'DROP FUNCTION overloaded(int)'),
    ('text.syntax', 'SELEC 1', 'SELECT 1'),
    -- new columns
    ('column.volatile_default', 'ALTER TABLE big ADD u uuid DEFAULT gen_random_uuid()', 'ALTER TABLE big ADD u timestamptz DEFAULT now()'),
    ('column.default_unknown', 'ALTER TABLE big ADD u int DEFAULT not_there()', 'ALTER TABLE big ADD u int DEFAULT 1 + 1'),
    ('column.generated', 'ALTER TABLE big ADD g int GENERATED ALWAYS AS (a) STORED', 'CREATE TABLE new (a int PRIMARY KEY, g int GENERATED ALWAYS AS (a) STORED)'),
    ('column.numbered', 'ALTER TABLE big ADD n bigserial', 'CREATE TABLE new (n bigserial PRIMARY KEY)'),
    ('column.checked_domain', 'ALTER TABLE big ADD n small', 'ALTER TABLE big ADD n int'),
    ('column.not_null_without_default', 'ALTER TABLE big ADD n int NOT NULL', 'ALTER TABLE big ADD n int NOT NULL DEFAULT 1'),
    ('column.set_not_null', 'ALTER TABLE big ALTER a SET NOT NULL', 'ALTER TABLE big ALTER d SET NOT NULL'),
    ('column.drop_not_null', 'ALTER TABLE big ALTER id DROP NOT NULL', 'ALTER TABLE big ALTER id DROP DEFAULT'),
    ('column.json', 'ALTER TABLE big ADD j json', 'ALTER TABLE big ADD j jsonb; CREATE TABLE new (id int PRIMARY KEY, j json)'),
    ('column.char', 'CREATE TABLE new (a char(5))', 'CREATE TABLE new (a "char")'),
    ('column.varchar', 'CREATE TABLE new (a varchar(5))', 'CREATE TABLE new (a varchar, b text)'),
    ('column.timestamp', 'ALTER TABLE big ADD at timestamp', 'ALTER TABLE big ADD at timestamptz'),
    ('column.small_key', 'CREATE TABLE new (a int, b int, PRIMARY KEY (b, a))', 'CREATE TABLE new (a bigint PRIMARY KEY, b int)'),
    ('column.serial', 'CREATE TABLE new (a bigserial)', 'CREATE TABLE new (a bigint GENERATED ALWAYS AS IDENTITY)'),
    ('column.money', 'CREATE TABLE new (a money)', 'CREATE TABLE new (money numeric)'),
    ('column.float_amount', 'CREATE TABLE new (total_price float)', 'CREATE TABLE new (total_price numeric, latitude float)'),
    -- what becomes of columns
    ('column.type_changed', 'ALTER TABLE big ALTER a TYPE bigint', 'ALTER TABLE big ALTER c TYPE varchar(20)'),
    ('column.dropped', 'ALTER TABLE big DROP COLUMN a', 'ALTER TABLE big ADD e int; ALTER TABLE big DROP COLUMN e'),
    ('column.renamed', 'ALTER TABLE big RENAME a TO z', 'ALTER TABLE big ADD e int; ALTER TABLE big RENAME e TO z'),
    ('column.in_view', 'ALTER TABLE big DROP COLUMN a', 'DROP VIEW seen; ALTER TABLE big DROP COLUMN a, ALTER b TYPE bigint'),
    -- constraints
    ('constraint.check_checked', 'ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0)', 'ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0) NOT VALID'),
    ('constraint.foreign_key_checked', 'ALTER TABLE big ADD FOREIGN KEY (a) REFERENCES other', 'ALTER TABLE big ADD FOREIGN KEY (a) REFERENCES other NOT VALID'),
    ('constraint.foreign_key_locks', 'CREATE TABLE new (id int PRIMARY KEY REFERENCES other)', 'CREATE TABLE one (id int PRIMARY KEY); CREATE TABLE two (id int PRIMARY KEY REFERENCES one)'),
    ('constraint.foreign_key_unindexed', 'ALTER TABLE big ADD FOREIGN KEY (b) REFERENCES other NOT VALID', 'ALTER TABLE big ADD FOREIGN KEY (a) REFERENCES other NOT VALID'),
    ('constraint.foreign_key_types', 'ALTER TABLE other ADD FOREIGN KEY (big_id) REFERENCES big (id) NOT VALID', 'ALTER TABLE other ADD FOREIGN KEY (k) REFERENCES big (id) NOT VALID'),
    ('constraint.validated_at_once', 'BEGIN; ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0) NOT VALID; ALTER TABLE big VALIDATE CONSTRAINT k; COMMIT', 'ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0) NOT VALID; ALTER TABLE big VALIDATE CONSTRAINT k'),
    ('constraint.index_built', 'ALTER TABLE big ADD UNIQUE (b)', 'ALTER TABLE big ADD UNIQUE USING INDEX big_id'),
    ('constraint.exclusion', 'ALTER TABLE big ADD EXCLUDE USING btree (a WITH =)', 'CREATE TABLE new (a int PRIMARY KEY, EXCLUDE USING btree (a WITH =))'),
    ('constraint.key_of_nullable', 'CREATE UNIQUE INDEX CONCURRENTLY u ON big (b); ALTER TABLE big ADD PRIMARY KEY USING INDEX u', 'ALTER TABLE big ADD PRIMARY KEY USING INDEX big_id'),
    ('constraint.foreign_key_partitioned', 'ALTER TABLE parted ADD FOREIGN KEY (id) REFERENCES other NOT VALID', 'ALTER TABLE parted ADD FOREIGN KEY (id) REFERENCES other; ALTER TABLE parted_1 ADD FOREIGN KEY (id) REFERENCES other NOT VALID'),
    ('constraint.unnamed', 'ALTER TABLE big ADD CHECK (a > 0) NOT VALID', 'ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0) NOT VALID'),
    -- indexes
    ('index.not_concurrently', 'CREATE INDEX i ON big (b)', 'CREATE INDEX CONCURRENTLY i ON big (b)'),
    ('index.partitioned_concurrently', 'CREATE INDEX CONCURRENTLY i ON parted (id)', 'CREATE INDEX i ON ONLY parted (id)'),
    ('index.if_not_exists', 'CREATE INDEX CONCURRENTLY IF NOT EXISTS i ON big (b)', 'CREATE INDEX CONCURRENTLY i ON big (b)'),
    ('index.under_lock_timeout', 'SET lock_timeout = 100; CREATE INDEX CONCURRENTLY i ON big (b)', 'SET lock_timeout = 0; CREATE INDEX CONCURRENTLY i ON big (b)'),
    ('index.wide', 'CREATE INDEX CONCURRENTLY i ON big (id, a, b, d)', 'CREATE INDEX CONCURRENTLY i ON big (id, a, b) INCLUDE (d)'),
    ('index.dropped_not_concurrently', 'DROP INDEX big_a', 'DROP INDEX CONCURRENTLY big_a'),
    ('index.rebuilt_not_concurrently', 'REINDEX INDEX big_a', 'REINDEX INDEX CONCURRENTLY big_a'),
    ('index.dropped_first', 'DROP INDEX CONCURRENTLY big_a; CREATE INDEX CONCURRENTLY i ON big (a, b)', 'CREATE INDEX CONCURRENTLY i ON big (a, b); DROP INDEX CONCURRENTLY big_a; CREATE INDEX CONCURRENTLY j ON big (b)'),
    -- partitions
    ('partition.attached_unproven', 'ALTER TABLE waiting ATTACH PARTITION other FOR VALUES FROM (20) TO (30)', 'CREATE TABLE new (id int, k int); ALTER TABLE waiting ATTACH PARTITION new FOR VALUES FROM (20) TO (30)'),
    ('partition.default_read', 'CREATE TABLE new PARTITION OF parted FOR VALUES FROM (10) TO (20)', 'CREATE TABLE new PARTITION OF waiting FOR VALUES FROM (20) TO (30)'),
    ('partition.detached', 'ALTER TABLE parted DETACH PARTITION parted_1', 'ALTER TABLE leaving DETACH PARTITION leaving_1 CONCURRENTLY'),
    ('partition.detach_pending', 'ALTER TABLE leaving DETACH PARTITION leaving_1 CONCURRENTLY', 'ALTER TABLE leaving DETACH PARTITION leaving_1 FINALIZE; ALTER TABLE parted DETACH PARTITION parted_1'),
    -- transactions
    ('transaction.cannot_be_in_one', 'BEGIN; VACUUM big; COMMIT', 'VACUUM big'),
    ('transaction.nested', 'BEGIN; BEGIN; COMMIT', 'BEGIN; COMMIT; BEGIN; COMMIT'),
    ('transaction.not_committed', 'BEGIN; SELECT 1', 'BEGIN; SELECT 1; COMMIT'),
    ('transaction.no_lock_timeout', 'ALTER TABLE big ADD e int', 'SET lock_timeout = 100; ALTER TABLE big ADD e int'),
    ('transaction.work_behind_lock', 'BEGIN; ALTER TABLE big ADD e int; UPDATE other SET k = 2 WHERE id = 1; COMMIT', 'ALTER TABLE big ADD e int; UPDATE other SET k = 2 WHERE id = 1'),
    ('transaction.many_tables', 'BEGIN; ALTER TABLE big ADD e int; ALTER TABLE other ADD e int; COMMIT', 'ALTER TABLE big ADD e int; ALTER TABLE other ADD e int'),
    ('transaction.many_foreign_keys', 'BEGIN; ALTER TABLE refers ADD FOREIGN KEY (big_id) REFERENCES other NOT VALID; ALTER TABLE refers ADD FOREIGN KEY (big_id) REFERENCES big (id) NOT VALID; COMMIT', 'ALTER TABLE refers ADD FOREIGN KEY (big_id) REFERENCES other NOT VALID; ALTER TABLE refers ADD FOREIGN KEY (big_id) REFERENCES big (id) NOT VALID'),
    ('transaction.no_statement_timeout', 'CREATE INDEX i ON big (b)', $$SET statement_timeout = '1h'; CREATE INDEX i ON big (b); RESET statement_timeout; CREATE INDEX CONCURRENTLY i ON big (b)$$),
    ('transaction.no_idle_timeout', 'BEGIN; ALTER TABLE big ADD e int; COMMIT', $$SET idle_in_transaction_session_timeout = '10s'; BEGIN; ALTER TABLE big ADD e int; COMMIT$$),
    ('table.altered_again', 'ALTER TABLE big ADD e int; ALTER TABLE big ADD f int', 'ALTER TABLE big ADD CONSTRAINT k CHECK (a > 0) NOT VALID; ALTER TABLE big VALIDATE CONSTRAINT k; ALTER TABLE big ALTER d SET NOT NULL; ALTER TABLE big DROP CONSTRAINT k'),
    -- objects
    ('object.missing', 'ALTER TABLE not_there ADD a int', 'ALTER TABLE IF EXISTS not_there ADD a int'),
    ('object.missing', 'ALTER TABLE big ALTER not_there SET DEFAULT 1', 'ALTER TABLE big DROP IF EXISTS not_there; ALTER TABLE big ADD made int, ALTER made SET DEFAULT 1; ALTER TABLE big RENAME made TO other; ALTER TABLE big ALTER other DROP DEFAULT'),
    ('table.dropped', 'DROP TABLE other', 'CREATE TABLE new (a int PRIMARY KEY); DROP TABLE new'),
    ('table.made_again', 'DROP TABLE IF EXISTS other; CREATE TABLE other (id int PRIMARY KEY)', 'ALTER TABLE other RENAME TO old; CREATE TABLE other (id int PRIMARY KEY)'),
    ('schema.dropped', 'DROP SCHEMA lnr CASCADE', 'DROP SCHEMA lnr'),
    ('schema.renamed', 'ALTER SCHEMA lnr RENAME TO lnr_other', 'ALTER SCHEMA lnr_empty RENAME TO lnr_other; CREATE SCHEMA made; CREATE TABLE made.t (id int PRIMARY KEY); ALTER SCHEMA made RENAME TO made_other'),
    ('table.renamed', 'ALTER TABLE big RENAME TO huge', 'CREATE TABLE new (a int PRIMARY KEY); ALTER TABLE new RENAME TO newer'),
    ('table.moved', 'ALTER TABLE big SET SCHEMA public', 'CREATE TABLE new (a int PRIMARY KEY); ALTER TABLE new SET SCHEMA public'),
    ('name.cut', 'CREATE TABLE ' || repeat('x', 64) || ' (a int)', 'CREATE TABLE ' || repeat('x', 63) || ' (a int)'),
    ('name.clash', 'CREATE TABLE ' || repeat('x', 64) || ' (a int); CREATE TABLE "' || repeat('x', 65) || '" (a int)', 'CREATE TABLE ' || repeat('x', 64) || ' (a int); CREATE TABLE ' || repeat('y', 65) || ' (a int)'),
    ('name.unqualified', 'ALTER TABLE big ADD e int', 'ALTER TABLE lnr.big ADD e int'),
    ('name.capturable', 'SET search_path = lnr_open, lnr; ALTER TABLE big ADD e int', 'SET search_path = lnr, lnr_open; ALTER TABLE big ADD e int'),
    ('statement.not_repeatable', 'CREATE TABLE new (a int)', 'CREATE TABLE IF NOT EXISTS new (a int); BEGIN; CREATE TABLE newer (a int); COMMIT'),
    -- what a statement does not name
    ('table.dropped_along', 'DROP OWNED BY regress_lint_rules', 'DROP TABLE owned'),
    ('column.dropped_along', 'DROP TYPE pair CASCADE', 'DROP TYPE shape'),
    ('table.stripped_along', 'DROP TABLE other CASCADE', 'DROP TABLE other'),
    ('table.worked_on_along', 'ALTER DOMAIN plain ADD CHECK (value > 0)', 'ALTER DOMAIN plain ADD CHECK (value > 0) NOT VALID'),
    ('table.locked_along', 'DROP TABLE refers', 'DROP TABLE holds'),
    ('type.not_changeable', 'ALTER TYPE pair ALTER ATTRIBUTE a TYPE bigint', 'ALTER TYPE pair ADD ATTRIBUTE z int'),
    ('type.not_changeable', 'ALTER DOMAIN inside ADD CHECK (value > 0)', 'ALTER DOMAIN inside ADD CHECK (value > 0) NOT VALID; ALTER DOMAIN apart ADD CHECK (value > 0); ALTER DOMAIN deeper SET NOT NULL'),
    ('table.worked_on_along', 'ALTER DOMAIN apart ADD CHECK (value > 0)', 'ALTER DOMAIN inside ADD CHECK (value > 0)'),
    -- enum types
    ('type.value_renamed', $$ALTER TYPE mood RENAME VALUE 'calm' TO 'quiet'$$, $$CREATE TYPE new AS ENUM ('a'); ALTER TYPE new RENAME VALUE 'a' TO 'b'$$),
    ('type.value_used_at_once', $$BEGIN; ALTER TYPE mood ADD VALUE 'glad'; UPDATE moody SET m = 'glad' WHERE id = 1; COMMIT$$, $$BEGIN; ALTER TYPE mood ADD VALUE 'glad'; UPDATE big SET c = 'glad' WHERE id = 1; COMMIT; UPDATE moody SET m = 'glad' WHERE id = 1$$),
    ('type.value_unplaced', $$ALTER TYPE mood ADD VALUE 'glad'$$, $$ALTER TYPE mood ADD VALUE 'glad' BEFORE 'calm'$$),
    ('type.enum', $$CREATE TYPE new AS ENUM ('a')$$, 'CREATE TYPE new AS (a int)'),
    ('type.checked_domain', 'CREATE DOMAIN new AS int CHECK (value > 0)', 'CREATE DOMAIN new AS int DEFAULT 0 NULL'),
    -- what is written anew, and rows
    ('table.option_locks', 'ALTER TABLE big SET (user_catalog_table = true)', 'ALTER TABLE big SET (fillfactor = 90, autovacuum_enabled = false)'),
    ('table.stored_anew', 'ALTER TABLE big SET UNLOGGED', 'ALTER TABLE big SET (fillfactor = 90)'),
    ('table.stored_anew', 'ALTER TABLE big SET UNLOGGED; ALTER TABLE big SET LOGGED', 'ALTER TABLE big SET LOGGED'),
    ('table.stored_anew', 'ALTER TABLE big SET TABLESPACE pg_global', 'ALTER TABLE big SET TABLESPACE pg_default'),
    ('column.type_changed', 'ALTER TABLE big ALTER c TYPE text USING c || c', 'ALTER TABLE big ALTER c TYPE text USING c'),
    ('column.type_changed', 'ALTER TABLE big ALTER c TYPE text USING c::varchar(5)', 'ALTER TABLE big ALTER c TYPE text USING c::text'),
    ('column.type_changed', 'ALTER TABLE big ALTER a TYPE bigint USING a::bigint', 'ALTER TABLE big ALTER c TYPE varchar(20) USING CAST(big.c AS varchar(15))'),
    ('column.type_changed', 'ALTER TABLE big ALTER c TYPE text USING b', 'ALTER TABLE big ALTER c TYPE text'),
    ('column.type_changed', 'ALTER TABLE big ALTER a TYPE oid', 'ALTER TABLE big ALTER b TYPE oid'),
    ('constraint.check_checked', 'ALTER TABLE parent ADD CONSTRAINT k CHECK (a > 0)', 'ALTER TABLE parent ADD CONSTRAINT k CHECK (a > 0) NO INHERIT'),
    ('rows.all_changed', 'UPDATE parent SET a = 1', 'UPDATE ONLY parent SET a = 1; DELETE FROM ONLY parent'),
    ('table.vacuumed_full', 'VACUUM FULL big', 'VACUUM big'),
    ('view.refreshed', 'REFRESH MATERIALIZED VIEW kept', 'CREATE MATERIALIZED VIEW new AS SELECT 1 AS a; REFRESH MATERIALIZED VIEW new'),
    ('rows.all_changed', 'UPDATE big SET b = 1', 'UPDATE big SET b = 1 WHERE id = 1'),
    ('rows.all_changed', 'DELETE FROM big WHERE true', 'DELETE FROM big WHERE a IS NOT NULL'),
    ('rows.all_changed', 'UPDATE big SET b = 1 WHERE 1 = 1', 'UPDATE big SET b = 1 WHERE 1 = 2'),
    ('rows.all_changed', 'DELETE FROM big WHERE a = 1 OR NOT (false OR id IS NULL)', 'DELETE FROM big WHERE a = 1 AND true'),
    ('rows.all_changed', $$UPDATE big SET c = 'x' WHERE length('abc') > 2 RETURNING a$$, $$UPDATE big SET c = 'x' WHERE twice(1) = 2; UPDATE big SET c = 'x' WHERE random() >= 0$$),
    ('rows.all_changed', 'DELETE FROM big USING other', 'DELETE FROM big USING other WHERE big.id = other.id'),
    ('rows.all_changed', 'WITH d AS (DELETE FROM big RETURNING *) SELECT count(*) FROM d', 'WITH d AS (DELETE FROM big WHERE EXISTS (SELECT FROM other o WHERE o.id = big.id) RETURNING *) SELECT count(*) FROM d'),
    ('rows.all_changed', 'WITH d AS (UPDATE big SET b = 1 RETURNING a) INSERT INTO other SELECT a FROM d', 'WITH d AS (UPDATE ONLY parent SET a = 1 RETURNING a) INSERT INTO other SELECT a FROM d'),
    ('rows.all_changed', 'EXPLAIN ANALYZE DELETE FROM big', 'EXPLAIN DELETE FROM big; EXPLAIN (ANALYZE off) DELETE FROM big; PREPARE p AS DELETE FROM big'),
    ('rows.all_changed', 'COPY (DELETE FROM big RETURNING *) TO STDOUT', 'COPY (DELETE FROM big WHERE id = 1 RETURNING *) TO STDOUT'),
    ('rows.all_changed', 'CREATE TABLE new AS WITH x AS (DELETE FROM big RETURNING *) SELECT * FROM x', 'CREATE TABLE new AS WITH x AS (DELETE FROM big RETURNING *) SELECT * FROM x WITH NO DATA; CREATE TABLE IF NOT EXISTS other AS WITH x AS (DELETE FROM big RETURNING *) SELECT * FROM x'),
    ('rows.all_changed', 'MERGE INTO big USING other ON true WHEN MATCHED AND a = 1 THEN UPDATE SET b = 1 WHEN MATCHED THEN DELETE', 'MERGE INTO big USING other o ON big.id = o.id WHEN MATCHED THEN DELETE'),
    ('rows.all_changed', 'MERGE INTO big USING other ON 1 < 2 WHEN MATCHED AND true THEN UPDATE SET b = 1', 'MERGE INTO big USING other ON true WHEN MATCHED AND a = 1 THEN DO NOTHING WHEN MATCHED THEN DELETE; MERGE INTO big USING other o ON false WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (o.id)'),
    ('rows.with_schema', 'BEGIN; ALTER TABLE big ADD e int; WITH d AS (DELETE FROM big WHERE id = 1 RETURNING *) SELECT FROM d; COMMIT', 'BEGIN; ALTER TABLE big ADD e int; EXPLAIN DELETE FROM big; COMMIT'),
    ('rows.truncated', 'TRUNCATE big', 'CREATE TABLE new (a int PRIMARY KEY); TRUNCATE new'),
    ('rows.with_schema', 'BEGIN; ALTER TABLE big ADD e int; UPDATE big SET b = 1 WHERE id = 1; COMMIT', 'ALTER TABLE big ADD e int; UPDATE big SET b = 1 WHERE id = 1'),
    ('rows.assigned_twice', 'UPDATE big SET b = 1, b = 2 WHERE id = 1', 'UPDATE big SET b = 1, d = 2 WHERE id = 1'),
    ('statement.unseen', 'SELECT changes()', 'SELECT unused(1), now(), count(*) FROM big'),
    -- triggers and functions
    ('trigger.created', 'CREATE TRIGGER t BEFORE INSERT ON other FOR EACH ROW EXECUTE FUNCTION fires()', 'CREATE TABLE new (a int PRIMARY KEY); CREATE TRIGGER t BEFORE INSERT ON new FOR EACH ROW EXECUTE FUNCTION fires()'),
    ('trigger.dropped', 'DROP TRIGGER fire ON big', 'DROP TRIGGER IF EXISTS fire ON not_there'),
    ('trigger.enabled', 'ALTER TABLE big ENABLE ALWAYS TRIGGER fire', 'ALTER TABLE big DISABLE TRIGGER fire'),
    ('trigger.disabled', 'ALTER TABLE big DISABLE TRIGGER fire', 'ALTER TABLE big ENABLE TRIGGER fire'),
    ('trigger.foreign_keys_off', 'ALTER TABLE other DISABLE TRIGGER ALL', 'ALTER TABLE other DISABLE TRIGGER USER; ALTER TABLE big DISABLE TRIGGER ALL'),
    ('function.in_use', 'DROP FUNCTION fires()', 'DROP TRIGGER fire ON big; DROP FUNCTION fires()'),
    ('function.stored_results', $$CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 3'$$, $$CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 2'; CREATE OR REPLACE FUNCTION unused(x int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT x * 3'$$),
    ('function.no_longer_immutable', $$CREATE OR REPLACE FUNCTION twice(x int) RETURNS int LANGUAGE sql AS 'SELECT x * 2'$$, 'ALTER FUNCTION unused(int) VOLATILE'),
    ('function.not_replaceable', $$CREATE OR REPLACE FUNCTION unused(x int) RETURNS bigint LANGUAGE sql AS 'SELECT 1'$$, $$CREATE OR REPLACE FUNCTION unused(x text) RETURNS bigint LANGUAGE sql AS 'SELECT 1'$$),
    ('view.not_replaceable', 'CREATE OR REPLACE VIEW seen AS SELECT id FROM big', 'CREATE OR REPLACE VIEW seen AS SELECT id, a, b FROM big'),
    -- rights, extensions and publications
    ('privilege.to_public', 'GRANT SELECT ON big TO PUBLIC', 'GRANT SELECT ON big TO regress_lint_rules; GRANT EXECUTE ON FUNCTION fires() TO PUBLIC'),
    ('privilege.revoked', 'REVOKE SELECT ON other FROM regress_lint_rules', 'REVOKE SELECT ON big FROM regress_lint_rules'),
    ('policy.missing', 'ALTER TABLE big ENABLE ROW LEVEL SECURITY', 'BEGIN; ALTER TABLE big ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON big USING (true); COMMIT'),
    ('policy.forced', 'ALTER TABLE secured FORCE ROW LEVEL SECURITY', 'ALTER TABLE secured NO FORCE ROW LEVEL SECURITY'),
    ('policy.disabled', 'ALTER TABLE secured DISABLE ROW LEVEL SECURITY', 'ALTER TABLE big DISABLE ROW LEVEL SECURITY'),
    ('policy.changed', 'DROP POLICY all_of_it ON secured', 'CREATE POLICY more ON secured USING (true); CREATE POLICY fewer ON big AS RESTRICTIVE USING (false)'),
    ('extension.unavailable', 'CREATE EXTENSION there_is_none', 'CREATE EXTENSION IF NOT EXISTS plpgsql'),
    ('extension.not_permitted', 'CREATE EXTENSION dbops', 'CREATE EXTENSION IF NOT EXISTS plpgsql'),
    ('extension.updated', 'ALTER EXTENSION pg_trgm UPDATE', 'ALTER EXTENSION plpgsql UPDATE'),
    ('extension.no_path', $$ALTER EXTENSION plpgsql UPDATE TO '99'$$, 'ALTER EXTENSION plpgsql UPDATE'),
    ('extension.dropped', 'DROP EXTENSION plpgsql CASCADE', 'DROP EXTENSION plpgsql'),
    ('table.replica_identity_full', 'ALTER TABLE big REPLICA IDENTITY FULL', 'ALTER TABLE big REPLICA IDENTITY USING INDEX big_id'),
    ('table.published_without_key', 'CREATE PUBLICATION p FOR TABLE big', $$CREATE PUBLICATION p FOR TABLE other; CREATE PUBLICATION q FOR TABLE big WITH (publish = 'insert')$$),
    -- who is around, and how much room there is
    ('transaction.lock_taken', 'ALTER TABLE held ADD x int', 'CREATE INDEX ON held (a); ALTER TABLE owned ADD x int'),
    ('transaction.lock_replayed', 'ALTER TABLE big ADD x int', 'CREATE INDEX ON big (b)'),
    ('table.no_room', 'CREATE INDEX CONCURRENTLY ON endless (a)', 'CREATE INDEX ON big (b); ALTER TABLE endless ADD b int'),
    ('table.no_room', 'CREATE INDEX ON endless (a)', 'ALTER TABLE big ALTER b TYPE bigint; TRUNCATE endless; CREATE INDEX ON endless (a)'),
    ('table.without_key', 'CREATE TABLE new (a int)', 'CREATE TABLE new (a int); ALTER TABLE new ADD PRIMARY KEY (a)');

-- those that are a matter of taste are asked for
SELECT count(dbops.set_check(rule_name, enabled => true)) > 5 AS asked FROM dbops.rule_list() WHERE review = 'lint' AND NOT on_by_default;
-- each rule has a case, and each case a rule
SELECT rule_name FROM dbops.rule_list() WHERE review = 'lint' EXCEPT SELECT rule FROM cases;
SELECT rule FROM cases EXCEPT SELECT rule_name FROM dbops.rule_list() WHERE review = 'lint';
-- where nothing is said of what fires
SELECT c.rule, c.fires FROM cases c WHERE c.rule NOT IN ('extension.not_permitted', 'transaction.lock_replayed') AND NOT (c.rule = 'constraint.foreign_key_partitioned' AND current_setting('server_version_num')::int >= 180000) AND NOT EXISTS (SELECT FROM dbops.lint_sql(c.fires, c.in_transaction) l WHERE l.rule = c.rule) ORDER BY 1;
-- and something of what is near, which is judged as well
SELECT c.rule, c.misses, l.rule, l.why FROM cases c, dbops.lint_sql(c.misses, c.in_transaction) l WHERE l.rule IN (c.rule, 'text.unjudged', 'text.syntax') ORDER BY 1, 3;
SELECT c.rule, l.why FROM cases c, dbops.lint_sql(c.fires, c.in_transaction) l WHERE l.rule = 'text.unjudged' AND c.rule <> l.rule;
-- what is said of each, but of rules that lint_sql has in full
SELECT c.rule, l.severity, l.relation, l.why, l.safer_sql FROM cases c, dbops.lint_sql(c.fires, c.in_transaction) l
 WHERE l.rule = c.rule AND (c.rule ~ '^(trigger|function|view.not|privilege|policy|extension|name|schema.renamed|type|partition.detach)' OR c.rule ~ '^column.(json|char|small|money)'
   OR c.rule IN ('table.altered_again', 'table.made_again', 'table.published_without_key', 'table.replica_identity_full', 'table.without_key', 'index.dropped_first',
                 'transaction.lock_taken', 'transaction.no_statement_timeout', 'transaction.no_idle_timeout', 'rows.all_changed', 'rows.assigned_twice', 'statement.unseen', 'transaction.many_foreign_keys', 'table.option_locks', 'statement.not_repeatable', 'constraint.unnamed')) ORDER BY 1, 3, 4, 5;
-- What is advised is statements that the server can read, or a sentence.
CREATE TEMP TABLE advised AS SELECT DISTINCT c.rule, l.safer_sql FROM cases c, dbops.lint_sql(c.fires, c.in_transaction) l
 WHERE l.safer_sql ~ '^(ALTER|CALL|COMMIT|CREATE|DROP|GRANT|REFRESH|REINDEX|REVOKE|SELECT|SET|VALIDATE)\M' OR l.safer_sql ~ ';$';
SELECT a.rule, a.safer_sql FROM advised a WHERE a.safer_sql !~ ';( --[^\n]*)?$' OR a.safer_sql ~ '\.\.\.' ORDER BY 1, 2;
SELECT a.rule, a.safer_sql, l.why FROM advised a, dbops.lint_sql(a.safer_sql) l WHERE l.rule IN ('text.syntax', 'text.psql') ORDER BY 1, 2;
-- what a superuser is not told
SELECT dbops.grant_access('regress_lint_rules', 'operator');
SET ROLE regress_lint_rules;
SELECT rule, relation, why FROM dbops.lint_sql('CREATE EXTENSION pageinspect');
RESET ROLE;

SET client_min_messages = warning;
SELECT count(dbops.reset_check(rule_name)) > 5 AS reset FROM dbops.rule_list() WHERE review = 'lint' AND NOT on_by_default;
SELECT dbops.revoke_access('regress_lint_rules');
ROLLBACK PREPARED 'lint_rules holder';
DROP EXTENSION pg_trgm;
DROP SCHEMA lnr, lnr_open, lnr_empty CASCADE;
DROP ROLE regress_lint_rules;
