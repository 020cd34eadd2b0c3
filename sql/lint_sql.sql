-- lint_sql(): per rule what fires and a near miss that must not. Tables of less than
-- 8 MB are small, so that findings of work and locks are info here; sizes and traffic
-- have their own part at the end.
SET client_min_messages = warning;
CREATE SCHEMA lnt;
SET search_path = lnt, public;
CREATE TABLE full_one (id int NOT NULL, b int, e int, name varchar(10), at timestamptz, CONSTRAINT e_there CHECK (e IS NOT NULL AND e > 0));
INSERT INTO full_one SELECT g, g, g, 'x', now() FROM generate_series(1, 100) g;
CREATE TABLE "Odd ""T" ("C c" int, full_one_id int);
INSERT INTO "Odd ""T" VALUES (1, 1);
CREATE TABLE empty_one (id int, b int);
CREATE TABLE referenced (id bigint PRIMARY KEY);
INSERT INTO referenced VALUES (1);
CREATE TABLE parted (id int, k int) PARTITION BY RANGE (k);
CREATE TABLE parted_1 PARTITION OF parted FOR VALUES FROM (0) TO (10);
INSERT INTO parted VALUES (1, 1);
CREATE DOMAIN checked AS int CHECK (value > 0);
CREATE DOMAIN unchecked AS int;
CREATE FUNCTION declared_volatile() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
RESET client_min_messages;
CREATE VIEW pg_temp.rules AS SELECT rule_name FROM dbops.rule_list() WHERE review = 'lint';
-- what is found, without what is said of every strong lock, and of every second one
CREATE FUNCTION pg_temp.found(sql text, in_transaction boolean DEFAULT NULL) RETURNS TABLE (line int, rule text, severity text, relation text) LANGUAGE sql
    AS $$ SELECT line, rule, severity, relation FROM dbops.lint_sql(sql, in_transaction)
        WHERE rule NOT IN ('transaction.no_lock_timeout', 'transaction.no_idle_timeout', 'table.altered_again') $$;

-- new columns
SELECT line, rule, relation, why, safer_sql FROM dbops.lint_sql($$SET lock_timeout = '1s';
ALTER TABLE full_one ADD COLUMN u uuid DEFAULT gen_random_uuid() NOT NULL;
ALTER TABLE full_one ADD COLUMN g int GENERATED ALWAYS AS (b + 1) STORED;
ALTER TABLE full_one ADD COLUMN s bigserial;
ALTER TABLE full_one ADD COLUMN i int GENERATED ALWAYS AS IDENTITY;
ALTER TABLE full_one ADD COLUMN d checked;
ALTER TABLE full_one ADD COLUMN n numeric(3, 2) NOT NULL;
ALTER TABLE full_one ADD COLUMN f int DEFAULT declared_volatile(), ADD COLUMN x int DEFAULT not_there();$$);
SELECT * FROM pg_temp.found($$ALTER TABLE full_one ADD COLUMN c timestamptz DEFAULT now() NOT NULL, ADD COLUMN d unchecked, ADD COLUMN n int, ADD COLUMN k text DEFAULT 'a' || 'b' NOT NULL;
ALTER TABLE full_one ADD COLUMN IF NOT EXISTS b uuid DEFAULT gen_random_uuid();
ALTER TABLE empty_one ADD COLUMN u uuid DEFAULT gen_random_uuid(), ADD COLUMN n int NOT NULL;$$);
SELECT * FROM pg_temp.found($$CREATE TYPE mood AS ENUM ('sad', 'ok'); ALTER TABLE full_one ADD COLUMN m mood DEFAULT 'ok' NOT NULL;
ALTER TABLE full_one ADD COLUMN f mood DEFAULT of_mood();$$);

