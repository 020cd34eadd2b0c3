/*
 * backfill_forecast.c
 *		From a sample to what a backfill will write, and how long it will take.
 *
 * A new version of a row stays on its page where the page has room for it, and
 * otherwise costs a place elsewhere and an entry in every index. It is HOT, and
 * costs no index anything, where it stays and no assigned column is in an index
 * (also in an expression or a predicate; from 16 on BRIN does not count).
 *
 * WAL, in bytes, from heap_update(), btree's insertion and XLogRecordAssemble(),
 * is the sum of
 *	- for a row that stays: a record (RECORD_SAME_PAGE) with what differs between
 *	  the two versions; the whole new row at wal_level = logical;
 *	- for a row that moves: the lock of the old version (RECORD_LOCK), and a
 *	  record (RECORD_OTHER_PAGE) with the whole new row;
 *	- for a row that is not HOT: a record (RECORD_INDEX) with the entry, for each
 *	  index, and half of every page that the index grows by, for page splits;
 *	- for a value that is kept outside: its chunks, each with an index entry;
 *	- a full-page image of each page at its first change since a checkpoint.
 *	  Checkpoints come as often as max_wal_size and checkpoint_timeout have them;
 *	  pages written since the last one need none until the next. Heap pages are
 *	  changed once, in order; those of indexes once between two checkpoints;
 *	- for the pruning of each page whose rows died, when it is next read: by the
 *	  verification or by a vacuum, which also reads the indexes.
 */
#include "change/change.h"

#include <math.h>

#include "access/genam.h"
#include "access/htup_details.h"
#include "access/relation.h"
#include "access/sysattr.h"
#include "access/xlog.h"
#include "catalog/catalog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_statistic.h"
#include "nodes/value.h"
#include "optimizer/optimizer.h"
#include "postmaster/bgwriter.h"
#include "rewrite/rewriteHandler.h"
#include "storage/bufmgr.h"
#include "utils/lsyscache.h"
#include "utils/rel.h"
#include "utils/syscache.h"

/* Headers of records with the references to their blocks, in bytes. */
#define RECORD_SAME_PAGE 72
#define RECORD_OTHER_PAGE 80
#define RECORD_LOCK 56
#define RECORD_INDEX 48
#define RECORD_PRUNE 56
#define RECORD_CHUNK 64
#define CHUNK 1996				/* bytes of a value that is kept outside */
#define OUTSIDE_PAGES 1.25		/* bytes of pages for each byte of such a value */

#define ROUNDS 30				/* in which the forecast of WAL comes close to what it depends on itself */
#define INDEX_FILL 0.9			/* of a page of an index that is mostly built at once */
#define LEAST_ENTRY 16			/* bytes of an index entry */

/* One table on its way into the forecast; figures of all of it. */
typedef struct Table
{
	const BackfillSample *sample;
	Relation	rel;
	double		scale;			/* blocks of the table for each that was looked at */
	double		rows;
	double		pending;
	double		places;			/* for rows of any page */
	double		moved;			/* rows that leave their page */
	double		not_hot;
	double		width;			/* bytes of a new version */
	bool		blocked;		/* an assigned column is in an index */
	bool		logged;			/* WAL is written */
} Table;

static void add_table(BackfillForecast *forecast, const BackfillRun *run, const BackfillSample *sample);
static void add_rows(BackfillForecast *forecast, const BackfillRun *run, Table *table);
static double places(const Table *table);
static double on_a_page(const Table *table);
static double stay(const Table *table);
static bool is_blocked(BackfillForecast *forecast, const BackfillRun *run, Relation rel);
static Bitmapset *assigned_columns(const BackfillRun *run, Relation rel);
static void add_generated(Relation rel, Bitmapset **columns);
static double growth(const BackfillRun *run, const Table *table);
static double vacuums(const BackfillRun *run, const Table *table);
static double between_vacuums(const BackfillRun *run, const Table *table);
static void add_indexes(BackfillForecast *forecast, const Table *table);
static void add_index(BackfillForecast *forecast, const Table *table, Oid relid);
static double entry_width(Relation table, Relation index);
static void add_index_images(BackfillForecast *forecast, const Table *table, Relation index, double entries);
static bool follows_table(Relation table, Relation index);
static void add_records(BackfillForecast *forecast, const BackfillRun *run, const Table *table);
static void add_images(BackfillForecast *forecast, const BackfillRun *run);
static double images(const BackfillForecast *forecast, const BackfillRun *run, double wal, double remaining);
static double scattered_images(const BackfillForecast *forecast, double checkpoints);
static double checkpoint_distance(void);

