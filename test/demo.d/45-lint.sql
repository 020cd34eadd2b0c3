\set ECHO queries
\echo '== Dangerous DDL'
\echo
\echo '   What would hurt is said before it is run, by the server''s own parser and this'
\echo '   database: a table that the text itself makes is no danger, a large one is. With'
\echo '   what to type instead:'
\echo
SELECT line, rule, severity, relation, why, safer_sql FROM dbops.lint_sql($$
    SET lock_timeout = '2s';
    CREATE TABLE menus (id bigint PRIMARY KEY, venue_id bigint NOT NULL, dish text);
    CREATE INDEX ON menus (venue_id);
    ALTER TABLE reviews ADD COLUMN token uuid DEFAULT gen_random_uuid();
    CREATE INDEX ON reviews (created_at);
    ALTER TABLE venues RENAME COLUMN name TO title;$$, in_transaction => false)
WHERE severity <> 'info';

\echo
\echo '   The same holds for what any client sends:'
\echo
SET dbops.ddl_guard = 'enforce';
SET dbops.guard_min_size = '1MB';
\set ON_ERROR_STOP off
TRUNCATE reviews;
\set ON_ERROR_STOP on
RESET dbops.ddl_guard;
RESET dbops.guard_min_size;
