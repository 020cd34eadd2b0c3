/*
 * grant.c
 *		grant_access and revoke_access: a level of access in one call.
 *
 * The extension creates no roles; it hands out EXECUTE on its functions by
 * level. What a role may do is therefore always in the catalog, and nowhere
 * else.
 */
#include "core/core.h"

#include "catalog/namespace.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"

static const char *const levels[] = {"monitor", "operator", "admin"};

PG_FUNCTION_INFO_V1(dbops_grant_access);
PG_FUNCTION_INFO_V1(dbops_revoke_access);

static void require_extension_owner(void);
static int	level_rank(const char *level);
static void set_function(HeapTuple row, TupleDesc desc, void *arg);

/* grant_access(role_name regrole, level text) → void */
Datum
dbops_grant_access(PG_FUNCTION_ARGS)
{
	char	   *role = GetUserNameFromId(PG_GETARG_OID(0), false);
	int			rank = level_rank(text_to_cstring(PG_GETARG_TEXT_PP(1)));
	DbopsParam	granted = {.type = INT4OID, .value = Int32GetDatum(rank)};

	require_extension_owner();

	dbops_query_command(psprintf("GRANT USAGE ON SCHEMA dbops TO %s",
								 quote_identifier(role)));
	dbops_query_command(psprintf("GRANT SELECT ON dbops.function_access TO %s",
								 quote_identifier(role)));
	dbops_query_each("SELECT p.oid::regprocedure::text,"
					 "       array_position(ARRAY['monitor', 'operator', 'admin'], a.level) <= $1"
					 "  FROM dbops.function_access a"
					 "  JOIN pg_proc p ON p.proname = a.function_name"
					 " WHERE p.pronamespace = 'dbops'::regnamespace",
					 1, &granted, set_function, role);
	PG_RETURN_VOID();
}

/* revoke_access(role_name regrole) → void */
Datum
dbops_revoke_access(PG_FUNCTION_ARGS)
{
	const char *role = quote_identifier(GetUserNameFromId(PG_GETARG_OID(0), false));

	require_extension_owner();

	dbops_query_command(psprintf("REVOKE ALL ON ALL ROUTINES IN SCHEMA dbops FROM %s", role));
	dbops_query_command(psprintf("REVOKE ALL ON dbops.function_access FROM %s", role));
	dbops_query_command(psprintf("REVOKE ALL ON SCHEMA dbops FROM %s", role));
	PG_RETURN_VOID();
}

/* The functions are the owner's to grant; GRANT by others would only warn. */
static void
require_extension_owner(void)
{
	if (!object_ownercheck(NamespaceRelationId,
						   get_namespace_oid("dbops", false), GetUserId()))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("must be owner of extension dbops to grant or revoke access to it")));
}

/* Place a level in the order of levels, from 1. */
static int
level_rank(const char *level)
{
	for (int i = 0; i < lengthof(levels); i++)
		if (strcmp(levels[i], level) == 0)
			return i + 1;

	ereport(ERROR,
			(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
			 errmsg("unrecognized level of access \"%s\"", level),
			 errhint("Levels are monitor, operator and admin.")));
	return 0;					/* keep the compiler quiet */
}

/*
 * Grant one function to the role whose name is the argument, or take it away:
 * a level that is lower than the one before takes back the difference.
 */
static void
set_function(HeapTuple row, TupleDesc desc, void *arg)
{
	bool		isnull;
	Datum		signature = heap_getattr(row, 1, desc, &isnull);
	bool		belongs = DatumGetBool(heap_getattr(row, 2, desc, &isnull));

	dbops_query_command(psprintf(belongs ? "GRANT EXECUTE ON ROUTINE %s TO %s" :
								 "REVOKE EXECUTE ON ROUTINE %s FROM %s",
								 TextDatumGetCString(signature),
								 quote_identifier(arg)));
}
