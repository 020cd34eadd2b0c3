/*
 * vacuum_pace.c
 *		How long a vacuum will take.
 *
 * What it will read is known before: the pages that the visibility map does not
 * let it skip, its TOAST table's too, all indexes once for each load of dead
 * rows that memory has room for, and the sample that ANALYZE takes. How long a
 * page takes is remembered by the policy from what it has had vacuumed: of the
 * same table, or else of all. Before anything is learnt it is what the settings
 * of cost-based delay allow where each page is read and written.
 *
 * What it had to wait for is no pace: nothing is believed that is much slower
 * than those settings allow, nothing for longer than a month, and nothing of all
 * tables that a small one has shown. Else a table that one mistake keeps out of
 * its window would never be vacuumed again, and so could not show the mistake.
 *
 * To freeze is another work than to vacuum, and has paces of its own.
 */
#include "maintain/vacuum.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/multixact.h"
#include "access/relation.h"
#include "access/transam.h"
#include "access/visibilitymap.h"
#include "catalog/pg_am.h"
#include "commands/vacuum.h"
#include "miscadmin.h"
#include "postmaster/autovacuum.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "utils/fmgrprotos.h"
#include "utils/jsonb.h"
#include "utils/rel.h"
#include "utils/syscache.h"

#define PAGE_TIME		0.08	/* ms without delay: a disk that gives 100 MB/s; measured 0.05 with the delay, 0.013 in memory */
#define DEAD_ROW_BYTES	6		/* in memory, before 17; less since */
#define MOST_DEAD_BYTES	(1024.0 * 1024 * 1024)	/* the same */
#define SAMPLE_PAGES	300		/* of ANALYZE, for each of the statistics target */
#define LEAST_TIME		1000	/* ms of a vacuum that something is learnt from */
#define LEAST_PAGES		1000	/* of one that something is learnt from of all tables */
#define SLOWEST			10		/* times what the settings allow */
#define BELIEVED		(30 * USECS_PER_DAY)
#define AGGRESSIVE		0.95	/* of autovacuum_freeze_max_age: vacuum_freeze_table_age is never more */

static double pages_of(const VacuumCandidate *candidate);
static double sample_pages(const VacuumFigures *figures);
static double table_pages(Oid relid, double dead, bool freeze);
static double heap_pages(Relation relation, bool freeze);
static double index_pages(Relation relation, double dead);
static bool is_cleaned_whole(Oid index);
static bool is_aggressive(Relation relation);
static const char *pace_key(Oid relid, bool freeze);
static const Jsonb *find_pace(const Jsonb *memory, Oid relid, bool freeze);
static double page_time(const Jsonb *pace);
static double page_time_by_settings(void);
static void add_pace(DbopsJson *paces, const char *key, int64 pages, int64 took);
static Jsonb *merge(const Jsonb *first, Jsonb *second);

/* Foretell how long it takes to do what is to be done. The table is locked. */
VacuumForecast
dbops_vacuum_forecast(const Policy *policy, const VacuumCandidate *candidate)
{
	Oid			relid = candidate->figures->relid;
	const Jsonb *own = candidate->vacuum ? find_pace(policy->memory, relid, candidate->freeze) : NULL;
	const Jsonb *others = candidate->vacuum ? find_pace(policy->memory, InvalidOid, candidate->freeze) : NULL;
	VacuumForecast forecast = {.pages = pages_of(candidate)};

	if (own != NULL)
		forecast.by = "its last time";
	else
		forecast.by = (others != NULL) ? "other tables" : "vacuum_cost_delay";
	forecast.seconds = forecast.pages / 1000 *
		(own != NULL ? page_time(own) : others != NULL ? page_time(others) : page_time_by_settings());
	return forecast;
}

/* ---- what it reads ---- */

static double
pages_of(const VacuumCandidate *candidate)
{
	const VacuumFigures *figures = candidate->figures;
	double		pages = 0;

	if (candidate->vacuum)
		pages += table_pages(figures->relid, figures->dead, candidate->freeze) +
			table_pages(figures->toast, figures->toast_dead, candidate->freeze);
	if (candidate->analyze)
		pages += sample_pages(figures);
	return pages;
}

/* Of the table, or of all partitions of a parent together. */
static double
sample_pages(const VacuumFigures *figures)
{
	double		sample = SAMPLE_PAGES * (double) default_statistics_target;

	return figures->parent ? sample : Min(sample, dbops_relation_bytes(figures->relid) / BLCKSZ);
}

/* A TOAST table that somebody has locked is left alone by VACUUM, too. */
static double
table_pages(Oid relid, double dead, bool freeze)
{
	Relation	relation;
	double		pages;

	if (!OidIsValid(relid) || !ConditionalLockRelationOid(relid, AccessShareLock))
		return 0;
	relation = try_relation_open(relid, NoLock);
	if (relation == NULL)
		return 0;
	pages = heap_pages(relation, freeze || is_aggressive(relation)) + index_pages(relation, dead);
	relation_close(relation, NoLock);
	return pages;
}

/* Those that the visibility map does not let it skip; freeze: but for what is frozen. */
static double
heap_pages(Relation relation, bool freeze)
{
	BlockNumber all = RelationGetNumberOfBlocks(relation);
	BlockNumber visible;
	BlockNumber frozen;

	visibilitymap_count(relation, &visible, &frozen);
	return all - Min(all, freeze ? frozen : visible);
}

