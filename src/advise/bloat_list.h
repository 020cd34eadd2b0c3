/*
 * bloat_list.h
 *		The reports on bloat: of one relation, and of many by what they would win.
 */
#ifndef DBOPS_BLOAT_LIST_H
#define DBOPS_BLOAT_LIST_H

#include "core/page_sample.h"

#include "lib/pairingheap.h"

/* What is measured, and how that is shown. */
typedef struct BloatKind
{
	const char *example;		/* a call, for who gave it what it does not take */
	Size		size;			/* of a measurement, which begins with a Bloat */
	void		(*measure) (const BloatSubject *subject, int blocks, Bloat *bloat);
	void		(*put) (ReturnSetInfo *rsinfo, const Bloat *bloat);
} BloatKind;

/* ---- bloat_list.c: those of many that would win most ---- */

typedef struct BloatList
{
	const BloatKind *kind;
	double		min_percent;
	int64		min_bytes;		/* that would be won */
	int			limit;			/* how many are listed */
	int			blocks;			/* of the first sample of each */
	List	   *subjects;		/* of BloatSubject * */
	pairingheap *best;			/* of those found, the one that wins least first */
	int			n_best;
	List	   *found;			/* of Bloat *, in the end: those that win most first */
	List	   *skipped;		/* of Bloat *: that could not be measured */
	MemoryContext context;
} BloatList;

extern void dbops_bloat_list_begin(BloatList *list, const BloatKind *kind, FunctionCallInfo fcinfo);
extern void dbops_bloat_list_add(HeapTuple row, TupleDesc desc, void *list);
extern void dbops_bloat_list_measure(BloatList *list);
extern void dbops_bloat_list_put(const BloatList *list, ReturnSetInfo *rsinfo);

/* What dbops_bloat_list_add() takes, of relations as r, after the relation that is named and whether r is its TOAST table. */
#define BLOAT_FILE "r.oid, r.relfilenode, r.reltablespace, r.relkind::text, r.relpersistence = 't', r.relisshared"

/* ---- bloat_row.c: what their arguments and rows have in common ---- */

extern int	dbops_bloat_sample_argument(FunctionCallInfo fcinfo, const char *hint);
extern Datum dbops_bloat_figure(double number, bool *isnull);

/* ---- find_bloated_indexes.c, index_bloat.c ---- */

extern const BloatKind dbops_bloat_of_indexes;
extern void dbops_index_bloat_put(ReturnSetInfo *rsinfo, const Bloat *bloat);

#endif							/* DBOPS_BLOAT_LIST_H */
