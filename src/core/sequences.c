/*
 * sequences.c
 *		How far sequences have come on the way to their end.
 *
 * A sequence ends where its own bound is or, earlier, where the type of a
 * column that it fills ends: bigint sequences of integer columns are the
 * common accident, since nothing in the sequence tells. Which way it goes is
 * what its increment says. Its last value is read from its page without opening
 * it, so whatever the caller may do with it, and without waiting for who has
 * locked it.
 */
#include "core/sequences.h"

#include <math.h>

#include "access/htup_details.h"
#include "access/xlog.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_namespace.h"
#include "catalog/pg_sequence.h"
#include "catalog/pg_type.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/guc.h"
#include "utils/lsyscache.h"

#include "core/at_once.h"

#define LONGEST_WAIT	100		/* ms, for a lock on a catalog */

/*
 * Every sequence with the integer column that ends first among those that it
 * fills: as serial or identity, or in a default. A domain counts as its type,
 * also one of another domain. All columns are looked up at once: there may be a
 * hundred thousand.
 */
#define SEQUENCES \
	"WITH RECURSIVE whole (oid, type) AS (SELECT t.oid, t.oid FROM pg_type t WHERE t.oid IN (20, 21, 23) " \
	"UNION ALL SELECT t.oid, w.type FROM pg_type t JOIN whole w ON t.typbasetype = w.oid WHERE t.typtype = 'd') " \
	"SELECT s.seqrelid, n.nspname::text, c.relname::text, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle, f.relid, f.attname::text, " \
	"coalesce(f.type, s.seqtypid)::regtype::text, " \
	"CASE f.type WHEN 21 THEN 32767 WHEN 23 THEN 2147483647 ELSE 9223372036854775807 END::int8, " \
	"c.relfilenode, c.reltablespace, c.relpersistence = 'p' " \
	"FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid JOIN pg_namespace n ON n.oid = c.relnamespace " \
	"LEFT JOIN (" \
	"SELECT DISTINCT ON (u.sequence) u.sequence, a.attrelid AS relid, a.attname, w.type " \
	"FROM (SELECT d.objid AS sequence, d.refobjid AS relid, d.refobjsubid AS number FROM pg_depend d JOIN pg_sequence q ON q.seqrelid = d.objid " \
	"WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.refobjsubid > 0 AND d.deptype IN ('a', 'i') " \
	"UNION ALL SELECT d.refobjid, e.adrelid, e.adnum FROM pg_depend d JOIN pg_attrdef e ON e.oid = d.objid JOIN pg_sequence q ON q.seqrelid = d.refobjid " \
	"WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass) u " \
	"JOIN pg_attribute a ON a.attrelid = u.relid AND a.attnum = u.number JOIN whole w ON w.oid = a.atttypid " \
	"ORDER BY u.sequence, CASE w.type WHEN 21 THEN 1 WHEN 23 THEN 2 ELSE 3 END, a.attrelid, a.attnum" \
	") f ON f.sequence = s.seqrelid " \
	"WHERE c.relpersistence <> 't' AND (c.relpersistence <> 'u' OR NOT pg_is_in_recovery()) ORDER BY s.seqrelid"

typedef struct Reading
{
	List	   *found;			/* of Sequence * */
	double		least_used;
	SequenceTotals totals;
	BufferAccessStrategy strategy;	/* so that the pages of many push no others out of memory */
} Reading;

/* What came of reading one. */
typedef enum Read
{
	READ_CALLED,				/* it has given out a value */
	READ_NOT_CALLED,
	READ_NOT					/* it is locked or gone */
} Read;

static void read_all(void *arg);
static void add_sequence(HeapTuple row, TupleDesc desc, void *arg);
static void describe_room(Sequence *sequence, HeapTuple row, TupleDesc desc);
static void describe_names(Sequence *sequence, HeapTuple row, TupleDesc desc);
static Read read_last(Sequence *sequence, HeapTuple row, TupleDesc desc, BufferAccessStrategy strategy);
static Read read_page(RelFileLocator locator, bool permanent, BufferAccessStrategy strategy, int64 *last);
static double used_percent(const Sequence *sequence);
static int	compare_used(const ListCell *a, const ListCell *b);

/*
 * List the sequences of which at least so many percent are used. One that is
 * locked is left out; that a catalog is locked is an error, rather than to wait.
 */
List *
dbops_sequences_read(double least_used, SequenceTotals *totals)
{
	Reading		reading = {.least_used = least_used,.strategy = GetAccessStrategy(BAS_BULKREAD)};

	dbops_look(read_all, &reading);
	list_sort(reading.found, compare_used);
	if (totals != NULL)
		*totals = reading.totals;
	return reading.found;
}

static void
read_all(void *arg)
{
	static const Oid catalogs[] = {
		SequenceRelationId, RelationRelationId, NamespaceRelationId, DependRelationId,
		AttributeRelationId, AttrDefaultRelationId, TypeRelationId
	};

	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	dbops_catalogs_require(lengthof(catalogs), catalogs);
	(void) dbops_query_each(SEQUENCES, 0, NULL, add_sequence, arg);
}

