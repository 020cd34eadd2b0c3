/*
 * access.c
 *		Who may do something, and as whom it is done.
 *
 * dbops never runs a user's SQL with more rights than the owner of the data:
 * a trigger, an index expression or a CHECK of a hostile owner's table must
 * not meet a superuser. This is the only file that switches roles.
 */
#include "core/core.h"

#include "access/xact.h"
#include "catalog/catalog.h"
#include "catalog/pg_class.h"
#include "catalog/namespace.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_authid.h"
#include "catalog/pg_database.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_proc.h"
#include "catalog/pg_type.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

/* A function that only admins may execute. */
#define ADMIN_FUNCTION "dbops.grant_access(pg_catalog.regrole,pg_catalog.text)"

static bool is_temp_schema_clean(Oid role);

/* Refuse unless the current user is the relation's owner or a member of it. */
void
dbops_require_table_owner(Oid relid)
{
	if (!object_ownercheck(RelationRelationId, relid, GetUserId()))
		aclcheck_error(ACLCHECK_NOT_OWNER,
					   get_relkind_objtype(get_rel_relkind(relid)),
					   get_rel_name(relid));
}

/* May the role vacuum or analyze a table? The database's owner may, but for what all databases share. False if there is none. */
bool
dbops_may_maintain(Oid relid, Oid role)
{
	if (!OidIsValid(dbops_relation_owner(relid)))
		return false;
	return table_is_maintained_by(relid, role) ||
		(object_ownercheck(DatabaseRelationId, MyDatabaseId, role) && !IsSharedRelation(relid));
}

/* Who owns a relation; InvalidOid if there is none. */
Oid
dbops_relation_owner(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		return InvalidOid;
	owner = ((Form_pg_class) GETSTRUCT(tuple))->relowner;
	ReleaseSysCache(tuple);
	return owner;
}

/*
 * Call back as another role.
 *
 * The role cannot be left from inside (SET ROLE is refused), nothing can be
 * queued to run after the callback (deferred triggers and holdable cursors
 * are refused), settings changed inside end with it, and it may leave nothing
 * in the session's temporary schema, where the caller would find it before
 * what is meant; that is looked at where the callback has done any command that
 * writes, since nothing gets there otherwise. As oneself nothing is restricted. An error leaves all of this to the end of the surrounding
 * (sub)transaction, which restores the role and the settings.
 */
void
dbops_run_as(Oid role, DbopsCallback callback, void *arg)
{
	Oid			user;
	int			context;
	int			nest_level = NewGUCNestLevel();
	CommandId	command = GetCurrentCommandId(false);

	GetUserIdAndSecContext(&user, &context);
	if (role != user)
		SetUserIdAndSecContext(role, context |
							   SECURITY_LOCAL_USERID_CHANGE |
							   SECURITY_RESTRICTED_OPERATION);
	callback(arg);

	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, context);
	if (role != user && GetCurrentCommandId(false) != command && !is_temp_schema_clean(role))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
				 errmsg("code of role \"%s\" has left objects in the temporary schema of this session",
						GetUserNameFromId(role, false)),
				 errhint("SET ROLE to that role in a session of its own and CALL again.")));
}

/*
 * Call back as the owner of the extension, for work on dbops' own tables. What
 * is called must not reach any user's code.
 */
void
dbops_run_as_extension(DbopsCallback callback, void *arg)
{
	Oid			user;
	int			context;
	int			nest_level = NewGUCNestLevel();

	GetUserIdAndSecContext(&user, &context);
	SetUserIdAndSecContext(dbops_extension_owner(), context | SECURITY_LOCAL_USERID_CHANGE);
	callback(arg);
	AtEOXact_GUC(false, nest_level);
	SetUserIdAndSecContext(user, context);
}

/* Who owns dbops in this database. */
Oid
dbops_extension_owner(void)
{
	Oid			schema = get_namespace_oid("dbops", false);
	HeapTuple	tuple = SearchSysCache1(NAMESPACEOID, ObjectIdGetDatum(schema));
	Oid			owner;

	if (!HeapTupleIsValid(tuple))
		elog(ERROR, "cache lookup failed for schema %u", schema);
	owner = ((Form_pg_namespace) GETSTRUCT(tuple))->nspowner;
	ReleaseSysCache(tuple);
	return owner;
}

/* Does the current user have the level admin? */
bool
dbops_is_admin(void)
{
	Oid			function = DatumGetObjectId(DirectFunctionCall1(to_regprocedure,
																CStringGetTextDatum(ADMIN_FUNCTION)));

	return object_aclcheck(ProcedureRelationId, function, GetUserId(), ACL_EXECUTE) == ACLCHECK_OK;
}

/* Can a session be opened as this role? False if it does not exist. */
bool
dbops_role_can_login(Oid role)
{
	HeapTuple	tuple = SearchSysCache1(AUTHOID, ObjectIdGetDatum(role));
	bool		can;

	if (!HeapTupleIsValid(tuple))
		return false;
	can = ((Form_pg_authid) GETSTRUCT(tuple))->rolcanlogin;
	ReleaseSysCache(tuple);
	return can;
}

/* Refuse a role that no process can log in as, where that is so. */
void
dbops_require_login(Oid role)
{
	if (!NOLOGIN_ROLES_RUN && !dbops_role_can_login(role))
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION),
				 errmsg("role \"%s\" cannot log in, so that no process can run its commands",
						GetUserNameFromId(role, false)),
				 errhint("SET ROLE to a role with LOGIN that has the same rights, or use PostgreSQL 17 or later.")));
}

/* May the current user do something to what belongs to a role? */
bool
dbops_acts_for(Oid role)
{
	return has_privs_of_role(GetUserId(), role) || dbops_is_admin();
}

/* Does the role own nothing in the temporary schema of this session? */
static bool
is_temp_schema_clean(Oid role)
{
	DbopsParam	params[2] = {{.type = OIDOID}, {.type = OIDOID, .value = ObjectIdGetDatum(role)}};
	Oid			schema;
	Oid			toast;
	Datum		found;

	GetTempNamespaceState(&schema, &toast);
	if (!OidIsValid(schema))
		return true;
	params[0].value = ObjectIdGetDatum(schema);
	return !dbops_query_value("SELECT true FROM pg_type WHERE typnamespace = $1 AND typowner = $2"
							  " UNION ALL SELECT true FROM pg_class WHERE relnamespace = $1 AND relowner = $2"
							  " UNION ALL SELECT true FROM pg_proc WHERE pronamespace = $1 AND proowner = $2"
							  " UNION ALL SELECT true FROM pg_operator WHERE oprnamespace = $1 AND oprowner = $2"
							  " LIMIT 1",
							  2, params, BOOLOID, &found);
}
