# A copy of a database that pg_dump has made has the same snapshot of its schema,
# and a schema that is too large for one is refused. TAP, because it takes the
# client programs, and too much memory for a regression test.
use strict;
use warnings FATAL => 'all';

use PostgreSQL::Test::Cluster;
use PostgreSQL::Test::Utils;
use Test::More;

my $node = PostgreSQL::Test::Cluster->new('main');
$node->init;
$node->append_conf('postgresql.conf', "fsync = off\n");
$node->start;
$node->safe_psql('postgres', "CREATE DATABASE $_") foreach 'app', 'copy';
$node->safe_psql('app', <<~'SQL');
    CREATE EXTENSION dbops;
    CREATE EXTENSION pg_trgm;
    CREATE ROLE joe;
    CREATE SCHEMA shop;
    GRANT USAGE ON SCHEMA shop TO joe;
    CREATE TYPE shop.mood AS ENUM ('good', 'bad');
    CREATE DOMAIN shop.amount AS numeric(10, 2) NOT NULL DEFAULT 0 CHECK (VALUE >= 0);
    CREATE TYPE shop.pair AS (a int, b text);
    CREATE TABLE shop.customer (id serial PRIMARY KEY, "Name" text COLLATE "C" NOT NULL UNIQUE, gone int, mood shop.mood DEFAULT 'good', total shop.amount,
        lower text GENERATED ALWAYS AS (lower("Name")) STORED) WITH (fillfactor = 80);
    ALTER TABLE shop.customer DROP gone;
    CREATE TABLE shop.event (id bigint GENERATED ALWAYS AS IDENTITY, customer int REFERENCES shop.customer ON DELETE CASCADE, at timestamptz DEFAULT now(),
        CHECK (at > '2020-01-01'), PRIMARY KEY (id, at)) PARTITION BY RANGE (at);
    CREATE TABLE shop.event_2024 PARTITION OF shop.event FOR VALUES FROM ('2024-01-01') TO ('2025-01-01');
    CREATE INDEX ON shop.event (customer, at DESC) WHERE customer > 0;
    CREATE INDEX ON shop.customer USING gin ("Name" gin_trgm_ops);
    CREATE VIEW shop.good AS SELECT c.id, e.at FROM shop.customer c JOIN shop.event e ON e.customer = c.id WHERE c.mood = 'good';
    CREATE MATERIALIZED VIEW shop.sums AS SELECT customer, count(*) FROM shop.event GROUP BY 1;
    CREATE FUNCTION shop.log() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = shop, pg_temp AS 'BEGIN RETURN NEW; END';
    CREATE FUNCTION shop.plus(a int, b int DEFAULT 1) RETURNS int LANGUAGE sql IMMUTABLE BEGIN ATOMIC; SELECT a + b; END;
    CREATE TRIGGER log AFTER UPDATE OF mood ON shop.customer FOR EACH ROW WHEN (OLD.mood IS DISTINCT FROM NEW.mood) EXECUTE FUNCTION shop.log();
    CREATE TRIGGER each AFTER INSERT ON shop.event FOR EACH ROW EXECUTE FUNCTION shop.log();
    ALTER TABLE shop.customer ENABLE ROW LEVEL SECURITY;
    CREATE POLICY own ON shop.customer TO joe USING (EXISTS (SELECT FROM shop.event e WHERE e.customer = customer.id));
    CREATE RULE nothing AS ON DELETE TO shop.customer DO INSTEAD NOTHING;
    CREATE STATISTICS shop.st ON mood, "Name" FROM shop.customer;
    GRANT SELECT, UPDATE ("Name") ON shop.customer TO joe;
    REVOKE EXECUTE ON FUNCTION shop.plus FROM PUBLIC;
    ALTER DEFAULT PRIVILEGES IN SCHEMA shop GRANT SELECT ON TABLES TO joe;
    COMMENT ON COLUMN shop.customer.mood IS 'how they are';
    CREATE PUBLICATION events FOR TABLE shop.event;
    SELECT nextval('shop.customer_id_seq') FROM generate_series(1, 10);
    SQL

$node->command_ok([ 'pg_dump', '-d', $node->connstr('app'), '-Fc', '-f', "$PostgreSQL::Test::Utils::tmp_check/app.dump" ], 'dumped');
$node->command_ok([ 'pg_restore', '-d', $node->connstr('copy'), "$PostgreSQL::Test::Utils::tmp_check/app.dump" ], 'restored');
my $snapshot = $node->safe_psql('app', 'SELECT dbops.schema_snapshot()');
like($snapshot, qr/"shop.customer.mood"/, 'the snapshot has the schema');
is($node->safe_psql('copy', "SELECT * FROM dbops.schema_diff(\$x\$$snapshot\$x\$, dbops.schema_snapshot())"), '', 'a copy has no difference');
is($node->safe_psql('copy', 'SELECT dbops.schema_snapshot()'), $snapshot, 'and gives the same document');

my ($status, $out, $err) = $node->psql('app', <<~'SQL');
    INSERT INTO pg_description SELECT attrelid, 'pg_class'::regclass, attnum, repeat('x', 100000000)
      FROM pg_attribute WHERE attrelid = 'shop.customer'::regclass AND attname IN ('id', 'Name', 'total');
    SELECT dbops.schema_snapshot('{shop}');
    SQL
like($err, qr/too large for one snapshot.*at most 256 MB.*schema_snapshot\('\{shop\}'\)/s, 'a document of 300 MB is refused');

$node->stop;
done_testing();
