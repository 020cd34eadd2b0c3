/*
 * measure_tables.c
 *		Measuring a database: which tables the files belong to.
 *
 * One pass over pg_class, a few blocks at a time, finds the tables that the
 * largest files belong to, and sums up the reads of indexes. Sizes are those of
 * the files that were looked at. What a relation is, is read from the catalog
 * without a lock on it.
 */
#include "observe/observe.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/index.h"
#include "catalog/pg_class.h"
#include "catalog/pg_index.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/hsearch.h"
#include "utils/lsyscache.h"
#include "utils/pgstat_internal.h"
#include "utils/rel.h"
#include "utils/relmapper.h"
#include "utils/snapmgr.h"
#include "utils/syscache.h"

#define BLOCKS_AT_ONCE	32		/* between two looks at the clock */
#define TABLES_AT_ONCE	16		/* likewise */

static void scan_blocks(Measurement *measurement, Relation catalog,
						Snapshot snapshot, BlockNumber n);
static void take_relation(Measurement *measurement, Form_pg_class form);
static bool is_wanted(const Measurement *measurement, int64 bytes);
static void add_index_blocks(Measurement *measurement, Oid index);
static Oid	owning_table(Oid relid, char relkind, const char *name);
static Oid	owner_of_toast(Oid relid, const char *name);
static void list_candidates(Measurement *measurement);
static bool is_larger(const MeasuredTable *table, const Sizes *sizes, int place);
static int64 table_bytes(const Measurement *measurement, Oid relid);
static int64 indexes_bytes(const Measurement *measurement, Oid relid);
static int64 relation_bytes(const Measurement *measurement, Oid relid, Oid *toast);
static int64 file_bytes(const Measurement *measurement, Form_pg_class form);

/* Go through pg_class; false if the time is up before its end. */
bool
dbops_measure_relations(Measurement *measurement, const MeasureDeadline *deadline)
{
	Relation	catalog;
	Snapshot	snapshot;
	BlockNumber end;

	if (!ConditionalLockRelationOid(RelationRelationId, AccessShareLock))
		return false;
	catalog = table_open(RelationRelationId, NoLock);
	snapshot = RegisterSnapshot(GetCatalogSnapshot(RelationRelationId));
	end = RelationGetNumberOfBlocks(catalog);
	while (measurement->next_block < end && dbops_measure_elapsed(deadline) < deadline->budget)
	{
		CHECK_FOR_INTERRUPTS();
		scan_blocks(measurement, catalog, snapshot,
					Min(BLOCKS_AT_ONCE, end - measurement->next_block));
	}
	UnregisterSnapshot(snapshot);
	table_close(catalog, AccessShareLock);
	return measurement->next_block >= end;
}

static void
scan_blocks(Measurement *measurement, Relation catalog, Snapshot snapshot,
			BlockNumber n)
{
	TableScanDesc scan = table_beginscan_strat(catalog, snapshot, 0, NULL,
											   true, false);
	HeapTuple	row;

	heap_setscanlimits(scan, measurement->next_block, n);
	while ((row = heap_getnext(scan, ForwardScanDirection)) != NULL)
		take_relation(measurement, (Form_pg_class) GETSTRUCT(row));
	table_endscan(scan);
	measurement->next_block += n;
}

/* Count what users' indexes read, keep tables with large files. */
static void
take_relation(Measurement *measurement, Form_pg_class form)
{
	int64		bytes;
	Oid			table;

	if (form->relpersistence == RELPERSISTENCE_TEMP || form->relisshared)
		return;
	if (form->oid >= FirstNormalObjectId && form->relkind == RELKIND_INDEX &&
		!IsToastNamespace(form->relnamespace))
		add_index_blocks(measurement, form->oid);

	bytes = file_bytes(measurement, form);
	if (bytes == 0 || !is_wanted(measurement, bytes))
		return;
	table = owning_table(form->oid, form->relkind, NameStr(form->relname));
	if (OidIsValid(table))
		dbops_measure_add_table(measurement, table);
}

/* Is a relation of this size large enough? Thousands may be of just the least one: a few will do. */
static bool
is_wanted(const Measurement *measurement, int64 bytes)
{
	if (measurement->tracked > 0 && bytes >= measurement->tracked)
		return true;
	return bytes > measurement->least ||
		(bytes == measurement->least && hash_get_num_entries(measurement->candidates) < measurement->wanted * 2);
}

/* Have a table measured. */
void
dbops_measure_add_table(Measurement *measurement, Oid relid)
{
	Assert(measurement->tables == NULL);
	(void) hash_search(measurement->candidates, &relid, HASH_ENTER, NULL);
}

/*
 * Add how often an index's blocks were read and found. Looked up where the
 * statistics are kept: fetched in the usual way, those of every index would
 * stay in this session's memory.
 */
static void
add_index_blocks(Measurement *measurement, Oid index)
{
	PgStat_HashKey key = {PGSTAT_KIND_RELATION, MyDatabaseId, index};
	PgStatShared_HashEntry *entry = dshash_find(pgStatLocal.shared_hash, &key, false);

	if (entry == NULL)
		return;
	if (!entry->dropped)
	{
		PgStatShared_Relation *shared = dsa_get_address(pgStatLocal.dsa, entry->body);

		LWLockAcquire(&shared->header.lock, LW_SHARED);
		measurement->index_fetched += shared->stats.blocks_fetched;
		measurement->index_hit += shared->stats.blocks_hit;
		LWLockRelease(&shared->header.lock);
	}
	dshash_release_lock(pgStatLocal.shared_hash, entry);
}

