/*
 * migration_object_told.c
 *		The object that people know, of the one that the server has written.
 *
 * The server writes what hangs on an object without being one to its users: a
 * table's row type, its toast table, the triggers of a foreign key. Those are left
 * out, as is what belongs to an extension, and a column's default or its NOT NULL
 * is told as a change of the column.
 */
#include "change/migration_watch.h"

#include "access/htup_details.h"
#include "catalog/dependency.h"
#include "catalog/index.h"
#include "catalog/pg_amop.h"
#include "catalog/pg_amproc.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "catalog/pg_type.h"
#include "utils/array.h"
#include "utils/lsyscache.h"
#include "utils/memutils.h"
#include "utils/syscache.h"

static ObjectAddress relation_told(const ObjectAddress *address);
static bool has_column(Oid relid, AttrNumber column);
static ObjectAddress default_told(const ObjectAddress *address);
static ObjectAddress constraint_told(const ObjectAddress *address, bool *as_change);
static AttrNumber constraint_column(HeapTuple constraint);
static bool is_view_rule(Oid rule);
static bool is_internal_trigger(Oid trigger);
static bool belongs_to_relation(Oid type);

/*
 * The object that people know, of the one that the server has written; none for
 * what they do not know of. Whether that is a change of it, whatever was done to the other.
 */
ObjectAddress
dbops_object_told(const ObjectAddress *address, bool *as_change)
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
			ObjectAddressSet(told, RelationRelationId, dbops_object_relation(address));
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
		OidIsValid(dbops_object_swapped(address, PERFORM_DELETION_INTERNAL)))
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

/*
 * Rows are copied into a transient heap, which then changes its storage with
 * that of the relation, and is dropped. The server names it pg_temp_ and the OID.
 */
Oid
dbops_object_swapped(const ObjectAddress *address, int flags)
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
	tuple = dbops_object_fetch_part(AttrDefaultRelationId, address->objectId);
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

static bool
is_view_rule(Oid rule)
{
	HeapTuple	tuple = dbops_object_fetch_part(RewriteRelationId, rule);

	return HeapTupleIsValid(tuple) &&
		strcmp(NameStr(((Form_pg_rewrite) GETSTRUCT(tuple))->rulename), "_RETURN") == 0;
}

static bool
is_internal_trigger(Oid trigger)
{
	HeapTuple	tuple = dbops_object_fetch_part(TriggerRelationId, trigger);

	return !HeapTupleIsValid(tuple) || ((Form_pg_trigger) GETSTRUCT(tuple))->tgisinternal;
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

/* Write an object as its kind and its name; NULL if it is not there. */
const char *
dbops_object_describe(const ObjectAddress *address, MemoryContext memory)
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
