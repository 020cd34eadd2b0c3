/*
 * btree_rebuild.c
 *		How many pages a btree would have after a rebuild.
 *
 * That is what decides whether a rebuild is worth it, and not the density of
 * the leaves: a fresh index is some 90 percent full, and one of which most
 * pages are deleted may be so too.
 *
 * It is tried out: the items of the pages that are looked at are put on leaves
 * as the server's own build does, and counted. Rows of the same key are merged
 * up to a tenth of a page, where the index allows it. A leaf is full when less
 * than the fillfactor's share is free; its last item goes to the next one and
 * leaves its key behind as the high key, without the rows that were merged into
 * it. Pages above hold the high keys of those below and are filled to 70
 * percent. (nbtsort.c: _bt_load, _bt_buildadd; nbtdedup.c.)
 */
#include "core/page_sample.h"

#include <math.h>

/* Where leaves settle whose rows come in random order: ln 2. */
#define STEADY_DENSITY	0.69

/* The largest item that rows are merged into. */
#define MAX_MERGED		((Size) MAXALIGN_DOWN(MAXALIGN_DOWN(BLCKSZ * 10 / 100) - sizeof(ItemIdData)))

/* What an item takes besides its key. */
#define ITEM_HEADER		sizeof(IndexTupleData)

struct BtreeBuild
{
	bool		deduplicates;
	int			soft_limit;		/* less free than that: the leaf is full */
	/* the rows that have not been put on a leaf because more of their key may follow */
	char		key[BLCKSZ];
	Size		length;			/* of the key */
	int			rows;
	bool		parted;			/* the page that they are from has not all rows of their key */
	/* the leaf */
	int			free;
	int			items;
	int			data;			/* bytes of them with their pointers */
	int			last;			/* bytes of the last one */
	int			last_extra;		/* of these, what its high key would not have */
};

static void merge_rows(BtreeBuild *build, const char *key, Size length, int rows, double *figures);
static bool is_same_key(const BtreeBuild *build, const char *key, Size length);
static void put_rows(BtreeBuild *build, Size length, int rows, double *figures);
static void put_item(BtreeBuild *build, int size, int extra, double *figures);
static bool is_full(const BtreeBuild *build, int size);
static void end_leaf(BtreeBuild *build, double *figures);
static void place(BtreeBuild *build, int size, int extra);
static int	merged_rows(Size length);
static double merged_bytes(Size length, int rows);
static double leaf_room(const double *figures, int fillfactor);
static double tree_pages(const double *figures, double leaves);
static int	soft_limit(int fillfactor);
static double share(double part, double whole);

/* Begin to try out a rebuild. */
BtreeBuild *
dbops_btree_build_begin(int fillfactor, bool deduplicates)
{
	BtreeBuild *build = palloc0(sizeof(BtreeBuild));

	build->deduplicates = deduplicates;
	build->soft_limit = soft_limit(fillfactor);
	build->free = BTREE_PAGE_ROOM - sizeof(ItemIdData);
	return build;
}

/*
 * Add the rows of one key, after those of smaller ones. What they will take is
 * counted at once; they are put on a leaf when another key follows.
 */
void
dbops_btree_build_add(BtreeBuild *build, const char *key, Size length, int rows, double *figures)
{
	if (build->deduplicates && merged_rows(length) > 1)
		merge_rows(build, key, length, rows, figures);
	else
	{
		figures[BTREE_REBUILT_DATA] += rows * merged_bytes(length, 1);
		for (int i = 0; i < rows; i++)
			put_item(build, MAXALIGN(ITEM_HEADER + length), 0, figures);
	}
}

static void
merge_rows(BtreeBuild *build, const char *key, Size length, int rows, double *figures)
{
	int			most = merged_rows(length);

	if (!is_same_key(build, key, length))
	{
		put_rows(build, build->length, build->rows, figures);
		build->rows = 0;
	}
	build->length = length;
	build->parted = false;
	memcpy(build->key, key, length);
	figures[BTREE_REBUILT_DATA] += merged_bytes(length, build->rows + rows) -
		merged_bytes(length, build->rows);
	for (build->rows += rows; build->rows > most; build->rows -= most)
		put_rows(build, length, most, figures);
}

/*
 * Behind a page that ends amidst the rows of a key comes, in a sample, another
 * page that may begin amidst those of another. The two parts stand for one key:
 * taken for two each would seem to be as short as a page makes it.
 */
static bool
is_same_key(const BtreeBuild *build, const char *key, Size length)
{
	return build->parted ||
		(build->length == length && memcmp(build->key, key, length) == 0);
}

