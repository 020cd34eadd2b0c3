-- Is a text that is given again the same to the server?
CREATE FUNCTION again(old text, new text) RETURNS text LANGUAGE plpgsql SET client_min_messages = error AS $$
DECLARE state text; detail text;
BEGIN
  PERFORM dbops.apply_migration('1', old, project => 'tokens');
  SELECT r.state INTO state FROM dbops.apply_migration('1', new, project => 'tokens') r WHERE step IS NULL;
  RAISE EXCEPTION '%', state;
EXCEPTION WHEN others THEN
  GET STACKED DIAGNOSTICS detail = PG_EXCEPTION_DETAIL;
  RETURN coalesce(nullif(detail, ''), sqlerrm);
END $$;
\pset format unaligned
\t
SELECT again(old, new) FROM (VALUES
  ('SELECT 1', 'SELECT 1'),
  ('SELECT 1', 'select /* one */ 1 -- x'),
  ('SELECT 1;', E'\n\n;;SELECT\n1;;'),
  ('SELECT 1', E'\\restrict abc\nSELECT 1;\n\\unrestrict abc\n'),
  ('SELECT ''a''', 'SELECT $$a$$'),
  ('SELECT ''ab''', E'SELECT ''a''\n''b'''),
  ('SELECT ''a''', 'SELECT E''\x61'''),
  ('SELECT 1 AS a', 'SELECT 1 AS "a"'),
  ('SELECT 1 AS a', 'SELECT 1 AS A'),
  ('SELECT 255', 'SELECT 0255'),
  -- different
  ('SELECT 1', 'SELECT 2'),
  ('SELECT 1', 'SELECT 1; SELECT 2'),
  ('SELECT 1; SELECT 2', 'SELECT 1'),
  ('SELECT ''a''', 'SELECT ''A'''),
  ('SELECT ''a''', 'SELECT "a" FROM (SELECT 1 AS a) x'),
  ('SELECT 1 AS a', 'SELECT 1 AS "A"'),
  ('SELECT 1.0', 'SELECT 1.00'),
  ('SELECT 1 + 1', 'SELECT 1 - 1'),
  (E'SELECT 1;\nSELECT 2;\nSELECT 3', E'SELECT 1;\n\n\nSELECT 2;\nSELECT 4'),
  ('SELECT ''' || repeat('x', 100) || '''', 'SELECT ''y'''),
  ('SELECT ''' || repeat('x', 100) || '1''', 'SELECT ''' || repeat('x', 100) || '2'''),
  (E'DO $$\nBEGIN\n  PERFORM 1;\n  PERFORM 2;\nEND $$', E'DO $$\nBEGIN\n  PERFORM 1;\n  PERFORM 3;\nEND $$'),
  ('DO $$ BEGIN NULL; END $$', 'DO $$ BEGIN /* x */ NULL; END $$'),
  (E'CREATE TEMP TABLE tokens (a int); COPY tokens FROM stdin;\n1\n\\.\n', E'CREATE TEMP TABLE tokens (a int); COPY tokens FROM stdin;\n2\n\\.\n'),
  (E'CREATE TEMP TABLE tokens (a int); COPY tokens FROM stdin;\n1\n\\.\n', E'CREATE TEMP TABLE tokens (a int); COPY tokens FROM stdin;\n1\n1\n\\.\n'),
  (E'CREATE TEMP TABLE tokens (a int); COPY tokens FROM stdin;\n1\n\\.\n', E'CREATE TEMP TABLE tokens (a int); COPY tokens FROM stdin;  -- x\n1\n\\.\n')
) AS texts (old, new);
\t
\pset format aligned
SELECT state FROM dbops.apply_migration('1', E'SELECT 1;\nSELECT 2;', project => 'tokens') WHERE step IS NULL;
SELECT * FROM dbops.apply_migration('1', E'-- x\nSELECT 1;\nSELECT ''2'';', project => 'tokens');
SELECT state FROM dbops.apply_migration('1', E'-- x\nSELECT 1;\nSELECT 2', project => 'tokens');
DROP FUNCTION again;
