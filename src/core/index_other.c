/*
 * index_other.c
 *		What can be said of an index that is no btree.
 *
 * How full its pages are, where they are like the server's own, and what tells
 * that it has grown: pages that are deleted and will be used again, entries of a
 * gin index that are not in their place yet, and pages of a hash index that its
 * buckets have overflowed to, or that it has over. What a rebuild would win
 * follows from none of these.
 */
#include "core/page_sample.h"

#include "access/ginblock.h"
#include "access/gist.h"
#include "access/hash.h"
#include "access/spgist_private.h"
#include "catalog/pg_am.h"
#include "commands/defrem.h"
#include "utils/lsyscache.h"

/* What the first page is asked. */
typedef struct Meta
{
	Oid			method;
	double	   *other;			/* what it says, as OtherFigures */
} Meta;

static bool has_common_pages(Oid method);
static void sample_pages(Relation relation, int blocks, IndexBloat *bloat);
static bool look_at_page(Page page, double *figures, void *method);
static bool is_of_method(Page page, Oid method);
static bool ends_in(Page page, Size size);
static void count_hash(Page page, double *figures);
static bool is_deleted(Page page, Oid method);
static void read_meta(Relation relation, IndexBloat *bloat);
static bool look_at_meta(Page page, double *figures, void *meta);
static bool read_gin(Page page, const Meta *meta);
static bool read_hash(Page page, const Meta *meta);
static void describe_gin(IndexBloat *bloat);
static void describe_hash(IndexBloat *bloat);

/* Measure of another kind of index how full its pages are, where they are like the server's own. */
void
dbops_index_measure_other(Relation relation, int blocks, IndexBloat *bloat)
{
	Oid			method = relation->rd_rel->relam;

	bloat->other_method = method;
	bloat->base.method = "size only";
	if (!has_common_pages(method) || bloat->base.pages < 2)
		return;
	sample_pages(relation, blocks, bloat);
	if (method == GIN_AM_OID || method == HASH_AM_OID)
		read_meta(relation, bloat);
}

static bool
has_common_pages(Oid method)
{
	return method == HASH_AM_OID || method == GIST_AM_OID ||
		method == GIN_AM_OID || method == SPGIST_AM_OID;
}

/* ---- its pages ---- */

static void
sample_pages(Relation relation, int blocks, IndexBloat *bloat)
{
	PageSample *sample = dbops_page_sample_begin(relation, 1, bloat->base.pages, blocks, N_OTHER_FIGURES,
												 look_at_page, &relation->rd_rel->relam);

	dbops_page_sample_read(sample);
	dbops_bloat_read(&bloat->base, sample);
	bloat->estimated = (sample->strata > 0);
	bloat->base.method = bloat->estimated ? "sample of free space" : "census of free space";
	for (int i = 0; i < N_OTHER_FIGURES; i++)
		bloat->other[i] = dbops_page_sample_total(sample, i);
}

/* The share of a page that is used, and what it is used for. */
static bool
look_at_page(Page page, double *figures, void *arg)
{
	Oid			method = *(Oid *) arg;
	PageHeader	header = (PageHeader) page;

	figures[OTHER_PAGES] = 1;
	if (PageIsNew(page))
	{
		figures[OTHER_UNUSED] = (method == HASH_AM_OID) ? 1 : 0;
		return true;
	}
	if (!is_of_method(page, method))
		return false;
	figures[OTHER_USED] = 1 - (header->pd_upper - header->pd_lower) /
		(double) (header->pd_special - SizeOfPageHeaderData);
	figures[OTHER_DELETED] = is_deleted(page, method) ? 1 : 0;
	if (method == HASH_AM_OID)
		count_hash(page, figures);
	return true;
}

/* Whether it is as pages of that kind are: it ends in what they end in, which most sign. */
static bool
is_of_method(Page page, Oid method)
{
	PageHeader	header = (PageHeader) page;

	if (header->pd_lower < SizeOfPageHeaderData || header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special)
		return false;
	if (method == HASH_AM_OID)
		return ends_in(page, sizeof(HashPageOpaqueData)) && HashPageGetOpaque(page)->hasho_page_id == HASHO_PAGE_ID;
	if (method == GIST_AM_OID)
		return ends_in(page, sizeof(GISTPageOpaqueData)) && GistPageGetOpaque(page)->gist_page_id == GIST_PAGE_ID;
	if (method == SPGIST_AM_OID)
		return ends_in(page, sizeof(SpGistPageOpaqueData)) && SpGistPageGetOpaque(page)->spgist_page_id == SPGIST_PAGE_ID;
	return ends_in(page, sizeof(GinPageOpaqueData));
}

