/*
 * page_sample.h
 *		What the pages of a relation say, from few of them; and what that means.
 *
 * page_sample.c reads pages and knows nothing of what stands on them, bloat.c
 * draws from them what is told alike of tables and of indexes. Of indexes
 * btree_pages.c knows what stands on a page, btree_rebuild.c tells what a rebuild
 * would make of it, index_measure.c puts it together, index_other.c says what it
 * can of those that are no btree, and index_best.c remembers how small an index
 * was at its best.
 */
#ifndef DBOPS_PAGE_SAMPLE_H
#define DBOPS_PAGE_SAMPLE_H

#include "core/core.h"

#include "access/nbtree.h"
#include "nodes/pg_list.h"
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
	bool		looking;		/* at what stands on it, so that an error is the page's */
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

/* ---- relation_size.c: how large a file is, for who has read the catalog already ---- */

typedef struct RelationFile
{
	Oid			relation;
	Oid			number;			/* 0: the server's own map of files knows it, or there is none */
	Oid			tablespace;		/* 0: the database's */
	char		kind;			/* as pg_class.relkind */
	bool		temporary;		/* of this session */
	bool		shared;
} RelationFile;

extern int64 dbops_file_bytes(const RelationFile *file);

/* ---- bloat.c: what is told alike of tables and of indexes ---- */

/* How much larger than it need be a relation is, or all partitions of one. */
typedef struct Bloat
{
	Oid			relation;		/* the table, also where its TOAST table is measured */
	const char *skipped;		/* why nothing was measured, as a user reads it; or NULL */
	const char *method;			/* such as "sample" */
	const char *note;			/* what else a user should know; or NULL */
	bool		judged;			/* percent and what follows is known */
	int64		bytes;			/* of the file */
	int64		pages;			/* of what was measured */
	int64		pages_read;
	int64		damaged;		/* pages that could not be read or understood */
	int			fillfactor;
	double		rebuilt_pages;	/* that it would have after a rebuild */
	double		rebuilt_error;	/* half of the 95 percent interval of that */
	double		percent;		/* of the pages that a rebuild would win, never below 0 */
	double		low;			/* 95 percent interval of percent */
	double		high;
	int64		wasted;			/* bytes that a rebuild would win */
} Bloat;

/* Something that can be measured. */
typedef struct BloatSubject
{
	Oid			relation;		/* as above */
	bool		toast;
	int64		bytes;
} BloatSubject;

/* How one that has a file is measured. */
typedef struct BloatReader
{
	const char *gone;			/* what is said where it is not there */
	const char *(*why_not) (Relation relation); /* it cannot be read; NULL: it can */
	void		(*read) (Relation relation, int blocks, Bloat *bloat);
} BloatReader;

/* Takes from a sample what it says, rebuilt_pages and their error among it. */
typedef void (*BloatTake) (const PageSample *sample, Bloat *bloat);

/* Measures a partition with so many blocks, and adds to the sum what only its kind has. */
typedef Bloat *(*BloatAdd) (const BloatSubject *partition, int blocks, Bloat *sum);

extern void dbops_bloat_measure(Oid relation, Oid table, int blocks, const BloatReader *reader, Bloat *bloat);
extern void dbops_bloat_sample(Bloat *bloat, PageSample *sample, BloatTake take);
extern void dbops_bloat_read(Bloat *bloat, PageSample *sample);
extern void dbops_bloat_sum(Bloat *sum, List *partitions, int blocks, BloatAdd add);
extern void dbops_bloat_judge(Bloat *bloat);
extern double dbops_bloat_percent(const Bloat *bloat, double pages);
extern void dbops_bloat_note(Bloat *bloat, const char *text);

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

/* What is told of an index that is no btree. */
typedef enum OtherFigure
{
	OTHER_USED,					/* pages, of each the share that is used */
	OTHER_PAGES,				/* of which that is known */
	OTHER_DELETED,				/* of gist and gin: that will be used again */
	OTHER_OVERFLOW,				/* of hash: that buckets have overflowed to */
	OTHER_UNUSED,				/* of hash: that are free for buckets and what overflows */
	OTHER_BUCKETS,
	OTHER_PENDING_PAGES,		/* of gin */
	OTHER_PENDING_ROWS,
	OTHER_METAS,				/* first pages, which say the last three */
	N_OTHER_FIGURES
} OtherFigure;

/* Measured of an index, or of all partitions of one. */
typedef struct IndexBloat
{
	Bloat		base;			/* judged: it is a btree */
	Oid			file;			/* its file's number, another one after a rebuild; 0: of several */
	int			version;		/* of a btree: below BTREE_VERSION it was never deduplicated; 0: not known */
	double		figures[N_BTREE_FIGURES];	/* of the whole index */
	double		data_error;		/* half of the 95 percent interval of figures[BTREE_REBUILT_DATA] */
	double		steady_pages;	/* that it would have if its rows had come in random order */
	int64		rebuilt_bytes;	/* that it would have after a rebuild */
	double		steady_percent; /* as percent, against steady_pages; negative: it is denser */
	double		density;		/* percent of the leaves that is used, as avg_leaf_density; of all pages where it is no btree; NaN: not known */
	double		killable_percent;	/* of the file: items known to be dead */
	Oid			other_method;	/* its access method where it is no btree; or InvalidOid */
	double		other[N_OTHER_FIGURES];
	bool		estimated;		/* these are from a sample */
} IndexBloat;

/* No sensible sample is larger. */
#define MAX_SAMPLE_BLOCKS 10000
#define DEFAULT_SAMPLE_BLOCKS 300

/* Measure an index; blocks: of the first sample, which may be doubled twice; 0: read every page. Waits for no lock. */
extern void dbops_index_measure(Oid index, int blocks, IndexBloat *bloat);

/* Derive from the figures all that follows from them, after they were changed. */
extern void dbops_index_judge(IndexBloat *bloat);

/* ---- index_other.c: what can be said of an index that is no btree ---- */

extern void dbops_index_measure_other(Relation relation, int blocks, IndexBloat *bloat);
extern void dbops_index_describe_other(IndexBloat *bloat);

/* ---- index_best.c: how small an index was at its best ---- */

extern double dbops_index_best(const IndexBloat *bloat);
extern bool dbops_index_best_open(void);
extern void dbops_index_best_record(const IndexBloat *bloat);
extern void dbops_index_best_prune(void);

#endif							/* DBOPS_PAGE_SAMPLE_H */