static void
add_sequence(HeapTuple row, TupleDesc desc, void *arg)
{
	Reading    *reading = arg;
	Sequence	sequence = {0};
	Sequence   *kept;
	Read		read;

	CHECK_FOR_INTERRUPTS();
	describe_room(&sequence, row, desc);
	read = read_last(&sequence, row, desc, reading->strategy);
	reading->totals.n++;
	reading->totals.skipped += (read == READ_NOT);
	if (read != READ_CALLED)
		return;
	sequence.used = used_percent(&sequence);
	if (!sequence.cycles)
		reading->totals.most_used = Max(reading->totals.most_used, sequence.used);
	if (sequence.used < reading->least_used)
		return;
	kept = palloc(sizeof(Sequence));
	*kept = sequence;
	describe_names(kept, row, desc);
	reading->found = lappend(reading->found, kept);
}

/* What the catalog says of where one begins and ends. */
static void
describe_room(Sequence *sequence, HeapTuple row, TupleDesc desc)
{
	int64		low = dbops_row_int8(row, desc, 5);
	int64		high = dbops_row_int8(row, desc, 6);
	int64		most = dbops_row_int8(row, desc, 11);

	sequence->oid = dbops_row_oid(row, desc, 1);
	sequence->increment = dbops_row_int8(row, desc, 4);
	sequence->ascends = sequence->increment > 0;
	sequence->start = sequence->ascends ? low : high;
	sequence->bound = sequence->ascends ? Min(high, most) : Max(low, -most - 1);
	/* one that begins anew before the column ends never ends */
	sequence->cycles = dbops_row_bool(row, desc, 7) && sequence->bound == (sequence->ascends ? high : low);
}

static void
describe_names(Sequence *sequence, HeapTuple row, TupleDesc desc)
{
	sequence->name = dbops_quote_qualified(dbops_row_text(row, desc, 2), dbops_row_text(row, desc, 3));
	/* it may have been dropped since */
	if (get_rel_name(dbops_row_oid(row, desc, 8)) != NULL)
	{
		sequence->relid = dbops_row_oid(row, desc, 8);
		sequence->attnum = get_attnum(sequence->relid, dbops_row_text(row, desc, 9));
		sequence->table = dbops_quote_relation(sequence->relid);
		sequence->column_name = dbops_quote_name(dbops_row_text(row, desc, 9));
		sequence->column = psprintf("%s.%s", sequence->table, sequence->column_name);
	}
	sequence->type = dbops_row_text(row, desc, 10);
}

/* Read the last value that was given out. */
static Read
read_last(Sequence *sequence, HeapTuple row, TupleDesc desc, BufferAccessStrategy strategy)
{
	Oid			tablespace = dbops_row_oid(row, desc, 13);
	RelFileLocator locator = relation_locator(OidIsValid(tablespace) ? tablespace : MyDatabaseTableSpace,
											  MyDatabaseId, dbops_row_oid(row, desc, 12));
	Read		read;

	if (!ConditionalLockRelationOid(sequence->oid, AccessShareLock))
		return READ_NOT;
	read = read_page(locator, dbops_row_bool(row, desc, 14), strategy, &sequence->last);
	UnlockRelationOid(sequence->oid, AccessShareLock);
	return read;
}

/* What the page says, unless its file is another one by now. */
static Read
read_page(RelFileLocator locator, bool permanent, BufferAccessStrategy strategy, int64 *last)
{
	SMgrRelation file = smgropen(locator, INVALID_PROC_NUMBER);
	Read		read = READ_NOT;
	Buffer		buffer;
	Page		page;
	ItemId		item;

	if (!smgrexists(file, MAIN_FORKNUM) || smgrnblocks(file, MAIN_FORKNUM) == 0)
		return READ_NOT;
	buffer = ReadBufferWithoutRelcache(locator, MAIN_FORKNUM, 0, RBM_NORMAL, strategy, permanent);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	item = PageGetMaxOffsetNumber(page) < FirstOffsetNumber ? NULL : PageGetItemId(page, FirstOffsetNumber);
	if (item != NULL && ItemIdIsNormal(item))
	{
		HeapTupleData tuple = {.t_data = (HeapTupleHeader) PageGetItem(page, item)};
		Form_pg_sequence_data data = (Form_pg_sequence_data) GETSTRUCT(&tuple);

		*last = data->last_value;
		read = data->is_called ? READ_CALLED : READ_NOT_CALLED;
	}
	UnlockReleaseBuffer(buffer);
	return read;
}

/* Of the room between its start and its bound; a column that has ended is at more than 100. */
static double
used_percent(const Sequence *sequence)
{
	return dbops_figure_percent(fabs((double) sequence->last - sequence->start),
								fabs((double) sequence->bound - sequence->start));
}

static int
compare_used(const ListCell *a, const ListCell *b)
{
	const Sequence *x = lfirst(a);
	const Sequence *y = lfirst(b);

	if (x->used != y->used)
		return x->used > y->used ? -1 : 1;
	return (x->oid > y->oid) - (x->oid < y->oid);
}
