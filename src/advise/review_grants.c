/*
 * review_grants.c
 *		Rules about what is granted: to PUBLIC above all, which is everybody who can
 *		connect.
 *
 * What somebody granted who had it with grant option, only he can take back: not
 * the owner, nor a superuser, who acts as the owner.
 */
#include "advise/review.h"

/* The statements that take back what is granted in the items g of an ACL that are meant. */
#define REVOKES(acl, owner, which, statement) \
	"(SELECT string_agg(CASE WHEN s.grantor = " owner " THEN " statement " ELSE format(E'SET ROLE %s;\\n%s\\nRESET ROLE;', s.grantor::regrole, " statement ") END, " \
	"E'\\n' ORDER BY s.grantor <> " owner ", s.grantor) FROM (SELECT DISTINCT g.grantor FROM aclexplode(" acl ") g WHERE " which ") s)"

/* Those who have rights from a grantee, and lose them with it; NULL: nobody. */
#define DEPENDENTS(acl, grantee, which) \
	"(SELECT string_agg(DISTINCT CASE d.grantee WHEN 0 THEN 'PUBLIC' ELSE d.grantee::regrole::text END, ', ') FROM aclexplode(" acl ") d WHERE d.grantor = " grantee " AND " which ")"

#define LOSE "coalesce('; those who have it from there lose it too: ' || x.dependent, '')"
#define CASCADES "CASE WHEN x.dependent IS NOT NULL THEN ' CASCADE' ELSE '' END"

/* Schemas that users made, and those of the server's that somebody might create something in. */
#define IS_SCHEMA "(n.oid = ANY ($2) OR n.nspname IN ('pg_catalog', 'information_schema'))"

#define QUALIFIED "format('%s.%I', x.relnamespace::regnamespace, x.relname)"
#define IS_SERVERS_OR(extensions) "(x.oid < 16384 OR x.oid = ANY (" extensions "))"

/*
 * Relations, columns and functions of the server and of extensions that PUBLIC has
 * rights on which they do not come with.
 */
#define GIVEN_AWAY \
	"things AS (SELECT 'pg_class'::regclass AS class, x.oid, 0 AS sub, x.relacl AS acl, x.relowner AS owner, " QUALIFIED " AS object, " \
	"CASE x.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END || " QUALIFIED " AS target, '' AS columns, x.relname AS name " \
	"FROM pg_class x WHERE x.relacl IS NOT NULL AND x.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND " IS_SERVERS_OR("$1") \
	" UNION ALL SELECT 'pg_class'::regclass, x.oid, a.attnum, a.attacl, x.relowner, format('%s.%I', " QUALIFIED ", a.attname), " QUALIFIED ", format(' (%I)', a.attname), x.relname " \
	"FROM pg_attribute a JOIN pg_class x ON x.oid = a.attrelid WHERE a.attacl IS NOT NULL AND " IS_SERVERS_OR("$1") \
	" UNION ALL SELECT 'pg_proc'::regclass, x.oid, 0, x.proacl, x.proowner, x.oid::regprocedure::text, 'ROUTINE ' || x.oid::regprocedure, '', x.proname " \
	"FROM pg_proc x WHERE x.proacl IS NOT NULL AND " IS_SERVERS_OR("$3") "), " \
	"given AS (SELECT t.*, x.rights FROM things t CROSS JOIN LATERAL (SELECT array_agg(DISTINCT g.privilege_type) AS rights FROM aclexplode(t.acl) g WHERE g.grantee = 0 " \
	"AND NOT EXISTS (SELECT FROM pg_init_privs i CROSS JOIN LATERAL aclexplode(i.initprivs) o WHERE i.classoid = t.class AND i.objoid = t.oid AND i.objsubid = t.sub " \
	"AND o.grantee = 0 AND o.privilege_type = g.privilege_type) " \
	"AND NOT (t.object LIKE 'information\\_schema.%' AND g.privilege_type = 'SELECT') " \
	"AND NOT (t.class = 'pg_proc'::regclass AND NOT EXISTS (SELECT FROM pg_init_privs i WHERE i.classoid = t.class AND i.objoid = t.oid))) x WHERE x.rights IS NOT NULL)"

/* What leads to everything: passwords, and the machine's files. */
#define IS_KEY \
	"(t.name ~ '^(pg_authid|pg_shadow|pg_user_mappings?|pg_subscription|pg_largeobject|pg_statistic(_ext_data)?|pg_file_settings|pg_hba_file_rules)$' " \
	"OR t.name ~ '^(pg_read_(binary_)?file|pg_ls_dir|pg_stat_file|pg_file_(write|rename|unlink|sync)|lo_import|lo_export)(_old|_off_len.*|_all.*)?$')"

