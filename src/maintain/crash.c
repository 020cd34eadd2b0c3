/*
 * crash.c
 *		Whose process took the server down?
 *
 * When a process dies the postmaster sends SIGQUIT to all others and makes
 * shared memory anew. A runner that gets the signal marks its slot before it
 * ends, so the one whose slot is taken and not marked died by itself. The
 * postmaster looks for it just before it gives the old memory up, keeps the
 * answer in its own, and puts it into the new one, where the scheduler asks.
 *
 * Where several slots are not marked, nobody knows who was first: a process
 * that did not react to SIGQUIT has been killed too.
 */
#include "maintain/maintain.h"

#include <signal.h>
#include <unistd.h>

#include "libpq/pqsignal.h"
#include "miscadmin.h"
#include "storage/ipc.h"
#include "utils/guc.h"

/* In the postmaster, while there is no shared memory. */
static CrashedJob remembered = {InvalidOid, 0, 0};

static void quit(SIGNAL_ARGS);
static void remember(int code, Datum arg);
static bool died_by_itself(const RunnerSlot *slot);
static bool quits_with_sigquit(void);

/* Mark this runner's slot when the server tells it to end at once. */
void
dbops_crash_watch(void)
{
	pqsignal(SIGQUIT, quit);
}

/* Runs in the signal's handler; like the server's, it leaves everything as it is. */
static void
quit(SIGNAL_ARGS)
{
	for (int i = 0; i < ENGINE_RUNNERS; i++)
		if (dbops_engine->runners[i].pid == MyProcPid)
			dbops_engine->runners[i].quit = true;
	_exit(2);
}

/* Put what is known of the last crash into new shared memory; in the postmaster. */
void
dbops_crash_prepare(Engine *engine)
{
	engine->crashed = remembered;
	remembered = (CrashedJob) {InvalidOid, 0, 0};
	on_shmem_exit(remember, PointerGetDatum(engine));
}

/* Find the one runner that died by itself. */
static void
remember(int code, Datum arg)
{
	const Engine *engine = (Engine *) DatumGetPointer(arg);
	int			found = 0;

	if (MyProcPid != PostmasterPid || !quits_with_sigquit())
		return;
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		const RunnerSlot *slot = &engine->runners[i];

		if (!died_by_itself(slot))
			continue;
		remembered = (CrashedJob) {slot->database, slot->job, slot->part};
		found++;
	}
	if (found != 1)
		remembered = (CrashedJob) {InvalidOid, 0, 0};
}

/* A session that runs a job in the foreground quits without a mark. */
static bool
died_by_itself(const RunnerSlot *slot)
{
	return slot->state == RUNNER_RUNNING && !slot->foreground && !slot->quit;
}

/* 16 can be told to send SIGABRT instead, for core files. */
static bool
quits_with_sigquit(void)
{
	const char *value = GetConfigOption("send_abort_for_crash", true, false);

	return value == NULL || strcmp(value, "off") == 0;
}

/*
 * Was it a process of this job that took the server down, and at which part of
 * a shared phase (0: at none)? Says so once.
 */
bool
dbops_crash_was_first(Oid database, int64 job, int *part)
{
	CrashedJob *crashed;
	bool		first;

	if (dbops_engine == NULL)
		return false;
	crashed = &dbops_engine->crashed;
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	first = (OidIsValid(database) && crashed->database == database && crashed->job == job);
	*part = crashed->part;
	if (first)
		*crashed = (CrashedJob) {InvalidOid, 0, 0};
	LWLockRelease(dbops_engine_lock);
	return first;
}
