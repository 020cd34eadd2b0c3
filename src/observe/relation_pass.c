/*
 * relation_pass.c
 *		One pass over the relations of the database, for all checks of tables.
 *
 * pg_class is read once from end to end, and of each table what the server has
 * counted, where it is kept: fetched in the usual way, the statistics of every
 * table would stay in this session's memory. No relation is opened or locked,
 * so a table that is being altered is judged like any other.
 */
#include "observe/relation_pass.h"

#include "access/genam.h"
#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/reloptions.h"
#include "access/table.h"
#include "access/tableam.h"
#include "access/transam.h"
#include "catalog/catalog.h"
#include "catalog/namespace.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "catalog/pg_statistic.h"
#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "storage/lmgr.h"
#include "utils/fmgroids.h"
#include "utils/guc.h"
#include "utils/pgstat_internal.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"

/* What stands in an aspect's way of being worth a look. */
#define FEW_ROWS		10000
#define FEW_UPDATES		10000

/* A relation, as the pass comes by. */
typedef struct Passed
{
	RelationPass *pass;
	TransactionId next_xid;
	MultiXactId next_multixact;
	int			multixact_freeze_age;
	Form_pg_class form;
	const AutoVacOpts *options; /* NULL: the server's settings hold */
	bool		counted;		/* there are statistics */
	PgStat_StatTabEntry stats;
} Passed;

static void make_pass(void *arg);
static void pass_relation(Passed *passed, HeapTuple row, TupleDesc desc);
static const AutoVacOpts *read_options(HeapTuple row, TupleDesc desc);
static bool read_stats(Oid relid, bool shared, PgStat_StatTabEntry *stats);
static void note(Passed *passed, RelationAspect aspect, double value, double guard, double figure);
static void note_ages(Passed *passed);
static void note_rows(Passed *passed);
static void note_updates(Passed *passed);
static void note_place(Passed *passed);
static void note_parent(Passed *passed);
static double rows_below(Oid parent);
static bool has_statistics(Oid relid);
static double bytes_of(Form_pg_class form);

/* Make the pass; if that fails, that is what there is to know. */
const void *
dbops_relation_pass(const DbopsCheckScope *scope)
{
	RelationPass *pass = palloc0(sizeof(RelationPass));

	(void) dbops_attempt(make_pass, pass, &pass->error);
	return pass;
}

static void
make_pass(void *arg)
{
	Passed		passed = {.pass = arg};
	Relation	catalog;
	SysScanDesc scan;
	HeapTuple	row;
	int			nest_level = dbops_begin_bounded_wait(LONGEST_WAIT);

	if (!ConditionalLockRelationOid(RelationRelationId, AccessShareLock))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("pg_class is locked"),
				 errhint("Look again later.")));
	passed.next_xid = ReadNextTransactionId();
	passed.next_multixact = ReadNextMultiXactId();
	passed.multixact_freeze_age = RecoveryInProgress() ?
		autovacuum_multixact_freeze_max_age : MultiXactMemberFreezeThreshold();
	catalog = table_open(RelationRelationId, NoLock);
	scan = systable_beginscan(catalog, InvalidOid, false, NULL, 0, NULL);
	while (HeapTupleIsValid(row = systable_getnext(scan)))
	{
		CHECK_FOR_INTERRUPTS();
		pass_relation(&passed, row, RelationGetDescr(catalog));
	}
	systable_endscan(scan);
	table_close(catalog, AccessShareLock);
	AtEOXact_GUC(false, nest_level);
}

static void
pass_relation(Passed *passed, HeapTuple row, TupleDesc desc)
{
	passed->form = (Form_pg_class) GETSTRUCT(row);
	switch (passed->form->relkind)
	{
		case RELKIND_RELATION:
		case RELKIND_MATVIEW:
		case RELKIND_TOASTVALUE:
			break;
		case RELKIND_PARTITIONED_TABLE:
			note_parent(passed);
			return;
		default:
			return;
	}
	note_ages(passed);
	note_place(passed);
	if (passed->form->relpersistence == RELPERSISTENCE_TEMP)
		return;
	passed->options = read_options(row, desc);
	passed->counted = read_stats(passed->form->oid, passed->form->relisshared, &passed->stats);
	note_rows(passed);
	note_updates(passed);
}

