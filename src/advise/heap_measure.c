/*
 * heap_measure.c
 *		How much larger a table is than it need be.
 *
 * Three things are told apart. VACUUM makes the space of dead rows free for new
 * ones, in the file; it gives back to the disk only pages at the file's end that
 * have no row left, if they are many; all other free space is won by a rewrite
 * alone. What some transaction may still see is won by nothing until that ends.
 *
 * A sample of pages tells how full they are, whatever statistics say and however
 * old those are. Dead rows are on pages only that the visibility map does not
 * have; how many these are is known exactly, which sharpens what few of them tell.
 */
#include "advise/table_bloat.h"

#include <math.h>

#include "access/heapam.h"
#include "access/visibilitymap.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define LARGEST_TAIL	1024	/* pages at the end that are looked at one by one */
#define TRUNCATE_PAGES	1000	/* VACUUM cuts off no fewer, */
#define TRUNCATE_SHARE	16		/* unless they are this part of the table */

static List *partitions_of(Oid table, bool toast);
static Bloat *add_partition(const BloatSubject *partition, int blocks, Bloat *sum);
static Oid	relation_of(Oid table, bool toast);
static void measure_alone(Oid table, bool toast, int blocks, TableBloat *bloat);
static const char *reason_not_to_read(Relation relation);
static void measure_relation(Relation relation, int blocks, Bloat *base);
static void note_dropped_columns(Relation relation, TableBloat *bloat);
static void take_figures(const PageSample *sample, Bloat *base);
static void sharpen_dead(TableBloat *bloat);
static double rebuilt_pages(const TableBloat *bloat, double live_bytes);
static void measure_tail(Relation relation, HeapLook *look, TableBloat *bloat);
static int	count_tail(Relation relation, HeapLook *look, int pages, TableBloat *bloat);
static void judge(TableBloat *bloat);

static const BloatReader reader = {
	.gone = "there is no such table",
	.why_not = reason_not_to_read,
	.read = measure_relation
};

/* Measure a table, or its TOAST table; what is gone is skipped with that reason. */
void
dbops_heap_measure(Oid table, bool toast, int blocks, TableBloat *bloat)
{
	if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
	{
		measure_alone(table, toast, blocks, bloat);
		return;
	}
	memset(bloat, 0, sizeof(TableBloat));
	bloat->base.relation = table;
	bloat->toast = toast;
	dbops_bloat_sum(&bloat->base, partitions_of(table, toast), blocks, add_partition);
	if (bloat->base.judged)
		judge(bloat);
}

/* The leaves that have such a file. */
static List *
partitions_of(Oid table, bool toast)
{
	List	   *partitions = NIL;
	ListCell   *cell;

	foreach(cell, find_all_inheritors(table, NoLock, NULL))
	{
		Oid			relation = relation_of(lfirst_oid(cell), toast);
		BloatSubject *partition;

		if (!OidIsValid(relation) || !RELKIND_HAS_TABLE_AM(get_rel_relkind(relation)))
			continue;
		partition = palloc(sizeof(BloatSubject));
		partition->relation = lfirst_oid(cell);
		partition->toast = toast;
		partition->bytes = dbops_relation_bytes(relation);
		partitions = lappend(partitions, partition);
	}
	return partitions;
}

static Bloat *
add_partition(const BloatSubject *partition, int blocks, Bloat *sum)
{
	TableBloat *all = (TableBloat *) sum;
	TableBloat *bloat = palloc(sizeof(TableBloat));

	measure_alone(partition->relation, partition->toast, blocks, bloat);
	if (bloat->base.skipped == NULL)
	{
		all->visible_pages += bloat->visible_pages;
		for (int i = 0; i < N_HEAP_FIGURES; i++)
			all->figures[i] += bloat->figures[i];
		all->tail_pages += bloat->tail_pages;
	}
	return &bloat->base;
}

/* The table itself, or its TOAST table; InvalidOid: it has none. */
static Oid
relation_of(Oid table, bool toast)
{
	HeapTuple	row;
	Oid			relation;

	if (!toast)
		return table;
	row = SearchSysCache1(RELOID, ObjectIdGetDatum(table));
	if (!HeapTupleIsValid(row))
		return InvalidOid;
	relation = ((Form_pg_class) GETSTRUCT(row))->reltoastrelid;
	ReleaseSysCache(row);
	return relation;
}

/* Whether a table, or a partition of it, has a TOAST table. */
bool
dbops_heap_has_toast(Oid table)
{
	ListCell   *cell;

	if (get_rel_relkind(table) != RELKIND_PARTITIONED_TABLE)
		return OidIsValid(relation_of(table, true));
	foreach(cell, find_all_inheritors(table, NoLock, NULL))
		if (OidIsValid(relation_of(lfirst_oid(cell), true)))
			return true;
	return false;
}

/* Measure what has a file. */
static void
measure_alone(Oid table, bool toast, int blocks, TableBloat *bloat)
{
	memset(bloat, 0, sizeof(TableBloat));
	bloat->base.relation = table;
	bloat->toast = toast;
	dbops_bloat_measure(relation_of(table, toast), InvalidOid, blocks, &reader, &bloat->base);
}

static const char *
reason_not_to_read(Relation relation)
{
	return (relation->rd_rel->relam == HEAP_TABLE_AM_OID) ? NULL : "its access method is not heap";
}

