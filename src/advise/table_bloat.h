/*
 * table_bloat.h
 *		How much larger tables are than they need be.
 */
#ifndef DBOPS_TABLE_BLOAT_H
#define DBOPS_TABLE_BLOAT_H

#include "advise/advise.h"

/* ---- heap_pages.c: what stands on a page of a table ---- */

typedef enum HeapFigure
{
	HEAP_LIVE_ROWS,
	HEAP_LIVE_BYTES,			/* with their pointers and what aligns them, here and below */
	HEAP_LIVE_SQUARES,			/* of the bytes of each row */
	HEAP_HELD_ROWS,				/* dead, but some transaction may still see them */
	HEAP_HELD_BYTES,
	HEAP_DEAD_ROWS,				/* that VACUUM could remove now */
	HEAP_DEAD_BYTES,
	HEAP_FREE_BYTES,
	HEAP_OPEN_PAGES,			/* not known to have rows only that everybody sees */
	N_HEAP_FIGURES
} HeapFigure;

#define HEAP_PAGE_ROOM	(BLCKSZ - SizeOfPageHeaderData)

typedef struct HeapLook
{
	PageSample *sample;			/* that reads the page */
	TransactionId horizon;		/* what was deleted before, nobody sees */
	bool	   *removable;		/* or NULL: of each block of the sample, whether VACUUM would leave nothing on it */
} HeapLook;

extern bool dbops_heap_look(Page page, double *figures, void *look);

/* ---- heap_measure.c: a table, its TOAST table, its partitions ---- */

typedef struct TableBloat
{
	Oid			relation;		/* the table, also where its TOAST table is measured */
	bool		toast;
	const char *skipped;		/* why nothing was measured, as a user reads it; or NULL */
	const char *method;
	const char *note;			/* or NULL */
	bool		judged;
	int64		bytes;
	int64		pages;
	int64		pages_read;
	int64		damaged;
	double		visible_pages;	/* all of whose rows everybody sees, by the visibility map */
	double		figures[N_HEAP_FIGURES];
	double		data_error;		/* half of the 95 percent interval of figures[HEAP_LIVE_BYTES] */
	int			fillfactor;
	double		rebuilt_pages;	/* that it would have after a rewrite */
	double		rebuilt_error;	/* half of the 95 percent interval of that */
	double		tail_pages;		/* at its end that VACUUM would give back */
	double		percent;		/* of the file that a rewrite would win */
	double		low;
	double		high;
	int64		wasted;			/* bytes that a rewrite would win */
	int64		vacuum_returns; /* bytes of these that VACUUM gives back to the disk */
} TableBloat;

/* Measure a table, or the partitions of one, or their TOAST tables; blocks as for indexes. Waits for no lock. */
extern void dbops_heap_measure(Oid table, bool toast, int blocks, TableBloat *bloat);
extern bool dbops_heap_has_toast(Oid table);

/* ---- table_bloat.c: the rows of the reports ---- */

extern void dbops_table_bloat_put(ReturnSetInfo *rsinfo, const TableBloat *bloat);

#endif							/* DBOPS_TABLE_BLOAT_H */
