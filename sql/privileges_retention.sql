-- Who may set retention and holds, and with whose rights rows are deleted.
CREATE ROLE regress_retention_nobody;
CREATE ROLE regress_retention_monitor;
CREATE ROLE regress_retention_operator;
CREATE ROLE regress_retention_admin;
CREATE ROLE regress_retention_owner IN ROLE regress_retention_operator;
SELECT dbops.grant_access('regress_retention_monitor', 'monitor');
SELECT dbops.grant_access('regress_retention_operator', 'operator');
SELECT dbops.grant_access('regress_retention_admin', 'admin');
\set SHOW_CONTEXT never
SET timezone = 'UTC';
SET dbops.test_now = 1911772800;	-- 2030-08-01 00:00 UTC
SET dbops.max_xmin_age = -1;
CREATE TABLE regress_rows (id integer, at timestamptz);
INSERT INTO regress_rows SELECT i, '2030-08-01'::timestamptz - i * interval '1 day' FROM generate_series(1, 10) i;
ALTER TABLE regress_rows OWNER TO regress_retention_owner;

SET ROLE regress_retention_nobody;
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days');
RESET ROLE;
SET ROLE regress_retention_monitor;
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days');
SELECT dbops.place_hold('public.regress_rows', 'true', 'no right') > 0 AS placed;
SELECT * FROM dbops.retention_plan('public.regress_rows', 'at', '9 days');
SELECT count(*) >= 0 AS shown FROM dbops.retention_status();
SELECT count(*) >= 0 AS shown FROM dbops.holds();
RESET ROLE;
-- an operator needs the table too
SET ROLE regress_retention_operator;
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days');
SELECT * FROM dbops.retention_plan('public.regress_rows', 'at', '9 days');
SELECT dbops.place_hold('public.regress_rows', 'true', 'no table') > 0 AS placed;
RESET ROLE;

-- The owner's rights are what counts, whoever asks: the archive, the filter, triggers.
CREATE TABLE regress_archive (LIKE regress_rows);
CREATE TABLE regress_secret (id integer);
SET ROLE regress_retention_owner;
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days', archive_to => 'regress_archive');
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days', filter => 'id IN (SELECT id FROM regress_secret)');
RESET ROLE;
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days', archive_to => 'regress_archive');
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days', filter => 'id IN (SELECT id FROM regress_secret)');
CREATE TABLE regress_seen (who text);
GRANT INSERT ON regress_seen TO regress_retention_owner;
CREATE FUNCTION regress_note() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN INSERT INTO public.regress_seen VALUES (current_user); RETURN OLD; END $$;
CREATE TRIGGER note BEFORE DELETE ON regress_rows FOR EACH ROW EXECUTE FUNCTION regress_note();
SELECT dbops.set_retention('public.regress_rows', 'at', '9 days');
CALL dbops.run_retention('regress_rows');
SELECT * FROM regress_seen;
SELECT owner, state FROM dbops.jobs() WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
-- another owner since: broken until it is set again
ALTER TABLE regress_rows OWNER TO regress_retention_admin;
CALL dbops.run_retention('regress_rows');
ALTER TABLE regress_rows OWNER TO regress_retention_owner;

-- A hold is the owner's, and an admin may end it.
SET ROLE regress_retention_owner;
SELECT dbops.place_hold('public.regress_rows', 'id = 1', 'mine') AS hold \gset
RESET ROLE;
SET ROLE regress_retention_operator;
\set VERBOSITY sqlstate
SELECT dbops.release_hold(:hold);
\set VERBOSITY default
SELECT dbops.remove_retention('public.regress_rows');
RESET ROLE;
SET ROLE regress_retention_admin;
SELECT dbops.release_hold(:hold, 'by an admin');
SELECT dbops.remove_retention('public.regress_rows');
RESET ROLE;

