/*
 * migration_objects.c
 *		The objects that a statement creates, changes and drops.
 *
 * The server calls a hook for whatever it writes into its catalogs, also for
 * what hangs on an object without being one to its users: a table's row type,
 * its toast table, the triggers of a foreign key. Those are left out, as is what
 * belongs to an extension, and a column's default or its NOT NULL is told as a
 * change of the column.
 *
 * A name is looked up when the statement has ended, or, of what is dropped,
 * just before. What a subtransaction has done is forgotten when it is rolled
 * back: the events of the innermost one are always the latest ones, so a list
 * with the latest first is all that this takes.
 */
#include "change/migration_watch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/xact.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

#define KEPT_EVENTS 5000		/* of a statement */

typedef enum ObjectEventKind
{
	OBJECT_CREATED,
	OBJECT_CHANGED,
	OBJECT_DROPPED,
	OBJECT_TRUNCATED
} ObjectEventKind;

typedef struct ObjectEvent
{
	slist_node	link;
	ObjectEventKind kind;
	bool		internal;		/* done by the server for something else */
	SubTransactionId subxact;	/* in this one, or by now its parent */
	ObjectAddress address;
	Oid			storage;		/* of a changed relation, before; else 0 */
	Oid			whole;			/* relation that what was dropped was a part of; else 0 */
	const char *name;			/* of what was dropped; NULL: it is not told */
	const char *relation;		/* that was dropped and known to others, quoted as in SQL; else NULL */
} ObjectEvent;

/* An event whose object is to be named. */
typedef struct Naming
{
	ObjectEvents *events;
	ObjectEvent *event;
} Naming;

/* A catalog whose objects belong to a relation. */
typedef struct PartCatalog
{
	Oid			class;
	Oid			index;			/* by OID */
	AttrNumber	oid;
	AttrNumber	relation;
} PartCatalog;

static const PartCatalog part_catalogs[] = {
	{AttrDefaultRelationId, AttrDefaultOidIndexId, Anum_pg_attrdef_oid, Anum_pg_attrdef_adrelid},
	{ConstraintRelationId, ConstraintOidIndexId, Anum_pg_constraint_oid, Anum_pg_constraint_conrelid},
	{PolicyRelationId, PolicyOidIndexId, Anum_pg_policy_oid, Anum_pg_policy_polrelid},
	{RewriteRelationId, RewriteOidIndexId, Anum_pg_rewrite_oid, Anum_pg_rewrite_ev_class},
	{TriggerRelationId, TriggerOidIndexId, Anum_pg_trigger_oid, Anum_pg_trigger_tgrelid},
};

static bool is_full(ObjectEvents *events);
static void note(ObjectEvents *events, ObjectEventKind kind, ObjectAddress address, bool internal);
static void note_drop(ObjectEvents *events, ObjectAddress address, int flags);
static void name_dropped(ObjectEvents *events, ObjectEvent *event);
static void try_to_name(void *arg);
static Oid	storage_of(Oid relid);
static Oid	swapped_relation(const ObjectAddress *address, int flags);
static Oid	type_of_constraint(Oid constraint);
static List *names_of(ObjectEvents *events, ObjectEventKind kind);
static const char *name_of(ObjectEvents *events, const ObjectEvent *event, ObjectEventKind kind);
static bool is_drop_told(ObjectEvents *events, const ObjectEvent *event);
static bool is_part_of(ObjectEvents *events, ObjectEventKind kind,
					   const ObjectAddress *address, Oid relid);
