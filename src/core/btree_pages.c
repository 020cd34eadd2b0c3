/*
 * btree_pages.c
 *		What stands on a page of a btree.
 *
 * Nothing on the page is trusted before it is checked: the page may be damaged
 * in ways that its header and checksum do not show. Of a key only the length is
 * looked at, and whether its bytes are those of the one before; so no operator
 * class is called, and nobody's data is shown.
 *
 * Free space is counted as pgstatindex counts it, so that densities compare.
 * An item that is known to be dead takes its room until somebody cleans the
 * page, which needs no rebuild; it counts as used, and apart.
 */
#include "core/page_sample.h"

#include "access/itup.h"

static bool is_btree_page(Page page);
static bool look_at_leaf(Page page, double *figures, BtreeBuild *build);
static bool parts_a_key(Page page);
static bool look_at_item(Page page, ItemId id, double *figures, BtreeBuild *build);
static bool is_item(Page page, ItemId id);
static bool is_posting_sane(IndexTuple item, Size length);
static double item_bytes(ItemId id);

/* Take the figures of any page behind the meta page; the PageLook of a btree, with a BtreeBuild. */
bool
dbops_btree_look(Page page, double *figures, void *build)
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
		return look_at_leaf(page, figures, build);
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
look_at_leaf(Page page, double *figures, BtreeBuild *build)
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
		if (!look_at_item(page, PageGetItemId(page, i), figures, build))
			return false;
	dbops_btree_build_turn(build, !P_RIGHTMOST(opaque) && parts_a_key(page));
	return true;
}

/* Whether rows of one key are on both sides of a page's end; its high key then says which of them. */
static bool
parts_a_key(Page page)
{
	IndexTuple	high_key = (IndexTuple) PageGetItem(page, PageGetItemId(page, P_HIKEY));

	return BTreeTupleIsPivot(high_key) &&
		(ItemPointerGetOffsetNumberNoCheck(&high_key->t_tid) & BT_PIVOT_HEAP_TID_ATTR) != 0;
}

/* Take the figures of an item; its header, which says where its row is, is no part of the key. */
static bool
look_at_item(Page page, ItemId id, double *figures, BtreeBuild *build)
{
	IndexTuple	item;
	Size		length = ItemIdGetLength(id);
	int			rows = 1;

	if (!is_item(page, id))
		return false;
	item = (IndexTuple) PageGetItem(page, id);
	if (BTreeTupleIsPosting(item))
	{
		if (!is_posting_sane(item, length))
			return false;
		rows = BTreeTupleGetNPosting(item);
		length = BTreeTupleGetPostingOffset(item);
	}
	figures[BTREE_DATA] += item_bytes(id);
	figures[BTREE_ROWS] += rows;
	if (ItemIdIsDead(id))
		figures[BTREE_KILLABLE_BYTES] += item_bytes(id);
	dbops_btree_build_add(build, (char *) item + sizeof(IndexTupleData),
						  length - sizeof(IndexTupleData), rows, figures);
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

static bool
is_posting_sane(IndexTuple item, Size length)
{
	return BTreeTupleGetNPosting(item) > 0 &&
		BTreeTupleGetPostingOffset(item) >= sizeof(IndexTupleData) &&
		BTreeTupleGetPostingOffset(item) +
		BTreeTupleGetNPosting(item) * sizeof(ItemPointerData) <= length;
}

/* What an item and its pointer take of the page. */
static double
item_bytes(ItemId id)
{
	return MAXALIGN(ItemIdGetLength(id)) + sizeof(ItemIdData);
}

/* Copy what the first page of a btree says, if it is one; a PageLook, with a BTMetaPageData. */
bool
dbops_btree_look_at_meta(Page page, double *figures, void *meta)
{
	BTMetaPageData *found = BTPageGetMeta(page);

	if (PageIsNew(page) || !is_btree_page(page) || !P_ISMETA(BTPageGetOpaque(page)) ||
		found->btm_magic != BTREE_MAGIC ||
		found->btm_version < BTREE_MIN_VERSION || found->btm_version > BTREE_VERSION)
		return false;
	*(BTMetaPageData *) meta = *found;
	return true;
}
