-- How rules are run: by name or by choice, muted, independent of who asks and how,
-- and one that cannot be judged is unknown.
\set VERBOSITY terse
CREATE SCHEMA review_rules;
CREATE TABLE review_rules."It's" (a int, b json);

-- at least forty, each with its words, and no name twice
SELECT count(*) >= 40 AS enough, count(*) FILTER (WHERE NOT on_by_default) > 5 AS some_are_taste, count(*) = count(DISTINCT rule_name) AS told_apart,
       bool_and(about <> '' AND source <> '' AND severity IN ('info', 'warning', 'critical')) AS described
  FROM dbops.rule_list() WHERE review = 'schema';

-- all that are on, some by pattern, and what is off for who asks
SELECT count(*) FILTER (WHERE check_name = 'tables.no_primary_key') AS of_default, count(*) FILTER (WHERE check_name = 'types.json') AS of_taste
  FROM dbops.review_schema() WHERE object LIKE 'review_rules%';
SELECT check_name, object FROM dbops.review_schema('{tables.no_p%,types.j%}') WHERE object LIKE 'review_rules%' ORDER BY key;
SELECT dbops.review_schema('{tables.no_p%,no.such}');
\echo :SQLSTATE
-- what is chosen stays
SELECT dbops.set_check('types.json', enabled => true), dbops.set_check('tables.no_primary_key', enabled => false);
SELECT check_name FROM dbops.review_schema() WHERE object LIKE 'review_rules%' AND check_name IN ('tables.no_primary_key', 'types.json');
SELECT check_name FROM dbops.review_schema('{tables.no_primary_key}') WHERE object LIKE 'review_rules%';
SELECT dbops.reset_check('types.json'), dbops.reset_check('tables.no_primary_key'), dbops.reset_check('types.json') AS again;
SELECT check_name FROM dbops.review_schema() WHERE object LIKE 'review_rules%' AND check_name IN ('tables.no_primary_key', 'types.json');
SELECT dbops.set_check('types.json', warning => 3);
\echo :SQLSTATE
SELECT dbops.set_check('types.json');
\echo :SQLSTATE

-- a mute: of one finding, or of a rule; it is shown as what it is
SELECT dbops.mute_finding('tables.no_primary_key:review_rules."It''s"', 'it is a log', now() + interval '1 hour');
SELECT severity, (data->>'muted_until')::timestamptz > now() AS muted FROM dbops.review_schema('{tables.no_primary_key}') WHERE object LIKE 'review_rules%';
SELECT key, reason FROM dbops.muted_findings() WHERE key LIKE '%review_rules%';
SELECT dbops.unmute_finding('tables.no_primary_key:review_rules."It''s"');
SELECT dbops.mute_finding('tables.no_primary_key', 'we do without', now() + interval '1 hour');
SELECT data ? 'muted_until' AS muted FROM dbops.review_schema('{tables.no_primary_key}') WHERE object LIKE 'review_rules%';
SELECT dbops.unmute_finding('tables.no_primary_key');
SELECT data ? 'muted_until' AS muted, data->>'source' <> '' AS sourced FROM dbops.review_schema('{tables.no_primary_key}') WHERE object LIKE 'review_rules%';
SELECT dbops.mute_finding('tables.no_primary_kex', 'why', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('tables.no_primary_key:', 'why', now() + interval '1 hour');
\echo :SQLSTATE

-- the same key whatever the session's path and spelling, and remedies that name everything
SET search_path = review_rules;
SET quote_all_identifiers = on;
SELECT key, remedy FROM dbops.review_schema('{tables.no_primary_key}') WHERE object LIKE '%review_rules%';
SHOW quote_all_identifiers;
RESET quote_all_identifiers;
RESET search_path;

-- a name with line breaks is spelled on one line, as values are, in what is printed and in keys
CREATE TABLE review_rules."it's
""the\ end""" (a int, "b
c" json);
SELECT key FROM dbops.review_schema('{tables.no_primary_key,types.json}') WHERE object LIKE '%review_rules%' ORDER BY key COLLATE "C";
SELECT count(*) FILTER (WHERE object ~ E'[\n\r]') AS objects, count(*) FILTER (WHERE message ~ E'[\n\r]') AS messages, count(*) FILTER (WHERE key ~ E'[\n\r]') AS keys
  FROM dbops.review_schema('{%}') WHERE object LIKE 'review_rules%';
DROP TABLE review_rules."it's
""the\ end""";

-- look-alikes in front of the server's own are not called
CREATE FUNCTION review_rules.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR review_rules.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = review_rules.trap);
CREATE FUNCTION review_rules.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE VIEW review_rules.pg_class AS SELECT 1 AS trapped;
SET search_path = review_rules, pg_catalog;
SELECT count(*) > 0 AS found, count(*) FILTER (WHERE severity = 'unknown') AS unknown FROM dbops.review_schema('{%}');
RESET search_path;

-- only for monitors, who need no rights on what is reviewed and cannot write
CREATE ROLE regress_review_nobody;
CREATE ROLE regress_review_monitor IN ROLE pg_monitor;
SET ROLE regress_review_nobody;
SELECT count(*) FROM dbops.review_schema();
SELECT count(*) FROM dbops.rule_list();
SET ROLE regress_review_monitor;
BEGIN READ ONLY;
SELECT count(*) > 0 AS found, count(*) FILTER (WHERE severity = 'unknown') AS unknown FROM dbops.review_schema('{%}');
COMMIT;
RESET ROLE;
DROP ROLE regress_review_nobody, regress_review_monitor;

-- a null is no pattern, nor is what ends within an escape; none at all is no choice
SELECT dbops.review_schema(ARRAY['tables.%', 'tables\']);
\echo :SQLSTATE
SELECT count(*) FROM dbops.review_privileges(ARRAY['hba\.trust', 'no.such\\']);
\echo :SQLSTATE
SELECT (SELECT count(*) FROM dbops.review_schema('{}') f WHERE f.object LIKE 'review_rules%') = (SELECT count(*) FROM dbops.review_schema() f WHERE f.object LIKE 'review_rules%') AS same;
-- as many patterns as somebody likes, in any shape
SELECT count(*) > 0 AS found FROM dbops.review_schema((SELECT array_agg('%'::text) FROM generate_series(1, 100000)));
SELECT DISTINCT check_name FROM dbops.review_schema('{{tables.no_primary_key,types.json},{tables.no_primary_key,types.json}}') WHERE object LIKE 'review_rules%';
SELECT * FROM dbops.review_schema(ARRAY[NULL]);
SELECT * FROM dbops.review_settings(ARRAY['settings.%', NULL]);
SELECT * FROM dbops.review_privileges(ARRAY[NULL]);
DROP SCHEMA review_rules CASCADE;
