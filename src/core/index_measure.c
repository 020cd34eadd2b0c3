/*
 * index_measure.c
 *		How much larger an index is than it need be.
 *
 * The share of the file that a rebuild would win, from a sample of its pages.
 * What is deleted from the tree, half-dead or never written is won whole.
 *
 * An index that is being built is not read: the build writes behind the back of
 * the buffer manager, which would keep the empty pages that we saw.
 */
#include "core/page_sample.h"

#include <math.h>

#include "access/genam.h"
#include "catalog/index.h"
#include "catalog/pg_am.h"
#include "catalog/pg_inherits.h"
#include "utils/lsyscache.h"

static List *partitions_of(Oid index);
static Bloat *add_partition(const BloatSubject *partition, int blocks, Bloat *sum);
static void measure_alone(Oid index, int blocks, IndexBloat *bloat);
static const char *reason_not_to_read(Relation relation);
static void measure_relation(Relation relation, int blocks, Bloat *base);
static bool read_meta(Relation relation, BTMetaPageData *meta, IndexBloat *bloat);
static void measure_btree(Relation relation, const BTMetaPageData *meta, int blocks, IndexBloat *bloat);
static bool deduplicates(Relation relation, const BTMetaPageData *meta);
static void take_figures(const PageSample *sample, Bloat *base);
static void forecast(IndexBloat *bloat);
static void judge(IndexBloat *bloat);

static const BloatReader reader = {
	.gone = "there is no such index",
	.why_not = reason_not_to_read,
	.read = measure_relation
};

/*
 * Measure an index, or the partitions of one. What is no index, or gone, is
 * skipped with that reason.
 */
void
dbops_index_measure(Oid index, int blocks, IndexBloat *bloat)
{
	if (get_rel_relkind(index) == RELKIND_PARTITIONED_INDEX)
	{
		memset(bloat, 0, sizeof(IndexBloat));
		bloat->base.relation = index;
		bloat->density = NAN;
		dbops_bloat_sum(&bloat->base, partitions_of(index), blocks, add_partition);
		if (bloat->base.judged)
			judge(bloat);
	}
	else
		measure_alone(index, blocks, bloat);
	if (OidIsValid(bloat->other_method))
		dbops_index_describe_other(bloat);
}

/* The indexes of the leaves. */
static List *
partitions_of(Oid index)
{
	List	   *partitions = NIL;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(index, NoLock, NULL))
	{
		BloatSubject *partition;

		if (get_rel_relkind(lfirst_oid(cell)) == RELKIND_PARTITIONED_INDEX)
			continue;
		partition = palloc0(sizeof(BloatSubject));
		partition->relation = lfirst_oid(cell);
		partition->bytes = dbops_relation_bytes(partition->relation);
		partitions = lappend(partitions, partition);
	}
	return partitions;
}

static Bloat *
add_partition(const BloatSubject *partition, int blocks, Bloat *sum)
{
	IndexBloat *all = (IndexBloat *) sum;
	IndexBloat *bloat = palloc(sizeof(IndexBloat));

	measure_alone(partition->relation, blocks, bloat);
	if (bloat->base.skipped == NULL)
	{
		for (int i = 0; i < N_BTREE_FIGURES; i++)
			all->figures[i] += bloat->figures[i];
		for (int i = 0; i < N_OTHER_FIGURES; i++)
			all->other[i] += bloat->other[i];
		all->steady_pages += bloat->steady_pages;
		all->other_method = bloat->other_method;
		all->estimated = all->estimated || bloat->estimated;
	}
	return &bloat->base;
}

/* Measure an index that has a file. */
static void
measure_alone(Oid index, int blocks, IndexBloat *bloat)
{
	Oid			table = IndexGetRelation(index, true);

	memset(bloat, 0, sizeof(IndexBloat));
	bloat->base.relation = index;
	bloat->density = NAN;
	dbops_bloat_measure(OidIsValid(table) ? index : InvalidOid, table, blocks, &reader, &bloat->base);
}

