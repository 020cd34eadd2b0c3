-- Who may see what is known of indexes: a monitor all of it, without rights on
-- tables; only an operator brings figures of other nodes; and no look-alike of
-- what is called is called, nor a function of an index.
\set VERBOSITY terse
CREATE ROLE regress_advice_nobody;
CREATE ROLE regress_advice_monitor IN ROLE pg_monitor;
CREATE ROLE regress_advice_operator;
CREATE ROLE regress_advice_hostile;
SELECT dbops.grant_access('regress_advice_operator', 'operator');
CREATE SCHEMA advice_closed;
CREATE TABLE advice_closed.t (id int PRIMARY KEY, a int);
CREATE INDEX t_a ON advice_closed.t (a);
CREATE INDEX t_a2 ON advice_closed.t (a);

SET ROLE regress_advice_nobody;
SELECT * FROM dbops.find_invalid_indexes();
SELECT * FROM dbops.find_duplicate_indexes();
SELECT * FROM dbops.find_unused_indexes();
SELECT * FROM dbops.index_usage();
SELECT dbops.export_index_usage();
SELECT dbops.import_index_usage('x', '{}');
SELECT dbops.forget_index_usage('x');
SELECT dbops.note_standbys();
SELECT * FROM dbops.index_usage_standby;
SELECT * FROM dbops.index_usage_node;
SELECT * FROM dbops.index_usage_imported;
RESET ROLE;

SET ROLE regress_advice_monitor;
SELECT count(*) FROM dbops.find_duplicate_indexes() WHERE statement LIKE '%advice\_closed.t\_a2%';
SELECT count(*) FROM dbops.find_unused_indexes() WHERE table_name = (SELECT oid FROM pg_class WHERE relname = 't' AND relnamespace = 'advice_closed'::regnamespace);
SELECT count(*) >= 0 AS seen FROM dbops.find_invalid_indexes();
SELECT dbops.export_index_usage() IS NOT NULL AS exports;
SELECT dbops.import_index_usage('x', '{}');
SELECT dbops.forget_index_usage('x');
SELECT dbops.note_standbys();
RESET ROLE;

SET ROLE regress_advice_operator;
SELECT dbops.import_index_usage('regress_advice', '{"observed_since": "2020-01-01", "taken_at": "2020-01-02", "indexes": []}');
SELECT * FROM dbops.index_usage_node;
SELECT dbops.note_standbys();
RESET ROLE;
SELECT node, imported_by FROM dbops.index_usage_node WHERE node = 'regress_advice';
SET ROLE regress_advice_operator;
SELECT dbops.forget_index_usage('regress_advice');
RESET ROLE;

GRANT CREATE ON SCHEMA public TO regress_advice_hostile;
SET ROLE regress_advice_hostile;
CREATE FUNCTION public.trap(oid, oid) RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE OPERATOR public.= (LEFTARG = oid, RIGHTARG = oid, FUNCTION = public.trap);
CREATE VIEW public.pg_index AS SELECT 1 AS trapped;
CREATE FUNCTION public.quote_ident(text) RETURNS text LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE FUNCTION public.key(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RETURN $1; END $$;
CREATE DOMAIN public.small AS int CHECK (public.key(VALUE) < 1000);
CREATE TABLE public.advice_trap (id int, d public.small);
CREATE INDEX trap_1 ON public.advice_trap (public.key(id)) WHERE public.key(7) = public.key(id);
CREATE INDEX trap_2 ON public.advice_trap (public.key(id)) WHERE public.key(7) = public.key(id);
CREATE INDEX trap_3 ON public.advice_trap (d) WHERE d > 5::public.small;
CREATE INDEX trap_4 ON public.advice_trap (d) WHERE d > 6::public.small;
CREATE OR REPLACE FUNCTION public.key(int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'trapped'; END $$;
RESET ROLE;
SET search_path = public, pg_catalog;
SELECT index_name, replaced_by FROM dbops.find_duplicate_indexes() WHERE table_name OPERATOR(pg_catalog.=) 'advice_trap'::regclass;
SELECT count(*) FROM dbops.find_unused_indexes() WHERE table_name OPERATOR(pg_catalog.=) 'advice_trap'::regclass;
SELECT count(*) FROM dbops.find_invalid_indexes() WHERE table_name OPERATOR(pg_catalog.=) 'advice_trap'::regclass;
SELECT count(*) FROM dbops.index_usage('advice_trap');
RESET search_path;

SET client_min_messages = warning;
SELECT dbops.revoke_access('regress_advice_operator');
DROP SCHEMA advice_closed CASCADE;
DROP OWNED BY regress_advice_hostile CASCADE;
DROP ROLE regress_advice_nobody, regress_advice_monitor, regress_advice_operator, regress_advice_hostile;
