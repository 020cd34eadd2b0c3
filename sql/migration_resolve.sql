-- The ledger is told what was done by hand, and why.
\pset null ~
SET client_min_messages = warning;
SELECT version, state FROM dbops.apply_migration('V1', 'SELECT 1', 'SELECT 1', project => 'resolve') WHERE step IS NULL;
SET dbops.environment = 'production';
SELECT version, state FROM dbops.apply_migration('V2', 'SELECT 1', project => 'resolve', environments => '{dev}');
RESET dbops.environment;
RESET client_min_messages;
CREATE TEMP VIEW ledger AS
    SELECT version, state, origin, up_sql FROM dbops.migration WHERE project = 'resolve' ORDER BY version;

SELECT dbops.resolve_migration('V1', 'reverted', 'dropped by hand', 'resolve');
SELECT dbops.resolve_migration('V1', 'reverted', 'again', 'resolve');
SELECT dbops.resolve_migration('V2', 'applied', 'was needed here too', 'resolve');
SELECT dbops.resolve_migration('V3', 'applied', 'run in psql', 'resolve');
SELECT * FROM ledger;
-- reverted, it can be applied again; run by hand, it is there
SELECT version, state FROM dbops.apply_migration('V1', 'SELECT 1', project => 'resolve') WHERE step IS NULL;
SELECT version, state FROM dbops.apply_migration('V3', 'SELECT 1 / 0', project => 'resolve');
SELECT version, event, reason, details FROM dbops.migration_event WHERE project = 'resolve' AND event = 'resolve' ORDER BY id;

-- one that was done in part lets later ones wait until somebody says what it is
UPDATE dbops.migration SET state = 'failed' WHERE project = 'resolve' AND version = 'V3';
SELECT * FROM dbops.apply_migration('V4', 'SELECT 1', project => 'resolve');
SELECT dbops.resolve_migration('V3', 'applied', 'finished by hand', 'resolve');
SELECT version, state FROM dbops.apply_migration('V4', 'SELECT 1', project => 'resolve') WHERE step IS NULL;

-- bad input
SELECT dbops.resolve_migration('V9', 'reverted', 'why', 'resolve');
SELECT dbops.resolve_migration('V1', 'gone', 'why', 'resolve');
SELECT dbops.resolve_migration('V1', 'reverted', E' \n', 'resolve');
SELECT dbops.resolve_migration('V1', 'reverted', NULL, 'resolve');
SELECT dbops.resolve_migration('V1', NULL, 'why', 'resolve');
SELECT dbops.resolve_migration('V/1', 'applied', 'why', 'resolve');
BEGIN READ ONLY;
SELECT dbops.resolve_migration('V1', 'reverted', 'why', 'resolve');
ROLLBACK;
SELECT count(*) FROM dbops.migration_event WHERE project = 'resolve';
