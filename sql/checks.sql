-- Which checks there are, what is known of each, and that every one of them
-- has something to say of a server that is well.
\set VERBOSITY terse

-- at least sixty, each described, with a unit, a threshold or the reason for none
SELECT count(*) >= 60 AS at_least_sixty,
       count(*) FILTER (WHERE check_name !~ '^[a-z]+\.[a-z_]+$') AS misnamed,
       count(*) - count(DISTINCT check_name) AS twice
  FROM dbops.check_list();
SELECT check_name FROM dbops.check_list() WHERE about IS NULL OR unit IS NULL OR source IS NULL OR bad_if IS NULL ORDER BY 1;
SELECT check_name, reach, advice, unit, bad_if, warning, critical, guard, guard_unit, guards, source FROM dbops.check_list() ORDER BY 1;

-- a critical threshold is beyond the warning, and a guard has a unit
SELECT check_name FROM dbops.check_list()
 WHERE CASE bad_if WHEN 'above' THEN critical < warning ELSE critical > warning END OR (guard IS NULL) <> (guard_unit IS NULL) OR (guard IS NULL) <> (guards IS NULL);

-- each of them reports, and each finding is one of theirs
SELECT check_name FROM dbops.check_list() EXCEPT SELECT check_name FROM dbops.health_checks() ORDER BY 1;
SELECT check_name FROM dbops.health_checks() EXCEPT SELECT check_name FROM dbops.check_list() ORDER BY 1;
-- with its value and unit, also where nothing is to be measured
SELECT DISTINCT check_name FROM dbops.health_checks() WHERE data ?& '{value,unit}' IS NOT TRUE ORDER BY 1;
SELECT check_name, message FROM dbops.health_checks() WHERE message LIKE 'could not be judged%';

-- what was unknown says why, and what is bad says what to do
SELECT check_name FROM dbops.health_checks() WHERE severity <> 'ok' AND (message IS NULL OR remedy IS NULL) ORDER BY 1;
SELECT check_name FROM dbops.health_checks() WHERE severity = 'ok' AND remedy IS NOT NULL ORDER BY 1;

-- those that judge a value carry it
SELECT check_name FROM dbops.health_checks() WHERE severity IN ('warning', 'critical') AND NOT data ? 'value' ORDER BY 1;
SELECT check_name FROM dbops.health_checks() WHERE data->>'source' IS NULL OR data->'default' IS NULL ORDER BY 1;

-- with the strictest thresholds there are, what has a value is bad, and each of those says what to do, in a sentence like the others
BEGIN;
SELECT count(dbops.set_check(check_name, warning => CASE WHEN bad_if = 'above' THEN 0 WHEN unit = 'percent' THEN 100 ELSE 1e15 END, critical => 'infinity',
                             guard => CASE WHEN guard IS NOT NULL THEN 'infinity'::float8 END)) > 60 AS stricter FROM dbops.check_list();
CREATE TEMP TABLE strict ON COMMIT DROP AS SELECT * FROM dbops.health_checks();
SELECT count(DISTINCT check_name) FILTER (WHERE severity = 'warning') > 20 AS many_are_bad FROM strict;
SELECT check_name, severity, message FROM strict WHERE severity <> 'ok' AND remedy IS NULL;
SELECT check_name, message FROM strict WHERE message ~ '(^(?!PostgreSQL)[A-Z][a-z]|[.]$|(^|[^0-9.])1 (?!(is|was|has)\y)[a-z]+s\y)';
SELECT check_name, jsonb_typeof(data->'since') AS since FROM strict WHERE NOT data ?& ARRAY['since', 'source', 'default', 'setting'];
ROLLBACK;
