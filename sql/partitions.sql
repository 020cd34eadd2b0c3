--
-- set_partitioning, partition_plan, run_partitioning: what is there is adopted,
-- what is missing is made, what is too old goes. The time is the test's own.
-- Regression tests, since all of it is seen in one session.
--
SET client_min_messages = warning;
SET timezone = 'Europe/Berlin';
SET datestyle = 'ISO';
CREATE SCHEMA regress_part;
SET search_path = regress_part;
CREATE FUNCTION parts(p regclass) RETURNS TABLE (name name, bound text) LANGUAGE sql AS
$$SELECT c.relname, pg_get_expr(c.relpartbound, c.oid) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
   WHERE i.inhparent = p ORDER BY c.relname COLLATE "C"$$;
CREATE FUNCTION at(t timestamptz) RETURNS void LANGUAGE sql AS
$$SELECT set_config('dbops.test_now', extract(epoch FROM t)::text, false)$$;

-- made by hand, by the month: the clocks go forward on the last Sunday of March
CREATE TABLE visit (id bigint GENERATED ALWAYS AS IDENTITY, at timestamptz NOT NULL, note text DEFAULT 'none',
  double bigint GENERATED ALWAYS AS (id * 2) STORED, CHECK (note <> ''), PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE INDEX ON visit (note);
CREATE TABLE visit_2053_01 PARTITION OF visit FOR VALUES FROM ('2053-01-01') TO ('2053-02-01');
CREATE TABLE visit_2053_02 PARTITION OF visit FOR VALUES FROM ('2053-02-01') TO ('2053-03-01') WITH (fillfactor = 70);
SELECT at('2053-02-20 12:00');
SELECT step, action, object, lock_mode FROM dbops.partition_plan('visit');
SELECT dbops.set_partitioning('visit');
CALL dbops.run_partitioning('visit');
SELECT * FROM parts('visit');
-- again there is nothing to do
CALL dbops.run_partitioning('visit');
SELECT parent, column_name, every, keep, partitions, oldest, newest, runway, missing, expired FROM dbops.partition_status();
SELECT object, action, outcome, message FROM dbops.maintenance_log WHERE kind = 'partitioning' AND object LIKE 'regress_part.%' ORDER BY id;

-- but for the lock a new one is what CREATE TABLE ... PARTITION OF makes
CREATE TABLE visit_of PARTITION OF visit FOR VALUES FROM ('2058-01-01') TO ('2058-02-01') WITH (fillfactor = 70);
CREATE VIEW shape AS
SELECT c.relname, k.* FROM pg_class c CROSS JOIN LATERAL (
  SELECT 'column' AS kind, format('%s %s %s %s %s %s %s %s %s', a.attname, format_type(a.atttypid, a.atttypmod), a.attnotnull,
    pg_get_expr(d.adbin, d.adrelid), a.attgenerated, a.attidentity, a.attinhcount, a.attislocal, a.attstorage) AS what
    FROM pg_attribute a LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (a.attrelid, a.attnum) WHERE a.attrelid = c.oid AND a.attnum > 0
  UNION ALL SELECT 'constraint', format('%s %s %s %s', replace(conname, c.relname, ''), pg_get_constraintdef(n.oid), coninhcount, conislocal)
    FROM pg_constraint n WHERE conrelid = c.oid
  UNION ALL SELECT 'index', format('%s', replace(pg_get_indexdef(indexrelid), c.relname, '')) FROM pg_index WHERE indrelid = c.oid
  UNION ALL SELECT 'table', format('%s %s %s %s', reloptions, relacl, relowner::regrole, relpersistence)) k
 WHERE c.relname IN ('visit_of', 'visit_2053_03');
SELECT kind, what FROM shape WHERE relname = 'visit_of' EXCEPT SELECT kind, what FROM shape WHERE relname = 'visit_2053_03';
SELECT kind, what FROM shape WHERE relname = 'visit_2053_03' EXCEPT SELECT kind, what FROM shape WHERE relname = 'visit_of';
SELECT count(*) > 8 AS compared FROM shape WHERE relname = 'visit_of';
DROP VIEW shape;
DROP TABLE visit_of;

-- keep: one at a time is what passing time does
SELECT at('2053-03-15 12:00');
SELECT dbops.set_partitioning('visit', keep => '1 month');
SELECT step, action, object, statement, lock_mode, row_count, note FROM dbops.partition_plan('visit') WHERE action = 'drop partition';
CALL dbops.run_partitioning('visit');
SELECT min(name), count(*) FROM parts('visit');
-- a clock that jumps must not empty the table; new ones are made all the same
SELECT at('2054-03-15 12:00');
UPDATE dbops.policy SET memory = jsonb_set(memory, '{at}', to_jsonb((extract(epoch FROM '2054-03-15 12:00+01' - '2000-01-01 00:00+00'::timestamptz) * 1000000)::bigint))
 WHERE kind = 'partitioning' AND relation = 'visit'::regclass;
\set VERBOSITY sqlstate
CALL dbops.run_partitioning('visit');
\set VERBOSITY default
SELECT min(name), max(name), count(*) FROM parts('visit');
SELECT regexp_replace(note, '[^ ]+ [^ ]+ have passed', '... have passed') AS note, count(*) FROM dbops.partition_plan('visit') GROUP BY 1;
SELECT stopped_because IS NOT NULL AS stopped FROM dbops.partition_status();
SELECT outcome, regexp_replace(message, '[^ ]+ [^ ]+ have passed', '... have passed') AS message
  FROM dbops.maintenance_log WHERE action = 'drop partitions' AND object = 'regress_part.visit';
-- what is confirmed is what was shown, and not what has come since
SELECT at('2054-09-15 12:00');
\set VERBOSITY sqlstate
CALL dbops.run_partitioning('visit', confirm => true);
\set VERBOSITY default
SELECT min(name), max(name), count(*) FROM parts('visit');
SELECT dbops.remove_partitioning('visit');
DROP TABLE visit;
SELECT count(*) FROM dbops.partition_drop;

-- names of pg_partman, weeks and days and hours; a date, a timestamp and epochs; UTC where a server in UTC has made them
SELECT at('2053-10-25 12:00');
CREATE TABLE daily (at timestamptz) PARTITION BY RANGE (at);
CREATE TABLE daily_p20531024 PARTITION OF daily FOR VALUES FROM ('2053-10-24 00:00+00') TO ('2053-10-25 00:00+00');
CREATE TABLE daily_p20531025 PARTITION OF daily FOR VALUES FROM ('2053-10-25 00:00+00') TO ('2053-10-26 00:00+00');
SELECT dbops.set_partitioning('daily', runway => '3 days');
CALL dbops.run_partitioning('daily');
SELECT * FROM parts('daily');
CREATE TABLE weekly (at date) PARTITION BY RANGE (at);
CREATE TABLE weekly_p2053w42 PARTITION OF weekly FOR VALUES FROM ('2053-10-13') TO ('2053-10-20');
CREATE TABLE weekly_p2053w43 PARTITION OF weekly FOR VALUES FROM ('2053-10-20') TO ('2053-10-27');
SELECT dbops.set_partitioning('weekly', runway => '7 days');
CALL dbops.run_partitioning('weekly');
SELECT * FROM parts('weekly');
CREATE TABLE hourly (at timestamptz) PARTITION BY RANGE (at);
SELECT at('2053-10-26 01:30');
SELECT dbops.set_partitioning('hourly', '1 hour', '3 hours');
CALL dbops.run_partitioning('hourly');
SELECT * FROM parts('hourly');
CREATE TABLE local (at timestamp) PARTITION BY RANGE (at);
SELECT dbops.set_partitioning('local', '1 month', '1 day', time_zone => 'Pacific/Auckland');
CALL dbops.run_partitioning('local');
SELECT * FROM parts('local');
CREATE TABLE epoch (at bigint) PARTITION BY RANGE (at);
CREATE TABLE epoch_q3 PARTITION OF epoch FOR VALUES FROM (2634933600000) TO (2642882400000);
SELECT dbops.set_partitioning('epoch', '3 months', '1 day');
CALL dbops.run_partitioning('epoch');
SELECT * FROM parts('epoch');
-- a quote in every name, a name that is taken, and one that is too long
CREATE TABLE "It's a ""table"", with a name that is nearly as long as one can be" ("the ""time""" date) PARTITION BY RANGE ("the ""time""");
CREATE TABLE "It's a ""table"", with a name that is nearly as long as_p20531001" ();
SELECT quote_literal(quote_ident(relname)) AS long FROM pg_class WHERE relname LIKE 'It''s%' AND relkind = 'p' \gset
SELECT dbops.set_partitioning(:long, '1 month', '1 day', keep => '1 year');
CALL dbops.run_partitioning(:long);
SELECT * FROM parts(:long);
SELECT at('2054-12-02 12:00');
CALL dbops.run_partitioning(:long, true);
SELECT * FROM parts(:long);
-- health
SELECT check_name, severity, object, message, remedy FROM dbops.health_checks() WHERE check_name = 'partitions.runway' AND object <> 'regress_part.hourly';
DROP TABLE daily, weekly, hourly, local, epoch, "It's a ""table"", with a name that is nearly as long as one can be";
DROP TABLE "It's a ""table"", with a name that is nearly as long as_p20531001";
SELECT count(*) FROM dbops.run_maintenance();
SELECT count(*) FROM dbops.partition_status();

-- a default partition: rows of the time are in the way, and it is locked for a moment only
SELECT at('2053-01-10 12:00');
CREATE TABLE log (at timestamptz, v int) PARTITION BY RANGE (at);
CREATE TABLE log_2052 PARTITION OF log FOR VALUES FROM ('2052-12-01') TO ('2053-01-01');
CREATE TABLE log_default PARTITION OF log DEFAULT;
INSERT INTO log VALUES ('2053-02-03', 1);
SELECT dbops.set_partitioning('log', '1 month', '60 days', keep => '1 day');
CALL dbops.run_partitioning('log');
SELECT * FROM parts('log');
SELECT object, action, outcome, message FROM dbops.maintenance_log WHERE object LIKE 'regress_part.log%' AND action <> 'remove policy' ORDER BY id;
SELECT check_name, severity, object, message, remedy FROM dbops.health_checks() WHERE check_name = 'partitions.default';
-- until they are drained
INSERT INTO log VALUES (NULL, 2), ('2040-01-01', 3), ('2053-02-28', 4), ('2052-06-03', 5);
SET client_min_messages = notice;
CALL dbops.drain_default('log');
CALL dbops.drain_default('log', '0');
SET client_min_messages = warning;
SELECT tableoid::regclass, * FROM log ORDER BY v;
SELECT object, action, row_count FROM dbops.maintenance_log WHERE action LIKE 'drain%' AND object LIKE 'regress_part.%' ORDER BY id;
ALTER TABLE log ADD UNIQUE (at);
CREATE TABLE refers (at timestamptz REFERENCES log (at));
CALL dbops.drain_default('log');
DROP TABLE refers;
DROP TABLE log;

-- a large one is proven to have no such rows before it is locked
CREATE TABLE log (at timestamptz, v text) PARTITION BY RANGE (at);
CREATE TABLE log_default PARTITION OF log DEFAULT WITH (autovacuum_enabled = off);
ALTER TABLE log_default ALTER v SET STORAGE plain;
INSERT INTO log SELECT '2048-01-01', repeat('x', 7000) FROM generate_series(1, 1100);
INSERT INTO log VALUES ('2053-02-03', 1);
SELECT dbops.set_partitioning('log', '1 month', '80 days');
CALL dbops.run_partitioning('log');
SELECT * FROM parts('log');
SELECT conname FROM pg_constraint WHERE conrelid = 'log_default'::regclass AND contype = 'c';
SELECT object, action, outcome FROM dbops.maintenance_log WHERE object LIKE 'regress_part.log%' AND action <> 'remove policy' ORDER BY id DESC LIMIT 3;
DROP TABLE log;

-- rows of its own that reference others of it keep it too, as the server says
CREATE TABLE tree (id int, at date, up int, up_at date, PRIMARY KEY (id, at), FOREIGN KEY (up, up_at) REFERENCES tree) PARTITION BY RANGE (at);
CREATE TABLE tree_2052_10 PARTITION OF tree FOR VALUES FROM ('2052-10-01') TO ('2052-11-01');
CREATE TABLE tree_2052_11 PARTITION OF tree FOR VALUES FROM ('2052-11-01') TO ('2052-12-01');
CREATE TABLE tree_2052_12 PARTITION OF tree FOR VALUES FROM ('2052-12-01') TO ('2053-01-01');
INSERT INTO tree VALUES (1, '2052-10-05', NULL, NULL), (2, '2052-10-06', 1, '2052-10-05'), (3, '2052-11-05', NULL, NULL);
SELECT dbops.set_partitioning('tree', keep => '1 day', confirm => true) IS NOT NULL AS set;
SELECT action, object, note FROM dbops.partition_plan('tree') WHERE action <> 'create partition';
CALL dbops.run_partitioning('tree');
SELECT name FROM parts('tree');
DROP TABLE tree;

-- rows that a foreign key references, and what depends on a partition, keep it
CREATE TABLE doc (id int, at date, PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
CREATE TABLE doc_2052_10 PARTITION OF doc FOR VALUES FROM ('2052-10-01') TO ('2052-11-01');
CREATE TABLE doc_2052_11 PARTITION OF doc FOR VALUES FROM ('2052-11-01') TO ('2052-12-01');
CREATE TABLE doc_2052_12 PARTITION OF doc FOR VALUES FROM ('2052-12-01') TO ('2053-01-01');
CREATE TABLE page (id int, at date, FOREIGN KEY (id, at) REFERENCES doc);
INSERT INTO doc VALUES (1, '2052-10-05'), (2, '2052-11-05'), (3, '2052-12-05');
INSERT INTO page VALUES (1, '2052-10-05');
CREATE VIEW old AS SELECT * FROM doc_2052_11;
SELECT dbops.set_partitioning('doc', keep => '1 day', confirm => true);
SELECT action, object, note FROM dbops.partition_plan('doc') WHERE action <> 'create partition';
CALL dbops.run_partitioning('doc');
SELECT name FROM parts('doc');
SELECT object, action, outcome, message FROM dbops.maintenance_log WHERE object LIKE '%.doc%' AND action LIKE 'drop%' ORDER BY id;
DROP TABLE page, doc CASCADE;

-- what was given to the newest partition alone is given to the new ones
CREATE ROLE regress_part_reader;
CREATE TABLE given (id int NOT NULL, at date NOT NULL) PARTITION BY RANGE (at);
CREATE UNIQUE INDEX given_key ON given (id, at);
CREATE UNLOGGED TABLE given_2053_01 PARTITION OF given FOR VALUES FROM ('2053-01-01') TO ('2053-02-01') WITH (toast.autovacuum_enabled = off, fillfactor = 50);
ALTER TABLE given REPLICA IDENTITY USING INDEX given_key;
GRANT SELECT, INSERT ON given_2053_01 TO regress_part_reader;
GRANT UPDATE (id) ON given_2053_01 TO regress_part_reader;
ALTER TABLE given_2053_01 ENABLE ROW LEVEL SECURITY;
SELECT dbops.set_partitioning('given', '1 month', '1 day');
SELECT at('2053-02-10');
CALL dbops.run_partitioning('given');
SELECT relname, relpersistence, reloptions, relrowsecurity, relreplident,
       (SELECT string_agg(privilege_type, ' ') FROM aclexplode(relacl) WHERE grantee = 'regress_part_reader'::regrole) AS may,
       (SELECT attacl::text ~ '^{regress_part_reader=w/' FROM pg_attribute WHERE attrelid = c.oid AND attname = 'id') AS may_column
  FROM pg_class c WHERE relname LIKE 'given_2053___' ORDER BY 1;
DROP TABLE given;
DROP ROLE regress_part_reader;

-- a detach that somebody has cut off is finished
CREATE TABLE half (at date) PARTITION BY RANGE (at);
CREATE TABLE half_2053_01 PARTITION OF half FOR VALUES FROM ('2053-01-01') TO ('2053-02-01');
CREATE TABLE half_2053_02 PARTITION OF half FOR VALUES FROM ('2053-02-01') TO ('2053-03-01');
SELECT dbops.set_partitioning('half', runway => '1 day');
UPDATE pg_inherits SET inhdetachpending = true WHERE inhrelid = 'half_2053_01'::regclass;
SELECT action, object, statement FROM dbops.partition_plan('half');
CALL dbops.run_partitioning('half');
SELECT name FROM parts('half');
SELECT relname, relispartition FROM pg_class WHERE relname = 'half_2053_01';
SELECT object, action, outcome, message FROM dbops.maintenance_log WHERE action = 'finish detach';
DROP TABLE half, half_2053_01;

-- a plain table becomes the first partition, without a copy of its rows
SELECT at('2053-02-10 12:00');
CREATE TABLE kind (id int PRIMARY KEY);
CREATE TABLE sale (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, at timestamptz NOT NULL, kind int REFERENCES kind, n serial, CHECK (n > 0));
CREATE INDEX ON sale (at);
CREATE TABLE refers (id bigint REFERENCES sale);
CREATE VIEW sales AS SELECT * FROM sale;
INSERT INTO kind VALUES (1);
INSERT INTO sale (at, kind) VALUES ('2051-01-01', 1), ('2053-02-01', 1);
SELECT pg_relation_filenode('sale') AS file \gset
CALL dbops.partition_table('sale', 'at', '1 month');
DROP TABLE refers;
DROP VIEW sales;
ALTER TABLE sale DROP CONSTRAINT sale_pkey, ADD PRIMARY KEY (id, at);
SET client_min_messages = notice;
CALL dbops.partition_table('sale', 'at', '1 month', true);
CALL dbops.partition_table('sale', 'at', '1 month');
SET client_min_messages = warning;
SELECT * FROM parts('sale');
INSERT INTO sale (at, kind) VALUES ('2053-03-05', 1);
SELECT tableoid::regclass, * FROM sale ORDER BY at;
SELECT pg_relation_filenode('sale_before') = :file AS same_file;
SELECT indexrelid::regclass, indisvalid FROM pg_index WHERE indrelid IN ('sale'::regclass, 'sale_before'::regclass) ORDER BY indexrelid::regclass::text COLLATE "C";
SELECT conrelid::regclass, conname, contype, convalidated FROM pg_constraint WHERE conrelid IN ('sale'::regclass, 'sale_before'::regclass) AND contype <> 'n' ORDER BY conrelid::regclass::text COLLATE "C", conname;
CALL dbops.partition_table('sale', 'at', '1 month');
CALL dbops.partition_table('kind', 'id', '1 month');
CALL dbops.partition_table('kind', 'nothing', '1 month');
DROP TABLE sale, kind;

-- what is refused
CREATE TABLE plain (at date);
CREATE TABLE listed (at date) PARTITION BY LIST (at);
CREATE TABLE hashed (at date) PARTITION BY HASH (at);
CREATE TABLE two (a date, b date) PARTITION BY RANGE (a, b);
CREATE TABLE expr (id int) PARTITION BY RANGE ((id + 1));
CREATE TABLE words (w text) PARTITION BY RANGE (w);
CREATE TABLE ids (id int) PARTITION BY RANGE (id);
CREATE TABLE ids_1 PARTITION OF ids FOR VALUES FROM (1) TO (1000000);
CREATE TABLE empty (at date) PARTITION BY RANGE (at);
CREATE TABLE stamped (at timestamp) PARTITION BY RANGE (at);
CREATE TABLE sub (at date) PARTITION BY RANGE (at);
CREATE TABLE sub_2053_01 PARTITION OF sub FOR VALUES FROM ('2053-01-01') TO ('2053-02-01') PARTITION BY HASH (at);
CREATE TABLE odd (at date) PARTITION BY RANGE (at);
CREATE TABLE odd_1 PARTITION OF odd FOR VALUES FROM ('2053-01-01') TO ('2053-01-18');
CREATE VIEW v AS SELECT 1;
SELECT dbops.set_partitioning('plain');
SELECT dbops.set_partitioning('listed');
SELECT dbops.set_partitioning('hashed');
SELECT dbops.set_partitioning('two');
SELECT dbops.set_partitioning('expr');
SELECT dbops.set_partitioning('words');
SELECT dbops.set_partitioning('ids');
SELECT dbops.set_partitioning('empty');
SELECT dbops.set_partitioning('sub');
SELECT dbops.set_partitioning('v');
SELECT dbops.set_partitioning(NULL);
SELECT dbops.set_partitioning('empty', '5 months');
SELECT dbops.set_partitioning('stamped', '7 hours');
SELECT dbops.set_partitioning('empty', '1 hour');
SELECT dbops.set_partitioning('empty', '1 month 3 days');
SELECT dbops.set_partitioning('empty', '-1 month');
SELECT dbops.set_partitioning('empty', '1 day', keep => '0');
SELECT dbops.set_partitioning('empty', '1 day', runway => '-1 day');
SELECT dbops.set_partitioning('empty', '1 day', runway => '10 years');
SELECT dbops.set_partitioning('empty', '1 day', time_zone => 'Nowhere');
SELECT dbops.set_partitioning('odd', '1 month');
SELECT dbops.remove_partitioning('empty');
CALL dbops.run_partitioning('empty');
SELECT * FROM dbops.partition_plan('ids');

SET client_min_messages = error;
DROP SCHEMA regress_part CASCADE;
SELECT count(*) FROM dbops.run_maintenance();
RESET dbops.test_now;
