-- schema_snapshot() and schema_diff(): each thing is changed, exactly that
-- difference is seen, and it is put back, after which none is.
\set VERBOSITY terse
SET client_min_messages = warning;
CREATE ROLE regress_snapshot;
CREATE ROLE "regress snapshot 2";
CREATE SCHEMA snap;

-- what two texts, the second of which takes the first one back, leave behind
CREATE FUNCTION snap.there_and_back(up text, down text)
    RETURNS TABLE (change text, kind text, object text, attribute text, old_value text, new_value text)
    LANGUAGE plpgsql AS $$
DECLARE
    before jsonb := dbops.schema_snapshot('{snap}');
BEGIN
    EXECUTE up;
    RETURN QUERY SELECT * FROM dbops.schema_diff(before, dbops.schema_snapshot('{snap}'));
    EXECUTE down;
    IF dbops.schema_snapshot('{snap}') <> before THEN
        RETURN QUERY SELECT 'STAYED', d.* FROM (SELECT x.kind, x.object, x.attribute, x.old_value, x.new_value
            FROM dbops.schema_diff(before, dbops.schema_snapshot('{snap}')) x) d;
    END IF;
END $$;
CREATE TABLE snap.t (a int, "B b" text DEFAULT 'x', c numeric);

-- tables
SELECT * FROM snap.there_and_back('CREATE TABLE snap.u (a int PRIMARY KEY, b text CHECK (b > ''''))', 'DROP TABLE snap.u');
SELECT * FROM snap.there_and_back('ALTER TABLE snap.t OWNER TO regress_snapshot', 'ALTER TABLE snap.t OWNER TO CURRENT_USER') \gset
\echo :change :kind :object :attribute :new_value
SELECT * FROM snap.there_and_back('ALTER TABLE snap.t SET UNLOGGED', 'ALTER TABLE snap.t SET LOGGED');
SELECT * FROM snap.there_and_back('ALTER TABLE snap.t SET (fillfactor = 70, toast.autovacuum_enabled = off)', 'ALTER TABLE snap.t RESET (fillfactor, toast.autovacuum_enabled)');
SELECT * FROM snap.there_and_back('ALTER TABLE snap.t REPLICA IDENTITY FULL', 'ALTER TABLE snap.t REPLICA IDENTITY DEFAULT');
SELECT * FROM snap.there_and_back('COMMENT ON TABLE snap.t IS ''It''''s''', 'COMMENT ON TABLE snap.t IS NULL');
SELECT * FROM snap.there_and_back('GRANT SELECT, INSERT ON snap.t TO regress_snapshot, PUBLIC; GRANT UPDATE ON snap.t TO "regress snapshot 2" WITH GRANT OPTION',
    'REVOKE ALL ON snap.t FROM regress_snapshot, PUBLIC, "regress snapshot 2"');
