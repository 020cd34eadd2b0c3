-- The installation adopts nothing that somebody has put in its place. A
-- database of its own for each attempt, since the extension is loaded here.
\set VERBOSITY terse
SELECT current_database() AS home \gset
CREATE DATABASE regress_install_schema;
\c regress_install_schema
CREATE SCHEMA dbops;
CREATE EXTENSION dbops;
DROP SCHEMA dbops;
CREATE EXTENSION dbops;
-- a second schema cannot be chosen, and the extension cannot be moved
ALTER EXTENSION dbops SET SCHEMA public;
DROP EXTENSION dbops;
CREATE EXTENSION dbops SCHEMA public;
-- nothing is left behind
SELECT count(*) FROM pg_namespace WHERE nspname = 'dbops';
\c :home
DROP DATABASE regress_install_schema;
