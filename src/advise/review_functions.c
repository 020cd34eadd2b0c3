/*
 * review_functions.c
 *		Rules about functions and procedures.
 *
 * What a function of SECURITY DEFINER calls, it finds by its caller's search_path
 * unless it sets its own: whoever may create an object in a schema of that path
 * runs code with the rights of the function's owner. A body in standard SQL was
 * resolved when it was created, and C is beyond judging.
 */
#include "advise/review.h"

#define SIGNATURE \
	"format('%s(%s)', format('%I.%I', n.nspname, p.proname), pg_get_function_identity_arguments(p.oid))"

#define USERS_FUNCTIONS \
	"FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.pronamespace = ANY ($2) AND p.oid <> ALL ($3)"

#define EXECUTABLE_BY_PUBLIC \
	"EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g WHERE g.grantee = 0 AND g.privilege_type = 'EXECUTE')"

#define EXECUTABLE_BY_OTHERS \
	"EXISTS (SELECT FROM aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) g WHERE g.grantee <> p.proowner AND g.privilege_type = 'EXECUTE')"

/* The text of a search_path that is set, without its name. */
#define OWN_PATH \
	"(SELECT substr(s.setting, 13) FROM unnest(p.proconfig) s (setting) WHERE s.setting LIKE 'search\\_path=%')"

static const DbopsRule rules[] = {
	{
		.name = "functions.search_path",
		.severity = DBOPS_WARNING,
		.about = "functions of SECURITY DEFINER without a search_path of their own",
		.source = "splinter 0011, PostgreSQL's manual, guide 000's checklist",
		.sql = "SELECT " SIGNATURE ", CASE WHEN NOT " EXECUTABLE_BY_OTHERS " THEN 'it runs as its owner with the search_path of its caller, though nobody else may call it yet'"
		" ELSE 'it runs as its owner with the search_path of its caller, who decides which tables and functions it finds' END,"
		" format('ALTER ROUTINE %s SET search_path = pg_catalog, %I, pg_temp;', " SIGNATURE ", n.nspname),"
		" CASE WHEN NOT " EXECUTABLE_BY_OTHERS " THEN 'info' WHEN " EXECUTABLE_BY_PUBLIC " AND (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = p.proowner) THEN 'critical' END"
		" " USERS_FUNCTIONS " AND p.prosecdef AND p.prolang NOT IN (12, 13) AND p.prosqlbody IS NULL AND " OWN_PATH " IS NULL"
	},
	{
		.name = "functions.search_path_writable",
		.severity = DBOPS_WARNING,
		.about = "functions of SECURITY DEFINER whose search_path has a schema in which anybody may create objects",
		.source = "PostgreSQL's manual",
		.sql = "SELECT x.signature, format('its search_path has %s, in which anybody may create what it then finds', string_agg(quote_ident(s.nspname), ', ' ORDER BY s.nspname)),"
		" format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC;', string_agg(quote_ident(s.nspname), ', ' ORDER BY s.nspname))"
		" FROM (SELECT p.oid, " SIGNATURE " AS signature, " OWN_PATH " AS path " USERS_FUNCTIONS " AND p.prosecdef AND p.prosqlbody IS NULL AND p.prolang NOT IN (12, 13)) x"
		" CROSS JOIN LATERAL unnest(string_to_array(x.path, ',')) u (name) JOIN pg_namespace s ON s.nspname = replace(regexp_replace(btrim(u.name), '^\"(.*)\"$', '\\1'), '\"\"', '\"')"
		" WHERE has_schema_privilege(0::oid, s.oid, 'CREATE') GROUP BY x.oid, x.signature"
	},
	{
		.name = "functions.public_definer",
		.severity = DBOPS_WARNING,
		.about = "functions of SECURITY DEFINER that anybody may call",
		.source = "splinter 0028, PostgreSQL's manual",
		.sql = "SELECT " SIGNATURE ", format('anybody may call it, and it runs with the rights of %s', p.proowner::regrole),"
		" format('REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC;', " SIGNATURE ")"
		" " USERS_FUNCTIONS " AND p.prosecdef AND p.prorettype NOT IN ('trigger'::regtype, 'event_trigger'::regtype) AND " EXECUTABLE_BY_PUBLIC
		" AND has_schema_privilege(0::oid, n.oid, 'USAGE')"
	},
	{
		.name = "functions.undocumented",
		.severity = DBOPS_INFO,
		.about = "functions without a comment, of each schema",
		.source = "guide 000's checklist",
		.sql = "SELECT quote_ident(x.nspname), format(CASE WHEN x.missing = 1 THEN '%s of %s functions has no comment: %s' ELSE '%s of %s functions have no comment: %s' END, x.missing, x.count,"
		" array_to_string(x.names[1:10], ', ') || CASE WHEN x.missing > 10 THEN ' and others' ELSE '' END),"
		" (SELECT string_agg(format('COMMENT ON ROUTINE %s IS ''What it does, returns and refuses'';', u.name), ' ') FROM unnest(x.names[1:10]) u (name))"
		" FROM (SELECT f.nspname, count(*) AS count, count(*) FILTER (WHERE f.missing) AS missing, array_agg(f.signature ORDER BY f.signature) FILTER (WHERE f.missing) AS names"
		" FROM (SELECT n.nspname, " SIGNATURE " AS signature, NOT EXISTS (SELECT FROM pg_description d WHERE d.objoid = p.oid AND d.classoid = 'pg_proc'::regclass) AS missing"
		" " USERS_FUNCTIONS ") f GROUP BY f.nspname) x WHERE x.missing > 0"
	},
	{
		.name = "functions.invoker_search_path",
		.severity = DBOPS_INFO,
		.off = true,
		.about = "functions that run as their caller and have no search_path of their own, as one finding",
		.source = "splinter 0011",
		.sql = "SELECT NULL, format('%s functions run as their caller with the caller''s search_path', count(*)), 'ALTER ROUTINE ... SET search_path = ...; for those that must find the same objects for everybody'"
		" " USERS_FUNCTIONS " AND NOT p.prosecdef AND p.prokind IN ('f', 'p') AND p.prolang NOT IN (12, 13) AND p.prosqlbody IS NULL AND " OWN_PATH " IS NULL HAVING count(*) > 0"
	}
};

const DbopsRuleSet dbops_function_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
