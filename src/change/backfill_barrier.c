/*
 * backfill_barrier.c
 *		Wait until every transaction has ended that was running when a backfill
 *		began.
 *
 * Who says that the application writes rows that are right means what it
 * writes from now on. A transaction that began before may still be doing as the
 * application did then; so the last block to be walked is determined when the
 * last of these has ended. Prepared transactions are among them. A process that
 * takes the backfill over waits anew for those that it finds.
 */
#include "change/change.h"

#include "storage/lock.h"
#include "storage/proc.h"
#include "storage/procarray.h"
#include "utils/guc.h"

#define BARRIER_NAP 20L			/* ms between two looks */
#define BARRIER_WAIT 100		/* ms that a look may wait for a transaction */
#define BARRIER_PATIENCE (60 * 60 * 1000)	/* ms */
#define NAMED_TRANSACTIONS 5	/* in the text that says what is waited for */

/* Those that change no row of a table. */
#define NOT_WAITED_FOR (PROC_IS_AUTOVACUUM | PROC_IN_VACUUM | PROC_IN_SAFE_IC)

struct BackfillBarrier
{
	VirtualTransactionId *transactions; /* that have not been seen to end */
	int			n;
	TimestampTz begin;
};

static BackfillBarrier *begin(void);
static void await(void *transaction);
static void remove_ended(BackfillBarrier *barrier);
static char *describe(const BackfillBarrier *barrier);
static void append_transaction(StringInfo text, VirtualTransactionId transaction);

/* Look whether all have ended; if not, say so and when to look again. */
bool
dbops_backfill_barrier_step(BackfillRun *run, DbopsStep *step)
{
	ErrorData  *error;

	if (run->barrier == NULL)
		run->barrier = begin();
	remove_ended(run->barrier);
	if (run->barrier->n == 0)
		return true;

	if (TimestampDifferenceExceeds(run->barrier->begin, dbops_clock_now(), BARRIER_PATIENCE))
		ereport(ERROR,
				(errcode(ERRCODE_LOCK_NOT_AVAILABLE),
				 errmsg("transactions that began before the backfill have not ended within an hour"),
				 errdetail_internal("Still running: %s.", describe(run->barrier)),
				 errhint("End them: SELECT pg_terminate_backend(pid), or ROLLBACK PREPARED as pg_prepared_xacts names them.")));
	step->pause = BARRIER_NAP;
	step->waiting = psprintf("for transactions that began before the backfill: %s", describe(run->barrier));
	if (dbops_job_goes_on(run->job, 0, 0, step->waiting))
		(void) dbops_attempt(await, &run->barrier->transactions[0], &error);
	return false;
}

/* Wait for one to end, for a moment, so that its end and who waits for it are seen at once. */
static void
await(void *transaction)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("lock_timeout", psprintf("%d", BARRIER_WAIT));
	VirtualXactLock(*(VirtualTransactionId *) transaction, true);
	AtEOXact_GUC(false, nest_level);
}

/* Note what is running in this database. */
static BackfillBarrier *
begin(void)
{
	BackfillBarrier *barrier = palloc(sizeof(BackfillBarrier));

	barrier->transactions = GetCurrentVirtualXIDs(InvalidTransactionId, false, false,
												  NOT_WAITED_FOR, &barrier->n);
	barrier->begin = dbops_clock_now();
	return barrier;
}

static void
remove_ended(BackfillBarrier *barrier)
{
	int			left = 0;

	for (int i = 0; i < barrier->n; i++)
		if (!VirtualXactLock(barrier->transactions[i], false))
			barrier->transactions[left++] = barrier->transactions[i];
	barrier->n = left;
}

/* How many, and which the first of them are. */
static char *
describe(const BackfillBarrier *barrier)
{
	StringInfoData text;

	initStringInfo(&text);
	appendStringInfo(&text, "%d (", barrier->n);
	for (int i = 0; i < Min(barrier->n, NAMED_TRANSACTIONS); i++)
	{
		appendStringInfoString(&text, i > 0 ? ", " : "");
		append_transaction(&text, barrier->transactions[i]);
	}
	appendStringInfoString(&text, barrier->n > NAMED_TRANSACTIONS ? ", ...)" : ")");
	return text.data;
}

/* A transaction that is its process's no more is prepared. */
static void
append_transaction(StringInfo text, VirtualTransactionId transaction)
{
	PGPROC	   *process = vxid_process(transaction);

	if (process != NULL && proc_local_xid(process) == transaction.localTransactionId)
		appendStringInfo(text, "process %d", process->pid);
	else
		appendStringInfoString(text, "a prepared one");
}
