/*
 * checks_sequences.c
 *		Sequences that come to their end, or to that of the column they are for.
 *
 * What counts is the smaller of the sequence's limit and of the largest number
 * that its columns can hold: those that own it and those whose default calls
 * it. A sequence's last value stands in its only page, which is read without
 * opening the sequence and without waiting for who alters it, so whatever the
 * caller may do with it.
 */
#include "observe/checks.h"

#include "access/htup_details.h"
#include "catalog/pg_attrdef.h"
#include "catalog/pg_attribute.h"
#include "catalog/pg_class.h"
#include "catalog/pg_depend.h"
#include "catalog/pg_sequence.h"
#include "commands/sequence.h"
#include "miscadmin.h"
#include "storage/bufmgr.h"
#include "storage/lmgr.h"
#include "storage/smgr.h"
#include "utils/lsyscache.h"

/* A sequence, as the catalogs describe it. */
typedef struct Sequence
{
	Oid			oid;
	RelFileLocator locator;
	bool		permanent;
	bool		here;			/* it has a file on this server, and not in a session's memory */
	int64		increment;
	double		least;
	double		most;			/* that it, or the column, can reach */
} Sequence;

typedef struct Facts
{
	ErrorData  *error;			/* NULL: they were read */
	List	   *sequences;		/* of Sequence * */
	int			skipped;		/* that somebody was altering */
	Notables	used;			/* percent; figure: the last value */
} Facts;

static const void *look(const DbopsCheckScope *scope);
static void look_and_undo(void *facts);
static void read_sequences(void *arg);
static void take_sequence(HeapTuple row, TupleDesc desc, void *arg);
static bool read_last_value(const Sequence *sequence, int64 *value);
static bool read_page(const Sequence *sequence, int64 *value);
static double used_percent(const Sequence *sequence, int64 value);
static void judge_exhaustion(const void *facts, DbopsCheckRun *run);
static const DbopsFinding *about_sequence(const Notable *notable);

static const DbopsCheck checks[] = {
	{
		.name = "sequences.exhaustion",
		.about = "numbers that a sequence has given out, of those that it or its column can hold",
		.judge = judge_exhaustion,
		.threshold = {
			.unit = "percent", .warning = 75, .critical = 90, .source = "pgmonitor, pghero"
		}
	}
};

const DbopsCheckSet dbops_sequence_checks_set = {
	.look = look,
	.checks = checks,
	.n_checks = lengthof(checks)
};

static const void *
look(const DbopsCheckScope *scope)
{
	Facts	   *facts = palloc0(sizeof(Facts));

	(void) dbops_attempt(look_and_undo, facts, &facts->error);
	return facts;
}

static void
look_and_undo(void *facts)
{
	dbops_look(read_sequences, facts);
}

/* Those that begin anew are left out: they have no end. */
static void
read_sequences(void *arg)
{
	static const Oid catalogs[] = {
		SequenceRelationId, RelationRelationId, DependRelationId, AttributeRelationId, AttrDefaultRelationId
	};
	Facts	   *facts = arg;
	ListCell   *cell;

	(void) dbops_begin_bounded_wait(LONGEST_WAIT);
	dbops_catalogs_require(lengthof(catalogs), catalogs);
	(void) dbops_query_each("SELECT s.seqrelid, c.relfilenode, c.reltablespace, c.relpersistence::text, s.seqincrement,"
							" CASE WHEN s.seqincrement > 0 THEN s.seqmin ELSE s.seqmax END::float8,"
							" CASE WHEN s.seqincrement > 0 THEN least(s.seqmax, min(t.most)) ELSE greatest(s.seqmin, -1 - min(t.most)) END::float8"
							" FROM pg_sequence s JOIN pg_class c ON c.oid = s.seqrelid"
							" LEFT JOIN (SELECT d.objid AS seq, a.atttypid AS type FROM pg_depend d"
							" JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid"
							" WHERE d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') AND d.refobjsubid > 0"
							" UNION ALL SELECT d.refobjid, a.atttypid FROM pg_depend d JOIN pg_attrdef f ON f.oid = d.objid"
							" JOIN pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum"
							" WHERE d.classid = 'pg_attrdef'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype = 'n' AND d.refobjsubid = 0"
							") u ON u.seq = s.seqrelid"
							" LEFT JOIN (VALUES ('int2'::regtype, 32767::bigint), ('int4'::regtype, 2147483647)) t(type, most) ON t.type = u.type"
							" WHERE NOT s.seqcycle GROUP BY 1, 2, 3, 4, 5, s.seqmin, s.seqmax",
							0, NULL, take_sequence, facts);
	foreach(cell, facts->sequences)
	{
		const Sequence *sequence = lfirst(cell);
		int64		value;

		CHECK_FOR_INTERRUPTS();
		if (read_last_value(sequence, &value))
			dbops_notables_add(&facts->used, (Notable)
							   {
								   .object = sequence->oid,
								   .value = used_percent(sequence, value),
								   .guard = sequence->most,
								   .figure = value
							   });
		else
			facts->skipped++;
	}
}

