/*
 * migration_attempt.c
 *		Do it again where it meets a lock.
 *
 * Who waits for a lock on a table keeps everybody out who comes later, so a
 * migration waits only briefly. Then it gives back all that it has: the attempt
 * is a subtransaction, and what that had locked is free again when it has been
 * rolled back. After a pause the work is done from its beginning.
 */
#include "change/migration.h"

#include "core/server.h"

#include "access/xact.h"
#include "common/pg_prng.h"
#include "portability/instr_time.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#define FIRST_PAUSE 200			/* ms */
#define LONGEST_PAUSE 5000

/* What has come of the attempts so far. */
typedef struct Attempts
{
	const MigrationAttempt *asked;
	instr_time	begin;
	int			count;
	ErrorData  *error;			/* of the last one */
	char	   *blocker;		/* who had the lock, or NULL */
	char	   *told;			/* of whom the user was told last, or NULL */
} Attempts;

static bool try_once(Attempts *attempts);
static void work_and_commit(const MigrationAttempt *asked);
static void pause_or_give_up(Attempts *attempts);
static long ms_left(const Attempts *attempts);
static long pause_length(int attempt);
static void tell(Attempts *attempts);
static void give_up(const Attempts *attempts);

/*
 * Do the work, in a subtransaction, until it meets no lock that is held for
 * longer than lock_timeout, and no deadlock; for max_wait at most. Any other
 * error is thrown.
 */
void
dbops_migration_attempt(const MigrationAttempt *asked)
{
	Attempts	attempts = {.asked = asked};

	INSTR_TIME_SET_CURRENT(attempts.begin);
	while (!try_once(&attempts))
		pause_or_give_up(&attempts);
}

/* False if the attempt has met a lock; what it has allocated is freed. */
static bool
try_once(Attempts *attempts)
{
	MemoryContext context = CurrentMemoryContext;
	MemoryContext work = AllocSetContextCreate(context, "dbops migration attempt", ALLOCSET_DEFAULT_SIZES);
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	attempts->count++;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(work);
	PG_TRY();
	{
		work_and_commit(attempts->asked);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	dbops_blocker_unwatch();
	MemoryContextDelete(work);

	if (error == NULL)
		return true;
	if (!dbops_migration_met_a_lock(error->sqlerrcode))
		ReThrowError(error);
	attempts->error = error;
	attempts->blocker = dbops_blocker_watched();
	return false;
}

static void
work_and_commit(const MigrationAttempt *asked)
{
	int			nest_level = NewGUCNestLevel();

	dbops_set_nested("lock_timeout", psprintf("%ld", asked->lock_timeout));
	dbops_blocker_watch(asked->lock_timeout);
	asked->work(asked->arg);
	AtEOXact_GUC(false, nest_level);
	ReleaseCurrentSubTransaction();
}

/* Has an attempt failed because of somebody else's lock? */
bool
dbops_migration_met_a_lock(int sqlstate)
{
	return sqlstate == ERRCODE_LOCK_NOT_AVAILABLE || sqlstate == ERRCODE_T_R_DEADLOCK_DETECTED;
}

static void
pause_or_give_up(Attempts *attempts)
{
	long		left = ms_left(attempts);

	if (left <= 0)
		give_up(attempts);
	tell(attempts);
	dbops_clock_wait(Min(pause_length(attempts->count), left));
}

static long
ms_left(const Attempts *attempts)
{
	instr_time	spent;

	INSTR_TIME_SET_CURRENT(spent);
	INSTR_TIME_SUBTRACT(spent, attempts->begin);
	return attempts->asked->max_wait - (long) INSTR_TIME_GET_MILLISEC(spent);
}

/* Longer each time, and never in step with another's. */
static long
pause_length(int attempt)
{
	long		longest = Min((long) FIRST_PAUSE << Min(attempt - 1, 10), LONGEST_PAUSE);

	return longest / 2 + (long) (pg_prng_double(&pg_global_prng_state) * (longest / 2));
}

/* Say that the work waits and for whom, whenever that is somebody else than before. */
static void
tell(Attempts *attempts)
{
	const char *blocker = (attempts->blocker != NULL) ? attempts->blocker : attempts->error->detail;

	if (attempts->count > 1 && (blocker == NULL || (attempts->told != NULL && strcmp(blocker, attempts->told) == 0)))
		return;
	attempts->told = (blocker != NULL) ? pstrdup(blocker) : NULL;
	ereport(NOTICE,
			(errmsg("migration \"%s\" has given back its locks and will try again: %s",
					attempts->asked->version, attempts->error->message),
			 blocker != NULL ? errdetail_internal("%s", blocker) : 0,
			 attempts->error->context != NULL ? errcontext_msg("%s", attempts->error->context) : 0));
}

static void
give_up(const Attempts *attempts)
{
	const ErrorData *error = attempts->error;
	const char *blocker = (attempts->blocker != NULL) ? attempts->blocker : error->detail;

	ereport(ERROR,
			(errcode(error->sqlerrcode),
			 errmsg("migration \"%s\" has met a lock of another session each time it was tried: %s",
					attempts->asked->version, error->message),
			 blocker != NULL ? errdetail_internal("%s", blocker) : 0,
			 error->context != NULL ? errcontext_msg("%s", error->context) : 0,
			 errhint("Call again when it has ended, or with a longer max_wait or lock_timeout.")));
}
