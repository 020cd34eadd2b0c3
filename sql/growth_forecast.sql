-- What growth_forecast() says of a past that is written here: ninety days of
-- 2031, by the clock of tests. All of it is rolled back, and the history is
-- locked meanwhile, so that no scheduler writes between.
SET timezone = 'UTC';
\pset null (null)
SET dbops.health_max_age = 0;
CREATE SCHEMA regress_growth;
CREATE TABLE regress_growth.big(id int GENERATED ALWAYS AS IDENTITY);
CREATE TABLE regress_growth.small(id smallint);
CREATE SEQUENCE regress_growth.shared;
ALTER TABLE regress_growth.small ALTER COLUMN id SET DEFAULT nextval('regress_growth.shared');
CREATE SEQUENCE regress_growth.down INCREMENT -1 MINVALUE -1000000 MAXVALUE -1 START -1;
CREATE SEQUENCE regress_growth.round MAXVALUE 1000 CYCLE;
CREATE DOMAIN regress_growth.number AS integer;
CREATE TABLE regress_growth.domained(id regress_growth.number);
CREATE SEQUENCE regress_growth.of_domain OWNED BY regress_growth.domained.id;
CREATE SEQUENCE regress_growth.unused;
SELECT setval('regress_growth.big_id_seq', 1900000000), setval('regress_growth.shared', 30000), setval('regress_growth.down', -500000),
       setval('regress_growth.round', 900), setval('regress_growth.of_domain', 214748365);

