/*
 * migration_object_part.c
 *		The relation that an object belongs to: a trigger, a default, an index.
 *
 * The server has no cache for most of the catalogs of such parts, so a row is
 * looked up by the index on its OID.
 */
#include "change/migration_watch.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/index.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_constraint.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_policy.h"
#include "catalog/pg_rewrite.h"
#include "catalog/pg_trigger.h"
#include "utils/fmgroids.h"

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

static Oid	relation_of_part(const ObjectAddress *address);
static HeapTuple fetch(Relation catalog, const PartCatalog *parts, Oid object);

/* Find the relation that an object is, or belongs to; of an index, that is its table. */
Oid
dbops_object_relation(const ObjectAddress *address)
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
HeapTuple
dbops_object_fetch_part(Oid class, Oid object)
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
