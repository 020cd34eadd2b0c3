-- lint_sql(): which constraints prove something when the text has dropped, renamed and validated some. Each was held against
-- what the server says with client_min_messages = debug1: "existing constraints ... are sufficient", or "verifying table".
SET track_counts = off;
SET lock_timeout = '1s';
CREATE SCHEMA lint_proof;
SET search_path = lint_proof;
CREATE TABLE t (
    id int PRIMARY KEY,
    b int CONSTRAINT b_there CHECK (b IS NOT NULL),
    c int CONSTRAINT c_low CHECK (c < 1000000) CONSTRAINT c_once UNIQUE,
    d int,
    e int,
    f int,
    CONSTRAINT e_there CHECK (e IS NOT NULL AND f > 0)
);
ALTER TABLE t ADD CONSTRAINT d_there CHECK (d IS NOT NULL) NOT VALID;
INSERT INTO t SELECT g, g, g, g, g, g FROM generate_series(1, 1000) g;
CREATE UNIQUE INDEX t_b ON t (b);
SELECT n, text, string_agg(DISTINCT rule || ' ' || relation, ', ') AS rules
  FROM unnest(ARRAY[
           -- one that is dropped proves no more, another does
           $$ALTER TABLE t DROP CONSTRAINT c_low; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$ALTER TABLE t DROP CONSTRAINT c_low, ALTER b SET NOT NULL$$,
           $$ALTER TABLE t DROP CONSTRAINT b_there; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$ALTER TABLE t DROP CONSTRAINT b_there, ALTER b SET NOT NULL$$,
           $$ALTER TABLE t RENAME CONSTRAINT b_there TO x; ALTER TABLE t DROP CONSTRAINT x; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$ALTER TABLE t RENAME CONSTRAINT b_there TO x; ALTER TABLE t DROP CONSTRAINT x, ALTER b SET NOT NULL$$,
           $$ALTER TABLE t RENAME CONSTRAINT b_there TO x; ALTER TABLE t RENAME CONSTRAINT c_low TO b_there; ALTER TABLE t DROP CONSTRAINT b_there; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$ALTER TABLE t DROP CONSTRAINT t_pkey; ALTER TABLE t ADD PRIMARY KEY USING INDEX t_b$$,
           -- as does one of the text
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c IS NOT NULL); ALTER TABLE t DROP CONSTRAINT c_low; ALTER TABLE t ALTER c SET NOT NULL$$,
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c IS NOT NULL); ALTER TABLE t DROP CONSTRAINT x; ALTER TABLE t ALTER c SET NOT NULL$$,
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c IS NOT NULL); ALTER TABLE t DROP CONSTRAINT x, ALTER c SET NOT NULL$$,
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c IS NOT NULL); ALTER TABLE t RENAME CONSTRAINT x TO y; ALTER TABLE t DROP CONSTRAINT y; ALTER TABLE t ALTER c SET NOT NULL$$,
           -- validated, under any name
           $$ALTER TABLE t ALTER d SET NOT NULL$$,
           $$ALTER TABLE t VALIDATE CONSTRAINT d_there; ALTER TABLE t ALTER d SET NOT NULL$$,
           $$ALTER TABLE t VALIDATE CONSTRAINT d_there, ALTER d SET NOT NULL$$,
           $$ALTER TABLE t RENAME CONSTRAINT d_there TO x; ALTER TABLE t VALIDATE CONSTRAINT x; ALTER TABLE t ALTER d SET NOT NULL$$,
           $$ALTER TABLE t RENAME CONSTRAINT d_there TO x; ALTER TABLE t RENAME CONSTRAINT x TO y; ALTER TABLE t VALIDATE CONSTRAINT y; ALTER TABLE t ALTER d SET NOT NULL$$,
           $$ALTER TABLE t VALIDATE CONSTRAINT d_there; ALTER TABLE t DROP CONSTRAINT d_there; ALTER TABLE t ALTER d SET NOT NULL$$,
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c IS NOT NULL) NOT VALID; ALTER TABLE t RENAME CONSTRAINT x TO y; ALTER TABLE t VALIDATE CONSTRAINT y; ALTER TABLE t ALTER c SET NOT NULL$$,
           $$BEGIN; ALTER TABLE t VALIDATE CONSTRAINT d_there; ROLLBACK; ALTER TABLE t ALTER d SET NOT NULL$$,
           $$BEGIN; ALTER TABLE t RENAME CONSTRAINT d_there TO x; ROLLBACK; ALTER TABLE t VALIDATE CONSTRAINT x; ALTER TABLE t ALTER d SET NOT NULL$$,
           -- columns with other names
           $$ALTER TABLE t RENAME b TO b2; ALTER TABLE t ALTER b2 SET NOT NULL$$,
           $$ALTER TABLE t RENAME b TO b2; ALTER TABLE t RENAME c TO b; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$ALTER TABLE t RENAME b TO x; ALTER TABLE t RENAME c TO b; ALTER TABLE t RENAME x TO c; ALTER TABLE t ALTER c SET NOT NULL$$,
           $$ALTER TABLE t RENAME c TO c2; ALTER TABLE t ADD CHECK (c2 IS NOT NULL); ALTER TABLE t RENAME c2 TO c3; ALTER TABLE t ALTER c3 SET NOT NULL$$,
           $$ALTER TABLE t RENAME c TO x; ALTER TABLE t RENAME d TO c; ALTER TABLE t ADD CHECK (c IS NOT NULL); ALTER TABLE t ALTER x SET NOT NULL$$,
           $$ALTER TABLE t RENAME TO t2; ALTER TABLE t2 ADD CHECK (t2.c IS NOT NULL); ALTER TABLE t2 ALTER c SET NOT NULL$$,
           -- columns that go take their constraints along
           $$ALTER TABLE t ALTER e SET NOT NULL$$,
           $$ALTER TABLE t DROP f; ALTER TABLE t ALTER e SET NOT NULL$$,
           $$ALTER TABLE t DROP f; ALTER TABLE t ADD f int; ALTER TABLE t ALTER e SET NOT NULL$$,
           $$ALTER TABLE t DROP b; ALTER TABLE t ADD b int; ALTER TABLE t ALTER b SET NOT NULL$$,
           $$ALTER TABLE t DROP b; ALTER TABLE t ADD b int; ALTER TABLE t ADD CHECK (b IS NOT NULL OR c > 0); ALTER TABLE t ALTER e SET NOT NULL$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule IN ('column.set_not_null', 'constraint.key_of_nullable')
 GROUP BY n, text ORDER BY n;
