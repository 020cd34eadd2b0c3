/*
 * review_tables.c
 *		Rules about how tables are kept.
 */
#include "advise/review.h"

static const DbopsRule rules[] = {
	{
		.name = "tables.autovacuum_off",
		.severity = DBOPS_WARNING,
		.about = "tables of 10,000 rows or more that autovacuum is told to leave alone",
		.source = "postgres-checkup, Percona's advisors",
		.sql = "SELECT c.oid::regclass::text, format('autovacuum is off for %s: dead rows stay until ids are about to run out', CASE WHEN x.toast THEN 'its long values' ELSE 'it' END),"
		" format('ALTER TABLE %s RESET (%s);', c.oid::regclass, CASE WHEN x.toast THEN 'toast.autovacuum_enabled' ELSE 'autovacuum_enabled' END)"
		" FROM pg_class c LEFT JOIN pg_class t ON t.oid = c.reltoastrelid"
		" CROSS JOIN LATERAL (SELECT false AS toast, c.reloptions AS options UNION ALL SELECT true, t.reloptions) x"
		" CROSS JOIN LATERAL pg_options_to_table(x.options) o"
		" WHERE c.relkind IN ('r', 'm') AND " IS_USERS("c") " AND o.option_name = 'autovacuum_enabled' AND NOT o.option_value::bool"
		" AND greatest(c.reltuples, pg_stat_get_live_tuples(c.oid)) >= 10000"
	},
	{
		.name = "tables.unlogged",
		.severity = DBOPS_WARNING,
		.about = "tables that a crash empties and that standbys do not have",
		.source = "check_pgactivity",
		.sql = "SELECT c.oid::regclass::text, 'a crash empties it, and standbys and most backups do not have its rows; the change writes all of it to the WAL, and nobody can use it meanwhile',"
		" CASE WHEN EXISTS (SELECT FROM pg_constraint k JOIN pg_class r ON r.oid = k.confrelid AND r.relpersistence = 'u' WHERE k.conrelid = c.oid AND k.contype = 'f' AND r.oid <> c.oid)"
		" THEN 'Set those that it references LOGGED first, and then this one.' ELSE format('ALTER TABLE %s SET LOGGED;', c.oid::regclass) END"
		" FROM pg_class c WHERE c.relkind = 'r' AND c.relpersistence = 'u' AND " IS_USERS("c")
	},
	{
		.name = "tables.column_limit",
		.severity = DBOPS_WARNING,
		.about = "tables that have used most of the 1600 columns that a table can ever have",
		.source = "PostgreSQL's manual",
		.sql = "SELECT c.oid::regclass::text, format('%s of at most 1600 columns are used, those that were dropped counted: soon none can be added', c.relnatts),"
		" 'Copy its rows into a table with the columns that are left, and give that its name.'"
		" FROM pg_class c WHERE c.relnatts >= 1200 AND " IS_TABLE("c")
	},
	{
		.name = "tables.rewrite_rules",
		.severity = DBOPS_INFO,
		.about = "rules of the rewrite system on tables, which do not do what triggers do",
		.source = "PostgreSQL's wiki",
		.sql = "SELECT format('%s.%I', c.oid::regclass, r.rulename), 'it rewrites statements: RETURNING, COPY and volatile expressions do not do what they seem to',"
		" 'Write a trigger that does it, and drop the rule.'"
		" FROM pg_rewrite r JOIN pg_class c ON c.oid = r.ev_class WHERE r.ev_type <> '1' AND c.relkind IN ('r', 'p') AND " IS_USERS("c")
	},
	{
		.name = "tables.inheritance",
		.severity = DBOPS_INFO,
		.about = "tables of the old inheritance, of which neither keys nor references reach the children",
		.source = "PostgreSQL's wiki",
		.sql = "SELECT p.oid::regclass::text, format(CASE WHEN count(*) = 1 THEN '%s table inherits from it: its keys and foreign keys do not hold there'"
		" ELSE '%s tables inherit from it: its keys and foreign keys do not hold there' END, count(*)),"
		" 'Use declarative partitioning, or tables that reference each other.'"
		" FROM pg_inherits h JOIN pg_class p ON p.oid = h.inhparent AND p.relkind = 'r' JOIN pg_class k ON k.oid = h.inhrelid AND k.relkind = 'r' WHERE " IS_USERS("p") " GROUP BY p.oid"
	},
	{
		.name = "tables.wide",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "tables of more than 100 columns",
		.source = "pgFirstAid, SchemaCrawler",
		.sql = "SELECT c.oid::regclass::text, format('it has %s columns', count(*)), 'Put what is not read together into tables of their own.'"
		" FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped WHERE c.relnatts > 100 AND " IS_TABLE("c") " GROUP BY c.oid HAVING count(*) > 100"
	}
};

const DbopsRuleSet dbops_table_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
