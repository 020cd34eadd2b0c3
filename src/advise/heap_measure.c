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
 *
 * Nothing is waited for: a table that is locked against readers is skipped. While
 * pages are read it has the lock of a reader. What is seen is no data, so that no
 * rights on the table are asked for.
 */
#include "advise/table_bloat.h"

#include <math.h>

#include "access/heapam.h"
#include "access/relation.h"
#include "access/visibilitymap.h"
#include "access/xlog.h"
#include "catalog/pg_am.h"
#include "catalog/pg_class.h"
#include "catalog/pg_inherits.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "storage/procarray.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define WIDE_INTERVAL	1.0		/* percentage points on each side: too wide */
#define MAX_DOUBLINGS	2
#define MIN_LEAF_SAMPLE	20		/* blocks of a small partition */
#define LARGEST_TAIL	1024	/* pages at the end that are looked at one by one */
#define TRUNCATE_PAGES	1000	/* VACUUM cuts off no fewer, */
#define TRUNCATE_SHARE	16		/* unless they are this part of the table */

static void measure_partitions(Oid table, int blocks, TableBloat *bloat);
static int64 all_bytes(List *tables, bool toast);
static void add_partition(const TableBloat *partition, TableBloat *bloat);
static Oid	relation_of(Oid table, bool toast);
static void measure_alone(int blocks, TableBloat *bloat);
static void measure_locked(Oid relid, int blocks, TableBloat *bloat);
static const char *reason_not_to_read(Relation relation);
static void measure_relation(Relation relation, int blocks, TableBloat *bloat);
static void take_figures(const PageSample *sample, TableBloat *bloat);
static void sharpen_dead(TableBloat *bloat);
static double rebuilt_pages(const TableBloat *bloat, double live_bytes);
static void measure_tail(Relation relation, HeapLook *look, TableBloat *bloat);
static int	count_tail(Relation relation, HeapLook *look, int pages, TableBloat *bloat);
static void judge(TableBloat *bloat);
static double percent_of_file(double part, const TableBloat *bloat);
static void note(TableBloat *bloat, const char *text);

/* Measure a table, or its TOAST table; what is gone is skipped with that reason. */
void
dbops_heap_measure(Oid table, bool toast, int blocks, TableBloat *bloat)
{
	memset(bloat, 0, sizeof(TableBloat));
	bloat->relation = table;
	bloat->toast = toast;
	if (get_rel_relkind(table) == RELKIND_PARTITIONED_TABLE)
		measure_partitions(table, blocks, bloat);
	else
		measure_alone(blocks, bloat);
}

/* Divide the sample among the partitions by their size, and add up what they say. */
static void
measure_partitions(Oid table, int blocks, TableBloat *bloat)
{
	List	   *tables = find_all_inheritors(table, NoLock, NULL);
	int64		bytes = all_bytes(tables, bloat->toast);
	int			measured = 0;
	int			skipped = 0;
	ListCell   *cell;

	foreach(cell, tables)
	{
		Oid			leaf = relation_of(lfirst_oid(cell), bloat->toast);
		TableBloat	partition;

		CHECK_FOR_INTERRUPTS();
		if (!OidIsValid(leaf) || !RELKIND_HAS_TABLE_AM(get_rel_relkind(leaf)))
			continue;
		dbops_heap_measure(lfirst_oid(cell), bloat->toast,
						   Max(MIN_LEAF_SAMPLE, (int) (blocks * (double) dbops_relation_bytes(leaf) / Max(bytes, 1))),
						   &partition);
		add_partition(&partition, bloat);
		if (partition.judged)
			measured++;
		else
			skipped++;
	}
	bloat->method = psprintf("sum of %d partitions", measured);
	if (skipped > 0)
		note(bloat, psprintf("%d more could not be measured and are left out", skipped));
	bloat->judged = (measured > 0);
	if (bloat->judged)
		judge(bloat);
}

static int64
all_bytes(List *tables, bool toast)
{
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, tables)
	{
		Oid			relation = relation_of(lfirst_oid(cell), toast);

		if (OidIsValid(relation))
			bytes += dbops_relation_bytes(relation);
	}
	return bytes;
}