static void
measure_relation(Relation relation, int blocks, Bloat *base)
{
	TableBloat *bloat = (TableBloat *) base;
	HeapLook	look = {.horizon = GetOldestNonRemovableTransactionId(relation)};
	BlockNumber visible;

	base->pages = RelationGetNumberOfBlocks(relation);
	base->bytes = base->pages * BLCKSZ;
	base->fillfactor = RelationGetFillFactor(relation, HEAP_DEFAULT_FILLFACTOR);
	look.kept_free = RelationGetTargetPageFreeSpace(relation, HEAP_DEFAULT_FILLFACTOR);
	visibilitymap_count(relation, &visible, NULL);
	bloat->visible_pages = Min(visible, base->pages);
	look.sample = dbops_page_sample_begin(relation, 0, base->pages, blocks, N_HEAP_FIGURES, dbops_heap_look, &look);
	dbops_bloat_sample(base, look.sample, take_figures);
	measure_tail(relation, &look, bloat);
	note_dropped_columns(relation, bloat);
	judge(bloat);
}

/* What they take stays with each row until it is written anew, and cannot be told from the others by its length. */
static void
note_dropped_columns(Relation relation, TableBloat *bloat)
{
	TupleDesc	columns = RelationGetDescr(relation);
	int			n = 0;

	for (int i = 0; i < columns->natts; i++)
		n += TupleDescAttr(columns, i)->attisdropped ? 1 : 0;
	if (n > 0)
		dbops_bloat_note(&bloat->base, psprintf("%d of its columns %s dropped: what a rewrite gives back of their values, from TOAST too, is not measured",
												n, n == 1 ? "was" : "were"));
}

static void
take_figures(const PageSample *sample, Bloat *base)
{
	TableBloat *bloat = (TableBloat *) base;
	double		error = dbops_page_sample_error(sample, HEAP_LIVE_BYTES);
	double		data;

	for (int i = 0; i < N_HEAP_FIGURES; i++)
		bloat->figures[i] = dbops_page_sample_total(sample, i);
	if (sample->strata > 0)
		sharpen_dead(bloat);
	data = bloat->figures[HEAP_LIVE_BYTES];
	base->rebuilt_pages = rebuilt_pages(bloat, data);
	base->rebuilt_error = (rebuilt_pages(bloat, data + error) - rebuilt_pages(bloat, Max(data - error, 0))) / 2;
}

/* Dead rows are on open pages, of which the map knows the number. */
static void
sharpen_dead(TableBloat *bloat)
{
	double		open = bloat->figures[HEAP_OPEN_PAGES];
	double		factor = (open > 0) ? (bloat->base.pages - bloat->visible_pages) / open : 1;

	for (HeapFigure figure = HEAP_HELD_ROWS; figure <= HEAP_DEAD_BYTES; figure++)
		bloat->figures[figure] *= factor;
}

/*
 * The pages that a rewrite would make of that much, with what nobody may remove
 * yet: as full as those that it made of the rows that were read.
 */
static double
rebuilt_pages(const TableBloat *bloat, double live_bytes)
{
	const double *figures = bloat->figures;
	double		bytes = Max(live_bytes + figures[HEAP_HELD_BYTES], 0);

	if (figures[HEAP_PACKED_PAGES] < 1)
		return ceil(bytes / HEAP_PAGE_ROOM);
	return ceil(bytes / (figures[HEAP_PACKED_BYTES] / figures[HEAP_PACKED_PAGES]));
}

/* Look from the end how many pages VACUUM would cut off, at more only where fewer were empty. */
static void
measure_tail(Relation relation, HeapLook *look, TableBloat *bloat)
{
	Bloat	   *base = &bloat->base;
	const char *never = vacuum_never_truncates(relation);
	int			tail = 0;

	for (int pages = 1; pages <= LARGEST_TAIL && tail == pages / 32 && base->pages > 0; pages *= 32)
		tail = count_tail(relation, look, Min(pages, base->pages), bloat);
	if (tail < TRUNCATE_PAGES && tail < base->pages / TRUNCATE_SHARE)
		return;
	if (never != NULL)
	{
		if (tail > 0)
			dbops_bloat_note(base, psprintf("%s, so that VACUUM gives nothing back", never));
		return;
	}
	bloat->tail_pages = tail;
	if (tail == LARGEST_TAIL && tail < base->pages)
		dbops_bloat_note(base, "VACUUM gives back at least that much: more pages before these may be empty");
}

/* How many of the last pages are without a row that must stay, counted from the end. */
static int
count_tail(Relation relation, HeapLook *look, int pages, TableBloat *bloat)
{
	BlockNumber end = (BlockNumber) bloat->base.pages;
	int			tail = 0;

	look->removable = palloc0(sizeof(bool) * pages);
	look->sample = dbops_page_sample_begin(relation, end - pages, end, 0, N_HEAP_FIGURES, dbops_heap_look, look);
	dbops_page_sample_read(look->sample);
	bloat->base.pages_read += look->sample->pages_read;
	while (tail < pages && look->removable[pages - 1 - tail])
		tail++;
	pfree(look->removable);
	look->removable = NULL;
	return tail;
}

static void
judge(TableBloat *bloat)
{
	dbops_bloat_judge(&bloat->base);
	bloat->vacuum_returns = (int64) bloat->tail_pages * BLCKSZ;
	bloat->base.wasted = Max(bloat->base.wasted, bloat->vacuum_returns);
}