static bool has_event(ObjectEvents *events, ObjectEventKind kind, const ObjectAddress *address);
static bool is_made_anew(ObjectEvents *events, const char *name);
static int	compare_names(const ListCell *a, const ListCell *b);
static ObjectAddress object_told(const ObjectAddress *address, bool *as_change);
static ObjectAddress constraint_told(const ObjectAddress *address, bool *as_change);
static AttrNumber constraint_column(HeapTuple constraint);
static ObjectAddress relation_told(const ObjectAddress *address);
static bool has_column(Oid relid, AttrNumber column);
static ObjectAddress default_told(const ObjectAddress *address);
static bool belongs_to_relation(Oid type);
static bool is_internal_trigger(Oid trigger);
static bool is_view_rule(Oid rule);
static Oid	relation_of(const ObjectAddress *address);
static Oid	relation_of_part(const ObjectAddress *address);
static HeapTuple fetch_part(Oid class, Oid object);
static HeapTuple fetch(Relation catalog, const PartCatalog *parts, Oid object);
static const char *describe(const ObjectAddress *address, MemoryContext memory);

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
		event->storage = storage_of(address.objectId);
	slist_push_head(&events->list, &event->link);
	events->kept++;
}

/* The file of a relation, as it was before the change of which the hook is told. */
static Oid
storage_of(Oid relid)
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

/* What is dropped can be looked at now, and not later. */
static void
note_drop(ObjectEvents *events, ObjectAddress address, int flags)
{
	Oid			swapped = swapped_relation(&address, flags);
	bool		as_change = false;
	ObjectAddress told;
	MemoryContext caller;

	if (OidIsValid(swapped))
	{
		caller = MemoryContextSwitchTo(events->memory);
		events->swapped = list_append_unique_oid(events->swapped, swapped);
		MemoryContextSwitchTo(caller);
	}
	told = object_told(&address, &as_change);
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

	event->whole = relation_of(&event->address);
	event->name = describe(&event->address, memory);
	if (event->address.classId == RelationRelationId && event->address.objectSubId == 0 &&
		!dbops_relation_is_new(relid))
		event->relation =
			MemoryContextStrdup(memory,
								dbops_quote_qualified(get_namespace_name(get_rel_namespace(relid)),
													  get_rel_name(relid)));
}

/*
 * Rows are copied into a transient heap, which then changes its storage with
 * that of the relation, and is dropped. The server names it pg_temp_ and the OID.
 */