static void
add_partition(const TableBloat *partition, TableBloat *bloat)
{
	bloat->pages_read += partition->pages_read;
	bloat->damaged += partition->damaged;
	if (!partition->judged)
		return;
	if (partition->note != NULL)
		note(bloat, psprintf("%s: %s", get_rel_name(partition->relation), partition->note));
	bloat->bytes += partition->bytes;
	bloat->pages += partition->pages;
	bloat->visible_pages += partition->visible_pages;
	for (int i = 0; i < N_HEAP_FIGURES; i++)
		bloat->figures[i] += partition->figures[i];
	bloat->rebuilt_pages += partition->rebuilt_pages;
	bloat->rebuilt_error = hypot(bloat->rebuilt_error, partition->rebuilt_error);
	bloat->tail_pages += partition->tail_pages;
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
measure_alone(int blocks, TableBloat *bloat)
{
	Oid			relid = relation_of(bloat->relation, bloat->toast);

	bloat->bytes = OidIsValid(relid) ? dbops_relation_bytes(relid) : 0;
	if (!OidIsValid(relid) || !ConditionalLockRelationOid(relid, AccessShareLock))
		bloat->skipped = OidIsValid(relid) ? "locked" : "there is no such table";
	else
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relid)))
			measure_locked(relid, blocks, bloat);
		else
			bloat->skipped = "there is no such table";
		UnlockRelationOid(relid, AccessShareLock);
	}
	if (bloat->skipped != NULL)
		bloat->method = psprintf("skipped: %s", bloat->skipped);
}

static void
measure_locked(Oid relid, int blocks, TableBloat *bloat)
{
	Relation	relation = relation_open(relid, NoLock);

	bloat->skipped = reason_not_to_read(relation);
	if (bloat->skipped == NULL)
		measure_relation(relation, blocks, bloat);
	relation_close(relation, NoLock);
}

static const char *
reason_not_to_read(Relation relation)
{
	if (RELATION_IS_OTHER_TEMP(relation))
		return "it is another session's temporary table";
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress())
		return "unlogged, so it is empty on a standby";
	if (relation->rd_rel->relam != HEAP_TABLE_AM_OID)
		return "its access method is not heap";
	return NULL;
}

/* Sample until the interval is narrow enough, or enough is read. */
static void
measure_relation(Relation relation, int blocks, TableBloat *bloat)
{
	HeapLook	look = {.horizon = GetOldestNonRemovableTransactionId(relation)};
	BlockNumber visible;
	int			doublings = 0;

	bloat->judged = true;
	bloat->pages = RelationGetNumberOfBlocks(relation);
	bloat->bytes = bloat->pages * BLCKSZ;
	bloat->fillfactor = RelationGetFillFactor(relation, HEAP_DEFAULT_FILLFACTOR);
	visibilitymap_count(relation, &visible, NULL);
	bloat->visible_pages = Min(visible, bloat->pages);
	look.sample = dbops_page_sample_begin(relation, 0, bloat->pages, blocks, N_HEAP_FIGURES, dbops_heap_look, &look);
	dbops_page_sample_read(look.sample);
	take_figures(look.sample, bloat);
	while (percent_of_file(bloat->rebuilt_error, bloat) > WIDE_INTERVAL &&
		   doublings++ < MAX_DOUBLINGS && dbops_page_sample_double(look.sample))
		take_figures(look.sample, bloat);

	bloat->method = (look.sample->strata == 0) ? "census" : "sample";
	bloat->pages_read += look.sample->pages_read;
	bloat->damaged += look.sample->damaged;
	if (look.sample->damage != NULL)
		note(bloat, look.sample->damage);
	measure_tail(relation, &look, bloat);
	judge(bloat);
}

static void
take_figures(const PageSample *sample, TableBloat *bloat)
{
	double		data;

	for (int i = 0; i < N_HEAP_FIGURES; i++)
		bloat->figures[i] = dbops_page_sample_total(sample, i);
	bloat->data_error = dbops_page_sample_error(sample, HEAP_LIVE_BYTES);
	if (sample->strata > 0)
		sharpen_dead(bloat);
	data = bloat->figures[HEAP_LIVE_BYTES];
	bloat->rebuilt_pages = rebuilt_pages(bloat, data);
	bloat->rebuilt_error = (rebuilt_pages(bloat, data + bloat->data_error) -
							rebuilt_pages(bloat, Max(data - bloat->data_error, 0))) / 2;
}