static const AutoVacOpts *
read_options(HeapTuple row, TupleDesc desc)
{
	bool		isnull;
	Datum		value = heap_getattr(row, Anum_pg_class_reloptions, desc, &isnull);

	return isnull ? NULL : dbops_vacuum_options(((Form_pg_class) GETSTRUCT(row))->relkind, value);
}

/* Copy what the server has counted of a table; false: nothing. */
static bool
read_stats(Oid relid, bool shared, PgStat_StatTabEntry *stats)
{
	PgStat_HashKey key = {PGSTAT_KIND_RELATION, shared ? InvalidOid : MyDatabaseId, relid};
	PgStatShared_HashEntry *entry = dshash_find(pgStatLocal.shared_hash, &key, false);
	bool		found = false;

	if (entry == NULL)
		return false;
	if (!entry->dropped)
	{
		PgStatShared_Relation *body = dsa_get_address(pgStatLocal.dsa, entry->body);

		LWLockAcquire(&body->header.lock, LW_SHARED);
		*stats = body->stats;
		LWLockRelease(&body->header.lock);
		found = true;
	}
	dshash_release_lock(pgStatLocal.shared_hash, entry);
	return found;
}

static void
note(Passed *passed, RelationAspect aspect, double value, double guard, double figure)
{
	dbops_notables_add(&passed->pass->aspects[aspect], (Notable)
					   {
						   .object = passed->form->oid,
						   .value = value,
						   .guard = guard,
						   .figure = figure
					   });
}

/* Against the server's own limits: a table may be frozen earlier, but need not be. */
static void
note_ages(Passed *passed)
{
	Form_pg_class form = passed->form;

	if (TransactionIdIsNormal(form->relfrozenxid))
	{
		int32		age = (int32) (passed->next_xid - form->relfrozenxid);

		if (age > autovacuum_freeze_max_age / 2)
			note(passed, ASPECT_XID_AGE, dbops_figure_percent(age, autovacuum_freeze_max_age), NAN, age);
	}
	if (MultiXactIdIsValid(form->relminmxid))
	{
		int32		age = (int32) (passed->next_multixact - form->relminmxid);

		if (age > passed->multixact_freeze_age / 2)
			note(passed, ASPECT_MULTIXACT_AGE, dbops_figure_percent(age, Max(passed->multixact_freeze_age, 1)), NAN, age);
	}
}

/* Rows that are dead, or that were changed since the table was vacuumed or analyzed. */
static void
note_rows(Passed *passed)
{
	Form_pg_class form = passed->form;
	double		rows = passed->counted ? Max(form->reltuples, stat_table_live(&passed->stats)) : form->reltuples;
	VacuumThresholds thresholds;

	if (passed->options != NULL && !passed->options->enabled && form->relkind != RELKIND_TOASTVALUE)
		note(passed, ASPECT_NO_AUTOVACUUM, Max(rows, 0), NAN, 0);
	if (!passed->counted)
		return;

	dbops_vacuum_thresholds_of(form, passed->options, &thresholds);
	if (stat_table_dead(&passed->stats) >= FEW_ROWS)
		note(passed, ASPECT_DEAD, dbops_figure_percent(stat_table_dead(&passed->stats),
													   (double) stat_table_live(&passed->stats) + stat_table_dead(&passed->stats)),
			 stat_table_dead(&passed->stats), 0);
	if (stat_table_dead(&passed->stats) > thresholds.dead)
		note(passed, ASPECT_OVERDUE, stat_table_dead(&passed->stats) / Max(thresholds.dead, 1),
			 stat_table_dead(&passed->stats), 0);
	else if (thresholds.inserted >= 0 && stat_table_inserted(&passed->stats) > thresholds.inserted)
		note(passed, ASPECT_OVERDUE, stat_table_inserted(&passed->stats) / Max(thresholds.inserted, 1),
			 stat_table_inserted(&passed->stats), 1);
	if (form->relkind == RELKIND_TOASTVALUE || form->oid < FirstNormalObjectId)
		return;
	if (stat_table_changed(&passed->stats) > thresholds.changed)
		note(passed, ASPECT_ANALYZE_OVERDUE, stat_table_changed(&passed->stats) / Max(thresholds.changed, 1),
			 stat_table_changed(&passed->stats), 0);
	if (rows >= FEW_ROWS && stat_table_analyzed(&passed->stats) == 0 && !has_statistics(form->oid))
		note(passed, ASPECT_NEVER_ANALYZED, rows, NAN, 0);
}

