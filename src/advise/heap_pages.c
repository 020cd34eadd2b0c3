/*
 * heap_pages.c
 *		What stands on a page of a table: rows that live, rows that are dead, and
 *		nothing.
 *
 * A dead row that some transaction may still see is told apart from one that
 * VACUUM could remove now, as VACUUM itself tells them. What became of a row's
 * transactions is asked anew each time and not noted on the page, as the server's
 * own looks do: the note would be written, with checksums to WAL too, for a report
 * that only reads. Where the page says that everybody sees all its rows, none of
 * them is asked.
 *
 * Rows that stay are put on new pages as a rewrite does it, one after the other as
 * they are met: what a page leaves free that the next row does not fit on depends
 * on how long each row is.
 */
#include "advise/table_bloat.h"

#include "access/heapam.h"
#include "access/htup_details.h"
#include "access/transam.h"
#include "access/xact.h"
#include "storage/procarray.h"

typedef enum RowFate
{
	ROW_LIVES,					/* or its transaction runs, so that it may yet */
	ROW_HELD,
	ROW_DEAD
} RowFate;

typedef enum Outcome
{
	XACT_RUNS,
	XACT_COMMITTED,
	XACT_ABORTED
} Outcome;

static bool is_sound(Page page);
static bool is_within(ItemId pointer, Page page);
static bool count_row(Page page, OffsetNumber place, HeapLook *look, double *figures);
static void pack(HeapLook *look, double bytes, double *figures);
static RowFate fate_of(HeapTupleHeader row, TransactionId horizon);
static RowFate fate_of_deleted(HeapTupleHeader row, TransactionId horizon);
static Outcome outcome_of(TransactionId xid);

/* Put what a page says into figures; false: it is not what it should be. */
bool
dbops_heap_look(Page page, double *figures, void *arg)
{
	HeapLook   *look = arg;
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
		if (!is_within(PageGetItemId(page, place), page))
			return false;
	return true;
}

/* Does a pointer to a row point to one on its page? */
static bool
is_within(ItemId pointer, Page page)
{
	PageHeader	header = (PageHeader) page;

	return !ItemIdIsNormal(pointer) ||
		(ItemIdGetOffset(pointer) >= header->pd_upper &&
		 ItemIdGetOffset(pointer) == MAXALIGN(ItemIdGetOffset(pointer)) &&
		 ItemIdGetLength(pointer) >= SizeofHeapTupleHeader &&
		 ItemIdGetOffset(pointer) + ItemIdGetLength(pointer) <= header->pd_special);
}

/* Count what a pointer points to; true: VACUUM would remove it. */
static bool
count_row(Page page, OffsetNumber place, HeapLook *look, double *figures)
{
	ItemId		pointer = PageGetItemId(page, place);
	double		bytes;

	if (!ItemIdIsUsed(pointer))
		return true;
	if (!ItemIdIsNormal(pointer))
	{
		figures[HEAP_DEAD_BYTES] += ItemIdIsDead(pointer) ? sizeof(ItemIdData) : 0;
		return ItemIdIsDead(pointer);
	}
	bytes = MAXALIGN(ItemIdGetLength(pointer)) + sizeof(ItemIdData);
	switch (PageIsAllVisible(page) ? ROW_LIVES : fate_of((HeapTupleHeader) PageGetItem(page, pointer), look->horizon))
	{
		case ROW_DEAD:
			figures[HEAP_DEAD_ROWS]++;
			figures[HEAP_DEAD_BYTES] += bytes;
			return true;
		case ROW_HELD:
			figures[HEAP_HELD_ROWS]++;
			figures[HEAP_HELD_BYTES] += bytes;
			pack(look, bytes, figures);
			return false;
		case ROW_LIVES:
			break;
	}
	figures[HEAP_LIVE_ROWS]++;
	figures[HEAP_LIVE_BYTES] += bytes;
	pack(look, bytes, figures);
	return false;
}

/* An empty page takes any row. */
static void
pack(HeapLook *look, double bytes, double *figures)
{
	if (look->packed > 0 && look->packed + bytes + look->kept_free > HEAP_PAGE_ROOM)
	{
		figures[HEAP_PACKED_PAGES]++;
		figures[HEAP_PACKED_BYTES] += look->packed;
		look->packed = 0;
	}
	look->packed += bytes;
}

/* What has become of a row; one that a server before 9.0 was moving is left to the next VACUUM. */
static RowFate
fate_of(HeapTupleHeader row, TransactionId horizon)
{
	if (HeapTupleHeaderXminInvalid(row))
		return ROW_DEAD;
	if (!HeapTupleHeaderXminCommitted(row) && (row->t_infomask & HEAP_MOVED) == 0)
		switch (outcome_of(HeapTupleHeaderGetRawXmin(row)))
		{
			case XACT_RUNS:
				return ROW_LIVES;
			case XACT_ABORTED:
				return ROW_DEAD;
			case XACT_COMMITTED:
				break;
		}
	if ((row->t_infomask & HEAP_XMAX_INVALID) != 0 || HEAP_XMAX_IS_LOCKED_ONLY(row->t_infomask))
		return ROW_LIVES;
	return fate_of_deleted(row, horizon);
}

/* Of one that is there, and that a transaction has deleted or replaced, or wanted to. */
static RowFate
fate_of_deleted(HeapTupleHeader row, TransactionId horizon)
{
	TransactionId deleter = HeapTupleHeaderGetUpdateXid(row);
	bool		known = (row->t_infomask & (HEAP_XMAX_COMMITTED | HEAP_XMAX_IS_MULTI)) == HEAP_XMAX_COMMITTED;

	if (!TransactionIdIsValid(deleter) || (!known && outcome_of(deleter) != XACT_COMMITTED))
		return ROW_LIVES;
	return TransactionIdPrecedes(deleter, horizon) ? ROW_DEAD : ROW_HELD;
}

/* Whether it runs is asked first: between the two it may end. */
static Outcome
outcome_of(TransactionId xid)
{
	if (TransactionIdIsCurrentTransactionId(xid) || TransactionIdIsInProgress(xid))
		return XACT_RUNS;
	return TransactionIdDidCommit(xid) ? XACT_COMMITTED : XACT_ABORTED;
}