/* Forecast what a run will do, from the samples of its tables. */
void
dbops_backfill_forecast(const BackfillRun *run, List *samples, BackfillForecast *forecast)
{
	ListCell   *cell;

	*forecast = (BackfillForecast) {.sizes_known = true,.complete = true};
	foreach(cell, samples)
	{
		const BackfillSample *sample = lfirst(cell);

		if (sample->looked > 0)
			add_table(forecast, run, sample);
		else if (sample->leaf->blocks > 0)
			forecast->complete = false;
	}
	add_images(forecast, run);
}

static void
add_table(BackfillForecast *forecast, const BackfillRun *run, const BackfillSample *sample)
{
	Table		table = {.sample = sample};

	table.rel = relation_open(sample->leaf->relid, AccessShareLock);
	table.scale = sample->leaf->blocks / sample->looked;
	table.rows = sample->rows * table.scale;
	table.pending = sample->pending * table.scale;
	table.width = (sample->pending > 0) ? sample->new_bytes / sample->pending : 0;
	table.places = places(&table);
	table.moved = table.pending - stay(&table);
	table.logged = RelationNeedsWAL(table.rel);
	table.blocked = is_blocked(forecast, run, table.rel);
	table.not_hot = table.blocked ? table.pending : table.moved;

	add_rows(forecast, run, &table);
	add_indexes(forecast, &table);
	if (table.logged)
		add_records(forecast, run, &table);
	relation_close(table.rel, NoLock);
}

/* Rows that the pages have room for, wherever they come from. */
static double
places(const Table *table)
{
	return (table->sample->open + table->sample->empty * on_a_page(table)) * table->scale;
}

static double
on_a_page(const Table *table)
{
	double		room = BLCKSZ - SizeOfPageHeaderData - table->sample->reserve;

	return Max(floor(room / dbops_backfill_slot(table->width)), 1);
}

/*
 * Rows that stay on their page. Those that find no room there take it from
 * pages that the walk has yet to come to, whose own rows then do not find it,
 * and so on. With d rows for each place, and u the share of places ahead that
 * are still free at a share x of the walk, u' = (u - d) / (1 - x), which comes
 * to the share below; it is far less than 1 / d.
 */
static double
stay(const Table *table)
{
	const BackfillSample *sample = table->sample;
	double		guarded = sample->guarded * table->scale;
	double		competing = table->pending - guarded;
	double		d = competing / Max(table->places, 1);
	double		fit = sample->fit * table->scale;

	if (d <= 1)
		return fit;
	return Min(fit, guarded + competing * (1 + (d - 1) * log((d - 1) / d)) / d);
}

