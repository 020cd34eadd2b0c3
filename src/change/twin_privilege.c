/*
 * twin_privilege.c
 *		Privileges and the comment of a column, for the one that is to take its place.
 *
 * They are copied when the new column is made, and once more in the end, since who
 * may do what may have been said again meanwhile. The new column of change_type is
 * nobody's business until then: it gets exactly what the old one has. That of
 * rename_column has a name that is known, and keeps what it was given itself.
 */
#include "change/twin.h"

#include "utils/builtins.h"

/* What is granted on a column, as rows. */
#define GRANTS_ON(column) \
	"SELECT x.grantee, x.privilege_type, x.is_grantable FROM pg_attribute c, aclexplode(c.attacl) x" \
	" WHERE c.attrelid = $1 AND " column

#define OLD_GRANTS	GRANTS_ON("c.attnum = $2")
#define NEW_GRANTS	GRANTS_ON("c.attname = $4 AND $5")

#define GRANTEE "CASE WHEN x.grantee = 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(x.grantee)) END"

/*
 * Statements that give them to the new column, each after "; ". begun: it is there
 * and may have some; exact: those that only it has are revoked.
 */
char *
dbops_twin_privileges(const TwinColumn *column, const char *twin, bool begun, bool exact)
{
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_int4(column->attnum),
		dbops_param_text(column->table),
		dbops_param_text(twin),
		dbops_param_bool(begun),
		dbops_param_bool(exact)
	};

	return dbops_query_text_kept("WITH old AS (" OLD_GRANTS "), new AS (" NEW_GRANTS "),"
								 " undone AS (SELECT $6 AND EXISTS (TABLE new EXCEPT TABLE old) AS is_so),"
								 " remark AS (SELECT col_description($1, $2) AS old,"
								 " (SELECT col_description($1, attnum) FROM pg_attribute WHERE attrelid = $1 AND attname = $4 AND $5) AS new)"
								 " SELECT concat("
								 "(SELECT format('; COMMENT ON COLUMN %s.%I IS %s', $3, $4, coalesce(quote_literal(old), 'NULL')) FROM remark"
								 " WHERE old IS DISTINCT FROM new AND ($6 OR new IS NULL)),"
								 "(SELECT string_agg(format('; REVOKE ALL (%I) ON %s FROM %s CASCADE', $4, $3, grantee), '' ORDER BY grantee)"
								 " FROM (SELECT DISTINCT " GRANTEE " FROM new x, undone WHERE is_so) _ (grantee)),"
								 "(SELECT string_agg(format('; GRANT %s (%I) ON %s TO %s%s', x.privilege_type, $4, $3, " GRANTEE ","
								 " CASE WHEN x.is_grantable THEN ' WITH GRANT OPTION' END), '' ORDER BY pg_get_userbyid(x.grantee), x.privilege_type)"
								 " FROM old x, undone WHERE is_so OR NOT EXISTS (SELECT FROM new n WHERE (n.grantee, n.privilege_type, n.is_grantable) = (x.grantee, x.privilege_type, x.is_grantable))))",
								 lengthof(params), params);
}

/* Tell of those that only the new column of rename_column has: they may have been revoked from the old one. */
void
dbops_twin_tell_privileges(const TwinColumn *column, const char *twin)
{
	DbopsParam	params[] = {
		dbops_param_oid(column->relid),
		dbops_param_int4(column->attnum),
		dbops_param_text(column->table),
		dbops_param_text(twin),
		dbops_param_bool(true)
	};
	const char *more = dbops_query_text("SELECT string_agg(format('%s TO %s', x.privilege_type, " GRANTEE "), ', ' ORDER BY pg_get_userbyid(x.grantee), x.privilege_type)"
										" FROM (" NEW_GRANTS " EXCEPT " OLD_GRANTS ") x",
										lengthof(params), params);

	if (more != NULL)
		ereport(WARNING,
				(errmsg("column \"%s\" of table %s keeps privileges that \"%s\" does not have: %s", twin, column->table, column->name, more),
				 errhint("REVOKE them if they are not meant to be.")));
}