-- An archive with a deferred constraint, for partitions as a whole, with another role's rights
CREATE TABLE regress_known (id integer PRIMARY KEY);
CREATE TABLE regress_kept (id integer REFERENCES regress_known DEFERRABLE INITIALLY DEFERRED, at date);
CREATE TABLE regress_old_days (id integer, at date) PARTITION BY RANGE (at);
CREATE TABLE regress_old_days_1 PARTITION OF regress_old_days FOR VALUES FROM ('2030-05-01') TO ('2030-06-01');
CREATE TABLE regress_old_days_2 PARTITION OF regress_old_days FOR VALUES FROM ('2030-06-01') TO ('2030-09-01');
INSERT INTO regress_known SELECT generate_series(1, 100);
INSERT INTO regress_old_days SELECT i, '2030-05-01'::date + i FROM generate_series(1, 100) i;
ALTER TABLE regress_known OWNER TO regress_retention_owner;
ALTER TABLE regress_kept OWNER TO regress_retention_owner;
ALTER TABLE regress_old_days OWNER TO regress_retention_owner;
ALTER TABLE regress_old_days_1 OWNER TO regress_retention_owner;
ALTER TABLE regress_old_days_2 OWNER TO regress_retention_owner;
SELECT dbops.set_retention('regress_old_days', 'at', '30 days', archive_to => 'regress_kept', confirm => true) IS NOT NULL AS set;
CALL dbops.run_retention('regress_old_days', confirm => true);
SELECT count(*), to_regclass('regress_old_days_1') FROM regress_kept;
SELECT dbops.remove_retention('regress_old_days');
DROP TABLE regress_old_days, regress_kept, regress_known;

-- Nobody's code runs with the rights of others: not a hold's on a table that refers, nor one's on a table of which
-- another role has a partition, nor a filter's where an index is looked for.
CREATE FUNCTION regress_only(name, boolean) RETURNS boolean LANGUAGE plpgsql STABLE AS
    $$ BEGIN IF current_user <> $1 THEN RAISE EXCEPTION 'runs as %', current_user; END IF; RETURN $2; END $$;
