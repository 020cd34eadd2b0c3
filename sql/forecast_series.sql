-- The forecast against nine ways in which a database grows, with bounds on its
-- errors: ninety days of 200 and 1 a day (GB, say), with noise of 0.5. A line
-- by least squares is wrong by up to 60 where a step or another rate is.
SET timezone = 'UTC';
\pset null (null)

-- noise of standard deviation 1 that is the same everywhere
CREATE FUNCTION pg_temp.noise(i int, seed int) RETURNS float8 LANGUAGE sql AS $$
    SELECT sqrt(3.0) * (sum(x - floor(x)) - 2)
      FROM (SELECT abs(sin(i * 12.9898 + seed * 78.233 + k * 37.719)) * 43758.5453 AS x FROM generate_series(1, 4) k) r
$$;
CREATE FUNCTION pg_temp.truth(scenario text, i int) RETURNS float8 LANGUAGE sql AS $$
    SELECT CASE scenario
        WHEN 'a weekly cycle' THEN 200 + i + 3 * sin(2 * pi() * i / 7)
        WHEN 'VACUUM FULL' THEN 200 + i - CASE WHEN i >= 70 THEN 60 ELSE 0 END
        WHEN 'a bulk load' THEN 200 + i + CASE WHEN i >= 70 THEN 80 ELSE 0 END
        WHEN 'growth times 2.5' THEN 200 + i + CASE WHEN i >= 60 THEN 1.5 * (i - 60) ELSE 0 END
        WHEN 'a partition dropped monthly' THEN 200 + 2 * i - 30 * div(i + 15, 30)
        WHEN 'none' THEN 200
        ELSE 200 + i END
$$;
CREATE FUNCTION pg_temp.seen(scenario text, i int) RETURNS float8 LANGUAGE sql AS $$
    SELECT CASE
        WHEN scenario = 'a spike of three days' AND i BETWEEN 44 AND 46 THEN 120
        WHEN scenario = 'a spike at the end' AND i >= 88 THEN 160
        ELSE 0 END
$$;
CREATE TEMP TABLE scenario(number int, name text, error_30 float8, error_90 float8);
INSERT INTO scenario VALUES
    (1, 'a steady rate', 1.5, 3), (2, 'a weekly cycle', 3, 4), (3, 'VACUUM FULL', 2, 4), (4, 'a bulk load', 2, 4),
    (5, 'a spike of three days', 2, 4), (6, 'a spike at the end', 2, 4), (7, 'growth times 2.5', 3, 6),
    (8, 'a partition dropped monthly', 5, 10), (9, 'none', 1.5, 2);

-- twelve runs of each; the worst is within the bound, and what came within the range
CREATE TEMP TABLE result AS
SELECT s.*, seed, f.*, pg_temp.truth(s.name, 89 + f.horizon) AS came
  FROM scenario s
 CROSS JOIN generate_series(1, 12) seed
 CROSS JOIN LATERAL (SELECT array_agg(timestamptz '2026-01-01 12:00+00' + i * interval '1 day') AS times,
                            array_agg(pg_temp.truth(s.name, i) + pg_temp.seen(s.name, i) + 0.5 * pg_temp.noise(i, seed * 10 + s.number)) AS series
                       FROM generate_series(0, 89) i) t
 CROSS JOIN LATERAL dbops.forecast_series(t.times, t.series, '{30,90}') f;
SELECT name, mode() WITHIN GROUP (ORDER BY model) AS model,
       bool_and(abs(forecast - came) <= error_30) FILTER (WHERE horizon = 30) AS near_at_30,
       bool_and(abs(forecast - came) <= error_90) FILTER (WHERE horizon = 90) AS near_at_90,
       count(*) FILTER (WHERE came BETWEEN low AND high) >= 20 AS in_range
  FROM result GROUP BY number, name ORDER BY number;
-- those that fail, with their figures
SELECT name, horizon, max(round(abs(forecast - came)::numeric, 1)) AS worst
  FROM result WHERE abs(forecast - came) > CASE horizon WHEN 30 THEN error_30 ELSE error_90 END GROUP BY name, horizon ORDER BY name, horizon;

-- fewer than seven days say nothing, however many values they have
CREATE FUNCTION pg_temp.of(count int, each interval DEFAULT '1 day', per numeric DEFAULT 1) RETURNS TABLE(times timestamptz[], series float8[])
LANGUAGE sql AS $$
    SELECT array_agg(timestamptz '2026-01-01 00:00+00' + i * each), array_agg((100 + i * per)::float8) FROM generate_series(0, count - 1) i
