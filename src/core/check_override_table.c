/*
 * check_override_table.c
 *		What users changed of checks, in the tables of this database.
 *
 * The tables are read as they are, without a query and waiting for no lock: who
 * has locked them makes the last that was published count.
 */
#include "core/check_override.h"

#include "access/heapam.h"
#include "access/table.h"
#include "access/tableam.h"
#include "catalog/namespace.h"
#include "storage/lmgr.h"
#include "utils/builtins.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

typedef void (*RowReader) (HeapTuple row, TupleDesc desc, DbopsOverrides *overrides);

static bool read_table(const char *name, RowReader each, DbopsOverrides *overrides);
static void take_setting(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides);
static void take_mute(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides);

/* Read the tables of this database; false if somebody has locked one. */
bool
dbops_override_read_tables(DbopsOverrides *overrides)
{
	return read_table("check_setting", take_setting, overrides) &&
		read_table("muted_finding", take_mute, overrides);
}

/* One that is not there is empty: DROP EXTENSION may be under way. */
static bool
read_table(const char *name, RowReader each, DbopsOverrides *overrides)
{
	Oid			relid = get_relname_relid(name, get_namespace_oid("dbops", true));
	Relation	table;
	Snapshot	snapshot;
	TableScanDesc scan;
	HeapTuple	row;

	if (!OidIsValid(relid))
		return true;
	if (!ConditionalLockRelationOid(relid, AccessShareLock))
		return false;
	table = try_relation_open(relid, NoLock);
	if (table == NULL)
		return true;
	/* Not the statement's: what was committed since then has been published. */
	snapshot = RegisterSnapshot(GetLatestSnapshot());
	scan = table_beginscan(table, snapshot, 0, NULL);
	while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL)
		each(row, RelationGetDescr(table), overrides);
	table_endscan(scan);
	UnregisterSnapshot(snapshot);
	relation_close(table, AccessShareLock);
	return true;
}

/* A row of dbops.check_setting; one of a check that this version does not have waits for one that does. */
static void
take_setting(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides)
{
	Datum		values[8];
	bool		nulls[8];
	const DbopsCheck *check;

	for (int i = 0; i < lengthof(values); i++)
		values[i] = heap_getattr(row, i + 1, desc, &nulls[i]);
	check = dbops_check_find(TextDatumGetCString(values[0]));
	if (check == NULL || overrides->n_settings == MAX_CHECKS)
		return;
	if (overrides->settings == NULL)
		overrides->settings = palloc(sizeof(DbopsCheckSetting) * MAX_CHECKS);
	overrides->settings[overrides->n_settings++] = (DbopsCheckSetting)
	{
		.check = dbops_check_number(check),
		.enabled = DatumGetBool(values[1]),
		.warning = nulls[2] ? NAN : DatumGetFloat8(values[2]),
		.critical = nulls[3] ? NAN : DatumGetFloat8(values[3]),
		.guard = nulls[4] ? NAN : DatumGetFloat8(values[4]),
		.duration = nulls[5] ? -1 : DatumGetInt32(values[5]),
		.keep_firing = nulls[6] ? -1 : DatumGetInt32(values[6]),
		.clear = nulls[7] ? NAN : DatumGetFloat8(values[7])
	};
}

/* A row of dbops.muted_finding. */
static void
take_mute(HeapTuple row, TupleDesc desc, DbopsOverrides *overrides)
{
	bool		isnull;
	const char *key = TextDatumGetCString(heap_getattr(row, 1, desc, &isnull));
	TimestampTz until = DatumGetTimestampTz(heap_getattr(row, 2, desc, &isnull));

	overrides->mutes = (overrides->mutes == NULL) ? palloc(sizeof(DbopsMute)) :
		repalloc(overrides->mutes, sizeof(DbopsMute) * (overrides->n_mutes + 1));
	overrides->mutes[overrides->n_mutes++] = (DbopsMute) {.key = dbops_override_hash(key), .until = until};
}