CREATE FUNCTION regress_owner_only(boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN IF current_user <> 'regress_retention_owner' THEN RAISE EXCEPTION 'runs as %', current_user; END IF; RETURN $1; END $$;
CREATE TABLE regress_mine (id integer PRIMARY KEY, at timestamptz);
INSERT INTO regress_mine SELECT i, '2030-05-01'::date + i FROM generate_series(1, 20) i;
INSERT INTO regress_mine SELECT i, '2030-07-15' FROM generate_series(21, 100) i;
ALTER TABLE regress_mine OWNER TO regress_retention_owner;
CREATE TABLE regress_theirs (id integer REFERENCES regress_mine);
CREATE INDEX ON regress_theirs (id);
INSERT INTO regress_theirs VALUES (1), (2);
ALTER TABLE regress_theirs OWNER TO regress_retention_admin;
CREATE FUNCTION regress_admin_only(boolean) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN IF current_user <> 'regress_retention_admin' THEN RAISE EXCEPTION 'runs as %', current_user; END IF; RETURN $1; END $$;
CREATE INDEX regress_trap ON regress_theirs (id) WHERE regress_admin_only(true);	-- whoever plans a statement about the table runs that
GRANT SELECT ON regress_theirs TO regress_retention_owner;
SELECT dbops.set_retention('regress_mine', 'at', '30 days') IS NOT NULL AS set;
SELECT method, row_count FROM dbops.retention_plan('regress_mine') WHERE object = 'public.regress_mine';
REVOKE SELECT ON regress_theirs FROM regress_retention_owner;
CALL dbops.run_retention('regress_mine');
SELECT message FROM dbops.job WHERE kind = 'retention' ORDER BY id DESC LIMIT 1;
INSERT INTO regress_mine SELECT i, '2030-05-01'::date + i FROM generate_series(3, 20) i;
SELECT dbops.grant_access('regress_retention_admin', 'operator');
DROP INDEX regress_trap;
ALTER TABLE regress_theirs DROP CONSTRAINT regress_theirs_id_fkey, ADD FOREIGN KEY (id) REFERENCES regress_mine ON DELETE CASCADE;
CREATE INDEX regress_trap ON regress_theirs (id) WHERE regress_admin_only(true);
SET ROLE regress_retention_admin;
SELECT dbops.place_hold('public.regress_theirs', 'public.regress_only(''regress_retention_admin'', id = 1)', 'a trap') > 0 AS placed;
RESET ROLE;
SELECT dbops.set_retention('regress_mine', 'at', '30 days', filter => 'public.regress_owner_only(true)') IS NOT NULL AS set;
CREATE INDEX ON regress_mine (at) WHERE id > 0;
SELECT count(*) > 0 AS planned FROM dbops.retention_plan('regress_mine');
CALL dbops.run_retention('regress_mine');
SELECT array_agg(id ORDER BY id) FROM regress_mine WHERE id <= 20;
SELECT dbops.remove_retention('regress_mine');
DROP TABLE regress_mine, regress_theirs;
-- nor one's that was placed when the table belonged to another role: all rows count as held by that
CREATE TABLE regress_mine (id integer, at timestamptz);
INSERT INTO regress_mine SELECT i, '2030-05-01'::date + i * 4 FROM generate_series(1, 20) i;
ALTER TABLE regress_mine OWNER TO regress_retention_admin;
SET ROLE regress_retention_admin;
SELECT dbops.place_hold('public.regress_mine', 'public.regress_only(''regress_retention_admin'', false)', 'a trap') AS hold \gset
RESET ROLE;
ALTER TABLE regress_mine OWNER TO regress_retention_owner;
SELECT dbops.set_retention('regress_mine', 'at', '80 days') IS NOT NULL AS set;
SELECT method, row_count, replace(risk, :'hold', 'N') AS risk FROM dbops.retention_plan('regress_mine');
CALL dbops.run_retention('regress_mine');
SELECT count(*) FROM regress_mine;
DROP TABLE regress_mine;
CREATE TABLE regress_mine (at date) PARTITION BY RANGE (at);
CREATE TABLE regress_mine_1 PARTITION OF regress_mine FOR VALUES FROM ('2030-05-01') TO ('2030-06-01');
CREATE TABLE regress_mine_2 PARTITION OF regress_mine FOR VALUES FROM ('2030-06-01') TO ('2030-09-01');
INSERT INTO regress_mine VALUES ('2030-05-02'), ('2030-07-02');
ALTER TABLE regress_mine OWNER TO regress_retention_owner;
GRANT SELECT ON regress_mine_1 TO regress_retention_owner;
ALTER TABLE regress_mine_2 OWNER TO regress_retention_owner;
SET ROLE regress_retention_owner;
SELECT dbops.place_hold('public.regress_mine', 'public.regress_only(''regress_retention_owner'', false)', 'a trap') > 0 AS placed;
RESET ROLE;
SELECT method, risk FROM dbops.retention_plan('regress_mine', 'at', '30 days') WHERE object = 'public.regress_mine_1';
-- a partition of another role does not stop the others
REVOKE SELECT ON regress_mine_1 FROM regress_retention_owner;
INSERT INTO regress_mine VALUES ('2030-06-02');
SELECT dbops.release_hold(id) FROM dbops.holds() WHERE table_name = 'public.regress_mine' AND in_force;
SELECT dbops.set_retention('regress_mine', 'at', '30 days', filter => 'at > ''2000-01-01''', confirm => true) IS NOT NULL AS set;
SELECT method, object, row_count, risk, remedy FROM dbops.retention_plan('regress_mine');
CALL dbops.run_retention('regress_mine', confirm => true);
SELECT * FROM regress_mine ORDER BY 1;
SELECT object, action, outcome, message FROM dbops.maintenance_report('2030-07-31') WHERE object LIKE 'public.regress_mine%' AND outcome = 'skipped' AND message !~ 'hold' ORDER BY 1, 4;
DROP TABLE regress_mine;
DROP FUNCTION regress_only(name, boolean), regress_owner_only(boolean), regress_admin_only(boolean);

DROP TABLE regress_rows, regress_archive, regress_secret, regress_seen;
DROP FUNCTION regress_note();
SELECT dbops.revoke_access('regress_retention_monitor');
SELECT dbops.revoke_access('regress_retention_operator');
SELECT dbops.revoke_access('regress_retention_admin');
DROP ROLE regress_retention_nobody, regress_retention_monitor, regress_retention_operator, regress_retention_admin, regress_retention_owner;
SELECT count(*) >= 0 FROM dbops.run_maintenance();	-- policies of tables that are gone go