/* All of them once, for each load of dead rows. */
static double
index_pages(Relation relation, double dead)
{
	double		room = Min(maintenance_work_mem * 1024.0, MOST_DEAD_BYTES);
	double		loads = ceil(dead * DEAD_ROW_BYTES / room);
	double		bytes = 0;
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(relation))
		bytes += dbops_relation_bytes(lfirst_oid(cell)) * Max(loads, is_cleaned_whole(lfirst_oid(cell)) ? 1 : 0);
	return bytes / BLCKSZ;
}

/* Does its access method read all of it in the end, even where no row is dead? */
static bool
is_cleaned_whole(Oid index)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	Oid			method;

	if (!HeapTupleIsValid(tuple))
		return false;
	method = ((Form_pg_class) GETSTRUCT(tuple))->relam;
	ReleaseSysCache(tuple);
	return method != BTREE_AM_OID && method != HASH_AM_OID;
}

/* Will it look at all that is not frozen, because of the age of the table? */
static bool
is_aggressive(Relation relation)
{
	double		limit = Min(vacuum_freeze_table_age, autovacuum_freeze_max_age * AGGRESSIVE);
	double		mxid_limit = Min(vacuum_multixact_freeze_table_age, autovacuum_multixact_freeze_max_age * AGGRESSIVE);
	TransactionId frozen = relation->rd_rel->relfrozenxid;

	return (int32) (ReadNextTransactionId() - frozen) > limit ||
		(int32) (ReadNextMultiXactId() - relation->rd_rel->relminmxid) > mxid_limit;
}

/* ---- how long a page takes ---- */

static const char *
pace_key(Oid relid, bool freeze)
{
	return psprintf("%u%s", relid, freeze ? " freeze" : "");
}

/* What has been learnt of a table, or of all; NULL: nothing. */
static const Jsonb *
find_pace(const Jsonb *memory, Oid relid, bool freeze)
{
	const Jsonb *pace = dbops_jsonb_document(dbops_jsonb_document(memory, "paces"), pace_key(relid, freeze));

	if (dbops_jsonb_integer(pace, "pages") <= 0 || dbops_clock_now() - dbops_jsonb_integer(pace, "at") > BELIEVED)
		return NULL;
	return pace;
}

/* In ms. */
static double
page_time(const Jsonb *pace)
{
	return dbops_jsonb_integer(pace, "ms") / (double) dbops_jsonb_integer(pace, "pages");
}

/* In ms, if each page is neither in shared buffers nor written before. */
static double
page_time_by_settings(void)
{
	return PAGE_TIME + (VacuumCostPageMiss + VacuumCostPageDirty) * dbops_vacuum_cost_delay() / dbops_vacuum_cost_limit();
}

/* The delays of autovacuum, which what is done here keeps to. */
double
dbops_vacuum_cost_delay(void)
{
	return (autovacuum_vac_cost_delay >= 0) ? autovacuum_vac_cost_delay : VacuumCostDelay;
}

int
dbops_vacuum_cost_limit(void)
{
	return (autovacuum_vac_cost_limit > 0) ? autovacuum_vac_cost_limit : VacuumCostLimit;
}

/* ---- what is remembered of it ---- */

/* The policy's memory with what a vacuum tells; NULL: it tells nothing. Of all tables the latest count most. */
Jsonb *
dbops_vacuum_learn(const Policy *policy, Oid relid, bool freeze, int64 pages, int64 took)
{
	const Jsonb *others = find_pace(policy->memory, InvalidOid, freeze);
	DbopsJson	paces = {0};
	DbopsJson	json = {0};

	if (pages <= 0 || took < LEAST_TIME)
		return NULL;
	took = Min(took, (int64) (pages * page_time_by_settings() * SLOWEST));
	dbops_json_object(&paces, NULL);
	add_pace(&paces, pace_key(relid, freeze), pages, took);
	if (pages >= LEAST_PAGES)
		add_pace(&paces, pace_key(InvalidOid, freeze), pages + dbops_jsonb_integer(others, "pages") / 2,
				 took + dbops_jsonb_integer(others, "ms") / 2);
	dbops_json_object(&json, NULL);
	dbops_json_document(&json, "paces", merge(dbops_jsonb_document(policy->memory, "paces"), dbops_json_finish(&paces)));
	return merge(policy->memory, dbops_json_finish(&json));
}

static void
add_pace(DbopsJson *paces, const char *key, int64 pages, int64 took)
{
	dbops_json_object(paces, key);
	dbops_json_integer(paces, "pages", pages);
	dbops_json_integer(paces, "ms", took);
	dbops_json_integer(paces, "at", dbops_clock_now());
	dbops_json_object_end(paces);
}

/* The members of both; those of the second one come before. The first may be NULL. */
static Jsonb *
merge(const Jsonb *first, Jsonb *second)
{
	if (first == NULL)
		return second;
	return DatumGetJsonbP(DirectFunctionCall2(jsonb_concat, JsonbPGetDatum(first), JsonbPGetDatum(second)));
}

/* Go on remembering what was learnt of a table; InvalidOid: of all. */
void
dbops_vacuum_keep_paces(const Jsonb *memory, Oid relid, DbopsJson *paces)
{
	const Jsonb *known = dbops_jsonb_document(memory, "paces");

	for (int freeze = 0; freeze <= 1; freeze++)
	{
		Jsonb	   *pace = dbops_jsonb_document(known, pace_key(relid, freeze));

		if (pace != NULL)
			dbops_json_document(paces, pace_key(relid, freeze), pace);
	}
}
