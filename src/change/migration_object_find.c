/*
 * migration_object_find.c
 *		Find relations and types by what a statement has done to them.
 *
 * What the server says of its work, it says of a relation by a name that need
 * not be the only one; of some of its work it says nothing. Both are made up for
 * by what was noted, which knows objects by their OIDs.
 */
#include "change/migration_watch.h"

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_type.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

static Oid	type_of_constraint(Oid constraint);

/* List the relations that were worked at, or something that belongs to them. */
List *
dbops_objects_touched(ObjectEvents *events)
{
	List	   *touched = list_copy(events->used);
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);
		Oid			relid = event->kind == OBJECT_DROPPED ? event->whole :
			dbops_object_relation(&event->address);

		if (OidIsValid(relid))
			touched = list_append_unique_oid(touched, relid);
	}
	return touched;
}

/* Name a relation that was dropped and that others know; NULL if that one was not. */
const char *
dbops_objects_dropped_relation(ObjectEvents *events, Oid relid)
{
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);

		if (event->relation != NULL && event->address.objectId == relid)
			return event->relation;
	}
	return NULL;
}

/* List the objects of a catalog that were created. */
List *
dbops_objects_new(ObjectEvents *events, Oid class)
{
	List	   *created = NIL;
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);

		if (event->kind == OBJECT_CREATED && event->address.classId == class &&
			event->address.objectSubId == 0)
			created = lappend_oid(created, event->address.objectId);
	}
	return created;
}

/* List the types that were changed, or that constraints were put on. */
List *
dbops_objects_types(ObjectEvents *events)
{
	List	   *types = NIL;
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);

		if (event->address.classId == TypeRelationId && event->kind == OBJECT_CHANGED)
			types = list_append_unique_oid(types, event->address.objectId);
		else if (event->address.classId == ConstraintRelationId && event->kind != OBJECT_DROPPED)
			types = list_append_unique_oid(types, type_of_constraint(event->address.objectId));
	}
	return types;
}

static Oid
type_of_constraint(Oid constraint)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	Oid			type = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		type = ((Form_pg_constraint) GETSTRUCT(tuple))->contypid;
		ReleaseSysCache(tuple);
	}
	return type;
}

/* List the relations whose storage has changed: it was copied. Sequences are no matter. */
List *
dbops_objects_moved(ObjectEvents *events)
{
	List	   *moved = NIL;
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);
		Oid			relid = event->address.objectId;

		if (OidIsValid(event->storage) && event->storage != dbops_object_storage(relid) &&
			OidIsValid(dbops_object_storage(relid)) && get_rel_relkind(relid) != RELKIND_SEQUENCE &&
			get_rel_namespace(relid) != PG_TOAST_NAMESPACE &&
			!dbops_objects_truncated(events, relid))
			moved = list_append_unique_oid(moved, relid);
	}
	return moved;
}

/* Has the statement emptied this relation by TRUNCATE? */
bool
dbops_objects_truncated(ObjectEvents *events, Oid relid)
{
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);

		if (event->kind == OBJECT_TRUNCATED && event->address.objectId == relid)
			return true;
	}
	return false;
}
