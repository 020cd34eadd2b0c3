/*
 * bloat.c
 *		What is told alike of tables and of indexes: how much larger than they need
 *		be they are.
 *
 * A sample is made larger until it is sharp enough, or large enough; what it says
 * is put in percent of the file; and partitions are added up. What stands on the
 * pages, and what a rebuild would make of it, who measures knows.
 *
 * Nothing is waited for: where the relation, or the table of an index, is locked
 * against readers that is the answer. While pages are read both have the lock of a
 * reader, so that the file is neither replaced nor cut; it may grow, which is not
 * looked at. What is seen is how full pages are, and no data; no rights on the
 * table are asked for.
 */
#include "core/page_sample.h"

#include <math.h>

#include "access/relation.h"
#include "access/xlog.h"
#include "miscadmin.h"
#include "storage/lmgr.h"
#include "utils/lsyscache.h"
#include "utils/syscache.h"

#define WIDE_INTERVAL	1.0		/* percentage points on each side: too wide */
#define MAX_DOUBLINGS	2
#define MIN_LEAF_SAMPLE	20		/* blocks of a small partition */
#define MAX_NOTES		3		/* of partitions that are told one by one */

/* What is added up. */
typedef struct Sum
{
	Bloat	   *bloat;
	int			measured;
	int			left_out;
	const char *why;			/* the first of these was */
	int			notes;
} Sum;

static bool lock_at_once(Oid table, Oid relation);
static void unlock(Oid table, Oid relation);
static void measure_locked(Oid relid, int blocks, const BloatReader *reader, Bloat *bloat);
static const char *reason_not_to_read(Relation relation, const BloatReader *reader);
static void skip(Bloat *bloat, const char *why);
static int64 all_bytes(const List *partitions);
static int	share_of(int blocks, int64 bytes, int64 all);
static void add_partition(const Bloat *partition, Sum *sum);
static void end_sum(const Sum *sum);

/* Measure a relation that has a file, where it is to be had at once; table: of an index, which is locked first. */
void
dbops_bloat_measure(Oid relation, Oid table, int blocks, const BloatReader *reader, Bloat *bloat)
{
	bloat->bytes = OidIsValid(relation) ? dbops_relation_bytes(relation) : 0;
	if (!OidIsValid(relation))
		skip(bloat, reader->gone);
	else if (!lock_at_once(table, relation))
		skip(bloat, "locked");
	else
	{
		if (SearchSysCacheExists1(RELOID, ObjectIdGetDatum(relation)))
			measure_locked(relation, blocks, reader, bloat);
		else
			skip(bloat, reader->gone);
		unlock(table, relation);
	}
}

static bool
lock_at_once(Oid table, Oid relation)
{
	if (OidIsValid(table) && !ConditionalLockRelationOid(table, AccessShareLock))
		return false;
	if (ConditionalLockRelationOid(relation, AccessShareLock))
		return true;
	if (OidIsValid(table))
		UnlockRelationOid(table, AccessShareLock);
	return false;
}

static void
unlock(Oid table, Oid relation)
{
	UnlockRelationOid(relation, AccessShareLock);
	if (OidIsValid(table))
		UnlockRelationOid(table, AccessShareLock);
}

static void
measure_locked(Oid relid, int blocks, const BloatReader *reader, Bloat *bloat)
{
	Relation	relation = relation_open(relid, NoLock);
	const char *why = reason_not_to_read(relation, reader);

	if (why != NULL)
		skip(bloat, why);
	else
		reader->read(relation, blocks, bloat);
	relation_close(relation, NoLock);
}

static const char *
reason_not_to_read(Relation relation, const BloatReader *reader)
{
	if (RELATION_IS_OTHER_TEMP(relation))
		return "it is temporary, of another session";
	if (relation->rd_rel->relpersistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress())
		return "unlogged, so it is empty on a standby";
	return reader->why_not(relation);
}

/* Sample until the interval is narrow enough, or enough is read. */
void
dbops_bloat_sample(Bloat *bloat, PageSample *sample, BloatTake take)
{
	int			doublings = 0;

	bloat->judged = true;
	dbops_page_sample_read(sample);
	take(sample, bloat);
	while (dbops_bloat_percent(bloat, bloat->rebuilt_error) > WIDE_INTERVAL &&
		   doublings++ < MAX_DOUBLINGS && dbops_page_sample_double(sample))
		take(sample, bloat);
	bloat->method = (sample->strata == 0) ? "census" : "sample";
	dbops_bloat_read(bloat, sample);
}

