-- mute_finding(): what is known is shown and does not count, until a time and for
-- a reason.
SELECT dbops.set_check('connections.active', warning => 'infinity', critical => 0);
SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts FROM dbops.system_health_check() h;
SELECT (dbops.system_health_check()->'verdict'->>'muted')::int AS before \gset

-- one finding, and it is still shown as what it is
SELECT dbops.mute_finding('connections.active', 'we are many today', now() + interval '1 hour');
SELECT severity, (data->>'muted_until')::timestamptz > now() AS muted FROM dbops.health_checks() WHERE check_name = 'connections.active';
SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts, (h->'verdict'->>'muted')::int - :before AS muted,
       jsonb_path_exists(h, '$.checks[*] ? (@.key == "connections.active" && @.muted_until != null)') AS is_shown
  FROM dbops.system_health_check() h;
SELECT key, reason, until > now() AS lasts, muted_by = current_user AS by_me, muted_at <= now() AS at FROM dbops.muted_findings();

-- it ends by itself
SELECT set_config('dbops.test_now', (extract(epoch FROM now()) + 3610)::text, false) IS NOT NULL AS an_hour_later;
SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts FROM dbops.system_health_check() h;
SELECT count(*) FROM dbops.muted_findings();
RESET dbops.test_now;

-- a second call replaces the first, and one takes it back
SELECT dbops.mute_finding('connections.active', 'for longer', now() + interval '2 hours');
SELECT key, reason FROM dbops.muted_findings();
SELECT dbops.unmute_finding('connections.active'), dbops.unmute_finding('connections.active') AS again;
SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts FROM dbops.system_health_check() h;

-- one object of a check, and with the check's name all of them
SELECT dbops.mute_finding('disk.free:WAL', 'it is a small one', now() + interval '1 hour');
SELECT DISTINCT object = 'WAL' AS is_wal, data->'muted_until' <> 'null' AS muted FROM dbops.health_checks() WHERE check_name = 'disk.free' ORDER BY 1;
SELECT dbops.mute_finding('disk.free', 'all of them are', now() + interval '1 hour');
SELECT DISTINCT data->'muted_until' <> 'null' AS muted FROM dbops.health_checks() WHERE check_name = 'disk.free';
SELECT key FROM dbops.muted_findings();
SELECT dbops.unmute_finding('disk.free'), dbops.unmute_finding('disk.free:WAL');

-- rolled back, it never was
BEGIN;
SELECT dbops.mute_finding('connections.active', 'not for long', now() + interval '1 hour');
SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts FROM dbops.system_health_check() h;
ROLLBACK;
SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts FROM dbops.system_health_check() h;

-- prepared, it is not yet, and never was when that is rolled back
CREATE TEMP VIEW counts AS
  SELECT h->'verdict'->'reasons' ? 'connections.active' AS counts, (SELECT max(message) FROM dbops.health_checks() WHERE check_name = 'archiver.failing') LIKE '%turned off' AS off
    FROM dbops.system_health_check() h;
BEGIN;
SELECT dbops.mute_finding('connections.active', 'it is prepared', now() + interval '1 hour'), dbops.set_check('archiver.failing', enabled => false);
PREPARE TRANSACTION 'regress_mute';
SELECT * FROM counts;
ROLLBACK PREPARED 'regress_mute';
SELECT * FROM counts;
-- when it is committed it is at once
BEGIN;
SELECT dbops.mute_finding('connections.active', 'it is prepared', now() + interval '1 hour'), dbops.set_check('archiver.failing', enabled => false);
PREPARE TRANSACTION 'regress_mute';
SELECT * FROM counts;
COMMIT PREPARED 'regress_mute';
SELECT * FROM counts;
SELECT dbops.unmute_finding('connections.active');
SELECT dbops.reset_check('archiver.failing');
SELECT * FROM counts;
DROP VIEW counts;

-- what has ended is forgotten with the next
INSERT INTO dbops.muted_finding VALUES ('of.long.ago', '2020-01-01', 'forgotten', 'somebody', '2019-01-01');
SELECT dbops.mute_finding('connections.active', 'once more', now() + interval '1 hour');
SELECT key FROM dbops.muted_finding;

-- what cannot be meant
SELECT dbops.mute_finding(NULL, 'why', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('', 'why', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', NULL, now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', E' \n', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', repeat('x', 256), now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', 'why', NULL);
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', 'why', 'infinity');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', 'why', now() - interval '1 second');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', 'why', now() + interval '367 days');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', 'why', '294276-01-01');
\echo :SQLSTATE
SELECT dbops.mute_finding('conections.active', 'why', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('nothing.like.it:WAL', 'why', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active:', 'why', now() + interval '1 hour');
\echo :SQLSTATE
SELECT dbops.mute_finding('connections.active', 'why', '-infinity');
\echo :SQLSTATE
SELECT key FROM dbops.muted_finding;
SELECT dbops.unmute_finding(NULL);
\echo :SQLSTATE

SELECT dbops.unmute_finding('connections.active');
SELECT dbops.reset_check('connections.active');

-- no more than so many, so that those of other databases have room
BEGIN;
SELECT count(dbops.mute_finding('connections.active:' || i, 'one of many', now() + interval '1 hour')) > 200 AS many
  FROM generate_series(1, 256 - (SELECT count(*)::int FROM dbops.muted_finding)) i;
SELECT dbops.mute_finding('connections.active:1', 'once more', now() + interval '1 hour');
SELECT dbops.mute_finding('connections.active:one more', 'one of many', now() + interval '1 hour');
\echo :SQLSTATE
ROLLBACK;
