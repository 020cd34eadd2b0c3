-- Who may ask for forecasts and for what a migration did: whoever has the
-- level monitor. They see the history without rights on its tables, and
-- nobody's look-alikes are called when they do.
SET client_min_messages = warning;
CREATE ROLE regress_nobody;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_granted;
CREATE ROLE regress_hostile;

-- a role with nothing
GRANT USAGE ON SCHEMA dbops TO regress_nobody;
SET ROLE regress_nobody;
SELECT dbops.growth_forecast();
SELECT dbops.forecast_series('{}', '{}');
SELECT dbops.after_migration('1');
SELECT * FROM dbops.sequence_1d;
RESET ROLE;
REVOKE USAGE ON SCHEMA dbops FROM regress_nobody;

-- a member of pg_monitor, and a role that has only been granted dbops; sequences
-- are shown of which they may read nothing
SELECT dbops.grant_access('regress_granted', 'monitor');
CREATE SCHEMA regress_forecast;
REVOKE ALL ON SCHEMA regress_forecast FROM PUBLIC;
CREATE TABLE regress_forecast.t(id serial);
SELECT setval('regress_forecast.t_id_seq', 2000000000);
SELECT version FROM dbops.apply_migration('1', 'SELECT 1', project => 'regress_forecast') WHERE step IS NULL;
SET ROLE regress_monitor;
SELECT s->>'name' AS name, s->>'last_value' AS last_value FROM dbops.growth_forecast() g, jsonb_array_elements(g->'sequences') s WHERE s->>'name' LIKE 'regress%';
SELECT count(*) FROM dbops.after_migration('1', 'regress_forecast');
SELECT model FROM dbops.forecast_series('{}', '{}', '{1}');
SELECT * FROM dbops.sequence_1d;
SET ROLE regress_granted;
SELECT s->>'name' AS name, s->>'last_value' AS last_value FROM dbops.growth_forecast() g, jsonb_array_elements(g->'sequences') s WHERE s->>'name' LIKE 'regress%';
SELECT count(*) FROM dbops.after_migration('1', 'regress_forecast');
SELECT model FROM dbops.forecast_series('{}', '{}', '{1}');
RESET ROLE;

-- look-alikes of what is called, first in the path
GRANT CREATE ON DATABASE :DBNAME TO regress_hostile;
SET ROLE regress_hostile;
CREATE SCHEMA hostile;
GRANT USAGE ON SCHEMA hostile TO PUBLIC;
CREATE FUNCTION hostile.caught() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION 'called the look-alike as %', current_user; END $$;
CREATE FUNCTION hostile.pg_is_in_recovery() RETURNS boolean LANGUAGE sql AS 'SELECT hostile.caught()';
CREATE FUNCTION hostile.array_position(oid[], oid) RETURNS int LANGUAGE sql AS 'SELECT hostile.caught()::int';
CREATE FUNCTION hostile.round(numeric, int) RETURNS numeric LANGUAGE sql AS 'SELECT hostile.caught()::int::numeric';
CREATE FUNCTION hostile.texteq(text, text) RETURNS boolean LANGUAGE sql AS 'SELECT hostile.caught()';
CREATE OPERATOR hostile.= (LEFTARG = text, RIGHTARG = text, FUNCTION = hostile.texteq);
CREATE VIEW hostile.pg_sequence AS SELECT 1 AS seqrelid FROM hostile.caught();
CREATE VIEW hostile.pg_class AS SELECT 1 AS oid FROM hostile.caught();
RESET ROLE;
SET search_path = hostile, pg_catalog, public;
SELECT count(*) > 0 AS answered FROM jsonb_object_keys(dbops.growth_forecast());
SELECT count(*) > 0 AS answered FROM dbops.after_migration('1', 'regress_forecast');
RESET search_path;

DROP SCHEMA hostile CASCADE;
DROP SCHEMA regress_forecast CASCADE;
DELETE FROM dbops.migration WHERE project = 'regress_forecast';
SELECT dbops.revoke_access('regress_granted');
REVOKE CREATE ON DATABASE :DBNAME FROM regress_hostile;
DROP ROLE regress_nobody, regress_monitor, regress_granted, regress_hostile;
