-- The application that the demo operates: people who work from cafes rate and
-- visit venues. Its size and its flaws are those of a real one after a few
-- years: 1,200,000 visits by month, soft-deleted rows, wide texts, foreign keys
-- that nobody indexed, an index that is there twice. The data are the same in
-- each run, but for the dates, which end today.

\set ON_ERROR_STOP on
SET client_min_messages = warning;
SET synchronous_commit = off;
SET timezone = 'UTC';
SELECT setseed(0.42) \g /dev/null

CREATE TABLE users (
    id           bigserial PRIMARY KEY,
    email        text NOT NULL UNIQUE,
    display_name text NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    deleted_at   timestamptz
);

CREATE TABLE venues (
    id            bigserial PRIMARY KEY,
    owner_id      bigint NOT NULL,
    name          text NOT NULL,
    description   text,
    latitude      double precision NOT NULL,
    longitude     double precision NOT NULL,
    opening_hours jsonb NOT NULL,
    created_at    timestamptz NOT NULL DEFAULT now(),
    deleted_at    timestamptz
);

CREATE TABLE venue_amenities (
    id         bigserial PRIMARY KEY,
    venue_id   bigint NOT NULL,
    wifi_mbps  int,
    outlets    boolean,
    quiet      boolean
);

CREATE TABLE venue_tags (
    id   bigserial PRIMARY KEY,
    name text NOT NULL UNIQUE
);

CREATE TABLE venue_tag_assignments (
    tag_id   bigint NOT NULL,
    venue_id bigint NOT NULL,
    PRIMARY KEY (tag_id, venue_id)
);

CREATE TABLE venue_visits (
    id         bigserial,
    venue_id   bigint NOT NULL,
    user_id    bigint NOT NULL,
    visit_date timestamptz NOT NULL,
    left_at    timestamptz,
    spent      numeric(8,2) NOT NULL
) PARTITION BY RANGE (visit_date);

CREATE TABLE reviews (
    id         bigserial PRIMARY KEY,
    venue_id   bigint NOT NULL,
    user_id    bigint NOT NULL,
    visit_id   bigint,
    visit_date timestamptz,
    rating     int NOT NULL CHECK (rating BETWEEN 1 AND 5),
    body       text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    deleted_at timestamptz
);

CREATE TABLE user_preferences (
    id          bigserial PRIMARY KEY,
    user_id     bigint NOT NULL CONSTRAINT uniq_user_preferences UNIQUE,
    preferences jsonb NOT NULL DEFAULT '{}',
    created_at  timestamp NOT NULL DEFAULT now(),
    updated_at  timestamp NOT NULL DEFAULT now()
);

CREATE TABLE user_preferences_history (
    id          bigserial,
    user_id     bigint NOT NULL,
    preferences jsonb NOT NULL,
    changed_at  timestamp NOT NULL DEFAULT now(),
    changed_by  varchar(100)
) PARTITION BY RANGE (changed_at);

-- Months: the last seventeen, this one and the next.
SELECT format('CREATE TABLE %I PARTITION OF %I FOR VALUES FROM (%L) TO (%L)',
              parent || to_char(month, '_YYYY_MM'), parent, month, month + interval '1 month')
  FROM unnest(ARRAY['venue_visits', 'user_preferences_history']) AS parent,
       generate_series(date_trunc('month', now()) - interval '17 months',
                       date_trunc('month', now()) + interval '1 month', interval '1 month') AS month
\gexec

-- Texts of 100 to 2000 characters, of which rows below take one.
CREATE TEMP TABLE prose AS
SELECT n, (SELECT string_agg((ARRAY['quiet', 'corner', 'table', 'by the window', 'fast wifi', 'strong coffee',
                                    'friendly staff', 'crowded after noon', 'sockets everywhere', 'calls are fine',
                                    'bring headphones', 'good light', 'long queue', 'closes early', 'would return'
                                   ])[1 + floor(random() * 15)], ', ')
             FROM generate_series(1, 8 + n % 140)) AS words
  FROM generate_series(0, 1999) AS n;
ALTER TABLE prose ADD PRIMARY KEY (n);

INSERT INTO users (email, display_name, created_at, deleted_at)
SELECT format('user%s@example.com', n), 'User ' || n,
       now() - random() * interval '4 years',
       CASE WHEN random() < 0.03 THEN now() - random() * interval '90 days' END
  FROM generate_series(1, 60000) AS n;

INSERT INTO venues (owner_id, name, description, latitude, longitude, opening_hours, created_at, deleted_at)
SELECT 1 + floor(random() * 60000), 'Venue ' || venue,
       words, random() * 120 - 60, random() * 360 - 180,
       jsonb_build_object('mon-fri', '08:00-19:00', 'sat', '09:00-17:00'),
       now() - random() * interval '4 years',
       CASE WHEN random() < 0.05 THEN now() - random() * interval '90 days' END
  FROM generate_series(1, 8000) AS venue JOIN prose ON prose.n = venue % 2000;

