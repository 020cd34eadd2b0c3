/*
 * forget.c
 *		A database that is gone, or has dbops no more.
 *
 * Shared memory outlives both, and what it says of a database would be believed
 * of the next installation there. Areas register how they forget a database: the
 * launcher has it forgotten that misses it, the scheduler that finds no dbops,
 * and whoever drops the extension.
 */
#include "core/core.h"

#define MOST_FORGETTING	8

typedef void (*Forget) (Oid database);

static Forget forgetting[MOST_FORGETTING];
static int	n_forgetting = 0;

/* Have something called, which may not fail; called when the library is loaded. */
void
dbops_forget_register(void (*forget) (Oid database))
{
	if (n_forgetting == MOST_FORGETTING)
		elog(ERROR, "too many who forget databases");
	forgetting[n_forgetting++] = forget;
}

/* Forget what is known of a database. */
void
dbops_forget_database(Oid database)
{
	for (int i = 0; i < n_forgetting; i++)
		forgetting[i] (database);
}
