/*
 * backfill_sample.c
 *		Look at some blocks of a table, to say what a backfill will do to all.
 *
 * The table is cut into as many equal parts as blocks are looked at, and one
 * block of each is drawn at random, so that the cost does not depend on its
 * size. The parts are gone through in an order that is as good when it is cut
 * short. The rows to be changed are counted by the statement that also verifies
 * a backfill, with the rights of the table's owner, in a transaction that
 * cannot write; their new values are computed there too, for their sizes. The
 * page then shows how long rows are and how many new versions it has room for.
 * A block with rows that fail is counted in halves around them, so that they
 * are known by their number and everything else from the other rows.
 *
 * A small table is looked at in full, so that its figures are exact.
 */
#include "change/change.h"

#include <math.h>

#include "access/heapam.h"
#include "access/heaptoast.h"
#include "access/relation.h"
#include "access/xact.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "common/pg_prng.h"
#include "storage/bufmgr.h"
#include "storage/bufpage.h"
#include "utils/memutils.h"
#include "utils/rel.h"
#include "utils/snapmgr.h"
#include "utils/timestamp.h"

#define SAMPLE_BLOCKS 300		/* of all tables together */
#define SAMPLE_TIME 5000		/* ms, after which no other block is looked at */
#define STRIDE 7919				/* a prime, so that any number of parts is gone through, from all over */
#define TOAST_POINTER 18		/* bytes in the row for a value that is kept outside */

/* One table that is looked at. */
typedef struct Look
{
	const BackfillChange *change;
	BackfillSample *sample;
	Relation	rel;
	BackfillBatcher *batcher;	/* a sampler */
	BackfillCounts counts;		/* of the block in work */
	int			n_sizes;		/* in those */
	double		failing;		/* rows of it that fail */
	int			blocks;			/* to be looked at */
	bool		sizes;			/* compute the new values */
	TimestampTz end;			/* look no longer */
} Look;

/* What a page shows. */
typedef struct BlockFacts
{
	double		rows;			/* that a snapshot sees */
	double		bytes;			/* of those */
	double		room;			/* bytes for new rows */
	double		unused;			/* line pointers without a row */
	double		image;			/* bytes of a full-page image */
	bool		cold;			/* not written since the last checkpoint */
} BlockFacts;

static int	share_of(const BackfillLeaf *leaf, uint64 all_blocks);
static void sample_table(Look *look);
static void look_at_table(void *arg);
static void look_at_block(Look *look, BlockNumber block);
static BackfillOutcome count_rows(Look *look, BlockNumber block, int from, int to);
static BackfillOutcome count_piece(Look *look, BlockNumber block, int from, int to);
static void note_failing(Look *look);
static void read_page(Relation rel, BlockNumber block, BlockFacts *facts);
static void add_block(Look *look, const BlockFacts *facts);
static double places(const BlockFacts *facts, double room, double width);
static double new_width(Look *look, double old_width);

/* Look at the tables of a run: a list of BackfillSample, in their order. */
List *
dbops_backfill_sample(const BackfillRun *run)
{
	uint64		all_blocks = dbops_backfill_blocks(run->leaves);
	TimestampTz end = TimestampTzPlusMilliseconds(GetCurrentTimestamp(), SAMPLE_TIME);
	List	   *samples = NIL;
	ListCell   *cell;

	foreach(cell, run->leaves)
	{
		BackfillSample *sample = palloc0(sizeof(BackfillSample));
		Look		look = {.change = run->change,.sample = sample,.end = end};

		sample->leaf = lfirst(cell);
		look.blocks = share_of(sample->leaf, all_blocks);
		sample_table(&look);
		samples = lappend(samples, sample);
	}
	return samples;
}

/* A table gets its share of the blocks, and at least one. */
static int
share_of(const BackfillLeaf *leaf, uint64 all_blocks)
{
	double		share = ceil((double) SAMPLE_BLOCKS * leaf->blocks / Max(all_blocks, 1));

	return (int) Min(share, leaf->blocks);
}

