-- Who may call the reports on the schema, and that nobody's objects are called by them.
\set VERBOSITY terse
CREATE ROLE regress_schema_nobody;
CREATE ROLE regress_schema_monitor IN ROLE pg_monitor;
CREATE SCHEMA schema_closed;
CREATE TABLE schema_closed.t (a int DEFAULT 1);

SET ROLE regress_schema_nobody;
SELECT dbops.schema_snapshot();
SELECT * FROM dbops.schema_diff('{}', '{}');
-- a monitor has the full answer, without rights on the schema or the tables
SET ROLE regress_schema_monitor;
SELECT dbops.schema_snapshot('{schema_closed}') -> 'column';
-- nor does it need to write
BEGIN READ ONLY;
SELECT dbops.schema_snapshot() -> 'column' -> 'schema_closed.t.a';
COMMIT;
RESET ROLE;

-- look-alikes in front of the server's own are not called
CREATE FUNCTION schema_closed.trap(text, text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR schema_closed.|| (LEFTARG = text, RIGHTARG = text, FUNCTION = schema_closed.trap);
CREATE FUNCTION schema_closed.quote_ident(name) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE VIEW schema_closed.pg_class AS SELECT 1 AS trapped;
SET search_path = schema_closed, pg_catalog;
SELECT dbops.schema_snapshot() -> 'column' -> 'schema_closed.t.a';
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA schema_closed CASCADE;
DROP ROLE regress_schema_nobody, regress_schema_monitor;