/* Foreign servers, their wrappers and tablespaces, which are PUBLIC's only by a grant. */
#define OTHERS \
	"others AS (SELECT 'FOREIGN SERVER' AS kind, s.srvname AS name, s.srvacl AS acl, s.srvowner AS owner FROM pg_foreign_server s " \
	"UNION ALL SELECT 'FOREIGN DATA WRAPPER', w.fdwname, w.fdwacl, w.fdwowner FROM pg_foreign_data_wrapper w " \
	"UNION ALL SELECT 'TABLESPACE', t.spcname, t.spcacl, t.spcowner FROM pg_tablespace t)"

static const DbopsRule rules[] = {
	{
		.name = "privileges.public_create",
		.severity = DBOPS_WARNING,
		.about = "schemas in which anybody may create objects",
		.source = "guide 003's quarterly audit, CVE-2018-1058",
		.sql = "SELECT quote_ident(n.nspname), 'anybody may create tables and functions in it, which others then find by their search_path',"
		" " REVOKES("n.nspacl", "n.nspowner", "g.grantee = 0 AND g.privilege_type = 'CREATE'", "format('REVOKE CREATE ON SCHEMA %I FROM PUBLIC;', n.nspname)") ","
		" CASE n.nspname WHEN 'pg_catalog' THEN 'critical' END FROM pg_namespace n WHERE " IS_SCHEMA
		" AND EXISTS (SELECT FROM aclexplode(n.nspacl) g WHERE g.grantee = 0 AND g.privilege_type = 'CREATE')"
	},
	{
		.name = "privileges.schema_create",
		.severity = DBOPS_INFO,
		.about = "roles that may create objects in schemas that are not theirs",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%I for %s', n.nspname, r.grantee::regrole), format('%s may create objects in schema %s, which is %s''s%s', r.grantee::regrole, quote_ident(n.nspname), n.nspowner::regrole, " LOSE "),"
		" " REVOKES("n.nspacl", "n.nspowner", "g.grantee = r.grantee AND g.privilege_type = 'CREATE'", "format('REVOKE CREATE ON SCHEMA %I FROM %s%s;', n.nspname, r.grantee::regrole, " CASCADES ")")
		" FROM pg_namespace n CROSS JOIN LATERAL (SELECT DISTINCT g.grantee FROM aclexplode(n.nspacl) g WHERE g.grantee NOT IN (0, n.nspowner) AND g.privilege_type = 'CREATE') r"
		" CROSS JOIN LATERAL (SELECT " DEPENDENTS("n.nspacl", "r.grantee", "d.privilege_type = 'CREATE'") " AS dependent) x WHERE " IS_SCHEMA
	},
	{
		.name = "privileges.public_table",
		.severity = DBOPS_WARNING,
		.about = "tables, views and sequences that anybody may read or write",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT c.oid::regclass::text, format('everybody who can connect has %s on it', r.rights),"
		" " REVOKES("c.relacl", "c.relowner", "g.grantee = 0", "format('REVOKE ALL ON %s%s FROM PUBLIC;', CASE c.relkind WHEN 'S' THEN 'SEQUENCE ' ELSE '' END, c.oid::regclass)") ","
		" CASE WHEN r.reads AND NOT has_schema_privilege(0::oid, c.relnamespace, 'USAGE') THEN 'info'"
		" WHEN r.writes AND has_schema_privilege(0::oid, c.relnamespace, 'USAGE') THEN 'critical' END"
		" FROM pg_class c CROSS JOIN LATERAL (SELECT string_agg(DISTINCT g.privilege_type, ', ') AS rights, bool_and(g.privilege_type IN ('SELECT', 'USAGE')) AS reads,"
		" bool_or(g.privilege_type IN ('INSERT', 'UPDATE', 'DELETE', 'TRUNCATE', 'TRIGGER')) AS writes FROM aclexplode(c.relacl) g WHERE g.grantee = 0) r"
		" WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND r.rights IS NOT NULL AND " IS_USERS("c")
	},
	{
		.name = "privileges.public_column",
		.severity = DBOPS_WARNING,
		.about = "columns of tables and views that anybody may read or write",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%s.%I', c.oid::regclass, a.attname), format('everybody who can connect has %s on it', r.rights),"
		" " REVOKES("a.attacl", "c.relowner", "g.grantee = 0", "format('REVOKE ALL (%I) ON %s FROM PUBLIC;', a.attname, c.oid::regclass)") ","
		" CASE WHEN NOT r.writes AND NOT has_schema_privilege(0::oid, c.relnamespace, 'USAGE') THEN 'info'"
		" WHEN r.writes AND has_schema_privilege(0::oid, c.relnamespace, 'USAGE') THEN 'critical' END"
		" FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid CROSS JOIN LATERAL (SELECT string_agg(DISTINCT g.privilege_type, ', ') AS rights,"
		" bool_or(g.privilege_type IN ('INSERT', 'UPDATE')) AS writes FROM aclexplode(a.attacl) g WHERE g.grantee = 0) r"
		" WHERE a.attacl IS NOT NULL AND NOT a.attisdropped AND r.rights IS NOT NULL AND " IS_USERS("c")
	},
	{
		.name = "privileges.public_system",
		.severity = DBOPS_WARNING,
		.about = "relations and functions of the server and of extensions that anybody may use, though they do not come so",
		.source = "guide 003's quarterly audit, PostgreSQL's manual",
		.sql = "WITH " GIVEN_AWAY " SELECT t.object, format('everybody who can connect has %s on it, which it does not come with', array_to_string(t.rights, ', ')),"
		" " REVOKES("t.acl", "t.owner", "g.grantee = 0 AND g.privilege_type = ANY (t.rights)",
					"format('REVOKE %s ON %s FROM PUBLIC;', (SELECT string_agg(p || t.columns, ', ') FROM unnest(t.rights) p), t.target)") ","
		" CASE WHEN t.oid < 16384 AND (" IS_KEY " OR t.rights && '{INSERT,UPDATE,DELETE,TRUNCATE,TRIGGER}') THEN 'critical' END FROM given t"
	},
	{
		.name = "privileges.public_setting",
		.severity = DBOPS_WARNING,
		.about = "settings that anybody may set, though they are a superuser's",
		.source = "PostgreSQL's manual",
		.sql = "SELECT p.parname, format('anybody may change it: %s', string_agg(DISTINCT g.privilege_type, ', ')),"
		" format('REVOKE ALL ON PARAMETER %s FROM PUBLIC;', (SELECT string_agg(quote_ident(w), '.') FROM unnest(string_to_array(p.parname, '.')) w)),"
		" CASE WHEN bool_or(g.privilege_type = 'ALTER SYSTEM') THEN 'critical' END"
		" FROM pg_parameter_acl p CROSS JOIN LATERAL aclexplode(p.paracl) g WHERE g.grantee = 0 GROUP BY p.parname"
	},
	{
		.name = "privileges.public_other",
		.severity = DBOPS_WARNING,
		.about = "foreign servers, foreign data wrappers, tablespaces and large objects that anybody may use",
		.source = "guide 003's quarterly audit",
		.sql = "WITH " OTHERS " SELECT format('%s %I', lower(o.kind), o.name), format('everybody who can connect has %s on it', r.rights),"
		" " REVOKES("o.acl", "o.owner", "g.grantee = 0", "format('REVOKE ALL ON %s %I FROM PUBLIC;', o.kind, o.name)")
		" FROM others o CROSS JOIN LATERAL (SELECT string_agg(DISTINCT g.privilege_type, ', ') AS rights FROM aclexplode(o.acl) g WHERE g.grantee = 0) r WHERE r.rights IS NOT NULL"
		" UNION ALL SELECT 'large objects', format('everybody who can connect has %s on %s of them', string_agg(DISTINCT g.privilege_type, ', '), count(DISTINCT m.oid)),"
		" 'DO $$ DECLARE o oid; BEGIN FOR o IN SELECT m.oid FROM pg_catalog.pg_largeobject_metadata m, pg_catalog.aclexplode(m.lomacl) g WHERE g.grantee = 0 LOOP"
		" EXECUTE ''REVOKE ALL ON LARGE OBJECT '' || o || '' FROM PUBLIC''; END LOOP; END $$;'"
		" FROM pg_largeobject_metadata m CROSS JOIN LATERAL aclexplode(m.lomacl) g WHERE g.grantee = 0 HAVING count(*) > 0"
	},
	{
		.name = "privileges.public_database",
		.severity = DBOPS_WARNING,
		.about = "databases in which anybody may create schemas",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(d.datname), 'anybody may create schemas in it',"
		" " REVOKES("d.datacl", "d.datdba", "g.grantee = 0 AND g.privilege_type = 'CREATE'", "format('REVOKE CREATE ON DATABASE %I FROM PUBLIC;', d.datname)")
		" FROM pg_database d WHERE d.datname = current_database() AND EXISTS (SELECT FROM aclexplode(d.datacl) g WHERE g.grantee = 0 AND g.privilege_type = 'CREATE')"
	},
	{
		.name = "privileges.public_connect",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "databases that any role may connect to, as is the default",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT quote_ident(d.datname), 'any role that can log in may connect to it', format('Let those who need it connect by GRANT CONNECT, and then REVOKE CONNECT, TEMPORARY ON DATABASE %I FROM PUBLIC.', d.datname)"
		" FROM pg_database d WHERE d.datname = current_database() AND EXISTS (SELECT FROM aclexplode(coalesce(d.datacl, acldefault('d', d.datdba))) g WHERE g.grantee = 0 AND g.privilege_type = 'CONNECT')"
	},
	{
		.name = "privileges.grant_option",
		.severity = DBOPS_INFO,
		.about = "rights on tables that may be passed on by those who have them",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%s for %s', c.oid::regclass, r.grantee::regrole), format('%s may grant %s on it to others%s', r.grantee::regrole, r.rights, " LOSE "),"
		" " REVOKES("c.relacl", "c.relowner", "g.grantee = r.grantee AND g.is_grantable", "format('REVOKE GRANT OPTION FOR ALL ON %s FROM %s%s;', c.oid::regclass, r.grantee::regrole, " CASCADES ")")
		" FROM pg_class c CROSS JOIN LATERAL (SELECT g.grantee, string_agg(DISTINCT g.privilege_type, ', ') AS rights FROM aclexplode(c.relacl) g"
		" WHERE g.is_grantable AND g.grantee NOT IN (0, c.relowner) GROUP BY g.grantee) r"
		" CROSS JOIN LATERAL (SELECT " DEPENDENTS("c.relacl", "r.grantee", "true") " AS dependent) x"
		" WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND " IS_USERS("c")
	},
	{
		.name = "privileges.default_public",
		.severity = DBOPS_WARNING,
		.about = "default privileges that give everybody rights on what will be created",
		.source = "guide 003's quarterly audit",
		.sql = "SELECT format('%s of %s%s', k.kind, d.defaclrole::regrole, coalesce(' in ' || quote_ident(n.nspname), '')), format('%s that %s creates are everybody''s at once: %s', k.kind, d.defaclrole::regrole, string_agg(DISTINCT g.privilege_type, ', ')),"
		" format('ALTER DEFAULT PRIVILEGES FOR ROLE %s%s REVOKE ALL ON %s FROM PUBLIC;', d.defaclrole::regrole, coalesce(' IN SCHEMA ' || quote_ident(n.nspname), ''), upper(k.kind))"
		" FROM pg_default_acl d LEFT JOIN pg_namespace n ON n.oid = d.defaclnamespace CROSS JOIN LATERAL aclexplode(d.defaclacl) g"
		" CROSS JOIN LATERAL (SELECT CASE d.defaclobjtype WHEN 'r' THEN 'tables' WHEN 'S' THEN 'sequences' WHEN 'n' THEN 'schemas' WHEN 'L' THEN 'large objects' END AS kind) k"
		" WHERE g.grantee = 0 AND k.kind IS NOT NULL GROUP BY d.oid, d.defaclrole, n.nspname, k.kind"
	},
	{
		.name = "privileges.user_mapping",
		.severity = DBOPS_WARNING,
		.about = "foreign servers that everybody reaches with one password",
		.source = "PostgreSQL's manual",
		.sql = "SELECT quote_ident(s.srvname), 'everybody who may use it logs in there with one and the same password', format('Make a user mapping for each role that needs it, and then DROP USER MAPPING FOR PUBLIC SERVER %I.', s.srvname)"
		" FROM pg_user_mapping u JOIN pg_foreign_server s ON s.oid = u.umserver WHERE u.umuser = 0"
		" AND EXISTS (SELECT FROM pg_options_to_table(u.umoptions) o WHERE o.option_name = 'password')",
		.as_owner = true
	}
};

const DbopsRuleSet dbops_grant_rules = {.review = "privileges", .rules = rules, .n_rules = lengthof(rules)};
