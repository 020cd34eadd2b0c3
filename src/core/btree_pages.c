/*
 * btree_pages.c
 *		What stands on a page of a btree.
 *
 * Nothing on the page is trusted before it is checked: the page may be damaged
 * in ways that its header and checksum do not show. No key is looked at, only
 * how long the items are; so no operator class is called, and nobody's data is
 * seen.
 *
 * Free space is counted as pgstatindex counts it, so that densities compare.
 * An item that is known to be dead takes its room until somebody cleans the
 * page, which needs no rebuild; it counts as used, and apart.
 */
#include "core/page_sample.h"

#include "access/itup.h"

static bool is_btree_page(Page page);
static bool look_at_leaf(Page page, double *figures);
static bool look_at_item(Page page, ItemId id, double *figures);
static bool is_item(Page page, ItemId id);
static int	item_rows(IndexTuple item, Size length);
static double item_bytes(ItemId id);

/* Take the figures of any page behind the meta page; the PageLook of a btree. */
bool
dbops_btree_look(Page page, BlockNumber block, double *figures)
{
	BTPageOpaque opaque;

	if (PageIsNew(page))
	{
		figures[BTREE_NEW] = 1;
		return true;
	}
	if (!is_btree_page(page))
		return false;
	opaque = BTPageGetOpaque(page);
	if (P_ISMETA(opaque))
		return false;
	if (P_ISDELETED(opaque))
		figures[BTREE_DELETED] = 1;
	else if (P_ISHALFDEAD(opaque))
		figures[BTREE_HALF_DEAD] = 1;
	else if (P_ISLEAF(opaque))
		return look_at_leaf(page, figures);
	else
		figures[BTREE_INTERNAL] = 1;
	return true;
}

static bool
is_btree_page(Page page)
{
	PageHeader	header = (PageHeader) page;

	return header->pd_lower >= SizeOfPageHeaderData &&
		header->pd_lower <= header->pd_upper &&
		header->pd_upper <= header->pd_special &&
		header->pd_special == BLCKSZ - MAXALIGN(sizeof(BTPageOpaqueData));
}

static bool
look_at_leaf(Page page, double *figures)
{
	BTPageOpaque opaque = BTPageGetOpaque(page);
	OffsetNumber last = PageGetMaxOffsetNumber(page);

	figures[BTREE_LEAVES] = 1;
	figures[BTREE_FREE] = PageGetFreeSpace(page);
	if (!P_RIGHTMOST(opaque))
	{
		if (last < P_HIKEY || !is_item(page, PageGetItemId(page, P_HIKEY)))
			return false;
		figures[BTREE_HIGH_KEYS] = 1;
		figures[BTREE_HIGH_KEY_BYTES] = item_bytes(PageGetItemId(page, P_HIKEY));
	}
	for (OffsetNumber i = P_FIRSTDATAKEY(opaque); i <= last; i++)
		if (!look_at_item(page, PageGetItemId(page, i), figures))
			return false;
	return true;
}

static bool
look_at_item(Page page, ItemId id, double *figures)
{
	double		bytes;
	int			rows;

	if (!is_item(page, id))
		return false;
	bytes = item_bytes(id);
	rows = item_rows((IndexTuple) PageGetItem(page, id), ItemIdGetLength(id));
	if (rows < 1)
		return false;
	figures[BTREE_DATA] += bytes;
	figures[BTREE_ITEMS]++;
	figures[BTREE_ITEM_SQUARES] += bytes * bytes;
	figures[BTREE_ROWS] += rows;
	if (rows > 1)
		figures[BTREE_POSTING_BYTES] += bytes;
	if (ItemIdIsDead(id))
		figures[BTREE_KILLABLE_BYTES] += bytes;
	return true;
}

static bool
is_item(Page page, ItemId id)
{
	PageHeader	header = (PageHeader) page;

	return ItemIdHasStorage(id) &&
		ItemIdGetLength(id) >= sizeof(IndexTupleData) &&
		ItemIdGetOffset(id) >= header->pd_upper &&
		ItemIdGetOffset(id) + ItemIdGetLength(id) <= header->pd_special;
}

/* How many rows an item points to; 0: it is damaged. */
static int
item_rows(IndexTuple item, Size length)
{
	if (!BTreeTupleIsPosting(item))
		return 1;
	if (BTreeTupleGetPostingOffset(item) < sizeof(IndexTupleData) ||
		BTreeTupleGetPostingOffset(item) +
		BTreeTupleGetNPosting(item) * sizeof(ItemPointerData) > length)
		return 0;
	return BTreeTupleGetNPosting(item);
}

/* What an item and its pointer take of the page. */
static double
item_bytes(ItemId id)
{
	return MAXALIGN(ItemIdGetLength(id)) + sizeof(ItemIdData);
}

/* Take the version of a btree from its first page, if it is one. */
bool
dbops_btree_look_at_meta(Page page, BlockNumber block, double *version)
{
	BTMetaPageData *meta;

	if (PageIsNew(page) || !is_btree_page(page))
		return false;
	meta = BTPageGetMeta(page);
	if (!P_ISMETA(BTPageGetOpaque(page)) || meta->btm_magic != BTREE_MAGIC ||
		meta->btm_version < BTREE_MIN_VERSION || meta->btm_version > BTREE_VERSION)
		return false;
	*version = meta->btm_version;
	return true;
}