-- One more, which opened yesterday: nobody has been there.
INSERT INTO venues (owner_id, name, latitude, longitude, opening_hours, created_at)
VALUES (1, 'Venue 8001', 52.5, 13.4, '{"sat": "09:00-17:00"}', now() - interval '1 day');

INSERT INTO venue_amenities (venue_id, wifi_mbps, outlets, quiet)
SELECT n, 5 + floor(random() * 500), random() < 0.7, random() < 0.5 FROM generate_series(1, 8000) AS n;

INSERT INTO venue_tags (name) SELECT 'tag ' || n FROM generate_series(1, 40) AS n;

INSERT INTO venue_tag_assignments (tag_id, venue_id)
SELECT tag, venue FROM generate_series(1, 40) AS tag, generate_series(1, 8000) AS venue WHERE random() < 0.075;

INSERT INTO venue_visits (id, venue_id, user_id, visit_date, left_at, spent)
SELECT n, venue_id, user_id, visit_date,
       -- one in 250 forgot to check out
       CASE WHEN random() >= 0.004 THEN visit_date + (20 + random() * 220) * interval '1 minute' END,
       2 + random() * 25
  FROM (SELECT n,
               1 + floor(8000 * random() ^ 2) AS venue_id,
               1 + floor(60000 * random()) AS user_id,
               now() - (1 - n / 1200000.0) * (now() - date_trunc('month', now()) + interval '500 days') AS visit_date
          FROM generate_series(1, 1200000) AS n) AS visit;
SELECT setval('venue_visits_id_seq', 1200000) \g /dev/null
ALTER TABLE venue_visits ADD PRIMARY KEY (id, visit_date);

INSERT INTO reviews (venue_id, user_id, visit_id, visit_date, rating, body, created_at, deleted_at)
SELECT venue_id, user_id, id, visit_date, 1 + floor(random() * 5),
       words, visit_date + interval '1 day',
       CASE WHEN random() < 0.04 THEN now() - random() * interval '90 days' END
  FROM venue_visits JOIN prose ON n = id % 1999 WHERE id % 12 = 0;

INSERT INTO user_preferences (user_id, preferences)
SELECT n, jsonb_build_object('theme', CASE WHEN random() < 0.5 THEN 'dark' ELSE 'light' END,
                             'language', (ARRAY['en', 'de', 'pt', 'ja'])[1 + floor(random() * 4)],
                             'email', random() < 0.3)
  FROM generate_series(1, 60000) AS n;

INSERT INTO user_preferences_history (user_id, preferences, changed_at, changed_by)
SELECT user_id, preferences, now() - random() * interval '480 days', 'app'
  FROM user_preferences, generate_series(1, 2);

CREATE FUNCTION log_preference_changes() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO user_preferences_history (user_id, preferences, changed_by)
    VALUES (NEW.user_id, NEW.preferences, current_user);
    RETURN NEW;
END
$$;
CREATE TRIGGER trg_log_preference_changes AFTER INSERT OR UPDATE ON user_preferences
    FOR EACH ROW EXECUTE FUNCTION log_preference_changes();

-- Indexes: some are missing, one serves only a part of its table, one is
-- there twice.
CREATE INDEX idx_reviews_user_id ON reviews (user_id);
CREATE INDEX idx_reviews_venue_id ON reviews (venue_id) WHERE deleted_at IS NULL;
CREATE INDEX idx_reviews_visit_date ON reviews (visit_date);
CREATE INDEX idx_venue_visits_user_id ON venue_visits (user_id, visit_date DESC);
CREATE INDEX idx_user_preferences_user_id ON user_preferences (user_id);
CREATE INDEX idx_user_preferences_jsonb ON user_preferences USING gin (preferences jsonb_path_ops);
CREATE INDEX idx_prefs_history_user_id ON user_preferences_history (user_id, changed_at DESC);

ALTER TABLE venues ADD FOREIGN KEY (owner_id) REFERENCES users;
ALTER TABLE venue_amenities ADD FOREIGN KEY (venue_id) REFERENCES venues ON DELETE CASCADE;
ALTER TABLE venue_tag_assignments ADD FOREIGN KEY (tag_id) REFERENCES venue_tags ON DELETE CASCADE;
ALTER TABLE venue_tag_assignments ADD FOREIGN KEY (venue_id) REFERENCES venues ON DELETE CASCADE;
ALTER TABLE venue_visits ADD FOREIGN KEY (venue_id) REFERENCES venues;
ALTER TABLE venue_visits ADD FOREIGN KEY (user_id) REFERENCES users;
ALTER TABLE reviews ADD FOREIGN KEY (venue_id) REFERENCES venues ON DELETE CASCADE;
ALTER TABLE reviews ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE reviews ADD FOREIGN KEY (visit_id, visit_date) REFERENCES venue_visits (id, visit_date);
ALTER TABLE user_preferences ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
ALTER TABLE user_preferences_history ADD FOREIGN KEY (user_id) REFERENCES users ON DELETE CASCADE;