static Oid
swapped_relation(const ObjectAddress *address, int flags)
{
	char	   *name;
	unsigned int relid;
	char		rest;

	if (address->classId != RelationRelationId || address->objectSubId != 0 ||
		(flags & PERFORM_DELETION_INTERNAL) == 0)
		return InvalidOid;
	name = get_rel_name(address->objectId);
	if (name == NULL || sscanf(name, "pg_temp_%u%c", &relid, &rest) != 1)
		return InvalidOid;
	return relid;
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

/* List the relations that were worked at, or something that belongs to them. */
List *
dbops_objects_touched(ObjectEvents *events)
{
	List	   *touched = list_copy(events->used);
	slist_iter	iter;

	slist_foreach(iter, &events->list)
	{
		ObjectEvent *event = slist_container(ObjectEvent, link, iter.cur);
		Oid			relid = event->kind == OBJECT_DROPPED ? event->whole : relation_of(&event->address);

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

		if (OidIsValid(event->storage) && event->storage != storage_of(relid) &&
			OidIsValid(storage_of(relid)) && get_rel_relkind(relid) != RELKIND_SEQUENCE &&
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
	told = object_told(&event->address, &as_change);
	if (!OidIsValid(told.objectId) || as_change != (kind == OBJECT_CHANGED))
		return NULL;
	if (is_part_of(events, OBJECT_CREATED, &told, relation_of(&told)) ||
		(as_change && has_event(events, OBJECT_CREATED, &told)))
		return NULL;
	return describe(&told, CurrentMemoryContext);
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
		created = describe(&event->address, CurrentMemoryContext);
		if (created != NULL && strcmp(created, name) == 0)
			return true;
	}
	return false;
}

/* Put names in order, each once. */
List *
dbops_names_sort(List *names)
{
	List	   *sorted = NIL;
	ListCell   *lc;

	list_sort(names, compare_names);
	foreach(lc, names)
		if (sorted == NIL || strcmp(llast(sorted), lfirst(lc)) != 0)
			sorted = lappend(sorted, lfirst(lc));
	return sorted;
}

static int
compare_names(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/*
 * The object that people know, of the one that the server has written; none for
 * what they do not know of. Whether that is a change of it, whatever was done to the other.
 */
static ObjectAddress
object_told(const ObjectAddress *address, bool *as_change)
{
	ObjectAddress told = InvalidObjectAddress;

	if (OidIsValid(getExtensionOfObject(address->classId, address->objectId)))
		return told;
	switch (address->classId)
	{
		case RelationRelationId:
			return relation_told(address);
		case AttrDefaultRelationId:
			*as_change = true;
			return default_told(address);
		case AccessMethodOperatorRelationId:
		case AccessMethodProcedureRelationId:
			return told;
		case ConstraintRelationId:
			return constraint_told(address, as_change);
		case IndexRelationId:
		case InheritsRelationId:
			*as_change = true;
			ObjectAddressSet(told, RelationRelationId, address->objectId);
			return told;
		case RewriteRelationId:
			if (!is_view_rule(address->objectId))
				return *address;
			*as_change = true;
			ObjectAddressSet(told, RelationRelationId, relation_of(address));
			return told;
		case TriggerRelationId:
			return is_internal_trigger(address->objectId) ? told : *address;
		case TypeRelationId:
			return belongs_to_relation(address->objectId) ? told : *address;
		default:
			return is_objectclass_supported(address->classId) ? *address : told;
	}
}

/* Neither toast, nor what is behind a composite type, nor a heap that rows are copied to. */
static ObjectAddress
relation_told(const ObjectAddress *address)
{
	char		kind = get_rel_relkind(address->objectId);

	if (kind == '\0' || kind == RELKIND_TOASTVALUE ||
		(kind == RELKIND_COMPOSITE_TYPE && address->objectSubId == 0) ||
		get_rel_namespace(address->objectId) == PG_TOAST_NAMESPACE ||
		OidIsValid(swapped_relation(address, PERFORM_DELETION_INTERNAL)))
		return InvalidObjectAddress;
	if (address->objectSubId != 0 && !has_column(address->objectId, address->objectSubId))
		return InvalidObjectAddress;
	return *address;
}

static bool
has_column(Oid relid, AttrNumber column)
{
	HeapTuple	tuple = SearchSysCacheAttNum(relid, column);

	if (!HeapTupleIsValid(tuple))
		return false;
	ReleaseSysCache(tuple);
	return true;
}

/* The column of a default. When one is created, the server tells the hook the column itself. */
static ObjectAddress
default_told(const ObjectAddress *address)
{
	ObjectAddress column = InvalidObjectAddress;
	HeapTuple	tuple;

	if (address->objectSubId != 0)
	{
		ObjectAddressSubSet(column, RelationRelationId, address->objectId, address->objectSubId);
		return column;
	}
	tuple = fetch_part(AttrDefaultRelationId, address->objectId);
	if (HeapTupleIsValid(tuple))
	{
		Form_pg_attrdef form = (Form_pg_attrdef) GETSTRUCT(tuple);

		ObjectAddressSubSet(column, RelationRelationId, form->adrelid, form->adnum);
	}
	return column;
}

/* NOT NULL is a constraint of its own since 18, and told as of old. */
static ObjectAddress
constraint_told(const ObjectAddress *address, bool *as_change)
{
	HeapTuple	tuple = SearchSysCache1(CONSTROID, ObjectIdGetDatum(address->objectId));
	ObjectAddress told = *address;
	Form_pg_constraint form;

	if (!HeapTupleIsValid(tuple))
		return InvalidObjectAddress;
	form = (Form_pg_constraint) GETSTRUCT(tuple);
	if (form->contype == 'n')
	{
		*as_change = true;
		if (OidIsValid(form->conrelid))
			ObjectAddressSubSet(told, RelationRelationId, form->conrelid,
								constraint_column(tuple));
		else
			ObjectAddressSet(told, TypeRelationId, form->contypid);
	}
	ReleaseSysCache(tuple);
	return told;
}

/* The column of a NOT NULL. */
static AttrNumber
constraint_column(HeapTuple constraint)
{
	bool		isnull;
	Datum		columns = SysCacheGetAttr(CONSTROID, constraint,
										  Anum_pg_constraint_conkey, &isnull);

	return isnull ? 0 : *(AttrNumber *) ARR_DATA_PTR(DatumGetArrayTypeP(columns));
}

/* Is it the row type of a relation, or an array type that came with another one? */
static bool
belongs_to_relation(Oid type)
{
	Oid			element = get_element_type(type);
	Oid			relid = get_typ_typrelid(type);

	if (OidIsValid(element))
		return get_array_type(element) == type;
	return OidIsValid(relid) && get_rel_relkind(relid) != RELKIND_COMPOSITE_TYPE;
}

static bool
is_internal_trigger(Oid trigger)
{
	HeapTuple	tuple = fetch_part(TriggerRelationId, trigger);

	return !HeapTupleIsValid(tuple) || ((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal;
}

static bool
is_view_rule(Oid rule)
{
	HeapTuple	tuple = fetch_part(RewriteRelationId, rule);

	return HeapTupleIsValid(tuple) &&
		strcmp(NameStr(((Form_pg_rewrite) GETSTRUCT(tuple))->rulename), "_RETURN") == 0;
}

/* Find the relation that an object is, or belongs to; of an index, that is its table. */
static Oid
relation_of(const ObjectAddress *address)
{
	Oid			table = InvalidOid;

	if (address->classId == RelationRelationId || address->classId == IndexRelationId)
		table = IndexGetRelation(address->objectId, true);
	if (OidIsValid(table))
		return table;
	if (address->classId == RelationRelationId || address->classId == InheritsRelationId)
		return address->objectId;
	if (address->classId == AttrDefaultRelationId && address->objectSubId != 0)
		return address->objectId;
	return relation_of_part(address);
}

static Oid
relation_of_part(const ObjectAddress *address)
{
	Relation	catalog;
	HeapTuple	tuple;
	Datum		relid = ObjectIdGetDatum(InvalidOid);
	bool		isnull;

	for (int i = 0; i < lengthof(part_catalogs); i++)
	{
		if (part_catalogs[i].class != address->classId)
			continue;
		catalog = table_open(address->classId, AccessShareLock);
		tuple = fetch(catalog, &part_catalogs[i], address->objectId);
		if (HeapTupleIsValid(tuple))
			relid = heap_getattr(tuple, part_catalogs[i].relation, RelationGetDescr(catalog), &isnull);
		table_close(catalog, AccessShareLock);
	}
	return DatumGetObjectId(relid);
}

/* Fetch the row of such a part; NULL if it is not there. */
static HeapTuple
fetch_part(Oid class, Oid object)
{
	Relation	catalog = table_open(class, AccessShareLock);
	HeapTuple	tuple = NULL;

	for (int i = 0; i < lengthof(part_catalogs); i++)
		if (part_catalogs[i].class == class)
			tuple = fetch(catalog, &part_catalogs[i], object);
	table_close(catalog, AccessShareLock);
	return tuple;
}

static HeapTuple
fetch(Relation catalog, const PartCatalog *parts, Oid object)
{
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	tuple;

	ScanKeyInit(&key, parts->oid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(object));
	scan = systable_beginscan(catalog, parts->index, true, NULL, 1, &key);
	tuple = systable_getnext(scan);
	if (HeapTupleIsValid(tuple))
		tuple = heap_copytuple(tuple);
	systable_endscan(scan);
	return tuple;
}

/* Write an object as its kind and its name; NULL if it is not there. */
static const char *
describe(const ObjectAddress *address, MemoryContext memory)
{
	MemoryContext work = AllocSetContextCreate(CurrentMemoryContext, "migration object",
											   ALLOCSET_SMALL_SIZES);
	MemoryContext caller = MemoryContextSwitchTo(work);
	char	   *identity = getObjectIdentity(address, true);
	char	   *name = NULL;

	if (identity != NULL)
		name = MemoryContextStrdup(memory, psprintf("%s %s",
													getObjectTypeDescription(address, true),
													identity));
	MemoryContextSwitchTo(caller);
	MemoryContextDelete(work);
	return name;
}
