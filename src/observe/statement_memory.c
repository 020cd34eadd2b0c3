/*
 * statement_memory.c
 *		What statements did since somebody last looked.
 *
 * The figures of the last look are kept in shared memory, ordered by key, and
 * beside them what has been added since they were last written to the history.
 * A figure that went down, or that began anew, is that of a statement that was
 * evicted and came back, or of a reset: what it has now is what was added, at
 * least. A statement that is seen for the first time was added whole, unless
 * this is the first look, or the last one could not keep all. After so long a
 * time without a look that nobody could say when things happened, the next one
 * is a first look.
 *
 * From the same comparison come totals that never go down, of the cluster and
 * of its databases, and how often slow statements ran.
 *
 * About 1.7 MB, under one lock; a session whose time a test has set has its own.
 */
#include "observe/statement_memory.h"

#include "observe/metric.h"
#include "utils/memutils.h"

#define LONGEST_GAP		USECS_PER_HOUR	/* between two looks that are compared, as long as the server ran */

static Memory *shared_memory = NULL;	/* or NULL */
static LWLock *shared_memory_lock = NULL;
static Memory *own_memory = NULL;

/* What is taken to be written; not written, it is given back. */
typedef struct Taken
{
	int			n;
	Statement  *statements;
	TimestampTz since;
	bool		own;			/* of the session's memory */
	bool		written;
	MemoryContextCallback end;
} Taken;

static Memory *lock_memory(LWLockMode mode);
static void unlock_memory(void);
static int	merge(Memory *memory, const StatementLook *look, Kept *merged);
static void add_statement(Memory *memory, const StatementLook *look, const Statement *statement,
						  const Kept *before, Kept *kept);
static bool goes_on(const Memory *memory, const StatementLook *look, const Statement *statement, const Kept *before);
static bool is_pending(const Kept *kept);
static void add_totals(Memory *memory, Oid database, TimestampTz at, const double *added);
static Totals *find_totals(Memory *memory, Oid database);
static void supply_totals(const Memory *memory, TimestampTz at);
static void note_written(void *arg);
static void end_taking(void *arg);
static Kept *find_kept(Memory *memory, const StatementKey *key);
static int	compare_keys(const void *a, const void *b);

/* Ask for the shared memory. */
void
dbops_statement_memory_init(void)
{
	dbops_shared_request("dbops statement memory", sizeof(Memory), dbops_statement_memory_prepare,
						 (void **) &shared_memory, &shared_memory_lock);
}

static Memory *
lock_memory(LWLockMode mode)
{
	if (shared_memory != NULL && !dbops_ring_is_own())
	{
		LWLockAcquire(shared_memory_lock, mode);
		if (mode == LW_EXCLUSIVE)
			shared_memory->changing = true;
		return shared_memory;
	}
	if (own_memory == NULL)
		own_memory = MemoryContextAllocZero(TopMemoryContext, sizeof(Memory));
	return own_memory;
}

static void
unlock_memory(void)
{
	if (shared_memory == NULL || dbops_ring_is_own())
		return;
	shared_memory->changing = false;
	LWLockRelease(shared_memory_lock);
}

/* Add what has happened since the last look, unless another has looked since this one began. */
void
dbops_statement_memory_add(const StatementLook *look)
{
	Kept	   *merged = palloc_extended(sizeof(Kept) * (look->n + MOST_STATEMENTS), MCXT_ALLOC_HUGE);
	Memory	   *totals = palloc(offsetof(Memory, kept));
	Memory	   *memory;

	dbops_metric_supply(InvalidOid, CM_STATEMENT_EVICTIONS, look->evictions, look->at);
	memory = lock_memory(LW_EXCLUSIVE);
	if (look->at >= memory->at)
	{
		int			n;

		if (look->at - memory->at > LONGEST_GAP)
			memory->at = 0;
		n = merge(memory, look, merged);
		memory->partial = (n > MOST_STATEMENTS);
		memory->n = Min(n, MOST_STATEMENTS);
		memcpy(memory->kept, merged, sizeof(Kept) * memory->n);
		memory->at = look->at;
		memory->reset = look->reset;
	}
	memcpy(totals, memory, offsetof(Memory, kept));
	unlock_memory();
	supply_totals(totals, look->at);
	pfree(merged);
	pfree(totals);
}

