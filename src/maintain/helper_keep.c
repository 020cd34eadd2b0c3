/*
 * helper_keep.c
 *		Have processes that help with a job, as many as it wants and there can be.
 *
 * The process that has claimed the job calls this between its steps while a
 * phase is shared. Missing ones are started within dbops.max_workers and the
 * server's process slots, and not while another job waits for a process, to
 * which they give way; where there are fewer than wanted the work goes on with
 * those, and it is tried again. They end with the process that they help: whoever takes the job over
 * finds nobody at work on its parts.
 */
#include "maintain/maintain.h"

#include <signal.h>

#include "miscadmin.h"

#define LOOK_EVERY		500L	/* ms between two looks who is alive */
#define START_AGAIN		1000L	/* ms until it is tried again to start some; doubles with each death */
#define LONGEST_WAIT	60000L	/* ms */
#define MOST_DEATHS		3		/* without progress between them */
#define END_GRACE		2000L	/* ms in which those that are told to end may finish a step */
#define END_PATIENCE	10000L	/* ms in which they must be gone */
#define END_NAP			10L		/* ms */

static void refuse_deaths(int leader, HelpersKept *kept, int64 progress);
static void start_missing(StoredJob *job, int leader, HelpersKept *kept);
static bool is_among(int worker, const int *workers, int n);
static int	reserve(const StoredJob *job, int leader, int worker);
static bool has_room(int leader);
static int	free_slot(void);
static void tell(int leader, bool at_once);
static int	end_unstarted(int leader);

/*
 * See who of them is alive, give back what the others had, and start missing
 * ones. progress: any figure that grows with the work. Ends the transaction.
 */
void
dbops_helpers_keep(StoredJob *job, int leader, HelpersKept *kept, int64 progress)
{
	TimestampTz now = GetCurrentTimestamp();
	int			alive[ENGINE_RUNNERS];
	int			n;

	if (leader < 0 || !TimestampDifferenceExceeds(kept->looked, now, LOOK_EVERY))
		return;
	kept->looked = now;
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	n = dbops_helpers_count(leader, alive);
	LWLockRelease(dbops_engine_lock);

	refuse_deaths(leader, kept, progress);
	dbops_job_part_release(job->job.id, alive, n);
	if (dbops_enabled && now >= kept->start_at && dbops_identity_refusal() == NULL)
		start_missing(job, leader, kept);
	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	job->job.share.working = 1 + dbops_helpers_count(leader, NULL);
	LWLockRelease(dbops_engine_lock);
	dbops_procedure_commit();
}

/* End the attempt if they die again and again, while nothing gets on. */
static void
refuse_deaths(int leader, HelpersKept *kept, int64 progress)
{
	int			deaths = dbops_engine->runners[leader].deaths;

	if (progress > kept->progress)
	{
		kept->progress = progress;
		kept->forgiven = deaths;
	}
	if (deaths - kept->forgiven >= MOST_DEATHS)
		ereport(ERROR,
				(errcode(ERRCODE_ADMIN_SHUTDOWN),
				 errmsg("processes that helped with the job were terminated %d times", deaths - kept->forgiven),
				 errdetail("The job did not get on meanwhile."),
				 errhint("The server's log says what ended them.")));
}

/* Start those that are missing, as long as there are parts for them. */
static void
start_missing(StoredJob *job, int leader, HelpersKept *kept)
{
	const DbopsShare *share = &job->job.share;
	int			alive[ENGINE_RUNNERS];
	int			deaths = dbops_engine->runners[leader].deaths;
	int			parts = share->unclaimed - (share->part == 0);	/* this process takes one */
	int			n;

	LWLockAcquire(dbops_engine_lock, LW_SHARED);
	n = dbops_helpers_count(leader, alive);
	LWLockRelease(dbops_engine_lock);
	for (int worker = 1; worker < share->wanted && parts > 0; worker++)
	{
		int			index;

		if (is_among(worker, alive, n))
			continue;
		kept->start_at = TimestampTzPlusMilliseconds(GetCurrentTimestamp(),
													 Min(START_AGAIN << Min(deaths, 10), LONGEST_WAIT));
		index = reserve(job, leader, worker);
		if (index < 0 || !dbops_runner_start(index, job, dbops_job_login(job)))
			return;
		parts--;
	}
}

static bool
is_among(int worker, const int *workers, int n)
{
	for (int i = 0; i < n; i++)
		if (workers[i] == worker)
			return true;
	return false;
}

