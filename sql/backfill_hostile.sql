-- A hostile role with CREATE on a schema of the search_path: its operators and
-- functions must not be taken for ours, and a superuser who backfills its
-- table must not run its code with a superuser's rights.
\set VERBOSITY terse
SET statement_timeout = '60s';
CREATE ROLE regress_backfill_mallory;
CREATE ROLE regress_backfill_victim;
GRANT ALL ON SCHEMA public TO regress_backfill_mallory;
SET ROLE regress_backfill_mallory;
CREATE TABLE public.mallory_gains (who text);
GRANT INSERT ON public.mallory_gains TO PUBLIC;

-- look-alikes of everything that our statements use
CREATE FUNCTION public.mallory_tid(tid, tid) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' tid'); RETURN true; END $$;
CREATE OPERATOR public.>= (LEFTARG = tid, RIGHTARG = tid, FUNCTION = public.mallory_tid);
CREATE OPERATOR public.< (LEFTARG = tid, RIGHTARG = tid, FUNCTION = public.mallory_tid);
CREATE FUNCTION public.mallory_text(varchar, varchar) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' text'); RETURN true; END $$;
CREATE OPERATOR public.= (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.mallory_text);
CREATE OPERATOR public.<> (LEFTARG = varchar, RIGHTARG = varchar, FUNCTION = public.mallory_text);
CREATE FUNCTION public.record_image_ne(record, record) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' image'); RETURN false; END $$;
CREATE FUNCTION public.lower(text) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' lower'); RETURN 'hijacked'; END $$;
CREATE FUNCTION public.lower(varchar) RETURNS text LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' lower'); RETURN 'hijacked'; END $$;
CREATE FUNCTION public.mallory_domain(pg_catalog.text) RETURNS boolean LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' domain'); RETURN true; END $$;
CREATE DOMAIN public.text AS pg_catalog.text CHECK (public.mallory_domain(VALUE));
CREATE FUNCTION public.count() RETURNS bigint LANGUAGE plpgsql AS
    $$ BEGIN INSERT INTO public.mallory_gains VALUES (current_user || ' count'); RETURN 0; END $$;
RESET ROLE;
SET search_path = public, pg_catalog;

CREATE TABLE public.victim_table (id integer, place varchar(20));
INSERT INTO public.victim_table SELECT i, 'old' FROM generate_series(1, 1000) i;
CALL dbops.batched_backfill('victim_table', 'place = ''new''');
CALL dbops.batched_backfill('victim_table', 'place = ''newer'' || id', 'id > 500');
CALL dbops.batched_backfill('victim_table', 'place = pg_catalog.lower(''OLDER'')', 'id = 1');
SELECT left(place, 5) AS place, pg_catalog.count(*) FROM public.victim_table GROUP BY 1 ORDER BY 1;
SELECT * FROM public.mallory_gains;

-- a table of the hostile role: a trigger, a default, a generated column, a CHECK
SET ROLE regress_backfill_mallory;
CREATE FUNCTION public.mallory_code(text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN
        IF current_user <> 'regress_backfill_mallory' THEN
            RAISE EXCEPTION 'runs as %', current_user;
        END IF;
        RETURN $1;
    END $$;
CREATE TABLE public.mallory_table (
    id    integer,
    place text DEFAULT public.mallory_code('default') CHECK (public.mallory_code(place) IS NOT NULL),
    twice text GENERATED ALWAYS AS (public.mallory_code(place)) STORED
);
CREATE INDEX ON public.mallory_table (public.mallory_code(place));
INSERT INTO public.mallory_table (id, place) SELECT i, 'old' FROM generate_series(1, 1000) i;
CREATE FUNCTION public.mallory_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM public.mallory_code('x'); RETURN NULL; END $$;
CREATE TRIGGER t AFTER UPDATE ON public.mallory_table FOR EACH ROW EXECUTE FUNCTION public.mallory_trigger();
RESET ROLE;
CALL dbops.batched_backfill('public.mallory_table', 'place = DEFAULT');
CALL dbops.batched_backfill('public.mallory_table', 'place = public.mallory_code(''fixed'')');

-- nor may it leave its role, change the caller's settings, or wait for the commit
SET ROLE regress_backfill_mallory;
CREATE OR REPLACE FUNCTION public.mallory_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN RESET ROLE; RETURN NULL; END $$;
RESET ROLE;
CALL dbops.batched_backfill('public.mallory_table', 'place = ''a''');
SET ROLE regress_backfill_mallory;
CREATE OR REPLACE FUNCTION public.mallory_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN PERFORM set_config('search_path', 'mallory', false); RETURN NULL; END $$;
RESET ROLE;
CALL dbops.batched_backfill('public.mallory_table', 'place = ''b''');
SHOW search_path;
SET ROLE regress_backfill_mallory;
DROP TRIGGER t ON public.mallory_table;
CREATE CONSTRAINT TRIGGER t AFTER UPDATE ON public.mallory_table DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.mallory_trigger();
RESET ROLE;
CALL dbops.batched_backfill('public.mallory_table', 'place = ''c''');
SET ROLE regress_backfill_mallory;
DROP TRIGGER t ON public.mallory_table;
CREATE TABLE public.mallory_later (id integer);
CREATE CONSTRAINT TRIGGER t AFTER INSERT ON public.mallory_later DEFERRABLE INITIALLY DEFERRED
    FOR EACH ROW EXECUTE FUNCTION public.mallory_trigger();
CREATE OR REPLACE FUNCTION public.mallory_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN SET CONSTRAINTS ALL DEFERRED; INSERT INTO public.mallory_later VALUES (1); RETURN NULL; END $$;
CREATE TRIGGER t AFTER UPDATE ON public.mallory_table FOR EACH ROW EXECUTE FUNCTION public.mallory_trigger();
RESET ROLE;
CALL dbops.batched_backfill('public.mallory_table', 'place = ''d''');


-- nor leave a type where the caller's next statements would take it for the server's
SET ROLE regress_backfill_mallory;
CREATE OR REPLACE FUNCTION public.mallory_trigger() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN
        EXECUTE 'CREATE DOMAIN pg_temp.text AS pg_catalog.text CHECK (public.mallory_domain(VALUE))';
        RETURN NULL;
    EXCEPTION WHEN duplicate_object THEN
        RETURN NULL;
    END $$;
RESET ROLE;
\set VERBOSITY sqlstate
CALL dbops.batched_backfill('public.mallory_table', 'place = ''e''');
\set VERBOSITY terse
SELECT pg_catalog.count(*) FROM pg_catalog.pg_type WHERE typname = 'text' AND typnamespace = pg_catalog.pg_my_temp_schema();

RESET statement_timeout;
RESET search_path;
DROP OWNED BY regress_backfill_mallory CASCADE;
DROP TABLE public.victim_table;
DROP ROLE regress_backfill_mallory, regress_backfill_victim;