-- nothing is known yet: it says so, and nothing is a number that is not one
BEGIN;
LOCK TABLE dbops.history_progress IN EXCLUSIVE MODE;
SET LOCAL dbops.test_now = 1932897600;  -- 2031-04-02 12:00
SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(dbops.growth_forecast()) k;
SELECT k, v FROM jsonb_each(dbops.growth_forecast(ARRAY[7], '30 days')->'forecast') f(k, v);
SELECT k, v FROM jsonb_each(dbops.growth_forecast(ARRAY[7], '30 days')->'ranges') f(k, v);
-- what applications read stands where they read it, and is text also while nothing is known
SELECT jsonb_typeof(g#>'{current,size}') AS size, g#>>'{current,utilization}' ~ '^[0-9]+%$' AS utilization, jsonb_typeof(g->'recommendations') AS recommendations,
       (SELECT array_agg(k ORDER BY k) FROM jsonb_object_keys(g->'forecast') k) AS horizons FROM dbops.growth_forecast() g;
SELECT g->'growth' AS growth, g->'recommendations'->>0 AS advice FROM dbops.growth_forecast() g;
SELECT i AS ids, g->i->'unknown' AS unknown, g->i->'days_until_stop' AS days FROM dbops.growth_forecast() g, unnest(ARRAY['transaction_ids', 'multixact_ids']) i;

-- how far sequences have come: the column's type counts, and the direction
SELECT s->>'name' AS name, s->>'column' AS column_name, s->>'type' AS type, s->>'bound' AS bound, s->>'used_percent' AS used
  FROM dbops.growth_forecast() g, jsonb_array_elements(g->'sequences') s WHERE s->>'name' LIKE 'regress%';
SELECT a FROM dbops.growth_forecast() g, jsonb_array_elements_text(g->'recommendations') a WHERE a LIKE 'regress%';

-- ninety days: the size grew by a half of what it is, with a step that is taken out;
-- transaction ids went at 10 million a day, multixact ids at 50 million, the sequences at their own rates
SELECT (dbops.growth_forecast()->'current'->>'size_bytes')::int8 AS size \gset
CREATE TABLE dbops.metric_1d_2031 PARTITION OF dbops.metric_1d FOR VALUES FROM ('2031-01-01 00:00+00') TO ('2032-01-01 00:00+00');
INSERT INTO dbops.metric_1d (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)
SELECT timestamptz '2031-04-02 00:00+00' - i * interval '1 day', false, 8640, 10000, 1, 86400, false, '{}'::real[], '{}'::real[], '{}'::real[],
       array_fill(NULL::float8, '{22}') || (:size - i * (:size / 180.0) - CASE WHEN i > 40 THEN :size / 4.0 ELSE 0 END)::float8, '{}'::float8[]
  FROM generate_series(1, 91) i
UNION ALL
SELECT timestamptz '2031-04-02 00:00+00' - i * interval '1 day', true, 8640, 10000, 1, 86400, false, '{}'::real[], '{}'::real[], '{}'::real[], '{}'::float8[],
       array_fill(NULL::float8, '{33}') || 1e7::float8 || array_fill(NULL::float8, '{35}') || 5e7::float8
  FROM generate_series(1, 91) i;
CREATE TABLE regress_growth.sequence_1d_999901 PARTITION OF dbops.sequence_1d DEFAULT;
INSERT INTO dbops.sequence_1d (sequence, at, last_value)
SELECT s.oid, timestamptz '2031-04-02 01:00+00' - i * interval '1 day', s.last - i * s.rate
  FROM (VALUES ('regress_growth.big_id_seq'::regclass, 1900000000, 5000000), ('regress_growth.down', -500000, -100)) s(oid, last, rate),
       generate_series(1, 80) i;
CREATE TEMP TABLE forecast AS SELECT dbops.growth_forecast('{30,90,365,3650}') AS g;

SELECT k AS horizon, round((v->>'bytes')::numeric / :size, 2) AS times_now, (v->>'low_bytes')::int8 <= (v->>'bytes')::int8 AND (v->>'bytes')::int8 <= (v->>'high_bytes')::int8 AS in_range,
       g->'forecast'->>k = pg_size_pretty((v->>'bytes')::int8) AS pretty, v->>'range' = pg_size_pretty((v->>'low_bytes')::int8) || ' to ' || pg_size_pretty((v->>'high_bytes')::int8) AS range, v->'extrapolated' AS extrapolated
  FROM forecast, jsonb_each(g->'ranges') f(k, v) ORDER BY (v->>'bytes')::int8;
SELECT h->'unknown' AS unknown, h->'days' AS days, h->'model' AS model, h->'confidence' AS confidence, round((h->>'bytes_per_day')::numeric / :size * 180, 2) AS rate,
       h->'looks_ahead_days' AS looks_ahead, jsonb_array_length(h->'steps') AS steps, h->'steps'->0->>'at' AS step_at, round((h->'steps'->0->>'bytes')::numeric / :size, 2) AS step
  FROM forecast, LATERAL (SELECT g->'growth' AS h) x;
-- in how many days, with what the age is now taken out
SELECT t->'ids_per_day' AS per_day, t->'model' AS model,
       (t->'days_until_forced_vacuum'->>'likely')::numeric BETWEEN 18 AND 20 AS forced,
       (t->'days_until_stop'->>'likely')::numeric BETWEEN 212 AND 215 AS stop,
       (t->'days_until_stop'->>'low')::numeric < 213 AS low
  FROM forecast, LATERAL (SELECT g->'transaction_ids' AS t) x;
SELECT t->'ids_per_day' AS per_day, t->'model' AS model,
       (t->'days_until_forced_vacuum'->>'likely')::numeric BETWEEN 7 AND 9 AS forced,
       (t->'days_until_stop'->>'likely')::numeric BETWEEN 41 AND 44 AS stop
  FROM forecast, LATERAL (SELECT g->'multixact_ids' AS t) x;
SELECT a FROM forecast, jsonb_array_elements_text(g->'recommendations') a WHERE a LIKE 'Have vacuum freeze%';
SELECT s->>'name' AS name, s->'values_per_day' AS per_day, s->'days_until_exhausted'->'likely' AS likely,
       (s->'days_until_exhausted'->>'low')::numeric <= (s->'days_until_exhausted'->>'likely')::numeric AS ordered, s->'unknown' AS unknown
  FROM forecast, jsonb_array_elements(g->'sequences') s WHERE s->>'name' LIKE 'regress%';

-- disks: the first fills by a hundredth of what is free a day, or so: others use it too
SELECT d->>'name' AS disk, (d->>'used_bytes')::int8 AS used, (d->>'free_bytes')::int8 AS free FROM forecast, LATERAL (SELECT g->'disks'->0 AS d) x \gset
CREATE TABLE regress_growth.disk_1h_999901 PARTITION OF dbops.disk_1h DEFAULT;
INSERT INTO dbops.disk_1h (at, disk, total_bytes, used_bytes, free_bytes)
SELECT timestamptz '2031-04-02 10:00+00' - i * interval '6 hours', :'disk', :used + :free, :used - i * (:free / 400), :free + i * (:free / 400)
  FROM generate_series(1, 160) i;
SELECT d->>'name' = :'disk' AS first, d->'days' AS days, d->'model' AS model, (f->>'likely')::numeric BETWEEN 80 AND 120 AS likely,
       (f->>'low')::numeric < (f->>'likely')::numeric AS low, coalesce((f->>'high')::numeric, 1e9) > (f->>'likely')::numeric AS high,
       r->>0 ~ '^Plan more capacity by 2031-0[4-7]-[0-9][0-9]: a disk may be full in [0-9]+ days\.$' AS plan,
       r->>1 ~ '^Extend the disk of .* before 2031-0[4-7]-[0-9][0-9]: it is full in about [0-9]+ days, at the earliest in [0-9]+ days\.$' AS extend,
       substring(r->>0 FROM '20[0-9-]+')::date = date '2031-04-02' + (f->>'low')::numeric::int AS by_then
  FROM dbops.growth_forecast() g, LATERAL (SELECT g->'disks'->0 AS d, g->'disks'->0->'days_until_full' AS f, g->'recommendations' AS r) x;
-- the same as a check, where nobody else is the home database; with less than 40 percent free it may be a warning
SELECT bool_and(((severity IN ('ok', 'warning') AND message ~ ': full in [0-9]+ days at the earliest, in [0-9]+ likely$' AND (data->>'value')::numeric BETWEEN 20 AND 120)
                                     OR message = 'the disks are judged in the home database')) AS judged
  FROM dbops.health_checks() WHERE check_name = 'capacity.days_until_full' AND coalesce(object = :'disk', true);

-- tables: what they hold is kept when it changes, and stays until then
CREATE TABLE regress_growth.relation_1d_999901 PARTITION OF dbops.relation_1d DEFAULT;
INSERT INTO dbops.relation_1d (relid, at, bytes) VALUES
    ('regress_growth.big'::regclass, '2030-12-01 00:00+00', 1e9),
    ('regress_growth.small'::regclass, '2031-02-01 00:00+00', 1e9), ('regress_growth.small'::regclass, '2031-03-31 00:00+00', 1.5e9),
    ('regress_growth.domained'::regclass, '2031-02-01 00:00+00', 2e9), ('regress_growth.domained'::regclass, '2031-02-02 00:00+00', 1e9),
    (4294967295, '2031-02-01 00:00+00', 1e9), (4294967295, '2031-03-01 00:00+00', 9e9),
    (0, '2031-02-01 00:00+00', 1e9), (0, '2031-03-01 00:00+00', 9e9);
INSERT INTO dbops.relation_1d (relid, at, bytes)
SELECT 'regress_growth.big'::regclass, timestamptz '2031-01-03 00:00+00' + i * interval '1 day', 1e9 + i * 2e7 FROM generate_series(1, 88) i WHERE i % 5 <> 0;
SELECT t->>'name' AS name, t->'size_bytes' AS bytes, t->'grown_bytes' AS grown, t->'percent_of_growth' AS percent, t->'days' AS days,
       (t->>'365days_bytes')::int8 > (t->>'size_bytes')::int8 AS grows
  FROM dbops.growth_forecast() g, jsonb_array_elements(g->'tables') t;
SELECT a FROM dbops.growth_forecast() g, jsonb_array_elements_text(g->'recommendations') a WHERE a LIKE 'regress_growth.% percent of the growth %';

-- a database that does not grow has no day; a shorter past counts only that
UPDATE dbops.metric_1d SET lasts = array_fill(NULL::float8, '{22}') || :size::float8 WHERE NOT cluster AND at >= '2031-01-01';
SELECT g->'growth'->'model' AS model, g->'growth'->'bytes_per_day' AS per_day, round((g->'ranges'->'365days'->>'bytes')::numeric / :size, 3) AS times_now,
       g->'growth'->'days' AS days FROM dbops.growth_forecast(lookback => '30 days') g;
-- NaN and the infinite are not figures
UPDATE dbops.metric_1d SET lasts[23] = 'NaN' WHERE NOT cluster AND at < '2031-03-20';
UPDATE dbops.metric_1d SET lasts[23] = 'Infinity' WHERE NOT cluster AND at < '2031-03-25' AND at >= '2031-03-20';
SELECT g->'growth'->'days' AS days, g->'growth'->'confidence' AS confidence FROM dbops.growth_forecast() g;
-- hours count where there is no day yet
DELETE FROM dbops.metric_1d WHERE NOT cluster AND at >= '2031-03-29';
SELECT g->'growth'->'days' AS days FROM dbops.growth_forecast() g;
CREATE TABLE dbops.metric_1h_2031 PARTITION OF dbops.metric_1h FOR VALUES FROM ('2031-01-01 00:00+00') TO ('2032-01-01 00:00+00');
INSERT INTO dbops.metric_1h (at, cluster, n, cadence, coverage, span, reset, mins, avgs, maxs, lasts, deltas)
SELECT timestamptz '2031-03-27 00:00+00' + i * interval '1 hour', false, 360, 10000, 1, 3600, false, '{}'::real[], '{}'::real[], '{}'::real[], array_fill(NULL::float8, '{22}') || :size::float8, '{}'::float8[]
  FROM generate_series(0, 5 * 24) i;
SELECT g->'growth'->'days' AS days FROM dbops.growth_forecast() g;
ROLLBACK;

-- what is refused
SELECT dbops.growth_forecast(NULL);
SELECT dbops.growth_forecast('{}');
SELECT dbops.growth_forecast('{30,0}');
SELECT dbops.growth_forecast('{30,-1}');
SELECT dbops.growth_forecast('{4000}');
SELECT dbops.growth_forecast('{30,NULL}');
SELECT dbops.growth_forecast('{{30},{90}}');
SELECT dbops.growth_forecast(array_fill(30, '{21}'));
SELECT dbops.growth_forecast(lookback => NULL);
SELECT dbops.growth_forecast(lookback => '6 days');
SELECT dbops.growth_forecast(lookback => '-90 days');
SELECT dbops.growth_forecast(lookback => '11 years');
SELECT dbops.growth_forecast(lookback => '178000000 years');
SELECT dbops.growth_forecast(lookback => '-178000000 years');
SELECT dbops.growth_forecast(lookback => '1 month -24 days');


DROP SCHEMA regress_growth CASCADE;
