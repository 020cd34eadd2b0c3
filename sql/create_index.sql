-- create_index(): one index, built while others write. What others do meanwhile
-- is in the test online_index.pl; partitions are in create_index_partitions.
\set SHOW_CONTEXT never
SET client_min_messages = warning;
CREATE SCHEMA cix;
CREATE SCHEMA "cix ""2""";
SET search_path = cix;
CREATE FUNCTION fold(text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT pg_catalog.lower($1)';
CREATE DOMAIN short AS text CHECK (length(VALUE) < 100);
CREATE TABLE t (gone int, id int PRIMARY KEY, a text, b int, "C d" text, s short, j jsonb, ts timestamptz);
ALTER TABLE t DROP gone;
INSERT INTO t SELECT g, g::text, g % 10, 'x' FROM generate_series(1, 100) g;
RESET client_min_messages;

-- a dry run, the call, and the same call again
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(t.a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1', dry_run => true);
SELECT to_regclass('t_b');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(t.a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(t.a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
SELECT pg_get_indexdef('t_b'::regclass), indisvalid FROM pg_index WHERE indexrelid = 't_b'::regclass;

-- the same in other words is the same
CALL dbops.create_index('/* once */ create index concurrently if not exists T_B on only cix.t using btree (("b") desc nulls first, (lower(a)) asc) include ("C d") with (fillfactor=''70'') where ((t.b) > 1) -- more');

-- what differs is refused, and said
CALL dbops.create_index('CREATE INDEX t_b ON t (b, lower(a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
\set VERBOSITY terse
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 2');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a)) INCLUDE ("C d") WITH (fillfactor = 70)');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a)) INCLUDE ("C d") WITH (fillfactor = 80) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a)) INCLUDE ("C d") WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a)) INCLUDE (s) WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a), "C d") WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, upper(a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a) COLLATE "C") INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t (b DESC, lower(a) text_pattern_ops) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE UNIQUE INDEX t_b ON t (b DESC, lower(a)) INCLUDE ("C d") WITH (fillfactor = 70) WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b ON t USING hash (b) WHERE b > 1');
CREATE TABLE other (b int);
CALL dbops.create_index('CREATE INDEX t_b ON other (b)');
CALL dbops.create_index('CREATE INDEX t ON other (b)');
\set VERBOSITY default

-- another that does the same
CALL dbops.create_index('CREATE INDEX t_b2 ON t (b DESC, lower(a)) INCLUDE ("C d") WHERE b > 1');
CALL dbops.create_index('CREATE INDEX t_b2 ON t (b DESC, lower(a)) INCLUDE ("C d") WHERE b > 1', allow_duplicate => true);
CALL dbops.create_index('CREATE UNIQUE INDEX ON t (id)');
CALL dbops.create_index('CREATE UNIQUE INDEX ON t (id)', allow_duplicate => true);
CALL dbops.create_index('CREATE INDEX ON t (id)');

-- A name that is not given is the one that the server chooses, and found again.
SET client_min_messages = warning;
CREATE TABLE "cix ""2""".t (LIKE t);
CREATE TABLE definition (number int PRIMARY KEY, text text);
INSERT INTO definition VALUES
    (1, '(b)'), (2, '(b) WHERE a IS NULL'), (3, '(lower(a), upper(a), lower(s))'), (4, '((b + 1), (b * 2))'),
    (5, '("C d", a)'), (6, '(a COLLATE "C") INCLUDE (b, ts)'), (7, 'USING gin (j jsonb_path_ops)'),
    (8, 'USING brin (ts) WITH (pages_per_range = 16, autosummarize)'), (9, '(cix.fold(a), (s::text))'), (10, '(a text_pattern_ops DESC NULLS LAST)'),
    (11, '((a IS NOT NULL AND b > 1), (CASE WHEN b > 1 THEN 1 END))'), (12, '(a, b, "C d", s, ts, id, (a || ''a very long constant, and more of it''))'),
    (13, '((ts AT TIME ZONE ''UTC''), EXTRACT(year FROM ts AT TIME ZONE ''UTC''))'), (14, 'USING hash (b)'), (15, 'USING brin (b int4_minmax_multi_ops (values_per_range = 16))');
SELECT format('CREATE INDEX ON "cix ""2""".t %s', text) FROM definition ORDER BY number \gexec
SELECT format('CALL dbops.create_index(%L)', 'CREATE INDEX ON t ' || text) FROM definition ORDER BY number \gexec
RESET client_min_messages;
CREATE VIEW theirs AS SELECT indexname, replace(indexdef, '"cix ""2"""', 'cix') AS indexdef FROM pg_indexes WHERE schemaname = 'cix "2"';
CREATE VIEW ours AS SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'cix';
SELECT count(*), count(ours) FROM theirs LEFT JOIN ours USING (indexname, indexdef);
SELECT indexname, theirs.indexdef, ours.indexdef FROM theirs LEFT JOIN ours USING (indexname) WHERE ours.indexdef IS DISTINCT FROM theirs.indexdef;
SELECT format('CALL dbops.create_index(%L)', 'CREATE INDEX ON t ' || text) FROM definition ORDER BY number \gexec
CALL dbops.create_index('CREATE INDEX ON t (b, b)');
CALL dbops.create_index('CREATE INDEX ON t (b, b)', allow_duplicate => true);

