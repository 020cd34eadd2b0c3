-- Texts that only look different are taken over; nothing else ever is.
\pset null ~
SET client_min_messages = warning;
SELECT version, state FROM dbops.apply_migration('V1', 'SELECT 1', project => 'repair') WHERE step IS NULL;
SELECT version, state FROM dbops.apply_migration('V2', 'SELECT $$ a -- b $$', project => 'repair') WHERE step IS NULL;
SELECT dbops.resolve_migration('V3', 'applied', 'by hand', 'repair');
RESET client_min_messages;
SELECT version, state FROM dbops.apply_migration('V1', E'-- licence\nSELECT\n 1;', project => 'repair');
SELECT * FROM dbops.repair_checksums('{V1,V2,V3}',
    ARRAY[E'-- licence\nSELECT\n 1;', 'SELECT $$ a -- b $$', 'SELECT 3'], 'repair', 'licence added');
SELECT version, state FROM dbops.apply_migration('V1', E'-- licence\nSELECT\n 1;', project => 'repair');
SELECT version, up_sql, checksum = sha256(up_sql::bytea) AS fits FROM dbops.migration WHERE project = 'repair' ORDER BY version;
SELECT version, reason,
       details ->> 'from' = encode(sha256('SELECT 1'), 'hex') AS old,
       details ->> 'to' = encode(sha256(E'-- licence\nSELECT\n 1;'), 'hex') AS new
  FROM dbops.migration_event WHERE project = 'repair' AND event = 'repair';

-- what says something else is refused, and then nothing is repaired; a comment in a literal is text
SELECT * FROM dbops.repair_checksums('{V1,V2}', ARRAY['SELECT 1', 'SELECT $$ a $$'], 'repair');
SELECT version, up_sql FROM dbops.migration WHERE project = 'repair' ORDER BY version;

-- bad input
SELECT * FROM dbops.repair_checksums('{V1}', '{a,b}', 'repair');
SELECT * FROM dbops.repair_checksums('{V1,NULL}', '{a,b}', 'repair');
SELECT * FROM dbops.repair_checksums('{V9}', '{a}', 'repair');
SELECT * FROM dbops.repair_checksums(NULL, '{a}', 'repair');
SELECT * FROM dbops.repair_checksums('{}', '{}', 'repair');
BEGIN READ ONLY;
SELECT * FROM dbops.repair_checksums('{V1}', '{SELECT 1}', 'repair');
ROLLBACK;