static const char *
reason_not_to_read(Relation relation)
{
	return relation->rd_index->indisready ? NULL : "its build has not ended, or it is being dropped";
}

static void
measure_relation(Relation relation, int blocks, Bloat *base)
{
	IndexBloat *bloat = (IndexBloat *) base;
	BTMetaPageData meta;

	bloat->base.pages = RelationGetNumberOfBlocks(relation);
	bloat->base.bytes = bloat->base.pages * BLCKSZ;
	bloat->file = relation_file(relation);
	if (!relation->rd_index->indisvalid)
		dbops_bloat_note(&bloat->base, "the index is invalid");
	if (relation->rd_rel->relam != BTREE_AM_OID)
		dbops_index_measure_other(relation, blocks, bloat);
	else if (read_meta(relation, &meta, bloat))
		measure_btree(relation, &meta, blocks, bloat);
}

/* Read the first page, which says whether the rest can be understood. */
static bool
read_meta(Relation relation, BTMetaPageData *meta, IndexBloat *bloat)
{
	PageSample *sample = dbops_page_sample_begin(relation, 0, Min(bloat->base.pages, 1), 0, 0,
												 dbops_btree_look_at_meta, meta);

	dbops_page_sample_read(sample);
	dbops_bloat_read(&bloat->base, sample);
	bloat->version = meta->btm_version;
	if (sample->pages > 0 && sample->damaged == 0)
		return true;
	if (sample->pages == 0)
		dbops_bloat_note(&bloat->base, "the file is empty");
	bloat->base.skipped = "damaged";
	bloat->base.method = "not measured: damaged";
	return false;
}

static void
measure_btree(Relation relation, const BTMetaPageData *meta, int blocks, IndexBloat *bloat)
{
	BtreeBuild *build = dbops_btree_build_begin(BTGetFillFactor(relation),
												deduplicates(relation, meta));

	if (meta->btm_version < BTREE_VERSION)
		dbops_bloat_note(&bloat->base, "made by a server older than 13: a rebuild may also merge rows of the same key");
	bloat->base.fillfactor = BTGetFillFactor(relation);
	dbops_bloat_sample(&bloat->base, dbops_page_sample_begin(relation, 1, bloat->base.pages, blocks, N_BTREE_FIGURES,
															 dbops_btree_look, build), take_figures);
}

static void
take_figures(const PageSample *sample, Bloat *base)
{
	IndexBloat *bloat = (IndexBloat *) base;

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
	int			fillfactor = bloat->base.fillfactor;
	double		most = dbops_btree_rebuilt_pages(bloat->figures, data + bloat->data_error, fillfactor);
	double		least = dbops_btree_rebuilt_pages(bloat->figures, data - bloat->data_error, fillfactor);

	bloat->base.rebuilt_pages = dbops_btree_rebuilt_pages(bloat->figures, data, fillfactor);
	bloat->base.rebuilt_error = (most - least) / 2;
	bloat->steady_pages = dbops_btree_steady_pages(bloat->figures);
}

static void
judge(IndexBloat *bloat)
{
	const Bloat *base = &bloat->base;
	double		leaf_bytes = bloat->figures[BTREE_LEAVES] * BTREE_PAGE_ROOM;

	dbops_bloat_judge(&bloat->base);
	bloat->rebuilt_bytes = (int64) base->rebuilt_pages * BLCKSZ;
	bloat->steady_percent = dbops_bloat_percent(base, base->pages - bloat->steady_pages);
	bloat->density = (leaf_bytes > 0) ? 100 - 100 * bloat->figures[BTREE_FREE] / leaf_bytes : NAN;
	bloat->killable_percent = dbops_bloat_percent(base, bloat->figures[BTREE_KILLABLE_BYTES] / BLCKSZ);
}
