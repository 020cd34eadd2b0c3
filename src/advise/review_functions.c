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

/*
 * What runs as its owner with a path of its own, and whether temporary tables come
 * before what that path is for: they do unless pg_temp is its end. Where it has
 * nothing but the catalog, the body names all else in full.
 */
#define DEFINERS \
	"definers (oid, owner, signature, path, by_public, temporary, right_path) AS (SELECT p.oid, p.proowner, " SIGNATURE ", u.path, " EXECUTABLE_BY_PUBLIC ", " \
	"u.path[cardinality(u.path)] <> 'pg_temp' AND NOT u.path <@ '{pg_catalog,pg_temp}' AND has_database_privilege(0::oid, (SELECT d.oid FROM pg_database d WHERE d.datname = current_database()), 'TEMPORARY') " \
	"AND " EXECUTABLE_BY_OTHERS ", (SELECT string_agg(quote_ident(e.name), ', ' ORDER BY e.n) || ', pg_temp' FROM unnest(u.path) WITH ORDINALITY e (name, n) WHERE e.name <> 'pg_temp') " \
	"FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace CROSS JOIN LATERAL (SELECT coalesce(array_agg(CASE WHEN m.word[1] LIKE '\"%' THEN replace(substr(m.word[1], 2, length(m.word[1]) - 2), '\"\"', '\"') ELSE m.word[1] END ORDER BY m.n), '{}') AS path " \
	"FROM regexp_matches(" OWN_PATH ", '\"(?:[^\"]|\"\")+\"|[^\", ]+', 'g') WITH ORDINALITY m (word, n)) u " \
	"WHERE p.pronamespace = ANY ($2) AND p.oid <> ALL ($3) AND p.prosecdef AND p.prosqlbody IS NULL AND p.prolang NOT IN (12, 13) AND " OWN_PATH " IS NOT NULL)"

static const DbopsRule rules[] = {
	{
		.name = "functions.search_path",
		.severity = DBOPS_WARNING,
		.about = "functions of SECURITY DEFINER without a search_path of their own",
		.source = "splinter 0011, PostgreSQL's manual, guide 000's checklist",
		.sql = "SELECT " SIGNATURE ", CASE WHEN NOT " EXECUTABLE_BY_OTHERS " THEN 'it runs as its owner with the search_path of its caller, though nobody else may call it yet'"
		" ELSE 'it runs as its owner with the search_path of its caller, who decides which tables and functions it finds; with a path of its own it finds no other schemas than those in it' END,"
		" format('ALTER ROUTINE %s SET search_path = pg_catalog, %I, pg_temp;', " SIGNATURE ", n.nspname),"
		" CASE WHEN NOT " EXECUTABLE_BY_OTHERS " THEN 'info' WHEN " EXECUTABLE_BY_PUBLIC " AND (SELECT r.rolsuper FROM pg_roles r WHERE r.oid = p.proowner) THEN 'critical' END"
		" " USERS_FUNCTIONS " AND p.prosecdef AND p.prolang NOT IN (12, 13) AND p.prosqlbody IS NULL AND " OWN_PATH " IS NULL"
	},
	{
		.name = "functions.search_path_writable",
		.severity = DBOPS_WARNING,
		.about = "functions of SECURITY DEFINER whose search_path has a schema in which others may create objects, that of temporary tables first",
		.source = "PostgreSQL's manual",
		.sql = "WITH " DEFINERS " SELECT x.signature, concat_ws('; ', CASE WHEN x.writers IS NOT NULL THEN format('its search_path has a schema in which others may create what it then finds: %s', x.writers) END,"
		" CASE WHEN x.temporary THEN 'its search_path does not end with pg_temp, so that temporary tables of its caller come before those that it means' END),"
		" concat_ws(E'\\n', CASE WHEN x.temporary THEN format('ALTER ROUTINE %s SET search_path = %s;', x.signature, x.right_path) END,"
		" CASE WHEN x.open IS NOT NULL THEN format('REVOKE CREATE ON SCHEMA %s FROM PUBLIC;', x.open) WHEN NOT x.temporary THEN 'Take the schema out of its search_path, or the right to create in it from those roles.' END),"
		" CASE WHEN x.open IS NULL AND NOT x.by_public THEN 'info' END"
		" FROM (SELECT f.oid, f.signature, f.by_public, f.temporary, f.right_path, string_agg(DISTINCT w.said, ', ' ORDER BY w.said) AS writers, string_agg(DISTINCT w.open, ', ' ORDER BY w.open) AS open"
		" FROM definers f LEFT JOIN LATERAL (SELECT format('%s in %I', CASE g.grantee WHEN 0 THEN 'anybody' ELSE g.grantee::regrole::text END, s.nspname) AS said,"
		" CASE g.grantee WHEN 0 THEN quote_ident(s.nspname) END AS open"
		" FROM pg_namespace s CROSS JOIN aclexplode(coalesce(s.nspacl, acldefault('n', s.nspowner))) g LEFT JOIN pg_roles r ON r.oid = g.grantee"
		" WHERE s.nspname = ANY (f.path) AND s.nspname <> 'pg_temp' AND g.privilege_type = 'CREATE'"
		" AND (g.grantee = 0 OR NOT r.rolsuper AND r.rolname !~ '^pg_' AND NOT pg_has_role(g.grantee, f.owner, 'MEMBER') AND has_function_privilege(g.grantee, f.oid, 'EXECUTE'))) w ON true"
		" GROUP BY f.oid, f.signature, f.by_public, f.temporary, f.right_path) x WHERE x.temporary OR x.writers IS NOT NULL"
	},
	{
		.name = "functions.public_definer",
		.severity = DBOPS_WARNING,
		.about = "functions of SECURITY DEFINER that anybody may call",
		.source = "splinter 0028, PostgreSQL's manual",
		.sql = "SELECT " SIGNATURE ", format('anybody may call it, and it runs with the rights of %s', p.proowner::regrole),"
		" format('Grant EXECUTE to the roles that need it, those too that use a policy, a default, a constraint or a view which calls it; then REVOKE EXECUTE ON ROUTINE %s FROM PUBLIC.', " SIGNATURE ")"
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
		" 'Say with COMMENT ON ROUTINE what each does, returns and refuses.'"
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
		.sql = "SELECT NULL, format('%s functions run as their caller with the caller''s search_path', count(*)), 'Give a search_path to those that must find the same objects for everybody.'"
		" " USERS_FUNCTIONS " AND NOT p.prosecdef AND p.prokind IN ('f', 'p') AND p.prolang NOT IN (12, 13) AND p.prosqlbody IS NULL AND " OWN_PATH " IS NULL HAVING count(*) > 0"
	}
};

const DbopsRuleSet dbops_function_rules = {.review = "schema", .rules = rules, .n_rules = lengthof(rules)};
