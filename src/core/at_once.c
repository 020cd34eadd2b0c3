/*
 * at_once.c
 *		Reads of catalogs that wait for nobody.
 *
 * Somebody may have locked a catalog, as LOCK, REINDEX and VACUUM FULL do. What
 * only looks at the server does without what stands there, rather than wait.
 */
#include "core/at_once.h"

#include "access/table.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_class.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_tablespace.h"
#include "commands/dbcommands.h"
#include "commands/tablespace.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"

/* Lock a catalog and the index used on it, unless that means to wait. */
bool
dbops_catalog_lock(Oid catalog, Oid index)
{
	if (!ConditionalLockRelationOid(catalog, AccessShareLock))
		return false;
	if (ConditionalLockRelationOid(index, AccessShareLock))
		return true;
	UnlockRelationOid(catalog, AccessShareLock);
	return false;
}

void
dbops_catalog_unlock(Oid catalog, Oid index)
{
	UnlockRelationOid(index, AccessShareLock);
	UnlockRelationOid(catalog, AccessShareLock);
}

/* Name a role, by its number if its name cannot be had; NULL: it is gone. */
char *
dbops_role_name(Oid role)
{
	char	   *name;

	if (!dbops_catalog_lock(AuthIdRelationId, AuthIdOidIndexId))
		return psprintf("%u", role);
	name = GetUserNameFromId(role, true);
	dbops_catalog_unlock(AuthIdRelationId, AuthIdOidIndexId);
	return name;
}

/* The same for a tablespace; where its catalog cannot be read, as it was last read. */
char *
dbops_tablespace_name(Oid tablespace)
{
	char	   *name;

	if (!OidIsValid(MyDatabaseId) || !dbops_catalog_lock(TableSpaceRelationId, TablespaceOidIndexId))
	{
		name = dbops_tablespace_name_kept(tablespace);
		return (name != NULL) ? name : psprintf("%u", tablespace);
	}
	name = get_tablespace_name(tablespace);
	dbops_catalog_unlock(TableSpaceRelationId, TablespaceOidIndexId);
	if (name != NULL)
		dbops_tablespace_name_keep(tablespace, name);
	return name;
}

/* The same for a database. */
char *
dbops_database_name(Oid database)
{
	char	   *name;

	if (!dbops_catalog_lock(DatabaseRelationId, DatabaseOidIndexId))
		return psprintf("%u", database);
	name = get_database_name(database);
	dbops_catalog_unlock(DatabaseRelationId, DatabaseOidIndexId);
	return name;
}

/* The same for a relation of this database, with its schema. */
char *
dbops_relation_name(Oid relation)
{
	char	   *name = psprintf("%u", relation);

	if (!dbops_catalog_lock(RelationRelationId, ClassOidIndexId))
		return name;
	if (dbops_catalog_lock(NamespaceRelationId, NamespaceOidIndexId))
	{
		char	   *schema = get_namespace_name(get_rel_namespace(relation));
		char	   *own = get_rel_name(relation);

		name = (schema != NULL && own != NULL) ? dbops_quote_qualified(schema, own) : NULL;
		dbops_catalog_unlock(NamespaceRelationId, NamespaceOidIndexId);
	}
	dbops_catalog_unlock(RelationRelationId, ClassOidIndexId);
	return name;
}

/*
 * Lock catalogs and all of their indexes, which the planner opens, until the
 * end of the subtransaction; an error rather than to wait.
 */
void
dbops_catalogs_require(int n, const Oid *catalogs)
{
	for (int i = 0; i < n; i++)
	{
		bool		locked = ConditionalLockRelationOid(catalogs[i], AccessShareLock);

		if (locked)
		{
			Relation	catalog = table_open(catalogs[i], NoLock);
			ListCell   *cell;

			foreach(cell, RelationGetIndexList(catalog))
				locked = locked && ConditionalLockRelationOid(lfirst_oid(cell), AccessShareLock);
			table_close(catalog, NoLock);
		}
		if (!locked)
			ereport(ERROR,
					(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
					 errmsg("%s is locked", get_rel_name(catalogs[i])),
					 errhint("Look again later.")));
	}
}
