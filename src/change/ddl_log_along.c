/*
 * ddl_log_along.c
 *		What a command changes along, of which the server tells event triggers nothing.
 *
 * A change of a partitioned table changes its partitions, REASSIGN OWNED
 * whatever somebody has, and a rename all that is written with the name. So
 * while a command that is recorded runs, the objects whose rows of the catalog
 * the server says to write (object_access_hook) are noted, by number: they get
 * their names when it is done. What the server does for itself, such as building
 * an index anew, is left out.
 *
 * A row that is being renamed is not visible yet when it is noted, so that it
 * has its old name then; so has what depends on it and says that name: these are
 * named both then and at the end. Nobody but who renames has changed those, and
 * nothing else that depends on the object has changed.
 *
 * Of a relation or type that comes, is renamed, or gets or loses a parent, all
 * parts change: it is a whole, and its parts are not named one by one.
 */
#include "change/ddl_log.h"

#include "change/migration_watch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/indexing.h"
#include "catalog/objectaccess.h"
#include "catalog/objectaddress.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_class.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_default_acl.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_event_trigger.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_index.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_publication_rel.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "commands/extension.h"
#include "miscadmin.h"
#include "nodes/parsenodes.h"
#include "utils/array.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* The kind of such constraints in pg_constraint.contype, from 18 on. */
#define NOT_NULL	'n'

static object_access_hook_type previous_hook = NULL;

/* Of the command that runs; NULL: of none. */
static DdlAlong *current = NULL;

static void see_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg);
static void note(ObjectAccessType access, ObjectAddress address, void *arg);
static bool has_a_name(const ObjectAddress *address);
static void note_object(const ObjectAddress *address, bool is_whole);
static void note_made_within(const ObjectAddress *constraint);
static bool is_changed_as_whole(ObjectAccessType access, const ObjectAddress *address);
static bool is_renaming(void);
static void note_old_name(const ObjectAddress *address, bool is_whole);
static void note_dependents(const ObjectAddress *of);
static bool goes_on(const ObjectAddress *of, const ObjectAddress *dependent, char how);
static bool goes_silently(const ObjectAddress *address, const ObjectAccessDrop *drop);
static bool comes_with_another(const ObjectAddress *address);
static void add_those_of_partitions(void);
static List *names_at_end(List *addresses, List *old_names);
static char *not_null_column(Oid constraint);
static int	compare(const ListCell *a, const ListCell *b);
static List *sorted(List *names);
static bool is_in(char **names, int count, const char *name, int length);

/* See what the server writes into its catalogs. */
void
dbops_ddl_along_init(void)
{
	previous_hook = object_access_hook;
	object_access_hook = see_object;
}

/* A command begins; what it is within goes on when it has ended. */
DdlAlong *
dbops_ddl_along_begin(DdlAlong *along)
{
	DdlAlong   *outer = current;

	current = along;
	return outer;
}

void
dbops_ddl_along_end(DdlAlong *outer)
{
	if (current->memory != NULL)
		MemoryContextDelete(current->memory);
	current = outer;
}

static void
see_object(ObjectAccessType access, Oid class, Oid object, int part, void *arg)
{
	ObjectAddress address = {.classId = class,.objectId = object,.objectSubId = part};
	MemoryContext caller;

	if (previous_hook != NULL)
		previous_hook(access, class, object, part, arg);
	if (current == NULL || !dbops_record_ddl || creating_extension || dbops_watched != NULL)
		return;
	if (current->memory == NULL)
		current->memory = AllocSetContextCreate(current->parent, "dbops what a command changes along", ALLOCSET_SMALL_SIZES);
	caller = MemoryContextSwitchTo(current->memory);
	note(access, address, arg);
	MemoryContextSwitchTo(caller);
}

static void
note(ObjectAccessType access, ObjectAddress address, void *arg)
{
	bool		is_whole = is_changed_as_whole(access, &address);

	/* These are noted by the number of their relation, and column. */
	if (address.classId == InheritsRelationId || address.classId == IndexRelationId || address.classId == AttrDefaultRelationId)
		address.classId = RelationRelationId;
	if (!has_a_name(&address))
		return;
	switch (access)
	{
		case OAT_POST_CREATE:
			if (arg == NULL || !((ObjectAccessPostCreate *) arg)->is_internal)
				note_object(&address, is_whole);
			else if (address.classId == ConstraintRelationId)
				note_made_within(&address);
			break;
		case OAT_POST_ALTER:
			if (arg != NULL && ((ObjectAccessPostAlter *) arg)->is_internal)
				break;
			note_object(&address, is_whole);
			if (is_renaming())
			{
				note_old_name(&address, is_whole);
				note_dependents(&address);
			}
			break;
		case OAT_DROP:
			if (goes_silently(&address, arg))
				note_old_name(&address, false);
			break;
		default:
			break;
	}
}

