-- set_check() and reset_check(): what is changed is in force wherever a check is
-- judged, and only that is kept; what cannot be meant is refused.
CREATE FUNCTION pg_temp.active() RETURNS TABLE (severity text, value jsonb, warning jsonb, critical jsonb, shipped jsonb, setting jsonb) LANGUAGE sql AS $$
    SELECT severity, data->'value', data->'warning', data->'critical', data->'default'->'warning', data->'setting'
      FROM dbops.health_checks() WHERE check_name = 'connections.active'
$$;

-- as shipped
SELECT * FROM dbops.check_setting;
SELECT severity, warning, critical, shipped, setting FROM pg_temp.active();

-- changed, by this transaction and for it only until it commits
BEGIN;
SELECT dbops.set_check('connections.active', warning => 0);
SELECT severity, warning, critical, shipped, setting FROM pg_temp.active();
ROLLBACK;
SELECT severity, warning, critical, shipped, setting FROM pg_temp.active();
BEGIN;
SELECT dbops.set_check('connections.active', warning => 0);
SAVEPOINT before_more;
SELECT dbops.set_check('connections.active', critical => 0);
SELECT severity FROM pg_temp.active();
ROLLBACK TO before_more;
SELECT severity FROM pg_temp.active();
COMMIT;
SELECT severity, warning, critical, shipped, setting FROM pg_temp.active();
\c -
CREATE FUNCTION pg_temp.active() RETURNS TABLE (severity text, value jsonb, warning jsonb, critical jsonb, shipped jsonb, setting jsonb) LANGUAGE sql AS $$
    SELECT severity, data->'value', data->'warning', data->'critical', data->'default'->'warning', data->'setting'
      FROM dbops.health_checks() WHERE check_name = 'connections.active'
$$;
SELECT severity, warning, critical, shipped, setting FROM pg_temp.active();

-- the flat status follows, which others may make worse
SELECT h->>'status' IN ('warning', 'critical') AS not_healthy, h->'verdict'->'reasons' ? 'connections.active' AS is_the_reason FROM dbops.system_health_check() h;

-- a second call changes what it names, and never is 'infinity'
SELECT dbops.set_check('connections.active', warning => 'infinity', critical => 0, duration => '5 minutes', keep_firing => '1 minute', clear => 20);
SELECT severity, warning, critical, setting FROM pg_temp.active();
SELECT h->'status' AS status FROM dbops.system_health_check() h;
SELECT check_name, enabled, warning, critical, guard, duration, keep_firing, clear FROM dbops.check_setting;

-- also of what needs catalogs, and was judged a moment ago
SELECT count(*) FROM dbops.system_health_check() \g /dev/null
CREATE TABLE regress_unproven (id int);
ALTER TABLE regress_unproven ADD CONSTRAINT unproven CHECK (id > 0) NOT VALID;
SELECT dbops.set_check('constraints.not_valid', warning => 0.5);
SELECT h->'verdict'->'reasons' @? '$[*] ? (@ starts with "constraints.not_valid:")' AS is_a_reason FROM dbops.system_health_check() h;
SELECT dbops.set_check('constraints.not_valid', warning => 1e6);
SELECT h->'verdict'->'reasons' @? '$[*] ? (@ starts with "constraints.not_valid:")' AS is_a_reason FROM dbops.system_health_check() h;
SELECT dbops.set_check('constraints.not_valid', enabled => false);
SELECT jsonb_path_query_array(h, '$.checks[*] ? (@.check_name == "constraints.not_valid" && @.severity == "warning")') AS warnings FROM dbops.system_health_check() h;
SELECT dbops.reset_check('constraints.not_valid');
DROP TABLE regress_unproven;

-- turned off
SELECT dbops.set_check('connections.active', enabled => false);
SELECT severity, message, remedy FROM dbops.health_checks() WHERE check_name = 'connections.active';
SELECT h->'verdict'->'reasons' ? 'connections.active' AS is_a_reason FROM dbops.system_health_check() h;
SELECT dbops.set_check('connections.active', enabled => true);
SELECT severity FROM pg_temp.active();

