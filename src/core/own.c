/*
 * own.c
 *		Is it a statement of dbops' own that runs?
 *
 * What dbops does for a policy or for one of its calls it does with care of its
 * own, and who guards the schema against others lets it pass. A user's statement
 * that dbops runs, in a job or in a migration, is not one of these.
 */
#include "core/core.h"

/* How many are under way, one within another. */
static int	depth = 0;

/* Call back, for a statement that dbops has written. What that sets off belongs to it. */
void
dbops_as_own(DbopsCallback callback, void *arg)
{
	int			outer = depth;

	PG_TRY();
	{
		depth = outer + 1;
		callback(arg);
	}
	PG_FINALLY();
	{
		depth = outer;
	}
	PG_END_TRY();
}

/* Is such a statement under way? */
bool
dbops_is_own(void)
{
	return depth > 0;
}
