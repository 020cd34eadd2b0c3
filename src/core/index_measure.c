/*
 * index_measure.c
 *		How much larger an index is than it need be.
 *
 * The share of the file that a rebuild would win, from a sample of its pages.
 * What is deleted from the tree, half-dead or never written is won whole.
 *
 * Nothing is waited for: where the index or its table is locked against readers
 * that is the answer. While pages are read both have the lock of a reader, so
 * that the file is neither replaced nor cut; it may grow, which is not looked
 * at. An index that is being built is not read: the build writes behind the
 * back of the buffer manager, which would keep the empty pages that we saw.
 *
 * What is seen is how full pages are, and no data; no rights on the table are
 * asked for.
 */
#include "core/page_sample.h"

#include <math.h>

#include "access/genam.h"
#include "access/relation.h"
#include "access/xlog.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define WIDE_INTERVAL	1.0		/* percentage points on each side: too wide */
#define MAX_DOUBLINGS	2
#define MIN_LEAF_SAMPLE	20		/* blocks of a small partition */

static void measure_partitions(List *indexes, int blocks, IndexBloat *bloat);
static int64 add_bytes(List *indexes);
static int	partition_blocks(Oid index, int blocks, int64 all_bytes);
static void add_partition(const IndexBloat *partition, IndexBloat *bloat);
static void measure_alone(int blocks, IndexBloat *bloat);
static bool lock_at_once(Oid table, Oid index);
static void unlock(Oid table, Oid index);
static void measure_locked(int blocks, IndexBloat *bloat);
static const char *reason_not_to_read(Relation relation);
static void measure_relation(Relation relation, int blocks, IndexBloat *bloat);
static bool read_meta(Relation relation, BTMetaPageData *meta, IndexBloat *bloat);
static void measure_btree(Relation relation, const BTMetaPageData *meta, int blocks, IndexBloat *bloat);
static bool deduplicates(Relation relation, const BTMetaPageData *meta);
static void take_figures(const PageSample *sample, IndexBloat *bloat);
static void forecast(IndexBloat *bloat);
static void judge(IndexBloat *bloat);
static double percent_of_file(double part, const IndexBloat *bloat);

/*
 * Measure an index, or the partitions of one. What is no index, or gone, is
 * skipped with that reason.
 */
void
dbops_index_measure(Oid index, int blocks, IndexBloat *bloat)
{
	memset(bloat, 0, sizeof(IndexBloat));
	bloat->index = index;
	bloat->density = NAN;
	if (get_rel_relkind(index) == RELKIND_PARTITIONED_INDEX)
		measure_partitions(find_all_inheritors(index, NoLock, NULL), blocks, bloat);
	else
		measure_alone(blocks, bloat);
}

/* Divide the sample among the partitions by their size, and add up what they say. */
static void
measure_partitions(List *indexes, int blocks, IndexBloat *bloat)
{
	int64		all_bytes = add_bytes(indexes);
	int			measured = 0;
	int			skipped = 0;
	ListCell   *cell;

	foreach(cell, indexes)
	{
		IndexBloat	partition;
		Oid			index = lfirst_oid(cell);

		CHECK_FOR_INTERRUPTS();
		if (get_rel_relkind(index) == RELKIND_PARTITIONED_INDEX)
			continue;
		dbops_index_measure(index, partition_blocks(index, blocks, all_bytes), &partition);
		add_partition(&partition, bloat);
		if (partition.judged)
			measured++;
		else
			skipped++;
	}
	bloat->method = psprintf("sum of %d partitions", measured);
	if (skipped > 0)
		dbops_index_note(bloat, psprintf("%d more could not be measured and are left out", skipped));
	bloat->judged = (measured > 0);
	if (bloat->judged)
		judge(bloat);
}

static int64
add_bytes(List *indexes)
{
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, indexes)
		bytes += dbops_relation_bytes(lfirst_oid(cell));
	return bytes;
}

static int
partition_blocks(Oid index, int blocks, int64 all_bytes)
{
	if (blocks == 0)
		return 0;
	return Max(MIN_LEAF_SAMPLE,
			   (int) (blocks * (double) dbops_relation_bytes(index) / Max(all_bytes, 1)));
}