-- NOT NULL: what the server can prove
SELECT line, rule, relation, why, safer_sql FROM dbops.lint_sql($$SET lock_timeout = '1s'; ALTER TABLE full_one ALTER b SET NOT NULL; ALTER TABLE full_one ALTER b DROP NOT NULL;$$);
SELECT * FROM pg_temp.found('ALTER TABLE full_one ALTER e SET NOT NULL; ALTER TABLE full_one ALTER id SET NOT NULL; ALTER TABLE empty_one ALTER b SET NOT NULL');
-- one that has the words and proves nothing; one that the text validates; one that it drops
SELECT * FROM pg_temp.found($$ALTER TABLE full_one ADD CONSTRAINT words CHECK (b IS NOT NULL OR id > 0) NOT VALID;
ALTER TABLE full_one VALIDATE CONSTRAINT words;
ALTER TABLE full_one ALTER b SET NOT NULL;
ALTER TABLE full_one ADD CONSTRAINT proof CHECK (b IS NOT NULL AND b < 5) NOT VALID;
ALTER TABLE full_one ALTER b SET NOT NULL;
ALTER TABLE full_one VALIDATE CONSTRAINT proof;
ALTER TABLE full_one ALTER b SET NOT NULL;$$, false);
SELECT * FROM pg_temp.found('ALTER TABLE full_one DROP CONSTRAINT e_there; ALTER TABLE full_one ALTER e SET NOT NULL;');

-- constraints
SELECT line, rule, relation, why, safer_sql FROM dbops.lint_sql($$SET lock_timeout = '1s';
ALTER TABLE full_one ADD CONSTRAINT b_small CHECK ((b < 1000) OR (b IS NULL));
ALTER TABLE "Odd ""T" ADD CONSTRAINT "F k" FOREIGN KEY (full_one_id) REFERENCES referenced (id) ON DELETE SET NULL;
ALTER TABLE full_one ADD UNIQUE (b, e);
ALTER TABLE full_one ADD PRIMARY KEY (id);
ALTER TABLE full_one ADD EXCLUDE USING btree (b WITH =);
CREATE TABLE another (id int PRIMARY KEY, r bigint REFERENCES referenced);$$);
SELECT * FROM pg_temp.found($$CREATE UNIQUE INDEX CONCURRENTLY name_key ON full_one (name);
ALTER TABLE full_one ADD CONSTRAINT name_key PRIMARY KEY USING INDEX name_key;$$);
SELECT * FROM pg_temp.found($$BEGIN;
ALTER TABLE full_one ADD CONSTRAINT late CHECK (b > 0) NOT VALID;
ALTER TABLE full_one VALIDATE CONSTRAINT late;
COMMIT;$$);
SELECT * FROM pg_temp.found($$BEGIN; ALTER TABLE full_one ADD CONSTRAINT late CHECK (b > 0) NOT VALID; COMMIT; BEGIN; ALTER TABLE full_one VALIDATE CONSTRAINT late; COMMIT;
ALTER TABLE empty_one ADD CHECK (b > 0), ADD UNIQUE (b);
CREATE UNIQUE INDEX CONCURRENTLY id_key ON full_one (id);
ALTER TABLE full_one ADD CONSTRAINT id_key PRIMARY KEY USING INDEX id_key;$$);

-- indexes
SELECT line, rule, relation, why, safer_sql FROM dbops.lint_sql($$SET lock_timeout = '1s';
CREATE INDEX b_index ON full_one (b) WHERE e > 5;
CREATE INDEX CONCURRENTLY parted_index ON parted (id);
CREATE INDEX CONCURRENTLY IF NOT EXISTS e_index ON full_one (e);
REINDEX TABLE referenced; REINDEX INDEX referenced_pkey; DROP INDEX referenced_pkey;$$);
SELECT * FROM pg_temp.found($$CREATE INDEX CONCURRENTLY b_index ON full_one (b);
REINDEX INDEX CONCURRENTLY referenced_pkey;
DROP INDEX CONCURRENTLY referenced_pkey;
CREATE INDEX ON ONLY parted (id);
CREATE INDEX ON empty_one (b);
CREATE TABLE fresh (id int); CREATE INDEX ON fresh (id);$$);

