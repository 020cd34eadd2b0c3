--
-- What PostgreSQL 18 does without looking at a table's rows, as it is planned and
-- as the server does it: NOT NULL that is not validated, and virtual columns.
-- Older servers have another expected output, which ends here.
--
SELECT current_setting('server_version_num')::int < 180000 AS is_older \gset
\if :is_older
\quit
\endif
CREATE TABLE check_18 (id integer);
INSERT INTO check_18 VALUES (1);
SELECT command, plan.effect AS planned, trial.effect AS done, text
  FROM unnest(ARRAY[
           'ALTER TABLE check_18 ADD CONSTRAINT id_there NOT NULL id NOT VALID',
           'ALTER TABLE check_18 ADD CONSTRAINT id_there NOT NULL id',
           'ALTER TABLE check_18 ADD CONSTRAINT id_above CHECK (id > 0) NOT ENFORCED',
           'ALTER TABLE check_18 ADD COLUMN twice integer GENERATED ALWAYS AS (id * 2)',
           'ALTER TABLE check_18 ADD COLUMN twice integer GENERATED ALWAYS AS (id * 2) VIRTUAL CHECK (twice > 0)',
           'ALTER TABLE check_18 ADD COLUMN twice integer GENERATED ALWAYS AS (id * 2) STORED']) WITH ORDINALITY t(text, n),
       LATERAL (SELECT command, effect FROM dbops.check_migration(text, depth => 'plan') WHERE step = 1) plan,
       LATERAL (SELECT effect FROM dbops.check_migration(text) WHERE step = 1) trial
 ORDER BY n;
DROP TABLE check_18;