/* A page ends; parted: amidst the rows of a key. */
void
dbops_btree_build_turn(BtreeBuild *build, bool parted)
{
	build->parted = parted && build->rows > 0;
}

/* How many rows of a key of that length fit into one item. */
static int
merged_rows(Size length)
{
	Size		fixed = MAXALIGN(ITEM_HEADER + length);

	return (fixed < MAX_MERGED) ? (MAX_MERGED - fixed) / sizeof(ItemPointerData) : 0;
}

/* What rows of one key take on leaves. */
static double
merged_bytes(Size length, int rows)
{
	Size		fixed = MAXALIGN(ITEM_HEADER + length);
	int			most = merged_rows(length);

	if (rows == 0)
		return 0;
	if (rows == 1 || most < 2)
		return fixed + sizeof(ItemIdData);
	if (rows > most)
		return merged_bytes(length, most) * (rows / most) + merged_bytes(length, rows % most);
	return MAXALIGN(fixed + rows * sizeof(ItemPointerData)) + sizeof(ItemIdData);
}

/* Put rows that fit into one item on the leaf. */
static void
put_rows(BtreeBuild *build, Size length, int rows, double *figures)
{
	int			fixed = MAXALIGN(ITEM_HEADER + length);
	int			merged = fixed + rows * sizeof(ItemPointerData);

	if (rows == 1)
		put_item(build, fixed, 0, figures);
	else if (rows > 1)
		put_item(build, MAXALIGN(merged), MAXALIGN(merged) - fixed, figures);
}

static void
put_item(BtreeBuild *build, int size, int extra, double *figures)
{
	if (is_full(build, size))
		end_leaf(build, figures);
	place(build, size, extra);
}

/* Whether the next item, of that size, goes to another leaf. */
static bool
is_full(const BtreeBuild *build, int size)
{
	int			room = Max(build->free - (int) sizeof(ItemIdData), 0);

	return build->items > 1 &&
		(room < size + (int) MAXALIGN(sizeof(ItemPointerData)) ||
		 room + build->last_extra < build->soft_limit);
}

/* End the leaf before its last item, which begins the next one. */
static void
end_leaf(BtreeBuild *build, double *figures)
{
	int			last = build->last;
	int			extra = build->last_extra;

	figures[BTREE_PACKED_LEAVES]++;
	figures[BTREE_PACKED_DATA] += build->data - last - (int) sizeof(ItemIdData);
	build->free = BTREE_PAGE_ROOM - sizeof(ItemIdData);
	build->items = build->data = 0;
	place(build, last, extra);
}

static void
place(BtreeBuild *build, int size, int extra)
{
	build->items++;
	build->free -= size + sizeof(ItemIdData);
	build->data += size + sizeof(ItemIdData);
	build->last = size;
	build->last_extra = extra;
}

/* How many pages a rebuild makes of so many bytes of such items, the meta page included. */
double
dbops_btree_rebuilt_pages(const double *figures, double data, int fillfactor)
{
	if (data <= 0)
		return 1;
	return tree_pages(figures, ceil(data / leaf_room(figures, fillfactor)));
}

/* The data that a rebuilt leaf holds; where no leaf got full, about as much as could be. */
static double
leaf_room(const double *figures, int fillfactor)
{
	if (figures[BTREE_PACKED_LEAVES] >= 1)
		return figures[BTREE_PACKED_DATA] / figures[BTREE_PACKED_LEAVES];
	return BTREE_PAGE_ROOM - soft_limit(fillfactor);
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
 * Put the levels above so many leaves, and the meta page. Of each page there the
 * first key is left out, and the one behind its last stands on it as well.
 */
static double
tree_pages(const double *figures, double leaves)
{
	double		key = share(figures[BTREE_HIGH_KEY_BYTES], figures[BTREE_HIGH_KEYS]);
	double		room = BTREE_PAGE_ROOM - soft_limit(BTREE_NONLEAF_FILLFACTOR);
	double		fanout = (key > 0) ? ceil(room / key) : BLCKSZ;
	double		pages = leaves + 1;

	for (double level = leaves; level > 1; pages += level)
		level = ceil(level / Max(fanout, 2));
	return pages;
}

/* The free bytes below which a page is full. */
static int
soft_limit(int fillfactor)
{
	return BLCKSZ * (100 - fillfactor) / 100;
}

static double
share(double part, double whole)
{
	return (whole > 0) ? part / whole : 0;
}