-- A partition that is attached: NOT NULL is a part of the proof, and goes by itself.
CREATE TABLE p (k int, v int) PARTITION BY RANGE (k);
CREATE TABLE part (k int NOT NULL, v int, CONSTRAINT within CHECK (k >= 0 AND k < 2000), CONSTRAINT v_low CHECK (v < 5000));
INSERT INTO part SELECT g, g FROM generate_series(1, 1000) g;
SELECT n, text, string_agg(DISTINCT rule || ' ' || relation, ', ') AS rules
  FROM unnest(ARRAY[
           $$ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part ALTER k DROP NOT NULL; ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part ALTER k DROP NOT NULL; ALTER TABLE part ADD CHECK (k IS NOT NULL); ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part ALTER k DROP NOT NULL; ALTER TABLE part ALTER k SET NOT NULL; ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part ALTER v DROP NOT NULL; ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part DROP CONSTRAINT v_low; ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part DROP CONSTRAINT within; ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$,
           $$ALTER TABLE part DROP CONSTRAINT within; ALTER TABLE part ADD CHECK (k BETWEEN 1 AND 1500); ALTER TABLE p ATTACH PARTITION part FOR VALUES FROM (0) TO (2000)$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule = 'partition.attached_unproven'
 GROUP BY n, text ORDER BY n;
-- One that is validated in the transaction, or the statement, that adds it.
SELECT n, text, string_agg(DISTINCT rule || ' ' || relation, ', ') AS rules
  FROM unnest(ARRAY[
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c > 0) NOT VALID, VALIDATE CONSTRAINT x$$,
           $$ALTER TABLE t VALIDATE CONSTRAINT x, ADD CONSTRAINT x CHECK (c > 0) NOT VALID$$,
           $$ALTER TABLE t ADD CONSTRAINT x FOREIGN KEY (b) REFERENCES t NOT VALID, VALIDATE CONSTRAINT x$$,
           $$ALTER TABLE t ADD CONSTRAINT x CHECK (c > 0) NOT VALID, VALIDATE CONSTRAINT d_there$$,
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT x CHECK (c > 0) NOT VALID; ALTER TABLE t RENAME CONSTRAINT x TO y; ALTER TABLE t VALIDATE CONSTRAINT y; COMMIT$$,
           $$BEGIN; ALTER TABLE t ADD CONSTRAINT x CHECK (c > 0) NOT VALID; COMMIT; ALTER TABLE t VALIDATE CONSTRAINT x$$]) WITH ORDINALITY x(text, n)
       LEFT JOIN LATERAL dbops.lint_sql(text) ON rule = 'constraint.validated_at_once'
 GROUP BY n, text ORDER BY n;
SET client_min_messages = warning;
DROP SCHEMA lint_proof CASCADE;