/* Hooks are called for rows that are no objects, too. */
static bool
has_a_name(const ObjectAddress *address)
{
	if (address->objectSubId != 0)
		return address->classId == RelationRelationId;
	/* What dbops adds to itself. */
	if (address->classId == ExtensionRelationId && dbops_is_own())
		return false;
	return is_objectclass_supported(address->classId) || address->classId == DefaultAclRelationId ||
		address->classId == PublicationRelRelationId;
}

static void
note_object(const ObjectAddress *address, bool is_whole)
{
	ObjectAddress *copy = palloc(sizeof(ObjectAddress));

	*copy = *address;
	if (is_whole)
		current->wholes = lappend(current->wholes, copy);
	else
		current->objects = lappend(current->objects, copy);
}

/* A partition's foreign key is made by the server for itself; whether this is one cannot be seen yet. */
static void
note_made_within(const ObjectAddress *constraint)
{
	current->constraints = lappend_oid(current->constraints, constraint->objectId);
}

static bool
is_changed_as_whole(ObjectAccessType access, const ObjectAddress *address)
{
	if (address->classId == InheritsRelationId)
		return true;
	return (address->classId == RelationRelationId || address->classId == TypeRelationId) && address->objectSubId == 0 &&
		(access == OAT_POST_CREATE || is_renaming());
}

static bool
is_renaming(void)
{
	return IsA(current->statement, RenameStmt) || IsA(current->statement, AlterObjectSchemaStmt);
}

static void
note_old_name(const ObjectAddress *address, bool is_whole)
{
	char	   *name = comes_with_another(address) ? NULL : dbops_ddl_name_of(address);

	if (name != NULL && is_whole)
		current->old_wholes = lappend(current->old_wholes, name);
	else if (name != NULL)
		current->old_names = lappend(current->old_names, name);
}

/* Note what is written with the name of an object that is being renamed. */
static void
note_dependents(const ObjectAddress *of)
{
	Relation	depend = table_open(DependRelationId, AccessShareLock);
	ScanKeyData keys[3];
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(of->classId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(of->objectId));
	ScanKeyInit(&keys[2], Anum_pg_depend_refobjsubid, BTEqualStrategyNumber, F_INT4EQ, Int32GetDatum(of->objectSubId));
	scan = systable_beginscan(depend, DependReferenceIndexId, true, NULL, of->objectSubId != 0 ? 3 : 2, keys);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(row);
		ObjectAddress dependent = {.classId = form->classid,.objectId = form->objid,.objectSubId = form->objsubid};
		bool		is_whole = (of->classId == NamespaceRelationId && form->classid == RelationRelationId);

		CHECK_FOR_INTERRUPTS();
		check_stack_depth();
		note_object(&dependent, is_whole);
		note_old_name(&dependent, is_whole);
		if (goes_on(of, &dependent, form->deptype))
			note_dependents(&dependent);
	}
	systable_endscan(scan);
	table_close(depend, AccessShareLock);
}

/* What is in a schema is called by its name, too, and so are the types that come with a table or a type. */
static bool
goes_on(const ObjectAddress *of, const ObjectAddress *dependent, char how)
{
	return of->classId == NamespaceRelationId || (dependent->classId == TypeRelationId && how == DEPENDENCY_INTERNAL);
}

/* Is no event trigger told of it, and does nothing take its place, as of an index that is built anew? */
static bool
goes_silently(const ObjectAddress *address, const ObjectAccessDrop *drop)
{
	if (address->classId == EventTriggerRelationId)
		return true;
	if (drop == NULL || (drop->dropflags & PERFORM_DELETION_INTERNAL) == 0)
		return false;
	return address->classId == TriggerRelationId ||
		(address->classId == RelationRelationId && address->objectSubId == 0 && get_rel_relkind(address->objectId) == RELKIND_SEQUENCE);
}

/* ---- their names ---- */

/*
 * Add to the names of a command those of what it has changed along, each once,
 * and say which of all are wholes.
 */
