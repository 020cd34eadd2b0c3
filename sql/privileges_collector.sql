-- Who may see what is sampled, who may sample, and that nobody reads files of
-- the server by it. In particular: a role that nothing was granted, one in
-- pg_monitor, and one that was given actions.
\set VERBOSITY terse
CREATE ROLE regress_nobody;
CREATE ROLE regress_monitor IN ROLE pg_monitor;
CREATE ROLE regress_operator;
CREATE ROLE regress_reader IN ROLE pg_monitor, pg_read_server_files;
SELECT dbops.grant_access('regress_operator', 'operator');

SET ROLE regress_nobody;
SELECT count(*) FROM dbops.metrics();
SELECT dbops.sample_server();
SELECT dbops.collector_status();
SELECT dbops.host_figures();
SELECT dbops.openmetrics();
SELECT dbops.nagios();

SET ROLE regress_monitor;
SELECT count(*) > 50 AS metrics FROM dbops.metrics();
SELECT preloaded FROM dbops.collector_status();
SELECT cpus > 0 AS cpus FROM dbops.host_figures();
SELECT cpus > 0 AS cpus FROM dbops.host_figures('/nowhere');
SELECT dbops.openmetrics() LIKE '%# EOF%' AS openmetrics;
SELECT dbops.nagios('connections.used') LIKE 'OK - %' AS nagios;
SELECT dbops.sample_server();

-- it is the same for one who may act
SET ROLE regress_operator;
SELECT count(*) > 50 AS metrics FROM dbops.metrics();
SELECT dbops.sample_server();
SELECT dbops.host_figures('/nowhere');

-- a directory is for those who may read files anyway
SET ROLE regress_reader;
SELECT cpus > 0 AS cpus, load, memory_total, memory_available, pressure_cpu, pressure_io, pressure_memory
  FROM dbops.host_figures('/nowhere');
RESET ROLE;

-- no text of a statement and no path is shown
SELECT 'regress secret' AS secret;
SELECT dbops.openmetrics() ~ 'regress secret|/pg_wal|pgdata' AS shows;

SELECT dbops.revoke_access('regress_operator');
DROP ROLE regress_nobody, regress_monitor, regress_operator, regress_reader;
