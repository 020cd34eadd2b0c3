/*
 * statement_memory.c
 *		What statements did since somebody last looked.
 *
 * The figures of the last look are kept in shared memory, ordered by key, and
 * beside them what has been added since they were last written to the history.
 * A figure that went down, or that began anew, is that of a statement that was
 * evicted and came back, or of a reset: what it has now is what was added, at
 * least. A statement that is seen for the first time was added whole, unless
 * this is the first look, or the last one could not keep all.
 *
 * From the same comparison come totals that never go down, of the cluster and
 * of its databases, and how often slow statements ran.
 *
 * About 1.5 MB, under one lock; a session whose time a test has set has its own.
 */
#include "observe/statement.h"

#include "observe/metric.h"
#include "utils/memutils.h"

#define MOST_DATABASES	64		/* whose totals are kept; those that did nothing longest give way */

typedef struct Kept
{
	StatementKey key;
	TimestampTz since;			/* of its figures; 0: not told, or it is gone */
	double		last[N_STATEMENT_FIGURES];
	double		pending[N_STATEMENT_FIGURES];	/* added, and not in the history yet */
} Kept;

typedef struct Totals
{
	Oid			database;		/* InvalidOid: of the cluster, or free */
	TimestampTz active;
	double		calls;
	double		time;			/* ms */
	double		slow;			/* calls of statements that were slow on the average of a look */
} Totals;

typedef struct Memory
{
	TimestampTz at;				/* of the last look; 0: there was none */
	TimestampTz reset;			/* as it was told then */
	bool		partial;		/* there were more than are kept */
	TimestampTz pending_since;	/* 0: nothing is pending */
	Totals		cluster;
	Totals		databases[MOST_DATABASES];
	int			n;
	Kept		kept[MOST_STATEMENTS];	/* ordered by key */
} Memory;

static Memory *shared_memory = NULL;	/* or NULL */
static LWLock *shared_memory_lock = NULL;
static Memory *own_memory = NULL;

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

/* Ask for the shared memory. */
void
dbops_statement_memory_init(void)
{
	dbops_shared_request("dbops statement memory", sizeof(Memory), NULL,
						 (void **) &shared_memory, &shared_memory_lock);
}

static Memory *
lock_memory(LWLockMode mode)
{
	if (shared_memory != NULL && !dbops_ring_is_own())
	{
		LWLockAcquire(shared_memory_lock, mode);
		return shared_memory;
	}
	if (own_memory == NULL)
		own_memory = MemoryContextAllocZero(TopMemoryContext, sizeof(Memory));
	return own_memory;
}

static void
unlock_memory(void)
{
	if (shared_memory != NULL && !dbops_ring_is_own())
		LWLockRelease(shared_memory_lock);
}

/* Add what has happened since the last look, unless another has looked since this one began. */
void
dbops_statement_memory_add(const StatementLook *look)
{
	Kept	   *merged = palloc_extended(sizeof(Kept) * (look->n + MOST_STATEMENTS), MCXT_ALLOC_HUGE);
	Memory	   *totals = palloc(offsetof(Memory, kept));
	Memory	   *memory = lock_memory(LW_EXCLUSIVE);

	if (look->at >= memory->at)
	{
		int			n = merge(memory, look, merged);

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
	bool		counts = (before != NULL) || (memory->at != 0 && !memory->partial);
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

static Totals *
find_totals(Memory *memory, Oid database)
{
	Totals	   *chosen = &memory->databases[0];

	if (!OidIsValid(database))
		return &memory->cluster;
	for (int i = 0; i < MOST_DATABASES; i++)
	{
		Totals	   *totals = &memory->databases[i];

		if (totals->database == database)
			return totals;
		if (totals->active < chosen->active)
			chosen = totals;
	}
	*chosen = (Totals) {.database = database};
	return chosen;
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

/* Copy what is not in the history yet; since when, or 0: there is nothing. */
Statement *
dbops_statement_memory_pending(int *n, TimestampTz *since)
{
	Statement  *pending = palloc_extended(sizeof(Statement) * MOST_STATEMENTS, MCXT_ALLOC_HUGE);
	Memory	   *memory = lock_memory(LW_SHARED);

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

/* It is in the history now. */
void
dbops_statement_memory_forget_pending(void)
{
	Memory	   *memory = lock_memory(LW_EXCLUSIVE);

	for (int i = 0; i < memory->n; i++)
		memset(memory->kept[i].pending, 0, sizeof(memory->kept[i].pending));
	memory->pending_since = 0;
	unlock_memory();
}
