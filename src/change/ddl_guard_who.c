/*
 * ddl_guard_who.c
 *		Whose DDL is looked at, and where.
 *
 * A role of dbops.guard_exempt_roles passes, and so does who has its rights
 * without SET ROLE. A superuser has the rights of everybody, and passes only as
 * a real member. It is asked of the current user, so that a function can do for
 * others what its owner may, and of who has logged in, so that SET ROLE to the
 * owner of a table changes nothing.
 */
#include "change/ddl_guard.h"

#include "core/server.h"

#include "catalog/namespace.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/varlena.h"

static bool is_exempt(void);
static bool acts_as(Oid user, Oid role);
static bool is_dbops_here(void);

/* Is this somebody, and a database, to be looked at? Names that cannot be read exempt nobody. */
bool
dbops_guard_looks(void)
{
	return !is_exempt() && is_dbops_here();
}

static bool
is_exempt(void)
{
	List	   *names = NIL;
	ListCell   *cell;

	if (!SplitIdentifierString(pstrdup(dbops_guard_exempt_roles), ',', &names))
		return false;
	foreach(cell, names)
	{
		Oid			role = get_role_oid(lfirst(cell), true);

		if (OidIsValid(role) && (acts_as(GetUserId(), role) || acts_as(GetSessionUserId(), role)))
			return true;
	}
	return false;
}

static bool
acts_as(Oid user, Oid role)
{
	return superuser_arg(user) ? is_member_of_role_nosuper(user, role) : has_privs_of_role(user, role);
}

/* A schema of that name is a hint, and found without reading; where the catalog is locked it is believed. */
static bool
is_dbops_here(void)
{
	DbopsExtension extension;

	if (!OidIsValid(get_namespace_oid("dbops", true)))
		return false;
	extension = dbops_extension_find("dbops");
	return OidIsValid(extension.oid) || extension.hidden;
}
