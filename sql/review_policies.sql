-- Rules about row level security: policies that do nothing or too little, and rows
-- that are reached past them.
\set VERBOSITY terse
CREATE FUNCTION pg_temp.found(rule text) RETURNS TABLE (severity text, object text, message text, remedy text)
    LANGUAGE sql AS $$ SELECT f.severity, f.object, f.message, f.remedy FROM dbops.review_schema(ARRAY[rule]) f WHERE f.object LIKE '%review_%' ORDER BY f.key $$;
CREATE ROLE regress_review_owner LOGIN;
CREATE ROLE regress_review_group;
CREATE ROLE regress_review_app;
CREATE ROLE regress_review_bypass BYPASSRLS;
CREATE SCHEMA review_policies;
GRANT USAGE ON SCHEMA review_policies TO regress_review_app, regress_review_bypass, regress_review_owner;
SET search_path = review_policies;
CREATE FUNCTION who() RETURNS text LANGUAGE sql STABLE AS 'SELECT current_setting(''app.user'')';
CREATE FUNCTION of_row(int) RETURNS boolean LANGUAGE sql STABLE AS 'SELECT $1 > 0';

-- on without a policy, and policies without it on
CREATE TABLE closed (id int);
ALTER TABLE closed ENABLE ROW LEVEL SECURITY;
CREATE TABLE "Open" (id int);
CREATE POLICY mine ON "Open" USING (id > 0);
CREATE POLICY "Your's" ON "Open" USING (id < 0);
CREATE TABLE right_one (id int, owner text);
ALTER TABLE right_one ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON right_one USING (owner = (SELECT who()));
CREATE TABLE without (id int);
SELECT * FROM pg_temp.found('rls.no_policy');
SELECT * FROM pg_temp.found('rls.not_enabled');
SELECT remedy FROM pg_temp.found('rls.not_enabled') \gexec
SELECT object FROM pg_temp.found('rls.not_enabled');

-- anybody may write any row, however it is spelt; to read all, or for one role, may be meant so
CREATE TABLE anybody (id int);
ALTER TABLE anybody ENABLE ROW LEVEL SECURITY;
CREATE POLICY all_rows ON anybody USING (true);
CREATE POLICY inserts ON anybody FOR INSERT WITH CHECK ('t');
CREATE POLICY updates ON anybody FOR UPDATE USING (true) WITH CHECK (id > 0);
CREATE POLICY reads ON anybody FOR SELECT USING (true);
CREATE POLICY of_one ON anybody FOR DELETE TO regress_review_app USING (true);
CREATE POLICY narrows ON anybody AS RESTRICTIVE FOR DELETE USING (true);
CREATE POLICY compares ON anybody FOR DELETE USING (id = id);
SELECT * FROM pg_temp.found('rls.always_true');

-- asked again for each row; not what is in a subselect, or of the row
CREATE TABLE asks (id int, owner text);
ALTER TABLE asks ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_function ON asks FOR SELECT USING (owner = who());
CREATE POLICY by_setting ON asks FOR INSERT WITH CHECK (owner = current_setting('app.user', true));
CREATE POLICY by_subselect ON asks FOR UPDATE USING (owner = (SELECT who()));
CREATE POLICY by_row ON asks FOR DELETE USING (of_row(id) AND owner = current_user);
SELECT * FROM pg_temp.found('rls.called_per_row');

-- several for one command and role, one by one
CREATE TABLE several (id int);
ALTER TABLE several ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON several FOR SELECT USING (id = 1);
CREATE POLICY two ON several USING (id = 2);
CREATE TABLE single (id int);
ALTER TABLE single ENABLE ROW LEVEL SECURITY;
CREATE POLICY one ON single FOR SELECT USING (id = 1);
CREATE POLICY two ON single FOR UPDATE USING (id = 2);
CREATE POLICY three ON single FOR SELECT TO regress_review_app USING (id = 3);
CREATE POLICY four ON single AS RESTRICTIVE FOR SELECT USING (id = 4);
SELECT * FROM pg_temp.found('rls.many_permissive');

