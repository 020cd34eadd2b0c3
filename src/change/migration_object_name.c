/*
 * migration_object_name.c
 *		Name what a statement has created, changed and dropped, each object once.
 *
 * Told is what a reader would say of the statement: the table and not the columns
 * that came with it, and no index that the server has dropped and made anew.
 */
#include "change/migration_watch.h"

#include "catalog/pg_class.h"

static List *names_of(ObjectEvents *events, ObjectEventKind kind);
static const char *name_of(ObjectEvents *events, const ObjectEvent *event, ObjectEventKind kind);
static bool is_drop_told(ObjectEvents *events, const ObjectEvent *event);
static bool is_part_of(ObjectEvents *events, ObjectEventKind kind, const ObjectAddress *address,
					   Oid relid);
static bool has_event(ObjectEvents *events, ObjectEventKind kind, const ObjectAddress *address);
static bool is_made_anew(ObjectEvents *events, const char *name);
static int	compare_names(const ListCell *a, const ListCell *b);

/* Name the objects, when the statement has ended. */
ObjectNames
dbops_objects_name(ObjectEvents *events)
{
	ObjectNames names;

	names.created = names_of(events, OBJECT_CREATED);
	names.changed = names_of(events, OBJECT_CHANGED);
	names.dropped = names_of(events, OBJECT_DROPPED);
	return names;
}

static List *
names_of(ObjectEvents *events, ObjectEventKind kind)
{
	List	   *names = NIL;
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		const char *name = name_of(events, slist_container(ObjectEvent, link, iter.cur), kind);

		if (name != NULL)
			names = lappend(names, unconstify(char *, name));
	}
	return dbops_names_sort(names);
}

/* Name the object of an event if it is told as of that kind; else NULL. */
static const char *
name_of(ObjectEvents *events, const ObjectEvent *event, ObjectEventKind kind)
{
	ObjectAddress told;
	bool		as_change = event->kind == OBJECT_CHANGED || event->kind == OBJECT_TRUNCATED;

	if (event->kind == OBJECT_DROPPED)
		return kind == OBJECT_DROPPED && is_drop_told(events, event) ? event->name : NULL;
	if (event->internal || kind == OBJECT_DROPPED)
		return NULL;
	told = dbops_object_told(&event->address, &as_change);
	if (!OidIsValid(told.objectId) || as_change != (kind == OBJECT_CHANGED))
		return NULL;
	if (is_part_of(events, OBJECT_CREATED, &told, dbops_object_relation(&told)) ||
		(as_change && has_event(events, OBJECT_CREATED, &told)))
		return NULL;
	return dbops_object_describe(&told, CurrentMemoryContext);
}

/*
 * Neither what has come and gone within the statement, nor a part of what was
 * dropped too, nor what the server has made anew, as it does with indexes.
 */
static bool
is_drop_told(ObjectEvents *events, const ObjectEvent *event)
{
	return event->name != NULL &&
		!has_event(events, OBJECT_CREATED, &event->address) &&
		!is_part_of(events, OBJECT_DROPPED, &event->address, event->whole) &&
		!is_made_anew(events, event->name);
}

/* Is an object a part of a relation of which there is such an event? */
static bool
is_part_of(ObjectEvents *events, ObjectEventKind kind, const ObjectAddress *address, Oid relid)
{
	ObjectAddress whole;

	if (!OidIsValid(relid) ||
		(address->classId == RelationRelationId && address->objectId == relid &&
		 address->objectSubId == 0))
		return false;
	ObjectAddressSet(whole, RelationRelationId, relid);
	return has_event(events, kind, &whole);
}

static bool
has_event(ObjectEvents *events, ObjectEventKind kind, const ObjectAddress *address)
{
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);

		if (event->kind == kind &&
			event->address.classId == address->classId &&
			event->address.objectId == address->objectId &&
			event->address.objectSubId == address->objectSubId)
			return true;
	}
	return false;
}

static bool
is_made_anew(ObjectEvents *events, const char *name)
{
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);
		const char *created;

		if (event->kind != OBJECT_CREATED || !event->internal)
			continue;
		created = dbops_object_describe(&event->address, CurrentMemoryContext);
		if (created != NULL && strcmp(created, name) == 0)
			return true;
	}
	return false;
}

/* Put names in order, each once. */
List *
dbops_names_sort(List *names)
{
	return dbops_texts_sort(names, compare_names);
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}
