/*
 * server_default.c
 *		What the server's configuration says of a setting that roles, databases and
 *		sessions have their own values of.
 *
 * A session cannot tell it from what it has itself. The launcher, which has
 * neither role nor database, notes it.
 */
#include "core/core.h"
#include "core/server_default.h"

#include "access/xact.h"

typedef struct ServerDefault
{
	bool		known;
	bool		read_only;
} ServerDefault;

static ServerDefault *shared = NULL;	/* NULL: not preloaded */
static LWLock *shared_lock = NULL;

/* Ask for the shared memory. */
void
dbops_server_default_init(void)
{
	dbops_shared_request("dbops server defaults", sizeof(ServerDefault), NULL, (void **) &shared, &shared_lock);
}

/* Take note of it, for the launcher. */
void
dbops_server_note(void)
{
	LWLockAcquire(shared_lock, LW_EXCLUSIVE);
	*shared = (ServerDefault) {.known = true, .read_only = DefaultXactReadOnly};
	LWLockRelease(shared_lock);
}

/* Do transactions begin as read-only where nobody has said otherwise? While nobody knows, what holds here. */
bool
dbops_server_read_only(void)
{
	bool		read_only = DefaultXactReadOnly;

	if (shared == NULL)
		return read_only;
	LWLockAcquire(shared_lock, LW_SHARED);
	if (shared->known)
		read_only = shared->read_only;
	LWLockRelease(shared_lock);
	return read_only;
}