/* Dead rows are on open pages, of which the map knows the number. */
static void
sharpen_dead(TableBloat *bloat)
{
	double		open = bloat->figures[HEAP_OPEN_PAGES];
	double		factor = (open > 0) ? (bloat->pages - bloat->visible_pages) / open : 1;

	for (HeapFigure figure = HEAP_HELD_ROWS; figure <= HEAP_DEAD_BYTES; figure++)
		bloat->figures[figure] *= factor;
}

/*
 * The pages that a rewrite would make of that much, with what nobody may remove
 * yet. A page is left when the next row does not fit: rows of one length leave
 * the same rest each time, others half of a row on average, the longer ones more.
 */
static double
rebuilt_pages(const TableBloat *bloat, double live_bytes)
{
	const double *figures = bloat->figures;
	double		bytes = live_bytes + figures[HEAP_HELD_BYTES];
	double		room = HEAP_PAGE_ROOM - (BLCKSZ * (100 - bloat->fillfactor) / 100);
	double		length;
	double		deviation;

	if (figures[HEAP_LIVE_ROWS] < 1 || bytes <= 0)
		return ceil(Max(bytes, 0) / HEAP_PAGE_ROOM);
	length = figures[HEAP_LIVE_BYTES] / figures[HEAP_LIVE_ROWS];
	deviation = figures[HEAP_LIVE_SQUARES] / figures[HEAP_LIVE_ROWS] - length * length;
	if (deviation < 1 && room >= length)
		return ceil(bytes / (floor(room / length) * length));
	room -= figures[HEAP_LIVE_SQUARES] / figures[HEAP_LIVE_BYTES] / 2;
	return ceil(bytes / Max(room, length));
}

/* Look from the end how many pages VACUUM would cut off, at more only where fewer were empty. */
static void
measure_tail(Relation relation, HeapLook *look, TableBloat *bloat)
{
	const StdRdOptions *options = (const StdRdOptions *) relation->rd_options;
	int			tail = 0;

	for (int pages = 1; pages <= LARGEST_TAIL && tail == pages / 32 && bloat->pages > 0; pages *= 32)
		tail = count_tail(relation, look, Min(pages, bloat->pages), bloat);
	if (options != NULL && relation->rd_rel->relkind == RELKIND_RELATION && !options->vacuum_truncate)
	{
		if (tail > 0)
			note(bloat, "vacuum_truncate is off, so that VACUUM gives nothing back");
		return;
	}
	if (tail < TRUNCATE_PAGES && tail < bloat->pages / TRUNCATE_SHARE)
		return;
	bloat->tail_pages = tail;
	if (tail == LARGEST_TAIL && tail < bloat->pages)
		note(bloat, "VACUUM gives back at least that much: more pages before these may be empty");
}

/* How many of the last pages are without a row that must stay, counted from the end. */
static int
count_tail(Relation relation, HeapLook *look, int pages, TableBloat *bloat)
{
	BlockNumber end = (BlockNumber) bloat->pages;
	int			tail = 0;

	look->removable = palloc0(sizeof(bool) * pages);
	look->sample = dbops_page_sample_begin(relation, end - pages, end, 0, N_HEAP_FIGURES, dbops_heap_look, look);
	dbops_page_sample_read(look->sample);
	bloat->pages_read += look->sample->pages_read;
	while (tail < pages && look->removable[pages - 1 - tail])
		tail++;
	pfree(look->removable);
	look->removable = NULL;
	return tail;
}

static void
judge(TableBloat *bloat)
{
	double		won = Max(bloat->pages - bloat->rebuilt_pages, 0);

	bloat->percent = percent_of_file(won, bloat);
	bloat->low = percent_of_file(Max(bloat->pages - bloat->rebuilt_pages - bloat->rebuilt_error, 0), bloat);
	bloat->high = Min(percent_of_file(Max(bloat->pages - bloat->rebuilt_pages + bloat->rebuilt_error, 0), bloat), 100);
	bloat->vacuum_returns = (int64) bloat->tail_pages * BLCKSZ;
	bloat->wasted = Max((int64) won * BLCKSZ, bloat->vacuum_returns);
}

/* Pages in percent of the file. */
static double
percent_of_file(double part, const TableBloat *bloat)
{
	return (bloat->pages > 0) ? 100 * part / bloat->pages : 0;
}

static void
note(TableBloat *bloat, const char *text)
{
	bloat->note = (bloat->note == NULL) ? pstrdup(text) : psprintf("%s; %s", bloat->note, text);
}