List *
dbops_ddl_along_names(List *known, List **wholes)
{
	List	   *names;
	char	  **whole_names;
	char	  **known_names;
	int			count = 0;
	int			known_count = 0;
	ListCell   *cell;

	*wholes = NIL;
	if (current == NULL)
		return known;
	add_those_of_partitions();
	*wholes = names_at_end(current->wholes, current->old_wholes);
	names = sorted(list_concat(names_at_end(current->objects, current->old_names), *wholes));
	whole_names = palloc(sizeof(char *) * (list_length(*wholes) + 1));
	foreach(cell, *wholes)
		whole_names[count++] = lfirst(cell);
	known_names = palloc(sizeof(char *) * (list_length(known) + 1));
	foreach(cell, sorted(list_copy(known)))
		known_names[known_count++] = lfirst(cell);
	foreach(cell, names)
	{
		const char *name = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		if (!is_in(known_names, known_count, name, strlen(name)) &&
			!is_in(whole_names, count, name, dbops_ddl_whole_length(name)))
			known = lappend(known, lfirst(cell));
	}
	return known;
}

static void
add_those_of_partitions(void)
{
	MemoryContext caller = MemoryContextSwitchTo(current->memory != NULL ? current->memory : current->parent);
	ListCell   *cell;

	foreach(cell, current->constraints)
	{
		HeapTuple	row = SearchSysCache1(CONSTROID, ObjectIdGetDatum(lfirst_oid(cell)));
		ObjectAddress address;

		if (!HeapTupleIsValid(row))
			continue;
		ObjectAddressSet(address, ConstraintRelationId, lfirst_oid(cell));
		if (OidIsValid(((Form_pg_constraint) GETSTRUCT(row))->conparentid))
			note_object(&address, false);
		ReleaseSysCache(row);
	}
	MemoryContextSwitchTo(caller);
}

static List *
names_at_end(List *addresses, List *old_names)
{
	List	   *names = list_copy(old_names);
	ListCell   *cell;

	foreach(cell, addresses)
	{
		const ObjectAddress *address = lfirst(cell);
		char	   *name;

		CHECK_FOR_INTERRUPTS();
		name = comes_with_another(address) ? NULL : dbops_ddl_name_of(address);
		if (name != NULL)
			names = lappend(names, name);
		if (address->classId == ConstraintRelationId && (name = not_null_column(address->objectId)) != NULL)
			names = lappend(names, name);
	}
	return sorted(names);
}

/* From 18 on, NOT NULL is a constraint, and of the column nothing is said; NULL: it is none of that kind. */
static char *
not_null_column(Oid constraint)
{
	HeapTuple	row = SearchSysCache1(CONSTROID, ObjectIdGetDatum(constraint));
	ObjectAddress column = {.classId = RelationRelationId};
	Form_pg_constraint form;
	Datum		columns;
	bool		isnull;

	if (!HeapTupleIsValid(row))
		return NULL;
	form = (Form_pg_constraint) GETSTRUCT(row);
	columns = SysCacheGetAttr(CONSTROID, row, Anum_pg_constraint_conkey, &isnull);
	if (form->contype == NOT_NULL && OidIsValid(form->conrelid) && !isnull)
	{
		column.objectId = form->conrelid;
		column.objectSubId = ((int16 *) ARR_DATA_PTR(DatumGetArrayTypeP(columns)))[0];
	}
	ReleaseSysCache(row);
	return OidIsValid(column.objectId) ? dbops_ddl_name_of(&column) : NULL;
}

/* Is it an array, a range of ranges, or the type of a table? */
static bool
comes_with_another(const ObjectAddress *address)
{
	Oid			type = address->objectId;
	Oid			relation;

	if (address->classId != TypeRelationId)
		return false;
	relation = get_typ_typrelid(type);
	if (OidIsValid(relation))
		return get_rel_relkind(relation) != RELKIND_COMPOSITE_TYPE;
	return OidIsValid(get_element_type(type)) || get_typtype(type) == TYPTYPE_MULTIRANGE;
}

static int
compare(const ListCell *a, const ListCell *b)
{
	return strcmp(lfirst(a), lfirst(b));
}

/* In order, each once. */
static List *
sorted(List *names)
{
	List	   *once = NIL;
	ListCell   *cell;

	list_sort(names, compare);
	foreach(cell, names)
		if (once == NIL || strcmp(llast(once), lfirst(cell)) != 0)
			once = lappend(once, lfirst(cell));
	return once;
}

/* Is such a beginning of a name one of these, which are in order? */
static bool
is_in(char **names, int count, const char *name, int length)
{
	int			low = 0;
	int			high = count;

	while (low < high)
	{
		int			middle = (low + high) / 2;
		int			order = strncmp(names[middle], name, length);

		if (order == 0 && names[middle][length] == '\0')
			return true;
		if (order < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return false;
}
