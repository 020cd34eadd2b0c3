-- Who may have indexes rebuilt: the level operator and the rights of the table's
-- owner, each of which is not enough alone. Jobs act as the owner, and a policy
-- of the database touches what its role may maintain.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_reindex_owner LOGIN;
CREATE ROLE regress_reindex_other LOGIN;
CREATE ROLE regress_reindex_nobody LOGIN;
CREATE ROLE regress_reindex_monitor LOGIN;
SELECT dbops.grant_access('regress_reindex_owner', 'operator');
SELECT dbops.grant_access('regress_reindex_other', 'operator');
SELECT dbops.grant_access('regress_reindex_monitor', 'monitor');
-- a vacuum removes what no snapshot may need: wait for those that others have taken
CREATE PROCEDURE pg_temp.be_alone() LANGUAGE plpgsql AS $$
BEGIN
    FOR i IN 1 .. 3000 LOOP
        EXIT WHEN NOT EXISTS (SELECT FROM pg_stat_activity WHERE backend_xmin IS NOT NULL AND pid <> pg_backend_pid());
        PERFORM pg_sleep(0.01), pg_stat_clear_snapshot();
    END LOOP;
END $$;
CREATE SCHEMA regress_reindex;
GRANT USAGE, CREATE ON SCHEMA regress_reindex TO PUBLIC;
SET search_path = regress_reindex;

SET ROLE regress_reindex_other;
CREATE TABLE his (id int);
CREATE INDEX his_id ON his (id);
INSERT INTO his SELECT generate_series(1, 20000);
DELETE FROM his WHERE id % 5 <> 0;
SET ROLE regress_reindex_owner;
CREATE TABLE mine (id int);
CREATE INDEX mine_id ON mine (id);
INSERT INTO mine SELECT generate_series(1, 20000);
DELETE FROM mine WHERE id % 5 <> 0;
RESET ROLE;
CALL pg_temp.be_alone();
VACUUM ANALYZE his, mine;

-- without any level
SET ROLE regress_reindex_nobody;
SELECT dbops.start_reindex('mine_id');
SELECT dbops.set_reindex_policy('mine');
SELECT dbops.remove_reindex_policy('mine');
SELECT dbops.drop_leftover_index('mine_id');
SELECT * FROM dbops.reindex_candidates();
SELECT * FROM dbops.reindex_history();
SELECT * FROM dbops.leftover_indexes();

-- reports only
SET ROLE regress_reindex_monitor;
SELECT count(*) FROM dbops.reindex_candidates('mine');
SELECT count(*) FROM dbops.reindex_history();
SELECT count(*) FROM dbops.leftover_indexes();
SELECT dbops.start_reindex('mine_id');
SELECT * FROM dbops.reindex_history;
SELECT * FROM dbops.reindex_begun;

-- an operator, but of another table
SET ROLE regress_reindex_other;
SELECT dbops.start_reindex('mine_id');
SELECT dbops.set_reindex_policy('mine');
RESET ROLE;
SET allow_system_table_mods = on;
UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'mine_id'::regclass;
SET ROLE regress_reindex_other;
SELECT dbops.drop_leftover_index('mine_id');
RESET ROLE;
UPDATE pg_index SET indisvalid = true WHERE indexrelid = 'mine_id'::regclass;
RESET allow_system_table_mods;

-- the policy of the database: submitted in a year in which nothing happens by itself, and run here
SET ROLE regress_reindex_owner;
SELECT dbops.set_reindex_policy(min_percent => 50, min_bytes => 40960, schedule => '0 3 1 1 *') IS NOT NULL AS set;
RESET ROLE;
SET dbops.test_now = 2240571300;
SELECT dbops.run_maintenance() AS job \gset
RESET dbops.test_now;
SET ROLE regress_reindex_owner;
CALL dbops.run_job(:job);
SELECT index_name FROM dbops.reindex_history();
SELECT state, owner FROM dbops.jobs() WHERE id = :job;
SELECT dbops.start_reindex('mine_id') AS job \gset
CALL dbops.wait_job(:job);
SELECT owner FROM dbops.jobs() WHERE id = :job;
-- it is the role's that has set it
SET ROLE regress_reindex_other;
SELECT dbops.remove_reindex_policy();
SET ROLE regress_reindex_owner;
SELECT dbops.remove_reindex_policy();
RESET ROLE;

-- a superuser's job acts as the owner, also if that cannot log in: so does what the index calls
SET ROLE regress_reindex_owner;
CREATE FUNCTION who(id int) RETURNS int LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN IF current_user <> 'regress_reindex_owner' THEN RAISE 'called by %', current_user; END IF; RETURN id; END $$;
CREATE INDEX mine_who ON mine (who(id));
RESET ROLE;
ALTER ROLE regress_reindex_owner NOLOGIN;
SELECT dbops.start_reindex('mine_who') AS job \gset
CALL dbops.wait_job(:job);
SELECT owner, message ~ '^1 rebuilt' AS told FROM dbops.jobs() WHERE id = :job;

SET client_min_messages = error;
TRUNCATE dbops.reindex_history, dbops.maintenance_log;
DROP SCHEMA regress_reindex CASCADE;
SELECT dbops.revoke_access('regress_reindex_owner');
SELECT dbops.revoke_access('regress_reindex_other');
SELECT dbops.revoke_access('regress_reindex_monitor');
DROP ROLE regress_reindex_owner, regress_reindex_other, regress_reindex_nobody, regress_reindex_monitor;
