-- Who may call the reports of advise, and that nobody's objects are called by
-- them. Plain SQL, because rights are what the catalog says.
\set VERBOSITY terse
CREATE ROLE regress_advise_nobody;
CREATE ROLE regress_advise_monitor IN ROLE pg_monitor;
CREATE ROLE regress_advise_hostile;
CREATE SCHEMA advise_closed;
CREATE TABLE advise_closed.p (k int PRIMARY KEY);
CREATE TABLE advise_closed.f (a int REFERENCES advise_closed.p);
GRANT CREATE ON SCHEMA public TO regress_advise_hostile;

SET ROLE regress_advise_nobody;
SELECT * FROM dbops.find_unindexed_fkeys();
-- a monitor has the full answer, without rights on the schema or the tables
SET ROLE regress_advise_monitor;
SELECT count(*) FROM advise_closed.f;
SELECT table_name, columns, create_index, bytes FROM dbops.find_unindexed_fkeys() WHERE constraint_name = 'f_a_fkey';
-- nor does it need to write
BEGIN READ ONLY;
SELECT count(*) FROM dbops.find_unindexed_fkeys() WHERE constraint_name = 'f_a_fkey';
COMMIT;

-- look-alikes in front of the server's own are not called
SET ROLE regress_advise_hostile;
CREATE FUNCTION public.trap(anyelement, anyelement) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE FUNCTION public.trap_oid(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.trap_oid);
CREATE OPERATOR public.= (LEFTARG = anyelement, RIGHTARG = anyelement, FUNCTION = public.trap);
CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE FUNCTION public.format(text, VARIADIC text[]) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE VIEW public.pg_constraint AS SELECT 1 AS trapped;
CREATE VIEW public.pg_index AS SELECT 1 AS trapped;
RESET ROLE;
SET search_path = public, advise_closed, pg_catalog;
SELECT table_name, columns, create_index FROM dbops.find_unindexed_fkeys();

RESET search_path;
DROP OWNED BY regress_advise_hostile;
DROP SCHEMA advise_closed CASCADE;
DROP ROLE regress_advise_nobody, regress_advise_monitor, regress_advise_hostile;
