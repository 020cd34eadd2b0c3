/*
 * attempt.c
 *		To do something that may fail, and go on.
 *
 * A report that looks at many things must not lose all of them to the first
 * that fails. What is attempted runs in a subtransaction, which releases
 * whatever the failure left behind; none gets a transaction id, so this works
 * in a read-only transaction and on a standby.
 */
#include "core/core.h"

#include "access/xact.h"
#include "utils/resowner.h"

static bool must_end(const ErrorData *error);

/*
 * Call back; false if that failed, with the error in the caller's memory. A
 * cancelled query or a shutdown is no failure to go on from, and is thrown.
 */
bool
dbops_attempt(DbopsCallback callback, void *arg, ErrorData **error)
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

	if (caught != NULL && must_end(caught))
		ReThrowError(caught);
	*error = caught;
	return caught == NULL;
}

static bool
must_end(const ErrorData *error)
{
	return error->sqlerrcode == ERRCODE_QUERY_CANCELED ||
		ERRCODE_TO_CATEGORY(error->sqlerrcode) == ERRCODE_OPERATOR_INTERVENTION;
}