-- back to what is shipped
SELECT dbops.reset_check('connections.active'), dbops.reset_check('connections.active') AS again;
SELECT severity, warning, critical, setting FROM pg_temp.active();

-- what the table's owner does there counts too, and cannot be nonsense
INSERT INTO dbops.check_setting (check_name, warning) VALUES ('connections.active', 0), ('of.another.version', 1);
SELECT severity FROM pg_temp.active();
TRUNCATE dbops.check_setting;
SELECT severity FROM pg_temp.active();
\set VERBOSITY terse
INSERT INTO dbops.check_setting (check_name, warning) VALUES ('connections.active', 'NaN');
INSERT INTO dbops.check_setting (check_name, critical) VALUES ('connections.active', -1);
\set VERBOSITY default

-- the guides' numbers are those that are shipped
SELECT check_name, warning, critical FROM dbops.check_list()
 WHERE check_name IN ('connections.used', 'connections.waiting', 'statements.slow_calls', 'replication.lag', 'disk.free', 'database.deadlocks',
                      'connections.active', 'statements.slow', 'cache.hit_ratio', 'cache.index_hit_ratio') ORDER BY 1;

-- a guard: the absolute figure that must be beyond its limit too; a disk that is large is no
-- reason to wake anybody, but a warning when it is as full as the guide says
CREATE FUNCTION pg_temp.disk() RETURNS TABLE (severity text, guard text, guard_unit text, guards text, of_figure boolean) LANGUAGE sql AS $$
    SELECT DISTINCT severity, data->>'guard', data->>'guard_unit', data->>'guards', (data->>'guard_value')::numeric > 0
      FROM dbops.health_checks() WHERE check_name = 'disk.free'
$$;
SELECT dbops.set_check('disk.free', warning => 100, critical => 100, guard => 1e18);
SELECT * FROM pg_temp.disk();
SELECT dbops.set_check('disk.free', guard => 0);
SELECT * FROM pg_temp.disk();
SELECT dbops.set_check('disk.free', warning => 'infinity');
SELECT * FROM pg_temp.disk();
SELECT dbops.set_check('disk.free', guard => 'infinity');
SELECT * FROM pg_temp.disk();
SELECT DISTINCT data->'default' AS shipped, data->'setting' AS setting FROM dbops.health_checks() WHERE check_name = 'disk.free';
SELECT dbops.reset_check('disk.free');

-- one that holds back all
SELECT dbops.set_check('host.memory', warning => 100, critical => 100, guard => 0);
SELECT severity, data->'guards' AS guards FROM dbops.health_checks() WHERE check_name = 'host.memory';
SELECT dbops.set_check('host.memory', guard => 'infinity');
SELECT severity, data->'guards' AS guards FROM dbops.health_checks() WHERE check_name = 'host.memory';
SELECT dbops.reset_check('host.memory');

-- what cannot be meant
SELECT dbops.set_check(NULL, 1);
\echo :SQLSTATE
SELECT dbops.set_check('conections.active', 1);
\echo :SQLSTATE
SELECT dbops.set_check('nothing like that at all', 1);
\echo :SQLSTATE
SELECT dbops.reset_check('disk.fre');
\echo :SQLSTATE
SELECT dbops.set_check('connections.active');
\echo :SQLSTATE
SELECT dbops.set_check('connections.active', 'NaN');
\echo :SQLSTATE
SELECT dbops.set_check('connections.active', critical => '-1');
\echo :SQLSTATE
SELECT dbops.set_check('connections.active', '-infinity');
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', 101);
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', 96);
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', warning => 50, critical => 40);
\echo :SQLSTATE
SELECT dbops.set_check('disk.free', warning => 5, critical => 10);
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', guard => 5);
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', clear => 'infinity');
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', duration => '-1 second');
\echo :SQLSTATE
SELECT dbops.set_check('connections.used', keep_firing => '1 year');
\echo :SQLSTATE
SELECT * FROM dbops.check_setting;