/* What becomes of the rows. The variance is that of a simple random sample of blocks. */
static void
add_rows(BackfillForecast *forecast, const BackfillRun *run, Table *table)
{
	const BackfillSample *sample = table->sample;
	const BackfillLeaf *leaf = sample->leaf;
	double		n = sample->looked;
	double		touched = sample->touched * table->scale;

	forecast->looked += n;
	forecast->rows += table->rows;
	forecast->pending += table->pending;
	if (n > 1 && n < leaf->blocks)
		forecast->variance += (double) leaf->blocks * (leaf->blocks - n) / n *
			Max(sample->pending_squares - sample->pending * sample->pending / n, 0) / (n - 1);
	forecast->unfilled += sample->unfilled * table->scale;
	forecast->failing += sample->failing * table->scale;
	forecast->old_bytes += sample->old_bytes * table->scale;
	forecast->new_bytes += sample->new_bytes * table->scale;
	forecast->room += sample->room * table->scale;
	forecast->touched += touched;
	forecast->stay += table->pending - table->moved;
	forecast->hot += table->pending - table->not_hot;
	forecast->outside += sample->outside * table->scale;
	forecast->growth += growth(run, table) + OUTSIDE_PAGES * sample->outside * table->scale;
	forecast->vacuums += vacuums(run, table);
	forecast->batches += ceil(Max(table->pending / leaf->batch_rows, touched / leaf->batch_blocks));
	forecast->compute += sample->seconds * table->scale;
	forecast->sizes_known &= sample->sizes_known;
}

/*
 * Is an assigned column in an index, so that no update is HOT? Names those
 * that are. A column that is generated from an assigned one counts as assigned.
 */
static bool
is_blocked(BackfillForecast *forecast, const BackfillRun *run, Relation rel)
{
	Bitmapset  *indexed = RelationGetIndexAttrBitmap(rel, INDEX_ATTR_BITMAP_HOT_BLOCKING);
	Bitmapset  *both = bms_int_members(assigned_columns(run, rel), indexed);
	int			member = -1;

	while ((member = bms_next_member(both, member)) >= 0)
	{
		AttrNumber	number = member + FirstLowInvalidHeapAttributeNumber;
		char	   *name = get_attname(RelationGetRelid(rel), number, false);

		forecast->blocking = list_append_unique(forecast->blocking, makeString(name));
	}
	return !bms_is_empty(both);
}

static Bitmapset *
assigned_columns(const BackfillRun *run, Relation rel)
{
	Bitmapset  *columns = NULL;
	ListCell   *cell;

	foreach(cell, run->change->columns)
	{
		const BackfillColumn *column = lfirst(cell);
		AttrNumber	number = get_attnum(RelationGetRelid(rel), column->name);

		columns = bms_add_member(columns, number - FirstLowInvalidHeapAttributeNumber);
	}
	add_generated(rel, &columns);
	return columns;
}

/* Generated columns do not depend on each other. */
static void
add_generated(Relation rel, Bitmapset **columns)
{
	TupleDesc	desc = RelationGetDescr(rel);
	Bitmapset  *generated = NULL;

	for (int i = 0; i < desc->natts; i++)
	{
		Bitmapset  *read = NULL;

		if (TupleDescAttr(desc, i)->attisdropped ||
			TupleDescAttr(desc, i)->attgenerated != ATTRIBUTE_GENERATED_STORED)
			continue;
		pull_varattnos(build_column_default(rel, i + 1), 1, &read);
		if (bms_overlap(read, *columns))
			generated = bms_add_member(generated, i + 1 - FirstLowInvalidHeapAttributeNumber);
	}
	*columns = bms_join(*columns, generated);
}

/*
 * Bytes that a table grows by. Rows that move fill the room of other pages
 * first. Where vacuums make room on the way, only the rows until the first need
 * new pages, and what later versions are longer than those they replace.
 */
static double
growth(const BackfillRun *run, const Table *table)
{
	const BackfillSample *sample = table->sample;
	double		slot = dbops_backfill_slot(table->width);
	double		old_slot = dbops_backfill_slot(sample->old_bytes / Max(sample->pending, 1));
	double		homeless = Max(table->pending - sample->guarded * table->scale - table->places, 0);
	double		bytes = ceil(homeless / on_a_page(table)) * BLCKSZ;
	double		share = 1;

	if (vacuums(run, table) > 0)
		share = Min(run->request.workers * between_vacuums(run, table) / (sample->touched * table->scale), 1);
	return share * bytes + (1 - share) * bytes * Max(1 - old_slot / slot, 0);
}

