/*
 * job_abandon.c
 *		What a job that does not succeed leaves behind.
 *
 * A job ends for good only in the transaction that removes what must not stay
 * of it, such as a trigger on a user's table: at no instant is there a leftover
 * that is nobody's. What cannot be removed now keeps the job, which is queued to
 * be ended again and says what it waits for.
 */
#include "maintain/maintain.h"

#include "access/xact.h"
#include "utils/resowner.h"

static void record_remains(const DbopsJobKind *kind, const StoredJob *job);
static const char *remove_or_say_why(const DbopsJobKind *kind, const StoredJob *job, long patience);

/*
 * Remove what must not stay of a job that ends, in ms of patience; returns what
 * could not be removed and why, or NULL. Never fails.
 */
const char *
dbops_job_abandon(const StoredJob *job, long patience)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	const char *volatile left = NULL;
	ErrorData  *volatile error = NULL;

	if (kind == NULL || kind->abandon == NULL)
		return NULL;
	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		left = remove_or_say_why(kind, job, patience);
		ReleaseCurrentSubTransaction();
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
	return (error == NULL) ? left : psprintf("%s%s", error->message, dbops_job_keeps(job));
}

static const char *
remove_or_say_why(const DbopsJobKind *kind, const StoredJob *job, long patience)
{
	const char *left = kind->abandon(&job->job, patience);

	if (left == NULL)
		record_remains(kind, job);
	return left;
}

/* It ends now: with what it has done as its result. */
static void
record_remains(const DbopsJobKind *kind, const StoredJob *job)
{
	DbopsParam	params[] = {dbops_param_int8(job->job.id), {0}};

	if (kind->remains == NULL || job->job.position == NULL)
		return;
	params[1] = dbops_param_jsonb(kind->remains(&job->job));
	dbops_store_each("UPDATE dbops.job SET result = $2 WHERE id = $1 AND result IS NULL",
					 lengthof(params), params, NULL, NULL);
}

/* What of a job stays while it is blocked or paused, for the end of its message; or "". */
const char *
dbops_job_keeps(const StoredJob *job)
{
	const DbopsJobKind *kind = dbops_job_kind_find(job->job.kind);
	const char *what = (kind == NULL || kind->keeps == NULL) ? NULL : kind->keeps(&job->job);

	return (what == NULL) ? "" : psprintf("; %s", what);
}
