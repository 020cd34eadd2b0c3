-- review(): all reviews as one list of what there is to do.
\set VERBOSITY terse
CREATE SCHEMA review_all;
CREATE TABLE review_all.without_key (a int);
CREATE TABLE review_all.without_key_too (a int);

-- all of it, without what is as it should be, the gravest first
SELECT check_name, object FROM dbops.review() WHERE object LIKE 'review_all.%' AND severity = 'warning' ORDER BY key;
SELECT count(*) FILTER (WHERE severity = 'ok') AS ok, count(*) FILTER (WHERE check_name LIKE 'settings.%') > 0 AS settings, count(*) FILTER (WHERE check_name LIKE 'hba.%') > 0 AS privileges,
       array_agg(DISTINCT severity) <@ '{unknown,info,warning,critical}' AS severities FROM dbops.review();
SELECT bool_and(coalesce(before >= rank, true)) AS sorted
  FROM (SELECT rank, lag(rank) OVER (ORDER BY n) AS before FROM (SELECT n, array_position('{unknown,info,warning,critical}', severity) AS rank FROM dbops.review() WITH ORDINALITY x (check_name, severity, object, message, remedy, key, data, n)) y) z;
SELECT count(*) FROM dbops.review() WHERE check_name = 'review.muted';

-- what is muted is left out, and not without a word
SELECT dbops.mute_finding('tables.no_primary_key:review_all.without_key', 'a log', now() + interval '1 hour');
SELECT object FROM dbops.review() WHERE check_name = 'tables.no_primary_key' AND object LIKE 'review_all%';
SELECT severity, message, remedy FROM dbops.review() WHERE check_name = 'review.muted';
SELECT object, data ? 'muted_until' AS muted FROM dbops.review(muted => true) WHERE check_name = 'tables.no_primary_key' AND object LIKE 'review_all%' ORDER BY 1;
SELECT key, reason FROM dbops.muted_findings();
SELECT dbops.mute_finding('settings.memory', 'as the provider has it', now() + interval '1 hour');
SELECT count(*) FROM dbops.review() WHERE check_name = 'settings.memory';
SELECT dbops.unmute_finding('settings.memory'), dbops.unmute_finding('tables.no_primary_key:review_all.without_key');
SELECT object FROM dbops.review() WHERE check_name = 'tables.no_primary_key' AND object LIKE 'review_all%' ORDER BY 1;

-- for monitors
CREATE ROLE regress_review_nobody;
CREATE ROLE regress_review_monitor IN ROLE pg_monitor;
SET ROLE regress_review_nobody;
SELECT count(*) FROM dbops.review();
SELECT count(*) FROM dbops.review_settings();
SET ROLE regress_review_monitor;
BEGIN READ ONLY;
SELECT count(*) > 0 AS found, count(*) FILTER (WHERE message LIKE 'could not be judged%') AS failed FROM dbops.review();
COMMIT;
RESET ROLE;
DROP ROLE regress_review_nobody, regress_review_monitor;
DROP SCHEMA review_all CASCADE;
