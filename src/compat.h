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
#include "utils/acl.h"

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
#define rte_selected_columns(query, rte) \
	(getRTEPermissionInfo((query)->rteperminfos, (rte))->selectedCols)
#endif

/* 18 wrapped RETURNING's list, to give OLD and NEW names. */
#if PG_VERSION_NUM < 180000
#define update_has_returning(update) ((update)->returningList != NIL)
#else
#define update_has_returning(update) ((update)->returningClause != NULL)
#endif

#endif							/* DBOPS_COMPAT_H */
