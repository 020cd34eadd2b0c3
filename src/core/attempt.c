/*
 * attempt.c
 *		To do something that may fail, or is to be undone, and go on.
 *
 * A report that looks at many things must not lose all of them to the first
 * that fails. What is attempted runs in a subtransaction, which releases
 * whatever the failure left behind; none gets a transaction id, so this works
 * in a read-only transaction and on a standby.
 */
#include "core/core.h"

#include "access/xact.h"
#include "utils/resowner.h"

static ErrorData *call_back(DbopsCallback callback, void *arg);
static bool must_end(const ErrorData *error);

/*
 * Call back; false if that failed, with the error in the caller's memory. A
 * cancelled query or a shutdown is no failure to go on from, and is thrown.
 */
bool
dbops_attempt(DbopsCallback callback, void *arg, ErrorData **error)
{
	*error = call_back(callback, arg);
	if (*error != NULL && must_end(*error))
		ReThrowError(*error);
	return *error == NULL;
}

/* The same for who has something to take away, also when it was cancelled, and throws the error then. */
bool
dbops_attempt_until_cancelled(DbopsCallback callback, void *arg, ErrorData **error)
{
	*error = call_back(callback, arg);
	return *error == NULL;
}

static ErrorData *
call_back(DbopsCallback callback, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile caught = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		callback(arg);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		caught = CopyErrorData();
		FlushErrorState();
		RollbackAndReleaseCurrentSubTransaction();
	}
	PG_END_TRY();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	return caught;
}

/*
 * Call back and undo what it has done: its locks are given back, and settings
 * are what they were. An error is the caller's.
 */
void
dbops_look(DbopsCallback callback, void *arg)
{
	MemoryContext context = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	ErrorData  *volatile error = NULL;

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		callback(arg);
	}
	PG_CATCH();
	{
		MemoryContextSwitchTo(context);
		error = CopyErrorData();
		FlushErrorState();
	}
	PG_END_TRY();
	RollbackAndReleaseCurrentSubTransaction();
	MemoryContextSwitchTo(context);
	CurrentResourceOwner = owner;
	if (error != NULL)
		ReThrowError(error);
}

static bool
must_end(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}