-- transactions and locks
SELECT line, rule, relation, why FROM dbops.lint_sql($$BEGIN;
ALTER TABLE full_one ADD COLUMN c int;
UPDATE "Odd ""T" SET "C c" = 2 WHERE "C c" = 1;
BEGIN;
ALTER TABLE referenced ADD COLUMN c int;
VACUUM full_one;$$);
SELECT line, rule FROM dbops.lint_sql('COMMIT; SET lock_timeout = 0; ALTER TABLE full_one ADD c int; ALTER TABLE full_one ADD d int;');
SELECT line, rule FROM dbops.lint_sql($$SET lock_timeout = '1s'; ALTER TABLE full_one ADD c int;$$);
SELECT * FROM pg_temp.found('VACUUM full_one; ALTER TABLE full_one ADD c int; UPDATE referenced SET id = 2 WHERE id = 1;');
SELECT * FROM pg_temp.found('VACUUM full_one;', true);
SELECT * FROM pg_temp.found('SELECT 1; VACUUM full_one;', true);

-- objects that go, or get another name
SELECT line, rule, severity, relation, why, safer_sql FROM dbops.lint_sql($$SET lock_timeout = '1s';
ALTER TABLE not_there ADD COLUMN a int;
DROP TABLE "Odd ""T" CASCADE;
ALTER TABLE full_one DROP COLUMN b;
ALTER TABLE full_one RENAME COLUMN e TO e2;
ALTER TABLE referenced RENAME TO referred;
ALTER TABLE empty_one SET SCHEMA public;
DROP SCHEMA lnt CASCADE;
DROP TABLE empty_one;$$, false);
SELECT * FROM pg_temp.found($$ALTER TABLE IF EXISTS not_there ADD COLUMN a int;
DROP TABLE IF EXISTS not_there;
CREATE TABLE there (a int); ALTER TABLE there RENAME TO there_now; ALTER TABLE there_now ADD b int; DROP TABLE there_now;
CREATE SCHEMA other; SET search_path = other, lnt; CREATE TABLE full_one (a int); ALTER TABLE full_one ALTER a SET NOT NULL;
ALTER TABLE lnt.full_one RENAME CONSTRAINT e_there TO e_is_there;$$, false);

-- what writes tables anew
SELECT line, rule, relation, why, safer_sql FROM dbops.lint_sql($$SET lock_timeout = '1s';
ALTER TABLE full_one ALTER b TYPE bigint;
ALTER TABLE full_one ALTER name TYPE varchar(5);
ALTER TABLE full_one SET UNLOGGED;
VACUUM FULL full_one;
CLUSTER full_one USING something;$$, false);
SELECT * FROM pg_temp.found('ALTER TABLE full_one ALTER name TYPE varchar(20); ALTER TABLE full_one ALTER name TYPE text; ALTER TABLE full_one ALTER b TYPE unchecked; VACUUM (FULL false) full_one; ALTER TABLE empty_one ALTER b TYPE bigint', false);
SELECT * FROM pg_temp.found('ALTER TABLE full_one ALTER b TYPE checked', false);
SET timezone = 'UTC';
SELECT * FROM pg_temp.found('ALTER TABLE full_one ALTER at TYPE timestamp', false);
SET timezone = 'America/New_York';
SELECT * FROM pg_temp.found('ALTER TABLE full_one ALTER at TYPE timestamp', false);
RESET timezone;

-- rows
SELECT line, rule, relation, why, safer_sql FROM dbops.lint_sql($$UPDATE full_one
    SET b = b + 1, e = (SELECT 1);
DELETE FROM full_one;
TRUNCATE full_one, referenced CASCADE;
DO 'BEGIN END';$$, false);
SELECT * FROM pg_temp.found('UPDATE full_one SET b = 1 WHERE id = 1; DELETE FROM full_one USING referenced r WHERE r.id = full_one.id; UPDATE empty_one SET b = 1; CREATE TABLE fresh (a int); TRUNCATE fresh;', false);

