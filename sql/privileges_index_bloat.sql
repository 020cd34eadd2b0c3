-- Who may measure indexes: a monitor any, without rights on the table, since how
-- full pages are shows no data; and what it remembers is for nobody to touch.
\set VERBOSITY terse
CREATE ROLE regress_bloat_nobody;
CREATE ROLE regress_bloat_monitor IN ROLE pg_monitor;
CREATE ROLE regress_bloat_hostile;
CREATE SCHEMA bloat_closed;
CREATE TABLE bloat_closed.t (id int PRIMARY KEY);
INSERT INTO bloat_closed.t SELECT generate_series(1, 10000);

SET ROLE regress_bloat_nobody;
SELECT * FROM dbops.index_bloat(1);
SELECT * FROM dbops.find_bloated_indexes();
SELECT * FROM dbops.index_best;
RESET ROLE;
SELECT 'bloat_closed.t_pkey'::regclass::oid AS index \gset

SET ROLE regress_bloat_monitor;
SELECT bloat_percent, method FROM dbops.index_bloat(:index);
SELECT bloat_percent, method FROM dbops.index_bloat(:index, exact => true);
SELECT count(*) > 0 AS found FROM dbops.find_bloated_indexes(0, 1000000, 0) WHERE index_name = :index;
SELECT * FROM dbops.index_best;
DELETE FROM dbops.index_best;
RESET ROLE;
SELECT count(*) FROM dbops.index_best WHERE index_name = :index;

-- no look-alike of what is called is called, and no function of an index
GRANT CREATE ON SCHEMA public TO regress_bloat_hostile;
SET ROLE regress_bloat_hostile;
CREATE FUNCTION public.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.trap);
CREATE FUNCTION public.pgstatindex(regclass) RETURNS bigint LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE VIEW public.pg_class AS SELECT 1 AS trapped;
CREATE FUNCTION public.key(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
CREATE TABLE public.bloat_trap (id int);
INSERT INTO public.bloat_trap SELECT generate_series(1, 1000);
CREATE INDEX bloat_trap_key ON public.bloat_trap (public.key(id));
CREATE OR REPLACE FUNCTION public.key(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
RESET ROLE;
SET search_path = public, pg_catalog;
SELECT method FROM dbops.index_bloat('bloat_trap_key', 1, exact => true);
SELECT count(*) > 0 AS found FROM dbops.find_bloated_indexes(0, min_bytes => 0);
RESET search_path;

SET client_min_messages = warning;
DROP SCHEMA bloat_closed CASCADE;
DROP OWNED BY regress_bloat_hostile CASCADE;
DROP ROLE regress_bloat_nobody, regress_bloat_monitor, regress_bloat_hostile;