/* Look with the new values, or without where those cannot be computed. */
static void
sample_table(Look *look)
{
	BackfillSample *sample = look->sample;
	ErrorData  *error = NULL;

	look->sizes = true;
	if (look->blocks == 0 || dbops_attempt(look_at_table, look, &error))
		return;
	*sample = (BackfillSample) {.leaf = sample->leaf};
	look->sizes = false;
	if (!dbops_attempt(look_at_table, look, &error))
	{
		*sample = (BackfillSample) {.leaf = sample->leaf};
		sample->error = error->message;
	}
}

static void
look_at_table(void *arg)
{
	Look	   *look = arg;
	const BackfillLeaf *leaf = look->sample->leaf;
	double		part = (double) leaf->blocks / look->blocks;

	XactReadOnly = true;		/* until the attempt's subtransaction ends */
	look->rel = relation_open(leaf->relid, AccessShareLock);
	look->batcher = dbops_backfill_sampler(look->change, leaf, look->sizes);
	look->n_sizes = 2 * list_length(look->change->columns);
	look->counts.sizes = palloc0(sizeof(int64) * (look->n_sizes + 1));
	look->sample->sizes_known = look->sizes;
	look->sample->reserve = RelationGetTargetPageFreeSpace(look->rel, HEAP_DEFAULT_FILLFACTOR);
	for (int i = 0; i < look->blocks && GetCurrentTimestamp() < look->end; i++)
	{
		int			stratum = (int) ((int64) i * STRIDE % look->blocks);
		double		drawn = floor((stratum + pg_prng_double(&pg_global_prng_state)) * part);

		CHECK_FOR_INTERRUPTS();
		look_at_block(look, Min((BlockNumber) drawn, leaf->blocks - 1));
	}
	dbops_backfill_batcher_free(look->batcher);
	relation_close(look->rel, NoLock);
}

/* Counting prunes the page as any reader does, so its room is looked at afterwards. */
static void
look_at_block(Look *look, BlockNumber block)
{
	BlockFacts	facts = {0};

	look->counts = (BackfillCounts) {.sizes = look->counts.sizes};
	memset(look->counts.sizes, 0, sizeof(int64) * look->n_sizes);
	look->failing = 0;
	if (count_rows(look, block, 0, BLOCK_PLACES) != BATCH_DONE)
		return;
	if (look->rel->rd_rel->relam == HEAP_TABLE_AM_OID)
		read_page(look->rel, block, &facts);
	add_block(look, &facts);
}

/* Count the rows at some places of a block; where one fails, by halves. */
static BackfillOutcome
count_rows(Look *look, BlockNumber block, int from, int to)
{
	BackfillOutcome outcome = count_piece(look, block, from, to);
	int			middle = (from + to) / 2;

	if (outcome != BATCH_FAILED)
		return outcome;
	if (to - from == 1)
	{
		note_failing(look);
		return BATCH_DONE;
	}
	if (GetCurrentTimestamp() >= look->end)
		return BATCH_TOO_LONG;
	outcome = count_rows(look, block, from, middle);
	return (outcome == BATCH_DONE) ? count_rows(look, block, middle, to) : outcome;
}

/* Add what is counted at these places, and the time that it takes. */
static BackfillOutcome
count_piece(Look *look, BlockNumber block, int from, int to)
{
	BackfillCounts counts = {.sizes = palloc0(sizeof(int64) * (look->n_sizes + 1))};
	ItemPointerData bounds[2];
	instr_time	begin;
	instr_time	took;
	BackfillOutcome outcome;

	ItemPointerSet(&bounds[0], block, from);
	ItemPointerSet(&bounds[1], block, to);
	INSTR_TIME_SET_CURRENT(begin);
	outcome = dbops_backfill_count_tids(look->batcher, bounds, &counts);
	INSTR_TIME_SET_CURRENT(took);
	INSTR_TIME_SUBTRACT(took, begin);
	if (outcome == BATCH_DONE)
	{
		look->sample->seconds += INSTR_TIME_GET_DOUBLE(took);
		look->counts.pending += counts.pending;
		look->counts.matching += counts.matching;
		for (int i = 0; i < look->n_sizes; i++)
			look->counts.sizes[i] += counts.sizes[i];
	}
	pfree(counts.sizes);
	return outcome;
}

