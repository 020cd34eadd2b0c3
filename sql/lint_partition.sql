-- Partitions that are made or attached, judged by lint_sql(): what the server's prover makes of
-- bounds, and that what is advised can be run and is enough.
SET client_min_messages = warning;
CREATE SCHEMA lnp;
SET search_path = lnp, public;
CREATE TABLE visits (id int, at date) PARTITION BY RANGE (at);
CREATE TABLE "Visits 2024" (id int, at date);
INSERT INTO "Visits 2024" VALUES (1, '2024-05-01');
CREATE TABLE proven (gone int, at date NOT NULL, id int, CONSTRAINT within CHECK (at >= '2025-01-01' AND at < '2025-07-01'));
ALTER TABLE proven DROP COLUMN gone;
INSERT INTO proven VALUES ('2025-05-01', 1);
CREATE TABLE unproven (id int, at date, CONSTRAINT within CHECK (at >= '2026-01-01' AND at < '2027-01-01') NOT VALID);
INSERT INTO unproven VALUES (1, '2026-05-01');
CREATE TABLE nothing (id int, at date);
CREATE FUNCTION judged(text) RETURNS TABLE (line int, rule text, severity text, relation text, safer_sql text) LANGUAGE sql AS
$$SELECT line, rule, severity, relation, safer_sql FROM dbops.lint_sql($1, false) WHERE rule ~ '^(partition|text)' ORDER BY line, rule, relation$$;

-- read, and not
SELECT * FROM judged($$ALTER TABLE visits ATTACH PARTITION "Visits 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
ALTER TABLE visits ATTACH PARTITION proven FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
ALTER TABLE visits ATTACH PARTITION unproven FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
ALTER TABLE visits ATTACH PARTITION nothing FOR VALUES FROM (MINVALUE) TO ('2024-01-01')$$);
-- a bound that is worked out by a function, and one wider or narrower than the constraint
SELECT line, relation FROM judged($$ALTER TABLE visits ATTACH PARTITION proven FOR VALUES FROM (now()::date) TO ('2026-01-01');
ALTER TABLE visits ATTACH PARTITION proven FOR VALUES FROM ('2020-01-01') TO (MAXVALUE);
ALTER TABLE visits ATTACH PARTITION proven FOR VALUES FROM ('2025-02-01') TO ('2026-01-01')$$);
-- what the text itself has proved, or made unproven
SELECT line, relation FROM judged($$ALTER TABLE "Visits 2024" ADD CONSTRAINT b CHECK (at IS NOT NULL AND at >= '2024-01-01' AND at < '2025-01-01') NOT VALID;
ALTER TABLE visits ATTACH PARTITION "Visits 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
ALTER TABLE "Visits 2024" VALIDATE CONSTRAINT b;
ALTER TABLE visits ATTACH PARTITION "Visits 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
ALTER TABLE proven DROP CONSTRAINT within;
ALTER TABLE visits ATTACH PARTITION proven FOR VALUES FROM ('2025-01-01') TO ('2026-01-01')$$);
-- what is advised is enough
SELECT safer_sql FROM judged($$ALTER TABLE visits ATTACH PARTITION "Visits 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')$$) \gexec
SELECT * FROM judged($$ALTER TABLE visits ATTACH PARTITION "Visits 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')$$);
ALTER TABLE visits ATTACH PARTITION "Visits 2024" FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');

-- beside a default partition
CREATE TABLE rest PARTITION OF visits DEFAULT;
SELECT relation FROM judged($$CREATE TABLE v PARTITION OF visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$);
INSERT INTO visits VALUES (1, '2030-01-01');
SELECT * FROM judged($$CREATE TABLE v PARTITION OF visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01');
ALTER TABLE visits ATTACH PARTITION proven FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
ALTER TABLE visits DETACH PARTITION rest;
CREATE TABLE w PARTITION OF visits FOR VALUES FROM ('2028-01-01') TO ('2029-01-01')$$);
SELECT safer_sql FROM judged($$CREATE TABLE v PARTITION OF visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$) \gexec
SELECT * FROM judged($$CREATE TABLE v PARTITION OF visits FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')$$);

-- several levels: a partitioned table whose partitions are proved
CREATE TABLE deep (id int, at date NOT NULL) PARTITION BY LIST (id);
CREATE TABLE deep_1 PARTITION OF deep (CHECK (at >= '2040-01-01' AND at < '2041-01-01')) FOR VALUES IN (1);
INSERT INTO deep VALUES (1, '2040-05-01');
DROP TABLE rest;
SELECT relation FROM judged($$ALTER TABLE visits ATTACH PARTITION deep FOR VALUES FROM ('2040-01-01') TO ('2041-01-01')$$);
CREATE TABLE deep_2 PARTITION OF deep FOR VALUES IN (2);
SELECT relation FROM judged($$ALTER TABLE visits ATTACH PARTITION deep FOR VALUES FROM ('2040-01-01') TO ('2041-01-01')$$);

-- what is constant in a constraint is not evaluated where it is a user's, whoever owns the tables
CREATE ROLE regress_lint_partition;
GRANT ALL ON SCHEMA lnp TO regress_lint_partition;
CREATE SEQUENCE as_owner;                    -- sequences tell of what has been undone
CREATE SEQUENCE as_other;
GRANT ALL ON ALL SEQUENCES IN SCHEMA lnp TO regress_lint_partition;
SET ROLE regress_lint_partition;
CREATE FUNCTION heard() RETURNS int LANGUAGE plpgsql IMMUTABLE AS
$$BEGIN PERFORM nextval(CASE current_user WHEN 'regress_lint_partition' THEN 'lnp.as_owner' ELSE 'lnp.as_other' END::regclass); RETURN 1; END$$;
CREATE TABLE theirs (k int) PARTITION BY LIST (k);
CREATE TABLE theirs_1 (k int);
INSERT INTO theirs_1 VALUES (1);
CREATE TABLE not_theirs (k int);
INSERT INTO not_theirs VALUES (1);
ALTER TABLE theirs_1 ADD CHECK (k = lnp.heard());
ALTER TABLE not_theirs ADD CHECK (k = lnp.heard());
RESET ROLE;
ALTER TABLE not_theirs OWNER TO CURRENT_USER;
SELECT setval('as_owner', 1, false), setval('as_other', 1, false);
SELECT relation FROM judged('ALTER TABLE theirs ATTACH PARTITION not_theirs FOR VALUES IN (1)');
SELECT a.is_called AS by_owner, b.is_called AS by_other FROM as_owner a, as_other b;
SELECT relation FROM judged('ALTER TABLE theirs ATTACH PARTITION theirs_1 FOR VALUES IN (2)');
SELECT a.is_called AS by_owner, b.is_called AS by_other FROM as_owner a, as_other b;

DROP SCHEMA lnp CASCADE;
DROP ROLE regress_lint_partition;