static void
take_sequence(HeapTuple row, TupleDesc desc, void *arg)
{
	Facts	   *facts = arg;
	Sequence   *sequence = palloc(sizeof(Sequence));
	Oid			tablespace = dbops_row_oid(row, desc, 3);
	char		persistence = dbops_row_text(row, desc, 4)[0];

	if (persistence == RELPERSISTENCE_TEMP ||
		(persistence == RELPERSISTENCE_UNLOGGED && RecoveryInProgress()))
		return;
	sequence->oid = dbops_row_oid(row, desc, 1);
	sequence->locator = relation_locator(OidIsValid(tablespace) ? tablespace : MyDatabaseTableSpace,
										 MyDatabaseId, dbops_row_oid(row, desc, 2));
	sequence->permanent = (persistence == RELPERSISTENCE_PERMANENT);
	sequence->increment = dbops_row_int8(row, desc, 5);
	sequence->least = dbops_row_float8(row, desc, 6);
	sequence->most = dbops_row_float8(row, desc, 7);
	facts->sequences = lappend(facts->sequences, sequence);
}

/* False if somebody is altering it, or has since it was listed. */
static bool
read_last_value(const Sequence *sequence, int64 *value)
{
	bool		found;

	if (!ConditionalLockRelationOid(sequence->oid, AccessShareLock))
		return false;
	found = read_page(sequence, value);
	UnlockRelationOid(sequence->oid, AccessShareLock);
	return found;
}

/* What the page says, unless its file is another one by now. */
static bool
read_page(const Sequence *sequence, int64 *value)
{
	SMgrRelation file = smgropen(sequence->locator, INVALID_PROC_NUMBER);
	Buffer		buffer;
	Page		page;
	ItemId		item;
	bool		found;

	if (!smgrexists(file, MAIN_FORKNUM) || smgrnblocks(file, MAIN_FORKNUM) == 0)
		return false;
	buffer = ReadBufferWithoutRelcache(sequence->locator, MAIN_FORKNUM, 0, RBM_NORMAL, NULL, sequence->permanent);
	LockBuffer(buffer, BUFFER_LOCK_SHARE);
	page = BufferGetPage(buffer);
	item = PageGetMaxOffsetNumber(page) < FirstOffsetNumber ? NULL : PageGetItemId(page, FirstOffsetNumber);
	found = (item != NULL && ItemIdIsNormal(item));
	if (found)
	{
		HeapTupleData tuple = {.t_data = (HeapTupleHeader) PageGetItem(page, item)};
		Form_pg_sequence_data data = (Form_pg_sequence_data) GETSTRUCT(&tuple);

		/* One that was never called would begin with this value. */
		*value = data->last_value;
	}
	UnlockReleaseBuffer(buffer);
	return found;
}

/* Which way it runs, its first value is 0 percent and the last 100. */
static double
used_percent(const Sequence *sequence, int64 value)
{
	double		whole = fabs(sequence->most - sequence->least);

	return whole < 1 ? 0 : Max(0, 100 * (sequence->increment > 0 ? value - sequence->least : sequence->least - value) / whole);
}

static void
judge_exhaustion(const void *facts, DbopsCheckRun *run)
{
	const Facts *seen = facts;
	Notables	used = seen->used;

	if (seen->error != NULL)
		ReThrowError(seen->error);
	dbops_notables_report(run, &used, about_sequence,
						  seen->sequences == NIL ? "there are no sequences" :
						  psprintf("of %d sequences none comes to its end%s", list_length(seen->sequences),
								   seen->skipped == 0 ? "" : psprintf("; %d were being altered", seen->skipped)));
}

static const DbopsFinding *
about_sequence(const Notable *notable)
{
	DbopsFinding *finding = palloc0(sizeof(DbopsFinding));

	if (get_rel_name(notable->object) == NULL)
		return NULL;
	finding->object = dbops_quote_relation(notable->object);
	finding->message = psprintf("it is at %.0f; %.0f is the last that it or its column can hold", notable->figure, notable->guard);
	finding->remedy = psprintf("Make the column a bigint and ALTER SEQUENCE %s AS bigint;", finding->object);
	return finding;
}
