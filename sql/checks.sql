-- Which checks there are, what is known of each, and that every one of them
-- has something to say of a server that is well.
\set VERBOSITY terse

-- at least sixty, each described, with a unit, a threshold or the reason for none
SELECT count(*) >= 60 AS at_least_sixty,
       count(*) FILTER (WHERE check_name !~ '^[a-z]+\.[a-z_]+$') AS misnamed,
       count(*) - count(DISTINCT check_name) AS twice
  FROM dbops.check_list();
SELECT check_name FROM dbops.check_list()
 WHERE check_name !~ '^(history|jobs|partitions|retention)\.' AND (about IS NULL OR unit IS NULL OR source IS NULL) ORDER BY 1;
SELECT check_name, reach, advice, unit, bad_if, warning, critical, guard, guard_unit, source FROM dbops.check_list()
 WHERE check_name !~ '^(history|jobs|partitions|retention)\.' ORDER BY 1;

-- a critical threshold is beyond the warning, and a guard has a unit
SELECT check_name FROM dbops.check_list()
 WHERE CASE bad_if WHEN 'above' THEN critical < warning ELSE critical > warning END OR (guard IS NULL) <> (guard_unit IS NULL);

-- each of them reports, and each finding is one of theirs
SELECT check_name FROM dbops.check_list() EXCEPT SELECT check_name FROM dbops.health_checks() ORDER BY 1;
SELECT check_name FROM dbops.health_checks() EXCEPT SELECT check_name FROM dbops.check_list() ORDER BY 1;
SELECT check_name, message FROM dbops.health_checks() WHERE message LIKE 'could not be judged%';

-- what was unknown says why, and what is bad says what to do
SELECT check_name FROM dbops.health_checks() WHERE severity <> 'ok' AND (message IS NULL OR remedy IS NULL) ORDER BY 1;
SELECT check_name FROM dbops.health_checks() WHERE severity = 'ok' AND remedy IS NOT NULL ORDER BY 1;

-- those that judge a value carry it
SELECT check_name FROM dbops.health_checks() WHERE severity IN ('warning', 'critical') AND check_name !~ '^(jobs|partitions|retention)\.' AND NOT data ? 'value' ORDER BY 1;
