/*
 * index_age.c
 *		Since when there is an index, at least.
 *
 * The catalogs do not say when an index was made. Its file does: it is never
 * older than the index as it is now, and a rebuild or TRUNCATE makes a new one.
 * So the file's birth is a time from which on a query could have used it. Where
 * the file system keeps no birth the last write has to do, which is later.
 */
#include "advise/index_advice.h"

#include <fcntl.h>
#include <sys/stat.h>

#include "access/htup_details.h"
#include "catalog/pg_class.h"
#include "common/relpath.h"
#include "miscadmin.h"
#include "utils/syscache.h"

static TimestampTz time_of(int64 seconds, int64 nanoseconds);

/* When the file of an index was made; 0: it has none, or nobody knows. */
TimestampTz
dbops_index_file_since(Oid index)
{
	HeapTuple	row = SearchSysCache1(RELOID, ObjectIdGetDatum(index));
	Form_pg_class class;
	TimestampTz since = 0;

	if (!HeapTupleIsValid(row))
		return 0;
	class = (Form_pg_class) GETSTRUCT(row);
	if (OidIsValid(class->relfilenode) && !class->relisshared && class->relpersistence != RELPERSISTENCE_TEMP)
		since = dbops_file_since(relation_path_string(GetRelationPath(MyDatabaseId,
																	  OidIsValid(class->reltablespace) ?
																	  class->reltablespace : MyDatabaseTableSpace,
																	  class->relfilenode, INVALID_PROC_NUMBER,
																	  MAIN_FORKNUM)));
	ReleaseSysCache(row);
	return since;
}

/* When a file was made, or was last written where that is not known; 0: it is not there. */
TimestampTz
dbops_file_since(const char *path)
{
	struct stat status;

#ifdef STATX_BTIME
	struct statx extended;

	if (statx(AT_FDCWD, path, 0, STATX_BTIME, &extended) == 0 && (extended.stx_mask & STATX_BTIME) != 0)
		return time_of(extended.stx_btime.tv_sec, extended.stx_btime.tv_nsec);
#endif
	if (stat(path, &status) == 0)
		return time_of(status.st_mtime, 0);
	return 0;
}

/* From seconds since 1970. */
static TimestampTz
time_of(int64 seconds, int64 nanoseconds)
{
	return time_t_to_timestamptz(seconds) + nanoseconds / 1000;
}
