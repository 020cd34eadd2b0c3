--
-- NOT NULL as PostgreSQL 18 has it, a constraint by itself: one that is not
-- validated proves nothing, and one that is added is read like SET NOT NULL.
-- Older servers have another expected output, which ends here.
--
SELECT current_setting('server_version_num')::int < 180000 AS is_older \gset
\if :is_older
\quit
\endif
SET track_counts = off;
CREATE SCHEMA lint_18;
SET search_path = lint_18;
CREATE TABLE t (id integer, half integer, whole integer NOT NULL);
INSERT INTO t SELECT g, g, g FROM generate_series(1, 1000) g;
ALTER TABLE t ADD CONSTRAINT half_there NOT NULL half NOT VALID;
SELECT text, rule, safer_sql
  FROM unnest(ARRAY[
           'ALTER TABLE t ADD CONSTRAINT there NOT NULL id',
           'ALTER TABLE t ADD CONSTRAINT there NOT NULL id NOT VALID',
           'ALTER TABLE t ALTER id SET NOT NULL',
           'ALTER TABLE t ALTER half SET NOT NULL',
           'ALTER TABLE t ALTER whole SET NOT NULL',
           'ALTER TABLE t ADD CONSTRAINT there NOT NULL id; ALTER TABLE t ALTER id SET NOT NULL']) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule = 'column.set_not_null'
 ORDER BY n, line;
DROP SCHEMA lint_18 CASCADE;
