-- replication_status() where nobody replicates: slots that nobody reads, and what
-- is kept for them. What standbys show is tested with two servers.
\set VERBOSITY terse
SELECT count(*) FROM dbops.replication_status();
SELECT FROM pg_create_physical_replication_slot('regress_reserved', true);
SELECT FROM pg_create_physical_replication_slot('regress_unused');
SELECT kind, name, pid, state, lag, slot_name, slot_type, slot_state, retained_bytes >= 0 AS retains, safe_bytes, heard_at
  FROM dbops.replication_status() ORDER BY name;
SELECT pg_current_wal_flush_lsn() - restart_lsn - retained_bytes BETWEEN 0 AND 100000 AS as_the_server_has_it
  FROM dbops.replication_status() s JOIN pg_replication_slots r USING (slot_name) WHERE slot_name = 'regress_reserved';
SELECT pg_drop_replication_slot('regress_reserved'), pg_drop_replication_slot('regress_unused');
