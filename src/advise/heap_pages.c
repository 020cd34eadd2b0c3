/*
 * heap_pages.c
 *		What stands on a page of a table: rows that live, rows that are dead, and
 *		nothing.
 *
 * A dead row that some transaction may still see is told apart from one that
 * VACUUM could remove now, as VACUUM itself tells them. Where the page says that
 * everybody sees all its rows, none of them is asked.
 */
#include "advise/table_bloat.h"

#include "access/heapam.h"
#include "access/htup_details.h"

static bool is_sound(Page page);
static bool is_within(ItemId pointer, PageHeader header);
static bool count_row(Page page, OffsetNumber place, const HeapLook *look, double *figures);
static HTSV_Result ask(ItemId pointer, Page page, OffsetNumber place, const HeapLook *look);

/* Put what a page says into figures; false: it is not what it should be. */
bool
dbops_heap_look(Page page, double *figures, void *arg)
{
	const HeapLook *look = arg;
	bool		removable = true;
	double		used = 0;

	if (!PageIsNew(page))
	{
		if (!is_sound(page))
			return false;
		for (OffsetNumber place = FirstOffsetNumber; place <= PageGetMaxOffsetNumber(page); place++)
			removable = count_row(page, place, look, figures) && removable;
		used = sizeof(ItemIdData) * PageGetMaxOffsetNumber(page);
		figures[HEAP_OPEN_PAGES] = PageIsAllVisible(page) ? 0 : 1;
	}
	used = Max(used, figures[HEAP_LIVE_BYTES] + figures[HEAP_HELD_BYTES] + figures[HEAP_DEAD_BYTES]);
	figures[HEAP_FREE_BYTES] = Max(HEAP_PAGE_ROOM - used, 0);
	if (look->removable != NULL)
		look->removable[look->sample->block - look->sample->first] = removable;
	return true;
}

static bool
is_sound(Page page)
{
	PageHeader	header = (PageHeader) page;

	if (header->pd_lower < SizeOfPageHeaderData || header->pd_lower > header->pd_upper ||
		header->pd_upper > header->pd_special || header->pd_special > BLCKSZ)
		return false;
	for (OffsetNumber place = FirstOffsetNumber; place <= PageGetMaxOffsetNumber(page); place++)
		if (!is_within(PageGetItemId(page, place), header))
			return false;
	return true;
}

/* Does a pointer to a row point to one on its page? What asks about the row writes into it, too. */
static bool
is_within(ItemId pointer, PageHeader header)
{
	return !ItemIdIsNormal(pointer) ||
		(ItemIdGetOffset(pointer) >= header->pd_upper &&
		 ItemIdGetOffset(pointer) == MAXALIGN(ItemIdGetOffset(pointer)) &&
		 ItemIdGetLength(pointer) >= SizeofHeapTupleHeader &&
		 ItemIdGetOffset(pointer) + ItemIdGetLength(pointer) <= header->pd_special);
}

/* Count what a pointer points to; true: VACUUM would remove it. */
static bool
count_row(Page page, OffsetNumber place, const HeapLook *look, double *figures)
{
	ItemId		pointer = PageGetItemId(page, place);
	double		bytes;

	if (!ItemIdIsUsed(pointer))
		return true;
	if (!ItemIdIsNormal(pointer))
	{
		figures[ItemIdIsDead(pointer) ? HEAP_DEAD_BYTES : HEAP_LIVE_BYTES] += sizeof(ItemIdData);
		return ItemIdIsDead(pointer);
	}
	bytes = MAXALIGN(ItemIdGetLength(pointer)) + sizeof(ItemIdData);
	switch (ask(pointer, page, place, look))
	{
		case HEAPTUPLE_DEAD:
			figures[HEAP_DEAD_ROWS]++;
			figures[HEAP_DEAD_BYTES] += bytes;
			return true;
		case HEAPTUPLE_RECENTLY_DEAD:
			figures[HEAP_HELD_ROWS]++;
			figures[HEAP_HELD_BYTES] += bytes;
			return false;
		default:
			figures[HEAP_LIVE_ROWS]++;
			figures[HEAP_LIVE_BYTES] += bytes;
			figures[HEAP_LIVE_SQUARES] += bytes * bytes;
			return false;
	}
}

static HTSV_Result
ask(ItemId pointer, Page page, OffsetNumber place, const HeapLook *look)
{
	HeapTupleData row;

	if (PageIsAllVisible(page))
		return HEAPTUPLE_LIVE;
	row.t_data = (HeapTupleHeader) PageGetItem(page, pointer);
	row.t_len = ItemIdGetLength(pointer);
	row.t_tableOid = RelationGetRelid(look->sample->relation);
	ItemPointerSet(&row.t_self, look->sample->block, place);
	return HeapTupleSatisfiesVacuum(&row, look->horizon, look->sample->buffer);
}
