/*
 * btree_rebuild.c
 *		How many pages a btree would have after a rebuild.
 *
 * That is what decides whether a rebuild is worth it, and not the density of
 * the leaves: a fresh index is some 90 percent full, and one of which most
 * pages are deleted may be so too.
 *
 * The model is that of the server's own build. Items are put on a leaf until
 * less than the fillfactor's share is free; the last of them goes to the next
 * page and leaves its key behind as the high key. Of short items a leaf holds
 * the same whatever their length; of long ones the rounding matters. Pages
 * above hold the high keys of those below and are filled to 70 percent.
 */
#include "core/page_sample.h"

#include <math.h>


/* Where leaves settle whose rows come in random order: ln 2. */
#define STEADY_DENSITY	0.69

static double leaf_room(const double *figures, int fillfactor);
static double plain_leaf_room(const double *figures, double limit);
static double even_leaf_room(double item, double limit);
static double fill_limit(int fillfactor);
static double tree_pages(const double *figures, double leaves);
static double share(double part, double whole);

/* How many pages a rebuild makes of so many bytes of such items, the meta page included. */
double
dbops_btree_rebuilt_pages(const double *figures, double data, int fillfactor)
{
	if (data <= 0)
		return 1;
	return tree_pages(figures, ceil(data / leaf_room(figures, fillfactor)));
}

/* How many pages it would have if its rows had come one by one in random order. */
double
dbops_btree_steady_pages(const double *figures)
{
	double		high_key = share(figures[BTREE_HIGH_KEY_BYTES], figures[BTREE_HIGH_KEYS]);

	if (figures[BTREE_DATA] <= 0)
		return 1;
	return tree_pages(figures, ceil(figures[BTREE_DATA] /
									(STEADY_DENSITY * BTREE_PAGE_ROOM - high_key)));
}

/*
 * How many bytes of data a rebuilt leaf holds. An item of many rows is cut down
 * to a high key where it ends a page, which the build knows in advance.
 */
static double
leaf_room(const double *figures, int fillfactor)
{
	double		limit = fill_limit(fillfactor);
	double		posting = share(figures[BTREE_POSTING_BYTES], figures[BTREE_DATA]);
	double		high_key = share(figures[BTREE_HIGH_KEY_BYTES], figures[BTREE_HIGH_KEYS]);

	return posting * (limit - high_key) + (1 - posting) * plain_leaf_room(figures, limit);
}

/*
 * The same for items of one row each. The item at which the limit is passed goes
 * to the next leaf; if lengths differ that is a long one rather than a short one.
 */
static double
plain_leaf_room(const double *figures, double limit)
{
	double		item = share(figures[BTREE_DATA], figures[BTREE_ITEMS]);
	double		square = share(figures[BTREE_ITEM_SQUARES], figures[BTREE_ITEMS]);
	double		deviation = sqrt(Max(square - item * item, 0));

	if (deviation * sqrt(limit / item) < item / 4)
		return even_leaf_room(item, limit);
	return Max(limit - square / (2 * item), item);
}

/* The same for items of one length; a page has to have room for the last one too. */
static double
even_leaf_room(double item, double limit)
{
	double		room = BTREE_PAGE_ROOM - sizeof(ItemIdData) - MAXALIGN(sizeof(ItemPointerData));

	return item * Max(Min(floor(limit / item), floor(room / item) - 1), 1);
}

/* The bytes that a page may hold before it is full; one pointer is for its high key. */
static double
fill_limit(int fillfactor)
{
	return BTREE_PAGE_ROOM - BLCKSZ * (100 - fillfactor) / 100 - 2 * sizeof(ItemIdData);
}

/* Put the levels above so many leaves, and the meta page. */
static double
tree_pages(const double *figures, double leaves)
{
	double		key = share(figures[BTREE_HIGH_KEY_BYTES], figures[BTREE_HIGH_KEYS]);
	double		fanout = (key > 0) ? floor(fill_limit(BTREE_NONLEAF_FILLFACTOR) / key) : BLCKSZ;
	double		pages = leaves + 1;

	for (double level = leaves; level > 1; pages += level)
		level = ceil(level / Max(fanout, 2));
	return pages;
}

static double
share(double part, double whole)
{
	return (whole > 0) ? part / whole : 0;
}