static void
add_partition(const IndexBloat *partition, IndexBloat *bloat)
{
	bloat->pages_read += partition->pages_read;
	bloat->damaged += partition->damaged;
	if (!partition->judged)
		return;
	if (partition->note != NULL)
		dbops_index_note(bloat, psprintf("%s: %s", get_rel_name(partition->index), partition->note));
	bloat->bytes += partition->bytes;
	bloat->pages += partition->pages;
	for (int i = 0; i < N_BTREE_FIGURES; i++)
		bloat->figures[i] += partition->figures[i];
	bloat->rebuilt_pages += partition->rebuilt_pages;
	bloat->rebuilt_error = hypot(bloat->rebuilt_error, partition->rebuilt_error);
	bloat->steady_pages += partition->steady_pages;
}

/* Measure an index that has a file. */
static void
measure_alone(int blocks, IndexBloat *bloat)
{
	Oid			index = bloat->index;
	Oid			table = IndexGetRelation(index, true);

	bloat->bytes = dbops_relation_bytes(index);
	if (!OidIsValid(table))
		bloat->skipped = "there is no such index";
	else if (!lock_at_once(table, index))
		bloat->skipped = "locked";
	else
	{
		if (SearchSysCacheExists1(INDEXRELID, ObjectIdGetDatum(index)))
			measure_locked(blocks, bloat);
		else
			bloat->skipped = "there is no such index";
		unlock(table, index);
	}
	if (bloat->skipped != NULL)
		bloat->method = psprintf("skipped: %s", bloat->skipped);
}

static bool
lock_at_once(Oid table, Oid index)
{
	if (!ConditionalLockRelationOid(table, AccessShareLock))
		return false;
	if (ConditionalLockRelationOid(index, AccessShareLock))
		return true;
	UnlockRelationOid(table, AccessShareLock);
	return false;
}

static void
unlock(Oid table, Oid index)
{
	UnlockRelationOid(index, AccessShareLock);
	UnlockRelationOid(table, AccessShareLock);
}

static void
measure_locked(int blocks, IndexBloat *bloat)
{
	Relation	relation = relation_open(bloat->index, NoLock);

	bloat->skipped = reason_not_to_read(relation);
	if (bloat->skipped == NULL)
		measure_relation(relation, blocks, bloat);
	relation_close(relation, NoLock);
}

static const char *
reason_not_to_read(Relation relation)
{
	if (RELATION_IS_OTHER_TEMP(relation))
		return "its temporary table is another session's";
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress())
		return "unlogged, so it is empty on a standby";
	if (!relation->rd_index->indisready)
		return "its build has not ended, or it is being dropped";
	return NULL;
}

static void
measure_relation(Relation relation, int blocks, IndexBloat *bloat)
{
	BTMetaPageData meta;

	bloat->pages = RelationGetNumberOfBlocks(relation);
	bloat->bytes = bloat->pages * BLCKSZ;
	bloat->file = relation_file(relation);
	if (!relation->rd_index->indisvalid)
		dbops_index_note(bloat, "the index is invalid");
	if (relation->rd_rel->relam != BTREE_AM_OID)
		dbops_index_measure_other(relation, blocks, bloat);
	else if (read_meta(relation, &meta, bloat))
		measure_btree(relation, &meta, blocks, bloat);
}

/* Read the first page, which says whether the rest can be understood. */
static bool
read_meta(Relation relation, BTMetaPageData *meta, IndexBloat *bloat)
{
	PageSample *sample = dbops_page_sample_begin(relation, 0, Min(bloat->pages, 1), 0, 0,
												 dbops_btree_look_at_meta, meta);

	dbops_page_sample_read(sample);
	bloat->pages_read += sample->pages_read;
	bloat->damaged += sample->damaged;
	if (sample->pages == 0 || sample->damaged > 0)
	{
		bloat->method = "not measured: damaged";
		dbops_index_note(bloat, (sample->damage != NULL) ? sample->damage : "the file is empty");
		return false;
	}
	bloat->version = meta->btm_version;
	return true;
}

