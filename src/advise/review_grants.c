/*
 * review_grants.c
 *		Rules about what is granted: to PUBLIC above all, which is everybody who can
 *		connect.
 */
#include "advise/review.h"


static const DbopsRule rules[] = {
	{
		.name = "privileges.public_create",
		.severity = DBOPS_WARNING,
		.about = "schemas in which anybody may create objects",
		.source = "guide 003's quarterly audit, CVE-2018-1058",
		.sql = "SELECT quote_ident(n.nspname), 'anybody may create tables and functions in it, which others then find by their search_path',"
		" format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC;', n.nspname)"
		" FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g WHERE n.oid = ANY ($2) AND g.grantee = 0 AND g.privilege_type = 'CREATE'"
	},
	{
		.name = "privileges.schema_create",
		.severity = DBOPS_INFO,
		.about = "roles that may create objects in schemas that are not theirs",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%I for %s', n.nspname, g.grantee::regrole), format('%s may create objects in schema %s, which is %s''s', g.grantee::regrole, quote_ident(n.nspname), n.nspowner::regrole),"
		" format('REVOKE CREATE ON SCHEMA %I FROM %s;', n.nspname, g.grantee::regrole)"
		" FROM pg_namespace n CROSS JOIN LATERAL aclexplode(n.nspacl) g WHERE n.oid = ANY ($2) AND g.grantee NOT IN (0, n.nspowner) AND g.privilege_type = 'CREATE'"
	},
	{
		.name = "privileges.public_table",
		.severity = DBOPS_WARNING,
		.about = "tables, views and sequences that anybody may read or write",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT c.oid::regclass::text, format('everybody who can connect has %s on it', string_agg(DISTINCT g.privilege_type, ', ')),"
		" format('REVOKE ALL ON %s%s FROM PUBLIC;', CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, c.oid::regclass),"
		" CASE WHEN bool_and(g.privilege_type IN ('SELECT', 'USAGE')) AND NOT has_schema_privilege(0::oid, c.relnamespace, 'USAGE') THEN 'info'"
		" WHEN bool_or(g.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')) AND has_schema_privilege(0::oid, c.relnamespace, 'USAGE') THEN 'critical' END"
		" FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND g.grantee = 0 AND " IS_USERS("c") " GROUP BY c.oid, c.relkind, c.relnamespace"
	},
	{
		.name = "privileges.public_database",
		.severity = DBOPS_WARNING,
		.about = "databases in which anybody may create schemas",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(d.datname), 'anybody may create schemas in it', format('REVOKE CREATE ON DATABASE %I FROM PUBLIC;', d.datname)"
		" FROM pg_database d CROSS JOIN LATERAL aclexplode(d.datacl) g WHERE d.datname = current_database() AND g.grantee = 0 AND g.privilege_type = 'CREATE'"
	},
	{
		.name = "privileges.public_connect",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "databases that any role may connect to, as is the default",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(d.datname), 'any role that can log in may connect to it', format('REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC; after GRANT CONNECT to those who need it', d.datname)"
		" FROM pg_database d CROSS JOIN LATERAL aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) g WHERE d.datname = current_database() AND g.grantee = 0 AND g.privilege_type = 'CONNECT'"
	},
	{
		.name = "privileges.grant_option",
		.severity = DBOPS_INFO,
		.about = "rights on tables that may be passed on by those who have them",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%s for %s', c.oid::regclass, g.grantee::regrole), format('%s may grant %s on it to others', g.grantee::regrole, string_agg(DISTINCT g.privilege_type, ', ')),"
		" format('REVOKE GRANT OPTION FOR ALL ON %s FROM %s CASCADE;', c.oid::regclass, g.grantee::regrole)"
		" FROM pg_class c CROSS JOIN LATERAL aclexplode(c.relacl) g WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND g.is_grantable AND g.grantee NOT IN (0, c.relowner) AND " IS_USERS("c")
		" GROUP BY c.oid, g.grantee"
	},
	{
		.name = "privileges.default_public",
		.severity = DBOPS_WARNING,
		.about = "default privileges that give everybody rights on what will be created",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%s of %s%s', k.kind, d.defaclrole::regrole, coalesce(' in ' || quote_ident(n.nspname), '')), format('%s that %s creates are everybody''s at once: %s', k.kind, d.defaclrole::regrole, string_agg(DISTINCT g.privilege_type, ', ')),"
		" format('ALTER DEFAULT PRIVILEGES FOR ROLE %s%s REVOKE ALL ON %s FROM PUBLIC;', d.defaclrole::regrole, coalesce(' IN SCHEMA ' || quote_ident(n.nspname), ''), upper(k.kind))"
		" FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL aclexplode(d.defaclacl) g"
		" CROSS JOIN LATERAL (SELECT CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'n' THEN 'schemas' END AS kind) k"
		" WHERE g.grantee = 0 AND k.kind IS NOT NULL GROUP BY d.oid, d.defaclrole, n.nspname, k.kind"
	},
	{
		.name = "privileges.user_mapping",
		.severity = DBOPS_WARNING,
		.about = "foreign servers that everybody reaches with one password",
		.source = "PostgreSQL's manual",
		.sql = "SELECT quote_ident(s.srvname), 'everybody who may use it logs in there with one and the same password', format('DROP USER MAPPING FOR PUBLIC SERVER %I; and make one for each role', s.srvname)"
		" FROM pg_user_mapping u JOIN pg_foreign_server s ON s.oid = u.umserver WHERE u.umuser = 0"
		" AND EXISTS (SELECT FROM pg_options_to_table(u.umoptions) o WHERE o.option_name = 'password')",
		.as_owner = true
	}
};

const DbopsRuleSet dbops_grant_rules = {.review = "privileges", .rules = rules, .n_rules = lengthof(rules)};
