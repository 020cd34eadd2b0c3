-- Rules about indexes: the order of a collation that has changed, and indexes that
-- cannot do what they are for. A version of old is written into the catalog.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE SCHEMA review_indexes;
SET search_path = review_indexes;
CREATE COLLATION review_indexes.german (provider = icu, locale = 'de');
CREATE COLLATION review_indexes.swedish (provider = icu, locale = 'sv');
CREATE TABLE words (id int PRIMARY KEY, g text COLLATE german, s text COLLATE swedish, c text COLLATE "C");
CREATE INDEX "Words g" ON words (id, g);
CREATE INDEX words_s ON words (s);
CREATE INDEX words_c ON words (c);
CREATE INDEX words_lower ON words (lower(g));
CREATE INDEX words_partial ON words (g) WHERE id > 0;
-- those compare bytes, or hash them, or have another order
CREATE INDEX words_pattern ON words (g text_pattern_ops);
CREATE INDEX words_hash ON words USING hash (g);
CREATE INDEX words_other ON words (g COLLATE "C");
CREATE INDEX words_include ON words (id) INCLUDE (g);
-- a range over it, a hash where texts that differ may be equal, what only compares it, and a constraint that cannot be built beside itself
CREATE COLLATION review_indexes.loose (provider = icu, locale = 'de-u-ks-level2', deterministic = false);
CREATE TYPE word_range AS RANGE (subtype = text, collation = german);
CREATE TABLE ranges (r word_range, l text COLLATE loose, g text COLLATE german, id int, EXCLUDE USING btree (g WITH =));
CREATE INDEX ranges_r ON ranges (r);
CREATE INDEX ranges_hash ON ranges USING hash (l);
CREATE INDEX ranges_compares ON ranges (id) WHERE g > 'm';
CREATE INDEX ranges_expression ON ranges ((g < 'm'));
CREATE INDEX ranges_equal ON ranges (id) WHERE g = 'm';
CREATE TABLE words_parted (g text COLLATE german, n int) PARTITION BY RANGE (g);
CREATE TABLE words_parted_1 PARTITION OF words_parted FOR VALUES FROM ('a') TO ('m');
CREATE INDEX words_parted_g ON words_parted (g);
CREATE TABLE words_both (g text COLLATE german, l text COLLATE loose) PARTITION BY RANGE (g, l);
CREATE TABLE words_listed (g text COLLATE german) PARTITION BY LIST (g);
SELECT object FROM pg_temp.found('%collation%');
UPDATE pg_collation SET collversion = '0.1' WHERE oid IN ('german'::regcollation, 'loose'::regcollation);
SELECT severity, object, regexp_replace(message, 'has [0-9.]+ now', 'has N now') AS message, remedy FROM pg_temp.found('indexes.collation_version');
SELECT severity, object, regexp_replace(message, 'has .* now', 'has N now') AS message, remedy FROM pg_temp.found('partitions.collation_version');
SELECT severity, object, regexp_replace(message, 'of [0-9.]+ now', 'of N now') AS message, remedy FROM pg_temp.found('collations.version');
SELECT r.key, h.key IS NOT NULL AS is_checked_too FROM dbops.review_schema('{collations.version}') r LEFT JOIN dbops.health_checks() h USING (key) WHERE r.key LIKE '%review_%';
SELECT remedy FROM pg_temp.found('indexes.collation_version') \gexec
SET client_min_messages = warning;
ALTER COLLATION review_indexes.german REFRESH VERSION;
ALTER COLLATION review_indexes.loose REFRESH VERSION;
RESET client_min_messages;
SELECT object FROM pg_temp.found('%collation%');

-- btrees of what has many values in it; a key of it is meant whole
CREATE TABLE many (id int PRIMARY KEY, tags text[], document jsonb, name text, key jsonb UNIQUE);
CREATE INDEX many_tags ON many (tags);
CREATE INDEX many_document ON many (document);
CREATE INDEX many_gin ON many USING gin (tags);
CREATE INDEX many_name ON many (name);
CREATE TABLE many_parted (at date, tags text[]) PARTITION BY RANGE (at);
CREATE INDEX many_parted_tags ON many_parted (tags);
SELECT * FROM pg_temp.found('indexes.btree_of_many');

-- few values, or mostly nulls, by statistics, for who asks
CREATE TABLE few (id int PRIMARY KEY, flag boolean, rare int, name text);
CREATE INDEX few_flag ON few (flag);
CREATE INDEX few_flag_partial ON few (flag) WHERE flag;
CREATE INDEX few_rare ON few (rare);
CREATE INDEX few_rare_partial ON few (rare) WHERE rare IS NOT NULL;
CREATE INDEX few_name ON few (name);
INSERT INTO few SELECT g, g % 2 = 0, nullif(greatest(g, 9000), 9000), 'n' || g FROM generate_series(1, 10000) g;
SELECT object FROM pg_temp.found('indexes.few_values') UNION ALL SELECT object FROM pg_temp.found('indexes.mostly_null');
ANALYZE few;
SELECT * FROM pg_temp.found('indexes.few_values');
SELECT * FROM pg_temp.found('indexes.mostly_null');
SELECT count(*) FROM dbops.review_schema() WHERE check_name IN ('indexes.few_values', 'indexes.mostly_null');

DROP SCHEMA review_indexes CASCADE;