/* Sample until the interval is narrow enough, or enough is read. */
static void
measure_btree(Relation relation, const BTMetaPageData *meta, int blocks, IndexBloat *bloat)
{
	BtreeBuild *build = dbops_btree_build_begin(BTGetFillFactor(relation),
												deduplicates(relation, meta));
	PageSample *sample = dbops_page_sample_begin(relation, 1, bloat->pages, blocks, N_BTREE_FIGURES,
												 dbops_btree_look, build);
	int			doublings = 0;

	if (meta->btm_version < BTREE_VERSION)
		dbops_index_note(bloat, "made by a server older than 13: a rebuild may also merge rows of the same key");
	bloat->judged = true;
	bloat->fillfactor = BTGetFillFactor(relation);
	dbops_page_sample_read(sample);
	take_figures(sample, bloat);
	while (percent_of_file(bloat->rebuilt_error, bloat) > WIDE_INTERVAL &&
		   doublings++ < MAX_DOUBLINGS && dbops_page_sample_double(sample))
		take_figures(sample, bloat);

	bloat->method = (sample->strata == 0) ? "census" : "sample";
	bloat->pages_read += sample->pages_read;
	bloat->damaged += sample->damaged;
	if (sample->damage != NULL)
		dbops_index_note(bloat, sample->damage);
}

static void
take_figures(const PageSample *sample, IndexBloat *bloat)
{
	for (int i = 0; i < N_BTREE_FIGURES; i++)
		bloat->figures[i] = dbops_page_sample_total(sample, i);
	bloat->data_error = dbops_page_sample_error(sample, BTREE_REBUILT_DATA);
	dbops_index_judge(bloat);
}

/* Whether a rebuild merges rows of the same key; not known of an index that is older than that. */
static bool
deduplicates(Relation relation, const BTMetaPageData *meta)
{
	return meta->btm_version >= BTREE_VERSION && meta->btm_allequalimage &&
		!relation->rd_index->indisunique && BTGetDeduplicateItems(relation);
}

/* Derive from the figures of an index all that follows from them. */
void
dbops_index_judge(IndexBloat *bloat)
{
	forecast(bloat);
	judge(bloat);
}

static void
forecast(IndexBloat *bloat)
{
	double		data = bloat->figures[BTREE_REBUILT_DATA];
	double		most = dbops_btree_rebuilt_pages(bloat->figures, data + bloat->data_error, bloat->fillfactor);
	double		least = dbops_btree_rebuilt_pages(bloat->figures, data - bloat->data_error, bloat->fillfactor);

	bloat->rebuilt_pages = dbops_btree_rebuilt_pages(bloat->figures, data, bloat->fillfactor);
	bloat->rebuilt_error = (most - least) / 2;
	bloat->steady_pages = dbops_btree_steady_pages(bloat->figures);
}

static void
judge(IndexBloat *bloat)
{
	double		pages = bloat->pages;
	double		leaf_bytes = bloat->figures[BTREE_LEAVES] * BTREE_PAGE_ROOM;

	bloat->percent = percent_of_file(Max(pages - bloat->rebuilt_pages, 0), bloat);
	bloat->low = percent_of_file(Max(pages - bloat->rebuilt_pages - bloat->rebuilt_error, 0), bloat);
	bloat->high = percent_of_file(Max(pages - bloat->rebuilt_pages + bloat->rebuilt_error, 0), bloat);
	bloat->high = Min(bloat->high, 100);
	bloat->wasted = (int64) Max(pages - bloat->rebuilt_pages, 0) * BLCKSZ;
	bloat->rebuilt_bytes = (int64) bloat->rebuilt_pages * BLCKSZ;
	bloat->steady_percent = percent_of_file(pages - bloat->steady_pages, bloat);
	bloat->density = (leaf_bytes > 0) ? 100 - 100 * bloat->figures[BTREE_FREE] / leaf_bytes : NAN;
	bloat->killable_percent = percent_of_file(bloat->figures[BTREE_KILLABLE_BYTES] / BLCKSZ, bloat);
}

/* Pages in percent of the file. */
static double
percent_of_file(double part, const IndexBloat *bloat)
{
	return (bloat->pages > 0) ? 100 * part / bloat->pages : 0;
}

/* Add to what else a user should know. */
void
dbops_index_note(IndexBloat *bloat, const char *text)
{
	bloat->note = (bloat->note == NULL) ? pstrdup(text) : psprintf("%s; %s", bloat->note, text);
}
