/*
 * compat.h
 *		The only place that knows which server it is compiled for.
 *
 * Code is written against the newest server's interfaces; what an older one
 * lacks is emulated here, each shim with the major that changed it.
 */
#ifndef DBOPS_COMPAT_H
#define DBOPS_COMPAT_H

#include "catalog/pg_class.h"
#include "catalog/pg_namespace.h"
#include "common/relpath.h"
#include "utils/acl.h"
#include "utils/backend_status.h"
#include "utils/lsyscache.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "dbops supports PostgreSQL 15, 16, 17 and 18"
#endif

/* 16 folded the per-catalog ownership checks into one. */
#if PG_VERSION_NUM < 160000
static inline bool
object_ownercheck(Oid classid, Oid objectid, Oid roleid)
{
	if (classid == NamespaceRelationId)
		return pg_namespace_ownercheck(objectid, roleid);
	Assert(classid == RelationRelationId);
	return pg_class_ownercheck(objectid, roleid);
}
#endif

/* 16 moved the columns that a query reads from its tables to its permissions. */
#if PG_VERSION_NUM < 160000
#define rte_selected_columns(query, rte) ((rte)->selectedCols)
#else
#include "parser/parse_relation.h"
#define rte_selected_columns(query, rte) \
	(getRTEPermissionInfo((query)->rteperminfos, (rte))->selectedCols)
#endif

/* 16 renamed the access to other sessions' entries. */
#if PG_VERSION_NUM < 160000
#define pgstat_get_local_beentry_by_index(idx) pgstat_fetch_stat_local_beentry(idx)
#endif

/* 17 numbers sessions by process. */
#if PG_VERSION_NUM < 170000
#include "storage/backendid.h"
#define INVALID_PROC_NUMBER InvalidBackendId
#define ProcNumberForTempRelations() BackendIdForTempRelations()
#else
#include "storage/procnumber.h"
#endif

/* 18 returns paths by value. */
#if PG_VERSION_NUM < 180000
#define relation_path_string(path) (path)
#else
#define relation_path_string(path) pstrdup((path).str)
#endif

/*
 * Up to 17 a foreign key's lookup names the referenced column's collation where
 * it is nondeterministic and not the referencing column's; 18 refuses such keys.
 */
static inline bool
fkey_lookup_names_collation(Oid referenced, Oid referencing)
{
#if PG_VERSION_NUM < 180000
	return OidIsValid(referenced) && referenced != referencing &&
		!get_collation_isdeterministic(referenced);
#else
	return false;
#endif
}

/* 18 wrapped RETURNING's list, to give OLD and NEW names. */
#if PG_VERSION_NUM < 180000
#define update_has_returning(update) ((update)->returningList != NIL)
#else
#define update_has_returning(update) ((update)->returningClause != NULL)
#endif

#endif							/* DBOPS_COMPAT_H */