/* How often a table is vacuumed on the way. */
static double
vacuums(const BackfillRun *run, const Table *table)
{
	if (run->request.vacuum_every == 0)
		return 0;
	return floor(table->sample->touched * table->scale / between_vacuums(run, table));
}

/* Blocks that each process changes until it vacuums, in whole batches; see dbops_backfill_ask_for_vacuum. */
static double
between_vacuums(const BackfillRun *run, const Table *table)
{
	const BackfillLeaf *leaf = table->sample->leaf;
	double		share = Max(run->request.vacuum_every * leaf->blocks, BACKFILL_VACUUM_BLOCKS);

	return ceil(share / leaf->batch_blocks) * leaf->batch_blocks;
}

/* ---- indexes ---- */

static void
add_indexes(BackfillForecast *forecast, const Table *table)
{
	ListCell   *cell;

	foreach(cell, RelationGetIndexList(table->rel))
		add_index(forecast, table, lfirst_oid(cell));
}

/*
 * Each row that is not HOT gets one entry, in a partial index only some do. An
 * index grows, unless deleted entries have left room for all: where they have
 * not, its pages are split as if none had been there.
 */
static void
add_index(BackfillForecast *forecast, const Table *table, Oid relid)
{
	Relation	index = index_open(relid, AccessShareLock);
	double		bytes = (double) RelationGetNumberOfBlocks(index) * BLCKSZ;
	double		indexed = index->rd_rel->reltuples > 0 ? Min(index->rd_rel->reltuples, table->rows) : table->rows;
	double		share = table->not_hot / Max(table->rows, 1);
	double		entry = entry_width(table->rel, index);
	double		vacant = Max(bytes - indexed * entry / INDEX_FILL, 0);
	double		needed = indexed * share * entry / INDEX_FILL;
	double		grown = (needed <= vacant) ? 0 : Min(bytes * share, needed);

	forecast->indexes++;
	forecast->index_bytes += bytes;
	if (index->rd_rel->relam != BRIN_AM_OID && share > 0)
	{
		forecast->entries += indexed * share;
		forecast->index_growth += grown;
		if (table->logged)
		{
			forecast->records += indexed * share * (RECORD_INDEX + entry) + grown / 2;
			add_index_images(forecast, table, index, indexed * share);
		}
	}
	index_close(index, NoLock);
}

/* Bytes of an entry, by the statistics of its columns. */
static double
entry_width(Relation table, Relation index)
{
	int			width = 0;

	for (int i = 0; i < index->rd_index->indnatts; i++)
	{
		Form_pg_attribute column = TupleDescAttr(RelationGetDescr(index), i);
		AttrNumber	number = index->rd_index->indkey.values[i];
		int			known = (number > 0) ? get_attavgwidth(RelationGetRelid(table), number) :
			get_attavgwidth(RelationGetRelid(index), i + 1);

		width += (known > 0) ? known : get_typavgwidth(column->atttypid, column->atttypmod);
	}
	return MAXALIGN(sizeof(IndexTupleData) + width) + sizeof(ItemIdData);
}

/*
 * Pages that get entries: in the table's order, the same share of them as of
 * the table's; in another order, each as likely as any other, again and again.
 */
static void
add_index_images(BackfillForecast *forecast, const Table *table, Relation index, double entries)
{
	double		pages = RelationGetNumberOfBlocks(index);

	if (follows_table(table->rel, index))
		forecast->ordered_images += pages * BLCKSZ * INDEX_FILL *
			table->sample->touched / table->sample->looked;
	else
	{
		forecast->scattered_pages += pages;
		forecast->scattered_entries += entries;
	}
}

