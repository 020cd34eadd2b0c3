-- The order of versions is reported, and what a migration requires is obeyed.
\pset null '~'

-- by number: a run of digits is one, whatever zeros it begins with
SELECT state FROM dbops.apply_migration('V2', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('V10', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('V9', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('V010.1', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('V10.0.99999999999999999999999999999999', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('V10.1', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('V010.01', 'SELECT 1', project => 'order');
SELECT state FROM dbops.apply_migration('20240115_x', 'SELECT 1', project => 'order_dates');
SELECT state FROM dbops.apply_migration('20240201_a', 'SELECT 1', project => 'order_dates');
SELECT version, details ->> 'out_of_order_after' AS out_of_order_after
  FROM dbops.migration_event WHERE project LIKE 'order%' ORDER BY id;

-- what is repeatable has no place in the order
SELECT state FROM dbops.apply_migration('A1', 'SELECT 1', project => 'order', repeatable => true);
SELECT state FROM dbops.apply_migration('Z9', 'SELECT 1', project => 'order', repeatable => true);
SELECT state FROM dbops.apply_migration('V11', 'SELECT 1', project => 'order');

-- requires
SELECT state FROM dbops.apply_migration('B', 'SELECT 1', project => 'requires', requires => '{A}');
SELECT state FROM dbops.apply_migration('A', 'SELECT 1', 'SELECT -1', project => 'requires');
SELECT state FROM dbops.apply_migration('B', 'SELECT 1', 'SELECT -1', project => 'requires', requires => '{A}');
SELECT state FROM dbops.apply_migration('C', 'SELECT 1', 'SELECT -1', project => 'requires', requires => '{A,B}');
\set VERBOSITY terse
SELECT state FROM dbops.apply_migration('A', 'SELECT 1', project => 'other', requires => '{B}');
SELECT state FROM dbops.rollback_migration('C', 'requires');
SELECT state FROM dbops.apply_migration('D', 'SELECT 1', project => 'requires', requires => '{C}');
SET dbops.environment = 'test';
SELECT state FROM dbops.apply_migration('S', 'SELECT 1', project => 'requires', environments => '{dev}');
SELECT state FROM dbops.apply_migration('D', 'SELECT 1', project => 'requires', requires => '{A,S}');
RESET dbops.environment;

-- a cycle
\set VERBOSITY default
SELECT state FROM dbops.apply_migration('X', 'SELECT 1', project => 'requires', requires => '{X}');
SELECT state FROM dbops.apply_migration('R1', 'SELECT 1', project => 'requires', repeatable => true);
SELECT state FROM dbops.apply_migration('R2', 'SELECT 1', project => 'requires', requires => '{R1}', repeatable => true);
SELECT state FROM dbops.apply_migration('R3', 'SELECT 1', project => 'requires', requires => '{A,R2}', repeatable => true);
SELECT state FROM dbops.apply_migration('R1', 'SELECT 2', project => 'requires', requires => '{A,B,R3}', repeatable => true);

-- a baseline covers what comes before it, also as what is required
SELECT dbops.baseline_migration('005', project => 'covered');
SELECT step, state, message FROM dbops.apply_migration('004', 'CREATE TABLE migration_never (id integer)', project => 'covered');
SELECT step, state, message FROM dbops.apply_migration('005', 'CREATE TABLE migration_never (id integer)', project => 'covered');
SELECT step, state, message FROM dbops.apply_migration('006', 'SELECT 1', project => 'covered', requires => '{003,005}');
SELECT step, state, message FROM dbops.apply_migration('001-view', 'SELECT 1', project => 'covered', repeatable => true);
SELECT to_regclass('migration_never');
