/*
 * page_sample.h
 *		What the pages of an index say, from few of them; and what that means.
 *
 * page_sample.c reads pages and knows nothing of what stands on them,
 * btree_pages.c does, btree_rebuild.c tells what a rebuild would make of them,
 * index_measure.c puts it together for an index, index_other.c says what it can
 * of those that are no btree, and index_best.c remembers how small an index was
 * at its best.
 */
#ifndef DBOPS_PAGE_SAMPLE_H
#define DBOPS_PAGE_SAMPLE_H

#include "core/core.h"

#include "access/nbtree.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/rel.h"

/* ---- page_sample.c: one random page of each of many strata of equal length ---- */

/* Put what a page says into figures, which are 0; false: it is not what it should be. The page is locked. */
typedef bool (*PageLook) (Page page, double *figures, void *arg);

typedef enum PageState
{
	PAGE_CHOSEN,				/* not read yet */
	PAGE_ANSWERED,
	PAGE_DAMAGED				/* could not be read, or not understood */
} PageState;

typedef struct PageSample
{
	Relation	relation;
	BlockNumber first;			/* the block that it begins at */
	BlockNumber pages;			/* that it speaks for */
	PageLook	look;
	void	   *look_arg;		/* the last argument of look */
	int			nfigures;
	int			strata;			/* 0: every page is read */
	BlockNumber *blocks;		/* the one of each stratum */
	PageState  *states;			/* of these */
	double	   *figures;		/* nfigures per stratum; of all pages together where every page is read */
	BufferAccessStrategy ring;
	int			ahead;			/* reads asked for in advance */
	int64		next;			/* stratum or page to be read */
	BlockNumber block;			/* that is being looked at */
	Buffer		buffer;			/* of that; pinned and locked */
	int64		pages_read;
	int64		damaged;
	const char *damage;			/* the first one of these, in words; or NULL */
} PageSample;

/* Strata: how many; 0, or no fewer than there are pages: every page. */
extern PageSample *dbops_page_sample_begin(Relation relation, BlockNumber first, BlockNumber end,
										   int strata, int nfigures,
										   PageLook look, void *look_arg);
extern void dbops_page_sample_read(PageSample *sample);
extern bool dbops_page_sample_double(PageSample *sample);
extern double dbops_page_sample_total(const PageSample *sample, int figure);
extern double dbops_page_sample_error(const PageSample *sample, int figure);

/* ---- btree_pages.c: what stands on a page of a btree ---- */

typedef enum BtreeFigure
{
	BTREE_LEAVES,				/* pages */
	BTREE_INTERNAL,
	BTREE_DELETED,
	BTREE_HALF_DEAD,
	BTREE_NEW,					/* never written */
	BTREE_FREE,					/* bytes on leaves, as pgstatindex counts them */
	BTREE_DATA,					/* bytes of items on leaves but for high keys, their pointers included */
	BTREE_HIGH_KEYS,			/* of leaves */
	BTREE_HIGH_KEY_BYTES,
	BTREE_KILLABLE_BYTES,		/* of the data: known to be dead */
	BTREE_ROWS,					/* that items point to */
	BTREE_REBUILT_DATA,			/* bytes that a rebuild would make of the data */
	BTREE_PACKED_LEAVES,		/* that a rebuild would make of what has been seen */
	BTREE_PACKED_DATA,			/* on these */
	N_BTREE_FIGURES
} BtreeFigure;

#define BTREE_PAGE_ROOM (BLCKSZ - SizeOfPageHeaderData - MAXALIGN(sizeof(BTPageOpaqueData)))

extern bool dbops_btree_look(Page page, double *figures, void *build);
extern bool dbops_btree_look_at_meta(Page page, double *figures, void *meta);

/* ---- btree_rebuild.c: what a rebuild would make of that ---- */

typedef struct BtreeBuild BtreeBuild;

extern BtreeBuild *dbops_btree_build_begin(int fillfactor, bool deduplicates);
extern void dbops_btree_build_add(BtreeBuild *build, const char *key, Size length, int rows,
								  double *figures);
extern void dbops_btree_build_turn(BtreeBuild *build, bool parted);
extern double dbops_btree_rebuilt_pages(const double *figures, double data, int fillfactor);
extern double dbops_btree_steady_pages(const double *figures);

/* ---- index_measure.c: how much larger an index is than it need be ---- */

/* Measured of an index, or of all partitions of one. */
typedef struct IndexBloat
{
	Oid			index;
	const char *skipped;		/* why nothing was measured, as a user reads it; or NULL */
	const char *method;			/* such as "sample" */
	const char *note;			/* what else a user should know; or NULL */
	bool		judged;			/* it is a btree: percent and what follows is known */
	Oid			file;			/* its file's number, another one after a rebuild; 0: of several */
	int64		bytes;
	int64		pages;
	int64		pages_read;
	int64		damaged;		/* pages that could not be read or understood */
	int			version;		/* of a btree: below BTREE_VERSION it was never deduplicated; 0: not known */
	int			fillfactor;
	double		figures[N_BTREE_FIGURES];	/* of the whole index */
	double		data_error;		/* half of the 95 percent interval of figures[BTREE_REBUILT_DATA] */
	double		rebuilt_pages;	/* that it would have after a rebuild */
	double		rebuilt_error;	/* half of the 95 percent interval of that */
	double		steady_pages;	/* that it would have if its rows had come in random order */
	double		percent;		/* of the file that a rebuild would win, never below 0 */
	double		low;			/* 95 percent interval of percent */
	double		high;
	int64		wasted;			/* bytes that a rebuild would win */
	int64		rebuilt_bytes;	/* that it would have after a rebuild */
	double		steady_percent; /* as percent, against steady_pages; negative: it is denser */
	double		density;		/* percent of the leaves that is used, as avg_leaf_density; of all pages where it is no btree; NaN: not known */
	double		killable_percent;	/* of the file: items known to be dead */
} IndexBloat;

/* No sensible sample is larger. */
#define MAX_SAMPLE_BLOCKS 10000
#define DEFAULT_SAMPLE_BLOCKS 300

/* Measure an index; blocks: of the first sample, which may be doubled twice; 0: read every page. Waits for no lock. */
extern void dbops_index_measure(Oid index, int blocks, IndexBloat *bloat);

extern void dbops_index_note(IndexBloat *bloat, const char *text);

/* Derive from the figures all that follows from them, after they were changed. */
extern void dbops_index_judge(IndexBloat *bloat);

/* ---- index_other.c: what can be said of an index that is no btree ---- */

extern void dbops_index_measure_other(Relation relation, int blocks, IndexBloat *bloat);

/* ---- index_best.c: how small an index was at its best ---- */

extern double dbops_index_best(const IndexBloat *bloat);
extern bool dbops_index_best_open(void);
extern void dbops_index_best_record(const IndexBloat *bloat);
extern void dbops_index_best_prune(void);

#endif							/* DBOPS_PAGE_SAMPLE_H */