/* Are the entries in the order of the table's rows, as statistics say? */
static bool
follows_table(Relation table, Relation index)
{
	AttrNumber	column = index->rd_index->indkey.values[0];
	HeapTuple	statistics;
	AttStatsSlot slot;
	bool		follows = false;

	if (column == 0)
		return false;
	statistics = SearchSysCache3(STATRELATTINH, ObjectIdGetDatum(RelationGetRelid(table)),
								 Int16GetDatum(column), BoolGetDatum(false));
	if (!HeapTupleIsValid(statistics))
		return false;
	if (get_attstatsslot(&slot, statistics, STATISTIC_KIND_CORRELATION, InvalidOid, ATTSTATSSLOT_NUMBERS))
	{
		follows = slot.nnumbers > 0 && fabs(slot.numbers[0]) > 0.9;
		free_attstatsslot(&slot);
	}
	ReleaseSysCache(statistics);
	return follows;
}

/* ---- WAL ---- */

/* Records of the heap; those of indexes are added with them. */
static void
add_records(BackfillForecast *forecast, const BackfillRun *run, const Table *table)
{
	const BackfillSample *sample = table->sample;
	double		row = Max(table->width - SizeofHeapTupleHeader, 0);
	double		stay = table->pending - table->moved;
	double		assigned = sample->pending > 0 ? sample->assigned / sample->pending : 0;
	double		outside = sample->outside * table->scale;
	double		touched = sample->touched * table->scale;

	if (RelationIsLogicallyLogged(table->rel) || !sample->sizes_known)
		assigned = row;
	forecast->records += stay * (RECORD_SAME_PAGE + Min(assigned, row));
	forecast->records += table->moved * (RECORD_LOCK + RECORD_OTHER_PAGE + row);
	forecast->records += outside + outside / CHUNK * (RECORD_CHUNK + RECORD_INDEX + LEAST_ENTRY);
	if (run->request.verify || vacuums(run, table) > 0)
		forecast->records += touched * RECORD_PRUNE + table->pending * 2 * sizeof(OffsetNumber);
	if (vacuums(run, table) > 0)
		forecast->records += touched * 2 * RECORD_PRUNE + table->moved * sizeof(OffsetNumber);
	forecast->heap_images += touched * sample->image / Max(sample->touched, 1);
	forecast->cold += sample->cold * table->scale;
}

/* Images depend on how often checkpoints come, and those on the WAL with the images. */
static void
add_images(BackfillForecast *forecast, const BackfillRun *run)
{
	double		since = GetXLogInsertRecPtr() - GetRedoRecPtr();
	double		remaining = Max(checkpoint_distance() - since, 0);

	if (!fullPageWrites)
		return;
	for (int i = 0; i < ROUNDS; i++)
		forecast->images = images(forecast, run, forecast->records + forecast->images, remaining);
}

static double
images(const BackfillForecast *forecast, const BackfillRun *run, double wal, double remaining)
{
	double		cold = forecast->cold / Max(forecast->touched, 1);
	double		before = Min(remaining / Max(wal, 1), 1);
	double		once = before * cold + 1 - before;
	double		later = (wal > remaining) ? ceil((wal - remaining) / checkpoint_distance()) : 0;
	double		bytes = (forecast->heap_images + forecast->ordered_images) * once +
		scattered_images(forecast, cold + later);

	/* The verification prunes what was written before the last checkpoint. */
	if (run->request.verify && wal > remaining)
		bytes += forecast->heap_images * (1 - Min(checkpoint_distance() / wal, 1));
	return (wal_compression != WAL_COMPRESSION_NONE) ? bytes / 2 : bytes;
}

/* Between two checkpoints, so many entries meet pages at random; a page has one image. */
static double
scattered_images(const BackfillForecast *forecast, double checkpoints)
{
	double		pages = forecast->scattered_pages * checkpoints;

	if (pages == 0)
		return 0;
	return pages * (1 - exp(-forecast->scattered_entries / pages)) * BLCKSZ * INDEX_FILL;
}

/* Bytes of WAL between two checkpoints, as CalculateCheckpointSegments() has them. */
static double
checkpoint_distance(void)
{
	return Max(max_wal_size_mb * 1024.0 * 1024 / (1 + CheckPointCompletionTarget), wal_segment_size);
}
