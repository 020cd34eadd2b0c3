-- Rules about functions.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE ROLE regress_review_author;
CREATE SCHEMA "Review ""review_functions";
GRANT USAGE ON SCHEMA "Review ""review_functions" TO PUBLIC;
GRANT CREATE ON SCHEMA "Review ""review_functions" TO regress_review_author;
SET search_path = "Review ""review_functions";

-- a definer without a path of its own: gravest where anybody may call a superuser's
CREATE FUNCTION anybodys(a int, b text DEFAULT '') RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
CREATE TYPE regress AS (a int);
CREATE FUNCTION granted(a "Review ""review_functions".regress[]) RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION granted FROM PUBLIC;
GRANT EXECUTE ON FUNCTION granted TO regress_review_author;
CREATE PROCEDURE nobodys() LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
REVOKE EXECUTE ON PROCEDURE nobodys FROM PUBLIC;
CREATE FUNCTION of_author() RETURNS int LANGUAGE sql SECURITY DEFINER AS 'SELECT 1';
ALTER FUNCTION of_author OWNER TO regress_review_author;
-- those have one, also an empty one, or one among other settings; run as their caller; or were resolved when they were made
CREATE FUNCTION has_path() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS 'SELECT 1';
CREATE FUNCTION has_empty_path() RETURNS int LANGUAGE sql SECURITY DEFINER SET work_mem = '1MB' SET search_path = '' AS 'SELECT 1';
CREATE FUNCTION as_caller() RETURNS int LANGUAGE plpgsql AS 'BEGIN RETURN 1; END';
CREATE FUNCTION resolved() RETURNS int LANGUAGE sql SECURITY DEFINER RETURN 1;
COMMENT ON FUNCTION has_path() IS 'commented and safe';
SELECT * FROM pg_temp.found('functions.search_path');
SELECT remedy FROM pg_temp.found('functions.search_path') \gexec
SELECT object FROM pg_temp.found('functions.search_path');

-- a path with a schema in which anybody may create
CREATE SCHEMA "review_Writable";
GRANT CREATE ON SCHEMA "review_Writable" TO PUBLIC;
CREATE FUNCTION on_writable() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog, "review_Writable" AS 'SELECT 1';
CREATE FUNCTION on_writable_as_caller() RETURNS int LANGUAGE sql SET search_path = pg_catalog, "review_Writable" AS 'SELECT 1';
SELECT * FROM pg_temp.found('functions.search_path_writable');
-- temporary tables come first unless they are named last; not where nobody else calls it, or all is named in full
CREATE FUNCTION without_temp() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = "Review ""review_functions", pg_catalog AS 'SELECT 1';
CREATE FUNCTION temp_first() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_temp, "a,b", "Review ""review_functions" AS 'SELECT 1';
CREATE FUNCTION temp_last() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = "Review ""review_functions", pg_temp AS 'SELECT 1';
CREATE FUNCTION temp_private() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = "Review ""review_functions" AS 'SELECT 1';
REVOKE EXECUTE ON FUNCTION temp_private FROM PUBLIC;
CREATE FUNCTION temp_catalog() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = pg_catalog AS 'SELECT 1';
CREATE FUNCTION temp_nothing() RETURNS int LANGUAGE sql SECURITY DEFINER SET search_path = '' AS 'SELECT 1';
SELECT * FROM pg_temp.found('functions.search_path_writable') WHERE object ~ 'temp';
-- who may create in it, and call, is enough, if he is no member of the owner
GRANT EXECUTE ON FUNCTION temp_private TO regress_review_author;
SELECT * FROM pg_temp.found('functions.search_path_writable') WHERE object ~ 'temp_private';
GRANT EXECUTE ON FUNCTION temp_last TO PUBLIC;
SELECT object, message, remedy FROM pg_temp.found('functions.search_path_writable') WHERE object ~ 'temp_last';
REVOKE CREATE ON SCHEMA "Review ""review_functions" FROM regress_review_author;
SELECT regexp_split_to_table(remedy, E'\n') FROM pg_temp.found('functions.search_path_writable') \gexec
SELECT object FROM pg_temp.found('functions.search_path_writable');
SELECT proconfig FROM pg_proc WHERE proname = 'temp_first';

-- a definer that anybody may call; a trigger's function nobody can call by itself
CREATE FUNCTION on_trigger() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog AS 'BEGIN RETURN NEW; END';
SELECT object, message, remedy FROM pg_temp.found('functions.public_definer') WHERE object LIKE '%anybodys%' OR object LIKE '%granted%' OR object LIKE '%on_trigger%' OR object LIKE '%as_caller%';
SELECT substring(remedy FROM 'then (REVOKE.*)[.]$') FROM pg_temp.found('functions.public_definer') \gexec
SELECT object FROM pg_temp.found('functions.public_definer');

-- comments, by schema
SELECT * FROM pg_temp.found('functions.undocumented');
SELECT format('COMMENT ON ROUTINE %s IS ''said''', oid::regprocedure) FROM pg_proc WHERE pronamespace = '"Review ""review_functions"'::regnamespace AND prokind = 'f' \gexec
COMMENT ON PROCEDURE nobodys IS 'said';
SELECT object, message FROM pg_temp.found('functions.undocumented');

-- what runs as its caller is one finding, for who asks
SELECT severity, object, message <> '' AS says FROM dbops.review_schema('{functions.invoker_search_path}');
SELECT count(*) FROM dbops.review_schema() WHERE check_name = 'functions.invoker_search_path';

RESET search_path;
DROP SCHEMA "Review ""review_functions", "review_Writable" CASCADE;
DROP ROLE regress_review_author;
