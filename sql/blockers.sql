-- blockers(): who is asked for, and who may ask. Whom it finds is in the isolation test of that name.
\set VERBOSITY terse
CREATE SCHEMA blk;
CREATE TABLE blk."Odd ""T" (a int);

-- one's own locks are in nobody's way; every mode by both of its names
BEGIN;
LOCK TABLE blk."Odd ""T";
SELECT count(*) FROM dbops.blockers('blk."Odd ""T"');
SELECT count(*) FROM unnest('{access share,ROW SHARE,row exclusive,SHARE UPDATE EXCLUSIVE,share,SHARE ROW EXCLUSIVE,exclusive,ACCESS EXCLUSIVE,AccessExclusiveLock}'::text[]) mode,
       dbops.blockers('blk."Odd ""T"', mode);
COMMIT;

SELECT dbops.blockers('blk."Odd ""T"', 'everything');
SELECT dbops.blockers('blk."Odd ""T"', '');
SELECT dbops.blockers(1);
SELECT count(*) FROM dbops.blockers(NULL);

-- one that is prepared waits for a human
BEGIN;
INSERT INTO blk."Odd ""T" VALUES (1);
PREPARE TRANSACTION 'regress it''s';
SELECT pid, relation, held_mode, waits, age < '1 hour' AS has_age, role_name = current_user AS is_mine, backend_type, state, remedy FROM dbops.blockers('blk."Odd ""T"');
ROLLBACK PREPARED 'regress it''s';
SELECT count(*) FROM dbops.blockers('blk."Odd ""T"');

-- monitors need no right on the table and see no text of a statement; others see nothing
CREATE ROLE regress_blockers;
SELECT 'blk."Odd ""T"'::regclass::oid AS t \gset
SET ROLE regress_blockers;
SELECT count(*) FROM dbops.blockers(:t);
RESET ROLE;
SELECT dbops.grant_access('regress_blockers', 'monitor');
SET ROLE regress_blockers;
SELECT count(*) FROM dbops.blockers(:t);
RESET ROLE;

SET client_min_messages = warning;
DROP SCHEMA blk CASCADE;
SELECT dbops.revoke_access('regress_blockers');
DROP ROLE regress_blockers;
