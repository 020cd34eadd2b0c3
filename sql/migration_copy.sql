-- COPY whose lines stand in the text.
CREATE SCHEMA regress_copy;
SET search_path = regress_copy, pg_catalog;
CREATE TABLE t (a int PRIMARY KEY, b text, c text DEFAULT 'c');

SELECT step, line, command, state, row_count FROM dbops.apply_migration('001', $text$
COPY t (a, b) FROM stdin;
1	tab \t ; -- no comment
2	\N
3	$$ 'quotes" /* \\.
\.
COPY t FROM STDIN WITH (FORMAT csv, HEADER); SELECT count(*) FROM t;
a,b,c
4,"two
lines;",x
\.
COPY t FROM stdin (DELIMITER '|');
\.
SELECT count(*) FROM t;
$text$, project => 'copy') WHERE step IS NOT NULL;
SELECT * FROM t ORDER BY a;

-- lines that end as in other systems
SELECT step, row_count FROM dbops.apply_migration('002', E'COPY t FROM stdin;\r\n10\ta\tb\r\n\\.\r\nSELECT 1;\r\n', project => 'copy') WHERE step IS NOT NULL;

-- the text came in the client's encoding and is in the server's by now, whatever the statement says
SET client_encoding = latin1;
SELECT step, row_count FROM dbops.apply_migration('003', 'COPY t FROM stdin;
11	' || chr(228) || '	b
\.
COPY t FROM stdin (ENCODING latin1);
12	' || chr(228) || '	b
\.
', project => 'copy') WHERE step IS NOT NULL;
RESET client_encoding;
SELECT a, b = chr(228) AS umlaut FROM t WHERE a IN (11, 12) ORDER BY a;

-- an error has the line of the data and the statement
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\nCOPY t FROM stdin;\n20\ta\tb\nx\ta\tb\n\\.\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\nCOPY t FROM stdin;\n20\ta\tb\n21\n\\.\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\nCOPY t FROM stdin;\n1\ta\tb\n\\.\n', project => 'copy');

-- cut short
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\n\nCOPY t FROM stdin;\n20\ta\tb\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'SELECT 1;\n\nCOPY t FROM stdin;\n20\ta\tb\n\\.x', project => 'copy');
SELECT * FROM dbops.apply_migration('100', 'COPY t FROM stdin', project => 'copy');
SELECT * FROM dbops.apply_migration('100', 'COPY t FROM stdin;', project => 'copy');
-- the end of the text ends the last line
SELECT step, row_count FROM dbops.apply_migration('004', E'COPY t FROM stdin;\n13\ta\tb\n\\.', project => 'copy') WHERE step IS NOT NULL;

-- what lines cannot be
SELECT * FROM dbops.apply_migration('100', E'COPY t FROM stdin (FORMAT binary);\n\\.\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'COPY t FROM stdin WHERE a > 1;\n\\.\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'COPY t (nothing) FROM stdin;\n\\.\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'COPY t FROM stdin (nothing);\n\\.\n', project => 'copy');
SELECT * FROM dbops.apply_migration('100', E'COPY missing FROM stdin;\n\\.\n', project => 'copy');

-- a trigger that gets here itself takes no line of the outer one, which are read 64 kB at a time
CREATE TABLE log (a int);
CREATE FUNCTION nested() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  PERFORM dbops.apply_migration('n' || new.a, E'COPY log FROM stdin;\n' || new.a || E'\n\\.\n', project => 'nested');
  RETURN new;
END $$;
CREATE TRIGGER nested BEFORE INSERT ON t FOR EACH ROW EXECUTE FUNCTION nested();
SELECT step, row_count FROM dbops.apply_migration('005', E'COPY t FROM stdin;\n30\t' || repeat('a', 50000) || E'\tb\n31\t' || repeat('a', 50000) || E'\tb\n32\ta\tb\n\\.', project => 'copy') WHERE step IS NOT NULL;
SELECT a, length(b), c FROM t WHERE a >= 30 ORDER BY a;
SELECT array_agg(a ORDER BY a) FROM log;

-- partitions and generated columns
CREATE TABLE p (a int, b int GENERATED ALWAYS AS (a * 2) STORED) PARTITION BY LIST (a);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
SELECT step, row_count FROM dbops.apply_migration('006', E'COPY p FROM stdin;\n1\n1\n\\.', project => 'copy') WHERE step IS NOT NULL;
SELECT * FROM p;
SELECT * FROM dbops.apply_migration('100', E'COPY p FROM stdin;\n1\n2\n\\.', project => 'copy');

SET client_min_messages = warning;
DROP SCHEMA regress_copy CASCADE;