/* One row fails. What it says is kept once, where the sample is. */
static void
note_failing(Look *look)
{
	BackfillSample *sample = look->sample;

	look->failing++;
	if (sample->failure == NULL)
		sample->failure = MemoryContextStrdup(GetMemoryChunkContext(sample),
											  dbops_backfill_failure(look->batcher)->message);
}

static void
read_page(Relation rel, BlockNumber block, BlockFacts *facts)
{
	Buffer		buffer = ReadBuffer(rel, block);
	Page		page;

	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	for (OffsetNumber i = FirstOffsetNumber; i <= PageGetMaxOffsetNumber(page); i++)
	{
		ItemId		item = PageGetItemId(page, i);
		HeapTupleData row = {.t_tableOid = RelationGetRelid(rel)};

		facts->unused += !ItemIdIsUsed(item);
		if (!ItemIdIsNormal(item))
			continue;
		row.t_data = (HeapTupleHeader) PageGetItem(page, item);
		row.t_len = ItemIdGetLength(item);
		ItemPointerSet(&row.t_self, block, i);
		if (!HeapTupleSatisfiesVisibility(&row, GetActiveSnapshot(), buffer))
			continue;
		facts->rows++;
		facts->bytes += row.t_len;
	}
	facts->room = PageIsNew(page) ? BLCKSZ : PageGetHeapFreeSpace(page);
	facts->image = PageIsNew(page) ? 0 : BLCKSZ - PageGetExactFreeSpace(page);
	facts->cold = PageGetLSN(page) <= GetRedoRecPtr();
	UnlockReleaseBuffer(buffer);
}

/* Add what a block has shown to what the table's others have. */
static void
add_block(Look *look, const BlockFacts *facts)
{
	BackfillSample *sample = look->sample;
	double		pending = look->counts.pending;
	double		old_width = (facts->rows > 0) ? facts->bytes / facts->rows : 0;
	double		width = new_width(look, old_width);
	double		fit = places(facts, facts->room, width);
	double		guarded = places(facts, Min(facts->room, sample->reserve), width);

	sample->looked++;
	sample->rows += facts->rows;
	/* Where a statement fails without a row it does so at places that have none. */
	sample->failing += Min(look->failing, facts->rows);
	sample->room += facts->room;
	if (look->change->null_column != NULL)
		sample->unfilled += look->counts.matching - pending;
	if (facts->rows == 0)
		sample->empty++;
	else
		sample->open += fit - guarded;
	if (pending == 0)
		return;

	sample->pending += pending;
	sample->pending_squares += pending * pending;
	sample->old_bytes += old_width * pending;
	sample->new_bytes += width * pending;
	sample->touched++;
	sample->cold += facts->cold;
	sample->fit += Min(pending, fit);
	sample->guarded += Min(pending, guarded);

	/* The first row that stays is written in full beside the image. */
	sample->image += facts->image + (fit > 0 ? width : 0);
}

/* Rows of a width that so many bytes have room for; pointers that are there already cost none. */
static double
places(const BlockFacts *facts, double room, double width)
{
	double		bytes = room + sizeof(ItemIdData);
	double		slot = dbops_backfill_slot(Max(width, 1));
	double		reusing = floor(bytes / (slot - sizeof(ItemIdData)));

	if (reusing <= facts->unused)
		return reusing;
	return floor((bytes + facts->unused * sizeof(ItemIdData)) / slot);
}

/* Bytes that a row of a page takes, with its pointer. */
double
dbops_backfill_slot(double width)
{
	return MAXALIGN((int) ceil(width)) + sizeof(ItemIdData);
}

/* How long the new rows of the block are, on average; large values go outside. */
static double
new_width(Look *look, double old_width)
{
	double		pending = look->counts.pending;
	double		width = old_width;

	if (!look->sizes || pending == 0)
		return old_width;
	for (int i = 0; i < list_length(look->change->columns); i++)
	{
		int64		before = look->counts.sizes[2 * i];
		int64		after = look->counts.sizes[2 * i + 1];

		if (after / pending > TOAST_TUPLE_TARGET)
		{
			look->sample->outside += after;
			after = TOAST_POINTER * pending;
			before = Min(before, after);
		}
		look->sample->assigned += after;
		width += (after - before) / pending;
	}
	return Max(width, SizeofHeapTupleHeader);
}