-- What a build has left that was cut off is dropped and built again; one that fails leaves nothing.
UPDATE t SET b = id;
UPDATE t SET b = 1 WHERE id = 2;
CREATE UNIQUE INDEX CONCURRENTLY t_u ON t (b);
SELECT indisvalid FROM pg_index WHERE indexrelid = 't_u'::regclass;
CALL dbops.create_index('CREATE UNIQUE INDEX t_u ON t (b)');
SELECT to_regclass('t_u');
CREATE UNIQUE INDEX CONCURRENTLY t_u ON t (b);
UPDATE t SET b = id;
CALL dbops.create_index('CREATE UNIQUE INDEX t_u ON t (b)', dry_run => true);
CALL dbops.create_index('CREATE UNIQUE INDEX t_u ON t (b)');
SELECT indisvalid FROM pg_index WHERE indexrelid = 't_u'::regclass;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 't_u'::regclass;
CALL dbops.create_index('CREATE INDEX t_u ON t (id, a)');

-- names of all kinds; what the search_path of the call finds is what is meant
SET client_min_messages = warning;
CREATE TABLE "cix ""2""".fold (a text);
CREATE TABLE "cix ""2"""."T 'é' of sixty-three bytes, as long as a name can be, to the last" ("A ""1""" text, "as long as a name can be too, so that both of them must be cut.." int);
RESET client_min_messages;
SET search_path = "cix ""2""", cix;
CALL dbops.create_index($$CREATE INDEX "I ""%s""" ON "T 'é' of sixty-three bytes, as long as a name can be, to the last" ("A ""1""", fold("A ""1"""))$$);
CALL dbops.create_index($$CREATE INDEX ON "T 'é' of sixty-three bytes, as long as a name can be, to the last" ("as long as a name can be too, so that both of them must be cut..")$$);
CALL dbops.create_index($$CREATE INDEX ON "T 'é' of sixty-three bytes, as long as a name can be, to the last" ("as long as a name can be too, so that both of them must be cut..")$$);
SET search_path = cix;

-- values are what they are to the caller, whoever runs the statement
SET client_min_messages = warning;
CREATE TABLE valued (d date, f float8);
RESET client_min_messages;
SET datestyle = 'SQL, DMY';
SET extra_float_digits = -10;
CALL dbops.create_index($$CREATE INDEX ON valued (d) WHERE d > '01/02/2026' AND f > '0.123456789012345'$$, dry_run => true);
RESET datestyle;
RESET extra_float_digits;

-- what has got the name meanwhile is not taken for what was asked for
SET client_min_messages = warning;
CREATE TABLE named (a int, b int);
BEGIN;
SELECT dbops.start_create_index('CREATE UNIQUE INDEX named_i ON named (a)') AS job \gset
SELECT dbops.pause_job(:job);
COMMIT;
CREATE INDEX named_i ON named (b);
SELECT dbops.resume_job(:job) = 'queued';
CALL dbops.wait_job(:job, '1 minute', NULL);
SELECT state, sqlstate, message FROM dbops.job WHERE id = :job;
RESET client_min_messages;
CALL dbops.create_index('CREATE UNIQUE INDEX named_i ON named (a)');

-- tables of all kinds
SET client_min_messages = warning;
CREATE UNLOGGED TABLE u (a int);
CREATE TABLE child () INHERITS (t);
CREATE MATERIALIZED VIEW m AS SELECT id FROM t;
CREATE TEMP TABLE tmp (a int);
CREATE VIEW v AS SELECT id FROM t;
CREATE FOREIGN DATA WRAPPER regress_cix;
CREATE SERVER regress_cix FOREIGN DATA WRAPPER regress_cix;
CREATE FOREIGN TABLE f (a int) SERVER regress_cix;
RESET client_min_messages;
CALL dbops.create_index('CREATE INDEX ON u (a)');
CALL dbops.create_index('CREATE INDEX ON child (a)');
CALL dbops.create_index('CREATE UNIQUE INDEX ON m (id)');
SET client_min_messages = warning;
CALL dbops.create_index('CREATE INDEX ON tmp (a)');
CALL dbops.create_index('CREATE INDEX ON tmp (a)');
SELECT pg_get_indexdef('tmp_a_idx'::regclass) ~ 'INDEX tmp_a_idx ON pg_temp[_0-9]*.tmp USING btree \(a\)';
RESET client_min_messages;
SELECT dbops.start_create_index('CREATE INDEX ON tmp (a)');
CALL dbops.create_index('CREATE INDEX ON v (id)');
CALL dbops.create_index('CREATE INDEX ON f (a)');
CALL dbops.create_index('CREATE INDEX ON t_b (b)');
CALL dbops.create_index('CREATE INDEX ON pg_class (relpages)');

