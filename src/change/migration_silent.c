/*
 * migration_silent.c
 *		What the server does without a word: a few scans, and a few changes.
 *
 * Two commands look through tables and do not say so: CREATE TABLE ... PARTITION
 * OF through the default partition, unless it is proved that no row has to
 * move, and ALTER DOMAIN through all tables that have a column of the domain.
 * Both can be told from what else the statement has done.
 *
 * COMMENT, GRANT and a few forms of ALTER TABLE change an object without the
 * object_access_hook being called; the statement itself names it.
 */
#include "change/migration_watch.h"

#include "access/relation.h"
#include "catalog/namespace.h"
#include "catalog/partition.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_type.h"
#include "nodes/makefuncs.h"
#include "partitioning/partdesc.h"
#include "storage/lock.h"
#include "utils/lsyscache.h"

static void add_default_partition(List **scanned, Oid created);
static bool checks_domain(ObjectEvents *events);
static void note_named(ObjectEvents *events, ObjectType type, Node *name);
static void note_granted(ObjectEvents *events, GrantStmt *grant);
static void note_relation(ObjectEvents *events, RangeVar *name);

/* List the relations that were scanned, unless that was proved to be needless. */
List *
dbops_silent_scans(ObjectEvents *events, const HeldLocks *before, const HeldLocks *seen)
{
	List	   *scanned = NIL;
	ListCell   *lc;

	foreach(lc, dbops_objects_new(events, RelationRelationId))
		add_default_partition(&scanned, lfirst_oid(lc));
	if (!checks_domain(events))
		return scanned;
	for (int i = 0; i < seen->n; i++)
		if ((seen->locks[i].modes & ~dbops_locks_on(before, seen->locks[i].relid)) ==
			LOCKBIT_ON(ShareLock))
			scanned = list_append_unique_oid(scanned, seen->locks[i].relid);
	return scanned;
}

/* A new partition takes the rows of its own out of the reach of the default one. */
static void
add_default_partition(List **scanned, Oid created)
{
	Oid			standard = InvalidOid;

	if (get_rel_relispartition(created) && get_rel_relkind(created) != RELKIND_INDEX &&
		get_rel_relkind(created) != RELKIND_PARTITIONED_INDEX)
		standard = get_default_partition_oid(get_partition_parent(created, true));
	if (OidIsValid(standard) && standard != created)
		*scanned = list_append_unique_oid(*scanned, standard);
}

static bool
checks_domain(ObjectEvents *events)
{
	ListCell   *lc;

	foreach(lc, dbops_objects_types(events))
		if (get_typtype(lfirst_oid(lc)) == TYPTYPE_DOMAIN)
			return true;
	return false;
}

/* Can it be that only the statement itself names what it changes? Row security is switched on so. */
bool
dbops_silent_is(const Node *statement)
{
	return IsA(statement, CommentStmt) || IsA(statement, SecLabelStmt) ||
		IsA(statement, GrantStmt) || IsA(statement, AlterTableStmt);
}

/* Note the object that such a statement has changed, if the server has told of none. */
void
dbops_silent_note(ObjectEvents *events, Node *statement)
{
	switch (nodeTag(statement))
	{
		case T_CommentStmt:
			note_named(events, ((CommentStmt *) statement)->objtype,
					   ((CommentStmt *) statement)->object);
			break;
		case T_SecLabelStmt:
			note_named(events, ((SecLabelStmt *) statement)->objtype,
					   ((SecLabelStmt *) statement)->object);
			break;
		case T_GrantStmt:
			note_granted(events, (GrantStmt *) statement);
			break;
		case T_AlterTableStmt:
			note_relation(events, ((AlterTableStmt *) statement)->relation);
			break;
		default:
			break;
	}
}

static void
note_named(ObjectEvents *events, ObjectType type, Node *name)
{
	Relation	relation = NULL;
	ObjectAddress address = get_object_address(type, name, &relation, AccessShareLock, true);

	if (relation != NULL)
		relation_close(relation, AccessShareLock);
	if (OidIsValid(address.objectId))
		dbops_objects_note_address(events, address);
}

/* Of a grant on everything in a schema, the schema is noted. */
static void
note_granted(ObjectEvents *events, GrantStmt *grant)
{
	ListCell   *lc;

	foreach(lc, grant->objects)
	{
		if (grant->targtype == ACL_TARGET_ALL_IN_SCHEMA)
			note_named(events, OBJECT_SCHEMA, lfirst(lc));
		else if (grant->targtype == ACL_TARGET_OBJECT && IsA(lfirst(lc), RangeVar))
			note_relation(events, lfirst(lc));
		else if (grant->targtype == ACL_TARGET_OBJECT &&
				 (grant->objtype == OBJECT_TYPE || grant->objtype == OBJECT_DOMAIN))
			note_named(events, OBJECT_TYPE, (Node *) makeTypeNameFromNameList(lfirst(lc)));
		else if (grant->targtype == ACL_TARGET_OBJECT &&
				 (IsA(lfirst(lc), ObjectWithArgs) || IsA(lfirst(lc), String)))
			note_named(events, grant->objtype, lfirst(lc));
	}
}

static void
note_relation(ObjectEvents *events, RangeVar *name)
{
	Oid			relid = RangeVarGetRelid(name, NoLock, true);
	ObjectAddress address;

	ObjectAddressSet(address, RelationRelationId, relid);
	if (OidIsValid(relid))
		dbops_objects_note_address(events, address);
}
