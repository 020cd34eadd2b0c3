/*
 * review_exposure.c
 *		Rules about rows that others reach past row level security.
 *
 * Which tables ought to have it follows from what is exposed: the schemas that
 * PostgREST serves, where it says so, else those in which some table has row
 * level security. A database that has neither promises nothing, and nothing is
 * found in it; one that has PostgREST's role and does not say what is served is
 * unknown, and not well.
 */
#include "advise/review.h"
#include "advise/review_sql.h"

/* The schemas that PostgREST is told to serve, whoever is told so; none: nobody is. */
#define SERVED \
	"served (name) AS (SELECT btrim(s.name, ' \"') FROM (SELECT unnest(d.setconfig) AS setting FROM pg_db_role_setting d " \
	"WHERE d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) " \
	"UNION ALL SELECT 'pgrst.db_schemas=' || current_setting('pgrst.db_schemas', true)) x " \
	"CROSS JOIN LATERAL unnest(string_to_array(split_part(x.setting, '=', 2), ',')) s (name) " \
	"WHERE split_part(x.setting, '=', 1) IN ('pgrst.db_schemas', 'pgrst.db_schema') AND btrim(s.name) <> '')"

/*
 * Who has rights on relations, or on some of their columns, and is neither their
 * owner nor above policies; PUBLIC is 0.
 */
#define REACHED(kinds, privileges) \
	"granted (relation, kind, namespace, grantee) AS (SELECT c.oid, c.relkind, c.relnamespace, g.grantee FROM pg_class c CROSS JOIN aclexplode(c.relacl) g " \
	"WHERE c.relkind IN (" kinds ") AND c.relacl IS NOT NULL AND g.grantee <> c.relowner AND g.privilege_type IN (" privileges ") AND " IS_USERS("c") \
	" UNION SELECT c.oid, c.relkind, c.relnamespace, g.grantee FROM pg_attribute a CROSS JOIN aclexplode(a.attacl) g JOIN pg_class c ON c.oid = a.attrelid " \
	"WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND c.relkind IN (" kinds ") AND g.grantee <> c.relowner AND g.privilege_type IN (" privileges ") AND " IS_USERS("c") "), " \
	"reached (relation, kind, grantees) AS (SELECT x.relation, x.kind, string_agg(CASE x.grantee WHEN 0 THEN 'PUBLIC' ELSE x.grantee::regrole::text END, ', ' ORDER BY x.grantee::regrole::text) " \
	"FROM granted x LEFT JOIN pg_roles r ON r.oid = x.grantee WHERE NOT coalesce(r.rolsuper OR r.rolbypassrls OR r.rolname ~ '^pg_', false) " \
	"AND has_schema_privilege(x.grantee, x.namespace, 'USAGE') GROUP BY x.relation, x.kind)"

#define TO_WRITE	"'SELECT', 'INSERT', 'UPDATE', 'DELETE'"

/* What reads tables with row level security, directly and through other views. */
#define READS \
	"reads (reader, relation, secured) AS (SELECT w.ev_class, d.refobjid, d.refobjid FROM pg_class t JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = t.oid " \
	"AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_class <> t.oid JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm') WHERE t.relrowsecurity " \
	"UNION SELECT w.ev_class, d.refobjid, p.secured FROM reads p JOIN pg_depend d ON d.refclassid = 'pg_class'::regclass AND d.refobjid = p.reader " \
	"AND d.classid = 'pg_rewrite'::regclass JOIN pg_rewrite w ON w.oid = d.objid AND w.ev_class <> p.reader JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm'))"

/* Partitions that are judged with a table that they are part of, as that is reached too. */
#define PARTS \
	"parts (relation) AS (SELECT h.inhrelid FROM reached y JOIN pg_inherits h ON h.inhparent = y.relation WHERE y.kind = 'p' " \
	"UNION SELECT h.inhrelid FROM parts b JOIN pg_inherits h ON h.inhparent = b.relation)"

