/*
 * migration_owner.c
 *		Whose a migration is, and whose a project.
 *
 * A role can be renamed, and its name be given to another, who must not get
 * what the first has left in the ledger: its projects, and texts that are run
 * with the rights of who has stored them. An OID stays with one role, but only
 * in its own cluster. So the ledger keeps both, with the cluster that they are
 * of, and where a dump was restored elsewhere the name tells who is who.
 *
 * A project is the role's that has begun it, or that has taken it over since.
 */
#include "change/migration.h"

#include "access/xlog.h"
#include "miscadmin.h"
#include "utils/acl.h"
#include "utils/builtins.h"
#include "utils/syscache.h"

/* The role that a project belongs to, if anybody has worked on it yet. */
typedef struct ProjectOwner
{
	bool		found;
	MigrationOwner owner;
} ProjectOwner;

static bool has_rights_of(const MigrationOwner *owner);
static void refuse(const char *project, const MigrationOwner *owner);
static ProjectOwner find_owner(const char *project);
static void take_owner(HeapTuple row, TupleDesc desc, void *arg);
static Jsonb *describe_former(const MigrationOwner *owner);

/* ---- a role that was written down ---- */

/* The current user, to be written down. */
MigrationOwner
dbops_migration_owner_current(void)
{
	return (MigrationOwner)
	{
		.name = GetUserNameFromId(GetUserId(), false),
		.role = GetUserId(),
		.cluster = (int64) GetSystemIdentifier()
	};
}

/* Who has logged in, whoever the session has been said to be of since. */
const char *
dbops_migration_owner_login(void)
{
	const char *name = GetUserNameFromId(GetAuthenticatedUserId(), true);

	return name != NULL ? name : "a role that is gone";
}

/* Which role that is today; InvalidOid: it is gone. */
Oid
dbops_migration_owner_role(const MigrationOwner *owner)
{
	if (owner->cluster != (int64) GetSystemIdentifier())
		return get_role_oid(owner->name, true);
	return SearchSysCacheExists1(AUTHOID, ObjectIdGetDatum(owner->role)) ? owner->role : InvalidOid;
}

/* What it is called today, or was when it was written down. */
const char *
dbops_migration_owner_name(const MigrationOwner *owner)
{
	Oid			role = dbops_migration_owner_role(owner);

	return OidIsValid(role) ? GetUserNameFromId(role, false) : owner->name;
}

/* ---- the owner of a project ---- */

/*
 * Refuse unless the current user has the rights of the role that the project
 * belongs to. What belongs to nobody any more is for admins.
 */
void
dbops_migration_require_rights(const char *project)
{
	ProjectOwner known = find_owner(project);

	if (known.found && !superuser() && !has_rights_of(&known.owner))
		refuse(project, &known.owner);
}

static bool
has_rights_of(const MigrationOwner *owner)
{
	Oid			role = dbops_migration_owner_role(owner);

	return OidIsValid(role) ? has_privs_of_role(GetUserId(), role) : dbops_is_admin();
}

static void
refuse(const char *project, const MigrationOwner *owner)
{
	const char *name = dbops_migration_owner_name(owner);

	ereport(ERROR,
			(errcode(ERRCODE_INSUFFICIENT_PRIVILEGE),
			 errmsg("project \"%s\" belongs to role \"%s\"", project, name),
			 OidIsValid(dbops_migration_owner_role(owner)) ?
			 errhint("SET ROLE %s, if you may, or give project another name.", quote_identifier(name)) :
			 errhint("That role was dropped, whoever may have its name today; who has the level admin takes its projects over by applying migrations.")));
}

/*
 * The current user, who has the rights to it, changes something in a project:
 * if it belongs to nobody any more it is his from now on, and the log says so.
 */
void
dbops_migration_take_over(const char *project, const char *version, const char *reason)
{
	ProjectOwner known = find_owner(project);

	if (!known.found || OidIsValid(dbops_migration_owner_role(&known.owner)))
		return;
	dbops_migration_note(project, version, "take_over", reason, describe_former(&known.owner));
	ereport(NOTICE,
			(errmsg("project \"%s\" belongs to role \"%s\" from now on", project, GetUserNameFromId(GetUserId(), false)),
			 errdetail("It belonged to a role \"%s\", which was dropped.", known.owner.name)));
}

/* Who has taken it over last, or begun it; rows change owners when they are applied again. */
static ProjectOwner
find_owner(const char *project)
{
	DbopsParam	params[] = {dbops_param_text(project)};
	ProjectOwner known = {0};

	dbops_store_each_kept("SELECT name, oid, cluster FROM ("
						  " SELECT 1 AS place, role_name AS name, role_oid AS oid, cluster FROM dbops.migration_event"
						  " WHERE id = coalesce((SELECT max(id) FROM dbops.migration_event WHERE project = $1 AND event = 'take_over'),"
						  " (SELECT min(id) FROM dbops.migration_event WHERE project = $1))"
						  " UNION ALL (SELECT 2, owner, owner_oid, cluster FROM dbops.migration WHERE project = $1 ORDER BY position LIMIT 1)) o"
						  " ORDER BY place LIMIT 1",
						  lengthof(params), params, take_owner, &known);
	return known;
}

static void
take_owner(HeapTuple row, TupleDesc desc, void *arg)
{
	*(ProjectOwner *) arg = (ProjectOwner)
	{
		.found = true,
		.owner = {
			.name = dbops_row_text(row, desc, 1),
			.role = dbops_row_oid(row, desc, 2),
			.cluster = dbops_row_int8(row, desc, 3)
		}
	};
}

static Jsonb *
describe_former(const MigrationOwner *owner)
{
	DbopsJson	json = {0};

	dbops_json_object(&json, NULL);
	dbops_json_text(&json, "from", owner->name);
	return dbops_json_finish(&json);
}
