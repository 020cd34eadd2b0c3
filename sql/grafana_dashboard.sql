-- doc/grafana-dashboard.json: each query of each panel runs for a role that has
-- the level monitor and nothing else, over an hour of samples, and gives columns
-- that a panel of its kind can show. Grafana itself is not needed for that: its
-- two macros are replaced by what it would put in their places.
\getenv source PG_ABS_SRCDIR
\setenv DASHBOARD :source/doc/grafana-dashboard.json
\set dashboard `cat "$DASHBOARD"`
SET timezone = 'UTC';
SET client_min_messages = warning;
CREATE EXTENSION IF NOT EXISTS pg_stat_statements;
CREATE ROLE regress_grafana;
GRANT pg_monitor TO regress_grafana;

-- an hour, in this session's own memory, with work that counts
CREATE TABLE regress_panel (i int);
DO $$
BEGIN
    FOR i IN 0 .. 360 LOOP
        PERFORM set_config('dbops.test_now', (1900000000 + i * 10)::text, false);
        PERFORM dbops.sample_server();
    END LOOP;
END
$$;

CREATE TEMP TABLE panel AS
SELECT (p->>'id')::int AS id, p->>'title' AS title, p->>'type' AS type, t->>'refId' AS ref, t->>'format' AS format,
       replace(replace(t->>'rawSql', '$__timeFrom()', quote_literal('2030-03-17T17:46:40Z')), '$__timeTo()', quote_literal('2030-03-17T18:46:50Z')) AS query,
       p#>>'{fieldConfig,defaults,unit}' AS unit,
       ARRAY(SELECT jsonb_path_query(p, '$.fieldConfig.overrides[*].matcher.options')#>>'{}') AS named
  FROM jsonb_path_query(:'dashboard', '$.panels[*]') AS p, jsonb_path_query(p, '$.targets[*]') AS t;
CREATE TEMP TABLE seen (id int, ref text, rows bigint, error text);
CREATE TEMP TABLE shown (id int, ref text, number int, name text, kind text, unknown bigint);
GRANT SELECT ON panel TO regress_grafana;
GRANT ALL ON seen, shown TO regress_grafana;

-- every panel is read alone, in the order in which it stands
SET ROLE regress_grafana;
DO $$
DECLARE
    p record;
    name text;
BEGIN
    FOR p IN SELECT * FROM panel ORDER BY id, ref LOOP
        BEGIN
            EXECUTE 'CREATE TEMP TABLE answer AS ' || p.query;
            INSERT INTO shown SELECT p.id, p.ref, attnum, attname, CASE WHEN atttypid = 'timestamptz'::regtype THEN 'time' WHEN typcategory = 'N' THEN 'number' WHEN typcategory = 'S' THEN 'text' ELSE typname END
              FROM pg_attribute JOIN pg_type t ON t.oid = atttypid WHERE attrelid = 'answer'::regclass AND attnum > 0;
            INSERT INTO seen SELECT p.id, p.ref, count(*) FROM answer;
            FOR name IN SELECT s.name FROM shown s WHERE (s.id, s.ref) = (p.id, p.ref) LOOP
                EXECUTE format('UPDATE shown SET unknown = (SELECT count(*) - count(%1$I) FROM answer) WHERE (id, ref, name) = (%2$s, %3$L, %1$L)', name, p.id, p.ref);
            END LOOP;
            DROP TABLE answer;
        EXCEPTION WHEN OTHERS THEN
            INSERT INTO seen VALUES (p.id, p.ref, 0, SQLERRM);
        END;
    END LOOP;
END
$$;
RESET ROLE;

SELECT count(*) AS queries, count(*) FILTER (WHERE error IS NOT NULL) AS failed FROM seen;
SELECT title, ref, error FROM seen JOIN panel USING (id, ref) WHERE error IS NOT NULL ORDER BY id, ref;
-- of these one value is shown
SELECT title, rows, array_agg(kind) AS kinds, unit FROM panel JOIN seen USING (id, ref) JOIN shown USING (id, ref) WHERE type = 'stat' GROUP BY id, title, rows, unit ORDER BY id;
-- a line has times, then numbers, and a point for each step of the hour
SELECT title, ref, array_agg(kind ORDER BY number) AS kinds, min(name) FILTER (WHERE number = 1) AS first, rows > 300 AS has_points,
       bool_or(unknown > 0) FILTER (WHERE number = 1) AS gaps_in_time, format
  FROM panel JOIN seen USING (id, ref) JOIN shown USING (id, ref) WHERE type = 'timeseries' GROUP BY id, title, ref, rows, format ORDER BY id, ref;
-- a table shows what can be written into a cell, under names of which each is there once
SELECT title, string_agg(name || ' ' || kind, ', ' ORDER BY number) AS columns, count(*) = count(DISTINCT name) AS once
  FROM panel JOIN seen USING (id, ref) JOIN shown USING (id, ref) WHERE type = 'table' GROUP BY id, title ORDER BY id;
-- every panel is of one of these kinds, and what is said of single columns is said of columns that there are
SELECT title, type FROM panel WHERE type NOT IN ('stat', 'timeseries', 'table') OR (type = 'timeseries') <> (format = 'time_series');
SELECT title, name FROM panel, unnest(named) AS name WHERE name NOT IN (SELECT s.name FROM shown s WHERE s.id = panel.id);
-- panels do not lie on each other, and no two have the same number
SELECT a->>'title' AS title, b->>'title' AS other
  FROM jsonb_path_query(:'dashboard', '$.panels[*]') WITH ORDINALITY AS a(a, i), jsonb_path_query(:'dashboard', '$.panels[*]') WITH ORDINALITY AS b(b, j)
 WHERE i < j AND (a->'id' = b->'id' OR
       box(point((a#>>'{gridPos,x}')::int + 0.1, (a#>>'{gridPos,y}')::int + 0.1), point((a#>>'{gridPos,x}')::int + (a#>>'{gridPos,w}')::int - 0.1, (a#>>'{gridPos,y}')::int + (a#>>'{gridPos,h}')::int - 0.1)) &&
       box(point((b#>>'{gridPos,x}')::int + 0.1, (b#>>'{gridPos,y}')::int + 0.1), point((b#>>'{gridPos,x}')::int + (b#>>'{gridPos,w}')::int - 0.1, (b#>>'{gridPos,y}')::int + (b#>>'{gridPos,h}')::int - 0.1)));

RESET dbops.test_now;
DROP TABLE regress_panel, panel, seen, shown;
DROP OWNED BY regress_grafana;
DROP ROLE regress_grafana;
DROP EXTENSION pg_stat_statements;