-- bad input
CALL dbops.create_index('SELECT 1');
\set VERBOSITY terse
CALL dbops.create_index('');
CALL dbops.create_index('CREATE INDEX ON t (b); DROP TABLE t');
CALL dbops.create_index('CREATE INDEX ON t (b) WHERE');
CALL dbops.create_index('CREATE INDEX IF NOT EXISTS ON t (b)');
CALL dbops.create_index('CREATE TABLE x (a int)');
CALL dbops.create_index(NULL);
CALL dbops.create_index('CREATE INDEX ON t (b)', NULL);
CALL dbops.create_index('CREATE INDEX ON t (b)', lock_timeout => NULL);
\set VERBOSITY default
CALL dbops.create_index('CREATE INDEX ON nowhere (b)');
CALL dbops.create_index('CREATE INDEX ON nowhere.t (b)');
CALL dbops.create_index('CREATE INDEX ON t (nothing)');
CALL dbops.create_index('CREATE INDEX ON t (lower(nothing))');
CALL dbops.create_index('CREATE INDEX ON t (ctid)');
CALL dbops.create_index('CREATE INDEX ON t ((random()))');
CALL dbops.create_index('CREATE INDEX ON t (b) WHERE ts < now()');
CALL dbops.create_index('CREATE INDEX ON t (b) INCLUDE ((b + 1))');
CALL dbops.create_index('CREATE INDEX ON t (b text_ops)');
CALL dbops.create_index('CREATE INDEX ON t USING nothing (b)');
CALL dbops.create_index('CREATE UNIQUE INDEX ON t USING gin (j)');
CALL dbops.create_index('CREATE INDEX ON t USING hash (a, b)');
CALL dbops.create_index('CREATE INDEX ON t USING hash (a) INCLUDE (b)');
CALL dbops.create_index('CREATE INDEX ON t (b) TABLESPACE nothing');
BEGIN;
CALL dbops.create_index('CREATE INDEX ON t (a, ts)');
ROLLBACK;

-- whose table it is
SET client_min_messages = warning;
CREATE ROLE regress_cix_owner;
CREATE ROLE regress_cix_member IN ROLE regress_cix_owner;
CREATE ROLE regress_cix_other;
GRANT USAGE, CREATE ON SCHEMA cix TO regress_cix_owner, regress_cix_other;
SELECT dbops.grant_access('regress_cix_member', 'operator'), dbops.grant_access('regress_cix_other', 'operator');
CREATE TABLE owned (a int);
ALTER TABLE owned OWNER TO regress_cix_owner;
RESET client_min_messages;
SET ROLE regress_cix_owner;
CALL dbops.create_index('CREATE INDEX ON owned (a)');
SET ROLE regress_cix_other;
CALL dbops.create_index('CREATE INDEX ON owned (a)');
SELECT dbops.start_create_index('CREATE INDEX ON owned (a)');
SET ROLE regress_cix_member;
CALL dbops.create_index('CREATE INDEX ON owned (a)');
RESET ROLE;
SELECT relowner::regrole FROM pg_class WHERE oid = 'owned_a_idx'::regclass;

-- What a hostile owner's function does, it does as that owner, also where a superuser calls.
SET client_min_messages = warning;
SET ROLE regress_cix_owner;
CREATE FUNCTION who(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$BEGIN IF current_user <> 'regress_cix_owner' THEN RAISE WARNING 'as %', current_user; END IF; RETURN $1; END$$;
INSERT INTO owned VALUES (1);
RESET ROLE;
RESET client_min_messages;
CALL dbops.create_index('CREATE INDEX owned_who ON owned (cix.who(a)) WHERE cix.who(1) = 1');
CALL dbops.create_index('CREATE INDEX owned_who ON owned (cix.who(a)) WHERE cix.who(1) = 1');

-- in the background
SELECT dbops.start_create_index('CREATE INDEX t_ts ON t (ts)', dry_run => true);
SELECT dbops.start_create_index('CREATE INDEX t_ts2 ON t (ts, id)') AS job \gset
CALL dbops.wait_job(:job);
SELECT kind, name, state FROM dbops.jobs() WHERE id = :job;
SELECT dbops.start_create_index('CREATE INDEX t_ts2 ON t (ts, id)');
SELECT indisvalid FROM pg_index WHERE indexrelid = 't_ts2'::regclass;

SET client_min_messages = warning;
SELECT dbops.revoke_access('regress_cix_member'), dbops.revoke_access('regress_cix_other');
DROP SCHEMA cix CASCADE;
DROP SCHEMA "cix ""2""" CASCADE;
DROP FOREIGN DATA WRAPPER regress_cix CASCADE;
DROP ROLE regress_cix_member, regress_cix_owner, regress_cix_other;
