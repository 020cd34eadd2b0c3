/*
 * job_kind.c
 *		The registry of job kinds. Areas register theirs when the library is
 *		loaded; a stored job names its kind.
 */
#include "core/job.h"

#define MAX_KINDS	32

static const DbopsJobKind *kinds[MAX_KINDS];
static int	n_kinds = 0;

/* Add a kind; called when the library is loaded. */
void
dbops_job_kind_register(const DbopsJobKind *kind)
{
	if (n_kinds == MAX_KINDS)
		elog(ERROR, "too many kinds of jobs");
	kinds[n_kinds++] = kind;
}

/* Find a kind by name; NULL if this library does not know it. */
const DbopsJobKind *
dbops_job_kind_find(const char *name)
{
	for (int i = 0; i < n_kinds; i++)
		if (strcmp(kinds[i]->name, name) == 0)
			return kinds[i];
	return NULL;
}
