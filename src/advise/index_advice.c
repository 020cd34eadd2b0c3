/*
 * index_advice.c
 *		What is said about one index that may be of no use.
 *
 * The reports on such indexes end in the same columns: its size, how often it was
 * scanned and since when that is known on which nodes, who needs it, and whether
 * it is safe to drop. The statement that drops it is given only where it is.
 */
#include "advise/index_advice.h"

#include "catalog/pg_type.h"
#include "utils/builtins.h"

#define MOST_COLUMNS	14

static char *drop_statement(const IndexEntry *entry);
static TimestampTz observed_since(IndexEntry *entry, const IndexNodes *nodes);
static Datum text_or_null(const char *text, bool *isnull);
static const char *safety_name(IndexSafety safety);

/* Begin with what is known of an index whatever is found. */
IndexAdvice *
dbops_index_advice(IndexEntry *entry, const IndexNodes *nodes)
{
	IndexAdvice *advice = palloc0(sizeof(IndexAdvice));

	advice->index = entry;
	advice->bytes = dbops_index_bytes(entry);
	advice->counters = dbops_index_counters(nodes, entry);
	advice->backs = dbops_index_enforces(entry);
	advice->observed_since = observed_since(entry, nodes);
	return advice;
}

/*
 * All nodes have counted, and the index was there; 0: not known. Asked after the
 * counters were read, so that a reset meanwhile is told. A partitioned index is as
 * old as the oldest of the files that were made for it: one that was attached may
 * be older than the whole.
 */
static TimestampTz
observed_since(IndexEntry *entry, const IndexNodes *nodes)
{
	TimestampTz oldest = 0;
	TimestampTz reset = dbops_counters_reset();
	ListCell   *cell;

	foreach(cell, dbops_index_leaves(entry))
	{
		Oid			leaf = ((IndexEntry *) lfirst(cell))->oid;
		TimestampTz since = (leaf < entry->oid) ? 0 : dbops_index_file_since(leaf);

		if (since != 0 && (oldest == 0 || since < oldest))
			oldest = since;
	}
	return (oldest == 0 || nodes->since == 0) ? 0 : Max(oldest, Max(nodes->since, reset));
}

/* Whether it was used, or may have been, since a time. What was used once, nobody knows when, counts as used. */
bool
dbops_index_was_used(const IndexCounters *counters, TimestampTz since)
{
	return dbops_index_is_scanned(counters) && (counters->undated || counters->last_scan >= since);
}

/* Whether nodes have watched it, all of them and for so long. */
bool
dbops_index_was_watched(const IndexAdvice *advice, const IndexNodes *nodes, int64 time_us)
{
	return nodes->blind == NULL && advice->observed_since != 0 && advice->observed_since <= nodes->until - time_us;
}

/* Say whether it is safe to drop, and why; and what the statement does to others. */
void
dbops_index_verdict(IndexAdvice *advice, IndexSafety safe, const char *reason)
{
	advice->safe = safe;
	advice->reason = (safe != DROP_YES || !advice->index->partitioned) ? reason :
		psprintf("%s; the statement locks out all who read the table or a partition of it: set lock_timeout first", reason);
	advice->statement = (safe == DROP_YES) ? drop_statement(advice->index) : NULL;
}

/* One that is partitioned cannot be dropped concurrently. */
static char *
drop_statement(const IndexEntry *entry)
{
	return psprintf("DROP INDEX %s%s;", entry->partitioned ? "" : "CONCURRENTLY ", entry->name);
}

/* Return a row: index, table, perhaps a kind and another index, then the columns that are common to all. */
void
dbops_index_advice_put(ReturnSetInfo *rsinfo, const IndexAdvice *advice, const IndexNodes *nodes,
					   bool kind, bool other)
{
	Datum		values[MOST_COLUMNS];
	bool		nulls[MOST_COLUMNS] = {false};
	int			n = 0;

	values[n++] = ObjectIdGetDatum(advice->index->oid);
	values[n++] = ObjectIdGetDatum(advice->index->table);
	if (kind)
	{
		values[n] = text_or_null(advice->kind, &nulls[n]);
		n++;
	}
	if (other)
	{
		nulls[n] = (advice->other == NULL);
		values[n++] = (advice->other == NULL) ? (Datum) 0 : ObjectIdGetDatum(advice->other->oid);
	}
	nulls[n] = (advice->bytes < 0);
	values[n++] = Int64GetDatum(advice->bytes);
	values[n++] = Int64GetDatum(advice->counters.scans);
	nulls[n] = (advice->counters.last_scan == 0);
	values[n++] = TimestampTzGetDatum(advice->counters.last_scan);
	nulls[n] = (advice->observed_since == 0);
	values[n++] = TimestampTzGetDatum(advice->observed_since);
	values[n++] = dbops_param_texts(nodes->names).value;
	values[n] = text_or_null(advice->backs, &nulls[n]);
	n++;
	values[n++] = CStringGetTextDatum(safety_name(advice->safe));
	values[n] = text_or_null(advice->reason, &nulls[n]);
	n++;
	values[n] = text_or_null(advice->statement, &nulls[n]);
	n++;
	Assert(n == rsinfo->setDesc->natts);
	tuplestore_putvalues(rsinfo->setResult, rsinfo->setDesc, values, nulls);
}

static Datum
text_or_null(const char *text, bool *isnull)
{
	*isnull = (text == NULL);
	return (text == NULL) ? (Datum) 0 : CStringGetTextDatum(text);
}

static const char *
safety_name(IndexSafety safety)
{
	return (safety == DROP_YES) ? "yes" : (safety == DROP_NO) ? "no" : "unknown";
}

/* The largest first, then by name. */
int
dbops_index_advice_by_size(const ListCell *a, const ListCell *b)
{
	const IndexAdvice *one = lfirst(a);
	const IndexAdvice *other = lfirst(b);

	if (one->bytes != other->bytes)
		return (one->bytes > other->bytes) ? -1 : 1;
	return strcmp(one->index->name, other->index->name);
}