-- an owner that logs in is above the policies, unless they are forced; a superuser always is
CREATE TABLE owned (id int);
CREATE TABLE owned_forced (id int);
CREATE TABLE owned_group (id int);
ALTER TABLE owned OWNER TO regress_review_owner;
ALTER TABLE owned_forced OWNER TO regress_review_owner;
ALTER TABLE owned_group OWNER TO regress_review_group;
ALTER TABLE owned ENABLE ROW LEVEL SECURITY;
ALTER TABLE owned_forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE owned_forced FORCE ROW LEVEL SECURITY;
ALTER TABLE owned_group ENABLE ROW LEVEL SECURITY;
SELECT * FROM pg_temp.found('rls.owner_exempt');
SELECT remedy FROM pg_temp.found('rls.owner_exempt') \gexec
SELECT object FROM pg_temp.found('rls.owner_exempt');

-- what an application reaches without: in a schema where it is relied on, by rights on table and schema
GRANT SELECT ON without TO regress_review_app;
CREATE TABLE not_granted (id int);
CREATE TABLE only_bypass (id int);
GRANT SELECT ON only_bypass TO regress_review_bypass, pg_monitor;
GRANT USAGE ON SCHEMA review_policies TO pg_monitor;
CREATE TABLE to_group (id int);
GRANT SELECT ON to_group TO regress_review_group;
GRANT SELECT, INSERT ON anybody TO regress_review_app;
CREATE SCHEMA review_policies_none;
CREATE TABLE review_policies_none.t (id int);
GRANT USAGE ON SCHEMA review_policies_none TO PUBLIC;
GRANT SELECT ON review_policies_none.t TO PUBLIC;
SELECT * FROM pg_temp.found('rls.missing');
-- what PostgREST is said to serve counts instead
ALTER ROLE regress_review_owner SET pgrst.db_schemas = 'other, "review_policies_none"';
SELECT * FROM pg_temp.found('rls.missing');
SELECT remedy FROM pg_temp.found('rls.missing') \gexec
SELECT object FROM pg_temp.found('rls.missing');
ALTER ROLE regress_review_owner RESET pgrst.db_schemas;

-- views that read as their owner, through others too; not with the reader's rights, for nobody else, or of what has no policies
CREATE VIEW leaks AS SELECT * FROM right_one;
CREATE VIEW leaks_deep AS SELECT * FROM leaks;
CREATE VIEW invoker WITH (security_invoker = true) AS SELECT * FROM right_one;
CREATE VIEW invoker_on WITH (security_invoker) AS SELECT * FROM right_one;
CREATE VIEW private AS SELECT * FROM right_one;
CREATE VIEW harmless AS SELECT * FROM without;
CREATE VIEW of_forced AS SELECT * FROM owned_forced;
ALTER VIEW of_forced OWNER TO regress_review_owner;
CREATE MATERIALIZED VIEW kept AS SELECT * FROM right_one;
CREATE MATERIALIZED VIEW kept_private AS SELECT * FROM right_one;
GRANT SELECT ON leaks, leaks_deep, invoker, invoker_on, harmless, of_forced, kept TO regress_review_app;
SELECT * FROM pg_temp.found('views.bypass_rls');
SELECT * FROM pg_temp.found('matviews.bypass_rls');
SELECT remedy FROM pg_temp.found('views.bypass_rls') UNION ALL SELECT remedy FROM pg_temp.found('matviews.bypass_rls') \gexec
SELECT object FROM pg_temp.found('views.bypass_rls') UNION ALL SELECT object FROM pg_temp.found('matviews.bypass_rls');

-- PostgREST's role, and nothing that says what it serves, is not known rather than well
BEGIN;
DROP SCHEMA review_policies, review_policies_none CASCADE;
CREATE ROLE authenticator LOGIN;
SELECT severity, object, message, remedy FROM dbops.review_schema('{rls.missing}');
ROLLBACK;

DROP SCHEMA review_policies, review_policies_none CASCADE;
DROP ROLE regress_review_owner, regress_review_group, regress_review_app, regress_review_bypass;
