/*
 * schema_objects.c
 *		The queries of a snapshot for what else is in schemas.
 */
#include "change/schema.h"

/* In pg_proc c, with the schema n and the comment d. */
#define FUNCTION_ATTRIBUTES \
	"c.oid::regprocedure::text AS object, pg_get_userbyid(c.proowner) AS owner," \
	" pg_get_function_arguments(c.oid) AS arguments, pg_get_function_result(c.oid) AS returns," \
	" c.proconfig AS options, d.description AS comment," \
	" c.proacl AS grants, c.proowner AS _owner, CASE WHEN c.proacl IS NOT NULL THEN acldefault('f', c.proowner) END AS _default"
#define FUNCTION_FROM \
	" FROM pg_proc c JOIN pg_namespace n ON n.oid = c.pronamespace" \
	SCHEMA_COMMENT("pg_proc", "c.oid")
#define FUNCTION_CHOSEN \
	" AND" SCHEMA_CHOSEN "AND" SCHEMA_NOT_MEMBER("pg_proc", "c.oid")

#define FUNCTION_SQL \
	"SELECT " FUNCTION_ATTRIBUTES "," \
	" CASE c.prokind WHEN 'p' THEN 'procedure' WHEN 'w' THEN 'window function' END AS kind," \
	" l.lanname AS language, coalesce(pg_get_function_sqlbody(c.oid), c.prosrc) AS body, c.probin AS library," \
	" CASE c.provolatile WHEN 'i' THEN 'immutable' WHEN 's' THEN 'stable' END AS volatility," \
	" CASE c.proparallel WHEN 's' THEN 'safe' WHEN 'r' THEN 'restricted' END AS parallel," \
	" c.prosecdef AS security_definer, c.proleakproof AS leakproof, c.proisstrict AS strict," \
	" CASE WHEN c.procost <> CASE WHEN l.lanname IN ('internal', 'c') THEN 1 ELSE 100 END THEN c.procost::text END AS cost," \
	" CASE WHEN c.proretset AND c.prorows <> 1000 THEN c.prorows::text END AS rows," \
	" CASE WHEN c.prosupport <> 0 THEN c.prosupport::regproc::text END AS support," \
	" (SELECT array_agg(format_type(x.type, NULL) ORDER BY x.place) FROM unnest(c.protrftypes) WITH ORDINALITY AS x (type, place)) AS transforms" \
	FUNCTION_FROM " JOIN pg_language l ON l.oid = c.prolang WHERE c.prokind <> 'a'" FUNCTION_CHOSEN

const SchemaKind dbops_schema_objects[] = {
	{"function", FUNCTION_SQL},
	{NULL, NULL}
};
