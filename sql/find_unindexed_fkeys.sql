--
-- find_unindexed_fkeys: each way in which an index can serve a foreign key's
-- lookup, or fail to. The server itself is the judge: the statement that the
-- triggers run is prepared and explained for each foreign key, and run to see
-- how many pages it reads
-- for a key that nothing refers to. An interface and its answers: hence pg_regress.
--
SET client_min_messages = warning;
CREATE EXTENSION btree_gist;
CREATE EXTENSION btree_gin;
CREATE EXTENSION citext;
CREATE EXTENSION bloom;
CREATE SCHEMA fk;
SET search_path = fk, public;

--
-- The judge. usable: how many of the foreign key's columns the planner
-- searches an index by; cheap: whether the lookup reads a few pages only.
--
CREATE FUNCTION judge(fkey oid, OUT usable text, OUT cheap boolean)
LANGUAGE plpgsql AS $$
DECLARE
    c pg_constraint := (SELECT c FROM pg_constraint c WHERE oid = fkey);
    clauses text;
    types text;
    nulls text;
    explained json;
    conditions text;
BEGIN
    SELECT string_agg(format('$%s::%s OPERATOR(%I.%s) %s', n, lt.typname, s.nspname, o.oprname,
                             CASE WHEN a.atttypid = o.oprright THEN format('x.%I', a.attname)
                                  ELSE format('x.%I::%s', a.attname, rt.typname) END),
                      ' AND ' ORDER BY n),
           string_agg(r.atttypid::regtype::text, ', ' ORDER BY n),
           string_agg('NULL', ', ')
      INTO clauses, types, nulls
      FROM unnest(c.conkey, c.confkey, c.conpfeqop) WITH ORDINALITY u(k, f, op, n)
      JOIN pg_operator o ON o.oid = op
      JOIN pg_namespace s ON s.oid = o.oprnamespace
      JOIN pg_type lt ON lt.oid = o.oprleft
      JOIN pg_type rt ON rt.oid = o.oprright
      JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k
      JOIN pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = f;
    EXECUTE format('PREPARE lookup(%s) AS SELECT 1 FROM %s %s x WHERE %s FOR KEY SHARE OF x', types,
                   CASE WHEN (SELECT relkind FROM pg_class WHERE oid = c.conrelid) = 'p' THEN '' ELSE 'ONLY' END,
                   c.conrelid::regclass, clauses);
    EXECUTE format('EXPLAIN (FORMAT json) EXECUTE lookup(%s)', nulls) INTO explained;
    conditions := (SELECT string_agg(v #>> '{}', ' ')
                     FROM jsonb_path_query(explained::jsonb, 'strict $.**."Index Cond"') v);
    usable := (SELECT count(*) FROM generate_series(1, cardinality(c.conkey)) n WHERE conditions LIKE '%$' || n || '%')
              || ' of ' || cardinality(c.conkey);
    EXECUTE format('EXPLAIN (ANALYZE, BUFFERS, FORMAT json) EXECUTE lookup(%s)',
                   (SELECT string_agg(coalesce(quote_literal(v), 'NULL'), ', ' ORDER BY n)
                      FROM unnest(c.confkey) WITH ORDINALITY u(f, n)
                      JOIN pg_attribute r ON r.attrelid = c.confrelid AND r.attnum = f
                     CROSS JOIN LATERAL (SELECT CASE r.attname WHEN 'k' THEN '0' WHEN 'k2' THEN '1' END) x(v)))
       INTO explained;
    cheap := (explained -> 0 -> 'Plan' ->> 'Shared Hit Blocks')::int + (explained -> 0 -> 'Plan' ->> 'Shared Read Blocks')::int < 9;
    DEALLOCATE lookup;
END
$$;

-- Referenced tables, by the type of their key.
CREATE TABLE p_int (k int PRIMARY KEY, k2 int, UNIQUE (k, k2));
CREATE TABLE p_big (k bigint PRIMARY KEY);
CREATE TABLE p_num (k numeric PRIMARY KEY);
CREATE TABLE p_text (k text PRIMARY KEY);
CREATE TABLE p_char (k char(8) PRIMARY KEY);
CREATE TABLE p_name (k name PRIMARY KEY);
CREATE TABLE p_c (k text COLLATE "C" PRIMARY KEY);
CREATE TABLE p_citext (k citext PRIMARY KEY);
INSERT INTO p_int SELECT g, g * 10 FROM generate_series(1, 1000) g;
INSERT INTO p_big SELECT g FROM generate_series(1, 1000) g;
INSERT INTO p_num SELECT g FROM generate_series(1, 1000) g;
INSERT INTO p_text SELECT g FROM generate_series(1, 1000) g;
INSERT INTO p_char SELECT g FROM generate_series(1, 1000) g;
INSERT INTO p_name SELECT g FROM generate_series(1, 1000) g;
INSERT INTO p_c SELECT g FROM generate_series(1, 1000) g;
INSERT INTO p_citext SELECT g FROM generate_series(1, 1000) g;

-- A referencing table with 5000 rows, an index or several, and a foreign key.
CREATE FUNCTION make(name text, column_type text, referenced text, VARIADIC indexes text[]) RETURNS void
LANGUAGE plpgsql AS $$
DECLARE
    composite boolean := referenced LIKE '%2';
BEGIN
    EXECUTE format('CREATE TABLE %I (x int, a %s, b int, fill text)', name, column_type);
    EXECUTE format('INSERT INTO %I SELECT g, (g %% 1000 + 1)::text::%s, (g %% 1000 + 1) * 10, repeat(''-'', 50) FROM generate_series(1, 5000) g',
                   name, regexp_replace(column_type, ' COLLATE.*', ''));
    FOR i IN 1 .. cardinality(indexes) LOOP
        EXECUTE format('CREATE INDEX %I ON %I %s', name || '_' || i, name, indexes[i]);
    END LOOP;
    IF composite THEN
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (a, b) REFERENCES %I (k, k2)', name, rtrim(referenced, '2'));
    ELSE
        EXECUTE format('ALTER TABLE %I ADD FOREIGN KEY (a) REFERENCES %I (k)', name, referenced);
    END IF;
END
$$;

\o /dev/null
-- One column.
SELECT make('c01_exact', 'int', 'p_int', '(a)'),
       make('c02_longer', 'int', 'p_int', '(a, x)'),
       make('c03_unique', 'int', 'p_int', '(a DESC NULLS LAST)'),
       make('c04_not_null', 'int', 'p_int', '(a) WHERE a IS NOT NULL'),
       make('c05_hash', 'int', 'p_int', 'USING hash (a)'),
       make('c06_gist', 'int', 'p_int', 'USING gist (a)'),
       make('c07_cross_type', 'int', 'p_big', '(a)'),
       make('c08_pattern_ops', 'text', 'p_text', '(a text_pattern_ops)'),
       make('c09_varchar', 'varchar(9)', 'p_text', '(a)'),
       make('c10_cast_index', 'int', 'p_num', '((a::numeric))'),
       make('c11_bpchar_ops', 'text', 'p_char', '(a bpchar_ops)'),
       make('c12_column_collation', 'text COLLATE "C"', 'p_text', '(a)'),
       make('c13_other_is_better', 'int', 'p_int', '(x, a)', '(a)'),
       make('c14_duplicate_column', 'int', 'p_int', '(a, a)'),
       make('c15_referenced_c', 'text', 'p_c', '(a)'),
       make('c16_spgist', 'text', 'p_text', 'USING spgist (a)'),
       make('c17_citext_not_null', 'citext', 'p_citext', '(a) WHERE a IS NOT NULL'),
       make('u01_none', 'int', 'p_int', '(x)'),
       make('u02_not_leading', 'int', 'p_int', '(x, a)'),
       make('u03_include', 'int', 'p_int', '(x) INCLUDE (a)'),
       make('u04_predicate', 'int', 'p_int', '(a) WHERE x > 0'),
       make('u05_own_predicate', 'int', 'p_int', '(a) WHERE a > 0'),
       make('u06_expression', 'int', 'p_int', '((a + 0))'),
       make('u07_collation', 'text', 'p_text', '(a COLLATE "C")'),
       make('u08_cast', 'int', 'p_num', '(a)'),
       make('u09_operator_class', 'text', 'p_char', '(a)'),
       make('u10_char_to_text', 'char(8)', 'p_text', '(a)'),
       make('u11_name_collation', 'text', 'p_name', '(a)'),
       make('u12_null_predicate', 'int', 'p_int', '(a) WHERE a IS NULL'),
       make('u13_invalid', 'int', 'p_int', '(a)'),
       make('u14_citext', 'citext', 'p_text', '(a)'),
       make('p01_brin', 'int', 'p_int', 'USING brin (a)'),
       make('p02_gin', 'int', 'p_int', 'USING gin (a)'),
       make('p03_gist_second', 'int', 'p_int', 'USING gist (x, a)'),
       make('x01_bloom', 'int', 'p_int', 'USING bloom (a)');
-- Two columns.
SELECT make('d01_exact', 'int', 'p_int2', '(a, b)'),
       make('d02_reversed', 'int', 'p_int2', '(b, a)'),
       make('d03_longer', 'int', 'p_int2', '(b, a, x)'),
       make('d04_not_null', 'int', 'p_int2', '(a, b) WHERE a IS NOT NULL AND b IS NOT NULL'),
       make('d05_one_not_null', 'int', 'p_int2', '(a, b) WHERE b IS NOT NULL'),
       make('d06_gist', 'int', 'p_int2', 'USING gist (a, b)'),
       make('d07_or_predicate', 'int', 'p_int2', '(a, b) WHERE a IS NOT NULL OR x > 0'),
       make('v01_not_leading', 'int', 'p_int2', '(x, a, b)'),
       make('q01_one', 'int', 'p_int2', '(a)'),
       make('q02_other', 'int', 'p_int2', '(b)'),
       make('q03_gap', 'int', 'p_int2', '(a, x, b)'),
       make('q04_include', 'int', 'p_int2', '(a) INCLUDE (b)'),
       make('q05_both', 'int', 'p_int2', '(a)', '(b)'),
       make('q06_hash', 'int', 'p_int2', 'USING hash (a)'),
       make('q07_partial_other', 'int', 'p_int2', '(a, b) WHERE x > 0', '(b)');
\o
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'u13_invalid_1'::regclass;
VACUUM ANALYZE;

SET plan_cache_mode = force_generic_plan;
SET enable_seqscan = off;
CREATE TABLE answer AS
    SELECT c.conrelid::regclass::text AS name, coalesce(f.coverage, 'covered') AS dbops, j.usable, j.cheap, f.reason, f.create_index
      FROM pg_constraint c
      LEFT JOIN dbops.find_unindexed_fkeys() f ON f.table_name = c.conrelid AND f.constraint_name = c.conname
     CROSS JOIN LATERAL judge(c.oid) j
     WHERE c.contype = 'f' AND c.connamespace = 'fk'::regnamespace;
SELECT name, dbops, usable, cheap, reason FROM answer ORDER BY name COLLATE "C";

-- What is covered is searched by all columns and cheap, what is uncovered is
-- not cheap, what is not usable at all is uncovered. No row breaks these rules.
SELECT * FROM answer
 WHERE (dbops = 'covered' AND NOT (cheap AND split_part(usable, ' of ', 1) = split_part(usable, ' of ', 2)))
    OR (dbops = 'uncovered' AND cheap)
    OR (usable LIKE '0 %' AND dbops <> 'uncovered');

SELECT create_index FROM answer WHERE create_index IS NOT NULL ORDER BY name COLLATE "C";

-- Everything that is advised helps.
\pset format unaligned
\pset tuples_only on
\o /dev/null
SELECT create_index FROM answer WHERE create_index IS NOT NULL ORDER BY name COLLATE "C" \gexec
\o
\pset format aligned
\pset tuples_only off
SELECT table_name, coverage, reason FROM dbops.find_unindexed_fkeys();

-- Nothing is left behind.
DROP SCHEMA fk CASCADE;
DROP EXTENSION btree_gist, btree_gin, citext, bloom;