/* Count what a sample has read. */
void
dbops_bloat_read(Bloat *bloat, PageSample *sample)
{
	bloat->pages_read += sample->pages_read;
	bloat->damaged += sample->damaged;
	if (sample->damage != NULL)
		dbops_bloat_note(bloat, sample->damage);
}

/* ---- partitions ---- */

/* Divide the sample among partitions, a list of BloatSubject *, by their size; and add up what they say. */
void
dbops_bloat_sum(Bloat *bloat, List *partitions, int blocks, BloatAdd add)
{
	int64		all = all_bytes(partitions);
	Sum			sum = {.bloat = bloat};
	ListCell   *cell;

	foreach(cell, partitions)
	{
		const BloatSubject *partition = lfirst(cell);

		CHECK_FOR_INTERRUPTS();
		add_partition(add(partition, share_of(blocks, partition->bytes, all), bloat), &sum);
	}
	end_sum(&sum);
}

static int64
all_bytes(const List *partitions)
{
	int64		bytes = 0;
	ListCell   *cell;

	foreach(cell, partitions)
		bytes += ((BloatSubject *) lfirst(cell))->bytes;
	return bytes;
}

/* The blocks for one of them; 0, which is all, stays that. */
static int
share_of(int blocks, int64 bytes, int64 all)
{
	return (blocks == 0) ? 0 : Max(MIN_LEAF_SAMPLE, (int) (blocks * (double) bytes / Max(all, 1)));
}

static void
add_partition(const Bloat *partition, Sum *sum)
{
	Bloat	   *bloat = sum->bloat;

	bloat->bytes += partition->bytes;
	bloat->pages_read += partition->pages_read;
	bloat->damaged += partition->damaged;
	if (partition->note != NULL && sum->notes++ < MAX_NOTES)
		dbops_bloat_note(bloat, psprintf("%s: %s", get_rel_name(partition->relation), partition->note));
	if (partition->skipped != NULL)
	{
		if (sum->left_out++ == 0)
			sum->why = partition->skipped;
		return;
	}
	sum->measured++;
	bloat->judged = bloat->judged || partition->judged;
	bloat->pages += partition->pages;
	bloat->rebuilt_pages += partition->rebuilt_pages;
	bloat->rebuilt_error = hypot(bloat->rebuilt_error, partition->rebuilt_error);
}

static void
end_sum(const Sum *sum)
{
	Bloat	   *bloat = sum->bloat;

	if (sum->measured == 0 && sum->left_out > 0)
		skip(bloat, sum->why);
	else
		bloat->method = psprintf("sum of %d partition%s", sum->measured, sum->measured == 1 ? "" : "s");
	if (sum->notes > MAX_NOTES)
		dbops_bloat_note(bloat, psprintf("%d more partitions have notes of their own", sum->notes - MAX_NOTES));
	if (sum->measured > 0 && sum->left_out > 0)
		dbops_bloat_note(bloat, psprintf("%d more could not be measured (%s) and count in the size only", sum->left_out, sum->why));
}

/* ---- what follows ---- */

/* What a rebuild would win, from the pages that it would leave. */
void
dbops_bloat_judge(Bloat *bloat)
{
	double		won = Max(bloat->pages - bloat->rebuilt_pages, 0);

	bloat->percent = dbops_bloat_percent(bloat, won);
	bloat->low = dbops_bloat_percent(bloat, Max(bloat->pages - bloat->rebuilt_pages - bloat->rebuilt_error, 0));
	bloat->high = dbops_bloat_percent(bloat, Max(bloat->pages - bloat->rebuilt_pages + bloat->rebuilt_error, 0));
	bloat->high = Min(bloat->high, 100);
	bloat->wasted = (int64) won * BLCKSZ;
}

/* Pages in percent of those that were measured. */
double
dbops_bloat_percent(const Bloat *bloat, double pages)
{
	return (bloat->pages > 0) ? 100 * pages / bloat->pages : 0;
}

/* Say why it was not measured. */
static void
skip(Bloat *bloat, const char *why)
{
	bloat->skipped = why;
	bloat->method = psprintf("skipped: %s", why);
}

/* Add to what else a user should know. */
void
dbops_bloat_note(Bloat *bloat, const char *text)
{
	bloat->note = (bloat->note == NULL) ? pstrdup(text) : psprintf("%s; %s", bloat->note, text);
}
