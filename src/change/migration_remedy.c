/*
 * migration_remedy.c
 *		What goes before a statement that shares no transaction: its table is seen
 *		to be free, and what a run of it has left that was cut off is removed.
 */
#include "change/migration_work.h"

#include "core/sql.h"

#include "catalog/pg_class.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/acl.h"

/* What is to be removed, and what shows that it still is. */
typedef struct Remedy
{
	const Jsonb *aim;
	const char *sql;
} Remedy;

static bool is_still_right(void *arg);

/*
 * See that nobody has the table: once it is begun, a build waits without limit.
 * A lock of this kind keeps nobody from reading or writing, nor does who waits
 * for it. What is not the user's the server will refuse.
 */
void
dbops_migration_see_free(Oid table)
{
	if (OidIsValid(table) && object_ownercheck(RelationRelationId, table, GetUserId()))
		LockRelationOid(table, ShareUpdateExclusiveLock);
}

/* Remove what is left, if it is still that when nobody else has the table. At top level. */
void
dbops_migration_remedy_run(const Jsonb *aim, const char *remedy, Oid table, long lock_timeout)
{
	Remedy		arg = {aim, remedy};
	DbopsAlone	alone = {
		.sql = remedy,
		.table = table,
		.lock_timeout = lock_timeout,
		.is_right = is_still_right,
		.arg = &arg
	};

	dbops_alone_run(&alone);
}

static bool
is_still_right(void *arg)
{
	const Remedy *remedy = arg;
	MigrationOutcome outcome = dbops_migration_outcome(remedy->aim, false);

	return outcome.remedy != NULL && strcmp(outcome.remedy, remedy->sql) == 0;
}
