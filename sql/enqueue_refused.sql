-- Commands that cannot be a job are refused when they are submitted.

-- not SQL
SELECT dbops.enqueue(NULL);
SELECT dbops.enqueue('');
SELECT dbops.enqueue(' ; -- nothing');
SELECT dbops.enqueue('SELEC 1');
SELECT dbops.enqueue('SELECT 1; SELECT (');

-- a transaction of its own
SELECT dbops.enqueue('BEGIN');
SELECT dbops.enqueue('INSERT INTO t VALUES (1); COMMIT');
SELECT dbops.enqueue('SAVEPOINT s');
SELECT dbops.enqueue('PREPARE TRANSACTION ''x''');

-- beside others
SELECT dbops.enqueue('SELECT 1; VACUUM');
SELECT dbops.enqueue('CREATE INDEX CONCURRENTLY ON t (i); ANALYZE t');
SELECT dbops.enqueue('REINDEX TABLE CONCURRENTLY t; SELECT 1');
SELECT dbops.enqueue('REINDEX (CONCURRENTLY) TABLE t; SELECT 1');
SELECT dbops.enqueue('SELECT 1; REINDEX SCHEMA s');
SELECT dbops.enqueue('DROP INDEX CONCURRENTLY i; SELECT 1');
SELECT dbops.enqueue('ALTER TABLE t DETACH PARTITION p CONCURRENTLY; SELECT 1');
SELECT dbops.enqueue('SELECT 1; CREATE DATABASE d');
SELECT dbops.enqueue('ALTER SYSTEM SET work_mem = 1; SELECT 1');
SELECT dbops.enqueue('CLUSTER; SELECT 1');

-- a client
SELECT dbops.enqueue('COPY t FROM STDIN');
SELECT dbops.enqueue('COPY t TO STDOUT');
SELECT dbops.enqueue('LISTEN c');

-- numbers
SELECT dbops.enqueue('SELECT 1', timeout => '0');
SELECT dbops.enqueue('SELECT 1', timeout => '-1 s');
SELECT dbops.enqueue('SELECT 1', timeout => '1000 years');
SELECT dbops.enqueue('SELECT 1', lock_timeout => '0');
SELECT dbops.enqueue('SELECT 1', max_attempts => 0);
SELECT dbops.enqueue('SELECT 1', backoff => '0');

-- an id that no job has
SELECT dbops.job_status(-1);
SELECT dbops.cancel_job(-1);
SELECT dbops.pause_job(-1);
SELECT dbops.resume_job(-1);
SELECT dbops.tune_job(-1);
SELECT dbops.tune_job(NULL);
CALL dbops.run_job(-1);
CALL dbops.run_job(NULL);
CALL dbops.wait_job(NULL);

-- What can share a transaction is taken, also what does not exist yet.
SELECT dbops.enqueue('CREATE TABLE a (); REINDEX TABLE a; ANALYZE a; DROP TABLE a; LOCK TABLE b', run_after => 'infinity') > 0 AS taken;
SELECT dbops.cancel_job(id) FROM dbops.jobs() WHERE state = 'queued';
