# shellcheck shell=bash
#
# Does what comes lie in the range that was forecast? Random series of 14 to 180
# days are forecast 30 and 90 days ahead and held against what the same random
# process does then. A range that is meant for 80 of 100 must have as many, of
# the kinds that its weights were set with and of the kinds that they were not.
#
# The first kind: growth of 0 to 4 a day on 200, noise that hangs together,
# steps, spikes, weekly cycles, rates that change, in the future as in the past.
# The others: exponential growth, uneven days, rows that begin to be dropped, a
# rate that drifts, a random walk, monthly waves, partitions dropped again and
# again. No series of a real database was at hand. The seed is fixed.
. "$(dirname "$0")/lib.sh"

series=$(scaled 400)

psql_run "
CREATE FUNCTION gauss() RETURNS float8 LANGUAGE sql AS 'SELECT sqrt(-2 * ln(1 - random())) * cos(2 * pi() * random())';
CREATE FUNCTION make(kind int, days int) RETURNS float8[] LANGUAGE plpgsql AS \$\$
DECLARE
    y float8[] := '{}'; v float8; level float8 := 200; e float8 := 0; spike int := 0; high float8 := 0; drift float8 := 0;
    growth float8 := CASE kind WHEN 0 THEN 4 ELSE 2 END * random(); noise float8 := 0.1 + 1.9 * random(); hangs float8 := 0.8 * random();
    week float8 := CASE WHEN random() < 0.3 THEN 4 * random() ELSE 0 END; steps float8 := CASE WHEN random() < 0.4 THEN 2 * random() / 90 ELSE 0 END;
    spikes float8 := 3 * random() / 90; changes float8 := CASE WHEN random() < 0.5 THEN 1.0 / 90 ELSE 0 END;
    rate float8 := 0.0005 + 0.0095 * random(); uneven float8 := 0.2 + 1.3 * random(); keep int := 30 + (90 * random())::int;
    every int := 7 + (28 * random())::int; phase int := (35 * random())::int;
BEGIN
    FOR i IN 0 .. days - 1 LOOP
        IF kind = 0 THEN
            IF random() < changes THEN growth := least(growth * (0.2 + 2.3 * random()), 8); END IF;
            level := greatest(level + growth, 5);
            IF random() < steps THEN level := greatest(level + (10 + 90 * random()) * CASE WHEN random() < 0.5 THEN -1 ELSE 1 END, 5); END IF;
            IF spike = 0 AND random() < spikes THEN spike := 1 + (2 * random())::int; high := 20 + 140 * random(); END IF;
            e := hangs * e + noise * gauss();
            v := level + e + week * sin(2 * pi() * i / 7) + CASE WHEN spike > 0 THEN high ELSE 0 END;
            spike := greatest(spike - 1, 0);
        ELSE
            drift := drift + 0.015 * growth * gauss();
            level := greatest(level + CASE kind WHEN 2 THEN growth * exp(uneven * gauss() - uneven * uneven / 2) WHEN 4 THEN growth + drift WHEN 5 THEN 2 * growth * gauss() ELSE 0 END, 1);
            v := noise * gauss() + CASE kind
                WHEN 1 THEN 200 * exp(rate * i) WHEN 3 THEN 200 + growth * least(i, keep) WHEN 6 THEN 200 + growth * i + 10 * growth * sin(2 * pi() * (i + phase) / 30.4)
                WHEN 7 THEN 200 + growth * ((i + phase) % every) + 0.2 * growth * i ELSE level END;
        END IF;
        y := y || greatest(v, 0);
    END LOOP;
    RETURN y;
END \$\$;
CREATE TABLE made(kind int, days int, number int, y float8[]);

SELECT setseed(0.31);
INSERT INTO made SELECT kind, days, number, make(kind, days + 90) FROM (VALUES (14), (30), (90), (180)) d(days), generate_series(0, 7) kind,
    LATERAL generate_series(1, CASE kind WHEN 0 THEN $series ELSE $series / 4 END) number;
CREATE TABLE seen AS
SELECT kind, made.days, horizon, y[made.days + horizon] BETWEEN low AND high AS inside, abs(forecast - y[made.days + horizon]) AS off
  FROM made, LATERAL (SELECT array_agg(timestamptz '2026-01-01 12:00+00' + i * interval '24 hours') AS times FROM generate_series(1, made.days) i) t,
       LATERAL dbops.forecast_series(times, y[1:made.days], '{30,90}')" >/dev/null

for days in 14 30 90 180; do
	for horizon in 30 90; do
		for kinds in '= 0' '> 0'; do
			inside=$(psql_run "SELECT round(avg(share), 1) FROM (SELECT 100 * avg(inside::int) AS share FROM seen WHERE days = $days AND horizon = $horizon AND kind $kinds GROUP BY kind) s")
			[ "$kinds" = '= 0' ] && name='of the first kind' || name='of the others'
			hold "$days days, $horizon ahead, $name: $inside percent in a range for 80" "$(awk -v i="$inside" 'BEGIN { print i / 80 }')" 0.97
		done
	done
done
psql_run "SELECT format('kind %s, %s days, %s ahead: %s percent inside, off by %s', kind, days, horizon, round(100 * avg(inside::int)), round(percentile_cont(0.5) WITHIN GROUP (ORDER BY off)::numeric, 1)) FROM seen GROUP BY kind, days, horizon ORDER BY kind, days, horizon"