/* The table that a relation belongs to, itself perhaps; or InvalidOid. */
static Oid
owning_table(Oid relid, char relkind, const char *name)
{
	Oid			table;

	switch (relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
			return relid;
		case RELKIND_TOASTVALUE:
			return owner_of_toast(relid, name);
		case RELKIND_INDEX:
			table = IndexGetRelation(relid, true);
			if (get_rel_relkind(table) == RELKIND_TOASTVALUE)
				return owner_of_toast(table, get_rel_name(table));
			return table;
		default:
			return InvalidOid;
	}
}

/* A TOAST table's name says whose it is; that table must say so too. */
static Oid
owner_of_toast(Oid relid, const char *name)
{
	Oid			table = InvalidOid;
	HeapTuple	row;

	if (name == NULL || sscanf(name, "pg_toast_%u", &table) != 1)
		return InvalidOid;
	row = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (!HeapTupleIsValid(row))
		return InvalidOid;
	if (((Form_pg_class) GETSTRUCT(row))->reltoastrelid != relid)
		table = InvalidOid;
	ReleaseSysCache(row);
	return table;
}

/* Measure the candidates; false if the time is up before the last. */
bool
dbops_measure_tables(Measurement *measurement, const MeasureDeadline *deadline)
{
	if (measurement->tables == NULL)
		list_candidates(measurement);
	while (measurement->next_table < measurement->n_tables)
	{
		MeasuredTable *table = &measurement->tables[measurement->next_table++];

		table->bytes = table_bytes(measurement, table->relid);
		CHECK_FOR_INTERRUPTS();
		if (measurement->next_table % TABLES_AT_ONCE == 0 &&
			dbops_measure_elapsed(deadline) >= deadline->budget)
			return false;
	}
	return true;
}

/* A hash table cannot be gone through across transactions, an array can. */
static void
list_candidates(Measurement *measurement)
{
	HASH_SEQ_STATUS scan;
	MeasuredTable *table;

	measurement->tables = MemoryContextAllocHuge(measurement->context, sizeof(MeasuredTable) *
												 (hash_get_num_entries(measurement->candidates) + 1));
	hash_seq_init(&scan, measurement->candidates);
	while ((table = hash_seq_search(&scan)) != NULL)
		measurement->tables[measurement->n_tables++] = (MeasuredTable) {.relid = table->relid};
}

/* Rank the tables by all that they hold. */
void
dbops_measure_rank(Measurement *measurement, Sizes *sizes)
{
	sizes->n_largest = 0;
	for (int i = 0; i < measurement->n_tables; i++)
	{
		const MeasuredTable *table = &measurement->tables[i];
		int			place = Min(sizes->n_largest, N_LARGEST - 1);

		if (sizes->n_largest == N_LARGEST && !is_larger(table, sizes, place))
			continue;
		sizes->n_largest = place + 1;
		for (; place > 0 && is_larger(table, sizes, place - 1); place--)
			sizes->largest[place] = sizes->largest[place - 1];
		sizes->largest[place].relid = table->relid;
		sizes->largest[place].bytes = table->bytes;
	}
}

/* Than the one that has a place. Of two that are as large the older one comes first. */
static bool
is_larger(const MeasuredTable *table, const Sizes *sizes, int place)
{
	if (table->bytes != sizes->largest[place].bytes)
		return table->bytes > sizes->largest[place].bytes;
	return table->relid < sizes->largest[place].relid;
}

/* Sum up a table, its indexes, its TOAST table and that one's index. */
static int64
table_bytes(const Measurement *measurement, Oid relid)
{
	MeasuredParts parts;

	dbops_measure_parts(measurement, relid, &parts);
	return parts.table + parts.indexes + parts.toast;
}

/* Measure the parts of a table. */
void
dbops_measure_parts(const Measurement *measurement, Oid relid, MeasuredParts *parts)
{
	Oid			toast;

	parts->table = relation_bytes(measurement, relid, &toast);
	parts->indexes = indexes_bytes(measurement, relid);
	parts->toast = !OidIsValid(toast) ? 0 :
		relation_bytes(measurement, toast, NULL) + indexes_bytes(measurement, toast);
}

static int64
indexes_bytes(const Measurement *measurement, Oid relid)
{
	Relation	catalog = table_open(IndexRelationId, AccessShareLock);
	int64		bytes = 0;
	ScanKeyData key;
	SysScanDesc scan;
	HeapTuple	row;

	ScanKeyInit(&key, Anum_pg_index_indrelid, BTEqualStrategyNumber, F_OIDEQ,
				ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, IndexIndrelidIndexId, true, NULL, 1, &key);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
		bytes += relation_bytes(measurement,
								((Form_pg_index) GETSTRUCT(row))->indexrelid, NULL);
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	return bytes;
}

static int64
relation_bytes(const Measurement *measurement, Oid relid, Oid *toast)
{
	HeapTuple	row = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	int64		bytes = 0;

	if (toast != NULL)
		*toast = InvalidOid;
	if (!HeapTupleIsValid(row))
		return 0;
	bytes = file_bytes(measurement, (Form_pg_class) GETSTRUCT(row));
	if (toast != NULL)
		*toast = ((Form_pg_class) GETSTRUCT(row))->reltoastrelid;
	ReleaseSysCache(row);
	return bytes;
}

static int64
file_bytes(const Measurement *measurement, Form_pg_class form)
{
	FileKey		key = {
		.tablespace = OidIsValid(form->reltablespace) ? form->reltablespace : MyDatabaseTableSpace,
		.number = OidIsValid(form->relfilenode) ? form->relfilenode :
		RelationMapOidToFilenumber(form->oid, form->relisshared)
	};
	FileTotal   *file = hash_search(measurement->files, &key, HASH_FIND, NULL);

	return (file == NULL) ? 0 : file->bytes;
}