/* Reserve a slot for one of them; -1 if there is none to be had now. */
static int
reserve(const StoredJob *job, int leader, int worker)
{
	int			index;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	index = has_room(leader) ? free_slot() : -1;
	if (index >= 0)
	{
		RunnerSlot *slot = &dbops_engine->runners[index];
		uint32		generation = slot->generation + 1;

		*slot = (RunnerSlot)
		{
			.state = RUNNER_STARTING,
			.generation = generation,
			.database = MyDatabaseId,
			.job = job->job.id,
			.worker = worker,
			.leader = leader,
			.class = dbops_engine->runners[leader].class,
			.since = GetCurrentTimestamp()
		};
	}
	LWLockRelease(dbops_engine_lock);
	return index;
}

/* Nobody else waits for a process, and nobody wants this one out; the lock is held. */
static bool
has_room(int leader)
{
	const DatabaseEntry *own = dbops_engine_database(MyDatabaseId, false);

	if (own == NULL || own->holds > 0 || dbops_engine->runners[leader].stop ||
		dbops_runner_count() >= dbops_max_workers)
		return false;
	return !dbops_helpers_give_way();
}

/* Does a job wait for a process? The lock is held. */
bool
dbops_helpers_give_way(void)
{
	for (int i = 0; i < ENGINE_DATABASES; i++)
		if (OidIsValid(dbops_engine->databases[i].oid) && dbops_engine->databases[i].waits_for_worker)
			return true;
	return false;
}

static int
free_slot(void)
{
	for (int i = 0; i < ENGINE_RUNNERS; i++)
		if (dbops_engine->runners[i].state == RUNNER_FREE)
			return i;
	return -1;
}

/* How many help a process, and their numbers if asked for; the lock is held. */
int
dbops_helpers_count(int leader, int *workers)
{
	int			n = 0;

	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		const RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state == RUNNER_FREE || slot->worker == 0 || slot->leader != leader)
			continue;
		if (workers != NULL)
			workers[n] = slot->worker;
		n++;
	}
	return n;
}

/* ---- their end ---- */

/*
 * Have all of them end, and wait until they have, for some seconds at most: at
 * once, or when they have finished the step that they are in.
 */
void
dbops_helpers_end(int leader, bool at_once)
{
	long		waited = 0;

	if (leader < 0 || dbops_engine == NULL)
		return;
	tell(leader, at_once);
	while (end_unstarted(leader) > 0 && waited < END_PATIENCE)
	{
		if (!at_once && waited >= END_GRACE)
		{
			at_once = true;
			tell(leader, at_once);
		}
		dbops_clock_wait(END_NAP);
		waited += END_NAP;
	}
}

static void
tell(int leader, bool at_once)
{
	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	if (at_once)
		dbops_helpers_tell(leader);
	else
		for (int i = 0; i < ENGINE_RUNNERS; i++)
			if (dbops_engine->runners[i].worker > 0 && dbops_engine->runners[i].leader == leader)
				dbops_engine->runners[i].stop = true;
	LWLockRelease(dbops_engine_lock);
}

/* Tell all that help a process to end at once; the lock is held. */
void
dbops_helpers_tell(int leader)
{
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state == RUNNER_FREE || slot->worker == 0 || slot->leader != leader)
			continue;
		slot->stop = true;
		dbops_runner_signal(slot, SIGTERM);
	}
}

/* A process that comes yet finds its slot taken away; returns how many are there still. */
static int
end_unstarted(int leader)
{
	int			n;

	LWLockAcquire(dbops_engine_lock, LW_EXCLUSIVE);
	for (int i = 0; i < ENGINE_RUNNERS; i++)
	{
		RunnerSlot *slot = &dbops_engine->runners[i];

		if (slot->state == RUNNER_STARTING && slot->worker > 0 && slot->leader == leader)
			slot->state = RUNNER_FREE;
	}
	n = dbops_helpers_count(leader, NULL);
	LWLockRelease(dbops_engine_lock);
	return n;
}

/*
 * Wait, for some seconds at most, until those that helped a process with a job
 * which is gone have noticed it.
 */
void
dbops_helpers_await(int64 job)
{
	for (long waited = 0; dbops_engine != NULL && waited < END_PATIENCE; waited += END_NAP)
	{
		bool		orphans;

		LWLockAcquire(dbops_engine_lock, LW_SHARED);
		orphans = (dbops_runner_find(MyDatabaseId, job) < 0);
		LWLockRelease(dbops_engine_lock);
		if (!orphans || !dbops_runner_has(job))
			return;
		dbops_clock_wait(END_NAP);
	}
}