-- texts that are none: the rest is judged
SELECT line, rule, severity, why FROM dbops.lint_sql($$SELEC 1;
\d full_one
SELECT 1 \gexec
COPY full_one FROM stdin;
1	2	3
\.
ALTER TABLE full_one ALTER b SET NOT NULL; ALTER TABLE full_one WHAT;
SELECT 'without an end;$$) WHERE rule <> 'transaction.no_lock_timeout';
SELECT count(*) FROM dbops.lint_sql('');
SELECT count(*) FROM dbops.lint_sql('-- nothing');
SELECT * FROM dbops.lint_sql(NULL);

-- looked at: in comments, by the names of others too, and muted
SELECT * FROM pg_temp.found($$-- dbops: ignore constraint.check_checked: it is small
ALTER TABLE full_one ADD CHECK (b > 0);
-- squawk-ignore constraint-missing-not-valid
ALTER TABLE full_one ADD CHECK (b > 0);
  --  eugene: ignore E1, E9
ALTER TABLE full_one ADD CHECK (b > 0);
-- dbops: ignore
ALTER TABLE full_one ADD CHECK (b > 0);
-- dbops: ignore column.set_not_null
ALTER TABLE full_one ADD CHECK (b > 0);
SELECT '
-- dbops: ignore
'; ALTER TABLE full_one ADD CHECK (b > 0);$$, false);
SELECT * FROM pg_temp.found($$ALTER TABLE full_one ADD CHECK (b > 0); ALTER TABLE full_one DROP COLUMN b;
-- squawk-ignore-file constraint-missing-not-valid
$$, false);
SELECT dbops.mute_finding('column.set_not_null:lnt.full_one.b', 'known', now() + interval '1 day');
SELECT rule, muted_until > now() AS muted FROM dbops.lint_sql($$ALTER TABLE full_one ALTER b SET NOT NULL$$) ORDER BY rule;
SELECT dbops.unmute_finding('column.set_not_null:lnt.full_one.b');

-- sizes and traffic
CREATE TABLE medium (a int, wide text);
ALTER TABLE medium ALTER wide SET STORAGE PLAIN;
INSERT INTO medium SELECT g, repeat('x', 7000) FROM generate_series(1, 1100) g;
SELECT rule, severity, relation, size_bytes FROM dbops.lint_sql('ALTER TABLE medium ALTER a SET NOT NULL') WHERE rule = 'column.set_not_null';
SELECT rule, severity, relation, size_bytes > 0 AS has_size FROM dbops.lint_sql('ALTER TABLE parted ALTER id SET NOT NULL') WHERE rule = 'column.set_not_null';

-- the rules are listed with those of reviews, which do not run them
SELECT review, count(*) > 30 AS many, bool_and(about <> '' AND source <> '') AS told FROM dbops.rule_list() WHERE review = 'lint' GROUP BY 1;
SELECT count(*) FROM dbops.review() r JOIN pg_temp.rules ON rule_name = check_name;

-- who may
CREATE ROLE regress_lint;
GRANT USAGE ON SCHEMA lnt TO regress_lint;
SET ROLE regress_lint;
SELECT * FROM dbops.lint_sql('SELECT 1');
RESET ROLE;
SELECT dbops.grant_access('regress_lint', 'operator');
SET ROLE regress_lint;
SELECT rule, relation FROM dbops.lint_sql('SET lock_timeout = 1; ALTER TABLE lnt.full_one ALTER b SET NOT NULL, ADD COLUMN f int DEFAULT declared_volatile()');
RESET ROLE;
SELECT dbops.revoke_access('regress_lint');

SET client_min_messages = warning;
DROP SCHEMA lnt CASCADE;
DROP ROLE regress_lint;
