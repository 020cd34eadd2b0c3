/*
 * extension.c
 *		Finding an extension and its functions, wherever they were put.
 *
 * A name proves nothing: anybody can create a function or a view called
 * pg_stat_statements. Only membership of the extension, as pg_depend records
 * it, leads to the function that is called.
 *
 * The catalogs are read only if nobody has locked them, as LOCK and REINDEX do:
 * who looks waits for nobody.
 */
#include "core/server.h"

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "catalog/dependency.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_extension.h"
#include "catalog/pg_language.h"
#include "catalog/pg_proc.h"
#include "utils/builtins.h"
#include "utils/fmgroids.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

static bool is_c_function(Oid function, const char *name, int nargs);

/* Find an extension by name; its oid is invalid if there is none. */
DbopsExtension
dbops_extension_find(const char *name)
{
	DbopsExtension found = {.oid = InvalidOid};
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	if (!dbops_catalog_lock(ExtensionRelationId, ExtensionNameIndexId))
		return (DbopsExtension) {.hidden = true};
	catalog = table_open(ExtensionRelationId, NoLock);
	ScanKeyInit(&key, Anum_pg_extension_extname, BTEqualStrategyNumber, F_NAMEEQ,
				DirectFunctionCall1(namein, CStringGetDatum(name)));
	scan = systable_beginscan(catalog, ExtensionNameIndexId, true, NULL, 1, &key);
	row = systable_getnext(scan);
	if (HeapTupleIsValid(row))
	{
		Form_pg_extension form = (Form_pg_extension) GETSTRUCT(row);
		bool		isnull;
		Datum		version = heap_getattr(row, Anum_pg_extension_extversion,
										   RelationGetDescr(catalog), &isnull);

		found.oid = form->oid;
		found.version = TextDatumGetCString(version);
		found.schema = get_namespace_name(form->extnamespace);
	}
	systable_endscan(scan);
	table_close(catalog, NoLock);
	dbops_catalog_unlock(ExtensionRelationId, ExtensionNameIndexId);
	return found;
}

/* Name an object of an extension as SQL would; unqualified if that is not known. */
const char *
dbops_extension_object(const char *extension, const char *name)
{
	const char *schema = dbops_extension_find(extension).schema;

	return quote_qualified_identifier(schema, name);
}

/* Find a C function of an extension by name; InvalidOid if it has none such. */
Oid
dbops_extension_function(Oid extension, const char *name, int nargs)
{
	Oid			found = InvalidOid;
	Relation	catalog;
	ScanKeyData keys[2];
	SysScanDesc scan;
	HeapTuple	row;

	if (!dbops_catalog_lock(DependRelationId, DependReferenceIndexId))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_depend is locked"),
				 errhint("Look again later.")));
	catalog = table_open(DependRelationId, NoLock);
	ScanKeyInit(&keys[0], Anum_pg_depend_refclassid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(ExtensionRelationId));
	ScanKeyInit(&keys[1], Anum_pg_depend_refobjid, BTEqualStrategyNumber,
				F_OIDEQ, ObjectIdGetDatum(extension));
	scan = systable_beginscan(catalog, DependReferenceIndexId, true, NULL, 2, keys);
	while (!OidIsValid(found) && HeapTupleIsValid(row = systable_getnext(scan)))
	{
		Form_pg_depend form = (Form_pg_depend) GETSTRUCT(row);

		if (form->classid == ProcedureRelationId &&
			form->deptype == DEPENDENCY_EXTENSION &&
			is_c_function(form->objid, name, nargs))
			found = form->objid;
	}
	systable_endscan(scan);
	table_close(catalog, NoLock);
	dbops_catalog_unlock(DependRelationId, DependReferenceIndexId);
	return found;
}

static bool
is_c_function(Oid function, const char *name, int nargs)
{
	HeapTuple	row = SearchSysCache1(PROCOID, ObjectIdGetDatum(function));
	bool		matches = false;

	if (HeapTupleIsValid(row))
	{
		Form_pg_proc form = (Form_pg_proc) GETSTRUCT(row);

		matches = (strcmp(NameStr(form->proname), name) == 0 &&
				   form->pronargs == nargs && form->prolang == ClanguageId);
		ReleaseSysCache(row);
	}
	return matches;
}
