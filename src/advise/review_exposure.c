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

/* The schemas that PostgREST is told to serve, whoever is told so; none: nobody is. */
#define SERVED \
	"served (name) AS (SELECT btrim(s.name, ' \"') FROM (SELECT unnest(d.setconfig) AS setting FROM pg_db_role_setting d " \
	"WHERE d.setdatabase IN (0, (SELECT oid FROM pg_database WHERE datname = current_database())) " \
	"UNION ALL SELECT 'pgrst.db_schemas=' || current_setting('pgrst.db_schemas', true)) x " \
	"CROSS JOIN LATERAL unnest(string_to_array(split_part(x.setting, '=', 2), ',')) s (name) " \
	"WHERE split_part(x.setting, '=', 1) IN ('pgrst.db_schemas', 'pgrst.db_schema') AND btrim(s.name) <> '')"

/* Who has rights on a relation, and is neither its owner nor above policies; PUBLIC is 0. */
#define GRANTEES(alias, privileges) \
	"(SELECT string_agg(DISTINCT CASE g.grantee WHEN 0 THEN 'PUBLIC' ELSE g.grantee::regrole::text END, ', ') " \
	"FROM aclexplode(" alias ".relacl) g LEFT JOIN pg_roles r ON r.oid = g.grantee " \
	"WHERE g.privilege_type IN (" privileges ") AND g.grantee <> " alias ".relowner AND NOT coalesce(r.rolsuper OR r.rolbypassrls OR r.rolname ~ '^pg_', false) " \
	"AND (g.grantee <> 0 OR has_schema_privilege(0::oid, " alias ".relnamespace, 'USAGE')) " \
	"AND (g.grantee = 0 OR has_schema_privilege(g.grantee, " alias ".relnamespace, 'USAGE')))"

/* What a view or materialized view reads, directly and through others. */
#define READS \
	"reads (reader, relation) AS (SELECT DISTINCT w.ev_class, d.refobjid FROM pg_rewrite w JOIN pg_depend d ON d.classid = 'pg_rewrite'::regclass AND d.objid = w.oid " \
	"AND d.refclassid = 'pg_class'::regclass AND d.refobjid <> w.ev_class JOIN pg_class v ON v.oid = w.ev_class AND v.relkind IN ('v', 'm')), " \
	"deep (reader, relation) AS (SELECT reader, relation FROM reads UNION SELECT p.reader, q.relation FROM deep p JOIN reads q ON q.reader = p.relation)"

static const DbopsRule rules[] = {
	{
		.name = "rls.missing",
		.severity = DBOPS_WARNING,
		.about = "tables that application roles reach without row level security, in schemas where it is relied on",
		.source = "splinter 0013, guide 000's checklist",
		.sql = "WITH " SERVED " SELECT c.oid::regclass::text, format('%s can reach all of its rows: row level security is off', x.grantees),"
		" format('ALTER TABLE %s ENABLE ROW LEVEL SECURITY;', c.oid::regclass), NULL"
		" FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace CROSS JOIN LATERAL (SELECT " GRANTEES("c", "'SELECT', 'INSERT', 'UPDATE', 'DELETE'") " AS grantees) x"
		" WHERE NOT c.relrowsecurity AND x.grantees IS NOT NULL AND " IS_TABLE("c")
		" AND CASE WHEN EXISTS (SELECT FROM served) THEN n.nspname IN (SELECT name FROM served)"
		" ELSE c.relnamespace IN (SELECT t.relnamespace FROM pg_class t WHERE t.relrowsecurity AND t.relkind IN ('r', 'p') AND " IS_USERS("t") ") END"
		" AND NOT EXISTS (SELECT FROM pg_policy p WHERE p.polrelid = c.oid)"
		" UNION ALL SELECT NULL, 'there is a role authenticator, as PostgREST has, and no pgrst.db_schemas: which schemas it serves is not known here',"
		" 'ALTER ROLE authenticator SET pgrst.db_schemas = ''public''; as it is in its configuration', 'unknown'"
		" WHERE EXISTS (SELECT FROM pg_roles WHERE rolname = 'authenticator' AND rolcanlogin) AND NOT EXISTS (SELECT FROM served)"
		" AND NOT EXISTS (SELECT FROM pg_class t WHERE t.relrowsecurity AND t.relkind IN ('r', 'p') AND " IS_USERS("t") ")"
	},
	{
		.name = "views.bypass_rls",
		.severity = DBOPS_WARNING,
		.about = "views that show rows past the policies of their tables, since they read them as their owner",
		.source = "splinter 0010",
		.sql = "WITH RECURSIVE " READS " SELECT v.oid::regclass::text, format('it reads %s as its owner, to whom the policies do not apply, for %s',"
		" string_agg(DISTINCT t.oid::regclass::text, ', '), max(x.grantees)), format('ALTER VIEW %s SET (security_invoker = true);', v.oid::regclass)"
		" FROM deep JOIN pg_class v ON v.oid = deep.reader AND v.relkind = 'v' JOIN pg_class t ON t.oid = deep.relation AND t.relrowsecurity"
		" JOIN pg_roles o ON o.oid = v.relowner CROSS JOIN LATERAL (SELECT " GRANTEES("v", "'SELECT', 'INSERT', 'UPDATE', 'DELETE'") " AS grantees) x"
		" WHERE x.grantees IS NOT NULL AND NOT coalesce((SELECT p.option_value::bool FROM pg_options_to_table(v.reloptions) p WHERE p.option_name = 'security_invoker'), false)"
		" AND (o.rolsuper OR o.rolbypassrls OR pg_has_role(v.relowner, t.relowner, 'USAGE') AND NOT t.relforcerowsecurity) AND " IS_USERS("v")
		" GROUP BY v.oid"
	},
	{
		.name = "matviews.bypass_rls",
		.severity = DBOPS_WARNING,
		.about = "materialized views that keep rows of tables with row level security for others to read",
		.source = "splinter 0016",
		.sql = "WITH RECURSIVE " READS " SELECT m.oid::regclass::text, format('%s can read in it what the policies of %s keep back', max(x.grantees), string_agg(DISTINCT t.oid::regclass::text, ', ')),"
		" format('REVOKE ALL ON %s FROM %s;', m.oid::regclass, max(x.grantees))"
		" FROM deep JOIN pg_class m ON m.oid = deep.reader AND m.relkind = 'm' JOIN pg_class t ON t.oid = deep.relation AND t.relrowsecurity"
		" CROSS JOIN LATERAL (SELECT " GRANTEES("m", "'SELECT'") " AS grantees) x WHERE x.grantees IS NOT NULL AND " IS_USERS("m") " GROUP BY m.oid"
	}
};

const DbopsRuleSet dbops_exposure_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