static bool
ends_in(Page page, Size size)
{
	return ((PageHeader) page)->pd_special == BLCKSZ - MAXALIGN(size);
}

static void
count_hash(Page page, double *figures)
{
	int			type = HashPageGetOpaque(page)->hasho_flag & LH_PAGE_TYPE;

	figures[OTHER_OVERFLOW] = (type == LH_OVERFLOW_PAGE) ? 1 : 0;
	figures[OTHER_UNUSED] = (type == LH_UNUSED_PAGE) ? 1 : 0;
}

static bool
is_deleted(Page page, Oid method)
{
	return (method == GIST_AM_OID && GistPageIsDeleted(page)) || (method == GIN_AM_OID && GinPageIsDeleted(page));
}

/* ---- its first page ---- */

static void
read_meta(Relation relation, IndexBloat *bloat)
{
	Meta		meta = {.method = relation->rd_rel->relam,.other = bloat->other};
	PageSample *sample = dbops_page_sample_begin(relation, 0, 1, 0, 0, look_at_meta, &meta);

	dbops_page_sample_read(sample);
	dbops_bloat_read(&bloat->base, sample);
}

static bool
look_at_meta(Page page, double *figures, void *arg)
{
	const Meta *meta = arg;

	if (PageIsNew(page) || !is_of_method(page, meta->method) ||
		!((meta->method == GIN_AM_OID) ? read_gin(page, meta) : read_hash(page, meta)))
		return false;
	meta->other[OTHER_METAS] = 1;
	return true;
}

/* A list has a head, and none that is empty. */
static bool
read_gin(Page page, const Meta *meta)
{
	const GinMetaPageData *gin = GinPageGetMeta(page);

	if ((GinPageGetOpaque(page)->flags & GIN_META) == 0 || gin->ginVersion < 0 || gin->ginVersion > GIN_CURRENT_VERSION ||
		(gin->nPendingPages == 0) != (gin->head == InvalidBlockNumber) ||
		gin->nPendingPages > MaxBlockNumber || gin->nPendingHeapTuples < 0)
		return false;
	meta->other[OTHER_PENDING_PAGES] = gin->nPendingPages;
	meta->other[OTHER_PENDING_ROWS] = gin->nPendingHeapTuples;
	return true;
}

/* Of the pages that are no buckets' some say which of them are free. */
static bool
read_hash(Page page, const Meta *meta)
{
	const HashMetaPageData *hash = HashPageGetMeta(page);

	if (hash->hashm_magic != HASH_MAGIC || hash->hashm_ovflpoint >= HASH_MAX_SPLITPOINTS ||
		hash->hashm_nmaps > hash->hashm_spares[hash->hashm_ovflpoint])
		return false;
	meta->other[OTHER_BUCKETS] = (double) hash->hashm_maxbucket + 1;
	return true;
}

/* ---- what a user reads of that ---- */

/* Say what was found, of one index or of the sum of several. */
void
dbops_index_describe_other(IndexBloat *bloat)
{
	const double *other = bloat->other;

	if (other[OTHER_PAGES] > 0)
		bloat->density = 100 * other[OTHER_USED] / other[OTHER_PAGES];
	dbops_bloat_note(&bloat->base, psprintf("a %s index is unsupported: what a rebuild would win is only known of a btree",
											get_am_name(bloat->other_method)));
	if (other[OTHER_DELETED] > 0)
		dbops_bloat_note(&bloat->base, psprintf("%s%.0f of its pages are deleted and will be used again",
												bloat->estimated ? "about " : "", other[OTHER_DELETED]));
	if (bloat->other_method == GIN_AM_OID && other[OTHER_METAS] > 0)
		describe_gin(bloat);
	if (bloat->other_method == HASH_AM_OID && other[OTHER_METAS] > 0)
		describe_hash(bloat);
}

static void
describe_gin(IndexBloat *bloat)
{
	const double *other = bloat->other;

	dbops_bloat_note(&bloat->base, psprintf("%.0f pages with %.0f rows are in its pending list%s",
											other[OTHER_PENDING_PAGES], other[OTHER_PENDING_ROWS],
											other[OTHER_PENDING_PAGES] > 0 ?
											", which every scan reads: VACUUM or gin_clean_pending_list() empties it" : ""));
}

static void
describe_hash(IndexBloat *bloat)
{
	const double *other = bloat->other;

	dbops_bloat_note(&bloat->base, psprintf("%s%.0f overflow pages beside %.0f buckets, and %.0f unused ones",
											bloat->estimated ? "about " : "", other[OTHER_OVERFLOW],
											other[OTHER_BUCKETS], other[OTHER_UNUSED]));
}
