/*
 * relation_size.c
 *		How large a table is, without a lock.
 *
 * The server's own size functions lock the relation and so hang behind
 * anybody's ALTER TABLE; a report must not. The files are looked at as the
 * committed catalog names them. One that vanishes meanwhile counts as empty.
 */
#include "core/core.h"

#include <sys/stat.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "utils/syscache.h"

static char *main_fork_path(Form_pg_class class);
static int64 segment_bytes(const char *path, int segment);

/* Add up the relation's main fork, in bytes; 0 where there is no storage. */
int64
dbops_relation_bytes(Oid relid)
{
	HeapTuple	tuple = SearchSysCache1(RELOID, ObjectIdGetDatum(relid));
	char	   *path;
	int64		bytes = 0;
	int64		segment_size = (int64) RELSEG_SIZE * BLCKSZ;
	int64		last = segment_size;

	if (!HeapTupleIsValid(tuple))
		return 0;
	path = main_fork_path((Form_pg_class) GETSTRUCT(tuple));
	ReleaseSysCache(tuple);

	for (int segment = 0; path != NULL && last == segment_size; segment++)
	{
		CHECK_FOR_INTERRUPTS();
		last = segment_bytes(path, segment);
		bytes += last;
	}
	return bytes;
}

/* Name the first file of the relation; NULL where it has none of its own. */
static char *
main_fork_path(Form_pg_class class)
{
	Oid			tablespace = OidIsValid(class->reltablespace) ?
		class->reltablespace : MyDatabaseTableSpace;
	bool		temporary = (class->relpersistence == RELPERSISTENCE_TEMP);

	if (!OidIsValid(class->relfilenode) || class->relisshared)
		return NULL;
	return relation_path_string(GetRelationPath(MyDatabaseId, tablespace,
												class->relfilenode,
												temporary ? ProcNumberForTempRelations() : INVALID_PROC_NUMBER,
												MAIN_FORKNUM));
}

static int64
segment_bytes(const char *path, int segment)
{
	struct stat status;
	const char *file = (segment == 0) ? path : psprintf("%s.%d", path, segment);

	if (stat(file, &status) == 0)
		return status.st_size;
	if (errno != ENOENT)
		ereport(ERROR,
				(errcode_for_file_access(),
				 errmsg("could not stat file \"%s\": %m", file)));
	return 0;
}
