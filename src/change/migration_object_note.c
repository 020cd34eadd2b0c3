/*
 * migration_object_note.c
 *		Note the objects that a statement creates, changes and drops, while it does.
 *
 * The server calls a hook for whatever it writes into its catalogs. A name is
 * looked up when the statement has ended, or, of what is dropped, just before.
 *
 * What a subtransaction has done is forgotten when it is rolled back: the events
 * of the innermost one are always the latest ones, so a list with the latest
 * first is all that this takes.
 */
#include "change/migration_watch.h"

#include "access/htup_details.h"
#include "access/xact.h"
#include "catalog/pg_class.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define KEPT_EVENTS 5000		/* of a statement */

/* An event whose object is to be named. */
typedef struct Naming
{
	ObjectEvents *events;
	ObjectEvent *event;
} Naming;

static bool is_full(ObjectEvents *events);
static void note(ObjectEvents *events, ObjectEventKind kind, ObjectAddress address, bool internal);
static void note_drop(ObjectEvents *events, ObjectAddress address, int flags);
static void name_dropped(ObjectEvents *events, ObjectEvent *event);
static void try_to_name(void *arg);

/* Note what the server does to an object; for its object_access_hook. */
void
dbops_objects_note(ObjectEvents *events, ObjectAccessType access,
				   Oid class, Oid object, int part, void *arg)
{
	ObjectAddress address;

	if (access == OAT_NAMESPACE_SEARCH || access == OAT_FUNCTION_EXECUTE || is_full(events))
		return;
	ObjectAddressSubSet(address, class, object, part);
	switch (access)
	{
		case OAT_POST_CREATE:
			note(events, OBJECT_CREATED, address, ((ObjectAccessPostCreate *) arg)->is_internal);
			break;
		case OAT_POST_ALTER:
			note(events, OBJECT_CHANGED, address, ((ObjectAccessPostAlter *) arg)->is_internal);
			break;
		case OAT_DROP:
			note_drop(events, address, ((ObjectAccessDrop *) arg)->dropflags);
			break;
		case OAT_TRUNCATE:
			note(events, OBJECT_TRUNCATED, address, false);
			events->rows_written = true;
			break;
		default:
			break;
	}
}

/* Of very many events only the first ones are kept, and how many others there are. */
static bool
is_full(ObjectEvents *events)
{
	if (events->kept < KEPT_EVENTS)
		return false;
	events->others++;
	return true;
}

/* Note a change of which the server does not tell the hook. */
void
dbops_objects_note_address(ObjectEvents *events, ObjectAddress address)
{
	note(events, OBJECT_CHANGED, address, false);
}

/* Note that rows of a relation are read, or written. */
void
dbops_objects_note_use(ObjectEvents *events, Oid relid, bool write)
{
	MemoryContext caller = MemoryContextSwitchTo(events->memory);

	events->used = list_append_unique_oid(events->used, relid);
	events->rows_written |= write;
	MemoryContextSwitchTo(caller);
}

static void
note(ObjectEvents *events, ObjectEventKind kind, ObjectAddress address, bool internal)
{
	ObjectEvent *event = MemoryContextAllocZero(events->memory, sizeof(ObjectEvent));

	event->kind = kind;
	event->internal = internal;
	event->subxact = GetCurrentSubTransactionId();
	event->address = address;
	if (kind == OBJECT_CHANGED && address.classId == RelationRelationId)
		event->storage = dbops_object_storage(address.objectId);
	slist_push_head(&events->list, &event->link);
	events->kept++;
}

/* What is dropped can be looked at now, and not later. */
static void
note_drop(ObjectEvents *events, ObjectAddress address, int flags)
{
	Oid			swapped = dbops_object_swapped(&address, flags);
	bool		as_change = false;
	ObjectAddress told;
	MemoryContext caller;

	if (OidIsValid(swapped))
	{
		caller = MemoryContextSwitchTo(events->memory);
		events->swapped = list_append_unique_oid(events->swapped, swapped);
		MemoryContextSwitchTo(caller);
	}
	told = dbops_object_told(&address, &as_change);
	if (as_change)
		note(events, OBJECT_CHANGED, told, false);
	note(events, OBJECT_DROPPED, address, false);
	if (!as_change && OidIsValid(told.objectId))
		name_dropped(events, slist_head_element(ObjectEvent, link, &events->list));
}

/*
 * What the object hangs on may have been dropped already, where objects hang on
 * each other; then there is no name to be had, and no reason to fail.
 */
static void
name_dropped(ObjectEvents *events, ObjectEvent *event)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "migration drop",
											   ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	Naming		naming = {.events = events, .event = event};
	ErrorData  *error;

	(void) dbops_attempt(try_to_name, &naming, &error);
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
}

static void
try_to_name(void *arg)
{
	Naming	   *naming = arg;
	ObjectEvent *event = naming->event;
	MemoryContext memory = naming->events->memory;
	Oid			relid = event->address.objectId;

	event->whole = dbops_object_relation(&event->address);
	event->name = dbops_object_describe(&event->address, memory);
	if (event->address.classId == RelationRelationId && event->address.objectSubId == 0 &&
		!dbops_relation_is_new(relid))
		event->relation = MemoryContextStrdup(memory, dbops_quote_relation(relid));
}

/* The file of a relation, as it was before the change of which the hook is told. */
Oid
dbops_object_storage(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	Oid			storage = InvalidOid;

	if (HeapTupleIsValid(tuple))
	{
		storage = ((Form_pg_class) GETSTRUCT(tuple))->relfilenode;
		ReleaseSysCache(tuple);
	}
	return storage;
}

/* Count the events, those that are not kept too. */
int
dbops_objects_count(const ObjectEvents *events)
{
	return events->kept + events->others;
}

/* Forget what a subtransaction that is rolled back has done. */
void
dbops_objects_forget(ObjectEvents *events, SubTransactionId aborted)
{
	while (!slist_is_empty(&events->list) &&
		   slist_head_element(ObjectEvent, link, &events->list)->subxact == aborted)
	{
		slist_pop_head_node(&events->list);
		events->kept--;
	}
}

/* Have what a subtransaction has done be its parent's. */
void
dbops_objects_adopt(ObjectEvents *events, SubTransactionId committed, SubTransactionId parent)
{
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);

		if (event->subxact != committed)
			break;
		event->subxact = parent;
	}
}
