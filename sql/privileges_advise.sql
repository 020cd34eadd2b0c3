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

-- Nor is what a table's owner wrote into an index, a cast or a domain, which
-- the planner would call or inline. It behaves until the index is there.
SET ROLE regress_advise_hostile;
SET search_path = public;
CREATE TABLE traps_p (k int PRIMARY KEY);
CREATE TYPE trap_type AS (v int);
CREATE FUNCTION trap_const(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN $1; END $$;
CREATE FUNCTION trap_inlined(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1';
CREATE FUNCTION trap_cast(trap_type) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).v';
CREATE CAST (trap_type AS int) WITH FUNCTION trap_cast AS IMPLICIT;
CREATE FUNCTION trap_same(trap_type, trap_type) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RETURN true; END $$;
CREATE DOMAIN trap_domain AS int;
CREATE TABLE traps (a int REFERENCES traps_p, b int);
CREATE TABLE traps_cast (a trap_type REFERENCES traps_p);
CREATE INDEX traps_predicate ON traps (a) WHERE b > trap_const(3);
CREATE INDEX traps_expression ON traps (trap_const(b + trap_const(3)), a);
CREATE INDEX traps_inlined ON traps (trap_inlined(a));
CREATE INDEX traps_domain ON traps ((b::trap_domain));
RESET ROLE;
CREATE OPERATOR === (LEFTARG = trap_type, RIGHTARG = trap_type, FUNCTION = trap_same);
CREATE OPERATOR CLASS trap_ops DEFAULT FOR TYPE trap_type USING btree AS OPERATOR 3 ===;
SET ROLE regress_advise_hostile;
CREATE INDEX traps_elements ON traps (b) WHERE '{"(1)"}'::trap_type[] OPERATOR(pg_catalog.=) '{"(2)"}'::trap_type[];
CREATE OR REPLACE FUNCTION trap_const(int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OR REPLACE FUNCTION trap_same(trap_type, trap_type) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OR REPLACE FUNCTION trap_inlined(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + trap_const(3)';
CREATE OR REPLACE FUNCTION trap_cast(trap_type) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT ($1).v + trap_const(3)';
ALTER DOMAIN trap_domain ADD CHECK (VALUE > trap_const(3)) NOT VALID;
RESET ROLE;
SELECT table_name, create_index, reason FROM dbops.find_unindexed_fkeys() WHERE table_name::text ~ 'traps';
SET ROLE regress_advise_monitor;
SELECT table_name, create_index, reason FROM dbops.find_unindexed_fkeys() WHERE table_name::text ~ 'traps';

-- inlining would look names up along the caller's search_path
SET search_path = '';
SELECT table_name FROM dbops.find_unindexed_fkeys() WHERE table_name::text ~ 'traps';
RESET ROLE;
RESET search_path;
SET client_min_messages = warning;
DROP OWNED BY regress_advise_hostile CASCADE;
DROP SCHEMA advise_closed CASCADE;
DROP ROLE regress_advise_nobody, regress_advise_monitor, regress_advise_hostile;