/* Go through both, which are ordered. What is gone stays while something of it is pending. */
static int
merge(Memory *memory, const StatementLook *look, Kept *merged)
{
	int			n = 0;
	int			i = 0;

	for (int j = 0; j < look->n || i < memory->n;)
	{
		Kept	   *before = (i < memory->n) ? &memory->kept[i] : NULL;
		const Statement *now = (j < look->n) ? &look->statements[j] : NULL;
		int			order = before == NULL ? 1 : now == NULL ? -1 :
			memcmp(&before->key, &now->key, sizeof(StatementKey));

		if (order >= 0)
		{
			add_statement(memory, look, now, order == 0 ? before : NULL, &merged[n++]);
			j++;
		}
		else if (is_pending(before))
		{
			merged[n] = *before;
			merged[n].since = 0;
			memset(merged[n++].last, 0, sizeof(before->last));
		}
		if (order <= 0)
			i++;
	}
	return n;
}

static void
add_statement(Memory *memory, const StatementLook *look, const Statement *statement, const Kept *before, Kept *kept)
{
	double		added[N_STATEMENT_FIGURES];
	bool		counts = memory->at != 0 && (before != NULL || !memory->partial);
	bool		on = goes_on(memory, look, statement, before);

	*kept = (Kept) {.key = statement->key, .since = statement->since};
	memcpy(kept->last, statement->figures, sizeof(kept->last));
	for (int i = 0; i < N_STATEMENT_FIGURES; i++)
	{
		added[i] = !counts ? 0 : Max(0, statement->figures[i] - (on ? before->last[i] : 0));
		kept->pending[i] = added[i] + (before != NULL ? before->pending[i] : 0);
	}
	if (added[SF_CALLS] <= 0)
		return;
	if (memory->pending_since == 0)
		memory->pending_since = look->at;
	add_totals(memory, InvalidOid, look->at, added);
	add_totals(memory, statement->key.database, look->at, added);
}

/* Are its figures those of before, and what was added since? */
static bool
goes_on(const Memory *memory, const StatementLook *look, const Statement *statement, const Kept *before)
{
	return before != NULL && memory->reset == look->reset && before->since == statement->since &&
		before->last[SF_CALLS] <= statement->figures[SF_CALLS];
}

static bool
is_pending(const Kept *kept)
{
	return kept->pending[SF_CALLS] > 0;
}

static void
add_totals(Memory *memory, Oid database, TimestampTz at, const double *added)
{
	Totals	   *totals = find_totals(memory, database);

	totals->active = at;
	totals->calls += added[SF_CALLS];
	totals->time += added[SF_TIME];
	if (added[SF_TIME] / added[SF_CALLS] > dbops_slow_query_time)
		totals->slow += added[SF_CALLS];
}

/* Statements of one database often follow each other: the last is looked at first. */
static Totals *
find_totals(Memory *memory, Oid database)
{
	static int	last = 0;
	int			chosen = 0;

	if (!OidIsValid(database))
		return &memory->cluster;
	if (memory->databases[last].database == database)
		return &memory->databases[last];
	for (int i = 0; i < MOST_DATABASES && memory->databases[chosen].database != database; i++)
		if (memory->databases[i].database == database ||
			memory->databases[i].active < memory->databases[chosen].active)
			chosen = i;
	if (memory->databases[chosen].database != database)
		memory->databases[chosen] = (Totals) {.database = database};
	last = chosen;
	return &memory->databases[last];
}

/* Have samples show the totals. */
static void
supply_totals(const Memory *memory, TimestampTz at)
{
	dbops_metric_supply(InvalidOid, CM_STATEMENT_CALLS, memory->cluster.calls, at);
	dbops_metric_supply(InvalidOid, CM_STATEMENT_TIME, memory->cluster.time, at);
	dbops_metric_supply(InvalidOid, CM_STATEMENT_SLOW_CALLS, memory->cluster.slow, at);
	for (int i = 0; i < MOST_DATABASES; i++)
	{
		const Totals *totals = &memory->databases[i];

		if (!OidIsValid(totals->database))
			continue;
		dbops_metric_supply(totals->database, DM_STATEMENT_CALLS, totals->calls, at);
		dbops_metric_supply(totals->database, DM_STATEMENT_TIME, totals->time, at);
		dbops_metric_supply(totals->database, DM_STATEMENT_SLOW_CALLS, totals->slow, at);
	}
}

