/*
 * tablespace_names.c
 *		The names of tablespaces, for who cannot read them.
 *
 * The launcher has no database and cannot open pg_tablespace, but what it finds
 * must have the keys that sessions see: so whoever reads a name leaves it here.
 */
#include "core/server.h"

#include "utils/builtins.h"

#define NAMES			64		/* then the next one takes the place of the first */

typedef struct TablespaceName
{
	Oid			tablespace;		/* InvalidOid: free */
	NameData	name;
} TablespaceName;

typedef struct TablespaceNames
{
	int			next;
	TablespaceName names[NAMES];
} TablespaceNames;

static TablespaceNames *shared_names = NULL;	/* or NULL */
static LWLock *shared_names_lock = NULL;

static TablespaceName *find(Oid tablespace);

/* Ask for the shared memory. */
void
dbops_tablespace_names_init(void)
{
	dbops_shared_request("dbops tablespace names", sizeof(TablespaceNames), NULL,
						 (void **) &shared_names, &shared_names_lock);
}

/* Leave a name for others. */
void
dbops_tablespace_name_keep(Oid tablespace, const char *name)
{
	char	   *known = dbops_tablespace_name_kept(tablespace);
	TablespaceName *entry;

	if (shared_names == NULL || (known != NULL && strcmp(known, name) == 0))
		return;
	LWLockAcquire(shared_names_lock, LW_EXCLUSIVE);
	entry = find(tablespace);
	if (entry == NULL)
		entry = &shared_names->names[shared_names->next++ % NAMES];
	entry->tablespace = tablespace;
	namestrcpy(&entry->name, name);
	LWLockRelease(shared_names_lock);
}

/* What somebody has left; NULL: nobody has. */
char *
dbops_tablespace_name_kept(Oid tablespace)
{
	TablespaceName *entry;
	NameData	name = {{0}};

	if (shared_names == NULL)
		return NULL;
	LWLockAcquire(shared_names_lock, LW_SHARED);
	entry = find(tablespace);
	if (entry != NULL)
		name = entry->name;
	LWLockRelease(shared_names_lock);
	return (entry == NULL) ? NULL : pstrdup(NameStr(name));
}

/* The lock is held. */
static TablespaceName *
find(Oid tablespace)
{
	for (int i = 0; i < NAMES; i++)
		if (shared_names->names[i].tablespace == tablespace)
			return &shared_names->names[i];
	return NULL;
}