$$;
SELECT f.* FROM pg_temp.of(6) t, dbops.forecast_series(t.times, t.series, '{30}') f;
SELECT f.* FROM pg_temp.of(144, '1 hour') t, dbops.forecast_series(t.times, t.series, '{30}') f;
SELECT horizon, forecast, low <= forecast AND forecast <= high AS ordered, extrapolated, per_day, model, confidence, days
  FROM pg_temp.of(7) t, dbops.forecast_series(t.times, t.series) f;
SELECT f.* FROM dbops.forecast_series('{}', '{}', '{30}') f;

-- a constant, and what shrinks: sizes do not become negative, balances do
SELECT horizon, forecast, per_day, model FROM pg_temp.of(30, '1 day', 0) t, dbops.forecast_series(t.times, t.series, '{30}') f;
SELECT horizon, forecast, low >= 0 AND low <= forecast AS bounded, per_day, model FROM pg_temp.of(60, '1 day', -1) t, dbops.forecast_series(t.times, t.series, '{30,365}') f;
SELECT horizon, forecast, low < forecast AS ranges, per_day FROM pg_temp.of(60, '1 day', -2) t, dbops.forecast_series(t.times, t.series, '{365}') f;

-- the order of the pairs says nothing; nulls and NaN are left out; gaps are no days
SELECT round(forecast::numeric, 3) AS forecast, days
  FROM (SELECT array_agg(t ORDER BY md5(t::text)) AS times, array_agg(v ORDER BY md5(t::text)) AS series
          FROM pg_temp.of(40), unnest(times, series) u(t, v)) s, dbops.forecast_series(s.times, s.series, '{30}') f;
SELECT round(forecast::numeric, 3) AS forecast, days
  FROM (SELECT times || timestamptz '2026-01-03' || NULL::timestamptz || timestamptz '2026-01-05', series || NULL::float8 || 5 || float8 'NaN'
          FROM pg_temp.of(40)) s(times, series), dbops.forecast_series(s.times, s.series, '{30}') f;
SELECT round(forecast::numeric, 3) AS forecast, days
  FROM pg_temp.of(20, '3 days') s, dbops.forecast_series(s.times, s.series, '{30}') f;
-- a long past is told by fewer points; a day's outlier among its hours does not count
SELECT round(forecast::numeric) AS forecast, days, model FROM pg_temp.of(1000) s, dbops.forecast_series(s.times, s.series, '{365}') f;
SELECT round(per_day::numeric, 3) AS per_day, days
  FROM (SELECT array_agg(timestamptz '2026-01-01 00:00+00' + i * interval '1 hour'), array_agg(CASE WHEN i % 24 = 3 THEN 1e6 ELSE 100 + div(i, 24) END::float8)
          FROM generate_series(0, 40 * 24 - 1) i) s(times, series), dbops.forecast_series(s.times, s.series, '{30}') f;

-- what is refused
SELECT dbops.forecast_series(NULL, '{}', '{30}');
SELECT dbops.forecast_series('{}', NULL, '{30}');
SELECT dbops.forecast_series('{}', '{}', NULL);
SELECT dbops.forecast_series('{2026-01-01}', '{1,2}', '{30}');
SELECT dbops.forecast_series('{2026-01-01}', '{Infinity}', '{30}');
SELECT dbops.forecast_series('{2026-01-01}', '{-Infinity}', '{30}');
SELECT dbops.forecast_series('{2026-01-01}', '{-1e101}', '{30}');
SELECT horizon, forecast, days FROM dbops.forecast_series('{2026-01-01}', '{NaN}', '{30}');
-- what is as large as may be gives figures
SELECT model, confidence, bool_and(abs(forecast) < 1e101 AND high >= low AND per_day BETWEEN -1e101 AND 1e101) AS told
  FROM (SELECT array_agg(timestamptz '2026-01-01 00:00+00' + j * interval '1 day') AS times, array_agg((j % 2) * 1e100::float8) AS series FROM generate_series(0, 39) j) s,
       dbops.forecast_series(s.times, s.series, '{30}') f GROUP BY 1, 2;
SELECT dbops.forecast_series('{infinity}', '{1}', '{30}');
SELECT dbops.forecast_series('{{2026-01-01},{2026-01-02}}', '{1,2}', '{30}');
SELECT dbops.forecast_series('{2026-01-01,2026-01-02}', '{{1},{2}}', '{30}');
SELECT dbops.forecast_series('{}', '{}', '{}');
SELECT dbops.forecast_series('{}', '{}', '{30,NULL}');
SELECT dbops.forecast_series('{}', '{}', '{0}');
SELECT dbops.forecast_series('{}', '{}', '{-30}');
SELECT dbops.forecast_series('{}', '{}', '{3651}');
SELECT dbops.forecast_series('{}', '{}', array_fill(30, '{21}'));
SELECT dbops.forecast_series('{}', array_fill(1::float8, '{100001}'), '{30}');
