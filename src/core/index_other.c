/*
 * index_other.c
 *		What can be said of an index that is no btree.
 *
 * How full its pages are, where they are like the server's own, and what tells
 * that it has grown: pages that are deleted and will be used again, entries of a
 * gin index that are not in their place yet, and pages of a hash index that its
 * buckets have overflowed to. What a rebuild would win follows from none of these.
 */
#include "core/page_sample.h"

#include "access/ginblock.h"
#include "access/gist.h"
#include "access/hash.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "utils/lsyscache.h"

/* What a page says. */
typedef enum PageFigure
{
	PAGE_USED,					/* share of it */
	PAGE_DELETED,				/* 1 */
	N_PAGE_FIGURES
} PageFigure;

/* What the first page says. */
typedef struct Meta
{
	Oid			method;
	double		pages;			/* of gin: in the pending list; of hash: that buckets have overflowed to */
	double		rest;			/* of gin: rows in that list; of hash: buckets */
} Meta;

static bool has_common_pages(Oid method);
static void sample_pages(Relation relation, int blocks, IndexBloat *bloat);
static bool look_at_page(Page page, double *figures, void *method);
static bool is_deleted(Page page, Oid method);
static bool has_special(Page page, Size size);
static void note_meta(Relation relation, IndexBloat *bloat);
static bool look_at_meta(Page page, double *figures, void *meta);
static bool read_gin(Page page, Meta *meta);
static bool read_hash(Page page, Meta *meta);
static const char *describe_meta(const Meta *meta);

/* Say of another kind of index how full its pages are, where they are like the server's own. */
void
dbops_index_measure_other(Relation relation, int blocks, IndexBloat *bloat)
{
	Oid			method = relation->rd_rel->relam;

	dbops_index_note(bloat, psprintf("a %s index: what a rebuild would win is only known of a btree", get_am_name(method)));
	bloat->method = "size only";
	if (!has_common_pages(method) || bloat->pages < 2)
		return;
	sample_pages(relation, blocks, bloat);
	if (method == GIN_AM_OID || method == HASH_AM_OID)
		note_meta(relation, bloat);
}

static bool
has_common_pages(Oid method)
{
	return method == HASH_AM_OID || method == GIST_AM_OID ||
		method == GIN_AM_OID || method == SPGIST_AM_OID;
}

static void
sample_pages(Relation relation, int blocks, IndexBloat *bloat)
{
	PageSample *sample = dbops_page_sample_begin(relation, 1, bloat->pages, blocks, N_PAGE_FIGURES,
												 look_at_page, &relation->rd_rel->relam);
	double		deleted;

	dbops_page_sample_read(sample);
	bloat->method = (sample->strata == 0) ? "census of free space" : "sample of free space";
	bloat->density = 100 * dbops_page_sample_total(sample, PAGE_USED) / sample->pages;
	bloat->pages_read += sample->pages_read;
	bloat->damaged += sample->damaged;
	if (sample->damage != NULL)
		dbops_index_note(bloat, sample->damage);
	deleted = dbops_page_sample_total(sample, PAGE_DELETED);
	if (deleted > 0)
		dbops_index_note(bloat, psprintf("%s%.0f of its pages are deleted and will be used again",
										 sample->strata == 0 ? "" : "about ", deleted));
}

/* The share of a page that is used, and whether it is deleted. */
static bool
look_at_page(Page page, double *figures, void *method)
{
	PageHeader	header = (PageHeader) page;

	if (PageIsNew(page))
		return true;
	if (header->pd_lower < SizeOfPageHeaderData || header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special || header->pd_special > BLCKSZ)
		return false;
	figures[PAGE_DELETED] = is_deleted(page, *(Oid *) method) ? 1 : 0;
	figures[PAGE_USED] = 1 - (header->pd_upper - header->pd_lower) /
		(double) (header->pd_special - SizeOfPageHeaderData);
	return true;
}

static bool
is_deleted(Page page, Oid method)
{
	if (method == GIST_AM_OID)
		return has_special(page, sizeof(GISTPageOpaqueData)) && GistPageIsDeleted(page);
	if (method == GIN_AM_OID)
		return has_special(page, sizeof(GinPageOpaqueData)) && GinPageIsDeleted(page);
	return false;
}

/* Whether the page ends in what its kind has there. */
static bool
has_special(Page page, Size size)
{
	return PageGetSpecialSize(page) == MAXALIGN(size);
}

/* Read the first page, and say what follows. */
static void
note_meta(Relation relation, IndexBloat *bloat)
{
	Meta		meta = {.method = relation->rd_rel->relam};
	PageSample *sample = dbops_page_sample_begin(relation, 0, 1, 0, 0, look_at_meta, &meta);

	dbops_page_sample_read(sample);
	bloat->pages_read += sample->pages_read;
	bloat->damaged += sample->damaged;
	dbops_index_note(bloat, (sample->damage != NULL) ? sample->damage : describe_meta(&meta));
}

static bool
look_at_meta(Page page, double *figures, void *arg)
{
	Meta	   *meta = arg;

	if (PageIsNew(page))
		return false;
	return (meta->method == GIN_AM_OID) ? read_gin(page, meta) : read_hash(page, meta);
}

static bool
read_gin(Page page, Meta *meta)
{
	meta->pages = GinPageGetMeta(page)->nPendingPages;
	meta->rest = GinPageGetMeta(page)->nPendingHeapTuples;
	return true;
}

/* Pages that are not buckets', less those that say which of them are free. */
static bool
read_hash(Page page, Meta *meta)
{
	HashMetaPage hash = HashPageGetMeta(page);

	if (hash->hashm_magic != HASH_MAGIC || hash->hashm_ovflpoint >= HASH_MAX_SPLITPOINTS)
		return false;
	meta->pages = (double) hash->hashm_spares[hash->hashm_ovflpoint] - hash->hashm_nmaps;
	meta->rest = (double) hash->hashm_maxbucket + 1;
	return true;
}

static const char *
describe_meta(const Meta *meta)
{
	if (meta->method == GIN_AM_OID)
		return psprintf("%.0f pages with %.0f rows are in its pending list%s", meta->pages, meta->rest,
						meta->pages > 0 ? ", which every scan reads: VACUUM or gin_clean_pending_list() empties it" : "");
	return psprintf("%.0f overflow pages beside %.0f buckets", meta->pages, meta->rest);
}