static void
note_updates(Passed *passed)
{
	double		updated = passed->counted ? passed->stats.tuples_updated : 0;

	if (updated >= FEW_UPDATES && passed->form->oid >= FirstNormalObjectId)
		note(passed, ASPECT_NOT_HOT, 100 - dbops_figure_percent(passed->stats.tuples_hot_updated, updated), updated, 0);
}

/* Where a table's rows are, and for how long they will be. Whose temporary tables are, the primary knows. */
static void
note_place(Passed *passed)
{
	Form_pg_class form = passed->form;

	if (form->relkind == RELKIND_TOASTVALUE)
		return;
	if (form->relpersistence == RELPERSISTENCE_UNLOGGED)
		note(passed, ASPECT_UNLOGGED, bytes_of(form), NAN, 0);
	else if (form->relpersistence == RELPERSISTENCE_TEMP && !RecoveryInProgress() &&
			 checkTempNamespaceStatus(form->relnamespace) == TEMP_NAMESPACE_IDLE)
		note(passed, ASPECT_ORPHANED, 1, NAN, 0);
}

/* Autovacuum leaves the statistics of a partitioned table to its users. */
static void
note_parent(Passed *passed)
{
	Form_pg_class form = passed->form;
	double		rows;

	if (!form->relhassubclass || form->reltuples >= 0 || has_statistics(form->oid))
		return;
	rows = rows_below(form->oid);
	if (rows >= FEW_ROWS)
		note(passed, ASPECT_PARENT_NEVER_ANALYZED, rows, NAN, 0);
}

/* How many rows the server has counted in the tables below one. */
static double
rows_below(Oid parent)
{
	double		rows = 0;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(parent, NoLock, NULL))
	{
		PgStat_StatTabEntry stats;

		if (read_stats(lfirst_oid(cell), false, &stats))
			rows += stat_table_live(&stats);
	}
	return rows;
}

/* Is there any row about a table's columns? */
static bool
has_statistics(Oid relid)
{
	Relation	catalog;
	ScanKeyData key;
	SysScanDesc scan;
	bool		found;

	if (!dbops_catalog_lock(StatisticRelationId, StatisticRelidAttnumInhIndexId))
		return true;
	catalog = table_open(StatisticRelationId, NoLock);
	ScanKeyInit(&key, Anum_pg_statistic_starelid, BTEqualStrategyNumber, F_OIDEQ, ObjectIdGetDatum(relid));
	scan = systable_beginscan(catalog, StatisticRelidAttnumInhIndexId, true, NULL, 1, &key);
	found = HeapTupleIsValid(systable_getnext(scan));
	systable_endscan(scan);
	table_close(catalog, NoLock);
	dbops_catalog_unlock(StatisticRelationId, StatisticRelidAttnumInhIndexId);
	return found;
}

static double
bytes_of(Form_pg_class form)
{
	return (double) Max(form->relpages, 0) * BLCKSZ;
}
