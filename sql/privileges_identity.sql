-- Who may adopt a database, and whom the record of its identity is shown.
\set VERBOSITY terse
CREATE ROLE regress_identity_nobody;
CREATE ROLE regress_identity_operator;
CREATE ROLE regress_identity_admin;
SELECT dbops.grant_access('regress_identity_operator', 'operator');
SELECT dbops.grant_access('regress_identity_admin', 'admin');

SET ROLE regress_identity_nobody;
SELECT dbops.adopt_database();
SET ROLE regress_identity_operator;
SELECT dbops.adopt_database();
SELECT * FROM dbops.instance;
INSERT INTO dbops.instance VALUES (1, 1, 1, now(), 'me');
DELETE FROM dbops.instance;
-- health says what it says to everybody who may ask
SELECT severity FROM dbops.health_checks() WHERE check_name = 'jobs.quarantine';
SET ROLE regress_identity_admin;
SELECT dbops.adopt_database();
SELECT * FROM dbops.instance;
RESET ROLE;
SELECT adopted_by, count(*) FROM dbops.instance GROUP BY 1;
SELECT dbops.adopt_database();

-- where nothing runs is for the server's configuration to say, not for a session
SET dbops.on_promotion = 'quarantine';
SET ROLE regress_identity_operator;
SET dbops.enabled = on;
RESET ROLE;

SELECT dbops.revoke_access('regress_identity_operator');
SELECT dbops.revoke_access('regress_identity_admin');
DROP ROLE regress_identity_nobody, regress_identity_operator, regress_identity_admin;
