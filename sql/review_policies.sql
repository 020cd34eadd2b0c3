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
CREATE TABLE closed_forced (id int);
ALTER TABLE closed_forced ENABLE ROW LEVEL SECURITY;
ALTER TABLE closed_forced FORCE ROW LEVEL SECURITY;
CREATE POLICY narrows ON closed_forced AS RESTRICTIVE USING (true);
CREATE TABLE "Open" (id int);
CREATE POLICY mine ON "Open" USING (id > 0);
CREATE POLICY "Your's" ON "Open" USING (id < 0);
CREATE TABLE right_one (id int, owner text);
ALTER TABLE right_one ENABLE ROW LEVEL SECURITY;
CREATE POLICY mine ON right_one USING (owner = (SELECT who()));
CREATE TABLE without (id int);
SELECT * FROM pg_temp.found('rls.no_policy');
-- a policy for one command or role lets nobody go on with the others
CREATE TABLE half_open (id int);
CREATE POLICY inserts ON half_open FOR INSERT WITH CHECK (true);
SELECT * FROM pg_temp.found('rls.not_enabled');
DROP TABLE half_open;
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
CREATE POLICY spelt ON anybody FOR DELETE USING (id > 5 OR 1 = 1 AND 'a'::text = 'a');
CREATE POLICY spelt_otherwise ON anybody FOR DELETE USING (1 = 2 OR NOT true OR id = 1);
CREATE POLICY gives ON anybody FOR UPDATE USING (id = 1) WITH CHECK (true);
CREATE POLICY takes ON anybody USING (id = 1) WITH CHECK (true);
CREATE POLICY deletes ON anybody USING (true) WITH CHECK (id = 1);
SELECT * FROM pg_temp.found('rls.always_true');
-- beside a restrictive one that says something, to permit all is how it is done
CREATE TABLE narrowed (id int);
ALTER TABLE narrowed ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON narrowed USING (true);
CREATE POLICY of_tenant ON narrowed AS RESTRICTIVE TO regress_review_app USING (id = 1);
SELECT object FROM pg_temp.found('rls.always_true') WHERE object LIKE '%narrowed%';
ALTER POLICY of_tenant ON narrowed TO PUBLIC;
SELECT object FROM pg_temp.found('rls.always_true') WHERE object LIKE '%narrowed%';
-- one that lets all through narrows nothing, nor does what may be written say what may be deleted
CREATE TABLE hardly_narrowed (id int);
ALTER TABLE hardly_narrowed ENABLE ROW LEVEL SECURITY;
CREATE POLICY everybody ON hardly_narrowed USING (true);
CREATE POLICY of_nothing ON hardly_narrowed AS RESTRICTIVE USING (1 = 1);
SELECT object, message FROM pg_temp.found('rls.always_true') WHERE object LIKE '%hardly_narrowed%';
ALTER POLICY of_nothing ON hardly_narrowed WITH CHECK (id = 7);
SELECT object, message FROM pg_temp.found('rls.always_true') WHERE object LIKE '%hardly_narrowed%';
-- nothing of a condition is called
CREATE FUNCTION trap(int) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ BEGIN RAISE 'trapped'; END $$;
CREATE POLICY trapped ON narrowed FOR DELETE USING (trap(1));
SELECT severity FROM dbops.review_schema('{rls.always_true}') WHERE severity = 'unknown';

-- asked again for each row; not what is in a subselect, or of the row
CREATE TABLE asks (id int, owner text);
ALTER TABLE asks ENABLE ROW LEVEL SECURITY;
CREATE POLICY by_function ON asks FOR SELECT USING (owner = who());
CREATE POLICY by_setting ON asks FOR INSERT WITH CHECK (owner = current_setting('app.user', true));
CREATE POLICY by_subselect ON asks FOR UPDATE USING (owner = (SELECT who()));
CREATE POLICY by_row ON asks FOR DELETE USING (of_row(id) AND owner = current_user);
CREATE POLICY by_own_subselect ON asks FOR DELETE USING (EXISTS (SELECT 1 FROM right_one r WHERE r.owner = who() AND r.id = asks.id));
CREATE POLICY by_other_subselect ON asks FOR DELETE USING (id IN (SELECT r.id FROM right_one r WHERE r.owner = who()));
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
CREATE POLICY sees ON owned USING (id > 0);
SELECT remedy FROM pg_temp.found('rls.owner_exempt') WHERE remedy LIKE 'ALTER%' \gexec
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
ALTER ROLE regress_review_owner RESET pgrst.db_schemas;

-- below a table with policies each partition or child is reached past them; and columns are reached as tables are
CREATE TABLE tenants (tenant int) PARTITION BY LIST (tenant);
ALTER TABLE tenants ENABLE ROW LEVEL SECURITY;
CREATE POLICY own ON tenants USING (tenant = 7);
CREATE TABLE tenants_1 PARTITION OF tenants FOR VALUES IN (1) PARTITION BY LIST (tenant);
CREATE TABLE tenants_1_1 PARTITION OF tenants_1 FOR VALUES IN (1);
CREATE TABLE tenants_2 PARTITION OF tenants FOR VALUES IN (2);
CREATE TABLE heirs (id int) INHERITS (right_one);
CREATE TABLE open_parted (id int) PARTITION BY LIST (id);
CREATE TABLE open_parted_1 PARTITION OF open_parted FOR VALUES IN (1);
CREATE TABLE part_alone (id int) PARTITION BY LIST (id);
CREATE TABLE part_alone_1 PARTITION OF part_alone FOR VALUES IN (1);
CREATE TABLE by_column (id int, secret text);
INSERT INTO tenants VALUES (1);
GRANT SELECT ON tenants, tenants_1, tenants_1_1, heirs, open_parted, open_parted_1, part_alone_1 TO regress_review_app;
GRANT SELECT (id) ON by_column TO regress_review_app;
SELECT * FROM pg_temp.found('rls.missing') WHERE object ~ 'tenants|heirs|part|column';
SELECT remedy FROM pg_temp.found('rls.missing') WHERE object ~ 'tenants|heirs' \gexec
SELECT object FROM pg_temp.found('rls.%') WHERE object ~ 'tenants|heirs';
SET ROLE regress_review_app;
SELECT count(*) FROM tenants;
SELECT count(*) FROM tenants_1_1;
RESET ROLE;

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
