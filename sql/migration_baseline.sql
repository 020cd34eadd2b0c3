-- A baseline: what the database had before the ledger counts as applied, and is
-- not run.
\pset null ~
SELECT dbops.baseline_migration('20240101_x', 'as it was', 'baseline', 'from before');
SELECT version, name, state, owner = current_user AS mine, origin, up_sql FROM dbops.migration WHERE project = 'baseline';
SELECT event, reason, details FROM dbops.migration_event WHERE project = 'baseline';

-- the same again
SELECT dbops.baseline_migration('20240101_x', project => 'baseline');
SELECT count(*) FROM dbops.migration_event WHERE project = 'baseline';

-- up to it nothing is run; after it all is
SELECT version, state FROM dbops.apply_migration('20231231_y', 'SELECT 1 / 0', project => 'baseline');
SELECT version, state FROM dbops.apply_migration('20240101_x', 'SELECT 1 / 0', project => 'baseline');
SELECT version, state FROM dbops.apply_migration('20240102_z', 'SELECT 1', project => 'baseline') WHERE step IS NULL;

-- it can be moved forward, and be taken back
SELECT dbops.baseline_migration('20240102_z', project => 'baseline');
SELECT dbops.baseline_migration('20240105', project => 'baseline');
SELECT version, state FROM dbops.apply_migration('20240104', 'SELECT 1 / 0', project => 'baseline');
SELECT dbops.resolve_migration('20240105', 'reverted', 'set by mistake', 'baseline');
SELECT version, state FROM dbops.apply_migration('20240104', 'SELECT 1', project => 'baseline') WHERE step IS NULL;

-- bad input
SELECT dbops.baseline_migration(NULL);
SELECT dbops.baseline_migration('');
SELECT dbops.baseline_migration('a b');
SELECT dbops.baseline_migration('1', project => NULL);
BEGIN READ ONLY;
SELECT dbops.baseline_migration('1', project => 'baseline');
ROLLBACK;
