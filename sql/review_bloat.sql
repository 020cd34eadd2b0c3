-- Rules about tables and indexes that are much larger than they need be, with a
-- near miss for each: fresh, thinned out by a third, and then by nine of ten. One
-- that nobody has vacuumed or analyzed is not known to be large.
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE coalesce(backend_xmin, backend_xid) IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE SCHEMA review_bloat;
SET search_path = review_bloat;
CREATE FUNCTION pg_temp.found() RETURNS TABLE (check_name text, severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.check_name, f.severity, f.object, regexp_replace(f.message, '[0-9]+ MB', 'n MB', 'g'), f.remedy
                         FROM dbops.review_schema('{tables.bloated,indexes.bloated}') f WHERE f.object LIKE 'review_bloat.%' ORDER BY f.key $$;
-- 40 MB each: a table, its index, and a TOAST table
CREATE UNLOGGED TABLE "It's" (id int, wide text, long text) WITH (autovacuum_enabled = off, toast.autovacuum_enabled = off);
ALTER TABLE "It's" ALTER wide SET STORAGE plain, ALTER long SET STORAGE external;
INSERT INTO "It's" SELECT g, lpad(g::text, 2300, '0'), CASE WHEN g <= 5000 THEN repeat('-', 7900) END FROM generate_series(1, 15500) g;
CREATE INDEX wide ON "It's" (wide);
SELECT * FROM pg_temp.found();
CALL pg_temp.be_alone();
VACUUM "It's";
SELECT * FROM pg_temp.found();
DELETE FROM "It's" WHERE id % 3 = 0;
CALL pg_temp.be_alone();
VACUUM (INDEX_CLEANUP on) "It's";
SELECT * FROM pg_temp.found();

-- dead rows first
DELETE FROM "It's" WHERE id % 10 > 0;
CALL pg_temp.be_alone();
SELECT object, regexp_replace(message, '[0-9.]+ (MB|kB|percent|to)', 'n \1', 'g') AS message, remedy FROM pg_temp.found();
VACUUM (INDEX_CLEANUP on) "It's";
SELECT check_name, severity, object, regexp_replace(message, '[0-9.]+ (MB|kB|percent|to)', 'n \1', 'g') AS message, remedy FROM pg_temp.found();

-- the remedies, as they are printed
SELECT remedy FROM pg_temp.found() \gexec
SELECT * FROM pg_temp.found();

-- the end of the file is empty, and VACUUM gives it back; who has no rights on the table is told, too
DROP INDEX wide;
ALTER TABLE "It's" ADD CONSTRAINT once EXCLUDE USING btree (wide WITH =);
INSERT INTO "It's" SELECT g, lpad(g::text, 2300, '0') FROM generate_series(20001, 35000) g;
CALL pg_temp.be_alone();
VACUUM (TRUNCATE off) "It's";
DELETE FROM "It's" WHERE id > 20000;
CALL pg_temp.be_alone();
SELECT object, regexp_replace(message, '[0-9.]+ (MB|kB|percent|to)', 'n \1', 'g') AS message, remedy FROM pg_temp.found() WHERE check_name = 'tables.bloated';

CREATE ROLE regress_review_bloat IN ROLE pg_monitor;
SET ROLE regress_review_bloat;
SELECT count(*) FROM dbops.review_schema('{tables.bloated}') WHERE object LIKE 'review_bloat.%';
RESET ROLE;
CALL pg_temp.be_alone();
VACUUM (INDEX_CLEANUP on) "It's";
-- what is left is an index that cannot be rebuilt concurrently
SELECT check_name, object, regexp_replace(message, '[0-9.]+ (MB|kB|percent|to)', 'n \1', 'g') AS message, remedy FROM pg_temp.found();
SELECT remedy FROM pg_temp.found() \gexec
SELECT * FROM pg_temp.found();

RESET search_path;
SET client_min_messages = warning;
DROP SCHEMA review_bloat CASCADE;
DROP ROLE regress_review_bloat;
