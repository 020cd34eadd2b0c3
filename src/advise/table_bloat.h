/*
 * table_bloat.h
 *		How much larger tables are than they need be.
 */
#ifndef DBOPS_TABLE_BLOAT_H
#define DBOPS_TABLE_BLOAT_H

#include "advise/bloat_list.h"

/* ---- heap_pages.c: what stands on a page of a table ---- */

typedef enum HeapFigure
{
	HEAP_LIVE_ROWS,
	HEAP_LIVE_BYTES,			/* with their pointers and what aligns them, here and below */
	HEAP_HELD_ROWS,				/* dead, but some transaction may still see them */
	HEAP_HELD_BYTES,
	HEAP_DEAD_ROWS,				/* that VACUUM could remove now */
	HEAP_DEAD_BYTES,
	HEAP_FREE_BYTES,
	HEAP_OPEN_PAGES,			/* not known to have rows only that everybody sees */
	HEAP_PACKED_PAGES,			/* that a rewrite fills with the rows that stay */
	HEAP_PACKED_BYTES,			/* of these rows on them */
	N_HEAP_FIGURES
} HeapFigure;

#define HEAP_PAGE_ROOM	(BLCKSZ - SizeOfPageHeaderData)

typedef struct HeapLook
{
	PageSample *sample;			/* that reads the page */
	TransactionId horizon;		/* what was deleted before, nobody sees */
	double		kept_free;		/* bytes that a rewrite leaves free on each page */
	double		packed;			/* bytes on the page that it fills now */
	bool	   *removable;		/* or NULL: of each block of the sample, whether VACUUM would leave nothing on it */
} HeapLook;

extern bool dbops_heap_look(Page page, double *figures, void *look);

/* ---- heap_measure.c: a table, its TOAST table, its partitions ---- */

typedef struct TableBloat
{
	Bloat		base;
	bool		toast;
	double		visible_pages;	/* all of whose rows everybody sees, by the visibility map */
	double		figures[N_HEAP_FIGURES];
	double		tail_pages;		/* at its end that VACUUM would give back */
	int64		vacuum_returns; /* of the wasted bytes, what VACUUM gives back to the disk */
} TableBloat;

/* Measure a table, or the partitions of one, or their TOAST tables; blocks as for indexes. Waits for no lock. */
extern void dbops_heap_measure(Oid table, bool toast, int blocks, TableBloat *bloat);
extern bool dbops_heap_has_toast(Oid table);

/* ---- find_bloated_tables.c: many of them ---- */

extern const BloatKind dbops_bloat_of_tables;

/* ---- table_bloat.c: the rows of the reports ---- */

extern void dbops_table_bloat_put(ReturnSetInfo *rsinfo, const Bloat *bloat);

#endif							/* DBOPS_TABLE_BLOAT_H */