/* ---- what is not in the history yet ---- */

/* Since when; 0: there is nothing. */
TimestampTz
dbops_statement_memory_pending_since(void)
{
	TimestampTz since = lock_memory(LW_SHARED)->pending_since;

	unlock_memory();
	return since;
}

/* Copy it; since when, or 0: there is nothing. */
Statement *
dbops_statement_memory_pending(int *n, TimestampTz *since)
{
	Statement  *pending = palloc_extended(sizeof(Statement) * MOST_STATEMENTS, MCXT_ALLOC_HUGE);
	const Memory *memory = lock_memory(LW_SHARED);

	*n = 0;
	*since = memory->pending_since;
	for (int i = 0; i < memory->n; i++)
		if (is_pending(&memory->kept[i]))
		{
			Statement  *statement = &pending[(*n)++];

			*statement = (Statement) {.key = memory->kept[i].key};
			memcpy(statement->figures, memory->kept[i].pending, sizeof(statement->figures));
		}
	unlock_memory();
	return pending;
}

/* Take it, to write it in this transaction, unordered; what is rolled back is pending again. */
Statement *
dbops_statement_memory_take_pending(int *n)
{
	MemoryContext caller = MemoryContextSwitchTo(TopTransactionContext);
	Taken	   *taken = palloc0(sizeof(Taken));
	Statement  *copy = palloc_extended(sizeof(Statement) * (MOST_STATEMENTS + 1), MCXT_ALLOC_HUGE);
	Memory	   *memory;

	taken->own = dbops_ring_is_own();
	taken->end.func = end_taking;
	taken->end.arg = taken;
	MemoryContextRegisterResetCallback(TopTransactionContext, &taken->end);
	dbops_at_commit(note_written, taken);
	taken->statements = palloc_extended(sizeof(Statement) * (MOST_STATEMENTS + 1), MCXT_ALLOC_HUGE);
	memory = lock_memory(LW_EXCLUSIVE);
	for (int i = 0; i < memory->n; i++)
	{
		Kept	   *kept = &memory->kept[i];

		if (!is_pending(kept))
			continue;
		taken->statements[taken->n] = (Statement) {.key = kept->key};
		memcpy(taken->statements[taken->n++].figures, kept->pending, sizeof(kept->pending));
		memset(kept->pending, 0, sizeof(kept->pending));
	}
	taken->since = memory->pending_since;
	memory->pending_since = 0;
	unlock_memory();
	memcpy(copy, taken->statements, sizeof(Statement) * taken->n);
	*n = taken->n;
	MemoryContextSwitchTo(caller);
	return copy;
}

static void
note_written(void *arg)
{
	((Taken *) arg)->written = true;
}

/* At the end of the transaction, where nothing may fail: give back what was not written. */
static void
end_taking(void *arg)
{
	Taken	   *taken = arg;
	Memory	   *memory;

	if (taken->written || taken->n == 0 || taken->own != dbops_ring_is_own())
		return;
	memory = lock_memory(LW_EXCLUSIVE);
	for (int i = 0; i < taken->n; i++)
	{
		Kept	   *kept = find_kept(memory, &taken->statements[i].key);

		for (int j = 0; kept != NULL && j < N_STATEMENT_FIGURES; j++)
			kept->pending[j] += taken->statements[i].figures[j];
	}
	memory->pending_since = taken->since;
	unlock_memory();
}

/* NULL: it was evicted since. */
static Kept *
find_kept(Memory *memory, const StatementKey *key)
{
	return bsearch(key, memory->kept, memory->n, sizeof(Kept), compare_keys);
}

/* A key with that of an entry, which begins with it. */
static int
compare_keys(const void *a, const void *b)
{
	return memcmp(a, b, sizeof(StatementKey));
}