static const DbopsRule rules[] = {
	{
		.name = "rls.missing",
		.severity = DBOPS_WARNING,
		.about = "tables that application roles reach without row level security, in schemas where it is relied on",
		.source = "splinter 0013, guide 000's checklist",
		.sql = "WITH RECURSIVE " SERVED ", " BELOW ", " REACHED("'r', 'p'", TO_WRITE) ", " PARTS
		" SELECT c.oid::regclass::text, format('%s can reach all of its rows: row level security is off', x.grantees),"
		" 'Create policies that say who may do what with which rows, and only then enable row level security: without a policy nobody but the owner sees a row.', NULL"
		" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace JOIN reached x ON x.relation = c.oid"
		" WHERE NOT c.relrowsecurity AND NOT EXISTS (SELECT FROM below b WHERE b.relation = c.oid) AND NOT EXISTS (SELECT FROM parts b WHERE b.relation = c.oid)"
		" AND CASE WHEN EXISTS (SELECT FROM served) THEN n.nspname IN (SELECT name FROM served)"
		" ELSE c.relnamespace IN (SELECT t.relnamespace FROM pg_class t WHERE t.relrowsecurity AND t.relkind IN ('r', 'p') AND " IS_USERS("t") ") END"
		" AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
		" UNION ALL SELECT c.oid::regclass::text, format('%s can name it instead of %s, whose policies do not hold then; with row level security of its own it shows them nothing, and that table shows what it did',"
		" x.grantees, b.secured), format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', c.oid::regclass), 'critical'"
		" FROM (SELECT relation, string_agg(secured::regclass::text, ', ' ORDER BY secured::regclass::text) AS secured FROM below GROUP BY relation) b"
		" JOIN pg_class c ON c.oid = b.relation AND c.relkind IN ('r', 'p') JOIN reached x ON x.relation = c.oid WHERE NOT c.relrowsecurity AND " IS_USERS("c")
		" AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
		" UNION ALL SELECT NULL, 'there is a role authenticator, as PostgREST has, and no pgrst.db_schemas: which schemas it serves is not known here',"
		" 'Say in the database what it serves: ALTER ROLE authenticator SET pgrst.db_schemas to what its configuration has.', 'unknown'"
		" WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticator' AND rolcanlogin) AND NOT EXISTS (SELECT FROM served)"
		" AND NOT EXISTS (SELECT FROM pg_class t WHERE t.relrowsecurity AND t.relkind IN ('r', 'p') AND " IS_USERS("t") ")"
	},
	{
		.name = "views.bypass_rls",
		.severity = DBOPS_WARNING,
		.about = "views that show rows past the policies of their tables, since they read them as their owner",
		.source = "splinter 0010",
		.sql = "WITH RECURSIVE " READS ", " REACHED("'v'", TO_WRITE) " SELECT v.oid::regclass::text, format('it reads %s as its owner, to whom the policies do not apply, for %s; as its reader, who needs rights on what it reads then, it shows what the policies let him see',"
		" string_agg(DISTINCT t.oid::regclass::text, ', '), max(x.grantees)), format('ALTER VIEW %s SET (security_invoker = true);', v.oid::regclass)"
		" FROM reads JOIN pg_class v ON v.oid = reads.reader AND v.relkind = 'v' JOIN pg_class t ON t.oid = reads.secured"
		" JOIN pg_roles o ON o.oid = v.relowner JOIN reached x ON x.relation = v.oid"
		" WHERE NOT coalesce((SELECT p.option_value::bool FROM pg_options_to_table(v.reloptions) p WHERE p.option_name = 'security_invoker'), false)"
		" AND (o.rolsuper OR o.rolbypassrls OR pg_has_role(v.relowner, t.relowner, 'USAGE') AND NOT t.relforcerowsecurity) AND " IS_USERS("v")
		" GROUP BY v.oid"
	},
	{
		.name = "matviews.bypass_rls",
		.severity = DBOPS_WARNING,
		.about = "materialized views that keep rows of tables with row level security for others to read",
		.source = "splinter 0016",
		.sql = "WITH RECURSIVE " READS ", " REACHED("'m'", "'SELECT'") " SELECT m.oid::regclass::text, format('%s can read in it what the policies of %s keep back, and would read nothing of it any more', max(x.grantees), string_agg(DISTINCT t.oid::regclass::text, ', ')),"
		" format('REVOKE ALL ON %s FROM %s CASCADE;', m.oid::regclass, max(x.grantees))"
		" FROM reads JOIN pg_class m ON m.oid = reads.reader AND m.relkind = 'm' JOIN pg_class t ON t.oid = reads.secured JOIN reached x ON x.relation = m.oid GROUP BY m.oid"
	}
};

const DbopsRuleSet dbops_exposure_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
